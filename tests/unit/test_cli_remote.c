/* SPDX-License-Identifier: BSD-2-Clause */
/* What becomes of the text behind --host. */
#include "cli/remote.h"

#include "base/json.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *uri, *argv; /* NULL: refused */
} rows[] = {
	{ "ssh://web1.example.org", "ssh -- web1.example.org drover proxy" },
	{ "ssh://root@web1", "ssh -l root -- web1 drover proxy" },
	{ "ssh://root@10.0.0.1:2222", "ssh -p 2222 -l root -- 10.0.0.1 drover proxy" },
	{ "ssh://a@b@web1", "ssh -l a@b -- web1 drover proxy" },
	{ "ssh://[fe80::1%eth0]:22", "ssh -p 22 -- fe80::1%eth0 drover proxy" },
	{ "ssh://", NULL },
	{ "ssh://-oProxyCommand=reboot", NULL },
	{ "ssh://-oProxyCommand", NULL },
	{ "ssh://-G@web1", NULL },
	{ "ssh://@web1", NULL },
	{ "ssh://web1;reboot", NULL },
	{ "ssh://web1 reboot", NULL },
	{ "ssh://$(reboot)@web1", NULL },
	{ "ssh://web1/", NULL },
	{ "ssh://web1:", NULL },
	{ "ssh://web1:-1", NULL },
	{ "ssh://web1:222222", NULL },
	{ "ssh://[::1", NULL },
	{ "ssh://[::1]x", NULL },
	{ "ssh://[-x]", NULL },
	{ "ssh://web1\n", NULL },
	{ "web1", NULL },
	{ "tcp://web1", NULL },
	{ "", NULL },
};

START_TEST(test_argv)
{
	_cleanup_err_ struct err *e = NULL;
	char **argv = remote_argv(rows[_i].uri, &e), text[256] = "";

	for (char **p = argv; p && *p; p++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", *text ? " " : "", *p);
	if (rows[_i].argv) {
		ck_assert_str_eq(text, rows[_i].argv);
	} else {
		ck_assert_msg(!argv, "%s", text);
		ck_assert_int_eq(e->class, ERR_INVALID_PARAMETER);
		ck_assert_ptr_nonnull(strstr(json_get_str(e->extra, "hint"), "ssh://[user@]host[:port]"));
	}
	argv_free(argv);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cli, other hosts");
	TCase *t = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(t, test_argv, 0, ARRAY_SIZE(rows));
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
