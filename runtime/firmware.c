/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/firmware.h"

#include "base/file.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PARAMETER "hvparams.firmware"

enum { DESCRIPTOR_MAX = 64 << 10, PATTERN_MAX = 128, PATH_LENGTH_MAX = 4095 };
enum { RANK_BEST, RANK_SECOND, RANK_NONE };

bool firmware_check(const struct hvparams *hv, struct err **e)
{
	if (hv->firmware == FIRMWARE_UEFI_SECURE && machine_kind(hv->machine_version) != MACHINE_Q35)
		return err_set_param(e, PARAMETER,
				     "uefi-secure needs SMM, which a Q35 machine has: machine_version q35");
	/* It waits for a clock that is part of it. */
	if (hv->firmware == FIRMWARE_UEFI && !hv->acpi && machine_kind(hv->machine_version) == MACHINE_PC)
		return err_set_param(e, "hvparams.acpi",
				     "UEFI does not start on a PC without ACPI, only on a Q35 machine");
	return true;
}

void firmware_clear(struct uefi *f)
{
	free(f->code);
	free(f->nvram);
	f->code = f->nvram = NULL;
	f->smm = false;
}

/* ---- one descriptor ---- */

static bool list_has(struct json_object *o, const char *list, const char *word)
{
	struct json_object *items = json_get_typed(o, list, json_type_array);

	for (size_t i = 0; i < json_length(items); i++) {
		struct json_object *item = json_object_array_get_idx(items, i);

		if (json_object_is_type(item, json_type_string) && str_eq(json_object_get_string(item), word))
			return true;
	}
	return false;
}

static bool fits_machine(struct json_object *target, const char *machine)
{
	struct json_object *patterns = json_get_typed(target, "machines", json_type_array);

	if (!str_eq(json_get_str(target, "architecture"), "x86_64"))
		return false;
	for (size_t i = 0; i < json_length(patterns); i++) {
		struct json_object *pattern = json_object_array_get_idx(patterns, i);

		if (json_object_is_type(pattern, json_type_string) &&
		    json_object_get_string_len(pattern) <= PATTERN_MAX &&
		    fnmatch(json_object_get_string(pattern), machine, 0) == 0)
			return true;
	}
	return false;
}

static bool fits(struct json_object *o, const char *machine)
{
	struct json_object *targets = json_get_typed(o, "targets", json_type_array);
	struct json_object *mapping = json_get_typed(o, "mapping", json_type_object);
	const char *mode = json_get_str(mapping, "mode");

	if (!list_has(o, "interface-types", "uefi") || !str_eq(json_get_str(mapping, "device"), "flash") ||
	    (mode && !str_eq(mode, "split")))
		return false;
	for (size_t i = 0; i < json_length(targets); i++)
		if (fits_machine(json_object_array_get_idx(targets, i), machine))
			return true;
	return false;
}

static unsigned rank_of(struct json_object *o, enum firmware kind, const char *machine)
{
	bool secure = list_has(o, "features", "secure-boot"), enrolled = list_has(o, "features", "enrolled-keys");
	bool smm = list_has(o, "features", "requires-smm");

	if (smm && machine_kind(machine) != MACHINE_Q35)
		return RANK_NONE;
	if (kind == FIRMWARE_UEFI_SECURE)
		return secure && enrolled && smm ? RANK_BEST : RANK_NONE;
	if (!secure)
		return RANK_BEST;
	return enrolled ? RANK_NONE : RANK_SECOND;
}

/* {KEY: PATH, "format": FORMAT} of MEMBER. */
static bool read_image(struct json_object *o, const char *member, const char *key, char **path, int *format,
		       struct err **e)
{
	struct json_object *image = json_get_typed(o, member, json_type_object);
	const char *name = json_get_str(image, key), *word = json_get_str(image, "format");

	if (!name || name[0] != '/' || strlen(name) > PATH_LENGTH_MAX)
		return err_set(e, ERR_GENERIC, "'%s.%s' must be an absolute path", member, key);
	for (*format = 0; image_formats[*format] && !str_eq(image_formats[*format], word);)
		++*format;
	if (!image_formats[*format])
		return err_set(e, ERR_GENERIC, "'%s.format' must be raw or qcow2", member);
	*path = xstrdup(name);
	return true;
}

bool firmware_parse(const char *text, size_t len, const char *machine, enum firmware kind, struct uefi *f,
		    unsigned *rank, struct err **e)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct json_object *mapping;

	*f = (struct uefi){ 0 };
	*rank = RANK_NONE;
	if (!json_parse(text, len, &json_limits_request, &o, e))
		return false;
	if (!json_object_is_type(o, json_type_object))
		return err_set(e, ERR_GENERIC, "is no JSON object");
	if (!fits(o, machine))
		return true;
	mapping = json_get_typed(o, "mapping", json_type_object);
	if (!read_image(mapping, "executable", "filename", &f->code, &f->code_format, e) ||
	    !read_image(mapping, "nvram-template", "filename", &f->nvram, &f->nvram_format, e)) {
		firmware_clear(f);
		return false;
	}
	f->smm = list_has(o, "features", "requires-smm");
	*rank = rank_of(o, kind, machine);
	return true;
}

/* ---- all of them ---- */

struct names {
	char **items;
	size_t n;
};

static void add_name(const char *name, void *data)
{
	struct names *names = data;
	size_t len = strlen(name);

	if (name[0] == '.' || len <= 5 || !str_eq(name + len - 5, ".json"))
		return;
	for (size_t i = 0; i < names->n; i++)
		if (str_eq(names->items[i], name))
			return;
	names->items = xrealloc(names->items, names->n + 1, sizeof(char *));
	names->items[names->n++] = xstrdup(name);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static struct names list_names(const char *const *dirs)
{
	struct names names = { 0 };

	for (; *dirs; dirs++) {
		_cleanup_close_ int dir = open(*dirs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (dir >= 0)
			file_list(dir, add_name, &names, NULL);
	}
	if (names.n)
		qsort(names.items, names.n, sizeof(char *), compare_names);
	return names;
}

/* The path of the descriptor NAME that counts; NULL: there is none, or it is masked. */
static char *find(const char *const *dirs, const char *name)
{
	char *found = NULL;

	for (; *dirs; dirs++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", *dirs, name), *real = realpath(path, NULL);

		if (!real && access(path, F_OK) < 0)
			continue;
		free(found);
		found = str_eq(real, "/dev/null") ? NULL : TAKE_PTR(real);
	}
	return found;
}

/* Whether it is of this rank; only then F is set. */
static bool look_at(const char *path, enum firmware kind, const char *machine, unsigned wanted, struct uefi *f,
		    struct err **e)
{
	_cleanup_free_ char *text = NULL;
	struct err *failure = NULL;
	unsigned rank = RANK_NONE;
	struct uefi its = { 0 };
	size_t len = 0;

	if (!file_read(AT_FDCWD, path, DESCRIPTOR_MAX, &text, &len, &failure)) {
		err_keep_first(e, failure);
		return false;
	}
	if (len && !firmware_parse(text, len, machine, kind, &its, &rank, &failure)) {
		err_prefix(failure, "'%s'", path);
		err_keep_first(e, failure);
	}
	if (rank == wanted)
		*f = its;
	else
		firmware_clear(&its);
	return rank == wanted;
}

static bool not_found(enum firmware kind, const char *machine, const char *const *dirs, const struct err *why,
		      struct err **e)
{
	char *where = xstrdup(*dirs);

	for (dirs++; *dirs; dirs++) {
		char *longer = xasprintf("%s, %s", where, *dirs);

		free(where);
		where = longer;
	}
	err_set(e, ERR_NOT_FOUND,
		"'" PARAMETER
		"': no firmware of this host is %s for '%s' (descriptors in %s)%s%s; install the package ovmf",
		firmwares[kind], machine, where, why ? "; " : "", why ? why->desc : "");
	free(where);
	return err_name_param(e, PARAMETER);
}

bool firmware_choose(struct uefi *f, enum firmware kind, const char *machine, const char *const *dirs, struct err **e)
{
	_cleanup_err_ struct err *why = NULL;
	struct names names = list_names(dirs);
	bool found = false;

	*f = (struct uefi){ 0 };
	for (unsigned rank = RANK_BEST; rank < RANK_NONE; rank++)
		for (size_t i = 0; i < names.n && !found; i++) {
			_cleanup_free_ char *path = find(dirs, names.items[i]);

			found = path && look_at(path, kind, machine, rank, f, &why);
		}
	for (size_t i = 0; i < names.n; i++)
		free(names.items[i]);
	free(names.items);
	return found || not_found(kind, machine, dirs, why, e);
}

/* ---- as it is kept ---- */

static struct json_object *image_json(const char *path, int format)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "path", path);
	json_add_str(o, "format", image_formats[format]);
	return o;
}

struct json_object *firmware_to_json(const struct uefi *f)
{
	struct json_object *o = json_object_new_object();

	json_add(o, "code", image_json(f->code, f->code_format));
	json_add(o, "template", image_json(f->nvram, f->nvram_format));
	json_add_bool(o, "smm", f->smm);
	return o;
}

bool firmware_from_json(struct json_object *o, struct uefi *f, struct err **e)
{
	*f = (struct uefi){ .smm = json_get_bool(o, "smm", false) };
	if (read_image(o, "code", "path", &f->code, &f->code_format, e) &&
	    read_image(o, "template", "path", &f->nvram, &f->nvram_format, e))
		return true;
	firmware_clear(f);
	return false;
}
