/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two definitions compared, member by member. Pure.
 *
 * Objects with rows are gone into ("hvparams.accel"); those without, and lists, are compared as one. Of lists whose
 * elements have a uuid (devices) each is compared with the one of the same uuid, whatever their order:
 * "disks[disk0].cache" for a member that differs, "disks[disk0]" with a null where one is not on both sides.
 */
#ifndef DROVER_RUNTIME_PENDING_H
#define DROVER_RUNTIME_PENDING_H

#include "base/param.h"

/* What a running instance will get at its next start only: [{path, from, to, needs}], the definition WANTED against the
 * one it was started with. Absent members compare as their defaults, and are shown so; sizes and times by their value.
 * Members that change at once (CHANGE_LIVE) are no difference, but those of devices are. The caller owns it. */
struct json_object *pending_list(const struct param *rows, struct json_object *running, struct json_object *wanted);
/* The paths of everything that is written differently in the two, a default beside an absent member as well; the
 * caller's. */
struct json_object *pending_paths(const struct param *rows, struct json_object *from, struct json_object *to);
/* Do two paths speak of the same thing: are they equal, or is one within the other? */
bool pending_touches(const char *path, const char *other);
/* Whether a list of pending_list() speaks of PATH. */
bool pending_has(struct json_object *list, const char *path);

#endif
