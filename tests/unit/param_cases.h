/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hvparams once more, row by row: what a value needs beside it, values where the row does not say them all, and where
 * it is seen that a machine with it starts. A row may have several cases; one without a case fails the tests.
 */
#ifndef DROVER_TESTS_PARAM_CASES_H
#define DROVER_TESTS_PARAM_CASES_H

/* JSON is written with ' for ". */
struct param_case {
	const char *name;
	const char *values;  /* list; NULL: of a bool both, of a choice all, of a number the least and the greatest */
	const char *invalid; /* list, besides what the type refuses */
	const char *with;    /* other members of hvparams that they need */
	const char *disks, *nics; /* NULL: those below */
	bool root;                /* only a droverd that is root may have it */
	const char *seen;         /* which test starts it, where test_params cannot */
};

#define CASE_DISKS "[{'path': '/d'}, {'path': '/c', 'media': 'cdrom'}, {'path': '/f', 'media': 'floppy'}]"
#define CASE_CDROM "[{'path': '/c', 'media': 'cdrom'}]"
#define CASE_NICS "[{'mode': 'user'}]"
#define CASE_TAPS "[{'mode': 'bridged', 'link': 'br0'}]"
#define CASE_KERNEL "'kernel_path': '/boot/vmlinuz'"
#define CASE_VNC "'vnc_bind_address': '127.0.0.1'"
#define CASE_SPICE "'spice_bind': '127.0.0.1'"
#define CASE_Q35 "'machine_version': 'q35'"

#define BY_START "test_guest: the start chooses"
#define BY_DISPLAYS "test_displays"
#define BY_MEDIA "test_real_media"
#define BY_FIRMWARE "test_uefi"
#define BY_MEMORY "test_machine_params"
#define BY_CONFINED "test_confined"
#define BY_ENDS "test_guest_end, test_guest_crash, test_guest_reboot"

static const struct param_case param_cases[] = {
	{ "accel", .seen = BY_START },
	{ "acpi" },
	{ "boot_order", .with = "'cdrom_image_path': ''" },
	{ "cdrom2_image_path", .values = "['', '/c2.iso']", .seen = BY_MEDIA },
	{ "cdrom_disk_type" },
	{ "cdrom_image_path", .values = "['', '/c1.iso']", .seen = BY_MEDIA },
	{ "cpu_cores", .values = "[0, 1, 4]", .invalid = "[3, 512]" },
	{ "cpu_mask", .values = "['all', '0', '0-1,3']", .invalid = "['', 'x', '3-1', '-1', '1,']",
	  .seen = BY_CONFINED },
	{ "cpu_sockets", .values = "[0, 1, 2]" },
	{ "cpu_threads", .values = "[0, 1, 2]" },
	{ "cpu_type", .values = "['', 'qemu64', 'qemu64,+ssse3', 'max']", .invalid = "['a\\nb', '\\u007f']" },
	{ "disk_aio", .with = "'disk_cache': 'none'" },
	{ "disk_cache" },
	{ "disk_detect_zeroes" },
	{ "disk_discard" },
	{ "disk_type", .values = "['paravirtual', 'ide', 'scsi-hd']", .invalid = "['scsi', 'sd', 'mtd', 'pflash']" },
	{ "disk_type", .values = "['scsi-cd']", .disks = CASE_CDROM },
	{ "disk_type", .values = "['scsi-block', 'scsi-generic']", .seen = "none: it needs a SCSI device of the host" },
	{ "display_without_password", .seen = BY_DISPLAYS },
	{ "firmware", .with = CASE_Q35, .seen = BY_FIRMWARE },
	{ "floppy_image_path", .values = "['', '/f1.img']", .disks = CASE_CDROM, .seen = BY_MEDIA },
	{ "hyperv" },
	{ "initrd_path", .values = "['', '/boot/initrd,1']", .with = CASE_KERNEL },
	{ "iothreads" },
	{ "kernel_args", .values = "['', 'ro', 'a b,c=\\\"d\\\"']", .with = CASE_KERNEL },
	{ "kernel_path", .values = "['', '/boot/vmlinuz,1']" },
	{ "keymap", .values = "['', 'de']", .with = CASE_VNC, .seen = BY_DISPLAYS },
	{ "kvm_extra", .values = "['', '-msg timestamp=on']", .invalid = "['\\\"x']" },
	{ "kvm_flag", .seen = BY_START },
	{ "kvm_path", .values = "['', '/usr/bin/qemu-system-x86_64']", .seen = "test_params: the host's part" },
	{ "kvm_pci_reservations", .with = CASE_Q35 },
	{ "machine_version", .values = "['pc', 'q35', 'pc-i440fx-7.2', 'pc-q35-7.2']",
	  .invalid = "['', 'pc,usb=on', 'q35\\n']" },
	{ "mem_lock", .seen = BY_MEMORY },
	{ "mem_path", .values = "['', '/dev/hugepages']", .seen = BY_MEMORY },
	{ "migration_bandwidth" },
	{ "migration_caps", .values = "['', 'xbzrle', 'xbzrle:postcopy-ram']",
	  .invalid = "[':', 'a::b', 'a:', ':a', 'a b', 'XBZRLE', 'a,b']" },
	{ "migration_downtime" },
	{ "migration_mode" },
	{ "migration_port" },
	{ "nic_type" },
	{ "numa_nodes", .values = "[0, 1, 2]" },
	{ "on_crash", .seen = BY_ENDS },
	{ "on_poweroff", .seen = BY_ENDS },
	{ "on_reboot" },
	{ "panic_device" },
	{ "pcie_root_ports", .with = CASE_Q35, .disks = CASE_CDROM, .nics = "[]" },
	{ "reboot_behavior" },
	{ "rng" },
	{ "root_path", .values = "['', '/dev/vda1', 'UUID=5,a']", .with = CASE_KERNEL },
	{ "scsi_controller_type", .with = "'disk_type': 'scsi-hd'" },
	{ "security_domain", .values = "['nobody']", .with = "'security_model': 'user'", .root = true,
	  .seen = BY_CONFINED },
	{ "security_model", .values = "['none']", .seen = BY_CONFINED },
	{ "security_model", .values = "['pool']", .root = true, .seen = BY_CONFINED },
	{ "security_model", .values = "['user']", .with = "'security_domain': 'nobody'", .root = true,
	  .seen = BY_CONFINED },
	{ "serial_console", .with = CASE_KERNEL },
	{ "serial_speed", .values = "[75, 38400, 460800]", .invalid = "[76, 150, 460799]", .with = CASE_KERNEL },
	{ "soundhw", .values = "['', 'ac97', 'adlib', 'cs4231a', 'es1370', 'gus', 'hda', 'pcspk', 'sb16']" },
	{ "soundhw", .values = "['virtio']", .seen = BY_MEMORY },
	{ "spice_bind", .values = "['', '127.0.0.1', '::1', 'lo']", .seen = BY_DISPLAYS },
	{ "spice_image_compression", .with = CASE_SPICE, .seen = BY_DISPLAYS },
	{ "spice_ip_version", .values = "[0, 4, 6]", .with = "'spice_bind': 'lo'", .seen = BY_DISPLAYS },
	{ "spice_jpeg_wan_compression", .with = CASE_SPICE, .seen = BY_DISPLAYS },
	{ "spice_password_file", .values = "['', '/etc/secret']", .with = CASE_SPICE, .seen = BY_DISPLAYS },
	{ "spice_playback_compression", .with = CASE_SPICE, .seen = BY_DISPLAYS },
	{ "spice_streaming_video", .with = CASE_SPICE, .seen = BY_DISPLAYS },
	{ "spice_tls_ciphers", .values = "['HIGH']", .with = CASE_SPICE, .seen = BY_DISPLAYS },
	{ "spice_use_tls", .with = CASE_SPICE, .seen = BY_DISPLAYS },
	{ "spice_use_vdagent", .with = CASE_SPICE, .seen = BY_DISPLAYS },
	{ "spice_zlib_glz_wan_compression", .with = CASE_SPICE, .seen = BY_DISPLAYS },
	{ "tpm", .seen = BY_FIRMWARE },
	{ "usb_devices", .values = "['', 'tablet', 'mouse,keyboard']" },
	{ "usb_mouse" },
	{ "use_chroot", .root = true, .seen = BY_CONFINED },
	{ "use_guest_agent" },
	{ "use_localtime" },
	{ "user_shutdown" },
	{ "vga" },
	{ "vhost_net", .values = "[true, false, 'auto']", .invalid = "['on', 'off', 'AUTO', '', 1, {}]",
	  .seen = "test_vhost" },
	{ "virtio_net_queues", .nics = CASE_TAPS },
	{ "vnc_bind_address", .values = "['', '127.0.0.1', '::1', 'lo', '/run/vnc']", .seen = BY_DISPLAYS },
	{ "vnc_password_file", .values = "['', '/etc/secret']", .with = CASE_VNC, .seen = BY_DISPLAYS },
	{ "vnc_tls", .with = CASE_VNC, .seen = BY_DISPLAYS },
	{ "vnc_x509_path", .values = "['/etc/pki']", .with = CASE_VNC ", 'vnc_tls': true", .seen = BY_DISPLAYS },
	{ "vnc_x509_verify", .with = CASE_VNC ", 'vnc_tls': true, 'vnc_x509_path': '/etc/pki'", .seen = BY_DISPLAYS },
	{ "vnet_hdr", .nics = CASE_TAPS },
	{ "watchdog", .invalid = "['reboot', 'RESET', 'pause,x=y']" },
};

/* The list of values of a case of ROW; the caller's. */
static inline struct json_object *case_values(const struct param_case *c, const struct param *row)
{
	struct json_object *list = json_object_new_array();

	if (c->values) {
		json_object_put(list);
		_cleanup_free_ char *text = quoted(c->values);
		return parse(text);
	}
	for (const char *const *choice = row->type == PARAM_CHOICE ? row->choices : NULL; choice && *choice; choice++)
		json_object_array_add(list, json_object_new_string(*choice));
	if (row->type == PARAM_BOOL) {
		json_object_array_add(list, json_object_new_boolean(false));
		json_object_array_add(list, json_object_new_boolean(true));
	} else if (row->type == PARAM_INT) {
		json_object_array_add(list, json_object_new_int64(row->min));
		json_object_array_add(list, json_object_new_int64(row->max));
	}
	ck_assert_msg(json_object_array_length(list) > 0, "%s: no values", row->name);
	return list;
}

/* A definition of a case without its value: hvparams have what it needs. The caller's. */
static inline struct json_object *case_definition(const struct param_case *c)
{
	_cleanup_free_ char *json = xasprintf("{'name': 'web1', 'vcpus': 4, 'memory': '64M', 'hvparams': {%s}, "
					      "'disks': %s, 'nics': %s}",
					      c->with ? c->with : "", c->disks ? c->disks : CASE_DISKS,
					      c->nics ? c->nics : CASE_NICS);
	_cleanup_free_ char *text = quoted(json);

	return parse(text);
}

#endif
