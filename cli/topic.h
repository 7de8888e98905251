/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Help on what the daemon knows, from its rows (query-schema): "hvparams", "disk", "errors", a command of the API, or one row
 * of these.
 */
#ifndef DROVER_CLI_TOPIC_H
#define DROVER_CLI_TOPIC_H

#include "cli/cli.h"

/* "hvparams", "definition" and so on; ends with NULL. */
extern const char *const topics[];
bool topic_is(const char *name);
/* Needs a daemon: may NAME be a command of the API, by its looks? */
bool topic_may_be_command(const char *name);

/* What SCHEMA says of NAME, a topic or a command, or of its ROW alone (NULL: all): an object, or an array, or NULL where this
 * version has nothing of that; it stays SCHEMA's. False with *e set, and a hint at what was meant, if there is no such thing. */
bool topic_find(struct json_object *schema, const char *name, const char *row, struct json_object **ret,
		struct err **e);
/* Prints what SCHEMA says of NAME, a topic or a command, or of its ROW alone (NULL: all), at most HELP_WIDTH columns wide.
 * False with *e set, and a hint at what was meant, if there is no such thing. */
bool topic_print(struct json_object *schema, const char *name, const char *row, FILE *f, struct err **e);
/* The topic, or the command in SCHEMA (which may be NULL), that a misspelt name may have meant; or NULL. */
const char *topic_guess(struct json_object *schema, const char *name);

#endif
