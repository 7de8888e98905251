/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/devices.h"

#include "base/log.h"
#include "daemon/define.h"
#include "daemon/devices_resolve.h"
#include "hotplug/plug.h"
#include "hotplug/release.h"
#include "hotplug/unplug.h"
#include "qmp/wait.h"
#include "runtime/device_record.h"
#include "runtime/leaving.h"
#include "runtime/store.h"

enum { WRITE_MS = 60000, CALL_MS = 30000 };

/* The operation, for its steps. */
struct change {
	struct job *job;
	struct instance *inst;
	struct json_object *before, *between, *after; /* job->resolved's */
	struct json_object *attach, *detach;
	struct plug *plug; /* of what is attached, or NULL */
	unsigned guest_ms;
};

/* One device that is detached. */
struct leaver {
	struct change *c;
	const char *id;
};

static struct json_object *resolved(const struct job *job, const char *key, enum json_type type)
{
	return json_get_typed(job->resolved, key, type);
}

static const char *id_at(struct json_object *ids, size_t i)
{
	return json_object_get_string(json_object_array_get_idx(ids, i));
}

/* ---- the definition ---- */

static enum verdict put_between(struct op *op, void *arg)
{
	const struct change *c = arg;

	return store_put(op, c->inst->rt, c->inst->name, c->between);
}

static enum verdict put_before(struct op *op, void *arg)
{
	const struct change *c = arg;

	return store_put(op, c->inst->rt, c->inst->name, c->before);
}

static enum verdict take_between(struct op *op, void *arg)
{
	const struct change *c = arg;

	instance_define(c->inst->rt, json_object_get(c->between));
	return OP_DONE;
}

static enum verdict take_before(struct op *op, void *arg)
{
	const struct change *c = arg;

	instance_define(c->inst->rt, json_object_get(c->before));
	return OP_DONE;
}

/* Behind that on the way back: one that could not be written, on a full disk, is not told of. */
static enum verdict see_before(struct op *op, void *arg)
{
	const struct change *c = arg;

	if (!store_has(c->inst->rt, c->inst->name, c->between))
		return take_before(op, arg);
	if (op->err)
		err_add(op->err, "undone", json_object_new_boolean(false));
	return take_between(op, arg);
}

/* On the way back what is in memory follows what was written. */
static const struct step step_keep = { "keep the definition", NULL, see_before };
static const struct step step_put = { "write the definition", put_between, put_before, .timeout_ms = WRITE_MS };
static const struct step step_take = { "take it over", take_between };

/* ---- names ---- */

static void name_leavers(const struct change *c, bool back)
{
	json_object_object_foreach(resolved(c->job, "renamed", json_type_object), id, name)
		device_record_rename(c->inst, id, back ? json_object_get_string(name) : id);
}

static enum verdict give_names(struct op *op, void *arg)
{
	name_leavers(arg, false); /* which is written with those that get their names */
	return OP_DONE;
}

static enum verdict take_names(struct op *op, void *arg)
{
	const struct change *c = arg;
	struct err *e = NULL;

	name_leavers(c, true);
	return c->inst->run_dir < 0 || !c->inst->record || record_save(c->inst, &e) ? OP_DONE : op_fail_err(op, e);
}

static const struct step step_names = { "give names away", give_names, take_names };

/* ---- taking from the guest ---- */

static enum verdict wait_for_guest(struct op *op, void *arg)
{
	const struct leaver *l = arg;

	op_wait_ms(op, l->c->guest_ms);
	return unplug(op, l->c->inst, l->id);
}

static enum verdict on_listed(struct op *op, struct json_object *ret, void *arg)
{
	const struct leaver *l = arg;

	return op_fail(op, ERR_TIMEOUT, "the guest has '%s' still", l->id);
}

/* A QEMU that says that there is no such device says what is hoped for. */
static enum verdict probe_gone(struct op *op, void *arg)
{
	const struct leaver *l = arg;
	_cleanup_free_ char *path = xasprintf("/machine/peripheral/%s", l->id);
	struct json_object *args = json_object_new_object();

	json_add_str(args, "path", path);
	return qmp_remove_then(op, l->c->inst->qmp, "qom-list", args, on_listed, arg);
}

static enum verdict on_added(struct op *op, struct json_object *ret, void *arg)
{
	const struct leaver *l = arg;
	struct err *e = NULL;

	device_record_set_state(l->c->inst, l->id, DEVICE_ATTACHED);
	return l->c->inst->run_dir < 0 || record_save(l->c->inst, &e) ? OP_DONE : op_fail_err(op, e);
}

/* It is given back, unless the guest has it: then it leaves some day, for that cannot be taken back, and the host may have
 * been started anew by then. */
static enum verdict give_back(struct op *op, void *arg)
{
	const struct leaver *l = arg;
	struct json_object *again = json_get_typed(resolved(l->c->job, "again", json_type_object), l->id,
						   json_type_object);
	struct json_object *shown = device_record_find(l->c->inst, l->id, NULL);

	if (!shown || device_record_state(shown) != DEVICE_DETACH_PENDING)
		return OP_DONE;
	if (unplug_is_pending(l->c->inst, l->id))
		return leaving_put(op, l->c->inst, l->id);
	if (!again)
		return OP_DONE;
	if (qmp_is_gone(l->c->inst->qmp))
		return on_added(op, NULL, arg); /* then it is not to leave the definition with the process */
	unplug_take_gone(l->c->inst, l->id);
	return qmp_call(op, l->c->inst->qmp, "device_add", json_object_get(again), on_added, arg);
}

/* What comes behind that on the way back: one that was not given back leaves some day, so not all is undone. */
static enum verdict see_given_back(struct op *op, void *arg)
{
	const struct leaver *l = arg;
	struct json_object *shown = device_record_find(l->c->inst, l->id, NULL);

	if (!shown || device_record_state(shown) != DEVICE_DETACH_PENDING)
		return OP_DONE;
	if (qmp_is_gone(l->c->inst->qmp))
		return on_added(op, NULL, arg);
	if (op->err)
		err_add(op->err, "undone", json_object_new_boolean(false));
	return OP_DONE;
}

static const struct step step_see = { "see what the guest has", NULL, see_given_back };
static const struct step step_leave = { "wait for the guest", wait_for_guest, give_back, .timeout_ms = CALL_MS };
static const struct step step_leave_last = { "wait for the guest",  wait_for_guest, give_back,    probe_gone,
					     .timeout_ms = CALL_MS, .commit = true, .again = true };

static void add_leavers(struct op *op, struct change *c, bool commit)
{
	for (size_t i = 0; i < json_length(c->detach); i++) {
		struct leaver *l = op_alloc(op, sizeof(*l));

		*l = (struct leaver){ c, id_at(c->detach, i) };
		if (!commit || json_length(c->detach) > 1)
			op_add(op, &step_see, l);
		op_add(op, commit && i == json_length(c->detach) - 1 ? &step_leave_last : &step_leave, l);
	}
}

/* ---- when they have left ---- */

static enum verdict put_after(struct op *op, void *arg)
{
	const struct change *c = arg;

	return store_put(op, c->inst->rt, c->inst->name, c->after);
}

/* Where something could not be done they stay pending: see_rest(). */
static enum verdict finish(struct op *op, void *arg)
{
	const struct change *c = arg;
	struct instance *inst = c->inst;
	struct err *e = NULL;

	if (op->err && json_length(c->detach) > 0)
		return OP_DONE;
	if (!json_object_equal(c->before, c->after) && store_has(inst->rt, inst->name, c->after))
		define_tell(c->job->d, instance_define(inst->rt, json_object_get(c->after)), NULL);
	for (size_t i = 0; i < json_length(c->detach); i++) {
		inst->rt->ops->device_told(inst, "DEVICE_DETACHED", id_at(c->detach, i), NULL, inst->rt->data);
		unplug_take_gone(inst, id_at(c->detach, i));
		device_record_remove(inst, id_at(c->detach, i));
	}
	if (json_length(c->detach) == 0 || inst->run_dir < 0 || !inst->record)
		return OP_DONE;
	return record_save(inst, &e) ? OP_DONE : op_fail_err(op, e);
}

/* What could not be done is done later: those that were to go are pending, until the guest is found to have let go once
 * more; those that came are attached. */
static enum verdict see_rest(struct op *op, void *arg)
{
	const struct change *c = arg;
	_cleanup_json_ struct json_object *rest = json_object_new_array();

	for (size_t i = 0; i < json_length(c->detach); i++)
		if (device_record_find(c->inst, id_at(c->detach, i), NULL))
			json_object_array_add(rest, json_object_new_string(id_at(c->detach, i)));
	unplug_restore(c->inst, rest);
	return c->plug ? plug_see_attached(op, c->plug) : OP_DONE;
}

static const struct step step_rest = { "see what is left to do", see_rest };
static const struct step step_put_after = { "write the definition without them", put_after, .timeout_ms = WRITE_MS };
static const struct step step_finish = { "record what is left", finish };

static void add_end(struct op *op, struct change *c)
{
	release_plan(op, c->inst, c->detach);
	if (!json_object_equal(c->between, c->after))
		op_add(op, &step_put_after, c);
	op_add(op, &step_finish, c);
	op_add(op, &step_rest, c);
}

/* ---- the plan ---- */

/* What detached devices were made of, so that they can be made again. Taken up behind its end, some are in no record any
 * more. */
static bool add_memory(struct op *op, struct change *c, struct err **e)
{
	struct json_object *running = json_get_typed(c->inst->record, "definition", json_type_object);
	_cleanup_json_ struct json_object *there = json_object_new_array();
	struct plug *p;

	for (size_t i = 0; i < json_length(c->detach); i++)
		if (!c->job->recovered || definition_find_device(running, id_at(c->detach, i), NULL))
			json_object_array_add(there, json_object_new_string(id_at(c->detach, i)));
	p = plug_new(op, c->inst, running, there, NULL, 0, e);
	if (!p)
		return false;
	if (!resolved(c->job, "again", json_type_object))
		json_add(c->job->resolved, "again", json_object_new_object());
	plug_describe_plan(op, p, resolved(c->job, "again", json_type_object));
	return true;
}

static bool plan_live(struct op *op, struct change *c, struct err **e)
{
	struct json_object *running = resolved(c->job, "running", json_type_object);
	struct json_object *renamed = resolved(c->job, "renamed", json_type_object);
	size_t attached = json_length(c->attach), detached = json_length(c->detach);
	struct plug *p = NULL;

	if (attached) {
		p = plug_new(op, c->inst, running, c->attach, resolved(c->job, "names", json_type_object),
			     json_get_int(c->job->resolved, "first-set", 0), e);
		if (!p)
			return false;
		plug_host_plan(op, p);
		c->plug = p;
	}
	if (detached && attached + detached > 1 && !add_memory(op, c, e))
		return false;
	if (p) {
		plug_qemu_plan(op, p);
		if (renamed && json_object_object_length(renamed) > 0)
			op_add(op, &step_names, c);
		plug_record_plan(op, p);
	}
	if (!json_object_equal(c->before, c->between)) {
		op_add(op, &step_keep, c);
		op_add(op, &step_put, c);
		op_add(op, &step_take, c);
	}
	add_leavers(op, c, !p);
	if (p) {
		plug_guest_plan(op, p, true);
		plug_done_plan(op, p);
	}
	add_end(op, c);
	return true;
}

static struct change *change_new(struct job *job, struct instance *inst, double timeout)
{
	struct change *c = op_alloc(job->op, sizeof(*c));

	*c = (struct change){ .job = job,
			      .inst = inst,
			      .before = resolved(job, "before", json_type_object),
			      .between = resolved(job, "between", json_type_object),
			      .after = resolved(job, "after", json_type_object),
			      .attach = resolved(job, "attach", json_type_array),
			      .detach = resolved(job, "detach", json_type_array),
			      .guest_ms = timeout * 1000 < 1 ? 1 : (unsigned)(timeout * 1000) };
	return c;
}

bool devices_plan(struct job *job, const struct devices_wish *wish, struct err **e)
{
	struct instance *inst = job_instance(job, e);
	struct change *c;

	if (!inst || (!job->resolved && !devices_resolve(job, inst, wish, e)))
		return false;
	c = change_new(job, inst, wish->timeout);
	if (!c->before || !c->between || !c->after)
		return err_set(e, ERR_GENERIC, "the marker has no definitions of '%s'", inst->name);
	job->changed = json_get_bool(job->resolved, "changed", true);
	if (!job->changed)
		return true;
	if (json_get_bool(job->resolved, "live", false) && (json_length(c->attach) || json_length(c->detach)))
		return plan_live(job->op, c, e);
	define_plan(job->op, job, c->after);
	return true;
}

/* ---- the result ---- */

struct json_object *devices_shown(const struct job *job, const char *list)
{
	struct json_object *all = json_object_new_array(), *ids = resolved(job, list, json_type_array);
	const struct instance *inst = instance_find(&job->d->rt, job->name);

	for (size_t i = 0; inst && i < json_length(ids); i++) {
		struct json_object *shown = device_record_find(inst, id_at(ids, i), NULL);

		if (!shown)
			shown = definition_find_device(inst->stored, id_at(ids, i), NULL);
		if (!shown)
			shown = json_get_typed(resolved(job, "shown", json_type_object), id_at(ids, i),
					       json_type_object);
		json_object_array_add(all, json_object_get(shown));
	}
	return all;
}

struct json_object *devices_result(const struct job *job)
{
	struct json_object *o = json_object_new_object();

	json_add_bool(o, "changed", job->changed);
	json_add_bool(o, "live", json_get_bool(job->resolved, "live", false));
	return o;
}

/* ---- those that went when nobody waited any more ---- */

static enum verdict see_later(struct op *op, void *arg)
{
	const struct change *c = arg;

	unplug_restore(c->inst, c->detach);
	return OP_DONE;
}

static const struct step step_gone = { "see that the guest has let go", NULL, see_later, .commit = true,
				       .again = true };

static bool resolve_gone(struct job *job, struct instance *inst)
{
	_cleanup_json_ struct json_object *pending = device_record_ids(inst, DEVICE_DETACH_PENDING);
	struct json_object *gone = json_object_new_array();

	for (size_t i = 0; i < json_length(pending); i++)
		if (unplug_take_gone(inst, id_at(pending, i)))
			json_object_array_add(gone, json_object_new_string(id_at(pending, i)));
	job->resolved = json_object_new_object();
	json_add(job->resolved, "detach", gone);
	json_add(job->resolved, "attach", json_object_new_array());
	json_add(job->resolved, "before", json_object_get(inst->stored));
	json_add(job->resolved, "between", json_object_get(inst->stored));
	json_add(job->resolved, "after", definition_without(inst->stored, gone));
	return json_length(gone) > 0;
}

bool devices_collect_plan(struct job *job, struct err **e)
{
	struct instance *inst = instance_find(&job->d->rt, job->name);
	struct change *c;

	job->changed = inst && inst->stored && inst->record && (job->resolved || resolve_gone(job, inst));
	if (!job->changed)
		return true;
	c = change_new(job, inst, 0);
	op_add(job->op, &step_gone, c);
	add_end(job->op, c);
	return true;
}
