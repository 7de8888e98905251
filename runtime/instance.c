/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/instance.h"

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "qmp/caps_cache.h"
#include "runtime/accel.h"
#include "runtime/console.h"
#include "runtime/events_log.h"
#include "runtime/guest_agent.h"
#include "runtime/kept.h"
#include "runtime/logs.h"
#include "runtime/meaning.h"
#include "runtime/monitors.h"
#include "runtime/observe.h"
#include "runtime/policy.h"
#include "runtime/stats.h"
#include "runtime/uids.h"

#include <assert.h>
#include <string.h>

static const struct {
	const char *name, *doc;
} states[] = {
	[STATE_NOSTATE] = { "nostate", "Starting, being found again, the monitor is lost, or it is not known." },
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

enum monitor instance_monitor(const struct instance *inst)
{
	if (!inst->process)
		return MONITOR_NONE;
	if (inst->monitor_lost || qmp_is_gone(inst->qmp))
		return MONITOR_GONE;
	return qmp_is_slow(inst->qmp) ? MONITOR_SLOW : MONITOR_OK;
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
	kept_clear(&rt->kept);
	free(rt->launcher);
	free(rt->opener);
	free(rt->fetcher);
	caps_cache_free(rt->caps);
	accel_cache_free(rt->accel);
	uid_pool_free(rt->uids);
	cgroups_close(&rt->cgroups);
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

/* Whether a card of INST has it, also one that runs and has left the definition. */
static bool has_mac(const struct instance *inst, const char *mac)
{
	for (size_t i = 0; i < inst->def.nics.n; i++)
		if (str_eq(definition_nic(&inst->def, i)->mac, mac))
			return true;
	return definition_has_mac(inst->record, mac);
}

static bool is_mac_taken(const char *mac, void *data)
{
	const struct instance_question *q = data;
	struct instance *inst;

	RB_FOREACH(inst, instance_tree, &q->rt->instances)
	if (!str_eq(inst->name, q->name) && has_mac(inst, mac))
		return true;
	return q->rt->ops->mac_promised(q->name, mac, q->rt->data);
}

const struct definition_context *instance_context(struct runtime *rt, const char *name, struct instance_question *q)
{
	const struct instance *inst = instance_find(rt, name);

	*q = (struct instance_question){
		rt,
		name,
		{ .old = inst ? inst->stored : NULL,
		  .running = inst ? json_get_typed(inst->record, "definition", json_type_object) : NULL,
		  .next_start = true,
		  .mac_taken = is_mac_taken,
		  .data = q }
	};
	return &q->ctx;
}

void instance_release_uid(struct instance *inst)
{
	if (inst->uid)
		uid_pool_release(inst->rt->uids, inst->uid);
	inst->uid = 0;
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
	inst->known_state = inst->state;
	inst->known_reason = xstrdup(inst->reason);
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
	guest_agent_end(inst);
	stats_end(inst);
	console_free(inst->console);
	logs_unwatch(inst);
	events_log_unwatch(inst);
	process_free(TAKE_PTR(inst->process));
	monitors_close(inst);
	closep(&inst->run_dir);
	definition_clear(&inst->def);
	json_object_put(inst->stored);
	instance_set_record(inst, NULL);
	json_object_put(inst->drift);
	json_object_put(inst->last);
	json_object_put(inst->exit);
	err_free(inst->broken);
	err_free(inst->unknown);
	free(inst->name);
	free(inst->uuid);
	free(inst->cgroup);
	free(inst->status);
	free(inst->reason);
	free(inst->known_reason);
	free(inst);
	return NULL;
}

static void forget_pending(struct instance *inst)
{
	json_object_put(inst->pending);
	inst->pending = NULL;
}

void instance_set_record(struct instance *inst, struct json_object *record)
{
	json_object_put(inst->record);
	inst->record = record;
	forget_pending(inst);
}

struct json_object *instance_pending(struct instance *inst)
{
	struct json_object *started = json_get_typed(inst->record, "definition", json_type_object);

	if (!inst->pending)
		inst->pending = started && inst->stored ? definition_pending(started, inst->stored) :
							  json_object_new_array();
	return inst->pending;
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
	forget_pending(inst);
	free(inst->uuid);
	inst->uuid = xstrdup(json_get_str(stored, "uuid"));
	return inst;
}

void instance_rename(struct instance *inst, const char *name)
{
	RB_REMOVE(instance_tree, &inst->rt->instances, inst);
	free(inst->name);
	inst->name = xstrdup(name);
	RB_INSERT(instance_tree, &inst->rt->instances, inst);
}

void instance_count_starts(struct instance *inst, struct json_object *o)
{
	int64_t n = json_get_int(o, "starts", inst->starts);

	if (n >= 0 && n < STARTS_MAX)
		inst->starts = n;
}

/* A clock that was put back, or a file that lies, must not make us deaf to all that comes until then. */
void instance_heard(struct instance *inst, double time)
{
	double now = time_now();

	inst->heard = time > now ? now : time;
}

static void know(struct instance *inst)
{
	free(inst->known_reason);
	inst->known_state = inst->state;
	inst->known_reason = xstrdup(inst->reason);
}

struct json_object *instance_read(const char *name, int dirfd, const char *file)
{
	_cleanup_err_ struct err *e = NULL;
	struct json_object *o = NULL;

	if (!file_read_json(dirfd, file, &o, &e) && e->class != ERR_NOT_FOUND)
		log_write(LOG_WARNING, name, "%s", e->desc);
	return o;
}

static void take_last(struct instance *inst)
{
	const char *state = json_get_str(inst->last, "state"), *reason = json_get_str(inst->last, "reason");

	if (!reason || (!str_eq(state, "shutoff") && !str_eq(state, "crashed")))
		return;
	inst->state = str_eq(state, "crashed") ? STATE_CRASHED : STATE_SHUTOFF;
	free(inst->reason);
	inst->reason = xstrdup(reason);
	know(inst);
	inst->since = json_get_double(inst->last, "time", inst->since);
}

/* What is known of the last run. A file that is missing, half or strange is as none. */
static void load_state(struct instance *inst, int dir)
{
	inst->last = instance_read(inst->name, dir, "state.json");
	if (!inst->last)
		return;
	instance_count_starts(inst, inst->last);
	policy_load(inst, json_get_typed(inst->last, "restarts", json_type_object));
	take_last(inst);
}

void instance_recall_last(struct instance *inst)
{
	free(inst->status);
	inst->status = xstrdup("");
	take_last(inst);
	json_object_put(inst->exit);
	inst->exit = json_object_get(json_get_typed(inst->last, "exit", json_type_object));
	inst->going = false;
	inst->decided = true;
}

/* Also the place where a definition of an older layout would be brought up to today's, before it is decoded; there is
 * only layout 1 so far, and what is not said in one has a default. */
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
		else
			definition_is_whole(&def, &e);
		definition_clear(&def);
	}
	if (e) {
		log_write(LOG_ERR, name, "'definition.json' cannot be used: %s", e->desc);
		inst = instance_new(rt, name);
		inst->broken = e;
	} else {
		inst = instance_define(rt, TAKE_PTR(stored));
	}
	if (dir >= 0)
		load_state(inst, dir);
	return inst;
}

/* What was known before its monitor was lost is worth more than that. */
static bool is_lost(const struct instance *inst)
{
	return inst->state == STATE_NOSTATE && str_eq(inst->reason, "monitor-lost");
}

/* An answer of QEMU may be long in coming then. */
static const char *const resettings[] = { [RESET_AWAITED] = "awaited", [RESET_SEEN] = "seen" };
static_assert(ARRAY_SIZE(resettings) == RESET_SEEN + 1, "one word per value");

void instance_note(const struct instance *inst)
{
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_err_ struct err *e = NULL;

	if (!inst->process || inst->run_dir < 0 || is_lost(inst))
		return;
	o = json_object_new_object();
	instance_describe_state(inst, o);
	json_add_time(o, "since", inst->since);
	json_add_time(o, "heard", inst->heard);
	json_add_str(o, "shutdown", inst->causes.shutdown);
	json_add_str(o, "resetting", resettings[inst->resetting]);
	if (!file_write_json(inst->run_dir, "observed.json", o, 0600, &e))
		log_write(LOG_WARNING, inst->name, "%s", e->desc);
}

void instance_recall(struct instance *inst)
{
	_cleanup_json_ struct json_object *o = instance_read(inst->name, inst->run_dir, "observed.json");
	const char *state, *status, *reason;

	inst->state = STATE_NOSTATE;
	free(inst->status);
	free(inst->reason);
	inst->status = xstrdup("");
	inst->reason = xstrdup("attaching");
	know(inst);
	if (!o)
		return;
	instance_heard(inst, json_get_double(o, "heard", 0));
	inst->causes.shutdown = observe_shutdown_reason(json_get_str(o, "shutdown"), false);
	inst->resetting = RESET_NONE;
	for (size_t i = RESET_AWAITED; i < ARRAY_SIZE(resettings); i++)
		if (str_eq(json_get_str(o, "resetting"), resettings[i]))
			inst->resetting = (enum resetting)i;
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
		know(inst);
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
	if (!is_lost(inst))
		know(inst); /* REASON may have been what was known: it is not to be read from here on */
	instance_note(inst);
	log_debug("%s: %s/%s/%s -> %s/%s/%s", inst->name, state_name(old), old_status, old_reason, state_name(s),
		  inst->status, inst->reason);
	inst->rt->ops->state_changed(inst, state_name(old), old_status, old_reason, inst->rt->data);
	instance_poke(inst);
}

void instance_doubt(struct instance *inst, struct err *e)
{
	log_write(LOG_ERR, inst->name, "it is not known whether it has a process, so nothing of it is touched: %s",
		  e->desc);
	err_free(inst->unknown);
	inst->unknown = e;
	instance_enter(inst, STATE_NOSTATE, "", "unknown");
}

bool instance_is_known(const struct instance *inst, struct err **e)
{
	if (!inst->unknown)
		return true;
	return err_set(
		e, ERR_WRONG_STATE,
		"it is not known whether '%s' has a process: %s; see to that, then restart droverd, or start it: "
		"both look again",
		inst->name, inst->unknown->desc);
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
