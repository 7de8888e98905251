/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What droverd tells the service manager that started it, if one did: ready, stopping, a line of status, and, where it
 * asks for that, that the loop goes round. Without a watchdog there is no timer.
 */
#ifndef DROVER_DAEMON_SERVICE_H
#define DROVER_DAEMON_SERVICE_H

#include "daemon/daemon.h"

/* Before recover(): takes what the manager hands over, the listening socket and what service_stopping() has left. */
bool service_begin(struct daemon *d, struct err **e);
/* After recover(), with a listener. */
void service_ready(struct daemon *d);
/* Leaves the monitors with it, where it has a store for descriptors, for the droverd that follows at once. What comes on
 * them meanwhile waits. */
void service_stopping(struct daemon *d);

#endif
