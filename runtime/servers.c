/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/servers.h"

#include "runtime/remote.h"
#include "runtime/uri.h"

#include <string.h>
#include <unistd.h>

enum { NOBODY = 65534 };

/* Lives as long as the operation. */
struct servers {
	struct fetch_item *items;
	size_t n;
	struct fetch_user qemu, stranger; /* of this host; of another one */
};

static void servers_clear(void *data)
{
	struct servers *s = data;

	for (size_t i = 0; i < s->n; i++) {
		free((char *)(uintptr_t)s->items[i].what);
		free((char *)(uintptr_t)s->items[i].url);
		free((char *)(uintptr_t)s->items[i].server);
	}
	free(s->items);
}

struct servers *servers_new(struct op *op, const struct fetch_user *qemu)
{
	struct servers *s = op_own(op, sizeof(*s), servers_clear);

	s->qemu = s->stranger = *qemu;
	/* Where QEMU is root, root does not read what strangers wrote; but a socket may be its alone. */
	if (!qemu->drop && geteuid() == 0)
		s->stranger = (struct fetch_user){ .drop = true, .uid = NOBODY, .gid = NOBODY };
	return s;
}

/* By QEMU's driver; false: it cannot be asked. */
static bool find_how(const char *driver, enum fetch_how *ret)
{
	static const struct {
		const char *driver;
		enum fetch_how how;
	} rows[] = {
		{ "http", FETCH_IMAGE },       { "https", FETCH_IMAGE },        { "nbd", FETCH_NBD },
		{ "iscsi", FETCH_CONNECTION }, { "gluster", FETCH_CONNECTION },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (str_eq(driver, rows[i].driver)) {
			*ret = rows[i].how;
			return true;
		}
	return false;
}

void servers_add(struct servers *s, const char *name, const char *uri)
{
	_cleanup_json_ struct json_object *node = uri_parse(uri, name, NULL);
	struct fetch_item item = { 0 };

	if (!find_how(json_get_str(node, "driver"), &item.how))
		return;
	item.what = xstrdup(name);
	item.url = xstrdup(uri);
	item.server = uri_server(node);
	item.user = item.server && item.server[0] == '/' ? &s->qemu : &s->stranger;
	s->items = xrealloc(s->items, s->n + 1, sizeof(*s->items));
	s->items[s->n++] = item;
}

enum verdict servers_wait(struct op *op, struct servers *s, const char *fetcher)
{
	return fetch_check(op, fetcher, s->items, s->n);
}

/* ---- those of a start ---- */

static void add(const char *name, const char *uri, const char *node, void *data)
{
	servers_add(data, name, uri);
}

static enum verdict ask(struct op *op, void *arg)
{
	const struct prepare *p = arg;
	const struct confine *c = &p->confine;
	struct fetch_user qemu = { .drop = c->drop, .uid = c->uid, .gid = c->gid };
	struct servers *s;

	for (unsigned i = 0; i < c->n_groups && i < FETCH_GROUPS_MAX; i++)
		qemu.groups[qemu.n_groups++] = c->groups[i];
	if (!remote_uses(&p->inst->def, ""))
		return OP_DONE;
	s = servers_new(op, &qemu);
	remote_list(&p->inst->def, add, s);
	return servers_wait(op, s, p->inst->rt->fetcher);
}

const struct step servers_ask = { "ask the servers of images", ask, .timeout_ms = SERVERS_MS };
