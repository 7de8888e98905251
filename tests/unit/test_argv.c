/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line: what was golden stays so, and no value becomes an option. */
#include "runtime/argv.h"

#include "runtime/vhost.h"

#include "definitions.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char **build(const struct definition *def, const struct argv_env *env)
{
	struct argv_files files;
	char **argv;

	argv_files_list(def, &files);
	argv = argv_build(def, env, &files);
	argv_files_clear(&files);
	return argv;
}

/* One argument a line. */
static char *lines(char **argv)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(f);
	for (char **p = argv; *p; p++)
		fprintf(f, "%s\n", *p);
	ck_assert_int_eq(fclose(f), 0);
	return text;
}

static char *command_line(const char *json)
{
	struct definition def;
	char **argv, *text;

	settle(json, &def);
	argv = build(&def, &(struct argv_env){ .binary = "/usr/bin/qemu" });
	text = lines(argv);
	argv_free(argv);
	definition_clear(&def);
	return text;
}

#define KERNEL(more) "{\"name\": \"a\", \"uuid\": \"" UUID "\", \"hvparams\": {\"kernel_path\": \"/k,1\"" more "}}"

/* The order of the kernel's words; what is not wanted leaves no space. A path is no list: its commas stay. */
static const struct {
	const char *json, *words;
} kernels[] = {
	{ KERNEL(""), "ro console=ttyS0,38400" },
	{ KERNEL(", \"root_path\": \"/dev/sda\""), "root=/dev/sda ro console=ttyS0,38400" },
	{ KERNEL(", \"root_path\": \"UUID=5\", \"serial_console\": false, \"kernel_args\": \"quiet x=1,2\""),
	  "root=UUID=5 quiet x=1,2" },
	{ KERNEL(", \"serial_console\": false"), "ro" },
	{ KERNEL(", \"serial_console\": false, \"kernel_args\": \"\""), "" },
	{ KERNEL(", \"serial_speed\": 9600, \"kernel_args\": \"a b\""), "a b console=ttyS0,9600" },
	{ KERNEL(", \"kernel_args\": \"console=tty0\""), "console=tty0 console=ttyS0,38400" },
	/* what the first program gets */
	{ KERNEL(", \"root_path\": \"/r\", \"kernel_args\": \"a  b -- single -- c\""),
	  "root=/r a  b console=ttyS0,38400 -- single -- c" },
	{ KERNEL(", \"kernel_args\": \"-- single\""), "console=ttyS0,38400 -- single" },
	{ KERNEL(", \"kernel_args\": \"a --\""), "a console=ttyS0,38400 --" },
	{ KERNEL(", \"kernel_args\": \"a --b c-- \\\"d -- e\\\"\""), "a --b c-- \"d -- e\" console=ttyS0,38400" },
	{ KERNEL(", \"kernel_args\": \" \""), "  console=ttyS0,38400" },
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
	settle("{\"name\": \"a\"}", &def);
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
	settle("{\"name\": \"a\", \"hvparams\": {\"kvm_path\": \"/opt/it\"}}", &def);
	free(TAKE_PTR(found));
	found = argv_binary(&def, &e);
	ck_assert_str_eq(found, "/opt/it");
	definition_clear(&def);
}
END_TEST

/* ---- single words ---- */

static const struct {
	const char *json, *line; /* which is there */
} lines_of[] = {
	{ "{\"name\": \"a\"}", "\n-name\na,debug-threads=on\n" },
	{ "{\"name\": \"a\", \"hvparams\": {\"on_reboot\": \"stop\"}}",
	  "\nshutdown=pause,panic=pause,reboot=shutdown\n" },
	{ "{\"name\": \"a\", \"hvparams\": {\"watchdog\": \"debug\"}}",
	  "\nshutdown=pause,panic=pause,reboot=reset,watchdog=debug\n" },
	{ "{\"name\": \"a\", \"hvparams\": {\"acpi\": false}}", "\n-machine\npc,accel=tcg,acpi=off\n" },
	{ "{\"name\": \"a\", \"hvparams\": {\"cpu_type\": \"qemu64,+ssse3\"}}", "\n-cpu\nqemu64,+ssse3\n" },
	{ "{\"name\": \"a\", \"vcpus\": 12, \"hvparams\": {\"cpu_cores\": 3, \"cpu_threads\": 2}}",
	  "\n-smp\n12,cores=3,threads=2\n" },
	{ "{\"name\": \"a\", \"hvparams\": {\"kvm_extra\": \"-x \\\"a\\\\b\\\\'\\\\\\\"\\\\\\\\\\\\$\\\\`\\\" -y "
	  "a\\\\b\\\\ c '\\\\d' \\\"e\\\\\\nf\\\" g\\\\\\nh i\\\\\"}}",
	  "\n-x\na\\b\\'\"\\$`\n-y\nab c\n\\d\nef\ngh\ni\\\n" },
	{ "{\"name\": \"a\", \"hvparams\": {\"kvm_extra\": \"-vga 'std' -smbios \\\"type=1,a=b c\\\"\"}}",
	  "\n-vga\nstd\n-smbios\ntype=1,a=b c\n" },
	{ "{\"name\": \"a\", \"disks\": [{\"media\": \"floppy\"}, {\"media\": \"floppy\", \"bootindex\": 4}]}",
	  "\n-global\nisa-fdc.bootindexB=4\n" },
};

START_TEST(test_lines)
{
	_cleanup_free_ char *text = command_line(lines_of[_i].json);

	ck_assert_msg(strstr(text, lines_of[_i].line), "%s", text);
}
END_TEST

/* What is known of binary and host goes before what the definition says. */
START_TEST(test_env)
{
	struct argv_env env = { .binary = "/opt/qemu",
				.machine = "pc-i440fx-7.2",
				.kvm = true,
				.sandbox = true,
				.kernel = "/q/kernel",
				.initrd = "/q/initrd" };
	_cleanup_free_ char *text = NULL;
	struct definition def;
	char **argv;

	settle("{\"name\": \"a\", \"hvparams\": {\"kernel_path\": \"/k\", \"initrd_path\": \"/i\"}}", &def);
	argv = build(&def, &env);
	text = lines(argv);
	ck_assert(str_starts(text, "/opt/qemu\n-name\n"));
	ck_assert_ptr_nonnull(strstr(text, "\n-machine\npc-i440fx-7.2,accel=kvm\n"));
	ck_assert_ptr_nonnull(strstr(text, "\n-kernel\n/q/kernel\n-initrd\n/q/initrd\n"));
	ck_assert_ptr_nonnull(strstr(text, "\n-sandbox\non,obsolete=deny,elevateprivileges=deny,spawn=deny,"
					   "resourcecontrol=deny\n"));
	argv_free(argv);
	definition_clear(&def);
}
END_TEST

/* ---- hostile values ---- */

/* Every text that a definition can have has a harmless value here. */
static const char benign[] =
	"{'name': 'a', 'uuid': '" UUID "', 'description': 'b', 'metadata': {'k': 'v'}, 'hvparams': {'kvm_path': '/q', "
	"'machine_version': 'pc', 'kernel_path': '/k', 'initrd_path': '/i', 'root_path': '/r', 'kernel_args': 'x', "
	"'cpu_type': 'qemu64', 'cpu_mask': 'all', 'watchdog': 'pause', 'mem_path': '/m', 'usb_devices': 'tablet'}, "
	"'disks': [{'uuid': '" UUID0
	"', 'name': 'd', 'path': '/d', 'format': 'qcow2', 'backing': [{'path': '/b'}], 'serial': 's', 'throttle': "
	"{'group': 'g'}, 'hvinfo': {'driver': 'virtio-blk-pci', 'id': '" DISK0 "', 'bus': 'pci.0', 'addr': '0xc'}}], "
	"'nics': [{'uuid': '" UUID1 "', 'name': 'n', 'mac': '52:54:00:00:00:01', 'hvinfo': {'driver': "
	"'virtio-net-pci', 'id': '" NIC1 "', 'bus': 'pci.0', 'addr': '0xd'}}]}";

static const char *const hostile[] = {
	"a,b=c",
	",",
	",,",
	"a,addr=0x1f,bootindex=0",
	"\"",
	"a\",\"b\":\"c",
	"'",
	"a b",
	" -vnc :1",
	"-vnc",
	"a\n-vnc\n:1",
	"\n",
	"\t",
	"\\",
	"a\\",
	"a=b",
	"=",
	"{\"driver\":\"x\"}",
	"%s%n",
	"$(id)",
	"\xc3\xa4\xe2\x82\xac",
	"..",
	"/../../x",
	"on",
	"help",
	"?",
	"0",
	"\x7f",
};

struct siege {
	struct json_object *definition, *shape;
	int tried, taken;
};

/* What of a command line must not depend on values: its words that are options, and how many pairs the values of the
 * others have. */
static void add_pairs(struct json_object *list, const char *text)
{
	for (const char *p = text; *p; p++) {
		if (*p != ',')
			continue;
		if (p[1] == ',') {
			p++;
			continue;
		}
		json_object_array_add(list, json_object_new_string(","));
	}
}

/* The members of a JSON value, without what is in them. */
static void add_members(struct json_object *list, struct json_object *o)
{
	json_object_object_foreach(o, key, value) {
		json_object_array_add(list, json_object_new_string(key));
		if (json_object_is_type(value, json_type_object))
			add_members(list, value);
	}
}

static bool is_free_text(const char *option)
{
	/* One path or one line; -cpu is a list by intent. */
	static const char *const options[] = { "-kernel", "-initrd", "-append", "-cpu" };

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (str_eq(options[i], option))
			return true;
	return false;
}

static struct json_object *shape_of(char **argv)
{
	struct json_object *list = json_object_new_array();

	for (char **p = argv + 1; *p; p++) {
		_cleanup_json_ struct json_object *o = NULL;

		json_object_array_add(list, json_object_new_string(*p));
		ck_assert_msg((*p)[0] == '-', "%s", *p);
		if (!p[1] || (p[1][0] == '-' && !is_free_text(*p)))
			continue;
		p++;
		if (is_free_text(p[-1]))
			continue;
		if ((*p)[0] != '{') {
			add_pairs(list, *p);
			continue;
		}
		ck_assert_msg(json_parse(*p, strlen(*p), &json_limits_qemu, &o, NULL), "%s", *p);
		add_members(list, o);
	}
	return list;
}

/* The shape of the command line; NULL if the definition is refused. */
static struct json_object *try(struct json_object *given)
{
	_cleanup_json_ struct json_object *stored = definition_store(given, &(struct definition_context){ 0 }, NULL);
	struct json_object *shape;
	struct definition def;
	char **argv;

	if (!stored)
		return NULL;
	ck_assert(definition_decode(stored, &def, NULL));
	argv = build(&def, &(struct argv_env){ .binary = "/usr/bin/qemu" });
	shape = shape_of(argv);
	argv_free(argv);
	definition_clear(&def);
	return shape;
}

static void attack(struct siege *s, struct json_object *parent, const char *key, const char *value)
{
	_cleanup_json_ struct json_object *old = json_object_get(json_object_object_get(parent, key));
	_cleanup_json_ struct json_object *shape = NULL;
	_cleanup_free_ char *a = NULL, *b = NULL;

	json_add(parent, key, json_object_new_string(value));
	shape = try(s->definition);
	s->tried++;
	s->taken += shape != NULL;
	a = json_print(s->shape);
	b = json_print(shape);
	ck_assert_msg(!shape || str_eq(a, b), "%s = '%.100s':\n%.1500s\n%.1500s", key, value, b, a);
	/* Only the optional may be absent. */
	if (old)
		json_add(parent, key, TAKE_PTR(old));
	else
		json_object_object_del(parent, key);
}

static void attack_all(struct siege *s, struct json_object *parent, const struct param *row)
{
	_cleanup_free_ char *rooted = NULL, *big = xcalloc(1, 4096);

	/* It means what it says. */
	if (str_eq(row->name, "kvm_extra"))
		return;
	/* These are disks more, whose path and uri are tried as such. */
	if (strstr(row->name, "_image_path"))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
		free(TAKE_PTR(rooted));
		rooted = xasprintf("/%s", hostile[i]);
		attack(s, parent, row->name, hostile[i]);
		attack(s, parent, row->name, rooted);
	}
	memset(big, ',', 4095);
	big[0] = '/';
	attack(s, parent, row->name, big);
}

/* What makes a display: each value that is taken makes the same. */
static void attack_display(struct siege *s, struct json_object *parent, const struct param *row)
{
	struct json_object *shape = s->shape;

	json_add_str(parent, row->name, "lo");
	s->shape = try(s->definition);
	ck_assert(!json_object_equal(s->shape, shape));
	json_object_object_del(parent, row->name);
	attack_all(s, parent, row);
	json_object_put(s->shape);
	s->shape = shape;
}

static bool is_display(const struct param *row)
{
	return str_eq(row->name, "vnc_bind_address") || str_eq(row->name, "spice_bind");
}

static void besiege(struct siege *s, const struct param *rows, struct json_object *o)
{
	for (const struct param *row = rows; row->name; row++) {
		struct json_object *value = json_object_object_get(o, row->name);
		bool text = row->type == PARAM_TEXT || row->type == PARAM_NAME || row->type == PARAM_UUID ||
			    row->type == PARAM_PATH;

		if (text && is_display(row))
			attack_display(s, o, row);
		else if (text)
			attack_all(s, o, row);
		else if (row->type == PARAM_MAP)
			attack_all(s, value, &(struct param){ .name = "k" });
		else if (row->type == PARAM_OBJECT && row->rows)
			besiege(s, row->rows, value);
		else if (row->type == PARAM_LIST && row->rows->type == PARAM_OBJECT)
			besiege(s, row->rows->rows, json_object_array_get_idx(value, 0));
	}
}

/* Whatever stands in whatever text of a definition: it is refused, or the command line has the same options. */
START_TEST(test_hostile)
{
	_cleanup_free_ char *text = quoted(benign);
	struct siege s = { .definition = parse(text) };

	s.shape = try(s.definition);
	ck_assert_ptr_nonnull(s.shape);
	ck_assert_int_gt(json_object_array_length(s.shape), 100);
	besiege(&s, definition_rows, s.definition);
	/* Paths, serials, descriptions and the kernel's words are free. */
	ck_assert_int_gt(s.tried, 1500);
	ck_assert_int_gt(s.taken, 400);
	json_object_put(s.shape);
	json_object_put(s.definition);
}
END_TEST

/* ---- golden ---- */

static char *read_text(const char *dir, const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
	FILE *f = fopen(path, "re");
	char *text = xcalloc(1, 1 << 20);

	if (!f)
		return strcpy(text, "");
	ck_assert_uint_lt(fread(text, 1, (1 << 20) - 1, f), (1 << 20) - 1);
	fclose(f);
	return text;
}

static void check_golden(const char *name)
{
	_cleanup_free_ char *base = xstrndup(name, strlen(name) - strlen(".json"));
	_cleanup_free_ char *file = xasprintf("%s.argv", base), *json = read_text(GOLDEN, name);
	_cleanup_free_ char *expected = read_text(GOLDEN, file), *text = NULL;
	struct definition def;
	enum vhost vhost;
	size_t same = 0;
	char **argv;

	settle(json, &def);
	ck_assert(vhost_decode(&def.hvparams, &vhost, NULL));
	argv = build(&def, &(struct argv_env){ .binary = "/usr/bin/qemu-system-x86_64",
					       .kvm = accel_of(&def.hvparams) == ACCEL_KVM,
					       .sandbox = accel_of(&def.hvparams) != ACCEL_KVM,
					       .vhost = vhost == VHOST_ON });
	text = lines(argv);
	argv_free(argv);
	definition_clear(&def);
	if (getenv("DROVER_GOLDEN") && !*expected) {
		_cleanup_free_ char *path = xasprintf("%s/%s", GOLDEN, file);
		FILE *f = fopen(path, "we");

		ck_assert_ptr_nonnull(f);
		fputs(text, f);
		fclose(f);
		return;
	}
	while (text[same] && text[same] == expected[same])
		same++;
	while (same > 0 && text[same - 1] != '\n')
		same--;
	ck_assert_msg(str_eq(text, expected), "%s is no longer so:\n%.1000s\nis now\n%.1000s", file, expected + same,
		      text + same);
}

/* Layout 1: NAME.json makes NAME.argv, for ever. A new one is written with DROVER_GOLDEN=1 in the environment. */
START_TEST(test_golden)
{
	DIR *dir = opendir(GOLDEN);
	struct dirent *entry;
	int n = 0;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir))) {
		size_t len = strlen(entry->d_name);

		if (len < 5 || !str_eq(entry->d_name + len - 5, ".json"))
			continue;
		check_golden(entry->d_name);
		n++;
	}
	closedir(dir);
	ck_assert_int_ge(n, 30);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("argv");
	TCase *tc = tcase_create("argv");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, tc);
	tcase_set_timeout(tc, 60); /* under the sanitizers a siege takes its time */
	tcase_add_test(tc, test_golden);
	tcase_add_loop_test(tc, test_kernel, 0, ARRAY_SIZE(kernels));
	tcase_add_loop_test(tc, test_lines, 0, ARRAY_SIZE(lines_of));
	tcase_add_test(tc, test_env);
	tcase_add_test(tc, test_hostile);
	tcase_add_loop_test(tc, test_escape, 0, ARRAY_SIZE(escapes));
	tcase_add_test(tc, test_argv_to_json);
	tcase_add_test(tc, test_binary);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
