/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a display needs of the host: sockets, passwords, and files for TLS.
 *
 * Ports: display_port.h. A socket in a directory is made by drover-open, which refuses what others have there, and is removed
 * when its process is gone.
 * Passwords are the first lines of files and are told to QEMU before the guest runs; they are kept nowhere.
 */
#ifndef DROVER_RUNTIME_DISPLAY_HOST_H
#define DROVER_RUNTIME_DISPLAY_HOST_H

#include "base/op.h"
#include "runtime/display.h"
#include "storage/open.h"

struct instance;
struct prepare;

enum { DISPLAY_ITEMS = 6 };

struct displays {
	int fd;         /* what VNC is to listen on */
	unsigned *held; /* the instance's held_port while that is SPICE's to be */
	struct display_place place;
	char *path; /* of the socket; NULL: it is an address */
	char *password;
	char *paths[DISPLAY_ITEMS]; /* of the items */
};

void displays_clear(struct displays *d);
/* Fills in what drover-open is to do of the definition, at most DISPLAY_ITEMS; how many. */
size_t displays_items(struct displays *d, const struct instance *inst, struct open_item *items);
/* "displays" of runtime.json and of query-instance. The caller's. */
struct json_object *displays_describe(const struct displays *d, const struct hvparams *hv);

/* Before anything is made: looks whether the binary can. */
void displays_check_plan(struct op *op, struct prepare *p);
/* Right behind prepare_open_files: notes the socket and takes what else was opened, finds a port. */
void displays_open_plan(struct op *op, struct prepare *p);
/* Behind the connection of the monitors: passwords, and the socket. */
void displays_plan(struct op *op, struct prepare *p);
/* The names of pictures that QEMU makes in its own directory begin so, a number and ".png" follow. */
#define DISPLAY_PICTURE "screenshot-"
/* Whether NAME in that directory is such a picture, or one of the files of TLS that were put there. */
bool displays_is_ours(const char *name);
/* Removes those that the last droverd did not fetch. */
void displays_sweep(const struct instance *inst);
/* The copies that QEMU has read, or never will. */
void displays_remove_copies(const struct instance *inst);
/* The socket in a directory of a process that is gone: the one that was noted, if nobody listens on it. One that the end of
 * droverd kept from being noted is removed by the next start. */
void displays_remove_socket(const struct instance *inst);

#endif
