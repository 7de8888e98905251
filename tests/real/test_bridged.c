/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Network cards on a bridge of the test's own network namespace, with a real DHCP server on it: what the guest, the kernel
 * and QEMU say of them, and what is left when whoever held a tap has ended.
 */
#include "guest.h"
#include "netns.h"
#include "peers.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define UUID0 "003fc157-66a8-4e6d-8b7e-ec4f69751396"
#define UUID1 "003fc158-66a8-4e6d-8b7e-ec4f69751396"
#define TAP0 "dv003fc15766a8"
#define TAP1 "dv003fc15866a8"
#define MAC0 "52:54:00:3a:91:02"
#define BR0 "'mode': 'bridged', 'link': 'br0'"
#define CARD "{'uuid': '" UUID0 "', 'mac': '" MAC0 "', " BR0 "}"

enum { TEST_S = 240 };

static struct rig *rig;
static struct client *client;

static void set_up(void)
{
	ck_assert(netns_enter());
	netns_bridge("br0");
	netns_set_address("br0", "10.77.0.1");
	rig = rig_new("droverd");
	rig_start(rig);
	client = client_new(rig);
}

static void tear_down(void)
{
	client_free(client);
	rig_free(rig);
}

static void restart(void)
{
	rig_restart(rig, &client);
}

static void define(const char *name, const char *words, const char *more, const char *nics)
{
	client_define(client, name,
		      "'memory': '128M', 'hvparams': {'kernel_path': '%s/vmlinux', 'initrd_path': '%s/initrd.gz', "
		      "'kernel_args': '%s'%s}, 'nics': [%s]",
		      rig_guest(), rig_guest(), words, more, nics);
}

static void stop(const char *name)
{
	json_object_put(client_ok(client, "instance-stop", "{'instance': '%s'}", name));
}

static void expect_interfaces(const char *names)
{
	_cleanup_free_ char *found = netns_interfaces();

	ck_assert_str_eq(found, names);
}

static void ping(void)
{
	host_run("ping -c 1 -w %d 10.77.0.42 > /dev/null", RIG_DEADLINE_MS / 1000);
}

/* So many descriptors of taps there are, whoever of us and our children has them. */
static void expect_holders(unsigned n)
{
	host_run("test $(ls -l /proc/[0-9]*/fd 2> /dev/null | grep -c /dev/net/tun) = %u", n);
}

/* What the guest has sent and been sent, by the host's count; whoever asks when, it only grows. */
static void expect_traffic(void)
{
	_cleanup_json_ struct json_object *before = client_stats(client, 1), *after = NULL;

	ping();
	after = client_stats(client, 1);
	for (size_t i = 0; i < 4; i++) {
		static const char *const counters[] = { "0.nics.0.rx-bytes", "0.nics.0.rx-packets", "0.nics.0.tx-bytes",
							"0.nics.0.tx-packets" };

		ck_assert_int_gt(int_at(after, counters[i]), int_at(before, counters[i]));
	}
}

/* By a real lease, there and back; in a private root and under a uid of the pool. Another droverd changes nothing of it. */
START_TEST(test_lease)
{
	static const char *const roots[] = { "", ", 'use_chroot': true" };
	_cleanup_json_ struct json_object *shown = NULL;
	struct json_object *nic;
	pid_t pid;

	peer_dhcp(rig, "br0");
	define("web1", "t.ga=0", roots[_i], CARD);
	pid = guest_start(client, "web1");
	ck_assert(netns_on_bridge("br0", TAP0));
	guest_await(rig, "web1", "GUEST-NET eth0 10.77.0.42", 1);
	ping();
	/* QEMU's own, so that it goes with QEMU: neither droverd nor the keeper has another. */
	expect_holders(1);
	restart();
	ck_assert_int_eq(guest_pid(client, "web1"), pid);
	ck_assert(netns_on_bridge("br0", TAP0));
	expect_traffic();
	shown = guest_query(client, "web1");
	nic = at(shown, "runtime.nics.0");
	ck_assert_str_eq(str_at(nic, "tap"), TAP0);
	ck_assert_str_eq(str_at(nic, "bridge"), "br0");
	ck_assert_str_eq(str_at(nic, "mode"), "bridged");
	stop("web1");
	expect_interfaces("br0\n");
}
END_TEST

/* Both ends of several queues: the guest uses them, so QEMU may. */
START_TEST(test_queues)
{
	_cleanup_free_ char *queues = NULL;

	client_define(client, "web1",
		      "'memory': '128M', 'vcpus': 2, 'hvparams': {'kernel_path': '%s/vmlinux', 'initrd_path': "
		      "'%s/initrd.gz', 'kernel_args': 't.net=static:10.77.0.42/24 t.ga=0 t.shell=1'}, 'nics': "
		      "[{'uuid': '" UUID0 "', " BR0 ", 'queues': 2, 'mtu': 1400}]",
		      rig_guest(), rig_guest());
	guest_start(client, "web1");
	ck_assert_int_eq(netns_mtu(TAP0), 1400);
	expect_holders(2);
	guest_await(rig, "web1", "GUEST-NET eth0", 1);
	queues = guest_shell(rig, "web1",
			     "ls /sys/class/net/eth0/queues | sort | tr '\\n' ' '; cat /sys/class/net/eth0/mtu; "
			     "grep -c 'input[.]' /proc/interrupts");
	ck_assert_msg(strstr(queues, "rx-0 rx-1 tx-0 tx-1 1400\r\n2\r\n"), "%s", queues);
	ping();
	kill(guest_pid(client, "web1"), SIGKILL);
	client_await_state(client, "web1", "crashed", "signal 9");
	expect_interfaces("br0\n");
}
END_TEST

/* What is there when a start fails is what was there before. */
static const struct {
	const char *nics, *words;
	bool mendable; /* with a bridge br1 and without one of the tap's name */
} refused[] = {
	{ "{'mode': 'bridged', 'link': 'br1'}", "nics[0]: there is no bridge 'br1'", true },
	{ CARD ", {'mode': 'bridged', 'link': 'br1'}", "nics[1]: there is no bridge 'br1'", true },
	{ "{'mode': 'bridged', 'link': 'lo'}", "nics[0]: 'lo' is not a bridge", false },
	{ "{'mode': 'user'}, {'uuid': '" UUID1 "', " BR0 "}",
	  "nics[1]: there is a network interface '" TAP1
	  "' already: another card of this uuid has it, or it is not drover's",
	  true },
};

START_TEST(test_refused)
{
	_cleanup_json_ struct json_object *e = NULL;

	netns_bridge(TAP1);
	client_define(client, "web1", "'memory': '16M', 'nics': [%s]", refused[_i].nics);
	e = client_error(client, "NetworkError", "instance-start", "{'instance': 'web1'}");
	ck_assert_str_eq(str_at(e, "desc"), refused[_i].words);
	ck_assert_str_eq(str_at(e, "step"), "make the taps");
	ck_assert(json_get_bool(e, "undone", false));
	guest_expect(client, "web1", "shutoff", "failed");
	expect_interfaces("br0\n" TAP1 "\n");
	expect_holders(0);
	/* The host is put in order, and the same start goes through. */
	netns_remove_bridge(TAP1);
	netns_bridge("br1");
	if (refused[_i].mendable)
		guest_start(client, "web1");
}
END_TEST

/* Whoever has the name may be about to end. */
START_TEST(test_taken_for_a_moment)
{
	_cleanup_json_ struct json_object *reply = NULL;
	int id;

	netns_bridge(TAP1);
	client_define(client, "web1", "'memory': '16M', 'nics': [{'uuid': '" UUID1 "', " BR0 "}]");
	id = client_send(client, "instance-start", "{'instance': 'web1'}");
	for (bool waits = false; !waits;) {
		_cleanup_json_ struct json_object *o = client_ok(client, "query-instance", "{'instance': 'web1'}");

		ck_assert_str_ne(str_at(o, "state"), "shutoff");
		waits = str_eq(json_get_str(at(o, "operation"), "step"), "make the taps");
	}
	netns_remove_bridge(TAP1);
	reply = client_reply(client, id);
	ck_assert_msg(has(reply, "return"), "%s", json_object_to_json_string(reply));
	expect_interfaces("br0\n" TAP1 "\n");
	stop("web1");
}
END_TEST

/* instance-argv makes nothing, also where there is no bridge. */
START_TEST(test_argv_is_pure)
{
	_cleanup_json_ struct json_object *o = NULL;
	const char *text;

	define("web1", "", "", "{'mode': 'bridged', 'link': 'br1', 'queues': 3}");
	o = client_ok(client, "instance-argv", "{'instance': 'web1'}");
	text = json_object_to_json_string(o);
	ck_assert_msg(strstr(text, ",fds=11:12:13\"") && strstr(text, ",mq=on,vectors=8"), "%s", text);
	expect_interfaces("br0\n");
}
END_TEST

/* A QEMU that cannot begin takes its taps along; every model takes one, and virtio as many queues as there may be. */
START_TEST(test_models)
{
	static const char *const models[] = { "paravirtual", "e1000", "rtl8139", "pcnet", "ne2k_pci", "i82551" };
	_cleanup_free_ char *nics = xstrdup("{'uuid': '" UUID0 "', " BR0 ", 'queues': 32}");

	for (size_t i = 0; i < ARRAY_SIZE(models); i++) {
		char *longer = xasprintf("%s, {'uuid': '003fc16%zu-66a8-4e6d-8b7e-ec4f69751396', " BR0
					 ", 'type': '%s'}",
					 nics, i, models[i]);

		free(nics);
		nics = longer;
	}
	client_define(client, "bad", "'memory': '16M', 'hvparams': {'kvm_extra': '-bogus'}, 'nics': [%s]", nics);
	json_object_put(client_error(client, "QemuError", "instance-start", "{'instance': 'bad'}"));
	expect_interfaces("br0\n");
	json_object_put(client_ok(client, "instance-undefine", "{'instance': 'bad'}"));
	client_define(client, "web1", "'memory': '16M', 'nics': [%s]", nics);
	guest_start(client, "web1");
	for (size_t i = 0; i < ARRAY_SIZE(models); i++) {
		_cleanup_free_ char *tap = xasprintf("dv003fc16%zu66a8", i);

		ck_assert(netns_on_bridge("br0", tap));
	}
	expect_holders(32 + ARRAY_SIZE(models));
	stop("web1");
	expect_interfaces("br0\n");
}
END_TEST

static Suite *make(void)
{
	Suite *suite = suite_create("bridged");
	TCase *tc = tcase_create("bridged");

	suite_add_tcase(suite, tc);
	tcase_set_timeout(tc, TEST_S);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, test_lease, 0, 2);
	tcase_add_test(tc, test_queues);
	tcase_add_loop_test(tc, test_refused, 0, ARRAY_SIZE(refused));
	tcase_add_test(tc, test_taken_for_a_moment);
	tcase_add_test(tc, test_argv_is_pure);
	tcase_add_test(tc, test_models);
	return suite;
}

int main(void)
{
	if (geteuid() != 0) {
		puts("SKIP: only root makes taps");
		return 77;
	}
	return guest_main(make);
}
