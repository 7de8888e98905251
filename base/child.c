/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/child.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

char *program_find(const char *name)
{
	const char *path = getenv("PATH");
	_cleanup_free_ char *copy = xstrdup(path ? path : "/usr/local/bin:/usr/bin:/bin");

	for (char *save = NULL, *dir = strtok_r(copy, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
		_cleanup_free_ char *full = xasprintf("%s/%s", dir, name);

		if (dir[0] == '/' && access(full, X_OK) == 0)
			return TAKE_PTR(full);
	}
	return NULL;
}

struct capture {
	uv_pipe_t pipe;
	char *text;
	size_t n, max;
};

struct child {
	uv_process_t process;
	struct capture out, err;
	unsigned open; /* handles that are not closed: process and pipes */
	struct child_end result;
	void (*end)(const struct child_end *end, void *data);
	void *data;
};

static void on_closed(uv_handle_t *handle)
{
	struct child *c = handle->data;

	if (--c->open)
		return;
	c->result.out = c->out.text ? c->out.text : "";
	c->result.err = c->err.text ? c->err.text : "";
	if (c->end)
		c->end(&c->result, c->data);
	free(c->out.text);
	free(c->err.text);
	free(c);
}

static void on_process_exit(uv_process_t *process, int64_t status, int signal)
{
	struct child *c = process->data;

	c->result.status = signal ? -1 : (int)status;
	c->result.signal = signal;
	uv_close((uv_handle_t *)process, on_closed);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	static char portion[65536];

	*buf = uv_buf_init(portion, sizeof(portion));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct capture *cap = CONTAINER_OF(stream, struct capture, pipe);

	if (n < 0) {
		uv_close((uv_handle_t *)stream, on_closed);
		return;
	}
	if ((size_t)n > cap->max - cap->n)
		n = (ssize_t)(cap->max - cap->n);
	if (n == 0)
		return;
	cap->text = xrealloc(cap->text, cap->n + (size_t)n + 1, 1);
	memcpy(cap->text + cap->n, buf->base, (size_t)n);
	cap->n += (size_t)n;
	cap->text[cap->n] = '\0';
}

static void capture_init(struct child *c, struct capture *cap, size_t max, uv_loop_t *loop, uv_stdio_container_t *slot)
{
	uv_pipe_init(loop, &cap->pipe, 0);
	cap->pipe.data = c;
	cap->max = max;
	c->open++;
	slot->flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE;
	slot->data.stream = (uv_stream_t *)&cap->pipe;
}

struct child *child_spawn(uv_loop_t *loop, const struct child_spec *spec,
			  void (*end)(const struct child_end *end, void *data), void *data, struct err **e)
{
	unsigned n = spec->n_fds < 3 ? 3 : spec->n_fds;
	_cleanup_free_ uv_stdio_container_t *stdio = xcalloc(n, sizeof(*stdio));
	struct child *c = xcalloc(1, sizeof(*c));
	uv_process_options_t options = {
		.file = spec->argv[0],
		.args = (char **)(uintptr_t)spec->argv,
		.exit_cb = on_process_exit,
		.stdio = stdio,
		.stdio_count = (int)n,
	};
	int r;

	for (unsigned i = 0; i < n; i++) {
		bool given = i < spec->n_fds && spec->fds[i] >= 0;

		stdio[i].flags = given ? UV_INHERIT_FD : UV_IGNORE;
		stdio[i].data.fd = given ? spec->fds[i] : -1;
	}
	if (spec->capture) {
		capture_init(c, &c->out, spec->max, loop, &stdio[1]);
		capture_init(c, &c->err, spec->max, loop, &stdio[2]);
	}
	c->open++;
	c->process.data = c;
	r = uv_spawn(loop, &c->process, &options);
	if (r < 0) {
		err_set_errno(e, ERR_GENERIC, -r, "cannot run '%s'", spec->argv[0]);
		if (spec->capture) {
			uv_close((uv_handle_t *)&c->out.pipe, on_closed);
			uv_close((uv_handle_t *)&c->err.pipe, on_closed);
		}
		uv_close((uv_handle_t *)&c->process, on_closed);
		return NULL;
	}
	c->end = end;
	c->data = data;
	if (spec->capture) {
		uv_read_start((uv_stream_t *)&c->out.pipe, on_alloc, on_read);
		uv_read_start((uv_stream_t *)&c->err.pipe, on_alloc, on_read);
	}
	return c;
}

pid_t child_pid(const struct child *c)
{
	return c->process.pid;
}

void child_forget(struct child *c)
{
	c->end = NULL;
}

void child_kill(struct child *c, int signal)
{
	/* Once it is reaped its number may be another's, though its pipes are still open. */
	if (!uv_is_closing((uv_handle_t *)&c->process))
		uv_process_kill(&c->process, signal);
}

enum { DEATH_MS = 10000 };

struct run {
	struct op *op;
	struct child *child;
	char *name;
	enum err_class class;
	enum verdict (*then)(struct op *op, const char *out);
	bool killed;
	struct err *expiry;
};

static void run_free(struct run *run)
{
	free(run->name);
	free(run);
}

static void run_end(const struct child_end *end, void *data)
{
	struct run *run = data;
	struct op *op = run->op;
	struct err *e = TAKE_PTR(run->expiry);
	int line = (int)strcspn(end->err, "\n");

	if (run->killed)
		; /* and the reason is known */
	else if (end->signal)
		err_set(&e, run->class, "'%s' was ended by signal %d", run->name, end->signal);
	else if (end->status)
		err_set(&e, run->class, "'%s' failed with status %d%s%.*s", run->name, end->status, line ? ": " : "",
			line, end->err);
	else if (run->then && run->then(op, end->out) == OP_FAIL)
		e = op_take_err(op);
	run_free(run);
	op_resume(op, e);
}

/* It may still be at work when it is killed: the wait ends when it has ended, so that an undo meets nobody. */
static void run_stop(struct op *op, void *data)
{
	struct run *run = data;

	run->killed = true;
	child_kill(run->child, SIGKILL);
}

static void run_expired(struct op *op, void *data)
{
	struct run *run = data;

	if (run->killed) {
		op_stall(op);
		return;
	}
	err_set(&run->expiry, ERR_TIMEOUT, "'%s' did not end within %u.%u s", run->name, op->wait_ms / 1000,
		op->wait_ms % 1000 / 100);
	run_stop(op, run);
	op_extend(op, DEATH_MS);
}

enum verdict child_run(struct op *op, const char *const *argv, enum err_class class,
		       enum verdict (*then)(struct op *op, const char *out))
{
	static const struct op_wait_ops ops = { .what = "end of the program",
						.expired = run_expired,
						.stop = run_stop };
	struct child_spec spec = { .argv = argv, .capture = true, .max = 1 << 20 };
	struct run *run = xcalloc(1, sizeof(*run));
	struct err *e = NULL;

	run->op = op;
	run->name = xstrdup(argv[0]);
	run->class = class;
	run->then = then;
	run->child = child_spawn(op->deadline.loop, &spec, run_end, run, &e);
	if (!run->child) {
		run_free(run);
		return op_fail_err(op, e);
	}
	return op_wait(op, &ops, run);
}
