/* SPDX-License-Identifier: BSD-2-Clause */
/* The flash of a machine with UEFI: its files, and their block nodes, which are the machine's own properties. */
#include "runtime/device.h"

#include <assert.h>
#include <stdio.h>

static const struct {
	const char *format, *file; /* nodes */
	bool write;
} flashes[] = { { NODE_FIRMWARE, NODE_FIRMWARE ".p0", false }, { NODE_NVRAM, NODE_NVRAM ".p0", true } };

void argv_files_add_firmware(const struct definition *def, struct argv_files *files)
{
	for (size_t i = 0; i < ARRAY_SIZE(flashes) && def->hvparams.firmware != FIRMWARE_BIOS; i++) {
		struct argv_file *f;

		files->items = xrealloc(files->items, files->n + 1, sizeof(*files->items));
		f = &files->items[files->n];
		*f = (struct argv_file){ .set = SET_COUNT + (unsigned)files->n,
					 .what = xstrdup(ARGV_FIRMWARE),
					 .path = xstrdup(""),
					 .write = flashes[i].write,
					 .qcow2 = flashes[i].write,
					 .lone = flashes[i].write };
		snprintf(f->node, sizeof(f->node), "%s", flashes[i].file);
		files->n++;
	}
}

static const struct argv_file *find_file(const struct argv_files *files, const char *node)
{
	for (size_t i = 0; i < files->n; i++)
		if (str_eq(files->items[i].node, node))
			return &files->items[i];
	return NULL;
}

static void add_node(const char *driver, const char *name, bool writes, const char *key, const char *value,
		     struct parts *parts)
{
	struct json_object *o = json_object_new_object(), *cache = json_object_new_object();

	json_add_str(o, "driver", driver);
	json_add_str(o, "node-name", name);
	json_add_bool(cache, "direct", false);
	json_add_bool(cache, "no-flush", false);
	json_add(o, "cache", cache);
	json_add_str(o, key, value);
	if (str_eq(driver, "file"))
		json_add_str(o, "locking", "on");
	if (str_eq(driver, "qcow2"))
		json_add(o, "backing", NULL);
	json_add_bool(o, "read-only", !writes);
	parts_add(parts, OUTLET_BLOCKDEV, o);
}

void firmware_parts(const struct definition *def, const struct argv_env *env, const struct argv_files *files,
		    struct parts *parts)
{
	int code = env->firmware ? env->firmware->code_format : FORMAT_RAW;

	for (size_t i = 0; i < ARRAY_SIZE(flashes) && def->hvparams.firmware != FIRMWARE_BIOS; i++) {
		const struct argv_file *f = find_file(files, flashes[i].file);
		bool writes = flashes[i].write;
		_cleanup_free_ char *filename = NULL;

		assert(f);
		filename = xasprintf("/dev/fdset/%u", f->set);
		add_node("file", flashes[i].file, writes, "filename", filename, parts);
		add_node(image_formats[writes ? FORMAT_QCOW2 : code], flashes[i].format, writes, "file",
			 flashes[i].file, parts);
	}
}
