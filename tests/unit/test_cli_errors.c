/* SPDX-License-Identifier: BSD-2-Clause */
/* What a person reads of an error of each class, whole: the words, the class, the step, what QEMU said, what to do next. */
#include "cli/verbs.h"

#include <assert.h>
#include <check.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct row {
	const char *verb, *error, *text;
} rows[] = {
	[ERR_GENERIC] = { "start", "{\"class\": \"GenericError\", \"desc\": \"no JSON\"}",
			  "drover: w: no JSON (GenericError)\n" },
	[ERR_COMMAND_NOT_FOUND] = { "call", "{\"class\": \"CommandNotFound\", \"desc\": \"no command 'x'\"}",
				    "drover: w: no command 'x' (CommandNotFound)\n"
				    "hint: 'drover call query-commands' lists the commands\n" },
	[ERR_INVALID_PARAMETER] = { "define",
				    "{\"class\": \"InvalidParameter\", \"desc\": \"'memory': too small\", "
				    "\"parameter\": \"memory\"}",
				    "drover: w: 'memory': too small (InvalidParameter)\n"
				    "hint: 'drover help definition', 'help hvparams', 'help disk' and 'help nic' "
				    "describe every "
				    "member\n" },
	[ERR_NOT_FOUND] = { "start", "{\"class\": \"NotFound\", \"desc\": \"no instance 'w'\"}",
			    "drover: w: no instance 'w' (NotFound)\nhint: 'drover list' shows what there is\n" },
	[ERR_EXISTS] = { "rename", "{\"class\": \"Exists\", \"desc\": \"there is one\"}",
			 "drover: w: there is one (Exists)\nhint: 'drover list' shows the names that are taken\n" },
	[ERR_WRONG_STATE] = { "pause", "{\"class\": \"WrongState\", \"desc\": \"'w' has no process\"}",
			      "drover: w: 'w' has no process (WrongState)\n"
			      "hint: 'drover start w' starts it\n" },
	[ERR_BUSY] = { "start", "{\"class\": \"Busy\", \"desc\": \"too many wait\"}",
		       "drover: w: too many wait (Busy)\n"
		       "hint: 'drover jobs' shows what is under way; try again when it has ended\n" },
	[ERR_NO_SLOT] = { "nic attach", "{\"class\": \"NoSlot\", \"desc\": \"no free slot on pci.0\"}",
			  "drover: w: no free slot on pci.0 (NoSlot)\n"
			  "hint: 'drover show w --slots' shows who sits where\n" },
	[ERR_NO_SPACE] = { "define",
			   "{\"class\": \"NoSpace\", \"desc\": \"No space left\", \"step\": \"write\", \"undone\": "
			   "true, "
			   "\"trace\": \"#1\"}",
			   "drover: w: No space left (NoSpace)\n  step: write, undone; operation #1\n"
			   "hint: make room and try again; 'df' shows what is full\n" },
	[ERR_PERMISSION_DENIED] = { "disk attach",
				    "{\"class\": \"PermissionDenied\", \"desc\": \"Read-only file system\", \"step\": "
				    "\"open the images\", \"undone\": true}",
				    "drover: w: Read-only file system (PermissionDenied)\n"
				    "  step: open the images, undone\n"
				    "hint: owner and mode of what is named have to let droverd, or its guests, in\n" },
	[ERR_UNSUPPORTED] = { "define", "{\"class\": \"Unsupported\", \"desc\": \"no PC\"}",
			      "drover: w: no PC (Unsupported)\n"
			      "hint: 'drover host' shows what works here, and what the QEMUs can do\n" },
	[ERR_TIMEOUT] = { "shutdown",
			  "{\"class\": \"Timeout\", \"desc\": \"it may still do so\", \"step\": \"wait for the "
			  "guest\", "
			  "\"undone\": false}",
			  "drover: w: it may still do so (Timeout)\n  step: wait for the guest, not undone\n"
			  "hint: the guest did not obey: --then stop ends it hard, as does 'drover stop w'\n" },
	[ERR_CANCELLED] = { "shutdown", "{\"class\": \"Cancelled\", \"desc\": \"cancelled\"}",
			    "drover: w: cancelled (Cancelled)\n" },
	[ERR_GUEST_REFUSED] = { "disk detach", "{\"class\": \"GuestRefused\", \"desc\": \"the guest keeps it\"}",
				"drover: w: the guest keeps it (GuestRefused)\n"
				"hint: nothing was changed; let the guest stop using it, then detach it again\n" },
	[ERR_GUEST_GONE] = { "nic attach",
			     "{\"class\": \"GuestGone\", \"desc\": \"QEMU has ended\", \"log\": \"one\\ntwo\\n\"}",
			     "drover: w: QEMU has ended (GuestGone)\n  the last words of QEMU:\n    one\n    two\n"
			     "hint: 'drover log w' shows what QEMU said\n" },
	[ERR_QEMU] = { "start",
		       "{\"class\": \"QemuError\", \"desc\": \"QEMU refused\", \"step\": \"cont\", \"undone\": true, "
		       "\"trace\": \"#7\"}",
		       "drover: w: QEMU refused (QemuError)\n  step: cont, undone; operation #7\n"
		       "hint: 'drover trace w' shows what it was asked\n" },
	[ERR_STORAGE] = { "disk attach", "{\"class\": \"StorageError\", \"desc\": \"it is in use\"}",
			  "drover: w: it is in use (StorageError)\nhint: somebody has it open, 'fuser PATH' shows "
			  "who; shareable=true is for a disk that several guests write\n" },
	[ERR_NETWORK] = { "nic attach", "{\"class\": \"NetworkError\", \"desc\": \"there is no bridge 'br7'\"}",
			  "drover: w: there is no bridge 'br7' (NetworkError)\n"
			  "hint: 'drover show w' shows the cards, 'ip link' what the host has\n" },
	[ERR_GAP] = { "events", "{\"class\": \"Gap\", \"desc\": \"events were lost\"}",
		      "drover: w: events were lost (Gap)\nhint: without --since it starts from now\n" },
	[ERR_UNAVAILABLE] = { "list", "{\"class\": \"Unavailable\", \"desc\": \"no daemon answers\"}",
			      "drover: w: no daemon answers (Unavailable)\nhint: start it with 'systemctl start "
			      "droverd', "
			      "or 'droverd' for your own; --socket PATH names another\n" },
};
static_assert(ARRAY_SIZE(rows) == ERR_CLASS_COUNT, "a row for each class");

/* What cli_fail() writes to stderr. */
static void say(const struct row *row, bool json, char *text, size_t size)
{
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_err_ struct err *e = NULL;
	_cleanup_close_ int file = memfd_create("stderr", MFD_CLOEXEC), saved = dup(STDERR_FILENO);
	struct cli cli;
	ssize_t n;
	int status;

	cli_init(&cli);
	cli.json = json;
	cli.args.verb = verb_find(cli_verbs, row->verb);
	ck_assert_ptr_nonnull(cli.args.verb);
	ck_assert(json_parse(row->error, strlen(row->error), &json_limits_request, &o, NULL));
	e = err_from_json(o);
	ck_assert_int_eq(e->class, row - rows);
	fflush(stderr);
	dup2(file, STDERR_FILENO);
	status = cli_fail(&cli, "w", e);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	ck_assert_int_eq(status, err_class_info(e->class)->exit);
	n = pread(file, text, size - 1, 0);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	cli_clear(&cli);
}

START_TEST(test_words)
{
	char text[4096];

	say(&rows[_i], false, text, sizeof(text));
	ck_assert_str_eq(text, rows[_i].text);
}
END_TEST

START_TEST(test_json)
{
	_cleanup_json_ struct json_object *o = NULL;
	char text[4096];

	say(&rows[_i], true, text, sizeof(text));
	ck_assert(json_parse(text, strlen(text), &json_limits_request, &o, NULL));
	ck_assert_str_eq(json_get_str(o, "subject"), "w");
	ck_assert_str_eq(json_get_str(o, "class"), err_class_info((enum err_class)_i)->name);
}
END_TEST

/* What VERB with WORDS (of argv, up to NULL) writes to stderr, if it fails before it asks a daemon. */
static int run(const char *const *argv, int argc, char *text, size_t size)
{
	_cleanup_close_ int file = memfd_create("stderr", MFD_CLOEXEC), saved = dup(STDERR_FILENO);
	struct cli cli;
	ssize_t n;
	int status;

	cli_init(&cli);
	ck_assert(args_parse(cli_verbs, argc, (char **)(uintptr_t)argv, &cli.args, NULL));
	fflush(stderr);
	dup2(file, STDERR_FILENO);
	status = cli.args.verb->run(&cli);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	n = pread(file, text, size - 1, 0);
	ck_assert_int_ge(n, 0);
	text[n] = '\0';
	cli_clear(&cli);
	return status;
}

/* A definition in a file is whole: no option is dropped that describes one. */
START_TEST(test_define_file_alone)
{
	unsigned n = 0;

	for (const struct cli_option *o = verb_find(cli_verbs, "define")->options; o->name; o++) {
		_cleanup_free_ char *option = xasprintf("--%s", o->name), *named = xasprintf("'%s' goes with", option);
		const char *argv[] = { "drover", "--socket", "/nowhere", "define", "/dev/null", option, "1" };
		char text[4096];

		if (str_eq(o->name, "file"))
			continue;
		n++;
		ck_assert_int_eq(run(argv, ARRAY_SIZE(argv), text, sizeof(text)),
				 err_class_info(ERR_INVALID_PARAMETER)->exit);
		ck_assert_msg(strstr(text, named), "%s: %s", option, text);
	}
	ck_assert_uint_ge(n, 8);
}
END_TEST

/* A value that goes without its key, where there is one key that it can only be. */
START_TEST(test_forgotten_key)
{
	static const struct {
		const char *argv[6], *meant;
	} words[] = {
		{ { "drover", "define", "x", "--nic", "user" }, "--nic mode=user" },
		{ { "drover", "define", "x", "--disk", "a.qcow2" }, "--disk path=a.qcow2" },
		{ { "drover", "disk", "attach", "w", "/a.qcow2" }, "path=/a.qcow2" },
		{ { "drover", "nic", "attach", "w", "user" }, "mode=user" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		_cleanup_free_ char *hint = xasprintf("\nhint: did you mean '%s'?\n", words[i].meant);
		char text[1024] = "";

		ck_assert_int_eq(run(words[i].argv, 5, text, sizeof(text)), 2);
		ck_assert_msg(strstr(text, hint), "%s", text);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cli_errors");
	TCase *tc = tcase_create("errors");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tc, test_words, 0, ERR_CLASS_COUNT);
	tcase_add_loop_test(tc, test_json, 0, ERR_CLASS_COUNT);
	tcase_add_test(tc, test_define_file_alone);
	tcase_add_test(tc, test_forgotten_key);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
