/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Trials with a script in the place of QEMU: it notes each call in "count", waits for "gate" if that was there before, says
 * "words" and ends with "status".
 */
#include "runtime/accel.h"

#include "base/file.h"
#include "runtime/accel_firmware.h"

#include "loop.h"

#include <sys/stat.h>

static const char script[] = "#!/bin/sh\n"
			     "wait=\n"
			     "d=${0%/*}\n"
			     "[ -p \"$d/gate\" ] && exec 4<\"$d/gate\" && wait=1\n"
			     "echo \"$*\" >>\"$d/count\"\n"
			     "[ \"$wait\" ] && read -r line <&4\n"
			     "cat \"$d/words\" >&2\n"
			     "exit \"$(cat \"$d/status\")\"\n";

enum { LIMIT_MS = 60000 };

static char dir[64], binary[80], device[80];
static int dir_fd = -1, run_fd = -1;
static struct accel_options options = { .device = device, .limit_ms = LIMIT_MS };
static struct accel_cache *cache;

/* Of the last answer. */
static struct seen {
	unsigned n;
	bool works;
	double ms;
	char reason[256];
	enum err_class class;
} seen;

static void put(const char *name, const char *text, mode_t mode)
{
	ck_assert(file_write(dir_fd, name, text, mode, false, NULL));
}

static unsigned runs(void)
{
	_cleanup_free_ char *text = NULL;
	unsigned n = 0;

	if (!file_read(dir_fd, "count", 1 << 20, &text, NULL, NULL))
		return 0;
	for (char *p = text; *p; p++)
		n += *p == '\n';
	return n;
}

/* What a child does is no event of the loop. */
static void await_runs(unsigned n)
{
	for (int i = 0; runs() < n; i++) {
		ck_assert_int_lt(i, LOOP_DEADLINE_MS);
		loop_poll();
		usleep(1000);
	}
}

static void setup(void)
{
	loop_open();
	snprintf(dir, sizeof(dir), "/tmp/drover-accel-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(binary, sizeof(binary), "%s/qemu", dir);
	snprintf(device, sizeof(device), "%s/kvm", dir);
	dir_fd = file_open_dir(AT_FDCWD, dir, NULL);
	ck_assert_int_eq(mkdirat(dir_fd, "run", 0700), 0);
	run_fd = file_open_dir(dir_fd, "run", NULL);
	put("qemu", script, 0755);
	put("kvm", "", 0600);
	put("words", "", 0644);
	put("status", "85", 0644);
	cache = accel_cache_new(&loop, run_fd, &options);
}

static void teardown(void)
{
	accel_cache_free(cache);
	file_remove_tree(AT_FDCWD, dir, NULL);
	run_fd = fd_close(run_fd);
	dir_fd = fd_close(dir_fd);
	loop_end();
}

static void restart(void)
{
	accel_cache_free(cache);
	cache = accel_cache_new(&loop, run_fd, &options);
	loop_quiet();
}

static void on_answer(const struct accel_result *r, const struct err *e, void *data)
{
	ck_assert(!r != !e);
	seen.n++;
	seen.works = r && r->works;
	seen.ms = r ? r->ms : 0;
	seen.class = e ? e->class : ERR_CLASS_COUNT;
	snprintf(seen.reason, sizeof(seen.reason), "%s", r ? r->reason : e->desc);
}

static void ask(const char *const *prefix, const char *key)
{
	unsigned n = seen.n;

	accel_ask(cache, binary, prefix, key, on_answer, NULL);
	ck_assert_uint_eq(seen.n, n); /* never from within */
	LOOP_UNTIL(seen.n > n);
}

START_TEST(test_works)
{
	_cleanup_free_ char *args = NULL;

	ask(NULL, "pool");
	ck_assert_msg(seen.works, "%s", seen.reason);
	ck_assert(seen.ms > 0 && str_starts(seen.reason, "works, "));
	ck_assert(file_read(dir_fd, "count", 4096, &args, NULL, NULL));
	ck_assert_ptr_nonnull(strstr(args, "-machine pc,accel=kvm -cpu host "));
	ck_assert_ptr_nonnull(strstr(args, "-sandbox on,"));
	ask(NULL, "pool");
	ck_assert(seen.works);
	ck_assert_uint_eq(runs(), 1);
}
END_TEST

static const struct {
	const char *words, *status, *reason;
} failures[] = {
	{ "Could not access KVM kernel module: No such file or directory\nqemu: failed to initialize kvm\n", "1",
	  "/dev/kvm: No such file or directory" },
	{ "noise\nqemu: -accel kvm: invalid accelerator kvm\n\n", "1", "qemu: -accel kvm: invalid accelerator kvm" },
	{ "the last word", "1", "the last word" },
	{ "", "1", "ended with status 1 and without a word" },
	{ "", "0", "ended with status 0 and without a word" }, /* the guest did not run to its end */
};

/* What was seen is kept, be it good or bad. */
START_TEST(test_fails)
{
	put("words", failures[_i].words, 0644);
	put("status", failures[_i].status, 0644);
	for (int i = 0; i < 2; i++) {
		ask(NULL, "pool");
		ck_assert(!seen.works && seen.class == ERR_CLASS_COUNT);
		ck_assert_msg(strstr(seen.reason, failures[_i].reason) != NULL, "%s", seen.reason);
		ck_assert_uint_eq(runs(), 1);
	}
}
END_TEST

/* It is killed at the limit and gets a second chance; the better run counts. */
START_TEST(test_slow)
{
	_cleanup_close_ int gate = -1;
	unsigned n = seen.n;

	ck_assert_int_eq(mkfifoat(dir_fd, "gate", 0600), 0);
	gate = openat(dir_fd, "gate", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	cache = accel_cache_free(cache);
	options.limit_ms = 3000; /* for the second one a busy machine may need a while */
	cache = accel_cache_new(&loop, run_fd, &options);
	accel_ask(cache, binary, NULL, "pool", on_answer, NULL);
	await_runs(1);
	if (_i == 0) /* the second one is not slow */
		unlinkat(dir_fd, "gate", 0);
	LOOP_UNTIL(seen.n > n);
	ck_assert_uint_eq(runs(), 2);
	if (_i == 1) {
		ck_assert(!seen.works);
		ck_assert_str_eq(seen.reason, "the firmware did not end within 3.0 s (KVM is slower here than TCG)");
	}
	ask(NULL, "pool");
	ck_assert_uint_eq(runs(), 2);
}
END_TEST

START_TEST(test_shared)
{
	unsigned n = seen.n;

	for (int i = 0; i < 3; i++)
		accel_ask(cache, binary, NULL, "pool", on_answer, NULL);
	LOOP_UNTIL(seen.n == n + 3);
	ck_assert_uint_eq(runs(), 1);
	accel_forget(accel_ask(cache, binary, NULL, "other", on_answer, NULL));
	loop_quiet();
	ck_assert_uint_eq(seen.n, n + 3);
}
END_TEST

/* Whoever else would run it, a binary that changed, a device that was opened to others: tried anew. */
START_TEST(test_key)
{
	static const char *const prefix[] = { "/usr/bin/env", "X=1", NULL };

	ask(NULL, "none");
	ask(prefix, "pool");
	ck_assert(seen.works);
	ck_assert_uint_eq(runs(), 2);
	ask(NULL, "none");
	ask(prefix, "pool");
	ck_assert_uint_eq(runs(), 2);
	ck_assert_int_eq(fchmodat(dir_fd, "kvm", 0666, 0), 0);
	ask(NULL, "none");
	ck_assert_uint_eq(runs(), 3);
	unlinkat(dir_fd, "kvm", 0);
	ask(NULL, "none");
	ck_assert_uint_eq(runs(), 4);
	put("qemu", script, 0755);
	ask(NULL, "none");
	ck_assert_uint_eq(runs(), 5);
}
END_TEST

/* The launcher that fails says nothing of KVM: an error, and none that is kept. */
START_TEST(test_prefix_fails)
{
	put("words", "drover-launch: no such user\n", 0644);
	put("status", "125", 0644);
	ask(NULL, "pool");
	ck_assert_int_eq(seen.class, ERR_GENERIC);
	ck_assert_str_eq(seen.reason, "drover-launch: no such user");
	put("status", "85", 0644);
	ask(NULL, "pool");
	ck_assert(seen.works);
}
END_TEST

START_TEST(test_no_binary)
{
	unlinkat(dir_fd, "qemu", 0);
	ask(NULL, "pool");
	ck_assert_int_eq(seen.class, ERR_NOT_FOUND);
	put("qemu", "", 0644);
	ask(NULL, "pool");
	ck_assert_int_eq(seen.class, ERR_PERMISSION_DENIED);
}
END_TEST

/* ---- the file ---- */

START_TEST(test_restart)
{
	put("words", "qemu: no", 0644);
	put("status", "1", 0644);
	ask(NULL, "pool");
	put("words", "", 0644);
	put("status", "85", 0644);
	ask(NULL, "none");
	ck_assert(seen.works);
	restart();
	ask(NULL, "pool");
	ck_assert(!seen.works);
	ck_assert_str_eq(seen.reason, "qemu: no");
	ask(NULL, "none");
	ck_assert(seen.works && seen.ms > 0);
	ck_assert_uint_eq(runs(), 2);
}
END_TEST

static const char *const damages[] = { "", "half", "boot", "[]", "{}", "{\"results\": 3}", "element" };

START_TEST(test_damaged)
{
	_cleanup_free_ char *text = NULL;
	char *at;

	ask(NULL, "pool");
	ck_assert(file_read(run_fd, "accel.json", 4096, &text, NULL, NULL));
	if (str_eq(damages[_i], "half"))
		text[strlen(text) / 2] = '\0';
	else if (str_eq(damages[_i], "boot") && (at = strstr(text, "\"boot-id\":\"")))
		at[strlen("\"boot-id\":\"")] ^= 1;
	else if (str_eq(damages[_i], "element") && (at = strstr(text, "\"key\"")))
		memcpy(at, "\"yek\"", 5);
	else
		snprintf(text, strlen(text), "%s", damages[_i]);
	ck_assert(file_write(run_fd, "accel.json", text, 0600, false, NULL));
	restart();
	ask(NULL, "pool");
	ck_assert(seen.works);
	ck_assert_uint_eq(runs(), 2);
}
END_TEST

/* ---- operations ---- */

static struct op *op;
static struct accel_result got;
static struct err *failure;

static enum verdict step_wait(struct op *o, void *arg)
{
	return accel_wait(o, cache, binary, NULL, "pool", &got);
}

static const struct step steps[] = { { "try", step_wait, NULL, .timeout_ms = 120000 } };

static bool op_begin(struct op *o)
{
	op_add(o, &steps[0], NULL);
	return true;
}

static void op_done(struct op *o)
{
	failure = o->err ? err_copy(o->err) : NULL;
	op = NULL;
	op_free(o);
}

static void begin(void)
{
	static const struct op_ops ops = { .begin = op_begin, .done = op_done };

	op = op_new(&loop, &ops, NULL);
	op_start(op);
}

START_TEST(test_wait)
{
	begin();
	LOOP_UNTIL(!op);
	ck_assert_ptr_null(failure);
	ck_assert(got.works && str_starts(got.reason, "works"));
	accel_result_clear(&got);

	begin();
	ck_assert(op_cancel(op, NULL));
	ck_assert_ptr_null(op);
	ck_assert_int_eq(failure->class, ERR_CANCELLED);
	failure = err_free(failure);

	unlinkat(dir_fd, "qemu", 0);
	begin();
	LOOP_UNTIL(!op);
	ck_assert_int_eq(failure->class, ERR_NOT_FOUND);
	ck_assert_ptr_null(got.reason);
	failure = err_free(failure);
}
END_TEST

/* 64 KiB, the vector where the processor begins, and nobody can write to it. */
START_TEST(test_firmware)
{
	_cleanup_close_ int fd = accel_firmware(NULL);
	unsigned char vector[3];
	struct stat st;
	int offset;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, 65536);
	ck_assert_int_eq(pread(fd, vector, 3, 0xfff0), 3);
	ck_assert_int_eq(vector[0], 0xe9);
	offset = vector[1] | vector[2] << 8;
	ck_assert_int_eq((0xfff3 + offset) & 0xffff, 0);
	ck_assert_int_lt(pwrite(fd, "x", 1, 0), 0);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, test_works);
	tcase_add_loop_test(tc, test_fails, 0, ARRAY_SIZE(failures));
	tcase_add_loop_test(tc, test_slow, 0, 2);
	tcase_add_test(tc, test_shared);
	tcase_add_test(tc, test_key);
	tcase_add_test(tc, test_prefix_fails);
	tcase_add_test(tc, test_no_binary);
	tcase_add_test(tc, test_restart);
	tcase_add_loop_test(tc, test_damaged, 0, ARRAY_SIZE(damages));
	tcase_add_test(tc, test_wait);
	tcase_add_test(tc, test_firmware);
}

int main(void)
{
	return loop_main("accel", add, setup, teardown);
}
