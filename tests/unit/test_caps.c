/* SPDX-License-Identifier: BSD-2-Clause */
/* What a probe printed, read back: each question, and whatever a file may hold after a crash or an editor. */
#include "qmp/caps.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static const char text[] =
	"{'format': 3, 'version': '7.2.1', 'package': 'Debian', 'sets': {'commands': 'cont add-fd quit', 'devices': "
	"'VGA e1000',"
	" 'objects': 'iothread', 'blockdevs': 'raw qcow2', 'netdevs': 'user', 'cpus': 'host qemu64', 'migration': ''},"
	" 'properties': {'e1000': 'mac addr netdev', 'VGA': 'addr vgamem_mb'}, 'machine-properties': ['acpi hpet', "
	"'acpi'],"
	" 'machines': [{'name': 'pc-i440fx-7.2', 'alias': 'pc', 'cpus': 255, 'properties': 0},"
	" {'name': 'pc-i440fx-2.0', 'deprecated': true, 'properties': 1}, {'name': 'none'}],"
	" 'quirks': 'remove-fd-needs-running'}";

/* OLD, once, becomes NEW; ' is ". */
static struct json_object *with(const char *old, const char *new)
{
	const char *at = strstr(text, old);
	_cleanup_free_ char *s = NULL;
	struct json_object *o = NULL;
	struct err *e = NULL;

	ck_assert_ptr_nonnull(at);
	s = xasprintf("%.*s%s%s", (int)(at - text), text, new, at + strlen(old));
	for (char *p = s; *p; p++)
		if (*p == '\'')
			*p = '"';
	ck_assert_msg(json_parse(s, strlen(s), &json_limits_qemu, &o, &e), "%s", e ? e->desc : "");
	return o;
}

static struct caps *good(void)
{
	_cleanup_json_ struct json_object *o = with("", "");
	struct err *e = NULL;
	struct caps *c = caps_from_json(o, &e);

	ck_assert_msg(c != NULL, "%s", e ? e->desc : "");
	return c;
}

START_TEST(test_questions)
{
	_cleanup_caps_ struct caps *c = good();

	ck_assert_str_eq(caps_version(c), "7.2.1");
	ck_assert_str_eq(caps_machine(c, "pc"), "pc-i440fx-7.2");
	ck_assert_str_eq(caps_machine(c, "pc-i440fx-7.2"), "pc-i440fx-7.2");
	ck_assert_str_eq(caps_machine(c, "none"), "none");
	ck_assert_ptr_null(caps_machine(c, "q35"));
	ck_assert_ptr_null(caps_machine(c, "acpi")); /* a name, and none of a machine */
	ck_assert_ptr_null(caps_machine(c, ""));
	ck_assert_ptr_null(caps_machine(c, NULL));
	ck_assert_int_eq(caps_machine_cpus(c, "pc"), 255);
	ck_assert_int_eq(caps_machine_cpus(c, "pc-i440fx-7.2"), 255);
	ck_assert_int_eq(caps_machine_cpus(c, "none"), 0);
	ck_assert_int_eq(caps_machine_cpus(c, "q35"), 0);
	ck_assert(!caps_machine_is_deprecated(c, "pc"));
	ck_assert(caps_machine_is_deprecated(c, "pc-i440fx-2.0"));
	ck_assert(caps_has_machine_property(c, "pc", "hpet"));
	ck_assert(!caps_has_machine_property(c, "pc-i440fx-2.0", "hpet"));
	ck_assert(caps_has_machine_property(c, "pc-i440fx-2.0", "acpi"));
	ck_assert(!caps_has_machine_property(c, "none", "acpi"));
	ck_assert(caps_has_command(c, "add-fd"));
	ck_assert(!caps_has_command(c, "e1000"));
	ck_assert(caps_has_type(c, "e1000"));
	ck_assert(caps_has_type(c, "iothread"));
	ck_assert(!caps_has_type(c, "raw"));
	ck_assert(caps_has(c, CAPS_BLOCKDEV, "raw"));
	ck_assert(caps_has(c, CAPS_NETDEV, "user"));
	ck_assert(!caps_has(c, CAPS_MIGRATION, "user"));
	ck_assert(caps_has_cpu(c, "host"));
	ck_assert(caps_has_property(c, "e1000", "mac"));
	ck_assert(!caps_has_property(c, "VGA", "mac"));
	ck_assert(caps_has_property(c, "VGA", "vgamem_mb"));
	ck_assert(!caps_has_property(c, "cont", "mac"));
	ck_assert(!caps_has_property(c, "nothing", "mac"));
	ck_assert(caps_has_quirk(c, QUIRK_REMOVE_FD_NEEDS_RUNNING));
	ck_assert(!caps_has_quirk(c, QUIRK_DEVICE_ADD_TAKES_TEXT));
}
END_TEST

START_TEST(test_describe)
{
	_cleanup_caps_ struct caps *c = good();
	_cleanup_json_ struct json_object *o = caps_describe(c);
	_cleanup_free_ char *shown = json_print(o);

	ck_assert_str_eq(shown,
			 "{\"version\":\"7.2.1\",\"package\":\"Debian\",\"machines\":{\"pc\":\"pc-i440fx-7.2\"},"
			 "\"capabilities\":{\"balloon\":false,\"iothread\":true,\"mapped-ram\":false,\"multifd\":false,"
			 "\"passt\":false,\"spice\":false,\"throttle-group\":false,\"tpm\":false,\"user-network\":true,"
			 "\"virtio-mem\":false,\"vnc\":false},\"quirks\":[\"remove-fd-needs-running\"]}");
}
END_TEST

START_TEST(test_counted)
{
	struct caps *c = good(), *other = caps_ref(c);

	ck_assert_ptr_null(caps_unref(c));
	ck_assert(caps_has_command(other, "quit"));
	caps_unref(other);
	ck_assert_ptr_null(caps_unref(NULL));
}
END_TEST

static const struct {
	const char *old, *new;
} bad[] = {
	{ "'format': 3", "'format': 2" },
	{ "'format': 3", "'format': '1'" },
	{ "'format': 3, ", "" },
	{ "'cpus': 255", "'cpus': -1" },
	{ "'cpus': 255", "'cpus': 4294967551" },
	{ "'version': '7.2.1'", "'version': 7" },
	{ "'sets'", "'set'" },
	{ "'commands': 'cont add-fd quit', ", "" },
	{ "'commands': 'cont add-fd quit'", "'commands': ['cont']" },
	{ "'commands': 'cont add-fd quit'", "'commands': null" },
	{ "'cont add-fd quit'", "'cont  quit'" },
	{ "'cont add-fd quit'", "' cont'" },
	{ "'cont add-fd quit'", "'cont '" },
	{ "'cont add-fd quit'", "'cont\\tquit'" },
	{ "'cont add-fd quit'", "'c\u00f6nt'" },
	{ "'cont add-fd quit'",
	  "'a-name-that-is-longer-than-any-of-QEMU-and-than-what-anybody-would-ever-type-a-name-that-is-"
	  "longer-than-any-of-QEMU-and-than-what'" },
	{ "'properties': {", "'properties': {'': 'mac', " },
	{ "'properties': {", "'properties': {'two words': 'mac', " },
	{ "'mac addr netdev'", "{}" },
	{ "'mac addr netdev'", "null" },
	{ "['acpi hpet', 'acpi']", "'acpi'" },
	{ "['acpi hpet', 'acpi']", "['acpi', 1]" },
	{ "['acpi hpet', 'acpi']", "['acpi']" }, /* a machine names the second */
	{ "'properties': 1}", "'properties': -2}" },
	{ "'name': 'pc-i440fx-7.2', ", "" },
	{ "'name': 'pc-i440fx-7.2'", "'name': 'pc i440fx'" },
	{ "'name': 'pc-i440fx-7.2'", "'name': ''" },
	{ "'alias': 'pc'", "'alias': 3" },
	{ "'alias': 'pc'", "'alias': ''" },
	{ "{'name': 'none'}", "'none'" },
	{ "{'name': 'none'}", "null" },
	{ "'quirks': 'remove-fd-needs-running'", "'quirks': 'one-of-another-version'" },
	{ "'quirks': 'remove-fd-needs-running'", "'quirk': ''" },
};

/* None is taken for half true. */
START_TEST(test_bad)
{
	_cleanup_json_ struct json_object *o = with(bad[_i].old, bad[_i].new);
	_cleanup_err_ struct err *e = NULL;

	ck_assert_ptr_null(caps_from_json(o, &e));
	ck_assert_ptr_nonnull(e);
	ck_assert_ptr_null(caps_from_json(o, NULL));
}
END_TEST

START_TEST(test_no_object)
{
	_cleanup_json_ struct json_object *list = json_object_new_array();

	ck_assert_ptr_null(caps_from_json(NULL, NULL));
	ck_assert_ptr_null(caps_from_json(list, NULL));
}
END_TEST

/* Names beyond what a number of theirs holds, and text beyond its limit. */
START_TEST(test_too_much)
{
	for (unsigned i = 0; i < 2; i++) {
		_cleanup_json_ struct json_object *o = with("", "");
		_cleanup_err_ struct err *e = NULL;
		unsigned n = i ? 70000 : 12000;
		_cleanup_free_ char *names = xcalloc(n, 100);
		size_t at = 0;

		for (unsigned k = 0; k < n; k++)
			at += (size_t)snprintf(names + at, 100, i ? "%s%x" : "%s%089u", k ? " " : "", k);
		json_add_str(json_get_typed(o, "sets", json_type_object), "commands", names);
		ck_assert_ptr_null(caps_from_json(o, &e));
		ck_assert_ptr_nonnull(e);
	}
}
END_TEST

START_TEST(test_quirks)
{
	for (int i = 0; i < QUIRK_COUNT; i++) {
		const struct quirk_info *q = quirk_info((enum quirk)i);

		ck_assert_int_eq(quirk_from_name(q->name), i);
		ck_assert(q->doc[0] && q->seen[0]);
	}
	ck_assert_int_eq(quirk_from_name("x"), QUIRK_NONE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("caps");
	TCase *tc = tcase_create("caps");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, test_questions);
	tcase_add_test(tc, test_describe);
	tcase_add_test(tc, test_counted);
	tcase_add_loop_test(tc, test_bad, 0, ARRAY_SIZE(bad));
	tcase_add_test(tc, test_no_object);
	tcase_add_test(tc, test_too_much);
	tcase_add_test(tc, test_quirks);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
