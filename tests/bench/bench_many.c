/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Many machines: listing, memory, re-adoption, idleness, statistics, requests per second.
 *
 * 50 machines are real QEMUs, paused, with 64 MiB each; 200 and 1000 are fake ones (tests/fake), which weigh little, for
 * what droverd does for a machine does not depend on what is behind its sockets. "Hanging" is a tenth of them with SIGSTOP,
 * after droverd has noticed. DROVER_BENCH_ROUNDS: how often each question is asked (30).
 *
 * The bare thing of statistics is the same three questions to each QEMU, all sent before any is read, by a client that
 * does not parse; droverd is not running then, and found its machines again before it is asked. That of requests is a
 * process that answers each line with the same bytes.
 */
#include "bench.h"

#include "base/file.h"
#include "runtime/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 30, REAL = 50, MANY = 200, MOST = 1000, WINDOW = 16, IDLE_S = 10, SESSIONS = 64, REQUESTS = 20000 };

#define STATS "{\"execute\": \"query-stats\"}"
#define LIST "{\"execute\": \"query-instances\"}"

struct bench {
	struct rig *r;
	char *socket;
	int rounds, n;
	pid_t pids[MOST];
	double rss_of_none; /* KiB */
};

static char *name_of(int i)
{
	return xasprintf("m%04d", i);
}

static void bench_open(struct bench *b)
{
	*b = (struct bench){ .r = rig_new("droverd"), .rounds = bench_rounds(ROUNDS) };
	b->socket = xasprintf("%s/run/drover.sock", b->r->root);
	rig_start(b->r);
	b->rss_of_none = process_rss(b->r->pid);
}

static void bench_close(struct bench *b)
{
	rig_free(b->r);
	free(b->socket);
}

static struct wire *wire(struct bench *b)
{
	struct wire *w = wire_new(b->socket);

	ck_assert_ptr_nonnull(w);
	return w;
}

/* ---- machines ---- */

/* Defines and starts machines until there are N; HVPARAMS as JSON with '. */
static void grow(struct bench *b, int n, const char *hvparams)
{
	struct client *c = client_new(b->r);
	int ids[WINDOW];

	for (int i = b->n; i < n; i += WINDOW) {
		int k, until = i + WINDOW < n ? i + WINDOW : n;

		for (k = i; k < until; k++) {
			_cleanup_free_ char *name = name_of(k);

			client_define(c, name, "'memory': '64M', 'hvparams': {'accel': 'tcg'%s}", hvparams);
			ids[k - i] = client_send(c, "instance-start", "{'instance': '%s', 'paused': true}", name);
		}
		for (k = i; k < until; k++) {
			_cleanup_json_ struct json_object *o = client_reply(c, ids[k - i]), *brief = NULL;
			_cleanup_free_ char *name = name_of(k);

			ck_assert_msg(has(o, "return"), "%s", json_object_to_json_string(o));
			brief = client_ok(c, "query-instances", "{'instances': ['%s'], 'fields': ['pid']}", name);
			b->pids[k] = (pid_t)int_at(brief, "0.pid");
		}
	}
	b->n = n;
	client_free(c);
}

static void grow_fakes(struct bench *b, int n)
{
	_cleanup_free_ char *fake = rig_shared("fake-qemu"), *kernel = rig_shared("kernel"), *hvparams = NULL;

	hvparams = xasprintf(", 'kvm_path': '%s', 'kernel_path': '%s'", fake, kernel);
	grow(b, n, hvparams);
}

/* Every tenth. */
static void signal_tenth(struct bench *b, int signal)
{
	for (int i = 0; i < b->n; i += 10)
		kill(b->pids[i], signal);
}

/* ---- listing ---- */

static void list(struct bench *b, const char *title, double goal)
{
	struct wire *w = wire(b);
	struct series s = { 0 };

	for (int i = 0; i < b->rounds; i++)
		series_add(&s, wire_ask(w, LIST));
	bench_row(&(struct row){ title, "ms", NULL, &s, GOAL_VALUE, goal });
	wire_free(w);
}

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	for (; (text = strstr(text, what)); text += strlen(what))
		n++;
	return n;
}

static void lists(struct bench *b, double goal)
{
	_cleanup_free_ char *all = xasprintf("query-instances, %d", b->n);
	_cleanup_free_ char *some = xasprintf("query-instances, %d, a tenth hanging", b->n);
	_cleanup_free_ char *stats = xasprintf("query-stats, %d, a tenth hanging", b->n);
	struct series s = { 0 };
	struct wire *w;

	list(b, all, goal);
	signal_tenth(b, SIGSTOP);
	w = wire(b);
	series_add(&s, wire_ask(w, STATS));
	ck_assert_uint_eq(count(w->text, "\"stale\": true") + count(w->text, "\"stale\":true"), (unsigned)b->n / 10);
	list(b, some, goal);
	bench_row(&(struct row){ stats, "ms", NULL, &s, NO_GOAL });
	signal_tenth(b, SIGCONT);
	wire_ask(w, STATS);
	wire_free(w);
}

/* ---- the command line ---- */

static double spawn(char *const *argv)
{
	double begin = now_ms();
	posix_spawn_file_actions_t actions;
	int status;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	ck_assert_int_eq(posix_spawn(&pid, argv[0], &actions, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	return now_ms() - begin;
}

static void command_line(struct bench *b)
{
	_cleanup_free_ char *drover = rig_program("drover"), *what = xasprintf("`drover list`, %d", b->n);
	char true_path[] = "/bin/true", option[] = "--socket", verb[] = "list";
	char *const argv[] = { drover, option, b->socket, verb, NULL }, *const bare[] = { true_path, NULL };
	struct series s = { 0 }, raw = { 0 };

	for (int i = 0; i < b->rounds; i++) {
		series_add(&raw, spawn(bare));
		series_add(&s, spawn(argv));
	}
	bench_row(&(struct row){ what, "ms", &raw, &s, GOAL_VALUE, 5 });
}

/* ---- memory ---- */

static double keeper_private(struct bench *b, int i)
{
	_cleanup_free_ char *name = name_of(i), *path = xasprintf("%s/run/instances/%s", b->r->root, name),
			    *smaps = NULL;
	_cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char line[256];
	double kib = 0;
	FILE *f;

	smaps = xasprintf("/proc/%d/smaps_rollup", process_lock_holder(dir, "lock"));
	f = fopen(smaps, "re");
	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f))
		if (str_starts(line, "Private_"))
			kib += strtod(strchr(line, ':') + 1, NULL);
	fclose(f);
	return kib;
}

static void memory(struct bench *b)
{
	_cleanup_free_ char *what = xasprintf("droverd resident, %d", b->n), *keepers = NULL, *each = NULL;
	struct series s = { 0 };

	series_add(&s, process_rss(b->r->pid) / 1024.0);
	bench_row(&(struct row){ what, "MiB", NULL, &s, b->n ? NO_GOAL : GOAL_VALUE, 8 });
	if (!b->n)
		return;
	each = xasprintf("for each of %d", b->n);
	series_add(&s, (process_rss(b->r->pid) - b->rss_of_none) / b->n);
	bench_row(&(struct row){ each, "KiB", NULL, &s, GOAL_VALUE, 64 });
	keepers = xasprintf("private of each keeper, %d", b->n);
	for (int i = 0; i < b->n; i++)
		series_add(&s, keeper_private(b, i));
	bench_row(&(struct row){ keepers, "KiB", NULL, &s, GOAL_VALUE, 150 });
}

/* ---- idleness ---- */

static void add_switches(const char *name, void *data)
{
	static const char key[] = "voluntary_ctxt_switches:";
	struct {
		pid_t pid;
		double n;
	} *sum = data;
	_cleanup_free_ char *path = xasprintf("/proc/%d/task/%s/status", sum->pid, name);
	char line[256];
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof(line), f))
		if (str_starts(line, key))
			sum->n += strtod(line + sizeof(key) - 1, NULL);
	if (f)
		fclose(f);
}

/* Of all threads. */
static double switches(struct bench *b)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/task", b->r->pid);
	_cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct {
		pid_t pid;
		double n;
	} sum = { b->r->pid, 0 };

	ck_assert(file_list(dir, add_switches, &sum, NULL));
	return sum.n;
}

static void idle(struct bench *b)
{
	_cleanup_free_ char *what = xasprintf("voluntary context switches in %d s, %d", IDLE_S, b->n);
	struct series s = { 0 };
	double before;

	sleep(2); /* for what still was to come of the last question */
	before = switches(b);
	sleep(IDLE_S);
	series_add(&s, switches(b) - before);
	bench_row(&(struct row){ what, "", NULL, &s, GOAL_VALUE, 0 });
}

/* ---- finding them again ---- */

static void adopt_once(struct bench *b, struct series *listed, struct series *usable)
{
	struct wire *w;
	double begin;

	rig_kill(b->r);
	unlink(b->socket);
	begin = now_ms();
	rig_spawn(b->r);
	while (!(w = wire_new(b->socket)))
		usleep(500);
	do
		wire_ask(w, LIST);
	while (count(w->text, "\"pid\":") < (unsigned)b->n);
	series_add(listed, now_ms() - begin);
	do
		wire_ask(w, STATS);
	while (strstr(w->text, "\"stale\": true") || strstr(w->text, "\"stale\":true"));
	series_add(usable, now_ms() - begin);
	wire_free(w);
}

static void adoption(struct bench *b, double listed_goal, double usable_goal)
{
	_cleanup_free_ char *first = xasprintf("re-adoption of %d: from exec to all listed", b->n);
	_cleanup_free_ char *then = xasprintf("re-adoption of %d: to all have answered", b->n);
	struct series listed = { 0 }, usable = { 0 };

	for (int i = 0; i < 10; i++)
		adopt_once(b, &listed, &usable);
	bench_row(&(struct row){ first, "ms", NULL, &listed, listed_goal > 0 ? GOAL_VALUE : NO_GOAL, listed_goal });
	bench_row(&(struct row){ then, "ms", NULL, &usable, usable_goal > 0 ? GOAL_VALUE : NO_GOAL, usable_goal });
}

/* ---- statistics ---- */

static void ask_all(struct bench *b, struct wire **w, struct series *s)
{
	static const char questions[] = "{\"execute\": \"query-cpus-fast\"}{\"execute\": \"query-balloon\"}"
					"{\"execute\": \"query-blockstats\"}";
	double begin = now_ms();

	for (int i = 0; i < b->n; i++)
		wire_say(w[i], questions);
	for (int i = 0; i < b->n; i++)
		for (int k = 0; k < 3; k++)
			wire_await(w[i]);
	series_add(s, now_ms() - begin);
}

/* droverd is away: its monitors are free. */
static void ask_bare(struct bench *b, struct series *s)
{
	struct wire *w[REAL];

	for (int i = 0; i < b->n; i++) {
		_cleanup_free_ char *name = name_of(i), *path = NULL;

		path = xasprintf("%s/run/instances/%s/qmp.sock", b->r->root, name);
		w[i] = wire_new(path);
		ck_assert_ptr_nonnull(w[i]);
	}
	for (int i = 0; i < b->rounds / 3; i++)
		ask_all(b, w, s);
	for (int i = 0; i < b->n; i++)
		wire_free(w[i]);
}

static void statistics(struct bench *b)
{
	_cleanup_free_ char *what = xasprintf("query-stats, %d", b->n);
	struct series raw = { 0 }, s = { 0 };

	for (int turn = 0; turn < 3; turn++) {
		struct wire *w = wire(b);

		for (int i = -1; i < b->rounds / 3; i++) {
			double ms = wire_ask(w, STATS);

			if (i >= 0)
				series_add(&s, ms);
		}
		wire_free(w);
		rig_stop(b->r);
		ask_bare(b, &raw);
		rig_start(b->r);
	}
	bench_row(&(struct row){ what, "ms", &raw, &s, GOAL_RATIO, 1.5 });
}

/* ---- requests ---- */

#define VERSION "{\"execute\": \"query-version\"}"

/* Answers each request of as many clients as come with a line of so many bytes. */
static _Noreturn void echo(int listener, const char *line)
{
	struct pollfd fds[SESSIONS + 1] = { { listener, POLLIN, 0 } };
	nfds_t n = 1;
	char text[4096];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		poll(fds, n, -1);
		for (nfds_t i = 1; i < n; i++)
			if (fds[i].revents && read(fds[i].fd, text, sizeof(text)) > 0)
				send(fds[i].fd, line, strlen(line), MSG_NOSIGNAL);
		if (fds[0].revents && n <= SESSIONS) {
			fds[n] = (struct pollfd){ accept4(listener, NULL, NULL, SOCK_CLOEXEC), POLLIN, 0 };
			send(fds[n].fd, line, strlen(line), MSG_NOSIGNAL); /* the greeting */
			n++;
		}
	}
}

static double rate(const char *path, int sessions)
{
	struct wire *w[SESSIONS];
	struct pollfd fds[SESSIONS];
	double begin;

	for (int i = 0; i < sessions; i++) {
		w[i] = wire_new(path);
		ck_assert_ptr_nonnull(w[i]);
		fds[i] = (struct pollfd){ w[i]->fd, POLLIN, 0 };
	}
	begin = now_ms();
	for (int i = 0; i < sessions; i++)
		wire_say(w[i], VERSION);
	for (int done = 0; done < REQUESTS;) {
		poll(fds, (nfds_t)sessions, -1);
		for (int i = 0; i < sessions; i++) {
			if (!fds[i].revents)
				continue;
			wire_await(w[i]);
			wire_say(w[i], VERSION);
			done++;
		}
	}
	begin = REQUESTS / ((now_ms() - begin) / 1000);
	for (int i = 0; i < sessions; i++)
		wire_free(w[i]);
	return begin;
}

static void requests(struct bench *b)
{
	static const int sessions[] = { 1, SESSIONS };
	_cleanup_free_ char *path = xasprintf("%s/echo.sock", b->r->root), *line = NULL;
	_cleanup_close_ int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct wire *w = wire(b);
	pid_t pid;

	wire_ask(w, VERSION);
	line = xasprintf("%s\n", w->text);
	wire_free(w);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	listen(listener, SESSIONS);
	for (size_t i = 0; i < ARRAY_SIZE(sessions); i++) {
		_cleanup_free_ char *what = xasprintf("query-version, %d session%s", sessions[i],
						      sessions[i] > 1 ? "s" : "");
		struct series raw = { 0 }, s = { 0 };

		pid = fork();
		if (pid == 0)
			echo(listener, line);
		for (int k = 0; k < 3; k++) {
			series_add(&s, rate(b->socket, sessions[i]));
			if (!k)
				series_add(&raw, rate(path, sessions[i]));
		}
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		bench_row(&(struct row){ what, "/s", &raw, &s, NO_GOAL });
	}
}

/* ---- the suite ---- */

START_TEST(real_ones)
{
	struct bench b;

	bench_open(&b);
	bench_head("droverd alone");
	memory(&b);
	requests(&b);
	bench_head("50 real machines, paused");
	grow(&b, REAL, "");
	lists(&b, 0.5);
	command_line(&b);
	statistics(&b);
	adoption(&b, 100, 150);
	memory(&b);
	bench_close(&b);
}
END_TEST

START_TEST(fake_ones)
{
	struct bench b;

	bench_open(&b);
	bench_head("200 and 1000 fake machines");
	grow_fakes(&b, MANY);
	lists(&b, 2);
	idle(&b);
	adoption(&b, 0, 0);
	memory(&b);
	grow_fakes(&b, MOST);
	lists(&b, 10);
	adoption(&b, 0, 1000);
	memory(&b);
	bench_close(&b);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("bench_many");
	TCase *t = tcase_create("many");

	tcase_add_test(t, real_ones);
	tcase_add_test(t, fake_ones);
	suite_add_tcase(s, t);
	return s;
}

RIG_MAIN(suite)
