/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two things at once, and then droverd is killed: an operation and the one that cancelled it, an operation and the death of
 * its QEMU, jobs that wait behind others. What somebody was told stays true in the next life: what was cancelled does not
 * go on, what was stopped stays down, what died is not shown as running, what was accepted is not forgotten.
 */
#include "stage.h"

#include "base/cleanup.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WEB "{'instance': 'web'}"

enum { POLL_US = 5000, POLLS = RIG_DEADLINE_MS * 1000 / POLL_US };

/* Until the operation on web that COMMAND began is at STEP. */
static void await_step(const char *command, const char *step)
{
	for (int i = 0; i < POLLS; i++) {
		_cleanup_json_ struct json_object *jobs = client_ok(stage.c, "query-jobs", NULL);

		for (size_t k = 0; k < json_object_array_length(jobs); k++) {
			struct json_object *o = json_object_array_get_idx(jobs, k);

			if (str_eq(str_at(o, "type"), command) && has(o, "step") && str_eq(str_at(o, "step"), step))
				return;
		}
		usleep(POLL_US);
	}
	ck_abort_msg("'%s' never comes to '%s'", command, step);
}

static void start_web(const char *fault, const char *words)
{
	stage_set("%s", fault);
	stage_define("web", "%s", words);
	stage_mark();
	stage_start("web");
}

/* A new droverd without the faults of the last. */
static void come_back(void)
{
	stage_kill();
	free(TAKE_PTR(stage.r->fault));
	stage_restart();
}

static void check_off(const char *reason)
{
	stage_settle();
	stage_check_state("web", "shutoff", reason);
	ck_assert_int_eq(stage_holder("web"), 0);
	stage_check_unchanged();
	/* nothing is about to follow */
	stage_restart();
	stage_settle();
	stage_check_state("web", "shutoff", reason);
	ck_assert_int_eq(stage_holder("web"), 0);
}

/* ---- a stop beside what it cancelled ---- */

#define STUBBORN "fake.silent=quit fake.hold=quit:/nonexistent fake.term=ignore"

/* A reboot into a new process, whose QEMU is slow to end, and a stop: neither may start one. */
START_TEST(stop_beside_reboot)
{
	start_web("", STUBBORN);
	json_object_put(client_ok(stage.c, "instance-modify", "{'instance': 'web', 'patch': {'vcpus': 2}}"));
	client_send(stage.c, "instance-reboot", WEB);
	await_step("instance-reboot", "end the process");
	client_send(stage.c, "instance-stop", WEB);
	await_step("instance-stop", "ask QEMU to quit");
	come_back();
	check_off("admin");
}
END_TEST

/* The reboot goes on in the next life, and somebody stops the machine. */
START_TEST(stop_after_recovered_reboot)
{
	start_web("", STUBBORN);
	json_object_put(client_ok(stage.c, "instance-modify", "{'instance': 'web', 'patch': {'vcpus': 2}}"));
	client_send(stage.c, "instance-reboot", WEB);
	await_step("instance-reboot", "end the process");
	come_back();
	await_step("instance-reboot", "end the process");
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	check_off("admin");
}
END_TEST

/* ---- a cancel ---- */

/* What was cancelled does not go on by a restart: a QEMU that stands still is asked for nothing when it comes back. */
START_TEST(cancelled_shutdown)
{
	_cleanup_json_ struct json_object *told = NULL, *jobs = NULL;
	pid_t pid;

	start_web("", "fake.powerdown=ignore");
	pid = stage_pid("web");
	kill(pid, SIGSTOP);
	json_object_put(
		client_ok(stage.c, "instance-shutdown",
			  "{'instance': 'web', 'timeout': 1, 'then': 'stop', 'mode': 'acpi', 'job-id': 'down'}"));
	await_step("instance-shutdown", "press the power button");
	json_object_put(client_ok(stage.c, "job-cancel", "{'id': 'down'}"));
	told = client_ok(stage.c, "query-jobs", NULL);
	ck_assert_str_eq(str_at(told, "0.status"), "aborting");
	come_back();
	kill(pid, SIGCONT);
	stage_settle();
	ck_assert_int_eq(stage_pid("web"), pid);
	client_await_state(stage.c, "web", "running", "booted");
	jobs = client_ok(stage.c, "query-jobs", NULL);
	ck_assert_str_eq(str_at(jobs, "0.id"), "down");
	ck_assert_str_eq(str_at(jobs, "0.error.class"), "Cancelled");
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
}
END_TEST

/* ---- and QEMU died as well ---- */

START_TEST(shutdown_of_what_died)
{
	_cleanup_json_ struct json_object *jobs = NULL;
	pid_t pid;

	start_web("", "fake.powerdown=ignore");
	pid = stage_pid("web");
	client_send(stage.c, "instance-shutdown", "{'instance': 'web', 'timeout': 86400, 'mode': 'acpi'}");
	await_step("instance-shutdown", "wait for the guest");
	stage_kill();
	kill(pid, SIGKILL);
	stage_await_text("run/instances/web/exit.json", "}");
	stage_restart();
	check_off("admin");
	jobs = client_ok(stage.c, "query-jobs", NULL);
	ck_assert_str_eq(str_at(jobs, "0.status"), "concluded");
}
END_TEST

/* The guest had been let go: the start was one, but it runs no more. */
START_TEST(start_of_what_died)
{
	_cleanup_json_ struct json_object *jobs = NULL;
	pid_t pid;

	stage_set("%s", "instance-start/name the machine/before/kill");
	stage_define("web", "%s", "ro");
	client_send(stage.c, "instance-start", "{'instance': 'web', 'job-id': 'up'}");
	process_await_end(stage.r->pid);
	rig_wait(stage.r);
	pid = stage_holder("web");
	ck_assert_int_gt(pid, 0);
	kill(pid, SIGKILL);
	stage_await_text("run/instances/web/exit.json", "}");
	client_free(TAKE_PTR(stage.c));
	free(TAKE_PTR(stage.r->fault));
	stage_restart();
	stage_settle();
	stage_check_state("web", "crashed", "signal 9");
	ck_assert_int_eq(stage_pid("web"), 0);
	jobs = client_ok(stage.c, "query-jobs", NULL);
	ck_assert_str_eq(str_at(jobs, "0.result.state"), "crashed");
}
END_TEST

/* ---- jobs ---- */

static struct json_object *job_called(const char *id)
{
	_cleanup_json_ struct json_object *jobs = client_ok(stage.c, "query-jobs", NULL);

	for (size_t i = 0; i < json_object_array_length(jobs); i++)
		if (str_eq(str_at(json_object_array_get_idx(jobs, i), "id"), id))
			return json_object_get(json_object_array_get_idx(jobs, i));
	return NULL;
}

/* One runs, one waits, one is over: all three are there again. */
START_TEST(jobs_are_kept)
{
	_cleanup_json_ struct json_object *over = NULL, *ran = NULL, *waited = NULL, *gone = NULL;
	pid_t pid;

	start_web("", "fake.powerdown=ignore");
	pid = stage_pid("web");
	json_object_put(client_ok(stage.c, "instance-start", "{'instance': 'web', 'job-id': 'over'}"));
	json_object_put(client_ok(stage.c, "instance-shutdown",
				  "{'instance': 'web', 'mode': 'acpi', 'timeout': 86400, 'job-id': 'runs'}"));
	await_step("instance-shutdown", "wait for the guest");
	json_object_put(client_ok(stage.c, "instance-reboot", "{'instance': 'web', 'job-id': 'waits'}"));
	stage_restart();
	over = job_called("over");
	ck_assert_msg(over && has(over, "result.state"), "%s", json_object_to_json_string(over));
	waited = job_called("waits");
	ck_assert_msg(waited && str_eq(str_at(waited, "error.class"), "Cancelled"), "%s",
		      json_object_to_json_string(waited));
	ran = job_called("runs"); /* a guest goes on being waited for */
	ck_assert_msg(ran && str_eq(str_at(ran, "status"), "running"), "%s", json_object_to_json_string(ran));
	ck_assert_int_eq(stage_pid("web"), pid);
	json_object_put(client_error(stage.c, "Exists", "instance-start", "{'instance': 'web', 'job-id': 'waits'}"));
	json_object_put(client_ok(stage.c, "job-dismiss", "{'id': 'waits'}"));
	json_object_put(client_ok(stage.c, "job-dismiss", "{'id': 'over'}"));
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	stage_settle();
	stage_restart();
	gone = job_called("waits");
	ck_assert_ptr_null(gone);
	json_object_put(ran);
	ran = job_called("runs");
	ck_assert_str_eq(str_at(ran, "status"), "concluded");
}
END_TEST

/* A number that a client was told is no other job's in the next life. */
START_TEST(numbers_are_given_once)
{
	_cleanup_json_ struct json_object *first = NULL, *second = NULL;
	int id;

	start_web("", "fake.powerdown=ignore");
	client_send(stage.c, "instance-shutdown", "{'instance': 'web', 'mode': 'acpi', 'timeout': 86400}");
	await_step("instance-shutdown", "wait for the guest");
	first = client_ok(stage.c, "query-jobs", NULL);
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	stage_settle();
	stage_restart();
	id = client_send(stage.c, "instance-start", WEB);
	json_object_put(client_reply(stage.c, id));
	client_send(stage.c, "instance-shutdown", "{'instance': 'web', 'mode': 'acpi', 'timeout': 86400}");
	await_step("instance-shutdown", "wait for the guest");
	second = client_ok(stage.c, "query-jobs", NULL);
	ck_assert_int_gt(strtol(str_at(second, "0.id") + 1, NULL, 10), strtol(str_at(first, "0.id") + 1, NULL, 10));
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
}
END_TEST

/* Files that are none of ours, or half of one, hinder nobody. */
START_TEST(job_files_are_damaged)
{
	static const char *const texts[] = {
		"",
		"{\"version\": 1, \"id\": \"x\"",
		"[]",
		"{\"version\": 99, \"id\": \"x\"}",
		"{\"version\": 1, \"id\": \"../x\", \"command\": \"instance-start\"}",
		"{\"version\": 1, \"id\": \"x\", \"command\": \"no-such\", \"subject\": \"y\"}"
	};

	start_web("", "ro");
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_json_ struct json_object *jobs = NULL;

		stage_kill();
		stage_write("run/jobs/x.json", texts[i]);
		stage_write("run/jobs/.y.json.new", "{");
		stage_write("run/last-job", texts[i]);
		stage_restart();
		jobs = client_ok(stage.c, "query-jobs", NULL);
		ck_assert_int_eq((int)json_object_array_length(jobs), 0);
		client_await_state(stage.c, "web", "running", "booted");
	}
	stage_await_text("droverd.log", "job 'x.json'");
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
}
END_TEST

static Suite *make(void)
{
	Suite *s = suite_create("overtaken");
	TCase *tc = tcase_create("overtaken");

	tcase_add_checked_fixture(tc, NULL, stage_clear);
	tcase_add_test(tc, stop_beside_reboot);
	tcase_add_test(tc, stop_after_recovered_reboot);
	tcase_add_test(tc, cancelled_shutdown);
	tcase_add_test(tc, shutdown_of_what_died);
	tcase_add_test(tc, start_of_what_died);
	tcase_add_test(tc, jobs_are_kept);
	tcase_add_test(tc, numbers_are_given_once);
	tcase_add_test(tc, job_files_are_damaged);
	suite_add_tcase(s, tc);
	return s;
}

RIG_MAIN(make)
