/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a start needs before there is a process: the binary and what it can do, how it will be confined, and the files
 * it is given. Steps for the plan of a start; nothing of the guest exists yet, and their undo()s need nothing but the
 * instance.
 */
#ifndef DROVER_RUNTIME_PREPARE_H
#define DROVER_RUNTIME_PREPARE_H

#include "qmp/caps_cache.h"
#include "runtime/accel.h"
#include "runtime/account.h"
#include "runtime/argv.h"
#include "runtime/confine.h"
#include "runtime/display_host.h"
#include "runtime/instance.h"
#include "storage/open.h"

/* In QEMU's own directory, until its first reply. */
#define COPY_OF_KERNEL "kernel"
#define COPY_OF_INITRD "initrd"

struct prepare {
	struct instance *inst;
	char *binary;
	struct caps *caps;
	struct accel_result accel; /* of a definition that says auto */
	bool kvm;
	const char *machine; /* its versioned name; CAPS's */
	struct argv_files files;
	struct open_item *items; /* of the files, in their order; memory; then kernel, initrd and those of displays */
	struct open_owner owner;
	size_t n_items;
	char room[24]; /* bytes of memory that mem_path must have room for */
	int *taps;     /* descriptors behind those of the images: queues of taps, card by card; those of vhost-net, if
			      * VHOST; files of memory */
	size_t n_taps, card; /* card: whose tap is next */
	bool vhost;
	unsigned tries;
	int boot; /* what is booted this once; see boot.h */
	struct displays displays;
	char *q_path;
	char *cpus;                  /* of the process; NULL: all */
	const char *binds[8];        /* of the private root */
	struct machine_state *state; /* see machine_state.h; NULL until there is a plan */
	struct account *account;     /* of security_model user; NULL until there is a plan */
	struct confine confine;
	char **argv; /* QEMU's; from the last step on */
};

void prepare_init(struct prepare *p, struct instance *inst);
void prepare_clear(struct prepare *p);

/* In this order; ARG is the struct prepare. The run directory is made between the third and the fourth. */
extern const struct step prepare_ask_binary; /* what it can do */
extern const struct step prepare_claim_uid;
extern const struct step prepare_look_at_kvm; /* whether it works for who QEMU will be */
extern const struct step prepare_open_files;
extern const struct step prepare_make_taps;
extern const struct step prepare_build; /* argv */

/* As whom a process of DEF runs, which has UID of the pool, or ACCOUNT, if it needs one: fills C, a zeroed one. */
void prepare_confine(struct confine *c, const struct definition *def, uid_t uid, const struct account *account);

/* What drover-open is to open for a file; its strings stay F's. */
struct open_item prepare_item(const struct argv_file *f);

/* What an instance's binary has, for argv_build(). CAPS stays the caller's and outlives ENV. Unsupported: it has no such
 * machine. */
bool prepare_env(struct argv_env *env, const struct definition *def, const char *binary, struct caps *caps, bool kvm,
		 struct err **e);

/* Asks whether KVM works for a process of DEF, whatever its hvparams.accel. FN as of accel_ask(), ACCOUNT as above. */
bool prepare_ask_kvm(struct runtime *rt, const struct definition *def, const struct account *account,
		     const char *binary, accel_fn *fn, void *data, struct accel_ask **ask, struct err **e);

#endif
