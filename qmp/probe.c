/* SPDX-License-Identifier: BSD-2-Clause */
#include "qmp/probe.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { QUIT_MS = 2000 };

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- the end of it ---- */

/* Its wait status. */
static int bury(struct probe *p)
{
	int status = 0;

	if (p->pid <= 0)
		return 0;
	kill(-p->pid, SIGKILL);
	kill(p->pid, SIGKILL);
	while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
		;
	p->pid = 0;
	return status;
}

static void hear(struct probe *p)
{
	char text[1024];
	ssize_t n;

	while ((n = read(p->words, text, sizeof(text))) > 0) {
		size_t keep = sizeof(p->said) - 1 - (size_t)n;

		if (p->n_said > keep) {
			memmove(p->said, p->said + p->n_said - keep, keep);
			p->n_said = keep;
		}
		memcpy(p->said + p->n_said, text, (size_t)n);
		p->n_said += (size_t)n;
	}
	if (n == 0)
		closep(&p->words);
}

/* The last line it said: what came before is often noise of a library. "" if it said nothing. */
static const char *last_words(struct probe *p)
{
	size_t end, start;

	if (p->words >= 0)
		hear(p);
	end = p->n_said;
	while (end && isspace((unsigned char)p->said[end - 1]))
		end--;
	p->said[end] = '\0';
	for (start = end; start && p->said[start - 1] != '\n'; start--)
		;
	return p->said + start;
}

_Noreturn void probe_fail(struct probe *p, enum err_class class, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < ' ')
			*c = ' ';
	fprintf(stderr, "%s: '%s' %s\n", err_class_info(class)->name, p->binary, text);
	bury(p);
	exit(1);
}

/* It hung up: by its end, as good as always. */
static _Noreturn void fail_end(struct probe *p)
{
	enum err_class class = p->greeted ? ERR_QEMU : ERR_UNSUPPORTED;
	const char *what = p->greeted ? "ended while it was asked" : "is no QEMU that can be asked";
	siginfo_t info = { 0 };
	const char *words;

	/* One that hung up without ending is killed, which is then no news. */
	for (int i = 0; i < 100 && info.si_pid == 0; i++) {
		waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT);
		if (info.si_pid == 0)
			poll(NULL, 0, 10);
	}
	words = last_words(p);
	if (*words)
		probe_fail(p, class, "%s: %s", what, words);
	if (info.si_pid == 0)
		probe_fail(p, class, "%s: it hung up", what);
	if (info.si_code == CLD_EXITED)
		probe_fail(p, class, "%s: it ended with status %d and without a word", what, info.si_status);
	probe_fail(p, class, "%s: it was ended by signal %d", what, info.si_status);
}

/* Until FD can be read. */
static void await(struct probe *p, int fd)
{
	for (;;) {
		struct pollfd fds[] = { { .fd = fd, .events = POLLIN }, { .fd = p->words, .events = POLLIN } };
		int64_t rest = p->deadline - now_ms();

		if (rest <= 0)
			probe_fail(p, ERR_TIMEOUT, "did not answer within %d s", p->limit);
		if (poll(fds, 2, (int)rest) < 0 && errno != EINTR)
			probe_fail(p, ERR_GENERIC, "cannot be waited for: %s", strerror(errno));
		if (fds[1].revents)
			hear(p);
		if (fds[0].revents)
			return;
	}
}

/* ---- its process ---- */

static _Noreturn void be_qemu(const char *binary, pid_t parent, int sock, int words, int report)
{
	char chardev[32];
	const char *argv[] = { binary,        "-S",       "-no-user-config",
			       "-nodefaults", "-display", "none",
			       "-machine",    "none",     "-chardev",
			       chardev,       "-mon",     "chardev=m,mode=control",
			       NULL };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), error;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(words, STDERR_FILENO);
	fcntl(sock, F_SETFD, 0);
	snprintf(chardev, sizeof(chardev), "socket,id=m,fd=%d", sock);
	signal(SIGPIPE, SIG_DFL);
	execv(binary, (char **)(uintptr_t)argv);
	error = errno;
	_exit(write(report, &error, sizeof(error)) == (ssize_t)sizeof(error) ? 127 : 126);
}

static enum err_class class_of(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return ERR_NOT_FOUND;
	case EACCES:
	case EPERM:
		return ERR_PERMISSION_DENIED;
	default:
		return ERR_UNSUPPORTED;
	}
}

/* ---- QMP ---- */

/* The next value. */
static struct json_object *receive(struct probe *p)
{
	struct json_object *value = NULL;

	for (;;) {
		_cleanup_err_ struct err *e = NULL;
		enum json_status status = json_reader_next(p->reader, &p->next, &p->left, &value, &e);
		ssize_t n;

		if (status == JSON_VALUE)
			return value;
		if (status != JSON_MORE)
			probe_fail(p, p->greeted ? ERR_QEMU : ERR_UNSUPPORTED, "does not speak QMP: %s", e->desc);
		await(p, p->sock);
		n = read(p->sock, p->portion, sizeof(p->portion));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			fail_end(p);
		p->next = p->portion;
		p->left = (size_t)n;
	}
}

static void send_text(struct probe *p, const char *text, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { .iov_base = (char *)(uintptr_t)text, .iov_len = strlen(text) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		struct cmsghdr *c;

		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	/* A request is shorter than any socket's buffer, and one is under way at a time. */
	if (sendmsg(p->sock, &msg, MSG_NOSIGNAL) != (ssize_t)iov.iov_len)
		fail_end(p);
}

struct json_object *probe_exchange(struct probe *p, const char *command, struct json_object *args, int fd)
{
	_cleanup_json_ struct json_object *request = json_object_new_object();
	_cleanup_free_ char *text = NULL, *line = NULL;

	json_add_str(request, "execute", command);
	if (args)
		json_add(request, "arguments", args);
	text = json_print(request);
	line = xasprintf("%s\r\n", text);
	send_text(p, line, fd);
	for (;;) {
		struct json_object *reply = receive(p);

		if (json_object_object_get_ex(reply, "return", NULL) ||
		    json_get_typed(reply, "error", json_type_object))
			return reply;
		json_object_put(reply); /* an event */
	}
}

struct json_object *probe_try(struct probe *p, const char *command, struct json_object *args)
{
	_cleanup_json_ struct json_object *reply = probe_exchange(p, command, args, -1);
	struct json_object *ret = NULL;

	json_object_object_get_ex(reply, "return", &ret);
	return json_object_get(ret);
}

struct json_object *probe_ask(struct probe *p, const char *command, struct json_object *args, enum json_type type)
{
	_cleanup_json_ struct json_object *reply = probe_exchange(p, command, args, -1);
	struct json_object *error = json_get_typed(reply, "error", json_type_object), *ret;
	const char *desc = json_get_str(error, "desc");

	if (error)
		probe_fail(p, ERR_QEMU, "refused '%s': %s", command, desc ? desc : "without a word");
	ret = json_get_typed(reply, "return", type);
	if (!ret)
		probe_fail(p, ERR_QEMU, "answered '%s' with another type", command);
	return json_object_get(ret);
}

static void greet(struct probe *p)
{
	_cleanup_json_ struct json_object *greeting = receive(p);

	if (!json_get_typed(greeting, "QMP", json_type_object))
		probe_fail(p, ERR_UNSUPPORTED, "is no QEMU that can be asked: it greeted otherwise");
	p->greeted = true;
	json_object_put(probe_ask(p, "qmp_capabilities", NULL, json_type_object));
}

/* ---- beginning and end ---- */

void probe_start(struct probe *p)
{
	int pair[2], words[2], report[2], error = 0;
	pid_t self = getpid();

	p->deadline = now_ms() + (int64_t)p->limit * 1000;
	p->reader = json_reader_new(&json_limits_qemu);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 || pipe2(words, O_CLOEXEC) < 0 ||
	    pipe2(report, O_CLOEXEC) < 0)
		probe_fail(p, ERR_GENERIC, "cannot be started: %s", strerror(errno));
	p->pid = fork();
	if (p->pid == 0)
		be_qemu(p->binary, self, pair[1], words[1], report[1]);
	if (p->pid < 0)
		probe_fail(p, ERR_GENERIC, "cannot be started: %s", strerror(errno));
	setpgid(p->pid, p->pid);
	close(pair[1]);
	close(words[1]);
	close(report[1]);
	p->sock = pair[0];
	p->words = words[0];
	fcntl(p->words, F_SETFL, O_NONBLOCK);
	await(p, report[0]);
	if (read(report[0], &error, sizeof(error)) == (ssize_t)sizeof(error))
		probe_fail(p, class_of(error), "cannot be run: %s", strerror(error));
	close(report[0]);
	greet(p);
}

/* A binary may be a script that started QEMU out of our reach: it is asked to end before it is killed. All is known, so
 * nothing fails any more. */
void probe_quit(struct probe *p)
{
	static const char request[] = "{\"execute\": \"quit\"}\r\n";
	struct pollfd fd = { .fd = p->sock, .events = POLLIN };

	if (send(p->sock, request, sizeof(request) - 1, MSG_NOSIGNAL) > 0)
		while (poll(&fd, 1, QUIT_MS) > 0 && read(p->sock, p->portion, sizeof(p->portion)) > 0)
			;
	bury(p);
	p->reader = json_reader_free(p->reader);
}
