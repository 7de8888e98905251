/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/launch.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* droverd reads the words at one go, with room for 511 bytes. */
enum { WORDS_MAX = 480, FILES_MAX = 1 << 30 };

enum option_id {
	OPT_BIND = 1,
	OPT_CGROUP,
	OPT_CORE,
	OPT_CPUS,
	OPT_GID,
	OPT_GROUP,
	OPT_KVM,
	OPT_MEMLOCK,
	OPT_MORTAL,
	OPT_NOFILE,
	OPT_ONCE,
	OPT_PRIVATE_ROOT,
	OPT_Q,
	OPT_TPM,
	OPT_TPM_PROGRAM,
	OPT_TPM_STATE,
	OPT_UID,
};

static const struct option options[] = {
	{ "bind", required_argument, NULL, OPT_BIND },
	{ "cgroup", required_argument, NULL, OPT_CGROUP },
	{ "core", required_argument, NULL, OPT_CORE },
	{ "cpus", required_argument, NULL, OPT_CPUS },
	{ "die-with-parent", no_argument, NULL, OPT_MORTAL },
	{ "gid", required_argument, NULL, OPT_GID },
	{ "group", required_argument, NULL, OPT_GROUP },
	{ "kvm", no_argument, NULL, OPT_KVM },
	{ "memlock", required_argument, NULL, OPT_MEMLOCK },
	{ "nofile", required_argument, NULL, OPT_NOFILE },
	{ "once", no_argument, NULL, OPT_ONCE },
	{ "private-root", no_argument, NULL, OPT_PRIVATE_ROOT },
	{ "q", required_argument, NULL, OPT_Q },
	{ "tpm", required_argument, NULL, OPT_TPM },
	{ "tpm-program", required_argument, NULL, OPT_TPM_PROGRAM },
	{ "tpm-state", required_argument, NULL, OPT_TPM_STATE },
	{ "uid", required_argument, NULL, OPT_UID },
	{ NULL },
};

void launch_fail(const struct launch *l, const char *fmt, ...)
{
	char text[WORDS_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* Who tries it by hand has no socket for it, and a droverd may be gone. */
	if (l->once || dprintf(LAUNCH_SOCKET_FD, "%s\n", text) < 0)
		dprintf(STDERR_FILENO, "drover-launch: %s\n", text);
	_exit(LAUNCH_EXIT);
}

/* A plain decimal number of at most MAX. */
static unsigned long long number(const struct launch *l, const char *option, const char *text, unsigned long long max)
{
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || n > max)
		launch_fail(l, "'--%s %s': not a number up to %llu", option, text, max);
	return n;
}

/* (id_t)-1 would mean "leave it as it is" to the kernel. */
static id_t id_number(const struct launch *l, const char *option, const char *text)
{
	return (id_t)number(l, option, text, (id_t)-2);
}

static rlim_t limit_number(const struct launch *l, const char *option, const char *text)
{
	return strcmp(text, "unlimited") == 0 ? RLIM_INFINITY : number(l, option, text, RLIM_INFINITY - 1);
}

static const char *absolute(const struct launch *l, const char *option, const char *path)
{
	if (path[0] != '/' || path[1] == '\0')
		launch_fail(l, "'--%s %s': not an absolute path", option, path);
	return path;
}

static unsigned cpu_number(const struct launch *l, const char **p)
{
	char *end;
	unsigned long n = strtoul(*p, &end, 10);

	if (**p < '0' || **p > '9' || n >= CPU_SETSIZE)
		launch_fail(l, "'--cpus %s': not a list of processors", l->cpus);
	*p = end;
	return (unsigned)n;
}

/* "0-3,8" */
static void cpu_list(struct launch *l)
{
	const char *p = l->cpus;

	CPU_ZERO(&l->cpu_set);
	for (;;) {
		unsigned first = cpu_number(l, &p), last = first;

		if (*p == '-') {
			p++;
			last = cpu_number(l, &p);
		}
		for (unsigned i = first; i <= last; i++)
			CPU_SET(i, &l->cpu_set);
		if (*p == '\0' && first <= last)
			return;
		if (*p++ != ',' || first > last)
			launch_fail(l, "'--cpus %s': not a list of processors", l->cpus);
	}
}

static void take(struct launch *l, const struct option *option, const char *value)
{
	const char *name = option->name;

	switch ((enum option_id)option->val) {
	case OPT_BIND:
		l->binds[l->n_binds++] = absolute(l, name, value);
		break;
	case OPT_CGROUP:
		l->cgroup = absolute(l, name, value);
		break;
	case OPT_CORE:
		l->set_core = true;
		l->core = limit_number(l, name, value);
		break;
	case OPT_CPUS:
		l->cpus = value;
		cpu_list(l);
		break;
	case OPT_GID:
		l->has_gid = true;
		l->gid = id_number(l, name, value);
		break;
	case OPT_GROUP:
		if (l->n_groups == LAUNCH_GROUPS_MAX)
			launch_fail(l, "'--group %s': more than %d groups", value, LAUNCH_GROUPS_MAX);
		l->groups[l->n_groups++] = id_number(l, name, value);
		break;
	case OPT_KVM:
		l->kvm = true;
		break;
	case OPT_MEMLOCK:
		l->set_memlock = true;
		l->memlock = limit_number(l, name, value);
		break;
	case OPT_MORTAL:
		l->mortal = true;
		break;
	case OPT_NOFILE:
		l->set_nofile = true;
		l->nofile = number(l, name, value, FILES_MAX);
		break;
	case OPT_ONCE:
		if (!l->once) /* which decides who hears of what is wrong before it */
			launch_fail(l, "'--once' must come first");
		break;
	case OPT_PRIVATE_ROOT:
		l->private_root = true;
		break;
	case OPT_Q:
		l->q = absolute(l, name, value);
		break;
	case OPT_TPM:
		l->tpm_fd = (int)number(l, name, value, FILES_MAX);
		break;
	case OPT_TPM_PROGRAM:
		l->tpm_program = absolute(l, name, value);
		break;
	case OPT_TPM_STATE:
		l->tpm_state = absolute(l, name, value);
		break;
	case OPT_UID:
		l->has_uid = true;
		l->uid = id_number(l, name, value);
		break;
	}
}

/* What one option needs of another. */
static void check(const struct launch *l)
{
	if (l->has_uid != l->has_gid)
		launch_fail(l, "'--uid' and '--gid' go together");
	if (l->n_groups && !l->has_uid)
		launch_fail(l, "'--group' needs '--uid' and '--gid'");
	if ((l->n_binds || l->q || l->kvm) && !l->private_root)
		launch_fail(l, "'--bind', '--q' and '--kvm' need '--private-root'");
	if (!l->tpm_fd != !l->tpm_state || !l->tpm_fd != !l->tpm_program || (l->tpm_fd && l->once))
		launch_fail(l, "'--tpm', '--tpm-state' and '--tpm-program' go together, and without '--once'");
	if (l->mortal && !l->once)
		launch_fail(l, "'--die-with-parent' needs '--once'");
	if (!l->command[0])
		launch_fail(l, "there is no program to run");
}

void launch_options(struct launch *l, int argc, char **argv)
{
	int id, index;

	l->once = argc > 1 && strcmp(argv[1], "--once") == 0;
	l->parent = getppid();
	l->nofile = LAUNCH_FILES;
	l->binds = calloc((size_t)argc, sizeof(*l->binds));
	if (!l->binds)
		launch_fail(l, "%m");
	opterr = 0;
	while ((id = getopt_long(argc, argv, "+", options, &index)) >= 0) {
		if (id == '?')
			launch_fail(l, "'%s': no such option, or not as it is written", argv[optind - 1]);
		take(l, &options[index], optarg);
	}
	l->command = argv + optind;
	check(l);
	/* What is not there is said by exec. */
	l->program = l->private_root ? realpath(l->command[0], NULL) : NULL;
	if (!l->program)
		l->program = l->command[0];
}
