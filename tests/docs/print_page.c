/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * print_page FILE.scd: a manual page with its parts that follow from rows printed anew, to the standard output.
 *
 * Such a part begins behind a line "; rows: NAME" and ends before "; end"; all else is copied. A name that no table has, or
 * a part without an end, ends it with status 1. "./dev docs" writes what is printed; the test of a page compares.
 */
#include "base/file.h"
#include "cli/verbs.h"
#include "daemon/commands.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { PAGE_MAX = 1 << 20 };

/* Text in which nothing means anything to scdoc, within a line. */
static void put_text(const char *text)
{
	for (const char *c = text; *c; c++) {
		if (strchr("*_\\", *c))
			putchar('\\');
		putchar(*c);
	}
}

static void put_bold(const char *text)
{
	putchar('*');
	put_text(text);
	putchar('*');
}

static void put_indent(unsigned depth)
{
	for (unsigned i = 0; i < depth; i++)
		putchar('\t');
}

static void put_line(unsigned depth, const char *text)
{
	put_indent(depth);
	put_text(text);
	putchar('\n');
}

/* ---- rows of parameters, as query-schema describes them ---- */

static void put_choices(struct json_object *choices)
{
	size_t n = choices ? json_object_array_length(choices) : 0;

	for (size_t i = 0; i < n; i++) {
		const char *choice = json_object_get_string(json_object_array_get_idx(choices, i));

		fputs(i == 0 ? " One of " : i + 1 < n ? ", " : " or ", stdout);
		put_bold(*choice ? choice : "\"\"");
	}
	if (n > 0)
		putchar('.');
}

static void put_limits(struct json_object *row)
{
	static const struct {
		const char *type, *what;
	} lengths[] = { { "text", " bytes" }, { "path", " bytes" }, { "list", " elements" } };
	struct json_object *min = NULL, *max = NULL;
	const char *what = "", *type = json_get_str(row, "type");

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++)
		if (str_eq(lengths[i].type, type))
			what = lengths[i].what;
	json_object_object_get_ex(row, "min", &min);
	json_object_object_get_ex(row, "max", &max);
	if (min && max)
		printf(", %s to %s%s", json_object_get_string(min), json_object_get_string(max), what);
	else if (min)
		printf(", at least %s%s", json_object_get_string(min), what);
	else if (max)
		printf(", at most %s%s", json_object_get_string(max), what);
}

static void put_type(struct json_object *row)
{
	static const struct {
		const char *change, *text;
	} changes[] = {
		{ "live", "; a change holds at once" },
		{ "restart", "; a change waits for the next start" },
		{ "never", "; never changes" },
	};
	const char *items = json_get_str(row, "items"), *unit = json_get_str(row, "unit");
	const char *change = json_get_str(row, "change"), *since = json_get_str(row, "since");
	struct json_object *def;

	printf(" (%s%s%s%s%s", json_get_str(row, "type"), items ? " of " : "", items ? items : "", unit ? ", " : "",
	       unit ? unit : "");
	put_limits(row);
	if (json_get_bool(row, "required", false))
		fputs(", required", stdout);
	if (json_object_object_get_ex(row, "default", &def)) {
		_cleanup_free_ char *text = json_print(def);

		fputs(", default ", stdout);
		put_text(text);
	}
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++)
		if (str_eq(changes[i].change, change))
			fputs(changes[i].text, stdout);
	if (since)
		printf("; since %s", since);
	puts(")");
}

/* Members that have tables of their own. */
static const char *elsewhere(const char *name)
{
	static const struct {
		const char *name, *text;
	} tables[] = {
		{ "hvparams", "See *drover-hvparams*(7)." },
		{ "disks", "See DISKS." },
		{ "nics", "See NETWORK CARDS." },
	};

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		if (str_eq(tables[i].name, name))
			return tables[i].text;
	return NULL;
}

static void put_params(struct json_object *rows, unsigned depth)
{
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i), *members;
		const char *other = elsewhere(json_get_str(row, "name"));

		members = json_get_typed(row, "members", json_type_array);
		putchar('\n');
		put_indent(depth);
		put_bold(json_get_str(row, "name"));
		put_type(row);
		put_indent(depth + 1);
		put_text(json_get_str(row, "doc"));
		put_choices(json_get_typed(row, "choices", json_type_array));
		if (members && other)
			printf(" %s", other);
		putchar('\n');
		if (members && !other)
			put_params(members, depth + 1);
	}
}

static void print_params(const struct param *rows)
{
	_cleanup_json_ struct json_object *list = param_describe(rows);

	put_params(list, 0);
}

static void print_hvparams(void)
{
	print_params(hvparam_rows);
}

static void print_definition(void)
{
	print_params(definition_rows);
}

static void print_config(void)
{
	print_params(config_rows);
}

static void print_disk(void)
{
	print_params(disk_rows);
}

static void print_nic(void)
{
	print_params(nic_rows);
}

/* ---- commands ---- */

static void print_commands(void)
{
	static const char *const classes[] = {
		[CLASS_QUERY] = "Answered from memory.",
		[CLASS_ASK] = "Asks QEMU or the guest.",
		[CLASS_CHANGE] = "A change.",
		[CLASS_LONG] = "A change that may take long, and may be a job.",
		[CLASS_DIRECT] = "A change, done at once.",
		[CLASS_ATTACH] = "Takes the session over.",
	};
	const struct command *const *all;
	size_t n;

	all = command_all(&n);
	for (size_t i = 0; i < n; i++) {
		_cleanup_json_ struct json_object *arguments = NULL;

		if (all[i]->internal)
			continue;
		fputs("\n## ", stdout);
		put_text(all[i]->name);
		fputs("\n\n", stdout);
		put_text(all[i]->doc);
		printf(" %s\n", classes[all[i]->class]);
		if (all[i]->returns) {
			fputs("\nReturns ", stdout);
			put_text(all[i]->returns);
			fputs(".\n", stdout);
		}
		arguments = param_describe(all[i]->params);
		put_params(arguments, 0);
	}
}

/* ---- the command line ---- */

static void put_options(const struct cli_option *options, unsigned depth)
{
	for (const struct cli_option *o = options; o && o->name; o++) {
		_cleanup_free_ char *name = xasprintf("--%s", o->name), *choices = option_choices(o);

		putchar('\n');
		put_indent(depth);
		put_bold(name);
		if (o->value) {
			putchar(' ');
			put_text(o->value);
		}
		putchar('\n');
		put_indent(depth + 1);
		put_text(o->doc);
		if (choices) {
			fputs(" One of ", stdout);
			put_text(choices);
			putchar('.');
		}
		putchar('\n');
	}
}

static void print_verbs(void)
{
	for (const struct verb *v = cli_verbs; v->name; v++) {
		putchar('\n');
		put_bold(v->name);
		if (*v->usage) {
			putchar(' ');
			put_text(v->usage);
		}
		putchar('\n');
		put_line(1, v->summary);
		if (v->detail) {
			putchar('\n');
			put_line(1, v->detail);
		}
		for (size_t i = 0; v->aliases[i]; i++) {
			fputs("\n\tAlso spelt ", stdout);
			put_bold(v->aliases[i]);
			fputs(".\n", stdout);
		}
		put_options(v->options, 1);
	}
}

static void print_options(void)
{
	put_options(cli_global_options, 0);
}

/* ---- errors, states ---- */

static void print_errors(void)
{
	for (int class = 0; class < ERR_CLASS_COUNT; class ++) {
		const struct err_class_info *info = err_class_info((enum err_class) class);

		putchar('\n');
		put_bold(info->name);
		printf(", exit status %d\n\t", info->exit);
		put_text(info->doc);
		puts(info->retry ? " The same request may succeed later." : "");
	}
}

static void print_states(void)
{
	_cleanup_json_ struct json_object *list = state_describe();

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *row = json_object_array_get_idx(list, i);

		putchar('\n');
		put_bold(json_get_str(row, "name"));
		putchar('\n');
		put_line(1, json_get_str(row, "doc"));
	}
}

static const struct {
	const char *name;
	void (*print)(void);
} parts[] = {
	{ "commands", print_commands }, { "config", print_config },   { "definition", print_definition },
	{ "disk", print_disk },         { "errors", print_errors },   { "hvparams", print_hvparams },
	{ "nic", print_nic },           { "options", print_options }, { "states", print_states },
	{ "verbs", print_verbs },
};

static bool print_part(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (str_eq(parts[i].name, name)) {
			parts[i].print();
			return true;
		}
	fprintf(stderr, "print_page: no rows '%s'\n", name);
	return false;
}

/* Writes over the ends of lines of PAGE. */
static bool print_page(char *page)
{
	bool printed = false;

	for (char *line = page, *end; *line; line = end + 1) {
		end = strchr(line, '\n');
		if (!end) {
			fputs("print_page: the last line has no end\n", stderr);
			return false;
		}
		*end = '\0';
		if (str_eq(line, "; end")) {
			if (printed)
				putchar('\n');
			printed = false;
		}
		if (!printed)
			puts(line);
		if (str_starts(line, "; rows: ")) {
			if (printed || !print_part(line + strlen("; rows: ")))
				return false;
			printed = true;
		}
	}
	if (printed)
		fputs("print_page: rows without an end\n", stderr);
	return !printed;
}

int main(int argc, char **argv)
{
	_cleanup_err_ struct err *e = NULL;
	_cleanup_free_ char *page = NULL;
	size_t len;

	if (argc != 2) {
		fputs("usage: print_page FILE.scd\n", stderr);
		return 2;
	}
	if (!file_read(AT_FDCWD, argv[1], PAGE_MAX, &page, &len, &e)) {
		fprintf(stderr, "print_page: %s\n", e->desc);
		return 1;
	}
	return print_page(page) ? 0 : 1;
}
