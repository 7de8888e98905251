/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a QEMU is confined: what drover-launch is told. runtime/launch_main.c has the options and what
 * they mean.
 *
 * A probe of a binary (`once`) is confined by the same options as the guest it speaks for.
 */
#ifndef DROVER_RUNTIME_CONFINE_H
#define DROVER_RUNTIME_CONFINE_H

#include "base/err.h"

#include <sys/resource.h>
#include <sys/types.h>

enum { CONFINE_GROUPS_MAX = 16 };

/* All zero: what every QEMU gets, and nothing else. Strings stay the caller's. */
struct confine {
	bool drop; /* become uid and gid, with these groups only */
	uid_t uid;
	gid_t gid;
	gid_t groups[CONFINE_GROUPS_MAX];
	unsigned n_groups;
	unsigned nofile; /* 0: the launcher's own default */
	bool limit_memlock, limit_core;
	rlim_t memlock, core; /* bytes or RLIM_INFINITY */
	const char *cpus;     /* "0-3,8"; NULL: all */
	const char *cgroup;   /* directory of a control group, or NULL */
	/* The TPM beside it: QEMU's descriptor of it, the directory of its state, swtpm; or 0 and NULL. */
	int tpm_fd;
	const char *tpm_state, *tpm_program;
	bool private_root;
	/* Of the private root only: */
	const char *q_path;       /* absolute path of QEMU's own directory, or NULL */
	bool kvm;                 /* /dev/kvm */
	const char *const *binds; /* absolute paths, NULL-terminated, which must exist; or NULL */
	/* A probe: droverd's child itself becomes COMMAND; status 125 with words on stderr if it cannot. */
	bool once;
	bool die_with_parent;
};

/* The command line of LAUNCHER that runs COMMAND so confined; argv_free() frees it. */
char **confine_argv(const struct confine *c, const char *launcher, char *const *command);

/* The uid and gid of the user DOMAIN, a name or a number. A number without an account is its own gid. Asks the
 * host's databases of users, in line. NotFound, InvalidParameter; both name hvparams.security_domain. */
bool confine_user(const char *domain, uid_t *uid, gid_t *gid, struct err **e);

/* The group by which /dev/kvm may be used; (gid_t)-1 if no group is needed or none helps. */
gid_t confine_kvm_group(void);

/* A number that tells the daemons of one host apart, by their roots; 0 for NULL, the system's. */
uint32_t confine_tag(const char *root);

#endif
