/* SPDX-License-Identifier: BSD-2-Clause */
#include "hot.h"

#include "netns.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct hot hot;

void hot_set_up(void)
{
	hot.rig = rig_new("droverd");
	hot.dir = xasprintf("%s/images", hot.rig->root);
	ck_assert_int_eq(mkdir(hot.dir, 0700), 0);
	rig_start(hot.rig);
	hot.client = client_new(hot.rig);
}

void hot_tear_down(void)
{
	client_free(hot.client);
	rig_free(hot.rig);
	free(hot.dir);
}

void hot_restart(void)
{
	rig_restart(hot.rig, &hot.client);
}

/* ---- requests ---- */

/* TEXT with the directory of the images for each '@'. The caller's. */
static char *filled(const char *text)
{
	char *all = xstrdup("");

	for (const char *p = text; *p; p += strcspn(p, "@") + (p[strcspn(p, "@")] == '@')) {
		size_t n = strcspn(p, "@");
		_cleanup_free_ char *old = all;

		all = xasprintf("%s%.*s%s", old, (int)n, p, p[n] == '@' ? hot.dir : "");
	}
	return all;
}

int hot_request(const char *command, const char *args)
{
	_cleanup_free_ char *text = filled(args);

	return client_send(hot.client, command, "{'instance': '%s', %s}", VM, text);
}

struct json_object *hot_fails(const char *class, const char *command, const char *args)
{
	_cleanup_free_ char *text = filled(args);

	return client_error(hot.client, class, command, "{'instance': '%s', %s}", VM, text);
}

void hot_done(const char *command, const char *args)
{
	_cleanup_free_ char *text = filled(args);

	json_object_put(client_ok(hot.client, command, "{'instance': '%s'%s%s}", VM, *text ? ", " : "", text));
}

struct json_object *hot_told(const char *event, unsigned times, const char *command, const char *args)
{
	int id = hot_request(command, args);

	for (unsigned n = 0;;) {
		_cleanup_json_ struct json_object *o = client_read(hot.client);

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

void hot_changes(const char *event, unsigned times, const char *command, const char *args)
{
	_cleanup_json_ struct json_object *o = hot_told(event, times, command, args);

	ck_assert(json_object_get_boolean(at(o, "changed")) && json_object_get_boolean(at(o, "live")));
}

void hot_changes_later(const char *command, const char *args)
{
	_cleanup_json_ struct json_object *o = hot_told("DEVICE_ATTACHED", 0, command, args);

	ck_assert(json_object_get_boolean(at(o, "changed")) && !json_object_get_boolean(at(o, "live")));
}

/* ---- what there is ---- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void hot_add_sorted(char **text, const char *what, const char *key, struct json_object *list)
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

struct json_object *hot_qemu(const char *execute, const char *args)
{
	return client_ok(hot.client, "instance-qmp",
			 "{'instance': '%s', 'execute': '%s', 'unsafe': true, 'arguments': {%s}}", VM, execute, args);
}

static unsigned full_sets(void)
{
	_cleanup_json_ struct json_object *list = hot_qemu("query-fdsets", "");
	unsigned n = 0;

	for (size_t i = 0; i < json_object_array_length(list); i++)
		n += json_object_array_length(at(json_object_array_get_idx(list, i), "fds")) > 0;
	return n;
}

/* Descriptors of a QEMU but those by which its threads tell one another things: these come with a driver of the guest. */
static unsigned files_of(pid_t pid)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/fd", pid);
	DIR *dir = opendir(path);
	struct dirent *d;
	unsigned n = 0;

	ck_assert_ptr_nonnull(dir);
	while ((d = readdir(dir))) {
		char target[64] = "";

		if (readlinkat(dirfd(dir), d->d_name, target, sizeof(target) - 1) > 0)
			n += !str_starts(target, "anon_inode:[event");
	}
	closedir(dir);
	return n;
}

static char *look(void)
{
	_cleanup_json_ struct json_object *network = hot_qemu("human-monitor-command",
							      "'command-line': 'info network'");
	_cleanup_free_ char *interfaces = netns_interfaces();
	pid_t pid = guest_pid(hot.client, VM);
	char *text = xasprintf("sets %u\ndescriptors %u, %u\n%s%s", full_sets(), files_of(pid),
			       process_fds(hot.rig->pid), interfaces, json_object_get_string(network));

	hot_add_sorted(&text, "node", "node-name", hot_qemu("query-named-block-nodes", "'flat': true"));
	hot_add_sorted(&text, "object", "name", hot_qemu("qom-list", "'path': '/objects'"));
	hot_add_sorted(&text, "device", "name", hot_qemu("qom-list", "'path': '/machine/peripheral'"));
	return text;
}

/* What is closed, saved and asked behind an answer is no part of it. */
char *hot_world(void)
{
	char *now = look();

	for (int i = 0, alike = 0; i < RIG_DEADLINE_MS / HOT_LOOK_MS && !alike; i++) {
		_cleanup_free_ char *last = now;

		usleep(HOT_LOOK_MS * 1000);
		now = look();
		alike = str_eq(now, last);
	}
	return now;
}

char *hot_both_records(void)
{
	_cleanup_json_ struct json_object *o = guest_settle(hot.client, VM);

	json_object_object_del(at(o, "runtime"), "cmd"); /* of the start, and long */
	return xasprintf("%s\n%s\n", json_object_to_json_string(at(o, "definition")),
			 json_object_to_json_string(at(o, "runtime")));
}

void hot_expect_world(const char *before)
{
	char *now = look();

	for (int i = 0; !str_eq(now, before) && i < RIG_DEADLINE_MS / HOT_LOOK_MS; i++) {
		usleep(HOT_LOOK_MS * 1000);
		free(now);
		now = look();
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

void hot_expect_records(void)
{
	_cleanup_json_ struct json_object *o = guest_settle(hot.client, VM);

	ck_assert_msg(json_object_array_length(at(o, "pending")) == 0, "%s", json_object_to_json_string(o));
	ck_assert_msg(!has(o, "drift") || json_object_array_length(at(o, "drift")) == 0, "%s",
		      json_object_to_json_string(at(o, "drift")));
	expect_same(o, "disks");
	expect_same(o, "nics");
}

char *hot_addresses(void)
{
	_cleanup_json_ struct json_object *o = guest_query(hot.client, VM);
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

char *hot_address(const char *name)
{
	_cleanup_free_ char *all = hot_addresses(), *mark = xasprintf("\n%s {", name), *lines = xasprintf("\n%s", all);
	const char *p = strstr(lines, mark);

	ck_assert_msg(p, "no '%s': %s", name, all);
	p = strchr(p, '{');
	return xstrndup(p, strcspn(p, "\n"));
}

void hot_expect_address(const char *name, const char *before)
{
	_cleanup_free_ char *now = hot_address(name);

	ck_assert_str_eq(now, before);
}

/* ---- the guest ---- */

void hot_image(const char *name, const char *text, off_t kib)
{
	_cleanup_free_ char *path = xasprintf("images/%s", name);

	free(guest_image(hot.rig, path, text, kib * KIB));
}

void hot_chain(void)
{
	hot_image("base", "", 4L * KIB);
	host_run("cd '%s' && umask 077 && qemu-img create -q -f qcow2 -b base -F raw mid && qemu-img create -q -f "
		 "qcow2 -b mid "
		 "-F qcow2 top && qemu-io -f raw -c 'write -q -P 0x42 0 192k' base && qemu-io -f qcow2 -c 'write -q -P "
		 "0x4d 64k "
		 "128k' mid && qemu-io -f qcow2 -c 'write -q -P 0x54 128k 64k' top",
		 hot.dir);
}

static void start(const char *memory, const char *machine, const char *params, const char *more)
{
	_cleanup_free_ char *text = filled(more);

	client_define(hot.client, VM, "'memory': '%s', 'hvparams': {'machine_version': '%s'%s}%s", memory, machine,
		      params, text);
	guest_start(hot.client, VM);
}

void hot_start(const char *machine, const char *words, const char *params, const char *more)
{
	_cleanup_free_ char *all = xasprintf(
		", 'kernel_path': '%s/vmlinux', 'initrd_path': '%s/initrd.gz', 'kernel_args': '%s'%s", rig_guest(),
		rig_guest(), words, params);

	start("128M", machine, all, more);
}

void hot_start_bare(const char *machine, const char *params, const char *more)
{
	start("16M", machine, params, more);
}

unsigned hot_said(const char *text)
{
	return guest_said(hot.rig, VM, text);
}

void hot_says(const char *text, unsigned before)
{
	guest_await(hot.rig, VM, text, before + 1);
}

static void change(const struct hot_kind *k, const char *event, const char *what, const char *device)
{
	_cleanup_free_ char *command = xasprintf("%s-%s", k->list, what),
			    *args = xasprintf("'%s': %s", k->list, device);

	hot_changes(event, 1, command, args);
}

void hot_attach(const struct hot_kind *k)
{
	_cleanup_free_ char *device = xasprintf("{'name': 'hot', %s}", k->device), *text = NULL;
	unsigned added = hot_said(k->added);

	change(k, "DEVICE_ATTACHED", "attach", device);
	hot_says(k->added, added);
	hot_expect_records();
	if (!k->line)
		return;
	text = guest_shell(hot.rig, VM, k->line);
	ck_assert_msg(strstr(text, k->prints), "%s prints no '%s' but %s", k->line, k->prints, text);
}

void hot_detach(const struct hot_kind *k)
{
	unsigned removed = hot_said(k->removed);

	change(k, "DEVICE_DETACHED", "detach", "'hot'");
	hot_says(k->removed, removed);
	hot_expect_records();
}

int hot_main(Suite *(*make)(void))
{
	if (geteuid() != 0) {
		puts("SKIP: images of root's alone need root");
		return 77;
	}
	return guest_main(make);
}
