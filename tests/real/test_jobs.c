/* SPDX-License-Identifier: BSD-2-Clause */
/* Jobs, with a "QEMU" that never says a word; the daemon's own start and end. */
#include "wire.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Defines an instance whose QEMU is a script. */
static void define_script(struct client *c, const char *name, const char *script)
{
	_cleanup_free_ char *path = xasprintf("%s/%s.sh", rig->root, name);
	FILE *f;

	f = fopen(path, "we");
	ck_assert_ptr_nonnull(f);
	fputs(script, f);
	fclose(f);
	chmod(path, 0755);
	client_define(c, name, "'hvparams': {'accel': 'tcg', 'kvm_path': '%s'}", path);
}

/* Who asks what it can do asks the real one. */
static const char deaf[] = "#!/bin/sh\n"
			   "case \"$*\" in *'-machine none'*) exec qemu-system-x86_64 \"$@\" ;; esac\n"
			   "exec sleep 1000000\n";

/* The job of ID as query-jobs has it; NULL: it has not. */
static struct json_object *find_job(struct client *c, const char *id)
{
	_cleanup_json_ struct json_object *jobs = client_ok(c, "query-jobs", "{}");

	for (size_t i = 0; i < json_object_array_length(jobs); i++) {
		struct json_object *job = json_object_array_get_idx(jobs, i);

		if (str_eq(str_at(job, "id"), id))
			return json_object_get(job);
	}
	return NULL;
}

static void await_status(struct client *c, const char *id, const char *status)
{
	for (;;) {
		_cleanup_json_ struct json_object *o = client_event(c, "JOB_STATUS_CHANGE");

		if (str_eq(str_at(o, "data.id"), id) && str_eq(str_at(o, "data.status"), status))
			return;
	}
}

/* Begins a start that will not end, and waits until it has a process; its pid. */
static pid_t start_deaf(struct client *c, const char *name, const char *job)
{
	define_script(c, name, deaf);
	json_object_put(client_ok(c, "instance-start", "{'instance': '%s', 'job-id': '%s'}", name, job));
	for (;;) {
		_cleanup_json_ struct json_object *o = client_ok(c, "query-instance", "{'instance': '%s'}", name);

		if (has(o, "operation.step") && str_eq(str_at(o, "operation.step"), "connect the monitors"))
			return (pid_t)int_at(o, "pid");
		usleep(2000);
	}
}

START_TEST(test_job)
{
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_json_ struct json_object *ret = NULL, *job = NULL, *again = NULL, *dismissed = NULL, *gone = NULL;

	client_define(c, "web1", "'hvparams': {'kvm_path': '/nonexistent/qemu'}");
	ret = client_ok(c, "instance-start", "{'instance': 'web1', 'job-id': 'x'}");
	ck_assert_int_eq(json_object_object_length(ret), 0);
	await_status(c, "x", "running");
	await_status(c, "x", "aborting");
	await_status(c, "x", "concluded");
	job = find_job(c, "x");
	ck_assert_str_eq(str_at(job, "type"), "instance-start");
	ck_assert_str_eq(str_at(job, "instance"), "web1");
	ck_assert_str_eq(str_at(job, "status"), "concluded");
	ck_assert_str_eq(str_at(job, "error.class"), "NotFound");
	ck_assert_ptr_nonnull(strstr(str_at(job, "error.desc"), "/nonexistent/qemu"));
	ck_assert_str_eq(str_at(job, "error.step"), "ask what QEMU can do");
	ck_assert(json_object_get_boolean(at(job, "error.undone")));
	ck_assert(!json_get_bool(job, "cancellable", true));
	ck_assert_int_eq(int_at(job, "client.uid"), getuid());
	ck_assert(json_get_double(job, "until", 0) >= json_get_double(job, "since", 1e12));
	/* its name is taken until it is dismissed */
	again = client_error(c, "Exists", "instance-start", "{'instance': 'web1', 'job-id': 'x'}");
	json_object_put(client_error(c, "WrongState", "job-cancel", "{'id': 'x'}"));
	dismissed = client_ok(c, "job-dismiss", "{'id': 'x'}");
	ck_assert(json_get_bool(dismissed, "changed", false));
	json_object_put(client_error(c, "NotFound", "job-dismiss", "{'id': 'x'}"));
	gone = find_job(c, "x");
	ck_assert_ptr_null(gone);
	json_object_put(client_ok(c, "instance-undefine", "{'instance': 'web1'}"));
}
END_TEST

START_TEST(test_success)
{
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_json_ struct json_object *job = NULL;

	client_define(c, "web1", "%s", "");
	json_object_put(client_ok(c, "instance-stop", "{'instance': 'web1', 'job-id': 'nothing-to-do'}"));
	await_status(c, "nothing-to-do", "concluded");
	job = find_job(c, "nothing-to-do");
	ck_assert(!has(job, "error"));
	ck_assert(!json_object_get_boolean(at(job, "result.changed")));
	ck_assert_str_eq(str_at(job, "result.state"), "shutoff");
	json_object_put(client_ok(c, "job-dismiss", "{'id': 'nothing-to-do'}"));
	json_object_put(client_ok(c, "instance-undefine", "{'instance': 'web1'}"));
}
END_TEST

/* While it runs it is told of, cannot be dismissed, and can be cancelled. */
START_TEST(test_running)
{
	_cleanup_free_ char *before = rig_world(rig, false), *after = NULL;
	_cleanup_client_ struct client *c = client_new(rig), *other = client_new(rig);
	_cleanup_json_ struct json_object *job = NULL, *shown = NULL, *ended = NULL, *state = NULL;
	pid_t pid = start_deaf(c, "web1", "slow");

	job = find_job(other, "slow");
	ck_assert_str_eq(str_at(job, "status"), "running");
	ck_assert_str_eq(str_at(job, "step"), "connect the monitors");
	ck_assert(json_get_bool(job, "cancellable", false));
	ck_assert(!has(job, "until"));
	shown = client_ok(other, "query-instance", "{'instance': 'web1'}");
	ck_assert_str_eq(str_at(shown, "operation.job-id"), "slow");
	ck_assert_str_eq(str_at(shown, "operation.command"), "instance-start");
	ck_assert_str_eq(str_at(shown, "state"), "nostate");
	json_object_put(client_error(other, "WrongState", "job-dismiss", "{'id': 'slow'}"));
	json_object_put(client_error(other, "Exists", "instance-stop", "{'instance': 'web1', 'job-id': 'slow'}"));
	json_object_put(client_ok(other, "job-cancel", "{'id': 'slow'}"));
	/* what QEMU was asked is in doubt until it ends */
	kill(pid, SIGKILL);
	await_status(c, "slow", "concluded");
	ended = find_job(c, "slow");
	ck_assert_str_eq(str_at(ended, "error.class"), "Cancelled");
	ck_assert(json_object_get_boolean(at(ended, "error.undone")));
	state = client_ok(c, "query-instance", "{'instance': 'web1'}");
	ck_assert_str_eq(str_at(state, "state"), "shutoff");
	ck_assert_str_eq(str_at(state, "reason"), "admin");
	json_object_put(client_ok(c, "job-dismiss", "{'id': 'slow'}"));
	json_object_put(client_ok(c, "instance-undefine", "{'instance': 'web1'}"));
	after = rig_world(rig, false);
	ck_assert_str_eq(before, after);
}
END_TEST

/* What waits behind it: in order, Cancelled by a stop, which goes past. */
START_TEST(test_queue)
{
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_json_ struct json_object *shown = NULL, *waits = NULL, *stopped = NULL, *list = NULL, *first = NULL;
	_cleanup_json_ struct json_object *cancelled = NULL;
	pid_t pid = start_deaf(c, "web1", "first");
	int second, third, stop;

	second = client_send(c, "instance-start", "{'instance': 'web1'}");
	third = client_send(c, "instance-undefine", "{'instance': 'web1'}");
	shown = client_ok(c, "query-instance", "{'instance': 'web1'}");
	ck_assert_int_eq(int_at(shown, "queued"), 2);
	list = client_ok(c, "query-jobs", "{'instance': 'web1'}");
	ck_assert_int_eq(json_object_array_length(list), 3);
	ck_assert_str_eq(str_at(list, "1.status"), "created");
	ck_assert_int_eq(str_at(list, "1.id")[0], '#');
	/* one that waits goes at once */
	json_object_put(client_ok(c, "job-cancel", "{'id': '%s'}", str_at(list, "1.id")));
	waits = client_reply(c, second);
	ck_assert_str_eq(str_at(waits, "error.class"), "Cancelled");
	stop = client_send(c, "instance-stop", "{'instance': 'web1'}");
	cancelled = client_reply(c, third);
	ck_assert_str_eq(str_at(cancelled, "error.class"), "Cancelled");
	kill(pid, SIGKILL); /* it would not obey for ten seconds */
	stopped = client_reply(c, stop);
	ck_assert_msg(has(stopped, "return"), "%s", json_object_to_json_string(stopped));
	ck_assert_str_eq(str_at(stopped, "return.state"), "shutoff");
	first = find_job(c, "first");
	ck_assert_str_eq(str_at(first, "error.class"), "Cancelled");
	json_object_put(client_ok(c, "job-dismiss", "{'id': 'first'}"));
	json_object_put(client_ok(c, "instance-undefine", "{'instance': 'web1'}"));
}
END_TEST

/* Who hangs up cancels nothing. */
START_TEST(test_hang_up)
{
	_cleanup_client_ struct client *c = client_new(rig);
	struct client *gone = client_new(rig);

	client_define(gone, "web1", "'hvparams': {'kvm_path': '/nonexistent/qemu'}");
	for (int i = 0; i < 10; i++)
		client_send(gone, "instance-define", "{'definition': {'name': 'web%d'}}", 2 + i);
	client_send(gone, "instance-start", "{'instance': 'web1'}");
	client_free(gone);
	for (int i = 1; i < 12; i++)
		json_object_put(client_event(c, "INSTANCE_DEFINED"));
	client_await_state(c, "web1", "shutoff", "failed");
	for (int i = 1; i < 12; i++)
		json_object_put(client_ok(c, "instance-undefine", "{'instance': 'web%d'}", i));
}
END_TEST

/* 256 that are concluded are kept; the oldest go. */
START_TEST(test_many_jobs)
{
	enum { KEPT = 256 };
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_json_ struct json_object *jobs = NULL;

	client_define(c, "web1", "%s", "");
	for (int i = 0; i < KEPT + 10; i++)
		json_object_put(client_ok(c, "instance-stop", "{'instance': 'web1', 'job-id': 'job%d'}", i));
	jobs = client_ok(c, "query-jobs", "{}");
	ck_assert_int_eq(json_object_array_length(jobs), KEPT);
	ck_assert_str_eq(str_at(jobs, "0.id"), "job10");
	ck_assert_str_eq(str_at(jobs, "255.id"), "job265");
	for (int i = 10; i < KEPT + 10; i++)
		json_object_put(client_ok(c, "job-dismiss", "{'id': 'job%d'}", i));
	json_object_put(client_ok(c, "instance-undefine", "{'instance': 'web1'}"));
}
END_TEST

/* ---- the daemon ---- */

START_TEST(test_second_daemon)
{
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_free_ char *log = NULL;
	struct rig second = *rig;
	int status;

	second.pid = 0;
	rig_spawn(&second);
	status = rig_wait(&second);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 6);
	log = rig_file(rig, "droverd.log");
	ck_assert_ptr_nonnull(strstr(log, "another droverd runs on this root"));
	expect_served(c);
	client_free(client_new(rig));
}
END_TEST

/* Killed or ended, the next life knows the same; its epoch is its own. */
START_TEST(test_restart)
{
	_cleanup_free_ char *before = NULL, *after = NULL;

	for (int round = 0; round < 2; round++) {
		_cleanup_json_ struct json_object *defined = NULL, *shown = NULL, *events = NULL, *again = NULL,
						  *e = NULL;
		struct client *c = client_new(rig);

		defined = client_ok(c, "instance-define",
				    "{'definition': {'name': 'web1', 'memory': '1.5G', "
				    "'description': '\\u00fc\\n', 'metadata': {'a': 'b'}}}");
		events = client_ok(c, "query-events", "{}");
		client_free(c);
		free(before);
		before = rig_world(rig, false);
		if (round)
			rig_kill(rig);
		else
			rig_stop(rig);
		rig_start(rig);
		c = client_new(rig);
		shown = client_ok(c, "query-instance", "{'instance': 'web1'}");
		ck_assert(json_object_equal(at(shown, "definition"), at(defined, "definition")));
		again = client_ok(c, "query-events", "{}");
		ck_assert_str_ne(str_at(again, "epoch"), str_at(events, "epoch"));
		e = client_error(c, "Gap", "query-events", "{'since': 1, 'epoch': '%s'}", str_at(events, "epoch"));
		ck_assert_str_eq(str_at(e, "epoch"), str_at(again, "epoch"));
		client_free(c);
	}
	after = rig_world(rig, false);
	ck_assert_str_eq(before, after);
}
END_TEST

START_TEST(test_stopping_is_told)
{
	struct client *c = client_new(rig);
	struct json_object *o;

	rig_stop(rig);
	o = client_event(c, "DAEMON");
	ck_assert_str_eq(str_at(o, "data.what"), "stopping");
	json_object_put(o);
	ck_assert_ptr_null(client_read(c));
	client_free(c);
	rig_start(rig);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("jobs and the daemon");
	TCase *tc = wire_case(s, "jobs");

	tcase_add_test(tc, test_job);
	tcase_add_test(tc, test_success);
	tcase_add_test(tc, test_running);
	tcase_add_test(tc, test_queue);
	tcase_add_test(tc, test_hang_up);
	tcase_add_test(tc, test_many_jobs);
	tc = wire_case(s, "daemon");
	tcase_add_test(tc, test_second_daemon);
	tcase_add_test(tc, test_restart);
	tcase_add_test(tc, test_stopping_is_told);
	return s;
}

RIG_MAIN(suite)
