/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs of the real drover-launch without a droverd. Each test has a directory of its own, which serves as
 * the instance's; what the program writes goes to "out" in it.
 */
#ifndef DROVER_TESTS_LAUNCH_H
#define DROVER_TESTS_LAUNCH_H

#include "rig.h"
#include "runtime/confine.h"

enum { NOBODY = 65534 };

/* One launcher, and what it started. */
struct run {
	char *dir;
	int dirfd;
	pid_t pid;      /* the launcher, then the keeper; 0: reaped */
	int sock;       /* our end of its socket; -1: closed */
	pid_t qemu;     /* what was started; 0: nothing */
	int extra;      /* becomes descriptor 5 if it is not 0 */
	bool ordinary;  /* started by an ordinary user, who owns the directory */
	rlim_t memlock; /* hard limit it is started with if it is not 0 */
};

/* A directory that other users may pass through. */
void run_open(struct run *r);
/* Ends what is left, removes the directory. */
void run_close(struct run *r);
/* Starts the command line; returns what is said on the socket first, without its newline. The caller's. */
char *run_words(struct run *r, char *const *argv);
/* The same with COMMAND, confined: it must say a pid. */
void run_prepare(struct run *r, const struct confine *c, char *const *command);
/* And it must run. */
void run_start(struct run *r, const struct confine *c, char *const *command);
void run_go(struct run *r);
/* Waits for the keeper, which must have done its work; what it wrote. The caller's. */
struct json_object *run_end(struct run *r);
/* Kills the program and awaits its keeper. */
void run_kill(struct run *r);
/* A --once to its end: its wait status. What it wrote is in "out". */
int run_once(struct run *r, char *const *argv);
char *run_file(struct run *r, const char *name);

/* The rest of the line "KEY:" of /proc/PID/status, white space made single blanks; the caller's. */
char *status_of(pid_t pid, const char *key);
void assert_status(pid_t pid, const char *key, const char *value);
/* No capability in any set; BOUNDED: also not in the bounding set. */
void assert_powerless(pid_t pid, bool bounded);
/* A file below /proc/PID; the caller's. */
char *proc_file(pid_t pid, const char *name);

#endif
