/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The serial console of a guest, for people.
 *
 * QEMU's socket is never given away: a connected client that does not read would stop the guest's
 * console and its log. It is connected only while somebody is attached; what comes is copied to at most
 * eight readers, each with 256 KiB, and one that is too slow is cut off. One of them may write.
 */
#ifndef DROVER_RUNTIME_CONSOLE_H
#define DROVER_RUNTIME_CONSOLE_H

#include "base/err.h"

#include <uv.h>

struct console;
struct instance;

enum { CONSOLE_READERS = 8, CONSOLE_BUFFER = 256 << 10 };

/* Whether attaching would work now. TAKE: a present writer is to lose the pen. */
bool console_check(struct instance *inst, bool write, bool take, struct err **e);
/* Attaches FD, a connected non-blocking socket, consumed. OUT is sent to it first, IN was typed already;
 * both stay the caller's. Call console_check() first. LABEL names it in query-instance. */
void console_attach(struct instance *inst, int fd, bool write, const char *label, const char *out, size_t out_len,
		    const char *in, size_t in_len);
/* Hangs up on everybody. Returns NULL. */
struct console *console_free(struct console *c);
unsigned console_readers(const struct console *c);
const char *console_writer(const struct console *c);

#endif
