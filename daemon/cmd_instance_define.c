/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/file.h"
#include "base/log.h"
#include "daemon/commands.h"
#include "daemon/job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct args {
	struct json_object *definition;
};

enum { WRITE_MS = 60000 };

static const struct param rows[] = { { "definition", PARAM_OBJECT, .required = true, PARAM_AT(struct args, definition),
				       .since = "0.1.0",
				       .doc = "The definition; its members are the rows 'definition' of the schema." },
				     PARAM_END };

static char *subject(struct call *call, struct err **e)
{
	const struct args *args = call->args;
	struct definition def;
	char *text;

	if (!definition_decode(args->definition, &def, e)) {
		if (e && *e && (*e)->class == ERR_INVALID_PARAMETER) {
			_cleanup_free_ char *path = xasprintf("definition.%s", json_get_str((*e)->extra, "parameter"));

			err_add(*e, "parameter", json_object_new_string(path));
		}
		return NULL;
	}
	text = xasprintf("instance-%s", def.name);
	definition_clear(&def);
	return text;
}

/* A new directory appears whole, by one rename; in an old one the file does. */
struct writing {
	int dir; /* lib/instances */
	char *name, *text;
};

static bool write_new(const struct writing *w, struct err **e)
{
	_cleanup_free_ char *tmp = xasprintf(".new-%s", w->name);
	_cleanup_close_ int fd = -1;

	if (!file_remove_tree(w->dir, tmp, e))
		return false;
	if (mkdirat(w->dir, tmp, 0700) < 0)
		return err_set_errno(e, ERR_GENERIC, errno, "cannot make directory '%s'", tmp);
	fd = file_open_dir(w->dir, tmp, e);
	if (fd < 0 || !file_write(fd, "definition.json", w->text, 0600, true, e)) {
		file_remove_tree(w->dir, tmp, NULL);
		return false;
	}
	if (renameat(w->dir, tmp, w->dir, w->name) < 0 || fsync(w->dir) < 0) {
		err_set_errno(e, ERR_GENERIC, errno, "cannot make directory '%s'", w->name);
		file_remove_tree(w->dir, tmp, NULL);
		return false;
	}
	return true;
}

static bool write_definition(void *data, struct err **e)
{
	const struct writing *w = data;
	_cleanup_close_ int fd = openat(w->dir, w->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return write_new(w, e);
	if (fd < 0)
		return err_set_errno(e, ERR_GENERIC, errno, "cannot open directory '%s'", w->name);
	return file_write(fd, "definition.json", w->text, 0600, true, e);
}

static void writing_free(void *data)
{
	struct writing *w = data;

	free(w->name);
	free(w->text);
	free(w);
}

static struct json_object *definition_of(const struct job *job)
{
	return json_get_typed(job->raw, "definition", json_type_object);
}

static enum verdict put(struct op *op, void *arg)
{
	struct job *job = arg;
	struct writing *w = xcalloc(1, sizeof(*w));

	w->dir = job->d->rt.dirs.lib_instances;
	w->name = xstrdup(job->name);
	w->text = json_print(definition_of(job));
	return file_work(op, write_definition, w, writing_free);
}

static enum verdict put_undo(struct op *op, void *arg)
{
	struct job *job = arg;
	_cleanup_free_ char *tmp = xasprintf(".new-%s", job->name);

	file_remove_tree(job->d->rt.dirs.lib_instances, tmp, NULL);
	return OP_DONE;
}

/* Is it on the disk? */
static enum verdict put_probe(struct op *op, void *arg)
{
	struct job *job = arg;
	_cleanup_free_ char *path = xasprintf("%s/definition.json", job->name);
	_cleanup_json_ struct json_object *o = NULL;

	if (file_read_json(job->d->rt.dirs.lib_instances, path, &o, NULL) && json_object_equal(o, definition_of(job)))
		return OP_DONE;
	return OP_FAIL;
}

static enum verdict take_over(struct op *op, void *arg)
{
	struct job *job = arg;
	struct instance *inst = instance_define(&job->d->rt, json_object_get(definition_of(job)));
	struct json_object *o = json_object_new_object();

	json_add_str(o, "instance", inst->name);
	json_add_str(o, "uuid", inst->uuid);
	event_emit(job->d, "INSTANCE_DEFINED", o);
	return OP_DONE;
}

static const struct step step_put = { "write the definition", put,           put_undo, put_probe,
				      .timeout_ms = WRITE_MS, .commit = true };
static const struct step step_take = { "take it over", take_over };

/* The name that this uuid is being given to, by another definition on its way to the disk. */
static const char *name_to_be(const struct job *job, const char *uuid)
{
	const struct job *other;

	TAILQ_FOREACH(other, &job->d->jobs, link)
	if (other != job && other->command == job->command && other->op && other->op->n > 0 &&
	    !str_eq(other->name, job->name) && strcasecmp(json_get_str(definition_of(other), "uuid"), uuid) == 0)
		return other->name;
	return NULL;
}

/* Who has this name, or this uuid? A definition without a uuid is that of the instance of its name. */
static bool settle_identity(struct job *job, struct json_object *given, struct err **e)
{
	const char *uuid = json_get_str(given, "uuid");
	struct instance *named = instance_find(&job->d->rt, job->name);
	struct instance *same = uuid ? instance_find(&job->d->rt, uuid) : NULL;
	const char *taken = uuid ? name_to_be(job, uuid) : NULL;

	if (taken)
		return err_set(e, ERR_EXISTS, "uuid %s is that of '%s'", uuid, taken);
	if (same && same != named)
		return err_set(e, ERR_EXISTS, "uuid %s is that of '%s'", uuid, same->name);
	if (named && named->broken)
		return true;
	if (named && uuid && strcasecmp(named->uuid, uuid) != 0)
		return err_set(e, ERR_EXISTS, "'%s' exists with uuid %s", named->name, named->uuid);
	if (named && !uuid)
		json_add_str(given, "uuid", named->uuid);
	return true;
}

struct mac_question {
	struct runtime *rt;
	const char *name;
};

static bool is_mac_taken(const char *mac, void *data)
{
	const struct mac_question *q = data;
	const struct instance *owner = instance_of_mac(q->rt, mac);

	return owner && !str_eq(owner->name, q->name);
}

static bool plan(struct job *job, struct err **e)
{
	_cleanup_json_ struct json_object *given = NULL;
	struct json_object *stored;
	struct instance *inst = instance_find(&job->d->rt, job->name);
	struct mac_question question = { &job->d->rt, job->name };
	struct definition_context ctx = { inst ? inst->stored : NULL, is_mac_taken, &question };

	json_object_deep_copy(definition_of(job), &given, NULL);
	if (!job->recovered && !settle_identity(job, given, e))
		return false;
	stored = definition_store(given, &ctx, e);
	if (!stored)
		return false;
	json_add(job->raw, "definition", stored); /* resolved: the marker chooses nothing anew */
	job->changed = job->recovered || !inst || inst->broken || !json_object_equal(inst->stored, stored);
	if (job->changed) {
		op_add(job->op, &step_put, job);
		op_add(job->op, &step_take, job);
	}
	return true;
}

static struct json_object *result(struct job *job)
{
	struct json_object *o = json_object_new_object(), *stored = definition_of(job);

	json_add_bool(o, "changed", job->changed);
	json_add_str(o, "uuid", json_get_str(stored, "uuid"));
	json_add(o, "definition", json_object_get(stored));
	json_add(o, "warnings", json_object_new_array());
	return o;
}

const struct command cmd_instance_define = {
	.name = "instance-define",
	.class = CLASS_CHANGE,
	.lane = LANE_CHANGE,
	.params = rows,
	.args_size = sizeof(struct args),
	.doc = "Makes an instance, or replaces the definition of the one with this uuid. One that runs keeps what it "
	       "was "
	       "started with until its next start.",
	.returns = "{changed, uuid, definition, warnings}",
	.subject = subject,
	.plan = plan,
	.result = result,
};
