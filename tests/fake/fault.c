/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Faults in plans: linked with daemon/main.c this is droverd-faulty.
 *
 *   DROVER_FAULT = ENTRY[;ENTRY…]      ENTRY = COMMAND/STEP/WHEN/ACTION | log=FILE | from=FILE
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
 * The log gets a line "step COMMAND NUMBER NAME" for each step that is about to run, with a "!" before the number of a
 * commit, a "~" before that of one which is run again by the next droverd, a "@" before that of one that finds a process;
 * "fault ENTRY" for each fault, "killed PID" and "frozen PID" for a QEMU that was. Entries below "from" are those in force
 * from when the file is put in place of another until the next one is.
 */
#include "base/file.h"
#include "base/queue.h"
#include "daemon/job.h"
#include "runtime/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
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
	char *from;
	struct stat read; /* of `from`, as it was read */
} plan = { .log = -1 };

/* 0 without a process. */
static pid_t qemu_of(const struct op *op)
{
	const struct job *job = op->owner;
	const struct instance *inst = job->name ? instance_find(&job->d->rt, job->name) : NULL;

	return inst ? inst->pid : 0;
}

/* kill() does not wait for it, and a thread of a process that is to stand still may go on answering for a while. */
static bool is_still(pid_t pid)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/task", pid);
	DIR *dir = opendir(path);
	struct dirent *d;
	bool still = true;

	while (dir && still && (d = readdir(dir)))
		still = d->d_name[0] == '.' || strchr("TZX", process_run_state((pid_t)strtol(d->d_name, NULL, 10)));
	if (dir)
		closedir(dir);
	return still;
}

static void signal_qemu(const struct op *op, int signal)
{
	pid_t pid = qemu_of(op);

	if (!pid)
		return;
	kill(pid, signal);
	while (signal == SIGSTOP && !is_still(pid))
		sched_yield();
	if (plan.log >= 0)
		dprintf(plan.log, "%s %d\n", signal == SIGKILL ? "killed" : "frozen", pid);
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

static void read_again(void);

static enum op_fault hook(struct op *op, const struct step *step, enum op_when when)
{
	enum op_fault result = OP_FAULT_NONE;

	read_again();
	if (plan.log >= 0 && when == OP_BEFORE)
		dprintf(plan.log, "step %s %s%s%s%d %s\n", op->name, step->commit ? "!" : "", step->again ? "~" : "",
			qemu_of(op) ? "@" : "", op->at, step->name);
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
	fprintf(stderr, "droverd-faulty: '%s' is not COMMAND/STEP/WHEN/ACTION, log=FILE or from=FILE\n", entry);
	exit(2);
}

static void read_entry(const char *entry)
{
	struct fault f = { 0 };
	char *when, *action;
	size_t i = 0;

	if (str_starts(entry, "log=")) {
		plan.log = open(entry + 4, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		return;
	}
	if (str_starts(entry, "from=")) {
		plan.from = xstrdup(entry + 5);
		return;
	}
	f.text = xstrdup(entry);
	f.command = xstrdup(entry);
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

static void read_entries(const char *text)
{
	_cleanup_free_ char *copy = xstrdup(text);
	char *save = NULL;

	for (char *entry = strtok_r(copy, ";", &save); entry; entry = strtok_r(NULL, ";", &save))
		read_entry(entry);
}

static void read_again(void)
{
	_cleanup_free_ char *text = NULL;
	struct stat st;

	if (!plan.from || stat(plan.from, &st) < 0 ||
	    (st.st_ino == plan.read.st_ino && st.st_mtim.tv_nsec == plan.read.st_mtim.tv_nsec) ||
	    !file_read(AT_FDCWD, plan.from, FILE_MAX, &text, NULL, NULL))
		return;
	plan.read = st;
	for (; plan.n; plan.n--) {
		free(plan.faults[plan.n - 1].text);
		free(plan.faults[plan.n - 1].command);
	}
	read_entries(text);
}

__attribute__((constructor)) static void load(void)
{
	const char *text = getenv("DROVER_FAULT");

	if (!text)
		return;
	read_entries(text);
	op_hook = hook;
}
