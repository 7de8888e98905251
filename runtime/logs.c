/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/logs.h"

#include "base/file.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const suffixes[] = { "log", "console" };
static_assert(ARRAY_SIZE(suffixes) == LOG_KINDS, "one suffix per log");

struct log_watch {
	uv_fs_event_t event;
	struct instance *inst;
	enum log_kind kind;
};

static char *file_name(const char *name, enum log_kind kind, bool old)
{
	return xasprintf("%s.%s%s", name, suffixes[kind], old ? ".1" : "");
}

int logs_open(struct instance *inst, enum log_kind kind, bool empty, struct err **e)
{
	_cleanup_free_ char *name = file_name(inst->name, kind, false), *old = file_name(inst->name, kind, true);
	_cleanup_close_ int fd = openat(inst->rt->dirs.log_fd, name,
					O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		err_set_errno(e, ERR_GENERIC, errno, "cannot open log '%s'", name);
		return -1;
	}
	if (!S_ISREG(st.st_mode)) {
		err_set(e, ERR_GENERIC, "log '%s' is not a regular file", name);
		return -1;
	}
	if (empty && (ftruncate(fd, 0) < 0 || !file_remove(inst->rt->dirs.log_fd, old, NULL))) {
		err_set_errno(e, ERR_GENERIC, errno, "cannot empty log '%s'", name);
		return -1;
	}
	return TAKE_FD(fd);
}

/* What is written between the copy and the truncation is lost: a few bytes of a flood. */
static void rotate(struct instance *inst, enum log_kind kind)
{
	_cleanup_free_ char *name = file_name(inst->name, kind, false), *old = file_name(inst->name, kind, true);
	_cleanup_free_ char *text = NULL;
	_cleanup_err_ struct err *e = NULL;
	_cleanup_close_ int fd = -1, out = -1;
	size_t len;
	bool cut;

	if (!file_read_tail(inst->rt->dirs.log_fd, name, LOG_MAX, &text, &len, &cut, &e)) {
		log_write(LOG_WARNING, inst->name, "%s", e->desc);
		return;
	}
	out = openat(inst->rt->dirs.log_fd, old, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (out < 0 || write(out, text, len) != (ssize_t)len)
		log_write(LOG_WARNING, inst->name, "cannot keep the tail of '%s': %s", name, strerror(errno));
	/* Bounded comes before kept: on a full disk the tail is what goes. */
	fd = openat(inst->rt->dirs.log_fd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || ftruncate(fd, 0) < 0)
		log_write(LOG_WARNING, inst->name, "cannot empty '%s': %s", name, strerror(errno));
}

static void on_grown(uv_fs_event_t *event, const char *filename, int events, int status)
{
	const struct log_watch *w = event->data;
	_cleanup_free_ char *name = file_name(w->inst->name, w->kind, false);
	struct stat st;

	if (fstatat(w->inst->rt->dirs.log_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > LOG_MAX)
		rotate(w->inst, w->kind);
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void logs_watch(struct instance *inst)
{
	for (int kind = 0; kind < LOG_KINDS; kind++) {
		_cleanup_free_ char *name = file_name(inst->name, (enum log_kind)kind, false);
		_cleanup_free_ char *path = xasprintf("%s/%s", inst->rt->dirs.log, name);
		struct log_watch *w;

		if (inst->logs[kind])
			continue;
		w = xcalloc(1, sizeof(*w));
		w->inst = inst;
		w->kind = (enum log_kind)kind;
		uv_fs_event_init(inst->rt->loop, &w->event);
		w->event.data = w;
		inst->logs[kind] = w;
		if (uv_fs_event_start(&w->event, on_grown, path, 0) < 0)
			log_debug("%s: '%s' is not watched", inst->name, path);
		else
			on_grown(&w->event, NULL, 0, 0); /* it may have grown while nobody watched */
	}
}

void logs_unwatch(struct instance *inst)
{
	for (int kind = 0; kind < LOG_KINDS; kind++) {
		if (inst->logs[kind])
			uv_close((uv_handle_t *)&inst->logs[kind]->event, on_closed);
		inst->logs[kind] = NULL;
	}
}

/* The tail of one file; one that is not there is empty. */
static bool tail(int dir, const char *name, size_t max, char **text, size_t *len, bool *cut, struct err **e)
{
	struct err *inner = NULL;

	if (file_read_tail(dir, name, max, text, len, cut, &inner))
		return true;
	if (inner->class != ERR_NOT_FOUND) {
		err_keep_first(e, inner);
		return false;
	}
	err_free(inner);
	*text = xstrdup("");
	*len = 0;
	*cut = false;
	return true;
}

bool logs_tail(const struct instance *inst, enum log_kind kind, size_t max, char **text, size_t *len, bool *cut,
	       struct err **e)
{
	_cleanup_free_ char *name = file_name(inst->name, kind, false), *old_name = file_name(inst->name, kind, true);
	_cleanup_free_ char *now = NULL, *old = NULL;
	struct err *inner = NULL;
	size_t now_len, old_len;
	bool old_cut;

	if (!tail(inst->rt->dirs.log_fd, name, max, &now, &now_len, cut, &inner) ||
	    !tail(inst->rt->dirs.log_fd, old_name, max - now_len, &old, &old_len, &old_cut, &inner)) {
		if (e)
			*e = inner;
		else
			err_free(inner);
		return false;
	}
	*cut |= old_cut;
	*len = old_len + now_len;
	*text = xcalloc(*len + 1, 1);
	memcpy(*text, old, old_len);
	memcpy(*text + old_len, now, now_len);
	return true;
}

/* All that is kept of an instance beside each other. */
static const char *const files[] = { "log", "log.1", "console", "console.1", "trace", "trace.1" };

void logs_rename(int log_dir, const char *name, const char *to)
{
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_free_ char *from = xasprintf("%s.%s", name, files[i]),
				    *file = xasprintf("%s.%s", to, files[i]);

		renameat(log_dir, from, log_dir, file); /* none is fine, and a log is not worth a failure */
	}
}

void logs_remove(int log_dir, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_free_ char *file = xasprintf("%s.%s", name, files[i]);

		file_remove(log_dir, file, NULL);
	}
}
