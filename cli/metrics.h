/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the daemon answers, for Prometheus: its text format, version 0.0.4, from the shapes of query-version,
 * query-instances and query-stats.
 *
 * A metric is a row of one table, with where its value stands and what it means. A value that nobody has makes no sample,
 * and a metric without samples is not printed. Samples have no timestamps of their own: those would be refused when
 * a machine does not answer for long; when the counters were read is a metric. Nothing here does I/O but to F.
 */
#ifndef DROVER_CLI_METRICS_H
#define DROVER_CLI_METRICS_H

#include "base/json.h"

#include <stdio.h>

/* Of what there is a sample each, and which labels it has. */
enum metric_scope {
	METRIC_DAEMON,
	METRIC_VERSION,  /* version */
	METRIC_INSTANCE, /* name, uuid */
	METRIC_STATE,    /* name, uuid, state */
	METRIC_STATS,    /* name, uuid: of those with a process */
	METRIC_VCPU,     /* name, uuid, vcpu */
	METRIC_DISK,     /* name, uuid, device */
	METRIC_NIC,      /* name, uuid, device */
};

struct metric {
	const char *name;
	enum metric_scope scope;
	bool counter;       /* else a gauge */
	const char *within; /* the object that has the member; NULL: that of the scope */
	const char *member;
	const char *is; /* 1 if the member is this text, else 0; NULL: the member is a number or a boolean */
	const char *help;
};

/* Ends with a row without a name. */
extern const struct metric metrics[];
/* "name, uuid, state"; "" if there are none. */
const char *metric_labels(const struct metric *m);

/* VERSION, INSTANCES, STATS: results of the queries. VERSION NULL: the daemon did not answer. */
void metrics_print(FILE *f, struct json_object *version, struct json_object *instances, struct json_object *stats);

#endif
