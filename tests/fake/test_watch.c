/* SPDX-License-Identifier: BSD-2-Clause */
/* The verbs that stay: wait, --watch, --follow, as a person and a script see them. */
#include "person.h"
#include "stage.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static void set_up(void)
{
	stage_set("%s", "");
}

/* ---- wait ---- */

START_TEST(test_wait)
{
	_cleanup_person_ struct person *p = NULL;
	_cleanup_free_ char *out = NULL;

	stage_define("web", "%s", "");
	/* it waits for what is so already */
	ck_assert_int_eq(person_script(stage.r, NULL, &out, NULL, "drover", "wait", "web", "shutoff", NULL), 0);
	ck_assert_str_eq(out, "web: shutoff\n");
	p = person_come(stage.r, "drover", "wait", "web", "running", "blocked", NULL);
	stage_start("web");
	person_await(p, "web: running\n");
	ck_assert_int_eq(person_leave(p), 0);
}
END_TEST

/* Of several changes at once none is overlooked, and the wait goes on over those that are not meant. */
START_TEST(test_wait_on)
{
	_cleanup_person_ struct person *p = NULL;

	stage_define("web", "%s", "");
	stage_start("web");
	p = person_come(stage.r, "drover", "wait", "web", "shutoff", NULL);
	json_object_put(client_ok(stage.c, "instance-pause", "{'instance': 'web'}"));
	json_object_put(client_ok(stage.c, "instance-resume", "{'instance': 'web'}"));
	json_object_put(client_ok(stage.c, "instance-stop", "{'instance': 'web'}"));
	ck_assert_int_eq(person_leave(p), 0);
	ck_assert_str_eq(person_saw(p), "web: shutoff\n");
}
END_TEST

static const struct {
	const char *words[5];
	int status;
	const char *says, *hint;
} refusals[] = {
	{ { "web", "runing" }, 2, "no state 'runing'", "did you mean 'running'?" },
	{ { "web", "happy" }, 2, "no state 'happy'", "drover help states" },
	{ { "nobody", "running" }, 3, "'nobody'", "drover list" },
	{ { "web", "running", "--timeout", "0.2" }, 11, "'web' is shutoff still", NULL },
};

START_TEST(test_wait_refused)
{
	const char *const *w = refusals[_i].words;
	_cleanup_free_ char *err = NULL;

	stage_define("web", "%s", "");
	ck_assert_int_eq(person_script(stage.r, NULL, NULL, &err, "drover", "wait", w[0], w[1], w[2], w[3], NULL),
			 refusals[_i].status);
	ck_assert_msg(strstr(err, refusals[_i].says), "%s", err);
	ck_assert_msg(!refusals[_i].hint || strstr(err, refusals[_i].hint), "%s", err);
}
END_TEST

/* Its instance goes while it is waited for. */
START_TEST(test_wait_for_nothing)
{
	_cleanup_person_ struct person *p = NULL, *list = NULL;

	stage_define("web", "%s", "");
	p = person_come(stage.r, "drover", "wait", "web", "running", NULL);
	/* a second one has been answered: so has, as a rule, the first */
	list = person_come(stage.r, "drover", "list", NULL);
	ck_assert_int_eq(person_leave(list), 0);
	json_object_put(client_ok(stage.c, "instance-undefine", "{'instance': 'web'}"));
	ck_assert_int_eq(person_leave(p), 3);
}
END_TEST

START_TEST(test_wait_daemon_ends)
{
	_cleanup_person_ struct person *p = NULL;

	stage_define("web", "%s", "");
	p = person_come(stage.r, "drover", "events", NULL); /* sees that it listens */
	for (int i = 0; !strstr(person_saw(p), "INSTANCE_"); i++) {
		stage_define(i % 2 ? "one" : "two", "fake.say=%d", i);
		usleep(20000);
		person_peek(p);
	}
	rig_kill(stage.r);
	ck_assert_int_eq(person_leave(p), 19);
}
END_TEST

/* ---- --watch ---- */

START_TEST(test_list_is_drawn_again)
{
	_cleanup_person_ struct person *p = NULL;

	stage_define("web", "%s", "");
	p = person_come(stage.r, "drover", "list", "--watch", NULL);
	person_await(p, "shutoff");
	stage_start("web");
	person_await(p, "\033[H\033[J"); /* over the old one */
	person_await(p, "running");
	person_type(p, "\3");
	ck_assert_int_eq(person_leave(p), 128 + 2);
	ck_assert_ptr_null(strstr(person_saw(p), "\033]")); /* no title */
}
END_TEST

/* A script gets one table behind the other, and nothing for terminals. */
START_TEST(test_list_for_scripts)
{
	_cleanup_free_ char *program = rig_program("drover");
	_cleanup_person_ struct person *p = NULL;

	stage_define("web", "%s", "");
	p = person_come(stage.r, "sh", "-c", "$0 list --watch --json | cat", program, NULL);
	person_await(p, "\"state\":\"shutoff\"");
	stage_start("web");
	person_await(p, "\"state\":\"running\"");
	ck_assert_ptr_null(strchr(person_saw(p), '\033'));
}
END_TEST

/* Who does not read any more ends it, also where nothing happens. */
START_TEST(test_unread)
{
	_cleanup_free_ char *program = rig_program("drover");
	_cleanup_person_ struct person *p = NULL;

	p = person_come(stage.r, "sh", "-c", "$0 list --watch --json | head -n 1; echo gone", program, NULL);
	person_await(p, "[]\ngone");
	ck_assert_int_eq(person_leave(p), 0);
}
END_TEST

START_TEST(test_stats_again)
{
	_cleanup_person_ struct person *p = NULL;

	stage_define("web", "%s", "");
	stage_start("web");
	p = person_come(stage.r, "drover", "stats", "--watch", "--interval", "0.1", NULL);
	for (int i = 0; i < 3; i++) {
		person_await(p, "\033[H\033[J");
		person_await(p, "web");
	}
	person_type(p, "\3");
	ck_assert_int_eq(person_leave(p), 128 + 2);
}
END_TEST

/* ---- --follow ---- */

/* As if QEMU had said it. */
static void say(const char *text)
{
	_cleanup_free_ char *path = xasprintf("%s/log/web.log", stage.r->root);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

START_TEST(test_follow)
{
	_cleanup_person_ struct person *p = NULL;

	stage_define("web", "fake.say=%s", "first_words");
	stage_start("web");
	p = person_come(stage.r, "drover", "log", "web", "--follow", NULL);
	person_await(p, "first words");
	say("other \033[31mwords\n");
	person_await(p, "other \\x1b[31mwords");
	person_type(p, "\3");
	ck_assert_int_eq(person_leave(p), 128 + 2);
	/* nothing twice */
	ck_assert_ptr_null(strstr(strstr(person_saw(p), "first words") + 1, "first words"));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("drover wait, --watch, --follow");
	TCase *tc = tcase_create("watch");

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, set_up, stage_clear);
	tcase_add_test(tc, test_wait);
	tcase_add_test(tc, test_wait_on);
	tcase_add_loop_test(tc, test_wait_refused, 0, ARRAY_SIZE(refusals));
	tcase_add_test(tc, test_wait_for_nothing);
	tcase_add_test(tc, test_wait_daemon_ends);
	tcase_add_test(tc, test_list_is_drawn_again);
	tcase_add_test(tc, test_list_for_scripts);
	tcase_add_test(tc, test_unread);
	tcase_add_test(tc, test_stats_again);
	tcase_add_test(tc, test_follow);
	suite_add_tcase(s, tc);
	return s;
}

RIG_MAIN(suite)
