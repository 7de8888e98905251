/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/process.h"

#include "base/file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ADOPTED "adopted.json"

/* One of the two: QEMU or its keeper. */
struct half {
	struct process *whole;
	pid_t pid;
	int fd; /* pidfd; -1: ended, or never found */
	uv_poll_t poll;
	bool polled;
};

struct process {
	struct half qemu, keeper;
	uint64_t start_time;
	unsigned open;
	void (*end)(struct process *p, void *data);
	void *data;
};

pid_t process_lock_holder(int dirfd, const char *name)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	_cleanup_close_ int fd = openat(dirfd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	if (fcntl(fd, F_GETLK, &lock) < 0)
		return -1;
	if (lock.l_type == F_UNLCK)
		return 0;
	if (lock.l_pid > 0)
		return lock.l_pid;
	errno = ESRCH; /* of another PID namespace */
	return -1;
}

static pid_t ask_lock(int dirfd, const char *name, struct err **e)
{
	pid_t holder = process_lock_holder(dirfd, name);

	if (holder < 0)
		err_set_errno(e, ERR_GENERIC, errno, "cannot ask who holds '%s'", name);
	return holder;
}

/* What process_adopt() wrote, of a process that is there still; 0 for none, -1 if it cannot be told. */
static pid_t ask_adopted(int dirfd, struct err **e)
{
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_err_ struct err *failure = NULL;
	int64_t pid, start;
	char state;

	if (!file_read_json(dirfd, ADOPTED, &o, &failure)) {
		if (failure->class == ERR_NOT_FOUND)
			return 0;
		err_keep_first(e, TAKE_PTR(failure));
		return -1;
	}
	pid = json_get_int(o, "pid", 0);
	start = json_get_int(o, "start-time", 0);
	if (pid <= 0 || pid > INT32_MAX || start <= 0) {
		err_set(e, ERR_GENERIC, "'" ADOPTED "' names no process");
		return -1;
	}
	state = process_run_state((pid_t)pid);
	if (!str_eq(json_get_str(o, "boot-id"), process_boot_id()) || !state || strchr("ZX", state) ||
	    process_start_time((pid_t)pid) != (uint64_t)start)
		return 0;
	return (pid_t)pid;
}

bool process_adopt(int dirfd, pid_t pid, struct err **e)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();

	json_add_int(o, "pid", pid);
	json_add_uint(o, "start-time", process_start_time(pid));
	json_add_str(o, "boot-id", process_boot_id());
	return file_write_json(dirfd, ADOPTED, o, 0600, e);
}

/* The QEMU: who holds the lock, or was adopted without one. */
static pid_t ask_qemu(int dirfd, const char *lock, struct err **e)
{
	pid_t holder = ask_lock(dirfd, lock, e);

	return holder == 0 && str_eq(lock, "qemu.lock") ? ask_adopted(dirfd, e) : holder;
}

bool process_is_none(int dirfd, struct err **e)
{
	static const char *const locks[] = { "qemu.lock", "lock" };

	for (size_t i = 0; i < ARRAY_SIZE(locks); i++) {
		pid_t holder = ask_qemu(dirfd, locks[i], e);

		if (holder < 0)
			return false;
		if (holder > 0)
			return err_set(e, ERR_BUSY, "process %d holds '%s'", holder, locks[i]);
	}
	return true;
}

/* The beginning of /proc/PID/NAME. */
static bool read_proc(pid_t pid, const char *name, char *buf, size_t size)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/%s", pid, name);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	buf[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* What follows the name of the program in /proc/PID/stat, which itself may hold anything. */
static bool read_stat(pid_t pid, char *buf, size_t size, const char **rest)
{
	if (!read_proc(pid, "stat", buf, size))
		return false;
	*rest = strrchr(buf, ')');
	return *rest && (*rest)[1] == ' ';
}

uint64_t process_start_time(pid_t pid)
{
	enum { STATE_FIELD = 3, START_FIELD = 22 };
	char buf[1024];
	const char *p;

	if (!read_stat(pid, buf, sizeof(buf), &p))
		return 0;
	p += 2;
	for (int field = STATE_FIELD; field < START_FIELD && p; field++) {
		p = strchr(p, ' ');
		p = p ? p + 1 : NULL;
	}
	return p ? strtoull(p, NULL, 10) : 0;
}

char process_run_state(pid_t pid)
{
	char buf[1024];
	const char *p;

	if (!read_stat(pid, buf, sizeof(buf), &p))
		return '\0';
	return p[2];
}

const char *process_boot_id(void)
{
	static char id[37];

	if (!*id) {
		_cleanup_close_ int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? 0 : read(fd, id, sizeof(id) - 1);

		id[n > 0 ? n : 0] = '\0';
	}
	return id;
}

static void on_closed(uv_handle_t *handle)
{
	struct half *h = handle->data;

	if (--h->whole->open == 0)
		free(h->whole);
}

static void half_close(struct half *h)
{
	if (h->polled)
		uv_close((uv_handle_t *)&h->poll, on_closed);
	h->polled = false;
	closep(&h->fd);
}

static void on_half_ended(uv_poll_t *poll, int status, int events)
{
	struct half *h = poll->data;
	struct process *p = h->whole;

	half_close(h);
	if (p->qemu.fd < 0 && p->keeper.fd < 0)
		p->end(p, p->data);
}

static void half_hold(struct process *p, struct half *h, uv_loop_t *loop, pid_t pid, int fd)
{
	h->pid = pid;
	h->fd = fd;
	if (fd < 0)
		return;
	uv_poll_init(loop, &h->poll, fd);
	h->poll.data = h;
	h->polled = true;
	p->open++;
	uv_poll_start(&h->poll, UV_READABLE, on_half_ended);
}

/* Who holds a lock (WANTED, if not 0), and a descriptor that stands for it; 0 and -1 for nobody. False: that cannot be
 * told. */
static bool find_half(int dirfd, const char *lock, pid_t wanted, pid_t *pid, int *fd, struct err **e)
{
	_cleanup_close_ int found = -1;
	pid_t holder = ask_qemu(dirfd, lock, e), still;

	*pid = 0;
	*fd = -1;
	if (holder <= 0 || (wanted && holder != wanted))
		return holder >= 0;
	found = (int)syscall(SYS_pidfd_open, holder, 0);
	if (found < 0)
		return errno == ESRCH || err_set_errno(e, ERR_GENERIC, errno, "cannot take hold of process %d", holder);
	/* The pid may have ended and been given to another between the question and the descriptor; who
	 * still holds the lock now, or began when the adopted one did, is the one the descriptor stands for. */
	still = ask_qemu(dirfd, lock, e);
	if (still != holder)
		return still >= 0;
	*pid = holder;
	*fd = TAKE_FD(found);
	return true;
}

struct process *process_hold(uv_loop_t *loop, int dirfd, pid_t pid, uint64_t start_time,
			     void (*end)(struct process *p, void *data), void *data, struct err **e)
{
	_cleanup_close_ int qemu_fd = -1, keeper_fd = -1;
	pid_t holder, keeper;
	struct process *p;

	if (!find_half(dirfd, "qemu.lock", pid, &holder, &qemu_fd, e) ||
	    !find_half(dirfd, "lock", 0, &keeper, &keeper_fd, e))
		return NULL;
	if (qemu_fd >= 0 && start_time && process_start_time(holder) != start_time)
		closep(&qemu_fd);
	if (qemu_fd < 0 && keeper_fd < 0)
		return NULL;
	p = xcalloc(1, sizeof(*p));
	p->end = end;
	p->data = data;
	p->open = 1;
	p->qemu.whole = p->keeper.whole = p;
	half_hold(p, &p->qemu, loop, holder, TAKE_FD(qemu_fd));
	half_hold(p, &p->keeper, loop, keeper, TAKE_FD(keeper_fd));
	p->start_time = holder ? process_start_time(holder) : 0;
	return p;
}

struct process *process_free(struct process *p)
{
	if (!p)
		return NULL;
	half_close(&p->qemu);
	half_close(&p->keeper);
	if (--p->open == 0)
		free(p);
	return NULL;
}

pid_t process_pid(const struct process *p)
{
	return p->qemu.pid;
}

bool process_alive(const struct process *p)
{
	return p->qemu.fd >= 0;
}

void process_signal(const struct process *p, int signal)
{
	if (p->qemu.fd >= 0)
		syscall(SYS_pidfd_send_signal, p->qemu.fd, signal, NULL, 0);
}

/* The numbers of a line of /proc/PID/status. */
static int read_numbers(const char *status, const char *line, gid_t *to, int max)
{
	const char *p = strstr(status, line);
	int n = 0;

	if (!p)
		return 0;
	p += strlen(line);
	p += strspn(p, "\t ");
	for (char *end; n < max && isdigit((unsigned char)*p); n++) {
		to[n] = (gid_t)strtoul(p, &end, 10);
		p = end + strspn(end, "\t ");
	}
	return n;
}

int process_credentials(const struct process *p, uid_t *uid, gid_t *gid, gid_t *groups, int n_groups)
{
	enum { REAL_AND_EFFECTIVE = 2 };
	char status[4096];
	gid_t uids[REAL_AND_EFFECTIVE], gids[REAL_AND_EFFECTIVE];

	if (!process_alive(p) || !read_proc(p->qemu.pid, "status", status, sizeof(status)) ||
	    read_numbers(status, "\nUid:", uids, REAL_AND_EFFECTIVE) < REAL_AND_EFFECTIVE ||
	    read_numbers(status, "\nGid:", gids, REAL_AND_EFFECTIVE) < REAL_AND_EFFECTIVE)
		return -1;
	*uid = uids[1];
	*gid = gids[1];
	return read_numbers(status, "\nGroups:", groups, n_groups);
}

struct json_object *process_describe(pid_t pid, uint64_t start_time)
{
	struct json_object *o = json_object_new_object();
	_cleanup_free_ char *path = xasprintf("/proc/%d", pid);
	struct stat st;

	json_add_int(o, "pid", pid);
	json_add_uint(o, "start-time", start_time);
	json_add_str(o, "boot-id", process_boot_id());
	json_add_int(o, "uid", stat(path, &st) == 0 ? (int64_t)st.st_uid : -1);
	return o;
}

struct json_object *process_to_json(const struct process *p)
{
	return process_describe(p->qemu.pid, p->start_time);
}
