/* SPDX-License-Identifier: BSD-2-Clause */
/* The agent in a real guest: what it tells, when it is gone or hangs, and the ladder that ends the guest. */
#include "guest.h"
#include "one_rig.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* The next life of droverd. */
static void restart(void)
{
	rig_restart(rig, &client);
}

static struct json_object *query_guest(unsigned wait)
{
	return client_ok(client, "query-guest", "{'instance': 'web1', 'wait': %u}", wait);
}

static void await_agent(bool alive)
{
	for (;;) {
		_cleanup_json_ struct json_object *o = client_event(client, "GUEST_AGENT");

		ck_assert_str_eq(str_at(o, "data.instance"), "web1");
		if (json_get_bool(at(o, "data"), "alive", !alive) == alive)
			return;
	}
}

/* As it is shown, not as it was: droverd has heard of the console's words. */
static void boot(const char *words)
{
	guest_define(client, "web1", words, "");
	guest_start(client, "web1");
	await_agent(true);
	guest_await(rig, "web1", "GUEST-GA up", 1);
}

/* Types a line at the shell of a guest with t.shell=1. It is done when the console says DONE; NULL: when the guest sleeps. */
static void type(const char *line, const char *done)
{
	struct client *c = client_new(rig);

	guest_await(rig, "web1", "/ # ", 1);
	json_object_put(client_ok(c, "console-attach", "{'instance': 'web1'}"));
	client_write(c, line, strlen(line));
	if (done)
		guest_await(rig, "web1", done, 1);
	else
		client_await_state(client, "web1", "pmsuspended", "guest");
	client_free(c);
}

/* The same once it has told all: on a busy machine what it has of time may be too little. */
static struct json_object *query_told(void)
{
	enum { TRIES = 10 };

	for (int tries = 1;; tries++) {
		struct json_object *o = query_guest(0);

		if ((json_get_bool(o, "alive", false) && !json_get_bool(o, "stale", true)) || tries == TRIES)
			return o;
		json_object_put(o);
	}
}

static unsigned members(struct json_object *o)
{
	return (unsigned)json_object_object_length(o);
}

/* ---- what it tells ---- */

static void check_told(struct json_object *o)
{
	_cleanup_free_ char *kver = xasprintf("%s/kver", rig_guest());
	char release[128] = "";
	FILE *f = fopen(kver, "re");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fscanf(f, "%127s", release), 1);
	fclose(f);
	ck_assert_msg(json_get_bool(o, "alive", false) && !json_get_bool(o, "stale", true), "%s",
		      json_object_to_json_string(o));
	ck_assert_str_eq(str_at(o, "hostname"), "guest");
	ck_assert(strchr(str_at(o, "version"), '.') != NULL);
	ck_assert_str_eq(str_at(o, "os.kernel-release"), release);
	ck_assert_str_eq(str_at(o, "interfaces.0.name"), "lo");
	ck_assert_str_eq(str_at(o, "interfaces.0.ip-addresses.0.ip-address"), "127.0.0.1");
	ck_assert(has(o, "filesystems"));
	ck_assert(json_get_double(o, "as-of", 0) > 1e9);
}

START_TEST(test_query_guest)
{
	_cleanup_json_ struct json_object *none = NULL, *shared = NULL, *told = NULL, *again = NULL, *o = NULL;
	int first, second;

	guest_define(client, "web1", "", "");
	json_object_put(client_error(client, "WrongState", "query-guest", "{'instance': 'web1'}"));
	json_object_put(client_error(client, "NotFound", "query-guest", "{'instance': 'nope'}"));
	guest_start(client, "web1");
	none = query_guest(0);
	ck_assert_msg(members(none) == 2 && !json_get_bool(none, "alive", true) && !json_get_bool(none, "stale", true),
		      "%s", json_object_to_json_string(none));
	/* two that wait for it to come share a question */
	first = client_send(client, "query-guest", "{'instance': 'web1', 'wait': 60}");
	second = client_send(client, "query-guest", "{'instance': 'web1', 'wait': 60}");
	told = client_reply(client, first);
	shared = client_reply(client, second);
	check_told(at(told, "return"));
	ck_assert(json_object_equal(at(told, "return"), at(shared, "return")));
	await_agent(true);
	/* a new daemon finds it there without an event */
	restart();
	again = query_told();
	check_told(again);
	/* the agent alone ends the guest */
	o = client_ok(client, "instance-shutdown", "{'instance': 'web1', 'mode': 'agent'}");
	ck_assert_str_eq(str_at(o, "rung"), "agent");
	ck_assert_str_eq(str_at(o, "state"), "shutoff");
	guest_expect(client, "web1", "shutoff", "admin");
	ck_assert_uint_eq(guest_said(rig, "web1", "GUEST-DOWN"), 1);
	ck_assert_uint_eq(guest_said(rig, "web1", "GUEST-BUTTON"), 0);
	await_agent(false);
	json_object_put(client_error(client, "WrongState", "query-guest", "{'instance': 'web1'}"));
}
END_TEST

/* Waiting for what does not come ends with the process, or in time. */
START_TEST(test_no_agent)
{
	_cleanup_json_ struct json_object *o = NULL, *none = NULL, *gone = NULL;
	int waiting;

	guest_define_bare(client, "web1");
	guest_start(client, "web1");
	none = query_guest(1);
	ck_assert_uint_eq(members(none), 2);
	o = client_error(client, "WrongState", "instance-shutdown", "{'instance': 'web1', 'mode': 'agent'}");
	ck_assert(has(o, "step"));
	guest_expect(client, "web1", "running", "booted");
	waiting = client_send(client, "query-guest", "{'instance': 'web1', 'wait': 600}");
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'web1'}"));
	gone = client_reply(client, waiting);
	ck_assert_str_eq(str_at(gone, "error.class"), "GuestGone");
}
END_TEST

/* ---- when it hangs, and when it has died ---- */

START_TEST(test_agent_that_hangs)
{
	_cleanup_json_ struct json_object *first = NULL, *stale = NULL, *again = NULL, *dead = NULL, *e = NULL,
					  *o = NULL;

	boot("t.shell=1");
	first = query_told();
	check_told(first);
	type("kill -STOP $(cat /run/qemu-ga.pid); echo stop$((1 + 1))\n", "stop2");
	/* its port is open; what it said is known */
	stale = query_guest(0);
	ck_assert(!json_get_bool(stale, "alive", true) && json_get_bool(stale, "stale", false));
	ck_assert_str_eq(str_at(stale, "hostname"), "guest");
	ck_assert(json_object_equal(at(stale, "as-of"), at(first, "as-of")));
	e = client_error(client, "Timeout", "instance-shutdown", "{'instance': 'web1', 'mode': 'agent'}");
	ck_assert_ptr_nonnull(strstr(str_at(e, "desc"), "nothing was asked of the guest"));
	guest_expect(client, "web1", "running", "booted");
	/* it wakes up to questions that nobody waits for, and none of them was an order */
	type("kill -CONT $(cat /run/qemu-ga.pid); echo cont$((1 + 1))\n", "cont2");
	again = query_told();
	check_told(again);
	ck_assert_uint_eq(guest_said(rig, "web1", "GUEST-DOWN"), 0);
	type("kill -KILL $(cat /run/qemu-ga.pid); echo kill$((1 + 1))\n", "kill2");
	await_agent(false);
	dead = query_guest(0);
	ck_assert(!json_get_bool(dead, "alive", true) && json_get_bool(dead, "stale", false));
	ck_assert_str_eq(str_at(dead, "hostname"), "guest");
	/* the button does what it cannot */
	o = client_ok(client, "instance-shutdown", "{'instance': 'web1'}");
	ck_assert_str_eq(str_at(o, "rung"), "acpi");
	ck_assert_uint_gt(guest_said(rig, "web1", "GUEST-BUTTON"), 0);
	ck_assert_uint_eq(guest_said(rig, "web1", "GUEST-DOWN"), 1);
}
END_TEST

/* ---- the ladder ---- */

START_TEST(test_hung_agent_does_not_keep_the_button)
{
	_cleanup_json_ struct json_object *o = NULL;

	boot("t.shell=1");
	type("kill -STOP $(cat /run/qemu-ga.pid); echo stop$((1 + 1))\n", "stop2");
	o = client_ok(client, "instance-shutdown", "{'instance': 'web1'}");
	ck_assert_str_eq(str_at(o, "rung"), "acpi");
	ck_assert_uint_eq(guest_said(rig, "web1", "GUEST-DOWN"), 1);
	guest_expect(client, "web1", "shutoff", "admin");
}
END_TEST

/* It prefers the agent where both would do, and the agent works where the button does not. */
START_TEST(test_agent_first)
{
	_cleanup_json_ struct json_object *o = NULL;

	boot("t.button=0");
	json_object_put(query_told());
	o = client_ok(client, "instance-shutdown", "{'instance': 'web1'}");
	ck_assert_str_eq(str_at(o, "rung"), "agent");
	ck_assert_uint_eq(guest_said(rig, "web1", "GUEST-BUTTON"), 0);
	ck_assert_uint_eq(guest_said(rig, "web1", "GUEST-DOWN"), 1);
	guest_expect(client, "web1", "shutoff", "admin");
}
END_TEST

/* Nobody in the guest hears the first press. */
START_TEST(test_while_booting)
{
	_cleanup_json_ struct json_object *o = NULL;

	guest_define(client, "web1", "t.ga=0", "");
	guest_start(client, "web1");
	o = client_ok(client, "instance-shutdown", "{'instance': 'web1'}");
	ck_assert_str_eq(str_at(o, "rung"), "acpi");
	ck_assert_uint_eq(guest_said(rig, "web1", "GUEST-UP"), 1);
	ck_assert_uint_eq(guest_said(rig, "web1", "GUEST-DOWN"), 1);
	guest_expect(client, "web1", "shutoff", "admin");
}
END_TEST

START_TEST(test_asleep)
{
	_cleanup_json_ struct json_object *o = NULL;

	boot("t.shell=1");
	type("echo mem > /sys/power/state\n", NULL);
	o = client_ok(client, "instance-shutdown", "{'instance': 'web1'}");
	ck_assert_msg(!str_eq(str_at(o, "rung"), "stop"), "it was not asked");
	ck_assert_uint_eq(guest_said(rig, "web1", "GUEST-DOWN"), 1);
	guest_expect(client, "web1", "shutoff", "admin");
}
END_TEST

/* The guest gives memory back, which QEMU tells of by itself. */
START_TEST(test_balloon)
{
	int64_t wanted, less;

	boot("");
	_cleanup_json_ struct json_object *o = client_ok(client, "query-instance", "{'instance': 'web1'}");
	wanted = int_at(o, "memory.wanted");
	less = wanted - (16 << 20);
	ck_assert_int_eq(int_at(o, "memory.actual"), wanted);
	json_object_put(client_ok(client, "instance-qmp",
				  "{'instance': 'web1', 'execute': 'balloon', 'arguments': {'value': %" PRId64 "}}",
				  less));
	for (int tries = 0; int_at(o, "memory.actual") != less; tries++) {
		ck_assert_int_lt(tries, RIG_DEADLINE_MS / 20);
		usleep(20000);
		json_object_put(o);
		o = client_ok(client, "query-instance", "{'instance': 'web1'}");
	}
	ck_assert_int_eq(int_at(o, "memory.wanted"), wanted);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("guest agent");
	TCase *tc = tcase_create("agent");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, test_query_guest);
	tcase_add_test(tc, test_no_agent);
	tcase_add_test(tc, test_agent_that_hangs);
	tcase_add_test(tc, test_hung_agent_does_not_keep_the_button);
	tcase_add_test(tc, test_agent_first);
	tcase_add_test(tc, test_while_booting);
	tcase_add_test(tc, test_asleep);
	tcase_add_test(tc, test_balloon);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return guest_main(suite);
}
