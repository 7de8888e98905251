/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations: a plan of reversible steps, walked by one engine.
 *
 * A step's run() has an effect, its undo() takes it back (also when it never happened: "already
 * gone" is success), its probe() tells whether the effect exists. Each returns OP_DONE, OP_FAIL by way
 * of op_fail(), or OP_WAIT after having registered a wait; op_resume() is then the only way back in,
 * and is never called from inside a step. The engine goes forward until a step fails, expires or
 * the operation is cancelled, then back through the undo()s. Once a step marked `commit` is done
 * there is no way back: what follows is done as well as it can be, and an error stays in op->err.
 * A commit that failed or is in doubt is settled by its probe(), also when what it was to happen to has died: what is known
 * of it counts then.
 *
 * Before each step that waits, or on the way to the commit has something to take back, the owner's mark() makes
 * "where it stands" durable, so that op_recover() in a later life of the process takes the same plan up there. A step
 * behind the commit may run twice, and so may those without a wait that come before it.
 *
 * A wait that expires: one that knows better decides itself (op_extend, op_stall, op_resume), any
 * other is forgotten and fails with Timeout. A stalled operation waits without a deadline.
 */
#ifndef DROVER_BASE_OP_H
#define DROVER_BASE_OP_H

#include "base/err.h"

#include <uv.h>

struct op;
struct op_queue;

enum verdict { OP_DONE, OP_WAIT, OP_FAIL };
typedef enum verdict step_fn(struct op *op, void *arg);

struct step {
	const char *name;                       /* in the log, query-jobs and errors: "spawn QEMU" */
	step_fn *run, *undo, *probe;            /* each optional */
	void (*stop)(struct op *op, void *arg); /* optional: makes a wait of run() end early */
	unsigned timeout_ms;                    /* of each wait of the step; needed by all that wait */
	bool commit;
	bool again; /* run() may run twice: op_recover() runs it again where it would go back */
};

enum op_phase {
	OP_QUEUED,
	OP_FORWARD, /* run() of step `at` is next or waiting */
	OP_PROBING, /* probe() of step `at`, the commit */
	OP_BACK,    /* undo() of step `at` */
	OP_ENDED,
};

struct op_ops {
	/* The operation's turn has come: adds the steps. False with op->err set ends it at once; no
	 * step added means there is nothing to do. */
	bool (*begin)(struct op *op);
	/* Makes phase, step and commit durable; may be NULL. A failure fails a step before its effect. */
	bool (*mark)(struct op *op, struct err **e);
	void (*unmark)(struct op *op);
	/* Optional: phase or step changed; it became stalled. */
	void (*changed)(struct op *op);
	void (*stalled)(struct op *op);
	/* It has ended; op->err tells how. The owner ends with op_free(). */
	void (*done)(struct op *op);
};

struct op_wait_ops {
	const char *what; /* "QEMU's reply" */
	/* The wait will not be heard: drop it. */
	void (*forget)(struct op *op, void *data);
	/* Optional: the deadline passed. */
	void (*expired)(struct op *op, void *data);
	/* Optional: a cancel came, and the step has no stop() of its own. Makes the wait end soon. */
	void (*stop)(struct op *op, void *data);
	/* Forgetting it leaves nothing in doubt, so a cancel need not wait for it. */
	bool abortable;
};

struct plan_step {
	const struct step *step;
	void *arg;
};

/* To be read by anybody; written by the engine, but for the members marked [owner]. */
struct op {
	const struct op_ops *ops;
	void *owner;      /* [owner] */
	const char *name; /* [owner] of the command, for messages; outlives the operation */
	const char *id;   /* [owner] of the job */
	struct plan_step *plan;
	int n, at;
	enum op_phase phase;
	bool committed, cancelled, stalled, went_back;
	const char *failed;      /* the step that failed first */
	struct err *err;         /* the first error */
	struct err *step_err;    /* of the step that just failed, on its way into `err` or the log */
	int64_t progress, total; /* [steps] */

	const struct op_wait_ops *wait;
	void *wait_data;
	unsigned wait_ms;
	bool walking;
	struct op_memory *memory;
	uv_timer_t deadline;
	struct op_queue *queue;
	int lane;
	struct op *queue_prev, *queue_next;
};

struct op *op_new(uv_loop_t *loop, const struct op_ops *ops, void *owner);
/* In done(), or before the operation was started. */
void op_free(struct op *op);

/* In begin(): appends a step. STEP outlives the operation, ARG is the owner's. */
void op_add(struct op *op, const struct step *step, void *arg);
/* Memory, zeroed, that lives as long as the operation: for the arguments of its steps. */
void *op_alloc(struct op *op, size_t size);
/* The same, and CLEAR is called with it before it goes. */
void *op_own(struct op *op, size_t size, void (*clear)(void *data));
/* Begins and walks; it may have ended and been freed on return. */
void op_start(struct op *op);
/* Where a marker says that a plan stood. */
struct op_place {
	const char *step; /* its name, or NULL; it counts before the number */
	int at;
	bool back, committed, cancelled;
};
/* Takes a plan up there. begin() has to rebuild the same plan; one that another build makes longer or shorter is
 * taken up at the step of that name, and without one as if its commit were in doubt. Forward and not committed goes back,
 * but a commit that was under way is probed first, and a step marked `again` is run again unless the operation had been
 * cancelled. */
void op_recover(struct op *op, const struct op_place *place);
/* Ends an operation that was never started, with the error. Consumes E. */
void op_refuse(struct op *op, struct err *e);
/* False and WrongState once it cannot be stopped any more; again is success. It may have ended and been
 * freed on return. */
bool op_cancel(struct op *op, struct err **e);

/* Within a step: registers the wait and returns OP_WAIT. */
enum verdict op_wait(struct op *op, const struct op_wait_ops *ops, void *data);
/* Within a step, in front of op_wait(): this wait's deadline instead of the step's. */
void op_wait_ms(struct op *op, unsigned ms);
/* A wait has ended; consumes E, NULL is success. Never from inside a step. */
void op_resume(struct op *op, struct err *e);
/* In expired() or later: wait on, for MS; wait without a deadline, telling the owner. */
void op_extend(struct op *op, unsigned ms);
void op_stall(struct op *op);
/* Within a step, or what a wait calls for it: returns OP_FAIL, with the reason. Consumes E in the second form. */
enum verdict op_fail(struct op *op, enum err_class class, const char *fmt, ...) _printf_(3, 4);
enum verdict op_fail_err(struct op *op, struct err *e);
/* For waits: the reason that a failed callback gave, for op_resume(). */
struct err *op_take_err(struct op *op);
/* A wait of MS that only the clock ends. */
enum verdict op_sleep(struct op *op, unsigned ms);

/* The step that is under way, or NULL. */
const struct step *op_step(const struct op *op);

/* For tests that put faults into plans; NULL in a daemon. Called before a step runs (its effect
 * has not happened) and after it is done. The step fails there; its wait expires at once, or it expires
 * with its effect done; a cancel comes while it waits, or when it is done. */
enum op_when { OP_BEFORE, OP_AFTER };
enum op_fault { OP_FAULT_NONE, OP_FAULT_FAIL, OP_FAULT_EXPIRE, OP_FAULT_CANCEL };
extern enum op_fault (*op_hook)(struct op *op, const struct step *step, enum op_when when);

#endif
