/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine_version microvm: a machine with PCI Express and nothing of a PC that it can do without. Its devices are those
 * of a PC, at a PC's slots; what it cannot have is said here. Pure.
 */
#ifndef DROVER_RUNTIME_MICROVM_H
#define DROVER_RUNTIME_MICROVM_H

#include "runtime/definition.h"

/* Rules: InvalidParameter for what would not start on a microvm, or would be out of its guest's reach. Other machines
 * pass. */
bool microvm_check(const struct definition *def, struct err **e);
/* What -machine says of it: "" for others. */
const char *microvm_machine(const struct hvparams *hv);

#endif
