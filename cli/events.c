/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `drover events`: follow the daemon's events without a gap.
 *
 * Events come numbered. Those that come while query-events is under way are kept, and those that
 * its answer held already are dropped. A hole in the numbers means that the daemon's queue for this
 * session was full: what is missing is asked for, and where it is gone, that is said.
 */
#include "cli/shapes.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "cli/watch.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

struct follow {
	struct cli *cli;
	int64_t last;             /* printed so far; -1: none */
	struct json_object *kept; /* events not looked at yet */
};

static void print_event(const struct cli *cli, struct json_object *o)
{
	struct json_object *stamp = json_get_typed(o, "timestamp", json_type_object);
	struct json_object *data = json_get_typed(o, "data", json_type_object);
	const char *event = json_get_str(o, "event"), *instance = json_get_str(data, "instance");
	_cleanup_free_ char *time = NULL, *seq = NULL, *rest = NULL, *line = NULL, *plain = NULL;

	if (cli->json) {
		_cleanup_free_ char *text = json_print(o), *safe = text_plain_json(text);

		printf("%s\n", safe);
	} else {
		time = text_time(
			json_get_double(stamp, "seconds", NAN) + json_get_double(stamp, "microseconds", 0) / 1e6, true);
		seq = shape_member(o, "seq"); /* what --since takes */
		rest = shape_event(o);
		line = xasprintf("%s  %s  %s  %s%s%s", time, seq ? seq : "-", event, instance ? instance : "-",
				 rest ? "  " : "", rest ? rest : "");
		plain = text_plain(line, "");
		printf("%s\n", plain);
	}
	fflush(stdout);
}

static void keep(struct json_object *event, void *data)
{
	struct follow *f = data;

	json_object_array_add(f->kept, json_object_get(event));
}

/* Prints what follows number SINCE. */
static bool catch_up(struct follow *f, int64_t since, struct err **e)
{
	_cleanup_json_ struct json_object *arguments = json_object_new_object(), *result = NULL;
	struct json_object *list;
	int64_t last;

	json_add_int(arguments, "since", since);
	json_add_str(arguments, "epoch", client_epoch(f->cli->client));
	if (!cli_call(f->cli, f->cli->args.verb->command, arguments, &result, e))
		return false;
	f->last = since;
	list = json_get_typed(result, "events", json_type_array);
	for (size_t i = 0; i < json_length(list); i++) {
		struct json_object *event = json_object_array_get_idx(list, i);

		if (!json_get_str(event, "event"))
			continue;
		print_event(f->cli, event);
		f->last = json_get_int(event, "seq", f->last);
	}
	/* SINCE may be a number that this run of the daemon has not reached. */
	last = json_get_int(result, "last", f->last);
	if (f->last > last)
		f->last = last;
	return true;
}

/* Closes the hole between the last event and number NEXT as far as the daemon can. */
static bool fill_hole(struct follow *f, int64_t next, struct err **e)
{
	int64_t first = f->last + 1, oldest;
	_cleanup_err_ struct err *why = NULL;

	if (catch_up(f, f->last, &why))
		return true;
	if (why->class != ERR_GAP) {
		err_keep_first(e, TAKE_PTR(why));
		return false;
	}
	oldest = json_get_int(why->extra, "oldest", next);
	if (oldest < first || oldest > next)
		oldest = next;
	fflush(stdout);
	fprintf(stderr, "drover: events %" PRId64 " to %" PRId64 " are lost\n", first, oldest - 1);
	why = err_free(why);
	/* If those went meanwhile too, the event at hand is where it goes on. */
	if (oldest == next || catch_up(f, oldest - 1, &why) || why->class == ERR_GAP)
		return true;
	err_keep_first(e, TAKE_PTR(why));
	return false;
}

/* An event that came by itself. */
static bool take_event(struct follow *f, struct json_object *event, struct err **e)
{
	int64_t seq = json_get_int(event, "seq", -1);

	if (f->last >= 0 && seq > f->last && seq - f->last > 1 && !fill_hole(f, seq, e))
		return false;
	if (seq >= 0 && seq <= f->last)
		return true;
	print_event(f->cli, event);
	if (seq >= 0)
		f->last = seq;
	return true;
}

static bool take_kept(struct follow *f, struct err **e)
{
	while (json_object_array_length(f->kept) > 0) {
		_cleanup_json_ struct json_object *list = f->kept;

		f->kept = json_object_new_array(); /* more may come while these are looked at */
		for (size_t i = 0; i < json_object_array_length(list); i++)
			if (!take_event(f, json_object_array_get_idx(list, i), e))
				return false;
	}
	return true;
}

int verb_events(struct cli *cli)
{
	struct follow f = { .cli = cli, .last = -1 };
	_cleanup_err_ struct err *e = NULL;
	const char *since = args_get(&cli->args, "since");
	struct client *c = cli_client(cli, &e);
	bool ok = c != NULL;

	if (!ok)
		return cli_fail(cli, NULL, e);
	f.kept = json_object_new_array();
	client_on_event(c, keep, &f);
	if (since)
		ok = catch_up(&f, strtoll(since, NULL, 10), &e);
	while (ok) {
		ok = take_kept(&f, &e);
		if (!ok || watch_wait(c, INFINITY) != WATCH_INPUT)
			break;
		ok = client_wait(c, &e);
	}
	json_object_put(f.kept);
	return ok ? 0 : cli_fail(cli, NULL, e);
}
