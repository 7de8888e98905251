/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections that the last droverd has left with the service manager, by name, until whom they belong to asks for them.
 */
#ifndef DROVER_RUNTIME_KEPT_H
#define DROVER_RUNTIME_KEPT_H

struct kept;

/* Consumes FD. */
void kept_add(struct kept **list, const char *name, int fd);
/* The caller's; -1: there is none. */
int kept_take(struct kept **list, const char *name);
/* Closes what nobody has asked for. */
void kept_clear(struct kept **list);

#endif
