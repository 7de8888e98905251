/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vhost-net: the packets of a virtio card go through the host's kernel instead of QEMU. QEMU is given a descriptor of
 * /dev/vhost-net for each queue of such a card, which it could not open itself.
 */
#ifndef DROVER_RUNTIME_VHOST_H
#define DROVER_RUNTIME_VHOST_H

#include "runtime/nic.h"

enum vhost { VHOST_AUTO, VHOST_ON, VHOST_OFF };

/* hvparams.vhost_net: true, false or "auto"; InvalidParameter naming it. RET may be NULL. */
bool vhost_decode(const struct hvparams *hv, enum vhost *ret, struct err **e);
/* How many descriptors the card N takes where it has vhost: one for each queue of a paravirtual card with a tap, else 0. */
unsigned vhost_queues(const struct nic *n, const struct hvparams *hv);
/* Whether this host has it for droverd, as far as can be told without opening it, which might load a module; else the
 * reason, the caller's. */
bool vhost_is_there(char **reason);
/* Whether a start is to use it: what vhost_net says, and for auto what vhost_is_there() says. */
bool vhost_is_wanted(const struct hvparams *hv);
/* Opens so many. True without one, all of FDS being -1, where vhost_net is auto and the host has none; Unsupported or
 * PermissionDenied naming hvparams.vhost_net where it is true. */
bool vhost_open(const struct hvparams *hv, unsigned queues, int *fds, struct err **e);

#endif
