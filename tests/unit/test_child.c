/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The children are this program again, called with --helper. One that lasts dies with the test: by a signal,
 * or because it waits for the end of file on descriptor 3.
 */
#include "base/child.h"

#include "loop.h"

#include <errno.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

enum { LIMIT_MS = 3600 * 1000, FIRST = 3, TELL = 4 };

#define SELF "/proc/self/exe"

static struct world {
	struct op *op;
	struct child *child;
	bool ended;
	int status, signal;
	char *out, *err_out;

	struct err *err;
	bool done;
	const char *const *argv;
	enum verdict (*then)(struct op *op, const char *out);
	bool in_undo, in_probe;
	char *seen;
} w;

/* Stands in for libc's, to see whom libuv kills. */
static int kills;
static pid_t killed;
int kill(pid_t pid, int sig)
{
	kills++;
	killed = pid;
	return (int)syscall(SYS_kill, pid, sig);
}

static bool is_reaped(pid_t pid)
{
	return syscall(SYS_kill, pid, 0) < 0 && errno == ESRCH;
}

/* ---- the helper ---- */

static void wait_for_end_of_file(int fd)
{
	char c;

	while (read(fd, &c, 1) > 0)
		;
}

static void tell(int fd)
{
	if (write(fd, "x", 1) != 1)
		_exit(99);
}

static void describe_fd(int fd)
{
	char text[64] = "";
	struct stat st;
	ssize_t n;

	fstat(fd, &st);
	if (S_ISCHR(st.st_mode)) {
		printf("%d:%s ", fd, st.st_rdev == makedev(1, 3) ? "null" : "?");
		return;
	}
	n = pread(fd, text, sizeof(text) - 1, 0);
	printf("%d:%s ", fd, n > 0 ? text : "pipe");
}

static int list_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int own = dirfd(dir);

	for (int fd = 0; fd < 100; fd++) {
		if (fd != own && fcntl(fd, F_GETFD) >= 0)
			describe_fd(fd);
	}
	closedir(dir);
	return 0;
}

static int list_signals(void)
{
	char line[256];
	FILE *f = fopen("/proc/self/status", "re");

	while (fgets(line, sizeof(line), f))
		if (str_starts(line, "SigBlk:") || str_starts(line, "SigIgn:"))
			fputs(line, stdout);
	fclose(f);
	return 0;
}

static int flood(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		fputc('a' + (int)(i % 26), stdout);
		fputc('A' + (int)(i % 26), stderr);
	}
	return 0;
}

/* A child of the child keeps the pipes. */
static int hold(int fd)
{
	tell(fd);
	wait_for_end_of_file(fd);
	printf("late");
	return 0;
}

static _Noreturn void sleep_on(void)
{
	for (;;)
		pause();
}

static int let_go(void)
{
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	tell(TELL);
	wait_for_end_of_file(FIRST);
	return 8;
}

static int helper(int argc, char **argv)
{
	const char *mode = argv[0];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (str_eq(mode, "say")) {
		fputs(argv[1], stdout);
		fputs(argv[2], stderr);
		return atoi(argv[3]);
	}
	if (str_eq(mode, "signal"))
		return raise(atoi(argv[1]));
	if (str_eq(mode, "sleep"))
		sleep_on();
	if (str_eq(mode, "hold"))
		return fork() ? 7 : hold(FIRST);
	if (str_eq(mode, "hold-on")) {
		if (fork())
			sleep_on();
		return hold(atoi(argv[1]));
	}
	if (str_eq(mode, "let-go"))
		return let_go();
	if (str_eq(mode, "flood"))
		return flood((size_t)atol(argv[1]));
	if (str_eq(mode, "fds"))
		return list_fds();
	if (str_eq(mode, "signals"))
		return list_signals();
	return 99;
}

#define HELPER(...) ((const char *const[]){ SELF, "--helper", __VA_ARGS__, NULL })

/* ---- around the tests ---- */

static void clear(void)
{
	ck_assert_ptr_null(w.op);
	err_free(w.err);
	free(w.out);
	free(w.err_out);
	free(w.seen);
	memset(&w, 0, sizeof(w));
	kills = 0;
}

static void setup(void)
{
	/* As droverd does it, with what whoever started us left open. */
	close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	loop_open();
	/* what a child leaves behind is ours */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	clear();
}

static void teardown(void)
{
	clear();
	loop_end(); /* which lasts until each child was reaped */
	while (waitpid(-1, NULL, 0) > 0)
		;
	ck_assert_int_eq(errno, ECHILD);
}

static void on_end(const struct child_end *end, void *data)
{
	ck_assert_ptr_eq(data, &w);
	ck_assert(!w.ended);
	w.ended = true;
	w.status = end->status;
	w.signal = end->signal;
	w.out = xstrdup(end->out);
	w.err_out = xstrdup(end->err);
}

static void spawn_with(const char *const *argv, const int *fds, unsigned n)
{
	struct child_spec spec = { .argv = argv, .fds = fds, .n_fds = n, .capture = true, .max = 1000 };
	struct err *e = NULL;

	w.child = child_spawn(&loop, &spec, on_end, &w, &e);
	ck_assert_msg(w.child, "%s", e ? e->desc : "");
	ck_assert(!w.ended);
}

static void spawn(const char *const *argv)
{
	spawn_with(argv, NULL, 0);
}

/* ---- children ---- */

START_TEST(test_status)
{
	spawn(HELPER("say", "out", "err\nor", "3"));
	ck_assert_int_gt(child_pid(w.child), 0);
	LOOP_UNTIL(w.ended);
	ck_assert_int_eq(w.status, 3);
	ck_assert_int_eq(w.signal, 0);
	ck_assert_str_eq(w.out, "out");
	ck_assert_str_eq(w.err_out, "err\nor");
}
END_TEST

START_TEST(test_signal)
{
	spawn(HELPER("signal", "15"));
	LOOP_UNTIL(w.ended);
	ck_assert_int_eq(w.status, -1);
	ck_assert_int_eq(w.signal, SIGTERM);
	ck_assert_str_eq(w.out, "");
	ck_assert_str_eq(w.err_out, "");
}
END_TEST

START_TEST(test_nobody_listens)
{
	struct child_spec spec = { .argv = HELPER("say", "a", "b", "0"), .capture = _i, .max = 10 };

	ck_assert_ptr_nonnull(child_spawn(&loop, &spec, NULL, NULL, NULL));
}
END_TEST

START_TEST(test_not_captured)
{
	struct child_spec spec = { .argv = HELPER("say", "into the void", "", "0") };

	ck_assert_ptr_nonnull(child_spawn(&loop, &spec, on_end, &w, NULL));
	LOOP_UNTIL(w.ended);
	ck_assert_int_eq(w.status, 0);
	ck_assert_str_eq(w.out, "");
}
END_TEST

START_TEST(test_limit_of_output)
{
	spawn(HELPER("flood", "300000"));
	LOOP_UNTIL(w.ended);
	ck_assert_int_eq(w.status, 0);
	ck_assert_uint_eq(strlen(w.out), 1000);
	ck_assert_uint_eq(strlen(w.err_out), 1000);
	for (int i = 0; i < 1000; i++) {
		ck_assert_int_eq(w.out[i], 'a' + i % 26);
		ck_assert_int_eq(w.err_out[i], 'A' + i % 26);
	}
}
END_TEST

/* The child has ended, its pipes are still open. */
START_TEST(test_exit_before_pipes)
{
	int pair[2], fds[4] = { -1, -1, -1 };
	pid_t pid;
	char c;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fds[FIRST] = pair[1];
	spawn_with(HELPER("hold"), fds, 4);
	close(pair[1]);
	pid = child_pid(w.child);
	ck_assert_int_eq(read(pair[0], &c, 1), 1);
	LOOP_UNTIL(is_reaped(pid));
	loop_quiet();
	ck_assert(!w.ended);
	/* its number may be another's by now */
	child_kill(w.child, SIGTERM);
	ck_assert_int_eq(kills, 0);
	close(pair[0]);
	LOOP_UNTIL(w.ended);
	ck_assert_int_eq(w.status, 7);
	ck_assert_str_eq(w.out, "late");
}
END_TEST

START_TEST(test_pipes_before_exit)
{
	int pair[2], told[2], fds[5] = { -1, -1, -1 };
	char c;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(pipe2(told, O_CLOEXEC), 0);
	fds[FIRST] = pair[1];
	fds[TELL] = told[1];
	spawn_with(HELPER("let-go"), fds, 5);
	close(pair[1]);
	close(told[1]);
	ck_assert_int_eq(read(told[0], &c, 1), 1);
	close(told[0]);
	loop_quiet();
	ck_assert(!w.ended);
	close(pair[0]);
	LOOP_UNTIL(w.ended);
	ck_assert_int_eq(w.status, 8);
}
END_TEST

static const struct {
	const char *program;
	enum err_class class;
} missing[] = {
	{ "/nonexistent/program", ERR_NOT_FOUND },
	{ "no-such-program-anywhere", ERR_NOT_FOUND },
	{ "/dev/null", ERR_PERMISSION_DENIED },
	{ "/", ERR_PERMISSION_DENIED },
};

START_TEST(test_missing_program)
{
	const char *argv[] = { missing[_i].program, NULL };
	struct child_spec spec = { .argv = argv, .capture = true, .max = 10 };
	struct err *e = NULL;

	ck_assert_ptr_null(child_spawn(&loop, &spec, on_end, &w, &e));
	ck_assert_int_eq(e->class, missing[_i].class);
	ck_assert_ptr_nonnull(strstr(e->desc, missing[_i].program));
	err_free(e);
	spec.capture = false;
	ck_assert_ptr_null(child_spawn(&loop, &spec, on_end, &w, NULL));
	loop_quiet();
	ck_assert(!w.ended);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* no zombie */
}
END_TEST

START_TEST(test_forget)
{
	pid_t pid;

	spawn(HELPER("say", "a", "b", "0"));
	pid = child_pid(w.child);
	child_forget(w.child);
	LOOP_UNTIL(is_reaped(pid));
	loop_quiet();
	ck_assert(!w.ended);
}
END_TEST

START_TEST(test_kill)
{
	spawn(HELPER("sleep"));
	child_kill(w.child, SIGKILL);
	ck_assert_int_eq(kills, 1);
	LOOP_UNTIL(w.ended);
	ck_assert_int_eq(w.signal, SIGKILL);
}
END_TEST

static int memory_file(const char *text)
{
	int fd = memfd_create(text, MFD_CLOEXEC);

	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	return fd;
}

/* Each at its number, whatever the numbers here, and nothing else. */
START_TEST(test_descriptors)
{
	int a = memory_file("a"), b = memory_file("b"), c = memory_file("c"), d = memory_file("d");
	int lists[][8] = { { a, -1, -1, b, c, d },
			   { -1, -1, -1, d, c, b, a },
			   { -1, -1, -1, a, -1, a, b, -1 },
			   { -1, -1, -1, -1, -1, -1, -1, a } };
	static const char *const expected[] = {
		"0:a 1:pipe 2:pipe 3:b 4:c 5:d ",
		"0:null 1:pipe 2:pipe 3:d 4:c 5:b 6:a ",
		"0:null 1:pipe 2:pipe 3:a 5:a 6:b ",
		"0:null 1:pipe 2:pipe 7:a ",
	};
	static const unsigned counts[] = { 6, 7, 8, 8 };

	for (int i = 0; i < 4; i++) {
		spawn_with(HELPER("fds"), lists[i], counts[i]);
		LOOP_UNTIL(w.ended);
		ck_assert_str_eq(w.out, expected[i]);
		clear();
	}
	close(a);
	close(b);
	close(c);
	ck_assert_int_eq(close(d), 0);
}
END_TEST

/* The numbers that the child shall see are those of other descriptors here. */
START_TEST(test_swapped_descriptors)
{
	int fds[16], source[16];

	for (int i = 3; i < 16; i++) {
		char text[] = { (char)('a' + i), '\0' };

		fds[i] = memory_file(text);
	}
	for (int i = 0; i < 16; i++)
		source[i] = i < 3 ? -1 : fds[18 - i];
	spawn_with(HELPER("fds"), source, 16);
	LOOP_UNTIL(w.ended);
	ck_assert_str_eq(w.out, "0:null 1:pipe 2:pipe 3:p 4:o 5:n 6:m 7:l 8:k 9:j 10:i 11:h 12:g 13:f 14:e 15:d ");
	for (int i = 3; i < 16; i++)
		close(fds[i]);
}
END_TEST

START_TEST(test_signals)
{
	sigset_t set;
	const char *p;

	sigfillset(&set);
	sigdelset(&set, SIGCHLD); /* which the loop needs */
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	spawn(HELPER("signals"));
	LOOP_UNTIL(w.ended);
	for (p = w.out; (p = strchr(p, '\t')); p++)
		ck_assert_int_eq(strspn(p + 1, "0"), 16);
	ck_assert_ptr_nonnull(strstr(w.out, "SigIgn"));
	ck_assert_ptr_nonnull(strstr(w.out, "SigBlk"));
}
END_TEST

/* ---- as a wait ---- */

static enum verdict run_argv(struct op *op, void *arg)
{
	char *name = xstrdup(w.argv[0]);
	const char *argv[16] = { name };
	enum verdict v;

	for (int i = 1; w.argv[i]; i++)
		argv[i] = w.argv[i];
	v = child_run(op, argv, ERR_STORAGE, w.then);
	free(name); /* it is needed until here only */
	return v;
}

static enum verdict do_fail(struct op *op, void *arg)
{
	return op_fail(op, ERR_NETWORK, "the first error");
}

static enum verdict do_nothing(struct op *op, void *arg)
{
	return OP_DONE;
}

static const struct step forward[] = { { "run it", run_argv, .timeout_ms = LIMIT_MS } };
static const struct step backward[] = { { "prepare", do_nothing, run_argv, .timeout_ms = LIMIT_MS },
					{ "fail", do_fail } };
static const struct step probing[] = { { "prepare" },
				       { "commit", do_fail, NULL, run_argv, .timeout_ms = LIMIT_MS, .commit = true } };

static bool on_begin(struct op *op)
{
	const struct step *plan = w.in_undo ? backward : w.in_probe ? probing : forward;

	op_add(op, &plan[0], NULL);
	if (plan != forward)
		op_add(op, &plan[1], NULL);
	return true;
}

static void on_done(struct op *op)
{
	if (kills)
		ck_assert(is_reaped(killed));
	w.err = TAKE_PTR(op->err);
	w.done = true;
	w.op = NULL;
	op_free(op);
}

static void run(const char *const *argv)
{
	static const struct op_ops ops = { .begin = on_begin, .done = on_done };

	w.argv = argv;
	w.op = op_new(&loop, &ops, NULL);
	op_start(w.op);
}

static void assert_failed(const char *desc)
{
	LOOP_UNTIL(w.done);
	ck_assert_ptr_nonnull(w.err);
	ck_assert_int_eq(w.err->class, ERR_STORAGE);
	ck_assert_str_eq(w.err->desc, desc);
}

static enum verdict see(struct op *op, const char *out)
{
	w.seen = xstrdup(out);
	return OP_DONE;
}

static enum verdict dislike(struct op *op, const char *out)
{
	return op_fail(op, ERR_STORAGE, "'%s' will not do", out);
}

START_TEST(test_run)
{
	w.then = see;
	run(HELPER("say", "some\noutput", "and\nwarnings", "0"));
	ck_assert(!w.done);
	LOOP_UNTIL(w.done);
	ck_assert_ptr_null(w.err);
	ck_assert_str_eq(w.seen, "some\noutput");
	clear();
	run(HELPER("say", "", "", "0"));
	LOOP_UNTIL(w.done);
	ck_assert_ptr_null(w.err);
}
END_TEST

START_TEST(test_run_fails)
{
	w.then = see;
	run(HELPER("say", "out", "it is broken\nand more\n", "2"));
	assert_failed("'" SELF "' failed with status 2: it is broken");
	ck_assert_ptr_null(w.seen);
	clear();
	run(HELPER("say", "out", "", "1"));
	assert_failed("'" SELF "' failed with status 1");
	clear();
	run(HELPER("signal", "15"));
	assert_failed("'" SELF "' was ended by signal 15");
}
END_TEST

START_TEST(test_run_disliked)
{
	w.then = dislike;
	run(HELPER("say", "junk", "", "0"));
	assert_failed("'junk' will not do");
}
END_TEST

/* What becomes of it on the way back, or what a probe says, does not replace the error. */
START_TEST(test_run_disliked_elsewhere)
{
	w.in_undo = _i;
	w.in_probe = !_i;
	w.then = dislike;
	loop_keep_log();
	run(HELPER("say", "junk", "", "0"));
	LOOP_UNTIL(w.done);
	ck_assert_ptr_nonnull(w.err);
	ck_assert_str_eq(w.err->desc, "the first error");
	ck_assert_int_eq(loop_logged("undo of 'prepare': 'junk' will not do"), _i);
}
END_TEST

START_TEST(test_run_missing)
{
	run((const char *const[]){ "/nonexistent/program", NULL });
	ck_assert(w.done);
	ck_assert_int_eq(w.err->class, ERR_NOT_FOUND);
}
END_TEST

START_TEST(test_run_cancelled)
{
	run(HELPER("sleep"));
	loop_quiet();
	ck_assert_int_eq(kills, 0);
	ck_assert(op_cancel(w.op, NULL));
	ck_assert(op_cancel(w.op, NULL));
	ck_assert_int_eq(kills, 1);
	ck_assert(!w.done); /* it may still be at work */
	LOOP_UNTIL(w.done);
	ck_assert_int_eq(w.err->class, ERR_CANCELLED);
}
END_TEST

START_TEST(test_run_expires)
{
	run(HELPER("sleep"));
	loop_pass(LIMIT_MS / 2);
	ck_assert_int_eq(kills, 0);
	loop_skew += LIMIT_MS;
	LOOP_UNTIL(w.done);
	ck_assert_int_eq(kills, 1);
	ck_assert_int_eq(w.err->class, ERR_TIMEOUT);
	ck_assert_str_eq(w.err->desc, "'" SELF "' did not end within 3600.0 s");
}
END_TEST

/* It is dead, but what it started holds on. */
START_TEST(test_run_expires_and_stays)
{
	char number[16], c;
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fcntl(pair[1], F_SETFD, 0); /* inherited */
	snprintf(number, sizeof(number), "%d", pair[1]);
	run(HELPER("hold-on", number));
	close(pair[1]);
	ck_assert_int_eq(read(pair[0], &c, 1), 1);
	loop_skew += LIMIT_MS + 1;
	LOOP_UNTIL(kills);
	LOOP_UNTIL(is_reaped(killed));
	loop_pass(LIMIT_MS);
	ck_assert(!w.done && w.op->stalled);
	ck_assert_int_eq(kills, 1);
	close(pair[0]);
	LOOP_UNTIL(w.done);
	ck_assert_int_eq(w.err->class, ERR_TIMEOUT);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, test_status);
	tcase_add_test(tc, test_signal);
	tcase_add_loop_test(tc, test_nobody_listens, 0, 2);
	tcase_add_test(tc, test_not_captured);
	tcase_add_test(tc, test_limit_of_output);
	tcase_add_test(tc, test_exit_before_pipes);
	tcase_add_test(tc, test_pipes_before_exit);
	tcase_add_loop_test(tc, test_missing_program, 0, ARRAY_SIZE(missing));
	tcase_add_test(tc, test_forget);
	tcase_add_test(tc, test_kill);
	tcase_add_test(tc, test_descriptors);
	tcase_add_test(tc, test_swapped_descriptors);
	tcase_add_test(tc, test_signals);
	tcase_add_test(tc, test_run);
	tcase_add_test(tc, test_run_fails);
	tcase_add_test(tc, test_run_disliked);
	tcase_add_loop_test(tc, test_run_disliked_elsewhere, 0, 2);
	tcase_add_test(tc, test_run_missing);
	tcase_add_test(tc, test_run_cancelled);
	tcase_add_test(tc, test_run_expires);
	tcase_add_test(tc, test_run_expires_and_stays);
}

int main(int argc, char **argv)
{
	if (argc > 2 && str_eq(argv[1], "--helper"))
		return helper(argc - 2, argv + 2);
	return loop_main("child", add, setup, teardown);
}
