/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mem_path, mem_lock and numa_nodes: where the guest's memory comes from and how it is shared out. Pure.
 *
 * Memory that is not just QEMU's own is one backend, "pc.ram" (the name it has in a migration anyway), or one for each
 * NUMA node, "ram0", "ram1", …. With mem_path each has a file of that directory, without a name, which drover-open makes for
 * QEMU's user and QEMU opens by its descriptor. It is shared: a private mapping of a tmpfs would hold each page twice.
 */
#ifndef DROVER_RUNTIME_MEMORY_H
#define DROVER_RUNTIME_MEMORY_H

#include "runtime/device.h"

bool memory_check(const struct definition *def, struct err **e);
/* How many files it takes. */
size_t memory_files(const struct definition *def);
/* Appends the backends; the descriptors of their files are FIRST_FD and the next ones. */
void memory_parts(const struct definition *def, size_t first_fd, struct parts *parts);
/* What -machine says of it: "" or ",memory-backend=pc.ram". */
const char *memory_machine(const struct definition *def);
/* What -numa says of NODE; the caller's. */
char *memory_node(const struct definition *def, int64_t node);
/* How many sockets the processors are in where nothing is said of that: one for each node, if it comes out even. 0:
 * QEMU's choice. */
int64_t memory_sockets(const struct definition *def);

#endif
