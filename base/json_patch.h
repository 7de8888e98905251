/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * JSON merge patch (RFC 7396): a partial document that says how another one is to change.
 *
 * Null removes a member, objects are merged, everything else (lists too) replaces what was there. Pure.
 */
#ifndef DROVER_BASE_JSON_PATCH_H
#define DROVER_BASE_JSON_PATCH_H

#include "base/json.h"

/* TARGET as PATCH changes it; both stay the caller's, and nothing in the result is shared with them. NULL stands for
 * JSON's null, here and in the result, which the caller owns. Applying a patch twice is applying it once. */
struct json_object *json_merge_patch(struct json_object *target, struct json_object *patch);

#endif
