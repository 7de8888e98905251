/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A row of numbers that a seed determines, on every machine.
 */
#ifndef DROVER_TESTS_CHANCE_H
#define DROVER_TESTS_CHANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chance {
	uint64_t state;
};

/* The Nth row of SEED. */
struct chance chance_new(uint64_t seed, uint64_t n);
uint64_t chance_next(struct chance *c);
/* 0 to N - 1; FROM to TO. */
unsigned chance_below(struct chance *c, unsigned n);
unsigned chance_between(struct chance *c, unsigned from, unsigned to);
bool chance_percent(struct chance *c, unsigned percent);
/* One of a table of texts. */
#define CHANCE_OF(c, table) ((table)[chance_below((c), sizeof(table) / sizeof((table)[0]))])
/* The index of one of N rows of SIZE bytes, each of which begins with its weight (unsigned). */
size_t chance_row(struct chance *c, const void *rows, size_t n, size_t size);

#endif
