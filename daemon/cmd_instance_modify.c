/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * instance-modify: a patch of the definition, all of it or nothing.
 *
 * What of it holds at once is told apart from what waits for the next start by comparing the definition it leads to with
 * the one that the process was started with, so that a change back to that is no pending one.
 */
#include "daemon/commands.h"
#include "daemon/define.h"
#include "runtime/meaning.h"
#include "runtime/patch.h"
#include "runtime/pending.h"
#include "runtime/warnings.h"

struct args {
	char *instance;
	struct json_object *patch;
	bool live, dry_run;
};

static const struct param rows[] = {
	PARAM_INSTANCE(struct args),
	{ "patch", PARAM_OBJECT, .required = true, PARAM_AT(struct args, patch), .since = "0.1.0",
	  .doc = "What changes, as a part of the definition (RFC 7396): null takes a member away, so that its default "
		 "holds; lists are replaced whole. Not 'name', 'uuid', 'layout'." },
	{ "live", PARAM_BOOL, .def = "true", PARAM_AT(struct args, live), .since = "0.1.0",
	  .doc = "Change what runs as well, where that can be done. Nothing yet needs it: what is applied at once is "
		 "of the definition alone." },
	{ "dry-run", PARAM_BOOL, .def = "false", PARAM_AT(struct args, dry_run), .since = "0.1.0",
	  .doc = "Change nothing; say what would be. Waits for nobody." },
	PARAM_END
};

static const struct op_ops no_ops = { 0 };

/* The names of the steps that it takes: those of an operation that is never walked. */
static struct json_object *step_names(struct job *job, struct json_object *stored)
{
	struct json_object *list = json_object_new_array();
	struct op *op = op_new(job->d->loop, &no_ops, NULL);

	define_plan(op, job, stored);
	for (int i = 0; i < op->n; i++)
		json_object_array_add(list, json_object_new_string(op->plan[i].step->name));
	op_free(op);
	return list;
}

static bool touches_any(struct json_object *paths, const char *path)
{
	for (size_t i = 0; i < json_object_array_length(paths); i++)
		if (pending_touches(json_object_get_string(json_object_array_get_idx(paths, i)), path))
			return true;
	return false;
}

/* Those of the entries in ALL that the changed PATHS speak of. */
static struct json_object *pending_of(struct json_object *all, struct json_object *paths)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < json_object_array_length(all); i++) {
		struct json_object *entry = json_object_array_get_idx(all, i);

		if (touches_any(paths, json_get_str(entry, "path")))
			json_object_array_add(list, json_object_get(entry));
	}
	return list;
}

static struct json_object *applied_of(struct json_object *pending, struct json_object *paths)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < json_object_array_length(paths); i++) {
		struct json_object *path = json_object_array_get_idx(paths, i);

		if (!pending_has(pending, json_object_get_string(path)))
			json_object_array_add(list, json_object_get(path));
	}
	return list;
}

/* The result, from the two definitions and the one that runs. */
static struct json_object *describe(struct job *job, const struct instance *inst, struct json_object *stored)
{
	struct json_object *o = json_object_new_object(), *pending = NULL;
	struct json_object *started = json_get_typed(inst->record, "definition", json_type_object);
	_cleanup_json_ struct json_object *paths = pending_paths(definition_rows, inst->stored, stored);
	_cleanup_json_ struct json_object *all = started ? definition_pending(started, stored) :
							   json_object_new_array();
	bool changed = json_object_array_length(paths) > 0 || inst->broken;

	pending = pending_of(all, paths);
	json_add_bool(o, "changed", changed);
	json_add(o, "applied", applied_of(pending, paths));
	json_add(o, "pending", pending);
	json_add(o, "steps", changed ? step_names(job, stored) : json_object_new_array());
	json_add(o, "warnings", warnings_new(stored, inst->stored));
	return o;
}

/* The definition that the patch leads to, and the result, chosen once. */
static bool resolve(struct job *job, const struct instance *inst, struct err **e)
{
	const struct args *args = job->args;
	_cleanup_json_ struct json_object *merged = NULL;
	struct instance_question question;
	struct json_object *stored;

	if (!inst->stored)
		return err_set(e, ERR_WRONG_STATE, "the definition of '%s' cannot be read: %s", inst->name,
			       inst->broken->desc);
	merged = patch_definition(inst->stored, args->patch, e);
	stored = merged ? definition_store(merged, instance_context(inst->rt, inst->name, &question), e) : NULL;
	if (!stored)
		return define_error_in(e, "patch");
	job->resolved = json_object_new_object();
	json_add(job->resolved, "definition", stored);
	json_add(job->resolved, "result", describe(job, inst, stored));
	return true;
}

static bool plan(struct job *job, struct err **e)
{
	const struct args *args = job->args;
	struct instance *inst = job_instance(job, e);

	if (!inst || (!job->resolved && !resolve(job, inst, e)))
		return false;
	if (!str_eq(json_get_str(json_get_typed(job->resolved, "definition", json_type_object), "name"), inst->name))
		return err_set(e, ERR_GENERIC, "the marker has no definition of '%s'", inst->name);
	job->changed = json_get_bool(json_get_typed(job->resolved, "result", json_type_object), "changed", true);
	if (job->changed && !args->dry_run)
		define_plan(job->op, job, json_get_typed(job->resolved, "definition", json_type_object));
	return true;
}

static enum lane lane_of(const void *decoded)
{
	const struct args *args = decoded;

	return args->dry_run ? LANE_BESIDE : LANE_CHANGE;
}

static struct json_object *result(struct job *job)
{
	return json_object_get(json_get_typed(job->resolved, "result", json_type_object));
}

const struct command cmd_instance_modify = {
	.name = "instance-modify",
	.class = CLASS_CHANGE,
	.lane = LANE_CHANGE,
	.lane_of = lane_of,
	.params = rows,
	.args_size = sizeof(struct args),
	.doc = "Changes a part of the definition, all of it or nothing. Of what runs, disks and network cards stay as "
	       "they are until the next start.",
	.returns = "{changed, applied, pending, steps, warnings}: the paths that changed and hold now; those that wait "
		   "for the next start, [{path, from, to, needs}]; the steps that it takes; those warnings of "
		   "instance-define's that were none before",
	.subject = subject_instance,
	.plan = plan,
	.result = result,
};
