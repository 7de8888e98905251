/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a server says of an image at a URL, asked before QEMU is.
 *
 * libcurl reads what strangers wrote, so droverd does not link it: one short-lived child, drover-fetch, asks for each URL,
 * in turn. What it may be told and says is in fetch_main.c.
 */
#ifndef DROVER_STORAGE_FETCH_H
#define DROVER_STORAGE_FETCH_H

#include "base/op.h"

#include <sys/types.h>

/* Strings are the caller's. */
struct fetch_item {
	const char *what; /* for errors: "disks[0].uri" */
	const char *url;
	uint64_t size; /* result */
};

/* Who is to ask: QEMU's user, who is to be told the same. */
struct fetch_user {
	bool drop; /* else droverd's own */
	uid_t uid;
	gid_t gid;
};

/* A wait of OP: has the program FETCHER ask about each of the N items, in order, which stay until it has ended. Each has the
 * step's time anew.
 *
 * Errors name the item, also as "parameter", its URL and what the server or the network said: NetworkError if there was no
 * answer, StorageError if it is no image that can be read in parts. Expiry (Timeout) and a cancel kill the child; nothing was
 * changed. */
enum verdict fetch_check(struct op *op, const char *fetcher, const struct fetch_user *user, struct fetch_item *items,
			 size_t n);

#endif
