/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A client of one QEMU monitor (QMP over a unix socket).
 *
 * It waits for the greeting, negotiates, and from then on is ready: QEMU greets before its machine
 * is built, so readiness is the first reply, not the greeting. Any number of calls may be in flight;
 * each has an id of ours, and the late reply of a forgotten call is dropped. Calls go out in the
 * order of qmp_send(); those made before readiness wait for it. At most one command that carries a
 * descriptor is in flight, and what was sent after it waits for its reply: QEMU may otherwise give
 * one command the other's file. For the same reason a client either enables "oob" or carries
 * descriptors, never both.
 *
 * When the connection ends every call in flight fails with GuestGone (or QemuError, if what is there does not
 * speak QMP), then gone() is called, once. An owner who knows that QEMU lives may say so in lost(): then the calls
 * wait for another connection. Those that had been sent fail once that answers, with Timeout: their replies are lost,
 * and whatever QEMU did of them is done by then. The others are sent.
 * Callbacks come from the loop, or from qmp_close(); qmp_free() is allowed in any of them.
 */
#ifndef DROVER_QMP_CLIENT_H
#define DROVER_QMP_CLIENT_H

#include "base/json.h"

#include <uv.h>

struct qmp;
struct qmp_call;

/* A message as it passes. What it points to is somebody else's. */
struct qmp_message {
	bool sent;                 /* to QEMU */
	struct json_object *value; /* as it is on the wire, of any type when QEMU sent it */
	const char *name; /* of the command that is sent or answered, or of the event; "QMP": a greeting; or NULL */
	int64_t id;       /* of a command and its reply; 0: it has none of ours */
	double latency;   /* seconds between a command and its reply; negative: it is no reply to us */
	const char *operation; /* on whose behalf; or NULL */
	bool descriptor;       /* one goes along */
};

struct qmp_ops {
	/* Negotiation is over: the first reply has come. Optional. */
	void (*ready)(struct qmp *q, void *data);
	/* An event: QAPI name, its data (an object or NULL) and time in seconds since the epoch. */
	void (*event)(struct qmp *q, const char *name, struct json_object *event, double time, void *data);
	/* The connection ended, or the other side does not speak QMP, which E tells. E stays the client's. */
	void (*gone)(struct qmp *q, const struct err *e, void *data);
	/* Optional: the connection ended. True: it is given another by qmp_reconnect(), at once or later, or
	 * closed; then gone() is not called. */
	bool (*lost)(struct qmp *q, const struct err *e, void *data);
	/* Optional: a message is about to be sent, or has come and nothing has been made of it yet. It must not call the
	 * client. */
	void (*passes)(struct qmp *q, const struct qmp_message *m, void *data);
};

/* RET is the reply's "return", or NULL and E says why; both stay the client's. */
typedef void qmp_reply_fn(struct json_object *ret, const struct err *e, void *data);

/* Takes FD, a connected socket; -1: lost from the beginning. OOB: ask for out-of-band execution. */
struct qmp *qmp_new(uv_loop_t *loop, int fd, bool oob, const struct qmp_ops *ops, void *data);
/* Gives FD to a client that is lost. */
void qmp_reconnect(struct qmp *q, int fd);
/* The same with one that a former client has negotiated. Events that it has not read are told of, replies to what it asked are
 * dropped: when the client is ready, they have all come. */
void qmp_resume(struct qmp *q, int fd);
/* The socket if another client can resume on it: it is ready, no message is half-way, no descriptor waits for its reply. Else
 * -1. It stays the client's. */
int qmp_settled_fd(const struct qmp *q);
/* Hangs up: calls in flight fail with GuestGone and gone() is called, at once, as if QEMU had ended. */
void qmp_close(struct qmp *q);
/* Calls in flight are forgotten. Returns NULL. */
struct qmp *qmp_free(struct qmp *q);
bool qmp_is_ready(const struct qmp *q);
bool qmp_is_gone(const struct qmp *q);
/* Whoever waited for a reply in vain says so; the client does for the handshake, after QMP_HANDSHAKE_MS. Nothing
 * happens to the call. From then on it is slow, until the next reply to any call, also a forgotten one. */
enum { QMP_HANDSHAKE_MS = 5000 };
void qmp_expired(struct qmp *q);
bool qmp_is_slow(const struct qmp *q);
/* Not gone, and without a connection. */
bool qmp_is_lost(const struct qmp *q);
/* The connection that answers while this one does not: pinged when a call expires. May be NULL;
 * must outlive this client or be unset. */
void qmp_set_ping(struct qmp *q, struct qmp *oob);

/* Sends COMMAND; consumes ARGS (NULL: none) and FD (-1: none). REPLY, unless it is NULL, is called exactly once unless the
 * call is forgotten, or NULL is returned: the connection has ended. A QEMU error is of class QemuError with QEMU's words, and its class in the further
 * member "qemu-class". */
struct qmp_call *qmp_send(struct qmp *q, const char *command, struct json_object *args, int fd, qmp_reply_fn *reply,
			  void *data);
/* The same on behalf of OPERATION, which is only told to passes(); copied. */
struct qmp_call *qmp_send_for(struct qmp *q, const char *operation, const char *command, struct json_object *args,
			      int fd, qmp_reply_fn *reply, void *data);
/* The same out of band ("exec-oob"), without arguments. */
struct qmp_call *qmp_send_oob(struct qmp *q, const char *operation, const char *command, qmp_reply_fn *reply,
			      void *data);
/* NULL is nothing. */
void qmp_forget(struct qmp_call *call);

/* Called with every event before ops->event. For waits; see qmp/wait.h. */
struct qmp_listener {
	struct qmp_listener *next, **prev;
	uint64_t seen; /* number of the last event it was called for */
	void (*event)(struct qmp_listener *l, const char *name, struct json_object *data);
	/* The connection ended; the listener is off the list already. */
	void (*gone)(struct qmp_listener *l);
};
void qmp_listen(struct qmp *q, struct qmp_listener *l);
void qmp_unlisten(struct qmp_listener *l);

struct qmp *qmp_ping_of(const struct qmp *q);

#endif
