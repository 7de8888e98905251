/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The devices of a machine that runs, as its runtime record has them: what is shown of each ("disks", "nics"), and the
 * definition that the machine now is ("definition"). In memory; record_save() writes it.
 */
#ifndef DROVER_RUNTIME_DEVICE_RECORD_H
#define DROVER_RUNTIME_DEVICE_RECORD_H

#include "base/op.h"
#include "runtime/instance.h"
#include "runtime/record.h"

enum device_state { DEVICE_ATTACHED, DEVICE_ATTACHING, DEVICE_DETACH_PENDING, DEVICE_STATE_COUNT };

/* What is shown of the device ID, or NULL; the record's. *LIST, unless LIST is NULL: "disks" or "nics". */
struct json_object *device_record_find(const struct instance *inst, const char *id, const char **list);
/* The ids of those in STATE; the caller's. */
struct json_object *device_record_ids(const struct instance *inst, enum device_state state);
/* What is shown of the one that QEMU was given this place in the firmware's order for, or NULL; not of those in BUT. */
struct json_object *device_record_in_order(const struct instance *inst, int64_t bootindex, struct json_object *but);
enum device_state device_record_state(struct json_object *shown);
void device_record_set_state(struct instance *inst, const char *id, enum device_state state);
/* SHOWN of LIST, whose element in the definition is ELEMENT; in place of what has the same id. Consumes SHOWN. */
void device_record_put(struct instance *inst, const char *list, struct json_object *shown, struct json_object *element);
void device_record_remove(struct instance *inst, const char *id);
/* From now on it is called NAME; another one that is called so is called by its id. */
void device_record_rename(struct instance *inst, const char *id, const char *name);

/* The id of an element of a stored definition, or of what is shown of a device; NULL if it has none. */
const char *device_id_of(struct json_object *o);
/* The element of a definition with this id, or NULL; the definition's. *LIST as above. */
struct json_object *definition_find_device(struct json_object *stored, const char *id, const char **list);
/* The same definition without the devices whose ids are in IDS; the caller's. */
struct json_object *definition_without(struct json_object *stored, struct json_object *ids);

/* Steps for a process that has ended: the devices that were to go leave the definition, which DEVICE_DETACHED tells. */
void device_record_leave_plan(struct op *op, struct instance *inst);
/* Whether there are any now. */
bool device_record_has_leavers(const struct instance *inst);

#endif
