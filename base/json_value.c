/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The writer, and members of objects.
 *
 * json-c has a writer; this one stands in for it because whatever drover writes must be what
 * drover's reader takes: json-c prints NaN and Infinity and lets bytes pass that are not UTF-8 (a
 * program's stderr, a file's name). It also leaves a copy of the text inside the printed value,
 * which doubles the cost of everything that is sent.
 */
#include "base/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd"

struct text {
	char *p;
	size_t len, cap;
	size_t max; /* 0: none */
	bool indent;
	bool cut; /* max is reached: what is put is dropped */
};

static void put(struct text *t, const char *p, size_t n)
{
	if (t->max && n > t->max - t->len) {
		n = t->max - t->len;
		t->cut = true;
	}
	if (t->len + n >= t->cap) {
		t->cap = 2 * t->cap > t->len + n + 1 ? 2 * t->cap : t->len + n + 64;
		t->p = xrealloc(t->p, t->cap, 1);
	}
	memcpy(t->p + t->len, p, n);
	t->len += n;
}

static void put_str(struct text *t, const char *s)
{
	put(t, s, strlen(s));
}

static void put_break(struct text *t, unsigned depth)
{
	if (!t->indent)
		return;
	put(t, "\n", 1);
	while (depth--)
		put(t, "  ", 2);
}

unsigned char json_utf8_lead(unsigned char c, unsigned char *lo, unsigned char *hi)
{
	*lo = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
	*hi = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
	if (c < 0xc2 || c > 0xf4)
		return 0;
	return c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
}

/* The length of the character at P, 0 if it is not UTF-8 or NUL. */
static size_t char_length(const char *p, size_t n)
{
	const unsigned char *u = (const unsigned char *)p;
	unsigned char lo, hi;
	size_t more;

	if (*u < 0x80)
		return *u ? 1 : 0;
	more = json_utf8_lead(*u, &lo, &hi);
	if (!more || more >= n)
		return 0;
	for (size_t i = 1; i <= more; i++, lo = 0x80, hi = 0xbf)
		if (u[i] < lo || u[i] > hi)
			return 0;
	return more + 1;
}

/* What stands for C in a string, NULL if C itself does. */
static const char *escape_of(unsigned char c, char buf[8])
{
	switch (c) {
	case '"':
		return "\\\"";
	case '\\':
		return "\\\\";
	case '\b':
		return "\\b";
	case '\f':
		return "\\f";
	case '\n':
		return "\\n";
	case '\r':
		return "\\r";
	case '\t':
		return "\\t";
	default:
		if (c >= 0x20)
			return NULL;
		snprintf(buf, 8, "\\u%04x", c);
		return buf;
	}
}

static void put_string(struct text *t, const char *p, size_t n)
{
	size_t start = 0, i = 0;

	if (t->max && n > t->max)
		n = t->max; /* more is never printed */
	put(t, "\"", 1);
	while (i < n) {
		unsigned char c = (unsigned char)p[i];
		const char *instead;
		size_t length;
		char buf[8];

		if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
			i++;
			continue;
		}
		length = char_length(p + i, n - i);
		instead = length ? escape_of(c, buf) : REPLACEMENT;
		if (instead) {
			put(t, p + start, i - start);
			put_str(t, instead);
			start = i + (length ? length : 1);
		}
		i += length ? length : 1;
	}
	put(t, p + start, n - start);
	put(t, "\"", 1);
}

static void put_int(struct text *t, struct json_object *o)
{
	int64_t n = json_object_get_int64(o);
	char buf[32];

	/* json-c keeps large ones unsigned and clamps them here */
	if (n < 0)
		snprintf(buf, sizeof(buf), "%" PRId64, n);
	else
		snprintf(buf, sizeof(buf), "%" PRIu64, json_object_get_uint64(o));
	put_str(t, buf);
}

/* json-c knows whether the double came with a text of its own. */
static void put_double(struct text *t, struct json_object *o)
{
	put_str(t, isfinite(json_object_get_double(o)) ? json_object_to_json_string(o) : "null");
}

static void put_value(struct text *t, struct json_object *o, unsigned depth);

static void put_object(struct text *t, struct json_object *o, unsigned depth)
{
	bool first = true;

	put(t, "{", 1);
	json_object_object_foreach(o, key, value) {
		if (t->cut)
			return;
		if (!first)
			put(t, ",", 1);
		first = false;
		put_break(t, depth + 1);
		put_string(t, key, strlen(key));
		put_str(t, t->indent ? ": " : ":");
		put_value(t, value, depth + 1);
	}
	if (!first)
		put_break(t, depth);
	put(t, "}", 1);
}

static void put_array(struct text *t, struct json_object *o, unsigned depth)
{
	size_t n = json_object_array_length(o);

	put(t, "[", 1);
	for (size_t i = 0; i < n && !t->cut; i++) {
		if (i)
			put(t, ",", 1);
		put_break(t, depth + 1);
		put_value(t, json_object_array_get_idx(o, i), depth + 1);
	}
	if (n)
		put_break(t, depth);
	put(t, "]", 1);
}

static void put_value(struct text *t, struct json_object *o, unsigned depth)
{
	switch (json_object_get_type(o)) {
	case json_type_null:
		put_str(t, "null");
		break;
	case json_type_boolean:
		put_str(t, json_object_get_boolean(o) ? "true" : "false");
		break;
	case json_type_double:
		put_double(t, o);
		break;
	case json_type_int:
		put_int(t, o);
		break;
	case json_type_object:
		put_object(t, o, depth);
		break;
	case json_type_array:
		put_array(t, o, depth);
		break;
	case json_type_string:
		put_string(t, json_object_get_string(o), (size_t)json_object_get_string_len(o));
		break;
	}
}

static char *print(struct json_object *o, bool indent)
{
	struct text t = { .indent = indent };

	put_value(&t, o, 0);
	put(&t, "", 1);
	return t.p;
}

char *json_print(struct json_object *o)
{
	return print(o, false);
}

char *json_print_indent(struct json_object *o)
{
	return print(o, true);
}

char *json_print_head(struct json_object *o, size_t max, bool *cut)
{
	struct text t = { .max = max };

	put_value(&t, o, 0);
	*cut = t.cut;
	/* The last character may be a part of one. */
	while (t.cut && t.len && ((unsigned char)t.p[t.len - 1] & 0xc0) == 0x80)
		t.len--;
	if (t.cut && t.len && (unsigned char)t.p[t.len - 1] >= 0x80)
		t.len--;
	t.max = 0;
	put(&t, "", 1);
	return t.p;
}

struct json_object *json_get_typed(struct json_object *o, const char *key, enum json_type type)
{
	struct json_object *value = NULL;

	if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, key, &value))
		return NULL;
	return json_object_is_type(value, type) ? value : NULL;
}

size_t json_length(struct json_object *list)
{
	return json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
}

const char *json_get_str(struct json_object *o, const char *key)
{
	struct json_object *value = json_get_typed(o, key, json_type_string);

	return value ? json_object_get_string(value) : NULL;
}

bool json_get_bool(struct json_object *o, const char *key, bool fallback)
{
	struct json_object *value = json_get_typed(o, key, json_type_boolean);

	return value ? json_object_get_boolean(value) : fallback;
}

int64_t json_get_int(struct json_object *o, const char *key, int64_t fallback)
{
	struct json_object *value = json_get_typed(o, key, json_type_int);

	/* json-c would clamp; it gives 0 for the unsigned value of a negative one */
	return value && json_object_get_uint64(value) <= INT64_MAX ? json_object_get_int64(value) : fallback;
}

double json_get_double(struct json_object *o, const char *key, double fallback)
{
	struct json_object *value = json_get_typed(o, key, json_type_double);

	if (!value)
		value = json_get_typed(o, key, json_type_int);
	return value ? json_object_get_double(value) : fallback;
}

void json_add_key(struct json_object *o, const char *key, struct json_object *value, bool lasting)
{
	/* fails only for want of memory, and for an object put into itself */
	if (json_object_object_add_ex(o, key, value, lasting ? JSON_C_OBJECT_ADD_CONSTANT_KEY : 0) < 0)
		abort();
}

void json_add_text(struct json_object *o, const char *key, const char *s, bool lasting)
{
	if (s)
		json_add_key(o, key, json_object_new_string(s), lasting);
}

void json_add_time(struct json_object *o, const char *key, double seconds)
{
	double micro = round(seconds * 1e6);
	char buf[40];
	int n;

	if (!isfinite(seconds))
		return;
	if (fabs(micro) >= 1e18) { /* no decimals are left at this size */
		json_add(o, key, json_object_new_double(seconds));
		return;
	}
	/* integers, for a locale may have another decimal point */
	n = snprintf(buf, sizeof(buf), "%s%" PRId64 ".%06" PRId64, micro < 0 ? "-" : "", (int64_t)fabs(micro) / 1000000,
		     (int64_t)fabs(micro) % 1000000);
	while (buf[n - 1] == '0' && buf[n - 2] != '.')
		buf[--n] = '\0';
	json_add(o, key, json_object_new_double_s(micro / 1e6, buf));
}
