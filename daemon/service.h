/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What droverd tells the service manager that started it, if one did: ready, stopping, a line of status, and, where it
 * asks for that, that the loop goes round. Without a watchdog there is no timer.
 */
#ifndef DROVER_DAEMON_SERVICE_H
#define DROVER_DAEMON_SERVICE_H

#include "daemon/daemon.h"

/* Before recover(). */
void service_recovering(void);
/* After recover(), with a listener. */
void service_ready(struct daemon *d);
void service_stopping(void);

#endif
