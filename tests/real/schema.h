/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a QEMU says of its own commands: whether an object would do as their arguments, to each member and type. For
 * what cannot be tried, where a server or a module of QEMU is not there.
 */
#ifndef DROVER_TESTS_SCHEMA_H
#define DROVER_TESTS_SCHEMA_H

#include "base/json.h"

/* SCHEMA: what query-qmp-schema returned. */
bool schema_takes(struct json_object *schema, const char *command, struct json_object *arguments);
/* Whether MEMBER of the arguments, an enum ("driver" of blockdev-add), may be WORD. */
bool schema_has(struct json_object *schema, const char *command, const char *member, const char *word);

#endif
