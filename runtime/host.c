/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/host.h"

#include "base/file.h"
#include "runtime/vhost.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { FILE_BYTES = 1 << 20 };

/* The text of a file of the kernel's, or NULL; the caller's. */
static char *read_text(const char *path)
{
	char *text = NULL;

	if (!file_read(AT_FDCWD, path, FILE_BYTES, &text, NULL, NULL))
		return NULL;
	return text;
}

static char *read_line(const char *path)
{
	char *text = read_text(path);

	if (text)
		text[strcspn(text, "\n")] = '\0';
	return text;
}

/* The value behind "KEY ... :" of the first line that begins so; NULL. The caller's. */
static char *value_of(const char *text, const char *key)
{
	for (const char *line = text; line && *line; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *value = line + strlen(key);

		if (!str_starts(line, key))
			continue;
		value += strspn(value, " \t");
		if (*value != ':')
			continue;
		value++;
		value += strspn(value, " \t");
		return xstrndup(value, strcspn(value, "\n"));
	}
	return NULL;
}

/* "KEY: N kB" as bytes. */
static void add_kib(struct json_object *o, const char *member, const char *text, const char *key)
{
	_cleanup_free_ char *value = value_of(text, key);

	if (value)
		json_add_uint(o, member, strtoull(value, NULL, 10) * 1024);
}

static struct json_object *feature(bool works, const char *reason)
{
	struct json_object *o = json_object_new_object();

	json_add_bool(o, "works", works);
	json_add_str(o, "reason", reason);
	return o;
}

/* ---- processors and memory ---- */

/* The number that stands between BEFORE and BEHIND. */
static bool number_in(const char *name, const char *before, const char *behind, uint64_t *ret)
{
	char *end;

	if (!str_starts(name, before))
		return false;
	name += strlen(before);
	*ret = strtoull(name, &end, 10);
	return end > name && str_eq(end, behind);
}

static void add_node(const char *name, void *data)
{
	struct json_object *list = data, *o;
	_cleanup_free_ char *cpulist = xasprintf("/sys/devices/system/node/%s/cpulist", name);
	_cleanup_free_ char *meminfo = xasprintf("/sys/devices/system/node/%s/meminfo", name);
	_cleanup_free_ char *cpus = read_line(cpulist), *text = read_text(meminfo), *total = NULL, *available = NULL;
	uint64_t node;

	if (!number_in(name, "node", "", &node))
		return;
	total = xasprintf("Node %" PRIu64 " MemTotal", node);
	available = xasprintf("Node %" PRIu64 " MemFree", node);
	o = json_object_new_object();
	json_add_uint(o, "node", node);
	json_add_str(o, "cpus", cpus);
	add_kib(o, "total", text, total);
	add_kib(o, "free", text, available);
	json_object_array_add(list, o);
}

static int compare_nodes(const void *a, const void *b)
{
	struct json_object *const *left = a, *const *right = b;
	int64_t l = json_get_int(*left, "node", 0), r = json_get_int(*right, "node", 0);

	return (l > r) - (l < r);
}

static struct json_object *list_dir(const char *path, void (*add)(const char *name, void *data))
{
	struct json_object *list = json_object_new_array();
	_cleanup_close_ int fd = file_open_dir(AT_FDCWD, path, NULL);

	if (fd >= 0)
		file_list(fd, add, list, NULL);
	return list;
}

static struct json_object *cpus(void)
{
	_cleanup_free_ char *info = read_text("/proc/cpuinfo"), *model = value_of(info, "model name");
	struct json_object *o = json_object_new_object(), *numa = list_dir("/sys/devices/system/node", add_node);

	json_object_array_sort(numa, compare_nodes);
	json_add_int(o, "total", sysconf(_SC_NPROCESSORS_ONLN));
	json_add_str(o, "model", model);
	json_add(o, "numa", numa);
	return o;
}

static uint64_t pages(const char *dir, const char *file)
{
	_cleanup_free_ char *path = xasprintf("/sys/kernel/mm/hugepages/%s/%s", dir, file), *text = read_line(path);

	return text ? strtoull(text, NULL, 10) : 0;
}

static void add_hugepages(const char *name, void *data)
{
	struct json_object *list = data, *o;
	uint64_t kib;

	if (!number_in(name, "hugepages-", "kB", &kib))
		return;
	o = json_object_new_object();
	json_add_uint(o, "size", kib * 1024);
	json_add_uint(o, "total", pages(name, "nr_hugepages"));
	json_add_uint(o, "free", pages(name, "free_hugepages"));
	json_object_array_add(list, o);
}

static struct json_object *memory(struct runtime *rt)
{
	_cleanup_free_ char *info = read_text("/proc/meminfo");
	struct json_object *o = json_object_new_object();
	uint64_t instances = 0;

	for (struct instance *inst = instance_first(rt); inst; inst = instance_next(inst))
		if (inst->process)
			instances += inst->def.memory;
	add_kib(o, "total", info, "MemTotal");
	add_kib(o, "available", info, "MemAvailable");
	json_add_uint(o, "instances", instances);
	json_add(o, "hugepages", list_dir("/sys/kernel/mm/hugepages", add_hugepages));
	return o;
}

/* ---- features ---- */

static struct json_object *vhost_net(void)
{
	_cleanup_free_ char *reason = NULL;

	if (vhost_is_there(&reason))
		return feature(true, "/dev/vhost-net is there, and open to droverd");
	return feature(false, reason);
}

/* Whether guests get groups of their own. */
static struct json_object *cgroup(const struct cgroups *g)
{
	_cleanup_free_ char *reason = NULL;

	if (!g->dir)
		return feature(false, g->reason);
	reason = xasprintf("guests have groups of their own in %s", g->dir);
	return feature(true, reason);
}

static struct json_object *userfaultfd(void)
{
	_cleanup_free_ char *sysctl = read_line("/proc/sys/vm/unprivileged_userfaultfd");
	bool device = access("/dev/userfaultfd", F_OK) == 0;

	if (!sysctl)
		return feature(false, "the kernel has none");
	if (str_eq(sysctl, "1"))
		return feature(true, "vm.unprivileged_userfaultfd is 1");
	return feature(false, device ? "vm.unprivileged_userfaultfd is 0; there is /dev/userfaultfd, for a QEMU that "
				       "uses it and may open it" :
				       "vm.unprivileged_userfaultfd is 0, and there is no /dev/userfaultfd");
}

struct json_object *host_describe(struct runtime *rt, struct json_object *kvm)
{
	struct json_object *o = json_object_new_object(), *features = json_object_new_object();
	struct utsname uts;

	if (uname(&uts) == 0) {
		json_add_str(o, "hostname", uts.nodename);
		json_add_str(o, "kernel", uts.release);
	}
	json_add_str(o, "boot-id", process_boot_id());
	json_add(o, "cpus", cpus());
	json_add(o, "memory", memory(rt));
	json_add(features, "kvm", kvm);
	json_add(features, "vhost-net", vhost_net());
	json_add(features, "cgroup", cgroup(&rt->cgroups));
	json_add(features, "userfaultfd", userfaultfd());
	json_add(o, "features", features);
	return o;
}
