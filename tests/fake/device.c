/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices: plugged, shown, unplugged. One on PCI goes when the guest lets it go, as ACPI has it: asked before the guest
 * ever ran it is never heard, and refused the second time until a reset; later it may be asked again and again. One on
 * another bus goes at once.
 */
#include "bus.h"
#include "fake.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PERIPHERAL "/machine/peripheral"

enum { LAST_ADDRESS = 255, FUNCTIONS = 8 };

struct device {
	struct device *next;
	char *id; /* "#N": none was given */
	const struct driver *driver;
	struct json_object *options;
	struct bus bus; /* name: its own copy */
	int address;    /* on PCI */
	int64_t target, lun;
	bool hotplugged, lost_netdev, pending;
	bool told;  /* the guest will hear that it is to go */
	bool going; /* nobody is asked */
};

const char *device_id(const struct device *d)
{
	return d->id;
}

const char *device_driver(const struct device *d)
{
	return d->driver->name;
}

bool device_is_card(const struct device *d)
{
	return d->driver->card;
}

struct device *device_next(const struct gear *g, const struct device *d)
{
	return d ? d->next : g->devices;
}

struct device *device_find(const struct gear *g, const char *id)
{
	for (struct device *d = g->devices; d; d = d->next)
		if (str_eq(d->id, id))
			return d;
	return NULL;
}

struct device *device_with(const struct gear *g, const char *key, const char *value)
{
	for (struct device *d = g->devices; value && d; d = d->next)
		if (str_eq(json_get_str(d->options, key), value) && !(d->lost_netdev && str_eq(key, "netdev")))
			return d;
	return NULL;
}

void device_lose_netdev(struct device *d)
{
	d->lost_netdev = true;
}

/* ---- where ---- */

/* The bus that D gives is named by it. */
static char *given_bus(const struct device *d)
{
	if (d->driver->gives == BUS_NONE)
		return NULL;
	return xasprintf("%s%s", d->id, d->driver->gives == BUS_PCI ? "" : ".0");
}

static bool find_bus(struct ask *a, const char *name, enum bus_type type, struct bus *ret)
{
	if (bus_of_machine(a->f, name, type, ret)) {
		ret->name = xstrdup(ret->name);
		return true;
	}
	for (struct device *d = a->f->gear.devices; d; d = d->next) {
		_cleanup_free_ char *bus = given_bus(d);

		if (!bus || (name ? !str_eq(bus, name) : d->driver->gives != type))
			continue;
		*ret = (struct bus){ .name = TAKE_PTR(bus), .type = d->driver->gives, .hot = true, .giver = d->driver };
		return true;
	}
	return false;
}

static bool choose_bus(struct ask *a, struct device *d)
{
	const char *name = json_get_str(a->args, "bus");

	if (!find_bus(a, name, d->driver->on, &d->bus)) {
		if (name)
			return refuse(a, "GenericError", "Bus '%s' not found", name);
		return refuse(a, "GenericError", "No '%s' bus found for device '%s'",
			      bus_type_name(a->f, d->driver->on), d->driver->name);
	}
	if (d->bus.type != d->driver->on)
		return refuse(a, "GenericError", "Device '%s' can't go on %s bus", d->driver->name,
			      bus_type_name(a->f, d->bus.type));
	if (a->m && !d->bus.hot)
		return refuse(a, "GenericError", "Bus '%s' does not support hotplugging", d->bus.name);
	return true;
}

static const struct device *at_address(const struct fake *f, const char *bus, int address)
{
	for (struct device *d = f->gear.devices; d; d = d->next)
		if (d->driver->on == BUS_PCI && str_eq(d->bus.name, bus) && d->address == address)
			return d;
	return NULL;
}

static const char *builtin_at(const struct fake *f, const struct bus *bus, int address)
{
	return bus->giver ? NULL : pci_builtin(f, address);
}

static bool take_address(struct ask *a, struct device *d)
{
	const struct device *other;
	const char *builtin;

	for (d->address += d->address < 0; !json_get_str(a->args, "addr"); d->address += FUNCTIONS) {
		if (d->address > LAST_ADDRESS)
			return refuse(a, "GenericError",
				      "PCI: no slot/function available for %s, all in use or reserved",
				      d->driver->name);
		if (!at_address(a->f, d->bus.name, d->address) && !builtin_at(a->f, &d->bus, d->address))
			return true;
	}
	other = at_address(a->f, d->bus.name, d->address);
	builtin = builtin_at(a->f, &d->bus, d->address);
	if (other)
		builtin = other->driver->name;
	if (builtin)
		return refuse(a, "GenericError", "PCI: slot %d function %d not available for %s, in use by %s,id=%s",
			      d->address / FUNCTIONS, d->address % FUNCTIONS, d->driver->name, builtin,
			      other && *other->id != '#' ? other->id : "(null)");
	return true;
}

static bool take_target(struct ask *a, struct device *d)
{
	d->target = json_get_int(a->args, "scsi-id", -1);
	d->lun = json_get_int(a->args, "lun", 0);
	if (d->target > d->bus.giver->max_id)
		return refuse(a, "GenericError", "bad scsi device id: %lld", (long long)d->target);
	for (struct device *other = a->f->gear.devices; other; other = other->next)
		if (str_eq(other->bus.name, d->bus.name) && other->target == d->target && other->lun == d->lun)
			return refuse(a, "GenericError", "lun already used by '%s'", other->id);
	return true;
}

static bool take_port(struct ask *a, struct device *d)
{
	d->target = json_get_int(a->args, "nr", -1);
	for (struct device *other = a->f->gear.devices; d->target >= 0 && other; other = other->next)
		if (str_eq(other->bus.name, d->bus.name) && other->target == d->target)
			return refuse(a, "GenericError", "virtio-serial-bus: A port already exists at id %lld",
				      (long long)d->target);
	return true;
}

/* ---- what it is made of ---- */

static const char *owner_of_properties(const struct driver *driver)
{
	return driver->backend ? driver->backend : driver->name;
}

static char *block_device(const struct device *d)
{
	return d->driver->backend ? xasprintf(PERIPHERAL "/%s/virtio-backend", d->id) : xstrdup(d->id);
}

/* In QEMU these are set before the device is given its place. */
static bool check_properties(struct ask *a, struct device *d)
{
	const char *drive = json_get_str(a->args, "drive"), *netdev = json_get_str(a->args, "netdev");
	const char *chardev = json_get_str(a->args, "chardev"), *addr = json_get_str(a->args, "addr");
	const char *owner = owner_of_properties(d->driver);
	_cleanup_free_ char *why = NULL;

	d->address = -1;
	if (addr && d->driver->on == BUS_PCI && !pci_address(addr, &d->address))
		return refuse(a, "GenericError", "Property '%s.addr' doesn't take value '%s'", d->driver->name, addr);
	if (drive && !node_find(&a->f->gear, drive))
		return refuse(a, "GenericError", "Property '%s.drive' can't find value '%s'", owner, drive);
	if (netdev)
		why = netdev_refusal(&a->f->gear, owner, netdev);
	else if (chardev)
		why = chardev_refusal(&a->f->gear, owner, chardev);
	return !why || refuse(a, "GenericError", "%s", why);
}

static bool take_drive(struct ask *a, struct device *d)
{
	const char *drive = json_get_str(a->args, "drive");
	struct device *other = device_with(&a->f->gear, "drive", drive);
	_cleanup_free_ char *its = NULL, *ours = NULL;

	if (!drive && d->driver->needs_drive)
		return refuse(a, "GenericError", "drive property not set");
	if (!drive || !other || node_is_read_only(node_find(&a->f->gear, drive)))
		return true;
	its = block_device(other);
	ours = block_device(d);
	return refuse(a, "GenericError",
		      "Permission conflict on node '%s': permissions 'write' are both required by block device '%s' "
		      "(uses node '%s' as 'root' child) and unshared by block device '%s' (uses node '%s' as 'root' "
		      "child).",
		      drive, its, drive, ours, drive);
}

static bool realize(struct ask *a, struct device *d)
{
	static bool (*const places[])(struct ask * a, struct device * d) = {
		[BUS_PCI] = take_address, [BUS_SCSI] = take_target, [BUS_PORTS] = take_port, [BUS_USB] = NULL
	};

	return (!places[d->driver->on] || places[d->driver->on](a, d)) && (!d->driver->drive || take_drive(a, d));
}

static void free_device(struct device *d)
{
	json_object_put(d->options);
	free((char *)d->bus.name);
	free(d->id);
	free(d);
}

static struct json_object *device_add(struct ask *a)
{
	const char *name = ask_str(a, "driver"), *id = json_get_str(a->args, "id");
	struct device **end = &a->f->gear.devices, *d;

	if (!name || !ask_id(a, id))
		return NULL;
	if (!driver_find(name))
		return refuse(a, "GenericError", "'%s' is not a valid device model name", name);
	d = xcalloc(1, sizeof(*d));
	d->driver = driver_find(name);
	d->options = json_object_get(a->args);
	d->hotplugged = a->m != NULL;
	d->target = -1;
	d->id = id ? xstrdup(id) : xasprintf("#%u", a->f->gear.anonymous++);
	if (choose_bus(a, d) && device_find(&a->f->gear, d->id))
		refuse(a, "GenericError", "Duplicate device ID '%s'", d->id);
	if (a->class || !check_properties(a, d) || !realize(a, d)) {
		free_device(d);
		return NULL;
	}
	while (*end)
		end = &(*end)->next;
	*end = d;
	return NULL;
}

/* ---- what is told of it ---- */

static char *parent_bus(const struct fake *f, const struct device *d)
{
	size_t len = strcspn(d->bus.name, ".");

	if (d->bus.giver)
		return xasprintf(PERIPHERAL "/%.*s%s/%s", (int)len, d->bus.name,
				 d->bus.giver->backend ? "/virtio-backend" : "", d->bus.name);
	return d->bus.type == BUS_PCI ? xasprintf("/machine/%s/%s", f->q35 ? "q35" : "i440fx", d->bus.name) :
					xasprintf("/machine/unattached/%s", d->bus.name);
}

struct json_object *device_property(const struct fake *f, const struct device *d, const char *name)
{
	struct json_object *value;

	if (str_eq(name, "realized"))
		return json_object_new_boolean(true);
	if (str_eq(name, "hotplugged"))
		return json_object_new_boolean(d->hotplugged);
	if (str_eq(name, "addr") && d->driver->on == BUS_PCI)
		return json_object_new_int(d->address);
	if (str_eq(name, "scsi-id") && d->driver->on == BUS_SCSI)
		return json_object_new_int64(d->target);
	if (str_eq(name, "parent_bus")) {
		_cleanup_free_ char *path = parent_bus(f, d);

		return json_object_new_string(path);
	}
	if (json_object_object_get_ex(d->options, name, &value) && !str_eq(name, "id") && !str_eq(name, "bus"))
		return json_object_get(value);
	if ((str_eq(name, "netdev") && d->driver->card) || (str_eq(name, "drive") && d->driver->drive))
		return json_object_new_string("");
	return NULL;
}

struct json_object *device_properties(const struct device *d)
{
	static const char *const all[] = { "parent_bus", "realized", "hotplugged" };
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		json_object_array_add(list, json_object_new_string(all[i]));
	json_object_object_foreach(d->options, key, value) {
		(void)value;
		if (!str_eq(key, "id") && !str_eq(key, "bus") && !str_eq(key, "driver"))
			json_object_array_add(list, json_object_new_string(key));
	}
	return list;
}

/* A disk that is full, or fails, is told as all of them are; without one a script may still say it. */
static struct json_object *query_block(struct ask *a)
{
	bool failed = str_eq(a->f->status, "io-error");
	const char *io_status = a->f->full ? "nospace" : failed ? "failed" : "ok";
	struct json_object *list = json_object_new_array(), *o;

	for (struct device *d = a->f->gear.devices; d; d = d->next) {
		const char *drive = json_get_str(d->options, "drive");
		_cleanup_free_ char *qdev = NULL;

		if (!d->driver->drive)
			continue;
		o = json_object_new_object();
		qdev = block_device(d);
		json_add_str(o, "device", "");
		json_add_str(o, "qdev", qdev);
		json_add_str(o, "type", "unknown");
		json_add_bool(o, "locked", false);
		json_add_bool(o, "removable", !d->driver->needs_drive);
		json_add_str(o, "io-status", io_status);
		if (drive)
			json_add(o, "inserted", node_describe(&a->f->gear, drive));
		json_object_array_add(list, o);
	}
	if (json_object_array_length(list) == 0 && !str_eq(io_status, "ok")) {
		o = json_object_new_object();
		json_add_str(o, "device", "");
		json_add_str(o, "io-status", io_status);
		json_object_array_add(list, o);
	}
	return list;
}

/* ---- unplugged ---- */

static void emit_gone(struct fake *f, const char *event, const struct device *d, const char *below)
{
	struct json_object *data = json_object_new_object();
	_cleanup_free_ char *path = xasprintf(PERIPHERAL "/%s%s", d->id, below);

	if (!*below)
		json_add_str(data, "device", d->id);
	json_add_str(data, "path", path);
	emit(f, event, data);
}

/* The youngest of what sits on its buses. */
static struct device *last_child(const struct fake *f, const struct device *d)
{
	_cleanup_free_ char *bus = given_bus(d);
	struct device *last = NULL;

	for (struct device *child = f->gear.devices; bus && child; child = child->next)
		if (str_eq(child->bus.name, bus))
			last = child;
	return last;
}

static void remove_device(struct fake *f, struct device *d)
{
	struct device **p = &f->gear.devices;

	while (*p && *p != d)
		p = &(*p)->next;
	if (*p)
		*p = d->next;
	if (d->driver->backend)
		emit_gone(f, "DEVICE_DELETED", d, "/virtio-backend");
	emit_gone(f, "DEVICE_DELETED", d, "");
	free_device(d);
}

/* What sits on its bus goes before it; nothing that can be unplugged has two storeys. */
static void unplug(struct fake *f, struct device *d)
{
	struct device *child;

	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was removed is off the list */
	while ((child = last_child(f, d)))
		remove_device(f, child);
	remove_device(f, d);
}

static const char *wish(const struct fake *f, const struct device *d)
{
	const char *said = script_value_for(&f->script, "unplug", d->id);

	return said ? said : "obey";
}

static const char *file_of(const char *said)
{
	static const char late[] = "late:";

	return str_starts(said, late) ? said + sizeof(late) - 1 : NULL;
}

/* True: it is gone, and so may be others. */
static bool obey(struct fake *f, struct device *d)
{
	const char *said = wish(f, d), *file = file_of(said);

	if (!d->pending || (!d->going && (!d->told || !fake_runs(f))))
		return false;
	if (d->going || str_eq(said, "obey") || (file && access(file, F_OK) == 0)) {
		unplug(f, d);
		return true;
	}
	if (str_eq(said, "refuse")) {
		emit_gone(f, "DEVICE_UNPLUG_GUEST_ERROR", d, "");
		d->pending = d->told = false;
	}
	return false;
}

void devices_obey(struct fake *f)
{
	struct device *d = f->gear.devices;

	while (d)
		d = obey(f, d) ? f->gear.devices : d->next;
}

bool devices_wait(const struct fake *f)
{
	for (struct device *d = f->gear.devices; d; d = d->next)
		if (d->pending && d->told && file_of(wish(f, d)))
			return true;
	return false;
}

void devices_eject(struct fake *f, const char *id)
{
	struct device *d = device_find(&f->gear, id);

	if (d)
		unplug(f, d);
}

void devices_reset(struct fake *f)
{
	for (struct device *d = f->gear.devices; d;) {
		if (d->pending) {
			unplug(f, d);
			d = f->gear.devices;
		} else {
			d = d->next;
		}
	}
}

static struct json_object *device_del(struct ask *a)
{
	static const char prefix[] = PERIPHERAL "/";
	const char *id = ask_str(a, "id");
	struct device *d;

	if (!id)
		return NULL;
	d = device_find(&a->f->gear, str_starts(id, prefix) ? id + sizeof(prefix) - 1 : id);
	if (!d)
		return refuse(a, "DeviceNotFound", "Device '%s' not found", id);
	if (d->pending && (!d->told || script_says(&a->f->script, "again", "refuse")))
		return refuse(a, "GenericError", "Device %s is already in the process of unplug", id);
	if (!d->bus.hot)
		return refuse(a, "GenericError", "Bus '%s' does not support hotplugging", d->bus.name);
	d->pending = true;
	d->told = a->f->moved;
	d->going = d->driver->on != BUS_PCI;
	return NULL;
}

const struct command device_commands[] = {
	{ "device_add", device_add, "*" },
	{ "device_del", device_del, "id" },
	{ "query-block", query_block, "" },
	{ 0 },
};
