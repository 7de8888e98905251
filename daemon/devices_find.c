/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/devices_find.h"

#include "runtime/device_record.h"

#include <strings.h>

static const char *const lists[] = { "disks", "nics" };

/* By what TEXT may find a device, the first that fits. */
enum by { BY_UUID, BY_ID, BY_NAME, BY_MAC, BY_COUNT };

static bool is_called(struct json_object *o, enum by by, const char *text)
{
	const char *words[BY_COUNT] = { [BY_UUID] = json_get_str(o, "uuid"),
					[BY_ID] = device_id_of(o),
					[BY_NAME] = json_get_str(o, "name"),
					[BY_MAC] = json_get_str(o, "mac") };
	const char *word = words[by];

	return word && (by == BY_UUID || by == BY_MAC ? strcasecmp(word, text) == 0 : str_eq(word, text));
}

static struct json_object *find_by(struct json_object *o, const char *only, enum by by, const char *text)
{
	for (size_t l = 0; l < ARRAY_SIZE(lists); l++) {
		struct json_object *list = json_get_typed(o, lists[l], json_type_array);

		for (size_t i = 0; (!only || str_eq(only, lists[l])) && i < json_length(list); i++)
			if (is_called(json_object_array_get_idx(list, i), by, text))
				return json_object_array_get_idx(list, i);
	}
	return NULL;
}

void devices_find(const struct instance *inst, const char *only, const char *text, struct json_object **runs,
		  struct json_object **there)
{
	*runs = *there = NULL;
	for (enum by by = 0; by < BY_COUNT && !*runs && !*there; by++) {
		*runs = find_by(inst->record, only, by, text);
		*there = find_by(inst->stored, only, by, text);
	}
}

bool devices_is_ambiguous(const struct instance *inst, const char *text)
{
	bool disk = false, nic = false;

	for (enum by by = 0; by < BY_COUNT && !disk && !nic; by++) {
		disk = find_by(inst->record, "disks", by, text) || find_by(inst->stored, "disks", by, text);
		nic = find_by(inst->record, "nics", by, text) || find_by(inst->stored, "nics", by, text);
	}
	return disk && nic;
}

bool devices_fail_at(struct err **e, enum err_class class, const char *parameter, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	err_set(e, class, "'%s': %s", parameter, text);
	return err_name_param(e, parameter);
}

bool devices_are_known(const struct instance *inst, struct err **e)
{
	if (!inst->stored || inst->broken)
		return err_set(e, ERR_WRONG_STATE, "the definition of '%s' cannot be read: %s", inst->name,
			       inst->broken ? inst->broken->desc : "there is none");
	for (size_t l = 0; l < ARRAY_SIZE(lists); l++) {
		struct json_object *list = json_get_typed(inst->record, lists[l], json_type_array);

		for (size_t i = 0; i < json_length(list); i++)
			if (!device_id_of(json_object_array_get_idx(list, i)))
				return err_set(e, ERR_WRONG_STATE,
					       "what '%s' runs with is not known: its record has no id of %s[%zu]; "
					       "stop it first",
					       inst->name, lists[l], i);
	}
	return instance_is_known(inst, e);
}

bool devices_are_changeable(const struct instance *inst, struct err **e)
{
	enum {
		CHANGEABLE = STATE_BIT(STATE_RUNNING) | STATE_BIT(STATE_PAUSED) | STATE_BIT(STATE_BLOCKED) |
			     STATE_BIT(STATE_PMSUSPENDED) | STATE_BIT(STATE_NOSTATE)
	};

	if (!(STATE_BIT(inst->state) & CHANGEABLE))
		return err_set(e, ERR_WRONG_STATE, "'%s' is %s (%s), which takes no change of devices; stop it first",
			       inst->name, state_name(inst->state), inst->reason);
	if (!json_get_typed(inst->record, "definition", json_type_object))
		return err_set(e, ERR_WRONG_STATE, "what '%s' runs with is not known: it has no runtime record",
			       inst->name);
	return true;
}
