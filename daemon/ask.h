/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A reply that comes later than its request and belongs to no operation: of commands that ask QEMU, a guest agent or
 * a helper program. It is queued behind nothing and holds nothing up; a client that hangs up meanwhile is no error.
 */
#ifndef DROVER_DAEMON_ASK_H
#define DROVER_DAEMON_ASK_H

#include "daemon/command.h"

struct ask;

/* The reply to the request that is being dispatched is owed by whoever holds the result. */
struct ask *ask_new(struct daemon *d, struct session *s, struct json_object *request_id, bool has_id);
/* Sends it, if the client is still there, and frees ASK. Consumes RET and E; one of them is NULL. Never from inside
 * the command's ask(). */
void ask_reply(struct ask *ask, struct json_object *ret, struct err *e);
/* The request was refused at once: somebody else has answered it. */
void ask_free(struct ask *ask);
/* GONE: the client has hung up before the reply; there is nobody to wait for, and ASK is to be freed. */
void ask_on_gone(struct ask *ask, void (*gone)(void *data), void *data);
/* A session is gone. */
void ask_forget_session(struct daemon *d, struct session *s);

#endif
