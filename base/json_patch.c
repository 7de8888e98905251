/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/json_patch.h"

static struct json_object *copy(struct json_object *o)
{
	struct json_object *ret = NULL;

	if (o)
		json_object_deep_copy(o, &ret, NULL);
	return ret;
}

struct json_object *json_merge_patch(struct json_object *target, struct json_object *patch)
{
	struct json_object *ret;

	if (!json_object_is_type(patch, json_type_object))
		return copy(patch);
	ret = json_object_is_type(target, json_type_object) ? copy(target) : json_object_new_object();
	json_object_object_foreach(patch, key, value) {
		struct json_object *old = NULL;

		json_object_object_get_ex(ret, key, &old);
		if (value)
			json_add(ret, key, json_merge_patch(old, value));
		else
			json_object_object_del(ret, key);
	}
	return ret;
}
