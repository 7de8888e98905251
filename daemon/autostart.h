/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starting what is to run when the host has booted.
 *
 * Once per boot of the host, not at each start of droverd: run/autostarted names the boot and, while it goes on, the
 * instances that have not had their turn, so that a droverd that is started again meanwhile goes on with those.
 */
#ifndef DROVER_DAEMON_AUTOSTART_H
#define DROVER_DAEMON_AUTOSTART_H

#include "daemon/daemon.h"

/* After recover(). Waits for nothing: order after order is begun as those before have ended, however. */
void autostart_begin(struct daemon *d);

#endif
