/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A control group for each QEMU, where cgroup v2 is mounted and our own group is ours to
 * divide (`Delegate=yes`, or root). No controllers are enabled, so nothing is limited, and droverd
 * and the keepers may stay where they are. The groups let tools see, count and limit a guest by its name.
 */
#ifndef DROVER_RUNTIME_CGROUP_H
#define DROVER_RUNTIME_CGROUP_H

#include "base/err.h"

struct cgroups {
	char *dir;    /* our own, absolute; NULL: none are made */
	char *reason; /* why not, in words to be logged once; NULL if dir is there */
	uint32_t tag;
};

/* Finds our own group; never fails. TAG: confine_tag(); it is in the names of the groups, for several daemons may share
 * one of their own. */
void cgroups_open(struct cgroups *g, uint32_t tag);
void cgroups_close(struct cgroups *g);
/* Where the group of the instance NAME is or would be; the caller's. NULL where none are made. */
char *cgroups_path(const struct cgroups *g, const char *name);
/* The group of the instance NAME, made unless it is there. *PATH is the caller's; NULL where none are made. */
bool cgroups_make(const struct cgroups *g, const char *name, char **path, struct err **e);
/* Absent is success, and NULL is. One that still has a process stays: an error. */
bool cgroups_remove(const char *path, struct err **e);

#endif
