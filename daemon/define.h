/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the commands that write a definition share.
 */
#ifndef DROVER_DAEMON_DEFINE_H
#define DROVER_DAEMON_DEFINE_H

#include "daemon/job.h"

/* Adds to OP the steps that make STORED (as definition_store() gives it) the definition of the instance job->name: on the
 * disk, which is the commit, then in memory, with its event. STORED stays the caller's and outlives the operation. */
void define_plan(struct op *op, struct job *job, struct json_object *stored);
/* INSTANCE_DEFINED, with RENAMED_FROM if that is not NULL. */
void define_tell(struct daemon *d, const struct instance *inst, const char *renamed_from);
/* Whether another operation that is under way gives NAME to an instance: a definition on its way to the disk, or a
 * rename. */
bool define_is_being_named(const struct job *job, const char *name);
/* Whether another operation that is under way gives MAC to a card of another instance than NAME. */
bool define_promises_mac(const struct daemon *d, const char *name, const char *mac);
/* Whether UUID (NULL: none) and job->name are nobody else's, nor about to be; else Exists. That of job->name may have both. */
bool define_identity_is_free(const struct job *job, const char *uuid, struct err **e);
/* Puts ARGUMENT in front of the parameter that an error of a definition names. Returns false. */
bool define_error_in(struct err **e, const char *argument);

#endif
