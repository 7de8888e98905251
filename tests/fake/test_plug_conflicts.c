/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices that cannot be had beside those that are there: refused by the name of what is wrong, and nothing is left.
 */
#include "stage.h"

#include "base/cleanup.h"

#include <string.h>

#define DISK "11111111-22a7-4067-a566-7e0ca8386133"
#define OTHER "33333333-22a7-4067-a566-7e0ca8386133"
#define ALIKE "11111111-22a7-4067-b566-7e0ca8386133" /* the id would be the same */
#define NIC "22222222-66a8-4e6d-8b7e-ec4f69751396"
#define MAC "52:54:00:3a:91:03"
#define OTHERS_MAC "52:54:00:3a:91:04"
#define THERE "{'uuid': '" DISK "', 'name': 'one', 'path': 'ROOT/one'"
#define TWO "'path': 'ROOT/two'"
#define SAYS_LOCKED "GenericError:Failed_to_get_write_lock"

static int send_it(const char *command, const char *more)
{
	_cleanup_free_ char *text = stage_text(more);

	return client_send(stage.c, command, "{'instance': 'web', %s}", text);
}

/* A machine that runs, with a disk and a card, and another one with a card. */
static void set(const char *words)
{
	_cleanup_json_ struct json_object *reply = NULL;

	stage_set("%s", "");
	stage_write("one", "an image");
	stage_write("two", "an image");
	client_define(stage.c, "other", "'nics': [{'mac': '" OTHERS_MAC "', 'mode': 'user'}]");
	stage_define("web", "%s", words);
	stage_start("web");
	reply = client_reply(stage.c,
			     send_it("devices-change", "'attach': {'disks': [" THERE "}], 'nics': [{'uuid': '" NIC
						       "', 'name': 'nic', 'mac': '" MAC "', 'mode': 'user'}]}"));
	ck_assert_msg(has(reply, "return"), "%s", json_object_to_json_string(reply));
}

static const struct {
	const char *command, *more, *class, *parameter;
} rows[] = {
	{ "disk-attach", "'disk': {'uuid': '" DISK "', " TWO "}", "Exists", "disk" },
	{ "disk-attach", "'disk': " THERE ", 'serial': 'x'}", "Exists", "disk" },
	{ "disk-attach", "'disk': " THERE ", 'live': true}", "InvalidParameter", "disk.live" },
	{ "disk-attach", "'disk': {'name': 'one', " TWO "}", "Exists", "disk.name" },
	{ "disk-attach", "'disk': {'uuid': '" ALIKE "', " TWO "}", "InvalidParameter", "disk.uuid" },
	{ "disk-attach", "'disk': {'uuid': 'x', " TWO "}", "InvalidParameter", "disk.uuid" },
	{ "disk-attach", "'disk': {'path': 'two'}", "InvalidParameter", "disk.path" },
	{ "disk-attach", "'disk': {'path': 'ROOT/three'}", "NotFound", NULL },
	{ "disk-attach", "'disk': {'path': 'ROOT'}", "StorageError", NULL },
	{ "disk-attach", "'disk': {" TWO ", 'type': 'ide'}", "Unsupported", "disk" },
	{ "disk-attach", "'disk': {}", "InvalidParameter", NULL },
	{ "disk-attach", "'disk': []", "InvalidParameter", "disk" },
	{ "nic-attach", "'nic': {'uuid': '" NIC "', 'mac': '" MAC "', 'mode': 'none'}", "Exists", "nic" },
	{ "nic-attach", "'nic': {'mac': '" MAC "', 'mode': 'user'}", "InvalidParameter", "nic.mac" },
	{ "nic-attach", "'nic': {'mac': '" OTHERS_MAC "', 'mode': 'user'}", "Exists", "nic.mac" },
	{ "nic-attach", "'nic': {'mac': '01:00:00:00:00:01', 'mode': 'user'}", "InvalidParameter", "nic.mac" },
	{ "nic-attach", "'nic': {'mode': 'bridged', 'link': 'nowhere'}", "NetworkError", NULL },
	{ "devices-change",
	  "'attach': {'nics': [{'mac': '52:54:00:3a:91:05', 'mode': 'user'}, "
	  "{'mac': '52:54:00:3A:91:05', 'mode': 'user'}]}",
	  "InvalidParameter", "attach.nics[1].mac" },
	{ "devices-change", "'attach': {'disks': [{" TWO "}, {" TWO "}]}", "StorageError", NULL },
	{ "devices-change", "'attach': {'disks': [{" TWO ", 'mode': 'ro'}, {" TWO "}]}", "StorageError", NULL },
	{ "devices-change", "'attach': {'disks': [{'uuid': '" OTHER "', " TWO "}, {'uuid': '" OTHER "', " TWO "}]}",
	  "InvalidParameter", "attach.disks[1].uuid" },
	{ "devices-change", "'attach': {'disks': [" THERE "}]}, 'detach': ['one']", "InvalidParameter", "detach[0]" },
	{ "devices-change", "'detach': ['one', '" DISK "']", "InvalidParameter", "detach[1]" },
	{ "devices-change", "'detach': ['one', 'two']", "NotFound", "detach[1]" },
	{ "devices-change", "'detach': [1]", "InvalidParameter", "detach[0]" },
	{ "disk-detach", "'disk': 'nic'", "NotFound", "disk" },
	{ "nic-detach", "'nic': 'one'", "NotFound", "nic" },
	{ "disk-detach", "'disk': 'one', 'timeout': -1", "InvalidParameter", "timeout" },
};

START_TEST(refused)
{
	_cleanup_json_ struct json_object *reply = NULL;
	_cleanup_free_ char *before = NULL;
	const char *parameter;

	set("");
	before = stage_gear();
	reply = client_reply(stage.c, send_it(rows[_i].command, rows[_i].more));
	ck_assert_msg(has(reply, "error") && str_eq(str_at(reply, "error.class"), rows[_i].class), "%s: %s",
		      rows[_i].more, json_object_to_json_string(reply));
	parameter = json_get_str(at(reply, "error"), "parameter");
	if (rows[_i].parameter)
		ck_assert_msg(str_eq(parameter, rows[_i].parameter), "%s: %s", rows[_i].more,
			      json_object_to_json_string(reply));
	stage_settle();
	stage_check_gear(before);
}
END_TEST

/* An image that another QEMU writes to: QEMU's lock alone finds out, by when it opens the node, or the device wants it. */
START_TEST(in_use)
{
	static const char *const words[] = { "fake.error=blockdev-add#4:" SAYS_LOCKED,
					     "fake.error=device_add#3:" SAYS_LOCKED };
	_cleanup_json_ struct json_object *reply = NULL;
	_cleanup_free_ char *before = NULL;

	set(words[_i]);
	before = stage_gear();
	reply = client_reply(stage.c, send_it("disk-attach", "'disk': {" TWO "}"));
	ck_assert_msg(has(reply, "error") && str_eq(str_at(reply, "error.class"), "StorageError"), "%s",
		      json_object_to_json_string(reply));
	ck_assert_msg(strstr(str_at(reply, "error.desc"), "disk.path") && strstr(str_at(reply, "error.desc"), "in use"),
		      "%s", str_at(reply, "error.desc"));
	ck_assert(json_get_bool(at(reply, "error"), "undone", false));
	stage_settle();
	stage_check_gear(before);
}
END_TEST

/* Two machines at once are given cards of one address. */
START_TEST(address_that_is_promised)
{
	static const char args[] = "{'instance': '%s', 'nic': {'name': 'new', 'mac': '52:54:00:3a:91:05', 'mode': "
				   "'user'}}";
	_cleanup_json_ struct json_object *one = NULL, *two = NULL;
	int first, second;

	set("");
	first = client_send(stage.c, "nic-attach", args, "web");
	second = client_send(stage.c, "nic-attach", args, "other");
	one = client_reply(stage.c, first);
	two = client_reply(stage.c, second);
	ck_assert_msg(has(one, "return"), "%s", json_object_to_json_string(one));
	ck_assert_msg(has(two, "error"), "%s", json_object_to_json_string(two));
	ck_assert_str_eq(str_at(two, "error.class"), "Exists");
	ck_assert_str_eq(str_at(two, "error.parameter"), "nic.mac");
	json_object_put(client_ok(stage.c, "nic-detach", "{'instance': 'web', 'nic': 'new'}"));
	json_object_put(client_ok(stage.c, "nic-attach", args, "other"));
}
END_TEST

/* A disk may have the uuid, or the name, of a card; which of them is to go has to be said then. */
START_TEST(two_of_a_name)
{
	static const char *const disks[] = { "'disk': {'uuid': '" NIC "', " TWO "}",
					     "'disk': {'name': 'nic', " TWO "}" };
	static const char *const texts[] = { "'detach': ['" NIC "']", "'detach': ['nic']" };
	_cleanup_json_ struct json_object *reply = NULL;

	set("");
	json_object_put(client_reply(stage.c, send_it("disk-attach", disks[_i])));
	reply = client_reply(stage.c, send_it("devices-change", texts[_i]));
	ck_assert_msg(has(reply, "error") && str_eq(str_at(reply, "error.class"), "InvalidParameter") &&
			      str_eq(str_at(reply, "error.parameter"), "detach[0]"),
		      "%s", json_object_to_json_string(reply));
	json_object_put(
		client_ok(stage.c, "devices-change", "{'instance': 'web', 'detach': ['nic-22222222-66a8-4e6d']}"));
	json_object_put(client_ok(stage.c, "devices-change", "{'instance': 'web', %s}", texts[_i]));
}
END_TEST

static const struct {
	const char *command, *more;
} sames[] = {
	{ "disk-attach", "'disk': " THERE "}" },
	{ "disk-attach", "'disk': {'uuid': '" DISK "', 'path': 'ROOT/one'}" },
	{ "disk-attach", "'disk': {'uuid': '" DISK "', 'path': 'ROOT/one', 'mode': 'rw', 'media': 'disk'}" },
	{ "nic-attach", "'nic': {'uuid': '" NIC "', 'mode': 'user'}" },
	{ "devices-change", "'attach': {'disks': [" THERE "}]}" },
	{ "devices-change", "'attach': {}" },
	{ "devices-change", "'detach': []" },
};

START_TEST(the_very_same)
{
	_cleanup_json_ struct json_object *reply = NULL;
	_cleanup_free_ char *before = NULL;

	set("");
	before = stage_gear();
	reply = client_reply(stage.c, send_it(sames[_i].command, sames[_i].more));
	ck_assert_msg(has(reply, "return") && !json_get_bool(at(reply, "return"), "changed", true), "%s: %s",
		      sames[_i].more, json_object_to_json_string(reply));
	stage_check_gear(before);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("conflicts");
	TCase *t = tcase_create("devices");

	tcase_add_checked_fixture(t, NULL, stage_clear);
	tcase_add_loop_test(t, refused, 0, (int)ARRAY_SIZE(rows));
	tcase_add_test(t, address_that_is_promised);
	tcase_add_loop_test(t, in_use, 0, 2);
	tcase_add_loop_test(t, two_of_a_name, 0, 2);
	tcase_add_loop_test(t, the_very_same, 0, (int)ARRAY_SIZE(sames));
	suite_add_tcase(s, t);
	return s;
}

RIG_MAIN_IN_MEMORY(suite)
