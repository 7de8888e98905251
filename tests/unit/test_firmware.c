/* SPDX-License-Identifier: BSD-2-Clause */
/* Which firmware is chosen among descriptors: by name, directory, machine and features; what is broken hinders nobody. */
#include "runtime/firmware.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/drover-unit-XXXXXX";
static char *share, *etc;
static const char *dirs[3];

static void set_up(void)
{
	strcpy(root + strlen(root) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	share = xasprintf("%s/share", root);
	etc = xasprintf("%s/etc", root);
	ck_assert_int_eq(mkdir(share, 0700) | mkdir(etc, 0700), 0);
	dirs[0] = share;
	dirs[1] = etc;
}

static void tear_down(void)
{
	_cleanup_free_ char *command = xasprintf("rm -r '%s'", root);

	ck_assert_int_eq(system(command), 0);
	free(share);
	free(etc);
}

static void put(const char *dir, const char *name, const char *text)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
	FILE *f = fopen(path, "we");

	ck_assert_ptr_nonnull(f);
	for (; *text; text++)
		fputc(*text == '\'' ? '"' : *text, f);
	ck_assert_int_eq(fclose(f), 0);
}

#define IMAGES(name)                                                                                      \
	"'executable': {'filename': '/fw/" name ".fd', 'format': 'raw'}, 'nvram-template': {'filename': " \
	"'/fw/" name ".vars', 'format': 'raw'}"
#define BOTH "'targets': [{'architecture': 'x86_64', 'machines': ['pc-i440fx-*', 'pc-q35-*']}]"
#define Q35 "'targets': [{'architecture': 'x86_64', 'machines': ['pc-q35-*']}]"
#define UEFI "'interface-types': ['uefi']"
#define ENROLLED "'features': ['acpi-s3', 'enrolled-keys', 'requires-smm', 'secure-boot']"
#define SECURE "'features': ['requires-smm', 'secure-boot']"
#define PLAIN "'features': []"
#define DESCRIPTOR(name, targets, features) \
	"{" UEFI ", 'mapping': {'device': 'flash', " IMAGES(name) "}, " targets ", " features "}"

static void put_debians(void)
{
	put(share, "40-enrolled.json", DESCRIPTOR("enrolled", Q35, ENROLLED));
	put(share, "50-secure.json", DESCRIPTOR("secure", Q35, SECURE));
	put(share, "60-plain.json", DESCRIPTOR("plain", BOTH, PLAIN));
}

#define PC_7 "pc-i440fx-7.2"
#define Q35_7 "pc-q35-7.2"

/* NAME: of its images; NULL: none. */
static void expect(enum firmware kind, const char *machine, const char *name, bool smm)
{
	_cleanup_free_ char *code = xasprintf("/fw/%s.fd", name), *nvram = xasprintf("/fw/%s.vars", name);
	struct err *e = NULL;
	struct uefi f;

	if (!name) {
		ck_assert(!firmware_choose(&f, kind, machine, dirs, &e));
		ck_assert_int_eq(e->class, ERR_NOT_FOUND);
		ck_assert_str_eq(json_get_str(e->extra, "parameter"), "hvparams.firmware");
		ck_assert_msg(strstr(e->desc, share) && strstr(e->desc, etc) && strstr(e->desc, "package ovmf"), "%s",
			      e->desc);
		err_free(e);
		return;
	}
	ck_assert_msg(firmware_choose(&f, kind, machine, dirs, &e), "%s", e ? e->desc : "");
	ck_assert_str_eq(f.code, code);
	ck_assert_str_eq(f.nvram, nvram);
	ck_assert_int_eq(f.smm, smm);
	ck_assert_int_eq(f.code_format, FORMAT_RAW);
	firmware_clear(&f);
}

START_TEST(test_debian)
{
	put_debians();
	expect(FIRMWARE_UEFI, PC_7, "plain", false);
	expect(FIRMWARE_UEFI, Q35_7, "plain", false);
	expect(FIRMWARE_UEFI_SECURE, Q35_7, "enrolled", true);
	expect(FIRMWARE_UEFI_SECURE, PC_7, NULL, false);
	expect(FIRMWARE_UEFI, "microvm", NULL, false);
}
END_TEST

/* Without one that has no Secure Boot, the one whose keys are still to be enrolled, on a machine that has SMM. */
START_TEST(test_second_best)
{
	put(share, "40-enrolled.json", DESCRIPTOR("enrolled", BOTH, ENROLLED));
	expect(FIRMWARE_UEFI, Q35_7, NULL, false);
	put(share, "50-secure.json", DESCRIPTOR("secure", BOTH, SECURE));
	expect(FIRMWARE_UEFI, Q35_7, "secure", true);
	expect(FIRMWARE_UEFI, PC_7, NULL, false);
	put(share, "70-plain.json", DESCRIPTOR("plain", BOTH, PLAIN));
	put(share, "80-plain.json", DESCRIPTOR("later", BOTH, PLAIN));
	expect(FIRMWARE_UEFI, Q35_7, "plain", false);
}
END_TEST

/* Without SMM the guest itself could write to the variables that make it secure. */
START_TEST(test_secure_needs_smm)
{
	put(share, "a.json", DESCRIPTOR("a", BOTH, "'features': ['secure-boot', 'enrolled-keys']"));
	expect(FIRMWARE_UEFI_SECURE, Q35_7, NULL, false);
}
END_TEST

START_TEST(test_override)
{
	_cleanup_free_ char *link = xasprintf("%s/60-plain.json", etc);

	put_debians();
	put(etc, "60-plain.json", DESCRIPTOR("mine", BOTH, PLAIN));
	expect(FIRMWARE_UEFI, PC_7, "mine", false);
	put(etc, "60-plain.json", "");
	expect(FIRMWARE_UEFI, PC_7, NULL, false);
	expect(FIRMWARE_UEFI, Q35_7, "secure", true);
	ck_assert_int_eq(unlink(link) | symlink("/dev/null", link), 0);
	expect(FIRMWARE_UEFI, PC_7, NULL, false);
	put(etc, "10-first.json", DESCRIPTOR("first", BOTH, PLAIN));
	expect(FIRMWARE_UEFI, PC_7, "first", false);
}
END_TEST

static const char *const unfit[] = {
	"{",
	"[]",
	"null",
	"{}",
	"{'interface-types': 'uefi', 'mapping': 1, 'targets': {}, 'features': 3}",
	"{" UEFI ", 'mapping': {'device': 'flash', " IMAGES("x") "}, 'targets': [1, null, {}], " PLAIN "}",
	"{" UEFI ", 'mapping': {'device': 'flash', " IMAGES("x") "}, " BOTH,
	"{" UEFI ", 'mapping': {'device': 'flash'}, " BOTH ", " PLAIN "}",
	"{" UEFI ", 'mapping': {'device': 'memory', " IMAGES("x") "}, " BOTH ", " PLAIN "}",
	"{" UEFI ", 'mapping': {'device': 'flash', 'mode': 'stateless', " IMAGES("x") "}, " BOTH ", " PLAIN "}",
	"{" UEFI ", 'mapping': {'device': 'flash', 'mode': 'combined', " IMAGES("x") "}, " BOTH ", " PLAIN "}",
	"{'interface-types': ['bios'], 'mapping': {'device': 'flash', " IMAGES("x") "}, " BOTH ", " PLAIN "}",
	"{" UEFI
	", 'mapping': {'device': 'flash', " IMAGES("x") "}, 'targets': [{'architecture': 'aarch64', 'machines': "
							"['pc-*']}], " PLAIN "}",
	"{" UEFI
	", 'mapping': {'device': 'flash', 'executable': {'filename': 'x.fd', 'format': 'raw'}, 'nvram-template': "
	"{'filename': '/x', 'format': 'raw'}}, " BOTH ", " PLAIN "}",
	"{" UEFI ", 'mapping': {'device': 'flash', 'executable': {'filename': '/x.fd', 'format': 'raw'}, "
	"'nvram-template': {'filename': '/x', 'format': 'vmdk'}}, " BOTH ", " PLAIN "}",
	"{" UEFI ", 'mapping': {'device': 'flash', 'executable': {'filename': '/x.fd', 'format': 'raw'}, "
	"'nvram-template': {'filename': '/x'}}, " BOTH ", " PLAIN "}",
	"{" UEFI ", 'mapping': {'device': 'flash', 'executable': 7, 'nvram-template': []}, " BOTH ", " PLAIN "}",
};

/* What is no descriptor, or not for us, is as if it were not there. */
START_TEST(test_unfit)
{
	put(share, "00-unfit.json", unfit[_i]);
	expect(FIRMWARE_UEFI, PC_7, NULL, false);
	put_debians();
	expect(FIRMWARE_UEFI, PC_7, "plain", false);
}
END_TEST

/* What cannot be read is told where nothing else does, and nobody waits for it. */
START_TEST(test_unreadable)
{
	_cleanup_free_ char *fifo = xasprintf("%s/00-fifo.json", share), *dir = xasprintf("%s/01-dir.json", share);
	_cleanup_free_ char *dangling = xasprintf("%s/02-link.json", share), *big = xcalloc(1, 70000);
	struct err *e = NULL;
	struct uefi f;

	ck_assert_int_eq(mkfifo(fifo, 0600) | mkdir(dir, 0700) | symlink("/nonexistent", dangling), 0);
	memset(big, ' ', 69999);
	put(share, "03-big.json", big);
	put(share, "04-not-one", DESCRIPTOR("x", BOTH, PLAIN));
	put(share, ".json", DESCRIPTOR("x", BOTH, PLAIN));
	ck_assert(!firmware_choose(&f, FIRMWARE_UEFI, PC_7, dirs, &e));
	ck_assert_msg(strstr(e->desc, "00-fifo.json"), "%s", e->desc);
	err_free(e);
	put_debians();
	expect(FIRMWARE_UEFI, PC_7, "plain", false);
}
END_TEST

START_TEST(test_no_directory)
{
	dirs[0] = "/nonexistent/share";
	dirs[1] = "/nonexistent/etc";
	share = strcpy(xcalloc(1, 64), dirs[0]);
	etc = strcpy(xcalloc(1, 64), dirs[1]);
	expect(FIRMWARE_UEFI, PC_7, NULL, false);
}
END_TEST

START_TEST(test_kept)
{
	struct uefi f = { .code = xstrdup("/a b"), .nvram = xstrdup("/c"), .code_format = FORMAT_QCOW2, .smm = true };
	_cleanup_json_ struct json_object *o = firmware_to_json(&f);
	_cleanup_free_ char *text = json_print(o);
	struct err *e = NULL;
	struct uefi back;

	ck_assert_str_eq(text, "{\"code\":{\"path\":\"/a b\",\"format\":\"qcow2\"},\"template\":{\"path\":\"/c\","
			       "\"format\":\"raw\"},\"smm\":true}");
	ck_assert(firmware_from_json(o, &back, &e));
	ck_assert(str_eq(back.code, f.code) && str_eq(back.nvram, f.nvram) && back.smm &&
		  back.nvram_format == FORMAT_RAW);
	ck_assert_int_eq(back.code_format, FORMAT_QCOW2);
	firmware_clear(&f);
	firmware_clear(&back);
	json_object_object_del(o, "template");
	ck_assert(!firmware_from_json(o, &back, &e));
	ck_assert_str_eq(e->desc, "'template.path' must be an absolute path");
	ck_assert_ptr_null(back.code);
	err_free(e);
}
END_TEST

static const struct {
	int firmware;
	const char *machine;
	bool acpi;
	const char *refused; /* the parameter; NULL: it is taken */
} rules[] = {
	{ FIRMWARE_BIOS, "pc", true, NULL },
	{ FIRMWARE_BIOS, "pc", false, NULL },
	{ FIRMWARE_UEFI, "pc", true, NULL },
	{ FIRMWARE_UEFI, "pc", false, "hvparams.acpi" },
	{ FIRMWARE_UEFI, PC_7, false, "hvparams.acpi" },
	{ FIRMWARE_UEFI, "q35", true, NULL },
	{ FIRMWARE_UEFI, "q35", false, NULL },
	{ FIRMWARE_UEFI_SECURE, "q35", true, NULL },
	{ FIRMWARE_UEFI_SECURE, Q35_7, true, NULL },
	{ FIRMWARE_UEFI_SECURE, "pc", true, "hvparams.firmware" },
	{ FIRMWARE_UEFI_SECURE, PC_7, true, "hvparams.firmware" },
};

START_TEST(test_rules)
{
	struct hvparams hv = { .firmware = rules[_i].firmware,
			       .acpi = rules[_i].acpi,
			       .machine_version = xstrdup(rules[_i].machine) };
	struct err *e = NULL;

	ck_assert_int_eq(firmware_check(&hv, &e), !rules[_i].refused);
	ck_assert_int_eq(!e, !rules[_i].refused);
	ck_assert(!e || str_eq(json_get_str(e->extra, "parameter"), rules[_i].refused));
	err_free(e);
	free(hv.machine_version);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("firmware");
	TCase *tc = tcase_create("firmware"), *bare = tcase_create("rules");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, tc);
	suite_add_tcase(suite, bare);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, test_debian);
	tcase_add_test(tc, test_second_best);
	tcase_add_test(tc, test_secure_needs_smm);
	tcase_add_test(tc, test_override);
	tcase_add_loop_test(tc, test_unfit, 0, ARRAY_SIZE(unfit));
	tcase_add_test(tc, test_unreadable);
	tcase_add_test(bare, test_no_directory);
	tcase_add_test(bare, test_kept);
	tcase_add_loop_test(bare, test_rules, 0, ARRAY_SIZE(rules));
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
