/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/shapes.h"

#include "cli/text.h"

#include <math.h>

enum style shape_state_style(const char *state)
{
	static const struct {
		const char *state;
		enum style style;
	} rows[] = {
		{ "running", STYLE_GOOD },   { "paused", STYLE_WARN }, { "pmsuspended", STYLE_WARN },
		{ "nostate", STYLE_WARN },   { "blocked", STYLE_BAD }, { "crashed", STYLE_BAD },
		{ "unreadable", STYLE_BAD }, { "shutoff", STYLE_DIM }, { "shutdown", STYLE_DIM },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (str_eq(rows[i].state, state))
			return rows[i].style;
	return STYLE_NONE;
}

char *shape_value(struct json_object *value)
{
	if (!value)
		return NULL;
	if (json_object_is_type(value, json_type_string))
		return xstrdup(json_object_get_string(value));
	return json_print(value);
}

char *shape_member(struct json_object *o, const char *key)
{
	struct json_object *value = NULL;

	return json_object_object_get_ex(o, key, &value) ? shape_value(value) : NULL;
}

char *shape_operation(struct json_object *operation)
{
	const char *command = json_get_str(operation, "command"), *step = json_get_str(operation, "step");

	if (!command)
		return shape_value(operation);
	return xasprintf("%s%s%s", command, step ? ": " : "", step ? step : "");
}

char *shape_error(struct json_object *error)
{
	const char *desc = json_get_str(error, "desc"), *class = json_get_str(error, "class");

	if (!desc)
		return shape_value(error);
	return class ? xasprintf("%s (%s)", desc, class) : xstrdup(desc);
}

char *shape_size(struct json_object *o, const char *key)
{
	int64_t bytes = json_get_int(o, key, -1);

	return bytes >= 0 ? text_size((uint64_t)bytes) : shape_member(o, key);
}

char *shape_age(struct json_object *o, const char *key)
{
	double when = json_get_double(o, key, NAN);

	return isnan(when) ? NULL : text_duration(time_now() - when);
}

char *shape_address(struct json_object *device)
{
	struct json_object *hvinfo = json_get_typed(device, "hvinfo", json_type_object);
	static const char *const members[] = { "bus", "addr", "channel", "scsi-id", "lun", "unit" };
	char *text = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		_cleanup_free_ char *value = shape_member(hvinfo, members[i]), *before = text;

		text = value ? xasprintf("%s%s%s", before ? before : "",
					 !before                              ? "" :
					 i > 2 && !str_eq(members[i], "unit") ? ":" :
										" ",
					 value) :
			       TAKE_PTR(before);
	}
	return text;
}

/* ---- events ---- */

/* Which members of the data say most, in which order; other events show all of theirs. */
static const struct {
	const char *event, *members[5];
} digests[] = {
	{ "INSTANCE_STATE", { "state", "status", "reason" } },
	{ "JOB_STATUS_CHANGE", { "id", "type", "status", "step", "error" } },
};

/* Consumes TEXT. */
static char *append_member(char *text, const char *key, struct json_object *value)
{
	_cleanup_free_ char *shown = shape_value(value);
	char *longer = xasprintf("%s%s%s=%s", text ? text : "", text ? " " : "", key, shown ? shown : "null");

	free(text);
	return longer;
}

char *shape_event(struct json_object *event)
{
	struct json_object *data = json_get_typed(event, "data", json_type_object);
	const char *name = json_get_str(event, "event");
	char *text = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(digests); i++) {
		if (!str_eq(digests[i].event, name))
			continue;
		for (size_t k = 0; k < ARRAY_SIZE(digests[i].members) && digests[i].members[k]; k++) {
			struct json_object *value = NULL;

			if (json_object_object_get_ex(data, digests[i].members[k], &value))
				text = append_member(text, digests[i].members[k], value);
		}
		return text;
	}
	if (!data)
		return NULL;
	json_object_object_foreach(data, key, value)
		if (!str_eq(key, "instance") && !str_eq(key, "uuid"))
			text = append_member(text, key, value);
	return text;
}
