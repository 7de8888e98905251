/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What may become of a file: nothing in it, half of it, anything else, each member of another type, or something that is
 * no file in its place.
 */
#ifndef DROVER_TESTS_DAMAGE_H
#define DROVER_TESTS_DAMAGE_H

#include "base/json.h"

struct damage {
	char *what; /* "half", "process.pid: -1" */
	char *text; /* what is in it then; NULL: see below */
	size_t len;
	enum {
		DAMAGE_TEXT,
		DAMAGE_BIG_GARBAGE, /* 10 MiB of it */
		DAMAGE_BIG_JSON,    /* the good one, with a member of 10 MiB */
		DAMAGE_DIRECTORY,
		DAMAGE_FIFO,
		DAMAGE_LINK,     /* to a copy of the good one */
		DAMAGE_DANGLING, /* to nothing */
		DAMAGE_MODE,     /* the good one, which nobody may read */
	} how;
	bool whole; /* the file as such: whoever reads it sees that it is damaged */
};

struct damages {
	struct damage *items;
	size_t n;
};

/* All there are of a file that reads GOOD; MEMBERS: also each of its members, for it is JSON. */
void damages_make(struct damages *d, const char *good, bool members);
void damages_clear(struct damages *d);
/* Puts it in the place of PATH, whatever is there, and the good one, or nothing, for D NULL. */
void damage_put(const struct damage *d, const char *path, const char *good);

#endif
