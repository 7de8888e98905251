/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A monitor of fake-qemu: a listening socket with one client at a time, what that has asked and what it is to be told.
 */
#ifndef DROVER_TESTS_MONITOR_H
#define DROVER_TESTS_MONITOR_H

#include "base/json.h"

struct monitor {
	char *id;
	int listener, fd;
	unsigned client; /* counts them */
	bool negotiated, oob;
	struct json_reader *reader;
	struct json_object *requests; /* in-band ones that wait for the main loop */
	char *out;
	size_t out_len, chunk; /* chunk: at most so much at a time; 0: all */
};

/* False when nobody waits. */
bool monitor_accept(struct monitor *m);
/* Hangs up, if there is a client, and forgets what it asked. */
void monitor_close(struct monitor *m);
/* Queues; for nobody without a client, or where M is NULL. */
void monitor_write(struct monitor *m, const char *text);
void monitor_send(struct monitor *m, struct json_object *o);
/* Writes what the socket takes, a chunk at most. */
void monitor_flush(struct monitor *m);

#endif
