/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QEMU is the other end of a socketpair: it notes what it hears and says what a test tells it to. What a
 * client reports is noted in a log: "ready", "event STOP", "A {}" for the reply to call A, "A! CLASS", "gone".
 */
#ifndef DROVER_TESTS_UNIT_QMP_WORLD_H
#define DROVER_TESTS_UNIT_QMP_WORLD_H

#include "qmp/wait.h"

#include "loop.h"

#include <errno.h>
#include <sys/socket.h>

enum { LIMIT_MS = 3600 * 1000, PING_MS = 1000, SLOW_FACTOR = 10, HEARD_MAX = 64 };

struct server {
	uv_poll_t poll;
	int fd;
	struct json_reader *reader;
	struct json_object *heard[HEARD_MAX];
	char files[HEARD_MAX][16]; /* what the descriptor that came with it held */
	int n;
	char file[16]; /* that came with what is being read */
};

struct monitor {
	struct server s;
	struct qmp *q;
};

static struct world {
	struct monitor main, oob;
	char log[4096];
	const char *trigger;  /* when this is noted ... */
	void (*action)(void); /* ... this is done, once */

	struct op *op;
	struct err *err;
} w;

/* ---- QEMU ---- */

static inline struct json_object *parse(const char *text)
{
	struct json_object *o = NULL;

	ck_assert_msg(json_parse(text, strlen(text), &json_limits_request, &o, NULL), "%s", text);
	return o;
}

static inline void hear(struct server *s, const char *data, size_t len)
{
	for (;;) {
		struct json_object *o = NULL;
		enum json_status status = json_reader_next(s->reader, &data, &len, &o, NULL);

		if (status == JSON_MORE)
			return;
		ck_assert_int_eq(status, JSON_VALUE);
		ck_assert_int_lt(s->n, HEARD_MAX);
		s->heard[s->n++] = o;
	}
}

/* A descriptor ends what is received at once: it came with the last value in it. */
static inline ssize_t receive(struct server *s, char *buf, size_t size)
{
	char control[CMSG_SPACE(8 * sizeof(int))] = "";
	struct iovec iov = { buf, size };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	ssize_t n = recvmsg(s->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int fd;

	if (n > 0 && CMSG_FIRSTHDR(&msg)) {
		ck_assert_uint_eq(CMSG_FIRSTHDR(&msg)->cmsg_len, CMSG_LEN(sizeof(int)));
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
		ck_assert_int_gt(pread(fd, s->file, sizeof(s->file) - 1, 0), 0);
		close(fd);
	}
	return n;
}

static inline void on_readable(uv_poll_t *poll, int status, int events)
{
	struct server *s = CONTAINER_OF(poll, struct server, poll);
	char buf[4096];
	ssize_t n;

	while ((n = receive(s, buf, sizeof(buf))) > 0) {
		hear(s, buf, (size_t)n);
		if (s->file[0])
			strcpy(s->files[s->n - 1], s->file);
		s->file[0] = '\0';
	}
	if (n == 0 || errno != EAGAIN)
		uv_poll_stop(poll);
}

static inline void server_open(struct server *s, int fd)
{
	memset(s, 0, sizeof(*s));
	s->fd = fd;
	s->reader = json_reader_new(&json_limits_request);
	uv_poll_init(&loop, &s->poll, fd);
	uv_poll_start(&s->poll, UV_READABLE, on_readable);
}

static inline void hang_up(struct server *s)
{
	if (s->fd < 0)
		return;
	uv_close((uv_handle_t *)&s->poll, NULL);
	loop_poll();
	s->fd = fd_close(s->fd);
	loop_quiet();
}

static inline void server_close(struct server *s)
{
	hang_up(s);
	s->reader = json_reader_free(s->reader);
	for (int i = 0; i < s->n; i++)
		json_object_put(s->heard[i]);
	s->n = 0;
}

static inline void say_bytes(struct server *s, const char *text, size_t n)
{
	while (n) {
		ssize_t put = send(s->fd, text, n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (put < 0 && errno == EPIPE)
			return; /* it has heard enough */
		if (put < 0) {
			ck_assert_int_eq(errno, EAGAIN);
			loop_turn();
			continue;
		}
		text += put;
		n -= (size_t)put;
	}
}

static inline void say(struct server *s, const char *text)
{
	say_bytes(s, text, strlen(text));
	loop_quiet();
}

/* Has heard N requests, and no more. */
static inline void expect_heard(struct server *s, int n)
{
	LOOP_UNTIL(s->n >= n);
	loop_quiet();
	ck_assert_int_eq(s->n, n);
}

static inline const char *heard(struct server *s, int i)
{
	const char *oob = json_get_str(s->heard[i], "exec-oob");

	return oob ? oob : json_get_str(s->heard[i], "execute");
}

static inline int64_t id_of(struct server *s, int i)
{
	int64_t id = json_get_int(s->heard[i], "id", -1);

	ck_assert_int_ge(id, 0);
	return id;
}

/* Replies to request I: "return": {} or "error": {...}. */
static inline void answer_with(struct server *s, int i, const char *member)
{
	_cleanup_free_ char *text = xasprintf("{%s, \"id\": %" PRId64 "}\r\n", member, id_of(s, i));

	say(s, text);
}

static inline void answer(struct server *s, int i)
{
	answer_with(s, i, "\"return\": {}");
}

static inline void refuse(struct server *s, int i)
{
	answer_with(s, i, "\"error\": {\"class\": \"DeviceNotFound\", \"desc\": \"Device 'x' not found\"}");
}

static inline void emit(struct server *s, const char *event, const char *data)
{
	_cleanup_free_ char *text = xasprintf("{\"event\": \"%s\", \"data\": %s, \"timestamp\": "
					      "{\"seconds\": 1700000000, \"microseconds\": 250000}}\r\n",
					      event, data);

	say(s, text);
}

#define GREETING "{\"QMP\": {\"version\": {\"qemu\": {\"major\": 7}}, \"capabilities\": [\"oob\"]}}\r\n"

/* ---- the client ---- */

static inline void note(const char *text)
{
	void (*action)(void) = w.action;
	size_t n = strlen(w.log);

	ck_assert_uint_lt(n + strlen(text) + 3, sizeof(w.log));
	snprintf(w.log + n, sizeof(w.log) - n, "%s%s", n ? ", " : "", text);
	if (action && str_eq(text, w.trigger)) {
		w.action = NULL;
		action();
	}
}

static inline void expect(const char *log)
{
	loop_quiet();
	ck_assert_str_eq(w.log, log);
	w.log[0] = '\0';
}

static inline void on_ready(struct qmp *q, void *data)
{
	ck_assert(qmp_is_ready(q));
	note("ready");
}

static inline void on_event(struct qmp *q, const char *name, struct json_object *event, double time, void *data)
{
	_cleanup_free_ char *text = xasprintf("event %s", name);

	ck_assert(!qmp_is_gone(q));
	note(text);
}

static inline void on_gone(struct qmp *q, const struct err *e, void *data)
{
	ck_assert(qmp_is_gone(q) && !qmp_is_ready(q));
	ck_assert(!str_empty(e->desc));
	note("gone");
}

static inline void quiet_event(struct qmp *q, const char *name, struct json_object *event, double time, void *data)
{
}

static inline void quiet_gone(struct qmp *q, const struct err *e, void *data)
{
}

static const struct qmp_ops client_ops = { on_ready, on_event, on_gone };
static const struct qmp_ops quiet_ops = { .event = quiet_event, .gone = quiet_gone };

static inline void on_reply(struct json_object *ret, const struct err *e, void *data)
{
	_cleanup_free_ char *value = ret ? json_print(ret) : NULL;
	_cleanup_free_ char *text = e ? xasprintf("%s! %s", (char *)data, err_class_info(e->class)->name) :
					xasprintf("%s %s", (char *)data, value);

	ck_assert((ret == NULL) == (e != NULL));
	note(text);
}

static inline struct qmp_call *call(const char *name)
{
	return qmp_send(w.main.q, name, NULL, -1, on_reply, (void *)(uintptr_t)name);
}

static inline struct qmp_call *call_fd(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	ck_assert_int_eq(write(fd, name, strlen(name)), (ssize_t)strlen(name));
	return qmp_send(w.main.q, name, NULL, fd, on_reply, (void *)(uintptr_t)name);
}

static inline void monitor_open(struct monitor *m, bool oob, const struct qmp_ops *ops)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	server_open(&m->s, fds[1]);
	m->q = qmp_new(&loop, fds[0], oob, ops, m);
}

/* To the first command after the handshake. */
static inline void negotiate(struct monitor *m)
{
	say(&m->s, GREETING);
	expect_heard(&m->s, 1);
	answer(&m->s, 0);
	ck_assert(qmp_is_ready(m->q));
}

static inline void setup(void)
{
	memset(&w, 0, sizeof(w));
	loop_open();
	monitor_open(&w.main, false, &client_ops);
	w.oob.s.fd = -1;
}

static inline void teardown(void)
{
	w.main.q = qmp_free(w.main.q);
	w.oob.q = qmp_free(w.oob.q);
	server_close(&w.main.s);
	server_close(&w.oob.s);
	ck_assert_ptr_null(w.op);
	err_free(w.err);
	loop_end();
}

static inline void ready(void)
{
	negotiate(&w.main);
	expect("ready");
}

static inline void free_main(void)
{
	w.main.q = qmp_free(w.main.q);
}

static inline void close_main(void)
{
	qmp_close(w.main.q);
}

#endif
