/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cpu_mask: which processors of the host a guest's threads run on.
 *
 * Its elements are parted by colons, each "all" or a list such as 0-3,8. One is for the whole process; as many as there are
 * vcpus are one for each of them, and then all other threads of QEMU may use what any of them may. The process gets its
 * processors before QEMU is executed, so no thread ever ran elsewhere; vcpus get theirs before the guest runs. Threads keep
 * them, whatever becomes of droverd.
 */
#ifndef DROVER_RUNTIME_PINNING_H
#define DROVER_RUNTIME_PINNING_H

#include "base/op.h"
#include "runtime/hvparams.h"

bool pinning_check(const struct hvparams *hv, int64_t vcpus, struct err **e);
/* Whether this host has them all. */
bool pinning_fits(const struct hvparams *hv, struct err **e);
/* Those of the process, as the launcher wants them; NULL: all. The caller's. */
char *pinning_cpus(const struct hvparams *hv);

/* Gives each vcpu its own. ARG is the instance, whose first monitor is connected and whose guest does not run. */
extern const struct step pinning_pin;

#endif
