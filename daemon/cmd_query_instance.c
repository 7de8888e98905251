/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * query-instances, query-instance, query-log: from memory and our own files, whatever QEMU does.
 */
#include "base/file.h"
#include "base/text.h"
#include "daemon/commands.h"
#include "daemon/job.h"
#include "hotplug/plug.h"
#include "runtime/autostart.h"
#include "runtime/console.h"
#include "runtime/logs.h"
#include "runtime/policy.h"
#include "runtime/slots.h"
#include "runtime/stats.h"

#include <fcntl.h>
#include <string.h>

/* ---- shapes ---- */

static struct json_object *operation_of(struct daemon *d, const struct instance *inst)
{
	_cleanup_free_ char *subject = xasprintf("instance-%s", inst->name);

	return job_describe_operation(d, subject);
}

static struct json_object *brief(struct daemon *d, struct instance *inst)
{
	struct json_object *o = json_object_new_object();
	struct autostart autostart = { 0 };

	json_add_str(o, "name", inst->name);
	json_add_str(o, "uuid", inst->uuid);
	instance_describe_state(inst, o);
	json_add_time(o, "since", inst->since);
	if (inst->broken || inst->unknown)
		json_add(o, "error", err_to_json(inst->unknown ? inst->unknown : inst->broken));
	if (inst->process) {
		json_add_str(o, "monitor", monitor_name(instance_monitor(inst)));
		json_add_int(o, "pid", inst->pid);
	}
	if (inst->broken && !inst->stored) {
		json_add(o, "operation", operation_of(d, inst));
		return o;
	}
	json_add_int(o, "vcpus", inst->def.vcpus);
	json_add_uint(o, "memory", inst->def.memory);
	autostart_decode(inst->def.autostart, &autostart, NULL);
	json_add_bool(o, "autostart", autostart.on);
	json_add_bool(o, "pending", json_object_array_length(instance_pending(inst)) > 0);
	json_add(o, "operation", operation_of(d, inst));
	json_add(o, "ips", json_object_new_array());
	return o;
}

/* runtime.json without what only we need. */
static struct json_object *runtime_of(const struct instance *inst)
{
	static const char *const members[] = { "version", "cmd",  "hvparams", "disks", "nics",
					       "process", "qemu", "layout",   "boot" };
	struct json_object *o;

	if (!inst->record)
		return NULL;
	o = json_object_new_object();
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		struct json_object *value;

		if (json_object_object_get_ex(inst->record, members[i], &value))
			json_add(o, members[i], json_object_get(value));
	}
	return o;
}

static struct json_object *consoles_of(const struct instance *inst)
{
	struct json_object *list = json_object_new_array(), *o;
	const char *writer = console_writer(inst->console);

	if (!inst->process || !inst->def.hvparams.serial_console)
		return list;
	o = json_object_new_object();
	json_add_str(o, "kind", "serial");
	json_add(o, "writer", writer ? json_object_new_string(writer) : NULL);
	json_add_int(o, "readers", console_readers(inst->console));
	json_object_array_add(list, o);
	return list;
}

/* What can be changed while it runs: true, or why not. */
static struct json_object *hotplug_of(const struct instance *inst)
{
	static const char *const devices[] = { "disk", "nic" }, *const others[] = { "vcpus", "memory" };
	struct json_object *o = json_object_new_object();
	struct json_object *running = json_get_typed(inst->record, "definition", json_type_object);
	struct json_object *definition = inst->process ? running : inst->stored;
	const char *why = definition ? plug_no_pci(definition) :
				       "what it runs with is not known, it has no runtime record";
	_cleanup_free_ char *text = why ? xasprintf("Unsupported: %s", why) : NULL;

	for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
		json_add(o, devices[i], text ? json_object_new_string(text) : json_object_new_boolean(true));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		json_add_str(o, others[i], "Unsupported: this version cannot");
	return o;
}

/* What runs is there, whatever the definition says by now. */
static struct json_object *slots_of(const struct instance *inst)
{
	struct json_object *definition = json_get_typed(inst->record, "definition", json_type_object), *slots;
	struct definition running;
	bool runs = definition && definition_decode(definition, &running, NULL);

	slots = slots_describe(&inst->def, runs ? &running : NULL);
	if (runs)
		definition_clear(&running);
	return slots;
}

static struct json_object *full(struct daemon *d, struct instance *inst)
{
	struct json_object *o = brief(d, inst), *displays;
	_cleanup_free_ char *subject = xasprintf("instance-%s", inst->name);

	json_add(o, "definition", json_object_get(inst->stored));
	json_add(o, "runtime", runtime_of(inst));
	if (inst->stored)
		json_add(o, "memory", stats_memory(inst));
	json_add(o, "pending", json_object_get(instance_pending(inst)));
	if (inst->stored && !inst->broken) {
		json_add(o, "slots", slots_of(inst));
		json_add(o, "hotplug", hotplug_of(inst));
	}
	json_add_int(o, "queued", queue_length(d->queues, subject));
	json_add(o, "drift", inst->drift ? json_object_get(inst->drift) : json_object_new_array());
	json_add(o, "consoles", consoles_of(inst));
	displays = json_get_typed(inst->record, "displays", json_type_array);
	json_add(o, "displays", displays ? json_object_get(displays) : json_object_new_array());
	json_add(o, "restarts", policy_describe(inst));
	if (inst->last)
		json_add(o, "last", json_object_get(inst->last));
	return o;
}

/* ---- query-instances ---- */

struct instances_args {
	struct param_list instances; /* of char * */
	struct param_list fields;    /* of int, index into members */
};

static const struct param text_row = { .name = "", .type = PARAM_TEXT, .min = 1, .max = 63 };
static const char *const members[] = { "name",    "uuid",      "state", "status", "reason", "since",
				       "error",   "monitor",   "pid",   "vcpus",  "memory", "autostart",
				       "pending", "operation", "ips",   NULL };
static const struct param member_row = { .name = "", .type = PARAM_CHOICE, .choices = members };

static const struct param instances_rows[] = {
	{ "instances", PARAM_LIST, .rows = &text_row, .size = sizeof(char *), .max = 4096,
	  PARAM_AT(struct instances_args, instances), .since = "0.1.0", .doc = "Only these, by name or UUID." },
	{ "fields", PARAM_LIST, .rows = &member_row, .size = sizeof(int), PARAM_AT(struct instances_args, fields),
	  .since = "0.1.0", .doc = "Only these members; 'name' is always there." },
	PARAM_END
};

static struct json_object *only_fields(struct json_object *o, const struct param_list *fields)
{
	struct json_object *less;
	const int *which = fields->items;

	if (!fields->n)
		return o;
	less = json_object_new_object();
	json_add_str(less, "name", json_get_str(o, "name"));
	for (size_t i = 0; i < fields->n; i++) {
		struct json_object *value;

		if (json_object_object_get_ex(o, members[which[i]], &value))
			json_add(less, members[which[i]], json_object_get(value));
	}
	json_object_put(o);
	return less;
}

/* One that is being defined is not there yet. */
static bool is_listed(const struct instance *inst)
{
	return inst->stored || inst->broken;
}

static bool instances(struct call *call, struct json_object **ret, struct err **e)
{
	const struct instances_args *args = call->args;
	char *const *names = args->instances.items;
	_cleanup_json_ struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < args->instances.n; i++) {
		struct instance *inst = instance_find(&call->d->rt, names[i]);

		if (!inst)
			return err_set(e, ERR_NOT_FOUND, "no instance '%s'", names[i]);
		json_object_array_add(list, only_fields(brief(call->d, inst), &args->fields));
	}
	for (struct instance *inst = instance_first(&call->d->rt); inst && !args->instances.n;
	     inst = instance_next(inst))
		if (is_listed(inst))
			json_object_array_add(list, only_fields(brief(call->d, inst), &args->fields));
	*ret = TAKE_PTR(list);
	return true;
}

const struct command cmd_query_instances = {
	.name = "query-instances",
	.class = CLASS_QUERY,
	.params = instances_rows,
	.args_size = sizeof(struct instances_args),
	.doc = "All instances, by name. Never asks QEMU.",
	.returns = "[{name, uuid, state, status, reason, since, monitor, pid, vcpus, memory, autostart, pending, "
		   "operation, ips}]",
	.query = instances,
};

/* ---- query-instance ---- */

static const struct param instance_rows[] = { PARAM_INSTANCE(struct instance_args), PARAM_END };

static bool instance(struct call *call, struct json_object **ret, struct err **e)
{
	struct instance *inst = call_instance(call, e);

	if (!inst)
		return false;
	*ret = full(call->d, inst);
	return true;
}

const struct command cmd_query_instance = {
	.name = "query-instance",
	.class = CLASS_QUERY,
	.params = instance_rows,
	.args_size = sizeof(struct instance_args),
	.doc = "Everything about one instance. Never asks QEMU.",
	.returns =
		"as query-instances, and {definition, runtime, memory: {wanted, actual, max, as-of}, pending, "
		"slots, hotplug: {disk, nic, vcpus, memory: true or why not}, queued, drift: [{what, id, record, "
		"qemu}], consoles, displays: [{kind, address, port, tls-port, path, password, tls}], restarts, last}",
	.query = instance,
};

/* ---- query-log ---- */

enum which { LOG_OF_QEMU, LOG_OF_CONSOLE };

struct log_args {
	char *instance;
	int which; /* enum which */
	int64_t bytes;
};

static const char *const whiches[] = { "qemu", "console", NULL };

static const struct param log_rows[] = {
	PARAM_INSTANCE(struct log_args),
	{ "which", PARAM_CHOICE, .choices = whiches, .def = "\"qemu\"", PARAM_AT(struct log_args, which),
	  .since = "0.1.0", .doc = "What QEMU wrote to stderr, or the guest to its serial console." },
	{ "bytes", PARAM_INT, .min = 1, .max = 1 << 20, .def = "65536", PARAM_AT(struct log_args, bytes),
	  .unit = "bytes", .since = "0.1.0", .doc = "How much of its tail." },
	PARAM_END
};

static bool log_tail(struct call *call, struct json_object **ret, struct err **e)
{
	const struct log_args *args = call->args;
	struct instance *inst = call_instance(call, e);
	_cleanup_free_ char *text = NULL;
	size_t len;
	bool cut;

	if (!inst || !logs_tail(inst, args->which == LOG_OF_CONSOLE ? LOG_CONSOLE : LOG_QEMU, (size_t)args->bytes,
				&text, &len, &cut, e))
		return false;
	text_make_valid(text, len);
	*ret = json_object_new_object();
	json_add(*ret, "text", json_object_new_string_len(text, (int)len));
	json_add_bool(*ret, "truncated", cut);
	return true;
}

const struct command cmd_query_log = {
	.name = "query-log",
	.class = CLASS_QUERY,
	.params = log_rows,
	.args_size = sizeof(struct log_args),
	.doc = "The tail of a log.",
	.returns = "{text, truncated}; bytes that are no UTF-8 are '?'",
	.query = log_tail,
};
