/* SPDX-License-Identifier: BSD-2-Clause */
/* What starts when the host has booted: in its order, once, and whatever becomes of the others. */
#include "guest.h"
#include "one_rig.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static void define(const char *name, const char *autostart, const char *more)
{
	client_define(client, name, "'memory': '16M', 'autostart': %s%s", autostart, more);
}

static void down(void)
{
	client_free(client);
	rig_kill(rig);
}

static void up(void)
{
	rig_start(rig);
	client = client_new(rig);
}

/* The host has booted: the stamp is another boot's, as below --root, or gone, as below /run. */
static void boot(bool gone)
{
	static const char stamp[] = "{\"boot-id\": \"0b2c0dfe-5a1b-4e5f-8d7a-3f9d5d6f7a01\", \"left\": []}";
	_cleanup_free_ char *path = xasprintf("%s/run/autostarted", rig->root);
	int fd;

	down();
	ck_assert_int_eq(unlink(path), 0);
	fd = gone ? -1 : open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (fd >= 0) {
		ck_assert_int_eq(write(fd, stamp, sizeof(stamp) - 1), sizeof(stamp) - 1);
		close(fd);
	}
	up();
}

/* Waits until no turn is left. */
static void await_round(void)
{
	for (int i = 0; i < RIG_DEADLINE_MS / 5; i++) {
		_cleanup_free_ char *text = rig_file(rig, "run/autostarted");

		if (text && strstr(text, "\"left\":[]"))
			return;
		usleep(5000);
	}
	ck_abort_msg("autostart does not end");
}

/* The names in the order in which they became nostate (starting), since the daemon's start. */
static char *order_of_starts(void)
{
	_cleanup_json_ struct json_object *o = client_ok(client, "query-events", "{}");
	char *text = xstrdup("");

	for (size_t i = 0; i < json_object_array_length(at(o, "events")); i++) {
		struct json_object *event = json_object_array_get_idx(at(o, "events"), i);
		const char *state = json_get_str(json_get_typed(event, "data", json_type_object), "state");
		_cleanup_free_ char *old = NULL;

		if (!str_eq(str_at(event, "event"), "INSTANCE_STATE") ||
		    !(str_eq(state, "nostate") || str_eq(state, "running")))
			continue;
		old = text;
		text = xasprintf("%s%s%s ", old, str_eq(state, "nostate") ? "" : "+", str_at(event, "data.instance"));
	}
	return text;
}

START_TEST(test_order)
{
	_cleanup_free_ char *order = NULL;
	_cleanup_json_ struct json_object *list = NULL, *jobs = NULL;

	define("c", "{'order': 1}", "");
	define("a", "{'order': 2, 'delay': 0.05}", "");
	define("b", "true", "");
	define("d", "false", "");
	define("e", "{'order': 7}", "");
	list = client_ok(client, "query-instances", "{'fields': ['autostart', 'state']}");
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		ck_assert_int_eq(json_get_bool(o, "autostart", false), !str_eq(str_at(o, "name"), "d"));
		ck_assert_str_eq(str_at(o, "state"), "shutoff");
	}
	boot(true);
	await_round();
	order = order_of_starts();
	ck_assert_str_eq(order, "b +b c +c a +a e +e ");
	guest_expect(client, "d", "shutoff", "never-started");
	jobs = client_ok(client, "query-jobs", "{}");
	ck_assert_int_eq(json_object_array_length(jobs), 0);
}
END_TEST

/* Once per boot: what somebody stopped stays so over our restarts; another boot starts it again. */
START_TEST(test_once)
{
	pid_t pid;

	define("a", "true", "");
	define("b", "true", "");
	boot(false);
	await_round();
	pid = guest_pid(client, "b");
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'a'}"));
	down();
	up();
	await_round();
	client_await_state(client, "b", "running", NULL);
	ck_assert_int_eq(guest_pid(client, "b"), pid);
	guest_expect(client, "a", "shutoff", "admin");
	boot(false);
	client_await_state(client, "a", "running", "booted");
	await_round();
	ck_assert_int_eq(guest_pid(client, "b"), pid);
}
END_TEST

/* One that cannot start is seen to have failed and hinders nobody. */
START_TEST(test_failures)
{
	_cleanup_json_ struct json_object *failed = NULL;

	define("a", "true", ", 'hvparams': {'kvm_extra': '-nosuch'}");
	define("b", "true", ", 'hvparams': {'kvm_path': '/nonexistent/qemu'}");
	define("c", "{'order': 1}", "");
	boot(true);
	await_round();
	guest_expect(client, "c", "running", "booted");
	guest_expect(client, "b", "shutoff", "failed");
	failed = guest_query(client, "a");
	ck_assert_str_eq(str_at(failed, "reason"), "failed");
	ck_assert_str_eq(str_at(failed, "last.reason"), "failed");
	ck_assert_ptr_nonnull(strstr(str_at(failed, "last.log"), "invalid option"));
}
END_TEST

/* droverd falls with some orders still to come: the next one goes on with those, and with those only. */
START_TEST(test_goes_on)
{
	_cleanup_free_ char *order = NULL, *stamp = NULL;
	_cleanup_json_ struct json_object *left = NULL;

	define("a", "{'delay': 3600}", "");
	define("b", "{'order': 1}", "");
	define("c", "{'order': 2}", "");
	boot(true);
	client_await_state(client, "a", "running", "booted");
	for (int i = 0; i < RIG_DEADLINE_MS / 5; i++) {
		free(stamp);
		stamp = rig_file(rig, "run/autostarted");
		json_object_put(TAKE_PTR(left));
		if (stamp && json_parse(stamp, strlen(stamp), &json_limits_qemu, &left, NULL) &&
		    json_object_array_length(at(left, "left")) == 2)
			break;
		usleep(5000);
	}
	ck_assert_int_eq(json_object_array_length(at(left, "left")), 2);
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'a'}"));
	json_object_put(client_ok(client, "instance-undefine", "{'instance': 'c'}"));
	json_object_put(client_ok(client, "instance-rename", "{'instance': 'b', 'name': 'z'}"));
	down();
	up();
	await_round();
	client_await_state(client, "z", "running", "booted");
	guest_expect(client, "a", "shutoff", "admin");
	order = order_of_starts();
	ck_assert_str_eq(order, "z +z ");
}
END_TEST

/* A stamp that is no stamp is as none. */
START_TEST(test_strange_stamp)
{
	static const char *const stamps[] = { "", "{", "[]", "{\"boot-id\": 5}", "{\"left\": {}}" };
	_cleanup_free_ char *path = xasprintf("%s/run/autostarted", rig->root);

	define("a", "true", "");
	for (size_t i = 0; i < ARRAY_SIZE(stamps); i++) {
		int fd;

		down();
		fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
		ck_assert_int_eq(write(fd, stamps[i], strlen(stamps[i])), (ssize_t)strlen(stamps[i]));
		close(fd);
		up();
		client_await_state(client, "a", "running", NULL);
		await_round();
		json_object_put(client_ok(client, "instance-stop", "{'instance': 'a'}"));
	}
}
END_TEST

static Suite *make(void)
{
	Suite *s = suite_create("autostart");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	suite_add_tcase(s, tc);
	tcase_add_test(tc, test_order);
	tcase_add_test(tc, test_once);
	tcase_add_test(tc, test_failures);
	tcase_add_test(tc, test_goes_on);
	tcase_add_test(tc, test_strange_stamp);
	return s;
}

RIG_MAIN(make)
