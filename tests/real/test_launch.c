/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * drover-launch as the kernel sees it: locks, keeper, identity, limits, words of failure. The private root
 * and QEMU itself are test_launch_root.c's.
 */
#include "launch.h"

#include "runtime/argv.h"
#include "runtime/cgroup.h"
#include "runtime/process.h"
#include "runtime/uids.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIRST_UID = 2130000, LAST_UID = 2139999, CYCLES = 50 };

static struct run run, other;

#define COMMAND(...) ((char *const[]){ __VA_ARGS__, NULL })
#define WORD(text) ((char *)(uintptr_t)(text))
#define SLEEP COMMAND(WORD("/bin/sleep"), WORD("1000"))
#define SHELL(script) COMMAND(WORD("/bin/sh"), WORD("-c"), WORD(script))

static const struct confine nothing;

static void setup(void)
{
	run_open(&run);
	run_open(&other);
}

static void teardown(void)
{
	run_close(&run);
	run_close(&other);
}

static struct confine as_uid(uid_t uid)
{
	return (struct confine){ .drop = true, .uid = uid, .gid = uid };
}

/* The soft limit WHAT. */
static rlim_t limit_of(pid_t pid, const char *what)
{
	_cleanup_free_ char *text = proc_file(pid, "limits");
	const char *line = strstr(text, what);

	ck_assert_ptr_nonnull(line);
	return strtoull(line + strlen(what), NULL, 10);
}

/* ---- locks, keeper, protocol ---- */

START_TEST(test_defaults)
{
	run_prepare(&run, &nothing, SLEEP);
	assert_powerless(run.qemu, true); /* before exec takes what the bounding set lacks */
	run_go(&run);
	assert_powerless(run.qemu, true);
	assert_status(run.qemu, "Umask", "0077");
	assert_status(run.qemu, "Uid", "0 0 0 0");
	ck_assert_int_eq(getsid(run.qemu), run.pid);
	ck_assert_uint_ge(limit_of(run.qemu, "Max open files"), 4096);
	run_kill(&run);
}
END_TEST

/* Who has more already keeps them. */
START_TEST(test_many_files)
{
	struct rlimit old, r;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	r = old;
	r.rlim_cur = old.rlim_max < 10000 ? old.rlim_max : 10000;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &r), 0);
	run_start(&run, &nothing, SLEEP);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	ck_assert_uint_eq(limit_of(run.qemu, "Max open files"), r.rlim_cur);
	run_kill(&run);
}
END_TEST

/* Without options. */
START_TEST(test_without_options)
{
	_cleanup_free_ char *launcher = rig_program("drover-launch"), *words = NULL;

	words = run_words(&run, COMMAND(launcher, WORD("/bin/sleep"), WORD("1000")));
	run.qemu = (pid_t)strtol(words, NULL, 10);
	ck_assert_int_gt(run.qemu, 0);
	run_go(&run);
	assert_powerless(run.qemu, true);
	run_kill(&run);
}
END_TEST

START_TEST(test_locks)
{
	const struct confine c = as_uid(FIRST_UID);

	run_prepare(&run, &c, SLEEP);
	ck_assert_int_eq(process_lock_holder(run.dirfd, "lock"), run.pid);
	ck_assert_int_eq(process_lock_holder(run.dirfd, "qemu.lock"), run.qemu);
	run_go(&run);
	ck_assert_int_eq(process_lock_holder(run.dirfd, "lock"), run.pid);
	ck_assert_int_eq(process_lock_holder(run.dirfd, "qemu.lock"), run.qemu);
	run_kill(&run);
	ck_assert_int_eq(process_lock_holder(run.dirfd, "lock"), 0);
	ck_assert_int_eq(process_lock_holder(run.dirfd, "qemu.lock"), 0);
}
END_TEST

/* What QEMU gets: nothing of the instance's directory, nor of the socket, but the file of its lock. */
START_TEST(test_descriptors)
{
	_cleanup_free_ char *fds = NULL, *expected = NULL;
	const struct confine c = as_uid(FIRST_UID);

	run.extra = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	run_start(&run, &c, SHELL("for fd in /proc/$$/fd/*; do readlink $fd; done; exit 7"));
	close(run.extra);
	json_object_put(run_end(&run));
	fds = run_file(&run, "out");
	expected = xasprintf("/dev/null\n%s/out\n%s/out\n/dev/zero\n%s/qemu.lock\n", run.dir, run.dir, run.dir);
	ck_assert_str_eq(fds, expected);
}
END_TEST

START_TEST(test_keeper)
{
	_cleanup_json_ struct json_object *o = NULL;
	const struct confine c = as_uid(FIRST_UID);
	int told[2];

	ck_assert_int_eq(pipe2(told, O_CLOEXEC), 0);
	run.extra = told[0];
	run_start(&run, &c, SHELL("read line <&5; exit 7"));
	assert_status(run.pid, "Uid", "0 0 0 0"); /* its own rights are what it was started with */
	assert_status(run.pid, "NoNewPrivs", "0");
	ck_assert_int_eq(kill(run.pid, SIGHUP), 0); /* nobody but the guest's end ends it */
	ck_assert_int_eq(kill(run.pid, SIGTERM), 0);
	close(told[0]);
	close(told[1]);
	o = run_end(&run);
	ck_assert_int_eq(int_at(o, "status"), 7);
}
END_TEST

/* End of file instead of the byte: it never was. */
START_TEST(test_never_mind)
{
	_cleanup_free_ char *script = xasprintf("touch %s/was-here", run.dir);

	run_prepare(&run, &nothing, SHELL(script));
	closep(&run.sock);
	json_object_put(run_end(&run));
	ck_assert_int_lt(faccessat(run.dirfd, "was-here", F_OK, 0), 0);
	ck_assert_int_eq(process_lock_holder(run.dirfd, "lock"), 0);
	ck_assert_int_eq(process_lock_holder(run.dirfd, "qemu.lock"), 0);
}
END_TEST

/* ---- who it is ---- */

START_TEST(test_ids)
{
	struct confine c = as_uid(FIRST_UID + 5);
	const gid_t mine[] = { 0, 4 };

	c.gid = FIRST_UID + 6;
	c.groups[c.n_groups++] = 36;
	ck_assert_int_eq(setgroups(2, mine), 0);
	run_start(&run, &c, SLEEP);
	ck_assert_int_eq(setgroups(1, mine), 0);
	assert_powerless(run.qemu, true);
	assert_status(run.qemu, "Uid", "2130005 2130005 2130005 2130005");
	assert_status(run.qemu, "Gid", "2130006 2130006 2130006 2130006");
	assert_status(run.qemu, "Groups", "36");
	run_kill(&run);
	c.n_groups = 0;
	run_start(&run, &c, SLEEP);
	assert_status(run.qemu, "Groups", "");
	run_kill(&run);
}
END_TEST

/* Two instances of one daemon, and another daemon that knows of neither. */
START_TEST(test_pool)
{
	struct uid_pool *pool = uid_pool_new(FIRST_UID, LAST_UID, 0, NULL), *others;
	struct confine a = as_uid(0), b = as_uid(0);
	uid_t uid;

	ck_assert(uid_pool_claim(pool, &a.uid, NULL));
	ck_assert(uid_pool_claim(pool, &b.uid, NULL));
	ck_assert_uint_ne(a.uid, b.uid);
	run_start(&run, &a, SLEEP);
	run_start(&other, &b, SLEEP);
	others = uid_pool_new(FIRST_UID, LAST_UID, 0, NULL);
	ck_assert(uid_pool_claim(others, &uid, NULL));
	ck_assert_uint_ne(uid, a.uid);
	ck_assert_uint_ne(uid, b.uid);
	run_kill(&run);
	run_kill(&other);
	uid_pool_free(pool);
	uid_pool_free(others);
}
END_TEST

START_TEST(test_ordinary_user)
{
	_cleanup_free_ char *uid = NULL;

	run.ordinary = true;
	run_start(&run, &nothing, SLEEP);
	assert_powerless(run.qemu,
			 false); /* the bounding set is not theirs to change, and no_new_privs makes it moot */
	uid = status_of(run.qemu, "Uid");
	ck_assert_str_eq(uid, "65534 65534 65534 65534");
	ck_assert_int_eq(process_lock_holder(run.dirfd, "qemu.lock"), run.qemu);
	run_kill(&run);
}
END_TEST

/* ---- limits ---- */

static int last_cpu(void)
{
	cpu_set_t set;
	int last = 0;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(set), &set), 0);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &set))
			last = i;
	return last;
}

START_TEST(test_limits)
{
	int last = last_cpu();
	_cleanup_free_ char *cpus = xasprintf("%d", last);
	struct confine c = as_uid(FIRST_UID);
	cpu_set_t set;

	c.nofile = 1000;
	c.limit_memlock = c.limit_core = true;
	c.memlock = 65536;
	c.core = 4096;
	c.cpus = cpus;
	run_start(&run, &c, SLEEP);
	ck_assert_uint_eq(limit_of(run.qemu, "Max open files"), 1000);
	ck_assert_uint_eq(limit_of(run.qemu, "Max locked memory"), 65536);
	ck_assert_uint_eq(limit_of(run.qemu, "Max core file size"), 4096);
	ck_assert_int_eq(sched_getaffinity(run.qemu, sizeof(set), &set), 0);
	ck_assert_int_eq(CPU_COUNT(&set), 1);
	ck_assert(CPU_ISSET(last, &set));
	run_kill(&run);
}
END_TEST

static char *cgroup_of(pid_t pid)
{
	_cleanup_free_ char *text = proc_file(pid, "cgroup");
	const char *line = strstr(text, "0::");

	ck_assert_ptr_nonnull(line);
	return xstrndup(line, strcspn(line, "\n"));
}

START_TEST(test_cgroup)
{
	_cleanup_free_ char *path = NULL, *again = NULL, *of_qemu = NULL, *of_keeper = NULL,
			    *ours = cgroup_of(getpid());
	struct confine c = as_uid(FIRST_UID);
	struct err *e = NULL;
	struct cgroups g;

	cgroups_open(&g, 0xabc);
	ck_assert(cgroups_make(&g, "web1", &path, NULL));
	if (!path) {
		printf("SKIP: control groups: %s\n", g.reason);
		cgroups_close(&g);
		return;
	}
	ck_assert(cgroups_make(&g, "web1", &again, NULL));
	ck_assert_str_eq(path, again);
	c.cgroup = path;
	run_start(&run, &c, SLEEP);
	of_qemu = cgroup_of(run.qemu);
	of_keeper = cgroup_of(run.pid);
	ck_assert_str_eq(of_keeper, ours);
	ck_assert_str_ne(of_qemu, ours);
	ck_assert_str_eq(strrchr(of_qemu, '/'), "/drover-00000abc-web1");
	ck_assert(!cgroups_remove(path, &e));
	ck_assert_ptr_nonnull(strstr(e->desc, "busy"));
	err_free(e);
	run_kill(&run);
	ck_assert(cgroups_remove(path, NULL));
	ck_assert_int_lt(access(path, F_OK), 0);
	ck_assert(cgroups_remove(path, NULL));
	cgroups_close(&g);
}
END_TEST

/* ---- failures ---- */

static const struct {
	const char *options[6];
	const char *words; /* all that is said, or its beginning */
	bool ordinary;
} failures[] = {
	{ { "--uid", "x", "--gid", "1" }, "'--uid x': not a number up to 4294967294" },
	{ { "--uid", "4294967295", "--gid", "1" }, "'--uid 4294967295': not a number up to 4294967294" },
	{ { "--uid", "1" }, "'--uid' and '--gid' go together" },
	{ { "--group", "1" }, "'--group' needs '--uid' and '--gid'" },
	{ { "--uid", "1", "--gid", "1" }, "cannot set the groups: Operation not permitted", true },
	{ { "--nofile", "-1" }, "'--nofile -1': not a number up to " },
	{ { "--memlock", "much" }, "'--memlock much': not a number up to " },
	{ { "--memlock", "unlimited" }, "cannot limit locked memory: Operation not permitted", true },
	{ { "--core", "" }, "'--core ': not a number up to " },
	{ { "--cpus", "0-" }, "'--cpus 0-': not a list of processors" },
	{ { "--cpus", "1-0" }, "'--cpus 1-0': not a list of processors" },
	{ { "--cpus", "0,1023" }, "cannot run on the processors '0,1023': some of them are not there" },
	{ { "--cpus", "1023" }, "cannot run on the processors '1023': Invalid argument" },
	{ { "--cgroup", "here" }, "'--cgroup here': not an absolute path" },
	{ { "--cgroup", "/nonexistent" }, "cannot join the control group '/nonexistent': No such file or directory" },
	{ { "--private-root" }, "private root: cannot make a mount namespace: Operation not permitted", true },
	{ { "--private-root", "--bind", "/nonexistent" },
	  "private root: cannot bind '/nonexistent': No such file or directory" },
	{ { "--private-root", "--q", "/nonexistent" },
	  "private root: cannot bind '/nonexistent': No such file or directory" },
	{ { "--bind", "/etc" }, "'--bind', '--q' and '--kvm' need '--private-root'" },
	{ { "--kvm" }, "'--bind', '--q' and '--kvm' need '--private-root'" },
	{ { "--frobnicate" }, "'--frobnicate': no such option, or not as it is written" },
	{ { "--nofile", "5", "--once" }, "'--once' must come first" },
	{ { "--die-with-parent" }, "'--die-with-parent' needs '--once'" },
};

/* In words on the socket, before any pid; and the keeper is gone without a trace of a program. */
START_TEST(test_failures)
{
	_cleanup_free_ char *launcher = rig_program("drover-launch"), *words = NULL;
	char *argv[16] = { launcher };
	int n = 1;

	for (int i = 0; failures[_i].options[i]; i++)
		argv[n++] = WORD(failures[_i].options[i]);
	argv[n++] = WORD("--");
	argv[n] = WORD("/bin/true");
	run.ordinary = failures[_i].ordinary;
	run.memlock = 65536;
	words = run_words(&run, argv);
	ck_assert_msg(str_starts(words, failures[_i].words), "'%s'", words);
	ck_assert_int_eq(waitpid(run.pid, NULL, 0), run.pid);
	run.pid = 0;
	ck_assert_int_eq(process_lock_holder(run.dirfd, "lock"), 0);
	ck_assert_int_eq(process_lock_holder(run.dirfd, "qemu.lock"), 0);
}
END_TEST

/* The same of a probe, on stderr. */
START_TEST(test_failures_once)
{
	_cleanup_free_ char *launcher = rig_program("drover-launch"), *words = NULL;
	char *argv[16] = { launcher, WORD("--once") };
	int n = 2, status;

	if (str_eq(failures[_i].options[0], "--die-with-parent") || str_eq(failures[_i].options[2], "--once"))
		return;
	for (int i = 0; failures[_i].options[i]; i++)
		argv[n++] = WORD(failures[_i].options[i]);
	argv[n++] = WORD("--");
	argv[n] = WORD("/bin/true");
	run.ordinary = failures[_i].ordinary;
	run.memlock = 65536;
	status = run_once(&run, argv);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 125);
	words = run_file(&run, "out");
	ck_assert(str_starts(words, "drover-launch: "));
	ck_assert_msg(str_starts(words + strlen("drover-launch: "), failures[_i].words), "'%s'", words);
}
END_TEST

START_TEST(test_nothing_to_run)
{
	_cleanup_free_ char *launcher = rig_program("drover-launch"), *words = NULL;
	char text[512];
	ssize_t n;

	words = run_words(&run, COMMAND(launcher, WORD("--nofile"), WORD("5000")));
	ck_assert_str_eq(words, "there is no program to run");
	waitpid(run.pid, NULL, 0);
	run_prepare(&other, &nothing, COMMAND(WORD("/nonexistent")));
	ck_assert_int_eq(write(other.sock, "g", 1), 1);
	n = read(other.sock, text, sizeof(text) - 1);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	ck_assert_str_eq(text, "cannot run '/nonexistent': No such file or directory\n");
	run.pid = 0;
}
END_TEST

START_TEST(test_locked)
{
	_cleanup_free_ char *launcher = rig_program("drover-launch"), *words = NULL;
	int dirfd = other.dirfd;

	run_start(&run, &nothing, SLEEP);
	other.dirfd = run.dirfd;
	words = run_words(&other, COMMAND(launcher, WORD("/bin/true")));
	other.dirfd = dirfd;
	ck_assert_str_eq(words, "cannot lock 'lock': Resource temporarily unavailable");
	run_kill(&run);
}
END_TEST

/* ---- probes ---- */

START_TEST(test_once)
{
	_cleanup_free_ char *launcher = rig_program("drover-launch"), *out = NULL;
	struct confine c = as_uid(FIRST_UID);
	char **argv;
	int status;

	c.once = true;
	argv = confine_argv(
		&c, launcher,
		SHELL("grep -E '^(Cap|NoNew|Uid)' /proc/self/status | grep -c -E '0{16}|\t1$|2130000'; exit 9"));
	status = run_once(&run, argv);
	argv_free(argv);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 9);
	out = run_file(&run, "out");
	ck_assert_str_eq(out, "7\n");
	ck_assert_int_lt(faccessat(run.dirfd, "lock", F_OK, 0), 0);
}
END_TEST

/* The one that starts it dies; so does it, though it has become another user since. */
START_TEST(test_dies_with_parent)
{
	_cleanup_free_ char *launcher = rig_program("drover-launch");
	pid_t parent, probe;
	int told[2];

	ck_assert_int_eq(pipe2(told, O_CLOEXEC), 0);
	parent = fork();
	ck_assert_int_ge(parent, 0);
	if (parent == 0) {
		probe = fork();
		if (probe == 0) {
			dup2(told[1], STDOUT_FILENO);
			execl(launcher, launcher, "--once", "--die-with-parent", "--uid", "2130000", "--gid", "2130000",
			      "--", "/bin/sh", "-c", "echo $$; exec sleep 1000", (char *)NULL);
		}
		pause();
		_exit(1);
	}
	{
		char text[32] = "";

		close(told[1]);
		ck_assert_int_gt(read(told[0], text, sizeof(text) - 1), 0);
		close(told[0]);
		probe = (pid_t)strtol(text, NULL, 10);
	}
	ck_assert_int_gt(probe, 0);
	kill(parent, SIGKILL);
	ck_assert_int_eq(waitpid(parent, NULL, 0), parent);
	process_await_end(probe);
	waitpid(probe, NULL, 0);
}
END_TEST

/* ---- nothing is left ---- */

static unsigned count_processes(void)
{
	DIR *d = opendir("/proc");
	unsigned n = 0;

	ck_assert_ptr_nonnull(d);
	for (struct dirent *de; (de = readdir(d));)
		n += de->d_name[0] >= '0' && de->d_name[0] <= '9';
	closedir(d);
	return n;
}

START_TEST(test_cycles)
{
	_cleanup_free_ char *mounts = proc_file(getpid(), "mountinfo"), *mounts_after = NULL;
	_cleanup_free_ char *q = xasprintf("%s/q", run.dir);
	struct confine c = as_uid(FIRST_UID);
	unsigned processes, fds;
	struct cgroups g;

	cgroups_open(&g, 0xdef);
	ck_assert_int_eq(mkdir(q, 0700), 0);
	c.private_root = true;
	c.q_path = q;
	processes = count_processes();
	fds = process_fds(getpid());
	for (int i = 0; i < CYCLES; i++) {
		_cleanup_free_ char *path = NULL;

		ck_assert(cgroups_make(&g, "cycle", &path, NULL));
		c.cgroup = path;
		if (i % 5 == 4) {
			run_prepare(&run, &c, SLEEP);
			closep(&run.sock);
			json_object_put(run_end(&run));
		} else {
			run_start(&run, &c, SLEEP);
			run_kill(&run);
		}
		ck_assert(cgroups_remove(path, NULL));
		ck_assert(!path || access(path, F_OK) < 0);
	}
	ck_assert_uint_eq(count_processes(), processes);
	ck_assert_uint_eq(process_fds(getpid()), fds);
	mounts_after = proc_file(getpid(), "mountinfo");
	ck_assert_str_eq(mounts, mounts_after);
	cgroups_close(&g);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("launch");
	TCase *tc = tcase_create("launch");

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, test_defaults);
	tcase_add_test(tc, test_many_files);
	tcase_add_test(tc, test_without_options);
	tcase_add_test(tc, test_locks);
	tcase_add_test(tc, test_descriptors);
	tcase_add_test(tc, test_keeper);
	tcase_add_test(tc, test_never_mind);
	tcase_add_test(tc, test_ids);
	tcase_add_test(tc, test_pool);
	tcase_add_test(tc, test_ordinary_user);
	tcase_add_test(tc, test_limits);
	tcase_add_test(tc, test_cgroup);
	tcase_add_loop_test(tc, test_failures, 0, ARRAY_SIZE(failures));
	tcase_add_loop_test(tc, test_failures_once, 0, ARRAY_SIZE(failures));
	tcase_add_test(tc, test_nothing_to_run);
	tcase_add_test(tc, test_locked);
	tcase_add_test(tc, test_once);
	tcase_add_test(tc, test_dies_with_parent);
	tcase_add_test(tc, test_cycles);
	return s;
}

int main(void)
{
	if (geteuid() != 0) {
		puts("SKIP: only root can become somebody else");
		return 77;
	}
	return rig_main(suite);
}
