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

#endif
