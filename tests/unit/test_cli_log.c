/* SPDX-License-Identifier: BSD-2-Clause */
/* What of a log is new, and a guest's bytes on their way to a terminal, in whichever portions they come. */
#include "cli/log.h"

#include "base/cleanup.h"

#include <check.h>
#include <string.h>

static const struct {
	const char *before, *now, *fresh;
} tails[] = {
	{ "", "", "" },
	{ "", "a\n", "a\n" },
	{ "a\n", "a\n", "" },
	{ "a\n", "a\nb\n", "b\n" },
	{ "a\nb\nc\n", "b\nc\nd\n", "d\n" }, /* the window has moved */
	{ "a\nb\n", "c\nd\n", "c\nd\n" },    /* by more than it is wide, or a new run */
	{ "x\nx\n", "x\nx\nx\n", "x\n" },    /* what repeats itself */
	{ "abab", "ababab", "ab" },
	{ "a long old run\n", "new\n", "new\n" },
	{ "aab", "aaab", "aaab" }, /* no end of the one is a beginning of the other */
	{ "a\n", "", "" },
};

START_TEST(test_overlap)
{
	size_t n = log_overlap(tails[_i].before, tails[_i].now);

	ck_assert_uint_le(n, strlen(tails[_i].now));
	ck_assert_str_eq(tails[_i].now + n, tails[_i].fresh);
}
END_TEST

static const char raw[] =
	"boot\r\n\033[31mred\033]0;title\a \xc3\xbc \xe2\x82\xac \xe2\x80\xae \xff\0x\rlogin: \xe2\x82";
static const char shown[] = "boot\n\\x1b[31mred\\x1b]0;title\\x07 \xc3\xbc \xe2\x82\xac \\u202e \\xff\\x00x\\x0dlogin: "
			    "\\xe2\\x82";

/* The portions that the bytes come in make no difference. */
START_TEST(test_stream)
{
	size_t len = sizeof(raw) - 1;

	for (size_t step = 1; step <= len; step++) {
		struct log_stream s = { 0 };
		_cleanup_free_ char *text = NULL;
		size_t size;
		FILE *f = open_memstream(&text, &size);

		for (size_t at = 0; at < len; at += step)
			log_stream_print(&s, f, raw + at, len - at < step ? len - at : step);
		log_stream_end(&s, f);
		fclose(f);
		ck_assert_str_eq(text, shown);
	}
}
END_TEST

/* A prompt has no end of line. */
START_TEST(test_prompt_is_seen)
{
	struct log_stream s = { 0 };
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	log_stream_print(&s, f, "login: ", 7);
	fclose(f);
	ck_assert_str_eq(text, "login: ");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cli, log");
	TCase *t = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(t, test_overlap, 0, ARRAY_SIZE(tails));
	tcase_add_test(t, test_stream);
	tcase_add_test(t, test_prompt_is_seen);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
