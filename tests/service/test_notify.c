/* SPDX-License-Identifier: BSD-2-Clause */
/* What a service manager hears of droverd. */
#include "rig.h"

#include "base/cleanup.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct rig *rig;
static int manager;

/* droverd inherits our environment. */
static void set_up(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	rig = rig_new("droverd");
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", rig->root);
	ck_assert_int_eq(bind(manager, (struct sockaddr *)&address, sizeof(address)), 0);
	setenv("NOTIFY_SOCKET", address.sun_path, 1);
}

static void tear_down(void)
{
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	close(manager);
	rig_free(rig);
}

/* The next message; the caller's. */
static char *hear(void)
{
	struct pollfd p = { .fd = manager, .events = POLLIN };
	char text[1024];
	ssize_t n;

	ck_assert_int_eq(poll(&p, 1, RIG_DEADLINE_MS), 1);
	n = recv(manager, text, sizeof(text) - 1, 0);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	return xstrdup(text);
}

static void expect(const char *wanted)
{
	_cleanup_free_ char *text = hear();

	ck_assert_str_eq(text, wanted);
}

/* Nobody wants to hear that it lives: it does not say so. */
START_TEST(test_life)
{
	rig_start(rig);
	expect("STATUS=Taking over guests");
	expect("READY=1\nSTATUS=Ready; guests taken over: 0");
	rig_stop(rig);
	expect("STOPPING=1\nSTATUS=Stopping; guests go on");
}
END_TEST

START_TEST(test_watchdog)
{
	setenv("WATCHDOG_USEC", "20000", 1);
	rig_start(rig);
	expect("STATUS=Taking over guests");
	expect("READY=1\nSTATUS=Ready; guests taken over: 0");
	for (int i = 0; i < 5; i++)
		expect("WATCHDOG=1");
	rig_stop(rig);
	for (bool stopping = false; !stopping;) {
		_cleanup_free_ char *text = hear();

		stopping = str_starts(text, "STOPPING=1");
		ck_assert(stopping || str_eq(text, "WATCHDOG=1"));
	}
}
END_TEST

static Suite *make(void)
{
	Suite *s = suite_create("notify");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	suite_add_tcase(s, tc);
	tcase_add_test(tc, test_life);
	tcase_add_test(tc, test_watchdog);
	return s;
}

RIG_MAIN(make)
