/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * instance-qmp, -reboot, -rename, -modify where QEMU, another command or the end of droverd comes between.
 */
#include "stage.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WEB "{'instance': 'web'}"
#define UUID "5f1c2f0e-8a55-4a6e-9f53-0c2b6a1d9e10"

static struct json_object *job(const char *id)
{
	_cleanup_json_ struct json_object *jobs = client_ok(stage.c, "query-jobs", NULL);

	for (size_t i = 0; i < json_object_array_length(jobs); i++)
		if (str_eq(str_at(json_object_array_get_idx(jobs, i), "id"), id))
			return json_object_get(json_object_array_get_idx(jobs, i));
	ck_abort_msg("no job '%s': %s", id, json_object_to_json_string(jobs));
}

/* ---- qmp ---- */

/* The answer that does not come in time may still: it is the job's, and holds nobody up. */
START_TEST(qmp_answers_late)
{
	_cleanup_json_ struct json_object *e = NULL, *o = NULL;
	_cleanup_free_ char *hold = NULL;

	stage_set("instance-qmp/run the command/before/expire");
	hold = xasprintf("%s/hold", stage.r->root);
	stage_define("web", "fake.hold=query-version#3:%s", hold);
	stage_start("web");
	e = client_error(stage.c, "Timeout", "instance-qmp", "{'instance': 'web', 'execute': 'query-version'}");
	ck_assert(json_get_bool(e, "stalled", false));
	ck_assert_ptr_nonnull(strstr(str_at(e, "desc"), "may still take effect"));
	json_object_put(client_ok(stage.c, "instance-modify", "{'instance': 'web', 'patch': {'description': 'x'}}"));
	stage_write("hold", "");
	for (;;) {
		o = job(str_at(e, "job-id"));
		if (str_eq(str_at(o, "status"), "concluded"))
			break;
		json_object_put(TAKE_PTR(o));
		usleep(5000);
	}
	ck_assert_str_eq(str_at(o, "result.package"), "fake");
}
END_TEST

/* ---- reboot ---- */

/* The new process cannot be: the guest is down, and that is said. */
START_TEST(reboot_cannot_start)
{
	_cleanup_json_ struct json_object *e = NULL, *o = NULL;

	stage_set("%s", "");
	stage_define("web", "%s", "");
	stage_mark();
	stage_start("web");
	json_object_put(client_ok(stage.c, "instance-modify",
				  "{'instance': 'web', 'patch': {'hvparams': {'kvm_path': '/nonexistent/qemu'}}}"));
	e = client_error(stage.c, "NotFound", "instance-reboot", WEB);
	ck_assert_ptr_nonnull(strstr(str_at(e, "desc"), "'web' is down and was not booted again"));
	stage_settle();
	stage_check_state("web", "shutoff", "failed");
	stage_check_unchanged();
	o = stage_show("web");
	ck_assert(!has(o, "pid") && !has(o, "runtime.cmd"));
}
END_TEST

START_TEST(reboot_is_stopped)
{
	_cleanup_json_ struct json_object *reply = NULL, *o = NULL;
	int id;

	stage_set("%s", "");
	stage_define("web", "fake.powerdown=ignore");
	stage_mark();
	stage_start("web");
	id = client_send(stage.c, "instance-reboot", WEB);
	stage_await_text("run/operations/instance-web.json", "wait for the guest");
	o = client_ok(stage.c, "instance-stop", WEB);
	reply = client_reply(stage.c, id);
	ck_assert_str_eq(str_at(reply, "error.class"), "Cancelled");
	stage_check_state("web", "shutoff", "admin");
	stage_check_unchanged();
}
END_TEST

/* Neither droverd nor QEMU is there any more when the next droverd takes the reboot up. */
START_TEST(reboot_of_what_died)
{
	for (int new = 0; new < 2; new ++) {
		_cleanup_json_ struct json_object *o = NULL;
		pid_t pid;

		stage_set("%s", "");
		stage_define("web", "fake.powerdown=ignore");
		stage_mark();
		stage_start("web");
		if (new)
			json_object_put(
				client_ok(stage.c, "instance-modify", "{'instance': 'web', 'patch': {'vcpus': 2}}"));
		pid = stage_pid("web");
		json_object_put(client_ok(stage.c, "instance-reboot", "{'instance': 'web', 'job-id': 'mine'}"));
		stage_await_text("run/operations/instance-web.json", "wait for the guest");
		stage_kill();
		kill(pid, SIGKILL);
		process_await_end(pid);
		stage_restart();
		stage_settle();
		o = job("mine");
		if (new) {
			ck_assert_str_eq(str_at(o, "result.process"), "new");
			stage_check_state("web", "running", "booted");
		} else {
			ck_assert_str_eq(str_at(o, "error.class"), "GuestGone");
			stage_check_state("web", "shutoff", "admin");
			stage_check_unchanged();
		}
		stage_clear();
	}
}
END_TEST

/* ---- rename ---- */

/* Undefined by force while it is being renamed: whichever was first, what is told is what is there. */
START_TEST(renamed_and_undefined)
{
	stage_set("%s", "");
	for (int i = 0; i < 40; i++) {
		_cleanup_json_ struct json_object *renamed = NULL, *undefined = NULL, *list = NULL;
		int ids[2];

		stage_define("web", "%s", "");
		ids[0] = client_send(stage.c, "instance-rename", "{'instance': 'web', 'name': 'web2'}");
		usleep((useconds_t)(i * 50));
		ids[1] = client_send(stage.c, "instance-undefine", "{'instance': 'web', 'force': true}");
		renamed = client_reply(stage.c, ids[0]);
		undefined = client_reply(stage.c, ids[1]);
		list = client_ok(stage.c, "query-instances", NULL);
		ck_assert_int_eq(json_object_array_length(list), has(renamed, "return"));
		ck_assert_msg(has(renamed, "return") != has(undefined, "return"), "both: %s %s",
			      json_object_to_json_string(renamed), json_object_to_json_string(undefined));
		if (has(renamed, "return"))
			json_object_put(client_ok(stage.c, "instance-undefine", "{'instance': 'web2'}"));
	}
}
END_TEST

/* A name that is on its way to one instance is no other's, at whichever moment that is asked for. */
START_TEST(renamed_and_defined)
{
	_cleanup_json_ struct json_object *list = NULL;

	stage_set("%s", "");
	for (int i = 0; i < 40; i++) {
		_cleanup_json_ struct json_object *renamed = NULL, *defined = NULL, *shown = NULL;
		int ids[2];

		stage_define("web", "%s", "");
		ids[0] = client_send(stage.c, "instance-rename", "{'instance': 'web', 'name': 'web2'}");
		usleep((useconds_t)(i * 20));
		ids[1] = client_send(stage.c, "instance-define",
				     "{'definition': {'name': 'web2', 'uuid': '" UUID "'}}");
		renamed = client_reply(stage.c, ids[0]);
		defined = client_reply(stage.c, ids[1]);
		ck_assert_msg(has(renamed, "return"), "%s", json_object_to_json_string(renamed));
		ck_assert_msg(has(defined, "error") && str_eq(str_at(defined, "error.class"), "Exists"), "%s",
			      json_object_to_json_string(defined));
		shown = stage_show("web2");
		ck_assert_str_ne(str_at(shown, "uuid"), UUID);
		json_object_put(client_ok(stage.c, "instance-undefine", "{'instance': 'web2'}"));
	}
	stage_restart();
	list = client_ok(stage.c, "query-instances", NULL);
	ck_assert_int_eq(json_object_array_length(list), 0);
}
END_TEST

/* What droverd wrote itself may be anything after a crash. */
START_TEST(markers_are_damaged)
{
	static const char *const markers[] = {
		"'command': 'instance-rename', 'arguments': {'instance': 'web', 'name': 'web2'}",
		"'command': 'instance-rename', 'arguments': {'instance': 'web', 'name': 'web2'}, 'resolved': {}",
		"'command': 'instance-rename', 'arguments': {'instance': 'web', 'name': 'web2'}, "
		"'resolved': {'definition': {'name': '../x'}}",
		"'command': 'instance-rename', 'arguments': {'instance': 'web', 'name': '../x'}, "
		"'resolved': {'definition': {'name': '../x'}}",
		"'command': 'instance-modify', 'arguments': {'instance': 'web', 'patch': {}}, 'resolved': {}",
		"'command': 'instance-modify', 'arguments': {'instance': 'web', 'patch': {}}, 'resolved': []",
		"'command': 'instance-reboot', 'arguments': {'instance': 'web'}, 'resolved': {'process': 5}",
		"'command': 'instance-reboot', 'arguments': {'instance': 'web'}",
		"'command': 'instance-qmp', 'arguments': {'instance': 'web', 'execute': 'quit'}",
	};

	stage_set("%s", "");
	stage_define("web", "%s", "");
	stage_mark();
	for (size_t i = 0; i < ARRAY_SIZE(markers); i++) {
		_cleanup_free_ char *text = xasprintf("{'version': 1, %s, 'subject': 'instance-web', 'step': %zu, "
						      "'direction': 'forward', 'committed': false, 'job-id': 'm%zu'}",
						      markers[i], i % 3, i);
		_cleanup_free_ char *bad = xasprintf("%s/run/operations/.bad-instance-web.json", stage.r->root);

		for (char *p = text; *p; p++)
			if (*p == '\'')
				*p = '"';
		stage_kill();
		stage_write("run/operations/instance-web.json", text);
		stage_restart();
		stage_settle();
		unlink(bad);
		stage_check_unchanged();
		stage_check_state("web", "shutoff", "never-started");
	}
}
END_TEST

static Suite *make(void)
{
	Suite *s = suite_create("commands");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, NULL, stage_clear);
	suite_add_tcase(s, tc);
	tcase_add_test(tc, qmp_answers_late);
	tcase_add_test(tc, reboot_cannot_start);
	tcase_add_test(tc, reboot_is_stopped);
	tcase_add_test(tc, reboot_of_what_died);
	tcase_add_test(tc, renamed_and_undefined);
	tcase_add_test(tc, renamed_and_defined);
	tcase_add_test(tc, markers_are_damaged);
	return s;
}

RIG_MAIN(make)
