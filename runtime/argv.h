/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Definition -> command line of QEMU. Pure: touches nothing, chooses nothing.
 *
 * Devices, block nodes, netdevs and objects are JSON (runtime/device.h), so nothing in them is escaped; what QEMU takes
 * in its string notation only goes through one writer that doubles commas.
 */
#ifndef DROVER_RUNTIME_ARGV_H
#define DROVER_RUNTIME_ARGV_H

#include "runtime/definition.h"
#include "runtime/firmware.h"

/* The descriptors that QEMU is started with. 0 to 2 are as ever, 3 and 4 the launcher's; from FD_COUNT on the images,
 * behind them the queues of the taps, card by card, those of vhost-net, and the files of the guest's memory; last, of
 * an instance with a TPM, argv_tpm_fd(). */
enum {
	FD_QMP = 5,     /* listening: the monitor */
	FD_QMP2,        /* listening: the second monitor */
	FD_SERIAL,      /* listening: the serial port */
	FD_CONSOLE_LOG, /* append: what the guest writes to the serial port */
	FD_EVENTS_LOG,  /* append: what QEMU says on the second monitor */
	FD_AGENT,       /* listening: the guest agent's port */
	FD_COUNT,
};

/* The fd sets; from SET_COUNT on the images, in their order. */
enum { SET_CONSOLE_LOG = 1, SET_EVENTS_LOG, SET_COUNT };

/* A file that QEMU is given by descriptor: one for each file node, set number SET_COUNT + index, descriptor
 * FD_COUNT + index. */
struct argv_file {
	char node[32];      /* of the file node: "disk-932df160-7a22-4067.p0" */
	unsigned set;       /* SET_COUNT + index; a file that comes later has a number of its own */
	char *what;         /* "disks[0].path", for errors */
	char *path;         /* as the definition has it */
	bool write, direct; /* O_RDWR, O_DIRECT */
	bool qcow2;         /* the format of the image in it */
	bool lone;          /* a qcow2 image for which no backing is given: its header must name none */
	bool shareable;     /* the same file may be another disk's too */
	bool filled;        /* a disk, which has a size */
	bool block;         /* a block device (driver host_device), else a regular file */
	unsigned kind;      /* OPEN_BLOCK or OPEN_CHARACTER, of what is passed through; 0: a block device or a file */
};
struct argv_files {
	struct argv_file *items;
	size_t n;
};

/* `what` of those that are the firmware's: the image, and the variables. Their paths are not the definition's to know. */
#define ARGV_FIRMWARE "hvparams.firmware"

/* Every file of every disk, in the order of the command line; what has a uri is no file. `block` is guessed: a path below /dev.
 * Then those of the firmware, with empty paths. */
void argv_files_list(const struct definition *def, struct argv_files *files);
/* Appends those of one disk. */
void argv_files_add(const struct definition *def, size_t disk, struct argv_files *files);
/* Appends those of the firmware. */
void argv_files_add_firmware(const struct definition *def, struct argv_files *files);
void argv_files_clear(struct argv_files *files);

/* Of -sandbox: what no QEMU of ours needs. */
#define ARGV_SANDBOX "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"

struct display_place;

/* What is known of the binary and the host. */
struct argv_env {
	const char *binary;
	const char *machine; /* the versioned name; NULL: as the definition has it */
	bool kvm, sandbox;
	bool vhost;                        /* cards that can have a descriptor of vhost-net for each queue have one */
	int boot;                          /* of this once; see boot.h */
	const struct display_place *spice; /* where it listens; NULL: as the definition has it */
	const char *kernel, *initrd;       /* where QEMU finds them; NULL: where the definition says */
	const struct uefi *firmware;       /* what was chosen; NULL: raw images, with SMM where they are to be secure */
	/* Whether this binary's device (or machine "pc-i440fx-7.2-machine") TYPE has PROPERTY; PROPERTY NULL: whether there
	 * is such a type. NULL: everything. */
	bool (*has)(const char *type, const char *property, void *data);
	void *data;
	bool running; /* for a QEMU that runs, which then has so many: */
	unsigned iothreads;
};

/* The descriptor by which QEMU reaches its TPM. */
int argv_tpm_fd(const struct definition *def, const struct argv_files *files, bool vhost);
/* NULL-terminated; argv[0] is the binary. */
char **argv_build(const struct definition *def, const struct argv_env *env, const struct argv_files *files);
/* The same for people: devices, nodes and objects in QEMU's string notation. */
char **argv_text(char **argv);
struct json_object *argv_to_json(char **argv);
/* QEMU's string notation: a comma in a value is doubled. */
char *argv_escape(const char *value);
/* kvm_path, or the architecture's binary found in PATH; NULL and NotFound. */
char *argv_binary(const struct definition *def, struct err **e);

#endif
