/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/trace.h"

#include "base/file.h"
#include "base/log.h"
#include "qmp/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct trace {
	int dir, fd; /* fd: -1: not open */
	char *instance, *name, *old;
	size_t size;
	bool torn; /* what the file ends with may be half a line */
	bool told;
};

struct trace *trace_new(int log_dir, const char *name)
{
	struct trace *t = xcalloc(1, sizeof(*t));

	t->dir = log_dir;
	t->fd = -1;
	t->instance = xstrdup(name);
	t->name = xasprintf("%s.trace", name);
	t->old = xasprintf("%s.trace.1", name);
	return t;
}

struct trace *trace_free(struct trace *t)
{
	if (!t)
		return NULL;
	fd_close(t->fd);
	free(t->instance);
	free(t->name);
	free(t->old);
	free(t);
	return NULL;
}

/* ---- writing ---- */

static bool open_file(struct trace *t)
{
	struct stat st;

	t->fd = openat(t->dir, t->name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640);
	if (t->fd < 0)
		return false;
	if (fstat(t->fd, &st) == 0 && S_ISREG(st.st_mode)) {
		t->size = (size_t)st.st_size;
		t->torn = t->size > 0;
		return true;
	}
	t->fd = fd_close(t->fd);
	errno = EINVAL;
	return false;
}

/* A file with room for LEN bytes more. Bounded comes before kept. */
static bool make_room(struct trace *t, size_t len)
{
	if (t->fd < 0 && !open_file(t))
		return false;
	if (t->size + len <= TRACE_FILE_MAX)
		return true;
	if (renameat(t->dir, t->name, t->dir, t->old) < 0 && errno != ENOENT && unlinkat(t->dir, t->name, 0) < 0)
		return false;
	t->fd = fd_close(t->fd);
	return open_file(t);
}

/* Around a message come the line, the list and the reply, and no reader of ours takes more than 128 levels. Of many small
 * values the text is short and the memory, when it is read, is not. */
enum { DEPTH_MAX = 100, VALUES_MAX = 512 };

static bool is_modest(struct json_object *o, unsigned depth, unsigned *values)
{
	if (depth > DEPTH_MAX || ++*values > VALUES_MAX)
		return false;
	if (json_object_is_type(o, json_type_object)) {
		json_object_object_foreach(o, key, value) {
			(void)key;
			if (!is_modest(value, depth + 1, values))
				return false;
		}
	} else if (json_object_is_type(o, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(o); i++)
			if (!is_modest(json_object_array_get_idx(o, i), depth + 1, values))
				return false;
	}
	return true;
}

/* With a newline at both ends; the caller's. */
static char *line_of(int monitor, const struct qmp_message *m)
{
	_cleanup_json_ struct json_object *o = json_object_new_object(), *message = secrets_blank(m);
	_cleanup_free_ char *head = NULL, *text = NULL;
	unsigned values = 0;
	bool cut;

	text = json_print_head(message, TRACE_MESSAGE_MAX, &cut);
	json_add_time(o, "time", time_now());
	json_add_str(o, "direction", m->sent ? "out" : "in");
	json_add_int(o, "monitor", monitor);
	if (m->id)
		json_add_int(o, "id", m->id);
	json_add_str(o, "name", m->name);
	if (m->latency >= 0)
		json_add_time(o, "latency", m->latency);
	if (!str_empty(m->operation))
		json_add_str(o, "operation", m->operation);
	if (m->descriptor)
		json_add_bool(o, "descriptor", true);
	if (cut)
		json_add_bool(o, "cut", true);
	if (cut || !is_modest(message, 0, &values)) {
		json_add_str(o, "message", text);
		head = json_print(o);
		return xasprintf("\n%s\n", head);
	}
	head = json_print(o);
	return xasprintf("\n%.*s,\"message\":%s}\n", (int)strlen(head) - 1, head, text);
}

void trace_put(struct trace *t, int monitor, const struct qmp_message *m)
{
	_cleanup_free_ char *line = line_of(monitor, m);
	size_t len = strlen(line);
	const char *from;
	ssize_t put = -1;

	if (make_room(t, len)) {
		from = t->torn ? line : line + 1; /* an empty line is nobody's, either */
		len = strlen(from);
		do
			put = write(t->fd, from, len);
		while (put < 0 && errno == EINTR);
		t->torn = put != (ssize_t)len;
		t->size += put > 0 ? (size_t)put : 0;
		if (!t->torn)
			return;
	}
	if (!t->told)
		log_write(LOG_WARNING, t->instance, "cannot write '%s': %s; messages will be missing in it", t->name,
			  put < 0 ? strerror(errno) : "no room for more");
	t->told = true;
}

/* ---- reading ---- */

/* A line whose members have the types that query-trace promises; the caller's. NULL: it is none of ours. */
static struct json_object *entry_of(const char *line, size_t len)
{
	static const struct {
		const char *name;
		enum json_type type;
		bool required;
	} members[] = {
		{ "time", json_type_double, true },       { "direction", json_type_string, true },
		{ "monitor", json_type_int, true },       { "id", json_type_int, false },
		{ "name", json_type_string, false },      { "latency", json_type_double, false },
		{ "operation", json_type_string, false }, { "descriptor", json_type_boolean, false },
		{ "cut", json_type_boolean, false },
	};
	_cleanup_json_ struct json_object *o = NULL;
	struct json_object *value;

	if (len == 0 || !json_parse(line, len, &json_limits_qemu, &o, NULL) ||
	    !json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, "message", NULL))
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		if (json_object_object_get_ex(o, members[i].name, &value) ?
			    !json_object_is_type(value, members[i].type) :
			    members[i].required)
			return NULL;
	}
	return TAKE_PTR(o);
}

/* Before a line is decoded, which takes most of the time: whether it may be wanted. Lines of ours begin with their time. */
static bool may_be_wanted(const char *line, size_t len, double since, const char *operation)
{
	static const char begin[] = "{\"time\":";

	if (operation && !memmem(line, len, operation, strlen(operation)))
		return false;
	return !str_starts(line, begin) || (double)strtoll(line + sizeof(begin) - 1, NULL, 10) >= floor(since);
}

/* Appends what is wanted of one file; one that is not there is empty. */
static bool read_file(int dir, const char *name, double since, const char *operation, struct json_object *list,
		      struct err **e)
{
	_cleanup_free_ char *text = NULL;
	struct err *inner = NULL;
	size_t len;
	bool cut;

	if (!file_read_tail(dir, name, TRACE_FILE_MAX, &text, &len, &cut, &inner)) {
		if (inner->class != ERR_NOT_FOUND) {
			err_keep_first(e, inner);
			return false;
		}
		err_free(inner);
		return true;
	}
	for (const char *p = text, *end = text + len; p < end;) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = nl ? (size_t)(nl - p) : (size_t)(end - p);
		struct json_object *entry = may_be_wanted(p, n, since, operation) ? entry_of(p, n) : NULL;

		if (entry && json_get_double(entry, "time", 0) > since &&
		    (!operation || str_eq(json_get_str(entry, "operation"), operation)))
			json_object_array_add(list, TAKE_PTR(entry));
		json_object_put(entry);
		p += n + 1;
	}
	return true;
}

bool trace_read(int log_dir, const char *name, double since, const char *operation, struct json_object **ret,
		struct err **e)
{
	_cleanup_free_ char *now = xasprintf("%s.trace", name), *old = xasprintf("%s.trace.1", name);
	_cleanup_json_ struct json_object *list = json_object_new_array();

	if (!read_file(log_dir, old, since, operation, list, e) || !read_file(log_dir, now, since, operation, list, e))
		return false;
	*ret = TAKE_PTR(list);
	return true;
}
