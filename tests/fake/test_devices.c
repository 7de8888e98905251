/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which device a request is about where more than one might be meant, and what is refused, in the request's words.
 */
#include "requests.h"

/* The id of one is the name of the other, which is in front of it: ids come first. */
START_TEST(id_before_name)
{
	_cleanup_json_ struct json_object *o = NULL;

	set("");
	json_object_put(done("disk-attach", "'disk': {'uuid': '" B "', 'name': '" A_ID "', 'path': '@/two'}"));
	json_object_put(done("disk-attach", "'disk': {'uuid': '" A "', 'path': '@/one'}"));
	o = done("disk-detach", "'disk': '" A_ID "'");
	ck_assert_str_eq(str_at(o, "disk.uuid"), A);
	check_first(B, B);
}
END_TEST

/* By the same name one runs and another is to run at the next start. */
START_TEST(another_of_this_name_runs)
{
	_cleanup_json_ struct json_object *o = NULL;

	set("");
	json_object_put(done("disk-attach", "'disk': {'uuid': '" A "', 'name': 'x', 'path': '@/one'}"));
	json_object_put(
		done("instance-modify", "'patch': {'disks': [{'uuid': '" B "', 'name': 'x', 'path': '@/two'}]}"));
	check_first(A, B);
	o = done("disk-detach", "'disk': 'x', 'live': false");
	ck_assert(json_get_bool(o, "changed", false));
	ck_assert_str_eq(str_at(o, "disk.uuid"), B);
	check_first(A, NULL);
	json_object_put(done("disk-detach", "'disk': 'x'"));
	check_first(NULL, NULL);
}
END_TEST

static const struct {
	const char *class, *command, *args, *parameter, *words;
} refusals[] = {
	{ "InvalidParameter", "devices-change",
	  "'attach': {'disks': [{'uuid': '" A "', 'path': '@/one'}, {'uuid': '" A "', 'path': '@/one'}]}",
	  "attach.disks[1]" },
	{ "InvalidParameter", "devices-change", "'detach': ['x', '" A "']", "detach[1]" },
	{ "NotFound", "disk-detach", "'disk': 'nic0'", "disk", "no disk 'nic0'" },
	{ "NotFound", "nic-detach", "'nic': 'x'", "nic", "no network card 'x'" },
	{ "NotFound", "devices-change", "'detach': ['x', 'y']", "detach[1]", "no device 'y'" },
	{ "Exists", "disk-attach", "'disk': {'path': '@/two', 'name': 'x'}", "disk.name" },
	{ "Exists", "disk-attach", "'disk': {'uuid': '" A "', 'path': '@/two'}", "disk" },
	{ "Exists", "devices-change", "'attach': {'disks': [{'uuid': '" A "', 'path': '@/two'}]}, 'detach': ['x']",
	  "attach.disks[0]", "detach it first, in a request of its own" },
	{ "Exists", "devices-change", "'attach': {'disks': [{'name': 'x', 'path': '@/two'}]}, 'detach': ['" MAC "']",
	  "attach.disks[0].name" },
	{ "InvalidParameter", "devices-change",
	  "'attach': {'disks': [{'path': '@/two', 'bootindex': 1}, {'path': '@/two', 'bootindex': 1}]}",
	  "attach.disks[1].bootindex", "1 is attach.disks[0]'s already" },
	{ "InvalidParameter", "nic-attach", "'nic': {'mode': 'none', 'mac': '" MAC "'}", "nic.mac" },
	{ "InvalidParameter", "devices-change", "'attach': {'nics': [{'mode': 'none'}, {'mac': '" MAC "'}]}",
	  "attach.nics[1].mac" },
};

/* Also where what is in the way has left the definition, and runs still. */
START_TEST(refused)
{
	set("");
	json_object_put(done("disk-attach", "'disk': {'uuid': '" A "', 'name': 'x', 'path': '@/one'}"));
	json_object_put(done("nic-attach", "'nic': {'mode': 'none', 'mac': '" MAC "'}"));
	json_object_put(done("nic-detach", "'nic': '" MAC "', 'live': false"));
	stage_mark();
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		_cleanup_json_ struct json_object *e = fails(refusals[i].class, refusals[i].command, refusals[i].args);
		_cleanup_free_ char *words = xasprintf("'%s': ", refusals[i].parameter);

		ck_assert_str_eq(str_at(e, "parameter"), refusals[i].parameter);
		ck_assert_msg(str_starts(str_at(e, "desc"), words), "%s", str_at(e, "desc"));
		ck_assert_msg(!refusals[i].words || strstr(str_at(e, "desc"), refusals[i].words), "%s",
			      str_at(e, "desc"));
		stage_check_unchanged();
	}
}
END_TEST

/* QEMU's words are about a lock only if they are. */
START_TEST(block_is_no_lock)
{
	_cleanup_json_ struct json_object *e = NULL;

	set("fake.error=device_add:GenericError:bad_logical_block_size");
	e = fails("QemuError", "disk-attach", "'disk': {'uuid': '" A "', 'path': '@/one'}");
	ck_assert_msg(!strstr(str_at(e, "desc"), "in use"), "%s", str_at(e, "desc"));
	check_first(NULL, NULL);
}
END_TEST

/* QEMU's answer about its nodes is no list of any. */
START_TEST(nodes_are_no_list)
{
	_cleanup_json_ struct json_object *e = NULL;

	set("fake.lie=query-named-block-nodes");
	json_object_put(done("disk-attach", "'disk': {'uuid': '" A "', 'path': '@/one'}"));
	e = fails("QemuError", "disk-resize", "'disk': '" A "', 'size': '64M'");
	ck_assert_msg(strstr(str_at(e, "desc"), "how large"), "%s", str_at(e, "desc"));
	check_first(A, A);
}
END_TEST

/* A runtime record that says that a device is there, and not what it is: nothing is guessed. */
START_TEST(half_recorded)
{
	_cleanup_json_ struct json_object *record = NULL, *e = NULL;
	_cleanup_free_ char *text = NULL;

	set("");
	json_object_put(done("disk-attach", "'disk': {'uuid': '" A "', 'path': '@/one'}"));
	json_object_put(done("nic-attach", "'nic': {'mode': 'none', 'mac': '" MAC "'}"));
	stage_kill();
	text = rig_file(stage.r, "run/instances/web/runtime.json");
	record = json_tokener_parse(text);
	json_object_object_del(at(record, "definition"), "disks");
	stage_write("run/instances/web/runtime.json", json_object_to_json_string(record));
	stage_restart();
	stage_settle();
	e = fails("WrongState", "devices-change", "'detach': ['" A "', '" MAC "']");
	ck_assert_msg(strstr(str_at(e, "desc"), A_ID), "%s", str_at(e, "desc"));
	check_first(A, A);
}
END_TEST

/* One that does not say by which id QEMU knows a device. */
START_TEST(recorded_without_an_id)
{
	_cleanup_json_ struct json_object *record = NULL;
	_cleanup_free_ char *text = NULL;

	set("");
	json_object_put(done("disk-attach", "'disk': {'uuid': '" A "', 'name': 'x', 'path': '@/one'}"));
	stage_kill();
	text = rig_file(stage.r, "run/instances/web/runtime.json");
	record = json_tokener_parse(text);
	json_object_object_del(at(record, "disks.0"), "hvinfo");
	stage_write("run/instances/web/runtime.json", json_object_to_json_string(record));
	stage_restart();
	stage_settle();
	json_object_put(fails("WrongState", "disk-detach", "'disk': 'x'"));
	json_object_put(fails("WrongState", "disk-detach", "'disk': 'x', 'live': false"));
	json_object_put(fails("WrongState", "disk-resize", "'disk': 'x', 'size': '64M'"));
	json_object_put(fails("WrongState", "devices-change",
			      "'attach': {'disks': [{'name': 'x', 'path': '@/two'}]}, 'detach': ['nothing']"));
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	json_object_put(done("disk-detach", "'disk': 'x'"));
}
END_TEST

/* Whether QEMU has an object, or a device. */
static bool is_there(const char *path, const char *name)
{
	_cleanup_json_ struct json_object *list = client_ok(
		stage.c, "instance-qmp", "{'instance': 'web', 'execute': 'qom-list', 'arguments': {'path': '%s'}}",
		path);

	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (str_eq(str_at(json_object_array_get_idx(list, i), "name"), name))
			return true;
	return false;
}

/* The disk that comes shares the limits of the one that goes. */
START_TEST(group_changes_hands)
{
	static const char throttle[] = "'throttle': {'iops_total': 50, 'group': 'g'}";
	_cleanup_free_ char *first = xasprintf("'disk': {'uuid': '" A "', 'path': '@/one', %s}", throttle);
	_cleanup_free_ char *second = xasprintf(
		"'attach': {'disks': [{'uuid': '" B "', 'path': '@/two', %s}]}, 'detach': ['" A "']", throttle);

	set("");
	json_object_put(done("disk-attach", first));
	json_object_put(done("devices-change", second));
	check_first(B, B);
	ck_assert(is_there("/objects", "group-g"));
	json_object_put(done("devices-change", "'detach': ['" B "']"));
	check_first(NULL, NULL);
	ck_assert(!is_there("/objects", "group-g"));
}
END_TEST

/* An empty drive is in no group, so it neither makes one nor keeps it. */
START_TEST(group_of_an_empty_drive)
{
	static const char throttle[] = "'throttle': {'iops_total': 50, 'group': 'g'}";
	_cleanup_free_ char *drive = xasprintf("'disk': {'media': 'cdrom', %s}, 'live': false", throttle);
	_cleanup_free_ char *disk = xasprintf("'disk': {'uuid': '" A "', 'name': 'x', 'path': '@/one', %s}", throttle);

	set("");
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	json_object_put(done("disk-attach", drive));
	json_object_put(client_ok(stage.c, "instance-start", WEB));
	json_object_put(done("disk-attach", disk));
	ck_assert(is_there("/objects", "group-g"));
	json_object_put(done("disk-detach", "'disk': 'x'"));
	ck_assert(!is_there("/objects", "group-g"));
}
END_TEST

#define REPLACE(more) "'attach': {'disks': [{'uuid': '" B "', 'name': 'x', 'path': '@/two'}" more "]}, 'detach': ['x']"

static void attach_x(void)
{
	json_object_put(done("disk-attach", "'disk': {'uuid': '" A "', 'name': 'x', 'path': '@/one'}"));
}

static void set_x(const char *words)
{
	set(words);
	attach_x();
}

/* What the first in both records is, and is called. */
static void check_x(const char *uuid)
{
	_cleanup_json_ struct json_object *o = stage_show("web");

	check_first(uuid, uuid);
	ck_assert_str_eq(str_at(o, "runtime.disks.0.name"), "x");
	ck_assert_str_eq(str_at(o, "definition.disks.0.name"), "x");
}

/* One disk for another, by the same name. */
START_TEST(replaced)
{
	_cleanup_json_ struct json_object *o = NULL;

	set_x("");
	o = done("devices-change", REPLACE(""));
	ck_assert_int_eq((int)json_object_array_length(at(o, "disks")), 2);
	ck_assert_str_eq(str_at(o, "disks.0.uuid"), B);
	ck_assert_str_eq(str_at(o, "disks.1.name"), "x");
	check_x(B);
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	json_object_put(done("devices-change",
			     "'attach': {'disks': [{'uuid': '" A "', 'name': 'x', 'path': '@/one'}]}, "
			     "'detach': ['x']"));
	check_first(NULL, A);
}
END_TEST

/* QEMU refuses the new one: the old one is given back, and so is its name. */
START_TEST(not_replaced)
{
	_cleanup_free_ char *before = NULL;

	set_x("fake.error=device_add#2:GenericError:no");
	before = stage_gear();
	json_object_put(fails("QemuError", "devices-change", REPLACE("")));
	check_x(A);
	stage_check_gear(before);
}
END_TEST

/* droverd dies when both are in the record, the guest has the old one, and the definition has both as well. */
START_TEST(replacing_dies)
{
	_cleanup_free_ char *args = NULL;

	set_with("devices-change/wait for the guest/before/kill", "");
	attach_x();
	args = filled(REPLACE(""));
	client_send(stage.c, "devices-change", "{'instance': 'web', %s}", args);
	rig_wait(stage.r);
	client_free(TAKE_PTR(stage.c));
	free(TAKE_PTR(stage.r->fault));
	stage_restart();
	stage_settle();
	check_x(A);
	json_object_put(done("devices-change", REPLACE("")));
	check_x(B);
}
END_TEST

/* The guest has the new one by then, and does not let go of it. */
START_TEST(half_replaced)
{
	_cleanup_json_ struct json_object *o = NULL;

	set_x("fake.error=device_add#3:GenericError:no fake.unplug=" B_ID "/ignore");
	json_object_put(fails("QemuError", "devices-change", REPLACE(", {'path': '@/three'}") ", 'timeout': 1"));
	check_x(A);
	o = stage_show("web");
	ck_assert_str_eq(str_at(o, "runtime.disks.1.name"), B_ID);
	ck_assert_str_eq(str_at(o, "runtime.disks.1.state"), "detach-pending");
	stage_restart();
	stage_settle();
	json_object_put(done("disk-detach", "'disk': 'x'"));
	check_first(B, NULL);
}
END_TEST

/* A device that is new in the definition does not get the place of one that runs and has left it. */
START_TEST(places_of_what_runs)
{
	_cleanup_json_ struct json_object *o = NULL, *shown = NULL;

	set("");
	json_object_put(done("disk-attach", "'disk': {'uuid': '" A "', 'path': '@/one'}"));
	json_object_put(done("disk-detach", "'disk': '" A "', 'live': false"));
	json_object_put(
		done("instance-modify", "'patch': {'disks': [{'uuid': '" B "', 'name': 'two', 'path': '@/two'}]}"));
	o = done("disk-attach", "'disk': {'uuid': '" B "', 'path': '@/two'}");
	ck_assert(json_get_bool(o, "changed", false));
	shown = stage_show("web");
	ck_assert_str_eq(str_at(shown, "runtime.disks.0.hvinfo.addr"), "0xc");
	ck_assert_str_eq(str_at(shown, "runtime.disks.1.hvinfo.addr"), "0xd");
}
END_TEST

/* What has left the definition, and runs still, has its address. */
START_TEST(address_of_what_runs)
{
	static const char card[] = "{'instance': 'other', 'nic': {'mode': 'none', 'mac': '" MAC "'}}";

	set("");
	json_object_put(done("nic-attach", "'nic': {'mode': 'none', 'mac': '" MAC "'}"));
	json_object_put(done("nic-detach", "'nic': '" MAC "', 'live': false"));
	client_define(stage.c, "other", "'nics': []");
	json_object_put(client_error(stage.c, "Exists", "nic-attach", "%s", card));
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	json_object_put(client_ok(stage.c, "nic-attach", "%s", card));
}
END_TEST

/* A guest may eject the controller of a PC with all its disks; the next disk brings another. */
START_TEST(controller_that_left)
{
	set("fake.eject=stop+:scsi");
	json_object_put(
		done("disk-attach", "'disk': {'uuid': '" A "', 'name': 'x', 'path': '@/one', 'type': 'scsi-hd'}"));
	ck_assert(is_there("/machine/peripheral", "scsi"));
	json_object_put(client_ok(stage.c, "instance-pause", WEB));
	json_object_put(client_event(stage.c, "DRIFT"));
	json_object_put(client_ok(stage.c, "instance-resume", WEB));
	ck_assert(!is_there("/machine/peripheral", "scsi"));
	json_object_put(
		done("disk-attach", "'disk': {'uuid': '" B "', 'name': 'y', 'path': '@/two', 'type': 'scsi-hd'}"));
	ck_assert(is_there("/machine/peripheral", "scsi"));
	ck_assert(is_there("/machine/peripheral", B_ID));
}
END_TEST

/* Who has no name does not get that of another in the same request. */
START_TEST(name_of_another)
{
	_cleanup_json_ struct json_object *o = NULL;

	set("");
	o = done("devices-change", "'attach': {'disks': [{'path': '@/one'}, {'name': 'disk0', 'path': '@/two'}]}");
	ck_assert_str_eq(str_at(o, "disks.0.name"), "disk1");
	ck_assert_str_eq(str_at(o, "disks.1.name"), "disk0");
}
END_TEST

/* ---- the firmware's order ---- */

static void set_bootable(const char *more, const char *start)
{
	_cleanup_free_ char *fake = rig_shared("fake-qemu"), *filled_more = NULL;

	stage_set("%s", "");
	images = stage.r->root;
	stage_write("one", "an image");
	stage_write("two", "an image");
	stage_write("three", "an image");
	filled_more = filled(more);
	client_define(stage.c, "web", "'hvparams': {'accel': 'tcg', 'kvm_path': '%s'%s", fake, filled_more);
	json_object_put(client_ok(stage.c, "instance-start", "{'instance': 'web'%s}", start));
}

static const struct {
	const char *more, *start, *taken, *holder;
} orders[] = {
	{ "}, 'disks': [{'name': 'first', 'path': '@/one'}]", "", "1", "'first'" },
	{ ", 'boot_order': 'network'}, 'disks': [{'path': '@/one'}], 'nics': [{'name': 'first', 'mode': 'user'}]", "",
	  "1", "'first'" },
	/* In front of all is the card, so what comes behind it has other numbers than it says. */
	{ "}, 'disks': [{'name': 'first', 'path': '@/one', 'bootindex': 5}], 'nics': [{'mode': 'user'}]",
	  ", 'boot': 'network'", "3", "'first'" },
};

/* QEMU gives a place to one device only, also one that no definition names. */
START_TEST(place_in_order_is_taken)
{
	_cleanup_free_ char *disk = xasprintf("'disk': {'uuid': '" B "', 'path': '@/two', 'bootindex': %s}",
					      orders[_i].taken);
	_cleanup_free_ char *cold = xasprintf("%s, 'live': false", disk);
	_cleanup_json_ struct json_object *e = NULL;

	set_bootable(orders[_i].more, orders[_i].start);
	e = fails("InvalidParameter", "disk-attach", disk);
	ck_assert_str_eq(str_at(e, "parameter"), "disk.bootindex");
	ck_assert_msg(strstr(str_at(e, "desc"), orders[_i].holder), "%s", str_at(e, "desc"));
	ck_assert(!has(e, "step"));
	json_object_put(done("disk-attach", cold));
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	json_object_put(client_ok(stage.c, "instance-start", WEB));
}
END_TEST

/* What the machine was started with counts, until the device has gone. */
START_TEST(place_in_order_stays)
{
	_cleanup_json_ struct json_object *shown = NULL;

	set_bootable("}, 'disks': [{'name': 'first', 'path': '@/one'}]", "");
	json_object_put(done("disk-attach", "'disk': {'name': 'second', 'path': '@/two', 'bootindex': 2}"));
	stage_restart();
	stage_settle();
	shown = stage_show("web");
	ck_assert_int_eq(int_at(shown, "runtime.disks.0.bootindex"), 1);
	ck_assert_int_eq(int_at(shown, "runtime.disks.1.bootindex"), 2);
	json_object_put(fails("InvalidParameter", "disk-attach", "'disk': {'path': '@/three', 'bootindex': 1}"));
	json_object_put(done("devices-change",
			     "'attach': {'disks': [{'path': '@/three', 'bootindex': 1}]}, 'detach': ['first']"));
	json_object_put(done("disk-detach", "'disk': 'second'"));
	json_object_put(done("disk-attach", "'disk': {'path': '@/two', 'bootindex': 2}"));
}
END_TEST

/* What has no limit says so. */
START_TEST(rates_of_a_card)
{
	static const char *const members[] = { "rate_in", "rate_out" };
	_cleanup_json_ struct json_object *o = NULL, *shown = NULL;

	set("");
	o = done("nic-attach", "'nic': {'mode': 'none', 'mac': '" MAC "'}");
	shown = stage_show("web");
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		struct json_object *value;

		ck_assert(json_object_object_get_ex(at(o, "nic"), members[i], &value) && !value);
		ck_assert(json_object_object_get_ex(at(shown, "runtime.nics.0"), members[i], &value) && !value);
	}
}
END_TEST

/* QEMU ends while it makes a disk larger: whether it has, nobody can say. One that refuses has not. */
START_TEST(a_resize_that_nobody_answers)
{
	static const struct {
		const char *words, *class;
		bool undone;
	} rows[] = {
		{ "fake.exit=block_resize:3", "GuestGone", false },
		{ "fake.silent=block_resize fake.exit=block_resize+:3", "GuestGone", false },
		{ "fake.error=block_resize:GenericError:no", "QemuError", true },
	};
	_cleanup_json_ struct json_object *e = NULL;

	set(rows[_i].words);
	json_object_put(done("disk-attach", "'disk': {'uuid': '" A "', 'name': 'x', 'path': '@/one'}"));
	e = fails(rows[_i].class, "disk-resize", "'disk': 'x', 'size': '1M'");
	ck_assert_msg(json_object_get_boolean(at(e, "undone")) == rows[_i].undone, "%s", json_object_to_json_string(e));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("devices");
	TCase *t = tcase_create("requests");

	tcase_add_checked_fixture(t, NULL, stage_clear);
	tcase_add_test(t, id_before_name);
	tcase_add_test(t, another_of_this_name_runs);
	tcase_add_test(t, refused);
	tcase_add_test(t, block_is_no_lock);
	tcase_add_test(t, nodes_are_no_list);
	tcase_add_test(t, half_recorded);
	tcase_add_test(t, recorded_without_an_id);
	tcase_add_test(t, group_changes_hands);
	tcase_add_test(t, group_of_an_empty_drive);
	tcase_add_test(t, replaced);
	tcase_add_test(t, not_replaced);
	tcase_add_test(t, replacing_dies);
	tcase_add_test(t, half_replaced);
	tcase_add_test(t, places_of_what_runs);
	tcase_add_test(t, address_of_what_runs);
	tcase_add_test(t, name_of_another);
	tcase_add_test(t, controller_that_left);
	tcase_add_loop_test(t, place_in_order_is_taken, 0, (int)ARRAY_SIZE(orders));
	tcase_add_test(t, place_in_order_stays);
	tcase_add_test(t, rates_of_a_card);
	tcase_add_loop_test(t, a_resize_that_nobody_answers, 0, 3);
	suite_add_tcase(s, t);
	return s;
}

RIG_MAIN(suite)
