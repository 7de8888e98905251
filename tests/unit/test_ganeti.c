/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/ganeti.h"

#include "runtime/definition.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UUID "5f1c2f0e-8a55-4a6e-9f53-0c2b6a1d9e10"
#define DISK0 "932df160-7a22-4067-a566-7e0ca8386133"
#define DISK1 "a32df160-7a22-4067-a566-7e0ca8386134"
#define NIC0 "003fc157-66a8-4e6d-8b7e-ec4f69751396"
#define KVM "/run/ganeti/kvm-hypervisor"

/* As it is written at a start with the defaults. */
#define CMD_HEAD                                                                                                    \
	"'/usr/bin/kvm', '-name', 'web1.example.com,debug-threads=on', '-m', 1024, '-smp', '2', '-pidfile', '" KVM  \
	"/pid/web1.example.com', '-device', 'virtio-balloon', '-daemonize', '-D', '/var/log/ganeti/kvm/web1.log', " \
	"'-machine', 'pc-i440fx-5.2', '-monitor', 'unix:" KVM "/ctrl/web1.example.com.monitor,server,nowait', "     \
	"'-serial', 'unix:" KVM                                                                                     \
	"/ctrl/web1.example.com.serial,server,nowait', '-usb', '-display', 'none', '-uuid', '" UUID "'"
#define CMD "[" CMD_HEAD "]"
#define NIC                                                                \
	"{'mac': 'aa:00:00:35:d5:01', 'uuid': '" NIC0                      \
	"', 'nicparams': {'mode': 'bridged', 'link': 'br0', 'vlan': ''}, " \
	"'hvinfo': {'driver': 'virtio-net-pci', 'id': 'nic-003fc157-66a8-4e6d', 'bus': 'pci.0', 'addr': '0xe'}}"
#define DISK_OF(uuid, id, addr, type, logical, link, uri)                                                             \
	"[{'dev_type': '" type "', 'logical_id': " logical ", 'children': [], 'nodes': [], 'iv_name': 'disk/0', "     \
	"'size': 1024, 'mode': 'rw', 'params': {'access': 'kernelspace'}, 'uuid': '" uuid "', 'serial_no': 1, "       \
	"'hvinfo': {'driver': 'virtio-blk-pci', 'id': '" id "', 'bus': 'pci.0', 'addr': '" addr "'}}, " link ", " uri \
	"]"
#define PLAIN(uuid, id, addr) \
	DISK_OF(uuid, id, addr, "plain", "['xenvg', '9a.disk0_data']", "'/run/ganeti/instance-disks/web1:0'", "null")
#define DISKS "[" PLAIN(DISK0, "disk-932df160-7a22-4067", "0xc") ", " PLAIN(DISK1, "disk-a32df160-7a22-4067", "0xd") "]"
/* More than one of them is no default. */
#define HV                                                                                                        \
	"'acpi': true, 'boot_order': 'disk', 'cpu_mask': 'all', 'disk_aio': 'threads', 'disk_cache': 'default', " \
	"'disk_discard': 'ignore', 'disk_type': 'paravirtual', 'kernel_args': 'ro', 'kernel_path': '', "          \
	"'kvm_flag': 'enabled', 'kvm_path': '/usr/bin/kvm', 'machine_version': '', 'nic_type': 'paravirtual', "   \
	"'root_path': null, 'scsi_controller_type': 'lsi', 'serial_speed': 115200, 'vhost_net': false, "          \
	"'vnc_bind_address': null"

static struct json_object *json(const char *text)
{
	_cleanup_free_ char *copy = xstrdup(text);
	struct json_object *o = NULL;

	for (char *c = copy; *c; c++)
		if (*c == '\'')
			*c = '"';
	ck_assert_msg(json_parse(copy, strlen(copy), &json_limits_request, &o, NULL), "no JSON: %s", text);
	return o;
}

static const struct definition_context nobody = { 0 };

/* The definition that becomes of it, as it is stored; *G is the caller's. */
static struct json_object *become(struct json_object *document, struct ganeti *g, struct err **e)
{
	struct json_object *stored;

	if (!ganeti_parse(document, g, e))
		return NULL;
	stored = definition_store(g->definition, &nobody, e);
	if (!stored)
		ganeti_blame(g, e);
	return stored;
}

static struct json_object *at(struct json_object *o, const char *path)
{
	_cleanup_free_ char *copy = xstrdup(path);
	char *save = NULL;

	for (char *p = strtok_r(copy, ".", &save); p && o; p = strtok_r(NULL, ".", &save))
		o = json_object_is_type(o, json_type_array) ? json_object_array_get_idx(o, strtoul(p, NULL, 10)) :
							      json_object_object_get(o, p);
	return o;
}

/* PATH is what its JSON text, with ', says; NULL: absent. */
struct member {
	const char *path, *value;
};

static void expect(const char *text, const struct member *members, size_t n, const char *warning)
{
	_cleanup_json_ struct json_object *document = json(text), *stored = NULL;
	struct ganeti g = { 0 };
	struct err *e = NULL;
	bool warned = !warning;

	stored = become(document, &g, &e);
	ck_assert_msg(stored, "%s: %s", text, e ? e->desc : "");
	for (size_t i = 0; i < n; i++) {
		_cleanup_json_ struct json_object *wanted = members[i].value ? json(members[i].value) : NULL;
		struct json_object *o = at(stored, members[i].path);

		ck_assert_msg(json_object_equal(o, wanted), "%s: %s of %s", members[i].path,
			      json_object_to_json_string(o), json_object_to_json_string(stored));
	}
	for (size_t i = 0; i < json_object_array_length(g.warnings); i++) {
		struct json_object *o = json_object_array_get_idx(g.warnings, i);
		const char *desc = json_get_str(o, "desc");

		ck_assert_msg(desc && str_starts(json_get_str(o, "parameter"), "document"), "%s",
			      json_object_to_json_string(o));
		warned |= warning && strstr(desc, warning);
	}
	ck_assert_msg(warned, "no '%s' in %s", warning, json_object_to_json_string(g.warnings));
	ganeti_clear(&g);
}

#define EXPECT(text, warning, ...)                                     \
	do {                                                           \
		static const struct member wanted[] = { __VA_ARGS__ }; \
		expect(text, wanted, ARRAY_SIZE(wanted), warning);     \
	} while (0)

START_TEST(of_today)
{
	EXPECT("[" CMD ", [" NIC "], {" HV "}, " DISKS "]", "at the next start", { "name", "'web1.example.com'" },
	       { "uuid", "'" UUID "'" }, { "memory", "1073741824" }, { "vcpus", "2" },
	       { "hvparams.machine_version", "'pc-i440fx-5.2'" }, { "hvparams.kvm_flag", "'enabled'" },
	       { "hvparams.kvm_path", "'/usr/bin/kvm'" }, { "hvparams.serial_speed", "115200" },
	       { "hvparams.vhost_net", "false" }, { "hvparams.scsi_controller_type", "'lsi'" },
	       { "hvparams.use_guest_agent", "false" }, { "hvparams.security_model", "'none'" },
	       { "hvparams.rng", "false" }, { "hvparams.panic_device", "false" }, { "hvparams.acpi", NULL },
	       { "hvparams.kernel_path", NULL }, { "hvparams.root_path", NULL }, { "hvparams.vnc_bind_address", NULL },
	       { "disks.0.path", "'/dev/xenvg/9a.disk0_data'" }, { "disks.0.hvinfo.addr", "'0xc'" },
	       { "disks.0.hvinfo.id", "'disk-932df160-7a22-4067'" }, { "disks.1.hvinfo.addr", "'0xd'" },
	       { "disks.0.name", "'disk0'" }, { "nics.0.mode", "'bridged'" }, { "nics.0.link", "'br0'" },
	       { "nics.0.hvinfo.addr", "'0xe'" }, { "nics.0.mac", "'aa:00:00:35:d5:01'" });
}
END_TEST

/* What a file of an older version lacks has Ganeti's default, which is not ours. */
START_TEST(defaults)
{
	EXPECT("[" CMD ", [], {}, []]", NULL, { "hvparams.kernel_path", "'/boot/vmlinuz-3-kvmU'" },
	       { "hvparams.root_path", "'/dev/vda1'" }, { "hvparams.kvm_path", "'/usr/bin/kvm'" },
	       { "hvparams.vhost_net", "true" }, { "hvparams.use_guest_agent", "false" },
	       { "hvparams.scsi_controller_type", "'lsi'" }, { "hvparams.security_model", "'none'" });
	EXPECT("[" CMD ", [], {'hyper_drive': 1}, []]", "'document[2].hyper_drive': is not known",
	       { "hvparams.hyper_drive", NULL });
}
END_TEST

/* Each rule holds without a display as well. */
START_TEST(upgrades)
{
#define OLD(more) "[[" CMD_HEAD ", " more "], [], {'kernel_path': ''}, []]"
	EXPECT(OLD("'-localtime'"), NULL, { "hvparams.use_localtime", "true" });
	EXPECT(OLD("'-rtc', 'base=localtime'"), NULL, { "hvparams.use_localtime", "true" });
	EXPECT(OLD("'-balloon', 'virtio', '-chroot', '/run/x'"), NULL, { "hvparams.use_chroot", NULL });
#define SHOWN(more) "[[" CMD_HEAD ", '-vnc', '127.0.0.1:10," more "'], [], {'vnc_bind_address': '127.0.0.1'}, []]"
	EXPECT(SHOWN("tls"), "the port of the display", { "hvparams.vnc_tls", "true" },
	       { "hvparams.vnc_x509_path", NULL });
	EXPECT(SHOWN("tls,x509=/etc/x"), NULL, { "hvparams.vnc_x509_path", "'/etc/x'" },
	       { "hvparams.vnc_x509_verify", NULL });
	EXPECT(SHOWN("tls,x509verify=/etc/x"), NULL, { "hvparams.vnc_x509_path", "'/etc/x'" },
	       { "hvparams.vnc_x509_verify", "true" });
	EXPECT("[" CMD ", [], {'disk_discard': 'default'}, []]", NULL, { "hvparams.disk_discard", NULL });
	EXPECT("[" CMD ", [], {'disk_discard': 'unmap'}, []]", NULL, { "hvparams.disk_discard", "'unmap'" });
	/* kvm_extra's come last, and count. */
	EXPECT(OLD("'-m', '2G,slots=2,maxmem=4G', '-smp', 'cpus=4,cores=4'"), NULL, { "memory", "2147483648" },
	       { "vcpus", "4" });
	EXPECT("[" CMD ", [{'mac': 'aa:00:00:35:d5:01', 'nicparams': {'mode': 'bridged', 'link': 'br0'}, 'uuid': '" NIC0
	       "', 'pci': 13, 'ip': '192.0.2.1'}], {}, []]",
	       "'document[1][0].ip': is not kept", { "nics.0.hvinfo.id", "'hotnic-003fc157-pci-13'" },
	       { "nics.0.hvinfo.addr", "'0xd'" }, { "nics.0.ip", NULL });
	EXPECT("[" CMD ", [], {}, [[{'dev_type': 'drbd8', 'logical_id': ['a', 'b', 1, 2, 3], 'uuid': '" DISK0
	       "', 'pci': 12}, '/run/l:0', null]]]",
	       "'document[3][0][1]': /run/l:0", { "disks.0.hvinfo.id", "'hotdisk-932df160-pci-12'" },
	       { "disks.0.path", "'/run/l:0'" });
}
END_TEST

/* Slots that are the machine's own here: the process has them, the definition has not. */
START_TEST(low_slots)
{
#define LOW_NIC \
	"{'mac': 'aa:00:00:35:d5:01', 'nicparams': {'mode': 'bridged', 'link': 'br0'}, 'uuid': '" NIC0 "', 'pci': 5}"
	static const char text[] = "[" CMD ", [" LOW_NIC "], {}, [" PLAIN(
		DISK0, "disk-932df160-7a22-4067", "0xa") ", " PLAIN(DISK1, "disk-a32df160-7a22-4067", "0xb") "]]";
	_cleanup_json_ struct json_object *document = json(text), *stored = NULL, *runs = NULL, *again = NULL;
	struct ganeti g;

	EXPECT(text, "'document[1][0].hvinfo.addr': 0x5", { "nics.0.hvinfo.id", "'hotnic-003fc157-pci-5'" },
	       { "nics.0.hvinfo.addr", "'0xd'" }, { "disks.0.hvinfo.id", "'disk-932df160-7a22-4067'" },
	       { "disks.0.hvinfo.addr", "'0xc'" }, { "disks.1.hvinfo.addr", "'0xb'" });
	stored = become(document, &g, NULL);
	ck_assert_ptr_nonnull(stored);
	runs = ganeti_running(&g, stored);
	ck_assert_str_eq(json_object_get_string(at(runs, "nics.0.hvinfo.addr")), "0x5");
	ck_assert_str_eq(json_object_get_string(at(runs, "nics.0.hvinfo.id")), "hotnic-003fc157-pci-5");
	ck_assert_str_eq(json_object_get_string(at(runs, "disks.0.hvinfo.addr")), "0xa");
	ck_assert_str_eq(json_object_get_string(at(runs, "disks.1.hvinfo.addr")), "0xb");
	ck_assert_str_eq(json_object_get_string(at(stored, "nics.0.hvinfo.addr")), "0xd");
	ganeti_clear(&g);
	again = definition_store(stored, &(struct definition_context){ .old = stored, .running = runs }, NULL);
	ck_assert(json_object_equal(again, stored));
	/* IDE disks never were in the slot that is written down. */
	EXPECT("[" CMD ", [], {'disk_type': 'ide'}, [" PLAIN(DISK0, "disk-932df160-7a22-4067", "0x5") "]]", NULL,
	       { "disks.0.hvinfo.bus", "'ide.0'" });
}
END_TEST

START_TEST(three_elements)
{
	EXPECT("[[" CMD_HEAD ", '-drive', 'file=/dev/vg/a,,b,format=raw,if=virtio', '-drive', "
	       "'file=/srv/x.iso,media=cdrom', '-drive', 'file=/dev/vg/c,format=raw,if=virtio'], [" NIC "], {}]",
	       "2 were found", { "disks.0.path", "'/dev/vg/a,b'" }, { "disks.1.path", "'/dev/vg/c'" },
	       { "disks.2", NULL }, { "disks.0.hvinfo.bus", "'pci.0'" });
}
END_TEST

START_TEST(storage)
{
#define WITH(hv, disk) "[" CMD ", [], {'kernel_path': '', " hv "}, [" disk "]]"
#define VIRTIO(type, logical, link, uri) DISK_OF(DISK0, "disk-932df160-7a22-4067", "0xc", type, logical, link, uri)
	EXPECT(WITH("'disk_cache': 'default'",
		    VIRTIO("gluster", "['glusterfs', 'h', 24007, 'v', 'd']", "null", "'gluster://h:24007/v/d'")),
	       NULL, { "disks.0.uri", "'gluster://h:24007/v/d'" }, { "disks.0.path", NULL },
	       { "disks.0.cache", "'none'" });
	EXPECT(WITH("'disk_cache': 'none'", VIRTIO("sharedfile", "['loop', '/srv/d']", "'/run/l'", "null")), NULL,
	       { "disks.0.path", "'/srv/d'" }, { "disks.0.cache", NULL });
	EXPECT(WITH("'disk_cache': 'none'", VIRTIO("rbd", "['rbd', 'img']", "null", "'rbd:my-pool/img:id=admin'")),
	       NULL, { "disks.0.uri", "'rbd:my-pool/img:id=admin'" });
	EXPECT(WITH("'disk_cache': 'none'", VIRTIO("ext", "['p', 'x']", "null", "'kvm:rbd:p/i'")), NULL,
	       { "disks.0.uri", "'rbd:p/i'" });
	/* Ganeti notes a slot of the PCI bus for it, where it never was. */
	EXPECT(WITH("'disk_type': 'ide'", "[{'dev_type': 'file', 'logical_id': ['loop', '/a'], 'uuid': '" DISK0
					  "', 'hvinfo': {'driver': 'ide', 'id': 'disk-932df160-7a22-4067', 'bus': "
					  "'pci.0', 'addr': '0xc'}}, '/l', "
					  "null]"),
	       NULL, { "disks.0.hvinfo.bus", "'ide.0'" }, { "disks.0.hvinfo.unit", "0" },
	       { "disks.0.hvinfo.driver", "'ide-hd'" });
	EXPECT(WITH("'disk_type': 'scsi-hd'", "[{'dev_type': 'file', 'logical_id': ['loop', '/a'], 'uuid': '" DISK0
					      "', 'hvinfo': {'driver': 'scsi-hd', 'id': 'disk-932df160-7a22-4067', "
					      "'bus': 'scsi.0', 'channel': 0, "
					      "'scsi-id': 5, 'lun': 0}}, '/l', null]"),
	       NULL, { "disks.0.hvinfo.scsi-id", "5" });
}
END_TEST

/* What Ganeti starts does not have to be refused, whatever drover's own rules are. */
START_TEST(looser)
{
#define HVP(hv) "[" CMD ", [], {'kernel_path': '', " hv "}, []]"
	EXPECT(HVP("'vnc_bind_address': '0.0.0.0'"), "'document[2].vnc_bind_address': 0.0.0.0",
	       { "hvparams.vnc_bind_address", "'0.0.0.0'" }, { "hvparams.display_without_password", "true" });
	EXPECT(HVP("'vnc_bind_address': '::', 'vnc_password_file': '/etc/p'"), NULL,
	       { "hvparams.display_without_password", NULL });
	EXPECT(HVP("'vnc_bind_address': '127.0.0.1'"), NULL, { "hvparams.display_without_password", NULL });
	EXPECT(HVP("'spice_bind': '0.0.0.0'"), "'document[2].spice_bind': 0.0.0.0",
	       { "hvparams.display_without_password", "true" });
	EXPECT(HVP("'initrd_path': '/boot/initrd'"), "'document[2].initrd_path': means nothing without 'kernel_path'",
	       { "hvparams.initrd_path", NULL });
	EXPECT(HVP("'vnc_x509_path': '/etc/x', 'vnc_x509_verify': true, 'vnc_bind_address': '127.0.0.1'"),
	       "'document[2].vnc_x509_path': means nothing without 'vnc_tls'", { "hvparams.vnc_x509_path", NULL },
	       { "hvparams.vnc_x509_verify", NULL });
	EXPECT(HVP("'vnc_x509_verify': true, 'vnc_tls': true"),
	       "'document[2].vnc_x509_verify': means nothing without 'vnc_x509_path'",
	       { "hvparams.vnc_x509_verify", NULL }, { "hvparams.vnc_tls", "true" });
	EXPECT("[['kvm', '-name', 'a', '-machine', 'pc-i440fx-2.8,accel=kvm'], [], {}, []]", NULL,
	       { "hvparams.machine_version", "'pc-i440fx-2.8'" });
	EXPECT("[['kvm', '-name', 'a', '-machine', 'pc-i440fx-2.8,usb=off'], [], {}, []]",
	       "'document[0][4]': 'usb=off' is left out", { "hvparams.machine_version", "'pc-i440fx-2.8'" });
	EXPECT("[['kvm', '-name', 'a', '-m', 128], [], {'machine_version': 'pc-i440fx-2.8,usb=off'}, []]",
	       "'document[2].machine_version': 'usb=off' is left out",
	       { "hvparams.machine_version", "'pc-i440fx-2.8'" });
	EXPECT(HVP("'cpu_mask': '0-1:2', 'soundhw': 'hda', 'usb_mouse': 'tablet', 'mem_path': '/dev/hugepages', "
		   "'cdrom_image_path': '/srv/x.iso', 'boot_order': 'cdrom'"),
	       NULL, { "hvparams.cpu_mask", "'0-1:2'" }, { "hvparams.soundhw", "'hda'" },
	       { "disks.0.name", "'cdrom1'" }, { "disks.0.path", "'/srv/x.iso'" });
}
END_TEST

/* What Ganeti ignores, and drover would refuse. */
START_TEST(contradictions)
{
	EXPECT(HVP("'boot_order': 'floppy'"), "'document[2].boot_order': there is nothing",
	       { "hvparams.boot_order", NULL });
	EXPECT(HVP("'boot_order': 'floppy', 'floppy_image_path': '/f'"), NULL, { "hvparams.boot_order", "'floppy'" });
	EXPECT(HVP("'boot_order': 'network'"), "'document[2].boot_order': there is nothing",
	       { "hvparams.boot_order", NULL });
	EXPECT("[" CMD ", [" NIC "], {'kernel_path': '', 'boot_order': 'network'}, []]", NULL,
	       { "hvparams.boot_order", "'network'" });
	EXPECT(HVP("'mem_path': '/dev/hugepages', 'use_chroot': true"), "'document[2].mem_path': does not go with",
	       { "hvparams.mem_path", NULL }, { "hvparams.use_chroot", "true" });
	EXPECT(HVP("'cpu_type': 'host,-x2apic', 'kvm_flag': 'disabled'"),
	       "'document[2].kvm_flag': 'disabled' is left out", { "hvparams.kvm_flag", NULL },
	       { "hvparams.cpu_type", "'host,-x2apic'" });
	EXPECT(HVP("'soundhw': 'ac97,hda'"), "'document[2].soundhw': names several", { "hvparams.soundhw", NULL });
	EXPECT(HVP("'soundhw': 'all'"), "'document[2].soundhw': names several", { "hvparams.soundhw", NULL });
	EXPECT(HVP("'migration_downtime': 2000001"), "'document[2].migration_downtime': becomes 2000000",
	       { "hvparams.migration_downtime", "2000000" });
}
END_TEST

/* What is there where nothing is said. */
START_TEST(unsaid)
{
#define WITH_CD(hv) HVP("'cdrom_image_path': '/srv/x.iso', " hv)
	EXPECT(WITH_CD("'disk_type': 'paravirtual'"), NULL, { "hvparams.cdrom_disk_type", "'paravirtual'" },
	       { "disks.0.hvinfo.driver", "'virtio-blk-pci'" });
	EXPECT(WITH_CD("'cdrom_disk_type': 'ide'"), NULL, { "disks.0.hvinfo.driver", "'ide-cd'" });
	EXPECT(WITH_CD("'disk_type': 'ide'"), NULL, { "disks.0.hvinfo.driver", "'ide-cd'" });
	EXPECT(WITH_CD("'disk_type': 'scsi-hd'"), "'document[2].cdrom_disk_type': there are no CD-ROMs",
	       { "disks.0.hvinfo.driver", "'scsi-cd'" });
	EXPECT(HVP("'acpi': true"), NULL, { "hvparams.cdrom_disk_type", NULL }, { "hvparams.vga", "'std'" });
	EXPECT(HVP("'vga': 'cirrus'"), NULL, { "hvparams.vga", "'cirrus'" });
	EXPECT(HVP("'spice_bind': '127.0.0.1'"), NULL, { "hvparams.vga", NULL });
	EXPECT(HVP("'vnc_bind_address': '127.0.0.1'"), NULL, { "hvparams.vga", NULL });
	EXPECT("[[" CMD_HEAD ", '-nodefaults'], [], {'kernel_path': ''}, []]", NULL, { "hvparams.vga", NULL });
}
END_TEST

/* ---- what is refused, by its place ---- */

static const struct {
	const char *text, *class, *place;
} refusals[] = {
	{ "{}", "InvalidParameter", "document" },
	{ "[" CMD ", []]", "InvalidParameter", "document" },
	{ "[" CMD ", {}, {}, []]", "InvalidParameter", "document[1]" },
	{ "[{}, [], {}, []]", "InvalidParameter", "document[0]" },
	{ "[['kvm', '-m', 1.5], [], {}, []]", "InvalidParameter", "document[0][2]" },
	{ "[['kvm', '-m', '1'], [], {}, []]", "InvalidParameter", "document[0]" },
	{ "[['kvm', '-name', '../x', '-m', 1], [], {}, []]", "InvalidParameter", "document[0][2]" },
	{ "[['kvm', '-name', 'a', '-m', 'lots'], [], {}, []]", "InvalidParameter", "document[0][4]" },
	{ "[['kvm', '-name', 'a', '-m', '0'], [], {}, []]", "InvalidParameter", "document[0][4]" },
	{ "[['kvm', '-name', 'a', '-smp', '0'], [], {}, []]", "InvalidParameter", "document[0][4]" },
	{ "[['kvm', '-name', 'a', '-uuid', 'x'], [], {}, []]", "InvalidParameter", "document[0][4]" },
	{ "[['kvm', '-name', 'a', '-machine', 'isapc'], [], {}, []]", "Unsupported", "document[0][4]" },
	{ "[" CMD ", [], {'disk_type': 'mtd'}, []]", "InvalidParameter", "document[2].disk_type" },
	{ "[" CMD ", [], {'acpi': 'yes'}, []]", "InvalidParameter", "document[2].acpi" },
	{ "[" CMD ", [], {'serial_speed': 1}, []]", "InvalidParameter", "document[2].serial_speed" },
	{ "[" CMD ", [1], {}, []]", "InvalidParameter", "document[1][0]" },
	{ "[" CMD ", [{'mac': 'aa:00:00:35:d5:01', 'nicparams': {'mode': 'routed', 'link': '7'}}], {}, []]",
	  "Unsupported", "document[1][0].nicparams.mode" },
	{ "[" CMD ", [{'mac': 'zz', 'nicparams': {'mode': 'bridged', 'link': 'br0'}}], {}, []]", "InvalidParameter",
	  "document[1][0].mac" },
	{ "[" CMD
	  ", [{'mac': 'aa:00:00:35:d5:01', 'nicparams': {'mode': 'bridged', 'link': 'br0'}, 'pci': 40}], {}, []]",
	  "InvalidParameter", "document[1][0].pci" },
	{ "[" CMD ", [], {}, [[{'uuid': 'x'}, '/a', null]]]", "InvalidParameter", "document[3][0][0].uuid" },
	{ "[" CMD ", [], {}, [[{'uuid': '" DISK0 "', 'mode': 'x'}, '/a', null]]]", "InvalidParameter",
	  "document[3][0][0].mode" },
	{ "[" CMD ", [], {}, [[{'uuid': '" DISK0 "'}, null, null]]]", "InvalidParameter", "document[3][0][1]" },
	{ "[" CMD ", [], {}, [[{'uuid': '" DISK0 "'}, 'a', null]]]", "InvalidParameter", "document[3][0][1]" },
	{ "[" CMD ", [], {}, [[{'uuid': '" DISK0 "'}, null, 'ftp://x']]]", "InvalidParameter", "document[3][0][2]" },
	{ "[" CMD ", [], {}, [[{'uuid': '" DISK0 "'}, '/a']]]", "InvalidParameter", "document[3][0]" },
	{ "[" CMD ", [], {}, [" PLAIN(DISK0, "disk-x", "0xc") "]]", "InvalidParameter", "document[3][0][0].hvinfo.id" },
	{ "[" CMD ", [], {}, [" PLAIN(DISK0, "disk-932df160-7a22-4067", "0x24") "]]", "InvalidParameter",
	  "document[3][0][0].hvinfo.addr" },
	{ "[" CMD ", [" NIC "], {}, [" PLAIN(DISK0, "disk-932df160-7a22-4067", "0xe") "]]", "InvalidParameter",
	  "document[1][0].hvinfo.addr" },
	/* an id of that time names its own uuid and slot */
	{ "[" CMD ", [], {}, [" PLAIN(DISK0, "hotdisk-932df160-pci-13", "0xc") "]]", "InvalidParameter",
	  "document[3][0][0].hvinfo.id" },
	{ "[" CMD ", [], {}, [" PLAIN(DISK0, "hotdisk-a32df160-pci-12", "0xc") "]]", "InvalidParameter",
	  "document[3][0][0].hvinfo.id" },
	{ "[" CMD ", [], {}, [" PLAIN(DISK0, "hotdisk-a32df160-pci-5", "0x5") "]]", "InvalidParameter",
	  "document[3][0][0].hvinfo.id" },
	{ "[" CMD ", [], {}, [" PLAIN(DISK0, "hotdisk-932df160-pci-5", "0x5") ", " PLAIN(
		  "932df160-0000-4067-a566-7e0ca8386133", "hotdisk-932df160-pci-5", "0x6") "]]",
	  "InvalidParameter", "document[3][1][0].hvinfo.id" },
};

START_TEST(refused)
{
	_cleanup_json_ struct json_object *document = json(refusals[_i].text), *stored = NULL;
	_cleanup_err_ struct err *e = NULL;
	struct ganeti g = { 0 };

	stored = become(document, &g, &e);
	ck_assert_msg(!stored && e, "%s", refusals[_i].text);
	ck_assert_msg(str_eq(json_get_str(e->extra, "parameter"), refusals[_i].place), "%s: %s", refusals[_i].text,
		      json_object_to_json_string(e->extra));
	ck_assert_str_eq(err_class_info(e->class)->name, refusals[_i].class);
	ck_assert_msg(strstr(e->desc, refusals[_i].place), "%s", e->desc);
	ganeti_clear(&g);
}
END_TEST

/* ---- hostile ---- */

/* Puts in place of each value of O, one after the other, each of these, and has a look. */
static const char *const intruders[] = { "null",        "-1",   "9223372036854775807", "'-name'",
					 "'../../etc'", "[[]]", "{'uuid': 1}" };

static unsigned looks;

static void look(struct json_object *document)
{
	struct ganeti g = { 0 };
	struct err *e = NULL;
	struct json_object *stored = become(document, &g, &e);

	/* either, and an error names a place */
	ck_assert(!stored == !!e);
	if (e && (e->class == ERR_INVALID_PARAMETER || e->class == ERR_UNSUPPORTED))
		ck_assert_msg(str_starts(json_get_str(e->extra, "parameter"), "document"), "%s", e->desc);
	json_object_put(stored);
	err_free(e);
	ganeti_clear(&g);
	looks++;
}

static void mutate(struct json_object *document, struct json_object *o)
{
	size_t n = json_object_is_type(o, json_type_array) ? json_object_array_length(o) : 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *was = json_object_get(json_object_array_get_idx(o, i));

		mutate(document, was);
		for (size_t k = 0; k < ARRAY_SIZE(intruders); k++) {
			json_object_array_put_idx(o, i, json(intruders[k]));
			look(document);
		}
		json_object_array_put_idx(o, i, was);
	}
	if (!json_object_is_type(o, json_type_object))
		return;
	_cleanup_json_ struct json_object *keys = json_object_new_array();
	json_object_object_foreach(o, key, value) {
		(void)value;
		json_object_array_add(keys, json_object_new_string(key));
	}
	for (size_t i = 0; i < json_object_array_length(keys); i++) {
		const char *name = json_object_get_string(json_object_array_get_idx(keys, i));
		struct json_object *was = json_object_get(json_object_object_get(o, name));

		mutate(document, was);
		for (size_t k = 0; k < ARRAY_SIZE(intruders); k++) {
			json_object_object_add(o, name, json(intruders[k]));
			look(document);
		}
		json_object_object_del(o, name);
		look(document);
		json_object_object_add(o, name, was);
	}
}

START_TEST(hostile)
{
	_cleanup_json_ struct json_object *document = json("[" CMD ", [" NIC "], {" HV "}, " DISKS "]");
	_cleanup_json_ struct json_object *before = NULL;

	json_object_deep_copy(document, &before, NULL);
	mutate(document, document);
	ck_assert(json_object_equal(document, before));
	ck_assert_uint_gt(looks, 500);
}
END_TEST

START_TEST(paths)
{
	_cleanup_json_ struct json_object *document = json("[" CMD ", [], {}, []]");
	_cleanup_json_ struct json_object *other = json(
		"[['kvm', '-name', 'a', '-monitor', 'unix:/x/b.monitor,server', "
		"'-pidfile', 'rel'], [], {}, []]");
	struct ganeti g;

	ck_assert(ganeti_parse(document, &g, NULL));
	ck_assert_str_eq(g.pidfile, KVM "/pid/web1.example.com");
	ck_assert_str_eq(g.control, KVM "/ctrl");
	ganeti_clear(&g);
	ck_assert(ganeti_parse(other, &g, NULL));
	ck_assert_ptr_null(g.pidfile);
	ck_assert_ptr_null(g.control);
	ganeti_clear(&g);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("Ganeti's runtime files");
	TCase *tc = tcase_create("ganeti");

	tcase_set_timeout(tc, 120); /* under the sanitizers */
	tcase_add_test(tc, of_today);
	tcase_add_test(tc, defaults);
	tcase_add_test(tc, upgrades);
	tcase_add_test(tc, low_slots);
	tcase_add_test(tc, three_elements);
	tcase_add_test(tc, storage);
	tcase_add_test(tc, looser);
	tcase_add_test(tc, contradictions);
	tcase_add_test(tc, unsaid);
	tcase_add_loop_test(tc, refused, 0, ARRAY_SIZE(refusals));
	tcase_add_test(tc, hostile);
	tcase_add_test(tc, paths);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	SRunner *runner = srunner_create(suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
