/* SPDX-License-Identifier: BSD-2-Clause */
/* `drover show` and `drover host`: all about an instance, or the host, in paragraphs of key and value; a part that is not
 * there is left out. */
#include "cli/shapes.h"
#include "cli/text.h"
#include "cli/verbs.h"

#include <math.h>
#include <string.h>

enum { KEY_COLUMN = 14, KEY_WIDEST = 40 };

/* The cursor stands at column AT. */
static void print_wrapped(const struct cli *cli, enum style style, const char *plain, size_t at, unsigned indent)
{
	_cleanup_free_ char *lines = NULL;
	size_t len;
	FILE *f;

	if (cli->screen.width >= TEXT_NARROW) {
		f = open_memstream(&lines, &len);
		text_wrap(f, plain, (unsigned)at, indent, cli->screen.width);
		fclose(f);
		lines[len - 1] = '\0'; /* the style ends before the line does */
	}
	printf("%s%s%s\n", style_on(&cli->screen, style), lines ? lines : plain, style_off(&cli->screen, style));
}

static void title(const struct cli *cli, const char *text)
{
	_cleanup_free_ char *plain = text_plain(text, "");

	print_wrapped(cli, STYLE_TITLE, plain, 0, 0);
}

/* Consumes VALUE; NULL or "" prints nothing. COLUMN: where values begin. */
static void line_full(const struct cli *cli, size_t column, const char *key, enum style style, char *value)
{
	_cleanup_free_ char *text = value, *plain = NULL;
	size_t width = text_width(key);

	if (str_empty(text))
		return;
	plain = text_plain(text, "");
	if (width > KEY_WIDEST && cli->screen.width) { /* it gets lines of its own */
		fputs("  ", stdout);
		print_wrapped(cli, STYLE_NONE, key, 2, 2);
		printf("%*s", KEY_COLUMN + 2, "");
		column = KEY_COLUMN;
	} else {
		column = width < column ? column : width + 2;
		printf("  %s%*s", key, (int)(column - width), "");
	}
	print_wrapped(cli, style, plain, column + 2, KEY_COLUMN + 2);
}

static void line_style(const struct cli *cli, const char *key, enum style style, char *value)
{
	line_full(cli, KEY_COLUMN, key, style, value);
}

static void line_at(const struct cli *cli, size_t column, const char *key, char *value)
{
	line_full(cli, column, key, STYLE_NONE, value);
}

static void line(const struct cli *cli, const char *key, char *value)
{
	line_style(cli, key, STYLE_NONE, value);
}

/* TEXT with a further ", KEY VALUE" of O's member, if there is one. Consumes and returns text. */
static char *append(char *text, const char *word, char *value)
{
	_cleanup_free_ char *before = text, *more = value;

	if (!more)
		return TAKE_PTR(before);
	return xasprintf("%s%s%s%s%s", before ? before : "", before ? ", " : "", word, *word ? " " : "",
			 *more ? more : "''");
}

static char *state_text(struct json_object *o)
{
	const char *reason = json_get_str(o, "reason");
	_cleanup_free_ char *state = shape_member(o, "state"), *age = shape_age(o, "since");
	_cleanup_free_ char *when = text_time(json_get_double(o, "since", NAN), false);

	if (!state)
		return NULL;
	return xasprintf("%s%s%s%s%s%s%s%s", state, reason ? " (" : "", reason ? reason : "", reason ? ")" : "",
			 age ? " for " : "", age ? age : "", age ? ", since " : "", age ? when : "");
}

static char *memory_text(struct json_object *o)
{
	struct json_object *memory = json_get_typed(o, "memory", json_type_object);
	int64_t wanted = json_get_int(memory, "wanted", -1);
	char *text;

	if (!memory)
		return shape_size(o, "memory");
	/* what is the same need not be said thrice */
	text = append(NULL, "", shape_size(memory, "wanted"));
	if (json_get_int(memory, "actual", wanted) != wanted)
		text = append(text, "of which the guest has", shape_size(memory, "actual"));
	if (json_get_int(memory, "max", wanted) != wanted)
		text = append(text, "at most", shape_size(memory, "max"));
	return text;
}

static char *process_text(struct json_object *o, struct json_object *runtime)
{
	struct json_object *qemu = json_get_typed(runtime, "qemu", json_type_object);
	char *text = append(NULL, "pid", shape_member(o, "pid"));

	text = append(text, "uid", shape_member(json_get_typed(runtime, "process", json_type_object), "uid"));
	text = append(text, "QEMU", shape_member(qemu, "version"));
	return append(text, "", shape_member(qemu, "binary"));
}

static char *operation_text(struct json_object *o)
{
	struct json_object *operation = json_get_typed(o, "operation", json_type_object);
	char *text;

	if (!operation)
		return NULL;
	text = append(shape_operation(operation), "job", shape_member(operation, "job-id"));
	text = append(text, "for", shape_age(operation, "since"));
	return append(text, "queued behind it:", json_get_int(o, "queued", 0) > 0 ? shape_member(o, "queued") : NULL);
}

/* "true, order 2, delay 5s" */
static char *autostart_text(struct json_object *o, struct json_object *definition)
{
	struct json_object *when = json_get_typed(definition, "autostart", json_type_object);
	_cleanup_free_ char *delay = shape_member(when, "delay");
	char *text = append(shape_member(o, "autostart"), "order", shape_member(when, "order"));

	return append(text, "delay", delay ? xasprintf("%ss", delay) : NULL);
}

/* NULL: nothing to remark. */
static char *restarts_text(struct json_object *restarts)
{
	int64_t count = json_get_int(restarts, "count", 0);

	if (json_get_bool(restarts, "stopped", false))
		return xstrdup("too often by itself; it stays down until it is started");
	return count > 0 ? xasprintf("%lld by itself in the last minute", (long long)count) : NULL;
}

static char *last_text(struct json_object *o)
{
	struct json_object *last = json_get_typed(o, "last", json_type_object);
	char *text = append(NULL, "", shape_member(last, "state"));
	double when = json_get_double(last, "time", NAN);

	text = append(text, "", shape_member(last, "reason"));
	return append(text, "", isnan(when) ? NULL : text_time(when, false));
}

static void show_head(const struct cli *cli, struct json_object *o)
{
	struct json_object *definition = json_get_typed(o, "definition", json_type_object), *error = NULL;
	struct json_object *runtime = json_get_typed(o, "runtime", json_type_object);
	const char *name = json_get_str(o, "name"), *monitor = json_get_str(o, "monitor");
	const char *description = json_get_str(definition, "description");

	title(cli, name ? name : cli->args.words[0]);
	if (json_object_object_get_ex(o, "error", &error))
		line_style(cli, "unreadable", STYLE_BAD, shape_error(error));
	line(cli, "uuid", shape_member(o, "uuid"));
	line(cli, "description", str_empty(description) ? NULL : xstrdup(description));
	line_style(cli, "state", shape_state_style(json_get_str(o, "state")), state_text(o));
	line(cli, "status", shape_member(o, "status"));
	line_style(cli, "monitor", str_eq(monitor, "ok") ? STYLE_NONE : STYLE_WARN, xstrdup(monitor));
	line(cli, "process", process_text(o, runtime));
	line(cli, "operation", operation_text(o));
	line(cli, "vcpus", shape_member(o, "vcpus"));
	line(cli, "memory", memory_text(o));
	line(cli, "autostart", autostart_text(o, definition));
	line_style(cli, "restarts", STYLE_WARN, restarts_text(json_get_typed(o, "restarts", json_type_object)));
	line(cli, "last", last_text(o));
}

/* The list called KEY of the running QEMU, else of the definition. */
static struct json_object *devices_of(struct json_object *o, const char *key)
{
	struct json_object *list = json_get_typed(json_get_typed(o, "runtime", json_type_object), key, json_type_array);

	if (!list)
		list = json_get_typed(json_get_typed(o, "definition", json_type_object), key, json_type_array);
	return json_length(list) ? list : NULL;
}

/* "/srv/web1.qcow2 (qcow2)" of a disk in the definition's shape or the runtime's. */
static char *source_of(struct json_object *disk)
{
	struct json_object *source = json_get_typed(disk, "source", json_type_object);
	const char *pool, *volume, *where, *format;

	if (!source)
		source = disk;
	where = json_get_str(source, "path");
	if (!where)
		where = json_get_str(source, "uri");
	pool = json_get_str(source, "pool");
	volume = json_get_str(source, "volume");
	format = json_get_str(source, "format");
	_cleanup_free_ char *both = pool && volume ? xasprintf("%s/%s", pool, volume) : NULL;

	if (!where)
		where = both ? both : "empty";
	return format ? xasprintf("%s (%s)", where, format) : xstrdup(where);
}

static void show_disks(const struct cli *cli, struct json_object *o)
{
	static const struct column columns[] = {
		{ .title = "NAME", .min = 8 },
		{ .title = "STATE" },
		{ .title = "MODE" },
		{ .title = "SIZE", .right = true },
		{ .title = "MEDIA" },
		{ .title = "AT", .min = 9 },
		{ .title = "SOURCE", .min = 16, .keep = true },
	};
	_cleanup_(table_freep) struct table *t = table_new(columns, ARRAY_SIZE(columns));
	struct json_object *list = devices_of(o, "disks");

	for (size_t i = 0; i < json_length(list); i++) {
		struct json_object *disk = json_object_array_get_idx(list, i);
		_cleanup_free_ char *size = shape_size(disk, "size"), *at = shape_address(disk),
				    *source = source_of(disk);

		table_row(t);
		table_cell(t, STYLE_NONE, json_get_str(disk, "name"));
		table_cell(t, STYLE_NONE, json_get_str(disk, "state"));
		table_cell(t, STYLE_NONE, json_get_str(disk, "mode"));
		table_cell(t, STYLE_NONE, size);
		table_cell(t, STYLE_NONE, json_get_str(disk, "media"));
		table_cell(t, STYLE_NONE, at);
		table_cell(t, STYLE_NONE, source);
	}
	if (!list)
		return;
	putchar('\n');
	title(cli, "Disks");
	table_print(t, stdout, 2, &cli->screen);
}

static void show_nics(const struct cli *cli, struct json_object *o)
{
	static const struct column columns[] = {
		{ .title = "NAME", .min = 6 },
		{ .title = "STATE", .min = 8 },
		{ .title = "MAC" },
		{ .title = "MODE", .min = 7 },
		{ .title = "LINK", .min = 6, .optional = true },
		{ .title = "TAP", .min = 8, .optional = true },
		{ .title = "AT", .min = 9 },
	};
	_cleanup_(table_freep) struct table *t = table_new(columns, ARRAY_SIZE(columns));
	struct json_object *list = devices_of(o, "nics");

	for (size_t i = 0; i < json_length(list); i++) {
		struct json_object *nic = json_object_array_get_idx(list, i);
		static const char *const links[] = { "bridge", "link", "network" };
		const char *link = NULL;
		_cleanup_free_ char *at = shape_address(nic);

		for (size_t k = 0; k < ARRAY_SIZE(links) && !link; k++)
			link = json_get_str(nic, links[k]);
		table_row(t);
		table_cell(t, STYLE_NONE, json_get_str(nic, "name"));
		table_cell(t, STYLE_NONE, json_get_str(nic, "state"));
		table_cell(t, STYLE_NONE, json_get_str(nic, "mac"));
		table_cell(t, STYLE_NONE, json_get_str(nic, "mode"));
		table_cell(t, STYLE_NONE, link);
		table_cell(t, STYLE_NONE, json_get_str(nic, "tap"));
		table_cell(t, STYLE_NONE, at);
	}
	if (!list)
		return;
	putchar('\n');
	title(cli, "Network");
	table_print(t, stdout, 2, &cli->screen);
}

/* A paragraph of lines, one for each element of a list, its members put together as `members` say. */
struct part {
	const char *list, *title;
	const char *key;        /* the member that stands in front */
	const char *members[6]; /* shown as "VALUE" or, where `named`, "NAME VALUE" */
	bool named;
	char *(*text)(struct json_object *row); /* instead of members */
};

/* Who sits where is told of each device. */
static char *slots_text(struct json_object *row)
{
	int64_t all = json_get_int(row, "last", 0) - json_get_int(row, "first", 0) + 1;

	return xasprintf("%lld of %lld free", (long long)json_get_int(row, "free", 0), (long long)all);
}

/* A value of a definition; of its sizes as people write them. */
static char *defined_text(struct json_object *row, const char *key)
{
	const char *path = json_get_str(row, "path");
	char *text = str_eq(path, "memory") ? shape_size(row, key) : shape_member(row, key);

	if (!text)
		return xstrdup("nothing");
	if (*text)
		return text;
	free(text);
	return xstrdup("''");
}

/* "64M, then 96M" */
static char *pending_text(struct json_object *row)
{
	_cleanup_free_ char *from = defined_text(row, "from"), *to = defined_text(row, "to");

	return xasprintf("%s, then %s", from, to);
}

static const struct part parts[] = {
	{ "ips", "Addresses", "nic", { "address", "source" }, false },
	{ "consoles", "Consoles", "kind", { "writer", "readers" }, true },
	{ "displays", "Displays", "kind", { "address", "port", "tls-port", "path", "password", "tls" }, true },
	{ "slots", "Slots", "bus", .text = slots_text },
	{ "pending", "Pending until the next start", "path", .text = pending_text },
	{ "drift", "Drift", "what", { "id", "record", "qemu" }, true },
};

/* A member of a row of a part; whether something is there is said in words. */
static char *part_member(struct json_object *row, const char *key)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(row, key, &value);
	if (json_object_is_type(value, json_type_boolean))
		return xstrdup(json_object_get_boolean(value) ? "yes" : "no");
	return shape_member(row, key);
}

static void show_part(const struct cli *cli, struct json_object *o, const struct part *part)
{
	struct json_object *list = json_get_typed(o, part->list, json_type_array);
	size_t n = json_length(list), width = KEY_COLUMN;

	if (!n)
		return;
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *key = shape_member(json_object_array_get_idx(list, i), part->key);
		size_t w = key ? text_width(key) : 0;

		width = w + 2 > width && w < KEY_WIDEST ? w + 2 : width;
	}
	putchar('\n');
	title(cli, part->title);
	for (size_t i = 0; i < n; i++) {
		struct json_object *row = json_object_array_get_idx(list, i);
		_cleanup_free_ char *key = shape_member(row, part->key), *shown = text_plain(key ? key : "-", "");
		char *text = NULL;

		if (part->text)
			text = part->text(row);
		for (size_t k = 0; k < ARRAY_SIZE(part->members) && part->members[k]; k++)
			text = append(text, part->named ? part->members[k] : "", part_member(row, part->members[k]));
		line_at(cli, width, shown, text ? text : xstrdup("-"));
	}
}

/* Those that the definition has; all others have their defaults. */
static void show_hvparams(const struct cli *cli, struct json_object *o)
{
	struct json_object *definition = json_get_typed(o, "definition", json_type_object);
	struct json_object *hvparams = json_get_typed(definition, "hvparams", json_type_object);
	size_t width = KEY_COLUMN;

	if (!hvparams || !json_object_object_length(hvparams))
		return;
	json_object_object_foreach(hvparams, name, unused) {
		size_t w = text_width(name) + 2;

		width = w > width && w < KEY_WIDEST ? w : width;
	}
	putchar('\n');
	title(cli, "Parameters");
	json_object_object_foreach(hvparams, key, value) {
		_cleanup_free_ char *shown = text_plain(key, "");
		char *text = shape_value(value);

		if (str_empty(text))
			text = (free(text), xstrdup("''"));
		line_at(cli, width, shown, text);
	}
}

static void show_hotplug(const struct cli *cli, struct json_object *o)
{
	struct json_object *hotplug = json_get_typed(o, "hotplug", json_type_object);

	if (!hotplug || !json_object_object_length(hotplug))
		return;
	putchar('\n');
	title(cli, "Hotplug");
	json_object_object_foreach(hotplug, key, value) {
		_cleanup_free_ char *shown = text_plain(key, "");

		line(cli, shown,
		     json_object_is_type(value, json_type_boolean) ?
			     xstrdup(json_object_get_boolean(value) ? "can be changed" : "cannot be changed") :
			     shape_value(value));
	}
}

int verb_show(struct cli *cli)
{
	_cleanup_json_ struct json_object *arguments = json_object_new_object(), *result = NULL;
	int status;

	json_add_str(arguments, "instance", cli->args.words[0]);
	if (!cli_query(cli, cli->args.words[0], arguments, &result, &status))
		return status;
	if (args_has(&cli->args, "slots")) {
		shape_slots(stdout, &cli->screen, result);
		return 0;
	}
	show_head(cli, result);
	show_hvparams(cli, result);
	show_disks(cli, result);
	show_nics(cli, result);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		show_part(cli, result, &parts[i]);
	show_hotplug(cli, result);
	return 0;
}

/* ---- the host ---- */

static void show_features(const struct cli *cli, struct json_object *features)
{
	if (!features)
		return;
	putchar('\n');
	title(cli, "Features");
	json_object_object_foreach(features, key, value) {
		_cleanup_free_ char *shown = text_plain(key, "");
		bool works = json_get_bool(value, "works", false),
		     known = json_object_object_get_ex(value, "works", NULL);
		const char *reason = json_get_str(value, "reason");

		if (known)
			line_style(cli, shown, works ? STYLE_NONE : STYLE_WARN,
				   xasprintf("%s%s%s", works ? "yes" : "no", reason ? ": " : "", reason ? reason : ""));
		else
			line(cli, shown, shape_value(value));
	}
}

/* "pc is pc-i440fx-7.2" of each member; "pc, q35" where the values say nothing. */
static char *members_text(struct json_object *o, const char *key)
{
	struct json_object *members = json_get_typed(o, key, json_type_object);
	char *text = NULL;

	if (!members)
		return NULL;
	json_object_object_foreach(members, name, value) {
		if (json_object_is_type(value, json_type_string))
			text = append(text, "", xasprintf("%s is %s", name, json_object_get_string(value)));
		else if (json_object_get_boolean(value))
			text = append(text, "", xstrdup(name));
	}
	return text;
}

static char *list_text(struct json_object *o, const char *key)
{
	struct json_object *list = json_get_typed(o, key, json_type_array);
	char *text = NULL;

	for (size_t i = 0; i < json_length(list); i++)
		text = append(text, "", shape_value(json_object_array_get_idx(list, i)));
	return text;
}

static void show_binary(const struct cli *cli, struct json_object *o)
{
	const char *binary = json_get_str(o, "binary"), *package = json_get_str(o, "package");
	_cleanup_free_ char *head = xasprintf("QEMU %s%s", binary ? binary : "-",
					      json_get_bool(o, "default", false) ? " (default)" : "");
	struct json_object *error = NULL;

	putchar('\n');
	title(cli, head);
	if (json_object_object_get_ex(o, "error", &error))
		line_style(cli, "unusable", STYLE_BAD, shape_error(error));
	line(cli, "version", append(shape_member(o, "version"), "", str_empty(package) ? NULL : xstrdup(package)));
	line(cli, "machines", members_text(o, "machines"));
	line(cli, "can", members_text(o, "capabilities"));
	line(cli, "quirks", list_text(o, "quirks"));
}

static void show_host(const struct cli *cli, struct json_object *o)
{
	struct json_object *cpus = json_get_typed(o, "cpus", json_type_object);
	struct json_object *memory = json_get_typed(o, "memory", json_type_object);
	struct json_object *drover = json_get_typed(o, "drover", json_type_object);
	struct json_object *instances = json_get_typed(drover, "instances", json_type_object);
	struct json_object *list = json_get_typed(o, "qemu", json_type_array);
	const char *name = json_get_str(o, "hostname");
	char *text;

	title(cli, name ? name : "host");
	line(cli, "kernel", shape_member(o, "kernel"));
	line(cli, "boot-id", shape_member(o, "boot-id"));
	line(cli, "cpus", append(shape_member(cpus, "total"), "", shape_member(cpus, "model")));
	text = append(NULL, "", shape_size(memory, "total"));
	text = append(text, "available", shape_size(memory, "available"));
	line(cli, "memory", append(text, "of instances", shape_size(memory, "instances")));
	text = append(shape_member(drover, "version"), "mode", shape_member(drover, "mode"));
	line(cli, "drover", append(text, "root", shape_member(drover, "root")));
	text = append(NULL, "running", shape_member(instances, "running"));
	line(cli, "instances", append(text, "shutoff", shape_member(instances, "shutoff")));
	show_features(cli, json_get_typed(o, "features", json_type_object));
	for (size_t i = 0; i < json_length(list); i++)
		show_binary(cli, json_object_array_get_idx(list, i));
}

int verb_host(struct cli *cli)
{
	_cleanup_json_ struct json_object *arguments = json_object_new_object(), *result = NULL;
	int status;

	if (cli_query(cli, NULL, arguments, &result, &status))
		show_host(cli, result);
	return status;
}
