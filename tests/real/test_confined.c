/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel says of a QEMU that droverd started: whose it is, what it may, what it sees and holds. */
#include "guest.h"
#include "tiny.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { UID_FIRST = 2130000, UID_LAST = 2139999 }; /* the pool's */

static struct rig *rig;
static struct client *client;

static void set_up(void)
{
	rig = rig_new("droverd");
	rig_start(rig);
	client = client_new(rig);
}

static void tear_down(void)
{
	client_free(client);
	rig_free(rig);
}

static void restart(void)
{
	rig_restart(rig, &client);
}

static void define_bare(const char *name, const char *hvparams)
{
	client_define(client, name, "'memory': '16M', 'hvparams': {'accel': 'tcg'%s}", hvparams);
}

static void stop(const char *name)
{
	json_object_put(client_ok(client, "instance-stop", "{'instance': '%s'}", name));
}

/* ---- whose it is, and what it may ---- */

static void expect_field(pid_t pid, const char *field, const char *expected)
{
	_cleanup_free_ char *value = process_field(pid, "status", field);

	ck_assert_msg(str_eq(value, expected), "%s is '%s' and not '%s'", field, value, expected);
}

/* Four times UID and four times GID, no group besides, and no right but those of anybody. */
static void expect_confined(pid_t pid, uid_t uid, gid_t gid)
{
	static const char *const sets[] = { "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb" };
	_cleanup_free_ char *uids = xasprintf("%u\t%u\t%u\t%u", uid, uid, uid, uid);
	_cleanup_free_ char *gids = xasprintf("%u\t%u\t%u\t%u", gid, gid, gid, gid);
	_cleanup_free_ char *groups = process_field(pid, "status", "Groups");

	for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
		expect_field(pid, sets[i], "0000000000000000");
	expect_field(pid, "NoNewPrivs", "1");
	expect_field(pid, "Seccomp", "2");
	expect_field(pid, "Uid", uids);
	expect_field(pid, "Gid", gids);
	/* that of whom it was not taken from stay: security_model none is droverd's own account */
	ck_assert_msg(uid == geteuid() || !groups[strspn(groups, " ")], "groups: %s", groups);
}

static uid_t uid_of(pid_t pid)
{
	_cleanup_free_ char *text = process_field(pid, "status", "Uid");

	return (uid_t)strtoul(text, NULL, 10);
}

static uid_t start_in_pool(const char *name)
{
	pid_t pid = guest_start(client, name);
	uid_t uid = uid_of(pid);

	ck_assert_msg(uid >= UID_FIRST && uid <= UID_LAST, "%u is none of the pool", uid);
	expect_confined(pid, uid, (gid_t)uid);
	return uid;
}

START_TEST(test_pool)
{
	uid_t one, two, three;

	define_bare("one", "");
	define_bare("two", "");
	define_bare("three", "");
	one = start_in_pool("one");
	two = start_in_pool("two");
	ck_assert_uint_ne(one, two);
	stop("one");
	ck_assert_uint_eq(start_in_pool("three"), one); /* the lowest that is free */
	stop("three");
	/* the next droverd neither forgets whose they are nor those that have come back */
	one = start_in_pool("one");
	restart();
	three = start_in_pool("three");
	ck_assert_uint_ne(three, one);
	ck_assert_uint_ne(three, two);
	stop("two");
	define_bare("four", "");
	ck_assert_uint_eq(start_in_pool("four"), two);
	/* nor does a crash keep one */
	kill(guest_pid(client, "four"), SIGKILL);
	client_await_state(client, "four", "crashed", "signal 9");
	json_object_put(guest_settle(client, "four"));
	ck_assert_uint_eq(start_in_pool("two"), two);
}
END_TEST

START_TEST(test_user)
{
	_cleanup_json_ struct json_object *e = NULL;
	const struct passwd *nobody = getpwnam("nobody");
	uid_t uid;
	gid_t gid;

	ck_assert_ptr_nonnull(nobody);
	uid = nobody->pw_uid;
	gid = nobody->pw_gid;
	define_bare("web1", ", 'security_model': 'user', 'security_domain': 'nobody'");
	expect_confined(guest_start(client, "web1"), uid, gid);
	define_bare("web2", ", 'security_model': 'user', 'security_domain': 'no such user'");
	e = client_error(client, "NotFound", "instance-start", "{'instance': 'web2'}");
	ck_assert_str_eq(str_at(e, "parameter"), "hvparams.security_domain");
	define_bare("web3", ", 'security_model': 'none'");
	expect_confined(guest_start(client, "web3"), geteuid(), getegid());
}
END_TEST

static bool looks_up(const char *name)
{
	_cleanup_json_ struct json_object *o = client_ok(client, "query-instance", "{'instance': '%s'}", name);

	return has(o, "operation.step") && str_eq(str_at(o, "operation.step"), "look its account up");
}

static void await_look_up(const char *name)
{
	while (!looks_up(name))
		usleep(1000);
}

/* Who knows the accounts may be a server that does not answer: others' starts go on. It stands still in open() here. */
START_TEST(test_accounts_are_late)
{
	_cleanup_free_ char *fifo = xasprintf("%s/passwd", rig->root), *disk = xasprintf("%s/disk", rig->root);
	int start, resize, argv, fd;

	host_run("truncate -s 1M %s", disk);
	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	ck_assert_int_eq(mount(fifo, "/etc/passwd", NULL, MS_BIND, NULL), 0);
	restart();
	define_bare("web1", ", 'security_model': 'user', 'security_domain': 'nobody'");
	define_bare("web2", "");
	client_define(client, "web3",
		      "'memory': '16M', 'hvparams': {'security_model': 'user', 'security_domain': 'nobody'}, "
		      "'disks': [{'path': '%s'}]",
		      disk);
	start = client_send(client, "instance-start", "{'instance': 'web1'}");
	await_look_up("web1");
	/* so does a disk of no guest, and the question whether KVM works for it */
	resize = client_send(client, "disk-resize", "{'instance': 'web3', 'disk': 'disk0', 'size': '2M'}");
	await_look_up("web3");
	argv = client_send(client, "instance-argv", "{'instance': 'web3'}");
	guest_start(client, "web2");
	ck_assert(looks_up("web1") && looks_up("web3"));
	ck_assert_ptr_null(client_poll_reply(client, argv));
	/* No file of accounts is a pipe: whether others know the account is theirs to say. */
	fd = open(fifo, O_WRONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	json_object_put(client_reply(client, start));
	json_object_put(client_reply(client, resize));
	json_object_put(client_reply(client, argv));
	close(fd);
	ck_assert_int_eq(umount("/etc/passwd"), 0);
}
END_TEST

/* ---- what it sees ---- */

/* TEXT, and a line for each of PATHS that the host has. */
static char *add_lines(char *text, const char *const *paths, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char *old = text;

		if (access(paths[i], F_OK) < 0)
			continue;
		text = xasprintf("%s%s\n", old, paths[i]);
		free(old);
	}
	return text;
}

/* The same with PATH and the directories above it. */
static char *add_path(char *text, const char *path)
{
	_cleanup_free_ char *part = xstrdup(path);

	for (; *part; *strrchr(part, '/') = '\0')
		text = add_lines(text, (const char *const[]){ part }, 1);
	return text;
}

/* The private root as it is documented, sorted; what lies in /usr, beside a QEMU elsewhere, and in the
 * certificates is the host's. */
static char *expected_root(const char *q, bool user_net)
{
	static const char *const always[] = { "/",      "/bin",   "/dev",    "/dev/null", "/dev/urandom", "/lib",
					      "/lib32", "/lib64", "/libx32", "/sbin",     "/usr" };
	static const char *const net[] = { "/etc", "/etc/hosts", "/etc/resolv.conf", "/etc/ssl", "/etc/ssl/certs" };
	char *text = add_lines(xstrdup(""), always, ARRAY_SIZE(always));
	_cleanup_free_ char *prefix = rig_qemu_prefix(), *name = xasprintf("%s/expected", rig->root);
	FILE *f;

	if (user_net)
		text = add_lines(text, net, ARRAY_SIZE(net));
	text = add_path(text, q);
	if (prefix)
		text = add_path(text, prefix);
	f = fopen(name, "we");
	ck_assert(f && fputs(text, f) >= 0 && fclose(f) == 0);
	free(text);
	host_run("LC_ALL=C sort -u -o '%s' '%s'", name, name);
	return rig_file(rig, "expected");
}

static char *seen_root(pid_t pid)
{
	_cleanup_free_ char *prefix = rig_qemu_prefix();

	host_run(
		"cd /proc/%d/root && find . \\( -path ./usr -o -path '.%s' -o -path ./etc/ssl/certs -o -type d -path "
		"'./lib*' \\) -prune -print -o -print | sed -e 's,^\\.$,./,' -e 's,^\\.,,' | LC_ALL=C sort > '%s/seen'",
		pid, prefix ? prefix : "/usr", rig->root);
	return rig_file(rig, "seen");
}

static void expect_same_directory(const char *a, const char *b)
{
	struct stat x, y;

	ck_assert_msg(stat(a, &x) == 0 && stat(b, &y) == 0, "'%s', '%s'", a, b);
	ck_assert_msg(x.st_dev == y.st_dev && x.st_ino == y.st_ino, "'%s' is not '%s'", a, b);
}

/* It works in a directory of its own, in which nothing is left of what it was started with. */
static void expect_in_q(pid_t pid, const char *name)
{
	_cleanup_free_ char *q = xasprintf("%s/run/instances/%s/q", rig->root, name);
	_cleanup_free_ char *cwd = xasprintf("/proc/%d/cwd", pid);
	struct stat st;

	expect_same_directory(cwd, q);
	ck_assert_int_eq(stat(q, &st), 0);
	ck_assert_uint_eq(st.st_uid, uid_of(pid));
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
	host_run("test -z \"$(ls -A '%s')\"", q);
}

START_TEST(test_private_root)
{
	static const char *const cards[] = { "", ", 'nics': [{'mode': 'none'}]", ", 'nics': [{'mode': 'user'}]" };
	_cleanup_free_ char *q = xasprintf("%s/run/instances/web1/q", rig->root);
	_cleanup_free_ char *kernel = xasprintf("%s/tiny%d", rig->root, TINY_OBEYS);

	tiny_define(rig, client, "web1", TINY_OBEYS, "");
	ck_assert_int_eq(chmod(kernel, 0600), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cards); i++) {
		_cleanup_free_ char *seen = NULL, *expected = NULL;
		pid_t pid;

		client_define(
			client, "web1",
			"'memory': '16M', 'hvparams': {'accel': 'tcg', 'use_chroot': true, 'kernel_path': '%s'}%s",
			kernel, cards[i]);
		pid = guest_start(client, "web1");
		guest_await(rig, "web1", "B", (unsigned)i + 1);
		expect_confined(pid, uid_of(pid), uid_of(pid));
		seen = seen_root(pid);
		expected = expected_root(q, i == 2);
		ck_assert_str_eq(seen, expected);
		expect_in_q(pid, "web1");
		stop("web1");
	}
}
END_TEST

/* A binary by way of links: what they lead to is there, not what lies beside them. */
START_TEST(test_private_root_by_links)
{
	_cleanup_free_ char *q = xasprintf("%s/run/instances/web1/q", rig->root), *qemu = rig_qemu();
	_cleanup_free_ char *seen = NULL, *expected = NULL;

	host_run("mkdir '%s/bin' && ln -s '%s' '%s/link' && ln -s ../link '%s/bin/qemu'", rig->root, qemu, rig->root,
		 rig->root);
	client_define(client, "web1",
		      "'memory': '16M', 'hvparams': {'accel': 'tcg', 'use_chroot': true, 'kvm_path': '%s/bin/qemu'}",
		      rig->root);
	seen = seen_root(guest_start(client, "web1"));
	expected = expected_root(q, false);
	ck_assert_str_eq(seen, expected);
}
END_TEST

/* A kernel that is root's alone is copied, and the copy is gone once QEMU has read it; so it is for every start. */
START_TEST(test_kernel_of_root)
{
	_cleanup_free_ char *dir = xasprintf("%s/private", rig->root), *kernel = NULL;
	static const char *const models[] = { "'pool'", "'user', 'security_domain': 'nobody'", "'none'" };

	ck_assert_int_eq(mkdir(dir, 0700), 0);
	tiny_define(rig, client, "web1", TINY_OBEYS, "");
	host_run("mv '%s/tiny%d' '%s' && chmod 600 '%s'/*", rig->root, TINY_OBEYS, dir, dir);
	kernel = xasprintf("%s/tiny%d", dir, TINY_OBEYS);
	for (size_t i = 0; i < ARRAY_SIZE(models); i++) {
		_cleanup_json_ struct json_object *o = NULL;
		bool copied = i < 2;

		client_define(
			client, "web1",
			"'memory': '16M', 'hvparams': {'accel': 'tcg', 'kernel_path': '%s', 'security_model': %s}",
			kernel, models[i]);
		guest_start(client, "web1");
		guest_await(rig, "web1", "B", (unsigned)i + 1);
		expect_in_q(guest_pid(client, "web1"), "web1");
		o = guest_query(client, "web1");
		ck_assert_int_eq(!strstr(json_object_to_json_string(at(o, "runtime.cmd")), "private"), copied);
		stop("web1");
	}
}
END_TEST

/* ---- what it runs on ---- */

START_TEST(test_processors)
{
	_cleanup_free_ char *mask = NULL, *dir = NULL;
	struct dirent *d;
	unsigned tasks = 0;
	int last = -1;
	cpu_set_t set;
	DIR *list;
	pid_t pid;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(set), &set), 0);
	for (int i = 0; i < CPU_SETSIZE; i++)
		last = CPU_ISSET(i, &set) ? i : last;
	mask = xasprintf(", 'cpu_mask': '%d'", last);
	define_bare("web1", mask);
	pid = guest_start(client, "web1");
	dir = xasprintf("/proc/%d/task", pid);
	list = opendir(dir);
	ck_assert_ptr_nonnull(list);
	while ((d = readdir(list))) {
		_cleanup_free_ char *cpus = d->d_name[0] == '.' ? NULL :
								  thread_field(pid, d->d_name, "Cpus_allowed_list");

		if (!cpus)
			continue;
		ck_assert_int_eq((int)strtol(cpus, NULL, 10), last);
		ck_assert_uint_eq(strspn(cpus, "0123456789"), strlen(cpus));
		tasks++;
	}
	closedir(list);
	ck_assert_uint_ge(tasks, 2); /* the main loop and a vCPU */
}
END_TEST

/* ---- what it holds ---- */

/* The inode of a socket bound to PATH is in the line of it in /proc/net/unix. */
static bool is_socket_of(const char *link, const char *path)
{
	_cleanup_free_ char *inode = xstrndup(link, strcspn(link, "]"));
	char line[512];
	bool found = false;
	FILE *f;

	if (!str_starts(link, "socket:["))
		return false;
	f = fopen("/proc/net/unix", "re");
	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f)) {
		char *end = strrchr(line, ' ');

		line[strcspn(line, "\n")] = '\0';
		if (!end || !str_eq(end + 1, path))
			continue;
		*end = '\0';
		found |= str_eq(strrchr(line, ' ') + 1, inode + strlen("socket:["));
	}
	fclose(f);
	return found;
}

/* Of what lies below droverd's root, QEMU holds these. */
static bool is_allowed(const char *link)
{
	static const char *const allowed[] = { "/log/web1.log", "/log/web1.console", "/run/instances/web1/events.log",
					       "/run/instances/web1/qemu.lock", "/disk" };

	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
		if (str_eq(link + strlen(rig->root), allowed[i]))
			return true;
	return false;
}

START_TEST(test_descriptors)
{
	_cleanup_free_ char *api = xasprintf("%s/run/drover.sock", rig->root), *dir = NULL, *image = NULL;
	struct dirent *d;
	unsigned files = 0;
	DIR *list;
	pid_t pid;

	image = guest_image(rig, "disk", "", 1 << 20);
	client_define(client, "web1", "'memory': '16M', 'disks': [{'path': '%s'}]", image);
	pid = guest_start(client, "web1");
	dir = xasprintf("/proc/%d/fd", pid);
	list = opendir(dir);
	ck_assert_ptr_nonnull(list);
	while ((d = readdir(list))) {
		char link[PATH_MAX];
		ssize_t n = readlinkat(dirfd(list), d->d_name, link, sizeof(link) - 1);
		struct stat st;

		if (n <= 0)
			continue;
		link[n] = '\0';
		if (fstatat(dirfd(list), d->d_name, &st, 0) < 0) {
			ck_assert_int_eq(errno, ENOENT); /* closed meanwhile */
			continue;
		}
		ck_assert_msg(!S_ISDIR(st.st_mode), "the directory '%s'", link);
		ck_assert_msg(!is_socket_of(link, api), "the API's socket");
		ck_assert_msg(!str_starts(link, rig->root) || is_allowed(link), "'%s'", link);
		files += str_starts(link, rig->root);
	}
	closedir(list);
	ck_assert_uint_ge(files, 5);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("confined guest");
	TCase *tc = tcase_create("confined");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, test_pool);
	tcase_add_test(tc, test_user);
	tcase_add_test(tc, test_accounts_are_late);
	tcase_add_test(tc, test_private_root);
	tcase_add_test(tc, test_private_root_by_links);
	tcase_add_test(tc, test_kernel_of_root);
	tcase_add_test(tc, test_processors);
	tcase_add_test(tc, test_descriptors);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	if (geteuid() != 0) {
		puts("SKIP: only root gives a guest an account of its own");
		return 77;
	}
	return guest_main(suite);
}
