/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `drover proxy`: the far end of --host. Copies stdin to the daemon's socket and what the daemon says to stdout, without
 * looking at it, until the daemon hangs up or nobody reads any more. The end of stdin only ends that direction.
 */
#include "cli/verbs.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct way {
	int from, to;
	char data[64 << 10];
	size_t at, len; /* what waits to be written */
	bool ended;     /* nothing more will be read */
};

static void take(struct way *w)
{
	ssize_t n = read(w->from, w->data, sizeof(w->data));

	if (n > 0) {
		w->at = 0;
		w->len = (size_t)n;
	} else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
		w->ended = true;
	}
}

/* False when the other side is gone. What may be a pipe takes PIPE_BUF bytes without blocking, once it takes any. */
static bool give(struct way *w)
{
	ssize_t n = send(w->to, w->data + w->at, w->len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && errno == ENOTSOCK)
		n = write(w->to, w->data + w->at, w->len < PIPE_BUF ? w->len : PIPE_BUF);
	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	w->at += (size_t)n;
	w->len -= (size_t)n;
	return true;
}

static struct pollfd reader(const struct way *w)
{
	return (struct pollfd){ .fd = w->len || w->ended ? -1 : w->from, .events = POLLIN };
}

static void copy(int fd)
{
	static struct way in, out;
	bool closed = false;

	in = (struct way){ .from = STDIN_FILENO, .to = fd };
	out = (struct way){ .from = fd, .to = STDOUT_FILENO };
	while (!out.ended || out.len) {
		struct pollfd p[] = {
			reader(&in),
			reader(&out),
			{ .fd = out.to, .events = out.len ? POLLOUT : 0 },
			{ .fd = in.len ? in.to : -1, .events = POLLOUT },
		};

		if (poll(p, ARRAY_SIZE(p), -1) < 0 && errno != EINTR)
			return;
		if (p[2].revents & (POLLERR | POLLHUP))
			return;
		if (p[0].revents)
			take(&in);
		if (p[1].revents)
			take(&out);
		if (in.len && !give(&in)) {
			in.len = 0; /* it hung up; what it said before is still to be read */
			in.ended = closed = true;
		}
		if (out.len && (p[2].revents & POLLOUT) && !give(&out))
			return;
		if (in.ended && !in.len && !closed) {
			shutdown(fd, SHUT_WR);
			closed = true;
		}
	}
}

int verb_proxy(struct cli *cli)
{
	_cleanup_err_ struct err *e = NULL;
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = client_dial(args_get(&cli->args, "socket"), &path, &e);

	if (fd < 0)
		return cli_fail(cli, NULL, e);
	copy(fd);
	return 0;
}
