/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The start of the daemon: read all definitions, find what runs, take up what was interrupted.
 *
 * All instances side by side and without waiting: a QEMU that does not answer, or a file that cannot be read, hinders
 * nobody else. An operation found half done waits for its own QEMU by the waits of its own steps; the first reply of
 * a new connection is the barrier behind all commands of the last.
 */
#include "base/file.h"
#include "base/log.h"
#include "daemon/daemon.h"
#include "daemon/job_store.h"
#include "daemon/marker.h"
#include "hotplug/drift.h"
#include "hotplug/unplug.h"
#include "runtime/adopt.h"
#include "runtime/fdsets.h"
#include "runtime/leaving.h"
#include "runtime/logs.h"
#include "runtime/observe.h"
#include "runtime/store.h"

#include <unistd.h>

/* What was to be gone, or had not come to be. Who has the name of what is gone by now has the logs, too. */
static void sweep(struct daemon *d, const char *name)
{
	static const char gone[] = ".gone-";
	const char *was = str_starts(name, gone) ? name + sizeof(gone) - 1 : NULL;

	if (was && param_is_name(was) && faccessat(d->rt.dirs.lib_instances, was, F_OK, 0) < 0)
		logs_remove(d->rt.dirs.log_fd, was);
	file_remove_tree(d->rt.dirs.lib_instances, name, NULL);
}

static void load(const char *name, void *data)
{
	struct daemon *d = data;

	if (name[0] == '.') {
		sweep(d, name);
		return;
	}
	if (!param_is_name(name)) {
		log_warning("'%s' among the instances has no instance's name; ignoring it", name);
		return;
	}
	store_recover(&d->rt, name);
	leaving_recover(&d->rt, name);
	instance_load(&d->rt, name);
}

/* A run directory of no instance: nobody could ever ask for it, so it is told of and left alone. */
static void find_strays(const char *name, void *data)
{
	struct daemon *d = data;

	if (!instance_find(&d->rt, name))
		log_error("'%s' has a run directory and no definition; ignoring it", name);
}

/* What was to leave is asked for again; what an operation has in hand is for that to settle, and for its end. */
static void adopt_unplugs(struct daemon *d, struct instance *inst)
{
	_cleanup_free_ char *subject = xasprintf("instance-%s", inst->name);

	if (inst->process && !queue_current(d->queues, subject))
		unplug_adopt(inst);
}

/* Whether the machines that were found have what their records say: a moment later, for that is in no hurry. */
static void compare_all(uv_timer_t *timer)
{
	struct daemon *d = timer->data;

	for (struct instance *inst = instance_first(&d->rt); inst; inst = instance_next(inst)) {
		if (!inst->process || job_compares(d, inst))
			continue;
		drift_check(inst);
		fdsets_audit(inst);
	}
}

void recover(struct daemon *d)
{
	enum { COMPARE_MS = 2000 };
	_cleanup_err_ struct err *e = NULL;
	struct instance *inst, *next;
	unsigned running = 0;

	file_sweep(d->rt.dirs.run_fd, NULL);
	file_sweep(d->rt.dirs.capabilities, NULL);
	if (!file_list(d->rt.dirs.lib_instances, load, d, &e))
		log_error("instances: %s", e->desc);
	for (inst = instance_first(&d->rt); inst; inst = instance_next(inst))
		running += adopt(inst) == ADOPT_RUNNING;
	file_list(d->rt.dirs.run_instances, find_strays, d, NULL);
	marker_recover_all(d);
	job_store_load(d);
	/* What has no process is known to have ended, whatever waits for its guest, and is cleared behind that. */
	for (inst = instance_first(&d->rt); inst; inst = next) {
		next = instance_next(inst);
		if (!inst->process && inst->run_dir >= 0) {
			observe_judge_end(inst);
			d->rt.ops->ended(inst, d->rt.data);
		}
		if (!inst->process && inst->run_dir < 0 && inst->restarts.due)
			d->rt.ops->cleared(inst, d->rt.data);
		adopt_unplugs(d, inst);
		if (inst->process && inst->resetting)
			job_internal(d, "instance-settle", inst->name);
	}
	uv_timer_init(d->loop, &d->comparer);
	d->comparer.data = d;
	if (running)
		uv_timer_start(&d->comparer, compare_all, COMPARE_MS, 0);
	log_info("%u instances, %u of them running", d->rt.count, running);
}
