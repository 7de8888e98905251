/* SPDX-License-Identifier: BSD-2-Clause */
/* Replies that come later than their requests: their order, and what is left of them when nobody takes them. */
#include "wire.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { SESSIONS = 300, REQUESTS = 64, ROUNDS = 20 };

#ifdef __SANITIZE_ADDRESS__
enum { RSS_COUNTS = 0 };
#else
enum { RSS_COUNTS = 1 };
#endif

static void expect_served_by_another(void)
{
	_cleanup_client_ struct client *c = client_new(rig);

	expect_served(c);
}

/* The ends of sessions are noticed one by one. */
static void await_fds(unsigned most)
{
	for (int tries = 0; process_fds(rig->pid) > most; tries++) {
		ck_assert_msg(tries < RIG_DEADLINE_MS / 2, "droverd has %u descriptors open, before it were %u",
			      process_fds(rig->pid), most);
		usleep(2000);
	}
}

/* A machine without anything to boot: its firmware runs, and there is no agent in it. */
static void firmware_runs(void)
{
	_cleanup_client_ struct client *c = client_new(rig);

	client_define(c, "bios", "'memory': '32M', 'hvparams': {'accel': 'tcg'}");
	json_object_put(client_ok(c, "instance-start", "{'instance': 'bios'}"));
	json_object_put(client_stats(c, 1)); /* what it once was is known from then on */
}

static void firmware_ends(void)
{
	_cleanup_client_ struct client *c = client_new(rig);

	json_object_put(client_ok(c, "instance-stop", "{'instance': 'bios'}"));
}

/* What is asked of whom, and a member by which the answer is known. */
static const struct {
	const char *request, *member;
} mixed[] = {
	{ "{\"execute\": \"query-host\"}", "return.kernel" },
	{ "{\"execute\": \"query-stats\"}", "return.0.cpu" },
	{ "{\"execute\": \"query-version\"}", "return.package" },
	{ "{\"execute\": \"instance-argv\", \"arguments\": {\"instance\": \"bios\"}}", "return.argv" },
	{ "{\"execute\": \"query-guest\", \"arguments\": {\"instance\": \"bios\"}}", "return.alive" },
	{ "{\"execute\": \"instance-qmp\", \"arguments\": {\"instance\": \"bios\", \"execute\": \"query-name\"}}",
	  "return.name" },
	{ "{\"execute\": \"query-guest\", \"arguments\": {\"instance\": \"nobody\"}}", "error.class" },
};

START_TEST(test_order_without_ids)
{
	_cleanup_client_ struct client *c = client_new(rig);

	for (size_t i = 0; i < ROUNDS * ARRAY_SIZE(mixed); i++)
		say(c, mixed[i % ARRAY_SIZE(mixed)].request);
	for (size_t i = 0; i < ROUNDS * ARRAY_SIZE(mixed); i++) {
		_cleanup_json_ struct json_object *o = hear(c);
		const char *member = mixed[i % ARRAY_SIZE(mixed)].member;

		ck_assert_msg(has(o, member), "reply %zu has no %s: %s", i, member, json_object_to_json_string(o));
	}
	expect_served(c);
}
END_TEST

/* Who asks as much as a session may and goes is not kept, though the answers would take an hour: neither the session, of
 * which there are 256 for all, nor the questions. */
START_TEST(test_gone_while_owed)
{
	static const char wait[] = "{\"execute\": \"query-guest\", \"id\": 1, \"arguments\": {\"instance\": \"bios\", "
				   "\"wait\": 3600}}\n";
	unsigned fds = process_fds(rig->pid), rss = 0;

	for (int i = 0; i < SESSIONS + 20; i++) {
		_cleanup_client_ struct client *c = client_new(rig);

		for (int k = 0; k < REQUESTS; k++)
			say(c, wait);
		expect_served_by_another();
		if (i == 20)
			rss = process_rss(rig->pid);
	}
	await_fds(fds);
	if (RSS_COUNTS)
		ck_assert_msg(process_rss(rig->pid) < rss + 2048, "droverd grew from %u KiB to %u KiB", rss,
			      process_rss(rig->pid));
}
END_TEST

/* The same of those that are answered soon. */
START_TEST(test_gone_before_the_answer)
{
	unsigned fds = process_fds(rig->pid);

	for (int i = 0; i < SESSIONS; i++) {
		_cleanup_client_ struct client *c = client_new(rig);

		for (int k = 0; k < REQUESTS; k++) {
			say(c, mixed[(size_t)k % ARRAY_SIZE(mixed)].request);
			say(c, "\n");
		}
	}
	await_fds(fds);
	expect_served_by_another();
}
END_TEST

static void await_jobs(struct client *c, size_t n)
{
	for (int tries = 0;; tries++) {
		_cleanup_json_ struct json_object *jobs = client_ok(c, "query-jobs", NULL);

		if (json_object_array_length(jobs) == n)
			return;
		ck_assert_msg(tries < RIG_DEADLINE_MS / 2, "%zu jobs, not %zu", json_object_array_length(jobs), n);
		usleep(2000);
	}
}

/* A QEMU that stands still is asked only so much, however often its askers come again. */
START_TEST(test_questions_to_the_dead)
{
	static const char ask[] = "{\"execute\": \"instance-qmp\", \"id\": 1, \"arguments\": {\"instance\": "
				  "\"bios\", \"execute\": \"query-name\"}}\n";
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_json_ struct json_object *o = NULL, *busy = NULL, *jobs = NULL;
	pid_t qemu;

	o = client_ok(c, "query-instance", "{'instance': 'bios'}");
	qemu = (pid_t)int_at(o, "pid");
	ck_assert_int_eq(kill(qemu, SIGSTOP), 0);
	for (int i = 0; i < 4; i++) {
		_cleanup_client_ struct client *other = client_new(rig);

		for (int k = 0; k < REQUESTS; k++)
			say(other, ask);
	}
	await_jobs(c, REQUESTS);
	busy = client_error(c, "Busy", "instance-qmp", "{'instance': 'bios', 'execute': 'query-name'}");
	ck_assert_ptr_nonnull(strstr(str_at(busy, "desc"), "instance-qmp"));
	jobs = client_ok(c, "query-jobs", NULL);
	ck_assert_int_eq(json_object_array_length(jobs), REQUESTS);
	ck_assert_int_eq(kill(qemu, SIGCONT), 0);
	await_jobs(c, 0);
	json_object_put(client_ok(c, "instance-qmp", "{'instance': 'bios', 'execute': 'query-name'}"));
}
END_TEST

/* Answers of 150 KiB each, which nobody takes: they wait, and no more is read; others do not notice. */
START_TEST(test_large_answers_to_the_deaf)
{
	static const char schema[] = "{\"execute\": \"instance-qmp\", \"id\": 1, \"arguments\": {\"instance\": "
				     "\"bios\", \"execute\": \"query-qmp-schema\"}}\n";
	_cleanup_client_ struct client *c = client_new(rig);

	for (int k = 0; k < REQUESTS / 4; k++)
		say(c, schema);
	expect_served_by_another();
	for (int k = 0; k < REQUESTS / 4; k++) {
		_cleanup_json_ struct json_object *o = hear(c);

		ck_assert_msg(has(o, "return.100.name"), "no schema: %s", json_object_to_json_string(o));
	}
	expect_served(c);
}
END_TEST

/* As large as a request may be, and QEMU's refusal of it comes back. */
START_TEST(test_large_arguments)
{
	enum { SIZE = (1 << 20) - 4096 };
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_free_ char *path = xcalloc(SIZE + 1, 1);

	memset(path, 'x', SIZE);
	json_object_put(client_error(c, "QemuError", "instance-qmp",
				     "{'instance': 'bios', 'execute': 'qom-list', 'arguments': {'path': '%s'}}", path));
	expect_served(c);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("wire-later");
	TCase *tc = wire_case(s, "later");

	tcase_add_unchecked_fixture(tc, firmware_runs, firmware_ends);
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, test_order_without_ids);
	tcase_add_test(tc, test_gone_while_owed);
	tcase_add_test(tc, test_gone_before_the_answer);
	tcase_add_test(tc, test_questions_to_the_dead);
	tcase_add_test(tc, test_large_answers_to_the_deaf);
	tcase_add_test(tc, test_large_arguments);
	return s;
}

RIG_MAIN(suite)
