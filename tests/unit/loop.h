/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For the tests of what runs on a loop: the loop, a deadline for what is awaited, a clock that the
 * test moves, what was logged, and at the end a look at what was left open. Included once by a program.
 */
#ifndef DROVER_TESTS_UNIT_LOOP_H
#define DROVER_TESTS_UNIT_LOOP_H

#include "base/log.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

enum { LOOP_DEADLINE_MS = 120000, LOOP_TEST_S = 300 };

static uv_loop_t loop;
static uv_timer_t loop_deadline;
static int loop_fds;      /* open before the test */
static int loop_log = -1; /* what is written to stderr, if that is wanted */
static int loop_stderr = -1;
static long loop_skew; /* milliseconds that the clock of the loop is ahead */
static bool loop_runs;
static struct timespec loop_stopped; /* where that clock stands; none: it goes */

/* Stands in for libc's, for libuv (and not for check, which measures): time passes when a test says so. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
	int rc = (int)syscall(SYS_clock_gettime, id, ts);

	if (!loop_runs)
		return rc;
	if (loop_stopped.tv_sec && id != CLOCK_REALTIME)
		*ts = loop_stopped;
	ts->tv_sec += loop_skew / 1000;
	ts->tv_nsec += loop_skew % 1000 * 1000000;
	if (ts->tv_nsec >= 1000000000) {
		ts->tv_sec++;
		ts->tv_nsec -= 1000000000;
	}
	return rc;
}

static inline int loop_count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static inline void loop_open(void)
{
	uv_loop_t warm_up; /* libuv opens something of its own for good */

	uv_loop_init(&warm_up);
	uv_loop_close(&warm_up);
	loop_stopped = (struct timespec){ 0 };
	loop_fds = loop_count_fds();
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	uv_timer_init(&loop, &loop_deadline);
}

static inline int loop_run(uv_run_mode mode)
{
	int rc;

	loop_runs = true;
	rc = uv_run(&loop, mode);
	loop_runs = false;
	return rc;
}

/* What ends by itself may; then nothing must be left. */
static inline void loop_end(void)
{
	uv_close((uv_handle_t *)&loop_deadline, NULL);
	while (loop_run(UV_RUN_DEFAULT))
		;
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	if (loop_log >= 0) {
		dup2(loop_stderr, STDERR_FILENO);
		loop_stderr = fd_close(loop_stderr);
		loop_log = fd_close(loop_log);
	}
	ck_assert_int_eq(loop_count_fds(), loop_fds);
}

/* From here on what is logged is kept. */
static inline void loop_keep_log(void)
{
	loop_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	loop_log = memfd_create("log", MFD_CLOEXEC);
	ck_assert_int_ge(dup2(loop_log, STDERR_FILENO), 0);
}

/* How often TEXT was logged. */
static inline int loop_logged(const char *text)
{
	off_t size = lseek(loop_log, 0, SEEK_END);
	_cleanup_free_ char *log = xcalloc((size_t)size + 1, 1);
	int n = 0;

	ck_assert_int_eq(pread(loop_log, log, (size_t)size, 0), size);
	for (char *p = log; (p = strstr(p, text)); p++)
		n++;
	return n;
}

static inline void loop_on_deadline(uv_timer_t *timer)
{
	ck_abort_msg("still waiting");
}

/* What is due now, without waiting. */
static inline void loop_poll(void)
{
	loop_run(UV_RUN_NOWAIT);
}

/* Waits for something to happen. */
static inline void loop_turn(void)
{
	uv_timer_start(&loop_deadline, loop_on_deadline, LOOP_DEADLINE_MS, 0);
	loop_run(UV_RUN_ONCE);
	uv_timer_stop(&loop_deadline);
}

/* A timer that is due would be followed by a sleep, hence the poll. */
#define LOOP_UNTIL(condition)                \
	do {                                 \
		while (!(condition)) {       \
			loop_poll();         \
			if (!(condition))    \
				loop_turn(); \
		}                            \
	} while (0)

/* Nothing more comes of itself. */
static inline void loop_quiet(void)
{
	for (int i = 0; i < 20; i++)
		loop_poll();
}

static inline void loop_pass(long ms)
{
	loop_skew += ms;
	loop_quiet(); /* also: the loop's idea of now, from which timers count */
}

/* From here on time passes when the test says so, only then: for what ends within a moment that a busy machine may take. */
static inline void loop_stop_clock(void)
{
	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &loop_stopped);
}

static inline int loop_main(const char *name, void (*add)(TCase *tc), void (*setup)(void), void (*teardown)(void))
{
	Suite *suite = suite_create(name);
	TCase *tc = tcase_create(name);
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, tc);
	tcase_set_timeout(tc, LOOP_TEST_S);
	tcase_add_checked_fixture(tc, setup, teardown);
	add(tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
