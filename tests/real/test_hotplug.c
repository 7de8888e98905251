/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks and cards that come and go while a real guest runs: what Linux in it sees of them, what QEMU and both records
 * have of them then, and what is left where a change fails or the guest does not answer yet.
 *
 * One booted guest of each machine type is shared by most checks, so this file is longer than 700 lines.
 */
#include "guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define VM "vm"

enum { KIB = 1024, LOOK_MS = 20, PORTS = 4, SCSI_DISKS = 20 };

static const char *const machines[] = { "pc", "q35" };
/* Places for devices that may come and go. */
static const unsigned slots[] = { 20, PORTS };

static struct rig *rig;
static struct client *client;
static char *dir; /* root's alone, as everything in it */

static void set_up(void)
{
	rig = rig_new("droverd");
	dir = xasprintf("%s/images", rig->root);
	ck_assert_int_eq(mkdir(dir, 0700), 0);
	rig_start(rig);
	client = client_new(rig);
}

static void tear_down(void)
{
	client_free(client);
	rig_free(rig);
	free(dir);
}

static void restart(void)
{
	rig_kill(rig);
	rig_start(rig);
	client_free(client);
	client = client_new(rig);
}

/* ---- requests ---- */

/* TEXT with the directory of the images for each '@'. The caller's. */
static char *filled(const char *text)
{
	char *all = xstrdup("");

	for (const char *p = text; *p; p += strcspn(p, "@") + (p[strcspn(p, "@")] == '@')) {
		size_t n = strcspn(p, "@");
		_cleanup_free_ char *old = all;

		all = xasprintf("%s%.*s%s", old, (int)n, p, p[n] == '@' ? dir : "");
	}
	return all;
}

static int request(const char *command, const char *args)
{
	_cleanup_free_ char *text = filled(args);

	return client_send(client, command, "{'instance': '%s', %s}", VM, text);
}

/* It fails; the error. */
static struct json_object *fails(const char *class, const char *command, const char *args)
{
	_cleanup_free_ char *text = filled(args);

	return client_error(client, class, command, "{'instance': '%s', %s}", VM, text);
}

static void done(const char *command, const char *args)
{
	_cleanup_free_ char *text = filled(args);

	json_object_put(client_ok(client, command, "{'instance': '%s'%s%s}", VM, *text ? ", " : "", text));
}

/* It succeeds, and in front of its reply EVENT has been told so many times. The result. */
static struct json_object *told(const char *event, unsigned times, const char *command, const char *args)
{
	int id = request(command, args);

	for (unsigned n = 0;;) {
		_cleanup_json_ struct json_object *o = client_read(client);

		ck_assert_ptr_nonnull(o);
		if (str_eq(json_get_str(o, "event"), event)) {
			ck_assert_str_eq(str_at(o, "data.instance"), VM);
			n++;
		}
		if (!has(o, "id") || int_at(o, "id") != id)
			continue;
		ck_assert_msg(has(o, "return"), "%s {%s}: %s", command, args, json_object_to_json_string(o));
		ck_assert_msg(n == times, "%s: %u times %s", command, n, event);
		return json_object_get(at(o, "return"));
	}
}

static void changes(const char *event, unsigned times, const char *command, const char *args)
{
	_cleanup_json_ struct json_object *o = told(event, times, command, args);

	ck_assert(json_object_get_boolean(at(o, "changed")) && json_object_get_boolean(at(o, "live")));
}

/* ---- what there is ---- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The member KEY of each of LIST, sorted, behind WHAT; consumes LIST. */
static void add_sorted(char **text, const char *what, const char *key, struct json_object *list)
{
	size_t n = json_object_array_length(list);
	const char **names = xcalloc(n + 1, sizeof(*names));

	for (size_t i = 0; i < n; i++)
		names[i] = str_at(json_object_array_get_idx(list, i), key);
	qsort(names, n, sizeof(*names), by_text);
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *old = *text;

		*text = xasprintf("%s%s %s\n", old, what, names[i]);
	}
	free(names);
	json_object_put(list);
}

static struct json_object *qemu(const char *execute, const char *args)
{
	return client_ok(client, "instance-qmp",
			 "{'instance': '%s', 'execute': '%s', 'unsafe': true, 'arguments': {%s}}", VM, execute, args);
}

static unsigned full_sets(void)
{
	_cleanup_json_ struct json_object *list = qemu("query-fdsets", "");
	unsigned n = 0;

	for (size_t i = 0; i < json_object_array_length(list); i++)
		n += json_object_array_length(at(json_object_array_get_idx(list, i), "fds")) > 0;
	return n;
}

/* What QEMU has: nodes, objects, devices, backends of cards, descriptors; and those of droverd. The caller's. */
static char *world(void)
{
	_cleanup_json_ struct json_object *network = qemu("human-monitor-command", "'command-line': 'info network'");
	pid_t pid = guest_pid(client, VM);
	char *text = xasprintf("sets %u\ndescriptors %u, %u\n%s", full_sets(), process_fds(pid), process_fds(rig->pid),
			       json_object_get_string(network));

	add_sorted(&text, "node", "node-name", qemu("query-named-block-nodes", "'flat': true"));
	add_sorted(&text, "object", "name", qemu("qom-list", "'path': '/objects'"));
	add_sorted(&text, "device", "name", qemu("qom-list", "'path': '/machine/peripheral'"));
	return text;
}

/* What is closed behind an answer may take a moment. */
static void expect_world(const char *before)
{
	char *now = world();

	for (int i = 0; !str_eq(now, before) && i < RIG_DEADLINE_MS / LOOK_MS; i++) {
		usleep(LOOK_MS * 1000);
		free(now);
		now = world();
	}
	ck_assert_msg(str_eq(now, before), "before:\n%s\nnow:\n%s", before, now);
	free(now);
}

/* The element of slots that has the device, or NULL. */
static bool has_slot(struct json_object *o, const char *bus, const char *id)
{
	struct json_object *buses = at(o, "slots");

	for (size_t i = 0; i < json_object_array_length(buses); i++) {
		struct json_object *slot = json_object_array_get_idx(buses, i);

		json_object_object_foreach(at(slot, "used"), place, user) {
			if (str_eq(json_object_get_string(user), id))
				return str_eq(str_at(slot, "bus"), bus) || str_eq(place, bus);
		}
	}
	return false;
}

static void expect_same(struct json_object *o, const char *list)
{
	_cleanup_free_ char *wanted = xasprintf("definition.%s", list), *real = xasprintf("runtime.%s", list);
	size_t n = has(o, wanted) ? json_object_array_length(at(o, wanted)) : 0;

	ck_assert_uint_eq(has(o, real) ? json_object_array_length(at(o, real)) : 0, n);
	for (size_t i = 0; i < n; i++) {
		struct json_object *a = json_object_array_get_idx(at(o, wanted), i);
		struct json_object *b = json_object_array_get_idx(at(o, real), i);

		ck_assert_str_eq(str_at(a, "uuid"), str_at(b, "uuid"));
		ck_assert_str_eq(str_at(b, "state"), "attached");
		ck_assert_msg(json_object_equal(at(a, "hvinfo"), at(b, "hvinfo")), "%s and %s",
			      json_object_to_json_string(a), json_object_to_json_string(b));
		ck_assert_msg(has(a, "hvinfo.scsi-id") || has_slot(o, str_at(a, "hvinfo.bus"), str_at(a, "hvinfo.id")),
			      "%s has no slot: %s", str_at(a, "hvinfo.id"), json_object_to_json_string(at(o, "slots")));
	}
}

/* Both records have the same, and QEMU what they have. */
static void expect_records(void)
{
	_cleanup_json_ struct json_object *o = guest_settle(client, VM);

	ck_assert_msg(json_object_array_length(at(o, "pending")) == 0, "%s", json_object_to_json_string(o));
	ck_assert(!has(o, "drift") || json_object_array_length(at(o, "drift")) == 0);
	expect_same(o, "disks");
	expect_same(o, "nics");
}

/* "NAME BUS ADDR" of each device of the definition, one a line. The caller's. */
static char *addresses(void)
{
	_cleanup_json_ struct json_object *o = guest_query(client, VM);
	static const char *const lists[] = { "definition.disks", "definition.nics" };
	char *text = xstrdup("");

	for (size_t l = 0; l < ARRAY_SIZE(lists); l++)
		for (size_t i = 0; has(o, lists[l]) && i < json_object_array_length(at(o, lists[l])); i++) {
			struct json_object *device = json_object_array_get_idx(at(o, lists[l]), i);
			_cleanup_free_ char *old = text;

			text = xasprintf("%s%s %s\n", old, str_at(device, "name"),
					 json_object_to_json_string(at(device, "hvinfo")));
		}
	return text;
}

/* ---- the guest ---- */

static void image(const char *name, off_t kib)
{
	_cleanup_free_ char *path = xasprintf("images/%s", name);

	free(guest_image(rig, path, "", kib * KIB));
}

static void start(const char *machine, const char *disks)
{
	_cleanup_free_ char *text = filled(disks);

	client_define(client, VM,
		      "'memory': '128M', 'hvparams': {'machine_version': '%s', 'pcie_root_ports': %d, 'kernel_path': "
		      "'%s/vmlinux', 'initrd_path': '%s/initrd.gz', 'kernel_args': 't.net=none t.ga=0'}, 'disks': [%s]",
		      machine, PORTS, rig_guest(), rig_guest(), text);
	guest_start(client, VM);
}

/* The guest says it once more than it had. */
static void says(const char *text, unsigned before)
{
	guest_await(rig, VM, text, before + 1);
}

/* ---- one by one ---- */

static const struct kind {
	const char *list, *device, *added, *removed; /* what the guest says */
} kinds[] = {
	{ "disk", "'path': '@/one'", "GUEST-ADD block vdb 2048\r", "GUEST-DEL block vdb" },
	{ "disk", "'path': '@/top', 'format': 'qcow2', 'backing': [{'path': '@/base'}]", "GUEST-ADD block vdb 8192\r",
	  "GUEST-DEL block vdb" },
	{ "disk", "'path': '@/one', 'type': 'scsi-hd'", "GUEST-ADD block sda 2048\r", "GUEST-DEL block sda" },
	{ "disk", "'path': '@/one', 'type': 'scsi-cd', 'media': 'cdrom'", "GUEST-ADD block sr0",
	  "GUEST-DEL block sr0" },
	{ "nic", "'mode': 'user', 'mac': '52:54:00:00:00:11'", "GUEST-ADD net eth0 52:54:00:00:00:11\r",
	  "GUEST-DEL net eth0" },
	{ "nic", "'mode': 'none', 'mac': '52:54:00:00:00:12'", "GUEST-ADD net eth0 52:54:00:00:00:12\r",
	  "GUEST-DEL net eth0" },
};

/* It comes, and goes. */
static void cycle(const struct kind *k)
{
	_cleanup_free_ char *attach = xasprintf("%s-attach", k->list), *detach = xasprintf("%s-detach", k->list);
	_cleanup_free_ char *device = xasprintf("'%s': {'name': 'hot', %s}", k->list, k->device);
	_cleanup_free_ char *name = xasprintf("'%s': 'hot'", k->list);
	unsigned added = guest_said(rig, VM, k->added), removed = guest_said(rig, VM, k->removed);

	changes("DEVICE_ATTACHED", 1, attach, device);
	says(k->added, added);
	expect_records();
	changes("DEVICE_DETACHED", 1, detach, name);
	says(k->removed, removed);
	expect_records();
}

/* A PC gets its controller with the first that needs one, and keeps it; other machines have it. */
static void check_controller(bool pc)
{
	_cleanup_json_ struct json_object *before = qemu("qom-list", "'path': '/machine/peripheral'"), *after = NULL;

	cycle(&kinds[2]);
	after = qemu("qom-list", "'path': '/machine/peripheral'");
	ck_assert_uint_eq(json_object_array_length(after), json_object_array_length(before) + pc);
	ck_assert_ptr_nonnull(strstr(json_object_to_json_string(after), "\"scsi\""));
}

static void check_each(void)
{
	unsigned cycles = getenv("DROVER_LONG") ? 20 : 3;
	_cleanup_free_ char *before = world();

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		cycle(&kinds[i]);
		expect_world(before);
	}
	for (unsigned i = 0; i < cycles; i++)
		cycle(&kinds[0]);
	expect_world(before);
}

/* ---- several ---- */

static void check_change(void)
{
	_cleanup_free_ char *before = world(), *one = NULL, *other = NULL;
	unsigned b = guest_said(rig, VM, "GUEST-ADD block vdb 2048\r"), n = guest_said(rig, VM, "GUEST-ADD net eth0");
	unsigned c = guest_said(rig, VM, "GUEST-ADD block vdc 4096\r"), gone;

	changes("DEVICE_ATTACHED", 3, "devices-change",
		"'attach': {'disks': [{'name': 'a', 'path': '@/one'}, {'name': 'b', 'path': '@/two'}], "
		"'nics': [{'name': 'c', 'mode': 'user'}]}");
	says("GUEST-ADD block vdb 2048\r", b);
	says("GUEST-ADD block vdc 4096\r", c);
	says("GUEST-ADD net eth0", n);
	expect_records();
	one = addresses();
	gone = guest_said(rig, VM, "GUEST-DEL block vdb");
	changes("DEVICE_DETACHED", 2, "devices-change",
		"'attach': {'disks': [{'name': 'd', 'path': '@/three', 'type': 'scsi-hd'}]}, 'detach': ['a', 'c']");
	says("GUEST-DEL block vdb", gone);
	guest_await(rig, VM, "GUEST-ADD block sda 6144\r", 1);
	expect_records();
	/* who stays is where it was */
	other = addresses();
	ck_assert_ptr_nonnull(strstr(one, "\nb {"));
	ck_assert_int_eq(strncmp(strstr(one, "\nb {"), strstr(other, "\nb {"), strcspn(strstr(one, "\nb {") + 1, "\n")),
			 0);
	changes("DEVICE_DETACHED", 2, "devices-change", "'detach': ['b', 'd']");
	expect_records();
	expect_world(before);
}

/* One of them is another machine's, which is found out when the guest has the first already. */
static void check_all_or_none(void)
{
	_cleanup_free_ char *before = NULL, *where = NULL, *after = NULL;
	_cleanup_json_ struct json_object *e = NULL;
	unsigned gone, added = guest_said(rig, VM, "GUEST-ADD block vdb 4096\r");

	changes("DEVICE_ATTACHED", 1, "disk-attach", "'disk': {'name': 'stays', 'path': '@/two'}");
	says("GUEST-ADD block vdb 4096\r", added); /* its driver has all that it needs */
	before = world();
	where = addresses();
	gone = guest_said(rig, VM, "GUEST-DEL");
	e = fails("NotFound", "devices-change",
		  "'attach': {'disks': [{'path': '@/one'}, {'path': '@/missing'}]}, 'detach': ['stays']");
	ck_assert_msg(strstr(str_at(e, "desc"), "attach.disks[1].path"), "%s", json_object_to_json_string(e));
	expect_world(before);
	ck_assert_uint_eq(guest_said(rig, VM, "GUEST-DEL"), gone);
	json_object_put(e);
	e = fails("StorageError", "devices-change",
		  "'attach': {'disks': [{'path': '@/one', 'type': 'scsi-hd'}, {'path': '@/taken'}]}, 'detach': "
		  "['stays']");
	ck_assert_msg(strstr(str_at(e, "desc"), "attach.disks[1].path") && json_object_get_boolean(at(e, "undone")),
		      "%s", json_object_to_json_string(e));
	expect_records();
	expect_world(before);
	after = addresses();
	ck_assert_str_eq(where, after);
	/* what was taken is given back */
	guest_await(rig, VM, "GUEST-DEL", gone + 2);
	changes("DEVICE_DETACHED", 1, "disk-detach", "'disk': 'stays'");
}

/* ---- what cannot be ---- */

static const struct {
	const char *class, *command, *args, *words;
} refusals[] = {
	{ "NotFound", "disk-attach", "'disk': {'path': '@/missing'}", "disk.path" },
	{ "StorageError", "disk-attach", "'disk': {'path': '@/cold'}", "disk.path" },
	{ "StorageError", "disk-attach", "'disk': {'path': '@/taken'}", "disk.path" },
	{ "StorageError", "disk-attach", "'disk': {'path': '@'}", "disk.path" },
	{ "StorageError", "disk-attach", "'disk': {'path': '@/fifo'}", "disk.path" },
	{ "StorageError", "disk-attach", "'disk': {'path': '@/one', 'format': 'qcow2'}", "disk.path" },
	{ "StorageError", "devices-change", "'attach': {'disks': [{'path': '@/one'}, {'path': '@/one'}]}",
	  "attach.disks[1].path" },
	{ "InvalidParameter", "devices-change",
	  "'attach': {'nics': [{'mac': '52:54:00:00:00:21'}, {'mac': '52:54:00:00:00:21'}]}", "attach.nics[1].mac" },
	{ "InvalidParameter", "disk-attach", "'disk': {'path': '@/one', 'hvinfo': {'addr': '0x40'}}",
	  "disk.hvinfo.addr" },
	{ "Unsupported", "disk-attach", "'disk': {'path': '@/one', 'type': 'ide'}", "disk" },
	{ "Unsupported", "disk-attach", "'disk': {'path': '@/one', 'media': 'floppy'}", "disk" },
	{ "NotFound", "disk-detach", "'disk': 'nobody'", "disk" },
	{ "NotFound", "nic-detach", "'nic': 'disk0'", "nic" },
	{ "NotFound", "devices-change", "'detach': ['disk0', 'nobody']", "detach[1]" },
};

static void check_refusals(void)
{
	_cleanup_free_ char *before = world();
	unsigned added = guest_said(rig, VM, "GUEST-ADD");

	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		_cleanup_json_ struct json_object *e = fails(refusals[i].class, refusals[i].command, refusals[i].args);

		ck_assert_msg(strstr(str_at(e, "desc"), refusals[i].words), "%s: %s", refusals[i].args,
			      json_object_to_json_string(e));
		expect_records();
		expect_world(before);
	}
	ck_assert_uint_eq(guest_said(rig, VM, "GUEST-ADD"), added);
}

/* ---- addresses ---- */

/* The hvinfo of a device, as text; the caller's. */
static char *address(const char *name)
{
	_cleanup_free_ char *all = addresses(), *mark = xasprintf("\n%s {", name), *lines = xasprintf("\n%s", all);
	const char *p = strstr(lines, mark);

	ck_assert_msg(p, "no '%s': %s", name, all);
	p = strchr(p, '{');
	return xstrndup(p, strcspn(p, "\n"));
}

static void expect_address(const char *name, const char *before)
{
	_cleanup_free_ char *now = address(name);

	ck_assert_str_eq(now, before);
}

/* All places are taken, and who leaves one makes room for the next. The last check: they go with the process. */
static void check_slots(unsigned n)
{
	unsigned had = guest_said(rig, VM, "GUEST-ADD net");
	_cleanup_free_ char *nics = xstrdup("{'name': 'n0'}"), *args = NULL, *place = NULL, *again = NULL;
	_cleanup_json_ struct json_object *e = NULL;

	for (unsigned i = 1; i < n; i++) {
		_cleanup_free_ char *old = nics;

		nics = xasprintf("%s, {'name': 'n%u', 'mode': 'none'}", old, i);
	}
	args = xasprintf("'attach': {'nics': [%s]}", nics);
	changes("DEVICE_ATTACHED", n, "devices-change", args);
	guest_await(rig, VM, "GUEST-ADD net", had + n);
	expect_records();
	e = fails("NoSlot", "nic-attach", "'nic': {'mode': 'none'}");
	ck_assert_msg(strstr(str_at(e, "desc"), "nic"), "%s", str_at(e, "desc"));
	place = address("n0");
	changes("DEVICE_DETACHED", 2, "devices-change", "'detach': ['n1', 'n0']");
	changes("DEVICE_ATTACHED", 1, "nic-attach", "'nic': {'name': 'again', 'mode': 'none'}");
	again = address("again");
	ck_assert_str_eq(strstr(again, "\"bus\""), strstr(place, "\"bus\""));
	expect_records();
}

static void check_scsi(void)
{
	_cleanup_free_ char *before = world(), *attach = xstrdup(""), *detach = xstrdup(""), *args = NULL, *last = NULL;
	unsigned had = guest_said(rig, VM, "GUEST-ADD block sd"), gone = guest_said(rig, VM, "GUEST-DEL block sd");

	for (unsigned i = 0; i < SCSI_DISKS; i++) {
		_cleanup_free_ char *a = attach, *d = detach, *name = xasprintf("s%u", i);

		image(name, KIB);
		attach = xasprintf("%s%s{'name': 's%u', 'path': '@/s%u', 'type': 'scsi-hd'}", a, i ? ", " : "", i, i);
		detach = xasprintf("%s%s's%u'", d, i ? ", " : "", i);
	}
	args = xasprintf("'attach': {'disks': [%s]}", attach);
	changes("DEVICE_ATTACHED", SCSI_DISKS, "devices-change", args);
	guest_await(rig, VM, "GUEST-ADD block sd", had + SCSI_DISKS);
	expect_records();
	free(args);
	args = xasprintf("'detach': [%s]", detach);
	changes("DEVICE_DETACHED", SCSI_DISKS, "devices-change", args);
	guest_await(rig, VM, "GUEST-DEL block sd", gone + SCSI_DISKS);
	expect_records();
	expect_world(before);
}

/* ---- another droverd, another process ---- */

/* The paths that are pending, one a line. The caller's. */
static char *pending(void)
{
	_cleanup_json_ struct json_object *o = guest_settle(client, VM);
	char *text = xstrdup("");

	add_sorted(&text, "pending", "path", json_object_get(at(o, "pending")));
	return text;
}

static void expect_pending(const char *text)
{
	_cleanup_free_ char *now = pending();

	ck_assert_str_eq(now, text);
}

/* In the definition only. */
static void changes_later(const char *command, const char *args)
{
	_cleanup_json_ struct json_object *o = told("DEVICE_ATTACHED", 0, command, args);

	ck_assert(json_object_get_boolean(at(o, "changed")) && !json_object_get_boolean(at(o, "live")));
}

static void check_later(void)
{
	_cleanup_free_ char *before = world();
	unsigned added = guest_said(rig, VM, "GUEST-ADD"), removed = guest_said(rig, VM, "GUEST-DEL");

	changes_later("disk-attach", "'live': false, 'disk': {'name': 'later', 'path': '@/three'}");
	expect_pending("pending disks[later]\n");
	changes_later("disk-detach", "'live': false, 'disk': 'later'");
	expect_pending("");
	changes_later("disk-attach", "'live': false, 'disk': {'name': 'later', 'path': '@/three'}");
	changes_later("disk-detach", "'live': false, 'disk': 'b'");
	expect_pending("pending disks[b]\npending disks[later]\n");
	expect_world(before);
	ck_assert_uint_eq(guest_said(rig, VM, "GUEST-ADD"), added);
	ck_assert_uint_eq(guest_said(rig, VM, "GUEST-DEL"), removed);
}

/* Nothing moves when another leaves, nor with another droverd or another process; which finds what there is to be. */
static void check_life(void)
{
	static const char *const names[] = { "disk0", "s", "n", "later" };
	static const char *const lines[] = { "GUEST-UP",
					     "GUEST-ADD block vda 1024\r",
					     "GUEST-ADD block sda 8192\r",
					     "GUEST-ADD block vdb 6144\r",
					     "52:54:00:00:00:31\r",
					     "52:54:00:00:00:32\r" };
	unsigned had = guest_said(rig, VM, "GUEST-ADD"), gone = guest_said(rig, VM, "GUEST-DEL"),
		 said[ARRAY_SIZE(lines)];
	char *places[ARRAY_SIZE(names)];

	changes("DEVICE_ATTACHED", 4, "devices-change",
		"'attach': {'disks': [{'name': 'a', 'path': '@/one'}, {'name': 'b', 'path': '@/two', 'type': "
		"'scsi-hd'}, "
		"{'name': 's', 'path': '@/base', 'type': 'scsi-hd'}], "
		"'nics': [{'name': 'n', 'mode': 'user', 'mac': '52:54:00:00:00:31'}]}");
	for (size_t i = 0; i < 3; i++)
		places[i] = address(names[i]);
	restart();
	expect_records();
	guest_await(rig, VM, "GUEST-ADD", had + 4);
	changes("DEVICE_DETACHED", 1, "disk-detach", "'disk': 'a'");
	guest_await(rig, VM, "GUEST-DEL", gone + 1);
	expect_records();
	check_later();
	places[3] = address(names[3]);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		said[i] = guest_said(rig, VM, lines[i]);
	done("instance-stop", "");
	changes_later("nic-attach", "'nic': {'name': 'm', 'mode': 'none', 'mac': '52:54:00:00:00:32'}");
	guest_start(client, VM);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		says(lines[i], said[i]);
	expect_records();
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		expect_address(names[i], places[i]);
		free(places[i]);
	}
	changes("DEVICE_DETACHED", 4, "devices-change", "'detach': ['s', 'later', 'n', 'm']");
	expect_records();
}

/* ---- the whole ---- */

static void make_images(void)
{
	image("cold", 512);
	image("one", KIB);
	image("two", 2L * KIB);
	image("three", 3L * KIB);
	image("base", 4L * KIB);
	image("taken", KIB);
	host_run("cd '%s' && mkfifo fifo && qemu-img create -q -f qcow2 -b base -F raw top && chmod 600 top", dir);
}

START_TEST(test_running)
{
	make_images();
	client_define(client, "holder", "'memory': '16M', 'disks': [{'path': '%s/taken'}]", dir);
	guest_start(client, "holder");
	start(machines[_i], "{'path': '@/cold'}");
	guest_await(rig, VM, "GUEST-ADD block vda 1024\r", 1);
	check_controller(_i == 0);
	check_each();
	check_change();
	check_refusals();
	check_all_or_none();
	if (_i == 1)
		check_scsi();
	check_life();
	check_slots(slots[_i] - 1);
}
END_TEST

/* ---- a guest that does not answer ---- */

/* It does not let go; what is asked of it is remembered. The uuid, the caller's. */
static char *pends(const char *name)
{
	_cleanup_free_ char *args = xasprintf("'disk': '%s', 'timeout': 0.2", name), *uuid = NULL, *again = NULL;
	_cleanup_json_ struct json_object *e = fails("Timeout", "disk-detach", args);
	_cleanup_json_ struct json_object *o = guest_settle(client, VM);

	ck_assert_msg(strstr(str_at(e, "desc"), "asked"), "%s", str_at(e, "desc"));
	ck_assert_str_eq(str_at(o, "runtime.disks.0.name"), name);
	ck_assert_str_eq(str_at(o, "runtime.disks.0.state"), "detach-pending");
	ck_assert_str_eq(str_at(o, "definition.disks.0.name"), name);
	again = xasprintf("'disk': {'uuid': '%s', 'path': '@/one'}", str_at(o, "definition.disks.0.uuid"));
	json_object_put(fails("Busy", "disk-attach", again));
	return xstrdup(str_at(o, "definition.disks.0.hvinfo.id"));
}

static void await_gone(const char *name, const char *id)
{
	for (int i = 0; i < RIG_DEADLINE_MS / LOOK_MS; i++) {
		_cleanup_free_ char *all = addresses();

		if (!strstr(all, id))
			return;
		usleep(LOOK_MS * 1000);
	}
	ck_abort_msg("'%s' does not go", name);
}

static void expect_nothing(const char *id)
{
	_cleanup_free_ char *now = NULL;

	expect_records();
	now = world();
	ck_assert_msg(!strstr(now, id), "QEMU has '%s' still:\n%s", id, now);
}

/* The wish outlives the firmware, a pause, and droverd; it ends with the process. */
START_TEST(test_silent)
{
	_cleanup_free_ char *id = NULL, *other = NULL, *third = NULL;
	const char *removed;
	bool killed = _i % 2;

	image("one", KIB);
	image("two", 2L * KIB);
	image("three", 3L * KIB);
	start(machines[_i], "{'name': 'early', 'path': '@/one'}, {'name': 'still', 'path': '@/two'}, {'name': 'end', "
			    "'path': '@/three'}");
	id = pends("early");
	if (killed)
		restart();
	await_gone("early", id);
	guest_await(rig, VM, " 6144\r", 1);
	expect_nothing(id);
	/* the kernel may have come too late to see the first */
	removed = guest_said(rig, VM, "GUEST-ADD block vdb 4096\r") ? "GUEST-DEL block vdb" : "GUEST-DEL block vda";
	done("instance-pause", "");
	other = pends("still");
	if (killed)
		restart();
	ck_assert_uint_eq(guest_said(rig, VM, removed), 0);
	done("instance-resume", "");
	guest_await(rig, VM, removed, 1);
	await_gone("still", other);
	expect_nothing(other);
	done("instance-pause", "");
	third = pends("end");
	done("instance-stop", "");
	await_gone("end", third);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("hotplug");
	TCase *tc = tcase_create("a guest that runs");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, test_running, 0, ARRAY_SIZE(machines));
	suite_add_tcase(s, tc);
	tc = tcase_create("a guest that does not answer");
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, test_silent, 0, ARRAY_SIZE(machines));
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	if (geteuid() != 0) {
		puts("SKIP: images of root's alone need root");
		return 77;
	}
	return guest_main(suite);
}
