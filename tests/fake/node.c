/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Block nodes. A node has a file child or a file, maybe a backing one; what was written inline goes with its parent.
 * Of QEMU's permissions there is only that a disk does not share its node (device.c).
 */
#include "fake.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_MAX_LEN = 31, DEPTH_MAX = 64, SECTOR = 512 };

enum kind { FILE_NODE, FORMAT_NODE, NULL_NODE };

static const struct block_driver {
	const char *name, *needs[2]; /* members */
	enum kind kind;
} drivers[] = {
	{ "file", { "filename" }, FILE_NODE },        { "host_cdrom", { "filename" }, FILE_NODE },
	{ "host_device", { "filename" }, FILE_NODE }, { "null-aio", { NULL }, NULL_NODE },
	{ "null-co", { NULL }, NULL_NODE },           { "qcow2", { "file" }, FORMAT_NODE },
	{ "raw", { "file" }, FORMAT_NODE },           { "throttle", { "throttle-group", "file" }, FORMAT_NODE },
};

struct node {
	struct node *next, *file, *backing;
	char *name;
	const struct block_driver *driver;
	struct json_object *options;
	bool inlined, read_only;
	int fd;      /* of a file; -1: none */
	int64_t set; /* the set that it is of; -1: none */
	int64_t size;
};

static const struct block_driver *block_driver_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
		if (str_eq(drivers[i].name, name))
			return &drivers[i];
	return NULL;
}

struct node *node_find(const struct gear *g, const char *name)
{
	for (struct node *n = g->nodes; n; n = n->next)
		if (str_eq(n->name, name))
			return n;
	return NULL;
}

bool node_is_read_only(const struct node *n)
{
	return n->read_only;
}

bool node_throttled(const struct gear *g, const char *group)
{
	for (struct node *n = g->nodes; n; n = n->next)
		if (str_eq(json_get_str(n->options, "throttle-group"), group))
			return true;
	return false;
}

static struct node *parent_of(const struct gear *g, const struct node *child)
{
	for (struct node *n = g->nodes; n; n = n->next)
		if (n->file == child || n->backing == child)
			return n;
	return NULL;
}

static int64_t size_of(const struct node *n)
{
	return n->driver->kind == FORMAT_NODE && n->size < 0 ? size_of(n->file) : n->size;
}

/* ---- closing and opening ---- */

/* With what was written inline in it. */
static void close_node(struct fake *f, struct node *n)
{
	struct node **p = &f->gear.nodes, *children[] = { n->file, n->backing };

	while (*p && *p != n)
		p = &(*p)->next;
	if (*p)
		*p = n->next;
	if (n->fd >= 0 && n->set >= 0)
		fdset_close(f, n->set, n->fd);
	else
		fd_close(n->fd);
	json_object_put(n->options);
	free(n->name);
	free(n);
	for (size_t i = 0; i < ARRAY_SIZE(children); i++)
		if (children[i] && children[i]->inlined && !parent_of(&f->gear, children[i]))
			close_node(f, children[i]);
}

/* What QEMU's schema refuses, before anything is opened. */
static bool check(struct ask *a, struct json_object *options, unsigned depth)
{
	const char *name = json_get_str(options, "driver");
	const struct block_driver *driver = block_driver_find(name);
	struct json_object *value;

	if (!name)
		return refuse(a, "GenericError", "Parameter 'driver' is missing");
	if (!driver || depth > DEPTH_MAX)
		return refuse(a, "GenericError", "Parameter 'driver' does not accept value '%s'", name);
	for (size_t i = 0; i < ARRAY_SIZE(driver->needs) && driver->needs[i]; i++)
		if (!json_object_object_get_ex(options, driver->needs[i], &value))
			return refuse(a, "GenericError", "Parameter '%s' is missing", driver->needs[i]);
	value = json_get_typed(options, "file", json_type_object);
	if (value && !check(a, value, depth + 1))
		return false;
	value = json_get_typed(options, "backing", json_type_object);
	return !value || check(a, value, depth + 1);
}

static bool name_node(struct ask *a, struct node *n)
{
	const char *name = json_get_str(n->options, "node-name");
	size_t len = name ? strlen(name) : 0;

	if (!name) {
		n->name = xasprintf("#block%u", 100 + a->f->gear.anonymous++);
		return true;
	}
	if (!ask_id(&(struct ask){ .f = a->f }, name))
		return refuse(a, "GenericError", "Invalid node-name: '%s'", name);
	if (len > NAME_MAX_LEN)
		return refuse(a, "GenericError", "Node name too long");
	if (node_find(&a->f->gear, name))
		return refuse(a, "GenericError", "Duplicate nodes with node-name='%s'", name);
	n->name = xstrdup(name);
	return true;
}

static int open_mode(struct fake *f, struct node *n, const char *filename, int flags)
{
	static const char prefix[] = "/dev/fdset/";

	if (!str_starts(filename, prefix))
		return open(filename, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	n->set = strtol(filename + sizeof(prefix) - 1, NULL, 10);
	return fdset_open(f, n->set, flags);
}

static bool open_file(struct ask *a, struct node *n)
{
	const char *filename = json_get_str(n->options, "filename");
	int flags = n->read_only ? O_RDONLY : O_RDWR;

	n->fd = open_mode(a->f, n, filename, flags);
	if (n->fd < 0 && errno == EACCES && json_get_bool(n->options, "auto-read-only", false)) {
		flags = O_RDONLY;
		n->fd = open_mode(a->f, n, filename, flags);
	}
	if (n->fd < 0 && n->set >= 0)
		return refuse(a, "GenericError", "Could not dup FD for %s flags %x: %s", filename, flags,
			      strerror(errno));
	if (n->fd < 0)
		return refuse(a, "GenericError", "Could not open '%s': %s", filename, strerror(errno));
	n->size = (lseek(n->fd, 0, SEEK_END) + SECTOR - 1) / SECTOR * SECTOR;
	return true;
}

static struct node *open_node(struct ask *a, struct json_object *options, bool inlined);

/* The child that a member names, or describes. */
static struct node *open_child(struct ask *a, struct node *n, const char *key)
{
	struct json_object *o = json_get_typed(n->options, key, json_type_object);
	const char *name = json_get_str(n->options, key);
	struct node *child;

	if (o)
		return open_node(a, o, true);
	child = node_find(&a->f->gear, name);
	if (!child)
		refuse(a, "GenericError", "Cannot find device='%s' nor node-name='%s'", name ? name : "",
		       name ? name : "");
	return child;
}

static bool open_qcow2(struct ask *a, struct node *n)
{
	const struct node *leaf = n->file;
	struct {
		char magic[4];
		uint32_t version;
		uint64_t backing_offset;
		uint32_t backing_size, cluster_bits;
		uint64_t size;
	} header = { 0 };

	while (leaf->file)
		leaf = leaf->file;
	if (leaf->fd < 0 || pread(leaf->fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header) ||
	    memcmp(header.magic, "QFI\xfb", 4) != 0)
		return refuse(a, "GenericError", "Image is not in qcow2 format");
	n->size = (int64_t)be64toh(header.size);
	return true;
}

static bool open_layers(struct ask *a, struct node *n)
{
	const char *group = json_get_str(n->options, "throttle-group");
	struct json_object *backing = NULL;

	if (group && !json_object_object_get_ex(a->f->gear.objects, group, NULL))
		return refuse(a, "GenericError", "Throttle group '%s' does not exist", group);
	if (!str_eq(n->driver->name, "qcow2"))
		return true;
	if (!open_qcow2(a, n))
		return false;
	if (json_object_object_get_ex(n->options, "backing", &backing) && backing)
		n->backing = open_child(a, n, "backing");
	return !backing || n->backing;
}

static bool open_nothing(struct ask *a, struct node *n)
{
	return true;
}

static struct node *open_node(struct ask *a, struct json_object *options, bool inlined)
{
	static bool (*const open_ways[])(struct ask * a, struct node * n) = {
		[FILE_NODE] = open_file, [FORMAT_NODE] = open_layers, [NULL_NODE] = open_nothing
	};
	struct node *n = xcalloc(1, sizeof(*n));

	n->driver = block_driver_find(json_get_str(options, "driver"));
	n->options = json_object_get(options);
	n->read_only = json_get_bool(options, "read-only", false);
	n->inlined = inlined;
	n->fd = -1;
	n->set = -1;
	n->size = n->driver->kind == FORMAT_NODE ? -1 : json_get_int(options, "size", 1 << 30);
	/* A child has its name before its parent. */
	if (n->driver->kind == FORMAT_NODE)
		n->file = open_child(a, n, "file");
	if (!a->class && name_node(a, n)) {
		n->next = a->f->gear.nodes;
		a->f->gear.nodes = n;
		if (open_ways[n->driver->kind](a, n))
			return n;
	}
	close_node(a->f, n);
	return NULL;
}

/* ---- what is told of it ---- */

static struct json_object *describe_file(const struct node *n)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "driver", n->driver->name);
	json_add_str(o, "throttle-group", json_get_str(n->options, "throttle-group"));
	json_add_str(o, "filename", json_get_str(n->options, "filename"));
	if (n->file)
		json_add(o, "file", describe_file(n->file));
	if (n->backing)
		json_add(o, "backing", describe_file(n->backing));
	return o;
}

/* A path where it says it all. */
static char *filename_of(const struct node *n)
{
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_free_ char *text = NULL;

	if (n->driver->kind == FILE_NODE)
		return xstrdup(json_get_str(n->options, "filename"));
	if (n->driver->kind == NULL_NODE)
		return xasprintf("%s://", n->driver->name);
	if (n->file->driver->kind == FILE_NODE && !n->backing && !str_eq(n->driver->name, "throttle"))
		return filename_of(n->file);
	o = describe_file(n);
	text = json_print(o);
	return xasprintf("json:%s", text);
}

static struct json_object *describe_cache(const struct node *n)
{
	struct json_object *given = json_get_typed(n->options, "cache", json_type_object);
	struct json_object *o = json_object_new_object();

	json_add_bool(o, "no-flush", json_get_bool(given, "no-flush", false));
	json_add_bool(o, "direct", json_get_bool(given, "direct", false));
	json_add_bool(o, "writeback", true);
	return o;
}

static struct json_object *describe(const struct node *n)
{
	static const char *const rates[] = { "iops", "iops_rd", "iops_wr", "bps", "bps_rd", "bps_wr" };
	struct json_object *o = json_object_new_object(), *image = json_object_new_object();
	_cleanup_free_ char *filename = filename_of(n);

	json_add_str(image, "filename", filename);
	json_add_str(image, "format", n->driver->name);
	json_add_int(image, "virtual-size", size_of(n));
	json_add_int(image, "actual-size", 0);
	json_add_bool(image, "dirty-flag", false);
	json_add_str(o, "node-name", n->name);
	json_add_str(o, "drv", n->driver->name);
	json_add_bool(o, "ro", n->read_only);
	json_add_str(o, "file", filename);
	json_add(o, "image", image);
	json_add(o, "cache", describe_cache(n));
	json_add_bool(o, "encrypted", false);
	json_add_str(o, "detect_zeroes", "off");
	json_add_int(o, "backing_file_depth", 0);
	json_add_int(o, "write_threshold", 0);
	for (size_t i = 0; i < ARRAY_SIZE(rates); i++)
		json_add_int(o, rates[i], 0);
	if (n->backing) {
		_cleanup_free_ char *below = filename_of(n->backing);

		json_add_str(o, "backing_file", below);
	}
	return o;
}

struct json_object *node_describe(const struct gear *g, const char *name)
{
	const struct node *n = node_find(g, name);

	return n ? describe(n) : NULL;
}

/* ---- commands ---- */

static struct json_object *query_named_block_nodes(struct ask *a)
{
	struct json_object *list = json_object_new_array();

	for (struct node *n = a->f->gear.nodes; n; n = n->next)
		json_object_array_add(list, describe(n));
	return list;
}

static struct json_object *blockdev_add(struct ask *a)
{
	if (!check(a, a->args, 0))
		return NULL;
	if (!json_get_str(a->args, "node-name"))
		return refuse(a, "GenericError", "'node-name' must be specified for the root node");
	open_node(a, a->args, false);
	return NULL;
}

static struct json_object *blockdev_del(struct ask *a)
{
	const char *name = ask_str(a, "node-name");
	struct node *n = node_find(&a->f->gear, name), *parent;

	if (!name)
		return NULL;
	if (!n)
		return refuse(a, "GenericError", "Failed to find node with node-name='%s'", name);
	if (device_with(&a->f->gear, "drive", name))
		return refuse(a, "GenericError", "Node %s is in use", name);
	parent = parent_of(&a->f->gear, n);
	if (parent && parent->backing == n)
		return refuse(a, "GenericError", "Node '%s' is busy: node is used as backing hd of '%s'", name,
			      parent->name);
	if (n->inlined)
		return refuse(a, "GenericError", "Node %s is not owned by the monitor", name);
	if (parent)
		return refuse(a, "GenericError", "Block device %s is in use", name);
	close_node(a->f, n);
	return NULL;
}

/* The file below is made so large; a qcow2 image only says so. */
static struct json_object *block_resize(struct ask *a)
{
	const char *name = json_get_str(a->args, "node-name");
	struct node *n = node_find(&a->f->gear, name);
	int64_t size;

	if (!ask_int(a, "size", &size))
		return NULL;
	if (!n)
		return refuse(a, "GenericError", "Cannot find device='' nor node-name='%s'", name ? name : "");
	if (size < 0)
		return refuse(a, "GenericError", "Parameter 'size' expects a >0 size");
	while (n->file && n->size < 0)
		n = n->file;
	if (n->driver->kind == NULL_NODE)
		return refuse(a, "GenericError", "Image format driver does not support resize");
	if (n->fd >= 0 && ftruncate(n->fd, size) < 0)
		return refuse(a, "GenericError", "Failed to resize the file: %s", strerror(errno));
	n->size = size;
	return NULL;
}

const struct command node_commands[] = {
	{ "block_resize", block_resize, "device node-name size:i" },
	{ "blockdev-add", blockdev_add, "*" },
	{ "blockdev-del", blockdev_del, "node-name" },
	{ "query-named-block-nodes", query_named_block_nodes, "flat:b" },
	{ 0 },
};
