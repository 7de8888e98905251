/* SPDX-License-Identifier: BSD-2-Clause */
#include "gear.h"

#include "fake.h"
#include "options.h"

#include <stdio.h>
#include <string.h>

void gear_init(struct gear *g)
{
	g->objects = json_object_new_object();
	g->netdevs = json_object_new_object();
	g->chardevs = json_object_new_object();
}

static void add_json(struct json_object *o, const char *key, const char *options, bool number)
{
	_cleanup_free_ char *value = option_value(options, key);

	if (value && number)
		json_add_int(o, strcmp(key, "set") ? key : "fdset-id", strtol(value, NULL, 10));
	else
		json_add_str(o, key, value);
}

static struct json_object *add_fd_args(const char *value)
{
	struct json_object *o = json_object_new_object();

	add_json(o, "fd", value, true);
	add_json(o, "set", value, true);
	add_json(o, "opaque", value, false);
	return o;
}

static struct json_object *chardev_args(const char *value)
{
	struct json_object *o = json_object_new_object();

	add_json(o, "id", value, false);
	add_json(o, "logfile", value, false);
	return o;
}

void gear_option(struct fake *f, const char *option, const char *value)
{
	static const struct {
		const char *option, *command;
		struct json_object *(*args)(const char *value); /* NULL: it is JSON, else not looked at */
	} rows[] = {
		{ "-add-fd", "add-fd", add_fd_args }, { "-chardev", "chardev-add", chardev_args },
		{ "-object", "object-add", NULL },    { "-blockdev", "blockdev-add", NULL },
		{ "-netdev", "netdev_add", NULL },    { "-device", "device_add", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_json_ struct json_object *args = NULL;
		struct ask a = { .f = f };

		if (!str_eq(rows[i].option, option) || (!rows[i].args && *value != '{'))
			continue;
		args = a.args = rows[i].args ? rows[i].args(value) : json_tokener_parse(value);
		json_object_put(command_find(rows[i].command)->fn(&a));
		if (!a.class)
			continue;
		fprintf(stderr, "fake-qemu: %s %s: %s\n", option, value, a.desc);
		exit(1);
	}
}
