/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Secrets in QMP: which members of which commands, and of their replies, are not to be kept anywhere.
 */
#ifndef DROVER_QMP_SECRETS_H
#define DROVER_QMP_SECRETS_H

#include "qmp/client.h"

/* The message with "***" in place of each secret: another reference to its value, or a changed copy. The caller's. */
struct json_object *secrets_blank(const struct qmp_message *m);

#endif
