/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How people see a guest: VNC or SPICE, and the graphics card. What hvparams say of it and what QEMU is told; pure.
 *
 * VNC listens on a socket that droverd has made and hands over when QEMU runs (display_host.h): on the command line
 * it listens nowhere. SPICE has no such way and is told an address and a port. Files that QEMU reads for TLS lie under
 * their usual names in the directory it starts in.
 */
#ifndef DROVER_RUNTIME_DISPLAY_H
#define DROVER_RUNTIME_DISPLAY_H

#include "runtime/argv.h"
#include "runtime/device.h"

#include <netinet/in.h>

/* The names of what QEMU reads for TLS, also in the directory that they are copied from. */
#define X509_CA "ca-cert.pem"
#define X509_CERT "server-cert.pem"
#define X509_KEY "server-key.pem"
#define X509_CRL "ca-crl.pem"
#define DH_PARAMS "dh-params.pem"

/* "", and what is in QEMU's share/keymaps, of all versions. Ends with NULL. */
extern const char *const display_keymaps[];

/* What a text to listen on is. */
enum bind_kind { BIND_NONE, BIND_ADDRESS, BIND_INTERFACE, BIND_DIRECTORY, BIND_INVALID };
/* ADDR, which may be NULL, is filled in for an address; its port is 0. */
enum bind_kind bind_kind(const char *text, struct sockaddr_storage *addr);
/* An address that stands for all of the host's. */
bool bind_is_wildcard(const char *text);

/* Where SPICE is to listen, in the environment of argv_build(). */
struct display_place {
	char address[INET6_ADDRSTRLEN]; /* numeric */
	int port;
};

/* Their passwords: VNC looks at so many characters, SPICE takes so many. */
enum { VNC_PASSWORD_MAX = 8, SPICE_PASSWORD_MAX = 60 };

bool display_has_vnc(const struct hvparams *hv);
bool display_has_spice(const struct hvparams *hv);
bool display_has_vdagent(const struct hvparams *hv);
/* The directory of the files that its TLS is made of: HV's; "" for the host's own; NULL: it needs none. */
const char *display_x509_path(const struct hvparams *hv);
/* The card that it has: never VGA_DEFAULT. */
enum vga display_vga(const struct hvparams *hv);
/* QEMU's name of the device; NULL for VGA_NONE. */
const char *display_vga_driver(enum vga vga);

/* The rules; errors name "hvparams.X". */
bool display_check(const struct hvparams *hv, struct err **e);
/* Whether the socket of an instance of this NAME, if VNC has one, is no longer than the path of a unix socket may be. The error
 * names PARAMETER. */
bool display_check_name(const struct hvparams *hv, const char *name, const char *parameter, struct err **e);

/* The values of -vnc and -spice; NULL: there is none. PLACE NULL: the address that HV says, and the first of all ports. The
 * caller's. */
char *display_vnc_option(const struct hvparams *hv);
char *display_spice_option(const struct hvparams *hv, const struct display_place *place);
/* Appends the credentials of VNC. */
void display_parts(const struct hvparams *hv, struct parts *parts);

#endif
