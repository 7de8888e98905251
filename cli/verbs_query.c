/* SPDX-License-Identifier: BSD-2-Clause */
/* The verbs that only ask: list, jobs, log, argv, call, version. `show` and `events` have files of their own. */
#include "cli/assign.h"
#include "cli/shapes.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "cli/watch.h"

#include <math.h>
#include <string.h>

/* "monitor slow, pending" of an instance; NULL if there is nothing to remark. */
static char *notes_of(struct json_object *o)
{
	const char *monitor = json_get_str(o, "monitor");
	bool slow = monitor && !str_eq(monitor, "ok"), pending = json_get_bool(o, "pending", false);

	if (!slow && !pending)
		return NULL;
	return xasprintf("%s%s%s%s", slow ? "monitor " : "", slow ? monitor : "", slow && pending ? ", " : "",
			 pending ? "pending" : "");
}

static void list_row(struct table *t, struct json_object *o)
{
	struct json_object *error = NULL, *operation = NULL;
	const char *name = json_get_str(o, "name"), *state = json_get_str(o, "state");
	_cleanup_free_ char *pid = shape_member(o, "pid"), *vcpus = shape_member(o, "vcpus");
	_cleanup_free_ char *memory = shape_size(o, "memory"), *age = shape_age(o, "since"), *doing = NULL;
	_cleanup_free_ char *notes = notes_of(o), *words = NULL;

	json_object_object_get_ex(o, "error", &error);
	json_object_object_get_ex(o, "operation", &operation);
	doing = shape_operation(operation);
	if (error)
		state = "unreadable";
	table_row(t);
	table_cell(t, STYLE_NONE, name);
	table_cell(t, shape_state_style(state), state);
	table_cell(t, STYLE_NONE, json_get_str(o, "reason"));
	table_cell(t, STYLE_NONE, pid);
	table_cell(t, STYLE_NONE, vcpus);
	table_cell(t, STYLE_NONE, memory);
	table_cell(t, STYLE_NONE, age);
	table_cell(t, STYLE_NONE, doing);
	table_cell(t, STYLE_WARN, notes);
	if (error) {
		words = shape_error(error);
		table_note(t, words);
	}
}

static bool draw_list(struct cli *cli, struct err **e)
{
	static const struct column columns[] = {
		{ .title = "NAME", .min = 24 },
		{ .title = "STATE" },
		{ .title = "REASON", .min = 9 },
		{ .title = "PID", .right = true },
		{ .title = "VCPUS", .right = true },
		{ .title = "MEMORY", .right = true },
		{ .title = "SINCE", .right = true },
		{ .title = "OPERATION", .optional = true, .min = 9 },
		{ .title = "NOTES", .optional = true, .min = 18 },
	};
	_cleanup_(table_freep) struct table *t = table_new(columns, ARRAY_SIZE(columns));
	_cleanup_json_ struct json_object *arguments = json_object_new_object(), *result = NULL;

	if (cli->args.n_words)
		json_add(arguments, "instances", args_words(&cli->args));
	if (!cli_call(cli, cli->args.verb->command, arguments, &result, e))
		return false;
	if (cli->json) {
		cli_print_json(cli, result);
		return true;
	}
	for (size_t i = 0; i < json_length(result); i++)
		list_row(t, json_object_array_get_idx(result, i));
	cli_print_table(cli, t, "No instances. 'drover define' makes one.\n");
	return true;
}

int verb_list(struct cli *cli)
{
	_cleanup_err_ struct err *e = NULL;

	if (args_has(&cli->args, "watch")) /* ages grow by themselves, for people */
		return watch_draw(cli, draw_list, true, cli->screen.tty ? 2 : INFINITY);
	return draw_list(cli, &e) ? 0 : cli_fail(cli, NULL, e);
}

static char *progress_of(struct json_object *o)
{
	double now = json_get_double(o, "current-progress", 0), all = json_get_double(o, "total-progress", 0);

	return all > 0 && now >= 0 && now <= all ? xasprintf("%d%%", (int)(now / all * 100)) : NULL;
}

static void job_row(struct table *t, struct json_object *o)
{
	struct json_object *error = NULL;
	const char *status = json_get_str(o, "status");
	bool failed = json_object_object_get_ex(o, "error", &error);
	_cleanup_free_ char *age = shape_age(o, "since"), *progress = progress_of(o), *words = NULL;

	table_row(t);
	table_cell(t, STYLE_NONE, json_get_str(o, "id"));
	table_cell(t, STYLE_NONE, json_get_str(o, "type"));
	table_cell(t, STYLE_NONE, json_get_str(o, "instance"));
	table_cell(t, failed ? STYLE_BAD : STYLE_NONE, failed && str_eq(status, "concluded") ? "failed" : status);
	table_cell(t, STYLE_NONE, json_get_str(o, "step"));
	table_cell(t, STYLE_NONE, progress);
	table_cell(t, STYLE_NONE, age);
	if (failed) {
		words = shape_error(error);
		table_note(t, words ? words : "");
	}
}

int verb_jobs(struct cli *cli)
{
	static const struct column columns[] = {
		{ .title = "ID", .min = 6 },         { .title = "TYPE" },
		{ .title = "INSTANCE", .min = 24 },  { .title = "STATUS" },
		{ .title = "STEP", .min = 8 },       { .title = "PROGRESS", .right = true },
		{ .title = "SINCE", .right = true },
	};
	_cleanup_(table_freep) struct table *t = table_new(columns, ARRAY_SIZE(columns));
	_cleanup_json_ struct json_object *arguments = json_object_new_object(), *result = NULL;
	const char *name = cli->args.n_words ? cli->args.words[0] : NULL;
	int status;

	json_add_str(arguments, "instance", name);
	if (!cli_query(cli, name, arguments, &result, &status))
		return status;
	for (size_t i = 0; i < json_length(result); i++)
		job_row(t, json_object_array_get_idx(result, i));
	cli_print_table(cli, t, "No jobs.\n");
	return 0;
}

/* The words of a command line, an option and its values in one line, for a shell. */
static void print_command(struct json_object *words)
{
	size_t n = json_object_array_length(words);

	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *word = shape_value(json_object_array_get_idx(words, i));
		_cleanup_free_ char *quoted = text_quote(word ? word : "");

		if (i > 0)
			fputs(word && *word == '-' ? " \\\n  " : " ", stdout);
		fputs(quoted, stdout);
	}
	if (n)
		putchar('\n');
}

int verb_argv(struct cli *cli)
{
	_cleanup_json_ struct json_object *arguments = args_request(&cli->args), *result = NULL;
	const char *member = args_has(&cli->args, "json-argv") ? "argv" : "text";
	struct json_object *words;
	int status;

	json_add_str(arguments, "instance", cli->args.words[0]);
	if (!cli_query(cli, cli->args.words[0], arguments, &result, &status))
		return status;
	words = json_get_typed(result, member, json_type_array);
	if (words)
		print_command(words);
	return 0;
}

int verb_call(struct cli *cli)
{
	_cleanup_json_ struct json_object *arguments = json_object_new_object(), *result = NULL;
	_cleanup_err_ struct err *e = NULL;

	for (size_t i = 1; i < cli->args.n_words; i++)
		if (!assign_word(arguments, cli->args.words[i], &e))
			return cli_fail(cli, NULL, e);
	if (!cli_call(cli, cli->args.words[0], arguments, &result, &e))
		return cli_fail(cli, cli->client ? json_get_str(arguments, "instance") : NULL, e);
	cli_print_json(cli, result);
	return 0;
}

/* The version that a daemon gives in QMP's shape. */
static char *daemon_version(struct json_object *result)
{
	struct json_object *version = json_get_typed(result, "version", json_type_object), *qemu;
	const char *package;

	if (!version)
		version = result;
	package = json_get_str(version, "package");
	if (package && str_starts(package, "drover-"))
		return xstrdup(package + strlen("drover-"));
	qemu = json_get_typed(version, "qemu", json_type_object);
	return xasprintf("%lld.%lld.%lld", (long long)json_get_int(qemu, "major", 0),
			 (long long)json_get_int(qemu, "minor", 0), (long long)json_get_int(qemu, "micro", 0));
}

int verb_version(struct cli *cli)
{
	_cleanup_json_ struct json_object *result = NULL, *both = json_object_new_object();
	_cleanup_err_ struct err *e = NULL;
	_cleanup_free_ char *version = NULL, *line = NULL, *plain = NULL;
	bool ok = cli_call(cli, cli->args.verb->command, NULL, &result, &e);

	if (cli->json) {
		json_add_str(both, "drover", DROVER_VERSION);
		if (ok)
			json_add(both, "droverd", json_object_get(result));
		cli_print_json(cli, both);
		return ok ? 0 : cli_fail(cli, NULL, e);
	}
	printf("drover %s\n", DROVER_VERSION);
	if (!ok)
		return cli_fail(cli, NULL, e);
	version = daemon_version(result);
	line = xasprintf("droverd %s at %s", version, client_path(cli->client));
	plain = text_plain(line, "");
	printf("%s\n", plain);
	return 0;
}
