/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/queue.h"

#include <assert.h>
#include <string.h>
#include <sys/queue.h>
#include <uv/tree.h>

struct op_queue {
	RB_ENTRY(op_queue) node;
	struct queues *owner;
	char *subject;
	struct op *current;   /* CHANGE or EXCLUSIVE */
	struct op *destroyer; /* DESTROY; may run while `current` goes back */
	bool destroyer_waits;
	struct op *first, *last;
	unsigned n;
	unsigned held; /* > 0 while a function below works on it: it stays, and starts nothing by itself */
};

RB_HEAD(queue_tree, op_queue);
struct queues {
	struct queue_tree tree;
};

static int queue_cmp(const struct op_queue *a, const struct op_queue *b)
{
	return strcmp(a->subject, b->subject);
}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
RB_GENERATE_STATIC(queue_tree, op_queue, node, queue_cmp)
#pragma GCC diagnostic pop

const char *lane_name(enum lane lane)
{
	static const char *const names[] = { "query", "beside", "change", "exclusive", "destroy" };

	static_assert(ARRAY_SIZE(names) == LANE_DESTROY + 1, "one name per lane");
	return names[lane];
}

struct queues *queues_new(void)
{
	struct queues *qs = xcalloc(1, sizeof(*qs));

	RB_INIT(&qs->tree);
	return qs;
}

struct queues *queues_free(struct queues *qs)
{
	if (qs) {
		assert(RB_EMPTY(&qs->tree));
		free(qs);
	}
	return NULL;
}

static struct op_queue *queue_find(struct queues *qs, const char *subject)
{
	struct op_queue key = { .subject = (char *)subject };

	return RB_FIND(queue_tree, &qs->tree, &key);
}

static struct op_queue *queue_get(struct queues *qs, const char *subject)
{
	struct op_queue *q = queue_find(qs, subject);

	if (!q) {
		q = xcalloc(1, sizeof(*q));
		q->owner = qs;
		q->subject = xstrdup(subject);
		RB_INSERT(queue_tree, &qs->tree, q);
	}
	return q;
}

/* What stands in the way of a new one. Nothing may while operations wait: between the end of one and the start
 * of the next. */
static struct op *holder_of(const struct op_queue *q)
{
	return q->destroyer ? q->destroyer : q->current ? q->current : q->first;
}

struct op *queue_current(struct queues *qs, const char *subject)
{
	struct op_queue *q = queue_find(qs, subject);

	return !q ? NULL : q->destroyer ? q->destroyer : q->current;
}

unsigned queue_length(struct queues *qs, const char *subject)
{
	struct op_queue *q = queue_find(qs, subject);

	return q ? q->n : 0;
}

static void queue_append(struct op_queue *q, struct op *op)
{
	op->queue_prev = q->last;
	if (q->last)
		q->last->queue_next = op;
	else
		q->first = op;
	q->last = op;
	q->n++;
}

static void queue_remove(struct op_queue *q, struct op *op)
{
	uv_timer_stop(&op->deadline);
	*(op->queue_prev ? &op->queue_prev->queue_next : &q->first) = op->queue_next;
	*(op->queue_next ? &op->queue_next->queue_prev : &q->last) = op->queue_prev;
	op->queue_prev = op->queue_next = NULL;
	q->n--;
}

static void refuse(struct op *op, struct op *holder, const char *why)
{
	struct err *e = NULL;

	err_set(&e, ERR_BUSY, "%s: '%s' (job %s) is under way%s%s%s", why, holder->name, holder->id,
		op_step(holder) ? ", at step '" : "", op_step(holder) ? op_step(holder)->name : "",
		op_step(holder) ? "'" : "");
	op->queue = NULL;
	op_refuse(op, e);
}

static void queue_run(struct op_queue *q, struct op *op)
{
	if (op->lane == LANE_DESTROY)
		q->destroyer = op;
	else
		q->current = op;
	op_start(op);
}

/* A destroying operation need not wait for the end of what another one has cancelled. */
static bool may_start(const struct op_queue *q, const struct op *op)
{
	return op && !q->destroyer && (!q->current || op->lane == LANE_DESTROY);
}

static void queue_hold(struct op_queue *q)
{
	q->held++;
}

/* The last to let go starts what may start, and frees the queue if it is empty then. */
static void queue_release(struct op_queue *q)
{
	while (q->held == 1) {
		struct op *op = q->first;

		if (!q->current && q->destroyer && q->destroyer_waits) {
			q->destroyer_waits = false;
			op_resume(q->destroyer, NULL);
		} else if (may_start(q, op)) {
			queue_remove(q, op);
			queue_run(q, op);
		} else {
			break;
		}
	}
	if (--q->held || q->current || q->destroyer || q->first)
		return;
	RB_REMOVE(queue_tree, &q->owner->tree, q);
	free(q->subject);
	free(q);
}

void queue_leave(struct op *op)
{
	struct op_queue *q = op->queue;

	queue_hold(q);
	op->queue = NULL;
	if (q->current == op)
		q->current = NULL;
	if (q->destroyer == op)
		q->destroyer = NULL;
}

void queue_kick(struct op_queue *q)
{
	queue_release(q);
}

void queue_drop(struct op *op, struct err *e)
{
	struct op_queue *q = op->queue;

	queue_hold(q);
	queue_remove(q, op);
	op->queue = NULL;
	op_refuse(op, e);
	queue_release(q);
}

static void on_waited(uv_timer_t *timer)
{
	struct op *op = timer->data;
	struct op_queue *q = op->queue;

	queue_hold(q);
	queue_remove(q, op);
	refuse(op, holder_of(q), "waited in vain");
	queue_release(q);
}

static void alone_forget(struct op *op, void *data)
{
	(void)data;
	op->queue->destroyer_waits = false;
}

/* What the other one holds must not be cleared. */
static void alone_expired(struct op *op, void *data)
{
	(void)data;
	op_stall(op);
}

enum verdict queue_alone(struct op *op, void *arg)
{
	static const struct op_wait_ops ops = {
		.what = "end of the cancelled operation",
		.forget = alone_forget,
		.expired = alone_expired,
		.abortable = true,
	};
	struct op_queue *q = op->queue;

	(void)arg;
	if (!q || !q->current || q->current == op)
		return OP_DONE;
	q->destroyer_waits = true;
	return op_wait(op, &ops, NULL);
}

bool queue_is_overtaken(const struct op *op)
{
	return op->queue && op->queue->destroyer && op->queue->destroyer != op;
}

static struct op *first_to_drop(const struct op_queue *q)
{
	struct op *op = q->first;

	while (op && op->lane == LANE_DESTROY)
		op = op->queue_next;
	return op;
}

/* All that wait but for other destroying ones. Those that come while they are told are let be. */
static void queue_empty(struct op_queue *q, const struct op *destroyer)
{
	unsigned n = 0;

	for (struct op *op = q->first; op; op = op->queue_next)
		n += op->lane != LANE_DESTROY;
	while (n--) {
		struct op *waiting = first_to_drop(q);
		struct err *e = NULL;

		if (!waiting)
			return;
		err_set(&e, ERR_CANCELLED, "'%s' was asked for meanwhile", destroyer->name);
		queue_drop(waiting, e);
	}
}

static void queue_destroy(struct op_queue *q, struct op *op)
{
	q->destroyer = op;
	queue_empty(q, op);
	if (q->current)
		op_cancel(q->current, NULL);
	op_start(op);
}

static void queue_wait(struct op_queue *q, struct op *op, unsigned ms)
{
	queue_append(q, op);
	if (ms == 0 || (ms > QUEUE_WAIT_MS && ms != QUEUE_FOREVER))
		ms = QUEUE_WAIT_MS;
	if (ms != QUEUE_FOREVER)
		uv_timer_start(&op->deadline, on_waited, ms, 0);
	if (op->ops->changed)
		op->ops->changed(op);
}

/* Runs, waits or is refused, by the table. */
static void queue_enter(struct op_queue *q, struct op *op, unsigned wait_ms)
{
	struct op *holder = holder_of(q);
	bool destroys = op->lane == LANE_DESTROY, patient = wait_ms == QUEUE_FOREVER;

	if (!holder)
		queue_run(q, op);
	else if (!patient && !destroys && holder->lane == LANE_EXCLUSIVE && holder != q->first)
		refuse(op, holder, "cannot wait");
	else if (!patient && !destroys && holder->stalled)
		refuse(op, holder, "does not go on");
	else if (!patient && q->n >= QUEUE_MAX)
		refuse(op, holder, "too many wait");
	else
		queue_wait(q, op, wait_ms);
}

void queue_submit(struct queues *qs, const char *subject, struct op *op, enum lane lane, unsigned wait_ms)
{
	struct op_queue *q;

	op->lane = (int)lane;
	if (lane == LANE_QUERY || lane == LANE_BESIDE) {
		op_start(op);
		return;
	}
	q = queue_get(qs, subject);
	op->queue = q;
	queue_hold(q);
	if (lane == LANE_DESTROY && !q->destroyer) {
		queue_destroy(q, op);
	} else {
		if (lane == LANE_DESTROY)
			queue_empty(q, op);
		queue_enter(q, op, wait_ms);
	}
	queue_release(q);
}

void queue_recover(struct queues *qs, const char *subject, struct op *op, enum lane lane, const struct op_place *place)
{
	struct op_queue *q;

	op->lane = (int)lane;
	if (lane == LANE_QUERY || lane == LANE_BESIDE) {
		op_recover(op, place);
		return;
	}
	q = queue_get(qs, subject);
	op->queue = q;
	queue_hold(q);
	if (lane == LANE_DESTROY) {
		q->destroyer = op;
		queue_empty(q, op);
		if (q->current)
			op_cancel(q->current, NULL);
	} else {
		q->current = op;
	}
	op_recover(op, place);
	queue_release(q);
}
