/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/job.h"

#include "base/log.h"
#include "daemon/follow.h"
#include "daemon/job_store.h"
#include "daemon/marker.h"
#include "daemon/session.h"
#include "hotplug/drift.h"
#include "hotplug/unplug.h"

#include <string.h>

static void job_free(struct job *job)
{
	TAILQ_REMOVE(&job->d->jobs, job, link);
	if (job->args)
		param_clear(job->command->params, job->args);
	free(job->args);
	json_object_put(job->raw);
	json_object_put(job->resolved);
	json_object_put(job->result);
	json_object_put(job->request_id);
	err_free(job->err);
	free(job->id);
	free(job->subject);
	free(job->name);
	free(job);
}

static const char *status_of(const struct job *job)
{
	if (!job->op || job->op->phase == OP_ENDED)
		return "concluded";
	if (job->op->phase == OP_QUEUED)
		return "created";
	/* Cancelled, it goes nowhere but back, however long what it waits for takes. */
	if (job->op->phase == OP_BACK || (job->op->cancelled && !job->op->committed))
		return "aborting";
	return "running";
}

/* JOB_STATUS_CHANGE, when it did. Operations of our own making are told of by their effects. */
static void tell_status(struct job *job)
{
	struct json_object *o;

	if (job->command->internal || str_eq(job->status, status_of(job)))
		return;
	job->status = status_of(job);
	o = json_object_new_object();
	json_add_str(o, "id", job->id);
	json_add_str(o, "type", job->command->name);
	json_add_str(o, "instance", job->name);
	json_add_str(o, "status", job->status);
	event_emit(job->d, "JOB_STATUS_CHANGE", o);
}

static void reply(struct job *job, struct json_object *ret, struct err *e)
{
	struct session *s = TAKE_PTR(job->session);

	if (s) {
		session_reply(s, ret, e, job->request_id, job->has_id);
		return;
	}
	json_object_put(ret);
	err_free(e);
}

/* ---- what the engine asks of us ---- */

static bool on_begin(struct op *op)
{
	struct job *job = op->owner;
	struct instance *inst = job->name ? instance_find(&job->d->rt, job->name) : NULL;
	struct err *e = NULL;

	job->changed = true;
	/* QEMU has what it brings before the record does, and it compares at its end. */
	if (inst && job->command->compares)
		drift_forget(inst);
	if (job->command->plan(job, &e)) {
		tell_status(job);
		return true;
	}
	err_keep_first(&op->err, e);
	return false;
}

static bool on_mark(struct op *op, struct err **e)
{
	struct job *job = op->owner;
	struct err *failure = NULL;

	/* What runs beside everything has nothing to take back; but see on_stalled(). */
	if ((!job->marked && (op->n < 2 || op->lane < LANE_CHANGE)) || marker_write(job, &failure))
		return true;
	if (op->lane >= LANE_CHANGE && op->lane != LANE_DESTROY && !job->command->internal) {
		*e = failure;
		return false;
	}
	/* To end a process, or to clear after one, needs no memory of it: what is left is found without a marker. */
	log_write(LOG_WARNING, job->name, "%s goes on without a marker: %s", job->command->name, failure->desc);
	err_free(failure);
	return true;
}

static void add_details(const struct job *job, const struct op *op);

/* What it came to is kept before it is forgotten that it was under way. */
static void on_unmark(struct op *op)
{
	struct job *job = op->owner;

	if (op->err) {
		add_details(job, op);
		job->err = TAKE_PTR(op->err);
	} else if (job->command->result) {
		job->result = job->command->result(job);
	} else {
		job->result = json_object_new_object();
	}
	job->until = time_now();
	job_store_put(job);
	marker_remove(job);
}

static void on_changed(struct op *op)
{
	tell_status(op->owner);
}

static void tell_ended(struct job *job)
{
	void (*ended)(struct job * job, void *data) = TAKE_PTR(job->ended);

	if (ended)
		ended(job, job->ended_data);
}

/* Whoever hears of the job has to find it in the next life of droverd too, at the step at which it stands. */
static void remember(struct job *job)
{
	_cleanup_err_ struct err *e = NULL;

	if (!job->command->internal && !marker_write(job, &e))
		log_write(LOG_WARNING, job->name, "%s: %s", job->command->name, e->desc);
}

static void on_stalled(struct op *op)
{
	struct job *job = op->owner;
	struct err *e = NULL;

	remember(job);
	tell_ended(job);
	if (!job->session)
		return;
	err_set(&e, ERR_TIMEOUT,
		"'%s' does not go on at step '%s': no answer; nothing was undone, and it may still take effect. "
		"It ends as job %s when QEMU answers or dies; 'instance-stop' works",
		job->command->name, op_step(op)->name, job->id);
	err_add(e, "stalled", json_object_new_boolean(true));
	err_add(e, "job-id", json_object_new_string(job->id));
	err_add(e, "step", json_object_new_string(op_step(op)->name));
	err_add(e, "undone", json_object_new_boolean(false));
	err_add(e, "trace", json_object_new_string(job->id));
	job->named = true; /* its result is wanted later */
	job_store_put(job);
	reply(job, NULL, e);
}

/* Consumes VALUE, which may be NULL. What a step has said itself stands. */
static void add_detail(struct err *e, const char *key, struct json_object *value)
{
	if (!value || (e->extra && json_object_object_get_ex(e->extra, key, NULL)))
		json_object_put(value);
	else
		err_add(e, key, value);
}

static struct json_object *last_words(const struct job *job)
{
	const struct instance *inst = job->name ? instance_find(&job->d->rt, job->name) : NULL;
	_cleanup_free_ char *log = inst ? instance_log_tail(inst) : NULL;

	return log ? json_object_new_string(log) : NULL;
}

/* Whether it stopped at a commit that nobody can say anything of, after an interruption. */
static bool is_in_doubt(const struct job *job, const struct op *op)
{
	for (int i = 0; i < op->n && job->recovered; i++) {
		const struct step *s = op->plan[i].step;

		if (str_eq(s->name, op->failed))
			return s->commit && !s->probe;
	}
	return false;
}

static void add_details(const struct job *job, const struct op *op)
{
	add_detail(op->err, "trace", json_object_new_string(job->id));
	if (!op->failed)
		return; /* refused before its first step */
	add_detail(op->err, "step", json_object_new_string(op->failed));
	add_detail(op->err, "undone", json_object_new_boolean(op->went_back && !is_in_doubt(job, op)));
	if (op->err->class == ERR_GUEST_GONE)
		add_detail(op->err, "log", last_words(job));
}

static void forget_oldest(struct daemon *d)
{
	struct job *job;

	if (d->n_concluded <= JOBS_KEPT)
		return;
	TAILQ_FOREACH(job, &d->jobs, link)
	if (!job->op)
		break;
	job_store_drop(job);
	job_free(job);
	d->n_concluded--;
}

static void keep_concluded(struct job *job)
{
	job->d->n_concluded++;
	forget_oldest(job->d);
}

bool job_compares(struct daemon *d, const struct instance *inst)
{
	_cleanup_free_ char *subject = xasprintf("instance-%s", inst->name);
	const struct op *op = queue_current(d->queues, subject);

	return op && ((const struct job *)op->owner)->command->compares;
}

void job_compare(struct daemon *d, struct instance *inst)
{
	if (!job_compares(d, inst))
		drift_check(inst);
}

static void on_done(struct op *op)
{
	struct job *job = op->owner;
	struct instance *inst = job->name ? instance_find(&job->d->rt, job->name) : NULL;

	if (inst && inst->unrecorded && !inst->process)
		follow_collect_later(job->d);
	if (inst && inst->process && !queue_current(job->d->queues, job->subject))
		unplug_adopt(inst); /* what it left to be asked for, or was found beside it */
	if (job->err)
		log_write(job->command->internal ? LOG_WARNING : LOG_INFO, job->name, "%s (job %s): %s",
			  job->command->name, job->id, job->err->desc);
	tell_status(job);
	job->op = NULL;
	if (job->ctx && job->ctx_free)
		job->ctx_free(job->ctx);
	job->ctx = NULL;
	op_free(op);
	reply(job, json_object_get(job->result), err_copy(job->err));
	if (inst && inst->process && job->command->compares)
		job_compare(job->d, inst); /* whose questions nobody has to wait for */
	tell_ended(job);
	if (!job->named) {
		job_free(job);
		return;
	}
	keep_concluded(job);
}

static const struct op_ops job_ops = {
	.begin = on_begin,
	.mark = on_mark,
	.unmark = on_unmark,
	.changed = on_changed,
	.stalled = on_stalled,
	.done = on_done,
};

/* ---- making them ---- */

/* Without an operation. */
static struct job *job_make(struct daemon *d, const struct command *command, const char *id)
{
	struct job *job = xcalloc(1, sizeof(*job));

	job->d = d;
	job->command = command;
	job->id = id ? xstrdup(id) : xasprintf("#%" PRId64, job_store_number(d));
	job->named = id != NULL;
	job->since = time_now();
	TAILQ_INSERT_TAIL(&d->jobs, job, link);
	return job;
}

static struct job *job_new(struct daemon *d, const struct command *command, const char *id)
{
	struct job *job = job_make(d, command, id);

	job->op = op_new(d->loop, &job_ops, job);
	job->op->name = command->name;
	job->op->id = job->id;
	return job;
}

/* "instance-web1" -> "web1" */
static char *name_of_subject(const char *subject)
{
	return str_starts(subject, "instance-") ? xstrdup(subject + sizeof("instance-") - 1) : NULL;
}

static unsigned queue_limit(struct json_object *args)
{
	double timeout = json_get_double(args, "timeout", 0);

	return timeout > 0 && timeout < QUEUE_WAIT_MS / 1000.0 ? (unsigned)(timeout * 1000) + 1 : 0;
}

static enum lane lane_of(const struct job *job)
{
	return job->command->lane_of ? job->command->lane_of(job->args) : job->command->lane;
}

/* Whether one more may run beside the others of its subject. Such a one waits for nobody, so a QEMU that is stuck gathers
 * what a client sends, hangs up and sends again. */
static bool has_room(const struct daemon *d, const struct job *job, struct err **e)
{
	const struct job *other, *first = NULL;
	unsigned n = 0;

	TAILQ_FOREACH(other, &d->jobs, link)
	if (other != job && other->op && other->op->lane == LANE_BESIDE && str_eq(other->subject, job->subject)) {
		first = first ? first : other;
		n++;
	}
	if (n < QUEUE_MAX)
		return true;
	return err_set(e, ERR_BUSY, "%u operations run beside each other already, the oldest of them '%s' (job %s)", n,
		       first->command->name, first->id);
}

bool job_submit(struct call *call, const char *job_id, struct json_object *request_id, bool has_id, struct err **e)
{
	_cleanup_free_ char *subject = NULL;
	struct job *job;
	enum lane lane;

	if (job_id && job_find(call->d, job_id))
		return err_set(e, ERR_EXISTS, "there is a job '%s' already; dismiss it, or choose another id", job_id);
	subject = call->command->subject(call, e);
	if (!subject)
		return false;
	job = job_new(call->d, call->command, job_id);
	job->subject = TAKE_PTR(subject);
	job->name = name_of_subject(job->subject);
	job->raw = json_object_get(call->raw);
	job->args = TAKE_PTR(call->args);
	job->uid = call->uid;
	job->pid = call->pid;
	lane = lane_of(job);
	if (lane == LANE_BESIDE && !has_room(call->d, job, e)) {
		op_free(job->op);
		job_free(job);
		return false;
	}
	if (job_id) {
		job_store_put(job);
		session_reply(call->session, json_object_new_object(), NULL, request_id, has_id);
	} else {
		job->session = call->session;
		job->request_id = json_object_get(request_id);
		job->has_id = has_id;
	}
	tell_status(job);
	queue_submit(call->d->queues, job->subject, job->op, lane, queue_limit(job->raw));
	return true;
}

static bool decode_args(struct job *job, struct err **e)
{
	job->args = xcalloc(1, job->command->args_size);
	if (param_decode(job->command->params, job->raw, "", job->args, e))
		return true;
	free(job->args);
	job->args = NULL;
	return false;
}

void job_internal(struct daemon *d, const char *command, const char *instance)
{
	job_internal_then(d, command, instance, NULL, NULL);
}

void job_internal_then(struct daemon *d, const char *command, const char *instance,
		       void (*ended)(struct job *job, void *data), void *data)
{
	struct job *job = job_new(d, command_find(command), NULL);

	job->subject = xasprintf("instance-%s", instance);
	job->name = xstrdup(instance);
	job->raw = json_object_new_object();
	json_add_str(job->raw, "instance", instance);
	job->ended = ended;
	job->ended_data = data;
	decode_args(job, NULL);
	queue_submit(d->queues, job->subject, job->op, lane_of(job), QUEUE_FOREVER);
}

/* So that numbers of this life do not repeat those of the last. */
static void note_number(struct daemon *d, const char *id)
{
	enum { NUMBER_MAX = INT32_MAX };
	int64_t n = id[0] == '#' ? strtoll(id + 1, NULL, 10) : 0;

	if (n > d->last_job && n < NUMBER_MAX)
		d->last_job = n;
}

/* Who asked for it, and when. */
static void read_client(struct job *job, struct json_object *o, struct json_object *peer)
{
	job->since = json_get_double(o, "since", job->since);
	job->uid = (uid_t)json_get_int(peer, "uid", -1);
	job->pid = (pid_t)json_get_int(peer, "pid", 0);
}

bool job_restore(struct daemon *d, struct json_object *o, struct err **e)
{
	const char *type = json_get_str(o, "command"), *subject = json_get_str(o, "subject");
	const struct command *command = type ? command_find(type) : NULL;
	struct json_object *error = json_get_typed(o, "error", json_type_object);
	struct job *job;

	if (!command || !subject)
		return err_set(e, ERR_GENERIC, "of no known command");
	job = job_make(d, command, json_get_str(o, "id"));
	job->subject = xstrdup(subject);
	job->name = name_of_subject(subject);
	read_client(job, o, o);
	job->until = json_get_double(o, "until", time_now());
	job->result = json_object_get(json_get_typed(o, "result", json_type_object));
	if (error)
		job->err = err_from_json(error);
	else if (!job->result)
		err_set(&job->err, ERR_CANCELLED, "droverd was restarted before it had begun; nothing was done");
	if (!job->result && !error)
		job_store_put(job);
	keep_concluded(job);
	return true;
}

/* Whether MARKER's arguments, or what was made of them, are of the subject that it names. */
static bool is_of_subject(struct json_object *marker, const char *subject)
{
	_cleanup_free_ char *name = name_of_subject(subject);
	struct json_object *args = json_get_typed(marker, "arguments", json_type_object);
	struct json_object *resolved = json_get_typed(marker, "resolved", json_type_object);
	struct json_object *given = json_get_typed(args, "definition", json_type_object);
	struct json_object *made = json_get_typed(resolved, "definition", json_type_object);
	const char *instance = given ? json_get_str(given, "name") : json_get_str(args, "instance");

	if (!given && !instance)
		instance = json_get_str(made, "name");
	return name && instance && (param_is_uuid(instance) || str_eq(instance, name));
}

/* Its file has the name that goes with the lane. */
static bool is_lane(enum lane lane, const char *name, struct err **e)
{
	return str_eq(lane_name(lane), name) || err_set(e, ERR_GENERIC, "its lane is not '%s'", name);
}

/* Who did not answer the last droverd is not waited for as if nothing had been: at the same step it stands still again,
 * until it answers. */
static void stall_again(struct daemon *d, const char *id, const char *step)
{
	const struct job *job = job_find(d, id);

	if (job && job->op && job->op->wait && str_eq(op_step(job->op)->name, step))
		op_stall(job->op);
}

bool job_recover(struct daemon *d, struct json_object *marker, bool overtaken, struct err **e)
{
	const char *name = json_get_str(marker, "command"), *id = json_get_str(marker, "job-id");
	const char *subject = json_get_str(marker, "subject");
	struct json_object *args = json_get_typed(marker, "arguments", json_type_object);
	const struct command *command = name ? command_find(name) : NULL;
	struct json_object *peer = json_get_typed(marker, "peer", json_type_object);
	struct op_place place = { .step = json_get_str(marker, "step-name"),
				  .at = (int)json_get_int(marker, "step", 0),
				  .back = str_eq(json_get_str(marker, "direction"), "back"),
				  .committed = json_get_bool(marker, "committed", false),
				  .cancelled = overtaken || json_get_bool(marker, "cancelled", false) };
	struct job *job;

	if (!command || !command->plan)
		return err_set(e, ERR_UNSUPPORTED, "of no command that is known");
	if (!is_of_subject(marker, subject))
		return err_set(e, ERR_GENERIC, "of '%s', and with arguments of another", subject);
	if (str_empty(id) || job_find(d, id))
		return err_set(e, ERR_GENERIC, "its job '%s' is another's", id);
	note_number(d, id);
	job = job_new(d, command, id);
	job->named = json_get_bool(marker, "named", false) || !command->internal;
	job->raw = json_object_get(args);
	job->resolved = json_object_get(json_get_typed(marker, "resolved", json_type_object));
	if (!decode_args(job, e) || !is_lane(lane_of(job), json_get_str(marker, "lane"), e)) {
		op_free(job->op);
		job_free(job);
		return false;
	}
	job->subject = xstrdup(subject);
	job->name = name_of_subject(subject);
	read_client(job, marker, peer);
	job->recovered = job->marked = true;
	if (json_get_typed(marker, "error", json_type_object))
		job->op->err = err_from_json(json_get_typed(marker, "error", json_type_object));
	if (json_get_str(marker, "failed")) {
		const char *failed = json_get_str(marker, "failed");
		size_t size = strlen(failed) + 1;

		job->op->failed = memcpy(op_alloc(job->op, size), failed, size);
	}
	log_notice("%s (job %s): interrupted at step '%s', taken up again", name, id, place.step ? place.step : "?");
	queue_recover(d->queues, subject, job->op, lane_of(job), &place);
	if (json_get_bool(marker, "stalled", false))
		stall_again(d, id, place.step);
	return true;
}

/* ---- asking about them ---- */

struct job *job_find(struct daemon *d, const char *id)
{
	struct job *job;

	TAILQ_FOREACH(job, &d->jobs, link)
	if (str_eq(job->id, id))
		return job;
	return NULL;
}

bool job_cancel(struct job *job, struct err **e)
{
	if (!job->op)
		return err_set(e, ERR_WRONG_STATE, "job '%s' has ended", job->id);
	return op_cancel(job->op, e);
}

bool job_dismiss(struct job *job, struct err **e)
{
	if (job->op)
		return err_set(e, ERR_WRONG_STATE, "job '%s' has not ended; cancel it first", job->id);
	job->d->n_concluded--;
	job_store_drop(job);
	job_free(job);
	return true;
}

void job_forget_session(struct daemon *d, struct session *s)
{
	struct job *job;

	TAILQ_FOREACH(job, &d->jobs, link)
	if (job->session == s)
		job->session = NULL;
}

/* Whether job-cancel would be obeyed. */
static bool is_cancellable(const struct op *op)
{
	const struct step *s = op_step(op);

	return op->phase == OP_QUEUED ||
	       (op->phase == OP_FORWARD && !op->committed && !op->cancelled && !(s && s->commit && op->wait));
}

struct json_object *job_describe(const struct job *job)
{
	struct json_object *o = json_object_new_object(), *client;

	json_add_str(o, "id", job->id);
	json_add_str(o, "type", job->command->name);
	json_add_str(o, "instance", job->name);
	json_add_str(o, "status", status_of(job));
	if (job->op) {
		json_add_str(o, "step", op_step(job->op) ? op_step(job->op)->name : NULL);
		json_add_int(o, "current-progress", job->op->total ? job->op->progress : job->op->at);
		json_add_int(o, "total-progress", job->op->total ? job->op->total : job->op->n);
		if (job->op->stalled)
			json_add_bool(o, "stalled", true);
	}
	json_add_time(o, "since", job->since);
	if (!job->op)
		json_add_time(o, "until", job->until);
	json_add_bool(o, "cancellable", job->op && is_cancellable(job->op));
	if (!job->command->internal) {
		client = json_object_new_object();
		json_add_int(client, "uid", (int)job->uid);
		json_add_int(client, "pid", job->pid);
		json_add(o, "client", client);
	}
	if (job->err)
		json_add(o, "error", err_to_json(job->err));
	else if (job->result)
		json_add(o, "result", json_object_get(job->result));
	return o;
}

struct json_object *job_describe_operation(struct daemon *d, const char *subject)
{
	struct op *op = queue_current(d->queues, subject);
	const struct job *job = op ? op->owner : NULL;
	struct json_object *o;

	if (!op)
		return NULL;
	o = json_object_new_object();
	json_add_str(o, "job-id", job->id);
	json_add_str(o, "command", job->command->name);
	json_add_str(o, "step", op_step(op) ? op_step(op)->name : NULL);
	json_add_time(o, "since", job->since);
	json_add_bool(o, "cancellable", is_cancellable(op));
	if (op->stalled)
		json_add_bool(o, "stalled", true);
	return o;
}

struct instance *job_instance(struct job *job, struct err **e)
{
	struct instance *inst = instance_find(&job->d->rt, job->name);

	if (!inst)
		err_set(e, ERR_NOT_FOUND, "no instance '%s'", job->name);
	return inst;
}

struct json_object *job_result_state(struct job *job)
{
	struct json_object *o = json_object_new_object();
	struct instance *inst = instance_find(&job->d->rt, job->name);

	json_add_bool(o, "changed", job->changed);
	if (inst)
		json_add_str(o, "state", state_name(inst->state));
	return o;
}
