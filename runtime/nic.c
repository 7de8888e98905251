/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/nic.h"

#include <net/if.h>
#include <string.h>

const char *const nic_modes[] = { "network", "bridged", "routed", "openvswitch", "user", "ext", "none", NULL };

enum { MTU_MAX = 65521 }; /* a tap's: the head of a frame counts */

#define NIC(member) PARAM_AT(struct nic, member), .since = "0.1.0", .change = CHANGE_RESTART
const struct param nic_rows[] = {
	{ "uuid", PARAM_UUID, NIC(uuid), .doc = "Identity; made when absent." },
	{ "name", PARAM_NAME, NIC(name), .doc = "Unique in the instance; nic0, nic1, … where absent." },
	{ "mac", PARAM_TEXT, .min = 17, .max = 17, NIC(mac), .doc = "Address, unique on the host; made when absent." },
	{ "mode", PARAM_CHOICE, .choices = nic_modes, NIC(mode), .doc = "What it is connected to; user where absent." },
	{ "network", PARAM_NAME, NIC(network), .doc = "Network of droverd." },
	{ "link", PARAM_TEXT, .min = 1, .max = 64, NIC(link),
	  .doc = "Bridge, which is there before the card is; or routing table." },
	{ "vlan", PARAM_TEXT, .min = 1, .max = 255, NIC(vlan), .doc = "VLAN." },
	{ "ip", PARAM_TEXT, .min = 1, .max = 64, NIC(ip), .doc = "Address of the guest." },
	{ "type", PARAM_CHOICE, .choices = nic_types, NIC(type), .doc = "Instead of nic_type." },
	{ "queues", PARAM_INT, .min = 1, .max = 32, NIC(queues),
	  .doc = "Pairs of queues, instead of virtio_net_queues; for paravirtual cards with a tap." },
	{ "mtu", PARAM_INT, .min = 68, .max = MTU_MAX, NIC(mtu), .unit = "bytes",
	  .doc = "Told to the guest by virtio, and the tap's; where absent a tap has its bridge's. A bridge without an "
		 "MTU of "
		 "its own takes the least of its ports, so that others' longer frames no longer pass: give it one." },
	{ "hvinfo", PARAM_OBJECT, .rows = hvinfo_rows, NIC(hvinfo),
	  .doc = "Where the device sits; allocated when absent, and kept for good." },
	PARAM_END
};

enum nic_mode nic_mode_of(const struct nic *n)
{
	return n->mode == PARAM_CHOICE_NONE ? NIC_USER : (enum nic_mode)n->mode;
}

int nic_type_of(const struct nic *n, const struct hvparams *hv)
{
	return n->type == PARAM_CHOICE_NONE ? hv->nic_type : n->type;
}

unsigned nic_taps(const struct nic *n, const struct hvparams *hv)
{
	if (nic_mode_of(n) != NIC_BRIDGED)
		return 0;
	if (nic_type_of(n, hv) != NIC_TYPE_PARAVIRTUAL)
		return 1;
	return (unsigned)(n->queues == PARAM_INT_NONE ? hv->virtio_net_queues : n->queues);
}

bool nic_vnet_hdr(const struct nic *n, const struct hvparams *hv)
{
	return hv->vnet_hdr && nic_type_of(n, hv) == NIC_TYPE_PARAVIRTUAL;
}

bool mac_is_valid(const char *text)
{
	static const char digits[] = "0123456789abcdefABCDEF";
	bool zero = true;

	for (int i = 0; i < 17; i++) {
		if (i % 3 == 2 ? text[i] != ':' : !text[i] || !strchr(digits, text[i]))
			return false;
		zero = zero && (text[i] == '0' || text[i] == ':');
	}
	/* Neither a group's address nor nobody's. */
	return !text[17] && !zero && strchr("02468aceACE", text[1]);
}

/* As the kernel sees it, but for what nobody can type. */
static bool is_interface(const char *name)
{
	if (strlen(name) >= IFNAMSIZ || str_eq(name, ".") || str_eq(name, ".."))
		return false;
	for (; *name; name++)
		if ((unsigned char)*name <= ' ' || strchr("/:%\x7f", *name))
			return false;
	return true;
}

/* A member that does not go with the card's mode. */
static bool check_members(const struct nic *n, const char *prefix, struct err **e)
{
	enum nic_mode mode = nic_mode_of(n);
	const struct {
		const char *name;
		bool given, bridged;
	} members[] = { { "network", n->network, false },
			{ "link", n->link, true },
			{ "vlan", n->vlan, false },
			{ "ip", n->ip, false },
			{ "queues", n->queues != PARAM_INT_NONE, true } };

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		_cleanup_free_ char *path = xasprintf("%s%s", prefix, members[i].name);

		if (members[i].given && !(mode == NIC_BRIDGED && members[i].bridged))
			return err_set_param(e, path, "does not go with mode %s", nic_modes[mode]);
	}
	return true;
}

static bool check_mode(const struct nic *n, const char *prefix, struct err **e)
{
	static const enum nic_mode known[] = { NIC_USER, NIC_NONE, NIC_BRIDGED };
	_cleanup_free_ char *path = xasprintf("%smode", prefix);

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (nic_mode_of(n) == known[i])
			return true;
	err_set(e, ERR_UNSUPPORTED, "'%s': this version has the modes bridged, user and none only", path);
	return err_name_param(e, path);
}

static bool check_link(const struct nic *n, const char *prefix, struct err **e)
{
	_cleanup_free_ char *path = xasprintf("%slink", prefix);

	if (nic_mode_of(n) != NIC_BRIDGED)
		return true;
	if (!n->link)
		return err_set_param(e, path, "is needed for mode bridged: the name of a bridge");
	return is_interface(n->link) ||
	       err_set_param(e, path, "must be the name of a bridge, of at most 15 characters");
}

static bool check_paravirtual(const struct nic *n, const struct hvparams *hv, const char *prefix, struct err **e)
{
	const char *name = n->mtu != PARAM_INT_NONE ? "mtu" : n->queues != PARAM_INT_NONE ? "queues" : NULL;
	_cleanup_free_ char *path = NULL;

	if (!name || nic_type_of(n, hv) == NIC_TYPE_PARAVIRTUAL)
		return true;
	path = xasprintf("%s%s", prefix, name);
	return err_set_param(e, path, "is for paravirtual cards only");
}

bool nic_check(const struct nic *n, const struct hvparams *hv, const char *prefix, struct err **e)
{
	_cleanup_free_ char *mac = xasprintf("%smac", prefix);

	if (!check_mode(n, prefix, e) || !check_members(n, prefix, e) || !check_link(n, prefix, e))
		return false;
	if (n->mac && !mac_is_valid(n->mac))
		return err_set_param(e, mac, "must be the address of one station, such as 52:54:00:12:34:56");
	return check_paravirtual(n, hv, prefix, e);
}
