/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * iothreads: QEMU's threads for the I/O of disks, the objects iothread0, iothread1, … Pure.
 *
 * A virtio-blk disk has one; a virtio-scsi controller has one for all its disks. There are as many as the definition says,
 * but not more than have a use for them when QEMU starts, and they are given out in turn. What is plugged later gets one of
 * those that there are.
 */
#ifndef DROVER_RUNTIME_IOTHREADS_H
#define DROVER_RUNTIME_IOTHREADS_H

#include "runtime/argv.h"
#include "runtime/device.h"

/* Appends the objects. */
void iothreads_parts(const struct definition *def, struct parts *parts);
/* Adds the member to the properties of a disk, or of the SCSI controller. */
void iothreads_add_to_disk(const struct definition *def, size_t disk, const struct argv_env *env,
			   struct json_object *o);
void iothreads_add_to_scsi(const struct definition *def, const struct argv_env *env, struct json_object *o);
/* How many a QEMU has that was started with CMD, a list of arguments, or NULL. */
unsigned iothreads_of(struct json_object *cmd);

#endif
