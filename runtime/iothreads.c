/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/iothreads.h"

static bool is_user(const struct disk *d)
{
	return str_eq(d->hvinfo.driver, "virtio-blk-pci");
}

/* Whether the controller has disks; on Q35 it is there without. */
static bool has_scsi(const struct definition *def)
{
	for (size_t i = 0; i < def->disks.n; i++)
		if (str_eq(definition_disk(def, i)->hvinfo.bus, "scsi.0"))
			return def->hvparams.scsi_controller_type == SCSI_VIRTIO;
	return false;
}

/* How many of the first N disks use one; the controller with its disks comes first. */
static unsigned count_users(const struct definition *def, size_t n)
{
	unsigned users = has_scsi(def);

	for (size_t i = 0; i < n; i++)
		users += is_user(definition_disk(def, i));
	return users;
}

static unsigned count(const struct definition *def, const struct argv_env *env)
{
	unsigned users = count_users(def, def->disks.n), most = (unsigned)def->hvparams.iothreads;

	if (env && env->running)
		return env->iothreads;
	return users < most ? users : most;
}

static void add(struct json_object *o, unsigned number)
{
	_cleanup_free_ char *name = xasprintf("iothread%u", number);

	json_add_str(o, "iothread", name);
}

void iothreads_parts(const struct definition *def, struct parts *parts)
{
	for (unsigned i = 0; i < count(def, NULL); i++) {
		_cleanup_free_ char *id = xasprintf("iothread%u", i);
		struct json_object *o = json_object_new_object();

		json_add_str(o, "qom-type", "iothread");
		json_add_str(o, "id", id);
		parts_add(parts, OUTLET_OBJECT, o);
	}
}

void iothreads_add_to_disk(const struct definition *def, size_t disk, const struct argv_env *env, struct json_object *o)
{
	unsigned n = count(def, env);

	if (n && is_user(definition_disk(def, disk)))
		add(o, count_users(def, disk) % n);
}

void iothreads_add_to_scsi(const struct definition *def, const struct argv_env *env, struct json_object *o)
{
	if (count(def, env) && def->hvparams.scsi_controller_type == SCSI_VIRTIO)
		add(o, 0);
}

unsigned iothreads_of(struct json_object *cmd)
{
	size_t n = json_length(cmd);
	unsigned threads = 0;

	for (size_t i = 0; i < n; i++) {
		const char *word = json_object_get_string(json_object_array_get_idx(cmd, i));

		threads += word && str_starts(word, "{\"qom-type\":\"iothread\"");
	}
	return threads;
}
