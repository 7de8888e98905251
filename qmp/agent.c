/* SPDX-License-Identifier: BSD-2-Clause */
#include "qmp/agent.h"

#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <sys/socket.h>

enum { SKIP_MAX = 1 << 20, PORTION = 16384, WORDS_MAX = 1000, MARK = 0xff };

/* Where the conversation with the first of the queue stands. */
enum stage {
	IDLE,
	SEEKING, /* the 0xFF in front of the answer to our sync */
	SYNCING, /* a value behind one */
	ASKED,   /* the request itself is sent */
};

struct agent_call {
	TAILQ_ENTRY(agent_call) link;
	struct agent *a;
	uv_timer_t deadline;
	unsigned ms;
	char *command;
	struct json_object *args;
	agent_reply_fn *reply; /* NULL: forgotten */
	void *data;
};

struct agent {
	uv_loop_t *loop;
	agent_connect_fn *connect;
	void *data;
	TAILQ_HEAD(agent_calls, agent_call) calls;
	unsigned n;
	uv_timer_t kick; /* the next turn of the loop begins the next request, or hangs up */
	bool gone;

	int fd; /* -1: not connected */
	uv_poll_t *poll;
	enum stage stage;
	int64_t sync;
	size_t skipped; /* bytes since the sync was sent */
	struct json_reader *reader;
	char *out;
	size_t out_len, out_sent;
};

static const struct json_limits limits = { .bytes = AGENT_REPLY_MAX, .depth = 32 };

static void on_kick(uv_timer_t *timer);

static void free_handle(uv_handle_t *handle)
{
	free(handle);
}

static void on_call_closed(uv_handle_t *handle)
{
	free(CONTAINER_OF(handle, struct agent_call, deadline));
}

static void disconnect(struct agent *a)
{
	if (a->poll)
		uv_close((uv_handle_t *)a->poll, free_handle);
	a->poll = NULL;
	a->fd = fd_close(a->fd);
	a->reader = json_reader_free(a->reader);
	free(a->out);
	a->out = NULL;
	a->out_len = a->out_sent = 0;
	a->stage = IDLE;
}

static void call_free(struct agent_call *c)
{
	struct agent *a = c->a;

	TAILQ_REMOVE(&a->calls, c, link);
	a->n--;
	json_object_put(c->args);
	free(c->command);
	uv_close((uv_handle_t *)&c->deadline, on_call_closed);
	if (!a->gone)
		uv_timer_start(&a->kick, on_kick, 0, 0);
}

/* The last act of whoever calls it: the agent may be freed by the reply. */
static void call_end(struct agent_call *c, struct json_object *ret, const struct err *e)
{
	agent_reply_fn *reply = c->reply;
	void *data = c->data;

	call_free(c);
	if (reply)
		reply(ret, e, data);
}

/* The request under way fails, and nothing of the connection can be trusted. Consumes E. */
static void fail(struct agent *a, struct err *e)
{
	struct agent_call *c = TAILQ_FIRST(&a->calls);

	disconnect(a);
	if (c)
		call_end(c, NULL, e);
	err_free(e);
}

static const char *fate(const struct agent *a)
{
	return a->stage == ASKED ? "it may have been carried out" : "it was not sent";
}

static void broken(struct agent *a, enum err_class class, const char *why)
{
	struct agent_call *c = a->stage == IDLE ? NULL : TAILQ_FIRST(&a->calls);
	struct err *e = NULL;

	if (!c) {
		disconnect(a); /* what waits gets a connection of its own */
		return;
	}
	err_set(&e, class, "'%s': %s; %s", c->command, why, fate(a));
	fail(a, e);
}

static void on_deadline(uv_timer_t *timer)
{
	struct agent_call *c = CONTAINER_OF(timer, struct agent_call, deadline);
	struct agent *a = c->a;
	bool under_way = c == TAILQ_FIRST(&a->calls);
	struct err *e = NULL;

	err_set(&e, ERR_TIMEOUT, "the guest agent did not answer '%s' within %u.%u s; %s", c->command, c->ms / 1000,
		c->ms % 1000 / 100, under_way ? fate(a) : "it was not sent, for others went before it");
	if (under_way) {
		fail(a, e);
		return;
	}
	call_end(c, NULL, e);
	err_free(e);
}

/* ---- out ---- */

static void on_poll(uv_poll_t *poll, int status, int events);

static void flush(struct agent *a)
{
	ssize_t n = 0;

	while (a->out_sent < a->out_len) {
		n = send(a->fd, a->out + a->out_sent, a->out_len - a->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n <= 0)
			break;
		a->out_sent += (size_t)n;
	}
	/* A connection that ended is seen by reading. */
	uv_poll_start(a->poll, UV_READABLE | (n < 0 && errno == EAGAIN ? UV_WRITABLE : 0), on_poll);
}

/* Consumes MESSAGE. */
static void say(struct agent *a, const char *prefix, struct json_object *message)
{
	_cleanup_free_ char *text = json_print(message);

	json_object_put(message);
	free(a->out);
	a->out = xasprintf("%s%s\n", prefix, text);
	a->out_len = strlen(a->out);
	a->out_sent = 0;
	flush(a);
}

static struct json_object *request(const char *command, struct json_object *args)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "execute", command);
	if (args)
		json_add(o, "arguments", args);
	return o;
}

/* Positive, and exact in a double: agents are written in all sorts of languages. */
static int64_t fresh_number(void)
{
	uint64_t n = 0;

	if (getrandom(&n, sizeof(n), 0) != sizeof(n))
		n = uv_hrtime();
	return (int64_t)(n >> 12) + 1;
}

static void send_sync(struct agent *a)
{
	struct json_object *args = json_object_new_object();

	a->sync = fresh_number();
	a->skipped = 0;
	a->stage = SEEKING;
	json_add_int(args, "id", a->sync);
	say(a, "\xff", request("guest-sync-delimited", args));
}

static void send_request(struct agent *a)
{
	struct agent_call *c = TAILQ_FIRST(&a->calls);

	a->stage = ASKED;
	json_reader_free(a->reader);
	a->reader = json_reader_new(&limits);
	say(a, "", request(c->command, TAKE_PTR(c->args)));
}

/* ---- in ---- */

static bool is_sync(const struct agent *a, struct json_object *value)
{
	return json_get_int(value, "return", 0) == a->sync;
}

static void on_reply(struct agent *a, struct json_object *value)
{
	struct json_object *ret, *error = json_get_typed(value, "error", json_type_object);
	const char *class = json_get_str(error, "class"), *desc = json_get_str(error, "desc");
	struct agent_call *c = TAILQ_FIRST(&a->calls);
	_cleanup_err_ struct err *e = NULL;

	if (error) {
		err_set(&e, ERR_GUEST_REFUSED, "the guest agent refused '%s': %.*s", c->command, WORDS_MAX,
			desc ? desc : "an error without a description");
		err_add(e, "qemu-class", json_object_new_string(class && strlen(class) < 64 ? class : "GenericError"));
		ret = NULL;
	} else if (!json_object_object_get_ex(value, "return", &ret)) {
		broken(a, ERR_GENERIC, "the guest agent's answer is none");
		return;
	}
	a->stage = IDLE;
	a->reader = json_reader_free(a->reader);
	call_end(c, ret, e);
}

/* Up to the answer to our sync; how many bytes were taken. What follows that answer is not ours: nothing was asked. */
static size_t seek(struct agent *a, const char *p, size_t n)
{
	const char *mark = memchr(p, MARK, n), *rest = p;
	size_t len = mark ? (size_t)(mark - p) : n;
	struct json_object *value = NULL;
	enum json_status status;

	if (a->stage == SYNCING && len) {
		status = json_reader_next(a->reader, &rest, &len, &value, NULL);
		if (status == JSON_VALUE && is_sync(a, value)) {
			json_object_put(value);
			send_request(a);
			return n;
		}
		json_object_put(value);
		if (status != JSON_MORE)
			a->stage = SEEKING;
		return (size_t)(rest - p);
	}
	if (!mark)
		return n;
	a->stage = SYNCING;
	json_reader_free(a->reader);
	a->reader = json_reader_new(&limits);
	return (size_t)(mark - p) + 1;
}

static void take_answer(struct agent *a, const char *p, size_t n)
{
	_cleanup_json_ struct json_object *value = NULL;
	_cleanup_err_ struct err *e = NULL;

	switch (json_reader_next(a->reader, &p, &n, &value, &e)) {
	case JSON_MORE:
		break;
	case JSON_VALUE:
		on_reply(a, value);
		break;
	case JSON_BAD:
	case JSON_OVERFLOW:
		err_prefix(e, "the guest agent's answer is none");
		broken(a, ERR_GENERIC, e->desc);
		break;
	}
}

static void take(struct agent *a, const char *p, size_t n)
{
	while (n && (a->stage == SEEKING || a->stage == SYNCING)) {
		size_t used = seek(a, p, n);

		p += used;
		n -= used;
		a->skipped += used;
		if (a->stage != ASKED && a->skipped > SKIP_MAX) {
			broken(a, ERR_GENERIC, "the guest agent says everything but the answer");
			return;
		}
	}
	if (n && a->stage == ASKED)
		take_answer(a, p, n);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct agent *a = poll->data;
	char buf[PORTION];
	ssize_t n;

	if (a->out_sent < a->out_len)
		flush(a);
	n = recv(a->fd, buf, sizeof(buf), MSG_DONTWAIT);
	if (n > 0) {
		take(a, buf, (size_t)n);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		broken(a, ERR_GUEST_GONE, "the connection to the guest agent ended");
	} else if (status < 0) { /* libuv has stopped the poll */
		flush(a);
	}
}

/* ---- the queue ---- */

static bool connect_to(struct agent *a, struct err **e)
{
	a->fd = a->connect(a->data, e);
	if (a->fd < 0)
		return false;
	a->poll = xcalloc(1, sizeof(*a->poll));
	a->poll->data = a;
	if (uv_poll_init(a->loop, a->poll, a->fd) == 0)
		return true;
	free(a->poll);
	a->poll = NULL;
	a->fd = fd_close(a->fd);
	return err_set(e, ERR_GENERIC, "cannot watch the guest agent's socket");
}

static void on_kick(uv_timer_t *timer)
{
	struct agent *a = CONTAINER_OF(timer, struct agent, kick);
	struct err *e = NULL;

	if (a->stage != IDLE)
		return;
	if (TAILQ_EMPTY(&a->calls))
		disconnect(a);
	else if (a->fd >= 0 || connect_to(a, &e))
		send_sync(a);
	else
		fail(a, e);
}

struct agent *agent_new(uv_loop_t *loop, agent_connect_fn *connect, void *data)
{
	struct agent *a = xcalloc(1, sizeof(*a));

	a->loop = loop;
	a->connect = connect;
	a->data = data;
	a->fd = -1;
	TAILQ_INIT(&a->calls);
	uv_timer_init(loop, &a->kick);
	return a;
}

static void on_agent_closed(uv_handle_t *handle)
{
	free(CONTAINER_OF(handle, struct agent, kick));
}

struct agent *agent_free(struct agent *a)
{
	_cleanup_err_ struct err *e = NULL;
	struct agent_call *c;

	if (!a)
		return NULL;
	a->gone = true;
	disconnect(a);
	err_set(&e, ERR_GUEST_GONE, "the guest agent is gone");
	/* What is freed is off the list, which the analyzer does not see. */
	while ((c = TAILQ_FIRST(&a->calls)))
		call_end(c, NULL, e); /* NOLINT(clang-analyzer-unix.Malloc) */
	uv_close((uv_handle_t *)&a->kick, on_agent_closed);
	return NULL;
}

struct agent_call *agent_send(struct agent *a, const char *command, struct json_object *args, unsigned ms,
			      agent_reply_fn *reply, void *data, struct err **e)
{
	struct agent_call *c;

	if (a->gone || a->n >= AGENT_QUEUE_MAX) {
		json_object_put(args);
		err_set(e, a->gone ? ERR_GUEST_GONE : ERR_BUSY,
			a->gone ? "the guest agent is gone" : "%d requests to the guest agent are under way",
			AGENT_QUEUE_MAX);
		return NULL;
	}
	c = xcalloc(1, sizeof(*c));
	c->a = a;
	c->ms = ms;
	c->command = xstrdup(command);
	c->args = args;
	c->reply = reply;
	c->data = data;
	uv_timer_init(a->loop, &c->deadline);
	uv_timer_start(&c->deadline, on_deadline, ms, 0);
	TAILQ_INSERT_TAIL(&a->calls, c, link);
	a->n++;
	uv_timer_start(&a->kick, on_kick, 0, 0);
	return c;
}

void agent_forget(struct agent_call *call)
{
	struct agent *a;

	if (!call)
		return;
	a = call->a;
	if (call == TAILQ_FIRST(&a->calls) && a->stage == ASKED) {
		call->reply = NULL; /* the answer is waited for, so that the next one is not taken for it */
		return;
	}
	if (call == TAILQ_FIRST(&a->calls))
		disconnect(a);
	call_free(call);
}
