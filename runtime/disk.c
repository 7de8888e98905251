/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/disk.h"

#include "runtime/uri.h"

#include <ctype.h>
#include <string.h>

const char *const image_formats[] = { "raw", "qcow2", NULL };
const char *const disk_modes[] = { "rw", "ro", NULL };
const char *const disk_medias[] = { "disk", "cdrom", "floppy", NULL };

const char *const throttle_names[THROTTLE_COUNT] = { "bps-total",  "bps-read",  "bps-write",
						     "iops-total", "iops-read", "iops-write" };

enum { SERIAL_MAX = 20, LAYERS_MAX = 64, GROUP_MAX = 63 };
/* QEMU's own bound (THROTTLE_VALUE_MAX). */
#define LIMIT_MAX INT64_C(1000000000000000)

#define INFO(member) PARAM_AT(struct hvinfo, member), .since = "0.1.0", .change = CHANGE_NEVER
const struct param hvinfo_rows[] = {
	{ "driver", PARAM_TEXT, .min = 1, .max = 64, INFO(driver), .doc = "Device of QEMU." },
	{ "id", PARAM_TEXT, .min = 1, .max = 64, INFO(id), .doc = "Its id: disk- or nic- and the start of the UUID." },
	{ "bus", PARAM_TEXT, .min = 1, .max = 32, INFO(bus), .doc = "The bus it sits on." },
	{ "addr", PARAM_TEXT, .min = 1, .max = 8, INFO(addr), .doc = "Slot on a PCI bus, such as 0xc." },
	{ "channel", PARAM_INT, .max = 0, .min = 0, INFO(channel), .doc = "Channel on a SCSI bus." },
	{ "scsi-id", PARAM_INT, .min = 0, .max = 255, INFO(scsi_id), .doc = "Target on a SCSI bus." },
	{ "lun", PARAM_INT, .min = 0, .max = 16383, INFO(lun), .doc = "Logical unit of the target." },
	{ "unit", PARAM_INT, .min = 0, .max = 1, INFO(unit), .doc = "Place on an IDE bus or a floppy controller." },
	PARAM_END
};

#define LIMIT(label, index, per, text)                                                                         \
	{ label,                                                                                               \
	  PARAM_SIZE,                                                                                          \
	  .max = LIMIT_MAX,                                                                                    \
	  .def = "0",                                                                                          \
	  .offset = offsetof(struct throttle, limits[index].avg),                                              \
	  .since = "0.1.0",                                                                                    \
	  .change = CHANGE_RESTART,                                                                            \
	  .unit = per,                                                                                         \
	  .doc = text "; 0: no limit." },                                                                      \
		{ label "_max",                                                                                \
		  PARAM_SIZE,                                                                                  \
		  .max = LIMIT_MAX,                                                                            \
		  .def = "0",                                                                                  \
		  .offset = offsetof(struct throttle, limits[index].max),                                      \
		  .since = "0.1.0",                                                                            \
		  .change = CHANGE_RESTART,                                                                    \
		  .unit = per,                                                                                 \
		  .doc = text ", in bursts." },                                                                \
	{                                                                                                      \
		label "_max_length", PARAM_INT, .min = 1, .max = 86400, .def = "1",                            \
						.offset = offsetof(struct throttle, limits[index].max_length), \
						.unit = "s", .since = "0.1.0", .change = CHANGE_RESTART,       \
						.doc = "How long a burst may last."                            \
	}

static const struct param throttle_rows[] = {
	LIMIT("bps_total", THROTTLE_BPS_TOTAL, "bytes/s", "Bytes per second, both ways"),
	LIMIT("bps_read", THROTTLE_BPS_READ, "bytes/s", "Bytes read per second"),
	LIMIT("bps_write", THROTTLE_BPS_WRITE, "bytes/s", "Bytes written per second"),
	LIMIT("iops_total", THROTTLE_IOPS_TOTAL, "operations/s", "Operations per second, both ways"),
	LIMIT("iops_read", THROTTLE_IOPS_READ, "operations/s", "Reads per second"),
	LIMIT("iops_write", THROTTLE_IOPS_WRITE, "operations/s", "Writes per second"),
	{ "iops_size", PARAM_SIZE, .max = LIMIT_MAX, .def = "0", PARAM_AT(struct throttle, iops_size), .unit = "bytes",
	  .since = "0.1.0", .change = CHANGE_RESTART, .doc = "An operation of more bytes counts as several." },
	{ "group", PARAM_NAME, PARAM_AT(struct throttle, group), .since = "0.1.0", .change = CHANGE_RESTART,
	  .doc = "Disks of the instance with the same group share the limits." },
	PARAM_END
};

#define BACKING(member) PARAM_AT(struct backing, member), .since = "0.1.0", .change = CHANGE_RESTART
static const struct param backing_rows[] = {
	{ "path", PARAM_PATH, BACKING(path), .doc = "File or block device." },
	{ "uri", PARAM_TEXT, .min = 1, BACKING(uri), .doc = "Image that a server has, as that of a disk." },
	{ "format", PARAM_CHOICE, .choices = image_formats, .def = "\"raw\"", BACKING(format), .doc = "Never probed." },
	PARAM_END
};
static const struct param backing_row = { .name = "", .type = PARAM_OBJECT, .rows = backing_rows };

#define DISK(member) PARAM_AT(struct disk, member), .since = "0.1.0", .change = CHANGE_RESTART
const struct param disk_rows[] = {
	{ "uuid", PARAM_UUID, DISK(uuid), .doc = "Identity; made when absent." },
	{ "name", PARAM_NAME, DISK(name), .doc = "Unique in the instance; disk0, disk1, … where absent." },
	{ "path", PARAM_PATH, DISK(path), .doc = "Image file or block device." },
	{ "pool", PARAM_NAME, DISK(pool), .doc = "Pool of the volume." },
	{ "volume", PARAM_NAME, DISK(volume), .doc = "Volume of the pool." },
	{ "uri", PARAM_TEXT, .min = 1, DISK(uri),
	  .doc = "Image that a server has: nbd://HOST[:PORT]/EXPORT, nbd+unix:///EXPORT?socket=PATH, "
		 "rbd:POOL/IMAGE[:conf=PATH][:id=USER], iscsi://HOST[:PORT]/TARGET/LUN, "
		 "gluster://HOST[:PORT]/VOLUME/PATH; "
		 "to be read only: http://…, https://…. Without users and passwords; a path in it is opened by QEMU's "
		 "user." },
	{ "format", PARAM_CHOICE, .choices = image_formats, .def = "\"raw\"", DISK(format),
	  .doc = "Format of the image; never probed." },
	{ "backing", PARAM_LIST, .rows = &backing_row, .size = sizeof(struct backing), .max = LAYERS_MAX, DISK(backing),
	  .doc = "What a qcow2 image lies on, from the layer below it downwards." },
	{ "mode", PARAM_CHOICE, .choices = disk_modes, .def = "\"rw\"", DISK(mode),
	  .doc = "Whether the guest may write." },
	{ "media", PARAM_CHOICE, .choices = disk_medias, .def = "\"disk\"", DISK(media),
	  .doc = "What the guest sees." },
	{ "type", PARAM_CHOICE, .choices = disk_types, DISK(type), .doc = "Instead of disk_type." },
	{ "cache", PARAM_CHOICE, .choices = disk_caches, DISK(cache), .doc = "Instead of disk_cache." },
	{ "aio", PARAM_CHOICE, .choices = disk_aios, DISK(aio), .doc = "Instead of disk_aio." },
	{ "discard", PARAM_CHOICE, .choices = disk_discards, DISK(discard), .doc = "Instead of disk_discard." },
	{ "detect_zeroes", PARAM_CHOICE, .choices = detect_zeroes, DISK(detect_zeroes),
	  .doc = "Instead of disk_detect_zeroes." },
	{ "serial", PARAM_TEXT, .min = 1, .max = SERIAL_MAX, DISK(serial),
	  .doc = "Serial number that the guest sees." },
	{ "bootindex", PARAM_INT, .min = 0, .max = INT32_MAX, DISK(bootindex),
	  .doc = "Order in which the firmware tries devices." },
	{ "shareable", PARAM_BOOL, .def = "false", DISK(shareable),
	  .doc = "Others may write to it at the same time; for cluster file systems." },
	{ "hvinfo", PARAM_OBJECT, .rows = hvinfo_rows, DISK(hvinfo),
	  .doc = "Where the device sits; allocated when absent, and kept for good." },
	{ "throttle", PARAM_OBJECT, .rows = throttle_rows, DISK(throttle), .doc = "Limits." },
	{ "disk_iops", PARAM_SIZE, .max = LIMIT_MAX, .def = "0", DISK(disk_iops), .unit = "bytes/s",
	  .doc = "JumpScale's name for bps_total of throttle: bytes, not operations." },
	PARAM_END
};

/* ---- what counts ---- */

static int own_or(int own, int general)
{
	return own != PARAM_CHOICE_NONE ? own : general;
}

static const enum disk_type cdrom_types[] = {
	[CDROM_IDE] = DISK_IDE, [CDROM_PARAVIRTUAL] = DISK_PARAVIRTUAL, [CDROM_SCSI] = DISK_SCSI_CD
};

enum disk_type disk_type_of(const struct disk *d, const struct hvparams *hv)
{
	int type = own_or(d->type, hv->disk_type);

	if (d->media != MEDIA_CDROM)
		return (enum disk_type)type;
	if (d->type == PARAM_CHOICE_NONE && hv->cdrom_disk_type != CDROM_AS_DISKS)
		return cdrom_types[hv->cdrom_disk_type];
	if (type == DISK_SCSI_HD)
		return DISK_SCSI_CD;
	if (d->type != PARAM_CHOICE_NONE)
		return (enum disk_type)type;
	/* What is said of disks in general: of those that have no tray, the nearest one that has. */
	if (machine_kind(hv->machine_version) == MACHINE_MICROVM)
		return DISK_SCSI_CD;
	return type == DISK_PARAVIRTUAL || type == DISK_IDE ? DISK_IDE : DISK_SCSI_CD;
}

enum disk_cache disk_cache_of(const struct disk *d, const struct hvparams *hv)
{
	return (enum disk_cache)own_or(d->cache, hv->disk_cache);
}

enum disk_aio disk_aio_of(const struct disk *d, const struct hvparams *hv)
{
	return (enum disk_aio)own_or(d->aio, hv->disk_aio);
}

enum disk_discard disk_discard_of(const struct disk *d, const struct hvparams *hv)
{
	return (enum disk_discard)own_or(d->discard, hv->disk_discard);
}

enum detect_zeroes disk_detect_zeroes_of(const struct disk *d, const struct hvparams *hv)
{
	return (enum detect_zeroes)own_or(d->detect_zeroes, hv->disk_detect_zeroes);
}

bool disk_is_read_only(const struct disk *d)
{
	return d->mode == DISK_RO || d->media == MEDIA_CDROM;
}

bool disk_is_passed_through(const struct disk *d, const struct hvparams *hv)
{
	enum disk_type type = disk_type_of(d, hv);

	return d->media == MEDIA_DISK && (type == DISK_SCSI_BLOCK || type == DISK_SCSI_GENERIC);
}

bool disk_has_source(const struct disk *d)
{
	return !str_empty(d->path) || d->pool || d->volume || d->uri;
}

/* ---- rules ---- */

static bool fail(struct err **e, const char *prefix, const char *member, const char *why)
{
	_cleanup_free_ char *path = xasprintf("%s%s", prefix, member);

	return err_set_param(e, path, "%s", why);
}

static bool unsupported(struct err **e, const char *prefix, const char *member, const char *why)
{
	_cleanup_free_ char *path = xasprintf("%s%s", prefix, member);

	err_set(e, ERR_UNSUPPORTED, "'%s': %s", path, why);
	return err_name_param(e, path);
}

static bool check_source(const struct disk *d, const char *prefix, struct err **e)
{
	int sources = !str_empty(d->path) + (d->pool || d->volume) + !!d->uri;

	if (sources > 1)
		return fail(e, prefix, d->uri ? "uri" : "pool", "a disk has one source: path, pool and volume, or uri");
	if (d->pool || d->volume)
		return unsupported(e, prefix, d->pool ? "pool" : "volume", "this version has no pools; give 'path'");
	if (sources == 0 && d->media == MEDIA_DISK)
		return fail(e, prefix, "path", "required");
	if (sources == 0 && d->backing.n)
		return fail(e, prefix, "backing", "needs 'path' or 'uri'");
	return true;
}

/* READ_ONLY: nobody is to write to it. */
static bool check_uri(const char *uri, const struct hvparams *hv, bool read_only, const char *prefix, struct err **e)
{
	_cleanup_free_ char *name = xasprintf("%suri", prefix);
	_cleanup_json_ struct json_object *node = uri_parse(uri, name, e);
	const char *path;

	if (!node)
		return false;
	if (uri_is_read_only(node) && !read_only)
		return fail(e, prefix, "mode", "must be ro: what this uri names can be read only");
	path = uri_host_path(node);
	if (hv->use_chroot && path && !str_starts(path, URI_CEPH_DIR "/"))
		return fail(
			e, prefix, "uri",
			"with use_chroot QEMU sees no socket of the host, and of Ceph's files those below " URI_CEPH_DIR
			" only");
	return true;
}

static bool check_backing(const struct disk *d, const struct hvparams *hv, const char *prefix, struct err **e)
{
	const struct backing *layers = d->backing.items;

	for (size_t i = 0; i < d->backing.n; i++) {
		_cleanup_free_ char *deeper = xasprintf("%sbacking[%zu].", prefix, i);
		int above = i == 0 ? d->format : layers[i - 1].format;

		if (above != FORMAT_QCOW2)
			return fail(e, deeper, "format", "the layer above it is raw, which lies on nothing");
		if (layers[i].uri && !str_empty(layers[i].path))
			return fail(e, deeper, "uri", "a layer has one source: path or uri");
		if (layers[i].uri && !check_uri(layers[i].uri, hv, true, deeper, e))
			return false;
		if (!layers[i].uri && str_empty(layers[i].path))
			return fail(e, deeper, "path", "required");
	}
	return true;
}

static bool check_device(const struct disk *d, const struct hvparams *hv, const char *prefix, struct err **e)
{
	enum disk_type type = disk_type_of(d, hv);
	bool passes = type == DISK_SCSI_BLOCK || type == DISK_SCSI_GENERIC;

	if (d->media == MEDIA_FLOPPY)
		return d->type == PARAM_CHOICE_NONE || fail(e, prefix, "type", "a floppy has none");
	if (d->media == MEDIA_CDROM && passes)
		return fail(e, prefix, "type", "must be ide, scsi-cd or paravirtual for a cdrom");
	if (d->media == MEDIA_CDROM && type == DISK_PARAVIRTUAL && !disk_has_source(d))
		return fail(e, prefix, "path", "required: a paravirtual cdrom has no tray to be empty");
	if (d->media == MEDIA_DISK && d->type == DISK_SCSI_CD)
		return fail(e, prefix, "type", "scsi-cd is for media cdrom");
	if (d->media == MEDIA_DISK && type == DISK_SCSI_CD)
		return err_set_param(e, "hvparams.disk_type",
				     "scsi-cd is for media cdrom, and a disk has no type of its own ('%stype')",
				     prefix);
	if (passes && d->uri && !str_starts(d->uri, "iscsi:"))
		return fail(e, prefix, "uri",
			    "what is passed through is a device of this host, with a path, or iscsi:");
	if (passes && d->format != FORMAT_RAW)
		return fail(e, prefix, "format", "must be raw for a device that is passed through");
	if (passes && d->mode == DISK_RO)
		return fail(e, prefix, "mode", "must be rw for a device that is passed through");
	if (type == DISK_IDE && d->media == MEDIA_DISK && d->mode == DISK_RO)
		return fail(e, prefix, "mode", "must be rw for an ide disk");
	return true;
}

void disk_settle_aliases(struct disk *d)
{
	uint64_t *total = &d->throttle.limits[THROTTLE_BPS_TOTAL].avg;

	if (!*total)
		*total = d->disk_iops;
}

/* As QEMU has it: what it would refuse is refused when it is defined. */
static bool check_throttle(const struct throttle *t, const char *prefix, struct err **e)
{
	static const int totals[] = { THROTTLE_BPS_TOTAL, THROTTLE_IOPS_TOTAL };
	bool iops = false;

	for (int i = 0; i < THROTTLE_COUNT; i++) {
		const struct throttle_limit *l = &t->limits[i];

		if (l->max && !l->avg)
			return fail(e, prefix, "throttle", "a burst needs its limit");
		if (l->max && l->max < l->avg)
			return fail(e, prefix, "throttle", "a burst must not be below its limit");
		if (l->max_length > 1 && !l->max)
			return fail(e, prefix, "throttle", "the length of a burst needs the burst");
		if (l->max && (uint64_t)l->max_length > LIMIT_MAX / l->max)
			return fail(e, prefix, "throttle", "the burst is too long for its rate");
		iops = iops || (i >= THROTTLE_IOPS_TOTAL && l->avg);
	}
	for (size_t i = 0; i < ARRAY_SIZE(totals); i++) {
		const struct throttle_limit *l = &t->limits[totals[i]]; /* then those of reads and of writes */

		if ((l[0].avg && (l[1].avg || l[2].avg)) || (l[0].max && (l[1].max || l[2].max)))
			return fail(e, prefix, "throttle", "a total limit goes without those of reads and writes");
	}
	if (t->iops_size && !iops)
		return fail(e, prefix, "throttle", "iops_size needs a limit of operations");
	return true;
}

/* What the device has no property for. */
static bool check_properties(const struct disk *d, const struct hvparams *hv, const char *prefix, struct err **e)
{
	bool passes = disk_is_passed_through(d, hv);

	if (d->serial && (passes || d->media == MEDIA_FLOPPY))
		return fail(e, prefix, "serial", "this device has none of ours");
	if (passes && (d->throttle.group || d->throttle.iops_size))
		return fail(e, prefix, "throttle", "a device that is passed through has no limits");
	for (int i = 0; i < THROTTLE_COUNT && passes; i++)
		if (d->throttle.limits[i].avg)
			return fail(e, prefix, "throttle", "a device that is passed through has no limits");
	return true;
}

/* aio is how files are read. */
static bool check_aio(const struct disk *d, const struct hvparams *hv, const char *prefix, struct err **e)
{
	const struct backing *layers = d->backing.items;
	bool files = !d->uri;

	for (size_t i = 0; i < d->backing.n; i++)
		files = files || !layers[i].uri;
	if (!files)
		return d->aio == PARAM_CHOICE_NONE || fail(e, prefix, "aio", "means nothing where no layer is a file");
	if (disk_aio_of(d, hv) == AIO_NATIVE && disk_cache_of(d, hv) != CACHE_NONE)
		return fail(e, prefix, "aio", "native needs cache none");
	return true;
}

bool disk_check(const struct disk *d, const struct hvparams *hv, const char *prefix, struct err **e)
{
	if (!check_source(d, prefix, e) || !check_backing(d, hv, prefix, e) || !check_device(d, hv, prefix, e))
		return false;
	if (d->uri && !check_uri(d->uri, hv, disk_is_read_only(d), prefix, e))
		return false;
	for (const char *c = d->serial ? d->serial : ""; *c; c++)
		if (iscntrl((unsigned char)*c))
			return fail(e, prefix, "serial", "must be printable");
	if (d->disk_iops && d->disk_iops != d->throttle.limits[THROTTLE_BPS_TOTAL].avg)
		return fail(e, prefix, "disk_iops", "says otherwise than bps_total of throttle, and one is enough");
	return check_aio(d, hv, prefix, e) && check_throttle(&d->throttle, prefix, e) &&
	       check_properties(d, hv, prefix, e);
}
