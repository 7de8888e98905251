/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/autostart.h"

#include "base/file.h"
#include "base/log.h"
#include "daemon/commands.h"
#include "daemon/job.h"
#include "runtime/autostart.h"
#include "runtime/start.h"

#include <math.h>

static const char stamp_file[] = "autostarted";

struct turn {
	char *uuid;
	struct autostart when;
	bool over;
};

/* Lives until the last turn is over. */
struct round {
	struct daemon *d;
	struct turn *turns; /* in their order */
	size_t n, next;     /* next: the first that has not begun */
	unsigned going;     /* begun, and not over */
	double delay;       /* of the order that goes on */
	bool beginning;
	uv_timer_t timer;
};

struct going {
	struct round *round;
	size_t turn;
};

/* ---- the stamp ---- */

/* The uuids that it names, or NULL: there is none of this boot. A new reference. */
static struct json_object *read_stamp(struct daemon *d)
{
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_err_ struct err *e = NULL;

	if (!file_read_json(d->rt.dirs.run_fd, stamp_file, &o, &e)) {
		/* What a power cut leaves of it is no record of this boot. */
		if (e->class != ERR_NOT_FOUND) {
			log_warning("autostart: %s; all are started that have no process", e->desc);
			file_remove_tree(d->rt.dirs.run_fd, stamp_file, NULL);
		}
		return NULL;
	}
	if (!str_eq(json_get_str(o, "boot-id"), process_boot_id()))
		return NULL;
	return json_object_get(json_get_typed(o, "left", json_type_array));
}

static void write_stamp(const struct round *r)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	_cleanup_err_ struct err *e = NULL;
	struct json_object *left = json_object_new_array();

	for (size_t i = 0; i < r->n; i++)
		if (!r->turns[i].over)
			json_object_array_add(left, json_object_new_string(r->turns[i].uuid));
	json_add_str(o, "boot-id", process_boot_id());
	json_add(o, "left", left);
	if (!file_write_json(r->d->rt.dirs.run_fd, stamp_file, o, 0600, &e))
		log_warning("autostart: %s", e->desc);
}

static bool names(struct json_object *left, const char *uuid)
{
	for (size_t i = 0; i < json_object_array_length(left); i++)
		if (str_eq(json_object_get_string(json_object_array_get_idx(left, i)), uuid))
			return true;
	return false;
}

/* ---- a round ---- */

static int compare(const void *a, const void *b)
{
	const struct turn *one = a, *other = b;

	return (one->when.order > other->when.order) - (one->when.order < other->when.order);
}

static void collect(struct round *r, struct json_object *left)
{
	for (struct instance *inst = instance_first(&r->d->rt); inst; inst = instance_next(inst)) {
		struct turn turn = { 0 };

		if (!inst->stored || inst->broken || (left && !names(left, inst->uuid)) ||
		    !autostart_decode(inst->def.autostart, &turn.when, NULL) || !turn.when.on)
			continue;
		turn.uuid = xstrdup(inst->uuid);
		r->turns = xrealloc(r->turns, r->n + 1, sizeof(*r->turns));
		r->turns[r->n++] = turn;
	}
	if (r->n)
		qsort(r->turns, r->n, sizeof(*r->turns), compare);
}

static void on_closed(uv_handle_t *handle)
{
	struct round *r = handle->data;

	for (size_t i = 0; i < r->n; i++)
		free(r->turns[i].uuid);
	free(r->turns);
	free(r);
}

static void go_on(struct round *r);

static void on_time(uv_timer_t *timer)
{
	go_on(timer->data);
}

/* All of an order are over: the next one, after the longest of their delays. */
static void order_ended(struct round *r)
{
	if (r->next == r->n)
		uv_close((uv_handle_t *)&r->timer, on_closed);
	else
		uv_timer_start(&r->timer, on_time, (uint64_t)ceil(r->delay * 1000), 0);
}

static void turn_over(struct round *r, size_t i)
{
	r->turns[i].over = true;
	write_stamp(r);
	r->going--;
	if (!r->going && !r->beginning)
		order_ended(r);
}

static void on_ended(struct job *job, void *data)
{
	struct going *g = data;

	turn_over(g->round, g->turn);
	free(g);
}

static void begin_turn(struct round *r, size_t i)
{
	const struct instance *inst = instance_find(&r->d->rt, r->turns[i].uuid);
	struct going *g;

	r->going++;
	if (!inst || !inst->stored) { /* undefined meanwhile */
		turn_over(r, i);
		return;
	}
	g = xcalloc(1, sizeof(*g));
	*g = (struct going){ r, i };
	job_internal_then(r->d, "instance-autostart", inst->name, on_ended, g);
}

static void go_on(struct round *r)
{
	int64_t order = r->turns[r->next].when.order;

	r->delay = 0;
	r->beginning = true;
	for (; r->next < r->n && r->turns[r->next].when.order == order; r->next++) {
		r->delay = fmax(r->delay, r->turns[r->next].when.delay);
		begin_turn(r, r->next);
	}
	r->beginning = false;
	if (!r->going)
		order_ended(r);
}

void autostart_begin(struct daemon *d)
{
	_cleanup_json_ struct json_object *left = read_stamp(d);
	struct round *r = xcalloc(1, sizeof(*r));

	r->d = d;
	collect(r, left);
	write_stamp(r);
	uv_timer_init(d->loop, &r->timer);
	r->timer.data = r;
	if (!r->n) {
		uv_close((uv_handle_t *)&r->timer, on_closed);
		return;
	}
	log_info("autostart: %zu instances", r->n);
	/* From the loop, when there is one and clients can follow. */
	uv_timer_start(&r->timer, on_time, 0, 0);
}

/* ---- instance-autostart ---- */

static const struct param rows[] = { PARAM_INSTANCE(struct instance_args), PARAM_END };

static bool plan(struct job *job, struct err **e)
{
	struct instance *inst = job_instance(job, e);

	if (!inst || (job->recovered && !job_knows(job, inst, e)))
		return false;
	if (inst->broken && !job->recovered) /* the way back needs no definition */
		return err_set(e, ERR_WRONG_STATE, "the definition of '%s' cannot be read: %s", inst->name,
			       inst->broken->desc);
	job->changed = !inst->process || job->recovered;
	if (!job->changed)
		return true;
	job_plan_start(job, inst, false);
	return true;
}

const struct command cmd_instance_autostart = {
	.name = "instance-autostart",
	.class = CLASS_LONG,
	.lane = LANE_CHANGE,
	.internal = true,
	.params = rows,
	.args_size = sizeof(struct instance_args),
	.doc = "Starts an instance that is to run and has no process.",
	.returns = "{changed, state}",
	.subject = subject_instance,
	.plan = plan,
	.result = job_result_state,
};
