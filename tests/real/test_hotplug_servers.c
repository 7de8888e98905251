/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices that come and go with somebody else behind them: disks of a real qemu-nbd and of a real iSCSI target, which the
 * guest also speaks SCSI to itself, and a card on a bridge with a real DHCP server.
 */
#include "hot.h"
#include "netns.h"
#include "peers.h"

#include <stdio.h>

static const char *const machines[] = { "pc", "q35" };

#define FIRST_BYTES(disk) "head -c 4 /dev/" disk "; echo"
#define UUID "003fc157-66a8-4e6d-8b7e-ec4f69751396"
#define TAP "dv003fc15766a8"
#define LUN "'uri': 'iscsi://127.0.0.1/iqn.drover/1'"
#define INQUIRY "cat /sys/block/sda/device/vendor /sys/block/sda/device/model; " FIRST_BYTES("sda")

static const struct hot_kind nbd[] = {
	{ "disk", "'uri': 'nbd://127.0.0.1:10810/served'", "GUEST-ADD block vdb 2048\r", "GUEST-DEL block vdb",
	  FIRST_BYTES("vdb"), "serv" },
	{ "disk", "'uri': 'nbd://127.0.0.1:10810/served', 'type': 'scsi-hd'", "GUEST-ADD block sda 2048\r",
	  "GUEST-DEL block sda", FIRST_BYTES("sda"), "serv" },
};

/* A disk of QEMU's; the target itself. */
static const struct hot_kind iscsi[] = {
	{ "disk", LUN, "GUEST-ADD block vdb 8192\r", "GUEST-DEL block vdb", FIRST_BYTES("vdb"), "unit" },
	{ "disk", LUN ", 'type': 'scsi-hd'", "GUEST-ADD block sda 8192\r", "GUEST-DEL block sda", INQUIRY,
	  "QEMU HARDDISK" },
	{ "disk", LUN ", 'type': 'scsi-block'", "GUEST-ADD block sda 8192\r", "GUEST-DEL block sda", INQUIRY,
	  "VIRTUAL-DISK" },
	{ "disk", LUN ", 'type': 'scsi-generic'", "GUEST-ADD block sda 8192\r", "GUEST-DEL block sda", INQUIRY,
	  "VIRTUAL-DISK" },
};

static void check_cycle(const struct hot_kind *k)
{
	_cleanup_free_ char *before = hot_world();

	hot_attach(k);
	hot_detach(k);
	hot_expect_world(before);
}

static void expect_refused(const char *disk, const char *parameter)
{
	_cleanup_free_ char *before = hot_world(), *records = hot_both_records(), *now = NULL;
	_cleanup_free_ char *args = xasprintf("'disk': {%s}", disk);
	_cleanup_json_ struct json_object *e = hot_fails("StorageError", "disk-attach", args);

	ck_assert_msg(has(e, "parameter") && str_eq(str_at(e, "parameter"), parameter), "%s: %s", disk,
		      json_object_to_json_string(e));
	now = hot_both_records();
	ck_assert_str_eq(now, records);
	hot_expect_world(before);
}

static void check_nbd(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(nbd); i++)
		check_cycle(&nbd[i]);
	expect_refused("'uri': 'nbd://127.0.0.1:10812/served'", "disk.uri"); /* where nobody listens */
	expect_refused("'uri': 'nbd://127.0.0.1:10810/another'", "disk.uri");
	expect_refused("'uri': 'nbd://127.0.0.1:10810/served', 'format': 'qcow2'", "disk.uri");
	expect_refused("'path': '@/over', 'format': 'qcow2', 'backing': [{'uri': 'nbd://127.0.0.1:10812/'}]",
		       "disk.backing[0].uri");
}

/* Why there is none; NULL: there is. */
static const char *lacks_iscsi(void)
{
	_cleanup_json_ struct json_object *reply = NULL;

	if (!peer_has_iscsi())
		return "tgtd is not installed";
	/* what the target does not have */
	reply = client_reply(hot.client,
			     hot_request("disk-attach", "'disk': {'uri': 'iscsi://127.0.0.1/iqn.drover/7'}"));
	return str_eq(str_at(reply, "error.class"), "Unsupported") ? "QEMU has no iscsi driver" : NULL;
}

static void check_iscsi(void)
{
	const char *lacks = lacks_iscsi();

	if (lacks) {
		printf("SKIP: disks of an iSCSI target: %s\n", lacks);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(iscsi); i++)
		check_cycle(&iscsi[i]);
	expect_refused("'uri': 'iscsi://127.0.0.1/iqn.drover/7'", "disk.uri");
}

/* It has its lease, and traffic comes through; with the next droverd too. The tap goes with the card. */
static void check_bridged(void)
{
	static const struct hot_kind card = { "nic",
					      "'uuid': '" UUID
					      "', 'mac': '52:54:00:00:00:11', 'mode': 'bridged', 'link': 'br0'",
					      "GUEST-ADD net eth0 52:54:00:00:00:11\r",
					      "GUEST-DEL net eth0",
					      NULL,
					      NULL };
	_cleanup_free_ char *before = NULL;
	unsigned had = hot_said("GUEST-NET eth0 10.77.0.42");

	hot_restart();
	hot_expect_records();
	before = hot_world();
	hot_attach(&card);
	ck_assert(netns_on_bridge("br0", TAP));
	hot_says("GUEST-NET eth0 10.77.0.42", had);
	host_run("ping -c 1 -w %d 10.77.0.42 > /dev/null", RIG_DEADLINE_MS / 1000);
	hot_restart();
	host_run("ping -c 1 -w %d 10.77.0.42 > /dev/null", RIG_DEADLINE_MS / 1000);
	hot_detach(&card);
	hot_expect_world(before);
}

static void set_up(void)
{
	ck_assert(netns_enter());
	netns_bridge("br0");
	netns_set_address("br0", "10.77.0.1");
	hot_set_up();
	peer_dhcp(hot.rig, "br0");
}

START_TEST(test_servers)
{
	pid_t nbd_pid, iscsi_pid;

	hot_image("cold", "cold", 512);
	hot_image("served", "served", KIB);
	hot_image("unit", "unit", 4L * KIB);
	host_run("cd '%s' && qemu-img create -q -f qcow2 over 1M && chmod 600 over", hot.dir);
	nbd_pid = peer_nbd(hot.dir, "served", "10810", NULL);
	iscsi_pid = peer_has_iscsi() ? peer_iscsi(hot.dir, "unit") : 0;
	hot_start(machines[_i], "t.ga=0 t.shell=1", "",
		  ", 'disks': [{'path': '@/cold'}, {'media': 'cdrom', 'type': 'scsi-cd'}]");
	guest_await(hot.rig, VM, "GUEST-ADD block vda 1024\r", 1);
	check_nbd();
	check_iscsi();
	check_bridged();
	hot_done("instance-stop", "");
	peer_end(nbd_pid);
	if (iscsi_pid)
		peer_end(iscsi_pid);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("hotplug with servers");
	TCase *tc = tcase_create("servers");

	tcase_add_checked_fixture(tc, set_up, hot_tear_down);
	tcase_add_loop_test(tc, test_servers, 0, ARRAY_SIZE(machines));
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return hot_main(suite);
}
