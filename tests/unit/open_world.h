/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For the tests of what opens files: a directory of files, a list of items to be opened, and an operation of one step
 * that has them opened. Included once by a program.
 */
#ifndef DROVER_TESTS_UNIT_OPEN_WORLD_H
#define DROVER_TESTS_UNIT_OPEN_WORLD_H

#include "storage/open.h"

#include "loop.h"

#include <errno.h>
#include <ftw.h>
#include <grp.h>
#include <limits.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

enum { LIMIT_MS = 3600 * 1000, ITEMS_MAX = 8, NOBODY = 65534 };

static struct world {
	char dir[64];
	int dir_fd, q;
	struct open_item items[ITEMS_MAX];
	char *paths[ITEMS_MAX];
	size_t n;
	struct open_owner owner;
	char opener[PATH_MAX];

	struct op *op; /* NULL: done */
	struct err *err;
} w;

/* ---- files ---- */

static inline void put(const char *name, const void *data, size_t size, mode_t mode)
{
	int fd = openat(w.dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	ck_assert_msg(fd >= 0, "%s: %s", name, strerror(errno));
	ck_assert_int_eq(write(fd, data, size), (ssize_t)size);
	ck_assert_int_eq(fchmod(fd, mode), 0);
	close(fd);
}

static inline void put_text(const char *name, const char *text, mode_t mode)
{
	put(name, text, strlen(text), mode);
}

static inline struct stat stat_at(int dir, const char *name)
{
	struct stat st;

	ck_assert_msg(fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0, "%s: %s", name, strerror(errno));
	return st;
}

static inline bool exists_at(int dir, const char *name)
{
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static inline void assert_content(int fd, const char *text)
{
	char found[256] = "";

	ck_assert_int_ge(pread(fd, found, sizeof(found) - 1, 0), 0);
	ck_assert_str_eq(found, text);
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

/* ---- the operation ---- */

static inline enum verdict items_open(struct op *op, void *arg)
{
	return open_items(op, w.opener, w.items, w.n, w.owner.dir >= 0 ? &w.owner : NULL);
}

static inline enum verdict items_close(struct op *op, void *arg)
{
	open_items_close(w.items, w.n);
	return OP_DONE;
}

static inline bool on_begin(struct op *op)
{
	static const struct step step = { "open images", items_open, items_close, .timeout_ms = LIMIT_MS };

	op_add(op, &step, NULL);
	return true;
}

static inline void on_done(struct op *op)
{
	w.err = TAKE_PTR(op->err);
	w.op = NULL;
	op_free(op);
}

/* One item more; NAME is below the directory or absolute. */
static inline struct open_item *add_item(const char *name, unsigned flags)
{
	static const char *const whats[] = { "disks[0]", "disks[1]", "disks[2]", "disks[3]", "disks[4]" };
	struct open_item *item = &w.items[w.n];

	w.paths[w.n] = *name == '/' ? xstrdup(name) : xasprintf("%s/%s", w.dir, name);
	item->what = whats[w.n];
	item->path = w.paths[w.n];
	item->flags = flags;
	item->copy = flags & OPEN_BOOT ? "copy" : NULL;
	w.n++;
	return item;
}

static inline void start(void)
{
	static const struct op_ops ops = { .begin = on_begin, .done = on_done };

	ck_assert_ptr_null(w.err);
	w.op = op_new(&loop, &ops, NULL);
	op_start(w.op);
}

static inline void drop_items(void)
{
	open_items_close(w.items, w.n);
	for (size_t i = 0; i < w.n; i++)
		free(w.paths[i]);
	memset(w.items, 0, sizeof(w.items));
	memset(w.paths, 0, sizeof(w.paths));
	w.n = 0;
	w.err = err_free(w.err);
}

static inline void expect_success(void)
{
	LOOP_UNTIL(!w.op);
	ck_assert_msg(!w.err, "%s", w.err ? w.err->desc : "");
}

/* WORDS are a part of the text. */
static inline void expect_failure(enum err_class class, const char *words)
{
	LOOP_UNTIL(!w.op);
	ck_assert_msg(w.err, "no error, but wanted: %s", words);
	ck_assert_msg(w.err->class == class && strstr(w.err->desc, words), "%s: %s, not %s: %s",
		      err_class_info(w.err->class)->name, w.err->desc, err_class_info(class)->name, words);
	for (size_t i = 0; i < w.n; i++)
		ck_assert(!w.items[i].opened);
}

/* The same of one item; "'PATH': WORDS" is the end of the text. */
static inline void expect_refusal(const char *name, unsigned flags, enum err_class class, const char *words)
{
	_cleanup_free_ char *text = NULL;

	add_item(name, flags);
	text = xasprintf("disks[0]: '%s': %s", w.paths[0], words);
	start();
	expect_failure(class, text);
	ck_assert_str_eq(w.err->desc, text);
	drop_items();
}

/* ---- around the tests ---- */

static inline void find_opener(void)
{
	ssize_t n = readlink("/proc/self/exe", w.opener, sizeof(w.opener) - sizeof("drover-open"));

	ck_assert_int_gt(n, 0);
	w.opener[n] = '\0';
	strcpy(strrchr(w.opener, '/') + 1, "drover-open");
}

static inline void setup(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* and the opener ends without us */
	close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	loop_open();
	umask(022);
	memset(&w, 0, sizeof(w));
	find_opener();
	strcpy(w.dir, "/tmp/drover-open-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(w.dir));
	chmod(w.dir, 0755);
	w.dir_fd = open(w.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(mkdirat(w.dir_fd, "q", 0700), 0);
	w.q = openat(w.dir_fd, "q", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	w.owner = (struct open_owner){ .dir = -1 };
}

static inline void teardown(void)
{
	ck_assert_ptr_null(w.op);
	drop_items();
	close(w.q);
	close(w.dir_fd);
	loop_end(); /* which lasts until each child was reaped */
	nftw(w.dir, remove_one, 10, FTW_DEPTH | FTW_PHYS);
	ck_assert_int_eq(waitpid(-1, NULL, 0), -1);
	ck_assert_int_eq(errno, ECHILD);
}

/* ---- what only some may do ---- */

#define NEEDS(condition, why)                                    \
	do {                                                     \
		if (!(condition)) {                              \
			printf("SKIP: %s: %s\n", __func__, why); \
			return;                                  \
		}                                                \
	} while (0)

/* A mount namespace of this test's own. */
static inline bool own_mounts(void)
{
	return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/* From here on this is nobody, who owns the directory. The descriptor that is the program's path is returned. */
static inline int become_nobody(void)
{
	int fd = open(w.opener, O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	snprintf(w.opener, sizeof(w.opener), "/proc/self/fd/%d", fd);
	ck_assert_int_eq(fchown(w.dir_fd, NOBODY, NOBODY), 0);
	ck_assert_int_eq(fchown(w.q, NOBODY, NOBODY), 0);
	ck_assert_int_eq(setgroups(0, NULL), 0);
	ck_assert_int_eq(setresgid(NOBODY, NOBODY, NOBODY), 0);
	ck_assert_int_eq(setresuid(NOBODY, NOBODY, NOBODY), 0);
	return fd;
}

#endif
