/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A droverd that is killed in front of a certain system call, by ptrace.
 *
 * The calls of all its threads are counted in the order in which they are begun, from 1. The one at which it is killed
 * does not happen, nor does any later one: of what droverd does it is the exact instant between two effects. What it
 * forks is not followed and lives on.
 *
 * It is the thread of the test that traces, and nothing else can be done with droverd meanwhile: a request is sent first,
 * and DONE looks for its reply without waiting (client_poll_reply). Whatever happens, droverd is dead at the end, and
 * reaped.
 */
#ifndef DROVER_TESTS_STEPPER_H
#define DROVER_TESTS_STEPPER_H

#include "rig.h"

struct stepper_call {
	int nr;
	bool effect; /* outside of the process: something else to find for the next droverd, or for QEMU */
	char *path;  /* that it makes or changes; NULL: it names none */
};

struct stepper {
	struct rig *r;
	struct stepper_call *calls; /* as they were begun; the last is the one that did not happen, if it was KILLED */
	size_t n;
	bool killed;
};

/* From here on its calls are traced: of a daemon that runs and has nothing to do, or of one that was spawned `traced`,
 * which has not made any call yet. */
void stepper_attach(struct stepper *s, struct rig *r);
/* Lets it run until it begins its NTH call, or until nothing happens any more and DONE says that this was all. */
void stepper_run(struct stepper *s, size_t nth, bool (*done)(void *data), void *data);
void stepper_clear(struct stepper *s);

/* "renameat '.definition.json.new'"; of one without a name "call 228". The caller's. */
char *stepper_describe(const struct stepper_call *call);

#endif
