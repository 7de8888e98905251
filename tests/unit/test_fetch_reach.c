/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What drover-fetch says of a server that greets, does not, says something else, or is not there; by TCP and by a unix socket,
 * as somebody who may and as one who may not.
 */
#include "base/cleanup.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DEADLINE_S = 120, GROUP = 4242 };

#define GREETING "NBDMAGICIHAVEOPT\0\3"
#define LONG "60000" /* for what comes */
#define SHORT "200"  /* for what does not */
#define REACHED "{\"reached\":true}"
#define CLASS "\"class\":\"StorageError\"}"

static char dir[] = "/tmp/drover-reach-XXXXXX";
static char *where; /* of the server */
static int listener;
static pid_t server;

/* ---- the server ---- */

static void listen_at_port(int backlog)
{
	struct sockaddr_in inet = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(inet);

	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&inet, sizeof(inet)), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&inet, &len), 0);
	ck_assert_int_eq(listen(listener, backlog), 0);
	where = xasprintf("127.0.0.1:%d", ntohs(inet.sin_port));
}

static void listen_at_socket(void)
{
	struct sockaddr_un local = { .sun_family = AF_UNIX };

	where = xasprintf("%s/socket", dir);
	snprintf(local.sun_path, sizeof(local.sun_path), "%s", where);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&local, sizeof(local)), 0);
	ck_assert_int_eq(listen(listener, 4), 0);
}

/* Says each of the N bytes of TEXT by itself, if SLOW. */
static void serve(const char *text, size_t n, bool slow, bool closes)
{
	size_t piece = slow ? 1 : n;
	int fd;

	server = fork();
	if (server) {
		ck_assert_int_gt(server, 0);
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = accept(listener, NULL, NULL);
	for (size_t i = 0; i < n; i += piece) {
		if (send(fd, text + i, piece, MSG_NOSIGNAL) < 0)
			_exit(1);
		usleep(1000);
	}
	if (closes)
		_exit(0);
	for (;;)
		pause();
}

static void set_up(void)
{
	listener = -1;
	where = NULL;
	server = 0;
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chmod(dir, 0711), 0);
}

static void tear_down(void)
{
	_cleanup_free_ char *path = xasprintf("%s/socket", dir);

	if (server) {
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	fd_close(listener);
	free(where);
	unlink(path);
	rmdir(dir);
}

/* ---- the program ---- */

/* The first line of what it says; its status. */
static int run(const char *const args[], char *line, int size)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	_cleanup_free_ char *program = NULL;
	int status, out[2];
	FILE *f;
	pid_t pid;

	ck_assert_int_gt(n, 0);
	self[n] = '\0';
	program = xasprintf("%.*s/drover-fetch", (int)(strrchr(self, '/') - self), self);
	ck_assert_int_eq(pipe(out), 0);
	pid = fork();
	if (pid == 0) {
		dup2(out[1], 1);
		execv(program, (char *const *)(uintptr_t)args);
		_exit(127);
	}
	close(out[1]);
	f = fdopen(out[0], "r");
	if (!fgets(line, size, f))
		*line = '\0';
	line[strcspn(line, "\n")] = '\0';
	fclose(f);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void expect(const char *kind, const char *ms, const char *user, const char *words)
{
	const char *const args[] = { "drover-fetch", "--reach", kind, where, ms, user, NULL };
	char line[1024];

	ck_assert_int_eq(run(args, line, sizeof(line)), 0);
	ck_assert_msg(strstr(line, words) && (str_eq(line, REACHED) || strstr(line, CLASS)), "%s: '%s', not '%s'",
		      where, line, words);
}

/* ---- tests ---- */

#define SAYS(text) text, sizeof(text) - 1

static const struct {
	const char *kind, *says;
	size_t n;
	bool slow, closes;
	const char *ms, *words;
} rows[] = {
	{ "nbd", SAYS(GREETING), false, false, LONG, REACHED },
	{ "nbd", SAYS(GREETING), true, false, LONG, REACHED },
	{ "nbd", SAYS(GREETING), false, true, LONG, REACHED },
	{ "any", SAYS(""), false, false, LONG, REACHED },
	{ "nbd", SAYS(""), false, false, SHORT, "did not greet in time" },
	{ "nbd", SAYS("NBDMAGIC"), false, false, SHORT, "did not greet in time" },
	{ "nbd", SAYS(""), false, true, LONG, "closed the connection " },
	{ "nbd", SAYS("NBDMAGIC"), false, true, LONG, "closed the connection " },
	{ "nbd", SAYS("SSH-2.0-OpenSSH_9.2\r\n"), false, false, LONG, "does not speak NBD" },
	{ "nbd", SAYS("NBDMAGIX12345678"), false, false, LONG, "does not speak NBD" },
};

START_TEST(test_port)
{
	listen_at_port(4);
	serve(rows[_i].says, rows[_i].n, rows[_i].slow, rows[_i].closes);
	expect(rows[_i].kind, rows[_i].ms, NULL, rows[_i].words);
}
END_TEST

START_TEST(test_socket)
{
	listen_at_socket();
	serve(rows[_i].says, rows[_i].n, rows[_i].slow, rows[_i].closes);
	expect(rows[_i].kind, rows[_i].ms, NULL, rows[_i].words);
}
END_TEST

/* A proxy of the environment is for web servers. */
START_TEST(test_nobody)
{
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("all_proxy", "http://127.0.0.1:1", 1);
	listen_at_port(4);
	serve(SAYS(GREETING), false, false);
	expect("nbd", LONG, NULL, REACHED);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	server = 0;
	closep(&listener);
	expect("nbd", LONG, NULL, "cannot connect to the server: Connection refused");
	expect("any", LONG, NULL, "cannot connect to the server: Connection refused");
	free(where);
	where = xasprintf("%s/none", dir);
	expect("nbd", LONG, NULL, "cannot connect to the server: No such file or directory");
}
END_TEST

/* Who listens has no room for one more, and the kernel drops what comes. */
START_TEST(test_full)
{
	struct sockaddr_in inet;
	socklen_t len = sizeof(inet);
	int fillers[4];

	listen_at_port(0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&inet, &len), 0);
	for (size_t i = 0; i < ARRAY_SIZE(fillers); i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (connect(fillers[i], (struct sockaddr *)&inet, sizeof(inet)) < 0)
			ck_assert_int_eq(errno, EINPROGRESS);
	}
	expect("any", SHORT, NULL, "no connection to the server came about within 0.2 s");
	for (size_t i = 0; i < ARRAY_SIZE(fillers); i++)
		close(fillers[i]);
}
END_TEST

/* The same at a socket, which says so at once. */
START_TEST(test_full_socket)
{
	struct sockaddr_un local;
	socklen_t len = sizeof(local);
	int fillers[8];

	listen_at_socket();
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&local, &len), 0);
	for (size_t i = 0; i < ARRAY_SIZE(fillers); i++) {
		fillers[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (connect(fillers[i], (struct sockaddr *)&local, len) < 0)
			ck_assert_int_eq(errno, EAGAIN);
	}
	expect("any", SHORT, NULL, "it takes no more");
	for (size_t i = 0; i < ARRAY_SIZE(fillers); i++)
		close(fillers[i]);
}
END_TEST

/* A socket of a group is reached by who is in it. */
START_TEST(test_user)
{
	if (geteuid() != 0)
		return;
	listen_at_socket();
	ck_assert_int_eq(chown(where, 0, GROUP), 0);
	ck_assert_int_eq(chmod(where, 0660), 0);
	serve(SAYS(GREETING), false, false);
	expect("nbd", LONG, "65534,65534", "cannot connect to the server: Permission denied");
	expect("nbd", LONG, "65534,65534,7,4242", REACHED);
}
END_TEST

START_TEST(test_usage)
{
	static const char *const calls[][6] = {
		{ "--reach", "nbd", "h:1" },
		{ "--reach", "nbd", "h:1", "x" },
		{ "--reach", "nbd", "h:1", "0" },
		{ "--reach", "nbd", "h:1", "1", "2,3", "x" },
		{ "--reach", "nbd", "h:1", "1", "2" },
		{ "--reach", "nbd", "h:1", "1", "2,3," },
		{ "--reach", "nbd", "h:1", "1", "2,3,x" },
		{ "--reach", "nbd", "h:1", "1", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19" },
		{ "--check", "http://h/", "1" },
		{ "--check" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		const char *args[8] = { "drover-fetch" };
		char line[256];

		memcpy(args + 1, calls[i], sizeof(calls[i]));
		ck_assert_int_eq(run(args, line, sizeof(line)), 2);
		ck_assert_str_eq(line, "");
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("fetch_reach");
	TCase *tc = tcase_create("reach");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, DEADLINE_S);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, test_port, 0, ARRAY_SIZE(rows));
	tcase_add_loop_test(tc, test_socket, 0, ARRAY_SIZE(rows));
	tcase_add_test(tc, test_nobody);
	tcase_add_test(tc, test_full);
	tcase_add_test(tc, test_full_socket);
	tcase_add_test(tc, test_user);
	tcase_add_test(tc, test_usage);
	suite_add_tcase(s, tc);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
