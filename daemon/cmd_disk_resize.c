/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * disk-resize: the image of a disk, and what the guest sees of it, grows.
 *
 * The size is the image's and in no definition, so "live" chooses nothing: where the guest has the disk it is told.
 */
#include "daemon/commands.h"
#include "daemon/devices.h"
#include "daemon/devices_find.h"
#include "hotplug/resize.h"
#include "runtime/device_record.h"

#include <inttypes.h>

struct args {
	char *instance, *disk;
	uint64_t size;
	bool live;
};

enum { SECTOR = 512 };

static const struct param rows[] = {
	PARAM_INSTANCE(struct args),
	{ "disk", PARAM_TEXT, .required = true, .min = 1, .max = 64, PARAM_AT(struct args, disk), .since = "0.1.0",
	  .doc = "UUID, id or name of the disk." },
	{ "size", PARAM_SIZE, .required = true, .min = SECTOR, .max = INT64_MAX - SECTOR + 1,
	  PARAM_AT(struct args, size), .unit = "bytes", .since = "0.1.0",
	  .doc = "How large it is to be, a multiple of 512; not smaller than it is." },
	{ "live", PARAM_BOOL, .def = "true", PARAM_AT(struct args, live), .since = "0.1.0",
	  .doc = "False is refused where the guest has the disk: its size cannot wait for the next start." },
	PARAM_END
};

/* Whether the size of DISK, an element of a definition, can be changed at all. */
static bool is_resizable(struct json_object *disk, struct err **e)
{
	const char *driver = json_get_str(json_get_typed(disk, "hvinfo", json_type_object), "driver");
	const char *why = NULL;

	if (str_eq(driver, "scsi-block") || str_eq(driver, "scsi-generic"))
		why = "is a device of the host, which has the size that it has";
	else if (str_eq(json_get_str(disk, "mode"), "ro") || str_eq(driver, "ide-cd") || str_eq(driver, "scsi-cd"))
		why = "is only read";
	else if (!json_get_str(disk, "path") && !json_get_str(disk, "uri"))
		why = "has no image";
	return !why || devices_fail_at(e, ERR_UNSUPPORTED, "disk", "'%s' %s", json_get_str(disk, "name"), why);
}

static bool resolve(struct job *job, struct instance *inst, struct err **e)
{
	const struct args *args = job->args;
	struct json_object *runs, *there, *stored, *disk, *ids;

	if (args->size % SECTOR)
		return devices_fail_at(e, ERR_INVALID_PARAMETER, "size", "%" PRIu64 " is no multiple of 512 bytes",
				       args->size);
	devices_find(inst, "disks", args->disk, &runs, &there);
	if (!runs && !there)
		return devices_fail_at(e, ERR_NOT_FOUND, "disk", "'%s' has no disk '%s'", inst->name, args->disk);
	stored = runs ? json_get_typed(inst->record, "definition", json_type_object) : inst->stored;
	disk = definition_find_device(stored, device_id_of(runs ? runs : there), NULL);
	if (!disk)
		return err_set(e, ERR_WRONG_STATE, "what '%s' runs with is not known", inst->name);
	if (!is_resizable(disk, e))
		return false;
	if (runs && device_record_state(runs) == DEVICE_DETACH_PENDING)
		return devices_fail_at(e, ERR_BUSY, "disk", "the guest has not let go of '%s' yet", args->disk);
	if (runs && !args->live)
		return devices_fail_at(e, ERR_UNSUPPORTED, "live",
				       "the guest has '%s', and its size cannot wait for the next start", args->disk);
	if (runs && !devices_are_changeable(inst, e))
		return false;
	ids = json_object_new_array();
	json_object_array_add(ids, json_object_new_string(device_id_of(disk)));
	job->resolved = json_object_new_object();
	json_add(job->resolved, "definition", json_object_get(stored));
	json_add(job->resolved, "disks", ids);
	json_add_bool(job->resolved, "live", runs != NULL);
	return true;
}

static bool plan(struct job *job, struct err **e)
{
	const struct args *args = job->args;
	struct instance *inst = job_instance(job, e);
	struct json_object *ids;

	if (!inst || (!job->resolved && (!devices_are_known(inst, e) || !resolve(job, inst, e))))
		return false;
	job->changed = true;
	ids = json_get_typed(job->resolved, "disks", json_type_array);
	return resize_plan(job->op, inst, json_get_typed(job->resolved, "definition", json_type_object),
			   json_object_get_string(json_object_array_get_idx(ids, 0)), args->size,
			   json_get_bool(job->resolved, "live", false), &job->changed, e);
}

static struct json_object *result(struct job *job)
{
	struct json_object *o = devices_result(job), *shown = devices_shown(job, "disks");

	json_add(o, "disk", json_object_get(json_object_array_get_idx(shown, 0)));
	json_object_put(shown);
	return o;
}

const struct command cmd_disk_resize = {
	.name = "disk-resize",
	.class = CLASS_LONG,
	.lane = LANE_CHANGE,
	.params = rows,
	.args_size = sizeof(struct args),
	.doc = "Makes a disk larger. A guest that has it sees so at once, unless the disk is an IDE one; what is on "
	       "the "
	       "disk is left as it is.",
	.returns = "{changed, live, disk}",
	.subject = subject_instance,
	.plan = plan,
	.result = result,
};
