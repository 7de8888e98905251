/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Definitions: what is taken, what is stored of it, the command line that it makes, and what of it waits for
 * the next start.
 */
#include "runtime/argv.h"
#include "runtime/definition.h"
#include "runtime/pending.h"

#include <check.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define UUID "5f1c2f0e-8a55-4a6e-9f53-0c2b6a1d9e10"

static struct json_object *parse(const char *text)
{
	struct json_object *o = NULL;
	struct err *e = NULL;

	ck_assert_msg(json_parse(text, strlen(text), &json_limits_request, &o, &e), "%s: %s", text, e ? e->desc : "");
	return o;
}

static void decode(const char *text, struct definition *def)
{
	_cleanup_json_ struct json_object *o = parse(text);
	struct err *e = NULL;

	ck_assert_msg(definition_decode(o, def, &e), "%s: %s", text, e ? e->desc : "");
}

static char *store(const char *text)
{
	_cleanup_json_ struct json_object *given = parse(text), *stored = NULL;
	struct err *e = NULL;

	stored = definition_store(given, &(struct definition_context){ 0 }, &e);
	ck_assert_msg(stored, "%s: %s", text, e ? e->desc : "");
	return json_print(stored);
}

/* ---- decoding ---- */

#define EVERYTHING                                                                                          \
	"{\"name\": \"web1\", \"uuid\": \"" UUID                                                            \
	"\", \"description\": \"the first\", \"metadata\": {\"owner\": \"ops\"}, "                          \
	"\"layout\": 1, \"vcpus\": 4, \"memory\": \"1.5G\", \"disks\": [], \"nics\": [], \"hvparams\": "    \
	"{\"accel\": \"tcg\", \"kvm_path\": \"/opt/qemu\", \"machine_version\": \"q35\", \"kernel_path\": " \
	"\"/boot/vmlinuz\", "                                                                               \
	"\"initrd_path\": \"/boot/initrd\", \"root_path\": \"/dev/vda1\", \"kernel_args\": \"ro quiet\", "  \
	"\"serial_console\": true, \"serial_speed\": 115200}}"

START_TEST(test_defaults)
{
	struct definition def;

	decode("{\"name\": \"web1\"}", &def);
	ck_assert_str_eq(def.name, "web1");
	ck_assert_ptr_null(def.uuid);
	ck_assert_str_eq(def.description, "");
	ck_assert_int_eq(def.layout, 1);
	ck_assert_int_eq(def.vcpus, 1);
	ck_assert_uint_eq(def.memory, 512 << 20);
	ck_assert_int_eq(def.hvparams.accel, ACCEL_AUTO);
	ck_assert_str_eq(def.hvparams.machine_version, "pc");
	ck_assert_str_eq(def.hvparams.kvm_path, "");
	ck_assert_str_eq(def.hvparams.kernel_path, "");
	ck_assert_str_eq(def.hvparams.kernel_args, "ro");
	ck_assert(def.hvparams.serial_console);
	ck_assert_int_eq(def.hvparams.serial_speed, 38400);
	definition_clear(&def);
}
END_TEST

START_TEST(test_everything)
{
	struct definition def;

	decode(EVERYTHING, &def);
	ck_assert_str_eq(def.uuid, UUID);
	ck_assert_str_eq(def.description, "the first");
	ck_assert_str_eq(json_get_str(def.metadata, "owner"), "ops");
	ck_assert_int_eq(def.vcpus, 4);
	ck_assert_uint_eq(def.memory, 1536 << 20);
	ck_assert_int_eq(def.hvparams.accel, ACCEL_TCG);
	ck_assert_str_eq(def.hvparams.root_path, "/dev/vda1");
	ck_assert_int_eq(def.hvparams.serial_speed, 115200);
	definition_clear(&def);
}
END_TEST

static const struct {
	const char *json, *parameter; /* NULL: another class, and the text names it */
} bad[] = {
	{ "{}", "name" },
	{ "{\"name\": null}", "name" },
	{ "{\"name\": \"a/b\"}", "name" },
	{ "{\"name\": \"..\"}", "name" },
	{ "{\"name\": \"\"}", "name" },
	{ "{\"name\": \"" UUID "\"}", "name" },
	{ "{\"name\": 5}", "name" },
	{ "{\"name\": \"a\", \"uuid\": \"none\"}", "uuid" },
	{ "{\"name\": \"a\", \"colour\": \"red\"}", "colour" },
	{ "{\"name\": \"a\", \"metadata\": {\"a\": 1}}", "metadata.a" },
	{ "{\"name\": \"a\", \"layout\": 0}", "layout" },
	{ "{\"name\": \"a\", \"layout\": 2}", "layout" },
	{ "{\"name\": \"a\", \"vcpus\": 0}", "vcpus" },
	{ "{\"name\": \"a\", \"vcpus\": 513}", "vcpus" },
	{ "{\"name\": \"a\", \"vcpus\": \"1\"}", "vcpus" },
	{ "{\"name\": \"a\", \"vcpus\": 1.5}", "vcpus" },
	{ "{\"name\": \"a\", \"memory\": 1}", "memory" },
	{ "{\"name\": \"a\", \"memory\": \"1023K\"}", "memory" },
	{ "{\"name\": \"a\", \"memory\": \"lots\"}", "memory" },
	{ "{\"name\": \"a\", \"memory\": -1}", "memory" },
	{ "{\"name\": \"a\", \"hvparams\": []}", "hvparams" },
	{ "{\"name\": \"a\", \"hvparams\": {\"accel\": \"xen\"}}", "hvparams.accel" },
	{ "{\"name\": \"a\", \"hvparams\": {\"kvm_pathh\": \"/x\"}}", "hvparams.kvm_pathh" },
	{ "{\"name\": \"a\", \"hvparams\": {\"kvm_path\": \"qemu\"}}", "hvparams.kvm_path" },
	{ "{\"name\": \"a\", \"hvparams\": {\"kernel_path\": \"./vmlinuz\"}}", "hvparams.kernel_path" },
	{ "{\"name\": \"a\", \"hvparams\": {\"initrd_path\": \"/initrd\"}}", "hvparams.initrd_path" },
	{ "{\"name\": \"a\", \"hvparams\": {\"machine_version\": \"\"}}", "hvparams.machine_version" },
	{ "{\"name\": \"a\", \"hvparams\": {\"machine_version\": \"pc\\n-usb\"}}", "hvparams.machine_version" },
	{ "{\"name\": \"a\", \"hvparams\": {\"serial_console\": 1}}", "hvparams.serial_console" },
	{ "{\"name\": \"a\", \"hvparams\": {\"serial_speed\": 1}}", "hvparams.serial_speed" },
	{ "{\"name\": \"a\", \"hvparams\": {\"accel\": \"kvm\"}}", NULL },
	{ "{\"name\": \"a\", \"disks\": [{}]}", NULL },
	{ "{\"name\": \"a\", \"nics\": [{}]}", NULL },
};

START_TEST(test_bad)
{
	_cleanup_json_ struct json_object *o = parse(bad[_i].json);
	_cleanup_err_ struct err *e = NULL;
	struct definition def;

	ck_assert_msg(!definition_decode(o, &def, &e), "%s", bad[_i].json);
	if (bad[_i].parameter) {
		ck_assert_int_eq(e->class, ERR_INVALID_PARAMETER);
		ck_assert_str_eq(json_get_str(e->extra, "parameter"), bad[_i].parameter);
		ck_assert_ptr_nonnull(strstr(e->desc, bad[_i].parameter));
	} else {
		ck_assert_int_eq(e->class, ERR_UNSUPPORTED);
	}
	ck_assert(!definition_decode(o, &def, NULL));
	ck_assert_ptr_null(definition_store(o, &(struct definition_context){ 0 }, NULL));
}
END_TEST

/* ---- the stored form ---- */

static const struct {
	const char *given, *stored;
} stored[] = {
	/* built-in defaults are not written */
	{ "{\"name\": \"a\", \"uuid\": \"" UUID "\"}", "{\"name\":\"a\",\"uuid\":\"" UUID "\",\"layout\":1}" },
	/* but what was given is, with sizes in bytes */
	{ "{\"uuid\": \"5F1C2F0E-8A55-4A6E-9F53-0C2B6A1D9E10\", \"memory\": \"512M\", \"vcpus\": 1, \"name\": \"a\", "
	  "\"layout\": 1}",
	  "{\"uuid\":\"" UUID "\",\"memory\":536870912,\"vcpus\":1,\"name\":\"a\",\"layout\":1}" },
	{ "{\"name\": \"a\", \"uuid\": \"" UUID "\", \"hvparams\": {}}",
	  "{\"name\":\"a\",\"uuid\":\"" UUID "\",\"hvparams\":{},\"layout\":1}" },
	{ "{\"name\": \"a\", \"uuid\": \"" UUID "\", \"hvparams\": {\"kernel_path\": \"\", \"accel\": \"auto\"}, "
	  "\"metadata\": {\"b\": \"2\", \"a\": \"1\"}, \"disks\": []}",
	  "{\"name\":\"a\",\"uuid\":\"" UUID "\",\"hvparams\":{\"kernel_path\":\"\",\"accel\":\"auto\"},"
	  "\"metadata\":{\"b\":\"2\",\"a\":\"1\"},\"layout\":1}" },
};

START_TEST(test_stored)
{
	_cleanup_free_ char *once = store(stored[_i].given), *twice = store(once);

	ck_assert_str_eq(once, stored[_i].stored);
	ck_assert_str_eq(twice, once);
}
END_TEST

START_TEST(test_uuid_is_made)
{
	_cleanup_free_ char *one = store("{\"name\": \"a\"}"), *two = store("{\"name\": \"a\"}");
	_cleanup_json_ struct json_object *o = parse(one);

	ck_assert(param_is_uuid(json_get_str(o, "uuid")));
	ck_assert_str_ne(one, two);
}
END_TEST

/* ---- the command line ---- */

static char *command_line(const char *json)
{
	struct definition def;
	char **argv, *text = xstrdup("");

	decode(json, &def);
	argv = argv_build(&def, &(struct argv_env){ .binary = "/usr/bin/qemu" }, &(struct argv_files){ 0 });
	for (char **p = argv; *p; p++) {
		_cleanup_free_ char *old = text;

		text = xasprintf("%s%s\n", old, *p);
	}
	argv_free(argv);
	definition_clear(&def);
	return text;
}

/* Layout 1: what was golden stays so. */
static const struct {
	const char *json, *argv;
} golden[] = {
	{ "{\"name\": \"plain\", \"uuid\": \"" UUID "\"}",
	  "/usr/bin/qemu\n"
	  "-name\nplain,debug-threads=on\n"
	  "-uuid\n" UUID "\n"
	  "-nodefaults\n"
	  "-no-user-config\n"
	  "-S\n"
	  "-action\nshutdown=pause,panic=pause,reboot=reset\n"
	  "-display\nnone\n"
	  "-machine\npc,accel=tcg\n"
	  "-smp\n1\n"
	  "-m\nsize=536870912B\n"
	  "-chardev\nsocket,id=qmp,fd=5,server=on,wait=off\n"
	  "-mon\nchardev=qmp,mode=control\n"
	  "-chardev\nsocket,id=qmp2,fd=6,server=on,wait=off\n"
	  "-mon\nchardev=qmp2,mode=control\n"
	  "-add-fd\nfd=8,set=1,opaque=console\n"
	  "-chardev\nsocket,id=serial0,fd=7,server=on,wait=off,logfile=/dev/fdset/1,logappend=on\n"
	  "-serial\nchardev:serial0\n" },
	{ EVERYTHING, "/usr/bin/qemu\n"
		      "-name\nweb1,debug-threads=on\n"
		      "-uuid\n" UUID "\n"
		      "-nodefaults\n"
		      "-no-user-config\n"
		      "-S\n"
		      "-action\nshutdown=pause,panic=pause,reboot=reset\n"
		      "-display\nnone\n"
		      "-machine\nq35,accel=tcg\n"
		      "-smp\n4\n"
		      "-m\nsize=1610612736B\n"
		      "-chardev\nsocket,id=qmp,fd=5,server=on,wait=off\n"
		      "-mon\nchardev=qmp,mode=control\n"
		      "-chardev\nsocket,id=qmp2,fd=6,server=on,wait=off\n"
		      "-mon\nchardev=qmp2,mode=control\n"
		      "-add-fd\nfd=8,set=1,opaque=console\n"
		      "-chardev\nsocket,id=serial0,fd=7,server=on,wait=off,logfile=/dev/fdset/1,logappend=on\n"
		      "-serial\nchardev:serial0\n"
		      "-kernel\n/boot/vmlinuz\n"
		      "-initrd\n/boot/initrd\n"
		      "-append\nroot=/dev/vda1 console=ttyS0,115200 ro quiet\n" },
};

START_TEST(test_golden)
{
	_cleanup_free_ char *text = command_line(golden[_i].json);

	ck_assert_str_eq(text, golden[_i].argv);
}
END_TEST

#define KERNEL(more) "{\"name\": \"a\", \"uuid\": \"" UUID "\", \"hvparams\": {\"kernel_path\": \"/k,1\"" more "}}"

/* The order of the kernel's words; what is not wanted leaves no space. A path is no list: its commas stay. */
static const struct {
	const char *json, *words;
} kernels[] = {
	{ KERNEL(""), "console=ttyS0,38400 ro" },
	{ KERNEL(", \"root_path\": \"/dev/sda\""), "root=/dev/sda console=ttyS0,38400 ro" },
	{ KERNEL(", \"root_path\": \"UUID=5\", \"serial_console\": false, \"kernel_args\": \"quiet x=1,2\""),
	  "root=UUID=5 quiet x=1,2" },
	{ KERNEL(", \"serial_console\": false"), "ro" },
	{ KERNEL(", \"serial_console\": false, \"kernel_args\": \"\""), "" },
	{ KERNEL(", \"serial_speed\": 9600, \"kernel_args\": \"a b\""), "console=ttyS0,9600 a b" },
};

START_TEST(test_kernel)
{
	_cleanup_free_ char *text = command_line(kernels[_i].json);
	_cleanup_free_ char *expected = xasprintf("-kernel\n/k,1\n-append\n%s\n", kernels[_i].words);
	size_t n = strlen(text), m = strlen(expected);

	ck_assert_uint_gt(n, m);
	ck_assert_str_eq(text + n - m, expected);
	ck_assert_int_eq(strstr(text, "serial0") != NULL, strstr(kernels[_i].words, "ttyS0") != NULL);
}
END_TEST

static const struct {
	const char *value, *escaped;
} escapes[] = { { "", "" }, { "plain", "plain" }, { ",", ",," }, { "a,b,,c", "a,,b,,,,c" }, { "a=b", "a=b" } };

START_TEST(test_escape)
{
	_cleanup_free_ char *text = argv_escape(escapes[_i].value);

	ck_assert_str_eq(text, escapes[_i].escaped);
}
END_TEST

/* No value becomes an option of its own. */
START_TEST(test_machine_is_escaped)
{
	_cleanup_free_ char *text = command_line("{\"name\": \"a\", \"uuid\": \"" UUID
						 "\", \"hvparams\": {\"machine_version\": \"pc,usb=on\"}}");

	ck_assert_ptr_nonnull(strstr(text, "-machine\npc,,usb=on,accel=tcg\n"));
}
END_TEST

START_TEST(test_argv_to_json)
{
	char *argv[] = { (char[]){ "/usr/bin/qemu" }, (char[]){ "-S" }, (char[]){ "a \"b\"" }, NULL };
	_cleanup_json_ struct json_object *list = argv_to_json(argv);
	_cleanup_free_ char *text = json_print(list);

	ck_assert_str_eq(text, "[\"/usr/bin/qemu\",\"-S\",\"a \\\"b\\\"\"]");
	ck_assert_ptr_null(argv_free(NULL));
}
END_TEST

START_TEST(test_binary)
{
	char dir[] = "/tmp/drover-unit-XXXXXX";
	_cleanup_free_ char *program = NULL, *path = NULL, *found = NULL;
	struct definition def;
	struct err *e = NULL;
	int fd;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chdir(dir), 0);
	program = xasprintf("%s/qemu-system-x86_64", dir);
	path = xasprintf("relative:/nonexistent:%s", dir);
	setenv("PATH", path, 1);
	mkdir("relative", 0700);
	fd = open("relative/qemu-system-x86_64", O_CREAT | O_WRONLY | O_CLOEXEC, 0700);
	close(fd);
	decode("{\"name\": \"a\"}", &def);
	ck_assert_ptr_null(argv_binary(&def, &e));
	ck_assert_int_eq(e->class, ERR_NOT_FOUND);
	err_free(e);
	fd = open(program, O_CREAT | O_WRONLY | O_CLOEXEC, 0700);
	close(fd);
	found = argv_binary(&def, &e);
	ck_assert_str_eq(found, program);
	unlink(program);
	unlink("relative/qemu-system-x86_64");
	rmdir("relative");
	rmdir(dir);
	definition_clear(&def);
	decode("{\"name\": \"a\", \"hvparams\": {\"kvm_path\": \"/opt/it\"}}", &def);
	free(TAKE_PTR(found));
	found = argv_binary(&def, &e);
	ck_assert_str_eq(found, "/opt/it");
	definition_clear(&def);
}
END_TEST

/* ---- what waits for the next start ---- */

static const struct {
	const char *running, *wanted, *pending;
} pendings[] = {
	{ "{\"name\": \"a\"}", "{\"name\": \"a\"}", "[]" },
	/* absent is the default */
	{ "{}", "{\"vcpus\": 1, \"memory\": 536870912, \"hvparams\": {\"accel\": \"auto\", \"kernel_args\": \"ro\"}}",
	  "[]" },
	{ "{\"hvparams\": {\"serial_console\": true}, \"memory\": 536870912}", "{\"hvparams\": {}}", "[]" },
	{ "{}", "{\"vcpus\": 2}", "[{\"path\":\"vcpus\",\"from\":1,\"to\":2,\"needs\":\"restart\"}]" },
	{ "{\"vcpus\": 2}", "{}", "[{\"path\":\"vcpus\",\"from\":2,\"to\":1,\"needs\":\"restart\"}]" },
	{ "{\"memory\": 1073741824}", "{}",
	  "[{\"path\":\"memory\",\"from\":1073741824,\"to\":536870912,\"needs\":\"restart\"}]" },
	{ "{\"hvparams\": {\"kernel_path\": \"/a\"}}",
	  "{\"vcpus\": 3, \"hvparams\": {\"kernel_path\": \"/b\", \"serial_speed\": 9600}}",
	  "[{\"path\":\"vcpus\",\"from\":1,\"to\":3,\"needs\":\"restart\"},"
	  "{\"path\":\"hvparams.kernel_path\",\"from\":\"/a\",\"to\":\"/b\",\"needs\":\"restart\"},"
	  "{\"path\":\"hvparams.serial_speed\",\"from\":38400,\"to\":9600,\"needs\":\"restart\"}]" },
	/* what changes at once is no difference */
	{ "{\"description\": \"a\", \"metadata\": {\"a\": \"1\"}}", "{\"description\": \"b\"}", "[]" },
};

START_TEST(test_pending)
{
	_cleanup_json_ struct json_object *running = parse(pendings[_i].running), *wanted = parse(pendings[_i].wanted);
	_cleanup_json_ struct json_object *list = pending_list(definition_rows, running, wanted);
	_cleanup_free_ char *text = json_print(list);

	ck_assert_str_eq(text, pendings[_i].pending);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("definition");
	TCase *tc = tcase_create("definition");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_test(tc, test_defaults);
	tcase_add_test(tc, test_everything);
	tcase_add_loop_test(tc, test_bad, 0, ARRAY_SIZE(bad));
	tcase_add_loop_test(tc, test_stored, 0, ARRAY_SIZE(stored));
	tcase_add_test(tc, test_uuid_is_made);
	tcase_add_loop_test(tc, test_golden, 0, ARRAY_SIZE(golden));
	tcase_add_loop_test(tc, test_kernel, 0, ARRAY_SIZE(kernels));
	tcase_add_loop_test(tc, test_escape, 0, ARRAY_SIZE(escapes));
	tcase_add_test(tc, test_machine_is_escaped);
	tcase_add_test(tc, test_argv_to_json);
	tcase_add_test(tc, test_binary);
	tcase_add_loop_test(tc, test_pending, 0, ARRAY_SIZE(pendings));
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
