/* SPDX-License-Identifier: BSD-2-Clause */
/* `drover trace`: what droverd and QEMU have said to each other, a line for each message. */
#include "cli/shapes.h"
#include "cli/text.h"
#include "cli/verbs.h"

#include <math.h>
#include <string.h>

enum { DATE_LENGTH = sizeof("2026-11-21 ") - 1 };

/* Without the date if it is TODAY's. */
static char *time_of(double when, const char *today)
{
	char *text = text_time(when, true);

	if (strlen(text) > DATE_LENGTH && strncmp(text, today, DATE_LENGTH) == 0)
		memmove(text, text + DATE_LENGTH, strlen(text + DATE_LENGTH) + 1);
	return text;
}

/* What a message says, without what stands in the other columns. *BAD: an error. */
static char *words_of(struct json_object *message, bool *bad)
{
	static const char *const members[] = { "arguments", "return", "data", "QMP" };
	struct json_object *error = json_get_typed(message, "error", json_type_object), *value;

	*bad = error != NULL;
	if (error)
		return shape_error(error);
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (json_object_is_type(message, json_type_object) &&
		    json_object_object_get_ex(message, members[i], &value))
			return shape_value(value);
	if (json_get_str(message, "execute") || json_get_str(message, "exec-oob") || json_get_str(message, "event"))
		return NULL;
	return shape_value(message);
}

static void row(struct table *t, struct json_object *o, const char *today)
{
	struct json_object *message = NULL;
	bool in = str_eq(json_get_str(o, "direction"), "in"), bad;
	double latency = json_get_double(o, "latency", NAN);
	_cleanup_free_ char *when = time_of(json_get_double(o, "time", NAN), today);
	_cleanup_free_ char *id = shape_member(o, "id"), *words = NULL;

	json_object_object_get_ex(o, "message", &message);
	words = words_of(message, &bad);
	table_row(t);
	table_cell(t, STYLE_DIM, when);
	table_cellf(t, STYLE_NONE, "%s%d", in ? "<-" : "->", (int)json_get_int(o, "monitor", 0));
	table_cell(t, STYLE_NONE, id);
	if (isfinite(latency))
		table_cellf(t, STYLE_NONE, "%.1f", latency * 1000);
	else
		table_cell(t, STYLE_NONE, NULL);
	table_cell(t, STYLE_NONE, json_get_str(o, "name"));
	table_cellf(t, bad ? STYLE_BAD : STYLE_NONE, "%s%s%s", words ? words : "",
		    json_get_bool(o, "cut", false) ? " (cut)" : "",
		    json_get_bool(o, "descriptor", false) ? " (and a descriptor)" : "");
}

/* Of an operation one expects something, so scripts are told as well. */
static void print_none(const char *name, const char *operation)
{
	_cleanup_free_ char *line = xasprintf("drover: %s: nothing is kept that was said on behalf of '%s'", name,
					      operation);
	_cleanup_free_ char *plain = text_plain(line, "");

	fprintf(stderr, "%s\n", plain);
}

int verb_trace(struct cli *cli)
{
	static const struct column columns[] = {
		{ .title = "TIME" },
		{ .title = "QMP" },
		{ .title = "ID", .right = true },
		{ .title = "MS", .right = true },
		{ .title = "NAME", .min = 16, .keep = true },
		{ .title = "MESSAGE", .min = 8, .keep = true },
	};
	_cleanup_(table_freep) struct table *t = table_new(columns, ARRAY_SIZE(columns));
	_cleanup_json_ struct json_object *arguments = args_request(&cli->args), *result = NULL;
	_cleanup_free_ char *today = text_time(time_now(), false);
	const char *operation = args_get(&cli->args, "operation");
	int status;

	json_add_str(arguments, "instance", cli->args.words[0]);
	if (!cli_query(cli, cli->args.words[0], arguments, &result, &status))
		return status;
	for (size_t i = 0; i < json_length(result); i++)
		row(t, json_object_array_get_idx(result, i), today);
	if (operation && !table_rows(t))
		print_none(cli->args.words[0], operation);
	else
		cli_print_table(cli, t, "Nothing was said.\n");
	return 0;
}
