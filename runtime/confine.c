/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/confine.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

#define DOMAIN "hvparams.security_domain"

struct words {
	char **items;
	size_t n;
};

/* Takes WORD. */
static void put(struct words *w, char *word)
{
	w->items = xrealloc(w->items, w->n + 2, sizeof(char *));
	w->items[w->n++] = word;
	w->items[w->n] = NULL;
}

static void put_flag(struct words *w, const char *option, bool wanted)
{
	if (wanted)
		put(w, xstrdup(option));
}

static void put_text(struct words *w, const char *option, const char *value)
{
	if (!value)
		return;
	put(w, xstrdup(option));
	put(w, xstrdup(value));
}

static void put_number(struct words *w, const char *option, bool wanted, uint64_t value)
{
	if (!wanted)
		return;
	put(w, xstrdup(option));
	put(w, xasprintf("%" PRIu64, value));
}

static void put_limit(struct words *w, const char *option, bool wanted, rlim_t value)
{
	if (wanted && value == RLIM_INFINITY)
		put_text(w, option, "unlimited");
	else
		put_number(w, option, wanted, value);
}

char **confine_argv(const struct confine *c, const char *launcher, char *const *command)
{
	struct words w = { NULL };

	put(&w, xstrdup(launcher));
	put_flag(&w, "--once", c->once); /* first, as the launcher wants it */
	put_flag(&w, "--die-with-parent", c->die_with_parent);
	put_number(&w, "--uid", c->drop, c->uid);
	put_number(&w, "--gid", c->drop, c->gid);
	for (unsigned i = 0; c->drop && i < c->n_groups; i++)
		put_number(&w, "--group", true, c->groups[i]);
	put_number(&w, "--nofile", c->nofile > 0, c->nofile);
	put_limit(&w, "--memlock", c->limit_memlock, c->memlock);
	put_limit(&w, "--core", c->limit_core, c->core);
	put_text(&w, "--cpus", c->cpus);
	put_text(&w, "--cgroup", c->cgroup);
	put_number(&w, "--tpm", c->tpm_fd > 0, (uint64_t)c->tpm_fd);
	put_text(&w, "--tpm-state", c->tpm_state);
	put_text(&w, "--tpm-program", c->tpm_program);
	if (c->private_root) {
		put_flag(&w, "--private-root", true);
		put_flag(&w, "--kvm", c->kvm);
		put_text(&w, "--q", c->q_path);
		for (const char *const *p = c->binds; p && *p; p++)
			put_text(&w, "--bind", *p);
	}
	put_flag(&w, "--", true);
	for (; *command; command++)
		put(&w, xstrdup(*command));
	return w.items;
}

static bool no_user(const char *domain, struct err **e)
{
	err_set(e, ERR_NOT_FOUND, "'" DOMAIN "': there is no user '%s'", domain);
	return err_name_param(e, DOMAIN);
}

/* The row of NAME, or of UID if that is NULL; 0, or the errno. What is not there has errno 0 and no row. */
static int look_up(const char *name, uid_t uid, struct passwd *pw, char **buf, bool *found)
{
	size_t size = 1024;
	struct passwd *row = NULL;
	int r;

	do {
		size *= 2;
		*buf = xrealloc(*buf, size, 1);
		r = name ? getpwnam_r(name, pw, *buf, size, &row) : getpwuid_r(uid, pw, *buf, size, &row);
	} while (r == ERANGE);
	*found = row;
	/* as passwd(3) has it, "not found" may come as any of these */
	return r == ENOENT || r == ESRCH || r == EBADF || r == EPERM ? 0 : r;
}

bool confine_user(const char *domain, uid_t *uid, gid_t *gid, struct err **e)
{
	bool is_number = domain[0] && !domain[strspn(domain, "0123456789")], found;
	uint64_t number = is_number ? strtoull(domain, NULL, 10) : 0;
	_cleanup_free_ char *buf = NULL;
	struct passwd pw;
	int r;

	if (!domain[0])
		return err_set_param(e, DOMAIN, "names no user");
	if (number >= (uid_t)-1)
		return err_set_param(e, DOMAIN, "'%s' is no uid", domain);
	r = look_up(is_number ? NULL : domain, (uid_t)number, &pw, &buf, &found);
	if (r)
		return err_set_errno(e, ERR_GENERIC, r, "cannot look up the user '%s'", domain);
	if (!found && !is_number)
		return no_user(domain, e);
	*uid = found ? pw.pw_uid : (uid_t)number;
	*gid = found ? pw.pw_gid : (gid_t)number;
	return true;
}

gid_t confine_kvm_group(void)
{
	const mode_t others = S_IROTH | S_IWOTH, group = S_IRGRP | S_IWGRP;
	struct stat st;

	if (stat("/dev/kvm", &st) < 0 || !S_ISCHR(st.st_mode) || (st.st_mode & others) == others ||
	    (st.st_mode & group) != group)
		return (gid_t)-1;
	return st.st_gid;
}

/* FNV-1a. */
uint32_t confine_tag(const char *root)
{
	uint32_t h = 2166136261U;

	if (!root)
		return 0;
	for (; *root; root++)
		h = (h ^ (unsigned char)*root) * 16777619U;
	return h;
}
