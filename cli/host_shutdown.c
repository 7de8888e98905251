/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `drover shutdown`, and with --on-host-shutdown what is to become of guests when their host goes down.
 *
 * In rounds, each of which asks anew who is there: an autostart that still goes on starts guests meanwhile.
 */
#include "cli/verbs.h"

#include <stdio.h>

struct guest {
	char *name;
	int64_t order; /* of autostart; who has none was started after all that have one */
	bool save;
	bool done; /* has had its turn, or has none */
};

/* All that were met, and those whose turn it is. */
struct guests {
	struct cli *cli;
	struct guest *items;
	size_t n;
	size_t *turn, n_turn; /* indices */
	int status;           /* the first failure's */
};

static void guests_clear(struct guests *g)
{
	for (size_t i = 0; i < g->n; i++)
		free(g->items[i].name);
	free(g->items);
	free(g->turn);
}

static bool is_known(const struct guests *g, const char *name)
{
	for (size_t i = 0; i < g->n; i++)
		if (str_eq(g->items[i].name, name))
			return true;
	return false;
}

static void add(struct guests *g, const char *name, struct json_object *shown)
{
	struct json_object *definition = json_get_typed(shown, "definition", json_type_object);
	struct json_object *autostart = json_get_typed(definition, "autostart", json_type_object);
	const char *what = json_get_str(definition, "on_host_shutdown");

	g->items = xrealloc(g->items, g->n + 1, sizeof(*g->items));
	g->items[g->n++] = (struct guest){
		.name = xstrdup(name),
		.order = json_get_bool(shown, "autostart", false) ? json_get_int(autostart, "order", 0) : INT64_MAX,
		.save = str_eq(what, "save"),
		.done = str_eq(what, "leave"),
	};
}

/* Whether it has a process, or is about to get one. */
static bool is_there(struct json_object *o)
{
	return json_get_int(o, "pid", 0) > 0 || str_eq(json_get_str(o, "state"), "nostate");
}

/* Adds those that were not met before. One that is gone by now is none. */
static bool meet(struct guests *g, struct err **e)
{
	_cleanup_json_ struct json_object *list = NULL;

	if (!cli_call(g->cli, "query-instances", NULL, &list, e))
		return false;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		_cleanup_json_ struct json_object *arguments = json_object_new_object(), *shown = NULL;
		const char *name = json_get_str(o, "name");
		_cleanup_err_ struct err *gone = NULL;

		if (!is_there(o) || is_known(g, name))
			continue;
		json_add_str(arguments, "instance", name);
		if (cli_call(g->cli, "query-instance", arguments, &shown, &gone))
			add(g, name, shown);
		else if (gone->class == ERR_UNAVAILABLE) {
			err_keep_first(e, TAKE_PTR(gone));
			return false;
		}
	}
	return true;
}

/* The latest order that is left, and who has none. */
static void choose_turn(struct guests *g)
{
	int64_t latest = INT64_MIN;

	for (size_t i = 0; i < g->n; i++)
		if (!g->items[i].done && g->items[i].order != INT64_MAX && g->items[i].order > latest)
			latest = g->items[i].order;
	g->turn = xrealloc(g->turn, g->n + 1, sizeof(*g->turn));
	g->n_turn = 0;
	for (size_t i = 0; i < g->n; i++) {
		if (g->items[i].done || g->items[i].order < latest)
			continue;
		g->items[i].done = true;
		g->turn[g->n_turn++] = i;
	}
}

static void on_end(size_t i, struct json_object *result, const struct err *e, void *data)
{
	struct guests *g = data;
	const char *name = g->items[g->turn[i]].name;
	int failed;

	if (result) {
		cli_print_warnings(g->cli, name, result);
		verb_print(g->cli, name, result, verb_outcome(g->cli->args.verb, result));
		return;
	}
	failed = cli_fail(g->cli, name, e);
	g->status = g->status ? g->status : failed;
}

static bool shut_down(struct guests *g, struct err **e)
{
	const struct args *args = &g->cli->args;
	_cleanup_json_ struct json_object *requests = json_object_new_array();

	for (size_t i = 0; i < g->n_turn; i++) {
		const struct guest *guest = &g->items[g->turn[i]];
		struct json_object *request = args_request(args);

		json_add_str(request, "instance", guest->name);
		if (!args_has(args, "then"))
			json_add_str(request, "then", "stop");
		json_object_array_add(requests, request);
		if (guest->save)
			fprintf(stderr,
				"drover: %s: on_host_shutdown save: there is no instance-save yet (Unsupported); it is "
				"shut down\n",
				guest->name);
	}
	return client_call_each(g->cli->client, args->verb->command, requests, on_end, g, e);
}

static int on_host_shutdown(struct cli *cli)
{
	struct guests g = { .cli = cli };
	_cleanup_err_ struct err *e = NULL;
	bool ok;
	int failed;

	do {
		ok = meet(&g, &e);
		choose_turn(&g);
		ok = ok && shut_down(&g, &e);
	} while (ok && g.n_turn);
	failed = ok ? 0 : cli_fail(cli, NULL, e);
	failed = g.status ? g.status : failed;
	guests_clear(&g);
	return failed;
}

int verb_shutdown(struct cli *cli)
{
	const struct args *args = &cli->args;
	_cleanup_err_ struct err *e = NULL;

	if (args_has(args, "on-host-shutdown") == (args->n_words > 0)) {
		err_set_usage(&e, xasprintf("usage: drover %s %s", args->verb->name, args->verb->usage),
			      "'%s' needs names or '--on-host-shutdown', not both", args->verb->name);
		return cli_fail(cli, NULL, e);
	}
	return args->n_words ? verb_each(cli) : on_host_shutdown(cli);
}
