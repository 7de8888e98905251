/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An instance: the record, and what runs of it.
 *
 * Plain data to be read by the modules of this folder and the daemon; state changes only through
 * instance_enter(), the definition only through instance_define(). What must travel up (a state
 * changed, QEMU said something, a process ended that nobody waits for) goes to the owner by
 * struct runtime_ops.
 */
#ifndef DROVER_RUNTIME_INSTANCE_H
#define DROVER_RUNTIME_INSTANCE_H

#include "base/op.h"
#include "qmp/client.h"
#include "runtime/definition.h"
#include "runtime/dirs.h"
#include "runtime/process.h"

#include <uv/tree.h>

struct console;
struct log_watch;
struct instance;

enum state {
	STATE_NOSTATE,
	STATE_RUNNING,
	STATE_BLOCKED,
	STATE_PAUSED,
	STATE_SHUTDOWN,
	STATE_SHUTOFF,
	STATE_CRASHED,
	STATE_PMSUSPENDED,
	STATE_COUNT
};
#define STATE_BIT(s) (1U << (s))

const char *state_name(enum state s);
/* Rows for query-schema: {name, doc}. */
struct json_object *state_describe(void);
/* The state that a QEMU RunState stands for; STATE_PAUSED for one nobody knows. */
enum state state_of_status(const char *status);

enum monitor { MONITOR_NONE, MONITOR_OK, MONITOR_SLOW, MONITOR_GONE };
const char *monitor_name(enum monitor m);

struct runtime_ops {
	void (*state_changed)(struct instance *inst, const char *old_state, const char *old_status,
			      const char *old_reason, void *data);
	void (*qemu_event)(struct instance *inst, const char *name, struct json_object *event, void *data);
	/* The process ended and no operation waits for it: the record is to be cleared. */
	void (*ended)(struct instance *inst, void *data);
	/* The guest powered itself off: QEMU is held in RunState shutdown. */
	void (*powered_off)(struct instance *inst, void *data);
};

RB_HEAD(instance_tree, instance);

struct runtime {
	uv_loop_t *loop;
	struct dirs dirs;
	char *launcher;                 /* path of drover-launch */
	struct instance_tree instances; /* by name */
	unsigned count;
	const struct runtime_ops *ops;
	void *data;
};

struct instance {
	RB_ENTRY(instance) node;
	struct runtime *rt;
	char *name, *uuid;
	struct json_object *stored; /* the definition as it is on disk; NULL while being defined */
	struct definition def;      /* the same, decoded */
	struct err *broken;         /* the definition on disk cannot be read */

	enum state state;
	char *status, *reason; /* QEMU's RunState or "" ; one of the closed lists */
	double since;
	int64_t starts;

	int run_dir; /* run/instances/NAME, -1 without one */
	struct process *process;
	pid_t pid;                  /* 0 without a process */
	struct json_object *record; /* runtime.json, NULL without a process */
	struct qmp *qmp, *qmp2;
	enum monitor monitor;
	struct console *console;
	struct log_watch *logs[2]; /* while there is a process */

	const char *next_reason;  /* of the next change to running or paused, set by who causes it */
	bool ending;              /* a stop or shutdown of ours is under way: its end is ours */
	bool told_held;           /* powered_off() has told of the RunState shutdown it is in */
	bool going;               /* QEMU was told to go: it has been more than a launcher */
	struct json_object *last; /* state.json: how the last run ended, NULL before the first end */
	struct json_object *exit; /* exit.json of the process that ended */
	struct instance_wait *waits;
};

bool runtime_open(struct runtime *rt, uv_loop_t *loop, const char *root, const struct runtime_ops *ops, void *data,
		  struct err **e);
void runtime_close(struct runtime *rt);

struct instance *instance_find(struct runtime *rt, const char *name_or_uuid);
/* The one with a card of this address, or NULL. */
struct instance *instance_of_mac(struct runtime *rt, const char *mac);
/* In the order of names. */
struct instance *instance_first(struct runtime *rt);
struct instance *instance_next(struct instance *inst);

/* Reads NAME/definition.json and state.json; the instance exists afterwards even if it is broken. */
struct instance *instance_load(struct runtime *rt, const char *name);
/* Makes or replaces the definition in memory. STORED is consumed and valid. */
struct instance *instance_define(struct runtime *rt, struct json_object *stored);
/* Takes it out of the runtime; there must be no process. */
struct instance *instance_free(struct instance *inst);

/* The only place that changes a state. STATUS is QEMU's or ""; strings are copied. */
void instance_enter(struct instance *inst, enum state s, const char *status, const char *reason);
/* What was entered last in a former life of droverd; nostate, attaching if that is not known. Tells nobody. */
void instance_recall(struct instance *inst);
/* State, status and reason as the wire shows them. */
void instance_describe_state(const struct instance *inst, struct json_object *o);
/* The tail of QEMU's stderr, for errors; NULL if it said nothing. The caller's. */
char *instance_log_tail(const struct instance *inst);

/* A wait of OP until the instance is in one of the states WANTED (bits of STATE_BIT). SOFT: expiry is no
 * failure, the step goes on. Cancel may end it. */
enum verdict instance_wait(struct op *op, struct instance *inst, unsigned wanted, bool soft);
/* The same until there is no process any more. Not SOFT: its expiry stalls, for only the end of the process
 * lets go of what it holds. Cancel does not end it. */
enum verdict instance_wait_end(struct op *op, struct instance *inst, bool soft);
/* Looks at all waits; after anything changed that they wait for. */
void instance_poke(struct instance *inst);
/* Somebody waits for the process to end. */
bool instance_is_awaited(const struct instance *inst);

#endif
