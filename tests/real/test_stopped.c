/* SPDX-License-Identifier: BSD-2-Clause */
/* A real QEMU that stands still, and the others beside it; one that is killed; and many lives of one with devices. */
#include "guest.h"

#include "runtime/process.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* The waits for QEMU that would take half a minute expire at once. */
#define FAULTS                                                                                                \
	"instance-pause/stop the vCPUs/before/expire;instance-shutdown/press the power button/before/expire;" \
	"instance-stop/ask QEMU to quit/before/expire;instance-stop/terminate QEMU/before/expire"

static struct rig *rig;
static struct client *client;

static void begin(const char *program, const char *faults)
{
	rig = rig_new(program);
	rig->fault = faults ? xstrdup(faults) : NULL;
	rig_start(rig);
	client = client_new(rig);
}

static void set_up(void)
{
	begin("droverd", NULL);
}

static void set_up_faulty(void)
{
	begin("droverd-faulty", FAULTS);
}

static void tear_down(void)
{
	client_free(client);
	rig_free(rig);
}

static void expect_gone(const char *name)
{
	_cleanup_json_ struct json_object *shown = guest_settle(client, name);
	_cleanup_free_ char *world = rig_world(rig, false), *run = xasprintf("run/instances/%s", name);
	_cleanup_free_ char *marker = xasprintf("operations/instance-%s", name);

	ck_assert(!has(shown, "pid"));
	ck_assert_msg(!strstr(world, run) && !strstr(world, marker), "left: %s", world);
}

/* ---- standing still ---- */

static struct json_object *job_of(const char *id)
{
	_cleanup_json_ struct json_object *jobs = client_ok(client, "query-jobs", "{'instance': 'two'}");

	for (size_t i = 0; i < json_object_array_length(jobs); i++)
		if (str_eq(str_at(json_object_array_get_idx(jobs, i), "id"), id))
			return json_object_get(json_object_array_get_idx(jobs, i));
	ck_abort_msg("no job '%s' in %s", id, json_object_to_json_string(jobs));
}

/* The change of a stopped one: Timeout, stalled; the id of its job. */
static char *stall(const char *command)
{
	_cleanup_json_ struct json_object *e = client_error(client, "Timeout", command, "{'instance': 'two'}"),
					  *job = NULL;
	const char *id = str_at(e, "job-id");

	ck_assert(json_get_bool(e, "stalled", false));
	ck_assert(!json_get_bool(e, "undone", true));
	job = job_of(id);
	ck_assert(json_get_bool(job, "stalled", false));
	return xstrdup(id);
}

/* Everything else goes on beside it. */
static void expect_others_unaffected(const char *state)
{
	_cleanup_json_ struct json_object *list = NULL, *two = NULL, *answer = NULL;

	list = client_ok(client, "query-instances", "{}");
	ck_assert_uint_eq(json_object_array_length(list), 2);
	two = guest_query(client, "two");
	ck_assert_str_eq(str_at(two, "state"), state); /* the last that is known */
	json_object_put(client_ok(client, "query-log", "{'instance': 'two'}"));
	json_object_put(client_ok(client, "instance-argv", "{'instance': 'two'}"));
	answer = client_ok(client, "instance-qmp", "{'instance': 'one', 'execute': 'query-status'}");
	ck_assert_str_eq(str_at(answer, "status"), "running");
	json_object_put(client_ok(client, "instance-reset", "{'instance': 'one'}"));
	json_object_put(client_ok(client, "instance-modify",
				  "{'instance': 'one', 'patch': {'description': 'beside a stopped one'}}"));
	guest_expect(client, "one", "running", "reset");
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'one'}"));
	expect_gone("one");
	guest_start(client, "one");
}

/* Changes that come later are refused at once and told why. */
static void expect_busy(const char *job)
{
	static const char *const commands[] = { "instance-shutdown", "instance-reboot" };
	_cleanup_json_ struct json_object *e = NULL;

	e = client_error(client, "Busy", "instance-modify", "{'instance': 'two', 'patch': {'description': 'x'}}");
	ck_assert_msg(strstr(str_at(e, "desc"), job), "%s", str_at(e, "desc"));
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		_cleanup_json_ struct json_object *busy = client_error(client, "Busy", commands[i],
								       "{'instance': 'two'}");

		ck_assert_msg(strstr(str_at(busy, "desc"), job), "%s", str_at(busy, "desc"));
	}
}

static struct json_object *await_job(const char *id)
{
	for (;;) {
		struct json_object *job = job_of(id);

		if (str_eq(str_at(job, "status"), "concluded"))
			return job;
		json_object_put(job);
		json_object_put(client_event(client, "JOB_STATUS_CHANGE"));
	}
}

static void freeze(pid_t pid)
{
	kill(pid, SIGSTOP);
	for (int i = 0; process_run_state(pid) != 'T'; i++) {
		ck_assert_int_lt(i, RIG_DEADLINE_MS / 5);
		usleep(5000);
	}
}

static pid_t start_both(void)
{
	guest_define_bare(client, "one");
	client_define(client, "two", "%s", "'memory': '16M', 'hvparams': {'use_guest_agent': false}");
	guest_start(client, "one");
	return guest_start(client, "two");
}

START_TEST(test_change)
{
	static const struct {
		const char *command, *state, *reason;
		bool finishes;
	} rows[] = {
		{ "instance-pause", "paused", "admin", true },
		{ "instance-shutdown", "running", "booted", false },
	};
	_cleanup_json_ struct json_object *job = NULL, *o = NULL;
	_cleanup_free_ char *id = NULL;
	pid_t pid = start_both();

	freeze(pid);
	id = stall(rows[_i].command);
	expect_others_unaffected("running");
	/* a pause runs beside changes and hinders none */
	if (_i == 1)
		expect_busy(id);
	expect_others_unaffected("running");
	ck_assert_int_eq(guest_pid(client, "two"), pid);
	kill(pid, SIGCONT);
	if (rows[_i].finishes) {
		job = await_job(id);
		ck_assert_msg(has(job, "result"), "%s", json_object_to_json_string(job));
		client_await_state(client, "two", rows[_i].state, rows[_i].reason);
		json_object_put(client_ok(client, "instance-resume", "{'instance': 'two'}"));
	} else {
		/* it goes on and waits for a guest that does not obey; who wants no more of it says so */
		json_object_put(client_ok(client, "job-cancel", "{'id': '%s'}", id));
		job = await_job(id);
		ck_assert_msg(str_eq(str_at(job, "error.class"), "Cancelled"), "%s", json_object_to_json_string(job));
	}
	o = guest_settle(client, "two");
	ck_assert_str_eq(str_at(o, "state"), "running");
	ck_assert_str_eq(str_at(o, "monitor"), "ok");
	json_object_put(client_ok(client, "instance-modify", "{'instance': 'two', 'patch': {'description': 'y'}}"));
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'two'}"));
	expect_gone("two");
}
END_TEST

/* A modification asks QEMU nothing, so it does not wait for one that stands still. */
START_TEST(test_modify)
{
	_cleanup_json_ struct json_object *o = NULL;
	pid_t pid = start_both();

	freeze(pid);
	o = client_ok(client, "instance-modify", "{'instance': 'two', 'patch': {'description': 'z', 'vcpus': 2}}");
	ck_assert(json_get_bool(o, "changed", false));
	ck_assert_str_eq(str_at(o, "pending.0.path"), "vcpus");
	expect_others_unaffected("running");
	kill(pid, SIGCONT);
	guest_expect(client, "two", "running", "booted");
}
END_TEST

START_TEST(test_stop)
{
	_cleanup_free_ char *id = NULL;
	_cleanup_json_ struct json_object *job = NULL;
	pid_t pid = start_both();

	freeze(pid);
	id = stall("instance-pause");
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'two'}"));
	job = await_job(id);
	ck_assert_msg(has(job, "error"), "%s", json_object_to_json_string(job));
	ck_assert(!process_runs(pid));
	guest_expect(client, "two", "shutoff", "admin");
	expect_gone("two");
	guest_expect(client, "one", "running", "booted");
}
END_TEST

/* ---- killed ---- */

START_TEST(test_killed)
{
	static const char *const policies[] = { "pause", "stop", "reset", "restart" };
	bool again = str_eq(policies[_i], "restart");
	pid_t pid, next;

	client_define(client, "two", "'memory': '16M', 'hvparams': {'on_crash': '%s'}", policies[_i]);
	pid = guest_start(client, "two");
	kill(pid, SIGKILL);
	client_await_state(client, "two", "crashed", "signal 9");
	if (again) {
		client_await_state(client, "two", "running", "booted");
		next = guest_pid(client, "two");
		ck_assert_int_ne(next, pid);
		json_object_put(client_ok(client, "instance-stop", "{'instance': 'two'}"));
	} else {
		expect_gone("two");
		guest_expect(client, "two", "crashed", "signal 9");
	}
	expect_gone("two");
}
END_TEST

/* ---- many lives ---- */

/* What its memory may grow by after the first few lives: the last 4096 events are kept, of which each life makes some
 * twenty; and the sanitizer keeps what was freed. */
#ifdef __SANITIZE_ADDRESS__
enum { RSS_MARGIN_KIB = 256 << 10 };
#else
enum { RSS_MARGIN_KIB = 4 << 10 };
#endif
enum { FEW = 20, MANY = 200, WARM = 5 };

START_TEST(test_lives)
{
	_cleanup_free_ char *one = guest_image(rig, "one", "", 1 << 20), *two = guest_image(rig, "two", "", 1 << 20);
	_cleanup_free_ char *before = NULL, *groups = NULL;
	unsigned fds = 0, rss = 0;

	client_define(
		client, "web1",
		"'memory': '16M', 'disks': [{'path': '%s'}, {'path': '%s', 'type': 'scsi-hd'}], 'nics': [{'mode': "
		"'user'}]",
		one, two);
	for (int i = 0; i < (getenv("DROVER_LONG") ? MANY : FEW); i++) {
		_cleanup_free_ char *world = NULL;
		_cleanup_json_ struct json_object *o = NULL;

		o = client_ok(client, "instance-start", "{'instance': 'web1', 'paused': true}");
		ck_assert_str_eq(str_at(o, "state"), "paused");
		if (!groups) {
			_cleanup_free_ char *path = xasprintf("/proc/%d/cgroup", guest_pid(client, "web1"));

			host_run("sed -n 's,^0::,,p' %s > '%s/cgroup'", path, rig->root);
			groups = rig_file(rig, "cgroup");
		}
		json_object_put(client_ok(client, "instance-stop", "{'instance': 'web1'}"));
		if (i < WARM)
			continue;
		world = rig_world_at_rest(rig, true);
		ck_assert_msg(!strstr(world, "run/instances/web1") && !strstr(world, "process ") &&
				      !strstr(world, "operations/"),
			      "left: %s", world);
		if (i == WARM) {
			before = TAKE_PTR(world);
			fds = process_fds(rig->pid);
			rss = process_rss(rig->pid);
			continue;
		}
		ck_assert_str_eq(before, world);
		rig_expect_fds(rig, fds);
		ck_assert_msg(process_rss(rig->pid) <= rss + RSS_MARGIN_KIB, "%u KiB after life %d, %u after %d",
			      process_rss(rig->pid), i + 1, rss, WARM + 1);
	}
	/* its control group, if it had one that droverd made */
	if (groups && strstr(groups, "web1"))
		host_run(
			"! find /sys/fs/cgroup -depth -type d -name \"$(basename \"$(cat '%s/cgroup')\")\" | grep -q .",
			rig->root);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("stopped, killed, again");
	TCase *tc = tcase_create("stopped");

	tcase_add_checked_fixture(tc, set_up_faulty, tear_down);
	tcase_add_loop_test(tc, test_change, 0, 2);
	tcase_add_test(tc, test_modify);
	tcase_add_test(tc, test_stop);
	suite_add_tcase(s, tc);
	tc = tcase_create("lives");
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, test_killed, 0, 4);
	tcase_add_test(tc, test_lives);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return guest_main(suite);
}
