/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Counters of running machines: asked of their QEMUs and of the kernel, all machines at once.
 *
 * One question is under way per instance, which later askers share. One that is not answered within the deadline makes
 * its monitor slow; a slow one is asked and not waited for. Its entry is what was last known, stale, until the answer
 * comes, which fills it in without a word.
 */
#ifndef DROVER_RUNTIME_STATS_H
#define DROVER_RUNTIME_STATS_H

#include "runtime/instance.h"

enum { STATS_MS = 1000 };

/* What query-stats tells; LIST is consumed. */
typedef void stats_told_fn(struct json_object *list, void *data);
/* Asks about the N instances of LIST, in that order; those without a process are left out. TOLD is called once, from
 * the loop, within STATS_MS. */
void stats_ask(struct runtime *rt, struct instance *const *list, size_t n, stats_told_fn *told, void *data);

/* {wanted, actual, max, as-of}: what the guest is to have, has, and may have. actual and as-of are what QEMU said last of
 * the balloon, else what it was started with; without a process there is neither. Asks nobody. */
struct json_object *stats_memory(const struct instance *inst);

/* For observe.c: an event came; the process ended. */
void stats_event(struct instance *inst, const char *name, struct json_object *event);
void stats_end(struct instance *inst);

#endif
