/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/remote.h"

#include "base/json.h"
#include "cli/args.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
static const char scheme[] = "ssh://";

/* The first N bytes of TEXT are of ALLOWED, and the first one is no '-'. */
static bool is_of(const char *text, size_t n, const char *allowed)
{
	return n > 0 && *text != '-' && strspn(text, allowed) >= n;
}

struct place {
	const char *user, *host, *port;
	size_t user_len, host_len;
};

/* "[user@]host[:port]", host may be "[::1]". */
static bool split(const char *text, struct place *p)
{
	const char *at = strrchr(text, '@'), *end;
	bool bracket;

	*p = (struct place){ .user = at ? text : NULL, .user_len = at ? (size_t)(at - text) : 0 };
	p->host = at ? at + 1 : text;
	bracket = *p->host == '[';
	p->host += bracket;
	p->host_len = strcspn(p->host, bracket ? "]" : ":");
	end = p->host + p->host_len + bracket;
	if (bracket && p->host[p->host_len] != ']')
		return false;
	if (*end && *end != ':')
		return false;
	p->port = *end ? end + 1 : NULL;
	return (!p->user || is_of(p->user, p->user_len, ALNUM "._-@+")) &&
	       is_of(p->host, p->host_len, bracket ? ALNUM ".:%" : ALNUM "._-") &&
	       (!p->port || (*p->port && strlen(p->port) <= 5 && strspn(p->port, "0123456789") == strlen(p->port)));
}

char **remote_argv(const char *uri, struct err **e)
{
	char **argv = NULL;
	struct place p;
	size_t n = 0;

	if (!str_starts(uri, scheme) || !split(uri + strlen(scheme), &p)) {
		err_set_usage(e, xstrdup("it is of the form ssh://[user@]host[:port]"), "'%s' names no host", uri);
		return NULL;
	}
	argv = xcalloc(10, sizeof(*argv));
	argv[n++] = xstrdup("ssh");
	if (p.port) {
		argv[n++] = xstrdup("-p");
		argv[n++] = xstrdup(p.port);
	}
	if (p.user) {
		argv[n++] = xstrdup("-l");
		argv[n++] = xstrndup(p.user, p.user_len);
	}
	argv[n++] = xstrdup("--");
	argv[n++] = xstrndup(p.host, p.host_len);
	argv[n++] = xstrdup("drover");
	argv[n++] = xstrdup("proxy");
	return argv;
}

/* In the child. ^C is for us to understand: it may mean to take back what runs, for which the connection is needed. */
static void run(char **argv, int fd)
{
	signal(SIGPIPE, SIG_DFL);
	signal(SIGINT, SIG_IGN);
	if (dup2(fd, STDIN_FILENO) >= 0 && dup2(fd, STDOUT_FILENO) >= 0)
		execvp(argv[0], argv);
	_exit(errno == ENOENT ? 126 : 125);
}

int remote_dial(const char *uri, pid_t *pid, struct err **e)
{
	_cleanup_(argv_freep) char **argv = remote_argv(uri, e);
	_cleanup_close_ int ours = -1, theirs = -1;
	int fds[2];

	if (!argv)
		return -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
		err_set_errno(e, ERR_GENERIC, errno, "cannot make a pair of sockets");
		return -1;
	}
	ours = fds[0];
	theirs = fds[1];
	*pid = fork();
	if (*pid == 0)
		run(argv, theirs);
	if (*pid < 0) {
		err_set_errno(e, ERR_GENERIC, errno, "cannot make a process");
		return -1;
	}
	return TAKE_FD(ours);
}

bool remote_fail(const char *uri, pid_t pid, struct err **e)
{
	static const struct {
		int status;
		const char *desc, *hint;
	} ends[] = {
		{ 126, "there is no program 'ssh' here", "install OpenSSH's client" },
		{ 127, "there is no program 'drover' there", "drover has to be in the PATH of ssh's sessions there" },
		{ 19, "drover found no daemon there", "it has said above where it looked" },
		{ 255, "ssh gave up", "ssh has said why above" },
	};
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		if (!WIFEXITED(status) || WEXITSTATUS(status) != ends[i].status)
			continue;
		err_set(e, ERR_UNAVAILABLE, "no daemon answers at '%s': %s", uri, ends[i].desc);
		if (e)
			err_add(*e, "hint", json_object_new_string(ends[i].hint));
		return false;
	}
	return err_set(e, ERR_UNAVAILABLE, "the daemon at '%s' closed the connection", uri);
}
