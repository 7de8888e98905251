/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine "web", on which plans are tried: it has two disks, one with a backing image, and a NIC, with identities and
 * places given, so that two worlds with it can be compared to the letter. On the stage's rig, and the only machine there.
 */
#ifndef DROVER_TESTS_WEB_H
#define DROVER_TESTS_WEB_H

#define WEB_UUID "5f1c2f0e-8a55-4a6e-9f53-0c2b6a1d9e10"
/* Names it in arguments, whatever it is called. */
#define WEB "'instance': '" WEB_UUID "'"

/* With ' for "; the caller's. */
char *web_definition(const char *description);
/* What its disks lie on, once for all roots; the fake does not look at them, drover-open does. And the bridge of its card. */
void web_make_things(void);
/* Puts the definition "first" where a droverd that is started finds it. */
void web_write(void);
/* COMMAND, with MORE behind its name; it must succeed. */
void web_ask(const char *command, const char *more);

/* Files (the last state and logs apart), processes and control groups; what is told of each instance, the whole text of
 * its definition, what of that does not run yet, and the devices of its record and its QEMU. The caller's. */
char *web_world(void);
/* How often PART is in a text. */
unsigned web_count(const char *text, const char *part);

/* What is told of the instance is what the kernel says of it, and it has at most one process. */
void web_check_agreement(void);
/* Each log is that of an instance. */
void web_check_logs(void);
/* There is no process but droverd and those of the world. */
void web_check_strangers(void);
/* Whatever happened, a machine can be made, started, stopped and taken away, and the world is then NOTHING, and droverd
 * holds so many descriptors. */
void web_check_life_goes_on(const char *nothing, unsigned fds);

#endif
