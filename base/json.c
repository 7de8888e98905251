/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scanner (json_scan.c) finds where a value ends and refuses everything that is not JSON; only
 * a whole and proper value reaches json-c, in one piece. A value that lies in one portion of input
 * is built from the caller's bytes; the buffer exists only while a value is cut by the end of a
 * portion.
 *
 * What cannot be seen byte by byte is seen in the built tree: a key given twice (the tree has
 * fewer members than the scanner saw, however the keys were spelt) and doubles without a finite
 * value.
 */
#include "base/json_scan.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const struct json_limits json_limits_request = { .bytes = 1 << 20, .depth = 32 };
const struct json_limits json_limits_qemu = { .bytes = 64 << 20, .depth = 128 };

/* The first buffer of a value that comes in small portions. */
#define BUFFER_MIN 256

struct json_reader {
	struct json_scan scan;
	char *buf;
	size_t held, cap;
	bool skipping; /* to the end of the line */
	bool dead;
};

static void buffer_drop(struct json_reader *r)
{
	free(r->buf);
	r->buf = NULL;
	r->held = r->cap = 0;
}

/* The scanner let N bytes pass, so the limit is not exceeded. */
static void buffer_add(struct json_reader *r, const char *p, size_t n)
{
	if (!n)
		return;
	if (r->held + n > r->cap) {
		size_t cap = r->cap ? 2 * r->cap : BUFFER_MIN;

		if (cap < r->held + n)
			cap = r->held + n;
		if (cap > r->scan.limits->bytes)
			cap = r->scan.limits->bytes;
		r->buf = xrealloc(r->buf, cap, 1);
		r->cap = cap;
	}
	memcpy(r->buf + r->held, p, n);
	r->held += n;
}

/* Ready for the next value. */
static void reset(struct json_reader *r)
{
	buffer_drop(r);
	json_scan_reset(&r->scan);
}

struct tally {
	size_t members;
	bool infinite;
};

static void count(struct json_object *o, struct tally *t)
{
	if (json_object_is_type(o, json_type_object)) {
		t->members += (size_t)json_object_object_length(o);
		json_object_object_foreach(o, key, value) {
			(void)key;
			count(value, t);
		}
	} else if (json_object_is_type(o, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(o); i++)
			count(json_object_array_get_idx(o, i), t);
	} else if (json_object_is_type(o, json_type_double)) {
		t->infinite |= !isfinite(json_object_get_double(o));
	}
}

static void tokener_freep(struct json_tokener **tok)
{
	if (*tok)
		json_tokener_free(*tok);
}

/* False with r->scan.why set. */
static bool build(struct json_reader *r, const char *text, size_t len, struct json_object **ret)
{
	/* json-c counts one level more than there are brackets */
	_cleanup_(tokener_freep) struct json_tokener *tok = json_tokener_new_ex((int)r->scan.limits->depth + 2);
	_cleanup_json_ struct json_object *o = NULL;
	struct tally t = { 0 };

	if (!tok)
		abort();
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT);
	o = json_tokener_parse_ex(tok, text, (int)len);
	if (json_tokener_get_error(tok) == json_tokener_continue) /* a number has no end of its own */
		o = json_tokener_parse_ex(tok, " ", 1);
	if (json_tokener_get_error(tok) != json_tokener_success) {
		r->scan.why = json_tokener_error_desc(json_tokener_get_error(tok));
		return false;
	}
	count(o, &t);
	if (t.members != r->scan.members) {
		r->scan.why = "a key is given twice";
		return false;
	}
	if (t.infinite) {
		r->scan.why = "a number is too large";
		return false;
	}
	*ret = TAKE_PTR(o);
	return true;
}

static enum json_status fail(struct json_reader *r, struct err **e)
{
	err_set(e, ERR_GENERIC, "JSON syntax error: %s (at byte %zu of the value)", r->scan.why, r->scan.bytes);
	reset(r);
	return JSON_BAD;
}

static enum json_status die(struct json_reader *r, struct err **e)
{
	if (!r->dead)
		reset(r);
	r->dead = true;
	err_set(e, ERR_GENERIC, "JSON value beyond the limits (%zu bytes, nesting %u, %d values): %s",
		r->scan.limits->bytes, r->scan.limits->depth, JSON_VALUES_MAX, r->scan.why);
	return JSON_OVERFLOW;
}

/* The last N bytes of the value are at P, those before are held. */
static enum json_status whole(struct json_reader *r, const char *p, size_t n, struct json_object **ret, struct err **e)
{
	bool built;

	if (r->held) {
		buffer_add(r, p, n);
		built = build(r, r->buf, r->held, ret);
	} else {
		built = build(r, p, n, ret);
	}
	if (!built) {
		r->skipping = true;
		return fail(r, e);
	}
	reset(r);
	return JSON_VALUE;
}

struct json_reader *json_reader_new(const struct json_limits *limits)
{
	struct json_reader *r = xcalloc(1, sizeof(*r));

	json_scan_init(&r->scan, limits);
	return r;
}

struct json_reader *json_reader_free(struct json_reader *r)
{
	if (r) {
		buffer_drop(r);
		free(r);
	}
	return NULL;
}

size_t json_reader_held(const struct json_reader *r)
{
	return r->held;
}

static void take(const char **data, size_t *len, size_t n)
{
	*data += n;
	*len -= n;
}

/* Drops what is dropped between values. */
static void skip(struct json_reader *r, const char **data, size_t *len)
{
	if (r->skipping) {
		const char *end = *len ? memchr(*data, '\n', *len) : NULL;

		take(data, len, end ? (size_t)(end - *data) + 1 : *len);
		r->skipping = !end;
	}
	while (*len && json_scan_idle(&r->scan) && json_is_space((unsigned char)**data))
		take(data, len, 1);
}

enum json_status json_reader_next(struct json_reader *r, const char **data, size_t *len, struct json_object **ret,
				  struct err **e)
{
	const char *start;
	enum scan_verdict v;
	size_t used;

	if (r->dead) {
		take(data, len, *len);
		return die(r, e);
	}
	skip(r, data, len);
	if (!*len)
		return JSON_MORE;
	start = *data;
	v = json_scan(&r->scan, start, *len, &used);
	take(data, len, used);
	switch (v) {
	case SCAN_WHOLE:
	case SCAN_WHOLE_BEFORE:
		return whole(r, start, used, ret, e);
	case SCAN_BAD:
		r->skipping = start[used - 1] != '\n';
		return fail(r, e);
	case SCAN_OVER:
		take(data, len, *len);
		return die(r, e);
	case SCAN_GO:
		break;
	}
	buffer_add(r, start, used);
	return JSON_MORE;
}

enum json_status json_reader_end(struct json_reader *r, struct json_object **ret, struct err **e)
{
	enum json_status status = JSON_MORE;

	if (r->dead)
		return die(r, e);
	if (!json_scan_idle(&r->scan))
		status = json_scan_end(&r->scan) ? whole(r, "", 0, ret, e) : fail(r, e);
	r->skipping = false;
	return status;
}

bool json_parse(const char *text, size_t len, const struct json_limits *limits, struct json_object **ret,
		struct err **e)
{
	_cleanup_(json_reader_freep) struct json_reader *r = json_reader_new(limits);
	_cleanup_json_ struct json_object *o = NULL, *second = NULL;
	enum json_status status = json_reader_next(r, &text, &len, &o, e);

	if (status == JSON_MORE)
		status = json_reader_end(r, &o, e);
	if (status == JSON_MORE)
		return err_set(e, ERR_GENERIC, "JSON syntax error: no value");
	if (status != JSON_VALUE)
		return false;
	/* a second value may be syntactically fine, which is no less wrong */
	status = json_reader_next(r, &text, &len, &second, NULL);
	if (status != JSON_MORE || json_reader_end(r, &second, NULL) != JSON_MORE)
		return err_set(e, ERR_GENERIC, "JSON syntax error: something follows the value");
	*ret = TAKE_PTR(o);
	return true;
}
