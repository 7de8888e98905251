/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * droverd killed in the middle of a change of a real QEMU, at each step of it: the next one finds the machine as it was
 * before or as it was to be, and knows it.
 */
#include "guest.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static struct rig *rig;

static void set_up(void)
{
	rig = rig_new("droverd-faulty");
}

static void tear_down(void)
{
	rig_free(rig);
}

/* What this life of droverd is to die of; "" of nothing. */
static struct client *live(const char *fault)
{
	free(rig->fault);
	rig->fault = *fault ? xstrdup(fault) : NULL;
	rig_start(rig);
	return client_new(rig);
}

/* Sends a command, and waits for the reply or the end of droverd; whether it was the latter. */
static bool dies_of(struct client *c, const char *command)
{
	_cleanup_json_ struct json_object *o = NULL;
	int id = client_send(c, command, "{'instance': 'web1'}"), status;

	do {
		json_object_put(o);
		o = client_read(c);
	} while (o && (has(o, "event") || json_get_int(o, "id", -1) != id));
	if (o)
		return false;
	status = rig_wait(rig);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "droverd ended with wait status %#x", status);
	return true;
}

/* A keeper that has lost its droverd ends by itself, soon. */
static char *world_without_keepers(void)
{
	char *world = rig_world(rig, false);

	for (int i = 0; i < RIG_DEADLINE_MS / 10 && strstr(world, "process"); i++) {
		free(world);
		usleep(10000);
		world = rig_world(rig, false);
	}
	return world;
}

/* It is running and known to be, or it is not there at all; which of the two. */
static bool settled_running(struct client *c)
{
	_cleanup_json_ struct json_object *o = guest_settle(c, "web1");
	_cleanup_free_ char *world = rig_world(rig, false), *left = NULL;
	const char *state = str_at(o, "state");

	ck_assert_msg(!strstr(world, "operations/"), "a marker is left: %s", world);
	if (str_eq(state, "running")) {
		pid_t pid = (pid_t)int_at(o, "pid");

		ck_assert(process_runs(pid));
		ck_assert_int_eq(rig_lock_holder(rig, "web1", "qemu.lock"), pid);
		ck_assert_str_eq(str_at(o, "monitor"), "ok");
		return true;
	}
	ck_assert_msg(str_eq(state, "shutoff"), "%s", json_object_to_json_string(o));
	ck_assert(!has(o, "pid"));
	left = world_without_keepers();
	ck_assert_msg(!strstr(left, "process") && !strstr(left, "run/instances/"), "left: %s", left);
	return false;
}

static void end_life(struct client *c)
{
	client_free(c);
	rig_stop(rig);
}

enum outcome { NO_STEP, OFF, RUNNING };

/* COMMAND, with droverd killed before or after the step number N. RUNNING: the machine is, at the beginning. */
static enum outcome kill_at(const char *command, int n, const char *when, bool running)
{
	_cleanup_free_ char *fault = xasprintf("%s/%d/%s/kill", command, n, when);
	struct client *c = live("");
	enum outcome outcome;
	bool died;

	if (running)
		guest_start(c, "web1");
	end_life(c);
	c = live(fault);
	died = dies_of(c, command);
	client_free(c);
	if (!died)
		rig_kill(rig);
	c = live("");
	outcome = settled_running(c) ? RUNNING : OFF;
	/* whatever it is, it can be started and stopped, and that is that */
	json_object_put(client_ok(c, "instance-start", "{'instance': 'web1'}"));
	ck_assert(settled_running(c));
	json_object_put(client_ok(c, "instance-stop", "{'instance': 'web1'}"));
	ck_assert(!settled_running(c));
	end_life(c);
	return died ? outcome : NO_STEP;
}

/* Up to some step it is as before, from there on as it was to be. */
static void kill_everywhere(const char *command, enum outcome from, enum outcome to)
{
	static const char *const whens[] = { "before", "after" };
	struct client *c = live("");
	enum outcome last = from, now;

	guest_define_bare(c, "web1");
	end_life(c);
	for (int i = 0;; i++) {
		now = kill_at(command, i / 2, whens[i % 2], from == RUNNING);
		if (now == NO_STEP)
			break;
		ck_assert_msg(now == last || now == to, "%s is done %s step %d, and not later", command, whens[i % 2],
			      i / 2);
		last = now;
	}
	ck_assert_msg(last == to, "%s is not done behind its last step", command);
}

START_TEST(test_start)
{
	kill_everywhere("instance-start", OFF, RUNNING);
}
END_TEST

START_TEST(test_stop)
{
	kill_everywhere("instance-stop", RUNNING, OFF);
}
END_TEST

/* A guest that boots says so once, or there was none. */
START_TEST(test_guest_is_let_go_once)
{
	static const char *const faults[] = {
		"instance-start/run the guest/before/kill",
		"instance-start/run the guest/after/kill",
	};
	struct client *c = live("");
	unsigned up = 0;

	guest_define(c, "web1", "", "");
	end_life(c);
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		c = live(faults[i]);
		ck_assert(dies_of(c, "instance-start"));
		client_free(c);
		c = live("");
		if (settled_running(c)) {
			guest_await(rig, "web1", "GUEST-UP", ++up);
			json_object_put(client_ok(c, "instance-stop", "{'instance': 'web1'}"));
		}
		ck_assert_uint_eq(guest_said(rig, "web1", "GUEST-UP"), up);
		end_life(c);
	}
	ck_assert_uint_ge(up, 1); /* behind the commit it runs */
}
END_TEST

/* The button has been pressed; the next life of droverd waits where the last one did. */
START_TEST(test_shutdown_goes_on)
{
	_cleanup_json_ struct json_object *jobs = NULL;
	struct client *c = live("");
	pid_t pid;

	guest_define(c, "web1", "t.ga=0", "");
	pid = guest_start(c, "web1");
	guest_await(rig, "web1", "GUEST-UP", 1);
	end_life(c);
	c = live("instance-shutdown/wait for the guest/before/kill");
	ck_assert(dies_of(c, "instance-shutdown"));
	client_free(c);
	c = live("");
	client_await_state(c, "web1", "shutoff", "admin");
	process_await_end(pid);
	ck_assert(!settled_running(c));
	ck_assert_uint_eq(guest_said(rig, "web1", "GUEST-DOWN"), 1);
	jobs = client_ok(c, "query-jobs", "{}");
	ck_assert_str_eq(str_at(jobs, "0.type"), "instance-shutdown");
	ck_assert_str_eq(str_at(jobs, "0.status"), "concluded");
	ck_assert_str_eq(str_at(jobs, "0.result.state"), "shutoff");
	end_life(c);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("guest, droverd killed");
	TCase *tc = tcase_create("crash");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, test_start);
	tcase_add_test(tc, test_stop);
	tcase_add_test(tc, test_guest_is_let_go_once);
	tcase_add_test(tc, test_shutdown_goes_on);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return guest_main(suite);
}
