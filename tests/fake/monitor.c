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
	free(TAKE_PTR(m->out));
	m->out_len = 0;
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
