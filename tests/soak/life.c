/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The lives of droverd: begun, ended, and ended by its own faults. How many there are depends on the clock, so each has a
 * row of numbers of its own.
 */
#include "soak.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ENTRIES_MAX = 10, ROW_OF_LIVES = 1000, LAST_STEP = 14 };

static const char *const commands[] = { "*",
					"*",
					"instance-start",
					"instance-start",
					"instance-stop",
					"instance-shutdown",
					"instance-reboot",
					"instance-undefine",
					"instance-define",
					"instance-modify",
					"instance-rename",
					"instance-pause",
					"instance-resume",
					"instance-reset",
					"instance-nmi",
					"instance-qmp",
					"instance-collect",
					"instance-poweroff",
					"instance-restart",
					"instance-settle",
					"instance-autostart" };

static const struct {
	unsigned weight;
	const char *name;
	bool again; /* may be done each time */
} actions[] = {
	{ 20, "fail", true }, { 15, "cancel", true }, { 15, "expire", true },
	{ 20, "kill" },       { 10, "killqemu" },     { 10, "freeze" },
};

static char *draw_entry(struct chance *c)
{
	const char *command = CHANCE_OF(c, commands), *when = chance_percent(c, 50) ? "before" : "after";
	size_t action = chance_row(c, actions, ARRAY_SIZE(actions), sizeof(actions[0]));
	bool always = chance_percent(c, 20), any = chance_percent(c, 10);
	unsigned step = chance_below(c, LAST_STEP + 1);
	_cleanup_free_ char *number = xasprintf("%u", step);

	/* Any step of any command each time: nothing would ever be done. */
	any = any && !str_eq(command, "*");
	return xasprintf("%s/%s/%s/%s%s", command, any ? "*" : number, when, actions[action].name,
			 always && actions[action].again ? "!" : "");
}

static char *draw_faults(struct chance *c)
{
	unsigned n = chance_below(c, ENTRIES_MAX + 1);
	char *all = xasprintf("log=%s/steps", round_.r->root);

	while (n--) {
		_cleanup_free_ char *entry = draw_entry(c), *old = all;

		all = xasprintf("%s;%s", old, entry);
	}
	return all;
}

void life_begin(bool healed)
{
	struct chance c = chance_new(round_.seed, ROW_OF_LIVES + round_.life++);
	struct rig *r = round_.r;

	free(r->fault);
	r->fault = round_.faulty && !healed ? draw_faults(&c) : xasprintf("log=%s/steps", r->root);
	say("droverd, life %u, faults %s", round_.life, r->fault);
	rig_spawn(r);
}

static bool may_kill_itself(void)
{
	const char *p = round_.r->fault;

	while ((p = strstr(p, "/kill"))) {
		p += strlen("/kill");
		if (!*p || *p == ';')
			return true;
	}
	return false;
}

static void judge_end(int status, bool asked)
{
	if (asked && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && may_kill_itself()) {
		say("droverd has killed itself");
		return;
	}
	ck_abort_msg("droverd ended with wait status %#x", (unsigned)status);
}

void life_check(void)
{
	siginfo_t info = { 0 };
	struct rig *r = round_.r;

	if (r->pid && waitid(P_PID, (id_t)r->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == r->pid)
		judge_end(rig_wait(r), false);
}

void life_kill(void)
{
	life_check();
	if (round_.r->pid)
		rig_kill(round_.r);
}

void life_term(void)
{
	struct rig *r = round_.r;

	life_check();
	if (!r->pid)
		return;
	kill(r->pid, SIGTERM);
	process_await_end(r->pid);
	judge_end(rig_wait(r), true);
}

void life_connect(struct peer *p)
{
	for (int i = 0; i < RIG_DEADLINE_MS; i++) {
		life_check();
		if (!round_.r->pid)
			life_begin(false);
		if (p->fd >= 0 && peer_listen(p, 0, 0))
			return;
		if (peer_open(p, round_.r))
			return;
		usleep(2000);
	}
	ck_abort_msg("droverd does not answer");
}
