/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices that are attached while the machine, a device or a type of devices waits for the next start in another form.
 */
#include "requests.h"

static const struct {
	const char *command, *device, *parameter;
} colds[] = {
	{ "disk-attach", "'disk': {'uuid': '" A "', 'path': '@/one', 'type': 'ide'}", "disk" },
	{ "disk-attach", "'disk': {'uuid': '" A "', 'path': '@/one', 'media': 'floppy'}", "disk" },
	{ "nic-attach", "'nic': {'uuid': '" B "', 'mode': 'user', 'type': 'ne2k_isa'}", "nic" },
};

/* What waits in the definition for the next start, and can have nothing else. */
START_TEST(not_pluggable_later)
{
	_cleanup_free_ char *first = xasprintf("%s, 'live': false", colds[_i].device);
	_cleanup_json_ struct json_object *e = NULL;

	set("");
	json_object_put(done(colds[_i].command, first));
	e = fails("Unsupported", colds[_i].command, colds[_i].device);
	ck_assert_str_eq(str_at(e, "parameter"), colds[_i].parameter);
	ck_assert(!has(e, "step"));
}
END_TEST

static const struct {
	const char *first, *later; /* hvparams of the machine that runs, and of the next */
	const char *device;
	const char *names, *bus; /* what errors tell of; what the map begins with */
} waiting[] = {
	{ "", "'machine_version': 'q35'", "'uuid': '" A "', 'path': '@/one'", "'hvparams.machine_version'", "pci.0" },
	{ "'machine_version': 'q35'", "'machine_version': 'pc'", "'uuid': '" A "', 'path': '@/one'",
	  "'hvparams.machine_version'", "rp" },
	{ "'machine_version': 'q35', 'pcie_root_ports': 2", "'pcie_root_ports': 4",
	  "'uuid': '" A "', 'path': '@/one', 'hvinfo': {'bus': 'rp2'}", "'hvparams.pcie_root_ports'", "rp" },
	{ "'scsi_controller_type': 'lsi'", "'scsi_controller_type': null",
	  "'uuid': '" A "', 'path': '@/one', 'type': 'scsi-hd', 'hvinfo': {'scsi-id': 20}",
	  "'hvparams.scsi_controller_type'", "pci.0" },
};

/* A device of the machine that is to be has no place in the one that runs. */
START_TEST(another_machine_waits)
{
	_cleanup_free_ char *first = xasprintf("'patch': {'hvparams': {%s}}", waiting[_i].first);
	_cleanup_free_ char *later = xasprintf("'patch': {'hvparams': {%s}}", waiting[_i].later);
	_cleanup_free_ char *live = xasprintf("'disk': {%s}", waiting[_i].device);
	_cleanup_free_ char *cold = xasprintf("'disk': {%s}, 'live': false", waiting[_i].device);
	_cleanup_json_ struct json_object *e = NULL, *shown = NULL;

	set("");
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	json_object_put(done("instance-modify", first));
	json_object_put(client_ok(stage.c, "instance-start", WEB));
	json_object_put(done("instance-modify", later));
	e = fails("WrongState", "disk-attach", live);
	ck_assert_str_eq(str_at(e, "parameter"), "disk");
	ck_assert_msg(strstr(str_at(e, "desc"), waiting[_i].names), "%s", str_at(e, "desc"));
	ck_assert(!has(e, "step"));
	shown = stage_show("web");
	ck_assert_str_eq(str_at(shown, "slots.0.bus"), waiting[_i].bus);
	json_object_put(done("disk-attach", cold));
	json_object_put(fails("WrongState", "disk-attach", live));
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	json_object_put(client_ok(stage.c, "instance-start", WEB));
	check_first(A, A);
}
END_TEST

/* A type that waits is that of a disk which is plugged now; its place is its own all the same. */
START_TEST(another_type_waits)
{
	_cleanup_json_ struct json_object *shown = NULL;

	set("");
	json_object_put(done("instance-modify", "'patch': {'hvparams': {'disk_type': 'scsi-hd'}}"));
	json_object_put(done("disk-attach", "'disk': {'uuid': '" A "', 'path': '@/one'}"));
	json_object_put(done("disk-detach", "'disk': '" A "', 'live': false"));
	json_object_put(done("disk-attach", "'disk': {'uuid': '" B "', 'path': '@/two'}"));
	shown = stage_show("web");
	ck_assert_int_eq(int_at(shown, "runtime.disks.0.hvinfo.scsi-id"), 0);
	ck_assert_int_eq(int_at(shown, "runtime.disks.1.hvinfo.scsi-id"), 1);
}
END_TEST

/* What runs is not "there already" while a change of it waits; where that is taken back it is. */
START_TEST(change_that_waits)
{
	static const char path[] = "'patch': {'disks': [{'uuid': '" A "', 'name': 'x', 'path': '@/%s'}]}";
	static const char args[] = "'disk': {'uuid': '" A "', 'path': '@/%s'}%s";
	_cleanup_free_ char *to_two = xasprintf(path, "two"), *to_one = xasprintf(path, "one");
	_cleanup_free_ char *now = xasprintf(args, "two", ""), *later = xasprintf(args, "two", ", 'live': false");
	_cleanup_free_ char *same = xasprintf(args, "one", "");
	_cleanup_json_ struct json_object *e = NULL, *o = NULL, *again = NULL;

	set("");
	json_object_put(done("disk-attach", "'disk': {'uuid': '" A "', 'name': 'x', 'path': '@/one'}"));
	json_object_put(done("instance-modify", to_two));
	e = fails("WrongState", "disk-attach", now);
	ck_assert_str_eq(str_at(e, "parameter"), "disk");
	ck_assert_ptr_nonnull(strstr(str_at(e, "desc"), "waits for the next start"));
	o = done("disk-attach", later);
	ck_assert(!json_get_bool(o, "changed", true));
	json_object_put(done("instance-modify", to_one));
	again = done("disk-attach", same);
	ck_assert(!json_get_bool(again, "changed", true));
	ck_assert(json_get_bool(again, "live", false));
}
END_TEST

static const struct {
	const char *running, *next; /* of hvparams */
	const char *command, *device;
	const char *list, *driver;
	int nodes;
} types[] = {
	{ "", "'disk_type': 'scsi-hd'", "disk-attach", "'disk': {'name': 'x', 'path': '@/one'}", "disks", "scsi-hd",
	  3 },
	/* the rules are those of the type that it has, not of the one that others run with */
	{ "'disk_type': 'ide'", "'disk_type': null", "disk-attach",
	  "'disk': {'name': 'x', 'path': '@/one', 'mode': 'ro'}", "disks", "virtio-blk-pci", 3 },
	{ "'nic_type': 'e1000'", "'nic_type': null", "nic-attach", "'nic': {'name': 'x', 'mode': 'user', 'mtu': 1400}",
	  "nics", "virtio-net-pci", 0 },
	/* and so are the nodes below it */
	{ "'disk_type': 'scsi-block'", "'disk_type': null", "disk-attach",
	  "'disk': {'name': 'x', 'path': '@/one', 'throttle': {'iops_total': 50}}", "disks", "virtio-blk-pci", 3 },
	{ "'cdrom_disk_type': 'paravirtual'", "'cdrom_disk_type': 'scsi-cd'", "disk-attach",
	  "'disk': {'name': 'x', 'path': '@/one', 'media': 'cdrom'}", "disks", "scsi-cd", 3 },
};

/* A card or a disk without a type of its own is the same in both records, from the moment on at which it is attached. */
START_TEST(type_that_waits)
{
	_cleanup_free_ char *first = xasprintf("'patch': {'hvparams': {%s}}", types[_i].running);
	_cleanup_free_ char *later = xasprintf("'patch': {'hvparams': {%s}}", types[_i].next);
	_cleanup_free_ char *place = xasprintf("%s.0.hvinfo", types[_i].list), *runs = xasprintf("runtime.%s", place);
	_cleanup_free_ char *nodes = xasprintf("runtime.%s.0.nodes", types[_i].list);
	_cleanup_free_ char *wanted = xasprintf("definition.%s", place);
	_cleanup_json_ struct json_object *o = NULL, *shown = NULL, *after = NULL;

	set("fake.unplug=" A_ID "/ignore");
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	json_object_put(done("instance-modify", first));
	json_object_put(client_ok(stage.c, "instance-start", WEB));
	json_object_put(done("instance-modify", later));
	o = done(types[_i].command, types[_i].device);
	shown = stage_show("web");
	ck_assert_str_eq(str_at(at(shown, runs), "driver"), types[_i].driver);
	ck_assert(json_object_equal(at(shown, runs), at(shown, wanted)));
	ck_assert_int_eq(types[_i].nodes ? (int)json_object_array_length(at(shown, nodes)) : 0, types[_i].nodes);
	ck_assert_msg(!strstr(json_object_to_json_string(at(shown, "pending")), "[x]"), "%s",
		      json_object_to_json_string(at(shown, "pending")));

	/* the next droverd takes it, and gives it back, as what it is */
	stage_restart();
	stage_settle();
	json_object_put(
		done("disk-attach", "'disk': {'uuid': '" A "', 'name': 'y', 'path': '@/two', 'type': 'paravirtual'}"));
	json_object_put(fails("Timeout", "devices-change", "'detach': ['x', 'y'], 'timeout': 0.1"));
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	json_object_put(client_ok(stage.c, "instance-start", WEB));
	after = stage_show("web");
	ck_assert(json_object_equal(at(after, runs), at(shown, runs)));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("devices that wait");
	TCase *t = tcase_create("requests");

	tcase_add_checked_fixture(t, NULL, stage_clear);
	tcase_add_loop_test(t, not_pluggable_later, 0, (int)ARRAY_SIZE(colds));
	tcase_add_loop_test(t, another_machine_waits, 0, (int)ARRAY_SIZE(waiting));
	tcase_add_test(t, another_type_waits);
	tcase_add_test(t, change_that_waits);
	tcase_add_loop_test(t, type_that_waits, 0, (int)ARRAY_SIZE(types));
	suite_add_tcase(s, t);
	return s;
}

RIG_MAIN(suite)
