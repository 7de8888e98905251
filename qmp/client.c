/* SPDX-License-Identifier: BSD-2-Clause */
#include "qmp/client.h"

#include "base/log.h"
#include "base/stream.h"

#include <sys/queue.h>
#include <time.h>

struct qmp_call {
	TAILQ_ENTRY(qmp_call) link;
	struct qmp *q;
	int64_t id;
	struct json_object *message; /* until sent */
	struct json_object *name;    /* of the command */
	char *operation;             /* or NULL */
	uint64_t sent_at;            /* ns */
	int fd;
	bool carries, sent;
	qmp_reply_fn *reply; /* NULL: forgotten */
	void *data;
};

TAILQ_HEAD(call_list, qmp_call);

struct qmp {
	uv_loop_t *loop;
	struct stream *stream; /* NULL: gone, or lost */
	const struct qmp_ops *ops;
	void *data;
	bool oob, greeted, resumed, ready, gone, slow;
	uv_timer_t handshake;
	int64_t next_id;
	uint64_t events;        /* seen so far */
	struct call_list calls; /* in the order of sending */
	struct qmp_listener *listeners;
	struct qmp *ping;
	unsigned busy; /* callbacks of ours on the stack: qmp_free() leaves the memory to the last of them */
	bool dead;     /* freed by its owner */
};

static void send_waiting(struct qmp *q);

static void on_closed_timer(uv_handle_t *handle)
{
	free(CONTAINER_OF(handle, struct qmp, handshake));
}

static void free_memory(struct qmp *q)
{
	uv_close((uv_handle_t *)&q->handshake, on_closed_timer);
}

static void call_free(struct qmp_call *c)
{
	TAILQ_REMOVE(&c->q->calls, c, link);
	json_object_put(c->message);
	json_object_put(c->name);
	free(c->operation);
	fd_close(c->fd);
	free(c);
}

/* Around a callback, which may free the client: leave() is false when it did, and the last one frees the memory. */
static void enter(struct qmp *q)
{
	q->busy++;
}

static bool leave(struct qmp *q)
{
	bool alive = !q->dead;

	if (--q->busy == 0 && q->dead)
		free_memory(q);
	return alive;
}

/* Ends a call; false when the client was freed meanwhile. */
static bool call_end(struct qmp_call *c, struct json_object *ret, const struct err *e)
{
	struct qmp *q = c->q;
	qmp_reply_fn *reply = c->reply;
	void *data = c->data;

	call_free(c);
	if (!reply)
		return true;
	enter(q);
	reply(ret, e, data);
	return leave(q);
}

/* ---- who looks on ---- */

static void tell(struct qmp *q, const struct qmp_message *m)
{
	if (q->ops->passes)
		q->ops->passes(q, m, q->data);
}

static void tell_call(struct qmp *q, const struct qmp_call *c, struct json_object *value, bool sent)
{
	struct qmp_message m = { .sent = sent, .value = value, .latency = -1 };

	if (c) {
		m.name = json_object_get_string(c->name);
		m.id = c->id;
		m.operation = c->operation;
		m.descriptor = sent && c->carries;
		if (!sent)
			m.latency = (double)(uv_hrtime() - c->sent_at) / 1e9;
	}
	tell(q, &m);
}

/* What QEMU says by itself. */
static void tell_other(struct qmp *q, const char *name, struct json_object *value)
{
	tell(q, &(struct qmp_message){ .value = value, .name = name, .latency = -1 });
}

/* ---- the end of a connection ---- */

static void disconnect(struct qmp *q)
{
	q->stream = stream_free(q->stream);
	uv_timer_stop(&q->handshake);
	q->ready = false;
	q->greeted = false;
	q->resumed = false;
}

static void hang_up(struct qmp *q, enum err_class class, const char *why)
{
	_cleanup_err_ struct err *e = NULL;
	struct qmp_listener *l;
	struct qmp_call *c;

	if (q->gone)
		return;
	disconnect(q);
	q->gone = true;
	err_set(&e, class, "%s", why);
	enter(q);
	/* What is freed is off the list, which the analyzer does not see. */
	while (!q->dead && (c = TAILQ_FIRST(&q->calls)))
		call_end(c, NULL, e); /* NOLINT(clang-analyzer-unix.Malloc) */
	while (!q->dead && (l = q->listeners)) {
		qmp_unlisten(l);
		l->gone(l);
	}
	if (!q->dead)
		q->ops->gone(q, e, q->data);
	leave(q);
}

static void on_negotiated(struct json_object *ret, const struct err *e, void *data);

/* The connection ended by itself. */
static void lose(struct qmp *q, enum err_class class, const char *why)
{
	_cleanup_err_ struct err *e = NULL;
	struct qmp_call *c, *next;
	bool kept;

	disconnect(q);
	for (c = TAILQ_FIRST(&q->calls); c; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->reply == on_negotiated)
			call_free(c);
	}
	err_set(&e, class, "%s", why);
	enter(q);
	kept = q->ops->lost && q->ops->lost(q, e, q->data);
	if (leave(q) && !kept)
		hang_up(q, class, why);
}

/* What the last connection still had in flight; false when the client was freed meanwhile. */
static bool fail_unanswered(struct qmp *q)
{
	_cleanup_err_ struct err *e = NULL;
	struct qmp_call *c;

	err_set(&e, ERR_TIMEOUT, "the monitor was lost before QEMU answered; it may have taken effect");
	for (c = TAILQ_FIRST(&q->calls); c; c = TAILQ_FIRST(&q->calls)) {
		while (c && !c->sent) /* NOLINT(clang-analyzer-unix.Malloc): as in hang_up() */
			c = TAILQ_NEXT(c, link);
		if (!c)
			break;
		if (!call_end(c, NULL, e))
			return false;
	}
	return true;
}

static struct err *error_of(struct json_object *error)
{
	const char *class = json_get_str(error, "class"), *desc = json_get_str(error, "desc");
	struct err *e = NULL;

	err_set(&e, ERR_QEMU, "%s", desc ? desc : "an error without a description");
	err_add(e, "qemu-class", json_object_new_string(class ? class : "GenericError"));
	return e;
}

void qmp_expired(struct qmp *q)
{
	if (q->stream)
		q->slow = true;
}

bool qmp_is_slow(const struct qmp *q)
{
	return q && q->slow;
}

static void on_handshake_expired(uv_timer_t *timer)
{
	qmp_expired(CONTAINER_OF(timer, struct qmp, handshake));
}

static void on_reply(struct qmp *q, struct json_object *message)
{
	_cleanup_err_ struct err *e = NULL;
	struct json_object *ret = NULL, *error = json_get_typed(message, "error", json_type_object);
	int64_t id = json_get_int(message, "id", -1);
	struct qmp_call *c;

	TAILQ_FOREACH(c, &q->calls, link)
	if (c->id == id)
		break;
	if (c && !c->sent)
		c = NULL;
	tell_call(q, c, message, false);
	if (!c) {
		/* QEMU answers what it could not parse without an id: a bug of ours. */
		log_debug("qmp: a reply to nothing we asked (id %" PRId64 ")", id);
		return;
	}
	q->slow = false;
	if (error)
		e = error_of(error);
	else if (!json_object_object_get_ex(message, "return", &ret))
		err_set(&e, ERR_QEMU, "a reply with neither 'return' nor 'error'");
	if (call_end(c, ret, e))
		send_waiting(q);
}

static void on_event(struct qmp *q, const char *name, struct json_object *message)
{
	struct json_object *stamp = json_get_typed(message, "timestamp", json_type_object);
	struct json_object *data = json_get_typed(message, "data", json_type_object);
	double time = (double)json_get_int(stamp, "seconds", 0) + (double)json_get_int(stamp, "microseconds", 0) / 1e6;
	struct qmp_listener *l;

	tell_other(q, name, message);
	enter(q);
	q->events++;
	/* A listener may take any other off the list: look from the start after each. */
	for (l = q->listeners; l;) {
		if (l->seen == q->events) {
			l = l->next;
			continue;
		}
		l->seen = q->events;
		l->event(l, name, data);
		l = q->listeners; /* none when the client was freed */
	}
	if (q->stream) /* neither freed nor hung up by one of them */
		q->ops->event(q, name, data, time, q->data);
	leave(q);
}

static void on_negotiated(struct json_object *ret, const struct err *e, void *data)
{
	struct qmp *q = data;

	if (e && !q->resumed) {
		hang_up(q, ERR_QEMU, e->desc);
		return;
	}
	enter(q);
	fail_unanswered(q);
	if (!leave(q) || q->gone)
		return;
	q->ready = true;
	uv_timer_stop(&q->handshake);
	if (q->ops->ready)
		q->ops->ready(q, q->data);
}

static void call_send(struct qmp *q, struct qmp_call *c)
{
	c->sent = true;
	c->sent_at = uv_hrtime();
	tell_call(q, c, c->message, true);
	stream_send(q->stream, c->message, TAKE_FD(c->fd));
	json_object_put(c->message);
	c->message = NULL;
}

static void send_waiting(struct qmp *q)
{
	struct qmp_call *c;
	bool carried = false;

	if (!q->ready || !q->stream)
		return;
	TAILQ_FOREACH(c, &q->calls, link)
	{
		if (c->sent) {
			carried |= c->carries;
			continue;
		}
		if (carried)
			return;
		call_send(q, c);
		if (c->carries)
			return;
	}
}

static struct qmp_call *call_new(struct qmp *q, const char *verb, const char *command, struct json_object *args, int fd,
				 qmp_reply_fn *reply, void *data)
{
	struct qmp_call *c = xcalloc(1, sizeof(*c));

	c->q = q;
	c->name = json_object_new_string(command);
	c->id = ++q->next_id;
	c->fd = fd;
	c->carries = fd >= 0;
	c->reply = reply;
	c->data = data;
	c->message = json_object_new_object();
	json_add(c->message, verb, json_object_get(c->name));
	if (args)
		json_add(c->message, "arguments", args);
	json_add_int(c->message, "id", c->id);
	TAILQ_INSERT_TAIL(&q->calls, c, link);
	return c;
}

static void negotiate(struct qmp *q, int64_t id)
{
	struct json_object *args = NULL;
	struct qmp_call *c;

	if (q->oob) {
		struct json_object *list = json_object_new_array();

		json_object_array_add(list, json_object_new_string("oob"));
		args = json_object_new_object();
		json_add(args, "enable", list);
	}
	c = call_new(q, "execute", "qmp_capabilities", args, -1, on_negotiated, q);
	if (id) {
		c->id = id;
		json_add_int(c->message, "id", id);
	}
	call_send(q, c);
	/* What waits must stay behind it, also in the list. */
	TAILQ_REMOVE(&q->calls, c, link);
	TAILQ_INSERT_HEAD(&q->calls, c, link);
}

static void on_greeting(struct qmp *q, struct json_object *greeting)
{
	tell_other(q, "QMP", greeting);
	q->greeted = true;
	negotiate(q, 0);
}

static void on_value(struct stream *s, struct json_object *value, void *data)
{
	struct qmp *q = data;
	const char *event = json_get_str(value, "event");

	if (!json_object_is_type(value, json_type_object)) {
		tell_other(q, NULL, value);
		lose(q, ERR_QEMU, "the monitor sent something that is no QMP");
	} else if (event) {
		on_event(q, event, value);
	} else if (json_object_object_get_ex(value, "QMP", NULL) && !q->greeted) {
		on_greeting(q, value);
	} else {
		on_reply(q, value);
	}
}

static void on_bad(struct stream *s, const struct err *e, bool fatal, void *data)
{
	_cleanup_free_ char *why = xasprintf("the monitor sent something that is no QMP: %s", e->desc);

	lose(data, ERR_QEMU, why);
}

static void on_closed(struct stream *s, int error, void *data)
{
	lose(data, ERR_GUEST_GONE, "the connection to QEMU's monitor ended");
}

static void use_socket(struct qmp *q, int fd)
{
	static const struct stream_ops stream_ops = { .value = on_value, .bad = on_bad, .closed = on_closed };

	q->stream = stream_new(q->loop, fd, &json_limits_qemu, &stream_ops, q);
	uv_timer_start(&q->handshake, on_handshake_expired, QMP_HANDSHAKE_MS, 0);
}

void qmp_reconnect(struct qmp *q, int fd)
{
	use_socket(q, fd);
}

/* QEMU refuses to negotiate twice, and says so in its turn: that is the barrier. Its id is one that no former client has
 * used, for they count from 1, or began at another time. */
void qmp_resume(struct qmp *q, int fd)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	use_socket(q, fd);
	q->greeted = q->resumed = true;
	negotiate(q, (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

int qmp_settled_fd(const struct qmp *q)
{
	const struct qmp_call *c;

	if (!qmp_is_ready(q) || !q->stream)
		return -1;
	TAILQ_FOREACH(c, &q->calls, link)
	if (c->carries && c->sent)
		return -1;
	return stream_settled_fd(q->stream);
}

struct qmp *qmp_new(uv_loop_t *loop, int fd, bool oob, const struct qmp_ops *ops, void *data)
{
	struct qmp *q = xcalloc(1, sizeof(*q));

	q->loop = loop;
	q->ops = ops;
	q->data = data;
	q->oob = oob;
	TAILQ_INIT(&q->calls);
	uv_timer_init(loop, &q->handshake);
	if (fd >= 0)
		qmp_reconnect(q, fd);
	return q;
}

void qmp_close(struct qmp *q)
{
	hang_up(q, ERR_GUEST_GONE, "QEMU has ended");
}

struct qmp *qmp_free(struct qmp *q)
{
	struct qmp_call *c;

	if (!q)
		return NULL;
	q->dead = true;
	q->stream = stream_free(q->stream);
	while ((c = TAILQ_FIRST(&q->calls)))
		call_free(c); /* NOLINT(clang-analyzer-unix.Malloc): as in hang_up() */
	while (q->listeners)
		qmp_unlisten(q->listeners);
	if (!q->busy)
		free_memory(q);
	return NULL;
}

bool qmp_is_ready(const struct qmp *q)
{
	return q && q->ready;
}

bool qmp_is_gone(const struct qmp *q)
{
	return !q || q->gone;
}

bool qmp_is_lost(const struct qmp *q)
{
	return q && !q->gone && !q->stream;
}

void qmp_set_ping(struct qmp *q, struct qmp *oob)
{
	q->ping = oob;
}

struct qmp *qmp_ping_of(const struct qmp *q)
{
	return q->ping;
}

static struct qmp_call *send_call(struct qmp *q, const char *operation, const char *verb, const char *command,
				  struct json_object *args, int fd, qmp_reply_fn *reply, void *data)
{
	struct qmp_call *c;

	if (q->gone) {
		json_object_put(args);
		fd_close(fd);
		return NULL;
	}
	c = call_new(q, verb, command, args, fd, reply, data);
	c->operation = xstrdup(operation);
	send_waiting(q);
	return c;
}

struct qmp_call *qmp_send(struct qmp *q, const char *command, struct json_object *args, int fd, qmp_reply_fn *reply,
			  void *data)
{
	return send_call(q, NULL, "execute", command, args, fd, reply, data);
}

struct qmp_call *qmp_send_for(struct qmp *q, const char *operation, const char *command, struct json_object *args,
			      int fd, qmp_reply_fn *reply, void *data)
{
	return send_call(q, operation, "execute", command, args, fd, reply, data);
}

struct qmp_call *qmp_send_oob(struct qmp *q, const char *operation, const char *command, qmp_reply_fn *reply,
			      void *data)
{
	return send_call(q, operation, "exec-oob", command, NULL, -1, reply, data);
}

void qmp_forget(struct qmp_call *call)
{
	if (!call)
		return;
	if (call->sent)
		call->reply = NULL;
	else
		call_free(call);
}

void qmp_listen(struct qmp *q, struct qmp_listener *l)
{
	l->next = q->listeners;
	if (l->next)
		l->next->prev = &l->next;
	l->prev = &q->listeners;
	l->seen = q->events;
	q->listeners = l;
}

void qmp_unlisten(struct qmp_listener *l)
{
	if (!l->prev)
		return;
	*l->prev = l->next;
	if (l->next)
		l->next->prev = l->prev;
	l->next = NULL;
	l->prev = NULL;
}
