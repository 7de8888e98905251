/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When a guest that has not let go of a device is asked again, what counts as its answer, and what else may happen to its
 * machine meanwhile.
 */
#include "stage.h"

#include "base/cleanup.h"

#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WEB "{'instance': 'web'}"
#define DISK "11111111-22a7-4067-a566-7e0ca8386133"
#define ID "disk-11111111-22a7-4067"
#define OTHER "33333333-22a7-4067-a566-7e0ca8386133"
#define OTHER_ID "disk-33333333-22a7-4067"
#define NIC "22222222-66a8-4e6d-8b7e-ec4f69751396"
#define PATH "/machine/peripheral/"
/* What happens when QEMU is asked for its name. */
#define WHEN_ASKED(what) "fake.event=query-name:" what

enum { POLL_US = 5000, POLLS = RIG_DEADLINE_MS * 1000 / POLL_US };

static void attach(const char *uuid, const char *name)
{
	stage_write(name, "an image");
	json_object_put(client_ok(stage.c, "disk-attach",
				  "{'instance': 'web', 'disk': {'uuid': '%s', 'name': '%s', 'path': '%s/%s'}}", uuid,
				  name, stage.r->root, name));
}

/* A machine that runs, with a disk called "one"; ROOT in WORDS is the root. */
static void set(const char *words)
{
	_cleanup_free_ char *text = NULL;

	stage_set("%s", "");
	text = stage_text(words);
	stage_define("web", "%s", text);
	stage_start("web");
	attach(DISK, "one");
}

static void detach(const char *class)
{
	json_object_put(
		client_error(stage.c, class, "disk-detach", "{'instance': 'web', 'disk': 'one', 'timeout': 0.01}"));
}

/* How many times QEMU was sent COMMAND, by what query-trace says of ARGS. */
static size_t sent_of(const char *args, const char *command)
{
	_cleanup_json_ struct json_object *list = client_ok(stage.c, "query-trace", "%s", args);
	size_t n = 0;

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		n += str_eq(json_get_str(o, "direction"), "out") && str_eq(json_get_str(o, "name"), command);
	}
	return n;
}

static size_t sent(const char *command)
{
	return sent_of(WEB, command);
}

static size_t asked(void)
{
	return sent("device_del");
}

static void await_asked(size_t n)
{
	for (int i = 0; i < POLLS && asked() < n; i++)
		usleep(POLL_US);
	ck_assert_uint_ge(asked(), n);
}

/* Makes happen what QEMU does when it is asked for its name, up to EVENT; all that droverd does of it at once is done. */
static void happen(const char *event)
{
	struct json_object *o = client_ok(stage.c, "instance-qmp", "{'instance': 'web', 'execute': 'query-name'}");
	bool came = false;

	json_object_put(o);
	while (!came) {
		o = client_event(stage.c, "QEMU_EVENT");
		came = str_eq(str_at(o, "data.event"), event);
		json_object_put(o);
	}
}

/* Of the disk NAME, in the runtime record; "gone" if it is in neither. The caller's. */
static char *state_of(const char *name)
{
	_cleanup_json_ struct json_object *o = stage_show("web");
	struct json_object *list = at(o, "runtime.disks");

	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (str_eq(str_at(json_object_array_get_idx(list, i), "name"), name))
			return xstrdup(str_at(json_object_array_get_idx(list, i), "state"));
	list = has(o, "definition.disks") ? at(o, "definition.disks") : NULL;
	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		ck_assert_str_ne(str_at(json_object_array_get_idx(list, i), "name"), name);
	return xstrdup("gone");
}

static void check_state(const char *name, const char *state)
{
	_cleanup_free_ char *is = state_of(name);

	ck_assert_str_eq(is, state);
}

static bool is_gone(const char *name)
{
	_cleanup_free_ char *is = state_of(name);

	return str_eq(is, "gone");
}

static void await_gone(const char *name)
{
	for (int i = 0; i < POLLS && !is_gone(name); i++)
		usleep(POLL_US);
	check_state(name, "gone");
	stage_settle();
}

/* ---- when it is asked ---- */

START_TEST(a_silent_guest_is_asked_again)
{
	set("fake.unplug=ignore");
	detach("Timeout");
	await_asked(2);
	check_state("one", "detach-pending");
}
END_TEST

/* The trace that an error names has what was asked on its behalf. */
START_TEST(traced_while_somebody_waits)
{
	_cleanup_json_ struct json_object *e = NULL;
	_cleanup_free_ char *args = NULL;

	set("fake.unplug=refuse");
	e = client_error(stage.c, "GuestRefused", "disk-detach", "{'instance': 'web', 'disk': 'one'}");
	args = xasprintf("{'instance': 'web', 'operation': '%s'}", str_at(e, "trace"));
	ck_assert_uint_eq(sent_of(args, "device_del"), 1);
}
END_TEST

/* Its agent has come, or it was reset. */
START_TEST(asked_at_once_when_it_may_hear)
{
	static const struct {
		const char *words, *event;
		bool asks;
	} rows[] = {
		{ WHEN_ASKED("VSERPORT_CHANGE:{`open`:true,`id`:`agent`}"), "VSERPORT_CHANGE", true },
		{ WHEN_ASKED("VSERPORT_CHANGE:{`open`:false,`id`:`agent`}"), "VSERPORT_CHANGE", false },
		{ WHEN_ASKED("RESET:{`guest`:true,`reason`:`guest-reset`}"), "RESET", true },
		{ WHEN_ASKED("RTC_CHANGE:{`offset`:1}"), "RTC_CHANGE", false },
	};
	_cleanup_free_ char *words = xasprintf("fake.unplug=ignore %s", rows[_i].words);
	size_t more = 0;

	for (int tries = 0; tries < 3; tries++) {
		size_t before;

		stage_clear();
		set(words);
		detach("Timeout");
		await_asked(1);
		before = asked();
		happen(rows[_i].event);
		more = asked() - before;
		if (more == rows[_i].asks)
			break; /* and not, meanwhile, because its time had come */
	}
	ck_assert_uint_eq(more, rows[_i].asks);
	check_state("one", "detach-pending");
}
END_TEST

/* Not before it ever ran, nor while it stands still, whatever happens then; at once when it goes on. */
START_TEST(not_asked_while_it_stands_still)
{
	stage_set("%s", "");
	stage_define("web", "fake.unplug=ignore " WHEN_ASKED("VSERPORT_CHANGE:{`open`:true}") " " WHEN_ASKED(
				    "RESET:{`guest`:false}"));
	if (_i) {
		stage_start("web");
		json_object_put(client_ok(stage.c, "instance-pause", WEB));
	} else {
		json_object_put(client_ok(stage.c, "instance-start", "{'instance': 'web', 'paused': true}"));
	}
	attach(DISK, "one");
	detach("Timeout");
	happen("RESET");
	ck_assert_uint_eq(asked(), 0);
	check_state("one", "detach-pending");
	json_object_put(client_ok(stage.c, "instance-resume", WEB));
	ck_assert_uint_ge(asked(), 1);
}
END_TEST

START_TEST(asked_when_it_wakes)
{
	set("fake.unplug=ignore fake.state=query-name:suspended");
	json_object_put(client_ok(stage.c, "instance-qmp", "{'instance': 'web', 'execute': 'query-name'}"));
	client_await_state(stage.c, "web", "pmsuspended", NULL);
	detach("Timeout");
	ck_assert_uint_eq(asked(), 0);
	json_object_put(client_ok(stage.c, "instance-resume", WEB));
	client_await_state(stage.c, "web", "running", NULL);
	ck_assert_uint_ge(asked(), 1);
	check_state("one", "detach-pending");
}
END_TEST

/* The next droverd looks first whether it is there. */
START_TEST(asked_by_the_next_droverd)
{
	size_t before;

	set("fake.unplug=ignore");
	detach("Timeout");
	await_asked(1);
	stage_kill();
	stage_restart();
	client_await_state(stage.c, "web", "running", NULL);
	before = asked();
	await_asked(before + 1);
	check_state("one", "detach-pending");
}
END_TEST

/* Also one that found something else under way. */
START_TEST(asked_behind_what_was_under_way)
{
	set("fake.unplug=late:ROOT/go fake.powerdown=ignore");
	detach("Timeout");
	client_send(stage.c, "instance-shutdown", "{'instance': 'web', 'timeout': 3}");
	stage_await_text("run/operations/instance-web.json", "instance-shutdown");
	stage_kill();
	stage_restart();
	client_await_state(stage.c, "web", "running", NULL);
	stage_write("go", "");
	await_gone("one");
}
END_TEST

/* ---- what counts ---- */

START_TEST(another_end_is_none)
{
	static const char *const rows[] = {
		"DEVICE_DELETED:{`path`:`" PATH ID "/virtio-backend`}",
		"DEVICE_DELETED:{`device`:`" OTHER_ID "`,`path`:`" PATH OTHER_ID "`}",
		"DEVICE_DELETED:{}",
		"DEVICE_UNPLUG_GUEST_ERROR:{`device`:`" OTHER_ID "`,`path`:`" PATH OTHER_ID "`}",
	};
	_cleanup_free_ char *words = xasprintf("fake.unplug=ignore fake.event=query-name:%s", rows[_i]);

	set(words);
	detach("Timeout");
	happen(_i == 3 ? "DEVICE_UNPLUG_GUEST_ERROR" : "DEVICE_DELETED");
	stage_settle();
	ck_assert_uint_eq(sent("blockdev-del"), 0);
	check_state("one", "detach-pending");
}
END_TEST

/* By its path alone; QEMU's refusal to let go of the nodes shows that droverd has taken that for the answer. */
START_TEST(an_end_without_a_name)
{
	set("fake.unplug=ignore " WHEN_ASKED("DEVICE_DELETED:{`path`:`" PATH ID "`}"));
	detach("Timeout");
	happen("DEVICE_DELETED");
	json_object_put(stage_await_answer("blockdev-del"));
	stage_settle();
	check_state("one", "detach-pending");
}
END_TEST

START_TEST(a_refusal_that_comes_late)
{
	_cleanup_json_ struct json_object *o = NULL;

	set("fake.unplug=ignore " WHEN_ASKED("DEVICE_UNPLUG_GUEST_ERROR:{`path`:`" PATH ID "`}"));
	detach("Timeout");
	json_object_put(client_ok(stage.c, "instance-qmp", "{'instance': 'web', 'execute': 'query-name'}"));
	o = client_event(stage.c, "DEVICE_REFUSED");
	ck_assert_str_eq(str_at(o, "data.device"), ID);
	check_state("one", "attached");
	stage_restart();
	check_state("one", "attached");
}
END_TEST

/* "already in the process of unplug" is what a guest that is asked twice is like. */
START_TEST(twice_is_no_refusal)
{
	set("fake.again=refuse fake.unplug=late:ROOT/go " WHEN_ASKED("VSERPORT_CHANGE:{`open`:true}"));
	detach("Timeout");
	await_asked(1);
	happen("VSERPORT_CHANGE");
	ck_assert_uint_ge(asked(), 2);
	detach("Timeout");
	check_state("one", "detach-pending");
	stage_write("go", "");
	await_gone("one");
}
END_TEST

/* ---- who waits ---- */

/* Each for as long as it says; the answer is one. */
START_TEST(asked_for_twice)
{
	_cleanup_json_ struct json_object *reply = NULL;
	size_t times;
	int id;

	set("fake.unplug=late:ROOT/go");
	detach("Timeout");
	detach("Timeout");
	id = client_send(stage.c, "disk-detach", "{'instance': 'web', 'disk': '" DISK "', 'timeout': 60}");
	stage_await_text("run/operations/instance-web.json", "wait for the guest");
	times = asked(); /* before the time has come to ask again */
	stage_write("go", "");
	reply = client_reply(stage.c, id);
	ck_assert(json_get_bool(at(reply, "return"), "changed", false));
	check_state("one", "gone");
	stage_settle();
	ck_assert_uint_eq(times, 1);
}
END_TEST

START_TEST(each_goes_by_itself)
{
	set("fake.unplug=" ID "/late:ROOT/go fake.unplug=ignore");
	attach(OTHER, "two");
	json_object_put(client_error(stage.c, "Timeout", "devices-change",
				     "{'instance': 'web', 'detach': ['one', 'two'], 'timeout': 0.01}"));
	json_object_put(
		client_error(stage.c, "Timeout", "disk-detach", "{'instance': 'web', 'disk': 'two', 'timeout': 0.01}"));
	check_state("one", "detach-pending");
	check_state("two", "detach-pending");
	stage_write("go", "");
	await_gone("one");
	check_state("two", "detach-pending");
	kill(stage_pid("web"), SIGKILL);
	client_await_state(stage.c, "web", "crashed", NULL);
	stage_settle();
	stage_start("web");
	check_state("two", "gone");
}
END_TEST

/* ---- what else may be asked for meanwhile ---- */

START_TEST(busy_until_it_has_gone)
{
	set("fake.unplug=ignore");
	detach("Timeout");
	json_object_put(client_error(stage.c, "Busy", "devices-change",
				     "{'instance': 'web', 'attach': {'disks': [{'uuid': '" DISK
				     "', 'name': 'one', 'path': '%s/one'}]}}",
				     stage.r->root));
	json_object_put(client_error(stage.c, "Busy", "disk-attach",
				     "{'instance': 'web', 'disk': {'name': 'one', 'path': '%s/one'}}", stage.r->root));
	json_object_put(
		client_error(stage.c, "Busy", "disk-resize", "{'instance': 'web', 'disk': 'one', 'size': '64M'}"));
	/* Its place is not free either. */
	json_object_put(client_error(stage.c, "InvalidParameter", "disk-attach",
				     "{'instance': 'web', 'disk': {'uuid': '" OTHER
				     "', 'path': '%s/two', 'hvinfo': {'driver': "
				     "'virtio-blk-pci', 'id': '" OTHER_ID "', 'bus': 'pci.0', 'addr': '0xc'}}}",
				     stage.r->root));
	attach(OTHER, "two");
	check_state("one", "detach-pending");
	check_state("two", "attached");
	json_object_put(client_error(stage.c, "WrongState", "instance-rename", "{'instance': 'web', 'name': 'web2'}"));
}
END_TEST

/* The definition is modified while it is pending: it leaves all the same, whether it is still named there or not. */
START_TEST(modified_meanwhile)
{
	set("fake.unplug=late:ROOT/go");
	detach("Timeout");
	json_object_put(client_ok(stage.c, "instance-modify", "{'instance': 'web', 'patch': %s}",
				  _i ? "{'disks': []}" : "{'description': 'another'}"));
	stage_write("go", "");
	await_gone("one");
	attach(DISK, "one");
	check_state("one", "attached");
}
END_TEST

START_TEST(stopped_meanwhile)
{
	static const char *const commands[] = { "instance-stop", "instance-undefine", "instance-reboot" };
	static const char *const args[] = { WEB, "{'instance': 'web', 'force': true}",
					    "{'instance': 'web', 'timeout': 30}" };

	set("fake.unplug=ignore");
	stage_mark();
	detach("Timeout");
	if (_i == 2) /* so that there will be a new process */
		json_object_put(client_ok(stage.c, "instance-modify", "{'instance': 'web', 'patch': {'vcpus': 2}}"));
	json_object_put(client_ok(stage.c, commands[_i], "%s", args[_i]));
	stage_settle();
	if (_i == 1) {
		json_object_put(client_error(stage.c, "NotFound", "query-instance", WEB));
		return;
	}
	if (_i == 0)
		stage_start("web");
	check_state("one", "gone");
	attach(DISK, "one");
	check_state("one", "attached");
}
END_TEST

/* A start has its turn before the end has been collected. */
START_TEST(started_before_that)
{
	_cleanup_json_ struct json_object *reply = NULL;
	int detaching, starting;

	set("fake.unplug=ignore");
	detach("Timeout");
	attach(OTHER, "two");
	detaching = client_send(stage.c, "disk-detach", "{'instance': 'web', 'disk': 'two', 'timeout': 3600}");
	stage_await_text("run/operations/instance-web.json", "wait for the guest");
	starting = client_send(stage.c, "instance-start", WEB);
	while (int_at(reply = stage_show("web"), "queued") == 0)
		json_object_put(reply);
	kill(stage_pid("web"), SIGKILL);
	json_object_put(client_reply(stage.c, detaching));
	json_object_put(reply);
	reply = client_reply(stage.c, starting);
	ck_assert_msg(has(reply, "return"), "%s", json_object_to_json_string(reply));
	check_state("one", "gone");
	check_state("two", "gone");
	stage_settle();
}
END_TEST

/* The same while somebody waits for it. */
START_TEST(stopped_while_it_waits)
{
	_cleanup_json_ struct json_object *reply = NULL;
	int id;

	set("fake.unplug=ignore");
	id = client_send(stage.c, "disk-detach", "{'instance': 'web', 'disk': 'one', 'timeout': 3600}");
	stage_await_text("run/operations/instance-web.json", "wait for the guest");
	if (_i)
		json_object_put(client_ok(stage.c, "instance-undefine", "{'instance': 'web', 'force': true}"));
	else
		json_object_put(client_ok(stage.c, "instance-stop", WEB));
	reply = client_reply(stage.c, id);
	stage_settle();
	if (_i) {
		json_object_put(client_error(stage.c, "NotFound", "query-instance", WEB));
	} else {
		ck_assert_msg(has(reply, "return"), "%s", json_object_to_json_string(reply));
		stage_start("web");
		check_state("one", "gone");
	}
}
END_TEST

/* What was asked for cannot be taken back, so the rest of a change that is has not all been undone. */
START_TEST(cancelled_while_it_waits)
{
	_cleanup_json_ struct json_object *reply = NULL, *told = NULL;
	int id;

	set("fake.unplug=late:ROOT/go");
	id = client_send(stage.c, "devices-change",
			 "{'instance': 'web', 'attach': {'nics': [{'uuid': '" NIC
			 "', 'mode': 'user'}]}, 'detach': ['one'], 'timeout': 3600, 'job-id': 'mine'}");
	json_object_put(client_reply(stage.c, id));
	stage_await_text("run/operations/instance-web.json", "wait for the guest");
	json_object_put(client_ok(stage.c, "job-cancel", "{'id': 'mine'}"));
	told = client_event(stage.c, "DEVICE_PENDING");
	ck_assert_str_eq(str_at(told, "data.device"), ID);
	stage_settle();
	reply = client_ok(stage.c, "query-jobs", NULL);
	ck_assert_str_eq(str_at(reply, "0.error.class"), "Cancelled");
	ck_assert(!json_get_bool(at(reply, "0.error"), "undone", true));
	check_state("one", "detach-pending");
	stage_write("go", "");
	await_gone("one");
}
END_TEST

/* A disk and a card of which QEMU, which is told so, refuses the second; the guest has the first by then. */
static void half_attach(void)
{
	_cleanup_json_ struct json_object *e = NULL;

	stage_write("one", "an image");
	e = client_error(stage.c, "QemuError", "devices-change",
			 "{'instance': 'web', 'attach': {'disks': [{'uuid': '" DISK "', 'name': 'one', 'path': "
			 "'%s/one'}], 'nics': [{'uuid': '" NIC "', 'mode': 'user'}]}}",
			 stage.r->root);
	ck_assert(!json_get_bool(e, "undone", true));
}

/* A change that QEMU refuses half of, and a guest that keeps the half it has seen: that one goes when the guest lets go. */
START_TEST(kept_on_the_way_back)
{
	_cleanup_json_ struct json_object *o = NULL;

	stage_set("%s", "");
	stage_define("web", "fake.unplug=late:%s/go fake.error=device_add#2:GenericError:no", stage.r->root);
	stage_start("web");
	half_attach();
	o = stage_show("web");
	ck_assert_str_eq(str_at(o, "runtime.disks.0.state"), "detach-pending");
	ck_assert(!has(o, "definition.disks.0"));
	ck_assert(!has(o, "runtime.nics.0"));
	ck_assert(!has(o, "drift.0"));
	stage_write("go", "");
	await_gone("one");
	attach(DISK, "one");
	check_state("one", "attached");
}
END_TEST

/* The same, and a guest that says that it keeps it: then it has it, and what it is made of stays, until it is detached. */
START_TEST(refused_on_the_way_back)
{
	_cleanup_json_ struct json_object *o = NULL;

	stage_set("%s", "");
	stage_define("web", "%s", "fake.unplug=refuse fake.error=device_add#2:GenericError:no");
	stage_start("web");
	half_attach();
	stage_await_quiet();
	o = stage_show("web");
	ck_assert(!has(o, "drift.0"));
	ck_assert_str_eq(str_at(o, "runtime.disks.0.state"), "attached");
	ck_assert(!has(o, "definition.disks.0"));
	ck_assert(!has(o, "runtime.nics.0"));
	json_object_put(client_error(stage.c, "GuestRefused", "disk-detach", "{'instance': 'web', 'disk': 'one'}"));
}
END_TEST

/* One has left, and the other does not: so the first is given back. */
START_TEST(given_back)
{
	_cleanup_json_ struct json_object *list = NULL;
	bool there = false;

	set("fake.unplug=" OTHER_ID "/ignore");
	attach(OTHER, "two");
	json_object_put(client_error(stage.c, "Timeout", "devices-change",
				     "{'instance': 'web', 'detach': ['one', 'two'], 'timeout': 2}"));
	check_state("one", "attached");
	check_state("two", "detach-pending");
	list = client_ok(stage.c, "instance-qmp",
			 "{'instance': 'web', 'execute': 'qom-list', 'arguments': {'path': '/machine/peripheral'}}");
	for (size_t i = 0; i < json_object_array_length(list); i++)
		there = there || str_eq(str_at(json_object_array_get_idx(list, i), "name"), ID);
	ck_assert(there);
}
END_TEST

/* What cannot be recorded is not asked for. */
START_TEST(not_recorded)
{
	_cleanup_free_ char *obstacle = NULL;

	set("fake.unplug=obey");
	stage_await_quiet(); /* droverd itself has nothing of that name any more */
	obstacle = xasprintf("%s/run/instances/web/.runtime.json.new", stage.r->root);
	ck_assert_int_eq(mkdir(obstacle, 0700), 0);
	detach("GenericError");
	stage_settle();
	ck_assert_uint_eq(asked(), 0);
	check_state("one", "attached");
	ck_assert_int_eq(rmdir(obstacle), 0);
	json_object_put(client_ok(stage.c, "disk-detach", "{'instance': 'web', 'disk': 'one'}"));
	check_state("one", "gone");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("unplug again");
	TCase *t = tcase_create("guests");

	tcase_add_checked_fixture(t, NULL, stage_clear);
	tcase_add_test(t, a_silent_guest_is_asked_again);
	tcase_add_test(t, traced_while_somebody_waits);
	tcase_add_loop_test(t, asked_at_once_when_it_may_hear, 0, 4);
	tcase_add_loop_test(t, not_asked_while_it_stands_still, 0, 2);
	tcase_add_test(t, asked_when_it_wakes);
	tcase_add_test(t, asked_by_the_next_droverd);
	tcase_add_test(t, asked_behind_what_was_under_way);
	tcase_add_loop_test(t, another_end_is_none, 0, 4);
	tcase_add_test(t, an_end_without_a_name);
	tcase_add_test(t, a_refusal_that_comes_late);
	tcase_add_test(t, twice_is_no_refusal);
	tcase_add_test(t, asked_for_twice);
	tcase_add_test(t, each_goes_by_itself);
	tcase_add_test(t, busy_until_it_has_gone);
	tcase_add_loop_test(t, modified_meanwhile, 0, 2);
	tcase_add_loop_test(t, stopped_meanwhile, 0, 3);
	tcase_add_test(t, started_before_that);
	tcase_add_loop_test(t, stopped_while_it_waits, 0, 2);
	tcase_add_test(t, cancelled_while_it_waits);
	tcase_add_test(t, kept_on_the_way_back);
	tcase_add_test(t, refused_on_the_way_back);
	tcase_add_test(t, given_back);
	tcase_add_test(t, not_recorded);
	suite_add_tcase(s, t);
	return s;
}

RIG_MAIN_IN_MEMORY(suite)
