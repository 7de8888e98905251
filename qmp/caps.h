/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a QEMU binary can do, as drover-probe saw it: immutable, counted by references, answering from memory. One binary
 * takes some tens of KiB: all names lie in one sorted pool, and every set is a sorted list of numbers into it.
 */
#ifndef DROVER_QMP_CAPS_H
#define DROVER_QMP_CAPS_H

#include "base/json.h"
#include "qmp/quirks.h"

enum caps_kind {
	CAPS_COMMAND,   /* of QMP */
	CAPS_DEVICE,    /* for device_add */
	CAPS_OBJECT,    /* for object-add */
	CAPS_BLOCKDEV,  /* drivers for blockdev-add */
	CAPS_NETDEV,    /* types for netdev_add */
	CAPS_CPU,       /* models */
	CAPS_MIGRATION, /* capabilities for migrate-set-capabilities */
	CAPS_KIND_COUNT
};

struct caps;

/* From what drover-probe printed, or from a file that once held this: anything may be in it. GenericError. */
struct caps *caps_from_json(struct json_object *o, struct err **e);
struct caps *caps_ref(struct caps *c);
struct caps *caps_unref(struct caps *c);
DEFINE_CLEANUP(struct caps *, caps_unref, caps_unrefp)
#define _cleanup_caps_ _cleanup_(caps_unrefp)

/* "7.2.22": for people; nothing may depend on it. */
const char *caps_version(const struct caps *c);

/* The name to be kept for a machine given by name or alias ("pc" is "pc-i440fx-7.2"), or NULL. */
const char *caps_machine(const struct caps *c, const char *name_or_alias);
bool caps_machine_is_deprecated(const struct caps *c, const char *name_or_alias);
/* How many vcpus it takes at most; 0: nobody knows. */
int caps_machine_cpus(const struct caps *c, const char *name_or_alias);
/* Of the machines pc and q35 only, in all their versions. */
bool caps_has_machine_property(const struct caps *c, const char *name_or_alias, const char *property);

bool caps_has(const struct caps *c, enum caps_kind kind, const char *name);
/* Of the devices that drover itself makes (the table in probe_main.c); false for all others. An alias that device_add
 * takes ("lsi") is not a type. */
bool caps_has_property(const struct caps *c, const char *device, const char *property);
bool caps_has_quirk(const struct caps *c, enum quirk q);

static inline bool caps_has_command(const struct caps *c, const char *name)
{
	return caps_has(c, CAPS_COMMAND, name);
}

/* A device or an object. */
static inline bool caps_has_type(const struct caps *c, const char *name)
{
	return caps_has(c, CAPS_DEVICE, name) || caps_has(c, CAPS_OBJECT, name);
}

static inline bool caps_has_cpu(const struct caps *c, const char *name)
{
	return caps_has(c, CAPS_CPU, name);
}

/* {"version", "package", "machines": {alias: name}, "capabilities": {name: bool}, "quirks": [name]}, members of an
 * element of query-host's list; the caller's. */
struct json_object *caps_describe(const struct caps *c);
/* Memory held, in bytes. */
size_t caps_size(const struct caps *c);

#endif
