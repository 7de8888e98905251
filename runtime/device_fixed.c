/* SPDX-License-Identifier: BSD-2-Clause */
/* The devices that a machine has by itself, where layout 1 has them. */
#include "runtime/device.h"

#include "runtime/display.h"
#include "runtime/iothreads.h"
#include "runtime/sound.h"
#include "runtime/usb.h"

#include <inttypes.h>

static bool is_q35(const struct definition *def)
{
	return machine_kind(def->hvparams.machine_version) == MACHINE_Q35;
}

static const char *pci_bus(const struct definition *def)
{
	return machine_kind(def->hvparams.machine_version) == MACHINE_PC ? "pci.0" : "pcie.0";
}

struct json_object *device_new(const struct definition *def, const char *driver, const char *id, const char *slot,
			       unsigned function)
{
	struct json_object *o = json_object_new_object();
	_cleanup_free_ char *addr = is_q35(def) ? xasprintf("0x2.0x%x", function) : xstrdup(slot);

	json_add_str(o, "driver", driver);
	json_add_str(o, "id", id);
	json_add_str(o, "bus", pci_bus(def));
	json_add_str(o, "addr", addr);
	if (is_q35(def) && function == 0)
		json_add_bool(o, "multifunction", true);
	return o;
}

static void add_root_ports(const struct definition *def, const struct argv_env *env, struct parts *parts)
{
	enum { FIRST_SLOT = 3, FUNCTIONS = 8 };

	for (int64_t i = 0; i < def->hvparams.pcie_root_ports; i++) {
		struct json_object *o = json_object_new_object();
		_cleanup_free_ char *id = xasprintf("rp%" PRId64, i);
		_cleanup_free_ char *addr = xasprintf("0x%" PRIx64 ".0x%" PRIx64, FIRST_SLOT + i / FUNCTIONS,
						      i % FUNCTIONS);

		json_add_str(o, "driver", "pcie-root-port");
		json_add_str(o, "id", id);
		json_add_str(o, "bus", "pcie.0");
		json_add_str(o, "addr", addr);
		if (i % FUNCTIONS == 0)
			json_add_bool(o, "multifunction", true);
		json_add_int(o, "chassis", i + 1);
		json_add_int(o, "port", i);
		parts_add_device(parts, env, o);
	}
}

void scsi_controller_part(const struct definition *def, const struct argv_env *env, struct parts *parts)
{
	static const char *const drivers[] = { [SCSI_VIRTIO] = "virtio-scsi-pci",
					       [SCSI_LSI] = "lsi53c895a", /* lsi is its alias */
					       [SCSI_MEGASAS] = "megasas",
					       [SCSI_DC390] = "dc390" };

	struct json_object *o = device_new(def, drivers[def->hvparams.scsi_controller_type], "scsi", "0x4", 1);

	iothreads_add_to_scsi(def, env, o);
	parts_add_device(parts, env, o);
}

/* A port whose id is its chardev's. */
static void add_port(const char *id, int nr, const char *name, const struct argv_env *env, struct parts *parts)
{
	struct json_object *port = json_object_new_object();

	json_add_str(port, "driver", "virtserialport");
	json_add_str(port, "id", id);
	json_add_str(port, "bus", "virtio-serial.0");
	json_add_int(port, "nr", nr);
	json_add_str(port, "chardev", id);
	json_add_str(port, "name", name);
	parts_add_device(parts, env, port);
}

static void add_ports(const struct definition *def, const struct argv_env *env, struct parts *parts)
{
	bool agent = def->hvparams.use_guest_agent, vdagent = display_has_vdagent(&def->hvparams);

	if (!agent && !vdagent)
		return;
	parts_add_device(parts, env, device_new(def, "virtio-serial-pci", "virtio-serial", "0x5", 2));
	if (agent)
		add_port("agent", 1, "org.qemu.guest_agent.0", env, parts);
	if (vdagent)
		add_port("vdagent", 2, "com.redhat.spice.0", env, parts);
}

/* The only one with a slot of its own on both machines. */
static void add_vga(const struct definition *def, const struct argv_env *env, struct parts *parts)
{
	const char *driver = display_vga_driver(display_vga(&def->hvparams));
	struct json_object *o;

	if (!driver)
		return;
	o = json_object_new_object();
	json_add_str(o, "driver", driver);
	json_add_str(o, "id", "vga");
	json_add_str(o, "bus", pci_bus(def));
	json_add_str(o, "addr", is_q35(def) ? "0x1" : "0x2");
	parts_add_device(parts, env, o);
}

static void add_rng(const struct definition *def, const struct argv_env *env, struct parts *parts)
{
	struct json_object *source = json_object_new_object();
	struct json_object *o = device_new(def, "virtio-rng-pci", "rng", "0x6", 3);

	/* QEMU's own use of getrandom(): no file that a private root would lack. */
	json_add_str(source, "qom-type", "rng-builtin");
	json_add_str(source, "id", "rng0");
	parts_add(parts, OUTLET_OBJECT, source);
	json_add_str(o, "rng", "rng0");
	parts_add_device(parts, env, o);
}

/* Where the machine has no address for it to take. */
static void add_isa(const char *driver, const char *id, const struct argv_env *env, struct parts *parts)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "driver", driver);
	json_add_str(o, "id", id);
	json_add_str(o, "bus", "isa.0");
	parts_add_device(parts, env, o);
}

/* TIS and not CRB: guests of all ages have a driver for it, and what loads their kernels as well. */
static void add_tpm(const struct argv_env *env, struct parts *parts)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "driver", "tpm-tis");
	json_add_str(o, "id", "tpm");
	json_add_str(o, "bus", "isa.0");
	json_add_str(o, "tpmdev", "tpm0");
	parts_add_device(parts, env, o);
}

static bool has_scsi(const struct definition *def)
{
	for (size_t i = 0; i < def->disks.n; i++)
		if (str_eq(definition_disk(def, i)->hvinfo.bus, "scsi.0"))
			return true;
	return false;
}

static bool has_floppy(const struct definition *def)
{
	for (size_t i = 0; i < def->disks.n; i++)
		if (definition_disk(def, i)->media == MEDIA_FLOPPY)
			return true;
	return false;
}

void fixed_parts(const struct definition *def, const struct argv_env *env, struct parts *parts)
{
	const struct hvparams *hv = &def->hvparams;

	if (is_q35(def))
		add_root_ports(def, env, parts);
	display_parts(hv, parts);
	add_vga(def, env, parts);
	iothreads_parts(def, parts);
	parts_add_device(parts, env, device_new(def, "virtio-balloon-pci", "balloon", "0x3", 0));
	if (is_q35(def) || has_scsi(def))
		scsi_controller_part(def, env, parts);
	add_ports(def, env, parts);
	if (hv->rng)
		add_rng(def, env, parts);
	usb_parts(def, env, parts);
	if (hv->watchdog)
		parts_add_device(parts, env, device_new(def, "i6300esb", "watchdog", "0x8", 5));
	sound_parts(def, env, parts);
	if (hv->panic_device)
		add_isa("pvpanic", "pvpanic", env, parts);
	if (hv->tpm)
		add_tpm(env, parts);
	/* A PC has one. */
	if (is_q35(def) && has_floppy(def))
		add_isa("isa-fdc", "fdc", env, parts);
}
