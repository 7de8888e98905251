/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scanner inside the JSON reader; nobody else includes this.
 *
 * A pushdown automaton over bytes: one small function per state, one bit per open bracket. It
 * finds where a value ends and refuses what is not JSON or beyond the limits, in portions of any
 * size, looking at each byte once. It allocates nothing and builds nothing. What it cannot see
 * byte by byte is left to the reader: keys given twice and doubles that are not finite.
 */
#ifndef DROVER_BASE_JSON_SCAN_H
#define DROVER_BASE_JSON_SCAN_H

#include "base/json.h"

#define JSON_DEPTH_MAX 512

enum scan_verdict {
	SCAN_GO,           /* all is taken, the value is not whole */
	SCAN_WHOLE,        /* the value ends with the last byte taken */
	SCAN_WHOLE_BEFORE, /* the same, known from the next byte, which is not taken */
	SCAN_BAD,          /* the last byte taken is wrong; `why` says how */
	SCAN_OVER,         /* a limit is passed; `why` says which */
};

/* Plain data; the reader looks at the first group only. */
struct json_scan {
	const struct json_limits *limits;
	const char *why;
	size_t bytes, values, members; /* of the value so far */

	int state;
	unsigned depth;
	bool key;                   /* the string is a key */
	const char *literal;        /* what must follow */
	uint64_t digits;            /* of an integer, without its sign */
	bool negative, wide;        /* wide: the digits do not fit */
	unsigned char more, lo, hi; /* continuation bytes to come, bounds of the next one */
	unsigned char hex;          /* digits to come */
	uint16_t unit, high;        /* of \u; the high surrogate that waits for its partner */

	unsigned char brackets[JSON_DEPTH_MAX / 8]; /* a bit per open bracket, set for { */
};

void json_scan_init(struct json_scan *s, const struct json_limits *limits);
/* Ready for the next value. */
void json_scan_reset(struct json_scan *s);
/* Between values; the caller drops white space there. */
bool json_scan_idle(const struct json_scan *s);
bool json_is_space(unsigned char c);
/* Takes *USED of the N bytes at P. */
enum scan_verdict json_scan(struct json_scan *s, const char *p, size_t n, size_t *used);
/* Whether the value is whole if nothing follows; if not, `why` is set. */
bool json_scan_end(struct json_scan *s);

#endif
