/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the API's shapes look like to people. Every member may be absent or of another type than
 * expected; strings that are returned are the caller's, and not escaped yet.
 */
#ifndef DROVER_CLI_SHAPES_H
#define DROVER_CLI_SHAPES_H

#include "base/json.h"
#include "cli/table.h"

/* The style of a state's name. */
enum style shape_state_style(const char *state);
/* "disk-detach: wait for the guest" of an "operation"; NULL if there is none. */
char *shape_operation(struct json_object *operation);
/* The words of an error, be it an object with "desc" or text. */
char *shape_error(struct json_object *error);
/* Any value in one line: text as it is, else compact JSON. NULL for null. */
char *shape_value(struct json_object *value);
/* A member as shape_value() has it; NULL if it is absent. */
char *shape_member(struct json_object *o, const char *key);
/* A member that is a size: "256M". NULL if it is none. */
char *shape_size(struct json_object *o, const char *key);
/* How long ago a member that is a point in time was: "2h13m". NULL if it is none. */
char *shape_age(struct json_object *o, const char *key);
/* Where a device sits: "pci.0 0xc", "scsi.0 0:4:0". NULL if that is not said. */
char *shape_address(struct json_object *device);
/* What an event says besides its name and its instance: "state=running reason=booted". NULL if that is nothing. */
char *shape_event(struct json_object *event);
/* The map of an instance's places, in its "slots", to F: a line for each that is taken, one for those that are free. */
void shape_slots(FILE *f, const struct screen *screen, struct json_object *instance);

#endif
