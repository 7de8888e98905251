/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The JSON reader. The first byte of the input says in portions of how many bytes the rest is fed.
 * Beside memory errors these are found:
 *
 * - the portions change what is reported, or what is held passes the limit;
 * - a value that was delivered is printed as something that is not the same value when it is read,
 *   or not the same text when it is printed again;
 * - json-c refuses what the scanner let pass.
 */
#include "base/json.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct json_limits limits[] = {
	{ .bytes = 100, .depth = 4 },
	{ .bytes = 4000, .depth = 32 },
};

static void must(bool ok, const char *what, const char *text)
{
	if (ok)
		return;
	fprintf(stderr, "%s: %s\n", what, text);
	abort();
}

static void check_value(struct json_object *o, const char *text, const struct json_limits *l)
{
	_cleanup_json_ struct json_object *back = NULL;
	_cleanup_err_ struct err *e = NULL;
	_cleanup_free_ char *again = NULL;

	must(json_parse(text, strlen(text), l, &back, &e), "the print of a value is refused", text);
	must(json_object_equal(o, back), "a value changes when printed", text);
	again = json_print(back);
	must(str_eq(text, again), "a value is printed in two ways", text);
}

static void check_error(const struct err *e)
{
	/* 1 is "continue": a value that was not whole */
	for (int i = json_tokener_continue; i < json_tokener_error_size; i++)
		must(!strstr(e->desc, json_tokener_error_desc((enum json_tokener_error)i)), "json-c knows better",
		     e->desc);
}

static void report(FILE *f, enum json_status status, struct json_object *o, const struct err *e,
		   const struct json_limits *l)
{
	fprintf(f, "%d ", status);
	must((e != NULL) == (status == JSON_BAD || status == JSON_OVERFLOW), "an error and the status differ", "");
	if (e) {
		check_error(e);
		fprintf(f, "%s\n", e->desc);
	}
	must(!o || status == JSON_VALUE, "a value without its status", "");
	if (status == JSON_VALUE) {
		_cleanup_free_ char *text = json_print(o);

		check_value(o, text, l);
		fprintf(f, "%s\n", text);
	}
}

/* Statuses other than "more", each with its value or error, up to the end or an overflow. */
static char *transcript(const uint8_t *data, size_t size, size_t step, const struct json_limits *l)
{
	_cleanup_(json_reader_freep) struct json_reader *r = json_reader_new(l);
	enum json_status status = JSON_MORE;
	char *out = NULL;
	size_t out_len;
	FILE *f = open_memstream(&out, &out_len);

	while (size && status != JSON_OVERFLOW) {
		size_t n = size < step ? size : step;
		/* a copy, so that a byte read too far is found */
		_cleanup_free_ char *portion = xmemdup(data, n);
		const char *p = portion;

		data += n;
		size -= n;
		do {
			_cleanup_json_ struct json_object *o = NULL;
			_cleanup_err_ struct err *e = NULL;

			status = json_reader_next(r, &p, &n, &o, &e);
			if (status != JSON_MORE)
				report(f, status, o, e, l);
			must(status != JSON_MORE || !n, "more is wanted than was taken", "");
			must(json_reader_held(r) <= l->bytes, "too much is held", "");
		} while (status == JSON_VALUE || status == JSON_BAD);
	}
	if (status != JSON_OVERFLOW) {
		_cleanup_json_ struct json_object *o = NULL;
		_cleanup_err_ struct err *e = NULL;

		status = json_reader_end(r, &o, &e);
		report(f, status, o, e, l);
		must(!json_reader_held(r), "something is held after the end", "");
	}
	fclose(f);
	return out;
}

/* Small ones one by one, larger ones in steps; 0: all at once. */
static size_t portion_of(uint8_t byte, size_t size)
{
	if (!byte)
		return size;
	return byte < 128 ? byte : (size_t)(byte - 127) * 16;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t step;

	if (!size)
		return 0;
	step = portion_of(*data, size);
	data++;
	size--;
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		_cleanup_free_ char *whole = transcript(data, size, size, &limits[i]);
		_cleanup_free_ char *portions = transcript(data, size, step, &limits[i]);
		_cleanup_free_ char *bytes = transcript(data, size, 1, &limits[i]);

		must(str_eq(whole, portions), "portions make a difference", portions);
		must(str_eq(whole, bytes), "single bytes make a difference", bytes);
	}
	return 0;
}
