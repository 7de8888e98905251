/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log: to the journal with fields when stderr is the journal's, else to stderr, a line each.
 *
 * Levels are syslog's. Library code (everything left of daemon/) logs at debug only; the engine
 * logs one line per step, the dispatcher one per change requested. Control bytes in a message are
 * escaped, for QEMU's and the guest's words may be in it. Never fails, never blocks on a journal:
 * what one that stands still has no room for is lost.
 */
#ifndef DROVER_BASE_LOG_H
#define DROVER_BASE_LOG_H

#include "base/cleanup.h"

#include <syslog.h>

/* PROGRAM is put before each line on stderr. LEVEL: the least important level that is written. */
void log_init(const char *program, int level);
void log_set_level(int level);
int log_level(void);
/* "debug", "info", "notice", "warning", "err"; -1 for anything else. */
int log_level_from_name(const char *name);

/* INSTANCE may be NULL; with the journal it becomes the field DROVER_INSTANCE. */
void log_write(int level, const char *instance, const char *fmt, ...) _printf_(3, 4);

#define log_error(...) log_write(LOG_ERR, NULL, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, NULL, __VA_ARGS__)
#define log_notice(...) log_write(LOG_NOTICE, NULL, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, NULL, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, NULL, __VA_ARGS__)

#endif
