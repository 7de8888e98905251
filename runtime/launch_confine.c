/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In this order: limits while they may still be raised, the private root while we may still mount, the
 * bounding set while there is CAP_SETPCAP, groups before the uid that may set them, then what is left
 * of the capabilities.
 */
#include "runtime/launch.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static void limit(const struct launch *l, int resource, const char *what, rlim_t value)
{
	struct rlimit r = { value, value };

	if (setrlimit((__rlimit_resource_t)resource, &r) < 0)
		launch_fail(l, "cannot limit %s: %m", what);
}

/* As many as asked for, or as the hard limit allows: QEMU tells when it has too few. Without the option at least so
 * many. */
static void limit_files(const struct launch *l)
{
	struct rlimit r, raised = { l->nofile, l->nofile };

	if (getrlimit(RLIMIT_NOFILE, &r) < 0)
		launch_fail(l, "cannot read the limit of open files: %m");
	if (!l->set_nofile && r.rlim_cur >= l->nofile)
		return;
	if (l->nofile <= r.rlim_max || setrlimit(RLIMIT_NOFILE, &raised) < 0) {
		r.rlim_cur = l->nofile < r.rlim_max ? l->nofile : r.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &r) < 0)
			launch_fail(l, "cannot limit open files: %m");
	}
}

/* The kernel leaves out the processors that it cannot give, as long as one remains. */
static void set_affinity(const struct launch *l)
{
	cpu_set_t got;

	if (sched_setaffinity(0, sizeof(l->cpu_set), &l->cpu_set) < 0)
		launch_fail(l, "cannot run on the processors '%s': %m", l->cpus);
	if (sched_getaffinity(0, sizeof(got), &got) < 0 || !CPU_EQUAL(&got, &l->cpu_set))
		launch_fail(l, "cannot run on the processors '%s': some of them are not there", l->cpus);
}

static void apply(const struct launch *l, capng_select_t set, const char *what)
{
	if (capng_apply(set) < 0)
		launch_fail(l, "cannot drop capabilities: %s: %m", what);
}

static void set_ids(const struct launch *l)
{
	if (setgroups(l->n_groups, l->groups) < 0)
		launch_fail(l, "cannot set the groups: %m");
	if (setresgid(l->gid, l->gid, l->gid) < 0)
		launch_fail(l, "cannot become group %u: %m", l->gid);
	if (setresuid(l->uid, l->uid, l->uid) < 0)
		launch_fail(l, "cannot become user %u: %m", l->uid);
}

static void drop_privileges(const struct launch *l)
{
	bool may_bound;

	if (capng_get_caps_process() < 0)
		launch_fail(l, "cannot read our own capabilities: %m");
	may_bound = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	capng_clear(CAPNG_SELECT_ALL);
	if (may_bound)
		apply(l, CAPNG_SELECT_BOUNDS, "the bounding set");
	if (l->has_uid)
		set_ids(l);
	apply(l, CAPNG_SELECT_CAPS, "permitted, effective and inheritable");
	apply(l, CAPNG_SELECT_AMBIENT, "the ambient set");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		launch_fail(l, "cannot set no_new_privs: %m");
}

void launch_confine(const struct launch *l)
{
	limit_files(l);
	if (l->set_memlock)
		limit(l, RLIMIT_MEMLOCK, "locked memory", l->memlock);
	if (l->set_core)
		limit(l, RLIMIT_CORE, "core files", l->core);
	if (l->cpus)
		set_affinity(l);
	if (l->private_root)
		launch_private_root(l);
	umask(0077);
	drop_privileges(l);
	/* Last, for a change of ids clears it. */
	if (l->mortal && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() != l->parent)
		_exit(LAUNCH_EXIT);
}
