/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Removable media by parameter. What hvparams.cdrom_image_path, cdrom2_image_path and floppy_image_path name are the
 * disks cdrom1, cdrom2 and floppy1 of the definition as it is stored, with uuids and places of their own. Pure.
 *
 * A disk is made when its parameter is given, follows when that changes, and goes when that is emptied. What is said of it
 * in `disks` besides its source (a serial number, limits, a bootindex) is its own.
 */
#ifndef DROVER_RUNTIME_MEDIA_H
#define DROVER_RUNTIME_MEDIA_H

#include "runtime/definition.h"

/* Rules of the three parameters: an absolute path or an http: or https: URL; a floppy's is a path. */
bool media_check(const struct hvparams *hv, struct err **e);

/* GIVEN, a definition that can be decoded, with these disks in its list, or itself where there are none; the caller's. OLD: the stored one that it
 * replaces, or NULL. InvalidParameter naming "disks[1].path" for a disk of such a name that is not what its parameter
 * says. */
struct json_object *media_apply(struct json_object *given, struct json_object *old, struct err **e);

/* The parameter that the disk comes from ("hvparams.cdrom_image_path"), or NULL. */
const char *media_param(const struct definition *def, size_t disk);
/* The same of the disk NAME of a definition as it is stored. */
const char *media_param_of(struct json_object *stored, const char *name);
/* The disk of this kind that is booted: a parameter's before others; never cdrom2 of cdrom2_image_path. SIZE_MAX: there is
 * none. */
size_t media_first(const struct definition *def, enum disk_media media);

#endif
