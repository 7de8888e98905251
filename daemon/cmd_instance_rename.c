/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * instance-rename: another name for an instance that has no process, with all that is kept with it.
 *
 * The commit is one rename of its directory (runtime/store.h). The new name is nobody else's meanwhile: who wants it asks
 * define_is_being_named().
 */
#include "daemon/commands.h"
#include "daemon/define.h"
#include "runtime/display.h"
#include "runtime/store.h"

struct args {
	char *instance, *name;
};

enum { WRITE_MS = 60000 };

static const struct param rows[] = { PARAM_INSTANCE(struct args),
				     { "name", PARAM_NAME, .required = true, PARAM_AT(struct args, name),
				       .since = "0.1.0", .doc = "The new name." },
				     PARAM_END };

static const char *new_name(const struct job *job)
{
	return ((const struct args *)job->args)->name;
}

static struct json_object *definition_of(const struct job *job)
{
	return json_get_typed(job->resolved, "definition", json_type_object);
}

static enum verdict prepare(struct op *op, void *arg)
{
	struct job *job = arg;

	return store_rename_prepare(op, &job->d->rt, job->name, definition_of(job));
}

static enum verdict prepare_undo(struct op *op, void *arg)
{
	struct job *job = arg;

	store_rename_undo(&job->d->rt, job->name);
	return OP_DONE;
}

static enum verdict rename_dir(struct op *op, void *arg)
{
	struct job *job = arg;

	return store_rename(op, &job->d->rt, job->name, new_name(job));
}

static enum verdict rename_probe(struct op *op, void *arg)
{
	struct job *job = arg;

	return store_was_renamed(&job->d->rt, job->name, new_name(job)) ? OP_DONE : OP_FAIL;
}

/* Who knows it by its uuid reads of the end of the old name and the beginning of the new one with nothing between, and
 * each names the other. */
static enum verdict take_over(struct op *op, void *arg)
{
	struct job *job = arg;
	struct instance *inst = instance_find(&job->d->rt, job->name);
	struct json_object *o = json_object_new_object();

	if (inst)
		instance_rename(inst, new_name(job)); /* else droverd has read it by that name */
	inst = instance_define(&job->d->rt, json_object_get(definition_of(job)));
	json_add_str(o, "instance", job->name);
	json_add_str(o, "uuid", inst->uuid);
	json_add_str(o, "renamed-to", inst->name);
	event_emit(job->d, "INSTANCE_UNDEFINED", o);
	define_tell(job->d, inst, job->name);
	return OP_DONE;
}

static const struct step step_prepare = { "write the new definition", prepare, prepare_undo, .timeout_ms = WRITE_MS };
static const struct step step_rename = { "rename the directory", rename_dir,    NULL, rename_probe,
					 .timeout_ms = WRITE_MS, .commit = true };
static const struct step step_take = { "take it over", take_over };

static bool check(struct job *job, const struct instance *inst, struct err **e)
{
	const char *name = new_name(job);
	const struct instance *other = instance_find(&job->d->rt, name);

	if (!instance_is_known(inst, e))
		return false;
	if (inst->process || inst->run_dir >= 0)
		return err_set(e, ERR_WRONG_STATE, "'%s' has a process; stop it first", inst->name);
	if (inst->broken || !inst->stored)
		return err_set(e, ERR_WRONG_STATE, "the definition of '%s' cannot be read%s%s", inst->name,
			       inst->broken ? ": " : "", inst->broken ? inst->broken->desc : "");
	if (!display_check_name(&inst->def.hvparams, name, "name", e))
		return false;
	if (other && other != inst)
		return err_set(e, ERR_EXISTS, "there is an instance '%s' already", name);
	if (define_is_being_named(job, name))
		return err_set(e, ERR_EXISTS, "another instance is being named '%s'", name);
	return true;
}

static struct json_object *renamed(const struct instance *inst, const char *name)
{
	struct json_object *definition = NULL;

	json_object_deep_copy(inst->stored, &definition, NULL);
	json_add_str(definition, "name", name);
	return definition;
}

static bool plan(struct job *job, struct err **e)
{
	struct instance *inst = instance_find(&job->d->rt, job->name);

	if (!inst && !job->resolved)
		return job_instance(job, e);
	if (!job->resolved) {
		if (!check(job, inst, e))
			return false;
		job->resolved = json_object_new_object();
		json_add(job->resolved, "definition", renamed(inst, new_name(job)));
	}
	if (!str_eq(json_get_str(definition_of(job), "name"), new_name(job)))
		return err_set(e, ERR_GENERIC, "the marker has no definition of '%s'", new_name(job));
	job->changed = !inst || job->recovered || !str_eq(inst->name, new_name(job));
	if (!job->changed)
		return true;
	op_add(job->op, &step_prepare, job);
	op_add(job->op, &step_rename, job);
	op_add(job->op, &step_take, job);
	return true;
}

static struct json_object *result(struct job *job)
{
	struct json_object *o = json_object_new_object();

	json_add_bool(o, "changed", job->changed);
	return o;
}

const struct command cmd_instance_rename = {
	.name = "instance-rename",
	.class = CLASS_CHANGE,
	.lane = LANE_CHANGE,
	.params = rows,
	.args_size = sizeof(struct args),
	.doc = "Gives an instance without a process another name. Its uuid, its records and its logs stay. What waits "
	       "under the old name finds it gone.",
	.returns = "{changed}",
	.subject = subject_instance,
	.plan = plan,
	.result = result,
};
