/* SPDX-License-Identifier: BSD-2-Clause */
#include "hotplug/release.h"

#include "qmp/wait.h"
#include "runtime/device_record.h"

#include <string.h>

enum { CALL_MS = 30000 };

/* One thing to be removed. */
struct thing {
	struct instance *inst;
	const char *command, *key;
	char *name, *group;      /* group: what disks call it that share it, or NULL */
	struct json_object *ids; /* of all devices that have gone */
};

static void thing_clear(void *data)
{
	struct thing *t = data;

	free(t->name);
	free(t->group);
	json_object_put(t->ids);
}

/* scsi-block has neither filter nor group, an empty drive no nodes. */
static bool has_filter(struct json_object *disk)
{
	struct json_object *nodes = json_get_typed(disk, "nodes", json_type_array);

	return nodes && json_object_array_length(nodes) > 1;
}

/* Whether a disk that is not among IDS is in this group too. */
static bool is_shared(const struct instance *inst, const char *group, struct json_object *ids)
{
	struct json_object *disks = json_get_typed(inst->record, "disks", json_type_array);

	for (size_t i = 0; disks && i < json_object_array_length(disks); i++) {
		struct json_object *disk = json_object_array_get_idx(disks, i);
		bool going = false;

		for (size_t k = 0; k < json_object_array_length(ids); k++)
			going |= str_eq(device_id_of(disk), json_object_get_string(json_object_array_get_idx(ids, k)));
		if (!going && has_filter(disk) &&
		    str_eq(json_get_str(json_get_typed(disk, "throttle", json_type_object), "group"), group))
			return true;
	}
	return false;
}

/* Who is in a group is known now: when the plan was made, one that the same change brings was not in the record yet. */
static enum verdict remove_thing(struct op *op, void *arg)
{
	const struct thing *t = arg;
	struct json_object *args;

	if (qmp_is_gone(t->inst->qmp) || (t->group && is_shared(t->inst, t->group, t->ids)))
		return OP_DONE;
	args = json_object_new_object();
	json_add_str(args, t->key, t->name);
	return qmp_remove(op, t->inst->qmp, t->command, args);
}

static const struct step step_remove = { "remove what the device needed", remove_thing, .timeout_ms = CALL_MS };

static struct thing *add(struct op *op, struct instance *inst, const char *command, const char *key, const char *name)
{
	struct thing *t = op_own(op, sizeof(*t), thing_clear);

	*t = (struct thing){ .inst = inst, .command = command, .key = key, .name = xstrdup(name) };
	op_add(op, &step_remove, t);
	return t;
}

static void add_disk(struct op *op, struct instance *inst, struct json_object *shown, const char *id)
{
	struct json_object *nodes = json_get_typed(shown, "nodes", json_type_array);
	struct json_object *throttle = json_get_typed(shown, "throttle", json_type_object);

	for (size_t i = 0; nodes && i < json_object_array_length(nodes); i++)
		add(op, inst, "blockdev-del", "node-name", json_object_get_string(json_object_array_get_idx(nodes, i)));
	if (has_filter(shown) && !json_get_str(throttle, "group"))
		add(op, inst, "object-del", "id", id);
}

/* A group goes with the last disk that is in it. */
static void add_groups(struct op *op, struct instance *inst, struct json_object *ids)
{
	for (size_t i = 0; i < json_object_array_length(ids); i++) {
		const char *id = json_object_get_string(json_object_array_get_idx(ids, i));
		const char *group = json_get_str(
			json_get_typed(device_record_find(inst, id, NULL), "throttle", json_type_object), "group");
		_cleanup_free_ char *name = group ? xasprintf("group-%s", group) : NULL;
		struct thing *t = group ? add(op, inst, "object-del", "id", name) : NULL;

		if (t) { /* a second time it is not there */
			t->group = xstrdup(group);
			t->ids = json_object_get(ids);
		}
	}
}

void release_plan(struct op *op, struct instance *inst, struct json_object *ids)
{
	for (size_t i = 0; i < json_object_array_length(ids); i++) {
		const char *id = json_object_get_string(json_object_array_get_idx(ids, i)), *list = NULL;
		struct json_object *shown = device_record_find(inst, id, &list);

		if (shown && str_eq(list, "disks"))
			add_disk(op, inst, shown, id);
		else if (shown && !str_eq(json_get_str(shown, "mode"), "none"))
			add(op, inst, "netdev_del", "id", id);
	}
	add_groups(op, inst, ids);
}
