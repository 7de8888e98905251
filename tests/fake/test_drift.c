/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether drover says so when QEMU has something else than the runtime record tells of.
 */
#include "base/cleanup.h"
#include "stage.h"

#define WEB "{'instance': 'web'}"

/* What query-instance says of it; the caller's. */
static struct json_object *drift_of(const char *name)
{
	_cleanup_json_ struct json_object *shown = stage_show(name);

	return json_object_get(at(shown, "drift"));
}

static void expect_none(const char *name)
{
	_cleanup_json_ struct json_object *drift = NULL;

	/* The comparison takes two questions, and what is asked behind them on the same monitor is answered behind them. */
	json_object_put(client_ok(stage.c, "instance-pause", "{'instance': '%s'}", name));
	json_object_put(client_ok(stage.c, "instance-resume", "{'instance': '%s'}", name));
	drift = drift_of(name);
	ck_assert_msg(json_object_array_length(drift) == 0, "%s", json_object_to_json_string(drift));
}

static void attach(const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/%s.raw", stage.r->root, name), *file = xasprintf("%s.raw", name);

	stage_write(file, "an image");
	json_object_put(client_ok(stage.c, "disk-attach", "{'instance': 'web', 'disk': {'path': '%s', 'name': '%s'}}",
				  path, name));
}

static const char *first(struct json_object *list, const char *member)
{
	ck_assert_int_ge((int)json_object_array_length(list), 1);
	return str_at(json_object_array_get_idx(list, 0), member);
}

/* The next event DRIFT; its list is the caller's. */
static struct json_object *told(void)
{
	_cleanup_json_ struct json_object *o = client_event(stage.c, "DRIFT");

	ck_assert_str_eq(str_at(o, "data.instance"), "web");
	return json_object_get(at(o, "data.drift"));
}

static void begin(void)
{
	stage_set("%s", "");
	stage_define("web", "%s", "ro");
	stage_start("web");
}

START_TEST(nothing_of_our_own_doing)
{
	begin();
	expect_none("web");
	attach("one");
	attach("two");
	expect_none("web");
	json_object_put(client_ok(stage.c, "disk-detach", "{'instance': 'web', 'disk': 'one'}"));
	expect_none("web");
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
}
END_TEST

START_TEST(a_device_that_somebody_took)
{
	_cleanup_json_ struct json_object *list = NULL, *shown = NULL, *again = NULL;
	const char *id;

	begin();
	attach("one");
	shown = stage_show("web");
	id = first(at(shown, "runtime.disks"), "hvinfo.id");
	json_object_put(client_ok(
		stage.c, "instance-qmp",
		"{'instance': 'web', 'execute': 'device_del', 'arguments': {'id': '%s'}, 'unsafe': true}", id));
	list = told();
	ck_assert_int_eq((int)json_object_array_length(list), 1);
	ck_assert_str_eq(first(list, "what"), "device");
	ck_assert_str_eq(first(list, "id"), id);
	ck_assert_str_eq(first(list, "record"), "attached");
	ck_assert_str_eq(first(list, "qemu"), "absent");
	again = drift_of("web");
	ck_assert(json_object_equal(list, again));
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
}
END_TEST

START_TEST(a_node_that_somebody_made)
{
	_cleanup_json_ struct json_object *list = NULL;

	begin();
	json_object_put(client_ok(stage.c, "instance-qmp",
				  "{'instance': 'web', 'execute': 'blockdev-add', 'arguments': {'driver': 'null-co', "
				  "'node-name': 'disk-of-mine'}, 'unsafe': true}"));
	list = told();
	ck_assert_int_eq((int)json_object_array_length(list), 1);
	ck_assert_str_eq(first(list, "what"), "node");
	ck_assert_str_eq(first(list, "record"), "absent");
	ck_assert_str_eq(first(list, "qemu"), "attached");
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
}
END_TEST

/* Found again with a record that has a disk which QEMU has not. */
START_TEST(a_record_that_lies)
{
	_cleanup_json_ struct json_object *list = NULL, *record = NULL;
	_cleanup_free_ char *text = NULL, *changed = NULL;

	begin();
	stage_kill();
	text = rig_file(stage.r, "%s", "run/instances/web/runtime.json");
	ck_assert(json_parse(text, strlen(text), &json_limits_qemu, &record, NULL));
	json_object_array_add(at(record, "disks"),
			      json_tokener_parse("{\"name\": \"x\", \"hvinfo\": {\"id\": \"disk-x\"}, \"nodes\": []}"));
	changed = json_print(record);
	stage_write("run/instances/web/runtime.json", changed);
	stage_restart();
	list = told();
	ck_assert_str_eq(first(list, "id"), "disk-x");
	ck_assert_str_eq(first(list, "qemu"), "absent");
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
}
END_TEST

static Suite *make(void)
{
	static const TTest *const *const tests[] = { &nothing_of_our_own_doing, &a_device_that_somebody_took,
						     &a_node_that_somebody_made, &a_record_that_lies };
	Suite *s = suite_create("drift");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, NULL, stage_clear);
	suite_add_tcase(s, tc);
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		tcase_add_test(tc, *tests[i]);
	return s;
}

RIG_MAIN(make)
