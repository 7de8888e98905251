/* SPDX-License-Identifier: BSD-2-Clause */
/* `drover trace`: a line for each message, which fits the terminal and cannot do anything to it. */
#include "cli/text.h"
#include "cli/verbs.h"

#include <check.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define GREETING "{\"QMP\":{\"version\":{},\"capabilities\":[]}}\r\n{\"return\":{},\"id\":1}\r\n"
#define MESSAGE(members) "{\"time\":1700000000.25,\"direction\":" members "}"

static const char replies[] = GREETING "{\"return\":["
	/* clang-format off */
	MESSAGE("\"in\",\"monitor\":1,\"name\":\"QMP\",\"message\":{\"QMP\":{\"version\":7}}") ","
	MESSAGE("\"out\",\"monitor\":1,\"id\":12,\"name\":\"cont\",\"message\":{\"execute\":\"cont\",\"id\":12}") ","
	MESSAGE("\"in\",\"monitor\":1,\"id\":12,\"name\":\"cont\",\"latency\":1.2504,\"message\":{\"return\":{},\"id\":12}") ","
	MESSAGE("\"out\",\"monitor\":2,\"id\":3,\"name\":\"add-fd\",\"descriptor\":true,"
		"\"message\":{\"execute\":\"add-fd\",\"arguments\":{\"a\":\"***\"}}") ","
	MESSAGE("\"in\",\"monitor\":2,\"id\":3,\"name\":\"add-fd\",\"latency\":0.0001,"
		"\"message\":{\"error\":{\"class\":\"DeviceNotFound\",\"desc\":\"none\\u001b[31m\"}}") ","
	MESSAGE("\"in\",\"monitor\":1,\"name\":\"STOP\",\"message\":{\"event\":\"STOP\"}") ","
	MESSAGE("\"in\",\"monitor\":1,\"name\":\"E\",\"message\":{\"event\":\"E\",\"data\":{\"x\":\"012345678901234567890123456\"}}") ","
	MESSAGE("\"in\",\"monitor\":1,\"name\":\"q\\u009b2J\",\"cut\":true,\"message\":\"{\\\"return\\\"\"") ","
	MESSAGE("\"in\",\"monitor\":1,\"message\":[1]") ","
	"7,{\"time\":\"x\",\"direction\":5,\"monitor\":\"y\",\"message\":null}"
	"],\"id\":2}\r\n";
/* clang-format on */

/* What is printed on a screen of WIDTH; the exit status must be 0. The caller's. */
static char *print(unsigned width)
{
	const char *argv[] = { "drover", "trace", "web", "--operation", "#3", "--since", "1.5", NULL };
	_cleanup_close_ int out = memfd_create("out", MFD_CLOEXEC), was = dup(STDOUT_FILENO);
	struct cli cli = { .screen = { .tty = width > 0, .width = width } };
	char asked[1024] = "", *text = xcalloc(8192, 1);
	int fds[2], status;

	ck_assert(args_parse(cli_verbs, 7, (char **)(uintptr_t)argv, &cli.args, NULL));
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ck_assert_int_eq(write(fds[1], replies, strlen(replies)), (ssize_t)strlen(replies));
	cli.client = client_new(fds[0], "/socket", NULL);
	ck_assert_ptr_nonnull(cli.client);
	fflush(stdout);
	ck_assert_int_ge(dup2(out, STDOUT_FILENO), 0);
	status = cli.args.verb->run(&cli);
	fflush(stdout);
	dup2(was, STDOUT_FILENO);
	ck_assert_int_eq(status, 0);
	ck_assert_int_gt(read(fds[1], asked, sizeof(asked) - 1), 0);
	ck_assert_msg(strstr(asked, "\"arguments\":{\"operation\":\"#3\",\"since\":1.5,\"instance\":\"web\"}"), "%s",
		      asked);
	ck_assert_int_gt(pread(out, text, 8191, 0), 0);
	close(fds[1]);
	cli_clear(&cli);
	return text;
}

START_TEST(lines)
{
	static const char *const expected[] = {
		"TIME                     QMP  ID      MS  NAME       MESSAGE",
		"2023-11-14 22:13:20.250  <-1   -       -  QMP        {\"version\":7}",
		"2023-11-14 22:13:20.250  ->1  12       -  cont       -",
		"2023-11-14 22:13:20.250  <-1  12  1250.4  cont       {}",
		"2023-11-14 22:13:20.250  ->2   3       -  add-fd     {\"a\":\"***\"} (and a descriptor)",
		"2023-11-14 22:13:20.250  <-2   3     0.1  add-fd     none\\x1b[31m (DeviceNotFound)",
		"2023-11-14 22:13:20.250  <-1   -       -  STOP       -",
		"2023-11-14 22:13:20.250  <-1   -       -  E          {\"x\":\"012345678901234567890123456\"}",
		"2023-11-14 22:13:20.250  <-1   -       -  q\\u009b2J  {\"return\" (cut)",
		"2023-11-14 22:13:20.250  <-1   -       -  -          [1]",
		NULL,
	};
	_cleanup_free_ char *text = print(0);
	const char *p = text;

	for (size_t i = 0; expected[i]; i++) {
		size_t n = strlen(expected[i]);

		ck_assert_msg(strncmp(p, expected[i], n) == 0 && p[n] == '\n', "'%s' in '%s'", expected[i], p);
		p += n + 1;
	}
}
END_TEST

/* Nothing on the output, a word beside it, and no failure. */
START_TEST(nothing_of_an_operation)
{
	static const char none[] = GREETING "{\"return\":[],\"id\":2}\r\n";
	const char *argv[] = { "drover", "trace", "web", "--operation", "#999", NULL };
	_cleanup_close_ int file = memfd_create("stderr", MFD_CLOEXEC), was = dup(STDERR_FILENO);
	struct cli cli = { 0 };
	char text[256] = "";
	int fds[2], status;

	ck_assert(args_parse(cli_verbs, 5, (char **)(uintptr_t)argv, &cli.args, NULL));
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ck_assert_int_eq(write(fds[1], none, strlen(none)), (ssize_t)strlen(none));
	cli.client = client_new(fds[0], "/socket", NULL);
	fflush(stderr);
	dup2(file, STDERR_FILENO);
	status = cli.args.verb->run(&cli);
	fflush(stderr);
	dup2(was, STDERR_FILENO);
	ck_assert_int_eq(status, 0);
	ck_assert_int_gt(pread(file, text, sizeof(text) - 1, 0), 0);
	ck_assert_msg(str_starts(text, "drover: web: ") && strstr(text, "'#999'"), "%s", text);
	close(fds[1]);
	cli_clear(&cli);
}
END_TEST

/* An error of an operation leads here. */
START_TEST(hint)
{
	_cleanup_err_ struct err *e = NULL;
	_cleanup_free_ char *text = NULL;

	err_set(&e, ERR_QEMU, "no");
	err_add(e, "trace", json_object_new_string("#3"));
	text = cli_hint("start", "w", e);
	ck_assert_msg(text && strstr(text, "'drover trace w'"), "%s", text);
}
END_TEST

START_TEST(fits)
{
	_cleanup_free_ char *text = print(80);

	ck_assert_ptr_nonnull(strstr(text, "1250.4"));
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		ck_assert_msg(text_width(line) <= 80, "%s", line);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("drover trace");
	TCase *tc = tcase_create("trace");
	SRunner *runner;
	int failed;

	setlocale(LC_CTYPE, "C.UTF-8");
	setenv("TZ", "UTC", 1);
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, lines);
	tcase_add_test(tc, fits);
	tcase_add_test(tc, nothing_of_an_operation);
	tcase_add_test(tc, hint);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
