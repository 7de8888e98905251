/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest on a microvm: it has its disk, card, agent and power button, and nothing is plugged while it runs. */
#include "guest.h"
#include "one_rig.h"

#include <stdio.h>

#define VM "web1"
#define MAC "52:54:00:3a:91:02"

static void refused(const char *command, const char *args, const char *parameter)
{
	_cleanup_json_ struct json_object *e = client_error(client, "Unsupported", command,
							    "{'instance': '" VM "', %s}", args);

	ck_assert_str_eq(str_at(e, "parameter"), parameter);
	ck_assert_ptr_nonnull(strstr(str_at(e, "desc"), "microvm"));
}

static void expect_no_hotplug(void)
{
	_cleanup_json_ struct json_object *before = guest_query(client, VM), *after = NULL;

	ck_assert(str_starts(str_at(before, "hotplug.disk"), "Unsupported"));
	ck_assert(str_starts(str_at(before, "hotplug.nic"), "Unsupported"));
	refused("disk-attach", "'disk': {'path': '/nowhere'}", "disk");
	refused("nic-attach", "'nic': {}", "nic");
	refused("disk-detach", "'disk': 'disk0'", "disk");
	refused("nic-detach", "'nic': '" MAC "'", "nic");
	refused("devices-change", "'attach': {'disks': [{'path': '/a', 'type': 'scsi-hd'}]}", "attach.disks[0]");
	after = guest_query(client, VM);
	ck_assert(json_object_equal(at(before, "definition"), at(after, "definition")));
	ck_assert(json_object_equal(at(before, "runtime"), at(after, "runtime")));
	ck_assert_int_eq(json_object_array_length(at(after, "drift")), 0);
}

START_TEST(test_guest)
{
	_cleanup_free_ char *one = guest_image(rig, "one", "one", 1 << 20), *two = guest_image(rig, "two", "two", 4096);
	_cleanup_json_ struct json_object *agent = NULL, *done = NULL, *queried = NULL;

	/* Without KVM Linux has to be told of its clock; what speed it is told matters to nobody here. */
	client_define(client, VM,
		      "'memory': '192M', 'hvparams': {'accel': 'tcg', 'machine_version': 'microvm', 'kernel_path': "
		      "'%s/vmlinuz', 'initrd_path': '%s/initrd.gz', 'kernel_args': 't.net=none "
		      "tsc_early_khz=2000000'}, 'disks': [{'path': '%s'}, {'media': 'cdrom'}], 'nics': [{'mac': '" MAC
		      "', 'mode': 'user'}]",
		      rig_guest(), rig_guest(), one);
	guest_start(client, VM);
	guest_await(rig, VM, "GUEST-ADD block vda 2048", 1);
	guest_await(rig, VM, "GUEST-ADD block sr0 ", 1);
	guest_await(rig, VM, "GUEST-ADD net eth0 " MAC, 1);
	guest_await(rig, VM, "GUEST-GA up", 1);
	agent = client_ok(client, "query-guest", "{'instance': '" VM "', 'wait': 30}");
	expect_no_hotplug();
	/* The next droverd thinks the same. */
	rig_restart(rig, &client);
	json_object_put(guest_settle(client, VM));
	expect_no_hotplug();
	json_object_put(
		client_ok(client, "disk-attach", "{'instance': '" VM "', 'live': false, 'disk': {'path': '%s'}}", two));
	queried = guest_query(client, VM);
	ck_assert_str_eq(str_at(queried, "definition.hvparams.machine_version"), "microvm");
	ck_assert_int_eq(json_object_array_length(at(queried, "definition.disks")), 3);
	done = client_ok(client, "instance-shutdown", "{'instance': '" VM "', 'mode': 'acpi'}");
	ck_assert_str_eq(str_at(done, "rung"), "acpi");
	ck_assert_uint_ge(guest_said(rig, VM, "GUEST-BUTTON power"), 1);
	guest_expect(client, VM, "shutoff", "admin");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("microvm");
	TCase *tc = tcase_create("guest");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, test_guest);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return guest_main(suite);
}
