/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The process of an instance, and its keeper.
 *
 * drover-launch takes a POSIX record lock on instances/NAME/lock and stays as the keeper; its child
 * takes one on instances/NAME/qemu.lock, which it keeps through exec: the kernel then names the live
 * process of an instance to anybody who asks (F_GETLK), without a race. No lock, no process: but only a lock file that
 * is not there, or that could be asked and nobody holds, is no lock. What could not be asked is not known.
 *
 * A QEMU that somebody else started has neither lock nor keeper: adopted.json names it, by pid, start time and boot id. It
 * counts where nobody holds the lock.
 *
 * Identity is pid + start time + boot id + that lock, held by a pidfd; the end of both processes is
 * known by their pidfds alone. When QEMU ends the keeper writes exit.json (status or signal, time)
 * and ends as well: end() is called after both, so exit.json is whole by then.
 */
#ifndef DROVER_RUNTIME_PROCESS_H
#define DROVER_RUNTIME_PROCESS_H

#include "base/err.h"
#include "base/json.h"

#include <sys/types.h>
#include <uv.h>

struct process;

/* The pid that holds the record lock of NAME in DIRFD; 0 for none. -1 and errno: it cannot be told. */
pid_t process_lock_holder(int dirfd, const char *name);
/* That nobody holds a lock in DIRFD. False: Busy, naming the process, or it cannot be told. */
bool process_is_none(int dirfd, struct err **e);
/* Has PID, which lives, take the place of who holds the lock in DIRFD. */
bool process_adopt(int dirfd, pid_t pid, struct err **e);
/* Field 22 of /proc/PID/stat: clock ticks from boot to its start; 0 when there is no such process. */
uint64_t process_start_time(pid_t pid);
/* R, S, D, T, Z as in /proc/PID/stat; 0 when there is none. */
char process_run_state(pid_t pid);
/* This boot's id; constant. */
const char *process_boot_id(void);

/* Takes hold of whoever holds the locks in DIRFD. NULL when nobody does, or, with *e set, when that cannot be told.
 * START_TIME 0: any. */
struct process *process_hold(uv_loop_t *loop, int dirfd, pid_t pid, uint64_t start_time,
			     void (*end)(struct process *p, void *data), void *data, struct err **e);
struct process *process_free(struct process *p);
pid_t process_pid(const struct process *p);
bool process_alive(const struct process *p);
void process_signal(const struct process *p, int signal);
/* Whom it is: its uid, its gid and its further groups, N_GROUPS of them at most; how many of these. -1: it has ended. */
int process_credentials(const struct process *p, uid_t *uid, gid_t *gid, gid_t *groups, int n_groups);
/* {pid, start-time, boot-id, uid} as in runtime.json: of P, or of one that nobody watches. The caller's. */
struct json_object *process_to_json(const struct process *p);
struct json_object *process_describe(pid_t pid, uint64_t start_time);

#endif
