/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/processor.h"

#include <ctype.h>
#include <string.h>

#define TYPE "hvparams.cpu_type"
/* What a PC and a Q35 machine have when nothing is said. */
#define MODEL_OF_MACHINE "qemu64"

/* As QEMU's manual recommends them, without those that are for debugging, for nested hypervisors, for one vendor's
 * processors, for pinned vcpus only, or younger than Linux 4.20 as the host's kernel. */
#define ENLIGHTENMENTS                                                                                                 \
	"hv-relaxed=on,hv-vapic=on,hv-spinlocks=0x1fff,hv-runtime=on,hv-time=on,hv-synic=on,hv-stimer=on,hv-tlbflush=" \
	"on,"                                                                                                          \
	"hv-ipi=on,hv-frequencies=on"
/* Others need it. Without KVM, where none of them does anything, a QEMU may refuse it. */
#define OF_KVM ",hv-vpindex=on"

char *processor_model(const struct hvparams *hv)
{
	size_t n = strcspn(hv->cpu_type, ",");
	char *model = xcalloc(n + 1, 1);

	memcpy(model, hv->cpu_type, n);
	return model;
}

bool processor_needs_kvm(const struct hvparams *hv)
{
	_cleanup_free_ char *model = processor_model(hv);

	return str_eq(model, "host");
}

/* A single one of these has no interrupt controller that root ports could send their messages to; of two each gets one. */
static bool lacks_apic(const struct hvparams *hv, const char *model, int64_t vcpus)
{
	static const char *const models[] = { "486", "486-v1", "base" };
	bool old = false;

	for (size_t i = 0; i < ARRAY_SIZE(models); i++)
		old |= str_eq(model, models[i]);
	return old && vcpus == 1 && !strstr(hv->cpu_type, "apic");
}

bool processor_check(const struct hvparams *hv, int64_t vcpus, struct err **e)
{
	_cleanup_free_ char *model = processor_model(hv);

	for (const char *c = hv->cpu_type; *c; c++)
		if (iscntrl((unsigned char)*c))
			return err_set_param(e, TYPE, "must be one line of printable characters");
	if (str_empty(hv->cpu_type))
		return true;
	for (const char *c = model; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("-._", *c))
			return err_set_param(e, TYPE,
					     "must begin with the name of a model: letters, digits, '-', '.' and '_'");
	/* It would list what there is, and end. */
	if (str_empty(model) || str_eq(model, "help"))
		return err_set_param(e, TYPE, "must begin with the name of a model");
	if (accel_of(hv) == ACCEL_TCG && str_eq(model, "host"))
		return err_set_param(e, TYPE, "host needs KVM, and %s",
				     hv->accel == ACCEL_TCG ? "accel is tcg" : "kvm_flag is disabled");
	if (machine_kind(hv->machine_version) == MACHINE_Q35 && hv->pcie_root_ports > 0 && lacks_apic(hv, model, vcpus))
		return err_set_param(e, TYPE,
				     "%s has no APIC, which the root ports of a Q35 machine need: %s,+apic has one",
				     model, model);
	return true;
}

char *processor_text(const struct hvparams *hv, bool kvm)
{
	const char *model = str_empty(hv->cpu_type) ? MODEL_OF_MACHINE : hv->cpu_type;

	if (hv->hyperv)
		return xasprintf("%s," ENLIGHTENMENTS "%s", model, kvm ? OF_KVM : "");
	return str_empty(hv->cpu_type) ? NULL : xstrdup(hv->cpu_type);
}
