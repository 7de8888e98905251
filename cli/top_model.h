/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What `drover top` knows, without a terminal: instances, their rates, the last events, what is selected.
 *
 * A rate is the difference of two samples of query-stats, by the daemon's own times: of one process, of devices that both
 * have. A counter that fell, or that nobody has, makes no rate. Only what runs has rates. Numbers that are not known are
 * NAN. Every member of what the daemon sends may be absent or of another type.
 */
#ifndef DROVER_CLI_TOP_MODEL_H
#define DROVER_CLI_TOP_MODEL_H

#include "base/json.h"

enum top_column { TOP_NAME, TOP_STATE, TOP_CPU, TOP_MEMORY, TOP_READ, TOP_WRITE, TOP_RX, TOP_TX, TOP_COLUMNS };

struct top_row {
	char *name, *uuid;           /* uuid "": a record that nobody can read */
	char *state;                 /* "unreadable" as well */
	int64_t pid;                 /* 0: no process */
	bool stale;                  /* the numbers are old */
	double numbers[TOP_COLUMNS]; /* cpu: processors; memory: bytes; the others: bytes a second */
	struct json_object *sample;  /* the last of query-stats, or NULL */
};

enum { TOP_EVENTS = 64 };

struct top_model {
	struct top_row *rows;
	size_t n;
	enum top_column sort;
	bool backwards;
	char *selected;           /* whom the keys are about, by uuid, else name; NULL: nobody */
	char *events[TOP_EVENTS]; /* a line each, the oldest first, not escaped */
	size_t n_events;
};

struct top_model *top_model_new(void);
struct top_model *top_model_free(struct top_model *m);
DEFINE_CLEANUP(struct top_model *, top_model_free, top_model_freep)

/* Results of query-instances and query-stats. */
void top_take_instances(struct top_model *m, struct json_object *list);
void top_take_stats(struct top_model *m, struct json_object *list);
/* True when it is one after which the list may be another. */
bool top_take_event(struct top_model *m, struct json_object *event);

/* Whether anything runs, so that there are numbers to be had. */
bool top_running(const struct top_model *m);
/* NAN where it is not to be shown. */
double top_number(const struct top_row *row, enum top_column column);
/* What is shown of it; "-" for what is not known. The caller's. */
char *top_cell(const struct top_row *row, enum top_column column);
/* "3 instances: 2 running, 1 shutoff". The caller's. */
char *top_counts(const struct top_model *m);

/* Numbers sort from the highest, texts from A; equal ones by name. STEP columns on, round and round. */
void top_sort(struct top_model *m, int step);
void top_turn(struct top_model *m);
/* STEP rows down. */
void top_select(struct top_model *m, int step);
/* The selected row's index; N: there is none. */
size_t top_selected(const struct top_model *m);

#endif
