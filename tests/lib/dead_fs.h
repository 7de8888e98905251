/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file system of a server that has died: it can be mounted, and its root opened; who looks for a name in it waits,
 * and not even SIGKILL ends that.
 */
#ifndef DROVER_TESTS_DEAD_FS_H
#define DROVER_TESTS_DEAD_FS_H

struct dead_fs;

/* Mounts one on DIR, in a mount namespace of the test's own, which the next droverd is in. NULL: this host has no
 * FUSE. */
struct dead_fs *dead_fs_new(const char *dir);
/* Unmounts it, and ends all that waits for it: before a droverd that does is awaited. NULL is none. */
struct dead_fs *dead_fs_free(struct dead_fs *fs);

#endif
