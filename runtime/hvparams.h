/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hvparams: the parameters of the hypervisor, by Ganeti's names, as rows.
 */
#ifndef DROVER_RUNTIME_HVPARAMS_H
#define DROVER_RUNTIME_HVPARAMS_H

#include "base/param.h"

/* In the order of the rows' choices. */
enum accel { ACCEL_AUTO, ACCEL_KVM, ACCEL_TCG };
enum disk_type { DISK_PARAVIRTUAL, DISK_IDE, DISK_SCSI_HD, DISK_SCSI_BLOCK, DISK_SCSI_GENERIC, DISK_SCSI_CD };
enum scsi_controller { SCSI_VIRTIO, SCSI_LSI, SCSI_MEGASAS };
enum disk_cache { CACHE_DEFAULT, CACHE_NONE, CACHE_WRITEBACK, CACHE_WRITETHROUGH };
enum disk_aio { AIO_THREADS, AIO_NATIVE, AIO_IO_URING };
enum disk_discard { DISCARD_IGNORE, DISCARD_UNMAP };
enum detect_zeroes { ZEROES_OFF, ZEROES_ON, ZEROES_UNMAP };
enum boot_order { BOOT_DISK, BOOT_CDROM, BOOT_FLOPPY, BOOT_NETWORK };
enum security_model { SECURITY_NONE, SECURITY_USER, SECURITY_POOL };
enum on_reboot { ON_REBOOT_RESET, ON_REBOOT_STOP, ON_REBOOT_RESTART };
enum on_crash { ON_CRASH_PAUSE, ON_CRASH_STOP, ON_CRASH_RESET, ON_CRASH_RESTART };
enum on_poweroff { ON_POWEROFF_STOP, ON_POWEROFF_RESTART };
enum machine_kind { MACHINE_OTHER, MACHINE_PC, MACHINE_Q35 };

struct hvparams {
	char *kvm_path, *machine_version, *kernel_path, *initrd_path, *root_path, *kernel_args, *kvm_extra;
	char *cpu_type, *cpu_mask, *watchdog, *security_domain;
	int accel, disk_type, scsi_controller_type, disk_cache, disk_aio, disk_discard, disk_detect_zeroes, boot_order;
	int nic_type;       /* index of nic_types */
	int security_model; /* PARAM_CHOICE_NONE: the host's default */
	int on_reboot, on_crash, on_poweroff;
	bool serial_console, use_guest_agent, acpi, rng, panic_device, use_chroot;
	int64_t serial_speed, cpu_cores, cpu_threads, cpu_sockets, pcie_root_ports, kvm_pci_reservations;
};

extern const struct param hvparam_rows[];
/* The choices that single devices override; NULL-terminated. */
extern const char *const disk_types[],
	*const disk_caches[], *const disk_aios[], *const disk_discards[], *const detect_zeroes[],
										  *const nic_types[],
											  *const scsi_controllers[];

/* Rules over several members; errors name "hvparams.X". VCPUS is the definition's. */
bool hvparams_check(const struct hvparams *hv, int64_t vcpus, struct err **e);
/* By its name alone: a name or an alias of a machine. */
enum machine_kind machine_kind(const char *machine);
/* The model that counts: pool by default where droverd is root, else none. */
enum security_model security_model_of(const struct hvparams *hv);
/* "0-3,8" -> calls FN with each number; false when the text is no such list. FN may be NULL. */
bool cpu_list_parse(const char *text, void (*fn)(unsigned cpu, void *data), void *data);
/* Splits as a shell would: blanks, '...', "...", \. NULL-terminated, NULL when a quote is open. The caller frees each
 * and the list (argv_free). */
char **shell_split(const char *text);

#endif
