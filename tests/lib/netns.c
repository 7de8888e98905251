/* SPDX-License-Identifier: BSD-2-Clause */
#include "netns.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORTS_MAX = 64, NAMES_MAX = 256 };

static bool is_own;

static int ask(unsigned long request, void *arg)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -1 : ioctl(fd, request, arg);
}

static struct ifreq named(const char *name)
{
	struct ifreq r = { 0 };

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	return r;
}

static bool bring_up(const char *name)
{
	struct ifreq r = named(name);

	if (ask(SIOCGIFFLAGS, &r) < 0)
		return false;
	r.ifr_flags |= IFF_UP;
	return ask(SIOCSIFFLAGS, &r) == 0;
}

bool netns_enter(void)
{
	is_own = unshare(CLONE_NEWNET) == 0 && bring_up("lo");
	return is_own;
}

bool netns_is_own(void)
{
	return is_own;
}

void netns_bridge(const char *name)
{
	ck_assert_msg(is_own, "no network namespace of our own");
	ck_assert_msg(ask(SIOCBRADDBR, (void *)name) == 0, "%s: %s", name, strerror(errno));
	ck_assert(bring_up(name));
}

void netns_remove_bridge(const char *name)
{
	struct ifreq r = named(name);

	ck_assert(is_own && ask(SIOCGIFFLAGS, &r) == 0);
	r.ifr_flags = 0;
	ck_assert_int_eq(ask(SIOCSIFFLAGS, &r), 0);
	ck_assert_msg(ask(SIOCBRDELBR, (void *)name) == 0, "%s: %s", name, strerror(errno));
}

/* By the call that brctl made, which tells of the ports of one bridge. */
bool netns_on_bridge(const char *bridge, const char *port)
{
	int ports[PORTS_MAX] = { 0 };
	unsigned long args[4] = { BRCTL_GET_PORT_LIST, (unsigned long)ports, PORTS_MAX, 0 };
	struct ifreq r = named(bridge);
	unsigned index = if_nametoindex(port);

	r.ifr_data = (void *)args;
	ck_assert_msg(ask(SIOCDEVPRIVATE, &r) >= 0, "%s: %s", bridge, strerror(errno));
	for (int i = 0; i < PORTS_MAX; i++)
		if (index && ports[i] == (int)index)
			return true;
	return false;
}

int netns_mtu(const char *name)
{
	struct ifreq r = named(name);

	ck_assert_msg(ask(SIOCGIFMTU, &r) == 0, "%s: %s", name, strerror(errno));
	return r.ifr_mtu;
}

void netns_set_mtu(const char *name, int mtu)
{
	struct ifreq r = named(name);

	r.ifr_mtu = mtu;
	ck_assert_msg(ask(SIOCSIFMTU, &r) == 0, "%s: %s", name, strerror(errno));
}

bool netns_is_up(const char *name)
{
	struct ifreq r = named(name);

	ck_assert_msg(ask(SIOCGIFFLAGS, &r) == 0, "%s: %s", name, strerror(errno));
	return r.ifr_flags & IFF_UP;
}

void netns_set_address(const char *name, const char *address)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct ifreq r = named(name);

	ck_assert_int_eq(inet_pton(AF_INET, address, &in.sin_addr), 1);
	memcpy(&r.ifr_addr, &in, sizeof(in));
	ck_assert_msg(ask(SIOCSIFADDR, &r) == 0, "%s: %s", name, strerror(errno));
	in.sin_addr.s_addr = htonl(0xffffff00);
	memcpy(&r.ifr_netmask, &in, sizeof(in));
	ck_assert_msg(ask(SIOCSIFNETMASK, &r) == 0, "%s: %s", name, strerror(errno));
}

unsigned netns_hardware(const char *name)
{
	struct ifreq r = named(name);

	ck_assert_msg(ask(SIOCGIFHWADDR, &r) == 0, "%s: %s", name, strerror(errno));
	return (unsigned char)r.ifr_hwaddr.sa_data[0];
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char *netns_interfaces(void)
{
	struct if_nameindex *all = if_nameindex();
	const char *names[NAMES_MAX];
	char *text = xstrdup("");
	size_t n = 0;

	ck_assert_ptr_nonnull(all);
	for (const struct if_nameindex *i = all; i->if_index && n < NAMES_MAX; i++)
		if (!str_eq(i->if_name, "lo"))
			names[n++] = i->if_name;
	qsort(names, n, sizeof(names[0]), by_name);
	for (size_t i = 0; i < n; i++) {
		char *longer = xasprintf("%s%s\n", text, names[i]);

		free(text);
		text = longer;
	}
	if_freenameindex(all);
	return text;
}
