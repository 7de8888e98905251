/* SPDX-License-Identifier: BSD-2-Clause */
/* Many calls side by side in a session of the command line. */
#include "cli/client.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GREETING "{\"QMP\":{\"version\":{},\"capabilities\":[]}}\r\n{\"return\":{},\"id\":1}\r\n"

enum { SIDE_BY_SIDE = 64, CALLS = 100, FAILS = 7 };

struct ends {
	unsigned n, failed, wrong;
};

/* Each is told with its own result: its number. */
static void on_end(size_t i, struct json_object *result, const struct err *e, void *data)
{
	struct ends *ends = data;

	ends->n++;
	if (e)
		ends->failed += e->class == ERR_BUSY && i == FAILS;
	else
		ends->wrong += json_object_get_int64(result) != (int64_t)i;
}

/* A session with someone who says SAID, whatever is asked, and hangs up. */
static struct client *session(const char *said)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ck_assert_int_eq(write(fds[1], said, strlen(said)), (ssize_t)strlen(said));
	ck_assert_int_eq(shutdown(fds[1], SHUT_WR), 0);
	return client_new(fds[0], "/socket", NULL);
}

static void answer(FILE *f, int from, int to)
{
	for (int i = to - 1; i >= from; i--) {
		fprintf(f, "{\"event\":\"A\",\"seq\":1}\r\n{\"return\":0,\"id\":1}\r\n");
		if (i == FAILS)
			fprintf(f, "{\"error\":{\"class\":\"Busy\",\"desc\":\"d\"},\"id\":%d}\r\n", i + 2);
		else
			fprintf(f, "{\"return\":%d,\"id\":%d}\r\n", i, i + 2);
	}
}

/* The ones under way first, the last of them first, then the rest likewise; between events and what is nobody's. */
static char *answers(bool all)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	fputs(GREETING, f);
	answer(f, 0, SIDE_BY_SIDE);
	if (all)
		answer(f, SIDE_BY_SIDE, CALLS);
	fclose(f);
	return text;
}

static struct json_object *requests(void)
{
	struct json_object *list = json_object_new_array();

	for (int i = 0; i < CALLS; i++)
		json_object_array_add(list, json_object_new_object());
	return list;
}

static void check(bool all, unsigned n)
{
	_cleanup_json_ struct json_object *list = requests();
	_cleanup_free_ char *said = answers(all);
	_cleanup_err_ struct err *e = NULL;
	struct client *c = session(said);
	struct ends ends = { 0 };

	ck_assert_ptr_nonnull(c);
	ck_assert(client_call_each(c, "x", list, on_end, &ends, &e) == all);
	ck_assert(all ? e == NULL : e->class == ERR_UNAVAILABLE);
	ck_assert_uint_eq(ends.n, n);
	ck_assert_uint_eq(ends.failed, 1);
	ck_assert_uint_eq(ends.wrong, 0);
	client_free(c);
}

START_TEST(test_each)
{
	check(true, CALLS);
	check(false, SIDE_BY_SIDE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cli each");
	TCase *tc = tcase_create("each");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_test(tc, test_each);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
