/* SPDX-License-Identifier: BSD-2-Clause */
#include "qmp/caps.h"

#include <assert.h>
#include <ctype.h>
#include <limits.h>
#include <string.h>

enum {
	FORMAT = 3, /* as drover-probe's */
	NAMES_MAX = UINT16_MAX,
	NAME_BYTES = 127,
	TEXT_BYTES = 1 << 20,
	MACHINES_MAX = 1024,
	SETS_MAX = 256,
};

static const char *const kinds[] = {
	[CAPS_COMMAND] = "commands",    [CAPS_DEVICE] = "devices", [CAPS_OBJECT] = "objects",
	[CAPS_BLOCKDEV] = "blockdevs",  [CAPS_NETDEV] = "netdevs", [CAPS_CPU] = "cpus",
	[CAPS_MIGRATION] = "migration",
};
static_assert(ARRAY_SIZE(kinds) == CAPS_KIND_COUNT, "one member per kind");

/* What query-host tells of: names that decide whether drover can do something. */
static const struct {
	const char *name;
	enum caps_kind kind;
	const char *of;
} shown[] = {
	{ "balloon", CAPS_DEVICE, "virtio-balloon-pci" },
	{ "iothread", CAPS_OBJECT, "iothread" },
	{ "mapped-ram", CAPS_MIGRATION, "mapped-ram" },
	{ "multifd", CAPS_MIGRATION, "multifd" },
	{ "passt", CAPS_NETDEV, "stream" },
	{ "spice", CAPS_COMMAND, "query-spice" },
	{ "throttle-group", CAPS_OBJECT, "throttle-group" },
	{ "tpm", CAPS_DEVICE, "tpm-crb" },
	{ "user-network", CAPS_NETDEV, "user" },
	{ "virtio-mem", CAPS_DEVICE, "virtio-mem-pci" },
	{ "vnc", CAPS_COMMAND, "query-vnc" },
};

struct set {
	uint16_t *v; /* numbers of names, ascending */
	size_t n;
};

struct machine {
	uint16_t name, alias; /* alias == name: has none */
	int16_t properties;   /* number of the set, or -1 */
	int cpus;             /* 0: unknown */
	bool deprecated;
};

struct device {
	uint16_t name;
	struct set properties;
};

struct caps {
	unsigned refs;
	char *version, *package;
	char *pool;
	uint32_t *names; /* where each begins in the pool, in the order of strcmp() */
	size_t n_names, pool_size;
	struct set kinds[CAPS_KIND_COUNT];
	struct device *devices; /* by name */
	size_t n_devices;
	struct set *machine_properties;
	size_t n_machine_properties;
	struct machine *machines; /* as QEMU lists them */
	size_t n_machines;
	unsigned quirks; /* bits */
};

static const char *name_at(const struct caps *c, size_t i)
{
	return c->pool + c->names[i];
}

/* -1: no name of any set. */
static int name_find(const struct caps *c, const char *name)
{
	size_t low = 0, high = c->n_names;

	while (name && low < high) {
		size_t mid = low + (high - low) / 2;
		int order = strcmp(name, name_at(c, mid));

		if (order == 0)
			return (int)mid;
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return -1;
}

static bool set_has(const struct set *s, int name)
{
	size_t low = 0, high = s->n;

	while (name >= 0 && low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->v[mid] == name)
			return true;
		if (name < s->v[mid])
			high = mid;
		else
			low = mid + 1;
	}
	return false;
}

/* ---- reading: first all names into the pool, then the sets ---- */

struct builder {
	const char **v; /* names, which are no NUL-terminated strings yet */
	size_t n, room;
	char *text; /* copies of the lists, cut into names */
	size_t text_n;
};

/* Names parted by single blanks; "" is none. */
static bool names_valid(const char *list)
{
	size_t n = 0;

	for (const char *p = list;; p++) {
		if (*p == ' ' || *p == '\0') {
			if ((n == 0 && *list) || n > NAME_BYTES)
				return false;
			if (!*p)
				return true;
			n = 0;
		} else if (!isgraph((unsigned char)*p)) {
			return false;
		} else {
			n++;
		}
	}
}

static bool collect(struct builder *b, struct json_object *value, const char *what, struct err **e)
{
	const char *list = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
	size_t len = list ? strlen(list) : 0;
	char *at = b->text + b->text_n, *save = NULL;

	if (!list || !names_valid(list))
		return err_set(e, ERR_GENERIC, "'%s' is no list of names", what);
	if (len + 1 > TEXT_BYTES - b->text_n)
		return err_set(e, ERR_GENERIC, "the names are longer than %d bytes", TEXT_BYTES);
	memcpy(at, list, len + 1);
	b->text_n += len + 1;
	for (char *name = strtok_r(at, " ", &save); name; name = strtok_r(NULL, " ", &save)) {
		if (b->n == b->room) {
			b->room = b->room ? b->room * 2 : 1024;
			b->v = xrealloc(b->v, b->room, sizeof(*b->v));
		}
		b->v[b->n++] = name;
	}
	return true;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool pool_make(struct caps *c, struct builder *b, struct err **e)
{
	size_t n = 0;

	qsort(b->v, b->n, sizeof(*b->v), compare_names);
	for (size_t i = 0; i < b->n; i++)
		if (!n || !str_eq(b->v[n - 1], b->v[i]))
			b->v[n++] = b->v[i];
	if (n > NAMES_MAX)
		return err_set(e, ERR_GENERIC, "more than %d names", NAMES_MAX);
	for (size_t i = 0; i < n; i++)
		c->pool_size += strlen(b->v[i]) + 1;
	c->pool = xcalloc(c->pool_size + 1, 1);
	c->names = xcalloc(n + 1, sizeof(*c->names));
	c->n_names = n;
	for (size_t i = 0, at = 0; i < n; i++) {
		size_t size = strlen(b->v[i]) + 1;

		memcpy(c->pool + at, b->v[i], size);
		c->names[i] = (uint32_t)at;
		at += size;
	}
	return true;
}

static int compare_numbers(const void *a, const void *b)
{
	return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

/* VALUE has been collected. */
static struct set set_make(const struct caps *c, struct json_object *value)
{
	_cleanup_free_ char *text = xstrdup(json_object_get_string(value));
	struct set s = { 0 };
	char *save = NULL;
	size_t room = 1;

	for (const char *p = text; *p; p++)
		room += *p == ' ';
	s.v = xcalloc(room, sizeof(*s.v));
	for (char *name = strtok_r(text, " ", &save); name; name = strtok_r(NULL, " ", &save))
		s.v[s.n++] = (uint16_t)name_find(c, name);
	qsort(s.v, s.n, sizeof(*s.v), compare_numbers);
	return s;
}

/* The parts of the object, each of the type that it must be. */
struct parts {
	struct json_object *sets, *properties, *machine_properties, *machines;
};

static bool collect_machines(struct builder *b, const struct parts *p, struct err **e)
{
	size_t n = json_object_array_length(p->machines), sets = json_object_array_length(p->machine_properties);

	if (n > MACHINES_MAX || sets > SETS_MAX)
		return err_set(e, ERR_GENERIC, "too many machines");
	for (size_t i = 0; i < sets; i++)
		if (!collect(b, json_object_array_get_idx(p->machine_properties, i), "machine-properties", e))
			return false;
	for (size_t i = 0; i < n; i++) {
		struct json_object *m = json_object_array_get_idx(p->machines, i);
		const char *name = json_get_str(m, "name"), *alias = json_get_str(m, "alias");
		int64_t set = json_get_int(m, "properties", -1), cpus = json_get_int(m, "cpus", 0);
		bool has_alias = json_object_object_get_ex(m, "alias", NULL);

		if (str_empty(name) || strchr(name, ' ') || (has_alias && (str_empty(alias) || strchr(alias, ' '))) ||
		    set < -1 || set >= (int64_t)sets || cpus < 0 || cpus > INT_MAX)
			return err_set(e, ERR_GENERIC, "'machines[%zu]' is no machine", i);
		if (!collect(b, json_get_typed(m, "name", json_type_string), "machines", e) ||
		    (alias && !collect(b, json_get_typed(m, "alias", json_type_string), "machines", e)))
			return false;
	}
	return true;
}

static bool collect_all(struct builder *b, const struct parts *p, struct err **e)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!collect(b, json_get_typed(p->sets, kinds[i], json_type_string), kinds[i], e))
			return false;
	if (json_object_object_length(p->properties) > SETS_MAX)
		return err_set(e, ERR_GENERIC, "too many devices");
	json_object_object_foreach(p->properties, device, list) {
		_cleanup_json_ struct json_object *name = json_object_new_string(device);

		if (str_empty(device) || strchr(device, ' ') || !collect(b, name, "properties", e) ||
		    !collect(b, list, device, e)) {
			if (e && !*e)
				err_set(e, ERR_GENERIC, "'properties' has a member that is no device");
			return false;
		}
	}
	return collect_machines(b, p, e);
}

static int compare_devices(const void *a, const void *b)
{
	return (int)((const struct device *)a)->name - (int)((const struct device *)b)->name;
}

static void fill(struct caps *c, const struct parts *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		c->kinds[i] = set_make(c, json_get_typed(p->sets, kinds[i], json_type_string));
	c->devices = xcalloc((size_t)json_object_object_length(p->properties) + 1, sizeof(*c->devices));
	json_object_object_foreach(p->properties, device, list) {
		struct device *d = &c->devices[c->n_devices++];

		d->name = (uint16_t)name_find(c, device);
		d->properties = set_make(c, list);
	}
	qsort(c->devices, c->n_devices, sizeof(*c->devices), compare_devices);
	c->n_machine_properties = json_object_array_length(p->machine_properties);
	c->machine_properties = xcalloc(c->n_machine_properties + 1, sizeof(*c->machine_properties));
	for (size_t i = 0; i < c->n_machine_properties; i++)
		c->machine_properties[i] = set_make(c, json_object_array_get_idx(p->machine_properties, i));
	c->n_machines = json_object_array_length(p->machines);
	c->machines = xcalloc(c->n_machines + 1, sizeof(*c->machines));
	for (size_t i = 0; i < c->n_machines; i++) {
		struct json_object *m = json_object_array_get_idx(p->machines, i);
		const char *name = json_get_str(m, "name"), *alias = json_get_str(m, "alias");

		c->machines[i].name = (uint16_t)name_find(c, name);
		c->machines[i].alias = (uint16_t)name_find(c, alias ? alias : name);
		c->machines[i].properties = (int16_t)json_get_int(m, "properties", -1);
		c->machines[i].cpus = (int)json_get_int(m, "cpus", 0);
		c->machines[i].deprecated = json_get_bool(m, "deprecated", false);
	}
}

static bool read_quirks(struct caps *c, struct json_object *o, struct err **e)
{
	const char *list = json_get_str(o, "quirks");
	_cleanup_free_ char *text = xstrdup(list ? list : "");
	char *save = NULL;

	if (!list)
		return err_set(e, ERR_GENERIC, "there is no 'quirks'");
	for (char *name = strtok_r(text, " ", &save); name; name = strtok_r(NULL, " ", &save)) {
		enum quirk q = quirk_from_name(name);

		if (q == QUIRK_NONE)
			return err_set(e, ERR_GENERIC, "unknown quirk '%s'", name);
		c->quirks |= 1U << (unsigned)q;
	}
	return true;
}

struct caps *caps_from_json(struct json_object *o, struct err **e)
{
	const struct parts p = {
		.sets = json_get_typed(o, "sets", json_type_object),
		.properties = json_get_typed(o, "properties", json_type_object),
		.machine_properties = json_get_typed(o, "machine-properties", json_type_array),
		.machines = json_get_typed(o, "machines", json_type_array),
	};
	const char *version = json_get_str(o, "version");
	struct builder b = { 0 };
	struct caps *c;
	bool ok;

	if (json_get_int(o, "format", 0) != FORMAT) {
		err_set(e, ERR_GENERIC, "capabilities in another format than %d", FORMAT);
		return NULL;
	}
	if (!p.sets || !p.properties || !p.machine_properties || !p.machines || !version) {
		err_set(e, ERR_GENERIC, "capabilities that are not whole");
		return NULL;
	}
	c = xcalloc(1, sizeof(*c));
	c->refs = 1;
	c->version = xstrdup(version);
	c->package = xstrdup(json_get_str(o, "package"));
	b.text = xcalloc(TEXT_BYTES, 1);
	ok = collect_all(&b, &p, e) && pool_make(c, &b, e) && read_quirks(c, o, e);
	if (ok)
		fill(c, &p);
	free(b.v);
	free(b.text);
	return ok ? c : caps_unref(c);
}

struct caps *caps_ref(struct caps *c)
{
	c->refs++;
	return c;
}

struct caps *caps_unref(struct caps *c)
{
	if (!c || --c->refs)
		return NULL;
	for (size_t i = 0; i < CAPS_KIND_COUNT; i++)
		free(c->kinds[i].v);
	for (size_t i = 0; i < c->n_devices; i++)
		free(c->devices[i].properties.v);
	for (size_t i = 0; i < c->n_machine_properties; i++)
		free(c->machine_properties[i].v);
	free(c->devices);
	free(c->machine_properties);
	free(c->machines);
	free(c->names);
	free(c->pool);
	free(c->version);
	free(c->package);
	free(c);
	return NULL;
}

/* ---- questions ---- */

const char *caps_version(const struct caps *c)
{
	return c->version;
}

static const struct machine *machine_find(const struct caps *c, const char *name_or_alias)
{
	int name = name_find(c, name_or_alias);
	const struct machine *alias = NULL;

	for (size_t i = 0; name >= 0 && i < c->n_machines; i++) {
		if (c->machines[i].name == name)
			return &c->machines[i];
		if (c->machines[i].alias == name)
			alias = &c->machines[i];
	}
	return alias;
}

const char *caps_machine(const struct caps *c, const char *name_or_alias)
{
	const struct machine *m = machine_find(c, name_or_alias);

	return m ? name_at(c, m->name) : NULL;
}

bool caps_machine_is_deprecated(const struct caps *c, const char *name_or_alias)
{
	const struct machine *m = machine_find(c, name_or_alias);

	return m && m->deprecated;
}

int caps_machine_cpus(const struct caps *c, const char *name_or_alias)
{
	const struct machine *m = machine_find(c, name_or_alias);

	return m ? m->cpus : 0;
}

bool caps_has_machine_property(const struct caps *c, const char *name_or_alias, const char *property)
{
	const struct machine *m = machine_find(c, name_or_alias);

	return m && m->properties >= 0 && set_has(&c->machine_properties[m->properties], name_find(c, property));
}

bool caps_has(const struct caps *c, enum caps_kind kind, const char *name)
{
	return set_has(&c->kinds[kind], name_find(c, name));
}

bool caps_has_property(const struct caps *c, const char *device, const char *property)
{
	struct device key = { .name = 0 };
	const struct device *d;
	int name = name_find(c, device);

	if (name < 0)
		return false;
	key.name = (uint16_t)name;
	d = bsearch(&key, c->devices, c->n_devices, sizeof(key), compare_devices);
	return d && set_has(&d->properties, name_find(c, property));
}

bool caps_has_quirk(const struct caps *c, enum quirk q)
{
	return c->quirks & (1U << (unsigned)q);
}

struct json_object *caps_describe(const struct caps *c)
{
	struct json_object *o = json_object_new_object(), *machines = json_object_new_object();
	struct json_object *capabilities = json_object_new_object(), *quirks = json_object_new_array();

	json_add_str(o, "version", c->version);
	json_add_str(o, "package", c->package);
	json_add(o, "machines", machines);
	for (size_t i = 0; i < c->n_machines; i++)
		if (c->machines[i].alias != c->machines[i].name)
			json_add_str(machines, name_at(c, c->machines[i].alias), name_at(c, c->machines[i].name));
	json_add(o, "capabilities", capabilities);
	for (size_t i = 0; i < ARRAY_SIZE(shown); i++)
		json_add_bool(capabilities, shown[i].name, caps_has(c, shown[i].kind, shown[i].of));
	json_add(o, "quirks", quirks);
	for (int i = 0; i < QUIRK_COUNT; i++)
		if (caps_has_quirk(c, (enum quirk)i))
			json_object_array_add(quirks, json_object_new_string(quirk_info((enum quirk)i)->name));
	return o;
}

size_t caps_size(const struct caps *c)
{
	size_t size = sizeof(*c) + c->pool_size + c->n_names * sizeof(*c->names) + c->n_devices * sizeof(*c->devices) +
		      c->n_machines * sizeof(*c->machines);

	for (size_t i = 0; i < CAPS_KIND_COUNT; i++)
		size += c->kinds[i].n * sizeof(uint16_t);
	for (size_t i = 0; i < c->n_devices; i++)
		size += c->devices[i].properties.n * sizeof(uint16_t);
	for (size_t i = 0; i < c->n_machine_properties; i++)
		size += c->machine_properties[i].n * sizeof(uint16_t);
	return size;
}
