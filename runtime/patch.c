/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/patch.h"

#include "base/json_patch.h"

#include <strings.h>

/* The device of LIST that DEVICE is: the one with its uuid, or, if it has none, with its name. */
static struct json_object *find_device(struct json_object *list, struct json_object *device)
{
	const char *uuid = json_get_str(device, "uuid"), *name = json_get_str(device, "name");

	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		const char *its_uuid = json_get_str(o, "uuid"), *its_name = json_get_str(o, "name");

		if (uuid ? its_uuid && strcasecmp(uuid, its_uuid) == 0 : name && str_eq(name, its_name))
			return o;
	}
	return NULL;
}

/* Its place in the machine was made for its type, and is another one's when that changes. */
static bool is_kept(const char *member, struct json_object *old, struct json_object *device)
{
	return !str_eq(member, "hvinfo") || str_eq(json_get_str(old, "type"), json_get_str(device, "type"));
}

static void keep_identity(struct json_object *old, struct json_object *device)
{
	static const char *const members[] = { "uuid", "name", "mac", "hvinfo" };

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		struct json_object *value;

		if (json_object_object_get_ex(old, members[i], &value) &&
		    !json_object_object_get_ex(device, members[i], NULL) && is_kept(members[i], old, device))
			json_add(device, members[i], json_object_get(value));
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
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		struct json_object *new = json_get_typed(merged, lists[i], json_type_array);
		struct json_object *old = json_get_typed(stored, lists[i], json_type_array);

		for (size_t k = 0; new &&k < json_object_array_length(new); k++) {
			struct json_object *device = json_object_array_get_idx(new, k);
			struct json_object *same = find_device(old, device);

			if (same)
				keep_identity(same, device);
		}
	}
	return merged;
}
