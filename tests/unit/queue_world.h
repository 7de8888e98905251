/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations that wait for the test's word. What they do is noted: "A:begin A:undo A:done"; an error is
 * noted by its class: "B:Busy".
 */
#ifndef DROVER_TESTS_UNIT_QUEUE_WORLD_H
#define DROVER_TESTS_UNIT_QUEUE_WORLD_H

#include "base/queue.h"

#include "loop.h"

enum { LIMIT_MS = 3600 * 1000, WAIT_MS = QUEUE_WAIT_MS };

struct task;
typedef void task_fn(struct task *t);

struct task {
	char name[8], id[8];
	struct op *op;
	bool quick;     /* ends at once */
	bool abortable; /* its wait is */
	bool committed; /* its first step is the commit, and over */
	bool slow_undo;
	bool alone; /* waits to be */
	task_fn *on_done;
	struct err *err;
	bool done;
	int changes;
};

static struct world {
	struct queues *qs;
	struct task tasks[160];
	unsigned n;
	char log[8192];
} w;

static inline void note(const struct task *t, const char *what)
{
	size_t n = strlen(w.log);

	ck_assert_uint_lt(n + 32, sizeof(w.log));
	snprintf(w.log + n, sizeof(w.log) - n, "%s%s:%s", n ? " " : "", t->name, what);
}

static inline void expect(const char *log)
{
	ck_assert_str_eq(w.log, log);
	w.log[0] = '\0';
}

/* ---- tasks ---- */

static const struct op_wait_ops firm = { .what = "word" };
static const struct op_wait_ops abortable = { .what = "word", .abortable = true };

static inline void stall(struct op *op, void *data)
{
	op_stall(op);
}

static const struct op_wait_ops stalling = { .what = "word", .expired = stall };

static inline enum verdict commit_run(struct op *op, void *arg)
{
	return OP_DONE;
}

static inline enum verdict work_run(struct op *op, void *arg)
{
	struct task *t = arg;

	return t->quick ? OP_DONE : op_wait(op, t->abortable ? &abortable : &stalling, t);
}

static inline enum verdict work_undo(struct op *op, void *arg)
{
	struct task *t = arg;

	note(t, "undo");
	return t->slow_undo ? op_wait(op, &firm, t) : OP_DONE;
}

static inline enum verdict clear_run(struct op *op, void *arg)
{
	note(arg, "clear");
	return OP_DONE;
}

static const struct step step_commit = { "commit", commit_run, .commit = true };
static const struct step step_work = { "work", work_run, work_undo, .timeout_ms = LIMIT_MS };
static const struct step step_alone = { "be alone", queue_alone, .timeout_ms = LIMIT_MS };
static const struct step step_clear = { "clear", clear_run };

static inline bool on_begin(struct op *op)
{
	struct task *t = op->owner;

	note(t, "begin");
	if (t->committed)
		op_add(op, &step_commit, t);
	op_add(op, &step_work, t);
	if (t->alone) {
		op_add(op, &step_alone, t);
		op_add(op, &step_clear, t);
	}
	return true;
}

static inline void on_changed(struct op *op)
{
	((struct task *)op->owner)->changes++;
}

static inline void on_done(struct op *op)
{
	struct task *t = op->owner;

	note(t, op->err ? err_class_info(op->err->class)->name : "done");
	t->err = TAKE_PTR(op->err);
	t->op = NULL;
	t->done = true;
	op_free(op);
	if (t->on_done)
		t->on_done(t);
}

static const struct op_ops ops = { .begin = on_begin, .changed = on_changed, .done = on_done };

static inline struct task *task(const char *name)
{
	struct task *t = &w.tasks[w.n++];

	ck_assert_uint_le(w.n, ARRAY_SIZE(w.tasks));
	snprintf(t->name, sizeof(t->name), "%s", name);
	snprintf(t->id, sizeof(t->id), "#%u", w.n);
	t->op = op_new(&loop, &ops, t);
	t->op->name = t->name;
	t->op->id = t->id;
	return t;
}

static inline void submit(struct task *t, enum lane lane)
{
	queue_submit(w.qs, "x", t->op, lane, 0);
}

static inline struct task *run(const char *name, enum lane lane)
{
	struct task *t = task(name);

	submit(t, lane);
	return t;
}

static inline void finish(struct task *t)
{
	ck_assert(t->op && t->op->wait);
	op_resume(t->op, NULL);
}

static inline bool waits(const struct task *t)
{
	return t->op && t->op->phase == OP_QUEUED;
}

static inline bool runs(const struct task *t)
{
	return t->op && t->op->phase == OP_FORWARD && t->op->wait;
}

static inline void assert_names(const struct task *t, const struct task *holder)
{
	ck_assert_ptr_nonnull(t->err);
	ck_assert_int_eq(t->err->class, ERR_BUSY);
	ck_assert_msg(strstr(t->err->desc, holder->name) && strstr(t->err->desc, holder->id), "%s", t->err->desc);
}

static inline void clear(void)
{
	loop_poll();
	queues_free(w.qs); /* which asserts that no queue is left */
	for (unsigned i = 0; i < w.n; i++) {
		ck_assert(w.tasks[i].done);
		err_free(w.tasks[i].err);
	}
	memset(&w, 0, sizeof(w));
	w.qs = queues_new();
}

static inline void setup(void)
{
	loop_open();
	w.qs = queues_new();
}

static inline void teardown(void)
{
	clear();
	queues_free(w.qs);
	loop_end();
}

/* Whatever is there ends. */
static inline void finish_all(void)
{
	bool more = true;

	while (more) {
		more = false;
		for (unsigned i = 0; i < w.n; i++) {
			if (w.tasks[i].op && w.tasks[i].op->wait && !str_eq(op_step(w.tasks[i].op)->name, "be alone")) {
				finish(&w.tasks[i]);
				more = true;
			}
		}
	}
}

#endif
