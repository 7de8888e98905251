/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/observe.h"

#include "base/file.h"
#include "base/log.h"
#include "qmp/wait.h"
#include "runtime/console.h"
#include "runtime/logs.h"

#include <string.h>

/* The reason of a state that RunState alone tells; NULL: it depends on who caused it. */
static const char *reason_of(const struct instance *inst, enum state s, const char *status)
{
	if (str_eq(status, "prelaunch"))
		return "starting";
	switch (s) {
	case STATE_RUNNING:
		return inst->next_reason                ? inst->next_reason :
		       inst->state == STATE_RUNNING     ? inst->reason :
		       inst->state == STATE_PMSUSPENDED ? "woken" :
		       inst->state == STATE_PAUSED      ? "resumed" :
							  "booted";
	case STATE_PAUSED:
		return inst->next_reason ? inst->next_reason : inst->state == STATE_PAUSED ? inst->reason : "admin";
	case STATE_BLOCKED:
		return "io-error";
	case STATE_SHUTDOWN:
		return inst->state == STATE_SHUTDOWN ? inst->reason : inst->ending ? "admin" : "guest";
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

static void enter_status(struct instance *inst, const char *status)
{
	enum state s = state_of_status(status);
	const char *reason = reason_of(inst, s, status);

	inst->next_reason = NULL;
	inst->monitor = MONITOR_OK;
	inst->going = true; /* who answers has been let go, whoever recorded that or not */
	instance_enter(inst, s, status, reason);
	observe_held(inst);
}

void observe_held(struct instance *inst)
{
	bool held = inst->state == STATE_SHUTDOWN;

	if (held && (inst->ending || inst->told_held))
		return;
	inst->told_held = held;
	if (held)
		inst->rt->ops->powered_off(inst, inst->rt->data);
}

static void on_refreshed(struct json_object *ret, const struct err *e, void *data)
{
	const char *status = json_get_str(ret, "status");

	if (status)
		enter_status(data, status);
}

void observe_refresh(struct instance *inst)
{
	if (!qmp_is_gone(inst->qmp))
		qmp_send(inst->qmp, "query-status", NULL, -1, on_refreshed, inst);
}

static enum verdict on_asked(struct op *op, struct json_object *ret, void *arg)
{
	const char *status = json_get_str(ret, "status");

	if (!status)
		return op_fail(op, ERR_QEMU, "QEMU's 'query-status' has no status");
	enter_status(arg, status);
	return OP_DONE;
}

enum verdict observe_ask(struct op *op, struct instance *inst, const char *reason)
{
	inst->next_reason = reason;
	return qmp_call(op, inst->qmp, "query-status", NULL, on_asked, inst);
}

static void on_event(struct qmp *q, const char *name, struct json_object *event, double time, void *data)
{
	static const char *const hints[] = {
		"STOP",           "RESUME",   "SHUTDOWN",       "SUSPEND", "WAKEUP",
		"GUEST_PANICKED", "WATCHDOG", "BLOCK_IO_ERROR", "RESET",
	};
	struct instance *inst = data;

	for (size_t i = 0; i < ARRAY_SIZE(hints); i++) {
		if (!str_eq(name, hints[i]))
			continue;
		if (str_eq(name, "RESET") && inst->state == STATE_RUNNING)
			inst->next_reason = "reset";
		observe_refresh(inst);
		break;
	}
	inst->rt->ops->qemu_event(inst, name, event, inst->rt->data);
}

static void on_event2(struct qmp *q, const char *name, struct json_object *event, double time, void *data)
{
	/* The first monitor says the same. */
}

static void on_gone(struct qmp *q, const struct err *e, void *data)
{
	struct instance *inst = data;

	log_debug("%s: monitor: %s", inst->name, e->desc);
	inst->monitor = MONITOR_GONE;
}

static void on_gone2(struct qmp *q, const struct err *e, void *data)
{
	log_debug("%s: second monitor: %s", ((struct instance *)data)->name, e->desc);
}

bool observe_connect(struct instance *inst, struct err **e)
{
	static const struct qmp_ops ops = { .event = on_event, .gone = on_gone };
	static const struct qmp_ops ops2 = { .event = on_event2, .gone = on_gone2 };
	_cleanup_close_ int fd = dirs_connect(inst->run_dir, "qmp.sock", e);
	_cleanup_close_ int fd2 = fd < 0 ? -1 : dirs_connect(inst->run_dir, "qmp2.sock", e);

	if (fd2 < 0)
		return false;
	inst->qmp = qmp_new(inst->rt->loop, TAKE_FD(fd), false, &ops, inst);
	inst->qmp2 = qmp_new(inst->rt->loop, TAKE_FD(fd2), true, &ops2, inst);
	qmp_set_ping(inst->qmp, inst->qmp2);
	inst->monitor = MONITOR_OK;
	return true;
}

/* State and reason of an end, from what is known at the end. */
static void enter_end(struct instance *inst)
{
	_cleanup_free_ char *reason = NULL;
	int64_t signal = json_get_int(inst->exit, "signal", 0), status = json_get_int(inst->exit, "status", -1);
	bool held = inst->state == STATE_SHUTDOWN;

	if (held) /* what ended it is known from then */
		instance_enter(inst, STATE_SHUTOFF, "", inst->reason);
	else if (inst->ending)
		instance_enter(inst, STATE_SHUTOFF, "", "admin");
	else if (!inst->exit)
		instance_enter(inst, STATE_CRASHED, "", "lost");
	else if (signal)
		reason = xasprintf("signal %" PRId64, signal);
	else if (status)
		reason = xasprintf("exit %" PRId64, status);
	else
		instance_enter(inst, STATE_SHUTOFF, "", "host");
	if (reason)
		instance_enter(inst, STATE_CRASHED, "", reason);
}

void observe_judge_end(struct instance *inst)
{
	if (!inst->going)
		return;
	inst->going = false;
	enter_end(inst);
}

static void on_end(struct process *p, void *data)
{
	struct instance *inst = data;
	bool awaited = instance_is_awaited(inst);

	process_free(inst->process);
	inst->process = NULL;
	inst->pid = 0;
	json_object_put(inst->exit);
	inst->exit = NULL;
	file_read_json(inst->run_dir, "exit.json", &inst->exit, NULL);
	if (inst->qmp)
		qmp_close(inst->qmp);
	if (inst->qmp2)
		qmp_close(inst->qmp2);
	inst->qmp = qmp_free(inst->qmp);
	inst->qmp2 = qmp_free(inst->qmp2);
	inst->monitor = MONITOR_NONE;
	inst->console = console_free(inst->console);
	logs_unwatch(inst);
	observe_judge_end(inst);
	instance_poke(inst);
	if (!awaited)
		inst->rt->ops->ended(inst, inst->rt->data);
}

bool observe_hold(struct instance *inst, pid_t pid, uint64_t start_time)
{
	inst->process = process_hold(inst->rt->loop, inst->run_dir, pid, start_time, on_end, inst);
	if (!inst->process)
		return false;
	inst->pid = process_pid(inst->process);
	logs_watch(inst);
	return true;
}
