/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fragments of the plans that make and end a process: start, and every kind of stop.
 */
#ifndef DROVER_RUNTIME_START_H
#define DROVER_RUNTIME_START_H

#include "base/op.h"
#include "runtime/instance.h"

struct start;

/* Adds the steps of a start, with what is booted this once (runtime/boot.h); the operation owns the result and frees it with
 * start_free() when it has ended. The steps' undo()s need nothing but the instance, so that they work in another life of
 * droverd as well. */
struct start *start_plan(struct op *op, struct instance *inst, bool paused, int boot);
void start_free(struct start *s);

/* Adds: quit, after 10 s SIGTERM, after 5 s SIGKILL; then wait to be alone, record the end, clear. The
 * first is the commit. The process may be gone at any step. */
void stop_plan(struct op *op, struct instance *inst);

/* Adds: SIGKILL, if there still is a process. */
void kill_plan(struct op *op, struct instance *inst);

enum shutdown_mode { SHUTDOWN_AUTO, SHUTDOWN_AGENT, SHUTDOWN_ACPI };

struct shutdown_how {
	enum shutdown_mode mode;
	unsigned timeout_ms;
	bool soft;  /* the guest's silence is no failure, and one that cannot hear is not waited for */
	bool again; /* taken up after a restart of droverd */
};

struct ladder;

/* Whether the machine that runs has a power button: not without ACPI. */
bool shutdown_has_button(const struct instance *inst);
/* Adds: wake a guest that sleeps; ask its agent, if that answers, and give it a third of the time; press the power
 * button, again and again, until the time is over; see what did it. Where there is no button the agent has all of the time,
 * and nobody waits for a guest that was asked nothing. After a restart of droverd all of it goes on, with
 * the time anew. On the way back nothing is taken back but that the guest's end would be ours: an error then says
 * undone: false if the guest was asked. The ladder lives as long as OP. */
struct ladder *shutdown_plan(struct op *op, struct instance *inst, const struct shutdown_how *how);
/* "agent", "acpi" or "stop": what ended the guest, or is about to; NULL: not known. */
const char *shutdown_rung(const struct ladder *l);
/* Enters what became of a process that is gone, unless that was done. */
void enter_rest(struct instance *inst);
/* Adds: record the end of a process that is gone, clear; where it cannot be recorded nothing is cleared. */
void collect_plan(struct op *op, struct instance *inst);

#endif
