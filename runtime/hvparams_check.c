/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rules over several parameters. They see the definition alone, never the host.
 */
#include "runtime/hvparams.h"

#include "base/file.h"
#include "runtime/display.h"
#include "runtime/firmware.h"
#include "runtime/media.h"
#include "runtime/pinning.h"
#include "runtime/processor.h"
#include "runtime/usb.h"
#include "runtime/vhost.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* What has no JSON on QEMU's command line is written in its string notation, which has no way to write these. */
static bool check_lines(const struct hvparams *hv, struct err **e)
{
	for (const char *c = hv->machine_version; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("-._", *c))
			return err_set_param(e, "hvparams.machine_version",
					     "must be the name of a machine: letters, digits, '-', '.' and '_'");
	return true;
}

/* As Ganeti takes them: what is written one way only can be compared. Media may be URLs as well. */
static bool check_paths(const struct hvparams *hv, struct err **e)
{
	for (const struct param *row = hvparam_rows; row->name; row++) {
		const char *path = row->type == PARAM_PATH ? MEMBER_AT(hv, char *, row->offset) : NULL;
		_cleanup_free_ char *name = xasprintf("hvparams.%s", row->name);

		if (!str_empty(path) && !file_path_is_normal(path))
			return err_set_param(e, name,
					     "must be written without '//', '.' and '..', and no '/' at its end");
	}
	return true;
}

static bool check_aliases(const struct hvparams *hv, struct err **e)
{
	if (hv->accel != ACCEL_AUTO && accel_of(hv) != (enum accel)hv->accel)
		return err_set_param(e, "hvparams.kvm_flag", "says otherwise than 'accel', and one of them is enough");
	if (hv->on_reboot == ON_REBOOT_RESTART && on_reboot_of(hv) != ON_REBOOT_RESTART)
		return err_set_param(e, "hvparams.reboot_behavior",
				     "says otherwise than 'on_reboot', and one of them is enough");
	return true;
}

/* "xbzrle:postcopy-ram" */
static bool check_capabilities(const char *text, struct err **e)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";

	for (const char *p = text; *text; p++) {
		size_t n = strspn(p, letters);

		p += n;
		if (n == 0 || (*p && *p != ':'))
			return err_set_param(e, "hvparams.migration_caps",
					     "must be empty or names such as xbzrle:postcopy-ram");
		if (!*p)
			break;
	}
	return true;
}

/* Of a PC in all its versions; what other machines take differs with the binary, and is looked at when it is known. */
static bool check_vcpus(const struct hvparams *hv, int64_t vcpus, struct err **e)
{
	enum { PC_MAX = 255 };

	if (vcpus <= PC_MAX || machine_kind(hv->machine_version) != MACHINE_PC)
		return true;
	return err_set_param(e, "vcpus", "a PC has at most %d processors; machine_version q35 takes more", PC_MAX);
}

static bool check_topology(const struct hvparams *hv, int64_t vcpus, struct err **e)
{
	int64_t sockets = hv->cpu_sockets, cores = hv->cpu_cores, threads = hv->cpu_threads;
	int64_t given = (sockets ? sockets : 1) * (cores ? cores : 1) * (threads ? threads : 1);

	if (!sockets && !cores && !threads)
		return true;
	if (sockets && cores && threads ? given != vcpus : vcpus % given != 0)
		return err_set_param(e,
				     cores   ? "hvparams.cpu_cores" :
				     sockets ? "hvparams.cpu_sockets" :
					       "hvparams.cpu_threads",
				     "%" PRId64 " vcpus are no %" PRId64 " sockets of %" PRId64 " cores of %" PRId64
				     " threads (0: any number)",
				     vcpus, sockets, cores, threads);
	return true;
}

/* Names of Ganeti's that its syntax pass takes. */
static const struct dead {
	const char *type, *why;
} dead_types[] = {
	{ "scsi", "'scsi' is no device of QEMU: a disk is scsi-hd, scsi-block or scsi-generic" },
	{ "sd", "'sd' is a card of a board, and a PC has no place for one: use paravirtual" },
	{ "mtd", "'mtd' is flash memory of a board, and a PC has no place for it: use paravirtual" },
	{ "pflash", "'pflash' is where firmware lies, and no disk: use paravirtual; 'firmware' says what boots it" },
};

static bool check_dead(struct json_object *type, const char *name, struct err **e)
{
	for (size_t i = 0; i < ARRAY_SIZE(dead_types) && json_object_is_type(type, json_type_string); i++)
		if (str_eq(json_object_get_string(type), dead_types[i].type))
			return err_set_param(e, name, "%s", dead_types[i].why);
	return true;
}

bool hvparams_check_dead(struct json_object *given, struct err **e)
{
	struct json_object *hv = json_get_typed(given, "hvparams", json_type_object);
	struct json_object *disks = json_get_typed(given, "disks", json_type_array);

	for (size_t i = 0; i < json_length(disks); i++) {
		_cleanup_free_ char *name = xasprintf("disks[%zu].type", i);
		struct json_object *disk = json_object_array_get_idx(disks, i);

		if (json_object_is_type(disk, json_type_object) &&
		    !check_dead(json_object_object_get(disk, "type"), name, e))
			return false;
	}
	return !hv || check_dead(json_object_object_get(hv, "disk_type"), "hvparams.disk_type", e);
}

bool hvparams_check(const struct hvparams *hv, int64_t vcpus, struct err **e)
{
	char **extra;

	if (!check_lines(hv, e) || !check_paths(hv, e) || !check_vcpus(hv, vcpus, e) || !check_topology(hv, vcpus, e) ||
	    !check_aliases(hv, e) || !check_capabilities(hv->migration_caps, e) || !vhost_decode(hv, NULL, e))
		return false;
	/* What they say of a disk that says nothing of itself. */
	if (hv->disk_aio == AIO_NATIVE && hv->disk_cache != CACHE_NONE)
		return err_set_param(e, "hvparams.disk_aio", "native needs disk_cache none");
	if (machine_kind(hv->machine_version) == MACHINE_OTHER) {
		err_set(e, ERR_UNSUPPORTED,
			"'hvparams.machine_version': '%s' is neither a PC nor a Q35 machine nor microvm",
			hv->machine_version);
		return err_name_param(e, "hvparams.machine_version");
	}
	if (!pinning_check(hv, vcpus, e) || !processor_check(hv, vcpus, e) || !usb_check(hv, e) ||
	    !display_check(hv, e) || !firmware_check(hv, e) || !media_check(hv, e))
		return false;
	if (!str_empty(hv->initrd_path) && str_empty(hv->kernel_path))
		return err_set_param(e, "hvparams.initrd_path", "needs 'kernel_path'");
	if (hv->security_model == SECURITY_USER && str_empty(hv->security_domain))
		return err_set_param(e, "hvparams.security_domain", "is needed for security_model user");
	if (hv->security_model != SECURITY_USER && !str_empty(hv->security_domain))
		return err_set_param(e, "hvparams.security_domain", "is for security_model user only");
	if ((hv->security_model == SECURITY_USER || hv->security_model == SECURITY_POOL || hv->use_chroot) &&
	    geteuid() != 0) {
		const char *name = hv->use_chroot ? "hvparams.use_chroot" : "hvparams.security_model";

		err_set(e, ERR_PERMISSION_DENIED, "'%s' needs a droverd that is root", name);
		return err_name_param(e, name);
	}
	extra = shell_split(hv->kvm_extra);
	if (!extra)
		return err_set_param(e, "hvparams.kvm_extra", "a quotation is not closed");
	for (char **p = extra; *p; p++)
		free(*p);
	free(extra);
	return true;
}
