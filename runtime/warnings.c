/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/warnings.h"

#include "runtime/vhost.h"

#include <arpa/inet.h>
#include <string.h>

void warnings_add(struct json_object *list, const char *parameter, const char *fmt, ...)
{
	struct json_object *o = json_object_new_object();
	_cleanup_free_ char *text = NULL, *desc = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	desc = xasprintf("'%s': %s", parameter, text);
	json_add_str(o, "parameter", parameter);
	json_add_str(o, "desc", desc);
	json_object_array_add(list, o);
}

/* ---- what cannot move ---- */

/* The model is what stands before the first comma; features follow. */
static bool is_model(const char *cpu_type, const char *model)
{
	size_t n = strcspn(cpu_type, ",");

	return strlen(model) == n && strncmp(cpu_type, model, n) == 0;
}

static void warn_of_cpu(struct json_object *list, const struct definition *def)
{
	static const char *const basic[] = { "qemu32", "qemu64", "kvm32", "kvm64" };
	static const char name[] = "hvparams.cpu_type";
	const char *type = def->hvparams.cpu_type;

	if (str_empty(type))
		warnings_add(list, name,
			     "not set: QEMU's basic model, which lacks features and mitigations of the host's");
	for (size_t i = 0; i < ARRAY_SIZE(basic); i++)
		if (is_model(type, basic[i]))
			warnings_add(list, name, "%s lacks features and mitigations of the host's", basic[i]);
	if (is_model(type, "host") || is_model(type, "max"))
		warnings_add(list, name, "with %.*s the guest can move to hosts with the same processors only",
			     (int)strcspn(type, ","), type);
}

static void warn_of_machine(struct json_object *list, const struct definition *def)
{
	const char *machine = def->hvparams.machine_version;

	if (str_eq(machine, "pc") || str_eq(machine, "q35"))
		warnings_add(
			list, "hvparams.machine_version",
			"plain %s becomes the newest version of the QEMU that starts it first, which older ones lack",
			machine);
	if (machine_kind(machine) != MACHINE_MICROVM)
		return;
	warnings_add(list, "hvparams.machine_version",
		     "a microvm has no versions, so each QEMU has its own; its devices change while it is off only");
	if (accel_of(&def->hvparams) == ACCEL_TCG)
		warnings_add(list, "hvparams.accel",
			     "without KVM Linux finds no clock in a microvm, and stops, unless 'kernel_args' has "
			     "tsc_early_khz=N, the speed of the host's processor in kHz");
}

/* ---- who reads along ---- */

static bool is_local(const char *bind)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (bind[0] == '/') /* a socket there */
		return true;
	if (inet_pton(AF_INET, bind, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
	return str_eq(bind, "lo") || (inet_pton(AF_INET6, bind, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6));
}

static void warn_of_displays(struct json_object *list, const struct definition *def)
{
	const struct hvparams *hv = &def->hvparams;
	const struct {
		const char *bind, *what, *bind_name, *tls_name;
		bool tls;
	} displays[] = { { hv->vnc_bind_address, "VNC", "hvparams.vnc_bind_address", "vnc_tls", hv->vnc_tls },
			 { hv->spice_bind, "SPICE", "hvparams.spice_bind", "spice_use_tls", hv->spice_use_tls } };

	for (size_t i = 0; i < ARRAY_SIZE(displays); i++)
		if (!str_empty(displays[i].bind) && !displays[i].tls && !is_local(displays[i].bind))
			warnings_add(list, displays[i].bind_name, "%s leaves this host without TLS; set '%s'",
				     displays[i].what, displays[i].tls_name);
}

/* ---- what is slow ---- */

static void warn_of_disks(struct json_object *list, const struct definition *def)
{
	const struct hvparams *hv = &def->hvparams;
	static const char text[] = "%s is emulated and slow; paravirtual is virtio-blk";
	bool scsi = false;

	if (hv->disk_type == DISK_IDE)
		warnings_add(list, "hvparams.disk_type", text, disk_types[hv->disk_type]);
	for (size_t i = 0; i < def->disks.n; i++) {
		const struct disk *d = definition_disk(def, i);
		_cleanup_free_ char *type = xasprintf("disks[%zu].type", i), *iops = NULL;

		scsi = scsi || str_eq(d->hvinfo.bus, "scsi.0");
		if (d->media == MEDIA_DISK && d->type == DISK_IDE)
			warnings_add(list, type, text, disk_types[d->type]);
		if (!d->disk_iops)
			continue;
		iops = xasprintf("disks[%zu].disk_iops", i);
		warnings_add(list, iops,
			     "an alias of throttle.bps_total, which is bytes per second and not operations%s",
			     d->disk_iops < 1 << 20 ? "; a system hardly runs with so few" : "");
	}
	if (scsi && hv->scsi_controller_type != SCSI_VIRTIO)
		warnings_add(list, "hvparams.scsi_controller_type", "%s is emulated and slow; virtio-scsi-pci is not",
			     scsi_controllers[hv->scsi_controller_type]);
}

static void warn_of_nics(struct json_object *list, const struct definition *def)
{
	const struct hvparams *hv = &def->hvparams;
	static const char text[] = "%s is emulated and slow; paravirtual is virtio-net";
	bool uses_queues = def->nics.n == 0 && hv->nic_type == NIC_TYPE_PARAVIRTUAL;
	enum vhost vhost = VHOST_AUTO;

	if (hv->nic_type != NIC_TYPE_PARAVIRTUAL)
		warnings_add(list, "hvparams.nic_type", text, nic_types[hv->nic_type]);
	for (size_t i = 0; i < def->nics.n; i++) {
		const struct nic *n = definition_nic(def, i);
		_cleanup_free_ char *type = xasprintf("nics[%zu].type", i);

		uses_queues |= vhost_queues(n, hv) > 0;
		if (n->type != PARAM_CHOICE_NONE && n->type != NIC_TYPE_PARAVIRTUAL)
			warnings_add(list, type, text, nic_types[n->type]);
	}
	vhost_decode(hv, &vhost, NULL);
	if (vhost == VHOST_OFF)
		warnings_add(list, "hvparams.vhost_net", "off: each packet goes through QEMU");
	if (hv->virtio_net_queues > 1 && !uses_queues)
		warnings_add(list, "hvparams.virtio_net_queues", "means nothing: no card is paravirtual and has a tap");
}

/* ---- what means nothing ---- */

static void warn_of_boot(struct json_object *list, const struct definition *def)
{
	const struct hvparams *hv = &def->hvparams;

	if (!str_empty(hv->kernel_path) && hv->boot_order != BOOT_DISK)
		warnings_add(list, "hvparams.boot_order", "means nothing beside 'kernel_path', which is what boots");
	if (str_empty(hv->kernel_path) && !str_empty(hv->root_path))
		warnings_add(list, "hvparams.root_path", "means nothing without 'kernel_path'");
}

struct json_object *warnings_list(struct json_object *stored)
{
	static void (*const all[])(struct json_object *,
				   const struct definition *) = { warn_of_cpu,   warn_of_machine, warn_of_displays,
								  warn_of_disks, warn_of_nics,    warn_of_boot };
	struct json_object *list = json_object_new_array();
	struct definition def;

	if (!definition_decode(stored, &def, NULL))
		return list;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		all[i](list, &def);
	definition_clear(&def);
	return list;
}

static bool has(struct json_object *list, struct json_object *warning)
{
	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (json_object_equal(json_object_array_get_idx(list, i), warning))
			return true;
	return false;
}

struct json_object *warnings_new(struct json_object *stored, struct json_object *old)
{
	_cleanup_json_ struct json_object *all = warnings_list(stored);
	_cleanup_json_ struct json_object *before = old ? warnings_list(old) : json_object_new_array();
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < json_object_array_length(all); i++)
		if (!has(before, json_object_array_get_idx(all, i)))
			json_object_array_add(list, json_object_get(json_object_array_get_idx(all, i)));
	return list;
}
