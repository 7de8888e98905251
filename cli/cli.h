/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every verb works with: the parsed command line, the screen, the session, and the ways to say
 * something.
 *
 * Results go to stdout, everything else to stderr. A verb's function gives the exit status, which
 * is that of the error's class (API.md section 1), and reports an error once, by cli_fail().
 */
#ifndef DROVER_CLI_CLI_H
#define DROVER_CLI_CLI_H

#include "cli/args.h"
#include "cli/client.h"
#include "cli/table.h"

struct cli {
	struct args args;
	bool json;
	struct screen screen;  /* stdout */
	struct client *client; /* NULL until something is called */
};

void cli_init(struct cli *cli);
void cli_clear(struct cli *cli);
/* Looks again how wide the terminal is. */
void cli_measure(struct cli *cli);
/* How wide the terminal behind FD is, 80 if that cannot be known. */
unsigned cli_width(int fd);

/* Connects if that was not done yet. NULL with *e set when there is no daemon. */
struct client *cli_client(struct cli *cli, struct err **e);
/* client_call() on it. */
bool cli_call(struct cli *cli, const char *command, struct json_object *arguments, struct json_object **ret,
	      struct err **e);
/* The verb's command. False: nothing is left to do, for the result was printed as JSON, or it failed, which was told with
 * SUBJECT (or NULL) unless there is no daemon. *STATUS: the exit status. */
bool cli_query(struct cli *cli, const char *subject, struct json_object *arguments, struct json_object **ret,
	       int *status);

/* A result to stdout: indented for people, else one line. */
void cli_print_json(const struct cli *cli, struct json_object *o);
/* A table to stdout; what is said instead of one without rows goes to people who watch. */
void cli_print_table(const struct cli *cli, const struct table *t, const char *none);
/* Text of guest, QEMU or daemon to stdout: escaped if that is a terminal, else as it is. */
void cli_print_text(const struct cli *cli, const char *text);
/* Nobody will ever read stdout: a pipe whose other end is closed. */
bool cli_output_gone(void);
/* What was printed goes out. False if not all of it did, now or before; *e says why, unless cli_output_gone(). */
bool cli_flush(struct err **e);
/* The desc of each of RESULT's "warnings", or the text that it is, to stderr. */
void cli_print_warnings(const struct cli *cli, const char *subject, struct json_object *result);
/* A file of this program's, not of the daemon's, that it cannot WHAT ("open"), by ERROR. Returns false. */
bool cli_fail_file(struct err **e, int error, const char *what, const char *path);
/* Text of our own for people who watch; nothing if stderr is no terminal. */
void cli_note(const char *fmt, ...) _printf_(1, 2);

/* Prints E (stays the caller's) with the step, QEMU's last words and what to do next, on stderr, as
 * JSON with --json (SUBJECT as a member of that name). SUBJECT, an instance as a rule, may be NULL.
 * Returns the exit status. */
int cli_fail(const struct cli *cli, const char *subject, const struct err *e);
/* The hint for an error: what it brings along, else the table's, else for misuse the help of VERB
 * (NULL: not known yet); NULL if there is none. The caller's. */
char *cli_hint(const char *verb, const char *subject, const struct err *e);
/* What the daemon says of a value that should be text; and the hint where it stood in a file. */
#define HINT_SAYS_TEXT "must be text, not "
#define HINT_JSON_TEXT "it is JSON, where text stands in double quotes: \"VALUE\""

#endif
