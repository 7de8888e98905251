/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/topic.h"

#include "base/param.h"
#include "cli/help.h"
#include "cli/shapes.h"
#include "cli/text.h"

#include <string.h>

enum { NAME_COLUMN = 26 };

const char *const topics[] = {
	"hvparams", "definition", "disk", "nic", "config", "errors", "states", NULL,
};

bool topic_is(const char *name)
{
	for (const char *const *t = topics; *t; t++)
		if (str_eq(*t, name))
			return true;
	return false;
}

bool topic_may_be_command(const char *name)
{
	return strchr(name, '-') || str_eq(name, "migrate");
}

/* Consumes TEXT and MORE; TEXT with ", MORE" behind it. */
static char *append(char *text, char *more)
{
	_cleanup_free_ char *before = text, *next = more;

	if (!next)
		return TAKE_PTR(before);
	return before ? xasprintf("%s, %s", before, next) : TAKE_PTR(next);
}

static char *choices_text(struct json_object *row)
{
	struct json_object *list = json_get_typed(row, "choices", json_type_array);
	_cleanup_free_ char *all = NULL;

	for (size_t i = 0; i < json_length(list); i++) {
		_cleanup_free_ char *choice = shape_value(json_object_array_get_idx(list, i));

		all = append(TAKE_PTR(all), xstrdup(*choice ? choice : "''"));
	}
	return all ? xasprintf("one of %s", all) : NULL;
}

/* "1 to 64", "at most 8" of what is counted; of lengths of texts nothing. */
static char *range_text(struct json_object *row, const char *type)
{
	_cleanup_free_ char *min = shape_member(row, "min"), *max = shape_member(row, "max");

	if (!str_eq(type, "int") && !str_eq(type, "time"))
		return NULL;
	if (min && max)
		return xasprintf("%s to %s", min, max);
	return max ? xasprintf("at most %s", max) : min ? xasprintf("at least %s", min) : NULL;
}

/* "int, required, 1 to 288", "choice, default auto, one of auto, kvm, tcg". */
static char *facts(struct json_object *row)
{
	static const char *const when[][2] = { { "live", "changes at once" },
					       { "never", "cannot be changed" } }; /* else at the next start */
	const char *type = json_get_str(row, "type"), *items = json_get_str(row, "items");
	const char *change = json_get_str(row, "change");
	_cleanup_free_ char *def = shape_member(row, "default"), *unit = shape_member(row, "unit");
	char *text = items ? xasprintf("list of %s", items) : xstrdup(type ? type : "");

	if (json_get_bool(row, "required", false))
		text = append(text, xstrdup("required"));
	if (def)
		text = append(text, xasprintf("default %s", *def ? def : "''"));
	text = append(text, range_text(row, type));
	text = append(text, choices_text(row));
	text = append(text, TAKE_PTR(unit));
	for (size_t i = 0; i < ARRAY_SIZE(when); i++)
		if (str_eq(change, when[i][0]))
			text = append(text, xstrdup(when[i][1]));
	return text;
}

static void print_pair(FILE *f, const char *left, const char *right)
{
	_cleanup_free_ char *name = text_plain(left, ""), *text = text_plain(right, "");
	int n = fprintf(f, "  %s", name);

	if (n + 1 > NAME_COLUMN) {
		fputc('\n', f);
		n = 0;
	}
	fprintf(f, "%*s", NAME_COLUMN - n, "");
	text_wrap(f, text, NAME_COLUMN, NAME_COLUMN, HELP_WIDTH);
}

/* A parameter, and the members of an object as further ones: "throttle.bps_total". */
static void print_param(FILE *f, const char *prefix, struct json_object *row)
{
	const char *name = json_get_str(row, "name"), *doc = json_get_str(row, "doc");
	struct json_object *members = json_get_typed(row, "members", json_type_array);
	bool list = str_eq(json_get_str(row, "type"), "list");
	_cleanup_free_ char *full = xasprintf("%s%s", prefix, name ? name : "-"), *about = facts(row);
	_cleanup_free_ char *text = xasprintf("%s%s(%s)", doc ? doc : "", doc ? " " : "", about);
	_cleanup_free_ char *inner = xasprintf("%s%s.", full, list ? "[]" : "");

	print_pair(f, full, text);
	for (size_t i = 0; i < json_length(members); i++)
		print_param(f, inner, json_object_array_get_idx(members, i));
}

static void print_row(FILE *f, struct json_object *row)
{
	print_param(f, "", row);
}

/* A row of errors or states. */
static void print_named(FILE *f, struct json_object *row)
{
	const char *name = json_get_str(row, "name"), *doc = json_get_str(row, "doc");
	_cleanup_free_ char *exit = shape_member(row, "exit"), *text = NULL;

	text = exit ? xasprintf("%s Exit status %s.%s", doc ? doc : "", exit,
				json_get_bool(row, "retry", false) ? " The same request may succeed later." : "") :
		      xstrdup(doc ? doc : "");
	print_pair(f, name ? name : "-", text);
}

static struct json_object *find_row(struct json_object *rows, const char *name)
{
	for (size_t i = 0; i < json_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		if (str_eq(json_get_str(row, "name"), name))
			return row;
	}
	return NULL;
}

/* Names of ROWS as a table without an end of its own, to be guessed from. */
static size_t add_names(struct param *names, size_t n, struct json_object *rows)
{
	for (size_t i = 0; i < json_length(rows); i++)
		names[n++].name = json_get_str(json_object_array_get_idx(rows, i), "name");
	return n;
}

static const char *guess_row(struct json_object *rows, const char *name)
{
	_cleanup_free_ struct param *names = xcalloc(json_length(rows) + 1, sizeof(struct param));

	add_names(names, 0, rows);
	return param_guess(names, name);
}

const char *topic_guess(struct json_object *schema, const char *name)
{
	const char *command = guess_row(json_get_typed(schema, "commands", json_type_array), name);
	struct param names[ARRAY_SIZE(topics)] = { 0 };

	for (size_t i = 0; topics[i]; i++)
		names[i].name = topics[i];
	return command ? command : param_guess(names, name);
}

static void print_command(FILE *f, struct json_object *command, struct json_object *rows)
{
	static const char *const classes[][2] = { { "q", "Answers from memory." },
						  { "a", "Asks QEMU." },
						  { "c", "Changes something." },
						  { "l", "Changes something; may take long, and be a job." } };
	const char *class = json_get_str(command, "class"), *returns = json_get_str(command, "returns");
	_cleanup_free_ char *head = xasprintf("usage: drover call %s KEY=VALUE...\n\n%s", json_get_str(command, "name"),
					      json_get_str(command, "doc"));
	_cleanup_free_ char *plain = text_plain(head, "\n");

	text_wrap(f, plain, 0, 0, HELP_WIDTH);
	for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
		if (str_eq(class, classes[i][0]))
			fprintf(f, "%s\n", classes[i][1]);
	if (rows && json_object_array_length(rows))
		fputs("\nArguments:\n", f);
	for (size_t i = 0; i < json_length(rows); i++)
		print_param(f, "", json_object_array_get_idx(rows, i));
	if (returns) {
		_cleanup_free_ char *result = text_plain(returns, "");

		fputs("\nResult:\n  ", f);
		text_wrap(f, result, 2, 2, HELP_WIDTH);
	}
}

bool topic_find(struct json_object *schema, const char *name, const char *row, struct json_object **ret, struct err **e)
{
	bool topic = topic_is(name);
	struct json_object *rows, *command = NULL;
	const char *meant;

	if (!topic)
		command = find_row(json_get_typed(schema, "commands", json_type_array), name);
	if (!command && !topic) {
		meant = topic_guess(schema, name);
		return err_set_usage(e,
				     meant ? xasprintf("did you mean '%s'?", meant) :
					     xstrdup("'drover help' lists the verbs and topics"),
				     "there is no help on '%s'", name);
	}
	rows = json_get_typed(command ? command : schema, command ? "arguments" : name, json_type_array);
	*ret = row ? find_row(rows, row) : command ? command : rows;
	if (!row || *ret)
		return true;
	meant = guess_row(rows, row);
	return err_set_usage(
		e, meant ? xasprintf("did you mean '%s'?", meant) : xasprintf("'drover help %s' lists them", name),
		"'%s' has no '%s'", name, row);
}

bool topic_print(struct json_object *schema, const char *name, const char *row, FILE *f, struct err **e)
{
	void (*print)(FILE *, struct json_object *) = str_eq(name, "errors") || str_eq(name, "states") ? print_named :
													 print_row;
	struct json_object *found = NULL;
	size_t n;

	if (!topic_find(schema, name, row, &found, e))
		return false;
	n = json_length(found);
	if (row)
		print(f, found);
	else if (!topic_is(name))
		print_command(f, found, json_get_typed(found, "arguments", json_type_array));
	else if (!n)
		fputs("There is nothing of that in this version.\n", f);
	for (size_t i = 0; i < n; i++)
		print(f, json_object_array_get_idx(found, i));
	return true;
}
