/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptors of vhost-net, on the command line and when a card is plugged: a file stands for the device, which many hosts
 * lack and which no fake QEMU uses; /dev is another one for the test and what it starts.
 */
#include "netns.h"
#include "stage.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST "{'uuid': '003fc151-66a8-4e6d-8b7e-ec4f69751396', 'mode': 'bridged', 'link': 'br0'}"
#define SLOW "{'uuid': '003fc252-66a8-4e6d-8b7e-ec4f69751396', 'mode': 'bridged', 'link': 'br0', 'type': 'e1000'}"
#define MORE "{'uuid': '003fc353-66a8-4e6d-8b7e-ec4f69751396', 'mode': 'bridged', 'link': 'br0', 'queues': 3}"

static void put_device(const char *dir, const char *name)
{
	_cleanup_free_ char *from = xasprintf("/dev/%s", name), *to = xasprintf("%s/%s", dir, name);

	if (access(from, F_OK) != 0)
		return;
	close(open(to, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	ck_assert_int_eq(mount(from, to, NULL, MS_BIND, NULL), 0);
}

/* From now on /dev has little, and vhost-net if it is THERE. */
static void other_dev(bool there)
{
	static const char *const names[] = { "null", "zero", "full", "random", "urandom", "net/tun" };
	char dir[] = "/tmp/drover-dev-XXXXXX", device[64], net[64];

	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(mount("dev", dir, "tmpfs", 0, "mode=0755"), 0);
	snprintf(net, sizeof(net), "%s/net", dir);
	ck_assert_int_eq(mkdir(net, 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		put_device(dir, names[i]);
	snprintf(device, sizeof(device), "%s/vhost-net", dir);
	if (there)
		close(open(device, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	ck_assert_int_eq(mount(dir, "/dev", NULL, MS_BIND | MS_REC, NULL), 0);
	umount2(dir, MNT_DETACH);
	rmdir(dir);
}

/* How many descriptors of the device a process holds. */
static unsigned held(pid_t pid)
{
	_cleanup_free_ char *dir = xasprintf("/proc/%d/fd", pid);
	DIR *list = opendir(dir);
	struct dirent *entry;
	unsigned n = 0;

	ck_assert_ptr_nonnull(list);
	while ((entry = readdir(list))) {
		char link[PATH_MAX] = "";

		if (readlinkat(dirfd(list), entry->d_name, link, sizeof(link) - 1) > 0)
			n += strstr(link, "vhost-net") != NULL;
	}
	closedir(list);
	return n;
}

static void set(bool there, const char *vhost, const char *nics)
{
	other_dev(there);
	stage_set("%s", "");
	ck_assert(netns_is_own());
	if (!if_nametoindex("br0"))
		netns_bridge("br0");
	stage_define("web", "%s", "");
	json_object_put(client_ok(stage.c, "instance-modify",
				  "{'instance': 'web', 'patch': {'nics': [%s], 'hvparams': {'vhost_net': %s}}}", nics,
				  vhost));
}

/* The netdev of the card on the command line. */
static struct json_object *netdev(const char *id)
{
	_cleanup_json_ struct json_object *o = stage_show("web");
	struct json_object *cmd = at(o, "runtime.cmd");

	for (size_t i = 0; i < json_object_array_length(cmd); i++) {
		struct json_object *word = json_tokener_parse(
			json_object_get_string(json_object_array_get_idx(cmd, i)));

		if (json_object_is_type(word, json_type_object) && has(word, "type") &&
		    str_eq(json_get_str(word, "id"), id))
			return word;
		json_object_put(word);
	}
	ck_abort_msg("no netdev %s", id);
}

/* What QEMU has under this number. */
static void check_is_device(pid_t pid, const char *number)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/fd/%s", pid, number);
	char link[PATH_MAX] = "";

	ck_assert_int_gt(readlink(path, link, sizeof(link) - 1), 0);
	ck_assert_msg(strstr(link, "vhost-net"), "%s is %s", number, link);
}

START_TEST(given)
{
	_cleanup_json_ struct json_object *first = NULL, *slow = NULL, *more = NULL, *trace = NULL;
	pid_t pid;

	set(true, _i == 0 ? "'auto'" : "true", FIRST ", " SLOW);
	stage_start("web");
	pid = stage_pid("web");
	first = netdev("nic-003fc151-66a8-4e6d");
	slow = netdev("nic-003fc252-66a8-4e6d");
	ck_assert(json_get_bool(first, "vhost", false));
	check_is_device(pid, str_at(first, "vhostfd"));
	ck_assert(!has(slow, "vhost") && !has(slow, "vhostfd"));
	ck_assert_uint_eq(held(pid), 1);

	more = client_ok(stage.c, "nic-attach", "{'instance': 'web', 'nic': " MORE "}");
	ck_assert_uint_eq(held(pid), 4);
	trace = client_ok(stage.c, "query-trace", "{'instance': 'web'}");
	ck_assert_ptr_nonnull(strstr(json_object_to_json_string(trace), "nic-003fc353-66a8-4e6d-vhost-2"));
	json_object_put(client_ok(stage.c, "nic-detach",
				  "{'instance': 'web', 'nic': "
				  "'003fc353-66a8-4e6d-8b7e-ec4f69751396'}"));
	ck_assert_uint_eq(held(pid), 1);
	ck_assert_uint_eq(held(stage.r->pid), 0);
}
END_TEST

START_TEST(absent_auto)
{
	_cleanup_json_ struct json_object *first = NULL;

	set(false, "'auto'", FIRST);
	stage_start("web");
	first = netdev("nic-003fc151-66a8-4e6d");
	ck_assert(has(first, "fd") && !has(first, "vhost"));
	json_object_put(client_ok(stage.c, "nic-attach", "{'instance': 'web', 'nic': " MORE "}"));
}
END_TEST

START_TEST(off)
{
	_cleanup_json_ struct json_object *first = NULL;

	set(true, "false", FIRST);
	stage_start("web");
	first = netdev("nic-003fc151-66a8-4e6d");
	ck_assert(has(first, "fd") && !has(first, "vhost"));
	json_object_put(client_ok(stage.c, "nic-attach", "{'instance': 'web', 'nic': " MORE "}"));
	ck_assert_uint_eq(held(stage_pid("web")), 0);
}
END_TEST

/* What was asked for is refused, by name, and nothing of it stays; a card that needs none is taken. */
START_TEST(absent_true)
{
	_cleanup_json_ struct json_object *start = NULL, *attach = NULL;
	_cleanup_free_ char *interfaces = NULL;

	set(false, "true", FIRST);
	stage_mark();
	start = client_error(stage.c, "Unsupported", "instance-start", "{'instance': 'web'}");
	ck_assert_str_eq(str_at(start, "parameter"), "hvparams.vhost_net");
	ck_assert(json_get_bool(start, "undone", false));
	stage_check_unchanged();
	json_object_put(client_ok(stage.c, "instance-modify", "{'instance': 'web', 'patch': {'nics': [" SLOW "]}}"));
	stage_start("web");
	attach = client_error(stage.c, "Unsupported", "nic-attach", "{'instance': 'web', 'nic': " MORE "}");
	ck_assert_str_eq(str_at(attach, "parameter"), "hvparams.vhost_net");
	interfaces = netns_interfaces();
	ck_assert_str_eq(interfaces, "br0\ndv003fc25266a8\n");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("vhost");
	TCase *t = tcase_create("vhost");

	tcase_add_checked_fixture(t, NULL, stage_clear);
	tcase_add_loop_test(t, given, 0, 2);
	tcase_add_test(t, absent_auto);
	tcase_add_test(t, absent_true);
	tcase_add_test(t, off);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	if (geteuid() != 0 || access("/dev/net/tun", R_OK | W_OK) != 0) {
		puts("SKIP: no taps here, or not root");
		return 77;
	}
	return rig_main(suite);
}
