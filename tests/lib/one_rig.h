/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For tests whose fixture is a droverd and a client of it, and nothing else. Included once by a program.
 */
#ifndef DROVER_TESTS_ONE_RIG_H
#define DROVER_TESTS_ONE_RIG_H

#include "rig.h"

static struct rig *rig;
static struct client *client;

static inline void set_up(void)
{
	rig = rig_new("droverd");
	rig_start(rig);
	client = client_new(rig);
}

static inline void tear_down(void)
{
	client_free(client);
	rig_free(rig);
}

#endif
