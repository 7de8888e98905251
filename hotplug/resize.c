/* SPDX-License-Identifier: BSD-2-Clause */
#include "hotplug/resize.h"

#include "hotplug/apart.h"
#include "qmp/wait.h"
#include "runtime/device_record.h"

#include <inttypes.h>

enum { CALL_MS = 30000 };

struct resize {
	struct instance *inst;
	struct apart *apart; /* or NULL */
	const char *id;      /* also of the node on top */
	uint64_t size;
	bool *changed;
	bool doubtful; /* it may have another size, and nobody has said that it has not */
};

static struct qmp *monitor_of(const struct resize *r)
{
	return r->apart ? apart_qmp(r->apart) : r->inst->qmp;
}

/* ---- how large it is ---- */

static enum verdict on_size(struct op *op, struct json_object *ret, void *arg)
{
	struct resize *r = arg;
	int64_t size = record_size_of(ret, r->id);
	struct err *e = NULL;

	if (size < 0)
		return op_fail(op, ERR_QEMU, "QEMU does not say how large '%s' is", r->id);
	*r->changed = (uint64_t)size != r->size;
	if ((uint64_t)size <= r->size)
		return OP_DONE;
	err_set_param(&e, "size",
		      "the disk has %" PRId64 " bytes, and only grows: what is beyond a smaller size would be lost",
		      size);
	return op_fail_err(op, e);
}

static enum verdict ask_size(struct op *op, void *arg)
{
	return qmp_call_nodes(op, monitor_of(arg), on_size, arg);
}

/* ---- another size ---- */

static void has_size(const struct resize *r)
{
	struct json_object *shown = r->apart ? NULL : device_record_find(r->inst, r->id, NULL);

	if (shown)
		json_add_uint(shown, "size", r->size);
}

static enum verdict on_resized(struct op *op, struct json_object *ret, void *arg)
{
	has_size(arg);
	return OP_DONE;
}

static enum verdict resize(struct op *op, void *arg)
{
	struct resize *r = arg;
	struct json_object *args;

	if (!*r->changed)
		return OP_DONE;
	args = json_object_new_object();
	json_add_str(args, "node-name", r->id);
	json_add_uint(args, "size", r->size);
	r->doubtful = true;
	return qmp_call(op, monitor_of(r), "block_resize", args, on_resized, r);
}

static enum verdict on_probed(struct op *op, struct json_object *ret, void *arg)
{
	struct resize *r = arg;
	int64_t size = record_size_of(ret, r->id);

	r->doubtful = size < 0;
	return size == (int64_t)r->size ? OP_DONE : op_fail(op, ERR_QEMU, "it has another size");
}

static enum verdict probe(struct op *op, void *arg)
{
	struct resize *r = arg;

	r->doubtful = true;
	return r->apart ? apart_see_size(op, r->apart, r->size, &r->doubtful) :
			  qmp_call_nodes(op, monitor_of(r), on_probed, r);
}

/* What was made larger stays so. */
static enum verdict see_doubt(struct op *op, void *arg)
{
	const struct resize *r = arg;

	if (r->doubtful && op->err)
		err_add(op->err, "undone", json_object_new_boolean(false));
	return OP_DONE;
}

static enum verdict record(struct op *op, void *arg)
{
	const struct resize *r = arg;
	struct err *e = NULL;

	if (r->apart || r->inst->run_dir < 0 || !r->inst->record)
		return OP_DONE;
	has_size(r); /* which another droverd may not know yet */
	return record_save(r->inst, &e) ? OP_DONE : op_fail_err(op, e);
}

static const struct step step_ask = { "ask for its size", ask_size, .timeout_ms = CALL_MS };
static const struct step step_resize = { "resize the disk",     resize,        see_doubt, probe,
					 .timeout_ms = CALL_MS, .commit = true };
static const struct step step_record = { "record its size", record };

/* NOLINTBEGIN(readability-non-const-parameter): a step writes to CHANGED */
bool resize_plan(struct op *op, struct instance *inst, struct json_object *stored, const char *id, uint64_t size,
		 bool live, bool *changed, struct err **e)
/* NOLINTEND(readability-non-const-parameter) */
{
	struct resize *r = op_alloc(op, sizeof(*r));

	*r = (struct resize){ .inst = inst, .id = id, .size = size, .changed = changed };
	if (!live) {
		r->apart = apart_new(op, inst, stored, id, e);
		if (!r->apart)
			return false;
		apart_begin_plan(op, r->apart);
	}
	op_add(op, &step_ask, r);
	op_add(op, &step_resize, r);
	op_add(op, &step_record, r);
	if (r->apart)
		apart_end_plan(op, r->apart);
	return true;
}
