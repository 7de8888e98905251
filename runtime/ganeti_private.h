/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the parts of ganeti.h share.
 */
#ifndef DROVER_RUNTIME_GANETI_PRIVATE_H
#define DROVER_RUNTIME_GANETI_PRIVATE_H

#include "runtime/ganeti.h"

/* Of the document, in their order. */
enum { GANETI_CMD, GANETI_NICS, GANETI_HVPARAMS, GANETI_DISKS, GANETI_ELEMENTS };

/* InvalidParameter at a place of the document; false. */
bool ganeti_bad(struct err **e, const char *why, const char *place, ...) _printf_(3, 4);

/* ganeti_hvparams.c: those that are GIVEN, with what the command says besides, into the definition. */
bool ganeti_take_hvparams(struct ganeti *g, struct json_object *cmd, struct json_object *given, struct err **e);
/* ganeti_devices.c: the lists of the definition; disks that the command names where FROM is NULL. */
bool ganeti_take_disks(struct ganeti *g, struct json_object *from, struct json_object *cmd, struct err **e);
bool ganeti_take_nics(struct ganeti *g, struct json_object *from, struct err **e);
/* ganeti_loose.c: what Ganeti starts and drover's rules over hvparams would refuse becomes what it means, with a warning; and
 * so does what Ganeti and QEMU have by default. The definition has its lists. */
void ganeti_loosen(struct ganeti *g, struct json_object *cmd);
/* ganeti_command.c: the name of the machine in a value of -machine, NULL: it has none; and, in *REST, what else it says but
 * the accelerator, NULL: nothing. Both the caller's. */
char *ganeti_machine(const char *value, char **rest);

#endif
