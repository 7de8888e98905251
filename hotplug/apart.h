/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A disk that no guest has, opened by a QEMU that has no machine: what QEMU alone knows how to do with an image is done
 * by the same program, with the same block nodes and as the same user, as when the guest runs.
 *
 * It ends with droverd, and by itself after APART_MS.
 */
#ifndef DROVER_HOTPLUG_APART_H
#define DROVER_HOTPLUG_APART_H

#include "base/op.h"
#include "runtime/instance.h"

enum { APART_MS = 300000 };

struct apart;

/* For the disk ID of the definition STORED; the operation owns it. NULL and InvalidParameter if that is none. */
struct apart *apart_new(struct op *op, struct instance *inst, struct json_object *stored, const char *id,
			struct err **e);
/* Steps: it runs, and has the images open. */
void apart_begin_plan(struct op *op, struct apart *a);
/* Its monitor, between these. */
struct qmp *apart_qmp(const struct apart *a);
/* Steps, for behind the commit too: it has ended. */
void apart_end_plan(struct op *op, struct apart *a);

/* A wait of OP, before or after it runs: whether the disk has SIZE bytes by what is in its image; else StorageError. Of a
 * disk that is no file nobody can tell: Unsupported. When it is known *DOUBTFUL is false. */
enum verdict apart_see_size(struct op *op, struct apart *a, uint64_t size, bool *doubtful);

#endif
