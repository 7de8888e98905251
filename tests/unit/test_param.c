/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decoding by rows. The cases of what is refused are rows of text: input, path and words of the error.
 * Every input that fails is also a test of the cleanup after it, when built with the address sanitizer.
 */
#include "param_table.h"

#include <math.h>
#include <string.h>

/* Helpers */

static void decode(const char *text, struct all *out)
{
	_cleanup_json_ struct json_object *o = json(text);
	_cleanup_err_ struct err *e = NULL;
	bool ok;

	memset(out, 0xa5, sizeof(*out)); /* what it held does not count */
	out->before = 17;
	out->after = 18;
	ok = param_decode(rows, o, "", out, &e);
	ck_assert_msg(ok, "%s: %s", text, e ? e->desc : "");
	ck_assert_ptr_null(e);
	ck_assert_int_eq(out->before, 17);
	ck_assert_int_eq(out->after, 18);
}

static void assert_zero(const struct param *table, const void *in)
{
	static const char zero[64];

	for (const struct param *row = table; row->name; row++) {
		static const size_t sizes[] = {
			[PARAM_BOOL] = sizeof(bool),     [PARAM_INT] = sizeof(int64_t),
			[PARAM_SIZE] = sizeof(uint64_t), [PARAM_TIME] = sizeof(double),
			[PARAM_TEXT] = sizeof(char *),   [PARAM_NAME] = sizeof(char *),
			[PARAM_UUID] = sizeof(char *),   [PARAM_PATH] = sizeof(char *),
			[PARAM_CHOICE] = sizeof(int),    [PARAM_ANY] = sizeof(void *),
			[PARAM_OBJECT] = sizeof(void *), [PARAM_LIST] = sizeof(struct param_list),
			[PARAM_MAP] = sizeof(void *),
		};

		const char *field = (const char *)in + row->offset;

		if (row->type == PARAM_OBJECT && row->rows)
			assert_zero(row->rows, field);
		else
			ck_assert_msg(memcmp(field, zero, sizes[row->type]) == 0, "%s", row->name);
	}
}

/* Decodes O, which must fail at PATH with words that contain DESC, and leave nothing. */
static void refuse(struct json_object *o, const char *prefix, const char *path, const char *desc)
{
	_cleanup_err_ struct err *e = NULL, *again = NULL;
	struct all out;

	memset(&out, 0xa5, sizeof(out));
	ck_assert_msg(!param_decode(rows, o, prefix, &out, &e), "accepted, expected %s: %s", path, desc);
	ck_assert_ptr_nonnull(e);
	ck_assert_int_eq(e->class, ERR_INVALID_PARAMETER);
	ck_assert_str_eq(json_object_get_string(json_object_object_get(e->extra, "parameter")), path);
	ck_assert_msg(strstr(e->desc, desc), "'%s' in '%s'", desc, e->desc);
	assert_zero(rows, &out);

	ck_assert(!param_check(rows, o, prefix, &again));
	ck_assert_str_eq(again->desc, e->desc);
	ck_assert(!param_check(rows, o, prefix, NULL));
}

/* VALUE for member NAME beside the one that is required. */
static struct json_object *with(const char *name, struct json_object *value)
{
	struct json_object *o = json("{'vcpus': 1}");

	json_object_object_add(o, name, value);
	return o;
}

static char *repeat(char c, size_t n)
{
	char *s = xcalloc(n + 1, 1);

	memset(s, c, n);
	return s;
}

/* Decoding */

START_TEST(test_defaults)
{
	struct all a;

	decode("{'vcpus': 4}", &a);
	ck_assert(a.on);
	ck_assert(!a.off);
	ck_assert_int_eq(a.vcpus, 4);
	ck_assert(a.any_int == PARAM_INT_NONE);
	ck_assert_int_eq(a.low, -1);
	ck_assert(a.least == PARAM_INT_NONE);
	ck_assert_uint_eq(a.memory, 512 << 20);
	ck_assert_uint_eq(a.free_size, 0);
	ck_assert(a.delay == 0.5);
	ck_assert(isnan(a.window));
	ck_assert_ptr_null(a.text);
	ck_assert_str_eq(a.machine, "pc");
	ck_assert_ptr_null(a.name);
	ck_assert_ptr_null(a.uuid);
	ck_assert_ptr_null(a.path);
	ck_assert_int_eq(a.cache, 1);
	ck_assert_int_eq(a.model, PARAM_CHOICE_NONE);
	ck_assert_ptr_null(a.any);
	ck_assert_ptr_null(a.object);
	ck_assert_ptr_null(a.metadata);
	/* Its group is required, but only of who gives a throttle. */
	ck_assert_ptr_null(a.throttle.group);
	ck_assert(isnan(a.throttle.length));
	ck_assert_int_eq(a.throttle.more.depth, 3);
	ck_assert_uint_eq(a.disks.n, 0);
	ck_assert_ptr_null(a.disks.items);
	ck_assert_uint_eq(a.preset.n, 2);
	ck_assert_int_eq(((int64_t *)a.preset.items)[1], 8);
	param_clear(rows, &a);
	assert_zero(rows, &a);
	ck_assert_int_eq(a.after, 18);
	param_clear(rows, &a); /* twice is once */
}
END_TEST

START_TEST(test_values)
{
	struct disk *disks;
	struct all a;

	decode("{'vcpus': 512, 'on': false, 'off': true, 'any-int': -9223372036854775807, 'low': 0, 'least': 3,"
	       " 'memory': '1G', 'free-size': 18446744073709551615, 'delay': 3, 'window': 1.25,"
	       " 'text': 'ab', 'machine': '', 'name': 'web1', 'uuid': '" UUID "', 'path': '/dev/sda',"
	       " 'disk_cache': 'writeback', 'model': 'default', 'any': [1, null], 'object': {'a': {}},"
	       " 'metadata': {'owner': 'ops', 'x': ''},"
	       " 'throttle': {'group': 'g', 'rate': '1K', 'more': {'strict': true}},"
	       " 'disks': [{'name': 'a', 'backing': ['/a', '']},"
	       "           {'name': 'b', 'cache': 'none', 'throttle': {'group': 'h'}}],"
	       " 'numbers': [1, 9], 'choices': ['none', 'default'], 'names': ['n1', 'n2'], 'matrix': [[1], [], [2, 3]],"
	       " 'anything': [null, {}], 'preset': []}",
	       &a);
	ck_assert(!a.on);
	ck_assert(a.off);
	ck_assert(a.any_int == -INT64_MAX);
	ck_assert_int_eq(a.low, 0);
	ck_assert_int_eq(a.least, 3);
	ck_assert_uint_eq(a.memory, 1 << 30);
	ck_assert_uint_eq(a.free_size, UINT64_MAX);
	ck_assert(a.delay == 3);
	ck_assert(a.window == 1.25);
	ck_assert_str_eq(a.text, "ab");
	ck_assert_str_eq(a.machine, "");
	ck_assert_str_eq(a.name, "web1");
	ck_assert_str_eq(a.uuid, "932df160-7a22-4067-a566-7e0ca8386133");
	ck_assert_str_eq(a.path, "/dev/sda");
	ck_assert_int_eq(a.cache, 2);
	ck_assert_int_eq(a.model, 0);
	ck_assert_uint_eq(json_object_array_length(a.any), 2);
	ck_assert(json_object_object_get_ex(a.object, "a", NULL));
	ck_assert_str_eq(json_object_get_string(json_object_object_get(a.metadata, "owner")), "ops");
	ck_assert_uint_eq(a.throttle.rate, 1024);
	ck_assert_str_eq(a.throttle.group, "g");
	ck_assert(a.throttle.more.strict);
	ck_assert_int_eq(a.throttle.more.depth, 3);
	ck_assert_uint_eq(a.disks.n, 2);
	disks = a.disks.items;
	ck_assert_str_eq(disks[0].name, "a");
	ck_assert_int_eq(disks[0].cache, PARAM_CHOICE_NONE);
	ck_assert_uint_eq(disks[0].backing.n, 2);
	ck_assert_str_eq(((char **)disks[0].backing.items)[1], "");
	ck_assert_str_eq(disks[1].throttle.group, "h");
	ck_assert_int_eq(disks[1].cache, 1);
	ck_assert_int_eq(((int64_t *)a.numbers.items)[1], 9);
	ck_assert_int_eq(((int *)a.choices.items)[0], 1);
	ck_assert_str_eq(((char **)a.names.items)[1], "n2");
	ck_assert_uint_eq(((struct param_list *)a.matrix.items)[1].n, 0);
	ck_assert_int_eq(((int64_t *)((struct param_list *)a.matrix.items)[2].items)[1], 3);
	ck_assert_ptr_null(((struct json_object **)a.anything.items)[0]);
	ck_assert_uint_eq(a.preset.n, 0);
	param_clear(rows, &a);
}
END_TEST

static const struct {
	const char *name, *value;
} good[] = {
	{ "on", "false" },
	{ "any-int", "9223372036854775807" },
	{ "any-int", "0" },
	{ "low", "-5" },
	{ "least", "9223372036854775807" },
	{ "memory", "4096" },
	{ "memory", "1073741824" },
	{ "memory", "'4k'" },
	{ "free-size", "0" },
	{ "free-size", "'16383P'" },
	{ "delay", "0" },
	{ "delay", "-0.0" },
	{ "delay", "1e300" },
	{ "delay", "18446744073709551615" },
	{ "window", "1" },
	{ "window", "60.0" },
	{ "text", "'\xc3\xa9'" }, /* two bytes */
	{ "text", "'12345678'" },
	{ "uuid", "'00000000-0000-0000-0000-000000000000'" },
	{ "path", "''" },
	{ "path", "'/'" },
	{ "any", "null" },
	{ "any", "1.5" },
	{ "object", "{}" },
	{ "metadata", "{}" },
	{ "numbers", "[1]" },
	{ "numbers", "[1, 2, 3]" },
	{ "matrix", "[]" },
	{ "disks", "[]" },
};

START_TEST(test_good)
{
	_cleanup_json_ struct json_object *o = with(good[_i].name, json(good[_i].value));
	_cleanup_err_ struct err *e = NULL;

	ck_assert_msg(param_check(rows, o, "", &e), "%s: %s: %s", good[_i].name, good[_i].value, e ? e->desc : "");
}
END_TEST

static const struct {
	const char *name, *value, *path, *desc;
} bad[] = {
	{ "on", "1", "on", "must be true or false, not a number" },
	{ "on", "null", "on", "must be true or false, not null" },
	{ "on", "'true'", "on", "must be true or false, not text" },
	{ "vcpus", "0", "vcpus", "must be 1 to 512" },
	{ "vcpus", "513", "vcpus", "must be 1 to 512" },
	{ "vcpus", "2.0", "vcpus", "must be an integer, not a fractional number" },
	{ "vcpus", "'2'", "vcpus", "must be an integer, not text" },
	{ "vcpus", "true", "vcpus", "must be an integer, not a boolean" },
	{ "vcpus", "null", "vcpus", "must be an integer, not null" },
	{ "vcpus", "18446744073709551615", "vcpus", "must be 1 to 512" },
	{ "any-int", "9223372036854775808", "any-int", "does not fit in 64 bits" },
	{ "any-int", "-9223372036854775808", "any-int", "does not fit in 64 bits" },
	{ "low", "1", "low", "must be -5 to 0" },
	{ "low", "-6", "low", "must be -5 to 0" },
	{ "least", "2", "least", "must be at least 3" },
	{ "least", "9223372036854775808", "least", "must be at least 3" },
	{ "memory", "4095", "memory", "must be 4096 to 1073741824 bytes" },
	{ "memory", "'4095'", "memory", "must be 4096 to 1073741824 bytes" },
	{ "memory", "1073741825", "memory", "must be 4096 to 1073741824 bytes" },
	{ "memory", "18446744073709551615", "memory", "must be 4096 to 1073741824 bytes" },
	{ "memory", "-1", "memory", "must be 4096 to 1073741824 bytes" },
	{ "memory", "'much'", "memory", "must be a size in whole bytes" },
	{ "memory", "4096.0", "memory", "must be a size (an integer, or text such as 512M), not a fractional number" },
	{ "memory", "null", "memory", "not null" },
	{ "free-size", "-1", "free-size", "must be at least 0 bytes" },
	{ "delay", "-0.001", "delay", "must be at least 0" },
	{ "delay", "-1", "delay", "must be at least 0" },
	{ "delay", "'1'", "delay", "must be a number of seconds, not text" },
	{ "delay", "null", "delay", "must be a number of seconds, not null" },
	{ "delay", "NaN", "delay", "must be finite" },
	{ "delay", "Infinity", "delay", "must be finite" },
	{ "window", "0.999", "window", "must be 1 to 60" },
	{ "window", "60.001", "window", "must be 1 to 60" },
	{ "text", "1", "text", "must be text, not a number" },
	{ "text", "'a'", "text", "must be 2 to 8 bytes long" },
	{ "text", "'123456789'", "text", "must be 2 to 8 bytes long" },
	{ "text", "'12345678\xc3\xa9'", "text", "must be 2 to 8 bytes long" },
	{ "text", "null", "text", "must be text, not null" },
	{ "machine", "'a\\u0000b'", "machine", "must not contain NUL" },
	{ "name", "''", "name", "must be a name" },
	{ "name", "'../x'", "name", "must be a name" },
	{ "name", "'" UUID "'", "name", "must be a name, not a UUID" },
	{ "name", "[]", "name", "must be text, not a list" },
	{ "uuid", "'x'", "uuid", "must be a UUID" },
	{ "uuid", "''", "uuid", "must be a UUID" },
	{ "path", "'etc/passwd'", "path", "must be an absolute path" },
	{ "path", "{}", "path", "must be text, not an object" },
	{ "disk_cache", "'fast'", "disk_cache", "must be one of default, none, writeback" },
	{ "disk_cache", "'None'", "disk_cache", "must be one of default, none, writeback; did you mean 'none'?" },
	{ "disk_cache", "1", "disk_cache", "must be one of default, none, writeback, not a number" },
	{ "disk_cache", "null", "disk_cache", "must be one of default, none, writeback, not null" },
	{ "object", "[]", "object", "must be an object, not a list" },
	{ "object", "null", "object", "must be an object, not null" },
	{ "metadata", "[]", "metadata", "must be an object, not a list" },
	{ "metadata", "null", "metadata", "must be an object, not null" },
	{ "metadata", "{'owner': 1}", "metadata.owner", "must be text, not a number" },
	{ "metadata", "{'owner': null}", "metadata.owner", "must be text, not null" },
	{ "metadata", "{'': 'x'}", "metadata", "must have keys of 1 to 255 bytes" },
	{ "throttle", "{}", "throttle.group", "required" },
	{ "throttle", "null", "throttle", "must be an object, not null" },
	{ "throttle", "[]", "throttle", "must be an object, not a list" },
	{ "throttle", "{'group': ''}", "throttle.group", "must not be empty" },
	{ "throttle", "{'group': 'g', 'rate': 1}", "throttle.rate", "must be at least 512 bytes" },
	{ "throttle", "{'group': 'g', 'more': {'depth': '1'}}", "throttle.more.depth", "must be an integer" },
	{ "throttle", "{'group': 'g', 'grupo': 'g'}", "throttle.grupo", "unknown; did you mean 'group'?" },
	{ "numbers", "[]", "numbers", "must have 1 to 3 elements" },
	{ "numbers", "[1, 2, 3, 4]", "numbers", "must have 1 to 3 elements" },
	{ "numbers", "[1, 0]", "numbers[1]", "must be 1 to 9" },
	{ "numbers", "[null]", "numbers[0]", "must be an integer, not null" },
	{ "numbers", "{}", "numbers", "must be a list, not an object" },
	{ "numbers", "null", "numbers", "must be a list, not null" },
	{ "choices", "['none', 'x']", "choices[1]", "must be one of default, none, writeback" },
	{ "names", "['a', 'b', '-']", "names[2]", "must be a name" },
	{ "matrix", "[[1], [2, 'x']]", "matrix[1][1]", "must be an integer, not text" },
	{ "matrix", "[[1], 2]", "matrix[1]", "must be a list, not a number" },
	{ "disks", "[{'name': 'a'}, {}]", "disks[1].name", "required" },
	{ "disks", "[{'name': 'a'}, {'name': 'b', 'cache': 'no'}]", "disks[1].cache", "must be one of" },
	{ "disks", "[{'name': 'a'}, 1]", "disks[1]", "must be an object, not a number" },
	{ "disks", "[{'name': 'a', 'backing': ['/1', '/2', '/3', '/4', '/5']}]", "disks[0].backing",
	  "must have at most 4 elements" },
	/* Everything before it is freed: strings of the element, of its embedded struct, of other elements. */
	{ "disks",
	  "[{'name': 'a', 'throttle': {'group': 'g'}, 'backing': ['/a', '/b']},"
	  " {'name': 'b', 'throttle': {'group': 'h', 'more': {'depth': 1}}, 'backing': ['/c', 'd', '/e']}]",
	  "disks[1].backing[1]", "must be an absolute path" },
	{ "disks", "[{'name': 'a', 'throttle': {'rate': 512, 'group': 'g', 'more': {'depht': 1}}}]",
	  "disks[0].throttle.more.depht", "unknown; did you mean 'depth'?" },
	{ "memroy", "1", "memroy", "unknown; did you mean 'memory'?" },
	{ "disk-cache", "1", "disk-cache", "unknown; did you mean 'disk_cache'?" },
	{ "color", "1", "color", "unknown" },
	{ "", "1", "", "unknown" },
};

START_TEST(test_bad)
{
	_cleanup_json_ struct json_object *o = with(bad[_i].name, json(bad[_i].value));

	refuse(o, "", bad[_i].path, bad[_i].desc);
}
END_TEST

START_TEST(test_missing)
{
	_cleanup_json_ struct json_object *o = json("{'on': true}"), *misspelt = json("{'vcpu': 2}");

	refuse(o, "", "vcpus", "required");
	refuse(NULL, "", "vcpus", "required");
	refuse(misspelt, "", "vcpu", "unknown; did you mean 'vcpus'?");
}
END_TEST

/* A choice that is empty can be seen, and is nobody's guess. */
START_TEST(test_choices)
{
	static const char *const choices[] = { "", "none", "std", NULL };
	static const struct {
		const char *given, *desc;
	} cases[] = {
		{ "{'vga': 'stdd'}", "'vga': must be one of '', none, std; did you mean 'std'?" },
		{ "{'vga': 'x'}", "'vga': must be one of '', none, std" },
		{ "{'vga': 1}", "'vga': must be one of '', none, std, not a number" },
	};
	struct one {
		int vga;
	} out;
	const struct param one[] = { { "vga", PARAM_CHOICE, .choices = choices, PARAM_AT(struct one, vga) },
				     PARAM_END };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_json_ struct json_object *o = json(cases[i].given);
		_cleanup_err_ struct err *e = NULL;

		ck_assert(!param_decode(one, o, "", &out, &e));
		ck_assert_str_eq(e->desc, cases[i].desc);
	}
}
END_TEST

START_TEST(test_prefix)
{
	_cleanup_json_ struct json_object *o = json("{'vcpus': 1, 'disks': [{'name': 1}]}"), *list = json("[]");
	_cleanup_err_ struct err *e = NULL;

	refuse(o, "config.a[3].", "config.a[3].disks[0].name", "must be text");
	refuse(list, "config.a[3].", "config.a[3]", "must be an object, not a list");
	ck_assert(!param_check(rows, list, "", &e));
	ck_assert_int_eq(e->class, ERR_INVALID_PARAMETER);
	ck_assert_str_eq(e->desc, "must be an object, not a list");
}
END_TEST

/* Text, keys and lists at their built-in limits, and one beyond. */
START_TEST(test_limits)
{
	static const struct {
		const char *name;
		size_t max;
		char head;
		const char *desc;
	} texts[] = {
		{ "machine", 4096, 'a', "must be at most 4096 bytes long" },
		{ "path", 4095, '/', "must be at most 4095 bytes long" },
		{ "name", 63, 'a', "must be a name" },
	};
	_cleanup_json_ struct json_object *map = json("{}"), *list = json("[]");
	_cleanup_json_ struct json_object *o = with("metadata", json_object_get(map)),
					  *o2 = with("matrix", json_object_get(list));

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		for (size_t extra = 0; extra < 2; extra++) {
			_cleanup_free_ char *text = repeat(texts[i].head, texts[i].max + extra);
			_cleanup_json_ struct json_object *in = with(texts[i].name, json_object_new_string(text));

			if (extra)
				refuse(in, "", texts[i].name, texts[i].desc);
			else
				ck_assert(param_check(rows, in, "", NULL));
		}
	}
	for (int i = 0; i < 256; i++) {
		_cleanup_free_ char *key = xasprintf("key%d", i);

		json_object_object_add(map, key, json_object_new_string(""));
		json_object_array_add(list, json_object_new_array());
	}
	ck_assert(param_check(rows, o, "", NULL));
	ck_assert(param_check(rows, o2, "", NULL));
	json_object_object_add(map, "more", json_object_new_string(""));
	json_object_array_add(list, json_object_new_array());
	refuse(o, "", "metadata", "must have at most 256 members");
	refuse(o2, "", "matrix", "must have at most 256 elements");
}
END_TEST

START_TEST(test_map_limits)
{
	_cleanup_free_ char *key = repeat('k', 255), *key2 = repeat('k', 256), *value = repeat('v', 4096),
			    *value2 = repeat('v', 4097);
	_cleanup_json_ struct json_object *good_map = json("{}"), *bad_key = json("{}"), *bad_value = json("{}");
	_cleanup_json_ struct json_object *o = with("metadata", json_object_get(good_map)),
					  *o2 = with("metadata", json_object_get(bad_key)),
					  *o3 = with("metadata", json_object_get(bad_value));

	json_object_object_add(good_map, key, json_object_new_string(value));
	json_object_object_add(bad_key, key2, json_object_new_string(value));
	json_object_object_add(bad_value, "k", json_object_new_string(value2));
	ck_assert(param_check(rows, o, "", NULL));
	refuse(o2, "", "metadata", "must have keys of 1 to 255 bytes");
	refuse(o3, "", "metadata.k", "must be at most 4096 bytes long");
}
END_TEST

/* A name that a stranger made up is neither repeated at length nor cut within a character. */
START_TEST(test_unknown_long)
{
	_cleanup_free_ char *prefix = repeat('x', 127), *name = xasprintf("%s\xc3\xa9%s", prefix, prefix);
	_cleanup_free_ char *longest = repeat('x', 1 << 16), *shown = repeat('x', 128);
	_cleanup_json_ struct json_object *o = with(name, NULL), *o2 = with(longest, NULL);

	refuse(o, "", prefix, "unknown");
	refuse(o2, "", shown, "unknown");
}
END_TEST

/* Puts some value where another was, anywhere in O. */
static void spoil(struct json_object *o)
{
	static const char *const values[] = { "null", "-1", "1e9", "'\xc3\xa9'", "[[1]]", "{'a': 1}", "true", "''" };

	for (;;) {
		struct json_object *v = NULL;
		uint32_t i;

		if (json_object_is_type(o, json_type_array) && json_object_array_length(o)) {
			i = pick((uint32_t)json_object_array_length(o));
			v = json_object_array_get_idx(o, i);
			if (!v || pick(2)) {
				json_object_array_put_idx(o, i, json(values[pick(ARRAY_SIZE(values))]));
				return;
			}
		} else if (json_object_is_type(o, json_type_object) && json_object_object_length(o)) {
			struct json_object_iterator it = json_object_iter_begin(o);

			for (i = pick((uint32_t)json_object_object_length(o)); i > 0; i--)
				json_object_iter_next(&it);
			v = json_object_iter_peek_value(&it);
			if (!v || pick(2)) {
				v = json(values[pick(ARRAY_SIZE(values))]);
				json_object_object_add(o, json_object_iter_peek_name(&it), v);
				return;
			}
		} else {
			return;
		}
		o = v;
	}
}

/* Whatever is wrong, and wherever: an error with a path, and nothing left of what came before. */
START_TEST(test_spoilt)
{
	int refused = 0;

	random_state = (uint32_t)_i;
	for (int i = 0; i < 200; i++) {
		_cleanup_json_ struct json_object *in = make_rows(rows);
		_cleanup_err_ struct err *e = NULL;
		struct all a;

		spoil(in);
		if (param_decode(rows, in, "", &a, &e)) {
			ck_assert_ptr_null(e);
		} else {
			ck_assert(json_object_object_get_ex(e->extra, "parameter", NULL));
			assert_zero(rows, &a);
			refused++;
		}
		param_clear(rows, &a);
	}
	ck_assert_int_gt(refused, 50);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("param");
	TCase *t = tcase_create("decode");

	tcase_add_test(t, test_defaults);
	tcase_add_test(t, test_values);
	tcase_add_loop_test(t, test_good, 0, ARRAY_SIZE(good));
	tcase_add_loop_test(t, test_bad, 0, ARRAY_SIZE(bad));
	tcase_add_test(t, test_missing);
	tcase_add_test(t, test_choices);
	tcase_add_test(t, test_prefix);
	tcase_add_test(t, test_limits);
	tcase_add_test(t, test_map_limits);
	tcase_add_test(t, test_unknown_long);
	tcase_add_loop_test(t, test_spoilt, 0, 4);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	SRunner *r = srunner_create(suite());
	int failed;

	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
