/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/quarantine.h"

#include "base/file.h"
#include "base/file_work.h"
#include "base/log.h"
#include "runtime/prepare.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char quarantine[] = "quarantine";
/* What a copy is called until it is whole. */
#define NEW ".new-"

enum { KEEP_MS = 60000, LINES_MAX = 1024, PORTION = 65536 };

/* Ours, or QEMU's as we told it to; gone by then or not. */
static const char *const expected[] = { COPY_OF_KERNEL, COPY_OF_INITRD };

static bool is_dots(const char *name)
{
	return str_eq(name, ".") || str_eq(name, "..");
}

static bool is_expected(const struct dirent *d)
{
	if (is_dots(d->d_name))
		return true;
	if (d->d_type != DT_REG && d->d_type != DT_UNKNOWN)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		if (str_eq(expected[i], d->d_name))
			return true;
	return displays_is_ours(d->d_name);
}

/* DIR/quarantine, made if it is missing. */
static int open_place(int dir, struct err **e)
{
	int fd;

	if (mkdirat(dir, quarantine, 0700) < 0 && errno != EEXIST) {
		err_set_errno(e, ERR_GENERIC, errno, "cannot make directory 'quarantine'");
		return -1;
	}
	fd = openat(dir, quarantine, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		err_set_errno(e, ERR_GENERIC, errno, "cannot open directory 'quarantine'");
	return fd;
}

/* ---- keeping, on the thread pool ---- */

struct keeping {
	struct runtime *rt;
	char *entry;  /* NAME-TIME */
	int from, to; /* run/quarantine, lib/quarantine */
	unsigned files, lines, there;
	uint64_t bytes;
	FILE *list;
};

/* A line of `list`, in which a name is no more than text. */
static void note(struct keeping *k, const char *path, const struct stat *st, const char *what)
{
	if (++k->lines > LINES_MAX)
		return;
	fprintf(k->list, "%06o %u:%u %" PRId64 " %s ", (unsigned)st->st_mode, st->st_uid, st->st_gid,
		(int64_t)st->st_size, what);
	for (const char *p = path; *p; p++)
		fputc((unsigned char)*p > ' ' && (unsigned char)*p < 127 ? *p : '?', k->list);
	fputc('\n', k->list);
}

/* As much of it as there is room for. */
static bool copy_bytes(int from, int to, uint64_t room)
{
	char portion[PORTION];
	ssize_t n = 0;

	while (room > 0) {
		n = read(from, portion, room < sizeof(portion) ? room : sizeof(portion));
		if (n <= 0)
			break;
		if (write(to, portion, (size_t)n) != n)
			return false;
		room -= (uint64_t)n;
	}
	return n >= 0;
}

static bool copy_file(struct keeping *k, int from, int to, const char *name, const char *path, struct err **e)
{
	_cleanup_close_ int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), out = -1;
	uint64_t room = QUARANTINE_BYTES - k->bytes, size;
	struct stat st = { 0 };

	/* A second name may be that of a file that is none of its business. */
	if (in < 0 || fstat(in, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1 || k->files == QUARANTINE_FILES) {
		note(k, path, &st, "left");
		return true;
	}
	room = room < QUARANTINE_FILE_BYTES ? room : QUARANTINE_FILE_BYTES;
	size = (uint64_t)st.st_size < room ? (uint64_t)st.st_size : room;
	out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
	if (out < 0 || !copy_bytes(in, out, size) || fsync(out) < 0)
		return err_set_errno(e, ERR_GENERIC, errno, "cannot copy a file");
	k->files++;
	k->bytes += size;
	note(k, path, &st, size == (uint64_t)st.st_size ? "kept" : "cut");
	return true;
}

static bool copy_dir(struct keeping *k, int from, int to, const char *path, unsigned depth, struct err **e);

static bool copy_one(struct keeping *k, int from, int to, const char *name, const char *dir, unsigned depth,
		     struct err **e)
{
	_cleanup_free_ char *path = xasprintf("%s%s%s", dir, *dir ? "/" : "", name);
	_cleanup_close_ int in = -1, out = -1;
	struct stat st;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return true;
	if (S_ISREG(st.st_mode))
		return copy_file(k, from, to, name, path, e);
	note(k, path, &st, S_ISDIR(st.st_mode) && depth < QUARANTINE_DEPTH ? "kept" : "left");
	if (!S_ISDIR(st.st_mode) || depth == QUARANTINE_DEPTH || k->lines > LINES_MAX)
		return true;
	in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (in < 0)
		return true;
	if (mkdirat(to, name, 0700) < 0)
		return err_set_errno(e, ERR_GENERIC, errno, "cannot make a directory");
	out = file_open_dir(to, name, e);
	return out >= 0 && copy_dir(k, TAKE_FD(in), out, path, depth + 1, e);
}

/* Consumes FROM. */
static bool copy_dir(struct keeping *k, int from, int to, const char *path, unsigned depth, struct err **e)
{
	DIR *dir = fdopendir(from);
	bool ok = true;

	if (!dir) {
		fd_close(from);
		return err_set_errno(e, ERR_GENERIC, errno, "cannot read a directory");
	}
	for (struct dirent *d; ok && k->lines <= LINES_MAX && (d = readdir(dir));)
		ok = is_dots(d->d_name) || copy_one(k, dirfd(dir), to, d->d_name, path, depth, e);
	closedir(dir);
	return ok;
}

/* ENTRY as it will be, in NEW, an empty directory. */
static bool fill(struct keeping *k, int new, struct err **e)
{
	_cleanup_free_ char *text = NULL;
	size_t length = 0;
	int from = openat(k->from, k->entry, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_close_ int q = -1;
	bool ok;

	if (from < 0)
		return err_set_errno(e, ERR_GENERIC, errno, "cannot open it");
	if (mkdirat(new, "q", 0700) < 0)
		err_set_errno(e, ERR_GENERIC, errno, "cannot make a directory");
	else
		q = file_open_dir(new, "q", e);
	k->list = q >= 0 ? open_memstream(&text, &length) : NULL;
	if (!k->list) {
		fd_close(from);
		return false;
	}
	ok = copy_dir(k, from, q, "", 0, e);
	if (k->lines > LINES_MAX)
		fputs("and more\n", k->list);
	fclose(k->list);
	return ok && file_write(new, "list", text, 0400, true, e);
}

static void count_one(const char *name, void *data)
{
	((struct keeping *)data)->there++;
}

/* A former life has put it in place, and did not live to remove what it was copied from. What is in it is told anew. */
static bool is_kept(struct keeping *k)
{
	_cleanup_free_ char *name = xasprintf("%s/list", k->entry), *text = NULL;
	char *save = NULL;

	if (faccessat(k->to, k->entry, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	file_read(k->to, name, FILE_JSON_MAX, &text, NULL, NULL);
	for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save)) {
		/* No path has a space in it there. */
		k->files += S_ISREG(strtoul(line, NULL, 8)) && !strstr(line, " left ");
	}
	return true;
}

static bool keep(void *data, struct err **e)
{
	struct keeping *k = data;
	_cleanup_free_ char *tmp = xasprintf(NEW "%s", k->entry);
	_cleanup_close_ int new = -1;
	bool ok;

	if (is_kept(k))
		return file_remove_tree(k->from, k->entry, e);
	if (!file_remove_tree(k->to, tmp, e) || !file_list(k->to, count_one, k, e))
		return false;
	if (k->there >= QUARANTINE_MAX) {
		err_set(e, ERR_NO_SPACE, "%u are kept already, which is the limit: look at them and remove them",
			k->there);
		file_remove_tree(k->from, k->entry, NULL);
		return false;
	}
	if (mkdirat(k->to, tmp, 0700) < 0)
		return err_set_errno(e, ERR_GENERIC, errno, "cannot make directory '%s'", tmp);
	new = file_open_dir(k->to, tmp, e);
	ok = new >= 0 && fill(k, new, e);
	if (ok && (renameat(k->to, tmp, k->to, k->entry) < 0 || fsync(k->to) < 0))
		ok = err_set_errno(e, ERR_GENERIC, errno, "cannot put '%s' in place", k->entry);
	if (!ok) {
		file_remove_tree(k->to, tmp, NULL);
		return false;
	}
	return file_remove_tree(k->from, k->entry, e);
}

/* ---- an operation of its own, which nobody waits for ---- */

static struct keeping *keeping_free(struct keeping *k)
{
	free(k->entry);
	fd_close(k->from);
	fd_close(k->to);
	free(k);
	return NULL;
}

static enum verdict keep_run(struct op *op, void *arg)
{
	return file_work(op, keep, arg, NULL);
}

static bool on_begin(struct op *op)
{
	static const struct step step = { "keep what was left", keep_run, .timeout_ms = KEEP_MS };

	op_add(op, &step, op->owner);
	return true;
}

static void on_done(struct op *op)
{
	struct keeping *k = op->owner;
	_cleanup_free_ char *path = xasprintf("%s/%s/%s", k->rt->dirs.lib, quarantine, k->entry);
	_cleanup_free_ char *name = xstrndup(k->entry, (size_t)(strrchr(k->entry, '-') - k->entry));

	k->rt->ops->quarantined(name, path, k->files, op->err, k->rt->data);
	keeping_free(k);
	op_free(op);
}

/* ENTRY of run/quarantine, whose descriptor FROM is; consumes FROM. */
static void begin(struct runtime *rt, const char *entry, int from)
{
	static const struct op_ops ops = { .begin = on_begin, .done = on_done };
	_cleanup_err_ struct err *e = NULL;
	struct keeping *k = xcalloc(1, sizeof(*k));
	_cleanup_close_ int lib = file_open_dir(AT_FDCWD, rt->dirs.lib, &e);
	struct op *op;

	*k = (struct keeping){ .rt = rt, .entry = xstrdup(entry), .from = from, .to = -1 };
	if (lib >= 0)
		k->to = open_place(lib, &e);
	if (k->to < 0) {
		log_write(LOG_WARNING, "quarantine", "'%s' cannot be kept: %s", entry, e->desc);
		keeping_free(k);
		return;
	}
	op = op_new(rt->loop, &ops, k);
	op->name = quarantine;
	op->id = k->entry;
	op_start(op);
}

/* ---- what is to be kept ---- */

static bool has_unexpected(int run_dir)
{
	_cleanup_close_ int fd = openat(run_dir, "q", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	bool found = false;

	if (!dir)
		return false;
	(void)TAKE_FD(fd);
	for (struct dirent *d; !found && (d = readdir(dir));)
		found = !is_expected(d);
	closedir(dir);
	return found;
}

/* "web1-20261129T115316.042Z" */
static char *entry_name(const char *name, unsigned later)
{
	struct timespec now;
	struct tm tm;
	char text[32];

	clock_gettime(CLOCK_REALTIME, &now);
	now.tv_nsec += (long)later * 1000000;
	now.tv_sec += now.tv_nsec / 1000000000;
	gmtime_r(&now.tv_sec, &tm);
	strftime(text, sizeof(text), "%Y%m%dT%H%M%S", &tm);
	return xasprintf("%s-%s.%03ldZ", name, text, now.tv_nsec % 1000000000 / 1000000);
}

/* Its name in PLACE, the caller's; NULL if it could not be moved. */
static char *move(const char *name, int run_dir, int place, struct err **e)
{
	enum { TRIES = 100 };

	for (unsigned i = 0; i < TRIES; i++) {
		_cleanup_free_ char *entry = entry_name(name, i);

		if (renameat(run_dir, "q", place, entry) == 0)
			return TAKE_PTR(entry);
		if (errno != EEXIST && errno != ENOTEMPTY)
			break;
	}
	err_set_errno(e, ERR_GENERIC, errno, "cannot move it");
	return NULL;
}

static void take(struct runtime *rt, const char *name, int run_dir, struct err **e)
{
	_cleanup_close_ int place = open_place(rt->dirs.run_fd, e);
	_cleanup_free_ char *entry = place >= 0 ? move(name, run_dir, place, e) : NULL;

	if (entry)
		begin(rt, entry, TAKE_FD(place));
}

void quarantine_take(struct runtime *rt, const char *name, int run_dir)
{
	_cleanup_err_ struct err *e = NULL;

	if (has_unexpected(run_dir))
		take(rt, name, run_dir, &e);
	if (e)
		log_write(LOG_WARNING, name, "what QEMU left in its directory is lost: %s", e->desc);
}

static void recover_one(const char *entry, void *data)
{
	struct runtime *rt = data;
	_cleanup_close_ int place = open_place(rt->dirs.run_fd, NULL);

	if (place >= 0 && strrchr(entry, '-'))
		begin(rt, entry, TAKE_FD(place));
}

static void sweep_one(const char *entry, void *data)
{
	if (str_starts(entry, NEW))
		file_remove_tree(*(const int *)data, entry, NULL);
}

void quarantine_recover(struct runtime *rt)
{
	_cleanup_close_ int place = openat(rt->dirs.run_fd, quarantine,
					   O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_close_ int lib = file_open_dir(AT_FDCWD, rt->dirs.lib, NULL);
	_cleanup_close_ int kept = lib < 0 ? -1 : file_open_dir(lib, quarantine, NULL);

	/* After a power cut nothing is in `run` that would be copied again. */
	if (kept >= 0)
		file_list(kept, sweep_one, &kept, NULL);
	if (place >= 0)
		file_list(place, recover_one, rt, NULL);
}
