/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The trace of an instance: what was said on its monitors, both ways, and to a QEMU without a machine on its behalf.
 *
 * A ring of two files that take turns: log/NAME.trace is written; when the next line would make it larger than
 * TRACE_FILE_MAX it becomes NAME.trace.1, in place of the last of that name. It goes on over the lives of droverd and
 * of QEMU. A line is a JSON object in the shape of query-trace; one that is none (half written, of a version that
 * nobody knows, garbage) is passed over. Written in line and without a sync, before a message is sent or acted on, so
 * that it is there after any end of droverd. Secrets are blanked (qmp/secrets.h). Of a message of more than
 * TRACE_MESSAGE_MAX the first part is kept, as a text, with "cut": true; one of very many values or levels is kept as
 * a text, too.
 *
 * A file that cannot be written is told of once and hurts nobody; what comes meanwhile is missing.
 */
#ifndef DROVER_RUNTIME_TRACE_H
#define DROVER_RUNTIME_TRACE_H

#include "qmp/client.h"

enum { TRACE_FILE_MAX = 512 << 10, TRACE_MESSAGE_MAX = 4096 };
/* The monitor of a QEMU without a machine, that some operation has for a while. */
enum { TRACE_APART = 3 };

struct trace;

/* That of the instance NAME, to be written; nothing is opened yet. LOG_DIR is borrowed. */
struct trace *trace_new(int log_dir, const char *name);
struct trace *trace_free(struct trace *t);
/* MONITOR: 1, 2 or TRACE_APART. */
void trace_put(struct trace *t, int monitor, const struct qmp_message *m);

/* The messages that are kept of the instance NAME, the oldest first: those after SINCE, and with OPERATION (unless it is
 * NULL) only those on its behalf. None is an empty list. *RET is the caller's. */
bool trace_read(int log_dir, const char *name, double since, const char *operation, struct json_object **ret,
		struct err **e);

#endif
