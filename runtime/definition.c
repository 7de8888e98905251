/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/definition.h"

#include "runtime/slots.h"

#include <string.h>
#include <sys/random.h>
#include <uuid/uuid.h>

enum { LAYOUT = 1, MEMORY_MIN = 1 << 20, DEVICES_MAX = 512, ID_GROUPS = 18 };

static const struct param disk_row = { .name = "", .type = PARAM_OBJECT, .rows = disk_rows };
static const struct param nic_row = { .name = "", .type = PARAM_OBJECT, .rows = nic_rows };

#define DEF(member) PARAM_AT(struct definition, member), .since = "0.1.0"
const struct param definition_rows[] = {
	{ "name", PARAM_NAME, .required = true, DEF(name), .change = CHANGE_NEVER, .doc = "Name, unique on the host." },
	{ "uuid", PARAM_UUID, DEF(uuid), .change = CHANGE_NEVER, .doc = "Identity; made when absent." },
	{ "description", PARAM_TEXT, .def = "\"\"", DEF(description), .change = CHANGE_LIVE, .doc = "For people." },
	{ "metadata", PARAM_MAP, DEF(metadata), .change = CHANGE_LIVE, .doc = "Text by key, for programs." },
	{ "layout", PARAM_INT, .min = LAYOUT, .max = LAYOUT, .def = "1", DEF(layout), .change = CHANGE_NEVER,
	  .doc = "Revision of the layout of devices." },
	{ "vcpus", PARAM_INT, .min = 1, .max = 512, .def = "1", DEF(vcpus), .change = CHANGE_RESTART,
	  .doc = "Virtual processors." },
	{ "memory", PARAM_SIZE, .min = MEMORY_MIN, .def = "\"512M\"", DEF(memory), .change = CHANGE_RESTART,
	  .unit = "bytes", .doc = "Memory that the guest boots with." },
	{ "hvparams", PARAM_OBJECT, .rows = hvparam_rows, DEF(hvparams), .change = CHANGE_RESTART,
	  .doc = "Parameters of the hypervisor." },
	{ "disks", PARAM_LIST, .rows = &disk_row, .size = sizeof(struct disk), .max = DEVICES_MAX, DEF(disks),
	  .change = CHANGE_RESTART, .doc = "Disks." },
	{ "nics", PARAM_LIST, .rows = &nic_row, .size = sizeof(struct nic), .max = DEVICES_MAX, DEF(nics),
	  .change = CHANGE_RESTART, .doc = "Network cards." },
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

/* ---- checks ---- */

/* TEXT of element I of LIST is nobody else's, as far as its first LEN bytes go. */
static bool check_unique(const char *list, const char *member, size_t n,
			 char *(*get)(const struct definition *, size_t), const struct definition *def, size_t len,
			 struct err **e)
{
	for (size_t i = 1; i < n; i++) {
		const char *one = get(def, i);

		for (size_t j = 0; one && j < i; j++) {
			const char *other = get(def, j);
			_cleanup_free_ char *path = NULL;

			if (!other || strncasecmp(one, other, len) != 0)
				continue;
			path = xasprintf("%s[%zu].%s", list, i, member);
			return err_set_param(e, path, "'%s' is %s[%zu]'s already%s", one, list, j,
					     len == ID_GROUPS ? " (the first three groups count)" : "");
		}
	}
	return true;
}

static char *disk_uuid(const struct definition *def, size_t i)
{
	return definition_disk(def, i)->uuid;
}

static char *disk_name(const struct definition *def, size_t i)
{
	return definition_disk(def, i)->name;
}

static char *nic_uuid(const struct definition *def, size_t i)
{
	return definition_nic(def, i)->uuid;
}

static char *nic_name(const struct definition *def, size_t i)
{
	return definition_nic(def, i)->name;
}

static char *nic_mac(const struct definition *def, size_t i)
{
	return definition_nic(def, i)->mac;
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
	return check_unique("disks", "uuid", def->disks.n, disk_uuid, def, ID_GROUPS, e) &&
	       check_unique("disks", "name", def->disks.n, disk_name, def, SIZE_MAX, e) &&
	       check_unique("nics", "uuid", def->nics.n, nic_uuid, def, ID_GROUPS, e) &&
	       check_unique("nics", "name", def->nics.n, nic_name, def, SIZE_MAX, e) &&
	       check_unique("nics", "mac", def->nics.n, nic_mac, def, SIZE_MAX, e);
}

bool definition_decode(struct json_object *given, struct definition *def, struct err **e)
{
	if (!param_decode(definition_rows, given, "", def, e))
		return false;
	if (hvparams_check(&def->hvparams, def->vcpus, e) && check_devices(def, e))
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
			taken = str_eq(nic_mac(def, i), mac);
		if (!taken)
			return mac;
		free(mac);
	}
}

/* The first of KIND0, KIND1, … that nobody has. */
static char *new_name(const char *kind, const struct definition *def, size_t n,
		      char *(*get)(const struct definition *, size_t))
{
	for (size_t number = 0;; number++) {
		char *name = xasprintf("%s%zu", kind, number);
		bool taken = false;

		for (size_t i = 0; i < n && !taken; i++)
			taken = str_eq(get(def, i), name);
		if (!taken)
			return name;
		free(name);
	}
}

/* The element of the old list with this uuid, or, where none is given, this name. */
static size_t find_old(const struct definition *old, size_t n, char *(*uuid_of)(const struct definition *, size_t),
		       char *(*name_of)(const struct definition *, size_t), const char *uuid, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (uuid ? str_eq(uuid_of(old, i), uuid) : name && str_eq(name_of(old, i), name))
			return i;
	return n;
}

static void settle_disks(struct definition *def, const struct definition *old)
{
	for (size_t i = 0; i < def->disks.n; i++) {
		struct disk *d = definition_disk(def, i);
		size_t was;

		if (!d->name) {
			was = d->uuid && old ? find_old(old, old->disks.n, disk_uuid, disk_name, d->uuid, NULL) :
					       SIZE_MAX;
			d->name = old && was < old->disks.n ? xstrdup(disk_name(old, was)) :
							      new_name("disk", def, def->disks.n, disk_name);
		}
		was = old && !d->uuid ? find_old(old, old->disks.n, disk_uuid, disk_name, NULL, d->name) : SIZE_MAX;
		if (!d->uuid)
			d->uuid = old && was < old->disks.n ? xstrdup(disk_uuid(old, was)) : new_uuid();
	}
}

static void settle_nics(struct definition *def, const struct definition *old, const struct definition_context *ctx)
{
	for (size_t i = 0; i < def->nics.n; i++) {
		struct nic *n = definition_nic(def, i);
		size_t was;

		if (!n->name) {
			was = n->uuid && old ? find_old(old, old->nics.n, nic_uuid, nic_name, n->uuid, NULL) : SIZE_MAX;
			n->name = old && was < old->nics.n ? xstrdup(nic_name(old, was)) :
							     new_name("nic", def, def->nics.n, nic_name);
		}
		was = old ? find_old(old, old->nics.n, nic_uuid, nic_name, n->uuid, n->name) : SIZE_MAX;
		if (!n->uuid)
			n->uuid = old && was < old->nics.n ? xstrdup(nic_uuid(old, was)) : new_uuid();
		if (!n->mac)
			n->mac = old && was < old->nics.n ? xstrdup(nic_mac(old, was)) : new_mac(def, ctx);
		for (char *c = n->mac; *c; c++)
			if (*c >= 'A' && *c <= 'F')
				*c = (char)(*c - 'A' + 'a');
	}
}

static bool check_macs(const struct definition *def, const struct definition_context *ctx, struct err **e)
{
	for (size_t i = 0; i < def->nics.n; i++) {
		_cleanup_free_ char *path = xasprintf("nics[%zu].mac", i);

		if (ctx->mac_taken && ctx->mac_taken(nic_mac(def, i), ctx->data)) {
			err_set(e, ERR_EXISTS, "'%s': a card of another instance has %s", path, nic_mac(def, i));
			if (e && *e)
				err_add(*e, "parameter", json_object_new_string(path));
			return false;
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

static struct json_object *store(struct definition *def, struct json_object *given,
				 const struct definition_context *ctx, struct err **e)
{
	_cleanup_json_ struct json_object *printed = NULL;
	struct json_object *stored;
	struct definition old;
	bool has_old = ctx->old && definition_decode(ctx->old, &old, NULL), ok;

	settle_disks(def, has_old ? &old : NULL);
	settle_nics(def, has_old ? &old : NULL, ctx);
	ok = check_devices(def, e) && check_macs(def, ctx, e) && slots_assign(def, has_old ? &old : NULL, e);
	if (has_old)
		definition_clear(&old);
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
	struct json_object *stored;
	struct definition def;

	if (!definition_decode(given, &def, e))
		return NULL;
	stored = store(&def, given, ctx, e);
	definition_clear(&def);
	return stored;
}
