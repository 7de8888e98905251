/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QEMU's option notation, as far as fake-qemu is given it.
 */
#ifndef DROVER_TESTS_OPTIONS_H
#define DROVER_TESTS_OPTIONS_H

#include "base/cleanup.h"

/* The value of KEY in "first,key=value,…", where a doubled comma is one of the value; KEY NULL: the first. NULL if it
 * is not there; the caller's. */
char *option_value(const char *options, const char *key);
/* The descriptor of the -chardev with this id; ends the process if there is none. */
int option_listener(char **argv, const char *id);

#endif
