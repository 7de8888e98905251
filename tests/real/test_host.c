/* SPDX-License-Identifier: BSD-2-Clause */
/* query-host of a droverd with the system's QEMU. */
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

static struct json_object *host(struct client *c)
{
	return client_ok(c, "query-host", "{}");
}

static char *file_of(const char *path)
{
	FILE *f = fopen(path, "re");
	char *text = xcalloc(1, 4096);

	ck_assert_ptr_nonnull(f);
	ck_assert_ptr_nonnull(fgets(text, 4096, f));
	fclose(f);
	text[strcspn(text, "\n")] = '\0';
	return text;
}

/* The binary that a definition without kvm_path gets. */
static char *default_binary(struct client *c)
{
	_cleanup_json_ struct json_object *o = NULL;
	char *binary;

	client_define(c, "plain", "'vcpus': 1");
	o = client_ok(c, "instance-argv", "{'instance': 'plain'}");
	binary = xstrdup(str_at(o, "argv.0"));
	json_object_put(client_ok(c, "instance-undefine", "{'instance': 'plain'}"));
	return binary;
}

START_TEST(test_shape)
{
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_free_ char *binary = default_binary(c), *boot = file_of("/proc/sys/kernel/random/boot_id");
	_cleanup_free_ char *path = realpath(rig->root, NULL);
	struct utsname uts;

	client_define(c, "off", "'vcpus': 1");
	o = host(c);
	ck_assert_int_eq(uname(&uts), 0);
	ck_assert_str_eq(str_at(o, "hostname"), uts.nodename);
	ck_assert_str_eq(str_at(o, "kernel"), uts.release);
	ck_assert_str_eq(str_at(o, "boot-id"), boot);
	ck_assert_int_eq(int_at(o, "cpus.total"), sysconf(_SC_NPROCESSORS_ONLN));
	ck_assert_int_eq(int_at(o, "memory.total") / sysconf(_SC_PAGESIZE), sysconf(_SC_PHYS_PAGES));
	ck_assert_int_gt(int_at(o, "memory.available"), 0);
	ck_assert_int_eq(int_at(o, "memory.instances"), 0);
	ck_assert(json_object_is_type(at(o, "memory.hugepages"), json_type_array));
	ck_assert(json_object_is_type(at(o, "cpus.numa"), json_type_array));

	ck_assert_int_eq(json_get_bool(at(o, "features.kvm"), "works", false), has(o, "features.kvm.probe-ms"));
	ck_assert_int_gt(strlen(str_at(o, "features.kvm.reason")), 0);
	ck_assert(has(o, "features.kvm.used"));
	ck_assert_int_eq(json_get_bool(at(o, "features.vhost-net"), "works", false),
			 access("/dev/vhost-net", R_OK | W_OK) == 0);
	ck_assert_int_gt(strlen(str_at(o, "features.cgroup.reason")), 0);
	ck_assert_int_gt(strlen(str_at(o, "features.userfaultfd.reason")), 0);
	ck_assert(!has(o, "features.postcopy")); /* not asked yet, and nothing is guessed */

	ck_assert_str_eq(str_at(o, "qemu.0.binary"), binary);
	ck_assert(json_get_bool(at(o, "qemu.0"), "default", false));
	ck_assert_int_gt(strlen(str_at(o, "qemu.0.version")), 0);
	ck_assert(str_starts(str_at(o, "qemu.0.machines.pc"), "pc-i440fx-"));
	ck_assert(str_starts(str_at(o, "qemu.0.machines.q35"), "pc-q35-"));
	ck_assert(has(o, "qemu.0.capabilities.multifd"));
	ck_assert(json_object_is_type(at(o, "qemu.0.quirks"), json_type_array));

	ck_assert_str_eq(str_at(o, "drover.version"), DROVER_VERSION);
	ck_assert_str_eq(str_at(o, "drover.mode"), "root");
	ck_assert_str_eq(str_at(o, "drover.root"), path);
	ck_assert_int_eq(int_at(o, "drover.instances.running"), 0);
	ck_assert_int_eq(int_at(o, "drover.instances.shutoff"), 1);
	json_object_put(client_ok(c, "instance-undefine", "{'instance': 'off'}"));
}
END_TEST

/* Each once, behind the default; one that cannot be used is there with its reason. */
START_TEST(test_binaries)
{
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_free_ char *binary = default_binary(c), *link = xasprintf("%s/qemu", rig->root);
	static const char *const names[] = { "a", "b", "c", "d" };

	ck_assert_int_eq(symlink(binary, link), 0);
	client_define(c, "a", "'hvparams': {'kvm_path': '%s'}", link);
	client_define(c, "b", "'hvparams': {'kvm_path': '/bin/true'}");
	client_define(c, "c", "'hvparams': {'kvm_path': '%s'}", link);
	client_define(c, "d", "'hvparams': {'kvm_path': '%s'}", binary);
	o = host(c);
	ck_assert_uint_eq(json_object_array_length(at(o, "qemu")), 3);
	ck_assert_str_eq(str_at(o, "qemu.0.binary"), binary);
	ck_assert_str_eq(str_at(o, "qemu.1.binary"), link);
	ck_assert(!json_get_bool(at(o, "qemu.1"), "default", true));
	ck_assert_str_eq(str_at(o, "qemu.1.machines.pc"), str_at(o, "qemu.0.machines.pc"));
	ck_assert_str_eq(str_at(o, "qemu.2.binary"), "/bin/true");
	ck_assert_str_eq(str_at(o, "qemu.2.error.class"), "Unsupported");
	ck_assert(!has(o, "qemu.2.version"));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		json_object_put(client_ok(c, "instance-undefine", "{'instance': '%s'}", names[i]));
}
END_TEST

static const char probe_file[] = "find '%s/lib/capabilities' '%s/run/accel.json' -type f -printf '%%f %%C@\\n' | sort";

static char *files(void)
{
	_cleanup_free_ char *command = xasprintf(probe_file, rig->root, rig->root);
	char *text = xcalloc(1, 4096);
	FILE *f = popen(command, "re"); /* NOLINT(cert-env33-c): the words are the test's */

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_gt(fread(text, 1, 4095, f), 0);
	ck_assert_int_eq(pclose(f), 0);
	return text;
}

/* What was asked once need not be asked by the next daemon; and the reply comes to who still waits. */
START_TEST(test_restart)
{
	_cleanup_free_ char *before = NULL, *after = NULL;
	struct client *c = client_new(rig), *gone = client_new(rig);
	struct json_object *o = host(c), *again;

	client_send(gone, "query-host", "{}");
	client_free(gone);
	before = files();
	client_free(c);
	rig_kill(rig);
	rig_start(rig);
	c = client_new(rig);
	again = host(c);
	after = files();
	ck_assert_str_eq(before, after);
	ck_assert(json_object_equal(at(o, "qemu"), at(again, "qemu")));
	ck_assert(json_object_equal(at(o, "features.kvm"), at(again, "features.kvm")));
	ck_assert_str_ne(str_at(o, "drover.epoch"), str_at(again, "drover.epoch"));
	json_object_put(o);
	json_object_put(again);
	client_free(c);
}
END_TEST

/* A file of ours that was cut by a power failure. */
START_TEST(test_half_file)
{
	_cleanup_free_ char *command = xasprintf("for f in '%s'/lib/capabilities/*; do truncate -s 900 \"$f\"; done",
						 rig->root);
	struct client *c = client_new(rig);
	struct json_object *o = host(c), *again;

	client_free(c);
	rig_stop(rig);
	ck_assert_int_eq(system(command), 0); /* NOLINT(cert-env33-c): the words are the test's */
	rig_start(rig);
	c = client_new(rig);
	again = host(c);
	ck_assert(json_object_equal(at(o, "qemu"), at(again, "qemu")));
	json_object_put(o);
	json_object_put(again);
	client_free(c);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("host");
	TCase *tc = wire_case(s, "host");

	tcase_add_test(tc, test_shape);
	tcase_add_test(tc, test_binaries);
	tcase_add_test(tc, test_restart);
	tcase_add_test(tc, test_half_file);
	return s;
}

RIG_MAIN(suite)
