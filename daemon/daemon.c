/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/daemon.h"

#include "base/file.h"
#include "base/log.h"
#include "daemon/command.h"
#include "daemon/follow.h"
#include "daemon/session.h"
#include "qmp/caps_cache.h"
#include "runtime/accel.h"
#include "runtime/confine.h"
#include "runtime/quarantine.h"
#include "runtime/record.h"
#include "runtime/uids.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uuid/uuid.h>

#define SOCKET_NAME "drover.sock"

/* A program of ours beside droverd, or where both are installed. */
static char *find_program(const char *name, struct err **e)
{
	static const char *const places[] = { "", "../libexec/drover/" };
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	for (size_t i = 0; slash && i < ARRAY_SIZE(places); i++) {
		_cleanup_free_ char *path = xasprintf("%.*s/%s%s", (int)(slash - self), self, places[i], name);
		char *full = access(path, X_OK) == 0 ? realpath(path, NULL) : NULL;

		if (full)
			return full;
	}
	err_set(e, ERR_NOT_FOUND, "'%s' is neither beside droverd nor in ../libexec/drover", name);
	return NULL;
}

/* One daemon per root: a record lock, which goes with us whatever happens. One of the open file description would not:
 * a child that is forked and has not come to its exec yet shares that, and the next droverd would find us alive. Nothing
 * else may open this file, for its closing would let the lock go. */
static int take_lock(int dir, struct err **e)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	_cleanup_close_ int fd = openat(dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0) {
		err_set_errno(e, ERR_GENERIC, errno, "cannot open the lock");
		return -1;
	}
	if (fcntl(fd, F_SETLK, &lock) < 0) {
		err_set(e, ERR_BUSY, "another droverd runs on this root");
		return -1;
	}
	return TAKE_FD(fd);
}

/* What guests are started with, for which the programs beside us are needed. */
static bool open_gear(struct runtime *rt, const struct config *config, const char *root, struct err **e)
{
	_cleanup_free_ char *prober = NULL;
	const char *words[] = { NULL, "--once", "--die-with-parent", "--", NULL, NULL };
	uint32_t tag = confine_tag(root ? rt->dirs.run : NULL);

	rt->launcher = find_program("drover-launch", e);
	rt->opener = rt->launcher ? find_program("drover-open", e) : NULL;
	rt->fetcher = rt->opener ? find_program("drover-fetch", e) : NULL;
	prober = rt->fetcher ? find_program("drover-probe", e) : NULL;
	if (!prober)
		return false;
	rt->uids = uid_pool_new(config->uid_first, config->uid_last, tag, e);
	if (!rt->uids)
		return false;
	rt->ports.first = config->port_first;
	rt->ports.last = config->port_last;
	cgroups_open(&rt->cgroups, tag);
	if (rt->cgroups.reason)
		log_notice("no control groups: %s", rt->cgroups.reason);
	words[0] = rt->launcher;
	words[4] = prober;
	rt->caps = caps_cache_new(rt->loop, words, rt->dirs.capabilities);
	rt->accel = accel_cache_new(rt->loop, rt->dirs.run_fd, NULL);
	return true;
}

static void keep_spare(struct daemon *d)
{
	if (d->spare_fd < 0)
		d->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

bool daemon_open(struct daemon *d, uv_loop_t *loop, const char *root, struct err **e)
{
	uuid_t uuid;

	d->loop = loop;
	d->queues = queues_new();
	LIST_INIT(&d->sessions);
	LIST_INIT(&d->asks);
	TAILQ_INIT(&d->jobs);
	uv_timer_init(loop, &d->collector);
	d->collector.data = d;
	uuid_generate_random(uuid);
	uuid_unparse_lower(uuid, d->epoch);
	d->lock_fd = d->listen_fd = d->spare_fd = -1;
	if (!runtime_open(&d->rt, loop, root, &follow_ops, d, e))
		return false;
	d->lock_fd = take_lock(d->rt.dirs.run_fd, e);
	if (d->lock_fd < 0)
		return false;
	keep_spare(d); /* before the guests take what there is */
	file_list(d->rt.dirs.run_instances, record_sweep, &d->rt, NULL);
	quarantine_recover(&d->rt);
	return config_read(&d->config, d->rt.dirs.etc, e) && open_gear(&d->rt, &d->config, root, e);
}

/* ---- clients ---- */

static int accept_one(const struct daemon *d)
{
	int fd;

	do
		fd = accept4(d->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	return fd;
}

/* The error is told once, until somebody comes in again. */
static void tell_crowded(struct daemon *d, int error)
{
	if (!d->crowded)
		log_error("cannot accept a client: %s; this is said once", strerror(error));
	d->crowded = true;
}

/* There is no descriptor for a client, if there is one: with the spare one it is told so. Who is not taken from the
 * socket would wake us again at once. The errno of accept. */
static int turn_away(struct daemon *d)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *text = NULL, *line = NULL;
	struct err *e = NULL;
	int error;

	closep(&d->spare_fd);
	fd = accept_one(d);
	error = fd < 0 ? errno : 0;
	if (fd >= 0) {
		err_set(&e, ERR_BUSY, "droverd has no descriptor left for you; end a session, or raise its limit");
		json_add(o, "error", err_to_json(e));
		text = json_print(o);
		line = xasprintf("%s\r\n", text);
		send(fd, line, strlen(line), MSG_NOSIGNAL);
	}
	err_free(e);
	closep(&fd);
	keep_spare(d);
	return error;
}

static void on_connection(uv_poll_t *poll, int status, int events);

static void on_listen_again(uv_timer_t *timer)
{
	struct daemon *d = timer->data;

	keep_spare(d);
	uv_poll_start(&d->listener, UV_READABLE, on_connection);
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
	enum { PAUSE_MS = 1000 };
	struct daemon *d = poll->data;

	for (unsigned i = 0; i < SESSIONS_MAX; i++) {
		int fd = accept_one(d), error = fd < 0 ? errno : 0;
		bool full = error == EMFILE || error == ENFILE;

		if (full && d->spare_fd >= 0) {
			error = turn_away(d);
			if (!error)
				tell_crowded(d, EMFILE);
		} else if (!error) {
			d->crowded = false;
			session_new(d, fd);
		}
		if (error == EAGAIN)
			return;
		if (error) {
			tell_crowded(d, error);
			uv_poll_stop(&d->listener);
			uv_timer_start(&d->listen_on, on_listen_again, PAUSE_MS, 0);
			return;
		}
	}
}

/* Our own at run/drover.sock. */
static int open_socket(struct daemon *d, struct err **e)
{
	_cleanup_free_ char *path = xasprintf("%s/" SOCKET_NAME, d->rt.dirs.run);

	if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
		err_set(e, ERR_UNSUPPORTED,
			"the path of the socket is too long for clients: '%s'; choose a shorter root", path);
		return -1;
	}
	return dirs_listen(d->rt.dirs.run_fd, SOCKET_NAME, 0660, e);
}

bool listener_open(struct daemon *d, struct err **e)
{
	if (d->listen_fd < 0)
		d->listen_fd = open_socket(d, e);
	if (d->listen_fd < 0)
		return false;
	listen(d->listen_fd, SOMAXCONN);
	uv_timer_init(d->loop, &d->listen_on);
	d->listen_on.data = d;
	uv_poll_init(d->loop, &d->listener, d->listen_fd);
	d->listener.data = d;
	uv_poll_start(&d->listener, UV_READABLE, on_connection);
	return true;
}

struct instance *call_instance(struct call *call, struct err **e)
{
	const struct instance_args *args = call->args;
	struct instance *inst = instance_find(&call->d->rt, args->instance);

	if (!inst)
		err_set(e, ERR_NOT_FOUND, "no instance '%s'", args->instance);
	return inst;
}

char *subject_instance(struct call *call, struct err **e)
{
	struct instance *inst = call_instance(call, e);

	return inst ? xasprintf("instance-%s", inst->name) : NULL;
}
