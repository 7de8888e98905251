/* SPDX-License-Identifier: BSD-2-Clause */
#include "rig.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "netns.h"
#include "runtime/argv.h"
#include "runtime/cgroup.h"
#include "runtime/confine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static unsigned rigs; /* that there are */

/* ---- programs ---- */

#define SHARED "DROVER_TEST_SHARED"

char *rig_program(const char *name)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0)
		abort(); /* may be asked outside of any test */
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	return xasprintf("%s/%s", self, name);
}

char *rig_shared(const char *name)
{
	const char *dir = getenv(SHARED);

	ck_assert_ptr_nonnull(dir);
	return xasprintf("%s/%s", dir, name);
}

static void copy_file(const char *name, void *data)
{
	const int *dirs = data;
	_cleanup_close_ int from = openat(dirs[0], name, O_RDONLY | O_CLOEXEC), to = -1;
	char text[65536];
	ssize_t n = 0;

	if (from < 0 || name[0] == '.' || faccessat(dirs[1], name, F_OK, 0) == 0)
		return;
	to = openat(dirs[1], name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	while (to >= 0 && (n = read(from, text, sizeof(text))) > 0)
		if (write(to, text, (size_t)n) != n)
			break;
	if (n != 0 && to >= 0)
		unlinkat(dirs[1], name, 0);
}

/* What a binary can do is asked once for all roots of a test. */
static void copy_capabilities(const char *from, const char *to)
{
	int dirs[2];

	file_make_dirs(to, 0700, NULL);
	dirs[0] = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dirs[1] = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirs[0] >= 0 && dirs[1] >= 0)
		file_list(dirs[0], copy_file, dirs, NULL);
	closep(&dirs[0]);
	closep(&dirs[1]);
}

const char *rig_guest(void)
{
	return getenv("DROVER_GUEST");
}

char *rig_qemu(void)
{
	return argv_binary(&(struct definition){ 0 }, NULL);
}

char *rig_qemu_prefix(void)
{
	char *path = rig_qemu();

	if (!path || str_starts(path, "/usr/")) {
		free(path);
		return NULL;
	}
	for (int i = 0; i < 2; i++)
		*strrchr(path, '/') = '\0';
	return path;
}

struct rig *rig_new(const char *program)
{
	const char *tmp = getenv("TMPDIR");
	struct rig *r = xcalloc(1, sizeof(*r));
	_cleanup_free_ char *shared = NULL, *own = NULL;

	r->root = xasprintf("%s/drover-test-XXXXXX", str_empty(tmp) ? "/tmp" : tmp);
	ck_assert_ptr_nonnull(mkdtemp(r->root));
	rigs++;
	/* Guests run as others, and come through it to what is theirs. */
	chmod(r->root, 0711);
	r->program = rig_program(program);
	shared = rig_shared("capabilities");
	own = xasprintf("%s/lib/capabilities", r->root);
	copy_capabilities(shared, own);
	return r;
}

/* From 3 on, which may be among them: all go out of the way first. */
static void give(const struct rig *r)
{
	enum { AWAY = 1000 };
	_cleanup_free_ char *pid = xasprintf("%d", getpid()), *n = xasprintf("%u", r->n_given);

	for (unsigned i = 0; i < r->n_given; i++)
		fcntl(r->given[i], F_DUPFD, AWAY + (int)i);
	for (int i = 0; i < (int)r->n_given; i++)
		dup2(AWAY + i, 3 + i);
	if (!r->n_given)
		return;
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", n, 1);
	setenv("LISTEN_FDNAMES", r->given_names, 1);
}

static void child_exec(struct rig *r, pid_t parent)
{
	_cleanup_free_ char *log = xasprintf("%s/droverd.log", r->root);
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600), null = open("/dev/null", O_RDONLY);

	if (r->uid &&
	    (setgroups(0, NULL) < 0 || setresgid(r->uid, r->uid, r->uid) < 0 || setresuid(r->uid, r->uid, r->uid) < 0))
		_exit(126);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	dup2(null, STDIN_FILENO);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	give(r);
	close_range(3 + r->n_given, ~0U, 0);
	if (r->fault)
		setenv("DROVER_FAULT", r->fault, 1);
	else
		unsetenv("DROVER_FAULT");
	if (r->traced && ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		_exit(125);
	execl(r->program, r->program, "--root", r->root, "--log-level", r->quiet ? "info" : "debug", NULL);
	_exit(127);
}

void rig_spawn(struct rig *r)
{
	pid_t self = getpid();

	ck_assert_int_eq(r->pid, 0);
	r->pid = fork();
	ck_assert_int_ge(r->pid, 0);
	if (r->pid == 0)
		child_exec(r, self);
}

/* The socket is bound before the daemon is ready and answers when it is: the greeting is the sign. */
void rig_start(struct rig *r)
{
	_cleanup_free_ char *socket = xasprintf("%s/run/drover.sock", r->root);
	struct json_object *greeting;
	struct client *c;

	unlink(socket); /* that of a former life would refuse */
	rig_spawn(r);
	c = client_raw(r, &greeting);
	json_object_put(greeting);
	client_free(c);
}

int rig_wait(struct rig *r)
{
	int status;

	ck_assert_int_eq(waitpid(r->pid, &status, 0), r->pid);
	r->pid = 0;
	return status;
}

/* 0 would be all of our own process group. */
static void send_signal(struct rig *r, int signal)
{
	ck_assert_int_gt(r->pid, 0);
	kill(r->pid, signal);
}

void rig_kill(struct rig *r)
{
	send_signal(r, SIGKILL);
	rig_wait(r);
}

void rig_stop(struct rig *r)
{
	int status;

	send_signal(r, SIGTERM);
	status = rig_wait(r);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "droverd ended with wait status %#x", status);
}

char *rig_file(struct rig *r, const char *fmt, ...)
{
	_cleanup_free_ char *name = NULL, *path = NULL;
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	name = xvasprintf(fmt, ap);
	va_end(ap);
	path = xasprintf("%s/%s", r->root, name);
	file_read(AT_FDCWD, path, FILE_MAX, &text, NULL, NULL);
	return text;
}

/* ---- control groups ---- */

struct cgroup_search {
	struct cgroups groups;
	char *prefix; /* of the names of those that a root has made */
	void (*fn)(const char *path, const char *name, void *data);
	void *data;
};

static void match_cgroup(const char *name, void *data)
{
	struct cgroup_search *s = data;
	_cleanup_free_ char *path = xasprintf("%s/%s", s->groups.dir, name);

	if (str_starts(name, s->prefix))
		s->fn(path, name + strlen(s->prefix), s->data);
}

static void each_cgroup(struct rig *r, void (*fn)(const char *path, const char *name, void *data), void *data)
{
	_cleanup_free_ char *run = xasprintf("%s/run", r->root), *prefix = NULL;
	struct cgroup_search s = { .fn = fn, .data = data };
	_cleanup_close_ int dir = -1;

	prefix = xasprintf("drover-%08x-", confine_tag(run));
	s.prefix = prefix;
	cgroups_open(&s.groups, 0);
	dir = s.groups.dir ? open(s.groups.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (dir >= 0)
		file_list(dir, match_cgroup, &s, NULL);
	cgroups_close(&s.groups);
}

static void remove_cgroup(const char *path, const char *name, void *data)
{
	rmdir(path);
}

static void remove_cgroups(struct rig *r)
{
	each_cgroup(r, remove_cgroup, NULL);
}

/* ---- the world ---- */

struct lines {
	char **items;
	size_t n;
};

static void add_line(struct lines *l, char *line)
{
	l->items = xrealloc(l->items, l->n + 1, sizeof(char *));
	l->items[l->n++] = line;
}

static void add_files(struct lines *l, const char *root, const char *below)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", root, below);
	DIR *dir = opendir(path);
	struct dirent *d;

	while (dir && (d = readdir(dir))) {
		_cleanup_free_ char *name = xasprintf("%s/%s", below, d->d_name);

		if (str_eq(d->d_name, ".") || str_eq(d->d_name, ".."))
			continue;
		/* What was learnt of binaries and of KVM is nobody's change. */
		if (str_starts(name, "lib/capabilities/") || str_eq(name, "run/accel.json"))
			continue;
		/* Nor is what clients may still ask of jobs. */
		if (str_starts(name, "run/jobs/") || str_eq(name, "run/last-job"))
			continue;
		add_line(l, xasprintf("file %s", name));
		if (d->d_type == DT_DIR)
			add_files(l, root, name);
	}
	if (dir)
		closedir(dir);
}

/* Calls fn for each live process of a root: one whose working files are below it. */
static void each_process(struct rig *r, void (*fn)(pid_t pid, const char *what, void *data), void *data)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;

	while ((d = readdir(proc))) {
		pid_t pid = (pid_t)strtol(d->d_name, NULL, 10);
		_cleanup_free_ char *fds = xasprintf("/proc/%d/fd", pid), *exe = xasprintf("/proc/%d/exe", pid);
		char target[PATH_MAX];
		DIR *dir = pid > 0 && pid != getpid() && pid != r->pid ? opendir(fds) : NULL;
		bool ours = false;
		struct dirent *f;
		ssize_t n;

		while (dir && (f = readdir(dir))) {
			n = readlinkat(dirfd(dir), f->d_name, target, sizeof(target) - 1);
			target[n > 0 ? n : 0] = '\0';
			ours |= str_starts(target, r->root);
		}
		if (dir)
			closedir(dir);
		if (!ours)
			continue;
		n = readlink(exe, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		fn(pid, strrchr(target, '/') ? strrchr(target, '/') + 1 : "?", data);
	}
	closedir(proc);
}

static void note_process(pid_t pid, const char *what, void *data)
{
	add_line(data, xasprintf("process %s", what));
}

static void note_cgroup(const char *path, const char *name, void *data)
{
	add_line(data, xasprintf("cgroup %s", name));
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_fds(struct lines *l, pid_t pid)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/fd", pid);
	DIR *dir = opendir(path);
	struct dirent *d;

	while (dir && (d = readdir(dir))) {
		char target[PATH_MAX];
		ssize_t n = readlinkat(dirfd(dir), d->d_name, target, sizeof(target) - 1);

		if (n <= 0)
			continue;
		target[n] = '\0';
		if (str_eq(target, "/dev/null"))
			continue; /* libuv keeps one back from the first pipe on */
		if (strchr(target, ':'))
			*strchr(target, ':') = '\0'; /* socket:[123] */
		add_line(l, xasprintf("fd %s", target));
	}
	if (dir)
		closedir(dir);
}

static void add_interfaces(struct lines *l)
{
	_cleanup_free_ char *names = netns_interfaces();
	char *save = NULL;

	for (char *name = strtok_r(names, "\n", &save); name; name = strtok_r(NULL, "\n", &save))
		add_line(l, xasprintf("interface %s", name));
}

char *rig_world(struct rig *r, bool daemon)
{
	static const char *const parts[] = { "etc", "lib", "run" };
	struct lines l = { 0 };
	char *text = xstrdup("");

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		add_files(&l, r->root, parts[i]);
	each_process(r, note_process, &l);
	each_cgroup(r, note_cgroup, &l);
	if (netns_is_own())
		add_interfaces(&l);
	if (daemon && r->pid)
		add_fds(&l, r->pid);
	if (l.n)
		qsort(l.items, l.n, sizeof(char *), compare_lines);
	for (size_t i = 0; i < l.n; i++) {
		char *longer = xasprintf("%s%s\n", text, l.items[i]);

		free(text);
		free(l.items[i]);
		text = longer;
	}
	free(l.items);
	return text;
}

bool rig_is_still(const char *world)
{
	return !strstr(world, ".new\n") && !strstr(world, "process drover-open\n");
}

void rig_reap(void)
{
	while (getpid() == 1 && waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void end_process(pid_t pid, const char *what, void *data)
{
	kill(pid, SIGKILL);
	process_await_end(pid);
}

void rig_free(struct rig *r)
{
	_cleanup_free_ char *shared = NULL, *own = NULL;

	if (r->pid)
		rig_kill(r);
	each_process(r, end_process, NULL);
	remove_cgroups(r);
	if (--rigs == 0)
		rig_reap(); /* no droverd among them, whose end somebody asks for */
	shared = rig_shared("capabilities");
	own = xasprintf("%s/lib/capabilities", r->root);
	copy_capabilities(own, shared);
	if (!getenv("DROVER_KEEP"))
		file_remove_tree(AT_FDCWD, r->root, NULL);
	free(r->root);
	free(r->program);
	free(r->fault);
	free(r);
}

unsigned process_fds(pid_t pid)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/fd", pid);
	DIR *dir = opendir(path);
	unsigned n = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

unsigned process_rss(pid_t pid)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/status", pid);
	char line[256];
	unsigned kib = 0;
	FILE *f = fopen(path, "re");

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f))
		if (str_starts(line, "VmRSS:"))
			kib = (unsigned)strtoul(line + sizeof("VmRSS:") - 1, NULL, 10);
	fclose(f);
	return kib;
}

void process_await_end(pid_t pid)
{
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (fd < 0)
		return;
	ck_assert_msg(poll(&p, 1, RIG_DEADLINE_MS) == 1, "process %d does not end", pid);
}

/* ---- JSON ---- */

static struct json_object *find(struct json_object *o, const char *path)
{
	_cleanup_free_ char *copy = xstrdup(path);
	char *save = NULL;

	for (char *key = strtok_r(copy, ".", &save); key; key = strtok_r(NULL, ".", &save)) {
		if (json_object_is_type(o, json_type_array)) {
			size_t i = strtoul(key, NULL, 10);

			if (i >= json_object_array_length(o))
				return NULL;
			o = json_object_array_get_idx(o, i);
		} else if (!json_object_object_get_ex(o, key, &o)) {
			return NULL;
		}
	}
	return o;
}

struct json_object *at(struct json_object *o, const char *path)
{
	struct json_object *value = find(o, path);

	if (!value) /* each ck_assert() is told to the runner, also one that holds: too slow for what is everywhere */
		ck_abort_msg("no '%s' in %s", path, json_object_to_json_string(o));
	return value;
}

const char *str_at(struct json_object *o, const char *path)
{
	return json_object_get_string(at(o, path));
}

int64_t int_at(struct json_object *o, const char *path)
{
	return json_object_get_int64(at(o, path));
}

bool has(struct json_object *o, const char *path)
{
	return find(o, path) != NULL;
}

/* ---- the suite ---- */

/* A directory that everybody can read: guests run as others than the tests. */
static void make_shared(void)
{
	const char *tmp = getenv("TMPDIR");
	_cleanup_free_ char *dir = xasprintf("%s/drover-shared-XXXXXX", str_empty(tmp) ? "/tmp" : tmp);
	_cleanup_free_ char *fake = rig_program("fake-qemu"), *command = NULL;

	if (!mkdtemp(dir) || chmod(dir, 0755) < 0) {
		perror(dir);
		exit(EXIT_FAILURE);
	}
	setenv(SHARED, dir, 1);
	command = xasprintf("cd '%s' && umask 022 && : > kernel && mkdir capabilities && "
			    "if [ -x '%s' ]; then cp '%s' fake-qemu; fi",
			    dir, fake, fake);
	if (system(command) != 0) /* NOLINT(cert-env33-c): paths of our own */
		exit(EXIT_FAILURE);
}

static int run_suite(Suite *(*make)(void))
{
	SRunner *runner;
	int failed;

	make_shared();
	runner = srunner_create(make());

	/* The tail of a log has room in a message; a longer one would end the test without a word. */
	check_set_max_msg_size(1 << 17);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	file_remove_tree(AT_FDCWD, getenv(SHARED), NULL);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* It goes with the mount namespace. */
static int run_in_memory(Suite *(*make)(void))
{
	char dir[] = "/tmp/drover-memory-XXXXXX";
	int result;

	if (getenv("DROVER_KEEP") || !mkdtemp(dir))
		return run_suite(make);
	if (mount("tmpfs", dir, "tmpfs", 0, "mode=0711") == 0)
		setenv("TMPDIR", dir, 1);
	result = run_suite(make);
	umount2(dir, MNT_DETACH);
	rmdir(dir);
	return result;
}

/* Process 1 of a namespace takes all others with it; its /proc shows them only. Taps and bridges are made in a network of
 * its own, or not at all. */
static int run_as_init(Suite *(*make)(void), bool memory)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("proc", "/proc", "proc", 0, NULL) < 0) {
		perror("mount");
		return EXIT_FAILURE;
	}
	netns_enter();
	return memory ? run_in_memory(make) : run_suite(make);
}

static int run_somewhere(Suite *(*make)(void), bool memory)
{
	int status;
	pid_t pid;

	signal(SIGPIPE, SIG_IGN);
	if (unshare(CLONE_NEWPID | CLONE_NEWNS) < 0) {
		prctl(PR_SET_CHILD_SUBREAPER, 1);
		return run_suite(make);
	}
	pid = fork();
	if (pid == 0) {
		int result = run_as_init(make, memory);

		fflush(NULL);
		exit(result);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return EXIT_FAILURE;
	/* No exit(): the leak sanitizer cannot make its thread in a process that has given its PID namespace away. */
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE);
}

int rig_main(Suite *(*make)(void))
{
	return run_somewhere(make, false);
}

int rig_main_in_memory(Suite *(*make)(void))
{
	return run_somewhere(make, true);
}
