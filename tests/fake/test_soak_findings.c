/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the soak has found, each as a case that always happens.
 */
#include "base/cleanup.h"
#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

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

		/* droverd may be writing it just now, but then it is not this one. */
		ck_assert_msg(!str_eq(text, "{\"half\": "), "'%s' is still there", files[i]);
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

/* What is told of a definition is what the next droverd reads, also when the machine's name could not be written. */
START_TEST(a_full_disk_while_it_starts)
{
	_cleanup_json_ struct json_object *reply = NULL, *o = NULL, *stored = NULL;
	_cleanup_free_ char *file = NULL, *filler = NULL;
	static const char zeros[4096];
	int id, fd;

	stage_set("%s", "");
	stage_kill();
	if (mount("tmpfs", stage.r->root, "tmpfs", 0, "size=512k,mode=0711") < 0) {
		printf("SKIP: cannot mount a file system here: %s\n", strerror(errno));
		exit(77);
	}
	stage_restart();
	stage_define("web", "fake.hold=cont:%s/go", stage.r->root);
	id = client_send(stage.c, "instance-start", WEB);
	stage_await_text("run/operations/instance-web.json", "run the guest");
	json_object_put(stage_show("web")); /* by now nothing is being written that would leave room */
	filler = xasprintf("%s/filler", stage.r->root);
	fd = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (write(fd, zeros, sizeof(zeros)) > 0)
		;
	close(fd);
	stage_write("go", "");
	reply = client_reply(stage.c, id);
	ck_assert_str_eq(str_at(reply, "return.state"), "running");
	o = stage_show("web");
	file = rig_file(stage.r, "lib/instances/web/definition.json");
	stored = json_tokener_parse(file);
	ck_assert_msg(json_object_equal(stored, at(o, "definition")), "on the disk is %s", file);
	unlink(filler);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("soak findings");
	TCase *t = tcase_create("findings");

	tcase_add_checked_fixture(t, NULL, stage_clear);
	tcase_add_test(t, temporaries_are_swept);
	tcase_add_test(t, second_monitor_hangs_up);
	tcase_add_test(t, a_full_disk_while_it_starts);
	suite_add_tcase(s, t);
	return s;
}

RIG_MAIN(suite)
