/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bare thing: the same QEMU by posix_spawn, with the same listening sockets, logs and images as descriptors, nothing
 * checked and nothing written.
 */
#ifndef DROVER_TESTS_BENCH_BARE_H
#define DROVER_TESTS_BENCH_BARE_H

#include "bench.h"

struct bare {
	const char *dir; /* for its sockets and logs */
	char **argv;     /* of instance-argv */
	char **images;   /* one for each fd set behind those of the logs, NULL behind the last */
};

/* From before the sockets are bound to the reply of `cont`. */
pid_t bare_start(const struct bare *b, double *ms);
/* SIGKILL until it is gone. */
void bare_stop(pid_t pid, double *ms);
/* The argv that droverd would use; the caller's. */
char **bare_argv(struct client *c, const char *name);

#endif
