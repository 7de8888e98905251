/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Drivers of devices as fake-qemu knows them, the buses of its machines, and addresses on PCI.
 */
#ifndef DROVER_TESTS_FAKE_BUS_H
#define DROVER_TESTS_FAKE_BUS_H

#include "base/cleanup.h"

struct fake;

enum bus_type { BUS_NONE, BUS_PCI, BUS_SCSI, BUS_IDE, BUS_ISA, BUS_PORTS, BUS_FLOPPY, BUS_USB };

struct driver {
	const char *name, *backend; /* backend: of a virtio device, which has the properties */
	enum bus_type on, gives;
	bool drive, needs_drive, card;
	int max_id; /* of the SCSI bus that it gives */
};

struct bus {
	const char *name; /* as the machine has it, or of the device that gives it */
	enum bus_type type;
	bool hot;
	const struct driver *giver; /* NULL: the machine */
};

const struct driver *driver_find(const char *name);
/* The machine's bus of this name, or its first of this type; false: it has none. */
bool bus_of_machine(const struct fake *f, const char *name, enum bus_type type, struct bus *ret);
/* As QEMU calls it. */
const char *bus_type_name(const struct fake *f, enum bus_type type);
/* "0xc.1", "c" -> slot * 8 + function; false: it is none. */
bool pci_address(const char *text, int *ret);
/* What the machine itself has there, or NULL. */
const char *pci_builtin(const struct fake *f, int address);

#endif
