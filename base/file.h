/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files, whole or not at all.
 *
 * A file is written under a temporary name and renamed. Below /run that is done in line without
 * any sync: it means nothing after a power cut, and a killed daemon loses no page cache. What must
 * survive the host goes through file_work(), which runs a function on libuv's thread pool as a wait
 * of an operation: the only threads of the daemon, and they share no data with it.
 *
 * Names are relative to a directory descriptor, so that no path is too long. Errors have the class
 * that errno suggests and name the file.
 */
#ifndef DROVER_BASE_FILE_H
#define DROVER_BASE_FILE_H

#include "base/json.h"
#include "base/op.h"

#include <sys/types.h>

/* JSON: of a file of ours, which is of a definition's size several times. */
enum { FILE_MAX = 64 << 20, FILE_JSON_MAX = 8 << 20 };

/* Reads a regular file of at most MAX bytes (a FIFO, a device or a link is refused, not waited for or
 * followed). *RET is NUL-terminated and the caller's. */
bool file_read(int dirfd, const char *name, size_t max, char **ret, size_t *len, struct err **e);
/* The same of at most FILE_JSON_MAX, parsed; an object or nothing. */
bool file_read_json(int dirfd, const char *name, struct json_object **ret, struct err **e);
/* The last MAX bytes of a file that may be large and growing. */
bool file_read_tail(int dirfd, const char *name, size_t max, char **ret, size_t *len, bool *cut, struct err **e);

/* Temporary, rename. SYNC: also fsync of the file and its directory; only on the thread pool or
 * before the loop runs. */
bool file_write(int dirfd, const char *name, const char *text, mode_t mode, bool sync, struct err **e);
bool file_write_json(int dirfd, const char *name, struct json_object *o, mode_t mode, struct err **e);
/* Removes what a write that was killed halfway has left in a directory, of any file but BUT (NULL: of any at all), which
 * somebody else may be writing. */
void file_sweep(int dirfd, const char *but);
/* Absent is success. */
bool file_remove(int dirfd, const char *name, struct err **e);
/* A directory and all below it, not following links or mounts; absent is success. */
bool file_remove_tree(int dirfd, const char *name, struct err **e);
/* mkdir and all parents of an absolute PATH; there already is success. */
bool file_make_dirs(const char *path, mode_t mode, struct err **e);
/* O_PATH-less directory descriptor, -1 on failure. */
int file_open_dir(int dirfd, const char *name, struct err **e);

/* Whether PATH is absolute and there is no shorter way to write it: no "//", no "." or "..", no slash at its end. */
bool file_path_is_normal(const char *path);

/* Calls fn(name, data) for each entry of a directory but "." and "..", sorted. False when it cannot
 * be read. */
bool file_list(int dirfd, void (*fn)(const char *name, void *data), void *data, struct err **e);

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
