/* SPDX-License-Identifier: BSD-2-Clause */
/* The verbs that change an instance, and those that act on a job: a request and a line for each name. */
#include "cli/assign.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "cli/work.h"

#include <string.h>
#include <unistd.h>

char *verb_outcome(const struct verb *verb, struct json_object *result)
{
	const char *state = json_get_str(result, "state"), *rung = json_get_str(result, "rung");
	const char *done = verb->done, *process = json_get_str(result, "process");

	if (!json_get_bool(result, "changed", true))
		return state ? xasprintf("already %s", state) : xstrdup("unchanged");
	return xasprintf("%s%s%s%s%s%s", done ? done : "", done && state ? ", " : "",
			 state ? state :
			 done  ? "" :
				 "done",
			 rung ? ", by " : "", rung ? rung : "", str_eq(process, "new") ? ", in a new process" : "");
}

void verb_print(const struct cli *cli, const char *subject, struct json_object *result, char *given)
{
	_cleanup_free_ char *text = given, *line = NULL;

	if (cli->json) {
		cli_print_json(cli, result);
	} else {
		line = xasprintf("%s: %s", subject, text);
		_cleanup_free_ char *plain = text_plain(line, "");

		printf("%s\n", plain);
	}
	fflush(stdout); /* the next name may take minutes */
}

static void print_outcome(const struct cli *cli, const char *subject, struct json_object *result)
{
	verb_print(cli, subject, result, verb_outcome(cli->args.verb, result));
}

static int each(struct cli *cli, const char *member)
{
	int status = 0;

	for (size_t i = 0; i < cli->args.n_words; i++) {
		const char *name = cli->args.words[i];
		_cleanup_json_ struct json_object *arguments = args_request(&cli->args), *result = NULL;
		_cleanup_err_ struct err *e = NULL;

		json_add_str(arguments, member, name);
		if (work_call(cli, name, arguments, &result, &e)) {
			cli_print_warnings(cli, name, result);
			print_outcome(cli, name, result);
		} else {
			int failed = cli_fail(cli, cli->client ? name : NULL, e);

			status = status ? status : failed;
		}
		/* Without a daemon, or without this session, the others fare no better. */
		if ((e && e->class == ERR_UNAVAILABLE) || work_interrupted())
			break;
	}
	return status;
}

int verb_each(struct cli *cli)
{
	return each(cli, "instance");
}

int verb_each_job(struct cli *cli)
{
	return each(cli, "id");
}

int verb_rename(struct cli *cli)
{
	_cleanup_json_ struct json_object *arguments = json_object_new_object(), *result = NULL;
	const char *name = cli->args.words[0];
	_cleanup_err_ struct err *e = NULL;

	json_add_str(arguments, "instance", name);
	json_add_str(arguments, "name", cli->args.words[1]);
	if (!cli_call(cli, cli->args.verb->command, arguments, &result, &e))
		return cli_fail(cli, cli->client ? name : NULL, e);
	print_outcome(cli, name, result);
	return 0;
}

/* "vcpus, memory": LIST's texts, or the member KEY of its objects. */
static char *join(struct json_object *list, const char *key)
{
	char *text = xstrdup("");

	for (size_t i = 0; i < json_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		_cleanup_free_ char *old = text;

		text = xasprintf("%s%s%s", old, *old ? ", " : "",
				 key ? json_get_str(o, key) : json_object_get_string(o));
	}
	return text;
}

#define PENDING "pending until the next start: "

char *modify_outcome(struct json_object *result, bool dry_run)
{
	_cleanup_free_ char *applied = join(json_get_typed(result, "applied", json_type_array), NULL);
	_cleanup_free_ char *pending = join(json_get_typed(result, "pending", json_type_array), "path");

	if (!json_get_bool(result, "changed", true))
		return xstrdup("unchanged");
	return xasprintf("%s%s%s%s%s",
			 !*applied && *pending ? "" :
			 dry_run               ? "would change " :
						 "changed ",
			 applied, *applied && *pending ? "; " : "", *pending ? PENDING : "", pending);
}

int verb_modify(struct cli *cli)
{
	_cleanup_json_ struct json_object *arguments = args_request(&cli->args), *result = NULL;
	struct json_object *patch = json_object_new_object();
	const char *name = cli->args.words[0];
	_cleanup_err_ struct err *e = NULL;

	json_add_str(arguments, "instance", name);
	json_add(arguments, "patch", patch);
	for (size_t i = 1; i < cli->args.n_words; i++)
		if (!assign_word(patch, cli->args.words[i], &e))
			return cli_fail(cli, name, e);
	if (!cli_call(cli, cli->args.verb->command, arguments, &result, &e))
		return cli_fail(cli, cli->client ? name : NULL, e);
	cli_print_warnings(cli, name, result);
	verb_print(cli, name, result, modify_outcome(result, args_has(&cli->args, "dry-run")));
	return 0;
}

/* The options of `define` that are hvparams by another name. */
static const struct {
	const char *option, *hvparam;
	bool path;
} parts[] = {
	{ "kernel", "kernel_path", true },
	{ "initrd", "initrd_path", true },
	{ "append", "kernel_args", false },
};

/* The daemon's working directory is not ours. */
static char *absolute(const char *path)
{
	_cleanup_free_ char *here = *path && *path != '/' ? getcwd(NULL, 0) : NULL;

	return here ? xasprintf("%s/%s", here, path) : xstrdup(path);
}

/* Each --disk and --nic is one device; KEY is the member that one has first of all. */
static bool add_devices(struct json_object *o, const struct args *args, const char *option, const char *member,
			const char *key, struct err **e)
{
	struct json_object *list = json_object_new_array(), *device;
	const char *word;
	size_t at = 0;

	while ((word = args_next(args, option, &at))) {
		device = json_object_new_object();
		json_object_array_add(list, device);
		if (!assign_list(device, word, e)) {
			_cleanup_free_ char *front = xasprintf("--%s %s", option, key);

			json_object_put(list);
			return assign_guess(e, front, word);
		}
	}
	if (json_object_array_length(list))
		json_add(o, member, list);
	else
		json_object_put(list);
	return true;
}

static struct json_object *from_options(const struct args *args, const char *name, struct err **e)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct json_object *hvparams = json_object_new_object();
	const char *vcpus = args_get(args, "vcpus"), *word;
	size_t at = 0;

	json_add_str(o, "name", name);
	json_add_str(o, "memory", args_get(args, "memory"));
	if (vcpus)
		json_add_int(o, "vcpus", strtoll(vcpus, NULL, 10));
	json_add(o, "hvparams", hvparams);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		const char *text = args_get(args, parts[i].option);
		_cleanup_free_ char *path = text && parts[i].path ? absolute(text) : NULL;

		json_add_str(hvparams, parts[i].hvparam, path ? path : text);
	}
	while ((word = args_next(args, "set", &at)))
		if (!assign_word(hvparams, word, e))
			return NULL;
	if (json_object_object_length(hvparams) == 0)
		json_object_object_del(o, "hvparams");
	if (!add_devices(o, args, "disk", "disks", "path", e) || !add_devices(o, args, "nic", "nics", "mode", e))
		return NULL;
	return TAKE_PTR(o);
}

static struct json_object *from_file(const struct args *args, const char *name, struct err **e)
{
	for (const struct cli_option *o = args->verb->options; o->name; o++)
		if (args_has(args, o->name) && !str_eq(o->name, "file")) {
			err_set_usage(e, xstrdup("'drover help define' shows both forms"),
				      "'--%s' goes with a name, not with a file", o->name);
			return NULL;
		}
	return input_object(name, e);
}

static struct json_object *definition_of(const struct args *args, const char **subject, struct err **e)
{
	const char *file = args_get(args, "file"), *word = args->n_words ? args->words[0] : NULL;

	if (file && word) {
		err_set_usage(e, NULL, "'--file' and '%s' are one too many", word);
		return NULL;
	}
	if (!file && !word) {
		err_set_usage(e, xstrdup("usage: drover define {FILE | - | NAME [OPTIONS]}"),
			      "'define' needs a file or a name");
		return NULL;
	}
	*subject = file ? file : word;
	if (!file && !input_is_file(word))
		return from_options(args, word, e);
	file = *subject;
	if (str_eq(file, "-"))
		*subject = "standard input";
	return from_file(args, file, e);
}

/* Whether the definition is that of a file, not of options. */
static bool is_from_file(const struct args *args)
{
	return args_has(args, "file") || input_is_file(args->words[0]);
}

/* The instance called NAME as query-instance has it, the caller's; NULL: there is none. */
static struct json_object *find(struct cli *cli, const char *name)
{
	_cleanup_json_ struct json_object *arguments = json_object_new_object(), *o = NULL;

	json_add_str(arguments, "instance", name);
	if (!name || !cli_call(cli, "query-instance", arguments, &o, NULL) || !str_eq(json_get_str(o, "name"), name))
		return NULL;
	return TAKE_PTR(o);
}

/* REPLACED: there was another definition, of which all is gone that is not in this one. */
static void print_defined(struct cli *cli, const char *name, struct json_object *result, bool replaced)
{
	_cleanup_json_ struct json_object *now = replaced ? find(cli, name) : NULL;
	_cleanup_free_ char *pending = join(json_get_typed(now, "pending", json_type_array), "path");
	const char *uuid = json_get_str(result, "uuid");

	verb_print(cli, name, result,
		   xasprintf("%s%s%s%s%s",
			     !json_get_bool(result, "changed", true) ? "unchanged" :
			     replaced                                ? "replaced" :
								       "defined",
			     uuid ? ", " : "", uuid ? uuid : "", *pending ? "; " PENDING : "", pending));
	if (replaced && !is_from_file(&cli->args))
		fprintf(stderr, "hint: 'drover modify %s KEY=VALUE' changes single members, and leaves the others\n",
			name);
}

int verb_define(struct cli *cli)
{
	_cleanup_json_ struct json_object *definition = NULL, *arguments = json_object_new_object(), *result = NULL;
	_cleanup_json_ struct json_object *before = NULL;
	_cleanup_err_ struct err *e = NULL;
	const char *subject = NULL, *name;

	definition = definition_of(&cli->args, &subject, &e);
	if (!definition)
		return cli_fail(cli, subject, e);
	name = json_get_str(definition, "name");
	if (!cli_client(cli, &e))
		return cli_fail(cli, NULL, e);
	if (!cli->json)
		before = find(cli, name);
	json_add(arguments, "definition", json_object_get(definition));
	if (!cli_call(cli, cli->args.verb->command, arguments, &result, &e)) {
		if (is_from_file(&cli->args) && strstr(e->desc, HINT_SAYS_TEXT))
			err_add(e, "hint", json_object_new_string(HINT_JSON_TEXT));
		return cli_fail(cli, name ? name : subject, e);
	}
	cli_print_warnings(cli, name, result);
	if (cli->json)
		cli_print_json(cli, result);
	else
		print_defined(cli, name ? name : subject, result, before && json_get_bool(result, "changed", true));
	return 0;
}

int verb_import(struct cli *cli)
{
	_cleanup_json_ struct json_object *document = NULL, *arguments = json_object_new_object(), *result = NULL;
	const char *file = cli->args.words[0], *name;
	_cleanup_err_ struct err *e = NULL;
	int64_t pid;

	if (!input_value(file, &document, &e))
		return cli_fail(cli, str_eq(file, "-") ? "standard input" : file, e);
	json_add_str(arguments, "format", "ganeti");
	json_add(arguments, "document", json_object_get(document));
	if (!cli_call(cli, cli->args.verb->command, arguments, &result, &e))
		return cli_fail(cli, cli->client ? file : NULL, e);
	name = json_get_str(json_get_typed(result, "definition", json_type_object), "name");
	pid = json_get_int(result, "pid", 0);
	cli_print_warnings(cli, name ? name : file, result);
	if (!json_get_bool(result, "changed", true))
		verb_print(cli, name, result, xstrdup("unchanged"));
	else if (pid)
		verb_print(cli, name, result, xasprintf("imported; process %" PRId64 " goes on", pid));
	else
		verb_print(cli, name, result, xstrdup("imported; it does not run"));
	return 0;
}
