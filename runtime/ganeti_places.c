/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where in a runtime file of Ganeti's a member of the definition comes from.
 */
#include "runtime/ganeti.h"

#include <stdlib.h>
#include <string.h>

/* "disks[2].hvinfo.addr": the index, and what is behind it. */
static bool split_place(const char *parameter, const char *list, unsigned long *index, const char **rest)
{
	size_t len = strlen(list);
	char *end;

	if (strncmp(parameter, list, len) != 0 || parameter[len] != '[')
		return false;
	*index = strtoul(parameter + len + 1, &end, 10);
	*rest = *end == ']' ? end + 1 : end;
	return true;
}

static char *place_in_command(const struct ganeti *g, const char *parameter)
{
	const struct {
		const char *name;
		size_t at;
	} places[] = { { "name", g->at_name },
		       { "uuid", g->at_uuid },
		       { "memory", g->at_memory },
		       { "vcpus", g->at_vcpus },
		       { "hvparams.machine_version", g->at_machine } };

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (str_eq(places[i].name, parameter))
			return places[i].at ? xasprintf("document[0][%zu]", places[i].at) : xstrdup("document[0]");
	return NULL;
}

static char *place_of_disk(const struct ganeti *g, unsigned long i, const char *rest)
{
	struct json_object *disk = json_object_array_get_idx(json_get_typed(g->definition, "disks", json_type_array),
							     i);

	if (!g->has_disks)
		return xstrdup("document[0]");
	if (str_eq(rest, ".uri"))
		return xasprintf("document[3][%lu][2]", i);
	if (str_eq(rest, ".path") || (!*rest && json_get_str(disk, "path")))
		return xasprintf("document[3][%lu][1]", i);
	return xasprintf("document[3][%lu][0]%s", i, rest);
}

static char *place_of(const struct ganeti *g, const char *parameter)
{
	static const char *const params[] = { ".mode", ".link", ".vlan" };
	char *place = place_in_command(g, parameter);
	const char *rest;
	unsigned long i;

	if (place)
		return place;
	if (str_starts(parameter, "hvparams."))
		return xasprintf("document[2]%s", parameter + strlen("hvparams"));
	if (split_place(parameter, "disks", &i, &rest))
		return place_of_disk(g, i, rest);
	if (!split_place(parameter, "nics", &i, &rest))
		return xstrdup("document");
	for (size_t k = 0; k < ARRAY_SIZE(params); k++)
		if (str_eq(params[k], rest))
			return xasprintf("document[1][%lu].nicparams%s", i, rest);
	return xasprintf("document[1][%lu]%s", i, rest);
}

bool ganeti_blame(const struct ganeti *g, struct err **e)
{
	const char *parameter = e && *e ? json_get_str((*e)->extra, "parameter") : NULL;
	_cleanup_free_ char *place = NULL, *was = NULL, *desc = NULL;
	const char *at;

	if (!parameter)
		return false;
	was = xstrdup(parameter);
	place = place_of(g, was);
	at = strstr((*e)->desc, was);
	desc = (*e)->desc;
	(*e)->desc = at ? xasprintf("%.*s%s%s", (int)(at - desc), desc, place, at + strlen(was)) :
			  xasprintf("'%s': %s", place, desc);
	return err_name_param(e, place);
}
