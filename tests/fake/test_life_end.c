/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of a run is told once and stays told: whatever droverd is killed in, whatever comes in between, and on a full
 * disk.
 */
#include "base/file.h"
#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#define WEB "{'instance': 'web'}"

static void set_web(const char *fault, const char *patch)
{
	stage_set("%s", fault);
	stage_define("web", "%s", "ro");
	if (patch)
		json_object_put(client_ok(stage.c, "instance-modify", "{'instance': 'web', 'patch': %s}", patch));
	stage_mark();
	stage_start("web");
}

/* droverd ends by its fault, and the next has none. */
static void await_fault(void)
{
	rig_wait(stage.r);
	client_free(TAKE_PTR(stage.c));
	free(TAKE_PTR(stage.r->fault));
}

static void remove_file(const char *file)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", stage.r->root, file);

	ck_assert_int_eq(unlink(path), 0);
}

static void check_last(const char *state, const char *reason)
{
	_cleanup_free_ char *text = rig_file(stage.r, "lib/instances/web/state.json");
	_cleanup_json_ struct json_object *o = text ? json_tokener_parse(text) : NULL;

	ck_assert_ptr_nonnull(o);
	ck_assert_msg(str_eq(json_get_str(o, "state"), state) && str_eq(json_get_str(o, "reason"), reason), "%s", text);
}

/* ---- droverd is killed between the record of an end and its clearing ---- */

#define IN_CLEARING "instance-collect/clear the run directory/before/kill"

/* What is left of the run directory says nothing of the end any more: it was recorded. */
START_TEST(an_end_is_judged_once)
{
	set_web(IN_CLEARING, NULL);
	kill(stage_pid("web"), SIGKILL);
	await_fault();
	remove_file("run/instances/web/exit.json");
	remove_file("run/instances/web/events.log");
	stage_restart();
	stage_settle();
	stage_check_state("web", "crashed", "signal 9");
	check_last("crashed", "signal 9");
	stage_check_unchanged();
}
END_TEST

START_TEST(a_power_off_is_no_crash)
{
	set_web("instance-poweroff/clear the run directory/before/kill", "{'hvparams': {'on_crash': 'restart'}}");
	kill(stage_pid("web"), SIGUSR1);
	await_fault();
	remove_file("run/instances/web/exit.json");
	remove_file("run/instances/web/events.log");
	stage_restart();
	stage_settle();
	stage_check_state("web", "shutoff", "guest");
	check_last("shutoff", "guest");
	stage_check_unchanged();
}
END_TEST

START_TEST(a_restart_is_counted_once)
{
	_cleanup_json_ struct json_object *o = NULL;

	set_web(IN_CLEARING, "{'hvparams': {'on_crash': 'restart'}}");
	kill(stage_pid("web"), SIGKILL);
	await_fault();
	stage_restart();
	client_await_state(stage.c, "web", "running", NULL);
	stage_settle();
	o = stage_show("web");
	ck_assert_int_eq(int_at(o, "restarts.count"), 1);
	ck_assert_str_eq(str_at(o, "last.reason"), "signal 9");
}
END_TEST

/* A directory that was not removed to its end is that of no instance. */
START_TEST(what_was_to_be_gone_goes)
{
	_cleanup_free_ char *gone = NULL;

	stage_set("%s", "");
	stage_define("web", "%s", "ro");
	stage_mark();
	stage_kill();
	gone = xasprintf("%s/run/instances/.gone-web/q", stage.r->root);
	ck_assert(file_make_dirs(gone, 0700, NULL));
	stage_write("run/instances/.gone-web/runtime.json", "{}");
	stage_restart();
	stage_check_state("web", "shutoff", "never-started");
	stage_check_unchanged();
}
END_TEST

/* ---- a start whose turn comes before that of the collecting ---- */

static void await_step(const char *step)
{
	enum { LOOK_US = 2000, LOOKS = RIG_DEADLINE_MS * 1000 / LOOK_US };

	for (int i = 0; i < LOOKS; i++) {
		_cleanup_json_ struct json_object *o = stage_show("web");

		if (has(o, "operation.step") && str_eq(str_at(o, "operation.step"), step))
			return;
		usleep(LOOK_US);
	}
	ck_abort_msg("no step '%s'", step);
}

/* A reboot fails because QEMU dies; somebody waits behind it to start. */
static void start_behind_an_end(void)
{
	int reboot = client_send(stage.c, "instance-reboot", WEB), start;

	await_step("wait for the guest");
	start = client_send(stage.c, "instance-start", WEB);
	kill(stage_pid("web"), SIGKILL);
	json_object_put(client_reply(stage.c, reboot));
	{
		_cleanup_json_ struct json_object *o = client_reply(stage.c, start);

		ck_assert_msg(has(o, "return"), "%s", json_object_to_json_string(o));
	}
	stage_settle();
}

START_TEST(an_end_before_a_start_is_recorded)
{
	unsigned fds;

	stage_set("%s", "");
	stage_define("web", "%s", "fake.powerdown=ignore");
	stage_start("web");
	start_behind_an_end();
	check_last("shutoff", "admin");
	stage_await_quiet();
	fds = rig_fds_at_rest(stage.r, stage.c);
	for (int i = 0; i < 3; i++)
		start_behind_an_end();
	rig_expect_fds(stage.r, fds);
}
END_TEST

/* ---- a full disk ---- */

static const char filler[] = "lib/filler";

/* Definitions and records lie on a small file system, what runs does not. */
static void set_small(void)
{
	_cleanup_free_ char *lib = NULL;

	stage_set("%s", "");
	stage_kill();
	lib = xasprintf("%s/lib", stage.r->root);
	if (mount("tmpfs", lib, "tmpfs", 0, "size=512k") < 0) {
		printf("SKIP: cannot mount a file system here: %s\n", strerror(errno));
		exit(77);
	}
	rig_start(stage.r);
	stage.c = client_new(stage.r);
	stage_define("web", "%s", "ro");
	stage_start("web");
}

static void fill(void)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", stage.r->root, filler);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	static const char zeros[4096];

	while (write(fd, zeros, sizeof(zeros)) > 0)
		;
	ck_assert_int_eq(errno, ENOSPC);
}

static bool is_kept(void)
{
	_cleanup_free_ char *text = rig_file(stage.r, "run/instances/web/exit.json");

	return text != NULL;
}

static void end_on_full_disk(void)
{
	set_small();
	fill();
	kill(stage_pid("web"), SIGKILL);
	client_await_state(stage.c, "web", "crashed", "signal 9");
	stage_settle();
	ck_assert(is_kept());
}

/* How it ended is told by what was kept, until it can be recorded. */
START_TEST(an_end_waits_for_room)
{
	end_on_full_disk();
	stage_restart();
	stage_settle();
	stage_check_state("web", "crashed", "signal 9");
	ck_assert(is_kept());
	stage_kill();
	remove_file(filler);
	stage_restart();
	stage_settle();
	stage_check_state("web", "crashed", "signal 9");
	check_last("crashed", "signal 9");
	ck_assert(!is_kept());
}
END_TEST

START_TEST(a_start_records_what_was_kept)
{
	end_on_full_disk();
	remove_file(filler);
	stage_start("web");
	check_last("crashed", "signal 9");
}
END_TEST

/* A guest that runs is worth more than the record of how it ended before. */
START_TEST(a_start_does_not_wait_for_room)
{
	end_on_full_disk();
	stage_start("web");
	json_object_put(client_error(stage.c, "NoSpace", "instance-stop", WEB));
	stage_check_state("web", "shutoff", "admin");
	remove_file(filler);
	json_object_put(client_ok(stage.c, "instance-undefine", "{'instance': 'web', 'force': true}"));
	ck_assert(!is_kept());
}
END_TEST

/* ---- what was asked for has happened, or not ---- */

/* That a definition cannot be looked for does not mean that it was removed. */
START_TEST(not_seen_is_not_removed)
{
	_cleanup_free_ char *path = NULL, *aside = NULL;

	stage_set("%s", "instance-undefine/remove the definition/before/fail");
	stage_define("web", "%s", "ro");
	path = xasprintf("%s/lib/instances/web", stage.r->root);
	aside = xasprintf("%s.aside", path);
	ck_assert_int_eq(rename(path, aside), 0);
	ck_assert_int_eq(symlink(path, path), 0);
	json_object_put(client_error(stage.c, "GenericError", "instance-undefine", WEB));
	json_object_put(stage_show("web"));
}
END_TEST

/* The guest was let go and stopped at once, by its disk; whether it had been let go was not heard. */
START_TEST(let_go_and_stopped_is_let_go)
{
	pid_t pid;

	stage_set("%s", "instance-reboot/let the vCPUs go/after/expire");
	stage_define("web", "%s", "fake.pause=cont#2+");
	stage_start("web");
	pid = stage_pid("web");
	json_object_put(client_ok(stage.c, "instance-reboot", WEB));
	client_await_state(stage.c, "web", "blocked", NULL);
	ck_assert_int_eq(stage_pid("web"), pid);
}
END_TEST

static Suite *make(void)
{
	Suite *s = suite_create("ends");
	TCase *tc = tcase_create("told once");

	tcase_add_checked_fixture(tc, NULL, stage_clear);
	tcase_add_test(tc, an_end_before_a_start_is_recorded);
	tcase_add_test(tc, an_end_waits_for_room);
	tcase_add_test(tc, a_start_records_what_was_kept);
	tcase_add_test(tc, a_start_does_not_wait_for_room);
	tcase_add_test(tc, not_seen_is_not_removed);
	tcase_add_test(tc, let_go_and_stopped_is_let_go);
	tcase_add_test(tc, an_end_is_judged_once);
	tcase_add_test(tc, a_power_off_is_no_crash);
	tcase_add_test(tc, a_restart_is_counted_once);
	tcase_add_test(tc, what_was_to_be_gone_goes);
	suite_add_tcase(s, tc);
	return s;
}

RIG_MAIN_IN_MEMORY(make)
