/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What droverd does when QEMU does not do as it should: ends, is silent, slow, wrong, or talks too much; and when
 * the guest has a will of its own. Each ends with nothing left that should not be.
 */
#include "stage.h"

#include <signal.h>
#include <string.h>

#define WEB "{'instance': 'web'}"

/* Lets the two waits of a stop, for a QEMU that does not obey, pass at once. */
#define STOP_FAST "instance-stop/ask QEMU to quit/before/expire;instance-stop/terminate QEMU/before/expire"
/* The reply to cont is late as soon as it is asked for. */
#define CONT_LATE "instance-start/run the guest/before/expire"
/* As by SIGSTOP, and the second monitor does not answer just before either. */
#define FROZEN "fake.freeze=cont fake.silent=query-yank"

/* A start that fails with CLASS and leaves the world as it was. The error; the caller's. */
static struct json_object *fail_to_start(const char *class, const char *words)
{
	struct json_object *e;

	stage_define("web", "%s", words);
	stage_mark();
	e = client_error(stage.c, class, "instance-start", WEB);
	ck_assert_msg(json_get_bool(e, "undone", false), "not undone: %s", json_object_to_json_string(e));
	stage_check_unchanged();
	return e;
}

static void check_says(struct json_object *e, const char *member, const char *text)
{
	ck_assert_msg(strstr(str_at(e, member), text), "'%s' has no '%s': %s", member, text,
		      json_object_to_json_string(e));
}

/* ---- QEMU that ends ---- */

START_TEST(ends_at_once)
{
	_cleanup_json_ struct json_object *e = NULL, *o = NULL;

	stage_set("%s", "");
	e = fail_to_start("QemuError", "fake.say=no_machine_of_this_name fake.exit=start:3");
	check_says(e, "log", "no machine of this name");
	check_says(e, "desc", "status 3");
	stage_check_state("web", "shutoff", "failed");
	o = stage_show("web");
	check_says(o, "last.log", "no machine of this name");
}
END_TEST

/* Where it ends before it runs, the start fails and says so; later it has started and then crashed. */
START_TEST(ends_in_each_phase)
{
	static const struct {
		const char *words, *class, *state, *reason;
	} rows[] = {
		{ "fake.exit=start:0", "QemuError", "shutoff", "failed" },
		{ "fake.kill=start:11", "QemuError", "shutoff", "failed" },
		{ "fake.exit=greeting:1", "QemuError", "shutoff", "failed" },
		{ "fake.kill=greeting:9", "QemuError", "shutoff", "failed" },
		{ "fake.exit=qmp_capabilities:1", "QemuError", "shutoff", "failed" },
		{ "fake.kill=qmp_capabilities+:6", "QemuError", "shutoff", "failed" },
		{ "fake.exit=query-status#1:1", "QemuError", "shutoff", "failed" },
		{ "fake.exit=cont:1", "QemuError", "shutoff", "failed" },
		{ "fake.kill=cont:31", "QemuError", "shutoff", "failed" },
		{ "fake.kill=cont+:9", NULL, "crashed", "signal 9" },
		{ "fake.exit=cont+:7", NULL, "crashed", "exit 7" },
		{ "fake.exit=cont+:0", NULL, "shutoff", "host" },
		{ "fake.kill=query-status#2:11", NULL, "crashed", "signal 11" },
	};

	stage_set("%s", "");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_json_ struct json_object *reply = NULL;

		stage_define("web", "%s", rows[i].words);
		stage_mark();
		reply = client_reply(stage.c, client_send(stage.c, "instance-start", WEB));
		if (rows[i].class)
			ck_assert_msg(has(reply, "error") && str_eq(str_at(reply, "error.class"), rows[i].class),
				      "%s: %s", rows[i].words, json_object_to_json_string(reply));
		else
			client_await_state(stage.c, "web", rows[i].state, rows[i].reason);
		stage_settle();
		stage_check_unchanged();
		stage_check_state("web", rows[i].state, rows[i].reason);
	}
}
END_TEST

START_TEST(crashes_later)
{
	stage_set("%s", "");
	stage_define("web", "%s", "ro");
	stage_mark();
	stage_start("web");
	kill(stage_pid("web"), SIGSEGV);
	client_await_state(stage.c, "web", "crashed", "signal 11");
	stage_settle();
	stage_check_unchanged();
	stage_start("web");
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	stage_check_unchanged();
}
END_TEST

/* ---- QEMU that is wrong ---- */

START_TEST(refuses_to_run)
{
	_cleanup_json_ struct json_object *e = NULL;

	stage_set("%s", "");
	e = fail_to_start("QemuError", "fake.error=cont:GenericError:the_disk_is_locked");
	check_says(e, "desc", "the disk is locked");
	ck_assert_str_eq(str_at(e, "step"), "run the guest");
	stage_check_state("web", "shutoff", "failed");
}
END_TEST

START_TEST(is_no_qemu)
{
	static const char *const words[] = {
		"fake.greeting=garbage",
		"fake.lie=query-status",
		"fake.error=qmp_capabilities:GenericError:no",
		"fake.error=query-status:CommandNotFound:no",
		"fake.hangup=query-status#1",
	};

	stage_set("%s", "");
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		json_object_put(fail_to_start("QemuError", words[i]));
		stage_check_state("web", "shutoff", "failed");
	}
}
END_TEST

/* Neither how its bytes come nor an answer too many matters. */
START_TEST(is_odd)
{
	stage_set("%s", "");
	stage_define("web", "%s", "fake.chunk=1 fake.twice=query-status fake.twice=cont");
	stage_mark();
	stage_start("web");
	json_object_put(client_ok(stage.c, "instance-pause", WEB));
	stage_check_state("web", "paused", "admin");
	json_object_put(client_ok(stage.c, "instance-resume", WEB));
	stage_check_state("web", "running", "resumed");
	json_object_put(client_ok(stage.c, "instance-shutdown", WEB));
	stage_check_state("web", "shutoff", "admin");
	stage_check_unchanged();
}
END_TEST

START_TEST(floods)
{
	enum { LISTINGS = 50, EVENTS = 5000 };
	int start, ids[LISTINGS];

	stage_set("%s", "");
	stage_define("web", "fake.flood=cont:%d", EVENTS);
	start = client_send(stage.c, "instance-start", WEB);
	for (size_t i = 0; i < LISTINGS; i++)
		ids[i] = client_send(stage.c, "query-instances", NULL);
	for (size_t i = 0; i < LISTINGS; i++) {
		_cleanup_json_ struct json_object *o = client_reply(stage.c, ids[i]);

		ck_assert_str_eq(str_at(o, "return.0.name"), "web");
	}
	json_object_put(client_reply(stage.c, start));
	stage_check_state("web", "running", "booted");
	for (size_t i = 0; i < EVENTS; i++) {
		_cleanup_json_ struct json_object *o = client_event(stage.c, "QEMU_EVENT");

		ck_assert_str_eq(str_at(o, "data.event"), "RTC_CHANGE");
	}
}
END_TEST

/* ---- QEMU that is silent ---- */

/* A start that waits for the first word of QEMU is ended by a stop, and both are answered. */
START_TEST(never_greets)
{
	static const char *const words[] = { "fake.greeting=none", "fake.greeting=half", "fake.freeze=start",
					     "fake.silent=query-status fake.silent=quit", "fake.hang=query-status" };

	stage_set("instance-stop/ask QEMU to quit/before/expire!;instance-stop/terminate QEMU/before/expire!");
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		_cleanup_json_ struct json_object *started = NULL;
		int start;

		stage_define("web", "%s fake.term=ignore", words[i]);
		stage_mark();
		start = client_send(stage.c, "instance-start", WEB);
		stage_await_pid("web");
		json_object_put(client_ok(stage.c, "instance-stop", WEB));
		started = client_reply(stage.c, start);
		ck_assert_msg(str_eq(str_at(started, "error.class"), "Cancelled"), "%s: %s", words[i],
			      json_object_to_json_string(started));
		stage_check_unchanged();
		stage_check_state("web", "shutoff", "admin");
	}
}
END_TEST

static int start_stalled(const char *words)
{
	_cleanup_json_ struct json_object *e = NULL;
	char *job;
	int id;

	stage_set("%s", CONT_LATE ";" STOP_FAST);
	stage_define("web", "%s", words);
	stage_mark();
	e = client_error(stage.c, "Timeout", "instance-start", WEB);
	ck_assert(json_get_bool(e, "stalled", false));
	ck_assert(!json_get_bool(e, "undone", true));
	ck_assert_str_eq(str_at(e, "step"), "run the guest");
	job = xstrdup(str_at(e, "job-id"));
	id = (int)strtol(job + 1, NULL, 10);
	free(job);
	return id;
}

static struct json_object *job_of(int id)
{
	_cleanup_json_ struct json_object *jobs = client_ok(stage.c, "query-jobs", NULL);
	_cleanup_free_ char *name = xasprintf("#%d", id);

	for (size_t i = 0; i < json_object_array_length(jobs); i++)
		if (str_eq(str_at(json_object_array_get_idx(jobs, i), "id"), name))
			return json_object_get(json_object_array_get_idx(jobs, i));
	ck_abort_msg("no job '%s' in %s", name, json_object_to_json_string(jobs));
}

static struct json_object *await_job(int id)
{
	for (;;) {
		struct json_object *job = job_of(id);

		if (str_eq(str_at(job, "status"), "concluded"))
			return job;
		json_object_put(job);
		json_object_put(client_event(stage.c, "JOB_STATUS_CHANGE"));
	}
}

/* It keeps its place: other changes are refused at once, questions are answered, a stop ends it. */
START_TEST(stalls_and_is_stopped)
{
	int id = start_stalled(FROZEN);
	_cleanup_free_ char *name = xasprintf("#%d", id), *fake = rig_shared("fake-qemu");
	_cleanup_json_ struct json_object *o = stage_show("web"), *job = job_of(id);
	_cleanup_json_ struct json_object *busy = client_error(stage.c, "Busy", "instance-start", WEB);

	check_says(busy, "desc", name);
	ck_assert_str_eq(str_at(o, "operation.job-id"), name);
	ck_assert(json_get_bool(at(o, "operation"), "stalled", false));
	ck_assert(json_get_bool(job, "stalled", false));
	ck_assert(!json_get_bool(job, "cancellable", true));
	json_object_put(client_error(stage.c, "Busy", "instance-define",
				     "{'definition': {'name': 'web', 'hvparams': {'kvm_path': '%s'}}}", fake));
	json_object_put(client_error(stage.c, "Busy", "instance-shutdown", WEB));
	json_object_put(client_error(stage.c, "WrongState", "job-cancel", "{'id': '%s'}", name));
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	json_object_put(job);
	job = await_job(id);
	ck_assert_msg(has(job, "error"), "%s", json_object_to_json_string(job));
	stage_check_unchanged();
	stage_check_state("web", "shutoff", "admin");
	json_object_put(client_ok(stage.c, "job-dismiss", "{'id': '%s'}", name));
}
END_TEST

START_TEST(stalls_and_answers_late)
{
	int id = start_stalled(FROZEN);
	_cleanup_json_ struct json_object *job = NULL;

	kill(stage_pid("web"), SIGCONT);
	job = await_job(id);
	ck_assert_msg(json_get_bool(at(job, "result"), "changed", false), "%s", json_object_to_json_string(job));
	stage_check_state("web", "running", "booted");
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	stage_check_unchanged();
}
END_TEST

START_TEST(stalls_and_dies)
{
	int id = start_stalled(FROZEN);
	_cleanup_json_ struct json_object *job = NULL;

	kill(stage_pid("web"), SIGKILL);
	job = await_job(id);
	ck_assert_msg(str_eq(str_at(job, "error.class"), "QemuError"), "%s", json_object_to_json_string(job));
	stage_settle();
	stage_check_unchanged();
	stage_check_state("web", "shutoff", "failed");
}
END_TEST

/* droverd dies beside a stalled start: the next one asks QEMU what came of it, also when the answer is late. */
START_TEST(stalls_over_a_restart)
{
	int id = start_stalled(FROZEN);
	_cleanup_json_ struct json_object *job = NULL;
	pid_t pid = stage_pid("web");

	stage_restart();
	ck_assert_int_eq(stage_pid("web"), pid);
	kill(pid, SIGCONT);
	job = await_job(id);
	stage_settle();
	/* Whether QEMU took "cont" from the connection that was gone is chance. */
	if (has(job, "result")) {
		stage_check_state("web", "running", "booted");
		json_object_put(client_ok(stage.c, "instance-stop", WEB));
	}
	stage_check_unchanged();
}
END_TEST

/* The reply to a start whose commit is held until the second monitor has been asked; the caller's. */
static struct json_object *start_slowly(void)
{
	_cleanup_free_ char *gate = NULL;
	int start;

	stage_set("%s", CONT_LATE);
	gate = xasprintf("%s/gate", stage.r->root);
	stage_define("web", "fake.hold=cont:%s fake.record=%s/asked", gate, stage.r->root);
	start = client_send(stage.c, "instance-start", WEB);
	stage_await_text("asked", "qmp2 query-yank");
	stage_write("gate", "");
	return client_reply(stage.c, start);
}

/* The main loop is busy, the second monitor answers: it is slow, which is no error, and can be stopped. */
START_TEST(is_slow)
{
	enum { TRIES = 3 };
	_cleanup_json_ struct json_object *reply = start_slowly();

	/* The second monitor has a second for its answer, which a busy host may take. */
	for (int i = 1; i < TRIES && has(reply, "error.stalled"); i++) {
		json_object_put(reply);
		stage_clear();
		reply = start_slowly();
	}
	ck_assert_msg(has(reply, "return"), "%s", json_object_to_json_string(reply));
	stage_check_state("web", "running", "booted");
}
END_TEST

START_TEST(is_slow_and_is_stopped)
{
	_cleanup_json_ struct json_object *reply = NULL;
	int start;

	stage_set("%s", CONT_LATE ";" STOP_FAST);
	stage_define("web", "fake.hang=cont fake.record=%s/asked", stage.r->root);
	stage_mark();
	start = client_send(stage.c, "instance-start", WEB);
	stage_await_text("asked", "qmp2 query-yank");
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	reply = client_reply(stage.c, start);
	ck_assert_msg(has(reply, "error"), "%s", json_object_to_json_string(reply));
	stage_check_state("web", "shutoff", "admin");
}
END_TEST

/* ---- the guest ---- */

START_TEST(guest_ignores_the_button)
{
	_cleanup_json_ struct json_object *e = NULL, *o = NULL;

	stage_set("%s", "");
	stage_define("web", "%s", "fake.powerdown=ignore");
	stage_mark();
	stage_start("web");
	e = client_error(stage.c, "Timeout", "instance-shutdown", "{'instance': 'web', 'timeout': 0.1}");
	ck_assert_str_eq(str_at(e, "step"), "wait for the guest");
	stage_check_state("web", "running", "booted");
	o = client_ok(stage.c, "instance-shutdown", "{'instance': 'web', 'timeout': 0.1, 'then': 'stop'}");
	ck_assert_str_eq(str_at(o, "rung"), "stop");
	stage_check_state("web", "shutoff", "admin");
	stage_check_unchanged();
}
END_TEST

/* What it does after a shutdown that was given up is its own doing. */
START_TEST(guest_obeys_too_late)
{
	stage_set("%s", "");
	stage_define("web", "%s", "fake.powerdown=ignore");
	stage_mark();
	stage_start("web");
	json_object_put(client_error(stage.c, "Timeout", "instance-shutdown", "{'instance': 'web', 'timeout': 0.1}"));
	kill(stage_pid("web"), SIGUSR1);
	client_await_state(stage.c, "web", "shutoff", "guest");
	stage_settle();
	stage_check_unchanged();
}
END_TEST

START_TEST(guest_powers_off)
{
	_cleanup_json_ struct json_object *o = NULL;

	stage_set("%s", "");
	stage_define("web", "%s", "ro");
	stage_mark();
	stage_start("web");
	kill(stage_pid("web"), SIGUSR1);
	client_await_state(stage.c, "web", "shutdown", "guest");
	client_await_state(stage.c, "web", "shutoff", "guest");
	stage_settle();
	stage_check_unchanged();
	o = stage_show("web");
	ck_assert_str_eq(str_at(o, "last.reason"), "guest");
}
END_TEST

/* At every question of a start, the guest is off already when it is answered. */
START_TEST(guest_powers_off_at_once)
{
	stage_set("%s", "");
	stage_define("web", "%s", "fake.poweroff=cont+");
	stage_mark();
	json_object_put(client_reply(stage.c, client_send(stage.c, "instance-start", WEB)));
	client_await_state(stage.c, "web", "shutoff", "guest");
	stage_settle();
	stage_check_unchanged();
}
END_TEST

/* The process stays to be looked at; what a crashed guest takes is a reset or a stop. */
START_TEST(guest_panics)
{
	stage_set("%s", "");
	stage_define("web", "%s", "ro");
	stage_mark();
	stage_start("web");
	kill(stage_pid("web"), SIGUSR2);
	client_await_state(stage.c, "web", "crashed", "panic");
	ck_assert_int_ne(stage_pid("web"), 0);
	json_object_put(client_error(stage.c, "WrongState", "instance-start", WEB));
	json_object_put(client_error(stage.c, "WrongState", "instance-resume", WEB));
	json_object_put(client_ok(stage.c, "instance-reset", WEB));
	stage_check_state("web", "running", "reset");
	kill(stage_pid("web"), SIGUSR2);
	client_await_state(stage.c, "web", "crashed", "panic");
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	stage_check_unchanged();
}
END_TEST

/* The firmware's own reset may come twice; none of them is the guest's wish to end. */
START_TEST(firmware_resets_twice)
{
	stage_set("%s", "");
	stage_define("web", "%s", "ro fake.resets=30");
	json_object_put(client_ok(stage.c, "instance-modify",
				  "{'instance': 'web', 'patch': {'hvparams': {'on_reboot': 'stop'}}}"));
	stage_mark();
	stage_start("web");
	json_object_put(client_ok(stage.c, "instance-reset", WEB));
	stage_await_text("log/web.log", "reset again");
	json_object_put(client_ok(stage.c, "instance-qmp", "{'instance': 'web', 'execute': 'query-version'}"));
	stage_check_state("web", "running", "reset");
	/* and from now on a reboot is an end */
	json_object_put(
		client_ok(stage.c, "instance-qmp", "{'instance': 'web', 'execute': 'system_reset', 'unsafe': true}"));
	client_await_state(stage.c, "web", "shutoff", NULL);
	stage_settle();
	stage_check_unchanged();
}
END_TEST

/* A command that was answered was answered, also when QEMU ends while it is compared with its record. */
START_TEST(answers_and_ends)
{
	stage_set("%s", "instance-qmp/compare with the record/before/killqemu");
	stage_define("web", "%s", "");
	stage_start("web");
	json_object_put(
		client_ok(stage.c, "instance-qmp", "{'instance': 'web', 'execute': 'system_reset', 'unsafe': true}"));
	client_await_state(stage.c, "web", "crashed", "signal 9");
	stage_settle();
}
END_TEST

static Suite *make(void)
{
	static const struct {
		const char *name;
		const TTest *const *tests[9];
	} cases[] = {
		{ "ends", { &ends_at_once, &ends_in_each_phase, &crashes_later } },
		{ "wrong", { &refuses_to_run, &is_no_qemu, &is_odd, &floods } },
		{ "silent",
		  { &never_greets, &stalls_and_is_stopped, &stalls_and_answers_late, &stalls_and_dies,
		    &stalls_over_a_restart, &is_slow, &is_slow_and_is_stopped } },
		{ "guest",
		  { &guest_ignores_the_button, &guest_obeys_too_late, &guest_powers_off, &guest_powers_off_at_once,
		    &guest_panics, &firmware_resets_twice, &answers_and_ends } },
	};
	Suite *s = suite_create("fake");

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		TCase *tc = tcase_create(cases[i].name);

		tcase_add_checked_fixture(tc, NULL, stage_clear);
		for (size_t k = 0; cases[i].tests[k]; k++)
			tcase_add_test(tc, *cases[i].tests[k]);
		suite_add_tcase(s, tc);
	}
	return s;
}

RIG_MAIN(make)
