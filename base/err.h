/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one error of drover: a class, which clients act on, and a description, which people read.
 *
 * A function that may fail takes `struct err **e` last, returns false (or NULL, or -1) and sets
 * *e exactly once, where the fault is understood; on success *e is untouched. e may be NULL where
 * the caller does not care. The caller owns the error. The classes are the API's: each has the
 * exit status of the command line and whether trying again may help.
 */
#ifndef DROVER_BASE_ERR_H
#define DROVER_BASE_ERR_H

#include "base/cleanup.h"

struct json_object;

enum err_class {
	ERR_GENERIC,
	ERR_COMMAND_NOT_FOUND,
	ERR_INVALID_PARAMETER,
	ERR_NOT_FOUND,
	ERR_EXISTS,
	ERR_WRONG_STATE,
	ERR_BUSY,
	ERR_NO_SLOT,
	ERR_NO_SPACE,
	ERR_PERMISSION_DENIED,
	ERR_UNSUPPORTED,
	ERR_TIMEOUT,
	ERR_CANCELLED,
	ERR_GUEST_REFUSED,
	ERR_GUEST_GONE,
	ERR_QEMU,
	ERR_STORAGE,
	ERR_NETWORK,
	ERR_GAP,
	ERR_UNAVAILABLE,
	ERR_CLASS_COUNT
};

/* One row of the class table. */
struct err_class_info {
	const char *name; /* on the wire: "NotFound" */
	int exit;         /* status of the command line */
	bool retry;       /* the same request may succeed later without any change */
	const char *doc;
};

struct err {
	enum err_class class;
	char *desc;
	struct json_object *extra; /* further members on the wire ("parameter", "step", "log"), or NULL */
};

const struct err_class_info *err_class_info(enum err_class class);
/* The class of a wire name; ERR_GENERIC for a name nobody knows. */
enum err_class err_class_from_name(const char *name);
/* The rows as the API's query-schema shows them. */
struct json_object *err_describe(void);

/* Sets *e, which must be NULL; always returns false, so that `return err_set(...)` reads well. */
bool err_set(struct err **e, enum err_class class, const char *fmt, ...) _printf_(3, 4);
/* The same with the class that errno suggests (ENOENT: NotFound, ENOSPC: NoSpace, EACCES:
 * PermissionDenied, else FALLBACK) and ": strerror" appended. */
bool err_set_errno(struct err **e, enum err_class fallback, int errnum, const char *fmt, ...) _printf_(4, 5);
/* InvalidParameter with its "parameter" member. NAME is a path as in "disks[1].cache". */
bool err_set_param(struct err **e, const char *name, const char *fmt, ...) _printf_(3, 4);

/* Adds that member to an error of another class that has just been set; false. */
bool err_name_param(struct err **e, const char *name);

/* Moves SRC to *e if *e is empty, else frees SRC: the first error is the one that counts. */
void err_keep_first(struct err **e, struct err *src);
struct err *err_copy(const struct err *e);
struct err *err_free(struct err *e);
DEFINE_CLEANUP(struct err *, err_free, err_freep)
#define _cleanup_err_ _cleanup_(err_freep)

/* Adds a further member for the wire. Consumes VALUE. */
void err_add(struct err *e, const char *key, struct json_object *value);
/* Puts "TEXT: " in front of the description. */
void err_prefix(struct err *e, const char *fmt, ...) _printf_(2, 3);

/* {"class": ..., "desc": ..., further members}; the caller owns it. */
struct json_object *err_to_json(const struct err *e);
/* The reverse, for clients; tolerates anything. */
struct err *err_from_json(struct json_object *o);

#endif
