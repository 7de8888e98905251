/* SPDX-License-Identifier: BSD-2-Clause */
#include "storage/open.h"

#include "base/child.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct opening {
	struct op *op;
	struct open_item *items;
	size_t n, at; /* the item whose answer is next */
	char *opener;
	struct child *child; /* until it was reaped */
	uv_poll_t poll;
	int fd; /* our end of the socket */
	step_fn *then;
	void *arg;
};

static void on_closed(uv_handle_t *handle)
{
	struct opening *o = handle->data;

	free(o->opener);
	free(o);
}

static void on_end(const struct child_end *end, void *data)
{
	((struct opening *)data)->child = NULL;
}

/* Whatever it still sends is closed with the socket. One that cannot die does not keep us. */
static void opening_close(struct opening *o, bool kill)
{
	if (o->child && kill)
		child_kill(o->child, SIGKILL);
	if (o->child)
		child_forget(o->child);
	uv_close((uv_handle_t *)&o->poll, on_closed);
	o->fd = fd_close(o->fd);
}

static void opening_forget(struct op *op, void *data)
{
	opening_close(data, true);
}

static void opening_done(struct opening *o, struct err *e)
{
	struct op *op = o->op;
	step_fn *then = o->then;
	void *arg = o->arg;

	opening_close(o, e != NULL);
	if (!e && then && then(op, arg) == OP_FAIL)
		e = op_take_err(op);
	op_resume(op, e);
}

static void opening_expired(struct op *op, void *data)
{
	struct opening *o = data;
	struct err *e = NULL;

	if (o->at < o->n) {
		err_set(&e, ERR_TIMEOUT, "%s: '%s': could not be opened within %u.%u s; nothing was changed",
			o->items[o->at].what, o->items[o->at].path, op->wait_ms / 1000, op->wait_ms % 1000 / 100);
		err_name_param(&e, o->items[o->at].what);
	} else {
		err_set(&e, ERR_TIMEOUT, "'%s' did not end; nothing was changed", o->opener);
	}
	opening_done(o, e);
}

/* ---- answers ---- */

/* What no drover-open does. */
static bool garbage(const struct opening *o, const char *what, struct err **e)
{
	const struct open_item *item = o->at < o->n ? &o->items[o->at] : NULL;

	if (item)
		return err_set(e, ERR_STORAGE, "%s: '%s': '%s' %s", item->what, item->path, o->opener, what);
	return err_set(e, ERR_STORAGE, "'%s' %s", o->opener, what);
}

static bool fits(const struct open_item *item, uint32_t result)
{
	if (!(item->flags & OPEN_BOOT))
		return result == (item->flags & OPEN_LINE ? OPEN_READ : OPEN_IMAGE);
	return result == OPEN_COPIED || (result == OPEN_IN_PLACE && !(item->flags & OPEN_COPY)) ||
	       (result == OPEN_ABSENT && (item->flags & OPEN_OPTIONAL));
}

/* Only what its item may have. Nobody looks at the descriptor itself: that could wait for the same file server. */
static bool take_answer(struct opening *o, const struct open_answer *a, int *fd, struct err **e)
{
	struct open_item *item = &o->items[o->at];
	int length = (int)strnlen(a->text, sizeof(a->text));

	if ((*fd >= 0) != (a->result == OPEN_IMAGE))
		return garbage(o, "gave a wrong number of descriptors", e);
	if (a->result == OPEN_FAILED && a->errnum > 0) {
		err_set_errno(e, ERR_STORAGE, a->errnum, "%s: '%s'%s%.*s", item->what, item->path, length ? ": " : "",
			      length, a->text);
		return err_name_param(e, item->what);
	}
	if (a->result == OPEN_REFUSED) {
		err_set(e, ERR_STORAGE, "%s: '%s': %.*s", item->what, item->path, length, a->text);
		return err_name_param(e, item->what);
	}
	if (!fits(item, a->result))
		return garbage(o, "gave an answer that does not fit", e);
	if (a->result == OPEN_READ)
		memcpy(item->line, a->text, (size_t)length + (length < OPEN_TEXT_MAX));
	item->line[sizeof(item->line) - 1] = '\0';
	item->opened = a->result == OPEN_IMAGE;
	item->fd = TAKE_FD(*fd);
	item->block = a->block;
	item->size = a->size;
	item->dev = a->dev;
	item->ino = a->ino;
	item->copied = a->result == OPEN_COPIED;
	o->at++;
	return true;
}

/* The one descriptor of a message. More than one are closed, and false. */
static bool take_descriptor(struct msghdr *msg, int *fd)
{
	bool good = true;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; i < n && c->cmsg_type == SCM_RIGHTS; i++) {
			int got;

			memcpy(&got, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			good &= *fd < 0;
			fd_close(*fd);
			*fd = got;
		}
	}
	return good;
}

/* One message. False: no more of them now, because of an error, or because *END was reached. */
static bool receive(struct opening *o, bool *end, struct err **e)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct open_answer a = { 0 };
	struct iovec iov = { &a, sizeof(a) };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf, .msg_controllen = sizeof(control.buf)
	};
	_cleanup_close_ int fd = -1;
	ssize_t n = recvmsg(o->fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n < 0)
		return err_set_errno(e, ERR_STORAGE, errno, "'%s'", o->opener);
	if (!take_descriptor(&msg, &fd))
		return garbage(o, "gave a wrong number of descriptors", e);
	if (n == 0) {
		*end = true;
		return o->at < o->n ? garbage(o, "ended without an answer", e) : false;
	}
	if (o->at == o->n)
		return garbage(o, "gave an answer that nobody asked for", e);
	if (fd < 0 && (msg.msg_flags & MSG_CTRUNC)) /* there was one, and no number was free for it */
		return err_set_errno(e, ERR_STORAGE, EMFILE, "%s", o->items[o->at].what);
	if (n != sizeof(a) || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || a.version != OPEN_VERSION)
		return garbage(o, "is not understood; is it of another version than droverd?", e);
	return take_answer(o, &a, &fd, e);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct opening *o = poll->data;
	struct err *e = NULL;
	bool end = false;

	while (receive(o, &end, &e))
		;
	if (status < 0 && !e && !end)
		err_set_errno(&e, ERR_STORAGE, -status, "'%s'", o->opener);
	if (e || end)
		opening_done(o, e);
}

/* ---- the child ---- */

static char *owner_words(const struct open_owner *owner)
{
	char *words;

	if (!owner)
		return xstrdup("0,0");
	words = xasprintf("%u,%u", owner->uid, owner->gid);
	for (size_t i = 0; i < owner->n_groups; i++) {
		char *more = xasprintf("%s,%u", words, owner->groups[i]);

		free(words);
		words = more;
	}
	return words;
}

static struct child *spawn(struct opening *o, const struct open_owner *owner, int socket, struct err **e)
{
	int fds[] = { -1, -1, -1, [OPEN_SOCKET_FD] = socket, [OPEN_COPIES_FD] = owner ? owner->dir : -1 };
	_cleanup_free_ const char **argv = xcalloc(2 + 3 * o->n + 1, sizeof(char *));
	_cleanup_free_ char *words = owner_words(owner), *numbers = xcalloc(o->n + 1, 12);
	struct child_spec spec = { .argv = argv, .fds = fds, .n_fds = ARRAY_SIZE(fds) };
	size_t n = 0;

	argv[n++] = o->opener;
	argv[n++] = words;
	for (size_t i = 0; i < o->n; i++) {
		struct open_item *item = &o->items[i];
		char *number = numbers + 12 * i;

		assert(!(item->flags & OPEN_BOOT) || (owner && item->copy && !strchr(item->copy, '/')));
		snprintf(number, 12, "%u", item->flags);
		argv[n++] = number;
		argv[n++] = item->path;
		argv[n++] = item->copy ? item->copy : "";
	}
	return child_spawn(o->op->deadline.loop, &spec, on_end, o, e);
}

enum verdict open_items(struct op *op, const char *opener, struct open_item *items, size_t n,
			const struct open_owner *owner)
{
	return open_items_then(op, opener, items, n, owner, NULL, NULL);
}

enum verdict open_items_then(struct op *op, const char *opener, struct open_item *items, size_t n,
			     const struct open_owner *owner, step_fn *then, void *arg)
{
	static const struct op_wait_ops ops = {
		.what = "answer of the opener", .forget = opening_forget, .expired = opening_expired, .abortable = true
	};
	struct opening *o;
	struct err *e = NULL;
	int pair[2];

	for (size_t i = 0; i < n; i++)
		items[i].opened = items[i].copied = false;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		err_set_errno(&e, ERR_STORAGE, errno, "cannot make a socket pair");
		return op_fail_err(op, e);
	}
	o = xcalloc(1, sizeof(*o));
	o->op = op;
	o->items = items;
	o->n = n;
	o->opener = xstrdup(opener);
	o->then = then;
	o->arg = arg;
	o->fd = pair[0];
	uv_poll_init(op->deadline.loop, &o->poll, o->fd);
	o->poll.data = o;
	o->child = spawn(o, owner, pair[1], &e);
	close(pair[1]);
	if (!o->child) {
		opening_close(o, false);
		return op_fail_err(op, e);
	}
	uv_poll_start(&o->poll, UV_READABLE, on_readable);
	return op_wait(op, &ops, o);
}

/* ---- what was opened ---- */

void open_items_close(struct open_item *items, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (items[i].opened)
			fd_close(items[i].fd);
		items[i].opened = false;
	}
}

static bool is_clash(const struct open_item *a, const struct open_item *b)
{
	unsigned flags = a->flags | b->flags, both = a->flags & b->flags;

	return !(flags & OPEN_BOOT) && (flags & OPEN_WRITE) && !(both & OPEN_SHARED) && a->block == b->block &&
	       a->dev == b->dev && a->ino == b->ino;
}

bool open_items_check_twice(const struct open_item *items, size_t n, struct err **e)
{
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++)
			if (is_clash(&items[j], &items[i])) {
				err_set(e, ERR_STORAGE, "%s: the same %s as %s", items[i].what,
					items[i].block ? "device" : "file", items[j].what);
				return err_name_param(e, items[i].what);
			}
	return true;
}
