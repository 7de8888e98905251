/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * UEFI and the TPM, as QEMU and the kernel see them, with guests that are not run: what flash there is and whose, who the
 * TPM is and when it ends, what is kept with the instance, and what of a start that failed is not.
 */
#include "dead_fs.h"
#include "guest.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static struct rig *rig;
static struct client *client;
static struct dead_fs *dead_fs;

static void set_up(void)
{
	rig = rig_new("droverd");
	rig_start(rig);
	client = client_new(rig);
}

static void tear_down(void)
{
	dead_fs = dead_fs_free(dead_fs);
	client_free(client);
	rig_free(rig);
}

static void define(const char *hvparams)
{
	client_define(client, "web1", "'memory': '64M', 'hvparams': {'accel': 'tcg', %s}", hvparams);
}

static pid_t start(void)
{
	json_object_put(client_ok(client, "instance-start", "{'instance': 'web1', 'paused': true}"));
	return guest_pid(client, "web1");
}

static void stop(void)
{
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'web1'}"));
}

static struct json_object *ask(const char *execute, const char *arguments)
{
	return client_ok(client, "instance-qmp", "{'instance': 'web1', 'execute': '%s', 'arguments': {%s}}", execute,
			 arguments);
}

static void expect_property(const char *path, const char *property, const char *expected)
{
	_cleanup_free_ char *arguments = xasprintf("'path': '%s', 'property': '%s'", path, property);
	_cleanup_json_ struct json_object *value = ask("qom-get", arguments);
	_cleanup_free_ char *text = json_print(value);

	ck_assert_msg(str_eq(text, expected), "%s.%s is %s", path, property, text);
}

/* ---- files ---- */

static struct stat stat_of(const char *file)
{
	_cleanup_free_ char *path = xasprintf("%s/lib/instances/web1/%s", rig->root, file);
	struct stat st;

	ck_assert_msg(lstat(path, &st) == 0, "%s: %m", path);
	return st;
}

static bool is_there(const char *file)
{
	_cleanup_free_ char *path = xasprintf("%s/lib/instances/web1/%s", rig->root, file);

	return access(path, F_OK) == 0;
}

/* Of the variables, while nobody has them: a sector that no firmware looks at. */
static void nvram_io(const char *name, const char *command)
{
	host_run("qemu-io -f qcow2 -c '%s -P 0x5a 540160 512' '%s/lib/instances/%s/uefi/nvram.qcow2' | grep -q "
		 "'512/512'",
		 command, rig->root, name);
}

/* ---- swtpm ---- */

/* The only other child of QEMU's keeper. */
static pid_t tpm_of(pid_t qemu)
{
	_cleanup_free_ char *parent = process_field(qemu, "status", "PPid");
	_cleanup_free_ char *file = xasprintf("/proc/%s/task/%s/children", parent, parent);
	FILE *f = fopen(file, "re");
	int a = 0, b = 0, n;

	ck_assert_ptr_nonnull(f);
	n = fscanf(f, "%d %d", &a, &b);
	fclose(f);
	ck_assert_int_eq(n, 2);
	ck_assert(a == qemu || b == qemu);
	return a == qemu ? b : a;
}

static void expect_field(pid_t pid, const char *field, const char *expected)
{
	_cleanup_free_ char *value = process_field(pid, "status", field);

	ck_assert_msg(str_eq(value, expected), "%s is '%s' and not '%s'", field, value, expected);
}

/* It is whom QEMU is, and may what anybody may; its state is its own. */
static void expect_confined(pid_t tpm, pid_t qemu)
{
	static const char *const same[] = { "Uid", "Gid" };
	static const char *const sets[] = { "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb" };
	struct stat st = stat_of("tpm/tpm2-00.permall");
	_cleanup_free_ char *uids = xasprintf("%u\t%u\t%u\t%u", st.st_uid, st.st_uid, st.st_uid, st.st_uid);

	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		_cleanup_free_ char *its = process_field(qemu, "status", same[i]);

		expect_field(tpm, same[i], its);
	}
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
		expect_field(tpm, sets[i], "0000000000000000");
	expect_field(tpm, "NoNewPrivs", "1");
	expect_field(tpm, "Name", "swtpm");
	expect_field(tpm, "Uid", uids);
	ck_assert_uint_ne(st.st_uid, 0);
	ck_assert_uint_eq(stat_of("tpm").st_mode & 07777, 0700);
}

/* ---- what QEMU has ---- */

static void expect_node(struct json_object *nodes, const char *name, const char *driver, bool read_only)
{
	for (size_t i = 0; i < json_object_array_length(nodes); i++) {
		struct json_object *o = json_object_array_get_idx(nodes, i);

		if (!str_eq(json_get_str(o, "node-name"), name))
			continue;
		ck_assert_str_eq(json_get_str(o, "drv"), driver);
		ck_assert_int_eq(json_get_bool(o, "ro", !read_only), read_only);
		return;
	}
	ck_abort_msg("no node '%s'", name);
}

/* Internal snapshots of a guest take its variables along: they are qcow2, and written to. */
static void expect_flash(bool secure)
{
	_cleanup_json_ struct json_object *nodes = ask("query-named-block-nodes", "'flat': true");

	expect_node(nodes, "firmware", "raw", true);
	expect_node(nodes, "nvram", "qcow2", false);
	expect_property("/machine/system.flash0", "drive", "\"firmware\"");
	expect_property("/machine/system.flash1", "drive", "\"nvram\"");
	expect_property("/machine/system.flash0", "secure", secure ? "true" : "false");
	expect_property("/machine/system.flash1", "secure", secure ? "true" : "false");
	expect_property("/machine", "smm", secure ? "\"on\"" : "\"auto\"");
}

static void expect_tpm(void)
{
	_cleanup_json_ struct json_object *tpms = ask("query-tpm", "");

	ck_assert_uint_eq(json_object_array_length(tpms), 1);
	ck_assert_str_eq(str_at(tpms, "0.model"), "tpm-tis");
	ck_assert_str_eq(str_at(tpms, "0.options.type"), "emulator");
}

static const struct {
	const char *hvparams, *kind;
	bool secure;
} machines[] = {
	{ "'firmware': 'uefi', 'tpm': true", "uefi", false },
	{ "'firmware': 'uefi', 'tpm': true, 'machine_version': 'q35', 'use_chroot': true", "uefi", false },
	{ "'firmware': 'uefi-secure', 'tpm': true, 'machine_version': 'q35'", "uefi-secure", true },
};

/* From the first start on, over a restart of droverd, a stop and a kill. */
START_TEST(test_life)
{
	_cleanup_free_ char *nvram = xasprintf("%s/nvram.qcow2", machines[_i].kind);
	_cleanup_free_ char *record = xasprintf("%s/firmware.json", machines[_i].kind);
	pid_t qemu, tpm;
	ino_t first;

	define(machines[_i].hvparams);
	ck_assert(!is_there(machines[_i].kind));
	qemu = start();
	tpm = tpm_of(qemu);
	first = stat_of(nvram).st_ino;
	ck_assert(is_there(record));
	expect_flash(machines[_i].secure);
	expect_tpm();
	expect_confined(tpm, qemu);
	rig_restart(rig, &client);
	ck_assert(process_runs(tpm));
	expect_tpm();
	stop();
	ck_assert(!process_runs(tpm));
	qemu = start();
	tpm = tpm_of(qemu);
	expect_flash(machines[_i].secure);
	expect_tpm();
	expect_confined(tpm, qemu);
	ck_assert_uint_eq(stat_of(nvram).st_ino, first);
	kill(qemu, SIGKILL);
	client_await_state(client, "web1", "crashed", "signal 9");
	json_object_put(guest_settle(client, "web1"));
	ck_assert(!process_runs(tpm));
	start();
	ck_assert_uint_eq(stat_of(nvram).st_ino, first);
	stop();
}
END_TEST

/* It sees of the host what QEMU sees, and its state. */
START_TEST(test_private)
{
	_cleanup_free_ char *path = NULL, *state = xasprintf("%s/lib/instances/web1/tpm", rig->root), *its = NULL;
	struct stat a, b;
	pid_t tpm;

	define("'tpm': true, 'use_chroot': true");
	tpm = tpm_of(start());
	path = xasprintf("/proc/%d/cwd", tpm);
	ck_assert_int_eq(stat(path, &a) | stat(state, &b), 0);
	ck_assert_uint_eq(a.st_ino, b.st_ino);
	its = xasprintf("/proc/%d/root/etc", tpm);
	ck_assert_int_lt(access(its, F_OK), 0);
}
END_TEST

/* ---- with all else that is given by descriptor ---- */

/* Memory from a directory does not go with a private root. */
enum { MEMORY, CHROOT, MIXTURES };

START_TEST(test_with_all_else)
{
	_cleanup_free_ char *more = _i == MEMORY ? xasprintf("'numa_nodes': 2, 'mem_path': '%s/memory'", rig->root) :
						   xstrdup("'use_chroot': true");
	_cleanup_json_ struct json_object *shown = NULL, *picture = NULL, *disks = NULL;
	_cleanup_free_ char *arguments = xasprintf("'path': '/objects/%s', 'property': 'type'",
						   _i == MEMORY ? "ram1" : "iothread0");
	pid_t qemu;

	host_run("mkdir %s/memory && truncate -s 1M %s/disk %s/cd", rig->root, rig->root, rig->root);
	host_run("ip link add br0 type bridge 2> /dev/null; ip link set br0 up");
	client_define(client, "web1",
		      "'memory': '64M', 'vcpus': 2, 'hvparams': {'accel': 'tcg', 'firmware': 'uefi', 'tpm': true, "
		      "'iothreads': 1, 'cdrom_image_path': '%s/cd', 'vnc_bind_address': '%s', 'vnc_tls': true, %s}, "
		      "'disks': [{'path': '%s/disk'}], 'nics': [{'mode': 'bridged', 'link': 'br0', 'queues': 2}, "
		      "{'mode': 'bridged', 'link': 'br0'}]",
		      rig->root, rig->root, more, rig->root);
	qemu = start();
	expect_flash(false);
	expect_tpm();
	expect_confined(tpm_of(qemu), qemu);
	json_object_put(ask("qom-get", arguments));
	disks = ask("query-block", "");
	ck_assert_uint_eq(json_object_array_length(disks), 4);
	host_run("test $(ip -o link show master br0 | wc -l) = 2");
	host_run("test -S %s/web1.vnc", rig->root);
	picture = client_ok(client, "instance-screenshot", "{'instance': 'web1'}");
	rig_restart(rig, &client);
	shown = guest_query(client, "web1");
	ck_assert_int_eq(int_at(shown, "pid"), qemu);
	ck_assert_uint_eq(json_object_array_length(at(shown, "drift")), 0);
	ck_assert_uint_eq(json_object_array_length(at(shown, "displays")), 1);
	json_object_put(client_error(client, "WrongState", "instance-rename", "{'instance': 'web1', 'name': 'web2'}"));
	stop();
	host_run("test ! -e %s/web1.vnc && test -z \"$(ls -A %s/memory)\"", rig->root, rig->root);
	host_run("test -z \"$(ls -A %s/lib/quarantine 2> /dev/null)\"", rig->root);
	json_object_put(client_ok(client, "instance-rename", "{'instance': 'web1', 'name': 'web2'}"));
	json_object_put(client_ok(client, "instance-start", "{'instance': 'web2', 'paused': true}"));
	host_run("test -S %s/web2.vnc", rig->root);
	json_object_put(client_ok(client, "instance-undefine", "{'instance': 'web2', 'force': true}"));
	host_run("test ! -e %s/web2.vnc && test -z \"$(ls -A %s/lib/instances)\"", rig->root, rig->root);
}
END_TEST

/* ---- what is kept ---- */

START_TEST(test_kept)
{
	_cleanup_free_ char *marker = xasprintf("%s/lib/instances/web2/tpm/tpm2-00.permall", rig->root);
	struct stat st;

	define("'firmware': 'uefi', 'tpm': true");
	start();
	stop();
	nvram_io("web1", "write");
	host_run("cp '%s/lib/instances/web1/tpm/tpm2-00.permall' '%s/before'", rig->root, rig->root);
	start();
	kill(guest_pid(client, "web1"), SIGKILL);
	client_await_state(client, "web1", "crashed", "signal 9");
	json_object_put(guest_settle(client, "web1"));
	nvram_io("web1", "read");
	/* As bios it has no use for them, and they stay. */
	define("'firmware': 'bios', 'tpm': false");
	start();
	stop();
	define("'firmware': 'uefi', 'tpm': true");
	json_object_put(client_ok(client, "instance-rename", "{'instance': 'web1', 'name': 'web2'}"));
	json_object_put(client_ok(client, "instance-start", "{'instance': 'web2', 'paused': true}"));
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'web2'}"));
	nvram_io("web2", "read");
	host_run("cmp '%s/before' '%s'", rig->root, marker);
	json_object_put(client_ok(client, "instance-undefine", "{'instance': 'web2'}"));
	ck_assert_int_lt(stat(marker, &st), 0);
	host_run("test -z \"$(ls -A '%s/lib/instances')\"", rig->root);
}
END_TEST

/* What was chosen at first stays, and is missed when it is not there. */
START_TEST(test_chosen_once)
{
	_cleanup_json_ struct json_object *e = NULL;

	define("'firmware': 'uefi', 'machine_version': 'q35'");
	start();
	stop();
	host_run("sed -i 's,OVMF_CODE[^\"]*,OVMF_CODE_GONE.fd,' '%s/lib/instances/web1/uefi/firmware.json'", rig->root);
	e = client_error(client, "NotFound", "instance-start", "{'instance': 'web1'}");
	ck_assert_str_eq(str_at(e, "parameter"), "hvparams.firmware");
	ck_assert_msg(strstr(str_at(e, "desc"), "OVMF_CODE_GONE.fd"), "%s", str_at(e, "desc"));
	host_run("sed -i 's,\"smm\":false,\"smm\":true,' '%s/lib/instances/web1/uefi/firmware.json'", rig->root);
	define("'firmware': 'uefi', 'machine_version': 'pc'");
	json_object_put(e);
	e = client_error(client, "Unsupported", "instance-start", "{'instance': 'web1'}");
	ck_assert_str_eq(str_at(e, "parameter"), "hvparams.firmware");
	host_run("rm -r '%s/lib/instances/web1/uefi'", rig->root);
	start();
	expect_flash(false);
}
END_TEST

/* ---- what cannot be ---- */

START_TEST(test_refused)
{
	_cleanup_json_ struct json_object *e = client_error(
		client, "InvalidParameter", "instance-define",
		"{'definition': {'name': 'web1', 'hvparams': {'firmware': 'uefi-secure', 'machine_version': 'pc'}}}");

	ck_assert_str_eq(str_at(e, "parameter"), "definition.hvparams.firmware");
	ck_assert(strstr(str_at(e, "desc"), "Q35"));
}
END_TEST

/* Whatever it is that fails. */
START_TEST(test_failed_start)
{
	static const struct {
		const char *hvparams, *class;
	} reasons[] = { { "'kernel_path': '/nonexistent'", "NotFound" }, { "'kvm_extra': '-nonsense'", "QemuError" } };

	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		_cleanup_free_ char *before = NULL;
		_cleanup_free_ char *hvparams = xasprintf("'firmware': 'uefi', 'tpm': true, %s", reasons[i].hvparams);

		define(hvparams);
		/* Of the first failure its record stays. */
		json_object_put(client_error(client, reasons[i].class, "instance-start", "{'instance': 'web1'}"));
		before = rig_world_at_rest(rig, true);
		ck_assert_msg(!strstr(before, "uefi") && !strstr(before, "tpm"), "%s", before);
		json_object_put(client_error(client, reasons[i].class, "instance-start", "{'instance': 'web1'}"));
		rig_expect_world(rig, true, before);
	}
}
END_TEST

/* What swtpm could have left among its files, were it not ours any more: nothing that they lead to changes hands. */
START_TEST(test_strange_state)
{
	static const char *const makers[] = { "ln -s", "ln" };
	_cleanup_free_ char *secret = xasprintf("%s/secret", rig->root);
	struct stat st;

	define("'tpm': true");
	start();
	stop();
	host_run("echo > '%s'", secret);
	for (size_t i = 0; i < ARRAY_SIZE(makers); i++) {
		_cleanup_json_ struct json_object *e = NULL;

		host_run("%s '%s' '%s/lib/instances/web1/tpm/strange'", makers[i], secret, rig->root);
		e = client_error(client, "QemuError", "instance-start", "{'instance': 'web1'}");
		ck_assert_msg(strstr(str_at(e, "log"), "tpm/strange' is no plain file"), "%s", str_at(e, "log"));
		ck_assert_int_eq(stat(secret, &st), 0);
		ck_assert_uint_eq(st.st_uid, 0);
		host_run("rm '%s/lib/instances/web1/tpm/strange'", rig->root);
	}
	start();
}
END_TEST

static const struct {
	const char *missing, *hvparams, *parameter, *package;
} lacks[] = { { "swtpm", "'tpm': true", "hvparams.tpm", "package swtpm" },
	      { "qemu-img", "'firmware': 'uefi'", "hvparams.firmware", "package qemu-utils" } };

/* A host without the program: nothing is left, and what to do is said. */
START_TEST(test_missing_program)
{
	static const char *const programs[] = { "swtpm", "qemu-img" };
	_cleanup_free_ char *bin = xasprintf("%s/bin", rig->root), *qemu = rig_qemu();
	_cleanup_free_ char *path = xstrdup(getenv("PATH"));
	_cleanup_json_ struct json_object *e = NULL;

	host_run("mkdir '%s' && ln -s '%s' '%s'", bin, qemu, bin);
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		if (!str_eq(programs[i], lacks[_i].missing))
			host_run("ln -s \"$(which %s)\" '%s'", programs[i], bin);
	client_free(client);
	rig_stop(rig);
	setenv("PATH", bin, 1);
	rig_start(rig);
	setenv("PATH", path, 1);
	client = client_new(rig);
	define(lacks[_i].hvparams);
	e = client_error(client, "NotFound", "instance-start", "{'instance': 'web1'}");
	ck_assert_str_eq(str_at(e, "parameter"), lacks[_i].parameter);
	ck_assert_msg(strstr(str_at(e, "desc"), lacks[_i].package), "%s", str_at(e, "desc"));
	ck_assert(!is_there("uefi") && !is_there("uefi.new") && !is_there("tpm.new"));
}
END_TEST

static bool chooses(const char *name)
{
	_cleanup_json_ struct json_object *o = client_ok(client, "query-instance", "{'instance': '%s'}", name);

	return has(o, "operation.step") && str_eq(str_at(o, "operation.step"), "choose the firmware");
}

/* The firmware of a QEMU of its own is on a server that does not answer: however many starts wait for it, what others
 * write is written. */
START_TEST(test_server_is_dead)
{
	enum { STARTS = 5 }; /* more than the pool has threads */
	_cleanup_free_ char *alone = xasprintf("%s/alone", rig->root), *share = xasprintf("%s/share", alone);
	_cleanup_free_ char *qemu = rig_qemu(), *world = NULL;
	int ids[STARTS];

	host_run("mkdir -p '%s/bin' '%s' && ln -s '%s' '%s/bin/qemu'", alone, share, qemu, alone);
	dead_fs = dead_fs_new(share);
	if (!dead_fs) {
		puts("no FUSE here");
		return;
	}
	rig_restart(rig, &client);
	for (int i = 0; i < STARTS; i++) {
		_cleanup_free_ char *name = xasprintf("dead%d", i);

		client_define(client, name, "'hvparams': {'firmware': 'uefi', 'kvm_path': '%s/bin/qemu'}", alone);
		ids[i] = client_send(client, "instance-start", "{'instance': '%s'}", name);
		while (!chooses(name))
			usleep(1000);
	}
	define("'firmware': 'bios'");
	for (int i = 0; i < STARTS; i++) {
		_cleanup_free_ char *name = xasprintf("dead%d", i);

		ck_assert(chooses(name));
		json_object_put(client_ok(client, "instance-stop", "{'instance': '%s'}", name));
		json_object_put(client_reply(client, ids[i]));
	}
	world = rig_world_at_rest(rig, false);
	ck_assert_msg(!strstr(world, "uefi"), "%s", world);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("UEFI and TPM");
	TCase *tc = tcase_create("paused");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, test_life, 0, ARRAY_SIZE(machines));
	tcase_add_test(tc, test_private);
	tcase_add_loop_test(tc, test_with_all_else, 0, MIXTURES);
	tcase_add_test(tc, test_kept);
	tcase_add_test(tc, test_chosen_once);
	tcase_add_test(tc, test_refused);
	tcase_add_test(tc, test_failed_start);
	tcase_add_test(tc, test_strange_state);
	tcase_add_test(tc, test_server_is_dead);
	tcase_add_loop_test(tc, test_missing_program, 0, ARRAY_SIZE(lacks));
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	if (geteuid() != 0 || access("/usr/share/OVMF/OVMF_CODE_4M.fd", R_OK) < 0 ||
	    access("/usr/bin/swtpm", X_OK) < 0) {
		puts("SKIP: needs root, and the packages ovmf and swtpm");
		return 77;
	}
	return guest_main(suite);
}
