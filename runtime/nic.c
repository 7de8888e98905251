/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/nic.h"

#include <ctype.h>
#include <string.h>

const char *const nic_modes[] = { "network", "bridged", "routed", "openvswitch", "user", "ext", "none", NULL };

#define NIC(member) PARAM_AT(struct nic, member), .since = "0.1.0", .change = CHANGE_RESTART
const struct param nic_rows[] = {
	{ "uuid", PARAM_UUID, NIC(uuid), .doc = "Identity; made when absent." },
	{ "name", PARAM_NAME, NIC(name), .doc = "Unique in the instance; nic0, nic1, … where absent." },
	{ "mac", PARAM_TEXT, .min = 17, .max = 17, NIC(mac), .doc = "Address, unique on the host; made when absent." },
	{ "mode", PARAM_CHOICE, .choices = nic_modes, NIC(mode), .doc = "What it is connected to; user where absent." },
	{ "network", PARAM_NAME, NIC(network), .doc = "Network of droverd." },
	{ "link", PARAM_TEXT, .min = 1, .max = 64, NIC(link), .doc = "Bridge or routing table." },
	{ "vlan", PARAM_TEXT, .min = 1, .max = 255, NIC(vlan), .doc = "VLAN." },
	{ "ip", PARAM_TEXT, .min = 1, .max = 64, NIC(ip), .doc = "Address of the guest." },
	{ "type", PARAM_CHOICE, .choices = nic_types, NIC(type), .doc = "Instead of nic_type." },
	{ "queues", PARAM_INT, .min = 1, .max = 32, NIC(queues), .doc = "Pairs of queues." },
	{ "mtu", PARAM_INT, .min = 68, .max = 65535, NIC(mtu), .unit = "bytes", .doc = "Told to the guest by virtio." },
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

bool nic_check(const struct nic *n, const struct hvparams *hv, const char *prefix, struct err **e)
{
	enum nic_mode mode = nic_mode_of(n);
	const struct {
		const char *name;
		bool given;
	} foreign[] = { { "network", n->network },
			{ "link", n->link },
			{ "vlan", n->vlan },
			{ "ip", n->ip },
			{ "queues", n->queues != PARAM_INT_NONE } };
	_cleanup_free_ char *path = NULL;

	if (mode != NIC_USER && mode != NIC_NONE) {
		path = xasprintf("%smode", prefix);
		err_set(e, ERR_UNSUPPORTED, "'%s': this version has the modes user and none only", path);
		if (e && *e)
			err_add(*e, "parameter", json_object_new_string(path));
		return false;
	}
	for (size_t i = 0; i < ARRAY_SIZE(foreign); i++) {
		if (!foreign[i].given)
			continue;
		path = xasprintf("%s%s", prefix, foreign[i].name);
		return err_set_param(e, path, "does not go with mode %s", nic_modes[mode]);
	}
	if (n->mac && !mac_is_valid(n->mac)) {
		path = xasprintf("%smac", prefix);
		return err_set_param(e, path, "must be the address of one station, such as 52:54:00:12:34:56");
	}
	if (n->mtu != PARAM_INT_NONE && nic_type_of(n, hv) != NIC_TYPE_PARAVIRTUAL) {
		path = xasprintf("%smtu", prefix);
		return err_set_param(e, path, "is for paravirtual cards only");
	}
	return true;
}
