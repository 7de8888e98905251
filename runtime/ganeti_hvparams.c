/* SPDX-License-Identifier: BSD-2-Clause */
/* The third element of the file, and what of it is in the command. */
#include "runtime/ganeti_private.h"

#include "runtime/hvparams.h"
#include "runtime/warnings.h"

#include <string.h>

/* What Ganeti gives those that it was not told, as JSON. */
static const struct {
	const char *name, *def;
} defaults[] = {
	{ "acpi", "true" },
	{ "boot_order", "\"disk\"" },
	{ "cdrom2_image_path", "\"\"" },
	{ "cdrom_disk_type", "\"\"" },
	{ "cdrom_image_path", "\"\"" },
	{ "cpu_cores", "0" },
	{ "cpu_mask", "\"all\"" },
	{ "cpu_sockets", "0" },
	{ "cpu_threads", "0" },
	{ "cpu_type", "\"\"" },
	{ "disk_aio", "\"threads\"" },
	{ "disk_cache", "\"default\"" },
	{ "disk_discard", "\"ignore\"" },
	{ "disk_type", "\"paravirtual\"" },
	{ "floppy_image_path", "\"\"" },
	{ "initrd_path", "\"\"" },
	{ "kernel_args", "\"ro\"" },
	{ "kernel_path", "\"/boot/vmlinuz-3-kvmU\"" },
	{ "keymap", "\"\"" },
	{ "kvm_extra", "\"\"" },
	{ "kvm_flag", "\"\"" },
	{ "kvm_path", "\"/usr/bin/kvm\"" },
	{ "kvm_pci_reservations", "12" },
	{ "machine_version", "\"\"" },
	{ "mem_path", "\"\"" },
	{ "migration_bandwidth", "32" },
	{ "migration_caps", "\"\"" },
	{ "migration_downtime", "30" },
	{ "migration_mode", "\"live\"" },
	{ "migration_port", "8102" },
	{ "nic_type", "\"paravirtual\"" },
	{ "reboot_behavior", "\"reboot\"" },
	{ "root_path", "\"/dev/vda1\"" },
	{ "scsi_controller_type", "\"lsi\"" },
	{ "security_domain", "\"\"" },
	{ "security_model", "\"none\"" },
	{ "serial_console", "true" },
	{ "serial_speed", "38400" },
	{ "soundhw", "\"\"" },
	{ "spice_bind", "\"\"" },
	{ "spice_image_compression", "\"\"" },
	{ "spice_ip_version", "0" },
	{ "spice_jpeg_wan_compression", "\"\"" },
	{ "spice_password_file", "\"\"" },
	{ "spice_playback_compression", "true" },
	{ "spice_streaming_video", "\"\"" },
	{ "spice_tls_ciphers", "\"HIGH:-DES:-3DES:-EXPORT:-DH\"" },
	{ "spice_use_tls", "false" },
	{ "spice_use_vdagent", "true" },
	{ "spice_zlib_glz_wan_compression", "\"\"" },
	{ "usb_devices", "\"\"" },
	{ "usb_mouse", "\"\"" },
	{ "use_chroot", "false" },
	{ "use_guest_agent", "false" },
	{ "use_localtime", "false" },
	{ "user_shutdown", "false" },
	{ "vga", "\"\"" },
	{ "vhost_net", "true" },
	{ "virtio_net_queues", "1" },
	{ "vnc_bind_address", "\"\"" },
	{ "vnc_password_file", "\"\"" },
	{ "vnc_tls", "false" },
	{ "vnc_x509_path", "\"\"" },
	{ "vnc_x509_verify", "false" },
	{ "vnet_hdr", "true" },
};

/* VALUE of the parameter ROW, unless that is what it is without being said. Consumes VALUE. */
static void put_hvparam(struct json_object *hv, const struct param *row, struct json_object *value)
{
	_cleanup_json_ struct json_object *own = param_default(row);
	bool empty = json_object_is_type(value, json_type_string) && json_object_get_string_len(value) == 0;
	/* Unspecified, where "" is no value of ours. */
	bool nothing = !value || (empty && (row->type != PARAM_TEXT || row->min > 0));

	if (nothing || json_object_equal(value, own))
		json_object_put(value);
	else
		json_add(hv, row->name, value);
}

/* What older versions said in the command only. */
static void upgrade_hvparams(struct json_object *cmd, struct json_object *hv)
{
	size_t vnc = ganeti_find(cmd, "-vnc", false), rtc = ganeti_find(cmd, "-rtc", false);
	_cleanup_free_ char *tls = vnc ? ganeti_member(ganeti_word(cmd, vnc), "tls") : NULL;
	_cleanup_free_ char *x509 = vnc ? ganeti_member(ganeti_word(cmd, vnc), "x509") : NULL;
	_cleanup_free_ char *verify = vnc ? ganeti_member(ganeti_word(cmd, vnc), "x509verify") : NULL;
	bool localtime = rtc && str_eq(ganeti_word(cmd, rtc), "base=localtime");
	const char *dir = verify ? verify : x509, *discard = json_get_str(hv, "disk_discard");

	for (size_t i = 1; i < json_object_array_length(cmd); i++)
		localtime = localtime || str_eq(ganeti_word(cmd, i), "-localtime");
	if (localtime && !json_object_object_get_ex(hv, "use_localtime", NULL))
		json_add_bool(hv, "use_localtime", true);
	if (tls && !json_object_object_get_ex(hv, "vnc_tls", NULL))
		json_add_bool(hv, "vnc_tls", true);
	if (tls && dir && !json_object_object_get_ex(hv, "vnc_x509_path", NULL)) {
		json_add_str(hv, "vnc_x509_path", dir);
		json_add_bool(hv, "vnc_x509_verify", verify != NULL);
	}
	if (discard && !str_eq(discard, "ignore") && !str_eq(discard, "unmap"))
		json_add_str(hv, "disk_discard", "ignore");
}

static void put_machine(struct ganeti *g, struct json_object *hv, const char *value, const char *place)
{
	_cleanup_free_ char *rest = NULL, *machine = ganeti_machine(value, &rest);

	if (machine)
		json_add_str(hv, "machine_version", machine);
	if (rest)
		warnings_add(g->warnings, place, "'%s' is left out; what the guest needs of it goes into 'kvm_extra'",
			     rest);
}

/* The machine that it runs as, whoever chose it. */
static void take_machine(struct ganeti *g, struct json_object *cmd, struct json_object *hv)
{
	size_t at = ganeti_find(cmd, "-machine", false);
	const char *said = json_get_str(hv, "machine_version");
	_cleanup_free_ char *own = said ? xstrdup(said) : NULL, *place = NULL;

	g->at_machine = at ? at : ganeti_find(cmd, "-M", false);
	place = xasprintf("document[0][%zu]", g->at_machine);
	if (g->at_machine) {
		json_object_object_del(hv, "machine_version");
		put_machine(g, hv, ganeti_word(cmd, g->at_machine), place);
	}
	if (own && (!g->at_machine || !json_get_str(hv, "machine_version")))
		put_machine(g, hv, own, "document[2].machine_version");
}

static bool is_known(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++)
		if (str_eq(defaults[i].name, name))
			return true;
	return false;
}

bool ganeti_take_hvparams(struct ganeti *g, struct json_object *cmd, struct json_object *given, struct err **e)
{
	_cleanup_json_ struct json_object *all = NULL;
	struct json_object *hv = json_object_new_object();

	json_add(g->definition, "hvparams", hv);
	json_object_deep_copy(given, &all, NULL);
	upgrade_hvparams(cmd, all);
	json_object_object_foreach(given, key, unused) {
		(void)unused;
		if (strlen(key) > 255)
			return ganeti_bad(e, "has a name that is too long", "[2]");
		if (is_known(key))
			continue;
		_cleanup_free_ char *place = xasprintf("document[2].%s", key);

		warnings_add(g->warnings, place, "is not known, and left out");
	}
	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++) {
		const struct param *row = param_find(hvparam_rows, defaults[i].name);
		struct json_object *value;

		if (json_object_object_get_ex(all, defaults[i].name, &value))
			json_object_get(value);
		else
			json_parse(defaults[i].def, strlen(defaults[i].def), &json_limits_request, &value, NULL);
		put_hvparam(hv, row, value);
	}
	take_machine(g, cmd, hv);
	/* Ganeti's machines have none; what the guest sees does not change by itself. */
	json_add_bool(hv, "rng", false);
	json_add_bool(hv, "panic_device", false);
	return true;
}
