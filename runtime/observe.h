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

/* Connects both monitors of a process that listens on them. */
bool observe_connect(struct instance *inst, struct err **e);
/* Takes hold of the process that holds the locks of inst->run_dir; false if there is none. PID and
 * START_TIME, if not 0, must be its. */
bool observe_hold(struct instance *inst, pid_t pid, uint64_t start_time);
/* Judges the end of a process that ended while nobody looked: state and reason from exit.json, what was
 * observed last, and whether an end of ours was under way. Nothing if it was judged already. */
void observe_judge_end(struct instance *inst);
/* A wait: asks for the RunState and enters what it says, with REASON if that is a change to running
 * or paused. */
enum verdict observe_ask(struct op *op, struct instance *inst, const char *reason);
/* The same with nobody waiting. */
void observe_refresh(struct instance *inst);
/* A guest that powered off by itself, and is held in RunState shutdown, is told of to the owner, once. To be called
 * when an end of ours turned out to be none. */
void observe_held(struct instance *inst);

#endif
