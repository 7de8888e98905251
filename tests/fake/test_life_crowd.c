/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Out of descriptors: clients are told, or wait; droverd neither spins nor takes what it cannot look at for gone.
 */
#include "stage.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOOK_US = 2000, LOOKS = RIG_DEADLINE_MS * 1000 / LOOK_US };

static const char crowded[] = "cannot accept a client";

static void set_limit(pid_t pid, rlim_t limit)
{
	struct rlimit r;

	ck_assert_int_eq(prlimit(pid, RLIMIT_NOFILE, NULL, &r), 0);
	r.rlim_cur = limit;
	ck_assert_int_eq(prlimit(pid, RLIMIT_NOFILE, &r, NULL), 0);
}

/* The lowest descriptor that is free just now. */
static rlim_t free_now(pid_t pid)
{
	for (int fd = 0;; fd++) {
		_cleanup_free_ char *path = xasprintf("/proc/%d/fd/%d", pid, fd);
		char target[8];

		if (readlink(path, target, sizeof(target)) < 0)
			return (rlim_t)fd;
	}
}

/* The one of a droverd that does nothing: the same twice, with an answer in between. */
static rlim_t first_free(pid_t pid)
{
	rlim_t fd = free_now(pid), before = 0;

	for (int i = 0; i < LOOKS && fd != before; i++) {
		before = fd;
		usleep(LOOK_US);
		json_object_put(client_ok(stage.c, "query-instances", NULL));
		fd = free_now(pid);
	}
	return fd;
}

static unsigned count(const char *text)
{
	_cleanup_free_ char *log = rig_file(stage.r, "droverd.log");
	unsigned n = 0;

	for (const char *p = log; (p = strstr(p, text)); p++)
		n++;
	return n;
}

START_TEST(clients_are_told)
{
	stage_set("%s", "");
	set_limit(stage.r->pid, first_free(stage.r->pid));
	for (int i = 0; i < 20; i++) {
		struct json_object *greeting;
		struct client *c = client_raw(stage.r, &greeting);

		ck_assert_str_eq(str_at(greeting, "error.class"), "Busy");
		json_object_put(greeting);
		ck_assert_ptr_null(client_read(c));
		client_free(c);
	}
	ck_assert_int_eq((int)count(crowded), 1);
	/* Who is in is heard, and there is room again when there is. */
	json_object_put(client_ok(stage.c, "query-instances", NULL));
	set_limit(stage.r->pid, 1024);
	client_free(client_new(stage.r));
}
END_TEST

/* Not even the spare one can be had: whoever is waiting is let in later. */
START_TEST(clients_wait)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct pollfd p = { .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), .events = POLLIN };
	char text[4096];
	ssize_t n;

	stage_set("%s", "");
	set_limit(stage.r->pid, 3);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/run/drover.sock", stage.r->root);
	ck_assert_int_eq(connect(p.fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	stage_await_text("droverd.log", crowded);
	json_object_put(client_ok(stage.c, "query-instances", NULL));
	set_limit(stage.r->pid, 1024);
	ck_assert_int_eq(poll(&p, 1, RIG_DEADLINE_MS), 1);
	n = read(p.fd, text, sizeof(text) - 1);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	ck_assert_ptr_nonnull(strstr(text, "QMP"));
	ck_assert_int_eq((int)count(crowded), 1);
	close(p.fd);
}
END_TEST

/* ---- a droverd that is started with few ---- */

enum { GUESTS = 6, FEWER = 30 };

static bool has_ended(void)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t)stage.r->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid;
}

/* droverd takes as many as it may, so it is given no more. */
static void limit_program(const char *program, rlim_t limit)
{
	_cleanup_free_ char *text = xasprintf("#!/bin/sh\nulimit -n %d\nexec %s \"$@\"\n", (int)limit, program);

	free(stage.r->program);
	stage.r->program = xasprintf("%s/limited", stage.r->root);
	stage_write("limited", text);
	ck_assert_int_eq(chmod(stage.r->program, 0700), 0);
}

static const char doubt[] = "it is not known whether it has a process";

/* As droverd has said when it served. */
static int running(void)
{
	static const char of[] = " instances, ";
	_cleanup_free_ char *log = rig_file(stage.r, "droverd.log");
	const char *last = NULL;

	for (const char *p = log; (p = strstr(p, of)); p++)
		last = p;
	ck_assert_ptr_nonnull(last);
	return (int)strtol(last + strlen(of), NULL, 10);
}

/* It gives up, or serves. Whom it shows then has its process, or is said to be not known. */
static void start_with(const pid_t *pids)
{
	_cleanup_json_ struct json_object *list = NULL, *greeting = NULL;
	unsigned before = count(" serves "), unknown = count(doubt);

	rig_spawn(stage.r);
	for (int i = 0; i < LOOKS && !has_ended() && count(" serves ") == before; i++)
		usleep(LOOK_US);
	if (has_ended()) {
		rig_wait(stage.r);
		return;
	}
	ck_assert_int_eq(running() + (int)(count(doubt) - unknown), GUESTS);
	stage.c = client_raw(stage.r, &greeting);
	if (has(greeting, "QMP")) {
		json_object_put(client_ok(stage.c, "qmp_capabilities", NULL));
		list = client_ok(stage.c, "query-instances", NULL);
	}
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		ck_assert_msg(str_eq(str_at(o, "reason"), "unknown") || json_get_int(o, "pid", 0) == pids[i], "%s",
			      json_object_to_json_string(o));
	}
	stage_kill();
}

START_TEST(few_from_the_start)
{
	_cleanup_free_ char *program = NULL;
	pid_t pids[GUESTS];
	rlim_t most;

	stage_set("%s", "");
	for (int i = 0; i < GUESTS; i++) {
		_cleanup_free_ char *name = xasprintf("m%d", i);

		stage_define(name, "%s", "ro");
		stage_start(name);
		pids[i] = stage_pid(name);
	}
	stage_restart();
	stage_settle();
	most = first_free(stage.r->pid);
	stage_kill();
	program = xstrdup(stage.r->program);
	for (rlim_t less = 1; less <= FEWER && less + 8 < most; less += getenv("DROVER_LONG") ? 1 : 3) {
		limit_program(program, most - less);
		start_with(pids);
	}
	free(stage.r->program);
	stage.r->program = TAKE_PTR(program);
	stage_restart();
	stage_settle();
	for (int i = 0; i < GUESTS; i++) {
		_cleanup_free_ char *name = xasprintf("m%d", i);

		ck_assert_int_eq(stage_pid(name), pids[i]);
	}
}
END_TEST

static Suite *make(void)
{
	Suite *s = suite_create("crowd");
	TCase *tc = tcase_create("descriptors");

	tcase_add_checked_fixture(tc, NULL, stage_clear);
	tcase_add_test(tc, clients_are_told);
	tcase_add_test(tc, clients_wait);
	tcase_add_test(tc, few_from_the_start);
	suite_add_tcase(s, tc);
	return s;
}

RIG_MAIN_IN_MEMORY(make)
