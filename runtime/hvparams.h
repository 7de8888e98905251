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
enum scsi_controller { SCSI_VIRTIO, SCSI_LSI, SCSI_MEGASAS, SCSI_DC390 };
enum disk_cache { CACHE_DEFAULT, CACHE_NONE, CACHE_WRITEBACK, CACHE_WRITETHROUGH };
enum disk_aio { AIO_THREADS, AIO_NATIVE, AIO_IO_URING };
enum disk_discard { DISCARD_IGNORE, DISCARD_UNMAP };
enum detect_zeroes { ZEROES_OFF, ZEROES_ON, ZEROES_UNMAP };
enum boot_order { BOOT_DISK, BOOT_CDROM, BOOT_FLOPPY, BOOT_NETWORK };
enum security_model { SECURITY_NONE, SECURITY_USER, SECURITY_POOL };
enum on_reboot { ON_REBOOT_RESET, ON_REBOOT_STOP, ON_REBOOT_RESTART };
enum on_crash { ON_CRASH_PAUSE, ON_CRASH_STOP, ON_CRASH_RESET, ON_CRASH_RESTART };
enum on_poweroff { ON_POWEROFF_STOP, ON_POWEROFF_RESTART };
enum cdrom_disk_type { CDROM_AS_DISKS, CDROM_IDE, CDROM_PARAVIRTUAL, CDROM_SCSI };
enum firmware { FIRMWARE_BIOS, FIRMWARE_UEFI, FIRMWARE_UEFI_SECURE };
enum kvm_flag { KVM_FLAG_NONE, KVM_FLAG_ENABLED, KVM_FLAG_DISABLED };
enum migration_mode { MIGRATION_LIVE, MIGRATION_NON_LIVE };
enum reboot_behavior { REBOOT_BEHAVIOR_REBOOT, REBOOT_BEHAVIOR_EXIT };
enum usb_mouse { USB_MOUSE_NONE, USB_MOUSE_MOUSE, USB_MOUSE_TABLET };
enum sound_card {
	SOUND_NONE,
	SOUND_AC97,
	SOUND_ADLIB,
	SOUND_CS4231A,
	SOUND_ES1370,
	SOUND_GUS,
	SOUND_HDA,
	SOUND_PCSPK,
	SOUND_SB16,
	SOUND_VIRTIO
};
enum vga { VGA_DEFAULT, VGA_NONE, VGA_STD, VGA_CIRRUS, VGA_QXL, VGA_VIRTIO, VGA_VMWARE };
enum machine_kind { MACHINE_OTHER, MACHINE_PC, MACHINE_Q35, MACHINE_MICROVM };

/* Members by size, and by subject within it. Choices are indexes of their words. */
struct hvparams {
	char *kvm_path, *machine_version, *kernel_path, *initrd_path, *root_path, *kernel_args, *kvm_extra;
	char *cpu_type, *cpu_mask, *mem_path, *security_domain;
	char *vnc_bind_address, *vnc_x509_path, *vnc_password_file, *keymap;
	char *spice_bind, *spice_password_file, *spice_tls_ciphers;
	char *floppy_image_path, *cdrom_image_path, *cdrom2_image_path, *usb_devices, *migration_caps;
	struct json_object *vhost_net; /* true, false or "auto" */
	int64_t serial_speed, cpu_cores, cpu_threads, cpu_sockets, pcie_root_ports, kvm_pci_reservations;
	int64_t iothreads, numa_nodes, spice_ip_version, virtio_net_queues;
	int64_t migration_port, migration_bandwidth, migration_downtime; /* MiB/s, ms */
	int accel, kvm_flag, firmware, boot_order, vga, usb_mouse, soundhw, watchdog;
	int disk_type, scsi_controller_type, cdrom_disk_type, disk_cache, disk_aio, disk_discard, disk_detect_zeroes;
	int nic_type;       /* index of nic_types */
	int security_model; /* PARAM_CHOICE_NONE: the host's default */
	int on_reboot, on_crash, on_poweroff, reboot_behavior, migration_mode;
	int spice_image_compression, spice_jpeg_wan_compression, spice_zlib_glz_wan_compression, spice_streaming_video;
	bool serial_console, use_guest_agent, acpi, rng, panic_device, use_chroot, user_shutdown, use_localtime, tpm;
	bool hyperv, mem_lock, vnet_hdr, vnc_tls, vnc_x509_verify, display_without_password;
	bool spice_playback_compression, spice_use_tls, spice_use_vdagent;
};

extern const struct param hvparam_rows[];
/* The choices that single devices override; NULL-terminated. */
extern const char *const disk_types[];
extern const char *const disk_caches[];
extern const char *const disk_aios[];
extern const char *const disk_discards[];
extern const char *const detect_zeroes[];
extern const char *const nic_types[];
extern const char *const scsi_controllers[];
/* Words of the choices, as QEMU has them mostly. */
extern const char *const sound_cards[];
extern const char *const spice_image_compressions[];
extern const char *const spice_wan_compressions[];
extern const char *const spice_streaming_videos[];
extern const char *const vgas[];
/* The first is none; the rest are QEMU's words for -action. */
extern const char *const watchdogs[];
extern const char *const firmwares[];

/* Rules over several members; errors name "hvparams.X". VCPUS is the definition's. */
bool hvparams_check(const struct hvparams *hv, int64_t vcpus, struct err **e);
/* What Ganeti's words for some choices would be, none of which starts, refused with the reason: hvparams.disk_type and
 * disks[].type of a definition as GIVEN, before it is decoded. */
bool hvparams_check_dead(struct json_object *given, struct err **e);
/* The accelerator that counts: kvm_flag is another word for it. */
enum accel accel_of(const struct hvparams *hv);
/* What counts when the guest reboots: reboot_behavior exit is another word for stop. */
enum on_reboot on_reboot_of(const struct hvparams *hv);
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
