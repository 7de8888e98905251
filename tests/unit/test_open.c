/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What drover-open opens and what it refuses; asserted of the descriptors that came and the files that are there.
 */
#include "open_world.h"

#include "base/json.h"

#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

/* ---- images ---- */

static void assert_descriptor(const struct open_item *item)
{
	struct stat st;
	int flags;

	ck_assert(item->opened);
	flags = fcntl(item->fd, F_GETFL);
	ck_assert_int_eq(flags & O_ACCMODE, item->flags & OPEN_WRITE ? O_RDWR : O_RDONLY);
	ck_assert_int_eq(!(flags & O_DIRECT), !(item->flags & OPEN_DIRECT));
	ck_assert_int_eq(flags & O_NONBLOCK, 0);
	ck_assert_int_eq(fcntl(item->fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fstat(item->fd, &st), 0);
	ck_assert_int_eq(item->block, S_ISBLK(st.st_mode));
	ck_assert_uint_eq(item->dev, S_ISREG(st.st_mode) ? st.st_dev : st.st_rdev);
	ck_assert_uint_eq(item->ino, S_ISREG(st.st_mode) ? st.st_ino : 0);
	ck_assert(!item->copied);
}

START_TEST(test_image)
{
	static char disk[12288] = "what is on it";
	struct open_item *item;

	put("disk", disk, sizeof(disk), 0600);
	item = add_item("disk", (unsigned)_i * OPEN_WRITE);
	ck_assert_uint_eq(item->flags & ~(unsigned)(OPEN_WRITE | OPEN_DIRECT), 0);
	start();
	ck_assert_ptr_nonnull(w.op); /* nobody waited for it */
	expect_success();
	assert_descriptor(item);
	ck_assert_uint_eq(item->ino, stat_at(w.dir_fd, "disk").st_ino);
	ck_assert_uint_eq(item->size, sizeof(disk));
	fcntl(item->fd, F_SETFL, 0);
	assert_content(item->fd, "what is on it");
	ck_assert_int_eq(pwrite(item->fd, "that", 4, 0), item->flags & OPEN_WRITE ? 4 : -1);
}
END_TEST

START_TEST(test_several)
{
	static const char *const names[] = { "a", "b", "c" };

	for (int i = 0; i < 3; i++)
		put_text(names[i], names[i], 0600);
	add_item("c", 0);
	add_item("a", OPEN_WRITE);
	add_item("b", 0);
	start();
	expect_success();
	assert_content(w.items[0].fd, "c");
	assert_content(w.items[1].fd, "a");
	assert_content(w.items[2].fd, "b");
	for (int i = 0; i < 3; i++)
		assert_descriptor(&w.items[i]);
}
END_TEST

START_TEST(test_none)
{
	start();
	expect_success();
}
END_TEST

/* Whoever takes a descriptor keeps it. */
START_TEST(test_take)
{
	int fd;

	put_text("disk", "x", 0600);
	add_item("disk", 0);
	add_item("disk", 0);
	start();
	expect_success();
	fd = TAKE_FD(w.items[0].fd);
	open_items_close(w.items, w.n);
	open_items_close(w.items, w.n);
	assert_content(fd, "x");
	ck_assert_int_eq(close(fd), 0);
}
END_TEST

/* Zeroed items hold nothing: an undo in front of the step must not close descriptor 0. */
START_TEST(test_close_nothing)
{
	add_item("disk", 0);
	open_items_close(w.items, w.n);
	ck_assert_int_ge(fcntl(STDIN_FILENO, F_GETFD), 0);
}
END_TEST

static void make_things(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(mkdirat(w.dir_fd, "directory", 0755), 0);
	ck_assert_int_eq(mkfifoat(w.dir_fd, "fifo", 0600), 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", w.dir);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	put_text("file", "text", 0600);
	symlinkat("loop", w.dir_fd, "loop");
}

static const struct {
	const char *name, *words;
	enum err_class class;
} things[] = {
	{ "directory", "is a directory", ERR_STORAGE },
	{ "fifo", "is a FIFO", ERR_STORAGE },
	{ "socket", "is a socket", ERR_STORAGE },
	{ "/dev/zero", "is a character device", ERR_STORAGE },
	{ "missing", "No such file or directory", ERR_NOT_FOUND },
	{ "missing/file", "No such file or directory", ERR_NOT_FOUND },
	{ "file/file", "Not a directory", ERR_STORAGE },
	{ "loop", "Too many levels of symbolic links", ERR_STORAGE },
};

START_TEST(test_refused)
{
	make_things();
	expect_refusal(things[_i].name, 0, things[_i].class, things[_i].words);
	expect_refusal(things[_i].name, OPEN_WRITE, things[_i].class, things[_i].words);
	expect_refusal(things[_i].name, OPEN_DIRECT, things[_i].class, things[_i].words);
	expect_refusal(things[_i].name, OPEN_WRITE | OPEN_DIRECT, things[_i].class, things[_i].words);
	expect_refusal(things[_i].name, OPEN_QCOW2, things[_i].class, things[_i].words);
	w.owner.dir = w.q;
	expect_refusal(things[_i].name, OPEN_BOOT, things[_i].class, things[_i].words);
	expect_refusal(things[_i].name, OPEN_BOOT | OPEN_COPY, things[_i].class, things[_i].words);
	ck_assert(!exists_at(w.q, "copy"));
}
END_TEST

/* What is passed through to a guest. */
START_TEST(test_passed_through)
{
	static const char block[] = "is no block device, as type scsi-block needs",
			  character[] = "is no character device, such as /dev/sg0, as type scsi-generic needs";
	struct open_item *item;

	make_things();
	expect_refusal("file", OPEN_WRITE | OPEN_BLOCK, ERR_STORAGE, block);
	expect_refusal("/dev/zero", OPEN_WRITE | OPEN_BLOCK, ERR_STORAGE, block);
	expect_refusal("file", OPEN_WRITE | OPEN_CHARACTER, ERR_STORAGE, character);
	expect_refusal("fifo", OPEN_WRITE | OPEN_CHARACTER, ERR_STORAGE, character);
	expect_refusal("directory", OPEN_WRITE | OPEN_CHARACTER, ERR_STORAGE, "is a directory");
	item = add_item("/dev/zero", OPEN_WRITE | OPEN_CHARACTER);
	start();
	expect_success();
	assert_descriptor(item);
}
END_TEST

/* The first that fails ends it; those before it are let go. */
START_TEST(test_refused_in_the_middle)
{
	make_things();
	add_item("file", OPEN_WRITE);
	add_item("fifo", 0);
	add_item("missing", 0);
	start();
	expect_failure(ERR_STORAGE, "disks[1]: '");
	ck_assert_ptr_nonnull(strstr(w.err->desc, "fifo': is a FIFO"));
}
END_TEST

/* A disk has a size; what else is opened need not. */
START_TEST(test_filled)
{
	static const char words[] = "is empty; give it a size, such as by 'truncate -s 1G FILE'";

	put("empty", "", 0, 0600);
	expect_refusal("empty", OPEN_FILLED, ERR_STORAGE, words);
	expect_refusal("empty", OPEN_FILLED | OPEN_WRITE, ERR_STORAGE, words);
	put("sector", "x", 1, 0600);
	add_item("empty", OPEN_WRITE);
	add_item("sector", OPEN_FILLED);
	start();
	expect_success();
}
END_TEST

START_TEST(test_no_direct_io)
{
	expect_refusal("/proc/version", OPEN_DIRECT, ERR_STORAGE, "is on a file system without direct I/O");
}
END_TEST

START_TEST(test_read_only_file_system)
{
	_cleanup_free_ char *path = xasprintf("%s/ro", w.dir);

	NEEDS(own_mounts(), "no mount namespace of our own");
	ck_assert_int_eq(mkdir(path, 0755), 0);
	put_text("ro/disk", "x", 0600);
	ck_assert_int_eq(mount(path, path, NULL, MS_BIND, NULL), 0);
	ck_assert_int_eq(mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
	expect_refusal("ro/disk", OPEN_WRITE, ERR_PERMISSION_DENIED, "Read-only file system");
	add_item("ro/disk", 0);
	start();
	expect_success();
	drop_items();
	umount2(path, MNT_DETACH);
}
END_TEST

START_TEST(test_permission)
{
	int fd;

	NEEDS(geteuid() == 0, "only root has files that nobody may read");
	put_text("roots", "x", 0600);
	put_text("ours", "y", 0600);
	ck_assert_int_eq(fchownat(w.dir_fd, "ours", NOBODY, NOBODY, 0), 0);
	put_text("readable", "z", 0644);
	fd = become_nobody();
	expect_refusal("roots", 0, ERR_PERMISSION_DENIED, "Permission denied");
	expect_refusal("readable", OPEN_WRITE, ERR_PERMISSION_DENIED, "Permission denied");
	add_item("readable", 0);
	add_item("ours", OPEN_WRITE);
	start();
	expect_success();
	assert_content(w.items[0].fd, "z");
	assert_content(w.items[1].fd, "y");
	close(fd);
}
END_TEST

/* ---- block devices ---- */

/* A loop device on a file, gone with its last descriptor. -1: not here. */
static int loop_device(const char *name, unsigned flags, char path[32])
{
	struct loop_config config = { .info.lo_flags = LO_FLAGS_AUTOCLEAR | flags };
	_cleanup_close_ int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	_cleanup_close_ int file = openat(w.dir_fd, name, O_RDWR | O_CLOEXEC);

	config.fd = (unsigned)file;
	for (int tries = 0; control >= 0 && tries < 10; tries++) { /* another may take the free one */
		_cleanup_close_ int fd = -1;

		snprintf(path, 32, "/dev/loop%d", ioctl(control, LOOP_CTL_GET_FREE));
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd >= 0 && ioctl(fd, LOOP_CONFIGURE, &config) == 0)
			return TAKE_FD(fd);
	}
	return -1;
}

static const unsigned device_flags[] = { 0, OPEN_WRITE, OPEN_DIRECT, OPEN_WRITE | OPEN_DIRECT };

START_TEST(test_block_device)
{
	static char disk[1 << 20] = "what is on it";
	struct stat st;
	char path[32];
	int fd;

	put("disk", disk, sizeof(disk), 0600);
	fd = loop_device("disk", 0, path);
	NEEDS(fd >= 0, "no loop device");
	fstat(fd, &st);
	for (size_t i = 0; i < ARRAY_SIZE(device_flags); i++) {
		struct open_item *item = add_item(path, device_flags[i]);

		start();
		expect_success();
		assert_descriptor(item);
		ck_assert_uint_eq(item->size, sizeof(disk));
		ck_assert_uint_eq(item->dev, st.st_rdev);
		drop_items();
	}
	w.owner.dir = w.q;
	expect_refusal(path, OPEN_BOOT, ERR_STORAGE, "is a block device");
	close(fd);
}
END_TEST

START_TEST(test_read_only_device)
{
	static char disk[4096];
	char path[32];
	int fd;

	put("disk", disk, sizeof(disk), 0600);
	fd = loop_device("disk", LO_FLAGS_READ_ONLY, path);
	NEEDS(fd >= 0, "no loop device");
	expect_refusal(path, OPEN_WRITE, ERR_PERMISSION_DENIED, "Read-only file system");
	add_item(path, 0);
	start();
	expect_success();
	close(fd);
}
END_TEST

/* ---- qcow2 ---- */

#define NO_QCOW2 "is no qcow2 image"
#define NAMES_BACKING "its header names a backing file; give it in 'backing'"
#define HAS_DATA_FILE "has an external data file"

static const struct header {
	const char *magic;
	unsigned char version, backing_at, incompatible;
	size_t size;
	const char *alone, *backed; /* what is said of it, NULL: it is taken */
} headers[] = {
	{ "QFI\xfb", 3, 0, 0, 65536, NULL, NULL },
	{ "QFI\xfb", 2, 0, 0, 65536, NULL, NULL },
	{ "QFI\xfb", 2, 0, 4, 65536, NULL, NULL }, /* no such field in version 2 */
	{ "QFI\xfb", 3, 0, 0, 104, NULL, NULL },
	{ "QFI\xfb", 2, 0, 0, 72, NULL, NULL },
	{ "QFI\xfb", 3, 200, 0, 65536, NAMES_BACKING, NULL },
	{ "QFI\xfb", 2, 200, 0, 65536, NAMES_BACKING, NULL },
	{ "QFI\xfb", 3, 0, 4, 65536, HAS_DATA_FILE, HAS_DATA_FILE },
	{ "QFI\xfb", 3, 200, 5, 65536, HAS_DATA_FILE, HAS_DATA_FILE },
	{ "QFI\xfb", 3, 0, 3, 65536, NULL, NULL }, /* dirty, corrupt: QEMU's to say */
	{ "QFI\xfb", 3, 0, 0, 103, NO_QCOW2, NO_QCOW2 },
	{ "QFI\xfb", 2, 0, 0, 71, NO_QCOW2, NO_QCOW2 },
	{ "QFI\xfb", 0, 0, 0, 0, NO_QCOW2, NO_QCOW2 },
	{ "QFI\xfc", 3, 0, 0, 65536, NO_QCOW2, NO_QCOW2 },
	{ "\0\0\0\0", 3, 0, 0, 65536, NO_QCOW2, NO_QCOW2 },
	{ "QFI\xfb", 1, 0, 0, 65536, "is a qcow2 image of an unknown version",
	  "is a qcow2 image of an unknown version" },
	{ "QFI\xfb", 4, 0, 0, 65536, "is a qcow2 image of an unknown version",
	  "is a qcow2 image of an unknown version" },
};

static void try_header(unsigned flags, const char *words)
{
	if (words) {
		expect_refusal("image", flags, ERR_STORAGE, words);
		return;
	}
	add_item("image", flags);
	start();
	expect_success();
	assert_descriptor(&w.items[0]);
	drop_items();
}

START_TEST(test_qcow2)
{
	static unsigned char image[65536];
	const struct header *h = &headers[_i];

	memset(image, 0, sizeof(image));
	memcpy(image, h->magic, 4);
	image[7] = h->version;
	image[15] = h->backing_at;
	image[79] = h->incompatible;
	put("image", image, h->size, 0600);
	for (unsigned mode = 0; mode < 4; mode++) {
		unsigned flags = OPEN_WRITE * mode;

		try_header(flags | OPEN_QCOW2, h->alone);
		try_header(flags | OPEN_QCOW2 | OPEN_BACKED, h->backed);
		try_header(flags, NULL); /* raw: whatever its guest wrote there */
	}
}
END_TEST

/* False: there is no such program. */
static bool run_program(const char *const *argv)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execvp(argv[0], (char **)(uintptr_t)argv);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 127));
	return WEXITSTATUS(status) == 0;
}

static const struct {
	const char *argv[8];
	const char *alone;
} made[] = {
	{ { "-o", "compat=1.1" }, NULL },
	{ { "-o", "compat=0.10" }, NULL },
	{ { "-b", "/dev/null", "-F", "raw", "-u" }, NAMES_BACKING },
	{ { "-o", "data_file=data,data_file_raw=on" }, HAS_DATA_FILE },
};

/* As QEMU makes them. */
START_TEST(test_qcow2_of_qemu)
{
	const char *argv[16] = { "qemu-img", "create", "-q", "-f", "qcow2" };
	size_t n = 5;

	ck_assert_int_eq(fchdir(w.dir_fd), 0);
	for (int i = 0; made[_i].argv[i]; i++)
		argv[n++] = made[_i].argv[i];
	argv[n++] = "image";
	argv[n++] = "1M";
	NEEDS(run_program(argv), "no qemu-img");
	try_header(OPEN_WRITE | OPEN_DIRECT | OPEN_QCOW2, made[_i].alone);
	try_header(0, NULL);
}
END_TEST

/* ---- the same file twice ---- */

static const struct {
	const char *a, *b;
	unsigned a_flags, b_flags;
	bool clash;
} pairs[] = {
	{ "disk", "disk", OPEN_WRITE, OPEN_WRITE, true },
	{ "disk", "disk", OPEN_WRITE, 0, true },
	{ "disk", "disk", 0, OPEN_WRITE, true },
	{ "disk", "hard", 0, OPEN_WRITE, true },
	{ "soft", "disk", 0, OPEN_WRITE, true },
	{ "disk", "disk", OPEN_WRITE | OPEN_SHARED, OPEN_WRITE, true },
	{ "disk", "disk", OPEN_WRITE | OPEN_SHARED, OPEN_WRITE | OPEN_SHARED, false },
	{ "disk", "disk", 0, 0, false },
	{ "disk", "other", OPEN_WRITE, OPEN_WRITE, false },
};

START_TEST(test_twice)
{
	_cleanup_err_ struct err *e = NULL;
	bool good;

	put_text("disk", "x", 0600);
	put_text("other", "x", 0600);
	put_text("third", "x", 0600);
	linkat(w.dir_fd, "disk", w.dir_fd, "hard", 0);
	symlinkat("disk", w.dir_fd, "soft");
	add_item("third", OPEN_WRITE);
	add_item(pairs[_i].a, pairs[_i].a_flags);
	add_item(pairs[_i].b, pairs[_i].b_flags);
	start();
	expect_success();
	good = open_items_check_twice(w.items, w.n, &e);
	ck_assert_int_eq(good, !pairs[_i].clash);
	if (good)
		return;
	ck_assert_int_eq(e->class, ERR_STORAGE);
	ck_assert_str_eq(e->desc, "disks[2]: the same file as disks[1]");
	ck_assert_str_eq(json_get_str(e->extra, "parameter"), "disks[2]");
}
END_TEST

/* Numbers alone do not make a device and a file the same; boot files have none. */
START_TEST(test_twice_kinds)
{
	struct open_item items[] = { { .what = "a", .flags = OPEN_WRITE, .dev = 5 },
				     { .what = "b", .flags = OPEN_WRITE, .dev = 5, .block = true },
				     { .what = "c", .flags = OPEN_BOOT, .dev = 5 },
				     { .what = "d", .flags = OPEN_WRITE, .dev = 5, .block = true } };
	struct err *e = NULL;

	ck_assert(open_items_check_twice(items, 3, NULL));
	ck_assert(!open_items_check_twice(items, 4, &e));
	ck_assert_str_eq(e->desc, "d: the same device as b");
	err_free(e);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_loop_test(tc, test_image, 0, 4);
	tcase_add_test(tc, test_several);
	tcase_add_test(tc, test_none);
	tcase_add_test(tc, test_take);
	tcase_add_test(tc, test_close_nothing);
	tcase_add_loop_test(tc, test_refused, 0, ARRAY_SIZE(things));
	tcase_add_test(tc, test_passed_through);
	tcase_add_test(tc, test_refused_in_the_middle);
	tcase_add_test(tc, test_filled);
	tcase_add_test(tc, test_no_direct_io);
	tcase_add_test(tc, test_read_only_file_system);
	tcase_add_test(tc, test_permission);
	tcase_add_test(tc, test_block_device);
	tcase_add_test(tc, test_read_only_device);
	tcase_add_loop_test(tc, test_qcow2, 0, ARRAY_SIZE(headers));
	tcase_add_loop_test(tc, test_qcow2_of_qemu, 0, ARRAY_SIZE(made));
	tcase_add_loop_test(tc, test_twice, 0, ARRAY_SIZE(pairs));
	tcase_add_test(tc, test_twice_kinds);
}

int main(void)
{
	return loop_main("open", add, setup, teardown);
}
