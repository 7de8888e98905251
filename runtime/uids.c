/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/uids.h"

#include <errno.h>
#include <sys/resource.h>

enum { RANGE_MAX = 1 << 20, BITS = 64 };

struct uid_pool {
	uid_t first;
	unsigned n, begin;
	uint64_t taken[]; /* a bit for each */
};

struct uid_pool *uid_pool_new(uid_t first, uid_t last, uint32_t tag, struct err **e)
{
	struct uid_pool *p;
	unsigned n = last - first + 1;

	if (first == 0 || last < first || last == (uid_t)-1 || n > RANGE_MAX) {
		err_set_param(e, "uids", "%u-%u is no range of 1 to %d uids without root's", first, last, RANGE_MAX);
		return NULL;
	}
	p = xcalloc(1, sizeof(*p) + (n + BITS - 1) / BITS * sizeof(p->taken[0]));
	p->first = first;
	p->n = n;
	p->begin = tag % n;
	return p;
}

struct uid_pool *uid_pool_free(struct uid_pool *p)
{
	free(p);
	return NULL;
}

static bool holds(const struct uid_pool *p, uid_t uid)
{
	return uid >= p->first && uid - p->first < p->n;
}

static uint64_t *word(struct uid_pool *p, unsigned i)
{
	return &p->taken[i / BITS];
}

static uint64_t bit(unsigned i)
{
	return (uint64_t)1 << i % BITS;
}

/* Does any process run under it? The cheapest question about all processes of a user that there is. */
static bool is_in_use(uid_t uid)
{
	errno = 0;
	getpriority(PRIO_USER, uid);
	return errno != ESRCH;
}

bool uid_pool_claim(struct uid_pool *p, uid_t *uid, struct err **e)
{
	for (unsigned k = 0; k < p->n; k++) {
		unsigned i = (p->begin + k) % p->n;

		if (*word(p, i) & bit(i) || is_in_use(p->first + i))
			continue;
		*word(p, i) |= bit(i);
		*uid = p->first + i;
		return true;
	}
	return err_set(e, ERR_NO_SLOT, "all uids from %u to %u are in use", p->first, p->first + p->n - 1);
}

bool uid_pool_claim_given(struct uid_pool *p, uid_t uid)
{
	unsigned i = uid - p->first;

	if (!holds(p, uid))
		return true;
	if (*word(p, i) & bit(i))
		return false;
	*word(p, i) |= bit(i);
	return true;
}

void uid_pool_release(struct uid_pool *p, uid_t uid)
{
	unsigned i = uid - p->first;

	if (holds(p, uid))
		*word(p, i) &= ~bit(i);
}
