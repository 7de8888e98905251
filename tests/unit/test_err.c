/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/err.h"

#include "base/json.h"

#include <assert.h>
#include <check.h>
#include <errno.h>
#include <string.h>

/* The API's table. */
static const struct {
	enum err_class class;
	const char *name;
	int exit;
	bool retry;
} table[] = {
	{ ERR_GENERIC, "GenericError", 1, false },
	{ ERR_COMMAND_NOT_FOUND, "CommandNotFound", 2, false },
	{ ERR_INVALID_PARAMETER, "InvalidParameter", 2, false },
	{ ERR_NOT_FOUND, "NotFound", 3, false },
	{ ERR_EXISTS, "Exists", 4, false },
	{ ERR_WRONG_STATE, "WrongState", 5, false },
	{ ERR_BUSY, "Busy", 6, true },
	{ ERR_NO_SLOT, "NoSlot", 7, false },
	{ ERR_NO_SPACE, "NoSpace", 8, false },
	{ ERR_PERMISSION_DENIED, "PermissionDenied", 9, false },
	{ ERR_UNSUPPORTED, "Unsupported", 10, false },
	{ ERR_TIMEOUT, "Timeout", 11, true },
	{ ERR_CANCELLED, "Cancelled", 12, false },
	{ ERR_GUEST_REFUSED, "GuestRefused", 13, false },
	{ ERR_GUEST_GONE, "GuestGone", 14, false },
	{ ERR_QEMU, "QemuError", 15, false },
	{ ERR_STORAGE, "StorageError", 16, false },
	{ ERR_NETWORK, "NetworkError", 17, false },
	{ ERR_GAP, "Gap", 18, false },
	{ ERR_UNAVAILABLE, "Unavailable", 19, true },
};
static_assert(ARRAY_SIZE(table) == ERR_CLASS_COUNT, "each class");

START_TEST(test_classes)
{
	const struct err_class_info *info = err_class_info(table[_i].class);

	ck_assert_str_eq(info->name, table[_i].name);
	ck_assert_int_eq(info->exit, table[_i].exit);
	ck_assert_int_eq(info->retry, table[_i].retry);
	ck_assert(!str_empty(info->doc));
	ck_assert_int_eq(err_class_from_name(table[_i].name), table[_i].class);
}
END_TEST

START_TEST(test_unknown_classes)
{
	ck_assert_int_eq(err_class_from_name("NoSuchError"), ERR_GENERIC);
	ck_assert_int_eq(err_class_from_name("notfound"), ERR_GENERIC);
	ck_assert_int_eq(err_class_from_name(""), ERR_GENERIC);
	ck_assert_int_eq(err_class_from_name(NULL), ERR_GENERIC);
}
END_TEST

START_TEST(test_describe)
{
	_cleanup_json_ struct json_object *list = err_describe();

	ck_assert_uint_eq(json_object_array_length(list), ARRAY_SIZE(table));
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct json_object *row = json_object_array_get_idx(list, i);

		ck_assert_str_eq(json_get_str(row, "name"), table[i].name);
		ck_assert_int_eq(json_get_int(row, "exit", -1), table[i].exit);
		ck_assert_int_eq(json_get_bool(row, "retry", !table[i].retry), table[i].retry);
		ck_assert_ptr_nonnull(json_get_str(row, "doc"));
	}
}
END_TEST

START_TEST(test_set)
{
	struct err *e = NULL;

	ck_assert(!err_set(&e, ERR_BUSY, "%d of %s", 3, "four"));
	ck_assert_int_eq(e->class, ERR_BUSY);
	ck_assert_str_eq(e->desc, "3 of four");
	ck_assert_ptr_null(e->extra);
	ck_assert_ptr_null(err_free(e));
	ck_assert_ptr_null(err_free(NULL));
	ck_assert(!err_set(NULL, ERR_BUSY, "nobody cares"));
	ck_assert(!err_set_errno(NULL, ERR_BUSY, ENOENT, "nobody cares"));
	ck_assert(!err_set_param(NULL, "x", "nobody cares"));
}
END_TEST

static const struct {
	int errnum;
	enum err_class class;
} errnos[] = {
	{ ENOENT, ERR_NOT_FOUND },
	{ ENOSPC, ERR_NO_SPACE },
	{ EDQUOT, ERR_NO_SPACE },
	{ EACCES, ERR_PERMISSION_DENIED },
	{ EPERM, ERR_PERMISSION_DENIED },
	{ EROFS, ERR_PERMISSION_DENIED },
	{ EIO, ERR_STORAGE },
	{ EINVAL, ERR_STORAGE },
};

START_TEST(test_set_errno)
{
	_cleanup_free_ char *expected = xasprintf("cannot read 'x': %s", strerror(errnos[_i].errnum));
	struct err *e = NULL;

	ck_assert(!err_set_errno(&e, ERR_STORAGE, errnos[_i].errnum, "cannot read '%s'", "x"));
	ck_assert_int_eq(e->class, errnos[_i].class);
	ck_assert_str_eq(e->desc, expected);
	err_free(e);
}
END_TEST

START_TEST(test_set_param)
{
	struct err *e = NULL;

	ck_assert(!err_set_param(&e, "disks[1].cache", "must be %s", "text"));
	ck_assert_int_eq(e->class, ERR_INVALID_PARAMETER);
	ck_assert_str_eq(e->desc, "'disks[1].cache': must be text");
	ck_assert_str_eq(json_get_str(e->extra, "parameter"), "disks[1].cache");
	err_free(e);
}
END_TEST

START_TEST(test_keep_first)
{
	struct err *first = NULL, *second = NULL, *kept = NULL;

	err_keep_first(&kept, NULL);
	ck_assert_ptr_null(kept);
	err_set(&first, ERR_BUSY, "first");
	err_keep_first(&kept, first);
	ck_assert_ptr_eq(kept, first);
	err_keep_first(&kept, NULL);
	ck_assert_ptr_eq(kept, first);
	err_set(&second, ERR_GAP, "second");
	err_keep_first(&kept, second);
	ck_assert_ptr_eq(kept, first);
	err_free(kept);
}
END_TEST

START_TEST(test_copy)
{
	struct err *e = NULL, *copy;

	ck_assert_ptr_null(err_copy(NULL));
	err_set(&e, ERR_GAP, "lost");
	err_add(e, "oldest", json_object_new_int(7));
	copy = err_copy(e);
	err_prefix(copy, "'%s'", "events");
	err_add(copy, "oldest", json_object_new_int(8));
	ck_assert_str_eq(e->desc, "lost");
	ck_assert_int_eq(json_get_int(e->extra, "oldest", 0), 7);
	err_free(e);
	ck_assert_int_eq(copy->class, ERR_GAP);
	ck_assert_str_eq(copy->desc, "'events': lost");
	ck_assert_int_eq(json_get_int(copy->extra, "oldest", 0), 8);
	err_free(copy);
}
END_TEST

START_TEST(test_json)
{
	_cleanup_err_ struct err *e = NULL, *back = NULL;
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_free_ char *text = NULL;

	err_set(&e, table[_i].class, "words with 'ticks' and \"quotes\"");
	err_add(e, "step", json_object_new_string("add block node"));
	err_add(e, "undone", json_object_new_boolean(true));
	err_add(e, "list", json_object_new_array());
	o = err_to_json(e);
	text = json_print(o);
	ck_assert(str_starts(text, "{\"class\":\""));
	ck_assert_str_eq(json_get_str(o, "class"), table[_i].name);
	ck_assert_ptr_nonnull(strstr(text, ",\"step\":\"add block node\",\"undone\":true,\"list\":[]}"));
	back = err_from_json(o);
	ck_assert_int_eq(back->class, e->class);
	ck_assert_str_eq(back->desc, e->desc);
	ck_assert(json_object_equal(back->extra, e->extra));
}
END_TEST

START_TEST(test_json_without_more)
{
	struct err *e = NULL;
	struct json_object *o;
	_cleanup_free_ char *text = NULL;

	err_set(&e, ERR_EXISTS, "it is there");
	o = err_to_json(e);
	text = json_print(o);
	ck_assert_str_eq(text, "{\"class\":\"Exists\",\"desc\":\"it is there\"}");
	err_free(e);
	e = err_from_json(o);
	ck_assert_ptr_null(e->extra);
	err_free(e);
	json_object_put(o);
}
END_TEST

static const struct {
	const char *json;
	enum err_class class;
	const char *desc;
} odd[] = {
	{ "null", ERR_GENERIC, NULL },
	{ "[]", ERR_GENERIC, NULL },
	{ "\"text\"", ERR_GENERIC, NULL },
	{ "{}", ERR_GENERIC, NULL },
	{ "{\"class\": \"Busy\"}", ERR_BUSY, NULL },
	{ "{\"class\": \"FromTheFuture\", \"desc\": \"x\"}", ERR_GENERIC, "x" },
	{ "{\"class\": 1, \"desc\": \"x\"}", ERR_GENERIC, "x" },
	{ "{\"class\": null, \"desc\": null}", ERR_GENERIC, NULL },
	{ "{\"class\": [], \"desc\": {}}", ERR_GENERIC, NULL },
};

START_TEST(test_odd_json)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct err *e;

	ck_assert(json_parse(odd[_i].json, strlen(odd[_i].json), &json_limits_request, &o, NULL));
	e = err_from_json(o);
	ck_assert_int_eq(e->class, odd[_i].class);
	ck_assert(!str_empty(e->desc));
	if (odd[_i].desc)
		ck_assert_str_eq(e->desc, odd[_i].desc);
	err_free(e);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("err");
	TCase *tc = tcase_create("err");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_loop_test(tc, test_classes, 0, ARRAY_SIZE(table));
	tcase_add_test(tc, test_unknown_classes);
	tcase_add_test(tc, test_describe);
	tcase_add_test(tc, test_set);
	tcase_add_loop_test(tc, test_set_errno, 0, ARRAY_SIZE(errnos));
	tcase_add_test(tc, test_set_param);
	tcase_add_test(tc, test_keep_first);
	tcase_add_test(tc, test_copy);
	tcase_add_loop_test(tc, test_json, 0, ARRAY_SIZE(table));
	tcase_add_test(tc, test_json_without_more);
	tcase_add_loop_test(tc, test_odd_json, 0, ARRAY_SIZE(odd));
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
