/* SPDX-License-Identifier: BSD-2-Clause */
/* The wire under stress: many clients, clients that do not read, and what is left of them in the daemon. */
#include "wire.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SESSIONS = 256, CROWD = 300, SOME = 2000, MANY = 20000, MIB = 1 << 20 };

/* Memory that a sanitizer keeps to see who still uses it is no leak. */
#ifdef __SANITIZE_ADDRESS__
enum { RSS_COUNTS = 0 };
#else
enum { RSS_COUNTS = 1 };
#endif

static void expect_rss(unsigned before, unsigned more_kib)
{
	unsigned now = process_rss(rig->pid);

	if (RSS_COUNTS)
		ck_assert_msg(now < before + more_kib, "droverd grew from %u KiB to %u KiB", before, now);
}

/* The ends of sessions are noticed one by one; a request that comes behind them is no barrier. */
static void await_fds(unsigned most)
{
	for (int tries = 0; process_fds(rig->pid) > most; tries++) {
		ck_assert_msg(tries < RIG_DEADLINE_MS / 2, "droverd has %u descriptors open, before it were %u",
			      process_fds(rig->pid), most);
		usleep(2000);
	}
}

/* ---- many ---- */

/* Some go right after the greeting, some in the middle of a request, some behind it, some with its answer unread. */
static void come_and_go(int i)
{
	_cleanup_client_ struct client *c = NULL;
	_cleanup_json_ struct json_object *greeting = NULL;

	c = client_raw(rig, &greeting);
	ck_assert(has(greeting, "QMP"));
	if (i % 4 == 1)
		say(c, "{\"execute\": \"qmp_cap");
	if (i % 4 >= 2)
		json_object_put(client_ok(c, "qmp_capabilities", NULL));
	if (i % 4 == 3)
		say(c, "{\"execute\": \"query-schema\"}{\"execute\": \"query-schema\"}");
}

START_TEST(test_one_after_the_other)
{
	unsigned fds = process_fds(rig->pid), rss;

	for (int i = 0; i < SESSIONS; i++)
		come_and_go(i);
	rss = process_rss(rig->pid);
	for (int i = 0; i < (getenv("DROVER_LONG") ? MANY : SOME); i++)
		come_and_go(i);
	await_fds(fds);
	expect_rss(rss, 2048);
}
END_TEST

/* Those that are there at once; they go with the test, also when it has failed. */
static struct client *crowd[CROWD];

static void crowd_goes(void)
{
	for (int i = 0; i < CROWD; i++) {
		client_freep(&crowd[i]);
		crowd[i] = NULL;
	}
}

START_TEST(test_crowd)
{
	unsigned fds = process_fds(rig->pid);

	for (int i = 0; i < CROWD; i++) {
		_cleanup_json_ struct json_object *o = NULL;

		crowd[i] = client_raw(rig, &o);
		if (i < SESSIONS) {
			ck_assert_msg(has(o, "QMP"), "session %d: %s", i, json_object_to_json_string(o));
			continue;
		}
		ck_assert_msg(str_eq(str_at(o, "error.class"), "Busy"), "session %d: %s", i,
			      json_object_to_json_string(o));
		ck_assert_ptr_null(client_read(crowd[i]));
	}
	for (int i = 0; i < SESSIONS; i += 51) {
		json_object_put(client_ok(crowd[i], "qmp_capabilities", NULL));
		expect_served(crowd[i]);
	}
	crowd_goes();
	await_fds(fds);
	client_free(client_new(rig));
}
END_TEST

/* One that is turned away cannot talk itself in. */
START_TEST(test_turned_away)
{
	_cleanup_json_ struct json_object *o = NULL;
	int tries = 0;

	for (int i = 0; i < SESSIONS; i++) {
		json_object_put(o);
		crowd[i] = client_raw(rig, &o);
	}
	json_object_put(o);
	crowd[SESSIONS] = client_raw(rig, &o);
	say(crowd[SESSIONS], "{\"execute\": \"qmp_capabilities\"}\n");
	ck_assert_ptr_null(client_read(crowd[SESSIONS]));
	/* a place that is free again is given away */
	client_free(TAKE_PTR(crowd[0]));
	while (!has(o, "QMP")) {
		ck_assert_int_lt(++tries, SOME);
		client_free(TAKE_PTR(crowd[SESSIONS]));
		json_object_put(o);
		crowd[SESSIONS] = client_raw(rig, &o);
	}
	json_object_put(client_ok(crowd[SESSIONS], "qmp_capabilities", NULL));
}
END_TEST

/* ---- who does not read ---- */

static const char long_name[] = "the-longest-name-that-an-instance-may-have-is-of-63-characters-";

/* Three events from each, and no work for the disk. */
static void make_events(struct client *c, int n)
{
	enum { BATCH = 32 };
	_cleanup_free_ char *line = xasprintf(
		"{\"execute\": \"instance-define\", \"arguments\": {\"definition\": {\"name\": "
		"\"%s\"}}, \"id\": 1}\n",
		long_name);

	for (int i = 0; i < n; i += BATCH) {
		for (int k = 0; k < BATCH; k++)
			say(c, line);
		for (int k = 0; k < BATCH; k++) {
			_cleanup_json_ struct json_object *o = hear(c);

			ck_assert_msg(has(o, "return"), "%s", json_object_to_json_string(o));
		}
	}
}

/* Reads the events that follow the one of SEQ, without a hole, up to the word that some were lost; that one's
 * "oldest", and in *SEQ the last event's. */
static int64_t read_to_gap(struct client *c, int64_t *seq)
{
	for (;;) {
		_cleanup_json_ struct json_object *o = client_read(c);

		ck_assert_msg(o != NULL, "it was cut off");
		if (has(o, "event")) {
			ck_assert_int_eq(int_at(o, "seq"), *seq + 1);
			++*seq;
			continue;
		}
		ck_assert_msg(str_eq(str_at(o, "error.class"), "Gap"), "not Gap: %s", json_object_to_json_string(o));
		ck_assert(!has(o, "id"));
		ck_assert_int_eq(strlen(str_at(o, "error.epoch")), 36);
		return int_at(o, "error.oldest");
	}
}

START_TEST(test_deaf_to_events)
{
	enum { ENOUGH = 12000 }; /* three times as many events, of some 250 bytes */
	_cleanup_client_ struct client *deaf = NULL, *c = client_new(rig);
	_cleanup_json_ struct json_object *e = NULL, *o = NULL, *before = NULL;
	unsigned rss = process_rss(rig->pid);
	int64_t seq, oldest;

	before = client_ok(c, "query-events", "{}");
	seq = int_at(before, "last");
	deaf = client_new(rig);
	make_events(c, ENOUGH);
	expect_rss(rss, 16 * 1024);
	oldest = read_to_gap(deaf, &seq);
	ck_assert_int_gt(oldest, seq + 1);
	/* what is lost is lost; from there on it hears again */
	e = client_error(deaf, "Gap", "query-events", "{'since': %lld}", (long long)seq);
	ck_assert_int_eq(int_at(e, "oldest"), oldest);
	make_events(c, 1);
	o = client_event(deaf, "JOB_STATUS_CHANGE");
	ck_assert_int_ge(int_at(o, "seq"), oldest);
	json_object_put(client_ok(c, "instance-undefine", "{'instance': '%s'}", long_name));
}
END_TEST

/* What droverd has not yet read of what C wrote fills the socket. */
static bool takes_more(struct client *c)
{
	struct pollfd p = { .fd = client_fd(c), .events = POLLOUT };

	return poll(&p, 1, 500) == 1;
}

/* Answers are many times as large as requests: who does not take them is not listened to. */
START_TEST(test_deaf_to_answers)
{
	static const char line[] = "{\"execute\": \"query-schema\", \"id\": 1}\n";
	_cleanup_client_ struct client *c = client_new(rig), *other = client_new(rig);
	unsigned rss = process_rss(rig->pid);
	size_t n = 0, sent = 0;

	while (sent < MANY && takes_more(c)) {
		ssize_t got = send(client_fd(c), line + n, sizeof(line) - 1 - n, MSG_DONTWAIT | MSG_NOSIGNAL);

		ck_assert(got > 0 || errno == EAGAIN);
		n += got > 0 ? (size_t)got : 0;
		sent += n == sizeof(line) - 1;
		n %= sizeof(line) - 1;
	}
	expect_rss(rss, 16 * 1024);
	expect_served(other);
	/* and nothing that it was asked is forgotten */
	for (size_t i = 0; i < sent; i++) {
		_cleanup_json_ struct json_object *o = hear(c);

		ck_assert(has(o, "return.commands"));
	}
	say(c, line + n); /* the rest of one, or a whole one */
	json_object_put(hear(c));
	expect_served(c);
}
END_TEST

/* Half a request of a mebibyte from each of many; all of it goes with them. */
START_TEST(test_half_requests)
{
	enum { HOLDERS = 24, HALF = MIB - 1000, ROUNDS = 8 };
	_cleanup_free_ char *half = xcalloc(HALF + 1, 1);
	unsigned fds = process_fds(rig->pid), rss = 0;
	struct client *holders[HOLDERS];

	memset(half, 'a', HALF);
	memcpy(half, "{\"id\": \"", 8);
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < HOLDERS; i++) {
			holders[i] = client_new(rig);
			client_write(holders[i], half, HALF);
		}
		for (int i = 0; i < HOLDERS; i++)
			client_free(holders[i]);
		await_fds(fds);
		if (round == 0)
			rss = process_rss(rig->pid);
	}
	/* the allocator may keep what one round took, but no two */
	expect_rss(rss, 2 * HOLDERS * 1024);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("wire, load");
	TCase *tc = wire_case(s, "load");

	tcase_add_checked_fixture(tc, NULL, crowd_goes);
	tcase_add_test(tc, test_one_after_the_other);
	tcase_add_test(tc, test_crowd);
	tcase_add_test(tc, test_turned_away);
	tcase_add_test(tc, test_deaf_to_events);
	tcase_add_test(tc, test_deaf_to_answers);
	tcase_add_test(tc, test_half_requests);
	return s;
}

RIG_MAIN(suite)
