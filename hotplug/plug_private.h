/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What plug.c and plug_qemu.c share.
 */
#ifndef DROVER_HOTPLUG_PLUG_PRIVATE_H
#define DROVER_HOTPLUG_PLUG_PRIVATE_H

#include "hotplug/plug.h"
#include "runtime/device.h"
#include "runtime/prepare.h"

/* One device. */
struct device {
	bool nic;
	size_t index; /* in the list of the definition */
	const char *id;
	struct json_object *add; /* the argument of device_add; the parts' */
	int *taps;               /* descriptors of a card's tap, then those of vhost-net, which it may not get */
	unsigned n_taps, n_vhost;
	bool kept; /* on the way back the guest did not let go of it, so nothing of it is taken away */
};

struct plug {
	struct instance *inst;
	struct qmp **apart; /* the monitor of a QEMU without a machine, which gets the images instead; or NULL */
	struct json_object *running, *ids, *names;
	struct definition def; /* RUNNING, decoded */
	struct device *devices;
	size_t n;
	char *binary;
	struct caps *caps;
	int64_t first_set;
	struct argv_files files;
	struct open_item *items;   /* of the files */
	struct json_object *into;  /* see plug_describe_plan() */
	struct json_object *nodes; /* what QEMU says of its block nodes, or NULL */
	bool told, recorded;       /* that they are attached */
	bool blamed;               /* who failed has been found */
	bool controller;           /* the machine has its SCSI controller */
	struct parts parts;        /* of all devices, as QEMU has to be told of them */
};

/* What a step is about. */
struct about {
	struct plug *p;
	size_t i; /* device, file or part */
	unsigned queue;
};

/* What is known of the binary, for the parts. */
bool plug_env(const struct plug *p, struct argv_env *env, struct err **e);
/* Whom the steps talk to. */
struct qmp *plug_qmp(const struct plug *p);
/* Which device a file or a part is of, by its name; NULL: none, as of a group that disks share. */
const struct device *plug_device_of(const struct plug *p, const char *name);
/* Which file the disk D is written to, which has its size: an index; the number of files if that is none. */
size_t plug_top_file(const struct plug *p, const struct device *d);
/* WHAT, "disks[3].path" of the running definition, as the client called it: "disk.path". The caller's. */
char *plug_called(const struct plug *p, const struct device *d, const char *what);
/* E is about the parameter NAME, which says WHERE. */
void plug_blame(struct err *e, const char *name, const char *where);
/* Whether any image of the devices has a uri. */
bool plug_has_remote(const struct plug *p);
/* What QEMU is to call one of a card's descriptors; the caller's. */
char *plug_tap_name(const struct device *d, unsigned queue);
/* A step about one device, file or part. */
void plug_add_about(struct op *op, const struct step *step, struct plug *p, size_t i, unsigned queue);
/* {KEY: NAME} */
struct json_object *plug_named(const char *key, const char *name);

#endif
