/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool fail(struct err **e, const char *what, const char *name)
{
	return err_set_errno(e, ERR_GENERIC, errno, "cannot %s '%s'", what, name);
}

/* O_NONBLOCK, then a look at what it is: opening a FIFO would wait for its writer. */
static int open_regular(int dirfd, const char *name, off_t *size, struct err **e)
{
	_cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
	struct stat st = { 0 };

	if ((fd < 0 && errno != ELOOP) || (fd >= 0 && fstat(fd, &st) < 0)) {
		fail(e, "open", name);
		return -1;
	}
	if (fd < 0 || !S_ISREG(st.st_mode)) {
		err_set(e, ERR_GENERIC, "'%s' is not a regular file", name);
		return -1;
	}
	*size = st.st_size;
	return TAKE_FD(fd);
}

/* Until END bytes are there, or all; *N are there already. */
static bool read_until(int fd, const char *name, char *text, size_t end, size_t *n, struct err **e)
{
	while (*n < end) {
		ssize_t got = read(fd, text + *n, end - *n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail(e, "read", name);
		if (got == 0)
			break;
		*n += (size_t)got;
	}
	return true;
}

static bool read_all(int fd, const char *name, size_t max, char **ret, size_t *len, struct err **e)
{
	_cleanup_free_ char *text = NULL;
	size_t n = 0, room = 0;

	do {
		room = room ? room * 2 : 4096;
		text = xrealloc(text, room, 1);
		if (!read_until(fd, name, text, room - 1, &n, e))
			return false;
		if (n > max)
			return err_set(e, ERR_GENERIC, "'%s' is larger than %zu bytes", name, max);
	} while (n + 1 == room);
	text[n] = '\0';
	*ret = TAKE_PTR(text);
	if (len)
		*len = n;
	return true;
}

bool file_read(int dirfd, const char *name, size_t max, char **ret, size_t *len, struct err **e)
{
	off_t size;
	_cleanup_close_ int fd = open_regular(dirfd, name, &size, e);

	return fd >= 0 && read_all(fd, name, max, ret, len, e);
}

bool file_read_tail(int dirfd, const char *name, size_t max, char **ret, size_t *len, bool *cut, struct err **e)
{
	off_t size;
	_cleanup_close_ int fd = open_regular(dirfd, name, &size, e);
	_cleanup_free_ char *text = NULL;
	size_t n = 0;

	if (fd < 0)
		return false;
	*cut = (uint64_t)size > max;
	if (!*cut)
		max = (size_t)size;
	text = xcalloc(max + 1, 1);
	if (lseek(fd, size - (off_t)max, SEEK_SET) < 0)
		return fail(e, "read", name);
	if (!read_until(fd, name, text, max, &n, e))
		return false;
	*ret = TAKE_PTR(text);
	*len = n;
	return true;
}

bool file_read_json(int dirfd, const char *name, struct json_object **ret, struct err **e)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ struct json_object *o = NULL;
	struct err *inner = NULL;
	size_t len = 0;

	if (!file_read(dirfd, name, FILE_JSON_MAX, &text, &len, e))
		return false;
	if (!json_parse(text, len, &json_limits_qemu, &o, &inner)) {
		err_prefix(inner, "'%s'", name);
		if (e)
			*e = inner;
		else
			err_free(inner);
		return false;
	}
	if (!json_object_is_type(o, json_type_object))
		return err_set(e, ERR_GENERIC, "'%s' holds no JSON object", name);
	*ret = TAKE_PTR(o);
	return true;
}

static bool write_all(int fd, const char *text, size_t n)
{
	while (n) {
		ssize_t put = write(fd, text, n);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return false;
		text += put;
		n -= (size_t)put;
	}
	return true;
}

/* What an earlier life left there may be anything. */
static int create(int dirfd, const char *name, mode_t mode)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

	if (fd >= 0 || errno != EEXIST || unlinkat(dirfd, name, 0) < 0)
		return fd;
	return openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
}

bool file_write(int dirfd, const char *name, const char *text, mode_t mode, bool sync, struct err **e)
{
	_cleanup_free_ char *tmp = xasprintf(".%s.new", name);
	_cleanup_close_ int fd = -1;

	fd = create(dirfd, tmp, mode);
	if (fd < 0)
		return fail(e, "create", tmp);
	if (!write_all(fd, text, strlen(text)) || (sync && fsync(fd) < 0) || renameat(dirfd, tmp, dirfd, name) < 0) {
		fail(e, "write", name);
		unlinkat(dirfd, tmp, 0);
		return false;
	}
	if (sync && fsync(dirfd) < 0)
		return fail(e, "sync the directory of", name);
	return true;
}

bool file_write_json(int dirfd, const char *name, struct json_object *o, mode_t mode, struct err **e)
{
	_cleanup_free_ char *text = json_print(o);

	return file_write(dirfd, name, text, mode, false, e);
}

struct sweep {
	int dir;
	char *but;
};

static void sweep_one(const char *name, void *data)
{
	static const char end[] = ".new";
	const struct sweep *s = data;
	size_t n = strlen(name);

	if (name[0] == '.' && n > sizeof(end) && str_eq(name + n - (sizeof(end) - 1), end) && !str_eq(name, s->but))
		unlinkat(s->dir, name, 0);
}

void file_sweep(int dirfd, const char *but)
{
	_cleanup_free_ char *tmp = but ? xasprintf(".%s.new", but) : NULL;
	struct sweep s = { dirfd, tmp };

	file_list(dirfd, sweep_one, &s, NULL); /* what cannot be read is swept by nobody */
}

bool file_remove(int dirfd, const char *name, struct err **e)
{
	if (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
		return fail(e, "remove", name);
	return true;
}

/* Also of a directory bound to another place of the same filesystem. */
static bool is_mount_point(int fd)
{
	struct statx st;

	return statx(fd, "", AT_EMPTY_PATH, 0, &st) < 0 || (st.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

/* FULL: it is a directory, and not empty. */
static bool remove_entry(int dirfd, const char *name, bool *full, struct err **e)
{
	*full = false;
	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return true;
	if (errno == EISDIR && (unlinkat(dirfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT))
		return true;
	*full = errno == ENOTEMPTY || errno == EEXIST;
	return *full || fail(e, "remove", name);
}

/* Moves a directory up, to where another name is free. */
static bool raise_dir(int dirfd, const char *name, int up, unsigned *number, struct err **e)
{
	for (;;) {
		_cleanup_free_ char *free_name = xasprintf(".%u.up", (*number)++);

		if (renameat2(dirfd, name, up, free_name, RENAME_NOREPLACE) == 0)
			return true;
		if (errno != EEXIST)
			return fail(e, "remove", name);
	}
}

static DIR *open_tree(int dirfd, const char *name, struct err **e)
{
	_cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir;

	if (fd < 0) {
		fail(e, "open", name);
		return NULL;
	}
	if (is_mount_point(fd)) {
		err_set(e, ERR_GENERIC, "'%s' is a mount point", name);
		return NULL;
	}
	dir = fdopendir(fd);
	if (!dir)
		fail(e, "read", name);
	else
		TAKE_FD(fd);
	return dir;
}

/* Removes NAME but for the directories in it that are not empty, which go UP. */
static bool flatten(int up, const char *name, unsigned *number, struct err **e)
{
	DIR *dir = open_tree(up, name, e);
	struct dirent *d;
	bool ok = dir, full;

	while (ok && (d = readdir(dir))) {
		if (str_eq(d->d_name, ".") || str_eq(d->d_name, ".."))
			continue;
		ok = remove_entry(dirfd(dir), d->d_name, &full, e) &&
		     (!full || raise_dir(dirfd(dir), d->d_name, up, number, e));
	}
	if (dir)
		closedir(dir);
	return ok && (unlinkat(up, name, AT_REMOVEDIR) == 0 || errno == ENOENT || fail(e, "remove", name));
}

static bool empty_dir(DIR *dir, struct err **e)
{
	unsigned number = 0;
	bool ok = true, full;
	struct dirent *d;

	for (bool again = true; ok && again;) {
		again = false;
		rewinddir(dir);
		while (ok && (d = readdir(dir))) {
			if (str_eq(d->d_name, ".") || str_eq(d->d_name, ".."))
				continue;
			ok = remove_entry(dirfd(dir), d->d_name, &full, e) &&
			     (!full || flatten(dirfd(dir), d->d_name, &number, e));
			again |= full;
		}
	}
	return ok;
}

/* However deep it is: what somebody else has written may be deeper than a stack, and than descriptors last. */
bool file_remove_tree(int dirfd, const char *name, struct err **e)
{
	struct stat st;
	DIR *dir;
	bool ok;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT || fail(e, "remove", name);
	if (!S_ISDIR(st.st_mode))
		return file_remove(dirfd, name, e);
	dir = open_tree(dirfd, name, e);
	if (!dir)
		return false;
	ok = empty_dir(dir, e);
	closedir(dir);
	return ok && (unlinkat(dirfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT || fail(e, "remove", name));
}

static bool make_dir(const char *path, mode_t mode, struct err **e)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return true;
	if (errno == EEXIST) {
		if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
			return true;
		errno = ENOTDIR;
	}
	return fail(e, "make directory", path);
}

bool file_make_dirs(const char *path, mode_t mode, struct err **e)
{
	_cleanup_free_ char *copy = xstrdup(path);

	for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--)
		copy[n - 1] = '\0';
	for (char *p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (!make_dir(copy, 0755, e))
			return false;
		*p = '/';
	}
	return make_dir(copy, mode, e);
}

int file_open_dir(int dirfd, const char *name, struct err **e)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		fail(e, "open directory", name);
	return fd;
}

static int not_dots(const struct dirent *d)
{
	return !str_eq(d->d_name, ".") && !str_eq(d->d_name, "..");
}

bool file_list(int dirfd, void (*fn)(const char *name, void *data), void *data, struct err **e)
{
	struct dirent **names;
	int n = scandirat(dirfd, ".", &names, not_dots, alphasort);

	if (n < 0)
		return fail(e, "read directory", ".");
	for (int i = 0; i < n; i++) {
		fn(names[i]->d_name, data);
		free(names[i]);
	}
	free(names);
	return true;
}

bool file_path_is_normal(const char *path)
{
	if (str_eq(path, "/"))
		return true;
	if (*path != '/')
		return false;
	while (*path) {
		size_t n = strcspn(++path, "/");

		if (n == 0 || (n <= 2 && strspn(path, ".") == n))
			return false;
		path += n;
	}
	return true;
}
