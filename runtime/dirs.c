/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/dirs.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 16 };

/* $VARIABLE, or $HOME/FALLBACK. */
static char *xdg(const char *variable, const char *fallback)
{
	const char *value = getenv(variable), *home = getenv("HOME");

	if (!str_empty(value) && value[0] == '/')
		return xstrdup(value);
	if (!fallback || str_empty(home))
		return NULL;
	return xasprintf("%s/%s", home, fallback);
}

static bool user_dirs(struct dirs *d, struct err **e)
{
	_cleanup_free_ char *config = xdg("XDG_CONFIG_HOME", ".config"), *state = xdg("XDG_STATE_HOME", ".local/state");
	_cleanup_free_ char *run = xdg("XDG_RUNTIME_DIR", NULL);

	if (!config || !state)
		return err_set(e, ERR_UNSUPPORTED, "HOME is not set; give --root DIR");
	if (!run)
		return err_set(e, ERR_UNSUPPORTED, "XDG_RUNTIME_DIR is not set; give --root DIR");
	d->mode = "user";
	d->etc = xasprintf("%s/drover", config);
	d->lib = xasprintf("%s/drover", state);
	d->run = xasprintf("%s/drover", run);
	d->log = xasprintf("%s/drover/log", state);
	return true;
}

static bool root_dirs(struct dirs *d, const char *root, struct err **e)
{
	const char *full;

	if (!file_make_dirs(root, 0755, e))
		return false;
	full = d->root = realpath(root, NULL);
	if (!full)
		return err_set_errno(e, ERR_GENERIC, errno, "cannot use '%s' as root", root);
	d->mode = "root";
	d->etc = xasprintf("%s/etc", full);
	d->lib = xasprintf("%s/lib", full);
	d->run = xasprintf("%s/run", full);
	d->log = xasprintf("%s/log", full);
	return true;
}

/* NAME NULL: PARENT itself. */
static int open_below(const char *parent, const char *name, mode_t mode, struct err **e)
{
	_cleanup_free_ char *path = name ? xasprintf("%s/%s", parent, name) : xstrdup(parent);

	if (!file_make_dirs(path, mode, e))
		return -1;
	return file_open_dir(AT_FDCWD, path, e);
}

bool dirs_open(struct dirs *d, const char *root, struct err **e)
{
	*d = (struct dirs){ .run_fd = -1,
			    .lib_instances = -1,
			    .run_instances = -1,
			    .operations = -1,
			    .jobs = -1,
			    .log_fd = -1,
			    .capabilities = -1 };
	if (root) {
		if (!root_dirs(d, root, e))
			return false;
	} else if (geteuid() == 0) {
		d->mode = "system";
		d->etc = xstrdup("/etc/drover");
		d->lib = xstrdup("/var/lib/drover");
		d->run = xstrdup("/run/drover");
		d->log = xstrdup("/var/log/drover");
	} else if (!user_dirs(d, e)) {
		return false;
	}
	d->run_fd = open_below(d->run, NULL, 0755, e);
	if (d->run_fd < 0)
		return false;
	d->lib_instances = open_below(d->lib, "instances", 0700, e);
	if (d->lib_instances < 0)
		return false;
	d->run_instances = open_below(d->run, "instances", 0711, e);
	if (d->run_instances < 0)
		return false;
	d->operations = open_below(d->run, "operations", 0700, e);
	if (d->operations < 0)
		return false;
	d->jobs = open_below(d->run, "jobs", 0700, e);
	if (d->jobs < 0)
		return false;
	d->log_fd = open_below(d->log, NULL, 0750, e);
	if (d->log_fd < 0)
		return false;
	d->capabilities = open_below(d->lib, "capabilities", 0700, e);
	return d->capabilities >= 0;
}

void dirs_close(struct dirs *d)
{
	free(d->root);
	free(d->etc);
	free(d->lib);
	free(d->run);
	free(d->log);
	closep(&d->run_fd);
	closep(&d->lib_instances);
	closep(&d->run_instances);
	closep(&d->operations);
	closep(&d->jobs);
	closep(&d->log_fd);
	closep(&d->capabilities);
}

static void address(struct sockaddr_un *addr, int dirfd, const char *name)
{
	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(addr->sun_path, sizeof(addr->sun_path), "/proc/self/fd/%d/%s", dirfd, name);
}

int dirs_listen(int dirfd, const char *name, mode_t mode, struct err **e)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un addr;
	mode_t old;
	int r;

	address(&addr, dirfd, name);
	unlinkat(dirfd, name, 0);
	old = umask(0777 & ~mode);
	r = fd < 0 ? -1 : bind(fd, (struct sockaddr *)&addr, sizeof(addr));
	umask(old);
	if (r < 0 || listen(fd, BACKLOG) < 0) {
		err_set_errno(e, ERR_GENERIC, errno, "cannot listen on '%s'", name);
		return -1;
	}
	return TAKE_FD(fd);
}

int dirs_connect(int dirfd, const char *name, struct err **e)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un addr;

	address(&addr, dirfd, name);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		/* Refused: whom the socket was made for listens no more. */
		err_set_errno(e, errno == ECONNREFUSED ? ERR_GUEST_GONE : ERR_GENERIC, errno, "cannot connect to '%s'",
			      name);
		return -1;
	}
	return TAKE_FD(fd);
}
