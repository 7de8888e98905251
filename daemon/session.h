/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A session: one client on the socket.
 *
 * Requests with an id run side by side, those without one after another. Nothing is read while 64 are in
 * flight or 1 MiB waits for the client to take it: an answer is larger than its question. Events go out
 * unless 4 MiB wait already; the client is told when it reads again.
 */
#ifndef DROVER_DAEMON_SESSION_H
#define DROVER_DAEMON_SESSION_H

#include "daemon/daemon.h"

enum { SESSIONS_MAX = 256, REQUESTS_MAX = 64, OUT_MAX = 1 << 20, EVENT_QUEUE_MAX = 4 << 20 };

/* Takes FD, a connected socket. */
void session_new(struct daemon *d, int fd);
void session_broadcast(struct daemon *d, struct json_object *event);
/* Answers one request; consumes RET, E. HAS_ID: ID may be NULL for JSON's null. */
void session_reply(struct session *s, struct json_object *ret, struct err *e, struct json_object *id, bool has_id);
void session_peer(struct session *s, uid_t *uid, pid_t *pid);
bool session_is_negotiated(const struct session *s);
void session_negotiated(struct session *s);
/* The number of requests in flight. */
unsigned session_requests(const struct session *s);
/* Gives the socket away after what was sent; the session is freed. */
void session_detach(struct session *s, int *fd, char **in, size_t *in_len, char **out, size_t *out_len);

/* dispatch.c: one request, an object or anything else. */
void dispatch(struct session *s, struct daemon *d, struct json_object *value);

#endif
