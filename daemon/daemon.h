/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon: what hangs together at the top.
 */
#ifndef DROVER_DAEMON_DAEMON_H
#define DROVER_DAEMON_DAEMON_H

#include "base/queue.h"
#include "daemon/config.h"
#include "daemon/event.h"
#include "runtime/instance.h"

#include <sys/queue.h>

struct session;
struct job;
struct ask;

struct daemon {
	uv_loop_t *loop;
	struct runtime rt;
	struct queues *queues;
	struct events events;
	struct config config;
	char epoch[37]; /* a uuid of this run */

	uv_poll_t listener;
	int listen_fd, lock_fd;
	int spare_fd;         /* to be closed where there is no other for a client */
	bool crowded;         /* no client was let in since that was said */
	uv_timer_t listen_on; /* after a pause */
	uv_timer_t watchdog;  /* if a service manager wants it; see service.c */
	uv_timer_t comparer;  /* of the machines that were found; see recover.c */
	uv_timer_t collector; /* while there is an end that could not be recorded; see follow.c */
	LIST_HEAD(session_list, session) sessions;
	unsigned n_sessions;
	LIST_HEAD(ask_list, ask) asks; /* replies owed */

	TAILQ_HEAD(job_list, job) jobs; /* in the order of their beginning */
	int64_t last_job, numbers;      /* given; reserved */
	unsigned n_concluded;
};

/* The process that holds the lock of this root. False with *e set. */
bool daemon_open(struct daemon *d, uv_loop_t *loop, const char *root, struct err **e);
/* On the socket that the service manager has given (service_begin()), or one of our own. */
bool listener_open(struct daemon *d, struct err **e);
/* Loads all definitions, adopts what runs, takes up what was interrupted. */
void recover(struct daemon *d);

/* {"qemu": {"major": ...}, "package": ...} */
struct json_object *daemon_version(void);

#endif
