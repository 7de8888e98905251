/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * drover-launch: starts one QEMU, and stays as its keeper.
 *
 *   drover-launch BINARY [ARGUMENT...]
 *
 * Descriptors: 1 and 2 the log, 3 the instance's directory, 4 a socket to droverd, 5 and up QEMU's.
 *
 * In a session of its own it takes the record lock of "lock" and forks. The child takes that of
 * "qemu.lock", says "PID\n" on the socket, and waits: one byte means go, end of file means that
 * nothing happened. The socket closes at exec; a failure to exec is said on it in words. So there
 * is no instant at which a QEMU runs that a lock does not name, and none at which one runs that
 * droverd has not recorded.
 *
 * The keeper waits for the child, writes exit.json, and ends with it. It links nothing but libc, for
 * one of it stays resident with every guest.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { DIR_FD = 3, SOCKET_FD = 4, FIRST_QEMU_FD = 5, EXIT_SELF = 125, FILES = 4096 };

static int take_lock(const char *name)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = openat(DIR_FD, name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);

	if (fd < 0 || fcntl(fd, F_SETLK, &lock) < 0) {
		dprintf(SOCKET_FD, "cannot lock '%s': %s\n", name, strerror(errno));
		exit(EXIT_SELF);
	}
	return fd;
}

static void raise_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= FILES)
		return;
	limit.rlim_cur = limit.rlim_max < FILES ? limit.rlim_max : FILES;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void run(char **argv, int keepers_lock)
{
	char go;

	close(keepers_lock);    /* the lock is not inherited, so this lets nothing go */
	take_lock("qemu.lock"); /* stays open through exec: POSIX locks go with the process */
	dprintf(SOCKET_FD, "%d\n", (int)getpid());
	if (read(SOCKET_FD, &go, 1) != 1)
		exit(EXIT_SELF);
	fcntl(SOCKET_FD, F_SETFD, FD_CLOEXEC);
	fcntl(DIR_FD, F_SETFD, FD_CLOEXEC);
	signal(SIGPIPE, SIG_DFL);
	execv(argv[0], argv);
	dprintf(SOCKET_FD, "cannot run '%s': %s\n", argv[0], strerror(errno));
	exit(EXIT_SELF);
}

static void write_exit(int status)
{
	static const char tmp[] = ".exit.json.new";
	struct timespec now;
	int fd = openat(DIR_FD, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	clock_gettime(CLOCK_REALTIME, &now);
	if (fd < 0)
		return;
	dprintf(fd, "{\"%s\": %d, \"time\": %lld.%06ld}\n", WIFSIGNALED(status) ? "signal" : "status",
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), (long long)now.tv_sec,
		now.tv_nsec / 1000);
	close(fd);
	renameat(DIR_FD, tmp, DIR_FD, "exit.json");
}

static void keep(pid_t child, int lock_fd)
{
	int status;

	/* Nobody but the guest's end ends its keeper. */
	for (int s = SIGHUP; s <= SIGTERM; s++)
		signal(s, SIG_IGN);
	close(SOCKET_FD);
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	/* All but the directory and the lock, whose closing would let it go. */
	if (lock_fd > FIRST_QEMU_FD)
		close_range(FIRST_QEMU_FD, (unsigned)lock_fd - 1, 0);
	close_range((unsigned)lock_fd + 1, ~0U, 0);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	write_exit(status);
}

int main(int argc, char **argv)
{
	int lock_fd;
	pid_t child;

	if (argc < 2) {
		fprintf(stderr, "drover-launch is run by droverd only\n");
		return EXIT_SELF;
	}
	signal(SIGPIPE, SIG_IGN);
	setsid();
	raise_files();
	lock_fd = take_lock("lock");
	child = fork();
	if (child < 0) {
		dprintf(SOCKET_FD, "cannot fork: %s\n", strerror(errno));
		return EXIT_SELF;
	}
	if (child == 0)
		run(argv + 1, lock_fd);
	keep(child, lock_fd);
	return 0;
}
