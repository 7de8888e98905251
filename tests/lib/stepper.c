/* SPDX-License-Identifier: BSD-2-Clause */
#include "stepper.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

/* How long nothing has happened when DONE is asked. It only says how often: what DONE waits for comes when it comes. */
enum { QUIET_MS = 10 };

enum { NO_PATH = -1 };

/* Calls with an effect outside of the process, and which of their arguments is the path. What only reads, waits or looks
 * makes no difference to who comes after it. */
static const struct known {
	const char *name;
	int nr, path;
	bool creating; /* only with O_CREAT in the argument behind the path */
} known[] = {
	{ "accept4", SYS_accept4, NO_PATH },
	{ "bind", SYS_bind, NO_PATH },
	{ "chdir", SYS_chdir, 0 },
	{ "clone", SYS_clone, NO_PATH },
	{ "clone3", SYS_clone3, NO_PATH },
	{ "close", SYS_close, NO_PATH },
	{ "connect", SYS_connect, NO_PATH },
	{ "dup", SYS_dup, NO_PATH },
	{ "dup2", SYS_dup2, NO_PATH },
	{ "dup3", SYS_dup3, NO_PATH },
	{ "fchmod", SYS_fchmod, NO_PATH },
	{ "fchmodat", SYS_fchmodat, 1 },
	{ "fchown", SYS_fchown, NO_PATH },
	{ "fchownat", SYS_fchownat, 1 },
	{ "fcntl", SYS_fcntl, NO_PATH },
	{ "fdatasync", SYS_fdatasync, NO_PATH },
	{ "fork", SYS_fork, NO_PATH },
	{ "fsync", SYS_fsync, NO_PATH },
	{ "ftruncate", SYS_ftruncate, NO_PATH },
	{ "inotify_add_watch", SYS_inotify_add_watch, 1 },
	{ "ioctl", SYS_ioctl, NO_PATH },
	{ "kill", SYS_kill, NO_PATH },
	{ "link", SYS_link, 0 },
	{ "linkat", SYS_linkat, 1 },
	{ "listen", SYS_listen, NO_PATH },
	{ "mkdir", SYS_mkdir, 0 },
	{ "mkdirat", SYS_mkdirat, 1 },
	{ "open", SYS_open, 0, .creating = true },
	{ "openat", SYS_openat, 1, .creating = true },
	{ "pidfd_open", SYS_pidfd_open, NO_PATH },
	{ "pidfd_send_signal", SYS_pidfd_send_signal, NO_PATH },
	{ "pipe2", SYS_pipe2, NO_PATH },
	{ "pwrite64", SYS_pwrite64, NO_PATH },
	{ "rename", SYS_rename, 0 },
	{ "renameat", SYS_renameat, 1 },
	{ "renameat2", SYS_renameat2, 1 },
	{ "rmdir", SYS_rmdir, 0 },
	{ "sendmsg", SYS_sendmsg, NO_PATH },
	{ "sendto", SYS_sendto, NO_PATH },
	{ "shutdown", SYS_shutdown, NO_PATH },
	{ "socket", SYS_socket, NO_PATH },
	{ "socketpair", SYS_socketpair, NO_PATH },
	{ "symlinkat", SYS_symlinkat, 2 },
	{ "unlink", SYS_unlink, 0 },
	{ "unlinkat", SYS_unlinkat, 1 },
	{ "vfork", SYS_vfork, NO_PATH },
	{ "write", SYS_write, NO_PATH },
	{ "writev", SYS_writev, NO_PATH },
};

static const struct known *find_known(int nr)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (known[i].nr == nr)
			return &known[i];
	return NULL;
}

char *stepper_describe(const struct stepper_call *call)
{
	const struct known *k = find_known(call->nr);

	if (!k)
		return xasprintf("call %d", call->nr);
	return xasprintf("%s%s%s%s", k->name, call->path ? " '" : "", call->path ? call->path : "",
			 call->path ? "'" : "");
}

void stepper_clear(struct stepper *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->calls[i].path);
	free(s->calls);
	*s = (struct stepper){ 0 };
}

/* A path of the tracee; one at the end of a page is as good as any. */
static char *read_path(pid_t tid, uint64_t address)
{
	enum { PAGE = 4096 };
	char text[PATH_MAX];
	size_t n = 0;

	while (n < sizeof(text) - 1) {
		size_t room = PAGE - (address + n) % PAGE, most = sizeof(text) - 1 - n;
		struct iovec to = { text + n, room < most ? room : most };
		struct iovec from = { (void *)(uintptr_t)(address + n), to.iov_len };
		ssize_t got = process_vm_readv(tid, &to, 1, &from, 1, 0);

		if (got <= 0)
			break;
		n += (size_t)got;
		if (memchr(to.iov_base, '\0', (size_t)got))
			break;
	}
	text[n] = '\0';
	return xstrdup(text);
}

/* What is done with all its threads: those that are there when the daemon is seized. */
static void seize_threads(pid_t pid, long options)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/task", pid);
	DIR *dir = opendir(path);
	struct dirent *d;

	ck_assert_ptr_nonnull(dir);
	while ((d = readdir(dir))) {
		pid_t tid = (pid_t)strtol(d->d_name, NULL, 10);

		if (tid <= 0)
			continue;
		ck_assert_msg(ptrace(PTRACE_SEIZE, tid, NULL, options) == 0, "cannot trace %d: %s", tid,
			      strerror(errno));
		/* It stops, and goes on from call to call when stepper_run() hears of that. */
		ck_assert_int_eq(ptrace(PTRACE_INTERRUPT, tid, NULL, NULL), 0);
	}
	closedir(dir);
}

void stepper_attach(struct stepper *s, struct rig *r)
{
	/* Its threads, but nothing that it forks. */
	const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL;
	int status;

	*s = (struct stepper){ .r = r };
	if (!r->traced) {
		seize_threads(r->pid, options);
		return;
	}
	ck_assert_int_eq(waitpid(r->pid, &status, 0), r->pid);
	ck_assert_msg(WIFSTOPPED(status), "droverd ended with wait status %#x", status);
	ck_assert_int_eq(ptrace(PTRACE_SETOPTIONS, r->pid, NULL, options), 0);
	ck_assert_int_eq(ptrace(PTRACE_SYSCALL, r->pid, NULL, NULL), 0);
}

/* It is noted; whether it is the one. */
static bool begins_call(struct stepper *s, pid_t tid, size_t nth)
{
	struct __ptrace_syscall_info info = { 0 };
	const struct known *k;
	struct stepper_call *call;

	/* At its end, or gone already. */
	if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof(info), &info) <= 0 || info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return false;
	s->calls = xrealloc(s->calls, s->n + 1, sizeof(*s->calls));
	call = &s->calls[s->n++];
	*call = (struct stepper_call){ .nr = (int)info.entry.nr };
	k = find_known(call->nr);
	if (k && k->path != NO_PATH)
		call->path = read_path(tid, info.entry.args[k->path]);
	call->effect = k && (!k->creating || info.entry.args[k->path + 1] & O_CREAT);
	return s->n == nth;
}

/* Lets a thread go on, unless it is to die here. */
static void go_on(struct stepper *s, pid_t tid, int status, size_t nth)
{
	int signal = WSTOPSIG(status), event = status >> 16;
	/* A new thread begins with a SIGSTOP that nobody sent. */
	bool deliver = !event && signal != (SIGTRAP | 0x80) && signal != SIGTRAP && signal != SIGSTOP;

	if (s->killed)
		return;
	if (signal == (SIGTRAP | 0x80) && begins_call(s, tid, nth)) {
		s->killed = true;
		kill(s->r->pid, SIGKILL);
		return;
	}
	ptrace(PTRACE_SYSCALL, tid, NULL, (long)(deliver ? signal : 0)); /* may be gone */
}

static bool await_child(const sigset_t *set, int ms)
{
	struct timespec ts = { ms / 1000, (long)ms % 1000 * 1000000 };

	return sigtimedwait(set, NULL, &ts) == SIGCHLD;
}

/* Each thread that dies has to be waited for, and so has who comes to us as process 1. */
void stepper_run(struct stepper *s, size_t nth, bool (*done)(void *data), void *data)
{
	sigset_t set, old;
	int quiet_ms = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, &old);
	while (s->r->pid) {
		int status;
		pid_t tid = waitpid(-1, &status, __WALL | WNOHANG);

		if (tid > 0 && WIFSTOPPED(status)) {
			go_on(s, tid, status, nth);
			quiet_ms = 0;
		} else if (tid == s->r->pid) {
			ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
				      "droverd ended with wait status %#x", status);
			s->r->pid = 0;
		} else if (tid <= 0 && !await_child(&set, QUIET_MS)) {
			quiet_ms += QUIET_MS;
			ck_assert_msg(quiet_ms < RIG_DEADLINE_MS, "droverd does nothing, and is not done");
			if (s->killed || !done(data))
				continue;
			nth = 0; /* none: this was all */
			kill(s->r->pid, SIGKILL);
		}
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
}
