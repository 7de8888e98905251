/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What droverd does when QEMU's answers are wrong: no JSON, half of one, another's, or between events that mean nothing.
 * Each command is answered, another instance goes on meanwhile, and nothing is left behind.
 */
#include "stage.h"

#include <string.h>

#define WEB "{'instance': 'web'}"
#define DB "{'instance': 'db'}"

/* The reply to cont is late as soon as it is asked for. */
#define LATE "instance-start/run the guest/before/expire"

static void other_lives(void)
{
	json_object_put(client_ok(stage.c, "instance-pause", DB));
	stage_check_state("db", "paused", "admin");
	json_object_put(client_ok(stage.c, "instance-resume", DB));
	stage_check_state("db", "running", "resumed");
}

/* Another instance, which runs, beside the one to come. */
static void begin(const char *words)
{
	stage_set("%s", "");
	stage_define("db", "%s", "ro");
	stage_start("db");
	stage_define("web", "%s", words);
	stage_mark();
}

static void check_error(struct json_object *e, const char *words)
{
	ck_assert_msg(*str_at(e, "desc") && (has(e, "step") || has(e, "log")), "%s: %s", words,
		      json_object_to_json_string(e));
}

/* Until it has started, a start that failed. */
START_TEST(start_fails)
{
	static const struct {
		const char *words, *says;
	} rows[] = {
		{ "fake.garbage=qmp_capabilities", "no QMP" },   { "fake.garbage=query-status#1", "no QMP" },
		{ "fake.half=qmp_capabilities", "ends within" }, { "fake.half=query-status#1", "ends within" },
		{ "fake.line=query-status#1:[]", "no QMP" },     { "fake.line=query-status#1:null", "no QMP" },
		{ "fake.line=query-status#1:42", "no QMP" },     { "fake.line=query-status#1:]", "no QMP" },
	};

	begin("ro");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_json_ struct json_object *e = NULL;

		stage_define("web", "%s", rows[i].words);
		e = client_error(stage.c, "QemuError", "instance-start", WEB);
		ck_assert_msg(strstr(str_at(e, "desc"), rows[i].says), "%s: %s", rows[i].words,
			      json_object_to_json_string(e));
		check_error(e, rows[i].words);
		stage_check_state("web", "shutoff", "failed");
		stage_check_unchanged();
		other_lives();
	}
}
END_TEST

/* The commit's answer is lost with the connection; the next connection tells that it happened. */
START_TEST(commit_is_probed)
{
	static const char *const words[] = { "fake.garbage=stop#1", "fake.half=stop#1", "fake.line=stop#1:[]",
					     "fake.garbage=cont#2", "fake.half=cont#2" };

	begin("ro");
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		stage_define("web", "%s", words[i]);
		stage_start("web");
		json_object_put(client_ok(stage.c, "instance-pause", WEB));
		stage_check_state("web", "paused", "admin");
		json_object_put(client_ok(stage.c, "instance-resume", WEB));
		stage_check_state("web", "running", "resumed");
		other_lives();
		json_object_put(client_ok(stage.c, "instance-stop", WEB));
		stage_check_unchanged();
	}
}
END_TEST

/* An answer with another's id is nobody's: the call is late, and all else goes on. */
START_TEST(wrong_id)
{
	_cleanup_json_ struct json_object *reply = NULL;
	int start;

	stage_set("%s", LATE);
	stage_define("db", "%s", "ro");
	stage_define("web", "fake.wrongid=cont fake.record=%s/asked", stage.r->root);
	start = client_send(stage.c, "instance-start", WEB);
	stage_await_text("asked", "qmp2 query-yank");
	json_object_put(client_reply(stage.c, client_send(stage.c, "instance-start", DB)));
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	reply = client_reply(stage.c, start);
	ck_assert_msg(has(reply, "error"), "%s", json_object_to_json_string(reply));
	stage_check_state("web", "shutoff", "admin");
	client_await_state(stage.c, "db", "running", "booted"); /* its answer may have been late, too */
}
END_TEST

/* Events that have no sense: the state is what query-status says. */
START_TEST(absurd_events)
{
	static const char *const events[] = {
		"SHUTDOWN:[]",
		"SHUTDOWN:{`guest`:`yes`,`reason`:{}}",
		"GUEST_PANICKED:17",
		"BLOCK_IO_ERROR:{`action`:[],`nospace`:{}}",
		"BLOCK_IO_ERROR:null",
		"RESET:{`guest`:null}",
		"STOP:[[[[]]]]",
		"RESUME:`now`",
		"VSERPORT_CHANGE:{`open`:7,`id`:{}}",
		"DEVICE_DELETED:{`path`:false}",
		"SUSPEND",
		"NAME.OF:{}",
	};
	/* Not even events. */
	static const char *const lines[] = {
		"{}",
		"{\\\"event\\\":5}",
		"{\\\"event\\\":\\\"\\\"}",
		"{\\\"event\\\":\\\"STOP\\\",\\\"timestamp\\\":\\\"x\\\"}",
		"{\\\"return\\\":{}}",
		"{\\\"return\\\":[],\\\"id\\\":{}}",
		"{\\\"return\\\":[],\\\"id\\\":99999999999}",
		"{\\\"error\\\":5,\\\"id\\\":-1}",
		"{\\\"QMP\\\":{}}",
	};
	_cleanup_free_ char *words = xstrdup("");

	for (size_t i = 0; i < ARRAY_SIZE(events) + ARRAY_SIZE(lines); i++) {
		_cleanup_free_ char *before = words;
		bool event = i < ARRAY_SIZE(events);

		words = xasprintf("%s fake.%s=query-version:%s", before, event ? "event" : "line",
				  event ? events[i] : lines[i - ARRAY_SIZE(events)]);
	}
	begin(words);
	stage_start("web");
	/* On the second monitor, and the events on both. */
	json_object_put(client_ok(stage.c, "instance-qmp", "{'instance': 'web', 'execute': 'query-version'}"));
	/* One of them said so. */
	client_await_state(stage.c, "web", "running", "reset");
	stage_settle();
	json_object_put(client_ok(stage.c, "instance-pause", WEB));
	stage_check_state("web", "paused", "admin");
	json_object_put(client_ok(stage.c, "instance-resume", WEB));
	other_lives();
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	stage_check_state("web", "shutoff", "admin");
	stage_check_unchanged();
}
END_TEST

static Suite *make(void)
{
	static const TTest *const *const tests[] = { &start_fails, &commit_is_probed, &wrong_id, &absurd_events };
	Suite *s = suite_create("wrong");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, NULL, stage_clear);
	suite_add_tcase(s, tc);
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		tcase_add_test(tc, *tests[i]);
	return s;
}

RIG_MAIN(make)
