/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Taps: the host's end of a network card that is on a bridge.
 *
 * A tap is not persistent: it is there, and on its bridge, as long as somebody holds a descriptor of one of its queues.
 * The kernel removes it with the last one, before that close(), or the end of that process, is over. So nobody cleans
 * taps up: QEMU is given the descriptors, whoever made them closes its own, and the tap goes with QEMU.
 *
 * All of it is calls to the kernel that do not wait for anybody, in the network namespace of the caller.
 */
#ifndef DROVER_NETDEV_TAP_H
#define DROVER_NETDEV_TAP_H

#include "base/err.h"

#include <net/if.h>

/* "dv" and the first 12 hexadecimal digits of the card's uuid. */
void tap_name(const char *uuid, char name[static IFNAMSIZ]);

/* Makes the tap NAME of so many QUEUES, each of which is a descriptor in FDS: close-on-exec; with VNET_HDR packets have a
 * virtio header in front. It is a port of BRIDGE and up. MTU: PARAM_INT_NONE for the bridge's. Its address begins with fe, so that a
 * bridge does not take it for its own.
 *
 * On failure there is neither a tap nor a descriptor, and FDS are all -1: PermissionDenied if the host refuses it, else
 * NetworkError: there is no such bridge, it is none, the name is taken (whoever has it is left alone), or in the kernel's
 * words. */
bool tap_open(const char *name, unsigned queues, bool vnet_hdr, const char *bridge, int64_t mtu, int *fds,
	      struct err **e);
/* Closes what is open of QUEUES descriptors; they are -1 then. May be called again. */
void tap_close(int *fds, unsigned queues);

/* Whether there is a network interface of this name, of whatever kind. */
bool tap_exists(const char *name);

/* What has passed through the tap since it was made, as the guest sees it: received is what went to it. */
struct tap_counters {
	uint64_t rx_bytes, rx_packets, tx_bytes, tx_packets;
};
/* False when there is no such interface, or the kernel does not tell. */
bool tap_counters(const char *name, struct tap_counters *ret);

#endif
