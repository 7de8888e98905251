/* SPDX-License-Identifier: BSD-2-Clause */
/* Looks at what droverd does behind its answers: until it is done. */
#include "base/cleanup.h"
#include "rig.h"
#include "runtime/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_MS = 20, LOOKS_ALIKE = 2 };

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t look_for(int ms)
{
	return now_ms() + ms;
}

int64_t look_until(void)
{
	return look_for(RIG_DEADLINE_MS);
}

bool look_again(int64_t end)
{
	enum { LOOK_US = 2000 };

	usleep(LOOK_US);
	return now_ms() < end;
}

/* ---- the world ---- */

char *rig_still_world(struct rig *r, bool daemon)
{
	char *world = rig_world(r, daemon);

	for (int64_t end = look_until(); !rig_is_still(world) && look_again(end);) {
		free(world);
		world = rig_world(r, daemon);
	}
	return world;
}

char *rig_world_at_rest(struct rig *r, bool daemon)
{
	char *world = rig_still_world(r, daemon);
	int64_t end = look_until();

	for (int alike = 0; alike < LOOKS_ALIKE && now_ms() < end;) {
		_cleanup_free_ char *last = world;

		usleep(LOOK_MS * 1000);
		world = rig_still_world(r, daemon);
		alike = str_eq(world, last) ? alike + 1 : 0;
	}
	return world;
}

void rig_expect_world(struct rig *r, bool daemon, const char *before)
{
	char *now = rig_world(r, daemon);

	for (int64_t end = look_until(); !str_eq(now, before) && look_again(end);) {
		free(now);
		now = rig_world(r, daemon);
	}
	ck_assert_str_eq(now, before);
	free(now);
}

/* ---- descriptors ---- */

unsigned rig_own_fds(struct rig *r)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/fd", r->pid);
	DIR *dir = opendir(path);
	struct dirent *d;
	unsigned n = 0;

	while (dir && (d = readdir(dir))) {
		char target[PATH_MAX];
		ssize_t len = readlinkat(dirfd(dir), d->d_name, target, sizeof(target) - 1);

		target[len > 0 ? len : 0] = '\0';
		n += len > 0 && !str_eq(target, "anon_inode:inotify") && !str_eq(target, "/dev/null");
	}
	if (dir)
		closedir(dir);
	return n;
}

/* An answer in between: then it is not in the midst of writing a file both times. */
unsigned rig_fds_at_rest(struct rig *r, struct client *c)
{
	unsigned fds = process_fds(r->pid), before = 0;

	for (int64_t end = look_until(); fds != before && look_again(end);) {
		before = fds;
		json_object_put(client_ok(c, "query-instances", NULL));
		fds = process_fds(r->pid);
	}
	return fds;
}

void rig_expect_fds(struct rig *r, unsigned n)
{
	/* When QEMU has answered all, they are closed in moments; a test that counts them fails in each of its rows. */
	enum { FDS_MS = 10000 };

	for (int64_t end = look_for(FDS_MS); process_fds(r->pid) != n && look_again(end);)
		;
	ck_assert_uint_eq(process_fds(r->pid), n);
}

/* ---- instances ---- */

pid_t rig_lock_holder(struct rig *r, const char *name, const char *file)
{
	_cleanup_free_ char *path = xasprintf("%s/run/instances/%s", r->root, name);
	_cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return dir < 0 ? 0 : process_lock_holder(dir, file);
}

bool rig_is_settled(struct rig *r, struct client *c)
{
	_cleanup_json_ struct json_object *jobs = client_ok(c, "query-jobs", NULL);
	_cleanup_json_ struct json_object *list = client_ok(c, "query-instances", NULL);

	for (size_t i = 0; i < json_object_array_length(jobs); i++)
		if (!str_eq(str_at(json_object_array_get_idx(jobs, i), "status"), "concluded"))
			return false;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		if (has(o, "operation.job-id") || str_eq(str_at(o, "state"), "nostate") ||
		    json_get_int(o, "pid", 0) != rig_lock_holder(r, str_at(o, "name"), "qemu.lock"))
			return false;
	}
	return true;
}

void rig_settle(struct rig *r, struct client *c)
{
	_cleanup_json_ struct json_object *jobs = NULL, *list = NULL;
	bool settled = rig_is_settled(r, c);

	for (int64_t end = look_until(); !settled && look_again(end);)
		settled = rig_is_settled(r, c);
	if (settled)
		return;
	jobs = client_ok(c, "query-jobs", NULL);
	list = client_ok(c, "query-instances", NULL);
	ck_abort_msg("does not settle: %s %s", json_object_to_json_string(jobs), json_object_to_json_string(list));
}

/* A guest that lets go of a device when it likes is cleared up after by an operation of droverd's own. */
static struct json_object *await_no_operation(struct client *c, const char *name)
{
	struct json_object *o = client_ok(c, "query-instance", "{'instance': '%s'}", name);

	for (int64_t end = look_until(); has(o, "operation.step") && look_again(end);) {
		json_object_put(o);
		o = client_ok(c, "query-instance", "{'instance': '%s'}", name);
	}
	ck_assert_msg(!has(o, "operation.step"), "an operation is left: %s", json_object_to_json_string(o));
	return o;
}

pid_t rig_check_agreement(struct rig *r, struct client *c, const char *name)
{
	_cleanup_json_ struct json_object *o = await_no_operation(c, name);
	pid_t pid = rig_lock_holder(r, name, "qemu.lock");

	/* It may end between the two looks. */
	for (int64_t end = look_until(); json_get_int(o, "pid", 0) != pid && look_again(end);) {
		json_object_put(o);
		o = await_no_operation(c, name);
		pid = rig_lock_holder(r, name, "qemu.lock");
	}
	if (pid) {
		ck_assert_int_eq(int_at(o, "pid"), pid);
		ck_assert_int_eq(int_at(o, "runtime.process.pid"), pid);
		ck_assert(process_start_time(pid) == (uint64_t)int_at(o, "runtime.process.start-time"));
		ck_assert_int_ne(rig_lock_holder(r, name, "lock"), 0);
		ck_assert_str_eq(str_at(o, "monitor"), "ok");
	} else {
		ck_assert(!has(o, "pid"));
		ck_assert_msg(str_eq(str_at(o, "state"), "shutoff") || str_eq(str_at(o, "state"), "crashed"),
			      "it is %s", str_at(o, "state"));
		ck_assert(json_object_object_get(o, "runtime") == NULL);
	}
	return pid;
}

static bool are_strangers(struct rig *r)
{
	_cleanup_free_ char *is = rig_still_world(r, false);
	unsigned known = 2, all = 0;
	DIR *proc = opendir("/proc");
	struct dirent *d;

	for (const char *p = is; (p = strstr(p, "process ")); p++)
		known++;
	while ((d = readdir(proc))) {
		pid_t pid = (pid_t)strtol(d->d_name, NULL, 10);
		char state = '\0';

		if (pid > 0)
			state = process_run_state(pid);
		all += state && state != 'Z';
	}
	closedir(proc);
	return all != known;
}

/* As process 1 we see all that is left: droverd, and what the world tells of. */
void rig_check_strangers(struct rig *r)
{
	bool are = getpid() == 1 && are_strangers(r);

	for (int64_t end = look_until(); are && look_again(end);)
		are = are_strangers(r);
	ck_assert(!are);
}
