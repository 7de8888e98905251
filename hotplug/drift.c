/* SPDX-License-Identifier: BSD-2-Clause */
#include "hotplug/drift.h"

#include "runtime/device_record.h"

static void note(struct json_object *set, const char *name)
{
	static const char *const ours[] = { "disk-", "nic-", "hotdisk-", "hotnic-" };

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		if (name && str_starts(name, ours[i]))
			json_add(set, name, NULL);
}

static bool has(struct json_object *set, const char *name)
{
	return json_object_object_get_ex(set, name, NULL);
}

static void differ(struct json_object *list, const char *what, const char *id, bool recorded)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "what", what);
	json_add_str(o, "id", id);
	json_add_str(o, "record", recorded ? "attached" : "absent");
	json_add_str(o, "qemu", recorded ? "absent" : "attached");
	json_object_array_add(list, o);
}

static void compare(struct json_object *list, const char *what, struct json_object *recorded, struct json_object *there)
{
	json_object_object_foreach(recorded, mine, unused) {
		(void)unused;
		if (!has(there, mine))
			differ(list, what, mine, true);
	}
	json_object_object_foreach(there, theirs, unused2) {
		(void)unused2;
		if (!has(recorded, theirs))
			differ(list, what, theirs, false);
	}
}

/* What the record says: ids, or nodes of disks. What a guest was asked to let go of may be THERE or not: when it has gone
 * the record is told of it a moment later. */
static struct json_object *recorded(const struct instance *inst, bool nodes, struct json_object *there)
{
	static const char *const lists[] = { "disks", "nics" };
	struct json_object *set = json_object_new_object();

	for (size_t l = 0; l < ARRAY_SIZE(lists); l++) {
		struct json_object *list = json_get_typed(inst->record, lists[l], json_type_array);

		for (size_t i = 0; list && i < json_object_array_length(list); i++) {
			struct json_object *shown = json_object_array_get_idx(list, i);
			struct json_object *all = json_get_typed(shown, "nodes", json_type_array);
			bool leaving = device_record_state(shown) == DEVICE_DETACH_PENDING;

			if (!nodes && !json_get_bool(shown, "anonymous", false) &&
			    (!leaving || has(there, device_id_of(shown))))
				note(set, device_id_of(shown));
			for (size_t k = 0; nodes && all && k < json_object_array_length(all); k++) {
				const char *name = json_object_get_string(json_object_array_get_idx(all, k));

				if (!leaving || has(there, name))
					note(set, name);
			}
		}
	}
	return set;
}

/* One question, which knows what the record was when it was asked. */
struct question {
	struct instance *inst;
	unsigned changes;
	struct json_object *devices; /* of the first, for the second */
};

static void question_free(struct question *q)
{
	json_object_put(q->devices);
	free(q);
}

static struct json_object *names_in(struct json_object *ret, const char *key)
{
	struct json_object *set = json_object_new_object();

	for (size_t i = 0; i < json_object_array_length(ret); i++)
		note(set, json_get_str(json_object_array_get_idx(ret, i), key));
	return set;
}

static void conclude(struct instance *inst, struct json_object *list)
{
	bool same = json_object_equal(inst->drift, list) || (!inst->drift && json_object_array_length(list) == 0);

	if (same)
		return;
	json_object_put(inst->drift);
	inst->drift = json_object_get(list);
	inst->rt->ops->drifted(inst, inst->rt->data);
}

static void on_nodes(struct json_object *ret, const struct err *e, void *data)
{
	struct question *q = data;
	struct instance *inst = q->inst;

	if (json_object_is_type(ret, json_type_array) && inst->record && q->changes == inst->device_changes) {
		_cleanup_json_ struct json_object *list = json_object_new_array(), *there = names_in(ret, "node-name");
		_cleanup_json_ struct json_object *devices = recorded(inst, false, q->devices);
		_cleanup_json_ struct json_object *nodes = recorded(inst, true, there);

		compare(list, "device", devices, q->devices);
		compare(list, "node", nodes, there);
		conclude(inst, list);
	}
	question_free(q);
}

static void on_devices(struct json_object *ret, const struct err *e, void *data)
{
	struct question *q = data;
	struct json_object *flat;

	if (!json_object_is_type(ret, json_type_array) || qmp_is_gone(q->inst->qmp)) {
		question_free(q);
		return;
	}
	q->devices = names_in(ret, "name");
	flat = json_object_new_object();
	json_add_bool(flat, "flat", true);
	if (!qmp_send(q->inst->qmp, "query-named-block-nodes", flat, -1, on_nodes, q))
		question_free(q);
}

void drift_check(struct instance *inst)
{
	struct json_object *path;
	struct question *q;

	if (!inst->record || qmp_is_gone(inst->qmp))
		return;
	q = xcalloc(1, sizeof(*q));
	q->inst = inst;
	q->changes = inst->device_changes;
	path = json_object_new_object();
	json_add_str(path, "path", "/machine/peripheral");
	if (!qmp_send(inst->qmp, "qom-list", path, -1, on_devices, q))
		question_free(q);
}

bool drift_lacks_device(const struct instance *inst, const char *id)
{
	for (size_t i = 0; inst->drift && i < json_object_array_length(inst->drift); i++) {
		struct json_object *o = json_object_array_get_idx(inst->drift, i);

		if (str_eq(json_get_str(o, "what"), "device") && str_eq(json_get_str(o, "id"), id) &&
		    str_eq(json_get_str(o, "qemu"), "absent"))
			return true;
	}
	return false;
}
