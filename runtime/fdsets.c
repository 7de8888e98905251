/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/fdsets.h"

#include "base/log.h"
#include "runtime/argv.h"
#include "runtime/record.h"

#include <inttypes.h>

enum { FIRST_UNCOUNTED = 10000 };

struct json_object *fdsets_of_start(size_t n)
{
	struct json_object *o = json_object_new_object(), *pending = json_object_new_array();

	for (size_t i = 1; i <= n; i++)
		json_object_array_add(pending, json_object_new_int64((int64_t)i));
	json_add_int(o, "next", (int64_t)n + 1);
	json_add(o, "pending", pending);
	return o;
}

static struct json_object *pending_of(const struct instance *inst)
{
	return json_get_typed(json_get_typed(inst->record, "fdsets", json_type_object), "pending", json_type_array);
}

/* Whether LIST, of query-fdsets, has a descriptor in set NUMBER. */
static bool holds(struct json_object *list, int64_t number)
{
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *set = json_object_array_get_idx(list, i);
		struct json_object *fds = json_get_typed(set, "fds", json_type_array);

		if (json_get_int(set, "fdset-id", -1) == number)
			return fds && json_object_array_length(fds) > 0;
	}
	return false;
}

static bool is_pending(struct json_object *pending, int64_t number)
{
	for (size_t i = 0; i < json_object_array_length(pending); i++)
		if (json_object_get_int64(json_object_array_get_idx(pending, i)) == number)
			return true;
	return false;
}

int64_t fdsets_claim(struct instance *inst, size_t n)
{
	struct json_object *o = json_get_typed(inst->record, "fdsets", json_type_object);
	int64_t first;

	if (!o) {
		/* Of a QEMU that was started by a build which kept no count. */
		o = fdsets_of_start(0);
		json_add_int(o, "next", FIRST_UNCOUNTED);
		json_add(inst->record, "fdsets", o);
	}
	first = json_get_int(o, "next", FIRST_UNCOUNTED);
	json_add_int(o, "next", first + (int64_t)n);
	return first;
}

void fdsets_release(struct instance *inst, int64_t first, size_t n)
{
	struct json_object *pending = pending_of(inst);
	_cleanup_err_ struct err *e = NULL;

	if (!pending || n == 0)
		return;
	for (int64_t number = first; number < first + (int64_t)n; number++)
		if (!is_pending(pending, number))
			json_object_array_add(pending, json_object_new_int64(number));
	if (!record_save(inst, &e))
		log_write(LOG_WARNING, inst->name, "%s", e->desc);
	fdsets_flush(inst);
}

static void on_listed(struct json_object *ret, const struct err *e, void *data)
{
	struct instance *inst = data;
	struct json_object *pending = pending_of(inst), *rest;
	_cleanup_err_ struct err *failure = NULL;

	inst->fdsets_busy = false;
	if (inst->fdsets_again) {
		inst->fdsets_again = false;
		fdsets_flush(inst);
		return;
	}
	if (!pending || !json_object_is_type(ret, json_type_array))
		return;
	rest = json_object_new_array();
	for (size_t i = 0; i < json_object_array_length(pending); i++) {
		int64_t number = json_object_get_int64(json_object_array_get_idx(pending, i));

		if (holds(ret, number))
			json_object_array_add(rest, json_object_new_int64(number));
	}
	if (json_object_array_length(rest) > 0)
		log_debug("%s: %zu fd sets are not empty yet", inst->name, json_object_array_length(rest));
	json_add(json_get_typed(inst->record, "fdsets", json_type_object), "pending", rest);
	if (!record_save(inst, &failure))
		log_write(LOG_WARNING, inst->name, "%s", failure->desc);
}

void fdsets_flush(struct instance *inst)
{
	struct json_object *pending = pending_of(inst);

	if (!pending || json_object_array_length(pending) == 0 || inst->state != STATE_RUNNING ||
	    qmp_is_gone(inst->qmp))
		return;
	if (inst->fdsets_busy) {
		inst->fdsets_again = true;
		return;
	}
	for (size_t i = 0; i < json_object_array_length(pending); i++) {
		struct json_object *args = json_object_new_object();

		json_add(args, "fdset-id", json_object_get(json_object_array_get_idx(pending, i)));
		qmp_send(inst->qmp, "remove-fd", args, -1, NULL, NULL); /* "not found" is as good */
	}
	inst->fdsets_busy = qmp_send(inst->qmp, "query-fdsets", NULL, -1, on_listed, inst) != NULL;
}

/* ---- those that nobody knows ---- */

static void on_audited(struct json_object *ret, const struct err *e, void *data)
{
	struct instance *inst = data;

	if (!json_object_is_type(ret, json_type_array))
		return;
	for (size_t i = 0; i < json_object_array_length(ret); i++) {
		int64_t number = json_get_int(json_object_array_get_idx(ret, i), "fdset-id", -1);
		struct json_object *pending = pending_of(inst);

		if (number < SET_COUNT || !pending || is_pending(pending, number) || !holds(ret, number))
			continue;
		log_write(LOG_WARNING, inst->name, "QEMU has fd set %" PRId64 ", which no record knows; it is emptied",
			  number);
		fdsets_release(inst, number, 1);
	}
}

void fdsets_audit(struct instance *inst)
{
	if (pending_of(inst) && !qmp_is_gone(inst->qmp))
		qmp_send(inst->qmp, "query-fdsets", NULL, -1, on_audited, inst);
}
