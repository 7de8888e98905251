/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asking servers of images: what a child that is stuck, dies or says what no drover-fetch says comes to. It is this
 * program again, which does what the last part of the URL says.
 */
#include "storage/fetch.h"

#include "base/json.h"
#include "loop.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { LIMIT_MS = 30000, ITEMS_MAX = 3 };

#define SELF "/proc/self/exe"
#define GOOD "{\"size\": 5, \"ranges\": true}\n"

/* ---- the child ---- */

static const struct {
	const char *name, *says;
} sayings[] = {
	{ "good", GOOD },
	{ "empty", "" },
	{ "garbage", "x" },
	{ "list", "[]" },
	{ "two", GOOD GOOD },
	{ "half", "{\"size\": 5" },
	{ "no-size", "{\"ranges\": true}" },
	{ "negative", "{\"size\": -1, \"ranges\": true}" },
	{ "no-ranges", "{\"size\": 5}" },
	{ "false", "{\"size\": 5, \"ranges\": false}" },
	{ "storage", "{\"error\": \"its words\", \"class\": \"StorageError\"}" },
	{ "network", "{\"error\": \"its words\", \"class\": \"NetworkError\"}" },
	{ "strange", "{\"error\": \"its words\", \"class\": \"Busy\", \"size\": 5, \"ranges\": true}" },
	{ "reached", "{\"reached\": true}" },
	{ "unreached", "{\"reached\": false}" },
};

/* WHAT: how it was called, but for the user. */
static int fake(const char *what, const char *url, const char *user)
{
	const char *mode = strrchr(url, '/') + 1;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (size_t i = 0; i < ARRAY_SIZE(sayings); i++)
		if (str_eq(sayings[i].name, mode))
			return fputs(sayings[i].says, stdout) < 0;
	if (str_eq(mode, "user"))
		return printf("{\"error\": \"%s%s\"}", what, user ? user : "nobody") < 0;
	if (str_eq(mode, "dies"))
		raise(SIGKILL);
	if (str_eq(mode, "fails"))
		fputs("cannot\nat all", stderr);
	if (str_eq(mode, "flood"))
		for (int i = 0; i < 100000; i++)
			fputs(GOOD, stdout);
	while (str_eq(mode, "stuck"))
		pause();
	return 3;
}

/* ---- the operation ---- */

static struct world {
	struct fetch_item items[ITEMS_MAX];
	size_t n;
	struct fetch_user user;
	const char *fetcher;
	struct op *op;
	struct err *err;
} w;

static enum verdict ask(struct op *op, void *arg)
{
	return fetch_check(op, w.fetcher, w.items, w.n);
}

static bool on_begin(struct op *op)
{
	static const struct step step = { "ask", ask, .timeout_ms = LIMIT_MS };

	op_add(op, &step, NULL);
	return true;
}

static void on_done(struct op *op)
{
	w.err = TAKE_PTR(op->err);
	w.op = NULL;
	op_free(op);
}

static void add(const char *url)
{
	static const char *const whats[ITEMS_MAX] = { "disks[0].uri", "disks[1].uri", "disks[2].uri" };

	w.items[w.n] = (struct fetch_item){ .what = whats[w.n], .url = url, .user = &w.user };
	w.n++;
}

static void add_server(enum fetch_how how, const char *server)
{
	add("nbd://h/");
	w.items[w.n - 1].how = how;
	w.items[w.n - 1].server = server;
}

static void start(void)
{
	static const struct op_ops ops = { .begin = on_begin, .done = on_done };

	w.op = op_new(&loop, &ops, NULL);
	op_start(w.op);
}

static bool has_child(void)
{
	siginfo_t info;

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static void expect_failure(enum err_class class, const char *words)
{
	LOOP_UNTIL(!w.op);
	ck_assert_msg(w.err, "no error, but wanted: %s", words);
	ck_assert_msg(w.err->class == class && strstr(w.err->desc, words), "%s: %s, not %s: %s",
		      err_class_info(w.err->class)->name, w.err->desc, err_class_info(class)->name, words);
	w.err = err_free(w.err);
	LOOP_UNTIL(!has_child());
}

/* ---- answers ---- */

START_TEST(test_good)
{
	for (int i = 0; i < ITEMS_MAX; i++)
		add("http://h/good");
	start();
	LOOP_UNTIL(!w.op);
	ck_assert_msg(!w.err, "%s", w.err ? w.err->desc : "");
	for (int i = 0; i < ITEMS_MAX; i++)
		ck_assert_uint_eq(w.items[i].size, 5);
}
END_TEST

START_TEST(test_none)
{
	start();
	ck_assert_ptr_null(w.op);
	ck_assert_ptr_null(w.err);
}
END_TEST

static const struct {
	const char *url;
	enum err_class class;
	const char *words;
} bad[] = {
	{ "http://h/empty", ERR_STORAGE, "disks[1].uri: 'http://h/empty': drover-fetch gave no answer" },
	{ "http://h/garbage", ERR_STORAGE, "gave no answer" },
	{ "http://h/list", ERR_STORAGE, "gave no answer" },
	{ "http://h/two", ERR_STORAGE, "gave no answer" },
	{ "http://h/half", ERR_STORAGE, "gave no answer" },
	{ "http://h/flood", ERR_STORAGE, "disks[1].uri: 'http://h/flood': drover-fetch ended with status 3" },
	{ "http://h/no-size", ERR_STORAGE, "how long" },
	{ "http://h/negative", ERR_STORAGE, "how long" },
	{ "http://h/no-ranges", ERR_STORAGE, "Accept-Ranges" },
	{ "http://h/false", ERR_STORAGE, "Accept-Ranges" },
	{ "http://h/storage", ERR_STORAGE, "disks[1].uri: 'http://h/storage': its words" },
	{ "http://h/network", ERR_NETWORK, "its words" },
	{ "http://h/strange", ERR_STORAGE, "its words" },
	{ "http://h/dies", ERR_STORAGE, "drover-fetch was ended by signal 9" },
	{ "http://h/fails", ERR_STORAGE, "drover-fetch ended with status 3: cannot" },
};

/* The first that does not do ends it. */
START_TEST(test_bad)
{
	add("http://h/good");
	add(bad[_i].url);
	add("http://h/stuck");
	start();
	LOOP_UNTIL(!w.op);
	ck_assert_str_eq(json_get_str(w.err->extra, "parameter"), "disks[1].uri");
	expect_failure(bad[_i].class, bad[_i].words);
}
END_TEST

START_TEST(test_user)
{
	add("http://h/user");
	start();
	expect_failure(ERR_STORAGE, "nobody");
	w.user = (struct fetch_user){ true, 7, 8, { 9, 10 }, 2 };
	start();
	expect_failure(ERR_STORAGE, "7,8,9,10");
}
END_TEST

/* What a server is asked for, and where. */
START_TEST(test_servers)
{
	w.user = (struct fetch_user){ true, 7, 8 };
	add_server(FETCH_NBD, "/reached");
	add_server(FETCH_CONNECTION, "/reached");
	start();
	LOOP_UNTIL(!w.op);
	ck_assert_msg(!w.err, "%s", w.err ? w.err->desc : "");
	w.n = 0;
	add_server(FETCH_NBD, "/user");
	start();
	expect_failure(ERR_STORAGE, "disks[0].uri: 'nbd://h/': nbd 10000 7,8");
	w.items[0].how = FETCH_CONNECTION;
	start();
	expect_failure(ERR_STORAGE, "any 10000 7,8");
	w.items[0].server = "/good";
	start();
	expect_failure(ERR_STORAGE, "gave no answer");
	w.items[0].server = "/unreached";
	start();
	expect_failure(ERR_STORAGE, "gave no answer");
}
END_TEST

START_TEST(test_no_program)
{
	w.fetcher = "/nonexistent/fetch";
	add("http://h/good");
	start();
	expect_failure(ERR_NOT_FOUND, "/nonexistent/fetch");
}
END_TEST

/* ---- a child that is stuck ---- */

/* Each has its time. */
START_TEST(test_expires)
{
	add("http://h/good");
	add("http://h/stuck");
	start();
	loop_pass(LIMIT_MS / 3 * 2);
	LOOP_UNTIL(w.items[0].size);
	loop_pass(LIMIT_MS / 3 * 2);
	ck_assert_ptr_nonnull(w.op);
	loop_pass(LIMIT_MS);
	expect_failure(ERR_TIMEOUT, "disks[1].uri: 'http://h/stuck': no answer within 30 s");
}
END_TEST

START_TEST(test_cancelled)
{
	add("http://h/stuck");
	start();
	loop_quiet();
	ck_assert(op_cancel(w.op, NULL));
	expect_failure(ERR_CANCELLED, "");
}
END_TEST

/* ---- */

static void setup(void)
{
	loop_open();
	w = (struct world){ .fetcher = SELF };
}

static void teardown(void)
{
	err_free(w.err);
	loop_end();
}

static void add_tests(TCase *tc)
{
	tcase_add_test(tc, test_good);
	tcase_add_test(tc, test_none);
	tcase_add_loop_test(tc, test_bad, 0, ARRAY_SIZE(bad));
	tcase_add_test(tc, test_user);
	tcase_add_test(tc, test_servers);
	tcase_add_test(tc, test_no_program);
	tcase_add_test(tc, test_expires);
	tcase_add_test(tc, test_cancelled);
}

int main(int argc, char **argv)
{
	if (argc > 2 && str_eq(argv[1], "--check"))
		return fake("", argv[2], argv[3]);
	if (argc > 4 && str_eq(argv[1], "--reach")) {
		_cleanup_free_ char *what = xasprintf("%s %s ", argv[2], argv[4]);

		return fake(what, argv[3], argv[5]);
	}
	return loop_main("fetch", add_tests, setup, teardown);
}
