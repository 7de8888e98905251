/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What cannot be attached to a machine that runs, or taken from it: the class of the error, the parameter it names, and
 * that nothing is left of it anywhere. The guest is not asked, so there is none but the firmware.
 */
#include "hot.h"
#include "netns.h"
#include "peers.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

static const char *const machines[] = { "pc", "q35" };

#define BR0 "'mode': 'bridged', 'link': 'br0'"

struct refusal {
	const char *class, *command, *args, *parameter;
};

static const struct refusal images[] = {
	{ "NotFound", "disk-attach", "'disk': {'path': '@/missing'}", "disk.path" },
	{ "StorageError", "disk-attach", "'disk': {'path': '@'}", "disk.path" },
	{ "StorageError", "disk-attach", "'disk': {'path': '@/fifo'}", "disk.path" },
	{ "StorageError", "disk-attach", "'disk': {'path': '/dev/null'}", "disk.path" },
	{ "StorageError", "disk-attach", "'disk': {'path': '@/empty'}", "disk.path" },
	{ "StorageError", "disk-attach", "'disk': {'path': '@/one', 'type': 'scsi-block'}", "disk.path" },
	{ "StorageError", "disk-attach", "'disk': {'path': '@/sizeless', 'format': 'qcow2'}", "disk.path" },
	{ "PermissionDenied", "disk-attach", "'disk': {'path': '@/ro/one'}", "disk.path" },
	{ "StorageError", "disk-attach", "'disk': {'path': '@/one', 'format': 'qcow2'}", "disk.path" },
	{ "StorageError", "disk-attach", "'disk': {'path': '@/top', 'format': 'qcow2'}", "disk.path" },
	{ "StorageError", "disk-attach",
	  "'disk': {'path': '@/top', 'format': 'qcow2', 'backing': [{'path': '@/mid', 'format': 'qcow2'}]}",
	  "disk.backing[0].path" },
	{ "StorageError", "disk-attach",
	  "'disk': {'path': '@/top', 'format': 'qcow2', 'backing': [{'path': '@/one', 'format': 'qcow2'}]}",
	  "disk.backing[0].path" },
	{ "NotFound", "disk-attach",
	  "'disk': {'path': '@/top', 'format': 'qcow2', 'backing': [{'path': '@/mid', 'format': 'qcow2'}, {'path': "
	  "'@/missing'}]}",
	  "disk.backing[1].path" },
	{ "StorageError", "disk-attach", "'disk': {'path': '@/broken', 'format': 'qcow2'}", "disk.path" },
	/* that of a machine, the same and another; of another program; of the same change */
	{ "StorageError", "disk-attach", "'disk': {'path': '@/cold'}", "disk.path" },
	{ "StorageError", "disk-attach", "'disk': {'path': '@/taken'}", "disk.path" },
	{ "StorageError", "disk-attach", "'disk': {'path': '@/taken', 'mode': 'ro'}", "disk.path" },
	{ "StorageError", "disk-attach", "'disk': {'path': '@/held'}", "disk.path" },
	{ "StorageError", "disk-attach", "'disk': {'path': '@/held', 'type': 'scsi-hd'}", "disk.path" },
	{ "StorageError", "disk-attach",
	  "'disk': {'path': '@/top', 'format': 'qcow2', 'backing': [{'path': '@/mid', 'format': 'qcow2'}, {'path': "
	  "'@/held'}]}",
	  "disk" }, /* QEMU does not say which */
	{ "StorageError", "devices-change", "'attach': {'disks': [{'path': '@/one'}, {'path': '@/one'}]}",
	  "attach.disks[1].path" },
	{ "NotFound", "devices-change", "'attach': {'disks': [{'path': '@/one'}, {'path': '@/missing'}]}",
	  "attach.disks[1].path" },
};

static const struct refusal others[] = {
	{ "InvalidParameter", "devices-change",
	  "'attach': {'nics': [{'mac': '52:54:00:00:00:21'}, {'mac': '52:54:00:00:00:21'}]}", "attach.nics[1].mac" },
	{ "Exists", "nic-attach", "'nic': {'mac': '52:54:00:00:00:20'}", "nic.mac" },
	{ "InvalidParameter", "nic-attach", "'nic': {'mac': '52:54:00:00:00:22'}", "nic.mac" },
	{ "InvalidParameter", "nic-attach", "'nic': {'mac': '01:54:00:00:00:20'}", "nic.mac" },
	{ "NetworkError", "nic-attach", "'nic': {'mode': 'bridged', 'link': 'br1'}", "nic.link" },
	{ "NetworkError", "nic-attach", "'nic': {'mode': 'bridged', 'link': 'lo'}", "nic.link" },
	{ "NetworkError", "devices-change",
	  "'attach': {'disks': [{'path': '@/one'}], 'nics': [{" BR0 "}, {'mode': 'bridged', 'link': 'br1'}]}",
	  "attach.nics[1].link" },
	{ "InvalidParameter", "disk-attach", "'disk': {'path': '@/one', 'hvinfo': {'addr': '0x40'}}",
	  "disk.hvinfo.addr" },
	{ "InvalidParameter", "disk-attach", "'disk': {'path': '@/one', 'hvinfo': {'addr': 'high'}}",
	  "disk.hvinfo.addr" },
	{ "InvalidParameter", "disk-attach", "'disk': {'path': '@/one', 'type': 'scsi-hd', 'hvinfo': {'scsi-id': 256}}",
	  "disk.hvinfo.scsi-id" },
	{ "InvalidParameter", "disk-attach", "'disk': {'path': '@/one', 'type': 'scsi-hd', 'hvinfo': {'scsi-id': 0}}",
	  "disk.hvinfo.scsi-id" },
	{ "Unsupported", "disk-attach", "'disk': {'path': '@/one', 'type': 'ide'}", "disk" },
	{ "Unsupported", "disk-attach", "'disk': {'path': '@/one', 'media': 'floppy'}", "disk" },
	{ "InvalidParameter", "disk-attach", "'disk': {'path': '@/one', 'colour': 'red'}", "disk.colour" },
	{ "NotFound", "disk-detach", "'disk': 'nobody'", "disk" },
	{ "NotFound", "nic-detach", "'nic': 'disk0'", "nic" },
	{ "NotFound", "devices-change", "'detach': ['disk0', 'nobody']", "detach[1]" },
};

/* Of each machine type: taken, reserved, and of the other. */
static const struct refusal addresses[][4] = {
	{ { "InvalidParameter", "disk-attach", "'disk': {'path': '@/one', 'hvinfo': {'addr': '0xc'}}",
	    "disk.hvinfo.addr" },
	  { "InvalidParameter", "disk-attach", "'disk': {'path': '@/one', 'hvinfo': {'addr': '0x4'}}",
	    "disk.hvinfo.addr" },
	  { "InvalidParameter", "disk-attach", "'disk': {'path': '@/one', 'hvinfo': {'bus': 'rp0'}}",
	    "disk.hvinfo.bus" } },
	{ { "InvalidParameter", "disk-attach", "'disk': {'path': '@/one', 'hvinfo': {'bus': 'rp0'}}",
	    "disk.hvinfo.bus" },
	  { "InvalidParameter", "disk-attach", "'disk': {'path': '@/one', 'hvinfo': {'bus': 'pcie.0', 'addr': '0x2'}}",
	    "disk.hvinfo.bus" },
	  { "InvalidParameter", "disk-attach", "'disk': {'path': '@/one', 'hvinfo': {'bus': 'rp24'}}",
	    "disk.hvinfo.bus" } },
};

static void expect_refused(const struct refusal *r, const char *before, const char *records)
{
	_cleanup_json_ struct json_object *e = hot_fails(r->class, r->command, r->args);
	_cleanup_free_ char *now = NULL;

	ck_assert_msg(has(e, "parameter") && str_eq(str_at(e, "parameter"), r->parameter), "%s: %s", r->args,
		      json_object_to_json_string(e));
	ck_assert_msg(strstr(str_at(e, "desc"), r->parameter), "%s: %s", r->args, str_at(e, "desc"));
	ck_assert_msg(!strstr(str_at(e, "desc"), "fdset"), "%s: %s", r->args, str_at(e, "desc"));
	/* else it was refused in front of the first step */
	ck_assert(!has(e, "undone") || json_object_get_boolean(at(e, "undone")));
	now = hot_both_records();
	ck_assert_msg(str_eq(now, records), "%s: before:\n%s\nnow:\n%s", r->args, records, now);
	hot_expect_world(before);
}

static void make_images(void)
{
	_cleanup_free_ char *ro = xasprintf("%s/ro", hot.dir);

	hot_image("cold", "", KIB);
	hot_image("scsi", "", KIB);
	hot_image("one", "", KIB);
	hot_image("taken", "", KIB);
	hot_image("held", "", KIB);
	hot_chain();
	hot_image("empty", "", 0);
	host_run("cd '%s' && mkfifo fifo && qemu-img create -q -f qcow2 sizeless 0 && chmod 600 sizeless && qemu-img "
		 "create -q -f qcow2 broken "
		 "1M && printf '\\377' | dd of=broken bs=1 "
		 "seek=40 conv=notrunc status=none && chmod 600 broken",
		 hot.dir);
	ck_assert_int_eq(mkdir(ro, 0700), 0);
	ck_assert_int_eq(mount(hot.dir, ro, NULL, MS_BIND, NULL), 0);
	ck_assert_int_eq(mount(NULL, ro, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), 0);
}

static void set_up(void)
{
	ck_assert(netns_enter());
	netns_bridge("br0");
	hot_set_up();
}

static void tear_down(void)
{
	_cleanup_free_ char *ro = xasprintf("%s/ro", hot.dir);

	umount2(ro, MNT_DETACH);
	hot_tear_down();
}

START_TEST(test_refused)
{
	_cleanup_free_ char *before = NULL, *records = NULL;

	make_images();
	peer_nbd(hot.dir, "held", "10810", NULL);
	client_define(hot.client, "holder",
		      "'memory': '16M', 'disks': [{'path': '%s/taken'}], 'nics': [{'mac': '52:54:00:00:00:20', 'mode': "
		      "'none'}]",
		      hot.dir);
	guest_start(hot.client, "holder");
	hot_start_bare(machines[_i], "",
		       ", 'disks': [{'path': '@/cold'}, {'path': '@/scsi', 'type': 'scsi-hd'}], 'nics': [{'mac': "
		       "'52:54:00:00:00:22', 'mode': 'none'}]");
	before = hot_world();
	records = hot_both_records();
	for (size_t i = 0; i < ARRAY_SIZE(images); i++)
		expect_refused(&images[i], before, records);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		expect_refused(&others[i], before, records);
	for (size_t i = 0; i < ARRAY_SIZE(addresses[_i]) && addresses[_i][i].class; i++)
		expect_refused(&addresses[_i][i], before, records);
	/* what was refused can be had when the reason is gone */
	json_object_put(client_ok(hot.client, "instance-stop", "{'instance': 'holder'}"));
	hot_changes("DEVICE_ATTACHED", 2, "devices-change",
		    "'attach': {'disks': [{'path': '@/one'}, {'path': '@/taken'}]}");
	hot_expect_records();
}
END_TEST

/* ---- where all is full ---- */

/* How many places for cards and paravirtual disks are free. */
static unsigned free_places(void)
{
	_cleanup_json_ struct json_object *o = guest_settle(hot.client, VM);
	unsigned n = 0;

	for (size_t i = 0; i < json_object_array_length(at(o, "slots")); i++) {
		struct json_object *bus = json_object_array_get_idx(at(o, "slots"), i);

		if (!str_eq(str_at(bus, "bus"), "scsi.0"))
			n += (unsigned)int_at(bus, "free");
	}
	return n;
}

/* "{'name': 'n0', …}, …", of N cards; the caller's. */
static char *cards(unsigned n)
{
	char *text = xstrdup("");

	for (unsigned i = 0; i < n; i++) {
		_cleanup_free_ char *old = text;

		text = xasprintf("%s%s{'name': 'n%u', 'mode': 'none'}", old, i ? ", " : "", i);
	}
	return text;
}

static void expect_full(unsigned places)
{
	_cleanup_free_ char *before = hot_world(), *count = xasprintf("there are %u", places);
	_cleanup_json_ struct json_object *e = hot_fails("NoSlot", "nic-attach", "'nic': {'mode': 'none'}");

	ck_assert_str_eq(str_at(e, "parameter"), "nic");
	ck_assert_msg(strstr(str_at(e, "desc"), count), "%s", str_at(e, "desc"));
	ck_assert_uint_eq(free_places(), 0);
	hot_expect_records();
	hot_expect_world(before);
}

/* A loop device on an image, PATH, gone with its last descriptor; -1: there is none here. */
static int loop_on(const char *image, char path[32])
{
	_cleanup_free_ char *file = xasprintf("%s/loop", hot.dir);
	_cleanup_free_ char *command = xasprintf("losetup --find --show '%s/%s' > '%s'", hot.dir, image, file);
	FILE *f;
	int fd;

	if (system(command) != 0) /* NOLINT(cert-env33-c): a path of our own */
		return -1;
	f = fopen(file, "re");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fscanf(f, "%31s", path), 1);
	fclose(f);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	host_run("losetup --detach '%s'", path);
	return fd;
}

/* QEMU locks a device as it does a file; and one that knows no SCSI commands passes none. */
START_TEST(test_device)
{
	_cleanup_json_ struct json_object *used = NULL, *passed = NULL;
	_cleanup_free_ char *args = NULL, *scsi = NULL;
	_cleanup_close_ int fd = -1;
	char path[32];

	hot_image("cold", "", KIB);
	hot_image("one", "", KIB);
	fd = loop_on("one", path);
	if (fd < 0) {
		printf("SKIP: one block device twice: no loop device\n");
		return;
	}
	client_define(hot.client, "holder", "'memory': '16M', 'disks': [{'path': '%s'}]", path);
	guest_start(hot.client, "holder");
	hot_start_bare("pc", "", ", 'disks': [{'path': '@/cold'}]");
	args = xasprintf("'disk': {'path': '%s'}", path);
	scsi = xasprintf("'disk': {'path': '%s', 'type': 'scsi-block'}", path);
	used = hot_fails("StorageError", "disk-attach", args);
	ck_assert_str_eq(str_at(used, "parameter"), "disk.path");
	ck_assert_ptr_nonnull(strstr(str_at(used, "desc"), "it is in use"));
	json_object_put(client_ok(hot.client, "instance-stop", "{'instance': 'holder'}"));
	passed = hot_fails("StorageError", "disk-attach", scsi);
	ck_assert_str_eq(str_at(passed, "parameter"), "disk.path");
	ck_assert_msg(strstr(str_at(passed, "desc"), "takes no SCSI commands"), "%s", str_at(passed, "desc"));
	hot_expect_records();
}
END_TEST

/* One too many is refused before any comes. The next droverd and the next process find each where it was. */
START_TEST(test_full)
{
	static const unsigned places[] = { 20, 24 };
	_cleanup_free_ char *some = cards(places[_i] - 1), *many = cards(places[_i]), *before = NULL, *after = NULL;
	_cleanup_free_ char *in = xasprintf("'attach': {'nics': [%s]}", some);
	_cleanup_free_ char *too_many = xasprintf("'attach': {'nics': [%s]}", many);
	_cleanup_json_ struct json_object *e = NULL;

	hot_image("cold", "", KIB);
	hot_start_bare(machines[_i], "", ", 'disks': [{'path': '@/cold'}]");
	ck_assert_uint_eq(free_places(), places[_i] - 1);
	e = hot_fails("NoSlot", "devices-change", too_many);
	ck_assert_msg(str_starts(str_at(e, "parameter"), "attach.nics["), "%s", str_at(e, "parameter"));
	ck_assert_uint_eq(free_places(), places[_i] - 1);
	hot_changes("DEVICE_ATTACHED", places[_i] - 1, "devices-change", in);
	before = hot_addresses();
	expect_full(places[_i]);
	hot_restart();
	expect_full(places[_i]);
	hot_done("instance-stop", "");
	guest_start(hot.client, VM);
	expect_full(places[_i]);
	after = hot_addresses();
	ck_assert_str_eq(before, after);
}
END_TEST

/* A controller with few places. */
START_TEST(test_scsi_full)
{
	enum { PLACES = 7 };
	_cleanup_json_ struct json_object *e = NULL;

	hot_start_bare("pc", ", 'scsi_controller_type': 'lsi'", "");
	for (int i = 0; i <= PLACES; i++) {
		_cleanup_free_ char *name = xasprintf("s%d", i);
		_cleanup_free_ char *args = xasprintf("'disk': {'path': '@/s%d', 'type': 'scsi-hd'}", i);

		hot_image(name, "", KIB);
		if (i < PLACES)
			hot_changes("DEVICE_ATTACHED", 1, "disk-attach", args);
		else
			e = hot_fails("NoSlot", "disk-attach", args);
	}
	ck_assert_str_eq(str_at(e, "parameter"), "disk");
	ck_assert_msg(strstr(str_at(e, "desc"), "7"), "%s", str_at(e, "desc"));
	hot_expect_records();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("hotplug that is refused");
	TCase *tc = tcase_create("refused");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, test_refused, 0, ARRAY_SIZE(machines));
	tcase_add_test(tc, test_device);
	tcase_add_loop_test(tc, test_full, 0, ARRAY_SIZE(machines));
	tcase_add_test(tc, test_scsi_full);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return hot_main(suite);
}
