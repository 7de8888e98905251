/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Boot files: whether QEMU's user can read them where they are, and the copies if not.
 */
#include "open_world.h"

enum { QEMU = 12345, SPECIAL = 23456 };

static const gid_t special[] = { 777, SPECIAL };

static void own_by(const char *name, uid_t uid, gid_t gid)
{
	ck_assert_int_eq(fchownat(w.dir_fd, name, uid, gid, 0), 0);
}

static void as_qemu(void)
{
	w.owner = (struct open_owner){ .dir = w.q, .uid = QEMU, .gid = QEMU, .groups = special, .n_groups = 2 };
}

static bool open_boot(const char *name, unsigned flags)
{
	struct open_item *item = add_item(name, OPEN_BOOT | flags);
	bool copied;

	start();
	expect_success();
	ck_assert(!item->opened);
	copied = item->copied;
	ck_assert_int_eq(exists_at(w.q, "copy"), copied);
	drop_items();
	return copied;
}

/* Whole, QEMU's, and for reading by nobody else. */
static void assert_copy(const void *data, size_t size, uid_t uid)
{
	_cleanup_free_ char *found = xcalloc(size + 1, 1);
	_cleanup_close_ int fd = openat(w.q, "copy", O_RDONLY | O_CLOEXEC);
	struct stat st = stat_at(w.q, "copy");

	ck_assert_uint_eq(st.st_mode, S_IFREG | 0400);
	ck_assert_uint_eq(st.st_uid, uid);
	ck_assert_uint_eq(st.st_gid, uid);
	ck_assert_int_eq(read(fd, found, size + 1), (ssize_t)size);
	ck_assert_int_eq(memcmp(found, data, size), 0);
	unlinkat(w.q, "copy", 0);
}

static const struct {
	mode_t mode, dir_mode;
	uid_t uid;
	gid_t gid;
	bool in_place;
} rights[] = {
	{ 0644, 0755, 0, 0, true },
	{ 0600, 0755, 0, 0, false },
	{ 0640, 0755, 0, 0, false }, /* root's group is not QEMU's, though the opener is in it */
	{ 0600, 0755, QEMU, 0, true },
	{ 0040, 0755, 0, QEMU, true },
	{ 0640, 0755, 0, SPECIAL, true },
	{ 0604, 0755, 0, SPECIAL, false }, /* the group's rights count for who is in it */
	{ 0044, 0755, QEMU, QEMU, false },
	{ 0000, 0755, 0, 0, false },
	{ 0644, 0700, 0, 0, false }, /* it cannot come there */
	{ 0644, 0711, 0, 0, true },
};

START_TEST(test_rights)
{
	NEEDS(geteuid() == 0, "only root can give files away");
	as_qemu();
	ck_assert_int_eq(mkdirat(w.dir_fd, "boot", 0700), 0);
	put_text("boot/kernel", "a kernel", rights[_i].mode);
	own_by("boot/kernel", rights[_i].uid, rights[_i].gid);
	ck_assert_int_eq(fchmodat(w.dir_fd, "boot", rights[_i].dir_mode, 0), 0);
	ck_assert_int_eq(open_boot("boot/kernel", 0), !rights[_i].in_place);
	if (!rights[_i].in_place)
		assert_copy("a kernel", 8, QEMU);
	ck_assert(open_boot("boot/kernel", OPEN_COPY));
	assert_copy("a kernel", 8, QEMU);
	chmod(w.dir, 0755);
}
END_TEST

/* A QEMU that runs as root has no capabilities all the same. */
START_TEST(test_root_without_capabilities)
{
	NEEDS(geteuid() == 0, "only root can give files away");
	w.owner = (struct open_owner){ .dir = w.q };
	put_text("kernel", "a kernel", 0600);
	ck_assert(!open_boot("kernel", 0));
	own_by("kernel", QEMU, QEMU);
	ck_assert(open_boot("kernel", 0));
	assert_copy("a kernel", 8, 0);
}
END_TEST

/* It has droverd's rights again afterwards. */
START_TEST(test_rights_come_back)
{
	NEEDS(geteuid() == 0, "only root can give files away");
	as_qemu();
	put_text("readable", "r", 0644);
	put_text("kernel", "a kernel", 0600);
	put_text("disk", "d", 0600);
	add_item("readable", OPEN_BOOT);
	add_item("kernel", OPEN_BOOT);
	add_item("disk", OPEN_WRITE);
	start();
	expect_success();
	ck_assert(!w.items[0].copied && !w.items[0].opened);
	ck_assert(w.items[1].copied);
	assert_copy("a kernel", 8, QEMU);
	assert_content(w.items[2].fd, "d");
}
END_TEST

/* An ordinary user's droverd: QEMU is that user. */
START_TEST(test_ordinary_user)
{
	int fd = -1;

	put_text("readable", "r", 0644);
	put_text("roots", "x", 0600);
	if (geteuid() == 0)
		fd = become_nobody();
	w.owner = (struct open_owner){ .dir = w.q, .uid = geteuid(), .gid = getegid() };
	ck_assert(!open_boot("readable", 0));
	ck_assert(open_boot("readable", OPEN_COPY));
	assert_copy("r", 1, geteuid());
	if (fd >= 0)
		expect_refusal("roots", OPEN_BOOT, ERR_PERMISSION_DENIED, "Permission denied");
	close(fd);
}
END_TEST

static const size_t sizes[] = { 0, 1, (1 << 20) - 1, 1 << 20, (3 << 20) + 17 };

START_TEST(test_sizes)
{
	_cleanup_free_ unsigned char *data = xcalloc(sizes[_i] + 1, 1);

	NEEDS(geteuid() == 0, "only root can give files away");
	as_qemu();
	for (size_t i = 0; i < sizes[_i]; i++)
		data[i] = (unsigned char)(i * 31 + i / 4096);
	put("initrd", data, sizes[_i], 0600);
	ck_assert(open_boot("initrd", 0));
	assert_copy(data, sizes[_i], QEMU);
}
END_TEST

/* From one file system to another, and from one whose files have no size. */
START_TEST(test_file_systems)
{
	static char data[100000] = "data";
	_cleanup_free_ char *path = xasprintf("%s/q", w.dir);
	char version[4096];
	int fd = open("/proc/version", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, version, sizeof(version));

	close(fd);
	ck_assert_int_gt(n, 0);
	NEEDS(own_mounts() && mount("none", path, "tmpfs", 0, "size=256k") == 0, "cannot mount");
	close(w.q);
	w.q = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	as_qemu();
	put("kernel", data, sizeof(data), 0600);
	ck_assert(open_boot("kernel", 0));
	assert_copy(data, sizeof(data), QEMU);
	ck_assert(open_boot("/proc/version", OPEN_COPY));
	assert_copy(version, (size_t)n, QEMU);
	for (int i = 0; i < 2; i++) {
		_cleanup_free_ char *name = xasprintf("large%d", i);

		put_text(name, "", 0600);
		fd = openat(w.dir_fd, name, O_WRONLY | O_CLOEXEC);
		ck_assert_int_eq(ftruncate(fd, 1 << 20), 0);
		close(fd);
		expect_refusal(name, OPEN_BOOT, ERR_NO_SPACE, "cannot copy it for QEMU: No space left on device");
		ck_assert(!exists_at(w.q, "copy"));
	}
	umount2(path, MNT_DETACH);
}
END_TEST

START_TEST(test_too_large)
{
	int fd;

	NEEDS(geteuid() == 0, "only root can give files away");
	as_qemu();
	put_text("kernel", "", 0600);
	fd = openat(w.dir_fd, "kernel", O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(ftruncate(fd, (off_t)OPEN_COPY_MAX + 1), 0);
	expect_refusal("kernel", OPEN_BOOT, ERR_STORAGE, "is larger than 1 GiB, the limit of what is copied for QEMU");
	ck_assert(!exists_at(w.q, "copy"));
	fchmod(fd, 0644);
	ck_assert(!open_boot("kernel", 0)); /* where it is, it may be of any size */
	close(fd);
}
END_TEST

/* What QEMU put into its own directory is neither replaced nor written to. */
START_TEST(test_name_is_taken)
{
	int fd;

	NEEDS(geteuid() == 0, "only root can give files away");
	as_qemu();
	put_text("kernel", "a kernel", 0600);
	put_text("precious", "precious", 0600);
	ck_assert_int_eq(symlinkat("../precious", w.q, "copy"), 0);
	expect_refusal("kernel", OPEN_BOOT, ERR_STORAGE, "cannot make a copy for QEMU: File exists");
	fd = openat(w.dir_fd, "precious", O_RDONLY | O_CLOEXEC);
	assert_content(fd, "precious");
	close(fd);
	ck_assert(S_ISLNK(stat_at(w.q, "copy").st_mode));
}
END_TEST

/* What may be there need not be; but what is there has to be good. */
START_TEST(test_optional)
{
	w.owner = (struct open_owner){ .dir = w.q, .uid = geteuid(), .gid = getegid() };
	ck_assert(!open_boot("list", OPEN_COPY | OPEN_OPTIONAL));
	ck_assert(!open_boot("nowhere/list", OPEN_COPY | OPEN_OPTIONAL));
	put_text("list", "a list", 0600);
	ck_assert(open_boot("list", OPEN_COPY | OPEN_OPTIONAL));
	assert_copy("a list", 6, geteuid());
	expect_refusal("list/list", OPEN_BOOT | OPEN_COPY | OPEN_OPTIONAL, ERR_STORAGE, "Not a directory");
	expect_refusal(".", OPEN_BOOT | OPEN_COPY | OPEN_OPTIONAL, ERR_STORAGE, "is a directory");
	/* The next one is looked for all the same. */
	add_item("nothing", OPEN_BOOT | OPEN_COPY | OPEN_OPTIONAL);
	add_item("nothing", OPEN_BOOT | OPEN_COPY);
	start();
	expect_failure(ERR_NOT_FOUND, "disks[1]");
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_loop_test(tc, test_rights, 0, ARRAY_SIZE(rights));
	tcase_add_test(tc, test_root_without_capabilities);
	tcase_add_test(tc, test_rights_come_back);
	tcase_add_test(tc, test_ordinary_user);
	tcase_add_loop_test(tc, test_sizes, 0, ARRAY_SIZE(sizes));
	tcase_add_test(tc, test_file_systems);
	tcase_add_test(tc, test_too_large);
	tcase_add_test(tc, test_name_is_taken);
	tcase_add_test(tc, test_optional);
}

int main(void)
{
	return loop_main("open_boot", add, setup, teardown);
}
