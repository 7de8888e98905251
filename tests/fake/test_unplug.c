/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest that is asked to let go of a device and does not answer, answers late, or refuses: what is told of it is true in
 * both records, also of the next droverd, and at the end nothing of the device is left.
 */
#include "stage.h"

#include "base/cleanup.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define WEB "{'instance': 'web'}"
#define DISK "11111111-22a7-4067-a566-7e0ca8386133"
#define NIC "22222222-66a8-4e6d-8b7e-ec4f69751396"
#define ADD_NIC(mac) "{'instance': 'web', 'nic': {'uuid': '" NIC "', 'mac': '" mac "', 'mode': 'user'}}"

enum { POLL_US = 5000, POLLS = RIG_DEADLINE_MS * 1000 / POLL_US };

static struct json_object *add_disk(const char *class)
{
	static const char args[] = "{'instance': 'web', 'disk': {'uuid': '" DISK "', 'path': '%s/image'}}";

	return class ? client_error(stage.c, class, "disk-attach", args, stage.r->root) :
		       client_ok(stage.c, "disk-attach", args, stage.r->root);
}

/* A guest that does with what it is asked for as UNPLUG says ("late": when there is a file "go"), with a disk and a card
 * more than it was started with. */
static void set(const char *unplug)
{
	_cleanup_free_ char *late = NULL;
	char image[513];

	stage_set("%s", "");
	late = xasprintf("late:%s/go", stage.r->root);
	memset(image, 'x', sizeof(image));
	image[sizeof(image) - 1] = '\0';
	stage_write("image", image);
	stage_define("web", "fake.unplug=%s fake.record=%s/asked", str_eq(unplug, "late") ? late : unplug,
		     stage.r->root);
	stage_start("web");
	json_object_put(add_disk(NULL));
	json_object_put(client_ok(stage.c, "nic-attach", ADD_NIC("52:54:00:3a:91:03")));
}

/* For what does not come nobody waits long. */
static void detach_both(const char *class)
{
	double timeout = str_eq(class, "Timeout") ? 0.01 : 30;

	json_object_put(client_error(stage.c, class, "disk-detach",
				     "{'instance': 'web', 'disk': '" DISK "', 'timeout': %g}", timeout));
	json_object_put(client_error(stage.c, class, "nic-detach",
				     "{'instance': 'web', 'nic': '" NIC "', 'timeout': %g}", timeout));
}

/* Both devices are in both records, in STATE. */
static void check_there(const char *state)
{
	_cleanup_json_ struct json_object *o = stage_show("web");

	ck_assert_str_eq(str_at(o, "definition.disks.0.uuid"), DISK);
	ck_assert_str_eq(str_at(o, "definition.nics.0.uuid"), NIC);
	ck_assert_str_eq(str_at(o, "runtime.disks.0.state"), state);
	ck_assert_str_eq(str_at(o, "runtime.nics.0.state"), state);
}

static bool is_left(void)
{
	_cleanup_json_ struct json_object *o = stage_show("web");

	return has(o, "definition.disks.0") || has(o, "definition.nics.0") || has(o, "runtime.disks.0") ||
	       has(o, "runtime.nics.0");
}

static void await_left(void)
{
	for (int i = 0; i < POLLS && is_left(); i++)
		usleep(POLL_US);
	ck_assert(!is_left());
	stage_settle();
}

/* Nothing of them is in QEMU, and the same are attached to the same places again. */
static void check_clean(void)
{
	_cleanup_json_ struct json_object *nodes = NULL, *sets = NULL;

	nodes = client_ok(stage.c, "instance-qmp", "{'instance': 'web', 'execute': 'query-named-block-nodes'}");
	sets = client_ok(stage.c, "instance-qmp", "{'instance': 'web', 'execute': 'query-fdsets'}");
	ck_assert_uint_eq(json_object_array_length(nodes), 0);
	/* Those of the logs, which are in use, stay; they are empty. */
	for (size_t i = 0; i < json_object_array_length(sets); i++) {
		struct json_object *set = json_object_array_get_idx(sets, i);

		ck_assert_int_le(int_at(set, "fdset-id"), 2);
		ck_assert_uint_eq(json_object_array_length(at(set, "fds")), 0);
	}
	json_object_put(add_disk(NULL));
	json_object_put(client_ok(stage.c, "nic-attach", ADD_NIC("52:54:00:3a:91:03")));
	check_there("attached");
}

START_TEST(answers_late)
{
	set("late");
	detach_both("Timeout");
	check_there("detach-pending");
	json_object_put(add_disk("Busy"));
	stage_write("go", "");
	json_object_put(client_event(stage.c, "DEVICE_DETACHED"));
	json_object_put(client_event(stage.c, "DEVICE_DETACHED"));
	await_left();
	check_clean();
}
END_TEST

START_TEST(answers_the_next_droverd)
{
	set("late");
	detach_both("Timeout");
	stage_restart();
	stage_settle();
	check_there("detach-pending");
	stage_write("go", "");
	await_left();
	check_clean();
}
END_TEST

START_TEST(answers_while_droverd_is_down)
{
	set("late");
	detach_both("Timeout");
	stage_kill();
	stage_write("go", "");
	stage_restart();
	await_left();
	check_clean();
}
END_TEST

START_TEST(refuses)
{
	set("refuse");
	detach_both("GuestRefused");
	json_object_put(client_event(stage.c, "DEVICE_REFUSED"));
	check_there("attached");
}
END_TEST

START_TEST(ends_meanwhile)
{
	set("ignore");
	detach_both("Timeout");
	if (_i)
		kill(stage_pid("web"), SIGKILL);
	else
		json_object_put(client_ok(stage.c, "instance-stop", WEB));
	await_left();
	ck_assert_int_eq(stage_pid("web"), 0);
}
END_TEST

static size_t asked(void)
{
	_cleanup_free_ char *text = rig_file(stage.r, "asked");
	size_t n = 0;

	for (const char *p = text; p && (p = strstr(p, "device_del")); p++)
		n++;
	return n;
}

/* Never while it stands still. */
START_TEST(asked_when_it_goes_on)
{
	size_t before;

	set("ignore");
	json_object_put(client_ok(stage.c, "instance-pause", WEB));
	before = asked();
	detach_both("Timeout");
	ck_assert_uint_eq(asked(), before);
	json_object_put(client_ok(stage.c, "instance-resume", WEB));
	for (int i = 0; i < POLLS && asked() < before + 2; i++)
		usleep(POLL_US);
	ck_assert_uint_ge(asked(), before + 2);
	check_there("detach-pending");
}
END_TEST

START_TEST(the_same_again)
{
	_cleanup_json_ struct json_object *disk = NULL, *nic = NULL;

	set("obey");
	disk = add_disk(NULL);
	nic = client_ok(stage.c, "nic-attach", ADD_NIC("52:54:00:3a:91:03"));
	ck_assert(!json_get_bool(disk, "changed", true));
	ck_assert(!json_get_bool(nic, "changed", true));
	json_object_put(client_error(stage.c, "Exists", "nic-attach", ADD_NIC("52:54:00:3a:91:04")));
	check_there("attached");
}
END_TEST

/* ---- the host loses its power ---- */

/* droverd, QEMU and all that is not on a disk. */
static void lose_power(void)
{
	pid_t qemu = stage_holder("web");
	_cleanup_free_ char *run = NULL;

	stage_kill();
	kill(qemu, SIGKILL);
	process_await_end(qemu);
	stage_await_text("run/instances/web/exit.json", "}"); /* its keeper ends, too */
	run = xasprintf("rm -r %s/run", stage.r->root);
	ck_assert_int_eq(system(run), 0); /* NOLINT(cert-env33-c): a path of our own */
	stage_restart();
	stage_settle();
}

/* Whether they left or stay is in the definition, the next start has it so, and nobody has a note of it any more. */
static void check_definition(bool left)
{
	_cleanup_json_ struct json_object *o = stage_show("web");
	_cleanup_free_ char *world = rig_world(stage.r, false);

	ck_assert(has(o, "definition.disks.0") != left);
	ck_assert(has(o, "definition.nics.0") != left);
	ck_assert_msg(!strstr(world, ".leaving"), "%s", world);
	stage_start("web");
	ck_assert(is_left() != left);
}

START_TEST(power_lost_meanwhile)
{
	set("ignore");
	detach_both("Timeout");
	lose_power();
	check_definition(true);
}
END_TEST

/* It is nobody's wish any more: they have left, and others came that are called the same. */
START_TEST(power_lost_later)
{
	set("late");
	detach_both("Timeout");
	stage_write("go", "");
	await_left();
	json_object_put(add_disk(NULL));
	json_object_put(client_ok(stage.c, "nic-attach", ADD_NIC("52:54:00:3a:91:03")));
	lose_power();
	check_definition(false);
}
END_TEST

/* They were to leave, and stay. */
START_TEST(power_lost_after_refusal)
{
	set("ignore fake.error=device_del#3:GenericError:no fake.error=device_del#4:GenericError:no");
	detach_both("Timeout");
	json_object_put(client_ok(stage.c, "instance-pause", WEB));
	json_object_put(client_ok(stage.c, "instance-resume", WEB));
	json_object_put(client_event(stage.c, "DEVICE_REFUSED"));
	json_object_put(client_event(stage.c, "DEVICE_REFUSED"));
	check_there("attached");
	lose_power();
	check_definition(false);
}
END_TEST

/* What is no note of ours, or is of a device that has none. */
START_TEST(strange_notes)
{
	_cleanup_free_ char *command = NULL;

	set("obey");
	command = xasprintf("cd %s/lib/instances/web && touch .leaving x.leaving && mkdir y.leaving && ln -s /nowhere "
			    "disk-33333333-22a7-4067.leaving",
			    stage.r->root);
	ck_assert_int_eq(system(command), 0); /* NOLINT(cert-env33-c): a path of our own */
	lose_power();
	stage_start("web");
	check_there("attached");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("unplug");
	TCase *t = tcase_create("guests");

	tcase_add_checked_fixture(t, NULL, stage_clear);
	tcase_add_test(t, answers_late);
	tcase_add_test(t, answers_the_next_droverd);
	tcase_add_test(t, answers_while_droverd_is_down);
	tcase_add_test(t, refuses);
	tcase_add_loop_test(t, ends_meanwhile, 0, 2);
	tcase_add_test(t, asked_when_it_goes_on);
	tcase_add_test(t, the_same_again);
	tcase_add_test(t, power_lost_meanwhile);
	tcase_add_test(t, power_lost_later);
	tcase_add_test(t, power_lost_after_refusal);
	tcase_add_test(t, strange_notes);
	suite_add_tcase(s, t);
	return s;
}

RIG_MAIN(suite)
