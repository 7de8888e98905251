/* SPDX-License-Identifier: BSD-2-Clause */
#include "hotplug/drift.h"

#include "runtime/device_record.h"

/* What is compared, in the order in which QEMU is asked: KEY of each that it lists. */
enum kind { DEVICES, NODES, OBJECTS, KIND_COUNT };

static const struct {
	const char *what, *command, *path, *key;
} kinds[] = {
	[DEVICES] = { "device", "qom-list", "/machine/peripheral", "name" },
	[NODES] = { "node", "query-named-block-nodes", NULL, "node-name" },
	[OBJECTS] = { "object", "qom-list", "/objects", "name" },
};

static void note(struct json_object *set, const char *name)
{
	static const char *const ours[] = { "disk-", "nic-", "hotdisk-", "hotnic-", "group-" };

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

/* ---- what the record says ---- */

static void add_device(struct json_object *names, struct json_object *shown)
{
	if (!json_get_bool(shown, "anonymous", false))
		note(names, device_id_of(shown));
}

static void add_nodes(struct json_object *names, struct json_object *shown)
{
	struct json_object *all = json_get_typed(shown, "nodes", json_type_array);

	for (size_t i = 0; all && i < json_object_array_length(all); i++)
		note(names, json_object_get_string(json_object_array_get_idx(all, i)));
}

/* The group of its limits, which the filter on top of its other nodes is in. */
static void add_object(struct json_object *names, struct json_object *shown)
{
	struct json_object *all = json_get_typed(shown, "nodes", json_type_array);
	const char *group = json_get_str(json_get_typed(shown, "throttle", json_type_object), "group");
	_cleanup_free_ char *name = group ? xasprintf("group-%s", group) : NULL;

	if (all && json_object_array_length(all) > 1)
		note(names, name ? name : device_id_of(shown));
}

/* What a guest was asked to let go of may be THERE or not: when it has gone the record is told of it a moment later. */
static struct json_object *recorded(const struct instance *inst, enum kind kind, struct json_object *there)
{
	static void (*const adds[])(struct json_object *, struct json_object *) = {
		[DEVICES] = add_device, [NODES] = add_nodes, [OBJECTS] = add_object
	};
	static const char *const lists[] = { "disks", "nics" };
	struct json_object *set = json_object_new_object();

	for (size_t l = 0; l < ARRAY_SIZE(lists); l++) {
		struct json_object *list = json_get_typed(inst->record, lists[l], json_type_array);

		for (size_t i = 0; list && i < json_object_array_length(list); i++) {
			struct json_object *shown = json_object_array_get_idx(list, i);
			_cleanup_json_ struct json_object *names = json_object_new_object();
			bool leaving = device_record_state(shown) == DEVICE_DETACH_PENDING;

			adds[kind](names, shown);
			json_object_object_foreach(names, name, unused) {
				(void)unused;
				if (!leaving || has(there, name))
					note(set, name);
			}
		}
	}
	return set;
}

/* ---- what QEMU says ---- */

/* One comparison, which knows what the record was when it was begun. */
struct question {
	struct instance *inst;
	unsigned changes;
	enum kind kind;                        /* that is asked for */
	struct json_object *there[KIND_COUNT]; /* of those before */
};

static void question_free(struct question *q)
{
	for (size_t i = 0; i < KIND_COUNT; i++)
		json_object_put(q->there[i]);
	free(q);
}

static struct json_object *names_in(struct json_object *ret, const char *key)
{
	struct json_object *set = json_object_new_object();

	for (size_t i = 0; i < json_object_array_length(ret); i++)
		note(set, json_get_str(json_object_array_get_idx(ret, i), key));
	return set;
}

static void conclude(const struct question *q)
{
	_cleanup_json_ struct json_object *list = json_object_new_array();
	struct instance *inst = q->inst;

	if (!inst->record || q->changes != inst->device_changes)
		return;
	for (enum kind k = 0; k < KIND_COUNT; k++) {
		_cleanup_json_ struct json_object *names = recorded(inst, k, q->there[k]);

		compare(list, kinds[k].what, names, q->there[k]);
	}
	if (json_object_equal(inst->drift, list) || (!inst->drift && json_object_array_length(list) == 0))
		return;
	json_object_put(inst->drift);
	inst->drift = json_object_get(list);
	inst->rt->ops->drifted(inst, inst->rt->data);
}

static void ask(struct question *q);

static void on_listed(struct json_object *ret, const struct err *e, void *data)
{
	struct question *q = data;

	if (!json_object_is_type(ret, json_type_array) || qmp_is_gone(q->inst->qmp)) {
		question_free(q);
		return;
	}
	q->there[q->kind] = names_in(ret, kinds[q->kind].key);
	if (++q->kind < KIND_COUNT) {
		ask(q);
		return;
	}
	conclude(q);
	question_free(q);
}

static void ask(struct question *q)
{
	struct json_object *args = json_object_new_object();

	if (kinds[q->kind].path)
		json_add_str(args, "path", kinds[q->kind].path);
	else
		json_add_bool(args, "flat", true);
	if (!qmp_send(q->inst->qmp, kinds[q->kind].command, args, -1, on_listed, q))
		question_free(q);
}

void drift_check(struct instance *inst)
{
	struct question *q;

	if (!inst->record || qmp_is_gone(inst->qmp))
		return;
	q = xcalloc(1, sizeof(*q));
	q->inst = inst;
	q->changes = inst->device_changes;
	ask(q);
}

void drift_forget(struct instance *inst)
{
	inst->device_changes++;
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
