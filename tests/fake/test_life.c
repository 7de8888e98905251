/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether there is a process: what could not be looked at is not known, and is neither started, ended nor cleared
 * away; and no second QEMU is started beside one that nobody knew of. What was begun is ended also where the definition
 * is gone.
 */
#include "base/file.h"
#include "stage.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WEB "{'instance': 'web'}"

/* Something that cannot be opened in the place of a file; and the file again. */
static void hide(const char *file)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", stage.r->root, file), *aside = xasprintf("%s.aside", path);

	ck_assert_int_eq(rename(path, aside), 0);
	ck_assert_int_eq(symlink(path, path), 0);
}

static void show_again(const char *file)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", stage.r->root, file), *aside = xasprintf("%s.aside", path);

	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(rename(aside, path), 0);
}

static unsigned count(const char *line)
{
	_cleanup_free_ char *world = stage_world();
	unsigned n = 0;

	for (const char *p = world; (p = strstr(p, line)); p++)
		n++;
	return n;
}

/* ---- what cannot be looked at ---- */

static const char *const places[] = { "run/instances/web/qemu.lock", "run/instances/web/lock", "run/instances/web" };

static void check_unknown(void)
{
	static const char *const commands[] = { "instance-start",  "instance-stop",     "instance-shutdown",
						"instance-reboot", "instance-undefine", "instance-pause" };
	_cleanup_json_ struct json_object *o = stage_show("web");

	ck_assert_str_eq(str_at(o, "state"), "nostate");
	ck_assert_str_eq(str_at(o, "reason"), "unknown");
	ck_assert(has(o, "error.desc"));
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		_cleanup_json_ struct json_object *e = client_error(stage.c, "WrongState", commands[i], WEB);

		ck_assert_msg(strstr(str_at(e, "desc"), "restart droverd") != NULL, "%s: %s", commands[i],
			      str_at(e, "desc"));
	}
	json_object_put(client_error(stage.c, "WrongState", "instance-undefine", "{'instance': 'web', 'force': true}"));
	json_object_put(client_error(stage.c, "WrongState", "instance-rename", "{'instance': 'web', 'name': 'other'}"));
	ck_assert_int_eq(count("process fake-qemu\n"), 1);
}

START_TEST(unknown_is_not_none)
{
	pid_t pid;

	stage_set("%s", "");
	stage_define("web", "%s", "ro");
	stage_start("web");
	pid = stage_pid("web");
	stage_kill();
	hide(places[_i]);
	stage_restart();
	check_unknown();
	stage_kill();
	show_again(places[_i]);
	stage_restart();
	client_await_state(stage.c, "web", "running", "booted");
	ck_assert_int_eq(stage_pid("web"), pid);
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	stage_check_state("web", "shutoff", "admin");
}
END_TEST

/* A start looks again: one that runs after all is known from then on. */
START_TEST(a_start_looks_again)
{
	pid_t pid;

	stage_set("%s", "");
	stage_define("web", "%s", "ro");
	stage_start("web");
	pid = stage_pid("web");
	stage_kill();
	hide(places[_i]);
	stage_restart();
	json_object_put(client_error(stage.c, "WrongState", "instance-start", WEB));
	show_again(places[_i]);
	json_object_put(client_error(stage.c, "WrongState", "instance-start", WEB));
	client_await_state(stage.c, "web", "running", "booted");
	ck_assert_int_eq(stage_pid("web"), pid);
	json_object_put(client_ok(stage.c, "instance-start", WEB));
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	stage_start("web");
}
END_TEST

/* What was interrupted is not given up either. */
START_TEST(a_marker_stays)
{
	static const char marker[] = "run/operations/instance-web.json";
	_cleanup_free_ char *kept = NULL, *gone = NULL;

	stage_set("%s", "instance-start/ask for the sizes of disks/before/kill");
	stage_define("web", "%s", "ro");
	stage_mark();
	client_send(stage.c, "instance-start", WEB);
	rig_wait(stage.r);
	client_free(TAKE_PTR(stage.c));
	free(TAKE_PTR(stage.r->fault));
	hide(places[_i]);
	stage_restart();
	stage_check_state("web", "nostate", "unknown");
	kept = rig_file(stage.r, "%s", marker);
	ck_assert_ptr_nonnull(kept);
	ck_assert_int_eq(count("process fake-qemu\n"), 1);
	stage_kill();
	show_again(places[_i]);
	stage_restart();
	stage_settle();
	gone = rig_file(stage.r, "%s", marker);
	ck_assert_ptr_null(gone);
	stage_check_state("web", "shutoff", "admin");
	stage_check_unchanged();
}
END_TEST

/* ---- a QEMU that nobody knows of ---- */

/* The definition was lost with all that lies beside it, and made again. */
START_TEST(a_stray_is_found)
{
	_cleanup_free_ char *path = NULL, *aside = NULL;
	pid_t pid;

	stage_set("%s", "");
	stage_define("web", "%s", "ro");
	stage_start("web");
	pid = stage_pid("web");
	stage_kill();
	path = xasprintf("%s/lib/instances/web", stage.r->root);
	ck_assert(file_remove_tree(AT_FDCWD, path, NULL));
	stage_restart();
	stage_define("web", "%s", "ro");
	aside = xasprintf("process %d", pid);
	{
		_cleanup_json_ struct json_object *e = client_error(stage.c, "WrongState", "instance-start", WEB);

		ck_assert_msg(strstr(str_at(e, "desc"), aside) != NULL, "%s", str_at(e, "desc"));
	}
	ck_assert_int_eq(count("process fake-qemu\n"), 1);
	client_await_state(stage.c, "web", "running", "booted");
	ck_assert_int_eq(stage_pid("web"), pid);
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	process_await_end(pid);
	stage_start("web");
	ck_assert_int_eq(count("process fake-qemu\n"), 1);
}
END_TEST

/* ---- a definition that cannot be read any more ---- */

/* droverd is killed at a step of COMMAND; the next one finds no definition. */
static void lose_definition(const char *command)
{
	client_send(stage.c, command, WEB);
	rig_wait(stage.r);
	client_free(TAKE_PTR(stage.c));
	free(TAKE_PTR(stage.r->fault));
	stage_write("lib/instances/web/definition.json", "garbage");
	stage_restart();
	stage_settle();
}

/* The way back of a start needs none: no QEMU waits for ever to be let go. */
START_TEST(half_a_start_is_undone)
{
	stage_set("%s", "instance-start/ask for the sizes of disks/before/kill");
	stage_define("web", "%s", "ro");
	stage_mark();
	lose_definition("instance-start");
	stage_check_unchanged();
	stage_check_state("web", "shutoff", "admin");
}
END_TEST

START_TEST(half_an_autostart_is_undone)
{
	_cleanup_free_ char *stamp = NULL;

	stage_set("%s", "");
	stage_define("web", "%s", "ro");
	json_object_put(client_ok(stage.c, "instance-modify", "{'instance': 'web', 'patch': {'autostart': true}}"));
	stage_mark();
	stage_kill();
	stamp = xasprintf("%s/run/autostarted", stage.r->root);
	ck_assert_int_eq(unlink(stamp), 0);
	free(stage.r->fault);
	stage.r->fault = xstrdup("instance-autostart/ask for the sizes of disks/before/kill");
	rig_start(stage.r);
	rig_wait(stage.r);
	free(TAKE_PTR(stage.r->fault));
	stage_write("lib/instances/web/definition.json", "garbage");
	stage_restart();
	stage_settle();
	stage_check_unchanged();
	stage_check_state("web", "shutoff", "admin");
}
END_TEST

/* Behind the commit the guest runs: only what would have been written to the definition is not. */
START_TEST(half_a_naming_is_none)
{
	static const char *const faults[] = { "instance-start/name the machine/before/kill",
					      "instance-reboot/name the machine/before/kill" };
	bool reboot = _i == 1;

	stage_set("%s", faults[_i]);
	stage_define("web", "%s", "ro");
	if (reboot) {
		stage_start("web");
		json_object_put(client_ok(stage.c, "instance-modify",
					  "{'instance': 'web', 'patch': {'vcpus': 2, 'hvparams': {'machine_version': "
					  "'pc'}}}"));
	}
	lose_definition(reboot ? "instance-reboot" : "instance-start");
	ck_assert_int_eq(count("process fake-qemu\n"), 1);
	client_await_state(stage.c, "web", "running", NULL);
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	stage_check_state("web", "shutoff", "admin");
}
END_TEST

/* A reboot goes on where it was, and cannot start without one. */
START_TEST(half_a_reboot_stays_down)
{
	stage_set("%s", "instance-reboot/clear the run directory/before/kill");
	stage_define("web", "%s", "ro");
	stage_mark();
	stage_start("web");
	json_object_put(client_ok(stage.c, "instance-modify", "{'instance': 'web', 'patch': {'vcpus': 2}}"));
	lose_definition("instance-reboot");
	stage_check_unchanged();
	stage_check_state("web", "shutoff", "admin");
}
END_TEST

static Suite *make(void)
{
	Suite *s = suite_create("life");
	TCase *tc = tcase_create("process"), *lost = tcase_create("definition lost");

	tcase_add_checked_fixture(tc, NULL, stage_clear);
	tcase_add_loop_test(tc, unknown_is_not_none, 0, ARRAY_SIZE(places));
	tcase_add_loop_test(tc, a_start_looks_again, 0, ARRAY_SIZE(places));
	tcase_add_loop_test(tc, a_marker_stays, 0, ARRAY_SIZE(places));
	tcase_add_test(tc, a_stray_is_found);
	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(lost, NULL, stage_clear);
	tcase_add_test(lost, half_a_start_is_undone);
	tcase_add_test(lost, half_an_autostart_is_undone);
	tcase_add_loop_test(lost, half_a_naming_is_none, 0, 2);
	tcase_add_test(lost, half_a_reboot_stays_down);
	suite_add_tcase(s, lost);
	return s;
}

RIG_MAIN_IN_MEMORY(make)
