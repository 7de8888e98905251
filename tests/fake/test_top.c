/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `drover top` on a terminal: what is to be seen of instances that come, go and run, keys, sizes, a daemon that dies, a
 * QEMU that does not answer; that it sleeps while nothing happens; that the terminal is as it was, however it ends.
 */
#include "stage.h"
#include "tty.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROWS = 24, COLUMNS = 90, TEST_S = 120 };

static struct tty *tty;

static void clear(void)
{
	tty_free(tty);
	tty = NULL;
	stage_clear();
}

/* `drover top` on a terminal of this size. */
static void top_on(const char *term, int rows, int columns)
{
	_cleanup_free_ char *drover = rig_program("drover"), *path = xasprintf("%s/run/drover.sock", stage.r->root);
	const char *const argv[] = { drover, "--socket", path, "top", "--interval", "0.1", NULL };

	tty = tty_run(term, rows, columns, argv);
}

static void top(void)
{
	top_on("xterm", ROWS, COLUMNS);
	tty_await_text(tty, "q quit");
}

/* A droverd with "db", which is off, and "web", whose QEMU does as WORDS say, and runs. */
static void set(const char *words)
{
	stage_set("%s", "");
	stage_define("db", "%s", "ro");
	stage_define("web", "%s", words);
	stage_start("web");
}

static void quit(void)
{
	int status;

	tty_type(tty, "q");
	status = tty_end(tty);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status 0x%x", (unsigned)status);
}

/* The words of the row that begins with NAME, "" if there is none; the caller's. */
static char *row_of(const struct tty *t, const char *name)
{
	for (int y = 1; y < 5; y++) {
		_cleanup_free_ char *line = tty_line(t, y);

		if (str_starts(line, name) && line[strlen(name)] == ' ')
			return TAKE_PTR(line);
	}
	return xstrdup("");
}

/* ---- what is to be seen ---- */

static bool web_has_numbers(struct tty *t, const void *data)
{
	_cleanup_free_ char *line = row_of(t, "web");
	double cpu;
	char memory[16];

	/* NOLINTNEXTLINE(cert-err34-c): it is a number or it is not */
	return sscanf(line, "web running %lf %15s", &cpu, memory) == 2 && strpbrk(memory, "KM");
}

static void await_host(void)
{
	char host[65] = "";

	ck_assert_int_eq(gethostname(host, sizeof(host) - 1), 0);
	tty_await_text(tty, host);
}

START_TEST(shows)
{
	set("ro");
	top();
	await_host();
	tty_await_text(tty, "2 instances: 1 running, 1 shutoff");
	tty_await(tty, web_has_numbers, NULL, "numbers of web");
	ck_assert_int_ge(tty_find(tty, "*CPU%"), 0);
	/* What happens is followed, and told. */
	stage_define("new", "%s", "ro");
	tty_await_text(tty, "3 instances: 1 running, 2 shutoff");
	tty_await_text(tty, "INSTANCE_DEFINED  new");
	json_object_put(client_ok(stage.c, "instance-stop", "{'instance': 'web'}"));
	tty_await_text(tty, "3 instances: 3 shutoff");
	tty_await_text(tty, "INSTANCE_STATE  web  state=shutoff");
	json_object_put(client_ok(stage.c, "instance-undefine", "{'instance': 'web'}"));
	tty_await_text(tty, "2 instances: 2 shutoff");
	quit();
}
END_TEST

/* What QEMU and the guest say reaches the terminal spelt out. */
START_TEST(escapes)
{
	set("fake.event=query-blockstats:STRANGE:{`text`:`\\u001b[2J\\u009b31m`}");
	top();
	tty_await_text(tty, "STRANGE");
	tty_await_text(tty, "\\u001b[2J\\u009b31m");
	quit();
}
END_TEST

/* Stale, while the keys work on. */
START_TEST(does_not_answer)
{
	set("fake.hang=query-blockstats#3");
	top();
	tty_await_text(tty, "running, stale");
	tty_type(tty, "?");
	tty_await_text(tty, "its console");
	tty_type(tty, "?");
	tty_await_text(tty, "running, stale");
	quit();
}
END_TEST

/* ---- keys ---- */

static bool is_selected(struct tty *t, const void *name)
{
	for (int y = 1; y < 5; y++) {
		_cleanup_free_ char *line = tty_line(t, y);

		if (str_starts(line, name))
			return tty_is_reverse(t, y);
	}
	return false;
}

static bool is_first(struct tty *t, const void *name)
{
	_cleanup_free_ char *line = tty_line(t, 2);

	return str_starts(line, name);
}

START_TEST(moves_and_sorts)
{
	set("ro");
	top();
	tty_await(tty, web_has_numbers, NULL, "numbers of web");
	tty_type(tty, "k");
	tty_await(tty, is_selected, "web", "web is selected"); /* it uses something, so it is first */
	tty_type(tty, "\033OB");
	tty_await(tty, is_selected, "db", "db is selected");
	tty_type(tty, "\033OA");
	tty_await(tty, is_selected, "web", "web is selected");
	tty_type(tty, "j");
	tty_await(tty, is_selected, "db", "db is selected");
	tty_type(tty, ">");
	tty_await_text(tty, "*MEMORY");
	tty_type(tty, "<<<");
	tty_await_text(tty, "*NAME");
	tty_await(tty, is_first, "db", "db is the first");
	tty_type(tty, "r");
	tty_await(tty, is_first, "web", "web is the first");
	tty_await(tty, is_selected, "db", "db is selected");
	quit();
}
END_TEST

START_TEST(acts)
{
	set("ro");
	top();
	tty_await(tty, web_has_numbers, NULL, "numbers of web");
	tty_type(tty, "kp");
	tty_await_text(tty, "web: paused");
	client_await_state(stage.c, "web", "paused", NULL);
	tty_await_text(tty, "1 paused");
	tty_type(tty, "p");
	tty_await_text(tty, "web: running");
	stage_check_state("web", "running", "resumed");
	/* Only y shuts down. */
	tty_type(tty, "d");
	tty_await_text(tty, "Shut down web? (y/n)");
	tty_type(tty, "q");
	tty_await_no_text(tty, "Shut down web?");
	stage_check_state("web", "running", "resumed");
	tty_type(tty, "dy");
	tty_await_text(tty, "web: shutoff, by acpi");
	stage_check_state("web", "shutoff", "admin");
	tty_type(tty, "s");
	tty_await_text(tty, "web: running");
	stage_check_state("web", "running", "booted");
	tty_type(tty, "s");
	tty_await_text(tty, "web: already running");
	tty_await(tty, web_has_numbers, NULL, "numbers of web");
	/* What is refused is told. */
	tty_type(tty, "j");
	tty_await(tty, is_selected, "db", "db is selected");
	tty_type(tty, "p");
	tty_await_text(tty, "(WrongState)");
	quit();
}
END_TEST

/* It does not work; one can read why, and goes back. */
START_TEST(no_console)
{
	stage_set("%s", "");
	stage_define("db", "%s", "ro");
	top();
	tty_await_text(tty, "1 instance: 1 shutoff");
	tty_type(tty, "\r");
	tty_await_text(tty, "Enter goes back.");
	tty_await_text(tty, "(WrongState)");
	ck_assert(!tty_is_full_screen(tty));
	ck_assert(tty_is_cooked(tty));
	tty_type(tty, "\r");
	tty_await_text(tty, "1 instance: 1 shutoff");
	ck_assert(tty_is_full_screen(tty));
	quit();
}
END_TEST

/* ---- sizes ---- */

static bool is_small(struct tty *t, const void *data)
{
	_cleanup_free_ char *text = tty_text(t), *line = xasprintf("%s  2 insta", (const char *)data);

	return strncmp(text, line, strlen(line) < 18 ? strlen(line) : 18) == 0 && tty_find(t, "*NAME  STATE") == 1 &&
	       tty_find(t, "db ") == 2 && tty_find(t, "web ") == 3 && tty_find(t, "q quit") == 4;
}

static bool is_large(struct tty *t, const void *data)
{
	return tty_find(t, "#") < 0 && tty_find(t, "*NAME") == 1 && tty_find(t, "TX/s") == 1 &&
	       tty_find(t, "NO EVENTS YET") == 26 && tty_find(t, "q quit") == 39;
}

/* As large as it is, while it runs and from the beginning; whatever the terminal made of what was there. */
START_TEST(sizes)
{
	char host[65] = "";

	set("ro");
	ck_assert_int_eq(gethostname(host, sizeof(host) - 1), 0);
	top();
	tty_await(tty, web_has_numbers, NULL, "numbers of web");
	tty_type(tty, "<<"); /* by name */
	tty_await_text(tty, "*NAME");
	tty_resize(tty, 5, 20);
	tty_await(tty, is_small, host, "five lines of twenty");
	tty_resize(tty, 40, 200);
	tty_await(tty, is_large, NULL, "forty lines");
	tty_resize(tty, 1, 1);
	tty_resize(tty, 3, 30);
	tty_await_text(tty, "q quit");
	tty_await_no_text(tty, "#");
	ck_assert_int_eq(tty_find(tty, "q quit"), 2);
	quit();
	tty_free(tty);
	top_on("xterm", 5, 20);
	tty_await_text(tty, "web ");
	ck_assert_int_eq(tty_find(tty, "q quit"), 4);
	quit();
}
END_TEST

/* ---- sleep ---- */

/* Nanoseconds for which it has had a processor. */
static unsigned long long ran(void)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/schedstat", tty_pid(tty));
	FILE *f = fopen(path, "re");
	unsigned long long n = 0;

	ck_assert_ptr_nonnull(f);
	/* NOLINTNEXTLINE(cert-err34-c): the kernel writes numbers */
	ck_assert_int_eq(fscanf(f, "%llu", &n), 1);
	fclose(f);
	return n;
}

/* Three intervals long it has not run: what it was about to do is done. */
static bool sleeps(struct tty *t, const void *data)
{
	unsigned long long before = ran();

	usleep(300000);
	return ran() == before;
}

/* Ten intervals long it does not run, but for what it may have been about to do still: once in three times. */
static void check_idle(void)
{
	enum { LONG_US = 1000000, TRIES = 3 };
	unsigned long long before = 0, after = 1;
	size_t drawn = 1;

	for (int i = 0; i < TRIES && (after != before || drawn > 0); i++) {
		tty_await(tty, sleeps, NULL, "asleep");
		before = ran();
		usleep(LONG_US);
		after = ran();
		drawn = tty_read(tty);
	}
	ck_assert_uint_eq(after, before);
	ck_assert_uint_eq(drawn, 0);
}

static bool has_run(struct tty *t, const void *data)
{
	return ran() > *(const unsigned long long *)data;
}

/* Nothing is asked and nothing drawn while nothing runs; with a guest it is asked for numbers, without anything else. */
START_TEST(idle)
{
	unsigned long long before;

	stage_set("%s", "");
	stage_define("web", "%s", "ro");
	top();
	await_host();
	tty_await_text(tty, "1 instance: 1 shutoff");
	check_idle();
	stage_start("web");
	tty_await(tty, web_has_numbers, NULL, "numbers of web");
	before = ran();
	tty_await(tty, has_run, &before, "asked again");
	json_object_put(client_ok(stage.c, "instance-pause", "{'instance': 'web'}"));
	tty_await_text(tty, "1 paused");
	check_idle();
	quit();
}
END_TEST

/* ---- ends ---- */

START_TEST(daemon_dies)
{
	set("ro");
	top();
	tty_await(tty, web_has_numbers, NULL, "numbers of web");
	stage_kill();
	tty_await_text(tty, "No daemon: ");
	tty_await_text(tty, "1 running"); /* the last that is known */
	tty_type(tty, "s");
	tty_resize(tty, ROWS + 1, COLUMNS);
	tty_await_text(tty, "No daemon: ");
	stage_restart();
	tty_await_no_text(tty, "No daemon: ");
	json_object_put(client_ok(stage.c, "instance-stop", "{'instance': 'web'}"));
	tty_await_text(tty, "2 instances: 2 shutoff");
	stage_kill();
	tty_await_text(tty, "No daemon: ");
	quit();
}
END_TEST

static void check_restored(void)
{
	ck_assert(!tty_is_full_screen(tty));
	ck_assert(tty_shows_cursor(tty));
}

static const struct {
	int signum;
	const char *keys;
} ends[] = { { SIGTERM, NULL },   { SIGHUP, NULL },  { SIGINT, "\003" },
	     { SIGQUIT, "\034" }, { SIGSEGV, NULL }, { SIGABRT, NULL } };

START_TEST(restores)
{
	int status;

	set("ro");
	top();
	ck_assert(tty_is_full_screen(tty) && !tty_shows_cursor(tty) && !tty_is_cooked(tty));
	if (ends[_i].keys)
		tty_type(tty, ends[_i].keys);
	else
		kill(tty_pid(tty), ends[_i].signum);
	status = tty_end(tty);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == ends[_i].signum, "status 0x%x", (unsigned)status);
	check_restored();
	ck_assert(tty_is_cooked(tty));
}
END_TEST

START_TEST(restores_at_q)
{
	set("ro");
	top();
	quit();
	check_restored();
	ck_assert(tty_is_cooked(tty));
}
END_TEST

static bool is_stopped(struct tty *t, const void *data)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t)tty_pid(t), &info, WSTOPPED | WNOHANG | WNOWAIT) == 0 && info.si_pid == tty_pid(t);
}

/* ^Z, and back. */
START_TEST(stops)
{
	set("ro");
	top();
	tty_type(tty, "\032");
	tty_await(tty, is_stopped, NULL, "stopped");
	tty_read(tty);
	check_restored();
	ck_assert(tty_is_cooked(tty));
	stage_define("new", "%s", "ro");
	kill(tty_pid(tty), SIGCONT);
	tty_await_text(tty, "3 instances");
	ck_assert(tty_is_full_screen(tty));
	quit();
	check_restored();
}
END_TEST

/* ---- no terminal for that ---- */

START_TEST(no_terminal)
{
	static const char *const terms[] = { "dumb", "no-such-terminal", "" };
	_cleanup_free_ char *drover = rig_program("drover"), *line = NULL;
	int status;

	stage_set("%s", "");
	top_on(terms[_i], ROWS, COLUMNS);
	status = tty_end(tty);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 10, "status 0x%x", (unsigned)status);
	ck_assert_int_ge(tty_find(tty, "'drover stats'"), 0);
	ck_assert(!tty_is_full_screen(tty));
	line = xasprintf("%s --socket %s/run/drover.sock top > /dev/null 2> %s/said < /dev/null", drover, stage.r->root,
			 stage.r->root);
	ck_assert_int_eq(WEXITSTATUS(system(line)), 10);
	stage_await_text("said", "'drover stats'");
}
END_TEST

static Suite *make(void)
{
	Suite *s = suite_create("drover top");
	TCase *tc = tcase_create("top");

	tcase_set_timeout(tc, TEST_S);
	tcase_add_checked_fixture(tc, NULL, clear);
	tcase_add_test(tc, shows);
	tcase_add_test(tc, escapes);
	tcase_add_test(tc, does_not_answer);
	tcase_add_test(tc, moves_and_sorts);
	tcase_add_test(tc, acts);
	tcase_add_test(tc, no_console);
	tcase_add_test(tc, sizes);
	tcase_add_test(tc, idle);
	tcase_add_test(tc, daemon_dies);
	tcase_add_loop_test(tc, restores, 0, (int)ARRAY_SIZE(ends));
	tcase_add_test(tc, restores_at_q);
	tcase_add_test(tc, stops);
	tcase_add_loop_test(tc, no_terminal, 0, 3);
	suite_add_tcase(s, tc);
	return s;
}

RIG_MAIN(make)
