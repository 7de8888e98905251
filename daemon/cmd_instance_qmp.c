/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * instance-qmp: a command of QEMU's own, for what drover has no command for. It runs on the second monitor, in band,
 * beside everything.
 *
 * What would take QEMU from under droverd's hands is always refused: its end, the handshake, descriptors (another command's
 * may be underway), and programs that QEMU would run (the sandbox kills a QEMU that tries). What changes something that
 * droverd keeps a record of wants "unsafe", and the instance is compared with its record afterwards.
 */
#include "daemon/commands.h"
#include "daemon/job.h"
#include "qmp/wait.h"
#include "runtime/observe.h"

#include <string.h>

struct args {
	char *instance, *execute;
	struct json_object *arguments;
	bool unsafe;
};

enum { CALL_MS = 30000 };

static const struct param rows[] = {
	PARAM_INSTANCE(struct args),
	{ "execute", PARAM_TEXT, .required = true, .min = 1, .max = 255, PARAM_AT(struct args, execute),
	  .since = "0.1.0", .doc = "QEMU's command." },
	{ "arguments", PARAM_OBJECT, PARAM_AT(struct args, arguments), .since = "0.1.0", .doc = "Its arguments." },
	{ "unsafe", PARAM_BOOL, .def = "false", PARAM_AT(struct args, unsafe), .since = "0.1.0",
	  .doc = "Also a command that changes what drover keeps a record of: system_reset, device_*, blockdev-*, "
		 "netdev_*, object-*, migrate*, snapshot-*, set-action, human-monitor-command." },
	PARAM_END
};

/* A name, or the beginning of names with a '*' behind it. */
struct rule {
	const char *command;
	const char *why; /* or what to use instead */
};

static const struct rule never[] = {
	{ "quit", "'instance-stop' ends it" },
	{ "qmp_capabilities", "the handshake is over" },
	{ "getfd", "descriptors are drover's own" },
	{ "add-fd", "descriptors are drover's own" },
	{ "closefd", "descriptors are drover's own" },
	{ "remove-fd", "descriptors are drover's own" },
	{ NULL },
};

static const struct rule guarded[] = {
	{ "system_reset", "'instance-reset' does it" },
	{ "device_*", "'disk-attach', 'disk-detach', 'nic-attach' and 'nic-detach' do it" },
	{ "blockdev-*", "'disk-attach', 'disk-detach' and 'disk-change' do it" },
	{ "netdev_*", "'nic-attach' and 'nic-detach' do it" },
	{ "object-*", "'disk-attach', 'disk-throttle' and 'memory-set' do it" },
	{ "migrate*", "'migrate' does it" },
	{ "snapshot-*", "'snapshot-create', 'snapshot-load' and 'snapshot-delete' do it" },
	{ "set-action", "the hvparams 'on_reboot', 'on_crash' and 'on_poweroff' say it ('instance-modify')" },
	{ "human-monitor-command", "it can do what all the others do" },
	{ NULL },
};

/* The commands of QEMU's other monitor that are those of the table never[]. */
static const struct rule never_human[] = {
	{ "quit", "'instance-stop' ends it" },
	{ "q", "'instance-stop' ends it" },
	{ "getfd", "descriptors are drover's own" },
	{ "closefd", "descriptors are drover's own" },
	{ NULL },
};

static const struct rule *rule_of(const struct rule *rules, const char *command)
{
	for (; rules->command; rules++) {
		size_t n = strlen(rules->command) - 1;

		if (str_eq(rules->command, command) ||
		    (rules->command[n] == '*' && strncmp(rules->command, command, n) == 0))
			return rules;
	}
	return NULL;
}

/* Does any value in O tell QEMU to run a program: a URI "exec:…", or an address of that kind? */
static bool runs_program(struct json_object *o)
{
	if (json_object_is_type(o, json_type_string))
		return str_starts(json_object_get_string(o), "exec:");
	if (json_object_is_type(o, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(o); i++)
			if (runs_program(json_object_array_get_idx(o, i)))
				return true;
	} else if (json_object_is_type(o, json_type_object)) {
		if (str_eq(json_get_str(o, "transport"), "exec") || str_eq(json_get_str(o, "type"), "exec"))
			return true;
		json_object_object_foreach(o, key, value) {
			(void)key;
			if (runs_program(value))
				return true;
		}
	}
	return false;
}

/* The first word of a line for the other monitor. */
static char *first_word(const char *line)
{
	line += strspn(line, " \t\r\n\v\f");
	return xstrndup(line, strcspn(line, " \t\r\n\v\f/"));
}

static bool check_human(const char *line, struct err **e)
{
	_cleanup_free_ char *word = first_word(line);
	const struct rule *rule = rule_of(never_human, word);

	if (rule)
		return err_set(e, ERR_UNSUPPORTED, "'%s' is not for clients: %s", word, rule->why);
	if (strstr(line, "exec:"))
		return err_set(e, ERR_UNSUPPORTED, "QEMU is not to run programs ('exec:')");
	return true;
}

static bool check(const struct args *args, struct err **e)
{
	const struct rule *rule = rule_of(never, args->execute);
	const char *line = json_get_str(args->arguments, "command-line");

	if (rule)
		return err_set(e, ERR_UNSUPPORTED, "'%s' is not for clients: %s", args->execute, rule->why);
	if (runs_program(args->arguments))
		return err_set(e, ERR_UNSUPPORTED, "QEMU is not to run programs ('exec:')");
	if (str_eq(args->execute, "human-monitor-command") && line && !check_human(line, e))
		return false;
	rule = rule_of(guarded, args->execute);
	if (rule && !args->unsafe)
		return err_set(e, ERR_UNSUPPORTED, "'%s' changes what drover keeps a record of; %s. Else say 'unsafe'",
			       args->execute, rule->why);
	return true;
}

static char *subject(struct call *call, struct err **e)
{
	return check(call->args, e) ? subject_instance(call, e) : NULL;
}

/* ---- the plan ---- */

static struct instance *instance_of(const struct job *job)
{
	return instance_find(&job->d->rt, job->name);
}

static enum verdict on_answer(struct op *op, struct json_object *ret, void *arg)
{
	((struct job *)arg)->ctx = json_object_get(ret);
	return OP_DONE;
}

static enum verdict execute(struct op *op, void *arg)
{
	struct job *job = arg;
	const struct args *args = job->args;

	return qmp_call(op, instance_of(job)->qmp2, args->execute, json_object_get(args->arguments), on_answer, job);
}

/* After what drover did not do itself: what QEMU has now, against the record of it. The first monitor answers in order, so
 * the reply to the last question comes behind those to the others. With a QEMU that ends meanwhile, perhaps by that very
 * command, there is nothing to compare, and its answer stands. */
static enum verdict compare_with_record(struct op *op, void *arg)
{
	struct instance *inst = instance_of(arg);

	if (!inst || qmp_is_gone(inst->qmp))
		return OP_DONE;
	observe_refresh(inst);
	return qmp_remove(op, inst->qmp, "query-version", NULL);
}

static const struct step step_execute = { "run the command", execute, .timeout_ms = CALL_MS, .commit = true };
static const struct step step_compare = { "compare with the record", compare_with_record, .timeout_ms = CALL_MS };

static void ctx_free(void *ctx)
{
	json_object_put(ctx);
}

static bool plan(struct job *job, struct err **e)
{
	const struct args *args = job->args;
	struct instance *inst = job_instance(job, e);

	if (!inst)
		return false;
	if (!inst->process)
		return err_set(e, ERR_WRONG_STATE, "'%s' has no process", inst->name);
	if (!inst->qmp2)
		return err_set(e, ERR_WRONG_STATE, "'%s' is starting; ask again when its monitors are there",
			       inst->name);
	if (qmp_is_gone(inst->qmp2))
		return err_set(e, ERR_UNAVAILABLE, "the second monitor of '%s' is not connected", inst->name);
	job->ctx_free = ctx_free;
	op_add(job->op, &step_execute, job);
	if (rule_of(guarded, args->execute))
		op_add(job->op, &step_compare, job);
	return true;
}

static struct json_object *result(struct job *job)
{
	return json_object_get(job->ctx);
}

const struct command cmd_instance_qmp = {
	.name = "instance-qmp",
	.class = CLASS_CHANGE,
	.lane = LANE_BESIDE,
	.compares = true,
	.params = rows,
	.args_size = sizeof(struct args),
	.doc = "Runs a command of QEMU's own. Never quit, qmp_capabilities, getfd, add-fd, closefd, remove-fd, nor "
	       "anything with an 'exec:' URI.",
	.returns = "what QEMU returned, as it stands",
	.subject = subject,
	.plan = plan,
	.result = result,
};
