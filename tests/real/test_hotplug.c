/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks and cards that come and go while a real guest runs: what Linux in it sees of them, what QEMU and both records
 * have of them then. One guest of each machine type is shared by all checks.
 */
#include "hot.h"

#include <stdlib.h>

enum { SCSI_DISKS = 20, CYCLES = 20, WARM_UP = 2, GROWTH_KIB = 4096 };

static const char *const machines[] = { "pc", "q35" };

/* ---- one by one ---- */

#define FIRST_BYTES(disk) "head -c 3 /dev/" disk "; echo"

/* What is read of the parts of an image. */
#define PARTS "for i in 0 1 2; do dd if=/dev/vdb bs=64k skip=$i count=1 2>/dev/null | tail -c 1; done; echo"

static const struct hot_kind kinds[] = {
	{ "disk", "'path': '@/one'", "GUEST-ADD block vdb 2048\r", "GUEST-DEL block vdb", FIRST_BYTES("vdb"), "one" },
	{ "disk", HOT_CHAIN, "GUEST-ADD block vdb 8192\r", "GUEST-DEL block vdb", PARTS, "BMT" },
	{ "disk", "'path': '@/two', 'type': 'scsi-hd'", "GUEST-ADD block sda 4096\r", "GUEST-DEL block sda",
	  FIRST_BYTES("sda"), "two" },
	{ "disk", "'path': '@/one', 'type': 'scsi-cd', 'media': 'cdrom'", "GUEST-ADD block sr0", "GUEST-DEL block sr0",
	  "cat /sys/block/sr0/size; " FIRST_BYTES("sr0"), "2048\r\none" },
	{ "nic", "'mode': 'user', 'mac': '52:54:00:00:00:11'", "GUEST-ADD net eth0 52:54:00:00:00:11\r",
	  "GUEST-DEL net eth0", "ip link set eth0 up; udhcpc -n -q -i eth0 2>&1 | grep -o 'obtained from [0-9.]*'",
	  "obtained from 10.0.2.2" },
	{ "nic", "'mode': 'none', 'mac': '52:54:00:00:00:12'", "GUEST-ADD net eth0 52:54:00:00:00:12\r",
	  "GUEST-DEL net eth0", "ip link show eth0", "52:54:00:00:00:12" },
	/* QEMU and the guest have whole sectors. */
	{ "disk", "'path': '@/odd'", "GUEST-ADD block vdb 2\r", "GUEST-DEL block vdb",
	  "dd if=/dev/vdb bs=512 skip=1 2>/dev/null | wc -c", "512" },
};

static void cycle(const struct hot_kind *k)
{
	hot_attach(k);
	hot_detach(k);
}

/* A PC gets its controller with the first that needs one, and keeps it; other machines have it. */
static void check_controller(bool pc)
{
	_cleanup_json_ struct json_object *before = hot_qemu("qom-list", "'path': '/machine/peripheral'"),
					  *after = NULL;

	cycle(&kinds[2]);
	after = hot_qemu("qom-list", "'path': '/machine/peripheral'");
	ck_assert_uint_eq(json_object_array_length(after), json_object_array_length(before) + pc);
	ck_assert_ptr_nonnull(strstr(json_object_to_json_string(after), "\"scsi\""));
}

static void check_each(void)
{
	_cleanup_free_ char *before = hot_world();

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		cycle(&kinds[i]);
		hot_expect_world(before);
	}
}

/* Again and again: nothing is left of any, in QEMU, in droverd, or of the places. */
static void check_cycles(unsigned n)
{
	static const char *const said[] = {
		"GUEST-ADD block vdb 8192\r", "GUEST-ADD block sda 4096\r", "GUEST-ADD net eth0 52:54:00:00:00:13\r",
		"GUEST-DEL block vdb",        "GUEST-DEL block sda",        "GUEST-DEL net eth0"
	};
	_cleanup_free_ char *before = hot_world(), *records = hot_both_records(), *now = NULL, *addresses = NULL;
	unsigned had[ARRAY_SIZE(said)], resident = 0;

	for (size_t k = 0; k < ARRAY_SIZE(said); k++)
		had[k] = hot_said(said[k]);
	for (unsigned i = 0; i < n; i++) {
		_cleanup_free_ char *here = NULL;

		if (i == WARM_UP)
			resident = process_rss(hot.rig->pid);
		hot_changes("DEVICE_ATTACHED", 3, "devices-change",
			    "'attach': {'disks': [{'name': 'a', " HOT_CHAIN
			    "}, {'name': 'b', 'path': '@/two', 'type': 'scsi-hd'}], 'nics': [{'name': 'c', 'mode': "
			    "'user', 'mac': '52:54:00:00:00:13'}]}");
		for (size_t k = 0; k < 3; k++)
			hot_says(said[k], had[k] + i);
		here = hot_address("a");
		hot_changes("DEVICE_DETACHED", 3, "devices-change", "'detach': ['a', 'b', 'c']");
		for (size_t k = 3; k < ARRAY_SIZE(said); k++)
			hot_says(said[k], had[k] + i);
		/* behind the id, which is another each time */
		if (addresses)
			ck_assert_str_eq(strstr(here, "\"bus\""), strstr(addresses, "\"bus\""));
		else
			addresses = TAKE_PTR(here);
	}
	hot_expect_world(before);
	now = hot_both_records();
	ck_assert_str_eq(now, records);
	/* the last events are kept, and what was told to QEMU */
	ck_assert_uint_lt(process_rss(hot.rig->pid), resident + GROWTH_KIB);
}

/* ---- several ---- */

static void check_change(void)
{
	_cleanup_free_ char *before = hot_world(), *one = NULL;
	/* which of them is vdb is the guest's to say */
	unsigned added = hot_said("GUEST-ADD block vd"), n = hot_said("GUEST-ADD net eth0"), gone;
	unsigned one_said = hot_said(" 2048\r"), two_said = hot_said(" 4096\r"),
		 d = hot_said("GUEST-ADD block sda 6144\r");

	hot_changes("DEVICE_ATTACHED", 3, "devices-change",
		    "'attach': {'disks': [{'name': 'a', 'path': '@/one'}, {'name': 'b', 'path': '@/two'}], "
		    "'nics': [{'name': 'c', 'mode': 'user'}]}");
	guest_await(hot.rig, VM, "GUEST-ADD block vd", added + 2);
	hot_says(" 2048\r", one_said);
	hot_says(" 4096\r", two_said);
	hot_says("GUEST-ADD net eth0", n);
	hot_expect_records();
	one = hot_address("b");
	gone = hot_said("GUEST-DEL");
	hot_changes("DEVICE_DETACHED", 2, "devices-change",
		    "'attach': {'disks': [{'name': 'a', 'path': '@/three', 'type': 'scsi-hd'}]}, 'detach': ['a', 'c']");
	guest_await(hot.rig, VM, "GUEST-DEL", gone + 2);
	hot_says("GUEST-ADD block sda 6144\r", d);
	hot_expect_records();
	hot_expect_address("b", one);
	hot_changes("DEVICE_DETACHED", 2, "devices-change", "'detach': ['b', 'a']");
	guest_await(hot.rig, VM, "GUEST-DEL", gone + 4);
	hot_expect_records();
	hot_expect_world(before);
}

/* A guest that ejects it by itself: drover says so, and clears up when it is told to. */
static void check_ejected(void)
{
	static const char uuid[] =
		"'disk': {'uuid': '11111111-22a7-4067-a566-7e0ca8386133', 'name': 'e', 'path': '@/one'}";
	_cleanup_free_ char *before = hot_world(), *address = NULL, *line = NULL;
	_cleanup_json_ struct json_object *e = NULL, *told = NULL;
	unsigned added = hot_said("GUEST-ADD block vdb 2048\r"), gone = hot_said("GUEST-DEL block vdb");

	hot_changes("DEVICE_ATTACHED", 1, "disk-attach", uuid);
	hot_says("GUEST-ADD block vdb 2048\r", added);
	address = hot_address("e");
	line = xasprintf("echo 0 > /sys/bus/pci/slots/%ld/power", strtol(strstr(address, "0x"), NULL, 16));
	free(guest_shell(hot.rig, VM, line));
	hot_says("GUEST-DEL block vdb", gone);
	told = client_event(hot.client, "DRIFT");
	ck_assert_str_eq(str_at(json_object_array_get_idx(at(told, "data.drift"), 0), "id"), "disk-11111111-22a7-4067");
	e = hot_fails("WrongState", "disk-attach", uuid);
	ck_assert_str_eq(str_at(e, "parameter"), "disk");
	hot_changes("DEVICE_DETACHED", 1, "disk-detach", "'disk': 'e'");
	hot_changes("DEVICE_ATTACHED", 1, "disk-attach", uuid);
	hot_says("GUEST-ADD block vdb 2048\r", added + 1);
	hot_changes("DEVICE_DETACHED", 1, "disk-detach", "'disk': 'e'");
	hot_says("GUEST-DEL block vdb", gone + 1);
	hot_expect_records();
	hot_expect_world(before);
}

/* One of them is another machine's, which is found out when the guest has the first already. */
static void check_all_or_none(void)
{
	_cleanup_free_ char *before = NULL, *records = NULL, *after = NULL;
	_cleanup_json_ struct json_object *e = NULL;
	unsigned gone, added = hot_said("GUEST-ADD block vdb 4096\r");

	hot_changes("DEVICE_ATTACHED", 1, "disk-attach", "'disk': {'name': 'stays', 'path': '@/two'}");
	hot_says("GUEST-ADD block vdb 4096\r", added); /* its driver has all that it needs */
	before = hot_world();
	records = hot_both_records();
	gone = hot_said("GUEST-DEL");
	e = hot_fails("NotFound", "devices-change",
		      "'attach': {'disks': [{'path': '@/one'}, {'path': '@/missing'}]}, 'detach': ['stays']");
	ck_assert_str_eq(str_at(e, "parameter"), "attach.disks[1].path");
	hot_expect_world(before);
	ck_assert_uint_eq(hot_said("GUEST-DEL"), gone);
	json_object_put(e);
	e = hot_fails(
		"StorageError", "devices-change",
		"'attach': {'disks': [{'name': 'stays', 'path': '@/one', 'type': 'scsi-hd'}, {'path': '@/taken'}]}, "
		"'detach': ['stays']");
	ck_assert_str_eq(str_at(e, "parameter"), "attach.disks[1].path");
	ck_assert(json_object_get_boolean(at(e, "undone")));
	after = hot_both_records();
	ck_assert_str_eq(records, after);
	hot_expect_world(before);
	/* what was taken is given back */
	guest_await(hot.rig, VM, "GUEST-DEL", gone + 2);
	hot_changes("DEVICE_DETACHED", 1, "disk-detach", "'disk': 'stays'");
	guest_await(hot.rig, VM, "GUEST-DEL", gone + 3);
}

static void check_scsi(void)
{
	_cleanup_free_ char *before = hot_world(), *attach = xstrdup(""), *detach = xstrdup(""), *in = NULL,
			    *out = NULL;
	unsigned had = hot_said("GUEST-ADD block sd"), gone = hot_said("GUEST-DEL block sd");

	for (unsigned i = 0; i < SCSI_DISKS; i++) {
		_cleanup_free_ char *a = attach, *d = detach, *name = xasprintf("s%u", i);

		hot_image(name, "", KIB);
		attach = xasprintf("%s%s{'name': 's%u', 'path': '@/s%u', 'type': 'scsi-hd'}", a, i ? ", " : "", i, i);
		detach = xasprintf("%s%s's%u'", d, i ? ", " : "", i);
	}
	in = xasprintf("'attach': {'disks': [%s]}", attach);
	hot_changes("DEVICE_ATTACHED", SCSI_DISKS, "devices-change", in);
	guest_await(hot.rig, VM, "GUEST-ADD block sd", had + SCSI_DISKS);
	hot_expect_records();
	out = xasprintf("'detach': [%s]", detach);
	hot_changes("DEVICE_DETACHED", SCSI_DISKS, "devices-change", out);
	guest_await(hot.rig, VM, "GUEST-DEL block sd", gone + SCSI_DISKS);
	hot_expect_records();
	hot_expect_world(before);
}

/* ---- another droverd, another process ---- */

/* The paths that are pending, one a line. */
static void expect_pending(const char *text)
{
	_cleanup_json_ struct json_object *o = guest_settle(hot.client, VM);
	_cleanup_free_ char *now = xstrdup("");

	hot_add_sorted(&now, "pending", "path", json_object_get(at(o, "pending")));
	ck_assert_str_eq(now, text);
}

static void check_later(void)
{
	_cleanup_free_ char *before = hot_world();
	unsigned added = hot_said("GUEST-ADD"), removed = hot_said("GUEST-DEL");

	hot_changes_later("disk-attach", "'live': false, 'disk': {'name': 'later', 'path': '@/three'}");
	expect_pending("pending disks[later]\n");
	hot_changes_later("disk-detach", "'live': false, 'disk': 'later'");
	expect_pending("");
	hot_changes_later("disk-attach", "'live': false, 'disk': {'name': 'later', 'path': '@/three'}");
	hot_changes_later("disk-detach", "'live': false, 'disk': 'b'");
	expect_pending("pending disks[b]\npending disks[later]\n");
	hot_expect_world(before);
	ck_assert_uint_eq(hot_said("GUEST-ADD"), added);
	ck_assert_uint_eq(hot_said("GUEST-DEL"), removed);
}

static void come_and_restart(void)
{
	unsigned had = hot_said("GUEST-ADD"), gone = hot_said("GUEST-DEL");

	hot_changes("DEVICE_ATTACHED", 4, "devices-change",
		    "'attach': {'disks': [{'name': 'a', 'path': '@/one'}, {'name': 'b', 'path': '@/two', 'type': "
		    "'scsi-hd'}, {'name': 's', 'path': '@/five', 'type': 'scsi-hd'}], "
		    "'nics': [{'name': 'n', 'mode': 'user', 'mac': '52:54:00:00:00:31'}]}");
	hot_restart();
	hot_expect_records();
	guest_await(hot.rig, VM, "GUEST-ADD", had + 4);
	hot_changes("DEVICE_DETACHED", 1, "disk-detach", "'disk': 'a'");
	guest_await(hot.rig, VM, "GUEST-DEL", gone + 1);
	hot_expect_records();
}

/* Nothing moves when another leaves, nor with another droverd or another process; which finds what there is to be. */
static void check_life(void)
{
	static const char *const lines[] = { "GUEST-UP", "GUEST-ADD block vda 1024\r", "GUEST-ADD block sda 10240\r",
					     "GUEST-ADD block vdb 6144\r", "52:54:00:00:00:31\r" };
	_cleanup_free_ char *before = NULL, *after = NULL;
	unsigned said[ARRAY_SIZE(lines)];

	come_and_restart();
	check_later();
	before = hot_addresses();
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		said[i] = hot_said(lines[i]);
	hot_done("instance-stop", "");
	guest_start(hot.client, VM);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		hot_says(lines[i], said[i]);
	hot_expect_records();
	after = hot_addresses();
	ck_assert_str_eq(before, after);
	hot_changes("DEVICE_DETACHED", 3, "devices-change", "'detach': ['s', 'later', 'n']");
	hot_expect_records();
}

/* ---- the whole ---- */

static void make_images(void)
{
	hot_image("cold", "cold", 512);
	hot_image("one", "one", KIB);
	hot_image("two", "two", 2L * KIB);
	hot_image("three", "three", 3L * KIB);
	hot_image("five", "five", 5L * KIB);
	hot_image("taken", "", KIB);
	hot_chain();
	host_run("truncate -s 1000 '%s/odd' && chmod 600 '%s/odd'", hot.dir, hot.dir);
}

START_TEST(test_running)
{
	make_images();
	client_define(hot.client, "holder", "'memory': '16M', 'disks': [{'path': '%s/taken'}]", hot.dir);
	guest_start(hot.client, "holder");
	hot_start(machines[_i], "t.net=none t.ga=0 t.shell=1", "", ", 'disks': [{'path': '@/cold'}]");
	guest_await(hot.rig, VM, "GUEST-ADD block vda 1024\r", 1);
	check_controller(_i == 0);
	check_each();
	check_cycles(_i == 0 || getenv("DROVER_LONG") ? CYCLES : WARM_UP + 1);
	check_change();
	check_all_or_none();
	if (_i == 0)
		check_ejected();
	else
		check_scsi();
	check_life();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("hotplug");
	TCase *tc = tcase_create("a guest that runs");

	tcase_add_checked_fixture(tc, hot_set_up, hot_tear_down);
	tcase_add_loop_test(tc, test_running, 0, ARRAY_SIZE(machines));
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return hot_main(suite);
}
