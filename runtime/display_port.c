/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/display_port.h"

#include "runtime/instance.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 16 };

static const char *bind_param(const struct hvparams *hv)
{
	return display_has_vnc(hv) ? "hvparams.vnc_bind_address" : "hvparams.spice_bind";
}

/* ---- addresses ---- */

/* A link-local one means nothing without its interface. */
static bool is_usable(const struct sockaddr *a, int64_t version)
{
	const struct sockaddr_in6 *six = (const void *)a;

	if (!a || (a->sa_family != AF_INET && a->sa_family != AF_INET6))
		return false;
	if (version && (version == 6) != (a->sa_family == AF_INET6))
		return false;
	return a->sa_family == AF_INET || !IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr);
}

/* Its first address of IPv4, or of what VERSION says; one of IPv6 where it has no other. */
static bool interface_address(const char *name, int64_t version, struct sockaddr_storage *addr)
{
	struct ifaddrs *list = NULL;
	const struct sockaddr *best = NULL;

	if (getifaddrs(&list) < 0)
		return false;
	for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
		if (!str_eq(i->ifa_name, name) || !is_usable(i->ifa_addr, version))
			continue;
		if (!best || (best->sa_family == AF_INET6 && i->ifa_addr->sa_family == AF_INET))
			best = i->ifa_addr;
	}
	if (best)
		memcpy(addr, best,
		       best->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
	freeifaddrs(list);
	return best != NULL;
}

static bool resolve(const struct hvparams *hv, struct sockaddr_storage *addr, struct err **e)
{
	const char *text = display_has_vnc(hv) ? hv->vnc_bind_address : hv->spice_bind, *param = bind_param(hv);
	int64_t version = display_has_vnc(hv) ? 0 : hv->spice_ip_version;
	const char *family = version == 4 ? " of IPv4" : version == 6 ? " of IPv6" : "";

	*addr = (struct sockaddr_storage){ 0 };
	if (bind_kind(text, addr) == BIND_ADDRESS || interface_address(text, version, addr))
		return true;
	if (if_nametoindex(text) == 0)
		err_set(e, ERR_NOT_FOUND, "'%s': there is no interface '%s'", param, text);
	else
		err_set(e, ERR_NETWORK, "'%s': the interface '%s' has no address%s", param, text, family);
	return err_name_param(e, param);
}

static void print_address(const struct sockaddr_storage *addr, struct display_place *place)
{
	const void *bytes = addr->ss_family == AF_INET ? (const void *)&((const struct sockaddr_in *)addr)->sin_addr :
							 &((const struct sockaddr_in6 *)addr)->sin6_addr;

	inet_ntop(addr->ss_family, bytes, place->address, sizeof(place->address));
}

/* ---- ports ---- */

/* A port whose last connections have not quite ended is free; one that somebody listens on is not. */
static int listen_on(struct sockaddr_storage *addr, unsigned port)
{
	int fd = socket(addr->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
	socklen_t length = addr->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);

	/* The port is at the same place in both. */
	((struct sockaddr_in *)addr)->sin_port = htons((uint16_t)port);
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    bind(fd, (struct sockaddr *)addr, length) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	fd_close(fd);
	return -1;
}

/* A SPICE that is about to start will want it. */
static bool is_held(struct runtime *rt, unsigned port)
{
	for (const struct instance *inst = instance_first(rt); inst; inst = instance_next((struct instance *)inst))
		if (inst->held_port == port)
			return true;
	return false;
}

/* QEMU binds that of SPICE itself. */
static void hold_port(struct displays *d, struct instance *inst)
{
	closep(&d->fd);
	inst->held_port = (unsigned)d->place.port;
	d->held = &inst->held_port;
}

bool display_port_take(struct displays *d, struct instance *inst, struct err **e)
{
	const struct hvparams *hv = &inst->def.hvparams;
	struct runtime *rt = inst->rt;
	const char *param = bind_param(hv);
	struct sockaddr_storage addr;

	if (!resolve(hv, &addr, e))
		return false;
	print_address(&addr, &d->place);
	for (unsigned port = rt->ports.first; port <= rt->ports.last; port++) {
		if (is_held(rt, port))
			continue;
		d->fd = listen_on(&addr, port);
		if (d->fd >= 0) {
			d->place.port = (int)port;
			if (display_has_spice(hv))
				hold_port(d, inst);
			return true;
		}
		if (errno == EADDRINUSE)
			continue;
		err_set_errno(e, ERR_NETWORK, errno, "'%s': cannot listen on %s, port %u", param, d->place.address,
			      port);
		return err_name_param(e, param);
	}
	err_set(e, ERR_NO_SPACE, "'%s': no port of %u-%u is free on %s; 'vnc_ports' in droverd.json gives more", param,
		rt->ports.first, rt->ports.last, d->place.address);
	return err_name_param(e, param);
}

void display_port_let_go(struct displays *d)
{
	if (d->held)
		*d->held = 0;
	d->held = NULL;
}
