/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Objects, and the tree in which QEMU shows them and the devices: /objects, /machine/peripheral.
 */
#include "fake.h"

#include <stdio.h>
#include <string.h>

#define RAM "pc.ram"

static const struct {
	const char *name, *needs;
} types[] = {
	{ "iothread" },
	{ "memory-backend-file", "mem-path" },
	{ "memory-backend-memfd", "size" },
	{ "memory-backend-ram", "size" },
	{ "rng-builtin" },
	{ "rng-egd", "chardev" },
	{ "rng-random" },
	{ "secret" },
	{ "throttle-group" },
	{ "tls-creds-anon" },
	{ "tls-creds-psk" },
	{ "tls-creds-x509" },
};

/* ---- limits of a throttle group ---- */

static const char *const limits[] = { "bps-total", "bps-read", "bps-write", "iops-total", "iops-read", "iops-write" };

static bool is_limit(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		const char *rest = str_starts(key, limits[i]) ? key + strlen(limits[i]) : "-";

		if (!*rest || str_eq(rest, "-max") || str_eq(rest, "-max-length"))
			return true;
	}
	return str_eq(key, "iops-size");
}

static struct json_object *no_limits(void)
{
	struct json_object *o = json_object_new_object();

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		_cleanup_free_ char *max = xasprintf("%s-max", limits[i]);
		_cleanup_free_ char *length = xasprintf("%s-max-length", limits[i]);

		json_add_int(o, limits[i], 0);
		json_add_int(o, max, 0);
		json_add_int(o, length, 1);
	}
	json_add_int(o, "iops-size", 0);
	return o;
}

/* What goes into NEW instead of what is there; the members left out stay. */
static bool limit(struct ask *a, struct json_object *new, struct json_object *given)
{
	static const int64_t most = 1000000000000000;

	json_object_object_foreach(given, key, value) {
		if (!is_limit(key))
			return refuse(a, "GenericError", "Parameter 'limits.%s' is unexpected", key);
		json_add(new, key, json_object_get(value));
		if (json_get_int(new, key, -1) < 0 || json_get_int(new, key, -1) > most)
			return refuse(a, "GenericError", "bps/iops/max values must be within [0, %lld]",
				      (long long)most);
	}
	for (size_t i = 0; i < ARRAY_SIZE(limits); i += 3)
		if (json_get_int(new, limits[i], 0) &&
		    (json_get_int(new, limits[i + 1], 0) || json_get_int(new, limits[i + 2], 0)))
			return refuse(
				a, "GenericError",
				"bps/iops/max total values and read/write values cannot be used at the same time");
	return true;
}

static bool set_limits(struct ask *a, struct json_object *object, struct json_object *given)
{
	struct json_object *old = json_get_typed(object, "limits", json_type_object), *new = no_limits();

	if (old) {
		json_object_object_foreach(old, key, value)
			json_add(new, key, json_object_get(value));
	}
	if (!given || limit(a, new, given))
		json_add(object, "limits", json_object_get(new));
	json_object_put(new);
	return !a->class;
}

/* ---- objects ---- */

static struct json_object *object_add(struct ask *a)
{
	struct json_object *objects = a->f->gear.objects, *value;
	const char *type = ask_str(a, "qom-type"), *id = type ? ask_str(a, "id") : NULL;
	_cleanup_json_ struct json_object *o = NULL;
	size_t i = 0;

	if (!id)
		return NULL;
	while (i < ARRAY_SIZE(types) && !str_eq(types[i].name, type))
		i++;
	if (i == ARRAY_SIZE(types))
		return refuse(a, "GenericError", "Parameter 'qom-type' does not accept value '%s'", type);
	if (types[i].needs && !json_object_object_get_ex(a->args, types[i].needs, NULL))
		return refuse(a, "GenericError", "Parameter '%s' is missing", types[i].needs);
	if (!ask_id(a, id))
		return NULL;
	if (json_object_object_get_ex(objects, id, &value) || str_eq(id, RAM))
		return refuse(a, "GenericError", "attempt to add duplicate property '%s' to object (type 'container')",
			      id);
	o = json_object_new_object();
	json_object_object_foreach(a->args, key, member)
		if (!str_eq(key, "limits"))
			json_add(o, key, json_object_get(member));
	if (str_eq(type, "throttle-group") && !set_limits(a, o, json_get_typed(a->args, "limits", json_type_object)))
		return NULL;
	json_add(objects, id, json_object_get(o));
	return NULL;
}

static struct json_object *object_del(struct ask *a)
{
	const char *id = ask_str(a, "id");
	struct json_object *o;

	if (!id)
		return NULL;
	if (str_eq(id, RAM) || node_throttled(&a->f->gear, id))
		return refuse(a, "GenericError", "object '%s' is in use, can not be deleted", id);
	if (!json_object_object_get_ex(a->f->gear.objects, id, &o))
		return refuse(a, "GenericError", "object '%s' not found", id);
	json_object_object_del(a->f->gear.objects, id);
	return NULL;
}

/* ---- the tree ---- */

#define OBJECTS "/objects"
#define PERIPHERAL "/machine/peripheral"

static struct json_object *member(const char *name, const char *type, bool child)
{
	struct json_object *o = json_object_new_object();
	_cleanup_free_ char *text = child ? xasprintf("child<%s>", type) : xstrdup(type);

	json_add_str(o, "name", name);
	json_add_str(o, "type", text);
	return o;
}

static struct device *device_at(const struct gear *g, const char *path)
{
	return str_starts(path, PERIPHERAL "/") ? device_find(g, path + sizeof(PERIPHERAL)) : NULL;
}

static struct json_object *object_at(const struct gear *g, const char *path)
{
	return str_starts(path, OBJECTS "/") ? json_get_typed(g->objects, path + sizeof(OBJECTS), json_type_object) :
					       NULL;
}

static struct json_object *qom_list(struct ask *a)
{
	struct gear *g = &a->f->gear;
	const char *path = ask_str(a, "path");
	struct device *device = path ? device_at(g, path) : NULL;
	struct json_object *object = path ? object_at(g, path) : NULL, *list;

	if (!path)
		return NULL;
	if (!device && !object && !str_eq(path, OBJECTS) && !str_eq(path, PERIPHERAL))
		return refuse(a, "DeviceNotFound", "Device '%s' not found", path);
	list = json_object_new_array();
	json_object_array_add(list, member("type", "string", false));
	if (device) {
		_cleanup_json_ struct json_object *names = device_properties(device);

		for (size_t i = 0; i < json_object_array_length(names); i++)
			json_object_array_add(list, member(json_object_get_string(json_object_array_get_idx(names, i)),
							   "str", false));
	} else if (object) {
		json_object_object_foreach(object, key, value)
			json_object_array_add(list, member(key, json_type_to_name(json_object_get_type(value)), false));
	} else if (str_eq(path, OBJECTS)) {
		json_object_object_foreach(g->objects, key, value)
			json_object_array_add(list, member(key, json_get_str(value, "qom-type"), true));
		json_object_array_add(list, member(RAM, "memory-backend-ram", true));
	} else {
		for (struct device *d = device_next(g, NULL); d; d = device_next(g, d))
			if (*device_id(d) != '#')
				json_object_array_add(list, member(device_id(d), device_driver(d), true));
	}
	return list;
}

static struct json_object *qom_get(struct ask *a)
{
	const char *path = ask_str(a, "path"), *name = path ? ask_str(a, "property") : NULL, *type;
	struct device *device = path ? device_at(&a->f->gear, path) : NULL;
	struct json_object *object = path ? object_at(&a->f->gear, path) : NULL, *value = NULL;

	if (!name)
		return NULL;
	if (!device && !object)
		return refuse(a, "DeviceNotFound", "Device '%s' not found", path);
	type = device ? device_driver(device) : json_get_str(object, "qom-type");
	if (str_eq(name, "type"))
		return json_object_new_string(type);
	if (device)
		value = device_property(a->f, device, name);
	else if (json_object_object_get_ex(object, name, &value))
		value = json_object_get(value);
	if (!value)
		refuse(a, "GenericError", "Property '%s.%s' not found", type, name);
	return value;
}

/* Of devices nothing can be set any more, of objects the limits. */
static struct json_object *qom_set(struct ask *a)
{
	const char *path = ask_str(a, "path"), *name = path ? ask_str(a, "property") : NULL;
	struct device *device = path ? device_at(&a->f->gear, path) : NULL;
	struct json_object *object = path ? object_at(&a->f->gear, path) : NULL;
	_cleanup_json_ struct json_object *old = NULL;

	if (!name)
		return NULL;
	old = qom_get(a);
	if (!old)
		return NULL;
	if (device)
		return refuse(a, "GenericError",
			      "Attempt to set property '%s' on device '%s' (type '%s') after it was realized", name,
			      device_id(device), device_driver(device));
	if (str_eq(name, "limits"))
		set_limits(a, object, json_get_typed(a->args, "value", json_type_object));
	else
		refuse(a, "GenericError", "Insufficient permission to perform this operation");
	return NULL;
}

const struct command object_commands[] = {
	{ "object-add", object_add, "*" }, { "object-del", object_del, "id" }, { "qom-get", qom_get, "path property" },
	{ "qom-list", qom_list, "path" },  { "qom-set", qom_set, "*" },        { 0 },
};
