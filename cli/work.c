/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/work.h"

#include "cli/text.h"
#include "cli/verbs.h"
#include "cli/watch.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BAR = 20 };

/* What takes no longer than that needs no line; and how often the line is drawn. */
static const double patience = 1, tick = 0.5;

/* What the signal handler needs. */
static struct {
	volatile sig_atomic_t times;
	char farewell[256];
} interrupt;

struct work {
	struct cli *cli;
	const char *subject;
	char *id;
	double since;
	bool drawn, asked; /* there is a line; the cancel was asked for */
	bool event;
	struct sigaction old;
};

bool work_interrupted(void)
{
	return interrupt.times > 0;
}

static void on_interrupt(int signum)
{
	ssize_t n;

	if (interrupt.times++ == 0)
		return;
	n = write(STDERR_FILENO, interrupt.farewell, strlen(interrupt.farewell));
	(void)n;
	signal(signum, SIG_DFL);
	raise(signum); /* it ends us as soon as this returns */
}

/* ---- the line ---- */

static char *bar_of(int64_t now, int64_t all)
{
	char bar[BAR + 1];

	if (all <= 0 || now < 0 || now > all)
		return NULL;
	memset(bar, '-', BAR);
	memset(bar, '#', (size_t)((double)now / (double)all * BAR));
	bar[BAR] = '\0';
	if (all <= 100) /* steps; else bytes */
		return xasprintf("  [%s] %d/%d", bar, (int)now, (int)all);
	return xasprintf("  [%s] %d%%", bar, (int)((double)now / (double)all * 100));
}

char *work_line(const char *subject, struct json_object *job, double seconds)
{
	const char *type = json_get_str(job, "type"), *step = json_get_str(job, "step");
	bool queued = str_eq(json_get_str(job, "status"), "created"),
	     back = str_eq(json_get_str(job, "status"), "aborting");
	_cleanup_free_ char *bar = queued ? NULL :
					    bar_of(json_get_int(job, "current-progress", -1),
						   json_get_int(job, "total-progress", 0));
	_cleanup_free_ char *time = text_duration(seconds);
	_cleanup_free_ char *line = xasprintf("%s: %s: %s%s  %s%s", subject, type ? type : "-",
					      back ? "going back: " : "",
					      queued ? "waits for its turn" :
					      step   ? step :
						       "-",
					      time, bar ? bar : "");

	return text_plain(line, "");
}

static void clear_line(struct work *w)
{
	if (w->drawn)
		fputs("\r\033[K", stderr);
	w->drawn = false;
}

static void draw_line(struct work *w, struct json_object *job)
{
	double seconds = watch_clock() - w->since;
	_cleanup_free_ char *line = work_line(w->subject, job, seconds);
	_cleanup_free_ char *cut = text_cut(line, cli_width(STDERR_FILENO) - 1, "~");

	if (seconds < patience || w->cli->screen.dumb)
		return;
	clear_line(w);
	fputs(cut, stderr);
	w->drawn = true;
}

/* ---- the job ---- */

static void note_status(struct json_object *event, void *data)
{
	struct work *w = data;

	if (str_eq(json_get_str(event, "event"), "JOB_STATUS_CHANGE") &&
	    str_eq(json_get_str(json_get_typed(event, "data", json_type_object), "id"), w->id))
		w->event = true;
}

/* The job as query-jobs has it, the caller's; NULL with *e set. */
static struct json_object *look(struct work *w, struct err **e)
{
	_cleanup_json_ struct json_object *list = NULL;

	if (!cli_call(w->cli, "query-jobs", NULL, &list, e))
		return NULL;
	for (size_t i = 0; i < json_length(list); i++) {
		struct json_object *job = json_object_array_get_idx(list, i);

		if (str_eq(json_get_str(job, "id"), w->id))
			return json_object_get(job);
	}
	err_set(e, ERR_NOT_FOUND, "job '%s' is gone, dismissed by somebody else", w->id);
	return NULL;
}

static struct json_object *id_of(const struct work *w)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "id", w->id);
	return o;
}

static bool ask_cancel(struct work *w, struct err **e)
{
	_cleanup_json_ struct json_object *arguments = id_of(w), *result = NULL;
	_cleanup_err_ struct err *why = NULL;
	bool ok = cli_call(w->cli, "job-cancel", arguments, &result, &why);
	_cleanup_free_ char *plain = text_plain(ok ? "" : why->desc, "");

	w->asked = true;
	clear_line(w);
	if (!ok && why->class == ERR_UNAVAILABLE) {
		err_keep_first(e, TAKE_PTR(why));
		return false;
	}
	if (ok)
		fprintf(stderr, "%s: asked to take it back; ^C again leaves it alone\n", w->subject);
	else
		fprintf(stderr, "%s: it goes on (%s); ^C again leaves it alone\n", w->subject, plain);
	return true;
}

/* Waits for an event of the job, the next tick, or ^C. */
static bool wait_news(struct work *w, struct err **e)
{
	double until = watch_clock() + tick;

	while (!w->event && (w->asked || !work_interrupted())) {
		if (watch_wait(w->cli->client, until) != WATCH_INPUT)
			return true; /* it goes on also where nobody reads */
		if (!client_wait(w->cli->client, e))
			return false;
	}
	return true;
}

/* As the reply to an ordinary request would be. It is no longer true that anything goes on. */
static bool conclude(struct work *w, struct json_object *job, struct json_object **ret, struct err **e)
{
	_cleanup_json_ struct json_object *arguments = id_of(w), *nothing = NULL;
	struct json_object *error = NULL, *result = NULL;

	sigaction(SIGINT, &w->old, NULL);
	cli_call(w->cli, "job-dismiss", arguments, &nothing, NULL);
	if (json_object_object_get_ex(job, "error", &error)) {
		if (e)
			*e = err_from_json(error);
		return false;
	}
	json_object_object_get_ex(job, "result", &result);
	*ret = json_object_get(result);
	return true;
}

static bool follow(struct work *w, struct json_object **ret, struct err **e)
{
	for (;;) {
		_cleanup_json_ struct json_object *job = NULL;

		w->event = false;
		job = look(w, e);
		if (!job)
			return false;
		if (str_eq(json_get_str(job, "status"), "concluded"))
			return conclude(w, job, ret, e);
		if (json_get_bool(job, "stalled", false)) {
			err_set(e, ERR_TIMEOUT,
				"QEMU does not answer; nothing was undone, job '%s' goes on when it does", w->id);
			if (e)
				err_add(*e, "stalled", json_object_new_boolean(true));
			return false;
		}
		draw_line(w, job);
		if (work_interrupted() && !w->asked && !ask_cancel(w, e))
			return false;
		if (!wait_news(w, e))
			return false;
	}
}

/* Nobody is there to tell what becomes of a job that was begun; the next droverd takes it up, or back. */
static void tell_where(const struct work *w, struct err *e)
{
	_cleanup_free_ char *hint = xasprintf("'drover jobs' shows it as %s when droverd is back", w->id);

	if (e->class != ERR_UNAVAILABLE)
		return;
	err_prefix(e, "'%s' may go on", w->cli->args.verb->command);
	err_add(e, "hint", json_object_new_string(hint));
}

static bool run(struct work *w, struct json_object *arguments, struct json_object **ret, struct err **e)
{
	struct sigaction action = { .sa_handler = on_interrupt };
	_cleanup_json_ struct json_object *accepted = NULL;
	bool ok;

	snprintf(
		interrupt.farewell, sizeof(interrupt.farewell),
		"\ndrover: it goes on without you; 'drover jobs' shows it as %s, 'drover jobs dismiss %s' forgets it\n",
		w->id, w->id);
	interrupt.times = 0;
	sigaction(SIGINT, NULL, &w->old);
	if (w->old.sa_handler != SIG_IGN)
		sigaction(SIGINT, &action, NULL);
	client_on_event(w->cli->client, note_status, w);
	ok = cli_call(w->cli, w->cli->args.verb->command, arguments, &accepted, e);
	if (ok && !follow(w, ret, e)) {
		tell_where(w, *e);
		ok = false;
	}
	client_on_event(w->cli->client, NULL, NULL);
	sigaction(SIGINT, &w->old, NULL);
	clear_line(w);
	return ok;
}

bool work_call(struct cli *cli, const char *subject, struct json_object *arguments, struct json_object **ret,
	       struct err **e)
{
	struct work w = { .cli = cli, .subject = subject, .since = watch_clock() };
	static unsigned n;
	bool ok;

	if (!cli->args.verb->lengthy || cli->json || !isatty(STDERR_FILENO))
		return cli_call(cli, cli->args.verb->command, arguments, ret, e);
	if (!cli_client(cli, e))
		return false;
	w.id = xasprintf("cli-%d-%llx-%u", getpid(), (unsigned long long)time_now(), ++n);
	json_add_str(arguments, "job-id", w.id);
	ok = run(&w, arguments, ret, e);
	free(w.id);
	return ok;
}
