/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a machine itself remembers, and is kept beside the definition, in lib/instances/NAME: the variables of its UEFI
 * and the state of its TPM.
 *
 *   uefi/, uefi-secure/   firmware.json: the image that was chosen at the first start, and stays; nvram.qcow2
 *   tpm/                  swtpm's own files, of the uid that it runs as
 *
 * Each is made by the first start that needs it, under the name KIND.new, and gets its own just before the guest runs: a
 * start that fails leaves nothing, and what a guest has written is never made anew. That a directory is renamed disturbs
 * neither QEMU, which has a descriptor of the image, nor swtpm, which works in the directory. What this start has made is
 * noted in the run directory (made-KIND), so that the next droverd can take back the rest of it.
 */
#ifndef DROVER_RUNTIME_MACHINE_STATE_H
#define DROVER_RUNTIME_MACHINE_STATE_H

#include "runtime/prepare.h"

/* Adds, where the definition asks for it: choose the firmware, make the NVRAM, make the TPM's state. Before the files are opened. */
void machine_state_plan(struct op *op, struct prepare *p);
/* Adds, in front of the commit: keep what was made. */
void machine_state_keep_plan(struct op *op, struct prepare *p);

/* What of it is known then. The paths of the files that are the firmware's: */
void machine_state_name(const struct prepare *p, struct argv_files *files);
/* what was chosen, or NULL: */
const struct uefi *machine_state_firmware(const struct prepare *p);
/* and the TPM, which QEMU reaches by the descriptor FD. */
void machine_state_confine(struct prepare *p, int fd);
void machine_state_unref(struct machine_state *state);

#endif
