/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `drover top`: one loop that waits for the daemon, the keyboard, signals and, while something runs, for the time of the
 * next question. No request is waited for: what answers it changes what is shown.
 */
#include "cli/text.h"
#include "cli/top_screen.h"
#include "cli/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { INTERVAL_MS = 2000, INTERVAL_MIN_MS = 100, RETRY_MS = 1000, DEEDS_MAX = 16, WORDS_MAX = 8 };

/* A request whose outcome is to be told. */
struct deed {
	int64_t id; /* 0: a free place */
	const struct verb *verb;
	char *name;
};

struct top {
	struct cli *cli;
	struct top_model *model;
	struct top_view view;
	char *host, *trouble, *message;
	int signals;              /* signalfd */
	sigset_t before;          /* the mask that we were started with */
	int64_t interval, next;   /* ms; when the next question, or the next try to connect, is due */
	int64_t list, stats, who; /* ids of questions under way; 0: none */
	bool list_again;          /* something has happened since it was asked */
	struct deed deeds[DEEDS_MAX];
	char *victim; /* the uuid of whom a shutdown is to be confirmed for */
	char *victim_name;
	int ended; /* by this signal */
	bool quit;
	bool changed; /* what is shown */
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Consumes TEXT; NULL: nothing to say. */
static void say(struct top *t, char *text)
{
	free(t->message);
	t->message = text;
	t->changed = true;
}

/* ---- the session ---- */

/* Consumes E. What was under way is not known any more, and is known anew with the next session. */
static void lose(struct top *t, struct err *e)
{
	t->cli->client = client_free(t->cli->client);
	free(t->trouble);
	t->trouble = xasprintf("No daemon: %s. Tried again every second.", e->desc);
	err_free(e);
	t->list = t->stats = t->who = 0;
	for (size_t i = 0; i < DEEDS_MAX; i++) {
		t->deeds[i].id = 0;
		free(TAKE_PTR(t->deeds[i].name));
	}
	t->next = now_ms() + RETRY_MS;
	t->changed = true;
}

/* The id; 0: the session is lost. Consumes ARGUMENTS. */
static int64_t ask(struct top *t, const char *command, struct json_object *arguments)
{
	_cleanup_json_ struct json_object *given = arguments;
	struct err *e = NULL;
	int64_t id = 0;

	if (t->cli->client && !client_send(t->cli->client, command, given, &id, &e))
		lose(t, e);
	return id;
}

static void ask_list(struct top *t)
{
	t->list_again = t->list != 0;
	if (!t->list)
		t->list = ask(t, "query-instances", NULL);
}

static void on_event(struct json_object *event, void *data)
{
	struct top *t = data;

	if (top_take_event(t->model, event))
		t->list_again = true;
	t->changed = true;
}

static void take_list(struct top *t, struct json_object *result)
{
	t->list = 0;
	top_take_instances(t->model, result);
}

static void take_host(struct top *t, struct json_object *result)
{
	const char *name = json_get_str(result, "hostname");

	t->who = 0;
	free(t->host);
	t->host = xstrdup(name);
}

static void take_deed(struct top *t, struct deed *deed, struct json_object *result, struct json_object *error)
{
	_cleanup_err_ struct err *e = error ? err_from_json(error) : NULL;
	_cleanup_free_ char *said = e ? xasprintf("%s (%s)", e->desc, err_class_info(e->class)->name) :
					verb_outcome(deed->verb, result);

	say(t, xasprintf("%s: %s", deed->name, said));
	deed->id = 0;
	free(TAKE_PTR(deed->name));
}

/* What answers nothing: events were lost, as a rule. */
static void take_stray(struct top *t, struct json_object *error)
{
	_cleanup_err_ struct err *e = err_from_json(error);

	t->list_again = true;
	say(t, xstrdup(e->desc));
}

static void on_reply(struct json_object *reply, void *data)
{
	struct top *t = data;
	struct json_object *result = NULL, *error = json_get_typed(reply, "error", json_type_object);
	int64_t id = json_get_int(reply, "id", 0);

	json_object_object_get_ex(reply, "return", &result);
	t->changed = true;
	if (id == 0) {
		if (error)
			take_stray(t, error);
	} else if (id == t->list) {
		take_list(t, result);
	} else if (id == t->who) {
		take_host(t, result);
	} else if (id == t->stats) {
		t->stats = 0;
		top_take_stats(t->model, result);
	} else {
		for (size_t i = 0; i < DEEDS_MAX; i++)
			if (t->deeds[i].id == id)
				take_deed(t, &t->deeds[i], result, error);
	}
}

static bool begin(struct top *t, struct err **e)
{
	struct client *c = cli_client(t->cli, e);

	if (!c)
		return false;
	client_on_event(c, on_event, t);
	client_on_reply(c, on_reply, t);
	free(TAKE_PTR(t->trouble));
	t->next = 0;
	t->who = ask(t, "query-host", NULL);
	ask_list(t);
	t->changed = true;
	return true;
}

/* What is due by the clock. */
static void keep_time(struct top *t)
{
	struct err *e = NULL;

	if (t->list_again)
		ask_list(t);
	if (now_ms() < t->next)
		return;
	if (!t->cli->client) {
		if (!begin(t, &e))
			lose(t, e);
	} else if (!t->stats && top_running(t->model)) {
		t->next = now_ms() + t->interval;
		t->stats = ask(t, "query-stats", NULL);
	}
}

/* How long to wait, for poll(): for ever, where only others can bring news. */
static int patience(const struct top *t)
{
	int64_t left = t->next - now_ms();

	if (t->cli->client && client_buffered(t->cli->client))
		return 0;
	if (t->cli->client && (t->stats || !top_running(t->model)))
		return -1;
	return left > 0 ? (int)left : 0;
}

/* ---- signals ---- */

static void stop(struct top *t)
{
	top_screen_leave();
	raise(SIGSTOP);
	top_screen_resize();
	t->changed = true;
}

static void take_signals(struct top *t)
{
	struct signalfd_siginfo info;

	while (read(t->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGWINCH) {
			top_screen_resize();
			t->changed = true;
		} else if (info.ssi_signo == SIGTSTP) {
			stop(t);
		} else {
			t->ended = (int)info.ssi_signo;
			t->quit = true;
		}
	}
}

static void on_nothing(int signum)
{
}

/* The signals that a terminal and its users send are told of where the loop waits. That they have handlers keeps ncurses'
 * own away, which would lose some of them; those that were ignored stay so. */
static bool watch_signals(struct top *t, struct err **e)
{
	static const int watched[] = { SIGWINCH, SIGTSTP, SIGINT, SIGQUIT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = on_nothing }, old;
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(watched); i++) {
		sigaddset(&set, watched[i]);
		if (sigaction(watched[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(watched[i], &action, NULL);
	}
	sigprocmask(SIG_BLOCK, &set, &t->before);
	t->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return t->signals >= 0 || err_set_errno(e, ERR_GENERIC, errno, "cannot wait for signals");
}

/* ---- the console ---- */

/* "--socket=…" and whatever else says which daemon it is; each the caller's. */
static size_t global_words(const struct top *t, char *words[static WORDS_MAX])
{
	size_t n = 0;

	for (const struct cli_option *o = cli_global_options; o->name && n < WORDS_MAX; o++) {
		const char *value = o->type == OPTION_FLAG ? NULL : args_get(&t->cli->args, o->name);

		if (value)
			words[n++] = xasprintf("--%s=%s", o->name, value);
	}
	return n;
}

/* Instead of this process: `drover console NAME`. */
static _Noreturn void become_console(const struct top *t, char *name)
{
	static char self[] = "drover", verb[] = "console", end[] = "--";
	char *argv[WORDS_MAX + 5] = { self };
	size_t n = 1 + global_words(t, argv + 1);

	argv[n++] = verb;
	argv[n++] = end;
	argv[n++] = name;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	sigprocmask(SIG_SETMASK, &t->before, NULL);
	execv("/proc/self/exe", argv);
	_exit(127);
}

/* Until CHILD has ended; its wait status. A signal that ends us ends it. */
static int await(struct top *t, pid_t child, int pidfd)
{
	int status = 0;
	struct pollfd p[] = { { .fd = pidfd, .events = POLLIN }, { .fd = t->signals, .events = POLLIN } };
	struct signalfd_siginfo info;

	while (poll(p, ARRAY_SIZE(p), -1) < 0 || !p[0].revents) {
		if (read(t->signals, &info, sizeof(info)) != (ssize_t)sizeof(info) || info.ssi_signo == SIGWINCH ||
		    info.ssi_signo == SIGTSTP)
			continue;
		t->ended = (int)info.ssi_signo;
		t->quit = true;
		kill(child, SIGTERM);
	}
	waitpid(child, &status, 0);
	return status;
}

/* What went wrong stands there until it was read. */
static void await_enter(const struct top *t)
{
	struct pollfd p[] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = t->signals, .events = POLLIN } };
	char c = 0;

	fputs("Enter goes back.", stdout);
	fflush(stdout);
	while (c != '\n' && poll(p, ARRAY_SIZE(p), -1) > 0 && p[0].revents && read(STDIN_FILENO, &c, 1) == 1)
		;
}

static void console(struct top *t, const struct top_row *row)
{
	_cleanup_free_ char *name = xstrdup(row->name);
	_cleanup_close_ int pidfd = -1;
	pid_t child;
	int status;

	top_screen_leave();
	fflush(stdout);
	child = fork();
	if (child == 0)
		become_console(t, name);
	pidfd = child > 0 ? (int)syscall(SYS_pidfd_open, child, 0) : -1;
	status = child > 0 ? await(t, child, pidfd) : -1;
	if (status != 0 && !t->quit)
		await_enter(t);
	top_screen_resize();
	t->changed = true;
}

/* ---- keys ---- */

static void act(struct top *t, const char *verb, const char *who, const char *name)
{
	struct json_object *arguments = json_object_new_object();
	size_t i = 0;

	while (i < DEEDS_MAX && t->deeds[i].id)
		i++;
	if (i == DEEDS_MAX || !t->cli->client) {
		json_object_put(arguments);
		say(t, xstrdup(t->cli->client ? "Too much is under way already." : "There is no daemon to ask."));
		return;
	}
	json_add_str(arguments, "instance", who);
	t->deeds[i].verb = verb_find(cli_verbs, verb);
	t->deeds[i].name = xstrdup(name);
	t->deeds[i].id = ask(t, t->deeds[i].verb->command, arguments);
	say(t, xasprintf("%s: %s ...", name, verb));
}

static const char *who_is(const struct top_row *row)
{
	return *row->uuid ? row->uuid : row->name;
}

static void start(struct top *t, const struct top_row *row)
{
	act(t, "start", who_is(row), row->name);
}

static void shutdown_question(struct top *t, const struct top_row *row)
{
	t->victim = xstrdup(who_is(row));
	t->victim_name = xstrdup(row->name);
	say(t, xasprintf("Shut down %s? (y/n)", row->name));
}

static void pause_or_resume(struct top *t, const struct top_row *row)
{
	act(t, str_eq(row->state, "running") ? "pause" : "resume", who_is(row), row->name);
}

static void answer(struct top *t, int key)
{
	_cleanup_free_ char *who = TAKE_PTR(t->victim), *name = TAKE_PTR(t->victim_name);

	say(t, NULL);
	if (key == 'y' || key == 'Y')
		act(t, "shutdown", who, name);
}

/* What is done to the selected instance. */
static const struct {
	int key;
	void (*fn)(struct top *t, const struct top_row *row);
} actions[] = {
	{ 'c', console }, { '\r', console }, { 's', start }, { 'd', shutdown_question }, { 'p', pause_or_resume },
};

static void take_key(struct top *t, int key)
{
	size_t selected = top_selected(t->model);

	t->changed = true;
	if (t->victim) {
		answer(t, key);
		return;
	}
	if (t->view.help || key == '?') {
		t->view.help = !t->view.help;
		return;
	}
	say(t, NULL);
	if (key == 'q')
		t->quit = true;
	else if (key == 'j' || key == TOP_KEY_DOWN)
		top_select(t->model, 1);
	else if (key == 'k' || key == TOP_KEY_UP)
		top_select(t->model, -1);
	else if (key == '<' || key == '>')
		top_sort(t->model, key == '<' ? -1 : 1);
	else if (key == 'r')
		top_turn(t->model);
	for (size_t i = 0; i < ARRAY_SIZE(actions) && selected < t->model->n; i++)
		if (actions[i].key == key)
			actions[i].fn(t, &t->model->rows[selected]);
}

/* ---- the loop ---- */

static void draw(struct top *t)
{
	size_t height, width;
	struct top_line *lines;

	t->view.host = t->host;
	t->view.trouble = t->trouble;
	t->view.message = t->message;
	top_screen_size(&height, &width);
	lines = top_view(t->model, &t->view, height, width);
	top_screen_draw(lines);
	top_lines_free(lines, height);
	t->changed = false;
}

static void turn(struct top *t)
{
	struct pollfd p[] = {
		{ .fd = t->cli->client ? client_fd(t->cli->client) : -1, .events = POLLIN },
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = t->signals, .events = POLLIN },
	};
	struct err *e = NULL;

	if (poll(p, ARRAY_SIZE(p), patience(t)) < 0)
		return;
	if (p[2].revents)
		take_signals(t);
	if (t->cli->client && (p[0].revents || client_buffered(t->cli->client)) && !client_take(t->cli->client, &e))
		lose(t, e);
	for (int key; !t->quit && (key = top_screen_key()) != TOP_KEY_NONE;)
		take_key(t, key);
	if (p[1].revents & (POLLHUP | POLLERR)) /* the terminal is gone */
		t->quit = true;
	if (!t->quit)
		keep_time(t);
}

static void top_clear(struct top *t)
{
	top_screen_close();
	for (size_t i = 0; i < DEEDS_MAX; i++)
		free(t->deeds[i].name);
	top_model_free(t->model);
	free(t->host);
	free(t->trouble);
	free(t->message);
	free(t->victim);
	free(t->victim_name);
	fd_close(t->signals);
}

static bool set_interval(struct top *t, struct err **e)
{
	const char *text = args_get(&t->cli->args, "interval");

	t->interval = text ? (int64_t)(strtod(text, NULL) * 1000) : INTERVAL_MS;
	return t->interval >= INTERVAL_MIN_MS || err_set_usage(e, NULL, "'--interval' takes at least 0.1 seconds");
}

int verb_top(struct cli *cli)
{
	struct top t = { .cli = cli, .model = top_model_new(), .view = { .utf8 = cli->screen.utf8 }, .signals = -1 };
	_cleanup_err_ struct err *e = NULL;
	bool ok = watch_signals(&t, &e) && set_interval(&t, &e) && begin(&t, &e) &&
		  top_screen_open(cli->screen.colour, &e);
	int ended;

	while (ok && !t.quit) {
		if (t.changed)
			draw(&t);
		turn(&t);
	}
	ended = t.ended;
	sigprocmask(SIG_SETMASK, &t.before, NULL);
	top_clear(&t);
	if (ended) {
		signal(ended, SIG_DFL);
		raise(ended); /* as if it had not been waited for */
	}
	return ok ? 0 : cli_fail(cli, NULL, e);
}
