/* SPDX-License-Identifier: BSD-2-Clause */
/* The disks and cards of the file, or the disks of its command. */
#include "runtime/ganeti_private.h"

#include "base/param.h"
#include "runtime/definition.h"
#include "runtime/slots.h"
#include "runtime/warnings.h"

#include <inttypes.h>
#include <string.h>

enum { DEVICES_MAX = 512, PCI_SLOTS = 32 };

/* Copies FROM's member KEY, unless that is absent, null or "". */
static void copy_member(struct json_object *to, const char *name, struct json_object *from, const char *key)
{
	struct json_object *value;

	if (!json_object_object_get_ex(from, key, &value) || !value || str_eq(json_get_str(from, key), ""))
		return;
	json_add_key(to, name, json_object_get(value), false);
}

/* People's names may be anything there. */
static void copy_name(struct ganeti *g, struct json_object *to, struct json_object *from, const char *place)
{
	const char *name = json_get_str(from, "name");

	_cleanup_free_ char *full = xasprintf("%s.name", place);

	if (name && *name && !param_is_name(name))
		warnings_add(g->warnings, full, "is no name of ours, and left out");
	else
		copy_member(to, "name", from, "name");
}

/* Where it sits, and, of a device of before 2.13, under which id. */
static bool copy_hvinfo(struct json_object *to, struct json_object *from, const char *kind, const char *place,
			struct err **e)
{
	static const char *const members[] = { "driver", "bus", "addr", "channel", "scsi-id", "lun" };
	struct json_object *given = json_get_typed(from, "hvinfo", json_type_object), *info, *pci, *any;
	const char *uuid = json_get_str(from, "uuid"), *id = json_get_str(given, "id");
	int64_t slot = 0;

	if (json_object_object_get_ex(from, "hvinfo", &any) && any && !given)
		return ganeti_bad(e, "must be an object", "%s.hvinfo", place);
	if (!given || json_object_object_length(given) == 0) {
		if (!json_object_object_get_ex(from, "pci", &pci) || !pci)
			return true;
		slot = json_get_int(from, "pci", -1);
		if (slot < 0 || slot >= PCI_SLOTS)
			return ganeti_bad(e, "must be a slot: 0 to 31", "%s.pci", place);
		if (!uuid || !param_is_uuid(uuid))
			return ganeti_bad(e, "is needed beside 'pci': the id of the device begins with it", "%s.uuid",
					  place);
	}
	info = json_object_new_object();
	json_add(to, "hvinfo", info);
	if (given && json_object_object_length(given) > 0) {
		for (size_t i = 0; i < ARRAY_SIZE(members); i++)
			copy_member(info, members[i], given, members[i]);
		copy_member(info, "id", given, "id");
		return !id || strlen(id) < 32 || ganeti_bad(e, "is too long", "%s.hvinfo.id", place);
	}
	_cleanup_free_ char *made = xasprintf("hot%s-%.8s-pci-%" PRId64, kind, uuid, slot);
	_cleanup_free_ char *addr = xasprintf("0x%" PRIx64, slot);

	json_add_str(info, "id", made);
	json_add_str(info, "bus", "pci.0");
	json_add_str(info, "addr", addr);
	return true;
}

static void note_unnamed(struct ganeti *g, const char *list, size_t i)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "list", list);
	json_add_int(o, "index", (int64_t)i);
	json_object_array_add(g->unnamed, o);
}

/* Ganeti had slots of old, and has with few kvm_pci_reservations, where drover has devices of the machine's own. */
static void move_away(struct ganeti *g, const char *list, size_t i, struct json_object *device, const char *place)
{
	struct json_object *info = json_get_typed(device, "hvinfo", json_type_object), *o;
	const char *bus = json_get_str(info, "bus"), *addr = json_get_str(info, "addr");
	_cleanup_free_ char *full = xasprintf("%s.hvinfo.addr", place);

	if (!str_eq(bus, "pci.0") || !addr || !slots_is_own(addr) ||
	    machine_kind(definition_machine(g->definition)) != MACHINE_PC)
		return;
	warnings_add(g->warnings, full,
		     "%s is a place of the machine's own with drover: a process that runs keeps the device there, and "
		     "at the next start it is in another slot",
		     addr);
	o = json_object_new_object();
	json_add_str(o, "list", list);
	json_add_int(o, "index", (int64_t)i);
	json_add_str(o, "bus", bus);
	json_add_str(o, "addr", addr);
	json_object_array_add(g->moved, o);
	json_object_object_del(info, "bus");
	json_object_object_del(info, "addr");
}

struct json_object *ganeti_running(const struct ganeti *g, struct json_object *stored)
{
	struct json_object *runs = NULL;

	json_object_deep_copy(stored, &runs, NULL);
	for (size_t i = 0; i < json_object_array_length(g->moved); i++) {
		struct json_object *o = json_object_array_get_idx(g->moved, i);
		struct json_object *list = json_get_typed(runs, json_get_str(o, "list"), json_type_array);
		struct json_object *info = json_get_typed(
			json_object_array_get_idx(list, (size_t)json_get_int(o, "index", 0)), "hvinfo",
			json_type_object);

		json_add_str(info, "bus", json_get_str(o, "bus"));
		json_add_str(info, "addr", json_get_str(o, "addr"));
	}
	return runs;
}

static bool take_nic(struct ganeti *g, struct json_object *from, size_t i, struct json_object *to, struct err **e)
{
	static const char *const params[] = { "mode", "link", "vlan" };
	_cleanup_free_ char *place = xasprintf("[1][%zu]", i), *full = xasprintf("document%s", place), *ip = NULL;
	struct json_object *nicparams = json_get_typed(from, "nicparams", json_type_object);

	if (!json_object_is_type(from, json_type_object))
		return ganeti_bad(e, "must be an object", "%s", place);
	if (!nicparams)
		return ganeti_bad(e, "must be an object", "%s.nicparams", place);
	if (!json_get_str(from, "mac"))
		return ganeti_bad(e, "must be text", "%s.mac", place);
	copy_member(to, "uuid", from, "uuid");
	copy_member(to, "mac", from, "mac");
	copy_name(g, to, from, full);
	for (size_t k = 0; k < ARRAY_SIZE(params); k++)
		copy_member(to, params[k], nicparams, params[k]);
	if (!json_object_object_get_ex(to, "mode", NULL))
		return ganeti_bad(e, "must be text", "%s.nicparams.mode", place);
	ip = xasprintf("%s.ip", full);
	if (str_eq(json_get_str(to, "mode"), "bridged") && !str_empty(json_get_str(from, "ip")))
		warnings_add(g->warnings, ip, "is not kept: nothing is made of it for a bridged card");
	else
		copy_member(to, "ip", from, "ip");
	if (!json_object_object_get_ex(to, "uuid", NULL))
		note_unnamed(g, "nics", i);
	if (!copy_hvinfo(to, from, "nic", place, e))
		return false;
	move_away(g, "nics", i, to, full);
	return true;
}

/* The volume itself, where the disk says what it is: the link beside it lives as long as Ganeti keeps it. NULL: it does
 * not. */
static char *path_of_disk(struct json_object *disk)
{
	const char *type = json_get_str(disk, "dev_type");
	struct json_object *id = json_get_typed(disk, "logical_id", json_type_array);
	const char *first = NULL, *second = NULL;

	if (id && json_object_array_length(id) >= 2) {
		struct json_object *one = json_object_array_get_idx(id, 0), *two = json_object_array_get_idx(id, 1);

		first = json_object_is_type(one, json_type_string) ? json_object_get_string(one) : NULL;
		second = json_object_is_type(two, json_type_string) ? json_object_get_string(two) : NULL;
	}
	if (str_empty(first) || str_empty(second))
		return NULL;
	if (str_eq(type, "plain") && !strchr(first, '/') && !strchr(second, '/') && first[0] != '.' && second[0] != '.')
		return xasprintf("/dev/%s/%s", first, second);
	if ((str_eq(type, "file") || str_eq(type, "sharedfile") || str_eq(type, "blockdev")) && second[0] == '/')
		return xstrdup(second);
	return NULL;
}

static const char *text_at(struct json_object *list, size_t i)
{
	struct json_object *o = json_object_array_get_idx(list, i);

	return json_object_is_type(o, json_type_string) ? json_object_get_string(o) : NULL;
}

static bool take_source(struct ganeti *g, struct json_object *entry, size_t i, struct json_object *to, struct err **e)
{
	struct json_object *disk = json_object_array_get_idx(entry, 0);
	const char *link = text_at(entry, 1), *uri = text_at(entry, 2);
	_cleanup_free_ char *path = path_of_disk(disk), *place = NULL;

	for (size_t k = 1; k < 3; k++)
		if (json_object_array_get_idx(entry, k) && !text_at(entry, k))
			return ganeti_bad(e, "must be text or null", "[3][%zu][%zu]", i, k);
	if (!str_empty(uri)) {
		json_add_str(to, "uri", str_starts(uri, "kvm:") ? uri + strlen("kvm:") : uri);
		return true;
	}
	if (!path && str_empty(link))
		return ganeti_bad(e, "is needed where there is no uri", "[3][%zu][1]", i);
	place = xasprintf("document[3][%zu][1]", i);
	if (!path)
		warnings_add(g->warnings, place, "%s is there while Ganeti has set it up; it is opened at each start",
			     link);
	json_add_str(to, "path", path ? path : link);
	return true;
}

static bool take_mode(struct json_object *disk, size_t i, struct json_object *to, struct err **e)
{
	const char *mode = json_get_str(disk, "mode");
	struct json_object *any;

	if (!json_object_object_get_ex(disk, "mode", &any) || !any || str_eq(mode, "rw") || str_eq(mode, "w"))
		return true;
	if (!str_eq(mode, "ro") && !str_eq(mode, "r"))
		return ganeti_bad(e, "must be rw or ro", "[3][%zu][0].mode", i);
	json_add_str(to, "mode", "ro");
	return true;
}

/* An IDE disk sits where QEMU puts those that say nothing, behind the drives of media, and not in the slot that Ganeti wrote
 * down. */
static void seat_ide(const struct ganeti *g, size_t i, struct json_object *to)
{
	static const char *const media[] = { "cdrom_image_path", "cdrom2_image_path" };
	struct json_object *hv = json_get_typed(g->definition, "hvparams", json_type_object);
	const char *type = json_get_str(hv, "cdrom_disk_type");
	struct json_object *info;
	size_t n = i;

	if (!str_eq(json_get_str(hv, "disk_type"), "ide"))
		return;
	for (size_t k = 0; k < ARRAY_SIZE(media); k++)
		n += json_get_str(hv, media[k]) && (!type || str_eq(type, "ide"));
	info = json_object_new_object();
	_cleanup_free_ char *bus = xasprintf("ide.%zu", n / 2);

	json_add_str(info, "bus", bus);
	json_add_int(info, "unit", (int64_t)(n % 2));
	json_add(to, "hvinfo", info);
}

/* Storage that several hosts share Ganeti never caches, whatever disk_cache says. */
static void force_cache(const struct ganeti *g, struct json_object *disk, struct json_object *to)
{
	static const char *const shared[] = { "sharedfile", "gluster", "blockdev", "ext" };
	const char *cache = json_get_str(json_get_typed(g->definition, "hvparams", json_type_object), "disk_cache");

	for (size_t i = 0; i < ARRAY_SIZE(shared); i++)
		if (str_eq(json_get_str(disk, "dev_type"), shared[i]) && !str_eq(cache, "none"))
			json_add_str(to, "cache", "none");
}

static bool take_disk(struct ganeti *g, struct json_object *entry, size_t i, struct json_object *to, struct err **e)
{
	_cleanup_free_ char *place = xasprintf("[3][%zu][0]", i), *full = xasprintf("document%s", place);
	struct json_object *disk;

	if (!json_object_is_type(entry, json_type_array) || json_object_array_length(entry) != 3)
		return ganeti_bad(e, "must be an array of disk, link and uri", "[3][%zu]", i);
	disk = json_object_array_get_idx(entry, 0);
	if (!json_object_is_type(disk, json_type_object))
		return ganeti_bad(e, "must be an object", "%s", place);
	copy_member(to, "uuid", disk, "uuid");
	copy_name(g, to, disk, full);
	if (!take_source(g, entry, i, to, e) || !take_mode(disk, i, to, e) || !copy_hvinfo(to, disk, "disk", place, e))
		return false;
	if (!json_object_object_get_ex(to, "uuid", NULL))
		note_unnamed(g, "disks", i);
	force_cache(g, disk, to);
	seat_ide(g, i, to);
	move_away(g, "disks", i, to, full);
	return true;
}

typedef bool take_fn(struct ganeti *g, struct json_object *from, size_t i, struct json_object *to, struct err **e);

/* Element ELEMENT of the document is the list NAME of the definition. */
static bool take_list(struct ganeti *g, struct json_object *from, size_t element, const char *name, take_fn *take,
		      struct err **e)
{
	struct json_object *list = json_object_new_array();

	json_add_key(g->definition, name, list, false);
	if (json_object_array_length(from) > DEVICES_MAX)
		return ganeti_bad(e, "has too many elements", "[%zu]", element);
	for (size_t i = 0; i < json_object_array_length(from); i++) {
		struct json_object *to = json_object_new_object();

		json_object_array_add(list, to);
		if (!take(g, json_object_array_get_idx(from, i), i, to, e))
			return false;
	}
	return true;
}

/* Of a file that has no disks: those of the command. Media are parameters. */
static void take_drives(struct ganeti *g, struct json_object *cmd)
{
	struct json_object *list = json_object_new_array();

	json_add(g->definition, "disks", list);
	for (size_t i = 1; i + 1 < json_object_array_length(cmd); i++) {
		const char *value = ganeti_word(cmd, i + 1);
		bool blockdev = str_eq(ganeti_word(cmd, i), "-blockdev");
		_cleanup_free_ char *path = ganeti_member(value, blockdev ? "file.filename" : "file");
		_cleanup_free_ char *media = ganeti_member(value, "media"), *interface = ganeti_member(value, "if");
		_cleanup_free_ char *ro = ganeti_member(value, "read-only"), *node = ganeti_member(value, "node-name");
		struct json_object *to;

		if ((!blockdev && !str_eq(ganeti_word(cmd, i), "-drive")) || !path || path[0] != '/' ||
		    str_eq(media, "cdrom") || str_eq(interface, "floppy") || str_eq(ro, "on") ||
		    str_eq(node, "floppy1"))
			continue;
		to = json_object_new_object();
		json_add_str(to, "path", path);
		json_object_array_add(list, to);
		note_unnamed(g, "disks", json_object_array_length(list) - 1);
	}
	warnings_add(g->warnings, "document",
		     "the file has no list of disks: %zu were found in the command, and get places of their own",
		     json_object_array_length(list));
}

bool ganeti_take_disks(struct ganeti *g, struct json_object *from, struct json_object *cmd, struct err **e)
{
	if (from)
		return take_list(g, from, GANETI_DISKS, "disks", take_disk, e);
	take_drives(g, cmd);
	return true;
}

bool ganeti_take_nics(struct ganeti *g, struct json_object *from, struct err **e)
{
	return take_list(g, from, GANETI_NICS, "nics", take_nic, e);
}
