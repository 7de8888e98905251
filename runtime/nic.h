/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A network card of a definition, as rows.
 */
#ifndef DROVER_RUNTIME_NIC_H
#define DROVER_RUNTIME_NIC_H

#include "runtime/disk.h"

/* In the order of the rows' choices. */
enum nic_mode { NIC_NETWORK, NIC_BRIDGED, NIC_ROUTED, NIC_OPENVSWITCH, NIC_USER, NIC_EXT, NIC_NONE };
enum nic_type { NIC_TYPE_PARAVIRTUAL, NIC_TYPE_NE2K_ISA = 5, NIC_TYPE_NE2K_PCI };

struct nic {
	char *uuid, *name, *mac; /* NULL until the definition was settled; lower case */
	int mode, type;          /* PARAM_CHOICE_NONE: user; as in hvparams */
	char *network, *link, *vlan, *ip;
	int64_t queues, mtu; /* PARAM_INT_NONE: as the device has it */
	struct hvinfo hvinfo;
};

extern const struct param nic_rows[];
extern const char *const nic_modes[];

/* Rules over several members of one card. PREFIX: "nics[1]." */
bool nic_check(const struct nic *n, const struct hvparams *hv, const char *prefix, struct err **e);
enum nic_mode nic_mode_of(const struct nic *n);
/* The queues of its tap, each of which QEMU is given a descriptor for; 0: it has none. */
unsigned nic_taps(const struct nic *n, const struct hvparams *hv);
/* Whether its tap puts a virtio header in front of packets. */
bool nic_vnet_hdr(const struct nic *n, const struct hvparams *hv);
/* Index into nic_types. */
int nic_type_of(const struct nic *n, const struct hvparams *hv);
/* "52:54:00:12:34:56", a station's own address; any case. */
bool mac_is_valid(const char *text);

#endif
