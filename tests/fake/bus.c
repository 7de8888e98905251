/* SPDX-License-Identifier: BSD-2-Clause */
#include "bus.h"

#include "fake.h"

#include <stdio.h>

enum { SLOTS = 32, FUNCTIONS = 8 };

static const struct driver drivers[] = {
	{ "e1000", .on = BUS_PCI, .card = true },
	{ "VGA", .on = BUS_PCI },
	{ "floppy", .on = BUS_FLOPPY, .drive = true },
	{ "i6300esb", .on = BUS_PCI },
	{ "i82551", .on = BUS_PCI, .card = true },
	{ "i82557b", .on = BUS_PCI, .card = true },
	{ "i82559er", .on = BUS_PCI, .card = true },
	{ "ich9-intel-hda", .on = BUS_PCI },
	{ "ide-cd", .on = BUS_IDE, .drive = true },
	{ "ide-hd", .on = BUS_IDE, .drive = true, .needs_drive = true },
	{ "isa-fdc", .on = BUS_ISA, .gives = BUS_FLOPPY },
	{ "lsi53c895a", .on = BUS_PCI, .gives = BUS_SCSI, .max_id = 7 },
	{ "megasas", .on = BUS_PCI, .gives = BUS_SCSI, .max_id = 63 },
	{ "ne2k_isa", .on = BUS_ISA, .card = true },
	{ "ne2k_pci", .on = BUS_PCI, .card = true },
	{ "pcie-root-port", .on = BUS_PCI, .gives = BUS_PCI },
	{ "pcnet", .on = BUS_PCI, .card = true },
	{ "pvpanic", .on = BUS_ISA },
	{ "qemu-xhci", .on = BUS_PCI, .gives = BUS_USB },
	{ "rtl8139", .on = BUS_PCI, .card = true },
	{ "scsi-block", .on = BUS_SCSI, .drive = true, .needs_drive = true },
	{ "scsi-cd", .on = BUS_SCSI, .drive = true },
	{ "scsi-generic", .on = BUS_SCSI, .drive = true, .needs_drive = true },
	{ "scsi-hd", .on = BUS_SCSI, .drive = true, .needs_drive = true },
	{ "tpm-tis", .on = BUS_ISA },
	{ "usb-tablet", .on = BUS_USB },
	{ "virtio-balloon-pci", "virtio-balloon-device", .on = BUS_PCI },
	{ "virtio-blk-pci", "virtio-blk-device", .on = BUS_PCI, .drive = true, .needs_drive = true },
	{ "virtio-mem-pci", "virtio-mem", .on = BUS_PCI },
	{ "virtio-net-pci", "virtio-net-device", .on = BUS_PCI, .card = true },
	{ "virtio-rng-pci", "virtio-rng-device", .on = BUS_PCI },
	{ "virtio-scsi-pci", "virtio-scsi-device", .on = BUS_PCI, .gives = BUS_SCSI, .max_id = 255 },
	{ "virtio-serial-pci", "virtio-serial-device", .on = BUS_PCI, .gives = BUS_PORTS },
	{ "virtserialport", .on = BUS_PORTS },
};

static const struct {
	bool q35;
	struct bus bus;
} buses[] = {
	{ false, { "pci.0", BUS_PCI, .hot = true } },
	{ false, { "isa.0", BUS_ISA } },
	{ false, { "ide.0", BUS_IDE } },
	{ false, { "ide.1", BUS_IDE } },
	{ true, { "pcie.0", BUS_PCI } },
	{ true, { "isa.0", BUS_ISA } },
	{ true, { "ide.0", BUS_IDE } },
	{ true, { "ide.1", BUS_IDE } },
	{ true, { "ide.2", BUS_IDE } },
	{ true, { "ide.3", BUS_IDE } },
	{ true, { "ide.4", BUS_IDE } },
	{ true, { "ide.5", BUS_IDE } },
};

static const struct {
	bool q35;
	int slot, function;
	const char *name;
} builtin[] = {
	{ false, 0, 0, "i440FX" },    { false, 1, 0, "PIIX3" },    { false, 1, 1, "piix3-ide" },
	{ false, 1, 3, "PIIX4_PM" },  { true, 0, 0, "mch" },       { true, 31, 0, "ICH9-LPC" },
	{ true, 31, 2, "ich9-ahci" }, { true, 31, 3, "ICH9-SMB" },
};

const struct driver *driver_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
		if (str_eq(drivers[i].name, name))
			return &drivers[i];
	return NULL;
}

bool bus_of_machine(const struct fake *f, const char *name, enum bus_type type, struct bus *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(buses); i++) {
		if (buses[i].q35 != f->q35 || (name ? !str_eq(buses[i].bus.name, name) : buses[i].bus.type != type))
			continue;
		*ret = buses[i].bus;
		return true;
	}
	return false;
}

const char *bus_type_name(const struct fake *f, enum bus_type type)
{
	static const char *const names[] = {
		[BUS_NONE] = "",
		[BUS_PCI] = "PCI",
		[BUS_SCSI] = "SCSI",
		[BUS_IDE] = "IDE",
		[BUS_ISA] = "ISA",
		[BUS_PORTS] = "virtio-serial-bus",
		[BUS_FLOPPY] = "floppy-bus",
		[BUS_USB] = "usb-bus",
	};

	return type == BUS_PCI && f->q35 ? "PCIE" : names[type];
}

bool pci_address(const char *text, int *ret)
{
	unsigned slot, function = 0;
	char rest;
	int n = sscanf(text, "%x.%x%c", &slot, &function, &rest);

	if (n < 1 || n > 2 || slot >= SLOTS || function >= FUNCTIONS)
		return false;
	*ret = (int)(slot * FUNCTIONS + function);
	return true;
}

const char *pci_builtin(const struct fake *f, int address)
{
	for (size_t i = 0; i < ARRAY_SIZE(builtin); i++)
		if (builtin[i].q35 == f->q35 && builtin[i].slot * FUNCTIONS + builtin[i].function == address)
			return builtin[i].name;
	return NULL;
}
