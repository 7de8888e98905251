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
#include "runtime/cgroup.h"
#include "runtime/definition.h"
#include "runtime/dirs.h"
#include "runtime/process.h"

#include <uv/tree.h>

struct accel_cache;
struct caps_cache;
struct console;
struct events_watch;
struct log_watch;
struct guest_agent;
struct stats;
struct unplug;
struct kept;
struct reconnect;
struct instance;
struct trace;
struct uid_pool;

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
enum monitor instance_monitor(const struct instance *inst);

struct runtime_ops {
	void (*state_changed)(struct instance *inst, const char *old_state, const char *old_status,
			      const char *old_reason, void *data);
	void (*qemu_event)(struct instance *inst, const char *name, struct json_object *event, void *data);
	/* The process ended and no operation waits for it: the record is to be cleared. */
	void (*ended)(struct instance *inst, void *data);
	/* The agent in the guest came or went. */
	void (*agent_changed)(struct instance *inst, bool alive, void *data);
	/* The guest powered off, rebooted or crashed, and QEMU is held: its policy is to be followed. */
	void (*held)(struct instance *inst, void *data);
	/* The run directory is gone, and with it all of the last run. */
	void (*cleared)(struct instance *inst, void *data);
	/* The first monitor was lost and answers again: what was told meanwhile of devices is lost. */
	void (*monitor_back)(struct instance *inst, void *data);
	/* inst->drift is another than before. */
	void (*drifted)(struct instance *inst, void *data);
	/* A device that nobody waits for has left the guest: the rest of it is to be cleared. */
	void (*device_gone)(struct instance *inst, const char *id, void *data);
	/* Whether an operation under way is about to give MAC to a card of another instance than NAME. */
	bool (*mac_promised)(const char *name, const char *mac, void *data);
	/* Something became of a device, for clients: the name of the API's event, and why, or NULL. */
	void (*device_told)(struct instance *inst, const char *event, const char *id, const char *why, void *data);
	/* It would be restarted once too often. */
	void (*restarts_stopped)(struct instance *inst, void *data);
	/* What the QEMU of the instance NAME, maybe gone by now, left behind is kept at PATH, so many FILES; E: it is not. */
	void (*quarantined)(const char *name, const char *path, unsigned files, const struct err *e, void *data);
};

/* Restarts by themselves; see policy.h. */
enum { RESTARTS_MAX = 5 };
struct restarts {
	double times[RESTARTS_MAX]; /* the oldest first */
	unsigned n;
	bool due, stopped;
};

/* Why the state is going to change, as far as somebody has said so. */
struct causes {
	const char *running, *paused; /* reason of the next change to it: who sends the command says so before */
	const char *event;            /* of RESET and WAKEUP */
	const char *shutdown;         /* QEMU's own word in SHUTDOWN, the guest's before a later one */
	const char *io;               /* of BLOCK_IO_ERROR */
	bool panicked;
};

/* A reset while QEMU would end at one; see reset.h. */
enum resetting { RESET_NONE, RESET_AWAITED, RESET_SEEN };

RB_HEAD(instance_tree, instance);

struct runtime {
	uv_loop_t *loop;
	struct dirs dirs;
	char *launcher, *opener, *fetcher; /* paths of drover-launch, drover-open and drover-fetch */
	struct uid_pool *uids;
	struct cgroups cgroups;
	struct {
		unsigned first, last;
	} ports;                        /* for displays, both included */
	struct instance_tree instances; /* by name */
	unsigned count;
	uint64_t askers; /* for counters, so far; see stats.c */
	const struct runtime_ops *ops;
	void *data;
	struct caps_cache *caps;   /* set by the owner, who knows where the programs lie */
	struct accel_cache *accel; /* the same */
	struct kept *kept;         /* monitors that the last droverd was connected to; see kept.h */
};

struct instance {
	RB_ENTRY(instance) node;
	struct runtime *rt;
	char *name, *uuid;
	struct json_object *stored; /* the definition as it is on disk; NULL while being defined */
	struct definition def;      /* the same, decoded */
	struct err *broken;         /* the definition on disk cannot be read */
	struct err *unknown;        /* why it cannot be told whether there is a process; then it has none here */

	enum state state;
	char *status, *reason; /* QEMU's RunState or "" ; one of the closed lists */
	double since;
	int64_t starts;

	unsigned held_port;             /* see display_host.h; 0: none */
	uid_t uid;                      /* of the pool, that it has; 0: none */
	char *cgroup;                   /* of its process, or NULL */
	bool fdsets_busy, fdsets_again; /* see fdsets.c */
	bool resumed;                   /* since its start QEMU has said that the guest goes on */
	int run_dir;                    /* run/instances/NAME, -1 without one */
	struct process *process;
	pid_t pid;                   /* 0 without a process */
	struct json_object *record;  /* runtime.json, NULL without a process */
	struct json_object *pending; /* kept for instance_pending() until one of the two it compares changes */
	struct qmp *qmp, *qmp2;
	struct trace *trace; /* of these two */
	enum monitor monitor;
	struct guest_agent *agent; /* see guest_agent.h, stats.h; of this process, or NULL */
	struct stats *stats;
	struct unplug *unplugs;    /* see hotplug/unplug.h */
	struct json_object *drift; /* see hotplug/drift.h; NULL: none */
	unsigned device_changes;   /* of the record's devices, so far */
	struct reconnect *reconnect;
	struct console *console;
	struct log_watch *logs[2]; /* while there is a process */
	struct events_watch *events_watch;

	enum state known_state; /* as state and reason, but for monitor-lost: what was seen last */
	char *known_reason;
	struct causes causes;
	double heard;             /* time of QEMU's last event that is accounted for */
	double pressed;           /* time of the last reset that was a command's */
	enum resetting resetting; /* kept by observed.json as well */
	struct restarts restarts;
	struct json_object *last; /* state.json: how the last run ended, NULL before the first end */
	struct json_object *exit; /* exit.json of the process that ended */
	struct instance_wait *waits;

	bool monitor_lost;       /* the first one, and it has not answered since */
	bool ending;             /* a stop or shutdown of ours is under way: its end is ours */
	bool obeying;            /* the end under way is what a policy wants: its reason stays the guest's */
	bool told_held, decided; /* of this end: held() has told; the policy has been asked */
	bool starting;           /* before the commit of a start: an end is that start's */
	bool unrecorded;         /* state.json could not be written at its end: the run directory is kept */
	bool going;              /* QEMU was told to go: it has been more than a launcher */
};

bool runtime_open(struct runtime *rt, uv_loop_t *loop, const char *root, const struct runtime_ops *ops, void *data,
		  struct err **e);
void runtime_close(struct runtime *rt);

struct instance *instance_find(struct runtime *rt, const char *name_or_uuid);
/* What definition_store() has to know for the instance NAME, there or not; lives as long as Q. */
struct instance_question {
	struct runtime *rt;
	const char *name;
	struct definition_context ctx;
};
const struct definition_context *instance_context(struct runtime *rt, const char *name, struct instance_question *q);
/* Gives the uid of its process back. */
void instance_release_uid(struct instance *inst);
/* In the order of names. */
struct instance *instance_first(struct runtime *rt);
struct instance *instance_next(struct instance *inst);

/* An object in a file of the instance NAME, or NULL: none is none, and one that cannot be read is told of and as none.
 * The caller's. */
struct json_object *instance_read(const char *name, int dirfd, const char *file);
/* Reads NAME/definition.json and state.json; the instance exists afterwards even if it is broken. */
struct instance *instance_load(struct runtime *rt, const char *name);
/* Makes or replaces the definition in memory. STORED is consumed and valid. */
struct instance *instance_define(struct runtime *rt, struct json_object *stored);
/* Sets or (NULL) clears the runtime record. Consumes RECORD. */
void instance_set_record(struct instance *inst, struct json_object *record);
/* What it will get at its next start only, as pending_list(); borrowed. Without a process: nothing. */
struct json_object *instance_pending(struct instance *inst);
/* Another name, in memory only; it must be free. instance_define() of the definition with that name follows. */
void instance_rename(struct instance *inst, const char *name);
/* Takes it out of the runtime; there must be no process. */
struct instance *instance_free(struct instance *inst);

/* The only place that changes a state. STATUS is QEMU's or ""; strings are copied. */
void instance_enter(struct instance *inst, enum state s, const char *status, const char *reason);
/* It cannot be told whether there is a process: nostate, unknown until adopt() has looked again. Consumes E. */
void instance_doubt(struct instance *inst, struct err *e);
/* False and WrongState while that is so. */
bool instance_is_known(const struct instance *inst, struct err **e);
/* What was entered last in a former life of droverd; nostate, attaching if that is not known. Tells nobody. */
void instance_recall(struct instance *inst);
/* The end that state.json tells of, once more: it is judged, and inst->exit is its. Tells nobody. */
void instance_recall_last(struct instance *inst);
/* Notes for the next life of droverd what instance_recall() is to find. */
void instance_note(const struct instance *inst);
/* The number of starts, as a record has it. */
enum { STARTS_MAX = 1 << 30 };
void instance_count_starts(struct instance *inst, struct json_object *o);
/* QEMU's events until TIME are accounted for. */
void instance_heard(struct instance *inst, double time);
/* State, status and reason as the wire shows them. */
void instance_describe_state(const struct instance *inst, struct json_object *o);
/* The tail of QEMU's stderr, for errors; NULL if it said nothing. The caller's. */
char *instance_log_tail(const struct instance *inst);

/* Also as a bit of what is waited for: no reset is under way that the firmware has not answered. */
#define INSTANCE_SETTLED (1U << STATE_COUNT)
/* The guest is down, whether or not its process is there. */
#define INSTANCE_DOWN (STATE_BIT(STATE_SHUTDOWN) | STATE_BIT(STATE_SHUTOFF) | STATE_BIT(STATE_CRASHED))
/* A wait of OP until the instance is in one of the states WANTED (bits of STATE_BIT). SOFT: expiry is no
 * failure, the step goes on. Cancel may end it. */
enum verdict instance_wait(struct op *op, struct instance *inst, unsigned wanted, bool soft);
/* The same until there is no process any more. Not SOFT: its expiry stalls, for only the end of the process
 * lets go of what it holds. Cancel does not end it. */
enum verdict instance_wait_end(struct op *op, struct instance *inst, bool soft);
/* Like the first, but when MS have passed EXPIRED says for how many more to wait. 0: no longer; the step goes on, or
 * fails if *e was set. */
typedef unsigned instance_expired_fn(struct op *op, void *arg, struct err **e);
enum verdict instance_wait_on(struct op *op, struct instance *inst, unsigned wanted, unsigned ms,
			      instance_expired_fn *expired, void *arg);
/* Ends OP's wait; the step goes on, or fails with E, which is consumed. Nothing if there is none. Never from inside a
 * step. */
void instance_wait_no_more(struct op *op, struct instance *inst, struct err *e);
/* Looks at all waits; after anything changed that they wait for. */
void instance_poke(struct instance *inst);
/* Somebody waits for the process to end. */
bool instance_is_awaited(const struct instance *inst);

#endif
