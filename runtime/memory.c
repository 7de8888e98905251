/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/memory.h"

#include <inttypes.h>

enum { MIB = 1 << 20, PIECE = 8192, THREADS_MAX = 16 };

/* Threads of one core, which stay together. */
static int64_t siblings(const struct definition *def)
{
	const struct hvparams *hv = &def->hvparams;

	if (hv->cpu_threads)
		return hv->cpu_threads;
	return hv->cpu_sockets && hv->cpu_cores ? def->vcpus / (hv->cpu_sockets * hv->cpu_cores) : 1;
}

bool memory_check(const struct definition *def, struct err **e)
{
	const struct hvparams *hv = &def->hvparams;
	int64_t nodes = hv->numa_nodes, cores = def->vcpus / siblings(def);

	if (nodes && def->memory % ((uint64_t)nodes * MIB) != 0)
		return err_set_param(e, "hvparams.numa_nodes",
				     "%" PRIu64 " bytes of memory are no %" PRId64 " equal parts of whole MiB",
				     def->memory, nodes);
	if (nodes > cores)
		return err_set_param(e, "hvparams.numa_nodes",
				     "more than there are %s (%" PRId64 "): each node has processors",
				     siblings(def) > 1 ? "cores" : "vcpus", cores);
	/* QEMU rounds the machine's memory up to these, and not that of a file. */
	if (!str_empty(hv->mem_path) && def->memory % PIECE != 0)
		return err_set_param(e, "hvparams.mem_path",
				     "needs 'memory' in whole pieces of %d KiB; it is %" PRIu64 " bytes", PIECE / 1024,
				     def->memory);
	if (!str_empty(hv->mem_path) && hv->use_chroot)
		return err_set_param(
			e, "hvparams.mem_path",
			"does not go with use_chroot: there is no /proc in the private root, by which QEMU "
			"opens its memory");
	return true;
}

static size_t backends(const struct definition *def)
{
	if (def->hvparams.numa_nodes)
		return (size_t)def->hvparams.numa_nodes;
	return str_empty(def->hvparams.mem_path) ? 0 : 1;
}

size_t memory_files(const struct definition *def)
{
	return str_empty(def->hvparams.mem_path) ? 0 : backends(def);
}

void memory_parts(const struct definition *def, size_t first_fd, struct parts *parts)
{
	bool files = memory_files(def) > 0, single = def->hvparams.numa_nodes == 0;
	size_t n = backends(def);

	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *id = single ? xstrdup("pc.ram") : xasprintf("ram%zu", i);
		_cleanup_free_ char *path = xasprintf("/proc/self/fd/%zu", first_fd + i);
		struct json_object *o = json_object_new_object();

		json_add_str(o, "qom-type", files ? "memory-backend-file" : "memory-backend-ram");
		json_add_str(o, "id", id);
		json_add_uint(o, "size", def->memory / n);
		if (files) {
			json_add_str(o, "mem-path", path);
			json_add_bool(o, "share", true);
			json_add_bool(o, "prealloc", true);
			json_add_int(o, "prealloc-threads", def->vcpus < THREADS_MAX ? def->vcpus : THREADS_MAX);
		}
		/* Else it would have another name in a migration than memory without a backend. */
		if (single)
			json_add_bool(o, "x-use-canonical-path-for-ramblock-id", false);
		parts_add(parts, OUTLET_OBJECT, o);
	}
}

const char *memory_machine(const struct definition *def)
{
	return backends(def) && !def->hvparams.numa_nodes ? ",memory-backend=pc.ram" : "";
}

/* The first vcpu of a node. */
static int64_t first_of(const struct definition *def, int64_t node)
{
	return def->vcpus / siblings(def) * node / def->hvparams.numa_nodes * siblings(def);
}

char *memory_node(const struct definition *def, int64_t node)
{
	return xasprintf("node,nodeid=%" PRId64 ",cpus=%" PRId64 "-%" PRId64 ",memdev=ram%" PRId64, node,
			 first_of(def, node), first_of(def, node + 1) - 1, node);
}

int64_t memory_sockets(const struct definition *def)
{
	int64_t nodes = def->hvparams.numa_nodes;

	return nodes && def->vcpus % nodes == 0 ? nodes : 0;
}
