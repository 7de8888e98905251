/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Waits of an operation on a QEMU monitor.
 *
 * A monitor that is gone fails a step with GuestGone, and lets an undo succeed: what was in QEMU died
 * with it. A call that expires is in doubt, not failed: the second monitor is pinged out of band. If
 * that answers, QEMU is slow and the call is waited for ten times its limit; if not, or after that,
 * the operation is stalled until the reply comes or QEMU dies. No undo is ever sent behind a command
 * whose fate is unknown.
 */
#ifndef DROVER_QMP_WAIT_H
#define DROVER_QMP_WAIT_H

#include "base/op.h"
#include "qmp/client.h"

/* Sees the reply; OP_FAIL by way of op_fail() fails the step. */
typedef enum verdict qmp_then_fn(struct op *op, struct json_object *ret, void *arg);

/* Sends COMMAND and waits for its reply. Consumes ARGS. THEN may be NULL; ARG is for it. */
enum verdict qmp_call(struct op *op, struct qmp *q, const char *command, struct json_object *args, qmp_then_fn *then,
		      void *arg);
/* The same with a descriptor, consumed. */
enum verdict qmp_call_fd(struct op *op, struct qmp *q, const char *command, struct json_object *args, int fd,
			 qmp_then_fn *then, void *arg);

/* The same for a probe that knows something also of a QEMU which is gone, or ends before it replies: DEAD decides then, at
 * once. */
enum verdict qmp_call_or(struct op *op, struct qmp *q, const char *command, qmp_then_fn *then, step_fn *dead,
			 void *arg);

/* The same for the block nodes that there are: query-named-block-nodes without what is below each of them. */
enum verdict qmp_call_nodes(struct op *op, struct qmp *q, qmp_then_fn *then, void *arg);

/* The same for what takes something away: success also when it is not there, or QEMU is not there any more. A block node
 * that is in use is asked for again for some seconds. */
enum verdict qmp_remove(struct op *op, struct qmp *q, const char *command, struct json_object *args);
/* With an eye on what is returned of it, if it is there. */
enum verdict qmp_remove_then(struct op *op, struct qmp *q, const char *command, struct json_object *args,
			     qmp_then_fn *then, void *arg);
/* Whether QEMU's refusal says that there is nothing of that name. */
bool qmp_says_absent(const struct err *e);

/* True when the event is the one that is waited for. */
typedef bool qmp_match_fn(struct json_object *data, void *arg);

/* Sends COMMAND and waits for its reply and for EVENT, in whichever order they come: the listener is
 * armed before the command is sent. COMMAND NULL: only the event. An error reply ends the wait. A cancel
 * ends it once the reply has come. */
enum verdict qmp_call_until(struct op *op, struct qmp *q, const char *command, struct json_object *args,
			    const char *event, qmp_match_fn *match, void *arg);

/* Waits until the client has negotiated. */
enum verdict qmp_wait_ready(struct op *op, struct qmp *q);

#endif
