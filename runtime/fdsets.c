/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/fdsets.h"

#include "base/file.h"
#include "base/log.h"

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

static void on_listed(struct json_object *ret, const struct err *e, void *data)
{
	struct instance *inst = data;
	struct json_object *pending = pending_of(inst), *rest;
	_cleanup_err_ struct err *failure = NULL;

	inst->fdsets_busy = false;
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
	if (!file_write_json(inst->run_dir, "runtime.json", inst->record, 0600, &failure))
		log_write(LOG_WARNING, inst->name, "%s", failure->desc);
}

void fdsets_flush(struct instance *inst)
{
	struct json_object *pending = pending_of(inst);

	if (!pending || json_object_array_length(pending) == 0 || inst->fdsets_busy || inst->state != STATE_RUNNING ||
	    qmp_is_gone(inst->qmp))
		return;
	for (size_t i = 0; i < json_object_array_length(pending); i++) {
		struct json_object *args = json_object_new_object();

		json_add(args, "fdset-id", json_object_get(json_object_array_get_idx(pending, i)));
		qmp_send(inst->qmp, "remove-fd", args, -1, NULL, NULL); /* "not found" is as good */
	}
	inst->fdsets_busy = qmp_send(inst->qmp, "query-fdsets", NULL, -1, on_listed, inst) != NULL;
}
