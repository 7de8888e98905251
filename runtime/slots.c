/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/slots.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

/* What a device can sit on. Each has numbered places, and fill() says what hvinfo is at one of them. */
enum bus { BUS_PCI, BUS_MICROVM, BUS_ROOT_PORTS, BUS_SCSI, BUS_IDE, BUS_AHCI, BUS_FLOPPY, BUS_ISA, BUS_COUNT };
enum { PLACES_MAX = 256, PCI_SLOTS = 32, PCI_FIRST_FREE = 0xb, UUID_GROUP = 8 };

/* Every place of the machine, and whose it is. */
struct map {
	const struct hvparams *hv;
	char *owner[BUS_COUNT][PLACES_MAX]; /* ids; NULL: free */
	char *runs[BUS_COUNT][PLACES_MAX];  /* ids; NULL: nobody's, now */
};

/* One disk or card. */
struct seat {
	const char *list;
	size_t index;
	struct hvinfo *info;
	const struct hvinfo *old;  /* of the same uuid in the old definition, or NULL */
	const struct hvinfo *runs; /* of the same uuid in what runs, or NULL */
	const char *driver;
	char *id;
	enum bus bus;
	bool seated;
};

/* A member of hvinfo that says where. */
static const struct member {
	const char *name;
	bool number;
	size_t offset;
} members[] = {
	{ "bus", false, offsetof(struct hvinfo, bus) },        { "addr", false, offsetof(struct hvinfo, addr) },
	{ "channel", true, offsetof(struct hvinfo, channel) }, { "lun", true, offsetof(struct hvinfo, lun) },
	{ "scsi-id", true, offsetof(struct hvinfo, scsi_id) }, { "unit", true, offsetof(struct hvinfo, unit) },
};

static const char *text_of(const struct hvinfo *info, const struct member *m)
{
	return MEMBER_AT(info, char *, m->offset);
}

static int64_t number_of(const struct hvinfo *info, const struct member *m)
{
	return MEMBER_AT(info, int64_t, m->offset);
}

static bool is_given(const struct hvinfo *info, const struct member *m)
{
	return m->number ? number_of(info, m) != PARAM_INT_NONE : text_of(info, m) != NULL;
}

static bool is_equal(const struct hvinfo *a, const struct hvinfo *b, const struct member *m)
{
	return m->number ? number_of(a, m) == number_of(b, m) : str_eq(text_of(a, m), text_of(b, m));
}

static void place_clear(struct hvinfo *info)
{
	free(info->bus);
	free(info->addr);
	info->bus = info->addr = NULL;
	info->channel = info->scsi_id = info->lun = info->unit = PARAM_INT_NONE;
}

/* ---- layout 1 ---- */

static void fill_pci(unsigned n, struct hvinfo *place)
{
	place->bus = xstrdup("pci.0");
	place->addr = xasprintf("0x%x", n);
}

/* The slots of a PC. */
static void fill_microvm(unsigned n, struct hvinfo *place)
{
	place->bus = xstrdup("pcie.0");
	place->addr = xasprintf("0x%x", n);
}

static void fill_root_port(unsigned n, struct hvinfo *place)
{
	place->bus = xasprintf("rp%u", n);
	place->addr = xstrdup("0x0");
}

static void fill_scsi(unsigned n, struct hvinfo *place)
{
	place->bus = xstrdup("scsi.0");
	place->channel = place->lun = 0;
	place->scsi_id = n;
}

static void fill_ide(unsigned n, struct hvinfo *place)
{
	place->bus = xasprintf("ide.%u", n / 2);
	place->unit = n % 2;
}

static void fill_ahci(unsigned n, struct hvinfo *place)
{
	place->bus = xasprintf("ide.%u", n);
	place->unit = 0;
}

static void fill_floppy(unsigned n, struct hvinfo *place)
{
	place->unit = n;
}

static void fill_isa(unsigned n, struct hvinfo *place)
{
	place->bus = xstrdup("isa.0");
}

static const struct bus_row {
	const char *what; /* for "no free ... left" */
	void (*fill)(unsigned n, struct hvinfo *place);
	unsigned count; /* 0: a parameter says */
	bool hot;       /* devices are plugged while the machine runs */
} buses[] = {
	[BUS_PCI] = { "slot on pci.0", fill_pci, PCI_SLOTS, true },
	[BUS_MICROVM] = { "slot on pcie.0", fill_microvm, PCI_SLOTS },
	[BUS_ROOT_PORTS] = { "root port (pcie_root_ports)", fill_root_port, 0, true },
	[BUS_SCSI] = { "scsi-id on scsi.0", fill_scsi, 0, true },
	[BUS_IDE] = { "place on ide.0 and ide.1", fill_ide, 4 },
	[BUS_AHCI] = { "port of ide.0 to ide.5", fill_ahci, 6 },
	[BUS_FLOPPY] = { "floppy drive", fill_floppy, 2 },
	/* All cards have the same ports by default, and two on one are none. */
	[BUS_ISA] = { "place for an ISA network card", fill_isa, 1 },
};

/* Places by number, from 0 up to this. */
static unsigned bus_count(const struct hvparams *hv, enum bus bus)
{
	static const unsigned scsi_ids[] = {
		[SCSI_VIRTIO] = 256, [SCSI_LSI] = 7, [SCSI_MEGASAS] = 64, [SCSI_DC390] = 7
	};

	if (bus == BUS_SCSI)
		return scsi_ids[hv->scsi_controller_type];
	return bus == BUS_ROOT_PORTS ? (unsigned)hv->pcie_root_ports : buses[bus].count;
}

static bool has_slots(enum bus bus)
{
	return bus == BUS_PCI || bus == BUS_MICROVM;
}

/* Below it are the machine's own, which nobody gets even if their device does not exist. */
static unsigned bus_lowest(enum bus bus)
{
	return has_slots(bus) ? PCI_FIRST_FREE : 0;
}

/* The first that is chosen; those between the lowest and this must be asked for. */
static unsigned bus_first(const struct hvparams *hv, enum bus bus)
{
	if (has_slots(bus) && hv->kvm_pci_reservations > PCI_FIRST_FREE)
		return (unsigned)hv->kvm_pci_reservations;
	return bus_lowest(bus);
}

static bool is_q35(const struct hvparams *hv)
{
	return machine_kind(hv->machine_version) == MACHINE_Q35;
}

/* Where the devices are that are on PCI. */
static enum bus pci_of(const struct hvparams *hv)
{
	if (is_q35(hv))
		return BUS_ROOT_PORTS;
	return machine_kind(hv->machine_version) == MACHINE_MICROVM ? BUS_MICROVM : BUS_PCI;
}

static void seat_disk(const struct disk *d, const struct hvparams *hv, struct seat *s)
{
	static const char *const drivers[] = {
		[DISK_PARAVIRTUAL] = "virtio-blk-pci",
		[DISK_IDE] = "ide-hd",
		[DISK_SCSI_HD] = "scsi-hd",
		[DISK_SCSI_BLOCK] = "scsi-block",
		[DISK_SCSI_GENERIC] = "scsi-generic",
		[DISK_SCSI_CD] = "scsi-cd",
	};
	enum disk_type type = disk_type_of(d, hv);

	s->id = device_id("disk", d->uuid);
	s->driver = drivers[type];
	s->bus = BUS_SCSI;
	if (d->media == MEDIA_FLOPPY) {
		s->driver = "floppy";
		s->bus = BUS_FLOPPY;
	} else if (type == DISK_PARAVIRTUAL) {
		s->bus = pci_of(hv);
	} else if (type == DISK_IDE) {
		s->driver = d->media == MEDIA_CDROM ? "ide-cd" : s->driver;
		s->bus = is_q35(hv) ? BUS_AHCI : BUS_IDE;
	}
}

static void seat_nic(const struct nic *n, const struct hvparams *hv, struct seat *s)
{
	int type = nic_type_of(n, hv);

	s->id = device_id("nic", n->uuid);
	s->driver = type == NIC_TYPE_PARAVIRTUAL ? "virtio-net-pci" : nic_types[type];
	s->bus = pci_of(hv);
	if (type == NIC_TYPE_NE2K_ISA)
		s->bus = BUS_ISA;
}

/* ---- one device ---- */

static bool fail(struct err **e, const struct seat *s, const char *member, const char *fmt, ...) _printf_(4, 5);
static bool fail(struct err **e, const struct seat *s, const char *member, const char *fmt, ...)
{
	_cleanup_free_ char *path = xasprintf("%s[%zu].hvinfo.%s", s->list, s->index, member), *why = NULL;
	va_list ap;

	va_start(ap, fmt);
	why = xvasprintf(fmt, ap);
	va_end(ap);
	return err_set_param(e, path, "%s", why);
}

static bool no_slot(const struct map *map, const struct seat *s, unsigned first, struct err **e)
{
	_cleanup_free_ char *path = xasprintf("%s[%zu]", s->list, s->index);
	unsigned count = bus_count(map->hv, s->bus);

	err_set(e, ERR_NO_SLOT, "'%s': no free %s for it: there are %u", path, buses[s->bus].what,
		count > first ? count - first : 0);
	return err_name_param(e, path);
}

static void sit(struct map *map, struct seat *s, unsigned n)
{
	assert(!map->owner[s->bus][n]);
	map->owner[s->bus][n] = s->id;
	place_clear(s->info);
	buses[s->bus].fill(n, s->info);
	s->seated = true;
}

/* Hexadecimal behind 0x, else decimal; function 0 may be named. */
static bool parse_slot(const char *text, unsigned *ret)
{
	int base = str_starts(text, "0x") || str_starts(text, "0X") ? 16 : 10;
	char *end;
	unsigned long n;

	if (!isdigit((unsigned char)*text))
		return false;
	n = strtoul(text, &end, base);
	if (str_eq(end, ".0") || str_eq(end, ".0x0"))
		end += strlen(end);
	*ret = (unsigned)n;
	return !*end && n < PCI_SLOTS;
}

static bool canonicalise(const struct seat *s, struct err **e)
{
	unsigned slot;

	if (!s->info->addr)
		return true;
	if (!parse_slot(s->info->addr, &slot))
		return fail(e, s, "addr", "must be a slot, such as 0xc");
	free(s->info->addr);
	s->info->addr = xasprintf("0x%x", slot);
	return true;
}

/* How many places from LOWEST on there are that are WANTED, as far as the first LEN members go; *RET is one of them. */
static unsigned find_places_from(const struct map *map, const struct seat *s, unsigned lowest,
				 const struct hvinfo *wanted, size_t len, bool free_only, unsigned *ret)
{
	unsigned found = 0;

	for (unsigned n = bus_count(map->hv, s->bus); n-- > lowest;) {
		struct hvinfo place = { 0 };
		bool fits = !free_only || !map->owner[s->bus][n];

		place_clear(&place);
		buses[s->bus].fill(n, &place);
		for (size_t i = 0; i < len && fits; i++)
			fits = !is_given(wanted, &members[i]) || is_equal(wanted, &place, &members[i]);
		place_clear(&place);
		if (!fits)
			continue;
		*ret = n; /* in the end the lowest */
		found++;
	}
	return found;
}

/* As above, of those that somebody gets. */
static unsigned find_places(const struct map *map, const struct seat *s, const struct hvinfo *wanted, size_t len,
			    bool free_only, unsigned *ret)
{
	return find_places_from(map, s, bus_lowest(s->bus), wanted, len, free_only, ret);
}

static bool has_place(const struct hvinfo *info)
{
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (is_given(info, &members[i]))
			return true;
	return false;
}

/* The member to be blamed for a place that somebody else has. */
static const char *telling_member(const struct seat *s)
{
	const char *name = "bus";

	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (is_given(s->info, &members[i]) && !str_eq(members[i].name, "channel") &&
		    !str_eq(members[i].name, "lun") && !(s->bus == BUS_ROOT_PORTS && str_eq(members[i].name, "addr")))
			name = members[i].name;
	return name;
}

/* A place that was given, in whole or in part. */
static bool sit_as_given(struct map *map, struct seat *s, struct err **e)
{
	struct hvinfo any = { 0 };
	unsigned n = 0, all;

	if (!canonicalise(s, e))
		return false;
	place_clear(&any);
	buses[s->bus].fill(0, &any);
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		bool alien = is_given(s->info, &members[i]) && !is_given(&any, &members[i]);

		if (!alien && find_places(map, s, s->info, i + 1, false, &n))
			continue;
		place_clear(&any);
		if (alien)
			return fail(e, s, members[i].name, "%s has none", s->driver);
		if (has_slots(s->bus) && str_eq(members[i].name, "addr"))
			return fail(e, s, "addr", "%s is the machine's own; 0x%x to 0x%x are for devices",
				    s->info->addr, PCI_FIRST_FREE, PCI_SLOTS - 1);
		return fail(e, s, members[i].name, "there is no such place for %s on this machine", s->driver);
	}
	place_clear(&any);
	all = find_places(map, s, s->info, ARRAY_SIZE(members), false, &n);
	if (all == 1 && map->owner[s->bus][n])
		return fail(e, s, telling_member(s), "%s sits there already", map->owner[s->bus][n]);
	if (!find_places(map, s, s->info, ARRAY_SIZE(members), true, &n))
		return no_slot(map, s, bus_lowest(s->bus), e);
	sit(map, s, n);
	return true;
}

/* "hotnic-003fc157-pci-5", as Ganeti called the device in slot 5 before it had the ids of today. Where that slot is the
 * machine's own here, the device is called so in another. */
static bool take_old_id(struct seat *s, const struct hvinfo *info)
{
	size_t head = (size_t)(strchr(s->id, '-') - s->id) + 1 + UUID_GROUP;
	const char *digits = info->id ? strrchr(info->id, '-') : NULL;
	unsigned said, slot;

	if (!digits || !parse_slot(digits + 1, &said))
		return false;
	if (said >= PCI_FIRST_FREE && (!info->addr || !parse_slot(info->addr, &slot) || slot != said))
		return false;
	_cleanup_free_ char *old = xasprintf("hot%.*s-pci-%u", (int)head, s->id, said);

	if (!str_eq(info->id, old))
		return false;
	free(s->id);
	s->id = TAKE_PTR(old);
	return true;
}

/* Whether what was given, if anything, is where it sat. */
static bool is_place(const struct hvinfo *info, const struct hvinfo *before)
{
	bool same = true;

	for (size_t i = 0; i < ARRAY_SIZE(members) && has_place(info); i++)
		same &= is_equal(info, before, &members[i]);
	return same;
}

/* Where it sat BEFORE (may be NULL), if that is a place of this device on this machine still; by the name it had there. */
static void sit_as_before(struct map *map, struct seat *s, const struct hvinfo *before)
{
	unsigned n = 0;

	if (s->seated || !before || !str_eq(before->driver, s->driver) || !has_place(before) ||
	    !is_place(s->info, before) || find_places(map, s, before, ARRAY_SIZE(members), true, &n) != 1)
		return;
	if (take_old_id(s, before)) {
		free(s->info->id);
		s->info->id = xstrdup(s->id);
	}
	sit(map, s, n);
}

/* RUNS: also where somebody else is now, whom it could not be plugged beside. */
static bool sit_lowest(struct map *map, struct seat *s, bool runs)
{
	for (unsigned n = bus_first(map->hv, s->bus); n < bus_count(map->hv, s->bus); n++) {
		const char *is = buses[s->bus].hot ? map->runs[s->bus][n] : NULL;

		if (!map->owner[s->bus][n] && (runs || !is || str_eq(is, s->id))) {
			sit(map, s, n);
			return true;
		}
	}
	return false;
}

static bool check_identity(struct seat *s, struct err **e)
{
	if (s->info->driver && !str_eq(s->info->driver, s->driver))
		return fail(e, s, "driver", "this device is a %s; leave hvinfo out to have a place chosen", s->driver);
	if (s->info->id && !str_eq(s->info->id, s->id))
		return fail(e, s, "id", "its uuid makes it %s", s->id);
	free(s->info->driver);
	free(s->info->id);
	s->info->driver = xstrdup(s->driver);
	s->info->id = xstrdup(s->id);
	return true;
}

/* ---- all of them ---- */

static const struct hvinfo *old_disk(const struct definition *old, const char *uuid)
{
	for (size_t i = 0; old && i < old->disks.n; i++)
		if (str_eq(definition_disk(old, i)->uuid, uuid))
			return &definition_disk(old, i)->hvinfo;
	return NULL;
}

static const struct hvinfo *old_nic(const struct definition *old, const char *uuid)
{
	for (size_t i = 0; old && i < old->nics.n; i++)
		if (str_eq(definition_nic(old, i)->uuid, uuid))
			return &definition_nic(old, i)->hvinfo;
	return NULL;
}

/* Disks, then cards; the caller frees the ids and the array. OLD, RUNNING: may be NULL. */
static struct seat *make_seats(const struct definition *def, const struct definition *old,
			       const struct definition *running)
{
	struct seat *seats = xcalloc(def->disks.n + def->nics.n + 1, sizeof(*seats));

	for (size_t i = 0; i < def->disks.n; i++) {
		struct disk *d = definition_disk(def, i);

		seats[i] = (struct seat){ "disks", i, &d->hvinfo, old_disk(old, d->uuid), old_disk(running, d->uuid) };
		seat_disk(d, &def->hvparams, &seats[i]);
		take_old_id(&seats[i], &d->hvinfo);
	}
	for (size_t i = 0; i < def->nics.n; i++) {
		struct nic *n = definition_nic(def, i);
		struct seat *s = &seats[def->disks.n + i];

		*s = (struct seat){ "nics", i, &n->hvinfo, old_nic(old, n->uuid), old_nic(running, n->uuid) };
		seat_nic(n, &def->hvparams, s);
		take_old_id(s, &n->hvinfo);
	}
	return seats;
}

static void free_seats(struct seat *seats, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(seats[i].id);
	free(seats);
}

/* Its place on the machine, be it one that only another manager gave. A type that waits in hvparams for the next start is not
 * that of a device that was plugged meanwhile, so the bus is one that fits. */
static bool find_own(const struct map *map, struct seat *s, unsigned *place)
{
	const enum bus candidates[] = { s->bus, pci_of(map->hv), BUS_SCSI };

	for (size_t i = 0; has_place(s->info) && i < ARRAY_SIZE(candidates); i++) {
		s->bus = candidates[i];
		if (find_places_from(map, s, 0, s->info, ARRAY_SIZE(members), false, place) == 1)
			return true;
	}
	return false;
}

/* The places of those who sit already, each for good, in OWNER. Not of one in BUT that has no seat yet, who may come back. */
static void take_places(const struct map *map, char *owner[][PLACES_MAX], struct seat *there, size_t n_there,
			const struct seat *but, size_t n_but)
{
	unsigned place = 0;

	for (size_t i = 0; i < n_there; i++) {
		bool waits = false;

		for (size_t k = 0; k < n_but && !waits; k++)
			waits = but[k].runs == there[i].info && !but[k].seated;
		if (!waits && find_own(map, &there[i], &place) && !owner[there[i].bus][place])
			owner[there[i].bus][place] = there[i].id;
	}
}

/* Of ids that have but a part of the uuid in them. */
static bool check_ids(const struct seat *seats, size_t n, struct err **e)
{
	for (size_t i = 1; i < n; i++)
		for (size_t k = 0; k < i; k++)
			if (str_eq(seats[i].id, seats[k].id))
				return fail(e, &seats[i], "id", "is that of %s[%zu], too", seats[k].list,
					    seats[k].index);
	return true;
}

/* Those that sat somewhere stay, before anybody else may choose; then those that were given a place; the rest get
 * what is left, in their order. */
static bool sit_all(struct map *map, struct seat *seats, size_t n, struct seat *there, size_t n_there, bool next_start,
		    struct err **e)
{
	for (size_t i = 0; i < n; i++)
		if (!check_identity(&seats[i], e))
			return false;
	if (!check_ids(seats, n, e))
		return false;
	for (size_t i = 0; i < n; i++)
		sit_as_before(map, &seats[i], seats[i].old);
	if (!next_start)
		take_places(map, map->owner, there, n_there, seats, n);
	for (size_t i = 0; i < n; i++)
		sit_as_before(map, &seats[i], seats[i].runs);
	for (size_t i = 0; i < n; i++)
		if (has_place(seats[i].info) && !seats[i].seated && !sit_as_given(map, &seats[i], e))
			return false;
	for (size_t i = 0; i < n; i++)
		if (!seats[i].seated && !sit_lowest(map, &seats[i], false) && !sit_lowest(map, &seats[i], next_start))
			return no_slot(map, &seats[i], bus_first(map->hv, seats[i].bus), e);
	return true;
}

bool slots_assign(struct definition *def, const struct definition *old, const struct definition *running,
		  bool next_start, struct err **e)
{
	_cleanup_free_ struct map *map = xcalloc(1, sizeof(*map));
	size_t n = def->disks.n + def->nics.n, n_running = running ? running->disks.n + running->nics.n : 0;
	struct seat *seats = make_seats(def, old, running), *there = running ? make_seats(running, NULL, NULL) : NULL;
	bool ok;

	map->hv = &def->hvparams;
	take_places(map, map->runs, there, n_running, NULL, 0);
	ok = sit_all(map, seats, n, there, n_running, next_start, e);
	free_seats(there, n_running);
	free_seats(seats, n);
	return ok;
}

bool slots_are_assigned(const struct definition *def, struct err **e)
{
	size_t n = def->disks.n + def->nics.n;
	struct seat *seats = make_seats(def, NULL, NULL);
	bool ok = true;

	for (size_t i = 0; i < n && ok; i++)
		ok = (str_eq(seats[i].info->driver, seats[i].driver) && str_eq(seats[i].info->id, seats[i].id)) ||
		     fail(e, &seats[i], "id", "must be %s, of a %s", seats[i].id, seats[i].driver);
	free_seats(seats, n);
	return ok;
}

bool slots_is_own(const char *addr)
{
	unsigned slot;

	return parse_slot(addr, &slot) && slot < PCI_FIRST_FREE;
}

bool slots_has_place(const struct definition *def, const char *id)
{
	_cleanup_free_ struct map *map = xcalloc(1, sizeof(*map));
	size_t n = def->disks.n + def->nics.n;
	struct seat *seats = make_seats(def, NULL, NULL);
	unsigned place;
	bool has = false;

	map->hv = &def->hvparams;
	for (size_t i = 0; i < n; i++)
		has |= str_eq(seats[i].info->id, id) && find_own(map, &seats[i], &place);
	free_seats(seats, n);
	return has;
}

/* ---- the map ---- */

/* What tells the places of one bus apart. */
static char *place_key(enum bus bus, unsigned n)
{
	struct hvinfo place = { 0 };
	char *key;

	place_clear(&place);
	buses[bus].fill(n, &place);
	if (has_slots(bus))
		key = xstrdup(place.addr);
	else if (bus == BUS_ROOT_PORTS)
		key = xstrdup(place.bus);
	else
		key = xasprintf("%" PRId64, bus == BUS_SCSI ? place.scsi_id : bus == BUS_ISA ? 0 : place.unit);
	place_clear(&place);
	return key;
}

/* One entry: N places from FROM on. LABEL NULL: the bus that hvinfo names. Left out when nobody sits there, unless
 * devices can be plugged there. */
static void describe(struct json_object *list, const struct map *map, enum bus bus, const char *label, unsigned from,
		     unsigned n, bool pluggable)
{
	struct json_object *o = json_object_new_object(), *used = json_object_new_object();
	struct hvinfo place = { 0 };
	unsigned first = bus_first(map->hv, bus);
	int64_t vacant = 0;

	for (unsigned i = from; i < from + n; i++) {
		_cleanup_free_ char *key = place_key(bus, i);

		if (map->owner[bus][i])
			json_add_str(used, key, map->owner[bus][i]);
		else
			vacant += i >= first;
	}
	place_clear(&place);
	buses[bus].fill(from, &place);
	json_add_str(o, "bus", label ? label : place.bus);
	place_clear(&place);
	json_add_int(o, "first", first);
	json_add_int(o, "last", (int64_t)n - 1);
	json_add_int(o, "free", vacant);
	json_add(o, "used", used);
	if (pluggable || json_object_object_length(used))
		json_object_array_add(list, o);
	else
		json_object_put(o);
}

static void describe_all(struct json_object *list, const struct map *map)
{
	bool q35 = is_q35(map->hv);

	if (q35)
		describe(list, map, BUS_ROOT_PORTS, "rp", 0, bus_count(map->hv, BUS_ROOT_PORTS), true);
	else
		describe(list, map, pci_of(map->hv), NULL, 0, PCI_SLOTS, true);
	describe(list, map, BUS_SCSI, NULL, 0, bus_count(map->hv, BUS_SCSI), q35);
	for (unsigned n = 0; n < buses[BUS_IDE].count; n += 2)
		describe(list, map, BUS_IDE, NULL, n, 2, false);
	for (unsigned n = 0; n < buses[BUS_AHCI].count; n++)
		describe(list, map, BUS_AHCI, NULL, n, 1, false);
	describe(list, map, BUS_FLOPPY, "floppy", 0, buses[BUS_FLOPPY].count, false);
	describe(list, map, BUS_ISA, NULL, 0, buses[BUS_ISA].count, false);
}

struct json_object *slots_describe(const struct definition *def, const struct definition *running)
{
	_cleanup_free_ struct map *map = xcalloc(1, sizeof(*map));
	size_t n = def->disks.n + def->nics.n, n_running = running ? running->disks.n + running->nics.n : 0;
	struct seat *seats = make_seats(def, NULL, NULL), *there = running ? make_seats(running, NULL, NULL) : NULL;
	struct json_object *list = json_object_new_array();

	map->hv = running ? &running->hvparams : &def->hvparams;
	take_places(map, map->owner, there, n_running, NULL, 0);
	/* On a machine of another kind they will sit elsewhere, and not yet. */
	if (pci_of(map->hv) == pci_of(&def->hvparams))
		take_places(map, map->owner, seats, n, NULL, 0);
	describe_all(list, map);
	free_seats(there, n_running);
	free_seats(seats, n);
	return list;
}
