/* SPDX-License-Identifier: BSD-2-Clause */
#include "raw.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGS_MAX = 64, FIRST_FD = 1000, FDS_MAX = 8 };

char *raw_dir(void)
{
	const char *tmp = getenv("TMPDIR");
	char *dir = xasprintf("%s/drover-raw-XXXXXX", tmp ? tmp : "/tmp");

	ck_assert_ptr_nonnull(mkdtemp(dir));
	return dir;
}

/* ---- the process ---- */

static void address_of(const struct raw *r, unsigned monitor, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	ck_assert_int_lt(snprintf(ret->sun_path, sizeof(ret->sun_path), "%s/%u.sock", r->dir, monitor),
			 sizeof(ret->sun_path));
}

static int listener(const struct raw *r, unsigned monitor)
{
	struct sockaddr_un sa;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address_of(r, monitor, &sa);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	ck_assert_int_eq(listen(fd, 4), 0);
	return fd;
}

static void become(const struct raw *r, const char *program, const int *listeners, const char *machine,
		   const char *extra)
{
	_cleanup_free_ char *name = xasprintf("%s,accel=tcg", machine), *words = xstrdup(extra);
	const char *argv[ARGS_MAX] = { program, "-machine", name, "-nodefaults", "-S", "-display", "none", "-m", "64" };
	size_t n = 9;
	char *save = NULL;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (chdir(r->dir) < 0)
		_exit(126);
	for (unsigned i = 0; i < RAW_MONITORS; i++) {
		int fd = fcntl(listeners[i], F_DUPFD, FIRST_FD);

		argv[n++] = "-chardev";
		argv[n++] = xasprintf("socket,id=m%u,fd=%d,server=on,wait=off", i, fd);
		argv[n++] = "-mon";
		argv[n++] = xasprintf("chardev=m%u,mode=control", i);
	}
	for (char *word = strtok_r(words, " ", &save); word && n < ARGS_MAX - 1; word = strtok_r(NULL, " ", &save))
		argv[n++] = word;
	dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
	dup2(open("stderr", O_WRONLY | O_CREAT | O_CLOEXEC, 0600), 2);
	dup2(2, 1);
	execvp(program, (char *const *)argv);
	_exit(127);
}

struct raw *raw_start(const char *program, char *dir, const char *machine, const char *extra)
{
	struct raw *r = xcalloc(1, sizeof(*r));
	int listeners[RAW_MONITORS];

	r->dir = dir;
	r->events = json_object_new_array();
	for (unsigned i = 0; i < RAW_MONITORS; i++) {
		listeners[i] = listener(r, i);
		r->fds[i] = -1;
	}
	r->pid = fork();
	if (r->pid == 0)
		become(r, program, listeners, machine, extra);
	/* So that a QEMU that ends takes its sockets along. */
	for (unsigned i = 0; i < RAW_MONITORS; i++)
		fd_close(listeners[i]);
	for (unsigned i = 0; i < RAW_MONITORS; i++)
		raw_connect(r, i, false);
	return r;
}

void raw_free(struct raw *r)
{
	kill(r->pid, SIGKILL);
	waitpid(r->pid, NULL, 0);
	for (unsigned i = 0; i < RAW_MONITORS; i++)
		raw_hang_up(r, i);
	file_remove_tree(AT_FDCWD, r->dir, NULL);
	json_object_put(r->events);
	free(r->dir);
	free(r);
}

/* ---- a monitor ---- */

/* The next value; NULL at the end. WAIT: or NULL when there is none yet. */
static struct json_object *read_value(struct raw *r, unsigned monitor, bool wait)
{
	struct json_object *o = NULL;
	char data[65536];

	for (;;) {
		struct pollfd pfd = { r->fds[monitor], POLLIN, 0 };
		const char *p = data, *end;
		size_t len;
		ssize_t n;

		if (poll(&pfd, 1, wait ? RIG_DEADLINE_MS : 0) != 1) {
			ck_assert_msg(!wait, "no answer; see %s/stderr", r->dir);
			return NULL;
		}
		/* Not more than one line, for a value ends with it. */
		n = recv(r->fds[monitor], data, sizeof(data), MSG_PEEK);
		if (n <= 0)
			return NULL;
		end = memchr(data, '\n', (size_t)n);
		len = end ? (size_t)(end - data) + 1 : (size_t)n;
		ck_assert_int_eq(recv(r->fds[monitor], data, len, 0), (ssize_t)len);
		if (json_reader_next(r->readers[monitor], &p, &len, &o, NULL) == JSON_VALUE)
			return o;
	}
}

static void keep_event(struct raw *r, unsigned monitor, struct json_object *o)
{
	if (monitor == 0)
		json_object_array_add(r->events, o);
	else
		json_object_put(o);
}

struct json_object *raw_reply(struct raw *r, unsigned monitor)
{
	for (;;) {
		struct json_object *o = read_value(r, monitor, true);

		if (!o || !has(o, "event"))
			return o;
		keep_event(r, monitor, o);
	}
}

void raw_send(struct raw *r, unsigned monitor, const char *command, const char *args, const int *fds, size_t n)
{
	_cleanup_free_ char *line = args ? xasprintf("{'execute': '%s', 'id': '%s', 'arguments': %s}", command, command,
						     args) :
					   xasprintf("{'execute': '%s', 'id': '%s'}", command, command);
	union {
		char data[CMSG_SPACE(FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { line, strlen(line) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	for (char *p = line; *p; p++)
		if (*p == '\'')
			*p = '"';
	if (n) {
		struct cmsghdr *c;

		ck_assert_uint_le(n, FDS_MAX);
		msg.msg_control = control.data;
		msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	}
	ck_assert_int_eq(sendmsg(r->fds[monitor], &msg, MSG_NOSIGNAL), (ssize_t)strlen(line));
}

void raw_connect(struct raw *r, unsigned monitor, bool oob)
{
	_cleanup_json_ struct json_object *greeting = NULL, *reply = NULL;
	struct sockaddr_un sa;

	r->fds[monitor] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	r->readers[monitor] = json_reader_new(&json_limits_qemu);
	address_of(r, monitor, &sa);
	ck_assert_int_eq(connect(r->fds[monitor], (struct sockaddr *)&sa, sizeof(sa)), 0);
	greeting = raw_reply(r, monitor);
	ck_assert_msg(greeting && has(greeting, "QMP"), "no greeting; see %s/stderr", r->dir);
	raw_send(r, monitor, "qmp_capabilities", oob ? "{'enable': ['oob']}" : NULL, NULL, 0);
	reply = raw_reply(r, monitor);
	ck_assert(has(reply, "return"));
}

void raw_hang_up(struct raw *r, unsigned monitor)
{
	r->fds[monitor] = fd_close(r->fds[monitor]);
	r->readers[monitor] = json_reader_free(r->readers[monitor]);
}

static struct json_object *ask(struct raw *r, const char *command, const char *args, va_list ap)
{
	_cleanup_free_ char *text = NULL;
	struct json_object *o;

	if (args)
		text = xvasprintf(args, ap);
	raw_send(r, 0, command, text, NULL, 0);
	o = raw_reply(r, 0);
	ck_assert_ptr_nonnull(o);
	return o;
}

struct json_object *raw_ask(struct raw *r, const char *command, const char *args, ...)
{
	struct json_object *o;
	va_list ap;

	va_start(ap, args);
	o = ask(r, command, args, ap);
	va_end(ap);
	return o;
}

static struct json_object *member_of(struct json_object *reply, const char *member)
{
	ck_assert_msg(has(reply, member), "%s", json_object_to_json_string(reply));
	return json_object_get(at(reply, member));
}

struct json_object *raw_ok(struct raw *r, const char *command, const char *args, ...)
{
	_cleanup_json_ struct json_object *o = NULL;
	va_list ap;

	va_start(ap, args);
	o = ask(r, command, args, ap);
	va_end(ap);
	return member_of(o, "return");
}

struct json_object *raw_error(struct raw *r, const char *command, const char *args, ...)
{
	_cleanup_json_ struct json_object *o = NULL;
	va_list ap;

	va_start(ap, args);
	o = ask(r, command, args, ap);
	va_end(ap);
	return member_of(o, "error");
}

/* ---- events ---- */

static struct json_object *take_event(struct raw *r, const char *name)
{
	while (json_object_array_length(r->events) > 0) {
		struct json_object *o = json_object_get(json_object_array_get_idx(r->events, 0));

		json_object_array_del_idx(r->events, 0, 1);
		if (str_eq(str_at(o, "event"), name))
			return o;
		json_object_put(o);
	}
	return NULL;
}

struct json_object *raw_event(struct raw *r, const char *name)
{
	for (;;) {
		struct json_object *o = take_event(r, name);

		if (o)
			return o;
		o = read_value(r, 0, true);
		ck_assert_msg(o && has(o, "event"), "'%s' never comes", name);
		keep_event(r, 0, o);
	}
}

bool raw_has_event(struct raw *r, const char *name)
{
	struct json_object *o;

	while ((o = read_value(r, 0, false)))
		keep_event(r, 0, o);
	for (size_t i = 0; i < json_object_array_length(r->events); i++)
		if (str_eq(str_at(json_object_array_get_idx(r->events, i), "event"), name))
			return true;
	return false;
}
