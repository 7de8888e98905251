/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way out of rows: printing, which is tested as a property over made-up values; describing; and the
 * rules for single texts.
 */
#include "param_table.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* O as text must be EXPECTED, which has ' for ". */
static void assert_text(struct json_object *o, const char *expected)
{
	_cleanup_free_ char *text = xstrdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));

	for (char *c = text; *c; c++)
		if (*c == '"')
			*c = '\'';
	ck_assert_str_eq(text, expected);
}

static void decode(struct json_object *o, struct all *out)
{
	_cleanup_err_ struct err *e = NULL;

	ck_assert_msg(param_decode(rows, o, "", out, &e), "%s: %s", json_object_to_json_string(o), e ? e->desc : "");
}

static void decode_text(const char *text, struct all *out)
{
	_cleanup_json_ struct json_object *o = json(text);

	decode(o, out);
}

/* Printing */

START_TEST(test_print)
{
	static const char text[] =
		"{'on':true,'off':false,'vcpus':2,'low':-1,'memory':536870912,'delay':0.1,'machine':'pc',"
		"'disk_cache':'none','metadata':{},'throttle':{'group':'g','length':3,'more':{'depth':3,"
		"'strict':false}},'disks':[{'name':'a','cache':'default','backing':['']}],'preset':[]}";
	_cleanup_json_ struct json_object *o = NULL;
	struct all a;

	decode_text("{'vcpus': 2, 'delay': 0.1, 'throttle': {'length': 3.0, 'group': 'g'}, 'preset': [],"
		    " 'metadata': {}, 'any': null, 'disks': [{'backing': [''], 'cache': 'default', 'name': 'a'}]}",
		    &a);
	o = param_print(rows, &a);
	assert_text(o, text);
	param_clear(rows, &a);
}
END_TEST

/* Who changes what was printed does not change the struct. */
START_TEST(test_print_copies)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct all a;

	decode_text("{'vcpus': 2, 'metadata': {'a': 'b'}, 'object': {}, 'any': []}", &a);
	o = param_print(rows, &a);
	json_object_object_add(json_object_object_get(o, "metadata"), "a", json_object_new_string("c"));
	json_object_object_add(json_object_object_get(o, "object"), "a", NULL);
	json_object_array_add(json_object_object_get(o, "any"), NULL);
	ck_assert_str_eq(json_object_get_string(json_object_object_get(a.metadata, "a")), "b");
	ck_assert_int_eq(json_object_object_length(a.object), 0);
	ck_assert_uint_eq(json_object_array_length(a.any), 0);
	param_clear(rows, &a);
}
END_TEST

struct odd {
	struct json_object *must, *fallback;
	uint64_t zero, none, huge;
	double large, larger;
	struct limits limits;
	struct {
		char *text;
	} empty, present;
};

/* Where "absent" and a value look alike, or the default is not the zero: the value must survive. */
START_TEST(test_print_odd)
{
	static const struct param text_rows[] = { { .name = "text", .type = PARAM_TEXT }, PARAM_END };
	static const struct param odd_rows[] = {
		{ .name = "must", .type = PARAM_ANY, .required = true, PARAM_AT(struct odd, must) },
		{ .name = "fallback", .type = PARAM_ANY, .def = "1", PARAM_AT(struct odd, fallback) },
		{ .name = "zero", .type = PARAM_SIZE, .def = "\"1K\"", PARAM_AT(struct odd, zero) },
		{ .name = "none", .type = PARAM_SIZE, .min = 1, PARAM_AT(struct odd, none) },
		{ .name = "huge", .type = PARAM_SIZE, PARAM_AT(struct odd, huge) },
		{ .name = "large", .type = PARAM_TIME, PARAM_AT(struct odd, large) },
		{ .name = "larger", .type = PARAM_TIME, PARAM_AT(struct odd, larger) },
		{ .name = "limits", .type = PARAM_OBJECT, .rows = limits_rows, PARAM_AT(struct odd, limits) },
		{ .name = "empty", .type = PARAM_OBJECT, .rows = text_rows, PARAM_AT(struct odd, empty) },
		{ .name = "present",
		  .type = PARAM_OBJECT,
		  .required = true,
		  .rows = text_rows,
		  PARAM_AT(struct odd, present) },
		PARAM_END
	};
	static const char text[] =
		"{'must':null,'fallback':null,'zero':0,'huge':18446744073709551615,'large':9007199254740992.0,"
		"'larger':1.8446744073709552e+19,'present':{}}";
	_cleanup_json_ struct json_object *o = NULL, *parsed = NULL;
	_cleanup_json_ struct json_object *in = json(
		"{'must': null, 'fallback': null, 'zero': 0, 'huge': 18446744073709551615,"
		" 'large': 9007199254740993, 'larger': 18446744073709551615, 'present': {}}");
	struct odd a;

	ck_assert(param_decode(odd_rows, in, "", &a, NULL));
	o = param_print(odd_rows, &a);
	param_clear(odd_rows, &a);
	assert_text(o, text);
	parsed = json(text);
	ck_assert(param_decode(odd_rows, parsed, "", &a, NULL));
	ck_assert_ptr_null(a.fallback);
	ck_assert_uint_eq(a.zero, 0);
	ck_assert_uint_eq(a.huge, UINT64_MAX);
	ck_assert(a.large == 9007199254740992.0);
	ck_assert(a.larger == 18446744073709551616.0);
	param_clear(odd_rows, &a);
}
END_TEST

/* The property: over made-up values of a whole table, decode(print(x)) == x, also through text. */

static void assert_same(const struct param *table, const void *a, const void *b);

static bool same_value(const struct param *row, const void *a, const void *b)
{
	const struct param_list *la = a, *lb = b;
	double da, db;

	switch (row->type) {
	case PARAM_BOOL:
		return *(const bool *)a == *(const bool *)b;
	case PARAM_INT:
		return *(const int64_t *)a == *(const int64_t *)b;
	case PARAM_SIZE:
		return *(const uint64_t *)a == *(const uint64_t *)b;
	case PARAM_TIME:
		da = *(const double *)a;
		db = *(const double *)b;
		return da == db || (isnan(da) && isnan(db));
	case PARAM_CHOICE:
		return *(const int *)a == *(const int *)b;
	case PARAM_TEXT:
	case PARAM_NAME:
	case PARAM_UUID:
	case PARAM_PATH:
		return str_eq(*(char *const *)a, *(char *const *)b);
	case PARAM_OBJECT:
		if (row->rows) {
			assert_same(row->rows, a, b);
			return true;
		}
		/* fall through */
	case PARAM_ANY:
	case PARAM_MAP:
		return json_object_equal(*(struct json_object *const *)a, *(struct json_object *const *)b);
	case PARAM_LIST:
		if (la->n != lb->n)
			return false;
		for (size_t i = 0; i < la->n; i++)
			if (!same_value(row->rows, (const char *)la->items + i * row->size,
					(const char *)lb->items + i * row->size))
				return false;
		return true;
	}
	return false;
}

static void assert_same(const struct param *table, const void *a, const void *b)
{
	for (const struct param *row = table; row->name; row++) {
		bool same = same_value(row, (const char *)a + row->offset, (const char *)b + row->offset);

		ck_assert_msg(same, "%s differs", row->name);
	}
}

START_TEST(test_round_trip)
{
	random_state = (uint32_t)_i;
	for (int i = 0; i < 100; i++) {
		_cleanup_json_ struct json_object *in = make_rows(rows), *out = NULL, *parsed = NULL, *again = NULL;
		_cleanup_free_ char *text = NULL, *text2 = NULL;
		struct all a, b, c;

		decode(in, &a);
		out = param_print(rows, &a);
		decode(out, &b);
		assert_same(rows, &a, &b);
		text = json_print(out);
		ck_assert_msg(json_parse(text, strlen(text), &json_limits_request, &parsed, NULL), "%s", text);
		decode(parsed, &c);
		assert_same(rows, &a, &c);
		again = param_print(rows, &c);
		text2 = json_print(again);
		ck_assert_str_eq(text2, text);
		param_clear(rows, &a);
		param_clear(rows, &b);
		param_clear(rows, &c);
	}
}
END_TEST

/* Describing */

static const struct {
	const char *name, *text;
} described[] = {
	{ "on", "{'name':'on','type':'bool','required':false,'default':true,'doc':'On by default.'}" },
	{ "vcpus", "{'name':'vcpus','type':'int','required':true,'min':1,'max':512,'change':'live','since':'0.1',"
		   "'unit':'vCPUs','doc':'How many.'}" },
	{ "any-int", "{'name':'any-int','type':'int','required':false}" },
	{ "low", "{'name':'low','type':'int','required':false,'min':-5,'max':0,'default':-1}" },
	{ "least", "{'name':'least','type':'int','required':false,'min':3}" },
	{ "memory", "{'name':'memory','type':'size','required':false,'min':4096,'max':1073741824,'default':'512M',"
		    "'change':'restart'}" },
	{ "delay", "{'name':'delay','type':'time','required':false,'default':0.5,'unit':'s'}" },
	{ "text", "{'name':'text','type':'text','required':false,'min':2,'max':8}" },
	{ "machine", "{'name':'machine','type':'text','required':false,'default':'pc'}" },
	{ "name", "{'name':'name','type':'name','required':false,'change':'never'}" },
	{ "uuid", "{'name':'uuid','type':'uuid','required':false}" },
	{ "path", "{'name':'path','type':'path','required':false}" },
	{ "disk_cache", "{'name':'disk_cache','type':'choice','required':false,'default':'none',"
			"'choices':['default','none','writeback']}" },
	{ "any", "{'name':'any','type':'any','required':false}" },
	{ "object", "{'name':'object','type':'object','required':false}" },
	{ "metadata", "{'name':'metadata','type':'map','required':false}" },
	{ "throttle", "{'name':'throttle','type':'object','required':false,'members':["
		      "{'name':'rate','type':'size','required':false,'min':512},"
		      "{'name':'group','type':'text','required':true,'min':1},"
		      "{'name':'length','type':'time','required':false},"
		      "{'name':'more','type':'object','required':false,'members':["
		      "{'name':'depth','type':'int','required':false,'default':3},"
		      "{'name':'strict','type':'bool','required':false}]}]}" },
	{ "numbers", "{'name':'numbers','type':'list','items':'int','required':false,'min':1,'max':3}" },
	{ "choices", "{'name':'choices','type':'list','items':'choice','required':false,"
		     "'choices':['default','none','writeback']}" },
	{ "preset", "{'name':'preset','type':'list','items':'int','required':false,'default':[7,8]}" },
	{ "matrix", "{'name':'matrix','type':'list','items':'list','required':false}" },
};

START_TEST(test_describe)
{
	_cleanup_json_ struct json_object *list = param_describe(rows);
	size_t n = json_object_array_length(list);

	ck_assert_uint_eq(n, ARRAY_SIZE(rows) - 1);
	for (size_t i = 0; i < n; i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		if (!str_eq(json_object_get_string(json_object_object_get(o, "name")), described[_i].name))
			continue;
		assert_text(o, described[_i].text);
		return;
	}
	ck_abort_msg("no row %s", described[_i].name);
}
END_TEST

START_TEST(test_describe_list_members)
{
	_cleanup_json_ struct json_object *list = param_describe(rows);
	struct json_object *disks = json_object_array_get_idx(list, (size_t)(param_find(rows, "disks") - rows));
	struct json_object *members = json_object_object_get(disks, "members");

	ck_assert_str_eq(json_object_get_string(json_object_object_get(disks, "items")), "object");
	ck_assert_uint_eq(json_object_array_length(members), 4);
	ck_assert_str_eq(json_object_get_string(json_object_object_get(json_object_array_get_idx(members, 3), "items")),
			 "path");
}
END_TEST

/* Names and sizes */

START_TEST(test_find)
{
	ck_assert_ptr_eq(param_find(rows, "on"), &rows[0]);
	ck_assert_ptr_null(param_find(rows, "On"));
	ck_assert_ptr_null(param_find(rows, ""));
}
END_TEST

static const struct {
	const char *name, *guess;
} guesses[] = {
	{ "memory", "memory" },
	{ "memroy", "memory" },
	{ "MEMORY", "memory" },
	{ "memor", "memory" },
	{ "memoryyy", "memory" },
	{ "memoryyyy", NULL },
	{ "disk-cache", "disk_cache" },
	{ "dixx-cache", "disk_cache" },
	{ "Any_Int", "any-int" },
	{ "nam", "name" }, /* the nearest one */
	{ "x", NULL },     /* two letters off "on", and nothing in common */
	{ "zz", NULL },
	{ "", NULL },
	{ "delay-of-something-long", NULL },
	{ "memorymemorymemorymemorymemorymemorymemorymemorymemorymemorymemory", NULL }, /* 66 */
};

START_TEST(test_guess)
{
	const char *guess = param_guess(rows, guesses[_i].name);

	ck_assert_msg(str_eq(guess, guesses[_i].guess), "%s: %s", guesses[_i].name, guess ? guess : "NULL");
}
END_TEST

static const struct {
	const char *text;
	bool ok;
	uint64_t value;
} sizes[] = {
	{ "0", true, 0 },
	{ "512", true, 512 },
	{ "512B", true, 512 },
	{ "1K", true, 1024 },
	{ "1k", true, 1024 },
	{ "1M", true, 1 << 20 },
	{ "512MiB", true, 512 << 20 },
	{ "512MB", true, 512 << 20 },
	{ "512mib", true, 512 << 20 },
	{ "1G", true, 1 << 30 },
	{ "1.5G", true, 3ull << 29 },
	{ "1T", true, 1ull << 40 },
	{ "1P", true, 1ull << 50 },
	{ "16383P", true, 16383ull << 50 },
	{ "16383.5P", true, 32767ull << 49 },
	{ "18446744073709551615", true, UINT64_MAX },
	{ "17592186044415.9990234375M", true, UINT64_MAX - 1023 },
	{ "0.5K", true, 512 },
	{ "1.0", true, 1 },
	{ "1.000000000000000000000000000000000", true, 1 },
	{ "0.0009765625K", true, 1 },
	{ "0.125K", true, 128 },
	{ "0.5000000000000000000000K", true, 512 },
	{ "0.00000000000000088817841970012523233890533447265625P", false, 0 }, /* one byte, but who would */
	{ "0.0000009536743164062500P", true, 1 << 30 },
	{ "00012", true, 12 },
	{ "0.5", false, 0 },
	{ "1.3K", false, 0 },
	{ "0.00048828125K", false, 0 }, /* half a byte */
	{ "1.00000000000000000001K", false, 0 },
	{ "18446744073709551616", false, 0 },
	{ "99999999999999999999", false, 0 },
	{ "16384P", false, 0 },
	{ "9999999999T", false, 0 },
	{ "99999999999999999999999K", false, 0 },
	{ "", false, 0 },
	{ "K", false, 0 },
	{ "B", false, 0 },
	{ "iB", false, 0 },
	{ ".5K", false, 0 },
	{ "1.K", false, 0 },
	{ "1..5K", false, 0 },
	{ "1,5K", false, 0 },
	{ "1 K", false, 0 },
	{ " 1K", false, 0 },
	{ "1K ", false, 0 },
	{ "1K\n", false, 0 },
	{ "-1", false, 0 },
	{ "+1", false, 0 },
	{ "0x10", false, 0 },
	{ "1e3", false, 0 },
	{ "1E", false, 0 },
	{ "1KK", false, 0 },
	{ "1Ki", false, 0 },
	{ "1iB", false, 0 },
	{ "1KiBs", false, 0 },
	{ "inf", false, 0 },
};

START_TEST(test_size)
{
	uint64_t n = 4711;

	ck_assert_msg(param_parse_size(sizes[_i].text, &n) == sizes[_i].ok, "'%s'", sizes[_i].text);
	ck_assert_msg(n == (sizes[_i].ok ? sizes[_i].value : 4711), "'%s': %" PRIu64, sizes[_i].text, n);
}
END_TEST

static const struct {
	const char *text;
	bool name, uuid;
} names[] = {
	{ "a", true, false },
	{ "0", true, false },
	{ "Web-1.example_com", true, false },
	{ "a..", true, false },
	{ UUID, false, true },
	{ "932df160-7a22-4067-a566-7e0ca838613", true, false },
	{ "932df160-7a22-4067-a566-7e0ca8386133a", true, false },
	{ "g32df160-7a22-4067-a566-7e0ca8386133", true, false },
	{ "932df1607a224067a5667e0ca8386133", true, false },
	{ "932df160-7a22-4067-a5667-e0ca8386133", true, false },
	{ "", false, false },
	{ ".", false, false },
	{ "..", false, false },
	{ "-a", false, false },
	{ "_a", false, false },
	{ "a/b", false, false },
	{ "a b", false, false },
	{ "a\n", false, false },
	{ "\xc3\xa9", false, false },
	{ "a\xc3\xa9", false, false },
	{ "a#1", false, false },
	{ "123456789012345678901234567890123456789012345678901234567890123", true, false },
	{ "1234567890123456789012345678901234567890123456789012345678901234", false, false },
};

START_TEST(test_names)
{
	ck_assert_msg(param_is_name(names[_i].text) == names[_i].name, "'%s'", names[_i].text);
	ck_assert_msg(param_is_uuid(names[_i].text) == names[_i].uuid, "'%s'", names[_i].text);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("param_doc");
	TCase *t = tcase_create("print");

	tcase_add_test(t, test_print);
	tcase_add_test(t, test_print_copies);
	tcase_add_test(t, test_print_odd);
	tcase_add_loop_test(t, test_round_trip, 0, 4);
	suite_add_tcase(s, t);

	t = tcase_create("describe");
	tcase_add_loop_test(t, test_describe, 0, ARRAY_SIZE(described));
	tcase_add_test(t, test_describe_list_members);
	suite_add_tcase(s, t);

	t = tcase_create("text");
	tcase_add_test(t, test_find);
	tcase_add_loop_test(t, test_guess, 0, ARRAY_SIZE(guesses));
	tcase_add_loop_test(t, test_size, 0, ARRAY_SIZE(sizes));
	tcase_add_loop_test(t, test_names, 0, ARRAY_SIZE(names));
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
