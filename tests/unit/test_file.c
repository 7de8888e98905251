/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/file.h"

#include "loop.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

static struct world {
	char path[64];
	int dir;
	struct err *err;
	char *text;
	size_t len;
} w;

/* ---- a directory of the test's own ---- */

static void clear(void)
{
	w.err = err_free(w.err);
	free(w.text);
	w.text = NULL;
	w.len = 0;
}

static void setup(void)
{
	memset(&w, 0, sizeof(w));
	loop_open();
	strcpy(w.path, "/tmp/drover-unit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(w.path));
	w.dir = open(w.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(w.dir, 0);
}

static void teardown(void)
{
	clear();
	close(w.dir);
	ck_assert(file_remove_tree(AT_FDCWD, w.path, NULL));
	ck_assert_int_lt(access(w.path, F_OK), 0);
	loop_end();
}

static void put_bytes(const char *name, const char *bytes, size_t n)
{
	int fd = openat(w.dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_eq(write(fd, bytes, n), (ssize_t)n);
	close(fd);
}

static void put(const char *name, const char *text)
{
	put_bytes(name, text, strlen(text));
}

static void make_dir(const char *name)
{
	ck_assert_int_eq(mkdirat(w.dir, name, 0700), 0);
}

static bool exists(const char *name)
{
	return faccessat(w.dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void assert_holds(const char *name, const char *text)
{
	clear();
	ck_assert_msg(file_read(w.dir, name, FILE_MAX, &w.text, &w.len, &w.err), "%s", w.err ? w.err->desc : "");
	ck_assert_str_eq(w.text, text);
	ck_assert_uint_eq(w.len, strlen(text));
}

/* It failed, with an error that names the file. */
static void assert_error(bool ok, enum err_class class, const char *name)
{
	_cleanup_free_ char *quoted = xasprintf("'%s'", name);

	ck_assert(!ok);
	ck_assert_ptr_nonnull(w.err);
	ck_assert_msg(w.err->class == class, "%s", w.err->desc);
	ck_assert_msg(strstr(w.err->desc, quoted), "%s", w.err->desc);
	ck_assert_ptr_null(w.text);
	clear();
}

static int count_entries(void)
{
	DIR *dir = opendir(w.path);
	int n = -2;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* ---- reading ---- */

static bool read_it(const char *name, size_t max)
{
	return file_read(w.dir, name, max, &w.text, &w.len, &w.err);
}

START_TEST(test_read)
{
	static const char bytes[] = "a\0b";
	char *text = NULL;

	put("f", "hello");
	ck_assert(file_read(w.dir, "f", 100, &text, NULL, NULL));
	ck_assert_str_eq(text, "hello");
	free(text);
	put_bytes("nul", bytes, 3);
	ck_assert(read_it("nul", 100));
	ck_assert_uint_eq(w.len, 3);
	ck_assert_int_eq(memcmp(w.text, bytes, 4), 0);
	clear();
	put("empty", "");
	ck_assert(read_it("empty", 0));
	ck_assert_uint_eq(w.len, 0);
	ck_assert_str_eq(w.text, "");
}
END_TEST

START_TEST(test_read_limit)
{
	enum { SIZE = 100000 };
	char *big = xcalloc(SIZE, 1);

	memset(big, 'x', SIZE);
	put_bytes("big", big, SIZE);
	ck_assert(read_it("big", SIZE));
	ck_assert_uint_eq(w.len, SIZE);
	ck_assert_int_eq(memcmp(w.text, big, SIZE), 0);
	clear();
	assert_error(read_it("big", SIZE - 1), ERR_GENERIC, "big");
	assert_error(read_it("big", 10), ERR_GENERIC, "big");
	assert_error(read_it("big", 0), ERR_GENERIC, "big");
	free(big);
}
END_TEST

/* None of them is waited for, or followed. */
START_TEST(test_read_what_is_no_file)
{
	bool cut;

	put("file", "secret");
	make_dir("dir");
	ck_assert_int_eq(mkfifoat(w.dir, "fifo", 0600), 0);
	ck_assert_int_eq(symlinkat("file", w.dir, "link"), 0);
	assert_error(read_it("dir", 100), ERR_GENERIC, "dir");
	assert_error(read_it("fifo", 100), ERR_GENERIC, "fifo");
	assert_error(read_it("link", 100), ERR_GENERIC, "link");
	assert_error(read_it("absent", 100), ERR_NOT_FOUND, "absent");
	assert_error(read_it("/dev/zero", 100), ERR_GENERIC, "/dev/zero");
	assert_error(read_it("/proc/self/mem", 100), ERR_GENERIC, "/proc/self/mem");
	assert_error(file_read_tail(w.dir, "fifo", 100, &w.text, &w.len, &cut, &w.err), ERR_GENERIC, "fifo");
	assert_error(file_read_tail(w.dir, "link", 100, &w.text, &w.len, &cut, &w.err), ERR_GENERIC, "link");
	assert_error(file_read_tail(w.dir, "absent", 100, &w.text, &w.len, &cut, &w.err), ERR_NOT_FOUND, "absent");
	ck_assert(!file_read(w.dir, "absent", 100, &w.text, &w.len, NULL));
}
END_TEST

static const struct {
	size_t max;
	const char *text;
	bool cut;
} tails[] = {
	{ 100, "0123456789", false },
	{ 10, "0123456789", false },
	{ 9, "123456789", true },
	{ 1, "9", true },
	{ 0, "", true },
	{ SIZE_MAX, "0123456789", false },
	{ SIZE_MAX / 2, "0123456789", false },
};

START_TEST(test_tail)
{
	bool cut = !tails[_i].cut;

	put("log", "0123456789");
	ck_assert(file_read_tail(w.dir, "log", tails[_i].max, &w.text, &w.len, &cut, &w.err));
	ck_assert_str_eq(w.text, tails[_i].text);
	ck_assert_uint_eq(w.len, strlen(tails[_i].text));
	ck_assert_int_eq(cut, tails[_i].cut);
}
END_TEST

START_TEST(test_tail_of_nothing)
{
	bool cut = true;

	put("log", "");
	ck_assert(file_read_tail(w.dir, "log", 100, &w.text, &w.len, &cut, &w.err));
	ck_assert_str_eq(w.text, "");
	ck_assert(!cut);
}
END_TEST

static const char *const not_json[] = { "",      "  \n", "{\"a\": 1", "{\"a\": 1}}", "{} {}",
					"hello", "[1]",  "null",      "\"text\"",    "{'a': 1}" };

START_TEST(test_json)
{
	struct json_object *o = NULL;

	put("good.json", "{\"a\": [1, 2]}\n");
	ck_assert(file_read_json(w.dir, "good.json", &o, &w.err));
	ck_assert_int_eq(json_object_array_length(json_get_typed(o, "a", json_type_array)), 2);
	ck_assert(file_write_json(w.dir, "again.json", o, 0600, &w.err));
	json_object_put(o);
	assert_holds("again.json", "{\"a\":[1,2]}");
	clear();
	assert_error(file_read_json(w.dir, "absent.json", &o, &w.err), ERR_NOT_FOUND, "absent.json");
}
END_TEST

START_TEST(test_not_json)
{
	struct json_object *o = NULL;

	put("bad.json", not_json[_i]);
	assert_error(file_read_json(w.dir, "bad.json", &o, &w.err), ERR_GENERIC, "bad.json");
	ck_assert_ptr_null(o);
	ck_assert(!file_read_json(w.dir, "bad.json", &o, NULL));
}
END_TEST

/* ---- writing ---- */

START_TEST(test_write)
{
	struct stat before, after;
	char buf[16] = "";
	int fd;

	umask(0);
	ck_assert(file_write(w.dir, "f", "one", 0640, _i, &w.err));
	assert_holds("f", "one");
	fstatat(w.dir, "f", &before, 0);
	ck_assert_int_eq(before.st_mode & 07777, 0640);
	/* who has it open keeps the old one, whole */
	fd = openat(w.dir, "f", O_RDONLY | O_CLOEXEC);
	ck_assert(file_write(w.dir, "f", "two and more", 0600, _i, &w.err));
	assert_holds("f", "two and more");
	fstatat(w.dir, "f", &after, 0);
	ck_assert_int_eq(after.st_mode & 07777, 0600);
	ck_assert(before.st_ino != after.st_ino);
	ck_assert_int_eq(read(fd, buf, sizeof(buf)), 3);
	ck_assert_str_eq(buf, "one");
	close(fd);
	ck_assert_int_eq(count_entries(), 1);
}
END_TEST

START_TEST(test_write_fails)
{
	const struct rlimit limit = { 1000, RLIM_INFINITY }, none = { RLIM_INFINITY, RLIM_INFINITY };
	char *big = xcalloc(100001, 1);
	bool ok;

	memset(big, 'x', 100000);
	put("f", "old");
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ok = file_write(w.dir, "f", big, 0600, _i, &w.err);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	assert_error(ok, ERR_GENERIC, "f");
	assert_holds("f", "old");
	ck_assert_int_eq(count_entries(), 1);
	free(big);
	clear();
	make_dir("dir");
	put("dir/inner", "x");
	assert_error(file_write(w.dir, "dir", "text", 0600, _i, &w.err), ERR_GENERIC, "dir");
	ck_assert_int_eq(count_entries(), 2);
	ck_assert(!file_write(-1, "f", "text", 0600, _i, &w.err));
	clear();
	ck_assert(!file_write(-1, "f", "text", 0600, _i, NULL));
}
END_TEST

/* What an earlier life left under the temporary's name, or somebody put there. */
START_TEST(test_write_past_leftovers)
{
	static const char *const kinds[] = { "file", "link", "fifo", "hanging link" };
	struct stat st;

	put("elsewhere", "untouched");
	switch (_i) {
	case 0:
		put(".f.new", "a longer text than the one that comes");
		ck_assert_int_eq(fchmodat(w.dir, ".f.new", 0666, 0), 0);
		break;
	case 1:
		ck_assert_int_eq(symlinkat("elsewhere", w.dir, ".f.new"), 0);
		break;
	case 2:
		ck_assert_int_eq(mkfifoat(w.dir, ".f.new", 0600), 0);
		break;
	case 3:
		ck_assert_int_eq(symlinkat("absent", w.dir, ".f.new"), 0);
		break;
	default:
		ck_abort();
	}
	ck_assert_msg(file_write(w.dir, "f", "text", 0600, false, &w.err), "%s: %s", kinds[_i],
		      w.err ? w.err->desc : "");
	assert_holds("f", "text");
	fstatat(w.dir, "f", &st, AT_SYMLINK_NOFOLLOW);
	ck_assert_int_eq(st.st_mode, S_IFREG | 0600);
	assert_holds("elsewhere", "untouched");
	ck_assert_int_eq(count_entries(), 2);
}
END_TEST

/* A link in the way is replaced, not followed. */
START_TEST(test_write_over_a_link)
{
	put("elsewhere", "untouched");
	ck_assert_int_eq(symlinkat("elsewhere", w.dir, "f"), 0);
	ck_assert(file_write(w.dir, "f", "text", 0600, false, &w.err));
	assert_holds("f", "text");
	assert_holds("elsewhere", "untouched");
}
END_TEST

START_TEST(test_sweep)
{
	static const char *const stays[] = { "f", ".f", "f.new", ".new", ".new-f", ".held.json.new" };

	for (size_t i = 0; i < ARRAY_SIZE(stays); i++)
		put(stays[i], "");
	put(".f.new", "hal");
	put(".held.new", "hal");
	file_sweep(w.dir, "held.json");
	for (size_t i = 0; i < ARRAY_SIZE(stays); i++)
		ck_assert(exists(stays[i]));
	ck_assert_int_eq(count_entries(), ARRAY_SIZE(stays));
	file_sweep(w.dir, NULL);
	ck_assert_int_eq(count_entries(), ARRAY_SIZE(stays) - 1);
	file_sweep(-1, NULL);
}
END_TEST

/* ---- removing ---- */

START_TEST(test_remove)
{
	put("f", "x");
	ck_assert(file_remove(w.dir, "f", &w.err));
	ck_assert(!exists("f"));
	ck_assert(file_remove(w.dir, "f", &w.err));
	make_dir("dir");
	ck_assert(!file_remove(w.dir, "dir", &w.err));
	ck_assert_ptr_nonnull(strstr(w.err->desc, "'dir'"));
	ck_assert(exists("dir"));
}
END_TEST

START_TEST(test_remove_tree)
{
	make_dir("outside");
	put("outside/kept", "kept");
	make_dir("t");
	make_dir("t/a");
	make_dir("t/a/b");
	make_dir("t/a/b/c");
	make_dir("t/.hidden");
	put("t/a/b/c/f", "x");
	put("t/a/f", "x");
	put("t/f", "x");
	ck_assert_int_eq(mkfifoat(w.dir, "t/a/fifo", 0600), 0);
	ck_assert_int_eq(symlinkat("../outside", w.dir, "t/to-dir"), 0);
	ck_assert_int_eq(symlinkat("../../outside/kept", w.dir, "t/a/to-file"), 0);
	ck_assert_int_eq(symlinkat("nowhere", w.dir, "t/a/b/to-nothing"), 0);
	ck_assert_int_eq(symlinkat(".", w.dir, "t/a/b/to-itself"), 0);
	ck_assert_msg(file_remove_tree(w.dir, "t", &w.err), "%s", w.err ? w.err->desc : "");
	ck_assert(!exists("t"));
	assert_holds("outside/kept", "kept");
	ck_assert(file_remove_tree(w.dir, "t", &w.err));
	/* one that is a link, or a file */
	ck_assert_int_eq(symlinkat("outside", w.dir, "link"), 0);
	ck_assert(file_remove_tree(w.dir, "link", &w.err));
	ck_assert(!exists("link"));
	assert_holds("outside/kept", "kept");
	put("f", "x");
	ck_assert(file_remove_tree(w.dir, "f", &w.err));
	ck_assert(!exists("f"));
}
END_TEST

/* Deeper than descriptors last. Each level has something beside the next. */
START_TEST(test_remove_deep_tree)
{
	enum { DEPTH = 3000, FDS = 64 };
	struct rlimit limit, few;
	int fd = fcntl(w.dir, F_DUPFD_CLOEXEC, 3);
	bool ok;

	for (int i = 0; i < DEPTH; i++) {
		int inner;

		ck_assert_int_eq(mkdirat(fd, "d", 0700), 0);
		inner = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		ck_assert_int_eq(mkdirat(inner, "e", 0700), 0);
		ck_assert_int_eq(mkdirat(inner, ".0.up", 0700), 0);
		ck_assert_int_eq(mkfifoat(inner, ".0.up/f", 0600), 0);
		close(fd);
		fd = inner;
	}
	close(fd);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	few = (struct rlimit){ FDS, limit.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	ok = file_remove_tree(w.dir, "d", &w.err);
	setrlimit(RLIMIT_NOFILE, &limit);
	ck_assert_msg(ok, "%s", w.err ? w.err->desc : "");
	ck_assert(!exists("d"));
}
END_TEST

/* Also one of the same filesystem. Only with the privilege to mount; the mount ends with the process. */
START_TEST(test_remove_tree_stops_at_mounts)
{
	_cleanup_free_ char *outside = xasprintf("%s/outside", w.path), *inside = xasprintf("%s/t/a/m", w.path);

	make_dir("outside");
	put("outside/kept", "kept");
	make_dir("t");
	make_dir("t/a");
	make_dir("t/a/m");
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return;
	close(w.dir); /* which knows of the old mounts only */
	w.dir = open(w.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (_i)
		ck_assert_int_eq(mount("none", inside, "tmpfs", 0, NULL), 0);
	else
		ck_assert_int_eq(mount(outside, inside, NULL, MS_BIND, NULL), 0);
	if (_i)
		put("t/a/m/kept", "kept");
	assert_error(file_remove_tree(w.dir, "t", &w.err), ERR_GENERIC, "m");
	assert_holds("t/a/m/kept", "kept");
	clear();
	ck_assert_int_eq(umount(inside), 0);
	assert_holds("outside/kept", "kept");
}
END_TEST

/* ---- directories ---- */

START_TEST(test_make_dirs)
{
	_cleanup_free_ char *deep = xasprintf("%s/a/b/c", w.path), *slash = xasprintf("%s/x//y/", w.path),
			    *file = xasprintf("%s/f", w.path), *below = xasprintf("%s/f/g", w.path),
			    *linked = xasprintf("%s/link/z", w.path);
	struct stat st;

	umask(0);
	ck_assert(file_make_dirs(deep, 0700, &w.err));
	fstatat(w.dir, "a/b/c", &st, 0);
	ck_assert_int_eq(st.st_mode, S_IFDIR | 0700);
	fstatat(w.dir, "a/b", &st, 0);
	ck_assert_int_eq(st.st_mode, S_IFDIR | 0755);
	ck_assert(file_make_dirs(deep, 0700, &w.err));
	ck_assert(file_make_dirs(w.path, 0700, &w.err));
	ck_assert(file_make_dirs("/", 0700, &w.err));
	ck_assert(file_make_dirs(slash, 0700, &w.err));
	fstatat(w.dir, "x/y", &st, 0);
	ck_assert_int_eq(st.st_mode, S_IFDIR | 0700);
	put("f", "x");
	assert_error(file_make_dirs(file, 0700, &w.err), ERR_GENERIC, file);
	ck_assert(!file_make_dirs(below, 0700, &w.err));
	clear();
	ck_assert_int_eq(symlinkat("a", w.dir, "link"), 0);
	ck_assert(file_make_dirs(linked, 0700, &w.err));
	ck_assert(exists("a/z"));
}
END_TEST

START_TEST(test_open_dir)
{
	int fd;

	make_dir("d");
	put("f", "x");
	fd = file_open_dir(w.dir, "d", &w.err);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	ck_assert_int_eq(file_open_dir(w.dir, "f", &w.err), -1);
	ck_assert_ptr_nonnull(strstr(w.err->desc, "'f'"));
	clear();
	ck_assert_int_eq(file_open_dir(w.dir, "absent", &w.err), -1);
	ck_assert_int_eq(w.err->class, ERR_NOT_FOUND);
}
END_TEST

static void collect(const char *name, void *data)
{
	strcat(data, name);
	strcat(data, " ");
}

START_TEST(test_list)
{
	char names[256] = "";

	put("b", "");
	put("..c", "");
	put(".a", "");
	make_dir("a");
	put("C", "");
	ck_assert(file_list(w.dir, collect, names, &w.err));
	ck_assert_str_eq(names, "..c .a C a b ");
	names[0] = '\0';
	ck_assert(file_list(w.dir, collect, names, &w.err)); /* again, from the same descriptor */
	ck_assert_str_eq(names, "..c .a C a b ");
	ck_assert(!file_list(-1, collect, names, &w.err));
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, test_read);
	tcase_add_test(tc, test_read_limit);
	tcase_add_test(tc, test_read_what_is_no_file);
	tcase_add_loop_test(tc, test_tail, 0, ARRAY_SIZE(tails));
	tcase_add_test(tc, test_tail_of_nothing);
	tcase_add_test(tc, test_json);
	tcase_add_loop_test(tc, test_not_json, 0, ARRAY_SIZE(not_json));
	tcase_add_loop_test(tc, test_write, 0, 2);
	tcase_add_loop_test(tc, test_write_fails, 0, 2);
	tcase_add_loop_test(tc, test_write_past_leftovers, 0, 4);
	tcase_add_test(tc, test_write_over_a_link);
	tcase_add_test(tc, test_sweep);
	tcase_add_test(tc, test_remove);
	tcase_add_test(tc, test_remove_tree);
	tcase_add_test(tc, test_remove_deep_tree);
	tcase_add_loop_test(tc, test_remove_tree_stops_at_mounts, 0, 2);
	tcase_add_test(tc, test_make_dirs);
	tcase_add_test(tc, test_open_dir);
	tcase_add_test(tc, test_list);
}

int main(void)
{
	return loop_main("file", add, setup, teardown);
}
