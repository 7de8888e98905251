/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/observe.h"

#include "base/log.h"
#include "qmp/wait.h"
#include "runtime/console.h"
#include "runtime/events_log.h"
#include "runtime/fdsets.h"
#include "runtime/guest_agent.h"
#include "runtime/logs.h"
#include "runtime/monitors.h"
#include "runtime/policy.h"
#include "runtime/reset.h"
#include "runtime/stats.h"

#include <signal.h>
#include <string.h>

/* ---- from RunState to state and reason ---- */

/* RunStates that are paused for one reason, whoever stopped it. */
static const struct {
	const char *status, *reason;
	bool given; /* who has a better reason has said so, and it stays */
} pauses[] = {
	{ "prelaunch", "starting", .given = true },
	{ "inmigrate", "incoming" },
	{ "finish-migrate", "migration", .given = true },
	{ "postmigrate", "migration", .given = true },
	{ "save-vm", "snapshot", .given = true },
	{ "restore-vm", "snapshot", .given = true },
	{ "watchdog", "watchdog" },
	{ "debug", "debug" },
};

static bool is_work(const char *reason)
{
	return str_eq(reason, "saving") || str_eq(reason, "snapshot") || str_eq(reason, "migration");
}

static const char *pause_reason(const struct instance *inst, const char *status)
{
	bool stood = inst->known_state == STATE_PAUSED && !str_eq(inst->known_reason, "starting");
	const char *given = inst->causes.paused ? inst->causes.paused : stood ? inst->known_reason : NULL;

	/* A pause by somebody goes on through a reset, which leaves it in prelaunch; a migration is another one. */
	for (size_t i = 0; i < ARRAY_SIZE(pauses); i++)
		if (str_eq(pauses[i].status, status))
			return pauses[i].given && given && (i == 0 || is_work(given)) ? given : pauses[i].reason;
	return given ? given : "admin";
}

static const char *running_reason(const struct instance *inst, const char *fallback)
{
	const struct causes *c = &inst->causes;
	bool first = inst->known_state == STATE_NOSTATE || str_eq(inst->known_reason, "starting");

	if (inst->known_state == STATE_RUNNING)
		return c->event ? c->event : inst->known_reason;
	if (c->running)
		return c->running;
	if (c->event)
		return c->event;
	return fallback ? fallback : first ? "booted" : "resumed";
}

static bool is_guests(const char *shutdown)
{
	return shutdown && str_starts(shutdown, "guest-");
}

static const char *shutdown_reason(const struct instance *inst)
{
	if (inst->known_state == STATE_SHUTDOWN)
		return inst->known_reason;
	return inst->ending ? "admin" : !inst->causes.shutdown || is_guests(inst->causes.shutdown) ? "guest" : "host";
}

static const char *reason_of(const struct instance *inst, enum state s, const char *status, const char *fallback)
{
	switch (s) {
	case STATE_RUNNING:
		return running_reason(inst, fallback);
	case STATE_PAUSED:
		return pause_reason(inst, status);
	case STATE_BLOCKED:
		return inst->causes.io                    ? inst->causes.io :
		       inst->known_state == STATE_BLOCKED ? inst->known_reason :
							    "io-error";
	case STATE_SHUTDOWN:
		return shutdown_reason(inst);
	case STATE_CRASHED:
		return str_eq(status, "internal-error") ? "internal-error" : "panic";
	case STATE_PMSUSPENDED:
		return "guest";
	case STATE_NOSTATE:
	case STATE_SHUTOFF:
	case STATE_COUNT:
		break;
	}
	return "attaching";
}

/* Which disk is full QEMU knows, if its event was missed. */
static void on_block(struct json_object *ret, const struct err *e, void *data)
{
	struct instance *inst = data;

	if (inst->state != STATE_BLOCKED || !json_object_is_type(ret, json_type_array))
		return;
	for (size_t i = 0; i < json_object_array_length(ret); i++)
		if (str_eq(json_get_str(json_object_array_get_idx(ret, i), "io-status"), "nospace"))
			instance_enter(inst, STATE_BLOCKED, inst->status, "no-space");
}

static void enter_status(struct instance *inst, const char *status, const char *fallback)
{
	enum state s = state_of_status(status);
	bool ask_disks = s == STATE_BLOCKED && !inst->causes.io;

	inst->going = true; /* who answers has been let go, whoever recorded that or not */
	instance_enter(inst, s, status, reason_of(inst, s, status, fallback));
	/* What was said of a change has been used by it, or been overtaken. */
	inst->causes.event = NULL;
	if (s == STATE_RUNNING)
		inst->causes = (struct causes){ .paused = inst->causes.paused };
	if (s == STATE_PAUSED)
		inst->causes.paused = NULL;
	if (ask_disks)
		qmp_send(inst->qmp, "query-block", NULL, -1, on_block, inst);
	fdsets_flush(inst);
	observe_held(inst);
}

void observe_held(struct instance *inst)
{
	bool held = inst->process && (inst->state == STATE_SHUTDOWN || inst->state == STATE_CRASHED);

	if (held && (inst->ending || inst->told_held))
		return;
	if (!held)
		inst->decided = false;
	inst->told_held = held;
	if (held)
		inst->rt->ops->held(inst, inst->rt->data);
}

static void on_refreshed(struct json_object *ret, const struct err *e, void *data)
{
	const char *status = json_get_str(ret, "status");

	if (status)
		enter_status(data, status, NULL);
}

bool observe_has_run(const struct instance *inst)
{
	bool ready = inst->known_state == STATE_PAUSED && str_eq(inst->known_reason, "starting");

	return inst->run_dir >= 0 && (inst->resumed || (inst->known_state != STATE_NOSTATE && !ready));
}

void observe_refresh(struct instance *inst)
{
	if (!qmp_is_gone(inst->qmp))
		qmp_send(inst->qmp, "query-status", NULL, -1, on_refreshed, inst);
}

struct ask {
	struct instance *inst;
	const char *reason;
};

static enum verdict on_asked(struct op *op, struct json_object *ret, void *arg)
{
	const char *status = json_get_str(ret, "status");
	const struct ask *a = arg;

	if (!status)
		return op_fail(op, ERR_QEMU, "QEMU's 'query-status' has no status");
	enter_status(a->inst, status, a->reason);
	return OP_DONE;
}

enum verdict observe_ask(struct op *op, struct instance *inst, const char *reason)
{
	struct ask *a = op_alloc(op, sizeof(*a));

	*a = (struct ask){ inst, reason };
	return qmp_call(op, inst->qmp, "query-status", NULL, on_asked, a);
}

/* ---- events ---- */

const char *observe_shutdown_reason(const char *reason, bool guest)
{
	static const char *const known[] = { "guest-shutdown", "guest-reset",           "guest-panic", "host-error",
					     "host-qmp-quit",  "host-qmp-system-reset", "host-signal", "host-ui" };

	for (size_t i = 0; i < ARRAY_SIZE(known) && reason; i++)
		if (str_eq(known[i], reason))
			return known[i];
	return !reason && !guest ? NULL : guest ? "guest-shutdown" : "host-error";
}

bool observe_is_told_to_end(const struct instance *inst)
{
	return str_eq(inst->causes.shutdown, "host-signal");
}

static void on_shutdown(struct instance *inst, struct json_object *data)
{
	const char *reason = json_get_str(data, "reason");

	/* What is done to a QEMU whose guest has gone is not why it went. */
	if (!is_guests(inst->causes.shutdown))
		inst->causes.shutdown = observe_shutdown_reason(reason ? reason : "",
								json_get_bool(data, "guest", false));
}

static void on_reset(struct instance *inst, struct json_object *data)
{
	inst->causes.event = "reset";
	inst->causes.shutdown = NULL;
	inst->causes.panicked = false;
	if (inst->resetting == RESET_AWAITED && json_get_bool(data, "guest", false)) {
		inst->resetting = RESET_SEEN;
		instance_poke(inst);
	}
}

static void on_wakeup(struct instance *inst, struct json_object *data)
{
	inst->causes.event = "woken";
}

static void on_io_error(struct instance *inst, struct json_object *data)
{
	if (str_eq(json_get_str(data, "action"), "stop"))
		inst->causes.io = json_get_bool(data, "nospace", false) ? "no-space" : "io-error";
}

static void on_panicked(struct instance *inst, struct json_object *data)
{
	inst->causes.panicked = true;
}

static void on_resume(struct instance *inst, struct json_object *data)
{
	inst->resumed = true;
	inst->causes.shutdown = inst->causes.io = NULL;
	inst->causes.panicked = false;
}

/* Those that concern the state: what they tell beyond RunState. */
static const struct {
	const char *name;
	void (*take)(struct instance *inst, struct json_object *data);
} hints[] = {
	{ "BLOCK_IO_ERROR", on_io_error },
	{ "GUEST_PANICKED", on_panicked },
	{ "RESET", on_reset },
	{ "RESUME", on_resume },
	{ "SHUTDOWN", on_shutdown },
	{ "STOP", NULL },
	{ "SUSPEND", NULL },
	{ "WAKEUP", on_wakeup },
	{ "WATCHDOG", NULL },
};

/* Whether the state may be another one. */
static bool take(struct instance *inst, const char *name, struct json_object *data, double time)
{
	if (time > inst->heard)
		instance_heard(inst, time);
	if (str_eq(name, "RESET") && !json_get_bool(data, "guest", false))
		inst->pressed = time;
	for (size_t i = 0; i < ARRAY_SIZE(hints); i++) {
		if (!str_eq(name, hints[i].name))
			continue;
		if (hints[i].take)
			hints[i].take(inst, data);
		return true;
	}
	return false;
}

void observe_event(struct instance *inst, const char *name, struct json_object *data, double time)
{
	if (take(inst, name, data, time))
		observe_refresh(inst);
	guest_agent_event(inst, name, data);
	stats_event(inst, name, data);
	inst->rt->ops->qemu_event(inst, name, data, inst->rt->data);
}

static void take_missed(struct instance *inst, const char *name, struct json_object *data, double time)
{
	log_debug("%s: missed: %s", inst->name, name);
	take(inst, name, data, time);
}

void observe_recollect(struct instance *inst)
{
	events_log_read(inst, take_missed);
}

void observe_catch_up(struct instance *inst)
{
	if (inst->starting)
		return;
	observe_recollect(inst);
	/* Nobody can ask QEMU what it would do. */
	if (!inst->resetting && policy_ends_at_reboot(inst))
		reset_set_action(inst);
	observe_refresh(inst);
}

/* ---- the end ---- */

/* State and reason of an end, from what is known at the end. */
static void enter_end(struct instance *inst)
{
	_cleanup_free_ char *reason = NULL, *known = xstrdup(inst->known_reason);
	int64_t signal = json_get_int(inst->exit, "signal", 0), status = json_get_int(inst->exit, "status", -1);
	bool admin = inst->ending && !inst->obeying, quiet = inst->exit && !signal && !status;
	enum state was = inst->known_state;

	/* Who saw to it that it ended is not why. */
	if (inst->obeying && observe_is_told_to_end(inst) && signal == SIGKILL)
		signal = status = 0;
	if (was == STATE_SHUTDOWN) /* what ended it is known from then */
		instance_enter(inst, STATE_SHUTOFF, "", known);
	else if (was == STATE_CRASHED && (inst->obeying || (quiet && !admin)))
		instance_enter(inst, STATE_CRASHED, "", known);
	else if (admin)
		instance_enter(inst, STATE_SHUTOFF, "", "admin");
	else if (is_guests(inst->causes.shutdown) && (quiet || !inst->exit))
		instance_enter(inst, STATE_SHUTOFF, "", "guest");
	else if (!inst->exit)
		instance_enter(inst, STATE_CRASHED, "", inst->causes.panicked ? "panic" : "lost");
	else if (signal)
		reason = xasprintf("signal %" PRId64, signal);
	else if (status)
		reason = xasprintf("exit %" PRId64, status);
	else if (inst->causes.panicked)
		instance_enter(inst, STATE_CRASHED, "", "panic");
	else
		instance_enter(inst, STATE_SHUTOFF, "", "host");
	if (reason)
		instance_enter(inst, STATE_CRASHED, "", reason);
}

void observe_read_exit(struct instance *inst)
{
	struct json_object *o = instance_read(inst->name, inst->run_dir, "exit.json");
	int64_t signal = json_get_int(o, "signal", 0), status = json_get_int(o, "status", -1);

	json_object_put(inst->exit);
	inst->exit = o;
	if (!o || (signal > 0 && signal < NSIG) || (status >= 0 && status <= UINT8_MAX))
		return;
	log_write(LOG_WARNING, inst->name, "'exit.json' does not say how QEMU ended");
	json_object_put(TAKE_PTR(inst->exit));
}

void observe_judge_end(struct instance *inst)
{
	if (!inst->going || inst->starting)
		return;
	inst->going = false;
	enter_end(inst);
	policy_of_end(inst);
}

static void on_end(struct process *p, void *data)
{
	struct instance *inst = data;
	bool awaited = instance_is_awaited(inst);

	process_free(inst->process);
	inst->process = NULL;
	inst->pid = 0;
	observe_read_exit(inst);
	observe_recollect(inst); /* what came last may not have been read */
	monitors_close(inst);
	inst->console = console_free(inst->console);
	logs_unwatch(inst);
	events_log_unwatch(inst);
	observe_judge_end(inst);
	guest_agent_end(inst);
	stats_end(inst);
	instance_poke(inst);
	if (!awaited)
		inst->rt->ops->ended(inst, inst->rt->data);
}

bool observe_hold(struct instance *inst, pid_t pid, uint64_t start_time, struct err **e)
{
	inst->process = process_hold(inst->rt->loop, inst->run_dir, pid, start_time, on_end, inst, e);
	if (!inst->process)
		return false;
	inst->pid = process_pid(inst->process);
	logs_watch(inst);
	events_log_watch(inst);
	return true;
}
