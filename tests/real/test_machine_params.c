/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Processors, memory, I/O threads, sound, USB, the clock: what parameters ask for is what QEMU and the kernel say there is, of
 * guests that do not run; and what this host or binary lacks for them is said by name.
 */
#include "bare.h"
#include "guest.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define VM "web1"
#define PAGES "/proc/sys/vm/nr_hugepages"
/* West of Greenwich by so many hours all year, whatever the host has of time zones. */
#define ZONE "XYZ7"
#define ZONE_FILE "/usr/share/zoneinfo/America/Phoenix"

enum { MIB = 1 << 20, HUGE_PAGES = 40, ZONE_HOURS = 7 };

static struct rig *rig;
static struct client *client;
static char *memory; /* a file system's root */

static void set_up(void)
{
	rig = rig_new("droverd");
	memory = xasprintf("%s/memory", rig->root);
	ck_assert_int_eq(mkdir(memory, 0700), 0);
	rig_start(rig);
	client = client_new(rig);
}

static void tear_down(void)
{
	json_object_put(client_ok(client, "instance-stop", "{'instance': '" VM "'}"));
	client_free(client);
	umount2(memory, MNT_DETACH);
	rig_free(rig);
	free(memory);
}

/* Its pid. HVPARAMS and MORE begin with a comma, or are "". */
static pid_t start(const char *hvparams, const char *more)
{
	client_define(client, VM, "'memory': '64M', 'hvparams': {'accel': 'tcg'%s}%s", hvparams, more);
	json_object_put(client_ok(client, "instance-start", "{'instance': '" VM "', 'paused': true}"));
	return guest_pid(client, VM);
}

/* Its start fails with CLASS, for the parameter NAME. */
static void refused(const char *class, const char *name, const char *hvparams)
{
	_cleanup_json_ struct json_object *e = NULL;
	_cleanup_free_ char *parameter = xasprintf("hvparams.%s", name);

	client_define(client, VM, "'memory': '64M', 'hvparams': {'accel': 'tcg'%s}", hvparams);
	e = client_error(client, class, "instance-start", "{'instance': '" VM "', 'paused': true}");
	ck_assert_str_eq(str_at(e, "parameter"), parameter);
	ck_assert_ptr_nonnull(strstr(str_at(e, "desc"), parameter));
	guest_expect(client, VM, "shutoff", "failed");
}

static struct json_object *ask(const char *command, const char *args)
{
	return client_ok(client, "instance-qmp", "{'instance': '" VM "', 'execute': '%s', 'arguments': {%s}}", command,
			 args);
}

static struct json_object *property(const char *path, const char *name)
{
	_cleanup_free_ char *args = xasprintf("'path': '%s', 'property': '%s'", path, name);

	return ask("qom-get", args);
}

static void expect_text(const char *path, const char *name, const char *value)
{
	_cleanup_json_ struct json_object *o = property(path, name);

	ck_assert_str_eq(json_object_get_string(o), value);
}

/* The element of LIST whose member KEY is VALUE. */
static struct json_object *find(struct json_object *list, const char *key, const char *value)
{
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		if (str_eq(json_get_str(o, key), value))
			return o;
	}
	ck_abort_msg("no %s '%s' in %s", key, value, json_object_to_json_string(list));
}

/* ---- memory ---- */

static void expect_backend(const char *id, int64_t size, bool file)
{
	_cleanup_json_ struct json_object *list = ask("query-memdev", "");
	struct json_object *o = find(list, "id", id);

	ck_assert_int_eq(int_at(o, "size"), size);
	ck_assert_int_eq(json_get_bool(o, "share", !file), file);
	ck_assert_int_eq(json_get_bool(o, "prealloc", !file), file);
}

/* KiB that PID has of files in the directory, which have no names any more; *N: how many mappings these are. */
static long mapped(pid_t pid, unsigned *n)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/smaps", pid), *there = xasprintf("%s/", memory);
	FILE *f = fopen(path, "re");
	bool ours = false;
	char line[4096];
	long total = 0;

	ck_assert_ptr_nonnull(f);
	*n = 0;
	while (fgets(line, sizeof(line), f)) {
		unsigned long from, to;
		long kib;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2) {
			ours = strstr(line, there) && strstr(line, " rw-s ") && strstr(line, "(deleted)");
			*n += ours;
		} else if (ours && (sscanf(line, "Rss: %ld kB", &kib) == 1 ||
				    sscanf(line, "Shared_Hugetlb: %ld kB", &kib) == 1 ||
				    sscanf(line, "Private_Hugetlb: %ld kB", &kib) == 1)) {
			total += kib;
		}
	}
	fclose(f);
	return total;
}

static void expect_mapped(pid_t pid, unsigned mappings)
{
	unsigned n;
	long kib = mapped(pid, &n);

	ck_assert_uint_eq(n, mappings);
	ck_assert_int_eq(kib, 64 * MIB / 1024);
}

START_TEST(test_memory_of_path)
{
	_cleanup_free_ char *one = xasprintf(", 'mem_path': '%s'", memory);
	_cleanup_free_ char *two = xasprintf(", 'mem_path': '%s', 'numa_nodes': 2", memory);
	pid_t pid;

	ck_assert_int_eq(mount("tmpfs", memory, "tmpfs", 0, "size=100M,mode=0700"), 0);
	pid = start(one, "");
	expect_backend("pc.ram", 64 * MIB, true);
	expect_text("/machine", "memory-backend", "/objects/pc.ram");
	expect_mapped(pid, 1);
	json_object_put(client_ok(client, "instance-stop", "{'instance': '" VM "'}"));
	/* which leaves the room as it was */
	pid = start(two, ", 'vcpus': 2");
	expect_backend("ram0", 32 * MIB, true);
	expect_backend("ram1", 32 * MIB, true);
	expect_mapped(pid, 2);
}
END_TEST

START_TEST(test_memory_refused)
{
	_cleanup_free_ char *path = xasprintf(", 'mem_path': '%s'", memory);

	ck_assert_int_eq(mount("tmpfs", memory, "tmpfs", 0, "size=60M"), 0);
	refused("NoSpace", "mem_path", path);
	refused("NotFound", "mem_path", ", 'mem_path': '/nowhere/at/all'");
	refused("StorageError", "mem_path", ", 'mem_path': '/etc/passwd'");
}
END_TEST

static long huge_pages(long wanted)
{
	FILE *f = fopen(PAGES, wanted < 0 ? "re" : "we");
	long n = -1;

	if (!f)
		return -1;
	if (wanted >= 0)
		fprintf(f, "%ld\n", wanted);
	else if (fscanf(f, "%ld", &n) != 1)
		n = -1;
	fclose(f);
	return n;
}

static long had; /* before this test took some more */

static void take_huge_pages(void)
{
	had = huge_pages(-1);
	if (had >= 0)
		huge_pages(had + HUGE_PAGES);
}

static void give_back_huge_pages(void)
{
	if (had >= 0)
		huge_pages(had);
}

START_TEST(test_huge_pages)
{
	_cleanup_free_ char *path = xasprintf(", 'mem_path': '%s'", memory);
	struct stat st;
	pid_t pid;

	if (huge_pages(-1) < had + HUGE_PAGES || mount("none", memory, "hugetlbfs", 0, "pagesize=2M") < 0) {
		fputs("huge pages: this kernel gives none\n", stderr);
		client_define(client, VM, "'memory': '64M'");
		return;
	}
	pid = start(path, "");
	expect_backend("pc.ram", 64 * MIB, true);
	expect_mapped(pid, 1);
	ck_assert_int_eq(stat(memory, &st), 0);
	ck_assert_uint_eq(st.st_uid, geteuid()); /* nobody else's */
}
END_TEST

START_TEST(test_memory_locked)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
	limit.rlim_max = RLIM_INFINITY;
	if (setrlimit(RLIMIT_MEMLOCK, &limit) == 0) {
		_cleanup_free_ char *locked = process_field(start(", 'mem_lock': true", ""), "status", "VmLck");

		ck_assert_int_ge(strtol(locked, NULL, 10), 64 * MIB / 1024);
	} else {
		/* Not even root: this test's own limit cannot be raised. */
		refused("PermissionDenied", "mem_lock", ", 'mem_lock': true");
	}
}
END_TEST

/* Processors and memory of a node. */
START_TEST(test_nodes)
{
	_cleanup_json_ struct json_object *cpus = NULL, *list = NULL;
	unsigned per_node[2] = { 0 };

	start(", 'numa_nodes': 2", ", 'vcpus': 4");
	expect_backend("ram0", 32 * MIB, false);
	expect_backend("ram1", 32 * MIB, false);
	list = ask("query-memdev", "");
	ck_assert_uint_eq(json_object_array_length(list), 2);
	cpus = ask("query-cpus-fast", "");
	ck_assert_uint_eq(json_object_array_length(cpus), 4);
	for (size_t i = 0; i < 4; i++) {
		struct json_object *o = json_object_array_get_idx(cpus, i);
		int64_t node = int_at(o, "props.node-id");

		ck_assert(node == 0 || node == 1);
		ck_assert_int_eq(int_at(o, "props.socket-id"), node);
		per_node[node]++;
	}
	ck_assert_uint_eq(per_node[0], 2);
}
END_TEST

/* ---- processors ---- */

static char *allowed(pid_t pid, int64_t tid)
{
	_cleanup_free_ char *file = xasprintf("task/%ld/status", (long)tid);

	return process_field(pid, file, "Cpus_allowed_list");
}

static unsigned count_tasks(pid_t pid)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/task", pid);
	DIR *dir = opendir(path);
	unsigned n = 0;

	ck_assert_ptr_nonnull(dir);
	for (struct dirent *d; (d = readdir(dir));)
		n += d->d_name[0] != '.';
	closedir(dir);
	return n;
}

/* vcpu 0 on FIRST, vcpu 1 on LAST, all others on both. */
static void expect_pinned(pid_t pid, int first, int last)
{
	_cleanup_json_ struct json_object *cpus = ask("query-cpus-fast", "");
	_cleanup_free_ char *one = xasprintf("%d", last);
	_cleanup_free_ char *both = xasprintf(last - first > 1 ? "%d,%d" : "%d-%d", first, last);
	_cleanup_free_ char *path = xasprintf("/proc/%d/task", pid);
	DIR *dir = opendir(path);

	ck_assert_ptr_nonnull(dir);
	for (struct dirent *d; (d = readdir(dir));) {
		int64_t tid = strtol(d->d_name, NULL, 10);
		_cleanup_free_ char *has_cpus = tid ? thread_field(pid, d->d_name, "Cpus_allowed_list") : NULL;
		_cleanup_free_ char *wanted = xstrdup(first == last ? one : both);

		if (!has_cpus)
			continue;
		for (size_t i = 0; i < json_object_array_length(cpus); i++)
			if (int_at(json_object_array_get_idx(cpus, i), "thread-id") == tid) {
				free(wanted);
				wanted = xasprintf("%d", i == 0 ? first : last);
			}
		ck_assert_msg(str_eq(has_cpus, wanted), "thread %s: %s, not %s", d->d_name, has_cpus, wanted);
	}
	closedir(dir);
	ck_assert_uint_ge(count_tasks(pid), 3);
}

/* Both on one processor, each on its own; and that by a droverd without CAP_SYS_NICE, as its unit has it. */
START_TEST(test_pinned)
{
	_cleanup_free_ char *mask = NULL;
	int first = -1, last = -1;
	cpu_set_t set;
	pid_t pid;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(set), &set), 0);
	for (int i = 0; i < CPU_SETSIZE; i++) {
		last = CPU_ISSET(i, &set) ? i : last;
		first = first < 0 ? last : first;
	}
	if (_i == 0)
		first = last;
	mask = xasprintf(", 'cpu_mask': '%d:%d'", first, last);
	if (_i == 2) {
		ck_assert_int_eq(prctl(PR_CAPBSET_DROP, CAP_SYS_NICE), 0);
		rig_restart(rig, &client);
	}
	pid = start(mask, ", 'vcpus': 2");
	expect_pinned(pid, first, last);
	json_object_put(client_ok(client, "instance-reset", "{'instance': '" VM "'}"));
	expect_pinned(pid, first, last);
	rig_restart(rig, &client);
	json_object_put(guest_settle(client, VM));
	ck_assert_int_eq(guest_pid(client, VM), pid);
	expect_pinned(pid, first, last);
}
END_TEST

START_TEST(test_processors_refused)
{
	refused("InvalidParameter", "cpu_mask", ", 'cpu_mask': '0,8000'");
	refused("Unsupported", "cpu_type", ", 'cpu_type': 'Nonsense-v1'");
	refused("QemuError", "cpu_type", ", 'cpu_type': 'qemu64,+nosuch'");
	refused("QemuError", "cpu_type", ", 'cpu_type': 'qemu64,foo'");
	refused("QemuError", "cpu_type", ", 'cpu_type': 'qemu64,level=high'");
}
END_TEST

/* Words of QEMU's in which no parameter is named. */
START_TEST(test_words)
{
	static const char *const types[] = { "phys-bits=1", "core-id=1", "node-id=3", "legacy-cache=off" };
	_cleanup_free_ char *text = guest_image(rig, "text", "no kernel\n", 0),
			    *large = guest_image(rig, "large", "", 80 * MIB),
			    *kernel = xasprintf(", 'kernel_path': '%s'", text),
			    *initrd = xasprintf(", 'kernel_path': '%s/vmlinuz', 'initrd_path': '%s'", rig_guest(),
						large);
	_cleanup_json_ struct json_object *e = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		_cleanup_free_ char *type = xasprintf(", 'cpu_type': 'qemu64,%s'", types[i]);

		refused("QemuError", "cpu_type", type);
	}
	refused("QemuError", "cpu_type", ", 'cpu_type': 'qemu64,-apic', 'machine_version': 'q35'");
	refused("QemuError", "kernel_path", kernel);
	refused("QemuError", "initrd_path", initrd);
	client_define(client, VM, "'memory': '1000T', 'hvparams': {'accel': 'tcg'}");
	e = client_error(client, "QemuError", "instance-start", "{'instance': '" VM "', 'paused': true}");
	ck_assert_str_eq(str_at(e, "parameter"), "memory");
}
END_TEST

/* More than the machine has places for, and than there can be without KVM. */
START_TEST(test_too_many_processors)
{
	static const char *const numbers[] = { "289", "256" }, *const words[] = { "288", "KVM" };
	_cleanup_json_ struct json_object *e = NULL;

	client_define(client, VM,
		      "'memory': '64M', 'vcpus': %s, 'hvparams': {'accel': 'tcg', 'machine_version': 'pc-q35-7.2'}",
		      numbers[_i]);
	e = client_error(client, "Unsupported", "instance-start", "{'instance': '" VM "', 'paused': true}");
	ck_assert_str_eq(str_at(e, "parameter"), "vcpus");
	ck_assert_ptr_nonnull(strstr(str_at(e, "desc"), words[_i]));
	ck_assert(!has(e, "log"));
}
END_TEST

/* Cores by three leave gaps in the numbers of processors. What the machine makes of that QEMU knows. */
START_TEST(test_gaps)
{
	_cleanup_json_ struct json_object *e = NULL;

	client_define(client, VM,
		      "'memory': '64M', 'vcpus': 255, 'hvparams': {'accel': 'tcg', 'machine_version': 'q35', "
		      "'cpu_cores': 3}");
	e = client_error(client, "QemuError", "instance-start", "{'instance': '" VM "', 'paused': true}");
	ck_assert_str_eq(str_at(e, "parameter"), "vcpus");
}
END_TEST

/* ---- disks ---- */

static void expect_thread(const char *device, const char *thread)
{
	_cleanup_free_ char *path = xasprintf("/machine/peripheral/%s", device),
			    *wanted = xasprintf("/objects/%s", thread);

	expect_text(path, "iothread", wanted);
}

#define DISK(n) "'uuid': '932df16" n "-7a22-4067-a566-7e0ca8386133'"
#define ID(n) "disk-932df16" n "-7a22-4067"

START_TEST(test_iothreads)
{
	_cleanup_free_ char *image = guest_image(rig, "disk0", "", MIB), *other = guest_image(rig, "disk1", "", MIB),
			    *third = guest_image(rig, "disk2", "", MIB), *disks = NULL;
	_cleanup_json_ struct json_object *threads = NULL, *nodes = NULL;
	pid_t pid;

	disks = xasprintf(", 'disks': [{" DISK("0") ", 'path': '%s'}, {" DISK("1") ", 'type': 'scsi-hd', 'path': '%s', "
										   "'throttle': {'iops_total': 100}}]",
			  image, other);
	pid = start(", 'iothreads': 4", disks);
	threads = ask("query-iothreads", "");
	ck_assert_uint_eq(json_object_array_length(threads), 2);
	for (size_t i = 0; i < 2; i++) {
		_cleanup_free_ char *cpus = allowed(pid, int_at(json_object_array_get_idx(threads, i), "thread-id"));

		ck_assert_ptr_nonnull(cpus);
	}
	expect_thread("scsi", "iothread0");
	expect_thread(ID("0"), "iothread1");
	/* what comes later has one of those that are there; and what is done to disks is done in them */
	json_object_put(client_ok(client, "disk-attach",
				  "{'instance': '" VM "', 'disk': {" DISK("2") ", 'path': '%s'}}", third));
	expect_thread(ID("2"), "iothread0");
	for (int i = 0; i < 3; i++) {
		static const char *const ids[] = { "disk0", "disk1", "disk2" };

		json_object_put(
			client_ok(client, "disk-resize", "{'instance': '" VM "', 'disk': '%s', 'size': '2M'}", ids[i]));
	}
	nodes = ask("query-named-block-nodes", "'flat': true");
	ck_assert_int_eq(int_at(find(nodes, "node-name", ID("2")), "image.virtual-size"), 2 * MIB);
}
END_TEST

/* ---- all else ---- */

/* Hours of a day between the guest's clock and UTC. */
static int64_t clock_offset(void)
{
	_cleanup_json_ struct json_object *o = property("/machine", "rtc-time");
	struct tm tm = { .tm_sec = (int)int_at(o, "tm_sec"),
			 .tm_min = (int)int_at(o, "tm_min"),
			 .tm_hour = (int)int_at(o, "tm_hour"),
			 .tm_mday = (int)int_at(o, "tm_mday"),
			 .tm_mon = (int)int_at(o, "tm_mon"),
			 .tm_year = (int)int_at(o, "tm_year") };
	const int64_t hour = 3600;

	return (time(NULL) - timegm(&tm) + hour / 2) / hour;
}

static void expect_usb(const char *id, const char *type, const char *port)
{
	_cleanup_free_ char *path = xasprintf("/machine/peripheral/%s", id);
	_cleanup_json_ struct json_object *attached = property(path, "attached");

	expect_text(path, "type", type);
	expect_text(path, "port", port);
	ck_assert(json_object_get_boolean(attached));
}

static const char *const machines[] = { ", 'machine_version': 'pc'", ", 'machine_version': 'q35'" };

START_TEST(test_others)
{
	_cleanup_free_ char *hvparams = xasprintf(
		"%s, 'hyperv': true, 'use_localtime': true, 'soundhw': '%s', 'usb_mouse': 'tablet', "
		"'usb_devices': 'keyboard mouse'",
		machines[_i], _i ? "hda" : "es1370");
	static const char *const shown[] = { "hv-relaxed", "hv-vapic",    "hv-runtime", "hv-time",       "hv-synic",
					     "hv-stimer",  "hv-tlbflush", "hv-ipi",     "hv-frequencies" };
	_cleanup_json_ struct json_object *spinlocks = NULL;

	start(hvparams, "");
	ck_assert_int_eq(clock_offset(), ZONE_HOURS);
	for (size_t i = 0; i < ARRAY_SIZE(shown); i++)
		expect_text("/machine/unattached/device[0]", shown[i], "true");
	spinlocks = property("/machine/unattached/device[0]", "hv-spinlocks");
	ck_assert_int_eq(json_object_get_int64(spinlocks), 0x1fff);
	expect_text("/machine/peripheral/sound", "type", _i ? "ich9-intel-hda" : "ES1370");
	expect_text(_i ? "/machine/peripheral/sound-codec" : "/machine/peripheral/sound", "audiodev", "audio0");
	expect_text("/machine/peripheral/xhci", "type", "qemu-xhci");
	expect_usb("usb-0", "usb-tablet", "1");
	expect_usb("usb-1", "usb-kbd", "2");
	expect_usb("usb-2", "usb-mouse", "3");
}
END_TEST

/* The host's own zone, of which a process knows by a file only, also one that sees little of the host. */
START_TEST(test_zone_of_host)
{
	ck_assert_int_eq(unsetenv("TZ"), 0);
	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	ck_assert_int_eq(mount(ZONE_FILE, "/etc/localtime", NULL, MS_BIND, NULL), 0);
	rig_restart(rig, &client);
	start(_i ? ", 'use_localtime': true, 'use_chroot': true" : ", 'use_localtime': true", "");
	ck_assert_int_eq(clock_offset(), ZONE_HOURS);
}
END_TEST

/* And what there is where nothing is said. */
START_TEST(test_none)
{
	_cleanup_json_ struct json_object *threads = NULL, *backends = NULL, *devices = NULL;
	_cleanup_free_ char *locked = process_field(start("", ""), "status", "VmLck"), *text = NULL;

	ck_assert_int_eq(strtol(locked, NULL, 10), 0);
	ck_assert_int_eq(clock_offset(), 0);
	threads = ask("query-iothreads", "");
	ck_assert_uint_eq(json_object_array_length(threads), 0);
	backends = ask("query-memdev", "");
	ck_assert_uint_le(json_object_array_length(backends), 1);
	devices = ask("qom-list", "'path': '/machine/peripheral'");
	text = json_print(devices);
	ck_assert_ptr_null(strstr(text, "xhci"));
	ck_assert_ptr_null(strstr(text, "sound"));
	expect_text("/machine/unattached/device[0]", "hv-relaxed", "false");
}
END_TEST

START_TEST(test_sound_refused)
{
	if (bare_has("virtio-sound-pci"))
		start(", 'soundhw': 'virtio'", "");
	else
		refused("Unsupported", "soundhw", ", 'soundhw': 'virtio'");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("parameters of the machine");
	TCase *tc = tcase_create("machine"), *huge = tcase_create("huge pages");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, test_memory_of_path);
	tcase_add_test(tc, test_memory_refused);
	tcase_add_test(tc, test_memory_locked);
	tcase_add_test(tc, test_nodes);
	tcase_add_loop_test(tc, test_pinned, 0, 3);
	tcase_add_test(tc, test_processors_refused);
	tcase_add_test(tc, test_words);
	tcase_add_loop_test(tc, test_too_many_processors, 0, 2);
	tcase_add_test(tc, test_gaps);
	tcase_add_test(tc, test_iothreads);
	tcase_add_loop_test(tc, test_others, 0, ARRAY_SIZE(machines));
	tcase_add_loop_test(tc, test_zone_of_host, 0, 2);
	tcase_add_test(tc, test_none);
	tcase_add_test(tc, test_sound_refused);
	suite_add_tcase(s, tc);
	/* The pages are the host's: they are given back whatever becomes of the test. */
	tcase_add_unchecked_fixture(huge, take_huge_pages, give_back_huge_pages);
	tcase_add_checked_fixture(huge, set_up, tear_down);
	tcase_add_test(huge, test_huge_pages);
	suite_add_tcase(s, huge);
	return s;
}

int main(void)
{
	if (geteuid() != 0) {
		puts("SKIP: only root mounts file systems and gives a guest an account of its own");
		return 77;
	}
	setenv("TZ", ZONE, 1); /* droverd's, and so QEMU's */
	return rig_main(suite);
}
