/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a stream is to do follows from its flags alone: public functions set flags and, where that
 * leaves something to be reported, start an idle handle, which makes the loop come round once;
 * the callbacks of the loop do the work and end in settle(), which reports the end or arms the
 * poll. An idle stream has no running timer, no idle handle and no buffer.
 *
 * The end is one of: the socket failed; our hang-up (finish) or the peer's, both after the queue
 * of output is written. A peer that hangs up may still be reading, so what is queued goes out
 * first. A peer that does not read any more (EPIPE) may have left requests or QEMU's last words,
 * so reading goes on to the end of file; only what is queued is dropped at once.
 */
#include "base/stream.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define PORTION (64 * 1024)
#define PATIENCE_MS 5000
/* Per turn of the loop; what is left waits for the next one. */
#define SENDS_MAX 16
#define PIECES_MAX 32

/* One value on its way out. */
struct piece {
	struct piece *next;
	char *text;
	size_t len;
	int fd;
};

struct stream {
	uv_poll_t poll;
	uv_idle_t later;
	uv_timer_t patience;
	int handles; /* that libuv has not let go of yet */

	int fd;
	int events; /* the poll waits for */
	const struct stream_ops *ops;
	void *data;
	struct json_reader *reader;

	/* Input that is read and not yet delivered: in the shared portion while values are
	 * delivered, in `kept` while it waits. */
	const char *in;
	size_t in_len;
	char *kept;

	struct piece *head, **tail;
	size_t sent; /* of the head */
	size_t queued;

	int error;
	bool in_loop;  /* a callback of the loop is at work and will settle */
	bool paused;   /* by the owner */
	bool finished; /* by the owner */
	bool dead;     /* the reader is */
	bool eof;      /* the peer sends no more */
	bool broken;   /* the peer takes no more */
	bool told;     /* hung_up() was called */
	bool ended;    /* closed() was called */
	bool gone;     /* stream_free() was called */
};

/* One for all: it is in use only from recv() to the end of the same callback. */
static char portion[PORTION];

static void on_poll(uv_poll_t *handle, int status, int events);

static bool reading(const struct stream *s)
{
	return !s->paused && !s->finished && !s->dead && !s->eof && !s->error && !s->ended && !s->gone;
}

static bool writing(const struct stream *s)
{
	return s->head && !s->broken && !s->error && !s->ended && !s->gone;
}

/* Whether the end is to be reported. */
static bool is_over(const struct stream *s)
{
	if (s->ended || s->gone)
		return false;
	/* broken: a paused owner may be waiting for a queue that will never move */
	if (s->error || (s->broken && !reading(s)))
		return true;
	return (s->finished || (s->eof && !s->in_len)) && !writing(s);
}

static void piece_free(struct stream *s)
{
	struct piece *p = s->head;

	s->head = p->next;
	if (!s->head)
		s->tail = &s->head;
	s->queued -= p->len - s->sent;
	s->sent = 0;
	fd_close(p->fd);
	free(p->text);
	free(p);
}

static void drop_output(struct stream *s)
{
	while (s->head)
		piece_free(s);
}

static void drop_input(struct stream *s)
{
	s->in = NULL;
	s->in_len = 0;
	free(s->kept);
	s->kept = NULL;
}

static void arm_poll(struct stream *s)
{
	int events = 0;

	if (reading(s) && !s->in_len)
		events |= UV_READABLE;
	if (writing(s))
		events |= UV_WRITABLE;
	/* the least that can be waited for brings a hang-up with it, and not the end of one direction as
	 * UV_DISCONNECT would */
	if (!events && s->paused && s->ops->hung_up && !s->told && !s->error && !s->ended && !s->gone)
		events = UV_PRIORITIZED;
	if (events == s->events)
		return;
	s->events = events;
	if (events)
		uv_poll_start(&s->poll, events, on_poll);
	else
		uv_poll_stop(&s->poll);
}

static void on_impatient(uv_timer_t *timer);

/* PROGRESS: the peer took something, its time starts anew. */
static void arm_patience(struct stream *s, bool progress)
{
	bool wanted = writing(s) && (s->finished || s->eof);

	if (!wanted)
		uv_timer_stop(&s->patience);
	else if (progress || !uv_is_active((uv_handle_t *)&s->patience))
		uv_timer_start(&s->patience, on_impatient, PATIENCE_MS, 0);
}

/* Leaves nothing unread behind: the kernel would turn the end of file that the peer is to see
 * into ECONNRESET. Once the socket is shut down nothing more can come in. */
static void hang_up(struct stream *s)
{
	shutdown(s->fd, SHUT_RDWR);
	while (recv(s->fd, portion, sizeof(portion), MSG_DONTWAIT) > 0)
		;
}

static void on_later(uv_idle_t *handle);

static void arm(struct stream *s)
{
	arm_poll(s);
	arm_patience(s, false);
	if (is_over(s) || (s->in_len && reading(s)))
		uv_idle_start(&s->later, on_later);
}

/* The last act of each callback of the loop. */
static void settle(struct stream *s)
{
	if (s->gone)
		return;
	if (!is_over(s)) {
		arm(s);
		return;
	}
	if (s->finished && !s->error)
		hang_up(s);
	drop_input(s);
	drop_output(s);
	s->ended = true;
	arm(s);
	s->ops->closed(s, s->error, s->data);
}

/* The last act of each public function that changed something. */
static void changed(struct stream *s)
{
	if (!s->in_loop && !s->gone)
		arm(s);
}

static void on_impatient(uv_timer_t *timer)
{
	struct stream *s = CONTAINER_OF(timer, struct stream, patience);

	s->broken = true;
	settle(s);
}

static void hand_over(struct stream *s, enum json_status status, struct json_object *value, const struct err *e)
{
	switch (status) {
	case JSON_MORE:
		break;
	case JSON_VALUE:
		s->ops->value(s, value, s->data);
		break;
	case JSON_BAD:
		s->ops->bad(s, e, false, s->data);
		break;
	case JSON_OVERFLOW:
		s->dead = true;
		s->ops->bad(s, e, true, s->data);
		break;
	}
}

/* Hands over what s->in holds, as far as the owner wants it. */
static void deliver(struct stream *s)
{
	while (s->in_len && reading(s)) {
		_cleanup_json_ struct json_object *value = NULL;
		_cleanup_err_ struct err *e = NULL;
		enum json_status status = json_reader_next(s->reader, &s->in, &s->in_len, &value, &e);

		hand_over(s, status, value, e);
	}
	if (!s->in_len || s->dead) {
		drop_input(s);
	} else if (!s->kept) {
		s->kept = xmemdup(s->in, s->in_len);
		s->in = s->kept;
	}
}

static void on_later(uv_idle_t *handle)
{
	struct stream *s = CONTAINER_OF(handle, struct stream, later);

	uv_idle_stop(handle);
	s->in_loop = true;
	deliver(s);
	s->in_loop = false;
	settle(s);
}

static void deliver_end(struct stream *s)
{
	_cleanup_json_ struct json_object *value = NULL;
	_cleanup_err_ struct err *e = NULL;
	enum json_status status = json_reader_end(s->reader, &value, &e);

	s->eof = true;
	hand_over(s, status, value, e);
}

/* recv() and not recvmsg(): without room for them the kernel drops descriptors that the peer sent,
 * they never become ours. */
static void receive(struct stream *s)
{
	ssize_t n = recv(s->fd, portion, sizeof(portion), MSG_DONTWAIT);

	if (n > 0) {
		s->in = portion;
		s->in_len = (size_t)n;
		deliver(s);
	} else if (n == 0) {
		deliver_end(s);
	} else if (errno == ECONNRESET) {
		/* hung up without reading all of our output */
		s->broken = true;
		drop_output(s);
		deliver_end(s);
	} else if (errno != EAGAIN && errno != EINTR) {
		s->error = errno;
	}
}

/* The pieces that may go out with one sendmsg(): none but the first carries a descriptor. */
static size_t gather(const struct stream *s, struct iovec *iov)
{
	size_t n = 0, skip = s->sent;

	for (const struct piece *p = s->head; p && n < PIECES_MAX && (!n || p->fd < 0); p = p->next) {
		iov[n++] = (struct iovec){ p->text + skip, p->len - skip };
		skip = 0;
	}
	return n;
}

static ssize_t send_some(struct stream *s)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov[PIECES_MAX];
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = gather(s, iov) };

	if (s->head->fd >= 0) {
		struct cmsghdr *c;

		msg.msg_control = control.buf;
		msg.msg_controllen = sizeof(control.buf);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &s->head->fd, sizeof(int));
	}
	return sendmsg(s->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void consume_output(struct stream *s, size_t n)
{
	/* it went with the first byte */
	s->head->fd = fd_close(s->head->fd);
	while (n) {
		size_t left = s->head->len - s->sent;

		if (n < left) {
			s->sent += n;
			s->queued -= n;
			return;
		}
		n -= left;
		piece_free(s);
	}
}

static void flush(struct stream *s)
{
	for (int i = 0; i < SENDS_MAX && writing(s); i++) {
		ssize_t n = send_some(s);

		if (n > 0) {
			consume_output(s, (size_t)n);
			arm_patience(s, true);
			continue;
		}
		if (n == 0 || errno == EAGAIN)
			return;
		if (errno == EINTR)
			continue;
		if (errno == EPIPE || errno == ECONNRESET)
			s->broken = true;
		else
			s->error = errno;
		drop_output(s);
	}
}

/* Whether the peer is gone; else what came is the urgent byte that some kernels have, and is dropped. */
static void look_for_hangup(struct stream *s)
{
	struct pollfd p = { .fd = s->fd };
	char byte;

	if (poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR))) {
		s->told = true;
		s->ops->hung_up(s, s->data);
	} else if (recv(s->fd, &byte, 1, MSG_OOB | MSG_DONTWAIT) < 0 && errno != EAGAIN && errno != EINTR) {
		s->told = true; /* nothing that could be waited for */
	}
}

/* libuv turns POLLERR, which a peer causes by hanging up with our output unread, into a negative
 * status and stops the poll, with input still to be read. The calls tell the truth. */
static void on_poll(uv_poll_t *handle, int status, int events)
{
	struct stream *s = CONTAINER_OF(handle, struct stream, poll);
	bool had_output = writing(s);

	if (status < 0) {
		events = s->events;
		s->events = 0;
	}
	s->in_loop = true;
	if (events & UV_WRITABLE)
		flush(s);
	if (had_output && !s->head && !s->broken && !s->error && s->ops->drained)
		s->ops->drained(s, s->data);
	if ((events & UV_READABLE) && reading(s) && !s->in_len && !s->error)
		receive(s);
	if (events & UV_PRIORITIZED)
		look_for_hangup(s);
	s->in_loop = false;
	settle(s);
}

struct stream *stream_new(uv_loop_t *loop, int fd, const struct json_limits *limits, const struct stream_ops *ops,
			  void *data)
{
	struct stream *s = xcalloc(1, sizeof(*s));
	int rc;

	s->fd = fd;
	s->ops = ops;
	s->data = data;
	s->tail = &s->head;
	s->reader = json_reader_new(limits);
	uv_idle_init(loop, &s->later);
	uv_timer_init(loop, &s->patience);
	s->handles = 2;
	rc = uv_poll_init(loop, &s->poll, fd);
	if (rc < 0) {
		s->error = -rc;
		uv_idle_start(&s->later, on_later);
		return s;
	}
	s->handles++;
	arm_poll(s);
	return s;
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct stream *s = handle->data;

	if (!--s->handles)
		free(s);
}

static void close_handle(struct stream *s, uv_handle_t *handle)
{
	handle->data = s;
	uv_close(handle, on_handle_closed);
}

struct stream *stream_free(struct stream *s)
{
	if (!s)
		return NULL;
	s->gone = true;
	drop_input(s);
	drop_output(s);
	s->reader = json_reader_free(s->reader);
	if (s->handles == 3)
		close_handle(s, (uv_handle_t *)&s->poll);
	close_handle(s, (uv_handle_t *)&s->later);
	close_handle(s, (uv_handle_t *)&s->patience);
	s->fd = fd_close(s->fd);
	return NULL;
}

void stream_send(struct stream *s, struct json_object *value, int fd)
{
	struct piece *p;

	if (s->finished || s->broken || s->error || s->ended) {
		fd_close(fd);
		return;
	}
	p = xcalloc(1, sizeof(*p));
	p->text = json_print(value);
	p->len = strlen(p->text);
	p->text = xrealloc(p->text, p->len + 2, 1);
	memcpy(p->text + p->len, "\r\n", 2);
	p->len += 2;
	p->fd = fd;
	*s->tail = p;
	s->tail = &p->next;
	s->queued += p->len;
	/* behind others the socket was full a moment ago */
	if (s->head == p)
		flush(s);
	changed(s);
}

size_t stream_queued(const struct stream *s)
{
	return s->queued;
}

int stream_settled_fd(const struct stream *s)
{
	bool half = s->head || s->in_len || json_reader_held(s->reader);

	return half || s->error || s->dead || s->eof || s->broken || s->finished || s->ended ? -1 : s->fd;
}

void stream_pause(struct stream *s, bool pause)
{
	s->paused = pause;
	changed(s);
}

void stream_finish(struct stream *s)
{
	s->finished = true;
	drop_input(s);
	changed(s);
}

void stream_detach(struct stream *s, int *fd, char **rest, size_t *len, char **out, size_t *out_len)
{
	char *p;

	*len = s->in_len;
	*rest = xmemdup(s->in, s->in_len);
	*out_len = s->queued;
	*out = p = xcalloc(1, s->queued);
	for (size_t skip = s->sent; s->head; skip = 0) {
		memcpy(p, s->head->text + skip, s->head->len - skip);
		p += s->head->len - skip;
		piece_free(s);
	}
	*fd = TAKE_FD(s->fd);
	stream_free(s);
}

bool stream_peer(const struct stream *s, uid_t *uid, pid_t *pid)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(s->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 || cred.uid == (uid_t)-1)
		return false;
	*uid = cred.uid;
	*pid = cred.pid;
	return true;
}
