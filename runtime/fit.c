/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/fit.h"

#include "runtime/device.h"
#include "runtime/display.h"
#include "runtime/pinning.h"
#include "runtime/processor.h"

#include <string.h>
#include <sys/resource.h>

/* Models that one binary has and another has not. */
static bool model_fits(const struct prepare *p, struct err **e)
{
	const struct hvparams *hv = &p->inst->def.hvparams;
	_cleanup_free_ char *model = processor_model(hv);

	if (str_empty(model))
		return true;
	if (processor_needs_kvm(hv) && !p->kvm && !p->accel.works)
		err_set(e, ERR_UNSUPPORTED, "'hvparams.cpu_type': '%s' needs KVM, which does not work here", model);
	else if (!processor_needs_kvm(hv) && caps_has_cpu(p->caps, "qemu64") && !caps_has_cpu(p->caps, model))
		err_set(e, ERR_UNSUPPORTED, "'hvparams.cpu_type': '%s' has no model '%s'", p->binary, model);
	else
		return true;
	return err_name_param(e, "hvparams.cpu_type");
}

/* Without KVM there are no more than the APICs of old can number; a QEMU that has newer ones needs a cpu_type with x2apic. */
static bool vcpus_fit(const struct prepare *p, struct err **e)
{
	enum { APICS = 255 };
	const struct definition *def = &p->inst->def;
	int max = caps_machine_cpus(p->caps, def->hvparams.machine_version);

	if (max && def->vcpus > max)
		err_set(e, ERR_UNSUPPORTED, "'vcpus': '%s' of '%s' takes at most %d", def->hvparams.machine_version,
			p->binary, max);
	else if (def->vcpus > APICS && !p->kvm && !p->accel.works)
		err_set(e, ERR_UNSUPPORTED, "'vcpus': more than %d need KVM, which this start does not have", APICS);
	else
		return true;
	return err_name_param(e, "vcpus");
}

/* An unprivileged process may not raise it, nor may one that was kept from it, be it root's. */
static bool lock_fits(const struct hvparams *hv, struct err **e)
{
	struct rlimit old, all;

	if (!hv->mem_lock || getrlimit(RLIMIT_MEMLOCK, &old) < 0 || old.rlim_max == RLIM_INFINITY)
		return true;
	all = (struct rlimit){ old.rlim_cur, RLIM_INFINITY };
	if (setrlimit(RLIMIT_MEMLOCK, &all) == 0) { /* then the launcher may as well */
		setrlimit(RLIMIT_MEMLOCK, &old);
		return true;
	}
	err_set(e, ERR_PERMISSION_DENIED,
		"'hvparams.mem_lock': droverd may not lock so much memory; its limit of locked memory must be "
		"unlimited "
		"(LimitMEMLOCK= of a service)");
	return err_name_param(e, "hvparams.mem_lock");
}

static enum verdict look(struct op *op, void *arg)
{
	const struct prepare *p = arg;
	const struct hvparams *hv = &p->inst->def.hvparams;
	struct err *e = NULL;

	return pinning_fits(hv, &e) && lock_fits(hv, &e) && model_fits(p, &e) && vcpus_fit(p, &e) ? OP_DONE :
												    op_fail_err(op, e);
}

/* ---- drivers ---- */

/* The machine's own devices that somebody asked for. */
static const struct {
	const char *id, *parameter;
} asked_for[] = {
	{ "scsi", "hvparams.scsi_controller_type" }, { "watchdog", "hvparams.watchdog" },     { "rng", "hvparams.rng" },
	{ "pvpanic", "hvparams.panic_device" },      { "agent", "hvparams.use_guest_agent" },
};

static bool driver_fits(const struct argv_env *env, const char *driver, const char *parameter, struct err **e)
{
	if (env->has(driver, NULL, env->data))
		return true;
	err_set(e, ERR_UNSUPPORTED, "'%s': '%s' has no device '%s'", parameter, env->binary, driver);
	return err_name_param(e, parameter);
}

static bool disks_fit(const struct definition *def, const struct argv_env *env, struct err **e)
{
	for (size_t i = 0; i < def->disks.n; i++) {
		const struct disk *d = definition_disk(def, i);
		_cleanup_free_ char *own = xasprintf("disks[%zu].type", i);
		const char *common = d->media == MEDIA_CDROM ? "hvparams.cdrom_disk_type" : "hvparams.disk_type";

		if (!driver_fits(env, d->hvinfo.driver, d->type == PARAM_CHOICE_NONE ? common : own, e))
			return false;
	}
	return true;
}

static bool cards_fit(const struct definition *def, const struct argv_env *env, struct err **e)
{
	for (size_t i = 0; i < def->nics.n; i++) {
		const struct nic *n = definition_nic(def, i);
		_cleanup_free_ char *own = xasprintf("nics[%zu].type", i);

		if (!driver_fits(env, n->hvinfo.driver, n->type == PARAM_CHOICE_NONE ? "hvparams.nic_type" : own, e))
			return false;
	}
	return true;
}

static bool part_fits(const struct part *part, const struct argv_env *env, struct err **e)
{
	for (size_t i = 0; i < ARRAY_SIZE(asked_for); i++)
		if (part->outlet == OUTLET_DEVICE && str_eq(json_get_str(part->o, "id"), asked_for[i].id))
			return driver_fits(env, json_get_str(part->o, "driver"), asked_for[i].parameter, e);
	return true;
}

bool fit_devices(const struct definition *def, const struct argv_env *env, struct err **e)
{
	struct parts parts = { 0 };
	bool fit;

	if (!env->has)
		return true;
	fit = disks_fit(def, env, e) && cards_fit(def, env, e);
	fixed_parts(def, env, &parts);
	for (size_t i = 0; fit && i < parts.n; i++)
		fit = part_fits(&parts.items[i], env, e);
	parts_clear(&parts);
	return fit;
}

/* ---- what QEMU says ---- */

/* What is said when a parameter is at fault; the first that fits counts. */
static const struct {
	const char *words, *parameter;
} signs[] = {
	{ "cannot run on the processors", "hvparams.cpu_mask" },
	{ "cannot limit locked memory", "hvparams.mem_lock" },
	{ "locking memory failed", "hvparams.mem_lock" },
	{ "mlock", "hvparams.mem_lock" },
	{ "backing store", "hvparams.mem_path" },
	{ "prealloc", "hvparams.mem_path" },
	{ "allocate guest RAM", "hvparams.mem_path" },
	{ "-x86_64-cpu.", "hvparams.cpu_type" },
	{ "support requested features", "hvparams.cpu_type" },
	{ "X2APIC API support", "vcpus" },
	{ "requires x2APIC", "vcpus" },
	{ "doesn't match set apic-id", "hvparams.cpu_type" },
	{ "invalid node-id", "hvparams.cpu_type" },
	{ "CPU model '", "hvparams.cpu_type" },
	{ "MSI-X is not supported", "hvparams.cpu_type" },
	{ "phys-bits", "hvparams.cpu_type" },
	{ "phys-bits too low", "memory" },
	{ "set up guest memory", "memory" },
	{ "invalid kernel header", "hvparams.kernel_path" },
	{ "could not load kernel", "hvparams.kernel_path" },
	{ "PVH ELF Note", "hvparams.kernel_path" },
	{ "initrd is too large", "hvparams.initrd_path" },
	{ "binding socket to", "hvparams.spice_bind" },
	{ "reds_init_ssl", "hvparams.spice_use_tls" },
	{ "initialize spice server", "hvparams.spice_tls_ciphers" },
	{ X509_CA, "hvparams.vnc_x509_path" },
	{ X509_CERT, "hvparams.vnc_x509_path" },
	{ X509_CRL, "hvparams.vnc_x509_path" },
};

static bool is_set(const struct hvparams *hv, const char *parameter)
{
	const struct {
		const char *name;
		bool set;
	} all[] = {
		{ "hvparams.mem_lock", hv->mem_lock },
		{ "hvparams.mem_path", !str_empty(hv->mem_path) },
		{ "hvparams.cpu_type", !str_empty(hv->cpu_type) },
		{ "hvparams.kernel_path", !str_empty(hv->kernel_path) },
		{ "hvparams.initrd_path", !str_empty(hv->initrd_path) },
		{ "hvparams.spice_bind", display_has_spice(hv) },
		{ "hvparams.spice_use_tls", hv->spice_use_tls },
		{ "hvparams.spice_tls_ciphers", !str_empty(hv->spice_tls_ciphers) },
		{ "hvparams.vnc_x509_path", !str_empty(hv->vnc_x509_path) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (str_eq(all[i].name, parameter))
			return all[i].set;
	return true;
}

static enum verdict blame(struct op *op, void *arg)
{
	const struct prepare *p = arg;
	const char *log = op->err ? json_get_str(op->err->extra, "log") : NULL;

	if (!op->err || json_get_str(op->err->extra, "parameter"))
		return OP_DONE;
	for (size_t i = 0; i < ARRAY_SIZE(signs); i++) {
		if (!strstr(op->err->desc, signs[i].words) && !(log && strstr(log, signs[i].words)))
			continue;
		if (!is_set(&p->inst->def.hvparams, signs[i].parameter))
			continue;
		err_prefix(op->err, "'%s'", signs[i].parameter);
		err_name_param(&op->err, signs[i].parameter);
		break;
	}
	return OP_DONE;
}

const struct step fit_look = { "see whether the host can", look, blame };
