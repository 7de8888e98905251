/* SPDX-License-Identifier: BSD-2-Clause */
#include "schema.h"

#include <string.h>

static struct json_object *find(struct json_object *list, const char *key, const char *value)
{
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		if (str_eq(json_get_str(o, key), value))
			return o;
	}
	return NULL;
}

static struct json_object *list_of(struct json_object *type, const char *key)
{
	return json_get_typed(type, key, json_type_array);
}

static bool fits(struct json_object *schema, const char *type, struct json_object *value);

static bool fits_builtin(const char *json_type, struct json_object *value)
{
	static const struct {
		const char *name;
		enum json_type type;
	} types[] = { { "string", json_type_string },   { "int", json_type_int },   { "number", json_type_double },
		      { "boolean", json_type_boolean }, { "null", json_type_null }, { "object", json_type_object },
		      { "array", json_type_array } };

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (str_eq(types[i].name, json_type))
			return json_object_is_type(value, types[i].type);
	return str_eq(json_type, "value");
}

static bool fits_object(struct json_object *schema, struct json_object *type, struct json_object *value)
{
	const char *tag = json_get_str(type, "tag");
	struct json_object *variant = find(list_of(type, "variants"), "case", tag ? json_get_str(value, tag) : NULL);
	struct json_object *more = variant ? find(schema, "name", json_get_str(variant, "type")) : NULL;
	struct json_object *lists[] = { list_of(type, "members"), list_of(more, "members") };
	int known = 0;

	if (!json_object_is_type(value, json_type_object))
		return false;
	for (size_t l = 0; l < ARRAY_SIZE(lists); l++)
		for (size_t i = 0; lists[l] && i < json_object_array_length(lists[l]); i++) {
			struct json_object *member = json_object_array_get_idx(lists[l], i), *o;

			if (!json_object_object_get_ex(value, json_get_str(member, "name"), &o)) {
				if (!json_object_object_get_ex(member, "default", NULL))
					return false;
				continue;
			}
			known++;
			if (!fits(schema, json_get_str(member, "type"), o))
				return false;
		}
	return known == json_object_object_length(value);
}

static bool fits(struct json_object *schema, const char *type, struct json_object *value)
{
	struct json_object *o = find(schema, "name", type), *members = list_of(o, "members");
	const char *meta = json_get_str(o, "meta-type");

	if (str_eq(meta, "builtin"))
		return fits_builtin(json_get_str(o, "json-type"), value);
	if (str_eq(meta, "enum"))
		return json_object_is_type(value, json_type_string) &&
		       find(members, "name", json_object_get_string(value));
	if (str_eq(meta, "object"))
		return fits_object(schema, o, value);
	if (str_eq(meta, "array")) {
		for (size_t i = 0; i < json_object_array_length(value); i++)
			if (!fits(schema, json_get_str(o, "element-type"), json_object_array_get_idx(value, i)))
				return false;
		return true;
	}
	for (size_t i = 0; members && i < json_object_array_length(members); i++)
		if (fits(schema, json_get_str(json_object_array_get_idx(members, i), "type"), value))
			return true;
	return false;
}

static const char *arguments_of(struct json_object *schema, const char *command)
{
	return json_get_str(find(schema, "name", command), "arg-type");
}

bool schema_takes(struct json_object *schema, const char *command, struct json_object *arguments)
{
	return fits(schema, arguments_of(schema, command), arguments);
}

bool schema_has(struct json_object *schema, const char *command, const char *member, const char *word)
{
	struct json_object *type = find(schema, "name", arguments_of(schema, command));
	struct json_object *row = find(list_of(type, "members"), "name", member);

	return find(list_of(find(schema, "name", json_get_str(row, "type")), "members"), "name", word);
}
