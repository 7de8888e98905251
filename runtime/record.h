/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The records of a run: runtime.json while there is a process, state.json after it.
 */
#ifndef DROVER_RUNTIME_RECORD_H
#define DROVER_RUNTIME_RECORD_H

#include "base/op.h"
#include "runtime/instance.h"

enum { RUNTIME_VERSION = 1 };
/* Of what is to be renamed to a run directory; no instance has such a name. */
#define RECORD_NEW ".new-"

struct prepare;
struct argv_env;
struct argv_files;

/* What runtime.json says of a device that is attached: of disk DISK of DEF, which DEFINITION is the JSON of. The
 * caller's. */
struct json_object *record_disk(const struct definition *def, size_t disk, struct json_object *definition,
				const struct argv_env *env, const struct argv_files *files);
struct json_object *record_nic(const struct definition *def, size_t nic, struct json_object *definition);
/* Its place in the firmware's order, as QEMU was told it; PARAM_INT_NONE: it has none. */
void record_order(struct json_object *shown, int64_t bootindex);
/* What runtime.json says of any QEMU, whoever started it. The JSON is borrowed, but for what `taken` holds. */
struct record_run {
	const struct definition *def;
	struct json_object *definition; /* which it runs; DEF is the same, but maybe for the machine's name */
	struct {
		struct json_object *cmd, *disks, *nics, *process, *displays;
	} taken;
	const char *binary, *version;
	bool kvm;
	int64_t starts;
};
/* The caller's. */
struct json_object *record_of(const struct record_run *r);
/* Writes inst->record, which was changed, to runtime.json. */
bool record_save(struct instance *inst, struct err **e);

/* runtime.json of inst->process, which was started as P says; also kept as inst->record. */
bool record_write(struct instance *inst, const struct prepare *p, struct err **e);
/* How many bytes the node NAME has by what query-named-block-nodes returned; -1: it does not say. */
int64_t record_size_of(struct json_object *nodes, const char *name);
/* The sizes of its disks, from what query-named-block-nodes returned; a node that it does not have says nothing. */
bool record_sizes(struct instance *inst, struct json_object *nodes, struct err **e);
/* Reads runtime.json; refuses one of a newer version, and is the place where an older one is brought up to this. Of
 * version 1 all builds' are understood: the first wrote no `fdsets` (nothing to empty), no `cgroup` (none) and no
 * `qemu.version` (not known). */
bool record_read(struct instance *inst, struct err **e);
/* A wait: writes state.json, durably; inst->unrecorded while that has not worked. The operation holds the instance. */
enum verdict record_state(struct op *op, struct instance *inst);
/* The same, but a failure is logged only. */
enum verdict record_state_if_possible(struct op *op, struct instance *inst);
/* Removes run/instances/NAME, by one rename; absent is success. Refuses where somebody holds a lock in it, or that cannot be
 * told. */
bool record_remove(struct instance *inst, struct err **e);
/* The same, and forgets the run. There must be no process; if there may be one, the instance is in doubt from then on. */
void record_clear(struct instance *inst);
/* Whether the state.json that was read tells of the end of this run already, by its number. */
bool record_is_told(const struct instance *inst);
/* What record_remove() of a former life did not come to the end of, or RECORD_NEW: for file_list(); DATA is the struct
 * runtime. */
void record_sweep(const char *name, void *data);

#endif
