/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What droverd adds to the start and the end of a guest. DROVER_BENCH_ROUNDS: how often (default 30).
 *
 * Beside it stands the bare thing in the same run, taking turns: the same command line by posix_spawn with the
 * same listening sockets, from before the sockets are bound to the reply of `cont`, nothing written and nothing
 * checked; its end is SIGKILL until the process is gone. Median, p90 (nearest rank) and the ratio of medians.
 */
#include "base/cleanup.h"
#include "rig.h"
#include "runtime/argv.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 30, HIGH_FD = 100 };

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double rank(const double *sorted, int n, double q)
{
	int i = (int)(q * n + 0.999999) - 1;

	return sorted[i < 0 ? 0 : i];
}

/* ---- the bare thing ---- */

static void address(struct sockaddr_un *a, const char *dir, const char *name)
{
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(a->sun_path, sizeof(a->sun_path), "%s/%s", dir, name);
	unlink(a->sun_path);
}

static int listen_at(const char *dir, const char *name)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), high;
	struct sockaddr_un a;

	address(&a, dir, name);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	listen(fd, 1);
	high = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
	close(fd);
	return high;
}

static int log_at(const char *dir, const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600), high;

	high = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
	close(fd);
	return high;
}

/* Reads until the reply to ID has come. */
static void await_id(int fd, int id)
{
	_cleanup_free_ char *want = xasprintf("\"id\": %d", id);
	char data[65536];
	size_t n = 0;

	for (;;) {
		ssize_t got = recv(fd, data + n, sizeof(data) - 1 - n, 0);

		ck_assert_msg(got > 0, "QEMU hung up");
		n += (size_t)got;
		data[n] = '\0';
		if (id ? strstr(data, want) != NULL : strstr(data, "\"QMP\"") != NULL)
			return;
	}
}

static void say(int fd, const char *text)
{
	ck_assert_int_eq((int)send(fd, text, strlen(text), 0), (int)strlen(text));
}

static pid_t raw_start(const char *dir, char **argv, double *ms)
{
	double begin = now_ms();
	int fds[FD_COUNT] = { [FD_QMP] = listen_at(dir, "qmp"),          [FD_QMP2] = listen_at(dir, "qmp2"),
			      [FD_SERIAL] = listen_at(dir, "serial"),    [FD_AGENT] = listen_at(dir, "agent"),
			      [FD_CONSOLE_LOG] = log_at(dir, "console"), [FD_EVENTS_LOG] = log_at(dir, "events") };
	posix_spawn_file_actions_t actions;
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	pid_t pid;
	int fd;

	posix_spawn_file_actions_init(&actions);
	for (int i = FD_QMP; i < FD_COUNT; i++)
		posix_spawn_file_actions_adddup2(&actions, fds[i], i);
	ck_assert_int_eq(posix_spawn(&pid, argv[0], &actions, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	for (int i = FD_QMP; i < FD_COUNT; i++)
		close(fds[i]);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/qmp", dir);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	await_id(fd, 0);
	say(fd, "{\"execute\": \"qmp_capabilities\", \"id\": 1}");
	await_id(fd, 1);
	say(fd, "{\"execute\": \"cont\", \"id\": 2}");
	await_id(fd, 2);
	*ms = now_ms() - begin;
	close(fd);
	return pid;
}

static void raw_stop(pid_t pid, double *ms)
{
	double begin = now_ms();
	int status;

	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	*ms = now_ms() - begin;
}

/* ---- both ---- */

static char **argv_of(struct client *c, const char *name)
{
	_cleanup_json_ struct json_object *o = client_ok(c, "instance-argv", "{'instance': '%s'}", name);
	struct json_object *list = at(o, "argv");
	size_t n = json_object_array_length(list);
	char **argv = xcalloc(n + 1, sizeof(char *));

	for (size_t i = 0; i < n; i++)
		argv[i] = xstrdup(json_object_get_string(json_object_array_get_idx(list, i)));
	return argv;
}

static double timed(struct client *c, const char *command, const char *name)
{
	double begin = now_ms();

	json_object_put(client_ok(c, command, "{'instance': '%s'}", name));
	return now_ms() - begin;
}

static void print(const char *what, double *raw, double *drover, int n)
{
	qsort(raw, (size_t)n, sizeof(double), by_value);
	qsort(drover, (size_t)n, sizeof(double), by_value);
	printf("| %-18s | %7.2f (%6.2f) | %7.2f (%6.2f) | %5.2f |\n", what, rank(raw, n, 0.5), rank(raw, n, 0.9),
	       rank(drover, n, 0.5), rank(drover, n, 0.9), rank(drover, n, 0.5) / rank(raw, n, 0.5));
}

static void bench(struct rig *r, struct client *c, const char *machine, int n)
{
	double *start[2], *stop[2], ignored;
	_cleanup_free_ char *what = xasprintf("start, %s", machine), *end = xasprintf("stop, %s", machine);
	char **argv;

	for (int i = 0; i < 2; i++) {
		start[i] = xcalloc((size_t)n, sizeof(double));
		stop[i] = xcalloc((size_t)n, sizeof(double));
	}
	client_define(c, machine, "'memory': '256M', 'hvparams': {'accel': 'tcg', 'machine_version': '%s'}", machine);
	argv = argv_of(c, machine);
	for (int i = -1; i < n; i++) { /* the first round is not counted */
		pid_t pid = raw_start(r->root, argv, i < 0 ? &ignored : &start[0][i]);

		raw_stop(pid, i < 0 ? &ignored : &stop[0][i]);
		*(i < 0 ? &ignored : &start[1][i]) = timed(c, "instance-start", machine);
		*(i < 0 ? &ignored : &stop[1][i]) = timed(c, "instance-stop", machine);
	}
	print(what, start[0], start[1], n);
	print(end, stop[0], stop[1], n);
	for (int i = 0; i < 2; i++) {
		free(start[i]);
		free(stop[i]);
	}
	argv_free(argv);
}

START_TEST(start_and_stop)
{
	const char *rounds = getenv("DROVER_BENCH_ROUNDS");
	int n = rounds ? (int)strtol(rounds, NULL, 10) : ROUNDS;
	struct rig *r = rig_new("droverd");
	struct client *c;

	ck_assert_msg(n > 0, "DROVER_BENCH_ROUNDS: '%s' is no number of rounds", rounds);
	rig_start(r);
	c = client_new(r);
	printf("| ms: median (p90)   | bare             | drover           | ratio |\n");
	printf("| ------------------ | ---------------- | ---------------- | ----- |\n");
	bench(r, c, "pc", n);
	bench(r, c, "q35", n);
	printf("droverd: %u KiB resident, %u descriptors\n", process_rss(r->pid), process_fds(r->pid));
	client_free(c);
	rig_stop(r);
	rig_free(r);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("bench_start");
	TCase *t = tcase_create("start");

	tcase_add_test(t, start_and_stop);
	suite_add_tcase(s, t);
	return s;
}

RIG_MAIN(suite)
