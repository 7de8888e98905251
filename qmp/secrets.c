/* SPDX-License-Identifier: BSD-2-Clause */
#include "qmp/secrets.h"

#include <string.h>

enum part { ARGUMENTS, RETURN };

/* Members by their name, at any depth. A row too many hides what nobody misses, one too few tells a password. */
static const struct row {
	const char *command; /* NULL: of any */
	const char *member;
	enum part part;
	bool text;       /* only where it is a text */
	const char *but; /* not where it begins with this */
} rows[] = {
	{ NULL, "password", ARGUMENTS },
	{ NULL, "cookie", ARGUMENTS },                   /* of an image behind HTTP */
	{ "change", "arg", ARGUMENTS },                  /* QEMU before 6.0 has no change-vnc-password */
	{ "object-add", "data", ARGUMENTS },             /* of a secret */
	{ "qom-set", "value", ARGUMENTS, .text = true }, /* of the same */
	{ "qom-get", "return", RETURN, .text = true },
	{ "sev-inject-launch-secret", "secret", ARGUMENTS },
	{ "human-monitor-command", "command-line", ARGUMENTS, .but = "info " }, /* all of these are there, too */
	{ "send-key", "keys", ARGUMENTS },                                      /* what is typed may be a password */
	{ "input-send-event", "events", ARGUMENTS },
};

static bool is_secret(const char *command, enum part part, const char *member, struct json_object *value)
{
	bool text = json_object_is_type(value, json_type_string);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *r = &rows[i];

		if (r->part == part && str_eq(r->member, member) && (!r->command || str_eq(r->command, command)) &&
		    (!r->text || text) && !(r->but && text && str_starts(json_object_get_string(value), r->but)))
			return true;
	}
	return false;
}

static bool has_secret(const char *command, struct json_object *o)
{
	if (json_object_is_type(o, json_type_object)) {
		json_object_object_foreach(o, key, value) {
			if (is_secret(command, ARGUMENTS, key, value) || has_secret(command, value))
				return true;
		}
	} else if (json_object_is_type(o, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(o); i++)
			if (has_secret(command, json_object_array_get_idx(o, i)))
				return true;
	}
	return false;
}

static struct json_object *blank(const char *command, struct json_object *o)
{
	struct json_object *copy;

	if (json_object_is_type(o, json_type_object)) {
		copy = json_object_new_object();
		json_object_object_foreach(o, key, value)
			json_add(copy, key,
				 is_secret(command, ARGUMENTS, key, value) ? json_object_new_string("***") :
									     blank(command, value));
		return copy;
	}
	if (!json_object_is_type(o, json_type_array))
		return json_object_get(o);
	copy = json_object_new_array();
	for (size_t i = 0; i < json_object_array_length(o); i++)
		json_object_array_add(copy, blank(command, json_object_array_get_idx(o, i)));
	return copy;
}

/* A copy of a message with another value of a member. Consumes VALUE. */
static struct json_object *with(struct json_object *message, const char *member, struct json_object *value)
{
	struct json_object *copy = json_object_new_object();

	json_object_object_foreach(message, key, old)
		json_add(copy, key, str_eq(key, member) ? value : json_object_get(old));
	return copy;
}

struct json_object *secrets_blank(const struct qmp_message *m)
{
	struct json_object *part = NULL;

	if (m->sent && json_object_object_get_ex(m->value, "arguments", &part) && has_secret(m->name, part))
		return with(m->value, "arguments", blank(m->name, part));
	if (!m->sent && m->latency >= 0 && json_object_object_get_ex(m->value, "return", &part) &&
	    is_secret(m->name, RETURN, "return", part))
		return with(m->value, "return", json_object_new_string("***"));
	return json_object_get(m->value);
}
