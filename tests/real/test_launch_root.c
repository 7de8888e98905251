/* SPDX-License-Identifier: BSD-2-Clause */
/* The private root from inside and from outside, and a QEMU in it. */
#include "launch.h"

#include "runtime/argv.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SANDBOX "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
#define COMMAND(...) ((char *const[]){ __VA_ARGS__, NULL })
#define WORD(text) ((char *)(uintptr_t)(text))
#define SHELL(script) COMMAND(WORD("/bin/sh"), WORD("-c"), WORD(script))

enum { UID = 2130000 };

static struct run run;
static char *q;

static void setup(void)
{
	run_open(&run);
	q = xasprintf("%s/q", run.dir);
	ck_assert_int_eq(mkdir(q, 0700), 0);
	ck_assert_int_eq(chown(q, UID, UID), 0);
}

static void teardown(void)
{
	run_close(&run);
	free(q);
	q = NULL;
}

static struct confine confined(void)
{
	return (struct confine){ .drop = true, .uid = UID, .gid = UID, .private_root = true, .q_path = q };
}

/* What a script printed, which must have ended well. */
static char *output_of(const struct confine *c, const char *script)
{
	_cleanup_json_ struct json_object *o = NULL;
	char *text;

	run_start(&run, c, SHELL(script));
	o = run_end(&run);
	text = run_file(&run, "out");
	ck_assert_msg(has(o, "status") && int_at(o, "status") == 0, "%s", text);
	return text;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A line for PATH and each directory above it. */
static unsigned expect_path(char **lines, unsigned n, const char *path, char type)
{
	lines[n++] = xasprintf("%s %c\n", path, type);
	for (const char *p = strrchr(path, '/'); p > path; p = memrchr(path, '/', (size_t)(p - path))) {
		_cleanup_free_ char *line = xasprintf("%.*s d\n", (int)(p - path), path);
		bool there = false;

		for (unsigned i = 0; i < n; i++)
			there |= str_eq(lines[i], line);
		if (!there)
			lines[n++] = TAKE_PTR(line);
	}
	return n;
}

/* What the design names, and of the links only those that the host has; each with its type. */
static char *expected_root(const char *const *more)
{
	static const char *const links[] = { "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32" };
	char *lines[64] = { xstrdup("/ d\n"), xstrdup("/usr d\n") }, *text = xstrdup("");
	unsigned n = 2;
	struct stat st;

	for (unsigned i = 0; i < ARRAY_SIZE(links); i++)
		if (lstat(links[i], &st) == 0)
			lines[n++] = xasprintf("%s %c\n", links[i], S_ISLNK(st.st_mode) ? 'l' : 'd');
	n = expect_path(lines, n, "/dev/null", 'c');
	n = expect_path(lines, n, "/dev/urandom", 'c');
	n = expect_path(lines, n, q, 'd');
	for (; *more; more++)
		n = expect_path(lines, n, *more + 1, **more);
	qsort(lines, n, sizeof(*lines), compare);
	for (unsigned i = 0; i < n; i++) {
		char *longer = xasprintf("%s%s", text, lines[i]);

		free(lines[i]);
		free(text);
		text = longer;
	}
	return text;
}

/* find's own idea of a type is that of the directory entry, not of what is mounted there. */
#define LIST                                                                                               \
	"find / \\( -path /usr -o -type d -path /bin -o -type d -path /sbin -o -type d -path '/lib*' \\) " \
	"-prune -print -o -print | LC_ALL=C sort | xargs stat -c '%n %A' | sed -e 's/ \\(.\\).*/ \\1/'"

START_TEST(test_contents)
{
	struct confine c = confined();
	_cleanup_free_ char *list = output_of(&c, LIST), *expected = expected_root((const char *const[]){ NULL });

	ck_assert_str_eq(list, expected);
}
END_TEST

START_TEST(test_binds)
{
	_cleanup_free_ char *dir = xasprintf("%s/some/prefix", run.dir), *file = xasprintf("%s/file", dir);
	_cleanup_free_ char *some = xasprintf("%s/some", run.dir), *link = xasprintf("%s/link", run.dir);
	_cleanup_free_ char *list = NULL, *expected = NULL, *script = NULL, *as_dir = xasprintf("d%s", dir);
	_cleanup_free_ char *as_file = xasprintf("-%s", file), *as_link = xasprintf("-%s", link);
	const char *const binds[] = { dir, "/etc/passwd", link, NULL };
	struct confine c = confined();

	ck_assert_int_eq(mkdir(some, 0700), 0); /* which would hide it from the uid */
	ck_assert_int_eq(mkdir(dir, 0777), 0);
	ck_assert_int_eq(chmod(dir, 0777), 0);
	ck_assert_int_ge(close(open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644)), 0);
	ck_assert_int_eq(symlink("/etc/hostname", link), 0);
	c.binds = binds;
	c.kvm = access("/dev/kvm", F_OK) == 0;
	script = xasprintf("%s; cat %s /etc/passwd > /dev/null && ! touch %s/new 2> /dev/null", LIST, file, dir);
	list = output_of(&c, script);
	expected = expected_root(
		(const char *const[]){ as_dir, as_file, as_link, "-/etc/passwd", c.kvm ? "c/dev/kvm" : NULL, NULL });
	ck_assert_str_eq(list, expected);
}
END_TEST

/* What may be done in it, as that uid. */
START_TEST(test_rights)
{
	static const char script[] =
		"cd \"$0\" && echo mine > file && mkdir dir && [ \"$(stat -c %a file dir | tr '\\n' ' ')\" = '600 700 "
		"' ]"
		" && echo gone > /dev/null && [ $(head -c 5 /dev/urandom | wc -c) = 5 ]"
		" && ! (: > /file) 2> /dev/null && ! (: > /usr/file) 2> /dev/null && ! mkdir /dev/dir 2> /dev/null"
		" && ! mknod node c 1 3 2> /dev/null && cp /bin/true . && ! ./true 2> /dev/null"
		" && [ ! -e /proc ] && [ \"$(cd / && pwd -P)\" = / ]";
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_free_ char *out = NULL;
	struct confine c = confined();

	run_start(&run, &c, COMMAND(WORD("/bin/sh"), WORD("-x"), WORD("-c"), WORD(script), q));
	o = run_end(&run);
	out = run_file(&run, "out");
	ck_assert_msg(has(o, "status") && int_at(o, "status") == 0, "%s", out);
}
END_TEST

/* As root, whom no mode of a file hinders: the mounts do. */
START_TEST(test_rights_of_root)
{
	struct confine c = confined();
	_cleanup_free_ char *out = NULL;

	c.drop = false;
	out = output_of(&c,
			"! (: > /file) 2> /dev/null && ! (: > /usr/file) 2> /dev/null && ! mkdir /dir 2> /dev/null");
}
END_TEST

/* The mount table of the process: nothing of the host's, everything nosuid, all but q read-only. */
START_TEST(test_mounts)
{
	_cleanup_free_ char *table = NULL, *own = NULL, *after = NULL;
	struct confine c = confined();
	char *save = NULL;
	unsigned n = 0;

	/* Hosts have it shared: what is mounted in a copy is then seen here as well. Not where here is the host. */
	if (getpid() == 1)
		ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL), 0);
	own = proc_file(getpid(), "mountinfo");
	run_start(&run, &c, COMMAND(WORD("/bin/sleep"), WORD("1000")));
	table = proc_file(run.qemu, "mountinfo");
	for (char *line = strtok_r(table, "\n", &save); line; line = strtok_r(NULL, "\n", &save), n++) {
		char point[4096], options[4096];

		ck_assert_int_eq(sscanf(line, "%*d %*d %*s %*s %4095s %4095s", point, options), 2);
		ck_assert_msg(str_starts(options, str_eq(point, q) ? "rw," : "ro,"), "%s", line);
		ck_assert_msg(strstr(options, "nosuid"), "%s", line);
		ck_assert_msg(strstr(options, "nodev") || str_starts(point, "/dev/"), "%s", line);
		ck_assert_msg(str_eq(point, "/") || str_eq(point, q) || str_starts(point, "/usr") ||
				      str_starts(point, "/lib") || str_eq(point, "/bin") || str_eq(point, "/sbin") ||
				      str_starts(point, "/dev/"),
			      "%s", line);
	}
	ck_assert_uint_ge(n, 5);
	assert_powerless(run.qemu, true);
	run_kill(&run);
	after = proc_file(getpid(), "mountinfo");
	ck_assert_str_eq(own, after);
	if (getpid() == 1)
		ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
}
END_TEST

/* ---- QEMU ---- */

/* The next line on FD that holds WANTED; earlier ones are events and greetings. */
static void await_line(FILE *f, const char *wanted)
{
	char line[65536];

	do
		ck_assert_msg(fgets(line, sizeof(line), f), "QEMU hung up before '%s'", wanted);
	while (!strstr(line, wanted));
}

/* A newer QEMU may warn of what will go. */
static void assert_only_warnings(char *out)
{
	char *save = NULL;

	for (char *line = strtok_r(out, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		ck_assert_msg(strstr(line, ": warning: "), "%s", line);
}

START_TEST(test_qemu)
{
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_free_ char *out = NULL, *qemu = rig_qemu();
	struct confine c = confined();
	int pair[2];
	FILE *f;

	if (!qemu) {
		puts("SKIP: there is no QEMU in PATH");
		return;
	}
	c.private_root = _i;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	run.extra = pair[1];
	run_start(&run, &c,
		  COMMAND(WORD(qemu), WORD("-S"), WORD("-display"), WORD("none"), WORD("-machine"),
			  WORD("pc,accel=tcg"), WORD("-sandbox"), WORD(SANDBOX), WORD("-no-user-config"),
			  WORD("-device"), WORD("virtio-net-pci"), WORD("-chardev"), WORD("socket,id=qmp,fd=5"),
			  WORD("-mon"), WORD("chardev=qmp,mode=control")));
	close(pair[1]);
	f = fdopen(pair[0], "r");
	ck_assert_ptr_nonnull(f);
	await_line(f, "\"QMP\"");
	ck_assert(dprintf(pair[0], "{\"execute\": \"qmp_capabilities\"}\n") > 0);
	await_line(f, "\"return\"");
	ck_assert(dprintf(pair[0], "{\"execute\": \"query-status\"}\n") > 0);
	await_line(f, "\"prelaunch\"");
	assert_powerless(run.qemu, true);
	assert_status(run.qemu, "Seccomp", "2");
	assert_status(run.qemu, "Uid", "2130000 2130000 2130000 2130000");
	assert_status(run.qemu, "Groups", "");
	ck_assert(dprintf(pair[0], "{\"execute\": \"quit\"}\n") > 0);
	o = run_end(&run);
	fclose(f);
	out = run_file(&run, "out");
	assert_only_warnings(out);
	ck_assert_int_eq(int_at(o, "status"), 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("private root");
	TCase *tc = tcase_create("private root");

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, test_contents);
	tcase_add_test(tc, test_binds);
	tcase_add_test(tc, test_rights);
	tcase_add_test(tc, test_rights_of_root);
	tcase_add_test(tc, test_mounts);
	tcase_add_loop_test(tc, test_qemu, 0, 2);
	return s;
}

int main(void)
{
	if (geteuid() != 0) {
		puts("SKIP: only root can make a private root");
		return 77;
	}
	return rig_main(suite);
}
