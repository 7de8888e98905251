/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest.h"

#include "base/file.h"
#include "runtime/dirs.h"
#include "runtime/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOOK_MS = 5 };

/* How often something without an event may be looked at. */
static void try_again(int *tries, const char *what)
{
	ck_assert_msg(++*tries < RIG_DEADLINE_MS / LOOK_MS, "in vain: %s", what);
	usleep(LOOK_MS * 1000);
}

/* ---- the guest ---- */

void guest_define(struct client *c, const char *name, const char *words, const char *extra)
{
	client_define(c, name,
		      "'memory': '128M', 'hvparams': {'kernel_path': '%s/vmlinux', 'initrd_path': '%s/initrd.gz', "
		      "'kernel_args': 't.net=none %s'}%s%s",
		      rig_guest(), rig_guest(), words, *extra ? ", " : "", extra);
}

void guest_define_bare(struct client *c, const char *name)
{
	client_define(c, name, "%s", "'memory': '16M'");
}

pid_t guest_start(struct client *c, const char *name)
{
	_cleanup_json_ struct json_object *o = client_ok(c, "instance-start", "{'instance': '%s'}", name);

	ck_assert(json_get_bool(o, "changed", false));
	ck_assert_str_eq(str_at(o, "state"), "running");
	return guest_pid(c, name);
}

unsigned guest_said(struct rig *r, const char *name, const char *text)
{
	_cleanup_free_ char *path = xasprintf("%s/log/%s.console", r->root, name), *log = NULL;
	size_t len = 0;
	unsigned n = 0;

	if (!file_read(AT_FDCWD, path, FILE_MAX, &log, &len, NULL))
		return 0;
	for (const char *p = log; (p = memmem(p, len - (size_t)(p - log), text, strlen(text))); p++)
		n++;
	return n;
}

void guest_await(struct rig *r, const char *name, const char *text, unsigned times)
{
	for (int tries = 0; guest_said(r, name, text) < times; try_again(&tries, text))
		;
}

static int serial_port(struct rig *r, const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/run/instances/%s", r->root, name);
	_cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = dir < 0 ? -1 : dirs_connect(dir, "serial.sock", NULL);

	ck_assert_int_ge(fd, 0);
	return fd;
}

/* The text between two marks of the console's log, or NULL. */
static char *between(struct rig *r, const char *name, const char *begin, const char *end)
{
	_cleanup_free_ char *path = xasprintf("%s/log/%s.console", r->root, name), *log = NULL;
	char *from, *to;

	if (!file_read(AT_FDCWD, path, FILE_MAX, &log, NULL, NULL))
		return NULL;
	from = strstr(log, begin);
	to = from ? strstr(from, end) : NULL;
	return to ? xstrndup(from + strlen(begin), (size_t)(to - from) - strlen(begin)) : NULL;
}

/* Whoever is connected and does not read stops the console, and its log with it. */
static void drain(int fd)
{
	char heard[4096];

	while (recv(fd, heard, sizeof(heard), MSG_DONTWAIT) > 0)
		;
}

char *guest_shell(struct rig *r, const char *name, const char *line)
{
	static unsigned count;
	_cleanup_close_ int fd = serial_port(r, name);
	/* The marks are quoted, so that the terminal's echo of the line does not look like them. */
	_cleanup_free_ char *typed = xasprintf("echo BE'GIN'%u; %s; echo E'ND'%u\n", count + 1, line, count + 1);
	_cleanup_free_ char *begin = xasprintf("BEGIN%u\r\n", ++count), *end = xasprintf("END%u\r\n", count);
	char *text = NULL;

	/* What is typed before there is a prompt is lost. */
	for (int tries = 0;
	     guest_said(r, name, "/ # ") < guest_said(r, name, "GUEST-UP") + guest_said(r, name, "\nEND") ||
	     !guest_said(r, name, "/ # ");
	     try_again(&tries, "a prompt"))
		drain(fd);
	for (const char *p = typed; *p; p++)
		ck_assert_int_eq(send(fd, p, 1, MSG_NOSIGNAL), 1);
	for (int tries = 0; !(text = between(r, name, begin, end)); try_again(&tries, typed))
		drain(fd);
	return text;
}

char *guest_image(struct rig *r, const char *name, const char *text, off_t size)
{
	char *path = xasprintf("%s/%s", r->root, name);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_msg(fd >= 0 && ftruncate(fd, size) == 0 && pwrite(fd, text, strlen(text), 0) == (ssize_t)strlen(text),
		      "cannot make '%s'", path);
	return path;
}

void host_run(const char *fmt, ...)
{
	_cleanup_free_ char *command = NULL;
	va_list ap;

	va_start(ap, fmt);
	command = xvasprintf(fmt, ap);
	va_end(ap);
	ck_assert_msg(system(command) == 0, "%s", command); /* NOLINT(cert-env33-c): words of our own */
}

struct json_object *guest_query(struct client *c, const char *name)
{
	return client_ok(c, "query-instance", "{'instance': '%s'}", name);
}

void guest_expect(struct client *c, const char *name, const char *state, const char *reason)
{
	_cleanup_json_ struct json_object *o = guest_query(c, name);

	ck_assert_msg(str_eq(str_at(o, "state"), state) && str_eq(str_at(o, "reason"), reason), "not %s (%s): %s",
		      state, reason, json_object_to_json_string(o));
}

struct json_object *guest_settle(struct client *c, const char *name)
{
	for (int tries = 0;; try_again(&tries, "its operations end")) {
		struct json_object *o = guest_query(c, name);

		if (!has(o, "operation") && int_at(o, "queued") == 0)
			return o;
		json_object_put(o);
	}
}

pid_t guest_pid(struct client *c, const char *name)
{
	_cleanup_json_ struct json_object *o = guest_query(c, name);

	ck_assert_int_gt(int_at(o, "pid"), 0);
	return (pid_t)int_at(o, "pid");
}

/* ---- what was told ---- */

static char *state_text(struct json_object *o)
{
	return xasprintf("%s/%s/%s", str_at(o, "state"), str_at(o, "status"), str_at(o, "reason"));
}

char *guest_states(struct client *c, const char *name, int64_t seq)
{
	_cleanup_json_ struct json_object *o = client_ok(c, "query-events", "{'since': %lld}", (long long)seq);
	_cleanup_free_ char *last = NULL;
	struct json_object *list = at(o, "events");
	char *text = xstrdup("");

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *event = json_object_array_get_idx(list, i);
		_cleanup_free_ char *old = NULL, *new = NULL, *before = text;

		if (!str_eq(str_at(event, "event"), "INSTANCE_STATE") ||
		    !str_eq(str_at(event, "data.instance"), name)) {
			before = NULL;
			continue;
		}
		old = state_text(at(event, "data.old"));
		new = state_text(at(event, "data"));
		ck_assert_msg(!last || str_eq(old, last), "from %s, but it was %s", old, last);
		ck_assert_str_ne(old, new);
		text = xasprintf("%s%s\n", before, new);
		free(last);
		last = TAKE_PTR(new);
	}
	return text;
}

int64_t guest_now(struct client *c)
{
	_cleanup_json_ struct json_object *o = client_ok(c, "query-events", "{}");

	return int_at(o, "last");
}

/* ---- QEMU ---- */

static int instance_dir(struct rig *r, const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/run/instances/%s", r->root, name);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ck_assert_msg(fd >= 0, "no '%s'", path);
	return fd;
}

/* The next value that has the member KEY. */
static struct json_object *qemu_read(int fd, struct json_reader *reader, const char *key)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		struct json_object *o = NULL;
		const char *rest;
		char byte;
		size_t n = 1;

		ck_assert_int_eq(poll(&p, 1, RIG_DEADLINE_MS), 1);
		ck_assert_int_eq(recv(fd, &byte, 1, 0), 1);
		rest = &byte;
		if (json_reader_next(reader, &rest, &n, &o, NULL) != JSON_VALUE)
			continue;
		if (has(o, key))
			return o;
		json_object_put(o);
	}
}

char *guest_run_state(struct rig *r, const char *name)
{
	static const char ask[] = "{\"execute\": \"qmp_capabilities\"}{\"execute\": \"query-status\"}";
	_cleanup_(json_reader_freep) struct json_reader *reader = json_reader_new(&json_limits_qemu);
	/* Not the second: while that one negotiates its log misses what happens. */
	_cleanup_close_ int dir = instance_dir(r, name), fd = dirs_connect(dir, "qmp.sock", NULL);
	_cleanup_json_ struct json_object *o = NULL;

	ck_assert_int_ge(fd, 0);
	json_object_put(qemu_read(fd, reader, "QMP"));
	ck_assert_int_eq(send(fd, ask, sizeof(ask) - 1, MSG_NOSIGNAL), sizeof(ask) - 1);
	o = qemu_read(fd, reader, "return.status");
	return xstrdup(str_at(o, "return.status"));
}

void guest_await_run_state(struct rig *r, const char *name, const char *status)
{
	for (int tries = 0;; try_again(&tries, status)) {
		_cleanup_free_ char *now = guest_run_state(r, name);

		if (str_eq(now, status))
			return;
	}
}

/* ---- the kernel ---- */

bool process_runs(pid_t pid)
{
	char state = process_run_state(pid);

	return state && state != 'Z' && state != 'X';
}

/* NULL: there is no such file. */
static char *read_field(const char *path, const char *field)
{
	_cleanup_free_ char *text = NULL, *line = xasprintf("\n%s:", field);
	const char *p;

	if (!file_read(AT_FDCWD, path, FILE_MAX, &text, NULL, NULL))
		return NULL;
	p = strstr(text, line);
	ck_assert_msg(p || str_starts(text, line + 1), "'%s' has no '%s'", path, field);
	p = p ? p + strlen(line) : text + strlen(line + 1);
	p += strspn(p, " \t");
	return xstrndup(p, strcspn(p, "\n"));
}

char *process_field(pid_t pid, const char *file, const char *field)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/%s", pid, file);
	char *value = read_field(path, field);

	ck_assert_msg(value != NULL, "no '%s'", path);
	return value;
}

char *thread_field(pid_t pid, const char *tid, const char *field)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/task/%s/status", pid, tid);

	return read_field(path, field);
}

/* utime and stime of one thread, if it is a vCPU's. */
static unsigned long thread_ticks(pid_t pid, const char *tid)
{
	enum { FIELDS_BEFORE = 11 }; /* behind the name: state, ppid, ... */
	_cleanup_free_ char *path = xasprintf("/proc/%d/task/%s/stat", pid, tid), *text = NULL;
	unsigned long user, system;
	char *p;

	if (!file_read(AT_FDCWD, path, 4096, &text, NULL, NULL) || !strstr(text, "(CPU "))
		return 0;
	p = strrchr(text, ')') + 1;
	for (int i = 0; i < FIELDS_BEFORE; i++)
		p = strchr(p + 1, ' ');
	ck_assert_int_eq(sscanf(p, " %lu %lu", &user, &system), 2);
	return user + system;
}

unsigned long process_vcpu_ticks(pid_t pid)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/task", pid);
	unsigned long sum = 0;
	DIR *dir = opendir(path);
	struct dirent *d;

	ck_assert_ptr_nonnull(dir);
	while ((d = readdir(dir)))
		sum += d->d_name[0] == '.' ? 0 : thread_ticks(pid, d->d_name);
	closedir(dir);
	return sum;
}

struct json_object *guest_refused(struct rig *r, struct client *c, const char *name, const char *class)
{
	struct json_object *e = client_error(c, class, "instance-start", "{'instance': '%s'}", name);
	_cleanup_free_ char *before = NULL, *run = xasprintf("run/instances/%s", name);

	json_object_put(guest_settle(c, name));
	before = rig_world_at_rest(r, true);
	ck_assert(json_object_get_boolean(at(e, "undone")));
	json_object_put(client_error(c, class, "instance-start", "{'instance': '%s'}", name));
	json_object_put(guest_settle(c, name));
	rig_expect_world(r, true, before);
	ck_assert_msg(!strstr(before, run) && !strstr(before, "operations/"), "left: %s", before);
	guest_expect(c, name, "shutoff", "failed");
	return e;
}

int guest_main(Suite *(*make)(void))
{
	if (!rig_guest()) {
		puts("SKIP: DROVER_GUEST does not name a test guest");
		return 77;
	}
	return rig_main(make);
}
