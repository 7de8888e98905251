/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * disk-resize: what the guest sees of it, what is in the image then, and what of a disk that no guest has.
 */
#include "guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define VM "vm"
#define MIB "1048576"

static struct rig *rig;
static struct client *client;
static char *dir; /* of the images */

static void set_up(void)
{
	rig = rig_new("droverd");
	dir = xasprintf("%s/images", rig->root);
	ck_assert_int_eq(mkdir(dir, 0700), 0);
	rig_start(rig);
	client = client_new(rig);
	host_run("truncate -s 1M %s/raw %s/scsi %s/medium", dir, dir, dir);
	host_run("qemu-img create -q -f qcow2 %s/base 3M", dir);
	host_run("qemu-io -f qcow2 -c 'write -q -P 7 0 3M' %s/base", dir);
	host_run("qemu-img create -q -f qcow2 -F qcow2 -b %s/base %s/top 1M", dir, dir);
	client_define(client, VM,
		      "'memory': '128M', 'hvparams': {'kernel_path': '%s/vmlinux', 'initrd_path': '%s/initrd.gz', "
		      "'kernel_args': 't.net=none t.ga=0 t.shell=1'}, 'disks': [{'path': '%s/raw'}, "
		      "{'path': '%s/top', 'format': 'qcow2', 'backing': [{'path': '%s/base', 'format': 'qcow2'}]}, "
		      "{'path': '%s/scsi', 'type': 'scsi-hd'}, {'path': '%s/medium', 'media': 'cdrom'}]",
		      rig_guest(), rig_guest(), dir, dir, dir, dir, dir);
}

static void tear_down(void)
{
	client_free(client);
	rig_free(rig);
	free(dir);
}

static struct json_object *resize(const char *disk, const char *size)
{
	return client_ok(client, "disk-resize", "{'instance': '" VM "', 'disk': '%s', 'size': %s}", disk, size);
}

static void grows(const char *disk, const char *size, bool live)
{
	_cleanup_json_ struct json_object *o = resize(disk, size), *again = resize(disk, size), *vm = NULL;

	ck_assert(json_object_get_boolean(at(o, "changed")) && !json_object_get_boolean(at(again, "changed")));
	ck_assert_int_eq(json_object_get_boolean(at(o, "live")), live);
	ck_assert_str_eq(str_at(o, "disk.name"), disk);
	if (live)
		ck_assert_str_eq(json_object_to_json_string(at(o, "disk.size")), size);
	vm = guest_settle(client, VM);
	ck_assert_uint_eq(json_object_array_length(at(vm, "pending")), 0);
}

static void refused(const char *class, const char *parameter, const char *words, const char *args)
{
	_cleanup_json_ struct json_object *e = client_error(client, class, "disk-resize", "{'instance': '" VM "', %s}",
							    args);

	if (parameter)
		ck_assert_str_eq(str_at(e, "parameter"), parameter);
	ck_assert_msg(strstr(str_at(e, "desc"), words), "%s", str_at(e, "desc"));
}

/* The trace that an error names has what QEMU was asked, a QEMU that nobody else knew; and its refusal. */
static void refused_and_traced(const char *args)
{
	_cleanup_json_ struct json_object *e = client_error(client, "QemuError", "disk-resize",
							    "{'instance': '" VM "', %s}", args);
	_cleanup_json_ struct json_object *list = client_ok(
		client, "query-trace", "{'instance': '" VM "', 'operation': '%s'}", str_at(e, "trace"));
	static const char *const wanted[] = { "add-fd", "blockdev-add", "block_resize" };
	unsigned refusals = 0;

	for (size_t k = 0; k < ARRAY_SIZE(wanted); k++) {
		bool found = false;

		for (size_t i = 0; i < json_object_array_length(list); i++) {
			struct json_object *o = json_object_array_get_idx(list, i);

			found |= str_eq(str_at(o, "direction"), "out") && str_eq(str_at(o, "name"), wanted[k]);
			refusals += has(o, "message.error");
		}
		ck_assert_msg(found, "no '%s': %s", wanted[k], json_object_to_json_string(list));
	}
	ck_assert_uint_ge(refusals, 1);
}

/* What QEMU's own tool finds in the image. */
static void expect_image(const char *name, const char *format, const char *size)
{
	host_run("qemu-img info -U -f %s --output=json %s/%s | grep -q '\"virtual-size\": %s,'", format, dir, name,
		 size);
}

static void expect_guest(const char *line, const char *wanted)
{
	_cleanup_free_ char *said = guest_shell(rig, VM, line);

	ck_assert_msg(strstr(said, wanted), "%s: %s", line, said);
}

/* The QEMU that had it open is no more. */
static void expect_no_qemu(void)
{
	host_run("! cat /proc/[0-9]*/cmdline 2> /dev/null | tr '\\0' ' ' | grep -q '[-]machine none'");
}

START_TEST(of_a_guest)
{
	guest_start(client, VM);
	free(guest_shell(rig, VM, "true"));

	grows("disk0", "2097152", true);
	expect_guest("cat /sys/block/vda/size", "4096");
	expect_image("raw", "raw", "2097152");

	/* What was beyond its end is not what the image below it has there. */
	grows("disk1", "4194304", true);
	expect_guest("cat /sys/block/vdb/size", "8192");
	expect_image("top", "qcow2", "4194304");
	expect_guest("dd if=/dev/vdb bs=1M skip=1 count=1 2>/dev/null | tr -d '\\0' | wc -c", "0");
	expect_guest("dd if=/dev/vdb bs=1M count=1 2>/dev/null | tr -d '\\0' | wc -c", MIB);

	/* Linux asks a SCSI disk when it is told to. */
	grows("disk2", "2097152", true);
	expect_guest("echo 1 > /sys/block/sda/device/rescan; cat /sys/block/sda/size", "4096");

	/* One that comes while it runs has the size of its top layer, whatever is below it. */
	host_run("qemu-img create -q -f qcow2 -F qcow2 -b %s/base %s/other 5M", dir, dir);
	{
		_cleanup_json_ struct json_object *o = client_ok(
			client, "disk-attach",
			"{'instance': '" VM "', 'disk': {'name': 'other', 'path': '%s/other', 'format': 'qcow2', "
			"'backing': [{'path': '%s/base', 'format': 'qcow2'}]}}",
			dir, dir);

		ck_assert_int_eq(int_at(o, "disk.size"), 5 * 1048576);
	}

	refused("InvalidParameter", "size", "only grows", "'disk': 'disk0', 'size': 1048576");
	refused("InvalidParameter", "size", "multiple of 512", "'disk': 'disk0', 'size': 2097153");
	refused("InvalidParameter", "size", "512 to", "'disk': 'disk0', 'size': 0");
	refused("NotFound", "disk", "no disk", "'disk': 'disk9', 'size': 4194304");
	refused("Unsupported", "live", "next start", "'disk': 'disk0', 'size': 4194304, 'live': false");
	refused("Unsupported", "disk", "only read", "'disk': 'disk3', 'size': 4194304");
	expect_guest("cat /sys/block/vda/size", "4096");
	expect_image("raw", "raw", "2097152");
	expect_no_qemu();

	/* Another droverd knows. */
	client_free(client);
	rig_kill(rig);
	rig_start(rig);
	client = client_new(rig);
	{
		_cleanup_json_ struct json_object *o = guest_settle(client, VM);
		struct json_object *disk = json_object_array_get_idx(at(o, "runtime.disks"), 0);

		ck_assert_int_eq(int_at(disk, "size"), 2097152);
	}
}
END_TEST

START_TEST(of_nobody)
{
	grows("disk0", "2097152", false);
	grows("disk1", "4194304", false);
	grows("disk2", "2097152", false);
	refused("InvalidParameter", "size", "only grows", "'disk': 'disk1', 'size': 1048576");
	expect_no_qemu();
	expect_image("raw", "raw", "2097152");
	expect_image("top", "qcow2", "4194304");
	guest_start(client, VM);
	expect_guest("cat /sys/block/vda/size /sys/block/vdb/size /sys/block/sda/size", "4096\r\n8192\r\n4096");
	expect_guest("dd if=/dev/vdb bs=1M skip=1 count=1 2>/dev/null | tr -d '\\0' | wc -c", "0");
}
END_TEST

START_TEST(that_cannot_be_opened)
{
	pid_t other;

	/* In use by another QEMU. */
	client_define(client, "other", "'memory': '128M', 'disks': [{'path': '%s/raw'}]", dir);
	other = guest_start(client, "other");
	refused("StorageError", NULL, "in use", "'disk': 'disk0', 'size': 2097152");
	ck_assert(process_runs(other));
	json_object_put(client_ok(client, "instance-stop", "{'instance': 'other'}"));
	expect_image("raw", "raw", MIB);

	/* Not there; no image; too large for where it is. */
	host_run("mv %s/raw %s/moved", dir, dir);
	refused("NotFound", NULL, "disks[0].path", "'disk': 'disk0', 'size': 2097152");
	host_run("mkdir %s/raw", dir);
	refused("StorageError", NULL, "disks[0].path", "'disk': 'disk0', 'size': 2097152");
	host_run("rmdir %s/raw; mv %s/moved %s/raw", dir, dir, dir);
	refused("QemuError", NULL, "resize", "'disk': 'disk0', 'size': 9223372036854774784");
	refused_and_traced("'disk': 'disk0', 'size': 9223372036854774784");
	expect_image("raw", "raw", MIB);
	host_run("dd if=/dev/zero of=%s/top bs=1k count=64 conv=notrunc status=none", dir);
	refused("StorageError", NULL, "no qcow2 image", "'disk': 'disk1', 'size': 4194304");
	expect_no_qemu();
}
END_TEST

/* droverd, with a fault or without one; the last has ended. */
static void begin(const char *program, const char *fault)
{
	client_free(TAKE_PTR(client));
	free(rig->program);
	free(rig->fault);
	rig->program = rig_program(program);
	rig->fault = fault ? xstrdup(fault) : NULL;
}

/* The only one. */
static struct json_object *concluded_job(void)
{
	for (;; usleep(10000)) {
		_cleanup_json_ struct json_object *jobs = client_ok(client, "query-jobs", "{}");
		struct json_object *o = json_object_array_get_idx(jobs, 0);

		ck_assert_ptr_nonnull(o);
		if (str_eq(str_at(o, "status"), "concluded"))
			return json_object_get(o);
	}
}

/* The next droverd says of one that was cut off what the image says, which is not the size of the one below it. */
START_TEST(cut_off)
{
	static const char *const faults[] = { "disk-resize/resize the disk/before/kill",
					      "disk-resize/resize the disk/after/kill" };
	_cleanup_json_ struct json_object *job = NULL;

	rig_stop(rig);
	begin("droverd-faulty", faults[_i]);
	rig_start(rig);
	client = client_new(rig);
	json_object_put(client_ok(client, "disk-resize",
				  "{'instance': '" VM "', 'disk': 'disk1', 'size': 3145728, 'job-id': 'x'}"));
	rig_wait(rig);
	begin("droverd", NULL);
	rig_start(rig);
	client = client_new(rig);
	job = concluded_job();
	ck_assert_msg(has(job, _i ? "result" : "error"), "%s", json_object_to_json_string(job));
	expect_image("top", "qcow2", _i ? "3145728" : MIB);
	expect_no_qemu();
	grows("disk1", "4194304", false);
	expect_image("top", "qcow2", "4194304");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("resize");
	TCase *tc = tcase_create("resize");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, of_a_guest);
	tcase_add_test(tc, of_nobody);
	tcase_add_test(tc, that_cannot_be_opened);
	tcase_add_loop_test(tc, cut_off, 0, 2);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return guest_main(suite);
}
