/* SPDX-License-Identifier: BSD-2-Clause */
/* The serial console of a real guest: a shell, who types, who reads, who does not read. */
#include "guest.h"
#include "tty.h"

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

enum { PEOPLE_MAX = 16 };

/* Who came in a test leaves behind it, also when it has failed. */
static struct client *people[PEOPLE_MAX];

static struct client *come(void)
{
	struct client *c = client_new(rig);
	int i = 0;

	while (people[i])
		ck_assert_int_lt(++i, PEOPLE_MAX);
	people[i] = c;
	return c;
}

static void leave(struct client *c)
{
	for (int i = 0; i < PEOPLE_MAX; i++)
		if (people[i] == c)
			people[i] = NULL;
	client_free(c);
}

/* Attaches; from here on the session is bytes. */
static struct client *attach(const char *more)
{
	struct client *c = come();
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
	size_t n = 0, size = 1 << 16, len = strlen(text);
	char *all = xcalloc(size, 1);

	while (n < len || memcmp(all + n - len, text, len) != 0) {
		size_t got = client_read_bytes(c, all + n, 1); /* what follows stays for the next */

		if (got == 0)
			ck_abort_msg("hung up behind: %s", all);
		n += got;
		if (n == size - 1)
			ck_abort_msg("no '%s' in %s", text, all);
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

static void everybody_leaves(void)
{
	for (int i = 0; i < PEOPLE_MAX; i++)
		if (people[i])
			leave(people[i]);
	await_readers(0);
}

START_TEST(test_both_ways)
{
	struct client *c = attach(""), *other = come();
	bool written;

	expect_shell(c, "typed");
	ck_assert_uint_eq(readers(other, &written), 1);
	ck_assert(written);
	/* all bytes, and as they are: no line discipline but the guest's own */
	type(c, "printf 'BE''GIN\\000\\001\\033\\177\\200\\377Z'\n");
	expect_bytes(c, "BEGIN");
	for (const char *p = "\0\1\33\177\200\377Z", *end = p + 7; p < end; p++) {
		char byte;

		ck_assert_uint_eq(client_read_bytes(c, &byte, 1), 1);
		ck_assert_int_eq(byte, *p);
	}
}
END_TEST

START_TEST(test_log_has_it_all)
{
	struct client *c = attach("");
	unsigned before = guest_said(rig, "web1", "logged-42");

	await_readers(1);
	expect_shell(c, "logged");
	guest_await(rig, "web1", "logged-42", before + 1);
}
END_TEST

START_TEST(test_backlog)
{
	struct client *c = attach(", 'log': 100000, 'mode': 'ro'");
	expect_bytes(c, "GUEST-UP");
	expect_bytes(c, "/ # ");
}
END_TEST

START_TEST(test_one_writer)
{
	struct client *first = attach(""), *second = come(), *reader, *thief;
	_cleanup_json_ struct json_object *e = NULL;

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
	struct client *c = attach(""), *one, *two;
	_cleanup_free_ char *a = NULL, *b = NULL, *d = NULL;

	expect_shell(c, "settled");
	expect_bytes(c, "/ # ");
	one = attach(", 'mode': 'ro'");
	two = attach(", 'mode': 'ro'");
	type(c, "i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i + 1)); done; echo end-$((6 * 7))\n");
	a = read_to(c, "end-42\r\n");
	b = read_to(one, "end-42\r\n");
	d = read_to(two, "end-42\r\n");
	ck_assert_ptr_nonnull(strstr(a, "line 499\r\n"));
	ck_assert_str_eq(strstr(a, "line 0\r\n"), strstr(b, "line 0\r\n"));
	ck_assert_str_eq(strstr(a, "line 0\r\n"), strstr(d, "line 0\r\n"));
}
END_TEST

START_TEST(test_eight)
{
	enum { MOST = 8 };
	struct client *crowd[MOST], *c = come();

	for (int i = 0; i < MOST; i++)
		crowd[i] = attach(i ? ", 'mode': 'ro'" : "");
	json_object_put(client_error(c, "Busy", "console-attach", "{'instance': 'web1', 'mode': 'ro'}"));
	expect_shell(crowd[0], "eight");
	for (int i = 1; i < MOST; i++)
		expect_bytes(crowd[i], "eight-42\r\n");
	for (int i = 0; i < MOST; i++)
		leave(crowd[i]);
	await_readers(0);
	leave(attach(""));
}
END_TEST

/* What follows the request in one write is typed already. */
START_TEST(test_typed_ahead)
{
	struct client *c = come();

	type(c, "{\"execute\": \"console-attach\", \"arguments\": {\"instance\": \"web1\"}}echo ahead-$((6 * 7))\n");
	expect_bytes(c, "{\"return\":{}}\r\n");
	expect_bytes(c, "ahead-42\r\n");
}
END_TEST

/* Reads as fast as it comes, up to TEXT; how much it was. */
static size_t read_flood(struct client *c, const char *text)
{
	static char data[1 << 16];
	size_t sum = 0, kept = 0, len = strlen(text);

	for (;;) {
		size_t got = client_read_bytes(c, data + kept, sizeof(data) - kept);

		if (got == 0)
			ck_abort_msg("hung up after %zu bytes", sum);
		sum += got;
		got += kept;
		if (memmem(data, got, text, len))
			return sum;
		kept = got < len ? got : len - 1;
		memmove(data, data + got - kept, kept);
	}
}

/* Who does not read is cut off; the guest, the log and the others do not feel it. */
START_TEST(test_deaf)
{
	struct client *c = attach(""), *deaf = attach(", 'mode': 'ro'"), *query = come();
	char data[4096];
	size_t sum = 0, got, all;

	type(c, "dd if=/dev/zero bs=1024 count=600 2>/dev/null | tr '\\0' x; echo; echo flood-$((6 * 7))\n");
	all = read_flood(c, "flood-42");
	ck_assert_uint_gt(all, 600 << 10);
	client_await_console(query, "web1", "flood-42"); /* also when the log has just been emptied into the old one */
	await_readers(1);
	expect_shell(c, "on");
	/* it has the beginning, then the end of the stream */
	while ((got = client_read_bytes(deaf, data, sizeof(data))))
		sum += got;
	ck_assert_uint_lt(sum, all / 2);
}
END_TEST

/* The person goes, the guest stays; with the guest the person goes. */
START_TEST(test_ends)
{
	struct client *c, *query = come();
	char byte;

	leave(attach(""));
	await_readers(0);
	c = attach("");
	expect_shell(c, "again");
	json_object_put(client_ok(query, "instance-stop", "{'instance': 'web1'}"));
	while (client_read_bytes(c, &byte, 1))
		;
	json_object_put(client_error(query, "WrongState", "console-attach", "{'instance': 'web1'}"));
	guest_start(query, "web1");
	leave(attach(""));
}
END_TEST

/* From the screen of `drover top` to the guest's shell, and back; then it is free for others. */
START_TEST(test_from_top)
{
	enum { ROWS = 24, COLUMNS = 90 };
	_cleanup_free_ char *drover = rig_program("drover"), *path = xasprintf("%s/run/drover.sock", rig->root);
	const char *const argv[] = { drover, "--socket", path, "top", NULL };
	struct tty *tty = tty_run("xterm", ROWS, COLUMNS, argv);

	tty_await_text(tty, "1 instance: 1 running");
	tty_type(tty, "c");
	tty_await_text(tty, "Connected to web1's console");
	ck_assert(!tty_is_full_screen(tty) && tty_shows_cursor(tty));
	tty_type(tty, "echo top-$((6 * 7))\r");
	tty_await_text(tty, "top-42");
	tty_type(tty, "\035");
	tty_await_text(tty, "1 instance: 1 running");
	ck_assert(tty_is_full_screen(tty) && !tty_shows_cursor(tty));
	await_readers(0);
	tty_type(tty, "q");
	ck_assert_int_eq(tty_end(tty), 0);
	ck_assert(!tty_is_full_screen(tty) && tty_is_cooked(tty));
	ck_assert_int_ge(tty_find(tty, "top-42"), 0);
	tty_free(tty);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("guest, console");
	TCase *tc = tcase_create("console");

	tcase_add_unchecked_fixture(tc, guest_boot, guest_end);
	tcase_add_checked_fixture(tc, NULL, everybody_leaves);
	tcase_add_test(tc, test_both_ways);
	tcase_add_test(tc, test_log_has_it_all);
	tcase_add_test(tc, test_backlog);
	tcase_add_test(tc, test_one_writer);
	tcase_add_test(tc, test_all_read_the_same);
	tcase_add_test(tc, test_eight);
	tcase_add_test(tc, test_typed_ahead);
	tcase_add_test(tc, test_deaf);
	tcase_add_test(tc, test_from_top);
	tcase_add_test(tc, test_ends);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return guest_main(suite);
}
