/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is allowed in a definition and may still not be what somebody wants: a guest that cannot move, a display that
 * anybody reads along, devices slower than need be, a parameter that means nothing beside another. Pure.
 */
#ifndef DROVER_RUNTIME_WARNINGS_H
#define DROVER_RUNTIME_WARNINGS_H

#include "runtime/definition.h"

/* Appends one to LIST. */
void warnings_add(struct json_object *list, const char *parameter, const char *fmt, ...) _printf_(3, 4);
/* [{"parameter": "hvparams.cpu_type", "desc": "'hvparams.cpu_type': …"}], as errors have these members; what STORED cannot
 * be decoded has none. The caller owns it. */
struct json_object *warnings_list(struct json_object *stored);
/* Those of STORED that OLD (may be NULL) does not give. */
struct json_object *warnings_new(struct json_object *stored, struct json_object *old);

#endif
