/* SPDX-License-Identifier: BSD-2-Clause */
#include "stage.h"

#include "base/file.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* When QEMU has answered all, its gear is as it stays in moments; a test that looks at it fails in each of its rows. */
enum { GEAR_MS = 10000 };

struct stage stage;

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
	for (int64_t end = look_until(); !stage_pid(name) && look_again(end);)
		;
	ck_assert_int_ne(stage_pid(name), 0);
}

pid_t stage_holder(const char *name)
{
	return rig_lock_holder(stage.r, name, "qemu.lock");
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

	for (int64_t end = look_until(); strstr(sets, "\"opaque\"") && look_again(end);) {
		free(sets);
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
	bool same = false;

	stage_await_quiet();
	text = gear();
	for (int64_t end = look_until(); !same && look_again(end);) {
		_cleanup_free_ char *before = text;

		text = gear();
		same = str_eq(text, before);
	}
	return text;
}

void stage_check_gear(const char *expected)
{
	char *text = stage_gear();

	for (int64_t end = look_for(GEAR_MS); !str_eq(text, expected) && look_again(end);) {
		free(text);
		text = gear();
	}
	ck_assert_str_eq(text, expected);
	free(text);
}

void stage_check_state(const char *name, const char *state, const char *reason)
{
	_cleanup_json_ struct json_object *o = stage_show(name);

	ck_assert_msg(str_eq(str_at(o, "state"), state) && str_eq(str_at(o, "reason"), reason), "'%s' is %s (%s)", name,
		      str_at(o, "state"), str_at(o, "reason"));
}

char *stage_world(void)
{
	_cleanup_free_ char *all = rig_still_world(stage.r, false);
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

void stage_settle(void)
{
	rig_settle(stage.r, stage.c);
}

void stage_await_text(const char *file, const char *text)
{
	for (int64_t end = look_until(); look_again(end);) {
		_cleanup_free_ char *all = rig_file(stage.r, "%s", file);

		if (all && strstr(all, text))
			return;
	}
	ck_abort_msg("'%s' never says '%s'", file, text);
}

struct json_object *stage_await_answer(const char *command)
{
	for (int64_t end = look_until(); look_again(end);) {
		struct json_object *list = client_ok(stage.c, "query-trace", "{'instance': 'web'}");

		for (size_t k = 0; k < json_object_array_length(list); k++) {
			struct json_object *o = json_object_array_get_idx(list, k);

			if (str_eq(str_at(o, "direction"), "in") && str_eq(str_at(o, "name"), command))
				return list;
		}
		json_object_put(list);
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
	for (int64_t end = look_until(); look_again(end);) {
		_cleanup_json_ struct json_object *trace = client_ok(stage.c, "query-trace", "{'instance': 'web'}");

		if (is_answered(trace))
			return;
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
