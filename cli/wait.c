/* SPDX-License-Identifier: BSD-2-Clause */
/* `drover wait`: until an instance is in one of some states. */
#include "base/param.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "cli/watch.h"

#include <math.h>

/* A misspelt state would be waited for for ever. */
static bool check_states(struct cli *cli, struct err **e)
{
	_cleanup_json_ struct json_object *schema = NULL;
	_cleanup_free_ struct param *names = NULL;
	struct json_object *states;
	size_t n;

	if (!cli_call(cli, "query-schema", NULL, &schema, e))
		return false;
	states = json_get_typed(schema, "states", json_type_array);
	n = json_length(states);
	names = xcalloc(n + 1, sizeof(*names));
	for (size_t i = 0; i < n; i++)
		names[i].name = json_get_str(json_object_array_get_idx(states, i), "name");
	for (size_t i = 1; i < cli->args.n_words; i++) {
		const char *word = cli->args.words[i], *meant;

		if (param_find(names, word))
			continue;
		meant = param_guess(names, word);
		return err_set_usage(
			e, meant ? xasprintf("did you mean '%s'?", meant) : xstrdup("'drover help states' lists them"),
			"there is no state '%s'", word);
	}
	return true;
}

static bool is_wanted(const struct cli *cli, struct json_object *instance)
{
	for (size_t i = 1; i < cli->args.n_words; i++)
		if (str_eq(json_get_str(instance, "state"), cli->args.words[i]))
			return true;
	return false;
}

static void note_change(struct json_object *event, void *data)
{
	*(bool *)data = true;
}

/* *RET: the instance when it was in such a state; NULL when nobody cares any more. */
static bool await(struct cli *cli, double until, struct json_object **ret, struct err **e)
{
	_cleanup_json_ struct json_object *arguments = json_object_new_object();
	const char *name = cli->args.words[0];
	bool changed;

	json_add_str(arguments, "instance", name);
	client_on_event(cli->client, note_change, &changed);
	for (;;) {
		_cleanup_json_ struct json_object *o = NULL;

		changed = false; /* what comes from now on may not be in the answer */
		if (!cli_call(cli, cli->args.verb->command, arguments, &o, e))
			return false;
		if (is_wanted(cli, o)) {
			*ret = TAKE_PTR(o);
			return true;
		}
		while (!changed) {
			switch (watch_wait(cli->client, until)) {
			case WATCH_UNREAD:
				return true;
			case WATCH_TIME:
				return err_set(e, ERR_TIMEOUT, "'%s' is %s still; nothing was changed", name,
					       json_get_str(o, "state"));
			case WATCH_INPUT:
				if (!client_wait(cli->client, e))
					return false;
			}
		}
	}
}

int verb_wait(struct cli *cli)
{
	static const char *const members[] = { "name", "uuid", "state", "status", "reason", "since" };
	const char *timeout = args_get(&cli->args, "timeout"), *name = cli->args.words[0];
	_cleanup_json_ struct json_object *instance = NULL, *shown = json_object_new_object();
	double until = timeout ? watch_clock() + strtod(timeout, NULL) : INFINITY;
	_cleanup_err_ struct err *e = NULL;

	if (!check_states(cli, &e))
		return cli_fail(cli, NULL, e);
	if (!await(cli, until, &instance, &e))
		return cli_fail(cli, cli->client ? name : NULL, e);
	for (size_t i = 0; instance && i < ARRAY_SIZE(members); i++) {
		struct json_object *value = NULL;

		if (json_object_object_get_ex(instance, members[i], &value))
			json_add(shown, members[i], json_object_get(value));
	}
	if (instance)
		verb_print(cli, name, shown, xstrdup(json_get_str(instance, "state")));
	return 0;
}
