/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Uids of their own for QEMUs (security_model pool): a range of numbers without accounts.
 *
 * Who has which is in the runtime records: nothing is kept here. A uid under which any process of the
 * host runs is not given out, be it another daemon's, or one of ours that is not adopted yet. That asks
 * the kernel, which finds an unused uid in a hash, so it costs as good as nothing, and sees the processes of
 * our PID namespace only. It cannot see what another daemon has claimed and not started yet: so each
 * begins at a place in the range of its own, which TAG chooses, and takes the lowest free from there on,
 * round to the first.
 */
#ifndef DROVER_RUNTIME_UIDS_H
#define DROVER_RUNTIME_UIDS_H

#include "base/err.h"

#include <sys/types.h>

struct uid_pool;

/* FIRST to LAST, both included. TAG: confine_tag(); 0 begins at FIRST. InvalidParameter names `uids`. */
struct uid_pool *uid_pool_new(uid_t first, uid_t last, uint32_t tag, struct err **e);
struct uid_pool *uid_pool_free(struct uid_pool *p);
/* The next free one; NoSlot names the range. */
bool uid_pool_claim(struct uid_pool *p, uid_t *uid, struct err **e);
/* A given one, of an adopted process or a marker. False if another holds it; one outside of the range, which
 * may have been a different one in a former life, is anybody's. */
bool uid_pool_claim_given(struct uid_pool *p, uid_t uid);
/* One that is free or outside of the range may be released as well. */
void uid_pool_release(struct uid_pool *p, uid_t uid);

#endif
