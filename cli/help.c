/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/help.h"

#include "cli/text.h"
#include "cli/topic.h"
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

static void print_topics(FILE *f)
{
	_cleanup_free_ char *all = xstrdup("");

	for (size_t i = 0; topics[i]; i++) {
		_cleanup_free_ char *before = all;

		all = xasprintf("%s%s%s", before, *before ? ", " : "", topics[i]);
	}
	_cleanup_free_ char *text = xasprintf("%s, and each command of the API: 'drover help hvparams', 'drover help "
					      "disk cache', 'drover help instance-start'.",
					      all);

	text_wrap(f, text, 3, 0, HELP_WIDTH);
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
	fputs("\n'drover help VERB' explains a verb. The daemon knows types, defaults and choices\nof ", f);
	print_topics(f);
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

static bool is_family(const struct verb *verbs, const char *word)
{
	for (const struct verb *v = verbs; v->name; v++)
		if (of_family(v, word))
			return true;
	return false;
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

/* ---- for programs ---- */

static struct json_object *choices_json(const char *const *choices)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; choices[i]; i++)
		json_object_array_add(list, json_object_new_string(choices[i]));
	return list;
}

static struct json_object *options_json(const struct cli_option *options)
{
	struct json_object *list = json_object_new_array();

	for (const struct cli_option *o = options; o && o->name; o++) {
		struct json_object *option = json_object_new_object();

		json_add_str(option, "name", o->name);
		json_add_str(option, "value", o->value);
		if (o->choices)
			json_add(option, "choices", choices_json(o->choices));
		json_add_str(option, "doc", o->doc);
		json_object_array_add(list, option);
	}
	return list;
}

static struct json_object *verb_json(const struct verb *v)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "name", v->name);
	json_add_str(o, "usage", v->usage);
	json_add_str(o, "summary", v->summary);
	json_add_str(o, "detail", v->detail);
	json_add(o, "options", options_json(v->options));
	return o;
}

/* FAMILY NULL: all. */
static struct json_object *verbs_json(const char *family)
{
	struct json_object *list = json_object_new_array();

	for (const struct verb *v = cli_verbs; v->name; v++)
		if (family ? of_family(v, family) : !v->hidden)
			json_object_array_add(list, verb_json(v));
	return list;
}

/* Consumes O. */
static int print_json(const struct cli *cli, struct json_object *o)
{
	cli_print_json(cli, o);
	json_object_put(o);
	return 0;
}

/* ---- for both ---- */

/* Of what the daemon knows; of errors we know as well. */
static int help_topic(struct cli *cli, const char *name, const char *row)
{
	_cleanup_json_ struct json_object *schema = NULL;
	struct json_object *found = NULL;
	_cleanup_err_ struct err *e = NULL;

	if (str_eq(name, "errors")) {
		schema = json_object_new_object();
		json_add(schema, name, err_describe());
	}
	if (!schema && !cli_call(cli, "query-schema", NULL, &schema, &e))
		return cli_fail(cli, NULL, e);
	if (cli->json && topic_find(schema, name, row, &found, &e))
		return print_json(cli, json_object_get(found));
	if (!cli->json && topic_print(schema, name, row, stdout, &e))
		return 0;
	return cli_fail(cli, NULL, e);
}

/* The members of a disk, as far as there is a daemon to ask, and the verbs that have to do with it. */
static int help_topic_and_family(struct cli *cli, const char *name)
{
	_cleanup_json_ struct json_object *schema = NULL;
	_cleanup_err_ struct err *e = NULL;

	if (!cli_call(cli, "query-schema", NULL, &schema, &e)) {
		help_family(cli_verbs, name, stdout);
		printf("\nThe daemon would tell more, but it does not answer.\n");
		return 0;
	}
	printf("Members of a %s:\n", name);
	if (!topic_print(schema, name, NULL, stdout, &e))
		return cli_fail(cli, NULL, e);
	putchar('\n');
	help_family(cli_verbs, name, stdout);
	return 0;
}

/* NAME is no verb: it was misspelt, or it is a command of the API. */
static int help_unknown(struct cli *cli, const char *name)
{
	const char *meant = verb_guess(cli_verbs, name);
	_cleanup_err_ struct err *e = NULL;

	/* "disk-attach" is a command, however near it is to a verb; none is near to a verb with a dash */
	if (topic_may_be_command(name) && !(meant && strchr(meant, '-')))
		return help_topic(cli, name, NULL);
	if (!meant)
		meant = topic_guess(NULL, name);
	err_set_usage(&e, meant ? xasprintf("did you mean '%s'?", meant) : xstrdup("'drover help' lists the verbs"),
		      "unknown verb '%s'", name);
	return cli_fail(cli, NULL, e);
}

int verb_help(struct cli *cli)
{
	const char *first = cli->args.words[0], *second = cli->args.n_words > 1 ? cli->args.words[1] : NULL;
	_cleanup_free_ char *name = second ? xasprintf("%s %s", first, second) : xstrdup(first);
	const struct verb *v;

	if (!first && cli->json)
		return print_json(cli, verbs_json(NULL));
	if (!first) {
		help_overview(cli_verbs, stdout);
		return 0;
	}
	v = verb_find(cli_verbs, name);
	if (v && cli->json)
		return print_json(cli, verb_json(v));
	if (v) {
		help_verb(cli_verbs, v, stdout);
		return 0;
	}
	if (topic_is(first) && !second && !cli->json && is_family(cli_verbs, first))
		return help_topic_and_family(cli, first);
	if (topic_is(first) || (second && topic_may_be_command(first)))
		return help_topic(cli, first, second);
	if (cli->json && is_family(cli_verbs, name))
		return print_json(cli, verbs_json(name));
	if (help_family(cli_verbs, name, stdout))
		return 0;
	return help_unknown(cli, name);
}
