/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/instance.h"

#include "base/file.h"
#include "base/log.h"
#include "runtime/console.h"
#include "runtime/logs.h"

#include <assert.h>
#include <string.h>

static const struct {
	const char *name, *doc;
} states[] = {
	[STATE_NOSTATE] = { "nostate", "Starting, being found again, or the monitor is lost." },
	[STATE_RUNNING] = { "running", "The guest runs." },
	[STATE_BLOCKED] = { "blocked", "Stopped by an error of a disk." },
	[STATE_PAUSED] = { "paused", "The guest stands still." },
	[STATE_SHUTDOWN] = { "shutdown", "The guest powered off; its process is still there." },
	[STATE_SHUTOFF] = { "shutoff", "No process." },
	[STATE_CRASHED] = { "crashed", "The guest panicked, or QEMU ended without a word." },
	[STATE_PMSUSPENDED] = { "pmsuspended", "The guest suspended itself." },
};
static_assert(ARRAY_SIZE(states) == STATE_COUNT, "one row per state");

/* QAPI's RunState. */
static const struct {
	const char *status;
	enum state state;
} statuses[] = {
	{ "running", STATE_RUNNING },        { "paused", STATE_PAUSED },          { "prelaunch", STATE_PAUSED },
	{ "inmigrate", STATE_PAUSED },       { "postmigrate", STATE_PAUSED },     { "finish-migrate", STATE_PAUSED },
	{ "save-vm", STATE_PAUSED },         { "restore-vm", STATE_PAUSED },      { "watchdog", STATE_PAUSED },
	{ "debug", STATE_PAUSED },           { "io-error", STATE_BLOCKED },       { "shutdown", STATE_SHUTDOWN },
	{ "guest-panicked", STATE_CRASHED }, { "internal-error", STATE_CRASHED }, { "suspended", STATE_PMSUSPENDED },
};

struct instance_wait {
	struct instance_wait *next;
	struct instance *inst;
	struct op *op;
	unsigned states; /* 0: the end of the process */
};

static int instance_cmp(const struct instance *a, const struct instance *b)
{
	return strcmp(a->name, b->name);
}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
RB_GENERATE_STATIC(instance_tree, instance, node, instance_cmp)
#pragma GCC diagnostic pop

const char *state_name(enum state s)
{
	return states[s].name;
}

struct json_object *state_describe(void)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		struct json_object *row = json_object_new_object();

		json_add_str(row, "name", states[i].name);
		json_add_str(row, "doc", states[i].doc);
		json_object_array_add(list, row);
	}
	return list;
}

enum state state_of_status(const char *status)
{
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
		if (str_eq(statuses[i].status, status))
			return statuses[i].state;
	return STATE_PAUSED;
}

const char *monitor_name(enum monitor m)
{
	static const char *const names[] = { "none", "ok", "slow", "gone" };

	static_assert(ARRAY_SIZE(names) == MONITOR_GONE + 1, "one name per value");
	return names[m];
}

bool runtime_open(struct runtime *rt, uv_loop_t *loop, const char *root, const struct runtime_ops *ops, void *data,
		  struct err **e)
{
	*rt = (struct runtime){ .loop = loop, .ops = ops, .data = data };
	RB_INIT(&rt->instances);
	return dirs_open(&rt->dirs, root, e);
}

void runtime_close(struct runtime *rt)
{
	struct instance *inst;

	while ((inst = RB_MIN(instance_tree, &rt->instances)))
		instance_free(inst);
	free(rt->launcher);
	dirs_close(&rt->dirs);
}

struct instance *instance_find(struct runtime *rt, const char *name_or_uuid)
{
	struct instance key = { .name = (char *)(uintptr_t)name_or_uuid }, *inst;

	inst = RB_FIND(instance_tree, &rt->instances, &key);
	if (inst || !param_is_uuid(name_or_uuid))
		return inst;
	RB_FOREACH(inst, instance_tree, &rt->instances)
	if (inst->uuid && strcasecmp(inst->uuid, name_or_uuid) == 0)
		return inst;
	return NULL;
}

struct instance *instance_of_mac(struct runtime *rt, const char *mac)
{
	struct instance *inst;

	RB_FOREACH(inst, instance_tree, &rt->instances)
	for (size_t i = 0; i < inst->def.nics.n; i++)
		if (str_eq(definition_nic(&inst->def, i)->mac, mac))
			return inst;
	return NULL;
}

struct instance *instance_first(struct runtime *rt)
{
	return RB_MIN(instance_tree, &rt->instances);
}

struct instance *instance_next(struct instance *inst)
{
	return RB_NEXT(instance_tree, &inst->rt->instances, inst);
}

static struct instance *instance_new(struct runtime *rt, const char *name)
{
	struct instance *inst = xcalloc(1, sizeof(*inst));

	inst->rt = rt;
	inst->name = xstrdup(name);
	inst->run_dir = -1;
	inst->state = STATE_SHUTOFF;
	inst->status = xstrdup("");
	inst->reason = xstrdup("never-started");
	inst->since = time_now();
	RB_INSERT(instance_tree, &rt->instances, inst);
	rt->count++;
	return inst;
}

struct instance *instance_free(struct instance *inst)
{
	assert(!inst->waits);
	RB_REMOVE(instance_tree, &inst->rt->instances, inst);
	inst->rt->count--;
	console_free(inst->console);
	logs_unwatch(inst);
	inst->qmp = qmp_free(inst->qmp);
	inst->qmp2 = qmp_free(inst->qmp2);
	process_free(inst->process);
	closep(&inst->run_dir);
	definition_clear(&inst->def);
	json_object_put(inst->stored);
	json_object_put(inst->record);
	json_object_put(inst->last);
	json_object_put(inst->exit);
	err_free(inst->broken);
	free(inst->name);
	free(inst->uuid);
	free(inst->status);
	free(inst->reason);
	free(inst);
	return NULL;
}

struct instance *instance_define(struct runtime *rt, struct json_object *stored)
{
	const char *name = json_get_str(stored, "name");
	struct instance key = { .name = (char *)(uintptr_t)name };
	struct instance *inst = RB_FIND(instance_tree, &rt->instances, &key);

	if (!inst)
		inst = instance_new(rt, name);
	definition_clear(&inst->def);
	inst->broken = err_free(inst->broken);
	if (!definition_decode(stored, &inst->def, &inst->broken))
		log_debug("%s: %s", name, inst->broken->desc);
	json_object_put(inst->stored);
	inst->stored = stored;
	free(inst->uuid);
	inst->uuid = xstrdup(json_get_str(stored, "uuid"));
	return inst;
}

/* What is known of the last run. A file that is missing, half or strange is as none. */
static void load_state(struct instance *inst, int dir)
{
	struct json_object *o = NULL;
	const char *state, *reason;

	if (!file_read_json(dir, "state.json", &o, NULL))
		return;
	inst->last = o;
	inst->starts = json_get_int(o, "starts", 0);
	state = json_get_str(o, "state");
	reason = json_get_str(o, "reason");
	if (!reason || (!str_eq(state, "shutoff") && !str_eq(state, "crashed")))
		return;
	inst->state = str_eq(state, "crashed") ? STATE_CRASHED : STATE_SHUTOFF;
	free(inst->reason);
	inst->reason = xstrdup(reason);
	inst->since = json_get_double(o, "time", inst->since);
}

struct instance *instance_load(struct runtime *rt, const char *name)
{
	_cleanup_json_ struct json_object *stored = NULL;
	struct instance *inst;
	struct err *e = NULL;
	_cleanup_close_ int dir = file_open_dir(rt->dirs.lib_instances, name, &e);
	struct definition def;

	if (dir >= 0 && file_read_json(dir, "definition.json", &stored, &e) && definition_decode(stored, &def, &e)) {
		if (!str_eq(def.name, name) || !def.uuid)
			err_set(&e, ERR_GENERIC, "'definition.json' is that of '%s'", def.name);
		definition_clear(&def);
	}
	if (e) {
		inst = instance_new(rt, name);
		inst->broken = e;
	} else {
		inst = instance_define(rt, TAKE_PTR(stored));
	}
	if (dir >= 0)
		load_state(inst, dir);
	return inst;
}

/* For the next life of droverd: an answer of QEMU may be long in coming then. */
static void note_observed(const struct instance *inst)
{
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_err_ struct err *e = NULL;

	if (!inst->process || inst->run_dir < 0)
		return;
	o = json_object_new_object();
	instance_describe_state(inst, o);
	json_add_time(o, "since", inst->since);
	if (!file_write_json(inst->run_dir, "observed.json", o, 0600, &e))
		log_write(LOG_WARNING, inst->name, "%s", e->desc);
}

void instance_recall(struct instance *inst)
{
	_cleanup_json_ struct json_object *o = NULL;
	const char *state, *status, *reason;

	inst->state = STATE_NOSTATE;
	free(inst->status);
	free(inst->reason);
	inst->status = xstrdup("");
	inst->reason = xstrdup("attaching");
	if (!file_read_json(inst->run_dir, "observed.json", &o, NULL))
		return;
	state = json_get_str(o, "state");
	status = json_get_str(o, "status");
	reason = json_get_str(o, "reason");
	for (size_t i = 0; i < STATE_COUNT && status && reason; i++) {
		if (!str_eq(states[i].name, state))
			continue;
		inst->state = (enum state)i;
		free(inst->status);
		free(inst->reason);
		inst->status = xstrdup(status);
		inst->reason = xstrdup(reason);
		inst->since = json_get_double(o, "since", inst->since);
	}
}

void instance_enter(struct instance *inst, enum state s, const char *status, const char *reason)
{
	_cleanup_free_ char *old_status = NULL, *old_reason = NULL;
	enum state old = inst->state;

	if (s == old && str_eq(status, inst->status) && str_eq(reason, inst->reason))
		return;
	old_status = inst->status;
	old_reason = inst->reason;
	inst->state = s;
	inst->status = xstrdup(status);
	inst->reason = xstrdup(reason);
	inst->since = time_now();
	note_observed(inst);
	log_debug("%s: %s/%s/%s -> %s/%s/%s", inst->name, state_name(old), old_status, old_reason, state_name(s),
		  status, reason);
	inst->rt->ops->state_changed(inst, state_name(old), old_status, old_reason, inst->rt->data);
	instance_poke(inst);
}

void instance_describe_state(const struct instance *inst, struct json_object *o)
{
	json_add_str(o, "state", state_name(inst->state));
	json_add_str(o, "status", inst->status);
	json_add_str(o, "reason", inst->reason);
}

char *instance_log_tail(const struct instance *inst)
{
	enum { TAIL = 4096 };
	char *text = NULL;
	size_t len;
	bool cut;

	if (!logs_tail(inst, LOG_QEMU, TAIL, &text, &len, &cut, NULL))
		return NULL;
	text_make_valid(text, len);
	if (len == 0) {
		free(text);
		return NULL;
	}
	return text;
}

static bool is_over(const struct instance_wait *w)
{
	return w->states ? w->states & STATE_BIT(w->inst->state) : !w->inst->process;
}

static void wait_remove(struct instance_wait *w)
{
	struct instance_wait **p;

	for (p = &w->inst->waits; *p != w; p = &(*p)->next)
		;
	*p = w->next;
	free(w);
}

static void wait_forget(struct op *op, void *data)
{
	wait_remove(data);
}

static void wait_soft_expired(struct op *op, void *data)
{
	wait_remove(data);
	op_resume(op, NULL);
}

/* Only its end lets go of what a process holds. */
static void wait_stalled(struct op *op, void *data)
{
	op_stall(op);
}

void instance_poke(struct instance *inst)
{
	struct instance_wait *w = inst->waits;

	while (w) {
		struct op *op = w->op;

		if (!is_over(w)) {
			w = w->next;
			continue;
		}
		wait_remove(w);
		op_resume(op, NULL); /* may add, end or forget others: from the start */
		w = inst->waits;
	}
}

bool instance_is_awaited(const struct instance *inst)
{
	for (const struct instance_wait *w = inst->waits; w; w = w->next)
		if (!w->states)
			return true;
	return false;
}

static enum verdict wait_for(struct op *op, struct instance *inst, unsigned wanted, const struct op_wait_ops *ops)
{
	struct instance_wait *w = xcalloc(1, sizeof(*w));

	w->inst = inst;
	w->op = op;
	w->states = wanted;
	if (is_over(w)) {
		free(w);
		return OP_DONE;
	}
	w->next = inst->waits;
	inst->waits = w;
	return op_wait(op, ops, w);
}

enum verdict instance_wait(struct op *op, struct instance *inst, unsigned wanted, bool soft)
{
	static const struct op_wait_ops hard_ops = { .what = "answer of the guest",
						     .forget = wait_forget,
						     .abortable = true };
	static const struct op_wait_ops soft_ops = {
		.what = "answer of the guest", .forget = wait_forget, .expired = wait_soft_expired, .abortable = true
	};

	return wait_for(op, inst, wanted, soft ? &soft_ops : &hard_ops);
}

enum verdict instance_wait_end(struct op *op, struct instance *inst, bool soft)
{
	static const struct op_wait_ops hard_ops = { .what = "end of the process",
						     .forget = wait_forget,
						     .expired = wait_stalled };
	static const struct op_wait_ops soft_ops = { .what = "end of the process",
						     .forget = wait_forget,
						     .expired = wait_soft_expired };

	return wait_for(op, inst, 0, soft ? &soft_ops : &hard_ops);
}
