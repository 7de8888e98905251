/* SPDX-License-Identifier: BSD-2-Clause */
/* `drover show --slots`: who sits where. */
#include "cli/shapes.h"

/* The device ID in the lists of O, a definition or a runtime record; O's. */
static struct json_object *find_in(struct json_object *o, const char *id)
{
	static const char *const lists[] = { "disks", "nics" };

	for (size_t l = 0; l < ARRAY_SIZE(lists); l++) {
		struct json_object *list = json_get_typed(o, lists[l], json_type_array);

		for (size_t i = 0; i < json_length(list); i++) {
			struct json_object *device = json_object_array_get_idx(list, i);

			if (str_eq(json_get_str(json_get_typed(device, "hvinfo", json_type_object), "id"), id))
				return device;
		}
	}
	return NULL;
}

/* Without a process no device has a state; beside one, a device that the guest does not have. */
static void add_taken(struct table *t, struct json_object *instance, const char *bus, const char *place, const char *id)
{
	struct json_object *device = find_in(json_get_typed(instance, "runtime", json_type_object), id);
	const char *state = json_get_str(device, "state");

	if (!device)
		device = find_in(json_get_typed(instance, "definition", json_type_object), id);
	table_row(t);
	table_cell(t, STYLE_NONE, bus);
	table_cell(t, STYLE_NONE, place);
	table_cell(t, STYLE_NONE, id);
	table_cell(t, STYLE_NONE, json_get_str(device, "name"));
	table_cell(t, !state || str_eq(state, "attached") ? STYLE_NONE : STYLE_WARN, state);
}

static void add_bus(struct table *t, struct json_object *instance, struct json_object *row)
{
	struct json_object *used = json_get_typed(row, "used", json_type_object);
	int64_t all = json_get_int(row, "last", 0) - json_get_int(row, "first", 0) + 1;
	const char *bus = json_get_str(row, "bus");

	if (used) {
		json_object_object_foreach(used, place, id) {
			add_taken(t, instance, bus, place, json_object_get_string(id));
		}
	}
	table_row(t);
	table_cell(t, STYLE_NONE, bus);
	table_cellf(t, STYLE_DIM, "%lld of %lld", (long long)json_get_int(row, "free", 0), (long long)all);
	table_cell(t, STYLE_DIM, "free");
}

void shape_slots(FILE *f, const struct screen *screen, struct json_object *instance)
{
	static const struct column columns[] = {
		{ .title = "BUS", .min = 8 },  { .title = "PLACE" }, { .title = "DEVICE" },
		{ .title = "NAME", .min = 8 }, { .title = "STATE" },
	};
	_cleanup_(table_freep) struct table *t = table_new(columns, ARRAY_SIZE(columns));
	struct json_object *list = json_get_typed(instance, "slots", json_type_array);

	for (size_t i = 0; i < json_length(list); i++)
		add_bus(t, instance, json_object_array_get_idx(list, i));
	table_print(t, f, 0, screen);
}
