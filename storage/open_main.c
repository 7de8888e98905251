/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * drover-open: opens what a user named, for one operation of droverd, and ends. open_wire.h says how it is spoken to.
 *
 * It keeps droverd's rights, for it is to open what is droverd's alone. It may be stuck for ever in a system call on
 * somebody's file system, and hinders nobody by that. When droverd waits no longer, sending fails and that is its end;
 * when it is gone, the kernel ends it if it can.
 */
#include "storage/open_wire.h"
#include "storage/remote_fs.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { EXIT_LOST = 1, EXIT_USAGE = 2, GROUPS_MAX = 65536, PORTION = 1 << 20 };

struct owner {
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	size_t n_groups;
};

/* ---- answers ---- */

static void answer(struct open_answer *a, enum open_result result, int fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { a, sizeof(*a) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	a->version = OPEN_VERSION;
	a->result = result;
	if (fd >= 0) {
		msg.msg_control = control.buf;
		msg.msg_controllen = sizeof(control.buf);
		control.align = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), &fd, sizeof(int));
	}
	if (sendmsg(OPEN_SOCKET_FD, &msg, MSG_NOSIGNAL) < 0)
		exit(EXIT_LOST);
}

/* The first failure is the last word. WHAT could not be done, or "" if the errno alone says it. */
static _Noreturn void fail(int errnum, const char *what)
{
	struct open_answer a = { .errnum = errnum };

	snprintf(a.text, sizeof(a.text), "%s", what);
	answer(&a, OPEN_FAILED, -1);
	exit(0);
}

static _Noreturn void refuse(const char *why)
{
	struct open_answer a = { 0 };

	snprintf(a.text, sizeof(a.text), "%s", why);
	answer(&a, OPEN_REFUSED, -1);
	exit(0);
}

static _Noreturn void refuse_kind(mode_t mode)
{
	static const struct {
		mode_t kind;
		const char *words;
	} kinds[] = {
		{ S_IFDIR, "is a directory" },        { S_IFIFO, "is a FIFO" },         { S_IFSOCK, "is a socket" },
		{ S_IFCHR, "is a character device" }, { S_IFBLK, "is a block device" },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if ((mode & S_IFMT) == kinds[i].kind)
			refuse(kinds[i].words);
	refuse("is no regular file");
}

static void get_stat(int fd, struct stat *st)
{
	if (fstat(fd, st) < 0)
		fail(errno, "cannot look at it");
}

/* A socket cannot be opened at all, a directory not for writing, a FIFO not for direct I/O: what it is says more than
 * the errno of that. */
static _Noreturn void fail_open(const char *path, unsigned flags)
{
	int errnum = errno;
	struct stat st;

	if ((errnum == ENXIO || errnum == EISDIR || errnum == EINVAL) && stat(path, &st) == 0 && !S_ISREG(st.st_mode) &&
	    !S_ISBLK(st.st_mode) && !(S_ISCHR(st.st_mode) && flags & OPEN_CHARACTER))
		refuse_kind(st.st_mode);
	if (errnum == EINVAL && (flags & OPEN_DIRECT))
		refuse("is on a file system without direct I/O");
	fail(errnum, "");
}

/* ---- images ---- */

static uint64_t big_endian(const unsigned char *p, int n)
{
	uint64_t v = 0;

	for (int i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

/* What QEMU would open by path: a backing file, unless the definition names one, and a data file. The size of the disk in
 * it. */
static uint64_t check_qcow2(int fd, unsigned flags)
{
	enum { MAGIC = 0x514649fb, V2_LENGTH = 72, V3_LENGTH = 104, EXTERNAL_DATA = 4 };
	static alignas(4096) unsigned char header[4096]; /* a whole sector of any disk, for O_DIRECT */
	ssize_t n = pread(fd, header, sizeof(header), 0);
	uint64_t version = big_endian(header + 4, 4);

	if (n < 0)
		fail(errno, "cannot read its header");
	if (n < V2_LENGTH || big_endian(header, 4) != MAGIC)
		refuse("is no qcow2 image");
	if (version != 2 && version != 3)
		refuse("is a qcow2 image of an unknown version");
	if (version == 3 && n < V3_LENGTH)
		refuse("is no qcow2 image");
	if (version == 3 && (big_endian(header + 72, 8) & EXTERNAL_DATA))
		refuse("has an external data file");
	if (!(flags & OPEN_BACKED) && big_endian(header + 8, 8))
		refuse("its header names a backing file; give it in 'backing'");
	return big_endian(header + 24, 8);
}

/* Whoever writes to an image holds the first of these bytes, whoever lets nobody else write the second, each read-locked
 * by way of the open file: so does QEMU's driver "file". */
static void lock_alone(int fd)
{
	static const off_t bytes[] = { 101, 201 };

	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
		struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = bytes[i], .l_len = 1 };

		if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
			fail(errno, "cannot lock it");
	}
	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
		struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = bytes[i], .l_len = 1 };

		if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
			fail(errno, "cannot lock it");
		if (lock.l_type != F_UNLCK)
			refuse("it is in use by another process");
	}
}

/* A device may let itself be opened for writing and refuse each write. */
static void get_device(int fd, unsigned flags, struct open_answer *a)
{
	int read_only = 0;

	if (ioctl(fd, BLKGETSIZE64, &a->size) < 0 || ioctl(fd, BLKROGET, &read_only) < 0)
		fail(errno, "cannot tell its size");
	if (read_only && (flags & OPEN_WRITE))
		fail(EROFS, "");
}

/* What the guest speaks to itself has commands that one kind of device takes only. */
static void check_kind(mode_t mode, unsigned flags)
{
	if (flags & OPEN_BLOCK && !S_ISBLK(mode))
		refuse("is no block device, as type scsi-block needs");
	if (flags & OPEN_CHARACTER && !S_ISCHR(mode))
		refuse("is no character device, such as /dev/sg0, as type scsi-generic needs");
	if (!S_ISBLK(mode) && !S_ISREG(mode) && !(flags & OPEN_CHARACTER))
		refuse_kind(mode);
}

/* A guest has no use for a disk without a sector; who wrote its path forgot to give it a size, or to plug it in. */
static void check_filled(const struct open_answer *a, unsigned flags)
{
	if (!(flags & OPEN_FILLED) || a->size > 0)
		return;
	if (a->block)
		refuse("is a device of size 0");
	if (flags & OPEN_QCOW2)
		refuse("is a disk of size 0; give it one, such as by 'qemu-img resize FILE 1G'");
	refuse("is empty; give it a size, such as by 'truncate -s 1G FILE'");
}

static void open_image(const char *path, unsigned flags)
{
	struct open_answer a = { 0 };
	struct stat st;
	int fd, mode = flags & OPEN_WRITE ? O_RDWR : O_RDONLY;

	if (flags & OPEN_DIRECT)
		mode |= O_DIRECT;
	fd = open(path, mode | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		fail_open(path, flags);
	get_stat(fd, &st);
	check_kind(st.st_mode, flags);
	a.size = (uint64_t)st.st_size;
	a.dev = S_ISREG(st.st_mode) ? st.st_dev : st.st_rdev;
	a.ino = S_ISREG(st.st_mode) ? st.st_ino : 0;
	if (S_ISBLK(st.st_mode)) {
		get_device(fd, flags, &a);
		a.block = 1;
	}
	if (flags & OPEN_QCOW2)
		a.size = check_qcow2(fd, flags);
	check_filled(&a, flags);
	if (flags & OPEN_ALONE)
		lock_alone(fd);
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) < 0)
		fail(errno, "cannot make it wait");
	answer(&a, OPEN_IMAGE, fd);
	close(fd);
}

/* ---- lines ---- */

static void open_line(const char *path, unsigned flags)
{
	struct open_answer a = { 0 };
	struct stat st;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		fail_open(path, flags);
	get_stat(fd, &st);
	if (!S_ISREG(st.st_mode))
		refuse_kind(st.st_mode);
	n = read(fd, a.text, sizeof(a.text));
	if (n < 0)
		fail(errno, "cannot read it");
	close(fd);
	for (ssize_t i = 0; i < n; i++) {
		if (a.text[i] == '\n' || (a.text[i] == '\r' && i + 1 < n && a.text[i + 1] == '\n')) {
			n = i;
			break;
		}
		if (iscntrl((unsigned char)a.text[i]))
			refuse("its first line has unprintable characters");
	}
	if (n == 0)
		refuse("its first line is empty");
	if (n == sizeof(a.text))
		refuse("its first line is too long");
	memset(a.text + n, 0, sizeof(a.text) - (size_t)n);
	answer(&a, OPEN_READ, -1);
}

/* ---- sockets ---- */

/* Somebody who does not answer would keep droverd waiting, which looks for the socket again when its process is gone. */
static void check_local(int dir)
{
	struct statfs st;

	if (fstatfs(dir, &st) < 0)
		fail(errno, "cannot tell its file system");
	if (fs_is_remote(&st))
		refuse("is on a file system that a server or a program answers for");
}

/* What is there already: a socket of ours that has outlived its process goes, anything else stays. */
static void make_way(int dir, const char *name, const struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct stat st;

	if (fd < 0)
		fail(errno, "cannot make a socket");
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			fail(errno, "cannot tell what is there");
		close(fd);
		return;
	}
	if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
		refuse("a file that is not ours is in the place of the socket");
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 || errno != ECONNREFUSED)
		refuse("somebody listens on the socket already");
	close(fd);
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		fail(errno, "cannot remove the old socket");
}

static void open_listener(const char *path, const char *name)
{
	enum { BACKLOG = 16 };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct open_answer a = { 0 };
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd;

	if (dir < 0)
		fail(errno, "");
	check_local(dir);
	if (strlen(path) + 1 + strlen(name) >= sizeof(addr.sun_path))
		refuse("the path of the socket would be longer than 107 bytes, the limit of unix sockets");
	snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/%s", dir, name);
	make_way(dir, name, &addr);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	umask(0117);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, BACKLOG) < 0)
		fail(errno, "cannot make the socket");
	answer(&a, OPEN_IMAGE, fd);
	close(fd);
	close(dir);
}

/* ---- memory ---- */

/* Some file systems make none without a name. */
static int make_unnamed(int dir)
{
	int fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char name[64];

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT))
		return fd;
	snprintf(name, sizeof(name), ".drover-%d", getpid());
	fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0)
		unlinkat(dir, name, 0);
	return fd;
}

static void open_memory(const char *path, const char *room, const struct owner *owner)
{
	struct open_answer a = { 0 };
	struct statfs fs;
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), fd;

	if (dir < 0 && errno == ENOTDIR)
		refuse("is no directory");
	if (dir < 0)
		fail(errno, "");
	if (fstatfs(dir, &fs) < 0)
		fail(errno, "cannot look at its file system");
	/* Without a limit of its own it tells nothing. */
	if (fs.f_blocks > 0 && fs.f_bavail < strtoull(room, NULL, 10) / (unsigned long)fs.f_bsize)
		fail(ENOSPC, "has less room than the guest has memory");
	fd = make_unnamed(dir);
	if (fd < 0)
		fail(errno, "cannot make a file in it");
	if (geteuid() == 0 && fchown(fd, owner->uid, owner->gid) < 0)
		fail(errno, "cannot make a file for QEMU in it");
	close(dir);
	answer(&a, OPEN_IMAGE, fd);
	close(fd);
}

/* The kernel forgets this when ids or rights change. */
static void die_with_droverd(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* ---- boot files ---- */

static void set_capabilities(const struct __user_cap_data_struct *data)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	if (syscall(SYS_capset, &header, data) < 0)
		fail(errno, "cannot change capabilities");
	die_with_droverd();
}

static void set_ids(uid_t uid, gid_t gid, const gid_t *groups, size_t n)
{
	if (setgroups(n, groups) < 0)
		fail(errno, "cannot change groups");
	setfsgid(gid);
	setfsuid(uid);
	if ((uid_t)setfsuid((uid_t)-1) != uid || (gid_t)setfsgid((gid_t)-1) != gid)
		fail(EPERM, "cannot act as QEMU's user");
	die_with_droverd();
}

/* As QEMU will do it: as that user, in those groups, with no capability. */
static int open_as(const char *path, const struct owner *owner)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct all[_LINUX_CAPABILITY_U32S_3], none[_LINUX_CAPABILITY_U32S_3];
	static gid_t groups[GROUPS_MAX];
	bool root = geteuid() == 0;
	int n_groups = getgroups(GROUPS_MAX, groups);
	int fd, errnum;

	if (n_groups < 0 || syscall(SYS_capget, &header, all) < 0)
		fail(errno, "cannot tell our own rights");
	if (root)
		set_ids(owner->uid, owner->gid, owner->groups, owner->n_groups);
	memcpy(none, all, sizeof(none));
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		none[i].effective = 0;
	set_capabilities(none);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	errnum = errno;
	set_capabilities(all);
	if (root)
		set_ids(geteuid(), getegid(), groups, (size_t)n_groups);
	errno = errnum;
	return fd;
}

/* For what copy_file_range() does not do: files of /proc, some pairs of file systems. */
static ssize_t copy_portion(int from, int to)
{
	static char portion[PORTION];
	ssize_t n = read(from, portion, sizeof(portion)), done = 0;

	while (done < n) {
		ssize_t m = write(to, portion + done, (size_t)(n - done));

		if (m < 0)
			return -1;
		done += m;
	}
	return n;
}

/* 0 or an errno; EFBIG if it grew beyond the limit meanwhile. */
static int copy_all(int from, int to)
{
	uint64_t total = 0;
	ssize_t n;

	do {
		n = copy_file_range(from, NULL, to, NULL, PORTION, 0);
		if (n <= 0)
			n = copy_portion(from, to);
		if (n > 0)
			total += (uint64_t)n;
	} while (n > 0 && total <= OPEN_COPY_MAX);
	return n < 0 ? errno : n > 0 ? EFBIG : 0;
}

/* It is the owner's only when it is whole. */
static void copy(int from, const char *name, const struct owner *owner)
{
	int to = openat(OPEN_COPIES_FD, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
	int errnum;

	if (to < 0)
		fail(errno, "cannot make a copy for QEMU");
	errnum = copy_all(from, to);
	if (!errnum && geteuid() == 0 && fchown(to, owner->uid, owner->gid) < 0)
		errnum = errno;
	if (close(to) < 0 && !errnum)
		errnum = errno;
	if (errnum) {
		unlinkat(OPEN_COPIES_FD, name, 0);
		fail(errnum, "cannot copy it for QEMU");
	}
}

static void open_boot(const char *path, unsigned flags, const char *name, const struct owner *owner)
{
	int fd = flags & OPEN_COPY ? -1 : open_as(path, owner);
	bool in_place = fd >= 0;
	struct open_answer a = { 0 };
	struct stat st;

	if (fd < 0)
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT && (flags & OPEN_OPTIONAL)) {
		answer(&a, OPEN_ABSENT, -1);
		return;
	}
	if (fd < 0)
		fail_open(path, flags);
	get_stat(fd, &st);
	if (!S_ISREG(st.st_mode))
		refuse_kind(st.st_mode);
	if (!in_place) {
		if ((uint64_t)st.st_size > OPEN_COPY_MAX)
			refuse("is larger than 1 GiB, the limit of what is copied for QEMU");
		copy(fd, name, owner);
	}
	close(fd);
	answer(&a, in_place ? OPEN_IN_PLACE : OPEN_COPIED, -1);
}

/* ---- arguments ---- */

static void parse_owner(const char *text, struct owner *owner)
{
	char *end;

	owner->groups = calloc(strlen(text) + 1, sizeof(gid_t));
	if (!owner->groups)
		exit(EXIT_USAGE);
	owner->uid = (uid_t)strtoul(text, &end, 10);
	if (*end != ',')
		exit(EXIT_USAGE);
	owner->gid = (gid_t)strtoul(end + 1, &end, 10);
	while (*end == ',')
		owner->groups[owner->n_groups++] = (gid_t)strtoul(end + 1, &end, 10);
	if (*end)
		exit(EXIT_USAGE);
}

int main(int argc, char **argv)
{
	struct owner owner = { 0 };

	if (argc < 2 || (argc - 2) % 3) {
		fprintf(stderr, "drover-open is run by droverd only\n");
		return EXIT_USAGE;
	}
	die_with_droverd();
	parse_owner(argv[1], &owner);
	for (char **item = argv + 2; *item; item += 3) {
		unsigned flags = (unsigned)strtoul(item[0], NULL, 10);

		if (flags & OPEN_BOOT)
			open_boot(item[1], flags, item[2], &owner);
		else if (flags & OPEN_LINE)
			open_line(item[1], flags);
		else if (flags & OPEN_LISTEN)
			open_listener(item[1], item[2]);
		else if (flags & OPEN_MEMORY)
			open_memory(item[1], item[2], &owner);
		else
			open_image(item[1], flags);
	}
	free(owner.groups);
	return 0;
}
