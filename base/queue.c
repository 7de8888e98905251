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
	unsigned busy; /* > 0 while a function below works on it: not to be freed */
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

static void queue_put(struct op_queue *q)
{
	if (q->busy || q->current || q->destroyer || q->first)
		return;
	RB_REMOVE(queue_tree, &q->owner->tree, q);
	free(q->subject);
	free(q);
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

void queue_drop(struct op *op, struct err *e)
{
	struct op_queue *q = op->queue;

	queue_remove(q, op);
	op->queue = NULL;
	op_refuse(op, e);
	queue_put(q);
}

static void on_waited(uv_timer_t *timer)
{
	struct op *op = timer->data;
	struct op_queue *q = op->queue;
	struct op *holder = q->destroyer ? q->destroyer : q->current;

	queue_remove(q, op);
	refuse(op, holder, "waited in vain");
	queue_put(q);
}

static void queue_run(struct op_queue *q, struct op *op)
{
	if (op->lane == LANE_DESTROY)
		q->destroyer = op;
	else
		q->current = op;
	op_start(op);
}

void queue_leave(struct op *op)
{
	struct op_queue *q = op->queue;

	op->queue = NULL;
	if (q->current == op)
		q->current = NULL;
	if (q->destroyer == op)
		q->destroyer = NULL;
}

void queue_kick(struct op_queue *q)
{
	q->busy++;
	if (!q->current && q->destroyer && q->destroyer_waits) {
		q->destroyer_waits = false;
		op_resume(q->destroyer, NULL);
	}
	while (!q->current && !q->destroyer && q->first) {
		struct op *op = q->first;

		queue_remove(q, op);
		queue_run(q, op);
	}
	q->busy--;
	queue_put(q);
}

static void alone_forget(struct op *op, void *data)
{
	(void)data;
	op->queue->destroyer_waits = false;
}

enum verdict queue_alone(struct op *op, void *arg)
{
	static const struct op_wait_ops ops = { .what = "end of the cancelled operation", .forget = alone_forget };
	struct op_queue *q = op->queue;

	(void)arg;
	if (!q || !q->current || q->current == op)
		return OP_DONE;
	q->destroyer_waits = true;
	return op_wait(op, &ops, NULL);
}

static void queue_destroy(struct op_queue *q, struct op *op)
{
	while (q->first) {
		struct op *waiting = q->first;
		struct err *e = NULL;

		queue_remove(q, waiting);
		waiting->queue = NULL;
		err_set(&e, ERR_CANCELLED, "'%s' was asked for meanwhile", op->name);
		op_refuse(waiting, e);
	}
	q->destroyer = op;
	if (q->current) {
		struct err *e = NULL;

		if (!op_cancel(q->current, &e))
			err_free(e);
	}
	op_start(op);
}

void queue_submit(struct queues *qs, const char *subject, struct op *op, enum lane lane, unsigned wait_ms)
{
	struct op_queue *q;
	struct op *holder;

	op->lane = (int)lane;
	if (lane == LANE_QUERY || lane == LANE_BESIDE) {
		op_start(op);
		return;
	}
	q = queue_get(qs, subject);
	op->queue = q;
	q->busy++;
	holder = q->destroyer ? q->destroyer : q->current;
	if (lane == LANE_DESTROY && !q->destroyer)
		queue_destroy(q, op);
	else if (!holder)
		queue_run(q, op);
	else if (lane != LANE_DESTROY && holder->lane == LANE_EXCLUSIVE)
		refuse(op, holder, "cannot wait");
	else if (lane != LANE_DESTROY && holder->stalled)
		refuse(op, holder, "QEMU does not answer");
	else if (q->n >= QUEUE_MAX)
		refuse(op, holder, "too many wait");
	else {
		queue_append(q, op);
		if (wait_ms == 0 || wait_ms > QUEUE_WAIT_MS)
			wait_ms = QUEUE_WAIT_MS;
		uv_timer_start(&op->deadline, on_waited, wait_ms, 0);
		if (op->ops->changed)
			op->ops->changed(op);
	}
	q->busy--;
	queue_put(q);
}

void queue_recover(struct queues *qs, const char *subject, struct op *op, enum lane lane, int at, bool back,
		   bool committed)
{
	struct op_queue *q;

	op->lane = (int)lane;
	q = queue_get(qs, subject);
	op->queue = q;
	q->busy++;
	if (lane == LANE_DESTROY)
		q->destroyer = op;
	else
		q->current = op;
	op_recover(op, at, back, committed);
	q->busy--;
	queue_put(q);
}
