/* SPDX-License-Identifier: BSD-2-Clause */
#include "launch.h"

#include "base/file.h"
#include "runtime/argv.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

void run_open(struct run *r)
{
	const char *tmp = getenv("TMPDIR");

	r->dir = xasprintf("%s/drover-launch-XXXXXX", str_empty(tmp) ? "/tmp" : tmp);
	ck_assert_ptr_nonnull(mkdtemp(r->dir));
	ck_assert_int_eq(chmod(r->dir, 0755), 0);
	r->dirfd = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(r->dirfd, 0);
	r->sock = -1;
}

void run_close(struct run *r)
{
	if (!r->dir)
		return;
	closep(&r->sock);
	if (r->qemu > 0)
		kill(r->qemu, SIGKILL);
	if (r->pid > 0)
		waitpid(r->pid, NULL, 0);
	closep(&r->dirfd);
	ck_assert(file_remove_tree(AT_FDCWD, r->dir, NULL));
	free(r->dir);
	*r = (struct run){ .sock = -1 };
}

static void become_ordinary(void)
{
	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
		_exit(99);
}

/* SOCK -1: without the launcher's own descriptors. */
static _Noreturn void child_exec(struct run *r, int sock, char *const *argv)
{
	enum { HIGH = 100 };
	struct rlimit limit = { r->memlock, r->memlock };
	int out = openat(r->dirfd, "out", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
	int from[] = { open("/dev/null", O_RDONLY | O_CLOEXEC), out, out, r->dirfd, sock, r->extra ? r->extra : -1 };

	for (unsigned i = 0; i < ARRAY_SIZE(from); i++)
		if (from[i] >= 0)
			from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, HIGH);
	for (int i = 0; i < (int)ARRAY_SIZE(from); i++) {
		if (from[i] >= 0 && (sock >= 0 || i < 3))
			dup2(from[i], i);
		else
			close(i);
	}
	close_range(ARRAY_SIZE(from), ~0U, 0);
	if (r->memlock && setrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		_exit(99);
	if (r->ordinary)
		become_ordinary();
	execv(argv[0], argv);
	_exit(98);
}

static void spawn(struct run *r, int sock, char *const *argv)
{
	if (r->ordinary)
		ck_assert_int_eq(fchown(r->dirfd, NOBODY, NOBODY), 0);
	r->pid = fork();
	ck_assert_int_ge(r->pid, 0);
	if (r->pid == 0)
		child_exec(r, sock, argv);
}

static char *read_words(struct run *r)
{
	char text[512];
	ssize_t n = read(r->sock, text, sizeof(text) - 1);

	ck_assert_int_ge(n, 0);
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return xstrdup(text);
}

char *run_words(struct run *r, char *const *argv)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	r->sock = pair[0];
	spawn(r, pair[1], argv);
	close(pair[1]);
	return read_words(r);
}

void run_prepare(struct run *r, const struct confine *c, char *const *command)
{
	_cleanup_free_ char *launcher = rig_program("drover-launch"), *words = NULL;
	char **argv = confine_argv(c, launcher, command), *end;

	words = run_words(r, argv);
	argv_free(argv);
	r->qemu = (pid_t)strtol(words, &end, 10);
	if (r->qemu <= 0 || *end)
		ck_abort_msg("the launcher: %s", words);
}

void run_go(struct run *r)
{
	_cleanup_free_ char *words = NULL;

	ck_assert_int_eq(write(r->sock, "g", 1), 1);
	words = read_words(r);
	ck_assert_str_eq(words, "");
}

void run_start(struct run *r, const struct confine *c, char *const *command)
{
	run_prepare(r, c, command);
	run_go(r);
}

struct json_object *run_end(struct run *r)
{
	struct json_object *o = NULL;
	int status;

	ck_assert_int_eq(waitpid(r->pid, &status, 0), r->pid);
	ck_assert_int_eq(status, 0);
	r->pid = r->qemu = 0;
	closep(&r->sock);
	ck_assert(file_read_json(r->dirfd, "exit.json", &o, NULL));
	return o;
}

void run_kill(struct run *r)
{
	_cleanup_json_ struct json_object *o = NULL;

	ck_assert_int_eq(kill(r->qemu, SIGKILL), 0);
	o = run_end(r);
	ck_assert_int_eq(int_at(o, "signal"), SIGKILL);
}

int run_once(struct run *r, char *const *argv)
{
	int status;

	spawn(r, -1, argv);
	ck_assert_int_eq(waitpid(r->pid, &status, 0), r->pid);
	r->pid = 0;
	return status;
}

char *run_file(struct run *r, const char *name)
{
	char *text = NULL;

	ck_assert_msg(file_read(r->dirfd, name, FILE_MAX, &text, NULL, NULL), "cannot read '%s'", name);
	return text;
}

char *proc_file(pid_t pid, const char *name)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/%s", (int)pid, name);
	char *text = NULL;

	ck_assert_msg(file_read(AT_FDCWD, path, FILE_MAX, &text, NULL, NULL), "cannot read '%s'", path);
	return text;
}

char *status_of(pid_t pid, const char *key)
{
	_cleanup_free_ char *text = proc_file(pid, "status"), *start = xasprintf("\n%s:", key);
	char *line = strstr(text, start), *value, *to;

	ck_assert_msg(line, "no '%s' in the status", key);
	line += strlen(start);
	to = value = xcalloc(strcspn(line, "\n") + 1, 1);
	for (size_t n; *(line += strspn(line, " \t")) != '\n'; line += n) {
		n = strcspn(line, " \t\n");
		if (to != value)
			*to++ = ' ';
		memcpy(to, line, n);
		to += n;
	}
	return value;
}

void assert_status(pid_t pid, const char *key, const char *value)
{
	_cleanup_free_ char *is = status_of(pid, key);

	ck_assert_msg(str_eq(is, value), "%s is '%s' instead of '%s'", key, is, value);
}

void assert_powerless(pid_t pid, bool bounded)
{
	static const char *const sets[] = { "CapInh", "CapPrm", "CapEff", "CapAmb", "CapBnd" };

	for (unsigned i = 0; i < ARRAY_SIZE(sets) - !bounded; i++)
		assert_status(pid, sets[i], "0000000000000000");
	assert_status(pid, "NoNewPrivs", "1");
}
