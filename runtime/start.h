/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fragments of the plans that make and end a process: start, and every kind of stop.
 */
#ifndef DROVER_RUNTIME_START_H
#define DROVER_RUNTIME_START_H

#include "base/op.h"
#include "runtime/instance.h"

struct start;

/* Adds the steps of a start; the operation owns the result and frees it with start_free() when it has
 * ended. Fails when there is no binary. The steps' undo()s need nothing but the instance, so that
 * they work in another life of droverd as well. */
struct start *start_plan(struct op *op, struct instance *inst, bool paused, struct err **e);
void start_free(struct start *s);

/* Adds: quit, after 10 s SIGTERM, after 5 s SIGKILL; then wait to be alone, record the end, clear. The
 * first is the commit. The process may be gone at any step. */
void stop_plan(struct op *op, struct instance *inst);
/* Adds: the ACPI power button, then waiting for the guest. SOFT: its silence is no failure, and one that cannot hear
 * is not waited for. After a restart of droverd both go on. */
void shutdown_plan(struct op *op, struct instance *inst, unsigned timeout_ms, bool soft);
/* Adds: record the end of a process that is gone, clear. */
void collect_plan(struct op *op, struct instance *inst);

#endif
