/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files, whole or not at all.
 *
 * A file is written under a temporary name and renamed. Below /run that is done in line without
 * any sync: it means nothing after a power cut, and a killed daemon loses no page cache. What must
 * survive the host is written by file_work() (file_work.h).
 *
 * Names are relative to a directory descriptor, so that no path is too long. Errors have the class
 * that errno suggests and name the file.
 */
#ifndef DROVER_BASE_FILE_H
#define DROVER_BASE_FILE_H

#include "base/json.h"

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

#endif
