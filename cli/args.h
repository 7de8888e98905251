/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command line: what verbs and options look like, and the parse of argv into them.
 *
 * A verb is one row; its name is one word or two ("jobs cancel"), the longer one wins. Options are
 * rows too: long ones only ("--name VALUE", "--name=VALUE", "--name"), before, between or behind
 * the words; "--" ends them. The global ones may also stand before the verb. Values are checked here,
 * so a verb's function reads what is known to be sound. Misuse is InvalidParameter with a member
 * "hint", which says what to do next. Nothing here does I/O.
 */
#ifndef DROVER_CLI_ARGS_H
#define DROVER_CLI_ARGS_H

#include "base/json.h"

enum cli_option_type {
	OPTION_FLAG,
	OPTION_TEXT,
	OPTION_UINT,    /* decimal, fits in an int64_t */
	OPTION_SECONDS, /* may be fractional */
	OPTION_CHOICE,
};

struct cli_option {
	const char *name; /* without the dashes */
	enum cli_option_type type;
	const char *value;          /* what help calls the value: "SECONDS" */
	const char *const *choices; /* ends with NULL */
	const char *member;         /* the request's argument that it becomes; NULL: the verb's function reads it */
	const char *doc;
};
#define CLI_OPTION_END       \
	{                    \
		.name = NULL \
	}

struct cli;

enum { VERB_ALIASES = 2, WORDS_ANY = 1 << 30 };

struct verb {
	const char *name;
	const char *aliases[VERB_ALIASES + 1];
	const char *usage;                /* what follows the name: "NAME... [--paused]" */
	const char *summary;              /* one line */
	const char *detail;               /* further text for `help VERB`, or NULL */
	const struct cli_option *options; /* NULL: none of its own */
	unsigned min, max;                /* words after the name */
	const char *command;              /* of the API, that `run` calls; NULL: the function knows */
	const char *done;                 /* for verb_each(): what became of an instance that changed, or NULL */
	bool lengthy;                     /* `command` may be a job */
	bool hidden;                      /* for programs: not in the overview */
	int (*run)(struct cli *cli);      /* gives the exit status, has reported what failed */
};
#define VERB_END             \
	{                    \
		.name = NULL \
	}

struct cli_value {
	const struct cli_option *option;
	const char *text; /* NULL for a flag */
};

/* Strings are argv's. */
struct args {
	const struct verb *verb; /* NULL: none was given */
	const char **words;
	size_t n_words;
	struct cli_value *values; /* in the order given */
	size_t n_values;
};

/* --socket, --host, --json, --help, --version. */
extern const struct cli_option cli_global_options[];

/* Parses argv[1..]; with --help or --version the number of words is not checked. On failure *RET
 * holds what was understood so far (the verb, --json). The caller ends with args_clear() anyway. */
bool args_parse(const struct verb *verbs, int argc, char **argv, struct args *ret, struct err **e);
void args_clear(struct args *a);

/* Was the option given? It must be one of the verb's or a global one. */
bool args_has(const struct args *a, const char *option);
/* The last value of an option, or NULL. */
const char *args_get(const struct args *a, const char *option);
/* The next value of a repeated option; *AT starts as 0. NULL: no more. */
const char *args_next(const struct args *a, const char *option, size_t *at);
/* The words as an array of text. The caller owns it. */
struct json_object *args_words(const struct args *a);
/* The given options that are arguments of the request, as an object. The caller owns it. */
struct json_object *args_request(const struct args *a);

/* "auto, agent, acpi" of an option, the caller's; NULL if it has no choices. */
char *option_choices(const struct cli_option *o);

/* The row called NAME ("jobs cancel"), by alias too; NULL if none. */
const struct verb *verb_find(const struct verb *verbs, const char *name);
/* The first words of a misspelt or incomplete verb that may have been meant, or NULL. */
const char *verb_guess(const struct verb *verbs, const char *name);

/* Misuse of the command line, with what to do next; HINT (consumed) may be NULL. Returns false. */
bool err_set_usage(struct err **e, char *hint, const char *fmt, ...) _printf_(3, 4);

#endif
