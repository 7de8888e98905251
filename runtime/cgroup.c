/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/cgroup.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TABLE_MAX = 4 << 20 };

/* The path behind "0::" in /proc/self/cgroup; the caller's. */
static char *own_group(void)
{
	_cleanup_free_ char *text = NULL;
	const char *line;

	if (!file_read(AT_FDCWD, "/proc/self/cgroup", TABLE_MAX, &text, NULL, NULL))
		return NULL;
	line = str_starts(text, "0::") ? text : strstr(text, "\n0::");
	line = line ? strchr(line, '/') : NULL;
	return line ? xstrndup(line, strcspn(line, "\n")) : NULL;
}

/* The directory of GROUP if LINE of mountinfo is a mount of the hierarchy that shows it; the caller's. */
static char *directory_in(const char *line, const char *group)
{
	_cleanup_free_ char *root = NULL, *point = NULL;
	const char *type = strstr(line, " - ");
	size_t n;

	if (!type || !str_starts(type, " - cgroup2 ") || sscanf(line, "%*d %*d %*s %ms %ms", &root, &point) != 2)
		return NULL;
	n = str_eq(root, "/") ? 0 : strlen(root);
	if (strncmp(group, root, n) != 0 || str_starts(group, "/../") || (group[n] != '/' && group[n] != '\0') ||
	    strchr(point, '\\'))
		return NULL;
	return xasprintf("%s%s", point, str_eq(group + n, "/") ? "" : group + n);
}

static char *directory_of(const char *group)
{
	_cleanup_free_ char *text = NULL;
	char *save = NULL, *dir = NULL;

	if (!file_read(AT_FDCWD, "/proc/self/mountinfo", TABLE_MAX, &text, NULL, NULL))
		return NULL;
	for (char *line = strtok_r(text, "\n", &save); line && !dir; line = strtok_r(NULL, "\n", &save))
		dir = directory_in(line, group);
	return dir;
}

void cgroups_open(struct cgroups *g, uint32_t tag)
{
	_cleanup_free_ char *group = own_group(), *dir = group ? directory_of(group) : NULL, *procs = NULL;

	*g = (struct cgroups){ .tag = tag };
	if (!dir) {
		g->reason = xstrdup("there is no cgroup v2 hierarchy that shows our own control group");
		return;
	}
	/* Both are what delegation means: groups may be made, and processes moved out of here. */
	procs = xasprintf("%s/cgroup.procs", dir);
	if (faccessat(AT_FDCWD, dir, W_OK, AT_EACCESS) < 0 || faccessat(AT_FDCWD, procs, W_OK, AT_EACCESS) < 0) {
		g->reason = xasprintf("our own control group '%s' is not delegated to us: %s", dir, strerror(errno));
		return;
	}
	g->dir = TAKE_PTR(dir);
}

void cgroups_close(struct cgroups *g)
{
	free(g->dir);
	free(g->reason);
	*g = (struct cgroups){ NULL };
}

char *cgroups_path(const struct cgroups *g, const char *name)
{
	return g->dir ? xasprintf("%s/drover-%08x-%s", g->dir, g->tag, name) : NULL;
}

bool cgroups_make(const struct cgroups *g, const char *name, char **path, struct err **e)
{
	_cleanup_free_ char *dir = cgroups_path(g, name);

	*path = NULL;
	if (!dir)
		return true;
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return err_set_errno(e, ERR_GENERIC, errno, "cannot make the control group '%s'", dir);
	*path = TAKE_PTR(dir);
	return true;
}

bool cgroups_remove(const char *path, struct err **e)
{
	if (!path || rmdir(path) == 0 || errno == ENOENT)
		return true;
	return err_set_errno(e, ERR_GENERIC, errno, "cannot remove the control group '%s'", path);
}
