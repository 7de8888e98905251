/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/patch.h"

#include "base/json_patch.h"

#include <strings.h>

/* The device of LIST that DEVICE is: the one with its uuid, or, if it has none, with its name. */
static struct json_object *find_device(struct json_object *list, struct json_object *device)
{
	const char *uuid = json_get_str(device, "uuid"), *name = json_get_str(device, "name");

	for (size_t i = 0; i < json_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		const char *its_uuid = json_get_str(o, "uuid"), *its_name = json_get_str(o, "name");

		if (uuid ? its_uuid && strcasecmp(uuid, its_uuid) == 0 : name && str_eq(name, its_name))
			return o;
	}
	return NULL;
}

static void keep_identity(struct json_object *old, struct json_object *device)
{
	static const char *const members[] = { "uuid", "name", "mac" };

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		struct json_object *value;

		if (json_object_object_get_ex(old, members[i], &value) &&
		    !json_object_object_get_ex(device, members[i], NULL))
			json_add(device, members[i], json_object_get(value));
	}
}

/* What becomes of a list. Places that the patch did not ask for are settled anew: a parameter may have made it a list of
 * other devices, or the machine another one. */
static void patch_list(struct json_object *new, struct json_object *old, bool given)
{
	for (size_t i = 0; new &&i < json_object_array_length(new); i++) {
		struct json_object *device = json_object_array_get_idx(new, i), *same = find_device(old, device);

		if (same)
			keep_identity(same, device);
		if (!given && json_object_is_type(device, json_type_object))
			json_object_object_del(device, "hvinfo");
	}
}

struct json_object *patch_definition(struct json_object *stored, struct json_object *patch, struct err **e)
{
	static const char *const fixed[] = { "name", "uuid", "layout" };
	static const char *const lists[] = { "disks", "nics" };
	struct json_object *merged;

	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++) {
		if (json_object_object_get_ex(patch, fixed[i], NULL)) {
			err_set_param(e, fixed[i], "cannot be patched%s",
				      str_eq(fixed[i], "name") ? "; see 'instance-rename'" : "");
			return NULL;
		}
	}
	merged = json_merge_patch(stored, patch);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		patch_list(json_get_typed(merged, lists[i], json_type_array),
			   json_get_typed(stored, lists[i], json_type_array),
			   json_object_object_get_ex(patch, lists[i], NULL));
	return merged;
}
