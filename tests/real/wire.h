/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of the wire share: one daemon for all tests of a program, and talk below the level of requests.
 */
#ifndef DROVER_TESTS_WIRE_H
#define DROVER_TESTS_WIRE_H

#include "base/cleanup.h"
#include "rig.h"

#include <string.h>
#include <sys/wait.h>

/* The daemon of this program's tests. */
static struct rig *rig;

static void daemon_start(void)
{
	rig = rig_new("droverd");
	rig_start(rig);
}

static void daemon_end(void)
{
	if (rig->pid)
		rig_stop(rig);
	rig_free(rig);
}

/* Before each test: what the last one did to it, it has survived. */
static void daemon_lives(void)
{
	siginfo_t info = { 0 };

	ck_assert_int_eq(waitid(P_PID, (id_t)rig->pid, &info, WEXITED | WNOHANG | WNOWAIT), 0);
	ck_assert_msg(info.si_pid == 0, "droverd has ended: status %d", info.si_status);
}

static inline TCase *wire_case(Suite *s, const char *name)
{
	TCase *tc = tcase_create(name);

	tcase_add_unchecked_fixture(tc, daemon_start, daemon_end);
	tcase_add_checked_fixture(tc, daemon_lives, daemon_lives);
	suite_add_tcase(s, tc);
	return tc;
}

static inline void client_freep(struct client **c)
{
	if (*c)
		client_free(*c);
}
#define _cleanup_client_ _cleanup_(client_freep)

static inline void say(struct client *c, const char *text)
{
	client_write(c, text, strlen(text));
}

/* The next value that is no event. */
static inline struct json_object *hear(struct client *c)
{
	for (;;) {
		struct json_object *o = client_read(c);

		ck_assert_msg(o != NULL, "droverd hung up");
		if (!has(o, "event"))
			return o;
		json_object_put(o);
	}
}

/* The next value is an error of CLASS without an id; it is the result. */
static inline struct json_object *hear_error(struct client *c, const char *class)
{
	_cleanup_json_ struct json_object *o = hear(c);

	ck_assert_msg(has(o, "error"), "no error: %s", json_object_to_json_string(o));
	ck_assert_msg(str_eq(str_at(o, "error.class"), class), "not %s: %s", class, json_object_to_json_string(o));
	ck_assert_msg(!has(o, "id"), "an id: %s", json_object_to_json_string(o));
	ck_assert_str_ne(str_at(o, "error.desc"), "");
	return json_object_get(at(o, "error"));
}

/* The session still serves, and nothing is in front of the answer. */
static inline void expect_served(struct client *c)
{
	_cleanup_json_ struct json_object *o = NULL;

	say(c, "{\"execute\": \"query-version\", \"id\": \"served\"}\n");
	o = hear(c);
	ck_assert_msg(str_eq(json_get_str(o, "id"), "served") && has(o, "return.package"), "unexpected: %s",
		      json_object_to_json_string(o));
}

struct refusal {
	const char *text, *class, *parameter;
};

/* What is sent, and the error that it gets; PARAMETER may be NULL. The session goes on. */
static inline void expect_refusal(struct client *c, const struct refusal *r)
{
	_cleanup_json_ struct json_object *e = NULL;

	say(c, r->text);
	e = hear_error(c, r->class);
	if (r->parameter)
		ck_assert_msg(str_eq(json_get_str(e, "parameter"), r->parameter), "%s: not '%s': %s", r->text,
			      r->parameter, json_object_to_json_string(e));
	expect_served(c);
}

#endif
