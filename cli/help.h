/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Help, printed from the rows of verbs and options; no line is longer than 80 columns.
 */
#ifndef DROVER_CLI_HELP_H
#define DROVER_CLI_HELP_H

#include "cli/args.h"

#include <stdio.h>

enum { HELP_WIDTH = 80 };

/* All verbs, a line each, and the global options. */
void help_overview(const struct verb *verbs, FILE *f);
/* One verb, with its options and the verbs of two words that start with its name. */
void help_verb(const struct verb *verbs, const struct verb *v, FILE *f);
/* The two-word verbs that start with WORD; false if there are none. */
bool help_family(const struct verb *verbs, const char *word, FILE *f);

#endif
