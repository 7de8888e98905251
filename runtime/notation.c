/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/device.h"

#include <stdio.h>
#include <string.h>

struct text {
	char *data;
	size_t len;
	FILE *f;
};

static void put_pair(struct text *t, const char *key, struct json_object *value)
{
	_cleanup_free_ char *plain = NULL, *escaped = NULL;

	if (json_object_is_type(value, json_type_boolean))
		plain = xstrdup(json_object_get_boolean(value) ? "on" : "off");
	else if (json_object_is_type(value, json_type_string))
		plain = xstrdup(json_object_get_string(value));
	else if (value)
		plain = json_print(value);
	else
		plain = xstrdup(""); /* the only way to say null, as in backing= */
	escaped = argv_escape(plain);
	fprintf(t->f, "%s%s%s%s", ftell(t->f) > 0 ? "," : "", key, *key ? "=" : "", escaped);
}

static void put_value(struct text *t, const char *key, struct json_object *value)
{
	if (json_object_is_type(value, json_type_object)) {
		json_object_object_foreach(value, member, inner) {
			_cleanup_free_ char *path = xasprintf("%s.%s", key, member);

			put_value(t, path, inner);
		}
	} else if (json_object_is_type(value, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(value); i++) {
			_cleanup_free_ char *path = xasprintf("%s.%zu", key, i);

			put_value(t, path, json_object_array_get_idx(value, i));
		}
	} else {
		put_pair(t, key, value);
	}
}

char *notation(struct json_object *o, const char *first)
{
	struct text t = { 0 };
	struct json_object *leader;

	t.f = open_memstream(&t.data, &t.len);
	if (!t.f)
		abort();
	if (first && json_object_object_get_ex(o, first, &leader))
		put_pair(&t, "", leader);
	json_object_object_foreach(o, key, value) {
		if (!first || !str_eq(key, first))
			put_value(&t, key, value);
	}
	if (fclose(t.f) != 0)
		abort();
	return t.data;
}
