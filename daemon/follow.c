/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What follows from what happens below: events for clients, and operations of our own.
 */
#include "daemon/follow.h"

#include "base/log.h"
#include "daemon/define.h"
#include "daemon/job.h"
#include "hotplug/unplug.h"
#include "runtime/device_record.h"
#include "runtime/policy.h"

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
	if (inst->state == STATE_RUNNING && !str_eq(state, state_name(STATE_RUNNING)))
		unplug_go_on(inst);
}

/* A guest may let go of a device by itself, and QEMU may be asked by others. */
static void see_deleted(struct daemon *d, struct instance *inst, const char *id)
{
	struct json_object *shown = id ? device_record_find(inst, id, NULL) : NULL;

	if (shown && device_record_state(shown) == DEVICE_ATTACHED)
		job_compare(d, inst);
}

static void on_qemu_event(struct instance *inst, const char *name, struct json_object *event, void *data)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "instance", inst->name);
	json_add_str(o, "event", name);
	json_add(o, "data", event ? json_object_get(event) : json_object_new_object());
	event_emit(data, "QEMU_EVENT", o);
	if (str_eq(name, "DEVICE_DELETED"))
		see_deleted(data, inst, json_get_str(event, "device"));
	/* Somebody's SIGTERM ends it; but one that was being asked something may hang on its way out (7.2 does, now and then). */
	if (str_eq(name, "SHUTDOWN") && str_eq(json_get_str(event, "reason"), "host-signal") && !inst->ending)
		job_internal(data, "instance-poweroff", inst->name);
}

static void on_agent_changed(struct instance *inst, bool alive, void *data)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "instance", inst->name);
	json_add_bool(o, "alive", alive);
	event_emit(data, "GUEST_AGENT", o);
}

static void on_ended(struct instance *inst, void *data)
{
	job_internal(data, "instance-collect", inst->name);
}

static void collect_again(uv_timer_t *timer)
{
	struct daemon *d = timer->data;

	for (struct instance *inst = instance_first(&d->rt); inst; inst = instance_next(inst))
		if (!inst->process && inst->run_dir >= 0 && inst->unrecorded)
			on_ended(inst, d);
}

/* That a disk has room again nobody says. */
void follow_collect_later(struct daemon *d)
{
	enum { AGAIN_MS = 5000 };

	if (!uv_is_active((uv_handle_t *)&d->collector))
		uv_timer_start(&d->collector, collect_again, AGAIN_MS, 0);
}

/* Its own end, or what it stands still for. */
static void on_held(struct instance *inst, void *data)
{
	switch (policy_of_held(inst)) {
	case POLICY_LEAVE:
		break;
	case POLICY_STOP:
		job_internal(data, "instance-poweroff", inst->name);
		break;
	case POLICY_RESET:
		job_internal(data, "instance-reset", inst->name);
		break;
	}
}

static void on_cleared(struct instance *inst, void *data)
{
	unplug_forget_all(inst);
	if (inst->restarts.due)
		job_internal(data, "instance-restart", inst->name);
}

static void on_monitor_back(struct instance *inst, void *data)
{
	job_compare(data, inst);
}

static void on_drifted(struct instance *inst, void *data)
{
	struct json_object *o = json_object_new_object();

	log_write(LOG_WARNING, inst->name, "QEMU and the runtime record differ: %s",
		  json_object_to_json_string(inst->drift));
	json_add_str(o, "instance", inst->name);
	json_add_str(o, "uuid", inst->uuid);
	json_add(o, "drift", json_object_get(inst->drift));
	event_emit(data, "DRIFT", o);
}

static void on_device_gone(struct instance *inst, const char *id, void *data)
{
	job_internal(data, "devices-collect", inst->name);
}

static bool mac_promised(const char *name, const char *mac, void *data)
{
	return define_promises_mac(data, name, mac);
}

static void on_device_told(struct instance *inst, const char *event, const char *id, const char *why, void *data)
{
	struct json_object *o = json_object_new_object();
	const char *list = NULL;
	struct json_object *shown = device_record_find(inst, id, &list);

	json_add_str(o, "instance", inst->name);
	json_add_str(o, "uuid", inst->uuid);
	json_add_str(o, "device", id);
	json_add_str(o, "name", json_get_str(shown, "name"));
	json_add_str(o, "kind", list ? (str_eq(list, "nics") ? "nic" : "disk") : NULL);
	json_add_str(o, "why", why);
	event_emit(data, event, o);
}

static void on_restarts_stopped(struct instance *inst, void *data)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "instance", inst->name);
	json_add_str(o, "uuid", inst->uuid);
	json_add_int(o, "count", inst->restarts.n);
	json_add_int(o, "seconds", RESTARTS_SECONDS);
	event_emit(data, "INSTANCE_RESTARTS_STOPPED", o);
}

static void on_quarantined(const char *name, const char *path, unsigned files, const struct err *e, void *data)
{
	struct json_object *o = json_object_new_object();

	if (e)
		log_write(LOG_WARNING, name, "QEMU left files in its own directory, and they are not kept: %s",
			  e->desc);
	else
		log_write(LOG_WARNING, name, "QEMU left files in its own directory, which nobody expects; see '%s'",
			  path);
	json_add_str(o, "instance", name);
	json_add_str(o, "path", e ? NULL : path);
	json_add_int(o, "files", files);
	json_add_str(o, "why", e ? e->desc : NULL);
	event_emit(data, "QUARANTINE", o);
}

const struct runtime_ops follow_ops = {
	.state_changed = on_state_changed,
	.qemu_event = on_qemu_event,
	.ended = on_ended,
	.agent_changed = on_agent_changed,
	.held = on_held,
	.cleared = on_cleared,
	.monitor_back = on_monitor_back,
	.drifted = on_drifted,
	.device_gone = on_device_gone,
	.mac_promised = mac_promised,
	.device_told = on_device_told,
	.restarts_stopped = on_restarts_stopped,
	.quarantined = on_quarantined,
};
