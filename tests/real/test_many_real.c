/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Many real machines, most of them tiny and some with Linux, under a droverd that is killed while it is asked: all are
 * there again, as they were, and the guests have noticed nothing. Then one stands still, and hinders nobody.
 */
#include "guest.h"
#include "tiny.h"

#include "runtime/process.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* The waits for the one that stands still expire at once. */
#define FAULTS "instance-stop/ask QEMU to quit/before/expire!;instance-stop/terminate QEMU/before/expire!"

enum { MACHINES_MAX = 20, SESSIONS = 8, REQUESTS = 4, POLL_US = 20000 };

static struct rig *rig;
static struct client *client;
static struct {
	char name[8];
	enum { HALTED, OBEDIENT, LINUX } kind; /* a tiny one that sleeps until it is interrupted, or polls */
	unsigned said;
	pid_t pid;
} machines[MACHINES_MAX];
static int many, n_linux;

static void set_up(void)
{
	many = getenv("DROVER_LONG") ? MACHINES_MAX : 4;
	n_linux = getenv("DROVER_LONG") ? 3 : 1;
	rig = rig_new("droverd-faulty");
	rig->fault = xstrdup(FAULTS);
	rig_start(rig);
	client = client_new(rig);
}

static void tear_down(void)
{
	client_free(client);
	rig_free(rig);
}

/* Two poll for what they are told, which takes all of a processor; more of them would leave none to the others. */
static void define(int i)
{
	bool obeys = i == 0 || i == many - n_linux - 1;

	snprintf(machines[i].name, sizeof(machines[i].name), "m%02d", i);
	machines[i].kind = i >= many - n_linux ? LINUX : obeys ? OBEDIENT : HALTED;
	machines[i].said = machines[i].kind == OBEDIENT;
	if (machines[i].kind == LINUX)
		guest_define(client, machines[i].name, "t.shell=1", "");
	else
		tiny_define(rig, client, machines[i].name, obeys ? TINY_OBEYS : TINY_NMI, ", 'accel': 'tcg'");
}

static void start(int from, int to)
{
	int ids[MACHINES_MAX];

	for (int i = from; i < to; i++) {
		define(i);
		ids[i] = client_send(client, "instance-start", "{'instance': '%s'}", machines[i].name);
	}
	for (int i = from; i < to; i++) {
		_cleanup_json_ struct json_object *o = client_reply(client, ids[i]);

		ck_assert_msg(has(o, "return"), "%s", json_object_to_json_string(o));
		machines[i].pid = guest_pid(client, machines[i].name);
	}
	for (int i = from; i < to; i++)
		guest_await(rig, machines[i].name, machines[i].kind == LINUX ? "GUEST-UP" : "B", 1);
}

static void start_all(void)
{
	start(many - n_linux, many);
	start(0, many - n_linux);
}

/* All are listed at once, with their pids and states. */
static void check_list(int but)
{
	_cleanup_json_ struct json_object *list = client_ok(client, "query-instances", NULL);

	ck_assert_int_eq((int)json_object_array_length(list), many);
	for (int i = 0; i < many; i++) {
		struct json_object *o = json_object_array_get_idx(list, (size_t)i);

		ck_assert_str_eq(str_at(o, "name"), machines[i].name);
		ck_assert_msg(i == but || (json_get_int(o, "pid", 0) == machines[i].pid &&
					   str_eq(str_at(o, "state"), "running")),
			      "%s", json_object_to_json_string(o));
	}
}

/* Each QEMU has one keeper, and there are no others. */
static void check_processes(int n)
{
	_cleanup_free_ char *world = rig_world(rig, false);
	int qemus = 0, keepers = 0;

	for (const char *p = world; (p = strstr(p, "process qemu-system")); p++)
		qemus++;
	for (const char *p = world; (p = strstr(p, "process drover-launch\n")); p++)
		keepers++;
	ck_assert_msg(qemus == n && keepers == n, "%d QEMUs and %d keepers of %d", qemus, keepers, n);
}

/* Whoever stands still is not among those asked. */
static void await_answers(int but)
{
	bool fresh = false;

	for (int tries = 0; !fresh; tries++) {
		_cleanup_json_ struct json_object *list = client_ok(client, "query-stats", NULL);

		fresh = true;
		ck_assert_int_eq((int)json_object_array_length(list), many);
		for (int i = 0; i < many; i++) {
			bool stale = json_object_get_boolean(at(json_object_array_get_idx(list, (size_t)i), "stale"));

			ck_assert(i != but || stale);
			fresh &= i == but || !stale;
		}
		ck_assert_int_lt(tries, RIG_DEADLINE_MS * 1000 / POLL_US);
		if (!fresh)
			usleep(POLL_US);
	}
}

/* The guests do what they are told: a shell answers, a boot sector boots again, or hears of an interrupt. */
static void check_guests(int but)
{
	for (int i = 0; i < many; i++) {
		const char *name = machines[i].name;

		if (i == but)
			continue;
		if (machines[i].kind == LINUX) {
			_cleanup_free_ char *text = guest_shell(rig, name, "echo $((6 * 7))");

			ck_assert_msg(strstr(text, "42") != NULL, "%s", text);
		} else if (machines[i].kind == OBEDIENT) {
			tiny_tell(rig, name, TINY_REBOOT);
			guest_await(rig, name, "B", ++machines[i].said);
		} else {
			json_object_put(client_ok(client, "instance-nmi", "{'instance': '%s'}", name));
			guest_await(rig, name, "N", ++machines[i].said);
		}
	}
}

/* Each in its way; one that cannot hear is ended when its second is over. */
static void shut_down(int but)
{
	for (int i = 0; i < many; i++) {
		if (i == but)
			continue;
		if (machines[i].kind == OBEDIENT)
			tiny_tell(rig, machines[i].name, TINY_POWER_OFF);
		else
			client_send(client, "instance-shutdown", "{'instance': '%s', 'timeout': %d, 'then': '%s'}",
				    machines[i].name, machines[i].kind == LINUX ? 120 : 1,
				    machines[i].kind == LINUX ? "fail" : "stop");
	}
	for (int i = 0; i < many; i++)
		client_await_state(client, machines[i].name, "shutoff",
				   i != but && machines[i].kind == OBEDIENT ? "guest" : "admin");
	for (int i = 0; i < many; i++)
		json_object_put(guest_settle(client, machines[i].name));
}

/* Several sessions ask, and change what can be taken back; droverd is killed before anybody has read a word. */
static void kill_in_the_midst(void)
{
	struct client *clients[SESSIONS];

	for (int s = 0; s < SESSIONS; s++) {
		const char *name = machines[s % many].name;

		clients[s] = client_new(rig);
		for (int i = 0; i < REQUESTS; i++) {
			client_send(clients[s], "query-stats", NULL);
			client_send(clients[s], "query-instances", NULL);
			client_send(clients[s], "instance-modify",
				    "{'instance': '%s', 'patch': {'description': 'of %d'}}", name, i);
			client_send(clients[s], "instance-qmp", "{'instance': '%s', 'execute': 'query-status'}", name);
		}
	}
	client_free(TAKE_PTR(client));
	rig_kill(rig);
	for (int s = 0; s < SESSIONS; s++)
		client_free(clients[s]);
}

/* The last of the tiny ones stands still. */
static void check_one_stopped(int stopped)
{
	const char *name = machines[stopped].name;
	_cleanup_json_ struct json_object *shown = NULL;
	pid_t pid = machines[stopped].pid;

	kill(pid, SIGSTOP);
	for (int tries = 0; process_run_state(pid) != 'T'; tries++) {
		ck_assert_int_lt(tries, RIG_DEADLINE_MS * 1000 / POLL_US);
		usleep(POLL_US);
	}
	check_list(-1);
	await_answers(stopped);
	shown = guest_query(client, name);
	ck_assert_str_eq(str_at(shown, "monitor"), "slow");
	ck_assert_str_eq(str_at(shown, "state"), "running");
	for (int i = 0; i < many; i++) {
		if (i == stopped)
			continue;
		json_object_put(client_ok(client, "instance-pause", "{'instance': '%s'}", machines[i].name));
		guest_expect(client, machines[i].name, "paused", "admin");
		json_object_put(client_ok(client, "instance-resume", "{'instance': '%s'}", machines[i].name));
	}
	json_object_put(client_ok(client, "instance-stop", "{'instance': '%s'}", name));
	guest_expect(client, name, "shutoff", "admin");
	ck_assert(!process_runs(pid));
	check_list(stopped);
	check_guests(stopped);
}

START_TEST(test_many)
{
	int stopped;

	start_all();
	check_list(-1);
	check_processes(many);
	kill_in_the_midst();
	rig_start(rig);
	client = client_new(rig);
	check_list(-1);
	await_answers(-1);
	for (int i = 0; i < many; i++) {
		_cleanup_json_ struct json_object *o = guest_settle(client, machines[i].name);

		ck_assert_str_eq(str_at(o, "monitor"), "ok");
	}
	check_list(-1);
	check_guests(-1);
	check_processes(many);
	stopped = many - n_linux - 1;
	check_one_stopped(stopped);
	check_processes(many - 1);
	shut_down(stopped);
	check_processes(0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("many real ones");
	TCase *tc = tcase_create("many");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, test_many);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return guest_main(suite);
}
