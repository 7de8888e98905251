/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/pending.h"

#include <string.h>

/* The value of a member, or its default; a new reference. */
static struct json_object *value_of(struct json_object *o, const struct param *row)
{
	struct json_object *value = NULL;

	if (json_object_object_get_ex(o, row->name, &value))
		return json_object_get(value);
	if (row->def)
		json_parse(row->def, strlen(row->def), &json_limits_request, &value, NULL);
	if (row->type == PARAM_SIZE && json_object_is_type(value, json_type_string)) {
		uint64_t bytes;

		if (param_parse_size(json_object_get_string(value), &bytes)) {
			json_object_put(value);
			value = json_object_new_uint64(bytes);
		}
	}
	return value;
}

static void compare(const struct param *rows, const char *prefix, struct json_object *running,
		    struct json_object *wanted, struct json_object *list)
{
	for (const struct param *row = rows; row->name; row++) {
		_cleanup_json_ struct json_object *from = value_of(running, row), *to = value_of(wanted, row);
		_cleanup_free_ char *path = xasprintf("%s%s", prefix, row->name);
		struct json_object *o;

		if (row->type == PARAM_OBJECT && row->rows) {
			_cleanup_free_ char *deeper = xasprintf("%s.", path);

			compare(row->rows, deeper, from, to, list);
			continue;
		}
		if (row->change == CHANGE_LIVE || json_object_equal(from, to))
			continue;
		o = json_object_new_object();
		json_add_str(o, "path", path);
		json_add(o, "from", json_object_get(from));
		json_add(o, "to", json_object_get(to));
		json_add_str(o, "needs", "restart");
		json_object_array_add(list, o);
	}
}

struct json_object *pending_list(const struct param *rows, struct json_object *running, struct json_object *wanted)
{
	struct json_object *list = json_object_new_array();

	compare(rows, "", running, wanted, list);
	return list;
}
