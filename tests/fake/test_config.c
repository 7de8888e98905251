/* SPDX-License-Identifier: BSD-2-Clause */
/* droverd.json: what definitions and QEMUs get of it, and that a droverd does not start with one that is wrong. */
#include "base/err.h"
#include "stage.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOOK_US = 10000, LOOKS = RIG_DEADLINE_MS * 1000 / LOOK_US };

static void begin(const char *config)
{
	_cleanup_free_ char *etc = NULL;

	stage_set("%s", "");
	stage_kill();
	etc = xasprintf("%s/etc", stage.r->root);
	ck_assert_int_eq(mkdir(etc, 0755), 0);
	stage_write("etc/droverd.json", config);
}

START_TEST(a_definition_gets_what_it_does_not_say)
{
	_cleanup_json_ struct json_object *first = NULL, *again = NULL, *other = NULL, *modified = NULL;

	begin("{\"hvparams\": {\"disk_cache\": \"none\", \"machine_version\": \"q35\"}}");
	stage_restart();
	first = client_ok(stage.c, "instance-define", "{'definition': {'name': 'a'}}");
	ck_assert_str_eq(str_at(first, "definition.hvparams.disk_cache"), "none");
	ck_assert_str_eq(str_at(first, "definition.hvparams.machine_version"), "q35");
	again = client_ok(stage.c, "instance-define", "{'definition': {'name': 'a'}}");
	ck_assert(!json_get_bool(again, "changed", true));
	other = client_ok(stage.c, "instance-define",
			  "{'definition': {'name': 'b', 'hvparams': {'disk_cache': 'writeback'}}}");
	ck_assert_str_eq(str_at(other, "definition.hvparams.disk_cache"), "writeback");
	ck_assert_str_eq(str_at(other, "definition.hvparams.machine_version"), "q35");
	/* what is defined stays */
	stage_kill();
	stage_write("etc/droverd.json", "{}");
	stage_restart();
	modified = client_ok(stage.c, "instance-modify", "{'instance': 'a', 'patch': {'vcpus': 2}}");
	json_object_put(modified);
	modified = stage_show("a");
	ck_assert_str_eq(str_at(modified, "definition.hvparams.disk_cache"), "none");
}
END_TEST

START_TEST(a_qemu_gets_a_uid_of_the_range)
{
	_cleanup_free_ char *proc = NULL;
	struct stat st;

	if (geteuid() != 0) /* no others to become */
		return;
	begin("{\"uids\": \"3456789-3456789\"}");
	stage_restart();
	stage_define("web", "%s", "");
	stage_start("web");
	proc = xasprintf("/proc/%d", (int)stage_pid("web"));
	ck_assert_int_eq(stat(proc, &st), 0);
	ck_assert_uint_eq(st.st_uid, 3456789);
	json_object_put(client_ok(stage.c, "instance-stop", "{'instance': 'web'}"));
}
END_TEST

/* The exit status of a droverd that is to end by itself; -1: it serves, and was ended. */
static int exit_of(void)
{
	int status = 0;

	rig_spawn(stage.r);
	for (int i = 0; i < LOOKS; i++) {
		if (waitpid(stage.r->pid, &status, WNOHANG) == stage.r->pid) {
			stage.r->pid = 0;
			return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
		}
		usleep(LOOK_US);
	}
	rig_kill(stage.r);
	return -1;
}

START_TEST(one_that_is_wrong)
{
	static const struct {
		const char *text;
		int exit;
	} rows[] = {
		{ "garbage", 1 },
		{ "{\"uid\": \"1-2\"}", 2 },
		{ "{\"uids\": \"5-4\"}", 2 },
		{ "{\"uids\": \"0-4\"}", 2 },
		{ "{\"uids\": \"7\"}", 2 },
		{ "{\"uids\": \"1-4294967295\"}", 2 },
		{ "{\"uids\": \"1-99999999999999999999\"}", 2 },
		{ "{\"uids\": \" 1-2\"}", 2 },
		{ "{\"vnc_ports\": \"5901-5900\"}", 2 },
		{ "{\"vnc_ports\": \"1023-5900\"}", 2 },
		{ "{\"vnc_ports\": \"5900-65536\"}", 2 },
		{ "{\"vnc_ports\": \"5900\"}", 2 },
		{ "{\"vnc_ports\": 5900}", 2 },
		{ "{\"hvparams\": {\"disk_cach\": \"none\"}}", 2 },
		{ "{\"hvparams\": {\"disk_cache\": \"nine\"}}", 2 },
		{ "{\"hvparams\": []}", 2 },
	};

	begin("");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int status;

		stage_write("etc/droverd.json", rows[i].text);
		status = exit_of();
		ck_assert_msg(status == rows[i].exit, "%s: %d", rows[i].text, status);
	}
	stage_write("etc/droverd.json", "{}");
	stage_restart();
}
END_TEST

static Suite *make(void)
{
	static const TTest *const *const tests[] = { &a_definition_gets_what_it_does_not_say,
						     &a_qemu_gets_a_uid_of_the_range, &one_that_is_wrong };
	Suite *s = suite_create("config");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, NULL, stage_clear);
	suite_add_tcase(s, tc);
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		tcase_add_test(tc, *tests[i]);
	return s;
}

RIG_MAIN(make)
