/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `drover log`: the pure parts of --follow.
 */
#ifndef DROVER_CLI_LOG_H
#define DROVER_CLI_LOG_H

#include <stddef.h>
#include <stdio.h>

/* BEFORE and NOW are tails of one log: how much of NOW was in BEFORE already, the most that can be. 0 where they have
 * nothing in common: all of it is new. */
size_t log_overlap(const char *before, const char *now);

/* A stream of a guest's bytes on its way to a terminal, escaped as text_block() does it, without waiting for the ends of
 * lines. Zeroed at first. */
struct log_stream {
	char held[4]; /* what cannot be judged without the bytes behind it: a CR, a part of a character */
	size_t n;
};
void log_stream_print(struct log_stream *s, FILE *f, const char *data, size_t len);
/* Nothing more comes. */
void log_stream_end(struct log_stream *s, FILE *f);

#endif
