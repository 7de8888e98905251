/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Strict JSON over json-c: a reader for a stream of values, and the writer.
 *
 * json-c builds the objects; in front of it stands a scanner of our own, because json-c's strict
 * mode lets pass what would make two programs read one text differently: single quotes, NaN and
 * Infinity, comments, control bytes and NUL (also \u0000) in strings, lone surrogates, bytes that
 * are not UTF-8, integers beyond 64 bits (it clamps), numbers that overflow to infinity, a key
 * given twice in one object (it takes the last). All of these are syntax errors here.
 *
 * The reader takes bytes in any portions: any number of values per portion, a value over any
 * number of portions. It never looks at a byte twice but to build the value. After a syntax error
 * it drops input up to and including the next newline and goes on; after too much or too deep
 * input it is dead and says the same for ever. It holds no memory while between values.
 */
#ifndef DROVER_BASE_JSON_H
#define DROVER_BASE_JSON_H

#include "base/err.h"

#include <json-c/json.h>

/* Both limits bound text; this one bounds what it is built into: "{}," is 3 bytes, and 750 as a
 * value. No text of 1 MiB reaches it. */
#define JSON_VALUES_MAX (512 * 1024)

struct json_limits {
	size_t bytes;   /* of one value, white space within it counted */
	unsigned depth; /* [[1]] has depth 2 */
};

extern const struct json_limits json_limits_request; /* 1 MiB, 32: what clients send */
extern const struct json_limits json_limits_qemu;    /* 64 MiB, 128: what QEMU sends, and our own files */

enum json_status {
	JSON_MORE,     /* no whole value yet: feed more */
	JSON_VALUE,    /* *ret is a value, the caller owns it (NULL stands for JSON's null) */
	JSON_BAD,      /* a syntax error, *e is set; the reader goes on behind the next newline */
	JSON_OVERFLOW, /* a limit is passed, *e is set and names it; the reader is dead */
};

struct json_reader;

/* LIMITS must outlive the reader. */
struct json_reader *json_reader_new(const struct json_limits *limits);
struct json_reader *json_reader_free(struct json_reader *r);
DEFINE_CLEANUP(struct json_reader *, json_reader_free, json_reader_freep)

/* Reads from *DATA, advances *DATA and *LEN past what was taken, and stops at the first value or
 * error. Call again with the rest until JSON_MORE, which means that all was taken. */
enum json_status json_reader_next(struct json_reader *r, const char **data, size_t *len, struct json_object **ret,
				  struct err **e);
/* At the end of the input: a number at the top level ends there ("12" EOF), anything half is
 * JSON_BAD, nothing is JSON_MORE. */
enum json_status json_reader_end(struct json_reader *r, struct json_object **ret, struct err **e);
/* Bytes held for a value that is not whole yet. */
size_t json_reader_held(const struct json_reader *r);

/* Exactly one value in TEXT, white space around it. False and GenericError otherwise. */
bool json_parse(const char *text, size_t len, const struct json_limits *limits, struct json_object **ret,
		struct err **e);

/* Compact text of a value, valid for json_parse; the string is the caller's. INDENT: for people.
 * A double without a finite value becomes null; what is not UTF-8 in a string of ours (and NUL)
 * becomes U+FFFD. Nothing is kept in the value, as json-c's own writer does. */
char *json_print(struct json_object *o);
char *json_print_indent(struct json_object *o);
/* At most the first MAX bytes of it, by whole characters; *CUT: there is more. Takes no longer for a longer value. */
char *json_print_head(struct json_object *o, size_t max, bool *cut);

/* How many bytes follow C, the first byte of a character outside ASCII, and the bounds of the next
 * one, which keep out overlong forms, surrogates and all beyond U+10FFFF. 0: C is no first byte. */
unsigned char json_utf8_lead(unsigned char c, unsigned char *lo, unsigned char *hi);

/* Members. The getters give NULL, or the fallback, when O is no object, has no such member, or
 * the member has another type (an integer is a double too, one beyond int64_t is no integer);
 * strings and objects stay the object's. The adders consume VALUE;
 * json_add_str() leaves the member out when S is NULL. */
const char *json_get_str(struct json_object *o, const char *key);
struct json_object *json_get_typed(struct json_object *o, const char *key, enum json_type type);
bool json_get_bool(struct json_object *o, const char *key, bool fallback);
int64_t json_get_int(struct json_object *o, const char *key, int64_t fallback);
double json_get_double(struct json_object *o, const char *key, double fallback);
/* How many elements an array has; 0 for what is none, also NULL. */
size_t json_length(struct json_object *list);
/* A constant key, as a literal is, is not copied: half the time of a long list went into copies. */
#define json_add(o, key, value) json_add_key(o, key, value, __builtin_constant_p(key))
/* LASTING: the key is not copied. */
void json_add_key(struct json_object *o, const char *key, struct json_object *value, bool lasting);
#define json_add_str(o, key, s) json_add_text(o, key, s, __builtin_constant_p(key))
void json_add_text(struct json_object *o, const char *key, const char *s, bool lasting);
#define json_add_int(o, key, n) json_add(o, key, json_object_new_int64(n))
#define json_add_uint(o, key, n) json_add(o, key, json_object_new_uint64(n))
#define json_add_bool(o, key, n) json_add(o, key, json_object_new_boolean(n))
/* A point in time or a length of it in seconds, printed with at most six decimals; left out when
 * it is not finite. */
void json_add_time(struct json_object *o, const char *key, double seconds);

static inline void json_putp(struct json_object **o)
{
	json_object_put(*o);
}
#define _cleanup_json_ _cleanup_(json_putp)

#endif
