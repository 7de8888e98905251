/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/argv.h"
#include "runtime/confine.h"

#include <check.h>
#include <json-c/json.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

static char *line_of(const struct confine *c)
{
	char *const command[] = { (char *)(uintptr_t) "/bin/qemu", (char *)(uintptr_t) "-S", NULL };
	char **argv = confine_argv(c, "/x/drover-launch", command), *line = xstrdup("");

	for (char **p = argv; *p; p++) {
		char *longer = xasprintf("%s%s%s", line, p == argv ? "" : " ", *p);

		free(line);
		line = longer;
	}
	argv_free(argv);
	return line;
}

START_TEST(test_argv_of_nothing)
{
	const struct confine c = { 0 };
	_cleanup_free_ char *line = line_of(&c);

	ck_assert_str_eq(line, "/x/drover-launch -- /bin/qemu -S");
}
END_TEST

START_TEST(test_argv_of_everything)
{
	const char *const binds[] = { "/opt/a", "/etc/hosts", NULL };
	const struct confine c = { .drop = true,
				   .uid = 2130000,
				   .gid = 4294967294,
				   .groups = { 7, 0 },
				   .n_groups = 2,
				   .nofile = 5000,
				   .limit_memlock = true,
				   .memlock = RLIM_INFINITY,
				   .limit_core = true,
				   .cpus = "0-3,8",
				   .cgroup = "/sys/fs/cgroup/x",
				   .private_root = true,
				   .q_path = "/run/q",
				   .kvm = true,
				   .binds = binds,
				   .once = true,
				   .die_with_parent = true };
	_cleanup_free_ char *line = line_of(&c);

	ck_assert_str_eq(line,
			 "/x/drover-launch --once --die-with-parent --uid 2130000 --gid 4294967294 --group 7 --group 0 "
			 "--nofile 5000 --memlock unlimited --core 0 --cpus 0-3,8 --cgroup /sys/fs/cgroup/x "
			 "--private-root --kvm --q /run/q --bind /opt/a --bind /etc/hosts -- /bin/qemu -S");
}
END_TEST

/* What is there, but not wanted, is not told: the launcher would refuse it. */
START_TEST(test_argv_of_what_is_off)
{
	const char *const binds[] = { "/opt/a", NULL };
	const struct confine c = { .uid = 1,
				   .gid = 1,
				   .n_groups = 1,
				   .memlock = 1,
				   .core = 1,
				   .q_path = "/run/q",
				   .kvm = true,
				   .binds = binds };
	_cleanup_free_ char *line = line_of(&c);

	ck_assert_str_eq(line, "/x/drover-launch -- /bin/qemu -S");
}
END_TEST

START_TEST(test_users)
{
	uid_t uid = 1;
	gid_t gid = 1;

	ck_assert(confine_user("root", &uid, &gid, NULL));
	ck_assert_uint_eq(uid + gid, 0);
	ck_assert(confine_user("2139998", &uid, &gid, NULL));
	ck_assert_uint_eq(uid, 2139998);
	ck_assert_uint_eq(gid, 2139998);
	ck_assert(confine_user("4294967294", &uid, &gid, NULL));
	ck_assert_uint_eq(uid, 4294967294);
}
END_TEST

/* A number that has an account has its group too. */
START_TEST(test_number_of_an_account)
{
	const struct passwd *pw;
	_cleanup_free_ char *number = NULL;
	gid_t gid;
	uid_t uid;

	setpwent();
	while ((pw = getpwent()) && pw->pw_gid == pw->pw_uid)
		;
	if (!pw) {
		endpwent();
		return;
	}
	number = xasprintf("%u", pw->pw_uid);
	gid = pw->pw_gid;
	endpwent();
	uid = 0;
	ck_assert(confine_user(number, &uid, &gid, NULL));
	ck_assert_uint_ne(uid, gid);
}
END_TEST

static const struct {
	const char *domain;
	enum err_class class;
} unknown[] = {
	{ "no-such-user", ERR_NOT_FOUND },       { "-1", ERR_NOT_FOUND },
	{ "", ERR_INVALID_PARAMETER },           { "4294967295", ERR_INVALID_PARAMETER },
	{ "4294967296", ERR_INVALID_PARAMETER }, { "99999999999999999999999", ERR_INVALID_PARAMETER },
};

START_TEST(test_no_users)
{
	struct err *e = NULL;
	uid_t uid = 5;
	gid_t gid = 5;

	ck_assert(!confine_user(unknown[_i].domain, &uid, &gid, &e));
	ck_assert_int_eq(e->class, unknown[_i].class);
	ck_assert_str_eq(json_object_get_string(json_object_object_get(e->extra, "parameter")),
			 "hvparams.security_domain");
	ck_assert_uint_eq(uid + gid, 10);
	err_free(e);
	ck_assert(!confine_user(unknown[_i].domain, &uid, &gid, NULL));
}
END_TEST

START_TEST(test_tags)
{
	ck_assert_uint_eq(confine_tag(NULL), 0);
	ck_assert_uint_ne(confine_tag("/tmp/a"), confine_tag("/tmp/b"));
	ck_assert_uint_eq(confine_tag("a"), 0xe40c292c); /* as published for this hash */
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("confine");
	TCase *tc = tcase_create("confine");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_test(tc, test_argv_of_nothing);
	tcase_add_test(tc, test_argv_of_everything);
	tcase_add_test(tc, test_argv_of_what_is_off);
	tcase_add_test(tc, test_users);
	tcase_add_test(tc, test_number_of_an_account);
	tcase_add_loop_test(tc, test_no_users, 0, ARRAY_SIZE(unknown));
	tcase_add_test(tc, test_tags);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
