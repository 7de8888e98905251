/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The agent in an instance's guest: whether it is there, and what it says of the guest.
 *
 * It is there while it holds its port open, which QEMU tells by VSERPORT_CHANGE, and on a new connection when asked
 * for its chardevs. An open port is no proof: the agent may hang. Who wants something of it sends guest-ping first,
 * with a short expiry.
 */
#ifndef DROVER_RUNTIME_GUEST_AGENT_H
#define DROVER_RUNTIME_GUEST_AGENT_H

#include "qmp/agent.h"
#include "runtime/instance.h"

/* For observe.c: the monitor is connected; an event came; the process ended. */
void guest_agent_begin(struct instance *inst);
void guest_agent_event(struct instance *inst, const char *name, struct json_object *event);
void guest_agent_end(struct instance *inst);

/* Its port is open. */
bool guest_agent_is_up(const struct instance *inst);
/* Requests to it. Valid while the process lives; what is under way then fails with GuestGone, when inst->process is
 * NULL already. */
struct agent *guest_agent_client(struct instance *inst);

/* What query-guest tells. RET or E, both consumed. */
typedef void guest_agent_told_fn(struct json_object *ret, struct err *e, void *data);
/* Asks for it, or joins who has asked already. If the agent is not there it is waited for, WAIT seconds. TOLD is
 * called once, from the loop; within WAIT and AGENT_MS. There must be a process. Who does not want to be told any more
 * says so before that. */
struct guest_asker *guest_agent_ask(struct instance *inst, double wait, guest_agent_told_fn *told, void *data);
void guest_agent_forget(struct guest_asker *a);

#endif
