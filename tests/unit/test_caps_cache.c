/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cache, with a script in the place of drover-probe: it notes each call in "count", waits for "gate" if that is there,
 * and says what "out", "words" and "status" hold.
 */
#include "qmp/caps_cache.h"

#include "base/file.h"

#include "loop.h"

#include <errno.h>
#include <sys/stat.h>

static const char script[] = "#!/bin/sh\n"
			     "d=${0%/*}\n"
			     "echo \"$1\" >>\"$d/count\"\n"
			     "[ -p \"$d/gate\" ] && read -r line <\"$d/gate\"\n"
			     "cat \"$d/out\"\n"
			     "cat \"$d/words\" >&2\n"
			     "exit \"$(cat \"$d/status\")\"\n";

static const char good[] =
	"{\"format\":3,\"version\":\"7.2.1\",\"sets\":{\"commands\":\"cont\",\"devices\":\"VGA\",\"objects\":\"\","
	"\"blockdevs\":\"\",\"netdevs\":\"\",\"cpus\":\"\",\"migration\":\"\"},\"properties\":{},\"machine-"
	"properties\":[],"
	"\"machines\":[],\"quirks\":\"\"}";

enum { ASKS = 20 };

static char dir[64], prober[80], binary[80];
static int dir_fd = -1, kept_fd = -1;
static struct caps_cache *cache;
static const char *prober_argv[2];

static struct answer {
	bool here;
	struct caps *caps; /* a reference */
	struct err *err;
} answers[ASKS];
static unsigned n_answers;

/* ---- the world ---- */

static void put(const char *name, const char *text_of, mode_t mode)
{
	ck_assert(file_write(dir_fd, name, text_of, mode, false, NULL));
}

static unsigned probes(void)
{
	_cleanup_free_ char *text = NULL;
	unsigned n = 0;

	if (!file_read(dir_fd, "count", 1 << 20, &text, NULL, NULL))
		return 0;
	for (char *p = text; *p; p++)
		n += *p == '\n';
	return n;
}

static void count_one(const char *name, void *data)
{
	++*(unsigned *)data;
}

static unsigned kept(void)
{
	unsigned n = 0;

	ck_assert(file_list(kept_fd, count_one, &n, NULL));
	return n;
}

/* What a child or the disk does is no event of the loop. */
static void await_probe(void)
{
	for (int i = 0; probes() == 0; i++) {
		ck_assert_int_lt(i, LOOP_DEADLINE_MS);
		loop_poll();
		usleep(1000);
	}
}

static void await_kept(unsigned n)
{
	for (int i = 0; kept() != n; i++) {
		ck_assert_int_lt(i, LOOP_DEADLINE_MS);
		loop_poll();
		usleep(1000);
	}
}

static void first_name(const char *name, void *data)
{
	if (!*(char **)data)
		*(char **)data = xstrdup(name);
}

/* The name of the only file that is kept. */
static char *kept_name(void)
{
	char *name = NULL;

	ck_assert_uint_eq(kept(), 1);
	ck_assert(file_list(kept_fd, first_name, &name, NULL));
	return name;
}

static void setup(void)
{
	loop_open();
	snprintf(dir, sizeof(dir), "/tmp/drover-caps-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(prober, sizeof(prober), "%s/prober", dir);
	snprintf(binary, sizeof(binary), "%s/qemu", dir);
	dir_fd = file_open_dir(AT_FDCWD, dir, NULL);
	ck_assert_int_eq(mkdirat(dir_fd, "kept", 0700), 0);
	kept_fd = file_open_dir(dir_fd, "kept", NULL);
	put("prober", script, 0755);
	put("qemu", "one", 0755);
	put("out", good, 0644);
	put("words", "", 0644);
	put("status", "0", 0644);
	prober_argv[0] = prober;
	cache = caps_cache_new(&loop, prober_argv, kept_fd);
}

static void teardown(void)
{
	caps_cache_free(cache);
	for (unsigned i = 0; i < n_answers; i++) {
		caps_unref(answers[i].caps);
		err_free(answers[i].err);
	}
	memset(answers, 0, sizeof(answers));
	n_answers = 0;
	file_remove_tree(AT_FDCWD, dir, NULL);
	kept_fd = fd_close(kept_fd);
	dir_fd = fd_close(dir_fd);
	loop_end();
}

/* Another life of the daemon. */
static void restart(void)
{
	caps_cache_free(cache);
	cache = caps_cache_new(&loop, prober_argv, kept_fd);
	loop_quiet();
}

static void on_answer(struct caps *c, const struct err *e, void *data)
{
	struct answer *a = data;

	ck_assert(!a->here);
	ck_assert(!c != !e);
	a->here = true;
	a->caps = c ? caps_ref(c) : NULL;
	a->err = e ? err_copy(e) : NULL;
}

static struct caps_ask *ask(const char *path, struct answer **ret)
{
	ck_assert_uint_lt(n_answers, ASKS);
	*ret = &answers[n_answers++];
	return caps_ask(cache, path, on_answer, *ret);
}

/* Asks and waits; the reference stays the test's. */
static struct answer *answer_of(const char *path)
{
	struct answer *a;

	ask(path, &a);
	ck_assert(!a->here); /* never from within */
	LOOP_UNTIL(a->here);
	return a;
}

static struct caps *caps_of(const char *path)
{
	struct answer *a = answer_of(path);

	ck_assert_msg(a->caps != NULL, "%s", a->err ? a->err->desc : "");
	return a->caps;
}

static int gate_make(void)
{
	int fd;

	ck_assert_int_eq(mkfifoat(dir_fd, "gate", 0600), 0);
	fd = openat(dir_fd, "gate", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	ck_assert_int_ge(fd, 0);
	return fd;
}

static void gate_open(int gate)
{
	unlinkat(dir_fd, "gate", 0);
	ck_assert_int_eq(write(gate, "go\ngo\n", 6), 6);
}

/* ---- memory ---- */

START_TEST(test_once)
{
	struct caps *c = caps_of(binary);

	ck_assert(caps_has_command(c, "cont"));
	ck_assert_ptr_eq(caps_of(binary), c);
	ck_assert_uint_eq(probes(), 1);
	ck_assert_uint_eq(kept(), 1);
}
END_TEST

/* The link is not what is known. */
START_TEST(test_link)
{
	_cleanup_free_ char *link = xasprintf("%s/link", dir);
	struct caps *c = caps_of(binary);

	ck_assert_int_eq(symlinkat("qemu", dir_fd, "link"), 0);
	ck_assert_ptr_eq(caps_of(link), c);
	ck_assert_uint_eq(probes(), 1);
}
END_TEST

START_TEST(test_shared)
{
	_cleanup_close_ int gate = gate_make();
	struct answer *a, *b;

	ask(binary, &a);
	await_probe();
	ask(binary, &b);
	loop_quiet();
	gate_open(gate);
	LOOP_UNTIL(a->here && b->here);
	ck_assert_msg(a->caps != NULL, "%s", a->err ? a->err->desc : "");
	ck_assert_ptr_eq(a->caps, b->caps);
	ck_assert_uint_eq(probes(), 1);
}
END_TEST

START_TEST(test_replaced)
{
	struct caps *c = caps_of(binary);

	put("qemu", "two, longer", 0755);
	ck_assert_ptr_ne(caps_of(binary), c);
	ck_assert_uint_eq(probes(), 2);
	ck_assert_uint_eq(kept(), 1);
}
END_TEST

/* In place: the same inode. */
START_TEST(test_rewritten)
{
	struct timespec times[] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = 1000000000, .tv_nsec = 5 } };

	caps_of(binary);
	ck_assert_int_eq(utimensat(dir_fd, "qemu", times, 0), 0);
	caps_of(binary);
	ck_assert_uint_eq(probes(), 2);
	times[1].tv_nsec = 6;
	ck_assert_int_eq(utimensat(dir_fd, "qemu", times, 0), 0);
	caps_of(binary);
	ck_assert_uint_eq(probes(), 3);
}
END_TEST

START_TEST(test_forgotten)
{
	_cleanup_close_ int gate = gate_make();
	struct answer *a, *b;
	struct caps_ask *first = ask(binary, &a);

	await_probe();
	caps_forget(first);
	gate_open(gate);
	ask(binary, &b);
	LOOP_UNTIL(b->here);
	ck_assert(!a->here);
	ck_assert_uint_eq(probes(), 1);
	caps_forget(ask(binary, &a)); /* before anything happened */
	loop_quiet();
	ck_assert(!a->here);
}
END_TEST

START_TEST(test_oldest_goes)
{
	_cleanup_free_ char *second = NULL;
	struct caps *first = NULL;

	for (unsigned i = 0; i <= CAPS_CACHE_MAX; i++) {
		_cleanup_free_ char *name = xasprintf("q%u", i), *path = xasprintf("%s/%s", dir, name);
		struct caps *c;

		if (i == CAPS_CACHE_MAX) /* so that it is not the oldest any more */
			ck_assert_ptr_eq(caps_of(binary), first);
		put(name, name, 0755);
		c = caps_of(i ? path : binary);
		if (i == 0)
			first = c;
		if (i == 1)
			second = TAKE_PTR(path);
	}
	ck_assert_uint_eq(kept(), CAPS_CACHE_MAX);
	ck_assert_uint_eq(probes(), CAPS_CACHE_MAX + 1);
	ck_assert_ptr_eq(caps_of(binary), first);
	ck_assert_uint_eq(probes(), CAPS_CACHE_MAX + 1);
	ck_assert(caps_has_command(answers[1].caps, "cont")); /* who holds one may use it */
	caps_of(second);
	ck_assert_uint_eq(probes(), CAPS_CACHE_MAX + 2);
}
END_TEST

/* ---- files ---- */

START_TEST(test_restart)
{
	caps_of(binary);
	restart();
	ck_assert(caps_has_command(caps_of(binary), "cont"));
	ck_assert_uint_eq(probes(), 1);
}
END_TEST

static const char *const damages[] = { "", "half", "{}", "version", "prober", "type", "path", "rubbish" };

/* A file that is not as we wrote it is thrown away, and what it told of is asked again. */
START_TEST(test_damaged)
{
	_cleanup_free_ char *name = NULL, *text = NULL, *after = NULL;
	const char *damage = damages[_i];
	char *at;

	caps_of(binary);
	name = kept_name();
	ck_assert(file_read(kept_fd, name, 1 << 20, &text, NULL, NULL));
	if (str_eq(damage, "half"))
		text[strlen(text) / 2] = '\0';
	else if (str_eq(damage, "version") && (at = strstr(text, "\"format\":3")))
		at[strlen("\"format\":")] = '1';
	else if (str_eq(damage, "prober") && (at = strstr(text, "\"prober\":\"")))
		at[strlen("\"prober\":\"")] ^= 1;
	else if (str_eq(damage, "type") && (at = strstr(text, "\"machines\":[]")))
		memcpy(at, "\"machines\":{}", strlen("\"machines\":{}"));
	else if (str_eq(damage, "path") && (at = strstr(text, "\"path\":\"/")))
		at[strlen("\"path\":\"")] = '.';
	else
		snprintf(text, strlen(text), "%s", damage);
	ck_assert(file_write(kept_fd, name, text, 0600, false, NULL));
	restart();
	ck_assert_uint_eq(kept(), 0);
	ck_assert(caps_has_command(caps_of(binary), "cont"));
	ck_assert_uint_eq(probes(), 2);
	after = kept_name();
	ck_assert_str_eq(after, name);
	restart();
	caps_of(binary);
	ck_assert_uint_eq(probes(), 2);
}
END_TEST

START_TEST(test_strangers)
{
	caps_of(binary);
	ck_assert_int_eq(mkdirat(kept_fd, "dir.json", 0700), 0);
	ck_assert_int_eq(mkfifoat(kept_fd, "fifo.json", 0600), 0);
	ck_assert_int_eq(symlinkat("../out", kept_fd, "link.json"), 0);
	ck_assert(file_write(kept_fd, ".half.json", "{", 0600, false, NULL));
	ck_assert(file_write(kept_fd, ".json", "{}", 0600, false, NULL));
	ck_assert(file_write(kept_fd, "name", "{}", 0600, false, NULL));
	restart();
	ck_assert_uint_eq(kept(), 1);
	ck_assert_int_eq(faccessat(dir_fd, "out", F_OK, 0), 0);
	caps_of(binary);
	ck_assert_uint_eq(probes(), 1);
}
END_TEST

START_TEST(test_gone_meanwhile)
{
	caps_of(binary);
	unlinkat(dir_fd, "qemu", 0);
	restart();
	await_kept(0);
}
END_TEST

START_TEST(test_replaced_meanwhile)
{
	caps_of(binary);
	put("qemu", "two, longer", 0755);
	restart();
	caps_of(binary);
	ck_assert_uint_eq(probes(), 2);
	await_kept(1);
}
END_TEST

/* A new prober may ask for more. */
START_TEST(test_other_prober)
{
	_cleanup_free_ char *longer = xasprintf("%s# longer\n", script);

	caps_of(binary);
	put("prober", longer, 0755);
	restart();
	caps_of(binary);
	ck_assert_uint_eq(probes(), 2);
}
END_TEST

START_TEST(test_no_directory)
{
	caps_cache_free(cache);
	cache = caps_cache_new(&loop, prober_argv, -1);
	ck_assert(caps_has_command(caps_of(binary), "cont"));
	ck_assert_ptr_eq(caps_of(binary), answers[0].caps);
	ck_assert_uint_eq(kept(), 0);
}
END_TEST

/* ---- failures ---- */

static const struct {
	const char *out, *words, *status;
	enum err_class class;
	const char *desc;
} failures[] = {
	{ "", "Unsupported: no QEMU\nmore", "1", ERR_UNSUPPORTED, "no QEMU" },
	{ "", "QemuError: a: b", "1", ERR_QEMU, "a: b" },
	{ "", "PermissionDenied: no", "1", ERR_PERMISSION_DENIED, "no" },
	{ "", "Strange: no", "1", ERR_GENERIC, "failed with status 1: Strange: no" },
	{ good, "Unsupported: x", "7", ERR_GENERIC, "failed with status 7: Unsupported: x" },
	{ "", "", "1", ERR_GENERIC, "failed with status 1" },
	{ "", "", "0", ERR_GENERIC, "drover-probe, of" },
	{ "{}", "", "0", ERR_GENERIC, "drover-probe, of" },
	{ "{} {}", "", "0", ERR_GENERIC, "drover-probe, of" },
};

/* None is kept: the next one asks anew. */
START_TEST(test_failure)
{
	struct answer *a;

	put("out", failures[_i].out, 0644);
	put("words", failures[_i].words, 0644);
	put("status", failures[_i].status, 0644);
	a = answer_of(binary);
	ck_assert_ptr_nonnull(a->err);
	ck_assert_int_eq(a->err->class, failures[_i].class);
	ck_assert_msg(strstr(a->err->desc, failures[_i].desc) != NULL, "%s", a->err->desc);
	ck_assert_uint_eq(kept(), 0);
	put("out", good, 0644);
	put("words", "", 0644);
	put("status", "0", 0644);
	caps_of(binary);
	ck_assert_uint_eq(probes(), 2);
}
END_TEST

START_TEST(test_no_file)
{
	_cleanup_free_ char *path = xasprintf("%s/nothing", dir), *below = xasprintf("%s/x", binary);

	ck_assert_int_eq(answer_of(path)->err->class, ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(answer_of(below)->err);
	ck_assert_int_eq(answer_of("qemu")->err->class, ERR_NOT_FOUND);
	ck_assert_int_eq(answer_of("")->err->class, ERR_NOT_FOUND);
	ck_assert_uint_eq(probes(), 0);
}
END_TEST

START_TEST(test_no_prober)
{
	unlinkat(dir_fd, "prober", 0);
	ck_assert_ptr_nonnull(answer_of(binary)->err);
}
END_TEST

/* One that is stuck is answered for, and killed: the next one begins anew. */
START_TEST(test_stuck)
{
	_cleanup_close_ int gate = gate_make();
	struct answer *a;

	ask(binary, &a);
	await_probe();
	loop_pass(29000);
	ck_assert(!a->here);
	loop_pass(1100);
	LOOP_UNTIL(a->here);
	ck_assert_int_eq(a->err->class, ERR_TIMEOUT);
	unlinkat(dir_fd, "gate", 0);
	while (!answer_of(binary)->caps) /* until it has died, its end is the answer */
		ck_assert_uint_lt(n_answers, ASKS);
	ck_assert_uint_eq(probes(), 2);
}
END_TEST

/* ---- operations ---- */

static struct op *op;
static struct caps *got;
static struct err *failure;
static const char *wanted;

static enum verdict step_wait(struct op *o, void *arg)
{
	return caps_wait(o, cache, wanted, &got);
}

static const struct step steps[] = { { "ask", step_wait, NULL, .timeout_ms = 20000 } };

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

static void begin(const char *path)
{
	static const struct op_ops ops = { .begin = op_begin, .done = op_done };

	wanted = path;
	op = op_new(&loop, &ops, NULL);
	op_start(op);
}

START_TEST(test_wait)
{
	begin(binary);
	LOOP_UNTIL(!op);
	ck_assert_ptr_null(failure);
	ck_assert(caps_has_command(got, "cont"));
	got = caps_unref(got);

	begin("/nothing/there");
	LOOP_UNTIL(!op);
	ck_assert_int_eq(failure->class, ERR_NOT_FOUND);
	ck_assert_ptr_null(got);
	failure = err_free(failure);
}
END_TEST

START_TEST(test_wait_ends_early)
{
	_cleanup_close_ int gate = gate_make();

	begin(binary);
	await_probe();
	ck_assert(op_cancel(op, NULL));
	ck_assert_ptr_null(op);
	ck_assert_int_eq(failure->class, ERR_CANCELLED);
	failure = err_free(failure);

	begin(binary);
	loop_quiet();
	loop_pass(20100);
	LOOP_UNTIL(!op);
	ck_assert_int_eq(failure->class, ERR_TIMEOUT);
	failure = err_free(failure);
	gate_open(gate);
	caps_of(binary);
	ck_assert_ptr_null(got);
	ck_assert_uint_eq(probes(), 1);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, test_once);
	tcase_add_test(tc, test_link);
	tcase_add_test(tc, test_shared);
	tcase_add_test(tc, test_replaced);
	tcase_add_test(tc, test_rewritten);
	tcase_add_test(tc, test_forgotten);
	tcase_add_test(tc, test_oldest_goes);
	tcase_add_test(tc, test_restart);
	tcase_add_loop_test(tc, test_damaged, 0, ARRAY_SIZE(damages));
	tcase_add_test(tc, test_strangers);
	tcase_add_test(tc, test_gone_meanwhile);
	tcase_add_test(tc, test_replaced_meanwhile);
	tcase_add_test(tc, test_other_prober);
	tcase_add_test(tc, test_no_directory);
	tcase_add_loop_test(tc, test_failure, 0, ARRAY_SIZE(failures));
	tcase_add_test(tc, test_no_file);
	tcase_add_test(tc, test_no_prober);
	tcase_add_test(tc, test_stuck);
	tcase_add_test(tc, test_wait);
	tcase_add_test(tc, test_wait_ends_early);
}

int main(void)
{
	return loop_main("caps_cache", add, setup, teardown);
}
