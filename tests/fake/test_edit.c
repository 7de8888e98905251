/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `drover edit` by a person: the plan before the question, and what becomes of a text that cannot be taken. `drover
 * define` of what is there.
 */
#include "person.h"
#include "stage.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* An instance that runs, and an editor that does as a line of sed says. */
static void set_up(void)
{
	_cleanup_free_ char *editor = NULL, *tmp = NULL;

	stage_set("%s", "");
	stage_define("web", "%s", "");
	stage_start("web");
	editor = stage_text("sh ROOT/editor");
	tmp = stage_text("ROOT/texts");
	ck_assert_int_eq(mkdir(tmp, 0700), 0);
	setenv("EDITOR", editor, 1);
	unsetenv("VISUAL");
	setenv("TMPDIR", tmp, 1);
}

static void tear_down(void)
{
	unsetenv("TMPDIR");
	stage_clear();
}

static void editor_does(const char *sed)
{
	_cleanup_free_ char *line = xasprintf("sed -i '%s' \"$1\"\n", sed);

	stage_write("editor", line);
}

/* The text that is kept, with its directory; "" for none. The caller's. */
static char *kept(void)
{
	_cleanup_free_ char *tmp = stage_text("ROOT/texts"), *below = NULL;
	DIR *dir = opendir(tmp);
	struct dirent *d;

	while ((d = readdir(dir)))
		if (d->d_name[0] != '.') {
			below = xasprintf("texts/%s/web.json", d->d_name);
			break;
		}
	closedir(dir);
	return below ? rig_file(stage.r, "%s", below) : xstrdup("");
}

static int64_t vcpus(void)
{
	_cleanup_json_ struct json_object *o = stage_show("web"), *definition = json_object_get(at(o, "definition"));

	return json_get_int(definition, "vcpus", 1);
}

#define TWO_CPUS "s/\"layout\"/\"vcpus\": 2, \"layout\"/"

START_TEST(test_plan_then_change)
{
	_cleanup_person_ struct person *p = NULL;
	_cleanup_free_ char *left = NULL;

	editor_does(TWO_CPUS);
	p = person_come(stage.r, "drover", "edit", "web", NULL);
	person_await(p, "CHANGE");
	person_await(p, "vcpus");
	person_await(p, "at the next start");
	person_await(p, "Apply?");
	ck_assert_int_eq(vcpus(), 1); /* it was a plan */
	person_type(p, "y\n");
	person_await(p, "web: pending until the next start: vcpus");
	ck_assert_int_eq(person_leave(p), 0);
	ck_assert_int_eq(vcpus(), 2);
	person_check_page(person_saw(p));
	left = kept();
	ck_assert_str_eq(left, "");
}
END_TEST

START_TEST(test_no)
{
	_cleanup_person_ struct person *p = NULL;
	_cleanup_free_ char *left = NULL;

	editor_does(TWO_CPUS);
	p = person_come(stage.r, "drover", "edit", "web", NULL);
	person_await(p, "Apply?");
	person_type(p, "n\n");
	ck_assert_int_eq(person_leave(p), 0);
	ck_assert_int_eq(vcpus(), 1);
	left = kept();
	ck_assert_ptr_nonnull(strstr(left, "\"vcpus\": 2"));
}
END_TEST

START_TEST(test_edit_again)
{
	_cleanup_person_ struct person *p = NULL;

	editor_does(TWO_CPUS);
	p = person_come(stage.r, "drover", "edit", "web", NULL);
	person_await(p, "Apply?");
	editor_does("s/\"vcpus\": 2/\"vcpus\": 3/"); /* which finds what was typed before */
	person_type(p, "e\n");
	person_await(p, "Apply?");
	person_type(p, "y\n");
	ck_assert_int_eq(person_leave(p), 0);
	ck_assert_int_eq(vcpus(), 3);
}
END_TEST

/* No JSON, then JSON that is refused, then one that is taken. */
START_TEST(test_mended)
{
	_cleanup_person_ struct person *p = NULL;

	editor_does("2s/,$/;/");
	p = person_come(stage.r, "drover", "edit", "web", NULL);
	person_await(p, "line 2, column ");
	person_await(p, "Edit again?");
	editor_does("2s/;$/,/;s/\"layout\"/\"vcpus\": \"many\", \"layout\"/");
	person_type(p, "\n");
	person_await(p, "vcpus");
	person_await(p, "(InvalidParameter)");
	person_await(p, "Edit again?");
	editor_does("s/\"many\"/2/");
	person_type(p, "y\n");
	person_await(p, "Apply?");
	person_type(p, "y\n");
	ck_assert_int_eq(person_leave(p), 0);
	ck_assert_int_eq(vcpus(), 2);
}
END_TEST

START_TEST(test_given_up)
{
	_cleanup_person_ struct person *p = NULL;
	_cleanup_free_ char *left = NULL;

	editor_does("s/\"web\"/\"other\"/");
	p = person_come(stage.r, "drover", "edit", "web", NULL);
	person_await(p, "(InvalidParameter)");
	person_await(p, "Edit again?");
	person_type(p, "n\n");
	person_await(p, "the text is kept in");
	ck_assert_int_eq(person_leave(p), 2);
	left = kept();
	ck_assert_ptr_nonnull(strstr(left, "\"other\""));
}
END_TEST

START_TEST(test_nothing_typed)
{
	_cleanup_person_ struct person *p = NULL;

	editor_does("s/a/a/");
	p = person_come(stage.r, "drover", "edit", "web", NULL);
	person_await(p, "web: unchanged");
	ck_assert_int_eq(person_leave(p), 0);
}
END_TEST

START_TEST(test_script)
{
	_cleanup_free_ char *err = NULL, *out = NULL;

	editor_does(TWO_CPUS);
	ck_assert_int_eq(person_script(stage.r, NULL, NULL, &err, "drover", "edit", "web", NULL), 2);
	ck_assert_ptr_nonnull(strstr(err, "--yes"));
	ck_assert_int_eq(vcpus(), 1);
	ck_assert_int_eq(person_script(stage.r, NULL, &out, NULL, "drover", "edit", "web", "--yes", "--json", NULL), 0);
	ck_assert_msg(*out == '{', "%s", out); /* the plan is not in it */
	ck_assert_int_eq(vcpus(), 2);
}
END_TEST

/* An editor that failed, or took the text away: nobody typed anything, so nothing is kept, nor said to be. */
START_TEST(test_nothing_to_keep)
{
	static const char *const editors[] = { "exit 1\n", "rm \"$1\"\n" };

	for (size_t i = 0; i < ARRAY_SIZE(editors); i++) {
		_cleanup_person_ struct person *p = NULL;
		_cleanup_free_ char *left = NULL;

		stage_write("editor", editors[i]);
		p = person_come(stage.r, "drover", "edit", "web", NULL);
		person_await(p, "Edit again?");
		person_type(p, "n\n");
		person_await(p, "Nothing was changed.\n");
		ck_assert_int_ne(person_leave(p), 0);
		left = kept();
		ck_assert_str_eq(left, "");
		ck_assert_ptr_null(strstr(person_saw(p), "kept in"));
	}
}
END_TEST

/* An instance's text may be private: kernel arguments, cloud-init. */
START_TEST(test_text_is_private)
{
	_cleanup_person_ struct person *p = NULL;

	stage_write("editor", "stat -c '%a' \"$1\" \"$(dirname \"$1\")\"\n");
	p = person_come(stage.r, "drover", "edit", "web", NULL);
	person_await(p, "600\n700\n");
	ck_assert_int_eq(person_leave(p), 0);
}
END_TEST

/* ^C at a question is the end; what was typed is kept, and where is said. */
START_TEST(test_interrupted)
{
	_cleanup_person_ struct person *p = NULL;
	_cleanup_free_ char *left = NULL;

	editor_does(TWO_CPUS);
	p = person_come(stage.r, "drover", "edit", "web", NULL);
	person_await(p, "Apply?");
	person_type(p, "\3");
	person_await(p, "the text is kept in");
	ck_assert_int_eq(person_leave(p), 128 + 2);
	ck_assert_int_eq(vcpus(), 1);
	left = kept();
	ck_assert_ptr_nonnull(strstr(left, "\"vcpus\": 2"));
}
END_TEST

START_TEST(test_without_a_name)
{
	_cleanup_person_ struct person *p = NULL;

	editor_does("/\"name\": \"web\"/d");
	p = person_come(stage.r, "drover", "edit", "web", NULL);
	person_await(p, "(InvalidParameter)");
	person_await(p, "hint: put \"name\": \"web\" back");
	person_await(p, "Edit again?");
	person_type(p, "n\n");
	ck_assert_int_eq(person_leave(p), 2);
}
END_TEST

static void define(const char *input, const char *word, const char *option, const char *value, char **out, char **err)
{
	ck_assert_int_eq(person_script(stage.r, input, out, err, "drover", "define", word, option, value, NULL), 0);
}

/* What helps in a shell is no help in a file. */
START_TEST(test_define_needs_text)
{
	static const char file[] = "{\"name\": \"new\", \"hvparams\": {\"kernel_args\": 5}}";
	_cleanup_free_ char *of_file = NULL, *of_shell = NULL;

	ck_assert_int_eq(person_script(stage.r, file, NULL, &of_file, "drover", "define", "-", NULL), 2);
	ck_assert_msg(strstr(of_file, "hint: it is JSON, where text stands in double quotes"), "%s", of_file);
	ck_assert_int_eq(person_script(stage.r, NULL, NULL, &of_shell, "drover", "define", "new", "--append", "5",
				       "--set", "initrd_path=5", NULL),
			 2);
	ck_assert_msg(strstr(of_shell, "KEY='\"VALUE\"'"), "%s", of_shell);
}
END_TEST

/* A definition in place of another one is whole: what was in that and is not in this waits to go. */
START_TEST(test_define_replaces)
{
	static const char changes[] = "hint: 'drover modify web KEY=VALUE' changes single members";
	struct {
		char *out, *err;
	} said[4];

	define(NULL, "web", "--memory", "64M", &said[0].out, &said[0].err);
	ck_assert_msg(str_starts(said[0].out, "web: replaced, ") &&
			      strstr(said[0].out, "; pending until the next start: "),
		      "%s", said[0].out);
	ck_assert_ptr_nonnull(strstr(said[0].out, "memory"));
	ck_assert_msg(strstr(said[0].err, changes), "%s", said[0].err);
	define(NULL, "web", "--memory", "64M", &said[1].out, &said[1].err);
	ck_assert_msg(str_starts(said[1].out, "web: unchanged, "), "%s", said[1].out);
	/* who writes a file means all of it */
	define("{\"name\": \"web\", \"memory\": \"96M\"}", "-", NULL, NULL, &said[2].out, &said[2].err);
	ck_assert_msg(str_starts(said[2].out, "web: replaced, "), "%s", said[2].out);
	define(NULL, "new", NULL, NULL, &said[3].out, &said[3].err);
	ck_assert_msg(str_starts(said[3].out, "new: defined, ") && !strchr(said[3].out, ';'), "%s", said[3].out);
	for (size_t i = 0; i < ARRAY_SIZE(said); i++) {
		ck_assert(i == 0 || !strstr(said[i].err, "drover modify"));
		free(said[i].out);
		free(said[i].err);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("drover edit");
	TCase *tc = tcase_create("edit");

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, test_plan_then_change);
	tcase_add_test(tc, test_no);
	tcase_add_test(tc, test_edit_again);
	tcase_add_test(tc, test_mended);
	tcase_add_test(tc, test_given_up);
	tcase_add_test(tc, test_nothing_typed);
	tcase_add_test(tc, test_nothing_to_keep);
	tcase_add_test(tc, test_script);
	tcase_add_test(tc, test_text_is_private);
	tcase_add_test(tc, test_interrupted);
	tcase_add_test(tc, test_without_a_name);
	tcase_add_test(tc, test_define_needs_text);
	tcase_add_test(tc, test_define_replaces);
	suite_add_tcase(s, tc);
	return s;
}

RIG_MAIN(suite)
