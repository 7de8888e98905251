/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Many machines, some of which hang, and many sessions at once: each request has exactly one reply, what hangs hinders
 * nobody, and a droverd that is killed in the midst of it comes back with all of them. Many definitions: all there
 * after a restart, in their order, for a bounded memory, and gone without a trace.
 */
#include "stage.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Waits for a QEMU that hangs end at once. */
#define FAULTS "instance-stop/ask QEMU to quit/before/expire!;instance-stop/terminate QEMU/before/expire!"

enum { MANY_MAX = 200, SESSIONS = 64, REQUESTS = 8, BATCH = 32, POLL_US = 5000 };

/* Of so many machines every so manieth hangs. */
static int many, stride;
static pid_t pids[MANY_MAX];

static char *name_of(int i)
{
	return xasprintf("m%03d", i);
}

static bool hangs(int i)
{
	return i % stride == stride - 1;
}

/* The Kth of those that do not hang, counted round. */
static int healthy(int k)
{
	int i = k % many;

	return hangs(i) ? i - 1 : i;
}

/* ---- machines ---- */

static void define_all(void)
{
	for (int i = 0; i < many; i++) {
		_cleanup_free_ char *name = name_of(i);

		stage_define(name, "%s", "ro");
	}
}

/* Sends COMMAND for each of those that hang (or do not), in batches, and checks that each succeeds. */
static void command_all(const char *command, bool also_hanging)
{
	int ids[BATCH], n = 0;

	for (int i = 0; i <= many; i++) {
		if (i < many && (also_hanging || !hangs(i))) {
			_cleanup_free_ char *name = name_of(i);

			ids[n++] = client_send(stage.c, command, "{'instance': '%s'}", name);
		}
		if (n < BATCH && i < many)
			continue;
		for (int k = 0; k < n; k++) {
			_cleanup_json_ struct json_object *o = client_reply(stage.c, ids[k]);

			ck_assert_msg(has(o, "return"), "%s: %s", command, json_object_to_json_string(o));
		}
		n = 0;
	}
}

static void signal_all(int signal, bool only_hanging)
{
	for (int i = 0; i < many; i++)
		if (!only_hanging || hangs(i))
			kill(pids[i], signal);
}

/* All are listed, in their order, with these pids, in STATE. */
static void check_list(const char *state)
{
	_cleanup_json_ struct json_object *list = client_ok(stage.c, "query-instances", NULL);

	ck_assert_int_eq((int)json_object_array_length(list), many);
	for (int i = 0; i < many; i++) {
		struct json_object *o = json_object_array_get_idx(list, (size_t)i);
		_cleanup_free_ char *name = name_of(i);

		if (!str_eq(str_at(o, "name"), name) || json_get_int(o, "pid", 0) != pids[i] ||
		    !str_eq(str_at(o, "state"), state))
			ck_abort_msg("not '%s' of %d, %s: %s", name, pids[i], state, json_object_to_json_string(o));
	}
}

/* ---- counters ---- */

/* Those that hang are stale in LIST; whether all others are fresh. */
static bool check_stats(struct json_object *list)
{
	bool fresh = true;

	ck_assert_int_eq((int)json_object_array_length(list), many);
	for (int i = 0; i < many; i++) {
		struct json_object *o = json_object_array_get_idx(list, (size_t)i);
		bool stale = json_object_get_boolean(at(o, "stale"));

		if (hangs(i) && !stale)
			ck_abort_msg("who hangs has answered: %s", json_object_to_json_string(o));
		fresh &= hangs(i) || !stale;
	}
	return fresh;
}

/* Until all others have answered within one question's time. */
static void await_stats(void)
{
	for (int i = 0; i < RIG_DEADLINE_MS * 1000 / POLL_US; i++) {
		_cleanup_json_ struct json_object *list = client_ok(stage.c, "query-stats", NULL);

		if (check_stats(list))
			return;
	}
	ck_abort_msg("there is always one who does not answer");
}

/* Whoever has hung answers again. */
static void await_answer(const char *name)
{
	for (int i = 0; i < RIG_DEADLINE_MS * 1000 / POLL_US; i++) {
		_cleanup_json_ struct json_object *list = client_ok(stage.c, "query-stats", "{'instances': ['%s']}",
								    name);

		if (!json_object_get_boolean(at(list, "0.stale")))
			return;
		usleep(POLL_US);
	}
	ck_abort_msg("'%s' does not answer", name);
}

/* ---- sessions ---- */

struct load {
	struct client *c;
	int ids[REQUESTS];
	bool stats[REQUESTS];
};

static void load_send(struct load *l, int session)
{
	for (int i = 0; i < REQUESTS; i++) {
		_cleanup_free_ char *any = name_of((session * REQUESTS + i) % many);
		_cleanup_free_ char *good = name_of(healthy(session + i));

		l->stats[i] = i % 4 == 2;
		if (i % 4 == 0)
			l->ids[i] = client_send(l->c, "query-instances", NULL);
		else if (i % 4 == 1)
			l->ids[i] = client_send(l->c, "query-instance", "{'instance': '%s'}", any);
		else if (i % 4 == 2)
			l->ids[i] = client_send(l->c, "query-stats", NULL);
		else if (i < 4)
			l->ids[i] = client_send(l->c, "instance-pause", "{'instance': '%s'}", good);
		else
			l->ids[i] = client_send(l->c, "instance-modify",
						"{'instance': '%s', 'patch': {'description': 'by %d'}}", good, session);
	}
}

/* As many replies as requests, to each one, and nothing behind them but events. */
static void load_read(struct load *l)
{
	bool seen[REQUESTS] = { false };
	int left = REQUESTS;

	while (left) {
		_cleanup_json_ struct json_object *o = client_read(l->c);
		int i = 0;

		ck_assert_msg(o != NULL, "droverd hung up");
		if (has(o, "event"))
			continue;
		while (i < REQUESTS && l->ids[i] != json_get_int(o, "id", -1))
			i++;
		if (i == REQUESTS || seen[i] || !has(o, "return"))
			ck_abort_msg("not the one reply to a request: %s", json_object_to_json_string(o));
		if (l->stats[i])
			check_stats(at(o, "return"));
		seen[i] = true;
		left--;
	}
	/* All that was sent before is in front of this answer. */
	l->ids[0] = client_send(l->c, "query-version", NULL);
	for (;;) {
		_cleanup_json_ struct json_object *o = client_read(l->c);

		ck_assert_msg(has(o, "event") || json_get_int(o, "id", -1) == l->ids[0], "twice: %s",
			      json_object_to_json_string(o));
		if (!has(o, "event"))
			return;
	}
}

static void load_open(struct load loads[SESSIONS])
{
	for (int i = 0; i < SESSIONS; i++)
		loads[i] = (struct load){ .c = client_new(stage.r) };
}

static void load_close(struct load loads[SESSIONS])
{
	for (int i = 0; i < SESSIONS; i++)
		client_free(loads[i].c);
}

/* ---- the tests ---- */

static void begin(void)
{
	many = getenv("DROVER_LONG") ? MANY_MAX : 24;
	stride = getenv("DROVER_LONG") ? 10 : 8;
	stage_set("%s", FAULTS);
	define_all();
	command_all("instance-start", true);
	for (int i = 0; i < many; i++) {
		_cleanup_free_ char *name = name_of(i);

		pids[i] = stage_pid(name);
	}
	check_list("running");
}

/* One of each process, and no more. */
static void check_processes(int n)
{
	_cleanup_free_ char *world = rig_world(stage.r, false);
	int qemus = 0, keepers = 0;

	for (const char *p = world; (p = strstr(p, "process fake-qemu\n")); p++)
		qemus++;
	for (const char *p = world; (p = strstr(p, "process drover-launch\n")); p++)
		keepers++;
	ck_assert_msg(qemus == n && keepers == n, "%d QEMUs and %d keepers of %d", qemus, keepers, n);
}

START_TEST(sessions)
{
	struct load loads[SESSIONS];

	begin();
	json_object_put(client_ok(stage.c, "query-stats", NULL));
	signal_all(SIGSTOP, true);
	load_open(loads);
	for (int i = 0; i < SESSIONS; i++)
		load_send(&loads[i], i);
	for (int i = 0; i < SESSIONS; i++)
		load_read(&loads[i]);
	await_stats();
	command_all("instance-resume", false);
	check_list("running");
	/* Again, and droverd is killed in the midst of it: whoever is half asked is none the worse for it. */
	for (int i = 0; i < SESSIONS; i++)
		load_send(&loads[i], i);
	stage_kill();
	load_close(loads);
	signal_all(SIGCONT, true);
	stage_restart();
	stage_settle();
	command_all("instance-resume", true);
	check_list("running");
	check_processes(many);
}
END_TEST

START_TEST(restart)
{
	int ended = 0;

	begin();
	/* Whoever it is, nobody answers until droverd has listed all. */
	stage_kill();
	signal_all(SIGSTOP, false);
	stage_restart();
	check_list("running");
	for (int i = 0; i < many; i++)
		if (!hangs(i))
			kill(pids[i], SIGCONT);
	await_stats();
	command_all("instance-pause", false);
	command_all("instance-resume", false);
	check_list("running");
	check_processes(many);
	for (int i = 0; i < many; i++) {
		_cleanup_free_ char *name = name_of(i);

		if (!hangs(i))
			continue;
		if (ended % 2 == 0) {
			json_object_put(client_ok(stage.c, "instance-stop", "{'instance': '%s'}", name));
			stage_check_state(name, "shutoff", "admin");
			stage_start(name);
			pids[i] = stage_pid(name);
		} else {
			kill(pids[i], SIGCONT);
		}
		ended++;
		await_answer(name);
	}
	check_list("running");
	check_processes(many);
	for (int i = 0; i < many; i++) {
		_cleanup_free_ char *name = name_of(i);
		_cleanup_json_ struct json_object *o = stage_show(name);

		ck_assert_str_eq(str_at(o, "monitor"), "ok");
	}
	command_all("instance-stop", true);
	check_processes(0);
}
END_TEST

/* Whether the one that answers has done so before the time of the first question, which waits for the other, was over. */
static bool ask_twice(pid_t pid)
{
	int both = client_send(stage.c, "query-stats", NULL);
	int one = client_send(stage.c, "query-stats", "{'instances': ['good']}");
	_cleanup_json_ struct json_object *first = NULL, *last = NULL;

	do {
		json_object_put(first);
		first = client_read(stage.c);
	} while (has(first, "event"));
	if (json_get_int(first, "id", -1) != one || json_object_get_boolean(at(first, "return.0.stale"))) {
		json_object_put(client_reply(stage.c, json_get_int(first, "id", -1) == one ? both : one));
		return false;
	}
	kill(pid, SIGSTOP);
	client_send(stage.c, "query-stats", "{'instances': ['good']}");
	last = client_reply(stage.c, both);
	ck_assert_str_eq(str_at(last, "return.0.name"), "bad");
	ck_assert(json_object_get_boolean(at(last, "return.0.stale")));
	ck_assert_msg(!json_object_get_boolean(at(last, "return.1.stale")), "it had answered: %s",
		      json_object_to_json_string(last));
	return true;
}

/* What somebody else asks meanwhile, in vain, does not make an answer an old one. */
START_TEST(one_asks_behind_the_other)
{
	bool done = false;
	pid_t good, bad;

	stage_set("%s", FAULTS);
	stage_define("good", "%s", "ro");
	stage_define("bad", "%s", "ro");
	stage_start("good");
	stage_start("bad");
	good = stage_pid("good");
	bad = stage_pid("bad");
	for (int i = 0; i < 100 && !done; i++) {
		kill(bad, SIGCONT);
		await_answer("good");
		await_answer("bad");
		kill(bad, SIGSTOP);
		done = ask_twice(good);
	}
	ck_assert(done);
}
END_TEST

/* ---- definitions ---- */

#ifdef __SANITIZE_ADDRESS__
enum { EACH_KIB = 1024 };
#else
enum { EACH_KIB = 64 };
#endif

/* Names in an order that is not that of the alphabet. */
static char *scattered(int i, int n)
{
	enum { PRIME = 7919 };

	return xasprintf("d%04d", i * PRIME % n);
}

static void each_definition(int n, bool define)
{
	int ids[BATCH], k = 0;

	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *name = scattered(i, n);

		if (define)
			ids[k++] = client_send(stage.c, "instance-define",
					       "{'definition': {'name': '%s', 'memory': '%dM', 'disks': [{'path': "
					       "'/nowhere/%s', 'format': 'raw'}], 'nics': [{'mode': 'user'}]}}",
					       name, 16 + i, name);
		else
			ids[k++] = client_send(stage.c, "instance-undefine", "{'instance': '%s'}", name);
		if (k < BATCH && i + 1 < n)
			continue;
		while (k) {
			_cleanup_json_ struct json_object *o = client_reply(stage.c, ids[--k]);

			ck_assert_msg(has(o, "return"), "%s", json_object_to_json_string(o));
		}
	}
}

/* All of them, in the order of names; BROKEN, if any, is told of as such. */
static void check_definitions(int n, const char *broken)
{
	_cleanup_json_ struct json_object *list = client_ok(stage.c, "query-instances", NULL);
	_cleanup_json_ struct json_object *few = NULL, *fields = NULL;

	ck_assert_int_eq((int)json_object_array_length(list), n);
	for (int i = 0; i < n; i++) {
		struct json_object *o = json_object_array_get_idx(list, (size_t)i);
		_cleanup_free_ char *name = xasprintf("d%04d", i);

		if (!str_eq(str_at(o, "name"), name) || has(o, "error") != str_eq(name, broken))
			ck_abort_msg("not '%s': %s", name, json_object_to_json_string(o));
	}
	few = client_ok(stage.c, "query-instances", "{'instances': ['d%04d', 'd0001'], 'fields': ['state', 'memory']}",
			n - 1);
	ck_assert_int_eq((int)json_object_array_length(few), 2);
	ck_assert_str_eq(str_at(few, "1.name"), "d0001");
	ck_assert_str_eq(str_at(few, "0.state"), "shutoff");
	ck_assert_int_eq(json_object_object_length(json_object_array_get_idx(few, 1)), 3);
	ck_assert_int_ge(int_at(few, "1.memory"), 16 << 20);
	fields = client_ok(stage.c, "query-instances", "{'fields': ['reason']}");
	ck_assert_int_eq((int)json_object_array_length(fields), n);
	ck_assert_int_eq(json_object_object_length(json_object_array_get_idx(fields, 2)), 2);
}

static void check_memory(const char *when, unsigned before, int n)
{
	unsigned now = process_rss(stage.r->pid);

	printf("%s: %u KiB with %d definitions, %u without: %.1f each\n", when, now, n, before,
	       ((double)now - before) / n);
	ck_assert_msg(now < before + EACH_KIB * (unsigned)n, "%u KiB, %u before", now, before);
}

START_TEST(definitions)
{
	static const char broken[] = "d0007";
	int n = getenv("DROVER_LONG") ? 1000 : 500;
	_cleanup_free_ char *file = xasprintf("lib/instances/%s/definition.json", broken), *good = NULL;
	unsigned rss, fds;

	stage_set("%s", "");
	stage_mark();
	rss = process_rss(stage.r->pid);
	fds = rig_fds_at_rest(stage.r, stage.c);
	each_definition(n, true);
	check_definitions(n, NULL);
	check_memory("defined", rss, n);
	rig_expect_fds(stage.r, fds);
	stage_restart();
	check_definitions(n, NULL);
	check_memory("read", rss, n);
	rig_expect_fds(stage.r, fds);
	/* One that cannot be read is shown as such, and hinders no other. */
	good = rig_file(stage.r, "%s", file);
	stage_write(file, "{\"name\": \"d0007\", ");
	stage_restart();
	check_definitions(n, broken);
	json_object_put(client_error(stage.c, "WrongState", "instance-start", "{'instance': '%s'}", broken));
	json_object_put(client_ok(stage.c, "instance-modify", "{'instance': 'd0008', 'patch': {'vcpus': 2}}"));
	stage_write(file, good);
	stage_restart();
	check_definitions(n, NULL);
	each_definition(n, false);
	stage_check_unchanged();
	rig_expect_fds(stage.r, fds);
}
END_TEST

static Suite *make(void)
{
	Suite *s = suite_create("many");
	TCase *tc = tcase_create("many");

	tcase_add_checked_fixture(tc, NULL, stage_clear);
	tcase_add_test(tc, sessions);
	tcase_add_test(tc, restart);
	tcase_add_test(tc, one_asks_behind_the_other);
	tcase_add_test(tc, definitions);
	suite_add_tcase(s, tc);
	return s;
}

RIG_MAIN_IN_MEMORY(make)
