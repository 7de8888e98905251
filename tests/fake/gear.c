/* SPDX-License-Identifier: BSD-2-Clause */
#include "gear.h"

#include "options.h"

#include <string.h>

void gear_init(struct gear *g)
{
	g->sets = json_object_new_array();
	g->nodes = json_object_new_array();
	g->devices = json_object_new_array();
	g->chardevs = json_object_new_array();
}

static struct json_object *find_set(const struct gear *g, int64_t number)
{
	for (size_t i = 0; i < json_object_array_length(g->sets); i++)
		if (json_get_int(json_object_array_get_idx(g->sets, i), "fdset-id", -1) == number)
			return json_object_array_get_idx(g->sets, i);
	return NULL;
}

static void add_fd(struct gear *g, const char *value)
{
	_cleanup_free_ char *fd = option_value(value, "fd"), *number = option_value(value, "set");
	_cleanup_free_ char *opaque = option_value(value, "opaque");
	struct json_object *set, *member = json_object_new_object(), *fds;

	set = find_set(g, strtol(number, NULL, 10));
	if (!set) {
		set = json_object_new_object();
		json_add_int(set, "fdset-id", strtol(number, NULL, 10));
		json_add(set, "fds", json_object_new_array());
		json_object_array_add(g->sets, set);
	}
	fds = json_get_typed(set, "fds", json_type_array);
	json_add_int(member, "fd", strtol(fd, NULL, 10));
	json_add_str(member, "opaque", opaque);
	json_object_array_add(fds, member);
}

static void add_chardev(struct gear *g, const char *value)
{
	_cleanup_free_ char *id = option_value(value, "id");
	struct json_object *o = json_object_new_object();

	json_add_str(o, "label", id);
	json_add_str(o, "filename", "disconnected:unix");
	json_add_bool(o, "frontend-open", !str_eq(id, "agent")); /* nobody holds the port in a guest that is none */
	json_object_array_add(g->chardevs, o);
}

void gear_option(struct gear *g, const char *option, const char *value)
{
	static const char json[] = "{";

	if (str_eq(option, "-add-fd"))
		add_fd(g, value);
	else if (str_eq(option, "-chardev"))
		add_chardev(g, value);
	else if (str_eq(option, "-blockdev") && str_starts(value, json))
		json_object_array_add(g->nodes, json_tokener_parse(value));
	else if (str_eq(option, "-device") && str_starts(value, json))
		json_object_array_add(g->devices, json_tokener_parse(value));
}

/* A set without a member stays while a node uses it, and is listed. */
struct json_object *gear_fdsets(const struct gear *g)
{
	return json_object_get(g->sets);
}

bool gear_empty_set(struct gear *g, int64_t number)
{
	struct json_object *set = find_set(g, number);

	if (set)
		json_add(set, "fds", json_object_new_array());
	return set != NULL;
}

struct json_object *gear_nodes(const struct gear *g)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < json_object_array_length(g->nodes); i++) {
		struct json_object *node = json_object_array_get_idx(g->nodes, i), *o = json_object_new_object();

		json_add_str(o, "node-name", json_get_str(node, "node-name"));
		json_add_str(o, "drv", json_get_str(node, "driver"));
		json_add_bool(o, "ro", json_get_bool(node, "read-only", false));
		json_add_str(o, "file", json_get_str(node, "filename") ? json_get_str(node, "filename") : "");
		json_object_array_add(list, o);
	}
	return list;
}

struct json_object *gear_block(const struct gear *g, const char *io_status)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < json_object_array_length(g->devices); i++) {
		struct json_object *device = json_object_array_get_idx(g->devices, i), *o, *inserted;

		if (!json_get_str(device, "drive"))
			continue;
		o = json_object_new_object();
		inserted = json_object_new_object();
		json_add_str(inserted, "node-name", json_get_str(device, "drive"));
		json_add_str(o, "device", "");
		json_add_str(o, "qdev", json_get_str(device, "id"));
		json_add(o, "inserted", inserted);
		json_add_str(o, "io-status", io_status);
		json_object_array_add(list, o);
	}
	/* Without a disk there is none that could fail; a script says that one does all the same. */
	if (json_object_array_length(list) == 0) {
		struct json_object *o = json_object_new_object();

		json_add_str(o, "device", "");
		json_add_str(o, "io-status", io_status);
		json_object_array_add(list, o);
	}
	return list;
}

struct json_object *gear_chardevs(const struct gear *g)
{
	return json_object_get(g->chardevs);
}
