/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * drover-probe: asks a QEMU binary what it can do.
 *
 *   drover-probe [--limit SECONDS] BINARY
 *
 * A program of its own, so that what a binary says is read outside of droverd and its large replies cost the daemon no
 * memory. It starts BINARY without a machine, talks QMP to it over a socket pair, prints one JSON object, and ends;
 * what it prints is for qmp/caps.c, which checks it. A failure is one line on stderr, "CLASS: words", and status 1.
 * Nothing is decided here by a version, which is passed on for people.
 *
 * BINARY and what it started is killed in any case: by us, and by the kernel if we are killed, as we are if droverd is.
 */
#include "qmp/probe.h"
#include "qmp/quirks.h"

#include <ctype.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

enum { LIMIT_S = 20, CAPS_FORMAT = 3, NAME_MAX_BYTES = 127 };

/* Whose properties are asked for: what drover puts on a command line or adds. */
static const char *const devices[] = {
	"virtio-blk-pci",
	"virtio-net-pci",
	"virtio-scsi-pci",
	"scsi-hd",
	"scsi-cd",
	"scsi-block",
	"scsi-generic",
	"ide-hd",
	"ide-cd",
	"floppy",
	"isa-fdc",
	"lsi53c895a",
	"megasas",
	"virtio-serial-pci",
	"virtserialport",
	"virtio-rng-pci",
	"virtio-balloon-pci",
	"i6300esb",
	"pvpanic",
	"tpm-tis",
	"pcie-root-port",
	"e1000",
	"i82551",
	"i82557b",
	"i82559er",
	"ne2k_isa",
	"ne2k_pci",
	"pcnet",
	"rtl8139",
	"nec-usb-xhci",
	"qemu-xhci",
	"usb-tablet",
	"usb-mouse",
	"usb-kbd",
	"usb-wacom-tablet",
	"AC97",
	"ES1370",
	"intel-hda",
	"ich9-intel-hda",
	"hda-duplex",
	"virtio-sound-pci",
	"adlib",
	"cs4231a",
	"gus",
	"sb16",
	"VGA",
	"cirrus-vga",
	"qxl-vga",
	"virtio-vga",
	"vmware-svga",
	"virtio-mem-pci",
	"pc-dimm",
	"isa-serial",
	"isa-debug-exit",
};

static struct json_object *arg(const char *key, const char *value)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, key, value);
	return o;
}

/* ---- names ---- */

/* The element I of a list, if it is an object or there is one. */
static struct json_object *element(struct json_object *list, size_t i)
{
	return json_object_is_type(list, json_type_array) ? json_object_array_get_idx(list, i) : NULL;
}

/* What could not stand in a list parted by blanks is no name. */
static bool is_name(const char *s)
{
	size_t n = 0;

	for (; s && s[n]; n++)
		if (!isgraph((unsigned char)s[n]))
			return false;
	return n > 0 && n <= NAME_MAX_BYTES;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The members KEY of LIST's objects, or its strings where KEY is NULL: sorted, each once, parted by blanks. */
static struct json_object *names(struct json_object *list, const char *key)
{
	_cleanup_free_ const char **v = xcalloc(json_length(list) + 1, sizeof(*v));
	_cleanup_free_ char *text = NULL;
	size_t n = 0, size = 1, at = 0;

	for (size_t i = 0; i < json_length(list); i++) {
		struct json_object *o = element(list, i);
		const char *name = key ? json_get_str(o, key) : NULL;

		if (!key && json_object_is_type(o, json_type_string))
			name = json_object_get_string(o);
		if (!name || !is_name(name))
			continue;
		v[n++] = name;
		size += strlen(name) + 1;
	}
	qsort(v, n, sizeof(*v), compare);
	text = xcalloc(size, 1);
	for (size_t i = 0; i < n; i++) {
		if (i && str_eq(v[i - 1], v[i]))
			continue;
		at += (size_t)snprintf(text + at, size - at, "%s%s", at ? " " : "", v[i]);
	}
	return json_object_new_string(text);
}

/* ---- the schema ---- */

/* The entity called NAME. Twenty look-ups do not need an index. */
static struct json_object *entity(struct json_object *schema, const char *name)
{
	for (size_t i = 0; name && i < json_length(schema); i++)
		if (str_eq(json_get_str(element(schema, i), "name"), name))
			return element(schema, i);
	return NULL;
}

static struct json_object *find(struct json_object *list, const char *key, const char *value)
{
	for (size_t i = 0; i < json_length(list); i++)
		if (str_eq(json_get_str(element(list, i), key), value))
			return element(list, i);
	return NULL;
}

static struct json_object *list_of(struct json_object *o, const char *key)
{
	return json_get_typed(o, key, json_type_array);
}

static struct json_object *arguments_of(struct json_object *schema, const char *command)
{
	return entity(schema, json_get_str(entity(schema, command), "arg-type"));
}

/* The values of the member MEMBER, an enumeration, of OBJECT; the schema's, or NULL. */
static struct json_object *values_of(struct json_object *schema, struct json_object *object, const char *member)
{
	struct json_object *m = find(list_of(object, "members"), "name", member);

	return list_of(entity(schema, json_get_str(m, "type")), "values");
}

/* What an element of the list is that the member MEMBER of OBJECT is. */
static struct json_object *elements_of(struct json_object *schema, struct json_object *object, const char *member)
{
	struct json_object *m = find(list_of(object, "members"), "name", member);

	return entity(schema, json_get_str(entity(schema, json_get_str(m, "type")), "element-type"));
}

static bool stream_reconnects(struct json_object *schema)
{
	struct json_object *variants = list_of(arguments_of(schema, "netdev_add"), "variants");
	struct json_object *stream = entity(schema, json_get_str(find(variants, "case", "stream"), "type"));
	struct json_object *members = list_of(stream, "members");

	return !stream || find(members, "name", "reconnect") || find(members, "name", "reconnect-ms");
}

/* What the schema lists and is there: it lists what was not built, and a name or two that is another one in fact. */
static struct json_object *objects(struct probe *p, struct json_object *listed)
{
	_cleanup_json_ struct json_object *args = arg("implements", "user-creatable"), *types = NULL;
	_cleanup_json_ struct json_object *both = json_object_new_array();

	json_add_bool(args, "abstract", false);
	types = probe_ask(p, "qom-list-types", TAKE_PTR(args), json_type_array);
	for (size_t i = 0; i < json_length(listed); i++)
		if (find(types, "name", json_object_get_string(element(listed, i))))
			json_object_array_add(both, json_object_get(element(listed, i)));
	return names(both, NULL);
}

static bool ask_schema(struct probe *p, struct json_object *sets)
{
	_cleanup_json_ struct json_object *schema = probe_ask(p, "query-qmp-schema", NULL, json_type_array);
	struct json_object *migration = elements_of(schema, arguments_of(schema, "migrate-set-capabilities"),
						    "capabilities");

	json_add(sets, "objects", objects(p, values_of(schema, arguments_of(schema, "object-add"), "qom-type")));
	json_add(sets, "blockdevs", names(values_of(schema, arguments_of(schema, "blockdev-add"), "driver"), NULL));
	json_add(sets, "netdevs", names(values_of(schema, arguments_of(schema, "netdev_add"), "type"), NULL));
	json_add(sets, "migration", names(values_of(schema, migration, "capability"), NULL));
	return stream_reconnects(schema);
}

/* ---- the rest ---- */

static void ask_version(struct probe *p, struct json_object *o)
{
	_cleanup_json_ struct json_object *v = probe_ask(p, "query-version", NULL, json_type_object);
	struct json_object *qemu = json_get_typed(v, "qemu", json_type_object);
	_cleanup_free_ char *text = xasprintf("%d.%d.%d", (int)json_get_int(qemu, "major", 0),
					      (int)json_get_int(qemu, "minor", 0), (int)json_get_int(qemu, "micro", 0));

	json_add_str(o, "version", text);
	json_add_str(o, "package", json_get_str(v, "package"));
}

static void ask_sets(struct probe *p, struct json_object *sets)
{
	_cleanup_json_ struct json_object *commands = probe_ask(p, "query-commands", NULL, json_type_array),
					  *types = NULL, *cpus = NULL;
	struct json_object *args = arg("implements", "device");

	json_add(sets, "commands", names(commands, "name"));
	json_add_bool(args, "abstract", false);
	types = probe_ask(p, "qom-list-types", args, json_type_array);
	json_add(sets, "devices", names(types, "name"));
	cpus = probe_try(p, "query-cpu-definitions", NULL);
	json_add(sets, "cpus", names(cpus, "name"));
}

static void ask_devices(struct probe *p, struct json_object *o)
{
	struct json_object *all = json_object_new_object();

	json_add(o, "properties", all);
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		_cleanup_json_ struct json_object *list = probe_try(p, "device-list-properties",
								    arg("typename", devices[i]));

		if (list)
			json_add(all, devices[i], names(list, "name"));
	}
}

/* The number, in SETS, of the properties of machine NAME; -1 if it is none of drover's kinds. Asking makes such a
 * machine for a moment, which is more than some of the others bear: microvm takes QEMU down. */
static int machine_properties(struct probe *p, const char *name, struct json_object *sets)
{
	_cleanup_free_ char *type = xasprintf("%s-machine", name);
	_cleanup_json_ struct json_object *list = NULL, *set = NULL;
	size_t i;

	if (!str_starts(name, "pc-i440fx-") && !str_starts(name, "pc-q35-"))
		return -1;
	list = probe_try(p, "qom-list-properties", arg("typename", type));
	if (!list)
		return -1;
	set = names(list, "name");
	for (i = 0; i < json_length(sets); i++)
		if (json_object_equal(element(sets, i), set))
			return (int)i;
	json_object_array_add(sets, TAKE_PTR(set));
	return (int)i;
}

static void ask_machines(struct probe *p, struct json_object *o)
{
	_cleanup_json_ struct json_object *list = probe_ask(p, "query-machines", NULL, json_type_array);
	struct json_object *machines = json_object_new_array(), *sets = json_object_new_array();

	json_add(o, "machines", machines);
	json_add(o, "machine-properties", sets);
	for (size_t i = 0; i < json_length(list); i++) {
		struct json_object *from = element(list, i), *to;
		const char *name = json_get_str(from, "name"), *alias = json_get_str(from, "alias");
		int set;

		if (!is_name(name))
			continue;
		to = json_object_new_object();
		json_add_str(to, "name", name);
		json_add_str(to, "alias", is_name(alias) ? alias : NULL);
		json_add_int(to, "cpus", json_get_int(from, "cpu-max", 0));
		if (json_get_bool(from, "deprecated", false))
			json_add_bool(to, "deprecated", true);
		set = machine_properties(p, name, sets);
		if (set >= 0)
			json_add_int(to, "properties", set);
		json_object_array_add(machines, to);
	}
}

/* ---- quirks ---- */

static bool keeps_removed_fd(struct probe *p)
{
	_cleanup_close_ int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	_cleanup_json_ struct json_object *added = probe_exchange(p, "add-fd", NULL, fd), *removed = NULL, *left = NULL;
	struct json_object *args = json_object_new_object();

	json_add_int(args, "fdset-id", json_get_int(json_get_typed(added, "return", json_type_object), "fdset-id", 0));
	removed = probe_try(p, "remove-fd", args);
	left = probe_try(p, "query-fdsets", NULL);
	return removed && json_length(left) > 0;
}

/* Either refuses; only one of them understands it as the name of a driver. */
static bool takes_text(struct probe *p)
{
	_cleanup_json_ struct json_object *args = json_object_new_object(), *reply = NULL;
	const char *desc;

	json_add_int(args, "driver", 5);
	reply = probe_exchange(p, "device_add", TAKE_PTR(args), -1);
	desc = json_get_str(json_get_typed(reply, "error", json_type_object), "desc");
	return desc && strstr(desc, "'5'");
}

static void add_quirks(struct probe *p, struct json_object *o, bool reconnects)
{
	const bool has[QUIRK_COUNT] = {
		[QUIRK_REMOVE_FD_NEEDS_RUNNING] = keeps_removed_fd(p),
		[QUIRK_DEVICE_ADD_TAKES_TEXT] = takes_text(p),
		[QUIRK_STREAM_STAYS_DOWN] = !reconnects,
	};
	_cleanup_json_ struct json_object *list = json_object_new_array();

	for (int i = 0; i < QUIRK_COUNT; i++)
		if (has[i])
			json_object_array_add(list, json_object_new_string(quirk_info((enum quirk)i)->name));
	json_add(o, "quirks", names(list, NULL));
}

static void probe(struct probe *p)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct json_object *sets = json_object_new_object();
	_cleanup_free_ char *text = NULL;
	bool reconnects;

	probe_start(p);
	json_add_int(o, "format", CAPS_FORMAT);
	ask_version(p, o);
	json_add(o, "sets", sets);
	ask_sets(p, sets);
	reconnects = ask_schema(p, sets);
	ask_devices(p, o);
	add_quirks(p, o, reconnects);
	ask_machines(p, o);
	probe_quit(p);
	text = json_print(o);
	puts(text);
}

int main(int argc, char **argv)
{
	static struct probe p = { .sock = -1, .words = -1, .limit = LIMIT_S };
	const char *limit = argc == 4 && str_eq(argv[1], "--limit") ? argv[2] : NULL;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	p.binary = argv[argc - 1];
	if (limit)
		p.limit = (int)strtol(limit, NULL, 10);
	if ((argc != 2 && !limit) || p.limit <= 0 || p.limit > 3600 || p.binary[0] != '/') {
		fputs("Usage: drover-probe [--limit SECONDS] /PATH/OF/BINARY\n", stderr);
		return 2;
	}
	probe(&p);
	return 0;
}
