/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/ganeti.h"

#include "runtime/definition.h"
#include "runtime/warnings.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <uuid/uuid.h>

enum { CMD, NICS, HVPARAMS, DISKS, ELEMENTS };
enum { WORDS_MAX = 4096, WORD_MAX = 64 << 10, DEVICES_MAX = 512, PCI_SLOTS = 32 };

/* InvalidParameter at a place of the document; false. */
static bool bad(struct err **e, const char *why, const char *place, ...) _printf_(3, 4);
static bool bad(struct err **e, const char *why, const char *place, ...)
{
	_cleanup_free_ char *text = NULL, *name = NULL;
	va_list ap;

	va_start(ap, place);
	text = xvasprintf(place, ap);
	va_end(ap);
	name = xasprintf("document%s", text);
	return err_set_param(e, name, "%s", why);
}

/* ---- the command ---- */

static bool check_words(struct json_object *cmd, struct err **e)
{
	size_t n = json_object_array_length(cmd);

	if (n < 3 || n > WORDS_MAX)
		return bad(e, "must be the command of a QEMU", "[0]");
	for (size_t i = 0; i < n; i++) {
		struct json_object *o = json_object_array_get_idx(cmd, i);

		if (!json_object_is_type(o, json_type_string) && !json_object_is_type(o, json_type_int))
			return bad(e, "must be text, or a number", "[0][%zu]", i);
		if (strlen(json_object_get_string(o)) > WORD_MAX)
			return bad(e, "is too long", "[0][%zu]", i);
	}
	return true;
}

/* "1024" MiB, "1G,slots=2", "size=1G". */
static bool parse_memory(const char *text, uint64_t *ret)
{
	_cleanup_free_ char *size = ganeti_member(text, "size"), *first = ganeti_member(text, NULL);
	const char *word = size ? size : first;
	_cleanup_free_ char *mib = NULL;
	size_t digits = strspn(word, "0123456789");

	if (!word[digits])
		mib = xasprintf("%sM", word);
	return digits > 0 && param_parse_size(mib ? mib : word, ret);
}

static bool parse_count(const char *text, int64_t *ret)
{
	_cleanup_free_ char *cpus = ganeti_member(text, "cpus"), *first = ganeti_member(text, NULL);
	const char *word = cpus ? cpus : first;
	size_t digits = strspn(word, "0123456789");

	*ret = strtoll(word, NULL, 10);
	return digits > 0 && digits < 6 && !word[digits];
}

/* The directory of the monitors: that of "unix:DIR/NAME.monitor,server,nowait". */
static char *control_of(const char *monitor, const char *name)
{
	_cleanup_free_ char *head = ganeti_member(monitor, NULL), *file = xasprintf("/%s.monitor", name);
	size_t len = strlen(head), end = strlen(file);

	if (!str_starts(head, "unix:/") || len <= strlen("unix:") + end || !str_eq(head + len - end, file))
		return NULL;
	return xstrndup(head + strlen("unix:"), len - strlen("unix:") - end);
}

static void take_paths(struct ganeti *g, struct json_object *cmd, const char *name)
{
	size_t pid = ganeti_find(cmd, "-pidfile", false), monitor = ganeti_find(cmd, "-monitor", false);

	if (monitor)
		g->control = control_of(ganeti_word(cmd, monitor), name);
	if (pid && ganeti_word(cmd, pid)[0] == '/')
		g->pidfile = xstrdup(ganeti_word(cmd, pid));
}

static bool take_identity(struct ganeti *g, struct json_object *cmd, struct err **e)
{
	_cleanup_free_ char *name = NULL;

	g->at_name = ganeti_find(cmd, "-name", false);
	if (!g->at_name)
		return bad(e, "has no -name", "[0]");
	name = ganeti_member(ganeti_word(cmd, g->at_name), NULL);
	if (!param_is_name(name))
		return bad(e,
			   "must be an instance's name: 1 to 63 letters, digits, '.', '_' and '-', the first a letter "
			   "or a "
			   "digit",
			   "[0][%zu]", g->at_name);
	json_add_str(g->definition, "name", name);
	g->at_uuid = ganeti_find(cmd, "-uuid", false);
	if (g->at_uuid)
		json_add_str(g->definition, "uuid", ganeti_word(cmd, g->at_uuid));
	take_paths(g, cmd, name);
	return true;
}

/* Of those that are given twice (in kvm_extra) the last counts for QEMU. */
static bool take_sizes(struct ganeti *g, struct json_object *cmd, struct err **e)
{
	uint64_t memory = 128 << 20;
	int64_t vcpus = 1;

	g->at_memory = ganeti_find(cmd, "-m", true);
	g->at_vcpus = ganeti_find(cmd, "-smp", true);
	if (g->at_memory && !parse_memory(ganeti_word(cmd, g->at_memory), &memory))
		return bad(e, "must be the size of a memory, such as 1024", "[0][%zu]", g->at_memory);
	if (g->at_vcpus && !parse_count(ganeti_word(cmd, g->at_vcpus), &vcpus))
		return bad(e, "must be a number of processors", "[0][%zu]", g->at_vcpus);
	json_add_uint(g->definition, "memory", memory);
	json_add_int(g->definition, "vcpus", vcpus);
	return true;
}

/* ---- hvparams ---- */

/* What Ganeti gives those that it was not told, as JSON. */
static const struct {
	const char *name, *def;
} defaults[] = {
	{ "acpi", "true" },
	{ "boot_order", "\"disk\"" },
	{ "cdrom2_image_path", "\"\"" },
	{ "cdrom_disk_type", "\"\"" },
	{ "cdrom_image_path", "\"\"" },
	{ "cpu_cores", "0" },
	{ "cpu_mask", "\"all\"" },
	{ "cpu_sockets", "0" },
	{ "cpu_threads", "0" },
	{ "cpu_type", "\"\"" },
	{ "disk_aio", "\"threads\"" },
	{ "disk_cache", "\"default\"" },
	{ "disk_discard", "\"ignore\"" },
	{ "disk_type", "\"paravirtual\"" },
	{ "floppy_image_path", "\"\"" },
	{ "initrd_path", "\"\"" },
	{ "kernel_args", "\"ro\"" },
	{ "kernel_path", "\"/boot/vmlinuz-3-kvmU\"" },
	{ "keymap", "\"\"" },
	{ "kvm_extra", "\"\"" },
	{ "kvm_flag", "\"\"" },
	{ "kvm_path", "\"/usr/bin/kvm\"" },
	{ "kvm_pci_reservations", "12" },
	{ "machine_version", "\"\"" },
	{ "mem_path", "\"\"" },
	{ "migration_bandwidth", "32" },
	{ "migration_caps", "\"\"" },
	{ "migration_downtime", "30" },
	{ "migration_mode", "\"live\"" },
	{ "migration_port", "8102" },
	{ "nic_type", "\"paravirtual\"" },
	{ "reboot_behavior", "\"reboot\"" },
	{ "root_path", "\"/dev/vda1\"" },
	{ "scsi_controller_type", "\"lsi\"" },
	{ "security_domain", "\"\"" },
	{ "security_model", "\"none\"" },
	{ "serial_console", "true" },
	{ "serial_speed", "38400" },
	{ "soundhw", "\"\"" },
	{ "spice_bind", "\"\"" },
	{ "spice_image_compression", "\"\"" },
	{ "spice_ip_version", "0" },
	{ "spice_jpeg_wan_compression", "\"\"" },
	{ "spice_password_file", "\"\"" },
	{ "spice_playback_compression", "true" },
	{ "spice_streaming_video", "\"\"" },
	{ "spice_tls_ciphers", "\"HIGH:-DES:-3DES:-EXPORT:-DH\"" },
	{ "spice_use_tls", "false" },
	{ "spice_use_vdagent", "true" },
	{ "spice_zlib_glz_wan_compression", "\"\"" },
	{ "usb_devices", "\"\"" },
	{ "usb_mouse", "\"\"" },
	{ "use_chroot", "false" },
	{ "use_guest_agent", "false" },
	{ "use_localtime", "false" },
	{ "user_shutdown", "false" },
	{ "vga", "\"\"" },
	{ "vhost_net", "true" },
	{ "virtio_net_queues", "1" },
	{ "vnc_bind_address", "\"\"" },
	{ "vnc_password_file", "\"\"" },
	{ "vnc_tls", "false" },
	{ "vnc_x509_path", "\"\"" },
	{ "vnc_x509_verify", "false" },
	{ "vnet_hdr", "true" },
};

/* VALUE of the parameter ROW, unless that is what it is without being said. Consumes VALUE. */
static void put_hvparam(struct json_object *hv, const struct param *row, struct json_object *value)
{
	_cleanup_json_ struct json_object *own = param_default(row);
	bool empty = json_object_is_type(value, json_type_string) && json_object_get_string_len(value) == 0;
	/* Unspecified, where "" is no value of ours. */
	bool nothing = !value || (empty && (row->type != PARAM_TEXT || row->min > 0));

	if (nothing || json_object_equal(value, own))
		json_object_put(value);
	else
		json_add(hv, row->name, value);
}

/* What older versions said in the command only. */
static void upgrade_hvparams(struct json_object *cmd, struct json_object *hv)
{
	size_t vnc = ganeti_find(cmd, "-vnc", false), rtc = ganeti_find(cmd, "-rtc", false);
	_cleanup_free_ char *tls = vnc ? ganeti_member(ganeti_word(cmd, vnc), "tls") : NULL;
	_cleanup_free_ char *x509 = vnc ? ganeti_member(ganeti_word(cmd, vnc), "x509") : NULL;
	_cleanup_free_ char *verify = vnc ? ganeti_member(ganeti_word(cmd, vnc), "x509verify") : NULL;
	bool localtime = rtc && str_eq(ganeti_word(cmd, rtc), "base=localtime");
	const char *dir = verify ? verify : x509, *discard = json_get_str(hv, "disk_discard");

	for (size_t i = 1; i < json_object_array_length(cmd); i++)
		localtime = localtime || str_eq(ganeti_word(cmd, i), "-localtime");
	if (localtime && !json_object_object_get_ex(hv, "use_localtime", NULL))
		json_add_bool(hv, "use_localtime", true);
	if (tls && !json_object_object_get_ex(hv, "vnc_tls", NULL))
		json_add_bool(hv, "vnc_tls", true);
	if (tls && dir && !json_object_object_get_ex(hv, "vnc_x509_path", NULL)) {
		json_add_str(hv, "vnc_x509_path", dir);
		json_add_bool(hv, "vnc_x509_verify", verify != NULL);
	}
	if (discard && !str_eq(discard, "ignore") && !str_eq(discard, "unmap"))
		json_add_str(hv, "disk_discard", "ignore");
}

static void put_machine(struct ganeti *g, struct json_object *hv, const char *value, const char *place)
{
	_cleanup_free_ char *rest = NULL, *machine = ganeti_machine(value, &rest);

	if (machine)
		json_add_str(hv, "machine_version", machine);
	if (rest)
		warnings_add(g->warnings, place, "'%s' is left out; what the guest needs of it goes into 'kvm_extra'",
			     rest);
}

/* The machine that it runs as, whoever chose it. */
static void take_machine(struct ganeti *g, struct json_object *cmd, struct json_object *hv)
{
	size_t at = ganeti_find(cmd, "-machine", false);
	const char *said = json_get_str(hv, "machine_version");
	_cleanup_free_ char *own = said ? xstrdup(said) : NULL, *place = NULL;

	g->at_machine = at ? at : ganeti_find(cmd, "-M", false);
	place = xasprintf("document[0][%zu]", g->at_machine);
	if (g->at_machine) {
		json_object_object_del(hv, "machine_version");
		put_machine(g, hv, ganeti_word(cmd, g->at_machine), place);
	}
	if (own && (!g->at_machine || !json_get_str(hv, "machine_version")))
		put_machine(g, hv, own, "document[2].machine_version");
}

static bool is_known(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++)
		if (str_eq(defaults[i].name, name))
			return true;
	return false;
}

static bool take_hvparams(struct ganeti *g, struct json_object *cmd, struct json_object *given, struct err **e)
{
	_cleanup_json_ struct json_object *all = NULL;
	struct json_object *hv = json_object_new_object();

	json_add(g->definition, "hvparams", hv);
	json_object_deep_copy(given, &all, NULL);
	upgrade_hvparams(cmd, all);
	json_object_object_foreach(given, key, unused) {
		(void)unused;
		if (strlen(key) > 255)
			return bad(e, "has a name that is too long", "[2]");
		if (is_known(key))
			continue;
		_cleanup_free_ char *place = xasprintf("document[2].%s", key);

		warnings_add(g->warnings, place, "is not known, and left out");
	}
	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++) {
		const struct param *row = param_find(hvparam_rows, defaults[i].name);
		struct json_object *value;

		if (json_object_object_get_ex(all, defaults[i].name, &value))
			json_object_get(value);
		else
			json_parse(defaults[i].def, strlen(defaults[i].def), &json_limits_request, &value, NULL);
		put_hvparam(hv, row, value);
	}
	take_machine(g, cmd, hv);
	ganeti_loosen(g, hv);
	/* Ganeti's machines have none; what the guest sees does not change by itself. */
	json_add_bool(hv, "rng", false);
	json_add_bool(hv, "panic_device", false);
	return true;
}

/* ---- devices ---- */

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
		return bad(e, "must be an object", "%s.hvinfo", place);
	if (!given || json_object_object_length(given) == 0) {
		if (!json_object_object_get_ex(from, "pci", &pci) || !pci)
			return true;
		slot = json_get_int(from, "pci", -1);
		if (slot < 0 || slot >= PCI_SLOTS)
			return bad(e, "must be a slot: 0 to 31", "%s.pci", place);
		if (!uuid || !param_is_uuid(uuid))
			return bad(e, "is needed beside 'pci': the id of the device begins with it", "%s.uuid", place);
	}
	info = json_object_new_object();
	json_add(to, "hvinfo", info);
	if (given && json_object_object_length(given) > 0) {
		for (size_t i = 0; i < ARRAY_SIZE(members); i++)
			copy_member(info, members[i], given, members[i]);
		copy_member(info, "id", given, "id");
		return !id || strlen(id) < 32 || bad(e, "is too long", "%s.hvinfo.id", place);
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

static bool take_nic(struct ganeti *g, struct json_object *from, size_t i, struct json_object *to, struct err **e)
{
	static const char *const params[] = { "mode", "link", "vlan" };
	_cleanup_free_ char *place = xasprintf("[1][%zu]", i), *full = xasprintf("document%s", place), *ip = NULL;
	struct json_object *nicparams = json_get_typed(from, "nicparams", json_type_object);

	if (!json_object_is_type(from, json_type_object))
		return bad(e, "must be an object", "%s", place);
	if (!nicparams)
		return bad(e, "must be an object", "%s.nicparams", place);
	if (!json_get_str(from, "mac"))
		return bad(e, "must be text", "%s.mac", place);
	copy_member(to, "uuid", from, "uuid");
	copy_member(to, "mac", from, "mac");
	copy_name(g, to, from, full);
	for (size_t k = 0; k < ARRAY_SIZE(params); k++)
		copy_member(to, params[k], nicparams, params[k]);
	if (!json_object_object_get_ex(to, "mode", NULL))
		return bad(e, "must be text", "%s.nicparams.mode", place);
	ip = xasprintf("%s.ip", full);
	if (str_eq(json_get_str(to, "mode"), "bridged") && !str_empty(json_get_str(from, "ip")))
		warnings_add(g->warnings, ip, "is not kept: nothing is made of it for a bridged card");
	else
		copy_member(to, "ip", from, "ip");
	if (!json_object_object_get_ex(to, "uuid", NULL))
		note_unnamed(g, "nics", i);
	return copy_hvinfo(to, from, "nic", place, e);
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
			return bad(e, "must be text or null", "[3][%zu][%zu]", i, k);
	if (!str_empty(uri)) {
		json_add_str(to, "uri", str_starts(uri, "kvm:") ? uri + strlen("kvm:") : uri);
		return true;
	}
	if (!path && str_empty(link))
		return bad(e, "is needed where there is no uri", "[3][%zu][1]", i);
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
		return bad(e, "must be rw or ro", "[3][%zu][0].mode", i);
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
		return bad(e, "must be an array of disk, link and uri", "[3][%zu]", i);
	disk = json_object_array_get_idx(entry, 0);
	if (!json_object_is_type(disk, json_type_object))
		return bad(e, "must be an object", "%s", place);
	copy_member(to, "uuid", disk, "uuid");
	copy_name(g, to, disk, full);
	if (!take_source(g, entry, i, to, e) || !take_mode(disk, i, to, e) || !copy_hvinfo(to, disk, "disk", place, e))
		return false;
	if (!json_object_object_get_ex(to, "uuid", NULL))
		note_unnamed(g, "disks", i);
	force_cache(g, disk, to);
	seat_ide(g, i, to);
	return true;
}

typedef bool take_fn(struct ganeti *g, struct json_object *from, size_t i, struct json_object *to, struct err **e);

static bool take_list(struct ganeti *g, struct json_object *document, size_t element, const char *name, take_fn *take,
		      struct err **e)
{
	struct json_object *from = json_object_array_get_idx(document, element), *list = json_object_new_array();

	json_add_key(g->definition, name, list, false);
	if (json_object_array_length(from) > DEVICES_MAX)
		return bad(e, "has too many elements", "[%zu]", element);
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

/* ---- the whole ---- */

static void warn_of_start(struct ganeti *g)
{
	static const char *const displays[] = { "vnc_bind_address", "spice_bind" };
	struct json_object *hv = json_get_typed(g->definition, "hvparams", json_type_object);

	warnings_add(g->warnings, "document",
		     "at the next start disks and cards stay where they are; the machine's own devices (graphics, "
		     "balloon, USB) move to drover's places");
	for (size_t i = 0; i < ARRAY_SIZE(displays); i++) {
		_cleanup_free_ char *place = xasprintf("document[2].%s", displays[i]);

		if (json_get_str(hv, displays[i]))
			warnings_add(g->warnings, place,
				     "the port of the display is in no runtime file: drover chooses one at the next "
				     "start");
	}
}

static bool check_shape(struct json_object *document, struct err **e)
{
	static const struct {
		enum json_type type;
		const char *why;
	} elements[ELEMENTS] = { [CMD] = { json_type_array, "must be an array: the command" },
				 [NICS] = { json_type_array, "must be an array: the cards" },
				 [HVPARAMS] = { json_type_object, "must be an object: the hvparams" },
				 [DISKS] = { json_type_array, "must be an array: the disks" } };
	size_t n = json_length(document);

	if (n != ELEMENTS && n != ELEMENTS - 1)
		return bad(e, "must be the array of a runtime file: [kvm_cmd, nics, hvparams, disks]", "%s", "");
	for (size_t i = 0; i < n; i++)
		if (!json_object_is_type(json_object_array_get_idx(document, i), elements[i].type))
			return bad(e, elements[i].why, "[%zu]", i);
	return check_words(json_object_array_get_idx(document, CMD), e);
}

static bool parse(struct json_object *document, struct ganeti *g, struct err **e)
{
	struct json_object *cmd = json_object_array_get_idx(document, CMD);

	if (!take_identity(g, cmd, e) || !take_sizes(g, cmd, e) ||
	    !take_hvparams(g, cmd, json_object_array_get_idx(document, HVPARAMS), e))
		return false;
	g->has_disks = json_object_array_length(document) == ELEMENTS;
	if (g->has_disks && !take_list(g, document, DISKS, "disks", take_disk, e))
		return false;
	if (!g->has_disks)
		take_drives(g, cmd);
	if (!take_list(g, document, NICS, "nics", take_nic, e))
		return false;
	warn_of_start(g);
	return true;
}

bool ganeti_parse(struct json_object *document, struct ganeti *g, struct err **e)
{
	*g = (struct ganeti){ .definition = json_object_new_object(),
			      .warnings = json_object_new_array(),
			      .unnamed = json_object_new_array() };
	if (check_shape(document, e) && parse(document, g, e))
		return true;
	ganeti_clear(g);
	return false;
}

void ganeti_clear(struct ganeti *g)
{
	json_object_put(g->definition);
	json_object_put(g->warnings);
	json_object_put(g->unnamed);
	free(g->pidfile);
	free(g->control);
	*g = (struct ganeti){ 0 };
}
