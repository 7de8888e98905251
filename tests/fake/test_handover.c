/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * droverd is restarted by a service manager that has a store for descriptors, which is the test: the next one goes on with
 * the monitors of the last.
 */
#include "stage.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { STORE_MAX = 8, TEXT_MAX = 1024, LOOK_US = 5000, LOOKS = RIG_DEADLINE_MS * 1000 / LOOK_US };

static struct manager {
	int fd;
	int fds[STORE_MAX];
	char names[STORE_MAX][64];
	unsigned n;
	char *joined;
} m;

static void set_up(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_free_ char *name = xasprintf("@drover-test-%d", getpid());
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));

	m = (struct manager){ .fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) };
	memcpy(address.sun_path, name, strlen(name));
	address.sun_path[0] = '\0';
	ck_assert_int_eq(bind(m.fd, (struct sockaddr *)&address, len), 0);
	setenv("NOTIFY_SOCKET", name, 1);
}

static void tear_down(void)
{
	unsetenv("NOTIFY_SOCKET");
	close(m.fd);
	for (unsigned i = 0; i < m.n; i++)
		close(m.fds[i]);
	free(m.joined);
	stage_clear();
}

static void await_input(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	ck_assert_int_eq(poll(&p, 1, RIG_DEADLINE_MS), 1);
}

/* The next message; its descriptor, or -1. */
static int hear(char text[TEXT_MAX])
{
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { text, TEXT_MAX - 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	struct cmsghdr *c;
	ssize_t n;
	int fd = -1;

	await_input(m.fd);
	n = recvmsg(m.fd, &msg, MSG_CMSG_CLOEXEC);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

/* Until a message that begins so; those to remove are counted. */
static unsigned await_message(const char *begin)
{
	unsigned removed = 0;

	for (;;) {
		char text[TEXT_MAX];
		int fd = hear(text);

		if (fd >= 0) {
			ck_assert_uint_lt(m.n, STORE_MAX);
			ck_assert_int_eq(sscanf(text, "FDSTORE=1\nFDNAME=%63s", m.names[m.n]), 1);
			m.fds[m.n++] = fd;
		}
		removed += str_starts(text, "FDSTOREREMOVE=1\n");
		if (str_starts(text, begin))
			return removed;
	}
}

/* SIGTERM: what it leaves is in the store, by these names. */
static void stop(const char *names)
{
	client_free(TAKE_PTR(stage.c));
	rig_stop(stage.r);
	await_message("STOPPING=1");
	free(m.joined);
	m.joined = xstrdup("");
	for (unsigned i = 0; i < m.n; i++) {
		_cleanup_free_ char *old = m.joined;

		m.joined = xasprintf("%s%s%s", old, i ? ":" : "", m.names[i]);
	}
	ck_assert_str_eq(m.joined, names);
}

static void start(void)
{
	stage.r->given = m.fds;
	stage.r->n_given = m.n;
	stage.r->given_names = m.joined;
	rig_spawn(stage.r);
	ck_assert_uint_eq(await_message("READY=1"), m.n);
	for (unsigned i = 0; i < m.n; i++)
		close(m.fds[i]);
	m.n = stage.r->n_given = 0;
	stage.c = client_new(stage.r);
}

/* How many messages of that NAME have come from QEMU. */
static unsigned came(const char *name)
{
	_cleanup_json_ struct json_object *o = client_ok(stage.c, "query-trace", "{'instance': 'web'}");
	unsigned n = 0;

	for (size_t i = 0; i < json_object_array_length(o); i++) {
		struct json_object *line = json_object_array_get_idx(o, i);

		n += str_eq(json_get_str(line, "name"), name) && str_eq(json_get_str(line, "direction"), "in");
	}
	return n;
}

/* Awaits that so many have come: those on the second monitor nobody waits for. */
static void check_came(const char *name, unsigned n)
{
	for (int i = 0; i < LOOKS && came(name) < n; i++)
		usleep(LOOK_US);
	ck_assert_uint_eq(came(name), n);
}

static void set(const char *words)
{
	stage_set("%s", "");
	stage_define("web", "%s", words);
	stage_start("web");
	await_message("READY=1");
	stage_settle();
}

#define BOTH "qmp.sock.web:qmp2.sock.web"

/* Again and again, and with nobody to leave them to they are connected anew. */
START_TEST(monitors_stay_connected)
{
	pid_t pid;

	set("");
	pid = stage_pid("web");
	for (int i = 0; i < 3; i++) {
		stop(BOTH);
		start();
		stage_settle();
		stage_check_state("web", "running", "booted");
		ck_assert_int_eq(stage_pid("web"), pid);
		json_object_put(client_ok(stage.c, "instance-qmp", "{'instance': 'web', 'execute': 'query-status'}"));
		check_came("QMP", 2);
	}
	stage_restart();
	json_object_put(client_ok(stage.c, "instance-qmp", "{'instance': 'web', 'execute': 'query-status'}"));
	check_came("QMP", 4);
}
END_TEST

/* What is said while there is no droverd is heard by the next one, though not by way of the log. */
START_TEST(nothing_is_missed)
{
	static const char text[] = "{\"execute\": \"stop\", \"id\": 1}\r\n";

	set("");
	stop(BOTH);
	ck_assert_int_eq(write(m.fds[1], text, sizeof(text) - 1), (ssize_t)sizeof(text) - 1);
	await_input(m.fds[0]);
	start();
	client_await_state(stage.c, "web", "paused", NULL);
	check_came("STOP", 2);
	check_came("QMP", 2);
}
END_TEST

/* A command whose reply comes to the next droverd is settled as after any restart: it took effect. */
START_TEST(command_under_way)
{
	_cleanup_free_ char *gate = NULL;
	_cleanup_json_ struct json_object *o = NULL;

	stage_set("%s", "");
	gate = xasprintf("%s/gate", stage.r->root);
	stage_define("web", "fake.hold=device_add:%s fake.record=%s/asked", gate, stage.r->root);
	stage_start("web");
	await_message("READY=1");
	client_send(stage.c, "nic-attach", "{'instance': 'web', 'nic': {'mode': 'none'}, 'job-id': 'mine'}");
	stage_await_text("asked", "qmp device_add");
	stop(BOTH);
	start();
	stage_write("gate", "");
	stage_settle();
	o = stage_show("web");
	ck_assert_int_eq(json_object_array_length(at(o, "definition.nics")), 1);
	ck_assert_int_eq(json_object_array_length(at(o, "runtime.nics")), 1);
	ck_assert_int_eq(json_object_array_length(at(o, "drift")), 0);
	check_came("QMP", 2);
}
END_TEST

/* A connection that is no good is closed, and another one made. */
START_TEST(half_a_message)
{
	static const char text[] = "{\"execute\": \"query-status\", \"id\": 1}\r\n";
	char some[10];

	set("");
	stop(BOTH);
	ck_assert_int_eq(write(m.fds[0], text, sizeof(text) - 1), (ssize_t)sizeof(text) - 1);
	await_input(m.fds[0]);
	ck_assert_int_eq(recv(m.fds[0], some, sizeof(some), 0), (ssize_t)sizeof(some));
	start();
	json_object_put(client_ok(stage.c, "instance-pause", "{'instance': 'web'}"));
	stage_check_state("web", "paused", "admin");
	check_came("QMP", 3);
}
END_TEST

/* Guests that are no more are nobody's any more, and those that ended meanwhile have. */
START_TEST(guest_has_ended)
{
	pid_t pid;

	set("");
	pid = stage_pid("web");
	stop(BOTH);
	kill(pid, SIGKILL);
	process_await_end(pid);
	start();
	stage_settle();
	stage_check_state("web", "crashed", "signal 9");
	stage_start("web");
	check_came("QMP", 4);
}
END_TEST

static Suite *make(void)
{
	Suite *s = suite_create("handover");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	suite_add_tcase(s, tc);
	tcase_add_test(tc, monitors_stay_connected);
	tcase_add_test(tc, nothing_is_missed);
	tcase_add_test(tc, command_under_way);
	tcase_add_test(tc, half_a_message);
	tcase_add_test(tc, guest_has_ended);
	return s;
}

RIG_MAIN(make)
