/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of hotplug share: a droverd, its instance VM, what is asked of them, and what the guest, QEMU and both
 * records have then.
 *
 * In the arguments of requests ' stands for ", and '@' for the directory of images.
 */
#ifndef DROVER_TESTS_HOT_H
#define DROVER_TESTS_HOT_H

#include "guest.h"

#define VM "vm"

enum { KIB = 1024, HOT_LOOK_MS = 20 };

struct hot {
	struct rig *rig;
	struct client *client;
	char *dir; /* of images: root's alone, as everything in it */
};
extern struct hot hot;

/* The fixture of each test. */
void hot_set_up(void);
void hot_tear_down(void);
/* droverd is killed, and there is another one. */
void hot_restart(void);
/* An image of so many KiB, which begins with TEXT. */
void hot_image(const char *name, const char *text, off_t kib);
/* "top", a qcow2 image over "mid", another, over "base", a raw one, of 4 MiB: each is what is read of a part of it, 64 KiB
 * at 128 KiB of 'T', at 64 KiB of 'M', at 0 of 'B'. */
void hot_chain(void);
/* What an attach is told of it. */
#define HOT_CHAIN \
	"'path': '@/top', 'format': 'qcow2', 'backing': [{'path': '@/mid', 'format': 'qcow2'}, {'path': '@/base'}]"
/* Defines and starts VM, with Linux; WORDS: of its command line; PARAMS and MORE: further hvparams, and members of the
 * definition, each behind a comma or "". */
void hot_start(const char *machine, const char *words, const char *params, const char *more);
/* The same without Linux: a firmware that finds nothing to boot. */
void hot_start_bare(const char *machine, const char *params, const char *more);

/* ---- requests: to COMMAND, of VM, with ARGS ---- */

int hot_request(const char *command, const char *args);
/* It succeeds. */
void hot_done(const char *command, const char *args);
/* It fails; the error, the caller's. */
struct json_object *hot_fails(const char *class, const char *command, const char *args);
/* It succeeds, and in front of its reply EVENT has been told so many times. The result, the caller's. */
struct json_object *hot_told(const char *event, unsigned times, const char *command, const char *args);
/* The same, and it changes the guest; the definition only. */
void hot_changes(const char *event, unsigned times, const char *command, const char *args);
void hot_changes_later(const char *command, const char *args);

/* ---- what there is ---- */

/* QEMU's own answer; the caller's. */
struct json_object *hot_qemu(const char *execute, const char *args);
/* What QEMU has: nodes, objects, devices, backends of cards, descriptors; those of droverd; interfaces of the host; once
 * that stays so. The caller's. And: it is, or comes to be, as before. */
char *hot_world(void);
void hot_expect_world(const char *before);
/* The definition and the runtime record, as text. The caller's. */
char *hot_both_records(void);
/* Both records have the same, and QEMU what they have. */
void hot_expect_records(void);
/* "NAME HVINFO" of each device of the definition, one a line; that of one device. The caller's. */
char *hot_addresses(void);
char *hot_address(const char *name);
void hot_expect_address(const char *name, const char *before);
/* "WHAT VALUE" for the member KEY of each of LIST, sorted, one a line, behind *TEXT. Consumes LIST. */
void hot_add_sorted(char **text, const char *what, const char *key, struct json_object *list);

/* ---- the guest ---- */

/* How often it has said TEXT; and it says it once more than BEFORE. */
unsigned hot_said(const char *text);
void hot_says(const char *text, unsigned before);

/* A device that comes and goes. */
struct hot_kind {
	const char *list, *device;   /* "disk" or "nic"; its members */
	const char *added, *removed; /* what the guest says */
	const char *line, *prints;   /* while it is there a line of shell prints this; NULL: none is tried */
};
void hot_attach(const struct hot_kind *k);
void hot_detach(const struct hot_kind *k);

/* guest_main(), for root only. */
int hot_main(Suite *(*make)(void));

#endif
