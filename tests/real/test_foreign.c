/* SPDX-License-Identifier: BSD-2-Clause */
/* A client that was not written for drover: qmp_client.py beside this file. */
#include "wire.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifndef QMP_CLIENT
#error "QMP_CLIENT is the path of qmp_client.py"
#endif

enum { WORDS_MAX = 32 };

static void client_exec(char **argv, pid_t parent)
{
	_cleanup_free_ char *out = xasprintf("%s/client.out", rig->root), *err = xasprintf("%s/client.err", rig->root);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
	dup2(open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
	dup2(open(err, O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
	execvp(argv[0], argv);
	_exit(127);
}

/* Runs the client with WORDS, which end with NULL; what it printed, a list of values. */
static struct json_object *run_client(const char *const *words)
{
	_cleanup_free_ char *path = xasprintf("%s/run/drover.sock", rig->root), *text = NULL, *err = NULL;
	char *argv[WORDS_MAX] = { (char *)(uintptr_t) "python3", (char *)(uintptr_t)QMP_CLIENT, path };
	struct json_object *list = json_object_new_array();
	pid_t self = getpid(), pid;
	char *save = NULL;
	int status;

	for (int i = 3; *words && i < WORDS_MAX - 1; words++)
		argv[i++] = (char *)(uintptr_t)*words;
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		client_exec(argv, self);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	err = rig_file(rig, "client.err");
	ck_assert_msg(status == 0, "status %#x: %s", status, err);
	text = rig_file(rig, "client.out");
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct json_object *o = NULL;

		ck_assert_msg(json_parse(line, strlen(line), &json_limits_qemu, &o, NULL), "no JSON: %s", line);
		json_object_array_add(list, o);
	}
	return list;
}

/* Every command, in the only way that one can call what one does not know. */
START_TEST(test_all_commands)
{
	_cleanup_client_ struct client *c = client_new(rig);
	_cleanup_json_ struct json_object *names = client_ok(c, "query-commands", NULL), *answers = NULL;
	size_t n = json_object_array_length(names);

	answers = run_client((const char *const[]){ NULL });
	ck_assert_int_eq(json_object_array_length(answers), n);
	for (size_t i = 0; i < n; i++) {
		const char *name = str_at(json_object_array_get_idx(names, i), "name");
		struct json_object *o = json_object_array_get_idx(answers, i);

		if (has(o, "error"))
			ck_assert_msg(!str_starts(name, "query-") || str_eq(str_at(o, "error.parameter"), "instance"),
				      "%s: %s", name, json_object_to_json_string(o));
		else
			ck_assert_msg(str_starts(name, "query-"), "%s: %s", name, json_object_to_json_string(o));
	}
}
END_TEST

START_TEST(test_conversation)
{
	static const char *const words[] = {
		"query-version",
		"--",
		"instance-define",
		"definition={\"name\": \"web1\", \"description\": \"\\u00fc\"}",
		"--",
		"query-instance",
		"instance=\"web1\"",
		"--",
		"instance-start",
		"instance=\"nope\"",
		"--",
		"instance-undefine",
		"instance=\"web1\"",
		NULL,
	};
	_cleanup_json_ struct json_object *o = run_client(words);
	bool defined = false, undefined = false;

	ck_assert_str_eq(str_at(o, "0.return.package"), "drover-" DROVER_VERSION);
	ck_assert(json_object_get_boolean(at(o, "1.return.changed")));
	ck_assert_str_eq(str_at(o, "2.return.definition.description"), "\xc3\xbc");
	ck_assert_str_eq(str_at(o, "3.error.class"), "NotFound");
	ck_assert(json_object_get_boolean(at(o, "4.return.changed")));
	for (size_t i = 5; i < json_object_array_length(o); i++) {
		const char *event = str_at(json_object_array_get_idx(o, i), "event");

		defined |= str_eq(event, "INSTANCE_DEFINED");
		undefined |= str_eq(event, "INSTANCE_UNDEFINED") && defined;
	}
	ck_assert(undefined);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("a foreign client");
	TCase *tc = wire_case(s, "foreign");

	tcase_add_test(tc, test_all_commands);
	tcase_add_test(tc, test_conversation);
	return s;
}

int main(void)
{
	if (system("python3 -c 'import json, socket' > /dev/null 2>&1") != 0) {
		puts("SKIP: there is no python3");
		return 77;
	}
	return rig_main(suite);
}
