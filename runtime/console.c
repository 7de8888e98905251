/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/console.h"

#include "base/log.h"
#include "runtime/instance.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* One end: a person, or QEMU's serial port. */
struct end {
	struct console *console;
	struct end *next;
	int fd;
	uv_poll_t poll;
	char *label;
	bool writes;
	char *out; /* what the socket has not taken: n bytes in room for size */
	size_t n, size;
};

struct console {
	struct instance *inst;
	struct end serial;
	struct end *people;
	bool closing;
};

static void watch(struct end *end);

static void on_person_closed(uv_handle_t *handle)
{
	struct end *end = handle->data;

	free(end->label);
	free(end->out);
	free(end);
}

static void on_serial_closed(uv_handle_t *handle)
{
	struct console *c = ((struct end *)handle->data)->console;

	free(c->serial.out);
	free(c);
}

struct console *console_free(struct console *c)
{
	if (!c)
		return NULL;
	if (c->inst->console == c)
		c->inst->console = NULL;
	while (c->people) {
		struct end *end = c->people;

		c->people = end->next;
		closep(&end->fd);
		uv_close((uv_handle_t *)&end->poll, on_person_closed);
	}
	closep(&c->serial.fd);
	uv_close((uv_handle_t *)&c->serial.poll, on_serial_closed);
	return NULL;
}

static void person_leave(struct end *end)
{
	struct console *c = end->console;
	struct end **p;

	for (p = &c->people; *p != end; p = &(*p)->next)
		;
	*p = end->next;
	uv_close((uv_handle_t *)&end->poll, on_person_closed);
	closep(&end->fd);
	if (!c->people && !c->closing)
		console_free(c);
}

/* False when the end is beyond help: its socket failed, or its buffer is full. */
static bool push(struct end *end, const char *data, size_t len)
{
	if (end->n == 0) {
		ssize_t n = send(end->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	if (len == 0)
		return true;
	if (end->n + len > CONSOLE_BUFFER)
		return false;
	/* QEMU sends byte by byte, so not every byte may cost a copy */
	if (end->n + len > end->size) {
		end->size = 2 * (end->n + len);
		end->out = xrealloc(end->out, end->size, 1);
	}
	memcpy(end->out + end->n, data, len);
	end->n += len;
	watch(end);
	return true;
}

static bool flush(struct end *end)
{
	ssize_t n;

	if (end->n == 0)
		return true;
	n = send(end->fd, end->out, end->n, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	memmove(end->out, end->out + n, end->n - (size_t)n);
	end->n -= (size_t)n;
	if (end->n == 0) {
		free(end->out);
		end->out = NULL;
		end->size = 0;
		watch(end);
	}
	return true;
}

static void on_person(uv_poll_t *poll, int status, int events)
{
	struct end *end = poll->data;
	struct console *c = end->console;
	char data[4096];
	ssize_t n;

	if (status < 0 || !flush(end)) {
		person_leave(end);
		return;
	}
	if (!(events & UV_READABLE))
		return;
	n = recv(end->fd, data, sizeof(data), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		person_leave(end);
	else if (end->writes && !push(&c->serial, data, (size_t)n))
		log_write(LOG_NOTICE, c->inst->name, "the serial port takes no input; typing is dropped");
}

static void on_serial(uv_poll_t *poll, int status, int events)
{
	static char data[65536];
	struct console *c = ((struct end *)poll->data)->console;
	struct end *end, *next;
	ssize_t n;

	if (status < 0 || !flush(&c->serial)) {
		console_free(c);
		return;
	}
	if (!(events & UV_READABLE))
		return;
	n = recv(c->serial.fd, data, sizeof(data), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		console_free(c);
		return;
	}
	c->closing = true; /* keep the console while its list is walked */
	for (end = c->people; end; end = next) {
		next = end->next;
		if (!push(end, data, (size_t)n)) {
			log_write(LOG_NOTICE, c->inst->name, "console: %s does not read, cut off", end->label);
			person_leave(end);
		}
	}
	c->closing = false;
	if (!c->people)
		console_free(c);
}

static void watch(struct end *end)
{
	uv_poll_start(&end->poll, UV_READABLE | (end->n ? UV_WRITABLE : 0),
		      end == &end->console->serial ? on_serial : on_person);
}

unsigned console_readers(const struct console *c)
{
	unsigned n = 0;

	for (const struct end *end = c ? c->people : NULL; end; end = end->next)
		n++;
	return n;
}

static struct end *writer(const struct console *c)
{
	for (struct end *end = c ? c->people : NULL; end; end = end->next)
		if (end->writes)
			return end;
	return NULL;
}

const char *console_writer(const struct console *c)
{
	const struct end *end = writer(c);

	return end ? end->label : NULL;
}

bool console_check(struct instance *inst, bool write, bool take, struct err **e)
{
	int fd;

	if (!inst->process || inst->run_dir < 0)
		return err_set(e, ERR_WRONG_STATE, "'%s' has no process; its console is in the log", inst->name);
	if (!inst->def.hvparams.serial_console)
		return err_set(e, ERR_WRONG_STATE, "'%s' has no serial console", inst->name);
	if (write && !take && writer(inst->console))
		return err_set(e, ERR_BUSY, "%s writes on the console of '%s'; take it, or attach read-only",
			       writer(inst->console)->label, inst->name);
	if (console_readers(inst->console) >= CONSOLE_READERS)
		return err_set(e, ERR_BUSY, "%d are attached to the console of '%s' already", CONSOLE_READERS,
			       inst->name);
	if (inst->console)
		return true;
	fd = dirs_connect(inst->run_dir, "serial.sock", e);
	if (fd < 0)
		return false;
	inst->console = xcalloc(1, sizeof(*inst->console));
	inst->console->inst = inst;
	inst->console->serial.console = inst->console;
	inst->console->serial.fd = fd;
	uv_poll_init(inst->rt->loop, &inst->console->serial.poll, fd);
	inst->console->serial.poll.data = &inst->console->serial;
	watch(&inst->console->serial);
	return true;
}

void console_attach(struct instance *inst, int fd, bool write, const char *label, const char *out, size_t out_len,
		    const char *in, size_t in_len)
{
	struct console *c = inst->console;
	struct end *end = xcalloc(1, sizeof(*end)), *old = write ? writer(c) : NULL;

	if (old)
		old->writes = false;
	end->console = c;
	end->fd = fd;
	end->label = xstrdup(label);
	end->writes = write;
	end->next = c->people;
	c->people = end;
	uv_poll_init(inst->rt->loop, &end->poll, fd);
	end->poll.data = end;
	watch(end);
	if (!push(end, out, out_len)) {
		person_leave(end);
		return;
	}
	if (write && in_len)
		push(&c->serial, in, in_len);
}
