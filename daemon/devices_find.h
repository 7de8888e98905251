/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which device of an instance a request is about, and whether its devices can be changed at all.
 */
#ifndef DROVER_DAEMON_DEVICES_FIND_H
#define DROVER_DAEMON_DEVICES_FIND_H

#include "runtime/instance.h"

/* The disk or card that TEXT finds, by uuid, else by id, else by name, else by MAC address: what the guest has of it
 * (*RUNS, the runtime record's) and what the definition has (*THERE); NULL for what has not. ONLY: "disks", "nics", or NULL
 * for both. */
void devices_find(const struct instance *inst, const char *only, const char *text, struct json_object **runs,
		  struct json_object **there);
/* Whether TEXT, a uuid or a name, is that of a disk and of a card. */
bool devices_is_ambiguous(const struct instance *inst, const char *text);
/* WrongState: the definition, or whether there is a process, is not known. */
bool devices_are_known(const struct instance *inst, struct err **e);
/* WrongState: what runs cannot be changed. */
bool devices_are_changeable(const struct instance *inst, struct err **e);
/* Sets an error that names PARAMETER; returns false. */
bool devices_fail_at(struct err **e, enum err_class class, const char *parameter, const char *fmt, ...) _printf_(4, 5);

#endif
