/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/watch.h"

#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* Events seldom come alone. */
static const double settling = 0.1;

double watch_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int milliseconds(double until)
{
	double ms = ceil((until - watch_clock()) * 1000);

	if (ms <= 0)
		return 0;
	return ms < 1e9 ? (int)ms : -1;
}

enum watched watch_wait(const struct client *c, double until)
{
	for (;;) {
		struct pollfd p[2] = { { .fd = client_fd(c), .events = POLLIN }, { .fd = STDOUT_FILENO } };

		if (ferror(stdout))
			return WATCH_UNREAD;
		if (client_buffered(c))
			return WATCH_INPUT;
		poll(p, ARRAY_SIZE(p), milliseconds(until)); /* a signal ends it early, which is no harm */
		if (p[1].revents & (POLLERR | POLLHUP))
			return WATCH_UNREAD;
		if (p[0].revents)
			return WATCH_INPUT;
		if (watch_clock() >= until)
			return WATCH_TIME;
	}
}

static void note_event(struct json_object *event, void *data)
{
	*(bool *)data = true;
}

/* Waits for the next reason to draw. False when nobody reads it any more, or (*E) the daemon is gone. */
static bool wait_reason(struct client *c, const bool *event, double until, struct err **e)
{
	for (;;) {
		switch (watch_wait(c, until)) {
		case WATCH_TIME:
			return true;
		case WATCH_UNREAD:
			return false;
		case WATCH_INPUT:
			break;
		}
		if (!client_wait(c, e))
			return false;
		if (*event)
			until = fmin(until, watch_clock() + settling);
	}
}

int watch_draw(struct cli *cli, bool (*draw)(struct cli *cli, struct err **e), bool on_events, double every)
{
	_cleanup_err_ struct err *e = NULL;
	struct client *c = cli_client(cli, &e);
	bool event, ignored, first = true;

	if (!c)
		return cli_fail(cli, NULL, e);
	client_on_event(c, note_event, on_events ? &event : &ignored);
	do {
		event = false;
		if (cli->screen.tty && !cli->screen.dumb)
			fputs("\033[H\033[J", stdout);
		else if (!first && !cli->json)
			putchar('\n');
		first = false;
		cli_measure(cli);
		if (!draw(cli, &e))
			break;
		fflush(stdout);
	} while (wait_reason(c, &event, watch_clock() + every, &e));
	return e ? cli_fail(cli, NULL, e) : 0;
}
