/* SPDX-License-Identifier: BSD-2-Clause */
#include "hotplug/apart.h"

#include "base/child.h"
#include "hotplug/plug_private.h"
#include "qmp/wait.h"
#include "runtime/trace.h"
#include "runtime/uids.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

enum { RUN_MS = 30000, END_MS = 10000, WORDS_MAX = 4096 };

struct apart {
	struct instance *inst;
	struct plug *plug;
	struct confine confine;
	struct account *account; /* of security_model user */
	uid_t uid;               /* of the pool, claimed for it; 0: none */
	struct qmp *q;
	struct trace *trace; /* or NULL */
	struct child *child;
	char *words;            /* what it said when it ended, or NULL */
	uv_timer_t *limit;      /* or NULL */
	struct op *op;          /* that waits for its end */
	struct open_item *look; /* see apart_see_size() */
	uint64_t size;
	bool *doubtful;
};

static void on_limit_closed(uv_handle_t *handle)
{
	free(handle);
}

static void forget_limit(struct apart *a)
{
	if (a->limit)
		uv_close((uv_handle_t *)TAKE_PTR(a->limit), on_limit_closed);
}

static void forget_look(struct apart *a)
{
	if (a->look)
		open_items_close(a->look, 1);
	free(TAKE_PTR(a->look));
}

static void apart_clear(void *data)
{
	struct apart *a = data;

	if (a->child) {
		child_kill(a->child, SIGKILL);
		child_forget(a->child);
	}
	forget_limit(a);
	forget_look(a);
	if (a->uid)
		uid_pool_release(a->inst->rt->uids, a->uid);
	account_unref(a->account);
	qmp_free(a->q);
	trace_free(a->trace);
	free(a->words);
}

struct apart *apart_new(struct op *op, struct instance *inst, struct json_object *stored, const char *id,
			struct err **e)
{
	_cleanup_json_ struct json_object *ids = json_object_new_array();
	struct apart *a;
	struct plug *p;

	json_object_array_add(ids, json_object_new_string(id));
	p = plug_new(op, inst, stored, ids, NULL, 1, e);
	if (!p)
		return NULL;
	a = op_own(op, sizeof(*a), apart_clear);
	a->inst = inst;
	a->plug = p;
	p->apart = &a->q;
	return a;
}

struct qmp *apart_qmp(const struct apart *a)
{
	return a->q;
}

/* ---- its process ---- */

static void on_end(const struct child_end *end, void *data)
{
	struct apart *a = data;
	struct op *op = TAKE_PTR(a->op);

	a->child = NULL;
	a->words = xasprintf("%.*s", (int)strcspn(end->err, "\n"), end->err);
	forget_limit(a);
	if (op)
		op_resume(op, NULL);
}

static void on_limit(uv_timer_t *timer)
{
	struct apart *a = timer->data;

	child_kill(a->child, SIGKILL);
}

static bool claim(struct apart *a, struct err **e)
{
	const struct definition *def = &a->plug->def;
	uid_t uid = a->inst->uid;

	if (security_model_of(&def->hvparams) == SECURITY_POOL && !uid) {
		if (!uid_pool_claim(a->inst->rt->uids, &a->uid, e))
			return false;
		uid = a->uid;
	}
	prepare_confine(&a->confine, def, uid, a->account);
	return true;
}

static bool spawn(struct apart *a, int theirs, struct err **e)
{
	enum { MONITOR_FD = 3 };
	const char *const command[] = { a->plug->binary,
					"-machine",
					"none",
					"-nodefaults",
					"-no-user-config",
					"-display",
					"none",
					"-sandbox",
					ARGV_SANDBOX,
					"-chardev",
					"socket,id=qmp,fd=3",
					"-mon",
					"chardev=qmp,mode=control",
					NULL };
	int fds[] = { -1, -1, -1, [MONITOR_FD] = theirs };
	char **argv;
	struct child_spec spec = { .fds = fds, .n_fds = ARRAY_SIZE(fds), .capture = true, .max = WORDS_MAX };

	a->confine.once = a->confine.die_with_parent = true;
	argv = confine_argv(&a->confine, a->inst->rt->launcher, (char *const *)(uintptr_t)command);
	spec.argv = (const char *const *)argv;
	a->child = child_spawn(a->inst->rt->loop, &spec, on_end, a, e);
	argv_free(argv);
	return a->child;
}

static void on_event(struct qmp *q, const char *name, struct json_object *event, double time, void *data)
{
}

/* Who waits for a reply hears of it. */
static void on_gone(struct qmp *q, const struct err *e, void *data)
{
}

/* That of the instance, if it runs. */
static void on_passes(struct qmp *q, const struct qmp_message *m, void *data)
{
	struct apart *a = data;
	struct trace *t = a->inst->trace ? a->inst->trace : a->trace;

	if (!t)
		t = a->trace = trace_new(a->inst->rt->dirs.log_fd, a->inst->name);
	trace_put(t, TRACE_APART, m);
}

static enum verdict run(struct op *op, void *arg)
{
	static const struct qmp_ops ops = { .event = on_event, .gone = on_gone, .passes = on_passes };
	struct apart *a = arg;
	struct err *e = NULL;
	int pair[2];

	if (!claim(a, &e))
		return op_fail_err(op, e);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		err_set_errno(&e, ERR_GENERIC, errno, "cannot make a socket pair");
		return op_fail_err(op, e);
	}
	spawn(a, pair[1], &e);
	close(pair[1]);
	if (e) {
		close(pair[0]);
		return op_fail_err(op, e);
	}
	a->limit = xcalloc(1, sizeof(*a->limit));
	uv_timer_init(a->inst->rt->loop, a->limit);
	a->limit->data = a;
	uv_timer_start(a->limit, on_limit, APART_MS, 0);
	a->q = qmp_new(a->inst->rt->loop, pair[0], false, &ops, a);
	return qmp_wait_ready(op, a->q);
}

static void end_forget(struct op *op, void *data)
{
	((struct apart *)data)->op = NULL;
}

/* One that cannot even be killed ends when it can. */
static void end_expired(struct op *op, void *data)
{
	struct apart *a = data;

	child_kill(a->child, SIGKILL);
	op_stall(op);
}

static enum verdict await_end(struct op *op, struct apart *a)
{
	static const struct op_wait_ops ops = { .what = "end of QEMU", .forget = end_forget, .expired = end_expired };

	if (!a->child)
		return OP_DONE;
	a->op = op;
	return op_wait(op, &ops, a);
}

/* What it said itself says more than that it has ended. */
static enum verdict see_words(struct op *op, void *arg)
{
	const struct apart *a = arg;

	if (op->err && op->err->class == ERR_GUEST_GONE && !str_empty(a->words)) {
		op->err->class = ERR_QEMU;
		err_prefix(op->err, "%s", a->words);
	}
	return OP_DONE;
}

static enum verdict kill_it(struct op *op, void *arg)
{
	struct apart *a = arg;

	if (a->child)
		child_kill(a->child, SIGKILL);
	return await_end(op, a);
}

static const struct step step_words = { "give the image to no guest", NULL, see_words };
static const struct step step_run = { "run a QEMU without a machine", run, kill_it, .timeout_ms = RUN_MS };

void apart_begin_plan(struct op *op, struct apart *a)
{
	a->account = account_plan(op, &a->plug->def.hvparams);
	plug_host_plan(op, a->plug);
	op_add(op, &step_words, a);
	op_add(op, &step_run, a);
	plug_qemu_plan(op, a->plug);
}

static enum verdict quit(struct op *op, void *arg)
{
	return qmp_remove(op, ((struct apart *)arg)->q, "quit", NULL);
}

static enum verdict see_end(struct op *op, void *arg)
{
	return await_end(op, arg);
}

static const struct step step_quit = { "have that QEMU end", quit, .timeout_ms = RUN_MS };
static const struct step step_end = { "see it end", see_end, .timeout_ms = END_MS };

void apart_end_plan(struct op *op, struct apart *a)
{
	op_add(op, &step_quit, a);
	op_add(op, &step_end, a);
}

/* ---- its image ---- */

static enum verdict compare(struct op *op, void *arg)
{
	struct apart *a = arg;
	uint64_t size = a->look->size;

	forget_look(a);
	*a->doubtful = false;
	return size == a->size ? OP_DONE : op_fail(op, ERR_STORAGE, "the image has %" PRIu64 " bytes", size);
}

enum verdict apart_see_size(struct op *op, struct apart *a, uint64_t size, bool *doubtful)
{
	size_t top = plug_top_file(a->plug, &a->plug->devices[0]);

	if (top == a->plug->files.n)
		return op_fail(op, ERR_UNSUPPORTED, "of a disk that is no file the size is not known");
	forget_look(a);
	a->look = xcalloc(1, sizeof(*a->look));
	*a->look = prepare_item(&a->plug->files.items[top]);
	a->size = size;
	a->doubtful = doubtful;
	return open_items_then(op, a->inst->rt->opener, a->look, 1, NULL, compare, a);
}
