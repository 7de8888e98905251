/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The agent is the other end of a socketpair, as hostile as a guest can be: it hears what a test lets it read, and says
 * bytes. What a client is told is noted: "A {}" for the answer to call A, "A! CLASS" for an error.
 */
#include "qmp/agent.h"

#include "loop.h"

#include <errno.h>
#include <sys/socket.h>

enum { MS = 1000, BIG = 3 << 20 };

static struct world {
	struct agent *a;
	int fd, connections; /* of the agent's end, -1: none */
	bool refuse;         /* to be connected to */
	char log[2048], desc[2048];
	char heard[8192];
	struct agent *free_in_reply;
} w;

static int connect_fake(void *data, struct err **e)
{
	int fds[2];

	ck_assert_ptr_eq(data, &w);
	if (w.refuse) {
		err_set(e, ERR_GUEST_GONE, "refused");
		return -1;
	}
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	fd_close(w.fd);
	w.fd = fds[1];
	w.connections++;
	return fds[0];
}

static void setup(void)
{
	memset(&w, 0, sizeof(w));
	w.fd = -1;
	loop_open();
	w.a = agent_new(&loop, connect_fake, &w);
}

static void teardown(void)
{
	agent_free(w.a);
	w.fd = fd_close(w.fd);
	loop_end();
}

static void on_reply(struct json_object *ret, const struct err *e, void *data)
{
	_cleanup_free_ char *value = ret ? json_print(ret) : NULL;
	size_t n = strlen(w.log);

	ck_assert(!e || !ret);
	snprintf(w.log + n, sizeof(w.log) - n, "%s%s%s %s", n ? ", " : "", (char *)data, e ? "!" : "",
		 e     ? err_class_info(e->class)->name :
		 value ? value :
			 "null");
	if (e)
		snprintf(w.desc, sizeof(w.desc), "%s", e->desc);
	if (w.free_in_reply)
		w.a = agent_free(TAKE_PTR(w.free_in_reply));
}

static struct agent_call *call(const char *name)
{
	return agent_send(w.a, name, NULL, MS, on_reply, (void *)(uintptr_t)name, NULL);
}

static void expect(const char *log)
{
	loop_quiet();
	ck_assert_str_eq(w.log, log);
	w.log[0] = '\0';
}

static void say_bytes(const char *p, size_t n)
{
	for (int turns = 0; n && turns < 100000; turns++) {
		ssize_t put = send(w.fd, p, n, MSG_NOSIGNAL);

		if (put < 0 && errno == EPIPE)
			return; /* it has heard enough */
		if (put > 0) {
			p += put;
			n -= (size_t)put;
		}
		loop_poll();
	}
	loop_quiet();
}

static void say(const char *text)
{
	say_bytes(text, strlen(text));
}

/* All that was sent to the agent since the last time. */
static const char *hear(void)
{
	ssize_t n;

	loop_quiet();
	n = recv(w.fd, w.heard, sizeof(w.heard) - 1, 0);
	w.heard[n > 0 ? n : 0] = '\0';
	return w.heard;
}

/* The number of the sync that it heard last; what else was sent with it there must not be. */
static long long hear_sync(void)
{
	static const char head[] = "\xff{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":";
	const char *text = hear();
	char *end;
	long long id;

	ck_assert_msg(str_starts(text, head), "heard '%s'", text);
	id = strtoll(text + strlen(head), &end, 10);
	ck_assert_str_eq(end, "}}\n");
	ck_assert_int_gt(id, 0);
	return id;
}

static void say_sync(const char *before, long long id)
{
	_cleanup_free_ char *text = xasprintf("%s\xff{\"return\": %lld}\n", before, id);

	say(text);
}

/* Up to the request itself. */
static void sync_up(const char *request)
{
	say_sync("", hear_sync());
	ck_assert_str_eq(hear(), request);
}

#define REQUEST(name) "{\"execute\":\"" name "\"}\n"

/* ---- as it should be ---- */

START_TEST(test_conversation)
{
	struct json_object *args = json_object_new_object();

	call("A");
	json_add_str(args, "mode", "x");
	agent_send(w.a, "B", args, MS, on_reply, (void *)(uintptr_t) "B", NULL);
	expect(""); /* nothing from within agent_send() */
	sync_up(REQUEST("A"));
	say("{\"return\": [1]}\n");
	expect("A [1]");
	/* the same connection, another number */
	say_sync("", hear_sync());
	ck_assert_str_eq(hear(), "{\"execute\":\"B\",\"arguments\":{\"mode\":\"x\"}}\n");
	say("{\"error\": {\"class\": \"CommandDisabled\", \"desc\": \"not \\u001b[31m today\"}}\n");
	expect("B! GuestRefused");
	ck_assert_ptr_nonnull(strstr(w.desc, "not \x1b[31m today"));
	ck_assert_int_eq(w.connections, 1);
	/* idle: no connection */
	ck_assert_int_eq(recv(w.fd, w.heard, 1, 0), 0);
	call("C");
	sync_up(REQUEST("C"));
	say("{\"return\": {}}\n");
	expect("C {}");
	ck_assert_int_eq(w.connections, 2);
}
END_TEST

START_TEST(test_numbers_are_fresh)
{
	long long last = 0;

	for (int i = 0; i < 8; i++) {
		long long id;

		call("A");
		id = hear_sync();
		ck_assert_int_ne(id, last);
		last = id;
		say_sync("", id);
		say("{\"return\": {}}\n");
		expect("A {}");
	}
}
END_TEST

/* What stands in front of the answer to our sync, whatever it is. */
static const char *const before[] = {
	"{\"error\": {\"class\": \"GenericError\", \"desc\": \"JSON parse error, Invalid JSON syntax\"}}\n",
	"{\"return\": {}}\n{\"return\": 1}\n",
	"\xff{\"return\": 1}\n",
	"\xff{\"return\": 1}\n{\"return\": {}}\n",
	"\xff\xff\xff\xff",
	"\xff{\"return\": ",
	"\xff garbage \n",
	"\xff[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
	"\xff{\"return\": \"1\"}",
	"\xff{\"error\": {}}",
	"\xff\"",
	"\n\r\n \x01\x1b[2J",
};

START_TEST(test_what_comes_before)
{
	long long id;

	call("A");
	id = hear_sync();
	/* in one piece, and byte by byte */
	if (_i % 2) {
		for (const char *p = before[_i / 2]; *p; p++)
			say_bytes(p, 1);
	} else {
		say(before[_i / 2]);
	}
	expect("");
	ck_assert_str_eq(hear(), ""); /* no order before it is in step */
	say_sync("", id);
	ck_assert_str_eq(hear(), REQUEST("A"));
	say("{\"return\": {}}\n");
	expect("A {}");
}
END_TEST

/* What follows the answer to the sync in the same breath was said before the request was sent. */
START_TEST(test_too_early)
{
	_cleanup_free_ char *text = NULL;

	call("A");
	text = xasprintf("\xff{\"return\": %lld}\n{\"return\": \"early\"}\n", hear_sync());
	say(text);
	expect("");
	ck_assert_str_eq(hear(), REQUEST("A"));
	say("{\"return\": \"A\"}\n{\"return\": \"again\"}\n");
	call("B");
	expect("A \"A\"");
	sync_up(REQUEST("B"));
	say("{\"return\": \"B\"}\n");
	expect("B \"B\"");
}
END_TEST

START_TEST(test_in_pieces)
{
	_cleanup_free_ char *text = NULL;

	call("A");
	text = xasprintf("\xff{\"return\": %lld}\n", hear_sync());
	for (const char *p = text; *p; p++)
		say_bytes(p, 1);
	for (const char *p = "{\"return\": {\"a\": [1, \"b\"]}}\n"; *p; p++)
		say_bytes(p, 1);
	expect("A {\"a\":[1,\"b\"]}");
}
END_TEST

/* ---- answers that are none ---- */

static const char *const bad_answers[] = {
	"hello\n",
	"{'return': 1}\n",
	"{\"return\": NaN}\n",
	"[]\n",
	"7\n",
	"null\n",
	"{}\n",
	"{\"error\": \"text\"}\n",
	"{\"event\": \"X\"}\n",
	"\xff",
	"{\"return\": \"\\u0000\"}\n",
	"{\"return\": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
};

START_TEST(test_bad_answers)
{
	call("A");
	call("B");
	sync_up(REQUEST("A"));
	say(bad_answers[_i]);
	expect("A! GenericError");
	ck_assert_ptr_nonnull(strstr(w.desc, "may have been carried out"));
	/* the next one gets a connection of its own */
	ck_assert_int_eq(w.connections, 2);
	sync_up(REQUEST("B"));
	say("{\"return\": {}}\n");
	expect("B {}");
}
END_TEST

/* Endless, with and without an end of line: bounded, and over long before its time. */
START_TEST(test_floods)
{
	_cleanup_free_ char *flood = xcalloc(BIG + 1, 1);

	memset(flood, _i % 2 ? '\n' : 'x', BIG);
	call("A");
	if (_i < 2) {
		hear_sync();
		say(flood);
		expect("A! GenericError");
		ck_assert_ptr_nonnull(strstr(w.desc, "was not sent"));
	} else if (_i < 4) {
		sync_up(REQUEST("A"));
		say("{\"return\": \"");
		say(flood);
		expect("A! GenericError");
	} else {
		memset(flood, '[', BIG);
		sync_up(REQUEST("A"));
		say(flood);
		expect("A! GenericError");
	}
}
END_TEST

START_TEST(test_size)
{
	_cleanup_free_ char *text = xcalloc(AGENT_REPLY_MAX + 64, 1);
	size_t n = (size_t)AGENT_REPLY_MAX - strlen("{\"return\": \"\"}") + (_i ? 1 : 0);

	memset(text, 'x', n);
	call("A");
	sync_up(REQUEST("A"));
	say("{\"return\": \"");
	say(text);
	say("\"}\n");
	loop_quiet();
	ck_assert(str_starts(w.log, _i ? "A! GenericError" : "A \"xxx"));
}
END_TEST

/* ---- expiry ---- */

START_TEST(test_no_answer_to_the_sync)
{
	long long old;

	call("A");
	old = hear_sync();
	loop_pass(MS + 1);
	expect("A! Timeout");
	ck_assert_ptr_nonnull(strstr(w.desc, "was not sent"));
	ck_assert_int_eq(recv(w.fd, w.heard, 1, 0), 0);
	/* late, to who does not ask any more; and the next one hears it first */
	call("B");
	{
		long long id = hear_sync();
		_cleanup_free_ char *late = xasprintf("\xff{\"return\": %lld}\n", old);

		say(late);
		ck_assert_str_eq(hear(), "");
		say_sync("", id);
	}
	ck_assert_str_eq(hear(), REQUEST("B"));
	say("{\"return\": {}}\n");
	expect("B {}");
}
END_TEST

START_TEST(test_no_answer_to_the_request)
{
	call("A");
	sync_up(REQUEST("A"));
	loop_pass(MS + 1);
	expect("A! Timeout");
	ck_assert_ptr_nonnull(strstr(w.desc, "may have been carried out"));
	call("B");
	say_sync("{\"return\": \"late\"}\n", hear_sync());
	ck_assert_str_eq(hear(), REQUEST("B"));
	say("{\"return\": {}}\n");
	expect("B {}");
	ck_assert_int_eq(w.connections, 2);
}
END_TEST

START_TEST(test_half_an_answer)
{
	call("A");
	sync_up(REQUEST("A"));
	say("{\"return\": {\"a\": ");
	expect("");
	if (_i) {
		w.fd = fd_close(w.fd);
		expect("A! GuestGone");
	} else {
		loop_pass(MS + 1);
		expect("A! Timeout");
	}
	ck_assert_ptr_nonnull(strstr(w.desc, "may have been carried out"));
}
END_TEST

START_TEST(test_queued_too_long)
{
	agent_send(w.a, "A", NULL, 3 * MS, on_reply, (void *)(uintptr_t) "A", NULL);
	call("B");
	sync_up(REQUEST("A"));
	loop_pass(MS + 1);
	expect("B! Timeout");
	ck_assert_ptr_nonnull(strstr(w.desc, "was not sent"));
	say("{\"return\": {}}\n"); /* the one under way does not suffer */
	expect("A {}");
	ck_assert_str_eq(hear(), "");
}
END_TEST

/* ---- the end ---- */

START_TEST(test_hung_up)
{
	call("A");
	call("B");
	hear_sync();
	w.fd = fd_close(w.fd);
	expect("A! GuestGone");
	ck_assert_ptr_nonnull(strstr(w.desc, "was not sent"));
	sync_up(REQUEST("B"));
	say("{\"return\": {}}\n");
	expect("B {}");
}
END_TEST

START_TEST(test_no_connection)
{
	w.refuse = true;
	call("A");
	call("B");
	expect("A! GuestGone, B! GuestGone");
	w.refuse = false;
	call("C");
	sync_up(REQUEST("C"));
}
END_TEST

START_TEST(test_bounded)
{
	_cleanup_err_ struct err *e = NULL;

	for (int i = 0; i < AGENT_QUEUE_MAX; i++)
		ck_assert_ptr_nonnull(call("A"));
	ck_assert_ptr_null(agent_send(w.a, "B", json_object_new_object(), MS, on_reply, NULL, &e));
	ck_assert_int_eq(e->class, ERR_BUSY);
	loop_pass(MS + 1);
	loop_quiet();
	ck_assert_ptr_nonnull(call("C"));
}
END_TEST

START_TEST(test_forgotten)
{
	struct agent_call *a = call("A"), *b = call("B");

	call("C");
	agent_forget(NULL);
	if (_i == 0) { /* before anything */
		agent_forget(a);
	} else if (_i == 1) { /* before it is in step: it is never sent */
		hear_sync();
		agent_forget(a);
	} else { /* its answer is not taken for another's */
		sync_up(REQUEST("A"));
		agent_forget(a);
		ck_assert_str_eq(hear(), "");
		say("{\"return\": \"A\"}\n");
	}
	agent_forget(b);
	expect("");
	sync_up(REQUEST("C"));
	say("{\"return\": \"C\"}\n");
	expect("C \"C\"");
}
END_TEST

START_TEST(test_freed_under_way)
{
	call("A");
	call("B");
	if (_i)
		sync_up(REQUEST("A"));
	w.a = agent_free(w.a);
	expect("A! GuestGone, B! GuestGone");
}
END_TEST

START_TEST(test_freed_in_a_reply)
{
	call("A");
	call("B");
	sync_up(REQUEST("A"));
	w.free_in_reply = w.a;
	if (_i)
		loop_pass(MS + 1);
	else
		say("{\"return\": {}}\n");
	expect(_i ? "A! Timeout, B! GuestGone" : "A {}, B! GuestGone");
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, test_conversation);
	tcase_add_test(tc, test_numbers_are_fresh);
	tcase_add_loop_test(tc, test_what_comes_before, 0, 2 * ARRAY_SIZE(before));
	tcase_add_test(tc, test_too_early);
	tcase_add_test(tc, test_in_pieces);
	tcase_add_loop_test(tc, test_bad_answers, 0, ARRAY_SIZE(bad_answers));
	tcase_add_loop_test(tc, test_floods, 0, 5);
	tcase_add_loop_test(tc, test_size, 0, 2);
	tcase_add_test(tc, test_no_answer_to_the_sync);
	tcase_add_test(tc, test_no_answer_to_the_request);
	tcase_add_loop_test(tc, test_half_an_answer, 0, 2);
	tcase_add_test(tc, test_queued_too_long);
	tcase_add_test(tc, test_hung_up);
	tcase_add_test(tc, test_no_connection);
	tcase_add_test(tc, test_bounded);
	tcase_add_loop_test(tc, test_forgotten, 0, 3);
	tcase_add_loop_test(tc, test_freed_under_way, 0, 2);
	tcase_add_loop_test(tc, test_freed_in_a_reply, 0, 2);
}

int main(void)
{
	return loop_main("agent", add, setup, teardown);
}
