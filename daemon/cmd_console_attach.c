/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/commands.h"
#include "runtime/console.h"
#include "runtime/logs.h"

#include <string.h>

enum mode { MODE_RW, MODE_RO };
enum { BACKLOG_MAX = CONSOLE_BUFFER / 2 };

struct args {
	char *instance;
	int mode; /* enum mode */
	bool take;
	int64_t log;
};

static const char *const modes[] = { "rw", "ro", NULL };

static const struct param rows[] = {
	PARAM_INSTANCE(struct args),
	{ "mode", PARAM_CHOICE, .choices = modes, .def = "\"rw\"", PARAM_AT(struct args, mode), .since = "0.1.0",
	  .doc = "Whether what the session sends is typed." },
	{ "take", PARAM_BOOL, .def = "false", PARAM_AT(struct args, take), .since = "0.1.0",
	  .doc = "Take the pen from who has it; that one goes on reading." },
	{ "log", PARAM_INT, .min = 0, .max = BACKLOG_MAX, .def = "0", PARAM_AT(struct args, log), .unit = "bytes",
	  .since = "0.1.0", .doc = "How much of what was printed before comes first." },
	PARAM_END
};

static bool check(struct call *call, struct err **e)
{
	const struct args *args = call->args;
	struct instance *inst = call_instance(call, e);

	return inst && console_check(inst, args->mode == MODE_RW, args->take, e);
}

static void attach(struct call *call, int fd, const char *out, size_t out_len, const char *in, size_t in_len)
{
	const struct args *args = call->args;
	struct instance *inst = call_instance(call, NULL);
	_cleanup_free_ char *label = xasprintf("uid %d, pid %d", call->uid, call->pid), *text = NULL, *all = NULL;
	size_t len = 0;
	bool cut;

	if (args->log > 0)
		logs_tail(inst, LOG_CONSOLE, (size_t)args->log, &text, &len, &cut, NULL);
	all = xcalloc(out_len + len + 1, 1);
	if (out_len)
		memcpy(all, out, out_len);
	if (len)
		memcpy(all + out_len, text, len);
	console_attach(inst, fd, args->mode == MODE_RW, label, all, out_len + len, in, in_len);
}

const struct command cmd_console_attach = {
	.name = "console-attach",
	.class = CLASS_ATTACH,
	.lane = LANE_BESIDE,
	.params = rows,
	.args_size = sizeof(struct args),
	.doc = "After the reply the session is the raw byte stream of the serial console. At most eight may read, one "
	       "of "
	       "them may type; one that does not read is cut off.",
	.returns = "{}",
	.check_attach = check,
	.attach = attach,
};
