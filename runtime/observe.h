/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What QEMU says becomes state.
 *
 * Events are hints: each that concerns the run state makes us ask for the state anew, so that what is
 * recorded is an answer and not a guess. The end of the process is known by its pidfd; then the
 * keeper's exit.json, RunState and whether an end of ours was under way give state and reason.
 */
#ifndef DROVER_RUNTIME_OBSERVE_H
#define DROVER_RUNTIME_OBSERVE_H

#include "runtime/instance.h"

/* What QEMU says, as it says it. */
void observe_event(struct instance *inst, const char *name, struct json_object *data, double time);
/* A monitor has answered for the first time, or again: takes account of what was said meanwhile, by the log of the
 * second, and has QEMU do at a reboot of the guest what it is to do. */
void observe_catch_up(struct instance *inst);
/* The first of the two, for a process that is gone. */
void observe_recollect(struct instance *inst);
/* Somebody has sent QEMU a signal that ends it, as it said. */
bool observe_is_told_to_end(const struct instance *inst);
/* QEMU's reason of a shutdown as a constant; NULL for none. One that is not known is the guest's or the host's. */
const char *observe_shutdown_reason(const char *reason, bool guest);
/* Takes hold of the process that holds the locks of inst->run_dir; false if there is none, or, with *e set, if that
 * cannot be told. PID and START_TIME, if not 0, must be its. */
bool observe_hold(struct instance *inst, pid_t pid, uint64_t start_time, struct err **e);
/* What its keeper wrote, as inst->exit; NULL if that says nothing. */
void observe_read_exit(struct instance *inst);
/* Judges the end of a process that ended while nobody looked: state and reason from exit.json, what was
 * observed last, and whether an end of ours was under way. Nothing if it was judged already. */
void observe_judge_end(struct instance *inst);
/* Whether the guest of the process, or of the last one, has run, as far as was seen or is in the log of events. */
bool observe_has_run(const struct instance *inst);
/* A wait: asks for the RunState and enters what it says, with REASON (or NULL) if that is a change to running that
 * nobody gave a cause for. */
enum verdict observe_ask(struct op *op, struct instance *inst, const char *reason);
/* The same with nobody waiting. */
void observe_refresh(struct instance *inst);
/* A guest that powered off or crashed by itself, and is held, is told of to the owner, once. To be called when an end of
 * ours turned out to be none. */
void observe_held(struct instance *inst);

#endif
