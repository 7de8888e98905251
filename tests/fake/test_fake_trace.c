/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The trace of QMP: what the fake was asked and answered is in it, over the lives of droverd and of QEMU, and no secret is.
 */
#include "base/cleanup.h"
#include "stage.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WEB "{'instance': 'web'}"
#define SECRET "hunter2"

static struct json_object *entry(struct json_object *list, size_t i)
{
	return json_object_array_get_idx(list, i);
}

static bool is(struct json_object *o, const char *key, const char *value)
{
	return str_eq(json_get_str(o, key), value);
}

static bool is_error(struct json_object *o)
{
	return json_get_typed(json_get_typed(o, "message", json_type_object), "error", json_type_object) != NULL;
}

/* The next message from I on in DIRECTION, called NAME; fails the test if there is none. */
static size_t find(struct json_object *list, size_t i, const char *direction, const char *name)
{
	for (; i < json_object_array_length(list); i++)
		if (is(entry(list, i), "direction", direction) && is(entry(list, i), "name", name))
			return i;
	ck_abort_msg("no '%s' (%s): %s", name, direction, json_object_to_json_string(list));
}

/* The reply to the request I. */
static struct json_object *reply_to(struct json_object *list, size_t i)
{
	struct json_object *request = entry(list, i);

	while (++i < json_object_array_length(list)) {
		struct json_object *o = entry(list, i);

		if (is(o, "direction", "in") && int_at(o, "monitor") == int_at(request, "monitor") &&
		    json_get_int(o, "id", -1) == int_at(request, "id"))
			return o;
	}
	return NULL;
}

static unsigned count(struct json_object *list, const char *name)
{
	unsigned n = 0;

	for (size_t i = 0; i < json_object_array_length(list); i++)
		n += is(entry(list, i), "name", name);
	return n;
}

static struct json_object *trace(void)
{
	return client_ok(stage.c, "query-trace", WEB);
}

/* What was sent to a monitor, a line each as the fake writes them. */
static char *sent(struct json_object *list, int monitor)
{
	char *text = xstrdup("");

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *o = entry(list, i);
		char *longer;

		if (!is(o, "direction", "out") || int_at(o, "monitor") != monitor)
			continue;
		longer = xasprintf("%s%s %s\n", text, monitor == 1 ? "qmp" : "qmp2", str_at(o, "name"));
		free(text);
		text = longer;
	}
	return text;
}

static char *lines_of(const char *text, const char *begin)
{
	char *lines = xstrdup("");

	while (*text) {
		size_t n = strcspn(text, "\n") + 1;

		if (str_starts(text, begin)) {
			char *longer = xasprintf("%s%.*s", lines, (int)n, text);

			free(lines);
			lines = longer;
		}
		text += n;
	}
	return lines;
}

/* All that the fake has heard, on both monitors, in its order, each with its reply. Behind the end itself is what it has
 * not heard any more. */
static void check_all(struct json_object *list)
{
	_cleanup_free_ char *asked = rig_file(stage.r, "asked");
	_cleanup_free_ char *first = lines_of(asked, "qmp "), *second = lines_of(asked, "qmp2 ");
	_cleanup_free_ char *sent1 = sent(list, 1), *sent2 = sent(list, 2);

	ck_assert_msg(str_starts(sent1, first), "%s, but %s", sent1, first);
	ck_assert_str_eq(sent2, second);
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *o = entry(list, i), *reply;

		if (!is(o, "direction", "out"))
			continue;
		if (is(o, "name", "quit"))
			return;
		reply = reply_to(list, i);
		ck_assert_msg(reply && is(reply, "name", str_at(o, "name")), "%s", json_object_to_json_string(o));
		ck_assert(json_get_double(reply, "latency", -1) >= 0);
		ck_assert(json_get_double(reply, "time", 0) >= json_get_double(o, "time", 0));
		ck_assert_str_eq(has(o, "operation") ? str_at(o, "operation") : "",
				 has(reply, "operation") ? str_at(reply, "operation") : "");
	}
	ck_abort_msg("no end: %s", json_object_to_json_string(list));
}

START_TEST(holds_everything)
{
	_cleanup_json_ struct json_object *list = NULL, *after = NULL, *none = NULL;
	size_t i;

	stage_set("%s", "");
	stage_define("web", "fake.record=%s/asked", stage.r->root);
	none = trace();
	ck_assert_uint_eq(json_object_array_length(none), 0);
	stage_start("web");
	json_object_put(client_ok(stage.c, "instance-pause", WEB));
	json_object_put(client_ok(stage.c, "instance-qmp", "{'instance': 'web', 'execute': 'query-status'}"));
	list = trace();
	ck_assert_uint_eq(count(list, "QMP"), 2);
	i = find(list, 0, "in", "STOP");
	ck_assert(!has(entry(list, i), "id") && !has(entry(list, i), "latency"));
	i = find(list, find(list, 0, "in", "STOP"), "out", "query-status");
	while (int_at(entry(list, i), "monitor") != 2)
		i = find(list, i + 1, "out", "query-status");
	ck_assert_str_eq(str_at(reply_to(list, i), "message.return.status"), "paused");
	/* It is there when QEMU is not, and goes on with the next. */
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	after = trace();
	find(after, 0, "out", "quit");
	check_all(after);
}
END_TEST

/* Whoever starts droverd again reads what it said before it was killed. */
START_TEST(two_lives)
{
	_cleanup_json_ struct json_object *before = NULL, *after = NULL;
	size_t n;

	stage_set("%s", "");
	stage_define("web", "fake.record=%s/asked", stage.r->root);
	stage_start("web");
	/* The last of a start: nothing is under way. */
	json_object_put(stage_await_answer("query-fdsets"));
	json_object_put(stage_await_answer("query-named-block-nodes"));
	stage_await_quiet();
	before = trace();
	n = json_object_array_length(before);
	stage_kill();
	stage_restart();
	client_await_state(stage.c, "web", "running", NULL);
	json_object_put(client_ok(stage.c, "instance-pause", WEB));
	json_object_put(client_ok(stage.c, "instance-qmp", "{'instance': 'web', 'execute': 'query-status'}"));
	after = trace();
	ck_assert_uint_gt(json_object_array_length(after), n);
	for (size_t i = 0; i < n; i++)
		ck_assert_str_eq(json_object_to_json_string(entry(before, i)),
				 json_object_to_json_string(entry(after, i)));
	find(after, n, "in", "QMP");
	find(after, n, "out", "stop");
	ck_assert_uint_eq(count(after, "QMP"), 4);
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	json_object_put(TAKE_PTR(after));
	after = trace();
	check_all(after);
}
END_TEST

/* Of the time that QEMU took. */
START_TEST(slow_reply)
{
	_cleanup_json_ struct json_object *list = NULL;
	struct json_object *reply;

	stage_set("%s", "");
	stage_define("web", "fake.delay=cont:300");
	stage_start("web");
	list = trace();
	reply = reply_to(list, find(list, 0, "out", "cont"));
	ck_assert_ptr_nonnull(reply);
	ck_assert(json_get_double(reply, "latency", 0) >= 0.3);
}
END_TEST

static void check_no_secret(const char *file)
{
	_cleanup_free_ char *text = rig_file(stage.r, "%s", file);

	ck_assert_ptr_nonnull(text);
	ck_assert_ptr_nonnull(strstr(text, "***"));
	ck_assert_msg(!strstr(text, SECRET), "%s", text);
}

START_TEST(no_secrets)
{
	static const char *const calls[] = {
		"'execute': 'set_password', 'arguments': {'protocol': 'vnc', 'password': '" SECRET "'}",
		"'execute': 'change-vnc-password', 'arguments': {'password': '" SECRET "'}",
		"'execute': 'human-monitor-command', 'arguments': {'command-line': 'set_password vnc " SECRET
		"'}, 'unsafe': true",
		"'execute': 'object-add', 'arguments': {'qom-type': 'secret', 'id': 's0', 'data': '" SECRET
		"'}, 'unsafe': true",
	};
	_cleanup_json_ struct json_object *list = NULL;

	stage_set("%s", "");
	stage_define("web", "fake.record=%s/asked", stage.r->root);
	stage_start("web");
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		int id = client_send(stage.c, "instance-qmp", "{'instance': 'web', %s}", calls[i]);

		json_object_put(client_reply(stage.c, id)); /* the fake knows few of them */
	}
	list = trace();
	ck_assert_uint_eq(count(list, "set_password"), 2);
	ck_assert_str_eq(str_at(entry(list, find(list, 0, "out", "object-add")), "message.arguments.data"), "***");
	ck_assert_ptr_null(strstr(json_object_to_json_string(list), SECRET));
	check_no_secret("log/web.trace");
}
END_TEST

/* An error leads to what was asked on behalf of its operation, and to nothing else. */
START_TEST(errors_name_their_operation)
{
	_cleanup_json_ struct json_object *e = NULL, *refused = NULL, *list = NULL, *later = NULL;
	const char *id;
	size_t i;

	stage_set("%s", "");
	stage_define("web", "fake.error=inject-nmi:GenericError:no_way");
	refused = client_error(stage.c, "WrongState", "instance-pause", WEB);
	ck_assert_int_eq(str_at(refused, "trace")[0], '#');
	ck_assert(!has(refused, "step"));
	stage_start("web");
	e = client_error(stage.c, "QemuError", "instance-nmi", WEB);
	id = str_at(e, "trace");
	list = client_ok(stage.c, "query-trace", "{'instance': 'web', 'operation': '%s'}", id);
	ck_assert_uint_eq(json_object_array_length(list), 2);
	i = find(list, 0, "out", "inject-nmi");
	ck_assert_str_eq(str_at(reply_to(list, i), "message.error.desc"), "no way");
	ck_assert(is_error(reply_to(list, i)));
	later = client_ok(stage.c, "query-trace", "{'instance': 'web', 'since': %.6f}",
			  json_get_double(entry(list, 1), "time", 0));
	for (i = 0; i < json_object_array_length(later); i++)
		ck_assert_msg(!is(entry(later, i), "name", "inject-nmi"), "%s", json_object_to_json_string(later));
}
END_TEST

/* It is bounded, whatever QEMU says and how much of it; the newest is there. */
START_TEST(flood)
{
	_cleanup_free_ char *old = NULL, *now = NULL;
	_cleanup_json_ struct json_object *list = NULL;

	stage_set("%s", "");
	stage_define("web", "fake.flood=query-version:3500");
	stage_start("web");
	json_object_put(client_ok(stage.c, "instance-qmp", "{'instance': 'web', 'execute': 'query-version'}"));
	json_object_put(client_ok(stage.c, "instance-qmp", "{'instance': 'web', 'execute': 'query-name'}"));
	now = rig_file(stage.r, "log/web.trace");
	old = rig_file(stage.r, "log/web.trace.1");
	ck_assert(now && old && strlen(now) <= 512 << 10 && strlen(old) <= 512 << 10);
	list = trace();
	find(list, 0, "in", "query-name");
	ck_assert_uint_eq(count(list, "cont"), 0);
}
END_TEST

/* It goes where its instance goes. */
START_TEST(renamed_and_undefined)
{
	_cleanup_json_ struct json_object *before = NULL, *after = NULL;
	_cleanup_free_ char *file = NULL, *old = NULL;

	stage_set("%s", "");
	stage_define("web", "%s", "");
	stage_start("web");
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	before = trace();
	json_object_put(client_ok(stage.c, "instance-rename", "{'instance': 'web', 'name': 'new'}"));
	after = client_ok(stage.c, "query-trace", "{'instance': 'new'}");
	ck_assert_str_eq(json_object_to_json_string(before), json_object_to_json_string(after));
	old = rig_file(stage.r, "log/web.trace");
	ck_assert_ptr_null(old);
	stage_start("new");
	json_object_put(client_ok(stage.c, "instance-undefine", "{'instance': 'new', 'force': true}"));
	file = rig_file(stage.r, "log/new.trace");
	ck_assert_ptr_null(file);
	json_object_put(client_error(stage.c, "NotFound", "query-trace", "{'instance': 'new'}"));
}
END_TEST

static Suite *make(void)
{
	Suite *s = suite_create("the trace");
	TCase *tc = tcase_create("trace");

	tcase_add_checked_fixture(tc, NULL, stage_clear);
	tcase_add_test(tc, holds_everything);
	tcase_add_test(tc, two_lives);
	tcase_add_test(tc, slow_reply);
	tcase_add_test(tc, no_secrets);
	tcase_add_test(tc, errors_name_their_operation);
	tcase_add_test(tc, flood);
	tcase_add_test(tc, renamed_and_undefined);
	suite_add_tcase(s, tc);
	return s;
}

RIG_MAIN(make)
