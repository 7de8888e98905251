/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/pending.h"

#include <string.h>
#include <strings.h>

struct comparison {
	bool literal; /* as written: an absent member is not its default, and everything counts */
	struct json_object *list;
};

static void compare_rows(struct comparison *c, const struct param *rows, const char *prefix, bool device,
			 struct json_object *from, struct json_object *to);

/* ---- values ---- */

/* One spelling for what means the same. Consumes VALUE. */
static struct json_object *normalize(const struct param *row, struct json_object *value)
{
	struct json_object *same = NULL;
	uint64_t bytes;

	if (row->type == PARAM_SIZE && json_object_is_type(value, json_type_string) &&
	    param_parse_size(json_object_get_string(value), &bytes))
		same = json_object_new_uint64(bytes);
	else if (row->type == PARAM_TIME && json_object_is_type(value, json_type_int))
		same = json_object_new_double(json_object_get_double(value));
	if (!same)
		return value;
	json_object_put(value);
	return same;
}

/* The value of a member, or its default; a new reference. */
static struct json_object *value_of(const struct comparison *c, struct json_object *o, const struct param *row)
{
	struct json_object *value = NULL;

	if (json_object_object_get_ex(o, row->name, &value))
		value = json_object_get(value);
	else if (!c->literal)
		value = param_default(row);
	return c->literal ? value : normalize(row, value);
}

static bool is_equal(const struct comparison *c, struct json_object *from, struct json_object *to)
{
	/* A list that is absent has nothing in it. */
	if (!c->literal && json_object_is_type(from ? from : to, json_type_array) && (!from || !to))
		return json_object_array_length(from ? from : to) == 0;
	return json_object_equal(from, to);
}

static void note(struct comparison *c, const char *path, struct json_object *from, struct json_object *to)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "path", path);
	json_add(o, "from", json_object_get(from));
	json_add(o, "to", json_object_get(to));
	json_add_str(o, "needs", "restart");
	json_object_array_add(c->list, o);
}

/* ---- devices ---- */

static struct json_object *element(struct json_object *list, size_t i)
{
	return i < json_length(list) ? json_object_array_get_idx(list, i) : NULL;
}

/* Whether all elements can be told apart by a uuid. No list is such a list too. */
static bool is_devices(struct json_object *list)
{
	if (list && !json_object_is_type(list, json_type_array))
		return false;
	for (size_t i = 0; i < json_length(list); i++)
		if (!json_get_str(json_object_array_get_idx(list, i), "uuid"))
			return false;
	return true;
}

static struct json_object *find_device(struct json_object *list, const char *uuid)
{
	struct json_object *o;

	for (size_t i = 0; (o = element(list, i)); i++)
		if (strcasecmp(json_get_str(o, "uuid"), uuid) == 0)
			return o;
	return NULL;
}

static char *device_path(const char *path, struct json_object *device)
{
	const char *name = json_get_str(device, "name");

	return xasprintf("%s[%s]", path, name ? name : json_get_str(device, "uuid"));
}

/* Of a device whose members have no rows here. */
static void compare_members(struct comparison *c, const char *prefix, struct json_object *from, struct json_object *to)
{
	json_object_object_foreach(from, key, value) {
		_cleanup_free_ char *path = xasprintf("%s%s", prefix, key);
		struct json_object *other = NULL;

		json_object_object_get_ex(to, key, &other);
		if (!json_object_equal(value, other))
			note(c, path, value, other);
	}
	json_object_object_foreach(to, added, new_value) {
		_cleanup_free_ char *path = xasprintf("%s%s", prefix, added);

		if (!json_object_object_get_ex(from, added, NULL) && new_value)
			note(c, path, NULL, new_value);
	}
}

static void compare_devices(struct comparison *c, const struct param *row, const char *path, struct json_object *from,
			    struct json_object *to)
{
	size_t before = json_object_array_length(c->list);
	struct json_object *device, *other;

	for (size_t i = 0; (device = element(from, i)); i++) {
		_cleanup_free_ char *its = NULL, *prefix = NULL;

		other = find_device(to, json_get_str(device, "uuid"));
		its = device_path(path, other ? other : device);
		prefix = xasprintf("%s.", its);
		if (!other)
			note(c, its, device, NULL);
		else if (row->rows->type == PARAM_OBJECT && row->rows->rows)
			compare_rows(c, row->rows->rows, prefix, true, device, other);
		else
			compare_members(c, prefix, device, other);
	}
	for (size_t i = 0; (device = element(to, i)); i++) {
		_cleanup_free_ char *its = device_path(path, device);

		if (!find_device(from, json_get_str(device, "uuid")))
			note(c, its, NULL, device);
	}
	/* The same ones in another order. */
	if (c->literal && from && to && json_object_array_length(c->list) == before && !json_object_equal(from, to))
		note(c, path, from, to);
}

/* ---- rows ---- */

static void compare_rows(struct comparison *c, const struct param *rows, const char *prefix, bool device,
			 struct json_object *from_object, struct json_object *to_object)
{
	for (const struct param *row = rows; row->name; row++) {
		_cleanup_json_ struct json_object *from = value_of(c, from_object, row),
						  *to = value_of(c, to_object, row);
		_cleanup_free_ char *path = xasprintf("%s%s", prefix, row->name);

		if (row->change == CHANGE_LIVE && !device && !c->literal)
			continue;
		if (row->type == PARAM_OBJECT && row->rows) {
			_cleanup_free_ char *deeper = xasprintf("%s.", path);

			compare_rows(c, row->rows, deeper, device, from, to);
		} else if (row->type == PARAM_LIST && is_devices(from) && is_devices(to)) {
			compare_devices(c, row, path, from, to);
		} else if (!is_equal(c, from, to)) {
			note(c, path, from, to);
		}
	}
}

struct json_object *pending_list(const struct param *rows, struct json_object *running, struct json_object *wanted)
{
	struct comparison c = { .list = json_object_new_array() };

	compare_rows(&c, rows, "", false, running, wanted);
	return c.list;
}

struct json_object *pending_paths(const struct param *rows, struct json_object *from, struct json_object *to)
{
	struct comparison c = { .literal = true, .list = json_object_new_array() };
	struct json_object *paths = json_object_new_array();

	compare_rows(&c, rows, "", false, from, to);
	for (size_t i = 0; i < json_object_array_length(c.list); i++)
		json_object_array_add(paths, json_object_new_string(json_get_str(element(c.list, i), "path")));
	json_object_put(c.list);
	return paths;
}

bool pending_touches(const char *path, const char *other)
{
	size_t n = strlen(path), m = strlen(other), common = n < m ? n : m;

	if (strncmp(path, other, common) != 0)
		return false;
	return n == m || strchr(".[", (n < m ? other : path)[common]);
}

bool pending_has(struct json_object *list, const char *path)
{
	for (size_t i = 0; i < json_length(list); i++)
		if (pending_touches(json_get_str(element(list, i), "path"), path))
			return true;
	return false;
}
