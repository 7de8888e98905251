/* SPDX-License-Identifier: BSD-2-Clause */
/* What an edited text asks for, and where a path of a plan leads. */
#include "cli/edit.h"

#include "base/json_patch.h"

#include <check.h>
#include <string.h>

static struct json_object *parse(const char *text)
{
	struct json_object *o = NULL;

	ck_assert_msg(json_parse(text, strlen(text), &json_limits_request, &o, NULL), "%s", text);
	return o;
}

static const struct {
	const char *from, *to, *patch;
} patches[] = {
	{ "{}", "{}", "{}" },
	{ "{\"a\":1}", "{\"a\":1}", "{}" },
	{ "{\"a\":1}", "{\"a\":2}", "{\"a\":2}" },
	{ "{\"a\":1}", "{}", "{\"a\":null}" },
	{ "{}", "{\"a\":1}", "{\"a\":1}" },
	{ "{\"a\":1}", "{\"a\":\"1\"}", "{\"a\":\"1\"}" },
	{ "{\"h\":{\"x\":1,\"y\":2}}", "{\"h\":{\"x\":3,\"y\":2}}", "{\"h\":{\"x\":3}}" },
	{ "{\"h\":{\"x\":1,\"y\":2}}", "{\"h\":{\"y\":2}}", "{\"h\":{\"x\":null}}" },
	{ "{\"h\":{\"x\":1}}", "{\"h\":7}", "{\"h\":7}" },
	{ "{\"h\":7}", "{\"h\":{\"x\":1}}", "{\"h\":{\"x\":1}}" },
	{ "{\"d\":[1,2]}", "{\"d\":[2]}", "{\"d\":[2]}" },
	{ "{\"d\":[{\"n\":1}]}", "{\"d\":[{\"n\":2}]}", "{\"d\":[{\"n\":2}]}" },
	/* a null in the text is as good as nothing */
	{ "{\"a\":1}", "{\"a\":null}", "{\"a\":null}" },
	{ "{}", "{\"a\":null}", "{}" },
};

START_TEST(test_patch)
{
	_cleanup_json_ struct json_object *from = parse(patches[_i].from), *to = parse(patches[_i].to);
	_cleanup_json_ struct json_object *patch = edit_patch(from, to), *made = json_merge_patch(from, patch);
	_cleanup_json_ struct json_object *empty = parse("{}"), *wanted = json_merge_patch(empty, to);
	_cleanup_free_ char *text = json_print(patch);

	ck_assert_str_eq(text, patches[_i].patch);
	ck_assert(json_object_equal(made, wanted));
}
END_TEST

static const struct {
	const char *path, *value; /* NULL: nothing */
} paths[] = {
	{ "vcpus", "2" },
	{ "hvparams.accel", "\"tcg\"" },
	{ "disks[disk1].cache", "\"none\"" },
	{ "disks[disk0]", "{\"name\":\"disk0\"}" },
	{ "disks[disk0].cache", NULL },
	{ "disks[disk9].cache", NULL },
	{ "disks[disk1", "{\"name\":\"disk1\",\"cache\":\"none\"}" },
	{ "vcpus.x", NULL },
	{ "vcpus[x]", NULL },
	{ "nothing.at.all", NULL },
	{ "..", NULL },
	{ "[", NULL },
};

START_TEST(test_find)
{
	_cleanup_json_ struct json_object *o = parse(
		"{\"vcpus\":2,\"hvparams\":{\"accel\":\"tcg\"},\"disks\":[{\"name\":\"disk0\"},7,{\"name\":"
		"\"disk1\",\"cache\":\"none\"}]}");
	struct json_object *found = edit_find(o, paths[_i].path);
	_cleanup_free_ char *text = found ? json_print(found) : NULL;

	ck_assert_pstr_eq(text, paths[_i].value);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cli, edit");
	TCase *t = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(t, test_patch, 0, ARRAY_SIZE(patches));
	tcase_add_loop_test(t, test_find, 0, ARRAY_SIZE(paths));
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
