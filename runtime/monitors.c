/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/monitors.h"

#include "base/log.h"
#include "runtime/guest_agent.h"
#include "runtime/kept.h"
#include "runtime/observe.h"
#include "runtime/trace.h"

#include <string.h>

enum { FIRST_MS = 500, LONGEST_MS = 10000 };

static const char *const sockets[MONITORS] = { "qmp.sock", "qmp2.sock" };

struct reconnect {
	uv_timer_t timer;
	struct instance *inst;
	unsigned ms;
	int kept[MONITORS]; /* of the last droverd; -1: none */
};

static void on_timer(uv_timer_t *timer);

static struct reconnect *reconnect_of(struct instance *inst)
{
	struct reconnect *r = inst->reconnect;

	if (r)
		return r;
	r = inst->reconnect = xcalloc(1, sizeof(*r));
	r->inst = inst;
	r->ms = FIRST_MS;
	for (unsigned i = 0; i < MONITORS; i++)
		r->kept[i] = -1;
	uv_timer_init(inst->rt->loop, &r->timer);
	r->timer.data = r;
	return r;
}

/* Tries to connect what is lost, and sees to it that somebody looks whether that did it. */
static void reconnect(struct instance *inst)
{
	struct reconnect *r = reconnect_of(inst);
	unsigned which = qmp_is_ready(inst->qmp);
	struct qmp *q = which ? inst->qmp2 : inst->qmp;
	struct err *e = NULL;

	if (!qmp_is_lost(q))
		return;
	if (r->kept[which] >= 0) {
		qmp_resume(q, TAKE_FD(r->kept[which]));
	} else {
		int fd = dirs_connect(inst->run_dir, sockets[which], &e);

		if (fd >= 0)
			qmp_reconnect(q, fd);
		else
			log_debug("%s: '%s': %s", inst->name, sockets[which], e->desc);
	}
	err_free(e);
	uv_timer_start(&r->timer, on_timer, r->ms, 0);
	r->ms = r->ms * 2 < LONGEST_MS ? r->ms * 2 : LONGEST_MS;
}

static void on_timer(uv_timer_t *timer)
{
	struct instance *inst = ((struct reconnect *)timer->data)->inst;

	/* Of a guest that is down and is being ended there is no more to be heard. */
	if (qmp_is_lost(inst->qmp) && !(inst->ending && inst->state == STATE_SHUTDOWN))
		instance_enter(inst, STATE_NOSTATE, "", "monitor-lost");
	reconnect(inst);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct reconnect *r = handle->data;

	for (unsigned i = 0; i < MONITORS; i++)
		closep(&r->kept[i]);
	free(r);
}

/* One attempt at once; if the last was a moment ago, when the timer says so. */
static bool on_lost(struct qmp *q, const struct err *e, void *data)
{
	struct instance *inst = data;

	log_debug("%s: monitor: %s", inst->name, e->desc);
	/* A start whose guest has not run fails with the first; it does not need the second, but all that comes after it does. */
	if (!inst->process || (inst->starting && q == inst->qmp && !observe_has_run(inst)))
		return false;
	if (q == inst->qmp)
		inst->monitor_lost = true;
	if (!inst->reconnect || !uv_is_active((uv_handle_t *)&inst->reconnect->timer))
		reconnect(inst);
	return true;
}

static void on_ready(struct qmp *q, void *data)
{
	struct instance *inst = data;
	bool was_lost = inst->monitor_lost;

	inst->monitor_lost = false;
	if (inst->reconnect)
		inst->reconnect->ms = FIRST_MS;
	/* In front of everything that was asked meanwhile: what it says from here on is heard. */
	observe_catch_up(inst);
	guest_agent_begin(inst);
	if (qmp_is_lost(inst->qmp2))
		reconnect(inst);
	if (was_lost)
		inst->rt->ops->monitor_back(inst, inst->rt->data);
}

static void on_ready2(struct qmp *q, void *data)
{
	/* It has no state of its own. */
}

static void on_event(struct qmp *q, const char *name, struct json_object *event, double time, void *data)
{
	observe_event(data, name, event, time);
}

static void on_event2(struct qmp *q, const char *name, struct json_object *event, double time, void *data)
{
	/* The first monitor says the same. */
}

static void on_gone(struct qmp *q, const struct err *e, void *data)
{
	log_debug("%s: monitor: %s", ((struct instance *)data)->name, e->desc);
}

static void on_passes(struct qmp *q, const struct qmp_message *m, void *data)
{
	trace_put(((struct instance *)data)->trace, 1, m);
}

static void on_passes2(struct qmp *q, const struct qmp_message *m, void *data)
{
	trace_put(((struct instance *)data)->trace, 2, m);
}

static void monitors_new(struct instance *inst, int fd, int fd2)
{
	static const struct qmp_ops ops = {
		.ready = on_ready, .event = on_event, .gone = on_gone, .lost = on_lost, .passes = on_passes
	};
	static const struct qmp_ops ops2 = {
		.ready = on_ready2, .event = on_event2, .gone = on_gone, .lost = on_lost, .passes = on_passes2
	};

	inst->trace = trace_new(inst->rt->dirs.log_fd, inst->name);
	inst->qmp = qmp_new(inst->rt->loop, fd, false, &ops, inst);
	inst->qmp2 = qmp_new(inst->rt->loop, fd2, true, &ops2, inst);
	qmp_set_ping(inst->qmp, inst->qmp2);
}

bool monitors_open(struct instance *inst, struct err **e)
{
	_cleanup_close_ int fd = dirs_connect(inst->run_dir, sockets[0], e);
	_cleanup_close_ int fd2 = fd < 0 ? -1 : dirs_connect(inst->run_dir, sockets[1], e);

	if (fd2 < 0)
		return false;
	monitors_new(inst, TAKE_FD(fd), TAKE_FD(fd2));
	return true;
}

static char *kept_name(const struct instance *inst, unsigned which)
{
	return xasprintf("%s.%s", sockets[which], inst->name);
}

static void on_found(uv_timer_t *timer)
{
	struct instance *inst = ((struct reconnect *)timer->data)->inst;

	reconnect(inst);
	inst->monitor_lost = qmp_is_lost(inst->qmp);
}

/* Connected when the loop runs: until then droverd finds the others, which many QEMUs that are spoken to would slow. */
void monitors_find(struct instance *inst)
{
	struct reconnect *r = reconnect_of(inst);

	for (unsigned i = 0; i < MONITORS; i++) {
		_cleanup_free_ char *name = kept_name(inst, i);

		closep(&r->kept[i]);
		r->kept[i] = kept_take(&inst->rt->kept, name);
	}
	monitors_new(inst, -1, -1);
	uv_timer_start(&r->timer, on_found, 0, 0);
}

bool monitors_is_kept(const char *name)
{
	bool is = false;

	for (unsigned i = 0; i < MONITORS; i++) {
		size_t n = strlen(sockets[i]);

		is |= str_starts(name, sockets[i]) && name[n] == '.';
	}
	return is;
}

/* A start that is under way goes back. */
int monitors_keep(const struct instance *inst, unsigned which, char **name)
{
	int fd = inst->process && !inst->starting ? qmp_settled_fd(which ? inst->qmp2 : inst->qmp) : -1;

	*name = fd >= 0 ? kept_name(inst, which) : NULL;
	return fd;
}

void monitors_close(struct instance *inst)
{
	if (inst->reconnect)
		uv_close((uv_handle_t *)&inst->reconnect->timer, on_timer_closed);
	inst->reconnect = NULL;
	inst->monitor_lost = false;
	if (inst->qmp)
		qmp_close(inst->qmp);
	if (inst->qmp2)
		qmp_close(inst->qmp2);
	inst->qmp = qmp_free(inst->qmp);
	inst->qmp2 = qmp_free(inst->qmp2);
	inst->trace = trace_free(inst->trace);
}
