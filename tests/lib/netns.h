/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A network namespace for a test, with lo up, and bridges in it. It asks the kernel without the code it tests, and fails
 * the test, by check's ck_assert, where the kernel says no.
 */
#ifndef DROVER_TESTS_NETNS_H
#define DROVER_TESTS_NETNS_H

#include <net/if.h>
#include <stdbool.h>

/* From now on this process has a network namespace of its own, with lo up. False where the host does not let it (errno). */
bool netns_enter(void);
/* Whether that was so, in this process or one it is a fork of. In the host's namespace nothing is made. */
bool netns_is_own(void);

/* A bridge without an address, up; and its end. */
void netns_bridge(const char *name);
void netns_remove_bridge(const char *name);
/* Whether PORT is an interface of BRIDGE. */
bool netns_on_bridge(const char *bridge, const char *port);
int netns_mtu(const char *name);
void netns_set_mtu(const char *name, int mtu);
bool netns_is_up(const char *name);
/* An IPv4 address with a mask of 24 bits for an interface that has none. */
void netns_set_address(const char *name, const char *address);
/* The first byte of the address of its hardware. */
unsigned netns_hardware(const char *name);
/* Names of the interfaces there are but lo, sorted, one a line. The caller's. */
char *netns_interfaces(void);

#endif
