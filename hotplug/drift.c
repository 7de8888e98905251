/* SPDX-License-Identifier: BSD-2-Clause */
#include "hotplug/drift.h"

#include "runtime/device_record.h"

#include <string.h>

/* What is compared: KEY of each that QEMU lists. */
enum kind { DEVICES, NODES, OBJECTS, KIND_COUNT };

static const struct {
	const char *what, *command, *path, *key;
} kinds[] = {
	[DEVICES] = { "device", "qom-list", "/machine/peripheral", "name" },
	[NODES] = { "node", "query-named-block-nodes", NULL, "node-name" },
	[OBJECTS] = { "object", "qom-list", "/objects", "name" },
};

static bool is_ours(const char *name)
{
	static const char *const ours[] = { "disk-", "nic-", "hotdisk-", "hotnic-", "group-" };

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		if (name && str_starts(name, ours[i]))
			return true;
	return false;
}

static void note(struct json_object *set, const char *name)
{
	if (is_ours(name))
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
	unsigned changes, open; /* open: so many answers are to come */
	struct answer {
		struct question *q;
		struct json_object *there; /* or NULL: it is no list */
	} answers[KIND_COUNT];
};

static struct json_object *names_in(struct json_object *ret, const char *key)
{
	struct json_object *set = json_object_new_object();

	for (size_t i = 0; i < json_object_array_length(ret); i++)
		note(set, json_get_str(json_object_array_get_idx(ret, i), key));
	return set;
}

/* The ids in a word of the command line, {"id": "x"} or "driver,id=x". */
static void add_ids(struct json_object *set, const char *word)
{
	_cleanup_json_ struct json_object *o = NULL;

	if (word[0] == '{' && json_parse(word, strlen(word), &json_limits_qemu, &o, NULL) && json_get_str(o, "id"))
		json_add(set, json_get_str(o, "id"), NULL);
	for (const char *p = word; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL) {
		_cleanup_free_ char *id = str_starts(p, "id=") ? xasprintf("%.*s", (int)strcspn(p + 3, ","), p + 3) :
								 NULL;

		if (id)
			json_add(set, id, NULL);
	}
}

/* Devices of other names that QEMU was not started with, and that no disk has brought: they are in the way of what is
 * plugged. */
static void add_strangers(struct json_object *set, const struct instance *inst, struct json_object *ret)
{
	_cleanup_json_ struct json_object *told = json_object_new_object();
	struct json_object *cmd = json_get_typed(inst->record, "cmd", json_type_array);

	json_add(told, "scsi", NULL);
	for (size_t i = 0; i < json_length(cmd); i++)
		add_ids(told, json_object_get_string(json_object_array_get_idx(cmd, i)));
	for (size_t i = 0; i < json_object_array_length(ret); i++) {
		struct json_object *o = json_object_array_get_idx(ret, i);
		const char *name = json_get_str(o, "name"), *type = json_get_str(o, "type");

		if (name && type && str_starts(type, "child<") && !is_ours(name) && !has(told, name))
			json_add(set, name, NULL);
	}
}

static void conclude(const struct question *q)
{
	_cleanup_json_ struct json_object *list = json_object_new_array();
	struct instance *inst = q->inst;

	if (!inst->record || q->changes != inst->device_changes)
		return;
	for (enum kind k = 0; k < KIND_COUNT; k++) {
		struct json_object *there = q->answers[k].there;
		_cleanup_json_ struct json_object *names = there ? recorded(inst, k, there) : NULL;

		if (!there)
			return;
		compare(list, kinds[k].what, names, there);
	}
	if (json_object_equal(inst->drift, list) || (!inst->drift && json_object_array_length(list) == 0))
		return;
	json_object_put(inst->drift);
	inst->drift = json_object_get(list);
	inst->rt->ops->drifted(inst, inst->rt->data);
}

static void on_listed(struct json_object *ret, const struct err *e, void *data)
{
	struct answer *a = data;
	struct question *q = a->q;

	if (json_object_is_type(ret, json_type_array))
		a->there = names_in(ret, kinds[a - q->answers].key);
	if (a->there && a == &q->answers[DEVICES] && !qmp_is_gone(q->inst->qmp))
		add_strangers(a->there, q->inst, ret);
	if (--q->open > 0)
		return;
	conclude(q);
	for (enum kind k = 0; k < KIND_COUNT; k++)
		json_object_put(q->answers[k].there);
	free(q);
}

void drift_check(struct instance *inst)
{
	struct question *q;

	if (!inst->record || qmp_is_gone(inst->qmp))
		return;
	q = xcalloc(1, sizeof(*q));
	q->inst = inst;
	q->changes = inst->device_changes;
	q->open = KIND_COUNT;
	for (enum kind k = 0; k < KIND_COUNT; k++) {
		struct json_object *args = json_object_new_object();

		if (kinds[k].path)
			json_add_str(args, "path", kinds[k].path);
		else
			json_add_bool(args, "flat", true);
		q->answers[k].q = q;
		if (!qmp_send(inst->qmp, kinds[k].command, args, -1, on_listed, &q->answers[k]))
			on_listed(NULL, NULL, &q->answers[k]);
	}
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
