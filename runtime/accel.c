/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/accel.h"

#include "base/child.h"
#include "base/file.h"
#include "base/file_work.h"
#include "base/log.h"
#include "runtime/accel_firmware.h"
#include "runtime/process.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>

enum {
	LIMIT_MS = 300,
	RUNS = 2,
	ASK_MS = 30000,
	KEPT_MAX = 64,
	WORDS_MAX = 4096,
	FIRMWARE_FD = 3,
	PREFIX_FAILED = 125, /* as drover-launch's */
};
#define FILE_NAME "accel.json"

/* Something seen. */
struct entry {
	TAILQ_ENTRY(entry) link;
	char *key;
	struct accel_result result;
};

/* A QEMU at work, or two, one after the other. */
struct trial {
	LIST_ENTRY(trial) link;
	struct accel_cache *cache;
	char *key, *binary;
	char **argv;
	struct child *child;
	uv_timer_t timer;
	uint64_t started;
	unsigned runs;
	LIST_HEAD(, accel_ask) asks;
};

struct accel_ask {
	LIST_ENTRY(accel_ask) link; /* of `trial` */
	struct accel_cache *cache;
	char *binary, *key;
	char **argv;
	accel_fn *fn;
	void *data;
	struct file_ask *identity; /* either this */
	struct trial *trial;       /* or this is waited for */
	uv_timer_t timer;
};

struct accel_cache {
	uv_loop_t *loop;
	int dir_fd;
	const char *accel, *device;
	unsigned limit_ms;
	TAILQ_HEAD(entry_list, entry) entries; /* the oldest is first */
	unsigned n;
	LIST_HEAD(, trial) trials;
};

void accel_result_clear(struct accel_result *r)
{
	free(r->reason);
	*r = (struct accel_result){ 0 };
}

/* ---- what was seen ---- */

static struct entry *entry_find(struct accel_cache *cache, const char *key)
{
	struct entry *entry;

	TAILQ_FOREACH(entry, &cache->entries, link)
	if (str_eq(entry->key, key))
		return entry;
	return NULL;
}

static void entry_free(struct accel_cache *cache, struct entry *entry)
{
	TAILQ_REMOVE(&cache->entries, entry, link);
	cache->n--;
	accel_result_clear(&entry->result);
	free(entry->key);
	free(entry);
}

/* Consumes RESULT. */
static struct entry *entry_new(struct accel_cache *cache, const char *key, struct accel_result result)
{
	struct entry *entry = entry_find(cache, key);

	if (!entry && cache->n == KEPT_MAX)
		entry = TAILQ_FIRST(&cache->entries);
	if (entry)
		entry_free(cache, entry);
	entry = xcalloc(1, sizeof(*entry));
	entry->key = xstrdup(key);
	entry->result = result;
	TAILQ_INSERT_TAIL(&cache->entries, entry, link);
	cache->n++;
	return entry;
}

static void save(struct accel_cache *cache)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array();
	_cleanup_err_ struct err *e = NULL;
	struct entry *entry;

	json_add_str(o, "boot-id", process_boot_id());
	TAILQ_FOREACH(entry, &cache->entries, link)
	{
		struct json_object *row = json_object_new_object();

		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what is freed is off the list */
		json_add_str(row, "key", entry->key);
		json_add_bool(row, "works", entry->result.works);
		json_add_str(row, "reason", entry->result.reason);
		json_add_time(row, "ms", entry->result.ms);
		json_object_array_add(list, row);
	}
	json_add(o, "results", list);
	if (cache->dir_fd >= 0 && !file_write_json(cache->dir_fd, FILE_NAME, o, 0600, &e))
		log_debug("what was seen of KVM is not kept: %s", e->desc);
}

static void load(struct accel_cache *cache)
{
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_err_ struct err *e = NULL;
	struct json_object *list;

	if (!file_read_json(cache->dir_fd, FILE_NAME, &o, &e)) {
		log_debug("%s", e->desc);
		return;
	}
	list = json_get_typed(o, "results", json_type_array);
	if (!list || !str_eq(json_get_str(o, "boot-id"), process_boot_id()))
		return;
	for (size_t i = 0; i < json_object_array_length(list) && i < KEPT_MAX; i++) {
		struct json_object *row = json_object_array_get_idx(list, i);
		const char *key = json_get_str(row, "key"), *reason = json_get_str(row, "reason");
		struct accel_result r = { .works = json_get_bool(row, "works", false),
					  .ms = json_get_double(row, "ms", 0) };

		if (!key || !reason)
			continue;
		r.reason = xstrdup(reason);
		entry_new(cache, key, r);
	}
}

/* ---- answers ---- */

static void on_ask_closed(uv_handle_t *handle)
{
	struct accel_ask *ask = CONTAINER_OF((uv_timer_t *)handle, struct accel_ask, timer);

	argv_free(ask->argv);
	free(ask->binary);
	free(ask->key);
	free(ask);
}

void accel_forget(struct accel_ask *ask)
{
	if (ask->identity)
		file_ask_forget(ask->identity);
	if (ask->trial)
		LIST_REMOVE(ask, link);
	uv_close((uv_handle_t *)&ask->timer, on_ask_closed);
}

static void answer(struct accel_ask *ask, const struct accel_result *r, const struct err *e)
{
	accel_fn *fn = ask->fn;
	void *data = ask->data;

	accel_forget(ask);
	fn(r, e, data);
}

static void on_ask_timeout(uv_timer_t *timer)
{
	struct accel_ask *ask = timer->data;
	_cleanup_err_ struct err *e = NULL;

	err_set(&e, ERR_TIMEOUT, "whether KVM works with '%s' was not to be seen within %d s", ask->binary,
		ASK_MS / 1000);
	answer(ask, NULL, e);
}

/* ---- a trial ---- */

static void on_trial_closed(uv_handle_t *handle)
{
	struct trial *t = CONTAINER_OF((uv_timer_t *)handle, struct trial, timer);

	argv_free(t->argv);
	free(t->binary);
	free(t->key);
	free(t);
}

static void trial_free(struct trial *t)
{
	LIST_REMOVE(t, link);
	uv_close((uv_handle_t *)&t->timer, on_trial_closed);
}

/* R is the cache's and E ours. */
static void trial_end(struct trial *t, const struct accel_result *r, const struct err *e)
{
	struct accel_ask *ask;

	/* Nobody joins it meanwhile: one who asks in his callback has the file system to hear first. */
	while ((ask = LIST_FIRST(&t->asks)))
		answer(ask, r, e);
	trial_free(t);
}

/* QEMU's words: of the device it could not open, or its last line. The caller's. */
static char *explain(const struct trial *t, const struct child_end *end)
{
	static const char module[] = "Could not access KVM kernel module: ";
	const char *words = strstr(end->err, module), *line = end->err;

	if (words) {
		words += strlen(module);
		return xasprintf("/dev/kvm: %.*s", (int)strcspn(words, "\n"), words);
	}
	for (const char *p = end->err; *p; p += strcspn(p, "\n"), p += *p == '\n')
		if (*p != '\n')
			line = p;
	if (*line)
		return xasprintf("%.*s", (int)strcspn(line, "\n"), line);
	if (end->signal)
		return xasprintf("'%s' was ended by signal %d", t->binary, end->signal);
	return xasprintf("'%s' ended with status %d and without a word", t->binary, end->status);
}

static bool trial_run(struct trial *t, struct err **e);

static void on_end(const struct child_end *end, void *data)
{
	struct trial *t = data;
	struct accel_cache *cache = t->cache;
	double ms = (double)(uv_hrtime() - t->started) / 1e6;
	bool whole = !end->signal && end->status == ACCEL_FIRMWARE_STATUS,
	     killed = !uv_is_active((uv_handle_t *)&t->timer);
	struct accel_result r = { 0 };
	_cleanup_err_ struct err *e = NULL;
	struct entry *entry;

	t->child = NULL;
	uv_timer_stop(&t->timer);
	if (whole && ms <= cache->limit_ms) {
		r.works = true;
		r.ms = ms;
		r.reason = xasprintf("works, %.0f ms", ms);
	} else if (whole || (killed && end->signal == SIGKILL)) {
		if (t->runs < RUNS && trial_run(t, &e))
			return;
		r.reason = xasprintf("the firmware did not end within %u.%u s (KVM is slower here than TCG)",
				     cache->limit_ms / 1000, cache->limit_ms % 1000 / 100);
	} else if (end->status == PREFIX_FAILED) {
		err_set(&e, ERR_GENERIC, "%.*s", (int)strcspn(end->err, "\n"), end->err);
	} else {
		r.reason = explain(t, end);
	}
	if (e) {
		accel_result_clear(&r);
		trial_end(t, NULL, e);
		return;
	}
	entry = entry_new(cache, t->key, r);
	save(cache);
	trial_end(t, &entry->result, NULL);
}

static void on_limit(uv_timer_t *timer)
{
	struct trial *t = timer->data;

	child_kill(t->child, SIGKILL);
}

static bool trial_run(struct trial *t, struct err **e)
{
	_cleanup_close_ int firmware = accel_firmware(e);
	int fds[FIRMWARE_FD + 1] = { -1, -1, -1, firmware };
	struct child_spec spec = { .argv = (const char *const *)t->argv,
				   .fds = fds,
				   .n_fds = ARRAY_SIZE(fds),
				   .capture = true,
				   .max = WORDS_MAX };

	if (firmware < 0)
		return false;
	t->runs++;
	t->started = uv_hrtime();
	uv_update_time(t->cache->loop);
	t->child = child_spawn(t->cache->loop, &spec, on_end, t, e);
	if (!t->child)
		return false;
	uv_timer_start(&t->timer, on_limit, t->cache->limit_ms, 0);
	return true;
}

/* ---- asking ---- */

/* PREFIX BINARY and its arguments. */
static char **argv_make(const struct accel_cache *cache, const char *const *prefix, const char *binary)
{
	bool host = str_eq(cache->accel, "kvm");
	_cleanup_free_ char *machine = xasprintf("pc,accel=%s", cache->accel);
	_cleanup_free_ char *exit = xasprintf("isa-debug-exit,iobase=0x%x,iosize=4", ACCEL_FIRMWARE_PORT);
	_cleanup_free_ char *bios = xasprintf("/proc/self/fd/%d", FIRMWARE_FD);
	const char *const words[] = {
		binary,
		"-machine",
		machine,
		"-cpu",
		host ? "host" : "max",
		"-nodefaults",
		"-no-user-config",
		"-display",
		"none",
		"-m",
		"2M",
		"-sandbox",
		"on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
		"-bios",
		bios,
		"-device",
		exit,
	};
	size_t n = 0;
	char **argv;

	while (prefix && prefix[n])
		n++;
	argv = xcalloc(n + ARRAY_SIZE(words) + 1, sizeof(*argv));
	for (size_t i = 0; i < n; i++)
		argv[i] = xstrdup(prefix[i]);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		argv[n + i] = xstrdup(words[i]);
	return argv;
}

/* One that appears, or is opened to others, is another one. */
static char *device_text(const char *device)
{
	struct stat st;

	if (stat(device, &st) < 0)
		return xstrdup("none");
	return xasprintf("%jx-%jx.%lx", (uintmax_t)st.st_ino, (uintmax_t)st.st_ctim.tv_sec,
			 (unsigned long)st.st_ctim.tv_nsec);
}

static struct trial *trial_new(struct accel_ask *ask, const char *key, struct err **e)
{
	struct accel_cache *cache = ask->cache;
	struct trial *t = xcalloc(1, sizeof(*t));

	t->cache = cache;
	t->key = xstrdup(key);
	t->binary = xstrdup(ask->binary);
	t->argv = TAKE_PTR(ask->argv);
	uv_timer_init(cache->loop, &t->timer);
	t->timer.data = t;
	LIST_INSERT_HEAD(&cache->trials, t, link);
	if (!trial_run(t, e)) {
		trial_free(t);
		return NULL;
	}
	return t;
}

static void on_identity(const char *identity, int error, void *data)
{
	struct accel_ask *ask = data;
	struct accel_cache *cache = ask->cache;
	_cleanup_err_ struct err *e = NULL;
	_cleanup_free_ char *device = device_text(cache->device), *key = NULL;
	struct entry *entry;
	struct trial *t;

	ask->identity = NULL;
	if (!identity) {
		err_set_errno(&e, ERR_GENERIC, error, "cannot use '%s'", ask->binary);
		answer(ask, NULL, e);
		return;
	}
	key = xasprintf("%s %s %s", identity, device, ask->key);
	entry = entry_find(cache, key);
	if (entry) {
		answer(ask, &entry->result, NULL);
		return;
	}
	LIST_FOREACH(t, &cache->trials, link)
	if (str_eq(t->key, key))
		break;
	if (!t)
		t = trial_new(ask, key, &e);
	if (!t) {
		answer(ask, NULL, e);
		return;
	}
	ask->trial = t;
	LIST_INSERT_HEAD(&t->asks, ask, link);
}

struct accel_ask *accel_ask(struct accel_cache *cache, const char *binary, const char *const *prefix, const char *key,
			    accel_fn *fn, void *data)
{
	struct accel_ask *ask = xcalloc(1, sizeof(*ask));

	ask->cache = cache;
	ask->binary = xstrdup(binary);
	ask->key = xstrdup(key);
	ask->argv = argv_make(cache, prefix, binary);
	ask->fn = fn;
	ask->data = data;
	uv_timer_init(cache->loop, &ask->timer);
	ask->timer.data = ask;
	uv_timer_start(&ask->timer, on_ask_timeout, ASK_MS, 0);
	ask->identity = file_identity(cache->loop, binary, on_identity, ask);
	return ask;
}

/* ---- of operations ---- */

struct wait {
	struct op *op;
	struct accel_ask *ask;
	struct accel_result *ret;
};

static void wait_answer(const struct accel_result *r, const struct err *e, void *data)
{
	struct wait *w = data;
	struct op *op = w->op;

	if (r) {
		*w->ret = *r;
		w->ret->reason = xstrdup(r->reason);
	}
	free(w);
	op_resume(op, e ? err_copy(e) : NULL);
}

static void wait_forget(struct op *op, void *data)
{
	struct wait *w = data;

	accel_forget(w->ask);
	free(w);
}

enum verdict accel_wait(struct op *op, struct accel_cache *cache, const char *binary, const char *const *prefix,
			const char *key, struct accel_result *ret)
{
	static const struct op_wait_ops ops = { .what = "trial of KVM", .forget = wait_forget, .abortable = true };
	struct wait *w = xcalloc(1, sizeof(*w));

	w->op = op;
	w->ret = ret;
	w->ask = accel_ask(cache, binary, prefix, key, wait_answer, w);
	return op_wait(op, &ops, w);
}

/* ---- the cache ---- */

struct accel_cache *accel_cache_new(uv_loop_t *loop, int dir_fd, const struct accel_options *options)
{
	struct accel_cache *cache = xcalloc(1, sizeof(*cache));
	static const struct accel_options usual;

	if (!options)
		options = &usual;
	cache->loop = loop;
	cache->dir_fd = dir_fd;
	cache->accel = options->accel ? options->accel : "kvm";
	cache->device = options->device ? options->device : "/dev/kvm";
	cache->limit_ms = options->limit_ms ? options->limit_ms : LIMIT_MS;
	TAILQ_INIT(&cache->entries);
	LIST_INIT(&cache->trials);
	if (dir_fd >= 0)
		load(cache);
	return cache;
}

struct accel_cache *accel_cache_free(struct accel_cache *cache)
{
	struct entry *entry;
	struct trial *t;

	if (!cache)
		return NULL;
	/* What is freed is off the list, which the analyzer does not see. */
	while ((entry = TAILQ_FIRST(&cache->entries)))
		entry_free(cache, entry); /* NOLINT(clang-analyzer-unix.Malloc) */
	while ((t = LIST_FIRST(&cache->trials))) {
		child_forget(t->child);
		child_kill(t->child, SIGKILL);
		trial_free(t);
	}
	free(cache);
	return NULL;
}
