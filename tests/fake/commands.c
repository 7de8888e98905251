/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The commands that are about the machine as a whole, and the table of all.
 */
#include "fake.h"
#include "guest.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* ---- asking ---- */

void *refuse(struct ask *a, const char *class, const char *fmt, ...)
{
	va_list ap;

	if (a->class)
		return NULL;
	a->class = class;
	va_start(ap, fmt);
	a->desc = xvasprintf(fmt, ap);
	va_end(ap);
	return NULL;
}

static struct json_object *wanted(struct ask *a, const char *key, enum json_type type, const char *word)
{
	struct json_object *value = NULL;

	if (!json_object_object_get_ex(a->args, key, &value))
		return refuse(a, "GenericError", "Parameter '%s' is missing", key);
	if (!json_object_is_type(value, type))
		return refuse(a, "GenericError", "Invalid parameter type for '%s', expected: %s", key, word);
	return value;
}

const char *ask_str(struct ask *a, const char *key)
{
	struct json_object *value = wanted(a, key, json_type_string, "string");

	return value ? json_object_get_string(value) : NULL;
}

bool ask_int(struct ask *a, const char *key, int64_t *ret)
{
	struct json_object *value = wanted(a, key, json_type_int, "integer");

	*ret = json_object_get_int64(value);
	return value != NULL;
}

bool ask_id(struct ask *a, const char *id)
{
	size_t i = 0;

	while (id && (isalnum((unsigned char)id[i]) || (i > 0 && id[i] && strchr("-._", id[i]))))
		i++;
	if (!id || (i > 0 && !id[i] && isalpha((unsigned char)id[0])))
		return true;
	return refuse(a, "GenericError", "Parameter 'id' expects an identifier");
}

/* Whether the word at KEY's place in TAKES allows VALUE. */
static bool fits(struct ask *a, const char *key, struct json_object *value, int kind)
{
	enum json_type type = kind == 'i' ? json_type_int : kind == 'b' ? json_type_boolean : json_type_string;
	const char *word = kind == 'i' ? "integer" : kind == 'b' ? "boolean" : "string";

	return json_object_is_type(value, type) ||
	       refuse(a, "GenericError", "Invalid parameter type for '%s', expected: %s", key, word);
}

static bool check_argument(struct ask *a, const char *takes, const char *key, struct json_object *value)
{
	size_t len = strlen(key);

	for (const char *word = takes; *word; word += strcspn(word, " "), word += strspn(word, " "))
		if (strncmp(word, key, len) == 0 && strchr(" :", word[len]))
			return fits(a, key, value, word[len] == ':' ? word[len + 1] : 's');
	return refuse(a, "GenericError", "Parameter '%s' is unexpected", key);
}

struct json_object *command_run(const struct command *c, struct ask *a)
{
	if (a->args && !str_eq(c->takes, "*")) {
		json_object_object_foreach(a->args, key, value) {
			if (!check_argument(a, c->takes, key, value))
				return NULL;
		}
	}
	return c->fn(a);
}

/* ---- commands ---- */

static struct json_object *query_status(struct ask *a)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "status", a->f->status);
	json_add_bool(o, "singlestep", false);
	json_add_bool(o, "running", fake_runs(a->f));
	return o;
}

static struct json_object *query_name(struct ask *a)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "name", a->f->name);
	return o;
}

static struct json_object *query_uuid(struct ask *a)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "UUID", a->f->uuid);
	return o;
}

struct json_object *fake_version(void)
{
	return json_tokener_parse("{\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, \"package\": \"fake\"}");
}

static struct json_object *query_version(struct ask *a)
{
	return fake_version();
}

static struct json_object *query_yank(struct ask *a)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < a->f->n; i++) {
		struct json_object *o = json_object_new_object();

		json_add_str(o, "type", "chardev");
		json_add_str(o, "id", a->f->monitors[i].id);
		json_object_array_add(list, o);
	}
	return list;
}

static struct json_object *cont(struct ask *a)
{
	const char *status = a->f->status;

	if (str_eq(status, "shutdown") || str_eq(status, "internal-error"))
		return refuse(a, "GenericError", "Resetting the Virtual Machine is required");
	if (!str_eq(status, "running") && !str_eq(status, "suspended"))
		guest_run(a->f);
	return NULL;
}

static struct json_object *stop(struct ask *a)
{
	if (fake_runs(a->f))
		guest_halt(a->f, "paused");
	return NULL;
}

static struct json_object *system_reset(struct ask *a)
{
	struct fake *f = a->f;
	bool runs = fake_runs(f);

	guest_reset(f, false, "host-qmp-system-reset");
	if (f->ends_at_reboot)
		return NULL;
	f->rebooting = true;
	if (runs)
		guest_reboot(f);
	else
		f->status = "prelaunch";
	return NULL;
}

static struct json_object *system_wakeup(struct ask *a)
{
	if (!str_eq(a->f->status, "suspended"))
		return refuse(a, "GenericError", "Unable to wake up: guest is not in suspended state");
	a->f->status = "running";
	emit(a->f, "WAKEUP", NULL);
	return NULL;
}

static struct json_object *set_action(struct ask *a)
{
	a->f->ends_at_reboot = str_eq(json_get_str(a->args, "reboot"), "shutdown");
	return NULL;
}

static struct json_object *inject_nmi(struct ask *a)
{
	return NULL;
}

static struct json_object *system_powerdown(struct ask *a)
{
	emit(a->f, "POWERDOWN", NULL);
	return NULL;
}

static struct json_object *quit(struct ask *a)
{
	emit_text(a->f, "SHUTDOWN", "{\"guest\": false, \"reason\": \"host-qmp-quit\"}");
	return NULL;
}

static struct json_object *qmp_capabilities(struct ask *a)
{
	return NULL;
}

static const struct command machine_commands[] = {
	{ "cont", cont, "" },
	{ "inject-nmi", inject_nmi, "" },
	{ "qmp_capabilities", qmp_capabilities, "*" },
	{ "query-name", query_name, "" },
	{ "query-status", query_status, "" },
	{ "query-uuid", query_uuid, "" },
	{ "query-version", query_version, "" },
	{ "query-yank", query_yank, "", .oob = true },
	{ "quit", quit, "" },
	{ "set-action", set_action, "reboot shutdown panic watchdog" },
	{ "stop", stop, "" },
	{ "system_powerdown", system_powerdown, "" },
	{ "system_reset", system_reset, "" },
	{ "system_wakeup", system_wakeup, "" },
	{ 0 },
};

const struct command *command_find(const char *name)
{
	static const struct command *const tables[] = { machine_commands, fdset_commands,  node_commands,
							object_commands,  net_commands,    chardev_commands,
							device_commands,  display_commands };

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct command *c = tables[i]; c->name; c++)
			if (str_eq(c->name, name))
				return c;
	return NULL;
}
