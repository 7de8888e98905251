/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/record.h"

#include "base/file.h"
#include "base/log.h"
#include "runtime/argv.h"

#include <unistd.h>

bool record_write(struct instance *inst, char **argv, struct err **e)
{
	struct json_object *o = json_object_new_object(), *qemu = json_object_new_object();

	json_add_int(o, "version", RUNTIME_VERSION);
	json_add_str(o, "name", inst->name);
	json_add_str(o, "uuid", inst->uuid);
	json_add(o, "cmd", argv_to_json(argv));
	json_add(o, "definition", json_object_get(inst->stored));
	json_add(o, "nics", json_object_new_array());
	json_add(o, "hvparams", json_object_get(json_get_typed(inst->stored, "hvparams", json_type_object)));
	json_add(o, "disks", json_object_new_array());
	json_add(o, "process", process_to_json(inst->process));
	json_add_str(qemu, "binary", argv[0]);
	json_add(o, "qemu", qemu);
	json_add_int(o, "layout", inst->def.layout);
	json_add_int(o, "starts", inst->starts);
	json_object_put(inst->record);
	inst->record = o;
	return file_write_json(inst->run_dir, "runtime.json", o, 0600, e);
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
	json_object_put(inst->record);
	inst->record = TAKE_PTR(o);
	inst->starts = json_get_int(inst->record, "starts", inst->starts);
	return true;
}

struct state_work {
	int dir;
	char *text;
};

static bool state_write(void *data, struct err **e)
{
	struct state_work *w = data;

	return file_write(w->dir, "state.json", w->text, 0600, true, e);
}

static void state_free(void *data)
{
	struct state_work *w = data;

	fd_close(w->dir);
	free(w->text);
	free(w);
}

enum verdict record_state(struct op *op, struct instance *inst)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	_cleanup_free_ char *log = instance_log_tail(inst);
	struct err *e = NULL;
	int dir = file_open_dir(inst->rt->dirs.lib_instances, inst->name, &e);
	struct state_work *w;

	if (dir < 0)
		return op_fail_err(op, e);
	instance_describe_state(inst, o);
	json_add_time(o, "time", inst->since);
	json_add_int(o, "starts", inst->starts);
	if (inst->exit)
		json_add(o, "exit", json_object_get(inst->exit));
	json_add_str(o, "log", log);
	w = xcalloc(1, sizeof(*w));
	w->dir = dir;
	w->text = json_print(o);
	json_object_put(inst->last);
	inst->last = TAKE_PTR(o);
	return file_work(op, state_write, w, state_free);
}

void record_clear(struct instance *inst)
{
	_cleanup_err_ struct err *e = NULL;

	closep(&inst->run_dir);
	if (!file_remove_tree(inst->rt->dirs.run_instances, inst->name, &e))
		log_write(LOG_WARNING, inst->name, "%s", e->desc);
	json_object_put(inst->record);
	inst->record = NULL;
	json_object_put(inst->exit);
	inst->exit = NULL;
	inst->ending = false;
	inst->going = false;
	inst->next_reason = NULL;
}
