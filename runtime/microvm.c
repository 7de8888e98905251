/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/microvm.h"

#define NO_IDE "ide: a microvm has no IDE; use paravirtual or scsi-hd, for a CD-ROM scsi-cd"
#define NO_FLOPPY "a microvm has no floppy drives"
#define NO_DMA "needs DMA on the ISA bus, which a microvm lacks; use hda or virtio"
#define NO_PORTS "needs I/O ports on the PCI bus, which a microvm lacks; use "

/* A value that a choice may not have. */
static const struct refusal {
	const char *name;
	size_t offset; /* of an int in struct hvparams */
	int value;
	const char *why;
} refusals[] = {
#define REFUSE(member, value, why)                                     \
	{                                                              \
#member, offsetof(struct hvparams, member), value, why \
	}
	REFUSE(cdrom_disk_type, CDROM_IDE, NO_IDE),
	REFUSE(disk_type, DISK_IDE, NO_IDE),
	REFUSE(firmware, FIRMWARE_UEFI, "uefi: there is none for a microvm"),
	REFUSE(nic_type, NIC_TYPE_NE2K_ISA, "ne2k_isa has the interrupt of a microvm's ACPI; use paravirtual"),
	REFUSE(nic_type, NIC_TYPE_NE2K_PCI, "ne2k_pci " NO_PORTS "paravirtual"),
	REFUSE(scsi_controller_type, SCSI_DC390, "dc390 " NO_PORTS "virtio-scsi-pci"),
	REFUSE(soundhw, SOUND_AC97, "ac97 " NO_PORTS "hda or virtio"),
	REFUSE(soundhw, SOUND_ADLIB, "adlib is for the ISA bus, where a microvm has no sound; use hda or virtio"),
	REFUSE(soundhw, SOUND_CS4231A, "cs4231a " NO_DMA),
	REFUSE(soundhw, SOUND_ES1370, "es1370 " NO_PORTS "hda or virtio"),
	REFUSE(soundhw, SOUND_GUS, "gus " NO_DMA),
	REFUSE(soundhw, SOUND_PCSPK, "pcspk: a microvm has no speaker; use hda or virtio"),
	REFUSE(soundhw, SOUND_SB16, "sb16 " NO_DMA),
	REFUSE(vga, VGA_QXL, "qxl " NO_PORTS "std or virtio"),
	REFUSE(vga, VGA_VMWARE, "vmware " NO_PORTS "std or virtio"),
#undef REFUSE
};

/* VALUE, of the parameter NAME or of a device that has its own, whose path is WHERE. */
static bool check_choice(const char *name, int value, const char *where, struct err **e)
{
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		if (str_eq(refusals[i].name, name) && refusals[i].value == value)
			return err_set_param(e, where, "%s", refusals[i].why);
	return true;
}

static bool check_choices(const struct hvparams *hv, struct err **e)
{
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		int value = MEMBER_AT(hv, int, refusals[i].offset);
		_cleanup_free_ char *where = xasprintf("hvparams.%s", refusals[i].name);

		if (!check_choice(refusals[i].name, value, where, e))
			return false;
	}
	return true;
}

static bool check_others(const struct hvparams *hv, struct err **e)
{
	if (!hv->acpi)
		return err_set_param(e, "hvparams.acpi", "a microvm's devices are found by ACPI");
	if (str_empty(hv->kernel_path))
		return err_set_param(e, "hvparams.kernel_path",
				     "is needed: the firmware of a microvm finds no disk and no network card");
	if (!str_empty(hv->floppy_image_path))
		return err_set_param(e, "hvparams.floppy_image_path", NO_FLOPPY);
	if (hv->numa_nodes)
		return err_set_param(e, "hvparams.numa_nodes", "a microvm's ACPI has no table that tells of nodes");
	/* It starts, and Linux finds it by the one table and not by the other. */
	return !hv->tpm || err_set_param(e, "hvparams.tpm", "a microvm's ACPI has no table for a TPM");
}

static bool check_disks(const struct definition *def, struct err **e)
{
	for (size_t i = 0; i < def->disks.n; i++) {
		const struct disk *d = definition_disk(def, i);
		_cleanup_free_ char *type = xasprintf("disks[%zu].type", i), *media = xasprintf("disks[%zu].media", i);

		if (d->media == MEDIA_FLOPPY)
			return err_set_param(e, media, NO_FLOPPY);
		if (!check_choice("disk_type", (int)disk_type_of(d, &def->hvparams), type, e))
			return false;
	}
	return true;
}

static bool check_nics(const struct definition *def, struct err **e)
{
	for (size_t i = 0; i < def->nics.n; i++) {
		_cleanup_free_ char *type = xasprintf("nics[%zu].type", i);

		if (!check_choice("nic_type", nic_type_of(definition_nic(def, i), &def->hvparams), type, e))
			return false;
	}
	return true;
}

bool microvm_check(const struct definition *def, struct err **e)
{
	const struct hvparams *hv = &def->hvparams;

	return machine_kind(hv->machine_version) != MACHINE_MICROVM ||
	       (check_choices(hv, e) && check_others(hv, e) && check_disks(def, e) && check_nics(def, e));
}

const char *microvm_machine(const struct hvparams *hv)
{
	/* With KVM it would have no clock that tells the date. */
	return machine_kind(hv->machine_version) == MACHINE_MICROVM ? ",acpi=on,pcie=on,rtc=on" : "";
}
