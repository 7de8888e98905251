/* SPDX-License-Identifier: BSD-2-Clause */
/* instance-modify and instance-rename: what is told, what is on the disk, what a real QEMU keeps and what it gets. */
#include "guest.h"
#include "one_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define UUID "5f1c2f0e-8a55-4a6e-9f53-0c2b6a1d9e10"

static void restart(void)
{
	client_free(client);
	rig_kill(rig);
	rig_start(rig);
	client = client_new(rig);
}

/* The member of O, as JSON, is TEXT (with ' for "). */
static void expect(struct json_object *o, const char *path, const char *text)
{
	_cleanup_free_ char *is = json_print(at(o, path)), *wanted = xstrdup(text);

	for (char *p = wanted; *p; p++)
		if (*p == '\'')
			*p = '"';
	ck_assert_msg(str_eq(is, wanted), "'%s' is %s instead of %s in %s", path, is, wanted,
		      json_object_to_json_string(o));
}

static struct json_object *modify(const char *name, const char *patch, const char *more)
{
	return client_ok(client, "instance-modify", "{'instance': '%s', 'patch': %s%s}", name, patch, more);
}

static struct json_object *stored(const char *name)
{
	_cleanup_free_ char *text = rig_file(rig, "lib/instances/%s/definition.json", name);
	struct json_object *o = NULL;

	ck_assert_ptr_nonnull(text);
	ck_assert(json_parse(text, strlen(text), &json_limits_qemu, &o, NULL));
	return o;
}

/* ---- modify ---- */

START_TEST(test_without_a_process)
{
	_cleanup_json_ struct json_object *o = NULL, *event = NULL, *disk = NULL, *shown = NULL, *again = NULL,
					  *back = NULL, *last = NULL;

	client_define(client, "web1",
		      "'uuid': '" UUID "', 'vcpus': 2, 'metadata': {'owner': 'ops', 'room': '7'}, "
		      "'hvparams': {'accel': 'tcg', 'serial_speed': 9600}");
	json_object_put(client_event(client, "INSTANCE_DEFINED"));
	o = modify("web1",
		   "{'memory': '1.5G', 'vcpus': null, 'description': 'a', 'metadata': {'room': null, 'rack': 'b'}, "
		   "'hvparams': {'serial_speed': null, 'kernel_args': 'x'}}",
		   "");
	expect(o, "changed", "true");
	expect(o, "applied",
	       "['description','metadata','vcpus','memory','hvparams.kernel_args','hvparams.serial_speed']");
	expect(o, "pending", "[]");
	expect(o, "steps", "['write the definition','take it over']");
	expect(o, "warnings", "[]");
	event = client_event(client, "INSTANCE_DEFINED");
	ck_assert_str_eq(str_at(event, "data.instance"), "web1");
	disk = stored("web1");
	expect(disk, "metadata", "{'owner':'ops','rack':'b'}");
	expect(disk, "hvparams", "{'accel':'tcg','kernel_args':'x'}");
	expect(disk, "memory", "1610612736");
	expect(disk, "uuid", "'" UUID "'");
	ck_assert(!has(disk, "vcpus"));
	shown = guest_query(client, "web1");
	ck_assert(json_object_equal(at(shown, "definition"), disk));
	ck_assert_int_eq(int_at(shown, "vcpus"), 1);

	again = modify("web1", "{'memory': '1536M', 'vcpus': null, 'hvparams': {}, 'metadata': {'room': null}}", "");
	expect(again, "changed", "false");
	expect(again, "applied", "[]");
	expect(again, "steps", "[]");
	/* a default that is written down is a change of what is written */
	back = modify(UUID, "{'vcpus': 1}", "");
	expect(back, "changed", "true");
	expect(back, "applied", "['vcpus']");
	last = modify("web1", "{'vcpus': 1}", "");
	expect(last, "changed", "false");
}
END_TEST

START_TEST(test_dry_run)
{
	_cleanup_json_ struct json_object *o = NULL, *nothing = NULL;
	_cleanup_free_ char *before = NULL, *after = NULL, *text = NULL, *same = NULL;
	int64_t seq;

	client_define(client, "web1", "%s", "");
	before = rig_world(rig, false);
	text = rig_file(rig, "lib/instances/web1/definition.json");
	seq = guest_now(client);
	o = modify("web1", "{'vcpus': 3}", ", 'dry-run': true");
	expect(o, "changed", "true");
	expect(o, "applied", "['vcpus']");
	expect(o, "steps", "['write the definition','take it over']");
	nothing = modify("web1", "{'vcpus': null}", ", 'dry-run': true");
	expect(nothing, "changed", "false");
	json_object_put(client_error(client, "InvalidParameter", "instance-modify",
				     "{'instance': 'web1', 'patch': {'vcpus': 0}, 'dry-run': true}"));
	after = rig_world(rig, false);
	same = rig_file(rig, "lib/instances/web1/definition.json");
	ck_assert_str_eq(before, after);
	ck_assert_str_eq(text, same);
	{
		_cleanup_json_ struct json_object *events = client_ok(client, "query-events", "{'since': %lld}",
								      (long long)seq);

		for (size_t i = 0; i < json_object_array_length(at(events, "events")); i++)
			ck_assert_str_ne(str_at(json_object_array_get_idx(at(events, "events"), i), "event"),
					 "INSTANCE_DEFINED");
	}
}
END_TEST

/* A real QEMU keeps what it was started with, and is given the rest at the next start. */
START_TEST(test_with_a_process)
{
	_cleanup_json_ struct json_object *o = NULL, *dry = NULL, *shown = NULL, *back = NULL, *after = NULL,
					  *cold = NULL, *cpus = NULL;
	pid_t pid;

	guest_define_bare(client, "web1");
	pid = guest_start(client, "web1");
	dry = modify("web1", "{'vcpus': 2, 'description': 'd'}", ", 'dry-run': true");
	o = modify("web1", "{'vcpus': 2, 'description': 'd'}", "");
	ck_assert(json_object_equal(o, dry));
	expect(o, "applied", "['description']");
	expect(o, "pending", "[{'path':'vcpus','from':1,'to':2,'needs':'restart'}]");
	shown = guest_query(client, "web1");
	expect(shown, "pending", "[{'path':'vcpus','from':1,'to':2,'needs':'restart'}]");
	ck_assert_int_eq(int_at(shown, "pid"), pid);
	/* only what this one changes is told */
	cold = modify("web1", "{'autostart': {'order': 3}}", ", 'live': false");
	expect(cold, "applied", "['autostart']");
	expect(cold, "pending", "[]");
	restart();
	/* back to what runs: nothing waits any more */
	back = modify("web1", "{'vcpus': null}", "");
	expect(back, "changed", "true");
	expect(back, "applied", "['vcpus']");
	expect(back, "pending", "[]");
	after = guest_query(client, "web1");
	expect(after, "pending", "[]");
	expect(after, "autostart", "true");
	ck_assert_int_eq(int_at(after, "pid"), pid);
	json_object_put(modify("web1", "{'vcpus': 3}", ""));
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'web1'}"));
	guest_start(client, "web1");
	cpus = client_ok(client, "instance-qmp", "{'instance': 'web1', 'execute': 'query-cpus-fast'}");
	ck_assert_int_eq(json_object_array_length(cpus), 3);
}
END_TEST

/* ---- parameters that make other devices of them ---- */

/* What there is of the devices in O, a definition: "virtio-blk-pci pci.0 0xc, …". */
static char *places_in(struct json_object *o)
{
	static const char *const lists[] = { "disks", "nics" };
	char *text = xstrdup("");

	for (size_t l = 0; l < ARRAY_SIZE(lists); l++)
		for (size_t i = 0; i < json_object_array_length(at(o, lists[l])); i++) {
			struct json_object *info = at(json_object_array_get_idx(at(o, lists[l]), i), "hvinfo");
			const char *addr = json_get_str(info, "addr");
			_cleanup_free_ char *before = text;

			text = addr ? xasprintf("%s%s%s %s %s", before, *before ? ", " : "", str_at(info, "driver"),
						str_at(info, "bus"), addr) :
				      xasprintf("%s%s%s %s", before, *before ? ", " : "", str_at(info, "driver"),
						str_at(info, "bus"));
		}
	return text;
}

static void expect_places(struct json_object *definition, const char *places)
{
	_cleanup_free_ char *seen = places_in(definition);

	ck_assert_str_eq(seen, places);
}

#define AS_DEFINED "virtio-blk-pci pci.0 0x1e, ide-cd ide.0, virtio-net-pci pci.0 0xc"

static const struct {
	const char *hvparams, *back; /* NULL: the machine it had */
	const char *places;
} kinds[] = {
	{ "{'disk_type': 'scsi-hd'}", "{'disk_type': null}",
	  "scsi-hd scsi.0, scsi-cd scsi.0, virtio-net-pci pci.0 0xc" },
	{ "{'disk_type': 'ide'}", "{'disk_type': null}", "ide-hd ide.0, ide-cd ide.0, virtio-net-pci pci.0 0xc" },
	{ "{'nic_type': 'e1000'}", "{'nic_type': null}", "virtio-blk-pci pci.0 0x1e, ide-cd ide.0, e1000 pci.0 0xc" },
	{ "{'cdrom_disk_type': 'scsi-cd'}", "{'cdrom_disk_type': null}",
	  "virtio-blk-pci pci.0 0x1e, scsi-cd scsi.0, virtio-net-pci pci.0 0xc" },
	{ "{'machine_version': 'q35'}", NULL, "virtio-blk-pci rp0 0x0, ide-cd ide.0, virtio-net-pci rp1 0x0" },
};

/* The process keeps its places, and to go back is to have changed nothing; from the next start on the guest has what
 * was asked for. */
START_TEST(test_kinds)
{
	_cleanup_free_ char *back = NULL, *change = xasprintf("{'hvparams': %s}", kinds[_i].hvparams);
	_cleanup_json_ struct json_object *before = NULL, *o = NULL, *same = NULL, *shown = NULL, *after = NULL;
	_cleanup_free_ char *image = guest_image(rig, "disk", "", 1 << 20),
			    *more = guest_image(rig, "more", "", 1 << 20);
	_cleanup_free_ char *plain = NULL;

	client_define(client, "web1",
		      "'memory': '16M', 'disks': [{'path': '%s', 'hvinfo': {'addr': '0x1e'}}, {'media': 'cdrom'}], "
		      "'nics': [{'mode': 'user'}]",
		      image);
	json_object_put(client_ok(client, "instance-start", "{'instance': 'web1', 'paused': true}"));
	before = stored("web1");
	expect_places(before, AS_DEFINED);
	plain = kinds[_i].back ? xstrdup(kinds[_i].back) :
				 xasprintf("{'machine_version': '%s'}", str_at(before, "hvparams.machine_version"));
	back = xasprintf("{'hvparams': %s}", plain);
	o = modify("web1", change, "");
	ck_assert_int_gt(json_object_array_length(at(o, "pending")), 0);
	shown = guest_query(client, "web1");
	expect_places(at(shown, "definition"), kinds[_i].places);
	expect_places(at(shown, "runtime"), AS_DEFINED);
	/* a disk that comes meanwhile is in nobody's way */
	json_object_put(client_ok(client, "disk-attach",
				  "{'instance': 'web1', 'live': false, 'disk': {'path': '%s', 'type': 'paravirtual', "
				  "'name': 'more'}}",
				  more));
	json_object_put(client_ok(client, "disk-detach", "{'instance': 'web1', 'disk': 'more'}"));
	json_object_put(modify("web1", back, ""));
	same = guest_query(client, "web1");
	expect_places(at(same, "definition"), AS_DEFINED);
	expect(same, "pending", "[]");
	json_object_put(modify("web1", change, ""));
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'web1'}"));
	json_object_put(client_ok(client, "instance-start", "{'instance': 'web1', 'paused': true}"));
	after = guest_query(client, "web1");
	expect_places(at(after, "runtime"), kinds[_i].places);
	expect(after, "pending", "[]");
	expect(after, "drift", "[]");
}
END_TEST

/* A place that is given is wanted. */
START_TEST(test_kinds_given)
{
	_cleanup_json_ struct json_object *disks = NULL, *e = NULL, *o = NULL;

	client_define(client, "web1", "'disks': [{'path': '/dev/null'}]");
	disks = stored("web1");
	e = client_error(client, "InvalidParameter", "instance-modify",
			 "{'instance': 'web1', 'patch': {'hvparams': {'disk_type': 'scsi-hd'}, 'disks': %s}}",
			 json_object_to_json_string(at(disks, "disks")));
	ck_assert_str_eq(str_at(e, "parameter"), "patch.disks[0].hvinfo.driver");
	/* the whole list without it, by name */
	o = modify("web1", "{'hvparams': {'disk_type': 'scsi-hd'}, 'disks': [{'name': 'disk0', 'path': '/dev/null'}]}",
		   "");
	expect(o, "changed", "true");
}
END_TEST

START_TEST(test_refused)
{
	static const struct {
		const char *patch, *class, *parameter;
	} cases[] = {
		{ "{'name': 'web2'}", "InvalidParameter", "patch.name" },
		{ "{'name': 'web1'}", "InvalidParameter", "patch.name" },
		{ "{'uuid': null}", "InvalidParameter", "patch.uuid" },
		{ "{'layout': 1}", "InvalidParameter", "patch.layout" },
		{ "{'vcpus': 3, 'hvparams': {'accel': 'hax'}}", "InvalidParameter", "patch.hvparams.accel" },
		{ "{'vcpus': 3, 'hvparams': {'acell': 'tcg'}}", "InvalidParameter", "patch.hvparams.acell" },
		{ "{'hvparams': {'initrd_path': '/i'}}", "InvalidParameter", "patch.hvparams.initrd_path" },
		{ "{'hvparams': {'machine_version': 'pc\\nx'}}", "InvalidParameter", "patch.hvparams.machine_version" },
		{ "{'hvparams': 'tcg'}", "InvalidParameter", "patch.hvparams" },
		{ "{'memory': 'much'}", "InvalidParameter", "patch.memory" },
		{ "{'metadata': {'a': 1}}", "InvalidParameter", "patch.metadata.a" },
		{ "{'disks': {}}", "InvalidParameter", "patch.disks" },
		{ "{'autostart': 1}", "InvalidParameter", "patch.autostart" },
		{ "{'autostart': 'true'}", "InvalidParameter", "patch.autostart" },
		{ "{'autostart': {'order': -1}}", "InvalidParameter", "patch.autostart.order" },
		{ "{'autostart': {'delay': '5'}}", "InvalidParameter", "patch.autostart.delay" },
		{ "{'autostart': {'later': 5}}", "InvalidParameter", "patch.autostart.later" },
		{ "{'on_host_shutdown': 'panic'}", "InvalidParameter", "patch.on_host_shutdown" },
		{ "{'nics': [{'mode': 'routed'}]}", "Unsupported", NULL },
		{ "{'nics': [{'mode': 'bridged'}]}", "InvalidParameter", "patch.nics[0].link" },
		{ "[]", "InvalidParameter", "patch" },
		{ "null", "InvalidParameter", "patch" },
	};
	_cleanup_free_ char *text = NULL, *same = NULL;

	client_define(client, "web1", "'vcpus': 2");
	text = rig_file(rig, "lib/instances/web1/definition.json");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_json_ struct json_object *e = client_error(
			client, cases[i].class, "instance-modify", "{'instance': 'web1', 'patch': %s}", cases[i].patch);

		ck_assert_msg(!cases[i].parameter || str_eq(json_get_str(e, "parameter"), cases[i].parameter), "%s: %s",
			      cases[i].patch, json_object_to_json_string(e));
	}
	json_object_put(client_error(client, "NotFound", "instance-modify", "{'instance': 'web2', 'patch': {}}"));
	same = rig_file(rig, "lib/instances/web1/definition.json");
	ck_assert_str_eq(text, same);
}
END_TEST

/* What a client writes comes back to the letter, and is no more than text to QEMU. */
START_TEST(test_strange_text)
{
	_cleanup_json_ struct json_object *o = NULL, *shown = NULL;
	_cleanup_free_ char *long_text = xcalloc(4097, 1), *patch = NULL;

	memset(long_text, ',', 4096);
	guest_define_bare(client, "web1");
	patch = xasprintf("{'description': '%s', 'metadata': {'a\\n,b': 'x,\\ny=\\\\', 'exec:': '\xc3\xa9'}}",
			  long_text);
	o = modify("web1", patch, "");
	expect(o, "applied", "['description','metadata']");
	shown = guest_query(client, "web1");
	ck_assert_str_eq(str_at(shown, "definition.description"), long_text);
	expect(shown, "definition.metadata", "{'a\\n,b':'x,\\ny=\\\\','exec:':'\xc3\xa9'}");
	guest_start(client, "web1");
	json_object_put(client_error(client, "InvalidParameter", "instance-modify",
				     "{'instance': 'web1', 'patch': {'description': '%s,'}}", long_text));
}
END_TEST

/* Of two at once neither is lost. */
START_TEST(test_at_once)
{
	_cleanup_json_ struct json_object *disk = NULL;
	int ids[20];

	client_define(client, "web1", "%s", "");
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		ids[i] = client_send(client, "instance-modify",
				     "{'instance': 'web1', 'patch': {'metadata': {'k%zu': 'v'}}}", i);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		_cleanup_json_ struct json_object *o = client_reply(client, ids[i]);

		ck_assert_msg(has(o, "return.changed"), "%s", json_object_to_json_string(o));
	}
	disk = stored("web1");
	ck_assert_int_eq(json_object_object_length(at(disk, "metadata")), ARRAY_SIZE(ids));
}
END_TEST

/* ---- rename ---- */

static void expect_no_trace(const char *name)
{
	_cleanup_free_ char *lib = xasprintf("%s/lib/instances/%s", rig->root, name);
	_cleanup_free_ char *log = xasprintf("%s/log/%s.log", rig->root, name);
	_cleanup_free_ char *console = xasprintf("%s/log/%s.console", rig->root, name);

	ck_assert_int_ne(access(lib, F_OK), 0);
	ck_assert_int_ne(access(log, F_OK), 0);
	ck_assert_int_ne(access(console, F_OK), 0);
	json_object_put(client_error(client, "NotFound", "query-instance", "{'instance': '%s'}", name));
}

START_TEST(test_rename)
{
	_cleanup_json_ struct json_object *o = NULL, *undefined = NULL, *defined = NULL, *before = NULL, *shown = NULL,
					  *same = NULL, *disk = NULL, *next = NULL;
	_cleanup_free_ char *path = xasprintf("%s/lib/instances/web1/nvram", rig->root), *kept = NULL, *log = NULL;
	int fd;

	client_define(client, "web1", "'uuid': '" UUID "', 'memory': '16M', 'metadata': {'a': 'b'}");
	guest_start(client, "web1");
	json_object_put(client_error(client, "WrongState", "instance-rename", "{'instance': 'web1', 'name': 'web2'}"));
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'web1'}"));
	json_object_put(guest_settle(client, "web1"));
	/* whatever else is kept with it comes along */
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	ck_assert_int_eq(write(fd, "vars", 4), 4);
	close(fd);
	before = guest_query(client, "web1");
	o = client_ok(client, "instance-rename", "{'instance': 'web1', 'name': 'web2'}");
	expect(o, "changed", "true");
	undefined = client_event(client, "INSTANCE_UNDEFINED");
	expect(undefined, "data", "{'instance':'web1','uuid':'" UUID "','renamed-to':'web2'}");
	defined = client_event(client, NULL);
	ck_assert_str_eq(str_at(defined, "event"), "INSTANCE_DEFINED");
	expect(defined, "data", "{'instance':'web2','uuid':'" UUID "','renamed-from':'web1'}");
	for (int life = 0; life < 2; life++) {
		_cleanup_json_ struct json_object *now = guest_query(client, UUID);

		ck_assert_str_eq(str_at(now, "name"), "web2");
		ck_assert_str_eq(str_at(now, "definition.name"), "web2");
		expect(now, "definition.metadata", "{'a':'b'}");
		ck_assert_str_eq(str_at(now, "reason"), "admin");
		ck_assert(json_object_equal(at(now, "last"), at(before, "last")));
		expect_no_trace("web1");
		restart();
	}
	kept = rig_file(rig, "lib/instances/web2/nvram");
	ck_assert_str_eq(kept, "vars");
	log = rig_file(rig, "log/web2.log");
	ck_assert_ptr_nonnull(log);
	disk = stored("web2");
	ck_assert_str_eq(str_at(disk, "name"), "web2");
	same = client_ok(client, "instance-rename", "{'instance': '" UUID "', 'name': 'web2'}");
	expect(same, "changed", "false");
	/* it runs by that name, and the old one is free */
	guest_start(client, "web2");
	next = client_ok(client, "instance-qmp", "{'instance': 'web2', 'execute': 'query-name'}");
	ck_assert_str_eq(str_at(next, "name"), "web2");
	client_define(client, "web1", "%s", "");
	shown = guest_query(client, "web1");
	ck_assert_str_ne(str_at(shown, "uuid"), UUID);
}
END_TEST

#define DIR_OF_46 "/srv/4567890123456789012345678901234567890/vnc"

START_TEST(test_rename_refused)
{
	static const char *const bad[] = { "", ".", "..", ".hidden", "a/b", "../x", "a b", "a\\nb", "a,b", UUID,
					   "/etc/passwd", "a\xc3\xa9",
					   /* a name, but with that directory no socket's */
					   "1234567890123456789012345678901234567890123456789012345678" };
	_cleanup_free_ char *before = NULL, *after = NULL, *long_name = xcalloc(4097, 1);

	client_define(client, "web1", "%s", "'hvparams': {'vnc_bind_address': '" DIR_OF_46 "'}");
	client_define(client, "web2", "%s", "");
	before = rig_world(rig, false);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_json_ struct json_object *e = client_error(client, "InvalidParameter", "instance-rename",
								    "{'instance': 'web1', 'name': '%s'}", bad[i]);

		ck_assert_str_eq(str_at(e, "parameter"), "name");
	}
	memset(long_name, 'a', 4096);
	json_object_put(client_error(client, "InvalidParameter", "instance-rename",
				     "{'instance': 'web1', 'name': '%s'}", long_name));
	json_object_put(client_error(client, "InvalidParameter", "instance-rename", "{'instance': 'web1'}"));
	json_object_put(client_error(client, "Exists", "instance-rename", "{'instance': 'web1', 'name': 'web2'}"));
	json_object_put(client_error(client, "NotFound", "instance-rename", "{'instance': 'web3', 'name': 'web4'}"));
	after = rig_world(rig, false);
	ck_assert_str_eq(before, after);
}
END_TEST

/* One name, many who want it: one has it, and none is lost. */
START_TEST(test_name_at_once)
{
	enum { EACH = 6 };
	int ids[2 * EACH];
	unsigned got = 0;
	_cleanup_json_ struct json_object *list = NULL;

	for (int i = 0; i < EACH; i++) {
		_cleanup_free_ char *name = xasprintf("web%d", i);

		client_define(client, name, "%s", "");
	}
	for (int i = 0; i < EACH; i++) {
		ids[2 * i] = client_send(client, "instance-rename", "{'instance': 'web%d', 'name': 'wanted'}", i);
		ids[2 * i + 1] = client_send(client, "instance-define",
					     "{'definition': {'name': 'wanted', 'uuid': "
					     "'0b2c0dfe-5a1b-4e5f-8d7a-3f9d5d6f7a0%d'}}",
					     i);
	}
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		_cleanup_json_ struct json_object *o = client_reply(client, ids[i]);

		if (has(o, "return"))
			got++;
		else
			ck_assert_str_eq(str_at(o, "error.class"), "Exists");
	}
	ck_assert_uint_eq(got, 1);
	restart();
	list = client_ok(client, "query-instances", "{}");
	ck_assert_int_ge(json_object_array_length(list), EACH);
	for (size_t i = 0; i < json_object_array_length(list); i++)
		ck_assert_msg(!has(json_object_array_get_idx(list, i), "error"), "%s",
			      json_object_to_json_string(list));
}
END_TEST

/* A power cut leaves no marker: the directory itself tells where the rename stood. */
START_TEST(test_rename_without_a_marker)
{
	static const char renamed[] = "{\"name\": \"web2\", \"uuid\": \"" UUID "\", \"layout\": 1}";
	_cleanup_free_ char *web1 = xasprintf("%s/lib/instances/web1", rig->root);
	_cleanup_free_ char *web2 = xasprintf("%s/lib/instances/web2", rig->root);
	_cleanup_free_ char *file = xasprintf("%s/renamed.json", web1), *left = NULL;
	_cleanup_free_ char *log = xasprintf("%s/log/web1.log", rig->root);
	_cleanup_json_ struct json_object *o = NULL, *then = NULL;

	client_define(client, "web1", "'uuid': '" UUID "'");
	for (int after = 0; after < 2; after++) {
		int fd;

		rig_kill(rig);
		client_free(client);
		fd = open(file, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
		ck_assert_int_eq(write(fd, renamed, sizeof(renamed) - 1), sizeof(renamed) - 1);
		close(fd);
		close(open(log, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
		if (after)
			ck_assert_int_eq(rename(web1, web2), 0);
		rig_start(rig);
		client = client_new(rig);
		o = client_ok(client, "query-instances", "{}");
		ck_assert_int_eq(json_object_array_length(o), 1);
		ck_assert(!has(o, "0.error"));
		ck_assert_str_eq(str_at(o, "0.name"), after ? "web2" : "web1");
		json_object_put(TAKE_PTR(o));
		left = rig_file(rig, "lib/instances/%s/renamed.json", after ? "web2" : "web1");
		ck_assert_ptr_null(left);
	}
	expect_no_trace("web1");
	then = stored("web2");
	ck_assert_str_eq(str_at(then, "name"), "web2");
}
END_TEST

static void touch(const char *before, const char *name, const char *behind)
{
	_cleanup_free_ char *path = xasprintf("%s/%s%s%s", rig->root, before, name, behind);

	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

/* Nor of a removal: what it was about is set aside, and its logs may still be there, unless they are another's by now. */
START_TEST(test_removal_without_a_marker)
{
	static const char *const names[] = { "web1", "web2" };
	_cleanup_free_ char *log = NULL, *world = NULL;

	client_define(client, "web2", "%s", "");
	rig_kill(rig);
	client_free(client);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *gone = xasprintf("%s/lib/instances/.gone-%s", rig->root, names[i]);

		ck_assert_int_eq(mkdir(gone, 0700), 0);
		touch("lib/instances/.gone-", names[i], "/definition.json");
		touch("log/", names[i], ".log");
		touch("log/", names[i], ".console");
	}
	rig_start(rig);
	client = client_new(rig);
	world = rig_world(rig, false);
	ck_assert_msg(!strstr(world, ".gone-"), "%s", world);
	expect_no_trace("web1");
	log = rig_file(rig, "log/web2.log");
	ck_assert_ptr_nonnull(log);
}
END_TEST

static Suite *make(void)
{
	Suite *s = suite_create("modify and rename");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	suite_add_tcase(s, tc);
	tcase_add_test(tc, test_without_a_process);
	tcase_add_test(tc, test_dry_run);
	tcase_add_test(tc, test_with_a_process);
	tcase_add_loop_test(tc, test_kinds, 0, ARRAY_SIZE(kinds));
	tcase_add_test(tc, test_kinds_given);
	tcase_add_test(tc, test_refused);
	tcase_add_test(tc, test_strange_text);
	tcase_add_test(tc, test_at_once);
	tcase_add_test(tc, test_rename);
	tcase_add_test(tc, test_rename_refused);
	tcase_add_test(tc, test_name_at_once);
	tcase_add_test(tc, test_rename_without_a_marker);
	tcase_add_test(tc, test_removal_without_a_marker);
	return s;
}

RIG_MAIN(make)
