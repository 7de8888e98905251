/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/device.h"

#include "runtime/boot.h"
#include "runtime/iothreads.h"
#include "runtime/media.h"
#include "runtime/uri.h"
#include "storage/open_wire.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- parts ---- */

void parts_clear(struct parts *parts)
{
	for (size_t i = 0; i < parts->n; i++)
		json_object_put(parts->items[i].o);
	free(parts->items);
	*parts = (struct parts){ 0 };
}

void parts_add(struct parts *parts, enum outlet outlet, struct json_object *o)
{
	parts->items = xrealloc(parts->items, parts->n + 1, sizeof(*parts->items));
	parts->items[parts->n++] = (struct part){ outlet, o };
}

void parts_add_device(struct parts *parts, const struct argv_env *env, struct json_object *o)
{
	const char *driver = json_get_str(o, "driver");
	struct json_object *sent = json_object_new_object();

	json_object_object_foreach(o, key, value) {
		/* These three are no properties but where and what it is. */
		bool known = str_eq(key, "driver") || str_eq(key, "id") || str_eq(key, "bus");

		if (known || !env->has || env->has(driver, key, env->data))
			json_add(sent, key, json_object_get(value));
	}
	json_object_put(o);
	parts_add(parts, OUTLET_DEVICE, sent);
}

const char *outlet_option(enum outlet outlet)
{
	static const char *const options[] = { "-object", "-blockdev", "-netdev", "-device" };

	return options[outlet];
}

const char *outlet_leader(enum outlet outlet)
{
	/* QEMU's manual writes driver= of a block node out. */
	static const char *const leaders[] = { "qom-type", NULL, "type", "driver" };

	return leaders[outlet];
}

static void add_number(struct json_object *o, const char *key, int64_t n)
{
	if (n != PARAM_INT_NONE)
		json_add_int(o, key, n);
}

static struct json_object *device_at(const struct hvinfo *info)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "driver", info->driver);
	json_add_str(o, "id", info->id);
	json_add_str(o, "bus", info->bus);
	json_add_str(o, "addr", info->addr);
	add_number(o, "channel", info->channel);
	add_number(o, "scsi-id", info->scsi_id);
	add_number(o, "lun", info->lun);
	add_number(o, "unit", info->unit);
	return o;
}

/* ---- a disk: limits ---- */

/* All of them: a member left out would keep its value when they are changed. */
static struct json_object *throttle_limits(const struct throttle *t)
{
	struct json_object *o = json_object_new_object();

	for (int i = 0; i < THROTTLE_COUNT; i++) {
		_cleanup_free_ char *max = xasprintf("%s-max", throttle_names[i]);
		_cleanup_free_ char *length = xasprintf("%s-max-length", throttle_names[i]);

		json_add_uint(o, throttle_names[i], t->limits[i].avg);
		json_add_uint(o, max, t->limits[i].max);
		json_add_int(o, length, t->limits[i].max_length);
	}
	json_add_uint(o, "iops-size", t->iops_size);
	return o;
}

static char *throttle_group(const struct disk *d)
{
	return d->throttle.group ? xasprintf("group-%s", d->throttle.group) : xstrdup(d->hvinfo.id);
}

/* Once for all that share it. An empty drive has no limits yet, whatever is said of it. */
static void add_throttle_group(const struct definition *def, size_t disk, struct parts *parts)
{
	const struct disk *d = definition_disk(def, disk);
	_cleanup_free_ char *id = throttle_group(d);
	struct json_object *o;

	for (size_t i = 0; d->throttle.group && i < disk; i++)
		if (disk_has_source(definition_disk(def, i)) &&
		    str_eq(definition_disk(def, i)->throttle.group, d->throttle.group))
			return;
	o = json_object_new_object();
	json_add_str(o, "qom-type", "throttle-group");
	json_add_str(o, "id", id);
	json_add(o, "limits", throttle_limits(&d->throttle));
	parts_add(parts, OUTLET_OBJECT, o);
}

/* ---- a disk: nodes ---- */

/* What all nodes of a disk have in common. */
struct nodes {
	const struct disk *d;
	const struct argv_files *files;
	struct parts *parts;
	enum disk_discard discard;
	enum disk_aio aio;
	enum detect_zeroes zeroes;
	bool direct, passes; /* scsi-block, scsi-generic */
};

static struct json_object *node_new(const struct nodes *n, const char *driver, const char *name)
{
	static const char *const discards[] = { "ignore", "unmap" };
	struct json_object *o = json_object_new_object(), *cache = json_object_new_object();

	json_add_str(o, "driver", driver);
	json_add_str(o, "node-name", name);
	/* Each node has a switch of its own, and one that says no is enough. */
	json_add_str(o, "discard", discards[n->discard]);
	json_add_bool(cache, "direct", n->direct);
	json_add_bool(cache, "no-flush", false);
	json_add(o, "cache", cache);
	return o;
}

static const struct argv_file *find_file(const struct argv_files *files, const char *node)
{
	for (size_t i = 0; i < files->n; i++)
		if (str_eq(files->items[i].node, node))
			return &files->items[i];
	return NULL;
}

/* LAYER: below the top one. It is opened for reading and made writable by QEMU itself if something is committed into it;
 * the others are what they are. */
static void add_access(const struct nodes *n, struct json_object *o, bool layer)
{
	json_add_bool(o, "read-only", !layer && disk_is_read_only(n->d));
	json_add_bool(o, "auto-read-only", layer);
	parts_add(n->parts, OUTLET_BLOCKDEV, o);
}

static void add_file_node(const struct nodes *n, const char *name, bool layer)
{
	static const char *const aios[] = { "threads", "native", "io_uring" };
	const struct argv_file *file = find_file(n->files, name);
	bool block = n->passes || (file && file->block);
	struct json_object *o = node_new(n, block ? "host_device" : "file", name);
	_cleanup_free_ char *filename = NULL;

	assert(file);
	filename = xasprintf("/dev/fdset/%u", file->set);
	json_add_str(o, "filename", filename);
	json_add_str(o, "aio", aios[n->aio]);
	/* Of a block device its owner knows the users; a file system without locks is an error. */
	if (!block)
		json_add_str(o, "locking", "on");
	add_access(n, o, layer);
}

/* URI was checked when the disk was; NULL: the image is a file. */
static void add_image_node(const struct nodes *n, const char *uri, const char *name, bool layer)
{
	_cleanup_json_ struct json_object *members = uri ? uri_parse(uri, "uri", NULL) : NULL;
	struct json_object *o;

	if (!uri) {
		add_file_node(n, name, layer);
		return;
	}
	assert(members);
	o = node_new(n, json_get_str(members, "driver"), name);
	json_object_object_foreach(members, key, value)
		json_add(o, key, json_object_get(value));
	add_access(n, o, layer);
}

static void add_format_node(const struct nodes *n, int format, const char *name, const char *file, const char *backing,
			    bool read_only)
{
	static const char *const drivers[] = { [FORMAT_RAW] = "raw", [FORMAT_QCOW2] = "qcow2" };
	struct json_object *o = node_new(n, drivers[format], name);

	json_add_str(o, "file", file);
	/* Never what the image's own header says. */
	if (format == FORMAT_QCOW2)
		json_add(o, "backing", backing ? json_object_new_string(backing) : NULL);
	json_add_bool(o, "read-only", read_only);
	parts_add(n->parts, OUTLET_BLOCKDEV, o);
}

static void add_layers(const struct nodes *n)
{
	const struct backing *layers = n->d->backing.items;
	const char *id = n->d->hvinfo.id;
	_cleanup_free_ char *below = NULL, *format = xasprintf("%s.f0", id), *file = xasprintf("%s.p0", id);

	for (size_t i = n->d->backing.n; i-- > 0;) {
		_cleanup_free_ char *name = xasprintf("%s.b%zu", id, i), *its = xasprintf("%s.q%zu", id, i);

		add_image_node(n, layers[i].uri, its, true);
		add_format_node(n, layers[i].format, name, its, below, true);
		free(below);
		below = TAKE_PTR(name);
	}
	add_image_node(n, n->d->uri, file, false);
	add_format_node(n, n->d->format, format, file, below, disk_is_read_only(n->d));
}

static void add_filter(const struct nodes *n)
{
	_cleanup_free_ char *group = throttle_group(n->d), *file = xasprintf("%s.f0", n->d->hvinfo.id);
	struct json_object *o = node_new(n, "throttle", n->d->hvinfo.id);

	json_add_str(o, "throttle-group", group);
	json_add_str(o, "file", file);
	json_add_bool(o, "read-only", disk_is_read_only(n->d));
	/* Here, so that it stays when the layers below are exchanged. QEMU has no unmap where discards are ignored. */
	if (n->zeroes != ZEROES_OFF)
		json_add_str(o, "detect-zeroes",
			     n->zeroes == ZEROES_UNMAP && n->discard == DISCARD_UNMAP ? "unmap" : "on");
	parts_add(n->parts, OUTLET_BLOCKDEV, o);
}

/* ---- a disk: device ---- */

/* What of the definition a device has a property for. */
static const struct disk_driver {
	const char *name;
	bool cache, serial, bootindex, read_errors, write_errors;
} disk_drivers[] = {
	{ "virtio-blk-pci", true, true, true, true, true }, { "scsi-hd", true, true, true, true, true },
	{ "scsi-block", false, false, true, true, true },   { "scsi-generic", false, false, true, false, false },
	{ "scsi-cd", false, true, true, true, false },      { "ide-hd", true, true, true, true, true },
	{ "ide-cd", false, true, true, true, false },       { "floppy", true, false, false, false, false },
};

static const struct disk_driver *find_driver(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(disk_drivers); i++)
		if (str_eq(disk_drivers[i].name, name))
			return &disk_drivers[i];
	return NULL;
}

static void add_disk_device(const struct definition *def, size_t disk, const struct argv_env *env, struct parts *parts)
{
	const struct disk *d = definition_disk(def, disk);
	const struct disk_driver *driver = find_driver(d->hvinfo.driver);
	bool writes = !disk_is_read_only(d), source = disk_has_source(d);
	struct json_object *o = device_at(&d->hvinfo);

	assert(driver);
	if (source)
		json_add_str(o, "drive", d->hvinfo.id);
	if (driver->serial)
		json_add_str(o, "serial", d->serial);
	if (driver->bootindex)
		add_number(o, "bootindex", boot_disk_index(def, env->boot, disk));
	if (driver->cache && source && writes)
		json_add_str(o, "write-cache", disk_cache_of(d, &def->hvparams) == CACHE_WRITETHROUGH ? "off" : "on");
	if (d->shareable)
		json_add_bool(o, "share-rw", true);
	/* A host that fails to write stops the guest, which goes on with the same write when it is resumed: it loses
	 * nothing. A sector that cannot be read may never be: that is for the guest to live with. */
	if (driver->write_errors && writes)
		json_add_str(o, "werror", "stop");
	if (driver->read_errors)
		json_add_str(o, "rerror", "report");
	iothreads_add_to_disk(def, disk, env, o);
	parts_add_device(parts, env, o);
}

void disk_parts(const struct definition *def, size_t disk, const struct argv_env *env, const struct argv_files *files,
		struct parts *parts)
{
	const struct disk *d = definition_disk(def, disk);
	const struct hvparams *hv = &def->hvparams;
	struct nodes nodes = { .d = d,
			       .files = files,
			       .parts = parts,
			       .discard = disk_discard_of(d, hv),
			       .aio = disk_aio_of(d, hv),
			       .zeroes = disk_detect_zeroes_of(d, hv),
			       .direct = disk_cache_of(d, hv) == CACHE_NONE,
			       .passes = disk_is_passed_through(d, hv) };

	if (disk_has_source(d) && nodes.passes) {
		add_image_node(&nodes, d->uri, d->hvinfo.id, false);
	} else if (disk_has_source(d)) {
		add_throttle_group(def, disk, parts);
		add_layers(&nodes);
		add_filter(&nodes);
	}
	add_disk_device(def, disk, env, parts);
}

/* ---- files ---- */

static struct argv_file *add_file(struct argv_files *files, const struct disk *d, const struct hvparams *hv,
				  const char *path)
{
	struct argv_file *f;

	files->items = xrealloc(files->items, files->n + 1, sizeof(*files->items));
	f = &files->items[files->n];
	*f = (struct argv_file){ .set = SET_COUNT + (unsigned)files->n,
				 .path = xstrdup(path),
				 .direct = disk_cache_of(d, hv) == CACHE_NONE,
				 .shareable = d->shareable,
				 .block = str_starts(path, "/dev/") };
	files->n++;
	return f;
}

static void name_file(struct argv_file *f, const char *fmt, ...) _printf_(2, 3);
static void name_file(struct argv_file *f, const char *fmt, ...)
{
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(f->node, sizeof(f->node), fmt, ap);
	va_end(ap);
	assert(len > 0 && (size_t)len < sizeof(f->node));
}

void argv_files_add(const struct definition *def, size_t disk, struct argv_files *files)
{
	const struct disk *d = definition_disk(def, disk);
	const struct backing *layers = d->backing.items;
	size_t n = d->backing.n;
	struct argv_file *f;

	if (!disk_has_source(d))
		return;
	for (size_t layer = n; layer-- > 0;) {
		if (layers[layer].uri)
			continue;
		f = add_file(files, d, &def->hvparams, layers[layer].path);
		f->what = xasprintf("disks[%zu].backing[%zu].path", disk, layer);
		f->qcow2 = layers[layer].format == FORMAT_QCOW2;
		f->lone = layer == n - 1 && layers[layer].format == FORMAT_QCOW2;
		name_file(f, "%s.q%zu", d->hvinfo.id, layer);
	}
	if (d->uri)
		return;
	f = add_file(files, d, &def->hvparams, d->path);
	f->what = media_param(def, disk) ? xstrdup(media_param(def, disk)) : xasprintf("disks[%zu].path", disk);
	f->write = !disk_is_read_only(d);
	f->filled = d->media == MEDIA_DISK && !disk_is_passed_through(d, &def->hvparams);
	f->qcow2 = d->format == FORMAT_QCOW2;
	f->lone = n == 0 && d->format == FORMAT_QCOW2;
	if (disk_is_passed_through(d, &def->hvparams))
		f->kind = disk_type_of(d, &def->hvparams) == DISK_SCSI_GENERIC ? OPEN_CHARACTER : OPEN_BLOCK;
	name_file(f, f->kind ? "%s" : "%s.p0", d->hvinfo.id);
}

void argv_files_list(const struct definition *def, struct argv_files *files)
{
	*files = (struct argv_files){ 0 };
	for (size_t i = 0; i < def->disks.n; i++)
		argv_files_add(def, i, files);
	argv_files_add_firmware(def, files);
}

void argv_files_clear(struct argv_files *files)
{
	for (size_t i = 0; i < files->n; i++) {
		free(files->items[i].what);
		free(files->items[i].path);
	}
	free(files->items);
	*files = (struct argv_files){ 0 };
}

/* ---- a card ---- */

static struct json_object *netdev_of(const struct nic *n, bool queues, const char *fds, const char *vhost)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "type", fds ? "tap" : "user");
	json_add_str(o, "id", n->hvinfo.id);
	if (fds)
		json_add_str(o, queues ? "fds" : "fd", fds);
	if (vhost) {
		json_add_bool(o, "vhost", true);
		json_add_str(o, queues ? "vhostfds" : "vhostfd", vhost);
	}
	return o;
}

void nic_parts(const struct definition *def, size_t nic, const struct argv_env *env, const char *fds, const char *vhost,
	       struct parts *parts)
{
	const struct nic *n = definition_nic(def, nic);
	unsigned queues = nic_taps(n, &def->hvparams);
	struct json_object *o = device_at(&n->hvinfo);

	if (nic_mode_of(n) != NIC_NONE) {
		parts_add(parts, OUTLET_NETDEV, netdev_of(n, queues > 1, fds, vhost));
		json_add_str(o, "netdev", n->hvinfo.id);
	}
	json_add_str(o, "mac", n->mac);
	/* A vector for each queue of each direction, one for control and one for the configuration. */
	if (queues > 1) {
		json_add_bool(o, "mq", true);
		json_add_int(o, "vectors", 2 * (int64_t)queues + 2);
	}
	add_number(o, "host_mtu", n->mtu);
	add_number(o, "bootindex", boot_nic_index(def, env->boot, nic));
	parts_add_device(parts, env, o);
}
