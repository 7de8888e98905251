/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks that a server has: real qemu-nbds, over TCP on a loopback of our own and over unix sockets. What the guest finds
 * and writes there, what is said where nobody answers or something else is there, and what comes of a server that dies.
 */
#include "guest.h"
#include "peers.h"

#include "base/file.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MIB = 1 << 20, SERVERS_MAX = 8 };

static struct rig *rig;
static struct client *client;
static char *dir;     /* of the images, root's alone */
static char *sockets; /* where QEMU's user may look for a socket */
static pid_t servers[SERVERS_MAX];

static void set_up(void)
{
	rig = rig_new("droverd");
	dir = xasprintf("%s/images", rig->root);
	ck_assert_int_eq(mkdir(dir, 0700), 0);
	sockets = xstrdup("/tmp/drover-nbd-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(sockets));
	ck_assert_int_eq(chmod(sockets, 0711), 0);
	rig_start(rig);
	client = client_new(rig);
}

static void server_end(int server)
{
	if (!servers[server])
		return;
	peer_end(servers[server]);
	servers[server] = 0;
}

static void tear_down(void)
{
	client_free(client);
	rig_free(rig);
	for (int i = 0; i < SERVERS_MAX; i++)
		server_end(i);
	host_run("rm -r '%s'", sockets);
	free(sockets);
	free(dir);
}

static void image(const char *name, const char *text)
{
	_cleanup_free_ char *path = xasprintf("images/%s", name);

	free(guest_image(rig, path, text, MIB));
}

static void expect_content(const char *name, off_t at_byte, const char *text)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char found[64] = "";

	ck_assert_int_gt(pread(fd, found, sizeof(found) - 1, at_byte), 0);
	ck_assert_msg(str_starts(found, text), "'%s' has '%s' and not '%s'", name, found, text);
}

/* ---- servers ---- */

static int serve(const char *name, const char *where, const char *more)
{
	int server = 0;

	while (servers[server])
		ck_assert_int_lt(++server, SERVERS_MAX);
	servers[server] = peer_nbd(dir, name, where, more);
	return server;
}

static char *socket_of(const char *name)
{
	return xasprintf("%s/%s", sockets, name);
}

/* ---- what the guest has ---- */

static const char disks_of_four[] =
	"{'uri': 'nbd://127.0.0.1:10810/raw', 'cache': 'none', 'discard': 'unmap'}, "
	"{'uri': 'nbd+unix:///top?socket=%s', 'format': 'qcow2', 'backing': [{'path': '%s/base'}]}, "
	"{'path': '%s/over', 'format': 'qcow2', 'backing': [{'uri': 'nbd://localhost:10811/mid', 'format': 'qcow2'}, "
	"{'uri': 'nbd+unix:///low?socket=%s'}]}, "
	"{'uri': 'nbd+unix:///cd?socket=%s', 'media': 'cdrom', 'type': 'scsi-cd'}";

/* Images of which each layer of 64 KiB shows where nothing lies above. What is served does not grow: there is room behind
 * a qcow2 image that is written. */
static void make_images(void)
{
	image("raw", "raw");
	image("cd", "cd");
	image("base", "base");
	image("low", "low");
	host_run("cd '%s' && umask 077 && qemu-img create -q -f qcow2 top 1M && truncate -s 2M top && qemu-img create "
		 "-q -f qcow2 mid 1M && "
		 "qemu-img create -q -f qcow2 over 1M && qemu-io -f qcow2 -c 'write -q -P 0x42 64k 64k' top && "
		 "qemu-io -f raw -c 'write -q -P 0x41 64k 192k' low && qemu-io -f qcow2 -c 'write -q -P 0x42 128k "
		 "128k' mid && "
		 "qemu-io -f qcow2 -c 'write -q -P 0x43 192k 64k' over",
		 dir);
}

static void expect_source(struct json_object *runtime, size_t i, const char *uri, const char *format)
{
	struct json_object *disk = json_object_array_get_idx(at(runtime, "disks"), i);

	ck_assert_str_eq(str_at(disk, "source.uri"), uri);
	ck_assert_str_eq(str_at(disk, "source.format"), format);
	ck_assert(!has(disk, "source.path"));
	ck_assert_int_eq(int_at(disk, "size"), MIB);
}

static void check_record(void)
{
	_cleanup_json_ struct json_object *o = guest_query(client, "web1"), *argv = NULL;
	_cleanup_free_ char *top = socket_of("top"), *uri = xasprintf("nbd+unix:///top?socket=%s", top);
	struct json_object *runtime = at(o, "runtime");

	expect_source(runtime, 0, "nbd://127.0.0.1:10810/raw", "raw");
	expect_source(runtime, 1, uri, "qcow2");
	ck_assert(str_starts(str_at(runtime, "disks.0.nodes.2"), "disk-") && !has(runtime, "disks.0.nodes.3"));
	argv = client_ok(client, "instance-argv", "{'instance': 'web1'}");
	ck_assert_ptr_nonnull(strstr(json_object_to_json_string(at(argv, "text")),
				     ",server.type=inet,server.host=127.0.0.1,server.port=10810,export=raw,"));
}

static void check_content(void)
{
	_cleanup_free_ char *labels = NULL, *layers = NULL, *words = NULL;

	labels = guest_shell(rig, "web1",
			     "for d in vda vdb vdc sr0; do dd if=/dev/$d bs=4 count=1 2>/dev/null | tr -d '\\0'; "
			     "cat /sys/block/$d/ro /sys/block/$d/size | tr '\\n' ' '; done; echo");
	ck_assert_msg(str_starts(labels, "raw0 2048 base0 2048 low0 2048 cd"), "%s", labels);
	layers = guest_shell(rig, "web1",
			     "for i in 1 2 3; do dd if=/dev/vdc bs=64k skip=$i count=1 2>/dev/null | tail -c 2; done; "
			     "dd if=/dev/vdb bs=64k skip=1 count=1 2>/dev/null | tail -c 2; echo");
	ck_assert_msg(str_starts(layers, "AABBCCBB"), "%s", layers);
	words = guest_shell(
		rig, "web1",
		"for d in vda vdb vdc; do echo guest-$d | dd of=/dev/$d bs=512 seek=8 conv=sync 2>/dev/null; "
		"done; sync; echo written");
	ck_assert_msg(str_starts(words, "written"), "%s", words);
	expect_content("raw", 4096, "guest-vda");
	expect_content("base", 4096, "");
	expect_content("low", 4096, "");
}

START_TEST(test_everything)
{
	_cleanup_free_ char *top = socket_of("top"), *low = socket_of("low"), *cd = socket_of("cd"), *disks = NULL;
	_cleanup_free_ char *after = NULL, *extra = NULL;
	int server;

	make_images();
	serve("raw", "10810", NULL);
	server = serve("top", top, NULL);
	serve("mid", "10811", NULL);
	serve("low", low, "-r");
	serve("cd", cd, "-r");
	disks = xasprintf(disks_of_four, top, dir, dir, low, cd); /* NOLINT(clang-diagnostic-format-nonliteral) */
	extra = xasprintf("'disks': [%s]", disks);
	guest_define(client, "web1", "t.shell=1 t.ga=0", extra);
	guest_start(client, "web1");
	guest_await(rig, "web1", "GUEST-ADD block vdc", 1);
	guest_await(rig, "web1", "GUEST-ADD block sr0", 1);
	check_record();
	check_content();
	/* another droverd finds it as it is */
	rig_restart(rig, &client);
	guest_expect(client, "web1", "running", "booted");
	check_record();
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'web1'}"));
	server_end(server);
	host_run("cd '%s' && qemu-io -f qcow2 -c 'read -v 4k 16' top | grep -q 'guest.vdb' && qemu-img check -q top",
		 dir);
	json_object_put(guest_settle(client, "web1"));
	after = rig_world(rig, true);
	ck_assert_msg(!strstr(after, "run/instances/web1"), "left: %s", after);
}
END_TEST

/* ---- servers that will not do ---- */

static void expect_refused(const char *disk, const char *class, const char *named, const char *words)
{
	_cleanup_json_ struct json_object *e = NULL;

	client_define(client, "web1", "'memory': '16M', 'disks': [{'path': '%s/good'}, {%s}]", dir, disk);
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'web1'}"));
	e = guest_refused(rig, client, "web1", class);
	ck_assert_msg(str_starts(str_at(e, "desc"), named) && strstr(json_object_to_json_string(e), words), "%s",
		      json_object_to_json_string(e));
}

START_TEST(test_refused)
{
	static const char *const images[] = { "good", "raw", "unnamed", "beside", "ro" };
	static const struct {
		const char *disk, *class, *named, *words; /* @: where the sockets are */
	} rows[] = {
		{ "'uri': 'nbd://127.0.0.1:10812/'", "QemuError", "disks[1].uri: 'nbd://127.0.0.1:10812/'",
		  "Connection refused" },
		{ "'uri': 'nbd+unix:///raw?socket=@/nobody'", "QemuError", "disks[1].uri: ", "No such file" },
		{ "'uri': 'nbd+unix:///raw?socket=@/locked'", "QemuError", "disks[1].uri: ", "Permission denied" },
		{ "'uri': 'nbd+unix:///other?socket=@/raw'", "QemuError", "disks[1].uri: ", "other" },
		{ "'uri': 'nbd+unix:///raw?socket=@/raw', 'format': 'qcow2'", "QemuError",
		  "disks[1].uri: ", "not in qcow2 format" },
		{ "'uri': 'nbd+unix:///ro?socket=@/ro'", "QemuError", "disks[1].uri: ", "denied" },
		{ "'uri': 'nbd+unix:///unnamed?socket=@/unnamed', 'format': 'qcow2'", "StorageError",
		  "disks[1].uri: ", "names a backing file" },
		{ "'uri': 'nbd+unix:///beside?socket=@/beside', 'format': 'qcow2', 'mode': 'ro'", "StorageError",
		  "disks[1].uri: ", "external data file" },
		{ "'uri': 'nbd+unix:///raw?socket=@/raw', 'format': 'qcow2', 'backing': [{'path': '/etc/passwd'}]",
		  "QemuError", "disks[1].uri: ", "not in qcow2 format" },
	};

	for (size_t i = 0; i < 2; i++)
		image(images[i], "");
	image("ro", "");
	host_run("cd '%s' && qemu-img create -q -f qcow2 -b good -F raw unnamed && "
		 "qemu-img create -q -f qcow2 -o data_file=%s/data,data_file_raw=on beside 1M && chmod 666 %s/data",
		 dir, sockets, sockets);
	for (size_t i = 1; i < ARRAY_SIZE(images); i++) {
		_cleanup_free_ char *where = socket_of(images[i]);

		serve(images[i], where, str_eq(images[i], "ro") ? "-r" : NULL);
	}
	host_run("touch '%s/locked' && chmod 600 '%s/locked'", sockets, sockets);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *p = strchr(rows[i].disk, '@');
		_cleanup_free_ char *disk = p ? xasprintf("%.*s%s%s", (int)(p - rows[i].disk), rows[i].disk, sockets,
							  p + 1) :
						xstrdup(rows[i].disk);

		expect_refused(disk, rows[i].class, rows[i].named, rows[i].words);
	}
}
END_TEST

/* Debian's package with QEMU's drivers is there or not; nobody listens in any case. */
START_TEST(test_driver)
{
	_cleanup_json_ struct json_object *reply = NULL;
	struct json_object *e;
	bool lacks;

	client_define(client, "web1", "%s", "'memory': '16M', 'disks': [{'uri': 'iscsi://127.0.0.1:1/iqn.x/0'}]");
	reply = client_reply(client, client_send(client, "instance-start", "{'instance': 'web1'}"));
	e = at(reply, "error");
	lacks = strstr(str_at(e, "log"), "Unknown driver");
	ck_assert_str_eq(str_at(e, "class"), lacks ? "Unsupported" : "QemuError");
	ck_assert_msg(str_starts(str_at(e, "desc"), "disks[0].uri: 'iscsi:"), "%s", str_at(e, "desc"));
}
END_TEST

/* ---- a server that dies ---- */

/* QEMU connects beside a write that fails, so more than one may have to be tried. */
static void resume_until_written(void)
{
	for (int i = 0; !guest_said(rig, "web1", "WROTE"); i++) {
		_cleanup_json_ struct json_object *o = guest_query(client, "web1");

		ck_assert_int_lt(i, RIG_DEADLINE_MS / 50);
		if (str_eq(str_at(o, "state"), "blocked"))
			json_object_put(client_ok(client, "instance-resume", "{'instance': 'web1'}"));
		usleep(50000);
	}
}

/* The guest's write waits until the server is back. A whole page, for a part would be read before. */
START_TEST(test_server_dies)
{
	_cleanup_free_ char *begun = NULL;
	_cleanup_json_ struct json_object *o = NULL;
	unsigned fds;
	int server;

	image("raw", "raw");
	server = serve("raw", "10810", NULL);
	guest_define(client, "web1", "t.shell=1 t.ga=0", "'disks': [{'uri': 'nbd://127.0.0.1:10810/raw'}]");
	guest_start(client, "web1");
	guest_await(rig, "web1", "GUEST-ADD block vda", 1);
	free(guest_shell(rig, "web1", "true"));
	json_object_put(guest_settle(client, "web1"));
	fds = rig_fds_at_rest(rig, client);
	server_end(server);
	begun = guest_shell(
		rig, "web1",
		"(echo late | dd of=/dev/vda bs=4096 seek=1 conv=sync 2>/dev/null; sync; echo WRO''TE) & true");
	client_await_state(client, "web1", "blocked", "io-error");
	o = guest_query(client, "web1");
	ck_assert_str_eq(str_at(o, "status"), "io-error");
	/* nobody there yet: it stays so */
	json_object_put(client_ok(client, "instance-resume", "{'instance': 'web1'}"));
	client_await_state(client, "web1", "blocked", "io-error");
	ck_assert_uint_eq(guest_said(rig, "web1", "WROTE"), 0);
	serve("raw", "10810", NULL);
	resume_until_written();
	guest_expect(client, "web1", "running", "resumed");
	expect_content("raw", 4096, "late");
	json_object_put(guest_settle(client, "web1"));
	rig_expect_fds(rig, fds);
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'web1'}"));
}
END_TEST

/* ---- a server that says nothing ---- */

/* Who waits for it can be stopped, and holds up nobody. */
START_TEST(test_silent)
{
	struct sockaddr_in inet = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				    .sin_port = htons(10813) };
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), peer = -1;
	_cleanup_json_ struct json_object *reply = NULL;
	_cleanup_free_ char *after = NULL;
	int id;

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&inet, sizeof(inet)), 0);
	ck_assert_int_eq(listen(fd, 4), 0);
	client_define(client, "web1", "%s", "'memory': '16M', 'disks': [{'uri': 'nbd://127.0.0.1:10813/'}]");
	id = client_send(client, "instance-start", "{'instance': 'web1'}");
	peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(peer, 0);
	guest_define_bare(client, "web2");
	guest_start(client, "web2");
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'web1'}"));
	reply = client_reply(client, id);
	ck_assert_str_eq(str_at(reply, "error.class"), "Cancelled");
	json_object_put(guest_settle(client, "web1"));
	after = rig_world(rig, true);
	ck_assert_msg(!strstr(after, "run/instances/web1") && !strstr(after, "operations/"), "left: %s", after);
}
END_TEST

/* ---- a private root ---- */

/* QEMU finds a host by its name, and no socket. */
START_TEST(test_chroot)
{
	image("raw", "raw");
	serve("raw", "10810", NULL);
	client_define(client, "web1", "%s",
		      "'memory': '16M', 'hvparams': {'use_chroot': true}, 'disks': [{'uri': "
		      "'nbd://localhost:10810/raw'}]");
	guest_start(client, "web1");
	guest_expect(client, "web1", "running", "booted");
	json_object_put(client_error(client, "InvalidParameter", "instance-define", "%s",
				     "{'definition': {'name': 'web2', 'hvparams': {'use_chroot': true}, 'disks': "
				     "[{'uri': 'nbd+unix:///raw?socket=/run/x'}]}}"));
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
	Suite *s = suite_create("disks by uri");
	TCase *tc = part(s, "in the guest");

	tcase_add_test(tc, test_everything);
	tc = part(s, "images");
	tcase_add_test(tc, test_refused);
	tcase_add_test(tc, test_driver);
	tcase_add_test(tc, test_silent);
	tcase_add_test(tc, test_chroot);
	tc = part(s, "dead");
	tcase_add_test(tc, test_server_dies);
	return s;
}

/* A loopback on which nobody else listens. */
static bool loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	_cleanup_close_ int fd = -1;

	if (unshare(CLONE_NEWNET) < 0)
		return false;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return ioctl(fd, SIOCSIFFLAGS, &request) == 0;
}

int main(void)
{
	if (geteuid() != 0 || !loopback_up()) {
		puts("SKIP: a network namespace needs root");
		return 77;
	}
	return guest_main(suite);
}
