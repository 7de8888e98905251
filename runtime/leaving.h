/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which devices are to leave a guest that has not let go of them: what a detach leaves behind that ended in Timeout, or was
 * cancelled. The runtime record says so ("detach-pending"), and goes with the host; so for each of them there is an empty
 * file, lib/instances/NAME/ID.leaving, until it has left or stays. A process that is gone has let go of all.
 *
 * What else lies there by such a name is nobody's wish: an id that no device of the definition has.
 */
#ifndef DROVER_RUNTIME_LEAVING_H
#define DROVER_RUNTIME_LEAVING_H

#include "base/op.h"
#include "runtime/instance.h"

/* A wait: the file of ID is there, durably; unless, by then, it is not to leave any more. */
enum verdict leaving_put(struct op *op, struct instance *inst, const char *id);
/* Of a device that has left, or stays. Not synced: what is written of the definition later is, and that with it. */
void leaving_forget(const struct instance *inst, const char *id);
/* The ids; the caller's. */
struct json_object *leaving_ids(const struct runtime *rt, const char *name);
/* Takes them off the definition of NAME if it has no run directory, which a host that has lost its power took. Only before
 * the loop runs. */
void leaving_recover(struct runtime *rt, const char *name);

#endif
