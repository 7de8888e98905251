/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Verbs that stay: the wait for what the daemon says by itself, and tables that are drawn again.
 */
#ifndef DROVER_CLI_WATCH_H
#define DROVER_CLI_WATCH_H

#include "cli/cli.h"

/* The monotonic clock, in seconds. */
double watch_clock(void);

enum watched {
	WATCH_INPUT,  /* client_wait() finds something */
	WATCH_TIME,   /* the time has come */
	WATCH_UNREAD, /* nobody reads our output any more */
};

/* UNTIL by watch_clock(); INFINITY: for ever. */
enum watched watch_wait(const struct client *c, double until);

/* Draws with DRAW, and again when an event has come and after EVERY seconds (INFINITY: never), until nobody reads it or
 * something fails. On a terminal the screen is cleared before. Gives the exit status. */
int watch_draw(struct cli *cli, bool (*draw)(struct cli *cli, struct err **e), bool on_events, double every);

#endif
