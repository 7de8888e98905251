/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of a run is told once and stays told: whatever droverd is killed in, whatever comes in between, and on a full
 * disk.
 */
#include "base/file.h"
#include "stage.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
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

static Suite *make(void)
{
	Suite *s = suite_create("ends");
	TCase *tc = tcase_create("told once");

	tcase_add_checked_fixture(tc, NULL, stage_clear);
	tcase_add_test(tc, an_end_is_judged_once);
	tcase_add_test(tc, a_power_off_is_no_crash);
	tcase_add_test(tc, a_restart_is_counted_once);
	tcase_add_test(tc, what_was_to_be_gone_goes);
	suite_add_tcase(s, tc);
	return s;
}

RIG_MAIN_IN_MEMORY(make)
