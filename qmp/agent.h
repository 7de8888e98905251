/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Conversations with the agent in a guest (qemu-ga) over its unix socket.
 *
 * Requests go out one after another, in the order of agent_send(). In front of each stands the byte 0xFF, which ends
 * whatever half request the agent may have in its parser, and a guest-sync-delimited with a fresh random number; all
 * that comes up to the 0xFF in front of that very number is what somebody asked before us, and is dropped. Only then
 * the request itself is sent: an agent that hangs and wakes up later finds questions, never orders. Requests carry no
 * "id": agents older than QEMU 3.0 refuse them.
 *
 * What the agent says is the guest's, and hostile: limited in size and depth, and never more than text for people.
 * After an expiry, or an answer that is none, the connection is dropped: what comes late comes to nobody. There is a
 * connection only while a request is under way.
 *
 * Replies come from the loop or from agent_free(), never from within agent_send().
 */
#ifndef DROVER_QMP_AGENT_H
#define DROVER_QMP_AGENT_H

#include "base/json.h"

#include <uv.h>

enum { AGENT_MS = 5000, AGENT_QUEUE_MAX = 16, AGENT_REPLY_MAX = 1 << 20 };

struct agent;
struct agent_call;

/* A connected socket, the client's from here on; or -1 with *e set. */
typedef int agent_connect_fn(void *data, struct err **e);

/* RET is the reply's "return", or NULL and E says why; both stay the client's. The classes: GuestRefused, the agent's
 * own error; Timeout, which says whether the request was sent; GuestGone, the connection ended; GenericError, what
 * came is no answer; or as the connect function has it. */
typedef void agent_reply_fn(struct json_object *ret, const struct err *e, void *data);

struct agent *agent_new(uv_loop_t *loop, agent_connect_fn *connect, void *data);
/* What is under way fails with GuestGone, at once. Returns NULL. */
struct agent *agent_free(struct agent *a);

/* Queues COMMAND; consumes ARGS (NULL: none). MS from now it expires, sent or not. REPLY is called exactly once unless
 * the call is forgotten. NULL and Busy when AGENT_QUEUE_MAX wait already. */
struct agent_call *agent_send(struct agent *a, const char *command, struct json_object *args, unsigned ms,
			      agent_reply_fn *reply, void *data, struct err **e);
/* Nobody wants the reply any more; what was not sent will not be. NULL is nothing. */
void agent_forget(struct agent_call *call);

#endif
