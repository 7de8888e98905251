/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/definition.h"

#include <string.h>
#include <uuid/uuid.h>

enum { LAYOUT = 1, MEMORY_MIN = 1 << 20 };

static const char *const accels[] = { "auto", "kvm", "tcg", NULL };

#define HV(member) PARAM_AT(struct hvparams, member), .since = "0.1.0", .change = CHANGE_RESTART
const struct param hvparam_rows[] = {
	{ "accel", PARAM_CHOICE, .choices = accels, .def = "\"auto\"", HV(accel),
	  .doc = "How the guest's instructions run; auto is tcg unless KVM is known to work." },
	{ "initrd_path", PARAM_PATH, .def = "\"\"", HV(initrd_path), .doc = "Initial RAM disk for kernel_path." },
	{ "kernel_args", PARAM_TEXT, .def = "\"ro\"", HV(kernel_args),
	  .doc = "Command line of the kernel; root= and console= are put in front where they apply." },
	{ "kernel_path", PARAM_PATH, .def = "\"\"", HV(kernel_path), .doc = "Kernel to boot; empty: boot from disk." },
	{ "kvm_path", PARAM_PATH, .def = "\"\"", HV(kvm_path),
	  .doc = "The QEMU binary; empty: qemu-system-x86_64 as found in PATH." },
	{ "machine_version", PARAM_TEXT, .def = "\"pc\"", .min = 1, .max = 64, HV(machine_version),
	  .doc = "Machine type of the binary." },
	{ "root_path", PARAM_TEXT, .def = "\"\"", HV(root_path), .doc = "root= for the kernel; may be empty." },
	{ "serial_console", PARAM_BOOL, .def = "true", HV(serial_console),
	  .doc = "The first serial port is the console, and the kernel is told so." },
	{ "serial_speed", PARAM_INT, .def = "38400", .min = 110, .max = 4000000, HV(serial_speed), .unit = "baud",
	  .doc = "Speed given to the kernel with console=." },
	{ "use_guest_agent", PARAM_BOOL, .def = "true", HV(use_guest_agent),
	  .doc = "A port for the agent in the guest (org.qemu.guest_agent.0)." },
	PARAM_END
};

static const struct param any_row = { .name = "", .type = PARAM_ANY };

#define DEF(member) PARAM_AT(struct definition, member), .since = "0.1.0"
const struct param definition_rows[] = {
	{ "name", PARAM_NAME, .required = true, DEF(name), .change = CHANGE_NEVER, .doc = "Name, unique on the host." },
	{ "uuid", PARAM_UUID, DEF(uuid), .change = CHANGE_NEVER, .doc = "Identity; made when absent." },
	{ "description", PARAM_TEXT, .def = "\"\"", DEF(description), .change = CHANGE_LIVE, .doc = "For people." },
	{ "metadata", PARAM_MAP, DEF(metadata), .change = CHANGE_LIVE, .doc = "Text by key, for programs." },
	{ "layout", PARAM_INT, .min = LAYOUT, .max = LAYOUT, .def = "1", DEF(layout), .change = CHANGE_NEVER,
	  .doc = "Revision of the layout of devices." },
	{ "vcpus", PARAM_INT, .min = 1, .max = 512, .def = "1", DEF(vcpus), .change = CHANGE_RESTART,
	  .doc = "Virtual processors." },
	{ "memory", PARAM_SIZE, .min = MEMORY_MIN, .def = "\"512M\"", DEF(memory), .change = CHANGE_RESTART,
	  .unit = "bytes", .doc = "Memory that the guest boots with." },
	{ "hvparams", PARAM_OBJECT, .rows = hvparam_rows, DEF(hvparams), .change = CHANGE_RESTART,
	  .doc = "Parameters of the hypervisor." },
	{ "disks", PARAM_LIST, .rows = &any_row, .size = sizeof(struct json_object *), DEF(disks), .doc = "Disks." },
	{ "nics", PARAM_LIST, .rows = &any_row, .size = sizeof(struct json_object *), DEF(nics),
	  .doc = "Network cards." },
	PARAM_END
};

bool definition_decode(struct json_object *given, struct definition *def, struct err **e)
{
	struct err *inner = NULL;

	if (!param_decode(definition_rows, given, "", def, e))
		return false;
	if (def->disks.n || def->nics.n)
		err_set(&inner, ERR_UNSUPPORTED, "'%s': this version runs guests without disks and network cards only",
			def->disks.n ? "disks" : "nics");
	else if (def->hvparams.accel == ACCEL_KVM)
		err_set(&inner, ERR_UNSUPPORTED, "'hvparams.accel': this version runs guests with tcg only");
	else if (!str_empty(def->hvparams.initrd_path) && str_empty(def->hvparams.kernel_path))
		err_set_param(&inner, "hvparams.initrd_path", "needs 'kernel_path'");
	else if (strchr(def->hvparams.machine_version, '\n'))
		err_set_param(&inner, "hvparams.machine_version", "must be one line");
	if (!inner)
		return true;
	definition_clear(def);
	if (e)
		*e = inner;
	else
		err_free(inner);
	return false;
}

void definition_clear(struct definition *def)
{
	param_clear(definition_rows, def);
}

/* The members of GIVEN, with their values as PRINTED has them. */
static struct json_object *pick(struct json_object *given, struct json_object *printed)
{
	struct json_object *o;

	if (!json_object_is_type(given, json_type_object) || !json_object_is_type(printed, json_type_object))
		return json_object_get(printed);
	o = json_object_new_object();
	json_object_object_foreach(given, key, value) {
		struct json_object *canonical;

		if (json_object_object_get_ex(printed, key, &canonical))
			json_add(o, key, pick(value, canonical));
	}
	return o;
}

struct json_object *definition_store(struct json_object *given, struct err **e)
{
	_cleanup_json_ struct json_object *printed = NULL;
	struct definition def;
	struct json_object *stored;

	if (!definition_decode(given, &def, e))
		return NULL;
	printed = param_print(definition_rows, &def);
	stored = pick(given, printed);
	if (!def.uuid) {
		char text[UUID_STR_LEN];
		uuid_t uuid;

		uuid_generate_random(uuid);
		uuid_unparse_lower(uuid, text);
		json_add_str(stored, "uuid", text);
	}
	json_add_int(stored, "layout", def.layout);
	definition_clear(&def);
	return stored;
}
