/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/store.h"

#include "base/file.h"
#include "base/file_work.h"
#include "base/log.h"
#include "runtime/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static const char definition_file[] = "definition.json", renamed_file[] = "renamed.json";

/* What a function on the thread pool is given. */
struct work {
	int dir, log_dir; /* lib/instances, log */
	char *name, *to, *text;
};

static void work_free(void *data)
{
	struct work *w = data;

	free(w->name);
	free(w->to);
	free(w->text);
	free(w);
}

static struct work *work_new(const struct runtime *rt, const char *name, const char *to, struct json_object *definition)
{
	struct work *w = xcalloc(1, sizeof(*w));

	w->dir = rt->dirs.lib_instances;
	w->log_dir = rt->dirs.log_fd;
	w->name = xstrdup(name);
	w->to = xstrdup(to);
	w->text = definition ? json_print(definition) : NULL;
	return w;
}

static bool sync_dir(int fd, const char *name, struct err **e)
{
	return fsync(fd) == 0 || err_set_errno(e, ERR_GENERIC, errno, "cannot sync the directory of '%s'", name);
}

/* ---- putting ---- */

static bool write_new(const struct work *w, struct err **e)
{
	_cleanup_free_ char *tmp = xasprintf(".new-%s", w->name);
	_cleanup_close_ int fd = -1;

	if (!file_remove_tree(w->dir, tmp, e))
		return false;
	if (mkdirat(w->dir, tmp, 0700) < 0)
		return err_set_errno(e, ERR_GENERIC, errno, "cannot make directory '%s'", tmp);
	fd = file_open_dir(w->dir, tmp, e);
	if (fd < 0 || !file_write(fd, definition_file, w->text, 0600, true, e)) {
		file_remove_tree(w->dir, tmp, NULL);
		return false;
	}
	if (renameat(w->dir, tmp, w->dir, w->name) < 0 || fsync(w->dir) < 0) {
		err_set_errno(e, ERR_GENERIC, errno, "cannot make directory '%s'", w->name);
		file_remove_tree(w->dir, tmp, NULL);
		return false;
	}
	return true;
}

static bool put(void *data, struct err **e)
{
	const struct work *w = data;
	_cleanup_close_ int fd = openat(w->dir, w->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return write_new(w, e);
	if (fd < 0)
		return err_set_errno(e, ERR_GENERIC, errno, "cannot open directory '%s'", w->name);
	if (!file_write(fd, definition_file, w->text, 0600, true, e))
		return false;
	/* What a rename could not put in place for want of space, say, must not come back over this. */
	if (faccessat(fd, renamed_file, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
		return true;
	return file_remove_tree(fd, renamed_file, e) && sync_dir(fd, w->name, e);
}

enum verdict store_put(struct op *op, struct runtime *rt, const char *name, struct json_object *definition)
{
	return file_work(op, put, work_new(rt, name, NULL, definition), work_free);
}

static bool replace(void *data, struct err **e)
{
	const struct work *w = data;
	_cleanup_err_ struct err *failure = NULL;
	_cleanup_close_ int fd = file_open_dir(w->dir, w->name, &failure);

	if (fd < 0 || !file_write(fd, definition_file, w->text, 0600, true, &failure))
		log_debug("%s: %s", w->name, failure->desc);
	return true;
}

enum verdict store_replace_if_possible(struct op *op, struct runtime *rt, const char *name,
				       struct json_object *definition)
{
	return file_work(op, replace, work_new(rt, name, NULL, definition), work_free);
}

void store_put_undo(struct runtime *rt, const char *name)
{
	_cleanup_free_ char *tmp = xasprintf(".new-%s", name);

	file_remove_tree(rt->dirs.lib_instances, tmp, NULL);
}

static bool has_file(int dir, const char *name, const char *file)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", name, file);

	return faccessat(dir, path, F_OK, 0) == 0;
}

static struct json_object *read_definition(int dir, const char *name, const char *file, struct err **e)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", name, file);
	struct json_object *o = NULL;

	return file_read_json(dir, path, &o, e) ? o : NULL;
}

bool store_has(struct runtime *rt, const char *name, struct json_object *definition)
{
	_cleanup_json_ struct json_object *o = read_definition(rt->dirs.lib_instances, name, definition_file, NULL);

	return o && json_object_equal(o, definition);
}

/* ---- renaming ---- */

static bool prepare(void *data, struct err **e)
{
	const struct work *w = data;
	_cleanup_close_ int fd = file_open_dir(w->dir, w->name, e);

	return fd >= 0 && file_write(fd, renamed_file, w->text, 0600, true, e);
}

enum verdict store_rename_prepare(struct op *op, struct runtime *rt, const char *name, struct json_object *definition)
{
	return file_work(op, prepare, work_new(rt, name, NULL, definition), work_free);
}

void store_rename_undo(struct runtime *rt, const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", name, renamed_file);

	file_remove_tree(rt->dirs.lib_instances, path, NULL);
}

/* The second half: puts the definition with the new name in its place. Until then it is known from it that a rename is
 * under way, and from the old one what the name was: so that goes last. */
static bool settle(int dir, int log_dir, const char *name, const char *to, struct err **e)
{
	_cleanup_close_ int fd = file_open_dir(dir, to, e);

	if (fd < 0)
		return false;
	if (name)
		logs_rename(log_dir, name, to);
	if (renameat(fd, renamed_file, fd, definition_file) < 0)
		return err_set_errno(e, ERR_GENERIC, errno, "cannot put '%s' in place", renamed_file);
	return sync_dir(fd, to, e);
}

/* The new name is on the disk before anything in it relies on that. */
static bool rename_dir(void *data, struct err **e)
{
	const struct work *w = data;

	/* A directory with anything in it is never replaced, and every instance's has something in it. */
	if (renameat(w->dir, w->name, w->dir, w->to) < 0) {
		if (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR)
			return err_set(e, ERR_EXISTS, "there is an instance '%s' already", w->to);
		return err_set_errno(e, ERR_GENERIC, errno, "cannot rename '%s' to '%s'", w->name, w->to);
	}
	if (sync_dir(w->dir, w->to, e) && settle(w->dir, w->log_dir, w->name, w->to, e))
		return true;
	if (has_file(w->dir, w->to, renamed_file) && renameat(w->dir, w->to, w->dir, w->name) == 0)
		logs_rename(w->log_dir, w->to, w->name);
	return false;
}

enum verdict store_rename(struct op *op, struct runtime *rt, const char *name, const char *to)
{
	return file_work(op, rename_dir, work_new(rt, name, to, NULL), work_free);
}

bool store_was_renamed(struct runtime *rt, const char *name, const char *to)
{
	int dir = rt->dirs.lib_instances;

	return faccessat(dir, name, F_OK, 0) < 0 && errno == ENOENT && faccessat(dir, to, F_OK, 0) == 0;
}

/* A definition of NAME, for the instance whose definition is OLD, if that is known. What is none must not take the place
 * of one. */
static bool may_replace(struct json_object *renamed, struct json_object *old, const char *name)
{
	const char *uuid = json_get_str(renamed, "uuid"), *old_uuid = json_get_str(old, "uuid");
	struct definition def;

	if (!uuid || !str_eq(json_get_str(renamed, "name"), name) || (old_uuid && !str_eq(uuid, old_uuid)) ||
	    !definition_decode(renamed, &def, NULL))
		return false;
	definition_clear(&def);
	return true;
}

void store_recover(struct runtime *rt, const char *name)
{
	int dir = rt->dirs.lib_instances;
	_cleanup_err_ struct err *e = NULL, *unread = NULL;
	_cleanup_json_ struct json_object *renamed = read_definition(dir, name, renamed_file, &unread), *old = NULL;
	_cleanup_close_ int fd = file_open_dir(dir, name, NULL);
	const char *was;

	if (fd >= 0)
		file_sweep(fd, NULL);
	if (!renamed && unread->class == ERR_NOT_FOUND)
		return;
	old = read_definition(dir, name, definition_file, NULL);
	was = json_get_str(old, "name");
	if (!may_replace(renamed, old, name)) {
		log_write(LOG_NOTICE, name, "'%s' is dropped: %s", renamed_file,
			  unread ? unread->desc : "it is none of this name");
		store_rename_undo(rt, name);
		return;
	}
	/* A name out of a file is a path only if it is a name. */
	if (!sync_dir(dir, name, &e) ||
	    !settle(dir, rt->dirs.log_fd, was && param_is_name(was) && !str_eq(was, name) ? was : NULL, name, &e))
		log_write(LOG_WARNING, name, "%s", e->desc);
}
