/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the parts of drover-launch share. The program links libc and libcap-ng only: one of it stays
 * resident with every guest, so nothing of base/ is used here.
 *
 * No function returns a failure: what goes wrong is said, in words, to who started the launcher, and
 * the process ends.
 */
#ifndef DROVER_RUNTIME_LAUNCH_H
#define DROVER_RUNTIME_LAUNCH_H

#include <sched.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

enum { LAUNCH_SOCKET_FD = 4, LAUNCH_EXIT = 125, LAUNCH_FILES = 4096, LAUNCH_GROUPS_MAX = 16 };

/* The command line. Strings are argv's own. */
struct launch {
	pid_t parent; /* who started us */
	bool once;    /* no locks, no keeper: confine and exec */
	bool mortal;  /* ends with who started it; `once` only */
	bool has_uid, has_gid;
	uid_t uid;
	gid_t gid;
	gid_t groups[LAUNCH_GROUPS_MAX];
	size_t n_groups;
	bool set_nofile, set_memlock, set_core;
	rlim_t nofile, memlock, core;
	const char *cpus; /* NULL: as they are */
	cpu_set_t cpu_set;
	const char *cgroup; /* directory of the control group of what is run, or NULL */
	bool private_root;
	const char *q;      /* QEMU's own directory, there read-write; or NULL */
	bool kvm;           /* there is /dev/kvm in the private root */
	const char **binds; /* read-only there besides /usr */
	size_t n_binds;
	int tpm_fd; /* by which QEMU reaches its TPM; 0: it has none */
	const char *tpm_state, *tpm_program;
	char **command; /* what is run, NULL-terminated */
	char *program; /* the file that is executed for it: in a private root what command[0] leads to, where links are gone */
};

/* Says the words, which end with the errno's if asked for by %m, and ends the process. */
_Noreturn void launch_fail(const struct launch *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Reads the command line. */
void launch_options(struct launch *l, int argc, char **argv);

/* Confines the calling process for good; exec is what may follow. Needs no privilege that the
 * options do not ask for. */
void launch_confine(const struct launch *l);
/* The part of it that makes the private root; as root, before the ids go. */
void launch_private_root(const struct launch *l);

/* fork(), in the control group of what is run. */
pid_t launch_fork(const struct launch *l);

/* The TPM, beside QEMU. Before a descriptor is opened: makes the two ends of what they speak by; QEMU's gets its number.
 * Returns the other one, -1 without a TPM. */
int launch_tpm_socket(const struct launch *l);
/* Starts it, confined as QEMU is; it ends with this process. 0 without a TPM. CONTROL: what the former returned; stays the
 * caller's. */
pid_t launch_tpm(const struct launch *l, int control);
/* Ends it, and waits for that. */
void launch_tpm_end(pid_t pid);

#endif
