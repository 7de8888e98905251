/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The address and port on which a display listens.
 *
 * A port is the first free one of rt->ports. droverd listens on it before there is a QEMU: VNC is given the very socket.
 * SPICE binds by itself; until that has happened no other display of this droverd is given the port, and should a stranger
 * take it, QEMU ends and says so.
 */
#ifndef DROVER_RUNTIME_DISPLAY_PORT_H
#define DROVER_RUNTIME_DISPLAY_PORT_H

#include "runtime/display_host.h"

/* Fills in D->place, and D->fd (VNC) or D->held (SPICE). NotFound: no such interface; Network: it has no address, or
 * cannot be listened on; NoSpace: no port is free. The error names the parameter. */
bool display_port_take(struct displays *d, struct instance *inst, struct err **e);
/* SPICE has it by now, or never will. */
void display_port_let_go(struct displays *d);

#endif
