/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fd sets, and the commands that carry descriptors. QEMU 7.2 closes what remove-fd names only while the guest runs, and
 * says yes all the same; what is left then goes with the last node that uses it, or with the last monitor.
 */
#include "fake.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static struct fdset *find(const struct gear *g, int64_t number)
{
	for (struct fdset *s = g->sets; s; s = s->next)
		if (s->number == number)
			return s;
	return NULL;
}

static struct fdset *get(struct gear *g, int64_t number)
{
	struct fdset **p = &g->sets, *s = find(g, number);

	if (s)
		return s;
	s = xcalloc(1, sizeof(*s));
	s->number = number;
	while (*p && (*p)->number < number)
		p = &(*p)->next;
	s->next = *p;
	*p = s;
	return s;
}

static int64_t lowest_free(const struct gear *g)
{
	int64_t number = 0;

	while (find(g, number))
		number++;
	return number;
}

/* Closes what may be: members that were removed, and with UNUSED those of a set that nobody uses. A set with neither
 * members nor users goes. */
static void sweep(struct fake *f, struct fdset *s, bool unused)
{
	bool may = fake_runs(f) || script_says(&f->script, "fdsets", "early");
	struct fdset **p = &f->gear.sets;
	size_t left = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct member *m = &s->members[i];

		if (may && (m->removed || (unused && !s->users))) {
			close(m->fd);
			free(m->opaque);
		} else {
			s->members[left++] = *m;
		}
	}
	s->n = left;
	if (s->n || s->users)
		return;
	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
	free(s->members);
	free(s);
}

void fdsets_sweep(struct fake *f)
{
	bool alone = true;

	for (size_t i = 0; i < f->n; i++)
		alone = alone && f->monitors[i].fd < 0;
	for (struct fdset *s = f->gear.sets, *next; s; s = next) {
		next = s->next;
		sweep(f, s, alone);
	}
}

int fdset_open(struct fake *f, int64_t number, int flags)
{
	struct fdset *s = find(&f->gear, number);

	errno = ENOENT;
	for (size_t i = 0; s && i < s->n; i++) {
		int fd;

		errno = EACCES;
		if ((fcntl(s->members[i].fd, F_GETFL) & O_ACCMODE) != (flags & O_ACCMODE))
			continue;
		fd = fcntl(s->members[i].fd, F_DUPFD_CLOEXEC, 0);
		s->users += fd >= 0;
		return fd;
	}
	return -1;
}

void fdset_close(struct fake *f, int64_t number, int fd)
{
	struct fdset *s = find(&f->gear, number);

	close(fd);
	if (s && --s->users == 0)
		sweep(f, s, false);
}

/* ---- commands ---- */

/* By the command line "fd" is its number. */
static struct json_object *add_fd(struct ask *a)
{
	struct gear *g = &a->f->gear;
	int64_t number = json_get_int(a->args, "fdset-id", lowest_free(g));
	const char *opaque = json_get_str(a->args, "opaque");
	int fd = a->m ? monitor_take_fd(a->m) : (int)json_get_int(a->args, "fd", -1);
	struct json_object *o;
	struct fdset *s;

	if (fd < 0)
		return refuse(a, "GenericError", "No file descriptor supplied via SCM_RIGHTS");
	if (number < 0) {
		close(fd);
		return refuse(a, "GenericError", "Parameter 'fdset-id' expects a non-negative value");
	}
	s = get(g, number);
	s->members = xrealloc(s->members, s->n + 1, sizeof(*s->members));
	s->members[s->n++] = (struct member){ .fd = fd, .opaque = opaque ? xstrdup(opaque) : NULL };
	o = json_object_new_object();
	json_add_int(o, "fdset-id", number);
	json_add_int(o, "fd", fd);
	return o;
}

static struct json_object *remove_fd(struct ask *a)
{
	int64_t number, fd = json_get_int(a->args, "fd", -1);
	struct fdset *s;
	size_t found = 0;

	if (!ask_int(a, "fdset-id", &number) || script_says(&a->f->script, "fdsets", "stay"))
		return NULL;
	s = find(&a->f->gear, number);
	for (size_t i = 0; s && i < s->n; i++)
		if (fd < 0 || s->members[i].fd == fd)
			s->members[i].removed = ++found;
	if (fd >= 0 && !found)
		return refuse(a, "GenericError", "File descriptor named 'fdset-id:%lld, fd:%lld' not found",
			      (long long)number, (long long)fd);
	if (!s)
		return refuse(a, "GenericError", "File descriptor named 'fdset-id:%lld' not found", (long long)number);
	sweep(a->f, s, false);
	return NULL;
}

/* The highest number first. */
static struct json_object *query_fdsets(struct ask *a)
{
	struct json_object *list = json_object_new_array();
	size_t n = 0, i = 0;

	for (struct fdset *s = a->f->gear.sets; s; s = s->next)
		n++;
	for (struct fdset *s = a->f->gear.sets; s; s = s->next, i++) {
		struct json_object *o = json_object_new_object(), *fds = json_object_new_array();

		for (size_t k = 0; k < s->n; k++) {
			struct json_object *member = json_object_new_object();

			json_add_int(member, "fd", s->members[k].fd);
			json_add_str(member, "opaque", s->members[k].opaque);
			json_object_array_add(fds, member);
		}
		json_add_int(o, "fdset-id", s->number);
		json_add(o, "fds", fds);
		json_object_array_put_idx(list, n - 1 - i, o);
	}
	return list;
}

static struct json_object *getfd(struct ask *a)
{
	const char *name = ask_str(a, "fdname");
	int fd = name ? monitor_take_fd(a->m) : -1;

	if (!name)
		return NULL;
	if (fd < 0)
		return refuse(a, "GenericError", "No file descriptor supplied via SCM_RIGHTS");
	if (*name >= '0' && *name <= '9') {
		close(fd);
		return refuse(a, "GenericError", "Parameter 'fdname' expects a name not starting with a digit");
	}
	monitor_name_fd(a->m, name, fd);
	return NULL;
}

static struct json_object *closefd(struct ask *a)
{
	const char *name = ask_str(a, "fdname");
	int fd = name ? monitor_take_name(a->m, name) : -1;

	if (name && fd < 0)
		return refuse(a, "GenericError", "File descriptor named '%s' not found", name);
	fd_close(fd);
	return NULL;
}

const struct command fdset_commands[] = {
	{ "add-fd", add_fd, "fdset-id:i opaque" },
	{ "closefd", closefd, "fdname" },
	{ "getfd", getfd, "fdname" },
	{ "query-fdsets", query_fdsets, "" },
	{ "remove-fd", remove_fd, "fdset-id:i fd:i" },
	{ 0 },
};
