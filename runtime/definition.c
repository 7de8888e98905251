/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/definition.h"

#include "runtime/autostart.h"
#include "runtime/boot.h"
#include "runtime/display.h"
#include "runtime/media.h"
#include "runtime/memory.h"
#include "runtime/microvm.h"
#include "runtime/slots.h"

#include <inttypes.h>
#include <string.h>
#include <sys/random.h>
#include <uuid/uuid.h>

/* Of a uuid's text: its first three groups and its first two, between dashes. */
enum { LAYOUT = 1, MEMORY_MIN = 1 << 20, DEVICES_MAX = 512, ID_GROUPS = 18, TAP_GROUPS = 13 };

static const struct param disk_row = { .name = "", .type = PARAM_OBJECT, .rows = disk_rows };
static const struct param nic_row = { .name = "", .type = PARAM_OBJECT, .rows = nic_rows };

static const char *const on_host_shutdowns[] = { "shutdown", "save", "leave", NULL };

#define DEF(member) PARAM_AT(struct definition, member), .since = "0.1.0"
const struct param definition_rows[] = {
	{ "name", PARAM_NAME, .required = true, DEF(name), .change = CHANGE_NEVER, .doc = "Name, unique on the host." },
	{ "uuid", PARAM_UUID, DEF(uuid), .change = CHANGE_NEVER, .doc = "Identity; made when absent." },
	{ "description", PARAM_TEXT, .def = "\"\"", DEF(description), .change = CHANGE_LIVE, .doc = "For people." },
	{ "metadata", PARAM_MAP, DEF(metadata), .change = CHANGE_LIVE, .doc = "Text by key, for programs." },
	{ "layout", PARAM_INT, .min = LAYOUT, .max = LAYOUT, .def = "1", DEF(layout), .change = CHANGE_NEVER,
	  .doc = "Revision of the layout of devices." },
	{ "vcpus", PARAM_INT, .min = 1, .max = 512, .def = "1", DEF(vcpus), .change = CHANGE_RESTART,
	  .doc = "Virtual processors; a PC has at most 255, other machines what the binary says, and 255 without "
		 "KVM." },
	{ "memory", PARAM_SIZE, .min = MEMORY_MIN, .def = "\"512M\"", DEF(memory), .change = CHANGE_RESTART,
	  .unit = "bytes", .doc = "Memory that the guest boots with." },
	{ "hvparams", PARAM_OBJECT, .rows = hvparam_rows, DEF(hvparams), .change = CHANGE_RESTART,
	  .doc = "Parameters of the hypervisor." },
	{ "disks", PARAM_LIST, .rows = &disk_row, .size = sizeof(struct disk), .max = DEVICES_MAX, DEF(disks),
	  .change = CHANGE_RESTART, .doc = "Disks." },
	{ "nics", PARAM_LIST, .rows = &nic_row, .size = sizeof(struct nic), .max = DEVICES_MAX, DEF(nics),
	  .change = CHANGE_RESTART, .doc = "Network cards." },
	{ "autostart", PARAM_ANY, .def = "false", DEF(autostart), .change = CHANGE_LIVE,
	  .doc = "Start it when the host has booted: true or false, or {order, delay}: lower orders first (0 to "
		 "1000000, default 0), equal ones together, and so many seconds before the next order." },
	{ "on_host_shutdown", PARAM_CHOICE, .choices = on_host_shutdowns, .def = "\"shutdown\"", DEF(on_host_shutdown),
	  .change = CHANGE_LIVE,
	  .doc = "What becomes of it when the host shuts down: it is shut down, and ended if it does not obey; saved, "
		 "which is a shutdown until there is instance-save; or left, and ends with the host." },
	PARAM_END
};

struct disk *definition_disk(const struct definition *def, size_t i)
{
	return (struct disk *)def->disks.items + i;
}

struct nic *definition_nic(const struct definition *def, size_t i)
{
	return (struct nic *)def->nics.items + i;
}

char *device_id(const char *kind, const char *uuid)
{
	return xasprintf("%s-%.*s", kind, ID_GROUPS, uuid);
}

void definition_set_machine(struct json_object *stored, const char *machine)
{
	struct json_object *hv = json_get_typed(stored, "hvparams", json_type_object);

	if (!hv) {
		hv = json_object_new_object();
		json_add(stored, "hvparams", hv);
	}
	json_add_str(hv, "machine_version", machine);
}

const char *definition_machine(struct json_object *stored)
{
	const char *machine = json_get_str(json_get_typed(stored, "hvparams", json_type_object), "machine_version");

	return machine ? machine : "pc";
}

bool definition_has_acpi(struct json_object *stored)
{
	return json_get_bool(json_get_typed(stored, "hvparams", json_type_object), "acpi", true);
}

/* ---- checks ---- */

/* A text of element I of a list; NULL: it has none there. */
typedef char **member_fn(const struct definition *def, size_t i);

/* TEXT of element I of LIST is nobody else's, as far as its first LEN bytes go. */
static bool check_unique(const char *list, const char *member, size_t n, member_fn *get, const struct definition *def,
			 size_t len, struct err **e)
{
	for (size_t i = 1; i < n; i++) {
		char **one = get(def, i);

		for (size_t j = 0; one && *one && j < i; j++) {
			char **other = get(def, j);
			_cleanup_free_ char *path = NULL;

			if (!other || !*other || strncasecmp(*one, *other, len) != 0)
				continue;
			path = xasprintf("%s[%zu].%s", list, i, member);
			return err_set_param(e, path, "'%s' is %s[%zu]'s already%s", *one, list, j,
					     len == ID_GROUPS  ? " (the first three groups count)" :
					     len == TAP_GROUPS ? " (the first two groups name a tap)" :
								 "");
		}
	}
	return true;
}

static char **disk_uuid(const struct definition *def, size_t i)
{
	return &definition_disk(def, i)->uuid;
}

static char **disk_name(const struct definition *def, size_t i)
{
	return &definition_disk(def, i)->name;
}

static char **nic_uuid(const struct definition *def, size_t i)
{
	return &definition_nic(def, i)->uuid;
}

static char **nic_tap(const struct definition *def, size_t i)
{
	return nic_taps(definition_nic(def, i), &def->hvparams) ? nic_uuid(def, i) : NULL;
}

static char **nic_name(const struct definition *def, size_t i)
{
	return &definition_nic(def, i)->name;
}

static char **nic_mac(const struct definition *def, size_t i)
{
	return &definition_nic(def, i)->mac;
}

bool definition_has_mac(struct json_object *o, const char *mac)
{
	struct json_object *nics = json_get_typed(o, "nics", json_type_array);

	for (size_t i = 0; i < json_length(nics); i++)
		if (str_eq(json_get_str(json_object_array_get_idx(nics, i), "mac"), mac))
			return true;
	return false;
}

/* No server keeps two disks of one guest from each other, as QEMU's locks do with files. */
static bool check_uris(const struct definition *def, struct err **e)
{
	for (size_t i = 1; i < def->disks.n; i++) {
		const struct disk *d = definition_disk(def, i);

		for (size_t j = 0; j < i && d->uri; j++) {
			const struct disk *other = definition_disk(def, j);
			bool harmless = (d->shareable && other->shareable) ||
					(disk_is_read_only(d) && disk_is_read_only(other));
			_cleanup_free_ char *path = NULL;

			if (harmless || !str_eq(d->uri, other->uri))
				continue;
			path = xasprintf("disks[%zu].uri", i);
			return err_set_param(e, path, "the same as that of disks[%zu], and one of them is written", j);
		}
	}
	return true;
}

/* A place in the firmware's order is one device's. */
static bool check_bootindexes(const struct definition *def, struct err **e)
{
	for (size_t i = 1; i < def->disks.n; i++) {
		int64_t index = definition_disk(def, i)->bootindex;

		for (size_t j = 0; j < i && index != PARAM_INT_NONE; j++) {
			_cleanup_free_ char *path = NULL;

			if (definition_disk(def, j)->bootindex != index)
				continue;
			path = xasprintf("disks[%zu].bootindex", i);
			return err_set_param(e, path, "%" PRId64 " is disks[%zu]'s already", index, j);
		}
	}
	return true;
}

static bool same_limits(const struct throttle *a, const struct throttle *b)
{
	for (int i = 0; i < THROTTLE_COUNT; i++)
		if (a->limits[i].avg != b->limits[i].avg || a->limits[i].max != b->limits[i].max ||
		    a->limits[i].max_length != b->limits[i].max_length)
			return false;
	return a->iops_size == b->iops_size;
}

/* Each disk of a group says what the group's limits are, so that it does not matter which of them go. */
static bool check_groups(const struct definition *def, struct err **e)
{
	for (size_t i = 1; i < def->disks.n; i++) {
		const struct throttle *t = &definition_disk(def, i)->throttle;

		for (size_t j = 0; j < i && t->group; j++) {
			const struct throttle *other = &definition_disk(def, j)->throttle;
			_cleanup_free_ char *path = NULL;

			if (!str_eq(other->group, t->group) || same_limits(other, t))
				continue;
			path = xasprintf("disks[%zu].throttle", i);
			return err_set_param(e, path, "disks[%zu] gives group '%s' other limits", j, t->group);
		}
	}
	return true;
}

static bool check_devices(const struct definition *def, struct err **e)
{
	for (size_t i = 0; i < def->disks.n; i++) {
		_cleanup_free_ char *prefix = xasprintf("disks[%zu].", i);

		if (!disk_check(definition_disk(def, i), &def->hvparams, prefix, e))
			return false;
	}
	for (size_t i = 0; i < def->nics.n; i++) {
		_cleanup_free_ char *prefix = xasprintf("nics[%zu].", i);

		if (!nic_check(definition_nic(def, i), &def->hvparams, prefix, e))
			return false;
	}
	return check_bootindexes(def, e) && check_groups(def, e) && check_uris(def, e) &&
	       check_unique("disks", "uuid", def->disks.n, disk_uuid, def, ID_GROUPS, e) &&
	       check_unique("disks", "name", def->disks.n, disk_name, def, SIZE_MAX, e) &&
	       check_unique("nics", "uuid", def->nics.n, nic_uuid, def, ID_GROUPS, e) &&
	       check_unique("nics", "uuid", def->nics.n, nic_tap, def, TAP_GROUPS, e) &&
	       check_unique("nics", "name", def->nics.n, nic_name, def, SIZE_MAX, e) &&
	       check_unique("nics", "mac", def->nics.n, nic_mac, def, SIZE_MAX, e);
}

bool definition_decode(struct json_object *given, struct definition *def, struct err **e)
{
	struct autostart autostart;

	if (!hvparams_check_dead(given, e) || !param_decode(definition_rows, given, "", def, e))
		return false;
	for (size_t i = 0; i < def->disks.n; i++)
		disk_settle_aliases(definition_disk(def, i));
	if (hvparams_check(&def->hvparams, def->vcpus, e) &&
	    display_check_name(&def->hvparams, def->name, "hvparams.vnc_bind_address", e) && memory_check(def, e) &&
	    autostart_decode(def->autostart, &autostart, e) && check_devices(def, e) && microvm_check(def, e))
		return true;
	definition_clear(def);
	return false;
}

void definition_clear(struct definition *def)
{
	param_clear(definition_rows, def);
}

/* ---- what is stored ---- */

/* The members of GIVEN, with their values as PRINTED has them, and of each device what it did not say of itself. */
static struct json_object *pick(struct json_object *given, struct json_object *printed)
{
	struct json_object *o;

	if (json_object_is_type(given, json_type_array) && json_object_is_type(printed, json_type_array)) {
		o = json_object_new_array();
		for (size_t i = 0; i < json_object_array_length(given); i++)
			json_object_array_add(
				o, pick(json_object_array_get_idx(given, i), json_object_array_get_idx(printed, i)));
		return o;
	}
	if (!json_object_is_type(given, json_type_object) || !json_object_is_type(printed, json_type_object))
		return json_object_get(printed);
	o = json_object_new_object();
	json_object_object_foreach(given, key, value) {
		struct json_object *canonical;

		if (json_object_object_get_ex(printed, key, &canonical))
			json_add(o, key, pick(value, canonical));
		else if (json_object_is_type(value, json_type_array))
			json_add(o, key, json_object_new_array()); /* empty */
	}
	return o;
}

static char *new_uuid(void)
{
	char text[UUID_STR_LEN];
	uuid_t uuid;

	uuid_generate_random(uuid);
	uuid_unparse_lower(uuid, text);
	return xstrdup(text);
}

bool definition_is_whole(const struct definition *def, struct err **e)
{
	const struct {
		const char *list, *member;
		size_t n;
		member_fn *get;
	} rows[] = {
		{ "disks", "uuid", def->disks.n, disk_uuid }, { "disks", "name", def->disks.n, disk_name },
		{ "nics", "uuid", def->nics.n, nic_uuid },    { "nics", "name", def->nics.n, nic_name },
		{ "nics", "mac", def->nics.n, nic_mac },
	};

	for (size_t r = 0; r < ARRAY_SIZE(rows); r++)
		for (size_t i = 0; i < rows[r].n; i++) {
			_cleanup_free_ char *path = xasprintf("%s[%zu].%s", rows[r].list, i, rows[r].member);

			if (!*rows[r].get(def, i))
				return err_set_param(e, path, "required");
		}
	return slots_are_assigned(def, e);
}

static char *new_mac(const struct definition *def, const struct definition_context *ctx)
{
	for (;;) {
		unsigned char b[3];
		char *mac;
		bool taken;

		if (getrandom(b, sizeof(b), 0) != sizeof(b))
			abort();
		mac = xasprintf("52:54:00:%02x:%02x:%02x", b[0], b[1], b[2]);
		taken = ctx->mac_taken && ctx->mac_taken(mac, ctx->data);
		for (size_t i = 0; i < def->nics.n && !taken; i++)
			taken = str_eq(*nic_mac(def, i), mac);
		if (!taken)
			return mac;
		free(mac);
	}
}

/* One of the two lists of a definition, whose devices are called KIND0, KIND1, … */
struct devices {
	const char *kind;
	const struct definition *def;
	size_t n;
	member_fn *uuid, *name;
};

static struct devices disks_of(const struct definition *def)
{
	return (struct devices){ "disk", def, def->disks.n, disk_uuid, disk_name };
}

static struct devices nics_of(const struct definition *def)
{
	return (struct devices){ "nic", def, def->nics.n, nic_uuid, nic_name };
}

/* The element of which this is a text, or SIZE_MAX. */
static size_t find(const struct devices *list, member_fn *get, const char *text)
{
	for (size_t i = 0; i < list->n && text; i++)
		if (str_eq(*get(list->def, i), text))
			return i;
	return SIZE_MAX;
}

/* The first that nobody has. */
static char *new_name(const struct devices *list)
{
	for (size_t number = 0;; number++) {
		char *name = xasprintf("%s%zu", list->kind, number);

		if (find(list, list->name, name) == SIZE_MAX)
			return name;
		free(name);
	}
}

/* The element of OLD that the Ith of LIST is: by uuid, or, where it has none, by name, unless somebody else has that
 * one's uuid. SIZE_MAX: it is new. */
static size_t find_old(const struct devices *list, size_t i, const struct devices *old)
{
	const char *uuid = *list->uuid(list->def, i);
	size_t was;

	if (uuid)
		return find(old, old->uuid, uuid);
	was = find(old, old->name, *list->name(list->def, i));
	return was != SIZE_MAX && find(list, list->uuid, *old->uuid(old->def, was)) == SIZE_MAX ? was : SIZE_MAX;
}

/* Names first for those that had one, so that nobody new takes it. */
static void settle(const struct devices *list, const struct devices *old)
{
	for (size_t i = 0; i < list->n; i++) {
		char **name = list->name(list->def, i);
		size_t was = find_old(list, i, old);

		if (!*name && was != SIZE_MAX)
			*name = xstrdup(*old->name(old->def, was));
	}
	for (size_t i = 0; i < list->n; i++) {
		char **name = list->name(list->def, i), **uuid = list->uuid(list->def, i);
		size_t was;

		if (!*name)
			*name = new_name(list);
		was = find_old(list, i, old);
		if (!*uuid)
			*uuid = was != SIZE_MAX ? xstrdup(*old->uuid(old->def, was)) : new_uuid();
	}
}

static void settle_macs(const struct devices *list, const struct devices *old, const struct definition_context *ctx)
{
	for (size_t i = 0; i < list->n; i++) {
		char **mac = nic_mac(list->def, i);
		size_t was = find_old(list, i, old);

		if (!*mac)
			*mac = was != SIZE_MAX ? xstrdup(*nic_mac(old->def, was)) : new_mac(list->def, ctx);
		for (char *c = *mac; *c; c++)
			if (*c >= 'A' && *c <= 'F')
				*c = (char)(*c - 'A' + 'a');
	}
}

static bool check_macs(const struct definition *def, const struct definition_context *ctx, struct err **e)
{
	for (size_t i = 0; i < def->nics.n; i++) {
		_cleanup_free_ char *path = xasprintf("nics[%zu].mac", i);

		if (ctx->mac_taken && ctx->mac_taken(*nic_mac(def, i), ctx->data)) {
			err_set(e, ERR_EXISTS, "'%s': a card of another instance has %s", path, *nic_mac(def, i));
			return err_name_param(e, path);
		}
	}
	return true;
}

/* What each device did not say of itself. */
static void add_identities(struct json_object *stored, struct json_object *printed, const char *list)
{
	static const char *const members[] = { "uuid", "name", "mac", "hvinfo" };
	struct json_object *to = json_get_typed(stored, list, json_type_array);
	struct json_object *from = json_get_typed(printed, list, json_type_array);

	for (size_t i = 0; to && from && i < json_object_array_length(to); i++)
		for (size_t m = 0; m < ARRAY_SIZE(members); m++) {
			struct json_object *value;

			if (json_object_object_get_ex(json_object_array_get_idx(from, i), members[m], &value))
				json_add(json_object_array_get_idx(to, i), members[m], json_object_get(value));
		}
}

/* Rules that it breaks by now do not make its devices homeless. */
static void decode_leniently(struct json_object *o, struct definition *def)
{
	if (!o || !param_decode(definition_rows, o, "", def, NULL))
		*def = (struct definition){ 0 };
}

static struct json_object *store(struct definition *def, struct json_object *given,
				 const struct definition_context *ctx, struct err **e)
{
	_cleanup_json_ struct json_object *printed = NULL;
	struct json_object *stored;
	struct definition old, running; /* have no devices, unless there is one */
	struct devices disks = disks_of(def), nics = nics_of(def), old_disks, old_nics;
	bool ok;

	decode_leniently(ctx->old, &old);
	decode_leniently(ctx->running, &running);
	old_disks = disks_of(&old);
	old_nics = nics_of(&old);
	settle(&disks, &old_disks);
	settle(&nics, &old_nics);
	settle_macs(&nics, &old_nics, ctx);
	ok = boot_check(def, e) && check_devices(def, e) && check_macs(def, ctx, e) &&
	     slots_assign(def, &old, &running, ctx->next_start, e);
	definition_clear(&old);
	definition_clear(&running);
	if (!ok)
		return NULL;
	if (!def->uuid)
		def->uuid = new_uuid();
	printed = param_print(definition_rows, def);
	stored = pick(given, printed);
	add_identities(stored, printed, "disks");
	add_identities(stored, printed, "nics");
	json_add_str(stored, "uuid", def->uuid);
	json_add_int(stored, "layout", def->layout);
	return stored;
}

struct json_object *definition_store(struct json_object *given, const struct definition_context *ctx, struct err **e)
{
	_cleanup_json_ struct json_object *whole = NULL;
	struct json_object *stored;
	struct definition def;

	/* First as it was given, so that an error names what the client said. */
	if (!definition_decode(given, &def, e))
		return NULL;
	whole = media_apply(given, ctx->old, e);
	if (whole != given)
		definition_clear(&def);
	if (!whole || (whole != given && !definition_decode(whole, &def, e)))
		return NULL;
	stored = store(&def, whole, ctx, e);
	definition_clear(&def);
	return stored;
}
