/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Of drover-probe: a binary that is run, and the talk with it. Synchronous; every wait ends at one deadline, and every
 * failure ends the program.
 */
#ifndef DROVER_QMP_PROBE_H
#define DROVER_QMP_PROBE_H

#include "base/json.h"

#include <sys/types.h>

/* Zeroed but for binary, limit, and -1 as descriptors. */
struct probe {
	const char *binary; /* absolute */
	pid_t pid;          /* and its process group; 0: not there */
	int sock, words;
	int64_t deadline; /* ms */
	int limit;        /* seconds for all of it */
	bool greeted;
	struct json_reader *reader;
	char portion[65536];
	const char *next; /* of the portion, not looked at yet */
	size_t left;
	char said[4096]; /* the end of its stderr */
	size_t n_said;
};

/* Runs it and negotiates. */
void probe_start(struct probe *p);
/* Asks it to end, and kills it: nothing fails any more. */
void probe_quit(struct probe *p);
/* Says "CLASS: 'BINARY' words" on stderr and ends the program, and BINARY. */
_Noreturn void probe_fail(struct probe *p, enum err_class class, const char *fmt, ...) _printf_(3, 4);

/* Sends COMMAND, and FD if not -1, and waits. Consumes ARGS. The whole reply; the caller's. */
struct json_object *probe_exchange(struct probe *p, const char *command, struct json_object *args, int fd);
/* What is returned; NULL when QEMU refuses. */
struct json_object *probe_try(struct probe *p, const char *command, struct json_object *args);
/* What is returned; refused is a failure, and so is another type. */
struct json_object *probe_ask(struct probe *p, const char *command, struct json_object *args, enum json_type type);

#endif
