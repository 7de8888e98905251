/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices that come and go many times: afterwards there is what there was.
 */
#include "stage.h"

#include "base/cleanup.h"
#include "netns.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DISK "11111111-22a7-4067-a566-7e0ca8386133"
#define NIC "22222222-66a8-4e6d-8b7e-ec4f69751396"
#define TAP_NIC "33333333-66a8-4e6d-8b7e-ec4f69751396"

/* Before them what is kept of the last events and jobs has not its full size. */
enum { CYCLES = 100, CYCLES_LONG = 1000, FIRST = 3, FIRST_LONG = 300, GROWTH_KIB = 512 };

/* A qcow2 image over a raw one, of which the fake reads the header. */
static void make_images(void)
{
	_cleanup_free_ char *base = xasprintf("%s/base", stage.r->root), *command = NULL;
	_cleanup_close_ int fd = open(base, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	ck_assert_int_eq(ftruncate(fd, 1 << 20), 0);
	command = xasprintf("qemu-img create -q -f qcow2 -b %s -F raw %s/top 1M", base, stage.r->root);
	ck_assert_int_eq(system(command), 0); /* NOLINT(cert-env33-c): a path of our own */
}

#define QCOW2 "{'uuid': '" DISK "', 'path': 'ROOT/top', 'format': 'qcow2', 'backing': [{'path': 'ROOT/base'}]}"
#define CARD "{'uuid': '" NIC "', 'mac': '52:54:00:3a:91:03', 'mode': 'user'}"
#define TAP_CARD "{'uuid': '" TAP_NIC "', 'mac': '52:54:00:3a:91:04', 'mode': 'bridged', 'link': 'br0', 'queues': 2}"

static void change(const char *command, const char *more)
{
	_cleanup_free_ char *text = stage_text(more);

	json_object_put(client_ok(stage.c, command, "{'instance': 'web', %s}", text));
}

/* As one command each way, or as two. */
static void cycle(bool at_once)
{
	if (at_once) {
		change("devices-change", "'attach': {'disks': [" QCOW2 "], 'nics': [" CARD ", " TAP_CARD "]}");
		change("devices-change", "'detach': ['" NIC "', '" TAP_NIC "', '" DISK "']");
		return;
	}
	change("disk-attach", "'disk': " QCOW2);
	change("nic-attach", "'nic': " CARD);
	change("nic-attach", "'nic': " TAP_CARD);
	change("disk-detach", "'disk': '" DISK "'");
	change("nic-detach", "'nic': '" NIC "'");
	change("nic-detach", "'nic': '" TAP_NIC "'");
}

START_TEST(nothing_is_left)
{
	_cleanup_free_ char *before = NULL, *interfaces = NULL, *interfaces_after = NULL;
	bool is_long = getenv("DROVER_LONG") != NULL;
	unsigned memory;

	if (!netns_is_own()) {
		puts("SKIP: there is no network namespace for its bridge");
		exit(77);
	}
	netns_bridge("br0");
	stage_set("%s", "");
	make_images();
	stage_define("web", "%s", "");
	stage_start("web");
	for (int i = 0; i < (is_long ? FIRST_LONG : FIRST); i++)
		cycle(i % 2);
	stage_settle();
	before = stage_gear();
	stage_mark();
	interfaces = netns_interfaces();
	memory = process_rss(stage.r->pid);
	for (int i = 0; i < (is_long ? CYCLES_LONG : CYCLES); i++)
		cycle(i % 2);
	stage_settle();
	stage_check_gear(before);
	stage_check_unchanged();
	interfaces_after = netns_interfaces();
	ck_assert_str_eq(interfaces_after, interfaces);
	printf("%u KiB more\n", process_rss(stage.r->pid) - memory);
	if (is_long)
		ck_assert_uint_le(process_rss(stage.r->pid), memory + GROWTH_KIB);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("cycles");
	TCase *t = tcase_create("many");

	tcase_add_checked_fixture(t, NULL, stage_clear);
	tcase_add_test(t, nothing_is_left);
	suite_add_tcase(s, t);
	return s;
}

RIG_MAIN_IN_MEMORY(suite)
