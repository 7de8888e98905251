/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether KVM works, seen and not guessed: a guest of our own must run to its end in 0.3 s, which is ten times what it
 * takes without KVM; the better of two runs counts. There are hosts whose /dev/kvm answers every call and then runs a
 * guest slower than an emulator would.
 *
 * It is asked for a binary and for those who would run it: /dev/kvm may be open to root and not to a guest's uid. What was
 * seen holds until the host boots, the binary or /dev/kvm changes; it is kept in memory and in run/accel.json.
 */
#ifndef DROVER_RUNTIME_ACCEL_H
#define DROVER_RUNTIME_ACCEL_H

#include "base/op.h"

struct accel_options {
	const char *accel;  /* NULL: "kvm" */
	const char *device; /* NULL: "/dev/kvm" */
	unsigned limit_ms;  /* 0: 300 */
};

struct accel_result {
	bool works;
	char *reason; /* for people, without a full stop: "works, 12 ms" */
	double ms;    /* of the better run from its start to its end; 0 when none came to its end */
};

struct accel_cache;
struct accel_ask;

/* DIR_FD: holds accel.json, stays the caller's; -1: none. OPTIONS, for tests, NULL for the usual, must outlive it. Before
 * the loop runs. */
struct accel_cache *accel_cache_new(uv_loop_t *loop, int dir_fd, const struct accel_options *options);
/* Nobody must wait for it. */
struct accel_cache *accel_cache_free(struct accel_cache *cache);

/* R is the cache's and holds during the call; or NULL, and E says why it could not be tried at all. */
typedef void accel_fn(const struct accel_result *r, const struct err *e, void *data);
/* Calls FN once, from the loop, within half a minute. PREFIX: words in front of BINARY that make the process what a
 * guest's is, and exec; NULL: none. KEY names what they make of it ("pool", "user NAME", "none"), and nothing else
 * does. They are copied. */
struct accel_ask *accel_ask(struct accel_cache *cache, const char *binary, const char *const *prefix, const char *key,
			    accel_fn *fn, void *data);
/* FN will not be called. */
void accel_forget(struct accel_ask *ask);
/* A wait of OP; *RET, which must be zeroed, is the caller's, to be ended with accel_result_clear(). */
enum verdict accel_wait(struct op *op, struct accel_cache *cache, const char *binary, const char *const *prefix,
			const char *key, struct accel_result *ret);
void accel_result_clear(struct accel_result *r);

#endif
