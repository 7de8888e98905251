/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ganeti's runtime file -> a definition, and what it says of the process. Pure, but for a uuid that is made.
 *
 * The file is an array [kvm_cmd, nics, hvparams, disks]; the oldest have no disks, and no hvinfo. What older versions wrote
 * otherwise is understood as Ganeti's own upgrade means it, whatever else is in the command:
 *
 *   fewer than four elements     the disks are those that the command's -drive and -blockdev name
 *   a card without uuid          gets one
 *   "pci": 15                    hvinfo with the id of that time, "hotnic-003fc157-pci-15", and addr 0xf
 *   an addr below 0xb            a place of the machine's own, here: the definition has another one
 *   -localtime, -vnc A,tls,…     use_localtime, vnc_tls, vnc_x509_path, vnc_x509_verify, where hvparams lack them
 *   -balloon, -chroot            nothing: each machine has a balloon, and use_chroot is drover's own
 *   disk_discard                 what is none of the choices is ignore
 *   vnc_bind_address 0.0.0.0     without a password: display_without_password, which Ganeti has no word for
 *   initrd_path, vnc_x509_path   left out where they mean nothing: beside no kernel, no TLS
 *   boot_order, mem_path, …      left out, with a warning, where drover refuses what Ganeti ignores
 *   cdrom_disk_type ""           what disks are, which is paravirtual by default
 *   vga ""                       std, also without a display: QEMU's own choice
 *
 * hvparams are the file's; what a file of an older version lacks has Ganeti's default of then. Name, uuid, memory, vcpus and
 * machine are the command's. A name that no version of Ganeti's hvparams is known to have is told of and left out.
 */
#ifndef DROVER_RUNTIME_GANETI_H
#define DROVER_RUNTIME_GANETI_H

#include "base/err.h"
#include "base/json.h"

struct ganeti {
	struct json_object *definition; /* to be completed by definition_store() */
	struct json_object *warnings;   /* as of warnings.h; each names a place of the document */
	/* The process of this instance writes its pid there, and listens on NAME.qmp, NAME.kvmd and NAME.serial in that
	 * directory; NULL: the command does not say. */
	char *pidfile, *control;
	/* Devices whose ids are of our making, so that QEMU may not know them: {"list": "nics", "index": 0}. */
	struct json_object *unnamed;
	/* Devices that sit where no definition lets them: {"list": "nics", "index": 0, "bus": "pci.0", "addr": "0x5"}. */
	struct json_object *moved;
	/* Where in kvm_cmd; 0: nowhere. */
	size_t at_name, at_uuid, at_memory, at_vcpus, at_machine;
	bool has_disks; /* four elements */
};

/* InvalidParameter or Unsupported, naming "document[3][0][1]". */
bool ganeti_parse(struct json_object *document, struct ganeti *g, struct err **e);
/* The definition STORED, which became of it, as the process has it: each device where the file says. The caller's. */
struct json_object *ganeti_running(const struct ganeti *g, struct json_object *stored);
void ganeti_clear(struct ganeti *g);
/* An error that names a member of the definition names the place in the document that it comes from. Returns false. */
bool ganeti_blame(const struct ganeti *g, struct err **e);
/* The value of the first (LAST: the last) OPTION of a command, as an index into it; 0: none. */
size_t ganeti_find(struct json_object *cmd, const char *option, bool last);
const char *ganeti_word(struct json_object *cmd, size_t i);
/* The member KEY of a value in QEMU's notation ("a,b=c", a doubled comma is one), or, with KEY NULL, what stands in front of
 * the first comma; the caller's. NULL: none. "" for a member without a value. */
char *ganeti_member(const char *value, const char *key);

#endif
