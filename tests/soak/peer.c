/* SPDX-License-Identifier: BSD-2-Clause */
#include "peer.h"

#include "base/cleanup.h"
#include "soak.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { REPLY_TOLD = 240 };

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void request_free(struct peer_request *q)
{
	free(q->command);
	free(q);
}

void peer_close(struct peer *p)
{
	while (p->requests) {
		struct peer_request *next = p->requests->next;

		request_free(p->requests);
		p->requests = next;
	}
	if (p->fd >= 0)
		close(p->fd);
	if (p->reader)
		json_reader_free(p->reader);
	json_object_put(p->answer);
	*p = PEER_NONE;
}

/* ---- what comes ---- */

/* {"return": …} or {"error": {"class": one of ours, "desc": …}}, and the id. */
static void check_shape(struct json_object *o, const char *command)
{
	struct json_object *error = json_get_typed(o, "error", json_type_object), *ret;
	const char *class = json_get_str(error, "class");
	bool known = false, has_ret = json_object_object_get_ex(o, "return", &ret);

	for (int i = 0; i < ERR_CLASS_COUNT; i++)
		known |= str_eq(class, err_class_info((enum err_class)i)->name);
	if (json_object_object_length(o) != 2 || has_ret == (error != NULL) ||
	    (error && (!known || str_empty(json_get_str(error, "desc")))))
		ck_abort_msg("the reply to '%s' is %s", command, json_object_to_json_string(o));
}

static void take_reply(struct peer *p, struct json_object *o)
{
	int id = (int)json_get_int(o, "id", -1);
	struct peer_request **at = &p->requests, *q;

	while (*at && (*at)->id != id)
		at = &(*at)->next;
	q = *at;
	if (!q)
		ck_abort_msg("nobody asked for, or has had, %s", json_object_to_json_string(o));
	check_shape(o, q->command);
	if (id == p->awaited) {
		p->answer = json_object_get(o);
	} else {
		_cleanup_free_ char *text = json_print(o);

		say("reply to %s: %.*s", q->command, REPLY_TOLD, text);
	}
	*at = q->next;
	request_free(q);
}

static void take_event(struct peer *p, struct json_object *o)
{
	int64_t seq = json_get_int(o, "seq", -1);

	if (str_empty(json_get_str(o, "event")) || !json_get_typed(o, "data", json_type_object) ||
	    !json_get_typed(o, "timestamp", json_type_object) || (p->seq && seq != p->seq + 1))
		ck_abort_msg("behind event %" PRId64 " comes %s", p->seq, json_object_to_json_string(o));
	p->seq = seq;
}

static void take(struct peer *p, struct json_object *o)
{
	if (has(o, "event"))
		take_event(p, o);
	else if (!has(o, "QMP"))
		take_reply(p, o);
}

static void take_bytes(struct peer *p, const char *data, size_t len)
{
	for (;;) {
		_cleanup_json_ struct json_object *o = NULL;
		_cleanup_err_ struct err *e = NULL;

		switch (json_reader_next(p->reader, &data, &len, &o, &e)) {
		case JSON_VALUE:
			take(p, o);
			break;
		case JSON_MORE:
			return;
		case JSON_BAD:
		case JSON_OVERFLOW:
			ck_abort_msg("droverd sent what is no JSON: %s", e->desc);
		}
	}
}

static bool is_answered(const struct peer *p, int id)
{
	const struct peer_request *q = p->requests;

	while (q && q->id != id)
		q = q->next;
	return id && !q;
}

bool peer_listen(struct peer *p, unsigned ms, int id)
{
	int64_t end = now_ms() + ms;
	char data[65536];

	while (p->fd >= 0 && !is_answered(p, id)) {
		struct pollfd f = { .fd = p->fd, .events = POLLIN };
		int64_t left = end - now_ms();
		ssize_t n;

		if (poll(&f, 1, left > 0 ? (int)left : 0) == 0)
			return true;
		n = recv(p->fd, data, sizeof(data), MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			peer_close(p);
		else
			take_bytes(p, data, (size_t)n);
	}
	return p->fd >= 0;
}

/* ---- what is sent ---- */

void peer_write(struct peer *p, const char *data, size_t len)
{
	int64_t end = now_ms() + RIG_DEADLINE_MS;

	while (len && p->fd >= 0) {
		ssize_t n = send(p->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0) {
			data += n;
			len -= (size_t)n;
		} else if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			if (now_ms() > end)
				ck_abort_msg("droverd does not read");
			peer_listen(p, 10, 0);
		} else {
			peer_listen(p, 0, 0); /* what it said before it hung up */
			return;
		}
	}
}

int peer_send(struct peer *p, const char *command, const char *text)
{
	_cleanup_free_ char *line = NULL;
	struct peer_request *q;

	if (p->fd < 0)
		return 0;
	q = xcalloc(1, sizeof(*q));
	q->id = ++p->last_id;
	q->command = xstrdup(command);
	q->next = p->requests;
	p->requests = q;
	line = xasprintf("{\"execute\": \"%s\", \"arguments\": %s, \"id\": %d}\n", command, text, q->id);
	peer_write(p, line, strlen(line));
	return p->fd >= 0 ? p->last_id : 0;
}

struct json_object *peer_ask(struct peer *p, const char *command, const char *text)
{
	int id = p->last_id + 1;

	p->awaited = id;
	if (!peer_send(p, command, text) || !peer_listen(p, 2 * RIG_DEADLINE_MS, id))
		return NULL;
	if (!p->answer)
		ck_abort_msg("no reply to %s %s", command, text);
	p->awaited = 0;
	return TAKE_PTR(p->answer);
}

bool peer_open(struct peer *p, struct rig *r)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	_cleanup_json_ struct json_object *o = NULL;

	*p = PEER_NONE;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/run/drover.sock", r->root);
	p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(p->fd, 0);
	if (connect(p->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		peer_close(p);
		return false;
	}
	p->reader = json_reader_new(&json_limits_qemu);
	o = peer_ask(p, "qmp_capabilities", "{}");
	return o != NULL;
}

unsigned peer_open_requests(const struct peer *p)
{
	unsigned n = 0;

	for (const struct peer_request *q = p->requests; q; q = q->next)
		n++;
	return n;
}

char *peer_describe(const struct peer *p)
{
	char *text = xstrdup("");

	for (const struct peer_request *q = p->requests; q && strlen(text) < 200; q = q->next) {
		_cleanup_free_ char *old = text;

		text = xasprintf("%s %s (%d)", old, q->command, q->id);
	}
	return text;
}
