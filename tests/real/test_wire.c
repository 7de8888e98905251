/* SPDX-License-Identifier: BSD-2-Clause */
/* The wire: greeting, handshake, requests, arguments, framing. */
#include "wire.h"

#include <sys/socket.h>

/* ---- the handshake ---- */

START_TEST(test_greeting)
{
	_cleanup_client_ struct client *c = NULL;
	_cleanup_json_ struct json_object *o = NULL;

	c = client_raw(rig, &o);
	ck_assert_int_eq(json_object_object_length(o), 1);
	ck_assert_int_eq(json_object_object_length(at(o, "QMP")), 3);
	ck_assert(json_object_is_type(at(o, "QMP.version.qemu.major"), json_type_int));
	ck_assert(json_object_is_type(at(o, "QMP.version.qemu.minor"), json_type_int));
	ck_assert(json_object_is_type(at(o, "QMP.version.qemu.micro"), json_type_int));
	ck_assert_str_eq(str_at(o, "QMP.version.package"), "drover-" DROVER_VERSION);
	ck_assert_int_eq(json_object_array_length(at(o, "QMP.capabilities")), 0);
	ck_assert_int_eq(strlen(str_at(o, "QMP.epoch")), 36);
}
END_TEST

START_TEST(test_nothing_before_the_handshake)
{
	static const char *const commands[] = { "query-version", "query-commands", "instance-define", "nonsense" };
	_cleanup_client_ struct client *c = NULL;
	_cleanup_json_ struct json_object *greeting = NULL;

	c = client_raw(rig, &greeting);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		_cleanup_json_ struct json_object *e = client_error(c, "CommandNotFound", commands[i], NULL);

		ck_assert_ptr_nonnull(strstr(str_at(e, "desc"), "qmp_capabilities"));
	}
	json_object_put(client_ok(c, "qmp_capabilities", NULL));
	expect_served(c);
}
END_TEST

START_TEST(test_capabilities)
{
	static const struct {
		const char *args, *parameter; /* NULL: it is taken */
	} cases[] = {
		{ "{'enable': ['oob']}", "enable" },
		{ "{'enable': ['nonsense']}", "enable" },
		{ "{'enable': 'oob'}", "enable" },
		{ "{'enable': null}", "enable" },
		{ "{'disable': []}", "disable" },
		{ "{'enable': []}", NULL },
		{ "{}", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_client_ struct client *c = NULL;
		_cleanup_json_ struct json_object *greeting = NULL, *o = NULL;

		c = client_raw(rig, &greeting);
		if (cases[i].parameter) {
			o = client_error(c, "InvalidParameter", "qmp_capabilities", "%s", cases[i].args);
			ck_assert_str_eq(str_at(o, "parameter"), cases[i].parameter);
			json_object_put(client_error(c, "CommandNotFound", "query-version", NULL));
			json_object_put(client_ok(c, "qmp_capabilities", NULL));
		} else {
			o = client_ok(c, "qmp_capabilities", "%s", cases[i].args);
			ck_assert_int_eq(json_object_object_length(o), 0);
		}
		expect_served(c);
	}
}
END_TEST

START_TEST(test_handshake_twice)
{
	_cleanup_client_ struct client *c = client_new(rig);

	json_object_put(client_error(c, "CommandNotFound", "qmp_capabilities", NULL));
	json_object_put(client_error(c, "CommandNotFound", "qmp_capabilities", "{'enable': []}"));
	expect_served(c);
}
END_TEST

/* A request need not have arguments: QEMU's own clients leave them out. */
START_TEST(test_handshake_without_arguments)
{
	_cleanup_client_ struct client *c = NULL;
	_cleanup_json_ struct json_object *greeting = NULL, *o = NULL;

	c = client_raw(rig, &greeting);
	say(c, "{\"execute\": \"qmp_capabilities\"}\r\n");
	o = hear(c);
	ck_assert(has(o, "return"));
	ck_assert(!has(o, "id"));
	expect_served(c);
}
END_TEST

/* ---- requests ---- */

START_TEST(test_shape_of_requests)
{
	static const struct refusal cases[] = {
		{ "{\"execute\": \"query-version\", \"exec\": 1}\n", "InvalidParameter", "exec" },
		{ "{\"execute\": \"query-version\", \"argument\": {}}\n", "InvalidParameter", "argument" },
		{ "{\"exec-oob\": \"query-version\"}\n", "InvalidParameter", "exec-oob" },
		{ "{\"execute\": \"query-version\", \"\": {}}\n", "InvalidParameter", "" },
		{ "{}\n", "InvalidParameter", "execute" },
		{ "{\"arguments\": {}}\n", "InvalidParameter", "execute" },
		{ "{\"execute\": 1}\n", "InvalidParameter", "execute" },
		{ "{\"execute\": null}\n", "InvalidParameter", "execute" },
		{ "{\"execute\": [\"query-version\"]}\n", "InvalidParameter", "execute" },
		{ "{\"execute\": \"query-version\", \"arguments\": []}\n", "InvalidParameter", "arguments" },
		{ "{\"execute\": \"query-version\", \"arguments\": null}\n", "InvalidParameter", "arguments" },
		{ "{\"execute\": \"query-version\", \"arguments\": \"{}\"}\n", "InvalidParameter", "arguments" },
		{ "{\"execute\": \"\"}\n", "CommandNotFound", NULL },
		{ "{\"execute\": \"QUERY-VERSION\"}\n", "CommandNotFound", NULL },
		{ "{\"execute\": \"query-version \"}\n", "CommandNotFound", NULL },
		{ "[]\n", "GenericError", NULL },
		{ "[{\"execute\": \"query-version\"}]\n", "GenericError", NULL },
		{ "\"query-version\"\n", "GenericError", NULL },
		{ "1\n", "GenericError", NULL },
		{ "-0.5e1\n", "GenericError", NULL },
		{ "true\n", "GenericError", NULL },
		{ "null\n", "GenericError", NULL },
	};
	_cleanup_client_ struct client *c = client_new(rig);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect_refusal(c, &cases[i]);
}
END_TEST

START_TEST(test_arguments)
{
	static const struct {
		const char *command, *args, *class, *parameter;
	} cases[] = {
		{ "query-version", "{'x': 1}", "InvalidParameter", "x" },
		{ "query-version", "{'id': 1}", "InvalidParameter", "id" },
		{ "query-version", "{'job-id': 'x'}", "InvalidParameter", "job-id" },
		{ "query-instance", "{}", "InvalidParameter", "instance" },
		{ "query-instance", "{'instance': 1}", "InvalidParameter", "instance" },
		{ "query-instance", "{'instance': null}", "InvalidParameter", "instance" },
		{ "query-instance", "{'instance': ''}", "InvalidParameter", "instance" },
		{ "query-instance", "{'instance': 'web1', 'instances': []}", "InvalidParameter", "instances" },
		{ "query-instance", "{'instance': 'nope'}", "NotFound", NULL },
		{ "query-instance", "{'instance': '../etc'}", "NotFound", NULL },
		{ "query-instance", "{'instance': '5f1c2f0e-8a55-4a6e-9f53-0c2b6a1d9e10'}", "NotFound", NULL },
		{ "query-instances", "{'instances': 'nope'}", "InvalidParameter", "instances" },
		{ "query-instances", "{'instances': ['a', 5]}", "InvalidParameter", "instances[1]" },
		{ "query-instances", "{'fields': ['name', '']}", "InvalidParameter", "fields[1]" },
		{ "query-instances", "{'instances': ['nope']}", "NotFound", NULL },
		{ "query-events", "{'since': '1'}", "InvalidParameter", "since" },
		{ "query-events", "{'since': 1.0}", "InvalidParameter", "since" },
		{ "query-events", "{'since': -1}", "InvalidParameter", "since" },
		{ "query-events", "{'since': 9223372036854775808}", "InvalidParameter", "since" },
		{ "query-events", "{'epoch': 'yesterday'}", "InvalidParameter", "epoch" },
		{ "query-log", "{'instance': 'nope', 'which': 'both'}", "InvalidParameter", "which" },
		{ "query-log", "{'instance': 'nope', 'bytes': 0}", "InvalidParameter", "bytes" },
		{ "query-jobs", "{'instance': 'nope'}", "NotFound", NULL },
		{ "instance-start", "{'instance': 'nope', 'paused': 1}", "InvalidParameter", "paused" },
		{ "instance-start", "{'instance': 'nope', 'job-id': ''}", "InvalidParameter", "job-id" },
		{ "instance-start", "{'instance': 'nope', 'job-id': '#1'}", "InvalidParameter", "job-id" },
		{ "instance-start", "{'instance': 'nope', 'job-id': 7}", "InvalidParameter", "job-id" },
		{ "instance-start", "{'instance': 'nope', 'job-id': 'x'}", "NotFound", NULL },
		{ "instance-shutdown", "{'instance': 'nope', 'timeout': -1}", "InvalidParameter", "timeout" },
		{ "instance-shutdown", "{'instance': 'nope', 'then': 'kill'}", "InvalidParameter", "then" },
		{ "instance-pause", "{'instance': 'nope', 'job-id': 'x'}", "InvalidParameter", "job-id" },
		{ "instance-pause", "{'instance': 'nope'}", "NotFound", NULL },
		{ "instance-undefine", "{'instance': 'nope'}", "NotFound", NULL },
		{ "console-attach", "{'instance': 'nope'}", "NotFound", NULL },
		{ "console-attach", "{'instance': 'nope', 'mode': 'wo'}", "InvalidParameter", "mode" },
		{ "job-cancel", "{'id': 'nope'}", "NotFound", NULL },
		{ "job-dismiss", "{'id': '#1234567'}", "NotFound", NULL },
		{ "job-dismiss", "{}", "InvalidParameter", "id" },
	};
	_cleanup_client_ struct client *c = client_new(rig);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_json_ struct json_object *e = client_error(c, cases[i].class, cases[i].command, "%s",
								    cases[i].args);

		if (cases[i].parameter)
			ck_assert_str_eq(str_at(e, "parameter"), cases[i].parameter);
	}
}
END_TEST

START_TEST(test_long_instance)
{
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_free_ char *name = xcalloc(65, 1);
	_cleanup_json_ struct json_object *e = NULL;

	memset(name, 'a', 64);
	e = client_error(c, "InvalidParameter", "query-instance", "{'instance': '%s'}", name);
	ck_assert_str_eq(str_at(e, "parameter"), "instance");
	name[63] = '\0';
	json_object_put(client_error(c, "NotFound", "query-instance", "{'instance': '%s'}", name));
}
END_TEST

START_TEST(test_misspelt_command)
{
	static const struct {
		const char *given, *meant;
	} cases[] = {
		{ "query-instancs", "'query-instance" },
		{ "instance_start", "'instance-start'" },
		{ "query-vesion", "'query-version'" },
		{ "instance-Stop", "'instance-stop'" },
		{ "frobnicate", NULL },
	};
	_cleanup_client_ struct client *c = client_new(rig);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_json_ struct json_object *e = client_error(c, "CommandNotFound", cases[i].given, NULL);
		const char *desc = str_at(e, "desc");

		ck_assert_ptr_nonnull(strstr(desc, cases[i].given));
		if (cases[i].meant)
			ck_assert_msg(strstr(desc, cases[i].meant) != NULL, "no hint: %s", desc);
		else
			ck_assert_msg(strstr(desc, "mean") == NULL, "a hint: %s", desc);
	}
}
END_TEST

/* What is only for us is no client's. */
START_TEST(test_internal_commands)
{
	_cleanup_client_ struct client *c = client_new(rig);

	json_object_put(client_error(c, "CommandNotFound", "instance-collect", "{'instance': 'nope'}"));
	json_object_put(client_error(c, "CommandNotFound", "instance-poweroff", "{'instance': 'nope'}"));
}
END_TEST

/* ---- ids and order ---- */

START_TEST(test_ids_come_back)
{
	static const char *const ids[] = {
		"0",
		"-1",
		"7",
		"9223372036854775807",
		"-9223372036854775808",
		"18446744073709551615",
		"1.5",
		"-0.25",
		"1e100",
		"\"\"",
		"\"x\"",
		"\"\\\"\\\\\\n\\u0001\"",
		"\"\xc3\xbc\"",
		"\"\\ud83d\\ude00\"",
		"true",
		"false",
		"null",
		"[]",
		"{}",
		"[1, [2, {\"a\": null}]]",
		"{\"execute\": \"stop\", \"id\": 1}",
	};
	_cleanup_client_ struct client *c = client_new(rig);

	for (size_t i = 0; i < ARRAY_SIZE(ids) * 2; i++) {
		const char *id = ids[i / 2];
		_cleanup_free_ char *line = xasprintf("{\"id\": %s, \"execute\": \"%s\"}\n", id,
						      i % 2 ? "nonsense" : "query-version");
		_cleanup_json_ struct json_object *sent = NULL, *o = NULL;
		struct json_object *got = NULL;

		ck_assert(json_parse(id, strlen(id), &json_limits_request, &sent, NULL));
		say(c, line);
		o = hear(c);
		ck_assert_msg(json_object_object_get_ex(o, "id", &got), "no id: %s", json_object_to_json_string(o));
		ck_assert_msg(json_object_equal(got, sent), "%s came back: %s", id, json_object_to_json_string(o));
		ck_assert(has(o, i % 2 ? "error" : "return"));
	}
}
END_TEST

/* A change takes its time, a query none; without ids only the order tells which is which. */
START_TEST(test_order_without_ids)
{
	_cleanup_client_ struct client *c = client_new(rig);
	static const char *const answers[] = {
		"return.qemu",    "return.uuid",     "return.package", "error.class",
		"return.changed", "return.commands", "error.class",    "return.0.name",
	};

	say(c, "{\"execute\": \"query-version\"}"
	       "{\"execute\": \"instance-define\", \"arguments\": {\"definition\": {\"name\": \"order\"}}}"
	       "{\"execute\": \"query-version\"}"
	       "{\"execute\": \"nonsense\"}"
	       "{\"execute\": \"instance-undefine\", \"arguments\": {\"instance\": \"order\"}}"
	       "{\"execute\": \"query-schema\"}"
	       "{\"execute\": \"query-instance\", \"arguments\": {\"instance\": \"order\"}}"
	       "{\"execute\": \"query-commands\"}\n");
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		_cleanup_json_ struct json_object *o = hear(c);

		ck_assert_msg(!has(o, "id") && has(o, answers[i]), "answer %zu: %s", i, json_object_to_json_string(o));
	}
}
END_TEST

enum { PIPELINED = 100 };

START_TEST(test_pipelined)
{
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_free_ char *all = xstrdup("");
	bool seen[PIPELINED] = { false };

	for (int i = 0; i < PIPELINED; i++) {
		_cleanup_free_ char *before = all;

		all = xasprintf("%s{\"execute\": \"%s\", \"id\": %d}", before, i % 3 ? "query-version" : "query-jobs",
				i);
	}
	say(c, all);
	for (int i = 0; i < PIPELINED; i++) {
		_cleanup_json_ struct json_object *o = hear(c);
		int64_t id = int_at(o, "id");

		ck_assert(id >= 0 && id < PIPELINED && !seen[id]);
		seen[id] = true;
		ck_assert(json_object_is_type(at(o, "return"), id % 3 ? json_type_object : json_type_array));
	}
}
END_TEST

/* More than may be in flight at once, each of which writes to the disk; and no id. */
START_TEST(test_pipelined_changes)
{
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_free_ char *all = xstrdup("");

	for (int i = 0; i < PIPELINED; i++) {
		_cleanup_free_ char *before = all;

		all = xasprintf(
			"%s{\"execute\": \"instance-define\", \"arguments\": {\"definition\": {\"name\": \"many\", "
			"\"memory\": %d}}}",
			before, (16 + i) << 20);
	}
	say(c, all);
	for (int i = 0; i < PIPELINED; i++) {
		_cleanup_json_ struct json_object *o = hear(c);

		ck_assert_msg(has(o, "return"), "answer %d: %s", i, json_object_to_json_string(o));
		ck_assert_int_eq(int_at(o, "return.definition.memory"), (16 + i) << 20);
	}
	json_object_put(client_ok(c, "instance-undefine", "{'instance': 'many'}"));
}
END_TEST

/* ---- framing ---- */

/* The bytes of the answer to a request, the line end with them. */
START_TEST(test_lines)
{
	_cleanup_client_ struct client *c = client_new(rig);
	static char data[1 << 18];
	size_t n = 0;

	ck_assert_int_eq(client_read_bytes(c, data, 2), 2); /* behind the handshake's reply */
	ck_assert_mem_eq(data, "\r\n", 2);
	say(c, "{\"execute\": \"query-schema\"}");
	while (n < 2 || data[n - 1] != '\n')
		n += client_read_bytes(c, data + n, sizeof(data) - n);
	ck_assert_mem_eq(data, "{\"return\":", 10);
	ck_assert_mem_eq(data + n - 4, "}}\r\n", 4);
	ck_assert_ptr_eq(memchr(data, '\n', n), data + n - 1);
	ck_assert_ptr_eq(memchr(data, '\r', n), data + n - 2);
}
END_TEST

START_TEST(test_framing)
{
	static const char *const between[] = { "", "\n", "\r\n", " ", "\t\n\n\r\n ", "\r" };
	_cleanup_client_ struct client *c = client_new(rig);

	for (size_t i = 0; i < ARRAY_SIZE(between); i++) {
		_cleanup_free_ char *text = xasprintf("{\"execute\": \"query-version\", \"id\": "
						      "1}%s{\n\"execute\"\r\n:\t\"query-version\" , \"id\": 2 }%s"
						      "{\"execute\":\"query-version\",\"id\":3}%s",
						      between[i], between[i], between[i]);

		say(c, text);
		for (int id = 1; id <= 3; id++) {
			_cleanup_json_ struct json_object *o = hear(c);

			ck_assert_int_eq(int_at(o, "id"), id);
			ck_assert(has(o, "return"));
		}
	}
}
END_TEST

START_TEST(test_byte_by_byte)
{
	static const char text[] = "{\"execute\": \"query-version\", \"id\": \"\xc3\xbc\\u00fc\"}"
				   "{\"execute\": \"nonsense\", \"id\": 2}";
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_json_ struct json_object *first = NULL, *second = NULL;

	for (const char *p = text; *p; p++)
		client_write(c, p, 1);
	first = hear(c);
	second = hear(c);
	ck_assert_str_eq(str_at(first, "id"), "\xc3\xbc\xc3\xbc");
	ck_assert(has(first, "return.qemu"));
	ck_assert_int_eq(int_at(second, "id"), 2);
	ck_assert(has(second, "error"));
}
END_TEST

/* Who sends no more may still be reading. */
START_TEST(test_half_closed)
{
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_json_ struct json_object *o = NULL;

	say(c, "{\"execute\": \"query-version\", \"id\": 1}");
	ck_assert_int_eq(shutdown(client_fd(c), SHUT_WR), 0);
	o = hear(c);
	ck_assert(has(o, "return.qemu"));
	ck_assert_ptr_null(client_read(c));
}
END_TEST

START_TEST(test_half_a_message)
{
	static const char *const halves[] = {
		"{",
		"{\"execute\"",
		"{\"execute\": \"query-version",
		"[",
		"\"\\u12",
		"tru",
		"-",
		"{\"execute\": \"query-version\"",
	};

	for (size_t i = 0; i < ARRAY_SIZE(halves); i++) {
		_cleanup_client_ struct client *gone = client_new(rig), *c = client_new(rig);
		_cleanup_json_ struct json_object *e = NULL;

		say(gone, halves[i]);
		say(c, halves[i]);
		ck_assert_int_eq(shutdown(client_fd(c), SHUT_WR), 0);
		e = hear_error(c, "GenericError");
		ck_assert_ptr_null(client_read(c));
	}
}
END_TEST

/* ---- what the daemon says of itself ---- */

START_TEST(test_schema)
{
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_json_ struct json_object *names = client_ok(c, "query-commands", NULL);
	_cleanup_json_ struct json_object *schema = client_ok(c, "query-schema", NULL);
	struct json_object *commands = at(schema, "commands");
	size_t n = json_object_array_length(names);
	const char *last = "";

	ck_assert_int_gt(n, 10);
	ck_assert_int_eq(json_object_array_length(commands), n);
	for (size_t i = 0; i < n; i++) {
		struct json_object *row = json_object_array_get_idx(commands, i);
		struct json_object *args = at(row, "arguments");

		ck_assert_str_eq(str_at(row, "name"), str_at(json_object_array_get_idx(names, i), "name"));
		ck_assert_msg(strcmp(last, str_at(row, "name")) < 0, "'%s' behind '%s'", str_at(row, "name"), last);
		last = str_at(row, "name");
		ck_assert_int_gt(strlen(str_at(row, "doc")), 10);
		ck_assert_str_ne(str_at(row, "returns"), "");
		ck_assert_ptr_nonnull(strstr("qacl", str_at(row, "class")));
		for (size_t k = 0; k < json_object_array_length(args); k++) {
			struct json_object *arg = json_object_array_get_idx(args, k);

			ck_assert_msg(has(arg, "name") && has(arg, "type") && strlen(str_at(arg, "doc")) > 5, "%s: %s",
				      str_at(row, "name"), json_object_to_json_string(arg));
		}
	}
}
END_TEST

START_TEST(test_schema_of_the_rest)
{
	static const char *const parts[] = { "hvparams", "definition", "errors", "states" };
	static const char *const lists[] = { "disk", "nic", "config" };
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_json_ struct json_object *schema = client_ok(c, "query-schema", NULL);

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		struct json_object *rows = at(schema, parts[i]);

		ck_assert_int_gt(json_object_array_length(rows), 3);
		for (size_t k = 0; k < json_object_array_length(rows); k++)
			ck_assert_int_gt(strlen(str_at(json_object_array_get_idx(rows, k), "doc")), 3);
	}
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		ck_assert(json_object_is_type(at(schema, lists[i]), json_type_array));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("wire");
	TCase *tc = wire_case(s, "wire");

	tcase_add_test(tc, test_greeting);
	tcase_add_test(tc, test_nothing_before_the_handshake);
	tcase_add_test(tc, test_capabilities);
	tcase_add_test(tc, test_handshake_twice);
	tcase_add_test(tc, test_handshake_without_arguments);
	tcase_add_test(tc, test_shape_of_requests);
	tcase_add_test(tc, test_arguments);
	tcase_add_test(tc, test_long_instance);
	tcase_add_test(tc, test_misspelt_command);
	tcase_add_test(tc, test_internal_commands);
	tcase_add_test(tc, test_ids_come_back);
	tcase_add_test(tc, test_order_without_ids);
	tcase_add_test(tc, test_pipelined);
	tcase_add_test(tc, test_pipelined_changes);
	tcase_add_test(tc, test_lines);
	tcase_add_test(tc, test_framing);
	tcase_add_test(tc, test_byte_by_byte);
	tcase_add_test(tc, test_half_closed);
	tcase_add_test(tc, test_half_a_message);
	tcase_add_test(tc, test_schema);
	tcase_add_test(tc, test_schema_of_the_rest);
	return s;
}

RIG_MAIN(suite)
