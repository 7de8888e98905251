/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/commands.h"
#include "daemon/job.h"
#include "runtime/boot.h"
#include "runtime/observe.h"
#include "runtime/policy.h"
#include "runtime/start.h"

struct args {
	char *instance;
	bool paused;
	int boot; /* enum boot_order or PARAM_CHOICE_NONE */
};

static const struct param rows[] = {
	PARAM_INSTANCE(struct args),
	{ "paused", PARAM_BOOL, .def = "false", PARAM_AT(struct args, paused), .since = "0.1.0",
	  .doc = "Do not run the guest yet; 'instance-resume' does." },
	{ "boot", PARAM_CHOICE, .choices = boot_orders, PARAM_AT(struct args, boot), .since = "0.1.0",
	  .doc = "What the firmware tries first, for this start only: the first disk, CD-ROM, "
		 "floppy or network card, in front of what the definition says." },
	PARAM_END
};

static void ctx_free(void *ctx)
{
	start_free(ctx);
}

static void plan_start(struct job *job, struct instance *inst, bool paused, int once)
{
	/* A guest that was let go, and is not there any more, has ended; a start that was not yet is taken back. */
	if (job->recovered && job->op->committed && !inst->process && inst->run_dir >= 0)
		observe_judge_end(inst);
	job->ctx = start_plan(job->op, inst, paused, once);
	job->ctx_free = ctx_free;
}

void job_plan_start(struct job *job, struct instance *inst, bool paused)
{
	plan_start(job, inst, paused, BOOT_AS_DEFINED);
}

bool job_knows(struct job *job, const struct instance *inst, struct err **e)
{
	if (!inst || instance_is_known(inst, e))
		return true;
	job->marked = false;
	return false;
}

/* Whether the process that there is is what was asked for; else WrongState, with what would make it so. */
static bool is_so_already(const struct instance *inst, bool paused, int once, struct err **e)
{
	const char *way = "";

	if (once != BOOT_AS_DEFINED)
		way = "; what is booted is chosen at its start: stop it first";
	else if (inst->state == (paused ? STATE_PAUSED : STATE_RUNNING))
		return true;
	else if (inst->state == STATE_RUNNING)
		way = "; 'instance-pause' halts it";
	else if (inst->state == STATE_PAUSED)
		way = "; 'instance-resume' lets it go on";
	return err_set(e, ERR_WRONG_STATE, "'%s' has a process already and is %s (%s)%s", inst->name,
		       state_name(inst->state), inst->reason, way);
}

static bool plan(struct job *job, struct err **e)
{
	const struct args *args = job->args;
	struct instance *inst = job_instance(job, e);
	int once = args->boot == PARAM_CHOICE_NONE ? BOOT_AS_DEFINED : 1 + args->boot;

	if (!inst || (job->recovered && !job_knows(job, inst, e)))
		return false;
	if (inst->broken && !job->recovered) /* the way back needs no definition */
		return err_set(e, ERR_WRONG_STATE, "the definition of '%s' cannot be read: %s", inst->name,
			       inst->broken->desc);
	if (inst->process && !job->recovered) {
		job->changed = false;
		return is_so_already(inst, args->paused, once, e);
	}
	if (!job->recovered && !boot_check_once(&inst->def, once, e))
		return false;
	if (!job->recovered)
		policy_forget(inst);
	plan_start(job, inst, args->paused, once);
	return true;
}

const struct command cmd_instance_start = {
	.name = "instance-start",
	.class = CLASS_LONG,
	.lane = LANE_CHANGE,
	.compares = true,
	.params = rows,
	.args_size = sizeof(struct args),
	.doc = "Starts the guest. A guest that runs, or with 'paused' one that is paused, is left as it is; what would "
	       "have to change it, 'paused' or 'boot', is WrongState.",
	.returns = "{changed, state}",
	.subject = subject_instance,
	.plan = plan,
	.result = job_result_state,
};
