/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Images with a uri: only QEMU sees what is in them, so what drover-open says of a file is learnt from QEMU here.
 */
#ifndef DROVER_RUNTIME_REMOTE_H
#define DROVER_RUNTIME_REMOTE_H

#include "runtime/definition.h"

/* NODES: what query-named-block-nodes returned before the guest runs. StorageError for a qcow2 image that names a
 * backing file where none is given, or keeps its data in another file. */
bool remote_check(const struct definition *def, struct json_object *nodes, struct err **e);
/* Whether NODE is a block node of an image with a uri; then *NAME is the parameter, "disks[0].backing[1].uri", the caller's,
 * and *URI what it says. */
bool remote_is_node(const struct definition *def, const char *node, char **name, const char **uri);
/* QEMU's LOG ends with what it had against a block node: "disks[0].uri: 'nbd://…'", the caller's, or NULL. */
char *remote_named(const struct definition *def, const char *log);
/* Whether what it had against it is that it has no such driver, or not the module with it; the same of what it said to
 * blockdev-add. */
bool remote_lacks_driver(const char *log);
bool remote_says_no_driver(const char *desc);
/* Calls FN for each layer that has a uri, with the parameter, the uri and the name of its file node. */
typedef void remote_fn(const char *name, const char *uri, const char *node, void *data);
void remote_list(const struct definition *def, remote_fn *fn, void *data);
/* Whether any layer of any disk has a uri that begins with SCHEME. */
bool remote_uses(const struct definition *def, const char *scheme);

#endif
