/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/define.h"

#include "daemon/commands.h"
#include "runtime/store.h"

#include <strings.h>

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

/* Of one that writes one; NULL: it does not. */
static struct json_object *definition_of(const struct job *job)
{
	if (job->command == &cmd_instance_define)
		return json_get_typed(job->raw, "definition", json_type_object);
	if (job->command == &cmd_instance_import)
		return json_get_typed(job->resolved, "definition", json_type_object);
	return NULL;
}

bool define_is_being_named(const struct job *job, const char *name)
{
	const struct job *other;

	TAILQ_FOREACH(other, &job->d->jobs, link)
	{
		const char *to = other->command == &cmd_instance_rename ? json_get_str(other->raw, "name") :
				 definition_of(other)                   ? other->name :
									  NULL;

		if (other != job && other->op && other->op->n > 0 && str_eq(to, name))
			return true;
	}
	return false;
}

/* The name that this uuid is being given to, by another definition on its way to the disk. */
static const char *name_to_be(const struct job *job, const char *uuid)
{
	const struct job *other;

	TAILQ_FOREACH(other, &job->d->jobs, link)
	{
		const char *theirs = json_get_str(definition_of(other), "uuid");

		if (other != job && theirs && other->op && other->op->n > 0 && !str_eq(other->name, job->name) &&
		    strcasecmp(theirs, uuid) == 0)
			return other->name;
	}
	return NULL;
}

bool define_promises_mac(const struct daemon *d, const char *name, const char *mac)
{
	const struct job *job;

	TAILQ_FOREACH(job, &d->jobs, link)
	{
		struct json_object *written = definition_of(job);

		if (!job->op || job->op->n == 0 || str_eq(job->name, name))
			continue;
		if (!written)
			written = json_get_typed(job->resolved, "definition", json_type_object);
		if (!written)
			written = json_get_typed(job->resolved, "between", json_type_object);
		if (definition_has_mac(written, mac))
			return true;
	}
	return false;
}

bool define_identity_is_free(const struct job *job, const char *uuid, struct err **e)
{
	const struct instance *named = instance_find(&job->d->rt, job->name);
	const struct instance *same = uuid ? instance_find(&job->d->rt, uuid) : NULL;
	const char *taken = uuid ? name_to_be(job, uuid) : NULL;

	if (taken)
		return err_set(e, ERR_EXISTS, "uuid %s is that of '%s'", uuid, taken);
	if (define_is_being_named(job, job->name))
		return err_set(e, ERR_EXISTS, "another instance is being named '%s'", job->name);
	if (same && same != named)
		return err_set(e, ERR_EXISTS, "uuid %s is that of '%s'", uuid, same->name);
	return true;
}

bool define_error_in(struct err **e, const char *argument)
{
	if (e && *e && (*e)->class == ERR_INVALID_PARAMETER) {
		_cleanup_free_ char *path = xasprintf("%s.%s", argument, json_get_str((*e)->extra, "parameter"));

		err_add(*e, "parameter", json_object_new_string(path));
	}
	return false;
}
