/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Somebody who runs `drover`: on a terminal of 80 columns, or as a script does.
 */
#ifndef DROVER_TESTS_PERSON_H
#define DROVER_TESTS_PERSON_H

#include "rig.h"

enum { PERSON_COLUMNS = 80 };

struct person;

/* Runs PROGRAM of this build (or in PATH, or a path) with the words that follow, which end with NULL, on a terminal of its
 * own; DROVER_SOCKET is that of R, if R is not NULL. */
struct person *person_come(struct rig *r, const char *program, ...) __attribute__((sentinel));
/* What is typed; ^C is "\3". */
void person_type(struct person *p, const char *text);
/* Waits until the terminal has shown TEXT, behind what was awaited before. */
void person_await(struct person *p, const char *text);
/* Reads what has come, without waiting. */
void person_peek(struct person *p);
/* Waits for the end: the exit status, 128 and the number of the signal that ended it. */
int person_leave(struct person *p);
/* All that the terminal got, its CR LF as LF. */
const char *person_saw(struct person *p);
/* Whether characters are echoed and lines edited, as it was before. */
bool person_terminal_is_sane(struct person *p);
void person_free(struct person *p);
static inline void person_freep(struct person **p)
{
	if (*p)
		person_free(*p);
}
#define _cleanup_person_ __attribute__((cleanup(person_freep)))

/* Runs it without a terminal, with INPUT (NULL: none) as its standard input: the exit status; *OUT and *ERR are the
 * caller's, or NULL. */
int person_script(struct rig *r, const char *input, char **out, char **err, const char *program, ...)
	__attribute__((sentinel));

/* Fails unless each line of TEXT is at most 80 columns wide and holds nothing that a terminal would act on, but for
 * colours. */
void person_check_page(const char *text);

#endif
