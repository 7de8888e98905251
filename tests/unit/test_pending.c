/* SPDX-License-Identifier: BSD-2-Clause */
/* Definitions compared, and patched: nested members, devices, defaults, spellings. */
#include "runtime/autostart.h"
#include "runtime/patch.h"
#include "runtime/pending.h"

#include <check.h>
#include <string.h>

#define A "5f1c2f0e-8a55-4a6e-9f53-0c2b6a1d9e10"
#define A_LOUD "5F1C2F0E-8A55-4A6E-9F53-0C2B6A1D9E10"
#define B "0b2c0dfe-5a1b-4e5f-8d7a-3f9d5d6f7a01"

/* JSON with ' for ". */
static struct json_object *parse(const char *text)
{
	_cleanup_free_ char *json = xstrdup(text);
	struct json_object *o = NULL;
	struct err *e = NULL;

	for (char *p = json; *p; p++)
		if (*p == '\'')
			*p = '"';
	ck_assert_msg(json_parse(json, strlen(json), &json_limits_request, &o, &e), "%s: %s", text, e ? e->desc : "");
	return o;
}

static void expect(struct json_object *o, const char *wanted, const char *what)
{
	_cleanup_json_ struct json_object *canonical = parse(wanted);
	_cleanup_free_ char *is = json_print(o), *text = json_print(canonical);

	ck_assert_msg(str_eq(is, text), "%s: %s instead of %s", what, is, text);
}

/* ---- rows of a small machine ---- */

struct throttle {
	uint64_t bps;
	double length;
};

struct disk {
	char *uuid, *name, *cache;
	bool shareable;
	uint64_t size;
	struct throttle throttle;
};

struct machine {
	char *title;
	struct json_object *any;
	uint64_t memory;
	double delay;
	struct param_list disks, nics, tags;
	struct throttle limits;
};

static const struct param throttle_rows[] = { { "bps", PARAM_SIZE, .def = "\"1K\"", PARAM_AT(struct throttle, bps),
						.change = CHANGE_LIVE },
					      { "length", PARAM_TIME, .def = "1", PARAM_AT(struct throttle, length) },
					      PARAM_END };
static const struct param disk_rows[] = { { "uuid", PARAM_UUID, PARAM_AT(struct disk, uuid) },
					  { "name", PARAM_NAME, PARAM_AT(struct disk, name) },
					  { "cache", PARAM_TEXT, .def = "\"default\"", PARAM_AT(struct disk, cache) },
					  { "shareable", PARAM_BOOL, .def = "false", PARAM_AT(struct disk, shareable) },
					  { "size", PARAM_SIZE, PARAM_AT(struct disk, size) },
					  { "throttle", PARAM_OBJECT, .rows = throttle_rows,
					    PARAM_AT(struct disk, throttle) },
					  PARAM_END };
static const struct param disk_row = { .name = "", .type = PARAM_OBJECT, .rows = disk_rows };
static const struct param any_row = { .name = "", .type = PARAM_ANY };
static const struct param text_row = { .name = "", .type = PARAM_TEXT };

static const struct param machine_rows[] = {
	{ "title", PARAM_TEXT, .def = "\"\"", PARAM_AT(struct machine, title), .change = CHANGE_LIVE },
	{ "memory", PARAM_SIZE, .def = "\"1G\"", PARAM_AT(struct machine, memory), .change = CHANGE_RESTART },
	{ "delay", PARAM_TIME, .def = "0", PARAM_AT(struct machine, delay) },
	{ "limits", PARAM_OBJECT, .rows = throttle_rows, PARAM_AT(struct machine, limits) },
	{ "disks", PARAM_LIST, .rows = &disk_row, .size = sizeof(struct disk), PARAM_AT(struct machine, disks) },
	{ "nics", PARAM_LIST, .rows = &any_row, .size = sizeof(struct json_object *), PARAM_AT(struct machine, nics) },
	{ "tags", PARAM_LIST, .rows = &text_row, .size = sizeof(char *), PARAM_AT(struct machine, tags) },
	PARAM_END
};

#define ENTRY(path, from, to) "{'path':'" path "','from':" from ",'to':" to ",'needs':'restart'}"

static const struct {
	const char *running, *wanted;
	const char *pending; /* of pending_list() */
	const char *paths;   /* of pending_paths() */
} cases[] = {
	{ "{}", "{}", "[]", "[]" },
	/* what means the same, however it is put */
	{ "{'memory':'1024M'}", "{'memory':1073741824}", "[]", "['memory']" },
	{ "{}", "{'memory':'1048576K'}", "[]", "['memory']" },
	{ "{'delay':2}", "{'delay':2.0}", "[]", "['delay']" },
	{ "{'limits':{}}", "{}", "[]", "[]" },
	{ "{'limits':{'length':1.0}}", "{}", "[]", "['limits.length']" },
	{ "{}", "{'disks':[],'nics':[],'tags':[]}", "[]", "[]" },
	{ "{'memory':1}", "{'memory':'2'}", "[" ENTRY("memory", "1", "2") "]", "['memory']" },
	/* at once */
	{ "{'title':'a'}", "{'title':'b'}", "[]", "['title']" },
	{ "{'limits':{'bps':1}}", "{'limits':{'bps':2}}", "[]", "['limits.bps']" },
	{ "{'limits':{'bps':1,'length':2}}", "{'limits':{'length':3}}", "[" ENTRY("limits.length", "2.0", "3.0") "]",
	  "['limits.bps','limits.length']" },
	/* lists that are no devices */
	{ "{'tags':['a','b']}", "{'tags':['b','a']}", "[" ENTRY("tags", "['a','b']", "['b','a']") "]", "['tags']" },
	{ "{'nics':[{'mac':'x'}]}", "{'nics':[]}", "[" ENTRY("nics", "[{'mac':'x'}]", "[]") "]", "['nics']" },
	/* devices: by uuid, whatever their order */
	{ "{'disks':[{'uuid':'" A "','name':'disk0'},{'uuid':'" B "','name':'disk1'}]}",
	  "{'disks':[{'uuid':'" B "','name':'disk1','cache':'default'},{'uuid':'" A "','name':'disk0'}]}", "[]",
	  "['disks[disk1].cache']" },
	{ "{'disks':[{'uuid':'" A "','name':'disk0'},{'uuid':'" B "','name':'disk1'}]}",
	  "{'disks':[{'uuid':'" B "','name':'disk1'},{'uuid':'" A "','name':'disk0'}]}", "[]", "['disks']" },
	{ "{'disks':[{'uuid':'" A "','name':'disk0','size':'1K'}]}",
	  "{'disks':[{'uuid':'" A "','name':'disk0','size':1024,'cache':'none','throttle':{'bps':1}}]}",
	  "[" ENTRY("disks[disk0].cache", "'default'", "'none'") "," ENTRY("disks[disk0].throttle.bps", "1024",
									   "1") "]",
	  "['disks[disk0].cache','disks[disk0].size','disks[disk0].throttle.bps']" },
	{ "{'disks':[{'uuid':'" A "','name':'disk0'}]}", "{'disks':[{'uuid':'" B "','name':'disk0'}]}",
	  "[" ENTRY("disks[disk0]", "{'uuid':'" A "','name':'disk0'}",
		    "null") "," ENTRY("disks[disk0]", "null", "{'uuid':'" B "','name':'disk0'}") "]",
	  "['disks[disk0]','disks[disk0]']" },
	{ "{}", "{'disks':[{'uuid':'" A "'}]}", "[" ENTRY("disks[" A "]", "null", "{'uuid':'" A "'}") "]",
	  "['disks[" A "]']" },
	{ "{'disks':[{'uuid':'" A "','name':'a'}]}", "{'disks':[{'uuid':'" A "','name':'b'}]}",
	  "[" ENTRY("disks[b].name", "'a'", "'b'") "]", "['disks[b].name']" },
	/* devices without rows */
	{ "{'nics':[{'uuid':'" A "','name':'nic0','mac':'x','up':true}]}",
	  "{'nics':[{'uuid':'" A "','name':'nic0','mac':'y','mtu':9000}]}",
	  "[" ENTRY("nics[nic0].mac", "'x'", "'y'") "," ENTRY("nics[nic0].up", "true",
							      "null") "," ENTRY("nics[nic0].mtu", "null", "9000") "]",
	  "['nics[nic0].mac','nics[nic0].up','nics[nic0].mtu']" },
	/* what is no definition breaks nothing */
	{ "{'disks':'x','nics':{},'limits':5,'memory':'much'}", "{'memory':'much'}",
	  "[" ENTRY("disks", "'x'", "null") "," ENTRY("nics", "{}", "null") "]", "['disks','nics']" },
	{ "{'disks':[null]}", "{'disks':[{'uuid':5}]}", "[" ENTRY("disks", "[null]", "[{'uuid':5}]") "]", "['disks']" },
};

START_TEST(test_compare)
{
	_cleanup_json_ struct json_object *running = parse(cases[_i].running), *wanted = parse(cases[_i].wanted);
	_cleanup_json_ struct json_object *list = pending_list(machine_rows, running, wanted);
	_cleanup_json_ struct json_object *paths = pending_paths(machine_rows, running, wanted);
	_cleanup_json_ struct json_object *same = pending_list(machine_rows, wanted, wanted);
	_cleanup_json_ struct json_object *none = pending_paths(machine_rows, running, running);

	expect(list, cases[_i].pending, cases[_i].wanted);
	expect(paths, cases[_i].paths, cases[_i].wanted);
	expect(same, "[]", cases[_i].wanted);
	expect(none, "[]", cases[_i].running);
}
END_TEST

START_TEST(test_touches)
{
	static const struct {
		const char *one, *other;
		bool touches;
	} pairs[] = {
		{ "vcpus", "vcpus", true },
		{ "vcpus", "vcpu", false },
		{ "hvparams", "hvparams.accel", true },
		{ "disks", "disks[disk0].cache", true },
		{ "disks[disk0]", "disks[disk0].cache", true },
		{ "disks[disk0]", "disks[disk01]", false },
		{ "disks[disk0].cache", "disks[disk0].aio", false },
		{ "memory", "maxmemory", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		ck_assert_int_eq(pending_touches(pairs[i].one, pairs[i].other), pairs[i].touches);
		ck_assert_int_eq(pending_touches(pairs[i].other, pairs[i].one), pairs[i].touches);
	}
}
END_TEST

/* ---- patches ---- */

static const struct {
	const char *stored, *patch, *result;
} patches[] = {
	{ "{'name':'a','vcpus':2}", "{'vcpus':null,'hvparams':{'accel':'tcg'}}",
	  "{'name':'a','hvparams':{'accel':'tcg'}}" },
	/* a device is known by its uuid, else by its name, and keeps who it is; where it sits is settled anew */
	{ "{'nics':[{'uuid':'" A "','name':'nic0','mac':'x','type':'e1000','hvinfo':{'addr':'0xc'},'mtu':9000}]}",
	  "{'nics':[{'name':'nic0','type':'e1000'}]}",
	  "{'nics':[{'name':'nic0','type':'e1000','uuid':'" A "','mac':'x'}]}" },
	{ "{'nics':[{'uuid':'" A "','name':'nic0','mac':'x'}]}", "{'nics':[{'uuid':'" A_LOUD "','mac':'y'}]}",
	  "{'nics':[{'uuid':'" A_LOUD "','mac':'y','name':'nic0'}]}" },
	{ "{'disks':[{'uuid':'" A "','name':'disk0','hvinfo':{'addr':'0xc'}}]}",
	  "{'disks':[{'name':'disk0','type':'scsi-hd'}]}",
	  "{'disks':[{'name':'disk0','type':'scsi-hd','uuid':'" A "'}]}" },
	{ "{'disks':[{'uuid':'" A "','hvinfo':{'addr':'0xc'}}],'nics':[{'uuid':'" B "','hvinfo':{'addr':'0xd'}}]}",
	  "{'hvparams':{'disk_type':'ide'}}",
	  "{'disks':[{'uuid':'" A "'}],'nics':[{'uuid':'" B "'}],'hvparams':{'disk_type':'ide'}}" },
	/* unless it was asked for */
	{ "{'disks':[{'uuid':'" A "','hvinfo':{'addr':'0xc'}}]}",
	  "{'disks':[{'uuid':'" A "','hvinfo':{'addr':'0xd'}}]}",
	  "{'disks':[{'uuid':'" A "','hvinfo':{'addr':'0xd'}}]}" },
	/* another uuid is another device, whatever its name; and without either it is new */
	{ "{'disks':[{'uuid':'" A "','name':'disk0','hvinfo':{'addr':'0xc'}}]}",
	  "{'disks':[{'uuid':'" B "','name':'disk0'},{'path':'/x'}]}",
	  "{'disks':[{'uuid':'" B "','name':'disk0'},{'path':'/x'}]}" },
	{ "{'disks':[{'uuid':'" A "','name':'disk0'}]}", "{'disks':null}", "{}" },
	/* what will be refused comes that far */
	{ "{'disks':[{'uuid':'" A "'}]}", "{'disks':['x',null,5]}", "{'disks':['x',null,5]}" },
	{ "{'disks':5}", "{'nics':'x'}", "{'disks':5,'nics':'x'}" },
};

START_TEST(test_patch)
{
	_cleanup_json_ struct json_object *stored = parse(patches[_i].stored), *patch = parse(patches[_i].patch);
	_cleanup_json_ struct json_object *result = patch_definition(stored, patch, NULL);

	expect(result, patches[_i].result, patches[_i].patch);
	expect(stored, patches[_i].stored, "untouched");
}
END_TEST

START_TEST(test_fixed)
{
	static const char *const members[] = { "name", "uuid", "layout" };

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		_cleanup_free_ char *text = xasprintf("{'vcpus':1,'%s':null}", members[i]);
		_cleanup_json_ struct json_object *stored = parse("{}"), *patch = parse(text);
		_cleanup_err_ struct err *e = NULL;

		ck_assert_ptr_null(patch_definition(stored, patch, &e));
		ck_assert_int_eq(e->class, ERR_INVALID_PARAMETER);
		ck_assert_str_eq(json_get_str(e->extra, "parameter"), members[i]);
	}
}
END_TEST

/* ---- autostart ---- */

static const struct {
	const char *value, *parameter; /* parameter NULL: it is one */
	bool on;
	int64_t order;
	double delay;
} autostarts[] = {
	{ "true", NULL, true, 0, 0 },
	{ "false", NULL, false, 0, 0 },
	{ "{}", NULL, true, 0, 0 },
	{ "{'order': 7, 'delay': 0.5}", NULL, true, 7, 0.5 },
	{ "{'order': 1000000, 'delay': 86400}", NULL, true, 1000000, 86400 },
	{ "null", "autostart" },
	{ "1", "autostart" },
	{ "'true'", "autostart" },
	{ "[]", "autostart" },
	{ "{'order': 1.0}", "autostart.order" },
	{ "{'order': -1}", "autostart.order" },
	{ "{'order': 1000001}", "autostart.order" },
	{ "{'order': null}", "autostart.order" },
	{ "{'delay': -1}", "autostart.delay" },
	{ "{'delay': 86401}", "autostart.delay" },
	{ "{'on': true}", "autostart.on" },
};

START_TEST(test_autostart)
{
	_cleanup_json_ struct json_object *value = parse(autostarts[_i].value);
	_cleanup_err_ struct err *e = NULL;
	struct autostart a;
	bool ok = autostart_decode(value, &a, &e);

	ck_assert_int_eq(ok, !autostarts[_i].parameter);
	if (!ok) {
		ck_assert_int_eq(e->class, ERR_INVALID_PARAMETER);
		ck_assert_str_eq(json_get_str(e->extra, "parameter"), autostarts[_i].parameter);
		return;
	}
	ck_assert_int_eq(a.on, autostarts[_i].on);
	ck_assert_int_eq(a.order, autostarts[_i].order);
	ck_assert_double_eq(a.delay, autostarts[_i].delay);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pending");
	TCase *tc = tcase_create("pending");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_loop_test(tc, test_compare, 0, ARRAY_SIZE(cases));
	tcase_add_test(tc, test_touches);
	tcase_add_loop_test(tc, test_patch, 0, ARRAY_SIZE(patches));
	tcase_add_test(tc, test_fixed);
	tcase_add_loop_test(tc, test_autostart, 0, ARRAY_SIZE(autostarts));
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
