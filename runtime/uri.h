/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An image on another host: a URI -> the members of QEMU's block node that reaches it, with true types. Pure, and
 * strict: what is not understood to the last byte is refused, so that nothing is opened that was not meant.
 *
 *   nbd://HOST[:PORT]/[EXPORT]           also nbd+tcp
 *   nbd+unix:///[EXPORT]?socket=PATH
 *   rbd:POOL/[NAMESPACE/]IMAGE[@SNAPSHOT][:conf=PATH][:id=USER]     user is id; \ in front of what is no separator
 *   iscsi://HOST[:PORT]/TARGET/LUN
 *   gluster://HOST[:PORT]/VOLUME/PATH    also gluster+tcp
 *   gluster+unix:///VOLUME/PATH?socket=PATH
 *   http://HOST[:PORT]/…, https://…
 *
 * HOST is a name, an IPv4 or, in brackets, an IPv6 address. %XX is a byte, but for rbd, where it is what it is. Users
 * and passwords are refused: they would stand in QEMU's command line.
 */
#ifndef DROVER_RUNTIME_URI_H
#define DROVER_RUNTIME_URI_H

#include "base/json.h"

/* Ceph's own files, which a private root has for those who need them. */
#define URI_CEPH_DIR "/etc/ceph"

/* {"driver": "nbd", "server": {…}, "export": "x"}; the caller's. InvalidParameter for NAME ("disks[0].uri"). */
struct json_object *uri_parse(const char *text, const char *name, struct err **e);

/* Of what uri_parse() made: whether nobody can write to it, whatever the server says. */
bool uri_is_read_only(struct json_object *node);
/* Where its server is: "HOST:PORT", "[ADDRESS]:PORT" or the absolute path of a socket, the caller's; NULL of rbd, whose servers
 * Ceph's own files name, and of http and https. */
char *uri_server(struct json_object *node);
/* The path on this host that QEMU needs to get there, or NULL: a socket, a file of Ceph's configuration. */
const char *uri_host_path(struct json_object *node);

#endif
