/* SPDX-License-Identifier: BSD-2-Clause */
#include "qmp/wait.h"

#include <string.h>

struct qmp_wait {
	struct qmp_listener listener;
	struct op *op;
	struct qmp *q;
	struct qmp_call *call; /* NULL: replied, or there was none */
	struct qmp_call *ping;
	const char *command, *event;
	qmp_then_fn *then;
	step_fn *dead; /* see qmp_call_or() */
	qmp_match_fn *match;
	void *arg;
	bool has_event;           /* seen, or none is waited for */
	bool removes;             /* see qmp_remove() */
	struct json_object *args; /* of what removes, to be sent again */
	unsigned tries;
	bool pausing; /* before that */
	bool pinging, slow;
	unsigned ms;
};

enum { PING_MS = 1000, SLOW_FACTOR = 10, PAUSE_MS = 50, TRIES = 100 };

static void wait_free(struct qmp_wait *w)
{
	qmp_unlisten(&w->listener);
	qmp_forget(w->call);
	qmp_forget(w->ping);
	json_object_put(w->args);
	free(w);
}

static void wait_end(struct qmp_wait *w, struct err *e)
{
	struct op *op = w->op;

	wait_free(w);
	op_resume(op, e);
}

/* The command is done; what is waited for now has its own time. */
static void await_event(struct qmp_wait *w)
{
	bool in_doubt = w->slow || w->pinging || w->op->stalled;

	qmp_forget(w->ping);
	w->ping = NULL;
	if (w->op->cancelled)
		wait_end(w, NULL);
	else if (in_doubt)
		op_extend(w->op, w->ms);
}

bool qmp_says_absent(const struct err *e)
{
	/* blockdev-del has words of its own. */
	return e->class == ERR_QEMU && (str_eq(json_get_str(e->extra, "qemu-class"), "DeviceNotFound") ||
					strstr(e->desc, "not found") || strstr(e->desc, "Failed to find node"));
}

/* QEMU may tell that a device is gone a moment before it has let go of its node; no event tells of that. */
static bool is_let_go_later(const struct qmp_wait *w, const struct err *e)
{
	return w->removes && w->tries < TRIES && e->class == ERR_QEMU && str_eq(w->command, "blockdev-del") &&
	       strstr(e->desc, "is in use");
}

/* What comes of the step when there is nobody any more who would reply. */
static struct err *judge_dead(const struct qmp_wait *w, const struct err *e)
{
	if (w->dead)
		return w->dead(w->op, w->arg) == OP_DONE ? NULL : op_take_err(w->op);
	return w->op->phase == OP_BACK || w->removes ? NULL : err_copy(e);
}

static void on_reply(struct json_object *ret, const struct err *e, void *data)
{
	struct qmp_wait *w = data;
	struct err *failure = NULL;

	w->call = NULL;
	if (e && qmp_is_gone(w->q)) {
		wait_end(w, judge_dead(w, e));
		return;
	}
	if (e && w->removes && qmp_says_absent(e)) {
		wait_end(w, NULL);
		return;
	}
	if (e && is_let_go_later(w, e)) {
		w->pausing = true;
		op_extend(w->op, PAUSE_MS);
		return;
	}
	if (e) {
		failure = err_copy(e);
		if (e->class == ERR_QEMU)
			err_prefix(failure, "QEMU refused '%s'", w->command);
		else
			err_prefix(failure, "'%s'", w->command);
	} else if (w->then && w->then(w->op, ret, w->arg) == OP_FAIL) {
		failure = op_take_err(w->op);
	}
	if (failure || w->has_event)
		wait_end(w, failure);
	else
		await_event(w);
}

static void on_event(struct qmp_listener *l, const char *name, struct json_object *data)
{
	struct qmp_wait *w = CONTAINER_OF(l, struct qmp_wait, listener);

	if (w->has_event || !str_eq(name, w->event) || (w->match && !w->match(data, w->arg)))
		return;
	w->has_event = true;
	if (!w->call)
		wait_end(w, NULL);
}

static void on_gone(struct qmp_listener *l)
{
	struct qmp_wait *w = CONTAINER_OF(l, struct qmp_wait, listener);
	struct err *e = NULL;

	if (w->op->phase != OP_BACK)
		err_set(&e, ERR_GUEST_GONE, "QEMU ended while '%s' was waited for", w->event);
	wait_end(w, e);
}

/* Who refuses answers too. */
static void on_pong(struct json_object *ret, const struct err *e, void *data)
{
	struct qmp_wait *w = data;

	w->ping = NULL;
	w->pinging = false;
	if (e && qmp_is_gone(qmp_ping_of(w->q))) {
		op_stall(w->op);
		return;
	}
	w->slow = true;
	op_extend(w->op, w->ms * SLOW_FACTOR);
}

static void send_again(struct qmp_wait *w)
{
	w->pausing = false;
	w->tries++;
	if (qmp_is_gone(w->q)) {
		wait_end(w, NULL);
		return;
	}
	op_extend(w->op, w->ms);
	w->call = qmp_send_for(w->q, w->op->id, w->command, json_object_get(w->args), -1, on_reply, w);
}

static void wait_expired(struct op *op, void *data)
{
	struct qmp_wait *w = data;
	struct qmp *oob = qmp_ping_of(w->q);

	if (w->pausing) {
		send_again(w);
		return;
	}
	qmp_expired(w->q);
	if (w->slow || w->pinging || qmp_is_gone(oob)) {
		op_stall(op);
		return;
	}
	w->pinging = true;
	op_extend(op, PING_MS);
	w->ping = qmp_send_oob(oob, op->id, "query-yank", on_pong, w);
}

/* An event that does not come is the guest's silence, not QEMU's. */
static void event_expired(struct op *op, void *data)
{
	struct qmp_wait *w = data;
	struct err *e = NULL;

	if (w->call) {
		wait_expired(op, data);
		return;
	}
	err_set(&e, ERR_TIMEOUT, "no %s from QEMU in time; it may still come", w->event);
	wait_end(w, e);
}

/* Nothing is in doubt once the reply has come. */
static void event_stop(struct op *op, void *data)
{
	struct qmp_wait *w = data;

	if (!w->call)
		wait_end(w, NULL);
}

static const struct op_wait_ops reply_ops = { .what = "reply of QEMU", .expired = wait_expired };
static const struct op_wait_ops event_ops = { .what = "event of QEMU", .expired = event_expired, .stop = event_stop };

/* The monitor is gone; consumes what the call would have. */
static enum verdict gone(struct op *op, struct json_object *args, int fd)
{
	json_object_put(args);
	fd_close(fd);
	if (op->phase == OP_BACK)
		return OP_DONE;
	return op_fail(op, ERR_GUEST_GONE, "QEMU has ended, or its monitor is gone");
}

static struct qmp_wait *wait_new(struct op *op, struct qmp *q, const char *command, void *arg)
{
	struct qmp_wait *w = xcalloc(1, sizeof(*w));

	w->op = op;
	w->q = q;
	w->command = command;
	w->arg = arg;
	w->ms = op->wait_ms;
	w->has_event = true;
	return w;
}

enum verdict qmp_call_fd(struct op *op, struct qmp *q, const char *command, struct json_object *args, int fd,
			 qmp_then_fn *then, void *arg)
{
	struct qmp_wait *w;

	if (qmp_is_gone(q))
		return gone(op, args, fd);
	w = wait_new(op, q, command, arg);
	w->then = then;
	w->call = qmp_send_for(q, op->id, command, args, fd, on_reply, w);
	return op_wait(op, &reply_ops, w);
}

enum verdict qmp_call(struct op *op, struct qmp *q, const char *command, struct json_object *args, qmp_then_fn *then,
		      void *arg)
{
	return qmp_call_fd(op, q, command, args, -1, then, arg);
}

enum verdict qmp_call_or(struct op *op, struct qmp *q, const char *command, qmp_then_fn *then, step_fn *dead, void *arg)
{
	enum verdict v;

	if (qmp_is_gone(q))
		return dead(op, arg);
	v = qmp_call(op, q, command, NULL, then, arg);
	((struct qmp_wait *)op->wait_data)->dead = dead;
	return v;
}

enum verdict qmp_call_nodes(struct op *op, struct qmp *q, qmp_then_fn *then, void *arg)
{
	struct json_object *args = json_object_new_object();

	json_add_bool(args, "flat", true);
	return qmp_call(op, q, "query-named-block-nodes", args, then, arg);
}

enum verdict qmp_remove(struct op *op, struct qmp *q, const char *command, struct json_object *args)
{
	return qmp_remove_then(op, q, command, args, NULL, NULL);
}

enum verdict qmp_remove_then(struct op *op, struct qmp *q, const char *command, struct json_object *args,
			     qmp_then_fn *then, void *arg)
{
	struct qmp_wait *w;
	enum verdict v;

	if (qmp_is_gone(q)) {
		json_object_put(args);
		return OP_DONE;
	}
	v = qmp_call(op, q, command, json_object_get(args), then, arg);
	w = op->wait_data;
	w->removes = true;
	w->args = args;
	return v;
}

enum verdict qmp_call_until(struct op *op, struct qmp *q, const char *command, struct json_object *args,
			    const char *event, qmp_match_fn *match, void *arg)
{
	struct qmp_wait *w;

	if (qmp_is_gone(q))
		return gone(op, args, -1);
	w = wait_new(op, q, command, arg);
	w->event = event;
	w->match = match;
	w->has_event = false;
	w->listener.event = on_event;
	w->listener.gone = on_gone;
	qmp_listen(q, &w->listener);
	if (command)
		w->call = qmp_send_for(q, op->id, command, args, -1, on_reply, w);
	return op_wait(op, &event_ops, w);
}

/* Any command will do: calls wait for readiness, and the reply is the proof. */
enum verdict qmp_wait_ready(struct op *op, struct qmp *q)
{
	return qmp_call(op, q, "query-version", NULL, NULL, NULL);
}
