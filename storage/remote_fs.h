/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * File systems that a server or a program answers for: who looks at one waits for somebody who may have died. For
 * drover-open too, which links nothing.
 */
#ifndef DROVER_STORAGE_REMOTE_FS_H
#define DROVER_STORAGE_REMOTE_FS_H

#include <linux/magic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/vfs.h>

/* ST: of fstatfs(). */
static inline bool fs_is_remote(const struct statfs *st)
{
	static const unsigned long remote[] = { NFS_SUPER_MAGIC,  SMB_SUPER_MAGIC,  SMB2_SUPER_MAGIC, CIFS_SUPER_MAGIC,
						FUSE_SUPER_MAGIC, CEPH_SUPER_MAGIC, AFS_FS_MAGIC,     V9FS_MAGIC };

	for (size_t i = 0; i < sizeof(remote) / sizeof(remote[0]); i++)
		if ((unsigned long)st->f_type == remote[i])
			return true;
	return false;
}

#endif
