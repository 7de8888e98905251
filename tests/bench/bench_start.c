/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What droverd adds to the start and the end of a guest: one processor, 256 MiB, a qcow2 disk and a user-mode card, both
 * virtio; on PC and Q35. It takes turns with the bare thing (bare.h). DROVER_BENCH_ROUNDS: how often (30).
 */
#include "bare.h"

#include "runtime/argv.h"

#include <poll.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ROUNDS = 30 };

struct figures {
	struct series bare_start, bare_stop, start, gone, reply;
};

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

/* Until the process is gone, and until the reply: its end is on the disk by then. */
static void stop(struct client *c, const char *name, struct figures *f)
{
	_cleanup_json_ struct json_object *o = client_ok(c, "query-instance", "{'instance': '%s'}", name);
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, int_at(o, "pid"), 0);
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	double begin = now_ms();
	int id = client_send(c, "instance-stop", "{'instance': '%s'}", name);

	ck_assert_int_eq(poll(&p, 1, RIG_DEADLINE_MS), 1);
	series_add(&f->gone, now_ms() - begin);
	json_object_put(client_reply(c, id));
	series_add(&f->reply, now_ms() - begin);
}

static void round_of(struct bare *b, struct client *c, const char *machine, struct figures *f)
{
	double begin, end;
	pid_t pid = bare_start(b, &begin);

	bare_stop(pid, &end);
	series_add(&f->bare_start, begin);
	series_add(&f->bare_stop, end);
	series_add(&f->start, timed(c, "instance-start", machine));
	stop(c, machine, f);
}

static void bench(struct rig *r, struct client *c, const char *machine, int n)
{
	_cleanup_free_ char *what = xasprintf("start, %s", machine), *image = make_image(r, machine);
	_cleanup_free_ char *gone = xasprintf("forced stop until it is gone, %s", machine);
	_cleanup_free_ char *reply = xasprintf("forced stop until the reply, %s", machine);
	char *images[] = { image, NULL };
	struct bare b = { .dir = r->root, .images = images };
	struct figures f = { 0 }, first = { 0 };

	client_define(c, machine,
		      "'memory': '256M', 'disks': [{'path': '%s', 'format': 'qcow2'}], 'nics': [{'mode': 'user'}], "
		      "'hvparams': {'accel': 'tcg', 'machine_version': '%s'}",
		      image, machine);
	b.argv = bare_argv(c, machine);
	round_of(&b, c, machine, &first); /* which asks what the binary can do, and is not counted */
	for (int i = 0; i < n; i++)
		round_of(&b, c, machine, &f);
	bench_row(&(struct row){ what, "ms", &f.bare_start, &f.start, GOAL_RATIO, 1.3 });
	bench_row(&(struct row){ gone, "ms", &f.bare_stop, &f.gone, GOAL_RATIO, 3 });
	bench_row(&(struct row){ reply, "ms", NULL, &f.reply, NO_GOAL });
	argv_free(b.argv);
}

START_TEST(start_and_stop)
{
	int n = bench_rounds(ROUNDS);
	struct rig *r = bench_rig_new();
	struct client *c = client_new(r);

	bench_head("one machine");
	bench(r, c, "pc", n);
	bench(r, c, "q35", n);
	client_free(c);
	bench_rig_free(r);
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
