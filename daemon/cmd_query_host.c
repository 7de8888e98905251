/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * query-host: the host, what works on it, and the QEMU binaries in use.
 *
 * It is a query, but a binary that is seen for the first time has to be asked, and so has KVM: the reply comes when the
 * last of them has answered. KVM is tried behind the others, which would make it look slow.
 */
#include "daemon/ask.h"
#include "daemon/commands.h"
#include "qmp/caps_cache.h"
#include "runtime/host.h"
#include "runtime/prepare.h"

struct host_query;

struct host_binary {
	struct host_query *query;
	char *path;
	struct json_object *shown;
};

struct host_query {
	struct daemon *d;
	struct ask *ask;
	struct host_binary binaries[CAPS_CACHE_MAX];
	unsigned n, waiting; /* the first one is the default */
};

static struct json_object *describe_drover(struct daemon *d)
{
	struct json_object *o = json_object_new_object(), *instances = json_object_new_object();
	int64_t running = 0, shutoff = 0;

	for (struct instance *inst = instance_first(&d->rt); inst; inst = instance_next(inst)) {
		running += inst->state == STATE_RUNNING;
		shutoff += inst->state == STATE_SHUTOFF;
	}
	json_add_int(instances, "running", running);
	json_add_int(instances, "shutoff", shutoff);
	json_add_str(o, "version", DROVER_VERSION);
	json_add_str(o, "epoch", d->epoch);
	json_add_str(o, "root", d->rt.dirs.root);
	json_add_str(o, "mode", d->rt.dirs.mode);
	json_add(o, "instances", instances);
	return o;
}

static void finish(struct host_query *q, const struct accel_result *r, const char *reason)
{
	struct json_object *kvm = json_object_new_object(), *list = json_object_new_array(), *o;

	json_add_bool(kvm, "works", r && r->works);
	json_add_bool(kvm, "used", r && r->works); /* by accel auto */
	json_add_str(kvm, "reason", r ? r->reason : reason);
	if (r && r->ms > 0)
		json_add_time(kvm, "probe-ms", r->ms);
	o = host_describe(&q->d->rt, kvm);
	for (unsigned i = 0; i < q->n; i++) {
		json_object_array_add(list, q->binaries[i].shown);
		free(q->binaries[i].path);
	}
	json_add(o, "qemu", list);
	json_add(o, "drover", describe_drover(q->d));
	ask_reply(q->ask, o, NULL);
	free(q);
}

static void on_accel(const struct accel_result *r, const struct err *e, void *data)
{
	finish(data, r, e ? e->desc : NULL);
}

/* As a guest that says nothing of its accelerator and of whom it runs as. */
static void try_kvm(struct host_query *q)
{
	const struct definition usual = { .hvparams.security_model = PARAM_CHOICE_NONE };
	_cleanup_err_ struct err *e = NULL;
	struct accel_ask *unneeded;

	if (!prepare_ask_kvm(&q->d->rt, &usual, NULL, q->binaries[0].path, on_accel, q, &unneeded, &e))
		finish(q, NULL, e->desc);
}

static void on_caps(struct caps *c, const struct err *e, void *data)
{
	struct host_binary *b = data;
	struct host_query *q = b->query;
	struct json_object *described = c ? caps_describe(c) : NULL;

	json_add_str(b->shown, "binary", b->path);
	json_add_bool(b->shown, "default", b == q->binaries);
	if (described) {
		json_object_object_foreach(described, key, value) {
			json_add(b->shown, key, json_object_get(value));
		}
	} else {
		json_add(b->shown, "error", err_to_json(e));
	}
	json_object_put(described);
	if (--q->waiting == 0)
		try_kvm(q);
}

/* Once each; what is beyond the cache's room would be probed again and again. Consumes PATH. */
static void add_binary(struct host_query *q, char *path)
{
	_cleanup_free_ char *own = path;
	bool there = q->n == CAPS_CACHE_MAX;

	for (unsigned i = 0; i < q->n; i++)
		there |= str_eq(q->binaries[i].path, own);
	if (there)
		return;
	q->binaries[q->n++] = (struct host_binary){ .query = q,
						    .path = TAKE_PTR(own),
						    .shown = json_object_new_object() };
}

static bool host(struct call *call, struct ask *ask, struct err **e)
{
	struct host_query *q = xcalloc(1, sizeof(*q));
	const struct definition none = { 0 };
	char *binary = argv_binary(&none, NULL);

	q->d = call->d;
	q->ask = ask;
	/* One that is not installed is shown as that. */
	add_binary(q, binary ? binary : xstrdup("qemu-system-x86_64"));
	for (struct instance *inst = instance_first(&q->d->rt); inst; inst = instance_next(inst))
		if (!str_empty(inst->def.hvparams.kvm_path))
			add_binary(q, xstrdup(inst->def.hvparams.kvm_path));
	q->waiting = q->n;
	for (unsigned i = 0; i < q->n; i++)
		caps_ask(q->d->rt.caps, q->binaries[i].path, on_caps, &q->binaries[i]);
	return true;
}

static const struct param no_rows[] = { PARAM_END };
struct no_args {
	char unused;
};

const struct command cmd_query_host = {
	.name = "query-host",
	.class = CLASS_QUERY,
	.params = no_rows,
	.args_size = sizeof(struct no_args),
	.ask = host,
	.doc = "The host, what works on it and why not, and the QEMU binaries in use.",
	.returns = "{hostname, kernel, boot-id, cpus, memory, features, qemu, drover}",
};
