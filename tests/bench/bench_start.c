/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What droverd adds to the start and the end of a guest: one processor, 256 MiB, a qcow2 disk and a user-mode card, both
 * virtio; on PC and Q35. It takes turns with the bare thing (bare.h). DROVER_BENCH_ROUNDS: how often (30).
 */
#include "bare.h"

#include "runtime/argv.h"

#include <stdio.h>

enum { ROUNDS = 30 };

static double timed(struct client *c, const char *command, const char *name)
{
	double begin = now_ms();

	json_object_put(client_ok(c, command, "{'instance': '%s'}", name));
	return now_ms() - begin;
}

static char *make_image(struct rig *r, const char *name)
{
	char *path = xasprintf("%s/%s.qcow2", r->root, name);
	_cleanup_free_ char *command = xasprintf("qemu-img create -q -f qcow2 %s 1G", path);

	ck_assert_int_eq(system(command), 0); /* NOLINT(cert-env33-c): a path of our own */
	return path;
}

static void bench(struct rig *r, struct client *c, const char *machine, int n)
{
	struct series bare_start_ms = { 0 }, bare_stop_ms = { 0 }, start_ms = { 0 }, stop_ms = { 0 };
	_cleanup_free_ char *what = xasprintf("start, %s", machine), *end = xasprintf("forced stop, %s", machine);
	_cleanup_free_ char *image = make_image(r, machine);
	char *images[] = { image, NULL };
	struct bare b = { .dir = r->root, .images = images };

	client_define(c, machine,
		      "'memory': '256M', 'disks': [{'path': '%s', 'format': 'qcow2'}], 'nics': [{'mode': 'user'}], "
		      "'hvparams': {'accel': 'tcg', 'machine_version': '%s'}",
		      image, machine);
	b.argv = bare_argv(c, machine);
	for (int i = -1; i < n; i++) { /* the first round is not counted */
		double begin, end_ms;
		pid_t pid = bare_start(&b, &begin);

		bare_stop(pid, &end_ms);
		if (i < 0) {
			timed(c, "instance-start", machine);
			timed(c, "instance-stop", machine);
			continue;
		}
		series_add(&bare_start_ms, begin);
		series_add(&bare_stop_ms, end_ms);
		series_add(&start_ms, timed(c, "instance-start", machine));
		series_add(&stop_ms, timed(c, "instance-stop", machine));
	}
	bench_row(&(struct row){ what, "ms", &bare_start_ms, &start_ms, GOAL_RATIO, 1.3 });
	bench_row(&(struct row){ end, "ms", &bare_stop_ms, &stop_ms, GOAL_RATIO, 3 });
	argv_free(b.argv);
}

START_TEST(start_and_stop)
{
	int n = bench_rounds(ROUNDS);
	struct rig *r = rig_new("droverd");
	struct client *c;

	rig_start(r);
	c = client_new(r);
	bench_head("one machine");
	bench(r, c, "pc", n);
	bench(r, c, "q35", n);
	client_free(c);
	rig_stop(r);
	rig_free(r);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("bench_start");
	TCase *t = tcase_create("start");

	tcase_add_test(t, start_and_stop);
	suite_add_tcase(s, t);
	return s;
}

RIG_MAIN(suite)
