/* SPDX-License-Identifier: BSD-2-Clause */
#include "ganeti.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct ganeti_node node;

char *node_path(const char *fmt, ...)
{
	_cleanup_free_ char *rest = NULL;
	va_list ap;

	va_start(ap, fmt);
	rest = xvasprintf(fmt, ap);
	va_end(ap);
	return xasprintf("%s/%s", node.base, rest);
}

static void make_dir(const char *name)
{
	_cleanup_free_ char *dir = node_path("%s", name);

	ck_assert_int_eq(mkdir(dir, 0775), 0);
}

void node_set_up(void)
{
	static const char *const dirs[] = { "", "pid", "ctrl", "conf", "nic", "disks" };

	node.rig = rig_new("droverd");
	node.base = xasprintf("%s/ganeti", node.rig->root);
	node.qemu = rig_qemu();
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		make_dir(dirs[i]);
	rig_start(node.rig);
	node.client = client_new(node.rig);
}

void node_end_qemu(void)
{
	if (node.pid && process_runs(node.pid))
		kill(node.pid, SIGKILL);
	if (node.pid)
		process_await_end(node.pid);
	node.pid = 0;
	rig_reap();
}

void node_tear_down(void)
{
	node_end_qemu();
	client_free(node.client);
	rig_free(node.rig);
	free(node.qemu);
	free(node.base);
	node = (struct ganeti_node){ 0 };
}

void node_restart(const char *program, const char *fault)
{
	client_free(TAKE_PTR(node.client));
	if (node.rig->pid)
		rig_kill(node.rig);
	free(node.rig->program);
	free(node.rig->fault);
	node.rig->program = rig_program(program);
	node.rig->fault = xstrdup(fault);
	rig_start(node.rig);
	node.client = client_new(node.rig);
}

void node_make_disk(const char *name, const char *text, off_t size, unsigned index)
{
	_cleanup_free_ char *file = node_path("%s", name), *link = node_path("disks/" VM ":%u", index);
	FILE *f = fopen(file, "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_int_eq(truncate(file, size), 0);
	ck_assert_int_eq(symlink(file, link), 0);
}

/* ---- the command ---- */

static void put(struct ganeti_command *c, char *word)
{
	ck_assert_uint_lt(c->n, GANETI_WORDS_MAX - 1);
	c->words[c->n++] = word;
}

void command_add(struct ganeti_command *c, const char *option, const char *fmt, ...)
{
	va_list ap;

	put(c, xstrdup(option));
	va_start(ap, fmt);
	put(c, xvasprintf(fmt, ap));
	va_end(ap);
}

void command_begin(struct ganeti_command *c, const char *machine, const char *kernel_args, bool paused)
{
	const char *guest = rig_guest();

	put(c, xstrdup(node.qemu));
	command_add(c, "-name", "%s,debug-threads=on", VM);
	command_add(c, "-m", "128");
	command_add(c, "-smp", "1");
	command_add(c, "-pidfile", "%s/pid/%s", node.base, VM);
	command_add(c, "-device", "virtio-balloon");
	put(c, xstrdup("-daemonize"));
	command_add(c, "-D", "%s/qemu.log", node.base);
	command_add(c, "-machine", "%s", machine);
	if (paused)
		put(c, xstrdup("-S"));
	if (kernel_args) {
		command_add(c, "-kernel", "%s/vmlinuz", guest);
		command_add(c, "-initrd", "%s/initrd.gz", guest);
		command_add(c, "-append", "root=/dev/vda1 %s console=ttyS0,38400", kernel_args);
	}
	command_add(c, "-monitor", "unix:%s/ctrl/%s.monitor,server,nowait", node.base, VM);
	command_add(c, "-serial", "unix:%s/ctrl/%s.serial,server,nowait", node.base, VM);
	put(c, xstrdup("-usb"));
	command_add(c, "-display", "none");
	command_add(c, "-uuid", VM_UUID);
	c->stored = c->n;
}

void command_add_nic(struct ganeti_command *c, const char *id, int fd, const char *addr, const char *mac)
{
	command_add(c, "-netdev", "type=tap,id=%s,fd=%d", id, fd);
	command_add(c, "-device", "virtio-net-pci,id=%s,bus=pci.0,addr=%s,netdev=%s,mac=%s", id, addr, id, mac);
}

void command_add_monitors(struct ganeti_command *c)
{
	command_add(c, "-qmp", "unix:%s/ctrl/%s.qmp,server,nowait", node.base, VM);
	command_add(c, "-qmp", "unix:%s/ctrl/%s.kvmd,server,nowait", node.base, VM);
}

void command_add_disk(struct ganeti_command *c, const char *id, const char *node_name, const char *device,
		      unsigned index)
{
	_cleanup_free_ char *named = id ? xasprintf(",id=%s", id) : xstrdup("");

	command_add(c, "-device", "%s%s,drive=%s,write-cache=on", device, named, node_name);
	command_add(c, "-blockdev",
		    "driver=raw,node-name=%s,discard=ignore,cache.direct=off,cache.no-flush=off,file.driver=file,"
		    "file.filename=%s/disks/%s:%u,file.aio=threads,auto-read-only=off",
		    node_name, node.base, VM, index);
}

static void become(char **words, const char *err)
{
	int fd = open(err, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	execv(words[0], words);
	_exit(127);
}

void command_run(struct ganeti_command *c)
{
	_cleanup_free_ char *err = node_path("start.err"), *said = NULL, *text = NULL;
	int status;
	pid_t child = fork();

	ck_assert_int_ge(child, 0);
	if (child == 0)
		become(c->words, err);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	said = rig_file(node.rig, "ganeti/start.err");
	ck_assert_msg(status == 0, "QEMU: status %#x: %s", status, said);
	text = rig_file(node.rig, "ganeti/pid/" VM);
	node.pid = (pid_t)strtol(text, NULL, 10);
	ck_assert(process_runs(node.pid));
}

/* The number behind -m is one. */
char *command_stored(const struct ganeti_command *c)
{
	char *text = xstrdup("[");

	for (size_t i = 0; i < c->stored; i++) {
		_cleanup_free_ char *old = text;
		const char *quote = i > 0 && str_eq(c->words[i - 1], "-m") ? "" : "'";

		text = xasprintf("%s%s%s%s%s%s", old, i ? ", " : "", quote, c->words[i], quote,
				 i == c->stored - 1 ? "]" : "");
	}
	return text;
}

void command_clear(struct ganeti_command *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->words[i]);
	*c = (struct ganeti_command){ 0 };
}

/* ---- questions ---- */

struct json_object *node_import(const char *text)
{
	return client_ok(node.client, "instance-import", "{'format': 'ganeti', 'document': %s}", text);
}

struct json_object *node_refused(const char *class, const char *text)
{
	return client_error(node.client, class, "instance-import", "{'format': 'ganeti', 'document': %s}", text);
}

struct json_object *node_ask(const char *execute, const char *args)
{
	return client_ok(node.client, "instance-qmp", "{'instance': '%s', 'execute': '%s'%s%s}", VM, execute,
			 args ? ", 'arguments': " : "", args ? args : "");
}

int64_t node_slot(const char *id)
{
	_cleanup_json_ struct json_object *pci = node_ask("query-pci", NULL);
	struct json_object *devices = at(pci, "0.devices");

	for (size_t i = 0; i < json_object_array_length(devices); i++) {
		struct json_object *o = json_object_array_get_idx(devices, i);

		if (str_eq(json_get_str(o, "qdev_id"), id))
			return int_at(o, "slot");
	}
	return -1;
}
