/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/launcher.h"

#include "runtime/argv.h"
#include "runtime/observe.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DIR_FD = 3, SOCKET_FD = 4 };

void launcher_init(struct launcher *l, struct instance *inst)
{
	*l = (struct launcher){ .inst = inst, .control = -1 };
}

static void on_poll_closed(uv_handle_t *handle)
{
	free(handle);
}

void launcher_hang_up(struct launcher *l)
{
	if (l->poll)
		uv_close((uv_handle_t *)l->poll, on_poll_closed);
	l->poll = NULL;
	closep(&l->control);
}

void launcher_clear(struct launcher *l)
{
	launcher_hang_up(l);
	if (l->child)
		child_forget(l->child);
}

/* ---- what it says ---- */

static void control_forget(struct op *op, void *data)
{
	((struct launcher *)data)->op = NULL;
}

static void control_done(struct launcher *l, struct err *e)
{
	struct op *op = TAKE_PTR(l->op);

	if (op)
		op_resume(op, e);
	else
		err_free(e);
}

static enum verdict control_wait(struct op *op, struct launcher *l, uv_poll_cb cb)
{
	static const struct op_wait_ops ops = { .what = "answer of the launcher", .forget = control_forget };

	l->op = op;
	if (!l->poll) {
		l->poll = xcalloc(1, sizeof(*l->poll));
		uv_poll_init(l->inst->rt->loop, l->poll, l->control);
		l->poll->data = l;
	}
	uv_poll_start(l->poll, UV_READABLE | UV_DISCONNECT, cb);
	return op_wait(op, &ops, l);
}

/* One line of the launcher: a pid, or what went wrong. */
static void on_pid(uv_poll_t *poll, int status, int events)
{
	struct launcher *l = poll->data;
	struct err *e = NULL;
	char text[512];
	ssize_t n = read(l->control, text, sizeof(text) - 1);
	char *end;

	if (n < 0 && errno == EAGAIN)
		return;
	uv_poll_stop(poll);
	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	if (n <= 0)
		err_set(&e, ERR_GENERIC, "the launcher ended without a word");
	else if (strtol(text, &end, 10) <= 0 || *end)
		err_set(&e, ERR_GENERIC, "the launcher: %s", text);
	else if (!observe_hold(l->inst, (pid_t)strtol(text, NULL, 10), 0, &e) && !e)
		err_set(&e, ERR_GENERIC, "the launcher ended at once");
	control_done(l, e);
}

static void on_exec(uv_poll_t *poll, int status, int events)
{
	struct launcher *l = poll->data;
	struct err *e = NULL;
	char text[512];
	ssize_t n = read(l->control, text, sizeof(text) - 1);

	if (n < 0 && errno == EAGAIN)
		return;
	uv_poll_stop(poll);
	if (n > 0) {
		text[n] = '\0';
		text[strcspn(text, "\n")] = '\0';
		err_set(&e, ERR_QEMU, "the launcher: %s", text);
	}
	control_done(l, e);
}

enum verdict launcher_go(struct op *op, struct launcher *l)
{
	if (send(l->control, "g", 1, MSG_NOSIGNAL) != 1)
		return op_fail(op, ERR_GENERIC, "the launcher is gone");
	l->inst->going = true;
	return control_wait(op, l, on_exec);
}

/* ---- its process ---- */

static void on_end(const struct child_end *end, void *data)
{
	struct launcher *l = data;
	struct op *op = TAKE_PTR(l->bereaved);

	l->child = NULL;
	if (op)
		op_resume(op, NULL);
}

static void end_forget(struct op *op, void *data)
{
	((struct launcher *)data)->bereaved = NULL;
}

static void end_expired(struct op *op, void *data)
{
	op_stall(op);
}

enum verdict launcher_wait_end(struct op *op, struct launcher *l)
{
	static const struct op_wait_ops ops = { .what = "end of the launcher",
						.forget = end_forget,
						.expired = end_expired };

	l->bereaved = op;
	return op_wait(op, &ops, l);
}

enum verdict launcher_spawn(struct op *op, struct launcher *l, const struct confine *confine, char *const *command,
			    int *fds, unsigned n_fds)
{
	const struct runtime *rt = l->inst->rt;
	struct child_spec spec = { .fds = fds, .n_fds = n_fds };
	struct err *e = NULL;
	char **argv;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return op_fail(op, ERR_GENERIC, "cannot make a socket pair: %s", strerror(errno));
	l->control = pair[0];
	fcntl(l->control, F_SETFL, O_NONBLOCK);
	fds[SOCKET_FD] = pair[1];
	fds[DIR_FD] = fcntl(l->inst->run_dir, F_DUPFD_CLOEXEC, 0);
	argv = confine_argv(confine, rt->launcher, command);
	spec.argv = (const char *const *)argv;
	l->child = child_spawn(rt->loop, &spec, on_end, l, &e);
	argv_free(argv);
	if (!l->child) {
		err_prefix(e, "'%s'", rt->launcher);
		return op_fail_err(op, e);
	}
	return control_wait(op, l, on_pid);
}
