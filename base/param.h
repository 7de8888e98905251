/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Schema rows: one row says all about one parameter, and everything else follows from rows.
 *
 * A table of rows decodes a JSON object into a C struct (checking types, ranges, choices, unknown
 * and missing members, each error naming the member by its path, "disks[1].cache"), prints the
 * struct back as canonical JSON, and describes itself for query-schema, documentation and
 * completion. Rows are plain static tables that end with a row without a name. Nothing here knows
 * what a parameter means; rules over several members are functions beside the table.
 */
#ifndef DROVER_BASE_PARAM_H
#define DROVER_BASE_PARAM_H

#include "base/json.h"

/* What an absent member without default leaves is said at the end of each line. */
enum param_type {
	PARAM_BOOL,   /* bool; false */
	PARAM_INT,    /* int64_t; a JSON integer (2.0 is none), bounded when min or max is set; PARAM_INT_NONE */
	PARAM_SIZE,   /* uint64_t bytes; JSON integer, or text as param_parse_size() takes it; max 0: no limit; 0 */
	PARAM_TIME,   /* double, seconds, finite and not negative; max 0: no limit; NAN */
	PARAM_TEXT,   /* char *; max: longest length in bytes (0: 4096), min: shortest; NULL, as all pointers */
	PARAM_NAME,   /* char *; the API's names; nothing shaped like a UUID */
	PARAM_UUID,   /* char *, stored in lower case */
	PARAM_PATH,   /* char *; "" or absolute, at most 4095 bytes */
	PARAM_CHOICE, /* int, index into choices; PARAM_CHOICE_NONE */
	PARAM_ANY,    /* struct json_object *, any value, a reference is held; NULL also for a given null */
	PARAM_OBJECT, /* struct json_object *, a reference, when rows is NULL; else an embedded struct with its own
		       * rows, whose members get their defaults */
	PARAM_LIST,   /* struct param_list; elements as the single row in `rows` says (its name is ignored);
		       * max: most elements (0: 256), min: fewest; empty */
	PARAM_MAP,    /* struct json_object *, a reference: an object of at most 256 members which are all text (keys
		       * of 1 to 255 bytes, values up to 4096) */
};

/* What a change of the member needs when an instance runs. */
enum param_change { CHANGE_NONE, CHANGE_LIVE, CHANGE_RESTART, CHANGE_NEVER };

struct param {
	const char *name;
	enum param_type type;
	bool required;
	int64_t min, max; /* max below min, or 0 beside a min of 0: no upper bound */
	const char *def;  /* as JSON text: "1", "\"pc\"", "true"; NULL: none */
	/* Ends with NULL. PARAM_TEXT and PARAM_INT take none but these, where there are any; of PARAM_ANY they are only told
	 * of, and a rule knows them. All are as JSON would have them, but for the quotes of PARAM_CHOICE and PARAM_TEXT. */
	const char *const *choices;
	const struct param *rows; /* PARAM_OBJECT, PARAM_LIST; tables must not contain themselves */
	size_t size;              /* PARAM_LIST: sizeof of an element of `items` */
	size_t offset;            /* within the struct; elements of a list of scalars: 0 */
	enum param_change change;
	const char *since, *unit, *doc;
};

#define PARAM_AT(type, member) .offset = offsetof(type, member)
#define PARAM_END            \
	{                    \
		.name = NULL \
	}
/* The value of an absent PARAM_INT that has no default. */
#define PARAM_INT_NONE INT64_MIN
/* The value of an absent PARAM_CHOICE that has no default. */
#define PARAM_CHOICE_NONE (-1)

struct param_list {
	void *items; /* n elements of the row's size */
	size_t n;
};

/* Fills OUT from O: the members that rows name, nothing else in it; what it held is not freed. Absent
 * members get their defaults. O NULL counts as {}. JSON's null is a wrong type for everything but
 * PARAM_ANY. PREFIX ("" or "disks[1].") goes in front of names in errors, which are all
 * InvalidParameter. On failure OUT holds nothing. On success the caller ends with param_clear(). */
bool param_decode(const struct param *rows, struct json_object *o, const char *prefix, void *out, struct err **e);
/* Frees what OUT holds; the members that rows name are zero then. Zeroed structs may be cleared. */
void param_clear(const struct param *rows, void *out);
/* The default of a row as JSON, the caller's; NULL where it has none. */
struct json_object *param_default(const struct param *row);
/* Decodes into nothing: the check alone. */
bool param_check(const struct param *rows, struct json_object *o, const char *prefix, struct err **e);
/* Canonical JSON of the struct: members in the order of rows; what is absent is left out, sizes
 * are integers, choices text; nothing in it is shared with the struct. Decoding it again gives an
 * equal struct. An optional embedded object is left out when it has nothing to print or lacks a
 * member that it requires. */
struct json_object *param_print(const struct param *rows, const void *in);
/* [{"name", "type", "items" (type of a list's elements), "required", "min", "max", "default", "choices",
 * "change", "since", "unit", "doc", "members" (rows of an object)}], absent where it says nothing; choices, of their type,
 * and members of a list are those of its elements. Types by their wire names: bool, int, size, time,
 * text, name, uuid, path, choice, any, object, list, map. */
struct json_object *param_describe(const struct param *rows);

/* The member of ROWS called NAME, or NULL; and the one that a misspelt NAME may have meant (at most two
 * letters off; case, '-' and '_' do not count), or NULL. */
const struct param *param_find(const struct param *rows, const char *name);
const char *param_guess(const struct param *rows, const char *name);
/* The same among N names that are no rows'. */
const char *param_guess_among(const char *const *names, size_t n, const char *name);

/* "512", "512K", "1.5G", "64MiB", "64mb": K M G T P are powers of 1024, the result is whole bytes. False
 * without touching *ret when TEXT is no such size or does not fit. */
bool param_parse_size(const char *text, uint64_t *ret);
/* The API's rule for names: [a-zA-Z0-9][a-zA-Z0-9._-]{0,62}, and not shaped like a UUID. */
bool param_is_name(const char *text);
bool param_is_uuid(const char *text);

#endif
