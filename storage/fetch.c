/* SPDX-License-Identifier: BSD-2-Clause */
#include "storage/fetch.h"

#include "base/child.h"
#include "base/json.h"

#include <signal.h>
#include <string.h>

enum { ANSWER_MAX = 16384 };
#define REACH_MS "10000"

struct fetching {
	struct op *op;
	char *fetcher;
	struct fetch_item *items;
	size_t n, at; /* the item that is asked about */
	struct child *child;
};

static struct fetching *fetching_free(struct fetching *f)
{
	if (f->child) {
		child_kill(f->child, SIGKILL);
		child_forget(f->child);
	}
	free(f->fetcher);
	free(f);
	return NULL;
}

static void fetching_forget(struct op *op, void *data)
{
	fetching_free(data);
}

static void fetching_done(struct fetching *f, struct err *e)
{
	struct op *op = f->op;

	fetching_free(f);
	op_resume(op, e);
}

static void fetching_expired(struct op *op, void *data)
{
	struct fetching *f = data;
	const struct fetch_item *item = &f->items[f->at];
	struct err *e = NULL;

	err_set(&e, ERR_TIMEOUT, "%s: '%s': no answer within %u s; nothing was changed", item->what, item->url,
		op->wait_ms / 1000);
	err_name_param(&e, item->what);
	fetching_done(f, e);
}

/* ---- answers ---- */

static bool fail(const struct fetch_item *item, enum err_class class, const char *why, struct err **e)
{
	err_set(e, class, "%s: '%s': %s", item->what, item->url, why);
	return err_name_param(e, item->what);
}

static bool take_image(struct fetch_item *item, struct json_object *o, struct err **e)
{
	int64_t size = json_get_int(o, "size", -1);

	if (size < 0)
		return fail(item, ERR_STORAGE, "the server does not say how long it is", e);
	if (!json_get_bool(o, "ranges", false))
		return fail(item, ERR_STORAGE,
			    "the server does not give parts of it (no 'Accept-Ranges: bytes'), which QEMU needs", e);
	item->size = (uint64_t)size;
	return true;
}

/* {"size": 1, "ranges": true}, {"reached": true}, or {"error": "…", "class": "NetworkError"}. */
static bool take_answer(struct fetch_item *item, const char *text, struct err **e)
{
	_cleanup_json_ struct json_object *o = NULL;
	const char *error;

	if (!json_parse(text, strlen(text), &json_limits_request, &o, NULL) ||
	    !json_object_is_type(o, json_type_object))
		return fail(item, ERR_STORAGE, "drover-fetch gave no answer that is understood", e);
	error = json_get_str(o, "error");
	if (error)
		return fail(item, str_eq(json_get_str(o, "class"), "NetworkError") ? ERR_NETWORK : ERR_STORAGE, error,
			    e);
	if (item->how == FETCH_IMAGE)
		return take_image(item, o, e);
	return json_get_bool(o, "reached", false) ||
	       fail(item, ERR_STORAGE, "drover-fetch gave no answer that is understood", e);
}

/* What the child could not do is said on stderr. */
static bool check_end(const struct fetch_item *item, const struct child_end *end, struct err **e)
{
	_cleanup_free_ char *why = NULL;

	if (!end->signal && !end->status)
		return true;
	why = end->signal ? xasprintf("drover-fetch was ended by signal %d", end->signal) :
			    xasprintf("drover-fetch ended with status %d: %.*s", end->status,
				      (int)strcspn(end->err, "\n"), end->err);
	return fail(item, ERR_STORAGE, why, e);
}

/* ---- the child ---- */

static bool ask_next(struct fetching *f, struct err **e);

static void on_end(const struct child_end *end, void *data)
{
	struct fetching *f = data;
	struct fetch_item *item = &f->items[f->at];
	struct err *e = NULL;

	f->child = NULL;
	if (!check_end(item, end, &e) || !take_answer(item, end->out, &e) || ++f->at == f->n) {
		fetching_done(f, e);
		return;
	}
	op_extend(f->op, f->op->wait_ms);
	if (!ask_next(f, &e))
		fetching_done(f, e);
}

/* "UID,GID[,GID]…"; NULL: nobody else. */
static char *user_text(const struct fetch_user *user)
{
	char *text = user->drop ? xasprintf("%u,%u", user->uid, user->gid) : NULL;

	for (unsigned i = 0; text && i < user->n_groups; i++) {
		_cleanup_free_ char *before = text;

		text = xasprintf("%s,%u", before, user->groups[i]);
	}
	return text;
}

static bool ask_next(struct fetching *f, struct err **e)
{
	static const char *const kinds[] = { [FETCH_NBD] = "nbd", [FETCH_CONNECTION] = "any" };
	const struct fetch_item *item = &f->items[f->at];
	_cleanup_free_ char *user = user_text(item->user);
	const char *const image[] = { f->fetcher, "--check", item->url, user, NULL };
	const char *const server[] = { f->fetcher, "--reach", kinds[item->how], item->server, REACH_MS, user, NULL };
	struct child_spec spec = { .argv = item->how == FETCH_IMAGE ? image : server,
				   .capture = true,
				   .max = ANSWER_MAX };

	f->child = child_spawn(f->op->deadline.loop, &spec, on_end, f, e);
	return f->child != NULL;
}

enum verdict fetch_check(struct op *op, const char *fetcher, struct fetch_item *items, size_t n)
{
	static const struct op_wait_ops ops = {
		.what = "answer of a server", .forget = fetching_forget, .expired = fetching_expired, .abortable = true
	};
	struct fetching *f;
	struct err *e = NULL;

	if (n == 0)
		return OP_DONE;
	f = xcalloc(1, sizeof(*f));
	*f = (struct fetching){ .op = op, .fetcher = xstrdup(fetcher), .items = items, .n = n };
	if (ask_next(f, &e))
		return op_wait(op, &ops, f);
	fetching_free(f);
	return op_fail_err(op, e);
}
