/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * droverd is killed at any instant, amid many operations on several machines and while it takes up what another one
 * left; now and then a QEMU dies or a guest powers off as well. Whatever came of each machine: one process or none, all
 * of it known, nothing left of the rest.
 *
 * The instants are by chance, so this finds what the plans of test_faults.c do not think of. What was asked is by
 * seed; DROVER_SEED sets the first one, DROVER_ROUNDS how many times droverd is killed in a sequence.
 */
#include "stage.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	MACHINES = 4,
	SEQUENCES = 6,
	ROUNDS = 10,
	REQUESTS_MAX = 12,
	ALIVE_US = 70000,
	RECOVERING_US = 20000,
	POLLS = 6000
};

static int number(const char *name, int fallback)
{
	const char *text = getenv(name);

	return str_empty(text) ? fallback : (int)strtol(text, NULL, 10);
}

static int chance(int n)
{
	return rand() % n;
}

static void ask_something(void)
{
	static const struct {
		const char *command, *more;
	} requests[] = {
		{ "instance-start", "" },
		{ "instance-start", ", 'paused': true" },
		{ "instance-start", "" },
		{ "instance-stop", "" },
		{ "instance-shutdown", ", 'timeout': 1" },
		{ "instance-pause", "" },
		{ "instance-resume", "" },
		{ "instance-reset", "" },
	};
	int i = chance(ARRAY_SIZE(requests));

	client_send(stage.c, requests[i].command, "{'instance': 'm%d'%s}", chance(MACHINES), requests[i].more);
}

static void hurt_something(void)
{
	_cleanup_free_ char *name = xasprintf("m%d", chance(MACHINES));
	pid_t pid = stage_holder(name);

	if (pid > 0)
		kill(pid, chance(2) ? SIGKILL : SIGUSR1);
}

static unsigned count(const char *world, const char *line)
{
	unsigned n = 0;

	for (const char *p = world; (p = strstr(p, line)); p++)
		n++;
	return n;
}

/* A launcher that has lost its droverd ends by itself, soon. */
static char *world_at_rest(void)
{
	char *world = stage_world();

	for (int i = 0; i < POLLS && count(world, "process drover-launch\n") != count(world, "process fake-qemu\n");
	     i++) {
		free(world);
		usleep(RIG_DEADLINE_MS * 1000 / POLLS);
		world = stage_world();
	}
	return world;
}

/* What is told of the machines beside what there is of them; what of that does not fit, or NULL. The caller's. */
static char *misfit(void)
{
	_cleanup_free_ char *world = world_at_rest();
	_cleanup_json_ struct json_object *list = client_ok(stage.c, "query-instances", NULL);
	unsigned processes = 0;

	ck_assert_int_eq((int)json_object_array_length(list), MACHINES);
	for (size_t i = 0; i < MACHINES; i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		_cleanup_free_ char *dir = xasprintf("file run/instances/%s\n", str_at(o, "name"));
		bool off = str_eq(str_at(o, "state"), "shutoff") || str_eq(str_at(o, "state"), "crashed");
		bool alive = has(o, "pid");

		processes += alive;
		if (off == alive || alive != (count(world, dir) == 1))
			return xasprintf("%s beside\n%s", json_object_to_json_string(o), world);
	}
	if (count(world, "process fake-qemu\n") != processes || count(world, "process ") != 2 * processes)
		return xasprintf("%u machines run of\n%s", processes, world);
	if (count(world, "file run/operations/") > 0)
		return xasprintf("a marker is left:\n%s", world);
	return NULL;
}

/* A machine may end, or a file be written, between one look and the other. */
static void check_all(int seed)
{
	enum { LOOKS = 5, LOOK_US = 200000 };
	char *what = misfit();

	for (int i = 1; i < LOOKS && what; i++) {
		free(what);
		usleep(LOOK_US);
		what = misfit();
	}
	ck_assert_msg(!what, "seed %d: %s", seed, what);
}

START_TEST(killed_at_any_instant)
{
	int seed = number("DROVER_SEED", 1) + _i, rounds = number("DROVER_ROUNDS", ROUNDS);

	srand((unsigned)seed);
	stage_set("%s", "");
	for (int i = 0; i < MACHINES; i++) {
		_cleanup_free_ char *name = xasprintf("m%d", i);

		stage_define(name, "%s", i == 0 ? "fake.powerdown=ignore" : "ro");
	}
	while (rounds-- > 0) {
		for (int n = 1 + chance(REQUESTS_MAX); n > 0; n--)
			ask_something();
		if (chance(3) == 0)
			hurt_something();
		usleep((useconds_t)chance(1 + chance(ALIVE_US))); /* most happens early */
		stage_kill();
		for (int n = chance(3); n > 0; n--) {
			rig_spawn(stage.r);
			usleep((useconds_t)chance(RECOVERING_US));
			rig_kill(stage.r);
		}
		stage_restart();
		stage_settle();
		check_all(seed);
	}
}
END_TEST

static Suite *make(void)
{
	Suite *s = suite_create("crashes");
	TCase *tc = tcase_create("any instant");

	tcase_add_checked_fixture(tc, NULL, stage_clear);
	tcase_add_loop_test(tc, killed_at_any_instant, 0, SEQUENCES);
	suite_add_tcase(s, tc);
	return s;
}

RIG_MAIN(make)
