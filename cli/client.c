/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/client.h"

#include "cli/args.h"
#include "cli/remote.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* A daemon that takes a connection but says nothing is stopped or no daemon of ours. */
enum { GREETING_SECONDS = 10, BUFFER = 64 << 10 };

/* Requests under way; with as many droverd stops reading. */
enum { SIDE_BY_SIDE = 64 };

struct client {
	int fd;
	pid_t ssh; /* 0: the daemon is of this host */
	char *path, *epoch;
	struct json_reader *reader;
	char *buffer;
	const char *data; /* what of the buffer was not taken yet */
	size_t len;
	int64_t id;
	void (*event)(struct json_object *event, void *data);
	void *event_data;
	void (*reply)(struct json_object *reply, void *data);
	void *reply_data;
};

char **client_paths(const char *option, const char *drover_socket, const char *xdg_runtime_dir)
{
	char **paths = xcalloc(3, sizeof(*paths));
	size_t n = 0;

	/* Who names a daemon must not reach another one. */
	if (!str_empty(option) || !str_empty(drover_socket)) {
		paths[0] = xstrdup(str_empty(option) ? drover_socket : option);
		return paths;
	}
	paths[n++] = xstrdup("/run/drover/drover.sock");
	if (!str_empty(xdg_runtime_dir))
		paths[n++] = xasprintf("%s/drover/drover.sock", xdg_runtime_dir);
	return paths;
}

/* Takes what is in the socket, at least a byte. */
static bool fill(struct client *c, struct err **e)
{
	ssize_t n;

	do
		n = read(c->fd, c->buffer, BUFFER);
	while (n < 0 && errno == EINTR);
	if (n == 0 && c->ssh) {
		shutdown(c->fd, SHUT_RDWR);
		return remote_fail(c->path, c->ssh, e);
	}
	if (n == 0)
		return err_set(e, ERR_UNAVAILABLE, "the daemon at '%s' closed the connection", c->path);
	if (n < 0 && errno == EAGAIN)
		return err_set(e, ERR_UNAVAILABLE, "the daemon at '%s' took the connection but says nothing", c->path);
	if (n < 0)
		return err_set(e, ERR_UNAVAILABLE, "cannot read from the daemon at '%s': %s", c->path, strerror(errno));
	c->data = c->buffer;
	c->len = (size_t)n;
	return true;
}

/* The next value of what was read; *WHOLE false: there is none yet. */
static bool whole_value(struct client *c, struct json_object **ret, bool *whole, struct err **e)
{
	struct err *why = NULL;

	switch (json_reader_next(c->reader, &c->data, &c->len, ret, &why)) {
	case JSON_VALUE:
		*whole = true;
		return true;
	case JSON_MORE:
		*whole = false;
		return true;
	case JSON_BAD:
	case JSON_OVERFLOW:
		break;
	}
	err_prefix(why, "what answers at '%s' does not speak drover's protocol", c->path);
	why->class = ERR_UNAVAILABLE;
	err_keep_first(e, why);
	return false;
}

static bool next_value(struct client *c, struct json_object **ret, struct err **e)
{
	bool whole = false;

	for (;;) {
		if (!whole_value(c, ret, &whole, e))
			return false;
		if (whole)
			return true;
		if (!fill(c, e))
			return false;
	}
}

/* The daemon's own words, with a class that is not known here kept for those who read JSON. */
static void take_error(struct json_object *o, struct err **e)
{
	const char *class = json_get_str(o, "class");
	struct err *error = err_from_json(o);

	if (class && !str_eq(class, err_class_info(error->class)->name))
		err_add(error, "class", json_object_new_string(class));
	*e = error;
}

static bool send_text(struct client *c, const char *text, struct err **e)
{
	size_t len = strlen(text);

	while (len > 0) {
		ssize_t n = send(c->fd, text, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		/* Whoever hung up may have said why: the reply is still to be read. */
		if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
			return true;
		if (n < 0)
			return err_set(e, ERR_UNAVAILABLE, "cannot write to the daemon at '%s': %s", c->path,
				       strerror(errno));
		text += n;
		len -= (size_t)n;
	}
	return true;
}

static bool send_request(struct client *c, const char *command, struct json_object *arguments, struct err **e)
{
	_cleanup_json_ struct json_object *request = json_object_new_object();
	_cleanup_free_ char *text = NULL, *line = NULL;

	json_add_str(request, "execute", command);
	if (arguments)
		json_add(request, "arguments", json_object_get(arguments));
	json_add_int(request, "id", ++c->id);
	text = json_print(request);
	line = xasprintf("%s\n", text);
	return send_text(c, line, e);
}

/* What no call waits for. */
static void see(struct client *c, struct json_object *value)
{
	if (json_get_str(value, "event")) {
		if (c->event)
			c->event(value, c->event_data);
	} else if (c->reply) {
		c->reply(value, c->reply_data);
	}
}

/* Is VALUE the reply to the last request? A request that the daemon could not read is answered without an id. */
static bool is_reply(const struct client *c, struct json_object *value)
{
	struct json_object *id = NULL, *error = NULL;
	bool has_id = json_object_object_get_ex(value, "id", &id);

	if (has_id)
		return json_get_int(value, "id", -1) == c->id;
	return json_object_object_get_ex(value, "error", &error);
}

bool client_call(struct client *c, const char *command, struct json_object *arguments, struct json_object **ret,
		 struct err **e)
{
	if (!send_request(c, command, arguments, e))
		return false;
	for (;;) {
		_cleanup_json_ struct json_object *value = NULL;
		struct json_object *result = NULL;

		if (!next_value(c, &value, e)) {
			if (e && c->id > 1 && !str_starts(command, "query-"))
				err_prefix(*e, "whether '%s' took effect is not known", command);
			return false;
		}
		if (!json_object_is_type(value, json_type_object) || !is_reply(c, value)) {
			see(c, value);
			continue;
		}
		if (json_object_object_get_ex(value, "error", &result)) {
			if (e)
				take_error(result, e);
			return false;
		}
		json_object_object_get_ex(value, "return", &result);
		*ret = json_object_get(result);
		return true;
	}
}

static void tell_end(struct json_object *value, size_t i, client_ended ended, void *data)
{
	struct json_object *result = NULL;
	struct err *error = NULL;

	if (json_object_object_get_ex(value, "error", &result)) {
		take_error(result, &error);
		ended(i, NULL, error, data);
		err_free(error);
		return;
	}
	json_object_object_get_ex(value, "return", &result);
	ended(i, result, NULL, data);
}

bool client_call_each(struct client *c, const char *command, struct json_object *arguments, client_ended ended,
		      void *data, struct err **e)
{
	size_t n = json_object_array_length(arguments), sent = 0, done = 0;
	int64_t first = c->id + 1;

	while (done < n) {
		_cleanup_json_ struct json_object *value = NULL;
		int64_t id;

		for (; sent < n && sent - done < SIDE_BY_SIDE; sent++)
			if (!send_request(c, command, json_object_array_get_idx(arguments, sent), e))
				return false;
		if (!next_value(c, &value, e))
			return false;
		id = json_get_int(value, "id", -1);
		if (id < first || id > c->id) {
			see(c, value);
			continue;
		}
		tell_end(value, (size_t)(id - first), ended, data);
		done++;
	}
	return true;
}

bool client_wait(struct client *c, struct err **e)
{
	_cleanup_json_ struct json_object *value = NULL;

	if (!next_value(c, &value, e))
		return false;
	see(c, value);
	return true;
}

static bool greet(struct client *c, struct err **e)
{
	_cleanup_json_ struct json_object *greeting = NULL, *nothing = NULL;
	struct json_object *qmp, *error = NULL;

	if (!next_value(c, &greeting, e))
		return false;
	/* One session too many, say. */
	if (json_object_is_type(greeting, json_type_object) && json_object_object_get_ex(greeting, "error", &error)) {
		if (e)
			take_error(error, e);
		return false;
	}
	qmp = json_get_typed(greeting, "QMP", json_type_object);
	if (!qmp)
		return err_set(e, ERR_UNAVAILABLE, "what answers at '%s' is no drover daemon", c->path);
	c->epoch = xstrdup(json_get_str(qmp, "epoch"));
	return client_call(c, "qmp_capabilities", NULL, &nothing, e);
}

static struct client *open_session(int fd, pid_t ssh, const char *path, struct err **e)
{
	_cleanup_(client_freep) struct client *c = xcalloc(1, sizeof(*c));
	/* ssh may have to be told a password first, and has patience of its own. */
	struct timeval patience = { .tv_sec = ssh ? 0 : GREETING_SECONDS }, forever = { 0 };

	c->fd = fd;
	c->ssh = ssh;
	c->path = xstrdup(path);
	c->reader = json_reader_new(&json_limits_qemu);
	c->buffer = xcalloc(1, BUFFER);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (!greet(c, e))
		return NULL;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof(forever));
	return TAKE_PTR(c);
}

struct client *client_new(int fd, const char *path, struct err **e)
{
	return open_session(fd, 0, path, e);
}

struct client *client_free(struct client *c)
{
	if (!c)
		return NULL;
	fd_close(c->fd);
	json_reader_free(c->reader);
	free(c->buffer);
	free(c->path);
	free(c->epoch);
	free(c);
	return NULL;
}

/* A connected socket, or the negative errno. */
static int dial(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = -1;
	size_t len = strlen(path);

	if (len >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, len);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	while (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		if (errno != EINTR)
			return -errno;
	return TAKE_FD(fd);
}

int client_dial(const char *option, char **path, struct err **e)
{
	_cleanup_(argv_freep) char **paths = client_paths(option, getenv("DROVER_SOCKET"), getenv("XDG_RUNTIME_DIR"));
	_cleanup_free_ char *tried = NULL;
	bool denied = false;

	for (char **p = paths; *p; p++) {
		int fd = dial(*p);
		char *more;

		if (fd >= 0) {
			*path = xstrdup(*p);
			return fd;
		}
		denied |= fd == -EACCES;
		more = xasprintf("%s%s'%s' (%s)", tried ? tried : "", tried ? ", " : "", *p,
				 fd == -ENAMETOOLONG ? "longer than 107 bytes" : strerror(-fd));
		free(tried);
		tried = more;
	}
	err_set(e, ERR_UNAVAILABLE, "no daemon answers; tried %s", tried ? tried : "nothing");
	if (e && denied)
		err_add(*e, "hint", json_object_new_string("the socket is for root and the group 'drover'"));
	return -1;
}

/* The host that was named, or NULL; false if a socket was as well. */
static bool choose_host(const char *socket, const char *option, const char **host, struct err **e)
{
	const char *drover_socket = getenv("DROVER_SOCKET"), *drover_host = getenv("DROVER_HOST");

	*host = NULL;
	if (!str_empty(socket) && !str_empty(option))
		return err_set_usage(e, xstrdup("name one of them"), "'--socket' and '--host' are two daemons");
	if (!str_empty(option))
		*host = option;
	if (!str_empty(socket) || !str_empty(option) || str_empty(drover_host))
		return true;
	*host = drover_host;
	return str_empty(drover_socket) || err_set_usage(e, xstrdup("unset one of them, or say --socket or --host"),
							 "DROVER_SOCKET and DROVER_HOST are two daemons");
}

struct client *client_open(const char *socket, const char *host, struct err **e)
{
	_cleanup_free_ char *path = NULL;
	const char *chosen;
	pid_t ssh = 0;
	int fd;

	if (!choose_host(socket, host, &chosen, e))
		return NULL;
	fd = chosen ? remote_dial(chosen, &ssh, e) : client_dial(socket, &path, e);
	return fd < 0 ? NULL : open_session(fd, ssh, chosen ? chosen : path, e);
}

const char *client_path(const struct client *c)
{
	return c->path;
}

const char *client_epoch(const struct client *c)
{
	return c->epoch;
}

void client_on_event(struct client *c, void (*fn)(struct json_object *event, void *data), void *data)
{
	c->event = fn;
	c->event_data = data;
}

bool client_send(struct client *c, const char *command, struct json_object *arguments, int64_t *id, struct err **e)
{
	if (!send_request(c, command, arguments, e))
		return false;
	*id = c->id;
	return true;
}

void client_on_reply(struct client *c, void (*fn)(struct json_object *reply, void *data), void *data)
{
	c->reply = fn;
	c->reply_data = data;
}

bool client_take(struct client *c, struct err **e)
{
	bool read = c->len > 0; /* what was left over is enough for this time */

	for (;;) {
		_cleanup_json_ struct json_object *value = NULL;
		bool whole = false;

		if (!whole_value(c, &value, &whole, e))
			return false;
		if (whole) {
			see(c, value);
			continue;
		}
		if (read)
			return true;
		if (!fill(c, e))
			return false;
		read = true;
	}
}

bool client_buffered(const struct client *c)
{
	for (size_t i = 0; i < c->len; i++)
		if (!strchr(" \t\r\n", c->data[i]))
			return true;
	return false;
}

int client_fd(const struct client *c)
{
	return c->fd;
}

int client_detach(struct client *c, char **rest, size_t *len)
{
	int fd = TAKE_FD(c->fd);

	*rest = xmemdup(c->data, c->len);
	*len = c->len;
	client_free(c);
	return fd;
}
