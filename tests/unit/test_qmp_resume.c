/* SPDX-License-Identifier: BSD-2-Clause */
/* A connection that one client leaves to the next. */
#include "qmp_world.h"

#include <unistd.h>

#define ALREADY                                                                                                  \
	"\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"Capabilities negotiation is already complete, " \
	"command "                                                                                               \
	"ignored\"}"

/* The first client ends, and another one goes on with its socket. */
static void hand_over(void)
{
	int fd = dup(qmp_settled_fd(w.main.q));

	ck_assert_int_ge(fd, 0);
	w.main.q = qmp_free(w.main.q);
	loop_quiet();
	w.main.q = qmp_new(&loop, -1, false, &client_ops, &w.main);
	ck_assert(qmp_is_lost(w.main.q));
	call("B");
	qmp_resume(w.main.q, fd);
	ck_assert(!qmp_is_ready(w.main.q));
}

/* What QEMU says before it has answered the new client: a reply to the old one, with the id of what the new one is about to ask,
 * is not taken for its own, an event is told of. */
START_TEST(test_resume)
{
	ready();
	call("A");
	expect_heard(&w.main.s, 2);
	hand_over();
	expect_heard(&w.main.s, 3);
	ck_assert_str_eq(heard(&w.main.s, 2), "qmp_capabilities");
	ck_assert_int_ne(id_of(&w.main.s, 2), id_of(&w.main.s, 0));
	answer_with(&w.main.s, 1, "\"return\": {\"late\": 1}");
	say(&w.main.s, "{\"return\": {}, \"id\": 1}\r\n{\"return\": {}, \"id\": 2}\r\n");
	emit(&w.main.s, "STOP", "{}");
	expect("event STOP");
	expect_heard(&w.main.s, 3);
	answer_with(&w.main.s, 2, ALREADY);
	expect("ready");
	expect_heard(&w.main.s, 4);
	ck_assert_str_eq(heard(&w.main.s, 3), "B");
	answer(&w.main.s, 3);
	expect("B {}");
}
END_TEST

/* One connection is handed on again and again. */
START_TEST(test_resume_twice)
{
	ready();
	for (int i = 0; i < 3; i++) {
		int last = w.main.s.n;

		hand_over();
		expect_heard(&w.main.s, last + 1);
		for (int j = 0; j < last; j++)
			ck_assert_int_ne(id_of(&w.main.s, j), id_of(&w.main.s, last));
		answer_with(&w.main.s, last, ALREADY);
		expect("ready");
		answer(&w.main.s, last + 1);
		expect("B {}");
	}
}
END_TEST

/* One that is no good after all is lost like any other: then it is greeted and negotiates. */
START_TEST(test_useless)
{
	ready();
	hand_over();
	expect_heard(&w.main.s, 2);
	say(&w.main.s, "}garbage\r\n");
	ck_assert(qmp_is_gone(w.main.q)); /* this owner does not connect anew */
	expect("B! QemuError, gone");
}
END_TEST

START_TEST(test_settled)
{
	struct qmp *q = w.main.q;

	ck_assert_int_eq(qmp_settled_fd(q), -1); /* not negotiated */
	ready();
	ck_assert_int_ge(qmp_settled_fd(q), 0);

	say(&w.main.s, "{\"event\": \"STOP\", \"data\": {}, ");
	ck_assert_int_eq(qmp_settled_fd(q), -1); /* half a message */
	say(&w.main.s, "\"timestamp\": {\"seconds\": 1, \"microseconds\": 0}}\r\n");
	expect("event STOP");
	ck_assert_int_ge(qmp_settled_fd(q), 0);

	call_fd("F");
	expect_heard(&w.main.s, 2);
	ck_assert_int_eq(qmp_settled_fd(q), -1); /* a descriptor whose reply is awaited */
	answer(&w.main.s, 1);
	expect("F {}");
	ck_assert_int_ge(qmp_settled_fd(q), 0);

	qmp_close(q);
	ck_assert_int_eq(qmp_settled_fd(q), -1);
}
END_TEST

/* QEMU does not read: what was sent is not out. */
START_TEST(test_half_sent)
{
	_cleanup_free_ char *name = xcalloc(1, (4 << 20) + 1);

	ready();
	uv_poll_stop(&w.main.s.poll);
	memset(name, 'x', 4 << 20);
	qmp_send(w.main.q, name, NULL, -1, NULL, NULL);
	ck_assert_int_eq(qmp_settled_fd(w.main.q), -1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("qmp resume");
	TCase *tc = tcase_create("resume");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_resume);
	tcase_add_test(tc, test_resume_twice);
	tcase_add_test(tc, test_useless);
	tcase_add_test(tc, test_settled);
	tcase_add_test(tc, test_half_sent);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
