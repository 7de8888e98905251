/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first half of devices.h: which devices, and what becomes of the two records.
 */
#ifndef DROVER_DAEMON_DEVICES_RESOLVE_H
#define DROVER_DAEMON_DEVICES_RESOLVE_H

#include "daemon/devices.h"

/* Makes job->resolved: {before, between, after: the stored definition as it is, with what is attached, and without what
 * is detached; running: what the machine will be; live; attach, detach: ids in the guest; disks, nics: ids that the result
 * tells of; shown: what is shown of them now, by id; first-set; changed}. */
bool devices_resolve(struct job *job, struct instance *inst, const struct devices_wish *wish, struct err **e);

/* What other commands about one device need, too. */

/* The disk or card that TEXT finds, by uuid, else by id, else by name, else by MAC address: what the guest has of it
 * (*RUNS, the runtime record's) and what the definition has (*THERE); NULL for what has not. ONLY: "disks", "nics", or NULL
 * for both. */
void devices_find(const struct instance *inst, const char *only, const char *text, struct json_object **runs,
		  struct json_object **there);
/* WrongState: the definition, or whether there is a process, is not known. */
bool devices_are_known(const struct instance *inst, struct err **e);
/* WrongState: what runs cannot be changed. */
bool devices_are_changeable(const struct instance *inst, struct err **e);
/* Sets an error that names PARAMETER; returns false. */
bool devices_fail_at(struct err **e, enum err_class class, const char *parameter, const char *fmt, ...) _printf_(4, 5);

#endif
