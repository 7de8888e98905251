/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * disk-attach, disk-detach, nic-attach, nic-detach, devices-change.
 */
#include "daemon/commands.h"
#include "daemon/devices.h"

#define ARG(type, member) PARAM_AT(type, member), .since = "0.1.0"
#define LIVE_DOC                                                                                                   \
	"The guest as well as the definition, where there is a process; else the definition only, until the next " \
	"start."
#define TIMEOUT(type)                                                                                                \
	{                                                                                                            \
		"timeout", PARAM_TIME, .def = "30", .max = 86400, ARG(type, timeout), .unit = "s",                   \
				       .doc = "How long the guest has to let go; then the device is detach-pending." \
	}

/* ---- attach ---- */

struct attach_args {
	char *instance;
	struct json_object *device;
	bool live;
};

static const struct param disk_attach_rows[] = {
	PARAM_INSTANCE(struct attach_args),
	{ "disk", PARAM_OBJECT, .required = true, ARG(struct attach_args, device),
	  .doc = "The disk; its members are the rows 'disk' of the schema." },
	{ "live", PARAM_BOOL, .def = "true", ARG(struct attach_args, live), .doc = LIVE_DOC },
	PARAM_END
};
static const struct param nic_attach_rows[] = {
	PARAM_INSTANCE(struct attach_args),
	{ "nic", PARAM_OBJECT, .required = true, ARG(struct attach_args, device),
	  .doc = "The network card; its members are the rows 'nic' of the schema." },
	{ "live", PARAM_BOOL, .def = "true", ARG(struct attach_args, live), .doc = LIVE_DOC },
	PARAM_END
};

/* A list of one; the caller's. */
static struct json_object *list_of(struct json_object *value)
{
	struct json_object *list = json_object_new_array();

	json_object_array_add(list, value);
	return list;
}

static bool attach(struct job *job, const char *name, bool disk, struct err **e)
{
	const struct attach_args *args = job->args;
	_cleanup_json_ struct json_object *list = list_of(json_object_get(args->device));
	struct devices_wish wish = { .disks = disk ? list : NULL,
				     .nics = disk ? NULL : list,
				     .disks_are = name,
				     .nics_are = name,
				     .live = args->live };

	return devices_plan(job, &wish, e);
}

static bool disk_attach(struct job *job, struct err **e)
{
	return attach(job, "disk", true, e);
}

static bool nic_attach(struct job *job, struct err **e)
{
	return attach(job, "nic", false, e);
}

/* ---- detach ---- */

struct detach_args {
	char *instance, *device;
	bool live;
	double timeout;
};

static const struct param disk_detach_rows[] = {
	PARAM_INSTANCE(struct detach_args),
	{ "disk", PARAM_TEXT, .required = true, .min = 1, .max = 64, ARG(struct detach_args, device),
	  .doc = "UUID, id or name of the disk." },
	{ "live", PARAM_BOOL, .def = "true", ARG(struct detach_args, live), .doc = LIVE_DOC },
	TIMEOUT(struct detach_args),
	PARAM_END
};
static const struct param nic_detach_rows[] = {
	PARAM_INSTANCE(struct detach_args),
	{ "nic", PARAM_TEXT, .required = true, .min = 1, .max = 64, ARG(struct detach_args, device),
	  .doc = "UUID, id, name or MAC address of the card." },
	{ "live", PARAM_BOOL, .def = "true", ARG(struct detach_args, live), .doc = LIVE_DOC },
	TIMEOUT(struct detach_args),
	PARAM_END
};

static bool detach(struct job *job, const char *name, const char *only, struct err **e)
{
	const struct detach_args *args = job->args;
	_cleanup_json_ struct json_object *list = list_of(json_object_new_string(args->device));
	struct devices_wish wish = {
		.detach = list, .detach_is = name, .only = only, .live = args->live, .timeout = args->timeout
	};

	return devices_plan(job, &wish, e);
}

static bool disk_detach(struct job *job, struct err **e)
{
	return detach(job, "disk", "disks", e);
}

static bool nic_detach(struct job *job, struct err **e)
{
	return detach(job, "nic", "nics", e);
}

/* ---- several ---- */

struct attach_lists {
	struct param_list disks, nics; /* of struct json_object * */
};
struct change_args {
	char *instance;
	struct attach_lists attach;
	struct param_list detach; /* of char * */
	double timeout;
};

static const struct param device_row = { .name = "", .type = PARAM_OBJECT };
static const struct param text_row = { .name = "", .type = PARAM_TEXT, .min = 1, .max = 64 };
static const struct param lists_rows[] = {
	{ "disks", PARAM_LIST, .rows = &device_row, .size = sizeof(struct json_object *),
	  ARG(struct attach_lists, disks), .doc = "Disks to attach." },
	{ "nics", PARAM_LIST, .rows = &device_row, .size = sizeof(struct json_object *), ARG(struct attach_lists, nics),
	  .doc = "Network cards to attach." },
	PARAM_END
};
static const struct param change_rows[] = {
	PARAM_INSTANCE(struct change_args),
	{ "attach", PARAM_OBJECT, .rows = lists_rows, ARG(struct change_args, attach), .doc = "What is attached." },
	{ "detach", PARAM_LIST, .rows = &text_row, .size = sizeof(char *), ARG(struct change_args, detach),
	  .doc = "What is detached: UUID, id, name or MAC address of each." },
	TIMEOUT(struct change_args),
	PARAM_END
};

static struct json_object *objects_of(const struct param_list *list)
{
	struct json_object *all = json_object_new_array(), **items = list->items;

	for (size_t i = 0; i < list->n; i++)
		json_object_array_add(all, json_object_get(items[i]));
	return all;
}

static bool change(struct job *job, struct err **e)
{
	const struct change_args *args = job->args;
	_cleanup_json_ struct json_object *disks = objects_of(&args->attach.disks);
	_cleanup_json_ struct json_object *nics = objects_of(&args->attach.nics), *gone = json_object_new_array();
	struct devices_wish wish = { .disks = disks,
				     .nics = nics,
				     .detach = gone,
				     .disks_are = "attach.disks[#]",
				     .nics_are = "attach.nics[#]",
				     .detach_is = "detach[#]",
				     .live = true,
				     .timeout = args->timeout };

	for (size_t i = 0; i < args->detach.n; i++)
		json_object_array_add(gone, json_object_new_string(((char **)args->detach.items)[i]));
	return devices_plan(job, &wish, e);
}

/* ---- results ---- */

static struct json_object *one(struct job *job, const char *list, const char *member)
{
	struct json_object *o = devices_result(job), *all = devices_shown(job, list);

	if (json_object_array_length(all) > 0)
		json_add(o, member, json_object_get(json_object_array_get_idx(all, 0)));
	json_object_put(all);
	return o;
}

static struct json_object *disk_result(struct job *job)
{
	return one(job, "disks", "disk");
}

static struct json_object *nic_result(struct job *job)
{
	return one(job, "nics", "nic");
}

static struct json_object *change_result(struct job *job)
{
	struct json_object *o = devices_result(job);

	json_add(o, "disks", devices_shown(job, "disks"));
	json_add(o, "nics", devices_shown(job, "nics"));
	return o;
}

/* ---- rows ---- */

#define DEVICE_COMMAND(rows_, args_)                                                                             \
	.class = CLASS_LONG, .lane = LANE_CHANGE, .compares = true, .params = rows_, .args_size = sizeof(args_), \
	.subject = subject_instance

const struct command cmd_disk_attach = {
	.name = "disk-attach",
	DEVICE_COMMAND(disk_attach_rows, struct attach_args),
	.doc = "Adds a disk, to the definition and to the guest that runs. The very same disk there is no change; one "
	       "with "
	       "its uuid and other members is Exists.",
	.returns = "{changed, live, disk}",
	.plan = disk_attach,
	.result = disk_result,
};

const struct command cmd_nic_attach = {
	.name = "nic-attach",
	DEVICE_COMMAND(nic_attach_rows, struct attach_args),
	.doc = "Adds a network card, as disk-attach does a disk.",
	.returns = "{changed, live, nic}",
	.plan = nic_attach,
	.result = nic_result,
};

#define DETACH_DOC                                                                                                    \
	"It has left when the guest has let go of it. A guest that does not within the timeout is a Timeout: the "    \
	"device is detach-pending then, in both records, and leaves whenever the guest answers or the process ends. " \
	"GuestRefused changes nothing."

const struct command cmd_disk_detach = {
	.name = "disk-detach",
	DEVICE_COMMAND(disk_detach_rows, struct detach_args),
	.doc = "Takes a disk away, from the guest and from the definition. " DETACH_DOC,
	.returns = "{changed, live, disk}: as it was",
	.plan = disk_detach,
	.result = disk_result,
};

const struct command cmd_nic_detach = {
	.name = "nic-detach",
	DEVICE_COMMAND(nic_detach_rows, struct detach_args),
	.doc = "Takes a network card away, from the guest and from the definition. " DETACH_DOC,
	.returns = "{changed, live, nic}: as it was",
	.plan = nic_detach,
	.result = nic_result,
};

const struct command cmd_devices_change = {
	.name = "devices-change",
	DEVICE_COMMAND(change_rows, struct change_args),
	.doc = "Attaches and detaches several devices, all of them or none. The guest first lets go of what is "
	       "detached; if "
	       "one of the steps fails those before it are taken back in reverse. What is attached may have the name "
	       "of "
	       "what is detached, which is called by its id meanwhile.",
	.returns = "{changed, live, disks, nics}",
	.plan = change,
	.result = change_result,
};

const struct command cmd_devices_collect = {
	.name = "devices-collect",
	.class = CLASS_LONG,
	.lane = LANE_CHANGE,
	.compares = true,
	.internal = true,
	.params = (const struct param[]){ PARAM_INSTANCE(struct instance_args), PARAM_END },
	.args_size = sizeof(struct instance_args),
	.doc = "Clears what is left of devices that the guest has let go of.",
	.returns = "{changed}",
	.subject = subject_instance,
	.plan = devices_collect_plan,
	.result = job_result_state,
};
