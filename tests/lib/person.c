/* SPDX-License-Identifier: BSD-2-Clause */
#include "person.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum { WORDS_MAX = 32, SEEN_MAX = 4 << 20 };

struct person {
	pid_t pid;
	int tty;
	char *seen; /* CR LF as LF */
	size_t len, awaited;
	struct termios before;
};

static void words_of(va_list ap, const char *program, char **argv)
{
	size_t n = 0;
	char *word;

	/* One of this build, unless it is a path or is not there. */
	argv[n] = rig_program(program);
	if (strchr(program, '/') || access(argv[n], X_OK) < 0) {
		free(argv[n]);
		argv[n] = xstrdup(program);
	}
	for (n = 1; (word = va_arg(ap, char *)); n++) {
		ck_assert_uint_lt(n, WORDS_MAX - 1);
		argv[n] = xstrdup(word);
	}
}

static void words_free(char **argv)
{
	for (size_t i = 0; i < WORDS_MAX; i++)
		free(argv[i]);
}

static void become(struct rig *r, char **argv, pid_t parent)
{
	_cleanup_free_ char *socket = r ? xasprintf("%s/run/drover.sock", r->root) : NULL;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	if (socket)
		setenv("DROVER_SOCKET", socket, 1);
	setenv("TERM", "xterm", 1);
	setenv("LC_ALL", "C.UTF-8", 1);
	unsetenv("NO_COLOR");
	close_range(3, ~0U, 0);
	execvp(argv[0], argv);
	_exit(127);
}

struct person *person_come(struct rig *r, const char *program, ...)
{
	const struct winsize size = { .ws_row = 25, .ws_col = PERSON_COLUMNS };
	char *argv[WORDS_MAX] = { NULL };
	struct person *p = xcalloc(1, sizeof(*p));
	pid_t self = getpid();
	va_list ap;

	va_start(ap, program);
	words_of(ap, program, argv);
	va_end(ap);
	p->seen = xcalloc(1, SEEN_MAX);
	fflush(stdout);
	p->pid = forkpty(&p->tty, NULL, NULL, &size);
	ck_assert_int_ge(p->pid, 0);
	if (p->pid == 0)
		become(r, argv, self);
	tcgetattr(p->tty, &p->before);
	words_free(argv);
	return p;
}

void person_type(struct person *p, const char *text)
{
	ck_assert_int_eq(write(p->tty, text, strlen(text)), (ssize_t)strlen(text));
}

/* False at the end. */
static bool look(struct person *p)
{
	struct pollfd fd = { .fd = p->tty, .events = POLLIN };
	char data[4096];
	ssize_t n;

	if (poll(&fd, 1, RIG_DEADLINE_MS) != 1)
		ck_abort_msg("nothing more comes behind: %s", p->seen);
	n = read(p->tty, data, sizeof(data));
	ck_assert_int_lt((ssize_t)p->len + n,
			 SEEN_MAX); /* once: check keeps a note of each assertion, and copies them */
	for (ssize_t i = 0; i < n; i++) {
		if (p->len && data[i] == '\n' && p->seen[p->len - 1] == '\r')
			p->len--;
		p->seen[p->len++] = data[i];
		p->seen[p->len] = '\0';
	}
	return n > 0;
}

void person_await(struct person *p, const char *text)
{
	const char *found;

	while (!(found = strstr(p->seen + p->awaited, text)))
		if (!look(p))
			ck_abort_msg("it ended without '%s': %s", text, p->seen);
	p->awaited = (size_t)(found - p->seen) + strlen(text);
}

void person_peek(struct person *p)
{
	struct pollfd fd = { .fd = p->tty, .events = POLLIN };

	while (poll(&fd, 1, 0) == 1 && look(p))
		;
}

static int status_of(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int person_leave(struct person *p)
{
	int status;

	while (look(p))
		;
	ck_assert_int_eq(waitpid(p->pid, &status, 0), p->pid);
	p->pid = 0;
	return status_of(status);
}

const char *person_saw(struct person *p)
{
	return p->seen;
}

bool person_terminal_is_sane(struct person *p)
{
	struct termios now;

	return tcgetattr(p->tty, &now) == 0 && now.c_lflag == p->before.c_lflag && now.c_iflag == p->before.c_iflag;
}

void person_free(struct person *p)
{
	if (p->pid) {
		kill(p->pid, SIGKILL);
		waitpid(p->pid, NULL, 0);
	}
	close(p->tty);
	free(p->seen);
	free(p);
}

static char *text_of(int fd)
{
	off_t len = lseek(fd, 0, SEEK_END);
	char *text = xcalloc(1, (size_t)len + 1);

	ck_assert_int_eq(pread(fd, text, (size_t)len, 0), len);
	close(fd);
	return text;
}

int person_script(struct rig *r, const char *input, char **out, char **err, const char *program, ...)
{
	int in = memfd_create("in", 0), o = memfd_create("out", 0), e = memfd_create("err", 0), status;
	char *argv[WORDS_MAX] = { NULL }, *text;
	pid_t self = getpid(), pid;
	va_list ap;

	va_start(ap, program);
	words_of(ap, program, argv);
	va_end(ap);
	if (input)
		ck_assert_int_eq(pwrite(in, input, strlen(input), 0), (ssize_t)strlen(input));
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		dup2(in, STDIN_FILENO);
		dup2(o, STDOUT_FILENO);
		dup2(e, STDERR_FILENO);
		become(r, argv, self);
	}
	words_free(argv);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	close(in);
	text = text_of(o);
	*(out ? out : &text) = text;
	if (!out)
		free(text);
	text = text_of(e);
	*(err ? err : &text) = text;
	if (!err)
		free(text);
	return status_of(status);
}

void person_check_page(const char *text)
{
	unsigned column = 0;

	for (const char *p = text; *p; p++) {
		if (*p == '\033' && p[1] == '[' && p[2 + strspn(p + 2, "0123456789;")] == 'm') {
			p += 2 + strspn(p + 2, "0123456789;");
			continue;
		}
		if (*p == '\n')
			column = 0;
		else if (((unsigned char)*p & 0xc0) != 0x80) /* what follows in a character of UTF-8 takes no column */
			column++;
		if (*p != '\n' && (unsigned char)*p < ' ')
			ck_abort_msg("a control byte, %#x, in: %s", *p, text);
		if (column > PERSON_COLUMNS)
			ck_abort_msg("wider than 80 columns, before '%.20s', in:\n%s", p, text);
	}
}
