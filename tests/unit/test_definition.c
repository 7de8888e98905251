/* SPDX-License-Identifier: BSD-2-Clause */
/* Definitions: what is taken, what is stored of it, and what of it waits for the next start. */
#include "definitions.h"
#include "runtime/meaning.h"

#include <unistd.h>

static char *store(const char *text)
{
	_cleanup_json_ struct json_object *stored = stored_over(text, NULL);

	return json_print(stored);
}

/* ---- decoding ---- */

#define EVERYTHING                                                                                          \
	"{\"name\": \"web1\", \"uuid\": \"" UUID                                                            \
	"\", \"description\": \"the first\", \"metadata\": {\"owner\": \"ops\"}, "                          \
	"\"layout\": 1, \"vcpus\": 4, \"memory\": \"1.5G\", \"disks\": [], \"nics\": [], \"hvparams\": "    \
	"{\"accel\": \"tcg\", \"kvm_path\": \"/opt/qemu\", \"machine_version\": \"q35\", \"kernel_path\": " \
	"\"/boot/vmlinuz\", "                                                                               \
	"\"initrd_path\": \"/boot/initrd\", \"root_path\": \"/dev/vda1\", \"kernel_args\": \"ro quiet\", "  \
	"\"serial_console\": true, \"serial_speed\": 115200}}"

START_TEST(test_defaults)
{
	struct definition def;

	decode("{\"name\": \"web1\"}", &def);
	ck_assert_str_eq(def.name, "web1");
	ck_assert_ptr_null(def.uuid);
	ck_assert_str_eq(def.description, "");
	ck_assert_int_eq(def.layout, 1);
	ck_assert_int_eq(def.vcpus, 1);
	ck_assert_uint_eq(def.memory, 512 << 20);
	ck_assert_int_eq(def.hvparams.accel, ACCEL_AUTO);
	ck_assert_str_eq(def.hvparams.machine_version, "pc");
	ck_assert_str_eq(def.hvparams.kvm_path, "");
	ck_assert_str_eq(def.hvparams.kernel_path, "");
	ck_assert_str_eq(def.hvparams.kernel_args, "ro");
	ck_assert(def.hvparams.serial_console);
	ck_assert_int_eq(def.hvparams.serial_speed, 38400);
	definition_clear(&def);
}
END_TEST

START_TEST(test_everything)
{
	struct definition def;

	decode(EVERYTHING, &def);
	ck_assert_str_eq(def.uuid, UUID);
	ck_assert_str_eq(def.description, "the first");
	ck_assert_str_eq(json_get_str(def.metadata, "owner"), "ops");
	ck_assert_int_eq(def.vcpus, 4);
	ck_assert_uint_eq(def.memory, 1536 << 20);
	ck_assert_int_eq(def.hvparams.accel, ACCEL_TCG);
	ck_assert_str_eq(def.hvparams.root_path, "/dev/vda1");
	ck_assert_int_eq(def.hvparams.serial_speed, 115200);
	definition_clear(&def);
}
END_TEST

static const struct {
	const char *json, *parameter;
} bad[] = {
	{ "{}", "name" },
	{ "{\"name\": null}", "name" },
	{ "{\"name\": \"a/b\"}", "name" },
	{ "{\"name\": \"..\"}", "name" },
	{ "{\"name\": \"\"}", "name" },
	{ "{\"name\": \"" UUID "\"}", "name" },
	{ "{\"name\": 5}", "name" },
	{ "{\"name\": \"a\", \"uuid\": \"none\"}", "uuid" },
	{ "{\"name\": \"a\", \"colour\": \"red\"}", "colour" },
	{ "{\"name\": \"a\", \"metadata\": {\"a\": 1}}", "metadata.a" },
	{ "{\"name\": \"a\", \"layout\": 0}", "layout" },
	{ "{\"name\": \"a\", \"layout\": 2}", "layout" },
	{ "{\"name\": \"a\", \"vcpus\": 0}", "vcpus" },
	{ "{\"name\": \"a\", \"vcpus\": 513}", "vcpus" },
	{ "{\"name\": \"a\", \"vcpus\": 256}", "vcpus" },
	{ "{\"name\": \"a\", \"vcpus\": 256, \"hvparams\": {\"machine_version\": \"pc-i440fx-2.9\"}}", "vcpus" },
	{ "{\"name\": \"a\", \"vcpus\": \"1\"}", "vcpus" },
	{ "{\"name\": \"a\", \"vcpus\": 1.5}", "vcpus" },
	{ "{\"name\": \"a\", \"memory\": 1}", "memory" },
	{ "{\"name\": \"a\", \"memory\": \"1023K\"}", "memory" },
	{ "{\"name\": \"a\", \"memory\": \"lots\"}", "memory" },
	{ "{\"name\": \"a\", \"memory\": -1}", "memory" },
	{ "{\"name\": \"a\", \"hvparams\": []}", "hvparams" },
	{ "{\"name\": \"a\", \"hvparams\": {\"accel\": \"xen\"}}", "hvparams.accel" },
	{ "{\"name\": \"a\", \"hvparams\": {\"kvm_pathh\": \"/x\"}}", "hvparams.kvm_pathh" },
	{ "{\"name\": \"a\", \"hvparams\": {\"kvm_path\": \"qemu\"}}", "hvparams.kvm_path" },
	{ "{\"name\": \"a\", \"hvparams\": {\"kernel_path\": \"./vmlinuz\"}}", "hvparams.kernel_path" },
	{ "{\"name\": \"a\", \"hvparams\": {\"initrd_path\": \"/initrd\"}}", "hvparams.initrd_path" },
	{ "{\"name\": \"a\", \"hvparams\": {\"machine_version\": \"\"}}", "hvparams.machine_version" },
	{ "{\"name\": \"a\", \"hvparams\": {\"machine_version\": \"pc\\n-usb\"}}", "hvparams.machine_version" },
	{ "{\"name\": \"a\", \"hvparams\": {\"serial_console\": 1}}", "hvparams.serial_console" },
	{ "{\"name\": \"a\", \"hvparams\": {\"serial_speed\": 1}}", "hvparams.serial_speed" },
	{ "{\"name\": \"a\", \"hvparams\": {\"machine_version\": \"pc-i440fx-7.2,usb=on\"}}",
	  "hvparams.machine_version" },
	{ "{\"name\": \"a\", \"hvparams\": {\"machine_version\": \"pc-q35-=on\"}}", "hvparams.machine_version" },
	{ "{\"name\": \"a\", \"disks\": [{}]}", "disks[0].path" },
	{ "{\"name\": \"a\", \"nics\": [{\"mac\": \"01:00:00:00:00:01\"}]}", "nics[0].mac" },
};

START_TEST(test_bad)
{
	_cleanup_json_ struct json_object *o = parse(bad[_i].json);
	_cleanup_err_ struct err *e = NULL;
	struct definition def;

	ck_assert_msg(!definition_decode(o, &def, &e), "%s", bad[_i].json);
	ck_assert_int_eq(e->class, ERR_INVALID_PARAMETER);
	ck_assert_str_eq(json_get_str(e->extra, "parameter"), bad[_i].parameter);
	ck_assert_ptr_nonnull(strstr(e->desc, bad[_i].parameter));
	ck_assert(!definition_decode(o, &def, NULL));
	ck_assert_ptr_null(definition_store(o, &(struct definition_context){ 0 }, NULL));
}
END_TEST

/* ---- disks ---- */

#define QCOW2 "'path': '/a', 'format': 'qcow2'"
#define RAW "'path': '/a'"
#define LIMITS(more) "{" RAW ", 'throttle': {" more "}}"
#define UNSUPPORTED "Unsupported "
#define INVALID "InvalidParameter "

static const struct {
	const char *disks, *refusal; /* NULL: taken */
} disks[] = {
	{ "{" RAW "}", NULL },
	{ "{'path': 'a'}", INVALID "disks[0].path" },
	{ "{'path': ''}", INVALID "disks[0].path" },
	{ "{" RAW ", 'uri': 'nbd:localhost'}", INVALID "disks[0].uri" },
	{ "{" RAW ", 'pool': 'a', 'volume': 'b'}", INVALID "disks[0].pool" },
	{ "{'uri': 'nbd:localhost'}", INVALID "disks[0].uri" },
	{ "{'uri': 'nbd://localhost/'}", NULL },
	{ "{'pool': 'a', 'volume': 'b'}", UNSUPPORTED "disks[0].pool" },
	{ "{'media': 'cdrom'}", NULL },
	{ "{'media': 'floppy'}", NULL },
	{ "{'media': 'cdrom', 'type': 'paravirtual'}", INVALID "disks[0].path" },
	{ "{'media': 'cdrom', 'type': 'scsi-block'}", INVALID "disks[0].type" },
	{ "{'media': 'floppy', 'type': 'ide'}", INVALID "disks[0].type" },
	{ "{" RAW ", 'type': 'scsi-cd'}", INVALID "disks[0].type" },
	{ "{" RAW ", 'type': 'ide', 'mode': 'ro'}", INVALID "disks[0].mode" },
	{ "{" QCOW2 ", 'type': 'scsi-block'}", INVALID "disks[0].format" },
	{ "{" RAW ", 'type': 'scsi-generic', 'mode': 'ro'}", INVALID "disks[0].mode" },
	{ "{" RAW ", 'type': 'scsi-generic', 'serial': 'a'}", INVALID "disks[0].serial" },
	{ "{" RAW ", 'type': 'scsi-block', 'throttle': {'bps_read': 1}}", INVALID "disks[0].throttle" },
	{ "{" RAW ", 'type': 'scsi-block', 'throttle': {'group': 'a'}}", INVALID "disks[0].throttle" },
	{ "{" RAW ", 'media': 'floppy', 'serial': 'a'}", INVALID "disks[0].serial" },
	{ "{" RAW ", 'serial': 'a\\tb'}", INVALID "disks[0].serial" },
	{ "{" RAW ", 'serial': '123456789012345678901'}", INVALID "disks[0].serial" },
	{ "{" RAW ", 'aio': 'native'}", INVALID "disks[0].aio" },
	{ "{" RAW ", 'aio': 'native', 'cache': 'none'}", NULL },
	{ "{" RAW ", 'backing': [{'path': '/b'}]}", INVALID "disks[0].backing[0].format" },
	{ "{" QCOW2 ", 'backing': [{'path': '/b'}, {'path': '/c'}]}", INVALID "disks[0].backing[1].format" },
	{ "{" QCOW2 ", 'backing': [{}]}", INVALID "disks[0].backing[0].path" },
	{ "{" QCOW2 ", 'backing': [{'path': '/b', 'uri': 'nbd:c'}]}", INVALID "disks[0].backing[0].uri" },
	{ "{'media': 'cdrom', 'format': 'qcow2', 'backing': [{'path': '/b'}]}", INVALID "disks[0].backing" },
	{ "{" RAW ", 'bootindex': 1}, {" RAW "}, {" RAW ", 'bootindex': 1}", INVALID "disks[2].bootindex" },
	{ "{" RAW ", 'bootindex': 1}, {" RAW ", 'bootindex': 2}", NULL },
	{ "{" RAW ", 'name': 'a'}, {" RAW ", 'name': 'a'}", INVALID "disks[1].name" },
	{ "{" RAW ", 'uuid': '" UUID "'}, {" RAW ", 'uuid': '" UUID "'}", INVALID "disks[1].uuid" },
	{ LIMITS("'bps_total': '10M', 'bps_total_max': '20M', 'bps_total_max_length': 10, 'iops_read': 5"), NULL },
	{ LIMITS("'bps_total_max': 1"), INVALID "disks[0].throttle" },
	{ LIMITS("'bps_total': 2, 'bps_total_max': 1"), INVALID "disks[0].throttle" },
	{ LIMITS("'bps_total': 1, 'bps_total_max_length': 2"), INVALID "disks[0].throttle" },
	{ LIMITS("'bps_total': 1, 'bps_total_max': 1000000000000, 'bps_total_max_length': 1001"),
	  INVALID "disks[0].throttle" },
	{ LIMITS("'bps_total': 1, 'bps_write': 1"), INVALID "disks[0].throttle" },
	{ LIMITS("'iops_total': 1, 'iops_read': 1"), INVALID "disks[0].throttle" },
	{ LIMITS("'iops_size': 512"), INVALID "disks[0].throttle" },
	{ LIMITS("'iops_size': 512, 'bps_read': 1"), INVALID "disks[0].throttle" },
	{ LIMITS("'iops_size': 512, 'iops_read': 1"), NULL },
	{ LIMITS("'group': 'a', 'iops_read': 1") ", " LIMITS("'group': 'b'"), NULL },
	{ LIMITS("'group': 'a', 'iops_read': 1") ", " LIMITS("'group': 'a', 'iops_read': 1"), NULL },
	{ LIMITS("'group': 'a', 'iops_read': 1") ", " LIMITS("'group': 'a'"), INVALID "disks[1].throttle" },
	{ LIMITS("'bps': 1"), INVALID "disks[0].throttle.bps" },
};

START_TEST(test_disks)
{
	_cleanup_free_ char *plain = xasprintf("{'name': 'a', 'disks': [%s]}", disks[_i].disks), *text = quoted(plain);
	_cleanup_free_ char *refusal = NULL;

	if (disks[_i].refusal) {
		refusal = refusal_over(text, NULL);
		ck_assert_msg(str_eq(refusal, disks[_i].refusal), "%s: %s", text, refusal);
	} else {
		json_object_put(stored_over(text, NULL));
	}
}
END_TEST

#define BR "'mode': 'bridged', 'link': 'br0'"

static const struct {
	const char *nics, *refusal; /* NULL: taken */
} nics[] = {
	{ "{}", NULL },
	{ "{'mode': 'user', 'mtu': 1400}", NULL },
	{ "{'mode': 'none'}", NULL },
	{ "{" BR "}", NULL },
	{ "{" BR ", 'queues': 1}", NULL },
	{ "{" BR ", 'queues': 32, 'mtu': 65521}", NULL },
	{ "{" BR ", 'queues': 33}", INVALID "nics[0].queues" },
	{ "{" BR ", 'queues': 0}", INVALID "nics[0].queues" },
	{ "{" BR ", 'mtu': 65522}", INVALID "nics[0].mtu" },
	{ "{" BR ", 'type': 'e1000'}", NULL },
	{ "{" BR ", 'type': 'e1000', 'queues': 1}", INVALID "nics[0].queues" },
	{ "{" BR ", 'type': 'rtl8139', 'mtu': 1400}", INVALID "nics[0].mtu" },
	{ "{'mode': 'bridged'}", INVALID "nics[0].link" },
	{ "{'mode': 'bridged', 'link': ''}", INVALID "nics[0].link" },
	{ "{'mode': 'bridged', 'link': 'a-name-of-15-by'}", NULL },
	{ "{'mode': 'bridged', 'link': 'a-name-of-16-byt'}", INVALID "nics[0].link" },
	{ "{'mode': 'bridged', 'link': '../br0'}", INVALID "nics[0].link" },
	{ "{'mode': 'bridged', 'link': '..'}", INVALID "nics[0].link" },
	{ "{'mode': 'bridged', 'link': '.'}", INVALID "nics[0].link" },
	{ "{'mode': 'bridged', 'link': 'br 0'}", INVALID "nics[0].link" },
	{ "{'mode': 'bridged', 'link': 'br\\n'}", INVALID "nics[0].link" },
	{ "{'mode': 'bridged', 'link': 'br:0'}", INVALID "nics[0].link" },
	{ "{'mode': 'bridged', 'link': 'br%d'}", INVALID "nics[0].link" },
	{ "{'mode': 'bridged', 'link': 'br.0_a-b'}", NULL },
	{ "{" BR ", 'network': 'default'}", INVALID "nics[0].network" },
	{ "{" BR ", 'vlan': '5'}", INVALID "nics[0].vlan" },
	{ "{" BR ", 'ip': '10.0.0.1'}", INVALID "nics[0].ip" },
	{ "{'link': 'br0'}", INVALID "nics[0].link" },
	{ "{'mode': 'none', 'link': 'br0'}", INVALID "nics[0].link" },
	{ "{'mode': 'user', 'queues': 2}", INVALID "nics[0].queues" },
	{ "{'mode': 'routed'}", UNSUPPORTED "nics[0].mode" },
	{ "{'mode': 'network'}", UNSUPPORTED "nics[0].mode" },
	{ "{'mode': 'openvswitch', 'link': 'br0'}", UNSUPPORTED "nics[0].mode" },
	{ "{" BR ", 'mac': '33:33:00:00:00:01'}", INVALID "nics[0].mac" },
	/* Their taps would have one name. */
	{ "{" BR ", 'uuid': '932df160-7a22-4067-a566-7e0ca8386133'}, {'uuid': '932df160-7a22-4068-a566-7e0ca8386133'}, "
	  "{" BR ", 'uuid': '932df160-7a22-4069-a566-7e0ca8386133'}",
	  INVALID "nics[2].uuid" },
	{ "{" BR ", 'uuid': '932df160-7a22-4067-a566-7e0ca8386133'}, {" BR
	  ", 'uuid': '932df160-7a23-4067-a566-7e0ca8386133'}",
	  NULL },
};

START_TEST(test_nics)
{
	_cleanup_free_ char *plain = xasprintf("{'name': 'a', 'nics': [%s]}", nics[_i].nics), *text = quoted(plain);
	_cleanup_free_ char *refusal = NULL;

	if (nics[_i].refusal) {
		refusal = refusal_over(text, NULL);
		ck_assert_msg(str_eq(refusal, nics[_i].refusal), "%s: %s", text, refusal);
	} else {
		json_object_put(stored_over(text, NULL));
	}
}
END_TEST

/* What a drive is where only disks in general are spoken of: one with a tray. */
static const struct {
	const char *general, *driver;
} trays[] = {
	{ "paravirtual", "ide-cd" }, { "ide", "ide-cd" },           { "scsi-hd", "scsi-cd" },
	{ "scsi-block", "scsi-cd" }, { "scsi-generic", "scsi-cd" }, { "scsi-cd", "scsi-cd" },
};

START_TEST(test_trays)
{
	_cleanup_free_ char *plain = xasprintf(
		"{'name': 'a', 'hvparams': {'disk_type': '%s'}, 'disks': [{'media': 'cdrom'}]}", trays[_i].general);
	_cleanup_free_ char *text = quoted(plain);
	struct definition def;

	settle(text, &def);
	ck_assert_str_eq(definition_disk(&def, 0)->hvinfo.driver, trays[_i].driver);
	definition_clear(&def);
}
END_TEST

/* ---- the stored form ---- */

static const struct {
	const char *given, *stored;
} forms[] = {
	/* built-in defaults are not written */
	{ "{\"name\": \"a\", \"uuid\": \"" UUID "\"}", "{\"name\":\"a\",\"uuid\":\"" UUID "\",\"layout\":1}" },
	/* but what was given is, with sizes in bytes */
	{ "{\"uuid\": \"5F1C2F0E-8A55-4A6E-9F53-0C2B6A1D9E10\", \"memory\": \"512M\", \"vcpus\": 1, \"name\": \"a\", "
	  "\"layout\": 1}",
	  "{\"uuid\":\"" UUID "\",\"memory\":536870912,\"vcpus\":1,\"name\":\"a\",\"layout\":1}" },
	{ "{\"name\": \"a\", \"uuid\": \"" UUID "\", \"hvparams\": {}}",
	  "{\"name\":\"a\",\"uuid\":\"" UUID "\",\"hvparams\":{},\"layout\":1}" },
	{ "{\"name\": \"a\", \"uuid\": \"" UUID "\", \"hvparams\": {\"kernel_path\": \"\", \"accel\": \"auto\"}, "
	  "\"metadata\": {\"b\": \"2\", \"a\": \"1\"}, \"disks\": []}",
	  "{\"name\":\"a\",\"uuid\":\"" UUID "\",\"hvparams\":{\"kernel_path\":\"\",\"accel\":\"auto\"},"
	  "\"metadata\":{\"b\":\"2\",\"a\":\"1\"},\"disks\":[],\"layout\":1}" },
};

START_TEST(test_stored)
{
	_cleanup_free_ char *once = store(forms[_i].given), *twice = store(once);

	ck_assert_str_eq(once, forms[_i].stored);
	ck_assert_str_eq(twice, once);
}
END_TEST

START_TEST(test_uuid_is_made)
{
	_cleanup_free_ char *one = store("{\"name\": \"a\"}"), *two = store("{\"name\": \"a\"}");
	_cleanup_json_ struct json_object *o = parse(one);

	ck_assert(param_is_uuid(json_get_str(o, "uuid")));
	ck_assert_str_ne(one, two);
}
END_TEST

/* ---- who is who ---- */

/* uuid's first digits, name and MAC of disks and cards, over the same of an older definition. */
static const struct {
	const char *old, *given, *identities;
} identities[] = {
	{ "'disks': [{'uuid': '" UUID0 "', 'path': '/a'}, {'uuid': '" UUID1 "', 'path': '/b'}]",
	  "'disks': [{'uuid': '" UUID1 "', 'path': '/b'}, {'uuid': '" UUID2 "', 'path': '/c'}, {'uuid': '" UUID0
	  "', 'path': '/a'}]",
	  "932df161 disk1, 932df162 disk2, 932df160 disk0" },
	/* by name where there is no uuid */
	{ "'disks': [{'uuid': '" UUID0 "', 'path': '/a', 'name': 'root'}]", "'disks': [{'path': '/b', 'name': 'root'}]",
	  "932df160 root" },
	{ "'disks': [{'uuid': '" UUID0 "', 'path': '/a'}]", "'disks': [{'path': '/b'}]", "932df160 disk0" },
	{ "'nics': [{'uuid': '" UUID0 "', 'mac': '52:54:00:AA:00:01'}]", "'nics': [{}]",
	  "932df160 nic0 52:54:00:aa:00:01" },
	{ "'nics': [{'uuid': '" UUID0 "', 'mac': '52:54:00:aa:00:01', 'name': 'lan'}]",
	  "'nics': [{'uuid': '" UUID1 "', 'mac': '52:54:00:aa:00:02'}, {'uuid': '" UUID0 "'}]",
	  "932df161 nic0 52:54:00:aa:00:02, 932df160 lan 52:54:00:aa:00:01" },
};

static char *identities_of(struct json_object *stored)
{
	static const char *const lists[] = { "disks", "nics" };
	char *text = xstrdup("");

	for (size_t l = 0; l < ARRAY_SIZE(lists); l++) {
		struct json_object *list = json_get_typed(stored, lists[l], json_type_array);

		for (size_t i = 0; list && i < json_object_array_length(list); i++) {
			struct json_object *o = json_object_array_get_idx(list, i);
			_cleanup_free_ char *old = text;
			const char *mac = json_get_str(o, "mac");

			text = xasprintf("%s%s%.8s %s%s%s", old, *old ? ", " : "", json_get_str(o, "uuid"),
					 json_get_str(o, "name"), mac ? " " : "", mac ? mac : "");
		}
	}
	return text;
}

START_TEST(test_identities)
{
	_cleanup_free_ char *a = xasprintf("{'name': 'a', %s}", identities[_i].old), *before = quoted(a);
	_cleanup_free_ char *b = xasprintf("{'name': 'a', %s}", identities[_i].given), *after = quoted(b), *seen = NULL;
	_cleanup_json_ struct json_object *old = stored_over(before, NULL), *stored = stored_over(after, old);

	seen = identities_of(stored);
	ck_assert_str_eq(seen, identities[_i].identities);
}
END_TEST

/* A disk was given another name; the new one that gets its old name is not taken for it. */
START_TEST(test_renamed)
{
	_cleanup_free_ char *before = quoted("{'name': 'a', 'disks': [{'uuid': '" UUID0 "', 'path': '/a'}]}");
	_cleanup_free_ char *after = quoted("{'name': 'a', 'disks': [{'path': '/b'}, {'uuid': '" UUID0
					    "', 'path': '/a', 'name': 'root'}]}");
	_cleanup_json_ struct json_object *old = stored_over(before, NULL), *stored = stored_over(after, old);
	struct definition def;

	ck_assert(definition_decode(stored, &def, NULL));
	ck_assert_str_eq(definition_disk(&def, 0)->name, "disk0");
	ck_assert_str_ne(definition_disk(&def, 0)->uuid, UUID0);
	ck_assert_str_eq(definition_disk(&def, 1)->uuid, UUID0);
	ck_assert_str_eq(definition_disk(&def, 1)->hvinfo.addr, "0xc");
	definition_clear(&def);
}
END_TEST

/* ---- what waits for the next start ---- */

static const struct {
	const char *running, *wanted, *pending;
} pendings[] = {
	{ "{\"name\": \"a\"}", "{\"name\": \"a\"}", "[]" },
	/* absent is the default */
	{ "{}", "{\"vcpus\": 1, \"memory\": 536870912, \"hvparams\": {\"accel\": \"auto\", \"kernel_args\": \"ro\"}}",
	  "[]" },
	{ "{\"hvparams\": {\"serial_console\": true}, \"memory\": 536870912}", "{\"hvparams\": {}}", "[]" },
	{ "{}", "{\"vcpus\": 2}", "[{\"path\":\"vcpus\",\"from\":1,\"to\":2,\"needs\":\"restart\"}]" },
	{ "{\"vcpus\": 2}", "{}", "[{\"path\":\"vcpus\",\"from\":2,\"to\":1,\"needs\":\"restart\"}]" },
	{ "{\"memory\": 1073741824}", "{}",
	  "[{\"path\":\"memory\",\"from\":1073741824,\"to\":536870912,\"needs\":\"restart\"}]" },
	{ "{\"hvparams\": {\"kernel_path\": \"/a\"}}",
	  "{\"vcpus\": 3, \"hvparams\": {\"kernel_path\": \"/b\", \"serial_speed\": 9600}}",
	  "[{\"path\":\"vcpus\",\"from\":1,\"to\":3,\"needs\":\"restart\"},"
	  "{\"path\":\"hvparams.kernel_path\",\"from\":\"/a\",\"to\":\"/b\",\"needs\":\"restart\"},"
	  "{\"path\":\"hvparams.serial_speed\",\"from\":38400,\"to\":9600,\"needs\":\"restart\"}]" },
	/* in other words */
	{ "{\"hvparams\": {\"accel\": \"tcg\"}}", "{\"hvparams\": {\"kvm_flag\": \"disabled\"}}", "[]" },
	{ "{\"hvparams\": {\"accel\": \"tcg\"}}", "{\"hvparams\": {\"kvm_flag\": \"enabled\"}}",
	  "[{\"path\":\"hvparams.accel\",\"from\":\"tcg\",\"to\":\"auto\",\"needs\":\"restart\"},"
	  "{\"path\":\"hvparams.kvm_flag\",\"from\":\"\",\"to\":\"enabled\",\"needs\":\"restart\"}]" },
	{ "{\"hvparams\": {\"reboot_behavior\": \"exit\"}}", "{\"hvparams\": {\"on_reboot\": \"stop\"}}", "[]" },
	{ "{}", "{\"hvparams\": {\"keymap\": \"de\"}}", "[]" },
	{ "{}", "{\"hvparams\": {\"keymap\": \"de\", \"vnc_bind_address\": \"127.0.0.1\"}}",
	  "[{\"path\":\"hvparams.keymap\",\"from\":\"\",\"to\":\"de\",\"needs\":\"restart\"},"
	  "{\"path\":\"hvparams.vnc_bind_address\",\"from\":\"\",\"to\":\"127.0.0.1\",\"needs\":\"restart\"}]" },
	/* what is no definition any more */
	{ "{\"hvparams\": {\"accel\": 5}}", "{\"hvparams\": {\"kvm_flag\": \"disabled\"}}",
	  "[{\"path\":\"hvparams.accel\",\"from\":5,\"to\":\"auto\",\"needs\":\"restart\"},"
	  "{\"path\":\"hvparams.kvm_flag\",\"from\":\"\",\"to\":\"disabled\",\"needs\":\"restart\"}]" },
	/* what changes at once is no difference; nor what no start uses */
	{ "{}",
	  "{\"hvparams\": {\"migration_bandwidth\": 64, \"migration_caps\": \"xbzrle\", \"migration_downtime\": 9, "
	  "\"migration_mode\": \"non-live\", \"migration_port\": 9000, \"user_shutdown\": true, "
	  "\"display_without_password\": true}}",
	  "[]" },
	{ "{\"description\": \"a\", \"metadata\": {\"a\": \"1\"}}", "{\"description\": \"b\"}", "[]" },
};

START_TEST(test_pending)
{
	_cleanup_json_ struct json_object *running = parse(pendings[_i].running), *wanted = parse(pendings[_i].wanted);
	_cleanup_json_ struct json_object *list = definition_pending(running, wanted);
	_cleanup_free_ char *text = json_print(list);

	ck_assert_str_eq(text, pendings[_i].pending);
}
END_TEST

/* What nobody has said is what droverd does by itself. */
START_TEST(test_pending_security)
{
	_cleanup_json_ struct json_object *none = parse("{}");
	_cleanup_json_ struct json_object *pool = parse("{\"hvparams\": {\"security_model\": \"pool\"}}");
	_cleanup_json_ struct json_object *open = parse("{\"hvparams\": {\"security_model\": \"none\"}}");
	_cleanup_json_ struct json_object *as_root = definition_pending(none, pool),
					  *else_ = definition_pending(none, open);

	ck_assert_int_eq(json_object_array_length(as_root), geteuid() == 0 ? 0 : 1);
	ck_assert_int_eq(json_object_array_length(else_), geteuid() == 0 ? 1 : 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("definition");
	TCase *tc = tcase_create("definition");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_test(tc, test_defaults);
	tcase_add_test(tc, test_everything);
	tcase_add_loop_test(tc, test_bad, 0, ARRAY_SIZE(bad));
	tcase_add_loop_test(tc, test_disks, 0, ARRAY_SIZE(disks));
	tcase_add_loop_test(tc, test_nics, 0, ARRAY_SIZE(nics));
	tcase_add_loop_test(tc, test_trays, 0, ARRAY_SIZE(trays));
	tcase_add_loop_test(tc, test_stored, 0, ARRAY_SIZE(forms));
	tcase_add_test(tc, test_uuid_is_made);
	tcase_add_loop_test(tc, test_identities, 0, ARRAY_SIZE(identities));
	tcase_add_test(tc, test_renamed);
	tcase_add_loop_test(tc, test_pending, 0, ARRAY_SIZE(pendings));
	tcase_add_test(tc, test_pending_security);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
