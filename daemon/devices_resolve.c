/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which devices a change is about, and what the two records become by it: chosen once, before the first step.
 */
#include "daemon/devices_resolve.h"

#include "daemon/devices_find.h"
#include "hotplug/drift.h"
#include "hotplug/plug.h"
#include "runtime/boot.h"
#include "runtime/device_record.h"
#include "runtime/fdsets.h"
#include "runtime/media.h"
#include "runtime/pending.h"
#include "runtime/slots.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

static const char *const lists[] = { "disks", "nics" };

/* While they are chosen. */
struct choice {
	struct job *job;
	struct instance *inst;
	const struct devices_wish *wish;
	bool live;                           /* the guest too */
	struct json_object *definition;      /* as it becomes, not completed yet */
	struct json_object *attach, *detach; /* ids, of the guest's */
	struct json_object *names;           /* parameters that named them, by id */
	struct json_object *all[2];          /* ids that the result tells of, by list */
	struct json_object *leave;           /* ids that leave the definition */
	struct json_object *renamed;         /* names that a new device gets of one that leaves, by its id */
};

static struct json_object *list_in(struct json_object *o, const char *name)
{
	return json_get_typed(o, name, json_type_array);
}

static void add_id(struct json_object *ids, const char *id)
{
	json_object_array_add(ids, json_object_new_string(id));
}

static char *parameter_of(const char *pattern, size_t i)
{
	const char *bracket = strchr(pattern, '#');

	return bracket ? xasprintf("%.*s%zu%s", (int)(bracket - pattern), pattern, i, bracket + 1) : xstrdup(pattern);
}

/* ---- finding ---- */

/* What TEXT detaches: RUNS of the guest, THERE of the definition; its id, or NULL. */
static const char *find_leaver(const struct choice *c, const char *text, struct json_object **runs,
			       struct json_object **there)
{
	devices_find(c->inst, c->wish->only, text, runs, there);
	if (*there && !c->live)
		*runs = NULL; /* another may run by the same name; it is not asked for */
	return device_id_of(*runs ? *runs : *there);
}

static bool is_leaver(const struct choice *c, const char *id)
{
	for (size_t i = 0; i < json_length(c->wish->detach); i++) {
		struct json_object *runs, *there;
		const char *text = json_object_get_string(json_object_array_get_idx(c->wish->detach, i));

		if (str_eq(find_leaver(c, text, &runs, &there), id))
			return true;
	}
	return false;
}

static struct json_object *find_member(struct json_object *list, const char *member, const char *text)
{
	for (size_t i = 0; text && i < json_length(list); i++)
		if (strcasecmp(json_get_str(json_object_array_get_idx(list, i), member) ?
				       json_get_str(json_object_array_get_idx(list, i), member) :
				       "",
			       text) == 0)
			return json_object_array_get_idx(list, i);
	return NULL;
}

/* ---- what is attached ---- */

/* DEFINITION completed, as it would be stored. */
static struct json_object *complete(const struct choice *c, struct json_object *definition, struct err **e)
{
	struct instance_question question;
	struct definition_context ctx = *instance_context(c->inst->rt, c->inst->name, &question);

	ctx.next_start = false;
	return definition_store(definition, &ctx, e);
}

/* "disks[3].path" of the definition is "disk.path" of the request; also where another is blamed. Where there are several,
 * the first comes first: what it was renamed to is not renamed again. */
static bool rename_parameter(struct err **e, const char *list, size_t index, const char *parameter)
{
	_cleanup_free_ char *prefix = xasprintf("%s[%zu]", list, index), *renamed = NULL, *desc = NULL;
	const char *name = e && *e ? json_get_str((*e)->extra, "parameter") : NULL, *words;

	words = name ? strstr((*e)->desc, prefix) : NULL;
	if (words) {
		desc = (*e)->desc;
		(*e)->desc = xasprintf("%.*s%s%s", (int)(words - desc), desc, parameter, words + strlen(prefix));
	}
	if (name && str_starts(name, prefix)) {
		renamed = xasprintf("%s%s", parameter, name + strlen(prefix));
		err_add(*e, "parameter", json_object_new_string(renamed));
	}
	return false;
}

/* A device of a list with the defaults of what it does not say. */
static struct json_object *with_defaults(const char *list, struct json_object *device)
{
	union {
		struct disk disk;
		struct nic nic;
	} u;
	const struct param *rows = str_eq(list, "disks") ? disk_rows : nic_rows;
	struct json_object *o;

	if (!param_decode(rows, device, "", &u, NULL))
		return NULL;
	o = param_print(rows, &u);
	param_clear(rows, &u);
	return o;
}

static bool is_equal(const char *list, struct json_object *a, struct json_object *b)
{
	_cleanup_json_ struct json_object *full_a = with_defaults(list, a), *full_b = with_defaults(list, b);

	return full_a && full_b && json_object_equal(full_a, full_b);
}

/* One that is there already has to be the very same. */
static bool is_same(const struct choice *c, const char *list, struct json_object *there, struct json_object *given,
		    const char *parameter, struct err **e)
{
	_cleanup_json_ struct json_object *definition = NULL, *stored = NULL, *copy = NULL;
	struct json_object *all;

	json_object_deep_copy(c->inst->stored, &definition, NULL);
	json_object_deep_copy(given, &copy, NULL);
	all = list_in(definition, list);
	for (size_t i = 0; i < json_length(all); i++) {
		struct json_object *element = json_object_array_get_idx(all, i);

		if (!str_eq(json_get_str(element, "uuid"), json_get_str(there, "uuid")))
			continue;
		/* What is not said of it is what it has. */
		json_object_array_put_idx(all, i, TAKE_PTR(copy));
		stored = complete(c, definition, e);
		if (!stored)
			return rename_parameter(e, list, i, parameter);
		if (is_equal(list, json_object_array_get_idx(list_in(stored, list), i), there))
			return true;
		break;
	}
	return devices_fail_at(e, ERR_EXISTS, parameter, "'%s' has a device with this uuid, and other members%s",
			       c->inst->name,
			       is_leaver(c, device_id_of(there)) ? "; detach it first, in a request of its own" : "");
}

/* Whether the device ID of DEFINITION can come, or go, while what runs runs. */
static bool is_possible(const struct choice *c, struct json_object *definition, const char *id, const char *parameter,
			struct err **e)
{
	return plug_is_possible(json_get_typed(c->inst->record, "definition", json_type_object), definition, id,
				parameter, e);
}

/* Whether the guest has THERE, of both records, as the definition says. */
static bool is_had(const struct choice *c, const char *list, struct json_object *there, const char *parameter,
		   struct err **e)
{
	const char *name = json_get_str(there, "name"), *why = NULL;
	_cleanup_free_ char *path = xasprintf("%s[%s]", list, name);

	if (drift_lacks_device(c->inst, device_id_of(there)))
		why = "is not in QEMU any more, for the guest let go of it by itself or somebody took it";
	else if (pending_has(instance_pending(c->inst), path))
		why = "runs as it was before a change that waits for the next start";
	return !why ||
	       devices_fail_at(e, ERR_WRONG_STATE, parameter, "'%s' %s; detach it, then attach it again", name, why);
}

/* Whether a new device can have the name of DEVICE (may be NULL), which leaves in the same change and is called by its id
 * until it has. */
static bool gives_name(struct choice *c, struct json_object *device)
{
	const char *id = device_id_of(device);
	struct json_object *element = device ? definition_find_device(c->definition, id, NULL) : NULL;

	if (!device)
		return true;
	if (!is_leaver(c, id))
		return false;
	json_add_str(c->renamed, id, json_get_str(device, "name"));
	if (element)
		json_add_str(element, "name", id);
	return true;
}

static bool attach_one(struct choice *c, size_t l, struct json_object *given, const char *parameter, bool *fresh,
		       struct err **e)
{
	const char *uuid = json_get_str(given, "uuid"), *name = json_get_str(given, "name");
	struct json_object *there = find_member(list_in(c->inst->stored, lists[l]), "uuid", uuid);
	struct json_object *runs = find_member(list_in(c->inst->record, lists[l]), "uuid", uuid);
	_cleanup_free_ char *called = xasprintf("%s.name", parameter);

	*fresh = false;
	if (runs && device_record_state(runs) == DEVICE_DETACH_PENDING)
		return devices_fail_at(e, ERR_BUSY, parameter, "the guest has not let go of '%s' yet",
				       json_get_str(runs, "name"));
	if (there) {
		if (!is_same(c, lists[l], there, given, parameter, e))
			return false;
		if (c->live && runs && !is_had(c, lists[l], there, parameter, e))
			return false;
		if (json_get_str(c->names, device_id_of(there)))
			return devices_fail_at(e, ERR_INVALID_PARAMETER, parameter, "the same device is named twice");
		if (c->live && !runs && !is_possible(c, c->inst->stored, device_id_of(there), parameter, e))
			return false;
		add_id(c->all[l], device_id_of(there));
		json_add_str(c->names, device_id_of(there), parameter);
		if (c->live && !runs)
			add_id(c->attach, device_id_of(there));
		return true;
	}
	if (runs)
		return devices_fail_at(e, ERR_EXISTS, parameter,
				       "it runs with the guest, and is not in the definition any more; "
				       "detach it first");
	runs = find_member(list_in(c->inst->record, lists[l]), "name", name);
	if (runs && device_record_state(runs) == DEVICE_DETACH_PENDING)
		return devices_fail_at(e, ERR_BUSY, called, "the guest has not let go of another '%s' yet", name);
	there = find_member(list_in(c->inst->stored, lists[l]), "name", name);
	if (!gives_name(c, runs) || !gives_name(c, there))
		return devices_fail_at(e, ERR_EXISTS, called, "'%s' has a device called '%s'", c->inst->name, name);
	*fresh = true;
	return true;
}

/* The first of disk0, disk1, … that neither the definition nor what runs has, nor another that is GIVEN. */
static char *name_made(const struct choice *c, size_t l, struct json_object *given)
{
	static const char *const kinds[] = { "disk", "nic" };

	for (size_t number = 0;; number++) {
		char *name = xasprintf("%s%zu", kinds[l], number);

		if (!find_member(list_in(c->definition, lists[l]), "name", name) &&
		    !find_member(list_in(c->inst->record, lists[l]), "name", name) && !find_member(given, "name", name))
			return name;
		free(name);
	}
}

static struct json_object *list_made(struct json_object *o, const char *name)
{
	if (!list_in(o, name))
		json_add(o, name, json_object_new_array());
	return list_in(o, name);
}

/* Those that are new are behind the others. */
static bool attach_list(struct choice *c, size_t l, struct json_object *given, const char *pattern, size_t *fresh,
			struct err **e)
{
	*fresh = 0;
	for (size_t i = 0; i < json_length(given); i++) {
		_cleanup_free_ char *parameter = parameter_of(pattern, i);
		_cleanup_free_ char *name = NULL;
		struct json_object *copy = NULL;
		bool is_fresh;

		if (!attach_one(c, l, json_object_array_get_idx(given, i), parameter, &is_fresh, e))
			return false;
		if (!is_fresh)
			continue;
		json_object_deep_copy(json_object_array_get_idx(given, i), &copy, NULL);
		name = name_made(c, l, given);
		if (!json_object_object_get_ex(copy, "name", NULL))
			json_add_str(copy, "name", name);
		json_object_array_add(list_made(c->definition, lists[l]), copy);
		++*fresh;
	}
	return true;
}

/* The ids of the last N of a list. */
static bool take_fresh(struct choice *c, struct json_object *stored, size_t l, size_t n, const char *pattern,
		       struct err **e)
{
	struct json_object *list = list_in(stored, lists[l]);

	for (size_t i = 0; i < n; i++) {
		const char *id = device_id_of(json_object_array_get_idx(list, json_length(list) - n + i));
		_cleanup_free_ char *parameter = parameter_of(pattern, i);

		if (c->live && !is_possible(c, stored, id, parameter, e))
			return false;
		add_id(c->all[l], id);
		json_add_str(c->names, id, parameter);
		if (c->live)
			add_id(c->attach, id);
	}
	return true;
}

/* An error of the definition, in the request's words. */
static bool blame_given(const struct choice *c, const size_t fresh[2], const char *const patterns[2], struct err **e)
{
	for (size_t l = 0; l < ARRAY_SIZE(lists); l++) {
		size_t all = json_length(list_in(c->definition, lists[l]));

		for (size_t i = 0; i < fresh[l]; i++) {
			_cleanup_free_ char *parameter = parameter_of(patterns[l], i);

			rename_parameter(e, lists[l], all - fresh[l] + i, parameter);
		}
	}
	return false;
}

/* ---- what is detached ---- */

static bool detach_one(struct choice *c, const char *text, const char *parameter, struct err **e)
{
	const char *only = c->wish->only, *id, *list = NULL;
	struct json_object *there, *runs;

	id = find_leaver(c, text, &runs, &there);
	if (!there && !runs)
		return devices_fail_at(e, ERR_NOT_FOUND, parameter, "'%s' has no %s '%s'", c->inst->name,
				       !only                  ? "device" :
				       str_eq(only, lists[0]) ? "disk" :
								"network card",
				       text);
	if (!only && devices_is_ambiguous(c->inst, text))
		return devices_fail_at(e, ERR_INVALID_PARAMETER, parameter,
				       "a disk and a card are called '%s'; say an id", text);
	if (there && media_param_of(c->inst->stored, json_get_str(there, "name")))
		return devices_fail_at(e, ERR_INVALID_PARAMETER, parameter, "'%s' is the disk of '%s'; empty that",
				       json_get_str(there, "name"),
				       media_param_of(c->inst->stored, json_get_str(there, "name")));
	for (size_t l = 0; l < ARRAY_SIZE(lists); l++)
		for (size_t i = 0; i < json_length(c->all[l]); i++)
			if (str_eq(json_object_get_string(json_object_array_get_idx(c->all[l], i)), id))
				return devices_fail_at(e, ERR_INVALID_PARAMETER, parameter,
						       "the same device is named twice");
	if (runs && c->live && json_get_bool(device_record_find(c->inst, id, NULL), "anonymous", false))
		return devices_fail_at(
			e, ERR_UNSUPPORTED, parameter,
			"QEMU was started with no name for it, by which it could be taken; stop the machine first");
	if (runs && c->live &&
	    !is_possible(c, json_get_typed(c->inst->record, "definition", json_type_object), id, parameter, e))
		return false;
	definition_find_device(runs ? c->inst->record : c->inst->stored, id, &list);
	add_id(c->all[str_eq(list, "nics")], id);
	if (there)
		add_id(c->leave, id);
	if (runs && c->live)
		add_id(c->detach, id);
	return true;
}

static bool detach_all(struct choice *c, struct err **e)
{
	for (size_t i = 0; i < json_length(c->wish->detach); i++) {
		const char *text = json_object_get_string(json_object_array_get_idx(c->wish->detach, i));
		_cleanup_free_ char *parameter = parameter_of(c->wish->detach_is, i);

		if (!detach_one(c, text, parameter, e))
			return false;
	}
	return true;
}

/* ---- the records ---- */

/* A device without a type has that of hvparams as they are stored, which the machine that runs may not have yet. */
static void say_type(const struct definition *def, struct json_object *element)
{
	const char *id = device_id_of(element);

	for (size_t i = 0; i < def->disks.n; i++) {
		const struct disk *d = definition_disk(def, i);

		if (str_eq(d->hvinfo.id, id) && d->media != MEDIA_FLOPPY)
			json_add_str(element, "type", disk_types[disk_type_of(d, &def->hvparams)]);
	}
	for (size_t i = 0; i < def->nics.n; i++) {
		const struct nic *n = definition_nic(def, i);

		if (str_eq(n->hvinfo.id, id))
			json_add_str(element, "type", nic_types[nic_type_of(n, &def->hvparams)]);
	}
}

/* The machine as it will be, with the new devices behind the others. */
static struct json_object *running_of(const struct choice *c, struct json_object *stored, struct err **e)
{
	struct json_object *o = NULL;
	struct definition def;

	if (!definition_decode(stored, &def, e))
		return NULL;
	json_object_deep_copy(json_get_typed(c->inst->record, "definition", json_type_object), &o, NULL);
	for (size_t i = 0; i < json_length(c->attach); i++) {
		const char *list = NULL, *id = json_object_get_string(json_object_array_get_idx(c->attach, i));
		struct json_object *element = definition_find_device(stored, id, &list), *copy = NULL;

		json_object_deep_copy(element, &copy, NULL);
		say_type(&def, copy);
		json_object_array_add(list_made(o, list), copy);
	}
	json_object_object_foreach(c->renamed, leaver, name) {
		(void)name;
		if (definition_find_device(o, leaver, NULL))
			json_add_str(definition_find_device(o, leaver, NULL), "name", leaver);
	}
	definition_clear(&def);
	return o;
}

/* What is shown of those that go, as they are now. */
static struct json_object *shown_of(const struct choice *c)
{
	struct json_object *o = json_object_new_object();

	for (size_t l = 0; l < ARRAY_SIZE(lists); l++)
		for (size_t i = 0; i < json_length(c->all[l]); i++) {
			const char *id = json_object_get_string(json_object_array_get_idx(c->all[l], i));
			struct json_object *shown = device_record_find(c->inst, id, NULL), *copy = NULL;

			if (!shown)
				shown = definition_find_device(c->inst->stored, id, NULL);
			if (!shown)
				continue;
			json_object_deep_copy(shown, &copy, NULL);
			json_add(o, id, copy);
		}
	return o;
}

/* Which of hvparams that places depend on waits for the next start. */
static const char *waiting(const struct hvparams *running, const struct hvparams *stored)
{
	const struct {
		const char *name;
		bool waits;
	} rows[] = {
		{ "machine_version", machine_kind(running->machine_version) != machine_kind(stored->machine_version) },
		{ "scsi_controller_type", running->scsi_controller_type != stored->scsi_controller_type },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].waits)
			return rows[i].name;
	return "pcie_root_ports";
}

/* A place was chosen for the machine that is defined, which may be another one than that which runs. */
static bool check_places(const struct choice *c, const struct definition *running, struct err **e)
{
	for (size_t i = 0; i < json_length(c->attach); i++) {
		const char *id = json_object_get_string(json_object_array_get_idx(c->attach, i));

		if (!slots_has_place(running, id))
			return devices_fail_at(e, ERR_WRONG_STATE, json_get_str(c->names, id),
					       "the machine that runs has no such place; another 'hvparams.%s' is "
					       "pending: stop and start it first, or attach with 'live' false",
					       waiting(&running->hvparams, &c->inst->def.hvparams));
	}
	return true;
}

/* A place in the firmware's order is that of a device until QEMU has it no more, whatever the definition says by now. */
static bool check_order(const struct choice *c, const struct definition *running, struct err **e)
{
	int once = boot_once_of(json_get_str(c->inst->record, "boot"));

	for (size_t i = 0; i < running->disks.n; i++) {
		const struct disk *d = definition_disk(running, i);
		const char *name = json_get_str(c->names, d->hvinfo.id);
		_cleanup_free_ char *parameter = name ? xasprintf("%s.bootindex", name) : NULL;
		int64_t index = boot_disk_index(running, once, i);
		struct json_object *holder;

		if (!name || d->bootindex == PARAM_INT_NONE || index == PARAM_INT_NONE ||
		    device_record_find(c->inst, d->hvinfo.id, NULL))
			continue;
		holder = device_record_in_order(c->inst, index, c->detach);
		if (holder)
			return devices_fail_at(e, ERR_INVALID_PARAMETER, parameter,
					       "the machine that runs has '%s' in this place (%" PRId64 "); choose "
					       "another, or attach with 'live' false",
					       json_get_str(holder, "name"), index);
	}
	return true;
}

/* What the definition does not have any more may run still, and be in the way: it is an error of the request, in its
 * words. */
static bool check_running(const struct choice *c, struct json_object *running, struct err **e)
{
	struct definition def;
	bool ok;

	if (definition_decode(running, &def, e)) {
		ok = check_places(c, &def, e) && check_order(c, &def, e);
		definition_clear(&def);
		return ok;
	}
	for (size_t l = 0; l < ARRAY_SIZE(lists); l++)
		for (size_t i = 0; i < json_length(list_in(running, lists[l])); i++) {
			const char *id = device_id_of(json_object_array_get_idx(list_in(running, lists[l]), i));
			const char *parameter = id ? json_get_str(c->names, id) : NULL;

			if (parameter)
				rename_parameter(e, lists[l], i, parameter);
		}
	return false;
}

static bool keep(struct choice *c, struct json_object *stored, struct err **e)
{
	_cleanup_json_ struct json_object *running = c->live ? running_of(c, stored, e) : NULL;
	struct json_object *r, *after;

	if (c->live && (!running || !check_running(c, running, e)))
		return false;
	r = json_object_new_object();
	after = definition_without(stored, c->leave);
	json_add(r, "before", json_object_get(c->inst->stored));
	json_add(r, "between", json_object_get(stored));
	json_add(r, "after", after);
	json_add(r, "running", json_object_get(running));
	json_add_bool(r, "live", c->live);
	json_add(r, "attach", json_object_get(c->attach));
	json_add(r, "detach", json_object_get(c->detach));
	json_add(r, "disks", json_object_get(c->all[0]));
	json_add(r, "nics", json_object_get(c->all[1]));
	json_add(r, "shown", shown_of(c));
	json_add(r, "names", json_object_get(c->names));
	json_add(r, "renamed", json_object_get(c->renamed));
	if (c->live)
		json_add_int(r, "first-set", fdsets_claim(c->inst, plug_sets(running, c->attach)));
	json_add_bool(r, "changed",
		      json_length(c->attach) || json_length(c->detach) || !json_object_equal(c->inst->stored, after));
	c->job->resolved = r;
	return true;
}

static bool choose(struct choice *c, struct err **e)
{
	const char *const patterns[] = { c->wish->disks_are, c->wish->nics_are };
	struct json_object *const given[] = { c->wish->disks, c->wish->nics };
	_cleanup_json_ struct json_object *stored = NULL;
	size_t fresh[2] = { 0 };

	for (size_t l = 0; l < ARRAY_SIZE(lists); l++)
		if (!attach_list(c, l, given[l], patterns[l], &fresh[l], e))
			return false;
	stored = fresh[0] + fresh[1] ? complete(c, c->definition, e) : json_object_get(c->inst->stored);
	if (!stored)
		return blame_given(c, fresh, patterns, e);
	for (size_t l = 0; l < ARRAY_SIZE(lists); l++)
		if (!take_fresh(c, stored, l, fresh[l], patterns[l], e))
			return false;
	return detach_all(c, e) && keep(c, stored, e);
}

bool devices_resolve(struct job *job, struct instance *inst, const struct devices_wish *wish, struct err **e)
{
	struct choice c = { .job = job, .inst = inst, .wish = wish, .live = wish->live && inst->process };
	bool ok;

	if (!devices_are_known(inst, e) || (c.live && !devices_are_changeable(inst, e)))
		return false;
	json_object_deep_copy(inst->stored, &c.definition, NULL);
	c.attach = json_object_new_array();
	c.detach = json_object_new_array();
	c.leave = json_object_new_array();
	c.names = json_object_new_object();
	c.renamed = json_object_new_object();
	c.all[0] = json_object_new_array();
	c.all[1] = json_object_new_array();
	ok = choose(&c, e);
	json_object_put(c.definition);
	json_object_put(c.attach);
	json_object_put(c.detach);
	json_object_put(c.leave);
	json_object_put(c.names);
	json_object_put(c.renamed);
	json_object_put(c.all[0]);
	json_object_put(c.all[1]);
	return ok;
}
