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
#include <poll.h>
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

/* Somebody who listens, and says nothing but what the test says. */
static int listen_at(const char *port)
{
	struct sockaddr_in inet = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				    .sin_port = htons((uint16_t)strtol(port, NULL, 10)) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&inet, sizeof(inet)), 0);
	ck_assert_int_eq(listen(fd, 4), 0);
	return fd;
}

static int take_connection(int listener)
{
	struct pollfd p = { .fd = listener, .events = POLLIN };
	int fd;

	ck_assert_int_eq(poll(&p, 1, RIG_DEADLINE_MS), 1);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	return fd;
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
		{ "'uri': 'nbd://127.0.0.1:10812/'", "StorageError", "disks[1].uri: 'nbd://127.0.0.1:10812/'",
		  "Connection refused" },
		{ "'uri': 'iscsi://127.0.0.1:10812/iqn.x/0'", "StorageError",
		  "disks[1].uri: 'iscsi:", "Connection refused" },
		{ "'uri': 'gluster://127.0.0.1:10812/volume/image'", "StorageError",
		  "disks[1].uri: 'gluster:", "Connection refused" },
		{ "'uri': 'nbd+unix:///raw?socket=@/nobody'", "StorageError", "disks[1].uri: ", "No such file" },
		{ "'uri': 'nbd+unix:///raw?socket=@/locked'", "StorageError", "disks[1].uri: ", "Permission denied" },
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

/* One who takes every connection and lets go of it at once. */
static pid_t hang_up_on(const char *port)
{
	_cleanup_close_ int fd = listen_at(port);
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		close(accept(fd, NULL, NULL));
}

/* Debian's package with QEMU's drivers is there or not; the server is of no use in any case. */
START_TEST(test_driver)
{
	_cleanup_json_ struct json_object *reply = NULL;
	struct json_object *e;
	bool lacks;
	pid_t pid = hang_up_on("10814");

	client_define(client, "web1", "%s", "'memory': '16M', 'disks': [{'uri': 'iscsi://127.0.0.1:10814/iqn.x/0'}]");
	reply = client_reply(client, client_send(client, "instance-start", "{'instance': 'web1'}"));
	e = at(reply, "error");
	lacks = strstr(str_at(e, "log"), "Unknown driver");
	ck_assert_str_eq(str_at(e, "class"), lacks ? "Unsupported" : "QemuError");
	ck_assert_msg(str_starts(str_at(e, "desc"), "disks[0].uri: 'iscsi:"), "%s", str_at(e, "desc"));
	peer_end(pid);
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

/* Who waits for it can be stopped, and holds up nobody: the one who looks, and a QEMU whose server has greeted that one only. */
START_TEST(test_silent)
{
	static const char greeting[] = "NBDMAGICIHAVEOPT\0\3";

	for (int greets = 0; greets < 2; greets++) {
		_cleanup_close_ int fd = listen_at("10813"), looker = -1, qemu = -1;
		_cleanup_json_ struct json_object *reply = NULL;
		_cleanup_free_ char *after = NULL;
		int id;

		client_define(client, "web1", "%s", "'memory': '16M', 'disks': [{'uri': 'nbd://127.0.0.1:10813/'}]");
		id = client_send(client, "instance-start", "{'instance': 'web1'}");
		looker = take_connection(fd);
		if (greets) {
			ck_assert_int_eq(send(looker, greeting, sizeof(greeting) - 1, MSG_NOSIGNAL),
					 sizeof(greeting) - 1);
			qemu = take_connection(fd);
		}
		guest_define_bare(client, "web2");
		guest_start(client, "web2");
		json_object_put(client_ok(client, "instance-stop", "{'instance': 'web1'}"));
		reply = client_reply(client, id);
		ck_assert_str_eq(str_at(reply, "error.class"), "Cancelled");
		json_object_put(guest_settle(client, "web1"));
		after = rig_world(rig, true);
		ck_assert_msg(!strstr(after, "run/instances/web1") && !strstr(after, "operations/"), "left: %s", after);
		json_object_put(client_ok(client, "instance-stop", "{'instance': 'web2'}"));
		json_object_put(guest_settle(client, "web2"));
	}
}
END_TEST

/* QEMU says so in its main loop, and it has been told of no image. */
static void expect_free(void)
{
	_cleanup_json_ struct json_object *status = client_ok(client, "instance-qmp",
							      "{'instance': 'web2', 'execute': 'query-status'}");
	_cleanup_json_ struct json_object *nodes = client_ok(
		client, "instance-qmp", "{'instance': 'web2', 'execute': 'query-named-block-nodes'}");

	ck_assert_str_eq(str_at(status, "status"), "prelaunch");
	ck_assert_uint_eq(json_object_array_length(nodes), 0);
}

static void expect_none(struct json_object *e, const char *parameter, const char *before)
{
	json_object_put(guest_settle(client, "web2"));
	if (parameter)
		ck_assert_str_eq(str_at(e, "parameter"), parameter);
	ck_assert(json_object_get_boolean(at(e, "undone")));
	expect_free();
	rig_expect_world(rig, true, before);
}

/* The server takes the connection and does not greet; then it hangs up, or somebody takes the disk back. */
static void attach_silent(int server, const char *disk, const char *parameter, const char *before)
{
	int id = client_send(client, "disk-attach", "{'instance': 'web2', 'disk': {%s}}", disk);
	_cleanup_close_ int looker = take_connection(server);
	_cleanup_json_ struct json_object *reply = NULL, *o = NULL;

	expect_free();
	if (parameter) {
		closep(&looker);
	} else {
		o = client_ok(client, "query-instance", "{'instance': 'web2'}");
		json_object_put(client_ok(client, "job-cancel", "{'id': '%s'}", str_at(o, "operation.job-id")));
	}
	reply = client_reply(client, id);
	ck_assert_str_eq(str_at(reply, "error.class"), parameter ? "StorageError" : "Cancelled");
	expect_none(at(reply, "error"), parameter, before);
}

/* A machine that runs is not held up by a server, and is not told of a disk of one that does not answer. */
START_TEST(test_attach)
{
	_cleanup_free_ char *locked = xasprintf("nbd+unix:///x?socket=%s/locked", sockets);
	const struct {
		const char *uri, *class, *words;
	} rows[] = {
		{ "nbd://127.0.0.1:10812/x", "StorageError", "Connection refused" },
		{ locked, "StorageError", "Permission denied" }, /* to QEMU's user */
		{ "iscsi://127.0.0.1:10812/iqn.x/0", "StorageError", "Connection refused" },
		{ "gluster://127.0.0.1:10812/volume/image", "StorageError", "Connection refused" },
		{ "http://127.0.0.1:10812/image', 'mode': 'ro", "NetworkError", "onnect" },
	};
	_cleanup_close_ int fd = listen_at("10813");
	_cleanup_free_ char *before = NULL, *over = NULL;

	host_run("cd '%s' && qemu-img create -q -f qcow2 over 1M", dir);
	host_run("touch '%s/locked' && chmod 600 '%s/locked'", sockets, sockets);
	over = xasprintf("'path': '%s/over', 'format': 'qcow2', 'backing': [{'uri': 'nbd://127.0.0.1:10813/x'}]", dir);
	guest_define_bare(client, "web2");
	json_object_put(client_ok(client, "instance-start", "{'instance': 'web2', 'paused': true}"));
	json_object_put(guest_settle(client, "web2"));
	before = rig_world_at_rest(rig, true);
	attach_silent(fd, "'uri': 'nbd://127.0.0.1:10813/x'", "disk.uri", before);
	attach_silent(fd, "'uri': 'nbd://127.0.0.1:10813/x'", NULL, before);
	attach_silent(fd, over, "disk.backing[0].uri", before);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_json_ struct json_object *e = client_error(client, rows[i].class, "disk-attach",
								    "{'instance': 'web2', 'disk': {'uri': '%s'}}",
								    rows[i].uri);

		ck_assert_msg(strstr(str_at(e, "desc"), rows[i].words), "%s", str_at(e, "desc"));
		expect_none(e, "disk.uri", before);
	}
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'web2'}"));
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

/* ---- a QEMU that is root ---- */

/* A socket may be root's alone, and so may be who looks for it. */
START_TEST(test_root)
{
	_cleanup_free_ char *where = socket_of("raw");

	image("raw", "raw");
	serve("raw", where, NULL);
	ck_assert_int_eq(chmod(where, 0600), 0);
	client_define(client, "web1",
		      "'memory': '16M', 'hvparams': {'security_model': 'none'}, 'disks': [{'uri': "
		      "'nbd+unix:///raw?socket=%s', 'mode': 'ro'}]",
		      where);
	json_object_put(client_ok(client, "instance-start", "{'instance': 'web1', 'paused': true}"));
	json_object_put(client_ok(client, "disk-attach",
				  "{'instance': 'web1', 'disk': {'uri': 'nbd+unix:///raw?socket=%s', 'mode': 'ro'}}",
				  where));
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'web1'}"));
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
	tcase_add_test(tc, test_attach);
	tcase_add_test(tc, test_chroot);
	tcase_add_test(tc, test_root);
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
