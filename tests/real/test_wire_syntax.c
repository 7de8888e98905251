/* SPDX-License-Identifier: BSD-2-Clause */
/* What is no JSON, too long or too deep: it is answered, and the daemon goes on. */
#include "wire.h"

#include <stdio.h>

START_TEST(test_syntax)
{
	static const char *const lines[] = {
		"{'execute': 'query-version'}",
		"{\"execute\": 'query-version'}",
		"{\"execute\": \"query-version\", \"id\": NaN}",
		"{\"execute\": \"query-version\", \"id\": Infinity}",
		"{\"execute\": \"query-version\", \"id\": -Infinity}",
		"{\"execute\": \"query-version\", \"execute\": \"query-version\"}",
		"{\"execute\": \"query-version\", \"arguments\": {}, \"arguments\": {}}",
		"{\"execute\": \"query-version\", \"id\": {\"a\": 1, \"a\": 1}}",
		"{\"execute\": \"query-version\\u0000\"}",
		"{\"execute\": \"query-version\", \"id\\u0000\": 1}",
		"{\"execute\": \"query-version\", \"id\": \"\\ud800\"}",
		"{\"execute\": \"query-version\", \"id\": \"\\udc00\"}",
		"{\"execute\": \"query-version\", \"id\": \"\\ud800\\ud800\"}",
		"{\"execute\": \"query-version\", \"id\": \"\xff\"}",
		"{\"execute\": \"query-version\", \"id\": \"\xc0\x80\"}",
		"{\"execute\": \"query-version\", \"id\": \"\xed\xa0\x80\"}",
		"{\"execute\": \"query-version\", \"id\": \"\t\"}",
		"{\"execute\": \"query-version\", \"id\": \"\x01\"}",
		"{\"execute\": \"query-version\", \"id\": 18446744073709551616}",
		"{\"execute\": \"query-version\", \"id\": -9223372036854775809}",
		"{\"execute\": \"query-version\", \"id\": 1e999}",
		"{\"execute\": \"query-version\", \"id\": 01}",
		"{\"execute\": \"query-version\", \"id\": +1}",
		"{\"execute\": \"query-version\", \"id\": 1.}",
		"{\"execute\": \"query-version\", \"id\": .5}",
		"{\"execute\": \"query-version\", \"id\": 0x10}",
		"{\"execute\": \"query-version\", \"id\": True}",
		"{\"execute\": \"query-version\", \"id\": \"\\x41\"}",
		"{\"execute\": \"query-version\", }",
		"{\"execute\": \"query-version\" \"id\": 1}",
		"{\"execute\" \"query-version\"}",
		"{execute: \"query-version\"}",
		"{\"execute\": \"query-version\"]",
		"[1, 2,]",
		"// a comment",
		"/* a comment */ {\"execute\": \"query-version\"}",
		"}",
		",",
		"query-version",
		"GET / HTTP/1.1\r",
		"\xef\xbb\xbf{\"execute\": \"query-version\"}",
		"garbage {\"execute\": \"query-version\", \"id\": \"on the same line\"}",
	};
	_cleanup_client_ struct client *c = client_new(rig);

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		_cleanup_free_ char *line = xasprintf("%s\n", lines[i]);

		expect_refusal(c, &(struct refusal){ line, "GenericError", NULL });
	}
}
END_TEST

/* NUL is a byte like others to the socket. */
START_TEST(test_nul_bytes)
{
	static const char text[] = "{\"execute\": \"query-version\0\"}\n";
	_cleanup_client_ struct client *c = client_new(rig);

	client_write(c, text, sizeof(text) - 1);
	json_object_put(hear_error(c, "GenericError"));
	expect_served(c);
	client_write(c, "\0\n", 2);
	json_object_put(hear_error(c, "GenericError"));
	expect_served(c);
}
END_TEST

START_TEST(test_syntax_before_the_handshake)
{
	_cleanup_client_ struct client *c = NULL;
	_cleanup_json_ struct json_object *greeting = NULL;

	c = client_raw(rig, &greeting);
	say(c, "hello\n");
	json_object_put(hear_error(c, "GenericError"));
	json_object_put(client_ok(c, "qmp_capabilities", NULL));
	expect_served(c);
}
END_TEST

/* The answer comes, then the end of the stream; and the daemon serves others. */
static void expect_cut(const char *text, size_t len)
{
	_cleanup_client_ struct client *c = client_new(rig), *other = client_new(rig);

	client_write(c, text, len);
	say(c, "\n{\"execute\": \"query-version\"}\n");
	json_object_put(hear_error(c, "GenericError"));
	ck_assert_ptr_null(client_read(c));
	expect_served(other);
}

enum { MIB = 1 << 20, DEEP = 1000, DEPTH_MAX = 32 };

START_TEST(test_too_big)
{
	_cleanup_free_ char *text = xcalloc(2 * MIB, 1);
	int n;

	memset(text, 'a', 2 * MIB);
	n = sprintf(text, "{\"execute\": \"query-version\", \"id\": \"");
	text[n] = 'a';
	memcpy(text + 2 * MIB - 2, "\"}", 2);
	expect_cut(text, 2 * MIB);
	memset(text, ' ', 2 * MIB);
	text[0] = '{';
	expect_cut(text, 2 * MIB);
}
END_TEST

/* What just fits is taken, and comes back. */
START_TEST(test_big)
{
	enum { BIG = MIB - 100 };
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_free_ char *id = xcalloc(BIG + 1, 1), *text = NULL;
	_cleanup_json_ struct json_object *o = NULL;

	memset(id, 'a', BIG);
	text = xasprintf("{\"execute\": \"query-version\", \"id\": \"%s\"}\n", id);
	say(c, text);
	o = hear(c);
	ck_assert_str_eq(str_at(o, "id"), id);
	expect_served(c);
}
END_TEST

/* DEPTH lists within one another. */
static size_t nest(char *text, size_t depth)
{
	memset(text, '[', depth);
	memset(text + depth, ']', depth);
	text[2 * depth] = '\0';
	return 2 * depth;
}

START_TEST(test_too_deep)
{
	char text[2 * DEEP + 1];

	expect_cut(text, nest(text, DEEP));
	expect_cut(text, nest(text, DEPTH_MAX + 1));
	for (int i = 0; i + 5 <= DEEP; i += 5)
		memcpy(text + i, "{\"a\":", 5);
	expect_cut(text, DEEP);
}
END_TEST

START_TEST(test_deep)
{
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_free_ char *line = NULL;
	char text[2 * DEPTH_MAX + 1];

	nest(text, DEPTH_MAX - 1); /* one is the request's own */
	line = xasprintf("{\"execute\": \"query-version\", \"id\": %s}\n", text);
	say(c, line);
	o = hear(c);
	ck_assert(has(o, "return"));
	ck_assert_str_eq(json_object_to_json_string_ext(at(o, "id"), JSON_C_TO_STRING_PLAIN), text);
	expect_served(c);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("wire, syntax");
	TCase *tc = wire_case(s, "syntax");

	tcase_add_test(tc, test_syntax);
	tcase_add_test(tc, test_nul_bytes);
	tcase_add_test(tc, test_syntax_before_the_handshake);
	tcase_add_test(tc, test_too_big);
	tcase_add_test(tc, test_big);
	tcase_add_test(tc, test_too_deep);
	tcase_add_test(tc, test_deep);
	return s;
}

RIG_MAIN(suite)
