/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a new droverd makes of what the last one left: guests that went on, ended or powered off meanwhile, QEMUs that
 * do not answer, and files that are damaged, old, new, or lie. It never kills or adopts a stranger, never has a
 * second QEMU for one record, and one record that cannot be read hinders nobody.
 */
#include "base/file.h"
#include "runtime/process.h"
#include "stage.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define WEB "{'instance': 'web'}"
#define STOP_FAST "instance-stop/ask QEMU to quit/before/expire!;instance-stop/terminate QEMU/before/expire!"

/* ---- meanwhile ---- */

/* Asks the QEMU of an instance for its RunState, while no droverd runs, until it is STATUS. */
static void await_status(const char *name, const char *status)
{
	static const char request[] = "{\"execute\": \"qmp_capabilities\"}{\"execute\": \"query-status\"}";
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	_cleanup_free_ char *wanted = xasprintf("\"%s\"", status);
	bool there = false;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/run/instances/%s/qmp.sock", stage.r->root, name);
	while (!there) {
		_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		char text[4096];
		size_t len = 0;

		ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
		ck_assert_int_eq(write(fd, request, strlen(request)), (ssize_t)strlen(request));
		do {
			ssize_t n = read(fd, text + len, sizeof(text) - 1 - len);

			ck_assert_int_gt(n, 0);
			len += (size_t)n;
			text[len] = '\0';
		} while (!strstr(text, "\"status\""));
		there = strstr(text, wanted) != NULL;
	}
}

static void set_running(const char *fault)
{
	stage_set("%s", fault);
	stage_define("web", "%s", "ro");
	stage_mark();
	stage_start("web");
}

START_TEST(guest_goes_on)
{
	pid_t pid;

	set_running("");
	pid = stage_pid("web");
	for (int i = 0; i < 5; i++) {
		stage_restart();
		ck_assert_int_eq(stage_pid("web"), pid);
		client_await_state(stage.c, "web", "running", "booted");
	}
	json_object_put(client_ok(stage.c, "instance-shutdown", WEB));
	stage_check_state("web", "shutoff", "admin");
	stage_check_unchanged();
}
END_TEST

START_TEST(guest_powered_off)
{
	pid_t pid;

	set_running("");
	pid = stage_pid("web");
	stage_kill();
	kill(pid, SIGUSR1);
	await_status("web", "shutdown");
	stage_restart();
	client_await_state(stage.c, "web", "shutoff", "guest");
	stage_settle();
	stage_check_unchanged();
}
END_TEST

/* The last droverd had seen it, and was about to end the process. */
START_TEST(guest_powered_off_before)
{
	set_running("instance-poweroff/0/before/kill");
	kill(stage_pid("web"), SIGUSR1);
	process_await_end(stage.r->pid);
	rig_wait(stage.r);
	client_free(TAKE_PTR(stage.c));
	free(TAKE_PTR(stage.r->fault));
	stage_restart();
	client_await_state(stage.c, "web", "shutoff", "guest");
	stage_settle();
	stage_check_unchanged();
}
END_TEST

START_TEST(guest_panicked)
{
	pid_t pid;

	set_running("");
	pid = stage_pid("web");
	stage_kill();
	kill(pid, SIGUSR2);
	await_status("web", "guest-panicked");
	stage_restart();
	client_await_state(stage.c, "web", "crashed", "panic");
	ck_assert_int_eq(stage_pid("web"), pid);
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	stage_check_unchanged();
}
END_TEST

START_TEST(qemu_ended)
{
	static const struct {
		int signal;
		const char *state, *reason;
	} rows[] = {
		{ SIGKILL, "crashed", "signal 9" },
		{ SIGSEGV, "crashed", "signal 11" },
		{ SIGTERM, "shutoff", "host" },
	};

	stage_set("%s", "");
	stage_define("web", "%s", "ro");
	stage_mark();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		pid_t pid;

		stage_start("web");
		pid = stage_pid("web");
		stage_kill();
		kill(pid, rows[i].signal);
		stage_await_text("run/instances/web/exit.json", "}");
		stage_restart();
		stage_settle();
		stage_check_state("web", rows[i].state, rows[i].reason);
		stage_check_unchanged();
	}
}
END_TEST

/* With its keeper, so that nobody knows how. */
START_TEST(qemu_and_keeper_ended)
{
	_cleanup_free_ char *path = NULL;
	pid_t pid, keeper;
	int dir;

	set_running("");
	pid = stage_pid("web");
	path = xasprintf("%s/run/instances/web", stage.r->root);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	keeper = process_lock_holder(dir, "lock");
	close(dir);
	stage_kill();
	kill(keeper, SIGKILL);
	process_await_end(keeper);
	kill(pid, SIGKILL);
	process_await_end(pid);
	stage_restart();
	stage_settle();
	stage_check_state("web", "crashed", "lost");
	stage_check_unchanged();
}
END_TEST

/* ---- many, and one that is silent ---- */

START_TEST(one_of_many_is_silent)
{
	enum { MANY = 20, SILENT = 7 };
	_cleanup_json_ struct json_object *list = NULL;
	pid_t pids[MANY];
	int ids[MANY];

	stage_set("%s", STOP_FAST);
	for (int i = 0; i < MANY; i++) {
		_cleanup_free_ char *name = xasprintf("m%02d", i);

		stage_define(name, "%s", "ro");
		ids[i] = client_send(stage.c, "instance-start", "{'instance': '%s'}", name);
	}
	for (int i = 0; i < MANY; i++) {
		_cleanup_json_ struct json_object *o = client_reply(stage.c, ids[i]);
		_cleanup_free_ char *name = xasprintf("m%02d", i);

		ck_assert_msg(has(o, "return"), "%s", json_object_to_json_string(o));
		pids[i] = stage_pid(name);
	}
	stage_kill();
	kill(pids[SILENT], SIGSTOP);
	stage_restart();
	for (int i = 0; i < MANY; i++) {
		_cleanup_free_ char *name = xasprintf("m%02d", i);

		client_await_state(stage.c, name, "running", "booted");
		ck_assert_int_eq(stage_pid(name), pids[i]);
	}
	list = client_ok(stage.c, "query-instances", NULL);
	ck_assert_int_eq((int)json_object_array_length(list), MANY);
	/* The others can be changed; so can the silent one be ended. */
	json_object_put(client_ok(stage.c, "instance-pause", "{'instance': 'm00'}"));
	json_object_put(client_ok(stage.c, "instance-shutdown", "{'instance': 'm19'}"));
	json_object_put(client_ok(stage.c, "instance-stop", "{'instance': 'm07'}"));
	stage_check_state("m07", "shutoff", "admin");
}
END_TEST

/* ---- runtime.json ---- */

/* Somebody else's process. */
static pid_t stranger_new(void)
{
	pid_t self = getpid(), pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == self)
			pause();
		_exit(0);
	}
	return pid;
}

/* It must be alive still. */
static void stranger_end(pid_t pid)
{
	int status;

	ck_assert_msg(waitpid(pid, &status, WNOHANG) == 0, "the stranger was ended, wait status %#x", status);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
}

enum damage { EMPTY, HALF, NOT_JSON, VERSION, ANOTHER_PID, ANOTHER_TIME, ANOTHER_BOOT, MISSING, DAMAGES };

static void damage_record(enum damage damage, pid_t stranger)
{
	static const char file[] = "run/instances/web/runtime.json";
	_cleanup_free_ char *text = rig_file(stage.r, "%s", file), *changed = NULL, *path = NULL;
	_cleanup_json_ struct json_object *o = json_tokener_parse(text);
	struct json_object *process = at(o, "process");

	switch (damage) {
	case EMPTY:
		changed = xstrdup("");
		break;
	case HALF:
		changed = xstrndup(text, strlen(text) / 2);
		break;
	case NOT_JSON:
		changed = xstrdup("\x7f"
				  "ELF\n");
		break;
	case VERSION:
		json_object_object_add(o, "version", json_object_new_int(99));
		break;
	case ANOTHER_PID:
		json_object_object_add(process, "pid", json_object_new_int(stranger));
		json_object_object_add(process, "start-time",
				       json_object_new_int64((int64_t)process_start_time(stranger)));
		break;
	case ANOTHER_TIME:
		json_object_object_add(process, "start-time", json_object_new_int(1));
		break;
	case ANOTHER_BOOT:
		json_object_object_add(process, "boot-id",
				       json_object_new_string("8b0ae2b0-3a0a-4f3f-9d5b-6ea4f6c0c8f1"));
		break;
	case MISSING:
		path = xasprintf("%s/%s", stage.r->root, file);
		ck_assert_int_eq(unlink(path), 0);
		return;
	case DAMAGES:
		break;
	}
	if (!changed)
		changed = json_print(o);
	stage_write(file, changed);
}

/* To a machine of which it is not known what it runs with nothing can be added, nor to its vCPUs and memory yet. */
static void check_hotplug(struct json_object *o)
{
	static const char *const devices[] = { "hotplug.disk", "hotplug.nic" };
	bool known = has(o, "runtime");

	for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
		if (known)
			ck_assert(json_object_is_type(at(o, devices[i]), json_type_boolean) &&
				  json_object_get_boolean(at(o, devices[i])));
		else
			ck_assert_ptr_nonnull(strstr(str_at(o, devices[i]), "Unsupported: "));
	ck_assert_str_eq(str_at(o, "hotplug.vcpus"), "Unsupported: this version cannot");
	ck_assert_str_eq(str_at(o, "hotplug.memory"), "Unsupported: this version cannot");
}

/* QEMU runs: the lock says whose it is, whatever the record says. It is known, and no second one is started. */
START_TEST(record_is_damaged)
{
	_cleanup_json_ struct json_object *o = NULL;
	pid_t stranger = stranger_new(), pid;

	set_running("");
	pid = stage_pid("web");
	stage_kill();
	damage_record((enum damage)_i, stranger);
	stage_restart();
	client_await_state(stage.c, "web", "running", "booted");
	ck_assert_int_eq(stage_pid("web"), pid);
	ck_assert_int_eq(stage_holder("web"), pid);
	o = stage_show("web");
	if (has(o, "runtime.process.pid"))
		ck_assert_int_eq(int_at(o, "runtime.process.pid"), pid);
	check_hotplug(o);
	json_object_put(client_ok(stage.c, "instance-start", WEB));
	ck_assert_int_eq(stage_pid("web"), pid);
	stage_await_text("droverd.log", "runtime.json");
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	stage_check_state("web", "shutoff", "admin");
	stage_check_unchanged();
	stranger_end(stranger);
}
END_TEST

/* No QEMU runs: a record that names a stranger's process is a leftover. */
START_TEST(record_of_nothing_is_damaged)
{
	pid_t stranger = stranger_new(), pid;

	set_running("");
	pid = stage_pid("web");
	stage_kill();
	kill(pid, SIGKILL);
	stage_await_text("run/instances/web/exit.json", "}");
	damage_record((enum damage)_i, stranger);
	stage_restart();
	stage_settle();
	ck_assert_int_eq(stage_pid("web"), 0);
	stage_check_state("web", "crashed", "signal 9");
	stage_check_unchanged();
	stage_start("web");
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	stage_check_unchanged();
	stranger_end(stranger);
}
END_TEST

/* ---- other files ---- */

#define ONE_DISK(members)                                                                      \
	"{\"name\": \"bad\", \"uuid\": \"5f1c2f0e-8a55-4a6e-9f53-0c2b6a1d9e10\", \"disks\": [" \
	"{\"name\": \"disk0\", \"path\": \"/dev/null\", " members "}]}"

START_TEST(definition_is_damaged)
{
	static const char *const texts[] = {
		"",
		"{\"name\": \"bad\"",
		"[]",
		"not JSON\n",
		"{\"name\": \"other\", \"uuid\": \"5f1c2f0e-8a55-4a6e-9f53-0c2b6a1d9e10\"}",
		"{\"name\": \"bad\", \"uuid\": \"5f1c2f0e-8a55-4a6e-9f53-0c2b6a1d9e10\", \"vcpus\": \"many\"}",
		"{\"name\": \"bad\", \"uuid\": \"5f1c2f0e-8a55-4a6e-9f53-0c2b6a1d9e10\", \"layout\": 99}",
		/* Edited by hand: a disk that sits nowhere, one that is no device of QEMU's, a card without an address. */
		ONE_DISK("\"uuid\": \"932df160-22a7-4067-a566-7e0ca8386133\""),
		ONE_DISK(
			"\"uuid\": \"932df160-22a7-4067-a566-7e0ca8386133\", \"hvinfo\": {\"driver\": \"foo\", \"id\": "
			"\"disk-932df160-22a7-4067\"}"),
		"{\"name\": \"bad\", \"uuid\": \"5f1c2f0e-8a55-4a6e-9f53-0c2b6a1d9e10\", \"nics\": [{\"name\": "
		"\"nic0\", "
		"\"uuid\": \"932df160-22a7-4067-a566-7e0ca8386133\"}]}",
	};
	pid_t pid;

	set_running("");
	pid = stage_pid("web");
	stage_define("bad", "%s", "ro");
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_json_ struct json_object *list = NULL, *o = NULL;

		stage_kill();
		stage_write("lib/instances/bad/definition.json", texts[i]);
		stage_restart();
		list = client_ok(stage.c, "query-instances", NULL);
		ck_assert_int_eq((int)json_object_array_length(list), 2);
		ck_assert_str_eq(str_at(list, "0.name"), "bad");
		ck_assert_msg(has(list, "0.error.desc"), "%s: %s", texts[i], json_object_to_json_string(list));
		o = stage_show("bad");
		ck_assert(has(o, "error.desc"));
		json_object_put(client_error(stage.c, "WrongState", "instance-start", "{'instance': 'bad'}"));
		client_await_state(stage.c, "web", "running", "booted");
		ck_assert_int_eq(stage_pid("web"), pid);
	}
	/* It can be written anew, and taken away. */
	stage_define("bad", "%s", "ro");
	stage_start("bad");
	json_object_put(client_ok(stage.c, "instance-undefine", "{'instance': 'bad', 'force': true}"));
}
END_TEST

/* One whose definition cannot be read any more, and which runs: it can be stopped, and nobody else gets its uuid. */
START_TEST(definition_of_a_running_one_is_damaged)
{
	_cleanup_json_ struct json_object *o = NULL, *was = NULL;
	pid_t pid;

	set_running("");
	pid = stage_pid("web");
	was = stage_show("web");
	stage_kill();
	stage_write("lib/instances/web/definition.json", "garbage");
	stage_restart();
	client_await_state(stage.c, "web", "running", "booted");
	o = stage_show("web");
	ck_assert(has(o, "error.desc"));
	ck_assert_int_eq(stage_holder("web"), pid);
	json_object_put(client_error(stage.c, "Exists", "instance-define",
				     "{'definition': {'name': 'other', 'uuid': '%s'}}", str_at(was, "uuid")));
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	stage_check_unchanged();
}
END_TEST

START_TEST(marker_is_damaged)
{
	static const char *const texts[] = {
		"",
		"{\"version\": 1",
		"{}",
		"{\"version\": 99}",
		"{\"version\": 1, \"command\": \"no-such\", \"job-id\": \"#1\", \"subject\": \"instance-web\", "
		"\"arguments\": {}}",
		"{\"version\": 1, \"command\": \"query-jobs\", \"job-id\": \"#1\", \"subject\": \"instance-web\", "
		"\"arguments\": {}}",
		"{\"version\": 1, \"command\": \"instance-stop\", \"job-id\": \"#1\", \"subject\": \"instance-web\", "
		"\"arguments\": {\"instance\": 3}}",
	};
	pid_t pid;

	set_running("");
	pid = stage_pid("web");
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_free_ char *aside = NULL;

		stage_kill();
		stage_write("run/operations/instance-web.json", texts[i]);
		stage_restart();
		aside = rig_file(stage.r, "run/operations/.bad-instance-web.json");
		ck_assert_msg(aside && str_eq(aside, texts[i]), "'%s' is not aside", texts[i]);
		stage_await_text("droverd.log", "moved aside");
		client_await_state(stage.c, "web", "running", "booted");
		ck_assert_int_eq(stage_pid("web"), pid);
	}
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
}
END_TEST

/* What has no instance is told of and left alone; names that are none hurt nobody. */
START_TEST(strays)
{
	_cleanup_free_ char *there = NULL, *new = NULL;
	_cleanup_json_ struct json_object *list = NULL;

	set_running("");
	stage_kill();
	new = xasprintf("%s/lib/instances/.new-half", stage.r->root);
	ck_assert(file_make_dirs(new, 0700, NULL));
	there = xasprintf("%s/run/instances/unknown", stage.r->root);
	ck_assert(file_make_dirs(there, 0700, NULL));
	stage_write("lib/instances/.new-half/definition.json", "{}");
	stage_write("lib/instances/file", "");
	stage_write("run/instances/unknown/runtime.json", "{}");
	stage_write("run/operations/.instance-web.json.new", "{");
	stage_restart();
	list = client_ok(stage.c, "query-instances", "{'fields': ['state']}");
	stage_await_text("droverd.log", "'unknown'");
	ck_assert_int_ne(access(new, F_OK), 0);
	ck_assert_int_eq(access(there, F_OK), 0);
	client_await_state(stage.c, "web", "running", "booted");
}
END_TEST

static void make_dir(const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", stage.r->root, name);

	ck_assert(file_make_dirs(path, 0700, NULL));
}

#define ENTRY "web-20261129T115316.042Z"

/* Of the last droverd: one end came behind the copy was put in place, an earlier one, of the host, in the middle of it. */
START_TEST(quarantine_goes_on)
{
	_cleanup_json_ struct json_object *o = NULL;

	stage_set("%s", "");
	stage_kill();
	make_dir("run/quarantine/" ENTRY);
	make_dir("lib/quarantine/" ENTRY "/q");
	make_dir("lib/quarantine/.new-web-20261128T000000.000Z/q");
	stage_write("run/quarantine/" ENTRY "/core", "copied");
	stage_write("lib/quarantine/" ENTRY "/q/core", "copied");
	stage_write("lib/quarantine/" ENTRY "/list", "100644 5:5 6 kept core\n010644 5:5 0 left pipe\n");
	stage_restart();
	stage_await_text("droverd.log", "quarantine/" ENTRY "'");
	o = client_ok(stage.c, "query-events", "{'since': 0}");
	ck_assert_msg(strstr(json_object_to_json_string(o), "\"files\": 1"), "%s", json_object_to_json_string(o));
	ck_assert(!stage_is_there("run/quarantine/" ENTRY) &&
		  !stage_is_there("lib/quarantine/.new-web-20261128T000000.000Z"));
	ck_assert(stage_is_there("lib/quarantine/" ENTRY "/q/core") && stage_is_there("lib/quarantine/" ENTRY "/list"));
}
END_TEST

static Suite *make(void)
{
	static const struct {
		const char *name;
		const TTest *const *tests[8];
		int times;
	} cases[] = {
		{ "meanwhile",
		  { &guest_goes_on, &guest_powered_off, &guest_powered_off_before, &guest_panicked, &qemu_ended,
		    &qemu_and_keeper_ended, &one_of_many_is_silent } },
		{ "records", { &record_is_damaged, &record_of_nothing_is_damaged }, DAMAGES },
		{ "files",
		  { &definition_is_damaged, &definition_of_a_running_one_is_damaged, &marker_is_damaged, &strays,
		    &quarantine_goes_on } },
	};
	Suite *s = suite_create("recovery");

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		TCase *tc = tcase_create(cases[i].name);

		tcase_add_checked_fixture(tc, NULL, stage_clear);
		for (size_t k = 0; cases[i].tests[k]; k++)
			tcase_add_loop_test(tc, *cases[i].tests[k], 0, cases[i].times ? cases[i].times : 1);
		suite_add_tcase(s, tc);
	}
	return s;
}

RIG_MAIN(make)
