/* SPDX-License-Identifier: BSD-2-Clause */
/* Merge patches: the table of RFC 7396's appendix, and what it leaves open. */
#include "base/cleanup.h"
#include "base/json_patch.h"

#include <check.h>
#include <string.h>

static struct json_object *parse(const char *text)
{
	struct json_object *o = NULL;
	struct err *e = NULL;

	ck_assert_msg(json_parse(text, strlen(text), &json_limits_request, &o, &e), "%s: %s", text, e ? e->desc : "");
	return o;
}

static const struct {
	const char *target, *patch, *result;
} cases[] = {
	/* the appendix */
	{ "{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
	{ "{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}" },
	{ "{\"a\":\"b\"}", "{\"a\":null}", "{}" },
	{ "{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}" },
	{ "{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
	{ "{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}" },
	{ "{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}" },
	{ "{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}" },
	{ "[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]" },
	{ "{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]" },
	{ "{\"a\":\"foo\"}", "null", "null" },
	{ "{\"a\":\"foo\"}", "\"bar\"", "\"bar\"" },
	{ "{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}" },
	{ "[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}" },
	{ "{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}" },
	/* nothing to do */
	{ "{\"a\":{\"b\":1}}", "{}", "{\"a\":{\"b\":1}}" },
	{ "{\"a\":1}", "{\"b\":null}", "{\"a\":1}" },
	{ "null", "null", "null" },
	/* nulls in a list are values */
	{ "{\"a\":1}", "{\"a\":[null,{\"b\":null}]}", "{\"a\":[null,{\"b\":null}]}" },
	/* a member keeps its place */
	{ "{\"a\":1,\"b\":2,\"c\":3}", "{\"b\":\"x\",\"d\":4,\"a\":null}", "{\"b\":\"x\",\"c\":3,\"d\":4}" },
	{ "{\"a\":1}", "{\"a\":{\"b\":{\"c\":null,\"d\":true}}}", "{\"a\":{\"b\":{\"d\":true}}}" },
	/* keys are text like any other */
	{ "{\"\":1,\"a.b\":2}", "{\"\":null,\"a\":{\"b\":3}}", "{\"a.b\":2,\"a\":{\"b\":3}}" },
};

START_TEST(test_case)
{
	_cleanup_json_ struct json_object *target = parse(cases[_i].target), *patch = parse(cases[_i].patch);
	_cleanup_json_ struct json_object *result = json_merge_patch(target, patch);
	_cleanup_json_ struct json_object *again = json_merge_patch(result, patch);
	_cleanup_free_ char *text = json_print(result), *twice = json_print(again);
	_cleanup_free_ char *target_text = json_print(target), *patch_text = json_print(patch);

	ck_assert_str_eq(text, cases[_i].result);
	ck_assert_str_eq(twice, cases[_i].result);
	ck_assert_str_eq(target_text, cases[_i].target);
	ck_assert_str_eq(patch_text, cases[_i].patch);
}
END_TEST

/* What is changed in the result is not changed in what it was made of. */
START_TEST(test_nothing_is_shared)
{
	_cleanup_json_ struct json_object *target = parse("{\"a\":{\"b\":1}}"), *patch = parse("{\"c\":{\"d\":[2]}}");
	_cleanup_json_ struct json_object *result = json_merge_patch(target, patch);
	_cleanup_free_ char *target_text = NULL, *patch_text = NULL;

	json_add_int(json_get_typed(result, "a", json_type_object), "b", 9);
	json_object_array_add(json_get_typed(json_get_typed(result, "c", json_type_object), "d", json_type_array),
			      json_object_new_int(9));
	target_text = json_print(target);
	patch_text = json_print(patch);
	ck_assert_str_eq(target_text, "{\"a\":{\"b\":1}}");
	ck_assert_str_eq(patch_text, "{\"c\":{\"d\":[2]}}");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("json_patch");
	TCase *tc = tcase_create("json_patch");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_loop_test(tc, test_case, 0, ARRAY_SIZE(cases));
	tcase_add_test(tc, test_nothing_is_shared);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
