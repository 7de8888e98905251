/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Child processes.
 *
 * A child has ended when it was reaped *and* its pipes are closed, in whichever order these come;
 * only then end() is called. Nothing is inherited but what the caller lists: all descriptors of ours are
 * close-on-exec. The child gets default signal dispositions and an empty signal mask.
 */
#ifndef DROVER_BASE_CHILD_H
#define DROVER_BASE_CHILD_H

#include "base/op.h"

#include <uv.h>

/* The first file NAME in PATH that can be run; the caller's, or NULL. */
char *program_find(const char *name);

struct child;

struct child_spec {
	const char *const *argv; /* argv[0] is the path or a name to look up in PATH */
	const int *fds; /* fds[i] becomes descriptor i; stays the caller's. -1: /dev/null for 0 to 2, else none */
	unsigned n_fds;
	bool capture; /* stdout and stderr are pipes, kept up to `max` bytes each */
	size_t max;
};

struct child_end {
	int status;            /* exit status, or -1 */
	int signal;            /* or 0 */
	const char *out, *err; /* what it wrote, when captured; cut at max */
};

/* END may be NULL. The child is freed after it. NULL with *e set when it cannot be started. */
struct child *child_spawn(uv_loop_t *loop, const struct child_spec *spec,
			  void (*end)(const struct child_end *end, void *data), void *data, struct err **e);
pid_t child_pid(const struct child *c);
/* END will not be called; the child lives on and is still reaped. */
void child_forget(struct child *c);
/* Nothing happens once it was reaped. */
void child_kill(struct child *c, int signal);

/* A wait of OP: runs ARGV to its end; anything but exit 0 fails with CLASS and its stderr's first
 * line. THEN, if given, sees the output of a success and decides. Cancel and expiry kill it; the wait
 * ends when it has ended. */
enum verdict child_run(struct op *op, const char *const *argv, enum err_class class,
		       enum verdict (*then)(struct op *op, const char *out));

#endif
