/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether drover says so when QEMU has something else than the runtime record tells of.
 */
#include "base/cleanup.h"
#include "stage.h"

#include <string.h>
#include <unistd.h>

enum { POLL_MS = 50 };

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

	/* The comparison takes three questions, and what is asked behind them on the same monitor is answered behind them. */
	json_object_put(client_ok(stage.c, "instance-pause", "{'instance': '%s'}", name));
	json_object_put(client_ok(stage.c, "instance-resume", "{'instance': '%s'}", name));
	drift = drift_of(name);
	ck_assert_msg(json_object_array_length(drift) == 0, "%s", json_object_to_json_string(drift));
}

#define UUID "11111111-22a7-4067-a566-7e0ca8386133"
#define ID "disk-11111111-22a7-4067"
#define ONE "{'instance': 'web', 'disk': {'uuid': '" UUID "', 'path': '%s/one.raw', 'name': 'one'}%s}"

/* Of the uuid UUID. */
static void attach_one(void)
{
	stage_write("one.raw", "an image");
	json_object_put(client_ok(stage.c, "disk-attach", ONE, stage.r->root, ""));
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

static void begin_with(const char *words)
{
	stage_set("%s", "");
	stage_define("web", "%s", words);
	stage_start("web");
}

static void begin(void)
{
	begin_with("ro");
}

static void expect_absent(struct json_object *list, const char *id)
{
	ck_assert_int_eq((int)json_object_array_length(list), 1);
	ck_assert_str_eq(first(list, "what"), "device");
	ck_assert_str_eq(first(list, "id"), id);
	ck_assert_str_eq(first(list, "record"), "attached");
	ck_assert_str_eq(first(list, "qemu"), "absent");
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
	expect_absent(list, id);
	again = drift_of("web");
	ck_assert(json_object_equal(list, again));
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
}
END_TEST

static bool is_changed(const char *command, const char *more)
{
	_cleanup_json_ struct json_object *o = client_ok(stage.c, command, ONE, stage.r->root, more);

	return json_object_get_boolean(at(o, "changed"));
}

/* Nobody asked for it. To attach it is not "there already"; to detach it clears up, and it comes again. */
START_TEST(a_device_that_the_guest_let_go_of)
{
	_cleanup_json_ struct json_object *list = NULL, *e = NULL, *healed = NULL;

	begin_with("fake.eject=stop+:" ID);
	attach_one();
	ck_assert(!is_changed("disk-attach", ""));
	json_object_put(client_ok(stage.c, "instance-pause", WEB));
	list = told();
	expect_absent(list, ID);
	e = client_error(stage.c, "WrongState", "disk-attach", ONE, stage.r->root, "");
	ck_assert_str_eq(str_at(e, "parameter"), "disk");
	ck_assert_ptr_nonnull(strstr(str_at(e, "desc"), "detach it"));
	ck_assert(!is_changed("disk-attach", ", 'live': false"));
	json_object_put(client_ok(stage.c, "disk-detach", "{'instance': 'web', 'disk': 'one'}"));
	healed = told();
	ck_assert_int_eq((int)json_object_array_length(healed), 0);
	attach_one();
	ck_assert(!is_changed("disk-attach", ""));
	json_object_put(client_ok(stage.c, "instance-resume", WEB));
	expect_none("web");
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
}
END_TEST

/* The comparison behind one change meets the next: what that has brought, and not recorded yet, is no difference. */
START_TEST(a_change_behind_a_change)
{
	_cleanup_json_ struct json_object *o = NULL, *reply = NULL;
	int id;

	stage_set("%s", "");
	stage_write("one.raw", "an image");
	stage_define("web", "fake.hold=qom-list:%s/go", stage.r->root);
	stage_start("web");
	id = client_send(stage.c, "disk-attach", ONE, stage.r->root, "");
	stage_await_text("run/operations/instance-web.json", "disk-attach");
	stage_write("go", "");
	reply = client_reply(stage.c, id);
	ck_assert(has(reply, "return"));
	expect_none("web");
	o = client_ok(stage.c, "query-events", "{'since': 0}");
	for (size_t i = 0; i < json_object_array_length(at(o, "events")); i++)
		ck_assert_str_ne(str_at(json_object_array_get_idx(at(o, "events"), i), "event"), "DRIFT");
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
}
END_TEST

/* While something else is done to its devices, which comes to its end first. */
START_TEST(let_go_of_beside_a_change)
{
	_cleanup_json_ struct json_object *list = NULL;

	begin_with("fake.eject=device_add#2:" ID);
	attach_one();
	attach("two");
	list = told();
	expect_absent(list, ID);
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
}
END_TEST

/* While there is no droverd, and the next one takes up something that waits for the guest and compares nothing. */
START_TEST(let_go_of_between_two_lives)
{
	_cleanup_json_ struct json_object *list = NULL, *jobs = NULL;

	begin_with("fake.powerdown=ignore fake.eject=greeting#3:" ID);
	attach_one();
	client_send(stage.c, "instance-shutdown", "{'instance': 'web', 'timeout': 3600}");
	json_object_put(stage_await_answer("system_powerdown"));
	stage_restart();
	list = told();
	expect_absent(list, ID);
	jobs = client_ok(stage.c, "query-jobs", NULL);
	ck_assert_str_eq(str_at(jobs, "0.type"), "instance-shutdown");
	ck_assert_str_eq(str_at(jobs, "0.status"), "running");
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
}
END_TEST

/* While its monitor was lost. */
START_TEST(let_go_of_unheard)
{
	_cleanup_json_ struct json_object *list = NULL;

	begin_with("fake.hangup=stop+ fake.eject=greeting#3:" ID);
	attach_one();
	client_send(stage.c, "instance-pause", WEB);
	list = told();
	expect_absent(list, ID);
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
}
END_TEST

/* The only difference is something that QEMU has and no record tells of. */
static void expect_stranger(struct json_object *list, const char *what, const char *id)
{
	ck_assert_int_eq((int)json_object_array_length(list), 1);
	ck_assert_str_eq(first(list, "what"), what);
	ck_assert_str_eq(first(list, "id"), id);
	ck_assert_str_eq(first(list, "record"), "absent");
	ck_assert_str_eq(first(list, "qemu"), "attached");
}

/* Which nothing else that drover knows is like: its place looks free. */
START_TEST(a_device_that_somebody_made)
{
	_cleanup_json_ struct json_object *list = NULL;

	begin();
	json_object_put(
		client_ok(stage.c, "instance-qmp",
			  "{'instance': 'web', 'execute': 'device_add', 'arguments': {'driver': "
			  "'virtio-rng-pci', 'id': 'foreign', 'bus': 'pci.0', 'addr': '0xe'}, 'unsafe': true}"));
	list = told();
	expect_stranger(list, "device", "foreign");
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
	expect_stranger(list, "node", "disk-of-mine");
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
}
END_TEST

START_TEST(an_object_that_somebody_made)
{
	_cleanup_json_ struct json_object *list = NULL;

	begin();
	attach_one();
	json_object_put(client_ok(stage.c, "instance-qmp",
				  "{'instance': 'web', 'execute': 'object-add', 'arguments': {'qom-type': "
				  "'throttle-group', 'id': 'group-of-mine'}, 'unsafe': true}"));
	list = told();
	expect_stranger(list, "object", "group-of-mine");
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
}
END_TEST

/* A group is there as long as one of its disks, and each other disk has one of its own. */
START_TEST(groups_of_our_own)
{
	begin();
	stage_write("one.raw", "an image");
	stage_write("two.raw", "an image");
	json_object_put(
		client_ok(stage.c, "devices-change",
			  "{'instance': 'web', 'attach': {'disks': [{'path': '%s/one.raw', 'name': 'one', "
			  "'throttle': {'group': 'g', 'iops_total': 100}}, {'path': '%s/two.raw', 'name': 'two', "
			  "'throttle': {'group': 'g', 'iops_total': 100}}]}}",
			  stage.r->root, stage.r->root));
	expect_none("web");
	json_object_put(client_ok(stage.c, "disk-detach", "{'instance': 'web', 'disk': 'one'}"));
	expect_none("web");
	json_object_put(client_ok(stage.c, "disk-detach", "{'instance': 'web', 'disk': 'two'}"));
	expect_none("web");
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
}
END_TEST

/* How many fd sets of images have a descriptor. */
static unsigned image_sets(void)
{
	_cleanup_json_ struct json_object *list = client_ok(stage.c, "instance-qmp",
							    "{'instance': 'web', 'execute': 'query-fdsets'}");
	unsigned n = 0;

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *set = json_object_array_get_idx(list, i);

		n += int_at(set, "fdset-id") > 2 && json_object_array_length(at(set, "fds")) > 0;
	}
	return n;
}

/* A set that no record knows is found by the next droverd, and emptied when the guest runs. */
START_TEST(a_set_that_nobody_knows)
{
	_cleanup_free_ char *text = NULL, *changed = NULL;
	_cleanup_json_ struct json_object *record = NULL;

	stage_set("%s", "");
	stage_define("web", "%s", "ro");
	json_object_put(client_ok(stage.c, "instance-start", "{'instance': 'web', 'paused': true}"));
	attach_one();
	stage_settle();
	ck_assert_uint_eq(image_sets(), 1);
	stage_kill();
	text = rig_file(stage.r, "%s", "run/instances/web/runtime.json");
	ck_assert(json_parse(text, strlen(text), &json_limits_qemu, &record, NULL));
	json_add(at(record, "fdsets"), "pending", json_object_new_array());
	changed = json_print(record);
	stage_write("run/instances/web/runtime.json", changed);
	stage_restart();
	json_object_put(client_ok(stage.c, "instance-resume", WEB));
	for (int i = 0; i < RIG_DEADLINE_MS / POLL_MS && image_sets() > 0; i++)
		usleep(POLL_MS * 1000);
	ck_assert_uint_eq(image_sets(), 0);
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
	static const TTest *const *const tests[] = { &nothing_of_our_own_doing,
						     &a_device_that_somebody_took,
						     &a_device_that_the_guest_let_go_of,
						     &let_go_of_beside_a_change,
						     &let_go_of_between_two_lives,
						     &let_go_of_unheard,
						     &a_change_behind_a_change,
						     &a_device_that_somebody_made,
						     &a_node_that_somebody_made,
						     &an_object_that_somebody_made,
						     &groups_of_our_own,
						     &a_set_that_nobody_knows,
						     &a_record_that_lies };
	Suite *s = suite_create("drift");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, NULL, stage_clear);
	suite_add_tcase(s, tc);
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		tcase_add_test(tc, *tests[i]);
	return s;
}

RIG_MAIN(make)
