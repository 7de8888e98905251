/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the soak has found, each as a case that always happens.
 */
#include "base/cleanup.h"
#include "stage.h"

#include <string.h>

#define WEB "{'instance': 'web'}"

/* A droverd that is killed while it writes a file leaves half of another one beside it. */
START_TEST(temporaries_are_swept)
{
	static const char *const files[] = {
		"lib/instances/web/.definition.json.new", "lib/instances/web/.state.json.new",
		"lib/instances/idle/.renamed.json.new",   "lib/capabilities/.1-2-3.json.new",
		"run/instances/web/.runtime.json.new",    "run/instances/web/.observed.json.new",
		"run/operations/.instance-web.json.new",  "run/.autostarted.new",
	};

	stage_set("%s", "");
	stage_define("web", "%s", "");
	stage_define("idle", "%s", "");
	stage_start("web");
	json_object_put(client_ok(stage.c, "instance-pause", WEB)); /* there is a state.json of a run before */
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	stage_start("web");
	stage_mark();
	stage_kill();
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		stage_write(files[i], "{\"half\": ");
	stage_restart();
	stage_settle();
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_free_ char *text = rig_file(stage.r, "%s", files[i]);

		ck_assert_msg(!text, "'%s' is still there", files[i]);
	}
	stage_check_unchanged();
}
END_TEST

/* Nothing of a start needs the second monitor, and all that follows does. */
START_TEST(second_monitor_hangs_up)
{
	_cleanup_json_ struct json_object *status = NULL;

	stage_set("%s", "");
	stage_define("web", "fake.hangup=qmp_capabilities#2");
	stage_start("web");
	status = client_ok(stage.c, "instance-qmp", "{'instance': 'web', 'execute': 'query-status'}");
	ck_assert_str_eq(str_at(status, "status"), "running");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("soak findings");
	TCase *t = tcase_create("findings");

	tcase_add_checked_fixture(t, NULL, stage_clear);
	tcase_add_test(t, temporaries_are_swept);
	tcase_add_test(t, second_monitor_hangs_up);
	suite_add_tcase(s, t);
	return s;
}

RIG_MAIN(suite)
