/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Places on buses: what is full says so, whoever leaves frees his own and nobody else moves, and what cannot be had as a
 * place is refused by its name and leaves nothing.
 */
#include "stage.h"

#include "base/cleanup.h"

#include <stdio.h>
#include <string.h>

#define WEB "{'instance': 'web'}"
#define UUID "%08x-0000-4000-8000-000000000000"
#define Q35 ", 'machine_version': 'q35'"

enum { SCSI_DISKS = 256, PCI_PLACES = 20, ROOT_PORTS = 24, AT_ONCE = 64, IN_THE_MIDDLE = 100, LAST = 255 };

/* A machine of HVPARAMS that runs, and an image that all disks may share: they only read. */
static void set(const char *hvparams)
{
	_cleanup_free_ char *fake = rig_shared("fake-qemu"), *kernel = rig_shared("kernel");

	stage_set("%s", "");
	stage_write("image", "an image");
	client_define(stage.c, "web", "'hvparams': {'accel': 'tcg', 'kvm_path': '%s', 'kernel_path': '%s'%s}", fake,
		      kernel, hvparams);
	stage_start("web");
}

/* The disk number N; the caller's. */
static char *disk(unsigned n, const char *more)
{
	return xasprintf("{'uuid': '" UUID "', 'path': '%s/image', 'mode': 'ro'%s}", n, stage.r->root, more);
}

static void attach(unsigned first, unsigned n, const char *more)
{
	for (unsigned done = 0; done < n;) {
		char *list = xstrdup("");

		for (unsigned k = 0; k < AT_ONCE && done < n; k++, done++) {
			_cleanup_free_ char *old = list, *o = disk(first + done, more);

			list = xasprintf("%s%s%s", old, *old ? ", " : "", o);
		}
		json_object_put(
			client_ok(stage.c, "devices-change", "{'instance': 'web', 'attach': {'disks': [%s]}}", list));
		free(list);
	}
}

static struct json_object *refuse(const char *class, unsigned n, const char *more)
{
	_cleanup_free_ char *o = disk(n, more);

	return client_error(stage.c, class, "disk-attach", "{'instance': 'web', 'disk': %s}", o);
}

/* Of those in the list at PATH: hvinfo by uuid; the caller's. */
static struct json_object *places(const char *path)
{
	_cleanup_json_ struct json_object *o = stage_show("web");
	struct json_object *list = at(o, path), *all = json_object_new_object();

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *one = json_object_array_get_idx(list, i);

		json_add(all, str_at(one, "uuid"), json_object_get(at(one, "hvinfo")));
	}
	return all;
}

static void check_places(struct json_object *expected, const char *path)
{
	_cleanup_json_ struct json_object *are = places(path);

	ck_assert_msg(json_object_equal(are, expected), "%s and not %s", json_object_to_json_string(are),
		      json_object_to_json_string(expected));
}

static void check_all(struct json_object *expected)
{
	check_places(expected, "runtime.disks");
	check_places(expected, "definition.disks");
}

/* It is full with N, and says so. One in the middle leaves, and the next one has its place; nobody else moves, not when
 * droverd or the machine is started again. */
static void fill(unsigned n, const char *more, const char *count)
{
	_cleanup_json_ struct json_object *full = NULL, *e = NULL, *after = NULL, *place = NULL;
	_cleanup_free_ char *left = xasprintf(UUID, IN_THE_MIDDLE % n + 1), *came = xasprintf(UUID, n + 1);

	attach(1, n, more);
	full = places("runtime.disks");
	ck_assert_int_eq(json_object_object_length(full), (int)n);
	e = refuse("NoSlot", n + 1, more);
	ck_assert_msg(strstr(str_at(e, "desc"), count), "%s", str_at(e, "desc"));
	check_all(full);

	json_object_put(client_ok(stage.c, "disk-detach", "{'instance': 'web', 'disk': '%s'}", left));
	attach(n + 1, 1, more);
	place = json_object_get(at(full, left));
	json_object_object_del(full, left);
	after = places("runtime.disks");
	json_add_str(place, "id", str_at(at(after, came), "id"));
	json_add(full, came, json_object_get(place));
	check_all(full);

	stage_restart();
	stage_settle();
	check_all(full);
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	stage_start("web");
	check_all(full);
	json_object_put(refuse("NoSlot", n + 2, more));
}

START_TEST(scsi_is_full)
{
	set("");
	fill(SCSI_DISKS, ", 'type': 'scsi-hd'", "there are 256");
}
END_TEST

START_TEST(pci_is_full)
{
	set("");
	fill(PCI_PLACES, "", "there are 20");
}
END_TEST

START_TEST(root_ports_are_full)
{
	set(Q35);
	fill(ROOT_PORTS, "", "there are 24");
}
END_TEST

/* ---- what is no place ---- */

#define PCI(members) ", 'hvinfo': {'driver': 'virtio-blk-pci', 'bus': 'pci.0', " members "}"
#define PORT(members) ", 'hvinfo': {'driver': 'virtio-blk-pci', " members "}"
#define SCSI(members) ", 'type': 'scsi-hd', 'hvinfo': {'driver': 'scsi-hd', 'bus': 'scsi.0', " members "}"

static const struct {
	const char *machine, *more, *parameter;
} wrong[] = {
	{ "", PCI("'addr': '0xc'"), "disk.hvinfo.addr" }, /* taken */
	{ "", PCI("'addr': '0x2'"), "disk.hvinfo.addr" }, /* the machine's own */
	{ "", PCI("'addr': '0x4'"), "disk.hvinfo.addr" }, /* of a controller that is not there */
	{ "", PCI("'addr': '0x20'"), "disk.hvinfo.addr" },
	{ "", PCI("'addr': '0xd.1'"), "disk.hvinfo.addr" },
	{ "", PCI("'addr': '-1'"), "disk.hvinfo.addr" },
	{ "", PCI("'addr': '0xd,multifunction=on'"), "disk.hvinfo.addr" },
	{ "", PCI("'addr': 13"), "disk.hvinfo.addr" },
	{ "", PCI("'addr': ''"), "disk.hvinfo.addr" },
	{ "", ", 'hvinfo': {'driver': 'virtio-blk-pci', 'bus': 'pci.1', 'addr': '0xd'}", "disk.hvinfo.bus" },
	{ "", ", 'hvinfo': {'driver': 'virtio-blk-pci', 'bus': 'scsi.0', 'addr': '0xd'}", "disk.hvinfo.bus" },
	{ "", ", 'hvinfo': {'driver': 'ide-hd', 'bus': 'pci.0', 'addr': '0xd'}", "disk.hvinfo.driver" },
	{ "", PCI("'addr': '0xd', 'id': 'disk-1'"), "disk.hvinfo.id" },
	{ "", PCI("'addr': '0xd', 'slot': 1"), "disk.hvinfo.slot" },
	{ "", PCI("'addr': '0xd', 'unit': 0"), "disk.hvinfo.unit" },
	{ "", SCSI("'channel': 0, 'scsi-id': 256, 'lun': 0"), "disk.hvinfo.scsi-id" },
	{ "", SCSI("'channel': 0, 'scsi-id': -1, 'lun': 0"), "disk.hvinfo.scsi-id" },
	{ "", SCSI("'channel': 1, 'scsi-id': 3, 'lun': 0"), "disk.hvinfo.channel" },
	{ "", SCSI("'channel': 0, 'scsi-id': 3, 'lun': 1"), "disk.hvinfo.lun" },
	{ "", SCSI("'channel': 0, 'scsi-id': '3', 'lun': 0"), "disk.hvinfo.scsi-id" },
	{ Q35, PORT("'bus': 'pcie.0', 'addr': '0x10'"), "disk.hvinfo.bus" },
	{ Q35, PORT("'bus': 'rp24', 'addr': '0x0'"), "disk.hvinfo.bus" },
	{ Q35, PORT("'bus': 'rp0', 'addr': '0x0'"), "disk.hvinfo.bus" }, /* taken */
	{ Q35, PORT("'bus': 'rp1', 'addr': '0x1'"), "disk.hvinfo.addr" },
};

/* Nothing is asked of QEMU, nothing is held, and the definition is what it was. */
START_TEST(no_place)
{
	_cleanup_json_ struct json_object *e = NULL, *before = NULL, *after = NULL;
	unsigned fds;

	set(wrong[_i].machine);
	attach(1, 1, "");
	before = stage_show("web");
	stage_await_quiet();
	fds = rig_fds_at_rest(stage.r, stage.c);
	e = refuse("InvalidParameter", 2, wrong[_i].more);
	ck_assert_msg(has(e, "parameter") && str_eq(str_at(e, "parameter"), wrong[_i].parameter), "%s: %s",
		      wrong[_i].more, json_object_to_json_string(e));
	after = stage_show("web");
	ck_assert(json_object_equal(at(before, "definition"), at(after, "definition")));
	ck_assert(json_object_equal(at(before, "runtime.disks"), at(after, "runtime.disks")));
	rig_expect_fds(stage.r, fds);
	attach(2, 1, "");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("places");
	TCase *t = tcase_create("buses");

	tcase_add_checked_fixture(t, NULL, stage_clear);
	tcase_add_test(t, scsi_is_full);
	tcase_add_test(t, pci_is_full);
	tcase_add_test(t, root_ports_are_full);
	tcase_add_loop_test(t, no_place, 0, (int)ARRAY_SIZE(wrong));
	suite_add_tcase(s, t);
	return s;
}

RIG_MAIN_IN_MEMORY(suite)
