/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All commands, in the order of their names.
 */
#include "daemon/commands.h"

#include <assert.h>
#include <string.h>

static const struct command *const commands[] = {
	&cmd_console_attach,     &cmd_devices_change,    &cmd_devices_collect,     &cmd_disk_attach,
	&cmd_disk_detach,        &cmd_disk_resize,       &cmd_display_password,    &cmd_instance_argv,
	&cmd_instance_autostart, &cmd_instance_collect,  &cmd_instance_define,     &cmd_instance_import,
	&cmd_instance_modify,    &cmd_instance_nmi,      &cmd_instance_pause,      &cmd_instance_poweroff,
	&cmd_instance_qmp,       &cmd_instance_reboot,   &cmd_instance_rename,     &cmd_instance_reset,
	&cmd_instance_restart,   &cmd_instance_resume,   &cmd_instance_screenshot, &cmd_instance_send_key,
	&cmd_instance_settle,    &cmd_instance_shutdown, &cmd_instance_start,      &cmd_instance_stop,
	&cmd_instance_undefine,  &cmd_job_cancel,        &cmd_job_dismiss,         &cmd_nic_attach,
	&cmd_nic_detach,         &cmd_query_commands,    &cmd_query_events,        &cmd_query_guest,
	&cmd_query_host,         &cmd_query_instance,    &cmd_query_instances,     &cmd_query_jobs,
	&cmd_query_log,          &cmd_query_schema,      &cmd_query_stats,         &cmd_query_trace,
	&cmd_query_version,
};

static const char *const class_names[] = { "q", "a", "c", "l", "c", "c" };
static_assert(ARRAY_SIZE(class_names) == CLASS_ATTACH + 1, "one name per class");

const struct command *const *command_all(size_t *n)
{
	*n = ARRAY_SIZE(commands);
	return commands;
}

static int compare(const void *name, const void *row)
{
	return strcmp(name, (*(const struct command *const *)row)->name);
}

const struct command *command_find(const char *name)
{
	const struct command *const *row =
		/* NOLINTNEXTLINE(bugprone-sizeof-expression): the elements are pointers */
		bsearch(name, commands, ARRAY_SIZE(commands), sizeof(commands[0]), compare);

	return row ? *row : NULL;
}

const char *command_guess(const char *name)
{
	struct param rows[ARRAY_SIZE(commands) + 1] = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!commands[i]->internal)
			rows[n++].name = commands[i]->name;
	return param_guess(rows, name);
}

struct json_object *command_describe(const struct command *c)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "name", c->name);
	json_add_str(o, "class", class_names[c->class]);
	if (c->class != CLASS_QUERY && c->class != CLASS_ASK)
		json_add_str(o, "lane", lane_name(c->lane));
	json_add(o, "arguments", param_describe(c->params));
	json_add_str(o, "returns", c->returns);
	json_add_str(o, "doc", c->doc);
	return o;
}
