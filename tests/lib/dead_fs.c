/* SPDX-License-Identifier: BSD-2-Clause */
#include "dead_fs.h"

#include "base/cleanup.h"

#include <check.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct dead_fs {
	char *dir;
	pid_t server;
};

static void reply(int fuse, const struct fuse_in_header *in, const void *body, size_t size)
{
	struct {
		struct fuse_out_header out;
		char body[256];
	} said = { { (uint32_t)(sizeof(said.out) + size), 0, in->unique }, "" };

	memcpy(said.body, body, size);
	if (write(fuse, &said, said.out.len) < 0)
		_exit(1);
}

static void answer(int fuse, const struct fuse_in_header *in)
{
	static const struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION,
						   .minor = FUSE_KERNEL_MINOR_VERSION,
						   .max_write = 4096 };
	static const struct fuse_attr_out attr = { .attr = { .ino = 1, .mode = S_IFDIR | 0755, .nlink = 2 } };
	static const struct fuse_open_out opened;
	static const struct fuse_statfs_out fs = { .st = { .bsize = 4096, .namelen = 255 } };

	if (in->opcode == FUSE_INIT)
		reply(fuse, in, &init, sizeof(init));
	else if (in->opcode == FUSE_GETATTR)
		reply(fuse, in, &attr, sizeof(attr));
	else if (in->opcode == FUSE_OPENDIR)
		reply(fuse, in, &opened, sizeof(opened));
	else if (in->opcode == FUSE_STATFS)
		reply(fuse, in, &fs, sizeof(fs));
}

static void serve(int fuse)
{
	union {
		struct fuse_in_header in;
		char buf[1 << 17];
	} asked;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(fuse, &asked, sizeof(asked)) > 0)
		answer(fuse, &asked.in);
	_exit(0);
}

struct dead_fs *dead_fs_new(const char *dir)
{
	_cleanup_close_ int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	struct dead_fs *fs;
	char options[128];

	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse);
	if (fuse < 0 || unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("dead", dir, "fuse", MS_NOSUID, options) < 0)
		return NULL;
	fs = xcalloc(1, sizeof(*fs));
	fs->dir = xstrdup(dir);
	fs->server = fork();
	ck_assert_int_ge(fs->server, 0);
	if (fs->server == 0)
		serve(fuse);
	return fs;
}

struct dead_fs *dead_fs_free(struct dead_fs *fs)
{
	if (!fs)
		return NULL;
	kill(fs->server, SIGKILL);
	waitpid(fs->server, NULL, 0);
	umount2(fs->dir, MNT_DETACH);
	free(fs->dir);
	free(fs);
	return NULL;
}
