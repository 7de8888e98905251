/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * drover-launch: starts one QEMU, confined, and stays as its keeper.
 *
 *   drover-launch [OPTION...] [--] BINARY [ARGUMENT...]
 *
 *   --uid N --gid N [--group N]...   become these, with no other groups; without them all stay
 *   --nofile N                       so many open files, or as many as may be (4096)
 *   --memlock BYTES|unlimited        locked memory
 *   --core BYTES|unlimited           core files
 *   --cpus LIST                      run on these processors only: 0-3,8
 *   --cgroup DIR                     BINARY in this control group
 *   --tpm FD                         swtpm beside BINARY, which reaches it by descriptor FD; with these:
 *     --tpm-state DIR                  its state: files that become --uid's
 *     --tpm-program PATH               swtpm
 *   --private-root                   see /usr, /dev/null and /dev/urandom, the prefix of BINARY (the directory
 *                                    above that in which the file lies), and of the rest of the host what
 *                                    these name:
 *     --bind PATH                      a file or a directory, read-only
 *     --q PATH                         QEMU's own directory, read-write
 *     --kvm                            /dev/kvm
 *   --once                           first of all options: no session, lock, keeper or socket; confine
 *                                    and exec, failures to stderr. For probing a BINARY
 *     --die-with-parent                its end is that of whoever started it
 *
 * In any case no capability is left in any set that we may change, no_new_privs is set, the umask
 * is 0077, and it starts in QEMU's own directory: "q" in the instance's, or what --q says.
 *
 * Descriptors: 1 and 2 the log, 3 the instance's directory, 4 a socket to droverd, 5 and up QEMU's.
 *
 * In a session of its own it takes the record lock of "lock" and forks. The child takes that of
 * "qemu.lock" while it may, confines itself, says "PID\n" on the socket, and waits: one byte means
 * go, end of file means that nothing happened. The socket closes at exec; a failure is said on it in
 * words, be it an option's, before the pid, or that of exec. So there is no instant at which a QEMU runs
 * that a lock does not name, none at which one runs that droverd has not recorded, and none at which one
 * runs that is less confined than was asked for.
 *
 * The keeper waits for the child, writes exit.json, and ends with it. It keeps the rights and the control group it was
 * started with and holds nothing but the directory and the lock. A TPM is another child of its, and ends with it: by a word
 * from it when QEMU has ended, before it ends itself, so that none is there where no keeper is. It links little, for one of it stays
 * resident with every guest.
 */
#include "runtime/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { DIR_FD = 3, FIRST_QEMU_FD = 5 };

static int take_lock(const struct launch *l, const char *name)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = openat(DIR_FD, name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);

	if (fd < 0 || fcntl(fd, F_SETLK, &lock) < 0)
		launch_fail(l, "cannot lock '%s': %m", name);
	return fd;
}

/* Writing "0" moves who writes. */
static void join_cgroup(const struct launch *l)
{
	char path[PATH_MAX];
	int fd, n = snprintf(path, sizeof(path), "%s/cgroup.procs", l->cgroup);

	errno = ENAMETOOLONG;
	fd = n < (int)sizeof(path) ? open(path, O_WRONLY | O_CLOEXEC) : -1;
	if (fd < 0 || write(fd, "0", 1) != 1)
		launch_fail(l, "cannot join the control group '%s': %m", l->cgroup);
	close(fd);
}

/* A child that is born in its control group. To move one there takes a lock that all forks of the host wait for, and with
 * it tens of milliseconds; but a kernel or a sandbox may know no better way. */
pid_t launch_fork(const struct launch *l)
{
	struct clone_args args = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD };
	int dir;
	pid_t child;

	if (!l->cgroup)
		return fork();
	dir = open(l->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		launch_fail(l, "cannot join the control group '%s': %m", l->cgroup);
	args.cgroup = (unsigned)dir;
	child = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (child < 0) {
		child = fork();
		if (child == 0)
			join_cgroup(l);
	}
	close(dir);
	return child;
}

static _Noreturn void run(const struct launch *l)
{
	execv(l->program, l->command);
	launch_fail(l, "cannot run '%s': %m", l->command[0]);
}

/* QEMU finds what was copied for it by its name alone: whom it runs as may be unable to come there by a path. */
static void enter_own_directory(const struct launch *l)
{
	int fd = openat(DIR_FD, "q", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 && errno == ENOENT)
		return;
	if (fd < 0 || fchdir(fd) < 0)
		launch_fail(l, "cannot enter the directory of QEMU: %m");
	close(fd);
}

static _Noreturn void be_child(const struct launch *l, int keepers_lock)
{
	char go;

	close(keepers_lock);       /* the lock is not inherited, so this lets nothing go */
	take_lock(l, "qemu.lock"); /* stays open through exec: POSIX locks go with the process */
	if (!l->private_root)
		enter_own_directory(l);
	close(DIR_FD);
	launch_confine(l);
	dprintf(LAUNCH_SOCKET_FD, "%d\n", (int)getpid());
	if (read(LAUNCH_SOCKET_FD, &go, 1) != 1)
		_exit(LAUNCH_EXIT);
	fcntl(LAUNCH_SOCKET_FD, F_SETFD, FD_CLOEXEC);
	signal(SIGPIPE, SIG_DFL);
	run(l);
}

static void write_exit(int status)
{
	static const char tmp[] = ".exit.json.new";
	struct timespec now;
	int fd = openat(DIR_FD, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600), len, put;
	char text[128];

	clock_gettime(CLOCK_REALTIME, &now);
	if (fd < 0)
		return;
	len = snprintf(text, sizeof(text), "{\"%s\": %d, \"time\": %lld.%06ld}\n",
		       WIFSIGNALED(status) ? "signal" : "status",
		       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), (long long)now.tv_sec,
		       now.tv_nsec / 1000);
	put = (int)write(fd, text, (size_t)len);
	close(fd);
	/* On a full disk none rather than half of one. */
	if (put == len)
		renameat(DIR_FD, tmp, DIR_FD, "exit.json");
	else
		unlinkat(DIR_FD, tmp, 0);
}

static _Noreturn void keep(pid_t child, pid_t tpm, int lock_fd)
{
	int status;

	/* Nobody but the guest's end ends its keeper. */
	for (int s = SIGHUP; s <= SIGTERM; s++)
		signal(s, SIG_IGN);
	close(LAUNCH_SOCKET_FD);
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	/* All but the directory and the lock, whose closing would let it go. */
	if (lock_fd > FIRST_QEMU_FD)
		close_range(FIRST_QEMU_FD, (unsigned)lock_fd - 1, 0);
	close_range((unsigned)lock_fd + 1, ~0U, 0);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	write_exit(status);
	launch_tpm_end(tpm);
	_exit(0);
}

int main(int argc, char **argv)
{
	struct launch l = { 0 };
	int lock_fd, control;
	pid_t child, tpm;

	if (argc < 2) {
		fprintf(stderr, "drover-launch is run by droverd only\n");
		return LAUNCH_EXIT;
	}
	signal(SIGPIPE, SIG_IGN);
	launch_options(&l, argc, argv);
	if (!l.once)
		setsid();
	if (l.once) {
		if (l.cgroup)
			join_cgroup(&l);
		launch_confine(&l);
		signal(SIGPIPE, SIG_DFL);
		run(&l);
	}
	control = launch_tpm_socket(&l);
	lock_fd = take_lock(&l, "lock");
	tpm = launch_tpm(&l, control);
	child = launch_fork(&l);
	if (child < 0)
		launch_fail(&l, "cannot fork: %m");
	if (child == 0)
		be_child(&l, lock_fd);
	keep(child, tpm, lock_fd);
}
