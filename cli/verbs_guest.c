/* SPDX-License-Identifier: BSD-2-Clause */
/* The verbs that ask QEMU and the guest: stats, guest. What a guest says is escaped by the table, as all cells are. */
#include "cli/shapes.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "cli/watch.h"

#include <math.h>

static struct json_object *list_of(struct json_object *o, const char *key)
{
	return json_get_typed(o, key, json_type_array);
}

/* ---- stats ---- */

/* "12.3s"; NULL where there is none. */
static char *seconds(struct json_object *o, const char *key)
{
	double s = json_get_double(o, key, NAN);

	return isfinite(s) ? xasprintf("%.1fs", s) : NULL;
}

/* The sum of a counter over devices as a size; NULL where no device has it. */
static char *sum(struct json_object *devices, const char *key)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	int64_t total = 0;
	bool any = false;

	for (size_t i = 0; i < json_length(devices); i++) {
		int64_t n = json_get_int(json_object_array_get_idx(devices, i), key, -1);

		if (n < 0 || n > INT64_MAX - total)
			continue;
		total += n;
		any = true;
	}
	json_add_int(o, key, total);
	return any ? shape_size(o, key) : NULL;
}

static void stats_row(struct table *t, struct json_object *o)
{
	struct json_object *cpu = json_get_typed(o, "cpu", json_type_object);
	struct json_object *memory = json_get_typed(o, "memory", json_type_object);
	struct json_object *disks = list_of(o, "disks");
	_cleanup_free_ char *time = seconds(cpu, "time"), *resident = shape_size(memory, "resident");
	_cleanup_free_ char *actual = shape_size(memory, "actual"), *wanted = shape_size(memory, "wanted");
	_cleanup_free_ char *in = sum(disks, "read-bytes"), *out = sum(disks, "write-bytes");
	_cleanup_free_ char *age = shape_age(o, "as-of"), *stale = NULL;

	if (json_get_bool(o, "stale", false))
		stale = age ? xasprintf("stale, of %s ago", age) : xstrdup("does not answer");
	table_row(t);
	table_cell(t, STYLE_NONE, json_get_str(o, "name"));
	table_cell(t, STYLE_NONE, time);
	table_cellf(t, STYLE_NONE, "%zu", json_length(list_of(cpu, "vcpus")));
	table_cell(t, STYLE_NONE, resident);
	table_cell(t, STYLE_NONE, actual ? actual : wanted);
	table_cell(t, STYLE_NONE, in);
	table_cell(t, STYLE_NONE, out);
	table_cell(t, STYLE_WARN, stale);
}

static bool draw_stats(struct cli *cli, struct err **e)
{
	static const struct column columns[] = {
		{ .title = "NAME", .min = 24 },
		{ .title = "CPU", .right = true },
		{ .title = "VCPUS", .right = true },
		{ .title = "RESIDENT", .right = true },
		{ .title = "MEMORY", .right = true },
		{ .title = "READ", .right = true, .optional = true },
		{ .title = "WRITTEN", .right = true, .optional = true },
		{ .title = "NOTES", .optional = true, .min = 16 },
	};
	_cleanup_(table_freep) struct table *t = table_new(columns, ARRAY_SIZE(columns));
	_cleanup_json_ struct json_object *arguments = json_object_new_object(), *result = NULL;

	json_add(arguments, "instances", args_words(&cli->args));
	if (!cli_call(cli, cli->args.verb->command, arguments, &result, e))
		return false;
	if (cli->json) {
		cli_print_json(cli, result);
		return true;
	}
	for (size_t i = 0; i < json_length(result); i++)
		stats_row(t, json_object_array_get_idx(result, i));
	cli_print_table(cli, t, "Nothing runs.\n");
	return true;
}

int verb_stats(struct cli *cli)
{
	const char *interval = args_get(&cli->args, "interval");
	_cleanup_err_ struct err *e = NULL;

	if (args_has(&cli->args, "prometheus"))
		return metrics_run(cli);
	if (args_has(&cli->args, "output")) {
		err_set_usage(&e, NULL, "'--output' goes with '--prometheus'");
		return cli_fail(cli, NULL, e);
	}
	if (args_has(&cli->args, "watch"))
		return watch_draw(cli, draw_stats, false, interval ? fmax(strtod(interval, NULL), 0.1) : 2);
	return draw_stats(cli, &e) ? 0 : cli_fail(cli, NULL, e);
}

/* ---- guest ---- */

static void fact(struct table *t, enum style style, const char *key, const char *value)
{
	if (str_empty(value))
		return;
	table_row(t);
	table_cell(t, STYLE_NONE, key);
	table_cell(t, style, value);
}

static void facts_print(struct cli *cli, struct json_object *o)
{
	static const struct column columns[] = { { .title = "GUEST" }, { .title = "", .min = 20 } };
	_cleanup_(table_freep) struct table *t = table_new(columns, ARRAY_SIZE(columns));
	struct json_object *os = json_get_typed(o, "os", json_type_object);
	_cleanup_free_ char *age = shape_age(o, "as-of"), *old = NULL;
	bool alive = json_get_bool(o, "alive", false);

	fact(t, alive ? STYLE_GOOD : STYLE_WARN, "agent", alive ? "answers" : "does not answer");
	if (json_get_bool(o, "stale", false) && age)
		old = xasprintf("what follows was so %s ago", age);
	fact(t, STYLE_WARN, "stale", old);
	fact(t, STYLE_NONE, "version", json_get_str(o, "version"));
	fact(t, STYLE_NONE, "hostname", json_get_str(o, "hostname"));
	fact(t, STYLE_NONE, "os", json_get_str(os, "pretty-name"));
	fact(t, STYLE_NONE, "kernel", json_get_str(os, "kernel-release"));
	table_print(t, stdout, 0, &cli->screen);
}

static void interfaces_print(struct cli *cli, struct json_object *list)
{
	static const struct column columns[] = { { .title = "INTERFACE", .min = 9 },
						 { .title = "MAC", .min = 17 },
						 { .title = "ADDRESS", .min = 15 } };
	_cleanup_(table_freep) struct table *t = table_new(columns, ARRAY_SIZE(columns));

	for (size_t i = 0; i < json_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i), *ips = list_of(o, "ip-addresses");

		for (size_t k = 0; k == 0 || k < json_length(ips); k++) {
			struct json_object *ip = json_length(ips) ? json_object_array_get_idx(ips, k) : NULL;

			table_row(t);
			table_cell(t, STYLE_NONE, k ? " " : json_get_str(o, "name"));
			table_cell(t, STYLE_NONE, k ? " " : json_get_str(o, "hardware-address"));
			if (json_get_str(ip, "ip-address"))
				table_cellf(t, STYLE_NONE, "%s/%d", json_get_str(ip, "ip-address"),
					    (int)json_get_int(ip, "prefix", 0));
		}
	}
	if (!table_rows(t))
		return;
	putchar('\n');
	table_print(t, stdout, 0, &cli->screen);
}

static void filesystems_print(struct cli *cli, struct json_object *list)
{
	static const struct column columns[] = { { .title = "MOUNTED", .min = 12 },
						 { .title = "TYPE", .min = 6 },
						 { .title = "USED", .right = true },
						 { .title = "SIZE", .right = true } };
	_cleanup_(table_freep) struct table *t = table_new(columns, ARRAY_SIZE(columns));

	for (size_t i = 0; i < json_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		_cleanup_free_ char *used = shape_size(o, "used-bytes"), *size = shape_size(o, "total-bytes");

		table_row(t);
		table_cell(t, STYLE_NONE, json_get_str(o, "mountpoint"));
		table_cell(t, STYLE_NONE, json_get_str(o, "type"));
		table_cell(t, STYLE_NONE, used);
		table_cell(t, STYLE_NONE, size);
	}
	if (!table_rows(t))
		return;
	putchar('\n');
	table_print(t, stdout, 0, &cli->screen);
}

int verb_guest(struct cli *cli)
{
	_cleanup_json_ struct json_object *arguments = args_request(&cli->args), *result = NULL;
	int status;

	json_add_str(arguments, "instance", cli->args.words[0]);
	if (!cli_query(cli, cli->args.words[0], arguments, &result, &status))
		return status;
	facts_print(cli, result);
	interfaces_print(cli, list_of(result, "interfaces"));
	filesystems_print(cli, list_of(result, "filesystems"));
	return 0;
}
