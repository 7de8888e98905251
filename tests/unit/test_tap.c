/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Taps, real ones, in a network namespace of each test's own; asserted of what the kernel says of them, and of frames.
 */
#include "netdev/tap.h"

#include "base/param.h"
#include "netns.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#define UUID "003fc157-66a8-4e6d-8b7e-ec4f69751396"
#define NAME "dv003fc15766a8"

enum { QUEUES_MAX = 4, DEADLINE_MS = 60000, TEST_S = 120, SKIPPED = 77, NOBODY = 65534 };

static int fds[QUEUES_MAX];

static void setup(void)
{
	ck_assert_msg(netns_enter(), "no network namespace: %s", strerror(errno));
	netns_bridge("br0");
}

static void assert_interfaces(const char *names)
{
	_cleanup_free_ char *found = netns_interfaces();

	ck_assert_str_eq(found, names);
}

static void make(const char *name, unsigned queues, int64_t mtu)
{
	struct err *e = NULL;

	ck_assert_msg(tap_open(name, queues, true, "br0", mtu, fds, &e), "%s", e ? e->desc : "");
	ck_assert(tap_exists(name));
}

static void expect_refusal(unsigned queues, const char *bridge, int64_t mtu, enum err_class class, const char *words)
{
	_cleanup_free_ char *before = netns_interfaces();
	_cleanup_err_ struct err *e = NULL;
	int next = dup(STDIN_FILENO);

	ck_assert(!tap_open(NAME, queues, true, bridge, mtu, fds, &e));
	ck_assert_str_eq(e->desc, words);
	ck_assert_int_eq(e->class, class);
	assert_interfaces(before);
	for (unsigned i = 0; i < queues; i++)
		ck_assert_int_eq(fds[i], -1);
	close(next);
	ck_assert_int_eq(dup(STDIN_FILENO), next); /* no descriptor is left open */
	close(next);
}

START_TEST(test_name)
{
	char name[IFNAMSIZ];

	tap_name(UUID, name);
	ck_assert_str_eq(name, NAME);
}
END_TEST

START_TEST(test_one_queue)
{
	struct ifreq r = { 0 };

	netns_set_mtu("br0", 1420);
	make(NAME, 1, PARAM_INT_NONE);
	assert_interfaces("br0\n" NAME "\n");
	ck_assert(netns_on_bridge("br0", NAME));
	ck_assert(netns_is_up(NAME));
	ck_assert_int_eq(netns_mtu(NAME), 1420);
	ck_assert_uint_eq(netns_hardware(NAME), 0xfe);
	ck_assert_int_eq(ioctl(fds[0], TUNGETIFF, &r), 0);
	ck_assert_str_eq(r.ifr_name, NAME);
	ck_assert_int_eq(r.ifr_flags & (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE | IFF_PERSIST),
			 IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
	ck_assert_int_eq(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
	tap_close(fds, 1);
	assert_interfaces("br0\n");
	ck_assert(!tap_exists(NAME));
	tap_close(fds, 1);
}
END_TEST

START_TEST(test_queues)
{
	make(NAME, QUEUES_MAX, PARAM_INT_NONE);
	for (int i = 0; i < QUEUES_MAX; i++) {
		struct ifreq r = { .ifr_flags = IFF_DETACH_QUEUE };

		/* Each is a queue of its own. */
		ck_assert_int_eq(ioctl(fds[i], TUNSETQUEUE, &r), 0);
		r.ifr_flags = IFF_ATTACH_QUEUE;
		ck_assert_int_eq(ioctl(fds[i], TUNSETQUEUE, &r), 0);
	}
	ck_assert(netns_on_bridge("br0", NAME));
	/* It lives as long as one of them. */
	for (int i = 0; i < QUEUES_MAX; i++) {
		assert_interfaces("br0\n" NAME "\n");
		close(fds[i]);
	}
	assert_interfaces("br0\n");
}
END_TEST

/* What QEMU asks the kernel of a descriptor, and so what it tells the guest. */
START_TEST(test_header)
{
	for (int header = 0; header < 2; header++) {
		struct ifreq r = { 0 };

		ck_assert(tap_open(NAME, 1, header == 1, "br0", PARAM_INT_NONE, fds, NULL));
		ck_assert_int_eq(ioctl(fds[0], TUNGETIFF, &r), 0);
		ck_assert_int_eq((r.ifr_flags & IFF_VNET_HDR) != 0, header);
		tap_close(fds, 1);
	}
}
END_TEST

/* Of those of the bridge and of others. */
START_TEST(test_mtu)
{
	int other[1];

	netns_set_mtu("br0", 1420);
	make(NAME, 1, 9000);
	ck_assert_int_eq(netns_mtu(NAME), 9000);
	ck_assert_int_eq(netns_mtu("br0"), 1420);
	ck_assert(tap_open("dv1", 1, true, "br0", PARAM_INT_NONE, other, NULL));
	ck_assert_int_eq(netns_mtu("dv1"), 1420);
}
END_TEST

/* A frame that goes into one comes out of the other. */
START_TEST(test_frame)
{
	struct {
		struct virtio_net_hdr head;
		struct ethhdr ethernet;
		char text[64];
	} __attribute__((packed)) sent = { .text = "what is on the wire" }, seen;
	struct pollfd at = { .events = POLLIN };
	struct tap_counters mine, theirs;
	int other[1];

	memset(sent.ethernet.h_dest, 0xff, ETH_ALEN);
	memcpy(sent.ethernet.h_source, "\x52\x54\x00\x12\x34\x56", ETH_ALEN);
	sent.ethernet.h_proto = htons(0x88b5); /* for experiments */
	make(NAME, 1, PARAM_INT_NONE);
	ck_assert(tap_open("dv1", 1, true, "br0", PARAM_INT_NONE, other, NULL));
	ck_assert_int_eq(write(fds[0], &sent, sizeof(sent)), sizeof(sent));
	at.fd = other[0];
	/* The host may have words of its own to say there. */
	do {
		memset(&seen, 0, sizeof(seen));
		ck_assert_int_eq(poll(&at, 1, DEADLINE_MS), 1);
		ck_assert_int_gt(read(other[0], &seen, sizeof(seen)), 0);
	} while (seen.ethernet.h_proto != sent.ethernet.h_proto);
	ck_assert_int_eq(memcmp(&seen.ethernet, &sent.ethernet, sizeof(sent.ethernet)), 0);
	ck_assert_str_eq(seen.text, sent.text);
	/* From one guest, towards the other; the host's own words only ever go towards them. */
	ck_assert(tap_counters(NAME, &mine) && tap_counters("dv1", &theirs));
	ck_assert_uint_eq(mine.tx_packets, 1);
	ck_assert_uint_eq(mine.tx_bytes, sizeof(sent) - sizeof(sent.head));
	ck_assert_uint_eq(theirs.tx_packets + theirs.tx_bytes, 0);
	ck_assert_uint_ge(theirs.rx_packets, 1);
	ck_assert_uint_ge(theirs.rx_bytes, mine.tx_bytes);
	ck_assert(!tap_counters("dv2", &mine));
}
END_TEST

static const struct {
	unsigned queues;
	const char *bridge;
	int64_t mtu;
	const char *words;
} refused[] = {
	{ 1, "br1", PARAM_INT_NONE, "there is no bridge 'br1'" },
	{ 1, "a-name-that-no-interface-has", PARAM_INT_NONE, "there is no bridge 'a-name-that-no-interface-has'" },
	{ 1, "", PARAM_INT_NONE, "there is no bridge ''" },
	{ 1, "lo", PARAM_INT_NONE, "'lo' is not a bridge" },
	{ 3, "dv1", 1500, "'dv1' is not a bridge" },
	{ 2, "br0", 65535, "cannot give the tap '" NAME "' an mtu of 65535: Invalid argument" },
};

START_TEST(test_refused)
{
	int tap[1];

	ck_assert(tap_open("dv1", 1, true, "br0", PARAM_INT_NONE, tap, NULL));
	expect_refusal(refused[_i].queues, refused[_i].bridge, refused[_i].mtu, ERR_NETWORK, refused[_i].words);
}
END_TEST

/* Also if it is a tap with room for more queues. */
START_TEST(test_taken)
{
	int theirs[QUEUES_MAX];
	unsigned had = _i ? 2 : 1;

	ck_assert(tap_open(NAME, had, true, "br0", PARAM_INT_NONE, theirs, NULL));
	for (unsigned queues = 1; queues <= 2; queues++)
		expect_refusal(queues, "br0", PARAM_INT_NONE, ERR_NETWORK,
			       "there is a network interface '" NAME
			       "' already: another card of this uuid has it, or it is not drover's");
	ck_assert(netns_on_bridge("br0", NAME));
	tap_close(theirs, had);
	netns_bridge(NAME);
	expect_refusal(1, "br0", PARAM_INT_NONE, ERR_NETWORK,
		       "there is a network interface '" NAME
		       "' already: another card of this uuid has it, or it is not drover's");
}
END_TEST

START_TEST(test_no_right)
{
	/* What the host's udev has made of it does not matter here. */
	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	ck_assert_int_eq(mount("none", "/dev/net", "tmpfs", 0, NULL), 0);
	expect_refusal(2, "br0", PARAM_INT_NONE, ERR_NETWORK,
		       "this host has no taps: /dev/net/tun: No such file or directory; its module is 'tun'");
	ck_assert_int_eq(umount("/dev/net"), 0);
	ck_assert_int_eq(setresuid(NOBODY, NOBODY, NOBODY), 0);
	expect_refusal(2, "br0", PARAM_INT_NONE, ERR_PERMISSION_DENIED,
		       access("/dev/net/tun", R_OK | W_OK) == 0 ? "cannot make the tap '" NAME
								  "': Operation not permitted" :
								  "/dev/net/tun: Permission denied");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tap");
	TCase *tc = tcase_create("tap");
	SRunner *runner;
	int failed;

	if (geteuid() != 0) {
		puts("SKIP: only root makes taps");
		return SKIPPED;
	}
	suite_add_tcase(suite, tc);
	tcase_set_timeout(tc, TEST_S);
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, test_name);
	tcase_add_test(tc, test_one_queue);
	tcase_add_test(tc, test_queues);
	tcase_add_test(tc, test_header);
	tcase_add_test(tc, test_mtu);
	tcase_add_test(tc, test_frame);
	tcase_add_loop_test(tc, test_refused, 0, (int)(sizeof(refused) / sizeof(refused[0])));
	tcase_add_loop_test(tc, test_taken, 0, 2);
	tcase_add_test(tc, test_no_right);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
