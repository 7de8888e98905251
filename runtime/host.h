/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host as query-host shows it, read from /proc and /sys, which do not block. What cannot be told truthfully is left
 * out.
 */
#ifndef DROVER_RUNTIME_HOST_H
#define DROVER_RUNTIME_HOST_H

#include "runtime/instance.h"

/* {"hostname", "kernel", "boot-id", "cpus", "memory", "features"}; KVM is consumed and becomes the feature of that
 * name. The caller's. */
struct json_object *host_describe(struct runtime *rt, struct json_object *kvm);

#endif
