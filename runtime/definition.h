/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The definition of an instance: what is wanted, as rows.
 *
 * It is kept as JSON, as given plus identities, and decoded into a struct for use. Built-in defaults
 * are not written, so that they can be seen to be defaults.
 */
#ifndef DROVER_RUNTIME_DEFINITION_H
#define DROVER_RUNTIME_DEFINITION_H

#include "base/param.h"

enum accel { ACCEL_AUTO, ACCEL_KVM, ACCEL_TCG };

struct hvparams {
	char *kvm_path, *machine_version, *kernel_path, *initrd_path, *root_path, *kernel_args;
	int accel; /* enum accel */
	bool serial_console, use_guest_agent;
	int64_t serial_speed;
};

struct definition {
	char *name, *uuid, *description;
	struct json_object *metadata;
	int64_t layout, vcpus;
	uint64_t memory; /* bytes */
	struct hvparams hvparams;
	struct param_list disks, nics;
};

extern const struct param hvparam_rows[], definition_rows[];

/* Decodes and checks GIVEN over all members. */
bool definition_decode(struct json_object *given, struct definition *def, struct err **e);
void definition_clear(struct definition *def);
/* What is stored of GIVEN: its members with sizes in bytes, uuid (made if absent) and layout. The
 * caller owns it. */
struct json_object *definition_store(struct json_object *given, struct err **e);

#endif
