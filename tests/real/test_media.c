/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Removable media and what is booted, by what QEMU says of a guest that is paused: CD-ROMs and floppies by path and by URL,
 * web servers that do not do, the order of booting, also for once.
 */
#include "guest.h"
#include "peers.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MIB = 1 << 20, FLOPPY = 1474560 };

static struct rig *rig;
static struct client *client;
static char *dir;

static void set_up(void)
{
	rig = rig_new("droverd");
	dir = xasprintf("%s/images", rig->root);
	ck_assert_int_eq(mkdir(dir, 0700), 0);
	free(guest_image(rig, "images/disk", "disk", MIB));
	free(guest_image(rig, "images/cd1", "cd1", MIB));
	free(guest_image(rig, "images/cd2", "cd2", MIB));
	free(guest_image(rig, "images/floppy", "floppy", FLOPPY));
	rig_start(rig);
	client = client_new(rig);
}

static void tear_down(void)
{
	client_free(client);
	rig_free(rig);
	free(dir);
}

/* ---- what QEMU says ---- */

/* HVPARAMS: members, with a comma behind; what '@' stands for is the directory of the images. */
static void define(const char *hvparams, const char *devices)
{
	_cleanup_free_ char *text = xasprintf("'memory': '16M', 'hvparams': {%s 'accel': 'tcg'}, %s", hvparams,
					      devices);
	char *whole = xstrdup("");

	for (char *save = NULL, *part = strtok_r(text, "@", &save); part; part = strtok_r(NULL, "@", &save)) {
		char *longer = xasprintf("%s%s%s", whole, *whole ? dir : "", part);

		free(whole);
		whole = longer;
	}
	client_define(client, "web1", "%s", whole);
	free(whole);
}

static void start(const char *more)
{
	json_object_put(client_ok(client, "instance-start", "{'instance': 'web1', 'paused': true%s}", more));
}

static void stop(void)
{
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'web1'}"));
	json_object_put(guest_settle(client, "web1"));
}

static struct json_object *ask(const char *command, const char *arguments)
{
	return client_ok(client, "instance-qmp", "{'instance': 'web1', 'execute': '%s', 'arguments': {%s}}", command,
			 arguments);
}

/* The id of a device of the record by its name. */
static char *id_of(const char *list, const char *name)
{
	_cleanup_json_ struct json_object *o = guest_query(client, "web1");
	struct json_object *devices = at(at(o, "runtime"), list);

	for (size_t i = 0; i < json_object_array_length(devices); i++) {
		struct json_object *d = json_object_array_get_idx(devices, i);

		if (str_eq(str_at(d, "name"), name))
			return xstrdup(str_at(d, "hvinfo.id"));
	}
	ck_abort_msg("there is no '%s'", name);
}

static int64_t bootindex_of(const char *list, const char *name)
{
	_cleanup_free_ char *id = id_of(list, name);
	_cleanup_free_ char *arguments = xasprintf("'path': '/machine/peripheral/%s', 'property': 'bootindex'", id);
	_cleanup_json_ struct json_object *o = ask("qom-get", arguments);

	return json_object_get_int64(o);
}

/* What a drive has: "ro cd1 closed", read through QEMU's own eyes. TRAY: "closed", or "-" for none. */
static void expect_drive(const char *name, const char *content, bool ro, const char *tray)
{
	_cleanup_free_ char *id = id_of("disks", name);
	_cleanup_json_ struct json_object *list = ask("query-block", "");

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i), *open;

		if (!strstr(str_at(o, "qdev"), id))
			continue;
		ck_assert_str_eq(str_at(o, "inserted.node-name"), id);
		ck_assert_int_eq(json_object_get_boolean(at(o, "inserted.ro")), ro);
		ck_assert_int_eq(json_object_object_get_ex(o, "tray_open", &open), str_eq(tray, "closed"));
		ck_assert(!str_eq(tray, "closed") || !json_object_get_boolean(open));
		ck_assert_msg(strstr(str_at(o, "inserted.image.filename"), content) ||
				      str_starts(str_at(o, "inserted.image.filename"), "/dev/fdset/") ||
				      strstr(str_at(o, "inserted.image.filename"), "json:"),
			      "%s", str_at(o, "inserted.image.filename"));
		return;
	}
	ck_abort_msg("QEMU has no '%s'", name);
}

/* The guest's view is the file's: QEMU's process holds it open by this path. */
static void expect_open(const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
	pid_t pid = guest_pid(client, "web1");

	host_run("ls -l /proc/%d/fd | grep -q '%s$'", pid, path);
}

/* ---- all at once ---- */

static const struct {
	const char *hvparams, *tray1, *tray2;
} machines[] = {
	{ "'machine_version': 'pc', ", "closed", "closed" },
	{ "'machine_version': 'q35', ", "closed", "closed" },
	{ "'machine_version': 'pc', 'cdrom_disk_type': 'scsi-cd', 'use_chroot': true, ", "closed", "closed" },
	{ "'machine_version': 'q35', 'cdrom_disk_type': 'paravirtual', ", "-", "-" },
};

START_TEST(test_all)
{
	_cleanup_free_ char *hvparams = xasprintf("%s'cdrom_image_path': '@/cd1', 'cdrom2_image_path': '@/cd2', "
						  "'floppy_image_path': '@/floppy', 'boot_order': 'cdrom', ",
						  machines[_i].hvparams);

	define(hvparams, "'disks': [{'path': '@/disk'}]");
	start("");
	expect_drive("cdrom1", "cd1", true, machines[_i].tray1);
	expect_drive("cdrom2", "cd2", true, machines[_i].tray2);
	expect_drive("floppy1", "floppy", false, "-");
	ck_assert_int_eq(bootindex_of("disks", "cdrom1"), 1);
	ck_assert_int_eq(bootindex_of("disks", "cdrom2"), -1);
	ck_assert_int_eq(bootindex_of("disks", "disk0"), -1);
	if (_i == 0) {
		expect_open("cd1");
		expect_open("cd2");
		expect_open("floppy");
	}
	stop();
}
END_TEST

/* The parameter is what a person changes; the disk follows, waits, and goes. */
START_TEST(test_change)
{
	_cleanup_json_ struct json_object *pending = NULL, *o = NULL, *e = NULL;

	define("'cdrom_image_path': '@/cd1', ", "'disks': []");
	start("");
	e = client_error(client, "InvalidParameter", "disk-detach", "{'instance': 'web1', 'disk': 'cdrom1'}");
	ck_assert_ptr_nonnull(strstr(str_at(e, "desc"), "hvparams.cdrom_image_path"));
	pending = client_ok(client, "instance-modify",
			    "{'instance': 'web1', 'patch': {'hvparams': {'cdrom_image_path': '%s/cd2'}}}", dir);
	ck_assert_str_eq(str_at(pending, "pending.0.path"), "hvparams.cdrom_image_path");
	o = guest_query(client, "web1");
	ck_assert_ptr_nonnull(strstr(str_at(o, "definition.disks.0.path"), "/cd2"));
	ck_assert_str_eq(str_at(o, "definition.disks.0.uuid"), str_at(o, "runtime.disks.0.uuid"));
	expect_open("cd1");
	stop();
	start("");
	expect_open("cd2");
	json_object_put(client_ok(client, "instance-modify",
				  "{'instance': 'web1', 'patch': {'hvparams': {'cdrom_image_path': null}}}"));
	json_object_put(o);
	o = guest_query(client, "web1");
	ck_assert(!has(o, "definition.disks.0") && has(o, "runtime.disks.0"));
	stop();
}
END_TEST

START_TEST(test_missing)
{
	_cleanup_json_ struct json_object *e = NULL;

	define("'cdrom2_image_path': '@/nothing', ", "'disks': []");
	e = client_error(client, "NotFound", "instance-start", "{'instance': 'web1'}");
	ck_assert_str_eq(str_at(e, "parameter"), "hvparams.cdrom2_image_path");
}
END_TEST

/* ---- for once ---- */

static void expect_boot(int64_t disk, int64_t cd, int64_t nic)
{
	ck_assert_int_eq(bootindex_of("disks", "disk0"), disk);
	ck_assert_int_eq(bootindex_of("disks", "cdrom1"), cd);
	ck_assert_int_eq(bootindex_of("nics", "nic0"), nic);
	stop();
}

static void expect_not_once(const char *boot, const char *instance)
{
	_cleanup_json_ struct json_object *e = client_error(client, "InvalidParameter", "instance-start",
							    "{'instance': '%s', 'boot': '%s'}", instance, boot);

	ck_assert_str_eq(str_at(e, "parameter"), "boot");
}

START_TEST(test_once)
{
	_cleanup_json_ struct json_object *o = NULL;

	define("'cdrom_image_path': '@/cd1', ", "'disks': [{'path': '@/disk'}], 'nics': [{'mode': 'none'}]");
	start("");
	expect_boot(1, -1, -1);
	start(", 'boot': 'network'");
	o = guest_query(client, "web1");
	ck_assert_str_eq(str_at(o, "runtime.boot"), "network");
	ck_assert_uint_eq(json_object_array_length(at(o, "pending")), 0);
	expect_boot(2, -1, 1);
	start(", 'boot': 'cdrom'");
	/* the next droverd finds it as it is */
	rig_restart(rig, &client);
	expect_boot(2, 1, -1);
	start("");
	expect_boot(1, -1, -1);
	expect_not_once("floppy", "web1");
	client_define(client, "web2", "%s", "'hvparams': {'kernel_path': '/k'}, 'disks': [{'path': '/d'}]");
	expect_not_once("disk", "web2");
	expect_not_once("tape", "web2");
}
END_TEST

/* What is plugged into a machine that was started so has the place that it would have had. */
START_TEST(test_once_plugged)
{
	_cleanup_free_ char *disk = xasprintf("{'instance': 'web1', 'disk': {'path': '%s/disk', 'name': 'disk0'}}",
					      dir);

	define("'cdrom_image_path': '@/cd1', ", "'disks': []");
	start(", 'boot': 'cdrom'");
	json_object_put(client_ok(client, "disk-attach", "%s", disk));
	json_object_put(
		client_ok(client, "nic-attach", "{'instance': 'web1', 'nic': {'mode': 'none', 'name': 'nic0'}}"));
	expect_boot(2, 1, -1);
}
END_TEST

/* Sector 0 of a disk or floppy, and of a CD-ROM what its catalogue leads to: writes a letter to the serial port and halts, or
 * resets the machine. */
static void write_boot_sector(int fd, off_t where, char letter, bool resets)
{
	const unsigned char halt[] = { 0xfa, 0xf4, 0xeb, 0xfd }, reset[] = { 0xb0, 0xfe, 0xe6, 0x64, 0xf4, 0xeb, 0xfd };
	unsigned char sector[512] = { 0xba, 0xf8, 0x03, 0xb0, (unsigned char)letter, 0xee };

	memcpy(sector + 6, resets ? reset : halt, resets ? sizeof(reset) : sizeof(halt));
	sector[510] = 0x55;
	sector[511] = 0xaa;
	ck_assert_int_eq(pwrite(fd, sector, sizeof(sector), where), sizeof(sector));
}

/* El Torito, as little of it as SeaBIOS looks at: the record, the catalogue, the sector. */
static void write_cd(int fd)
{
	enum { SECTOR = 2048, RECORD = 17, CATALOGUE = 18, BOOT = 19 };
	static const char id[] = "\0CD001\1EL TORITO SPECIFICATION";
	unsigned char record[SECTOR] = { 0 },
		      catalogue[SECTOR] = { [0] = 1, [0x1c] = 0xaa, [0x1d] = 0x55, [0x1e] = 0x55 };

	memcpy(record, id, sizeof(id));
	record[0x47] = CATALOGUE;
	catalogue[0x1f] = 0xaa;
	catalogue[0x20] = 0x88;
	catalogue[0x26] = 4;
	catalogue[0x28] = BOOT;
	ck_assert_int_eq(pwrite(fd, record, SECTOR, RECORD * SECTOR), SECTOR);
	ck_assert_int_eq(pwrite(fd, catalogue, SECTOR, CATALOGUE * SECTOR), SECTOR);
	write_boot_sector(fd, BOOT * SECTOR, 'C', true);
}

static int open_image(const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

/* An installer that reboots finds the disk in the process that follows. */
START_TEST(test_installer)
{
	_cleanup_close_ int disk = open_image("disk"), cd = open_image("cd1"), floppy = open_image("floppy");

	write_boot_sector(disk, 0, 'D', false);
	write_boot_sector(floppy, 0, 'F', true);
	write_cd(cd);
	define("'cdrom_image_path': '@/cd1', 'floppy_image_path': '@/floppy', 'on_reboot': 'restart', ",
	       "'disks': [{'path': '@/disk'}]");
	json_object_put(client_ok(client, "instance-start", "{'instance': 'web1', 'boot': 'cdrom'}"));
	guest_await(rig, "web1", "CD", 1);
	stop();
	json_object_put(client_ok(client, "instance-start", "{'instance': 'web1', 'boot': 'floppy'}"));
	guest_await(rig, "web1", "CDFD", 1);
	stop();
	/* and so by the definition */
	json_object_put(
		client_ok(client, "instance-modify",
			  "{'instance': 'web1', 'patch': {'hvparams': {'boot_order': 'cdrom', 'on_reboot': 'stop'}}}"));
	json_object_put(client_ok(client, "instance-start", "{'instance': 'web1'}"));
	guest_await(rig, "web1", "CDFDC", 1);
}
END_TEST

/* ---- by URL ---- */

START_TEST(test_url)
{
	pid_t web = peer_web(dir, "8080", "web", NULL);
	_cleanup_json_ struct json_object *o = NULL;

	define("'cdrom_image_path': 'http://127.0.0.1:8080/good', 'cdrom2_image_path': 'http://127.0.0.1:8080/moved', "
	       "'floppy_image_path': '@/floppy', 'use_chroot': true, 'boot_order': 'cdrom', ",
	       "'disks': [{'uri': 'http://127.0.0.1:8080/good', 'mode': 'ro'}]");
	start("");
	expect_drive("cdrom1", "http://127.0.0.1:8080/good", true, "closed");
	expect_drive("cdrom2", "http://127.0.0.1:8080/moved", true, "closed");
	o = guest_query(client, "web1");
	ck_assert_int_eq(int_at(o, "runtime.disks.1.size"), MIB);
	ck_assert_int_eq(bootindex_of("disks", "cdrom1"), 1);
	stop();
	peer_end(web);
}
END_TEST

static const struct {
	const char *url, *class, *words;
} unfit[] = {
	{ "http://127.0.0.1:8080/nothing", "StorageError", "the server answered 404" },
	{ "http://127.0.0.1:8080/plain", "StorageError", "Accept-Ranges" },
	{ "http://127.0.0.1:8080/endless", "StorageError", "how long" },
	{ "http://127.0.0.1:8080/away", "StorageError", "file" },
	{ "http://127.0.0.1:8080/round", "StorageError", "redirects" },
	{ "http://127.0.0.1:1/good", "NetworkError", "onnect" },
	{ "https://127.0.0.1:8443/good", "NetworkError", "certificate" },
};

START_TEST(test_unfit)
{
	_cleanup_free_ char *key = xasprintf("%s/key", dir), *after = NULL;
	pid_t web = peer_web(dir, "8080", "web", NULL), tls;

	host_run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=127.0.0.1 "
		 "-keyout '%s' -out '%s.crt' 2> /dev/null "
		 "&& cat '%s.crt' >> '%s'",
		 key, key, key, key);
	tls = peer_web(dir, "8443", "web", key);
	for (size_t i = 0; i < ARRAY_SIZE(unfit); i++) {
		_cleanup_free_ char *hvparams = xasprintf("'cdrom_image_path': '%s', ", unfit[i].url);
		_cleanup_json_ struct json_object *e = NULL;

		define(hvparams, "'disks': []");
		e = client_error(client, unfit[i].class, "instance-start", "{'instance': 'web1'}");
		ck_assert_str_eq(str_at(e, "parameter"), "hvparams.cdrom_image_path");
		ck_assert_msg(strstr(str_at(e, "desc"), unfit[i].words) && strstr(str_at(e, "desc"), unfit[i].url),
			      "%s", str_at(e, "desc"));
		ck_assert_str_eq(str_at(e, "step"), "ask the servers of images");
	}
	peer_end(web);
	peer_end(tls);
	json_object_put(guest_settle(client, "web1"));
	after = rig_world(rig, true);
	ck_assert_msg(!strstr(after, "run/instances/web1") && !strstr(after, "operations/"), "left: %s", after);
}
END_TEST

/* Who waits for a server can be stopped, holds up nobody, and leaves nobody who asks. */
START_TEST(test_silent)
{
	pid_t web = peer_web(dir, "8080", "web", NULL);
	_cleanup_json_ struct json_object *reply = NULL;
	_cleanup_free_ char *after = NULL;
	int id;

	define("", "'disks': [{'path': '@/disk'}, {'uri': 'http://127.0.0.1:8080/silent', 'mode': 'ro'}]");
	id = client_send(client, "instance-start", "{'instance': 'web1'}");
	/* as somebody, and not as root */
	host_run("for i in $(seq 600); do for p in /proc/[0-9]*; do case $(readlink $p/exe) in */drover-fetch) grep -q "
		 "'^Uid:.21[0-9]*' $p/status && grep -q '^CapEff:.0*$' $p/status && exit 0;; esac; done; sleep 0.1; "
		 "done; exit 1");
	guest_define_bare(client, "web2");
	guest_start(client, "web2");
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'web1'}"));
	reply = client_reply(client, id);
	ck_assert_str_eq(str_at(reply, "error.class"), "Cancelled");
	json_object_put(guest_settle(client, "web1"));
	host_run("for i in $(seq 600); do ls -l /proc/[0-9]*/exe 2> /dev/null | grep -q drover-fetch || exit 0; sleep "
		 "0.1; "
		 "done; exit 1");
	after = rig_world(rig, true);
	ck_assert_msg(!strstr(after, "run/instances/web1") && !strstr(after, "operations/"), "left: %s", after);
	peer_end(web);
}
END_TEST

/* ---- what is left behind ---- */

/* Files of DIR that hold what they should: no link was followed, no FIFO opened. */
static void expect_kept(const char *kept)
{
	host_run("cd '%s' && test \"$(cat q/core)\" = secret && test \"$(cat q/d/e/f)\" = deep && test ! -e q/link -a "
		 "! -L "
		 "q/link && test ! -e q/pipe && test ! -e q/kernel -o -f q/kernel && test \"$(stat -c '%%a %%u' "
		 "q/core)\" = '400 0' && "
		 "test $(stat -c %%s q/large) = 16777216 && grep -q ' kept core$' list && grep -q ' left link$' list "
		 "&& "
		 "grep -q ' left pipe$' list && grep -q ' cut large$' list && grep -q ' left second$' list",
		 kept);
}

START_TEST(test_quarantine)
{
	_cleanup_json_ struct json_object *event = NULL;
	_cleanup_free_ char *after = NULL, *path = NULL;

	define("'use_chroot': true, 'cdrom_image_path': '@/cd1', ", "'disks': []");
	start("");
	host_run("cd '%s/run/instances/web1/q' && echo secret > core && chmod 4755 core && mkfifo pipe && ln -s "
		 "/etc/passwd link "
		 "&& mkdir -p d/e && echo deep > d/e/f && truncate -s 1T large && echo two > first && ln first second "
		 "&& rm "
		 "first && ln second '%s/other' && chown -R $(stat -c %%u .) .",
		 rig->root, rig->root);
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'web1'}"));
	event = client_event(client, "QUARANTINE");
	ck_assert_str_eq(str_at(event, "data.instance"), "web1");
	ck_assert_int_eq(int_at(event, "data.files"), 3);
	path = xstrdup(str_at(event, "data.path"));
	ck_assert_ptr_nonnull(strstr(path, "/lib/quarantine/web1-"));
	expect_kept(path);
	json_object_put(guest_settle(client, "web1"));
	after = rig_world(rig, true);
	ck_assert_msg(!strstr(after, "run/instances/web1") && !strstr(after, "run/quarantine/web1"), "left: %s", after);
	/* nothing was left, nothing is kept */
	start("");
	stop();
	host_run("test $(ls '%s/lib/quarantine' | wc -l) = 1", rig->root);
	/* of 32 no more */
	start("");
	host_run("cd '%s' && mkdir lib/quarantine/$(seq -s ' lib/quarantine/' 31) && touch run/instances/web1/q/more",
		 rig->root);
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'web1'}"));
	json_object_put(event);
	event = client_event(client, "QUARANTINE");
	ck_assert(strstr(str_at(event, "data.why"), "32") && !has(event, "data.path"));
	host_run("cd '%s' && test $(ls lib/quarantine | wc -l) = 32 && test -z \"$(ls run/quarantine)\" && rmdir "
		 "lib/quarantine/[0-9]*",
		 rig->root);
	/* what the last droverd did not come to */
	rig_stop(rig);
	host_run("cd '%s' && mkdir -p run/quarantine/web1-20260101T000000.000Z && echo late > "
		 "run/quarantine/web1-20260101T000000.000Z/core",
		 rig->root);
	client_free(client);
	rig_start(rig);
	client = client_new(rig);
	host_run("cd '%s'; for i in $(seq 600); do test -f lib/quarantine/web1-20260101T000000.000Z/list && test -z "
		 "\"$(ls "
		 "run/quarantine)\" && exit 0; sleep 0.1; done; exit 1",
		 rig->root);
	host_run("test $(cat '%s/lib/quarantine/web1-20260101T000000.000Z/q/core') = late", rig->root);
}
END_TEST

/* What droverd itself expects is known by the whole name and by being a file. */
static const struct {
	const char *command;
	bool kept;
} leavings[] = { { "touch screenshot-7.png dh-params.pem", false },
		 { "touch screenshot-payload", true },
		 { "touch screenshot-7.png.sh", true },
		 { "mkdir kernel && touch kernel/payload", true } };

START_TEST(test_quarantine_names)
{
	define("", "'disks': []");
	start("");
	host_run("cd %s/run/instances/web1/q && %s", rig->root, leavings[_i].command);
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'web1'}"));
	json_object_put(guest_settle(client, "web1"));
	rig_stop(rig);
	host_run("test %s \"$(ls %s/lib/quarantine/ %s/run/quarantine/ 2> /dev/null | grep web1)\"",
		 leavings[_i].kept ? "-n" : "-z", rig->root, rig->root);
	client_free(client);
	rig_start(rig);
	client = client_new(rig);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("media");
	TCase *tc = tcase_create("media");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, test_all, 0, ARRAY_SIZE(machines));
	tcase_add_test(tc, test_change);
	tcase_add_test(tc, test_missing);
	tcase_add_test(tc, test_once);
	tcase_add_test(tc, test_once_plugged);
	tcase_add_test(tc, test_installer);
	tcase_add_test(tc, test_url);
	tcase_add_test(tc, test_unfit);
	tcase_add_test(tc, test_silent);
	tcase_add_test(tc, test_quarantine);
	tcase_add_loop_test(tc, test_quarantine_names, 0, ARRAY_SIZE(leavings));
	suite_add_tcase(s, tc);
	return s;
}

RIG_MAIN(suite)
