/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Servers of images, asked before QEMU is: it would not answer anybody while it waits for one, and neither would its guest; and
 * its words say little. A web server is asked for the image, one of NBD for its greeting, of iSCSI and Gluster for a connection;
 * Ceph's are its own files' to name, and nobody asks them. What happens to a server between this and QEMU's own look is not known.
 */
#ifndef DROVER_RUNTIME_SERVERS_H
#define DROVER_RUNTIME_SERVERS_H

#include "runtime/prepare.h"
#include "storage/fetch.h"

/* A step for the plan of a start, behind "claim a uid"; ARG is the struct prepare. */
extern const struct step servers_ask;

/* How long the same step takes for each image at most, elsewhere. */
enum { SERVERS_MS = 30000 };

/* The same within another step: the images to ask for, as QEMU, which are added one by one; they live as long as OP. Errors as
 * of fetch_check(). */
struct servers;
struct servers *servers_new(struct op *op, const struct fetch_user *qemu);
void servers_add(struct servers *s, const char *name, const char *uri);
enum verdict servers_wait(struct op *op, struct servers *s, const char *fetcher);

#endif
