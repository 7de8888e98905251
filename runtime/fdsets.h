/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fd sets by which QEMU was given its files.
 *
 * Numbers count up for the life of a process. A set is emptied once its node is open and the guest runs: a QEMU that is
 * not running may answer remove-fd with success and keep the descriptor. What waits for that is in runtime.json
 * ("fdsets": {"next", "pending"}), so that the next life of droverd does it.
 */
#ifndef DROVER_RUNTIME_FDSETS_H
#define DROVER_RUNTIME_FDSETS_H

#include "runtime/instance.h"

/* For runtime.json of a start: sets 1 to N are to be emptied. The caller owns it. */
struct json_object *fdsets_of_start(size_t n);
/* The first of N numbers that nobody else will have; in memory, until runtime.json is written. */
int64_t fdsets_claim(struct instance *inst, size_t n);
/* The N sets from FIRST on are to be emptied: their nodes are open by now, or will never be. Again is nothing. */
void fdsets_release(struct instance *inst, int64_t first, size_t n);
/* Sends what waits, if the guest runs and nothing is under way; then asks whether the sets are empty, and forgets only
 * those. Called when the guest begins to run. */
void fdsets_flush(struct instance *inst);
/* For a process that was found, at a moment at which nothing changes the instance: sets of images which are in no record are
 * to be emptied, too. */
void fdsets_audit(struct instance *inst);

#endif
