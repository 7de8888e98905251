/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/args.h"

#include "base/param.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

const struct cli_option cli_global_options[] = {
	{ "socket", OPTION_TEXT, "PATH", .doc = "The daemon's socket; else $DROVER_SOCKET." },
	{ "host", OPTION_TEXT, "URI",
	  .doc = "The daemon of another host, ssh://[user@]host[:port]; else $DROVER_HOST." },
	{ "json", OPTION_FLAG, .doc = "Print results and errors as JSON." },
	{ "help", OPTION_FLAG, .doc = "Print help, with a verb that verb's." },
	{ "version", OPTION_FLAG, .doc = "Print the version of this program." },
	CLI_OPTION_END,
};

bool err_set_usage(struct err **e, char *hint, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL, *next = hint;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	err_set(e, ERR_INVALID_PARAMETER, "%s", text);
	if (e && next)
		err_add(*e, "hint", json_object_new_string(next));
	return false;
}

static char *did_you_mean(const char *prefix, const char *name)
{
	return name ? xasprintf("did you mean '%s%s'?", prefix, name) : NULL;
}

const struct verb *verb_find(const struct verb *verbs, const char *name)
{
	for (const struct verb *v = verbs; v->name; v++) {
		if (str_eq(v->name, name))
			return v;
		for (size_t i = 0; v->aliases[i]; i++)
			if (str_eq(v->aliases[i], name))
				return v;
	}
	return NULL;
}

/* Do both start with the same word? */
static bool same_family(const char *a, const char *b)
{
	size_t n = strcspn(a, " ");

	return n == strcspn(b, " ") && strncmp(a, b, n) == 0;
}

const char *verb_guess(const struct verb *verbs, const char *name)
{
	size_t n = 0;
	_cleanup_free_ const char **names = NULL;

	for (const struct verb *v = verbs; v->name; v++)
		n += 1 + VERB_ALIASES;
	names = xcalloc(n, sizeof(*names));
	n = 0;
	for (const struct verb *v = verbs; v->name; v++) {
		if (v->hidden)
			continue;
		names[n++] = v->name;
		for (size_t i = 0; v->aliases[i]; i++)
			names[n++] = v->aliases[i];
	}
	return param_guess_among(names, n, name);
}

/* Takes the verb's words off argv at *AT. */
static bool take_verb(const struct verb *verbs, int argc, char **argv, int *at, struct args *ret, struct err **e)
{
	const char *first = argv[*at], *second = *at + 1 < argc ? argv[*at + 1] : NULL;
	_cleanup_free_ char *both = second && *second != '-' ? xasprintf("%s %s", first, second) : NULL;

	(*at)++;
	ret->verb = both ? verb_find(verbs, both) : NULL;
	if (ret->verb) {
		(*at)++;
		return true;
	}
	ret->verb = verb_find(verbs, first);
	if (ret->verb)
		return true;

	/* "disk" alone, or "disk atach": the family is known. */
	for (const struct verb *v = verbs; v->name; v++) {
		const char *meant;

		if (!same_family(v->name, first))
			continue;
		meant = both ? verb_guess(verbs, both) : NULL;
		return err_set_usage(e,
				     meant ? did_you_mean("", meant) : xasprintf("'drover help %s' lists them", first),
				     "unknown verb '%s'", both ? both : first);
	}
	const char *meant = verb_guess(verbs, first);

	return err_set_usage(e, meant ? did_you_mean("", meant) : xstrdup("'drover help' lists the verbs"),
			     "unknown verb '%s'", first);
}

static const struct cli_option *find_option(const struct cli_option *rows, const char *name, size_t len)
{
	for (const struct cli_option *o = rows; o && o->name; o++)
		if (strlen(o->name) == len && memcmp(o->name, name, len) == 0)
			return o;
	return NULL;
}

static char *option_hint(const struct verb *verb, const char *name)
{
	const char *names[64], *meant;
	size_t n = 0;

	for (const struct cli_option *o = cli_global_options; o->name; o++)
		names[n++] = o->name;
	for (const struct cli_option *o = verb ? verb->options : NULL; o && o->name; o++) {
		assert(n < ARRAY_SIZE(names));
		names[n++] = o->name;
	}
	meant = param_guess_among(names, n, name);
	if (meant)
		return did_you_mean("--", meant);
	return verb ? xasprintf("'drover help %s' lists its options", verb->name) :
		      xstrdup("'drover help' lists the options");
}

static bool check_uint(const char *text)
{
	if (!*text || strspn(text, "0123456789") != strlen(text))
		return false;
	errno = 0;
	strtoll(text, NULL, 10);
	return errno == 0;
}

static bool check_seconds(const char *text)
{
	char *end;

	if (!strchr(text, '.'))
		return check_uint(text);
	if (strspn(text, "0123456789.") != strlen(text) || strlen(text) > 20)
		return false;
	strtod(text, &end);
	return end != text && !*end;
}

char *option_choices(const struct cli_option *o)
{
	char *all = NULL;

	for (size_t i = 0; o->choices && o->choices[i]; i++) {
		char *more = xasprintf("%s%s%s", all ? all : "", all ? ", " : "", o->choices[i]);

		free(all);
		all = more;
	}
	return all;
}

static bool check_choice(const struct cli_option *o, const char *text, struct err **e)
{
	_cleanup_free_ char *all = NULL;
	size_t n = 0;

	for (; o->choices[n]; n++)
		if (str_eq(o->choices[n], text))
			return true;
	all = option_choices(o);
	return err_set_usage(e, did_you_mean("", param_guess_among(o->choices, n, text)),
			     "'--%s' takes one of %s, not '%s'", o->name, all, text);
}

static bool check_value(const struct cli_option *o, const char *text, struct err **e)
{
	switch (o->type) {
	case OPTION_FLAG:
	case OPTION_TEXT:
		return true;
	case OPTION_UINT:
		return check_uint(text) || err_set_usage(e, NULL, "'--%s' takes a number, not '%s'", o->name, text);
	case OPTION_SECONDS:
		return check_seconds(text) || err_set_usage(e, NULL, "'--%s' takes seconds, not '%s'", o->name, text);
	case OPTION_CHOICE:
		return check_choice(o, text, e);
	}
	return true;
}

/* Takes "--name VALUE", "--name=VALUE" or "--name" off argv at *AT. */
static bool take_option(int argc, char **argv, int *at, struct args *ret, struct err **e)
{
	const char *name = argv[*at] + 2, *text = NULL;
	size_t len = strcspn(name, "=");
	const struct cli_option *o = find_option(cli_global_options, name, len);

	(*at)++;
	if (!o && ret->verb)
		o = find_option(ret->verb->options, name, len);
	if (!o) {
		_cleanup_free_ char *given = xstrndup(name, len);

		return err_set_usage(e, option_hint(ret->verb, given), "unknown option '--%s'%s", given,
				     ret->verb ? "" : " before the verb");
	}
	if (o->type == OPTION_FLAG) {
		if (name[len])
			return err_set_usage(e, NULL, "'--%s' takes no value", o->name);
	} else if (name[len]) {
		text = name + len + 1;
	} else {
		if (*at >= argc)
			return err_set_usage(e, NULL, "'--%s' needs a value, %s", o->name, o->value);
		text = argv[(*at)++];
	}
	if (text && !check_value(o, text, e))
		return false;
	ret->values[ret->n_values++] = (struct cli_value){ .option = o, .text = text };
	return true;
}

static bool take_all(const struct verb *verbs, int argc, char **argv, struct args *ret, struct err **e)
{
	bool words_only = false;

	for (int at = 1; at < argc;) {
		const char *a = argv[at];

		if (!words_only && str_eq(a, "--")) {
			words_only = true;
			at++;
		} else if (!words_only && str_eq(a, "-h")) {
			ret->values[ret->n_values++].option = find_option(cli_global_options, "help", 4);
			at++;
		} else if (!words_only && str_starts(a, "--")) {
			if (!take_option(argc, argv, &at, ret, e))
				return false;
		} else if (!words_only && a[0] == '-' && a[1]) {
			return err_set_usage(e, option_hint(ret->verb, a + 1), "unknown option '%s'", a);
		} else if (!ret->verb) {
			if (!take_verb(verbs, argc, argv, &at, ret, e))
				return false;
		} else {
			ret->words[ret->n_words++] = a;
			at++;
		}
	}
	return true;
}

/* An error comes out as JSON also where --json stands behind the fault. */
static void find_json(int argc, char **argv, struct args *ret)
{
	if (args_has(ret, "json"))
		return;
	for (int i = 1; i < argc && !str_eq(argv[i], "--"); i++)
		if (str_eq(argv[i], "--json")) {
			ret->values[ret->n_values++].option = find_option(cli_global_options, "json", 4);
			return;
		}
}

static char *usage_hint(const struct verb *v)
{
	return xasprintf("usage: drover %s%s%s", v->name, *v->usage ? " " : "", v->usage);
}

/* "jobs cancl 3": the first word may be the second one of a longer verb. */
static char *surplus_hint(const struct verb *verbs, const struct verb *v, const char *word)
{
	_cleanup_free_ char *both = xasprintf("%s %s", v->name, word);
	const char *meant = verb_guess(verbs, both);

	return meant && !str_eq(meant, v->name) && same_family(meant, v->name) ? did_you_mean("", meant) :
										 usage_hint(v);
}

/* How much of the usage is in front of what may be left out. */
static int needed(const struct verb *v)
{
	const char *rest = strstr(v->usage, " [");

	return (int)(rest ? (size_t)(rest - v->usage) : strlen(v->usage));
}

bool args_parse(const struct verb *verbs, int argc, char **argv, struct args *ret, struct err **e)
{
	const struct verb *v;

	*ret = (struct args){
		.words = xcalloc((size_t)argc + 1, sizeof(*ret->words)),
		.values = xcalloc((size_t)argc + 1, sizeof(*ret->values)),
	};
	if (!take_all(verbs, argc, argv, ret, e)) {
		find_json(argc, argv, ret);
		return false;
	}
	v = ret->verb;
	if (!v || args_has(ret, "help") || args_has(ret, "version"))
		return true;
	if (ret->n_words < v->min)
		return err_set_usage(e, usage_hint(v), "'%s' needs %.*s", v->name, needed(v), v->usage);
	if (ret->n_words > v->max)
		return err_set_usage(e, surplus_hint(verbs, v, ret->words[0]), "'%s' is one word too many",
				     ret->words[v->max]);
	return true;
}

void args_clear(struct args *a)
{
	free(a->words);
	free(a->values);
	*a = (struct args){ 0 };
}

const char *args_next(const struct args *a, const char *option, size_t *at)
{
	while (*at < a->n_values) {
		const struct cli_value *value = &a->values[(*at)++];

		if (str_eq(value->option->name, option))
			return value->text ? value->text : "";
	}
	return NULL;
}

const char *args_get(const struct args *a, const char *option)
{
	const char *found = NULL, *text;
	size_t at = 0;

	while ((text = args_next(a, option, &at)))
		found = text;
	return found;
}

bool args_has(const struct args *a, const char *option)
{
	return args_get(a, option) != NULL;
}

struct json_object *args_words(const struct args *a)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < a->n_words; i++)
		json_object_array_add(list, json_object_new_string(a->words[i]));
	return list;
}

struct json_object *args_request(const struct args *a)
{
	struct json_object *o = json_object_new_object();

	for (size_t i = 0; i < a->n_values; i++) {
		const struct cli_option *option = a->values[i].option;
		const char *text = a->values[i].text;

		if (!option->member)
			continue;
		switch (option->type) {
		case OPTION_FLAG:
			json_add_bool(o, option->member, true);
			break;
		case OPTION_TEXT:
		case OPTION_CHOICE:
			json_add_str(o, option->member, text);
			break;
		case OPTION_UINT:
			json_add_int(o, option->member, strtoll(text, NULL, 10));
			break;
		case OPTION_SECONDS:
			if (strchr(text, '.'))
				json_add_time(o, option->member, strtod(text, NULL));
			else
				json_add_int(o, option->member, strtoll(text, NULL, 10));
			break;
		}
	}
	return o;
}
