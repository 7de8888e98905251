/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text of strangers: a guest's, QEMU's, a file's. Apart from the log, for what prints to a terminal needs no journal.
 */
#ifndef DROVER_BASE_TEXT_H
#define DROVER_BASE_TEXT_H

#include "base/cleanup.h"

/* A copy of TEXT in which control bytes other than newline are \xNN, and the 8-bit controls \uNNNN. */
char *text_escape(const char *text);
/* In place: what is no UTF-8, and NUL, becomes '?'. A guest writes what it likes; the wire carries text. */
void text_make_valid(char *s, size_t n);

#endif
