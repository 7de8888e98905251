/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What another manager has on this host becomes an instance, and its process, if it lives, is adopted.
 *
 * All that is asked of the process is asked before the commit, on connections of the command's own. The commit is the
 * definition; the run directory that lies beside it by then is what a droverd that starts would find, and is found the same
 * way. Of an instance that is there already, whose process the other manager has started since, it is the run directory.
 */
#include "daemon/commands.h"
#include "daemon/define.h"

#include "base/file.h"
#include "base/log.h"
#include "runtime/adopt.h"
#include "runtime/foreign.h"
#include "runtime/ganeti.h"
#include "runtime/observe.h"
#include "runtime/store.h"
#include "runtime/warnings.h"

#include <string.h>
#include <strings.h>

enum { FIND_MS = 60000, ASK_MS = 5000, WRITE_MS = 60000, SETTLE_MS = 10000 };

struct args {
	int format;
	struct json_object *document;
};

static const char *const formats[] = { "ganeti", NULL };

static const struct param rows[] = {
	{ "format", PARAM_CHOICE, .choices = formats, .required = true, PARAM_AT(struct args, format), .since = "0.1.0",
	  .doc = "Whose document it is." },
	{ "document", PARAM_ANY, .required = true, PARAM_AT(struct args, document), .since = "0.1.0",
	  .doc = "What is in a runtime file of Ganeti, as JSON: [kvm_cmd, nics, hvparams, disks]." },
	PARAM_END
};

/* One of the two monitors, while it is asked. */
struct talk {
	struct import *in;
	struct qmp *q;
	bool ready;
};

enum { ASK_UUID, ASK_STATUS, ASK_VERSION, ASK_KVM, ASK_TYPE, ASK_DEVICES, ASK_NODES, ASK_VNC, ASK_SPICE, ASK_COUNT };

struct answer {
	struct import *in;
	struct json_object *ret; /* NULL: it refused to say */
};

/* The operation, for its steps. */
struct import {
	struct job *job;
	struct ganeti ganeti;
	struct json_object *stored; /* job->resolved's */
	struct json_object *named;  /* the definition with its machine's name */
	struct foreign found;
	struct search *search; /* under way, or NULL */
	struct op *op;         /* that waits for the monitors */
	struct talk monitors[2];
	struct answer answers[ASK_COUNT];
	unsigned pending;
};

static void hang_up(struct import *in)
{
	for (size_t i = 0; i < ARRAY_SIZE(in->monitors); i++)
		if (in->monitors[i].q)
			in->monitors[i].q = qmp_free(in->monitors[i].q);
}

/* For a thread beside the loop: it has what it needs itself. */
struct search {
	struct import *in; /* NULL: nobody wants to know any more */
	char *name, *uuid, *pidfile, *control;
	struct foreign found;
};

static void import_clear(void *data)
{
	struct import *in = data;

	hang_up(in);
	if (in->search)
		in->search->in = NULL;
	for (size_t i = 0; i < ASK_COUNT; i++)
		json_object_put(in->answers[i].ret);
	foreign_clear(&in->found);
	json_object_put(in->named);
	ganeti_clear(&in->ganeti);
}

/* ---- the process ---- */

static bool search(void *data, struct err **e)
{
	struct search *s = data;
	struct foreign_wanted wanted = { s->name, s->uuid, s->pidfile, s->control };

	return foreign_find(&wanted, &s->found, e);
}

static void search_free(void *data)
{
	struct search *s = data;

	if (s->in) {
		s->in->found = s->found;
		s->in->search = NULL;
	} else {
		foreign_clear(&s->found);
	}
	free(s->name);
	free(s->uuid);
	free(s->pidfile);
	free(s->control);
	free(s);
}

static enum verdict find(struct op *op, void *arg)
{
	struct import *in = arg;
	struct search *s = xcalloc(1, sizeof(*s));

	*s = (struct search){ .in = in,
			      .name = xstrdup(json_get_str(in->stored, "name")),
			      .uuid = in->ganeti.at_uuid ? xstrdup(json_get_str(in->stored, "uuid")) : NULL,
			      .pidfile = xstrdup(in->ganeti.pidfile),
			      .control = xstrdup(in->ganeti.control),
			      .found = FOREIGN_NONE };
	in->search = s;
	return file_look(op, search, s, search_free);
}

/* ---- what it says of itself ---- */

static void asked(struct import *in, struct err *e)
{
	struct op *op = TAKE_PTR(in->op);

	hang_up(in);
	if (op)
		op_resume(op, e);
	else
		err_free(e);
}

static void see_all(struct import *in)
{
	if (in->monitors[0].ready && in->monitors[1].ready && in->pending == 0)
		asked(in, NULL);
}

static void on_answer(struct json_object *ret, const struct err *e, void *data)
{
	struct answer *a = data;

	a->ret = json_object_get(ret);
	a->in->pending--;
	see_all(a->in);
}

static void ask_all(struct import *in)
{
	static const struct {
		const char *command, *args;
	} questions[ASK_COUNT] = {
		[ASK_UUID] = { "query-uuid" },
		[ASK_STATUS] = { "query-status" },
		[ASK_VERSION] = { "query-version" },
		[ASK_KVM] = { "query-kvm" },
		[ASK_TYPE] = { "qom-get", "{\"path\": \"/machine\", \"property\": \"type\"}" },
		[ASK_DEVICES] = { "qom-list", "{\"path\": \"/machine/peripheral\"}" },
		[ASK_NODES] = { "query-named-block-nodes", "{\"flat\": true}" },
		[ASK_VNC] = { "query-vnc" },
		[ASK_SPICE] = { "query-spice" },
	};

	in->pending = ASK_COUNT;
	for (size_t i = 0; i < ASK_COUNT; i++) {
		const char *text = questions[i].args;
		struct json_object *args = NULL;

		if (text)
			json_parse(text, strlen(text), &json_limits_request, &args, NULL);
		in->answers[i].in = in;
		qmp_send(in->monitors[0].q, questions[i].command, args, -1, on_answer, &in->answers[i]);
	}
}

static void on_ready(struct qmp *q, void *data)
{
	struct talk *m = data;

	m->ready = true;
	if (m == &m->in->monitors[0])
		ask_all(m->in);
	see_all(m->in);
}

static void on_event(struct qmp *q, const char *name, struct json_object *event, double time, void *data)
{
}

static void on_gone(struct qmp *q, const struct err *e, void *data)
{
	struct talk *m = data;
	struct err *failure = NULL;

	err_set(&failure, ERR_BUSY, "process %d hung up on its monitor: %s", m->in->found.pid, e->desc);
	asked(m->in, failure);
}

static void ask_forget(struct op *op, void *data)
{
	struct import *in = data;

	in->op = NULL;
	hang_up(in);
}

static void ask_expired(struct op *op, void *data)
{
	struct import *in = data;
	bool second = in->monitors[0].ready && !in->monitors[1].ready;
	struct err *e = NULL;

	foreign_refuse_busy(&in->found, json_get_str(in->stored, "name"), second, &e);
	asked(in, e);
}

static enum verdict ask(struct op *op, void *arg)
{
	static const struct op_wait_ops ops = {
		.what = "answer of QEMU", .forget = ask_forget, .expired = ask_expired, .abortable = true
	};
	static const struct qmp_ops talk_ops = { .ready = on_ready, .event = on_event, .gone = on_gone };
	struct import *in = arg;

	if (!in->found.pid)
		return OP_DONE;
	in->op = op;
	for (size_t i = 0; i < ARRAY_SIZE(in->monitors); i++) {
		struct talk *m = &in->monitors[i];

		m->in = in;
		m->q = qmp_new(in->job->d->loop, TAKE_FD(in->found.monitors[i]), i > 0, &talk_ops, m);
	}
	return op_wait(op, &ops, in);
}

/* ---- what follows from that ---- */

static bool check_machine(const struct import *in, struct err **e)
{
	static const char *const moving[] = { "inmigrate", "finish-migrate", "postmigrate" };
	const char *uuid = json_get_str(in->answers[ASK_UUID].ret, "UUID");
	const char *status = json_get_str(in->answers[ASK_STATUS].ret, "status");

	if (!uuid || !status)
		return err_set(e, ERR_QEMU, "process %d does not say who it is, or what it does", in->found.pid);
	if (strcasecmp(uuid, json_get_str(in->stored, "uuid")) != 0)
		return err_set(e, ERR_WRONG_STATE, "process %d is the machine of uuid %s, not %s", in->found.pid, uuid,
			       json_get_str(in->stored, "uuid"));
	for (size_t i = 0; i < ARRAY_SIZE(moving); i++)
		if (str_eq(status, moving[i]))
			return err_set(e, ERR_WRONG_STATE, "process %d is being migrated (%s)", in->found.pid, status);
	return true;
}

static bool has_device(struct json_object *list, const char *id)
{
	for (size_t i = 0; json_object_is_type(list, json_type_array) && i < json_object_array_length(list); i++)
		if (str_eq(json_get_str(json_object_array_get_idx(list, i), "name"), id))
			return true;
	return false;
}

/* A device that QEMU has under a name which nobody knows could be taken for one that has gone. */
static bool check_unnamed(const struct import *in, struct err **e)
{
	for (size_t i = 0; i < json_object_array_length(in->ganeti.unnamed); i++) {
		struct json_object *o = json_object_array_get_idx(in->ganeti.unnamed, i);
		struct json_object *list = json_get_typed(in->stored, json_get_str(o, "list"), json_type_array);
		struct json_object *device = json_object_array_get_idx(list, (size_t)json_get_int(o, "index", 0));

		if (has_device(in->answers[ASK_DEVICES].ret,
			       json_get_str(json_get_typed(device, "hvinfo", json_type_object), "id")))
			continue;
		return err_set(
			e, ERR_UNSUPPORTED,
			"process %d runs, and the file is too old to tell what it calls '%s'; shut its guest down and "
			"import then",
			in->found.pid, json_get_str(device, "name"));
	}
	return true;
}

/* "pc-i440fx-7.2-machine": the alias that the command may have has a meaning of its own in each version. */
static void settle_machine(const struct import *in)
{
	static const char tail[] = "-machine";
	struct json_object *ret = in->answers[ASK_TYPE].ret;
	const char *type = json_object_is_type(ret, json_type_string) ? json_object_get_string(ret) : "";
	const char *was = json_get_str(json_get_typed(in->stored, "hvparams", json_type_object), "machine_version");
	size_t len = strlen(type), end = sizeof(tail) - 1;
	_cleanup_free_ char *name = len > end && str_eq(type + len - end, tail) ? xstrndup(type, len - end) : NULL;

	if (name && machine_kind(name) != MACHINE_OTHER && machine_kind(name) == machine_kind(was ? was : "pc"))
		definition_set_machine(in->stored, name);
}

static enum verdict put(struct op *op, void *arg)
{
	struct import *in = arg;
	struct foreign_answers answers = { .version = in->answers[ASK_VERSION].ret,
					   .nodes = in->answers[ASK_NODES].ret,
					   .kvm = in->answers[ASK_KVM].ret,
					   .vnc = in->answers[ASK_VNC].ret,
					   .spice = in->answers[ASK_SPICE].ret };
	_cleanup_json_ struct json_object *runs = NULL, *record = NULL;
	struct err *e = NULL;

	if (!in->found.pid)
		return OP_DONE;
	if (!check_machine(in, &e) || !check_unnamed(in, &e))
		return op_fail_err(op, e);
	settle_machine(in);
	runs = ganeti_running(&in->ganeti, in->stored);
	record = foreign_record(runs, &in->found, &answers, &e);
	if (!record || !foreign_put(&in->job->d->rt, in->job->name, record, &in->found, &e))
		return op_fail_err(op, e);
	return OP_DONE;
}

/* Whoever the marker names, for this may be another droverd; 0: nobody. */
static pid_t pid_of(const struct job *job)
{
	return (pid_t)json_get_int(job->resolved, "pid", 0);
}

static uint64_t start_time_of(const struct job *job)
{
	return (uint64_t)json_get_int(job->resolved, "start-time", 0);
}

static enum verdict take_away(struct op *op, void *arg)
{
	const struct job *job = ((const struct import *)arg)->job;

	foreign_put_undo(&job->d->rt, job->name, pid_of(job), start_time_of(job));
	return OP_DONE;
}

static enum verdict put_probe(struct op *op, void *arg)
{
	const struct job *job = ((const struct import *)arg)->job;

	if (!pid_of(job) || foreign_is_put(&job->d->rt, job->name, pid_of(job), start_time_of(job)))
		return OP_DONE;
	return op_fail(op, ERR_CANCELLED, "there is no run directory of process %d", pid_of(job));
}

/* What is written down before the run directory is. */
static enum verdict name_it(struct op *op, void *arg)
{
	const struct import *in = arg;

	json_add_int(in->job->resolved, "pid", in->found.pid);
	json_add_uint(in->job->resolved, "start-time", in->found.start_time);
	return OP_DONE;
}

/* ---- behind the commit ---- */

/* As of a QEMU of ours: one whose guest powers off, or panics, is held until droverd has seen why. Older ones cannot. */
static void hold_its_end(struct instance *inst)
{
	struct json_object *args = json_object_new_object();

	json_add_str(args, "shutdown", "pause");
	json_add_str(args, "panic", "pause");
	qmp_send(inst->qmp, "set-action", args, -1, NULL, NULL);
}

static enum verdict adopt_it(struct op *op, void *arg)
{
	const struct import *in = arg;
	struct instance *inst = instance_find(&in->job->d->rt, in->job->name);
	enum adopted what;

	if (!inst || !pid_of(in->job))
		return OP_DONE;
	/* Who takes this up has looked already, as at every instance. */
	what = in->job->recovered ? (inst->process ? ADOPT_RUNNING : ADOPT_NOTHING) : adopt(inst);
	if (what == ADOPT_RUNNING)
		hold_its_end(inst);
	if (what == ADOPT_ENDED) {
		observe_judge_end(inst);
		inst->rt->ops->ended(inst, inst->rt->data);
	}
	return OP_DONE;
}

/* As a start does: what the definition calls by an alias is what runs, from now on. */
static enum verdict name_machine(struct op *op, void *arg)
{
	struct import *in = arg;
	struct job *job = in->job;
	struct instance *inst = instance_find(&job->d->rt, job->name);
	struct json_object *runs = inst ? json_get_typed(inst->record, "definition", json_type_object) : NULL;
	const char *machine = json_get_str(json_get_typed(runs, "hvparams", json_type_object), "machine_version");

	if (!inst || !machine || !inst->stored || str_eq(machine, inst->def.hvparams.machine_version))
		return OP_DONE;
	json_object_deep_copy(inst->stored, &in->named, NULL);
	definition_set_machine(in->named, machine);
	return store_put(op, &job->d->rt, job->name, in->named);
}

static enum verdict take_machine(struct op *op, void *arg)
{
	struct import *in = arg;

	if (in->named && store_has(&in->job->d->rt, in->job->name, in->named))
		instance_define(&in->job->d->rt, TAKE_PTR(in->named));
	return OP_DONE;
}

static enum verdict settle(struct op *op, void *arg)
{
	const struct import *in = arg;
	struct instance *inst = instance_find(&in->job->d->rt, in->job->name);
	const unsigned any = (STATE_BIT(STATE_COUNT) - 1) & ~STATE_BIT(STATE_NOSTATE);

	return inst && inst->process ? instance_wait(op, inst, any, true) : OP_DONE;
}

static const struct step step_find = { "look for its process", find, .timeout_ms = FIND_MS };
static const struct step step_ask = { "ask its process", ask, .timeout_ms = ASK_MS };
static const struct step step_name = { "name its process", name_it };
static const struct step step_put = { "write the runtime record", put, take_away };
static const struct step step_put_last = { "write the runtime record", put, take_away, put_probe, .commit = true };
static const struct step step_adopt = { "adopt its process", adopt_it };
static const struct step step_machine = { "name the machine", name_machine, .timeout_ms = WRITE_MS };
static const struct step step_take = { "take it over", take_machine };
static const struct step step_settle = { "see what it does", settle, .timeout_ms = SETTLE_MS };

/* ---- the command ---- */

static char *subject(struct call *call, struct err **e)
{
	const struct args *args = call->args;
	struct ganeti g;
	char *text;

	if (!ganeti_parse(args->document, &g, e))
		return NULL;
	text = xasprintf("instance-%s", json_get_str(g.definition, "name"));
	ganeti_clear(&g);
	return text;
}

/* But for the machine's versioned name, which it got when it was imported. */
static bool is_same(const struct instance *inst, struct json_object *stored)
{
	_cleanup_json_ struct json_object *copy = NULL;
	const char *machine = json_get_str(json_get_typed(inst->stored, "hvparams", json_type_object),
					   "machine_version");

	if (inst->broken)
		return false;
	json_object_deep_copy(stored, &copy, NULL);
	if (machine)
		definition_set_machine(copy, machine);
	return json_object_equal(inst->stored, copy);
}

/* The instance is there: only its process is missing. */
static bool adopts(const struct job *job)
{
	return json_get_bool(job->resolved, "adopts", false);
}

/* Chosen once. */
static bool resolve(struct job *job, struct import *in, struct err **e)
{
	struct instance *inst = instance_find(&job->d->rt, job->name);
	const char *uuid = json_get_str(in->ganeti.definition, "uuid");
	struct instance_question question;
	struct json_object *stored;

	if (uuid && !param_is_uuid(uuid)) {
		err_set_param(e, "uuid", "must be a UUID");
		return ganeti_blame(&in->ganeti, e);
	}
	if (!define_identity_is_free(job, uuid, e))
		return false;
	stored = definition_store(in->ganeti.definition, instance_context(&job->d->rt, job->name, &question), e);
	if (!stored)
		return ganeti_blame(&in->ganeti, e);
	job->resolved = json_object_new_object();
	json_add(job->resolved, "definition", stored);
	json_add(job->resolved, "warnings", json_object_get(in->ganeti.warnings));
	json_add_bool(job->resolved, "adopts", inst != NULL);
	job->changed = !inst || !inst->process;
	if (!inst || is_same(inst, stored))
		return !inst || instance_is_known(inst, e);
	return err_set(e, ERR_EXISTS, "'%s' exists; 'instance-undefine' it to import it anew", job->name);
}

static bool plan(struct job *job, struct err **e)
{
	struct import *in = op_own(job->op, sizeof(*in), import_clear);

	in->found = (struct foreign)FOREIGN_NONE;
	in->job = job;
	if (!ganeti_parse(json_get_typed(job->raw, "document", json_type_array), &in->ganeti, e) ||
	    (!job->resolved && !resolve(job, in, e)))
		return false;
	in->stored = json_get_typed(job->resolved, "definition", json_type_object);
	if (!in->stored)
		return err_set(e, ERR_GENERIC, "the marker has no definition of '%s'", job->name);
	if (adopts(job) && job->recovered && !job_knows(job, instance_find(&job->d->rt, job->name), e))
		return false;
	if (!job->changed)
		return true;
	op_add(job->op, &step_find, in);
	op_add(job->op, &step_ask, in);
	op_add(job->op, &step_name, in);
	op_add(job->op, adopts(job) ? &step_put_last : &step_put, in);
	if (!adopts(job))
		define_plan(job->op, job, in->stored);
	op_add(job->op, &step_adopt, in);
	if (adopts(job)) {
		op_add(job->op, &step_machine, in);
		op_add(job->op, &step_take, in);
	}
	op_add(job->op, &step_settle, in);
	return true;
}

/* Of the document, then of what it has become. */
static struct json_object *warnings_of(const struct job *job, struct json_object *stored)
{
	struct json_object *given = json_get_typed(job->resolved, "warnings", json_type_array);
	_cleanup_json_ struct json_object *own = warnings_list(stored);
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; given && i < json_object_array_length(given); i++)
		json_object_array_add(list, json_object_get(json_object_array_get_idx(given, i)));
	for (size_t i = 0; i < json_object_array_length(own); i++)
		json_object_array_add(list, json_object_get(json_object_array_get_idx(own, i)));
	return list;
}

static struct json_object *result(struct job *job)
{
	const struct instance *inst = instance_find(&job->d->rt, job->name);
	struct json_object *o = json_object_new_object();
	struct json_object *stored = inst && inst->stored ?
					     inst->stored :
					     json_get_typed(job->resolved, "definition", json_type_object);

	json_add_bool(o, "changed", job->changed && (!adopts(job) || pid_of(job)));
	json_add_str(o, "uuid", json_get_str(stored, "uuid"));
	json_add(o, "definition", json_object_get(stored));
	json_add(o, "warnings", warnings_of(job, stored));
	if (inst && inst->pid)
		json_add_int(o, "pid", inst->pid);
	return o;
}

const struct command cmd_instance_import = {
	.name = "instance-import",
	.class = CLASS_CHANGE,
	.lane = LANE_CHANGE,
	.compares = true,
	.params = rows,
	.args_size = sizeof(struct args),
	.doc = "Makes an instance of what Ganeti has on this host, from its runtime file, and adopts its process if it "
	       "lives: "
	       "the guest goes on, and is drover's from then on. Of an instance that is there already, a "
	       "process which was started since is adopted.",
	.returns =
		"{changed, uuid, definition, warnings, pid}: warnings [{parameter, desc}] of places in the document, "
		"and those of instance-define",
	.subject = subject,
	.plan = plan,
	.result = result,
};
