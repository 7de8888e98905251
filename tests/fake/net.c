/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Netdevs and character devices. Descriptors that they are given are held and not looked at: a tap may be any file.
 */
#include "fake.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool is_one_of(const char *const *list, size_t n, const char *s)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(list[i], s))
			return true;
	return false;
}

/* Descriptors that O holds, as members of its "held". */
static void let_go(struct json_object *o)
{
	struct json_object *held = json_get_typed(o, "held", json_type_array);

	for (size_t i = 0; held && i < json_object_array_length(held); i++)
		close(json_object_get_int(json_object_array_get_idx(held, i)));
}

static void hold(struct json_object *o, int fd)
{
	struct json_object *held = json_get_typed(o, "held", json_type_array);

	if (!held) {
		held = json_object_new_array();
		json_add(o, "held", held);
	}
	json_object_array_add(held, json_object_new_int(fd));
}

/* The descriptor that getfd gave this name, or of this number. */
static int named(struct ask *a, const char *name)
{
	char *end;
	int fd;

	if (*name < '0' || *name > '9') {
		fd = a->m ? monitor_take_name(a->m, name) : -1;
		if (fd < 0)
			refuse(a, "GenericError", "File descriptor named '%s' has not been found", name);
		return fd;
	}
	fd = (int)strtol(name, &end, 10);
	if (*end) {
		refuse(a, "GenericError", "Invalid file descriptor number '%s'", name);
		return -1;
	}
	if (fcntl(fd, F_GETFD) >= 0)
		return fd;
	refuse(a, "GenericError", "%s: Can't use file descriptor %d: Bad file descriptor", json_get_str(a->args, "id"),
	       fd);
	return -1;
}

/* ---- netdevs ---- */

static bool hold_named(struct ask *a, struct json_object *o, const char *names)
{
	_cleanup_free_ char *copy = xstrdup(names);
	char *save = NULL;

	for (char *name = strtok_r(copy, ":", &save); name; name = strtok_r(NULL, ":", &save)) {
		int fd = named(a, name);

		if (fd < 0)
			return false;
		hold(o, fd);
	}
	return true;
}

static struct json_object *netdev_add(struct ask *a)
{
	static const char *const types[] = { "bridge", "dgram", "hubport", "l2tpv3",     "nic",       "socket",
					     "stream", "tap",   "user",    "vhost-user", "vhost-vdpa" };
	static const char *const fds[] = { "fd", "fds", "vhostfd", "vhostfds" };
	const char *id = ask_str(a, "id"), *type = id ? ask_str(a, "type") : NULL;
	_cleanup_json_ struct json_object *o = NULL;

	if (!type)
		return NULL;
	if (!is_one_of(types, ARRAY_SIZE(types), type))
		return refuse(a, "GenericError", "Parameter 'type' does not accept value '%s'", type);
	if (!ask_id(a, id))
		return NULL;
	if (json_object_object_get_ex(a->f->gear.netdevs, id, NULL))
		return refuse(a, "GenericError", "Duplicate ID '%s'", id);
	o = json_object_new_object();
	json_add_str(o, "type", type);
	json_add_bool(o, "up", true);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		const char *names = json_get_str(a->args, fds[i]);

		if (!names || hold_named(a, o, names))
			continue;
		let_go(o);
		return NULL;
	}
	json_add(a->f->gear.netdevs, id, json_object_get(o));
	return NULL;
}

/* Also under its device, which keeps the name and nothing else. */
static struct json_object *netdev_del(struct ask *a)
{
	const char *id = ask_str(a, "id");
	struct device *device = device_with(&a->f->gear, "netdev", id);
	struct json_object *o;

	if (!id)
		return NULL;
	if (!json_object_object_get_ex(a->f->gear.netdevs, id, &o))
		return refuse(a, "DeviceNotFound", "Device '%s' not found", id);
	let_go(o);
	if (device)
		device_lose_netdev(device);
	json_object_object_del(a->f->gear.netdevs, id);
	return NULL;
}

/* By the name of a netdev, or of the card. */
static struct json_object *set_link(struct ask *a)
{
	const char *name = ask_str(a, "name");
	struct device *device = device_find(&a->f->gear, name);
	struct json_object *o, *up;

	if (!name)
		return NULL;
	if (!json_object_object_get_ex(a->args, "up", &up))
		return refuse(a, "GenericError", "Parameter 'up' is missing");
	if (json_object_object_get_ex(a->f->gear.netdevs, name, &o))
		json_add(o, "up", json_object_get(up));
	else if (!device || !device_is_card(device))
		return refuse(a, "DeviceNotFound", "Device '%s' not found", name);
	return NULL;
}

char *netdev_refusal(const struct gear *g, const char *driver, const char *id)
{
	if (!json_object_object_get_ex(g->netdevs, id, NULL))
		return xasprintf("Property '%s.netdev' can't find value '%s'", driver, id);
	if (device_with(g, "netdev", id))
		return xasprintf("Property '%s.netdev' can't take value '%s', it's in use", driver, id);
	return NULL;
}

const struct command net_commands[] = {
	{ "netdev_add", netdev_add, "*" },
	{ "netdev_del", netdev_del, "id" },
	{ "set_link", set_link, "name up:b" },
	{ 0 },
};

/* ---- character devices ---- */

/* Those of the command line are open but for the agent's: nobody holds the port in a guest that is none. */
static struct json_object *chardev_of_option(struct ask *a, const char *id)
{
	static const char prefix[] = "/dev/fdset/";
	const char *log = json_get_str(a->args, "logfile");
	struct json_object *o = json_object_new_object();

	json_add_str(o, "label", id);
	json_add_str(o, "filename", "disconnected:unix");
	json_add_bool(o, "frontend-open", !str_eq(id, "agent"));
	json_add_bool(o, "busy", !str_eq(id, "agent"));
	if (log && str_starts(log, prefix))
		json_add_int(o, "log", fdset_open(a->f, strtol(log + sizeof(prefix) - 1, NULL, 10), O_WRONLY));
	return o;
}

int chardev_log(const struct gear *g, const char *id)
{
	return (int)json_get_int(json_get_typed(g->chardevs, id, json_type_object), "log", -1);
}

static bool hold_socket(struct ask *a, struct json_object *o, const char *id, struct json_object *data)
{
	struct json_object *addr = json_get_typed(data, "addr", json_type_object);
	const char *type = json_get_str(addr, "type");
	const char *name = json_get_str(json_get_typed(addr, "data", json_type_object), "str");
	struct ask named_ask = { .f = a->f, .m = a->m, .args = a->args };
	int fd;

	if (!str_eq(type, "fd") || !name)
		return true;
	fd = named(&named_ask, name);
	if (fd < 0) {
		_cleanup_free_ char *why = named_ask.desc;

		return refuse(a, "GenericError", "Failed to add chardev '%s': %s", id, why);
	}
	hold(o, fd);
	return true;
}

static struct json_object *chardev_add(struct ask *a)
{
	static const char *const types[] = { "file",    "memory", "null",  "pipe", "pty",
					     "ringbuf", "socket", "stdio", "udp" };
	const char *id = ask_str(a, "id"), *type;
	struct json_object *backend = json_get_typed(a->args, "backend", json_type_object), *o;

	if (!id)
		return NULL;
	if (!a->m) {
		json_add(a->f->gear.chardevs, id, chardev_of_option(a, id));
		return NULL;
	}
	if (!backend)
		return refuse(a, "GenericError", "Parameter 'backend' is missing");
	type = json_get_str(backend, "type");
	if (!is_one_of(types, ARRAY_SIZE(types), type))
		return refuse(a, "GenericError", "Parameter 'type' does not accept value '%s'", type ? type : "");
	if (json_object_object_get_ex(a->f->gear.chardevs, id, NULL))
		return refuse(a, "GenericError", "Chardev with id '%s' already exists", id);
	o = json_object_new_object();
	json_add_str(o, "label", id);
	json_add_str(o, "filename", str_eq(type, "socket") ? "disconnected:unix" : type);
	json_add_bool(o, "frontend-open", false);
	if (str_eq(type, "socket") && !hold_socket(a, o, id, json_get_typed(backend, "data", json_type_object)))
		json_object_put(o);
	else
		json_add(a->f->gear.chardevs, id, o);
	return NULL;
}

static struct json_object *chardev_remove(struct ask *a)
{
	const char *id = ask_str(a, "id");
	struct json_object *o;

	if (!id)
		return NULL;
	if (!json_object_object_get_ex(a->f->gear.chardevs, id, &o))
		return refuse(a, "GenericError", "Chardev '%s' not found", id);
	if (json_get_bool(o, "busy", false) || device_with(&a->f->gear, "chardev", id))
		return refuse(a, "GenericError", "Chardev '%s' is busy", id);
	let_go(o);
	json_object_object_del(a->f->gear.chardevs, id);
	return NULL;
}

static struct json_object *query_chardev(struct ask *a)
{
	static const char *const shown[] = { "label", "filename", "frontend-open" };
	struct json_object *list = json_object_new_array(), *value;

	json_object_object_foreach(a->f->gear.chardevs, id, o) {
		struct json_object *row = json_object_new_object();

		(void)id;
		for (size_t i = 0; i < ARRAY_SIZE(shown); i++)
			if (json_object_object_get_ex(o, shown[i], &value))
				json_add(row, shown[i], json_object_get(value));
		json_object_array_add(list, row);
	}
	return list;
}

char *chardev_refusal(const struct gear *g, const char *driver, const char *id)
{
	if (!json_object_object_get_ex(g->chardevs, id, NULL))
		return xasprintf("Property '%s.chardev' can't find value '%s'", driver, id);
	if (device_with(g, "chardev", id))
		return xasprintf("Property '%s.chardev' can't take value '%s': Device '%s' is in use", driver, id, id);
	return NULL;
}

const struct command chardev_commands[] = {
	{ "chardev-add", chardev_add, "*" },
	{ "chardev-remove", chardev_remove, "id" },
	{ "query-chardev", query_chardev, "" },
	{ 0 },
};
