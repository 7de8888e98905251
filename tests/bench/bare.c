/* SPDX-License-Identifier: BSD-2-Clause */
#include "bare.h"

#include "runtime/argv.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HIGH_FD = 100, IMAGES_MAX = 8 };

static int move_up(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);

	ck_assert_int_ge(high, HIGH_FD);
	close(fd);
	return high;
}

static int listen_at(const char *dir, const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s", dir, name);
	unlink(a.sun_path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	listen(fd, 1);
	return move_up(fd);
}

static int log_at(const char *dir, const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);

	return move_up(open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
}

static void await_cont(const char *dir)
{
	_cleanup_free_ char *path = xasprintf("%s/qmp", dir);
	struct wire *w = wire_new(path);

	ck_assert_ptr_nonnull(w);
	wire_ask(w, "{\"execute\": \"cont\"}");
	wire_free(w);
}

pid_t bare_start(const struct bare *b, double *ms)
{
	double begin = now_ms();
	int fds[FD_COUNT + IMAGES_MAX] = {
		[FD_QMP] = listen_at(b->dir, "qmp"),          [FD_QMP2] = listen_at(b->dir, "qmp2"),
		[FD_SERIAL] = listen_at(b->dir, "serial"),    [FD_AGENT] = listen_at(b->dir, "agent"),
		[FD_CONSOLE_LOG] = log_at(b->dir, "console"), [FD_EVENTS_LOG] = log_at(b->dir, "events")
	};
	posix_spawn_file_actions_t actions;
	int n = FD_COUNT;
	pid_t pid;

	for (char **image = b->images; *image; image++)
		fds[n++] = move_up(open(*image, O_RDWR | O_CLOEXEC));
	posix_spawn_file_actions_init(&actions);
	for (int i = FD_QMP; i < n; i++)
		posix_spawn_file_actions_adddup2(&actions, fds[i], i);
	ck_assert_int_eq(posix_spawn(&pid, b->argv[0], &actions, NULL, b->argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	for (int i = FD_QMP; i < n; i++)
		close(fds[i]);
	await_cont(b->dir);
	*ms = now_ms() - begin;
	return pid;
}

void bare_stop(pid_t pid, double *ms)
{
	double begin = now_ms();
	int status;

	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	*ms = now_ms() - begin;
}

char **bare_argv(struct client *c, const char *name)
{
	_cleanup_json_ struct json_object *o = client_ok(c, "instance-argv", "{'instance': '%s'}", name);
	struct json_object *list = at(o, "argv");
	size_t n = json_object_array_length(list);
	char **argv = xcalloc(n + 1, sizeof(char *));

	for (size_t i = 0; i < n; i++)
		argv[i] = xstrdup(json_object_get_string(json_object_array_get_idx(list, i)));
	return argv;
}
