/* SPDX-License-Identifier: BSD-2-Clause */
/* `drover shutdown --on-host-shutdown`: who goes, in which order, and what is said of it. */
#include "stage.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static void run(const char *name, const char *patch, const char *words)
{
	stage_define(name, "%s", words);
	json_object_put(client_ok(stage.c, "instance-modify", "{'instance': '%s', 'patch': %s}", name, patch));
	stage_start(name);
}

/* Runs it; the exit status, what it printed below the root. */
static int shutdown_all(const char *options)
{
	_cleanup_free_ char *drover = rig_program("drover"), *line = NULL;
	int status;

	line = xasprintf("cd '%s' && '%s' --socket run/drover.sock shutdown --on-host-shutdown %s < /dev/null "
			 "> said 2> complained",
			 stage.r->root, drover, options);
	status = system(line); /* NOLINT(cert-env33-c): paths of our own */
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* The shutdowns in the order in which they began (+) and ended (-): "+a -a +b -b ". The caller's. */
static char *order(void)
{
	_cleanup_json_ struct json_object *o = client_ok(stage.c, "query-events", "{}");
	char *text = xstrdup("");

	for (size_t i = 0; i < json_object_array_length(at(o, "events")); i++) {
		struct json_object *event = json_object_array_get_idx(at(o, "events"), i);
		_cleanup_free_ char *old = text;
		const char *status;

		if (str_eq(str_at(event, "event"), "JOB_STATUS_CHANGE") &&
		    str_eq(str_at(event, "data.type"), "instance-shutdown")) {
			status = str_at(event, "data.status");
			text = xasprintf("%s%s%s ", old,
					 str_eq(status, "running")   ? "+" :
					 str_eq(status, "concluded") ? "-" :
								       "?",
					 str_at(event, "data.instance"));
		} else {
			text = xstrdup(old);
		}
	}
	return text;
}

static void check_before(const char *text, const char *first, const char *second)
{
	const char *one = strstr(text, first), *other = strstr(text, second);

	ck_assert_msg(one && other && one < other, "'%s' is not before '%s' in '%s'", first, second, text);
}

/* Later orders first, those of one order side by side, who was started by hand with the first of them. Those of one order take
 * a second press of the button, so that none has ended when the next is asked. */
START_TEST(later_orders_first)
{
	_cleanup_free_ char *text = NULL, *said = NULL;
	static const char slow[] = "fake.powerdown=ignore fake.poweroff=system_powerdown#2";

	stage_set("%s", "");
	run("early", "{'autostart': true}", "");
	run("late1", "{'autostart': {'order': 5}}", slow);
	run("late2", "{'autostart': {'order': 5}}", slow);
	run("by-hand", "{'autostart': false}", slow);
	ck_assert_int_eq(shutdown_all("--timeout 9"), 0);
	text = order();
	static const char *const first[] = { "late1", "late2", "by-hand" };
	for (size_t i = 0; i < ARRAY_SIZE(first); i++) {
		_cleanup_free_ char *end = xasprintf("-%s", first[i]);

		for (size_t j = 0; j < ARRAY_SIZE(first); j++) {
			_cleanup_free_ char *begin = xasprintf("+%s", first[j]);

			check_before(text, begin, end);
		}
		check_before(text, end, "+early");
		stage_check_state(first[i], "shutoff", "admin");
	}
	stage_check_state("early", "shutoff", "admin");
	said = rig_file(stage.r, "said");
	check_before(said, "late1: shutoff, by acpi", "early: shutoff, by acpi");
}
END_TEST

/* Who is to be left goes on, nobody else does: not who does not hear, nor who was to be saved, which is told. */
START_TEST(as_each_definition_says)
{
	_cleanup_free_ char *said = NULL, *complained = NULL;
	pid_t left;

	stage_set("%s", "");
	run("left", "{'on_host_shutdown': 'leave'}", "");
	run("saved", "{'on_host_shutdown': 'save'}", "");
	run("deaf", "{'on_host_shutdown': 'shutdown'}", "fake.powerdown=ignore");
	stage_define("off", "%s", "");
	left = stage_pid("left");
	ck_assert_int_eq(shutdown_all("--timeout 5"), 0);
	stage_check_state("left", "running", "booted");
	ck_assert_int_eq(stage_pid("left"), left);
	stage_check_state("saved", "shutoff", "admin");
	stage_check_state("deaf", "shutoff", "admin");
	stage_check_state("off", "shutoff", "never-started");
	said = rig_file(stage.r, "said");
	ck_assert_ptr_nonnull(strstr(said, "saved: shutoff, by acpi\n"));
	ck_assert_ptr_nonnull(strstr(said, "deaf: shutoff, by stop\n"));
	ck_assert_ptr_null(strstr(said, "left"));
	complained = rig_file(stage.r, "complained");
	ck_assert_ptr_nonnull(strstr(complained, "drover: saved: on_host_shutdown save"));
	ck_assert_ptr_nonnull(strstr(complained, "Unsupported"));
	ck_assert_ptr_eq(strchr(complained, '\n'), complained + strlen(complained) - 1); /* one line */
}
END_TEST

/* One that fails hinders nobody, and is what the status says. */
START_TEST(failure)
{
	_cleanup_free_ char *complained = NULL;

	stage_set("%s", "");
	run("deaf", "{'autostart': {'order': 1}}", "fake.powerdown=ignore");
	run("web", "{'autostart': true}", "");
	ck_assert_int_eq(shutdown_all("--timeout 5 --then fail"), 11);
	stage_check_state("deaf", "running", "booted");
	stage_check_state("web", "shutoff", "admin");
	complained = rig_file(stage.r, "complained");
	ck_assert_ptr_nonnull(strstr(complained, "drover: deaf: "));
	ck_assert_ptr_nonnull(strstr(complained, "(Timeout)"));
}
END_TEST

/* With names it is the other verb, and without a daemon there is nobody to ask. */
START_TEST(misuse)
{
	stage_set("%s", "");
	run("web", "{}", "");
	ck_assert_int_eq(shutdown_all("web"), 2);
	stage_check_state("web", "running", "booted");
	stage_kill();
	ck_assert_int_eq(shutdown_all(""), 19);
}
END_TEST

static Suite *make(void)
{
	Suite *s = suite_create("host shutdown");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, NULL, stage_clear);
	suite_add_tcase(s, tc);
	tcase_add_test(tc, later_orders_first);
	tcase_add_test(tc, as_each_definition_says);
	tcase_add_test(tc, failure);
	tcase_add_test(tc, misuse);
	return s;
}

RIG_MAIN(make)
