/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of the command line that need no daemon: parse, help, hints, the session over a socket pair. */
#include "cli/assign.h"
#include "cli/console.h"
#include "cli/help.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "cli/work.h"
#include "daemon/commands.h"

#include <check.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* Consumes TEXT. */
static void is(char *text, const char *expected)
{
	_cleanup_free_ char *given = text;

	ck_assert_str_eq(given, expected);
}

/* --- the command line --- */

struct line {
	const char *argv[10];
	const char *verb, *request, *words; /* of a proper one; the words with '|' between them */
	const char *error, *hint;           /* parts of them */
};

static const struct line command_lines[] = {
	{ { "start", "web1" }, "start", "{}", "web1", NULL, NULL },
	{ { "start", "a", "--paused", "b" }, "start", "{\"paused\":true}", "a|b", NULL, NULL },
	{ { "--json", "--socket", "/s", "list" }, "list", "{}", "", NULL, NULL },
	{ { "list", "--socket=/s", "--json" }, "list", "{}", "", NULL, NULL },
	{ { "suspend", "a" }, "pause", "{}", "a", NULL, NULL },
	{ { "shutdown", "a", "--mode=acpi" }, "shutdown", "{\"mode\":\"acpi\"}", "a", NULL, NULL },
	{ { "shutdown", "a", "--then", "stop" }, "shutdown", "{\"then\":\"stop\"}", "a", NULL, NULL },
	{ { "shutdown", "a", "--timeout", "5" }, "shutdown", "{\"timeout\":5}", "a", NULL, NULL },
	{ { "shutdown", "a", "--timeout", "0.5" }, "shutdown", "{\"timeout\":0.5}", "a", NULL, NULL },
	{ { "start", "--", "--paused" }, "start", "{}", "--paused", NULL, NULL },
	{ { "define", "-" }, "define", "{}", "-", NULL, NULL },
	{ { "import", "-" }, "import", "{}", "-", NULL, NULL },
	{ { "import" }, NULL, NULL, NULL, "needs {FILE", "usage: drover import" },
	{ { "jobs", "cancel", "#1" }, "jobs cancel", "{}", "#1", NULL, NULL },
	{ { "jobs", "--", "cancel" }, "jobs", "{}", "cancel", NULL, NULL },
	{ { "log", "a", "--bytes", "9223372036854775807" }, "log", "{\"bytes\":9223372036854775807}", "a", NULL, NULL },
	{ { "start", "--help" }, "start", "{}", "", NULL, NULL },
	{ { "-h" }, NULL, NULL, "", NULL, NULL },
	{ { NULL }, NULL, NULL, "", NULL, NULL },
	{ { "strat", "a" }, NULL, NULL, NULL, "unknown verb 'strat'", "did you mean 'start'?" },
	{ { "frobnicate" }, NULL, NULL, NULL, "unknown verb", "drover help" },
	{ { "jobs", "cancl", "3" }, NULL, NULL, NULL, "one word too many", "did you mean 'jobs cancel'?" },
	{ { "start", "a", "--pasued" }, NULL, NULL, NULL, "unknown option '--pasued'", "did you mean '--paused'?" },
	{ { "--paused", "start", "a" }, NULL, NULL, NULL, "before the verb", NULL },
	{ { "start", "-p", "a" }, NULL, NULL, NULL, "unknown option '-p'", "drover help start" },
	{ { "start", "a", "--paused=yes" }, NULL, NULL, NULL, "takes no value", NULL },
	{ { "list", "--socket" }, NULL, NULL, NULL, "needs a value, PATH", NULL },
	{ { "start" }, NULL, NULL, NULL, "needs NAME...", "usage: drover start" },
	{ { "show", "a", "b" }, NULL, NULL, NULL, "'b' is one word too many", "usage: drover show" },
	{ { "shutdown", "a", "--mode", "acip" }, NULL, NULL, NULL, "one of auto, agent, acpi", "did you mean 'acpi'?" },
	{ { "shutdown", "a", "--timeout", "1m" }, NULL, NULL, NULL, "takes seconds", NULL },
	{ { "shutdown", "a", "--timeout", "." }, NULL, NULL, NULL, "takes seconds", NULL },
	{ { "shutdown", "a", "--timeout", "-1" }, NULL, NULL, NULL, "takes seconds", NULL },
	{ { "log", "a", "--bytes", "9223372036854775808" }, NULL, NULL, NULL, "takes a number", NULL },
	{ { "log", "a", "--bytes", "" }, NULL, NULL, NULL, "takes a number", NULL },
	{ { "log", "a", "--bytes", "-1" }, NULL, NULL, NULL, "takes a number", NULL },
};

/* ARGV of a row, behind the program's name. */
static bool parse_line(const struct line *line, struct args *args, struct err **e)
{
	const char *argv[ARRAY_SIZE(line->argv) + 2] = { "drover" };
	int argc = 1;

	for (size_t i = 0; i < ARRAY_SIZE(line->argv) && line->argv[i]; i++)
		argv[argc++] = line->argv[i];
	return args_parse(cli_verbs, argc, (char **)(uintptr_t)argv, args, e);
}

START_TEST(test_command_line)
{
	const struct line *line = &command_lines[_i];
	_cleanup_err_ struct err *e = NULL;
	_cleanup_json_ struct json_object *request = NULL;
	_cleanup_free_ char *text = NULL;
	char words[64] = "";
	struct args args;
	bool ok = parse_line(line, &args, &e);

	if (line->error) {
		ck_assert(!ok);
		ck_assert_int_eq(e->class, ERR_INVALID_PARAMETER);
		ck_assert_msg(strstr(e->desc, line->error), "%s", e->desc);
		if (line->hint)
			ck_assert_msg(strstr(json_get_str(e->extra, "hint"), line->hint), "%s",
				      json_get_str(e->extra, "hint"));
		args_clear(&args);
		return;
	}
	ck_assert_msg(ok, "%s", e ? e->desc : "");
	ck_assert_pstr_eq(args.verb ? args.verb->name : NULL, line->verb);
	for (size_t i = 0; i < args.n_words; i++)
		snprintf(words + strlen(words), sizeof(words) - strlen(words), "%s%s", i ? "|" : "", args.words[i]);
	ck_assert_str_eq(words, line->words);
	request = args_request(&args);
	text = json_print(request);
	ck_assert_str_eq(text, line->request ? line->request : "{}");
	args_clear(&args);
}
END_TEST

START_TEST(test_global_options)
{
	static const struct line line = { .argv = { "--socket", "/a", "define", "w", "--set", "a=1", "--socket=/b",
						    "--set", "b=2" } };
	static const struct line bad = { .argv = { "lisst", "--json" } };
	_cleanup_err_ struct err *e = NULL;
	struct args args;
	size_t at = 0;

	ck_assert(parse_line(&line, &args, NULL));
	ck_assert_str_eq(args_get(&args, "socket"), "/b");
	ck_assert(!args_has(&args, "json"));
	ck_assert_str_eq(args_next(&args, "set", &at), "a=1");
	ck_assert_str_eq(args_next(&args, "set", &at), "b=2");
	ck_assert_ptr_null(args_next(&args, "set", &at));
	args_clear(&args);

	ck_assert(!parse_line(&bad, &args, &e));
	ck_assert(args_has(&args, "json")); /* though it stands behind the fault */
	args_clear(&args);
}
END_TEST

START_TEST(test_assign)
{
	static const struct {
		const char *words[4], *json, *error;
	} rows[] = {
		{ { "a=1" }, "{\"a\":1}", NULL },
		{ { "a=web1", "b=", "c=true", "d=01" }, "{\"a\":\"web1\",\"b\":\"\",\"c\":true,\"d\":\"01\"}", NULL },
		{ { "a=[1, 2]", "b={\"x\":\"y\"}" }, "{\"a\":[1,2],\"b\":{\"x\":\"y\"}}", NULL },
		{ { "a={\"x\":1,\"x\":2}" }, "{\"a\":\"{\\\"x\\\":1,\\\"x\\\":2}\"}", NULL },
		{ { "a=x=y", "b=1 2" }, "{\"a\":\"x=y\",\"b\":\"1 2\"}", NULL },
		{ { "a:=\"1\"" }, "{\"a\":\"1\"}", NULL },
		{ { "d.n=w", "d.h.r=false", "d.v=2" }, "{\"d\":{\"n\":\"w\",\"h\":{\"r\":false},\"v\":2}}", NULL },
		{ { "a={}", "a.b=1" }, "{\"a\":{\"b\":1}}", NULL },
		{ { "a:=web1" }, NULL, "no JSON" },
		{ { "a" }, NULL, "KEY=VALUE" },
		{ { "=a" }, NULL, "KEY=VALUE" },
		{ { ":=1" }, NULL, "KEY=VALUE" },
		{ { "a=1", "a=2" }, NULL, "given twice" },
		{ { "a=1", "a.b=2" }, NULL, "given twice" },
		{ { "a.b=1", "a=2" }, NULL, "given twice" },
		{ { "a..b=1" }, NULL, "dot too many" },
		{ { ".a=1" }, NULL, "dot too many" },
		{ { "a.=1" }, NULL, "dot too many" },
		{ { "a=@/nonexistent/file" }, NULL, "/nonexistent/file" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_json_ struct json_object *o = json_object_new_object();
		_cleanup_err_ struct err *e = NULL;
		_cleanup_free_ char *text = NULL;
		bool ok = true;

		for (size_t k = 0; ok && k < ARRAY_SIZE(rows[i].words) && rows[i].words[k]; k++)
			ok = assign_word(o, rows[i].words[k], &e);
		text = json_print(o);
		if (rows[i].json)
			ck_assert_str_eq(text, rows[i].json);
		ck_assert_msg(ok == !rows[i].error, "row %zu", i);
		if (rows[i].error)
			ck_assert_msg(strstr(e->desc, rows[i].error), "%s", e->desc);
	}
}
END_TEST

START_TEST(test_assign_list)
{
	static const struct {
		const char *text, *json; /* NULL: refused */
	} rows[] = {
		{ "mode=user", "{\"mode\":\"user\"}" },
		{ "path=/a.raw,format=raw", "{\"path\":\"/a.raw\",\"format\":\"raw\"}" },
		{ "path=/a,b.raw,format=raw", "{\"path\":\"/a,b.raw\",\"format\":\"raw\"}" },
		{ "forward=[\"tcp:1:2\",\"tcp:3:4\"],up=true", "{\"forward\":[\"tcp:1:2\",\"tcp:3:4\"],\"up\":true}" },
		{ "throttle.bps_total=1,name:=\"7\"", "{\"throttle\":{\"bps_total\":1},\"name\":\"7\"}" },
		{ "forward=tcp:1:2,tcp:3:4", "{\"forward\":\"tcp:1:2,tcp:3:4\"}" },
		{ "path=/a,", "{\"path\":\"/a,\"}" },
		{ "path", NULL },
		{ "", NULL },
		{ "a=1,a=2", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_json_ struct json_object *o = json_object_new_object();
		_cleanup_free_ char *text = NULL;
		bool ok = assign_list(o, rows[i].text, NULL);

		text = json_print(o);
		ck_assert_msg(ok == !!rows[i].json, "%s", rows[i].text);
		if (ok)
			ck_assert_str_eq(text, rows[i].json);
	}
}
END_TEST

START_TEST(test_files)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	_cleanup_free_ char *text = NULL, *word = NULL, *nul = NULL;
	_cleanup_close_ int fd = memfd_create("input", 0);
	_cleanup_err_ struct err *e = NULL;

	ck_assert(input_is_file("-") && input_is_file("./web1") && input_is_file("web1.json"));
	ck_assert(!input_is_file("web1") && !input_is_file("json") && !input_is_file("web.json.old"));

	ck_assert_int_eq(write(fd, "{\"a\":1}\n", 8), 8);
	word = xasprintf("f=@/proc/self/fd/%d", fd);
	ck_assert(assign_word(o, word, NULL));
	text = json_print(o);
	ck_assert_str_eq(text, "{\"f\":{\"a\":1}}");

	ck_assert_int_eq(pwrite(fd, "a\0b", 3, 0), 3);
	nul = xasprintf("g=@/proc/self/fd/%d", fd);
	ck_assert(!assign_word(o, nul, &e));
	ck_assert_ptr_nonnull(strstr(e->desc, "NUL"));
	e = err_free(e);

	ck_assert_int_eq(ftruncate(fd, (1 << 20) + 1), 0);
	ck_assert(!assign_word(o, nul, &e));
	ck_assert_ptr_nonnull(strstr(e->desc, "1 MiB"));
}
END_TEST

/* --- what people read --- */

static void check_help(const char *text)
{
	ck_assert_str_ne(text, "");
	for (size_t n; *text; text += n + (text[n] == '\n')) {
		n = strcspn(text, "\n");
		ck_assert_msg(n <= HELP_WIDTH, "%.*s", (int)n, text);
		ck_assert_msg(n == 0 || text[n - 1] != ' ', "blank at the end: %.*s", (int)n, text);
	}
}

START_TEST(test_help_fits)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	help_overview(cli_verbs, f);
	fclose(f);
	check_help(text);
	for (const struct verb *v = cli_verbs; v->name; v++) {
		ck_assert_msg(v->hidden || strstr(text, v->name), "%s", v->name);
		ck_assert_msg(v->hidden || strstr(text, v->summary), "%s does not fit in a line", v->name);
	}
	free(text);
	for (const struct verb *v = cli_verbs; v->name; v++) {
		f = open_memstream(&text, &len);
		help_verb(cli_verbs, v, f);
		fclose(f);
		check_help(text);
		for (const struct cli_option *o = v->options; o && o->name; o++)
			ck_assert_msg(strstr(text, o->name), "%s --%s", v->name, o->name);
		free(text);
	}
}
END_TEST

START_TEST(test_verbs_are_sound)
{
	for (const struct verb *v = cli_verbs; v->name; v++) {
		ck_assert_msg(v->usage && v->summary && v->run && v->min <= v->max, "%s", v->name);
		ck_assert_msg(verb_find(cli_verbs, v->name) == v, "'%s' is there twice", v->name);
		for (size_t i = 0; v->aliases[i]; i++)
			ck_assert_msg(verb_find(cli_verbs, v->aliases[i]) == v, "'%s' is there twice", v->aliases[i]);
		for (const struct cli_option *o = v->options; o && o->name; o++) {
			ck_assert_msg(o->doc && !o->value == (o->type == OPTION_FLAG), "%s --%s", v->name, o->name);
			ck_assert_msg(!o->choices == (o->type != OPTION_CHOICE), "%s --%s", v->name, o->name);
			for (const struct cli_option *g = cli_global_options; g->name; g++)
				ck_assert_str_ne(o->name, g->name);
		}
	}
}
END_TEST

/* For programs; people have a verb that is more, or none has come yet. `call` reaches them. */
static const char *const for_programs[] = {
	"query-commands", /* `help` */
	"query-schema",   /* `help` */
	"devices-change", /* `disk attach` and so on, for several devices at once */
	"instance-qmp",   /* QEMU's own commands */
};

static bool is_for_programs(const char *command)
{
	for (size_t i = 0; i < ARRAY_SIZE(for_programs); i++)
		if (str_eq(for_programs[i], command))
			return true;
	return false;
}

/* Each command has a verb that runs it, or is for programs. */
START_TEST(test_commands_have_verbs)
{
	size_t n;
	const struct command *const *all = command_all(&n);

	for (size_t i = 0; i < n; i++) {
		bool found = all[i]->internal;

		for (const struct verb *v = cli_verbs; v->name && !found; v++)
			found = v->command && str_eq(v->command, all[i]->name);
		ck_assert_msg(found != is_for_programs(all[i]->name), "%s", all[i]->name);
	}
}
END_TEST

/* The table of verbs says of the daemon's commands what their rows say. */
START_TEST(test_verbs_match_commands)
{
	for (const struct verb *v = cli_verbs; v->name; v++) {
		const struct command *c = v->command ? command_find(v->command) : NULL;

		ck_assert_msg(!v->command == !c, "%s", v->name);
		ck_assert_msg(v->lengthy == (c && c->class == CLASS_LONG), "%s", v->name);
		for (const struct cli_option *o = v->options; o && o->name; o++) {
			const struct param *row = c && o->member ? param_find(c->params, o->member) : NULL;

			ck_assert_msg(!o->member == !row, "%s --%s", v->name, o->name);
			for (size_t i = 0; row && o->choices && (i == 0 || o->choices[i - 1]); i++)
				ck_assert_pstr_eq(o->choices[i], row->choices[i]);
		}
	}
}
END_TEST

static char *outcome(const char *verb, const char *text)
{
	_cleanup_json_ struct json_object *result = NULL;

	ck_assert(json_parse(text, strlen(text), &json_limits_request, &result, NULL));
	return verb_outcome(verb_find(cli_verbs, verb), result);
}

START_TEST(test_outcomes)
{
	is(outcome("start", "{\"changed\":true,\"state\":\"running\"}"), "running");
	is(outcome("start", "{\"changed\":false,\"state\":\"running\"}"), "already running");
	is(outcome("shutdown", "{\"changed\":true,\"state\":\"shutoff\",\"rung\":\"acpi\"}"), "shutoff, by acpi");
	is(outcome("reset", "{\"changed\":true,\"state\":\"running\"}"), "reset, running");
	is(outcome("undefine", "{\"changed\":true}"), "undefined");
	is(outcome("undefine", "{\"changed\":false}"), "unchanged");
	is(outcome("stop", "{}"), "done");
	is(outcome("stop", "7"), "done");
}
END_TEST

static const struct {
	const char *verb, *subject, *error, *hint; /* hint NULL: none */
} hints[] = {
	{ "start", "w", "{\"class\":\"Busy\"}", "drover jobs" },
	{ "console", "w", "{\"class\":\"Busy\"}", "drover console w --take" },
	{ "start", "w", "{\"class\":\"WrongState\"}", "'drover show w'" },
	{ "start", NULL, "{\"class\":\"WrongState\"}", "'drover show NAME'" },
	{ "start", NULL, "{\"class\":\"Unavailable\"}", "systemctl start droverd" },
	{ "stop", "w", "{\"class\":\"Timeout\",\"stalled\":true}", "drover stop w" },
	{ "shutdown", "w", "{\"class\":\"Timeout\"}", "--then stop" },
	{ "define", "w", "{\"class\":\"InvalidParameter\",\"parameter\":\"memory\"}", "drover help definition" },
	{ "define", "w", "{\"class\":\"InvalidParameter\"}", "'drover help define'" },
	{ "log", "w", "{\"class\":\"InvalidParameter\",\"parameter\":\"bytes\"}", "'drover help log'" },
	{ "disk resize", "w", "{\"class\":\"InvalidParameter\",\"parameter\":\"size\"}", "'drover help disk resize'" },
	{ "start", "w", "{\"class\":\"InvalidParameter\",\"parameter\":\"boot\"}", "'drover show w'" },
	{ NULL, NULL, "{\"class\":\"InvalidParameter\"}", NULL },
	{ "edit", "w", "{\"class\":\"InvalidParameter\",\"desc\":\"line 2, column 5: not JSON\"}", "double quotes" },
	{ "edit", "w",
	  "{\"class\":\"InvalidParameter\",\"parameter\":\"x\",\"desc\":\"'x': must be text, not a number\"}",
	  "it is JSON, where text stands in double quotes" },
	/* what is there, and what would not help */
	{ "console", "w", "{\"class\":\"Busy\",\"desc\":\"8 are attached to the console of 'w' already\"}",
	  "one of them leaves" },
	{ "log", "w", "{\"class\":\"Busy\",\"desc\":\"8 are attached to the console of 'w' already\"}",
	  "one of them leaves" },
	{ "pause", "w", "{\"class\":\"WrongState\",\"desc\":\"'w' has no process; start it\"}", "'drover start w'" },
	{ "guest", "w", "{\"class\":\"WrongState\",\"desc\":\"'w' is shutoff (admin): there is nobody to ask\"}",
	  "'drover start w'" },
	{ "rename", "w", "{\"class\":\"WrongState\",\"desc\":\"'w' has a process; stop it first\"}",
	  "'drover stop w'" },
	{ "console", "w", "{\"class\":\"WrongState\",\"desc\":\"'w' has no process; its console is in the log\"}",
	  "'drover console w --log'" },
	{ "disk attach", "w", "{\"class\":\"WrongState\",\"desc\":\"the definition of 'w' cannot be read: no JSON\"}",
	  "'drover define' replaces it" },
	{ "disk attach", "w",
	  "{\"class\":\"WrongState\",\"desc\":\"QEMU has no 'd' any more; detach it, then attach it again\"}",
	  "'drover show w'" },
	{ "disk attach", "w",
	  "{\"class\":\"WrongState\",\"desc\":\"'w' is paused (incoming), which takes no change of devices\"}",
	  "--no-live" },
	{ "nic attach", "w",
	  "{\"class\":\"WrongState\",\"desc\":\"what 'w' runs with is not known: it has no runtime record\"}",
	  "--no-live" },
	{ "disk resize", "w",
	  "{\"class\":\"WrongState\",\"desc\":\"what 'w' runs with is not known: it has no runtime record\"}",
	  "'drover show w'" },
	{ "nic attach", "w",
	  "{\"class\":\"WrongState\",\"desc\":\"the machine that runs has no such place; stop and start it "
	  "first, or attach with 'live' false\"}",
	  "--no-live" },
	{ "start", "w",
	  "{\"class\":\"WrongState\",\"desc\":\"'w' is paused (admin); 'instance-resume' lets it go on\"}",
	  "'drover resume w'" },
	{ "start", "w", "{\"class\":\"WrongState\",\"desc\":\"'w' is running (booted); 'instance-pause' halts it\"}",
	  "'drover pause w'" },
	{ "screenshot", "w", "{\"class\":\"Unsupported\",\"desc\":\"'w' has no graphics card\"}",
	  "'drover modify w hvparams.vga=std'" },
	{ "disk attach", "w", "{\"class\":\"NotFound\",\"step\":\"open the images\"}", "droverd opens it" },
	{ "define", "w", "{\"class\":\"NotFound\"}", NULL },
	{ "start", "w", "{\"class\":\"Cancelled\"}", NULL },
	{ "start", "w", "{\"class\":\"Busy\",\"hint\":\"wait\"}", "wait" },
	/* text that reads as JSON */
	{ "modify", "w",
	  "{\"class\":\"InvalidParameter\",\"parameter\":\"x\",\"desc\":\"'x': must be text, not a number\"}",
	  "KEY='\"VALUE\"'" },
	{ "call", "w",
	  "{\"class\":\"InvalidParameter\",\"parameter\":\"x\",\"desc\":\"'x': must be text, not a boolean\"}",
	  "KEY='\"VALUE\"'" },
	{ "modify", "w",
	  "{\"class\":\"InvalidParameter\",\"parameter\":\"x\",\"desc\":\"'x': must be true or false, not a "
	  "number\"}",
	  "drover help definition" },
	/* a file of this program's */
	{ "import", "f", "{\"class\":\"NotFound\",\"file\":\"f\"}", NULL },
	{ "modify", "w", "{\"class\":\"PermissionDenied\",\"file\":\"f\"}", "as you" },
	{ "screenshot", "w", "{\"class\":\"NoSpace\",\"file\":\"f\"}", "make room" },
	{ "display-password", "w", "{\"class\":\"NotFound\",\"desc\":\"'w' has no display 'spice'\"}",
	  "'drover show w' shows its displays" },
	{ "screenshot", "w", "{\"class\":\"NotFound\",\"parameter\":\"display\"}", "--display" },
	{ "wait", "w", "{\"class\":\"Timeout\",\"desc\":\"'w' is running still; nothing was changed\"}",
	  "'drover show w' shows its state" },
	{ "start", "w", "{\"class\":\"Timeout\",\"desc\":\"could not be opened within 1.0 s; nothing was changed\"}",
	  "try again" },
	{ "start", "w", "{\"class\":\"Timeout\"}", "what became of it" },
	{ "edit", "w",
	  "{\"class\":\"InvalidParameter\",\"parameter\":\"name\",\"desc\":\"'name': cannot be changed; see "
	  "'instance-rename'\"}",
	  "'drover rename w NEW-NAME'" },
	{ "undefine", "w", "{\"class\":\"WrongState\",\"desc\":\"'w' has a process; stop it first, or say force\"}",
	  "--force" },
	{ "send-key", "w", "{\"class\":\"InvalidParameter\",\"parameter\":\"keys[2]\"}", "delete" },
};

START_TEST(test_hints)
{
	for (size_t i = 0; i < ARRAY_SIZE(hints); i++) {
		_cleanup_json_ struct json_object *o = NULL;
		_cleanup_err_ struct err *e = NULL;
		_cleanup_free_ char *hint = NULL;

		ck_assert(json_parse(hints[i].error, strlen(hints[i].error), &json_limits_request, &o, NULL));
		e = err_from_json(o);
		hint = cli_hint(hints[i].verb, hints[i].subject, e);
		ck_assert_msg(!hint == !hints[i].hint, "row %zu: %s", i, hint);
		if (hint)
			ck_assert_msg(strstr(hint, hints[i].hint), "%s", hint);
	}
}
END_TEST

/* Where a terminal is narrow the bar goes before the time does. */
START_TEST(test_progress)
{
	static const char text[] = "{\"type\":\"disk-detach\",\"step\":\"wait for the guest\",\"status\":\"running\","
				   "\"current-progress\":2,\"total-progress\":4}";
	_cleanup_json_ struct json_object *job = NULL;
	_cleanup_free_ char *line = NULL, *cut = NULL;

	ck_assert(json_parse(text, strlen(text), &json_limits_request, &job, NULL));
	line = work_line("web1", job, 12);
	cut = text_cut(line, 50, "~");
	ck_assert_ptr_nonnull(strstr(line, "2/4"));
	ck_assert_msg(str_starts(cut, "web1: disk-detach: wait for the guest  12s  ["), "%s", cut);
}
END_TEST

/* --- the session --- */

static char *paths(const char *option, const char *env, const char *xdg)
{
	char **list = client_paths(option, env, xdg);
	char *text = xasprintf("%s|%s", list[0], list[1] ? list[1] : "");

	ck_assert(!list[1] || !list[2]);
	argv_free(list);
	return text;
}

START_TEST(test_paths)
{
	is(paths("/a", "/b", "/x"), "/a|");
	is(paths(NULL, "/b", "/x"), "/b|");
	is(paths("", "", "/x"), "/run/drover/drover.sock|/x/drover/drover.sock");
	is(paths(NULL, NULL, NULL), "/run/drover/drover.sock|");
}
END_TEST

#define GREETING "{\"QMP\":{\"version\":{},\"capabilities\":[],\"epoch\":\"e1\"}}\r\n{\"return\":{},\"id\":1}\r\n"

/* A session with someone who says SAID, whatever is asked, and hangs up. */
static struct client *session(const char *said, struct err **e)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ck_assert_int_eq(write(fds[1], said, strlen(said)), (ssize_t)strlen(said));
	ck_assert_int_eq(shutdown(fds[1], SHUT_WR), 0); /* it still takes what is sent */
	return client_new(fds[0], "/socket", e);
}

static void count_event(struct json_object *event, void *data)
{
	*(int64_t *)data += json_get_int(event, "seq", 0);
}

START_TEST(test_call)
{
	_cleanup_err_ struct err *e = NULL;
	_cleanup_json_ struct json_object *result = NULL;
	_cleanup_free_ char *rest = NULL;
	int64_t seen = 0;
	size_t len;
	struct client *c = session(GREETING "{\"event\":\"A\",\"seq\":1}\r\n{\"return\":7,\"id\":99}\r\n[]null\r\n"
					    "{\"return\":8,\"id\":2}\r\n"
					    "{\"error\":{\"class\":\"NewClass\",\"desc\":\"d\",\"x\":1},\"id\":3}\r\n"
					    "{\"event\":\"B\",\"seq\":20}\r\n"
					    "{\"error\":{\"class\":\"Busy\",\"desc\":\"no id\"}}\r\n\x1braw",
				   &e);
	_cleanup_close_ int fd = -1;

	ck_assert_msg(c, "%s", e ? e->desc : "");
	ck_assert_str_eq(client_epoch(c), "e1");
	client_on_event(c, count_event, &seen);
	ck_assert(client_call(c, "x", NULL, &result, &e));
	ck_assert_int_eq(json_object_get_int(result), 8); /* not the reply to someone else's request */
	ck_assert_int_eq(seen, 1);

	ck_assert(!client_call(c, "x", NULL, &result, &e));
	ck_assert_int_eq(e->class, ERR_GENERIC);
	ck_assert_str_eq(json_get_str(e->extra, "class"), "NewClass");
	e = err_free(e);

	ck_assert(client_wait(c, &e));
	ck_assert_int_eq(seen, 21);
	ck_assert(!client_call(c, "x", NULL, &result, &e)); /* a request that could not be read */
	ck_assert_int_eq(e->class, ERR_BUSY);
	ck_assert(client_buffered(c));
	fd = client_detach(c, &rest, &len);
	ck_assert_int_ge(fd, 0);
	ck_assert_uint_eq(len, 6);
	ck_assert_mem_eq(rest, "\r\n\x1braw", 6);
}
END_TEST

START_TEST(test_no_daemon)
{
	static const struct {
		const char *said, *desc;
		enum err_class class;
	} rows[] = {
		{ "", "closed the connection", ERR_UNAVAILABLE },
		{ "SSH-2.0\r\n", "does not speak", ERR_UNAVAILABLE },
		{ "{}\r\n", "no drover daemon", ERR_UNAVAILABLE },
		{ "null\r\n", "no drover daemon", ERR_UNAVAILABLE },
		{ "{\"QMP\":{}}\r\n", "closed the connection", ERR_UNAVAILABLE },
		{ "{\"error\":{\"class\":\"Busy\",\"desc\":\"too many\"}}\r\n", "too many", ERR_BUSY },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_err_ struct err *e = NULL;

		ck_assert_ptr_null(session(rows[i].said, &e));
		ck_assert_int_eq(e->class, rows[i].class);
		ck_assert_msg(strstr(e->desc, rows[i].desc), "%s", e->desc);
	}
}
END_TEST

/* --- the console --- */

START_TEST(test_skip_eol)
{
	static const struct {
		const char *text, *rest;
	} rows[] = { { "\r\nlogin", "login" }, { "\r\n\r\nx", "\r\nx" }, { "x\r\n", "x\r\n" }, { "\r\n", "" } };
	unsigned at = 0;

	ck_assert_uint_eq(console_skip_eol(&at, "\r\n\0x", 4), 2);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t len = strlen(rows[i].text);

		for (size_t cut = 0; cut <= len; cut++) { /* in two portions */
			unsigned state = 0;
			size_t skip = console_skip_eol(&state, rows[i].text, cut);

			skip += console_skip_eol(&state, rows[i].text + cut, len - cut);
			ck_assert_str_eq(rows[i].text + skip, rows[i].rest);
		}
	}
}
END_TEST

START_TEST(test_console)
{
	_cleanup_err_ struct err *e = NULL;
	_cleanup_close_ int out = memfd_create("out", 0), in = memfd_create("in", 0);
	_cleanup_close_ int old_out = dup(STDOUT_FILENO), old_in = dup(STDIN_FILENO);
	char text[64] = "";
	bool left = true, ok;
	int fds[2];

	fflush(stdout);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ck_assert_int_eq(write(fds[1], "\n\r\nlogin: \0\xff", 12), 12);
	ck_assert_int_eq(write(in, "root\x1d\n", 6), 6);
	ck_assert_int_eq(lseek(in, 0, SEEK_SET), 0);
	ck_assert(dup2(out, STDOUT_FILENO) >= 0 && dup2(in, STDIN_FILENO) >= 0);
	ck_assert_int_eq(shutdown(fds[1], SHUT_WR), 0);
	ok = console_run(fds[0], "\r", 1, false, &left, &e);
	dup2(old_out, STDOUT_FILENO);
	dup2(old_in, STDIN_FILENO);

	ck_assert_msg(ok, "%s", e ? e->desc : "");
	ck_assert(!left); /* ^] is a byte like others where stdin is no terminal */
	ck_assert_int_eq(pread(out, text, sizeof(text), 0), 11);
	ck_assert_mem_eq(text, "\r\nlogin: \0\xff", 11);
	ck_assert_int_eq(read(fds[1], text, sizeof(text)), 6);
	ck_assert_mem_eq(text, "root\x1d\n", 6);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

/* The list ends with NULL. */
static void add_tests(TCase *tc, ...)
{
	va_list ap;

	va_start(ap, tc);
	for (const TTest *t = va_arg(ap, const TTest *); t; t = va_arg(ap, const TTest *))
		tcase_add_test(tc, t);
	va_end(ap);
}

int main(void)
{
	Suite *suite = suite_create("cli");
	TCase *tc = tcase_create("cli");
	SRunner *runner;
	int failed;

	setlocale(LC_CTYPE, "C.UTF-8");
	suite_add_tcase(suite, tc);
	tcase_add_loop_test(tc, test_command_line, 0, ARRAY_SIZE(command_lines));
	add_tests(tc, test_global_options, test_assign, test_assign_list, test_files, test_help_fits,
		  test_verbs_are_sound, test_verbs_match_commands, test_commands_have_verbs, test_outcomes, test_hints,
		  test_progress, test_paths, test_call, test_no_daemon, test_skip_eol, test_console, NULL);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
