/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/servers.h"

#include "runtime/remote.h"
#include "storage/fetch.h"

#include <unistd.h>

enum { ASK_MS = 30000, NOBODY = 65534 };

/* Lives as long as the operation. */
struct question {
	struct fetch_item *items;
	size_t n;
};

static void question_clear(void *data)
{
	struct question *q = data;

	for (size_t i = 0; i < q->n; i++) {
		free((char *)(uintptr_t)q->items[i].what);
		free((char *)(uintptr_t)q->items[i].url);
	}
	free(q->items);
}

static void add(const char *name, const char *uri, void *data)
{
	struct question *q = data;

	q->items = xrealloc(q->items, q->n + 1, sizeof(*q->items));
	q->items[q->n++] = (struct fetch_item){ .what = xstrdup(name), .url = xstrdup(uri) };
}

/* As whom QEMU will ask. */
static enum verdict ask(struct op *op, void *arg)
{
	const struct prepare *p = arg;
	struct fetch_user user = { p->confine.drop, p->confine.uid, p->confine.gid };
	struct question *q;

	/* Not as root in any case, who would be QEMU. */
	if (!user.drop && geteuid() == 0)
		user = (struct fetch_user){ true, NOBODY, NOBODY };
	if (!remote_uses(&p->inst->def, "http"))
		return OP_DONE;
	q = op_own(op, sizeof(*q), question_clear);
	remote_list(&p->inst->def, "http", add, q);
	return fetch_check(op, p->inst->rt->fetcher, &user, q->items, q->n);
}

const struct step servers_ask = { "ask the servers of images", ask, .timeout_ms = ASK_MS };
