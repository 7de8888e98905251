/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swtpm beside QEMU: whom QEMU runs as, confined as QEMU is, in a private root where QEMU is in one, with its state there
 * and nothing else of the host's to write to.
 *
 * Its state is of files in one directory, where it works, so that it needs the right to no directory above. They become
 * its uid's at each start, for that may be another one of the pool. The last run's keeper has waited for its swtpm, so nobody
 * else has them.
 */
#include "runtime/launch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CONTROL_FD = 3, PATIENCE_MS = 2000, STEP_MS = 10 };
#define CONTROL "type=unixio,clientfd=3"
_Static_assert(CONTROL_FD == 3, "CONTROL says it");

int launch_tpm_socket(const struct launch *l)
{
	int pair[2], control;

	if (!l->tpm_fd)
		return -1;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		launch_fail(l, "TPM: cannot make a socket pair: %m");
	/* Out of the way of QEMU's number, and of QEMU. */
	control = fcntl(pair[1], F_DUPFD_CLOEXEC, l->tpm_fd + 1);
	close(pair[1]);
	if (control < 0 || (pair[0] != l->tpm_fd && dup2(pair[0], l->tpm_fd) < 0))
		launch_fail(l, "TPM: cannot number a descriptor: %m");
	if (pair[0] != l->tpm_fd)
		close(pair[0]);
	return control;
}

/* Plain files, each by this one name: a link of whatever kind would give away what it leads to. */
static void take_over(const struct launch *l, int dir)
{
	DIR *list = fdopendir(dup(dir));
	struct dirent *d;
	struct stat st;

	if (!list)
		launch_fail(l, "TPM: cannot read '%s': %m", l->tpm_state);
	while ((d = readdir(list))) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		if (fstatat(dir, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			launch_fail(l, "TPM: cannot look at '%s/%s': %m", l->tpm_state, d->d_name);
		if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
			launch_fail(l, "TPM: '%s/%s' is no plain file", l->tpm_state, d->d_name);
		if (fchownat(dir, d->d_name, l->uid, l->gid, AT_SYMLINK_NOFOLLOW) < 0)
			launch_fail(l, "TPM: cannot hand over '%s/%s': %m", l->tpm_state, d->d_name);
	}
	closedir(list);
	if (fchown(dir, l->uid, l->gid) < 0)
		launch_fail(l, "TPM: cannot hand over '%s': %m", l->tpm_state);
}

static void enter_state(const struct launch *l)
{
	int dir = open(l->tpm_state, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (dir < 0)
		launch_fail(l, "TPM: cannot open '%s': %m", l->tpm_state);
	if (l->has_uid)
		take_over(l, dir);
	if (fchdir(dir) < 0)
		launch_fail(l, "TPM: cannot enter '%s': %m", l->tpm_state);
	close(dir);
}

static _Noreturn void be_tpm(struct launch l, pid_t parent, int control)
{
	const char *const command[] = { "swtpm",  "socket", "--tpm2",      "--tpmstate", "dir=.,mode=0600",
					"--ctrl", CONTROL,  "--terminate", NULL };

	/* Its words go to the log, and QEMU's, who misses it, are the end of the start. */
	l.once = l.mortal = true;
	l.parent = parent;
	l.program = realpath(l.tpm_program, NULL);
	l.q = l.tpm_state; /* its own directory, where it starts */
	l.kvm = false;
	l.n_binds = 0;
	if (!l.program)
		launch_fail(&l, "TPM: '%s': %m", l.tpm_program);
	if (dup2(control, CONTROL_FD) < 0 || close_range(CONTROL_FD + 1, ~0U, 0) < 0)
		launch_fail(&l, "TPM: cannot give it its socket: %m");
	enter_state(&l);
	launch_confine(&l);
	signal(SIGPIPE, SIG_DFL);
	execv(l.program, (char *const *)(uintptr_t)command);
	launch_fail(&l, "cannot run '%s': %m", l.tpm_program);
}

pid_t launch_tpm(const struct launch *l, int control)
{
	pid_t parent = getpid(), child;

	if (!l->tpm_fd)
		return 0;
	child = launch_fork(l);
	if (child < 0)
		launch_fail(l, "TPM: cannot fork: %m");
	if (child == 0)
		be_tpm(*l, parent, control);
	return child;
}

void launch_tpm_end(pid_t pid)
{
	const struct timespec step = { .tv_nsec = STEP_MS * 1000000L };

	if (!pid)
		return;
	kill(pid, SIGTERM);
	for (int ms = 0; ms < PATIENCE_MS; ms += STEP_MS) {
		if (waitpid(pid, NULL, WNOHANG) != 0)
			return;
		nanosleep(&step, NULL);
	}
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}
