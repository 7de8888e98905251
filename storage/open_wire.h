/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What droverd and drover-open say to each other.
 *
 *   drover-open OWNER [FLAGS PATH NAME]...
 *
 * OWNER is "UID,GID[,GROUP...]", for boot files; FLAGS is a decimal number; NAME is that of a copy. Descriptor 3 is a
 * SOCK_SEQPACKET socket, on which each item is answered in order by one struct open_answer, with the descriptor if
 * there is one to hand over. Descriptor 4 is the directory of copies. The first item that fails is the last.
 */
#ifndef DROVER_STORAGE_OPEN_WIRE_H
#define DROVER_STORAGE_OPEN_WIRE_H

#include <stdint.h>

enum open_flags {
	OPEN_BOOT =
		1
		<< 0, /* a boot file: to be read by OWNER from a path; else an image, of which the descriptor counts */
	OPEN_COPY = 1 << 1,   /* boot file: copied even if OWNER can read it where it is */
	OPEN_WRITE = 1 << 2,  /* image: read-write */
	OPEN_DIRECT = 1 << 3, /* image: O_DIRECT */
	OPEN_QCOW2 = 1 << 4,  /* image: must have a qcow2 header; without it not a byte is read */
	OPEN_BACKED = 1 << 5, /* qcow2: the header may name a backing file, for another one is given */
	OPEN_SHARED = 1 << 6, /* image: others may write to it as well */
	OPEN_ALONE = 1 << 7,  /* image: nobody else may write to it while the descriptor is open; as QEMU locks it */
	OPEN_LINE = 1 << 8,   /* not the file but its first line is wanted, which is no longer than OPEN_TEXT_MAX - 1 */
	OPEN_LISTEN = 1 << 9, /* a listening socket NAME in the directory PATH; a dead one of ours is replaced */
	OPEN_MEMORY =
		1 << 10, /* a directory: an unnamed file of OWNER in it; NAME is how many bytes it must have room for */
	OPEN_OPTIONAL = 1 << 11,  /* boot file: need not be there */
	OPEN_BLOCK = 1 << 12,     /* image: must be a block device */
	OPEN_CHARACTER = 1 << 13, /* image: must be a character device, which without it is none */
	OPEN_FILLED = 1 << 14,    /* image: of a size that is not 0 */
};

#define OPEN_COPY_MAX (1024ULL * 1024 * 1024)

enum { OPEN_SOCKET_FD = 3, OPEN_COPIES_FD = 4, OPEN_TEXT_MAX = 128 };

enum open_result {
	OPEN_FAILED,   /* errnum, and what could not be done or "" */
	OPEN_REFUSED,  /* text says why */
	OPEN_IMAGE,    /* comes with the descriptor; block, size, id; or a socket, which has none of these */
	OPEN_IN_PLACE, /* boot file: OWNER can read it by its path */
	OPEN_COPIED,   /* boot file */
	OPEN_READ,     /* text is the line */
	OPEN_ABSENT,   /* boot file of OPEN_OPTIONAL: there is none */
};

struct open_answer {
	uint32_t version; /* OPEN_VERSION: a program of another version may have been installed meanwhile */
	uint32_t result;  /* enum open_result */
	int32_t errnum;
	uint32_t block;
	uint64_t size;
	uint64_t dev, ino; /* st_dev and st_ino, or st_rdev and 0 of a device */
	char text[OPEN_TEXT_MAX];
};

enum { OPEN_VERSION = 2 };

#endif
