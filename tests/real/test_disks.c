/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks and cards of a real guest: what Linux in it finds, where, and what comes of its writes; what QEMU holds of the
 * images; what is said of those that will not do.
 */
#include "guest.h"

#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MIB = 1 << 20 };

static struct rig *rig;
static struct client *client;
static char *dir; /* root's alone, as everything in it */

static void set_up(void)
{
	rig = rig_new("droverd");
	dir = xasprintf("%s/images", rig->root);
	ck_assert_int_eq(mkdir(dir, 0700), 0);
	rig_start(rig);
	client = client_new(rig);
}

static void tear_down(void)
{
	client_free(client);
	rig_free(rig);
	free(dir);
}

static void restart(void)
{
	rig_restart(rig, &client);
}

static void stop(const char *name)
{
	json_object_put(client_ok(client, "instance-stop", "{'instance': '%s'}", name));
}

static void image(const char *name, const char *text, off_t size)
{
	_cleanup_free_ char *path = xasprintf("images/%s", name);

	free(guest_image(rig, path, text, size));
}

static void expect_content(const char *name, off_t at_byte, const char *text)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char found[64] = "";

	ck_assert_int_gt(pread(fd, found, sizeof(found) - 1, at_byte), 0);
	ck_assert_msg(str_starts(found, text), "'%s' has '%s' and not '%s'", name, found, text);
}

/* ---- fd sets and files, as QEMU has them ---- */

static struct json_object *fdsets(const char *name)
{
	return client_ok(client, "instance-qmp", "{'instance': '%s', 'execute': 'query-fdsets'}", name);
}

/* How many sets beyond the two logs still hold a descriptor. */
static unsigned full_sets(const char *name)
{
	_cleanup_json_ struct json_object *list = fdsets(name);
	unsigned n = 0;

	for (size_t i = 0; i < json_object_array_length(list); i++)
		n += json_object_array_length(at(json_object_array_get_idx(list, i), "fds")) > 0;
	return n;
}

static void expect_empty_sets(const char *name)
{
	unsigned n = full_sets(name);

	/* sent behind the answer that the guest runs: the client may be faster */
	for (int i = 0; n && i < RIG_DEADLINE_MS / 20; i++) {
		usleep(20000);
		n = full_sets(name);
	}
	ck_assert_uint_eq(n, 0);
}

/* The access modes of the descriptors by which a process holds an image: "r", "w" for each. */
static char *modes(pid_t pid, const char *name)
{
	_cleanup_free_ char *fds = xasprintf("/proc/%d/fd", pid), *path = xasprintf("%s/%s", dir, name);
	char *text = xstrdup("");
	DIR *list = opendir(fds);
	struct dirent *d;

	ck_assert_ptr_nonnull(list);
	while ((d = readdir(list))) {
		_cleanup_free_ char *info = xasprintf("fdinfo/%s", d->d_name), *flags = NULL, *old = NULL;
		char link[PATH_MAX];
		ssize_t n = readlinkat(dirfd(list), d->d_name, link, sizeof(link) - 1);

		link[n > 0 ? n : 0] = '\0';
		if (!str_eq(link, path))
			continue;
		flags = process_field(pid, info, "flags");
		old = text;
		text = xasprintf("%s%c", old, (strtol(flags, NULL, 8) & O_ACCMODE) == O_RDONLY ? 'r' : 'w');
	}
	closedir(list);
	return text;
}

static void expect_modes(pid_t pid, const char *name, char mode)
{
	_cleanup_free_ char *found = modes(pid, name);
	const char all[] = { mode, '\0' };

	ck_assert_msg(*found && strspn(found, all) == strlen(found), "'%s' is held as '%s'", name, found);
}

/* ---- a guest with one of each ---- */

/* What the guest runs lies on a disk of its own. */
static const char script[] =
	"case $1 in\n"
	"look)\n"
	"	for d in /sys/block/[vs]d* /sys/block/sr*; do\n"
	"		n=${d##*/}\n"
	"		echo \"IS $(dd if=/dev/$n bs=16 count=1 2>/dev/null | tr -d '\\0' | head -n 1) $(readlink -f "
	"$d) \"\\\n"
	"\"$(cat $d/ro) $(cat $d/size)\"\n"
	"	done;;\n"
	"layers)\n"
	"	for i in 1 2 3; do dd if=/dev/vda bs=64k skip=$i count=1 2>/dev/null | tail -c 2; done\n"
	"	echo;;\n"
	"write)\n"
	"	for d in vda vdb sda sdb; do\n"
	"		[ ! -b /dev/$d ] || echo wrote-by-guest | dd of=/dev/$d bs=512 seek=8 conv=sync 2>/dev/null\n"
	"	done\n"
	"	sync; echo done;;\n"
	"cards)\n"
	"	for n in /sys/class/net/eth*; do echo \"NIC $(cat $n/address) $(readlink -f $n)\"; done;;\n"
	"esac\n"
	"exit 0\n";

/* Layers of 64 KiB each: what is below shows where nothing lies above. */
static void make_images(void)
{
	image("raw", "raw", MIB);
	image("ro", "ro", MIB);
	image("scsi", "scsi", MIB);
	image("cd", "cd", MIB);
	image("ide", "ide", MIB);
	image("idecd", "idecd", MIB);
	image("floppy", "floppy", 1440 * 1024);
	image("script", script, MIB);
	image("base", "chain", MIB);
	host_run("cd '%s' && umask 077 && "
		 "qemu-img create -q -f qcow2 -b base -F raw mid && qemu-img create -q -f qcow2 -b mid -F qcow2 top && "
		 "qemu-io -f raw -c 'write -q -P 0x41 64k 192k' base && "
		 "qemu-io -f qcow2 -c 'write -q -P 0x42 128k 128k' mid && "
		 "qemu-io -f qcow2 -c 'write -q -P 0x43 192k 64k' top",
		 dir);
}

#define LAYERS "'backing': [{'path': '%s/mid', 'format': 'qcow2'}, {'path': '%s/base'}]"

static void define_all(const char *machine)
{
	_cleanup_free_ char *disks = xasprintf(
		"{'path': '%s/top', 'format': 'qcow2', " LAYERS "}, {'path': '%s/raw', 'serial': 'a,b \\\\ %%s'}, "
		"{'path': '%s/ro', 'mode': 'ro'}, {'path': '%s/scsi', 'type': 'scsi-hd', 'hvinfo': {'scsi-id': 9}}, "
		"{'path': '%s/cd', 'media': 'cdrom', 'type': 'scsi-cd'}, {'path': '%s/ide', 'type': 'ide'}, "
		"{'path': '%s/idecd', 'media': 'cdrom'}, {'path': '%s/floppy', 'media': 'floppy'}, {'path': "
		"'%s/script', 'mode': 'ro'}",
		dir, dir, dir, dir, dir, dir, dir, dir, dir, dir, dir);

	client_define(
		client, "web1",
		"'memory': '128M', 'hvparams': {'machine_version': '%s', 'kernel_path': '%s/vmlinux', "
		"'initrd_path': '%s/initrd.gz', 'kernel_args': 't.shell=1 t.ga=0'}, 'disks': [%s], "
		"'nics': [{'mode': 'user', 'mac': '52:54:00:00:00:01'}, {'mode': 'none', 'mac': '52:54:00:00:00:02'}]",
		machine, rig_guest(), rig_guest(), disks);
}

/* The line of the disk with this label. */
static char *line_of(const char *seen, const char *label)
{
	_cleanup_free_ char *mark = xasprintf("IS %s ", label);
	const char *p = strstr(seen, mark);

	ck_assert_msg(p, "the guest has no '%s': %s", label, seen);
	return xstrndup(p, strcspn(p, "\r\n"));
}

/* Where the kernel has a device that hvinfo puts there. */
static char *place_of(struct json_object *info)
{
	const char *bus = json_get_str(info, "bus");

	if (has(info, "scsi-id"))
		return xasprintf(":%d:%d:%d/", (int)int_at(info, "channel"), (int)int_at(info, "scsi-id"),
				 (int)int_at(info, "lun"));
	if (str_starts(bus, "ide."))
		return xasprintf("/ata%d/host%d/", 1 + (int)strtol(bus + 4, NULL, 10), (int)strtol(bus + 4, NULL, 10));
	if (str_starts(bus, "rp")) {
		int port = (int)strtol(bus + 2, NULL, 10);

		return xasprintf("/0000:00:%02x.%d/0000:%02x:00.0/", 3 + port / 8, port % 8, 1 + port);
	}
	return xasprintf("/pci0000:00/0000:00:%02x.0/", (int)strtol(str_at(info, "addr"), NULL, 16));
}

static void expect_disk(const char *seen, struct json_object *disks, size_t i, const char *label, bool read_only)
{
	_cleanup_free_ char *line = line_of(seen, label), *end = NULL;
	_cleanup_free_ char *place = place_of(at(json_object_array_get_idx(disks, i), "hvinfo"));

	/* a host adapter's number depends on who came first */
	if (strstr(place, "/host"))
		*strstr(place, "host") = '\0';
	end = xasprintf(" %d %d", read_only, MIB / 512);
	ck_assert_msg(strstr(line, place), "%s is not at '%s'", line, place);
	ck_assert_msg(strstr(line, end), "%s is not '%s'", line, end);
}

static void expect_card(const char *seen, struct json_object *nics, size_t i)
{
	struct json_object *nic = json_object_array_get_idx(nics, i);
	_cleanup_free_ char *place = place_of(at(nic, "hvinfo")), *mark = xasprintf("NIC %s ", str_at(nic, "mac"));
	_cleanup_free_ char *line = NULL;
	const char *p = strstr(seen, mark);

	ck_assert_msg(p, "the guest has no '%s': %s", mark, seen);
	line = xstrndup(p, strcspn(p, "\r\n"));
	ck_assert_msg(strstr(line, place), "%s is not at '%s'", line, place);
}

static void check_disks(const char *machine, struct json_object *disks)
{
	_cleanup_free_ char *seen = guest_shell(rig, "web1", "sh /dev/vdd look"), *serial = NULL;
	bool q35 = str_eq(machine, "q35");

	expect_disk(seen, disks, 0, "chain", false);
	expect_disk(seen, disks, 1, "raw", false);
	expect_disk(seen, disks, 2, "ro", true);
	expect_disk(seen, disks, 3, "scsi", false);
	expect_disk(seen, disks, 4, "cd", true);
	/* the guest's kernel has no driver for the AHCI of q35: test_boot reads those */
	if (!q35) {
		expect_disk(seen, disks, 5, "ide", false);
		expect_disk(seen, disks, 6, "idecd", true);
	}
	serial = guest_shell(rig, "web1", "cat /sys/block/vdb/serial");
	ck_assert_msg(str_starts(serial, "a,b \\ %s"), "serial '%s'", serial);
}

/* What the guest reads through the layers, and where its writes go. */
static void check_content(bool q35)
{
	_cleanup_free_ char *layers = NULL, *words = NULL, *refused = NULL;

	layers = guest_shell(rig, "web1", "sh /dev/vdd layers");
	ck_assert_msg(str_starts(layers, "AABBCC"), "%s", layers);
	words = guest_shell(rig, "web1", "sh /dev/vdd write");
	ck_assert_msg(str_starts(words, "done"), "%s", words);
	refused = guest_shell(rig, "web1", "echo x > /dev/vdc; echo $?");
	ck_assert_msg(!strstr(refused, "\n0\r") && !str_starts(refused, "0"), "%s", refused);
	expect_content("raw", 4096, "wrote-by-guest");
	expect_content("scsi", 4096, "wrote-by-guest");
	if (!q35)
		expect_content("ide", 4096, "wrote-by-guest");
	expect_content("base", 4096, "");
	host_run("qemu-io -U -r -f qcow2 -c 'read -P 0 8k 512' '%s/top' | grep -q 'read 512'", dir);
}

static void check_cards(struct json_object *nics)
{
	_cleanup_free_ char *seen = NULL, *leases = NULL;
	_cleanup_json_ struct json_object *net = NULL;

	guest_await(rig, "web1", "GUEST-NET eth0 10.0.2.15", 1);
	seen = guest_shell(rig, "web1", "sh /dev/vdd cards");
	expect_card(seen, nics, 0);
	expect_card(seen, nics, 1);
	leases = guest_shell(rig, "web1", "echo eth1; ip -4 addr show eth1");
	ck_assert_msg(strstr(leases, "eth1") && !strstr(leases, "inet"), "%s", leases);
	net = client_ok(client, "instance-qmp",
			"{'instance': 'web1', 'execute': 'human-monitor-command', 'unsafe': true, 'arguments': "
			"{'command-line': 'info network'}}");
	/* a card without a peer is a line of its own; its peer would be indented below it */
	ck_assert_msg(strstr(json_object_get_string(net), "type=user"), "%s", json_object_get_string(net));
	ck_assert_ptr_eq(strstr(strstr(json_object_get_string(net), "type=user") + 1, "type=user"), NULL);
}

START_TEST(test_everything)
{
	static const char *const machines[] = { "pc", "q35" };
	static const char *const written[] = { "top", "raw", "scsi", "ide", "floppy" };
	static const char *const read[] = { "mid", "base", "ro", "cd", "idecd" };
	_cleanup_json_ struct json_object *o = NULL;
	pid_t pid;

	make_images();
	define_all(machines[_i]);
	pid = guest_start(client, "web1");
	expect_empty_sets("web1");
	for (size_t i = 0; i < ARRAY_SIZE(written); i++)
		expect_modes(pid, written[i], 'w');
	for (size_t i = 0; i < ARRAY_SIZE(read); i++)
		expect_modes(pid, read[i], 'r');
	guest_await(rig, "web1", "GUEST-ADD block vdd", 1);
	guest_await(rig, "web1", "GUEST-ADD block sr", _i == 0 ? 2 : 1);
	o = guest_query(client, "web1");
	check_disks(machines[_i], at(o, "definition.disks"));
	check_content(_i == 1);
	check_cards(at(o, "definition.nics"));
	stop("web1");
	host_run("cd '%s' && qemu-io -f qcow2 -c 'read -v 4k 16' top | grep -q 'wrote.by.guest' && "
		 "qemu-img check -q top",
		 dir);
}
END_TEST

/* ---- fd sets of a guest that runs later ---- */

START_TEST(test_fd_sets)
{
	image("one", "", MIB);
	image("two", "", MIB);
	client_define(client, "web1", "'memory': '16M', 'disks': [{'path': '%s/one'}, {'path': '%s/two'}]", dir, dir);
	for (int restarted = 0; restarted < 2; restarted++) {
		json_object_put(client_ok(client, "instance-start", "{'instance': 'web1', 'paused': true}"));
		if (restarted) {
			restart();
			client_await_state(client, "web1", "paused", NULL);
		}
		json_object_put(client_ok(client, "instance-resume", "{'instance': 'web1'}"));
		expect_empty_sets("web1");
		expect_modes(guest_pid(client, "web1"), "one", 'w');
		stop("web1");
	}
}
END_TEST

/* ---- images that will not do ---- */

static void expect_refused(const char *disks, const char *class, const char *disk, const char *words)
{
	_cleanup_json_ struct json_object *e = NULL;

	client_define(client, "web1", "'memory': '16M', 'disks': [%s]", disks);
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'web1'}"));
	e = guest_refused(rig, client, "web1", class);
	ck_assert_msg(strstr(str_at(e, "desc"), disk) && strstr(json_object_to_json_string(e), words) &&
			      str_starts(str_at(e, "parameter"), disk),
		      "%s", json_object_to_json_string(e));
}

START_TEST(test_refused)
{
	static const struct {
		const char *disk, *class, *words;
	} rows[] = {
		{ "'path': '%s/missing'", "NotFound", "missing" },
		{ "'path': '%s/directory'", "StorageError", "is a directory" },
		{ "'path': '%s/fifo'", "StorageError", "is a FIFO" },
		{ "'path': '%s/good'", "StorageError", "the same file as disks[0]" },
		{ "'path': '%s/link'", "StorageError", "the same file as disks[0]" },
		{ "'path': '%s/unnamed', 'format': 'qcow2'", "StorageError", "names a backing file" },
		{ "'path': '%s/raw', 'format': 'qcow2'", "StorageError", "is no qcow2 image" },
		{ "'path': '/dev/null'", "StorageError", "is a character device" },
		{ "'path': '%s/raw', 'type': 'scsi-block'", "StorageError", "is no block device" },
		{ "'path': '%s/raw', 'type': 'scsi-generic'", "StorageError", "is no character device" },
		{ "'path': '/dev/zero', 'type': 'scsi-generic'", "QemuError", "scsi-generic" },
	};

	image("good", "", MIB);
	image("raw", "", MIB);
	image("below", "", MIB);
	host_run("cd '%s' && mkdir directory && mkfifo fifo && ln good link && "
		 "qemu-img create -q -f qcow2 -b below -F raw unnamed",
		 dir);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *path = NULL, *disks = NULL;
		const char *p = strstr(rows[i].disk, "%s");

		path = p ? xasprintf("%.*s%s%s", (int)(p - rows[i].disk), rows[i].disk, dir, p + 2) :
			   xstrdup(rows[i].disk);
		disks = xasprintf("{'path': '%s/good'}, {%s}", dir, path);
		expect_refused(disks, rows[i].class, "disks[1]", rows[i].words);
	}
}
END_TEST

/* A layer below is named as such. */
START_TEST(test_refused_layer)
{
	_cleanup_free_ char *disks = xasprintf(
		"{'path': '%s/top', 'format': 'qcow2', 'backing': [{'path': '%s/missing'}]}", dir, dir);

	image("below", "", MIB);
	host_run("cd '%s' && qemu-img create -q -f qcow2 -b below -F raw top", dir);
	expect_refused(disks, "NotFound", "disks[0].backing[0]", "missing");
}
END_TEST

/* Somebody else's disk is refused in QEMU's words, and the definition's. */
START_TEST(test_locked)
{
	_cleanup_free_ char *disks = xasprintf("{'path': '%s/other'}, {'path': '%s/taken'}", dir, dir);

	image("taken", "", MIB);
	image("other", "", MIB);
	client_define(client, "holder", "'memory': '16M', 'disks': [{'path': '%s/taken'}]", dir);
	guest_start(client, "holder");
	expect_refused(disks, "StorageError", "disks[1]", "it is in use");
	guest_expect(client, "holder", "running", "booted");
	stop("holder");
	guest_start(client, "web1");
	guest_expect(client, "web1", "running", "booted");
}
END_TEST

/* What says raw is raw: a header that the guest could have written is not looked at. */
START_TEST(test_never_probed)
{
	_cleanup_json_ struct json_object *list = NULL;

	image("secret", "secret", MIB);
	host_run("cd '%s' && qemu-img create -q -f qcow2 -b secret -F raw disk", dir);
	client_define(client, "web1", "'memory': '16M', 'disks': [{'path': '%s/disk'}]", dir);
	guest_start(client, "web1");
	list = client_ok(client, "instance-qmp", "{'instance': 'web1', 'execute': 'query-named-block-nodes'}");
	for (size_t i = 0; i < json_object_array_length(list); i++)
		ck_assert_str_ne(str_at(json_object_array_get_idx(list, i), "drv"), "qcow2");
	ck_assert_ptr_eq(strstr(json_object_to_json_string(list), "secret"), NULL);
}
END_TEST

/* ---- a host that is full ---- */

START_TEST(test_no_space)
{
	_cleanup_free_ char *small = xasprintf("%s/small", dir), *words = NULL;
	_cleanup_json_ struct json_object *o = NULL;
	enum { SIZE = 8 * MIB };

	ck_assert_int_eq(mkdir(small, 0700), 0);
	ck_assert_int_eq(mount("tmpfs", small, "tmpfs", 0, "size=2m"), 0);
	image("small/disk", "", SIZE);
	guest_define(client, "web1", "t.shell=1 t.ga=0", "");
	json_object_put(client_ok(client, "instance-modify",
				  "{'instance': 'web1', 'patch': {'disks': [{'path': '%s/disk'}]}}", small));
	guest_start(client, "web1");
	guest_await(rig, "web1", "GUEST-ADD block vda", 1);
	json_object_put(client_ok(client, "instance-qmp", "{'instance': 'web1', 'execute': 'query-status'}"));
	words = guest_shell(rig, "web1",
			    "(sleep 2; yes fills-the-disk | dd of=/dev/vda bs=64k count=64 conv=fsync iflag=fullblock; "
			    "echo WRI''TTEN) & "
			    "true");
	client_await_state(client, "web1", "blocked", "no-space");
	o = guest_query(client, "web1");
	ck_assert_str_eq(str_at(o, "status"), "io-error");
	/* trying again is no use yet */
	json_object_put(client_reply(client, client_send(client, "instance-resume", "{'instance': 'web1'}")));
	client_await_state(client, "web1", "blocked", "no-space");
	ck_assert_uint_eq(guest_said(rig, "web1", "WRITTEN"), 0);
	ck_assert_int_eq(mount("tmpfs", small, "tmpfs", MS_REMOUNT, "size=32m"), 0);
	json_object_put(client_ok(client, "instance-resume", "{'instance': 'web1'}"));
	guest_await(rig, "web1", "WRITTEN", 1);
	guest_expect(client, "web1", "running", "resumed");
	expect_content("small/disk", 0, "fills-the-disk\nfills");
	expect_content("small/disk", 64L * 65536 - 30, "");
	host_run("test $(tr -d '\\0' < '%s/disk' | wc -c) = %d", small, 64 * 65536);
	stop("web1");
	umount(small);
}
END_TEST

/* ---- booting ---- */

/* A boot sector that writes what stands behind it to the serial port, and halts. */
static void boot_image(const char *name, const char *text, off_t size)
{
	static const char code[] =
		"\xfa\x31\xc0\x8e\xd8\xbe\x16\x7c\xba\xf8\x03\xac\x84\xc0\x74\x03\xee\xeb\xf8\xf4\xeb\xfd";
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
	unsigned char sector[512] = { [510] = 0x55, [511] = 0xaa };
	_cleanup_close_ int fd = -1;

	memcpy(sector, code, sizeof(code) - 1);
	memcpy(sector + sizeof(code) - 1, text, strlen(text));
	image(name, "", size);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(write(fd, sector, sizeof(sector)), sizeof(sector));
}

/* Each kind of disk by itself, on both machines: the firmware reads what lies there. */
START_TEST(test_boot)
{
	static const char *const machines[] = { "pc", "q35" };
	static const struct {
		const char *disk;
		off_t size;
	} kinds[] = {
		{ "", MIB },
		{ ", 'type': 'scsi-hd'", MIB },
		{ ", 'type': 'ide'", MIB },
		{ ", 'media': 'floppy', 'bootindex': 1", 1440 * 1024 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		_cleanup_free_ char *text = xasprintf("booted-kind-%zu.", i), *name = xasprintf("vm%zu", i);

		boot_image(name, text, kinds[i].size);
		client_define(client, name,
			      "'memory': '16M', 'hvparams': {'machine_version': '%s'}, 'disks': [{'path': '%s/%s'%s}]",
			      machines[_i], dir, name, kinds[i].disk);
		guest_start(client, name);
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		_cleanup_free_ char *text = xasprintf("booted-kind-%zu.", i), *name = xasprintf("vm%zu", i);

		guest_await(rig, name, text, 1);
	}
}
END_TEST

START_TEST(test_bootindex)
{
	boot_image("one", "this-is-one.", MIB);
	boot_image("two", "this-is-two.", MIB);
	for (int two = 0; two < 2; two++) {
		client_define(client, "web1",
			      "'memory': '16M', 'disks': [{'path': '%s/one', 'bootindex': %d}, "
			      "{'path': '%s/two', 'bootindex': %d}]",
			      dir, 1 + two, dir, 2 - two);
		guest_start(client, "web1");
		guest_await(rig, "web1", two ? "this-is-two." : "this-is-one.", 1);
		ck_assert_uint_eq(guest_said(rig, "web1", "this-is-"), 1 + (unsigned)two);
		stop("web1");
	}
}
END_TEST

/* ---- somebody's own daemon ---- */

/* Everything that it needs lies where it can come: a build may be in somebody's home. */
static void become_users(uid_t uid)
{
	static const char *const programs[] = { "droverd", "drover-fetch", "drover-launch", "drover-open",
						"drover-probe" };

	client_free(client);
	rig_stop(rig);
	host_run("mkdir '%s/bin'", rig->root);
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		_cleanup_free_ char *program = rig_program(programs[i]);

		host_run("cp '%s' '%s/bin/'", program, rig->root);
	}
	host_run("cp '%s/vmlinux' '%s/initrd.gz' '%s/' && chown -R %u:%u '%s'", rig_guest(), rig_guest(), rig->root,
		 uid, uid, rig->root);
	free(rig->program);
	rig->program = xasprintf("%s/bin/droverd", rig->root);
	rig->uid = uid;
	rig_start(rig);
	client = client_new(rig);
}

START_TEST(test_ordinary_user)
{
	enum { UID = 65534 };
	_cleanup_json_ struct json_object *e = NULL;
	_cleanup_free_ char *uid = NULL, *words = NULL;
	pid_t pid;

	image("disk", "mine", MIB);
	become_users(UID);
	client_define(client, "web1",
		      "'memory': '128M', 'hvparams': {'kernel_path': '%s/vmlinux', 'initrd_path': '%s/initrd.gz', "
		      "'kernel_args': 't.shell=1 t.ga=0'}, 'disks': [{'path': '%s/disk'}], 'nics': [{}]",
		      rig->root, rig->root, dir);
	pid = guest_start(client, "web1");
	uid = process_field(pid, "status", "Uid");
	ck_assert_int_eq(strtol(uid, NULL, 10), UID);
	guest_await(rig, "web1", "GUEST-NET eth0 10.0.2.15", 1);
	words = guest_shell(
		rig, "web1",
		"head -c 4 /dev/vda; echo; echo yours | dd of=/dev/vda bs=512 seek=1 conv=sync 2>/dev/null; sync");
	ck_assert_msg(str_starts(words, "mine"), "%s", words);
	expect_content("disk", 512, "yours");
	e = client_error(client, "PermissionDenied", "instance-define",
			 "{'definition': {'name': 'web2', 'hvparams': {'security_model': 'pool'}}}");
	/* nor does it have what is not its own */
	client_define(client, "web3", "%s", "'memory': '16M', 'disks': [{'path': '/etc/shadow'}]");
	json_object_put(client_error(client, "PermissionDenied", "instance-start", "{'instance': 'web3'}"));
	restart();
	ck_assert_int_eq(guest_pid(client, "web1"), pid);
	stop("web1");
	guest_expect(client, "web1", "shutoff", "admin");
}
END_TEST

static TCase *part(Suite *s, const char *name)
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, set_up, tear_down);
	suite_add_tcase(s, tc);
	return tc;
}

static Suite *suite(void)
{
	Suite *s = suite_create("disks and cards");
	TCase *tc = part(s, "in the guest");

	tcase_add_loop_test(tc, test_everything, 0, 2);
	tcase_add_loop_test(tc, test_boot, 0, 2);
	tcase_add_test(tc, test_bootindex);
	tc = part(s, "images");
	tcase_add_test(tc, test_fd_sets);
	tcase_add_test(tc, test_refused);
	tcase_add_test(tc, test_refused_layer);
	tcase_add_test(tc, test_locked);
	tcase_add_test(tc, test_never_probed);
	tc = part(s, "full");
	tcase_add_test(tc, test_no_space);
	tc = part(s, "a user's own");
	tcase_add_test(tc, test_ordinary_user);
	return s;
}

int main(void)
{
	if (geteuid() != 0) {
		puts("SKIP: images of root's alone need root");
		return 77;
	}
	return guest_main(suite);
}
