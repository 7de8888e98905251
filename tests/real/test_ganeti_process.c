/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Import beside a process without a guest's system: where it is refused, where it is cut off, and what becomes of a process
 * that was adopted.
 */
#include "ganeti.h"

#include "dead_fs.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct ganeti_command command;
static struct dead_fs *dead_fs;

/* A paused machine with two disks behind a controller of SCSI, as by default, and its runtime file. */
static char *scsi_machine(void)
{
	_cleanup_free_ char *cmd = NULL;

	node_make_disk("one", "one", 1 << 20, 0);
	node_make_disk("two", "two", 1 << 20, 1);
	command_begin(&command, "pc", NULL, true);
	command_add(&command, "-device", "lsi,id=scsi");
	command.stored = command.n;
	command_add(&command, "-net", "none");
	command_add_monitors(&command);
	command_add_disk(&command, ID0, ID0, "scsi-hd,bus=scsi.0,channel=0,scsi-id=0,lun=0", 0);
	command_add_disk(&command, ID1, ID1, "scsi-hd,bus=scsi.0,channel=0,scsi-id=3,lun=0", 1);
	cmd = command_stored(&command);
#define SCSI_AT(id, target) \
	"'driver': 'scsi-hd', 'id': '" id "', 'bus': 'scsi.0', 'channel': 0, 'scsi-id': " target ", 'lun': 0"
	return xasprintf(
		"[%s, [], {'kernel_path': '', 'kvm_path': '%s', 'disk_type': 'scsi-hd'}, [" FILE_DISK(
			DISK0, "one", "0", SCSI_AT(ID0, "0")) ", " FILE_DISK(DISK1, "two", "1", SCSI_AT(ID1, "3")) "]]",
		cmd, node.qemu, node.base, node.base, node.base, node.base);
}

static void set_up(void)
{
	node_set_up();
}

static void tear_down(void)
{
	dead_fs = dead_fs_free(dead_fs);
	node_tear_down();
	command_clear(&command);
}

static void expect_none(void)
{
	_cleanup_json_ struct json_object *list = client_ok(node.client, "query-instances", NULL);
	_cleanup_free_ char *world = rig_world(node.rig, false);

	ck_assert_int_eq(json_object_array_length(list), 0);
	ck_assert_msg(!strstr(world, "run/instances/"), "%s", world);
	ck_assert(process_runs(node.pid));
}

static void expect_adopted(void)
{
	_cleanup_json_ struct json_object *shown = NULL;

	client_await_state(node.client, VM, "paused", NULL);
	shown = guest_settle(node.client, VM);
	ck_assert_int_eq(int_at(shown, "pid"), node.pid);
	ck_assert_str_eq(json_object_to_json_string_ext(at(shown, "drift"), JSON_C_TO_STRING_PLAIN), "[]");
	ck_assert_int_eq(int_at(shown, "runtime.disks.1.hvinfo.scsi-id"), 3);
}

/* A client of who listens at FILE; -1: no more of them can wait there. */
static int occupy(const char *file)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	_cleanup_free_ char *path = node_path("ctrl/" VM ".%s", file);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	ck_assert_uint_lt(strlen(path), sizeof(addr.sun_path));
	memcpy(addr.sun_path, path, strlen(path));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	ck_assert_int_eq(errno, EAGAIN);
	close(fd);
	return -1;
}

/* Others have the second monitor, and who comes now cannot even wait. */
START_TEST(crowded)
{
	enum { CROWD = 64 };
	_cleanup_free_ char *text = scsi_machine();
	_cleanup_json_ struct json_object *e = NULL;
	struct pollfd first = { .events = POLLIN };
	int fds[CROWD], n = 0;

	command_run(&command);
	first.fd = fds[n++] = occupy("kvmd");
	ck_assert_int_eq(poll(&first, 1, RIG_DEADLINE_MS), 1); /* it is the one that QEMU has */
	while ((fds[n] = occupy("kvmd")) >= 0)
		ck_assert_int_lt(++n, CROWD - 1);
	e = node_refused("Busy", text);
	ck_assert_str_eq(str_at(e, "step"), "look for its process");
	while (n)
		close(fds[--n]);
	expect_none();
}
END_TEST

/* Where the monitors are somebody does not answer: nobody waits for him but the import, at most, and droverd does not
 * make itself depend on him. */
START_TEST(server_is_dead)
{
	_cleanup_free_ char *text = scsi_machine(), *control = node_path("ctrl"), *other = node_path("conf");
	_cleanup_free_ char *monitor = node_path("ctrl/" VM ".kvmd"), *there = node_path("conf/" VM ".kvmd");
	_cleanup_json_ struct json_object *e = NULL;

	command_run(&command);
	if (_i) {
		ck_assert_int_eq(unlink(monitor), 0);
		ck_assert_int_eq(symlink(there, monitor), 0);
	}
	dead_fs = dead_fs_new(_i ? other : control);
	if (!dead_fs) {
		printf("no FUSE here\n");
		return;
	}
	node_restart("droverd", NULL);
	e = node_refused("Unsupported", text);
	ck_assert_ptr_nonnull(strstr(str_at(e, "desc"), _i ? "is no socket" : "answers for"));
	expect_none();
}
END_TEST

/* Ganeti's daemons have a monitor, or another has the name. */
START_TEST(refused)
{
	_cleanup_free_ char *text = scsi_machine(), *other = xstrdup(text), *pidfile = node_path("pid/" VM),
			    *hidden = NULL;
	_cleanup_json_ struct json_object *e = NULL, *wrong = NULL, *missing = NULL;
	int fd;

	command_run(&command);
	fd = occupy("kvmd");
	e = node_refused("Busy", text);
	ck_assert_ptr_nonnull(strstr(str_at(e, "desc"), "ganeti-kvmd"));
	close(fd);
	expect_none();
	*strstr(other, VM_UUID) = '6';
	wrong = node_refused("WrongState", other);
	ck_assert_ptr_nonnull(strstr(str_at(wrong, "desc"), VM_UUID));
	expect_none();
	/* Without its pid file it is known by its monitor; and without the second monitor it is none of ours. */
	ck_assert_int_eq(unlink(pidfile), 0);
	hidden = node_path("ctrl/" VM ".kvmd");
	ck_assert_int_eq(unlink(hidden), 0);
	missing = node_refused("Unsupported", text);
	ck_assert_ptr_nonnull(strstr(str_at(missing, "desc"), "kvmd"));
	expect_none();
}
END_TEST

/* Nobody gets through to who listens on the monitor, so nobody knows whether that is a QEMU. */
START_TEST(unknown_listener)
{
	_cleanup_free_ char *text = scsi_machine(), *path = node_path("ctrl/" VM ".qmp");
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	_cleanup_json_ struct json_object *list = NULL;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), first;

	ck_assert_uint_lt(strlen(path), sizeof(addr.sun_path));
	memcpy(addr.sun_path, path, strlen(path));
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(fd, 0), 0);
	first = occupy("qmp");
	json_object_put(node_refused("Busy", text));
	list = client_ok(node.client, "query-instances", NULL);
	ck_assert_int_eq(json_object_array_length(list), 0);
	close(first);
	/* A socket that nobody listens on any more is nobody's. */
	close(fd);
	json_object_put(node_import(text));
	guest_expect(node.client, VM, "shutoff", "never-started");
}
END_TEST

/* Nothing of it runs: the definition alone. */
START_TEST(no_process)
{
	_cleanup_free_ char *text = scsi_machine(), *world = NULL;
	_cleanup_json_ struct json_object *o = node_import(text), *e = NULL, *taken = NULL;

	ck_assert(!has(o, "pid"));
	ck_assert_int_eq(int_at(o, "definition.disks.1.hvinfo.scsi-id"), 3);
	ck_assert_str_eq(str_at(o, "definition.hvparams.scsi_controller_type"), "lsi");
	ck_assert_str_eq(str_at(o, "warnings.0.parameter"), "document");
	ck_assert_str_eq(str_at(o, "warnings.1.parameter"), "hvparams.cpu_type");
	ck_assert_ptr_nonnull(str_at(o, "warnings.1.desc"));
	guest_expect(node.client, VM, "shutoff", "never-started");
	/* Another file for the same machine is not an import any more. */
	e = client_ok(node.client, "instance-modify", "{'instance': '%s', 'patch': {'vcpus': 2}}", VM);
	taken = node_refused("Exists", text);
	json_object_put(client_ok(node.client, "instance-undefine", "{'instance': '%s'}", VM));
}
END_TEST

/* IDE disks have no ids in Ganeti's machines, and a slot of the PCI bus in its file. */
START_TEST(ide)
{
	_cleanup_free_ char *cmd = NULL, *text = NULL;
	_cleanup_json_ struct json_object *shown = NULL;

	node_make_disk("one", "one", 1 << 20, 0);
	command_begin(&command, "pc", NULL, true);
	command_add(&command, "-net", "none");
	command_add_monitors(&command);
	command_add_disk(&command, NULL, ID0, "ide-hd", 0);
	command_run(&command);
	cmd = command_stored(&command);
	text = xasprintf("[%s, [], {'kernel_path': '', 'kvm_path': '%s', 'disk_type': 'ide'}, [" FILE_DISK(
				 DISK0, "one", "0", PCI_AT("ide", ID0, "0xc")) "]]",
			 cmd, node.qemu, node.base, node.base);
	json_object_put(node_import(text));
	json_object_put(node_ask("query-name", NULL)); /* behind which it is compared */
	client_await_state(node.client, VM, "paused", NULL);
	json_object_put(
		client_error(node.client, "Unsupported", "disk-detach", "{'instance': '%s', 'disk': 'disk0'}", VM));
	json_object_put(client_ok(node.client, "disk-resize", "{'instance': '%s', 'disk': 'disk0', 'size': '2M'}", VM));
	shown = guest_settle(node.client, VM);
	ck_assert_str_eq(json_object_to_json_string_ext(at(shown, "drift"), JSON_C_TO_STRING_PLAIN), "[]");
	ck_assert_int_eq(int_at(shown, "runtime.disks.0.size"), 2 << 20);
	ck_assert_str_eq(str_at(shown, "runtime.disks.0.hvinfo.bus"), "ide.0");
	json_object_put(client_ok(node.client, "instance-undefine", "{'instance': '%s', 'force': true}", VM));
	process_await_end(node.pid);
}
END_TEST

/* Its displays, as it says itself. In its directory, which is Ganeti's choice, nothing is written. */
static const struct {
	const char *option, *value, *display;
	bool password;
} displays[] = {
	{ "-vnc", "127.0.0.1:10,password=on", "[{'kind':'vnc','address':'127.0.0.1','port':5910,'password':true}]",
	  true },
	{ "-vnc", NULL, NULL }, /* a socket of Ganeti's */
	{ "-vnc", "[::1]:11", "[{'kind':'vnc','address':'::1','port':5911,'password':false}]" },
	{ "-spice", "addr=127.0.0.1,port=5912,disable-ticketing=on",
	  "[{'kind':'spice','address':'127.0.0.1','port':5912,'password':false}]" },
};

/* Its modules come together. */
static bool has_spice(void)
{
	_cleanup_free_ char *line = xasprintf("%s -device help 2> /dev/null | grep -q '\"qxl-vga\"'", node.qemu);

	return system(line) == 0; /* NOLINT(cert-env33-c): a binary of the test's own */
}

START_TEST(display)
{
	_cleanup_free_ char *cmd = NULL, *text = NULL, *plain = NULL, *value = xstrdup(displays[_i].value);
	_cleanup_free_ char *wanted = xstrdup(displays[_i].display);
	_cleanup_json_ struct json_object *shown = NULL;

	if (str_eq(displays[_i].option, "-spice") && !has_spice()) {
		printf("no SPICE here\n");
		return;
	}
	if (!value) {
		value = xasprintf("unix:%s/d.vnc", node.base);
		wanted = xasprintf("[{'kind':'vnc','path':'%s','password':false}]", value + strlen("unix:"));
	}
	command_begin(&command, "pc", NULL, true);
	command_add(&command, "-net", "none");
	command_add(&command, "-vga", "std");
	command_add(&command, displays[_i].option, "%s", value);
	command_add_monitors(&command);
	command_run(&command);
	cmd = command_stored(&command);
	text = xasprintf("[%s, [], {'kernel_path': '', 'kvm_path': '%s', 'vga': 'std'}, []]", cmd, node.qemu);
	json_object_put(node_import(text));
	shown = guest_query(node.client, VM);
	plain = xstrdup(json_object_to_json_string_ext(at(shown, "displays"),
						       JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	for (char *c = plain; *c; c++)
		if (*c == '"')
			*c = '\'';
	ck_assert_str_eq(plain, wanted);
	if (displays[_i].password)
		json_object_put(client_ok(node.client, "display-password",
					  "{'instance': '%s', 'display': 'vnc', 'password': 'xyzzy'}", VM));
	json_object_put(client_error(node.client, "Unsupported", "instance-screenshot", "{'instance': '%s'}", VM));
	host_run("! ls /proc/%d/cwd/ | grep '^screenshot-'", node.pid);
	json_object_put(client_ok(node.client, "instance-undefine", "{'instance': '%s', 'force': true}", VM));
	process_await_end(node.pid);
}
END_TEST

/* What it ends of nobody could write down; that it is stopped by us is known. */
START_TEST(ends)
{
	_cleanup_free_ char *text = scsi_machine();

	command_run(&command);
	json_object_put(node_import(text));
	expect_adopted();
	if (_i == 0) {
		_cleanup_client_ struct client *console = client_new(node.rig);

		json_object_put(client_ok(console, "console-attach", "{'instance': '%s'}", VM));
		json_object_put(client_ok(node.client, "instance-stop", "{'instance': '%s'}", VM));
		guest_expect(node.client, VM, "shutoff", "admin");
	} else if (_i == 1) {
		node_end_qemu();
		client_await_state(node.client, VM, "crashed", "lost");
	} else {
		rig_kill(node.rig);
		node_end_qemu();
		node_restart("droverd", NULL);
		client_await_state(node.client, VM, "crashed", "lost");
	}
	process_await_end(node.pid ? node.pid : 1 << 22);
	json_object_put(client_ok(node.client, "instance-undefine", "{'instance': '%s'}", VM));
}
END_TEST

/* Cut off anywhere it is imported whole or not at all, and never ends what runs. */
static const struct {
	const char *fault;
	bool imported, ends; /* ENDS: QEMU as well, before the next droverd */
} faults[] = {
	{ "instance-import/look for its process/after/fail", false },
	{ "instance-import/ask its process/after/cancel", false },
	{ "instance-import/ask its process/before/kill", false },
	{ "instance-import/write the runtime record/before/kill", false },
	{ "instance-import/write the runtime record/after/kill", false },
	{ "instance-import/write the runtime record/after/fail", false },
	{ "instance-import/write the definition/before/fail", false },
	{ "instance-import/write the definition/before/kill", false },
	{ "instance-import/write the definition/after/kill", true },
	{ "instance-import/take it over/after/kill", true },
	{ "instance-import/adopt its process/before/kill", true },
	{ "instance-import/adopt its process/after/kill", true },
	{ "instance-import/write the definition/before/kill", false, true },
	{ "instance-import/adopt its process/before/kill", true, true },
	{ "instance-import/adopt its process/after/kill", true, true },
};

static void expect_ended(bool imported)
{
	_cleanup_json_ struct json_object *list = client_ok(node.client, "query-instances", NULL);

	ck_assert_int_eq(json_object_array_length(list), imported);
	if (!imported)
		return;
	client_await_state(node.client, VM, "crashed", "lost");
	json_object_put(guest_settle(node.client, VM));
	json_object_put(client_ok(node.client, "instance-undefine", "{'instance': '%s'}", VM));
}

START_TEST(cut_off)
{
	bool kills = strstr(faults[_i].fault, "/kill");
	_cleanup_free_ char *text = scsi_machine();
	_cleanup_json_ struct json_object *reply = NULL;
	int id;

	command_run(&command);
	node_restart("droverd-faulty", faults[_i].fault);
	id = client_send(node.client, "instance-import", "{'format': 'ganeti', 'document': %s}", text);
	if (kills) {
		rig_wait(node.rig);
	} else {
		reply = client_reply(node.client, id);
		ck_assert_msg(has(reply, "error"), "%s", json_object_to_json_string(reply));
		expect_none();
	}
	if (faults[_i].ends)
		node_end_qemu();
	node_restart("droverd", NULL);
	if (faults[_i].ends) {
		expect_ended(faults[_i].imported);
		return;
	}
	if (faults[_i].imported)
		expect_adopted();
	else
		expect_none();
	if (!faults[_i].imported)
		json_object_put(node_import(text));
	expect_adopted();
	json_object_put(client_ok(node.client, "instance-undefine", "{'instance': '%s', 'force': true}", VM));
	process_await_end(node.pid);
}
END_TEST

/* Imported while it was off, and started by Ganeti since: the definition is there, its process is not droverd's yet. */
static char *import_off(void)
{
	char *text = scsi_machine();
	_cleanup_json_ struct json_object *o = node_import(text), *again = NULL;

	ck_assert(json_object_get_boolean(at(o, "changed")) && !has(o, "pid"));
	again = node_import(text);
	ck_assert(!json_object_get_boolean(at(again, "changed")) && !has(again, "pid"));
	guest_expect(node.client, VM, "shutoff", "never-started");
	command_run(&command);
	return text;
}

static void expect_adopted_later(const char *text)
{
	_cleanup_json_ struct json_object *shown = NULL, *again = NULL;

	expect_adopted();
	shown = guest_query(node.client, VM);
	ck_assert_str_eq(json_object_to_json_string_ext(at(shown, "pending"), JSON_C_TO_STRING_PLAIN), "[]");
	ck_assert(str_starts(str_at(shown, "definition.hvparams.machine_version"), "pc-i440fx-"));
	/* There is no second one beside it. */
	json_object_put(client_error(node.client, "WrongState", "instance-start", "{'instance': '%s'}", VM));
	again = node_import(text);
	ck_assert(!json_object_get_boolean(at(again, "changed")));
	ck_assert_int_eq(int_at(again, "pid"), node.pid);
	json_object_put(client_ok(node.client, "instance-undefine", "{'instance': '%s', 'force': true}", VM));
	process_await_end(node.pid);
}

START_TEST(started_later)
{
	_cleanup_free_ char *text = import_off();
	_cleanup_json_ struct json_object *o = node_import(text);

	ck_assert(json_object_get_boolean(at(o, "changed")));
	ck_assert_int_eq(int_at(o, "pid"), node.pid);
	expect_adopted_later(text);
}
END_TEST

/* The commit is the run directory. */
static const struct {
	const char *fault;
	bool adopted;
} later_faults[] = {
	{ "instance-import/ask its process/after/cancel", false },
	{ "instance-import/write the runtime record/before/fail", false },
	{ "instance-import/write the runtime record/before/kill", false },
	{ "instance-import/write the runtime record/after/fail", true },
	{ "instance-import/write the runtime record/after/kill", true },
	{ "instance-import/adopt its process/before/kill", true },
	{ "instance-import/name the machine/before/kill", true },
	{ "instance-import/take it over/before/kill", true },
};

START_TEST(cut_off_later)
{
	bool kills = strstr(later_faults[_i].fault, "/kill");
	_cleanup_free_ char *text = import_off();
	_cleanup_json_ struct json_object *reply = NULL;
	int id;

	node_restart("droverd-faulty", later_faults[_i].fault);
	id = client_send(node.client, "instance-import", "{'format': 'ganeti', 'document': %s}", text);
	if (kills) {
		rig_wait(node.rig);
		node_restart("droverd", NULL);
		json_object_put(guest_settle(node.client, VM));
	} else {
		reply = client_reply(node.client, id);
		ck_assert_int_eq(has(reply, "return"), later_faults[_i].adopted);
	}
	ck_assert(process_runs(node.pid));
	if (!later_faults[_i].adopted) {
		guest_expect(node.client, VM, "shutoff", "never-started");
		json_object_put(node_import(text));
	}
	expect_adopted_later(text);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("processes of Ganeti's");
	TCase *tc = tcase_create("process");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, refused);
	tcase_add_test(tc, crowded);
	tcase_add_test(tc, unknown_listener);
	tcase_add_loop_test(tc, server_is_dead, 0, 2);
	tcase_add_test(tc, no_process);
	tcase_add_test(tc, ide);
	tcase_add_loop_test(tc, display, 0, ARRAY_SIZE(displays));
	tcase_add_loop_test(tc, ends, 0, 3);
	tcase_add_loop_test(tc, cut_off, 0, ARRAY_SIZE(faults));
	suite_add_tcase(s, tc);
	tc = tcase_create("later");
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, started_later);
	tcase_add_loop_test(tc, cut_off_later, 0, ARRAY_SIZE(later_faults));
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return guest_main(suite);
}
