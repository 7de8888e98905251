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

enum param_type {
	PARAM_BOOL,   /* bool */
	PARAM_INT,    /* int64_t; min..max when max > min or min != 0 */
	PARAM_SIZE,   /* uint64_t bytes; JSON integer, or text "512", "512K", "1.5G" (K M G T P, powers of 1024) */
	PARAM_TIME,   /* double, seconds, not negative; NAN when absent without default */
	PARAM_TEXT,   /* char *; max: longest length in bytes (0: 4096), min: shortest */
	PARAM_NAME,   /* char *; the API's names; nothing shaped like a UUID */
	PARAM_UUID,   /* char *, stored in lower case */
	PARAM_PATH,   /* char *; "" or absolute, at most 4095 bytes */
	PARAM_CHOICE, /* int, index into choices */
	PARAM_ANY,    /* struct json_object *, any value, a reference is held; NULL when absent */
	PARAM_OBJECT, /* struct json_object * when rows is NULL; else an embedded struct with its own rows */
	PARAM_LIST,   /* struct param_list; elements as the single row in `rows` says (its name is ignored) */
	PARAM_MAP,    /* struct json_object *: an object whose members are all text */
};

/* What a change of the member needs when an instance runs. */
enum param_change { CHANGE_NONE, CHANGE_LIVE, CHANGE_RESTART, CHANGE_NEVER };

struct param {
	const char *name;
	enum param_type type;
	bool required;
	int64_t min, max;
	const char *def;            /* as JSON text: "1", "\"pc\"", "true"; NULL: none */
	const char *const *choices; /* ends with NULL */
	const struct param *rows;   /* PARAM_OBJECT, PARAM_LIST */
	size_t size;                /* PARAM_LIST: sizeof of an element of `items` */
	size_t offset;              /* within the struct; elements of a list of scalars: 0 */
	enum param_change change;
	const char *since, *unit, *doc;
};

#define PARAM_AT(type, member) .offset = offsetof(type, member)
#define PARAM_END { .name = NULL }
/* The value of an absent PARAM_INT that has no default. */
#define PARAM_INT_NONE INT64_MIN

struct param_list {
	void *items; /* n elements of the row's size */
	size_t n;
};

/* Fills OUT (zeroed by the callee first) from O; absent members get their defaults, pointers NULL.
 * O NULL counts as {}. PREFIX ("" or "disks[1].") goes in front of names in errors. On failure OUT
 * holds nothing. On success the caller ends with param_clear(). */
bool param_decode(const struct param *rows, struct json_object *o, const char *prefix, void *out, struct err **e);
/* Frees what OUT holds; OUT is as after zeroing. */
void param_clear(const struct param *rows, void *out);
/* Decodes into nothing: the check alone. */
bool param_check(const struct param *rows, struct json_object *o, const char *prefix, struct err **e);
/* Canonical JSON of the struct: members in the order of rows; what is absent is left out, sizes
 * are integers, choices text. Decoding it again gives an equal struct. */
struct json_object *param_print(const struct param *rows, const void *in);
/* [{"name", "type", "required", "min", "max", "default", "choices", "change", "since", "unit", "doc",
 * "members" (rows of an object or list element)}], absent where it says nothing. Types by their
 * wire names: bool, int, size, time, text, name, uuid, path, choice, any, object, list, map. */
struct json_object *param_describe(const struct param *rows);

/* The member of ROWS called NAME, or NULL; and the one that a misspelt NAME may have meant, or NULL. */
const struct param *param_find(const struct param *rows, const char *name);
const char *param_guess(const struct param *rows, const char *name);

/* "512M" and the like; false without touching *ret when TEXT is none. */
bool param_parse_size(const char *text, uint64_t *ret);
/* The API's rule for names: [a-zA-Z0-9][a-zA-Z0-9._-]{0,62}, and not shaped like a UUID. */
bool param_is_name(const char *text);
bool param_is_uuid(const char *text);

#endif
