/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * query-trace: what was said on an instance's monitors, from our own files. These are bounded, and so is the answer: the
 * newest 512 KiB at least, 1 MiB at most.
 */
#include "daemon/commands.h"
#include "runtime/trace.h"

struct args {
	char *instance;
	double since;
	char *operation;
};

static const struct param rows[] = {
	PARAM_INSTANCE(struct args),
	{ "since", PARAM_TIME, .def = "0", PARAM_AT(struct args, since), .unit = "s", .since = "0.1.0",
	  .doc = "Only messages after this time, in seconds since the epoch." },
	{ "operation", PARAM_TEXT, .min = 1, .max = 63, PARAM_AT(struct args, operation), .since = "0.1.0",
	  .doc = "Only messages on behalf of this one: the 'trace' of an error, the id of a job." },
	PARAM_END
};

static bool trace(struct call *call, struct json_object **ret, struct err **e)
{
	const struct args *args = call->args;
	const struct instance *inst = call_instance(call, e);

	return inst && trace_read(call->d->rt.dirs.log_fd, inst->name, args->since, args->operation, ret, e);
}

const struct command cmd_query_trace = {
	.name = "query-trace",
	.class = CLASS_QUERY,
	.params = rows,
	.args_size = sizeof(struct args),
	.doc = "What droverd and QEMU have said to each other on both monitors, the oldest first: the last 512 KiB at "
	       "least, also when QEMU has ended. Secrets are '***'.",
	.returns =
		"[{time, direction, monitor, id, name, latency, operation, descriptor, cut, message}]; direction: out "
		"(to QEMU), in; monitor: 1, 2, or 3 of a QEMU without a machine that resizes a disk; id: of a command "
		"and its reply; name: of the command or event; latency: "
		"seconds from a command to its reply; operation: on whose behalf; descriptor: true where one went "
		"along; message: as it was, or a text: of more than 4 KiB its first part (cut: true), and one of very "
		"many values. What a message does not have is absent",
	.query = trace,
};
