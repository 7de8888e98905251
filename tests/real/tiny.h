/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guests of a hundred bytes: multiboot images for "kernel_path", which do one thing, or what they are told to.
 *
 * Each writes "B" to its serial port when it has booted.
 */
#ifndef DROVER_TESTS_TINY_H
#define DROVER_TESTS_TINY_H

#include "rig.h"

enum tiny {
	TINY_OBEYS,   /* does what a byte on its serial port says, one of enum tiny_order */
	TINY_OFF,     /* powers off at once */
	TINY_PANICS,  /* panics at once */
	TINY_REBOOTS, /* reboots at once */
	TINY_NMI,     /* halts, and writes "N" for each non-maskable interrupt */
	TINY_BUTTON,  /* powers off when the button is pressed; it hears that when it has booted */
};

enum tiny_order { TINY_POWER_OFF = 'p', TINY_PANIC = 'c', TINY_REBOOT = 'r', TINY_SLEEP = 's' };

void tiny_write(const char *path, enum tiny tiny);
/* Writes the image below the root, and defines NAME with it; POLICIES: further hvparams, ", 'on_crash': 'stop'". */
void tiny_define(struct rig *r, struct client *c, const char *name, enum tiny tiny, const char *policies);
/* Tells one that obeys, whether or not there is a droverd. It is heard when it polls, so now or later. */
void tiny_tell(struct rig *r, const char *name, enum tiny_order order);

#endif
