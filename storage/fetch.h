/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the server of an image says, asked before QEMU is: QEMU waits for a server in its main loop, and the guest with it.
 *
 * Of an image at a URL a web server says how long it is. Another server is looked for only: that it takes a connection, and, of
 * NBD, that it greets.
 *
 * libcurl reads what strangers wrote, so droverd does not link it: one short-lived child, drover-fetch, asks for each image,
 * in turn. What it may be told and says is in fetch_main.c.
 */
#ifndef DROVER_STORAGE_FETCH_H
#define DROVER_STORAGE_FETCH_H

#include "base/op.h"

#include <sys/types.h>

enum { FETCH_GROUPS_MAX = 16 };

/* Who is to ask: QEMU's user, who is to be told the same. */
struct fetch_user {
	bool drop; /* else droverd's own */
	uid_t uid;
	gid_t gid;
	gid_t groups[FETCH_GROUPS_MAX];
	unsigned n_groups;
};

enum fetch_how { FETCH_IMAGE, FETCH_NBD, FETCH_CONNECTION };

/* Strings and USER are the caller's. */
struct fetch_item {
	const char *what; /* for errors: "disks[0].uri" */
	const char *url;
	enum fetch_how how;
	const char *server; /* of all but FETCH_IMAGE: "HOST:PORT", or a socket's absolute path */
	const struct fetch_user *user;
	uint64_t size; /* result, of FETCH_IMAGE */
};

/* A wait of OP: has the program FETCHER ask about each of the N items, in order, which stay until it has ended. Each has the
 * step's time anew.
 *
 * Errors name the item, also as "parameter", its URL and what the server or the network said. Of an image: NetworkError if there
 * was no answer, StorageError if it is none that can be read in parts; of another server always StorageError. Expiry (Timeout)
 * and a cancel kill the child; nothing was changed. */
enum verdict fetch_check(struct op *op, const char *fetcher, struct fetch_item *items, size_t n);

#endif
