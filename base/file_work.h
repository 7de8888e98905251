/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files for which the loop must not wait: writing what has to survive the host, and looking where somebody else has said.
 *
 * A function runs on a thread and shares no data with the daemon meanwhile. What the daemon writes is work for libuv's
 * thread pool; a look at what others have named, which may lie on a server that is dead, has a thread of its own (aside.h).
 */
#ifndef DROVER_BASE_FILE_WORK_H
#define DROVER_BASE_FILE_WORK_H

#include "base/op.h"

/* Asks on a thread beside the loop (aside.h; never two for one path) what PATH leads to, links followed. FN, on the loop, gets
 * a text that tells this file, as it is at a moment after the call, from all others (device, inode, size, time of change of
 * its contents; letters, digits, '-' and '.'), or NULL and an errno. A relative path leads nowhere. Forgotten, FN is not
 * called. */
struct file_ask;
typedef void file_identity_fn(const char *identity, int error, void *data);
struct file_ask *file_identity(uv_loop_t *loop, const char *path, file_identity_fn *fn, void *data);
void file_ask_forget(struct file_ask *ask);
/* The same at once, for before the loop runs; the caller's, or NULL. */
char *file_identity_now(const char *path);

/* A wait of OP: FN runs on the thread pool, its error is the step's. FREE_DATA is called with DATA on
 * the loop when FN has returned, also if the operation no longer waits. An expiry stalls: whether
 * the disk will have it is not known. */
typedef bool file_work_fn(void *data, struct err **e);
enum verdict file_work(struct op *op, file_work_fn *fn, void *data, void (*free_data)(void *data));
/* The same for what only looks, at paths that somebody else has given: on a thread of its own (aside.h). An expiry is a
 * Timeout, and a cancel does not wait: FN goes on, and FREE_DATA is called when it has returned, if ever. */
enum verdict file_look(struct op *op, file_work_fn *fn, void *data, void (*free_data)(void *data));

#endif
