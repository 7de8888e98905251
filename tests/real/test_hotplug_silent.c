/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A detach that the guest does not answer: because its kernel is not up yet, or never will be, or it stands still. It
 * stays a wish over restarts of droverd, and comes true when the guest answers, is reset, or ends. And guests that answer
 * late: those of native PCIe hotplug, who blink first.
 */
#include "hot.h"

#include <stdio.h>
#include <unistd.h>

static const char *const machines[] = { "pc", "q35" };

/* It does not let go; what is asked of it is remembered. BOOTS: it may have let go behind the answer. The id, the caller's. */
static char *pends(const char *name, bool boots)
{
	_cleanup_free_ char *args = xasprintf("'disk': '%s', 'timeout': 0.2", name), *again = NULL;
	_cleanup_json_ struct json_object *e = hot_fails("Timeout", "disk-detach", args), *event = NULL;
	_cleanup_json_ struct json_object *o = guest_settle(hot.client, VM);

	ck_assert_msg(strstr(str_at(e, "desc"), "asked"), "%s", str_at(e, "desc"));
	event = client_event(hot.client, "DEVICE_PENDING");
	if (boots && !str_eq(str_at(o, "runtime.disks.0.name"), name))
		return xstrdup(str_at(event, "data.device"));
	ck_assert_str_eq(str_at(event, "data.device"), str_at(o, "definition.disks.0.hvinfo.id"));
	ck_assert_str_eq(str_at(o, "runtime.disks.0.name"), name);
	ck_assert_str_eq(str_at(o, "runtime.disks.0.state"), "detach-pending");
	ck_assert_str_eq(str_at(o, "definition.disks.0.name"), name);
	if (boots)
		return xstrdup(str_at(event, "data.device"));
	again = xasprintf("'disk': {'uuid': '%s', 'path': '@/one'}", str_at(o, "definition.disks.0.uuid"));
	json_object_put(hot_fails("Busy", "disk-attach", again));
	return xstrdup(str_at(o, "definition.disks.0.hvinfo.id"));
}

static void await_gone(const char *id)
{
	for (int i = 0; i < RIG_DEADLINE_MS / HOT_LOOK_MS; i++) {
		_cleanup_free_ char *all = hot_addresses();

		if (!strstr(all, id))
			return;
		usleep(HOT_LOOK_MS * 1000);
	}
	ck_abort_msg("'%s' does not go", id);
}

static void expect_nothing(const char *id)
{
	_cleanup_free_ char *now = NULL;

	hot_expect_records();
	now = hot_world();
	ck_assert_msg(!strstr(now, id), "QEMU has '%s' still:\n%s", id, now);
}

static void images(void)
{
	hot_image("one", "", KIB);
	hot_image("two", "", 2L * KIB);
	hot_image("three", "", 3L * KIB);
}

#define THREE_DISKS                                                                                                    \
	", 'disks': [{'name': 'early', 'path': '@/one'}, {'name': 'still', 'path': '@/two'}, {'name': 'end', 'path': " \
	"'@/three'}]"

/* The wish outlives the firmware, a pause, and droverd; it ends with the process. */
START_TEST(test_silent)
{
	_cleanup_free_ char *id = NULL, *other = NULL, *third = NULL;
	const char *removed;
	bool killed = _i % 2;

	images();
	hot_start(machines[_i], "t.net=none t.ga=0", "", THREE_DISKS);
	id = pends("early", true);
	if (killed)
		hot_restart();
	await_gone(id);
	guest_await(hot.rig, VM, " 6144\r", 1);
	expect_nothing(id);
	/* the kernel may have come too late to see the first */
	removed = hot_said("GUEST-ADD block vdb 4096\r") ? "GUEST-DEL block vdb" : "GUEST-DEL block vda";
	hot_done("instance-pause", "");
	other = pends("still", false);
	if (killed)
		hot_restart();
	ck_assert_uint_eq(hot_said(removed), 0);
	hot_done("instance-resume", "");
	guest_await(hot.rig, VM, removed, 1);
	await_gone(other);
	expect_nothing(other);
	hot_done("instance-pause", "");
	third = pends("end", false);
	hot_done("instance-stop", "");
	await_gone(third);
}
END_TEST

/* A firmware that found nothing to boot never answers. Another droverd has the wish still; with the reset the machine lets
 * go by itself. */
START_TEST(test_firmware)
{
	_cleanup_free_ char *id = NULL;
	_cleanup_json_ struct json_object *o = NULL, *events = NULL;

	images();
	hot_start_bare(machines[_i], "", THREE_DISKS);
	id = pends("early", false);
	hot_restart();
	o = guest_settle(hot.client, VM);
	ck_assert_str_eq(str_at(o, "runtime.disks.0.state"), "detach-pending");
	ck_assert_str_eq(str_at(o, "runtime.disks.1.state"), "attached");
	hot_done("instance-reset", "");
	await_gone(id);
	expect_nothing(id);
	/* that it was gone before the record said so is nothing to be told of */
	events = client_ok(hot.client, "query-events", "{'since': 0}");
	ck_assert_msg(!strstr(json_object_to_json_string(events), "\"DRIFT\""), "%s",
		      json_object_to_json_string(events));
}
END_TEST

/* What a guest of native PCIe hotplug lets go of it blinks for, for five seconds, and what has just come blinks as well:
 * QEMU refuses to ask a second time until then, which is no refusal of the guest's. */
START_TEST(test_native)
{
	static const struct hot_kind kinds[] = {
		{ "disk", "'path': '@/two'", "GUEST-ADD block vdb 4096\r", "GUEST-DEL block vdb", NULL, NULL },
		{ "nic", "'mode': 'user', 'mac': '52:54:00:00:00:11'", "GUEST-ADD net eth0 52:54:00:00:00:11\r",
		  "GUEST-DEL net eth0", NULL, NULL },
	};
	_cleanup_free_ char *before = NULL;
	unsigned had;

	images();
	hot_start("q35", "t.net=none t.ga=0 t.shell=1",
		  ", 'kvm_extra': '-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off'",
		  ", 'disks': [{'path': '@/one'}]");
	guest_await(hot.rig, VM, "GUEST-ADD block vda 2048\r", 1);
	free(guest_shell(hot.rig, VM, "true"));
	before = hot_world();
	hot_attach(&kinds[0]);
	/* the port blinks, so that the first question is refused */
	hot_changes("DEVICE_ATTACHED", 1, "nic-attach", "'nic': {'name': 'soon', 'mode': 'none'}");
	had = hot_said("GUEST-DEL net eth0");
	hot_changes("DEVICE_DETACHED", 1, "nic-detach", "'nic': 'soon', 'timeout': 60");
	/* whether the guest had taken it up by then is chance; what it saw come it saw go */
	free(guest_shell(hot.rig, VM, "while [ -e /sys/class/net/eth0 ]; do sleep 0.1; done; sleep 1"));
	if (hot_said("GUEST-ADD net eth0"))
		hot_says("GUEST-DEL net eth0", had);
	hot_detach(&kinds[0]);
	hot_attach(&kinds[1]);
	hot_detach(&kinds[1]);
	hot_expect_world(before);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("hotplug of a guest that is silent, or slow");
	TCase *tc = tcase_create("a guest that does not answer");

	tcase_add_checked_fixture(tc, hot_set_up, hot_tear_down);
	tcase_add_loop_test(tc, test_silent, 0, 1);
	suite_add_tcase(s, tc);
	tc = tcase_create("the same over restarts");
	tcase_set_tags(tc, "restart"); /* a test of its own, which is run on every QEMU */
	tcase_add_checked_fixture(tc, hot_set_up, hot_tear_down);
	tcase_add_loop_test(tc, test_silent, 1, ARRAY_SIZE(machines));
	suite_add_tcase(s, tc);
	tc = tcase_create("firmware");
	tcase_add_checked_fixture(tc, hot_set_up, hot_tear_down);
	tcase_add_loop_test(tc, test_firmware, 0, ARRAY_SIZE(machines));
	suite_add_tcase(s, tc);
	tc = tcase_create("native");
	tcase_add_checked_fixture(tc, hot_set_up, hot_tear_down);
	tcase_add_test(tc, test_native);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return hot_main(suite);
}
