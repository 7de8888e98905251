/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Long commands, for somebody who watches.
 *
 * On a terminal (stderr) the command becomes a job with an id of ours: its step and progress are drawn in a line that goes
 * when it ends, the first ^C asks for its cancel, the second one leaves it alone and ends drover, saying how to find it.
 * Without a terminal, and with --json, it is an ordinary call, and ^C ends drover at once.
 */
#ifndef DROVER_CLI_WORK_H
#define DROVER_CLI_WORK_H

#include "cli/cli.h"

/* The verb's command with ARGUMENTS, as cli_call() has it; SUBJECT is what it is about, for people. */
bool work_call(struct cli *cli, const char *subject, struct json_object *arguments, struct json_object **ret,
	       struct err **e);
/* ^C was typed meanwhile: what would follow is not wanted either. */
bool work_interrupted(void);

/* "web1: instance-stop: wait for the end  [####------] 2/5  12s" of a job as query-jobs has it; the caller's. */
char *work_line(const char *subject, struct json_object *job, double seconds);

#endif
