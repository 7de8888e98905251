/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The private root: a mount namespace of our own whose root is a tiny tmpfs with what the options name
 * and nothing else.
 *
 * What is to be seen there is cloned as detached trees first, while paths still mean the host's; then the
 * roots are exchanged, the old one is let go, and the trees are put where they belong. So no path of the
 * new root is ever looked up in the old one, and no link of either leads into the other.
 */
#include "runtime/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* One thing in the new root: a cloned tree, or a link. */
struct item {
	const char *path;
	int tree;
	char *link;
};

struct root {
	const struct launch *l;
	struct item *items;
	size_t n;
};

enum {
	READ_ONLY = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
	DEVICE = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
		 MOUNT_ATTR_NOEXEC, /* which concerns the node, not what it does */
	WRITABLE = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
};

static const char *const system_dirs[] = { "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32" };
#define N_SYSTEM_DIRS (sizeof(system_dirs) / sizeof(system_dirs[0]))

enum { FIXED_ITEMS = 6 }; /* /usr, three devices, the prefix, q */

static void add_tree(struct root *r, const char *path, unsigned attributes)
{
	struct mount_attr attr = { .attr_set = attributes };
	int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

	if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0)
		launch_fail(r->l, "private root: cannot bind '%s': %m", path);
	r->items[r->n++] = (struct item){ .path = path, .tree = fd };
}

/* Where /bin and its kind are links into /usr the same links are made, else the directories are bound. */
static void add_system_dir(struct root *r, const char *path)
{
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target) - 1);

	if (n < 0 && errno == ENOENT)
		return;
	target[n < 0 ? 0 : n] = '\0';
	if (strncmp(target, "usr/", 4) == 0 || strncmp(target, "/usr/", 5) == 0)
		r->items[r->n++] = (struct item){ .path = path, .tree = -1, .link = strdup(target) };
	else
		add_tree(r, path, READ_ONLY);
}

static bool is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && path[n] == '/';
}

/* The prefix of the program: "/opt/qemu" of "/opt/qemu/bin/qemu-system-x86_64", never the whole root. */
static void add_prefix(struct root *r)
{
	const char *program = r->l->program;
	char *prefix, *slash;

	if (program[0] != '/' || is_below(program, "/usr"))
		return;
	for (size_t i = 0; i < N_SYSTEM_DIRS; i++)
		if (is_below(program, system_dirs[i]))
			return;
	prefix = strdup(program);
	if (!prefix)
		launch_fail(r->l, "private root: %m");
	for (int i = 0; i < 2; i++) {
		slash = strrchr(prefix, '/');
		if (slash != prefix)
			*slash = '\0';
	}
	add_tree(r, prefix, READ_ONLY);
}

static void collect(struct root *r)
{
	const struct launch *l = r->l;

	r->items = calloc(FIXED_ITEMS + N_SYSTEM_DIRS + l->n_binds, sizeof(*r->items));
	if (!r->items)
		launch_fail(l, "private root: %m");
	add_tree(r, "/usr", READ_ONLY);
	for (size_t i = 0; i < N_SYSTEM_DIRS; i++)
		add_system_dir(r, system_dirs[i]);
	add_tree(r, "/dev/null", DEVICE);
	add_tree(r, "/dev/urandom", DEVICE);
	if (l->kvm)
		add_tree(r, "/dev/kvm", DEVICE);
	add_prefix(r);
	for (size_t i = 0; i < l->n_binds; i++)
		add_tree(r, l->binds[i], READ_ONLY);
	if (l->q)
		add_tree(r, l->q, WRITABLE);
}

/* A tmpfs, not attached anywhere. */
static int make_tmpfs(const struct launch *l)
{
	int fs = fsopen("tmpfs", FSOPEN_CLOEXEC), fd = -1;

	if (fs >= 0 && fsconfig(fs, FSCONFIG_SET_STRING, "size", "64k", 0) == 0 &&
	    fsconfig(fs, FSCONFIG_SET_STRING, "nr_inodes", "256", 0) == 0 &&
	    fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0755", 0) == 0 &&
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		fd = fsmount(fs, FSMOUNT_CLOEXEC, WRITABLE);
	if (fd < 0)
		launch_fail(l, "private root: cannot make a tmpfs: %m");
	close(fs);
	return fd;
}

static void exchange_roots(const struct launch *l, int fd)
{
	/* Over the old root, since a root must hang somewhere; both names of the exchange are then ".",
	 * and so is what is on top afterwards: the old one. */
	if (move_mount(fd, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0 || fchdir(fd) < 0 ||
	    syscall(SYS_pivot_root, ".", ".") < 0)
		launch_fail(l, "private root: cannot make it the root: %m");
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		launch_fail(l, "private root: cannot let go of the old root: %m");
	close(fd);
}

static void make_dir(const struct launch *l, const char *path)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		launch_fail(l, "private root: cannot make the directory '%s': %m", path);
}

/* The directories above PATH, and PATH itself if it is one. */
static void make_dirs(const struct launch *l, const char *path, bool itself)
{
	char part[PATH_MAX];

	if (snprintf(part, sizeof(part), "%s", path) >= (int)sizeof(part))
		launch_fail(l, "private root: too long a path");
	for (char *p = part + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		make_dir(l, part);
		*p = '/';
	}
	if (itself)
		make_dir(l, part);
}

static void place(const struct launch *l, const struct item *item)
{
	struct stat st;
	int fd;

	if (item->link) {
		if (symlink(item->link, item->path) < 0)
			launch_fail(l, "private root: cannot link '%s': %m", item->path);
		return;
	}
	if (fstat(item->tree, &st) < 0)
		launch_fail(l, "private root: '%s': %m", item->path);
	make_dirs(l, item->path, S_ISDIR(st.st_mode));
	if (!S_ISDIR(st.st_mode)) {
		fd = open(item->path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0444);
		if (fd < 0)
			launch_fail(l, "private root: cannot make the file '%s': %m", item->path);
		close(fd);
	}
	if (move_mount(item->tree, "", AT_FDCWD, item->path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		launch_fail(l, "private root: cannot bind '%s': %m", item->path);
	close(item->tree);
}

void launch_private_root(const struct launch *l)
{
	struct root r = { .l = l };
	struct mount_attr read_only = { .attr_set = MOUNT_ATTR_RDONLY };

	if (unshare(CLONE_NEWNS) < 0)
		launch_fail(l, "private root: cannot make a mount namespace: %m");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		launch_fail(l, "private root: cannot part from the host's mounts: %m");
	collect(&r);
	exchange_roots(l, make_tmpfs(l));
	umask(0);
	for (size_t i = 0; i < r.n; i++)
		place(l, &r.items[i]);
	if (mount_setattr(AT_FDCWD, "/", 0, &read_only, sizeof(read_only)) < 0)
		launch_fail(l, "private root: cannot make it read-only: %m");
	if (l->q && chdir(l->q) < 0)
		launch_fail(l, "private root: cannot enter '%s': %m", l->q);
}
