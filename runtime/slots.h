/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where devices sit: layout 1, for PC and Q35 machines and microvm. Pure.
 *
 * Addresses are chosen here and never asked of QEMU, are part of the definition from the moment a device is in it, and
 * do not change afterwards. The lowest free place wins. A revision of the layout is reproduced for ever.
 */
#ifndef DROVER_RUNTIME_SLOTS_H
#define DROVER_RUNTIME_SLOTS_H

#include "runtime/definition.h"

/* Fills hvinfo of every disk and card that has none, completes and checks those that were given. A device of OLD (may
 * be NULL) with the same uuid keeps its place if it still fits, else one of RUNNING (may be NULL) comes back to its. The
 * places of RUNNING are taken; at the NEXT_START they are not, and only chosen when there are no others. NoSlot when a bus
 * is full, InvalidParameter naming "disks[1].hvinfo.addr" for a place that is taken or does not exist. */
bool slots_assign(struct definition *def, const struct definition *old, const struct definition *running,
		  bool next_start, struct err **e);
/* Whether each device of DEF, which have uuids, says in hvinfo what it is and what it is called, as slots_assign() leaves it. */
bool slots_are_assigned(const struct definition *def, struct err **e);
/* Whether the place of the device ID of DEF is one that the machine has for such a device. */
bool slots_has_place(const struct definition *def, const char *id);
/* Whether the slot ADDR of pci.0 is the machine's own, which no disk or card of a definition gets. */
bool slots_is_own(const char *addr);
/* The map, as query-instance shows it: [{bus, first, last, free, used: {addr: id}}], of the machine that is RUNNING (may be
 * NULL), and of DEF what it has a place for already. The caller owns it. */
struct json_object *slots_describe(const struct definition *def, const struct definition *running);

#endif
