/* SPDX-License-Identifier: BSD-2-Clause */
#include "hotplug/unplug.h"

#include "base/log.h"
#include "qmp/wait.h"
#include "runtime/device_record.h"

#include <string.h>

struct unplug {
	struct unplug *next;
	struct instance *inst;
	char *id, *path; /* of the device; its place in QEMU's object tree */
	struct qmp_listener listener;
	struct qmp_call *call; /* device_del, under way */
	struct op *op;         /* that waits, or NULL */
	unsigned sent;
	bool gone, listens;
	uv_timer_t *again;
};

static struct unplug *find(const struct instance *inst, const char *id)
{
	struct unplug *u = inst->unplugs;

	while (u && !str_eq(u->id, id))
		u = u->next;
	return u;
}

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle);
}

static void unplug_free(struct unplug *u)
{
	struct unplug **p;

	for (p = &u->inst->unplugs; *p != u; p = &(*p)->next)
		;
	*p = u->next;
	if (u->listens)
		qmp_unlisten(&u->listener);
	qmp_forget(u->call);
	uv_close((uv_handle_t *)u->again, on_timer_closed);
	free(u->id);
	free(u->path);
	free(u);
}

/* ---- the answer ---- */

static void resume(struct unplug *u, struct err *e)
{
	struct op *op = TAKE_PTR(u->op);

	if (op)
		op_resume(op, e);
	else
		err_free(e);
}

static void has_gone(struct unplug *u)
{
	struct instance *inst = u->inst;
	struct op *op = TAKE_PTR(u->op);
	_cleanup_free_ char *id = xstrdup(u->id);

	if (op) {
		unplug_free(u);
		op_resume(op, NULL);
		return;
	}
	/* Kept as an answer, until it is fetched. */
	u->gone = true;
	uv_timer_stop(u->again);
	inst->rt->ops->device_gone(inst, id, inst->rt->data);
}

/* It stays; so it is as if nobody had asked. Consumes E. */
static void stays(struct unplug *u, struct err *e)
{
	struct instance *inst = u->inst;
	struct op *op = TAKE_PTR(u->op);
	_cleanup_free_ char *id = xstrdup(u->id);
	_cleanup_err_ struct err *failure = NULL;

	device_record_set_state(inst, id, DEVICE_ATTACHED);
	if (!record_save(inst, &failure))
		log_write(LOG_WARNING, inst->name, "%s", failure->desc);
	unplug_free(u);
	inst->rt->ops->device_told(inst, "DEVICE_REFUSED", id, e->desc, inst->rt->data);
	if (op)
		op_resume(op, e);
	else
		err_free(e);
}

/* ---- asking ---- */

static void ask(struct unplug *u);

/* On behalf of whoever waits now. */
static void request(struct unplug *u, const char *command, struct json_object *args, qmp_reply_fn *reply)
{
	u->call = qmp_send_for(u->inst->qmp, u->op ? u->op->id : NULL, command, args, -1, reply, u);
}

static void on_again(uv_timer_t *timer)
{
	struct unplug *u = timer->data;

	if (u->inst->state == STATE_RUNNING)
		ask(u);
}

static void ask_later(struct unplug *u)
{
	static const unsigned seconds[] = { 2, 4, 8, 16, 30, 60 };
	size_t i = u->sent < ARRAY_SIZE(seconds) ? u->sent : ARRAY_SIZE(seconds) - 1;

	uv_timer_start(u->again, on_again, seconds[i] * 1000, 0);
	u->sent++;
}

/* It has heard already, or is to be asked again in a while: "the guest is busy" is no refusal. */
static bool is_under_way(const struct err *e)
{
	return e->class != ERR_QEMU || strstr(e->desc, "in the process of unplug") || strstr(e->desc, "busy");
}

static void on_asked(struct json_object *ret, const struct err *e, void *data)
{
	struct unplug *u = data;
	struct err *refusal;

	u->call = NULL;
	if (!e || (e->class != ERR_GUEST_GONE && is_under_way(e)))
		return;
	if (e->class == ERR_GUEST_GONE || qmp_says_absent(e)) {
		has_gone(u);
		return;
	}
	refusal = err_copy(e);
	err_prefix(refusal, "QEMU refused 'device_del'");
	stays(u, refusal);
}

static void ask(struct unplug *u)
{
	struct json_object *args;

	ask_later(u);
	if (u->call || u->gone)
		return;
	args = json_object_new_object();
	json_add_str(args, "id", u->id);
	request(u, "device_del", args, on_asked);
}

/* Whether it is there at all. */
static void on_looked(struct json_object *ret, const struct err *e, void *data)
{
	struct unplug *u = data;

	u->call = NULL;
	if (e && (e->class == ERR_GUEST_GONE || qmp_says_absent(e)))
		has_gone(u);
	else if (u->inst->state == STATE_RUNNING)
		ask(u);
}

static void look(struct unplug *u)
{
	struct json_object *args = json_object_new_object();

	json_add_str(args, "path", u->path);
	request(u, "qom-list", args, on_looked);
}

static bool is_mine(const struct unplug *u, struct json_object *data)
{
	return str_eq(json_get_str(data, "device"), u->id) || str_eq(json_get_str(data, "path"), u->path);
}

static void on_event(struct qmp_listener *l, const char *name, struct json_object *data)
{
	struct unplug *u = CONTAINER_OF(l, struct unplug, listener);
	struct err *e = NULL;

	if (u->gone)
		return;
	if (str_eq(name, "DEVICE_DELETED") && is_mine(u, data)) {
		has_gone(u);
	} else if (str_eq(name, "DEVICE_UNPLUG_GUEST_ERROR") && is_mine(u, data)) {
		err_set(&e, ERR_GUEST_REFUSED, "the guest refused to let go of '%s'", u->id);
		stays(u, e);
	} else if (u->inst->state == STATE_RUNNING &&
		   (str_eq(name, "RESET") || (str_eq(name, "VSERPORT_CHANGE") && json_get_bool(data, "open", false)))) {
		u->sent = 0;
		ask(u);
	}
}

/* The process has ended, and every device with it. */
static void on_gone(struct qmp_listener *l)
{
	struct unplug *u = CONTAINER_OF(l, struct unplug, listener);

	u->listens = false;
	has_gone(u);
}

static struct unplug *begin(struct instance *inst, const char *id)
{
	struct unplug *u = xcalloc(1, sizeof(*u));

	u->inst = inst;
	u->id = xstrdup(id);
	u->path = xasprintf("/machine/peripheral/%s", id);
	u->next = inst->unplugs;
	inst->unplugs = u;
	u->again = xcalloc(1, sizeof(*u->again));
	uv_timer_init(inst->rt->loop, u->again);
	u->again->data = u;
	u->listener.event = on_event;
	u->listener.gone = on_gone;
	u->listens = true;
	qmp_listen(inst->qmp, &u->listener);
	return u;
}

/* ---- waiting ---- */

static void wait_forget(struct op *op, void *data)
{
	((struct unplug *)data)->op = NULL;
}

/* It cannot be taken back, so not all of OP will have been undone. */
static void wait_stopped(struct op *op, void *data)
{
	struct unplug *u = data;

	err_add(op->err, "undone", json_object_new_boolean(false));
	u->inst->rt->ops->device_told(u->inst, "DEVICE_PENDING", u->id, op->err->desc, u->inst->rt->data);
	resume(u, NULL);
}

static void wait_expired(struct op *op, void *data)
{
	struct unplug *u = data;
	struct err *e = NULL;

	if (u->inst->state == STATE_RUNNING)
		err_set(&e, ERR_TIMEOUT, "the guest has not let go of '%s'; it is asked again until it does", u->id);
	else
		err_set(&e, ERR_TIMEOUT, "'%s' is not running; its guest is asked for '%s' when it goes on",
			u->inst->name, u->id);
	err_add(e, "undone", json_object_new_boolean(false));
	u->inst->rt->ops->device_told(u->inst, "DEVICE_PENDING", u->id, e->desc, u->inst->rt->data);
	resume(u, e);
}

enum verdict unplug(struct op *op, struct instance *inst, const char *id)
{
	static const struct op_wait_ops ops = {
		.what = "answer of the guest", .forget = wait_forget, .expired = wait_expired, .stop = wait_stopped
	};
	enum device_state was = device_record_state(device_record_find(inst, id, NULL));
	struct unplug *u = find(inst, id);
	_cleanup_err_ struct err *e = NULL;
	bool begun;

	if (qmp_is_gone(inst->qmp) || (u && u->gone)) {
		if (u)
			unplug_free(u);
		return OP_DONE;
	}
	device_record_set_state(inst, id, DEVICE_DETACH_PENDING);
	if (!record_save(inst, &e)) {
		if (op->phase != OP_BACK) {
			device_record_set_state(inst, id, was);
			return op_fail_err(op, TAKE_PTR(e));
		}
		log_write(LOG_WARNING, inst->name, "%s", e->desc);
	}
	begun = !u;
	if (begun)
		u = begin(inst, id);
	u->op = op;
	if (begun)
		look(u);
	return op_wait(op, &ops, u);
}

void unplug_adopt(struct instance *inst)
{
	_cleanup_json_ struct json_object *ids = device_record_ids(inst, DEVICE_DETACH_PENDING);

	for (size_t i = 0; i < json_object_array_length(ids); i++) {
		const char *id = json_object_get_string(json_object_array_get_idx(ids, i));

		if (!find(inst, id))
			look(begin(inst, id));
	}
}

void unplug_go_on(struct instance *inst)
{
	for (struct unplug *u = inst->unplugs; u; u = u->next) {
		if (u->gone)
			continue;
		u->sent = 0;
		ask(u);
	}
}

bool unplug_is_pending(const struct instance *inst, const char *id)
{
	const struct unplug *u = find(inst, id);

	return u && !u->gone;
}

bool unplug_take_gone(struct instance *inst, const char *id)
{
	struct unplug *u = find(inst, id);

	if (!u || !u->gone)
		return false;
	unplug_free(u);
	return true;
}

void unplug_restore(struct instance *inst, struct json_object *ids)
{
	for (size_t i = 0; inst->qmp && !qmp_is_gone(inst->qmp) && i < json_object_array_length(ids); i++) {
		const char *id = json_object_get_string(json_object_array_get_idx(ids, i));
		struct unplug *u = find(inst, id);

		if (!u)
			u = begin(inst, id);
		u->gone = false;
		u->sent = 0;
		ask_later(u);
	}
}

void unplug_forget_all(struct instance *inst)
{
	struct unplug *u;

	while ((u = inst->unplugs)) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was freed is off the list */
		if (u->op)
			has_gone(u);
		else
			unplug_free(u);
	}
}
