/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * States and reasons that no small guest can bring about, what may be asked in which, causes that coincide, monitors
 * that are lost beside a living QEMU, and ends that nobody saw.
 */
#include "base/file.h"
#include "stage.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WEB "{'instance': 'web'}"

/* Starts it, whatever it is then. */
static void start(const char *words)
{
	stage_set("%s", "");
	stage_define("web", "%s", words);
	json_object_put(client_ok(stage.c, "instance-start", WEB));
}

static int64_t now(void)
{
	_cleanup_json_ struct json_object *o = client_ok(stage.c, "query-events", NULL);

	return int_at(o, "last");
}

/* "state/status/reason" of each change since SEQ, one a line. */
static char *states(int64_t seq)
{
	_cleanup_json_ struct json_object *o = client_ok(stage.c, "query-events", "{'since': %lld}", (long long)seq);
	struct json_object *list = at(o, "events");
	char *text = xstrdup("");

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *event = json_object_array_get_idx(list, i);
		_cleanup_free_ char *old = NULL;

		if (!str_eq(str_at(event, "event"), "INSTANCE_STATE"))
			continue;
		old = text;
		text = xasprintf("%s%s/%s/%s\n", old, str_at(event, "data.state"), str_at(event, "data.status"),
				 str_at(event, "data.reason"));
	}
	return text;
}

/* ---- the table ---- */

enum may { NO, SAME, YES }; /* WrongState; changed: false; changed: true */

static const struct {
	const char *words, *state, *status, *reason;
	enum may start, pause, resume, reset, nmi;
} table[] = {
	{ "ro", "running", "running", "booted", SAME, YES, SAME, YES, YES },
	{ "fake.state=cont+:paused", "paused", "paused", "admin", NO, SAME, YES, YES, NO },
	{ "fake.state=cont+:watchdog", "paused", "watchdog", "watchdog", NO, SAME, YES, YES, NO },
	{ "fake.state=cont+:debug", "paused", "debug", "debug", NO, SAME, YES, YES, NO },
	{ "fake.state=cont+:colo", "paused", "colo", "admin", NO, SAME, YES, YES, NO },
	{ "fake.state=cont+:inmigrate", "paused", "inmigrate", "incoming", NO, SAME, NO, NO, NO },
	{ "fake.state=cont+:finish-migrate", "paused", "finish-migrate", "migration", NO, SAME, NO, NO, NO },
	{ "fake.state=cont+:postmigrate", "paused", "postmigrate", "migration", NO, SAME, NO, NO, NO },
	{ "fake.state=cont+:save-vm", "paused", "save-vm", "snapshot", NO, SAME, NO, NO, NO },
	{ "fake.state=cont+:restore-vm", "paused", "restore-vm", "snapshot", NO, SAME, NO, NO, NO },
	{ "fake.state=cont+:io-error", "blocked", "io-error", "io-error", NO, NO, YES, YES, NO },
	{ "fake.state=cont+:no-space", "blocked", "io-error", "no-space", NO, NO, YES, YES, NO },
	{ "fake.state=cont+:unheard", "blocked", "io-error", "no-space", NO, NO, YES, YES, NO },
	{ "fake.state=cont+:suspended", "pmsuspended", "suspended", "guest", NO, NO, YES, YES, NO },
	{ "fake.state=cont+:guest-panicked", "crashed", "guest-panicked", "panic", NO, NO, NO, YES, NO },
	{ "fake.state=cont+:internal-error", "crashed", "internal-error", "internal-error", NO, NO, NO, YES, NO },
};

static const struct {
	const char *command, *reason; /* it runs with, afterwards */
} commands[] = {
	{ "instance-start", NULL },    { "instance-pause", NULL }, { "instance-resume", "resumed" },
	{ "instance-reset", "reset" }, { "instance-nmi", NULL },
};

static void expect(int i)
{
	client_await_state(stage.c, "web", table[i].state, table[i].reason);
	{
		_cleanup_json_ struct json_object *o = stage_show("web");

		ck_assert_str_eq(str_at(o, "status"), table[i].status);
		ck_assert_str_eq(str_at(o, "monitor"), "ok");
	}
}

static void ask(int i, size_t command, enum may may)
{
	const char *name = commands[command].command, *reason = commands[command].reason;
	_cleanup_json_ struct json_object *o = NULL;

	start(table[i].words);
	expect(i);
	if (may == NO) {
		o = client_error(stage.c, "WrongState", name, WEB);
		ck_assert_msg(str_eq(name, "instance-start") || strchr(str_at(o, "desc"), ';'), "no way out: %s",
			      str_at(o, "desc"));
		expect(i);
	} else {
		o = client_ok(stage.c, name, WEB);
		ck_assert_int_eq(json_get_bool(o, "changed", false), may == YES);
		if (may == SAME)
			expect(i);
		else if (reason && str_eq(table[i].state, "pmsuspended") && str_eq(reason, "resumed"))
			client_await_state(stage.c, "web", "running", "woken");
		else if (reason && str_eq(table[i].state, "paused") && str_eq(reason, "reset"))
			client_await_state(stage.c, "web", "paused", table[i].reason);
		else if (reason)
			client_await_state(stage.c, "web", "running", reason);
	}
	stage_clear();
}

START_TEST(what_may_be_asked)
{
	ask(_i, 0, table[_i].start);
	ask(_i, 1, table[_i].pause);
	ask(_i, 2, table[_i].resume);
	ask(_i, 3, table[_i].reset);
	ask(_i, 4, table[_i].nmi);
}
END_TEST

/* The next droverd knows it as well: what it recalls is not changed by what it is told. */
START_TEST(found_again)
{
	start(table[_i].words);
	expect(_i);
	for (int i = 0; i < 2; i++) {
		stage_restart();
		expect(_i);
	}
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	stage_check_state("web", "shutoff", "admin");
}
END_TEST

START_TEST(disk_full_unseen)
{
	pid_t pid;

	start("ro");
	pid = stage_pid("web");
	stage_kill();
	kill(pid, SIGHUP);
	stage_await_text("run/instances/web/events.log", "BLOCK_IO_ERROR");
	stage_restart();
	client_await_state(stage.c, "web", "blocked", "no-space");
}
END_TEST

/* A pause and a reset at once, a resume and a reset at once, again and again: no change is told with another one's
 * reason. */
START_TEST(causes_that_coincide)
{
	static const char *const pairs[][2] = { { "instance-pause", "instance-reset" },
						{ "instance-resume", "instance-reset" },
						{ "instance-reset", "instance-pause" },
						{ "instance-reset", "instance-resume" } };

	start("ro");
	for (int i = 0; i < 100; i++) {
		const char *const *pair = pairs[i % ARRAY_SIZE(pairs)];
		_cleanup_json_ struct json_object *o = NULL;
		int first = client_send(stage.c, pair[0], WEB), second = client_send(stage.c, pair[1], WEB);

		json_object_put(client_reply(stage.c, first));
		json_object_put(client_reply(stage.c, second));
		o = stage_show("web");
		if (i % 2 == 0)
			ck_assert_str_eq(str_at(o, "state"), "paused");
		if (i % 2 == 0)
			ck_assert_str_eq(str_at(o, "reason"), "admin");
		else
			ck_assert_msg(str_eq(str_at(o, "reason"), "resumed") || str_eq(str_at(o, "reason"), "reset"),
				      "%s", str_at(o, "reason"));
	}
}
END_TEST

/* ---- ends ---- */

START_TEST(exit_with_a_status)
{
	_cleanup_json_ struct json_object *o = NULL;

	start("fake.exit=stop:3 fake.say=no_more");
	client_send(stage.c, "instance-pause", WEB);
	client_await_state(stage.c, "web", "crashed", "exit 3");
	stage_settle();
	o = stage_show("web");
	ck_assert_int_eq(int_at(o, "last.exit.status"), 3);
	ck_assert_ptr_nonnull(strstr(str_at(o, "last.log"), "no more"));
}
END_TEST

/* One that ends while it is started has never run: it is not a crash. */
START_TEST(end_of_a_start)
{
	_cleanup_free_ char *told = NULL;
	int64_t seq;

	stage_set("%s", "");
	stage_define("web", "%s", "fake.exit=cont:3");
	seq = now();
	json_object_put(client_error(stage.c, "QemuError", "instance-start", WEB));
	told = states(seq);
	ck_assert_str_eq(told, "nostate//starting\npaused/prelaunch/starting\nshutoff//failed\n");
}
END_TEST

/* Somebody's SIGTERM, and QEMU hangs on its way out, as 7.2 does where one of its monitors was just asked something. */
START_TEST(sigterm_and_hang)
{
	pid_t pid;

	start("fake.event=query-uuid:SHUTDOWN:{`guest`:false,`reason`:`host-signal`} fake.hang=query-uuid "
	      "fake.term=ignore");
	pid = stage_pid("web");
	client_send(stage.c, "instance-qmp", "{'instance': 'web', 'execute': 'query-uuid'}");
	client_await_state(stage.c, "web", "shutoff", "host");
	process_await_end(pid);
	stage_settle();
}
END_TEST

/* A QEMU that is told to go closes its monitors a while before it is gone: that is no news of the guest, which is down. */
START_TEST(linger_behind_monitors)
{
	_cleanup_free_ char *seen = NULL;
	int64_t seq;

	start("fake.linger=quit:1500");
	seq = now();
	json_object_put(client_ok(stage.c, "instance-shutdown", "{'instance': 'web'}"));
	seen = states(seq);
	ck_assert_str_eq(seen, "shutdown/shutdown/admin\nshutoff//admin\n");
}
END_TEST

/* The log of the second monitor is QEMU's: whatever it holds, the rest is read. */
START_TEST(log_of_garbage)
{
	static const char garbage[] =
		"{\"event\": \"SHUTDOWN\", \"timestamp\"\n\n\x01\xff{\"event\"}\n{\"event\": 3}\n[]\n"
		"{\"timestamp\": {\"seconds\": 99999999999}, \"event\": \"RESET\", \"data\": 1}\n";
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	pid_t pid;

	start("ro");
	pid = stage_pid("web");
	stage_kill();
	path = xasprintf("%s/run/instances/web/events.log", stage.r->root);
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	ck_assert_int_eq(write(fd, garbage, sizeof(garbage) - 1), sizeof(garbage) - 1);
	ck_assert_int_eq(write(fd, "\n", 1), 1);
	kill(pid, SIGHUP);
	stage_await_text("run/instances/web/events.log", "BLOCK_IO_ERROR");
	stage_restart();
	client_await_state(stage.c, "web", "blocked", NULL);
	ck_assert_int_eq(stage_pid("web"), pid);
}
END_TEST

/* While it is watched it does not grow without end. */
START_TEST(log_is_bounded)
{
	enum { BOUND = 256 << 10, POLL_US = 5000, POLLS = RIG_DEADLINE_MS * 1000 / POLL_US };
	_cleanup_free_ char *path = NULL, *text = NULL;

	start("fake.flood=stop:4000");
	path = xasprintf("%s/run/instances/web/events.log", stage.r->root);
	json_object_put(client_ok(stage.c, "instance-pause", WEB));
	for (int i = 0; i < POLLS; i++) {
		free(text);
		text = rig_file(stage.r, "run/instances/web/events.log");
		if (strlen(text) < BOUND)
			break;
		usleep(POLL_US);
	}
	ck_assert_uint_lt(strlen(text), BOUND);
}
END_TEST

/* ---- a monitor that is lost ---- */

static void move(const char *from, const char *to)
{
	_cleanup_free_ char *old = xasprintf("%s/run/instances/web/%s", stage.r->root, from);
	_cleanup_free_ char *new = xasprintf("%s/run/instances/web/%s", stage.r->root, to);

	ck_assert_int_eq(rename(old, new), 0);
}

/* QEMU hung up, and takes the next connection at once: nothing is to be seen of it. What it did is found out. */
START_TEST(hang_up)
{
	_cleanup_free_ char *told = NULL;
	_cleanup_json_ struct json_object *o = NULL;
	int64_t seq;

	start("fake.silent=stop fake.hangup=stop+");
	seq = now();
	o = client_ok(stage.c, "instance-pause", WEB);
	ck_assert_str_eq(str_at(o, "state"), "paused");
	told = states(seq);
	ck_assert_str_eq(told, "paused/paused/admin\n");
	json_object_put(o);
	o = stage_show("web");
	ck_assert_str_eq(str_at(o, "monitor"), "ok");
}
END_TEST

/* It did not do what it was asked. */
START_TEST(hang_up_before)
{
	start("fake.hangup=stop");
	json_object_put(client_error(stage.c, "Timeout", "instance-pause", WEB));
	stage_check_state("web", "running", "booted");
}
END_TEST

/* Nobody can connect for a while; then all is as it was, and what waited goes on. */
START_TEST(monitor_lost)
{
	_cleanup_json_ struct json_object *o = NULL, *reply = NULL;
	_cleanup_free_ char *told = NULL;
	int64_t seq;
	int id;
	pid_t pid;

	start("fake.silent=stop fake.hangup=stop+");
	pid = stage_pid("web");
	seq = now();
	move("qmp.sock", "away");
	id = client_send(stage.c, "instance-pause", WEB);
	client_await_state(stage.c, "web", "nostate", "monitor-lost");
	o = stage_show("web");
	ck_assert_str_eq(str_at(o, "monitor"), "gone");
	ck_assert_int_eq(int_at(o, "pid"), pid);
	json_object_put(client_error(stage.c, "WrongState", "instance-reset", WEB));
	move("away", "qmp.sock");
	reply = client_reply(stage.c, id);
	ck_assert_msg(str_eq(str_at(reply, "return.state"), "paused"), "%s", json_object_to_json_string(reply));
	told = states(seq);
	ck_assert_str_eq(told, "nostate//monitor-lost\npaused/paused/admin\n");
}
END_TEST

START_TEST(monitor_lost_and_found_by_the_next)
{
	start("fake.hangup=stop");
	move("qmp.sock", "away");
	client_send(stage.c, "instance-pause", WEB);
	client_await_state(stage.c, "web", "nostate", "monitor-lost");
	stage_restart();
	client_await_state(stage.c, "web", "nostate", "monitor-lost");
	move("away", "qmp.sock");
	client_await_state(stage.c, "web", "running", "booted");
}
END_TEST

/* The end of the process ends all of it. */
START_TEST(monitor_lost_and_killed)
{
	_cleanup_json_ struct json_object *reply = NULL;
	int id;

	start("fake.hangup=stop");
	move("qmp.sock", "away");
	id = client_send(stage.c, "instance-pause", WEB);
	client_await_state(stage.c, "web", "nostate", "monitor-lost");
	if (_i)
		json_object_put(client_ok(stage.c, "instance-stop", WEB));
	else
		kill(stage_pid("web"), SIGKILL);
	reply = client_reply(stage.c, id);
	ck_assert_str_eq(str_at(reply, "error.class"), "GuestGone");
	if (_i)
		client_await_state(stage.c, "web", "shutoff", "admin");
	else
		client_await_state(stage.c, "web", "crashed", "signal 9");
}
END_TEST

START_TEST(monitor_slow)
{
	_cleanup_json_ struct json_object *o = NULL;

	stage_set("%s", "instance-pause/0/before/expire");
	stage_define("web", "fake.hold=stop:%s/go", stage.r->root);
	stage_start("web");
	/* Asked behind the start; an answer to it would be one since. */
	json_object_put(stage_await_answer("query-named-block-nodes"));
	stage_await_quiet();
	client_send(stage.c, "instance-pause", WEB);
	for (;;) {
		o = stage_show("web");
		if (!str_eq(str_at(o, "monitor"), "ok"))
			break;
		json_object_put(o);
	}
	ck_assert_str_eq(str_at(o, "monitor"), "slow");
	ck_assert_str_eq(str_at(o, "state"), "running");
	stage_write("go", "");
	client_await_state(stage.c, "web", "paused", "admin");
	json_object_put(o);
	o = stage_show("web");
	ck_assert_str_eq(str_at(o, "monitor"), "ok");
}
END_TEST

static TCase *part(Suite *s, const char *name)
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, NULL, stage_clear);
	suite_add_tcase(s, tc);
	return tc;
}

static Suite *suite(void)
{
	Suite *s = suite_create("reasons");
	TCase *tc = part(s, "table");

	tcase_add_loop_test(tc, what_may_be_asked, 0, ARRAY_SIZE(table));
	tcase_add_loop_test(tc, found_again, 0, ARRAY_SIZE(table));
	tcase_add_test(tc, disk_full_unseen);
	tcase_add_test(tc, causes_that_coincide);
	tc = part(s, "ends");
	tcase_add_test(tc, exit_with_a_status);
	tcase_add_test(tc, end_of_a_start);
	tcase_add_test(tc, sigterm_and_hang);
	tcase_add_test(tc, linger_behind_monitors);
	tcase_add_test(tc, log_of_garbage);
	tcase_add_test(tc, log_is_bounded);
	tc = part(s, "monitors");
	tcase_add_test(tc, hang_up);
	tcase_add_test(tc, hang_up_before);
	tcase_add_test(tc, monitor_lost);
	tcase_add_test(tc, monitor_lost_and_found_by_the_next);
	tcase_add_loop_test(tc, monitor_lost_and_killed, 0, 2);
	tcase_add_test(tc, monitor_slow);
	return s;
}

RIG_MAIN(suite)
