/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/adopt.h"

#include "base/file.h"
#include "base/log.h"
#include "runtime/observe.h"
#include "runtime/record.h"

#include <errno.h>
#include <fcntl.h>

static void on_uuid(struct json_object *ret, const struct err *e, void *data)
{
	struct instance *inst = data;
	const char *uuid = json_get_str(ret, "UUID");

	if (uuid && !str_eq(uuid, inst->uuid))
		log_write(LOG_ERR, inst->name, "the QEMU of pid %d says that it is %s, not %s", inst->pid, uuid,
			  inst->uuid);
}

static void ask(struct instance *inst)
{
	struct err *e = NULL;

	if (!observe_connect(inst, &e)) {
		log_write(LOG_WARNING, inst->name, "monitor: %s", e->desc);
		err_free(e);
		inst->monitor = MONITOR_GONE;
		return;
	}
	qmp_send(inst->qmp, "query-uuid", NULL, -1, on_uuid, inst);
	observe_refresh(inst);
}

enum adopted adopt(struct instance *inst)
{
	_cleanup_err_ struct err *e = NULL;
	struct json_object *process;
	pid_t pid;
	uint64_t start_time;

	inst->run_dir = openat(inst->rt->dirs.run_instances, inst->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (inst->run_dir < 0)
		return ADOPT_NOTHING;
	if (!record_read(inst, &e)) {
		log_write(LOG_NOTICE, inst->name, "no runtime record: %s", e->desc);
		if (observe_hold(inst, 0, 0)) {
			instance_recall(inst);
			ask(inst); /* the lock says whose it is; one that waits to be let go ends by itself */
		}
		return ADOPT_HALF;
	}
	process = json_get_typed(inst->record, "process", json_type_object);
	pid = (pid_t)json_get_int(process, "pid", 0);
	start_time = (uint64_t)json_get_int(process, "start-time", 0);
	if (!str_eq(json_get_str(process, "boot-id"), process_boot_id()) || pid <= 0 ||
	    !observe_hold(inst, pid, start_time)) {
		inst->going = true;
		instance_recall(inst);
		file_read_json(inst->run_dir, "exit.json", &inst->exit, NULL);
		return ADOPT_ENDED;
	}
	inst->going = true;
	instance_recall(inst);
	ask(inst);
	return ADOPT_RUNNING;
}
