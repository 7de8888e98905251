/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A round of the soak: a droverd, up to eight instances of fake QEMUs that misbehave, up to four clients, and a number of
 * actions on all of them. At its end everything is healed, and the world has to be a sound one.
 *
 * What is done, to whom and in which order depends on the round's seed alone: never on a clock or on an answer. So each
 * action draws all its numbers before it looks at the world, and what happens as often as droverd dies draws from a row of
 * numbers of its own (life.c).
 */
#ifndef DROVER_TESTS_SOAK_H
#define DROVER_TESTS_SOAK_H

#include "base/cleanup.h"
#include "chance.h"
#include "peer.h"
#include "rig.h"

enum { MACHINES_MAX = 8, PEERS_MAX = 4 };

/* An instance, there or not. */
struct machine {
	char names[2][24]; /* it is renamed from one to the other */
	unsigned name;
	char uuid[37];
	/* Of any definition that it was given: */
	bool deaf; /* its QEMU stands still for good: only its end ends what waits for it */
	bool liar; /* what QEMU says of its state is not to be believed */
	/* What was done to it: */
	bool orphan; /* its keeper was killed */
	bool broken; /* its definition was damaged */
	bool lost;   /* its runtime record was */
};

struct round {
	uint64_t seed;
	struct chance chance;
	struct rig *r;
	struct machine machines[MACHINES_MAX];
	unsigned n_machines;
	struct peer peers[PEERS_MAX];
	unsigned n_peers;
	struct peer witness; /* for the checks */
	bool faulty;         /* droverd fails by itself */
	unsigned life;
	bool small; /* the disk can be filled */
	bool moved; /* a damaged marker may have been moved aside */
	unsigned action;
	char *before; /* the world of an empty droverd */
	unsigned fds;
	bool passed;
};

extern struct round round_;

/* A line of what was done; kept when the round fails. */
void say(const char *fmt, ...) _printf_(1, 2);
/* Of a clock that only goes forward. */
double seconds(void);

/* ---- life.c: of droverd ---- */

/* A new one, with faults of its own if the round is faulty and HEALED is not set. */
void life_begin(bool healed);
/* Takes notice of an end that a fault has made; any other fails the round. */
void life_check(void);
void life_kill(void);
void life_term(void);
/* A connected peer; begins a life if there is none. */
void life_connect(struct peer *p);

/* ---- machines.c ---- */

void machines_make(void);
struct machine *machine_draw(struct chance *c);
/* By name or by UUID. */
const char *machine_draw_name(struct chance *c, const struct machine *m);
/* A definition, as JSON. The caller's. */
char *machine_draw_definition(struct chance *c, struct machine *m);
/* Who holds FILE ("qemu.lock": QEMU; "lock": its keeper) of an instance; 0 for nobody. */
pid_t machine_holder(const char *name, const char *file);
/* The same for either of its names. */
pid_t machine_process(const struct machine *m, const char *file);
struct machine *machine_find(const char *name);

/* ---- requests.c, mischief.c ---- */

/* One of a client; one of anybody else. */
void request_draw(struct chance *c);
/* Defines and starts each machine, but for a few. */
void requests_define_all(struct chance *c);
void mischief_draw(struct chance *c);
/* Room on the disk, and all that stand still go on. */
void mischief_heal(void);

/* ---- world.c ---- */

/* Waits until the world is sound and at rest; fails the round if it never is. */
void world_await_rest(void);
/* All instances are started, which those that are broken refuse; and rest again. */
void world_start(void);
/* All instances are removed: then nothing may be left. */
void world_clear(void);

#endif
