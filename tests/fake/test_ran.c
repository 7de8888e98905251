/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest that runs before QEMU has said so: the answer to the `cont` of a start never comes. What it has written since is
 * not taken back, and its end is its own.
 */
#include "stage.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WEB "{'instance': 'web'}"
#define LATE "instance-start/run the guest/before/expire"

static int start;

static bool has_nvram(void)
{
	return stage_is_there("lib/instances/web/uefi/nvram.qcow2");
}

/* With a machine that remembers; its guest runs, and the client that has asked for that waits for the reply. */
static void set_running(const char *fault, const char *words)
{
	if (access("/usr/share/qemu/firmware", F_OK) < 0) {
		printf("SKIP: no UEFI here; install the package ovmf\n");
		exit(77);
	}
	stage_set("%s", fault);
	stage_define("web", "%s", words);
	json_object_put(client_ok(stage.c, "instance-modify",
				  "{'instance': 'web', 'patch': {'hvparams': {'firmware': 'uefi'}}}"));
	start = client_send(stage.c, "instance-start", WEB);
	client_await_state(stage.c, "web", "running", "booted");
	ck_assert(has_nvram());
}

static void check_crashed(void)
{
	client_await_state(stage.c, "web", "crashed", "signal 9");
	stage_settle();
	stage_check_state("web", "crashed", "signal 9");
	ck_assert(has_nvram());
	ck_assert_int_eq(stage_holder("web"), 0);
}

START_TEST(qemu_dies)
{
	_cleanup_json_ struct json_object *reply = NULL;

	set_running("", "fake.silent=cont");
	kill(stage_pid("web"), SIGKILL);
	reply = client_reply(stage.c, start);
	ck_assert_str_eq(str_at(reply, "error.class"), "GuestGone");
	ck_assert(!json_object_get_boolean(at(reply, "error.undone")));
	check_crashed();
}
END_TEST

START_TEST(both_die)
{
	pid_t pid;

	set_running("", "fake.silent=cont");
	pid = stage_pid("web");
	stage_kill();
	kill(pid, SIGKILL);
	process_await_end(pid);
	stage_restart();
	check_crashed();
}
END_TEST

/* The last droverd had no time to hear of it; what QEMU said is in the log of its events. */
START_TEST(nobody_has_seen_it)
{
	pid_t pid;

	set_running("", "fake.silent=cont");
	pid = stage_pid("web");
	stage_kill();
	kill(pid, SIGKILL);
	process_await_end(pid);
	stage_write("run/instances/web/observed.json",
		    "{\"state\": \"paused\", \"status\": \"prelaunch\", \"reason\": \"starting\"}");
	stage_restart();
	check_crashed();
}
END_TEST

/* The next droverd asks what became of it, and is not answered either. */
START_TEST(it_dies_while_it_is_asked)
{
	pid_t pid;

	set_running("", "fake.silent=cont");
	pid = stage_pid("web");
	stage_kill();
	kill(pid, SIGSTOP);
	stage_restart();
	kill(pid, SIGKILL);
	check_crashed();
}
END_TEST

/* Only the connection is lost: another one tells. */
START_TEST(monitor_hangs_up)
{
	set_running("", "fake.half=cont");
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	stage_check_state("web", "shutoff", "admin");
	ck_assert(has_nvram());
}
END_TEST

START_TEST(it_is_stopped)
{
	set_running(LATE, "fake.silent=cont fake.silent=query-yank");
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	json_object_put(client_reply(stage.c, start));
	stage_check_state("web", "shutoff", "admin");
	ck_assert(has_nvram());
}
END_TEST

static Suite *make(void)
{
	static const TTest *const *const tests[] = { &qemu_dies,          &both_die,
						     &nobody_has_seen_it, &it_dies_while_it_is_asked,
						     &monitor_hangs_up,   &it_is_stopped };
	Suite *s = suite_create("ran");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, NULL, stage_clear);
	suite_add_tcase(s, tc);
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		tcase_add_test(tc, *tests[i]);
	return s;
}

RIG_MAIN(make)
