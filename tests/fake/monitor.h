/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A monitor of fake-qemu: a listening socket with one client at a time, what that has asked and what it is to be told,
 * and the descriptors that came with it. One batch of these is kept, until a command takes one, which ends the batch, or
 * the next batch comes; names given by getfd are the monitor's and survive its clients.
 */
#ifndef DROVER_TESTS_MONITOR_H
#define DROVER_TESTS_MONITOR_H

#include "base/json.h"

enum { MONITOR_FDS_MAX = 16 };

struct monitor {
	char *id;
	int listener, fd;
	unsigned client; /* counts them */
	bool negotiated, oob;
	struct json_reader *reader;
	struct json_object *requests; /* in-band ones that wait for the main loop */
	struct json_object *last_id;  /* of the request that was answered last */
	int fds[MONITOR_FDS_MAX];     /* the batch */
	size_t n_fds;
	struct json_object *names; /* name -> descriptor */
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
/* Reads what there is, DATA and descriptors; 0 at the end, -1 with errno. */
ssize_t monitor_recv(struct monitor *m, char *data, size_t size);
/* The first of the batch, whose others are closed; -1: none. */
int monitor_take_fd(struct monitor *m);
/* Gives a descriptor a name, instead of another that has it; takes it back, -1: none of this name. */
void monitor_name_fd(struct monitor *m, const char *name, int fd);
int monitor_take_name(struct monitor *m, const char *name);
/* Writes what the socket takes, a chunk at most. */
void monitor_flush(struct monitor *m);

#endif
