/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cpu_type and hyperv: the model of the guest's processors and what is added to it. Pure.
 */
#ifndef DROVER_RUNTIME_PROCESSOR_H
#define DROVER_RUNTIME_PROCESSOR_H

#include "runtime/hvparams.h"

bool processor_check(const struct hvparams *hv, int64_t vcpus, struct err **e);
/* What -cpu says; NULL: nothing, the model is the machine's own. The caller's. */
char *processor_text(const struct hvparams *hv, bool kvm);
/* The name of the model alone; the caller's. */
char *processor_model(const struct hvparams *hv);
/* Whether it is one that only KVM has. */
bool processor_needs_kvm(const struct hvparams *hv);

#endif
