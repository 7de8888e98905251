/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The terminal's side of a console: bytes from a socket to stdout, bytes from stdin to the socket.
 *
 * Where stdin is a terminal it is in raw mode meanwhile, and is put back however this ends, by any
 * signal too; ^] leaves. Where it is none, its end only ends the typing. Output is written as it
 * comes: this is the one place where a guest speaks to the terminal itself.
 */
#ifndef DROVER_CLI_CONSOLE_H
#define DROVER_CLI_CONSOLE_H

#include "base/err.h"

/* Copies until the console ends, the user leaves (*LEFT) or stdout is gone. FD stays the caller's.
 * FIRST are LEN bytes that were read from it already. With READ_ONLY nothing is typed. */
bool console_run(int fd, const char *first, size_t len, bool read_only, bool *left, struct err **e);

/* How many of the LEN bytes at DATA belong to the CR LF that ends the reply's line and may come in two
 * portions; *STATE starts as 0. What is not CR LF is the console's. */
size_t console_skip_eol(unsigned *state, const char *data, size_t len);

#endif
