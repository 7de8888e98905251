/* SPDX-License-Identifier: BSD-2-Clause */
/* instance-qmp: QEMU's own words, and what is never said to it. */
#include "guest.h"

#include <signal.h>
#include <stdio.h>

static struct rig *rig;
static struct client *client;
static pid_t qemu;

static void set_up(void)
{
	rig = rig_new("droverd");
	rig_start(rig);
	client = client_new(rig);
	guest_define_bare(client, "web1");
	qemu = guest_start(client, "web1");
}

static void tear_down(void)
{
	client_free(client);
	rig_free(rig);
}

/* MORE: further members, behind a comma. */
static struct json_object *ask(const char *execute, const char *more)
{
	return client_ok(client, "instance-qmp", "{'instance': 'web1', 'execute': '%s'%s}", execute, more);
}

static struct json_object *refused(const char *class, const char *execute, const char *more)
{
	return client_error(client, class, "instance-qmp", "{'instance': 'web1', 'execute': '%s'%s}", execute, more);
}

/* As it stands: an object, a list, text, a flag, nothing. */
START_TEST(test_answers)
{
	_cleanup_json_ struct json_object *status = ask("query-status", ""), *commands = ask("query-commands", "");
	_cleanup_json_ struct json_object *rows = NULL, *type = NULL, *flag = NULL, *none = NULL, *schema = NULL;

	ck_assert_str_eq(str_at(status, "status"), "running");
	ck_assert(json_object_is_type(commands, json_type_array) && json_object_array_length(commands) > 100);
	rows = ask("device-list-properties", ", 'arguments': {'typename': 'virtio-blk-pci'}");
	ck_assert(json_object_is_type(rows, json_type_array));
	type = ask("qom-get", ", 'arguments': {'path': '/machine', 'property': 'type'}");
	ck_assert(json_object_is_type(type, json_type_string));
	flag = ask("qom-get", ", 'arguments': {'path': '/machine', 'property': 'graphics'}");
	ck_assert(json_object_is_type(flag, json_type_boolean));
	none = ask("cont", "");
	ck_assert(json_object_is_type(none, json_type_object) && json_object_object_length(none) == 0);
	schema = ask("query-qmp-schema", "");
	ck_assert_int_gt(json_object_array_length(schema), 500);
}
END_TEST

START_TEST(test_errors)
{
	_cleanup_json_ struct json_object *unknown = refused("QemuError", "no-such-command", "");
	_cleanup_json_ struct json_object *argument = refused("QemuError", "query-status", ", 'arguments': {'a': 1}");
	_cleanup_json_ struct json_object *device = NULL;

	ck_assert_str_eq(str_at(unknown, "qemu-class"), "CommandNotFound");
	ck_assert_ptr_nonnull(strstr(str_at(unknown, "desc"), "has not been found"));
	ck_assert_str_eq(str_at(argument, "qemu-class"), "GenericError");
	device = refused("QemuError", "device_del", ", 'arguments': {'id': 'nope'}, 'unsafe': true");
	ck_assert_str_eq(str_at(device, "qemu-class"), "DeviceNotFound");
}
END_TEST

START_TEST(test_never)
{
	static const struct {
		const char *execute, *more;
	} cases[] = {
		{ "quit", "" },
		{ "qmp_capabilities", "" },
		{ "getfd", ", 'arguments': {'fdname': 'x'}" },
		{ "add-fd", "" },
		{ "closefd", ", 'arguments': {'fdname': 'x'}" },
		{ "remove-fd", ", 'arguments': {'fdset-id': 1}" },
		{ "migrate", ", 'arguments': {'uri': 'exec:cat > /dev/null'}" },
		{ "migrate-incoming", ", 'arguments': {'uri': 'exec:true'}" },
		{ "migrate", ", 'arguments': {'channels': [{'channel-type': 'main', 'addr': {'transport': 'exec', "
			     "'args': ['/bin/sh', '-c', 'true']}}]}" },
		{ "migrate", ", 'arguments': {'channels': [{'channel-type': 'main', 'type': 'exec'}]}" },
		{ "object-add", ", 'arguments': {'a': {'b': [1, {'c': ['exec:true']}]}}" },
		{ "query-status", ", 'arguments': {'a': 'exec:true'}" },
		{ "human-monitor-command", ", 'arguments': {'command-line': 'migrate -d \\\"exec:true\\\"'}" },
		{ "human-monitor-command", ", 'arguments': {'command-line': ' \\t quit'}" },
		{ "human-monitor-command", ", 'arguments': {'command-line': 'q'}" },
		{ "human-monitor-command", ", 'arguments': {'command-line': 'closefd x'}" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *unsafe = xasprintf("%s, 'unsafe': true", cases[i].more);

		json_object_put(refused("Unsupported", cases[i].execute, cases[i].more));
		json_object_put(refused("Unsupported", cases[i].execute, unsafe));
	}
	ck_assert(process_runs(qemu));
	ck_assert_int_eq(guest_pid(client, "web1"), qemu);
}
END_TEST

/* What changes what there is a record of wants a word more, and says what would do it properly. */
START_TEST(test_unsafe)
{
	static const struct {
		const char *execute, *instead;
	} cases[] = {
		{ "system_reset", "instance-reset" },
		{ "device_add", "disk-attach" },
		{ "device_del", "disk-detach" },
		{ "blockdev-add", "disk-attach" },
		{ "blockdev-change-medium", "disk-change" },
		{ "netdev_add", "nic-attach" },
		{ "netdev_del", "nic-detach" },
		{ "object-add", "disk-attach" },
		{ "object-del", "memory-set" },
		{ "migrate", "migrate" },
		{ "migrate_cancel", "migrate" },
		{ "migrate-set-capabilities", "migrate" },
		{ "snapshot-save", "snapshot-create" },
		{ "set-action", "on_reboot" },
		{ "human-monitor-command", "all the others" },
	};
	_cleanup_json_ struct json_object *o = NULL, *tree = NULL, *gone = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_json_ struct json_object *e = refused("Unsupported", cases[i].execute, "");

		ck_assert_msg(strstr(str_at(e, "desc"), cases[i].instead) != NULL, "%s: %s", cases[i].execute,
			      str_at(e, "desc"));
	}
	o = ask("object-add", ", 'arguments': {'qom-type': 'iothread', 'id': 'io9'}, 'unsafe': true");
	tree = ask("qom-list", ", 'arguments': {'path': '/objects/io9'}");
	ck_assert_int_gt(json_object_array_length(tree), 0);
	json_object_put(ask("object-del", ", 'arguments': {'id': 'io9'}, 'unsafe': true"));
	gone = refused("QemuError", "qom-list", ", 'arguments': {'path': '/objects/io9'}");
	json_object_put(ask("human-monitor-command", ", 'arguments': {'command-line': 'info status'}, 'unsafe': true"));
}
END_TEST

/* What it did to the guest is known by the time of its answer, or follows by QEMU's events. */
START_TEST(test_state_follows)
{
	json_object_put(ask("stop", ""));
	client_await_state(client, "web1", "paused", NULL);
	json_object_put(ask("cont", ""));
	client_await_state(client, "web1", "running", NULL);
	json_object_put(ask("human-monitor-command", ", 'arguments': {'command-line': 'stop'}, 'unsafe': true"));
	{
		_cleanup_json_ struct json_object *o = guest_query(client, "web1");

		ck_assert_str_eq(str_at(o, "state"), "paused");
	}
	json_object_put(ask("system_reset", ", 'unsafe': true"));
	ck_assert_int_eq(guest_pid(client, "web1"), qemu);
}
END_TEST

START_TEST(test_wrong_states)
{
	static const struct {
		const char *members, *class, *parameter;
	} cases[] = {
		{ "'execute': 5", "InvalidParameter", "execute" },
		{ "'execute': ''", "InvalidParameter", "execute" },
		{ "'arguments': {}", "InvalidParameter", "execute" },
		{ "'execute': 'query-status', 'arguments': []", "InvalidParameter", "arguments" },
		{ "'execute': 'query-status', 'argument': {}", "InvalidParameter", "argument" },
		{ "'execute': 'query\\nstatus'", "QemuError", NULL },
		{ "'execute': 'query-status', 'unsafe': 1", "InvalidParameter", "unsafe" },
	};
	_cleanup_free_ char *long_name = xcalloc(4097, 1);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_json_ struct json_object *e = client_error(client, cases[i].class, "instance-qmp",
								    "{'instance': 'web1', %s}", cases[i].members);

		ck_assert_msg(!cases[i].parameter || str_eq(json_get_str(e, "parameter"), cases[i].parameter), "%s",
			      json_object_to_json_string(e));
	}
	memset(long_name, 'q', 4096);
	json_object_put(refused("InvalidParameter", long_name, ""));
	json_object_put(
		client_error(client, "NotFound", "instance-qmp", "{'instance': 'web2', 'execute': 'query-status'}"));
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'web1'}"));
	json_object_put(refused("WrongState", "query-status", ""));
	/* what is never for clients is so whatever the state */
	json_object_put(refused("Unsupported", "quit", ""));
}
END_TEST

/* Beside a QEMU that the kernel has stopped: the answer comes when it goes on, and nobody else waits for it. */
START_TEST(test_beside)
{
	_cleanup_json_ struct json_object *o = NULL;
	int id;

	kill(qemu, SIGSTOP);
	id = client_send(client, "instance-qmp", "{'instance': 'web1', 'execute': 'query-name'}");
	json_object_put(guest_query(client, "web1"));
	json_object_put(client_ok(client, "instance-modify", "{'instance': 'web1', 'patch': {'description': 'x'}}"));
	kill(qemu, SIGCONT);
	o = client_reply(client, id);
	ck_assert_str_eq(str_at(o, "return.name"), "web1");
	/* and the end of QEMU ends it */
	kill(qemu, SIGSTOP);
	id = client_send(client, "instance-qmp", "{'instance': 'web1', 'execute': 'query-name'}");
	kill(qemu, SIGKILL);
	json_object_put(TAKE_PTR(o));
	o = client_reply(client, id);
	ck_assert_str_eq(str_at(o, "error.class"), "GuestGone");
}
END_TEST

static Suite *make(void)
{
	Suite *s = suite_create("instance-qmp");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	suite_add_tcase(s, tc);
	tcase_add_test(tc, test_answers);
	tcase_add_test(tc, test_errors);
	tcase_add_test(tc, test_never);
	tcase_add_test(tc, test_unsafe);
	tcase_add_test(tc, test_state_follows);
	tcase_add_test(tc, test_wrong_states);
	tcase_add_test(tc, test_beside);
	return s;
}

RIG_MAIN(make)
