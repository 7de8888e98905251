/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the firmware tries, in which order: the bootindex of each device. Pure.
 *
 * It is the device's own; where no device has one, what boot_order names is 1. A start may put another device in front
 * of all, for this once. Nothing is booted beside kernel_path.
 */
#ifndef DROVER_RUNTIME_BOOT_H
#define DROVER_RUNTIME_BOOT_H

#include "runtime/definition.h"

/* BOOT_AS_DEFINED, or 1 + enum boot_order. */
enum { BOOT_AS_DEFINED };

/* Words of boot_order, in the order of the enum. */
extern const char *const boot_orders[];

/* Of one of these words, as the record of a process has it; NULL: as defined. */
int boot_once_of(const char *word);

/* Place of a device, or PARAM_INT_NONE. */
int64_t boot_disk_index(const struct definition *def, int once, size_t disk);
int64_t boot_nic_index(const struct definition *def, int once, size_t nic);

/* Whether there is what boot_order names: InvalidParameter. A machine without disks boots nothing from them. */
bool boot_check(const struct definition *def, struct err **e);
/* Whether ONCE can be booted: InvalidParameter for "boot". */
bool boot_check_once(const struct definition *def, int once, struct err **e);

#endif
