/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests with a real QEMU share: the test guest, what it said, and what the kernel knows of its process.
 */
#ifndef DROVER_TESTS_GUEST_H
#define DROVER_TESTS_GUEST_H

#include "base/cleanup.h"
#include "rig.h"

#include <string.h>

/* Defines NAME with the test guest's kernel and 128M. WORDS: for its kernel command line; EXTRA: further members of the
 * definition, in JSON with ', or "". */
void guest_define(struct client *c, const char *name, const char *words, const char *extra);
/* The same without a kernel: the firmware finds nothing to boot and waits. */
void guest_define_bare(struct client *c, const char *name);
/* Starts it; its pid. */
pid_t guest_start(struct client *c, const char *name);
/* How often its console's log has TEXT, whether or not there is a droverd; and the wait for so many. */
unsigned guest_said(struct rig *r, const char *name, const char *text);
void guest_await(struct rig *r, const char *name, const char *text, unsigned times);
/* Runs a line of shell in a guest that has t.shell=1 (or waits until its shell is there, "true"); what it printed, the
 * caller's. Nothing else may be attached to its console. */
char *guest_shell(struct rig *r, const char *name, const char *line);
/* An image below the root, 0600: SIZE bytes, of which the first are TEXT. Its path, the caller's. */
char *guest_image(struct rig *r, const char *name, const char *text, off_t size);
/* Runs a command of the host's, printf-like; it must end well. */
void host_run(const char *fmt, ...) _printf_(1, 2);
/* The whole answer of query-instance; its "state" and "reason" are these; without an operation under way. */
struct json_object *guest_query(struct client *c, const char *name);
void guest_expect(struct client *c, const char *name, const char *state, const char *reason);
struct json_object *guest_settle(struct client *c, const char *name);
pid_t guest_pid(struct client *c, const char *name);

/* The states that NAME was in since the event SEQ, one a line: "state/status/reason"; checks that each follows from
 * the last. The caller's. */
char *guest_states(struct client *c, const char *name, int64_t seq);
/* The seq of the last event until now. */
int64_t guest_now(struct client *c);

/* Asks a QEMU that no droverd is connected to for its RunState. The caller's. */
char *guest_run_state(struct rig *r, const char *name);
/* Waits for it. */
void guest_await_run_state(struct rig *r, const char *name, const char *status);

/* What the kernel says: is it there (a zombie is not); the time in clock ticks that its vCPUs have taken. */
bool process_runs(pid_t pid);
unsigned long process_vcpu_ticks(pid_t pid);
/* The value of a line "FIELD:\tVALUE" of /proc/PID/FILE. The caller's. */
char *process_field(pid_t pid, const char *file, const char *field);
/* The same of the status of a thread; NULL: it has ended. */
char *thread_field(pid_t pid, const char *tid, const char *field);

/* A start is refused with CLASS, each time, and leaves nothing; the first error, the caller's. */
struct json_object *guest_refused(struct rig *r, struct client *c, const char *name, const char *class);

/* rig_main(), or status 77 where there is no test guest. */
int guest_main(Suite *(*make)(void));

static inline void guest_client_freep(struct client **c)
{
	if (*c)
		client_free(*c);
}
#define _cleanup_client_ _cleanup_(guest_client_freep)

#endif
