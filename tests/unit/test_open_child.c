/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An opener that is stuck, dies, or says what no opener says. It is this program again, told by OPENER in its
 * environment what it is to do; but for the dead file server, which is a FUSE file system that nobody serves.
 */
#include "open_world.h"

#include <linux/fuse.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define SELF "/proc/self/exe"

/* Stands in for libc's, to see whom libuv kills. */
static int kills;
static pid_t killed;
int kill(pid_t pid, int sig)
{
	kills++;
	killed = pid;
	return (int)syscall(SYS_kill, pid, sig);
}

static bool is_reaped(pid_t pid)
{
	return syscall(SYS_kill, pid, 0) < 0 && errno == ESRCH;
}

/* ---- the opener ---- */

static void say(const struct open_answer *a, size_t size, int n_fds)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * 40)];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { (void *)(uintptr_t)a, size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	size_t size_of_fds = sizeof(int) * (size_t)n_fds;

	if (n_fds) {
		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(size_of_fds);
		control.align = (struct cmsghdr){ CMSG_LEN(size_of_fds), SOL_SOCKET, SCM_RIGHTS };
		memset(CMSG_DATA(CMSG_FIRSTHDR(&msg)), 0, size_of_fds); /* descriptor 0 */
	}
	if (sendmsg(OPEN_SOCKET_FD, &msg, MSG_NOSIGNAL) < 0)
		_exit(1);
}

static struct open_answer good(void)
{
	return (struct open_answer){ .version = OPEN_VERSION, .result = OPEN_IMAGE };
}

static _Noreturn void sleep_on(void)
{
	for (;;)
		pause();
}

/* Of the two images that are asked for the first is answered, then this. */
static const struct oddity {
	const char *words;
	size_t more; /* bytes than there are in an answer */
	unsigned version, result;
	int errnum, fds;
	bool unterminated, none, killed;
	int extra; /* good answers after it */
} oddities[] = {
	{ "ended without an answer", .none = true },
	{ "ended without an answer", .none = true, .killed = true },
	{ "ended without an answer", .more = -sizeof(struct open_answer) },
	{ "ended without an answer", .more = -sizeof(struct open_answer), .fds = 1 },
	{ "is not understood", .more = 1, .version = OPEN_VERSION, .result = OPEN_IMAGE, .fds = 1 },
	{ "is not understood", .more = -1, .version = OPEN_VERSION, .result = OPEN_IMAGE, .fds = 1 },
	{ "is not understood", .version = OPEN_VERSION + 1, .result = OPEN_IMAGE, .fds = 1 },
	{ "a wrong number of descriptors", .version = OPEN_VERSION, .result = OPEN_IMAGE },
	{ "a wrong number of descriptors", .version = OPEN_VERSION, .result = OPEN_IMAGE, .fds = 2 },
	{ "a wrong number of descriptors", .version = OPEN_VERSION, .result = OPEN_IMAGE, .fds = 40 },
	{ "a wrong number of descriptors", .version = OPEN_VERSION, .result = OPEN_FAILED, .errnum = 2, .fds = 1 },
	{ "a wrong number of descriptors", .version = OPEN_VERSION, .result = OPEN_REFUSED, .fds = 1 },
	{ "that does not fit", .version = OPEN_VERSION, .result = OPEN_IN_PLACE },
	{ "that does not fit", .version = OPEN_VERSION, .result = OPEN_COPIED },
	{ "that does not fit", .version = OPEN_VERSION, .result = 77 },
	{ "that does not fit", .version = OPEN_VERSION, .result = OPEN_FAILED, .errnum = 0 },
	{ "that does not fit", .version = OPEN_VERSION, .result = OPEN_FAILED, .errnum = -2 },
	{ ": xxx", .version = OPEN_VERSION, .result = OPEN_REFUSED, .unterminated = true },
	{ ": xxx", .version = OPEN_VERSION, .result = OPEN_FAILED, .errnum = 5, .unterminated = true },
	{ "that nobody asked for", .version = OPEN_VERSION, .result = OPEN_IMAGE, .fds = 1, .extra = 1 },
	{ "that nobody asked for", .version = OPEN_VERSION, .result = OPEN_IMAGE, .fds = 1, .extra = 1000 },
};

static int be_odd(const struct oddity *odd)
{
	struct {
		struct open_answer a;
		char more[8];
	} said = { good(), "" };
	struct open_answer first = good();

	say(&first, sizeof(first), 1);
	said.a.version = odd->version;
	said.a.result = odd->result;
	said.a.errnum = odd->errnum;
	if (odd->unterminated)
		memset(said.a.text, 'x', sizeof(said.a.text));
	if (!odd->none)
		say(&said.a, sizeof(said.a) + odd->more, odd->fds);
	for (int i = 0; i < odd->extra; i++)
		say(&first, sizeof(first), 1);
	if (odd->killed)
		raise(SIGKILL);
	return 0;
}

static int opener(const char *mode)
{
	struct open_answer a = good();

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (str_starts(mode, "sleep"))
		sleep_on();
	if (mode[0] >= '0' && mode[0] <= '9')
		return be_odd(&oddities[atoi(mode)]);
	say(&a, sizeof(a), 1);
	if (str_eq(mode, "one, sleep"))
		sleep_on();
	if (str_eq(mode, "image, in place"))
		a.result = OPEN_IN_PLACE;
	if (str_eq(mode, "image, copied"))
		a.result = OPEN_COPIED;
	if (str_eq(mode, "image, absent"))
		a.result = OPEN_ABSENT;
	say(&a, sizeof(a), a.result == OPEN_IMAGE);
	if (str_eq(mode, "all, sleep"))
		sleep_on();
	return 0;
}

static void two_images(const char *mode)
{
	put_text("disk", "x", 0600);
	add_item("disk", OPEN_WRITE);
	add_item("disk", 0);
	if (!mode)
		return;
	strcpy(w.opener, SELF);
	setenv("OPENER", mode, 1);
}

/* ---- what is not an answer ---- */

START_TEST(test_odd)
{
	char mode[16];

	snprintf(mode, sizeof(mode), "%d", _i);
	two_images(mode);
	start();
	expect_failure(ERR_STORAGE, oddities[_i].words);
	if (oddities[_i].unterminated)
		ck_assert_uint_eq(strspn(strstr(w.err->desc, ": xxx") + 2, "x"), OPEN_TEXT_MAX);
}
END_TEST

/* An answer that is good for one kind of item is not for another. */
static const struct {
	const char *mode;
	unsigned flags;
	bool fits;
} boot_answers[] = {
	{ "image, in place", OPEN_BOOT, true },   { "image, in place", OPEN_BOOT | OPEN_COPY, false },
	{ "image, copied", OPEN_BOOT, true },     { "image, copied", OPEN_BOOT | OPEN_COPY, true },
	{ "all, sleep", OPEN_BOOT, false },       { "all, sleep", OPEN_BOOT | OPEN_COPY, false },
	{ "image, in place", OPEN_WRITE, false }, { "image, copied", OPEN_WRITE, false },
	{ "image, absent", OPEN_BOOT, false },    { "image, absent", OPEN_BOOT | OPEN_OPTIONAL, true },
	{ "image, absent", OPEN_WRITE, false },   { "image, copied", OPEN_BOOT | OPEN_OPTIONAL, true },
};

START_TEST(test_boot_answers)
{
	two_images(boot_answers[_i].mode);
	w.owner.dir = w.q;
	w.items[1].flags = boot_answers[_i].flags;
	w.items[1].copy = "copy";
	start();
	if (!boot_answers[_i].fits) {
		expect_failure(ERR_STORAGE, "that does not fit");
		return;
	}
	expect_success();
	ck_assert(w.items[0].opened && !w.items[1].opened);
	ck_assert_int_eq(w.items[1].copied, str_eq(boot_answers[_i].mode, "image, copied"));
}
END_TEST

START_TEST(test_no_opener)
{
	two_images(NULL);
	strcpy(w.opener, "/nonexistent/opener");
	start();
	expect_failure(ERR_NOT_FOUND, "/nonexistent/opener");
}
END_TEST

/* No number is free for a descriptor that comes. */
START_TEST(test_no_numbers)
{
	struct rlimit limit = { 0 }, old;

	two_images(NULL);
	start();
	getrlimit(RLIMIT_NOFILE, &old);
	limit.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	LOOP_UNTIL(!w.op);
	setrlimit(RLIMIT_NOFILE, &old);
	expect_failure(ERR_STORAGE, "disks[0]: Too many open files");
}
END_TEST

/* ---- stuck ---- */

/* Each after as many answers as its index says. */
static const char *const stuck[] = { "sleep", "one, sleep", "all, sleep" };

/* Until the answers that there will be have come. */
static void await_answers(int n)
{
	for (int i = 0; i < n; i++)
		LOOP_UNTIL(w.items[i].opened);
}

START_TEST(test_expires)
{
	_cleanup_free_ char *text = NULL;

	two_images(stuck[_i]);
	start();
	await_answers(_i);
	loop_pass(LIMIT_MS / 2);
	ck_assert(w.op);
	ck_assert_int_eq(kills, 0);
	loop_skew += LIMIT_MS;
	expect_failure(ERR_TIMEOUT, "nothing was changed");
	text = _i < 2 ? xasprintf("disks[%d]: '%s': could not be opened within 3600.0 s; nothing was changed", _i,
				  w.paths[0]) :
			xstrdup("'" SELF "' did not end; nothing was changed");
	ck_assert_str_eq(w.err->desc, text);
	ck_assert_int_eq(kills, 1);
	LOOP_UNTIL(is_reaped(killed));
}
END_TEST

START_TEST(test_cancelled)
{
	two_images(stuck[_i]);
	start();
	await_answers(_i);
	ck_assert(op_cancel(w.op, NULL));
	ck_assert_ptr_null(w.op); /* at once */
	ck_assert_int_eq(kills, 1);
	expect_failure(ERR_CANCELLED, "cancelled");
	LOOP_UNTIL(is_reaped(killed));
}
END_TEST

/* A descriptor that is on its way when nobody waits any more is not received. */
START_TEST(test_late)
{
	siginfo_t info;

	two_images(NULL);
	start();
	ck_assert_int_eq(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT), 0); /* it has said all there is to say */
	ck_assert(op_cancel(w.op, NULL));
	expect_failure(ERR_CANCELLED, "cancelled");
	LOOP_UNTIL(is_reaped(killed));
}
END_TEST

/* A file server that has taken a question and died: not even SIGKILL ends who asked. */

static void reply(int fuse, const struct fuse_in_header *in, const void *body, size_t size)
{
	struct {
		struct fuse_out_header out;
		char body[256];
	} said = { { (uint32_t)(sizeof(said.out) + size), 0, in->unique }, "" };

	memcpy(said.body, body, size);
	ck_assert_int_eq(write(fuse, &said, said.out.len), said.out.len);
}

/* Returns with a question for a file taken and not answered. */
static void serve(int fuse)
{
	union {
		struct fuse_in_header in;
		char buf[1 << 17];
	} asked;

	for (;;) {
		struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION,
					      .minor = FUSE_KERNEL_MINOR_VERSION,
					      .max_write = 4096 };
		struct fuse_attr_out attr = { .attr = { .ino = 1, .mode = S_IFDIR | 0755, .nlink = 2 } };

		ck_assert_int_gt(read(fuse, &asked, sizeof(asked)), 0);
		if (asked.in.opcode == FUSE_INIT)
			reply(fuse, &asked.in, &init, sizeof(init));
		else if (asked.in.opcode == FUSE_GETATTR)
			reply(fuse, &asked.in, &attr, sizeof(attr));
		else if (asked.in.opcode == FUSE_LOOKUP)
			return;
	}
}

START_TEST(test_dead_file_server)
{
	_cleanup_free_ char *path = xasprintf("%s/dead", w.dir);
	char options[128];
	int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse);
	ck_assert_int_eq(mkdir(path, 0755), 0);
	NEEDS(fuse >= 0 && own_mounts() && mount("dead", path, "fuse", MS_NOSUID, options) == 0, "no FUSE");
	put_text("disk", "x", 0600);
	add_item("disk", OPEN_WRITE);
	add_item("dead/image", OPEN_WRITE);
	start();
	serve(fuse);
	await_answers(1);
	if (_i)
		op_cancel(w.op, NULL);
	else
		loop_skew += LIMIT_MS;
	expect_failure(_i ? ERR_CANCELLED : ERR_TIMEOUT, _i ? "" : "dead/image': could not be opened");
	loop_quiet();
	ck_assert_int_eq(kills, 1);
	ck_assert(!is_reaped(killed));
	/* meanwhile another does its work */
	drop_items();
	add_item("disk", OPEN_WRITE);
	start();
	expect_success();
	ck_assert(!is_reaped(killed));
	close(fuse);
	LOOP_UNTIL(is_reaped(killed));
	umount2(path, MNT_DETACH);
}
END_TEST

/* ---- nothing is left ---- */

START_TEST(test_many_times)
{
	int before;

	two_images(NULL);
	start();
	expect_success();
	open_items_close(w.items, w.n);
	loop_quiet();
	before = loop_count_fds();
	for (int i = 0; i < 200; i++) {
		w.items[1].path = i % 3 == 1 ? "/dev/null" : w.paths[1];
		start();
		if (i % 3 == 2)
			op_cancel(w.op, NULL);
		LOOP_UNTIL(!w.op);
		ck_assert_int_eq(w.err == NULL, i % 3 == 0);
		open_items_close(w.items, w.n);
		w.err = err_free(w.err);
	}
	LOOP_UNTIL(waitid(P_ALL, 0, NULL, WEXITED | WNOHANG | WNOWAIT) < 0);
	loop_quiet();
	ck_assert_int_eq(loop_count_fds(), before);
}
END_TEST

/* By hand it says what it is. */
START_TEST(test_usage)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
		execl(w.opener, w.opener, "0,0", "1", NULL);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 2 << 8);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_loop_test(tc, test_odd, 0, ARRAY_SIZE(oddities));
	tcase_add_loop_test(tc, test_boot_answers, 0, ARRAY_SIZE(boot_answers));
	tcase_add_test(tc, test_no_opener);
	tcase_add_test(tc, test_no_numbers);
	tcase_add_loop_test(tc, test_expires, 0, ARRAY_SIZE(stuck));
	tcase_add_loop_test(tc, test_cancelled, 0, ARRAY_SIZE(stuck));
	tcase_add_test(tc, test_late);
	tcase_add_loop_test(tc, test_dead_file_server, 0, 2);
	tcase_add_test(tc, test_many_times);
	tcase_add_test(tc, test_usage);
}

int main(void)
{
	const char *mode = getenv("OPENER");

	return mode ? opener(mode) : loop_main("open_child", add, setup, teardown);
}
