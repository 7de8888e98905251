/* SPDX-License-Identifier: BSD-2-Clause */
/* Definitions and what is told of them; events. */
#include "wire.h"

#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#define UUID_A "5f1c2f0e-8a55-4a6e-9f53-0c2b6a1d9e10"
#define UUID_A_LOUD "5F1C2F0E-8A55-4A6E-9F53-0C2B6A1D9E10"
#define UUID_B "0b2c0dfe-5a1b-4e5f-8d7a-3f9d5d6f7a01"

static struct json_object *define(struct client *c, const char *definition)
{
	return client_ok(c, "instance-define", "{'definition': %s}", definition);
}

static void undefine(struct client *c, const char *name)
{
	_cleanup_json_ struct json_object *o = client_ok(c, "instance-undefine", "{'instance': '%s'}", name);

	ck_assert(json_get_bool(o, "changed", false));
}

/* ---- define ---- */

START_TEST(test_define)
{
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_json_ struct json_object *o = NULL, *event = NULL, *shown = NULL, *list = NULL;

	o = define(c, "{'name': 'web1', 'memory': '256M', 'description': 'caf\xc3\xa9', 'metadata': {'owner': 'ops'}}");
	ck_assert(json_get_bool(o, "changed", false));
	ck_assert_int_eq(strlen(str_at(o, "uuid")), 36);
	ck_assert_str_eq(str_at(o, "definition.uuid"), str_at(o, "uuid"));
	ck_assert_int_eq(int_at(o, "definition.memory"), 256 << 20);
	ck_assert_str_eq(str_at(o, "definition.metadata.owner"), "ops");
	ck_assert_int_eq(json_object_array_length(at(o, "warnings")), 2);
	ck_assert_str_eq(str_at(o, "warnings.0.parameter"), "hvparams.cpu_type");
	ck_assert_str_eq(str_at(o, "warnings.1.parameter"), "hvparams.machine_version");
	event = client_event(c, "INSTANCE_DEFINED");
	ck_assert_str_eq(str_at(event, "data.instance"), "web1");
	ck_assert_str_eq(str_at(event, "data.uuid"), str_at(o, "uuid"));

	shown = client_ok(c, "query-instance", "{'instance': 'web1'}");
	ck_assert(json_object_equal(at(shown, "definition"), at(o, "definition")));
	ck_assert_str_eq(str_at(shown, "state"), "shutoff");
	ck_assert_str_eq(str_at(shown, "reason"), "never-started");
	ck_assert_str_eq(str_at(shown, "status"), "");
	ck_assert_int_eq(int_at(shown, "memory.wanted"), 256 << 20);
	ck_assert(!has(shown, "pid"));
	ck_assert(json_object_object_get_ex(shown, "runtime", NULL) && !has(shown, "runtime.cmd"));
	list = client_ok(c, "query-instances", "{}");
	ck_assert_int_eq(json_object_array_length(list), 1);
	ck_assert_str_eq(str_at(list, "0.uuid"), str_at(o, "uuid"));
	undefine(c, "web1");
}
END_TEST

/* Devices are stored with their places, and the command line is shown twice. */
START_TEST(test_devices)
{
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_json_ struct json_object *o = NULL, *again = NULL, *argv = NULL, *e = NULL;
	_cleanup_free_ char *list = NULL, *text = NULL;

	o = define(
		c,
		"{'name': 'web1', 'disks': [{'uuid': '932df160-7a22-4067-a566-7e0ca8386133', 'path': '/nowhere/a,b'}], "
		"'nics': [{}]}");
	ck_assert_str_eq(str_at(o, "definition.disks.0.name"), "disk0");
	ck_assert_str_eq(str_at(o, "definition.disks.0.hvinfo.id"), "disk-932df160-7a22-4067");
	ck_assert_str_eq(str_at(o, "definition.disks.0.hvinfo.driver"), "virtio-blk-pci");
	ck_assert_str_eq(str_at(o, "definition.disks.0.hvinfo.bus"), "pci.0");
	ck_assert_str_eq(str_at(o, "definition.disks.0.hvinfo.addr"), "0xc");
	ck_assert_str_eq(str_at(o, "definition.nics.0.hvinfo.addr"), "0xd");
	/* The first one goes, and the second one stays where it is. */
	again = define(c, "{'name': 'web1', 'nics': [{'name': 'nic0'}]}");
	ck_assert_str_eq(str_at(again, "definition.nics.0.hvinfo.addr"), "0xd");
	ck_assert_str_eq(str_at(again, "definition.nics.0.mac"), str_at(o, "definition.nics.0.mac"));
	json_object_put(TAKE_PTR(again));
	again = define(
		c,
		"{'name': 'web1', 'disks': [{'uuid': '932df160-7a22-4067-a566-7e0ca8386133', 'path': '/nowhere/a,b'}], "
		"'nics': [{'name': 'nic0'}]}");
	ck_assert_str_eq(str_at(again, "definition.disks.0.hvinfo.addr"), "0xc");

	argv = client_ok(c, "instance-argv", "{'instance': 'web1'}");
	list = json_print(at(argv, "argv"));
	text = json_print(at(argv, "text"));
	ck_assert_int_eq(json_object_array_length(at(argv, "argv")), json_object_array_length(at(argv, "text")));
	ck_assert_ptr_nonnull(strstr(list, "\"{\\\"driver\\\":\\\"virtio-blk-pci\\\",\\\"id\\\":\\\"disk-932df160"));
	ck_assert_ptr_nonnull(strstr(text, "\"virtio-blk-pci,id=disk-932df160-7a22-4067,bus=pci.0,addr=0xc,"));
	e = client_error(c, "NoSlot", "instance-define",
			 "{'definition': {'name': 'web2', 'hvparams': {'kvm_pci_reservations': 32}, 'nics': [{}]}}");
	ck_assert_str_eq(str_at(e, "parameter"), "nics[0]");
	undefine(c, "web1");
}
END_TEST

/* By its own definition an instance is what it is already; and the same words mean the same however they are put. */
START_TEST(test_define_again)
{
	static const char *const same[] = {
		"{'name': 'web1', 'memory': '256M', 'hvparams': {'accel': 'tcg'}}",
		"{'hvparams': {'accel': 'tcg'}, 'memory': 268435456, 'name': 'web1'}",
		"{'name': 'web1', 'memory': '0.25G', 'hvparams': {'accel': 'tcg'}, 'layout': 1}",
		"{'name': 'web1', 'memory': '262144K', 'hvparams': {'accel': 'tcg'}, 'uuid': '" UUID_A "'}",
		"{'name': 'web1', 'memory': '256M', 'hvparams': {'accel': 'tcg'}, 'uuid': '" UUID_A_LOUD "'}",
	};
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_json_ struct json_object *first = NULL;

	first = define(c, "{'name': 'web1', 'uuid': '" UUID_A "', 'memory': '256M', 'hvparams': {'accel': 'tcg'}}");
	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		_cleanup_json_ struct json_object *o = define(c, same[i]), *again = define(c, same[i]);

		ck_assert_msg(!json_get_bool(o, "changed", true), "changed by %s: %s", same[i],
			      json_object_to_json_string(o));
		ck_assert_str_eq(str_at(o, "uuid"), UUID_A);
		ck_assert(!json_get_bool(again, "changed", true));
		ck_assert(json_object_equal(at(o, "definition"), at(first, "definition")));
	}
	undefine(c, "web1");
}
END_TEST

START_TEST(test_replace)
{
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_json_ struct json_object *o = NULL, *by_name = NULL, *shown = NULL;

	json_object_put(define(c, "{'name': 'web1', 'uuid': '" UUID_A "', 'memory': '256M', 'description': 'old'}"));
	o = define(c, "{'name': 'web1', 'uuid': '" UUID_A "', 'vcpus': 2}");
	ck_assert(json_get_bool(o, "changed", false));
	ck_assert(!has(o, "definition.memory"));
	ck_assert(!has(o, "definition.description"));
	by_name = define(c, "{'name': 'web1', 'vcpus': 3}");
	ck_assert(json_get_bool(by_name, "changed", false));
	ck_assert_str_eq(str_at(by_name, "uuid"), UUID_A);
	shown = client_ok(c, "query-instance", "{'instance': '" UUID_A "'}");
	ck_assert_int_eq(int_at(shown, "vcpus"), 3);
	ck_assert_int_eq(int_at(shown, "memory.wanted"), 512 << 20);
	undefine(c, UUID_A);
}
END_TEST

START_TEST(test_identity)
{
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_json_ struct json_object *e = NULL, *other = NULL, *shown = NULL;

	json_object_put(define(c, "{'name': 'web1', 'uuid': '" UUID_A "'}"));
	e = client_error(c, "Exists", "instance-define", "{'definition': {'name': 'web1', 'uuid': '" UUID_B "'}}");
	ck_assert_ptr_nonnull(strstr(str_at(e, "desc"), UUID_A));
	other = client_error(c, "Exists", "instance-define", "{'definition': {'name': 'web2', 'uuid': '" UUID_A "'}}");
	ck_assert_ptr_nonnull(strstr(str_at(other, "desc"), "web1"));
	json_object_put(client_error(c, "NotFound", "query-instance", "{'instance': 'web2'}"));
	shown = client_ok(c, "query-instance", "{'instance': 'web1'}");
	ck_assert_str_eq(str_at(shown, "uuid"), UUID_A);
	undefine(c, "web1");
	/* what is gone is free again */
	json_object_put(define(c, "{'name': 'web2', 'uuid': '" UUID_A "'}"));
	undefine(c, "web2");
}
END_TEST

/* Several at once with one uuid, or one address of a card: one of them has it. */
START_TEST(test_identity_at_once)
{
	static const char *const identities[] = { "'uuid': '" UUID_A "'",
						  "'nics': [{'mac': '52:54:00:3a:91:03', 'mode': 'none'}]" };
	_cleanup_free_ char *name = NULL;
	_cleanup_client_ struct client *c = client_new(rig);
	unsigned defined = 0;
	int ids[16];

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		ids[i] = client_send(c, "instance-define", "{'definition': {'name': 'twin%zu', %s}}", i,
				     identities[_i]);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		_cleanup_json_ struct json_object *o = client_reply(c, ids[i]);

		if (has(o, "return")) {
			defined++;
			free(name);
			name = xstrdup(str_at(o, "return.definition.name"));
		} else {
			ck_assert_str_eq(str_at(o, "error.class"), "Exists");
		}
	}
	ck_assert_uint_eq(defined, 1);
	undefine(c, name);
}
END_TEST

START_TEST(test_names)
{
	static const char *const bad[] = {
		"",
		".",
		"..",
		".hidden",
		"-x",
		"_x",
		"a/b",
		"/etc/passwd",
		"../x",
		"a b",
		"a\\nb",
		"caf\xc3\xa9",
		"a:b",
		"5f1c2f0e-8a55-4a6e-9f53-0c2b6a1d9e10",
		"5F1C2F0E-8A55-4A6E-9F53-0C2B6A1D9E10",
		"a234567890123456789012345678901234567890123456789012345678901234",
	};
	static const char *const good[] = {
		"a",
		"0",
		"A.b_c-d",
		"a..",
		"5f1c2f0e-8a55-4a6e-9f53-0c2b6a1d9e1",
		"new-x",
		"gone-x",
		"a23456789012345678901234567890123456789012345678901234567890123",
	};
	_cleanup_client_ struct client *c = client_new(rig);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_json_ struct json_object *e = client_error(c, "InvalidParameter", "instance-define",
								    "{'definition': {'name': '%s'}}", bad[i]);

		ck_assert_str_eq(str_at(e, "parameter"), "definition.name");
	}
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		client_define(c, good[i], "%s", "");
		undefine(c, good[i]);
	}
}
END_TEST

START_TEST(test_bad_members)
{
	static const struct {
		const char *definition, *parameter;
	} cases[] = {
		{ "{}", "definition.name" },
		{ "{'name': 5}", "definition.name" },
		{ "{'name': 'x', 'nmae': 'y'}", "definition.nmae" },
		{ "{'name': 'x', 'uuid': 'y'}", "definition.uuid" },
		{ "{'name': 'x', 'vcpus': 0}", "definition.vcpus" },
		{ "{'name': 'x', 'vcpus': '2'}", "definition.vcpus" },
		{ "{'name': 'x', 'vcpus': 1.5}", "definition.vcpus" },
		{ "{'name': 'x', 'memory': 'much'}", "definition.memory" },
		{ "{'name': 'x', 'memory': 0}", "definition.memory" },
		{ "{'name': 'x', 'memory': -1}", "definition.memory" },
		{ "{'name': 'x', 'memory': '-1G'}", "definition.memory" },
		{ "{'name': 'x', 'memory': '1X'}", "definition.memory" },
		{ "{'name': 'x', 'memory': '99999999T'}", "definition.memory" },
		{ "{'name': 'x', 'memory': 1048575}", "definition.memory" },
		{ "{'name': 'x', 'memory': null}", "definition.memory" },
		{ "{'name': 'x', 'memory': 1e9}", "definition.memory" },
		{ "{'name': 'x', 'layout': 2}", "definition.layout" },
		{ "{'name': 'x', 'metadata': {'a': 1}}", "definition.metadata.a" },
		{ "{'name': 'x', 'metadata': []}", "definition.metadata" },
		{ "{'name': 'x', 'hvparams': []}", "definition.hvparams" },
		{ "{'name': 'x', 'hvparams': {'accel': 'hax'}}", "definition.hvparams.accel" },
		{ "{'name': 'x', 'hvparams': {'kernel_path': 'vmlinuz'}}", "definition.hvparams.kernel_path" },
		{ "{'name': 'x', 'hvparams': {'initrd_path': '/initrd'}}", "definition.hvparams.initrd_path" },
		{ "{'name': 'x', 'hvparams': {'serial_speed': 1}}", "definition.hvparams.serial_speed" },
		{ "{'name': 'x', 'hvparams': {'serial_console': 'yes'}}", "definition.hvparams.serial_console" },
		{ "{'name': 'x', 'hvparams': {'machine_version': ''}}", "definition.hvparams.machine_version" },
		{ "{'name': 'x', 'hvparams': {'kernel_arg': ''}}", "definition.hvparams.kernel_arg" },
		{ "{'name': 'x', 'disks': {}}", "definition.disks" },
	};
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_free_ char *before = rig_world(rig, false), *after = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_json_ struct json_object *e = client_error(c, "InvalidParameter", "instance-define",
								    "{'definition': %s}", cases[i].definition);

		ck_assert_msg(str_eq(str_at(e, "parameter"), cases[i].parameter), "%s: %s", cases[i].definition,
			      json_object_to_json_string(e));
	}
	json_object_put(client_error(c, "InvalidParameter", "instance-define", "{'definition': []}"));
	json_object_put(client_error(c, "InvalidParameter", "instance-define", "{}"));
	after = rig_world(rig, false);
	ck_assert_str_eq(before, after);
}
END_TEST

START_TEST(test_sizes)
{
	static const struct {
		const char *given;
		int64_t bytes;
	} cases[] = {
		{ "1048576", 1 << 20 },
		{ "'1048576'", 1 << 20 },
		{ "'1M'", 1 << 20 },
		{ "'1024K'", 1 << 20 },
		{ "'1.5G'", 3LL << 29 },
		{ "'64MiB'", 64 << 20 },
		{ "'64mb'", 64 << 20 },
		{ "'2T'", 2LL << 40 },
		{ "'512m'", 512 << 20 },
		{ "134217729", 134217729 },
		{ "9007199254740993", 9007199254740993 },
	};
	_cleanup_client_ struct client *c = client_new(rig);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_json_ struct json_object *o = client_ok(
			c, "instance-define", "{'definition': {'name': 'size', 'memory': %s}}", cases[i].given);

		ck_assert_msg(int_at(o, "definition.memory") == cases[i].bytes, "%s: %s", cases[i].given,
			      json_object_to_json_string(o));
	}
	undefine(c, "size");
}
END_TEST

/* The name is no other test's: nothing of it is there before, not even a trace. */
START_TEST(test_undefine)
{
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_free_ char *before = rig_world(rig, false), *after = NULL;
	_cleanup_json_ struct json_object *event = NULL, *o = NULL, *list = NULL;

	o = define(c, "{'name': 'undefined1'}");
	undefine(c, "undefined1");
	event = client_event(c, "INSTANCE_UNDEFINED");
	ck_assert_str_eq(str_at(event, "data.instance"), "undefined1");
	ck_assert_str_eq(str_at(event, "data.uuid"), str_at(o, "uuid"));
	json_object_put(client_error(c, "NotFound", "instance-undefine", "{'instance': 'undefined1'}"));
	json_object_put(client_error(c, "NotFound", "query-instance", "{'instance': '%s'}", str_at(o, "uuid")));
	list = client_ok(c, "query-instances", "{}");
	ck_assert_int_eq(json_object_array_length(list), 0);
	after = rig_world(rig, false);
	ck_assert_str_eq(before, after);
}
END_TEST

/* Changes of one instance, sent together, happen in their order. */
START_TEST(test_changes_in_order)
{
	_cleanup_client_ struct client *c = client_new(rig);
	int ids[30];

	for (int i = 0; i < 30; i += 3) {
		ids[i] = client_send(c, "instance-define", "{'definition': {'name': 'order', 'vcpus': %d}}", i + 1);
		ids[i + 1] = client_send(c, "instance-define", "{'definition': {'name': 'order', 'vcpus': %d}}", i + 2);
		ids[i + 2] = client_send(c, "instance-define", "{'definition': {'name': 'order', 'vcpus': %d}}", i + 2);
	}
	for (int i = 0; i < 30; i++) {
		_cleanup_json_ struct json_object *o = client_reply(c, ids[i]);

		ck_assert_int_eq(json_object_get_boolean(at(o, "return.changed")), i % 3 < 2);
	}
	undefine(c, "order");
}
END_TEST

START_TEST(test_fields)
{
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_json_ struct json_object *all = NULL, *two = NULL, *wrong = NULL;

	client_define(c, "b", "%s", "");
	client_define(c, "a", "'uuid': '" UUID_A "'");
	client_define(c, "c", "%s", "");
	wrong = client_error(c, "InvalidParameter", "query-instances", "{'fields': ['state', 'nonsense']}");
	ck_assert_str_eq(str_at(wrong, "parameter"), "fields[1]");
	all = client_ok(c, "query-instances", "{'fields': ['state', 'pid']}");
	ck_assert_int_eq(json_object_array_length(all), 3);
	for (int i = 0; i < 3; i++) {
		struct json_object *row = json_object_array_get_idx(all, (size_t)i);

		ck_assert_int_eq(json_object_object_length(row), 2);
		ck_assert_int_eq(str_at(row, "name")[0], 'a' + i);
		ck_assert_str_eq(str_at(row, "state"), "shutoff");
	}
	two = client_ok(c, "query-instances", "{'instances': ['c', '" UUID_A "']}");
	ck_assert_int_eq(json_object_array_length(two), 2);
	ck_assert_str_eq(str_at(two, "0.name"), "c");
	ck_assert_str_eq(str_at(two, "1.name"), "a");
	for (const char *name = "abc"; *name; name++) {
		char text[2] = { *name, '\0' };

		undefine(c, text);
	}
}
END_TEST

/* ---- events ---- */

/* time() lags behind the clock that events are told by. */
static int64_t seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec;
}

START_TEST(test_events_follow_one_another)
{
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_json_ struct json_object *before = client_ok(c, "query-events", "{}"), *after = NULL;
	int64_t first = int_at(before, "last") + 1, last, now = seconds();
	size_t n;

	for (int i = 0; i < 10; i++)
		client_define(c, "web1", "'vcpus': %d", i + 1);
	undefine(c, "web1");
	after = client_ok(c, "query-events", "{'since': %lld}", (long long)first - 1);
	last = int_at(after, "last");
	n = json_object_array_length(at(after, "events"));
	ck_assert_int_eq(n, last - first + 1);
	ck_assert_int_gt(n, 11);
	for (size_t i = 0; i < n; i++) {
		_cleanup_json_ struct json_object *heard = client_event(c, NULL);
		struct json_object *kept = json_object_array_get_idx(at(after, "events"), i);

		ck_assert(json_object_equal(heard, kept));
		ck_assert_int_eq(int_at(heard, "seq"), first + (int64_t)i);
		ck_assert_int_eq(json_object_object_length(heard), 4);
		ck_assert(json_object_is_type(at(heard, "data"), json_type_object));
		ck_assert_int_eq(json_object_object_length(at(heard, "timestamp")), 2);
		ck_assert_int_ge(int_at(heard, "timestamp.seconds"), now);
		ck_assert_int_le(int_at(heard, "timestamp.seconds"), seconds());
		ck_assert_int_ge(int_at(heard, "timestamp.microseconds"), 0);
		ck_assert_int_lt(int_at(heard, "timestamp.microseconds"), 1000000);
	}
}
END_TEST

/* What a command caused is said before its answer. */
START_TEST(test_events_before_the_answer)
{
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_json_ struct json_object *o = NULL;
	bool defined = false;

	say(c, "{\"execute\": \"instance-define\", \"arguments\": {\"definition\": {\"name\": \"web1\"}}}\n");
	while (!o || has(o, "event")) {
		json_object_put(o);
		o = client_read(c);
		defined |= str_eq(json_get_str(o, "event"), "INSTANCE_DEFINED");
	}
	ck_assert(has(o, "return"));
	ck_assert(defined);
	undefine(c, "web1");
}
END_TEST

START_TEST(test_gap)
{
	static const char *const since[] = { "99999999", "9223372036854775806", "9223372036854775807" };
	_cleanup_json_ struct json_object *greeting = NULL, *now = NULL, *none = NULL, *same = NULL, *e = NULL;
	_cleanup_client_ struct client *c = NULL, *raw = NULL;
	const char *epoch;

	raw = client_raw(rig, &greeting);
	epoch = str_at(greeting, "QMP.epoch");
	c = client_new(rig);
	now = client_ok(c, "query-events", "{}");
	ck_assert_str_eq(str_at(now, "epoch"), epoch);
	ck_assert_str_eq(str_at(now, "events.0.event"), "DAEMON");
	ck_assert_str_eq(str_at(now, "events.0.data.what"), "started");
	ck_assert_str_eq(str_at(now, "events.0.data.epoch"), epoch);
	same = client_ok(c, "query-events", "{'since': 0, 'epoch': '%s'}", epoch);
	ck_assert(json_object_equal(now, same));
	none = client_ok(c, "query-events", "{'since': %lld, 'epoch': '%s'}", (long long)int_at(now, "last"), epoch);
	ck_assert_int_eq(json_object_array_length(at(none, "events")), 0);
	ck_assert_int_eq(int_at(none, "last"), int_at(now, "last"));
	e = client_error(c, "Gap", "query-events", "{'since': 0, 'epoch': '" UUID_A "'}");
	ck_assert_int_eq(int_at(e, "oldest"), 1);
	ck_assert_str_eq(str_at(e, "epoch"), epoch);
	for (size_t i = 0; i < ARRAY_SIZE(since); i++)
		json_object_put(client_error(c, "Gap", "query-events", "{'since': %s}", since[i]));
}
END_TEST

/* More than are kept. */
START_TEST(test_oldest)
{
	enum { KEPT = 4096 };
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_json_ struct json_object *e = NULL, *all = NULL, *some = NULL;
	int64_t oldest;

	for (int i = 0; i < KEPT / 2; i++)
		client_define(c, "web1", "%s", "");
	all = client_ok(c, "query-events", "{}");
	ck_assert_int_eq(json_object_array_length(at(all, "events")), KEPT);
	oldest = int_at(all, "events.0.seq");
	ck_assert_int_eq(oldest, int_at(all, "last") - KEPT + 1);
	e = client_error(c, "Gap", "query-events", "{'since': %lld}", (long long)oldest - 2);
	ck_assert_int_eq(int_at(e, "oldest"), oldest);
	some = client_ok(c, "query-events", "{'since': %lld}", (long long)oldest - 1);
	ck_assert(json_object_equal(some, all));
	undefine(c, "web1");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("definitions and events");
	TCase *tc = wire_case(s, "define");

	tcase_add_test(tc, test_define);
	tcase_add_test(tc, test_devices);
	tcase_add_test(tc, test_define_again);
	tcase_add_test(tc, test_replace);
	tcase_add_test(tc, test_identity);
	tcase_add_loop_test(tc, test_identity_at_once, 0, 2);
	tcase_add_test(tc, test_names);
	tcase_add_test(tc, test_bad_members);
	tcase_add_test(tc, test_sizes);
	tcase_add_test(tc, test_undefine);
	tcase_add_test(tc, test_changes_in_order);
	tcase_add_test(tc, test_fields);
	tc = wire_case(s, "events");
	tcase_add_test(tc, test_events_follow_one_another);
	tcase_add_test(tc, test_events_before_the_answer);
	tcase_add_test(tc, test_gap);
	tcase_add_test(tc, test_oldest);
	return s;
}

RIG_MAIN(suite)
