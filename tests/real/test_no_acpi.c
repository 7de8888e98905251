/* SPDX-License-Identifier: BSD-2-Clause */
/* Machines without ACPI: nothing on PCI comes or goes, and there is no power button. */
#include "guest.h"
#include "one_rig.h"

#include <string.h>

static const char *const machines[] = { "pc", "q35" };

static void define(const char *machine, const char *disks)
{
	client_define(client, "web1",
		      "'memory': '16M', 'hvparams': {'machine_version': '%s', 'acpi': false}, 'disks': [%s]", machine,
		      disks);
}

static void refused(const char *class, const char *command, const char *arguments, const char *parameter)
{
	_cleanup_json_ struct json_object *e = client_error(client, class, command, "{'instance': 'web1'%s}",
							    arguments);

	ck_assert_msg(!parameter || str_eq(json_get_str(e, "parameter"), parameter), "%s",
		      json_object_to_json_string(e));
}

/* On both machines a SCSI disk comes and goes where there is a controller. */
START_TEST(test_hotplug)
{
	_cleanup_free_ char *image = guest_image(rig, "disk", "", 1 << 20),
			    *more = guest_image(rig, "more", "", 1 << 20);
	_cleanup_free_ char *disk = xasprintf(", 'disk': {'path': '%s', 'name': 'more'}", more);
	_cleanup_free_ char *scsi = xasprintf(", 'disk': {'path': '%s', 'name': 'more', 'type': 'scsi-hd'}", more);
	_cleanup_free_ char *pci = guest_image(rig, "pci", "", 1 << 20);
	_cleanup_free_ char *disks = xasprintf("{'path': '%s', 'type': 'scsi-hd'}, {'path': '%s', 'name': 'pci'}",
					       image, pci);
	_cleanup_json_ struct json_object *shown = NULL, *there = NULL, *gone = NULL;

	define(machines[_i], disks);
	guest_start(client, "web1");
	shown = guest_query(client, "web1");
	ck_assert(str_starts(str_at(shown, "hotplug.nic"), "Unsupported"));
	ck_assert(str_starts(str_at(shown, "hotplug.disk"), "Unsupported"));
	refused("Unsupported", "disk-attach", disk, "disk");
	refused("Unsupported", "nic-attach", ", 'nic': {'mode': 'user'}", "nic");
	refused("Unsupported", "disk-detach", ", 'disk': 'pci'", "disk");
	json_object_put(client_ok(client, "disk-attach", "{'instance': 'web1'%s}", scsi));
	there = client_ok(client, "instance-qmp",
			  "{'instance': 'web1', 'execute': 'qom-list', 'arguments': {'path': '/machine/peripheral'}}");
	ck_assert_ptr_nonnull(strstr(json_object_to_json_string(there), "child<scsi-hd>"));
	json_object_put(client_ok(client, "disk-detach", "{'instance': 'web1', 'disk': 'more'}"));
	gone = guest_query(client, "web1");
	ck_assert_int_eq(json_object_array_length(at(gone, "runtime.disks")), 2);
	/* the definition alone */
	json_object_put(client_ok(client, "disk-attach", "{'instance': 'web1', 'live': false%s}", disk));
}
END_TEST

/* A PC that was started without a controller gets none. */
START_TEST(test_controller)
{
	_cleanup_free_ char *more = guest_image(rig, "more", "", 1 << 20);
	_cleanup_free_ char *scsi = xasprintf(", 'disk': {'path': '%s', 'type': 'scsi-hd'}", more);
	_cleanup_json_ struct json_object *shown = NULL;

	define("pc", "");
	json_object_put(client_ok(client, "instance-start", "{'instance': 'web1', 'paused': true}"));
	refused("Unsupported", "disk-attach", scsi, NULL);
	shown = guest_query(client, "web1");
	ck_assert_int_eq(json_object_array_length(at(shown, "runtime.disks")), 0);
}
END_TEST

/* Nobody is waited for who was asked nothing. */
START_TEST(test_shutdown)
{
	_cleanup_json_ struct json_object *o = NULL;

	define(machines[_i], "");
	guest_start(client, "web1");
	refused("WrongState", "instance-shutdown", ", 'mode': 'acpi', 'timeout': 20", NULL);
	refused("WrongState", "instance-shutdown", ", 'timeout': 20", NULL);
	refused("WrongState", "instance-shutdown", ", 'mode': 'agent', 'timeout': 20", NULL);
	refused("WrongState", "instance-reboot", ", 'timeout': 20", NULL);
	o = client_ok(client, "instance-shutdown", "{'instance': 'web1', 'timeout': 20, 'then': 'stop'%s}",
		      _i ? ", 'mode': 'acpi'" : "");
	ck_assert_str_eq(str_at(o, "rung"), "stop");
	ck_assert_str_eq(str_at(o, "state"), "shutoff");
}
END_TEST

/* What runs has a button still when the next start is without one. */
START_TEST(test_pending)
{
	_cleanup_json_ struct json_object *o = NULL;

	guest_define_bare(client, "web1");
	guest_start(client, "web1");
	json_object_put(
		client_ok(client, "instance-modify", "{'instance': 'web1', 'patch': {'hvparams': {'acpi': false}}}"));
	json_object_put(client_ok(client, "nic-attach", "{'instance': 'web1', 'nic': {'mode': 'user'}}"));
	refused("Timeout", "instance-shutdown", ", 'mode': 'acpi', 'timeout': 1", NULL);
}
END_TEST

static Suite *make(void)
{
	Suite *s = suite_create("machines without ACPI");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	suite_add_tcase(s, tc);
	tcase_add_loop_test(tc, test_hotplug, 0, ARRAY_SIZE(machines));
	tcase_add_test(tc, test_controller);
	tcase_add_loop_test(tc, test_shutdown, 0, ARRAY_SIZE(machines));
	tcase_add_test(tc, test_pending);
	return s;
}

RIG_MAIN(make)
