/* SPDX-License-Identifier: BSD-2-Clause */
/* Removable media by parameter: which disks are stored, and what of them stays. */
#include "definitions.h"
#include "runtime/boot.h"
#include "runtime/media.h"

#include <stdio.h>

/* JSON as the test reads it: the disks' names, kinds and sources, "disk0 disk /d; cdrom1 cdrom /x ide-cd". */
static char *disks_of(struct json_object *stored)
{
	struct definition def;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	ck_assert(definition_decode(stored, &def, NULL));
	for (size_t i = 0; i < def.disks.n; i++) {
		const struct disk *d = definition_disk(&def, i);

		fprintf(f, "%s%s %s %s %s %s", i ? "; " : "", d->name, disk_medias[d->media], disk_modes[d->mode],
			d->uri             ? d->uri :
			str_empty(d->path) ? "-" :
					     d->path,
			d->hvinfo.driver);
	}
	ck_assert_int_eq(fclose(f), 0);
	definition_clear(&def);
	return text;
}

static struct json_object *define(const char *members, struct json_object *old)
{
	_cleanup_free_ char *text = xasprintf("{'name': 'a', %s}", members), *json = quoted(text);

	return stored_over(json, old);
}

static void expect(struct json_object *stored, const char *disks)
{
	_cleanup_free_ char *text = disks_of(stored);

	ck_assert_str_eq(text, disks);
}

/* ---- what is stored ---- */

static const struct {
	const char *members, *disks;
} made[] = {
	{ "'hvparams': {'cdrom_image_path': '/x'}", "cdrom1 cdrom ro /x ide-cd" },
	{ "'hvparams': {'cdrom_image_path': ''}", "" },
	{ "'disks': [{'path': '/d'}], 'hvparams': {'cdrom_image_path': 'https://h/x.iso', 'cdrom2_image_path': '/y', "
	  "'floppy_image_path': '/f'}",
	  "disk0 disk rw /d virtio-blk-pci; cdrom1 cdrom ro https://h/x.iso ide-cd; cdrom2 cdrom ro /y ide-cd; floppy1 "
	  "floppy rw "
	  "/f floppy" },
	{ "'hvparams': {'cdrom2_image_path': '/x', 'disk_type': 'scsi-hd'}", "cdrom2 cdrom ro /x scsi-cd" },
	{ "'hvparams': {'cdrom_image_path': '/x', 'disk_type': 'scsi-hd', 'cdrom_disk_type': 'ide'}",
	  "cdrom1 cdrom ro /x ide-cd" },
	{ "'hvparams': {'cdrom_image_path': '/x', 'cdrom_disk_type': 'scsi-cd'}", "cdrom1 cdrom ro /x scsi-cd" },
	{ "'hvparams': {'cdrom_image_path': '/x', 'cdrom_disk_type': 'paravirtual'}",
	  "cdrom1 cdrom ro /x virtio-blk-pci" },
	{ "'hvparams': {'cdrom_disk_type': 'scsi-cd'}, 'disks': [{'path': '/d', 'media': 'cdrom'}, {'path': '/e', "
	  "'media': 'cdrom', 'type': 'ide'}]",
	  "disk0 cdrom rw /d scsi-cd; disk1 cdrom rw /e ide-cd" },
	/* a word about it */
	{ "'hvparams': {'cdrom_image_path': '/x'}, 'disks': [{'name': 'cdrom1', 'media': 'cdrom', 'serial': 's'}]",
	  "cdrom1 cdrom rw /x ide-cd" },
	{ "'hvparams': {'floppy_image_path': '/x'}, 'disks': [{'name': 'floppy1', 'media': 'floppy', 'path': '/x', "
	  "'mode': 'ro'}]",
	  "floppy1 floppy ro /x floppy" },
	/* nobody's parameter */
	{ "'disks': [{'name': 'cdrom1', 'path': '/x'}]", "cdrom1 disk rw /x virtio-blk-pci" },
	{ "'hvparams': {'machine_version': 'q35', 'cdrom_image_path': '/x', 'floppy_image_path': '/f'}",
	  "cdrom1 cdrom ro /x ide-cd; floppy1 floppy rw /f floppy" },
};

START_TEST(test_made)
{
	_cleanup_json_ struct json_object *stored = define(made[_i].members, NULL), *again = NULL;
	struct definition_context ctx = { .old = stored };

	expect(stored, made[_i].disks);
	/* What was read is taken back as it is; and so it is without knowing what there was. */
	again = definition_store(stored, &ctx, NULL);
	ck_assert(json_object_equal(again, stored));
	json_object_put(again);
	again = definition_store(stored, &(struct definition_context){ 0 }, NULL);
	ck_assert(json_object_equal(again, stored));
}
END_TEST

/* ---- what is refused ---- */

static const struct {
	const char *members, *parameter;
} refused[] = {
	{ "'hvparams': {'cdrom_image_path': 'x.iso'}", "hvparams.cdrom_image_path" },
	{ "'hvparams': {'cdrom_image_path': 'ftp://h/x'}", "hvparams.cdrom_image_path" },
	{ "'hvparams': {'cdrom_image_path': 'HTTP://h/x'}", "hvparams.cdrom_image_path" },
	{ "'hvparams': {'cdrom_image_path': 'file:///x'}", "hvparams.cdrom_image_path" },
	{ "'hvparams': {'cdrom_image_path': 'nbd://h/x'}", "hvparams.cdrom_image_path" },
	{ "'hvparams': {'cdrom_image_path': 'http://'}", "hvparams.cdrom_image_path" },
	{ "'hvparams': {'cdrom2_image_path': 'https://u:p@h/x'}", "hvparams.cdrom2_image_path" },
	{ "'hvparams': {'floppy_image_path': 'http://h/x'}", "hvparams.floppy_image_path" },
	{ "'hvparams': {'cdrom_disk_type': 'scsi-hd'}", "hvparams.cdrom_disk_type" },
	{ "'hvparams': {'cdrom_image_path': '/x'}, 'disks': [{'name': 'cdrom1', 'media': 'cdrom', 'path': '/y'}]",
	  "disks[0].path" },
	{ "'hvparams': {'cdrom_image_path': '/x'}, 'disks': [{'path': '/d'}, {'name': 'cdrom1', 'media': 'cdrom', "
	  "'uri': 'http://h/y'}]",
	  "disks[1].uri" },
	{ "'hvparams': {'cdrom_image_path': '/x'}, 'disks': [{'name': 'cdrom1', 'path': '/x'}]", "disks[0].media" },
	{ "'hvparams': {'cdrom2_image_path': '/x'}, 'disks': [{'name': 'cdrom2', 'path': '/x', 'media': 'floppy'}]",
	  "disks[0].media" },
	{ "'hvparams': {'boot_order': 'cdrom'}, 'disks': [{'path': '/d'}]", "hvparams.boot_order" },
	{ "'hvparams': {'boot_order': 'cdrom', 'cdrom2_image_path': '/x'}", "hvparams.boot_order" },
	{ "'hvparams': {'boot_order': 'floppy', 'cdrom_image_path': '/x'}", "hvparams.boot_order" },
	{ "'hvparams': {'boot_order': 'network'}", "hvparams.boot_order" },
};

static void expect_refused(const char *members, struct json_object *old, const char *parameter)
{
	_cleanup_free_ char *text = xasprintf("{'name': 'a', %s}", members), *json = quoted(text);
	_cleanup_json_ struct json_object *given = parse(json), *stored = NULL;
	_cleanup_err_ struct err *e = NULL;

	stored = definition_store(given, &(struct definition_context){ .old = old }, &e);
	ck_assert_msg(!stored, "%s", members);
	ck_assert_int_eq(e->class, ERR_INVALID_PARAMETER);
	ck_assert_str_eq(json_get_str(e->extra, "parameter"), parameter);
}

START_TEST(test_refused)
{
	expect_refused(refused[_i].members, NULL, refused[_i].parameter);
}
END_TEST

/* ---- what stays ---- */

/* STORED with another value for the parameter, as a client sends it back who changes nothing else. */
static struct json_object *with(struct json_object *stored, const char *param, const char *value)
{
	struct definition_context ctx = { .old = stored };
	_cleanup_json_ struct json_object *o = NULL;
	struct json_object *again;
	struct err *e = NULL;

	json_object_deep_copy(stored, &o, NULL);
	if (value)
		json_add_str(json_object_object_get(o, "hvparams"), param, value);
	else
		json_object_object_del(json_object_object_get(o, "hvparams"), param);
	again = definition_store(o, &ctx, &e);
	ck_assert_msg(again, "%s", e ? e->desc : "");
	return again;
}

static struct json_object *disk_at(struct json_object *stored, size_t i)
{
	return json_object_array_get_idx(json_object_object_get(stored, "disks"), i);
}

static void expect_same(struct json_object *a, size_t i, struct json_object *b, size_t k, bool place)
{
	ck_assert_str_eq(json_get_str(disk_at(a, i), "uuid"), json_get_str(disk_at(b, k), "uuid"));
	ck_assert(json_object_equal(json_object_object_get(disk_at(a, i), "hvinfo"),
				    json_object_object_get(disk_at(b, k), "hvinfo")) == place);
}

START_TEST(test_follows)
{
	_cleanup_json_ struct json_object *first = define("'disks': [{'path': '/d'}], 'hvparams': {'cdrom_image_path': "
							  "'/x', 'cdrom2_image_path': '/y'}",
							  NULL);
	_cleanup_json_ struct json_object *url = with(first, "cdrom_image_path", "http://h/x");
	_cleanup_json_ struct json_object *type = with(url, "cdrom_disk_type", "scsi-cd");
	_cleanup_json_ struct json_object *gone = with(type, "cdrom_image_path", NULL);
	_cleanup_json_ struct json_object *none = with(gone, "cdrom2_image_path", "");

	expect(url, "disk0 disk rw /d virtio-blk-pci; cdrom1 cdrom ro http://h/x ide-cd; cdrom2 cdrom ro /y ide-cd");
	expect_same(url, 1, first, 1, true);
	expect_same(url, 2, first, 2, true);
	expect(type, "disk0 disk rw /d virtio-blk-pci; cdrom1 cdrom ro http://h/x scsi-cd; cdrom2 cdrom ro /y scsi-cd");
	expect_same(type, 1, first, 1, false);
	expect(gone, "disk0 disk rw /d virtio-blk-pci; cdrom2 cdrom ro /y scsi-cd");
	expect_same(gone, 1, type, 2, true);
	expect(none, "disk0 disk rw /d virtio-blk-pci");
}
END_TEST

/* Who writes his definition himself says nothing of cdrom1, whether it is there already or not. */
START_TEST(test_own_words)
{
	_cleanup_json_ struct json_object *first = define("'hvparams': {'cdrom_image_path': '/x'}", NULL);
	_cleanup_json_ struct json_object *again = define("'hvparams': {'cdrom_image_path': '/x'}", first);
	_cleanup_json_ struct json_object *other = define("'hvparams': {'cdrom_image_path': '/y'}, 'disks': []", first);
	_cleanup_json_ struct json_object *own = define("'disks': [{'name': 'cdrom1', 'media': 'cdrom', 'path': '/x'}]",
							first);

	json_add_str(first, "uuid", json_get_str(again, "uuid"));
	ck_assert(json_object_equal(again, first));
	expect(other, "cdrom1 cdrom ro /y ide-cd");
	expect_same(other, 0, first, 0, true);
	/* his own from now on */
	expect(own, "cdrom1 cdrom rw /x ide-cd");
	expect_same(own, 0, first, 0, true);
	/* one that was changed apart from its parameter */
	expect_refused("'hvparams': {'cdrom_image_path': '/x'}, 'disks': [{'name': 'cdrom1', 'media': 'cdrom', 'path': "
		       "'/z'}]",
		       first, "disks[0].path");
	expect_refused("'hvparams': {'cdrom_image_path': '/y'}, 'disks': [{'name': 'cdrom1', 'media': 'cdrom', 'path': "
		       "'/x'}]",
		       first, "disks[0].path");
}
END_TEST

/* ---- whose it is ---- */

START_TEST(test_param)
{
	_cleanup_json_ struct json_object *stored = define(
		"'disks': [{'path': '/d'}], 'hvparams': {'cdrom2_image_path': '/x'}", NULL);
	struct definition def;

	ck_assert(definition_decode(stored, &def, NULL));
	ck_assert_ptr_null(media_param(&def, 0));
	ck_assert_str_eq(media_param(&def, 1), "hvparams.cdrom2_image_path");
	ck_assert_uint_eq(media_first(&def, MEDIA_CDROM), SIZE_MAX);
	ck_assert_ptr_null(media_param_of(stored, "disk0"));
	ck_assert_ptr_null(media_param_of(stored, "cdrom1"));
	ck_assert_str_eq(media_param_of(stored, "cdrom2"), "hvparams.cdrom2_image_path");
	definition_clear(&def);
}
END_TEST

static const struct {
	const char *members;
	enum boot_order order;
	bool possible;
} once[] = {
	{ "'disks': [{'path': '/d'}]", BOOT_DISK, true },
	{ "'disks': [{'path': '/d'}]", BOOT_CDROM, false },
	{ "'disks': [{'path': '/d'}]", BOOT_FLOPPY, false },
	{ "'disks': [{'path': '/d'}]", BOOT_NETWORK, false },
	{ "'nics': [{}]", BOOT_DISK, false },
	{ "'nics': [{}]", BOOT_NETWORK, true },
	{ "'hvparams': {'cdrom_image_path': '/x'}", BOOT_CDROM, true },
	{ "'hvparams': {'cdrom2_image_path': '/x'}", BOOT_CDROM, false },
	{ "'hvparams': {'cdrom_image_path': '/x', 'kernel_path': '/k'}", BOOT_CDROM, false },
};

START_TEST(test_once)
{
	_cleanup_json_ struct json_object *stored = define(once[_i].members, NULL);
	_cleanup_err_ struct err *e = NULL;
	struct definition def;

	ck_assert(definition_decode(stored, &def, NULL));
	ck_assert(boot_check_once(&def, BOOT_AS_DEFINED, NULL));
	ck_assert(boot_check_once(&def, 1 + (int)once[_i].order, &e) == once[_i].possible);
	if (e)
		ck_assert_str_eq(json_get_str(e->extra, "parameter"), "boot");
	definition_clear(&def);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("media");
	TCase *tc = tcase_create("media");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_loop_test(tc, test_made, 0, ARRAY_SIZE(made));
	tcase_add_loop_test(tc, test_refused, 0, ARRAY_SIZE(refused));
	tcase_add_test(tc, test_follows);
	tcase_add_test(tc, test_own_words);
	tcase_add_test(tc, test_param);
	tcase_add_loop_test(tc, test_once, 0, ARRAY_SIZE(once));
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
