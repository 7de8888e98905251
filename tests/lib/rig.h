/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What scenario tests need: a droverd on a temporary root, clients of it, and the world to compare.
 *
 * RIG_MAIN runs the suite as process 1 of a PID namespace, and in a network namespace with lo alone, both of its own, where
 * the host allows that: when the test ends, however it ends, the kernel ends everything that it started, and interfaces
 * are not made in the host's network (netns.h). Failures abort the test with file and line, by check's ck_assert. Every
 * wait has a generous deadline (RIG_DEADLINE_MS); no test asserts a duration.
 */
#ifndef DROVER_TESTS_RIG_H
#define DROVER_TESTS_RIG_H

#include "base/json.h"

#include <check.h>
#include <sys/types.h>

enum { RIG_DEADLINE_MS = 60000 };

struct rig {
	char *root;
	char *program; /* path of the droverd that is run */
	char *fault;   /* DROVER_FAULT for droverd-faulty, or NULL */
	pid_t pid;     /* 0: not running */
	uid_t uid;     /* whom it runs as; 0: as the test does */
	bool quiet;    /* it logs what it does without being asked to, not all */
	int *given;    /* descriptors that a service manager gives it; the test's */
	unsigned n_given;
	const char *given_names; /* theirs, with ':' between */
	bool traced;             /* it stops in front of its first instruction, as a tracee of ours (stepper.h) */
};

struct client;

/* PROGRAM: "droverd" or "droverd-faulty"; a fresh root below $TMPDIR. Not started yet. */
struct rig *rig_new(const char *program);
/* Ends the daemon and every process of its guests, checks that nothing is left, removes the root. */
void rig_free(struct rig *r);
/* Starts the daemon and waits until its socket answers. */
void rig_start(struct rig *r);
/* Starts it without waiting for anything. */
void rig_spawn(struct rig *r);
/* SIGKILL, and reaped. */
void rig_kill(struct rig *r);
/* SIGTERM, reaped; its exit status must be 0. */
void rig_stop(struct rig *r);
/* Waits until the daemon has ended by itself (a fault that kills it); its wait status. */
int rig_wait(struct rig *r);
/* The text of a file below the root, or NULL. */
char *rig_file(struct rig *r, const char *fmt, ...) _printf_(2, 3);
/* Path of a file that guests can read: "fake-qemu", and "kernel", an empty one. */
char *rig_shared(const char *name);
/* Path of a program of this build; of the test guest's directory (NULL: there is none). */
char *rig_program(const char *name);
const char *rig_guest(void);
/* The QEMU in PATH, which is that of an instance without kvm_path; NULL: there is none. The caller's. */
char *rig_qemu(void);
/* What a private root shows of the host for its sake: the directory above that where it lies; NULL: /usr. The caller's. */
char *rig_qemu_prefix(void);

/* A connected and negotiated client. */
struct client *client_new(struct rig *r);
/* Connected only: the greeting has been read. */
struct client *client_raw(struct rig *r, struct json_object **greeting);
void client_free(struct client *c);
int client_fd(struct client *c);
/* Sends bytes as they are. */
void client_write(struct client *c, const char *data, size_t len);
/* The next value of any kind; NULL at the end of the stream. The caller's. */
struct json_object *client_read(struct client *c);
/* The bytes behind the last value that was read, SIZE at most; 0 at the end of the stream. For sessions that are no
 * longer JSON. */
size_t client_read_bytes(struct client *c, char *data, size_t size);
/* Sends {"execute": COMMAND, "arguments": ARGS} with a fresh id, which it returns. ARGS: JSON text with ' for ",
 * printf-like; NULL for none. */
int client_send(struct client *c, const char *command, const char *args, ...) _printf_(3, 4);
/* The reply to ID; events that come meanwhile are kept for client_event(). The whole reply; the caller's. */
struct json_object *client_reply(struct client *c, int id);
/* The same without waiting: NULL if it has not come yet. */
struct json_object *client_poll_reply(struct client *c, int id);
/* Both; the reply must be a "return", which is the result. */
struct json_object *client_ok(struct client *c, const char *command, const char *args, ...) _printf_(3, 4);
/* Both; the reply must be an "error" of CLASS, which is the result. */
struct json_object *client_error(struct client *c, const char *class, const char *command, const char *args, ...)
	_printf_(4, 5);
/* The next event NAME (NULL: any) that has not been taken yet; earlier other ones are dropped. The caller's. */
struct json_object *client_event(struct client *c, const char *name);
/* Waits until the instance is in STATE (and for REASON, if not NULL), by events and one question first; where that one
 * suffices, what was told of its states until then is dropped. */
void client_await_state(struct client *c, const char *instance, const char *state, const char *reason);
/* What query-stats says once the first N of it are no old numbers: each QEMU has a second to answer, which on a busy
 * machine is too little at times. The caller's. */
struct json_object *client_stats(struct client *c, unsigned n);
/* Waits for TEXT in the console log of an instance. */
void client_await_console(struct client *c, const char *instance, const char *text);

/* SIGKILL for the daemon, and another one, which *C is connected to. */
void rig_restart(struct rig *r, struct client **c);

/* Defines and, with START, starts an instance: EXTRA are further members of the definition, in JSON with '. */
void client_define(struct client *c, const char *name, const char *extra, ...) _printf_(3, 4);

/* What there is: files below etc, lib, run (with sizes left out), processes that belong to the root, control groups that
 * were made for it, network interfaces but lo, one a line, sorted. The caller's. DAEMON: the daemon's own open descriptors
 * as well. */
char *rig_world(struct rig *r, bool daemon);
/* Whether a world is one to compare: no file in it is just being written, and no helper has been told to end. */
bool rig_is_still(const char *world);
/* The same once it is. The caller's. */
char *rig_still_world(struct rig *r, bool daemon);
/* The same once nothing of it is under way: droverd saves records and closes what it needs no more behind its answers.
 * The caller's. */
char *rig_world_at_rest(struct rig *r, bool daemon);
/* It is, or comes to be, as BEFORE. */
void rig_expect_world(struct rig *r, bool daemon, const char *before);
/* Number of open descriptors of a process. */
unsigned process_fds(pid_t pid);
/* Those of droverd while it does nothing; it has, or comes to have, N. */
unsigned rig_fds_at_rest(struct rig *r, struct client *c);
void rig_expect_fds(struct rig *r, unsigned n);
/* The same but those that libuv keeps from the first file that was watched, and the first pipe, on. */
unsigned rig_own_fds(struct rig *r);
/* For what nobody tells of: "for (int64_t end = look_until(); !CONDITION && look_again(end);)"; for so long. */
int64_t look_until(void);
int64_t look_for(int ms);
bool look_again(int64_t end);
/* Who holds the lock FILE of an instance; 0: nobody. */
pid_t rig_lock_holder(struct rig *r, const char *name, const char *file);
/* Whether no operation is under way, and what is known of each process is what its lock says; waits until it is so. */
bool rig_is_settled(struct rig *r, struct client *c);
void rig_settle(struct rig *r, struct client *c);
/* What is told of the instance is, or comes to be, what the kernel says of it; its process, or 0. */
pid_t rig_check_agreement(struct rig *r, struct client *c, const char *name);
/* There is no process, or comes to be none, but droverd and those of the world. */
void rig_check_strangers(struct rig *r);
/* Resident memory in KiB. */
unsigned process_rss(pid_t pid);
/* Whose parent has died is ours, as process 1, and its remains would be found by each later look at /proc, and hold a
 * uid. */
void rig_reap(void);
/* Waits until a process is gone (by pidfd). */
void process_await_end(pid_t pid);

/* member chain: "a.b.0.c" of an object; fails the test if absent. */
struct json_object *at(struct json_object *o, const char *path);
const char *str_at(struct json_object *o, const char *path);
int64_t int_at(struct json_object *o, const char *path);
bool has(struct json_object *o, const char *path);

/* Runs SUITE; the exit status for main(). */
int rig_main(Suite *(*make)(void));
/* With its roots in memory, where the host allows that and DROVER_KEEP is not set: for programs of very many roots, who
 * would wait for a disk most of the time. */
int rig_main_in_memory(Suite *(*make)(void));
#define RIG_MAIN(make)                 \
	int main(void)                 \
	{                              \
		return rig_main(make); \
	}
#define RIG_MAIN_IN_MEMORY(make)                 \
	int main(void)                           \
	{                                        \
		return rig_main_in_memory(make); \
	}

#endif
