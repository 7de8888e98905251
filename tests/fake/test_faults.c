/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fault matrix (matrix.h) on the fake QEMU: every command that has a plan, from each state in which the plan is another
 * one.
 *
 * A new command joins by a row of plans[].
 */
#include "matrix.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>

#define FORCE "'force': true"
#define ON_REBOOT_STOP ", \"on_reboot\": \"stop\""
#define ON_CRASH_PAUSE ", \"on_crash\": \"pause\""
#define ON_POWEROFF_RESTART ", \"on_poweroff\": \"restart\""
#define SLEEPS "fake.state=cont+:suspended"
#define DISK(more) \
	"'disk': {'uuid': '11111111-22a7-4067-a566-7e0ca8386133', 'name': 'more', 'path': 'ROOT/more'" more "}"
#define QCOW2                                                                                                \
	"'disk': {'uuid': '11111111-22a7-4067-a566-7e0ca8386133', 'name': 'more', 'path': 'ROOT/more-top', " \
	"'format': 'qcow2', 'backing': [{'path': 'ROOT/more'}]}"
#define CARD                                                                                                   \
	"'nic': {'uuid': '22222222-66a8-4e6d-8b7e-ec4f69751396', 'name': 'more', 'mac': '52:54:00:3a:91:03', " \
	"'mode': 'user'}"
#define SCSI ", 'type': 'scsi-hd'"
#define BOTH_AND(more)                                                                                          \
	"'attach': {'disks': [{'uuid': '11111111-22a7-4067-a566-7e0ca8386133', 'path': 'ROOT/more'" more "}], " \
	"'nics': [{'uuid': '22222222-66a8-4e6d-8b7e-ec4f69751396', 'mac': '52:54:00:3a:91:03', 'mode': 'user'}]}"
#define BOTH BOTH_AND("")
#define GROUPED(uuid, name, group)                                                                                 \
	"{'uuid': '" uuid "-22a7-4067-a566-7e0ca8386133', 'name': '" name "', 'path': 'ROOT/more', 'mode': 'ro', " \
	"'throttle': {'iops_total': 50, 'group': '" group "'}}"
#define LAST_IN_G GROUPED("33333333", "last", "g")
#define FIRST_IN_H GROUPED("44444444", "stays", "h")
#define SECOND_IN_H GROUPED("55555555", "joins", "h")
#define FIRST_IN_I GROUPED("66666666", "alone", "i")
#define SILENT_GUEST .words = "fake.unplug=disk-932df161-22a7-4067/ignore", .class = "Timeout"

static struct plan plans[] = {
	{ "define", NOTHING, "instance-define", .description = "first" },
	{ "define again", DEFINED, "instance-define", .description = "second" },
	{ "define one that runs", RUNNING, "instance-define", .description = "second" },
	{ "define a broken one", BROKEN, "instance-define", .description = "second" },

	{ "undefine", DEFINED, "instance-undefine" },
	{ "undefine a broken one", BROKEN, "instance-undefine" },
	{ "undefine by force", RUNNING, "instance-undefine", .every = 7, .bridged = true, .args = FORCE,
	  .stops_first = true },
	{ "undefine by force without a process", DEFINED, "instance-undefine", .every = 7, .args = FORCE,
	  .stops_first = true, .idle_commit = true },

	{ "modify", DEFINED, "instance-modify", .args = "'patch': {'description': 'second'}" },
	{ "modify for the next start", RUNNING, "instance-modify", .args = "'patch': {'vcpus': 2}" },
	{ "rename", DEFINED, "instance-rename", .args = "'name': 'web2'" },

	{ "start", DEFINED, "instance-start", .bridged = true, .named = true },
	{ "start with UEFI and a TPM", DEFINED, "instance-start", .every = 19, .named = true,
	  .hvparams = ", 'firmware': 'uefi', 'tpm': true" },
	{ "start paused", DEFINED, "instance-start", .every = 7, .args = "'paused': true", .named = true,
	  .idle_commit = true },
	{ "start with VNC", DEFINED, "instance-start", .every = 7, .named = true,
	  .hvparams = ", \"vnc_bind_address\": \"127.0.0.1\"" },
	{ "autostart", DEFINED, "instance-autostart", .every = 7, .restart = true, .restarts = true,
	  .extra = ", \"autostart\": true" },

	{ "stop", RUNNING, "instance-stop", .bridged = true, .named = true },
	{ "stop a paused guest", PAUSED, "instance-stop", .every = 7, .named = true },
	{ "stop a crashed guest", RUNNING, "instance-stop", .every = 7, .named = true, .lead_signal = SIGUSR2,
	  .state = "crashed", .hvparams = ON_CRASH_PAUSE },

	{ "shutdown", RUNNING, "instance-shutdown", .named = true, .asks_guest = true },
	{ "shutdown of a guest that sleeps", RUNNING, "instance-shutdown", .every = 7, .named = true,
	  .asks_guest = true, .words = SLEEPS, .state = "pmsuspended", .between = "running" },
	{ "shutdown of a deaf guest, then stop", RUNNING, "instance-shutdown", .every = 7, .named = true,
	  .args = "'timeout': 0.02, 'then': 'stop'", .words = "fake.powerdown=ignore", .deaf = true,
	  .idle_commit = true },

	{ "pause", RUNNING, "instance-pause", .unmarked = true },
	{ "resume", PAUSED, "instance-resume", .unmarked = true },
	{ "resume by waking", RUNNING, "instance-resume", .unmarked = true, .words = SLEEPS, .state = "pmsuspended" },
	{ "resume after an error", RUNNING, "instance-resume", .unmarked = true, .lead_signal = SIGHUP,
	  .state = "blocked" },
	{ "resume behind an ending reset", PAUSED, "instance-resume", .unmarked = true, .lead = "instance-reset",
	  .hvparams = ON_REBOOT_STOP },

	{ "reset", RUNNING, "instance-reset", .unmarked = true, .untold = true },
	{ "ending reset", RUNNING, "instance-reset", .unmarked = true, .untold = true, .hvparams = ON_REBOOT_STOP },
	{ "ending reset of a paused guest", PAUSED, "instance-reset", .every = 7, .unmarked = true, .untold = true,
	  .hvparams = ON_REBOOT_STOP },
	{ "reset of a crashed guest", RUNNING, "instance-reset", .unmarked = true, .untold = true,
	  .lead_signal = SIGUSR2, .state = "crashed", .hvparams = ON_CRASH_PAUSE, .between = "paused" },
	{ "reset of a guest that sleeps", RUNNING, "instance-reset", .unmarked = true, .untold = true, .words = SLEEPS,
	  .state = "pmsuspended", .between = "paused" },
	{ "reset after an error", RUNNING, "instance-reset", .unmarked = true, .untold = true, .lead_signal = SIGHUP,
	  .state = "blocked", .between = "paused" },
	{ "settle after a reset", RUNNING, "instance-settle", .unmarked = true, .restart = true,
	  .lead = "instance-reset", .cut = "instance-reset/wait for the firmware/before/kill",
	  .hvparams = ON_REBOOT_STOP },

	{ "nmi", RUNNING, "instance-nmi", .unmarked = true, .untold = true },
	{ "keys", RUNNING, "instance-send-key", .unmarked = true, .untold = true, .args = "'keys': ['a']" },
	{ "screenshot", RUNNING, "instance-screenshot", .unmarked = true, .untold = true,
	  .hvparams = ", \"vga\": \"std\"" },
	{ "a question to QEMU", RUNNING, "instance-qmp", .unmarked = true, .untold = true,
	  .args = "'execute': 'query-name'" },
	{ "an order to QEMU", RUNNING, "instance-qmp", .unmarked = true, .untold = true,
	  .args = "'execute': 'system_reset', 'unsafe': true" },

	{ "restart after a power-off", RUNNING, "instance-restart", .every = 7, .signal = SIGUSR1, .restarts = true,
	  .hvparams = ON_POWEROFF_RESTART, .between = "shutdown" },
	{ "power-off before a restart", RUNNING, "instance-poweroff", .every = 7, .signal = SIGUSR1, .restarts = true,
	  .hvparams = ON_POWEROFF_RESTART, .between = "shutdown" },
	{ "panic of the guest", RUNNING, "instance-poweroff", .every = 7, .signal = SIGUSR2,
	  .hvparams = ", \"on_crash\": \"stop\"", .between = "off" },
	{ "reset after a panic", RUNNING, "instance-reset", .signal = SIGUSR2, .unmarked = true, .untold = true,
	  .hvparams = ", \"on_crash\": \"reset\"", .between = "off", .halts = "paused" },
	{ "power-off of the guest", RUNNING, "instance-poweroff", .signal = SIGUSR1, .between = "shutdown" },
	{ "collect", RUNNING, "instance-collect", .bridged = true, .signal = SIGKILL, .between = "off" },

	{ "reboot", RUNNING, "instance-reboot", .every = 5, .named = true, .asks_guest = true, .boots = true },
	{ "boot anew", RUNNING, "instance-reboot", .every = 7, .named = true, .asks_guest = true, .boots = true,
	  .patch = "{'vcpus': 2}" },

	{ "attach a disk", RUNNING, "disk-attach", .args = DISK("") },
	{ "attach a disk with a backing image", RUNNING, "disk-attach", .every = 7, .args = QCOW2 },
	{ "attach a disk to a paused guest", PAUSED, "disk-attach", .every = 7, .args = DISK("") },
	{ "attach a disk without a process", DEFINED, "disk-attach", .args = DISK("") },
	{ "attach a disk for the next start", RUNNING, "disk-attach", .args = DISK("") ", 'live': false" },
	{ "attach a card", RUNNING, "nic-attach", .args = CARD },
	{ "attach a SCSI disk", RUNNING, "disk-attach", .every = 7, .args = DISK(SCSI) },
	{ "detach a SCSI disk", RUNNING, "disk-detach", .args = "'disk': 'more'", .lead = "disk-attach",
	  .lead_args = ", " DISK(SCSI) },
	{ "detach a disk", RUNNING, "disk-detach", .args = "'disk': 'disk1'" },
	{ "detach a disk without a process", DEFINED, "disk-detach", .args = "'disk': 'disk1'" },
	{ "detach a card", RUNNING, "nic-detach", .args = "'nic': 'nic0'" },
	{ "resize a disk", RUNNING, "disk-resize", .args = "'disk': 'disk0', 'size': '64M'" },
	{ "resize a disk without a process", DEFINED, "disk-resize", .every = 7, .apart = true,
	  .args = "'disk': 'disk0', 'size': '64M'" },
	{ "change devices", RUNNING, "devices-change", .every = 7, .stays_asked = true,
	  .args = BOTH_AND(", 'name': 'disk0'") ", 'detach': ['disk0', 'nic0']" },
	{ "change disks that share limits", RUNNING, "devices-change", .every = 19, .stays_asked = true,
	  .lead = "devices-change", .lead_args = ", 'attach': {'disks': [" LAST_IN_G ", " FIRST_IN_H "]}",
	  .args = "'attach': {'disks': [" SECOND_IN_H ", " FIRST_IN_I "]}, 'detach': ['last']" },
	{ "change devices, the second of which QEMU refuses", RUNNING, "devices-change", .every = 7,
	  .class = "QemuError", .words = "fake.error=device_add#2:GenericError:no", .args = BOTH },
	{ "change devices of a silent guest", RUNNING, "devices-change", SILENT_GUEST, .every = 7, .stays_asked = true,
	  .args = "'attach': {'nics': [{'uuid': '22222222-66a8-4e6d-8b7e-ec4f69751396', 'mac': '52:54:00:3a:91:03', "
		  "'mode': 'user'}]}, 'detach': ['disk0', 'disk1'], 'timeout': 1" },
	{ "take a disk from a silent guest", RUNNING, "disk-detach", SILENT_GUEST,
	  .args = "'disk': 'disk1', 'timeout': 0.02" },
	{ "take a disk from a guest that refuses", RUNNING, "disk-detach", .class = "GuestRefused", .dies_done = true,
	  .words = "fake.unplug=refuse", .args = "'disk': 'disk1'" },
	{ "collect a disk", RUNNING, "devices-collect", .words = "fake.unplug=late:ROOT/go", .file = "go",
	  .hvparams = ", \"security_model\": \"none\"", .lead = "disk-detach",
	  .lead_args = ", 'disk': 'disk1', 'timeout': 0.01", .lead_class = "Timeout" },
};

static const struct left_out left_out[] = {
	{ "instance-import", NULL,
	  "it begins with a process that no droverd started; test_ganeti_process cuts it off beside one" },
	{ "instance-shutdown", "by the agent", "the fake has no guest and no agent; its steps run and find none" },
	{ "instance-start", "where it has to find out whether KVM works",
	  "that is another program, with tests of its own; the step runs and has nothing to do" },
	{ "display-password", NULL,
	  "it needs a file with a password, and is two questions to QEMU of which the first cannot be taken back" },
	{ NULL },
};

/* Nobody looks at it. */
static char *make_kernel(const char *root)
{
	char *path = xasprintf("%s/kernel", root);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	ck_assert_int_ge(fd, 0);
	return path;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A PC that was given one keeps it. */
static bool is_controller(struct json_object *o)
{
	return str_eq(json_get_str(o, "name"), "scsi");
}

/* MEMBER of each of the list that QEMU answers with, sorted: what is plugged again comes last. */
static char *answer(const char *command, const char *args, const char *member)
{
	int id = client_send(scene.c, "instance-qmp", "{'instance': 'web', 'execute': '%s', 'arguments': %s}", command,
			     args);
	_cleanup_json_ struct json_object *reply = client_reply(scene.c, id);
	struct json_object *list = json_get_typed(reply, "return", json_type_array);
	size_t n = list ? json_object_array_length(list) : 0, kept = 0;
	char *text = xstrdup(command), **items = xcalloc(n + 1, sizeof(*items));

	for (size_t i = 0; i < n; i++)
		if (!is_controller(json_object_array_get_idx(list, i)))
			items[kept++] = json_print(json_object_object_get(json_object_array_get_idx(list, i), member));
	qsort(items, kept, sizeof(*items), compare);
	for (size_t i = 0; i < kept; i++) {
		_cleanup_free_ char *old = text, *item = items[i];

		text = xasprintf("%s %s", old, item);
	}
	free(items);
	return text;
}

/* Which of the cards' back ends QEMU has: it lists none, and finds out when it is asked to set a link. */
static char *back_ends(void)
{
	static const char *const ids[] = { "nic-003fc157-66a8-4e6d", "nic-22222222-66a8-4e6d" };
	char *text = xstrdup("netdevs");

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		int id = client_send(
			scene.c, "instance-qmp",
			"{'instance': 'web', 'execute': 'set_link', 'arguments': {'name': '%s', 'up': true}}", ids[i]);
		_cleanup_json_ struct json_object *reply = client_reply(scene.c, id);
		_cleanup_free_ char *old = text;

		text = xasprintf("%s%s%s", old, has(reply, "return") ? " " : "", has(reply, "return") ? ids[i] : "");
	}
	return text;
}

/* What the runtime record and QEMU have of devices, of the plans that are about those. */
static char *describe(pid_t pid)
{
	static const char *const about[] = { "disk-", "nic-", "devices-" };
	_cleanup_free_ char *nodes = NULL, *names = NULL, *sets = NULL, *disks = NULL, *cards = NULL, *netdevs = NULL,
			    *objects = NULL;
	_cleanup_json_ struct json_object *o = NULL;
	struct json_object *runtime;
	bool wanted = false;

	for (size_t i = 0; i < ARRAY_SIZE(about); i++)
		wanted = wanted || str_starts(scene.p->command, about[i]);
	o = wanted ? client_ok(scene.c, "query-instance", "{'instance': 'web'}") : NULL;
	runtime = json_get_typed(o, "runtime", json_type_object);
	if (!runtime)
		return xstrdup("");
	nodes = answer("query-named-block-nodes", "{'flat': true}", "node-name");
	names = answer("qom-list", "{'path': '/machine/peripheral'}", "name");
	objects = answer("qom-list", "{'path': '/objects'}", "name");
	netdevs = back_ends();
	/* One that stands still keeps its sets until it goes on. */
	sets = scene.p->from == PAUSED ? xstrdup("") : answer("query-fdsets", "{}", "fdset-id");
	disks = json_print(json_object_object_get(runtime, "disks"));
	cards = json_print(json_object_object_get(runtime, "nics"));
	return xasprintf("disks %s\nnics %s\n%s\n%s\n%s\n%s\n%s\n", disks, cards, nodes, names, objects, sets, netdevs);
}

static const struct machine machine = { .binary = "fake-qemu", .kernel = make_kernel, .describe = describe };
static const struct matrix matrix = {
	.machine = &machine, .plans = plans, .n = ARRAY_SIZE(plans), .left_out = left_out
};

int main(void)
{
	return matrix_main(&matrix);
}
