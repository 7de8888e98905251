/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A command is a row: name, parameters, class, lane, documentation, and what it does. The rows answer
 * query-commands and query-schema, print the reference, and drive completion.
 */
#ifndef DROVER_DAEMON_COMMAND_H
#define DROVER_DAEMON_COMMAND_H

#include "base/param.h"
#include "base/queue.h"
#include "daemon/daemon.h"

enum command_class {
	CLASS_QUERY,  /* "q": answered from memory */
	CLASS_ASK,    /* "a": asks QEMU */
	CLASS_CHANGE, /* "c" */
	CLASS_LONG,   /* "l": may be a job */
	CLASS_DIRECT, /* "c" that is done at once, by query() */
	CLASS_ATTACH, /* "c" whose session becomes a byte stream */
};

/* What a request brings. */
struct call {
	struct daemon *d;
	const struct command *command;
	void *args;              /* decoded by the command's rows */
	struct json_object *raw; /* the same as JSON */
	struct session *session;
	uid_t uid;
	pid_t pid;
};

struct command {
	const char *name;
	enum command_class class;
	enum lane lane;
	bool internal; /* not for clients */
	bool compares; /* afterwards what QEMU has is compared with the runtime record */
	const struct param *params;
	size_t args_size;
	const char *doc, *returns;

	/* CLASS_QUERY, CLASS_DIRECT: *ret is the result. */
	bool (*query)(struct call *call, struct json_object **ret, struct err **e);
	/* Instead of query(), where the answer takes time: replies later by ask_reply(). False: refused, and ASK is the
	 * caller's again. */
	bool (*ask)(struct call *call, struct ask *ask, struct err **e);
	/* CLASS_ATTACH: whether it would work, then taking the session over. */
	bool (*check_attach)(struct call *call, struct err **e);
	void (*attach)(struct call *call, int fd, const char *out, size_t out_len, const char *in, size_t in_len);
	/* The others. subject: what is changed ("instance-web1"), the caller's; pure. plan: adds steps to job->op,
	 * when its turn has come; none: nothing to do. result: of a success. */
	char *(*subject)(struct call *call, struct err **e);
	enum lane (*lane_of)(const void *args); /* where it depends on the arguments */
	bool (*plan)(struct job *job, struct err **e);
	struct json_object *(*result)(struct job *job);
};

const struct command *command_find(const char *name);
/* The nearest name, or NULL. */
const char *command_guess(const char *name);
const struct command *const *command_all(size_t *n);
struct json_object *command_describe(const struct command *c);

/* Arguments of all commands that take one instance, first in their struct. */
struct instance_args {
	char *instance;
};
#define PARAM_INSTANCE(type)                                                                             \
	{                                                                                                \
		"instance", PARAM_TEXT, .required = true, .min = 1, .max = 63, PARAM_AT(type, instance), \
					.since = "0.1.0", .doc = "Name or UUID of the instance."         \
	}

/* The instance of call->args; NotFound. */
struct instance *call_instance(struct call *call, struct err **e);
/* Its subject; for rows. */
char *subject_instance(struct call *call, struct err **e);

#endif
