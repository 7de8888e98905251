/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fake-qemu says what QEMU says. Both are given the same commands; replies are compared, errors by class and text, what is
 * returned by the parts of it that drover looks at, and so is what each holds open.
 *
 * Resets are of guests that stand still: what comes of one that runs, when, is for its firmware to say.
 *
 * QEMU is that in PATH. Where it is no 7.2 the texts may differ, and the test is skipped.
 */
#include "raw.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define REAL "qemu-system-x86_64"

enum fd { NO_FD, RW, RO, BOTH };

enum look {
	REPLY,   /* whether it is an error, and that */
	VALUE,   /* and what is returned, members in any order */
	SETS,    /* of query-fdsets: numbers, how many members, opaque */
	NODES,   /* of query-named-block-nodes: name, driver, size, read-only, file unless it is JSON */
	BLOCKS,  /* of query-block: device, node, I/O status */
	NAMES,   /* of qom-list: names with their types, in any order */
	HELD,    /* VALUE, and how many descriptors are open more or less than at the beginning */
	DELETED, /* no command: the next DEVICE_DELETED */
	RECONNECT,
};

struct row {
	const char *command, *args;
	enum look look;
	enum fd fd;
};

/* ---- the tables ---- */

#define RAW_NODE(name, on)                                                                     \
	{                                                                                      \
		"blockdev-add", "{'driver': 'raw', 'node-name': '" name "', 'file': '" on "'}" \
	}
#define NULL_NODE(name)                                                                           \
	{                                                                                         \
		"blockdev-add", "{'driver': 'null-co', 'node-name': '" name "', 'size': 1048576}" \
	}
#define FILE_NODE(name, file)                                                                               \
	{                                                                                                   \
		"blockdev-add", "{'driver': 'file', 'node-name': '" name "', 'filename': '" file "'}", HELD \
	}
#define PLUG(args)                         \
	{                                  \
		"device_add", "{" args "}" \
	}
#define BLK(id, drive, bus, addr) \
	PLUG("'driver': 'virtio-blk-pci', 'id': '" id "', 'drive': '" drive "', 'bus': '" bus "', 'addr': '" addr "'")
#define SCSI(id, drive, target)                                      \
	PLUG("'driver': 'scsi-hd', 'id': '" id "', 'drive': '" drive \
	     "', 'bus': 'scsi.0', 'channel': 0, 'scsi-id': " target ", 'lun': 0")
#define NIC(id, netdev, addr)                                                                                          \
	PLUG("'driver': 'virtio-net-pci', 'id': '" id "', 'netdev': '" netdev "', 'mac': '52:54:00:11:22:33', 'bus': " \
	     "'pci.0', 'addr': '" addr "'")
#define UNPLUG(id)                               \
	{                                        \
		"device_del", "{'id': '" id "'}" \
	}
#define DROP(node)                                                \
	{                                                         \
		"blockdev-del", "{'node-name': '" node "'}", HELD \
	}
#define GET(path, property)                                                          \
	{                                                                            \
		"qom-get", "{'path': '" path "', 'property': '" property "'}", VALUE \
	}
#define LIST(path)                                        \
	{                                                 \
		"qom-list", "{'path': '" path "'}", NAMES \
	}
#define PERIPHERAL "/machine/peripheral"

static const struct row descriptors[] = {
	{ "add-fd", NULL, HELD },
	{ "add-fd", "{'fdset-id': 7, 'opaque': 'x'}", REPLY, RW },
	{ "add-fd", "{'fdset-id': 7}", REPLY, RO },
	{ "add-fd", NULL, REPLY, RW },
	{ "add-fd", "{'fdset-id': 8}", REPLY, BOTH },
	{ "add-fd", "{'fdset-id': -1}", HELD, RW },
	{ "add-fd", "{'fdset-id': 'a'}", HELD, RW },
	{ "add-fd", "{'bla': 1}" },
	{ "query-fdsets", NULL, SETS },
	{ "remove-fd", "{'fdset-id': 99}" },
	{ "remove-fd", "{'fdset-id': 7, 'fd': 999}" },
	{ "remove-fd", "{}" },
	/* Not while the guest stands still. */
	{ "remove-fd", "{'fdset-id': 8}", HELD },
	{ "query-fdsets", NULL, SETS },
	{ "getfd", "{'fdname': 'a'}", HELD },
	{ "query-status", NULL, HELD, RW },
	{ "getfd", "{'fdname': 'a'}", HELD },
	{ "getfd", "{'fdname': 'b'}", HELD, RW },
	{ "getfd", "{'fdname': 'b'}", HELD, RO },
	{ "getfd", "{'fdname': '1b'}", HELD, RO },
	{ "getfd", NULL, HELD, RO },
	{ "closefd", "{'fdname': 'x'}", HELD },
	{ "closefd", "{'fdname': 'a'}", HELD },
	{ "query-status", NULL, HELD, BOTH },
	{ NULL, NULL, RECONNECT },
	{ "query-fdsets", NULL, SETS },
	{ "closefd", "{'fdname': 'b'}", HELD },
	{ "cont", NULL },
	{ "query-fdsets", NULL, SETS },
	{ "remove-fd", "{'fdset-id': 7}", HELD },
	{ "query-fdsets", NULL, SETS },
	{ "nonsense", NULL },
	/* Objects. */
	{ "object-add", "{'qom-type': 'throttle-group', 'id': 'g', 'limits': {'iops-total': 5}}" },
	{ "object-add", "{'qom-type': 'throttle-group', 'id': 'g'}" },
	{ "object-add", "{'qom-type': 'bla', 'id': 'o'}" },
	{ "object-add", "{'id': 'o'}" },
	{ "object-add", "{'qom-type': 'iothread'}" },
	{ "object-add", "{'qom-type': 'iothread', 'id': '1x'}" },
	{ "object-add", "{'qom-type': 'iothread', 'id': 'io0'}" },
	{ "object-add", "{'qom-type': 'rng-random', 'id': 'rng0', 'filename': '/dev/urandom'}" },
	{ "object-add", "{'qom-type': 'memory-backend-ram', 'id': 'm1'}" },
	{ "object-add", "{'qom-type': 'throttle-group', 'id': 'h', 'limits': {'iops-total': -1}}" },
	{ "object-add", "{'qom-type': 'throttle-group', 'id': 'h', 'limits': {'iops-total': 1, 'iops-read': 1}}" },
	{ "object-add", "{'qom-type': 'throttle-group', 'id': 'h', 'limits': {'bla': 1}}" },
	LIST("/objects"),
	LIST("/objects/nope"),
	GET("/objects/g", "limits"),
	GET("/objects/g", "type"),
	GET("/objects/g", "bla"),
	GET("/objects/nope", "limits"),
	{ "qom-set", "{'path': '/objects/g', 'property': 'limits', 'value': {'iops-read': 3}}" },
	{ "qom-set", "{'path': '/objects/g', 'property': 'limits', 'value': {'bla': 3}}" },
	{ "qom-set", "{'path': '/objects/g', 'property': 'limits', 'value': {'iops-total': 0, 'bps-write': 3}}" },
	{ "qom-set", "{'path': '/objects/nope', 'property': 'limits', 'value': {}}" },
	GET("/objects/g", "limits"),
	{ "object-del", "{'id': 'io0'}" },
	{ "object-del", "{'id': 'io0'}" },
	{ "object-del", "{}" },
	LIST("/objects"),
};

static const struct row nodes[] = {
	{ "add-fd", "{'fdset-id': 3}", REPLY, RW },
	{ "add-fd", "{'fdset-id': 4}", REPLY, RO },
	FILE_NODE("p0", "/dev/fdset/3"),
	FILE_NODE("p0", "/dev/fdset/3"),
	FILE_NODE("p1", "/dev/fdset/5"),
	FILE_NODE("p1", "/dev/fdset/4"),
	{ "blockdev-add", "{'driver': 'file', 'node-name': 'p1', 'filename': '/dev/fdset/3', 'read-only': true}" },
	{ "blockdev-add", "{'driver': 'file', 'node-name': 'p1', 'filename': '/dev/fdset/4', 'auto-read-only': true}" },
	FILE_NODE("px", "/nonexistent"),
	FILE_NODE("9x", "img"),
	FILE_NODE("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "img"),
	{ "blockdev-add", "{'driver': 'file', 'filename': 'img'}" },
	{ "blockdev-add", "{'driver': 'file', 'node-name': 'nf'}" },
	{ "blockdev-add", "{'driver': 'bla', 'node-name': 'nf'}" },
	{ "blockdev-add", "{'node-name': 'nf'}" },
	{ "blockdev-add", "{'driver': 'raw', 'node-name': 'nf'}" },
	RAW_NODE("f0", "nope"),
	RAW_NODE("f0", "p0"),
	{ "blockdev-add", "{'driver': 'throttle', 'node-name': 't0', 'file': 'f0', 'throttle-group': 'g'}" },
	{ "blockdev-add", "{'driver': 'throttle', 'node-name': 't0', 'file': 'f0'}" },
	{ "object-add", "{'qom-type': 'throttle-group', 'id': 'g', 'limits': {'iops-total': 5}}" },
	{ "blockdev-add", "{'driver': 'throttle', 'node-name': 't0', 'file': 'f0', 'throttle-group': 'g'}" },
	{ "object-del", "{'id': 'g'}" },
	DROP("f0"),
	DROP("p0"),
	DROP("nope"),
	{ "blockdev-del", "{}" },
	{ "query-named-block-nodes", "{'flat': true}", NODES },
	/* The set stays while a node uses it, also without a member. */
	{ "cont", NULL },
	{ "remove-fd", "{'fdset-id': 3}" },
	{ "query-fdsets", NULL, SETS },
	BLK("d0", "t0", "pci.0", "0xc"),
	{ "query-block", NULL, BLOCKS },
	DROP("t0"),
	{ "block_resize", "{'node-name': 't0', 'size': 2097152}" },
	{ "block_resize", "{'node-name': 'nope', 'size': 2097152}" },
	{ "block_resize", "{'node-name': 't0', 'size': -1}" },
	{ "block_resize", "{'node-name': 't0'}" },
	{ "query-named-block-nodes", "{'flat': true}", NODES },
	{ "query-block", NULL, BLOCKS },
	{ "stop", NULL },
	UNPLUG("d0"),
	{ "system_reset", NULL },
	{ NULL, NULL, DELETED },
	{ NULL, NULL, DELETED },
	DROP("t0"),
	DROP("f0"),
	DROP("p0"),
	{ "query-fdsets", NULL, SETS },
	{ "object-del", "{'id': 'g'}" },
	/* Layers. */
	FILE_NODE("bp", "base.qcow2"),
	{ "blockdev-add", "{'driver': 'qcow2', 'node-name': 'bf', 'file': 'bp', 'backing': null, 'read-only': true}" },
	FILE_NODE("tp", "top.qcow2"),
	{ "blockdev-add", "{'driver': 'qcow2', 'node-name': 'tf', 'file': 'tp', 'backing': 'bf'}" },
	{ "query-named-block-nodes", "{'flat': true}", NODES },
	DROP("bf"),
	DROP("bp"),
	DROP("tp"),
	{ "block_resize", "{'node-name': 'tf', 'size': 8388608}" },
	{ "query-named-block-nodes", "{'flat': true}", NODES },
	DROP("tf"),
	DROP("bf"),
	DROP("tp"),
	DROP("bp"),
	FILE_NODE("p", "img"),
	{ "blockdev-add", "{'driver': 'qcow2', 'node-name': 'q', 'file': 'p'}" },
	/* Inline: it goes with its parent, and nothing of one that could not be opened stays. */
	NULL_NODE("n"),
	{ "blockdev-add", "{'driver': 'raw', 'node-name': 'top', 'file': {'driver': 'null-co', 'node-name': 'in'}}" },
	DROP("in"),
	DROP("top"),
	DROP("in"),
	{ "blockdev-add", "{'driver': 'raw', 'node-name': 'top', 'file': {'driver': 'null-co', 'node-name': 'n'}}" },
	{ "blockdev-add", "{'driver': 'raw', 'node-name': 'top', 'file': {'driver': 'raw', 'node-name': 'top', 'file': "
			  "'n'}}" },
	{ "blockdev-add", "{'driver': 'raw', 'node-name': 'top', 'file': {'driver': 'raw', 'node-name': 'mid', 'file': "
			  "{'driver': 'file', 'filename': 'nope'}}}" },
	{ "blockdev-add",
	  "{'driver': 'raw', 'node-name': 'top', 'file': {'driver': 'raw', 'node-name': 'mid', 'file': "
	  "{'driver': 'file', 'node-name': 'low', 'filename': 'img2'}}}",
	  HELD },
	{ "query-named-block-nodes", "{'flat': true}", NODES },
	DROP("top"),
	{ "block_resize", "{'node-name': 'n', 'size': 4096}" },
	{ "query-named-block-nodes", "{'flat': true}", NODES },
};

static const struct row devices[] = {
	NULL_NODE("a"),
	NULL_NODE("b"),
	NULL_NODE("c"),
	{ "query-block", NULL, BLOCKS },
	BLK("d0", "a", "pci.0", "0xc"),
	BLK("d1", "b", "pci.0", "0xc"),
	BLK("d0", "b", "pci.0", "0xd"),
	BLK("d1", "a", "pci.0", "0xd"),
	BLK("d1", "nope", "pci.0", "0xd"),
	BLK("d1", "b", "pci.9", "0xd"),
	BLK("d1", "b", "isa.0", "0xd"),
	BLK("d1", "b", "pci.0", "0x20"),
	BLK("d1", "b", "pci.0", "0x1f.0x8"),
	BLK("d1", "b", "pci.0", "x"),
	BLK("d1", "b", "pci.0", "0x1"),
	BLK("d1", "b", "pci.0", "0x0"),
	BLK("1d", "b", "pci.0", "0xd"),
	PLUG("'driver': 'virtio-blk-pci', 'id': 'd1', 'bus': 'pci.0', 'addr': '0xd'"),
	PLUG("'driver': 'bla', 'id': 'd1'"),
	PLUG("'id': 'd1'"),
	SCSI("s0", "b", "0"),
	PLUG("'driver': 'scsi-hd', 'id': 's0', 'drive': 'b'"),
	PLUG("'driver': 'scsi-hd', 'id': 's0', 'drive': 'b', 'bus': 'pci.0'"),
	PLUG("'driver': 'ide-hd', 'id': 'i0', 'drive': 'b', 'bus': 'ide.0', 'unit': 0"),
	LIST(PERIPHERAL),
	PLUG("'driver': 'virtio-scsi-pci', 'id': 'scsi', 'bus': 'pci.0', 'addr': '0x4'"),
	SCSI("s0", "b", "0"),
	SCSI("s1", "c", "0"),
	SCSI("s1", "c", "256"),
	SCSI("s1", "c", "1"),
	PLUG("'driver': 'scsi-cd', 'id': 's2', 'bus': 'scsi.0', 'channel': 0, 'scsi-id': 2, 'lun': 0"),
	{ "query-block", NULL, BLOCKS },
	LIST(PERIPHERAL),
	LIST(PERIPHERAL "/nope"),
	GET(PERIPHERAL "/s0", "scsi-id"),
	GET(PERIPHERAL "/s0", "parent_bus"),
	GET(PERIPHERAL "/s0", "drive"),
	GET(PERIPHERAL "/s2", "drive"),
	GET(PERIPHERAL "/d0", "addr"),
	GET(PERIPHERAL "/d0", "drive"),
	GET(PERIPHERAL "/d0", "parent_bus"),
	GET(PERIPHERAL "/d0", "realized"),
	GET(PERIPHERAL "/d0", "type"),
	GET(PERIPHERAL "/d0", "bla"),
	GET(PERIPHERAL "/nope", "realized"),
	{ "qom-get", "{'path': '" PERIPHERAL "/d0'}" },
	{ "qom-set", "{'path': '" PERIPHERAL "/d0', 'property': 'addr', 'value': 3}" },
	/* On SCSI it goes at once. */
	UNPLUG("s1"),
	{ NULL, NULL, DELETED },
	DROP("c"),
	UNPLUG("nope"),
	UNPLUG(PERIPHERAL "/nope"),
	{ "device_del", "{}" },
	/* Before the guest ever ran it does not hear of it, until it is reset. */
	UNPLUG("d0"),
	UNPLUG("d0"),
	UNPLUG(PERIPHERAL "/d0"),
	NULL_NODE("e"),
	BLK("d1", "e", "pci.0", "0xd"),
	{ "cont", NULL },
	UNPLUG("d0"),
	/* One without a system does not listen, and may be asked again. */
	UNPLUG("d1"),
	UNPLUG("d1"),
	LIST(PERIPHERAL),
	DROP("a"),
	{ "stop", NULL },
	UNPLUG("d0"),
	UNPLUG("d1"),
	{ "system_reset", NULL },
	{ NULL, NULL, DELETED },
	{ NULL, NULL, DELETED },
	{ NULL, NULL, DELETED },
	{ NULL, NULL, DELETED },
	LIST(PERIPHERAL),
	DROP("a"),
	/* A controller takes what is on it along. */
	UNPLUG("scsi"),
	{ "system_reset", NULL },
	{ NULL, NULL, DELETED },
	{ NULL, NULL, DELETED },
	{ NULL, NULL, DELETED },
	{ NULL, NULL, DELETED },
	LIST(PERIPHERAL),
	DROP("b"),
	NULL_NODE("a"),
	BLK("d0", "a", "pci.0", "0xc"),
	GET(PERIPHERAL "/d0", "addr"),
};

static const struct row ports[] = {
	NULL_NODE("a"),
	NULL_NODE("b"),
	BLK("d0", "a", "rp0", "0x0"),
	BLK("d1", "b", "rp0", "0x0"),
	BLK("d1", "b", "pcie.0", "0x5"),
	BLK("d1", "b", "pci.0", "0x5"),
	PLUG("'driver': 'virtio-blk-pci', 'id': 'd1', 'drive': 'b', 'addr': '0x5'"),
	PLUG("'driver': 'pcie-root-port', 'id': 'rp2', 'bus': 'pcie.0', 'addr': '0x9', 'chassis': 3"),
	GET(PERIPHERAL "/d0", "addr"),
	GET(PERIPHERAL "/d0", "parent_bus"),
	GET(PERIPHERAL "/rp1", "addr"),
	GET(PERIPHERAL "/rp1", "parent_bus"),
	GET(PERIPHERAL "/rp1", "hotplugged"),
	LIST(PERIPHERAL),
	UNPLUG("rp0"),
	UNPLUG("d0"),
	UNPLUG("d0"),
	{ "system_reset", NULL },
	{ NULL, NULL, DELETED },
	{ NULL, NULL, DELETED },
	LIST(PERIPHERAL),
	DROP("a"),
	BLK("d1", "b", "rp0", "0x0"),
};

static const struct row net[] = {
	{ "netdev_add", "{'type': 'user', 'id': 'n0'}" },
	{ "netdev_add", "{'type': 'user', 'id': 'n0'}" },
	{ "netdev_add", "{'type': 'bla', 'id': 'n1'}" },
	{ "netdev_add", "{'id': 'n1'}" },
	{ "netdev_add", "{'type': 'user'}" },
	{ "netdev_add", "{'type': 'user', 'id': '1x'}" },
	{ "netdev_add", "{'type': 'tap', 'id': 'n1', 'fd': 'nofd'}" },
	{ "netdev_add", "{'type': 'tap', 'id': 'n1', 'fds': 'x:y', 'vhost': false}" },
	{ "netdev_add", "{'type': 'tap', 'id': 'n1', 'fd': '1x'}" },
	{ "netdev_add", "{'type': 'tap', 'id': 'n1', 'fd': '999'}" },
	{ "netdev_del", "{'id': 'nope'}" },
	{ "set_link", "{'name': 'n0', 'up': true}" },
	{ "set_link", "{'name': 'nope', 'up': true}" },
	{ "set_link", "{'name': 'n0'}" },
	{ "set_link", "{}" },
	NIC("nic0", "n0", "0xd"),
	NIC("nic1", "n0", "0xe"),
	NIC("nic1", "nope", "0xe"),
	PLUG("'driver': 'e1000', 'id': 'nic1', 'netdev': 'n0', 'bus': 'pci.0', 'addr': '0xe'"),
	{ "set_link", "{'name': 'nic0', 'up': false}" },
	GET(PERIPHERAL "/nic0", "netdev"),
	GET(PERIPHERAL "/nic0", "mac"),
	GET(PERIPHERAL "/nic0", "addr"),
	/* Under the device: it says yes. */
	{ "netdev_del", "{'id': 'n0'}" },
	{ "netdev_del", "{'id': 'n0'}" },
	{ "set_link", "{'name': 'n0', 'up': true}" },
	GET(PERIPHERAL "/nic0", "netdev"),
	{ "netdev_add", "{'type': 'user', 'id': 'n0'}" },
	UNPLUG("nic0"),
	{ "system_reset", NULL },
	{ NULL, NULL, DELETED },
	{ NULL, NULL, DELETED },
	{ "netdev_add", "{'type': 'user', 'id': 'n0'}" },
	NIC("nic0", "n0", "0xd"),
	/* The agent's port. */
	{ "chardev-add", "{'id': 'c0', 'backend': {'type': 'null', 'data': {}}}" },
	{ "chardev-add", "{'id': 'c0', 'backend': {'type': 'null', 'data': {}}}" },
	{ "chardev-add", "{'id': 'c1', 'backend': {'type': 'bla', 'data': {}}}" },
	{ "chardev-add", "{'id': 'c1'}" },
	{ "chardev-add", "{'backend': {'type': 'null', 'data': {}}}" },
	{ "chardev-add", "{'id': 'c1', 'backend': {'type': 'socket', 'data': {'addr': {'type': 'fd', 'data': {'str': "
			 "'nofd'}}, 'server': true, 'wait': false}}}" },
	{ "chardev-remove", "{'id': 'nope'}" },
	{ "chardev-remove", "{}" },
	{ "chardev-remove", "{'id': 'm0'}" },
	PLUG("'driver': 'virtio-serial-pci', 'id': 'vs', 'bus': 'pci.0', 'addr': '0x5'"),
	PLUG("'driver': 'virtserialport', 'id': 'p0', 'bus': 'vs.0', 'nr': 1, 'chardev': 'c0'"),
	PLUG("'driver': 'virtserialport', 'id': 'p1', 'bus': 'vs.0', 'nr': 1"),
	PLUG("'driver': 'virtserialport', 'id': 'p1', 'bus': 'vs.0', 'nr': 2, 'chardev': 'c0'"),
	PLUG("'driver': 'virtserialport', 'id': 'p1', 'bus': 'vs.0', 'nr': 2, 'chardev': 'nope'"),
	{ "chardev-remove", "{'id': 'c0'}" },
	UNPLUG("p0"),
	{ NULL, NULL, DELETED },
	{ "chardev-remove", "{'id': 'c0'}" },
};

static const struct {
	const char *name, *machine, *extra;
	const struct row *rows;
	size_t n;
} scenes[] = {
	{ "descriptors", "pc", "", descriptors, ARRAY_SIZE(descriptors) },
	{ "nodes", "pc", "", nodes, ARRAY_SIZE(nodes) },
	{ "devices", "pc", "", devices, ARRAY_SIZE(devices) },
	{ "ports", "q35",
	  "-device {\"driver\":\"pcie-root-port\",\"id\":\"rp0\",\"bus\":\"pcie.0\",\"addr\":\"0x3\",\"chassis\":1,"
	  "\"multifunction\":true} "
	  "-device "
	  "{\"driver\":\"pcie-root-port\",\"id\":\"rp1\",\"bus\":\"pcie.0\",\"addr\":\"0x3.0x1\",\"chassis\":2}",
	  ports, ARRAY_SIZE(ports) },
	{ "net", "pc", "", net, ARRAY_SIZE(net) },
};

/* ---- what is compared ---- */

static char *join(char *text, const char *fmt, ...) _printf_(2, 3);
static char *join(char *text, const char *fmt, ...)
{
	_cleanup_free_ char *more = NULL;
	char *all;
	va_list ap;

	va_start(ap, fmt);
	more = xvasprintf(fmt, ap);
	va_end(ap);
	all = xasprintf("%s%s", text, more);
	free(text);
	return all;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Members in the order of their names, so that equal values are equal text. */
static char *sorted(struct json_object *o)
{
	_cleanup_free_ char *plain = json_print(o);
	char *text = xstrdup(""), *items[256];
	size_t n = 0;

	if (!json_object_is_type(o, json_type_object)) {
		free(text);
		return TAKE_PTR(plain);
	}
	json_object_object_foreach(o, key, value) {
		_cleanup_free_ char *its = sorted(value);

		ck_assert_uint_lt(n, ARRAY_SIZE(items));
		items[n++] = xasprintf("%s: %s", key, its);
	}
	qsort(items, n, sizeof(*items), by_text);
	for (size_t i = 0; i < n; i++) {
		text = join(text, "%s ", items[i]);
		free(items[i]);
	}
	return text;
}

static char *of_set(struct json_object *o)
{
	struct json_object *fds = at(o, "fds");
	char *text = xasprintf("%lld:", (long long)int_at(o, "fdset-id"));

	for (size_t i = 0; i < json_object_array_length(fds); i++) {
		const char *opaque = json_get_str(json_object_array_get_idx(fds, i), "opaque");

		text = join(text, " [%s]", opaque ? opaque : "");
	}
	return text;
}

static char *of_node(struct json_object *o)
{
	const char *file = str_at(o, "file");

	return xasprintf("%s %s %lld ro=%d %s", *str_at(o, "node-name") == '#' ? "#" : str_at(o, "node-name"),
			 str_at(o, "drv"), (long long)int_at(o, "image.virtual-size"), json_get_bool(o, "ro", false),
			 str_starts(file, "json:") || str_starts(file, "null-co") ? "" : file);
}

static char *of_block(struct json_object *o)
{
	return xasprintf("%s '%s' %s %s", str_at(o, "qdev"), str_at(o, "device"),
			 has(o, "inserted") ? str_at(o, "inserted.node-name") : "",
			 has(o, "io-status") ? str_at(o, "io-status") : "");
}

static char *of_name(struct json_object *o)
{
	return xasprintf("%s %s", str_at(o, "name"), str_at(o, "type"));
}

/* A list, one item after the other; in any order: NAMES. */
static char *of_list(struct json_object *list, char *(*of)(struct json_object *o), bool in_order)
{
	char *text = xstrdup(""), *items[256];
	size_t n = json_object_array_length(list);

	ck_assert_uint_lt(n, ARRAY_SIZE(items));
	for (size_t i = 0; i < n; i++)
		items[i] = of(json_object_array_get_idx(list, i));
	if (!in_order)
		qsort(items, n, sizeof(*items), by_text);
	for (size_t i = 0; i < n; i++) {
		text = join(text, "%s; ", items[i]);
		free(items[i]);
	}
	return text;
}

static char *of_reply(struct json_object *reply, enum look look)
{
	static char *(*const lists[])(struct json_object * o) = {
		[SETS] = of_set, [NODES] = of_node, [BLOCKS] = of_block, [NAMES] = of_name, [RECONNECT] = NULL
	};

	if (has(reply, "error"))
		return xasprintf("%s: %s", str_at(reply, "error.class"), str_at(reply, "error.desc"));
	if (look == REPLY)
		return xstrdup("ok");
	return lists[look] ? of_list(at(reply, "return"), lists[look], look != NAMES) : sorted(at(reply, "return"));
}

static char *play(struct raw *r, const struct row *row, int rw, int ro, unsigned held)
{
	_cleanup_json_ struct json_object *o = NULL;
	const int fds[][2] = { [NO_FD] = { 0 }, [RW] = { rw }, [RO] = { ro }, [BOTH] = { rw, ro } };
	static const size_t n[] = { [NO_FD] = 0, [RW] = 1, [RO] = 1, [BOTH] = 2 };
	char *text;

	switch (row->look) {
	case RECONNECT:
		raw_hang_up(r, 0);
		raw_connect(r, 0, false);
		return xstrdup("");
	case DELETED:
		o = raw_event(r, "DEVICE_DELETED");
		return sorted(at(o, "data"));
	case REPLY:
	case VALUE:
	case SETS:
	case NODES:
	case BLOCKS:
	case NAMES:
	case HELD:
		break;
	}
	raw_send(r, 0, row->command, row->args, fds[row->fd], n[row->fd]);
	o = raw_reply(r, 0);
	ck_assert_msg(o, "%s %s: no reply", row->command, row->args ? row->args : "");
	text = of_reply(o, row->look);
	if (row->look == HELD)
		text = join(text, " (%+d descriptors)", (int)process_fds(r->pid) - (int)held);
	return text;
}

/* ---- the programs ---- */

static void run(const char *const *argv)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		_cleanup_close_ int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		dup2(null, 1);
		dup2(null, 2);
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

/* A guest without a system does not listen. */
#define DEAF "-append fake.unplug=ignore "

static struct raw *start(const char *program, bool fake, size_t scene)
{
	static const char *const images[][2] = { { "base.qcow2", "3M" }, { "top.qcow2", "4M" } };
	_cleanup_free_ char *extra = xasprintf("%s%s", fake ? DEAF : "", scenes[scene].extra);
	char *dir = raw_dir();

	for (size_t i = 0; i < 2; i++) {
		_cleanup_free_ char *path = xasprintf("%s/img%s", dir, i ? "2" : "");
		_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		_cleanup_free_ char *image = xasprintf("%s/%s", dir, images[i][0]);
		const char *const argv[] = { "qemu-img", "create", "-q", "-f", "qcow2", image, images[i][1], NULL };

		ck_assert_int_eq(ftruncate(fd, 1 << 20), 0);
		if (scenes[scene].rows == nodes)
			run(argv);
	}
	return raw_start(program, dir, scenes[scene].machine, extra);
}

static int image_of(const struct raw *r, int flags)
{
	_cleanup_free_ char *path = xasprintf("%s/img", r->dir);
	int fd = open(path, flags | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

START_TEST(same)
{
	_cleanup_free_ char *fake = rig_program("fake-qemu");
	struct raw *r[] = { start(REAL, false, (size_t)_i), start(fake, true, (size_t)_i) };
	int rw[2], ro[2];
	unsigned held[2];

	for (size_t k = 0; k < 2; k++) {
		rw[k] = image_of(r[k], O_RDWR);
		ro[k] = image_of(r[k], O_RDONLY);
		held[k] = process_fds(r[k]->pid);
	}
	for (size_t i = 0; i < scenes[_i].n; i++) {
		const struct row *row = &scenes[_i].rows[i];
		char *said[2];

		for (size_t k = 0; k < 2; k++)
			said[k] = play(r[k], row, rw[k], ro[k], held[k]);
		ck_assert_msg(str_eq(said[0], said[1]), "%s[%zu] %s %s:\nQEMU says\n%s\nand the fake\n%s",
			      scenes[_i].name, i, row->command ? row->command : "", row->args ? row->args : "", said[0],
			      said[1]);
		free(said[0]);
		free(said[1]);
	}
	for (size_t k = 0; k < 2; k++) {
		raw_free(r[k]);
		fd_close(rw[k]);
		fd_close(ro[k]);
	}
}
END_TEST

static Suite *make(void)
{
	Suite *s = suite_create("same");
	TCase *tc = tcase_create("all");

	suite_add_tcase(s, tc);
	tcase_add_loop_test(tc, same, 0, (int)ARRAY_SIZE(scenes));
	return s;
}

int main(void)
{
	if (system(REAL " --version 2>/dev/null | grep -q 'version 7\\.2'") != 0) { // NOLINT(cert-env33-c) constant
		printf("SKIP: no QEMU 7.2 in PATH, which is what the fake is like\n");
		return 77;
	}
	return rig_main(make);
}
