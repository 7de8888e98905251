/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool monitor_accept(struct monitor *m)
{
	m->fd = accept4(m->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (m->fd < 0)
		return false;
	m->client++;
	m->reader = json_reader_new(&json_limits_qemu);
	m->requests = json_object_new_array();
	return true;
}

static void drop_batch(struct monitor *m)
{
	for (size_t i = 0; i < m->n_fds; i++)
		fd_close(m->fds[i]);
	m->n_fds = 0;
}

void monitor_close(struct monitor *m)
{
	if (m->fd < 0)
		return;
	close(m->fd);
	m->fd = -1;
	m->negotiated = m->oob = false;
	m->reader = json_reader_free(m->reader);
	json_object_put(m->requests);
	m->requests = NULL;
	json_object_put(TAKE_PTR(m->last_id));
	free(TAKE_PTR(m->out));
	m->out_len = 0;
	drop_batch(m);
}

/* NOLINTNEXTLINE(readability-non-const-parameter): it is written to */
ssize_t monitor_recv(struct monitor *m, char *data, size_t size)
{
	union {
		char data[CMSG_SPACE(sizeof(m->fds))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { data, size };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.data, .msg_controllen = sizeof(control.data)
	};
	ssize_t n = recvmsg(m->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	for (struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL; c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		drop_batch(m);
		m->n_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(m->fds, CMSG_DATA(c), m->n_fds * sizeof(int));
	}
	return n;
}

int monitor_take_fd(struct monitor *m)
{
	int fd = -1;

	if (m->n_fds)
		fd = TAKE_FD(m->fds[0]);
	drop_batch(m);
	return fd;
}

void monitor_name_fd(struct monitor *m, const char *name, int fd)
{
	fd_close(monitor_take_name(m, name));
	if (!m->names)
		m->names = json_object_new_object();
	json_add_int(m->names, name, fd);
}

int monitor_take_name(struct monitor *m, const char *name)
{
	int fd = (int)json_get_int(m->names, name, -1);

	if (fd >= 0)
		json_object_object_del(m->names, name);
	return fd;
}

void monitor_flush(struct monitor *m)
{
	size_t max = m->chunk ? m->chunk : SIZE_MAX;
	ssize_t n;

	if (m->fd < 0 || !m->out_len)
		return;
	n = send(m->fd, m->out, m->out_len < max ? m->out_len : max, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && errno != EAGAIN) {
		monitor_close(m);
		return;
	}
	if (n <= 0)
		return;
	m->out_len -= (size_t)n;
	memmove(m->out, m->out + n, m->out_len);
}

void monitor_write(struct monitor *m, const char *text)
{
	size_t len = strlen(text);

	if (!m || m->fd < 0)
		return;
	m->out = xrealloc(m->out, m->out_len + len, 1);
	memcpy(m->out + m->out_len, text, len);
	m->out_len += len;
}

void monitor_send(struct monitor *m, struct json_object *o)
{
	_cleanup_free_ char *text = json_print(o), *line = xasprintf("%s\r\n", text);

	monitor_write(m, line);
}
