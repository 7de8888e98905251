/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/json.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define GOOD(text)                           \
	{                                    \
		text, sizeof(text) - 1, text \
	}
#define PRINTS(text, print)                   \
	{                                     \
		text, sizeof(text) - 1, print \
	}
#define BYTES(text)                          \
	{                                    \
		text, sizeof(text) - 1, NULL \
	}

struct text {
	const char *p;
	size_t len;
	const char *print; /* of the value, compact */
};

static char *parse_print(const char *text, size_t len, const struct json_limits *limits)
{
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_err_ struct err *e = NULL;

	if (!json_parse(text, len, limits, &o, &e)) {
		ck_assert_ptr_nonnull(e);
		ck_assert_ptr_null(o);
		return NULL;
	}
	ck_assert_ptr_null(e);
	return json_print(o);
}

static const struct text good[] = {
	GOOD("null"),
	GOOD("true"),
	GOOD("false"),
	GOOD("0"),
	GOOD("[]"),
	GOOD("{}"),
	GOOD("\"\""),
	GOOD("[[],{},[{}]]"),
	GOOD("{\"a\":{\"b\":[1,2,{\"c\":null}]},\"\":\"\"}"),
	GOOD("[0,-1,9223372036854775807,-9223372036854775808,18446744073709551615]"),
	GOOD("[1.5,-0.0,1e5,1E-5,12e+3,1.7976931348623157e308]"),
	GOOD("[0.1,123456789012345678901234567890.5]"),
	GOOD("\"\\\"\\\\\\b\\f\\n\\r\\t/\\u0001\\u001f\x7f\""),
	GOOD("\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf \xee\x80\x80\""),
	PRINTS("-0", "0"),
	PRINTS(" \t\r\n[ 1 , { \"a\" : 2 } ]\r\n", "[1,{\"a\":2}]"),
	PRINTS("\"\\/\\u0041\\u00e9\\u20AC\\ud83d\\uDE00\"", "\"/A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""),
	PRINTS("{\"a\":1,\"A\":2,\"a \":3}", "{\"a\":1,\"A\":2,\"a \":3}"),
};

START_TEST(test_good)
{
	const struct text *t = &good[_i];
	_cleanup_free_ char *print = parse_print(t->p, t->len, &json_limits_request);

	ck_assert_pstr_eq(print, t->print);
}
END_TEST

/* Each is wrong in one way. Most of them json-c would take. */
static const struct text wrong[] = {
	BYTES(""),
	BYTES(" \n"),
	BYTES("'a'"),
	BYTES("{'a':1}"),
	BYTES("{a:1}"),
	BYTES("NaN"),
	BYTES("[NaN]"),
	BYTES("Infinity"),
	BYTES("-Infinity"),
	BYTES("nan"),
	BYTES("True"),
	BYTES("nul"),
	BYTES("nulL"),
	BYTES("truex"),
	BYTES("/* */1"),
	BYTES("[1/**/]"),
	BYTES("1 // x"),
	BYTES("[1,]"),
	BYTES("[,1]"),
	BYTES("[1 2]"),
	BYTES("{\"a\":1,}"),
	BYTES("{\"a\" 1}"),
	BYTES("{\"a\"}"),
	BYTES("{\"a\":}"),
	BYTES("{1:1}"),
	BYTES("{,}"),
	BYTES("[1}"),
	BYTES("{\"a\":1]"),
	BYTES("]"),
	BYTES("[1"),
	BYTES("\"a"),
	BYTES("\"\\x41\""),
	BYTES("\"\\u00g0\""),
	BYTES("\"\\u12\""),
	BYTES("\"\\"),
	BYTES("\"a\nb\""),
	BYTES("\"a\tb\""),
	BYTES("\"\x1f\""),
	BYTES("\"\0\""),
	BYTES("\"a\\u0000b\""),
	BYTES("{\"a\\u0000b\":1}"),
	BYTES("1\0"),
	BYTES("[1,\0 2]"),
	BYTES("\v1"),
	BYTES("\f1"),
	BYTES("\xc2\xa0 1"),
	BYTES("\xef\xbb\xbf{}"),
	BYTES("\"\xff\""),
	BYTES("\"\x80\""),
	BYTES("\"\xc3\""),
	BYTES("\"\xc3(\""),
	BYTES("\"\xc0\xaf\""),
	BYTES("\"\xc1\xbf\""),
	BYTES("\"\xe0\x9f\xbf\""),
	BYTES("\"\xed\xa0\x80\""),
	BYTES("\"\xf0\x8f\xbf\xbf\""),
	BYTES("\"\xf4\x90\x80\x80\""),
	BYTES("\"\xf5\x80\x80\x80\""),
	BYTES("\"\xe2\x82\""),
	BYTES("\"\xe2\x82\xac\xac\""),
	BYTES("{\"\xff\":1}"),
	BYTES("\"\\ud800\""),
	BYTES("\"\\ud800x\""),
	BYTES("\"\\ud800\\n\""),
	BYTES("\"\\ud800\\u0041\""),
	BYTES("\"\\ud800\\ud800\""),
	BYTES("\"\\udc00\""),
	BYTES("\"\\udc00\\ud800\""),
	BYTES("18446744073709551616"),
	BYTES("[18446744073709551616]"),
	BYTES("-9223372036854775809"),
	BYTES("100000000000000000000000000000000000000000"),
	BYTES("1e309"),
	BYTES("[-1e309]"),
	BYTES("[1,[{\"a\":1e999}]]"),
	BYTES("01"),
	BYTES("-01"),
	BYTES("+1"),
	BYTES(".5"),
	BYTES("1."),
	BYTES("1.e5"),
	BYTES("1e"),
	BYTES("1e+"),
	BYTES("-"),
	BYTES("--1"),
	BYTES("0x10"),
	BYTES("1_000"),
	BYTES("{\"a\":1,\"a\":1}"),
	BYTES("{\"a\":1,\"\\u0061\":2}"),
	BYTES("[{\"x\":{\"a\":1,\"b\":2,\"a\":3}}]"),
	BYTES("1 2"),
	BYTES("{}{}"),
	BYTES("{}]"),
	BYTES("1,"),
};

START_TEST(test_wrong)
{
	const struct text *t = &wrong[_i];
	_cleanup_free_ char *print = parse_print(t->p, t->len, &json_limits_request);

	ck_assert_pstr_eq(print, NULL);
}
END_TEST

/* What the reader says about a text in portions of STEP bytes: values printed, "!" for an error,
 * "#" for an overflow, "." for the end. */
static char *transcript(const char *text, size_t len, size_t step, const struct json_limits *limits)
{
	_cleanup_(json_reader_freep) struct json_reader *r = json_reader_new(limits);
	char *out = NULL;
	size_t size;
	FILE *f = open_memstream(&out, &size);
	enum json_status status = JSON_MORE;
	bool end = false;

	ck_assert_ptr_nonnull(f);
	while (!end && status != JSON_OVERFLOW) {
		size_t n = len < step ? len : step;
		/* on the heap, so that a byte read too far is found */
		_cleanup_free_ char *portion = xmemdup(text, n);
		const char *p = portion;

		text += n;
		len -= n;
		do {
			_cleanup_json_ struct json_object *o = NULL;
			_cleanup_err_ struct err *e = NULL;

			end = !n && status == JSON_MORE;
			status = end ? json_reader_end(r, &o, &e) : json_reader_next(r, &p, &n, &o, &e);
			ck_assert_int_eq(e != NULL, status == JSON_BAD || status == JSON_OVERFLOW);
			if (status == JSON_VALUE) {
				_cleanup_free_ char *print = json_print(o);

				fprintf(f, "%s ", print);
			} else {
				ck_assert_ptr_null(o);
				fputs(status == JSON_BAD ? "! " : status == JSON_OVERFLOW ? "# " : "", f);
			}
		} while (!end && status != JSON_MORE && status != JSON_OVERFLOW);
		ck_assert_uint_le(json_reader_held(r), limits->bytes);
	}
	fputc('.', f);
	fclose(f);
	return out;
}

static const struct json_limits small = { .bytes = 16, .depth = 3 };

static const struct {
	const char *text, *transcript;
} streams[] = {
	{ "", "." },
	{ "1 2 3", "1 2 3 ." },
	{ "12", "12 ." },
	{ "12\n", "12 ." },
	{ "1e2", "1e2 ." },
	{ "{}{}[]\"a\"null", "{} {} [] \"a\" null ." },
	{ "{}\r\n{\"a\":1}\r\n", "{} {\"a\":1} ." },
	/* resynchronisation */
	{ "x\n1 ", "! 1 ." },
	{ "x 1 2\n3 ", "! 3 ." },
	{ "x\r\n[1]\n", "! [1] ." },
	{ "[1,x,\n[2]", "! [2] ." },
	{ "\"a\n[2]", "! [2] ." }, /* the newline itself is the error */
	{ "{\"a\"\n:x}\n[2]", "! [2] ." },
	{ "{\"a\":1,\"a\":2} 5\n6\n", "! 6 ." },
	{ "1e999\n6\n", "! 6 ." },
	{ "1e999 5\n6\n", "! 6 ." },
	{ "01\n6\n", "! 6 ." },
	{ "x\ny\nz\n1\n", "! ! ! 1 ." },
	{ "x 1 2 3", "! ." },
	{ "1x\n2\n", "1 ! 2 ." },
	/* the end in the middle */
	{ "[1", "! ." },
	{ "tru", "! ." },
	{ "1 \"a", "1 ! ." },
	{ "1e", "! ." },
	{ "-", "! ." },
	{ "18446744073709551616", "# ." },
	/* limits: 16 bytes, 3 levels */
	{ "[[[1]]]", "[[[1]]] ." },
	{ "[[[[1]]]]\n2\n", "# ." },
	{ "[[[{", "# ." },
	{ "[[[]],[[]],[[]]]", "[[[]],[[]],[[]]] ." },
	{ "\"12345678901234\"1", "\"12345678901234\" 1 ." },
	{ "\"123456789012345\"", "# ." },
	{ "[             1]", "[1] ." },
	{ "[              1]", "# ." },
	{ "1234567890123456", "1234567890123456 ." },
	{ "1234567890123456 ", "1234567890123456 ." },
	{ "12345678901234567", "# ." },
	{ "          1          2          ", "1 2 ." },
	{ "x                                          1\n2", "! 2 ." },
	{ "1 [[[[ 2\n3\n", "1 # ." },
};

START_TEST(test_portions)
{
	const char *text = streams[_i].text;

	for (size_t step = 1; step <= strlen(text) + 1; step++) {
		_cleanup_free_ char *out = transcript(text, strlen(text), step, &small);

		ck_assert_str_eq(out, streams[_i].transcript);
	}
}
END_TEST

/* Every good text cut at every byte. */
START_TEST(test_cuts)
{
	const struct text *t = &good[_i];
	_cleanup_free_ char *expected = xasprintf("%s .", t->print);

	for (size_t step = 1; step <= t->len; step++) {
		_cleanup_free_ char *out = transcript(t->p, t->len, step, &json_limits_request);

		ck_assert_str_eq(out, expected);
	}
}
END_TEST

START_TEST(test_dead_for_ever)
{
	_cleanup_(json_reader_freep) struct json_reader *r = json_reader_new(&small);
	const char *inputs[] = { "[[[[", "1\n", "", "\n\n2 " };
	struct json_object *o = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(inputs); i++) {
		_cleanup_err_ struct err *e = NULL;
		const char *p = inputs[i];
		size_t n = strlen(p);

		ck_assert_int_eq(json_reader_next(r, &p, &n, &o, &e), JSON_OVERFLOW);
		ck_assert_uint_eq(n, 0);
		ck_assert_ptr_nonnull(strstr(e->desc, "nested too deep"));
	}
	ck_assert_int_eq(json_reader_end(r, &o, NULL), JSON_OVERFLOW);
	ck_assert_ptr_null(o);
}
END_TEST

START_TEST(test_holds_nothing_between_values)
{
	_cleanup_(json_reader_freep) struct json_reader *r = json_reader_new(&json_limits_request);
	static const struct {
		const char *text;
		enum json_status status;
		bool held;
	} rows[] = {
		{ "[1,", JSON_MORE, true },      { "2,3", JSON_MORE, true }, { "]", JSON_VALUE, false },
		{ " \r\n  ", JSON_MORE, false }, { "[1", JSON_MORE, true },  { "x", JSON_BAD, false },
		{ "lots of", JSON_MORE, false }, { "\n7", JSON_MORE, true }, { " ", JSON_VALUE, false },
		{ "[[[[", JSON_MORE, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_json_ struct json_object *o = NULL;
		const char *p = rows[i].text;
		size_t n = strlen(p);

		ck_assert_int_eq(json_reader_next(r, &p, &n, &o, NULL), rows[i].status);
		ck_assert_int_eq(json_reader_held(r) > 0, rows[i].held);
	}
}
END_TEST

/* "[x,x,x...]" of N elements. */
static char *many(const char *element, size_t n)
{
	size_t len = strlen(element);
	char *text = xcalloc(n * (len + 1) + 2, 1), *p = text;

	*p++ = '[';
	for (size_t i = 0; i < n; i++) {
		memcpy(p, element, len);
		p += len;
		*p++ = ',';
	}
	p[-1] = ']';
	return text;
}

START_TEST(test_real_limits)
{
	_cleanup_free_ char *most = many("0", json_limits_request.bytes / 2 - 1);
	_cleanup_free_ char *values = many("0", JSON_VALUES_MAX);
	_cleanup_free_ char *longest = xcalloc(json_limits_request.bytes + 2, 1), *a = NULL, *b = NULL, *c = NULL,
			    *d = NULL;

	/* no request within its limit has too many values, QEMU's may */
	a = parse_print(most, strlen(most), &json_limits_request);
	ck_assert_pstr_eq(a, most);
	b = parse_print(values, strlen(values), &json_limits_qemu);
	ck_assert_pstr_eq(b, NULL);

	memset(longest, 'x', json_limits_request.bytes + 1);
	longest[0] = longest[json_limits_request.bytes - 1] = '"';
	c = parse_print(longest, json_limits_request.bytes, &json_limits_request);
	ck_assert_ptr_nonnull(c);
	longest[json_limits_request.bytes - 1] = 'x';
	longest[json_limits_request.bytes] = '"';
	d = parse_print(longest, json_limits_request.bytes + 1, &json_limits_request);
	ck_assert_pstr_eq(d, NULL);
}
END_TEST

START_TEST(test_depths)
{
	const struct json_limits *limits[] = { &json_limits_request, &json_limits_qemu };

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		unsigned depth = limits[i]->depth;
		_cleanup_free_ char *text = xcalloc(depth + 1, 8);
		char *p = text;
		_cleanup_free_ char *fits = NULL, *deep = NULL;

		for (unsigned n = 0; n < depth; n++)
			p = stpcpy(p, n % 3 ? "[" : "{\"\":");
		p = stpcpy(p, "\"x\"");
		for (unsigned n = depth; n-- > 0;)
			p = stpcpy(p, n % 3 ? "]" : "}");
		fits = parse_print(text, strlen(text), limits[i]);
		ck_assert_pstr_eq(fits, text);
		memmove(text + 1, text, strlen(text) + 1);
		text[0] = '[';
		strcat(text, "]");
		deep = parse_print(text, strlen(text), limits[i]);
		ck_assert_pstr_eq(deep, NULL);
	}
}
END_TEST

START_TEST(test_errors_say_what)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "{\"a\":1,\"a\":2}", "key is given twice" },
		{ "[18446744073709551616]", "more than 64 bits" },
		{ "18446744073709551616", "more than 64 bits" },
		{ "1e999", "too large" },
		{ "\"\\ud800\"", "surrogate" },
		{ "\"\xff\"", "UTF-8" },
		{ "\"a\x01\"", "control byte" },
		{ "{\"a\":1", "ends within a value" },
		{ "[1] 2", "follows the value" },
		{ "[1}", "brackets do not match" },
		{ "", "no value" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_err_ struct err *e = NULL;
		struct json_object *o = NULL;

		ck_assert(!json_parse(rows[i].text, strlen(rows[i].text), &json_limits_request, &o, &e));
		ck_assert_int_eq(e->class, ERR_GENERIC);
		ck_assert_msg(strstr(e->desc, rows[i].says) != NULL, "%s", e->desc);
	}
}
END_TEST

START_TEST(test_print_is_valid)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	_cleanup_free_ char *text = NULL, *again = NULL;
	/* a NUL, a stray byte, a character cut short at the end */
	static const char dirt[] = "a\0b\xff"
				   "c\xe2\x82";

	json_add(o, "nan", json_object_new_double(NAN));
	json_add(o, "inf", json_object_new_double(-INFINITY));
	json_add(o, "tenth", json_object_new_double(0.1));
	json_add(o, "whole", json_object_new_double(3));
	json_add(o, "dirt", json_object_new_string_len(dirt, sizeof(dirt) - 1));
	json_add(o, "k\xff", json_object_new_array());
	text = json_print(o);
	ck_assert_str_eq(text, "{\"nan\":null,\"inf\":null,\"tenth\":0.10000000000000001,\"whole\":3.0,"
			       "\"dirt\":\"a\xef\xbf\xbd"
			       "b\xef\xbf\xbd"
			       "c\xef\xbf\xbd\xef\xbf\xbd\",\"k\xef\xbf\xbd\":[]}");
	again = parse_print(text, strlen(text), &json_limits_request);
	ck_assert_pstr_eq(again, text);
}
END_TEST

START_TEST(test_print_indent)
{
	static const char text[] = "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}";
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_free_ char *print = NULL;

	ck_assert(json_parse(text, strlen(text), &json_limits_request, &o, NULL));
	print = json_print_indent(o);
	ck_assert_str_eq(print, text);
}
END_TEST

START_TEST(test_print_head)
{
	static const char text[] = "{\"a\":[1,null,\"x\\n\xc3\xbc\xf0\x9f\x98\x80\"],\"b\":{\"c\":true}}";
	_cleanup_json_ struct json_object *o = NULL, *s = json_object_new_string("0123456789");
	bool cut;

	ck_assert(json_parse(text, strlen(text), &json_limits_request, &o, NULL));
	for (size_t max = 1; max <= strlen(text) + 1; max++) {
		_cleanup_free_ char *head = json_print_head(o, max, &cut);
		size_t n = strlen(head);

		ck_assert_int_eq(cut, max < strlen(text));
		ck_assert_msg(n <= max && max - n <= 4 && strncmp(head, text, n) == 0, "%zu: %s", max, head);
		/* no half character */
		ck_assert_msg(n == strlen(text) || (text[n] & 0xc0) != 0x80, "%zu: %s", max, head);
	}
	for (size_t max = 1; max <= 12; max++) {
		_cleanup_free_ char *head = json_print_head(s, max, &cut);

		ck_assert_int_eq(cut, max < 12);
		ck_assert_uint_eq(strlen(head), max);
	}
}
END_TEST

START_TEST(test_doubles_round_trip)
{
	static const double rows[] = { 0.1,     1.0 / 3, 5e-324, 1.7976931348623157e308, 4503599627370497.5,
				       -2.5e-7, 1e21,    1e22 };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_json_ struct json_object *o = json_object_new_double(rows[i]), *back = NULL;
		_cleanup_free_ char *text = json_print(o);

		ck_assert(json_parse(text, strlen(text), &json_limits_request, &back, NULL));
		ck_assert(json_object_is_type(back, json_type_double));
		ck_assert(json_object_get_double(back) == rows[i]);
	}
}
END_TEST

START_TEST(test_getters)
{
	static const char text[] =
		"{\"s\":\"x\",\"i\":5,\"n\":-5,\"u\":9223372036854775808,\"d\":1.5,\"b\":true,\"z\":null,\"o\":{}}";
	_cleanup_json_ struct json_object *o = NULL, *list = json_object_new_array();

	ck_assert(json_parse(text, strlen(text), &json_limits_request, &o, NULL));
	ck_assert_pstr_eq(json_get_str(o, "s"), "x");
	ck_assert_pstr_eq(json_get_str(o, "i"), NULL);
	ck_assert_pstr_eq(json_get_str(o, "z"), NULL);
	ck_assert_pstr_eq(json_get_str(o, "none"), NULL);
	ck_assert_pstr_eq(json_get_str(list, "s"), NULL);
	ck_assert_pstr_eq(json_get_str(NULL, "s"), NULL);
	ck_assert_int_eq(json_get_int(o, "i", 7), 5);
	ck_assert_int_eq(json_get_int(o, "n", 7), -5);
	ck_assert_int_eq(json_get_int(o, "u", 7), 7);
	ck_assert_int_eq(json_get_int(o, "d", 7), 7);
	ck_assert_int_eq(json_get_int(o, "s", 7), 7);
	ck_assert(json_get_double(o, "d", 7) == 1.5);
	ck_assert(json_get_double(o, "i", 7) == 5);
	ck_assert(json_get_double(o, "u", 7) == 9223372036854775808.0);
	ck_assert(json_get_double(o, "s", 7) == 7);
	ck_assert(json_get_bool(o, "b", false));
	ck_assert(json_get_bool(o, "i", false) == false);
	ck_assert(json_get_bool(o, "none", true));
	ck_assert_ptr_nonnull(json_get_typed(o, "o", json_type_object));
	ck_assert_ptr_null(json_get_typed(o, "o", json_type_array));
	json_object_array_add(list, json_object_get(o));
	ck_assert_uint_eq(json_length(list), 1);
	ck_assert_uint_eq(json_length(o), 0);
	ck_assert_uint_eq(json_length(NULL), 0);
}
END_TEST

START_TEST(test_adders)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	_cleanup_free_ char *text = NULL;

	json_add_str(o, "s", "x");
	json_add_str(o, "absent", NULL);
	json_add_int(o, "i", INT64_MIN);
	json_add_uint(o, "u", UINT64_MAX);
	json_add_bool(o, "b", true);
	json_add(o, "null", NULL);
	text = json_print(o);
	ck_assert_str_eq(
		text, "{\"s\":\"x\",\"i\":-9223372036854775808,\"u\":18446744073709551615,\"b\":true,\"null\":null}");
}
END_TEST

START_TEST(test_times)
{
	static const struct {
		double seconds;
		const char *text;
	} rows[] = {
		{ 1790000000.25, "{\"t\":1790000000.25}" },
		{ 1790000400, "{\"t\":1790000400.0}" },
		{ 1790000000.123456, "{\"t\":1790000000.123456}" },
		{ 0.0000004, "{\"t\":0.0}" },
		{ 0, "{\"t\":0.0}" },
		{ 1.9999999, "{\"t\":2.0}" },
		{ 0.05, "{\"t\":0.05}" },
		{ -0.5, "{\"t\":-0.5}" },
		{ -0.0000001, "{\"t\":0.0}" },
		{ NAN, "{}" },
		{ INFINITY, "{}" },
		{ 1e300, "{\"t\":1.0000000000000001e+300}" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_json_ struct json_object *o = json_object_new_object();
		_cleanup_free_ char *text = NULL;

		json_add_time(o, "t", rows[i].seconds);
		text = json_print(o);
		ck_assert_str_eq(text, rows[i].text);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("json");
	TCase *tc = tcase_create("json");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_loop_test(tc, test_good, 0, ARRAY_SIZE(good));
	tcase_add_loop_test(tc, test_wrong, 0, ARRAY_SIZE(wrong));
	tcase_add_loop_test(tc, test_portions, 0, ARRAY_SIZE(streams));
	tcase_add_loop_test(tc, test_cuts, 0, ARRAY_SIZE(good));
	tcase_add_test(tc, test_dead_for_ever);
	tcase_add_test(tc, test_holds_nothing_between_values);
	tcase_add_test(tc, test_real_limits);
	tcase_add_test(tc, test_depths);
	tcase_add_test(tc, test_errors_say_what);
	tcase_add_test(tc, test_print_is_valid);
	tcase_add_test(tc, test_print_indent);
	tcase_add_test(tc, test_print_head);
	tcase_add_test(tc, test_doubles_round_trip);
	tcase_add_test(tc, test_getters);
	tcase_add_test(tc, test_adders);
	tcase_add_test(tc, test_times);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
