/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the benchmarks share: a clock, series of figures, rows of a table, and a client that only counts bytes.
 *
 * Figures are medians with the p90 (nearest rank) in brackets, those of the bare thing beside those of drover from the same
 * run, and the goal. The table is Markdown, to be pasted into docs/BENCH.md.
 */
#ifndef DROVER_TESTS_BENCH_H
#define DROVER_TESTS_BENCH_H

#include "base/cleanup.h"
#include "rig.h"

struct series {
	double *values;
	size_t n;
};

double now_ms(void);
void series_add(struct series *s, double value);
/* Q from 0 to 1; 0 of nothing. */
double series_rank(struct series *s, double q);
void series_clear(struct series *s);

/* How often: DROVER_BENCH_ROUNDS, or FALLBACK. */
int bench_rounds(int fallback);

/* A droverd that has begun; as on a host, its run is in memory and the rest is not. */
struct rig *bench_rig_new(void);
void bench_rig_free(struct rig *r);

enum goal { NO_GOAL, GOAL_RATIO, GOAL_VALUE };
struct row {
	const char *what, *unit;
	struct series *bare, *drover; /* bare: NULL where there is none */
	enum goal kind;
	double goal; /* no more than */
};
void bench_head(const char *title);
/* Prints the row and clears both series. */
void bench_row(const struct row *row);

/* A connection that is read line by line and not parsed: what the client makes of the reply is not the daemon's time. */
struct wire {
	int fd;
	char *text; /* of the last line */
	size_t len, size, used;
};
/* Connected to PATH, or NULL. The greeting has been read; the handshake is made. */
struct wire *wire_new(const char *path);
void wire_free(struct wire *w);
void wire_say(struct wire *w, const char *request);
/* With a descriptor, which stays the caller's. */
void wire_say_fd(struct wire *w, const char *request, int fd);
/* The next line that begins with "{"return" or "{"error"; in w->text. */
void wire_await(struct wire *w);
/* A QEMU's reply to device_del, and its word that the device ID has gone. */
void wire_await_gone(struct wire *w, const char *id);
/* Both, wire_say() and wire_await(); how long it took. The reply must not be an error. */
double wire_ask(struct wire *w, const char *request);

#endif
