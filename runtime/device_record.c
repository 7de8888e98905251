/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/device_record.h"

#include "runtime/leaving.h"
#include "runtime/store.h"

static const char *const lists[] = { "disks", "nics" };
static const char *const states[] = {
	[DEVICE_ATTACHED] = "attached", [DEVICE_ATTACHING] = "attaching", [DEVICE_DETACH_PENDING] = "detach-pending"
};

enum { WRITE_MS = 60000 };

const char *device_id_of(struct json_object *o)
{
	return json_get_str(json_get_typed(o, "hvinfo", json_type_object), "id");
}

/* Its place in the list, or SIZE_MAX. */
static size_t find_in(struct json_object *list, const char *id)
{
	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (str_eq(device_id_of(json_object_array_get_idx(list, i)), id))
			return i;
	return SIZE_MAX;
}

static struct json_object *list_of(struct json_object *o, const char *name)
{
	return json_get_typed(o, name, json_type_array);
}

struct json_object *definition_find_device(struct json_object *stored, const char *id, const char **list)
{
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		struct json_object *all = list_of(stored, lists[i]);
		size_t at = all ? find_in(all, id) : SIZE_MAX;

		if (at == SIZE_MAX)
			continue;
		if (list)
			*list = lists[i];
		return json_object_array_get_idx(all, at);
	}
	return NULL;
}

static void remove_device(struct json_object *o, const char *id)
{
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		struct json_object *all = list_of(o, lists[i]);
		size_t at = all ? find_in(all, id) : SIZE_MAX;

		if (at != SIZE_MAX)
			json_object_array_del_idx(all, at, 1);
	}
}

/* In the place of the one with the same id, or behind the others. Consumes VALUE. */
static void put_device(struct json_object *o, const char *list, const char *id, struct json_object *value)
{
	struct json_object *all = list_of(o, list);
	size_t at;

	if (!all) {
		all = json_object_new_array();
		json_add(o, list, all);
	}
	at = find_in(all, id);
	if (at == SIZE_MAX)
		json_object_array_add(all, value);
	else
		json_object_array_put_idx(all, at, value);
}

struct json_object *definition_without(struct json_object *stored, struct json_object *ids)
{
	struct json_object *o = NULL;

	json_object_deep_copy(stored, &o, NULL);
	for (size_t i = 0; i < json_object_array_length(ids); i++)
		remove_device(o, json_object_get_string(json_object_array_get_idx(ids, i)));
	return o;
}

/* ---- the record ---- */

struct json_object *device_record_find(const struct instance *inst, const char *id, const char **list)
{
	return definition_find_device(inst->record, id, list);
}

enum device_state device_record_state(struct json_object *shown)
{
	const char *word = json_get_str(shown, "state");

	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		if (str_eq(states[i], word))
			return (enum device_state)i;
	return DEVICE_ATTACHED;
}

static bool is_leaving(struct json_object *shown)
{
	return shown && device_record_state(shown) == DEVICE_DETACH_PENDING;
}

void device_record_set_state(struct instance *inst, const char *id, enum device_state state)
{
	struct json_object *shown = device_record_find(inst, id, NULL);

	inst->device_changes++;
	if (is_leaving(shown) && state != DEVICE_DETACH_PENDING)
		leaving_forget(inst, id);
	if (shown)
		json_add_str(shown, "state", states[state]);
}

struct json_object *device_record_ids(const struct instance *inst, enum device_state state)
{
	struct json_object *ids = json_object_new_array();

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		struct json_object *all = list_of(inst->record, lists[i]);

		for (size_t k = 0; all && k < json_object_array_length(all); k++) {
			struct json_object *shown = json_object_array_get_idx(all, k);

			if (device_record_state(shown) == state && device_id_of(shown))
				json_object_array_add(ids, json_object_new_string(device_id_of(shown)));
		}
	}
	return ids;
}

static bool is_among(struct json_object *ids, const char *id)
{
	for (size_t i = 0; i < json_object_array_length(ids); i++)
		if (str_eq(json_object_get_string(json_object_array_get_idx(ids, i)), id))
			return true;
	return false;
}

struct json_object *device_record_in_order(const struct instance *inst, int64_t bootindex, struct json_object *but)
{
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		struct json_object *all = list_of(inst->record, lists[i]);

		for (size_t k = 0; all && k < json_object_array_length(all); k++) {
			struct json_object *shown = json_object_array_get_idx(all, k);

			if (json_get_int(shown, "bootindex", PARAM_INT_NONE) == bootindex &&
			    !is_among(but, device_id_of(shown)))
				return shown;
		}
	}
	return NULL;
}

void device_record_put(struct instance *inst, const char *list, struct json_object *shown, struct json_object *element)
{
	struct json_object *definition = json_get_typed(inst->record, "definition", json_type_object), *copy = NULL;
	const char *id = device_id_of(element);

	inst->device_changes++;
	put_device(inst->record, list, id, shown);
	json_object_deep_copy(element, &copy, NULL);
	if (definition)
		put_device(definition, list, id, copy);
	else
		json_object_put(copy);
}

void device_record_remove(struct instance *inst, const char *id)
{
	inst->device_changes++;
	if (is_leaving(device_record_find(inst, id, NULL)))
		leaving_forget(inst, id);
	remove_device(inst->record, id);
	remove_device(json_get_typed(inst->record, "definition", json_type_object), id);
}

/* In one list of those that have names. */
static void rename_in(struct json_object *list, const char *id, const char *name)
{
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		const char *its = device_id_of(o);

		if (str_eq(its, id))
			json_add_str(o, "name", name);
		else if (its && str_eq(json_get_str(o, "name"), name))
			json_add_str(o, "name", its);
	}
}

void device_record_rename(struct instance *inst, const char *id, const char *name)
{
	struct json_object *definition = json_get_typed(inst->record, "definition", json_type_object);
	const char *list = NULL;

	if (!device_record_find(inst, id, &list))
		return;
	rename_in(list_of(inst->record, list), id, name);
	rename_in(list_of(definition, list), id, name);
}

/* ---- the end of the process ---- */

struct leaving {
	struct instance *inst;
	struct json_object *ids, *stored;
};

static void leaving_clear(void *data)
{
	struct leaving *l = data;

	json_object_put(l->ids);
	json_object_put(l->stored);
}

/* Of a run that left no record the files tell. */
static struct json_object *leavers_of(const struct instance *inst)
{
	return inst->record ? device_record_ids(inst, DEVICE_DETACH_PENDING) : leaving_ids(inst->rt, inst->name);
}

static bool are_leaving(struct leaving *l)
{
	json_object_put(l->ids);
	l->ids = leavers_of(l->inst);
	return json_object_array_length(l->ids) > 0 && l->inst->stored && !l->inst->broken;
}

static enum verdict leave(struct op *op, void *arg)
{
	struct leaving *l = arg;
	struct instance *inst = l->inst;

	if (!are_leaving(l))
		return OP_DONE;
	l->stored = definition_without(inst->stored, l->ids);
	return store_put(op, inst->rt, inst->name, l->stored);
}

static enum verdict leave_take(struct op *op, void *arg)
{
	struct leaving *l = arg;
	struct runtime *rt = l->inst->rt;

	if (!are_leaving(l))
		return OP_DONE;
	if (!l->stored || !store_has(rt, l->inst->name, l->stored)) {
		l->inst->unrecorded = true; /* who they are the record tells, which is kept until it has been done */
		return OP_DONE;
	}
	instance_define(rt, TAKE_PTR(l->stored));
	for (size_t i = 0; i < json_object_array_length(l->ids); i++) {
		const char *id = json_object_get_string(json_object_array_get_idx(l->ids, i));

		rt->ops->device_told(l->inst, "DEVICE_DETACHED", id, NULL, rt->data);
		device_record_remove(l->inst, id);
		leaving_forget(l->inst, id);
	}
	return OP_DONE;
}

static const struct step step_leave = { "take off what was to go", leave, .timeout_ms = WRITE_MS, .again = true };
static const struct step step_take = { "take over what is left", leave_take };

bool device_record_has_leavers(const struct instance *inst)
{
	_cleanup_json_ struct json_object *ids = leavers_of(inst);

	return json_object_array_length(ids) > 0;
}

void device_record_leave_plan(struct op *op, struct instance *inst)
{
	struct leaving *l = op_own(op, sizeof(*l), leaving_clear);

	l->inst = inst;
	op_add(op, &step_leave, l);
	op_add(op, &step_take, l);
}
