/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files of older builds, as these wrote them (data/, by age), in the place of those of a machine that runs: today's
 * droverd adopts it, knows how it is, ends what was under way, and it can be stopped and started.
 *
 * What differed: the first have no log of events, no fd sets, no version of QEMU and run as who droverd is; and the
 * numbers of steps in their markers are those of other plans.
 */
#include "base/file.h"
#include "stage.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define WEB "{'instance': 'web'}"

static const char *const ages[] = { "1-first", "2-events-log", "3-confined" };

/* TEXT with WORD replaced by VALUE, throughout; consumes TEXT. */
static char *replaced(char *text, const char *word, const char *value)
{
	char *p;

	while ((p = strstr(text, word))) {
		char *longer = xasprintf("%.*s%s%s", (int)(p - text), text, value, p + strlen(word));

		free(text);
		text = longer;
	}
	return text;
}

/* A file of that age, for the machine that runs. */
static void put(const char *age, const char *what, const char *to, struct json_object *now)
{
	_cleanup_free_ char *path = xasprintf(DATA "/%s.%s.json", age, what), *text = NULL;
	_cleanup_free_ char *fake = rig_shared("fake-qemu"), *kernel = rig_shared("kernel");
	_cleanup_free_ char *process = json_print(at(now, "process"));
	struct err *e = NULL;

	ck_assert_msg(file_read(AT_FDCWD, path, FILE_MAX, &text, NULL, &e), "%s", e ? e->desc : "");
	text = replaced(text, "@FAKE@", fake);
	text = replaced(text, "@KERNEL@", kernel);
	text = replaced(text, "@UUID@", str_at(now, "uuid"));
	text = replaced(text, "@PROCESS@", process);
	stage_write(to, text);
}

static struct json_object *record(void)
{
	_cleanup_free_ char *text = rig_file(stage.r, "run/instances/web/runtime.json");

	ck_assert_ptr_nonnull(text);
	return json_tokener_parse(text);
}

static void await_answer(void)
{
	bool stale = true;

	for (int i = 0; stale; i++) {
		_cleanup_json_ struct json_object *list = client_ok(stage.c, "query-stats", NULL);

		ck_assert_int_lt(i, RIG_DEADLINE_MS);
		stale = json_object_get_boolean(at(list, "0.stale"));
	}
}

static void check_usable(pid_t pid)
{
	_cleanup_json_ struct json_object *o = NULL;

	client_await_state(stage.c, "web", "running", "booted");
	stage_settle();
	await_answer();
	o = stage_show("web");
	ck_assert_int_eq(json_get_int(o, "pid", 0), pid);
	ck_assert_int_eq(stage_holder("web"), pid);
	ck_assert_str_eq(str_at(o, "monitor"), "ok");
	ck_assert_str_eq(str_at(o, "runtime.hvparams.accel"), "tcg");
	ck_assert_int_eq(int_at(o, "memory.actual"), 16 << 20);
	json_object_put(client_ok(stage.c, "instance-pause", WEB));
	json_object_put(client_ok(stage.c, "instance-resume", WEB));
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	stage_check_state("web", "shutoff", "admin");
	stage_check_unchanged();
	stage_start("web");
	json_object_put(client_ok(stage.c, "instance-shutdown", WEB));
	stage_check_unchanged();
}

/* Droverd was exchanged while the machine ran; MARKER: and while it was being started. */
static void exchange(const char *age, const char *marker)
{
	_cleanup_json_ struct json_object *now = NULL, *jobs = NULL;
	pid_t pid;

	stage_set("%s", "");
	stage_define("web", "%s", "ro");
	stage_mark();
	stage_start("web");
	pid = stage_pid("web");
	stage_kill();
	now = record();
	put(age, "definition", "lib/instances/web/definition.json", now);
	put(age, "runtime", "run/instances/web/runtime.json", now);
	put(age, "observed", "run/instances/web/observed.json", now);
	if (marker)
		put(age, marker, "run/operations/instance-web.json", now);
	stage_restart();
	stage_settle();
	jobs = client_ok(stage.c, "query-jobs", NULL);
	ck_assert_int_eq((int)json_object_array_length(jobs), marker != NULL);
	if (marker)
		ck_assert_msg(has(jobs, "0.result"), "%s", json_object_to_json_string(jobs));
	check_usable(pid);
}

START_TEST(runs)
{
	exchange(ages[_i], NULL);
}
END_TEST

/* At the last step, and at that which lets the guest go: whether that was done QEMU knows, whatever its number. */
START_TEST(is_being_started)
{
	exchange(ages[_i], "marker");
}
END_TEST

START_TEST(may_have_been_started)
{
	exchange(ages[_i], "doubt");
}
END_TEST

START_TEST(has_ended)
{
	_cleanup_json_ struct json_object *now = NULL, *o = NULL;

	stage_set("%s", "");
	stage_define("web", "%s", "ro");
	stage_start("web");
	now = record();
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	stage_kill();
	put(ages[_i], "definition", "lib/instances/web/definition.json", now);
	put(ages[_i], "state", "lib/instances/web/state.json", now);
	stage_restart();
	stage_check_state("web", "shutoff", "admin");
	o = stage_show("web");
	ck_assert_str_eq(str_at(o, "last.reason"), "admin");
	ck_assert_int_eq(int_at(o, "last.exit.status"), 0);
	stage_mark();
	stage_start("web");
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	stage_check_unchanged();
}
END_TEST

static Suite *make(void)
{
	static const TTest *const *const tests[] = { &runs, &is_being_started, &may_have_been_started, &has_ended };
	Suite *s = suite_create("old files");
	TCase *tc = tcase_create("old files");

	tcase_add_checked_fixture(tc, NULL, stage_clear);
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		tcase_add_loop_test(tc, *tests[i], 0, (int)ARRAY_SIZE(ages));
	suite_add_tcase(s, tc);
	return s;
}

RIG_MAIN_IN_MEMORY(make)
