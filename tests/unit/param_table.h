/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of base/param.h share: one table with a member of every type, JSON that can be read
 * in C source, and made-up values of a table.
 */
#ifndef DROVER_TESTS_PARAM_TABLE_H
#define DROVER_TESTS_PARAM_TABLE_H

#include "base/param.h"

#include <check.h>

/* The tables */

struct limits {
	uint64_t rate;
	char *group;
	double length;
	struct {
		int64_t depth;
		bool strict;
	} more;
};

static const struct param more_rows[] = {
	{ .name = "depth", .type = PARAM_INT, .def = "3", PARAM_AT(__typeof__(((struct limits *)NULL)->more), depth) },
	{ .name = "strict", .type = PARAM_BOOL, PARAM_AT(__typeof__(((struct limits *)NULL)->more), strict) },
	PARAM_END
};

static const struct param limits_rows[] = {
	{ .name = "rate", .type = PARAM_SIZE, .min = 512, PARAM_AT(struct limits, rate) },
	{ .name = "group", .type = PARAM_TEXT, .required = true, .min = 1, PARAM_AT(struct limits, group) },
	{ .name = "length", .type = PARAM_TIME, PARAM_AT(struct limits, length) },
	{ .name = "more", .type = PARAM_OBJECT, .rows = more_rows, PARAM_AT(struct limits, more) },
	PARAM_END
};

struct disk {
	char *name;
	int cache;
	struct limits throttle;
	struct param_list backing;
};

static const char *const caches[] = { "default", "none", "writeback", NULL };

static const struct param backing_row = { .type = PARAM_PATH };

static const struct param disk_rows[] = {
	{ .name = "name", .type = PARAM_NAME, .required = true, PARAM_AT(struct disk, name) },
	{ .name = "cache", .type = PARAM_CHOICE, .choices = caches, PARAM_AT(struct disk, cache) },
	{ .name = "throttle", .type = PARAM_OBJECT, .rows = limits_rows, PARAM_AT(struct disk, throttle) },
	{ .name = "backing",
	  .type = PARAM_LIST,
	  .rows = &backing_row,
	  .size = sizeof(char *),
	  .max = 4,
	  PARAM_AT(struct disk, backing) },
	PARAM_END
};

struct all {
	int before;
	bool on;
	bool off;
	int64_t vcpus;
	int64_t any_int;
	int64_t low;
	int64_t least;
	uint64_t memory;
	uint64_t free_size;
	double delay;
	double window;
	char *text;
	char *machine;
	char *name;
	char *uuid;
	char *path;
	int cache;
	int model;
	struct json_object *any;
	struct json_object *object;
	struct json_object *metadata;
	struct limits throttle;
	struct param_list disks;
	struct param_list numbers;
	struct param_list choices;
	struct param_list names;
	struct param_list matrix;
	struct param_list anything;
	struct param_list preset;
	int after;
};

static const struct param disk_element = { .type = PARAM_OBJECT, .rows = disk_rows };
static const struct param number_element = { .type = PARAM_INT, .min = 1, .max = 9 };
static const struct param choice_element = { .type = PARAM_CHOICE, .choices = caches };
static const struct param name_element = { .type = PARAM_NAME };
static const struct param matrix_element = { .type = PARAM_LIST, .rows = &number_element, .size = sizeof(int64_t) };
static const struct param any_element = { .type = PARAM_ANY };

static const struct param rows[] = {
	{ .name = "on", .type = PARAM_BOOL, .def = "true", PARAM_AT(struct all, on), .doc = "On by default." },
	{ .name = "off", .type = PARAM_BOOL, PARAM_AT(struct all, off) },
	{ .name = "vcpus",
	  .type = PARAM_INT,
	  .required = true,
	  .min = 1,
	  .max = 512,
	  PARAM_AT(struct all, vcpus),
	  .change = CHANGE_LIVE,
	  .since = "0.1",
	  .unit = "vCPUs",
	  .doc = "How many." },
	{ .name = "any-int", .type = PARAM_INT, PARAM_AT(struct all, any_int) },
	{ .name = "low", .type = PARAM_INT, .min = -5, .max = 0, .def = "-1", PARAM_AT(struct all, low) },
	{ .name = "least", .type = PARAM_INT, .min = 3, PARAM_AT(struct all, least) },
	{ .name = "memory",
	  .type = PARAM_SIZE,
	  .min = 4096,
	  .max = 1 << 30,
	  .def = "\"512M\"",
	  PARAM_AT(struct all, memory),
	  .change = CHANGE_RESTART },
	{ .name = "free-size", .type = PARAM_SIZE, PARAM_AT(struct all, free_size) },
	{ .name = "delay", .type = PARAM_TIME, .def = "0.5", PARAM_AT(struct all, delay), .unit = "s" },
	{ .name = "window", .type = PARAM_TIME, .min = 1, .max = 60, PARAM_AT(struct all, window) },
	{ .name = "text", .type = PARAM_TEXT, .min = 2, .max = 8, PARAM_AT(struct all, text) },
	{ .name = "machine", .type = PARAM_TEXT, .def = "\"pc\"", PARAM_AT(struct all, machine) },
	{ .name = "name", .type = PARAM_NAME, PARAM_AT(struct all, name), .change = CHANGE_NEVER },
	{ .name = "uuid", .type = PARAM_UUID, PARAM_AT(struct all, uuid) },
	{ .name = "path", .type = PARAM_PATH, PARAM_AT(struct all, path) },
	{ .name = "disk_cache",
	  .type = PARAM_CHOICE,
	  .choices = caches,
	  .def = "\"none\"",
	  PARAM_AT(struct all, cache) },
	{ .name = "model", .type = PARAM_CHOICE, .choices = caches, PARAM_AT(struct all, model) },
	{ .name = "any", .type = PARAM_ANY, PARAM_AT(struct all, any) },
	{ .name = "object", .type = PARAM_OBJECT, PARAM_AT(struct all, object) },
	{ .name = "metadata", .type = PARAM_MAP, PARAM_AT(struct all, metadata) },
	{ .name = "throttle", .type = PARAM_OBJECT, .rows = limits_rows, PARAM_AT(struct all, throttle) },
	{ .name = "disks",
	  .type = PARAM_LIST,
	  .rows = &disk_element,
	  .size = sizeof(struct disk),
	  PARAM_AT(struct all, disks) },
	{ .name = "numbers",
	  .type = PARAM_LIST,
	  .rows = &number_element,
	  .size = sizeof(int64_t),
	  .min = 1,
	  .max = 3,
	  PARAM_AT(struct all, numbers) },
	{ .name = "choices",
	  .type = PARAM_LIST,
	  .rows = &choice_element,
	  .size = sizeof(int),
	  PARAM_AT(struct all, choices) },
	{ .name = "names",
	  .type = PARAM_LIST,
	  .rows = &name_element,
	  .size = sizeof(char *),
	  PARAM_AT(struct all, names) },
	{ .name = "matrix",
	  .type = PARAM_LIST,
	  .rows = &matrix_element,
	  .size = sizeof(struct param_list),
	  PARAM_AT(struct all, matrix) },
	{ .name = "anything",
	  .type = PARAM_LIST,
	  .rows = &any_element,
	  .size = sizeof(struct json_object *),
	  PARAM_AT(struct all, anything) },
	{ .name = "preset",
	  .type = PARAM_LIST,
	  .rows = &number_element,
	  .size = sizeof(int64_t),
	  .def = "[7, 8]",
	  PARAM_AT(struct all, preset) },
	PARAM_END
};

#define UUID "932DF160-7a22-4067-a566-7e0ca8386133"

/* TEXT with ' for ", so that cases can be read. */
static struct json_object *json(const char *text)
{
	_cleanup_free_ char *copy = xstrdup(text);
	enum json_tokener_error bad = json_tokener_success;
	struct json_object *o;

	for (char *c = copy; *c; c++)
		if (*c == '\'')
			*c = '"';
	o = json_tokener_parse_verbose(copy, &bad);
	ck_assert_msg(bad == json_tokener_success, "test input: %s", text);
	return o;
}

/* Values of a table, the same for the same random_state. */

static uint32_t random_state;

static inline uint32_t pick(uint32_t n)
{
	random_state = random_state * 1664525 + 1013904223;
	return (random_state >> 8) % n;
}

static struct json_object *make_rows(const struct param *table);

static struct json_object *make_value(const struct param *row)
{
	static const char *const names[] = { "a", "web1", "0.9_-", "Z" };
	static const char *const paths[] = { "", "/", "/dev/sda", "/a b/\xc3\xa9\"\\" };
	static const char *const texts[] = { "ab", "\"\\\n\t", "\xf0\x9f\x92\xbe", "12345678" };
	static const char *const anys[] = { "null", "1", "1.5", "-3", "'x'", "[]", "{}", "[{'a': [null, 1e100]}]" };
	static const char *const sizes[] = { "'4k'", "65536", "'1.5M'", "'1GiB'", "4096" };
	static const char *const uuids[] = { UUID, "00000000-0000-0000-0000-000000000000" };
	static const double times[] = { 1, 1.5, 1.1, 59.999999999, 1.0 + 1.0 / 3, 1.0000000000000002 };
	struct json_object *v;
	int n = 0;

	switch (row->type) {
	case PARAM_BOOL:
		return json_object_new_boolean(pick(2));
	case PARAM_INT:
		if (row->max > row->min)
			return json_object_new_int64(row->min + pick((uint32_t)(row->max - row->min + 1)));
		return json_object_new_int64(row->min + pick(1 << 20));
	case PARAM_SIZE:
		return json(sizes[pick(ARRAY_SIZE(sizes))]);
	case PARAM_TIME:
		return json_object_new_double(times[pick(ARRAY_SIZE(times))]);
	case PARAM_TEXT:
		return json_object_new_string(texts[pick(ARRAY_SIZE(texts))]);
	case PARAM_NAME:
		return json_object_new_string(names[pick(ARRAY_SIZE(names))]);
	case PARAM_UUID:
		return json_object_new_string(uuids[pick(ARRAY_SIZE(uuids))]);
	case PARAM_PATH:
		return json_object_new_string(paths[pick(ARRAY_SIZE(paths))]);
	case PARAM_CHOICE:
		while (row->choices[n])
			n++;
		return json_object_new_string(row->choices[pick((uint32_t)n)]);
	case PARAM_ANY:
		return json(anys[pick(ARRAY_SIZE(anys))]);
	case PARAM_OBJECT:
		return row->rows ? make_rows(row->rows) : json(pick(2) ? "{}" : "{'a': {'b': null, 'c': 0.1}}");
	case PARAM_LIST:
		v = json_object_new_array();
		for (uint32_t i = (uint32_t)row->min + pick(3); i > 0; i--)
			json_object_array_add(v, make_value(row->rows));
		return v;
	case PARAM_MAP:
		return json(pick(2) ? "{}" : "{'owner': 'ops', ' ': '', 'a.b': 'c'}");
	}
	return NULL;
}

static struct json_object *make_rows(const struct param *table)
{
	struct json_object *o = json_object_new_object();

	for (const struct param *row = table; row->name; row++)
		if (row->required || pick(2))
			json_object_object_add(o, row->name, make_value(row));
	return o;
}

#endif
