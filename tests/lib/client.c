/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/cleanup.h"
#include "rig.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct client {
	int fd, last_id;
	struct json_reader *reader;
	char data[65536];
	const char *rest;
	size_t len;
	struct json_object *events, *replies; /* arrays of what came and was not asked for yet */
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Nobody will answer any more. */
static bool has_ended(pid_t pid)
{
	siginfo_t info = { 0 };

	return pid > 0 && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

/* The daemon may be about to bind. This and the console log are all that these tests look at by the clock. */
static int connect_to(const char *root, pid_t pid)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int64_t end = now_ms() + RIG_DEADLINE_MS;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/run/drover.sock", root);
	for (;;) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		ck_assert_int_ge(fd, 0);
		if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
			return fd;
		close(fd);
		ck_assert_msg(!has_ended(pid), "droverd has ended");
		ck_assert_msg(now_ms() < end, "no droverd at '%s': %s", addr.sun_path, strerror(errno));
		usleep(2000);
	}
}

struct client *client_raw(struct rig *r, struct json_object **greeting)
{
	struct client *c = xcalloc(1, sizeof(*c));

	c->fd = connect_to(r->root, r->pid);
	c->reader = json_reader_new(&json_limits_qemu);
	c->events = json_object_new_array();
	c->replies = json_object_new_array();
	*greeting = client_read(c);
	return c;
}

struct client *client_new(struct rig *r)
{
	struct json_object *greeting;
	struct client *c = client_raw(r, &greeting);

	ck_assert(has(greeting, "QMP.version.qemu.major"));
	json_object_put(greeting);
	json_object_put(client_ok(c, "qmp_capabilities", NULL));
	return c;
}

void client_free(struct client *c)
{
	close(c->fd);
	json_reader_free(c->reader);
	json_object_put(c->events);
	json_object_put(c->replies);
	free(c);
}

void rig_restart(struct rig *r, struct client **c)
{
	rig_kill(r);
	rig_start(r);
	client_free(*c);
	*c = client_new(r);
}

int client_fd(struct client *c)
{
	return c->fd;
}

/* No ck_assert() for what happens for each byte: check keeps a list of those that hold. */
static void await(struct pollfd *p, const char *otherwise)
{
	if (poll(p, 1, RIG_DEADLINE_MS) != 1)
		ck_abort_msg("%s", otherwise);
}

void client_write(struct client *c, const char *data, size_t len)
{
	while (len) {
		struct pollfd p = { .fd = c->fd, .events = POLLOUT };
		ssize_t n;

		await(&p, "droverd does not read");
		n = send(c->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
			return; /* it hung up; what it said before can still be read */
		if (n < 0)
			continue;
		data += n;
		len -= (size_t)n;
	}
}

/* Without WAIT only what has come already. */
static struct json_object *read_value(struct client *c, bool wait)
{
	struct json_object *o = NULL;
	struct err *e = NULL;

	for (;;) {
		struct pollfd p = { .fd = c->fd, .events = POLLIN };
		ssize_t n;

		switch (json_reader_next(c->reader, &c->rest, &c->len, &o, &e)) {
		case JSON_VALUE:
			return o;
		case JSON_BAD:
		case JSON_OVERFLOW:
			ck_abort_msg("droverd sent what is no JSON: %s", e->desc);
		case JSON_MORE:
			break;
		}
		if (wait)
			await(&p, "droverd says nothing");
		n = recv(c->fd, c->data, sizeof(c->data), wait ? 0 : MSG_DONTWAIT);
		if (n <= 0)
			return NULL;
		c->rest = c->data;
		c->len = (size_t)n;
	}
}

struct json_object *client_read(struct client *c)
{
	return read_value(c, true);
}

size_t client_read_bytes(struct client *c, char *data, size_t size)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	size_t n = c->len < size ? c->len : size;
	ssize_t got;

	if (n) {
		memcpy(data, c->rest, n);
		c->rest += n;
		c->len -= n;
		return n;
	}
	await(&p, "droverd says nothing");
	got = recv(c->fd, data, size, 0);
	return got > 0 ? (size_t)got : 0;
}

/* JSON text from a format with ' for ". */
static char *_printf_(1, 0) unquote(const char *fmt, va_list ap)
{
	char *text = xvasprintf(fmt, ap);

	for (char *p = text; *p; p++)
		if (*p == '\'')
			*p = '"';
	return text;
}

static int _printf_(3, 0) send_request(struct client *c, const char *command, const char *args, va_list ap)
{
	_cleanup_free_ char *given = args ? unquote(args, ap) : xstrdup("{}");
	_cleanup_free_ char *text = xasprintf("{\"execute\": \"%s\", \"arguments\": %s, \"id\": %d}\n", command, given,
					      ++c->last_id);

	client_write(c, text, strlen(text));
	return c->last_id;
}

int client_send(struct client *c, const char *command, const char *args, ...)
{
	va_list ap;
	int id;

	va_start(ap, args);
	id = send_request(c, command, args, ap);
	va_end(ap);
	return id;
}

static struct json_object *take(struct json_object *array, size_t i)
{
	struct json_object *o = json_object_get(json_object_array_get_idx(array, i));

	json_object_array_del_idx(array, i, 1);
	return o;
}

/* NULL: the stream has ended; without WAIT: or it has not come yet. */
static struct json_object *read_reply(struct client *c, int id, bool wait)
{
	for (;;) {
		struct json_object *o;

		for (size_t i = 0; i < json_object_array_length(c->replies); i++)
			if (json_get_int(json_object_array_get_idx(c->replies, i), "id", -1) == id)
				return take(c->replies, i);
		o = read_value(c, wait);
		if (!o)
			return NULL;
		json_object_array_add(has(o, "event") ? c->events : c->replies, o);
	}
}

struct json_object *client_reply(struct client *c, int id)
{
	struct json_object *o = read_reply(c, id, true);

	ck_assert_msg(o != NULL, "droverd hung up");
	return o;
}

struct json_object *client_poll_reply(struct client *c, int id)
{
	return read_reply(c, id, false);
}

static struct json_object *result(struct client *c, int id, const char *class)
{
	_cleanup_json_ struct json_object *reply = client_reply(c, id);

	if (!class) {
		ck_assert_msg(json_object_object_get_ex(reply, "return", NULL), "error: %s",
			      json_object_to_json_string(reply));
		return json_object_get(json_object_object_get(reply, "return"));
	}
	ck_assert_msg(has(reply, "error"), "no error: %s", json_object_to_json_string(reply));
	ck_assert_msg(str_eq(str_at(reply, "error.class"), class), "not %s: %s", class,
		      json_object_to_json_string(reply));
	return json_object_get(at(reply, "error"));
}

struct json_object *client_ok(struct client *c, const char *command, const char *args, ...)
{
	va_list ap;
	int id;

	va_start(ap, args);
	id = send_request(c, command, args, ap);
	va_end(ap);
	return result(c, id, NULL);
}

struct json_object *client_error(struct client *c, const char *class, const char *command, const char *args, ...)
{
	va_list ap;
	int id;

	va_start(ap, args);
	id = send_request(c, command, args, ap);
	va_end(ap);
	return result(c, id, class);
}

struct json_object *client_event(struct client *c, const char *name)
{
	for (;;) {
		struct json_object *o;

		while (json_object_array_length(c->events) > 0) {
			o = take(c->events, 0);
			if (!name || str_eq(str_at(o, "event"), name))
				return o;
			json_object_put(o);
		}
		o = client_read(c);
		ck_assert_msg(o != NULL, "droverd hung up while event '%s' was waited for", name);
		json_object_array_add(has(o, "event") ? c->events : c->replies, o);
	}
}

static bool is_state_of(struct json_object *event, const char *instance)
{
	return str_eq(str_at(event, "event"), "INSTANCE_STATE") && str_eq(str_at(event, "data.instance"), instance);
}

/* What was told in front of an answer: the next wait is for what comes behind it. */
static void drop_states(struct client *c, const char *instance)
{
	for (size_t i = json_object_array_length(c->events); i > 0; i--)
		if (is_state_of(json_object_array_get_idx(c->events, i - 1), instance))
			json_object_array_del_idx(c->events, i - 1, 1);
}

void client_await_state(struct client *c, const char *instance, const char *state, const char *reason)
{
	_cleanup_json_ struct json_object *now = client_ok(c, "query-instance", "{'instance': '%s'}", instance);
	bool there = str_eq(str_at(now, "state"), state) && (!reason || str_eq(str_at(now, "reason"), reason));

	if (there)
		drop_states(c, instance);
	while (!there) {
		_cleanup_json_ struct json_object *o = client_event(c, "INSTANCE_STATE");

		there = is_state_of(o, instance) && str_eq(str_at(o, "data.state"), state) &&
			(!reason || str_eq(str_at(o, "data.reason"), reason));
	}
}

struct json_object *client_stats(struct client *c, unsigned n)
{
	for (int64_t end = now_ms() + RIG_DEADLINE_MS;;) {
		struct json_object *list = client_ok(c, "query-stats", "{}");
		unsigned fresh = 0;

		while (fresh < n && !json_object_get_boolean(at(json_object_array_get_idx(list, fresh), "stale")))
			fresh++;
		if (fresh == n || now_ms() > end)
			return list;
		json_object_put(list);
	}
}

void client_await_console(struct client *c, const char *instance, const char *text)
{
	int64_t end = now_ms() + RIG_DEADLINE_MS;

	for (;;) {
		_cleanup_json_ struct json_object *log = client_ok(c, "query-log",
								   "{'instance': '%s', 'which': 'console'}", instance);

		if (strstr(str_at(log, "text"), text))
			return;
		ck_assert_msg(now_ms() < end, "'%s' never says '%s'; its console: %s", instance, text,
			      str_at(log, "text"));
		usleep(20000);
	}
}

void client_define(struct client *c, const char *name, const char *extra, ...)
{
	_cleanup_free_ char *members = NULL;
	va_list ap;

	va_start(ap, extra);
	members = unquote(extra, ap);
	va_end(ap);
	json_object_put(client_ok(c, "instance-define", "{'definition': {'name': '%s'%s%s}}", name,
				  *members ? ", " : "", members));
}
