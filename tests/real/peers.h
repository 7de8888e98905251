/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Servers for guests: real programs, in the network namespace of the test, which die with it.
 */
#ifndef DROVER_TESTS_PEERS_H
#define DROVER_TESTS_PEERS_H

#include "rig.h"

/* The bytes of DIR/NAME as export NAME of a qemu-nbd, at a port of 127.0.0.1 or (with a slash) a socket that everybody may
 * write to. MORE: a further word of qemu-nbd's, or NULL. It serves when this returns. */
pid_t peer_nbd(const char *dir, const char *name, const char *where, const char *more);
/* web_server.py at PORT of 127.0.0.1, whose /good is 1 MiB that begins with CONTENT. CERTIFICATE: of a file with a key and a
 * certificate, which it then speaks TLS with, or NULL. Its log is DIR/PORT.log. It serves when this returns. */
pid_t peer_web(const char *dir, const char *port, const char *content, const char *certificate);
/* DHCP for BRIDGE by a dnsmasq, which has one address only: 10.77.0.42. */
void peer_dhcp(struct rig *r, const char *bridge);
/* Whether there is a program for the next one. */
bool peer_has_iscsi(void);
/* A tgtd with LUN 1 of the target "iqn.drover" in DIR/NAME: iscsi://127.0.0.1/iqn.drover/1 */
pid_t peer_iscsi(const char *dir, const char *name);
/* SIGKILL. */
void peer_end(pid_t pid);

#endif
