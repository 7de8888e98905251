/* SPDX-License-Identifier: BSD-2-Clause */
/* A person, `drover console` and a real guest's shell. */
#include "guest.h"
#include "person.h"

#include <unistd.h>

static struct rig *rig;

static void boot(void)
{
	struct client *c;

	rig = rig_new("droverd");
	rig_start(rig);
	c = client_new(rig);
	guest_define(c, "web1", "t.shell=1", "");
	guest_start(c, "web1");
	guest_await(rig, "web1", "/ # ", 1);
	client_free(c);
}

static void end(void)
{
	struct client *c = client_new(rig);

	json_object_put(client_ok(c, "instance-stop", "{'instance': 'web1'}"));
	client_free(c);
	rig_stop(rig);
	rig_free(rig);
}

static struct person *attach(const char *option)
{
	struct person *p = person_come(rig, "drover", "console", "web1", option, NULL);

	person_await(p, "^] leaves");
	return p;
}

START_TEST(test_come_and_go)
{
	_cleanup_person_ struct person *p = attach(NULL);

	person_type(p, "echo typed-$((6 * 7))\n");
	person_await(p, "typed-42");
	ck_assert(!person_terminal_is_sane(p));     /* raw */
	person_type(p, "\3\necho on-$((6 * 7))\n"); /* ^C is the guest's */
	person_await(p, "on-42");
	person_type(p, "\x1d");
	person_await(p, "Left web1's console");
	ck_assert_int_eq(person_leave(p), 0);
	ck_assert(person_terminal_is_sane(p));
	ck_assert_ptr_null(strstr(person_saw(p), "\033]")); /* no title of ours */
}
END_TEST

START_TEST(test_one_writer)
{
	_cleanup_person_ struct person *first = attach(NULL), *reader = attach("--ro"), *thief = NULL;
	_cleanup_free_ char *err = NULL;

	person_type(first, "echo one-$((6 * 7))\n");
	person_await(first, "one-42");
	person_await(reader, "one-42");
	ck_assert_int_eq(person_script(rig, "", NULL, &err, "drover", "console", "web1", NULL), 6);
	ck_assert_msg(strstr(err, "hint: 'drover console web1 --take' takes it over, --ro only watches"), "%s", err);
	thief = attach("--take");
	person_type(thief, "echo two-$((6 * 7))\n");
	person_await(thief, "two-42");
	person_await(first, "two-42");
	person_type(thief, "\x1d");
	ck_assert_int_eq(person_leave(thief), 0);
	person_type(first, "\x1d");
	ck_assert_int_eq(person_leave(first), 0);
	person_type(reader, "\x1d");
	ck_assert_int_eq(person_leave(reader), 0);
}
END_TEST

/* What a guest prints reaches a terminal as it is on the console only. */
START_TEST(test_log)
{
	_cleanup_person_ struct person *p = NULL, *typist = NULL, *whole = NULL;

	p = person_come(rig, "drover", "log", "web1", "--which", "console", "--follow", NULL);
	person_await(p, "/ # "); /* from the backlog */
	typist = attach(NULL);
	person_type(typist, "printf '\\033]0;ti''tle\\007\\033[2Jevil-%d\\n' $((6 * 7))\n");
	person_await(typist, "\033]0;title\a\033[2Jevil-42");
	person_await(p, "\\x1b]0;title\\x07\\x1b[2Jevil-42");
	person_type(typist, "\x1d");
	person_leave(typist);
	person_type(p, "\3");
	ck_assert_int_eq(person_leave(p), 128 + 2);
	ck_assert_ptr_null(strchr(person_saw(p), '\a'));
	ck_assert_ptr_null(strstr(person_saw(p), "\033]"));
	whole = person_come(rig, "drover", "console", "web1", "--log", NULL);
	ck_assert_int_eq(person_leave(whole), 0);
	ck_assert_ptr_nonnull(strstr(person_saw(whole), "\\x1b]0;title\\x07\\x1b[2Jevil-42\n"));
	ck_assert_ptr_null(strchr(person_saw(whole), '\033'));
}
END_TEST

/* An end is noticed when it is noticed. */
static void everybody_is_gone(void)
{
	struct client *c = client_new(rig);

	for (int tries = 0;; tries++) {
		_cleanup_json_ struct json_object *o = guest_query(c, "web1");

		if (int_at(o, "consoles.0.readers") == 0)
			break;
		ck_assert_int_lt(tries, RIG_DEADLINE_MS / 5);
		usleep(5000);
	}
	client_free(c);
}

static Suite *suite(void)
{
	Suite *s = suite_create("drover console");
	TCase *tc = tcase_create("console");

	tcase_set_timeout(tc, 300);
	tcase_add_unchecked_fixture(tc, boot, end);
	tcase_add_checked_fixture(tc, NULL, everybody_is_gone);
	tcase_add_test(tc, test_come_and_go);
	tcase_add_test(tc, test_one_writer);
	tcase_add_test(tc, test_log);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return guest_main(suite);
}
