/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/media.h"

#include "base/file.h"
#include "runtime/uri.h"

#include <string.h>
#include <strings.h>

#define HVPARAMS "hvparams."

static const struct medium {
	const char *name, *param; /* PARAM with HVPARAMS in front */
	enum disk_media media;
	size_t offset; /* of the parameter in struct hvparams */
	bool boots;
} mediums[] = {
	{ "cdrom1", HVPARAMS "cdrom_image_path", MEDIA_CDROM, offsetof(struct hvparams, cdrom_image_path), true },
	{ "cdrom2", HVPARAMS "cdrom2_image_path", MEDIA_CDROM, offsetof(struct hvparams, cdrom2_image_path), false },
	{ "floppy1", HVPARAMS "floppy_image_path", MEDIA_FLOPPY, offsetof(struct hvparams, floppy_image_path), true },
};

/* "" where it is not given. */
static const char *image_of(const struct medium *m, const struct hvparams *hv)
{
	const char *text = MEMBER_AT(hv, char *, m->offset);

	return text ? text : "";
}

static const char *image_in(const struct medium *m, struct json_object *definition)
{
	const char *text = json_get_str(json_get_typed(definition, "hvparams", json_type_object),
					m->param + strlen(HVPARAMS));

	return text ? text : "";
}

/* ---- rules ---- */

bool media_check(const struct hvparams *hv, struct err **e)
{
	for (const struct medium *m = mediums; m < mediums + ARRAY_SIZE(mediums); m++) {
		const char *image = image_of(m, hv);
		_cleanup_json_ struct json_object *node = NULL;

		if (str_empty(image) || file_path_is_normal(image))
			continue;
		if (!str_starts(image, "http://") && !str_starts(image, "https://"))
			return err_set_param(
				e, m->param,
				"must be an absolute path without '//', '.' and '..', or an http: or https: URL");
		node = uri_parse(image, m->param, e);
		if (!node)
			return false;
	}
	return true;
}

/* ---- disks ---- */

/* One that has no name yet is known by its uuid. */
static size_t find(struct json_object *disks, const struct medium *m, struct json_object *before)
{
	const char *uuid = json_get_str(before, "uuid");

	for (size_t i = 0; i < json_length(disks); i++) {
		struct json_object *d = json_object_array_get_idx(disks, i);
		const char *name = json_get_str(d, "name"), *its = json_get_str(d, "uuid");

		if (name ? str_eq(name, m->name) : uuid && its && strcasecmp(uuid, its) == 0)
			return i;
	}
	return SIZE_MAX;
}

static const char *const sources[] = { "path", "uri", "pool", "volume" };

/* The member that says what is in it, or NULL. */
static const char *source_of(struct json_object *disk)
{
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++)
		if (!str_empty(json_get_str(disk, sources[i])))
			return sources[i];
	return NULL;
}

static const char *member_for(const char *image)
{
	return image[0] == '/' ? "path" : "uri";
}

static bool has_source(struct json_object *disk, const char *image)
{
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		const char *text = json_get_str(disk, sources[i]);

		if (!str_empty(text) && (!str_eq(sources[i], member_for(image)) || !str_eq(text, image)))
			return false;
	}
	return source_of(disk) != NULL;
}

static void set_source(struct json_object *disk, const char *image)
{
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++)
		json_object_object_del(disk, sources[i]);
	json_add_str(disk, member_for(image), image);
}

static struct json_object *disk_new(const struct medium *m, const char *image)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "name", m->name);
	json_add_str(o, "media", disk_medias[m->media]);
	if (m->media == MEDIA_CDROM)
		json_add_str(o, "mode", disk_modes[DISK_RO]);
	set_source(o, image);
	return o;
}

static bool contradicts(struct err **e, size_t i, const char *member, const struct medium *m)
{
	_cleanup_free_ char *path = xasprintf("disks[%zu].%s", i, member);

	return err_set_param(e, path, "the disk '%s' is what '%s' says; change that", m->name, m->param);
}

/* What there was of one of them. */
struct former {
	struct json_object *disk; /* NULL: it was not a parameter's */
	const char *image;
};

static struct former former_of(const struct medium *m, struct json_object *old)
{
	struct json_object *disks = json_get_typed(old, "disks", json_type_array);
	size_t i = find(disks, m, NULL);
	struct former f = { .image = image_in(m, old) };

	if (!str_empty(f.image) && i != SIZE_MAX)
		f.disk = json_object_array_get_idx(disks, i);
	return f;
}

/* DISK is the one that a client was told of, as it was. */
static bool is_former(struct json_object *disk, const struct former *was)
{
	const char *uuid = json_get_str(disk, "uuid"), *its = json_get_str(was->disk, "uuid");

	return uuid && its && strcasecmp(uuid, its) == 0 && has_source(disk, was->image);
}

/* Its place is settled anew, and is the same for the same kind of device: which kind it is may have changed with it. */
static void forget_place(struct json_object *disk, struct json_object *before)
{
	struct json_object *place, *was;

	if (json_object_object_get_ex(disk, "hvinfo", &place) && json_object_object_get_ex(before, "hvinfo", &was) &&
	    json_object_equal(place, was))
		json_object_object_del(disk, "hvinfo");
}

static bool settle(const struct medium *m, struct json_object *disks, const char *image, const struct former *was,
		   struct err **e)
{
	size_t i = find(disks, m, was->disk);
	struct json_object *d = i != SIZE_MAX ? json_object_array_get_idx(disks, i) : NULL;

	if (str_empty(image)) {
		if (d && is_former(d, was))
			json_object_array_del_idx(disks, i, 1);
		return true;
	}
	if (!d) {
		json_object_array_add(disks, disk_new(m, image));
		return true;
	}
	if (!source_of(d) || is_former(d, was))
		set_source(d, image);
	if (!has_source(d, image))
		return contradicts(e, i, source_of(d), m);
	if (!str_eq(json_get_str(d, "media"), disk_medias[m->media]))
		return contradicts(e, i, "media", m);
	forget_place(d, was->disk);
	return true;
}

static bool has_any(struct json_object *definition)
{
	for (const struct medium *m = mediums; m < mediums + ARRAY_SIZE(mediums); m++)
		if (!str_empty(image_in(m, definition)))
			return true;
	return false;
}

struct json_object *media_apply(struct json_object *given, struct json_object *old, struct err **e)
{
	_cleanup_json_ struct json_object *o = NULL, *made = NULL;
	struct json_object *disks;

	if (!has_any(given) && !has_any(old))
		return json_object_get(given);
	json_object_deep_copy(given, &o, NULL);
	disks = json_get_typed(o, "disks", json_type_array);
	if (!disks)
		disks = made = json_object_new_array();
	for (const struct medium *m = mediums; m < mediums + ARRAY_SIZE(mediums); m++) {
		struct former was = former_of(m, old);

		if (!settle(m, disks, image_in(m, o), &was, e))
			return NULL;
	}
	if (made && json_object_array_length(made) > 0)
		json_add(o, "disks", TAKE_PTR(made));
	return TAKE_PTR(o);
}

/* ---- which of them ---- */

static const struct medium *medium_of(const struct definition *def, size_t disk)
{
	for (const struct medium *m = mediums; m < mediums + ARRAY_SIZE(mediums); m++)
		if (str_eq(definition_disk(def, disk)->name, m->name) && !str_empty(image_of(m, &def->hvparams)))
			return m;
	return NULL;
}

const char *media_param(const struct definition *def, size_t disk)
{
	const struct medium *m = medium_of(def, disk);

	return m ? m->param : NULL;
}

const char *media_param_of(struct json_object *stored, const char *name)
{
	for (const struct medium *m = mediums; m < mediums + ARRAY_SIZE(mediums); m++)
		if (str_eq(name, m->name) && !str_empty(image_in(m, stored)))
			return m->param;
	return NULL;
}

size_t media_first(const struct definition *def, enum disk_media media)
{
	size_t first = SIZE_MAX;

	for (size_t i = 0; i < def->disks.n; i++) {
		const struct medium *m = medium_of(def, i);

		if (definition_disk(def, i)->media != (int)media || (m && !m->boots))
			continue;
		if (m)
			return i;
		if (first == SIZE_MAX)
			first = i;
	}
	return first;
}
