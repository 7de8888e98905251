/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/adopt.h"

#include "base/file.h"
#include "base/log.h"
#include "runtime/display_host.h"
#include "runtime/monitors.h"
#include "runtime/observe.h"
#include "runtime/record.h"
#include "runtime/uids.h"

#include <errno.h>
#include <fcntl.h>

static void on_uuid(struct json_object *ret, const struct err *e, void *data)
{
	struct instance *inst = data;
	const char *uuid = json_get_str(ret, "UUID");

	if (uuid && inst->uuid && !str_eq(uuid, inst->uuid))
		log_write(LOG_ERR, inst->name, "the QEMU of pid %d says that it is %s, not %s", inst->pid, uuid,
			  inst->uuid);
}

static void ask(struct instance *inst)
{
	monitors_find(inst);
	qmp_send(inst->qmp, "query-uuid", NULL, -1, on_uuid, inst);
	observe_refresh(inst);
}

/* The record ought to name who holds the lock. If it does not, it is the record that is wrong: the kernel cannot
 * mistake one process for another. */
static void compare(struct instance *inst)
{
	struct json_object *process = json_get_typed(inst->record, "process", json_type_object);
	struct json_object *held = process_to_json(inst->process);

	if (json_get_int(process, "pid", 0) != inst->pid ||
	    !str_eq(json_get_str(process, "boot-id"), process_boot_id()) ||
	    json_get_int(process, "start-time", 0) != json_get_int(held, "start-time", 0))
		log_write(LOG_WARNING, inst->name,
			  "'runtime.json' does not name pid %d, which holds the lock; the lock counts", inst->pid);
	json_add(inst->record, "process", held);
}

/* The uid of the pool that it runs as is not given to another. */
static void claim_uid(struct instance *inst)
{
	int64_t uid = json_get_int(json_get_typed(inst->record, "process", json_type_object), "uid", 0);

	if (uid > 0 && uid_pool_claim_given(inst->rt->uids, (uid_t)uid))
		inst->uid = (uid_t)uid;
}

/* Takes hold of what lives there. False: it cannot be told. */
static bool look(struct instance *inst, struct err **e)
{
	closep(&inst->run_dir);
	inst->run_dir = openat(inst->rt->dirs.run_instances, inst->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (inst->run_dir < 0)
		return errno == ENOENT || err_set_errno(e, ERR_GENERIC, errno, "cannot open its run directory");
	return observe_hold(inst, 0, 0, e) || !*e;
}

enum adopted adopt(struct instance *inst)
{
	_cleanup_err_ struct err *e = NULL;
	bool recorded;

	inst->unknown = err_free(inst->unknown);
	if (!look(inst, &e)) {
		closep(&inst->run_dir);
		instance_doubt(inst, TAKE_PTR(e));
		return ADOPT_UNKNOWN;
	}
	if (inst->run_dir < 0)
		return ADOPT_NOTHING;
	file_sweep(inst->run_dir, "exit.json"); /* that is its keeper's */
	recorded = record_read(inst, &e);
	if (!recorded)
		log_write(LOG_NOTICE, inst->name, "no runtime record: %s", e->desc);
	/* Of a definition that cannot be read: nobody else is given the uuid of what runs. */
	if (!inst->uuid)
		inst->uuid = xstrdup(json_get_str(inst->record, "uuid"));
	/* A start that was interrupted before it was recorded may have made one. */
	if (!inst->cgroup)
		inst->cgroup = cgroups_path(&inst->rt->cgroups, inst->name);
	instance_recall(inst);
	/* Only who was let go has been observed, or was recorded and not taken back. */
	inst->going = recorded || inst->state != STATE_NOSTATE;
	if (!inst->process && record_is_told(inst)) {
		/* The last droverd did not come to clear it. What follows from that end was counted then. */
		instance_recall_last(inst);
		return ADOPT_ENDED;
	}
	if (!inst->process) {
		observe_read_exit(inst);
		observe_recollect(inst);
		return ADOPT_ENDED;
	}
	if (recorded && inst->pid) {
		compare(inst);
		claim_uid(inst);
		displays_sweep(inst);
	}
	ask(inst); /* one that waits to be let go ends by itself */
	return recorded ? ADOPT_RUNNING : ADOPT_HALF;
}
