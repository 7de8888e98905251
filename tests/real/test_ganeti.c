/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A QEMU that was started exactly as Ganeti starts one becomes drover's: the same process, at the same addresses, and its
 * guest lets go of its devices.
 */
#include "ganeti.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define NIC0 "003fc157-66a8-4e6d-8b7e-ec4f69751396"
#define OLD_NIC "113fc157-66a8-4e6d-8b7e-ec4f69751396"

enum { SAID_MAX = 1 << 20, TAP_FD = 40, OLD_TAP_FD };

/* ---- the guest's serial port, which nobody writes down, and the monitor for people ---- */

struct serial {
	int fd;
	char *said;
	size_t len;
};

static void serial_open(struct serial *s, const char *kind)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	_cleanup_free_ char *file = node_path("ctrl/" VM ".%s", kind);

	ck_assert_uint_lt(strlen(file), sizeof(addr.sun_path));
	strcpy(addr.sun_path, file); /* NOLINT(clang-analyzer-security.insecureAPI.strcpy): it fits */
	*s = (struct serial){ .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), .said = xcalloc(SAID_MAX, 1) };
	ck_assert_int_eq(connect(s->fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
}

static void serial_await(struct serial *s, const char *text)
{
	while (!strstr(s->said, text)) {
		struct pollfd p = { s->fd, POLLIN, 0 };
		ssize_t n = -1;

		if (poll(&p, 1, RIG_DEADLINE_MS) == 1)
			n = read(s->fd, s->said + s->len, SAID_MAX - 1 - s->len);
		ck_assert_msg(n > 0, "no '%s' in: %s", text, s->said);
		s->len += (size_t)n;
	}
}

static void serial_close(struct serial *s)
{
	close(s->fd);
	free(s->said);
}

/* ---- what is looked at ---- */

static void expect_same(struct json_object *shown)
{
	ck_assert_str_eq(str_at(shown, "state"), "running");
	ck_assert_int_eq(int_at(shown, "pid"), node.pid);
	ck_assert_int_eq(int_at(shown, "runtime.process.pid"), node.pid);
	ck_assert_str_eq(json_object_to_json_string_ext(at(shown, "drift"), JSON_C_TO_STRING_PLAIN), "[]");
}

static void expect_addresses(void)
{
	_cleanup_json_ struct json_object *shown = guest_query(node.client, VM);

	ck_assert_str_eq(str_at(shown, "runtime.disks.0.hvinfo.addr"), "0xd");
	ck_assert_str_eq(str_at(shown, "runtime.disks.1.hvinfo.addr"), "0xf");
	ck_assert_str_eq(str_at(shown, "runtime.nics.0.hvinfo.addr"), "0xe");
	ck_assert_int_eq(node_slot(ID0), 0xd);
	ck_assert_int_eq(node_slot(ID1), 0xf);
	ck_assert_int_eq(node_slot("nic-003fc157-66a8-4e6d"), 0xe);
	ck_assert_str_eq(str_at(shown, "runtime.nics.1.hvinfo.addr"), "0x5");
	ck_assert_int_eq(node_slot("hotnic-113fc157-pci-5"), 5);
}

/* Nothing of the device is left in QEMU. */
static void expect_gone(const char *id)
{
	_cleanup_json_ struct json_object *nodes = node_ask("query-named-block-nodes", "{'flat': true}");
	_cleanup_json_ struct json_object *objects = node_ask("qom-list", "{'path': '/machine/peripheral'}");

	ck_assert_int_eq(node_slot(id), -1);
	ck_assert_ptr_null(strstr(json_object_to_json_string(nodes), id));
	ck_assert_ptr_null(strstr(json_object_to_json_string(objects), id));
}

/* ---- a guest with two disks and two cards ---- */

#define HVPARAMS                                                                                          \
	"'kernel_path': '%s/vmlinuz', 'initrd_path': '%s/initrd.gz', 'kernel_args': '%s', 'root_path': "  \
	"'/dev/vda1', 'kvm_path': '%s', 'vhost_net': false, 'scsi_controller_type': 'lsi', 'disk_type': " \
	"'paravirtual', 'nic_type': 'paravirtual', 'use_guest_agent': false, 'machine_version': '', "     \
	"'security_model': 'none', 'disk_cache': 'default', 'kvm_flag': '', 'vnc_bind_address': null"

#define BRIDGED_NIC(uuid, mac, place) \
	"{'mac': '" mac "', 'uuid': '" uuid "', 'nicparams': {'mode': 'bridged', 'link': 'br0'}, " place "}"

static char *document(const struct ganeti_command *c, const char *kernel_args)
{
	_cleanup_free_ char *cmd = command_stored(c), *disks = NULL, *nics = NULL;
	const char *guest = rig_guest();

	nics = xasprintf(
		BRIDGED_NIC(NIC0, "aa:00:00:35:d5:01",
			    "'hvinfo': {" PCI_AT("virtio-net-pci", "%s",
						 "0xe") "}") ", " BRIDGED_NIC(OLD_NIC, "aa:00:00:35:d5:02", "'pci': 5"),
		"nic-003fc157-66a8-4e6d");
	disks = xasprintf(FILE_DISK(DISK0, "one", "0", PCI_AT("virtio-blk-pci", ID0, "0xd")) ", " FILE_DISK(
				  DISK1, "two", "1", PCI_AT("virtio-blk-pci", ID1, "0xf")),
			  node.base, node.base, node.base, node.base);
	return xasprintf("[%s, [%s], {" HVPARAMS "}, [%s]]", cmd, nics, guest, guest, kernel_args, node.qemu, disks);
}

/* As Ganeti opens one, onto a descriptor that its QEMU inherits. */
static void open_tap(const char *bridge, int fd)
{
	struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_ONE_QUEUE };
	int tun = open("/dev/net/tun", O_RDWR);

	ck_assert_int_ge(tun, 0);
	ck_assert_int_eq(ioctl(tun, TUNSETIFF, &req), 0);
	host_run("ip link set %s up master %s", req.ifr_name, bridge);
	ck_assert_int_eq(dup2(tun, fd), fd);
	close(tun);
}

static void start_guest(struct ganeti_command *c, const char *words)
{
	host_run("ip link add br0 type bridge");
	host_run("ip link set br0 up");
	open_tap("br0", TAP_FD);
	open_tap("br0", OLD_TAP_FD);
	node_make_disk("one", "one", 1 << 20, 0);
	node_make_disk("two", "two", 2 << 20, 1);
	command_begin(c, "pc", words, false);
	command_add_nic(c, "nic-003fc157-66a8-4e6d", TAP_FD, "0xe", "aa:00:00:35:d5:01");
	command_add_nic(c, "hotnic-113fc157-pci-5", OLD_TAP_FD, "0x5", "aa:00:00:35:d5:02");
	command_add_monitors(c);
	command_add_disk(c, ID0, ID0, "virtio-blk-pci,bus=pci.0,addr=0xd", 0);
	command_add_disk(c, ID1, ID1, "virtio-blk-pci,bus=pci.0,addr=0xf", 1);
	command_run(c);
	close(TAP_FD);
	close(OLD_TAP_FD);
}

static void check_adopted(struct json_object *result)
{
	_cleanup_json_ struct json_object *shown = guest_query(node.client, VM);
	_cleanup_json_ struct json_object *stats = client_stats(node.client, 1);

	ck_assert_msg(int_at(stats, "0.disks.0.read-bytes") > 0, "%s", json_object_to_json_string(stats));
	ck_assert(json_object_get_boolean(at(result, "changed")));
	ck_assert_str_eq(str_at(result, "uuid"), VM_UUID);
	ck_assert_int_eq(int_at(result, "pid"), node.pid);
	ck_assert(str_starts(str_at(result, "definition.hvparams.machine_version"), "pc-i440fx-"));
	ck_assert_int_eq(int_at(result, "definition.memory"), 128 << 20);
	expect_same(shown);
	/* Slot 5 is no place for a card here: there it is until the next start. */
	ck_assert_int_eq(json_object_array_length(at(shown, "pending")), 1);
	ck_assert_str_eq(str_at(shown, "pending.0.path"), "nics[nic1].hvinfo.addr");
	ck_assert_str_eq(str_at(result, "definition.nics.1.hvinfo.addr"), "0xc");
	ck_assert_str_eq(str_at(shown, "runtime.nics.1.hvinfo.id"), "hotnic-113fc157-pci-5");
	expect_addresses();
}

/* What is taken from the guest, and what it is given in its place. */
static void check_hotplug(struct serial *s)
{
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_free_ char *three = node_path("three");

	json_object_put(client_ok(node.client, "disk-detach", "{'instance': '%s', 'disk': 'disk1'}", VM));
	serial_await(s, "GUEST-DEL block vdb");
	expect_gone(ID1);
	node_make_disk("three", "three", 3 << 20, 7);
	o = client_ok(node.client, "disk-attach", "{'instance': '%s', 'disk': {'path': '%s'}}", VM, three);
	ck_assert_str_eq(str_at(o, "disk.hvinfo.addr"), "0xf");
	serial_await(s, "GUEST-ADD block vdb 6144");
	json_object_put(
		client_ok(node.client, "nic-detach", "{'instance': '%s', 'nic': 'nic-003fc157-66a8-4e6d'}", VM));
	json_object_put(client_ok(node.client, "nic-detach", "{'instance': '%s', 'nic': 'hotnic-113fc157-pci-5'}", VM));
	serial_await(s, "GUEST-DEL net");
	expect_gone("nic-003fc157-66a8-4e6d");
	expect_gone("hotnic-113fc157-pci-5");
	/* Their taps went with QEMU's descriptors. */
	host_run("! ip link show | grep tap");
}

/* The guest powers itself off while there is no droverd: the next one finds QEMU held, and sees why. */
static void check_end(struct serial *s)
{
	struct serial hmp;

	rig_kill(node.rig);
	serial_open(&hmp, "monitor");
	dprintf(hmp.fd, "system_powerdown\n");
	serial_await(s, "GUEST-DOWN");
	while (!strstr(hmp.said, "shutdown)")) {
		dprintf(hmp.fd, "info status\n");
		hmp.said[hmp.len = 0] = '\0';
		serial_await(&hmp, "VM status");
		serial_await(&hmp, ")");
		usleep(20000);
	}
	serial_close(&hmp);
	ck_assert(process_runs(node.pid));
	node_restart("droverd", NULL);
	client_await_state(node.client, VM, "shutoff", "guest");
	process_await_end(node.pid);
	rig_reap();
	node.pid = 0;
}

/* From the disks that are left drover starts it anew, with each in its place. */
static void check_start(void)
{
	_cleanup_json_ struct json_object *shown = NULL;

	ck_assert_int_ne(guest_start(node.client, VM), 0);
	/* 0xd, 0xf */
	guest_await(node.rig, VM, "GUEST-ADD block vda 2048", 1);
	guest_await(node.rig, VM, "GUEST-ADD block vdb 6144", 1);
	shown = guest_query(node.client, VM);
	ck_assert_str_eq(str_at(shown, "runtime.disks.0.hvinfo.addr"), "0xd");
	ck_assert_int_eq(node_slot(ID0), 0xd);
	ck_assert_ptr_nonnull(strstr(json_object_to_json_string(at(shown, "runtime.cmd")), "-nodefaults"));
	json_object_put(client_ok(node.client, "instance-stop", "{'instance': '%s'}", VM));
}

START_TEST(test_guest)
{
	struct ganeti_command c = { 0 };
	struct serial s;
	_cleanup_json_ struct json_object *o = NULL, *again = NULL, *shown = NULL;
	_cleanup_free_ char *text = NULL;

	start_guest(&c, "t.net=none t.ga=0");
	serial_open(&s, "serial");
	serial_await(&s, "GUEST-ADD block vdb 4096");
	serial_await(&s, "GUEST-ADD net eth1");
	text = document(&c, "t.net=none t.ga=0");
	o = node_import(text);
	check_adopted(o);
	again = node_import(text);
	ck_assert(!json_object_get_boolean(at(again, "changed")));
	rig_restart(node.rig, &node.client);
	client_await_state(node.client, VM, "running", NULL);
	shown = guest_settle(node.client, VM);
	expect_same(shown);
	expect_addresses();
	check_hotplug(&s);
	rig_restart(node.rig, &node.client);
	client_await_state(node.client, VM, "running", NULL);
	check_end(&s);
	serial_close(&s);
	check_start();
	command_clear(&c);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("import from Ganeti");
	TCase *tc = tcase_create("guest");

	tcase_add_checked_fixture(tc, node_set_up, node_tear_down);
	tcase_set_timeout(tc, 600);
	tcase_add_test(tc, test_guest);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return guest_main(suite);
}
