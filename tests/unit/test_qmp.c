/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QEMU is the other end of a socketpair: it notes what it hears and says what a test tells it to. What a
 * client reports is noted in a log: "ready", "event STOP", "A {}" for the reply to call A, "A! CLASS", "gone".
 */
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
	const char *trigger;      /* when this is noted ... */
	void (*action)(void); /* ... this is done, once */

	struct op *op;
	struct err *err;
} w;

/* ---- QEMU ---- */

static struct json_object *parse(const char *text)
{
	struct json_object *o = NULL;

	ck_assert_msg(json_parse(text, strlen(text), &json_limits_request, &o, NULL), "%s", text);
	return o;
}

static void hear(struct server *s, const char *data, size_t len)
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
static ssize_t receive(struct server *s, char *buf, size_t size)
{
	char control[CMSG_SPACE(8 * sizeof(int))] = "";
	struct iovec iov = { buf, size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
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

static void on_readable(uv_poll_t *poll, int status, int events)
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

static void server_open(struct server *s, int fd)
{
	memset(s, 0, sizeof(*s));
	s->fd = fd;
	s->reader = json_reader_new(&json_limits_request);
	uv_poll_init(&loop, &s->poll, fd);
	uv_poll_start(&s->poll, UV_READABLE, on_readable);
}

static void hang_up(struct server *s)
{
	if (s->fd < 0)
		return;
	uv_close((uv_handle_t *)&s->poll, NULL);
	loop_poll();
	s->fd = fd_close(s->fd);
	loop_quiet();
}

static void server_close(struct server *s)
{
	hang_up(s);
	s->reader = json_reader_free(s->reader);
	for (int i = 0; i < s->n; i++)
		json_object_put(s->heard[i]);
	s->n = 0;
}

static void say_bytes(struct server *s, const char *text, size_t n)
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

static void say(struct server *s, const char *text)
{
	say_bytes(s, text, strlen(text));
	loop_quiet();
}

/* Has heard N requests, and no more. */
static void expect_heard(struct server *s, int n)
{
	LOOP_UNTIL(s->n >= n);
	loop_quiet();
	ck_assert_int_eq(s->n, n);
}

static const char *heard(struct server *s, int i)
{
	const char *oob = json_get_str(s->heard[i], "exec-oob");

	return oob ? oob : json_get_str(s->heard[i], "execute");
}

static int64_t id_of(struct server *s, int i)
{
	int64_t id = json_get_int(s->heard[i], "id", -1);

	ck_assert_int_ge(id, 0);
	return id;
}

/* Replies to request I: "return": {} or "error": {...}. */
static void answer_with(struct server *s, int i, const char *member)
{
	_cleanup_free_ char *text = xasprintf("{%s, \"id\": %" PRId64 "}\r\n", member, id_of(s, i));

	say(s, text);
}

static void answer(struct server *s, int i)
{
	answer_with(s, i, "\"return\": {}");
}

static void refuse(struct server *s, int i)
{
	answer_with(s, i, "\"error\": {\"class\": \"DeviceNotFound\", \"desc\": \"Device 'x' not found\"}");
}

static void emit(struct server *s, const char *event, const char *data)
{
	_cleanup_free_ char *text = xasprintf("{\"event\": \"%s\", \"data\": %s, \"timestamp\": "
					      "{\"seconds\": 1700000000, \"microseconds\": 250000}}\r\n",
					      event, data);

	say(s, text);
}

#define GREETING "{\"QMP\": {\"version\": {\"qemu\": {\"major\": 7}}, \"capabilities\": [\"oob\"]}}\r\n"

/* ---- the client ---- */

static void note(const char *text)
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

static void expect(const char *log)
{
	loop_quiet();
	ck_assert_str_eq(w.log, log);
	w.log[0] = '\0';
}

static void on_ready(struct qmp *q, void *data)
{
	ck_assert(qmp_is_ready(q));
	note("ready");
}

static void on_event(struct qmp *q, const char *name, struct json_object *event, double time, void *data)
{
	_cleanup_free_ char *text = xasprintf("event %s", name);

	ck_assert(!qmp_is_gone(q));
	note(text);
}

static void on_gone(struct qmp *q, const struct err *e, void *data)
{
	ck_assert(qmp_is_gone(q) && !qmp_is_ready(q));
	ck_assert(!str_empty(e->desc));
	note("gone");
}

static void quiet_event(struct qmp *q, const char *name, struct json_object *event, double time, void *data)
{
}

static void quiet_gone(struct qmp *q, const struct err *e, void *data)
{
}

static const struct qmp_ops client_ops = { on_ready, on_event, on_gone };
static const struct qmp_ops quiet_ops = { .event = quiet_event, .gone = quiet_gone };

static void on_reply(struct json_object *ret, const struct err *e, void *data)
{
	_cleanup_free_ char *value = ret ? json_print(ret) : NULL;
	_cleanup_free_ char *text = e ? xasprintf("%s! %s", (char *)data, err_class_info(e->class)->name) :
					xasprintf("%s %s", (char *)data, value);

	ck_assert((ret == NULL) == (e != NULL));
	note(text);
}

static struct qmp_call *call(const char *name)
{
	return qmp_send(w.main.q, name, NULL, -1, on_reply, (void *)(uintptr_t)name);
}

static struct qmp_call *call_fd(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	ck_assert_int_eq(write(fd, name, strlen(name)), (ssize_t)strlen(name));
	return qmp_send(w.main.q, name, NULL, fd, on_reply, (void *)(uintptr_t)name);
}

static void monitor_open(struct monitor *m, bool oob, const struct qmp_ops *ops)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	server_open(&m->s, fds[1]);
	m->q = qmp_new(&loop, fds[0], oob, ops, m);
}

/* To the first command after the handshake. */
static void negotiate(struct monitor *m)
{
	say(&m->s, GREETING);
	expect_heard(&m->s, 1);
	answer(&m->s, 0);
	ck_assert(qmp_is_ready(m->q));
}

static void setup(void)
{
	memset(&w, 0, sizeof(w));
	loop_open();
	monitor_open(&w.main, false, &client_ops);
	w.oob.s.fd = -1;
}

static void teardown(void)
{
	w.main.q = qmp_free(w.main.q);
	w.oob.q = qmp_free(w.oob.q);
	server_close(&w.main.s);
	server_close(&w.oob.s);
	ck_assert_ptr_null(w.op);
	err_free(w.err);
	loop_end();
}

static void ready(void)
{
	negotiate(&w.main);
	expect("ready");
}

static void free_main(void)
{
	w.main.q = qmp_free(w.main.q);
}

static void close_main(void)
{
	qmp_close(w.main.q);
}

/* ---- the handshake ---- */

START_TEST(test_handshake)
{
	_cleanup_free_ char *text = NULL;

	if (_i) {
		w.main.q = qmp_free(w.main.q);
		server_close(&w.main.s);
		monitor_open(&w.main, true, &client_ops);
	}
	loop_quiet();
	ck_assert_int_eq(w.main.s.n, 0); /* QEMU speaks first */
	ck_assert(!qmp_is_ready(w.main.q) && !qmp_is_gone(w.main.q));
	say(&w.main.s, GREETING);
	expect_heard(&w.main.s, 1);
	expect(""); /* its machine may not be built yet */
	ck_assert_str_eq(heard(&w.main.s, 0), "qmp_capabilities");
	text = json_print(w.main.s.heard[0]);
	ck_assert_int_eq(strstr(text, "\"arguments\":{\"enable\":[\"oob\"]}") != NULL, _i);
	ck_assert_int_eq(strstr(text, "arguments") != NULL, _i);
	answer(&w.main.s, 0);
	expect("ready");
	ck_assert(qmp_is_ready(w.main.q));
	say(&w.main.s, GREETING); /* again: nothing */
	expect_heard(&w.main.s, 1);
	expect("");
}
END_TEST

START_TEST(test_calls_wait_for_the_handshake)
{
	call("A");
	loop_quiet();
	ck_assert_int_eq(w.main.s.n, 0);
	say(&w.main.s, GREETING);
	call("B");
	expect_heard(&w.main.s, 1);
	answer(&w.main.s, 0);
	expect_heard(&w.main.s, 3);
	ck_assert_str_eq(heard(&w.main.s, 1), "A");
	ck_assert_str_eq(heard(&w.main.s, 2), "B");
	answer(&w.main.s, 1);
	answer(&w.main.s, 2);
	expect("ready, A {}, B {}");
}
END_TEST

static void call_b(void)
{
	call("B");
}

START_TEST(test_calls_keep_their_order_at_ready)
{
	w.trigger = "ready";
	w.action = call_b;
	call("A");
	ready();
	expect_heard(&w.main.s, 3);
	ck_assert_str_eq(heard(&w.main.s, 1), "A");
	ck_assert_str_eq(heard(&w.main.s, 2), "B");
}
END_TEST

START_TEST(test_handshake_refused)
{
	call("A");
	say(&w.main.s, GREETING);
	expect_heard(&w.main.s, 1);
	refuse(&w.main.s, 0);
	expect("A! QemuError, gone");
}
END_TEST

START_TEST(test_gone_before_the_handshake)
{
	call("A");
	if (_i) {
		say(&w.main.s, GREETING);
		expect_heard(&w.main.s, 1);
	}
	hang_up(&w.main.s);
	expect("A! GuestGone, gone");
}
END_TEST

/* ---- calls ---- */

START_TEST(test_arguments)
{
	_cleanup_free_ char *text = NULL;

	ready();
	qmp_send(w.main.q, "A", parse("{\"x\": [1]}"), -1, on_reply, (void *)(uintptr_t) "A");
	expect_heard(&w.main.s, 2);
	text = json_print(json_get_typed(w.main.s.heard[1], "arguments", json_type_object));
	ck_assert_str_eq(text, "{\"x\":[1]}");
	answer_with(&w.main.s, 1, "\"return\": [1, {}]");
	expect("A [1,{}]");
}
END_TEST

START_TEST(test_replies_in_any_order)
{
	ready();
	call("A");
	call("B");
	call("C");
	expect_heard(&w.main.s, 4);
	answer(&w.main.s, 3);
	answer_with(&w.main.s, 1, "\"return\": 1");
	answer_with(&w.main.s, 2, "\"return\": [2]");
	expect("C {}, A 1, B [2]");
}
END_TEST

static const struct {
	const char *member, *class, *desc;
} errors[] = {
	{ "\"error\": {\"class\": \"DeviceNotFound\", \"desc\": \"no 'x'\"}", "DeviceNotFound", "no 'x'" },
	{ "\"error\": {\"desc\": \"no 'x'\"}", "GenericError", "no 'x'" },
	{ "\"error\": {\"class\": 1, \"desc\": []}", "GenericError", NULL },
	{ "\"error\": {}, \"return\": {}", "GenericError", NULL },
	{ "\"error\": \"text\"", NULL, NULL },
	{ "\"nonsense\": 1", NULL, NULL },
};

static void keep_error(struct json_object *ret, const struct err *e, void *data)
{
	ck_assert_ptr_null(ret);
	w.err = err_copy(e);
}

START_TEST(test_errors)
{
	ready();
	qmp_send(w.main.q, "A", NULL, -1, keep_error, NULL);
	expect_heard(&w.main.s, 2);
	answer_with(&w.main.s, 1, errors[_i].member);
	ck_assert_ptr_nonnull(w.err);
	ck_assert_int_eq(w.err->class, ERR_QEMU);
	if (errors[_i].desc)
		ck_assert_str_eq(w.err->desc, errors[_i].desc);
	if (errors[_i].class)
		ck_assert_str_eq(json_get_str(w.err->extra, "qemu-class"), errors[_i].class);
}
END_TEST

START_TEST(test_replies_to_nothing)
{
	ready();
	call("A");
	expect_heard(&w.main.s, 2);
	say(&w.main.s, "{\"return\": {}}{\"return\": {}, \"id\": 4711}{\"return\": {}, \"id\": \"x\"}{\"error\": {}}{}");
	say(&w.main.s, "{\"event\": 1}");
	expect("");
	answer(&w.main.s, 1);
	expect("A {}");
	answer(&w.main.s, 1);
	expect("");
}
END_TEST

START_TEST(test_forget)
{
	struct qmp_call *a, *c;

	c = call("C");
	qmp_forget(c);
	ready();
	a = call("A");
	call("B");
	expect_heard(&w.main.s, 3);
	ck_assert_str_eq(heard(&w.main.s, 1), "A");
	qmp_forget(a);
	answer(&w.main.s, 1);
	answer(&w.main.s, 2);
	expect("B {}");
}
END_TEST

START_TEST(test_forgotten_when_gone)
{
	ready();
	qmp_forget(call("A"));
	call("B");
	hang_up(&w.main.s);
	expect("B! GuestGone, gone");
}
END_TEST

START_TEST(test_out_of_band)
{
	ready();
	qmp_send_oob(w.main.q, "A", on_reply, (void *)(uintptr_t) "A");
	expect_heard(&w.main.s, 2);
	ck_assert_str_eq(json_get_str(w.main.s.heard[1], "exec-oob"), "A");
	ck_assert_ptr_null(json_get_str(w.main.s.heard[1], "execute"));
}
END_TEST

START_TEST(test_slices)
{
	static const char text[] = GREETING "\n {\"return\": {}, \"id\": 1}\r\n{\"event\": \"STOP\"} {\"event\": \"RESUME\"}";

	for (const char *p = text; *p; p++) {
		say_bytes(&w.main.s, p, 1);
		loop_poll();
	}
	expect("ready, event STOP, event RESUME");
}
END_TEST

/* ---- descriptors ---- */

START_TEST(test_one_descriptor_at_a_time)
{
	ready();
	call("A");
	call_fd("B");
	call("C");
	call_fd("D");
	call_fd("E");
	call("F");
	expect_heard(&w.main.s, 3); /* A is no obstacle */
	ck_assert_str_eq(w.main.s.files[1], "");
	ck_assert_str_eq(w.main.s.files[2], "B");
	answer(&w.main.s, 1);
	expect_heard(&w.main.s, 3);
	answer(&w.main.s, 2);
	expect_heard(&w.main.s, 5);
	ck_assert_str_eq(heard(&w.main.s, 3), "C");
	ck_assert_str_eq(w.main.s.files[3], "");
	ck_assert_str_eq(w.main.s.files[4], "D");
	refuse(&w.main.s, 4);
	expect_heard(&w.main.s, 6);
	ck_assert_str_eq(w.main.s.files[5], "E");
	answer(&w.main.s, 5);
	expect_heard(&w.main.s, 7);
	ck_assert_str_eq(w.main.s.files[6], "");
	expect("A {}, B {}, D! QemuError, E {}");
}
END_TEST

/* QEMU has not run it yet, whoever waits for it. */
START_TEST(test_forgotten_descriptor_is_in_the_way)
{
	struct qmp_call *a, *b;

	ready();
	a = call_fd("A");
	b = call_fd("B");
	call_fd("C");
	qmp_forget(a);
	qmp_forget(b); /* never sent */
	expect_heard(&w.main.s, 2);
	answer(&w.main.s, 1);
	expect_heard(&w.main.s, 3);
	ck_assert_str_eq(w.main.s.files[2], "C");
}
END_TEST

/* The look at what is open is teardown's. */
START_TEST(test_unsent_descriptors_are_closed)
{
	if (_i)
		ready();
	call_fd("A");
	call_fd("B");
	if (_i == 2) {
		hang_up(&w.main.s);
		expect("A! GuestGone, B! GuestGone, gone");
	}
}
END_TEST

/* ---- events ---- */

static void keep_event(struct qmp *q, const char *name, struct json_object *event, double time, void *data)
{
	_cleanup_free_ char *value = json_print(event), *text = xasprintf("%s %s %.2f", name, value, time);

	note(text);
}

START_TEST(test_events)
{
	static const struct qmp_ops ops = { .event = keep_event, .gone = on_gone };

	monitor_open(&w.oob, true, &ops);
	say(&w.oob.s, GREETING);
	emit(&w.oob.s, "STOP", "{\"a\": 1}");
	expect_heard(&w.oob.s, 1);
	answer(&w.oob.s, 0);
	say(&w.oob.s, "{\"event\": \"RESUME\"}{\"event\": \"RESET\", \"data\": 1, \"timestamp\": \"now\"}");
	expect("STOP {\"a\":1} 1700000000.25, RESUME null 0.00, RESET null 0.00");
}
END_TEST

static struct tap {
	struct qmp_listener l;
	const char *name;
	struct tap *stops, *starts;
} taps[4];

static void tap_event(struct qmp_listener *l, const char *name, struct json_object *data)
{
	struct tap *t = CONTAINER_OF(l, struct tap, l);
	_cleanup_free_ char *text = xasprintf("%s %s", t->name, name);

	note(text);
	if (t->stops)
		qmp_unlisten(&t->stops->l);
	if (t->starts)
		qmp_listen(w.main.q, &t->starts->l);
	t->starts = NULL;
}

static void tap_gone(struct qmp_listener *l)
{
	struct tap *t = CONTAINER_OF(l, struct tap, l);
	_cleanup_free_ char *text = xasprintf("%s gone", t->name);

	ck_assert_ptr_null(l->prev);
	note(text);
}

static struct tap *tap(int i)
{
	static const char *const names[] = { "t0", "t1", "t2", "t3" };

	taps[i] = (struct tap){ .l = { .event = tap_event, .gone = tap_gone }, .name = names[i] };
	return &taps[i];
}

START_TEST(test_listeners)
{
	ready();
	for (int i = 0; i < 3; i++)
		qmp_listen(w.main.q, &tap(i)->l);
	emit(&w.main.s, "STOP", "{}");
	expect("t2 STOP, t1 STOP, t0 STOP, event STOP");
	qmp_unlisten(&taps[1].l);
	qmp_unlisten(&taps[1].l);
	emit(&w.main.s, "STOP", "{}");
	expect("t2 STOP, t0 STOP, event STOP");
	hang_up(&w.main.s);
	expect("t2 gone, t0 gone, gone");
}
END_TEST

/* One that stops others, itself, or adds one: each is called once at most, a new one from the next event on. */
START_TEST(test_listeners_change_each_other)
{
	ready();
	for (int i = 0; i < 3; i++)
		qmp_listen(w.main.q, &tap(i)->l);
	taps[2].stops = &taps[_i];
	taps[2].starts = tap(3);
	emit(&w.main.s, "STOP", "{}");
	expect(_i == 0 ? "t2 STOP, t1 STOP, event STOP" :
	       _i == 1 ? "t2 STOP, t0 STOP, event STOP" :
			 "t2 STOP, t1 STOP, t0 STOP, event STOP");
	emit(&w.main.s, "STOP", "{}");
	expect(_i == 0 ? "t3 STOP, t2 STOP, t1 STOP, event STOP" :
	       _i == 1 ? "t3 STOP, t2 STOP, t0 STOP, event STOP" :
			 "t3 STOP, t1 STOP, t0 STOP, event STOP");
}
END_TEST

/* ---- the end ---- */

START_TEST(test_gone)
{
	ready();
	call("A");
	call_fd("B");
	call("C");
	qmp_listen(w.main.q, &tap(0)->l);
	if (_i) {
		qmp_close(w.main.q);
		qmp_close(w.main.q);
	} else {
		hang_up(&w.main.s);
	}
	expect("A! GuestGone, B! GuestGone, C! GuestGone, t0 gone, gone");
	ck_assert(qmp_is_gone(w.main.q) && qmp_is_gone(NULL) && !qmp_is_ready(NULL));
	qmp_close(w.main.q);
	expect("");
}
END_TEST

/* What was said before it hung up is heard. */
START_TEST(test_last_words)
{
	ready();
	call("A");
	call("B");
	expect_heard(&w.main.s, 3);
	say_bytes(&w.main.s, "{\"event\": \"SHUTDOWN\"}", 21);
	shutdown(w.main.s.fd, SHUT_WR);
	expect("event SHUTDOWN, A! GuestGone, B! GuestGone, gone");
}
END_TEST

/* There is nobody to send to. */
START_TEST(test_send_when_gone)
{
	int fd = memfd_create("x", MFD_CLOEXEC);

	if (_i)
		ready();
	w.log[0] = '\0';
	hang_up(&w.main.s);
	expect("gone");
	ck_assert_ptr_null(qmp_send(w.main.q, "A", parse("{\"a\": 1}"), fd, on_reply, NULL));
	ck_assert_ptr_null(qmp_send_oob(w.main.q, "A", on_reply, NULL));
	qmp_forget(NULL);
	expect("");
}
END_TEST

static void call_a(void)
{
	ck_assert_ptr_null(call("A"));
}

START_TEST(test_send_while_it_ends)
{
	static const char *const triggers[] = { "A! GuestGone", "t0 gone", "gone" };

	ready();
	call("A");
	qmp_listen(w.main.q, &tap(0)->l);
	w.trigger = triggers[_i];
	w.action = call_a;
	hang_up(&w.main.s);
	expect("A! GuestGone, t0 gone, gone");
}
END_TEST

static const char *const garbage[] = { "hello", "[]", "1 ", "null ", "\"text\"", "{'QMP': {}}", "{\"a\": \"\x01\"}", "}" };

START_TEST(test_garbage)
{
	if (_i % 2)
		ready();
	call("A");
	say(&w.main.s, garbage[_i / 2]);
	say(&w.main.s, "\n");
	expect("A! QemuError, gone");
}
END_TEST

START_TEST(test_oversize)
{
	enum { SIZE = 1 << 20, TIMES = 65 };
	char *piece = xcalloc(SIZE, 1);

	memset(piece, 'x', SIZE);
	ready();
	say_bytes(&w.main.s, "{\"return\": \"", 12);
	for (int i = 0; i < TIMES && !qmp_is_gone(w.main.q); i++)
		say_bytes(&w.main.s, piece, SIZE);
	expect("gone");
	free(piece);
}
END_TEST

/* ---- freed, or closed, inside a callback ---- */

static const struct {
	const char *trigger, *freed, *closed;
} inside[] = {
	{ "ready", "ready", "ready, A! GuestGone, B! GuestGone, t0 gone, gone" },
	{ "t0 STOP", "ready, t0 STOP", "ready, t0 STOP, A! GuestGone, B! GuestGone, t0 gone, gone" },
	{ "event STOP", "ready, t0 STOP, event STOP",
	  "ready, t0 STOP, event STOP, A! GuestGone, B! GuestGone, t0 gone, gone" },
	{ "A {}", "ready, t0 STOP, event STOP, A {}", "ready, t0 STOP, event STOP, A {}, B! GuestGone, t0 gone, gone" },
	{ "B! GuestGone", "ready, t0 STOP, event STOP, A {}, B! GuestGone",
	  "ready, t0 STOP, event STOP, A {}, B! GuestGone, t0 gone, gone" },
	{ "t0 gone", "ready, t0 STOP, event STOP, A {}, B! GuestGone, t0 gone",
	  "ready, t0 STOP, event STOP, A {}, B! GuestGone, t0 gone, gone" },
	{ "gone", "ready, t0 STOP, event STOP, A {}, B! GuestGone, t0 gone, gone",
	  "ready, t0 STOP, event STOP, A {}, B! GuestGone, t0 gone, gone" },
};

START_TEST(test_freed_or_closed_inside)
{
	bool freed = _i % 2;

	w.trigger = inside[_i / 2].trigger;
	w.action = freed ? free_main : close_main;
	call("A");
	call("B");
	qmp_listen(w.main.q, &tap(0)->l);
	say(&w.main.s, GREETING);
	expect_heard(&w.main.s, 1);
	/* all in one go: what is read already is not for the freed */
	say(&w.main.s, "{\"return\": {}, \"id\": 3}{\"event\": \"STOP\"}{\"return\": {}, \"id\": 1}");
	hang_up(&w.main.s);
	expect(freed ? inside[_i / 2].freed : inside[_i / 2].closed);
	ck_assert_int_eq(w.main.q == NULL, freed);
}
END_TEST

static void free_within_close(void)
{
	w.trigger = "gone";
	w.action = free_main;
	close_main();
}

START_TEST(test_freed_inside_close_inside_event)
{
	ready();
	w.trigger = "event STOP";
	w.action = free_within_close;
	call("A");
	emit(&w.main.s, "STOP", "{}");
	expect("event STOP, A! GuestGone, gone");
}
END_TEST

/* ---- waits of operations ---- */

enum place { FORWARD, BACK, PROBE };

static struct {
	enum place place;
	enum verdict (*call)(struct op *op);
	qmp_then_fn *then;
} job;

static enum verdict do_nothing(struct op *op, void *arg)
{
	return OP_DONE;
}

static enum verdict do_fail(struct op *op, void *arg)
{
	return op_fail(op, ERR_STORAGE, "the first error");
}

static enum verdict do_call(struct op *op, void *arg)
{
	return job.call(op);
}

static enum verdict note_undo(struct op *op, void *arg)
{
	note("undo");
	return OP_DONE;
}

static const struct step forward[] = { { "call", do_call, note_undo, .timeout_ms = LIMIT_MS }, { "rest" } };
static const struct step back[] = { { "call", do_nothing, do_call, .timeout_ms = LIMIT_MS }, { "fail", do_fail } };
static const struct step probe[] = {
	{ "prepare", do_nothing, note_undo },
	{ "commit", do_fail, NULL, do_call, .timeout_ms = LIMIT_MS, .commit = true }
};

static bool on_begin(struct op *op)
{
	static const struct step *const plans[] = { forward, back, probe };

	op_add(op, &plans[job.place][0], NULL);
	op_add(op, &plans[job.place][1], NULL);
	return true;
}

static void on_stalled(struct op *op)
{
	note("stalled");
}

static void on_done(struct op *op)
{
	note(op->err ? err_class_info(op->err->class)->name : "done");
	w.err = TAKE_PTR(op->err);
	w.op = NULL;
	op_free(op);
}

static enum verdict plain(struct op *op)
{
	return qmp_call(op, w.main.q, "cmd", parse("{\"x\": 1}"), job.then, &job);
}

static enum verdict with_fd(struct op *op)
{
	int fd = memfd_create("x", MFD_CLOEXEC);

	ck_assert_int_eq(write(fd, "file", 4), 4);
	return qmp_call_fd(op, w.main.q, "cmd", NULL, fd, job.then, &job);
}

static bool is_ours(struct json_object *data, void *arg)
{
	ck_assert_ptr_eq(arg, &job);
	return str_eq(json_get_str(data, "device"), "ours");
}

static enum verdict until(struct op *op)
{
	return qmp_call_until(op, w.main.q, "cmd", parse("{\"x\": 1}"), "DONE", is_ours, &job);
}

static enum verdict until_any(struct op *op)
{
	return qmp_call_until(op, w.main.q, NULL, NULL, "DONE", NULL, NULL);
}

static enum verdict until_ready(struct op *op)
{
	return qmp_wait_ready(op, w.main.q);
}

static void start_call(enum place place, enum verdict (*fn)(struct op *op), qmp_then_fn *then)
{
	static const struct op_ops ops = { .begin = on_begin, .stalled = on_stalled, .done = on_done };

	job.place = place;
	job.call = fn;
	job.then = then;
	w.op = op_new(&loop, &ops, NULL);
	op_start(w.op);
}

static void run_in(enum place place, enum verdict (*fn)(struct op *op), qmp_then_fn *then)
{
	ready();
	start_call(place, fn, then);
	if (fn != until_any)
		expect_heard(&w.main.s, 2);
	expect("");
}

static void run(enum verdict (*fn)(struct op *op))
{
	run_in(FORWARD, fn, NULL);
}

static enum verdict see(struct op *op, struct json_object *ret, void *arg)
{
	_cleanup_free_ char *text = json_print(ret);

	ck_assert(op == w.op && arg == &job);
	note(text);
	return OP_DONE;
}

static enum verdict dislike(struct op *op, struct json_object *ret, void *arg)
{
	return op_fail(op, ERR_UNSUPPORTED, "that will not do");
}

START_TEST(test_call)
{
	_cleanup_free_ char *text = NULL;

	run_in(FORWARD, _i ? with_fd : plain, see);
	if (_i) {
		ck_assert_str_eq(w.main.s.files[1], "file");
	} else {
		text = json_print(json_get_typed(w.main.s.heard[1], "arguments", json_type_object));
		ck_assert_str_eq(text, "{\"x\":1}");
	}
	answer_with(&w.main.s, 1, "\"return\": [1]");
	expect("[1], done");
}
END_TEST

START_TEST(test_call_refused)
{
	run(_i ? until : plain);
	refuse(&w.main.s, 1);
	expect("undo, QemuError");
	ck_assert_str_eq(w.err->desc, "QEMU refused 'cmd': Device 'x' not found");
	ck_assert_str_eq(json_get_str(w.err->extra, "qemu-class"), "DeviceNotFound");
	emit(&w.main.s, "DONE", "{\"device\": \"ours\"}");
	expect("event DONE");
}
END_TEST

START_TEST(test_call_disliked)
{
	run_in(FORWARD, plain, dislike);
	answer(&w.main.s, 1);
	expect("undo, Unsupported");
}
END_TEST

/* Neither an undo nor a probe that fails replaces, or loses, the error. */
START_TEST(test_failure_elsewhere)
{
	enum place place = _i & 1 ? BACK : PROBE;

	loop_keep_log();
	run_in(place, plain, _i & 2 ? dislike : NULL);
	if (_i & 2)
		answer(&w.main.s, 1);
	else
		refuse(&w.main.s, 1);
	expect(place == PROBE ? "undo, StorageError" : "StorageError");
	ck_assert_str_eq(w.err->desc, "the first error");
	ck_assert_int_eq(loop_logged("undo of 'call'"), place == BACK);
}
END_TEST

START_TEST(test_probe_finds_it)
{
	run_in(PROBE, plain, see);
	answer(&w.main.s, 1);
	expect("{}, done");
}
END_TEST

/* In flight, or not even sent; QEMU that is gone has nothing that were to be undone. */
START_TEST(test_call_of_the_gone)
{
	enum verdict (*const calls[])(struct op *op) = { plain, with_fd, until, until_any };
	static const char *const expected[] = { "undo, GuestGone", "StorageError", "undo, StorageError" };
	enum verdict (*fn)(struct op *op) = calls[_i / 6];
	enum place place = (enum place)(_i / 2 % 3);

	if (_i % 2) {
		hang_up(&w.main.s);
		expect("gone");
		start_call(place, fn, see);
		expect(expected[place]);
	} else {
		_cleanup_free_ char *log = xasprintf("%s, gone", expected[place]);

		run_in(place, fn, see);
		hang_up(&w.main.s);
		expect(log);
	}
	ck_assert_ptr_null(w.op);
}
END_TEST

/* A probe would be futile. */
static enum verdict commit_call(struct op *op)
{
	return op->phase == OP_FORWARD ? plain(op) : until(op);
}

static const struct step commit_step = { "commit", do_call, note_undo, do_call, .timeout_ms = LIMIT_MS, .commit = true };

static bool begin_commit(struct op *op)
{
	op_add(op, &commit_step, NULL);
	return true;
}

static void start_commit(void)
{
	static const struct op_ops ops = { .begin = begin_commit, .stalled = on_stalled, .done = on_done };

	ready();
	job.call = commit_call;
	job.then = NULL;
	w.op = op_new(&loop, &ops, NULL);
	op_start(w.op);
	expect_heard(&w.main.s, 2);
}

START_TEST(test_commit_of_the_gone)
{
	start_commit();
	hang_up(&w.main.s);
	expect("undo, GuestGone, gone");
}
END_TEST

static void free_all(void)
{
	w.main.q = qmp_free(w.main.q);
}

/* What does not speak QMP is as good as gone. */
START_TEST(test_call_of_a_babbler)
{
	static const char *const expected[] = { "undo, QemuError, gone", "StorageError, gone", "undo, StorageError, gone" };

	loop_keep_log();
	run_in((enum place)(_i % 3), _i / 3 ? until : plain, NULL);
	say(&w.main.s, "babble\n");
	expect(expected[_i % 3]);
	if (_i % 3 == FORWARD)
		ck_assert(str_starts(w.err->desc, "the monitor sent something that is no QMP"));
	ck_assert_int_eq(loop_logged("undo of"), 0);
}
END_TEST

/* The operation's end is the end of all. */
START_TEST(test_freed_at_the_end_of_a_call)
{
	static const char *const triggers[] = { "done", "QemuError", "GuestGone", "done" };

	w.trigger = triggers[_i];
	w.action = free_all;
	run(_i == 3 ? until : plain);
	if (_i == 0)
		answer(&w.main.s, 1);
	if (_i == 1)
		refuse(&w.main.s, 1);
	if (_i == 2)
		hang_up(&w.main.s);
	if (_i == 3) {
		answer(&w.main.s, 1);
		emit(&w.main.s, "DONE", "{\"device\": \"ours\"}");
	}
	ck_assert(!w.main.q && !w.op);
}
END_TEST

START_TEST(test_wait_ready)
{
	start_call(FORWARD, until_ready, NULL);
	loop_quiet();
	ck_assert_ptr_nonnull(w.op);
	negotiate(&w.main);
	ck_assert_ptr_nonnull(w.op);
	expect_heard(&w.main.s, 2);
	answer(&w.main.s, 1);
	expect("ready, done");
}
END_TEST

START_TEST(test_wait_ready_of_the_gone)
{
	start_call(FORWARD, until_ready, NULL);
	hang_up(&w.main.s);
	expect("undo, GuestGone, gone");
}
END_TEST

/* ---- until an event ---- */

#define OURS "{\"device\": \"ours\"}"
#define OTHERS "{\"device\": \"theirs\"}"

START_TEST(test_until)
{
	run(until);
	emit(&w.main.s, "DONE", OTHERS);
	emit(&w.main.s, "OTHER", OURS);
	say(&w.main.s, "{\"event\": \"DONE\"}");
	expect("event DONE, event OTHER, event DONE");
	if (_i) {
		answer(&w.main.s, 1);
		expect("");
		emit(&w.main.s, "DONE", OTHERS);
		expect("event DONE");
		emit(&w.main.s, "DONE", OURS);
		expect("done, event DONE");
	} else {
		emit(&w.main.s, "DONE", OURS);
		emit(&w.main.s, "DONE", OURS);
		expect("event DONE, event DONE");
		answer(&w.main.s, 1);
		expect("done");
	}
	emit(&w.main.s, "DONE", OURS);
	expect("event DONE");
}
END_TEST

START_TEST(test_until_without_command)
{
	run(until_any);
	ck_assert_int_eq(w.main.s.n, 1);
	emit(&w.main.s, "OTHER", "{}");
	emit(&w.main.s, "DONE", "{}");
	expect("event OTHER, done, event DONE");
}
END_TEST

START_TEST(test_until_expires)
{
	run(until);
	answer(&w.main.s, 1);
	loop_pass(LIMIT_MS + 1);
	expect("undo, Timeout");
	ck_assert_ptr_nonnull(strstr(w.err->desc, "DONE"));
	emit(&w.main.s, "DONE", OURS);
	expect("event DONE");
}
END_TEST

/* The command may still take effect: its reply is awaited before anything is taken back. */
START_TEST(test_until_cancelled)
{
	run(until);
	if (_i & 1)
		emit(&w.main.s, "DONE", OURS);
	if (_i & 2)
		answer(&w.main.s, 1);
	w.log[0] = '\0';
	if (!w.op)
		return;
	ck_assert(op_cancel(w.op, NULL));
	if (!(_i & 2)) {
		expect("");
		ck_assert_ptr_nonnull(w.op);
		answer(&w.main.s, 1);
	}
	expect("undo, Cancelled");
}
END_TEST

START_TEST(test_call_cancelled)
{
	run(plain);
	ck_assert(op_cancel(w.op, NULL));
	expect("");
	if (_i)
		refuse(&w.main.s, 1);
	else
		answer(&w.main.s, 1);
	expect("undo, Cancelled");
}
END_TEST

START_TEST(test_cancelled_and_gone)
{
	run(_i ? until : plain);
	ck_assert(op_cancel(w.op, NULL));
	hang_up(&w.main.s);
	expect("undo, Cancelled, gone");
}
END_TEST

/* ---- expiry ---- */

static void open_ping(void)
{
	monitor_open(&w.oob, true, &quiet_ops);
	negotiate(&w.oob);
	qmp_set_ping(w.main.q, w.oob.q);
	ck_assert_ptr_eq(qmp_ping_of(w.main.q), w.oob.q);
}

static void expire(int n)
{
	loop_pass(LIMIT_MS + 1);
	expect("");
	expect_heard(&w.oob.s, n + 1);
	ck_assert_str_eq(json_get_str(w.oob.s.heard[n], "exec-oob"), "query-yank");
}

START_TEST(test_slow)
{
	open_ping();
	run(_i ? until : plain);
	if (_i)
		emit(&w.main.s, "DONE", OURS);
	w.log[0] = '\0';
	expire(1);
	answer(&w.oob.s, 1);
	loop_pass((long)LIMIT_MS * (SLOW_FACTOR - 1));
	expect("");
	ck_assert(!w.op->stalled);
	answer(&w.main.s, 1);
	expect("done");
	ck_assert_int_eq(w.oob.s.n, 2);
}
END_TEST

/* One who refuses answers. */
START_TEST(test_slow_and_unwilling)
{
	open_ping();
	run(plain);
	expire(1);
	refuse(&w.oob.s, 1);
	loop_pass((long)LIMIT_MS * (SLOW_FACTOR - 1));
	expect("");
	answer(&w.main.s, 1);
	expect("done");
}
END_TEST

START_TEST(test_too_slow)
{
	open_ping();
	run_in((enum place)_i, plain, NULL);
	expire(1);
	answer(&w.oob.s, 1);
	loop_pass((long)LIMIT_MS * SLOW_FACTOR);
	expect("stalled");
	loop_pass(100L * LIMIT_MS);
	expect("");
	answer(&w.main.s, 1);
	expect(_i == BACK ? "StorageError" : "done");
}
END_TEST

START_TEST(test_stuck)
{
	open_ping();
	run_in((enum place)_i, plain, NULL);
	expire(1);
	loop_pass(PING_MS + 1);
	expect("stalled");
	ck_assert(w.op->stalled);
	loop_pass(100L * LIMIT_MS);
	expect("");
	ck_assert_int_eq(w.oob.s.n, 2);
	refuse(&w.main.s, 1);
	expect(_i == FORWARD ? "undo, QemuError" : _i == BACK ? "StorageError" : "undo, StorageError");
	answer(&w.oob.s, 1); /* it does no harm */
	expect("");
}
END_TEST

START_TEST(test_stuck_and_gone)
{
	open_ping();
	run(_i ? until : plain);
	expire(1);
	loop_pass(PING_MS + 1);
	hang_up(&w.main.s);
	expect("stalled, undo, GuestGone, gone");
}
END_TEST

/* The ping is answered late: QEMU goes on, so the call has its time again. */
START_TEST(test_stuck_for_a_while)
{
	open_ping();
	run(plain);
	expire(1);
	loop_pass(PING_MS + 1);
	expect("stalled");
	answer(&w.oob.s, 1);
	ck_assert(!w.op->stalled);
	loop_pass((long)LIMIT_MS * SLOW_FACTOR);
	expect("stalled");
	answer(&w.main.s, 1);
	expect("done");
}
END_TEST

START_TEST(test_reply_beside_the_ping)
{
	open_ping();
	run(plain);
	expire(1);
	answer(&w.main.s, 1);
	expect("done");
	answer(&w.oob.s, 1);
	expect("");
}
END_TEST

/* Nobody can be asked: before, or from now on. */
START_TEST(test_nobody_to_ping)
{
	if (_i)
		open_ping();
	run(plain);
	if (_i == 1)
		hang_up(&w.oob.s);
	if (_i == 2)
		expire(1);
	if (_i == 2)
		hang_up(&w.oob.s);
	loop_pass(LIMIT_MS + 1);
	expect("stalled");
	loop_pass(100L * LIMIT_MS);
	expect("");
	answer(&w.main.s, 1);
	expect("done");
}
END_TEST

/* The reply ends the doubt; the event has its own time then. */
START_TEST(test_event_after_a_late_reply)
{
	open_ping();
	run(until);
	expire(1);
	if (_i & 1)
		answer(&w.oob.s, 1); /* slow */
	else
		loop_pass(PING_MS + 1); /* stuck */
	w.log[0] = '\0';
	answer(&w.main.s, 1);
	ck_assert(w.op && !w.op->stalled);
	answer(&w.oob.s, 1); /* too late to count */
	loop_pass(LIMIT_MS / 2);
	expect("");
	if (_i & 2) {
		emit(&w.main.s, "DONE", OURS);
		expect("done, event DONE");
	} else {
		loop_pass(LIMIT_MS);
		expect("undo, Timeout");
	}
}
END_TEST

START_TEST(test_cancelled_while_stuck)
{
	open_ping();
	run(_i ? until : plain);
	expire(1);
	loop_pass(PING_MS + 1);
	expect("stalled");
	ck_assert(op_cancel(w.op, NULL));
	expect("");
	ck_assert_ptr_nonnull(w.op);
	answer(&w.main.s, 1);
	expect("undo, Cancelled");
}
END_TEST

/* In doubt for too long, then there after all. */
START_TEST(test_commit_in_doubt)
{
	start_commit();
	loop_pass(LIMIT_MS + 1);
	expect("stalled");
	refuse(&w.main.s, 1);
	expect_heard(&w.main.s, 3); /* the probe */
	answer(&w.main.s, 2);
	emit(&w.main.s, "DONE", OURS);
	expect("done, event DONE");
}
END_TEST

static void add_client(TCase *tc)
{
	tcase_add_loop_test(tc, test_handshake, 0, 2);
	tcase_add_test(tc, test_calls_wait_for_the_handshake);
	tcase_add_test(tc, test_calls_keep_their_order_at_ready);
	tcase_add_test(tc, test_handshake_refused);
	tcase_add_loop_test(tc, test_gone_before_the_handshake, 0, 2);
	tcase_add_test(tc, test_arguments);
	tcase_add_test(tc, test_replies_in_any_order);
	tcase_add_loop_test(tc, test_errors, 0, ARRAY_SIZE(errors));
	tcase_add_test(tc, test_replies_to_nothing);
	tcase_add_test(tc, test_forget);
	tcase_add_test(tc, test_forgotten_when_gone);
	tcase_add_test(tc, test_out_of_band);
	tcase_add_test(tc, test_slices);
	tcase_add_test(tc, test_one_descriptor_at_a_time);
	tcase_add_test(tc, test_forgotten_descriptor_is_in_the_way);
	tcase_add_loop_test(tc, test_unsent_descriptors_are_closed, 0, 3);
	tcase_add_test(tc, test_events);
	tcase_add_test(tc, test_listeners);
	tcase_add_loop_test(tc, test_listeners_change_each_other, 0, 3);
	tcase_add_loop_test(tc, test_gone, 0, 2);
	tcase_add_test(tc, test_last_words);
	tcase_add_loop_test(tc, test_send_when_gone, 0, 2);
	tcase_add_loop_test(tc, test_send_while_it_ends, 0, 3);
	tcase_add_loop_test(tc, test_garbage, 0, 2 * ARRAY_SIZE(garbage));
	tcase_add_test(tc, test_oversize);
	tcase_add_loop_test(tc, test_freed_or_closed_inside, 0, 2 * ARRAY_SIZE(inside));
	tcase_add_test(tc, test_freed_inside_close_inside_event);
}

static void add(TCase *tc)
{
	add_client(tc);
	tcase_add_loop_test(tc, test_call, 0, 2);
	tcase_add_loop_test(tc, test_call_refused, 0, 2);
	tcase_add_test(tc, test_call_disliked);
	tcase_add_loop_test(tc, test_failure_elsewhere, 0, 4);
	tcase_add_test(tc, test_probe_finds_it);
	tcase_add_loop_test(tc, test_call_of_the_gone, 0, 4 * 3 * 2);
	tcase_add_test(tc, test_commit_of_the_gone);
	tcase_add_loop_test(tc, test_call_of_a_babbler, 0, 6);
	tcase_add_loop_test(tc, test_freed_at_the_end_of_a_call, 0, 4);
	tcase_add_test(tc, test_wait_ready);
	tcase_add_test(tc, test_wait_ready_of_the_gone);
	tcase_add_loop_test(tc, test_until, 0, 2);
	tcase_add_test(tc, test_until_without_command);
	tcase_add_test(tc, test_until_expires);
	tcase_add_loop_test(tc, test_until_cancelled, 0, 4);
	tcase_add_loop_test(tc, test_call_cancelled, 0, 2);
	tcase_add_loop_test(tc, test_cancelled_and_gone, 0, 2);
	tcase_add_loop_test(tc, test_slow, 0, 2);
	tcase_add_test(tc, test_slow_and_unwilling);
	tcase_add_loop_test(tc, test_too_slow, 0, 3);
	tcase_add_loop_test(tc, test_stuck, 0, 3);
	tcase_add_loop_test(tc, test_stuck_and_gone, 0, 2);
	tcase_add_test(tc, test_stuck_for_a_while);
	tcase_add_test(tc, test_reply_beside_the_ping);
	tcase_add_loop_test(tc, test_nobody_to_ping, 0, 3);
	tcase_add_loop_test(tc, test_event_after_a_late_reply, 0, 4);
	tcase_add_loop_test(tc, test_cancelled_while_stuck, 0, 2);
	tcase_add_test(tc, test_commit_in_doubt);
}

int main(void)
{
	return loop_main("qmp", add, setup, teardown);
}
