/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/ask.h"
#include "daemon/commands.h"
#include "runtime/stats.h"

struct stats_args {
	struct param_list instances; /* of char * */
};

static const struct param text_row = { .name = "", .type = PARAM_TEXT, .min = 1, .max = 63 };

static const struct param stats_rows[] = { { "instances", PARAM_LIST, .rows = &text_row, .size = sizeof(char *),
					     .max = 4096, PARAM_AT(struct stats_args, instances), .since = "0.1.0",
					     .doc = "Only these, by name or UUID." },
					   PARAM_END };

static void on_told(struct json_object *list, void *data)
{
	ask_reply(data, list, NULL);
}

static bool ask_stats(struct call *call, struct ask *ask, struct err **e)
{
	const struct stats_args *args = call->args;
	struct runtime *rt = &call->d->rt;
	char *const *names = args->instances.items;
	/* NOLINTNEXTLINE(bugprone-sizeof-expression): the elements are pointers */
	_cleanup_free_ struct instance **list = xcalloc(args->instances.n + rt->count + 1, sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; i < args->instances.n; i++) {
		list[n++] = instance_find(rt, names[i]);
		if (!list[i])
			return err_set(e, ERR_NOT_FOUND, "no instance '%s'", names[i]);
	}
	for (struct instance *inst = instance_first(rt); inst && !args->instances.n; inst = instance_next(inst))
		list[n++] = inst;
	stats_ask(rt, list, n, on_told, ask);
	return true;
}

const struct command cmd_query_stats = {
	.name = "query-stats",
	.class = CLASS_ASK,
	.params = stats_rows,
	.args_size = sizeof(struct stats_args),
	.doc = "Counters of all instances that have a process, asked of all at once, within 1 s. One that does not "
	       "answer "
	       "is shown as it was last known, with stale: true; its monitor is then slow.",
	.returns =
		"[{name, uuid, as-of, stale, cpu: {time, vcpus: [{id, time}]}, memory: {resident, wanted, actual}, "
		"disks, "
		"nics}]; times in seconds; a counter that nobody has is absent, as is all but stale of one that never "
		"answered",
	.ask = ask_stats,
};
