/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KEY=VALUE words into a JSON object, and files for people's arguments.
 *
 *   KEY=VALUE   JSON if VALUE is a JSON value to the letter, else text
 *   KEY:=JSON   JSON or an error
 *   KEY=@FILE   what FILE holds, read as VALUE is; KEY:=@FILE likewise; - is the standard input
 *
 * Dots in KEY make objects within objects. A key that is given twice, or is an object and a value
 * at once, is refused. Errors are InvalidParameter, or what errno suggests for a file.
 */
#ifndef DROVER_CLI_ASSIGN_H
#define DROVER_CLI_ASSIGN_H

#include "base/json.h"

/* Adds the member that WORD describes to O. */
bool assign_word(struct json_object *o, const char *word, struct err **e);

/* Adds those of "KEY=VALUE,KEY=VALUE" to O; a comma that no KEY= follows belongs to its VALUE. */
bool assign_list(struct json_object *o, const char *text, struct err **e);

/* An error of WORD as one of the above, that lacks its KEY=, gets the guess what was meant: "KEY=WORD", KEY
 * with what may stand in front. Returns false. */
bool assign_guess(struct err **e, const char *key, const char *word);

/* All of a file, or of the standard input ("-"), at most a request's 1 MiB; pipes are read to their
 * end. The text, NUL behind its *LEN bytes, is the caller's; NULL on failure. */
char *input_read(const char *name, size_t *len, struct err **e);

/* The JSON value in a file, the caller's; false with an error that says in which line. */
bool input_value(const char *name, struct json_object **ret, struct err **e);
/* The definition in a file: a JSON object, the caller's; NULL with an error. */
struct json_object *input_object(const char *name, struct err **e);

/* Does the argument of `define` name a file (-, with a /, ending in .json) rather than an instance? */
bool input_is_file(const char *word);

#endif
