/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/uids.h"

#include <check.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* No process of any host's runs under these. */
enum { FIRST = 2147483000, LAST = FIRST + 199 };

static uid_t claim(struct uid_pool *p)
{
	uid_t uid = 0;

	ck_assert(uid_pool_claim(p, &uid, NULL));
	return uid;
}

START_TEST(test_lowest)
{
	struct uid_pool *p = uid_pool_new(FIRST, LAST, 0, NULL);

	for (uid_t i = FIRST; i < FIRST + 150; i++)
		ck_assert_uint_eq(claim(p), i);
	uid_pool_release(p, FIRST + 70);
	uid_pool_release(p, FIRST + 3);
	uid_pool_release(p, FIRST + 3);
	ck_assert_uint_eq(claim(p), FIRST + 3);
	ck_assert_uint_eq(claim(p), FIRST + 70);
	ck_assert_uint_eq(claim(p), FIRST + 150);
	uid_pool_free(p);
}
END_TEST

/* From where the tag says, round to the first. */
START_TEST(test_tag)
{
	struct uid_pool *p = uid_pool_new(FIRST, LAST, 200 * 7 + 198, NULL);

	ck_assert_uint_eq(claim(p), LAST - 1);
	ck_assert_uint_eq(claim(p), LAST);
	ck_assert_uint_eq(claim(p), FIRST);
	uid_pool_free(p);
}
END_TEST

START_TEST(test_full)
{
	struct uid_pool *p = uid_pool_new(FIRST, FIRST + 2, 5, NULL);
	struct err *e = NULL;
	uid_t uid = 7;

	for (int i = 0; i < 3; i++)
		claim(p);
	ck_assert(!uid_pool_claim(p, &uid, &e));
	ck_assert_int_eq(e->class, ERR_NO_SLOT);
	ck_assert_str_eq(e->desc, "all uids from 2147483000 to 2147483002 are in use");
	ck_assert_uint_eq(uid, 7);
	err_free(e);
	uid_pool_release(p, FIRST + 1);
	ck_assert_uint_eq(claim(p), FIRST + 1);
	uid_pool_free(p);
}
END_TEST

START_TEST(test_given)
{
	struct uid_pool *p = uid_pool_new(FIRST, LAST, 0, NULL);

	ck_assert(uid_pool_claim_given(p, FIRST));
	ck_assert(!uid_pool_claim_given(p, FIRST));
	ck_assert_uint_eq(claim(p), FIRST + 1);
	ck_assert(!uid_pool_claim_given(p, FIRST + 1));
	ck_assert(uid_pool_claim_given(p, LAST));
	uid_pool_release(p, LAST);
	ck_assert(uid_pool_claim_given(p, LAST));
	/* outside: nobody's business */
	for (int i = 0; i < 2; i++) {
		ck_assert(uid_pool_claim_given(p, FIRST - 1));
		ck_assert(uid_pool_claim_given(p, LAST + 1));
		ck_assert(uid_pool_claim_given(p, 0));
	}
	uid_pool_release(p, LAST + 1);
	uid_pool_free(p);
}
END_TEST

/* Another daemon's, or one of ours that is not adopted yet. */
START_TEST(test_process_of_that_uid)
{
	struct uid_pool *p = uid_pool_new(FIRST, LAST, 0, NULL);
	int told[2];
	pid_t pid;
	char c;

	if (geteuid() != 0) {
		uid_pool_free(p);
		return;
	}
	ck_assert_int_eq(pipe(told), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (setresuid(FIRST, FIRST, FIRST) == 0 && write(told[1], "x", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	close(told[1]);
	ck_assert_int_eq(read(told[0], &c, 1), 1);
	close(told[0]);
	ck_assert_uint_eq(claim(p), FIRST + 1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ck_assert_uint_eq(claim(p), FIRST);
	uid_pool_free(p);
}
END_TEST

static const struct {
	uid_t first, last;
} no_ranges[] = { { 0, 5 }, { 5, 4 }, { 4294967290, 4294967295 }, { 1, 4294967294 } };

START_TEST(test_no_range)
{
	struct err *e = NULL;

	ck_assert_ptr_null(uid_pool_new(no_ranges[_i].first, no_ranges[_i].last, 0, &e));
	ck_assert_int_eq(e->class, ERR_INVALID_PARAMETER);
	ck_assert_str_eq(json_object_get_string(json_object_object_get(e->extra, "parameter")), "uids");
	err_free(e);
	ck_assert_ptr_null(uid_pool_free(NULL));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("uids");
	TCase *tc = tcase_create("uids");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_test(tc, test_lowest);
	tcase_add_test(tc, test_tag);
	tcase_add_test(tc, test_full);
	tcase_add_test(tc, test_given);
	tcase_add_test(tc, test_process_of_that_uid);
	tcase_add_loop_test(tc, test_no_range, 0, ARRAY_SIZE(no_ranges));
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
