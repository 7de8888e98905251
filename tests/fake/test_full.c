/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A full disk: what needs a record is refused and leaves nothing, what ends a process works.
 */
#include "base/cleanup.h"
#include "base/file.h"
#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

enum { POLL_MS = 5 };

#define WEB "{'instance': 'web'}"
#define DISK "{'instance': 'web', 'disk': {'name': 'one', 'path': '%s/image'}}"

/* A small file system under all that droverd writes; it goes with the mount namespace of the test. */
static void set_small(void)
{
	stage_set("%s", "");
	stage_kill();
	if (mount("tmpfs", stage.r->root, "tmpfs", 0, "size=512k") < 0) {
		printf("SKIP: cannot mount a file system here: %s\n", strerror(errno));
		exit(77);
	}
	rig_start(stage.r);
	stage.c = client_new(stage.r);
}

static void fill(void)
{
	_cleanup_free_ char *path = xasprintf("%s/filler", stage.r->root);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	static const char zeros[4096];

	while (write(fd, zeros, sizeof(zeros)) > 0)
		;
	ck_assert_int_eq(errno, ENOSPC);
}

static void make_room(void)
{
	_cleanup_free_ char *path = xasprintf("%s/filler", stage.r->root);

	ck_assert_int_eq(unlink(path), 0);
}

START_TEST(nothing_begins)
{
	_cleanup_free_ char *before = NULL, *after = NULL;

	set_small();
	stage_define("web", "%s", "");
	before = stage_world();
	fill();
	json_object_put(client_error(stage.c, "NoSpace", "instance-define", "{'definition': {'name': 'other'}}"));
	json_object_put(client_error(stage.c, "NoSpace", "instance-start", WEB));
	stage_check_state("web", "shutoff", "never-started");
	make_room();
	after = stage_world();
	ck_assert_str_eq(before, after);
	stage_start("web");
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
}
END_TEST

START_TEST(an_end_is_an_end)
{
	pid_t pid;

	set_small();
	stage_define("web", "%s", "");
	stage_start("web");
	pid = stage_pid("web");
	stage_await_quiet(); /* by now nothing is being written that would leave room */
	fill();
	json_object_put(client_ok(stage.c, "instance-pause", WEB));
	/* state.json cannot be written, which is said; the process is gone all the same. */
	json_object_put(client_error(stage.c, "NoSpace", "instance-stop", WEB));
	process_await_end(pid);
	stage_check_state("web", "shutoff", "admin");
	make_room();
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	stage_start("web");
	ck_assert_int_ne(stage_pid("web"), pid);
	json_object_put(client_ok(stage.c, "instance-pause", WEB));
	json_object_put(client_ok(stage.c, "instance-qmp", "{'instance': 'web', 'execute': 'query-name'}"));
	/* What there was no room for is missing in the trace, and nothing else. */
	json_object_put(stage_await_answer("query-name"));
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
}
END_TEST

/* Nobody asks for it again. */
START_TEST(an_end_is_recorded_when_there_is_room)
{
	pid_t pid;

	set_small();
	stage_define("web", "%s", "");
	stage_mark();
	stage_start("web");
	pid = stage_pid("web");
	stage_await_quiet(); /* by now nothing is being written that would leave room */
	fill();
	kill(pid, SIGKILL);
	client_await_state(stage.c, "web", "crashed", "lost");
	stage_settle();
	make_room();
	for (int tries = 0;; tries++) {
		_cleanup_free_ char *record = rig_file(stage.r, "%s", "run/instances/web/runtime.json");

		if (!record)
			break;
		ck_assert_int_lt(tries, RIG_DEADLINE_MS / POLL_MS);
		usleep(POLL_MS * 1000);
	}
	stage_check_state("web", "crashed", "lost");
	stage_settle();
	stage_check_unchanged();
}
END_TEST

/* How often the guest has been asked, by what QEMU writes down where there is room. */
static size_t asked(const char *record)
{
	_cleanup_free_ char *text = NULL;
	size_t n = 0;

	ck_assert(file_read(AT_FDCWD, record, FILE_MAX, &text, NULL, NULL));
	for (const char *p = text; (p = strstr(p, "device_del")); p++)
		n++;
	return n;
}

/* It is not just being tried. */
static struct json_object *show_pending(void)
{
	for (int tries = 0;; tries++) {
		struct json_object *o = stage_show("web");

		if (has(o, "runtime.disks.0") && str_eq(str_at(o, "runtime.disks.0.state"), "detach-pending"))
			return o;
		ck_assert_int_lt(tries, RIG_DEADLINE_MS / POLL_MS);
		json_object_put(o);
		usleep(POLL_MS * 1000);
	}
}

/* A guest lets go of a disk, and there is no room to record it: it is tried again until there is. */
START_TEST(a_device_leaves_when_there_is_room)
{
	enum { TRIES = 4 };
	_cleanup_free_ char *record = NULL;
	_cleanup_json_ struct json_object *o = NULL;
	unsigned fds;

	set_small();
	record = xasprintf("%s.record", stage.r->root);
	stage_write("image", "an image");
	stage_define("web", "fake.unplug=late:%s/go fake.record=%s", stage.r->root, record);
	stage_start("web");
	json_object_put(client_ok(stage.c, "disk-attach", DISK, stage.r->root));
	json_object_put(
		client_error(stage.c, "Timeout", "disk-detach", "{'instance': 'web', 'disk': 'one', 'timeout': 0.01}"));
	stage_settle();
	stage_await_quiet();
	fds = rig_fds_at_rest(stage.r, stage.c);
	fill();
	stage_write("go", "");
	for (int tries = 0; asked(record) < TRIES; tries++) {
		ck_assert_int_lt(tries, RIG_DEADLINE_MS / POLL_MS);
		usleep(POLL_MS * 1000);
	}
	stage_settle();
	unlink(record);
	o = show_pending();
	ck_assert_str_eq(str_at(o, "definition.disks.0.name"), "one");
	rig_expect_fds(stage.r, fds);
	make_room();
	json_object_put(client_event(stage.c, "DEVICE_DETACHED"));
	stage_settle();
	json_object_put(client_ok(stage.c, "disk-attach", DISK, stage.r->root));
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
}
END_TEST

/* A disk, by a QEMU that does as WORDS say: no room is left while it is asked, and the error is of CLASS, and not undone. */
static void attach_without_room(const char *words, const char *class)
{
	_cleanup_json_ struct json_object *reply = NULL;
	int id;

	set_small();
	stage_write("image", "an image");
	stage_define("web", "fake.hold=device_add:%s/go%s", stage.r->root, words);
	stage_start("web");
	id = client_send(stage.c, "disk-attach", DISK, stage.r->root);
	stage_await_text("run/operations/instance-web.json", "add the device");
	json_object_put(stage_show("web")); /* by now nothing is being written that would leave room */
	fill();
	stage_write("go", "");
	reply = client_reply(stage.c, id);
	ck_assert_str_eq(str_at(reply, "error.class"), class);
	ck_assert(!json_object_get_boolean(at(reply, "error.undone")));
}

/* The guest has it, and there is no room to record that; it is told all the same. */
START_TEST(a_device_that_comes_is_told_of)
{
	_cleanup_json_ struct json_object *o = NULL, *event = NULL;

	attach_without_room("", "NoSpace");
	event = client_event(stage.c, "DEVICE_ATTACHED");
	ck_assert_str_eq(str_at(event, "data.name"), "one");
	stage_settle();
	make_room();
	o = stage_show("web");
	ck_assert_str_eq(str_at(o, "runtime.disks.0.state"), "attached");
	json_object_put(client_ok(stage.c, "disk-detach", "{'instance': 'web', 'disk': 'one'}"));
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
}
END_TEST

/* A change goes back, and there is no room to write what was: then what is told is what the next droverd would read. */
START_TEST(a_definition_that_cannot_be_put_back)
{
	_cleanup_json_ struct json_object *o = NULL, *later = NULL;

	attach_without_room(" fake.error=device_add:GenericError:no", "QemuError");
	stage_settle();
	make_room();
	o = stage_show("web");
	ck_assert_str_eq(str_at(o, "definition.disks.0.name"), "one");
	ck_assert(!has(o, "runtime.disks.0"));
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	stage_restart();
	later = stage_show("web");
	ck_assert(json_object_equal(at(later, "definition"), at(o, "definition")));
	json_object_put(client_ok(stage.c, "disk-detach", "{'instance': 'web', 'disk': 'one'}"));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("full disk");
	TCase *t = tcase_create("full");

	tcase_add_checked_fixture(t, NULL, stage_clear);
	tcase_add_test(t, nothing_begins);
	tcase_add_test(t, an_end_is_an_end);
	tcase_add_test(t, an_end_is_recorded_when_there_is_room);
	tcase_add_test(t, a_device_leaves_when_there_is_room);
	tcase_add_test(t, a_device_that_comes_is_told_of);
	tcase_add_test(t, a_definition_that_cannot_be_put_back);
	suite_add_tcase(s, t);
	return s;
}

RIG_MAIN(suite)
