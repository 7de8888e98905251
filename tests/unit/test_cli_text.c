/* SPDX-License-Identifier: BSD-2-Clause */
/* Text and tables as a terminal gets them. */
#include "cli/cli.h"
#include "cli/table.h"
#include "cli/text.h"

#include "base/json.h"

#include <check.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Consumes TEXT. */
static void is(char *text, const char *expected)
{
	_cleanup_free_ char *given = text;

	ck_assert_str_eq(given, expected);
}

/* --- text --- */

START_TEST(test_plain)
{
	is(text_plain("", ""), "");
	is(text_plain("web1 \xc3\xbc", ""), "web1 \xc3\xbc");
	is(text_plain("\033[31mred\033]0;x\a", ""), "\\x1b[31mred\\x1b]0;x\\x07");
	is(text_plain("a\nb\tc\r", ""), "a\\x0ab\\x09c\\x0d");
	is(text_plain("a\nb\tc\r", "\n\t"), "a\nb\tc\\x0d");
	is(text_plain("\xc2\x9b[2J\x7f", ""), "\\u009b[2J\\x7f");
	is(text_plain("\xe2\x80\xaetxt\xe2\x80\xac", ""), "\\u202etxt\\u202c"); /* right to left and back */
	is(text_plain("\xff\x9b\xc3", ""), "\\xff\\x9b\\xc3");
	is(text_plain("\xed\xa0\x80", ""), "\\xed\\xa0\\x80"); /* a surrogate */
}
END_TEST

START_TEST(test_plain_json_is_the_same_json)
{
	static const char text[] = "{\"a\xc2\x9b\":\"\x7f \xe2\x80\xa8 \xc3\xbc\"}";
	_cleanup_free_ char *plain = text_plain_json(text);
	_cleanup_json_ struct json_object *before = NULL, *after = NULL;

	ck_assert_str_eq(plain, "{\"a\\u009b\":\"\\u007f \\u2028 \xc3\xbc\"}");
	ck_assert(json_parse(text, strlen(text), &json_limits_request, &before, NULL));
	ck_assert(json_parse(plain, strlen(plain), &json_limits_request, &after, NULL));
	ck_assert(json_object_equal(before, after));
}
END_TEST

START_TEST(test_block)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	text_block(f, "boot\r\n\n\033[1m\tok\rno\nlast", 2, true);
	fclose(f);
	ck_assert_str_eq(text, "  boot\n  \n  \\x1b[1m\tok\\x0dno\n  last\n");
}
END_TEST

START_TEST(test_cut)
{
	is(text_cut("web1", 4, "~"), "web1");
	is(text_cut("web12", 4, "~"), "web~");
	is(text_cut("web12", 1, "~"), "~");
	is(text_cut("web12", 0, "~"), "");
	is(text_cut("web12", 2, "..."), "");
	is(text_cut("\xc3\xbc\xc3\xbc\xc3\xbc", 2, "~"), "\xc3\xbc~");
	is(text_cut("\xe6\xbc\xa2\xe5\xad\x97", 3, "~"), "\xe6\xbc\xa2~"); /* two columns each */
	is(text_cut("\xe6\xbc\xa2\xe5\xad\x97", 2, "~"), "~");
}
END_TEST

static char *wrap(const char *text, unsigned at, unsigned indent, unsigned width)
{
	char *lines = NULL;
	size_t len;
	FILE *f = open_memstream(&lines, &len);

	text_wrap(f, text, at, indent, width);
	fclose(f);
	return lines;
}

START_TEST(test_wrap)
{
	is(wrap("", 0, 0, 10), "\n");
	is(wrap("one two three", 0, 0, 7), "one two\nthree\n");
	is(wrap("one two three", 0, 0, 6), "one\ntwo\nthree\n");
	is(wrap("one two three", 4, 4, 11), "one two\n    three\n");
	is(wrap("one\n two", 0, 2, 20), "  one\n  two\n");
	is(wrap("incomprehensible one", 0, 0, 6), "incomp\nrehens\nible\none\n");
	is(wrap("a 1234567890", 2, 2, 6), "a\n  1234\n  5678\n  90\n");
	is(wrap("\xc3\xbc\xc3\xbc\xc3\xbc", 0, 0, 2), "\xc3\xbc\xc3\xbc\n\xc3\xbc\n");
}
END_TEST

START_TEST(test_sizes)
{
	is(text_size(0), "0");
	is(text_size(1000), "1000");
	is(text_size(1024), "1K");
	is(text_size(268435456), "256M");
	is(text_size(1610612736), "1536M");
	is(text_size(10737418240), "10G");
	is(text_size(1500000), "1.4M");
	is(text_size(1048575), "1.0M");
	is(text_size(1023 * 1024 + 1), "1023.0K");
	is(text_size(UINT64_MAX), "16.0E");
}
END_TEST

START_TEST(test_durations)
{
	is(text_duration(59.9), "59s");
	is(text_duration(60), "1m");
	is(text_duration(8000), "2h13m");
	is(text_duration(277200), "3d5h");
	is(text_duration(1e300), "0s");
}
END_TEST

START_TEST(test_quote)
{
	is(text_quote(""), "''");
	is(text_quote("-name"), "-name");
	is(text_quote("id=disk-1,bus=pci.0"), "id=disk-1,bus=pci.0");
	is(text_quote("a b"), "'a b'");
	is(text_quote("it's"), "'it'\\''s'");
	is(text_quote("$(reboot)"), "'$(reboot)'");
	is(text_quote("\xc3\xbc"), "'\xc3\xbc'");
	is(text_quote("a\033'\\"), "$'a\\x1b\\'\\\\'");
	is(text_quote("\xc2\x9b"), "$'\\xc2\\x9b'");
	is(text_quote("\xff"), "$'\\xff'");
}
END_TEST

/* --- tables --- */

static char *print_table(unsigned width, bool colour)
{
	static const struct column columns[] = {
		{ .title = "NAME", .min = 6 },
		{ .title = "PID", .right = true },
		{ .title = "X", .optional = true },
		{ .title = "NOTE", .min = 5 },
	};
	_cleanup_(table_freep) struct table *t = table_new(columns, ARRAY_SIZE(columns));
	const struct screen screen = { .tty = width > 0, .width = width, .colour = colour };
	char *text = NULL;
	size_t len;
	FILE *f;

	table_row(t);
	table_cell(t, STYLE_GOOD, "web1");
	table_cellf(t, STYLE_NONE, "%d", 12345);
	table_row(t);
	table_cell(t, STYLE_NONE, "a-long-name");
	table_cell(t, STYLE_NONE, "");
	table_cell(t, STYLE_NONE, NULL);
	table_cell(t, STYLE_NONE, "new\nline \033");
	table_note(t, "bad\n");
	f = open_memstream(&text, &len);
	table_print(t, f, 0, &screen);
	fclose(f);
	return text;
}

START_TEST(test_table)
{
	_cleanup_free_ char *colour = print_table(0, true);

	is(print_table(0, false), "NAME           PID  X  NOTE\n"
				  "web1         12345  -  -\n"
				  "a-long-name      -  -  new\\x0aline \\x1b\n"
				  "  bad\\x0a\n");
	is(print_table(24, false), "NAME       PID  NOTE\n"
				   "web1     12345  -\n"
				   "a-long~      -  new\\x0a~\n"
				   "  bad\\x0a\n");
	/* where no shrinking is enough the last columns go, and the first one stays */
	is(print_table(17, false), "NAME    PID  NOTE\n"
				   "web1  12345  -\n"
				   "a-l~      -  new~\n"
				   "  bad\\x0a\n");
	is(print_table(16, false), "NAME         PID\n"
				   "web1       12345\n"
				   "a-long-n~      -\n"
				   "  bad\\x0a\n");
	is(print_table(1, false), "NAME\n"
				  "web1\n"
				  "a-l~\n"
				  "  bad\\x0a\n");
	ck_assert_ptr_nonnull(strstr(colour, "\033[32mweb1\033[0m"));
}
END_TEST

/* Colours are for terminals that can show them to people who want them. */
START_TEST(test_colours)
{
	static const struct {
		const char *term, *no_color;
		bool colour, dumb;
	} rows[] = {
		{ "xterm", NULL, true, false }, { "xterm", "", true, false }, { "xterm", "1", false, false },
		{ "dumb", NULL, false, true },  { "", NULL, false, true },    { NULL, NULL, false, true },
	};
	_cleanup_close_ int pty = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), was = dup(STDOUT_FILENO);
	int terminal;

	ck_assert(pty >= 0 && grantpt(pty) == 0 && unlockpt(pty) == 0);
	terminal = open(ptsname(pty), O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_ge(terminal, 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *text = NULL;
		struct cli cli;

		if (rows[i].term)
			setenv("TERM", rows[i].term, 1);
		else
			unsetenv("TERM");
		unsetenv("NO_COLOR");
		if (rows[i].no_color)
			setenv("NO_COLOR", rows[i].no_color, 1);
		fflush(stdout);
		dup2(terminal, STDOUT_FILENO);
		cli_init(&cli);
		dup2(was, STDOUT_FILENO);
		ck_assert(cli.screen.tty);
		ck_assert_msg(cli.screen.dumb == rows[i].dumb, "row %zu", i);
		text = print_table(cli.screen.width, cli.screen.colour);
		ck_assert_msg((strchr(text, '\033') != NULL) == rows[i].colour, "row %zu: %s", i, text);
		cli_clear(&cli);
	}
	close(terminal);
}
END_TEST

START_TEST(test_fit)
{
	static const struct column columns[] = { { .title = "A", .min = 10 },
						 { .title = "B" },
						 { .title = "C", .min = 5 } };
	static const struct {
		size_t width, before[3], after[3];
	} rows[] = {
		/* room enough; one shrinks, both alike; one at its min, all at theirs; hopeless */
		{ 100, { 20, 20, 20 }, { 20, 20, 20 } }, { 64, { 20, 20, 20 }, { 20, 20, 20 } },
		{ 63, { 20, 20, 20 }, { 19, 20, 20 } },  { 54, { 20, 20, 20 }, { 15, 20, 15 } },
		{ 44, { 20, 20, 20 }, { 10, 20, 10 } },  { 41, { 20, 20, 20 }, { 10, 20, 7 } },
		{ 36, { 20, 20, 20 }, { 8, 20, 4 } },    { 1, { 20, 20, 20 }, { 4, 20, 4 } },
		{ 1, { 2, 20, 3 }, { 2, 20, 3 } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t widths[3];

		memcpy(widths, rows[i].before, sizeof(widths));
		table_fit(widths, columns, 3, rows[i].width);
		for (size_t c = 0; c < 3; c++)
			ck_assert_msg(widths[c] == rows[i].after[c], "row %zu, column %zu: %zu", i, c, widths[c]);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cli, text");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	setlocale(LC_CTYPE, "C.UTF-8");
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, test_plain);
	tcase_add_test(tc, test_plain_json_is_the_same_json);
	tcase_add_test(tc, test_block);
	tcase_add_test(tc, test_cut);
	tcase_add_test(tc, test_wrap);
	tcase_add_test(tc, test_sizes);
	tcase_add_test(tc, test_durations);
	tcase_add_test(tc, test_quote);
	tcase_add_test(tc, test_table);
	tcase_add_test(tc, test_colours);
	tcase_add_test(tc, test_fit);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
