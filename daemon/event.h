/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events: numbered from the start of the daemon, sent to every session, the last 4096 kept as text.
 */
#ifndef DROVER_DAEMON_EVENT_H
#define DROVER_DAEMON_EVENT_H

#include "base/json.h"

struct daemon;

enum { EVENTS_KEPT = 4096 };

struct events {
	char *text[EVENTS_KEPT]; /* that of seq N at N % EVENTS_KEPT */
	int64_t last;            /* 0: none yet */
};

/* Consumes DATA. */
void event_emit(struct daemon *d, const char *name, struct json_object *data);
/* The first seq that is kept. */
int64_t event_oldest(const struct daemon *d);
/* [events with seq > SINCE]; false and Gap when some of them are gone. EPOCH NULL: this run's. */
bool event_since(struct daemon *d, int64_t since, const char *epoch, struct json_object **ret, struct err **e);
/* Gap, with its members. */
void event_gap(struct daemon *d, struct err **e);

#endif
