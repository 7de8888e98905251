/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a running instance will get at its next start only: the definition against what it was started with.
 */
#ifndef DROVER_RUNTIME_PENDING_H
#define DROVER_RUNTIME_PENDING_H

#include "base/param.h"

/* [{path, from, to, needs}]; absent members compare as their defaults. Members that change at once
 * (CHANGE_LIVE) are no difference. The caller owns it. */
struct json_object *pending_list(const struct param *rows, struct json_object *running, struct json_object *wanted);

#endif
