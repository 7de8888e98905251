/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/ask.h"

#include "daemon/session.h"

struct ask {
	LIST_ENTRY(ask) link;
	struct session *session; /* NULL: gone */
	struct json_object *id;
	bool has_id;
	void (*gone)(void *data);
	void *gone_data;
};

struct ask *ask_new(struct daemon *d, struct session *s, struct json_object *request_id, bool has_id)
{
	struct ask *ask = xcalloc(1, sizeof(*ask));

	ask->session = s;
	ask->id = json_object_get(request_id);
	ask->has_id = has_id;
	LIST_INSERT_HEAD(&d->asks, ask, link);
	return ask;
}

void ask_free(struct ask *ask)
{
	LIST_REMOVE(ask, link);
	json_object_put(ask->id);
	free(ask);
}

void ask_reply(struct ask *ask, struct json_object *ret, struct err *e)
{
	if (ask->session) {
		session_reply(ask->session, ret, e, ask->id, ask->has_id);
	} else {
		json_object_put(ret);
		err_free(e);
	}
	ask_free(ask);
}

void ask_on_gone(struct ask *ask, void (*gone)(void *data), void *data)
{
	ask->gone = gone;
	ask->gone_data = data;
}

void ask_forget_session(struct daemon *d, struct session *s)
{
	struct ask *ask, *next;

	/* By hand: LIST has no walk that bears removal. */
	for (ask = LIST_FIRST(&d->asks); ask; ask = next) {
		next = LIST_NEXT(ask, link);
		if (ask->session != s)
			continue;
		ask->session = NULL;
		if (ask->gone)
			ask->gone(ask->gone_data);
	}
}
