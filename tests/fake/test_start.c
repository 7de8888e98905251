/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the steps of a start leave behind them: descriptors in QEMU, children, words of an error.
 */
#include "base/file.h"
#include "runtime/process.h"
#include "stage.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WEB "{'instance': 'web'}"

enum { LOOK_US = 2000, LOOKS = RIG_DEADLINE_MS * 1000 / LOOK_US };

/* ---- fd sets ---- */

static int pending(void)
{
	_cleanup_free_ char *text = rig_file(stage.r, "run/instances/web/runtime.json");
	_cleanup_json_ struct json_object *o = text ? json_tokener_parse(text) : NULL;

	return o ? (int)json_object_array_length(at(o, "fdsets.pending")) : -1;
}

static void await_none_pending(void)
{
	for (int i = 0; i < LOOKS && pending() != 0; i++)
		usleep(LOOK_US);
	ck_assert_int_eq(pending(), 0);
}

static int asked(const char *command)
{
	_cleanup_free_ char *text = rig_file(stage.r, "asked"), *line = xasprintf("qmp %s\n", command);
	int n = 0;

	for (const char *p = text; p && (p = strstr(p, line)); p++)
		n++;
	return n;
}

static void set_web(const char *words)
{
	stage_set("%s", "");
	stage_define("web", "%s fake.record=%s/asked", words, stage.r->root);
}

START_TEST(sets_are_emptied)
{
	set_web("");
	stage_start("web");
	await_none_pending();
	ck_assert_int_gt(asked("remove-fd"), 1);
}
END_TEST

/* QEMU says yes and does nothing while the guest does not run. */
START_TEST(sets_wait_for_the_guest)
{
	set_web("fake.fdsets=late");
	json_object_put(client_ok(stage.c, "instance-start", "{'instance': 'web', 'paused': true}"));
	ck_assert_int_gt(pending(), 1);
	ck_assert_int_eq(asked("remove-fd"), 0);
	stage_restart();
	client_await_state(stage.c, "web", "paused", "starting");
	ck_assert_int_gt(pending(), 1);
	json_object_put(client_ok(stage.c, "instance-resume", WEB));
	await_none_pending();
}
END_TEST

START_TEST(sets_are_emptied_by_the_next)
{
	_cleanup_free_ char *words = NULL;

	stage_set("%s", "");
	words = xasprintf("fake.hold=remove-fd#1:%s/gate fake.record=%s/asked", stage.r->root, stage.r->root);
	stage_define("web", "%s", words);
	client_send(stage.c, "instance-start", WEB);
	stage_await_text("asked", "qmp remove-fd");
	stage_kill();
	ck_assert_int_gt(pending(), 1);
	stage_write("gate", "");
	stage_restart();
	await_none_pending();
	stage_check_state("web", "running", "booted");
}
END_TEST

/* They are asked for again when there is a reason to, and not before. */
START_TEST(sets_that_stay)
{
	static const char *const words[] = { "fake.fdsets=stay", "fake.error=remove-fd:GenericError:no" };
	int n, first;

	set_web(words[_i]);
	stage_start("web");
	stage_await_text("asked", "qmp query-fdsets");
	json_object_put(client_ok(stage.c, "instance-pause", WEB));
	n = pending();
	first = asked("remove-fd");
	ck_assert_int_gt(n, 1);
	ck_assert_int_le(first, 3 * n); /* a few replies say that it runs */
	json_object_put(client_ok(stage.c, "instance-resume", WEB));
	json_object_put(client_ok(stage.c, "instance-pause", WEB));
	ck_assert_int_le(asked("remove-fd"), first + 3 * n);
	ck_assert_int_eq(pending(), n);
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
}
END_TEST

/* ---- errors ---- */

enum { STEPS = 22 };

/* The name of step NUMBER, as the run before noted it. */
static char *step_name(int number)
{
	_cleanup_free_ char *text = rig_file(stage.r, "steps");
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		const char *rest = line + strlen("step instance-start ");
		char *end;

		if (!str_starts(line, "step instance-start "))
			continue;
		rest += strspn(rest, "!~@");
		if (strtol(rest, &end, 10) == number)
			return xstrdup(end + 1);
	}
	return NULL;
}

static void set_fault(int step, const char *fault, const char *words)
{
	stage_set("%s", "");
	stage_define("web", "%s", words);
	stage_kill();
	free(stage.r->fault);
	stage.r->fault = xasprintf("log=%s/steps;instance-start/%d/%s", stage.r->root, step, fault);
	stage_restart();
}

/* What was committed stays; all else is undone. */
START_TEST(errors_have_details)
{
	enum { COMMIT = 19 };
	_cleanup_free_ char *name = NULL;
	_cleanup_json_ struct json_object *e = NULL;

	set_fault(_i, "before/fail", "ro");
	e = client_error(stage.c, "GenericError", "instance-start", WEB);
	name = step_name(_i);
	ck_assert_ptr_nonnull(name);
	ck_assert_str_eq(str_at(e, "step"), name);
	ck_assert_int_eq(json_object_get_boolean(at(e, "undone")), _i <= COMMIT);
	ck_assert_int_eq(str_at(e, "trace")[0], '#');
	ck_assert_int_eq(stage_pid("web") != 0, _i > COMMIT);
	if (_i <= COMMIT)
		stage_check_state("web", "shutoff", _i == 0 ? "never-started" : "failed");
}
END_TEST

START_TEST(errors_have_last_words)
{
	static const struct {
		const char *words, *fault;
		int step;
	} rows[] = {
		{ "fake.say=last_words fake.exit=start:3", "before/none", 99 },
		{ "fake.say=last_words fake.kill=query-status#1:11", "before/none", 99 },
		{ "fake.say=last_words", "before/killqemu", 16 },
		{ "fake.say=last_words", "after/killqemu", 15 },
		{ "fake.say=last_words fake.kill=cont:9", "before/none", 99 },
		{ "fake.say=last_words", "before/killqemu", 19 },
	};
	_cleanup_json_ struct json_object *reply = NULL;
	int id;

	set_fault(rows[_i].step, str_eq(rows[_i].fault, "before/none") ? "before/fail" : rows[_i].fault,
		  rows[_i].words);
	id = client_send(stage.c, "instance-start", WEB);
	reply = client_reply(stage.c, id);
	ck_assert_msg(has(reply, "error.log"), "%s", json_object_to_json_string(reply));
	ck_assert_ptr_nonnull(strstr(str_at(reply, "error.log"), "last words"));
	ck_assert(has(reply, "error.step") && has(reply, "error.undone") && has(reply, "error.trace"));
	stage_settle();
	ck_assert_int_eq(stage_pid("web"), 0);
}
END_TEST

/* Its process is there, and no QEMU yet that could be asked: it is said so, and not that it has ended. */
START_TEST(asked_while_it_starts)
{
	static const struct {
		const char *command, *args;
	} rows[] = {
		{ "display-password", ", 'display': 'vnc', 'password': 'xyzzy'" },
		{ "instance-screenshot", "" },
		{ "instance-send-key", ", 'keys': ['a']" },
		{ "instance-qmp", ", 'execute': 'query-name'" },
		{ "instance-pause", "" },
		{ "instance-resume", "" },
		{ "instance-reset", "" },
		{ "instance-nmi", "" },
	};
	_cleanup_json_ struct json_object *reply = NULL;
	pid_t pid;
	int id;

	stage_set("instance-start/let QEMU go/before/freeze");
	stage_define("web", "%s", "ro");
	id = client_send(stage.c, "instance-start", WEB);
	stage_await_pid("web");
	pid = stage_pid("web");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_json_ struct json_object *e = client_error(stage.c, "WrongState", rows[i].command,
								    "{'instance': 'web'%s}", rows[i].args);

		ck_assert_msg(strstr(str_at(e, "desc"), "starting"), "%s: %s", rows[i].command, str_at(e, "desc"));
	}
	kill(pid, SIGCONT);
	reply = client_reply(stage.c, id);
	ck_assert_msg(has(reply, "return"), "%s", json_object_to_json_string(reply));
}
END_TEST

/* ---- children ---- */

/* Those who do not live long, and may not be seen in time, are looked for again. */
enum { TRIES = 20 };

static pid_t find_process(const char *name)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;
	pid_t found = 0;

	while ((d = readdir(proc))) {
		_cleanup_free_ char *path = xasprintf("/proc/%s/comm", d->d_name), *text = NULL;
		char first;

		if (!found && sscanf(d->d_name, "%c", &first) == 1 && first >= '0' && first <= '9' &&
		    file_read(AT_FDCWD, path, 64, &text, NULL, NULL) && str_starts(text, name))
			found = (pid_t)strtol(d->d_name, NULL, 10);
	}
	closedir(proc);
	return found;
}

/* Stops a child of this NAME where it is at work; 0: it was not seen, or had ended before. */
static pid_t stop_child(const char *name, int start)
{
	_cleanup_free_ char *copy = xasprintf("%s/run/instances/web/q/kernel", stage.r->root);
	_cleanup_json_ struct json_object *reply = NULL;
	pid_t child = 0;

	while (!(child = find_process(name)) && !(reply = client_poll_reply(stage.c, start)))
		usleep(LOOK_US / 10);
	/* While it becomes who it opens for, it has to ask for its own end anew. */
	for (int i = 0; i < LOOKS && child && str_eq(name, "drover-open") && access(copy, F_OK) < 0; i++)
		usleep(LOOK_US / 10);
	if (!child || kill(child, SIGSTOP) < 0)
		return 0;
	while (process_run_state(child) && !strchr("TZ", process_run_state(child)))
		usleep(LOOK_US / 10);
	return process_run_state(child) == 'T' ? child : 0;
}

/* The kernel of "web" takes a while to be copied. */
static void set_large_kernel(void)
{
	_cleanup_free_ char *path = xasprintf("%s/large", stage.r->root);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	ck_assert_int_eq(ftruncate(fd, 256 << 20), 0);
	json_object_put(client_ok(stage.c, "instance-modify",
				  "{'instance': 'web', 'patch': {'hvparams': {'kernel_path': '%s'}}}", path));
}

/* Has the shell do WHAT with what is known of QEMU. */
static void change_capabilities(const char *what)
{
	_cleanup_free_ char *command = xasprintf("%s %s/lib/capabilities/*", what, stage.r->root);

	ck_assert_int_eq(system(command), 0); /* NOLINT(cert-env33-c): a path of our own */
}

/* What QEMU can do is asked anew. */
static void forget_capabilities(void)
{
	stage_kill();
	change_capabilities("rm -f");
	stage_restart();
}

/* A child that hangs does not outlive the droverd that wanted something of it. */
START_TEST(children_end_with_droverd)
{
	static const char *const names[] = { "drover-open", "drover-probe" };
	pid_t child = 0;

	if (getpid() != 1) {
		printf("SKIP: cannot have a PID namespace here\n");
		exit(77);
	}
	stage_set("%s", "");
	stage_define("web", "%s", "ro");
	set_large_kernel();
	for (int i = 0; i < TRIES && !child; i++) {
		json_object_put(client_ok(stage.c, "instance-stop", WEB));
		if (_i == 1)
			forget_capabilities();
		child = stop_child(names[_i], client_send(stage.c, "instance-start", WEB));
	}
	ck_assert_int_ne(child, 0);
	stage_kill();
	process_await_end(child);
	stage_restart();
	stage_settle();
	ck_assert_int_eq(stage_pid("web"), 0);
}
END_TEST

/* With VNC on a socket in the directory "d", and PATCH of its parameters. */
static void set_socket(const char *patch)
{
	_cleanup_free_ char *dir = NULL, *text = NULL;

	stage_set("%s", "");
	stage_define("web", "%s", "ro");
	dir = xasprintf("%s/d", stage.r->root);
	ck_assert_int_eq(mkdir(dir, 0700), 0);
	stage_write("secret", "much too long");
	text = stage_text(patch);
	json_object_put(client_ok(stage.c, "instance-modify",
				  "{'instance': 'web', 'patch': {'hvparams': {'vnc_bind_address': '%s'%s}}}", dir,
				  text));
}

/* It does not have this card any more. */
static void forget_card(void)
{
	stage_start("web");
	json_object_put(client_ok(stage.c, "instance-stop", WEB));
	stage_kill();
	change_capabilities("sed -i 's/ VGA / /'");
	stage_restart();
}

/* It is made early; nothing of it is left, whatever fails then. */
START_TEST(no_socket_is_left)
{
	static const struct {
		const char *patch, *class;
	} rows[] = {
		{ "", "Unsupported" },
		{ ", 'vnc_password_file': 'ROOT/secret'", "InvalidParameter" },
	};

	set_socket(rows[_i].patch);
	if (_i == 0)
		forget_card();
	stage_mark();
	json_object_put(client_error(stage.c, rows[_i].class, "instance-start", WEB));
	stage_check_unchanged();
	change_capabilities("rm -f"); /* no other test is to have them */
	ck_assert(!stage_is_there("d/web.vnc"));
}
END_TEST

START_TEST(no_socket_without_a_note)
{
	_cleanup_free_ char *note = NULL;
	_cleanup_json_ struct json_object *reply = NULL;
	pid_t opener = 0;
	int id = 0;

	set_socket("");
	set_large_kernel();
	for (int i = 0; i < TRIES && !opener; i++) {
		json_object_put(client_ok(stage.c, "instance-stop", WEB));
		id = client_send(stage.c, "instance-start", WEB);
		opener = stop_child("drover-open", id);
	}
	ck_assert_int_ne(opener, 0);
	note = xasprintf("%s/run/instances/web/.vnc.path.new", stage.r->root); /* so it cannot be written */
	ck_assert_int_eq(mkdir(note, 0700), 0);
	kill(opener, SIGCONT);
	reply = client_reply(stage.c, id);
	ck_assert_str_eq(str_at(reply, "error.step"), "open the displays");
	ck_assert(!stage_is_there("d/web.vnc"));
}
END_TEST

/* ---- what is so already ---- */

/* A start that would have to do something else than start is none, and says what does it. */
START_TEST(started_already)
{
	static const struct {
		const char *from, *arguments, *way; /* WAY NULL: it is so already */
	} rows[] = {
		{ "instance-resume", "", NULL },
		{ "instance-resume", ", 'paused': false", NULL },
		{ "instance-resume", ", 'paused': true", "'instance-pause'" },
		{ "instance-resume", ", 'boot': 'disk'", "stop it first" },
		{ "instance-pause", ", 'paused': true", NULL },
		{ "instance-pause", "", "'instance-resume'" },
		{ "instance-pause", ", 'paused': true, 'boot': 'disk'", "stop it first" },
	};

	stage_set("%s", "");
	stage_define("web", "%s", "");
	stage_start("web");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *arguments = xasprintf("{'instance': 'web'%s}", rows[i].arguments);
		_cleanup_json_ struct json_object *o = NULL;

		json_object_put(client_ok(stage.c, rows[i].from, WEB));
		o = rows[i].way ? client_error(stage.c, "WrongState", "instance-start", "%s", arguments) :
				  client_ok(stage.c, "instance-start", "%s", arguments);
		ck_assert_msg(rows[i].way ? strstr(str_at(o, "desc"), rows[i].way) != NULL :
					    !json_get_bool(o, "changed", true),
			      "row %zu: %s", i, json_object_to_json_string(o));
	}
}
END_TEST

static Suite *make(void)
{
	Suite *s = suite_create("start");
	TCase *tc = tcase_create("start");

	tcase_add_checked_fixture(tc, NULL, stage_clear);
	tcase_add_test(tc, sets_are_emptied);
	tcase_add_test(tc, sets_wait_for_the_guest);
	tcase_add_test(tc, sets_are_emptied_by_the_next);
	tcase_add_loop_test(tc, sets_that_stay, 0, 2);
	tcase_add_loop_test(tc, errors_have_details, 0, STEPS);
	tcase_add_loop_test(tc, errors_have_last_words, 0, 6);
	tcase_add_test(tc, asked_while_it_starts);
	tcase_add_loop_test(tc, children_end_with_droverd, 0, 2);
	tcase_add_loop_test(tc, no_socket_is_left, 0, 2);
	tcase_add_test(tc, no_socket_without_a_note);
	tcase_add_test(tc, started_already);
	suite_add_tcase(s, tc);
	return s;
}

RIG_MAIN_IN_MEMORY(make)
