/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command lines, as QEMU takes them: every golden definition starts, and what it then has is what was said, where
 * hvinfo says; what is plugged later is the same; a Linux guest finds its disks at those addresses. Where an image lies
 * with a server a file stands in for it, and what QEMU is told of the server is held against its own schema: most of
 * these servers, and the drivers, which come in a package of their own, are not here (test_uri has a server).
 */
#include "bare.h"
#include "guest.h"
#include "netns.h"
#include "schema.h"

#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* These need a SCSI device of the host. */
static const char *const impossible[] = { "scsi-block" };

static char *read_text(const char *path)
{
	char *text = xcalloc(1, 1 << 16);
	FILE *f = fopen(path, "re");

	ck_assert_msg(f, "%s", path);
	ck_assert_uint_lt(fread(text, 1, (1 << 16) - 1, f), (1 << 16) - 1);
	fclose(f);
	return text;
}

/* ---- devices ---- */

/* "0xc", "0x2.0x1" as said, and "0c.0", "02.1" or 96 as QEMU shows it. */
static void check_address(const char *id, const char *said, struct json_object *shown)
{
	unsigned slot, function = 0, devfn;

	ck_assert_int_ge(sscanf(said, "%x.%x", &slot, &function), 1);
	devfn = slot * 8 + function;
	if (json_object_is_type(shown, json_type_int)) {
		ck_assert_msg(json_object_get_int(shown) == (int)devfn, "%s: %s", id, said);
		return;
	}
	ck_assert_int_eq(sscanf(json_object_get_string(shown), "%x.%x", &slot, &function), 2);
	ck_assert_msg(slot * 8 + function == devfn, "%s: %s, not %s", id, json_object_get_string(shown), said);
}

/* SHOWN ends with it. */
static void check_path(const char *id, const char *said, const char *shown)
{
	size_t n = strlen(shown), m = strlen(said);

	ck_assert_msg(n > m && shown[n - m - 1] == '/' && str_eq(shown + n - m, said), "%s: %s, not %s", id, shown,
		      said);
}

static void check_property(struct bare *b, const char *id, const char *key, struct json_object *said)
{
	const char *property = str_eq(key, "bus") ? "parent_bus" : key;
	_cleanup_json_ struct json_object *shown = NULL;
	_cleanup_free_ char *a = NULL, *c = NULL;

	if (str_eq(key, "driver") || str_eq(key, "id"))
		return;
	shown = bare_askf(b, "qom-get", "{'path': '/machine/peripheral/%s', 'property': '%s'}", id, property);
	a = json_print(said);
	c = json_print(shown);
	if (str_eq(key, "addr"))
		check_address(id, json_object_get_string(said), shown);
	else if (str_eq(key, "bus") || str_eq(key, "rng") || str_eq(key, "iothread"))
		check_path(id, json_object_get_string(said), json_object_get_string(shown));
	else
		ck_assert_msg(str_eq(a, c), "%s.%s: %s, not %s", id, key, c, a);
}

static void check_device(struct bare *b, struct json_object *o)
{
	const char *id = json_get_str(o, "id");
	_cleanup_json_ struct json_object *realized = bare_askf(
		b, "qom-get", "{'path': '/machine/peripheral/%s', 'property': 'realized'}", id);

	ck_assert(json_object_get_boolean(realized));
	json_object_object_foreach(o, key, value)
		check_property(b, id, key, value);
}

/* ---- nodes ---- */

static struct json_object *find_node(struct json_object *nodes, const char *name)
{
	for (size_t i = 0; i < json_object_array_length(nodes); i++) {
		struct json_object *node = json_object_array_get_idx(nodes, i);

		if (str_eq(json_get_str(node, "node-name"), name))
			return node;
	}
	ck_abort_msg("no node %s", name);
}

/* What lies below NAME by the edge EDGE ("file", "backing"), or NULL. */
static const char *child_of(struct json_object *graph, const char *name, const char *edge)
{
	struct json_object *nodes = at(graph, "nodes"), *edges = at(graph, "edges");
	int64_t id = -1, child = -1;

	for (size_t i = 0; i < json_object_array_length(nodes); i++) {
		struct json_object *o = json_object_array_get_idx(nodes, i);

		/* Devices may have the same name. */
		if (str_eq(json_get_str(o, "name"), name) && str_eq(json_get_str(o, "type"), "block-driver"))
			id = json_get_int(o, "id", -1);
	}
	for (size_t i = 0; i < json_object_array_length(edges); i++) {
		struct json_object *o = json_object_array_get_idx(edges, i);

		if (json_get_int(o, "parent", -1) == id && str_eq(json_get_str(o, "name"), edge))
			child = json_get_int(o, "child", -1);
	}
	for (size_t i = 0; i < json_object_array_length(nodes); i++) {
		struct json_object *o = json_object_array_get_idx(nodes, i);

		if (json_get_int(o, "id", -1) == child)
			return json_get_str(o, "name");
	}
	return NULL;
}

static void check_node(struct json_object *said, struct json_object *nodes, struct json_object *graph)
{
	const char *name = json_get_str(said, "node-name"), *driver = json_get_str(said, "driver");
	static const char *const edges[] = { "file", "backing" };
	struct json_object *node = find_node(nodes, name), *value;

	ck_assert_uint_le(strlen(name), 31);
	ck_assert_str_eq(json_get_str(node, "drv"), driver);
	ck_assert_msg(json_get_bool(node, "ro", false) == json_get_bool(said, "read-only", false), "%s", name);
	ck_assert(json_get_bool(at(node, "cache"), "direct", false) ==
		  json_get_bool(at(said, "cache"), "direct", false));
	if (json_object_object_get_ex(said, "detect-zeroes", &value))
		ck_assert_str_eq(json_get_str(node, "detect_zeroes"), json_object_get_string(value));
	if (json_object_object_get_ex(said, "filename", &value))
		ck_assert_str_eq(json_get_str(node, "file"), json_object_get_string(value));
	for (size_t i = 0; i < ARRAY_SIZE(edges); i++) {
		const char *child = child_of(graph, name, edges[i]), *wanted = json_get_str(said, edges[i]);

		ck_assert_msg(str_eq(child, wanted), "%s of %s: %s, not %s", edges[i], name, child, wanted);
	}
}

static void check_object(struct bare *b, struct json_object *said)
{
	const char *id = json_get_str(said, "id");
	struct json_object *limits = json_get_typed(said, "limits", json_type_object);
	_cleanup_json_ struct json_object *shown = bare_askf(b, "qom-get",
							     "{'path': '/objects/%s', 'property': 'type'}", id);

	ck_assert_str_eq(json_object_get_string(shown), json_get_str(said, "qom-type"));
	if (limits) {
		_cleanup_json_ struct json_object *real = bare_askf(
			b, "qom-get", "{'path': '/objects/%s', 'property': 'limits'}", id);

		ck_assert_msg(json_object_equal(limits, real), "%s", id);
	}
}

/* ---- floppies ---- */

/* The path of the controller, which has an id only where it is ours. */
static char *find_controller(struct bare *b)
{
	static const char *const places[] = { "/machine/peripheral", "/machine/unattached" };

	for (size_t p = 0; p < ARRAY_SIZE(places); p++) {
		_cleanup_json_ struct json_object *list = bare_askf(b, "qom-list", "{'path': '%s'}", places[p]);

		for (size_t i = 0; i < json_object_array_length(list); i++) {
			struct json_object *o = json_object_array_get_idx(list, i);

			if (str_eq(json_get_str(o, "type"), "child<isa-fdc>"))
				return xasprintf("%s/%s", places[p], json_get_str(o, "name"));
		}
	}
	ck_abort_msg("no floppy controller");
}

/* -global isa-fdc.bootindexA=1, or that flash is the firmware's alone */
static void check_global(struct bare *b, const char *said)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_json_ struct json_object *shown = NULL;
	char drive;
	int index;

	if (str_eq(said, "driver=cfi.pflash01,property=secure,value=on")) {
		shown = bare_askf(b, "qom-get", "{'path': '/machine/system.flash0', 'property': 'secure'}");
		ck_assert(json_object_get_boolean(shown));
		return;
	}
	path = find_controller(b);
	ck_assert_int_eq(sscanf(said, "isa-fdc.bootindex%c=%d", &drive, &index), 2);
	shown = bare_askf(b, "qom-get", "{'path': '%s', 'property': 'bootindex%c'}", path, drive);
	ck_assert_int_eq(json_object_get_int(shown), index);
}

/* ---- the whole ---- */

/* Asks for everything that ARGV has in JSON; how many devices these are. */
static size_t check_argv(struct bare *b, char **argv)
{
	_cleanup_json_ struct json_object *nodes = bare_askf(b, "query-named-block-nodes", "{'flat': true}");
	_cleanup_json_ struct json_object *graph = bare_ask(b, "x-debug-query-block-graph", NULL, -1);
	size_t devices = 0;

	for (char **p = argv; p[0] && p[1]; p++) {
		_cleanup_json_ struct json_object *o = NULL;

		if (str_eq(p[0], "-global"))
			check_global(b, p[1]);
		if (p[1][0] != '{')
			continue;
		ck_assert(json_parse(p[1], strlen(p[1]), &json_limits_qemu, &o, NULL));
		if (str_eq(p[0], "-device"))
			check_device(b, o);
		else if (str_eq(p[0], "-blockdev"))
			check_node(o, nodes, graph);
		else if (str_eq(p[0], "-object"))
			check_object(b, o);
		devices += str_eq(p[0], "-device");
	}
	return devices;
}

static bool is_listed(struct json_object *list, const char *name)
{
	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (str_eq(json_get_str(json_object_array_get_idx(list, i), "name"), name))
			return true;
	return false;
}

/* Nothing else has an id, and each set is somebody's. */
static void check_nothing_else(struct bare *b, size_t devices)
{
	_cleanup_json_ struct json_object *list = bare_askf(b, "qom-list", "{'path': '/machine/peripheral'}");
	_cleanup_json_ struct json_object *sets = bare_ask(b, "query-fdsets", NULL, -1);

	ck_assert(is_listed(list, "type"));
	ck_assert_uint_eq(json_object_array_length(list), devices + 1);
	for (size_t i = 0; i < json_object_array_length(sets); i++) {
		struct json_object *set = json_object_array_get_idx(sets, i);
		int64_t number = json_get_int(set, "fdset-id", -1);
		struct json_object *fds = at(set, "fds");

		ck_assert_uint_eq(json_object_array_length(fds), 1);
		for (size_t n = 0; n < b->files.n; n++)
			if (b->files.items[n].set == number)
				ck_assert_str_eq(str_at(fds, "0.opaque"), b->files.items[n].node);
	}
}

/* What is sent because the binary is said to have it is what is sent without asking it. */
static void check_properties_known(struct bare *b)
{
	char **argv = bare_argv(b, true), **p = argv, **q = b->argv;

	for (; *p && *q; p++, q++)
		ck_assert_str_eq(*p, *q);
	ck_assert(!*p && !*q);
	argv_free(argv);
}

/* Members and types of what has a schema, also where something else stands in for it. */
static void check_schema(struct bare *b, struct json_object *schema)
{
	static const struct {
		const char *option, *command, *kind;
	} options[] = { { "-blockdev", "blockdev-add", "driver" },
			{ "-object", "object-add", "qom-type" },
			{ "-netdev", "netdev_add", "type" } };
	struct argv_env env = bare_env(b, false);
	char **argv = argv_build(&b->def, &env, &b->files);

	for (char **p = argv; p[0] && p[1]; p++)
		for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
			_cleanup_json_ struct json_object *o = NULL;

			if (!str_eq(p[0], options[i].option))
				continue;
			ck_assert(json_parse(p[1], strlen(p[1]), &json_limits_qemu, &o, NULL));
			if (!schema_has(schema, options[i].command, options[i].kind, json_get_str(o, options[i].kind)))
				fprintf(stderr, "%s: this QEMU was built without it\n", p[1]);
			else
				ck_assert_msg(schema_takes(schema, options[i].command, o), "%s", p[1]);
		}
	argv_free(argv);
}

/* How many sockets, cores of each and threads of those the processors say there are. */
static void check_topology(struct bare *b)
{
	const struct hvparams *hv = &b->def.hvparams;
	const struct {
		const char *prop;
		int64_t said;
	} levels[] = { { "socket-id", hv->cpu_sockets },
		       { "core-id", hv->cpu_cores },
		       { "thread-id", hv->cpu_threads } };
	_cleanup_json_ struct json_object *cpus = bare_ask(b, "query-cpus-fast", NULL, -1);

	ck_assert_int_eq((int64_t)json_object_array_length(cpus), b->def.vcpus);
	for (size_t l = 0; l < ARRAY_SIZE(levels); l++) {
		int64_t last = 0;

		for (size_t i = 0; i < json_object_array_length(cpus); i++) {
			int64_t id = json_get_int(
				json_get_typed(json_object_array_get_idx(cpus, i), "props", json_type_object),
				levels[l].prop, 0);

			last = id > last ? id : last;
		}
		ck_assert_msg(!levels[l].said || last + 1 == levels[l].said, "%s: %s", levels[l].prop,
			      json_object_to_json_string(cpus));
	}
}

/* That golden definition needs a package that is not here. */
static bool lacks_package(const char *json)
{
	if (strstr(json, "\"firmware\": \"uefi") && access(BARE_OVMF "CODE_4M.fd", R_OK) < 0)
		return true;
	return strstr(json, "\"tpm\": true") && access("/usr/bin/swtpm", X_OK) < 0;
}

/* SCHEMA: the binary's, once it was asked; it takes QEMU longer than all else. */
static void check_golden(const char *name, struct json_object **schema)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", GOLDEN, name), *json = read_text(path);
	_cleanup_json_ struct json_object *status = NULL, *called = NULL;
	struct bare *b;

	if (lacks_package(json)) {
		fprintf(stderr, "SKIP: %s: no ovmf, or no swtpm\n", name);
		return;
	}
	b = bare_start(json);
	status = bare_ask(b, "query-status", NULL, -1);
	called = bare_ask(b, "query-name", NULL, -1);
	ck_assert_str_eq(str_at(status, "status"), "prelaunch");
	ck_assert_str_eq(str_at(called, "name"), b->def.name);
	check_nothing_else(b, check_argv(b, b->argv));
	check_properties_known(b);
	check_topology(b);
	if (!*schema)
		*schema = bare_ask(b, "query-qmp-schema", NULL, -1);
	check_schema(b, *schema);
	bare_free(b);
}

START_TEST(test_golden)
{
	_cleanup_json_ struct json_object *schema = NULL;
	DIR *dir = opendir(GOLDEN);
	struct dirent *entry;

	ck_assert_ptr_nonnull(dir);
	/* SPICE looks its address up, and finds none of IPv4 where only the bridges of other definitions have any. */
	netns_set_address("lo:1", "192.0.2.1");
	while ((entry = readdir(dir))) {
		size_t len = strlen(entry->d_name);
		bool skip = len < 5 || !str_eq(entry->d_name + len - 5, ".json");

		for (size_t i = 0; i < ARRAY_SIZE(impossible); i++)
			skip = skip || str_starts(entry->d_name, impossible[i]);
		skip = skip || (str_starts(entry->d_name, "sound-virtio") && !bare_has("virtio-sound-pci"));
		if (skip)
			continue;
		fprintf(stderr, "%s\n", entry->d_name);
		check_golden(entry->d_name, &schema);
	}
	closedir(dir);
}
END_TEST

/* ---- the same, plugged ---- */

#define UUID "'uuid': '5f1c2f0e-8a55-4a6e-9f53-0c2b6a1d9e10'"
#define DEV(n) "'uuid': '932df16" n "-7a22-4067-a566-7e0ca8386133'"
#define MACHINE(type) "'hvparams': {'machine_version': '" type "'}"

static const char *const machines[] = { MACHINE("pc"), MACHINE("q35") };

static char *definition_text(const char *machine, const char *more)
{
	char *text = xasprintf("{'name': 'web1', " UUID ", %s%s}", machine, more);

	for (char *p = text; *p; p++)
		if (*p == '\'')
			*p = '"';
	return text;
}

static void plug(struct bare *b, const struct part *part)
{
	static const char *const commands[] = { "object-add", "blockdev-add", "netdev_add", "device_add" };
	_cleanup_free_ char *text = json_print(part->o);
	struct json_object *o = NULL;

	ck_assert(json_parse(text, strlen(text), &json_limits_qemu, &o, NULL));
	json_object_put(bare_ask(b, commands[part->outlet], o, -1));
}

static void plug_all(struct bare *b)
{
	struct argv_env env = bare_env(b, true);
	struct parts parts = { 0 };

	for (size_t i = 0; i < b->files.n; i++) {
		struct json_object *args = json_object_new_object();

		json_add_int(args, "fdset-id", b->files.items[i].set);
		json_add_str(args, "opaque", b->files.items[i].node);
		json_object_put(bare_ask(b, "add-fd", args, b->images[i]));
	}
	if (machine_kind(b->def.hvparams.machine_version) == MACHINE_PC)
		scsi_controller_part(&b->def, &env, &parts);
	for (size_t i = 0; i < b->def.disks.n; i++)
		disk_parts(&b->def, i, &env, &b->files, &parts);
	for (size_t i = 0; i < b->def.nics.n; i++)
		nic_parts(&b->def, i, &env, NULL, NULL, &parts);
	for (size_t i = 0; i < parts.n; i++)
		plug(b, &parts.items[i]);
	parts_clear(&parts);
}

START_TEST(test_plugged)
{
	_cleanup_free_ char *bare = definition_text(machines[_i], "");
	_cleanup_free_ char *full = definition_text(
		machines[_i],
		", 'disks': [{" DEV(
			"0") ", 'path': '/0', 'serial': 'one', 'shareable': true, 'bootindex': 3, "
			     "'cache': 'writethrough', 'throttle': {'iops_total': 100}}, "
			     "{" DEV("1") ", 'path': '/1', 'type': 'scsi-hd', 'format': 'qcow2', 'discard': 'unmap', "
					  "'detect_zeroes': 'unmap', 'cache': 'none', 'backing': [{'path': '/b', "
					  "'format': 'qcow2'}, {'path': '/c'}]}, "
					  "{" DEV("2") ", 'path': '/2', 'type': 'scsi-cd', 'media': 'cdrom'}, "
						       "{" DEV("3") ", 'media': 'cdrom', 'type': 'scsi-cd'}, {" DEV(
							       "4") ", 'path': '/4', 'mode': 'ro'}], "
								    "'nics': [{" DEV(
									    "5") ", 'mac': '52:54:00:00:00:01', 'mtu': "
										 "1400}, "
										 "{" DEV("6") ", 'mac': "
											      "'52:54:00:00:00:02', "
											      "'mode': 'none', 'type': "
											      "'e1000'}]");
	struct bare *b = bare_start(bare);
	struct argv_env env = bare_env(b, false);
	char **argv;

	bare_redefine(b, full);
	plug_all(b);
	/* As if all had been there at the start. */
	argv = argv_build(&b->def, &env, &b->files);
	check_nothing_else(b, check_argv(b, argv));
	argv_free(argv);
	bare_free(b);
}
END_TEST

/* ---- what a guest sees ---- */

/* Reads until TEXT has come; all that was read, the caller's. */
static char *read_until(int fd, const char *text)
{
	size_t n = 0, size = 1 << 20;
	char *data = xcalloc(1, size);

	while (!strstr(data, text)) {
		struct pollfd pfd = { fd, POLLIN, 0 };
		ssize_t got;

		ck_assert_msg(poll(&pfd, 1, RIG_DEADLINE_MS) == 1, "waiting for '%s': %s", text, data);
		got = read(fd, data + n, size - 1 - n);
		ck_assert_int_gt(got, 0);
		n += (size_t)got;
	}
	return data;
}

static void type(int fd, const char *line)
{
	ck_assert_int_eq(send(fd, line, strlen(line), MSG_NOSIGNAL), (ssize_t)strlen(line));
}

/* A device of the guest, by where it is and what it is. */
static const struct {
	const char *machine, *card, *lines[20];
} views[] = {
	{ MACHINE("pc"),
	  "'bus': 'pci.0', 'addr': '0xd'",
	  { "/0000:00:0c.0/virtio", "/block/vda 2880 ONE", "/0000:00:0e.0/virtio", "/block/vdb 2880 TWO",
	    "/0000:00:04.0/virtio", ":0:3:0/block/sda 2880", "/0000:00:0d.0/virtio", "/net/eth0 52:54:00:00:00:01",
	    "PCI 0000:00:03.0 0x1af4:0x1002", "PCI 0000:00:04.0 0x1af4:0x1004", "PCI 0000:00:05.0 0x1af4:0x1003",
	    "PCI 0000:00:06.0 0x1af4:0x1005", "PCI 0000:00:08.0 0x8086:0x25ab" } },
	{ MACHINE("q35"),
	  "'bus': 'rp1', 'addr': '0x0'",
	  { "/0000:00:03.0/0000:01:00.0/virtio", "/block/vda 2880 ONE", "/0000:00:03.2/0000:03:00.0/virtio",
	    "/block/vdb 2880 TWO", "/0000:00:02.1/virtio", ":0:3:0/block/sda 2880", "/0000:00:03.1/0000:02:00.0/virtio",
	    "/net/eth0 52:54:00:00:00:01", "PCI 0000:00:02.0 0x1af4:0x1002", "PCI 0000:00:02.1 0x1af4:0x1004",
	    "PCI 0000:00:02.2 0x1af4:0x1003", "PCI 0000:00:02.3 0x1af4:0x1005", "PCI 0000:00:02.5 0x8086:0x25ab",
	    "PCI 0000:00:05.7 0x1b36:0x000c" } },
};

START_TEST(test_guest_view)
{
	_cleanup_free_ char *machine = xstrndup(views[_i].machine, strlen(views[_i].machine) - 1);
	_cleanup_free_ char *head = xasprintf(
		"%s, 'watchdog': 'none', 'kernel_path': '/k', 'initrd_path': '/i', 'kernel_args': "
		"'t.net=none t.ga=0 t.shell=1 quiet'}, 'memory': '128M'",
		machine);
	_cleanup_free_ char *devices = xasprintf(
		", 'disks': [{" DEV(
			"0") ", 'path': '/0', 'serial': 'ONE'}, "
			     "{" DEV("1") ", 'path': '/1', 'type': 'scsi-hd', 'hvinfo': {'scsi-id': 3}}, "
					  "{" DEV("2") ", 'path': '/2', 'serial': 'TWO'}], "
						       "'nics': [{" DEV(
							       "5") ", 'mac': '52:54:00:00:00:01', 'hvinfo': {%s}}]",
		views[_i].card);
	_cleanup_free_ char *json = definition_text(head, devices), *seen = NULL, *up = NULL;
	struct bare *b;
	int serial;

	b = bare_start(json);
	serial = bare_connect(b, FD_SERIAL);
	json_object_put(bare_ask(b, "cont", NULL, -1));
	up = read_until(serial, "GUEST-ADD net");
	/* END is written so that the echo of this line is not it. */
	type(serial, "for d in /sys/block/[vs]d?; do echo $(readlink -f $d) $(cat $d/size $d/serial); done; "
		     "for d in /sys/class/net/eth*; do echo $(readlink -f $d) $(cat $d/address); done; "
		     "for d in /sys/bus/pci/devices/*; do echo PCI ${d##*/} $(cat $d/vendor):$(cat $d/device); done; "
		     "echo E''ND\n");
	seen = read_until(serial, "\nEND");
	for (const char *const *line = views[_i].lines; *line; line++)
		ck_assert_msg(strstr(seen, *line), "'%s' is not in %s", *line, seen);
	close(serial);
	bare_free(b);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("argv, real");
	TCase *tc = tcase_create("argv");

	suite_add_tcase(suite, tc);
	tcase_set_timeout(tc, 600);
	tcase_add_test(tc, test_golden);
	tcase_add_loop_test(tc, test_plugged, 0, ARRAY_SIZE(machines));
	tcase_add_loop_test(tc, test_guest_view, 0, ARRAY_SIZE(views));
	return suite;
}

int main(void)
{
	return guest_main(make_suite);
}
