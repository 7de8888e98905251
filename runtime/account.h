/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The account that QEMU runs as with security_model user. Who knows the accounts of a host may be a server that does not
 * answer, so it is looked up beside the loop.
 */
#ifndef DROVER_RUNTIME_ACCOUNT_H
#define DROVER_RUNTIME_ACCOUNT_H

#include "base/op.h"
#include "runtime/hvparams.h"

struct account {
	uid_t uid;
	gid_t gid;
	char *domain;
	unsigned refs; /* changed on the loop only */
};

/* Adds to OP the step that looks it up; uid and gid hold from its end on. The caller's, to be ended with
 * account_unref(); NULL: HV has another security_model, and there is no step. */
struct account *account_plan(struct op *op, const struct hvparams *hv);
void account_unref(void *data);

#endif
