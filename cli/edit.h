/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `drover edit`: the pure half, what a changed text says. The rest of edit.c is the conversation.
 */
#ifndef DROVER_CLI_EDIT_H
#define DROVER_CLI_EDIT_H

#include "base/json.h"

/* The merge patch (RFC 7396) that makes TO of FROM, both objects; {} if they are equal. A null in TO counts as absent. The
 * caller's. */
struct json_object *edit_patch(struct json_object *from, struct json_object *to);
/* What PATH as instance-modify names it ("hvparams.accel", "disks[disk0].cache") leads to in a definition; NULL where there
 * is nothing. The definition's. */
struct json_object *edit_find(struct json_object *definition, const char *path);

#endif
