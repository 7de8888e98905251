/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/file_work.h"

#include "base/file.h"

#include "loop.h"

#include <errno.h>
#include <pthread.h>

enum { LIMIT_MS = 3600 * 1000, LOOKS = 8 }; /* more than the pool has threads */

/* ---- looks ---- */

static struct looks {
	int block[2];
	unsigned timeouts, freed;
	bool written;
	unsigned told, error;
	char *identities[2];
} looks;

static bool look(void *data, struct err **e)
{
	char c;

	return read(looks.block[0], &c, 1) == 0;
}

static void look_free(void *data)
{
	looks.freed++;
}

static enum verdict look_run(struct op *op, void *arg)
{
	return file_look(op, look, &looks, look_free);
}

static bool write_something(void *data, struct err **e)
{
	return true;
}

static enum verdict write_run(struct op *op, void *arg)
{
	return file_work(op, write_something, NULL, NULL);
}

static bool on_write_begin(struct op *op)
{
	static const struct step step = { "write", write_run, .timeout_ms = LIMIT_MS };

	op_add(op, &step, NULL);
	return true;
}

static void on_write_done(struct op *op)
{
	looks.written = !op->err;
	op_free(op);
}

static bool on_look_begin(struct op *op)
{
	static const struct step step = { "look", look_run, .timeout_ms = LIMIT_MS };

	op_add(op, &step, NULL);
	return true;
}

static void on_look_done(struct op *op)
{
	looks.timeouts += op->err && op->err->class == ERR_TIMEOUT;
	op_free(op);
}

static void on_told(const char *identity, int error, void *data)
{
	looks.identities[looks.told++] = identity ? xstrdup(identity) : NULL;
	looks.error |= (unsigned)error;
}

/* However many wait for a server that is dead, what droverd writes is written, and what others have is found; those are told
 * in time, and what they waited for is given back if it ever comes. */
START_TEST(test_looks_hold_up_nobody)
{
	static const struct op_ops ops = { .begin = on_look_begin, .done = on_look_done };
	static const struct op_ops writes = { .begin = on_write_begin, .done = on_write_done };

	memset(&looks, 0, sizeof(looks));
	ck_assert_int_eq(pipe2(looks.block, O_CLOEXEC), 0);
	for (int i = 0; i < LOOKS; i++)
		op_start(op_new(&loop, &ops, NULL));
	op_start(op_new(&loop, &writes, NULL));
	LOOP_UNTIL(looks.written);
	file_identity(&loop, "/proc/self/exe", on_told, NULL);
	LOOP_UNTIL(looks.told == 1);
	ck_assert_uint_eq(looks.timeouts, 0);
	loop_pass(LIMIT_MS);
	LOOP_UNTIL(looks.timeouts == LOOKS);
	ck_assert_uint_eq(looks.freed, 0);
	close(looks.block[1]);
	LOOP_UNTIL(looks.freed == LOOKS);
	close(looks.block[0]);
	free(looks.identities[0]);
}
END_TEST

/* Those who ask of one path meanwhile are told the same, and who does not want to know any more is not. */
START_TEST(test_identity)
{
	_cleanup_free_ char *now = file_identity_now("/proc/self/exe");
	struct file_ask *forgotten;

	memset(&looks, 0, sizeof(looks));
	file_identity(&loop, "/proc/self/exe", on_told, NULL);
	forgotten = file_identity(&loop, "/proc/self/exe", on_told, NULL);
	file_identity(&loop, "/proc/self/exe", on_told, NULL);
	file_ask_forget(forgotten);
	LOOP_UNTIL(looks.told == 2);
	ck_assert_uint_eq(looks.error, 0);
	for (size_t i = 0; i < ARRAY_SIZE(looks.identities); i++) {
		ck_assert_str_eq(looks.identities[i], now);
		free(looks.identities[i]);
	}
	looks.told = 0;
	file_identity(&loop, "proc/self/exe", on_told, NULL);
	LOOP_UNTIL(looks.told == 1);
	ck_assert_ptr_null(looks.identities[0]);
	ck_assert_uint_eq(looks.error, ENOENT);
}
END_TEST

/* A look that had begun before something changed is no answer to who asks after it. */
START_TEST(test_identity_after)
{
	char path[] = "/tmp/drover-look-XXXXXX";

	memset(&looks, 0, sizeof(looks));
	close(mkstemp(path));
	file_identity(&loop, path, on_told, NULL);
	usleep(20000); /* that look has seen it, as good as surely */
	unlink(path);
	file_identity(&loop, path, on_told, NULL);
	LOOP_UNTIL(looks.told == 2);
	ck_assert_ptr_null(looks.identities[1]);
	ck_assert_uint_eq(looks.error, ENOENT);
	free(looks.identities[0]);
}
END_TEST

/* ---- work on the thread pool ---- */

static struct world {
	char path[64];
	int dir;
	struct err *err;
	struct op *op;
	int release[2]; /* the worker waits for its end of file */
	bool fails, done, freed, back;
	pthread_t worker;
} w;

static void setup(void)
{
	w = (struct world){ .path = "/tmp/drover-unit-XXXXXX", .release = { -1, -1 } };
	loop_open();
	ck_assert_ptr_nonnull(mkdtemp(w.path));
	w.dir = open(w.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(w.dir, 0);
}

static void teardown(void)
{
	err_free(w.err);
	ck_assert_ptr_null(w.op);
	fd_close(w.release[0]);
	fd_close(w.release[1]);
	close(w.dir);
	ck_assert(file_remove_tree(AT_FDCWD, w.path, NULL));
	loop_end();
}

static bool is_written(void)
{
	_cleanup_free_ char *text = NULL;

	return file_read(w.dir, "f", FILE_MAX, &text, NULL, NULL) && str_eq(text, "text");
}

static bool work(void *data, struct err **e)
{
	char c;

	ck_assert_ptr_eq(data, &w);
	w.worker = pthread_self();
	while (w.release[0] >= 0 && read(w.release[0], &c, 1) > 0)
		;
	if (w.fails)
		return err_set(e, ERR_NO_SPACE, "the disk is full");
	return file_write(w.dir, "f", "text", 0600, true, e);
}

static void work_free(void *data)
{
	ck_assert_ptr_eq(data, &w);
	ck_assert(!w.freed && !w.done && w.op && w.op->wait);
	ck_assert(pthread_equal(pthread_self(), w.worker) == 0);
	w.freed = true;
}

static enum verdict work_run(struct op *op, void *arg)
{
	return file_work(op, work, &w, work_free);
}

static enum verdict work_undo(struct op *op, void *arg)
{
	ck_assert(w.freed);
	w.back = true;
	return OP_DONE;
}

static bool on_begin(struct op *op)
{
	static const struct step step = { "work", work_run, work_undo, .timeout_ms = LIMIT_MS };

	op_add(op, &step, NULL);
	return true;
}

static void on_done(struct op *op)
{
	ck_assert(w.freed);
	w.err = TAKE_PTR(op->err);
	w.done = true;
	w.op = NULL;
	op_free(op);
}

static void start(void)
{
	static const struct op_ops ops = { .begin = on_begin, .done = on_done };

	w.op = op_new(&loop, &ops, NULL);
	op_start(w.op);
	ck_assert(!w.done && !w.freed);
}

static void release(void)
{
	w.release[1] = fd_close(w.release[1]);
}

START_TEST(test_work)
{
	start();
	LOOP_UNTIL(w.done);
	ck_assert_ptr_null(w.err);
	ck_assert(!w.back);
	ck_assert(is_written());
}
END_TEST

START_TEST(test_work_fails)
{
	w.fails = true;
	start();
	LOOP_UNTIL(w.done);
	ck_assert_int_eq(w.err->class, ERR_NO_SPACE);
	ck_assert(w.back && faccessat(w.dir, "f", F_OK, AT_SYMLINK_NOFOLLOW) < 0);
}
END_TEST

/* Whether the disk will have it is not known: nothing is undone before it is. */
START_TEST(test_work_is_late)
{
	w.fails = _i;
	ck_assert_int_eq(pipe2(w.release, O_CLOEXEC), 0);
	start();
	loop_pass(LIMIT_MS / 2);
	ck_assert(!w.op->stalled);
	loop_pass(LIMIT_MS);
	ck_assert(w.op->stalled && !w.freed);
	release();
	LOOP_UNTIL(w.done);
	ck_assert_int_eq(w.back, _i);
	ck_assert_int_eq(w.err != NULL, _i);
}
END_TEST

START_TEST(test_work_cancelled)
{
	ck_assert_int_eq(pipe2(w.release, O_CLOEXEC), 0);
	start();
	ck_assert(op_cancel(w.op, NULL));
	loop_quiet();
	ck_assert(!w.done && !w.freed);
	release();
	LOOP_UNTIL(w.done);
	ck_assert_int_eq(w.err->class, ERR_CANCELLED);
	ck_assert(w.back);
	ck_assert(is_written());
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, test_looks_hold_up_nobody);
	tcase_add_test(tc, test_identity);
	tcase_add_test(tc, test_identity_after);
	tcase_add_test(tc, test_work);
	tcase_add_test(tc, test_work_fails);
	tcase_add_loop_test(tc, test_work_is_late, 0, 2);
	tcase_add_test(tc, test_work_cancelled);
}

int main(void)
{
	return loop_main("file work", add, setup, teardown);
}
