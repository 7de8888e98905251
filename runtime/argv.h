/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Definition -> command line of QEMU. Pure: touches nothing, chooses nothing.
 */
#ifndef DROVER_RUNTIME_ARGV_H
#define DROVER_RUNTIME_ARGV_H

#include "runtime/definition.h"

/* The descriptors that QEMU is started with. 0 to 2 are as ever, 3 and 4 the launcher's. */
enum {
	FD_QMP = 5,     /* listening: the monitor */
	FD_QMP2,        /* listening: the second monitor */
	FD_SERIAL,      /* listening: the serial port */
	FD_CONSOLE_LOG, /* append: what the guest writes to the serial port */
	FD_EVENTS_LOG,  /* append: what QEMU says on the second monitor */
	FD_AGENT,       /* listening: the guest agent's port */
	FD_COUNT,
};

/* NULL-terminated; argv[0] is the binary. */
char **argv_build(const struct definition *def, const char *binary);
char **argv_free(char **argv);
struct json_object *argv_to_json(char **argv);
/* QEMU's string notation: a comma in a value is doubled. */
char *argv_escape(const char *value);
/* kvm_path, or the architecture's binary found in PATH; NULL and NotFound. */
char *argv_binary(const struct definition *def, struct err **e);

#endif
