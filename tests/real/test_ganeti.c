/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A QEMU that was started exactly as Ganeti starts one becomes drover's: the same process, at the same addresses, and it lets
 * go of its devices. Ganeti's part is played here: its directories, its command line, its runtime file.
 */
#include "guest.h"

#include "netns.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define VM "web1.example.com"
#define UUID "5f1c2f0e-8a55-4a6e-9f53-0c2b6a1d9e10"
#define DISK0 "932df160-7a22-4067-a566-7e0ca8386133"
#define DISK1 "a32df160-7a22-4067-a566-7e0ca8386134"
#define NIC0 "003fc157-66a8-4e6d-8b7e-ec4f69751396"
#define OLD_NIC "113fc157-66a8-4e6d-8b7e-ec4f69751396"

enum { WORDS_MAX = 128, SAID_MAX = 1 << 20, TAP_FD = 40, OLD_TAP_FD };

static struct rig *rig;
static struct client *client;
static char *base; /* Ganeti's KVM directory */
static char *qemu;
static pid_t pid; /* of its QEMU */

/* ---- Ganeti ---- */

static char *path(const char *fmt, ...) _printf_(1, 2);
static char *path(const char *fmt, ...)
{
	_cleanup_free_ char *rest = NULL;
	va_list ap;

	va_start(ap, fmt);
	rest = xvasprintf(fmt, ap);
	va_end(ap);
	return xasprintf("%s/%s", base, rest);
}

static void make(const char *name)
{
	_cleanup_free_ char *dir = path("%s", name);

	ck_assert_int_eq(mkdir(dir, 0775), 0);
}

static void set_up(void)
{
	static const char *const dirs[] = { "pid", "ctrl", "conf", "nic", "disks" };

	rig = rig_new("droverd");
	base = xasprintf("%s/ganeti", rig->root);
	qemu = rig_qemu();
	ck_assert_int_eq(mkdir(base, 0775), 0);
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		make(dirs[i]);
	rig_start(rig);
	client = client_new(rig);
}

static void end_qemu(void)
{
	if (pid && process_runs(pid))
		kill(pid, SIGKILL);
	if (pid)
		process_await_end(pid);
	pid = 0;
	rig_reap();
}

static void tear_down(void)
{
	end_qemu();
	client_free(client);
	rig_free(rig);
	free(qemu);
	free(base);
}

/* As Ganeti opens one, onto a descriptor that its QEMU inherits. */
static void open_tap(const char *bridge, int fd)
{
	struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_ONE_QUEUE };
	int tun = open("/dev/net/tun", O_RDWR);

	ck_assert_int_ge(tun, 0);
	ck_assert_int_eq(ioctl(tun, TUNSETIFF, &req), 0);
	host_run("ip link set %s up master %s", req.ifr_name, bridge);
	ck_assert_int_eq(dup2(tun, fd), fd);
	close(tun);
}

/* A disk of the template "file": the file, and the link to it that QEMU is given. */
static void make_disk(const char *name, const char *text, off_t size, unsigned index)
{
	_cleanup_free_ char *file = path("%s", name), *link = path("disks/" VM ":%u", index);
	FILE *f = fopen(file, "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_int_eq(truncate(file, size), 0);
	ck_assert_int_eq(symlink(file, link), 0);
}

struct command {
	char *words[WORDS_MAX];
	size_t n, stored; /* so many of them are in the runtime file */
};

static void add(struct command *c, const char *fmt, ...) _printf_(2, 3);
static void add(struct command *c, const char *fmt, ...)
{
	va_list ap;

	ck_assert_uint_lt(c->n, WORDS_MAX - 1);
	va_start(ap, fmt);
	c->words[c->n++] = xvasprintf(fmt, ap);
	va_end(ap);
}

/* "-option value" */
#define ADD(c, option, ...)           \
	do {                          \
		add(c, "%s", option); \
		add(c, __VA_ARGS__);  \
	} while (0)

/* The part that is stored, in Ganeti's order. MORE: in front of what it is started with. */
static void begin(struct command *c, const char *machine, const char *kernel_args)
{
	const char *guest = rig_guest();

	add(c, "%s", qemu);
	ADD(c, "-name", "%s,debug-threads=on", VM);
	ADD(c, "-m", "128");
	ADD(c, "-smp", "1");
	ADD(c, "-pidfile", "%s/pid/%s", base, VM);
	ADD(c, "-device", "virtio-balloon");
	add(c, "-daemonize");
	ADD(c, "-D", "%s/qemu.log", base);
	ADD(c, "-machine", "%s", machine);
	if (kernel_args) {
		ADD(c, "-kernel", "%s/vmlinuz", guest);
		ADD(c, "-initrd", "%s/initrd.gz", guest);
		ADD(c, "-append", "root=/dev/vda1 %s console=ttyS0,38400", kernel_args);
	}
	ADD(c, "-monitor", "unix:%s/ctrl/%s.monitor,server,nowait", base, VM);
	ADD(c, "-serial", "unix:%s/ctrl/%s.serial,server,nowait", base, VM);
	add(c, "-usb");
	ADD(c, "-display", "none");
	ADD(c, "-uuid", UUID);
	c->stored = c->n;
}

static void add_nic(struct command *c, const char *id, int fd, const char *addr, const char *mac)
{
	ADD(c, "-netdev", "type=tap,id=%s,fd=%d", id, fd);
	ADD(c, "-device", "virtio-net-pci,id=%s,bus=pci.0,addr=%s,netdev=%s,mac=%s", id, addr, id, mac);
}

static void add_monitors(struct command *c)
{
	ADD(c, "-qmp", "unix:%s/ctrl/%s.qmp,server,nowait", base, VM);
	ADD(c, "-qmp", "unix:%s/ctrl/%s.kvmd,server,nowait", base, VM);
}

static void add_disk(struct command *c, const char *id, const char *device, unsigned index)
{
	ADD(c, "-device", "%s,id=%s,drive=%s,write-cache=on", device, id, id);
	ADD(c, "-blockdev",
	    "driver=raw,node-name=%s,discard=ignore,cache.direct=off,cache.no-flush=off,file.driver=file,"
	    "file.filename=%s/disks/%s:%u,file.aio=threads,auto-read-only=off",
	    id, base, VM, index);
}

/* Waits until it has gone to the background. */
static void run(struct command *c)
{
	_cleanup_free_ char *file = path("pid/" VM), *err = path("start.err");
	int status;
	FILE *f;
	pid_t child = fork();

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		int fd = open(err, O_WRONLY | O_CREAT | O_TRUNC, 0600);

		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		execv(c->words[0], c->words);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	if (status) {
		_cleanup_free_ char *said = rig_file(rig, "ganeti/start.err");

		ck_abort_msg("QEMU: status %#x: %s", status, said);
	}
	f = fopen(file, "r");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fscanf(f, "%d", &pid), 1); /* NOLINT(cert-err34-c): QEMU wrote it */
	fclose(f);
	ck_assert(process_runs(pid));
}

static void command_clear(struct command *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->words[i]);
	*c = (struct command){ 0 };
}

/* kvm_cmd, with a number behind -m. */
static char *stored(const struct command *c)
{
	char *text = xstrdup("[");

	for (size_t i = 0; i < c->stored; i++) {
		_cleanup_free_ char *old = text;
		const char *quote = i > 0 && str_eq(c->words[i - 1], "-m") ? "" : "'";

		text = xasprintf("%s%s%s%s%s", old, i ? ", " : "", quote, c->words[i], quote);
	}
	_cleanup_free_ char *old = text;

	return xasprintf("%s]", old);
}

/* ---- the guest's serial port, as nobody writes it down ---- */

struct serial {
	int fd;
	char *said;
	size_t len;
};

static void serial_open(struct serial *s)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	_cleanup_free_ char *file = path("ctrl/" VM ".serial");

	ck_assert_uint_lt(strlen(file), sizeof(addr.sun_path));
	strcpy(addr.sun_path, file); /* NOLINT(clang-analyzer-security.insecureAPI.strcpy): it fits */
	*s = (struct serial){ .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), .said = xcalloc(SAID_MAX, 1) };
	ck_assert_int_eq(connect(s->fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
}

static void serial_await(struct serial *s, const char *text)
{
	while (!strstr(s->said, text)) {
		struct pollfd p = { s->fd, POLLIN, 0 };
		ssize_t n = -1;

		if (poll(&p, 1, RIG_DEADLINE_MS) == 1)
			n = read(s->fd, s->said + s->len, SAID_MAX - 1 - s->len);
		ck_assert_msg(n > 0, "no '%s' in: %s", text, s->said);
		s->len += (size_t)n;
	}
}

static void serial_close(struct serial *s)
{
	close(s->fd);
	free(s->said);
}

/* ---- what is looked at ---- */

static struct json_object *ask(const char *execute, const char *args)
{
	return client_ok(client, "instance-qmp", "{'instance': '%s', 'execute': '%s'%s%s}", VM, execute,
			 args ? ", 'arguments': " : "", args ? args : "");
}

/* "QDEV-ID SLOT" of each device that has an id, by QEMU. */
static int64_t slot_of(const char *id)
{
	_cleanup_json_ struct json_object *pci = ask("query-pci", NULL);
	struct json_object *devices = at(pci, "0.devices");

	for (size_t i = 0; i < json_object_array_length(devices); i++) {
		struct json_object *o = json_object_array_get_idx(devices, i);

		if (str_eq(json_get_str(o, "qdev_id"), id))
			return int_at(o, "slot");
	}
	return -1;
}

static void expect_same(struct json_object *shown)
{
	ck_assert_str_eq(str_at(shown, "state"), "running");
	ck_assert_int_eq(int_at(shown, "pid"), pid);
	ck_assert_int_eq(int_at(shown, "runtime.process.pid"), pid);
	ck_assert_str_eq(json_object_to_json_string_ext(at(shown, "drift"), JSON_C_TO_STRING_PLAIN), "[]");
}

static void expect_addresses(void)
{
	_cleanup_json_ struct json_object *shown = guest_query(client, VM);

	ck_assert_str_eq(str_at(shown, "runtime.disks.0.hvinfo.addr"), "0xd");
	ck_assert_str_eq(str_at(shown, "runtime.disks.1.hvinfo.addr"), "0xf");
	ck_assert_str_eq(str_at(shown, "runtime.nics.0.hvinfo.addr"), "0xe");
	ck_assert_int_eq(slot_of("disk-932df160-7a22-4067"), 0xd);
	ck_assert_int_eq(slot_of("disk-a32df160-7a22-4067"), 0xf);
	ck_assert_int_eq(slot_of("nic-003fc157-66a8-4e6d"), 0xe);
}

/* Nothing of the device is left in QEMU. */
static void expect_gone(const char *id)
{
	_cleanup_json_ struct json_object *nodes = ask("query-named-block-nodes", "{'flat': true}");
	_cleanup_json_ struct json_object *objects = ask("qom-list", "{'path': '/machine/peripheral'}");

	ck_assert_int_eq(slot_of(id), -1);
	ck_assert_ptr_null(strstr(json_object_to_json_string(nodes), id));
	ck_assert_ptr_null(strstr(json_object_to_json_string(objects), id));
}

/* ---- a guest with two disks and two cards ---- */

#define HVPARAMS                                                                                          \
	"'kernel_path': '%s/vmlinuz', 'initrd_path': '%s/initrd.gz', 'kernel_args': '%s', 'root_path': "  \
	"'/dev/vda1', 'kvm_path': '%s', 'vhost_net': false, 'scsi_controller_type': 'lsi', 'disk_type': " \
	"'paravirtual', 'nic_type': 'paravirtual', 'use_guest_agent': false, 'machine_version': '', "     \
	"'security_model': 'none', 'disk_cache': 'default', 'kvm_flag': '', 'vnc_bind_address': null"

#define FILE_DISK(uuid, id, name, index, addr)                                                            \
	"[{'dev_type': 'file', 'logical_id': ['loop', '%s/" name "'], 'uuid': '" uuid "', 'mode': 'rw', " \
	"'size': 1, 'iv_name': 'disk/" index "', 'hvinfo': {'driver': 'virtio-blk-pci', 'id': '" id       \
	"', 'bus': 'pci.0', 'addr': '" addr "'}}, '%s/disks/" VM ":" index "', null]"

#define BRIDGED_NIC(uuid, mac, place) \
	"{'mac': '" mac "', 'uuid': '" uuid "', 'nicparams': {'mode': 'bridged', 'link': 'br0'}, " place "}"

static char *document(const struct command *c, const char *kernel_args)
{
	_cleanup_free_ char *cmd = stored(c);
	const char *guest = rig_guest();

	return xasprintf(
		"[%s, [" BRIDGED_NIC(
			NIC0, "aa:00:00:35:d5:01",
			"'hvinfo': {'driver': 'virtio-net-pci', 'id': 'nic-003fc157-66a8-4e6d', "
			"'bus': 'pci.0', 'addr': '0xe'}") ", " BRIDGED_NIC(OLD_NIC, "aa:00:00:35:d5:02",
									   "'pci': 16") "], {" HVPARAMS
											"}, [" FILE_DISK(
												DISK0,
												"disk-932df160-7a22-"
												"4067",
												"one", "0",
												"0xd") ", " FILE_DISK(DISK1,
														      "disk-a32df160-7a22-4067",
														      "two",
														      "1",
														      "0xf") "]]",
		cmd, guest, guest, kernel_args, qemu, base, base, base, base);
}

static struct json_object *import(const char *text)
{
	return client_ok(client, "instance-import", "{'format': 'ganeti', 'document': %s}", text);
}

static void start_guest(struct command *c, const char *words)
{
	host_run("ip link add br0 type bridge");
	host_run("ip link set br0 up");
	open_tap("br0", TAP_FD);
	open_tap("br0", OLD_TAP_FD);
	make_disk("one", "one", 1 << 20, 0);
	make_disk("two", "two", 2 << 20, 1);
	begin(c, "pc", words);
	add_nic(c, "nic-003fc157-66a8-4e6d", TAP_FD, "0xe", "aa:00:00:35:d5:01");
	add_nic(c, "hotnic-113fc157-pci-16", OLD_TAP_FD, "0x10", "aa:00:00:35:d5:02");
	add_monitors(c);
	add_disk(c, "disk-932df160-7a22-4067", "virtio-blk-pci,bus=pci.0,addr=0xd", 0);
	add_disk(c, "disk-a32df160-7a22-4067", "virtio-blk-pci,bus=pci.0,addr=0xf", 1);
	run(c);
	close(TAP_FD);
	close(OLD_TAP_FD);
}

static void check_adopted(struct json_object *result)
{
	_cleanup_json_ struct json_object *shown = guest_query(client, VM);

	ck_assert(json_object_get_boolean(at(result, "changed")));
	ck_assert_str_eq(str_at(result, "uuid"), UUID);
	ck_assert_int_eq(int_at(result, "pid"), pid);
	ck_assert(str_starts(str_at(result, "definition.hvparams.machine_version"), "pc-i440fx-"));
	ck_assert_int_eq(int_at(result, "definition.memory"), 128 << 20);
	expect_same(shown);
	ck_assert_int_eq(json_object_array_length(at(shown, "pending")), 0);
	ck_assert_str_eq(str_at(shown, "runtime.nics.1.hvinfo.id"), "hotnic-113fc157-pci-16");
	expect_addresses();
}

/* What is taken from the guest, and what it is given in its place. */
static void check_hotplug(struct serial *s)
{
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_free_ char *three = path("three");

	json_object_put(client_ok(client, "disk-detach", "{'instance': '%s', 'disk': 'disk1'}", VM));
	serial_await(s, "GUEST-DEL block vdb");
	expect_gone("disk-a32df160-7a22-4067");
	make_disk("three", "three", 3 << 20, 7);
	o = client_ok(client, "disk-attach", "{'instance': '%s', 'disk': {'path': '%s'}}", VM, three);
	ck_assert_str_eq(str_at(o, "disk.hvinfo.addr"), "0xc");
	serial_await(s, "GUEST-ADD block vdb 6144");
	json_object_put(client_ok(client, "nic-detach", "{'instance': '%s', 'nic': 'nic-003fc157-66a8-4e6d'}", VM));
	json_object_put(client_ok(client, "nic-detach", "{'instance': '%s', 'nic': 'hotnic-113fc157-pci-16'}", VM));
	serial_await(s, "GUEST-DEL net");
	expect_gone("nic-003fc157-66a8-4e6d");
	expect_gone("hotnic-113fc157-pci-16");
	/* Their taps went with QEMU's descriptors. */
	host_run("! ip link show | grep tap");
}

/* From the disks that are left drover starts it anew, with each in its place. */
static void check_start(void)
{
	_cleanup_json_ struct json_object *shown = NULL;

	json_object_put(client_ok(client, "instance-stop", "{'instance': '%s'}", VM));
	process_await_end(pid);
	rig_reap();
	pid = 0;
	guest_expect(client, VM, "shutoff", "admin");
	ck_assert_int_ne(guest_start(client, VM), 0);
	/* 0xc, 0xd */
	guest_await(rig, VM, "GUEST-ADD block vda 6144", 1);
	guest_await(rig, VM, "GUEST-ADD block vdb 2048", 1);
	shown = guest_query(client, VM);
	ck_assert_str_eq(str_at(shown, "runtime.disks.0.hvinfo.addr"), "0xd");
	ck_assert_int_eq(slot_of("disk-932df160-7a22-4067"), 0xd);
	ck_assert_ptr_nonnull(strstr(json_object_to_json_string(at(shown, "runtime.cmd")), "-nodefaults"));
	json_object_put(client_ok(client, "instance-stop", "{'instance': '%s'}", VM));
}

START_TEST(test_guest)
{
	struct command c = { 0 };
	struct serial s;
	_cleanup_json_ struct json_object *o = NULL, *again = NULL, *shown = NULL;
	_cleanup_free_ char *text = NULL;

	start_guest(&c, "t.net=none t.ga=0");
	serial_open(&s);
	serial_await(&s, "GUEST-ADD block vdb 4096");
	serial_await(&s, "GUEST-ADD net eth1");
	text = document(&c, "t.net=none t.ga=0");
	o = import(text);
	check_adopted(o);
	again = import(text);
	ck_assert(!json_object_get_boolean(at(again, "changed")));
	rig_restart(rig, &client);
	client_await_state(client, VM, "running", NULL);
	shown = guest_settle(client, VM);
	expect_same(shown);
	expect_addresses();
	check_hotplug(&s);
	rig_restart(rig, &client);
	client_await_state(client, VM, "running", NULL);
	serial_close(&s);
	check_start();
	command_clear(&c);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("import from Ganeti");
	TCase *tc = tcase_create("guest");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 600);
	tcase_add_test(tc, test_guest);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return guest_main(suite);
}
