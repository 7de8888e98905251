/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/help.h"

#include "cli/text.h"
#include "cli/verbs.h"

#include <string.h>

enum { VERB_COLUMN = 16, OPTION_COLUMN = 24 };

static void print_pair(FILE *f, const char *left, const char *right, unsigned column)
{
	int n = fprintf(f, "  %s", left);

	if (n + 1 > (int)column) {
		fputc('\n', f);
		n = 0;
	}
	fprintf(f, "%*s", (int)column - n, "");
	text_wrap(f, right, column, column, HELP_WIDTH);
}

static void print_options(FILE *f, const char *title, const struct cli_option *options)
{
	if (!options)
		return;
	fprintf(f, "\n%s:\n", title);
	for (const struct cli_option *o = options; o->name; o++) {
		_cleanup_free_ char *left = xasprintf("--%s%s%s", o->name, o->value ? " " : "",
						      o->value ? o->value : "");
		_cleanup_free_ char *choices = option_choices(o);
		_cleanup_free_ char *right = choices ? xasprintf("%s One of %s.", o->doc, choices) : NULL;

		print_pair(f, left, right ? right : o->doc, OPTION_COLUMN);
	}
}

void help_overview(const struct verb *verbs, FILE *f)
{
	fputs("usage: drover [OPTIONS] VERB [ARGUMENTS]\n\nRuns virtual machines: the command line of "
	      "droverd.\n\nVerbs:\n",
	      f);
	for (const struct verb *v = verbs; v->name; v++)
		if (!v->hidden)
			print_pair(f, v->name, v->summary, VERB_COLUMN);
	print_options(f, "Options, before or after the verb", cli_global_options);
	fputs("\n'drover help VERB' explains a verb.\n", f);
}

/* Is V a verb of two words, the first being WORD? */
static bool of_family(const struct verb *v, const char *word)
{
	size_t n = strlen(word);

	return str_starts(v->name, word) && v->name[n] == ' ';
}

/* FIRST is put in front if there is anything. */
static bool print_family(const struct verb *verbs, const char *word, const char *first, FILE *f)
{
	bool any = false;

	for (const struct verb *v = verbs; v->name; v++) {
		if (!of_family(v, word))
			continue;
		if (!any)
			fprintf(f, "%sSee also:\n", first);
		any = true;
		print_pair(f, v->name, v->summary, VERB_COLUMN);
	}
	return any;
}

bool help_family(const struct verb *verbs, const char *word, FILE *f)
{
	return print_family(verbs, word, "", f);
}

void help_verb(const struct verb *verbs, const struct verb *v, FILE *f)
{
	int n = fprintf(f, "usage: drover %s%s", v->name, *v->usage ? " " : "");

	text_wrap(f, v->usage, (unsigned)n, (unsigned)n, HELP_WIDTH);
	fputc('\n', f);
	text_wrap(f, v->summary, 0, 0, HELP_WIDTH);
	if (v->detail)
		text_wrap(f, v->detail, 0, 0, HELP_WIDTH);
	for (size_t i = 0; v->aliases[i]; i++)
		fprintf(f, "Also spelt '%s'.\n", v->aliases[i]);
	print_options(f, "Options", v->options);
	print_options(f, "Options of every verb", cli_global_options);
	print_family(verbs, v->name, "\n", f);
}

int verb_help(struct cli *cli)
{
	_cleanup_free_ char *name = NULL;
	_cleanup_err_ struct err *e = NULL;
	const struct verb *v;
	const char *meant;

	if (cli->args.n_words == 0) {
		help_overview(cli_verbs, stdout);
		return 0;
	}
	name = cli->args.n_words == 1 ? xstrdup(cli->args.words[0]) :
					xasprintf("%s %s", cli->args.words[0], cli->args.words[1]);
	v = verb_find(cli_verbs, name);
	if (v) {
		help_verb(cli_verbs, v, stdout);
		return 0;
	}
	if (help_family(cli_verbs, name, stdout))
		return 0;
	meant = verb_guess(cli_verbs, name);
	err_set_usage(&e, meant ? xasprintf("did you mean '%s'?", meant) : xstrdup("'drover help' lists the verbs"),
		      "unknown verb '%s'", name);
	return cli_fail(cli, NULL, e);
}
