/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/stats.h"

#include "base/file.h"
#include "netdev/tap.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

/* What QEMU is asked. */
enum { CPUS, BALLOON, BLOCKS, QUESTIONS };
enum { CPUS_MAX = 1024 };
static const char *const commands[QUESTIONS] = { "query-cpus-fast", "query-balloon", "query-blockstats" };

/* An asker that waits for the question of an instance. */
struct waiter {
	LIST_ENTRY(waiter) of_stats, of_asker;
	struct stats *stats;
	struct asker *asker;
};
LIST_HEAD(waiter_list, waiter);

struct asker {
	struct runtime *rt;
	uv_timer_t deadline;
	uint64_t number; /* later ones have higher ones */
	char **names;
	size_t n;
	struct waiter_list waiters;
	stats_told_fn *told;
	void *data;
};

struct answer {
	struct stats *stats;
	struct json_object *ret; /* NULL: an error, or not yet */
};

struct stats {
	struct instance *inst;
	struct answer answers[QUESTIONS];
	unsigned pending;
	bool failed; /* the monitor ended before it was answered */
	struct waiter_list waiters;
	struct json_object *last; /* an entry of query-stats without "stale", or NULL */
	uint64_t kept;            /* the number of the last asker who had come by then */
	int64_t actual;           /* of the balloon, as QEMU said at actual_as_of */
	double actual_as_of;      /* 0: never */
};

static struct stats *get(struct instance *inst);

/* ---- the balloon ---- */

static void note_actual(struct stats *st, struct json_object *o)
{
	int64_t actual = json_get_int(o, "actual", -1);

	if (actual < 0)
		return;
	st->actual = actual;
	st->actual_as_of = time_now();
}

void stats_event(struct instance *inst, const char *name, struct json_object *event)
{
	if (str_eq(name, "BALLOON_CHANGE"))
		note_actual(get(inst), event);
}

/* When the process began, by the kernel's count of ticks since the boot. */
static double process_began(const struct instance *inst)
{
	struct json_object *process = json_get_typed(inst->record, "process", json_type_object);
	int64_t ticks = json_get_int(process, "start-time", -1);
	struct timespec up;

	if (ticks < 0 || clock_gettime(CLOCK_BOOTTIME, &up) < 0)
		return NAN;
	return time_now() - ((double)up.tv_sec + (double)up.tv_nsec / 1e9) +
	       (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

struct json_object *stats_memory(const struct instance *inst)
{
	const struct stats *st = inst->stats;
	struct json_object *started = json_get_typed(inst->record, "definition", json_type_object);
	struct json_object *o = json_object_new_object();
	struct definition def = { 0 };

	json_add_uint(o, "wanted", inst->def.memory);
	json_add_uint(o, "max", inst->def.memory);
	if (!inst->process)
		return o;
	if (st && st->actual_as_of > 0) {
		json_add_int(o, "actual", st->actual);
		json_add_time(o, "as-of", st->actual_as_of);
	} else if (started && definition_decode(started, &def, NULL)) {
		json_add_uint(o, "actual", def.memory);
		json_add_time(o, "as-of", process_began(inst));
		definition_clear(&def);
	}
	return o;
}

/* ---- the kernel's ---- */

/* User and system time of a process or thread, in seconds; negative when it is gone. */
static double cpu_time(const char *path)
{
	enum { SIZE = 4096 };
	_cleanup_free_ char *text = NULL;
	unsigned long long user, system;
	const char *p;

	if (!file_read(AT_FDCWD, path, SIZE, &text, NULL, NULL))
		return -1;
	p = strrchr(text, ')'); /* a name may hold anything */
	/* NOLINTNEXTLINE(cert-err34-c): the kernel writes numbers */
	if (!p || sscanf(p, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) != 2)
		return -1;
	return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static struct json_object *cpu_of(const struct stats *st)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/stat", st->inst->pid);
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();
	struct json_object *cpus = st->answers[CPUS].ret;
	size_t n = json_length(cpus);
	double time = cpu_time(path);

	if (time >= 0)
		json_add_time(o, "time", time);
	/* A file is read for each: not for as many as QEMU may make up. */
	for (size_t i = 0; i < n && i < CPUS_MAX; i++) {
		struct json_object *cpu = json_object_array_get_idx(cpus, i), *row = json_object_new_object();
		_cleanup_free_ char *thread = xasprintf("/proc/%d/task/%" PRId64 "/stat", st->inst->pid,
							json_get_int(cpu, "thread-id", 0));

		json_add_int(row, "id", json_get_int(cpu, "cpu-index", 0));
		time = cpu_time(thread);
		if (time >= 0)
			json_add_time(row, "time", time);
		json_object_array_add(list, row);
	}
	json_add(o, "vcpus", list);
	return o;
}

static struct json_object *memory_of(const struct stats *st)
{
	enum { SIZE = 4096 };
	_cleanup_free_ char *path = xasprintf("/proc/%d/statm", st->inst->pid), *text = NULL;
	struct json_object *o = json_object_new_object();
	int64_t actual = json_get_int(st->answers[BALLOON].ret, "actual", -1);
	unsigned long long pages;

	/* NOLINTNEXTLINE(cert-err34-c): the kernel writes numbers */
	if (file_read(AT_FDCWD, path, SIZE, &text, NULL, NULL) && sscanf(text, "%*u %llu", &pages) == 1)
		json_add_uint(o, "resident", pages * (uint64_t)sysconf(_SC_PAGESIZE));
	json_add_uint(o, "wanted", st->inst->def.memory);
	if (actual >= 0)
		json_add_int(o, "actual", actual);
	return o;
}

/* ---- QEMU's ---- */

/* The entry of the device ID: by the node it is attached to, which has its name, else by its place in QOM. */
static struct json_object *block_of(struct json_object *blocks, const char *id)
{
	for (size_t i = 0; i < json_length(blocks); i++) {
		struct json_object *o = json_object_array_get_idx(blocks, i);
		const char *qdev = json_get_str(o, "qdev"), *at = qdev ? strstr(qdev, id) : NULL;
		size_t len = strlen(id);

		if (str_eq(json_get_str(o, "node-name"), id) ||
		    (at && (at == qdev || at[-1] == '/') && (!at[len] || at[len] == '/')))
			return json_get_typed(o, "stats", json_type_object);
	}
	return NULL;
}

/* A row for each device of the runtime record, with the counters that somebody has. */
static struct json_object *devices_of(const struct stats *st, const char *kind, struct json_object *blocks)
{
	static const char *const counters[][2] = {
		{ "read-bytes", "rd_bytes" },     { "read-ops", "rd_operations" },     { "write-bytes", "wr_bytes" },
		{ "write-ops", "wr_operations" }, { "flush-ops", "flush_operations" },
	};
	struct json_object *list = json_object_new_array();
	struct json_object *devices = json_get_typed(st->inst->record, kind, json_type_array);

	for (size_t i = 0; i < json_length(devices); i++) {
		struct json_object *device = json_object_array_get_idx(devices, i), *row = json_object_new_object();
		const char *id = json_get_str(json_get_typed(device, "hvinfo", json_type_object), "id");
		struct json_object *stats = id ? block_of(blocks, id) : NULL;

		json_add_str(row, "uuid", json_get_str(device, "uuid"));
		json_add_str(row, "name", json_get_str(device, "name"));
		for (size_t k = 0; stats && k < ARRAY_SIZE(counters); k++)
			json_add_int(row, counters[k][0], json_get_int(stats, counters[k][1], 0));
		json_object_array_add(list, row);
	}
	return list;
}

/* ---- the kernel's of cards ---- */

/* Adds what has passed through the taps to the rows of devices_of(), which are in the record's order. */
static struct json_object *count_cards(const struct stats *st, struct json_object *rows)
{
	struct json_object *nics = json_get_typed(st->inst->record, "nics", json_type_array);

	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);
		const char *tap = json_get_str(json_object_array_get_idx(nics, i), "tap");
		struct tap_counters n;

		if (!tap || !tap_counters(tap, &n))
			continue;
		json_add_uint(row, "rx-bytes", n.rx_bytes);
		json_add_uint(row, "rx-packets", n.rx_packets);
		json_add_uint(row, "tx-bytes", n.tx_bytes);
		json_add_uint(row, "tx-packets", n.tx_packets);
	}
	return rows;
}

/* ---- the question ---- */

static void keep(struct stats *st)
{
	struct json_object *o = json_object_new_object();

	json_add_time(o, "as-of", time_now());
	json_add(o, "cpu", cpu_of(st));
	json_add(o, "memory", memory_of(st));
	json_add(o, "disks", devices_of(st, "disks", st->answers[BLOCKS].ret));
	json_add(o, "nics", count_cards(st, devices_of(st, "nics", NULL)));
	json_object_put(st->last);
	st->last = o;
	st->kept = st->inst->rt->askers;
}

static void answers_drop(struct stats *st)
{
	for (size_t i = 0; i < QUESTIONS; i++) {
		json_object_put(st->answers[i].ret);
		st->answers[i].ret = NULL;
	}
}

static void on_deadline(uv_timer_t *timer);

/* The asker's last one makes it be told by the next turn of the loop. */
static void waiter_free(struct waiter *w)
{
	struct asker *a = w->asker;

	LIST_REMOVE(w, of_stats);
	LIST_REMOVE(w, of_asker);
	free(w);
	if (LIST_EMPTY(&a->waiters))
		uv_timer_start(&a->deadline, on_deadline, 0, 0);
}

static void waiters_free(struct waiter_list *list)
{
	struct waiter *w;

	while ((w = LIST_FIRST(list)))
		waiter_free(w); /* NOLINT(clang-analyzer-unix.Malloc): it is off the list */
}

static void conclude(struct stats *st)
{
	if (!st->failed)
		keep(st);
	answers_drop(st);
	waiters_free(&st->waiters);
}

static void on_answer(struct json_object *ret, const struct err *e, void *data)
{
	struct answer *answer = data;
	struct stats *st = answer->stats;

	answer->ret = json_object_get(ret);
	if (answer == &st->answers[BALLOON])
		note_actual(st, ret);
	st->failed |= e && e->class != ERR_QEMU;
	if (--st->pending == 0)
		conclude(st);
}

static struct stats *get(struct instance *inst)
{
	struct stats *st = inst->stats;

	if (st)
		return st;
	inst->stats = st = xcalloc(1, sizeof(*st));
	st->inst = inst;
	LIST_INIT(&st->waiters);
	for (size_t i = 0; i < QUESTIONS; i++)
		st->answers[i].stats = st;
	return st;
}

/* True when there is a question under way that is worth waiting for. */
static bool ask(struct stats *st)
{
	if (!st->pending) {
		st->failed = qmp_is_gone(st->inst->qmp);
		for (size_t i = 0; i < QUESTIONS && !st->failed; i++) {
			st->pending++;
			qmp_send(st->inst->qmp, commands[i], NULL, -1, on_answer, &st->answers[i]);
		}
	}
	return st->pending > 0 && !qmp_is_slow(st->inst->qmp);
}

/* ---- askers ---- */

/* Stale is what was known before this asker came; that another one asks again, in vain, changes nothing. */
static struct json_object *entry(const struct asker *a, const struct instance *inst)
{
	static const char *const members[] = { "as-of", "cpu", "memory", "disks", "nics" };
	const struct stats *st = inst->stats;
	struct json_object *o = json_object_new_object(), *value;

	json_add_str(o, "name", inst->name);
	json_add_str(o, "uuid", inst->uuid);
	json_add_bool(o, "stale", !st || !st->last || st->kept < a->number);
	for (size_t i = 0; st && st->last && i < ARRAY_SIZE(members); i++)
		if (json_object_object_get_ex(st->last, members[i], &value))
			json_add(o, members[i], json_object_get(value));
	return o;
}

static void on_asker_closed(uv_handle_t *handle)
{
	struct asker *a = CONTAINER_OF(handle, struct asker, deadline);

	for (size_t i = 0; i < a->n; i++)
		free(a->names[i]);
	free(a->names);
	free(a);
}

/* Its deadline, or the turn of the loop after the last answer. */
static void on_deadline(uv_timer_t *timer)
{
	struct asker *a = CONTAINER_OF(timer, struct asker, deadline);
	struct json_object *list = json_object_new_array();
	struct waiter *w;

	LIST_FOREACH(w, &a->waiters, of_asker)
	qmp_expired(w->stats->inst->qmp);
	waiters_free(&a->waiters);
	for (size_t i = 0; i < a->n; i++) {
		const struct instance *inst = instance_find(a->rt, a->names[i]);

		if (inst && inst->process)
			json_object_array_add(list, entry(a, inst));
	}
	uv_close((uv_handle_t *)timer, on_asker_closed);
	a->told(list, a->data);
}

static void wait_for(struct asker *a, struct stats *st)
{
	struct waiter *w = xcalloc(1, sizeof(*w));

	w->stats = st;
	w->asker = a;
	LIST_INSERT_HEAD(&st->waiters, w, of_stats);
	LIST_INSERT_HEAD(&a->waiters, w, of_asker);
}

void stats_ask(struct runtime *rt, struct instance *const *list, size_t n, stats_told_fn *told, void *data)
{
	struct asker *a = xcalloc(1, sizeof(*a));

	a->rt = rt;
	a->told = told;
	a->data = data;
	a->number = ++rt->askers;
	a->names = xcalloc(n + 1, sizeof(char *));
	LIST_INIT(&a->waiters);
	uv_timer_init(rt->loop, &a->deadline);
	for (size_t i = 0; i < n; i++) {
		a->names[a->n++] = xstrdup(list[i]->name);
		if (list[i]->process && ask(get(list[i])))
			wait_for(a, list[i]->stats);
	}
	uv_timer_start(&a->deadline, on_deadline, LIST_EMPTY(&a->waiters) ? 0 : STATS_MS, 0);
}

void stats_end(struct instance *inst)
{
	struct stats *st = TAKE_PTR(inst->stats);

	if (!st)
		return;
	waiters_free(&st->waiters);
	answers_drop(st);
	json_object_put(st->last);
	free(st);
}
