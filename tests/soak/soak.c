/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soak: random commands on random instances with random faults, and then a look at the world.
 *
 *   soak MINUTES [--seed N]      rounds for so long; the seeds of all follow from the first
 *   soak --rounds K [--seed N]   so many
 *   soak --seed N                the round of that seed alone, which tells what it does
 *   [--jobs N] [--logs DIR]      side by side; where the words of rounds that failed are left
 *
 * Each round is a process of its own ("soak --round N"), in a PID namespace of its own, in memory: what it leaves dies
 * with it. (soak.h says what a round is.)
 */
#include "soak.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ACTIONS_MIN = 30, ACTIONS_MAX = 80, ROUND_SECONDS = 400, JOBS_MAX = 16, LOGS_MAX = 20, LOG_TAIL = 8 << 20 };

struct round round_;

/* ---- a round ---- */

double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void say(const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	struct timespec ts;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	clock_gettime(CLOCK_REALTIME, &ts);
	printf("%02d:%02d.%03d %u: %s\n", (int)(ts.tv_sec / 60 % 60), (int)(ts.tv_sec % 60),
	       (int)(ts.tv_nsec / 1000000), round_.action, text);
	fflush(stdout);
}

static char *log_path(void)
{
	return xasprintf("%s.log", round_.r->root);
}

/* A small file system under all that droverd writes, but for its log. */
static void make_root(void)
{
	_cleanup_free_ char *log = NULL, *link = NULL;

	round_.r = rig_new("droverd-faulty");
	log = log_path();
	link = xasprintf("%s/droverd.log", round_.r->root);
	round_.small = mount("tmpfs", round_.r->root, "tmpfs", 0, "size=8m,mode=0711") == 0;
	ck_assert_int_eq(symlink(log, link), 0);
}

static void look_at_nothing(void)
{
	life_begin(true);
	life_connect(&round_.witness);
	json_object_put(peer_ask(&round_.witness, "query-instances", "{}"));
	round_.before = rig_world(round_.r, false);
	world_await_rest(); /* counts its descriptors */
}

/* All is well again from outside. */
static void heal(struct chance *c)
{
	bool restart = chance_percent(c, 30) || round_.faulty, gently = chance_percent(c, 50);

	say("it is healed");
	mischief_heal();
	round_.faulty = false;
	if (restart && gently)
		life_term();
	else if (restart)
		life_kill();
	life_connect(&round_.witness);
}

static void tell_faults(void)
{
	_cleanup_free_ char *steps = rig_file(round_.r, "steps");
	unsigned n = 0;

	for (const char *p = steps; p && (p = strstr(p, "\nfault ")); p++)
		n++;
	say("%u faults of droverd's own", n);
}

static void play(void)
{
	struct chance *c = &round_.chance;
	unsigned actions = chance_between(c, ACTIONS_MIN, ACTIONS_MAX);
	bool faulty = chance_percent(c, 50);

	round_.n_peers = chance_between(c, 1, PEERS_MAX);
	machines_make();
	look_at_nothing();
	round_.faulty = faulty;
	if (faulty)
		life_kill();
	requests_define_all(c);
	for (round_.action = 1; round_.action <= actions; round_.action++) {
		life_check();
		if (chance_percent(c, 75))
			request_draw(c);
		else
			mischief_draw(c);
		for (unsigned i = 0; i < round_.n_peers; i++)
			peer_listen(&round_.peers[i], 0, 0);
	}
	heal(c);
	world_await_rest();
	say("all are started");
	world_start();
	say("all are to go");
	world_clear();
	tell_faults();
}

START_TEST(a_round)
{
	for (unsigned i = 0; i < PEERS_MAX; i++)
		round_.peers[i] = PEER_NONE;
	round_.witness = PEER_NONE;
	round_.chance = chance_new(round_.seed, 0);
	make_root();
	play();
	round_.passed = true;
}
END_TEST

static void tell_log(void)
{
	_cleanup_free_ char *path = log_path(), *text = NULL;
	size_t len;
	bool cut;

	if (file_read_tail(AT_FDCWD, path, LOG_TAIL, &text, &len, &cut, NULL))
		printf("--- what droverd said:\n%.*s---\n", (int)len, text);
	fflush(stdout);
}

static void clear(void)
{
	if (!round_.passed)
		tell_log();
	for (unsigned i = 0; i < PEERS_MAX; i++)
		peer_close(&round_.peers[i]);
	peer_close(&round_.witness);
	if (round_.r)
		rig_free(round_.r);
	free(round_.before);
}

static Suite *suite(void)
{
	Suite *s = suite_create("soak");
	TCase *t = tcase_create("round");

	tcase_add_checked_fixture(t, NULL, clear);
	tcase_add_test(t, a_round);
	suite_add_tcase(s, t);
	return s;
}

/* ---- many ---- */

struct run {
	pid_t pid; /* 0: none */
	uint64_t seed;
	char *log; /* NULL: it tells everybody */
};

static struct {
	uint64_t first;
	double end; /* 0: no end but that of the number of rounds */
	unsigned rounds, begun, jobs, passed, failed;
	const char *logs;
	bool alone;
	struct run runs[JOBS_MAX];
} soak = { .jobs = 1, .logs = "/tmp" };

static void be_round(const struct run *run, pid_t parent)
{
	_cleanup_free_ char *seed = xasprintf("%" PRIu64, run->seed);
	int fd = run->log ? open(run->log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600) : -1;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	if (fd >= 0) {
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
	}
	alarm(ROUND_SECONDS); /* ends the round, and the kernel what is left of it */
	execl("/proc/self/exe", "soak", "--round", seed, NULL);
	_exit(127);
}

static void begin(struct run *run)
{
	struct chance c = chance_new(soak.first, ++soak.begun);
	pid_t self = getpid();

	run->seed = soak.alone ? soak.first : chance_next(&c) >> 16;
	run->log = soak.alone ? NULL : xasprintf("%s/%" PRIu64 ".log", soak.logs, run->seed);
	fflush(NULL);
	run->pid = fork();
	if (run->pid == 0)
		be_round(run, self);
	if (run->pid < 0) {
		perror("fork");
		exit(EXIT_FAILURE);
	}
}

static void end(struct run *run, int status)
{
	bool ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;

	soak.passed += ok;
	soak.failed += !ok;
	if (!ok) {
		printf("failed: a round%s; again: ./dev soak --seed %" PRIu64 "%s%s\n",
		       WIFSIGNALED(status) ? ", which took too long," : "", run->seed, run->log ? "; it says: " : "",
		       run->log ? run->log : "");
		fflush(stdout);
	}
	if (run->log && (ok || soak.failed > LOGS_MAX))
		unlink(run->log);
	free(run->log);
	*run = (struct run){ 0 };
}

static bool are_more(void)
{
	return soak.end > 0 ? seconds() < soak.end : soak.begun < soak.rounds;
}

static int drive(void)
{
	unsigned under_way = 0;
	int status;
	pid_t pid;

	printf("soak: the first seed is %" PRIu64 "\n", soak.first);
	for (;;) {
		for (unsigned i = 0; i < soak.jobs; i++) {
			if (!soak.runs[i].pid && are_more()) {
				begin(&soak.runs[i]);
				under_way++;
			}
		}
		if (!under_way)
			break;
		pid = waitpid(-1, &status, 0);
		for (unsigned i = 0; i < soak.jobs; i++) {
			if (soak.runs[i].pid == pid) {
				end(&soak.runs[i], status);
				under_way--;
			}
		}
	}
	printf("%u passed, %u failed, 0 skipped\n", soak.passed, soak.failed);
	return soak.failed || !soak.passed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int usage(void)
{
	fputs("usage: soak MINUTES|--rounds K|--seed N [--seed N] [--jobs N] [--logs DIR]\n", stderr);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },  { "rounds", required_argument, NULL, 'r' },
		{ "round", required_argument, NULL, 'o' }, { "jobs", required_argument, NULL, 'j' },
		{ "logs", required_argument, NULL, 'l' },  { 0 },
	};
	bool seeded = false;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'o':
			round_.seed = strtoull(optarg, NULL, 10);
			return rig_main_in_memory(suite);
		case 's':
			soak.first = strtoull(optarg, NULL, 10);
			seeded = true;
			break;
		case 'r':
			soak.rounds = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'j':
			soak.jobs = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'l':
			soak.logs = optarg;
			break;
		default:
			return usage();
		}
	}
	if (optind < argc)
		soak.end = seconds() + strtod(argv[optind], NULL) * 60;
	else if (!soak.rounds && !seeded)
		return usage();
	soak.alone = optind == argc && !soak.rounds;
	soak.rounds = soak.alone ? 1 : soak.rounds;
	soak.jobs = soak.jobs < 1 ? 1 : soak.jobs > JOBS_MAX ? JOBS_MAX : soak.jobs;
	if (!seeded)
		soak.first = ((uint64_t)time(NULL) << 16 | (unsigned)getpid()) & 0xffffffffffff;
	return drive();
}
