/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What Ganeti starts, and drover's own rules would refuse: made into what it means.
 */
#include "runtime/definition.h"
#include "runtime/display.h"
#include "runtime/ganeti_private.h"
#include "runtime/warnings.h"

#include <inttypes.h>
#include <string.h>

/* Ganeti has no other way to say that a display is anybody's. */
static void allow_displays(struct ganeti *g, struct json_object *hv)
{
	static const struct {
		const char *bind, *password;
	} displays[] = { { "vnc_bind_address", "vnc_password_file" }, { "spice_bind", "spice_password_file" } };

	for (size_t i = 0; i < ARRAY_SIZE(displays); i++) {
		const char *bind = json_get_str(hv, displays[i].bind);
		_cleanup_free_ char *place = xasprintf("document[2].%s", displays[i].bind);

		if (!bind || !bind_is_wildcard(bind) || json_get_str(hv, displays[i].password))
			continue;
		json_add_bool(hv, "display_without_password", true);
		warnings_add(g->warnings, place,
			     "%s without a password: who reaches the host sees and uses the guest, as before "
			     "('display_without_password'); set '%s'",
			     bind, displays[i].password);
	}
}

/* Beside the default of the other, which often is a cluster's and not the instance's. */
static void leave_out_idle(struct ganeti *g, struct json_object *hv)
{
	static const struct {
		const char *name, *needs;
	} idle[] = { { "initrd_path", "kernel_path" },
		     { "vnc_x509_path", "vnc_tls" },
		     { "vnc_x509_verify", "vnc_x509_path" } };

	for (size_t i = 0; i < ARRAY_SIZE(idle); i++) {
		_cleanup_free_ char *place = xasprintf("document[2].%s", idle[i].name);

		if (!json_object_object_get_ex(hv, idle[i].name, NULL) ||
		    json_object_object_get_ex(hv, idle[i].needs, NULL))
			continue;
		json_object_object_del(hv, idle[i].name);
		warnings_add(g->warnings, place, "means nothing without '%s', and is left out", idle[i].needs);
	}
}

static void leave_out(struct ganeti *g, struct json_object *hv, const char *name, const char *why)
{
	_cleanup_free_ char *place = xasprintf("document[2].%s", name);

	json_object_object_del(hv, name);
	warnings_add(g->warnings, place, "%s", why);
}

/* What Ganeti or QEMU ignores, or has no more. */
static void leave_out_contradictions(struct ganeti *g, struct json_object *hv)
{
	const char *order = json_get_str(hv, "boot_order"), *cpu = json_get_str(hv, "cpu_type");
	const char *sound = json_get_str(hv, "soundhw");
	bool has_floppy = json_get_str(hv, "floppy_image_path");
	bool has_nic = json_length(json_get_typed(g->definition, "nics", json_type_array));

	if ((str_eq(order, "floppy") && !has_floppy) || (str_eq(order, "network") && !has_nic))
		leave_out(g, hv, "boot_order", "there is nothing of that kind to boot from: the first disk is booted");
	if (sound && (str_eq(sound, "all") || strchr(sound, ',')))
		leave_out(g, hv, "soundhw", "names several cards, and is left out: a guest has one at most");
	if (json_get_str(hv, "mem_path") && json_get_bool(hv, "use_chroot", false))
		leave_out(g, hv, "mem_path",
			  "does not go with 'use_chroot', and is left out: the next start takes ordinary memory");
	if (cpu && (str_eq(cpu, "host") || str_starts(cpu, "host,")) &&
	    str_eq(json_get_str(hv, "kvm_flag"), "disabled"))
		leave_out(g, hv, "kvm_flag", "'disabled' is left out: only KVM has the processor of the host");
}

static void limit_downtime(struct ganeti *g, struct json_object *hv)
{
	const struct param *row = param_find(hvparam_rows, "migration_downtime");

	if (json_get_int(hv, row->name, 0) <= row->max)
		return;
	json_add_int(hv, row->name, row->max);
	warnings_add(g->warnings, "document[2].migration_downtime", "becomes %" PRId64 ", the most there is", row->max);
}

/* Of Ganeti's a CD-ROM is what disks are, where nothing is said. */
static void settle_cdrom(struct ganeti *g, struct json_object *hv)
{
	const char *type = json_get_str(hv, "disk_type");
	bool has_one = json_get_str(hv, "cdrom_image_path") || json_get_str(hv, "cdrom2_image_path");

	if (!has_one || json_get_str(hv, "cdrom_disk_type"))
		return;
	if (!type)
		json_add_str(hv, "cdrom_disk_type", "paravirtual");
	else if (!str_eq(type, "ide") && !str_eq(type, "scsi-cd"))
		warnings_add(g->warnings, "document[2].cdrom_disk_type",
			     "there are no CD-ROMs of the 'disk_type' %s: they are scsi-cd", type);
}

/* QEMU adds a graphics card to a machine that says nothing of one. */
static void settle_vga(const struct ganeti *g, struct json_object *hv, struct json_object *cmd)
{
	bool shown = json_get_str(hv, "vga") || json_get_str(hv, "spice_bind") || json_get_str(hv, "vnc_bind_address");

	for (size_t i = 1; i < json_object_array_length(cmd) && !shown; i++)
		shown = str_eq(ganeti_word(cmd, i), "-nodefaults") || str_eq(ganeti_word(cmd, i), "-vga");
	if (!shown && machine_kind(definition_machine(g->definition)) != MACHINE_MICROVM)
		json_add_str(hv, "vga", "std");
}

void ganeti_loosen(struct ganeti *g, struct json_object *cmd)
{
	struct json_object *hv = json_get_typed(g->definition, "hvparams", json_type_object);

	allow_displays(g, hv);
	leave_out_idle(g, hv);
	leave_out_contradictions(g, hv);
	limit_downtime(g, hv);
	settle_cdrom(g, hv);
	settle_vga(g, hv, cmd);
}
