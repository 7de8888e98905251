/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The capabilities of the binaries that are in use.
 *
 * A binary is known by device, inode, size and time of change of what its path leads to, and asked by drover-probe the
 * first time. The result is kept in memory and in a file, for at most 16 binaries; the one that was not asked for longest
 * goes. Errors are not kept. However many ask at a time, a binary is probed once.
 *
 * A script that runs a QEMU elsewhere is the binary here: when only the QEMU behind it changes, nobody notices.
 *
 * Errors: NotFound, PermissionDenied (not executable), Unsupported (no QEMU, with what it said), QemuError (a QEMU that
 * failed), Timeout.
 */
#ifndef DROVER_QMP_CAPS_CACHE_H
#define DROVER_QMP_CAPS_CACHE_H

#include "base/op.h"
#include "qmp/caps.h"

enum { CAPS_CACHE_MAX = 16 };

struct caps_cache;
struct caps_ask;

/* PROBER: the words in front of a binary's path, NULL-terminated; the last is the path of drover-probe, those before it
 * confine it. DIR_FD: a directory for its files only, whatever else is there is removed; -1: none. It stays the caller's,
 * as do the words, which are copied. Before the loop runs: reads the files. */
struct caps_cache *caps_cache_new(uv_loop_t *loop, const char *const *prober, int dir_fd);
/* Nobody must wait for it. Probes under way are killed. */
struct caps_cache *caps_cache_free(struct caps_cache *cache);

/* C is the cache's (caps_ref() to keep it); or NULL, and E says why. */
typedef void caps_fn(struct caps *c, const struct err *e, void *data);
/* Calls FN once, from the loop, within half a minute. PATH is absolute. */
struct caps_ask *caps_ask(struct caps_cache *cache, const char *path, caps_fn *fn, void *data);
/* FN will not be called. What it caused goes on, for whoever asks next. */
void caps_forget(struct caps_ask *ask);
/* A wait of OP; *RET is the caller's. */
enum verdict caps_wait(struct op *op, struct caps_cache *cache, const char *path, struct caps **ret);

#endif
