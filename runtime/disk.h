/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A disk of a definition, as rows; and hvinfo, where a device sits, which network cards have too.
 */
#ifndef DROVER_RUNTIME_DISK_H
#define DROVER_RUNTIME_DISK_H

#include "runtime/hvparams.h"

/* In the order of the rows' choices. */
enum image_format { FORMAT_RAW, FORMAT_QCOW2 };
enum disk_mode { DISK_RW, DISK_RO };
enum disk_media { MEDIA_DISK, MEDIA_CDROM, MEDIA_FLOPPY };

/* Where a device sits, for good. Absent members are NULL or PARAM_INT_NONE. PCI: driver, id, bus, addr. SCSI: driver,
 * id, bus, channel, scsi-id, lun. IDE: driver, id, bus ("ide.N"), unit. Floppy: driver, id, unit. */
struct hvinfo {
	char *driver, *id, *bus, *addr;
	int64_t channel, scsi_id, lun, unit;
};

/* Bytes/s and operations/s; 0: no limit. */
struct throttle_limit {
	uint64_t avg, max;
	int64_t max_length; /* s */
};
enum {
	THROTTLE_BPS_TOTAL,
	THROTTLE_BPS_READ,
	THROTTLE_BPS_WRITE,
	THROTTLE_IOPS_TOTAL,
	THROTTLE_IOPS_READ,
	THROTTLE_IOPS_WRITE,
	THROTTLE_COUNT
};
struct throttle {
	struct throttle_limit limits[THROTTLE_COUNT];
	uint64_t iops_size;
	char *group; /* shared by the disks of the instance that name it; NULL: the disk's own */
};
/* QEMU's names of the limits (ThrottleLimits), in the order of the enum. */
extern const char *const throttle_names[THROTTLE_COUNT];

/* A layer below the top one; read-only. */
struct backing {
	char *path, *uri;
	int format; /* enum image_format */
};

struct disk {
	char *uuid, *name;                            /* NULL until the definition was settled */
	char *path, *pool, *volume, *uri;             /* one source, or none for an empty drive */
	int format;                                   /* enum image_format */
	struct param_list backing;                    /* struct backing, from the layer below the top one downwards */
	int mode, media;                              /* enum disk_mode, enum disk_media */
	int type, cache, aio, discard, detect_zeroes; /* as in hvparams, or PARAM_CHOICE_NONE */
	char *serial;
	int64_t bootindex; /* PARAM_INT_NONE: none */
	bool shareable;
	struct hvinfo hvinfo; /* id NULL: not allocated yet */
	struct throttle throttle;
	uint64_t disk_iops; /* 0, or throttle.bps_total by another name */
};

extern const struct param hvinfo_rows[], disk_rows[];
/* The words of the enums above. */
extern const char *const image_formats[], *const disk_modes[], *const disk_medias[];

/* What is said by another name goes where it belongs: disk_iops to throttle.bps_total. */
void disk_settle_aliases(struct disk *d);
/* Rules over several members of one disk. PREFIX: "disks[1]." */
bool disk_check(const struct disk *d, const struct hvparams *hv, const char *prefix, struct err **e);

/* The disk's own word, or that of hvparams. */
enum disk_type disk_type_of(const struct disk *d, const struct hvparams *hv);
enum disk_cache disk_cache_of(const struct disk *d, const struct hvparams *hv);
enum disk_aio disk_aio_of(const struct disk *d, const struct hvparams *hv);
enum disk_discard disk_discard_of(const struct disk *d, const struct hvparams *hv);
enum detect_zeroes disk_detect_zeroes_of(const struct disk *d, const struct hvparams *hv);
bool disk_is_read_only(const struct disk *d);
/* scsi-block and scsi-generic: the guest speaks to the host's device itself. */
bool disk_is_passed_through(const struct disk *d, const struct hvparams *hv);
bool disk_has_source(const struct disk *d);

#endif
