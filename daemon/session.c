/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/session.h"

#include "base/log.h"
#include "base/stream.h"
#include "daemon/ask.h"
#include "daemon/job.h"

struct waiting {
	STAILQ_ENTRY(waiting) link;
	struct json_object *request;
};

struct session {
	LIST_ENTRY(session) link;
	struct daemon *d;
	struct stream *stream;
	uid_t uid;
	pid_t pid;
	bool negotiated, lost, paused;
	bool in_turn; /* a request without id is under way */
	unsigned requests;
	STAILQ_HEAD(, waiting) waiting; /* further requests without id */
};

static void session_free(struct session *s)
{
	struct waiting *w;

	job_forget_session(s->d, s);
	ask_forget_session(s->d, s);
	while ((w = STAILQ_FIRST(&s->waiting))) {
		STAILQ_REMOVE_HEAD(&s->waiting, link);
		json_object_put(w->request);
		free(w);
	}
	stream_free(s->stream);
	LIST_REMOVE(s, link);
	s->d->n_sessions--;
	free(s);
}

static void throttle(struct session *s)
{
	bool pause = s->requests >= REQUESTS_MAX || stream_queued(s->stream) > OUT_MAX;

	if (pause != s->paused)
		stream_pause(s->stream, pause);
	s->paused = pause;
}

static void on_value(struct stream *stream, struct json_object *value, void *data)
{
	struct session *s = data;
	bool has_id = json_object_object_get_ex(value, "id", NULL);

	s->requests++;
	throttle(s);
	if (!has_id && s->in_turn) {
		struct waiting *w = xcalloc(1, sizeof(*w));

		w->request = json_object_get(value);
		STAILQ_INSERT_TAIL(&s->waiting, w, link);
		return;
	}
	if (!has_id)
		s->in_turn = true;
	dispatch(s, s->d, value);
}

void session_reply(struct session *s, struct json_object *ret, struct err *e, struct json_object *id, bool has_id)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct waiting *w;

	json_add(o, e ? "error" : "return", e ? err_to_json(e) : ret);
	err_free(e);
	if (has_id)
		json_add(o, "id", json_object_get(id));
	stream_send(s->stream, o, -1);
	s->requests--;
	throttle(s);
	if (has_id)
		return;
	w = STAILQ_FIRST(&s->waiting);
	s->in_turn = w != NULL;
	if (!w)
		return;
	STAILQ_REMOVE_HEAD(&s->waiting, link);
	dispatch(s, s->d, w->request);
	json_object_put(w->request);
	free(w);
}

static void on_bad(struct stream *stream, const struct err *e, bool fatal, void *data)
{
	struct session *s = data;
	_cleanup_json_ struct json_object *o = json_object_new_object();

	json_add(o, "error", err_to_json(e));
	stream_send(stream, o, -1);
	log_info("client (uid %d, pid %d): %s", s->uid, s->pid, e->desc);
	if (fatal)
		stream_finish(stream);
}

static void on_closed(struct stream *stream, int error, void *data)
{
	session_free(data);
}

/* Of as many requests as a session may have under way, none has a reader. They go on; the session, which is one of a
 * limited number, does not wait for them. */
static void on_hung_up(struct stream *stream, void *data)
{
	session_free(data);
}

static void on_drained(struct stream *stream, void *data)
{
	struct session *s = data;
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_err_ struct err *e = NULL;

	throttle(s);
	if (!s->lost)
		return;
	s->lost = false;
	event_gap(s->d, &e);
	o = json_object_new_object();
	json_add(o, "error", err_to_json(e));
	stream_send(stream, o, -1);
}

void session_broadcast(struct daemon *d, struct json_object *event)
{
	struct session *s;

	LIST_FOREACH(s, &d->sessions, link)
	{
		if (!s->negotiated || s->lost)
			continue;
		if (stream_queued(s->stream) > EVENT_QUEUE_MAX)
			s->lost = true;
		else
			stream_send(s->stream, event, -1);
	}
}

static void greet(struct session *s)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct json_object *qmp = json_object_new_object();

	json_add(qmp, "version", daemon_version());
	json_add(qmp, "capabilities", json_object_new_array());
	json_add_str(qmp, "epoch", s->d->epoch);
	json_add(o, "QMP", qmp);
	stream_send(s->stream, o, -1);
}

static void turn_away(struct session *s)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	_cleanup_err_ struct err *e = NULL;

	err_set(&e, ERR_BUSY, "%d sessions are open already; close one, or try again later", SESSIONS_MAX);
	json_add(o, "error", err_to_json(e));
	stream_send(s->stream, o, -1);
	stream_finish(s->stream);
}

void session_new(struct daemon *d, int fd)
{
	static const struct stream_ops ops = {
		.value = on_value, .bad = on_bad, .closed = on_closed, .drained = on_drained, .hung_up = on_hung_up
	};
	struct session *s = xcalloc(1, sizeof(*s));

	s->d = d;
	STAILQ_INIT(&s->waiting);
	s->stream = stream_new(d->loop, fd, &json_limits_request, &ops, s);
	if (!stream_peer(s->stream, &s->uid, &s->pid))
		s->uid = (uid_t)-1;
	LIST_INSERT_HEAD(&d->sessions, s, link);
	if (++d->n_sessions > SESSIONS_MAX)
		turn_away(s);
	else
		greet(s);
}

void session_peer(struct session *s, uid_t *uid, pid_t *pid)
{
	*uid = s->uid;
	*pid = s->pid;
}

bool session_is_negotiated(const struct session *s)
{
	return s->negotiated;
}

void session_negotiated(struct session *s)
{
	s->negotiated = true;
}

unsigned session_requests(const struct session *s)
{
	return s->requests;
}

void session_detach(struct session *s, int *fd, char **in, size_t *in_len, char **out, size_t *out_len)
{
	stream_detach(s->stream, fd, in, in_len, out, out_len);
	s->stream = NULL;
	session_free(s);
}
