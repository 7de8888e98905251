/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which UEFI a guest boots by: QEMU's descriptors of firmware (its docs/interop/firmware.json), and the choice among them.
 *
 * A descriptor is a file *.json in one of some directories. Of files of the same name the one in the last directory
 * counts; an empty one, or a link to /dev/null, takes those of that name away. By their names they are tried in order. One
 * that cannot be understood hinders no other.
 *
 * What fits is mapped as flash, in two parts, for this machine of x86_64. "uefi" is the first without Secure Boot, else the
 * first without enrolled keys; "uefi-secure" is the first with Secure Boot, enrolled keys and SMM, without which a guest
 * could write to its variables past the firmware.
 */
#ifndef DROVER_RUNTIME_FIRMWARE_H
#define DROVER_RUNTIME_FIRMWARE_H

#include "runtime/disk.h"

/* All zero: none was chosen. */
struct uefi {
	char *code, *nvram; /* paths: the image that is run, and that of the variables: at first the template of it */
	int code_format, nvram_format; /* enum image_format */
	bool smm;                      /* needs it, and with it a Q35 machine */
};

/* Rules: uefi-secure is for Q35 machines, and a PC without ACPI starts none. */
bool firmware_check(const struct hvparams *hv, struct err **e);

/* Reads the descriptors of DIRS, a NULL-terminated list by rising precedence, in line: only beside the loop. MACHINE
 * is a versioned name. NotFound, naming hvparams.firmware. */
bool firmware_choose(struct uefi *f, enum firmware kind, const char *machine, const char *const *dirs, struct err **e);
/* What one descriptor says; false: it is none that we understand. For tests. */
bool firmware_parse(const char *text, size_t len, const char *machine, enum firmware kind, struct uefi *f,
		    unsigned *rank, struct err **e);

/* {code: {path, format}, template: {path, format}, smm}, as it is kept with the instance. */
struct json_object *firmware_to_json(const struct uefi *f);
bool firmware_from_json(struct json_object *o, struct uefi *f, struct err **e);
void firmware_clear(struct uefi *f);

#endif
