/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of verbs and the functions behind it.
 *
 * Each function has the contract of struct verb's `run`. A new verb is a row in verbs.c, its
 * options beside it, and, where no function here does already, a function.
 */
#ifndef DROVER_CLI_VERBS_H
#define DROVER_CLI_VERBS_H

#include "cli/cli.h"

/* In the order of the help; ends with a row without a name. */
extern const struct verb cli_verbs[];

/* The row's command with {"instance": NAME, options} for each name given, a line for each. Goes on
 * after a failure; the status is the first failure's. */
int verb_each(struct cli *cli);
/* The same with {"id": ID}. */
int verb_each_job(struct cli *cli);
/* What verb_each() says of a result: "running", "already running". The caller's. */
char *verb_outcome(const struct verb *verb, struct json_object *result);
/* "SUBJECT: GIVEN", or with --json RESULT. Consumes GIVEN. */
void verb_print(const struct cli *cli, const char *subject, struct json_object *result, char *given);
/* verb_each(), or with --on-host-shutdown all guests, as each one's on_host_shutdown says. */
int verb_shutdown(struct cli *cli);
int verb_define(struct cli *cli);
int verb_import(struct cli *cli);
int verb_modify(struct cli *cli);
/* What instance-modify says that it changed, or (DRY_RUN) would. The caller's. */
char *modify_outcome(struct json_object *result, bool dry_run);
int verb_edit(struct cli *cli);
int verb_rename(struct cli *cli);

/* `disk attach`, `nic detach` and so on: the first word is the member that the request and its result have. */
int verb_attach(struct cli *cli);
int verb_detach(struct cli *cli);
int verb_resize(struct cli *cli);
/* What they say of a result: "attached disk1 (disk-…) at pci.0 0xd". The caller's. */
char *device_outcome(const struct verb *verb, struct json_object *result);

int verb_screenshot(struct cli *cli);
int verb_send_key(struct cli *cli);
int verb_display_password(struct cli *cli);

int verb_list(struct cli *cli);
int verb_show(struct cli *cli);
int verb_host(struct cli *cli);
int verb_argv(struct cli *cli);
int verb_stats(struct cli *cli);
/* What `stats --prometheus` does. */
int metrics_run(struct cli *cli);
int verb_top(struct cli *cli);
int verb_guest(struct cli *cli);
int verb_jobs(struct cli *cli);
int verb_log(struct cli *cli);
int verb_wait(struct cli *cli);
int verb_trace(struct cli *cli);
int verb_events(struct cli *cli);
int verb_call(struct cli *cli);
int verb_console(struct cli *cli);
int verb_proxy(struct cli *cli);
int verb_help(struct cli *cli);
int verb_complete(struct cli *cli);
int verb_version(struct cli *cli);

#endif
