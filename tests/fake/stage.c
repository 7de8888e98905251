/* SPDX-License-Identifier: BSD-2-Clause */
#include "stage.h"

#include "base/file.h"
#include "runtime/process.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* When QEMU has answered all, descriptors are closed in moments; a test that counts them fails in each of its rows. */
enum { POLL_US = 5000, POLLS = RIG_DEADLINE_MS * 1000 / POLL_US, FDS_MS = 10000 };

struct stage stage;

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void stage_set(const char *fault, ...)
{
	va_list ap;

	stage.r = rig_new("droverd-faulty");
	va_start(ap, fault);
	stage.r->fault = xvasprintf(fault, ap);
	va_end(ap);
	rig_start(stage.r);
	stage.c = client_new(stage.r);
}

void stage_clear(void)
{
	if (stage.c)
		client_free(stage.c);
	if (stage.r)
		rig_free(stage.r);
	free(stage.before);
	stage = (struct stage){ 0 };
}

void stage_kill(void)
{
	client_free(TAKE_PTR(stage.c));
	rig_kill(stage.r);
}

void stage_restart(void)
{
	if (stage.r->pid)
		stage_kill();
	rig_start(stage.r);
	stage.c = client_new(stage.r);
}

void stage_define(const char *name, const char *words, ...)
{
	_cleanup_free_ char *fake = rig_shared("fake-qemu"), *kernel = rig_shared("kernel"), *text = NULL;
	va_list ap;

	va_start(ap, words);
	text = xvasprintf(words, ap);
	va_end(ap);
	/* What it writes or looks for lies below the root, which is ours alone. */
	client_define(stage.c, name,
		      "'hvparams': {'accel': 'tcg', 'kvm_path': '%s', 'kernel_path': '%s', 'kernel_args': '%s'%s}",
		      fake, kernel, text,
		      strstr(text, "fake.record=") || strstr(text, "fake.hold=") || strstr(text, "late:") ?
			      ", 'security_model': 'none'" :
			      "");
}

void stage_start(const char *name)
{
	_cleanup_json_ struct json_object *o = client_ok(stage.c, "instance-start", "{'instance': '%s'}", name);

	ck_assert_str_eq(str_at(o, "state"), "running");
}

struct json_object *stage_show(const char *name)
{
	return client_ok(stage.c, "query-instance", "{'instance': '%s'}", name);
}

pid_t stage_pid(const char *name)
{
	_cleanup_json_ struct json_object *o = stage_show(name);

	return (pid_t)json_get_int(o, "pid", 0);
}

void stage_await_pid(const char *name)
{
	for (int i = 0; i < POLLS && !stage_pid(name); i++)
		usleep(POLL_US);
	ck_assert_int_ne(stage_pid(name), 0);
}

pid_t stage_holder(const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/run/instances/%s", stage.r->root, name);
	_cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return dir < 0 ? 0 : process_lock_holder(dir, "qemu.lock");
}

static char *gear_answer(const char *command, const char *args)
{
	_cleanup_json_ struct json_object *o = client_ok(
		stage.c, "instance-qmp", "{'instance': 'web', 'execute': '%s', 'arguments': %s}", command, args);

	return json_print(o);
}

/* The images' descriptors are QEMU's business until it has been asked to close them, and has. */
static char *settled_sets(void)
{
	char *sets = gear_answer("query-fdsets", "{}");

	for (int i = 0; i < POLLS && strstr(sets, "\"opaque\""); i++) {
		free(sets);
		usleep(POLL_US);
		sets = gear_answer("query-fdsets", "{}");
	}
	return sets;
}

static char *gear(void)
{
	_cleanup_free_ char *sets = settled_sets(), *nodes = gear_answer("query-named-block-nodes", "{}");
	_cleanup_free_ char *objects = gear_answer("qom-list", "{'path': '/objects'}");
	_cleanup_free_ char *devices = gear_answer("qom-list", "{'path': '/machine/peripheral'}");
	_cleanup_json_ struct json_object *o = stage_show("web");
	_cleanup_free_ char *definition = json_print(at(o, "definition")), *disks = json_print(at(o, "runtime.disks"));
	_cleanup_free_ char *nics = json_print(at(o, "runtime.nics"));

	return xasprintf("nodes %s\nobjects %s\ndevices %s\nsets %s\ndefinition %s\ndisks %s\nnics %s\n%u and %u "
			 "descriptors\n",
			 nodes, objects, devices, sets, definition, disks, nics, process_fds((pid_t)int_at(o, "pid")),
			 process_fds(stage.r->pid));
}

char *stage_gear(void)
{
	char *text;

	stage_await_quiet();
	text = gear();
	for (int i = 0; i < POLLS; i++) {
		_cleanup_free_ char *before = text;

		usleep(POLL_US);
		text = gear();
		if (str_eq(text, before))
			break;
	}
	return text;
}

void stage_check_gear(const char *expected)
{
	char *text = stage_gear();

	for (int64_t end = now_ms() + FDS_MS; !str_eq(text, expected) && now_ms() < end;) {
		free(text);
		usleep(POLL_US);
		text = gear();
	}
	ck_assert_str_eq(text, expected);
	free(text);
}

/* An answer in between: then it is not in the midst of writing a file both times. */
unsigned stage_fds(void)
{
	unsigned fds = process_fds(stage.r->pid), before = 0;

	for (int i = 0; i < POLLS && fds != before; i++) {
		before = fds;
		usleep(POLL_US);
		json_object_put(client_ok(stage.c, "query-instances", NULL));
		fds = process_fds(stage.r->pid);
	}
	return fds;
}

void stage_check_fds(unsigned fds)
{
	for (int64_t end = now_ms() + FDS_MS; process_fds(stage.r->pid) != fds && now_ms() < end;)
		usleep(POLL_US);
	ck_assert_uint_eq(process_fds(stage.r->pid), fds);
}

void stage_check_state(const char *name, const char *state, const char *reason)
{
	_cleanup_json_ struct json_object *o = stage_show(name);

	ck_assert_msg(str_eq(str_at(o, "state"), state) && str_eq(str_at(o, "reason"), reason), "'%s' is %s (%s)", name,
		      str_at(o, "state"), str_at(o, "reason"));
}

/* Behind a reply droverd still writes what it has seen since. */
static char *still_world(void)
{
	char *all = rig_world(stage.r, false);

	for (int i = 0; i < POLLS && !rig_is_still(all); i++) {
		free(all);
		usleep(POLL_US);
		all = rig_world(stage.r, false);
	}
	return all;
}

char *stage_world(void)
{
	_cleanup_free_ char *all = still_world();
	char *text = xstrdup(""), *save = NULL;

	for (char *line = strtok_r(all, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		_cleanup_free_ char *old = text;

		text = xasprintf("%s%s%s", old, strstr(line, "/state.json") ? "" : line,
				 strstr(line, "/state.json") ? "" : "\n");
	}
	return text;
}

void stage_mark(void)
{
	free(stage.before);
	stage.before = stage_world();
}

void stage_check_unchanged(void)
{
	_cleanup_free_ char *now = stage_world();

	ck_assert_msg(str_eq(now, stage.before), "the world is\n%sand was\n%s", now, stage.before);
}

static bool is_settled(void)
{
	_cleanup_json_ struct json_object *list = client_ok(stage.c, "query-instances", NULL);
	_cleanup_json_ struct json_object *jobs = client_ok(stage.c, "query-jobs", NULL);

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		if (has(o, "operation.job-id") || str_eq(str_at(o, "state"), "nostate") ||
		    json_get_int(o, "pid", 0) != stage_holder(str_at(o, "name")))
			return false;
	}
	for (size_t i = 0; i < json_object_array_length(jobs); i++)
		if (!str_eq(str_at(json_object_array_get_idx(jobs, i), "status"), "concluded"))
			return false;
	return true;
}

void stage_settle(void)
{
	for (int i = 0; i < POLLS && !is_settled(); i++)
		usleep(POLL_US);
	ck_assert_msg(is_settled(), "something goes on and on");
}

void stage_await_text(const char *file, const char *text)
{
	for (int i = 0; i < POLLS; i++) {
		_cleanup_free_ char *all = rig_file(stage.r, "%s", file);

		if (all && strstr(all, text))
			return;
		usleep(POLL_US);
	}
	ck_abort_msg("'%s' never says '%s'", file, text);
}

struct json_object *stage_await_answer(const char *command)
{
	for (int i = 0; i < POLLS; i++) {
		struct json_object *list = client_ok(stage.c, "query-trace", "{'instance': 'web'}");

		for (size_t k = 0; k < json_object_array_length(list); k++) {
			struct json_object *o = json_object_array_get_idx(list, k);

			if (str_eq(str_at(o, "direction"), "in") && str_eq(str_at(o, "name"), command))
				return list;
		}
		json_object_put(list);
		usleep(POLL_US);
	}
	ck_abort_msg("no answer to '%s'", command);
}

/* Whether the last question on each monitor has its answer. */
static bool is_answered(struct json_object *trace)
{
	int64_t open[3] = { 0 };

	for (size_t i = 0; i < json_object_array_length(trace); i++) {
		struct json_object *o = json_object_array_get_idx(trace, i);
		int64_t *last = &open[int_at(o, "monitor") % 3], id = json_get_int(o, "id", 0);

		if (id && str_eq(str_at(o, "direction"), "out"))
			*last = id;
		else if (id == *last)
			*last = 0;
	}
	return !open[1] && !open[2];
}

void stage_await_quiet(void)
{
	for (int i = 0; i < POLLS; i++) {
		_cleanup_json_ struct json_object *trace = client_ok(stage.c, "query-trace", "{'instance': 'web'}");

		if (is_answered(trace))
			return;
		usleep(POLL_US);
	}
	ck_abort_msg("QEMU does not answer");
}

char *stage_text(const char *text)
{
	char *copy = xstrdup(text), *at;

	while ((at = strstr(copy, "ROOT"))) {
		char *longer = xasprintf("%.*s%s%s", (int)(at - copy), copy, stage.r->root, at + strlen("ROOT"));

		free(copy);
		copy = longer;
	}
	return copy;
}

bool stage_is_there(const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", stage.r->root, name);

	return faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

void stage_write(const char *file, const char *text)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", stage.r->root, file);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}
