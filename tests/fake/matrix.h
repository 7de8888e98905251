/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fault matrix: each plan of a table, with each fault at each of its steps; the world is then the one before or the
 * one after, never between.
 *
 * A plan runs once without a fault, by a droverd-faulty that notes its steps. Then once for each step and each fault: the
 * step fails before or after its effect, the operation is cancelled, its wait expires, QEMU is killed, droverd is killed
 * and started again; and QEMU stands still (SIGSTOP) from the step on: until it is let go, also under the next droverd, or
 * until it is stopped. What counts as the world: files, processes, control groups, what clients are told, and what the
 * machine under test adds to it. Behind one trial of three, or each where trials are chosen or all are run, a start and a
 * stop have to work, and droverd holds no descriptor more than at its start.
 *
 * One droverd serves many trials, for its start would take longer than most of them.
 */
#ifndef DROVER_TESTS_MATRIX_H
#define DROVER_TESTS_MATRIX_H

#include "base/cleanup.h"
#include "rig.h"

enum { STEPS_MAX = 64 };

enum from { NOTHING, DEFINED, BROKEN, RUNNING, PAUSED };

/* A row; the first members say what is tried, the last what came of it without a fault. */
struct plan {
	const char *title;
	enum from from;
	const char *command;
	const char *description; /* of the definition that it takes, or NULL */
	const char *args;        /* behind the instance's name; NULL: none */
	const char *hvparams;    /* further ones of the definition, as JSON behind a comma; or NULL */
	const char *extra;       /* further members of the definition, likewise */
	const char *words;       /* for the kernel's command line */
	bool bridged;            /* it has a card with a tap; to take one away costs the kernel tens of milliseconds */
	/* On the way from RUNNING or PAUSED to where the plan begins. */
	const char *patch; /* of the definition, which waits for a start */
	const char *lead;  /* a command */
	const char *lead_args;
	const char *lead_class; /* of the error that it comes to; NULL: it is done */
	int lead_signal;        /* to QEMU */
	const char *state;      /* where that leads, or the words do */
	/* No client asks for it: droverd does it by itself */
	int signal;       /* when QEMU gets this */
	const char *file; /* when this is made, below the root; the fake waits for it */
	bool restart;     /* when it is started again: */
	const char *cut;  /* killed by this fault while somebody asks for the lead, or without a NULL */
	/* How it behaves. */
	const char *class; /* of the error that it comes to; NULL: it is done */
	bool dies_done;    /* what the guest does not do of it is done when the process ends */
	bool named;        /* takes a job-id */
	bool unmarked;     /* runs beside everything: nothing is recovered */
	bool asks_guest;   /* what the guest was asked for it may still do */
	bool idle_commit;  /* there is nothing to do in its commit: asked before it, it is done */
	bool stops_first;  /* and then what fails leaves it without a process */
	bool restarts;     /* a new process takes the place of the old one, if it can be started */
	bool untold;       /* whether its commit has happened cannot be found out */
	bool boots;        /* the guest goes down on the way, and runs at the end */
	bool deaf;         /* what the guest was asked for it will not do, which nobody can know */
	bool stays_asked;  /* what the guest was asked to let go of it may let go of when the operation has gone back */
	int every;         /* only each of so many of its trials is run, but for the long form; 0: all */
	bool apart;        /* a QEMU without a machine has the image, which ends with droverd, a moment later */
	const char *between,
		*halts; /* the state in which what fails halfway leaves it, with its process; another one */

	struct {
		char *name;
		bool commit, past; /* the commit; behind it */
		bool again;        /* the next droverd goes on with it */
		bool process;      /* there is one */
	} steps[STEPS_MAX];
	int n;
	char *before, *after, *off; /* off: without a process */
	char *left;                 /* the same, when the process of the one after ends; or NULL */
};

/* A plan, or all of a command's, that is in no row. */
struct left_out {
	const char *command, *what, *why; /* what NULL: all of them */
};

/* The machine under test. */
struct machine {
	const char *binary;                /* of the shared directory, or NULL: droverd's default */
	char *(*kernel)(const char *root); /* makes it; its path */
	void (*ready)(void);               /* optional: waits until the guest, which runs, hears */
	char *(*describe)(pid_t pid);      /* optional: lines of the world, of one that runs */
	bool late;                         /* it gets to the world it comes to behind the reply */
};

struct matrix {
	const struct machine *machine;
	struct plan *plans;
	size_t n;
	const struct left_out *left_out; /* to one without a command; NULL: not every command is to be here */
	const char *sample;              /* DROVER_PART, where it is not set and DROVER_LONG is not either */
};

/* The exit status for main(). DROVER_TRIALS keeps the plans whose title begins so, DROVER_PART ("N/OF") a part of the
 * trials. */
int matrix_main(const struct matrix *m);

/* ---- among its files ---- */

enum fault { FAIL, CANCEL, KILL, KILLQEMU, EXPIRE, FREEZE, FREEZE_KILL, FREEZE_STOP, FAULT_COUNT };

struct trial {
	const struct plan *p;
	int step;
	bool after;
	enum fault fault;
	struct json_object *outcome; /* {"return"} or {"error"}, or NULL where nobody is told */
};

extern struct scene {
	const struct machine *machine;
	struct rig *r;
	struct client *c;
	const struct plan *p;
	char *log;
	unsigned fds; /* droverd's, when there is no process */
	pid_t qemu;
	int id; /* of the last named job */
	char *title;
	bool passed;
} scene;

#define UUID "5f1c2f0e-8a55-4a6e-9f53-0c2b6a1d9e10"

/* matrix_scene.c: where P begins; with the faults FAULT from then on. */
void scene_open(const struct plan *p, const char *fault);
/* The fixture: keeps the scene of a test that has passed. */
void scene_leave(void);
void scene_close(void);
/* Fails unless droverd holds what it held at its start. */
void scene_check_fds(void);
/* The next droverd, without faults; one with them, not waited for; those of one that runs. */
void scene_restart(void);
void scene_spawn(const char *fault);
void scene_set_faults(const char *fault);
/* TEXT with the root in place of "ROOT"; the caller's. */
char *scene_text(const char *text);
/* The image "raw" has the size that it had in the beginning. */
void scene_shrink(void);
/* An empty file below the root. */
void scene_make(const char *name);
char *scene_definition(const struct plan *p, const char *description);
/* "'instance': …", as it is called where P begins. */
const char *scene_web(const struct plan *p);
bool log_says(const char *what);
void await_log(const char *what);

/* matrix_world.c */
char *world(void);
void settle(void);
pid_t lock_holder(const char *name);
/* What is told of the instance is what the kernel says of it. */
void check_agreement(void);
/* Nobody is there but droverd and whom the world tells of. */
void check_strangers(void);
/* Whatever happened, a machine can be made, started and stopped, and droverd holds nothing more than at its start. */
void check_life_goes_on(void);

/* matrix_trial.c */
void record_plan(struct plan *p);
int trials_of(const struct plan *p);
void try_one(const struct plan *p, int i);

/* matrix_judge.c */
extern const char *const fault_names[FAULT_COUNT];
/* It is at the step at which the guest is to let go of a device: what comes of that may come behind the reply. */
bool awaits_guest(const struct trial *t);
bool makes_sense(const struct trial *t);
bool was_asked(const struct trial *t);
bool stays_down(const struct trial *t);
bool is_off(const struct plan *p, const char *is);
void judge(const struct trial *t);

#endif
