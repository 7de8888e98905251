/* SPDX-License-Identifier: BSD-2-Clause */
#include "peers.h"

#include "base/cleanup.h"
#include "guest.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOOK_MS = 20 };

static pid_t run(const char *log, const char *const argv[])
{
	pid_t pid = fork();
	int fd;

	if (pid) {
		ck_assert_int_gt(pid, 0); /* not in the child: what is told to the runner is in a buffer of both */
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	dup2(fd, 1);
	dup2(fd, 2);
	execvp(argv[0], (char *const *)argv);
	_exit(127);
}

void peer_end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static bool answers(const char *where)
{
	struct sockaddr_un local = { .sun_family = AF_UNIX };
	struct sockaddr_in inet = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	_cleanup_close_ int fd = socket(*where == '/' ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (*where == '/') {
		snprintf(local.sun_path, sizeof(local.sun_path), "%s", where);
		return connect(fd, (struct sockaddr *)&local, sizeof(local)) == 0;
	}
	inet.sin_port = htons((uint16_t)strtol(where, NULL, 10));
	return connect(fd, (struct sockaddr *)&inet, sizeof(inet)) == 0;
}

static void await_answer(pid_t pid, const char *name, const char *where)
{
	for (int i = 0; !answers(where); i++) {
		ck_assert_msg(i < RIG_DEADLINE_MS / LOOK_MS && waitpid(pid, NULL, WNOHANG) == 0, "'%s' is not served",
			      name);
		usleep(LOOK_MS * 1000);
	}
}

pid_t peer_nbd(const char *dir, const char *name, const char *where, const char *more)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name), *log = xasprintf("%s/%s.log", dir, name);
	const char *const option = *where == '/' ? "-k" : "-p";
	const char *const argv[] = { "qemu-nbd", "-t",  "-e", "8",  "-f", "raw", "-b", "127.0.0.1",
				     option,     where, "-x", name, path, more,  NULL };
	pid_t pid = run(log, argv);

	await_answer(pid, name, where);
	/* Who connects has to write to it. */
	if (*where == '/')
		ck_assert_int_eq(chmod(where, 0666), 0);
	return pid;
}

pid_t peer_web(const char *dir, const char *port, const char *content, const char *certificate)
{
	_cleanup_free_ char *log = xasprintf("%s/%s.log", dir, port);
	const char *const argv[] = { "python3", WEB_SERVER, port, "1048576", content, certificate, NULL };
	pid_t pid = run(log, argv);

	await_answer(pid, "web", port);
	return pid;
}

void peer_dhcp(struct rig *r, const char *bridge)
{
	_cleanup_free_ char *lease = xasprintf("--dhcp-leasefile=%s/leases", r->root);
	_cleanup_free_ char *log = xasprintf("--log-facility=%s/dnsmasq.log", r->root);
	_cleanup_free_ char *own = xasprintf("%s/dnsmasq.out", r->root), *port = xasprintf("--interface=%s", bridge);
	const char *const argv[] = { "dnsmasq",
				     "--keep-in-foreground",
				     "--conf-file=/dev/null",
				     "--port=0",
				     port,
				     "--bind-interfaces",
				     "--except-interface=lo",
				     "--dhcp-authoritative",
				     "--no-ping",
				     "--user=root",
				     "--dhcp-range=10.77.0.42,10.77.0.42,5m",
				     "--pid-file=",
				     lease,
				     log,
				     NULL };

	run(own, argv);
}

bool peer_has_iscsi(void)
{
	return system("command -v tgtd tgtadm > /dev/null") == 0; /* NOLINT(cert-env33-c): words of our own */
}

pid_t peer_iscsi(const char *dir, const char *name)
{
	static const char *const argv[] = { "tgtd", "-f", "--iscsi", "portal=127.0.0.1:3260", NULL };
	static const char *const admin = "tgtadm --lld iscsi --op";
	_cleanup_free_ char *log = xasprintf("%s/tgtd.log", dir), *control = xasprintf("%s/tgtd", dir);
	pid_t pid;

	/* of its own, and not /var/run/tgtd */
	setenv("TGT_IPC_SOCKET", control, 1);
	pid = run(log, argv);
	await_answer(pid, "iscsi", "3260");
	host_run(
		"%s new --mode target --tid 1 -T iqn.drover && %s new --mode logicalunit --tid 1 --lun 1 -b '%s/%s' && "
		"%s bind --mode target --tid 1 -I ALL",
		admin, admin, dir, name, admin);
	return pid;
}
