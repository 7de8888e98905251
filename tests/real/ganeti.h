/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ganeti, played: its directories, its command line in its order, its runtime file, below a rig's root.
 */
#ifndef DROVER_TESTS_GANETI_H
#define DROVER_TESTS_GANETI_H

#include "guest.h"

#define VM "web1.example.com"
#define VM_UUID "5f1c2f0e-8a55-4a6e-9f53-0c2b6a1d9e10"
#define DISK0 "932df160-7a22-4067-a566-7e0ca8386133"
#define DISK1 "a32df160-7a22-4067-a566-7e0ca8386134"
#define ID0 "disk-932df160-7a22-4067"
#define ID1 "disk-a32df160-7a22-4067"

enum { GANETI_WORDS_MAX = 128 };

struct ganeti_node {
	struct rig *rig;
	struct client *client;
	char *base; /* Ganeti's KVM directory */
	char *qemu;
	pid_t pid; /* of its QEMU; 0: none */
};
extern struct ganeti_node node;

/* The fixture of each test. */
void node_set_up(void);
void node_tear_down(void);
/* Another droverd: PROGRAM with FAULT, or NULL. The last has ended, or is killed. */
void node_restart(const char *program, const char *fault);
/* A path below Ganeti's directory; the caller's. */
char *node_path(const char *fmt, ...) _printf_(1, 2);
/* A disk of the template "file": the file NAME, and link INDEX to it, which QEMU is given. */
void node_make_disk(const char *name, const char *text, off_t size, unsigned index);

struct ganeti_command {
	char *words[GANETI_WORDS_MAX];
	size_t n, stored; /* so many of them are in the runtime file */
};
/* "-option value" */
void command_add(struct ganeti_command *c, const char *option, const char *fmt, ...) _printf_(3, 4);
/* The part that is stored. KERNEL_ARGS NULL: no kernel; PAUSED: as "--paused" starts one. */
void command_begin(struct ganeti_command *c, const char *machine, const char *kernel_args, bool paused);
void command_add_nic(struct ganeti_command *c, const char *id, int fd, const char *addr, const char *mac);
void command_add_monitors(struct ganeti_command *c);
/* DEVICE: "virtio-blk-pci,bus=pci.0,addr=0xd". ID NULL: an IDE disk has none, but its node, NODE. */
void command_add_disk(struct ganeti_command *c, const char *id, const char *node_name, const char *device,
		      unsigned index);
/* Runs it, which goes to the background. */
void command_run(struct ganeti_command *c);
/* kvm_cmd, as JSON with '; the caller's. */
char *command_stored(const struct ganeti_command *c);
void command_clear(struct ganeti_command *c);
/* SIGKILL, and it is gone. */
void node_end_qemu(void);

/* What instance-import returns for the document TEXT, with '. The caller's. */
struct json_object *node_import(const char *text);
struct json_object *node_refused(const char *class, const char *text);
/* QEMU's own answer; the caller's. */
struct json_object *node_ask(const char *execute, const char *args);
/* The slot of the device ID by QEMU, -1: it has none. */
int64_t node_slot(const char *id);

/* Elements of a runtime file, with ', for printf: each takes the base, and FILE_DISK again. */
#define FILE_DISK(uuid, name, index, hvinfo)                                                                        \
	"[{'dev_type': 'file', 'logical_id': ['loop', '%s/" name "'], 'uuid': '" uuid                               \
	"', 'mode': 'rw', 'size': 1, 'iv_name': 'disk/" index "', 'hvinfo': {" hvinfo "}}, '%s/disks/" VM ":" index \
	"', null]"
#define PCI_AT(driver, id, addr) "'driver': '" driver "', 'id': '" id "', 'bus': 'pci.0', 'addr': '" addr "'"

#endif
