/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a patch makes of a definition. Pure.
 */
#ifndef DROVER_RUNTIME_PATCH_H
#define DROVER_RUNTIME_PATCH_H

#include "base/json.h"

/* STORED as PATCH (RFC 7396) changes it, to be given to definition_store(). A patch of what names an instance is
 * refused with InvalidParameter ("name"). Lists of devices are replaced whole; a device that is there already, by uuid or
 * else by name, keeps of its identity what the patch does not mention. A place (hvinfo) that the patch does not ask for is
 * left out, for definition_store() to keep or to choose. The caller owns the result; NULL on failure. */
struct json_object *patch_definition(struct json_object *stored, struct json_object *patch, struct err **e);

#endif
