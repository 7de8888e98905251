/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way out of rows, and the rules for single texts: printing a struct, describing a table,
 * finding and guessing names, sizes, names and UUIDs.
 */
#include "base/param.h"

#include <assert.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Longer names are nobody's misspelling. */
#define GUESS_NAME_MAX 64
#define GUESS_DISTANCE_MAX 2

struct kind {
	const char *wire;
	struct json_object *(*print)(const struct param *row, const void *field);
};

static const struct kind *kind_of(const struct param *row);

static const void *field_of(const struct param *row, const void *in)
{
	return (const char *)in + row->offset;
}

/* Printing, by type */

static struct json_object *print_bool(const struct param *row, const void *field)
{
	return json_object_new_boolean(*(const bool *)field);
}

static struct json_object *print_int(const struct param *row, const void *field)
{
	return json_object_new_int64(*(const int64_t *)field);
}

static struct json_object *print_size(const struct param *row, const void *field)
{
	uint64_t n = *(const uint64_t *)field;

	return n <= INT64_MAX ? json_object_new_int64((int64_t)n) : json_object_new_uint64(n);
}

/* The shortest text that reads back as the same value; an integer where it is one. */
static struct json_object *print_time(const struct param *row, const void *field)
{
	double d = *(const double *)field;
	char text[32] = "";

	if (d < 9007199254740992.0 && d == floor(d)) /* 2^53: all integers below are exact */
		return json_object_new_int64((int64_t)d);
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, d);
		if (strtod(text, NULL) == d)
			break;
	}
	if (strchr(text, ',')) /* the locale's */
		*strchr(text, ',') = '.';
	/* An integer too large for the above must not look like one: the reader bounds those. */
	if (!strpbrk(text, ".e"))
		strncat(text, ".0", sizeof(text) - strlen(text) - 1);
	return json_object_new_double_s(d, text);
}

static struct json_object *print_text(const struct param *row, const void *field)
{
	return json_object_new_string(*(char *const *)field);
}

static struct json_object *print_choice(const struct param *row, const void *field)
{
	return json_object_new_string(row->choices[*(const int *)field]);
}

/* A copy: who changes what was printed must not change the struct. */
static struct json_object *print_json(const struct param *row, const void *field)
{
	struct json_object *copy = NULL, *o = *(struct json_object *const *)field;

	if (o && json_object_deep_copy(o, &copy, NULL) < 0)
		abort();
	return copy;
}

static struct json_object *print_object(const struct param *row, const void *field)
{
	return row->rows ? param_print(row->rows, field) : print_json(row, field);
}

static struct json_object *print_list(const struct param *row, const void *field)
{
	const struct param *element = row->rows;
	const struct param_list *list = field;
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < list->n; i++) {
		const char *item = (const char *)list->items + i * row->size;

		json_object_array_add(array, kind_of(element)->print(element, field_of(element, item)));
	}
	return array;
}

static const struct kind *kind_of(const struct param *row)
{
	static const struct kind kinds[] = {
		[PARAM_BOOL] = { "bool", print_bool },       [PARAM_INT] = { "int", print_int },
		[PARAM_SIZE] = { "size", print_size },       [PARAM_TIME] = { "time", print_time },
		[PARAM_TEXT] = { "text", print_text },       [PARAM_NAME] = { "name", print_text },
		[PARAM_UUID] = { "uuid", print_text },       [PARAM_PATH] = { "path", print_text },
		[PARAM_CHOICE] = { "choice", print_choice }, [PARAM_ANY] = { "any", print_json },
		[PARAM_OBJECT] = { "object", print_object }, [PARAM_LIST] = { "list", print_list },
		[PARAM_MAP] = { "map", print_json },
	};
	static_assert(ARRAY_SIZE(kinds) == PARAM_MAP + 1, "one row per type");

	return &kinds[row->type];
}

/* Whether FIELD holds what no decoding of a given value leaves there. */
static bool is_absent(const struct param *row, const void *field)
{
	const struct param_list *list = field;

	switch (row->type) {
	case PARAM_BOOL:
		return false;
	case PARAM_INT:
		return *(const int64_t *)field == PARAM_INT_NONE;
	case PARAM_SIZE:
		return *(const uint64_t *)field == 0 && (row->min > 0 || (!row->required && !row->def));
	case PARAM_TIME:
		return isnan(*(const double *)field);
	case PARAM_CHOICE:
		return *(const int *)field == PARAM_CHOICE_NONE;
	case PARAM_TEXT:
	case PARAM_NAME:
	case PARAM_UUID:
	case PARAM_PATH:
		return !*(char *const *)field;
	case PARAM_ANY:
		/* Here null is a value, and the same as absent where there is no default. */
		return !*(struct json_object *const *)field && !row->required && !row->def;
	case PARAM_MAP:
		return !*(struct json_object *const *)field;
	case PARAM_LIST:
		return list->n == 0 && (row->min > 0 || (!row->required && !row->def));
	case PARAM_OBJECT:
		if (!row->rows)
			return !*(struct json_object *const *)field;
		for (const struct param *member = row->rows; member->name; member++)
			if (member->required && is_absent(member, field_of(member, field)))
				return true;
		return false;
	}
	return false;
}

struct json_object *param_print(const struct param *rows, const void *in)
{
	struct json_object *o = json_object_new_object();

	for (const struct param *row = rows; row->name; row++) {
		const void *field = field_of(row, in);
		struct json_object *v;

		if (is_absent(row, field))
			continue;
		v = kind_of(row)->print(row, field);
		if (row->type == PARAM_OBJECT && row->rows && !row->required && json_object_object_length(v) == 0)
			json_object_put(v);
		else
			json_object_object_add(o, row->name, v);
	}
	return o;
}

/* Describing */

static bool has_min(const struct param *row)
{
	return row->type == PARAM_INT ? row->min != 0 || row->max > 0 : row->min > 0;
}

static bool has_max(const struct param *row)
{
	return row->type == PARAM_INT ? has_min(row) && row->max >= row->min && row->max != INT64_MAX : row->max > 0;
}

static struct json_object *describe_choices(const struct param *row)
{
	struct json_object *list = json_object_new_array();
	bool words = row->type == PARAM_CHOICE || row->type == PARAM_TEXT;

	for (const char *const *choice = row->choices; *choice; choice++)
		json_object_array_add(list, words ? json_object_new_string(*choice) : json_tokener_parse(*choice));
	return list;
}

static struct json_object *describe_row(const struct param *row)
{
	static const char *const changes[] = {
		[CHANGE_NONE] = NULL,
		[CHANGE_LIVE] = "live",
		[CHANGE_RESTART] = "restart",
		[CHANGE_NEVER] = "never",
	};
	const struct param *element = row->type == PARAM_LIST ? row->rows : NULL;
	const struct param *value = element ? element : row;
	struct json_object *o = json_object_new_object();

	json_add_str(o, "name", row->name);
	json_add_str(o, "type", kind_of(row)->wire);
	if (element)
		json_add_str(o, "items", kind_of(element)->wire);
	json_add_bool(o, "required", row->required);
	if (has_min(row))
		json_add_int(o, "min", row->min);
	if (has_max(row))
		json_add_int(o, "max", row->max);
	if (row->def)
		json_add(o, "default", json_tokener_parse(row->def));
	if (value->choices)
		json_add(o, "choices", describe_choices(value));
	json_add_str(o, "change", changes[row->change]);
	json_add_str(o, "since", row->since);
	json_add_str(o, "unit", row->unit);
	json_add_str(o, "doc", row->doc);
	if (value->type == PARAM_OBJECT && value->rows)
		json_add(o, "members", param_describe(value->rows));
	return o;
}

struct json_object *param_describe(const struct param *rows)
{
	struct json_object *list = json_object_new_array();

	for (const struct param *row = rows; row->name; row++)
		json_object_array_add(list, describe_row(row));
	return list;
}

/* Names of members */

const struct param *param_find(const struct param *rows, const char *name)
{
	for (const struct param *row = rows; row->name; row++)
		if (str_eq(row->name, name))
			return row;
	return NULL;
}

static int fold(char c)
{
	return c == '_' ? '-' : tolower((unsigned char)c);
}

/* Insertions, deletions and replacements that make B of A, neither longer than GUESS_NAME_MAX. */
static size_t distance(const char *a, const char *b)
{
	size_t len = strlen(b), row[GUESS_NAME_MAX + 1];

	for (size_t j = 0; j <= len; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < len; j++) {
			size_t best = diagonal + (fold(a[i]) != fold(b[j]));

			diagonal = row[j + 1];
			if (diagonal + 1 < best)
				best = diagonal + 1;
			if (row[j] + 1 < best)
				best = row[j] + 1;
			row[j + 1] = best;
		}
	}
	return row[len];
}

const char *param_guess(const struct param *rows, const char *name)
{
	size_t len = strnlen(name, GUESS_NAME_MAX + 1), best = GUESS_DISTANCE_MAX + 1;
	const char *guess = NULL;

	if (len > GUESS_NAME_MAX) /* nor are they worth the work */
		return NULL;
	for (const struct param *row = rows; row->name; row++) {
		size_t d;

		if (strlen(row->name) > GUESS_NAME_MAX)
			continue;
		d = distance(name, row->name);
		/* A name of which nothing is left was not misspelt. */
		if (d < best && d < len && d < strlen(row->name)) {
			best = d;
			guess = row->name;
		}
	}
	return guess;
}

/* Lent rows that are nothing but names. */
const char *param_guess_among(const char *const *names, size_t n, const char *name)
{
	_cleanup_free_ struct param *rows = xcalloc(n + 1, sizeof(*rows));

	for (size_t i = 0; i < n; i++)
		rows[i].name = names[i];
	return param_guess(rows, name);
}

/* Single texts */

/* Reads digits up to the first other byte. False when they do not fit. */
static bool read_digits(const char **p, const char *end, uint64_t *ret)
{
	uint64_t n = 0;

	for (; *p < end && isdigit((unsigned char)**p); (*p)++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(**p - '0'), &n))
			return false;
	*ret = n;
	return true;
}

/* The decimals from P to END, times 2^SHIFT; false when that is no whole number. */
static bool read_fraction(const char *p, const char *end, unsigned shift, uint64_t *ret)
{
	unsigned digits;
	uint64_t f;

	while (end > p && end[-1] == '0')
		end--;
	digits = (unsigned)(end - p);
	/* f / 10^digits * 2^shift is whole when 5^digits divides f and what is left of f has enough
	 * twos. Decimals that do not fit in 64 bits are no size anybody means. */
	if (!read_digits(&p, end, &f))
		return false;
	for (unsigned i = 0; i < digits; i++) {
		if (f % 5)
			return false;
		f /= 5;
	}
	for (; digits > shift; digits--) {
		if (f % 2)
			return false;
		f /= 2;
	}
	*ret = f << (shift - digits);
	return true;
}

bool param_parse_size(const char *text, uint64_t *ret)
{
	static const char suffixes[] = "KMGTP";
	const char *p = text, *suffix, *fraction, *fraction_end;
	uint64_t whole, part;
	unsigned shift = 0;

	if (!isdigit((unsigned char)*p) || !read_digits(&p, p + strlen(p), &whole))
		return false;
	fraction = fraction_end = p;
	if (*p == '.') {
		fraction = ++p;
		while (isdigit((unsigned char)*p))
			p++;
		fraction_end = p;
		if (fraction == fraction_end)
			return false;
	}
	if (*p && (suffix = strchr(suffixes, toupper((unsigned char)*p)))) {
		shift = 10 * (unsigned)(suffix - suffixes + 1);
		p++;
	}
	if (*p && strcasecmp(p, "B") != 0 && (shift == 0 || strcasecmp(p, "iB") != 0))
		return false;
	if (whole > UINT64_MAX >> shift || !read_fraction(fraction, fraction_end, shift, &part))
		return false;
	/* No overflow: whole has SHIFT low bits free, and a fraction is less than one. */
	*ret = (whole << shift) + part;
	return true;
}

/* Without the locale: [a-zA-Z0-9]. */
static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool param_is_name(const char *text)
{
	size_t len = strnlen(text, 64);

	if (!is_alnum(text[0]) || len > 63 || param_is_uuid(text))
		return false;
	for (size_t i = 1; i < len; i++)
		if (!is_alnum(text[i]) && text[i] != '.' && text[i] != '_' && text[i] != '-')
			return false;
	return true;
}

bool param_is_uuid(const char *text)
{
	static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	size_t i;

	for (i = 0; shape[i] && text[i]; i++)
		if (shape[i] == 'x' ? !isxdigit((unsigned char)text[i]) : text[i] != '-')
			return false;
	return !shape[i] && !text[i];
}
