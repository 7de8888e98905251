/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the scenarios on fake-qemu share: one rig and one client at a time, instances of a given script, the world
 * before to compare with. stage_clear() is the fixture that takes all down, however a test ended.
 */
#ifndef DROVER_TESTS_STAGE_H
#define DROVER_TESTS_STAGE_H

#include "base/cleanup.h"
#include "rig.h"

struct stage {
	struct rig *r;
	struct client *c;
	char *before; /* of stage_mark() */
};

extern struct stage stage;

/* A droverd, with FAULT (see fault.c; printf-like, "" for none), and a client of it. */
void stage_set(const char *fault, ...) _printf_(1, 2);
void stage_clear(void);
/* SIGKILL to droverd, if it runs; and one again. */
void stage_kill(void);
void stage_restart(void);

/* Defines an instance whose QEMU does as WORDS say (script.h). */
void stage_define(const char *name, const char *words, ...) _printf_(2, 3);
void stage_start(const char *name);
/* 0 without a process. */
pid_t stage_pid(const char *name);
void stage_await_pid(const char *name);
/* Who holds qemu.lock of an instance. */
pid_t stage_holder(const char *name);
/* query-instance */
struct json_object *stage_show(const char *name);
/* What the QEMU of "web" has of nodes, objects, devices and fd sets, what both records say of devices, and how many
 * descriptors QEMU and droverd hold; the caller's. */
char *stage_gear(void);
/* Fails the test unless it becomes that: behind a reply QEMU is still asked to close descriptors, which is recorded. */
void stage_check_gear(const char *expected);
/* Fails the test unless state and reason are these now. */
void stage_check_state(const char *name, const char *state, const char *reason);

/* The world without state.json; remembered, and compared. */
char *stage_world(void);
void stage_mark(void);
void stage_check_unchanged(void);
/* Waits until no operation is under way, and what is known of each process is what its lock says. */
void stage_settle(void);
/* Waits for TEXT in a file below the root. */
void stage_await_text(const char *file, const char *text);
/* Waits until QEMU has answered COMMAND; the trace of "web" then, the caller's. */
struct json_object *stage_await_answer(const char *command);
/* Waits until QEMU, that of "web", has answered all: what droverd asks and records behind a reply is done then. */
void stage_await_quiet(void);
/* TEXT with the root in place of "ROOT"; the caller's. */
char *stage_text(const char *text);
/* Whether there is something of that name below the root. */
bool stage_is_there(const char *name);
/* Writes a file below the root as it is given. */
void stage_write(const char *file, const char *text);

#endif
