/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Definitions on the disk: lib/instances/NAME, durably.
 *
 * A directory appears whole, by one rename; in one that is there the file does. A directory is renamed with all that
 * lies in it (state.json, and whatever else is kept with an instance) by one rename as well: before it, the definition
 * with the new name is laid beside the old one as `renamed.json`, and whoever finds that file (the rest of the
 * operation, or droverd at its next start, also after a power cut) puts it in place if it names the directory that it
 * lies in, and else drops it. There is no moment with two directories of one instance, or with none.
 *
 * The waits run on the thread pool; an expiry stalls. NAME, and all text, is copied.
 */
#ifndef DROVER_RUNTIME_STORE_H
#define DROVER_RUNTIME_STORE_H

#include "base/op.h"
#include "runtime/instance.h"

/* A wait: DEFINITION is lib/instances/NAME/definition.json. */
enum verdict store_put(struct op *op, struct runtime *rt, const char *name, struct json_object *definition);
/* The same where there is one to replace; a failure is logged only. */
enum verdict store_replace_if_possible(struct op *op, struct runtime *rt, const char *name,
				       struct json_object *definition);
/* Removes what a store_put() that failed may have left. */
void store_put_undo(struct runtime *rt, const char *name);
/* Is it on the disk? */
bool store_has(struct runtime *rt, const char *name, struct json_object *definition);

/* A wait: DEFINITION, which has the new name, lies beside that of NAME; and back. */
enum verdict store_rename_prepare(struct op *op, struct runtime *rt, const char *name, struct json_object *definition);
void store_rename_undo(struct runtime *rt, const char *name);
/* A wait: directory NAME is called TO, and so is what lies in it; its logs too. Exists if there is one. */
enum verdict store_rename(struct op *op, struct runtime *rt, const char *name, const char *to);
bool store_was_renamed(struct runtime *rt, const char *name, const char *to);
/* Ends or drops a rename that was interrupted in directory NAME, and drops what was half written. Only before the loop
 * runs. */
void store_recover(struct runtime *rt, const char *name);

#endif
