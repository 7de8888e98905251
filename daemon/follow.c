/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What follows from what happens below: events for clients, and operations of our own.
 */
#include "daemon/follow.h"

#include "daemon/job.h"

static struct json_object *state_of(const char *state, const char *status, const char *reason)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "state", state);
	json_add_str(o, "status", status);
	json_add_str(o, "reason", reason);
	return o;
}

static void on_state_changed(struct instance *inst, const char *state, const char *status, const char *reason,
			     void *data)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "instance", inst->name);
	json_add_str(o, "uuid", inst->uuid);
	instance_describe_state(inst, o);
	json_add(o, "old", state_of(state, status, reason));
	event_emit(data, "INSTANCE_STATE", o);
}

static void on_qemu_event(struct instance *inst, const char *name, struct json_object *event, void *data)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "instance", inst->name);
	json_add_str(o, "event", name);
	json_add(o, "data", event ? json_object_get(event) : json_object_new_object());
	event_emit(data, "QEMU_EVENT", o);
}

static void on_ended(struct instance *inst, void *data)
{
	job_internal(data, "instance-collect", inst->name);
}

static void on_powered_off(struct instance *inst, void *data)
{
	job_internal(data, "instance-poweroff", inst->name);
}

const struct runtime_ops follow_ops = {
	.state_changed = on_state_changed,
	.qemu_event = on_qemu_event,
	.ended = on_ended,
	.powered_off = on_powered_off,
};
