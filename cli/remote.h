/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon of another host, by ssh: "ssh://[user@]host[:port]" runs `ssh [-p port] [-l user] -- host drover proxy`, which
 * copies bytes between us and the daemon's socket there.
 *
 * Keys, known hosts and the rest are ssh's own business; what it says or asks reaches the terminal. Nothing is written on
 * the other host.
 */
#ifndef DROVER_CLI_REMOTE_H
#define DROVER_CLI_REMOTE_H

#include "base/err.h"

#include <sys/types.h>

/* The words of that command line, ending with NULL; the list and its strings are the caller's. NULL with InvalidParameter for
 * what is not of that form: nothing that ssh could take for an option becomes a host. */
char **remote_argv(const char *uri, struct err **e);

/* Runs it; the other end of its stdin and stdout, or -1. */
int remote_dial(const char *uri, pid_t *pid, struct err **e);
/* It has hung up: waits for it and says why, Unavailable. Returns false. */
bool remote_fail(const char *uri, pid_t pid, struct err **e);

#endif
