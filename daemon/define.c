/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/define.h"

#include "daemon/commands.h"
#include "runtime/store.h"

enum { WRITE_MS = 60000 };

struct defining {
	struct job *job;
	struct json_object *stored;
};

static enum verdict put(struct op *op, void *arg)
{
	struct defining *d = arg;

	return store_put(op, &d->job->d->rt, d->job->name, d->stored);
}

static enum verdict put_undo(struct op *op, void *arg)
{
	struct defining *d = arg;

	store_put_undo(&d->job->d->rt, d->job->name);
	return OP_DONE;
}

static enum verdict put_probe(struct op *op, void *arg)
{
	struct defining *d = arg;

	return store_has(&d->job->d->rt, d->job->name, d->stored) ? OP_DONE : OP_FAIL;
}

static enum verdict take_over(struct op *op, void *arg)
{
	struct defining *d = arg;

	define_tell(d->job->d, instance_define(&d->job->d->rt, json_object_get(d->stored)), NULL);
	return OP_DONE;
}

static const struct step step_put = { "write the definition", put,           put_undo, put_probe,
				      .timeout_ms = WRITE_MS, .commit = true };
static const struct step step_take = { "take it over", take_over };

void define_plan(struct op *op, struct job *job, struct json_object *stored)
{
	struct defining *d = op_alloc(op, sizeof(*d));

	*d = (struct defining){ job, stored };
	op_add(op, &step_put, d);
	op_add(op, &step_take, d);
}

void define_tell(struct daemon *d, const struct instance *inst, const char *renamed_from)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "instance", inst->name);
	json_add_str(o, "uuid", inst->uuid);
	json_add_str(o, "renamed-from", renamed_from);
	event_emit(d, "INSTANCE_DEFINED", o);
}

bool define_is_being_named(const struct job *job, const char *name)
{
	const struct job *other;

	TAILQ_FOREACH(other, &job->d->jobs, link)
	{
		const char *to = other->command == &cmd_instance_define ? other->name :
				 other->command == &cmd_instance_rename ? json_get_str(other->raw, "name") :
									  NULL;

		if (other != job && other->op && other->op->n > 0 && str_eq(to, name))
			return true;
	}
	return false;
}

bool define_error_in(struct err **e, const char *argument)
{
	if (e && *e && (*e)->class == ERR_INVALID_PARAMETER) {
		_cleanup_free_ char *path = xasprintf("%s.%s", argument, json_get_str((*e)->extra, "parameter"));

		err_add(*e, "parameter", json_object_new_string(path));
	}
	return false;
}
