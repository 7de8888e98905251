/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest that does nothing but show that it runs: firmware of 64 KiB whose reset vector jumps to a loop of a million
 * instructions in real mode, and then ends QEMU through isa-debug-exit.
 */
#ifndef DROVER_RUNTIME_ACCEL_FIRMWARE_H
#define DROVER_RUNTIME_ACCEL_FIRMWARE_H

#include "base/err.h"

/* The port that it writes to at its end, and the status that QEMU exits with by that. */
enum { ACCEL_FIRMWARE_PORT = 0xf4, ACCEL_FIRMWARE_STATUS = 0x55 };

/* A memory file that any uid can open by /proc/self/fd; the caller's. -1 with *e set. */
int accel_firmware(struct err **e);

#endif
