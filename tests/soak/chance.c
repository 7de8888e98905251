/* SPDX-License-Identifier: BSD-2-Clause */
#include "chance.h"

#include <string.h>

/* splitmix64: every seed is a good one, also those that follow each other. */
uint64_t chance_next(struct chance *c)
{
	uint64_t z = c->state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

struct chance chance_new(uint64_t seed, uint64_t n)
{
	struct chance c = { seed };

	c.state = chance_next(&c) + n;
	c.state = chance_next(&c);
	return c;
}

unsigned chance_below(struct chance *c, unsigned n)
{
	return (unsigned)((chance_next(c) >> 32) * n >> 32);
}

unsigned chance_between(struct chance *c, unsigned from, unsigned to)
{
	return from + chance_below(c, to - from + 1);
}

bool chance_percent(struct chance *c, unsigned percent)
{
	return chance_below(c, 100) < percent;
}

static unsigned weight_of(const void *rows, size_t i, size_t size)
{
	unsigned weight;

	memcpy(&weight, (const char *)rows + i * size, sizeof(weight));
	return weight;
}

size_t chance_row(struct chance *c, const void *rows, size_t n, size_t size)
{
	unsigned all = 0, at;

	for (size_t i = 0; i < n; i++)
		all += weight_of(rows, i, size);
	at = chance_below(c, all);
	for (size_t i = 0; i < n; i++) {
		if (at < weight_of(rows, i, size))
			return i;
		at -= weight_of(rows, i, size);
	}
	return n - 1;
}
