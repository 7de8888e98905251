/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/events_log.h"

#include "base/file.h"
#include "base/log.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EVENTS_LOG "events.log"

enum { LINE_MAX_BYTES = 64 << 10 };

struct events_watch {
	uv_fs_event_t event;
	struct instance *inst;
};

/* The last event that begins in LINE behind its start: QEMU goes on behind what there was no room for. */
static const char *last_event(const char *line, size_t len)
{
	static const char begin[] = "{\"timestamp\"";
	const char *last = NULL;

	for (const char *p = line; p && (p = memmem(p + 1, len - (size_t)(p + 1 - line), begin, sizeof(begin) - 1));)
		last = p;
	return last;
}

/* SINCE: of when the last one was that is accounted for. */
static void read_line(struct instance *inst, const char *line, size_t len, double since, event_fn *fn)
{
	static const char key[] = "\"event\"";
	_cleanup_json_ struct json_object *o = NULL;
	const char *last;
	struct json_object *stamp;
	const char *name;
	double time;

	/* Most of it is none: json_parse() sees only what may be one. */
	if (len > LINE_MAX_BYTES || !memmem(line, len, key, sizeof(key) - 1))
		return;
	if (!json_parse(line, len, &json_limits_request, &o, NULL)) {
		last = last_event(line, len);
		if (!last || !json_parse(last, len - (size_t)(last - line), &json_limits_request, &o, NULL))
			return;
	}
	name = json_get_str(o, "event");
	stamp = json_get_typed(o, "timestamp", json_type_object);
	time = (double)json_get_int(stamp, "seconds", 0) + (double)json_get_int(stamp, "microseconds", 0) / 1e6;
	if (name && time > since)
		fn(inst, name, json_get_typed(o, "data", json_type_object), time);
}

void events_log_read(struct instance *inst, event_fn *fn)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_err_ struct err *e = NULL;
	double since = inst->heard; /* as it was: one of the future does not hide those behind it */
	size_t len;
	bool cut;

	if (!file_read_tail(inst->run_dir, EVENTS_LOG, FILE_MAX, &text, &len, &cut, &e)) {
		if (e->class != ERR_NOT_FOUND)
			log_write(LOG_WARNING, inst->name, "%s", e->desc);
		return;
	}
	for (const char *p = text, *end = text + len; p < end;) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = nl ? (size_t)(nl - p) : (size_t)(end - p);

		read_line(inst, p, n, since, fn);
		p += n + 1;
	}
}

/* What is written between the look and the truncation has been heard, or is on its way on the first monitor. */
static void on_grown(uv_fs_event_t *event, const char *filename, int events, int status)
{
	struct instance *inst = ((struct events_watch *)event->data)->inst;
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (!qmp_is_ready(inst->qmp) || fstatat(inst->run_dir, EVENTS_LOG, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    st.st_size <= EVENTS_LOG_MAX)
		return;
	fd = openat(inst->run_dir, EVENTS_LOG, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 || ftruncate(fd, 0) < 0)
		log_write(LOG_WARNING, inst->name, "cannot empty '" EVENTS_LOG "': %m");
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void events_log_watch(struct instance *inst)
{
	_cleanup_free_ char *path = xasprintf("%s/instances/%s/" EVENTS_LOG, inst->rt->dirs.run, inst->name);
	struct events_watch *w;

	if (inst->events_watch)
		return;
	w = xcalloc(1, sizeof(*w));
	w->inst = inst;
	uv_fs_event_init(inst->rt->loop, &w->event);
	w->event.data = w;
	inst->events_watch = w;
	if (uv_fs_event_start(&w->event, on_grown, path, 0) < 0)
		log_debug("%s: '%s' is not watched", inst->name, path);
}

void events_log_unwatch(struct instance *inst)
{
	if (inst->events_watch)
		uv_close((uv_handle_t *)&inst->events_watch->event, on_closed);
	inst->events_watch = NULL;
}
