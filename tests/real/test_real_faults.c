/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fault matrix (tests/fake/matrix.h) on a real QEMU: start, stop, and both ways of a reboot, with a guest that obeys the
 * power button. The world is also what QEMU says of itself, and the descriptors that it holds.
 *
 * Each step and each kind of fault are tried; with DROVER_LONG=1 each with each.
 */
#include "guest.h"
#include "matrix.h"
#include "tiny.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct plan plans[] = {
	{ "start", DEFINED, "instance-start", .bridged = true, .named = true },
	{ "stop", RUNNING, "instance-stop", .bridged = true, .named = true },
	{ "reboot", RUNNING, "instance-reboot", .named = true, .asks_guest = true, .boots = true },
	{ "boot anew", RUNNING, "instance-reboot", .named = true, .asks_guest = true, .boots = true,
	  .patch = "{'vcpus': 2}" },
};

static char *make_kernel(const char *root)
{
	char *path = xasprintf("%s/kernel", root);

	tiny_write(path, TINY_BUTTON);
	return path;
}

static void await_boot(void)
{
	guest_await(scene.r, "web", "B", 1);
}

/* ---- what QEMU says ---- */

struct lines {
	char *items[256];
	size_t n;
};

static void add(struct lines *l, char *line)
{
	ck_assert_uint_lt(l->n, ARRAY_SIZE(l->items));
	l->items[l->n++] = line;
}

/* What COMMAND returns, as an array; NULL: it does not answer. */
static struct json_object *ask(const char *command, const char *args)
{
	int id = client_send(scene.c, "instance-qmp", "{'instance': 'web', 'execute': '%s', 'arguments': %s}", command,
			     args);
	_cleanup_json_ struct json_object *reply = client_reply(scene.c, id);
	struct json_object *ret, *list;

	if (!json_object_object_get_ex(reply, "return", &ret))
		return NULL;
	if (json_object_is_type(ret, json_type_array))
		return json_object_get(ret);
	list = json_object_new_array();
	json_object_array_add(list, json_object_get(ret));
	return list;
}

/* "qemu COMMAND KEY OTHER" for each. */
static void add_answer(struct lines *l, const char *command, const char *args, const char *key, const char *other)
{
	_cleanup_json_ struct json_object *list = ask(command, args);

	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		add(l, xasprintf("qemu %s %s %s", command, str_at(o, key), str_at(o, other)));
	}
	if (!list)
		add(l, xasprintf("qemu %s: no answer", command));
}

static size_t count_set_fds(struct json_object *sets)
{
	size_t n = 0;

	for (size_t i = 0; sets && i < json_object_array_length(sets); i++)
		n += json_object_array_length(at(json_object_array_get_idx(sets, i), "fds"));
	return n;
}

static bool runs(void)
{
	_cleanup_json_ struct json_object *status = ask("query-status", "{}");

	return status && str_eq(str_at(status, "0.status"), "running");
}

/* They are emptied when the guest runs, which is not waited for. */
static void add_fdsets(struct lines *l)
{
	struct json_object *sets = ask("query-fdsets", "{}");

	for (int64_t end = look_until(); count_set_fds(sets) > 0 && runs() && look_again(end);) {
		json_object_put(sets);
		sets = ask("query-fdsets", "{}");
	}
	ck_assert_msg(count_set_fds(sets) == 0 || !runs(), "it keeps what it was given: %s",
		      json_object_to_json_string(sets));
	add(l, xasprintf("qemu has %zu sets, and in them %zu descriptors", sets ? json_object_array_length(sets) : 0,
			 count_set_fds(sets)));
	json_object_put(sets);
}

static void add_descriptors(struct lines *l, pid_t pid)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/fd", pid);
	DIR *dir = opendir(path);
	struct dirent *d;

	while (dir && (d = readdir(dir))) {
		char target[PATH_MAX];
		ssize_t n = readlinkat(dirfd(dir), d->d_name, target, sizeof(target) - 1);
		const char *name = target;

		target[n > 0 ? n : 0] = '\0';
		/* those for events of devices come and go with the guest's firmware */
		if (n <= 0 || str_starts(target, "anon_inode:"))
			continue;
		if (str_starts(target, scene.r->root))
			name = target + strlen(scene.r->root);
		else if (strstr(target, ":["))
			*strchr(target, '[') = '\0'; /* socket:[123] */
		add(l, xasprintf("qemu holds %s", name));
	}
	if (dir)
		closedir(dir);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *describe(pid_t pid)
{
	char *text = xstrdup("");
	struct lines l = { 0 };

	add_answer(&l, "query-status", "{}", "status", "running");
	add_answer(&l, "query-named-block-nodes", "{'flat': true}", "node-name", "drv");
	add_answer(&l, "qom-list", "{'path': '/machine/peripheral'}", "name", "type");
	add_fdsets(&l);
	add_descriptors(&l, pid);
	qsort(l.items, l.n, sizeof(char *), compare);
	for (size_t i = 0; i < l.n; i++) {
		_cleanup_free_ char *line = l.items[i], *old = text;

		text = xasprintf("%s%s\n", old, line);
	}
	return text;
}

static const struct machine machine = {
	.kernel = make_kernel, .ready = await_boot, .describe = describe, .late = true
};
static const struct matrix matrix = { .machine = &machine, .plans = plans, .n = ARRAY_SIZE(plans), .sample = "0/13" };

int main(void)
{
	return matrix_main(&matrix);
}
