/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/record.h"

#include "base/file.h"
#include "base/file_work.h"
#include "base/log.h"
#include "netdev/tap.h"
#include "runtime/boot.h"
#include "runtime/device.h"
#include "runtime/fdsets.h"
#include "runtime/policy.h"
#include "runtime/prepare.h"
#include "runtime/quarantine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

/* The definition with the machine by its versioned name. */
static struct json_object *definition_of(const struct instance *inst, const struct prepare *p)
{
	struct json_object *o = NULL;

	json_object_deep_copy(inst->stored, &o, NULL);
	definition_set_machine(o, p->machine);
	return o;
}

/* The block nodes of a disk, the one on top first. */
static struct json_object *nodes_of(const struct parts *parts)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = parts->n; i-- > 0;)
		if (parts->items[i].outlet == OUTLET_BLOCKDEV)
			json_object_array_add(list,
					      json_object_new_string(json_get_str(parts->items[i].o, "node-name")));
	return list;
}

static struct json_object *member_of(struct json_object *definition, const char *list, size_t i, const char *member)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(json_object_array_get_idx(json_get_typed(definition, list, json_type_array), i),
				  member, &value);
	return json_object_get(value);
}

static struct json_object *source_of(const struct disk *d)
{
	struct json_object *o;

	if (!disk_has_source(d))
		return NULL;
	o = json_object_new_object();
	json_add_str(o, "path", d->path);
	json_add_str(o, "uri", d->uri);
	json_add_str(o, "format", image_formats[d->format]);
	return o;
}

/* As it was said, by its own name. */
static struct json_object *throttle_of(const struct disk *d, struct json_object *definition, size_t disk)
{
	struct json_object *said = member_of(definition, "disks", disk, "throttle"), *o = NULL;

	if (!d->disk_iops)
		return said;
	if (said)
		json_object_deep_copy(said, &o, NULL);
	else
		o = json_object_new_object();
	json_object_put(said);
	json_add_uint(o, "bps_total", d->disk_iops);
	return o;
}

struct json_object *record_disk(const struct definition *def, size_t disk, struct json_object *definition,
				const struct argv_env *env, const struct argv_files *files)
{
	const struct disk *d = definition_disk(def, disk);
	struct json_object *o = json_object_new_object();
	struct parts parts = { 0 };

	disk_parts(def, disk, env, files, &parts);
	json_add_str(o, "uuid", d->uuid);
	json_add_str(o, "name", d->name);
	json_add_str(o, "state", "attached");
	json_add_str(o, "mode", disk_modes[disk_is_read_only(d) ? DISK_RO : DISK_RW]);
	json_add_str(o, "media", disk_medias[d->media]);
	json_add(o, "source", source_of(d));
	json_add(o, "nodes", nodes_of(&parts));
	json_add(o, "throttle", throttle_of(d, definition, disk));
	json_add(o, "hvinfo", member_of(definition, "disks", disk, "hvinfo"));
	parts_clear(&parts);
	return o;
}

struct json_object *record_nic(const struct definition *def, size_t nic, struct json_object *definition)
{
	const struct nic *n = definition_nic(def, nic);
	struct json_object *o = json_object_new_object();
	char tap[IFNAMSIZ];

	json_add_str(o, "uuid", n->uuid);
	json_add_str(o, "name", n->name);
	json_add_str(o, "state", "attached");
	json_add_str(o, "mac", n->mac);
	json_add_str(o, "mode", nic_modes[nic_mode_of(n)]);
	if (nic_taps(n, &def->hvparams)) {
		tap_name(n->uuid, tap);
		json_add_str(o, "tap", tap);
		json_add_str(o, "bridge", n->link);
	}
	json_add_bool(o, "up", true);
	json_add(o, "rate_in", NULL);
	json_add(o, "rate_out", NULL);
	json_add(o, "hvinfo", member_of(definition, "nics", nic, "hvinfo"));
	return o;
}

void record_order(struct json_object *shown, int64_t bootindex)
{
	if (bootindex != PARAM_INT_NONE)
		json_add_int(shown, "bootindex", bootindex);
}

static struct json_object *disks_of(const struct instance *inst, struct json_object *definition,
				    const struct argv_env *env, const struct prepare *p)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < inst->def.disks.n; i++) {
		struct json_object *o = record_disk(&inst->def, i, definition, env, &p->files);

		record_order(o, boot_disk_index(&inst->def, p->boot, i));
		json_object_array_add(list, o);
	}
	return list;
}

static struct json_object *nics_of(const struct instance *inst, struct json_object *definition, const struct prepare *p)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < inst->def.nics.n; i++) {
		struct json_object *o = record_nic(&inst->def, i, definition);

		record_order(o, boot_nic_index(&inst->def, p->boot, i));
		json_object_array_add(list, o);
	}
	return list;
}

bool record_save(struct instance *inst, struct err **e)
{
	instance_set_record(inst, json_object_get(inst->record));
	return file_write_json(inst->run_dir, "runtime.json", inst->record, 0600, e);
}

/* Those that leave a choice say what became of it. */
static struct json_object *hvparams_of(const struct record_run *r)
{
	struct json_object *o = NULL;

	json_object_deep_copy(json_get_typed(r->definition, "hvparams", json_type_object), &o, NULL);
	json_add_str(o, "accel", r->kvm ? "kvm" : "tcg");
	return o;
}

struct json_object *record_of(const struct record_run *r)
{
	struct json_object *o = json_object_new_object(), *qemu = json_object_new_object();

	json_add_int(o, "version", RUNTIME_VERSION);
	json_add_str(o, "name", json_get_str(r->definition, "name"));
	json_add_str(o, "uuid", json_get_str(r->definition, "uuid"));
	json_add(o, "cmd", r->taken.cmd);
	json_add(o, "definition", json_object_get(r->definition));
	json_add(o, "nics", r->taken.nics);
	json_add(o, "hvparams", hvparams_of(r));
	json_add(o, "disks", r->taken.disks);
	json_add(o, "process", r->taken.process);
	json_add(o, "displays", r->taken.displays);
	json_add_str(qemu, "binary", r->binary);
	json_add_str(qemu, "version", r->version);
	json_add(o, "qemu", qemu);
	json_add_int(o, "layout", r->def->layout);
	json_add_int(o, "starts", r->starts);
	return o;
}

bool record_write(struct instance *inst, const struct prepare *p, struct err **e)
{
	_cleanup_json_ struct json_object *definition = definition_of(inst, p);
	struct json_object *o;
	struct argv_env env;

	if (!prepare_env(&env, &inst->def, p->binary, p->caps, p->kvm, e))
		return false;
	o = record_of(&(struct record_run){
		.def = &inst->def,
		.definition = definition,
		.taken = { .cmd = argv_to_json(p->argv),
			   .disks = disks_of(inst, definition, &env, p),
			   .nics = nics_of(inst, definition, p),
			   .process = process_to_json(inst->process),
			   .displays = displays_describe(&p->displays, &inst->def.hvparams) },
		.binary = p->binary,
		.version = caps_version(p->caps),
		.kvm = p->kvm,
		.starts = inst->starts,
	});
	json_add(o, "fdsets", fdsets_of_start(SET_COUNT - 1 + p->files.n));
	json_add_str(o, "cgroup", inst->cgroup);
	if (p->boot != BOOT_AS_DEFINED)
		json_add_str(o, "boot", boot_orders[p->boot - 1]);
	instance_set_record(inst, o);
	return record_save(inst, e);
}

int64_t record_size_of(struct json_object *nodes, const char *name)
{
	for (size_t i = 0; i < json_length(nodes); i++) {
		struct json_object *node = json_object_array_get_idx(nodes, i);

		if (str_eq(json_get_str(node, "node-name"), name))
			return json_get_int(json_get_typed(node, "image", json_type_object), "virtual-size", -1);
	}
	return -1;
}

bool record_sizes(struct instance *inst, struct json_object *nodes, struct err **e)
{
	struct json_object *disks = json_get_typed(inst->record, "disks", json_type_array);

	if (!disks || !json_object_is_type(nodes, json_type_array))
		return true;
	for (size_t i = 0; i < json_object_array_length(disks); i++) {
		struct json_object *disk = json_object_array_get_idx(disks, i);
		struct json_object *names = json_get_typed(disk, "nodes", json_type_array);
		struct json_object *top = names ? json_object_array_get_idx(names, 0) : NULL;
		int64_t size = top ? record_size_of(nodes, json_object_get_string(top)) : -1;

		if (size >= 0)
			json_add_int(disk, "size", size);
	}
	return record_save(inst, e);
}

bool record_read(struct instance *inst, struct err **e)
{
	_cleanup_json_ struct json_object *o = NULL;
	int64_t version;

	if (!file_read_json(inst->run_dir, "runtime.json", &o, e))
		return false;
	version = json_get_int(o, "version", 0);
	if (version < 1 || version > RUNTIME_VERSION)
		return err_set(e, ERR_UNSUPPORTED, "'runtime.json' is of version %" PRId64 ", this is droverd for %d",
			       version, RUNTIME_VERSION);
	instance_set_record(inst, TAKE_PTR(o));
	instance_count_starts(inst, inst->record);
	free(inst->cgroup);
	inst->cgroup = xstrdup(json_get_str(inst->record, "cgroup"));
	return true;
}

struct state_work {
	struct instance *inst;
	int dir;
	char *text;
	bool written, needed;
	struct err *err;
};

static bool state_write(void *data, struct err **e)
{
	struct state_work *w = data;

	w->written = file_write(w->dir, "state.json", w->text, 0600, true, w->needed ? e : &w->err);
	return w->written || !w->needed;
}

static void state_free(void *data)
{
	struct state_work *w = data;

	w->inst->unrecorded = !w->written;
	if (w->err)
		log_write(LOG_WARNING, w->inst->name, "%s", w->err->desc);
	err_free(w->err);
	fd_close(w->dir);
	free(w->text);
	free(w);
}

static enum verdict write_state(struct op *op, struct instance *inst, bool needed)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	_cleanup_free_ char *log = instance_log_tail(inst);
	struct err *e = NULL;
	int dir = file_open_dir(inst->rt->dirs.lib_instances, inst->name, &e);
	struct state_work *w;

	inst->unrecorded = true;
	if (dir < 0 && !needed) {
		log_write(LOG_WARNING, inst->name, "%s", e->desc);
		err_free(e);
		return OP_DONE;
	}
	if (dir < 0)
		return op_fail_err(op, e);
	instance_describe_state(inst, o);
	json_add_time(o, "time", inst->since);
	json_add_int(o, "starts", inst->starts);
	if (inst->exit)
		json_add(o, "exit", json_object_get(inst->exit));
	if (json_get_int(inst->exit, "signal", 0) == SIGSYS)
		json_add_str(o, "why", "QEMU was ended by its sandbox: a system call that seccomp denies");
	json_add_str(o, "log", log);
	json_add(o, "restarts", policy_store(inst));
	w = xcalloc(1, sizeof(*w));
	w->inst = inst;
	w->needed = needed;
	w->dir = dir;
	w->text = json_print(o);
	json_object_put(inst->last);
	inst->last = TAKE_PTR(o);
	return file_work(op, state_write, w, state_free);
}

enum verdict record_state(struct op *op, struct instance *inst)
{
	return write_state(op, inst, true);
}

enum verdict record_state_if_possible(struct op *op, struct instance *inst)
{
	return write_state(op, inst, false);
}

/* No instance has such a name. */
static const char gone_prefix[] = ".gone-";

bool record_remove(struct instance *inst, struct err **e)
{
	_cleanup_err_ struct err *failure = NULL;
	_cleanup_free_ char *gone = NULL;
	int parent = inst->rt->dirs.run_instances;
	_cleanup_close_ int dir = openat(parent, inst->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (dir < 0)
		return errno == ENOENT || err_set_errno(e, ERR_GENERIC, errno, "cannot open its run directory");
	if (!process_is_none(dir, e))
		return false;
	quarantine_take(inst->rt, inst->name, dir);
	gone = xasprintf("%s%s", gone_prefix, inst->name);
	if (!file_remove_tree(parent, gone, &failure) || renameat(parent, inst->name, parent, gone) < 0) {
		if (!failure)
			err_set_errno(&failure, ERR_GENERIC, errno, "cannot remove its run directory");
		log_write(LOG_WARNING, inst->name, "%s", failure->desc);
		return file_remove_tree(parent, inst->name, e);
	}
	if (!file_remove_tree(parent, gone, &failure))
		log_write(LOG_WARNING, inst->name, "%s", failure->desc);
	return true;
}

void record_sweep(const char *name, void *data)
{
	if (str_starts(name, gone_prefix) || str_starts(name, RECORD_NEW))
		file_remove_tree(((struct runtime *)data)->dirs.run_instances, name, NULL);
}

bool record_is_told(const struct instance *inst)
{
	return inst->record && inst->last && json_get_int(inst->last, "starts", -1) == inst->starts;
}

void record_clear(struct instance *inst)
{
	_cleanup_err_ struct err *e = NULL, *group = NULL;

	/* The directory goes last: by it the next droverd knows that there is something to clear. */
	if (!cgroups_remove(inst->cgroup, &group))
		log_write(LOG_WARNING, inst->name, "%s", group->desc);
	displays_remove_socket(inst);
	closep(&inst->run_dir);
	if (!record_remove(inst, &e)) {
		instance_doubt(inst, TAKE_PTR(e));
		return;
	}
	instance_release_uid(inst);
	free(inst->cgroup);
	inst->cgroup = NULL;
	instance_set_record(inst, NULL);
	json_object_put(inst->drift);
	inst->drift = NULL;
	json_object_put(inst->exit);
	inst->exit = NULL;
	inst->unrecorded = false;
	inst->ending = false;
	inst->obeying = false;
	inst->told_held = false;
	inst->decided = false;
	inst->starting = false;
	inst->going = false;
	inst->resetting = RESET_NONE;
	inst->fdsets_busy = inst->fdsets_again = false;
	inst->causes = (struct causes){ 0 };
	inst->heard = 0;
	inst->rt->ops->cleared(inst, inst->rt->data);
}
