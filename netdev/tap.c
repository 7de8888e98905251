/* SPDX-License-Identifier: BSD-2-Clause */
#include "netdev/tap.h"

#include "base/param.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { UUID_DIGITS = 12 };

void tap_name(const char *uuid, char name[static IFNAMSIZ])
{
	char *to = stpcpy(name, "dv");

	for (size_t n = 0; n < UUID_DIGITS && *uuid; uuid++) {
		if (*uuid == '-')
			continue;
		*to++ = *uuid;
		n++;
	}
	*to = '\0';
}

static struct ifreq request(const char *name)
{
	struct ifreq r = { 0 };

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	return r;
}

static bool no_bridge(struct err **e, const char *bridge)
{
	return err_set(e, ERR_NETWORK, "there is no bridge '%s'", bridge);
}

static bool is_bridge(int sock, const char *name)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	struct ifreq r = request(name);

	r.ifr_data = (void *)&info;
	return ioctl(sock, SIOCETHTOOL, &r) == 0 && str_eq(info.driver, "bridge");
}

/* Tells the bridge's MTU as well, where none was asked for. */
static bool find_bridge(int sock, const char *bridge, int64_t *mtu, struct err **e)
{
	struct ifreq r = request(bridge);

	if (strlen(bridge) >= IFNAMSIZ)
		return no_bridge(e, bridge);
	if (ioctl(sock, SIOCGIFMTU, &r) < 0)
		return errno == ENODEV ? no_bridge(e, bridge) :
					 err_set_errno(e, ERR_NETWORK, errno, "bridge '%s'", bridge);
	if (!is_bridge(sock, bridge))
		return err_set(e, ERR_NETWORK, "'%s' is not a bridge", bridge);
	if (*mtu == PARAM_INT_NONE)
		*mtu = r.ifr_mtu;
	return true;
}

static bool open_queue(const char *name, short flags, int *fd, struct err **e)
{
	static const char device[] = "/dev/net/tun";
	struct ifreq r = request(name);

	r.ifr_flags = flags;
	*fd = open(device, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (*fd < 0 && (errno == ENOENT || errno == ENODEV || errno == ENXIO))
		return err_set(e, ERR_NETWORK, "this host has no taps: %s: %s; its module is 'tun'", device,
			       strerror(errno));
	if (*fd < 0)
		return err_set_errno(e, ERR_NETWORK, errno, "%s", device);
	if (ioctl(*fd, TUNSETIFF, &r) == 0)
		return true;
	if (errno == EBUSY)
		return err_set(e, ERR_NETWORK,
			       "there is a network interface '%s' already: another card of this uuid has it, or it is "
			       "not drover's",
			       name);
	return err_set_errno(e, ERR_NETWORK, errno, "cannot make the tap '%s'", name);
}

/* The first makes the tap, and would not have one that is there; the others join it, which the first still holds. */
static bool open_queues(const char *name, unsigned queues, bool vnet_hdr, int *fds, struct err **e)
{
	short flags = IFF_TAP | IFF_NO_PI;

	if (vnet_hdr)
		flags |= IFF_VNET_HDR;
	if (queues > 1)
		flags |= IFF_MULTI_QUEUE;
	for (unsigned i = 0; i < queues; i++)
		if (!open_queue(name, (short)(i == 0 ? flags | IFF_TUN_EXCL : flags), &fds[i], e))
			return false;
	return true;
}

/* A bridge that was given no address takes the lowest of its ports': not this one. */
static bool set_address(int sock, const char *name, struct err **e)
{
	struct ifreq r = request(name);

	if (ioctl(sock, SIOCGIFHWADDR, &r) == 0) {
		r.ifr_hwaddr.sa_data[0] = (char)0xfe;
		if (ioctl(sock, SIOCSIFHWADDR, &r) == 0)
			return true;
	}
	return err_set_errno(e, ERR_NETWORK, errno, "cannot give the tap '%s' an address", name);
}

/* Before it is on the bridge, which would else take over a smaller one. */
static bool set_mtu(int sock, const char *name, int64_t mtu, struct err **e)
{
	struct ifreq r = request(name);

	r.ifr_mtu = (int)mtu;
	if (ioctl(sock, SIOCSIFMTU, &r) < 0)
		return err_set_errno(e, ERR_NETWORK, errno, "cannot give the tap '%s' an mtu of %d", name, r.ifr_mtu);
	return true;
}

static bool join_bridge(int sock, const char *name, const char *bridge, struct err **e)
{
	struct ifreq r = request(bridge);

	r.ifr_ifindex = (int)if_nametoindex(name);
	if (ioctl(sock, SIOCBRADDIF, &r) == 0)
		return true;
	if (errno == ENODEV)
		return no_bridge(e, bridge);
	return err_set_errno(e, ERR_NETWORK, errno, "cannot put the tap '%s' on bridge '%s'", name, bridge);
}

static bool set_up(int sock, const char *name, struct err **e)
{
	struct ifreq r = request(name);

	if (ioctl(sock, SIOCGIFFLAGS, &r) == 0) {
		r.ifr_flags |= IFF_UP;
		if (ioctl(sock, SIOCSIFFLAGS, &r) == 0)
			return true;
	}
	return err_set_errno(e, ERR_NETWORK, errno, "cannot set the tap '%s' up", name);
}

bool tap_open(const char *name, unsigned queues, bool vnet_hdr, const char *bridge, int64_t mtu, int *fds,
	      struct err **e)
{
	_cleanup_close_ int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert(queues > 0 && strlen(name) < IFNAMSIZ);
	for (unsigned i = 0; i < queues; i++)
		fds[i] = -1;
	if (sock < 0)
		return err_set_errno(e, ERR_NETWORK, errno, "cannot ask for network interfaces");
	if (find_bridge(sock, bridge, &mtu, e) && open_queues(name, queues, vnet_hdr, fds, e) &&
	    set_address(sock, name, e) && set_mtu(sock, name, mtu, e) && join_bridge(sock, name, bridge, e) &&
	    set_up(sock, name, e))
		return true;
	tap_close(fds, queues);
	return false;
}

void tap_close(int *fds, unsigned queues)
{
	for (unsigned i = 0; i < queues; i++)
		fds[i] = fd_close(fds[i]);
}

bool tap_exists(const char *name)
{
	return if_nametoindex(name) != 0;
}

/* ---- counters ---- */

struct stats_request {
	struct nlmsghdr head;
	struct if_stats_msg link;
};

/* The one attribute that is asked for; its tail may be longer or shorter, by the kernel's age. */
struct stats_answer {
	struct nlmsghdr head;
	struct if_stats_msg link;
	struct rtattr attribute;
	struct rtnl_link_stats64 stats;
};

/* Not by /sys/class/net, which tells of the network namespace of whoever has mounted it. */
bool tap_counters(const char *name, struct tap_counters *ret)
{
	_cleanup_close_ int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct stats_request r = {
		.head = { .nlmsg_len = sizeof(r), .nlmsg_type = RTM_GETSTATS, .nlmsg_flags = NLM_F_REQUEST },
		.link = { .ifindex = if_nametoindex(name), .filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64) }
	};
	struct stats_answer answer;
	ssize_t n;

	if (sock < 0 || send(sock, &r, sizeof(r), 0) < 0)
		return false;
	n = recv(sock, &answer, sizeof(answer), MSG_DONTWAIT); /* the kernel has answered within send() */
	if (n < (ssize_t)offsetof(struct stats_answer, stats.rx_errors) || answer.head.nlmsg_type != RTM_NEWSTATS ||
	    answer.attribute.rta_type != IFLA_STATS_LINK_64)
		return false;
	*ret = (struct tap_counters){ .rx_bytes = answer.stats.tx_bytes,
				      .rx_packets = answer.stats.tx_packets,
				      .tx_bytes = answer.stats.rx_bytes,
				      .tx_packets = answer.stats.rx_packets };
	return true;
}
