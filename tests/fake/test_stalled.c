/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations that do not go on, for QEMU stands still, over a restart of droverd: the job that the client was told of is
 * there again and keeps its place, and ends with the truth when QEMU answers, is ended, or is found dead.
 */
#include "runtime/process.h"
#include "stage.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WEB "{'instance': 'web'}"
#define STOP_FAST "instance-stop/ask QEMU to quit/before/expire!;instance-stop/terminate QEMU/before/expire!"

/* What hangs; how it is brought about, and how it looks when it was done and when it was not. */
static const struct row {
	const char *command, *step;
	bool starts; /* QEMU freezes by itself; else it is stopped before it is asked */
	bool holds;  /* its place in the queue */
	const char *before, *after;
	const char *asked; /* of QEMU; NULL: what came of it is seen by the state */
} rows[] = {
	{ "instance-start", "run the guest", true, true, "shutoff", "running", NULL },
	{ "instance-pause", "stop the vCPUs", false, false, "running", "paused", NULL },
	{ "instance-reset", "reset the machine", false, false, "running", "running", "qmp system_reset" },
	{ "instance-shutdown", "press the power button", false, true, "running", "shutoff", NULL },
	{ "instance-reboot", "press the power button", false, true, "running", "running", "qmp system_powerdown" },
};

static struct json_object *job_of(const char *id)
{
	_cleanup_json_ struct json_object *jobs = client_ok(stage.c, "query-jobs", NULL);

	for (size_t i = 0; i < json_object_array_length(jobs); i++)
		if (str_eq(str_at(json_object_array_get_idx(jobs, i), "id"), id))
			return json_object_get(json_object_array_get_idx(jobs, i));
	ck_abort_msg("no job '%s' in %s", id, json_object_to_json_string(jobs));
}

static struct json_object *await_job(const char *id)
{
	for (;;) {
		struct json_object *job = job_of(id);

		if (str_eq(str_at(job, "status"), "concluded"))
			return job;
		json_object_put(job);
		json_object_put(client_event(stage.c, "JOB_STATUS_CHANGE"));
	}
}

static void freeze(pid_t pid)
{
	enum { LOOK_US = 2000 };

	kill(pid, SIGSTOP);
	for (int i = 0; process_run_state(pid) != 'T'; i++) {
		ck_assert_int_lt(i, RIG_DEADLINE_MS * 1000 / LOOK_US);
		usleep(LOOK_US);
	}
}

/* It is asked, and does not answer; the id that the client was told, the caller's. */
static char *stall(const struct row *row)
{
	_cleanup_json_ struct json_object *e = NULL;

	stage_set("%s/%s/before/expire!;" STOP_FAST, row->command, row->step);
	stage_define("web", "%s fake.record=%s/asked", row->starts ? "fake.freeze=cont fake.silent=query-yank" : "ro",
		     stage.r->root);
	stage_mark();
	if (!row->starts) {
		stage_start("web");
		freeze(stage_pid("web"));
	}
	e = client_error(stage.c, "Timeout", row->command, WEB);
	ck_assert(json_get_bool(e, "stalled", false));
	ck_assert(!json_get_bool(e, "undone", true));
	ck_assert_str_eq(str_at(e, "step"), row->step);
	return xstrdup(str_at(e, "job-id"));
}

/* The same job is under way, at the same step, in the same place. */
static void check_stalled(const struct row *row, const char *id, pid_t pid)
{
	_cleanup_json_ struct json_object *job = job_of(id), *shown = stage_show("web");

	ck_assert_str_eq(str_at(job, "type"), row->command);
	ck_assert_str_ne(str_at(job, "status"), "concluded");
	ck_assert_str_eq(str_at(job, "step"), row->step);
	ck_assert_msg(json_get_bool(job, "stalled", false), "%s", json_object_to_json_string(job));
	ck_assert_int_eq(json_get_int(shown, "pid", 0), pid);
	ck_assert_int_eq(stage_holder("web"), pid);
	if (row->holds) {
		_cleanup_json_ struct json_object *busy = client_error(stage.c, "Busy", "instance-modify",
								       "{'instance': 'web', 'patch': {'vcpus': 2}}");

		ck_assert_msg(strstr(str_at(busy, "desc"), id) != NULL, "%s", str_at(busy, "desc"));
		ck_assert_str_eq(str_at(shown, "operation.job-id"), id);
	}
	json_object_put(client_ok(stage.c, "query-log", WEB));
}

static bool was_asked(const char *what)
{
	_cleanup_free_ char *asked = rig_file(stage.r, "asked");

	return asked && strstr(asked, what);
}

/* Whether QEMU took what the connection had brought that is gone is chance; what is said of it is not. */
static void check_truth(const struct row *row, struct json_object *job)
{
	bool done = has(job, "result");
	const char *expected = done ? row->after : row->before;
	_cleanup_json_ struct json_object *shown = NULL;

	stage_settle();
	shown = stage_show("web");
	ck_assert_msg(str_eq(str_at(shown, "state"), expected), "%s, and it is %s", json_object_to_json_string(job),
		      json_object_to_json_string(shown));
	if (row->asked)
		ck_assert_msg(done == was_asked(row->asked), "%s", json_object_to_json_string(job));
}

/* Nothing of it is left, and all can be done again. */
static void check_usable(void)
{
	_cleanup_json_ struct json_object *shown = NULL;

	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	stage_settle();
	shown = stage_show("web");
	ck_assert(!has(shown, "pid"));
	stage_check_unchanged();
}

START_TEST(answers_late)
{
	const struct row *row = &rows[_i];
	_cleanup_free_ char *id = stall(row);
	_cleanup_json_ struct json_object *job = NULL;
	pid_t pid = stage_pid("web");

	check_stalled(row, id, pid);
	/* Twice: what one life writes down the next but one has to find as well. */
	stage_restart();
	check_stalled(row, id, pid);
	stage_restart();
	check_stalled(row, id, pid);
	kill(pid, SIGCONT);
	job = await_job(id);
	check_truth(row, job);
	check_usable();
}
END_TEST

START_TEST(is_stopped)
{
	const struct row *row = &rows[_i];
	_cleanup_free_ char *id = stall(row);
	_cleanup_json_ struct json_object *job = NULL;
	pid_t pid = stage_pid("web");

	stage_restart();
	check_stalled(row, id, pid);
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	job = await_job(id);
	if (!str_eq(row->command, "instance-shutdown"))
		ck_assert_msg(has(job, "error"), "%s", json_object_to_json_string(job));
	stage_check_state("web", "shutoff", "admin");
	check_usable();
}
END_TEST

START_TEST(dies_meanwhile)
{
	const struct row *row = &rows[_i];
	_cleanup_free_ char *id = stall(row);
	_cleanup_json_ struct json_object *job = NULL, *shown = NULL;
	pid_t pid = stage_pid("web");

	stage_kill();
	kill(pid, SIGKILL);
	stage_await_text("run/instances/web/exit.json", "}");
	stage_restart();
	job = await_job(id);
	stage_settle();
	shown = stage_show("web");
	/* Who did what it was asked for is down, or has been booted; else the end was another's. */
	if (has(job, "result"))
		ck_assert_str_eq(str_at(shown, "state"), row->after);
	else
		ck_assert_msg(!has(shown, "pid"), "%s", json_object_to_json_string(job));
	ck_assert(row->holds || has(job, "error"));
	check_usable();
}
END_TEST

static Suite *make(void)
{
	static const TTest *const *const tests[] = { &answers_late, &is_stopped, &dies_meanwhile };
	Suite *s = suite_create("stalled");
	TCase *tc = tcase_create("stalled");

	tcase_add_checked_fixture(tc, NULL, stage_clear);
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		tcase_add_loop_test(tc, *tests[i], 0, (int)ARRAY_SIZE(rows));
	suite_add_tcase(s, tc);
	return s;
}

RIG_MAIN_IN_MEMORY(make)
