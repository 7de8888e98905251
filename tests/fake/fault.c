/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Faults in plans: linked with daemon/main.c this is droverd-faulty.
 *
 *   DROVER_FAULT = ENTRY[;ENTRY…]      ENTRY = COMMAND/STEP/WHEN/ACTION | log=FILE
 *
 * COMMAND is the command's name, STEP the step's name or its number in the plan; "*" is any. WHEN is before (the
 * step's effect has not happened) or after. ACTION, which is done once, or each time with a "!" behind it:
 *
 *   fail      the step fails
 *   expire    its wait expires at once; after: it is said to have
 *   cancel    somebody cancels the operation; past the commit that is refused, as it is to a client
 *   kill      SIGKILL to ourselves
 *   killqemu  SIGKILL to the process of the instance, if there is one
 *   freeze    SIGSTOP to it
 *
 * FILE gets a line "step COMMAND NUMBER NAME" for each step that is about to run, with a "!" before the number of a
 * commit and a "~" before that of one which is run again by the next droverd, "fault ENTRY" for each fault, and
 * "killed PID" for a QEMU that was killed.
 */
#include "base/queue.h"
#include "daemon/job.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum action { FAIL, EXPIRE, CANCEL, KILL, KILLQEMU, FREEZE };

static const char *const actions[] = { "fail", "expire", "cancel", "kill", "killqemu", "freeze" };

struct fault {
	char *text, *command, *step;
	enum op_when when;
	enum action action;
	bool always, done;
};

static struct {
	struct fault *faults;
	size_t n;
	int log;
} plan = { .log = -1 };

static void signal_qemu(struct op *op, int signal)
{
	struct job *job = op->owner;
	struct instance *inst = job->name ? instance_find(&job->d->rt, job->name) : NULL;

	if (!inst || !inst->pid)
		return;
	kill(inst->pid, signal);
	if (plan.log >= 0 && signal == SIGKILL)
		dprintf(plan.log, "killed %d\n", inst->pid);
}

static enum op_fault act(struct fault *f, struct op *op)
{
	f->done = !f->always;
	if (plan.log >= 0)
		dprintf(plan.log, "fault %s\n", f->text);
	switch (f->action) {
	case FAIL:
		return OP_FAULT_FAIL;
	case EXPIRE:
		return OP_FAULT_EXPIRE;
	case CANCEL:
		return OP_FAULT_CANCEL;
	case KILL:
		kill(getpid(), SIGKILL);
		break;
	case KILLQEMU:
		signal_qemu(op, SIGKILL);
		break;
	case FREEZE:
		signal_qemu(op, SIGSTOP);
		break;
	}
	return OP_FAULT_NONE;
}

static bool is_step(const char *wanted, const struct op *op, const struct step *step)
{
	char *end;
	long number = strtol(wanted, &end, 10);

	return str_eq(wanted, "*") || str_eq(wanted, step->name) || (end != wanted && !*end && number == op->at);
}

static enum op_fault hook(struct op *op, const struct step *step, enum op_when when)
{
	enum op_fault result = OP_FAULT_NONE;

	if (plan.log >= 0 && when == OP_BEFORE)
		dprintf(plan.log, "step %s %s%s%d %s\n", op->name, step->commit ? "!" : "", step->again ? "~" : "",
			op->at, step->name);
	for (size_t i = 0; i < plan.n; i++) {
		struct fault *f = &plan.faults[i];

		if (f->done || f->when != when || (!str_eq(f->command, "*") && !str_eq(f->command, op->name)) ||
		    !is_step(f->step, op, step))
			continue;
		result = act(f, op);
	}
	return result;
}

static void give_up(const char *entry)
{
	fprintf(stderr, "droverd-faulty: '%s' in DROVER_FAULT is not COMMAND/STEP/WHEN/ACTION or log=FILE\n", entry);
	exit(2);
}

static void read_entry(const char *entry)
{
	struct fault f = { .text = xstrdup(entry), .command = xstrdup(entry) };
	char *when, *action;
	size_t i = 0;

	if (str_starts(entry, "log=")) {
		plan.log = open(entry + 4, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		free(f.text);
		free(f.command);
		return;
	}
	f.step = strchr(f.command, '/');
	when = f.step ? strchr(f.step + 1, '/') : NULL;
	action = when ? strchr(when + 1, '/') : NULL;
	if (!action)
		give_up(entry);
	*f.step++ = *when++ = *action++ = '\0';
	f.when = str_eq(when, "after") ? OP_AFTER : OP_BEFORE;
	f.always = *action && action[strlen(action) - 1] == '!';
	if (f.always)
		action[strlen(action) - 1] = '\0';
	while (i < ARRAY_SIZE(actions) && !str_eq(actions[i], action))
		i++;
	if (i == ARRAY_SIZE(actions) || (f.when == OP_BEFORE && !str_eq(when, "before")))
		give_up(entry);
	f.action = (enum action)i;
	plan.faults = xrealloc(plan.faults, plan.n + 1, sizeof(*plan.faults));
	plan.faults[plan.n++] = f;
}

__attribute__((constructor)) static void load(void)
{
	_cleanup_free_ char *copy = xstrdup(getenv("DROVER_FAULT"));
	char *save = NULL;

	if (!copy)
		return;
	for (char *entry = strtok_r(copy, ";", &save); entry; entry = strtok_r(NULL, ";", &save))
		read_entry(entry);
	op_hook = hook;
}
