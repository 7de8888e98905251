/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Command lines as Ganeti writes them.
 */
#include "runtime/ganeti_private.h"

#include <string.h>

const char *ganeti_word(struct json_object *cmd, size_t i)
{
	return json_object_get_string(json_object_array_get_idx(cmd, i));
}

/* No value of an option of Ganeti's begins with a dash. */
size_t ganeti_find(struct json_object *cmd, const char *option, bool last)
{
	size_t n = json_object_array_length(cmd), found = 0;

	for (size_t i = 1; i + 1 < n && (last || !found); i++) {
		if (ganeti_word(cmd, i)[0] != '-' || ganeti_word(cmd, i + 1)[0] == '-')
			continue;
		if (str_eq(ganeti_word(cmd, i), option))
			found = i + 1;
		i++;
	}
	return found;
}

/* Up to a comma that is not doubled, which *P is set behind. */
static char *next_member(const char **p)
{
	char *item = xcalloc(strlen(*p) + 1, 1), *out = item;

	for (; **p; (*p)++) {
		if (**p == ',' && (*p)[1] != ',') {
			(*p)++;
			break;
		}
		if (**p == ',')
			(*p)++;
		*out++ = **p;
	}
	return item;
}

char *ganeti_member(const char *value, const char *key)
{
	const char *p = value;

	if (!key)
		return next_member(&p);
	while (*p) {
		_cleanup_free_ char *item = next_member(&p);
		size_t len = strlen(key);

		if (strncmp(item, key, len) != 0 || (item[len] && item[len] != '='))
			continue;
		return xstrdup(item[len] ? item + len + 1 : "");
	}
	return NULL;
}

char *ganeti_machine(const char *value, char **rest)
{
	char *machine = NULL;

	for (bool first = true; *value; first = false) {
		_cleanup_free_ char *item = next_member(&value), *before = NULL;

		if (str_starts(item, "type=")) {
			free(machine);
			machine = xstrdup(item + strlen("type="));
		} else if (first && !strchr(item, '=')) {
			machine = TAKE_PTR(item);
		} else if (!str_starts(item, "accel=")) {
			before = *rest;
			*rest = xasprintf("%s%s%s", before ? before : "", before ? "," : "", item);
		}
	}
	return machine;
}
