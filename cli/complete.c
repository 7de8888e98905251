/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `drover complete -- WORDS`: what the last of the words, which is not whole, may become; a line each, a TAB and a remark
 * behind it. The shells' scripts (completion/) run it.
 *
 * Verbs and options are those of the table; what a word stands for is read from the verb's usage. The daemon is asked for
 * the rest, and has a second; that of another host is not asked, for ssh may want to talk.
 */
#include "cli/text.h"
#include "cli/topic.h"
#include "cli/verbs.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { DEADLINE = 1, WORDS_MAX = 64 };

struct completion {
	struct cli *cli;
	const char *cur;              /* what is to be completed */
	size_t skip;                  /* how much of it stands in front of what candidates are about: "--mode=" */
	const struct verb *verb;      /* or NULL */
	const char *words[WORDS_MAX]; /* of the verb, whole ones */
	size_t n;
	const char *socket;
	bool remote;
	const struct cli_option *option; /* whose value it is, or NULL */
	struct json_object *schema;
};

/* A candidate, if it goes on where the word ends. */
static void offer(const struct completion *c, const char *text, const char *remark)
{
	size_t len = strlen(c->cur + c->skip);
	_cleanup_free_ char *plain = text_plain(text, ""), *doc = text_plain(remark ? remark : "", "");

	if (strncmp(text, c->cur + c->skip, len) != 0 || !str_eq(text, plain))
		return;
	printf("%.*s%s\t%s\n", (int)c->skip, c->cur, text, doc);
}

/* ---- what the daemon knows ---- */

static void give_up(int signum)
{
	_exit(0);
}

/* The caller's, or NULL. */
static struct json_object *ask(struct completion *c, const char *command, const char *instance)
{
	_cleanup_json_ struct json_object *arguments = instance ? json_object_new_object() : NULL;
	struct json_object *result = NULL;

	if (c->remote)
		return NULL;
	if (instance)
		json_add_str(arguments, "instance", instance);
	if (!c->cli->client)
		c->cli->client = client_open(c->socket, NULL, NULL);
	if (!c->cli->client || !client_call(c->cli->client, command, arguments, &result, NULL))
		return NULL;
	return result;
}

static void offer_member(struct completion *c, struct json_object *list, const char *key, const char *remark)
{
	for (size_t i = 0; i < json_length(list); i++) {
		struct json_object *row = json_object_array_get_idx(list, i);
		const char *text = json_get_str(row, key);

		if (text)
			offer(c, text, json_get_str(row, remark));
	}
}

static struct json_object *rows_of(struct completion *c, const char *topic)
{
	if (!c->schema)
		c->schema = ask(c, "query-schema", NULL);
	return json_get_typed(c->schema, topic, json_type_array);
}

static struct json_object *row_of(struct json_object *rows, const char *name, size_t len)
{
	for (size_t i = 0; i < json_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);
		const char *text = json_get_str(row, "name");

		if (text && strlen(text) == len && strncmp(text, name, len) == 0)
			return row;
	}
	return NULL;
}

static void offer_instances(struct completion *c)
{
	_cleanup_json_ struct json_object *list = ask(c, "query-instances", NULL);

	offer_member(c, list, "name", "state");
}

static void offer_jobs(struct completion *c)
{
	_cleanup_json_ struct json_object *list = ask(c, "query-jobs", NULL);

	offer_member(c, list, "id", "type");
}

/* Those of the instance that was named: "disks", "nics". */
static void offer_devices(struct completion *c, const char *key)
{
	_cleanup_json_ struct json_object *o = c->n ? ask(c, "query-instance", c->words[0]) : NULL;

	offer_member(c, json_get_typed(json_get_typed(o, "definition", json_type_object), key, json_type_array), "name",
		     "mode");
}

static void offer_disks(struct completion *c)
{
	offer_devices(c, "disks");
}

static void offer_nics(struct completion *c)
{
	offer_devices(c, "nics");
}

static void offer_displays(struct completion *c)
{
	_cleanup_json_ struct json_object *o = c->n ? ask(c, "query-instance", c->words[0]) : NULL;

	offer_member(c, json_get_typed(o, "displays", json_type_array), "kind", "address");
}

static void offer_states(struct completion *c)
{
	offer_member(c, rows_of(c, "states"), "name", "doc");
}

static void offer_commands(struct completion *c)
{
	offer_member(c, rows_of(c, "commands"), "name", "doc");
}

/* The values that a row of the schema allows. */
static void offer_values(struct completion *c, struct json_object *row)
{
	struct json_object *choices = json_get_typed(row, "choices", json_type_array);

	for (size_t i = 0; i < json_length(choices); i++)
		offer(c, json_object_get_string(json_object_array_get_idx(choices, i)), NULL);
	if (str_eq(json_get_str(row, "type"), "bool")) {
		offer(c, "true", NULL);
		offer(c, "false", NULL);
	}
}

/* "KEY=", "hvparams.KEY=", or the value behind it. SKIP moves past what stands already. */
static void offer_assignment(struct completion *c, struct json_object *rows)
{
	const char *text = c->cur + c->skip, *equals = strchr(text, '='), *dot = strchr(text, '.');

	if (dot && (!equals || dot < equals)) {
		struct json_object *row = row_of(rows, text, (size_t)(dot - text));
		struct json_object *members = json_get_typed(row, "members", json_type_array);
		bool hvparams = strncmp(text, "hvparams.", 9) == 0;

		c->skip += (size_t)(dot - text) + 1;
		offer_assignment(c, hvparams ? rows_of(c, "hvparams") : members);
		return;
	}
	if (equals) {
		c->skip += (size_t)(equals - text) + 1;
		offer_values(c, row_of(rows, text, (size_t)(equals - text)));
		return;
	}
	for (size_t i = 0; i < json_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);
		const char *name = json_get_str(row, "name");
		_cleanup_free_ char *key = xasprintf("%s%s", name,
						     str_eq(json_get_str(row, "type"), "object") ? "." : "=");

		offer(c, key, json_get_str(row, "doc"));
	}
}

/* Of which rows the KEY=VALUE of a verb are. */
static void offer_keys(struct completion *c)
{
	static const struct {
		const char *verb, *rows;
	} tables[] = { { "modify", "definition" }, { "disk attach", "disk" }, { "nic attach", "nic" } };

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		if (str_eq(c->verb->name, tables[i].verb))
			offer_assignment(c, rows_of(c, tables[i].rows));
	if (str_eq(c->verb->name, "call") && c->n)
		offer_assignment(c, json_get_typed(row_of(rows_of(c, "commands"), c->words[0], strlen(c->words[0])),
						   "arguments", json_type_array));
}

/* ---- what the table knows ---- */

static bool same_word(const char *a, const char *b)
{
	size_t n = strcspn(a, " ");

	return n == strcspn(b, " ") && strncmp(a, b, n) == 0;
}

/* The first words of verbs, or the second ones of those that begin with FAMILY. */
static void offer_verbs(struct completion *c, const char *family)
{
	size_t len = family ? strlen(family) + 1 : 0;
	const char *last = "";

	for (const struct verb *v = cli_verbs; v->name; v++) {
		size_t first = strcspn(v->name, " ");
		_cleanup_free_ char *word = xstrndup(v->name, first);
		bool more = v->name[first] == ' ';

		if (v->hidden)
			continue;
		if (family && more && str_eq(word, family))
			offer(c, v->name + len, v->summary);
		if (!family && !same_word(last, v->name) && !(more && verb_find(cli_verbs, word)))
			offer(c, word, more ? "" : v->summary);
		for (size_t i = 0; !family && v->aliases[i]; i++)
			offer(c, v->aliases[i], v->summary);
		last = v->name;
	}
}

static void offer_help(struct completion *c)
{
	if (c->n) {
		offer_verbs(c, c->words[0]);
		offer_member(c, rows_of(c, c->words[0]), "name", "doc");
		return;
	}
	offer_verbs(c, NULL);
	for (size_t i = 0; topics[i]; i++)
		offer(c, topics[i], "");
	offer_commands(c);
}

static void offer_options(const struct completion *c, const struct cli_option *options)
{
	for (const struct cli_option *o = options; o && o->name; o++) {
		_cleanup_free_ char *text = xasprintf("--%s", o->name);

		offer(c, text, o->doc);
	}
}

static void offer_option_value(struct completion *c)
{
	for (size_t i = 0; c->option->choices && c->option->choices[i]; i++)
		offer(c, c->option->choices[i], "");
	if (str_eq(c->option->name, "set"))
		offer_assignment(c, rows_of(c, "hvparams"));
	if (str_eq(c->option->name, "disk") || str_eq(c->option->name, "nic")) {
		const char *comma = strrchr(c->cur + c->skip, ',');

		c->skip = comma ? (size_t)(comma - c->cur) + 1 : c->skip;
		offer_assignment(c, rows_of(c, c->option->name));
	}
}

/* What a word of a usage stands for. */
static const struct {
	const char *word;
	void (*offer)(struct completion *c);
} kinds[] = {
	{ "NAME", offer_instances }, { "DISK", offer_disks },       { "NIC", offer_nics },
	{ "STATE", offer_states },   { "ID", offer_jobs },          { "COMMAND", offer_commands },
	{ "KEY=VALUE", offer_keys }, { "DISPLAY", offer_displays }, { "VERB", offer_help },
};

/* The N-th word of USAGE, without brackets and dots, the last one that repeats for all behind it; the caller's. */
static char *usage_word(const char *usage, size_t n)
{
	char *found = NULL;

	for (const char *p = usage; *p;) {
		size_t len;

		p += strspn(p, " []{}|");
		len = strcspn(p, " []{}|.");
		if (len == 0 || *p == '-')
			break;
		if (n == 0 || strncmp(p + len, "...", 3) == 0) {
			free(found);
			found = xstrndup(p, len);
		}
		if (n-- == 0)
			break;
		p += len + strspn(p + len, ".");
	}
	return found;
}

static void offer_word(struct completion *c)
{
	bool help = str_eq(c->verb->name, "help");
	_cleanup_free_ char *word = help ? xstrdup("VERB") : usage_word(c->verb->usage, c->n);

	for (size_t i = 0; word && i < ARRAY_SIZE(kinds); i++)
		if (str_eq(kinds[i].word, word))
			kinds[i].offer(c);
	if (c->n == 0)
		offer_verbs(c, c->verb->name);
}

/* ---- the command line so far ---- */

static const struct cli_option *find_option(const struct completion *c, const char *name, size_t len)
{
	const struct cli_option *const tables[] = { cli_global_options, c->verb ? c->verb->options : NULL };

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct cli_option *o = tables[i]; o && o->name; o++)
			if (strlen(o->name) == len && strncmp(o->name, name, len) == 0)
				return o;
	return NULL;
}

static void note_value(struct completion *c, const struct cli_option *o, const char *value)
{
	if (str_eq(o->name, "socket"))
		c->socket = value;
	c->remote |= str_eq(o->name, "host");
}

/* An option among the N whole words that are left; how many of them it takes. */
static size_t read_option(struct completion *c, const char *const *words, size_t n)
{
	const char *name = words[0] + 2, *equals = strchr(name, '=');
	const struct cli_option *o = find_option(c, name, strcspn(name, "="));

	if (!o || o->type == OPTION_FLAG)
		return 1;
	if (equals) {
		note_value(c, o, equals + 1);
		return 1;
	}
	if (n > 1) {
		note_value(c, o, words[1]);
		return 2;
	}
	c->option = o; /* its value is what is to be completed */
	return 1;
}

/* The whole words; FAMILY is "disk" where a second word of the verb is to come. */
static void read_words(struct completion *c, const char *const *words, size_t n, const char **family)
{
	for (size_t i = 0; i < n;) {
		const char *w = words[i];
		_cleanup_free_ char *both = *family ? xasprintf("%s %s", *family, w) : NULL;
		const struct verb *longer = both && !c->n ? verb_find(cli_verbs, both) : NULL;

		if (str_starts(w, "--")) {
			i += read_option(c, words + i, n - i);
			continue;
		}
		i++;
		if (longer) {
			c->verb = longer;
			*family = NULL;
		} else if (!c->verb && !*family) {
			c->verb = verb_find(cli_verbs, w);
			*family = w;
		} else if (c->n < WORDS_MAX) {
			c->words[c->n++] = w;
		}
	}
}

int verb_complete(struct cli *cli)
{
	struct completion c = { .cli = cli, .remote = !str_empty(getenv("DROVER_HOST")) };
	size_t n = cli->args.n_words - 1;
	const char *family = NULL, *equals;

	signal(SIGALRM, give_up);
	alarm(DEADLINE);
	c.cur = cli->args.words[n];
	read_words(&c, cli->args.words, n, &family);
	equals = str_starts(c.cur, "--") ? strchr(c.cur, '=') : NULL;
	if (equals && !c.option) {
		c.option = find_option(&c, c.cur + 2, (size_t)(equals - c.cur) - 2);
		c.skip = (size_t)(equals - c.cur) + 1;
	}
	if (c.option) {
		offer_option_value(&c);
	} else if (c.cur[0] == '-') {
		offer_options(&c, c.verb ? c.verb->options : NULL);
		offer_options(&c, cli_global_options);
	} else if (c.verb) {
		offer_word(&c);
	} else {
		offer_verbs(&c, family);
	}
	json_object_put(c.schema);
	return 0;
}
