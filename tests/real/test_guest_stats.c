/* SPDX-License-Identifier: BSD-2-Clause */
/* Counters of real QEMUs, asked beside one that does not answer; and monitors that are slow. */
#include "guest.h"

#include "runtime/process.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static struct rig *rig;
static struct client *client;
static pid_t one, two;

static void set_up(void)
{
	rig = rig_new("droverd");
	rig_start(rig);
	client = client_new(rig);
	guest_define_bare(client, "off");
	guest_define_bare(client, "one");
	client_define(client, "two", "%s", "'memory': '16M', 'vcpus': 2");
	one = guest_start(client, "one");
	two = guest_start(client, "two");
}

static void tear_down(void)
{
	client_free(client);
	rig_free(rig);
}

/* While "two" stands still, and else. */
static struct json_object *stats_of_one(void)
{
	return client_stats(client, 1);
}

static struct json_object *stats(void)
{
	return client_stats(client, 2);
}

static bool is_stale(struct json_object *list, const char *index)
{
	_cleanup_free_ char *path = xasprintf("%s.stale", index);

	return json_object_get_boolean(at(list, path));
}

/* The monitor of NAME, which its state does not depend on. */
static char *monitor(const char *name)
{
	_cleanup_json_ struct json_object *o = guest_query(client, name);

	ck_assert_str_eq(str_at(o, "state"), "running");
	return xstrdup(str_at(o, "monitor"));
}

static void await_monitor(const char *name, const char *wanted)
{
	for (int tries = 0;; tries++) {
		_cleanup_free_ char *now = monitor(name);

		if (str_eq(now, wanted))
			return;
		ck_assert_msg(tries < RIG_DEADLINE_MS / 10, "its monitor is not %s, it is %s", wanted, now);
		usleep(10000);
	}
}

/* ---- the numbers ---- */

/* Between what the kernel said before and what it says after. */
START_TEST(test_numbers)
{
	double hz = (double)sysconf(_SC_CLK_TCK), least = (double)process_vcpu_ticks(two) / hz, most, sum = 0;
	_cleanup_json_ struct json_object *list = stats(), *again = NULL, *only = NULL;

	most = (double)process_vcpu_ticks(two) / hz;
	ck_assert_uint_eq(json_object_array_length(list), 2); /* "off" has no process */
	ck_assert_str_eq(str_at(list, "0.name"), "one");
	ck_assert_str_eq(str_at(list, "1.name"), "two");
	ck_assert(!is_stale(list, "0") && !is_stale(list, "1"));
	ck_assert_uint_eq(json_object_array_length(at(list, "0.cpu.vcpus")), 1);
	ck_assert_uint_eq(json_object_array_length(at(list, "1.cpu.vcpus")), 2);
	ck_assert_int_eq(int_at(list, "1.cpu.vcpus.1.id"), 1);
	for (int i = 0; i < 2; i++)
		sum += json_get_double(at(list, i ? "1.cpu.vcpus.1" : "1.cpu.vcpus.0"), "time", -1000);
	ck_assert_msg(sum >= least - 0.0001 && sum <= most + 0.0001, "%f is not in %f to %f", sum, least, most);
	ck_assert(json_get_double(at(list, "1.cpu"), "time", -1) >= least);
	ck_assert_int_eq(int_at(list, "1.memory.wanted"), 16 << 20);
	ck_assert_int_gt(int_at(list, "1.memory.resident"), process_rss(two) * 1024 / 2);
	ck_assert_int_lt(int_at(list, "1.memory.resident"), process_rss(two) * 1024L * 2);
	ck_assert_uint_eq(json_object_array_length(at(list, "1.disks")), 0);
	ck_assert_uint_eq(json_object_array_length(at(list, "1.nics")), 0);
	/* by their names, in that order */
	only = client_ok(client, "query-stats", "{'instances': ['two', 'off', 'one']}");
	ck_assert_uint_eq(json_object_array_length(only), 2);
	ck_assert_str_eq(str_at(only, "0.name"), "two");
	json_object_put(client_error(client, "NotFound", "query-stats", "{'instances': ['one', 'nope']}"));
	again = stats();
	ck_assert(json_get_double(at(again, "1"), "as-of", 0) > json_get_double(at(list, "1"), "as-of", 1e18));
}
END_TEST

static struct json_object *memory_of(const char *name)
{
	_cleanup_json_ struct json_object *o = client_ok(client, "query-instance", "{'instance': '%s'}", name);

	return json_object_get(at(o, "memory"));
}

/* What query-instance knows without asking: what QEMU said last. */
START_TEST(test_memory_is_known)
{
	double asked = time_now();
	_cleanup_json_ struct json_object *list = stats(), *after = memory_of("one");

	ck_assert_int_eq(int_at(after, "wanted"), int_at(list, "0.memory.wanted"));
	ck_assert_int_eq(int_at(after, "actual"), int_at(list, "0.memory.actual"));
	ck_assert_int_eq(int_at(after, "max"), int_at(after, "wanted"));
	ck_assert(json_get_double(after, "as-of", 0) >= asked);
}
END_TEST

START_TEST(test_without_machines)
{
	_cleanup_json_ struct json_object *list = NULL;

	json_object_put(client_ok(client, "instance-stop", "{'instance': 'one'}"));
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'two'}"));
	list = client_stats(client, 0);
	ck_assert_uint_eq(json_object_array_length(list), 0);
}
END_TEST

/* ---- beside one that stands still ---- */

START_TEST(test_beside_a_stopped_one)
{
	_cleanup_json_ struct json_object *known = stats(), *first = NULL, *second = NULL, *late = NULL;

	kill(two, SIGSTOP);
	first = stats_of_one();
	ck_assert(!is_stale(first, "0") && is_stale(first, "1"));
	ck_assert(json_object_equal(at(first, "1.as-of"), at(known, "1.as-of")));
	ck_assert(json_object_equal(at(first, "1.cpu"), at(known, "1.cpu")));
	await_monitor("two", "slow");
	await_monitor("one", "ok");
	second = stats_of_one();
	ck_assert(!is_stale(second, "0") && is_stale(second, "1"));
	kill(two, SIGCONT);
	await_monitor("two", "ok"); /* the late answer alone, nobody asks */
	late = stats();
	ck_assert(!is_stale(late, "1"));
	ck_assert(json_get_double(at(late, "1"), "as-of", 0) > json_get_double(at(first, "1"), "as-of", 1e18));
}
END_TEST

/* It ends while it is asked: it is not there any more, and the others are. */
START_TEST(test_beside_one_that_dies)
{
	enum { TRIES = 10 };
	bool stale = true;

	/* "one" has a second */
	for (int i = 0; i < TRIES && stale; i++) {
		_cleanup_json_ struct json_object *reply = NULL;
		int id;

		two = i ? guest_start(client, "two") : two;
		kill(two, SIGSTOP);
		id = client_send(client, "query-stats", "{}");
		kill(two, SIGKILL);
		reply = client_reply(client, id);
		ck_assert_uint_eq(json_object_array_length(at(reply, "return")), 1);
		ck_assert_str_eq(str_at(reply, "return.0.name"), "one");
		stale = json_object_get_boolean(at(reply, "return.0.stale"));
		client_await_state(client, "two", "crashed", "signal 9");
	}
	ck_assert(!stale);
}
END_TEST

/* Found by a new droverd, it has never answered that one. What it was last is what it is. */
START_TEST(test_found_stopped)
{
	_cleanup_json_ struct json_object *list = NULL, *again = NULL;

	kill(two, SIGSTOP);
	rig_kill(rig);
	rig_start(rig);
	client_free(client);
	client = client_new(rig);
	await_monitor("two", "slow"); /* nobody asked */
	list = stats_of_one();
	ck_assert(!is_stale(list, "0") && is_stale(list, "1"));
	ck_assert(!has(list, "1.as-of") && !has(list, "1.cpu"));
	kill(two, SIGCONT);
	await_monitor("two", "ok");
	again = stats();
	ck_assert(!is_stale(again, "1"));
	guest_expect(client, "two", "running", "booted");
}
END_TEST

/* Somebody leaves before the answer. */
START_TEST(test_client_that_leaves)
{
	_cleanup_json_ struct json_object *list = NULL;
	struct client *c = client_new(rig);

	kill(two, SIGSTOP);
	client_send(c, "query-stats", "{}");
	client_send(c, "query-guest", "{'instance': 'one', 'wait': 1}");
	client_free(c);
	list = stats_of_one();
	ck_assert(!is_stale(list, "0") && is_stale(list, "1"));
	kill(two, SIGCONT);
	await_monitor("two", "ok");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("guest, counters");
	TCase *tc = tcase_create("stats");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, test_numbers);
	tcase_add_test(tc, test_memory_is_known);
	tcase_add_test(tc, test_without_machines);
	tcase_add_test(tc, test_beside_a_stopped_one);
	tcase_add_test(tc, test_beside_one_that_dies);
	tcase_add_test(tc, test_found_stopped);
	tcase_add_test(tc, test_client_that_leaves);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return guest_main(suite);
}
