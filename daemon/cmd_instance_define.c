/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/commands.h"
#include "daemon/define.h"
#include "runtime/warnings.h"

#include <strings.h>

struct args {
	struct json_object *definition;
};

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
		define_error_in(e, "definition");
		return NULL;
	}
	text = xasprintf("instance-%s", def.name);
	definition_clear(&def);
	return text;
}

static struct json_object *definition_of(const struct job *job)
{
	return json_get_typed(job->raw, "definition", json_type_object);
}

/* Who has this name, or this uuid? A definition without a uuid is that of the instance of its name. */
static bool settle_identity(struct job *job, struct json_object *given, struct err **e)
{
	const char *uuid = json_get_str(given, "uuid");
	struct instance *named = instance_find(&job->d->rt, job->name);

	if (!define_identity_is_free(job, uuid, e))
		return false;
	if (named && named->broken)
		return true;
	if (named && uuid && strcasecmp(named->uuid, uuid) != 0)
		return err_set(e, ERR_EXISTS, "'%s' exists with uuid %s", named->name, named->uuid);
	if (named && !uuid)
		json_add_str(given, "uuid", named->uuid);
	return true;
}

/* The machine got its versioned name at the first start. Who says "pc" again, or says nothing, has said nothing new;
 * instance-modify is for those who want another. */
static void keep_machine(struct json_object *given, struct json_object *old)
{
	const char *was = json_get_str(json_get_typed(old, "hvparams", json_type_object), "machine_version");
	struct json_object *hv = json_get_typed(given, "hvparams", json_type_object), *any;
	const char *wanted = json_get_str(hv, "machine_version");
	bool said = hv && json_object_object_get_ex(hv, "machine_version", &any);

	if (!was || (said && !str_eq(wanted, "pc") && !str_eq(wanted, "q35")) ||
	    machine_kind(was) != machine_kind(wanted ? wanted : "pc"))
		return;
	if (!hv && json_object_object_get_ex(given, "hvparams", &any))
		return; /* it is no object, which the rows will say */
	definition_set_machine(given, was);
}

static bool plan(struct job *job, struct err **e)
{
	_cleanup_json_ struct json_object *given = NULL;
	struct json_object *stored;
	struct instance *inst = instance_find(&job->d->rt, job->name);
	struct instance_question question;

	json_object_deep_copy(definition_of(job), &given, NULL);
	if (!job->recovered && !settle_identity(job, given, e))
		return false;
	if (!job->recovered)
		config_complete(&job->d->config, given);
	if (inst && !job->recovered)
		keep_machine(given, inst->stored);
	stored = definition_store(given, instance_context(&job->d->rt, job->name, &question), e);
	if (!stored)
		return false;
	json_add(job->raw, "definition", stored); /* resolved: the marker chooses nothing anew */
	job->changed = job->recovered || !inst || inst->broken || !json_object_equal(inst->stored, stored);
	if (job->changed)
		define_plan(job->op, job, stored);
	return true;
}

static struct json_object *result(struct job *job)
{
	struct json_object *o = json_object_new_object(), *stored = definition_of(job);

	json_add_bool(o, "changed", job->changed);
	json_add_str(o, "uuid", json_get_str(stored, "uuid"));
	json_add(o, "definition", json_object_get(stored));
	json_add(o, "warnings", warnings_list(stored));
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
	.returns = "{changed, uuid, definition, warnings}: warnings [{parameter, desc}] are of what is allowed and may "
		   "not be "
		   "what is wanted",
	.subject = subject,
	.plan = plan,
	.result = result,
};
