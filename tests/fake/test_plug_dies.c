/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * droverd dies at a step of a change of devices, and QEMU dies before there is another droverd: the definition is the one
 * before or the one after, as the job says, and the machine starts with that.
 */
#include "stage.h"

#include "base/cleanup.h"

#include <signal.h>
#include <string.h>

#define DISK "11111111-22a7-4067-a566-7e0ca8386133"
#define OTHER "33333333-22a7-4067-a566-7e0ca8386133"
#define NIC "22222222-66a8-4e6d-8b7e-ec4f69751396"
#define BEFORE " " DISK

enum { STEPS_MAX = 40 };

static const struct {
	const char *command, *args, *after; /* after: uuids in the definition */
} changes[] = {
	{ "disk-attach", "'disk': {'uuid': '" OTHER "', 'path': 'ROOT/two', 'type': 'scsi-hd'}", " " DISK " " OTHER },
	{ "disk-detach", "'disk': 'one'", "" },
	{ "devices-change",
	  "'attach': {'disks': [{'uuid': '" OTHER "', 'name': 'one', 'path': 'ROOT/two'}], 'nics': [{'uuid': '" NIC
	  "', 'mac': '52:54:00:3a:91:03', 'mode': 'user'}]}, 'detach': ['one']",
	  " " OTHER " " NIC },
};

static void set(size_t i, int step)
{
	_cleanup_free_ char *fake = rig_shared("fake-qemu"), *kernel = rig_shared("kernel");

	stage_set("%s/%d/before/kill", changes[i].command, step);
	stage_write("one", "an image");
	stage_write("two", "an image");
	client_define(stage.c, "web",
		      "'disks': [{'uuid': '" DISK "', 'name': 'one', 'path': '%s/one'}], 'hvparams': "
		      "{'accel': 'tcg', 'kvm_path': '%s', 'kernel_path': '%s'}",
		      stage.r->root, fake, kernel);
	stage_start("web");
}

/* The uuids of the devices in the definition; the caller's. */
static char *devices(void)
{
	static const char *const lists[] = { "definition.disks", "definition.nics" };
	_cleanup_json_ struct json_object *o = stage_show("web");
	char *text = xstrdup("");

	for (size_t l = 0; l < ARRAY_SIZE(lists); l++)
		for (size_t i = 0; has(o, lists[l]) && i < json_object_array_length(at(o, lists[l])); i++) {
			_cleanup_free_ char *old = text;

			text = xasprintf("%s %s", old, str_at(json_object_array_get_idx(at(o, lists[l]), i), "uuid"));
		}
	return text;
}

/* Whether the job says that nothing has been changed. */
static bool was_undone(void)
{
	_cleanup_json_ struct json_object *jobs = client_ok(stage.c, "query-jobs", NULL);

	for (size_t i = 0; i < json_object_array_length(jobs); i++) {
		struct json_object *o = json_object_array_get_idx(jobs, i);

		if (str_eq(str_at(o, "id"), "mine"))
			return has(o, "error.undone") && json_object_get_boolean(at(o, "error.undone"));
	}
	ck_abort_msg("there is no job: %s", json_object_to_json_string(jobs));
}

/* Until droverd has died; false: the change has no such step, and is done. */
static bool dies(void)
{
	for (;;) {
		_cleanup_json_ struct json_object *o = client_read(stage.c);

		if (!o)
			return true;
		if (has(o, "event") && str_eq(str_at(o, "event"), "JOB_STATUS_CHANGE") &&
		    str_eq(str_at(o, "data.status"), "concluded"))
			return false;
	}
}

static void die(size_t i, int step)
{
	_cleanup_free_ char *args = NULL, *is = NULL, *later = NULL;
	pid_t qemu;

	set(i, step);
	qemu = stage_holder("web");
	args = stage_text(changes[i].args);
	client_send(stage.c, changes[i].command, "{'instance': 'web', 'job-id': 'mine', %s}", args);
	if (!dies())
		return;
	client_free(TAKE_PTR(stage.c));
	rig_wait(stage.r);
	kill(qemu, SIGKILL);
	process_await_end(qemu);
	free(stage.r->fault);
	stage.r->fault = NULL;
	stage_restart();
	stage_settle();
	is = devices();
	ck_assert_msg(str_eq(is, was_undone() ? BEFORE : changes[i].after), "step %d: the definition has%s", step, is);
	ck_assert_int_eq(stage_pid("web"), 0);
	stage_start("web");
	stage_settle();
	later = devices();
	ck_assert_str_eq(later, is);
	json_object_put(client_ok(stage.c, "instance-stop", "{'instance': 'web'}"));
}

START_TEST(both_die)
{
	die((size_t)_i / STEPS_MAX, _i % STEPS_MAX);
}
END_TEST

/* A change of two hundred disks has more than a thousand steps. The marker of a small one says that it stood at one of
 * those, which is taken for its last, as that of another build of droverd may be. */
START_TEST(far_behind_the_beginning)
{
	static const char file[] = "run/operations/instance-web.json";
	_cleanup_free_ char *args = NULL, *text = NULL, *is = NULL;
	_cleanup_json_ struct json_object *marker = NULL;

	set(0, 5);
	args = stage_text(changes[0].args);
	client_send(stage.c, changes[0].command, "{'instance': 'web', 'job-id': 'mine', %s}", args);
	ck_assert(dies());
	client_free(TAKE_PTR(stage.c));
	rig_wait(stage.r);
	free(TAKE_PTR(stage.r->fault));
	text = rig_file(stage.r, "%s", file);
	marker = json_tokener_parse(text);
	json_add_int(marker, "step", 1400);
	stage_write(file, json_object_to_json_string(marker));
	stage_restart();
	stage_settle();
	ck_assert(was_undone());
	is = devices();
	ck_assert_str_eq(is, BEFORE);
	json_object_put(client_ok(stage.c, "instance-stop", "{'instance': 'web'}"));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("plug dies");
	TCase *t = tcase_create("both");

	tcase_add_checked_fixture(t, NULL, stage_clear);
	tcase_add_loop_test(t, both_die, 0, (int)ARRAY_SIZE(changes) * STEPS_MAX);
	tcase_add_test(t, far_behind_the_beginning);
	suite_add_tcase(s, t);
	return s;
}

RIG_MAIN_IN_MEMORY(suite)
