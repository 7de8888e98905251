/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The definition of an instance: what is wanted, as rows.
 *
 * It is kept as JSON, as given plus identities and addresses, and decoded into a struct for use. Built-in defaults
 * are not written, so that they can be seen to be defaults.
 */
#ifndef DROVER_RUNTIME_DEFINITION_H
#define DROVER_RUNTIME_DEFINITION_H

#include "runtime/disk.h"
#include "runtime/hvparams.h"
#include "runtime/nic.h"

struct definition {
	char *name, *uuid, *description;
	struct json_object *metadata;
	int64_t layout, vcpus;
	uint64_t memory; /* bytes */
	struct hvparams hvparams;
	struct param_list disks, nics; /* struct disk, struct nic */
	struct json_object *autostart; /* runtime/autostart.h */
	int on_host_shutdown;
};

extern const struct param definition_rows[];

/* What a definition is completed from. */
struct definition_context {
	struct json_object *old; /* the stored one that it replaces, or NULL: devices keep their identity and place */
	struct json_object *running; /* what runs, or NULL: as of slots_assign() */
	bool next_start;             /* the same */
	/* Whether a card of another instance has this address. */
	bool (*mac_taken)(const char *mac, void *data);
	void *data;
};

/* Decodes and checks GIVEN over all members. */
bool definition_decode(struct json_object *given, struct definition *def, struct err **e);
void definition_clear(struct definition *def);
/* Whether nothing is missing that definition_store() adds to devices; InvalidParameter, naming it. */
bool definition_is_whole(const struct definition *def, struct err **e);
/* What is stored of GIVEN: its members with sizes in bytes, and what it did not say: uuids, names, addresses of cards,
 * hvinfo, layout. The caller owns it. */
struct json_object *definition_store(struct json_object *given, const struct definition_context *ctx, struct err **e);

/* Sets hvparams.machine_version in a stored definition. */
void definition_set_machine(struct json_object *stored, const char *machine);
/* The machine_version of a definition as it is stored, or the default. */
const char *definition_machine(struct json_object *stored);
/* Whether its machine has ACPI: a power button, and hotplug on PCI. NULL: it is taken to have. */
bool definition_has_acpi(struct json_object *stored);

/* Whether a card of a stored definition, or of a runtime record, has this address. */
bool definition_has_mac(struct json_object *o, const char *mac);

/* The device's id, node name and netdev id: KIND ("disk", "nic") and the start of UUID. */
char *device_id(const char *kind, const char *uuid);
/* Elements of the lists, typed. */
struct disk *definition_disk(const struct definition *def, size_t i);
struct nic *definition_nic(const struct definition *def, size_t i);

#endif
