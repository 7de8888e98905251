/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/ask.h"
#include "daemon/commands.h"
#include "runtime/guest_agent.h"

struct guest_args {
	char *instance;
	double wait;
};

static const struct param guest_rows[] = { PARAM_INSTANCE(struct guest_args),
					   { "wait", PARAM_TIME, .def = "0", .max = 3600,
					     PARAM_AT(struct guest_args, wait), .unit = "s", .since = "0.1.0",
					     .doc = "How long to wait for the agent to come, if it is not there." },
					   PARAM_END };

struct guest_query {
	struct ask *ask;
	struct guest_asker *asker;
};

static void on_told(struct json_object *ret, struct err *e, void *data)
{
	_cleanup_free_ struct guest_query *q = data;

	ask_reply(q->ask, ret, e);
}

/* It may wait for an hour. */
static void on_gone(void *data)
{
	_cleanup_free_ struct guest_query *q = data;

	guest_agent_forget(q->asker);
	ask_free(q->ask);
}

static bool ask_guest(struct call *call, struct ask *ask, struct err **e)
{
	const struct guest_args *args = call->args;
	struct instance *inst = call_instance(call, e);
	struct guest_query *q;

	if (!inst)
		return false;
	if (!inst->process)
		return err_set(e, ERR_WRONG_STATE, "'%s' is %s (%s): there is nobody to ask", inst->name,
			       state_name(inst->state), inst->reason);
	q = xcalloc(1, sizeof(*q));
	q->ask = ask;
	q->asker = guest_agent_ask(inst, args->wait, on_told, q);
	ask_on_gone(ask, on_gone, q);
	return true;
}

const struct command cmd_query_guest = {
	.name = "query-guest",
	.class = CLASS_ASK,
	.params = guest_rows,
	.args_size = sizeof(struct guest_args),
	.doc = "What the agent in the guest says of it, asked within 5 s. What is not answered is shown as it was last "
	       "known, "
	       "with stale: true and the time of the oldest of it.",
	.returns = "{alive, as-of, stale, version, hostname, os, interfaces, filesystems}; alive: it has answered; "
		   "what the "
		   "agent does not know is absent. The guest's own words: not to be trusted",
	.ask = ask_guest,
};
