/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Queues of operations: one per subject ("instance-web1"), by lane.
 *
 *   a new one finds     idle    a change running    an exclusive one running
 *   QUERY, BESIDE       runs    runs                runs
 *   CHANGE              runs    waits in order      Busy, naming the operation and its job
 *   EXCLUSIVE           runs    waits in order      Busy
 *   DESTROY             runs    cancels what runs (what is past its commit ends by itself), empties
 *                               the queue with Cancelled, runs; behind another one that runs it
 *                               empties the queue and waits for it
 *
 * At most 64 wait; none longer than its own limit or 60 s, then Busy; beside a stalled operation a
 * new change is Busy at once. A destroying operation may start while the one it cancelled is still
 * going back, and waits for that with queue_alone() before it clears up. A queue exists while
 * anything is in it.
 */
#ifndef DROVER_BASE_QUEUE_H
#define DROVER_BASE_QUEUE_H

#include "base/op.h"

enum lane { LANE_QUERY, LANE_BESIDE, LANE_CHANGE, LANE_EXCLUSIVE, LANE_DESTROY };

enum { QUEUE_MAX = 64, QUEUE_WAIT_MS = 60000 };
/* As a longest wait: what must come to pass waits however many do, and for as long as it takes. */
#define QUEUE_FOREVER UINT_MAX

struct queues;

struct queues *queues_new(void);
/* All queues must be empty. */
struct queues *queues_free(struct queues *qs);

/* Starts OP or lets it wait its turn. Refusal ends it: done() is called with op->err. It may have
 * ended and been freed on return. WAIT_MS: its longest wait, 0 for the usual, or QUEUE_FOREVER. */
void queue_submit(struct queues *qs, const char *subject, struct op *op, enum lane lane, unsigned wait_ms);
/* The same for an operation found half done at start. A destroying one finds what it had cancelled before it. */
void queue_recover(struct queues *qs, const char *subject, struct op *op, enum lane lane, const struct op_place *place);
/* A step of a destroying operation: waits until it is the only one. */
enum verdict queue_alone(struct op *op, void *arg);

/* A destroying operation has taken the subject of OP over, and does with it what it wants. */
bool queue_is_overtaken(const struct op *op);

/* What holds the queue now, or NULL; how many wait. */
struct op *queue_current(struct queues *qs, const char *subject);
unsigned queue_length(struct queues *qs, const char *subject);
const char *lane_name(enum lane lane);

/* For the engine. An operation that has ended leaves; its queue stays, and starts nothing, until the kick
 * that follows its done(). */
void queue_leave(struct op *op);
void queue_kick(struct op_queue *q);
/* One that has not started leaves with the error. Consumes E. */
void queue_drop(struct op *op, struct err *e);

#endif
