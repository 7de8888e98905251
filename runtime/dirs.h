/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where everything lies: the four directories of a daemon, held open.
 *
 *   system             /etc/drover              /var/lib/drover         /run/drover              /var/log/drover
 *   a user's           $XDG_CONFIG_HOME/drover  $XDG_STATE_HOME/drover  $XDG_RUNTIME_DIR/drover  $XDG_STATE_HOME/drover/log
 *   --root DIR         DIR/etc                  DIR/lib                 DIR/run                  DIR/log
 */
#ifndef DROVER_RUNTIME_DIRS_H
#define DROVER_RUNTIME_DIRS_H

#include "base/err.h"

struct dirs {
	const char *mode; /* "system", "user", "root" */
	char *root;       /* as given by --root, in full; or NULL */
	char *etc, *lib, *run, *log;
	int run_fd;        /* run */
	int lib_instances; /* lib/instances: NAME/definition.json, NAME/state.json */
	int run_instances; /* run/instances: NAME/ */
	int operations;    /* run/operations: markers */
	int jobs;          /* run/jobs: what became of jobs with a name */
	int log_fd;
	int capabilities; /* lib/capabilities: what binaries can do, a file for each */
};

/* ROOT NULL: the system's for uid 0, else the user's. Makes what is missing. */
bool dirs_open(struct dirs *d, const char *root, struct err **e);
void dirs_close(struct dirs *d);

/* A listening unix socket NAME in a directory, by way of /proc/self/fd, so that no path is too long. An old
 * one is replaced. -1 with *e set. */
int dirs_listen(int dirfd, const char *name, mode_t mode, struct err **e);
/* Connects to one, without waiting. */
int dirs_connect(int dirfd, const char *name, struct err **e);

#endif
