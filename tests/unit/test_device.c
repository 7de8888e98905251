/* SPDX-License-Identifier: BSD-2-Clause */
/* Devices as QEMU is told of them, and as people read it. (What a real QEMU says to all of it: tests/real/test_argv.c.) */
#include "runtime/boot.h"
#include "runtime/device.h"

#include "definitions.h"

#include <stdio.h>

#define A "'uuid': '" UUID0 "'"
#define B "'uuid': '" UUID1 "'"
#define C "'uuid': '" UUID2 "'"

static void settle_plain(const char *members, struct definition *def)
{
	_cleanup_free_ char *plain = xasprintf("{'name': 'a', %s}", members), *text = quoted(plain);

	settle(text, def);
}

/* In the notation for people, with the option in front, one a line. */
static char *print_parts(struct parts *parts)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(f);
	for (size_t i = 0; i < parts->n; i++) {
		_cleanup_free_ char *one = notation(parts->items[i].o, outlet_leader(parts->items[i].outlet));

		fprintf(f, "%s %s\n", outlet_option(parts->items[i].outlet), one);
	}
	ck_assert_int_eq(fclose(f), 0);
	parts_clear(parts);
	return text;
}

/* ---- notation ---- */

static const struct {
	const char *json, *first, *text;
} notations[] = {
	{ "{}", NULL, "" },
	{ "{'driver': 'virtio-blk-pci', 'id': 'a', 'addr': '0xc'}", "driver", "virtio-blk-pci,id=a,addr=0xc" },
	{ "{'id': 'a', 'driver': 'b'}", "driver", "b,id=a" },
	{ "{'id': 'a'}", "driver", "id=a" },
	{ "{'type': 'user', 'id': 'a'}", "type", "user,id=a" },
	{ "{'driver': 'raw', 'node-name': 'a'}", NULL, "driver=raw,node-name=a" },
	{ "{'a': true, 'b': false, 'c': 5, 'd': -1, 'e': 1.5}", NULL, "a=on,b=off,c=5,d=-1,e=1.5" },
	{ "{'a': 'x,y', 'b': ',', 'c': '='}", NULL, "a=x,,y,b=,,,c==" },
	{ "{'driver': 'a,b'}", "driver", "a,,b" },
	{ "{'cache': {'direct': true, 'no-flush': false}, 'a': {'b': {'c': 1}}}", NULL,
	  "cache.direct=on,cache.no-flush=off,a.b.c=1" },
	{ "{'server': [{'host': 'a', 'port': '1'}, {'host': 'b'}], 'list': [1, 'x']}", NULL,
	  "server.0.host=a,server.0.port=1,server.1.host=b,list.0=1,list.1=x" },
	{ "{'backing': null, 'file': 'a'}", NULL, "backing=,file=a" },
	{ "{'a': {}, 'b': []}", NULL, "" },
	{ "{'a': 'tab\\there'}", NULL, "a=tab\there" },
};

START_TEST(test_notation)
{
	_cleanup_free_ char *json = quoted(notations[_i].json), *text = NULL;
	_cleanup_json_ struct json_object *o = parse(json);

	text = notation(o, notations[_i].first);
	ck_assert_str_eq(text, notations[_i].text);
}
END_TEST

START_TEST(test_argv_text)
{
	char *argv[] = { (char[]){ "/usr/bin/qemu" },
			 (char[]){ "-device" },
			 (char[]){ "{\"driver\":\"a\",\"id\":\"b\"}" },
			 (char[]){ "-blockdev" },
			 (char[]){ "{\"driver\":\"raw\",\"file\":\"a,b\"}" },
			 (char[]){ "-netdev" },
			 (char[]){ "{\"type\":\"user\",\"id\":\"n\"}" },
			 (char[]){ "-object" },
			 (char[]){ "{\"qom-type\":\"rng-builtin\",\"id\":\"r\"}" },
			 (char[]){ "-device" },
			 (char[]){ "virtio-gpu" },
			 (char[]){ "-device" },
			 (char[]){ "{broken" },
			 (char[]){ "-append" },
			 (char[]){ "{\"driver\":\"a\"}" },
			 (char[]){ "-device" },
			 NULL };
	static const char *const expected[] = {
		"/usr/bin/qemu", "-device",   "a,id=b",  "-blockdev",        "driver=raw,file=a,,b",
		"-netdev",       "user,id=n", "-object", "rng-builtin,id=r", "-device",
		"virtio-gpu",    "-device",   "{broken", "-append",          "{\"driver\":\"a\"}",
		"-device",       NULL
	};
	char **text = argv_text(argv);

	for (size_t i = 0; expected[i]; i++)
		ck_assert_str_eq(text[i], expected[i]);
	ck_assert_ptr_null(text[ARRAY_SIZE(expected) - 1]);
	argv_free(text);
}
END_TEST

/* ---- files ---- */

static const struct {
	const char *members, *files; /* node what path flags */
} files[] = {
	{ "'disks': []", "" },
	{ "'disks': [{" A ", 'media': 'cdrom'}]", "" },
	{ "'disks': [{" A ", 'path': '/a'}]", "3 " DISK0 ".p0 disks[0].path /a w\n" },
	{ "'disks': [{" A ", 'path': '/a', 'mode': 'ro', 'cache': 'none'}, {" B
	  ", 'path': '/dev/b', 'shareable': true}]",
	  "3 " DISK0 ".p0 disks[0].path /a d\n4 " DISK1 ".p0 disks[1].path /dev/b wsb\n" },
	{ "'disks': [{" A
	  ", 'path': '/a', 'format': 'qcow2', 'cache': 'none', 'backing': [{'path': '/b', 'format': 'qcow2'}, "
	  "{'path': '/dev/c'}]}, {" B ", 'path': '/d', 'media': 'cdrom'}]",
	  "3 " DISK0 ".q1 disks[0].backing[1].path /dev/c db\n4 " DISK0 ".q0 disks[0].backing[0].path /b d\n5 " DISK0
	  ".p0 disks[0].path /a wd\n6 " DISK1 ".p0 disks[1].path /d \n" },
	/* whose header must not name anybody */
	{ "'disks': [{" A ", 'path': '/a', 'format': 'qcow2'}, {" B ", 'path': '/b', 'format': 'qcow2', 'backing': "
	  "[{'path': '/c', 'format': 'qcow2'}]}]",
	  "3 " DISK0 ".p0 disks[0].path /a wl\n4 " DISK1 ".q0 disks[1].backing[0].path /c l\n5 " DISK1
	  ".p0 disks[1].path /b w\n" },
	{ "'disks': [{" A ", 'path': '/dev/sg0', 'type': 'scsi-generic'}]", "3 " DISK0 " disks[0].path /dev/sg0 wb\n" },
};

START_TEST(test_files)
{
	struct definition def;
	struct argv_files list;
	char *text = xstrdup("");

	settle_plain(files[_i].members, &def);
	argv_files_list(&def, &list);
	for (size_t i = 0; i < list.n; i++) {
		const struct argv_file *f = &list.items[i];
		_cleanup_free_ char *old = text;

		text = xasprintf("%s%u %s %s %s %s%s%s%s%s\n", old, f->set, f->node, f->what, f->path,
				 f->write ? "w" : "", f->direct ? "d" : "", f->lone ? "l" : "", f->shareable ? "s" : "",
				 f->block ? "b" : "");
	}
	ck_assert_str_eq(text, files[_i].files);
	free(text);
	argv_files_clear(&list);
	definition_clear(&def);
}
END_TEST

/* ---- what a binary lacks ---- */

static bool has_few(const char *type, const char *property, void *data)
{
	static const char *const known[] = { "addr", "drive", "serial", "mac", "netdev", "share-rw" };
	const char *lacking = data;

	ck_assert_ptr_nonnull(type);
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (str_eq(known[i], property))
			return !str_eq(lacking, property);
	return false;
}

START_TEST(test_lacking)
{
	struct argv_env env = { .has = has_few, .data = (void *)"share-rw" };
	struct definition def;
	struct argv_files list;
	struct parts parts = { 0 };
	_cleanup_free_ char *text = NULL;

	settle_plain("'disks': [{" A ", 'path': '/a', 'serial': 's', 'shareable': true}], "
		     "'nics': [{" B ", 'mac': '52:54:00:00:00:01', 'mtu': 1400}]",
		     &def);
	argv_files_list(&def, &list);
	disk_parts(&def, 0, &env, &list, &parts);
	for (size_t i = 0; i + 1 < parts.n; i++)
		json_object_put(parts.items[i].o);
	parts.items[0] = parts.items[parts.n - 1];
	parts.n = 1;
	nic_parts(&def, 0, &env, NULL, NULL, &parts);
	text = print_parts(&parts);
	ck_assert_str_eq(text, "-device virtio-blk-pci,id=" DISK0 ",bus=pci.0,addr=0xc,drive=" DISK0 ",serial=s\n"
			       "-netdev user,id=" NIC1 "\n"
			       "-device virtio-net-pci,id=" NIC1 ",bus=pci.0,addr=0xd,netdev=" NIC1
			       ",mac=52:54:00:00:00:01\n");
	argv_files_clear(&list);
	definition_clear(&def);
}
END_TEST

/* ---- disks ---- */

#define ZERO_LIMITS                                                                                                 \
	"limits.bps-total=0,limits.bps-total-max=0,limits.bps-total-max-length=1,limits.bps-read=0,"                \
	"limits.bps-read-max=0,limits.bps-read-max-length=1,limits.bps-write=0,limits.bps-write-max=0,"             \
	"limits.bps-write-max-length=1,limits.iops-total=0,limits.iops-total-max=0,limits.iops-total-max-length=1," \
	"limits.iops-read=0,limits.iops-read-max=0,limits.iops-read-max-length=1,limits.iops-write=0,"              \
	"limits.iops-write-max=0,limits.iops-write-max-length=1,limits.iops-size=0"
#define COMMON(discard, direct) ",discard=" discard ",cache.direct=" direct ",cache.no-flush=off"

static const struct {
	const char *members, *parts;
} disks[] = {
	{ "'disks': [{" A ", 'path': '/a'}]",
	  "-object throttle-group,id=" DISK0 "," ZERO_LIMITS "\n"
	  "-blockdev driver=file,node-name=" DISK0
	  ".p0" COMMON("ignore", "off") ",filename=/dev/fdset/3,aio=threads,"
					"locking=on,read-only=off,auto-read-only=off\n"
					"-blockdev driver=raw,node-name=" DISK0
					".f0" COMMON("ignore",
						     "off") ",file=" DISK0 ".p0,read-only=off\n"
							    "-blockdev driver=throttle,node-name=" DISK0 COMMON(
								    "ignore",
								    "off") ",throttle-group=" DISK0 ",file=" DISK0
									   ".f0,read-only=off\n"
									   "-device virtio-blk-pci,id=" DISK0
									   ",bus=pci.0,addr=0xc,drive=" DISK0
									   ",bootindex=1,write-cache=on,werror=stop,"
									   "rerror=report\n" },
	/* what is passed through is one node, whatever it is called, and has no limits */
	{ "'disks': [{" A ", 'path': '/a', 'type': 'scsi-block', 'cache': 'none'}]",
	  "-blockdev driver=host_device,node-name=" DISK0 COMMON(
		  "ignore", "on") ",filename=/dev/fdset/3,aio=threads,"
				  "read-only=off,auto-read-only=off\n"
				  "-device scsi-block,id=" DISK0 ",bus=scsi.0,channel=0,scsi-id=0,lun=0,drive=" DISK0
				  ",bootindex=1,werror=stop,"
				  "rerror=report\n" },
	{ "'disks': [{" A ", 'uri': 'iscsi://h/t/1', 'type': 'scsi-generic'}]",
	  "-blockdev driver=iscsi,node-name=" DISK0 COMMON(
		  "ignore", "off") ",transport=tcp,portal=h:3260,target=t,lun=1,read-only=off,auto-read-only=off\n"
				   "-device scsi-generic,id=" DISK0 ",bus=scsi.0,channel=0,scsi-id=0,lun=0,drive=" DISK0
				   ",bootindex=1\n" },
	{ "'disks': [{" A ", 'media': 'cdrom'}]", "-device ide-cd,id=" DISK0 ",bus=ide.0,unit=0,rerror=report\n" },
	{ "'disks': [{" A ", 'media': 'floppy', 'shareable': true}]",
	  "-device floppy,id=" DISK0 ",unit=0,share-rw=on\n" },
	/* nothing becomes unmap where discards are ignored: QEMU would refuse it */
	{ "'disks': [{" A ", 'path': '/dev/a', 'detect_zeroes': 'unmap', 'aio': 'io_uring', 'cache': 'writethrough'}]",
	  "-object throttle-group,id=" DISK0 "," ZERO_LIMITS "\n"
	  "-blockdev driver=host_device,node-name=" DISK0
	  ".p0" COMMON("ignore", "off") ",filename=/dev/fdset/3,"
					"aio=io_uring,read-only=off,auto-read-only=off\n"
					"-blockdev driver=raw,node-name=" DISK0
					".f0" COMMON("ignore",
						     "off") ",file=" DISK0 ".p0,read-only=off\n"
							    "-blockdev driver=throttle,node-name=" DISK0 COMMON(
								    "ignore",
								    "off") ",throttle-group=" DISK0 ",file=" DISK0
									   ".f0,read-only=off,detect-zeroes=on\n"
									   "-device virtio-blk-pci,id=" DISK0
									   ",bus=pci.0,addr=0xc,drive=" DISK0
									   ",bootindex=1,write-cache=off,werror=stop,"
									   "rerror=report\n" },
};

START_TEST(test_disks)
{
	struct definition def;
	struct argv_files list;
	struct parts parts = { 0 };
	_cleanup_free_ char *text = NULL;

	settle_plain(disks[_i].members, &def);
	argv_files_list(&def, &list);
	disk_parts(&def, 0, &(struct argv_env){ 0 }, &list, &parts);
	text = print_parts(&parts);
	ck_assert_str_eq(text, disks[_i].parts);
	argv_files_clear(&list);
	definition_clear(&def);
}
END_TEST

/* A file that comes later has a set of its own; a group is made once, by the first that names it. */
START_TEST(test_plugged)
{
	struct definition def;
	struct argv_files list;
	struct parts parts = { 0 };
	_cleanup_free_ char *first = NULL, *text = NULL;

	settle_plain("'disks': [{" A ", 'path': '/a', 'throttle': {'group': 'g'}}, "
		     "{" B ", 'path': '/b', 'throttle': {'group': 'g'}}]",
		     &def);
	argv_files_list(&def, &list);
	list.items[1].set = 77;
	disk_parts(&def, 0, &(struct argv_env){ 0 }, &list, &parts);
	first = print_parts(&parts);
	disk_parts(&def, 1, &(struct argv_env){ 0 }, &list, &parts);
	text = print_parts(&parts);
	ck_assert(str_starts(first, "-object throttle-group,id=group-g," ZERO_LIMITS "\n"));
	ck_assert(str_starts(text, "-blockdev driver=file,node-name=" DISK1 ".p0,"));
	ck_assert_ptr_nonnull(strstr(text, "filename=/dev/fdset/77,"));
	ck_assert_ptr_nonnull(strstr(text, "throttle-group=group-g,"));
	argv_files_clear(&list);
	definition_clear(&def);
}
END_TEST

/* ---- what is booted ---- */

#define DISKS                                                                                      \
	"'disks': [{" A ", 'media': 'cdrom'}, {" B ", 'path': '/b'}, {" C ", 'media': 'floppy'}, " \
	"{'path': '/c'}, {'media': 'cdrom'}, {'media': 'floppy'}], 'nics': [{}, {}]"

#define ONCE(order) .once = 1 + (order)

static const struct {
	const char *members, *order; /* bootindex of disks and cards, - for none */
	int once;
} boots[] = {
	{ DISKS, "- 1 - - - - - - " },
	{ DISKS ", 'hvparams': {'boot_order': 'disk'}", "- 1 - - - - - - " },
	{ DISKS ", 'hvparams': {'boot_order': 'cdrom'}", "1 - - - - - - - " },
	{ DISKS ", 'hvparams': {'boot_order': 'floppy'}", "- - 1 - - - - - " },
	{ DISKS ", 'hvparams': {'boot_order': 'network'}", "- - - - - - 1 - " },
	/* a kernel is what is booted */
	{ DISKS ", 'hvparams': {'kernel_path': '/k'}", "- - - - - - - - " },
	{ "'disks': [{'path': '/b', 'bootindex': 3}], 'hvparams': {'kernel_path': '/k'}", "- " },
	/* one word of their own, and the order has no say */
	{ "'disks': [{'path': '/b'}, {'path': '/c', 'bootindex': 3}], 'nics': [{}], 'hvparams': {'boot_order': "
	  "'network'}",
	  "- 3 - " },
	{ "'disks': [{'path': '/b', 'bootindex': 7}, {'path': '/c', 'bootindex': 0}]", "7 0 " },
	/* what a parameter names comes before others of its kind, and cdrom2 not at all */
	{ DISKS ", 'hvparams': {'boot_order': 'cdrom', 'cdrom_image_path': '/x', 'cdrom2_image_path': '/y'}",
	  "- - - - - - 1 - - - " },
	{ "'disks': [{'media': 'cdrom'}], 'hvparams': {'boot_order': 'cdrom', 'cdrom2_image_path': '/y'}", "1 - " },
	{ "'disks': [{'media': 'floppy'}], 'hvparams': {'boot_order': 'floppy', 'floppy_image_path': '/x'}", "- 1 " },
	/* for once: in front of what is in front else */
	{ DISKS, "- 1 - - - - - - ", ONCE(BOOT_DISK) },
	{ DISKS, "1 2 - - - - - - ", ONCE(BOOT_CDROM) },
	{ DISKS, "- 2 1 - - - - - ", ONCE(BOOT_FLOPPY) },
	{ DISKS, "- 2 - - - - 1 - ", ONCE(BOOT_NETWORK) },
	{ DISKS ", 'hvparams': {'boot_order': 'network'}", "- 1 - - - - 2 - ", ONCE(BOOT_DISK) },
	{ "'disks': [{'path': '/b', 'bootindex': 2147483647}, {'path': '/c', 'bootindex': 2147483646}, {'media': "
	  "'cdrom'}]",
	  "3 2 1 ", ONCE(BOOT_CDROM) },
	{ "'disks': [{'path': '/b', 'bootindex': 9}, {'path': '/c', 'bootindex': 3}]", "1 2 ", ONCE(BOOT_DISK) },
};

static void print_index(FILE *f, int64_t index)
{
	if (index == PARAM_INT_NONE)
		fputs("- ", f);
	else
		fprintf(f, "%d ", (int)index);
}

START_TEST(test_boot)
{
	struct definition def;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(f);
	settle_plain(boots[_i].members, &def);
	for (size_t i = 0; i < def.disks.n; i++)
		print_index(f, boot_disk_index(&def, boots[_i].once, i));
	for (size_t i = 0; i < def.nics.n; i++)
		print_index(f, boot_nic_index(&def, boots[_i].once, i));
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_str_eq(text, boots[_i].order);
	free(text);
	definition_clear(&def);
}
END_TEST

/* ---- the machine's own ---- */

/* id and place of each. */
static const struct {
	const char *members, *devices;
} machines[] = {
	{ "'nics': []", "balloon 0x3, virtio-serial 0x5, agent -, rng 0x6, pvpanic -" },
	{ "'hvparams': {'watchdog': 'pause'}, 'disks': [{'path': '/a', 'type': 'scsi-hd'}, {'media': 'floppy'}]",
	  "balloon 0x3, scsi 0x4, virtio-serial 0x5, agent -, rng 0x6, watchdog 0x8, pvpanic -" },
	{ "'hvparams': {'rng': false, 'use_guest_agent': false, 'panic_device': false}", "balloon 0x3" },
	{ "'hvparams': {'machine_version': 'q35', 'pcie_root_ports': 2, 'watchdog': 'pause'}, 'disks': [{'media': "
	  "'floppy'}]",
	  "rp0 0x3.0x0, rp1 0x3.0x1, balloon 0x2.0x0, scsi 0x2.0x1, virtio-serial 0x2.0x2, agent -, rng 0x2.0x3, "
	  "watchdog 0x2.0x5, pvpanic -, fdc -" },
	{ "'hvparams': {'machine_version': 'microvm', 'kernel_path': '/k', 'watchdog': 'pause'}, 'disks': [{'media': "
	  "'cdrom'}]",
	  "balloon 0x3, scsi 0x4, virtio-serial 0x5, agent -, rng 0x6, watchdog 0x8, pvpanic -" },
	{ "'hvparams': {'machine_version': 'pc-q35-7.2', 'pcie_root_ports': 9, 'rng': false, 'use_guest_agent': false, "
	  "'panic_device': false}",
	  "rp0 0x3.0x0, rp1 0x3.0x1, rp2 0x3.0x2, rp3 0x3.0x3, rp4 0x3.0x4, rp5 0x3.0x5, rp6 0x3.0x6, rp7 0x3.0x7, "
	  "rp8 0x4.0x0, balloon 0x2.0x0, scsi 0x2.0x1" },
};

START_TEST(test_fixed)
{
	struct definition def;
	struct parts parts = { 0 };
	char *text = xstrdup("");

	settle_plain(machines[_i].members, &def);
	fixed_parts(&def, &(struct argv_env){ 0 }, &parts);
	for (size_t i = 0; i < parts.n; i++) {
		const char *addr = json_get_str(parts.items[i].o, "addr");
		_cleanup_free_ char *old = text;

		if (parts.items[i].outlet == OUTLET_DEVICE)
			text = xasprintf("%s%s%s %s", old, *old ? ", " : "", json_get_str(parts.items[i].o, "id"),
					 addr ? addr : "-");
		else
			text = TAKE_PTR(old);
	}
	ck_assert_str_eq(text, machines[_i].devices);
	free(text);
	parts_clear(&parts);
	definition_clear(&def);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("device");
	TCase *tc = tcase_create("device");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_loop_test(tc, test_notation, 0, ARRAY_SIZE(notations));
	tcase_add_test(tc, test_argv_text);
	tcase_add_loop_test(tc, test_files, 0, ARRAY_SIZE(files));
	tcase_add_test(tc, test_lacking);
	tcase_add_loop_test(tc, test_disks, 0, ARRAY_SIZE(disks));
	tcase_add_test(tc, test_plugged);
	tcase_add_loop_test(tc, test_boot, 0, ARRAY_SIZE(boots));
	tcase_add_loop_test(tc, test_fixed, 0, ARRAY_SIZE(machines));
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
