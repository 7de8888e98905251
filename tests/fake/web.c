/* SPDX-License-Identifier: BSD-2-Clause */
#include "web.h"

#include "base/file.h"
#include "netns.h"
#include "stage.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BRIDGE "br0"

char *web_definition(const char *description)
{
	static const char fmt[] =
		"{'name': 'web', 'uuid': '" WEB_UUID "', 'layout': 1, 'description': '%s', 'disks': ["
		"{'uuid': '932df160-22a7-4067-a566-7e0ca8386133', 'name': 'disk0', 'path': '%s', 'hvinfo': "
		"{'driver': 'virtio-blk-pci', 'id': 'disk-932df160-22a7-4067', 'bus': 'pci.0', 'addr': '0xc'}}, "
		"{'uuid': '932df161-22a7-4067-a566-7e0ca8386133', 'name': 'disk1', 'path': '%s', 'hvinfo': "
		"{'driver': 'virtio-blk-pci', 'id': 'disk-932df161-22a7-4067', 'bus': 'pci.0', 'addr': '0xd'}, "
		"'format': 'qcow2', 'backing': [{'path': '%s'}]}], 'nics': ["
		"{'uuid': '003fc157-66a8-4e6d-8b7e-ec4f69751396', 'name': 'nic0', 'mode': 'user', "
		"'mac': '52:54:00:3a:91:02', 'hvinfo': "
		"{'driver': 'virtio-net-pci', 'id': 'nic-003fc157-66a8-4e6d', 'bus': 'pci.0', 'addr': '0xe'}}, "
		"{'uuid': '003fc158-66a8-4e6d-8b7e-ec4f69751396', 'name': 'nic1', 'mode': 'bridged', 'link': '" BRIDGE
		"', 'mac': '52:54:00:3a:91:03', 'hvinfo': "
		"{'driver': 'virtio-net-pci', 'id': 'nic-003fc158-66a8-4e6d', 'bus': 'pci.0', 'addr': '0xf'}}], "
		"'hvparams': {'accel': 'tcg', 'kvm_path': '%s', 'kernel_path': '%s'}}";
	_cleanup_free_ char *fake = rig_shared("fake-qemu"), *kernel = rig_shared("kernel");
	_cleanup_free_ char *raw = rig_shared("raw"), *top = rig_shared("top"), *base = rig_shared("base");

	return xasprintf(fmt, description, raw, top, base, fake, kernel);
}

void web_make_things(void)
{
	_cleanup_free_ char *raw = rig_shared("raw"), *top = rig_shared("top"), *base = rig_shared("base");
	_cleanup_free_ char *more = rig_shared("more"), *command = NULL;

	command = xasprintf("truncate -s 1M %s %s %s && qemu-img create -q -f qcow2 -u -b %s -F raw %s 1M", raw, base,
			    more, base, top);
	ck_assert_int_eq(system(command), 0); /* NOLINT(cert-env33-c): paths of our own */
	if (!if_nametoindex(BRIDGE))
		netns_bridge(BRIDGE);
}

void web_write(void)
{
	_cleanup_free_ char *dir = xasprintf("%s/lib/instances/web", stage.r->root), *text = web_definition("first");

	ck_assert(file_make_dirs(dir, 0700, NULL));
	for (char *p = text; *p; p++)
		if (*p == '\'')
			*p = '"';
	stage_write("lib/instances/web/definition.json", text);
}

void web_ask(const char *command, const char *more)
{
	json_object_put(client_ok(stage.c, command, "{" WEB "%s}", more));
}

/* ---- what there is ---- */

/* The names in the list that QEMU answers with, if it does; the caller's. */
static char *names(const char *command, const char *args, const char *member)
{
	int id = client_send(stage.c, "instance-qmp", "{" WEB ", 'execute': '%s', 'arguments': %s}", command, args);
	_cleanup_json_ struct json_object *reply = client_reply(stage.c, id);
	struct json_object *list = json_get_typed(reply, "return", json_type_array);
	char *text = xstrdup("");

	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		_cleanup_free_ char *old = text;

		text = xasprintf("%s %s", old, json_get_str(json_object_array_get_idx(list, i), member));
	}
	return text;
}

/* Of FULL, what is told of an instance that runs: the devices that the record and QEMU have; the caller's. */
static char *devices_of(struct json_object *full)
{
	_cleanup_free_ char *nodes = NULL, *devices = NULL, *disks = NULL, *nics = NULL;
	struct json_object *runtime = json_get_typed(full, "runtime", json_type_object);

	if (!runtime)
		return xstrdup("");
	nodes = names("query-named-block-nodes", "{}", "node-name");
	devices = names("qom-list", "{'path': '/machine/peripheral'}", "name");
	disks = json_print(json_object_object_get(runtime, "disks"));
	nics = json_print(json_object_object_get(runtime, "nics"));
	return xasprintf(", disks %s, nics %s, nodes%s, devices%s", disks, nics, nodes, devices);
}

char *web_world(void)
{
	_cleanup_json_ struct json_object *list = client_ok(stage.c, "query-instances", NULL);
	char *text = stage_world();

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		const char *name = str_at(o, "name"), *state = str_at(o, "state");
		_cleanup_free_ char *old = text, *stored = rig_file(stage.r, "lib/instances/%s/definition.json", name);
		_cleanup_json_ struct json_object *full = client_ok(stage.c, "query-instance", "{" WEB "}");
		_cleanup_free_ char *devices = NULL;

		if (str_eq(state, "crashed"))
			state = "shutoff";
		devices = devices_of(full);
		text = xasprintf("%s%s is %s: %s, pending: %s%s\n", old, name, state, stored,
				 json_object_to_json_string(json_object_object_get(full, "pending")), devices);
	}
	return text;
}

unsigned web_count(const char *text, const char *part)
{
	unsigned n = 0;

	for (const char *p = text; (p = strstr(p, part)); p++)
		n++;
	return n;
}

/* ---- what has to hold ---- */

void web_check_agreement(void)
{
	_cleanup_json_ struct json_object *list = client_ok(stage.c, "query-instances", NULL);
	_cleanup_free_ char *is = NULL;
	pid_t pid = 0;

	ck_assert_uint_le(json_object_array_length(list), 1);
	if (json_object_array_length(list) > 0)
		pid = rig_check_agreement(stage.r, stage.c, str_at(json_object_array_get_idx(list, 0), "name"));
	is = stage_world();
	ck_assert_uint_eq(web_count(is, "process fake-qemu\n"), pid ? 1 : 0);
	ck_assert_uint_eq(web_count(is, "process drover-launch\n"), pid ? 1 : 0);
}

void web_check_logs(void)
{
	_cleanup_json_ struct json_object *list = client_ok(stage.c, "query-instances", NULL);
	_cleanup_free_ char *path = xasprintf("%s/log", stage.r->root);
	DIR *dir = opendir(path);
	struct dirent *d;

	ck_assert_ptr_nonnull(dir);
	while ((d = readdir(dir))) {
		bool known = d->d_name[0] == '.' && (!d->d_name[1] || str_eq(d->d_name, ".."));

		for (size_t i = 0; i < json_object_array_length(list); i++) {
			const char *name = str_at(json_object_array_get_idx(list, i), "name");
			size_t n = strlen(name);

			known |= strncmp(d->d_name, name, n) == 0 && d->d_name[n] == '.';
		}
		ck_assert_msg(known, "a log of nobody: '%s'", d->d_name);
	}
	closedir(dir);
}

void web_check_strangers(void)
{
	rig_check_strangers(stage.r);
}

void web_check_life_goes_on(const char *nothing, unsigned fds)
{
	_cleanup_json_ struct json_object *list = client_ok(stage.c, "query-instances", NULL);
	_cleanup_free_ char *text = web_definition("third"), *is = NULL, *all = NULL;

	if (json_object_array_length(list) > 0)
		web_ask("instance-undefine", ", 'force': true");
	json_object_put(client_ok(stage.c, "instance-define", "{'definition': %s}", text));
	web_ask("instance-start", "");
	web_check_agreement();
	web_ask("instance-stop", "");
	web_ask("instance-undefine", "");
	web_check_agreement();
	web_check_logs();
	is = web_world();
	ck_assert_msg(str_eq(is, nothing), "a machine leaves\n%sinstead of\n%s", is, nothing);
	for (int64_t end = look_until(); rig_own_fds(stage.r) != fds && look_again(end);)
		;
	all = rig_world(stage.r, true);
	ck_assert_msg(rig_own_fds(stage.r) == fds, "droverd holds %u descriptors instead of %u:\n%s",
		      rig_own_fds(stage.r), fds, all);
}
