/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parameters that say one thing in several words, and what a change from one to the other comes to: nothing. Pure, but for
 * the user that this droverd is of.
 */
#ifndef DROVER_RUNTIME_MEANING_H
#define DROVER_RUNTIME_MEANING_H

#include "runtime/definition.h"

/* pending_list() of two definitions, without those parameters that mean the same in both. The caller owns it. */
struct json_object *definition_pending(struct json_object *running, struct json_object *wanted);

#endif
