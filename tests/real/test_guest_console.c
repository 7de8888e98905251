/* SPDX-License-Identifier: BSD-2-Clause */
/* The serial console of a real guest: a shell, who types, who reads, who does not read. */
#include "guest.h"

#include <stdio.h>
#include <unistd.h>

/* One guest for all of them. */
static struct rig *rig;

static void guest_boot(void)
{
	struct client *c;

	rig = rig_new("droverd");
	rig_start(rig);
	c = client_new(rig);
	guest_define(c, "web1", "t.shell=1", "");
	guest_start(c, "web1");
	guest_await(rig, "web1", "/ # ", 1);
	client_free(c);
}

static void guest_end(void)
{
	struct client *c = client_new(rig);

	json_object_put(client_ok(c, "instance-stop", "{'instance': 'web1'}"));
	client_free(c);
	rig_stop(rig);
	rig_free(rig);
}

/* ---- people ---- */

/* Attaches; from here on the session is bytes. */
static struct client *attach(const char *more)
{
	struct client *c = client_new(rig);
	char end[2];

	json_object_put(client_ok(c, "console-attach", "{'instance': 'web1'%s}", more));
	for (size_t n = 0; n < sizeof(end);)
		n += client_read_bytes(c, end + n, sizeof(end) - n);
	ck_assert_mem_eq(end, "\r\n", 2);
	return c;
}

static void type(struct client *c, const char *text)
{
	client_write(c, text, strlen(text));
}

/* Reads until TEXT has been seen; all that was read, the caller's. */
static char *read_to(struct client *c, const char *text)
{
	size_t n = 0, size = 65536;
	char *all = xcalloc(size, 1);

	while (!strstr(all, text)) {
		size_t got = client_read_bytes(c, all + n, 1); /* what follows stays for the next */

		ck_assert_msg(got > 0, "hung up behind: %s", all);
		n += got;
		ck_assert_uint_lt(n, size - 1);
	}
	return all;
}

static void expect_bytes(struct client *c, const char *text)
{
	free(read_to(c, text));
}

/* The guest runs a command: what it prints is computed, so that no echo can be mistaken for it. */
static void expect_shell(struct client *c, const char *word)
{
	_cleanup_free_ char *line = xasprintf("echo %s-$((6 * 7))\n", word), *answer = xasprintf("%s-42\r\n", word);

	type(c, line);
	expect_bytes(c, answer);
}

/* The readers and the label of the writer ("": nobody) that query-instance shows. */
static unsigned readers(struct client *c, bool *written)
{
	_cleanup_json_ struct json_object *o = guest_query(c, "web1");

	ck_assert_str_eq(str_at(o, "consoles.0.kind"), "serial");
	*written = has(o, "consoles.0.writer");
	return (unsigned)int_at(o, "consoles.0.readers");
}

/* An end is noticed when it is noticed. */
static void await_readers(unsigned n)
{
	_cleanup_client_ struct client *c = client_new(rig);
	bool written;

	for (int tries = 0; readers(c, &written) != n; tries++) {
		ck_assert_msg(tries < RIG_DEADLINE_MS / 5, "not %u attached", n);
		usleep(5000);
	}
}

START_TEST(test_both_ways)
{
	_cleanup_client_ struct client *c = attach(""), *other = client_new(rig);
	bool written;

	expect_shell(c, "typed");
	ck_assert_uint_eq(readers(other, &written), 1);
	ck_assert(written);
	/* all bytes, and as they are: no line discipline but the guest's own */
	type(c, "printf 'A\\000\\001\\033\\177\\200\\377Z'\n");
	expect_bytes(c, "\\377Z'\r\n");
	for (const char *p = "A\0\1\33\177\200\377Z", *end = p + 8; p < end; p++) {
		char byte;

		ck_assert_uint_eq(client_read_bytes(c, &byte, 1), 1);
		ck_assert_int_eq(byte, *p);
	}
}
END_TEST

START_TEST(test_log_has_it_all)
{
	_cleanup_client_ struct client *c = attach("");
	unsigned before = guest_said(rig, "web1", "logged-42");

	await_readers(1);
	expect_shell(c, "logged");
	guest_await(rig, "web1", "logged-42", before + 1);
}
END_TEST

START_TEST(test_backlog)
{
	_cleanup_client_ struct client *c = NULL;

	await_readers(0);
	c = attach(", 'log': 100000, 'mode': 'ro'");
	expect_bytes(c, "GUEST-UP");
	expect_bytes(c, "/ # ");
}
END_TEST

START_TEST(test_one_writer)
{
	_cleanup_client_ struct client *first = NULL, *second = NULL, *reader = NULL, *thief = NULL;
	_cleanup_json_ struct json_object *e = NULL;

	await_readers(0);
	first = attach("");
	second = client_new(rig);
	e = client_error(second, "Busy", "console-attach", "{'instance': 'web1'}");
	ck_assert_ptr_nonnull(strstr(str_at(e, "desc"), "uid 0, pid "));
	json_object_put(client_ok(second, "query-version", NULL)); /* it is what it was */
	reader = attach(", 'mode': 'ro'");
	expect_shell(first, "one");
	expect_bytes(reader, "one-42\r\n");
	/* a reader's words are no one's */
	type(reader, "echo reader-$((6 * 7))\n");
	thief = attach(", 'take': true");
	expect_shell(thief, "two");
	expect_bytes(first, "two-42\r\n");
	expect_bytes(reader, "two-42\r\n");
	/* the old one goes on reading, and types no more */
	type(first, "echo first-$((6 * 7))\n");
	expect_shell(thief, "three");
	expect_bytes(first, "three-42\r\n");
	ck_assert_uint_eq(guest_said(rig, "web1", "reader-42"), 0);
	ck_assert_uint_eq(guest_said(rig, "web1", "first-42"), 0);
}
END_TEST

START_TEST(test_all_read_the_same)
{
	_cleanup_client_ struct client *c = NULL, *one = NULL, *two = NULL;
	_cleanup_free_ char *a = NULL, *b = NULL, *d = NULL;

	await_readers(0);
	c = attach("");
	expect_shell(c, "settled");
	expect_bytes(c, "/ # ");
	one = attach(", 'mode': 'ro'");
	two = attach(", 'mode': 'ro'");
	type(c, "i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i + 1)); done; echo end-$((6 * 7))\n");
	a = read_to(c, "end-42\r\n");
	b = read_to(one, "end-42\r\n");
	d = read_to(two, "end-42\r\n");
	ck_assert_ptr_nonnull(strstr(a, "line 499\r\n"));
	ck_assert_str_eq(a, b);
	ck_assert_str_eq(a, d);
}
END_TEST

START_TEST(test_eight)
{
	enum { MOST = 8 };
	struct client *crowd[MOST], *c = client_new(rig);

	await_readers(0);
	for (int i = 0; i < MOST; i++)
		crowd[i] = attach(i ? ", 'mode': 'ro'" : "");
	json_object_put(client_error(c, "Busy", "console-attach", "{'instance': 'web1', 'mode': 'ro'}"));
	expect_shell(crowd[0], "eight");
	for (int i = 1; i < MOST; i++)
		expect_bytes(crowd[i], "eight-42\r\n");
	for (int i = 0; i < MOST; i++)
		client_free(crowd[i]);
	await_readers(0);
	client_free(attach(""));
	client_free(c);
}
END_TEST

/* What follows the request in one write is typed already. */
START_TEST(test_typed_ahead)
{
	_cleanup_client_ struct client *c = NULL;

	await_readers(0);
	c = client_new(rig);
	type(c, "{\"execute\": \"console-attach\", \"arguments\": {\"instance\": \"web1\"}}echo ahead-$((6 * 7))\n");
	expect_bytes(c, "{\"return\":{}}\r\n");
	expect_bytes(c, "ahead-42\r\n");
}
END_TEST

/* Who does not read is cut off; the guest, the log and the others do not feel it. */
START_TEST(test_deaf)
{
	_cleanup_client_ struct client *c = NULL, *deaf = NULL;
	char data[4096];
	size_t n = 0;

	await_readers(0);
	c = attach("");
	deaf = attach(", 'mode': 'ro'");
	type(c, "dd if=/dev/zero bs=1024 count=1024 2>/dev/null | tr '\\0' x; echo; echo flood-$((6 * 7))\n");
	for (char last[16] = ""; !strstr(last, "flood-42"); n++) {
		memmove(last, last + 1, sizeof(last) - 2);
		ck_assert_uint_eq(client_read_bytes(c, last + sizeof(last) - 2, 1), 1);
	}
	ck_assert_uint_gt(n, 1 << 20);
	guest_await(rig, "web1", "flood-42", 1);
	await_readers(1);
	expect_shell(c, "on");
	/* it has the beginning, then the end */
	for (size_t got = 1, sum = 0; got; sum += got) {
		got = client_read_bytes(deaf, data, sizeof(data));
		ck_assert_uint_lt(sum, n);
	}
}
END_TEST

/* The person goes, the guest stays; with the guest the person goes. */
START_TEST(test_ends)
{
	_cleanup_client_ struct client *c = NULL, *query = client_new(rig);
	char byte;

	await_readers(0);
	client_free(attach(""));
	await_readers(0);
	c = attach("");
	expect_shell(c, "again");
	json_object_put(client_ok(query, "instance-stop", "{'instance': 'web1'}"));
	while (client_read_bytes(c, &byte, 1))
		;
	json_object_put(client_error(query, "WrongState", "console-attach", "{'instance': 'web1'}"));
	guest_start(query, "web1");
	client_free(attach(""));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("guest, console");
	TCase *tc = tcase_create("console");

	tcase_add_unchecked_fixture(tc, guest_boot, guest_end);
	tcase_add_test(tc, test_both_ways);
	tcase_add_test(tc, test_log_has_it_all);
	tcase_add_test(tc, test_backlog);
	tcase_add_test(tc, test_one_writer);
	tcase_add_test(tc, test_all_read_the_same);
	tcase_add_test(tc, test_eight);
	tcase_add_test(tc, test_typed_ahead);
	tcase_add_test(tc, test_deaf);
	tcase_add_test(tc, test_ends);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return guest_main(suite);
}
