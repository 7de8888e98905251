/* SPDX-License-Identifier: BSD-2-Clause */
/* Processors, memory, I/O threads, sound, USB: what is refused when it is defined, and what the rest becomes. */
#include "runtime/fit.h"
#include "runtime/iothreads.h"
#include "runtime/memory.h"
#include "runtime/pinning.h"
#include "runtime/processor.h"
#include "runtime/sound.h"
#include "runtime/usb.h"

#include "definitions.h"

/* Decodes and settles what is written with ' for ". */
static void decode_quoted(const char *text, struct definition *def)
{
	_cleanup_free_ char *json = quoted(text);

	settle(json, def);
}

#define DEF(vcpus, hvparams) "{'name': 'a', 'memory': '64M', 'vcpus': " vcpus ", 'hvparams': {" hvparams "}}"

static const char *const taken[] = {
	DEF("1", "'cpu_mask': 'all'"),
	DEF("4", "'cpu_mask': '0'"),
	DEF("4", "'cpu_mask': '0-3,8,1,7-7'"),
	DEF("2", "'cpu_mask': 'all:all'"),
	DEF("3", "'cpu_mask': '0-1:all:5,3'"),
	DEF("1", "'cpu_mask': '8191'"),
	DEF("255", ""),
	DEF("512", "'machine_version': 'q35'"),
	DEF("1", "'cpu_type': 'Skylake-Server,-hle,+x2apic'"),
	DEF("1", "'cpu_type': 'host'"),
	DEF("1", "'kvm_flag': 'enabled', 'cpu_type': 'host'"),
	DEF("1", "'cpu_type': 'qemu64-v1', 'hyperv': true, 'accel': 'tcg'"),
	DEF("1", "'cpu_type': '486'"),
	DEF("2", "'cpu_type': '486', 'machine_version': 'q35'"),
	DEF("1", "'cpu_type': '486,+apic', 'machine_version': 'q35'"),
	DEF("1", "'cpu_type': 'base', 'machine_version': 'q35', 'pcie_root_ports': 0"),
	DEF("2", "'numa_nodes': 2"),
	DEF("3", "'numa_nodes': 2"),
	DEF("8", "'numa_nodes': 4, 'cpu_threads': 2"),
	DEF("1", "'mem_path': '/dev/hugepages', 'mem_lock': true"),
	"{'name': 'a', 'memory': 67117056, 'hvparams': {'mem_path': '/m'}}",
	"{'name': 'a', 'memory': 67109888}",
	DEF("1", "'iothreads': 64"),
	DEF("1", "'usb_devices': 'tablet,mouse,keyboard,wacom-tablet'"),
	DEF("1", "'usb_devices': ' tablet  mouse ,keyboard'"),
	DEF("1", "'usb_mouse': 'tablet', 'usb_devices': 'mouse,mouse,mouse,mouse,mouse,mouse,mouse'"),
	DEF("1", "'soundhw': 'pcspk'"),
};

START_TEST(test_taken)
{
	struct definition def;

	decode_quoted(taken[_i], &def);
	definition_clear(&def);
}
END_TEST

static const struct {
	const char *text, *parameter;
} refusals[] = {
	{ DEF("1", "'accel': 'tcg', 'cpu_type': 'host,-x2apic'"), "cpu_type" },
	{ DEF("1", "'kvm_flag': 'disabled', 'cpu_type': 'host'"), "cpu_type" },
	{ DEF("1", "'cpu_mask': ''"), "cpu_mask" },
	{ DEF("1", "'cpu_mask': '3-1'"), "cpu_mask" },
	{ DEF("1", "'cpu_mask': '1-2-3'"), "cpu_mask" },
	{ DEF("1", "'cpu_mask': '0,'"), "cpu_mask" },
	{ DEF("1", "'cpu_mask': ',0'"), "cpu_mask" },
	{ DEF("1", "'cpu_mask': '0 1'"), "cpu_mask" },
	{ DEF("1", "'cpu_mask': '-1'"), "cpu_mask" },
	{ DEF("1", "'cpu_mask': 'ALL'"), "cpu_mask" },
	{ DEF("1", "'cpu_mask': 'all,0'"), "cpu_mask" },
	{ DEF("1", "'cpu_mask': '8192'"), "cpu_mask" },
	{ DEF("1", "'cpu_mask': '99999999999999999999'"), "cpu_mask" },
	{ DEF("2", "'cpu_mask': '0:'"), "cpu_mask" },
	{ DEF("2", "'cpu_mask': ':0'"), "cpu_mask" },
	{ DEF("1", "'cpu_mask': '0:1'"), "cpu_mask" },
	{ DEF("3", "'cpu_mask': '0:1'"), "cpu_mask" },
	{ DEF("2", "'cpu_mask': '0:1:2'"), "cpu_mask" },
	{ DEF("1", "'cpu_type': 'help'"), "cpu_type" },
	{ DEF("1", "'cpu_type': '?'"), "cpu_type" },
	{ DEF("1", "'cpu_type': ',+ssse3'"), "cpu_type" },
	{ DEF("1", "'cpu_type': 'host,migratable=off', 'accel': 'tcg'"), "cpu_type" },
	{ DEF("1", "'cpu_type': '486', 'machine_version': 'q35'"), "cpu_type" },
	{ DEF("1", "'cpu_type': '486-v1,-fpu', 'machine_version': 'pc-q35-7.2'"), "cpu_type" },
	{ DEF("1", "'cpu_type': 'base', 'machine_version': 'q35'"), "cpu_type" },
	{ "{'name': 'a', 'memory': 67109888, 'hvparams': {'mem_path': '/m'}}", "mem_path" },
	{ "{'name': 'a', 'memory': 67112960, 'hvparams': {'mem_path': '/m'}}", "mem_path" },
	{ DEF("1", "'numa_nodes': 2"), "numa_nodes" },
	{ DEF("3", "'numa_nodes': 3"), "numa_nodes" }, /* of 64 MiB */
	{ DEF("128", "'numa_nodes': 128"), "numa_nodes" },
	{ DEF("4", "'numa_nodes': 4, 'cpu_threads': 2"), "numa_nodes" },
	{ DEF("4", "'numa_nodes': 4, 'cpu_sockets': 2, 'cpu_cores': 1"), "numa_nodes" },
	{ DEF("1", "'mem_path': 'relative'"), "mem_path" },
	{ DEF("1", "'mem_path': '/dev/hugepages', 'use_chroot': true"), "mem_path" },
	{ DEF("1", "'iothreads': 65"), "iothreads" },
	{ DEF("1", "'usb_devices': 'host:1.2'"), "usb_devices" },
	{ DEF("1", "'usb_devices': 'tablet;mouse'"), "usb_devices" },
	{ DEF("1", "'usb_devices': ','"), "usb_devices" },
	{ DEF("1", "'usb_mouse': 'mouse', 'usb_devices': 'mouse mouse mouse mouse mouse mouse mouse mouse'"),
	  "usb_devices" },
	{ DEF("1", "'usb_mouse': 'ball'"), "usb_mouse" },
	{ DEF("1", "'soundhw': 'all'"), "soundhw" },
};

START_TEST(test_refused)
{
	_cleanup_free_ char *wanted = xasprintf("InvalidParameter hvparams.%s", refusals[_i].parameter);
	_cleanup_free_ char *json = quoted(refusals[_i].text), *got = refusal_over(json, NULL);

	ck_assert_str_eq(got, wanted);
}
END_TEST

/* ---- what it becomes ---- */

static void expect_cpus(const char *text, const char *cpus)
{
	_cleanup_free_ char *got = NULL;
	struct definition def;

	decode_quoted(text, &def);
	got = pinning_cpus(&def.hvparams);
	ck_assert_msg(str_eq(got, cpus), "%s: %s", text, got);
	definition_clear(&def);
}

START_TEST(test_process)
{
	expect_cpus(DEF("2", ""), NULL);
	expect_cpus(DEF("2", "'cpu_mask': '0-1,4'"), "0-1,4");
	expect_cpus(DEF("2", "'cpu_mask': '0:1-2'"), "0,1-2");
	expect_cpus(DEF("3", "'cpu_mask': '0:all:2'"), NULL);
}
END_TEST

/* Every vcpu is in one node; threads of a core are together. */
START_TEST(test_nodes)
{
	static const char *const words[] = { "node,nodeid=0,cpus=0-1,memdev=ram0", "node,nodeid=1,cpus=2-3,memdev=ram1",
					     "node,nodeid=2,cpus=4-7,memdev=ram2" };
	struct definition def;

	decode_quoted("{'name': 'a', 'memory': '96M', 'vcpus': 8, 'hvparams': {'numa_nodes': 3, 'cpu_threads': 2}}",
		      &def);
	for (int64_t i = 0; i < 3; i++) {
		_cleanup_free_ char *text = memory_node(&def, i);

		ck_assert_str_eq(text, words[i]);
	}
	definition_clear(&def);
}
END_TEST

#define DISK(n, more) "{'uuid': '932df16" n "-7a22-4067-a566-7e0ca8386133', 'path': '/d" n "'" more "}"

/* The thread of disk I. */
static char *thread_of(const struct definition *def, size_t i, const struct argv_env *env)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	const char *name;

	iothreads_add_to_disk(def, i, env, o);
	name = json_get_str(o, "iothread");
	return xstrdup(name ? name : "none");
}

static void expect_threads(const struct definition *def, const struct argv_env *env, const char *wanted)
{
	_cleanup_free_ char *all = xstrdup("");

	for (size_t i = 0; i < def->disks.n; i++) {
		_cleanup_free_ char *old = all, *one = thread_of(def, i, env);

		all = xasprintf("%s%s%s", old, i ? " " : "", one);
	}
	ck_assert_str_eq(all, wanted);
}

START_TEST(test_threads)
{
	struct argv_env start = { .binary = "" }, runs = { .binary = "", .running = true, .iothreads = 1 },
			none = { .binary = "", .running = true };
	_cleanup_json_ struct json_object *cmd = parse(
		"[\"q\", \"-object\", \"{\\\"qom-type\\\":\\\"iothread\\\",\\\"id\\\":\\\"iothread0\\\"}\", "
		"\"-object\", \"{\\\"qom-type\\\":\\\"rng-builtin\\\",\\\"id\\\":\\\"rng0\\\"}\"]");
	struct definition def;

	decode_quoted("{'name': 'a', 'hvparams': {'iothreads': 2}, 'disks': [" DISK("0", "") ", " DISK(
			      "1", ", 'type': 'ide'") ", " DISK("2", "") ", " DISK("3", "") "]}",
		      &def);
	expect_threads(&def, &start, "iothread0 none iothread1 iothread0");
	expect_threads(&def, &runs, "iothread0 none iothread0 iothread0");
	expect_threads(&def, &none, "none none none none");
	definition_clear(&def);
	ck_assert_uint_eq(iothreads_of(cmd), 1);
	ck_assert_uint_eq(iothreads_of(NULL), 0);
}
END_TEST

/* What is plugged into USB, in order. */
static void expect_usb(const char *hvparams, const char *wanted)
{
	_cleanup_free_ char *text = xasprintf("{'name': 'a', 'hvparams': {%s}}", hvparams), *all = xstrdup("");
	struct argv_env env = { .binary = "" };
	struct parts parts = { 0 };
	struct definition def;

	decode_quoted(text, &def);
	usb_parts(&def, &env, &parts);
	for (size_t i = 0; i < parts.n; i++) {
		_cleanup_free_ char *old = all;

		all = xasprintf("%s%s ", old, json_get_str(parts.items[i].o, "driver"));
	}
	ck_assert_str_eq(all, wanted);
	parts_clear(&parts);
	definition_clear(&def);
}

START_TEST(test_usb)
{
	expect_usb("", "");
	expect_usb("'usb_mouse': 'mouse'", "qemu-xhci usb-mouse ");
	expect_usb("'usb_devices': 'keyboard,tablet'", "qemu-xhci usb-kbd usb-tablet ");
	expect_usb("'usb_mouse': 'tablet', 'usb_devices': 'tablet'", "qemu-xhci usb-tablet usb-tablet ");
	/* VNC's pointer, unless there is one */
	expect_usb("'vnc_bind_address': '127.0.0.1'", "qemu-xhci usb-tablet ");
	expect_usb("'vnc_bind_address': '127.0.0.1', 'usb_mouse': 'mouse'", "qemu-xhci usb-mouse ");
	expect_usb("'vnc_bind_address': '127.0.0.1', 'usb_devices': 'tablet'", "qemu-xhci usb-tablet ");
	expect_usb("'vnc_bind_address': '127.0.0.1', 'usb_devices': 'keyboard'", "qemu-xhci usb-kbd usb-tablet ");
}
END_TEST

static bool lacks(const char *type, const char *property, void *data)
{
	return !str_eq(type, data);
}

START_TEST(test_lacking)
{
	struct argv_env env = { .binary = "/q", .has = lacks };
	struct definition def;
	struct err *e = NULL;

	decode_quoted("{'name': 'a', 'hvparams': {'soundhw': 'hda', 'machine_version': 'q35', 'usb_mouse': 'mouse'}}",
		      &def);
	env.data = (char[]){ "intel-hda" }; /* a PC's */
	ck_assert(sound_fits(&def, &env, &e) && usb_fits(&def, &env, &e));
	env.data = (char[]){ "ich9-intel-hda" };
	ck_assert(!sound_fits(&def, &env, &e));
	ck_assert_int_eq(e->class, ERR_UNSUPPORTED);
	ck_assert_str_eq(json_get_str(e->extra, "parameter"), "hvparams.soundhw");
	e = err_free(e);
	env.data = (char[]){ "qemu-xhci" };
	ck_assert(!usb_fits(&def, &env, &e));
	ck_assert_int_eq(e->class, ERR_UNSUPPORTED);
	e = err_free(e);
	definition_clear(&def);
}
END_TEST

static const struct {
	const char *text, *driver, *parameter; /* NULL: it fits */
} lacking[] = {
	{ DEF("1", "'nic_type': 'e1000'"), "e1000", NULL },
	{ "{'name': 'a', 'hvparams': {'nic_type': 'e1000'}, 'nics': [{}, {'type': 'paravirtual'}]}", "e1000",
	  "hvparams.nic_type" },
	{ "{'name': 'a', 'nics': [{}, {'type': 'rtl8139'}]}", "rtl8139", "nics[1].type" },
	{ "{'name': 'a', 'hvparams': {'disk_type': 'scsi-hd'}, 'disks': [{'path': '/a'}]}", "scsi-hd",
	  "hvparams.disk_type" },
	{ "{'name': 'a', 'disks': [{'path': '/a'}, {'path': '/b', 'type': 'ide'}]}", "ide-hd", "disks[1].type" },
	{ "{'name': 'a', 'hvparams': {'cdrom_image_path': '/a'}}", "ide-cd", "hvparams.cdrom_disk_type" },
	{ "{'name': 'a', 'hvparams': {'scsi_controller_type': 'megasas', 'disk_type': 'scsi-hd'}, 'disks': [{'path': "
	  "'/a'}]}",
	  "megasas", "hvparams.scsi_controller_type" },
	{ "{'name': 'a', 'hvparams': {'scsi_controller_type': 'megasas'}}", "megasas", NULL },
	{ DEF("1", "'watchdog': 'reset'"), "i6300esb", "hvparams.watchdog" },
	{ DEF("1", "'rng': true"), "virtio-rng-pci", "hvparams.rng" },
	{ DEF("1", "'panic_device': true"), "pvpanic", "hvparams.panic_device" },
	{ DEF("1", "'use_guest_agent': true"), "virtserialport", "hvparams.use_guest_agent" },
};

/* The binary lacks a driver of the one or the other. */
START_TEST(test_drivers)
{
	struct argv_env env = { .binary = "/q", .has = lacks, .data = (void *)lacking[_i].driver };
	struct definition def;
	struct err *e = NULL;
	bool fits;

	decode_quoted(lacking[_i].text, &def);
	fits = fit_devices(&def, &env, &e);
	ck_assert_int_eq(fits, lacking[_i].parameter == NULL);
	if (!fits) {
		ck_assert_int_eq(e->class, ERR_UNSUPPORTED);
		ck_assert_str_eq(json_get_str(e->extra, "parameter"), lacking[_i].parameter);
		ck_assert_ptr_nonnull(strstr(e->desc, lacking[_i].driver));
	}
	e = err_free(e);
	definition_clear(&def);
}
END_TEST

/* SPICE hears it. */
START_TEST(test_audiodev)
{
	struct hvparams hv = { .soundhw = SOUND_AC97, .spice_bind = (char[]){ "127.0.0.1" } };
	_cleanup_json_ struct json_object *heard = sound_audiodev(&hv), *unheard = NULL;

	ck_assert_str_eq(json_get_str(heard, "driver"), "spice");
	hv.spice_bind = (char[]){ "" };
	unheard = sound_audiodev(&hv);
	ck_assert_str_eq(json_get_str(unheard, "driver"), "none");
	hv.soundhw = SOUND_NONE;
	ck_assert_ptr_null(sound_audiodev(&hv));
}
END_TEST

START_TEST(test_hyperv)
{
	struct hvparams hv = { .cpu_type = (char[]){ "" } };
	_cleanup_free_ char *tcg = NULL, *kvm = NULL;

	ck_assert_ptr_null(processor_text(&hv, true));
	hv.hyperv = true;
	tcg = processor_text(&hv, false);
	kvm = processor_text(&hv, true);
	ck_assert(str_starts(kvm, "qemu64,hv-relaxed=on,") && str_starts(tcg, "qemu64,hv-relaxed=on,"));
	ck_assert(strstr(kvm, "hv-vpindex=on") && !strstr(tcg, "hv-vpindex"));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("rules of the machine");
	TCase *tc = tcase_create("rules");

	tcase_add_loop_test(tc, test_taken, 0, ARRAY_SIZE(taken));
	tcase_add_loop_test(tc, test_refused, 0, ARRAY_SIZE(refusals));
	tcase_add_test(tc, test_process);
	tcase_add_test(tc, test_nodes);
	tcase_add_test(tc, test_threads);
	tcase_add_test(tc, test_usb);
	tcase_add_test(tc, test_lacking);
	tcase_add_loop_test(tc, test_drivers, 0, ARRAY_SIZE(lacking));
	tcase_add_test(tc, test_audiodev);
	tcase_add_test(tc, test_hyperv);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	SRunner *r = srunner_create(suite());
	int failed;

	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
