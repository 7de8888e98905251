/* SPDX-License-Identifier: BSD-2-Clause */
/* Long commands on a terminal: the line that tells how far they are, and what ^C means. */
#include "person.h"
#include "stage.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void set_up(void)
{
	stage_set("%s", "");
}

/* Jobs that query-jobs lists. */
static size_t jobs(void)
{
	_cleanup_json_ struct json_object *list = client_ok(stage.c, "query-jobs", NULL);

	return json_object_array_length(list);
}

/* A start that hangs until the file "go" is there. */
static struct person *slow_start(void)
{
	_cleanup_free_ char *go = stage_text("ROOT/go");

	stage_define("web", "fake.hold=cont:%s", go);
	return person_come(stage.r, "drover", "start", "web", "other", NULL);
}

START_TEST(test_fast)
{
	_cleanup_person_ struct person *p = NULL;

	stage_define("web", "%s", "");
	p = person_come(stage.r, "drover", "start", "web", NULL);
	ck_assert_int_eq(person_leave(p), 0);
	ck_assert_msg(strstr(person_saw(p), "web: running\n"), "%s", person_saw(p));
	ck_assert_uint_eq(jobs(), 0);
}
END_TEST

START_TEST(test_progress)
{
	_cleanup_person_ struct person *p = slow_start();

	person_await(p, "web: instance-start: ");
	person_await(p, "] ");
	person_await(p, "\r\033[K"); /* drawn again */
	stage_write("go", "");
	person_await(p, "\r\033[K");
	person_await(p, "web: running\n");
	person_await(p, "'other'"); /* of which there is none */
	ck_assert_int_eq(person_leave(p), 3);
	ck_assert_uint_eq(jobs(), 0);
}
END_TEST

/* A guest that does not hear the power button. */
static struct person *deaf_shutdown(void)
{
	stage_define("web", "%s", "fake.powerdown=ignore");
	stage_start("web");
	return person_come(stage.r, "drover", "shutdown", "web", "other", "--mode", "acpi", "--timeout", "600", NULL);
}

START_TEST(test_cancel)
{
	_cleanup_person_ struct person *p = deaf_shutdown();

	person_await(p, "web: instance-shutdown: ");
	person_type(p, "\3");
	person_await(p, "asked to take it back");
	person_await(p, "(Cancelled)");
	ck_assert_int_eq(person_leave(p), 12);
	ck_assert_ptr_null(strstr(person_saw(p), "other")); /* what would have followed */
	stage_check_state("web", "running", "booted");
	ck_assert_uint_eq(jobs(), 0);
}
END_TEST

/* Past the point of no return it says so, and goes on. */
START_TEST(test_too_late)
{
	_cleanup_person_ struct person *p = slow_start();

	person_await(p, "web: instance-start: run the guest");
	person_type(p, "\3");
	person_await(p, "web: it goes on (");
	stage_write("go", "");
	person_await(p, "web: running\n");
	ck_assert_int_eq(person_leave(p), 0);
	ck_assert_ptr_null(strstr(person_saw(p), "other"));
}
END_TEST

/* ^C twice: what runs goes on, and can be found. */
START_TEST(test_leave)
{
	_cleanup_person_ struct person *p = slow_start();
	_cleanup_free_ char *text = NULL;
	char id[64] = "";

	person_await(p, "web: instance-start: run the guest");
	person_type(p, "\3");
	person_await(p, "^C again leaves it alone");
	person_type(p, "\3");
	ck_assert_int_eq(person_leave(p), 128 + 2);
	ck_assert_ptr_nonnull(strstr(person_saw(p), "goes on without you"));
	ck_assert_int_eq(sscanf(strstr(person_saw(p), "shows it as ") + 12, "%63[a-z0-9-]", id), 1);
	stage_write("go", "");
	for (bool ended = false; !ended; usleep(5000)) {
		_cleanup_json_ struct json_object *list = client_ok(stage.c, "query-jobs", NULL);

		ended = str_eq(str_at(list, "0.status"), "concluded");
	}
	/* whoever asks is told what became of it */
	ck_assert_int_eq(person_script(stage.r, NULL, &text, NULL, "drover", "jobs", NULL), 0);
	ck_assert_msg(strstr(text, id), "%s in %s", id, text);
	ck_assert_int_eq(person_script(stage.r, NULL, NULL, NULL, "drover", "jobs", "dismiss", id, NULL), 0);
}
END_TEST

START_TEST(test_script_gets_the_reply)
{
	_cleanup_free_ char *out = NULL, *err = NULL;

	stage_define("web", "%s", "");
	ck_assert_int_eq(person_script(stage.r, NULL, &out, &err, "drover", "start", "web", NULL), 0);
	ck_assert_str_eq(out, "web: running\n");
	ck_assert_str_eq(err, "");
}
END_TEST

/* What it had begun may go on: it says so, and as what it is found again. */
START_TEST(test_daemon_ends)
{
	_cleanup_person_ struct person *p = slow_start();
	_cleanup_json_ struct json_object *list = NULL;
	const char *hint;
	char id[64] = "";

	person_await(p, "web: instance-start: ");
	stage_kill();
	ck_assert_int_eq(person_leave(p), 19);
	ck_assert_msg(strstr(person_saw(p), "'instance-start' may go on: the daemon at "), "%s", person_saw(p));
	ck_assert_ptr_nonnull(strstr(person_saw(p), "closed the connection"));
	ck_assert(person_terminal_is_sane(p));
	hint = strstr(person_saw(p), "hint: 'drover jobs' shows it as ");
	ck_assert_msg(hint && sscanf(hint, "hint: 'drover jobs' shows it as %63[a-z0-9-]", id) == 1, "%s",
		      person_saw(p));
	stage_write("go", "");
	stage_restart();
	list = client_ok(stage.c, "query-jobs", NULL);
	ck_assert_str_eq(str_at(list, "0.id"), id);
}
END_TEST

/* The line is as wide as the terminal that it is drawn on, wherever the output goes. */
START_TEST(test_narrow)
{
	_cleanup_free_ char *go = stage_text("ROOT/go"), *drover = rig_program("drover");
	_cleanup_free_ char *line = xasprintf("stty cols 30; exec %s start web > /dev/null", drover);
	_cleanup_person_ struct person *p = NULL;

	stage_define("web", "fake.hold=cont:%s", go);
	p = person_come(stage.r, "sh", "-c", line, NULL);
	person_await(p, "web: instance-start: ");
	person_await(p, "\r\033[K");
	stage_write("go", "");
	ck_assert_int_eq(person_leave(p), 0);
	ck_assert_ptr_null(strchr(person_saw(p), ']')); /* the end of the bar, in a line of 80 columns */
	ck_assert_ptr_nonnull(strchr(person_saw(p), '~'));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("drover, long commands");
	TCase *tc = tcase_create("work");

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, set_up, stage_clear);
	tcase_add_test(tc, test_fast);
	tcase_add_test(tc, test_progress);
	tcase_add_test(tc, test_cancel);
	tcase_add_test(tc, test_too_late);
	tcase_add_test(tc, test_leave);
	tcase_add_test(tc, test_script_gets_the_reply);
	tcase_add_test(tc, test_daemon_ends);
	tcase_add_test(tc, test_narrow);
	suite_add_tcase(s, tc);
	return s;
}

RIG_MAIN(suite)
