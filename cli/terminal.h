/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The terminal at the standard input in another mode: it is put back however the process ends, by any signal that can be
 * caught, and while it is stopped. There is one in a process.
 */
#ifndef DROVER_CLI_TERMINAL_H
#define DROVER_CLI_TERMINAL_H

#include "base/err.h"

#include <termios.h>

/* CHANGE makes the mode of the one that there is (cfmakeraw); WHEN is tcsetattr()'s. */
bool terminal_enter(void (*change)(struct termios *), int when, struct err **e);
void terminal_restore(void);

#endif
