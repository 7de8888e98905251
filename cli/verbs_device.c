/* SPDX-License-Identifier: BSD-2-Clause */
/* The verbs about one device. */
#include "cli/assign.h"
#include "cli/shapes.h"
#include "cli/verbs.h"
#include "cli/work.h"

#include <string.h>

/* "disk" of "disk attach". The caller's. */
static char *kind_of(const struct verb *verb)
{
	return xstrndup(verb->name, strcspn(verb->name, " "));
}

char *device_outcome(const struct verb *verb, struct json_object *result)
{
	_cleanup_free_ char *kind = kind_of(verb);
	struct json_object *device = json_get_typed(result, kind, json_type_object);
	const char *id = json_get_str(json_get_typed(device, "hvinfo", json_type_object), "id");
	const char *name = json_get_str(device, "name");
	bool attach = str_eq(verb->done, "attached"), live = json_get_bool(result, "live", false);
	_cleanup_free_ char *address = shape_address(device);
	_cleanup_free_ char *what = xasprintf("%s%s%s%s", name ? name : kind, id ? " (" : "", id ? id : "",
					      id ? ")" : "");

	if (str_eq(verb->done, "resized"))
		return xasprintf(json_get_bool(result, "changed", true) ? "resized %s" : "unchanged: %s has that size",
				 what);
	if (!json_get_bool(result, "changed", true) && !attach)
		return xasprintf("unchanged: %s", what);
	if (!json_get_bool(result, "changed", true))
		return xasprintf("unchanged: %s is there%s%s", what, address ? ", at " : "", address ? address : "");
	return xasprintf("%s %s%s%s%s", verb->done, what,
			 !address ? "" :
			 attach   ? " at " :
				    " from ",
			 address ? address : "", live ? "" : ", in the definition only");
}

/* Sends ARGUMENTS, whose instance is the first word. */
static int send(struct cli *cli, struct json_object *arguments)
{
	const char *name = cli->args.words[0];
	_cleanup_json_ struct json_object *result = NULL;
	_cleanup_err_ struct err *e = NULL;

	json_add_str(arguments, "instance", name);
	if (args_has(&cli->args, "no-live"))
		json_add_bool(arguments, "live", false);
	if (!work_call(cli, name, arguments, &result, &e))
		return cli_fail(cli, cli->client ? name : NULL, e);
	cli_print_warnings(cli, name, result);
	verb_print(cli, name, result, device_outcome(cli->args.verb, result));
	return 0;
}

int verb_attach(struct cli *cli)
{
	_cleanup_json_ struct json_object *arguments = args_request(&cli->args);
	struct json_object *device = json_object_new_object();
	_cleanup_free_ char *kind = kind_of(cli->args.verb);
	_cleanup_err_ struct err *e = NULL;

	json_add(arguments, kind, device);
	for (size_t i = 1; i < cli->args.n_words; i++)
		if (!assign_word(device, cli->args.words[i], &e)) {
			assign_guess(&e, str_eq(kind, "disk") ? "path" : "mode", cli->args.words[i]);
			return cli_fail(cli, cli->args.words[0], e);
		}
	return send(cli, arguments);
}

int verb_detach(struct cli *cli)
{
	_cleanup_json_ struct json_object *arguments = args_request(&cli->args);
	_cleanup_free_ char *kind = kind_of(cli->args.verb);

	json_add_str(arguments, kind, cli->args.words[1]);
	return send(cli, arguments);
}

int verb_resize(struct cli *cli)
{
	_cleanup_json_ struct json_object *arguments = args_request(&cli->args);

	json_add_str(arguments, "disk", cli->args.words[1]);
	json_add_str(arguments, "size", cli->args.words[2]);
	return send(cli, arguments);
}
