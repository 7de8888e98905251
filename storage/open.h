/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opening what a user named.
 *
 * A FIFO or a dead file server blocks open() for as long as it likes, so neither the loop nor its few threads may try.
 * One short-lived child, drover-open, does it for one operation and hands the descriptors over; one that is stuck is
 * killed and left to its fate.
 *
 * An image is a regular file or a block device, opened exactly as its flags say; anything else is refused. What is passed
 * through to the guest is a device of the kind that OPEN_BLOCK or OPEN_CHARACTER says. A qcow2 image
 * whose header names a backing file must have OPEN_BACKED, and one with a data file of its own is never taken: QEMU
 * would open by path what the header says. With OPEN_FILLED its disk has to have a size. The header of a raw image is the
 * guest's to write, so nobody looks at it.
 *
 * A boot file (kernel, initial RAM disk, firmware) is opened by QEMU itself. Where QEMU's uid can do so, it stays where
 * it is; else, or with OPEN_COPY, it is copied into QEMU's own directory: a new file `copy`, 0400, QEMU's, of at most
 * OPEN_COPY_MAX bytes. With OPEN_OPTIONAL it need not be there: then neither opened nor copied is set.
 *
 * Of a file of OPEN_LINE, a regular one, only the first line comes over: printable, not empty. With OPEN_LISTEN the path is a
 * directory, on no file system that a server or a program answers for, in which a listening unix socket (0660) is made; what
 * is there under its name is replaced if it is a socket of the same owner that nobody listens on, and refused if not.
 *
 * Memory (OPEN_MEMORY) is a directory: what comes is a new file in it, without a name, read-write, of QEMU's uid, so that QEMU
 * can open it by /proc. NoSpace where its file system has less than `copy` bytes free.
 */
#ifndef DROVER_STORAGE_OPEN_H
#define DROVER_STORAGE_OPEN_H

#include "base/op.h"
#include "storage/open_wire.h"

#include <sys/types.h>

/* Zeroed but for what the caller says; the strings are the caller's. */
struct open_item {
	const char *what; /* for errors: "disks[0]" */
	const char *path;
	unsigned flags; /* enum open_flags */
	const char *
		copy; /* boot file: the name of a copy; OPEN_LISTEN: that of the socket; without a slash; memory: bytes, a
			   * decimal number */

	/* results */
	bool opened;
	int fd; /* if opened: close-on-exec; TAKE_FD is the way to keep it */
	bool block;
	uint64_t size;     /* bytes, of an image: of the disk that is in it */
	uint64_t dev, ino; /* which image it is, whatever its path */
	bool copied;
	char line[OPEN_TEXT_MAX]; /* of OPEN_LINE; whoever takes it clears it */
};

/* For whom boot files and memory are; needed with such an item only. */
struct open_owner {
	int dir; /* QEMU's own directory */
	uid_t uid;
	gid_t gid;
	const gid_t *groups;
	size_t n_groups;
};

/* A wait of OP: has the program OPENER open the N items, in order, and fills in their results. ITEMS stay until it has
 * ended, and what they then hold is the caller's, of a failure too: open_items_close() is the undo.
 *
 * Errors name the item, also as "parameter", and its path, and are NotFound, PermissionDenied, NoSpace or, for a thing of
 * the wrong kind as well, StorageError. The first one ends the wait. Its expiry and a cancel end it at once, with nothing
 * changed but, perhaps, a part of a copy in the owner's directory; a descriptor that comes later is closed by the kernel. */
enum verdict open_items(struct op *op, const char *opener, struct open_item *items, size_t n,
			const struct open_owner *owner);
/* The same, and THEN is called with ARG when all are open; it decides. */
enum verdict open_items_then(struct op *op, const char *opener, struct open_item *items, size_t n,
			     const struct open_owner *owner, step_fn *then, void *arg);
/* Closes what was opened and not taken; may be called again. Copies go with the directory they are in. */
void open_items_close(struct open_item *items, size_t n);
/* Of items that were opened: StorageError if two are the same file or device and one of them is to be written to, unless
 * both are OPEN_SHARED. */
bool open_items_check_twice(const struct open_item *items, size_t n, struct err **e);

#endif
