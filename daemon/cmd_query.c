/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the daemon says of itself: query-version, -commands, -schema, -events.
 */
#include "daemon/commands.h"

static const struct param no_rows[] = { PARAM_END };
struct no_args {
	char unused;
};

struct json_object *daemon_version(void)
{
	struct json_object *o = json_object_new_object(), *qemu = json_object_new_object();
	static const char *const parts[] = { "major", "minor", "micro" };
	const char *text = DROVER_VERSION;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		char *end;

		json_add_int(qemu, parts[i], strtol(text, &end, 10));
		text = *end ? end + 1 : end;
	}
	json_add(o, "qemu", qemu);
	json_add_str(o, "package", "drover-" DROVER_VERSION);
	return o;
}

static bool version(struct call *call, struct json_object **ret, struct err **e)
{
	*ret = daemon_version();
	return true;
}

static struct json_object *list_commands(struct json_object *(*describe)(const struct command *c))
{
	struct json_object *list = json_object_new_array();
	const struct command *const *all;
	size_t n;

	all = command_all(&n);
	for (size_t i = 0; i < n; i++)
		if (!all[i]->internal)
			json_object_array_add(list, describe(all[i]));
	return list;
}

static struct json_object *name_only(const struct command *c)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "name", c->name);
	return o;
}

static bool names(struct call *call, struct json_object **ret, struct err **e)
{
	*ret = list_commands(name_only);
	return true;
}

static bool schema(struct call *call, struct json_object **ret, struct err **e)
{
	*ret = json_object_new_object();
	json_add(*ret, "commands", list_commands(command_describe));
	json_add(*ret, "hvparams", param_describe(hvparam_rows));
	json_add(*ret, "definition", param_describe(definition_rows));
	json_add(*ret, "disk", param_describe(disk_rows));
	json_add(*ret, "nic", param_describe(nic_rows));
	json_add(*ret, "config", param_describe(config_rows));
	json_add(*ret, "errors", err_describe());
	json_add(*ret, "states", state_describe());
	return true;
}

struct events_args {
	int64_t since;
	char *epoch;
};

static const struct param events_rows[] = {
	{ "since", PARAM_INT, .min = 0, .max = INT64_MAX, PARAM_AT(struct events_args, since), .since = "0.1.0",
	  .doc = "Only events with a higher seq; absent: all that are kept." },
	{ "epoch", PARAM_UUID, PARAM_AT(struct events_args, epoch), .since = "0.1.0",
	  .doc = "The run of the daemon that 'since' was heard in." },
	PARAM_END
};

static bool events(struct call *call, struct json_object **ret, struct err **e)
{
	const struct events_args *args = call->args;
	int64_t since = args->since == PARAM_INT_NONE ? event_oldest(call->d) - 1 : args->since;
	struct json_object *list;

	if (!event_since(call->d, since, args->epoch, &list, e))
		return false;
	*ret = json_object_new_object();
	json_add_str(*ret, "epoch", call->d->epoch);
	json_add_int(*ret, "last", call->d->events.last);
	json_add(*ret, "events", list);
	return true;
}

#define QUERY(c_name, c_params, c_args, c_query, c_doc, c_returns)                                     \
	{                                                                                              \
		.name = c_name, .class = CLASS_QUERY, .params = c_params, .args_size = sizeof(c_args), \
		.query = c_query, .doc = c_doc, .returns = c_returns                                   \
	}

const struct command cmd_query_version = QUERY("query-version", no_rows, struct no_args, version,
					       "The version, in QMP's shape.", "{qemu, package}");
const struct command cmd_query_commands = QUERY("query-commands", no_rows, struct no_args, names,
						"All commands, in QMP's shape.", "[{name}]");
const struct command cmd_query_schema = QUERY("query-schema", no_rows, struct no_args, schema,
					      "The rows of everything.",
					      "{commands, hvparams, definition, disk, nic, config, errors, states}");
const struct command cmd_query_events = QUERY("query-events", events_rows, struct events_args, events,
					      "Events that were sent before; 4096 are kept.", "{epoch, last, events}");
