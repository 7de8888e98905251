/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decoding by rows: one table of types, one function per type.
 *
 * A place in the input is a chain of `struct place` on the stack, made into text only when an error
 * needs its path. Decoding stores each value into the caller's struct the moment it is whole, so
 * that one param_clear() of the outermost struct frees everything after a failure at any depth.
 */
#include "base/param.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#define TEXT_MAX 4096
#define PATH_BYTES_MAX 4095
#define LIST_MAX 256
#define MAP_MAX 256
#define MAP_KEY_MAX 255
#define MAP_VALUE_MAX 4096
/* No more of a name that a stranger made up goes into an error. */
#define NAME_SHOWN_MAX 128

struct place {
	const struct place *up; /* NULL: the outermost, whose text is the prefix */
	const char *name;       /* NULL: an element */
	size_t index;
};

struct type_info {
	const char *expected; /* "must be ..." */
	size_t size;
	bool (*decode)(const struct param *row, struct json_object *v, const struct place *at, void *field,
		       struct err **e);
};

static const struct type_info *type_info(enum param_type type);
static bool decode_value(const struct param *row, struct json_object *v, const struct place *at, void *field,
			 struct err **e);
static bool decode_rows(const struct param *rows, struct json_object *o, const struct place *at, void *out, bool given,
			struct err **e);

static void *field_of(const struct param *row, void *out)
{
	return (char *)out + row->offset;
}

static bool is_embedded(const struct param *row)
{
	return row->type == PARAM_OBJECT && row->rows;
}

/* Errors */

static char *place_text(const struct place *at)
{
	_cleanup_free_ char *up = NULL;

	if (!at->up)
		return xstrdup(at->name);
	up = place_text(at->up);
	if (!at->name)
		return xasprintf("%s[%zu]", up, at->index);
	return xasprintf("%s%s%s", up, at->up->up ? "." : "", at->name);
}

static bool _printf_(3, 4) fail(struct err **e, const struct place *at, const char *fmt, ...)
{
	_cleanup_free_ char *path = NULL, *text = NULL;
	va_list ap;

	if (!e)
		return false;
	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	path = place_text(at);
	return err_set_param(e, path, "%s", text);
}

static const char *given_text(struct json_object *v)
{
	static const char *const names[] = {
		[json_type_null] = "null",
		[json_type_boolean] = "a boolean",
		[json_type_double] = "a fractional number",
		[json_type_int] = "a number",
		[json_type_object] = "an object",
		[json_type_array] = "a list",
		[json_type_string] = "text",
	};

	return names[json_object_get_type(v)];
}

static char *choices_text(const struct param *row)
{
	char *text = xstrdup("one of ");

	for (size_t i = 0; row->choices[i]; i++) {
		_cleanup_free_ char *old = text;

		text = xasprintf("%s%s%s", old, i ? ", " : "", *row->choices[i] ? row->choices[i] : "''");
	}
	return text;
}

static bool fail_choice(struct err **e, const struct place *at, const struct param *row, const char *given)
{
	_cleanup_free_ char *choices = choices_text(row);
	const char *meant;
	size_t n = 0;

	while (row->choices[n])
		n++;
	meant = param_guess_among(row->choices, n, given);
	return meant ? fail(e, at, "must be %s; did you mean '%s'?", choices, meant) :
		       fail(e, at, "must be %s", choices);
}

/* Where there are any. */
static bool is_choice(const struct param *row, struct json_object *v)
{
	for (size_t i = 0; row->choices && row->choices[i]; i++)
		if (str_eq(row->choices[i], json_object_get_string(v)))
			return true;
	return !row->choices;
}

static bool fail_type(struct err **e, const struct place *at, const struct param *row, struct json_object *v)
{
	_cleanup_free_ char *choices = row->type == PARAM_CHOICE ? choices_text(row) : NULL;

	return fail(e, at, "must be %s, not %s", choices ? choices : type_info(row->type)->expected, given_text(v));
}

static bool fail_range(struct err **e, const struct place *at, int64_t min, int64_t max, const char *unit)
{
	if (max == INT64_MAX)
		return fail(e, at, "must be at least %" PRId64 "%s", min, unit);
	if (min <= -INT64_MAX)
		return fail(e, at, "must be at most %" PRId64 "%s", max, unit);
	if (min == max)
		return fail(e, at, "must be %" PRId64 "%s", min, unit);
	return fail(e, at, "must be %" PRId64 " to %" PRId64 "%s", min, max, unit);
}

/* Decoding, by type. A decoder stores into FIELD, which is zero, or fails and leaves it so. */

static bool decode_bool(const struct param *row, struct json_object *v, const struct place *at, void *field,
			struct err **e)
{
	if (!json_object_is_type(v, json_type_boolean))
		return fail_type(e, at, row, v);
	*(bool *)field = json_object_get_boolean(v);
	return true;
}

static bool decode_int(const struct param *row, struct json_object *v, const struct place *at, void *field,
		       struct err **e)
{
	/* INT64_MIN says "absent", so it is nobody's value. */
	int64_t min = -INT64_MAX, max = INT64_MAX, n;

	if (!json_object_is_type(v, json_type_int))
		return fail_type(e, at, row, v);
	if (!is_choice(row, v))
		return fail_choice(e, at, row, json_object_get_string(v));
	if (row->min != 0 || row->max > 0) {
		min = row->min > min ? row->min : min;
		max = row->max >= row->min ? row->max : max;
	}
	n = json_object_get_int64(v);
	/* json-c holds integers beyond int64_t as uint64_t and clamps them here. */
	if (n < min || n > max || (n == INT64_MAX && json_object_get_uint64(v) > INT64_MAX))
		return max == INT64_MAX && min <= -INT64_MAX ? fail(e, at, "does not fit in 64 bits") :
							       fail_range(e, at, min, max, "");
	*(int64_t *)field = n;
	return true;
}

static bool decode_size(const struct param *row, struct json_object *v, const struct place *at, void *field,
			struct err **e)
{
	int64_t min = row->min > 0 ? row->min : 0, max = row->max > 0 ? row->max : INT64_MAX;
	bool negative = false;
	uint64_t n = 0;

	if (json_object_is_type(v, json_type_int)) {
		negative = json_object_get_int64(v) < 0;
		n = json_object_get_uint64(v);
	} else if (!json_object_is_type(v, json_type_string)) {
		return fail_type(e, at, row, v);
	} else if (!param_parse_size(json_object_get_string(v), &n)) {
		return fail(e, at, "must be a size in whole bytes, such as 512M or 1.5G");
	}
	if (negative || n < (uint64_t)min || (row->max > 0 && n > (uint64_t)max))
		return fail_range(e, at, min, max, " bytes");
	*(uint64_t *)field = n;
	return true;
}

static bool decode_time(const struct param *row, struct json_object *v, const struct place *at, void *field,
			struct err **e)
{
	int64_t min = row->min > 0 ? row->min : 0, max = row->max > 0 ? row->max : INT64_MAX;
	double d;

	if (!json_object_is_type(v, json_type_int) && !json_object_is_type(v, json_type_double))
		return fail_type(e, at, row, v);
	d = json_object_get_double(v);
	if (!isfinite(d))
		return fail(e, at, "must be finite");
	if (d < (double)min || (row->max > 0 && d > (double)max))
		return fail_range(e, at, min, max, "");
	*(double *)field = d == 0 ? 0 : d; /* no negative zero */
	return true;
}

/* The string of V when it is one of MIN to MAX bytes. */
static const char *text_of(const struct param *row, struct json_object *v, size_t min, size_t max,
			   const struct place *at, struct err **e)
{
	const char *s;
	size_t len;

	if (!json_object_is_type(v, json_type_string)) {
		fail_type(e, at, row, v);
		return NULL;
	}
	s = json_object_get_string(v);
	len = (size_t)json_object_get_string_len(v);
	if (memchr(s, '\0', len)) {
		fail(e, at, "must not contain NUL");
		return NULL;
	}
	if (len < min || len > max) {
		if (min == 1 && len == 0)
			fail(e, at, "must not be empty");
		else if (min == max)
			fail(e, at, "must be %zu bytes long", min);
		else if (min > 0)
			fail(e, at, "must be %zu to %zu bytes long", min, max);
		else
			fail(e, at, "must be at most %zu bytes long", max);
		return NULL;
	}
	return s;
}

static bool decode_text(const struct param *row, struct json_object *v, const struct place *at, void *field,
			struct err **e)
{
	const char *s = text_of(row, v, row->min > 0 ? (size_t)row->min : 0, row->max > 0 ? (size_t)row->max : TEXT_MAX,
				at, e);

	if (s && !is_choice(row, v))
		return fail_choice(e, at, row, json_object_get_string(v));
	*(char **)field = xstrdup(s);
	return s;
}

static bool decode_name(const struct param *row, struct json_object *v, const struct place *at, void *field,
			struct err **e)
{
	const char *s = text_of(row, v, 0, SIZE_MAX, at, e);

	if (!s)
		return false;
	if (param_is_uuid(s))
		return fail(e, at, "must be a name, not a UUID");
	if (!param_is_name(s))
		return fail(e, at, "must be a name: a letter or digit, then at most 62 letters, digits, '.', '_', '-'");
	*(char **)field = xstrdup(s);
	return true;
}

static bool decode_uuid(const struct param *row, struct json_object *v, const struct place *at, void *field,
			struct err **e)
{
	const char *s = text_of(row, v, 0, SIZE_MAX, at, e);
	char *copy;

	if (!s)
		return false;
	if (!param_is_uuid(s))
		return fail(e, at, "must be a UUID");
	copy = xstrdup(s);
	for (char *c = copy; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	*(char **)field = copy;
	return true;
}

static bool decode_path(const struct param *row, struct json_object *v, const struct place *at, void *field,
			struct err **e)
{
	const char *s = text_of(row, v, 0, PATH_BYTES_MAX, at, e);

	if (!s)
		return false;
	if (*s && *s != '/')
		return fail(e, at, "must be an absolute path");
	*(char **)field = xstrdup(s);
	return true;
}

static bool decode_choice(const struct param *row, struct json_object *v, const struct place *at, void *field,
			  struct err **e)
{
	const char *s = text_of(row, v, 0, SIZE_MAX, at, e);

	if (!s)
		return false;
	for (int i = 0; row->choices[i]; i++) {
		if (str_eq(row->choices[i], s)) {
			*(int *)field = i;
			return true;
		}
	}
	return fail_choice(e, at, row, s);
}

static bool decode_any(const struct param *row, struct json_object *v, const struct place *at, void *field,
		       struct err **e)
{
	*(struct json_object **)field = json_object_get(v);
	return true;
}

static bool decode_object(const struct param *row, struct json_object *v, const struct place *at, void *field,
			  struct err **e)
{
	if (!json_object_is_type(v, json_type_object))
		return fail_type(e, at, row, v);
	if (row->rows)
		return decode_rows(row->rows, v, at, field, true, e);
	*(struct json_object **)field = json_object_get(v);
	return true;
}

static bool decode_list(const struct param *row, struct json_object *v, const struct place *at, void *field,
			struct err **e)
{
	struct param_list *list = field;
	size_t min = row->min > 0 ? (size_t)row->min : 0, max = row->max > 0 ? (size_t)row->max : LIST_MAX, n;

	if (!json_object_is_type(v, json_type_array))
		return fail_type(e, at, row, v);
	n = json_object_array_length(v);
	if (n < min || n > max) {
		if (min > 0)
			return fail(e, at, "must have %zu to %zu elements", min, max);
		return fail(e, at, "must have at most %zu elements", max);
	}
	if (n == 0)
		return true;
	assert(row->size >= row->rows->offset + type_info(row->rows->type)->size);
	list->items = xcalloc(n, row->size);
	for (size_t i = 0; i < n; i++) {
		struct place element = { .up = at, .index = i };
		char *item = (char *)list->items + i * row->size;

		list->n = i + 1; /* from here on the caller's param_clear() sees the element */
		if (!decode_value(row->rows, json_object_array_get_idx(v, i), &element, field_of(row->rows, item), e))
			return false;
	}
	return true;
}

static bool decode_map(const struct param *row, struct json_object *v, const struct place *at, void *field,
		       struct err **e)
{
	static const struct param value = { .type = PARAM_TEXT };

	if (!json_object_is_type(v, json_type_object))
		return fail_type(e, at, row, v);
	if (json_object_object_length(v) > MAP_MAX)
		return fail(e, at, "must have at most %d members", MAP_MAX);
	json_object_object_foreach(v, key, member) {
		struct place place = { .up = at, .name = key };
		size_t len = strlen(key);

		if (len < 1 || len > MAP_KEY_MAX)
			return fail(e, at, "must have keys of 1 to %d bytes", MAP_KEY_MAX);
		if (!text_of(&value, member, 0, MAP_VALUE_MAX, &place, e))
			return false;
	}
	*(struct json_object **)field = json_object_get(v);
	return true;
}

static const struct type_info *type_info(enum param_type type)
{
	static const struct type_info types[] = {
		[PARAM_BOOL] = { "true or false", sizeof(bool), decode_bool },
		[PARAM_INT] = { "an integer", sizeof(int64_t), decode_int },
		[PARAM_SIZE] = { "a size (an integer, or text such as 512M)", sizeof(uint64_t), decode_size },
		[PARAM_TIME] = { "a number of seconds", sizeof(double), decode_time },
		[PARAM_TEXT] = { "text", sizeof(char *), decode_text },
		[PARAM_NAME] = { "text", sizeof(char *), decode_name },
		[PARAM_UUID] = { "text", sizeof(char *), decode_uuid },
		[PARAM_PATH] = { "text", sizeof(char *), decode_path },
		[PARAM_CHOICE] = { "text", sizeof(int), decode_choice },
		[PARAM_ANY] = { "a value", sizeof(struct json_object *), decode_any },
		[PARAM_OBJECT] = { "an object", sizeof(struct json_object *), decode_object },
		[PARAM_LIST] = { "a list", sizeof(struct param_list), decode_list },
		[PARAM_MAP] = { "an object", sizeof(struct json_object *), decode_map },
	};
	static_assert(ARRAY_SIZE(types) == PARAM_MAP + 1, "one row per type");

	return &types[type];
}

/* Rows */

/* Bytes from the start of a struct to the end of its last member that has a row. */
static size_t rows_extent(const struct param *rows)
{
	size_t extent = 0;

	for (const struct param *row = rows; row->name; row++) {
		size_t size = is_embedded(row) ? rows_extent(row->rows) : type_info(row->type)->size;

		if (row->offset + size > extent)
			extent = row->offset + size;
	}
	return extent;
}

static void zero_value(const struct param *row, void *field)
{
	if (!is_embedded(row)) {
		memset(field, 0, type_info(row->type)->size);
		return;
	}
	for (const struct param *member = row->rows; member->name; member++)
		zero_value(member, field_of(member, field));
}

static void clear_value(const struct param *row, void *field)
{
	struct param_list *list = field;

	switch (row->type) {
	case PARAM_BOOL:
	case PARAM_INT:
	case PARAM_SIZE:
	case PARAM_TIME:
	case PARAM_CHOICE:
		break;
	case PARAM_TEXT:
	case PARAM_NAME:
	case PARAM_UUID:
	case PARAM_PATH:
		free(*(char **)field);
		break;
	case PARAM_ANY:
	case PARAM_MAP:
		json_object_put(*(struct json_object **)field);
		break;
	case PARAM_OBJECT:
		if (row->rows)
			param_clear(row->rows, field);
		else
			json_object_put(*(struct json_object **)field);
		break;
	case PARAM_LIST:
		for (size_t i = 0; i < list->n; i++)
			clear_value(row->rows, field_of(row->rows, (char *)list->items + i * row->size));
		free(list->items);
		break;
	}
	zero_value(row, field);
}

static bool decode_value(const struct param *row, struct json_object *v, const struct place *at, void *field,
			 struct err **e)
{
	return type_info(row->type)->decode(row, v, at, field, e);
}

/* A parser for each of the many defaults of a definition would be most of the time that decoding one takes: json-c sets up
 * a locale per value. What they are, nearly all, needs none. */
struct json_object *param_default(const struct param *row)
{
	const char *text = row->def;
	size_t n = text ? strlen(text) : 0;
	char *end;
	int64_t number;

	if (!text)
		return NULL;
	if (str_eq(text, "true") || str_eq(text, "false"))
		return json_object_new_boolean(text[0] == 't');
	if (text[0] == '"' && strcspn(text + 1, "\"\\") == n - 2)
		return json_object_new_string_len(text + 1, (int)n - 2);
	number = strtoll(text, &end, 10);
	if (!*end)
		return json_object_new_int64(number);
	return json_tokener_parse(text);
}

static bool decode_absent(const struct param *row, const struct place *at, void *field, struct err **e)
{
	_cleanup_json_ struct json_object *def = param_default(row);

	if (row->def) {
		bool ok = decode_value(row, def, at, field, e);

		assert(ok && "the default of a row is no value of its type");
		return ok;
	}
	if (row->type == PARAM_INT)
		*(int64_t *)field = PARAM_INT_NONE;
	else if (row->type == PARAM_TIME)
		*(double *)field = NAN;
	else if (row->type == PARAM_CHOICE)
		*(int *)field = PARAM_CHOICE_NONE;
	else if (is_embedded(row))
		return decode_rows(row->rows, NULL, at, field, false, e);
	return true;
}

static bool fail_unknown(const struct param *rows, const char *name, const struct place *at, struct err **e)
{
	const char *guess = param_guess(rows, name);
	_cleanup_free_ char *shown = NULL;
	struct place place = { .up = at };
	size_t len = strnlen(name, NAME_SHOWN_MAX);

	while (len > 0 && ((unsigned char)name[len] & 0xc0) == 0x80) /* not within a character */
		len--;
	shown = xstrndup(name, len);
	place.name = shown;
	if (guess)
		return fail(e, &place, "unknown; did you mean '%s'?", guess);
	return fail(e, &place, "unknown");
}

/* GIVEN false: nobody gave the object, which is embedded and optional; so its members are not required. */
static bool decode_rows(const struct param *rows, struct json_object *o, const struct place *at, void *out, bool given,
			struct err **e)
{
	/* First, for a misspelt name explains a missing one. */
	if (o) {
		json_object_object_foreach(o, key, value) {
			(void)value;
			if (!param_find(rows, key))
				return fail_unknown(rows, key, at, e);
		}
	}
	for (const struct param *row = rows; row->name; row++) {
		struct place place = { .up = at, .name = row->name };
		void *field = field_of(row, out);
		struct json_object *v = NULL;

		if (o && json_object_object_get_ex(o, row->name, &v)) {
			if (!decode_value(row, v, &place, field, e))
				return false;
			continue;
		}
		if (row->required && given)
			return fail(e, &place, "required");
		if (!decode_absent(row, &place, field, e))
			return false;
	}
	return true;
}

bool param_decode(const struct param *rows, struct json_object *o, const char *prefix, void *out, struct err **e)
{
	struct place at = { .name = prefix ? prefix : "" };

	for (const struct param *row = rows; row->name; row++)
		zero_value(row, field_of(row, out));
	if (o && !json_object_is_type(o, json_type_object)) {
		_cleanup_free_ char *path = xstrdup(at.name);
		size_t len = strlen(path);

		if (len == 0)
			return err_set(e, ERR_INVALID_PARAMETER, "must be an object, not %s", given_text(o));
		if (path[len - 1] == '.')
			path[len - 1] = '\0';
		return err_set_param(e, path, "must be an object, not %s", given_text(o));
	}
	if (decode_rows(rows, o, &at, out, true, e))
		return true;
	param_clear(rows, out);
	return false;
}

void param_clear(const struct param *rows, void *out)
{
	for (const struct param *row = rows; row->name; row++)
		clear_value(row, field_of(row, out));
}

bool param_check(const struct param *rows, struct json_object *o, const char *prefix, struct err **e)
{
	_cleanup_free_ void *scratch = xcalloc(1, rows_extent(rows));
	bool ok = param_decode(rows, o, prefix, scratch, e);

	if (ok)
		param_clear(rows, scratch);
	return ok;
}
