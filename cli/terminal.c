/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/terminal.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

/* What the signal handlers need; there is one terminal in a process. */
static struct {
	struct termios saved, entered;
	volatile sig_atomic_t active;
} terminal;

/* All that end a process, but the one that cannot be caught and SIGPIPE, which is ignored. */
static const int ending[] = {
	SIGHUP,  SIGINT,  SIGQUIT, SIGILL,  SIGTRAP,   SIGABRT, SIGBUS,    SIGFPE, SIGSEGV, SIGUSR1, SIGUSR2,
	SIGALRM, SIGTERM, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGSTKFLT, SIGIO,  SIGPWR,  SIGSYS,
};

void terminal_restore(void)
{
	sigset_t ttou, old;

	if (!terminal.active)
		return;
	terminal.active = 0;
	/* In the background too. */
	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU);
	sigprocmask(SIG_BLOCK, &ttou, &old);
	tcsetattr(STDIN_FILENO, TCSANOW, &terminal.saved);
	sigprocmask(SIG_SETMASK, &old, NULL);
}

static void on_end(int signum)
{
	int saved = errno;

	terminal_restore();
	raise(signum); /* SA_RESETHAND: this time it ends us, as soon as this returns */
	errno = saved;
}

static void on_stop(int signum)
{
	int saved = errno;
	bool active = terminal.active;

	terminal_restore();
	raise(SIGSTOP);
	if (active) {
		tcsetattr(STDIN_FILENO, TCSANOW, &terminal.entered);
		terminal.active = 1;
	}
	errno = saved;
}

static void handle(int signum, void (*fn)(int), int flags)
{
	struct sigaction action = { .sa_handler = fn, .sa_flags = flags }, old;

	/* What was ignored stays so (nohup). */
	if (sigaction(signum, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
		sigaction(signum, &action, NULL);
}

bool terminal_enter(void (*change)(struct termios *), int when, struct err **e)
{
	if (tcgetattr(STDIN_FILENO, &terminal.saved) < 0)
		return err_set_errno(e, ERR_GENERIC, errno, "cannot read the terminal's mode");
	terminal.entered = terminal.saved;
	change(&terminal.entered);
	for (size_t i = 0; i < ARRAY_SIZE(ending); i++)
		handle(ending[i], on_end, SA_RESETHAND);
	handle(SIGTSTP, on_stop, SA_RESTART);
	terminal.active = 1;
	if (tcsetattr(STDIN_FILENO, when, &terminal.entered) == 0)
		return true;
	err_set_errno(e, ERR_GENERIC, errno, "cannot set the terminal's mode");
	terminal.active = 0;
	return false;
}
