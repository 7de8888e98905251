/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/file_work.h"

#include "base/aside.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/queue.h>

/* ---- what a path leads to ---- */

/* One look at a path, for all who asked before it began. */
struct look {
	LIST_ENTRY(look) link;
	LIST_HEAD(, file_ask) asks;
	struct look *next; /* begins when this one is done */
	uv_loop_t *loop;
	char *path, *identity;
	int error;
	uv_idle_t refused; /* where no thread was to be had */
};

struct file_ask {
	LIST_ENTRY(file_ask) link;
	file_identity_fn *fn;
	void *data;
};

static LIST_HEAD(, look) looks = LIST_HEAD_INITIALIZER(looks);

static char *identity_text(const uv_stat_t *st)
{
	return xasprintf("%" PRIx64 "-%" PRIx64 "-%" PRIx64 "-%lx.%lx", st->st_dev, st->st_ino, st->st_size,
			 (unsigned long)st->st_mtim.tv_sec, (unsigned long)st->st_mtim.tv_nsec);
}

static char *identity_of(const char *path, int *error)
{
	uv_fs_t req;
	int r = uv_fs_stat(NULL, &req, path, NULL);
	char *text = r < 0 ? NULL : identity_text(&req.statbuf);

	*error = r < 0 ? -r : 0;
	uv_fs_req_cleanup(&req);
	return text;
}

static void look_run(void *data)
{
	struct look *l = data;

	l->identity = identity_of(l->path, &l->error);
}

static void look_begin(struct look *l);

static void look_done(void *data)
{
	struct look *l = data;
	struct file_ask *ask;

	LIST_REMOVE(l, link);
	if (l->next)
		look_begin(l->next);
	/* What is freed is off the list, which the analyzer does not see. */
	while ((ask = LIST_FIRST(&l->asks))) {
		file_identity_fn *fn = ask->fn; /* NOLINT(clang-analyzer-unix.Malloc) */
		void *of = ask->data;

		file_ask_forget(ask);
		fn(l->identity, l->error, of);
	}
	free(l->identity);
	free(l->path);
	free(l);
}

static void on_refusal_told(uv_handle_t *handle)
{
	look_done(CONTAINER_OF((uv_idle_t *)handle, struct look, refused));
}

static void look_begin(struct look *l)
{
	LIST_INSERT_HEAD(&looks, l, link);
	if (aside_run(l->loop, look_run, look_done, l))
		return;
	l->error = errno;
	uv_idle_init(l->loop, &l->refused);
	uv_close((uv_handle_t *)&l->refused, on_refusal_told);
}

static struct look *look_new(uv_loop_t *loop, const char *path)
{
	struct look *l = xcalloc(1, sizeof(*l));

	l->loop = loop;
	l->path = xstrdup(path);
	LIST_INIT(&l->asks);
	return l;
}

struct file_ask *file_identity(uv_loop_t *loop, const char *path, file_identity_fn *fn, void *data)
{
	struct file_ask *ask = xcalloc(1, sizeof(*ask));
	const char *meant = path[0] == '/' ? path : "";
	struct look *l;

	LIST_FOREACH(l, &looks, link)
	if (l->loop == loop && str_eq(l->path, meant))
		break;
	if (!l) {
		l = look_new(loop, meant);
		look_begin(l);
	} else {
		if (!l->next)
			l->next = look_new(loop, meant);
		l = l->next;
	}
	ask->fn = fn;
	ask->data = data;
	LIST_INSERT_HEAD(&l->asks, ask, link);
	return ask;
}

void file_ask_forget(struct file_ask *ask)
{
	LIST_REMOVE(ask, link);
	free(ask);
}

char *file_identity_now(const char *path)
{
	int error;

	return identity_of(path, &error);
}

/* ---- waits of operations ---- */

struct work {
	uv_work_t req;
	struct op *op; /* NULL: nobody waits any more */
	file_work_fn *fn;
	void *data;
	void (*free_data)(void *data);
	struct err *err;
};

static void work_run(uv_work_t *req)
{
	struct work *w = CONTAINER_OF(req, struct work, req);

	w->fn(w->data, &w->err);
}

static void work_end(struct work *w)
{
	struct op *op = w->op;
	struct err *err = w->err;

	if (w->free_data)
		w->free_data(w->data);
	free(w);
	if (op)
		op_resume(op, err);
	else
		err_free(err);
}

static void work_done(uv_work_t *req, int status)
{
	struct work *w = CONTAINER_OF(req, struct work, req);

	if (status < 0 && !w->err)
		err_set(&w->err, ERR_CANCELLED, "work cancelled");
	work_end(w);
}

static void work_forget(struct op *op, void *data)
{
	((struct work *)data)->op = NULL;
}

static void work_expired(struct op *op, void *data)
{
	op_stall(op);
}

static struct work *work_new(struct op *op, file_work_fn *fn, void *data, void (*free_data)(void *data))
{
	struct work *w = xcalloc(1, sizeof(*w));

	w->op = op;
	w->fn = fn;
	w->data = data;
	w->free_data = free_data;
	return w;
}

enum verdict file_work(struct op *op, file_work_fn *fn, void *data, void (*free_data)(void *data))
{
	static const struct op_wait_ops ops = { .what = "answer of the disk",
						.forget = work_forget,
						.expired = work_expired };
	struct work *w = work_new(op, fn, data, free_data);

	uv_queue_work(op->deadline.loop, &w->req, work_run, work_done);
	return op_wait(op, &ops, w);
}

static void aside_work(void *data)
{
	struct work *w = data;

	w->fn(w->data, &w->err);
}

static void aside_done(void *data)
{
	work_end(data);
}

enum verdict file_look(struct op *op, file_work_fn *fn, void *data, void (*free_data)(void *data))
{
	static const struct op_wait_ops ops = { .what = "answer of a server",
						.forget = work_forget,
						.abortable = true };
	struct work *w = work_new(op, fn, data, free_data);

	/* A host that has no thread to give: those of the pool are there. */
	if (!aside_run(op->deadline.loop, aside_work, aside_done, w))
		uv_queue_work(op->deadline.loop, &w->req, work_run, work_done);
	return op_wait(op, &ops, w);
}
