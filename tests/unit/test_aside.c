/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/aside.h"
#include "base/file.h"

#include "loop.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { LIMIT_MS = 3600 * 1000, LOOKS = 8 }; /* more than the pool has threads */

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
	char path[] = "/tmp/drover-aside-XXXXXX";

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

static void add(TCase *tc)
{
	tcase_add_test(tc, test_looks_hold_up_nobody);
	tcase_add_test(tc, test_identity);
	tcase_add_test(tc, test_identity_after);
}

int main(void)
{
	return loop_main("aside", add, loop_open, loop_end);
}
