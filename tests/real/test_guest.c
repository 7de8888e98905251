/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of a real guest: one machine, from its definition to its end, by way of two more lives of droverd. */
#include "guest.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

struct life {
	struct rig *r;
	struct client *c;
	pid_t pid;
};

/* ---- what runs is what was said ---- */

/* The arguments that the kernel has for a process, as a JSON list. */
static struct json_object *cmdline(pid_t pid)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/cmdline", pid);
	struct json_object *list = json_object_new_array();
	FILE *f = fopen(path, "re");
	char *arg = NULL;
	size_t size = 0;

	ck_assert_ptr_nonnull(f);
	while (getdelim(&arg, &size, '\0', f) > 0)
		json_object_array_add(list, json_object_new_string(arg));
	free(arg);
	fclose(f);
	return list;
}

/* A kernel that the guest's uid cannot read is copied, and found by the name of the copy. */
static void check_as_told(struct json_object *told, struct json_object *real)
{
	const char *last = "";

	ck_assert_uint_eq(json_object_array_length(told), json_object_array_length(real));
	for (size_t i = 0; i < json_object_array_length(real); i++) {
		const char *word = json_object_get_string(json_object_array_get_idx(told, i));

		if (!str_eq(last, "-kernel") && !str_eq(last, "-initrd"))
			ck_assert_str_eq(word, json_object_get_string(json_object_array_get_idx(real, i)));
		last = word;
	}
}

static void check_argv(struct life *l)
{
	_cleanup_json_ struct json_object *shown = guest_query(l->c, "web1"), *real = cmdline(l->pid);
	_cleanup_json_ struct json_object *argv = client_ok(l->c, "instance-argv", "{'instance': 'web1'}");

	ck_assert_int_gt(json_object_array_length(real), 10);
	ck_assert(json_object_equal(at(shown, "runtime.cmd"), real));
	check_as_told(at(argv, "argv"), real);
}

static pid_t parent_of(pid_t pid)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/status", pid);
	char line[256];
	pid_t parent = 0;
	FILE *f = fopen(path, "re");

	ck_assert_ptr_nonnull(f);
	while (!parent && fgets(line, sizeof(line), f))
		sscanf(line, "PPid: %d", &parent);
	fclose(f);
	return parent;
}

static void check_identity(struct life *l)
{
	_cleanup_json_ struct json_object *shown = guest_query(l->c, "web1");

	ck_assert_int_eq(rig_lock_holder(l->r, "web1", "qemu.lock"), l->pid);
	ck_assert_int_eq(rig_lock_holder(l->r, "web1", "lock"), parent_of(l->pid));
	ck_assert_int_eq(int_at(shown, "runtime.process.pid"), l->pid);
	ck_assert_str_eq(str_at(shown, "monitor"), "ok");
}

/* ---- while it runs ---- */

static void check_start_again(struct life *l)
{
	_cleanup_json_ struct json_object *o = client_ok(l->c, "instance-start", "{'instance': 'web1'}");

	ck_assert(!json_get_bool(o, "changed", true));
	ck_assert_str_eq(str_at(o, "state"), "running");
	ck_assert_int_eq(guest_pid(l->c, "web1"), l->pid);
	json_object_put(client_error(l->c, "WrongState", "instance-undefine", "{'instance': 'web1'}"));
}

/* A new definition is for the next start. */
static void check_pending(struct life *l)
{
	_cleanup_json_ struct json_object *was = guest_query(l->c, "web1"), *o = NULL, *list = NULL, *now = NULL;

	guest_define(l->c, "web1", "t.dirty=1", "'vcpus': 2, 'description': 'words need no restart'");
	o = guest_query(l->c, "web1");
	ck_assert_int_eq(json_object_array_length(at(o, "pending")), 1);
	ck_assert_str_eq(str_at(o, "pending.0.path"), "vcpus");
	ck_assert_int_eq(int_at(o, "pending.0.from"), 1);
	ck_assert_int_eq(int_at(o, "pending.0.to"), 2);
	ck_assert_str_eq(str_at(o, "pending.0.needs"), "restart");
	ck_assert(json_object_equal(at(o, "runtime"), at(was, "runtime")));
	list = client_ok(l->c, "query-instances", "{}");
	ck_assert(json_object_get_boolean(at(list, "0.pending")));
	guest_define(l->c, "web1", "t.dirty=1", "");
	now = guest_query(l->c, "web1");
	/* the guest gives and takes memory as it likes */
	json_object_object_del(now, "memory");
	json_object_object_del(was, "memory");
	ck_assert_str_eq(json_object_to_json_string(now), json_object_to_json_string(was));
}

/* The guest never rests. Paused, its processor does not run: what it has taken of time stays as it is, also when the
 * host has had time for it. */
static unsigned long ticks_at_rest(pid_t pid)
{
	enum { LOOK_MS = 20 };
	unsigned long last, now = process_vcpu_ticks(pid);
	int tries = 0;

	/* the last one may be counted behind the answer */
	do {
		usleep(LOOK_MS * 1000);
		last = now;
		now = process_vcpu_ticks(pid);
	} while (now != last && ++tries < RIG_DEADLINE_MS / LOOK_MS);
	return now;
}

static void check_pause(struct life *l)
{
	enum { WINDOW_MS = 300 };
	_cleanup_json_ struct json_object *o = client_ok(l->c, "instance-pause", "{'instance': 'web1'}");
	_cleanup_json_ struct json_object *again = NULL, *resumed = NULL, *once_more = NULL;
	unsigned long ticks = ticks_at_rest(l->pid);

	ck_assert(json_get_bool(o, "changed", false));
	ck_assert_str_eq(str_at(o, "state"), "paused");
	guest_expect(l->c, "web1", "paused", "admin");
	ck_assert_uint_gt(ticks, 0);
	usleep(WINDOW_MS * 1000);
	ck_assert_uint_eq(process_vcpu_ticks(l->pid), ticks);
	again = client_ok(l->c, "instance-pause", "{'instance': 'web1'}");
	ck_assert(!json_get_bool(again, "changed", true));
	resumed = client_ok(l->c, "instance-resume", "{'instance': 'web1'}");
	ck_assert(json_get_bool(resumed, "changed", false));
	ck_assert_str_eq(str_at(resumed, "state"), "running");
	guest_expect(l->c, "web1", "running", "resumed");
	for (int tries = 0; process_vcpu_ticks(l->pid) == ticks; tries++) {
		ck_assert_msg(tries < RIG_DEADLINE_MS / 5, "its processor does not run");
		usleep(5000);
	}
	once_more = client_ok(l->c, "instance-resume", "{'instance': 'web1'}");
	ck_assert(!json_get_bool(once_more, "changed", true));
}

static void check_reset(struct life *l)
{
	_cleanup_json_ struct json_object *o = client_ok(l->c, "instance-reset", "{'instance': 'web1'}"),
					  *paused = NULL;

	ck_assert(json_get_bool(o, "changed", false));
	ck_assert_str_eq(str_at(o, "state"), "running");
	guest_await(l->r, "web1", "GUEST-UP", 2);
	guest_expect(l->c, "web1", "running", "reset");
	/* one that is paused stays so, and boots when it goes on */
	json_object_put(client_ok(l->c, "instance-pause", "{'instance': 'web1'}"));
	paused = client_ok(l->c, "instance-reset", "{'instance': 'web1'}");
	ck_assert_str_eq(str_at(paused, "state"), "paused");
	ck_assert_uint_eq(guest_said(l->r, "web1", "GUEST-UP"), 2);
	json_object_put(client_ok(l->c, "instance-resume", "{'instance': 'web1'}"));
	guest_await(l->r, "web1", "GUEST-UP", 3);
	ck_assert_int_eq(guest_pid(l->c, "web1"), l->pid);
}

/* ---- without a daemon ---- */

/* The daemon's next life knows all that the last one knew, the hour of the last change with it. */
static void check_new_daemon(struct life *l, void (*end)(struct rig *r))
{
	_cleanup_json_ struct json_object *before = guest_query(l->c, "web1"), *after = NULL;
	_cleanup_free_ char *world = rig_world_at_rest(l->r, true);

	client_free(TAKE_PTR(l->c));
	end(l->r);
	ck_assert(process_runs(l->pid));
	ck_assert_int_eq(rig_lock_holder(l->r, "web1", "qemu.lock"), l->pid);
	rig_start(l->r);
	l->c = client_new(l->r);
	after = guest_query(l->c, "web1");
	/* asked anew */
	json_object_object_del(before, "memory");
	json_object_object_del(after, "memory");
	ck_assert_msg(json_object_equal(before, after), "before: %s\nafter: %s", json_object_to_json_string(before),
		      json_object_to_json_string(after));
	rig_expect_world(l->r, true, world);
}

/* ---- its end ---- */

static void check_shutdown(struct life *l)
{
	_cleanup_json_ struct json_object *o = client_ok(l->c, "instance-shutdown",
							 "{'instance': 'web1', 'mode': 'acpi'}");
	_cleanup_json_ struct json_object *shown = NULL, *again = NULL;
	_cleanup_free_ char *log = rig_file(l->r, "log/web1.console"), *world = rig_world(l->r, false);
	_cleanup_free_ char *states = guest_states(l->c, "web1", 0);
	char *pressed = strstr(log, "GUEST-BUTTON power");

	ck_assert(json_get_bool(o, "changed", false));
	ck_assert_str_eq(str_at(o, "state"), "shutoff");
	ck_assert_str_eq(str_at(o, "rung"), "acpi");
	ck_assert_msg(pressed && strstr(pressed, "GUEST-DOWN"), "the console says: %s", log);
	/* all that this life of droverd has seen: what it knew before was no change */
	ck_assert_str_eq(states, "shutdown/shutdown/admin\nshutoff//admin\n");
	ck_assert(!process_runs(l->pid));
	shown = guest_settle(l->c, "web1");
	ck_assert_str_eq(str_at(shown, "state"), "shutoff");
	ck_assert_str_eq(str_at(shown, "reason"), "admin");
	ck_assert(!has(shown, "pid") && !has(shown, "runtime"));
	ck_assert_str_eq(str_at(shown, "last.state"), "shutoff");
	ck_assert_int_eq(int_at(shown, "last.exit.status"), 0);
	ck_assert_msg(!strstr(world, "run/instances/web1") && !strstr(world, "process") &&
			      !strstr(world, "operations/"),
		      "left: %s", world);
	again = client_ok(l->c, "instance-shutdown", "{'instance': 'web1'}");
	ck_assert(!json_get_bool(again, "changed", true));
}

START_TEST(test_life)
{
	struct life l = { .r = rig_new("droverd") };
	_cleanup_free_ char *before = NULL, *states = NULL, *after = NULL;
	int64_t seq;

	rig_start(l.r);
	l.c = client_new(l.r);
	before = rig_world(l.r, false);
	seq = guest_now(l.c);
	guest_define(l.c, "web1", "t.dirty=1", "");
	l.pid = guest_start(l.c, "web1");
	states = guest_states(l.c, "web1", seq);
	ck_assert_str_eq(states, "nostate//starting\npaused/prelaunch/starting\nrunning/running/booted\n");
	check_argv(&l);
	check_identity(&l);
	check_start_again(&l);
	check_pending(&l);
	client_await_console(l.c, "web1", "GUEST-UP");
	ck_assert_uint_eq(guest_said(l.r, "web1", "GUEST-UP"), 1);
	check_pause(&l);
	check_reset(&l);
	check_new_daemon(&l, rig_stop);
	check_new_daemon(&l, rig_kill);
	check_identity(&l);
	check_argv(&l);
	check_shutdown(&l);
	json_object_put(client_ok(l.c, "instance-undefine", "{'instance': 'web1'}"));
	after = rig_world(l.r, false);
	ck_assert_str_eq(before, after);
	client_free(l.c);
	rig_free(l.r);
}
END_TEST

/* Two at once, each with a process of its own; the end of one is nothing to the other. */
START_TEST(test_two)
{
	struct rig *r = rig_new("droverd");
	struct client *c;
	_cleanup_json_ struct json_object *list = NULL;
	pid_t one, two;

	rig_start(r);
	c = client_new(r);
	guest_define(c, "one", "", "");
	guest_define(c, "two", "", "");
	json_object_put(client_ok(c, "instance-start", "{'instance': 'one', 'job-id': 'start'}"));
	two = guest_start(c, "two");
	client_await_state(c, "one", "running", "booted");
	one = guest_pid(c, "one");
	ck_assert_int_ne(one, two);
	guest_await(r, "one", "GUEST-UP", 1);
	guest_await(r, "two", "GUEST-UP", 1);
	json_object_put(client_ok(c, "instance-shutdown", "{'instance': 'one'}"));
	ck_assert(!process_runs(one));
	ck_assert(process_runs(two));
	list = client_ok(c, "query-instances", "{}");
	ck_assert_str_eq(str_at(list, "0.state"), "shutoff");
	ck_assert_str_eq(str_at(list, "1.state"), "running");
	ck_assert_uint_eq(guest_said(r, "two", "GUEST-BUTTON"), 0);
	json_object_put(client_ok(c, "instance-stop", "{'instance': 'two'}"));
	ck_assert(!process_runs(two));
	client_free(c);
	rig_free(r);
}
END_TEST

/* It has a process, and nothing has run in it. */
START_TEST(test_start_paused)
{
	struct rig *r = rig_new("droverd");
	_cleanup_json_ struct json_object *o = NULL, *e = NULL;
	_cleanup_free_ char *states = NULL;
	struct client *c;
	unsigned long ticks;
	int64_t seq;
	pid_t pid;

	rig_start(r);
	c = client_new(r);
	guest_define(c, "web1", "", "");
	seq = guest_now(c);
	o = client_ok(c, "instance-start", "{'instance': 'web1', 'paused': true}");
	ck_assert_str_eq(str_at(o, "state"), "paused");
	guest_expect(c, "web1", "paused", "starting");
	pid = guest_pid(c, "web1");
	ticks = ticks_at_rest(pid);
	ck_assert_uint_le(ticks, 1); /* what its thread took to come up */
	e = client_error(c, "WrongState", "instance-start", "{'instance': 'web1'}");
	/* what a new daemon finds so it leaves so */
	client_free(c);
	rig_kill(r);
	rig_start(r);
	c = client_new(r);
	client_await_state(c, "web1", "paused", "starting");
	ck_assert_int_eq(guest_pid(c, "web1"), pid);
	ck_assert_uint_eq(process_vcpu_ticks(pid), ticks);
	seq = guest_now(c);
	json_object_put(client_ok(c, "instance-resume", "{'instance': 'web1'}"));
	guest_expect(c, "web1", "running", "booted");
	states = guest_states(c, "web1", seq);
	ck_assert_str_eq(states, "running/running/booted\n");
	guest_await(r, "web1", "GUEST-UP", 1);
	json_object_put(client_ok(c, "instance-stop", "{'instance': 'web1'}"));
	ck_assert(!process_runs(pid));
	client_free(c);
	rig_free(r);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("guest");
	TCase *tc = tcase_create("guest");

	tcase_add_test(tc, test_life);
	tcase_add_test(tc, test_two);
	tcase_add_test(tc, test_start_paused);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return guest_main(suite);
}
