/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fake-qemu without a droverd: what its script makes of it, descriptors and monitors, what a real QEMU would not do when
 * told to. That it speaks as QEMU does is test_fake_same.
 */
#include "raw.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LIST "/machine/peripheral"

enum { POLL_US = 2000, POLLS = RIG_DEADLINE_MS * 1000 / POLL_US };

static struct raw *fake;

/* WORDS of its command line. */
static void start(const char *words)
{
	_cleanup_free_ char *program = rig_program("fake-qemu");

	fake = raw_start(program, raw_dir(), "pc", words);
}

static void clear(void)
{
	if (fake)
		raw_free(fake);
	fake = NULL;
}

static void ok(const char *command, const char *args)
{
	if (args)
		json_object_put(raw_ok(fake, command, "%s", args));
	else
		json_object_put(raw_ok(fake, command, NULL));
}

static void plug(const char *id, const char *addr)
{
	json_object_put(raw_ok(fake, "blockdev-add", "{'driver': 'null-co', 'node-name': '%s'}", id));
	json_object_put(raw_ok(fake, "device_add",
			       "{'driver': 'virtio-blk-pci', 'id': '%s', 'drive': '%s', 'bus': 'pci.0', 'addr': '%s'}",
			       id, id, addr));
}

static void unplug(const char *id)
{
	json_object_put(raw_ok(fake, "device_del", "{'id': '%s'}", id));
}

static bool is_plugged(const char *id)
{
	_cleanup_json_ struct json_object *o = raw_ok(fake, "qom-list", "{'path': '" LIST "'}");

	for (size_t i = 0; i < json_object_array_length(o); i++)
		if (str_eq(str_at(json_object_array_get_idx(o, i), "name"), id))
			return true;
	return false;
}

static void check_goes(const char *id)
{
	_cleanup_json_ struct json_object *below = raw_event(fake, "DEVICE_DELETED"), *o = NULL;
	_cleanup_free_ char *path = xasprintf(LIST "/%s", id);

	ck_assert(!has(below, "data.device"));
	o = raw_event(fake, "DEVICE_DELETED");
	ck_assert_str_eq(str_at(o, "data.device"), id);
	ck_assert_str_eq(str_at(o, "data.path"), path);
	ck_assert(!is_plugged(id));
	json_object_put(raw_ok(fake, "blockdev-del", "{'node-name': '%s'}", id));
}

/* ---- unplugging ---- */

START_TEST(obeys)
{
	start("");
	plug("d0", "0xc");
	ok("cont", NULL);
	unplug("d0");
	check_goes("d0");
	plug("d0", "0xc");
	/* While it stands still it does nothing, and then it does. */
	ok("stop", NULL);
	unplug("d0");
	ck_assert(is_plugged("d0"));
	ck_assert(!raw_has_event(fake, "DEVICE_DELETED"));
	ok("cont", NULL);
	check_goes("d0");
}
END_TEST

/* What was said before it ever ran is lost, and no second word is heard, until a reset. */
START_TEST(never_hears)
{
	_cleanup_json_ struct json_object *e = NULL;

	start("");
	plug("d0", "0xc");
	unplug("d0");
	ok("cont", NULL);
	e = raw_error(fake, "device_del", "{'id': 'd0'}");
	ck_assert_str_eq(str_at(e, "desc"), "Device d0 is already in the process of unplug");
	ck_assert(is_plugged("d0"));
	ok("system_reset", NULL);
	check_goes("d0");
}
END_TEST

START_TEST(ignores)
{
	_cleanup_json_ struct json_object *e = NULL;

	start("-append fake.unplug=ignore");
	plug("d0", "0xc");
	ok("cont", NULL);
	unplug("d0");
	unplug("d0");
	e = raw_error(fake, "blockdev-del", "{'node-name': 'd0'}");
	ck_assert_str_eq(str_at(e, "desc"), "Node d0 is in use");
	ck_assert(is_plugged("d0"));
	ck_assert(!raw_has_event(fake, "DEVICE_DELETED"));
}
END_TEST

START_TEST(refuses)
{
	_cleanup_json_ struct json_object *e = NULL;

	start("-append fake.unplug=refuse");
	plug("d0", "0xc");
	ok("cont", NULL);
	unplug("d0");
	e = raw_event(fake, "DEVICE_UNPLUG_GUEST_ERROR");
	ck_assert_str_eq(str_at(e, "data.device"), "d0");
	ck_assert_str_eq(str_at(e, "data.path"), LIST "/d0");
	ck_assert(is_plugged("d0"));
	unplug("d0");
	json_object_put(raw_event(fake, "DEVICE_UNPLUG_GUEST_ERROR"));
}
END_TEST

/* One is let go of when a file is there, one never, a third at once; a second word is one too many. */
START_TEST(each_in_its_way)
{
	_cleanup_json_ struct json_object *e = NULL;
	_cleanup_free_ char *gate = NULL;
	_cleanup_close_ int fd = -1;

	start("-append fake.unplug=d0/late:gate -append fake.unplug=d1/ignore -append fake.again=refuse");
	gate = xasprintf("%s/gate", fake->dir);
	plug("d0", "0xc");
	plug("d1", "0xd");
	plug("d2", "0xe");
	ok("cont", NULL);
	unplug("d0");
	unplug("d1");
	unplug("d2");
	check_goes("d2");
	ck_assert(is_plugged("d0"));
	e = raw_error(fake, "device_del", "{'id': 'd0'}");
	ck_assert_str_eq(str_at(e, "desc"), "Device d0 is already in the process of unplug");
	fd = open(gate, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	check_goes("d0");
	ck_assert(is_plugged("d1"));
}
END_TEST

/* ---- descriptors ---- */

static int some_file(void)
{
	_cleanup_free_ char *path = xasprintf("%s/file", fake->dir);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static void give(unsigned monitor, const char *command, const char *args, int fd)
{
	_cleanup_json_ struct json_object *o = NULL;

	raw_send(fake, monitor, command, args, &fd, 1);
	o = raw_reply(fake, monitor);
	ck_assert_msg(has(o, "return"), "%s", json_object_to_json_string(o));
}

/* A name is its monitor's, whoever is connected to it. */
START_TEST(names)
{
	_cleanup_json_ struct json_object *o = NULL;
	unsigned held;
	int fd;

	start("");
	held = process_fds(fake->pid);
	fd = some_file();
	give(0, "getfd", "{'fdname': 'a'}", fd);
	ck_assert_uint_eq(process_fds(fake->pid), held + 1);
	raw_send(fake, 1, "closefd", "{'fdname': 'a'}", NULL, 0);
	o = raw_reply(fake, 1);
	ck_assert_str_eq(str_at(o, "error.desc"), "File descriptor named 'a' not found");
	raw_hang_up(fake, 0);
	raw_connect(fake, 0, false);
	ok("closefd", "{'fdname': 'a'}");
	ck_assert_uint_eq(process_fds(fake->pid), held);
	/* Taken by a netdev, which holds it until it is deleted. */
	give(0, "getfd", "{'fdname': 'tap'}", fd);
	ok("netdev_add", "{'type': 'tap', 'id': 'n', 'fd': 'tap'}");
	json_object_put(raw_error(fake, "closefd", "{'fdname': 'tap'}"));
	ck_assert_uint_eq(process_fds(fake->pid), held + 1);
	ok("netdev_del", "{'id': 'n'}");
	ck_assert_uint_eq(process_fds(fake->pid), held);
	close(fd);
}
END_TEST

static void await_held(unsigned n)
{
	for (int i = 0; i < POLLS && process_fds(fake->pid) != n; i++)
		usleep(POLL_US);
	ck_assert_uint_eq(process_fds(fake->pid), n);
}

/* Members that nobody uses go with the last client, when the guest runs. */
START_TEST(sets)
{
	_cleanup_json_ struct json_object *o = NULL;
	unsigned held;
	int fd;

	start("");
	held = process_fds(fake->pid);
	fd = some_file();
	give(0, "add-fd", "{'fdset-id': 1}", fd);
	ok("cont", NULL);
	raw_hang_up(fake, 0);
	raw_connect(fake, 0, false);
	ck_assert_uint_eq(process_fds(fake->pid), held + 1);
	raw_hang_up(fake, 0);
	raw_hang_up(fake, 1);
	/* Both connections, and the member with the second of them. */
	await_held(held - 2);
	raw_connect(fake, 0, false);
	raw_connect(fake, 1, false);
	o = raw_ok(fake, "query-fdsets", NULL);
	ck_assert_uint_eq(json_object_array_length(o), 0);
	ck_assert_uint_eq(process_fds(fake->pid), held);
	close(fd);
}
END_TEST

/* Waits until it has read N such requests. */
static void await_asked(const char *line, unsigned n)
{
	_cleanup_free_ char *path = xasprintf("%s/asked", fake->dir);

	for (int i = 0; i < POLLS; i++) {
		char text[4096] = "";
		_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
		unsigned found = 0;

		ck_assert(fd >= 0 && read(fd, text, sizeof(text) - 1) >= 0);
		for (const char *p = text; (p = strstr(p, line)); p++)
			found++;
		if (found >= n)
			return;
		usleep(POLL_US);
	}
	ck_abort_msg("it never reads '%s'", line);
}

/* Two that are sent without waiting for a reply: each gets its own, but where out-of-band commands are enabled QEMU
 * reads ahead, and the first gets the second's. */
START_TEST(two_at_once)
{
	for (int oob = 0; oob < 2; oob++) {
		_cleanup_json_ struct json_object *first = NULL, *second = NULL;
		_cleanup_free_ char *gate = NULL;
		_cleanup_close_ int file = -1;
		int fd;

		start("-append fake.hold=query-status:gate -append fake.record=asked");
		gate = xasprintf("%s/gate", fake->dir);
		raw_hang_up(fake, 1);
		raw_connect(fake, 1, oob);
		fd = some_file();
		raw_send(fake, 1, "query-status", NULL, NULL, 0);
		raw_send(fake, 1, "add-fd", "{'fdset-id': 1}", &fd, 1);
		raw_send(fake, 1, "add-fd", "{'fdset-id': 2}", &fd, 1);
		await_asked("m1 add-fd", oob ? 2 : 1);
		file = open(gate, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		json_object_put(raw_reply(fake, 1));
		first = raw_reply(fake, 1);
		second = raw_reply(fake, 1);
		ck_assert(has(first, "return"));
		if (oob)
			ck_assert_str_eq(str_at(second, "error.desc"), "No file descriptor supplied via SCM_RIGHTS");
		else
			ck_assert(has(second, "return"));
		close(fd);
		clear();
	}
}
END_TEST

/* ---- answers ---- */

START_TEST(wrong_answers)
{
	_cleanup_json_ struct json_object *o = NULL;
	char data[256] = "";
	ssize_t n;

	start("-append fake.wrongid=query-uuid -append fake.event=query-uuid+:NAME:[1,`a`] "
	      "-append fake.event=query-uuid+:OTHER -append fake.line=query-uuid+:x_y "
	      "-append fake.garbage=query-name -append fake.half=query-status");
	json_object_put(raw_ok(fake, "query-version", NULL));
	o = raw_ask(fake, "query-uuid", NULL);
	ck_assert_str_eq(str_at(o, "id"), "query-version");
	json_object_put(TAKE_PTR(o));
	o = raw_event(fake, "NAME");
	ck_assert_str_eq(str_at(o, "data.1"), "a");
	json_object_put(TAKE_PTR(o));
	o = raw_event(fake, "OTHER");
	ck_assert(!has(o, "data"));
	ck_assert_int_eq(recv(fake->fds[0], data, 5, MSG_WAITALL), 5);
	ck_assert_str_eq(data, "x y\r\n");
	raw_send(fake, 0, "query-name", NULL, NULL, 0);
	n = recv(fake->fds[0], data, sizeof(data) - 1, 0);
	ck_assert_int_gt(n, 0);
	ck_assert_int_ne(data[0], '{');
	raw_send(fake, 0, "query-status", NULL, NULL, 0);
	n = recv(fake->fds[0], data, sizeof(data) - 1, MSG_WAITALL);
	ck_assert_int_gt(n, 0);
	ck_assert_int_eq(data[0], '{');
	ck_assert_int_ne(data[n - 1], '}');
	ck_assert_int_eq(recv(fake->fds[0], data, sizeof(data), 0), 0);
	/* The other one is as it was. */
	raw_send(fake, 1, "query-yank", NULL, NULL, 0);
	json_object_put(TAKE_PTR(o));
	o = raw_reply(fake, 1);
	ck_assert(has(o, "return"));
}
END_TEST

static Suite *make(void)
{
	static const TTest *const *const tests[] = { &obeys,   &never_hears,     &ignores,
						     &refuses, &each_in_its_way, &names,
						     &sets,    &two_at_once,     &wrong_answers };
	Suite *s = suite_create("gear");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, NULL, clear);
	suite_add_tcase(s, tc);
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		tcase_add_test(tc, *tests[i]);
	return s;
}

RIG_MAIN(make)
