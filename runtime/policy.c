/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/policy.h"

#include "base/log.h"

#include <string.h>

/* Of the running QEMU: another definition may have come since. */
static void read_policies(const struct instance *inst, struct hvparams *hv)
{
	struct json_object *started = json_get_typed(inst->record, "definition", json_type_object);
	struct definition def;

	*hv = inst->def.hvparams;
	if (!started || !definition_decode(started, &def, NULL))
		return;
	hv->on_poweroff = def.hvparams.on_poweroff;
	hv->on_reboot = def.hvparams.on_reboot;
	hv->reboot_behavior = def.hvparams.reboot_behavior;
	hv->on_crash = def.hvparams.on_crash;
	definition_clear(&def);
}

bool policy_ends_at_reboot(const struct instance *inst)
{
	struct hvparams hv;

	read_policies(inst, &hv);
	return on_reboot_of(&hv) != ON_REBOOT_RESET;
}

static unsigned count_recent(const struct restarts *r, double now)
{
	unsigned n = 0;

	for (unsigned i = 0; i < r->n; i++)
		n += now >= r->times[i] && now - r->times[i] < RESTARTS_SECONDS;
	return n;
}

/* Counts one; false if that were too many. */
static bool may_restart(struct instance *inst)
{
	struct restarts *r = &inst->restarts;
	double now = time_now();

	if (count_recent(r, now) >= RESTARTS_MAX) {
		log_write(LOG_WARNING, inst->name, "%u restarts within %d s: it stays as it is", r->n,
			  RESTARTS_SECONDS);
		r->stopped = true;
		inst->rt->ops->restarts_stopped(inst, inst->rt->data);
		return false;
	}
	if (r->n == RESTARTS_MAX)
		memmove(r->times, r->times + 1, --r->n * sizeof(r->times[0]));
	r->times[r->n++] = now;
	r->stopped = false;
	return true;
}

enum policy policy_of_held(struct instance *inst)
{
	struct hvparams hv;
	bool crashed = inst->state == STATE_CRASHED, wanted;

	read_policies(inst, &hv);
	if (crashed)
		wanted = hv.on_crash == ON_CRASH_RESTART || hv.on_crash == ON_CRASH_RESET;
	else if (!str_eq(inst->reason, "guest"))
		wanted = false;
	else if (str_eq(inst->causes.shutdown, "guest-reset"))
		wanted = on_reboot_of(&hv) == ON_REBOOT_RESTART;
	else
		wanted = hv.on_poweroff == ON_POWEROFF_RESTART;
	if (crashed && (hv.on_crash == ON_CRASH_PAUSE || (wanted && !may_restart(inst))))
		return POLICY_LEAVE;
	if (crashed && hv.on_crash == ON_CRASH_RESET)
		return POLICY_RESET;
	inst->restarts.due = wanted && (crashed || may_restart(inst));
	inst->decided = true;
	return POLICY_STOP;
}

void policy_of_end(struct instance *inst)
{
	struct hvparams hv;

	if (inst->decided)
		return;
	inst->decided = true;
	inst->restarts.due = false;
	read_policies(inst, &hv);
	if (inst->state == STATE_CRASHED)
		inst->restarts.due = hv.on_crash == ON_CRASH_RESTART && may_restart(inst);
	else if (str_eq(inst->reason, "guest"))
		policy_of_held(inst);
}

void policy_forget(struct instance *inst)
{
	inst->restarts = (struct restarts){ 0 };
}

struct json_object *policy_describe(const struct instance *inst)
{
	struct json_object *o = json_object_new_object();

	json_add_int(o, "count", count_recent(&inst->restarts, time_now()));
	json_add_bool(o, "stopped", inst->restarts.stopped);
	return o;
}

struct json_object *policy_store(const struct instance *inst)
{
	struct json_object *o = policy_describe(inst), *times = json_object_new_array();

	for (unsigned i = 0; i < inst->restarts.n; i++)
		json_object_array_add(times, json_object_new_double(inst->restarts.times[i]));
	json_add(o, "times", times);
	/* One that is due is so in this life of the host only. */
	if (inst->restarts.due)
		json_add_str(o, "due", process_boot_id());
	return o;
}

void policy_load(struct instance *inst, struct json_object *o)
{
	struct json_object *times = json_get_typed(o, "times", json_type_array);
	struct restarts *r = &inst->restarts;
	size_t n = json_length(times);

	*r = (struct restarts){ .stopped = json_get_bool(o, "stopped", false),
				.due = str_eq(json_get_str(o, "due"), process_boot_id()) };
	for (size_t i = n > RESTARTS_MAX ? n - RESTARTS_MAX : 0; i < n; i++)
		r->times[r->n++] = json_object_get_double(json_object_array_get_idx(times, i));
}
