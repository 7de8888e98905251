/* SPDX-License-Identifier: BSD-2-Clause */
/* The ladder that ends a guest, and a QEMU that is slow, where no real one would do as it is told. */
#include "stage.h"

#include <string.h>
#include <unistd.h>

#define WEB "{'instance': 'web'}"

enum { LOOK_US = 10000, LOOKS = RIG_DEADLINE_MS * 1000 / LOOK_US };

/* How often QEMU was sent COMMAND on the main monitor. */
static unsigned asked(const char *command)
{
	_cleanup_free_ char *text = rig_file(stage.r, "asked"), *line = xasprintf("qmp %s\n", command);
	unsigned n = 0;

	for (const char *p = text; p && (p = strstr(p, line)); p++)
		n++;
	return n;
}

static void check_monitor(const char *wanted)
{
	_cleanup_json_ struct json_object *o = stage_show("web");

	ck_assert_str_eq(str_at(o, "monitor"), wanted);
	ck_assert_str_eq(str_at(o, "state"), "running");
}

static void await_monitor(const char *wanted)
{
	for (int i = 0;; i++) {
		_cleanup_json_ struct json_object *o = stage_show("web");

		if (str_eq(str_at(o, "monitor"), wanted))
			return;
		ck_assert_int_lt(i, LOOKS);
		usleep(LOOK_US);
	}
}

/* Who has not heard the first press hears a later one. */
START_TEST(button_is_pressed_again)
{
	_cleanup_json_ struct json_object *o = NULL;

	stage_set("%s", "");
	stage_define("web", "fake.powerdown=ignore fake.poweroff=system_powerdown#3 fake.record=%s/asked",
		     stage.r->root);
	stage_start("web");
	o = client_ok(stage.c, "instance-shutdown", "{'instance': 'web', 'timeout': 15}");
	ck_assert_str_eq(str_at(o, "rung"), "acpi");
	ck_assert_uint_eq(asked("system_powerdown"), 3);
	stage_check_state("web", "shutoff", "admin");
}
END_TEST

/* Who sleeps is awake before anybody asks it anything: it is not ended for being deaf. */
START_TEST(sleeper_is_asked_when_it_is_awake)
{
	_cleanup_json_ struct json_object *o = NULL;

	stage_set("%s", "");
	stage_define("web", "fake.state=cont+:suspended fake.record=%s/asked", stage.r->root);
	json_object_put(client_ok(stage.c, "instance-start", WEB));
	client_await_state(stage.c, "web", "pmsuspended", NULL);
	o = client_ok(stage.c, "instance-shutdown", "{'instance': 'web', 'then': 'stop'}");
	ck_assert_str_eq(str_at(o, "rung"), "acpi");
	ck_assert_uint_eq(asked("system_wakeup"), 1);
	ck_assert_uint_eq(asked("system_powerdown"), 1);
}
END_TEST

/* A QEMU that does not answer is not sent one press after the other, to take them all when it can. */
START_TEST(presses_do_not_pile_up)
{
	_cleanup_free_ char *gate = NULL;
	_cleanup_json_ struct json_object *e = NULL;

	stage_set("%s", "");
	gate = xasprintf("%s/gate", stage.r->root);
	stage_define("web", "fake.powerdown=ignore fake.hold=system_powerdown#2:%s fake.record=%s/asked", gate,
		     stage.r->root);
	stage_start("web");
	e = client_error(stage.c, "Timeout", "instance-shutdown", "{'instance': 'web', 'timeout': 9}");
	ck_assert(!json_object_get_boolean(at(e, "undone")));
	ck_assert_ptr_nonnull(strstr(str_at(e, "desc"), "may still"));
	ck_assert_uint_eq(asked("system_powerdown"), 2);
	check_monitor("slow");
	stage_write("gate", "");
	await_monitor("ok"); /* by the reply that nobody waits for any more */
	stage_check_state("web", "running", "booted");
}
END_TEST

/* Neither is a cancelled shutdown undone: the guest has heard. */
START_TEST(cancelled_is_not_undone)
{
	_cleanup_json_ struct json_object *reply = NULL;
	int id;

	stage_set("%s", "");
	stage_define("web", "fake.powerdown=ignore fake.record=%s/asked", stage.r->root);
	stage_start("web");
	id = client_send(stage.c, "instance-shutdown", WEB);
	stage_await_text("asked", "qmp system_powerdown");
	for (int i = 0; i < LOOKS; i++) {
		_cleanup_json_ struct json_object *o = stage_show("web");

		if (str_eq(str_at(o, "operation.step"), "wait for the guest")) {
			json_object_put(
				client_ok(stage.c, "job-cancel", "{'id': '%s'}", str_at(o, "operation.job-id")));
			break;
		}
		usleep(LOOK_US);
	}
	reply = client_reply(stage.c, id);
	ck_assert_str_eq(str_at(reply, "error.class"), "Cancelled");
	ck_assert(!json_object_get_boolean(at(reply, "error.undone")));
	stage_check_state("web", "running", "booted");
}
END_TEST

/* Who cannot hear is not asked: refused, or stopped at once. */
START_TEST(deaf)
{
	_cleanup_json_ struct json_object *o = NULL;

	stage_set("%s", "");
	stage_define("web", "fake.record=%s/asked", stage.r->root);
	stage_start("web");
	json_object_put(client_ok(stage.c, "instance-pause", WEB));
	json_object_put(client_error(stage.c, "WrongState", "instance-shutdown", WEB));
	o = client_ok(stage.c, "instance-shutdown", "{'instance': 'web', 'then': 'stop'}");
	ck_assert_str_eq(str_at(o, "rung"), "stop");
	ck_assert_uint_eq(asked("system_powerdown"), 0);
	stage_check_state("web", "shutoff", "admin");
}
END_TEST

/* An operation's call that expires makes the monitor slow; its answer, when nobody waits, makes it well. */
START_TEST(slow_under_an_operation)
{
	_cleanup_free_ char *gate = NULL;

	stage_set("instance-pause/*/before/expire");
	gate = xasprintf("%s/gate", stage.r->root);
	stage_define("web", "fake.hold=stop:%s fake.record=%s/asked", gate, stage.r->root);
	stage_start("web");
	/* Asked behind the start; an answer to it would be one since. */
	json_object_put(stage_await_answer("query-named-block-nodes"));
	stage_await_quiet();
	client_send(stage.c, "instance-pause", WEB);
	stage_await_text("asked", "qmp stop");
	await_monitor("slow");
	check_monitor("slow");
	stage_write("gate", "");
	await_monitor("ok");
	client_await_state(stage.c, "web", "paused", "admin");
}
END_TEST

/* What was cancelled by a stop goes back while the stop ends the process: the end stays the stop's. */
START_TEST(stopped_while_the_button_is_pressed)
{
	static const char *const commands[] = { "instance-shutdown", "instance-reboot" };
	_cleanup_json_ struct json_object *reply = NULL;
	_cleanup_free_ char *gate = NULL;
	int id, stop;

	stage_set("%s", "");
	gate = xasprintf("%s/gate", stage.r->root);
	stage_define("web", "fake.powerdown=ignore fake.hold=system_powerdown:%s fake.record=%s/asked", gate,
		     stage.r->root);
	stage_mark();
	stage_start("web");
	id = client_send(stage.c, commands[_i], WEB);
	stage_await_text("asked", "qmp system_powerdown");
	stop = client_send(stage.c, "instance-stop", WEB);
	stage_await_text("asked", "qmp quit");
	stage_write("gate", "");
	reply = client_reply(stage.c, id);
	ck_assert_str_eq(str_at(reply, "error.class"), "Cancelled");
	json_object_put(client_reply(stage.c, stop));
	stage_check_state("web", "shutoff", "admin");
	stage_check_unchanged();
}
END_TEST

/* Of a QEMU that does as WORDS say; the caller's. */
static struct json_object *first_stats(const char *words)
{
	stage_set("%s", "");
	stage_define("web", "%s", words);
	stage_start("web");
	return client_ok(stage.c, "query-stats", NULL);
}

/* Answers that are none, to each question of query-stats. */
START_TEST(stats_of_a_strange_qemu)
{
	static const char *const words[] = {
		"",
		"fake.lie=query-cpus-fast fake.lie=query-balloon fake.lie=query-blockstats",
		"fake.error=query-cpus-fast:GenericError:no",
		"fake.hangup=query-balloon",
	};
	enum { TRIES = 3 };
	_cleanup_json_ struct json_object *list = NULL;

	list = first_stats(words[_i]);
	/* An answer may be late by chance. What is said is said once, so it is asked of another QEMU. */
	for (int i = 1; i < TRIES && _i != 3 && json_object_get_boolean(at(list, "0.stale")); i++) {
		json_object_put(list);
		stage_clear();
		list = first_stats(words[_i]);
	}
	ck_assert_uint_eq(json_object_array_length(list), 1);
	ck_assert_int_eq(json_object_get_boolean(at(list, "0.stale")), _i == 3);
	ck_assert_int_eq(has(list, "0.memory.resident"), _i != 3);
	ck_assert(!has(list, "0.memory.actual"));
	stage_check_state("web", "running", "booted");
}
END_TEST

static Suite *make(void)
{
	Suite *s = suite_create("ladder");
	TCase *tc = tcase_create("ladder");

	tcase_add_checked_fixture(tc, NULL, stage_clear);
	tcase_add_test(tc, button_is_pressed_again);
	tcase_add_test(tc, sleeper_is_asked_when_it_is_awake);
	tcase_add_test(tc, presses_do_not_pile_up);
	tcase_add_test(tc, cancelled_is_not_undone);
	tcase_add_test(tc, deaf);
	tcase_add_test(tc, slow_under_an_operation);
	tcase_add_loop_test(tc, stopped_while_the_button_is_pressed, 0, 2);
	tcase_add_loop_test(tc, stats_of_a_strange_qemu, 0, 4);
	suite_add_tcase(s, tc);
	return s;
}

RIG_MAIN(make)
