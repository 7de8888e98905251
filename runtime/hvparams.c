/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/hvparams.h"

#include "runtime/boot.h"
#include "runtime/display.h"
#include "runtime/firmware.h"
#include "runtime/pinning.h"
#include "runtime/processor.h"
#include "runtime/usb.h"

#include <ctype.h>
#include <string.h>
#include <unistd.h>

static const char *const accels[] = { "auto", "kvm", "tcg", NULL };
const char *const disk_types[] = { "paravirtual", "ide", "scsi-hd", "scsi-block", "scsi-generic", "scsi-cd", NULL };
const char *const scsi_controllers[] = { "virtio-scsi-pci", "lsi", "megasas", "dc390", NULL };
const char *const disk_caches[] = { "default", "none", "writeback", "writethrough", NULL };
const char *const disk_aios[] = { "threads", "native", "io_uring", NULL };
const char *const disk_discards[] = { "ignore", "unmap", NULL };
const char *const detect_zeroes[] = { "off", "on", "unmap", NULL };
const char *const nic_types[] = { "paravirtual", "e1000",    "i82551", "i82557b", "i82559er",
				  "ne2k_isa",    "ne2k_pci", "pcnet",  "rtl8139", NULL };
static const char *const security_models[] = { "none", "user", "pool", NULL };
static const char *const on_reboots[] = { "reset", "stop", "restart", NULL };
static const char *const on_crashes[] = { "pause", "stop", "reset", "restart", NULL };
static const char *const on_poweroffs[] = { "stop", "restart", NULL };
static const char *const cdrom_disk_types[] = { "", "ide", "paravirtual", "scsi-cd", NULL };
const char *const firmwares[] = { "bios", "uefi", "uefi-secure", NULL };
static const char *const kvm_flags[] = { "", "enabled", "disabled", NULL };
static const char *const migration_modes[] = { "live", "non-live", NULL };
static const char *const reboot_behaviors[] = { "reboot", "exit", NULL };
const char *const sound_cards[] = { "",    "ac97",  "adlib", "cs4231a", "es1370", "gus",
				    "hda", "pcspk", "sb16",  "virtio",  NULL };
const char *const spice_image_compressions[] = { "", "auto_glz", "auto_lz", "quic", "glz", "lz", "off", NULL };
const char *const spice_wan_compressions[] = { "", "auto", "never", "always", NULL };
const char *const spice_streaming_videos[] = { "", "all", "filter", "off", NULL };
static const char *const usb_mice[] = { "", "mouse", "tablet", NULL };
const char *const vgas[] = { "", "none", "std", "cirrus", "qxl", "virtio", "vmware", NULL };
const char *const watchdogs[] = { "", "reset", "shutdown", "poweroff", "pause", "debug", "none", "inject-nmi", NULL };
/* Ganeti's. */
static const char *const serial_speeds[] = { "75",     "110",    "300",    "600",    "1200",  "1800",  "2400",
					     "4800",   "9600",   "14400",  "19200",  "28800", "38400", "57600",
					     "115200", "230400", "345600", "460800", NULL };
static const char *const ip_versions[] = { "0", "4", "6", NULL };
static const char *const vhost_words[] = { "true", "false", "\"auto\"", NULL };
#define HV_SINCE(member) PARAM_AT(struct hvparams, member), .since = "0.1.0"
#define HV(member) HV_SINCE(member), .change = CHANGE_RESTART
#define HV_UNUSED(member) HV_SINCE(member), .change = CHANGE_LIVE /* no start uses it */
const struct param hvparam_rows[] = {
	{ "accel", PARAM_CHOICE, .choices = accels, .def = "\"auto\"", HV(accel),
	  .doc = "How the guest's instructions run; auto is kvm where that was seen to work, else tcg." },
	{ "acpi", PARAM_BOOL, .def = "true", HV(acpi),
	  .doc = "ACPI tables; without them no power button, no hotplug." },
	{ "boot_order", PARAM_CHOICE, .choices = boot_orders, .def = "\"disk\"", HV(boot_order),
	  .doc = "What the firmware tries first, which has to be there: the first disk, CD-ROM (cdrom1 before others, "
		 "never cdrom2), floppy or network card; unless a disk says so by its bootindex." },
	{ "cdrom2_image_path", PARAM_TEXT, .def = "\"\"", .max = 4096, HV(cdrom2_image_path),
	  .doc = "Image of the disk cdrom2, as cdrom_image_path, which is never booted from." },
	{ "cdrom_disk_type", PARAM_CHOICE, .choices = cdrom_disk_types, .def = "\"\"", HV(cdrom_disk_type),
	  .doc = "Device that CD-ROMs are which have no type of their own; paravirtual has no tray; empty: what suits "
		 "disk_type, ide or scsi-cd." },
	{ "cdrom_image_path", PARAM_TEXT, .def = "\"\"", .max = 4096, HV(cdrom_image_path),
	  .doc = "Image of the disk cdrom1, which is made and goes with it: an absolute path, or an http: or https: "
		 "URL, which is tried at the start." },
	{ "cpu_cores", PARAM_INT, .max = 512, .def = "0", HV(cpu_cores),
	  .doc = "Cores of a socket; 0: QEMU's choice." },
	{ "cpu_mask", PARAM_TEXT, .def = "\"all\"", .min = 1, .max = 16384, HV(cpu_mask),
	  .doc = "Processors of the host that QEMU may use, such as 0-3,8; or a list for each vcpu, parted by colons, "
		 "such as 0:1:all. All other threads then may use what any vcpu may." },
	{ "cpu_sockets", PARAM_INT, .max = 512, .def = "0", HV(cpu_sockets), .doc = "Sockets; 0: QEMU's choice." },
	{ "cpu_threads", PARAM_INT, .max = 512, .def = "0", HV(cpu_threads),
	  .doc = "Threads of a core; 0: QEMU's choice." },
	{ "cpu_type", PARAM_TEXT, .def = "\"\"", .max = 1024, HV(cpu_type),
	  .doc = "CPU model, with features as in QEMU's -cpu: Skylake-Server,-hle; empty: qemu64." },
	{ "disk_aio", PARAM_CHOICE, .choices = disk_aios, .def = "\"threads\"", HV(disk_aio),
	  .doc = "How images are read and written; native needs disk_cache none." },
	{ "disk_cache", PARAM_CHOICE, .choices = disk_caches, .def = "\"default\"", HV(disk_cache),
	  .doc = "Use of the host's page cache: none bypasses it, writethrough waits for the medium." },
	{ "disk_detect_zeroes", PARAM_CHOICE, .choices = detect_zeroes, .def = "\"off\"", HV(disk_detect_zeroes),
	  .doc = "Writes of zeroes become holes; unmap also where disk_discard is unmap." },
	{ "disk_discard", PARAM_CHOICE, .choices = disk_discards, .def = "\"ignore\"", HV(disk_discard),
	  .doc = "What becomes of the guest's discards." },
	{ "disk_type", PARAM_CHOICE, .choices = disk_types, .def = "\"paravirtual\"", HV(disk_type),
	  .doc = "Device that disks are; paravirtual is virtio-blk." },
	{ "display_without_password", PARAM_BOOL, .def = "false", HV_UNUSED(display_without_password),
	  .doc = "A display that listens on every address (0.0.0.0, ::) needs no password: whoever reaches the host "
		 "sees and uses the guest." },
	{ "firmware", PARAM_CHOICE, .choices = firmwares, .def = "\"bios\"", HV(firmware),
	  .doc = "What the guest boots by. uefi and uefi-secure, which needs a Q35 machine, are of the package ovmf; "
		 "the "
		 "variables are kept with the instance, for each of the two." },
	{ "floppy_image_path", PARAM_PATH, .def = "\"\"", HV(floppy_image_path),
	  .doc = "Image of the disk floppy1, which is made and goes with it." },
	{ "hyperv", PARAM_BOOL, .def = "false", HV(hyperv),
	  .doc = "What Windows likes of a hypervisor: Hyper-V's enlightenments. A guest sees them with KVM only." },
	{ "initrd_path", PARAM_PATH, .def = "\"\"", HV(initrd_path), .doc = "Initial RAM disk for kernel_path." },
	{ "iothreads", PARAM_INT, .def = "0", .min = 0, .max = 64, HV(iothreads),
	  .doc = "Threads for the I/O of disks, one for each virtio disk, and for the virtio SCSI controller, up to "
		 "this number." },
	{ "kernel_args", PARAM_TEXT, .def = "\"ro\"", HV(kernel_args),
	  .doc = "Command line of the kernel. Where they apply root= is put in front, and console= behind it, which is "
		 "the one that "
		 "counts, or in front of a word --." },
	{ "kernel_path", PARAM_PATH, .def = "\"\"", HV(kernel_path), .doc = "Kernel to boot; empty: boot from disk." },
	{ "keymap", PARAM_TEXT, .choices = display_keymaps, .def = "\"\"", .max = 32, HV(keymap),
	  .doc = "Layout of the keyboard, such as de, for clients of VNC or SPICE that send no scan codes." },
	{ "kvm_extra", PARAM_TEXT, .def = "\"\"", HV(kvm_extra),
	  .doc = "Further arguments for QEMU, split as a shell would. What they mean is not checked." },
	{ "kvm_flag", PARAM_CHOICE, .choices = kvm_flags, .def = "\"\"", HV(kvm_flag),
	  .doc = "Ganeti's word for accel: enabled is kvm, disabled is tcg; empty: as accel says." },
	{ "kvm_path", PARAM_PATH, .def = "\"\"", HV(kvm_path),
	  .doc = "The QEMU binary; empty: qemu-system-x86_64 as found in PATH." },
	{ "kvm_pci_reservations", PARAM_INT, .min = 0, .max = 32, .def = "12", HV(kvm_pci_reservations),
	  .doc = "First slot for disks and network cards of a PC or a microvm." },
	{ "machine_version", PARAM_TEXT, .def = "\"pc\"", .min = 1, .max = 64, HV(machine_version),
	  .doc = "Machine type of the binary, PC or Q35, an alias of which becomes the versioned name at the first "
		 "start; or microvm, which needs kernel_path and has no hotplug, IDE, floppies, UEFI or TPM." },
	{ "mem_lock", PARAM_BOOL, .def = "false", HV(mem_lock),
	  .doc = "The guest's memory is locked: nothing of it is ever swapped out." },
	{ "mem_path", PARAM_PATH, .def = "\"\"", HV(mem_path),
	  .doc = "Directory that the guest's memory comes from, all of it at the start: one of hugetlbfs, mostly. Not "
		 "with use_chroot." },
	{ "migration_bandwidth", PARAM_INT, .def = "32", .min = 0, .max = 1073741824, .unit = "MiB/s",
	  HV_UNUSED(migration_bandwidth), .doc = "Bandwidth of migrations; 0: no limit. Kept for later." },
	{ "migration_caps", PARAM_TEXT, .def = "\"\"", .max = 1024, HV_UNUSED(migration_caps),
	  .doc = "Capabilities for migrations, parted by colons, as QEMU calls them: xbzrle:postcopy-ram. "
		 "Kept for later." },
	{ "migration_downtime", PARAM_INT, .def = "30", .min = 0, .max = 2000000, .unit = "ms",
	  HV_UNUSED(migration_downtime), .doc = "How long a guest may stand still in a migration. Kept for later." },
	{ "migration_mode", PARAM_CHOICE, .choices = migration_modes, .def = "\"live\"", HV_UNUSED(migration_mode),
	  .doc = "non-live: the guest is paused before it is moved. Kept for later." },
	{ "migration_port", PARAM_INT, .def = "8102", .min = 1, .max = 65534, HV_UNUSED(migration_port),
	  .doc = "Port that a guest is moved to. Kept for later." },
	{ "nic_type", PARAM_CHOICE, .choices = nic_types, .def = "\"paravirtual\"", HV(nic_type),
	  .doc = "Device that network cards are; paravirtual is virtio-net." },
	{ "numa_nodes", PARAM_INT, .def = "0", .min = 0, .max = 128, HV(numa_nodes),
	  .doc = "NUMA nodes of the guest; its memory, in whole MiB, and its processors are shared out evenly. 0: "
		 "none." },
	{ "on_crash", PARAM_CHOICE, .choices = on_crashes, .def = "\"pause\"", HV(on_crash),
	  .doc = "After a panic of the guest or an end of QEMU without a word; pause and reset mean stop where there "
		 "is "
		 "no process." },
	{ "on_poweroff", PARAM_CHOICE, .choices = on_poweroffs, .def = "\"stop\"", HV(on_poweroff),
	  .doc = "After the guest powered itself off." },
	{ "on_reboot", PARAM_CHOICE, .choices = on_reboots, .def = "\"reset\"", HV(on_reboot),
	  .doc = "When the guest reboots; restart is a new process, with what is pending applied." },
	{ "panic_device", PARAM_BOOL, .def = "true", HV(panic_device),
	  .doc = "pvpanic: the guest can tell of a panic." },
	{ "pcie_root_ports", PARAM_INT, .min = 0, .max = 104, .def = "24", HV(pcie_root_ports),
	  .doc = "Root ports of a Q35 machine, each for one device." },
	{ "reboot_behavior", PARAM_CHOICE, .choices = reboot_behaviors, .def = "\"reboot\"", HV(reboot_behavior),
	  .doc = "Ganeti's word for on_reboot: exit is stop; reboot: as on_reboot says." },
	{ "rng", PARAM_BOOL, .def = "true", HV(rng), .doc = "virtio-rng: entropy of the host for the guest." },
	{ "root_path", PARAM_TEXT, .def = "\"\"", HV(root_path), .doc = "root= for the kernel; may be empty." },
	{ "scsi_controller_type", PARAM_CHOICE, .choices = scsi_controllers, .def = "\"virtio-scsi-pci\"",
	  HV(scsi_controller_type),
	  .doc = "Controller of disks of type scsi-*: 256 of them with virtio-scsi-pci, 64 with megasas, 7 with lsi "
		 "and dc390." },
	{ "security_domain", PARAM_TEXT, .def = "\"\"", .max = 64, HV(security_domain),
	  .doc = "Account that QEMU runs as; for security_model user." },
	{ "security_model", PARAM_CHOICE, .choices = security_models, HV(security_model),
	  .doc = "Whom QEMU runs as: droverd's own account (none), security_domain (user), or an id of its own from "
		 "the "
		 "pool, without an account; default pool where droverd is root, else none." },
	{ "serial_console", PARAM_BOOL, .def = "true", HV(serial_console),
	  .doc = "The first serial port is the console, and the kernel is told so." },
	{ "serial_speed", PARAM_INT, .choices = serial_speeds, .def = "38400", HV(serial_speed), .unit = "baud",
	  .doc = "Speed given to the kernel with console=." },
	{ "soundhw", PARAM_CHOICE, .choices = sound_cards, .def = "\"\"", HV(soundhw),
	  .doc = "Sound card; who looks by SPICE hears it." },
	{ "spice_bind", PARAM_TEXT, .def = "\"\"", .max = 4096, HV(spice_bind),
	  .doc = "Address or interface that SPICE listens on, at a port of vnc_ports; empty: no SPICE. Not beside "
		 "VNC." },
	{ "spice_image_compression", PARAM_CHOICE, .choices = spice_image_compressions, .def = "\"\"",
	  HV(spice_image_compression), .doc = "How SPICE compresses images; empty: QEMU's choice." },
	{ "spice_ip_version", PARAM_INT, .choices = ip_versions, .def = "0", HV(spice_ip_version),
	  .doc = "Family of the address of the interface spice_bind: 4, 6 or, for whichever there is, 0." },
	{ "spice_jpeg_wan_compression", PARAM_CHOICE, .choices = spice_wan_compressions, .def = "\"\"",
	  HV(spice_jpeg_wan_compression), .doc = "Lossy compression on slow links; empty: QEMU's choice." },
	{ "spice_password_file", PARAM_PATH, .def = "\"\"", HV(spice_password_file),
	  .doc = "Its first line is the password of SPICE, of at most 60 characters; empty: it needs none." },
	{ "spice_playback_compression", PARAM_BOOL, .def = "true", HV(spice_playback_compression),
	  .doc = "Sound is compressed." },
	{ "spice_streaming_video", PARAM_CHOICE, .choices = spice_streaming_videos, .def = "\"\"",
	  HV(spice_streaming_video), .doc = "What SPICE takes for video; empty: QEMU's choice." },
	{ "spice_tls_ciphers", PARAM_TEXT, .def = "\"HIGH:-DES:-3DES:-EXPORT:-DH\"", .max = 1024, HV(spice_tls_ciphers),
	  .doc = "Ciphers of SPICE with TLS." },
	{ "spice_use_tls", PARAM_BOOL, .def = "false", HV(spice_use_tls),
	  .doc = "SPICE speaks TLS only, with ca-cert.pem, server-cert.pem and server-key.pem of the directory tls "
		 "beside droverd.json." },
	{ "spice_use_vdagent", PARAM_BOOL, .def = "true", HV(spice_use_vdagent),
	  .doc = "A port for the agent of SPICE in the guest: clipboard, mouse, resolution." },
	{ "spice_zlib_glz_wan_compression", PARAM_CHOICE, .choices = spice_wan_compressions, .def = "\"\"",
	  HV(spice_zlib_glz_wan_compression), .doc = "Lossless compression on slow links; empty: QEMU's choice." },
	{ "tpm", PARAM_BOOL, .def = "false", HV(tpm),
	  .doc = "A TPM 2.0, by the program swtpm; its state is kept with the instance." },
	{ "usb_devices", PARAM_TEXT, .def = "\"\"", .max = 1024, HV(usb_devices),
	  .doc = "Devices on the USB bus, parted by commas or blanks: tablet, mouse, keyboard, wacom-tablet; eight "
		 "with "
		 "the pointing device." },
	{ "usb_mouse", PARAM_CHOICE, .choices = usb_mice, .def = "\"\"", HV(usb_mouse),
	  .doc = "Pointing device on the USB bus; empty: a tablet beside VNC." },
	{ "use_chroot", PARAM_BOOL, .def = "false", HV(use_chroot),
	  .doc = "QEMU sees nothing of the host's files but /usr, read-only, and a directory of its own." },
	{ "use_guest_agent", PARAM_BOOL, .def = "true", HV(use_guest_agent),
	  .doc = "A port for the agent in the guest (org.qemu.guest_agent.0)." },
	{ "use_localtime", PARAM_BOOL, .def = "false", HV(use_localtime),
	  .doc = "The guest's clock starts with the host's local time, not with UTC." },
	{ "user_shutdown", PARAM_BOOL, .def = "false", HV_UNUSED(user_shutdown),
	  .doc = "Ganeti's, without effect: who ended a guest is always told." },
	{ "vga", PARAM_CHOICE, .choices = vgas, .def = "\"\"", HV(vga),
	  .doc = "Graphics card; empty: std beside VNC, qxl beside SPICE, else none." },
	{ "vhost_net", PARAM_ANY, .choices = vhost_words, .def = "\"auto\"", HV(vhost_net),
	  .doc = "Packets of virtio cards with a tap go through the host's kernel (vhost-net): true, false, or auto, "
		 "where the host has it." },
	{ "virtio_net_queues", PARAM_INT, .def = "1", .min = 1, .max = 32, HV(virtio_net_queues),
	  .doc = "Pairs of queues of virtio cards with a tap that do not say." },
	{ "vnc_bind_address", PARAM_TEXT, .def = "\"\"", .max = 4096, HV(vnc_bind_address),
	  .doc = "Address, interface or, for a socket NAME.vnc there, absolute directory that VNC listens on; empty: "
		 "no VNC. The port is the first free one of vnc_ports." },
	{ "vnc_password_file", PARAM_PATH, .def = "\"\"", HV(vnc_password_file),
	  .doc = "Its first line is the password of VNC, of at most eight characters; empty: it needs none." },
	{ "vnc_tls", PARAM_BOOL, .def = "false", HV(vnc_tls), .doc = "VNC speaks TLS (VeNCrypt) only." },
	{ "vnc_x509_path", PARAM_PATH, .def = "\"\"", HV(vnc_x509_path),
	  .doc = "Directory of server-cert.pem, server-key.pem, ca-cert.pem and, if there is one, ca-crl.pem, as they "
		 "are at the start; empty: TLS is anonymous." },
	{ "vnc_x509_verify", PARAM_BOOL, .def = "false", HV(vnc_x509_verify),
	  .doc = "Clients of VNC need a certificate of ca-cert.pem which is not in ca-crl.pem." },
	{ "vnet_hdr", PARAM_BOOL, .def = "true", HV(vnet_hdr),
	  .doc = "Virtio cards with a tap leave checksums and segmentation to the host." },
	{ "watchdog", PARAM_CHOICE, .choices = watchdogs, .def = "\"\"", HV(watchdog),
	  .doc = "An i6300esb watchdog and what it does; empty: no watchdog." },
	PARAM_END
};

enum machine_kind machine_kind(const char *machine)
{
	if (str_eq(machine, "q35") || str_starts(machine, "pc-q35-"))
		return MACHINE_Q35;
	if (str_eq(machine, "pc") || str_starts(machine, "pc-i440fx-"))
		return MACHINE_PC;
	return str_eq(machine, "microvm") ? MACHINE_MICROVM : MACHINE_OTHER;
}

enum accel accel_of(const struct hvparams *hv)
{
	static const enum accel flags[] = { [KVM_FLAG_ENABLED] = ACCEL_KVM, [KVM_FLAG_DISABLED] = ACCEL_TCG };

	return hv->kvm_flag == KVM_FLAG_NONE ? (enum accel)hv->accel : flags[hv->kvm_flag];
}

enum on_reboot on_reboot_of(const struct hvparams *hv)
{
	return hv->reboot_behavior == REBOOT_BEHAVIOR_EXIT ? ON_REBOOT_STOP : (enum on_reboot)hv->on_reboot;
}

enum security_model security_model_of(const struct hvparams *hv)
{
	if (hv->security_model != PARAM_CHOICE_NONE)
		return (enum security_model)hv->security_model;
	return geteuid() == 0 ? SECURITY_POOL : SECURITY_NONE;
}

static bool parse_cpu(const char **p, unsigned *ret)
{
	enum { CPUS_MAX = 8192 };
	unsigned n = 0;

	if (!isdigit((unsigned char)**p))
		return false;
	for (; isdigit((unsigned char)**p); (*p)++) {
		n = n * 10 + (unsigned)(**p - '0');
		if (n >= CPUS_MAX)
			return false;
	}
	*ret = n;
	return true;
}

bool cpu_list_parse(const char *text, void (*fn)(unsigned cpu, void *data), void *data)
{
	for (const char *p = text;; p++) {
		unsigned first, last;

		if (!parse_cpu(&p, &first))
			return false;
		last = first;
		if (*p == '-') {
			p++;
			if (!parse_cpu(&p, &last) || last < first)
				return false;
		}
		for (unsigned cpu = first; fn && cpu <= last; cpu++)
			fn(cpu, data);
		if (!*p)
			return true;
		if (*p != ',')
			return false;
	}
}

/* Whether the backslash at P stands for what follows, and not for itself. */
static bool escapes(const char *p, char quote)
{
	if (!p[1] || quote == '\'')
		return false;
	return !quote || strchr("\"\\$`\n", p[1]);
}

/* One word from *P on; NULL when a quotation is not closed. */
static char *split_word(const char **p)
{
	char *word = xcalloc(strlen(*p) + 1, 1), *out = word;
	char quote = '\0';

	for (; **p && (quote || !isspace((unsigned char)**p)); (*p)++) {
		if (quote && **p == quote) {
			quote = '\0';
		} else if (!quote && (**p == '\'' || **p == '"')) {
			quote = **p;
		} else if (**p == '\\' && escapes(*p, quote)) {
			(*p)++;
			if (**p != '\n') /* the line goes on */
				*out++ = **p;
		} else {
			*out++ = **p;
		}
	}
	if (!quote)
		return word;
	free(word);
	return NULL;
}

char **shell_split(const char *text)
{
	char **words = xcalloc(1, sizeof(char *));
	size_t n = 0;

	for (;;) {
		char *word;

		while (isspace((unsigned char)*text))
			text++;
		if (!*text)
			return words;
		word = split_word(&text);
		if (!word)
			break;
		words = xrealloc(words, n + 2, sizeof(char *));
		words[n++] = word;
		words[n] = NULL;
	}
	while (n > 0)
		free(words[--n]);
	free(words);
	return NULL;
}
