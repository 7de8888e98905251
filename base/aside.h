/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Work that may never come back: a look at a path that a dead file server answers for. Each has a thread of its own, for
 * those of the pool are few, and what takes them for good takes all of droverd's writing with them.
 */
#ifndef DROVER_BASE_ASIDE_H
#define DROVER_BASE_ASIDE_H

#include <stdbool.h>
#include <uv.h>

/* RUN(data) on that thread, then DONE(data) on the loop. False, with errno, when there is no thread to be had: neither is
 * called. */
bool aside_run(uv_loop_t *loop, void (*run)(void *data), void (*done)(void *data), void *data);

#endif
