/* SPDX-License-Identifier: BSD-2-Clause */
#include "qmp/caps_cache.h"

#include "base/child.h"
#include "base/file.h"
#include "base/file_work.h"
#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

enum { ASK_MS = 30000, OUTPUT_MAX = 1 << 20, FORMAT = 1 };
#define SUFFIX ".json"

struct entry {
	TAILQ_ENTRY(entry) link;
	struct caps_cache *cache;
	char *path, *identity;
	struct caps *caps;
	struct file_ask *check; /* whether it is there still, after a start */
};

/* A drover-probe at work. */
struct probing {
	LIST_ENTRY(probing) link;
	struct caps_cache *cache;
	char *path, *identity;
	struct child *child;
	LIST_HEAD(, caps_ask) asks;
};

struct caps_ask {
	LIST_ENTRY(caps_ask) link; /* of `probing` */
	struct caps_cache *cache;
	char *path;
	caps_fn *fn;
	void *data;
	struct file_ask *identity; /* either this */
	struct probing *probing;   /* or this is waited for */
	uv_timer_t timer;
};

struct caps_cache {
	uv_loop_t *loop;
	char **prober;
	size_t n_prober;
	char *prober_identity;
	int dir_fd;
	TAILQ_HEAD(entry_list, entry) entries; /* the one asked for last is first */
	unsigned n;
	LIST_HEAD(, probing) probings;
};

/* ---- entries ---- */

static void entry_free(struct entry *entry)
{
	TAILQ_REMOVE(&entry->cache->entries, entry, link);
	entry->cache->n--;
	if (entry->check)
		file_ask_forget(entry->check);
	caps_unref(entry->caps);
	free(entry->path);
	free(entry->identity);
	free(entry);
}

static void entry_drop(struct entry *entry)
{
	_cleanup_free_ char *name = xasprintf("%s" SUFFIX, entry->identity);

	if (entry->cache->dir_fd >= 0)
		file_remove(entry->cache->dir_fd, name, NULL);
	entry_free(entry);
}

static struct entry *entry_find(struct caps_cache *cache, const char *identity)
{
	struct entry *entry;

	TAILQ_FOREACH(entry, &cache->entries, link)
	if (str_eq(entry->identity, identity))
		return entry;
	return NULL;
}

/* Consumes CAPS. */
static struct entry *entry_new(struct caps_cache *cache, const char *path, const char *identity, struct caps *caps)
{
	struct entry *entry = entry_find(cache, identity);

	if (entry)
		entry_free(entry);
	/* What the path led to before is gone, as often as not. */
	TAILQ_FOREACH(entry, &cache->entries, link)
	if (str_eq(entry->path, path))
		break;
	if (!entry && cache->n == CAPS_CACHE_MAX)
		entry = TAILQ_LAST(&cache->entries, entry_list);
	if (entry)
		entry_drop(entry);
	entry = xcalloc(1, sizeof(*entry));
	entry->cache = cache;
	entry->path = xstrdup(path);
	entry->identity = xstrdup(identity);
	entry->caps = caps;
	TAILQ_INSERT_HEAD(&cache->entries, entry, link);
	cache->n++;
	return entry;
}

/* ---- files ---- */

/* Not synced, and so in line: what a power cut leaves of it is seen to be no such file, and made anew. */
static void save(struct entry *entry, struct json_object *caps)
{
	_cleanup_free_ char *name = xasprintf("%s" SUFFIX, entry->identity);
	_cleanup_json_ struct json_object *o = json_object_new_object();
	_cleanup_err_ struct err *e = NULL;

	if (entry->cache->dir_fd < 0)
		return;
	json_add_int(o, "format", FORMAT);
	json_add_str(o, "path", entry->path);
	json_add_str(o, "prober", entry->cache->prober_identity);
	json_add(o, "capabilities", json_object_get(caps));
	if (!file_write_json(entry->cache->dir_fd, name, o, 0600, &e))
		log_debug("capabilities of '%s' are not kept: %s", entry->path, e->desc);
}

static void on_checked(const char *identity, int error, void *data)
{
	struct entry *entry = data;

	entry->check = NULL;
	if (!str_eq(identity, entry->identity))
		entry_drop(entry);
}

static bool load_file(struct caps_cache *cache, const char *name, struct err **e)
{
	_cleanup_json_ struct json_object *o = NULL;
	size_t len = strlen(name), suffix = strlen(SUFFIX);
	_cleanup_free_ char *identity = len > suffix ? xstrndup(name, len - suffix) : NULL;
	_cleanup_free_ char *text = NULL;
	struct caps *caps;
	struct entry *entry;
	const char *path;

	if (name[0] == '.' || !identity || !str_eq(name + len - suffix, SUFFIX) || cache->n == CAPS_CACHE_MAX)
		return err_set(e, ERR_GENERIC, "'%s' is none of ours", name);
	if (!file_read(cache->dir_fd, name, OUTPUT_MAX, &text, &len, e) ||
	    !json_parse(text, len, &json_limits_qemu, &o, e))
		return false;
	path = json_get_str(o, "path");
	if (json_get_int(o, "format", 0) != FORMAT || str_empty(path) || path[0] != '/' ||
	    !str_eq(json_get_str(o, "prober"), cache->prober_identity))
		return err_set(e, ERR_GENERIC, "'%s' was made by another drover-probe", name);
	caps = caps_from_json(json_get_typed(o, "capabilities", json_type_object), e);
	if (!caps)
		return false;
	entry = entry_new(cache, path, identity, caps);
	entry->check = file_identity(cache->loop, path, on_checked, entry);
	return true;
}

static void load(const char *name, void *data)
{
	struct caps_cache *cache = data;
	_cleanup_err_ struct err *e = NULL;

	if (load_file(cache, name, &e))
		return;
	log_debug("capabilities '%s': %s", name, e->desc);
	file_remove_tree(cache->dir_fd, name, NULL);
}

/* ---- answers ---- */

static void on_timer_closed(uv_handle_t *handle)
{
	struct caps_ask *ask = CONTAINER_OF((uv_timer_t *)handle, struct caps_ask, timer);

	free(ask->path);
	free(ask);
}

void caps_forget(struct caps_ask *ask)
{
	if (ask->identity)
		file_ask_forget(ask->identity);
	if (ask->probing)
		LIST_REMOVE(ask, link);
	uv_close((uv_handle_t *)&ask->timer, on_timer_closed);
}

static void answer(struct caps_ask *ask, struct caps *c, const struct err *e)
{
	caps_fn *fn = ask->fn;
	void *data = ask->data;

	caps_forget(ask);
	fn(c, e, data);
}

static void on_timeout(uv_timer_t *timer)
{
	struct caps_ask *ask = timer->data;
	struct probing *p = ask->probing;
	_cleanup_err_ struct err *e = NULL;

	err_set(&e, ERR_TIMEOUT, "'%s' %s within %d s", ask->path,
		p ? "could not be probed" : "was not found by the file system", ASK_MS / 1000);
	answer(ask, NULL, e);
	/* It has a limit of its own, and is beyond it: stuck, or stopped. */
	if (p && LIST_EMPTY(&p->asks))
		child_kill(p->child, SIGKILL);
}

/* ---- probing ---- */

static void probing_free(struct probing *p)
{
	LIST_REMOVE(p, link);
	free(p->path);
	free(p->identity);
	free(p);
}

/* Of a drover-probe that failed: "CLASS: words". Or of what is in front of it, or it was killed: then its status. */
static void explain(const struct probing *p, const struct child_end *end, struct err **e)
{
	_cleanup_free_ char *text = xstrndup(end->err, strcspn(end->err, "\n"));
	char *colon = strstr(text, ": ");
	enum err_class class;

	if (end->status == 1 && colon) {
		*colon = '\0';
		class = err_class_from_name(text);
		if (str_eq(err_class_info(class)->name, text)) {
			err_set(e, class, "%s", colon + 2);
			return;
		}
		*colon = ':';
	}
	if (end->signal)
		err_set(e, ERR_GENERIC, "the probe of '%s' was ended by signal %d", p->path, end->signal);
	else
		err_set(e, ERR_GENERIC, "the probe of '%s' failed with status %d%s%s", p->path, end->status,
			*text ? ": " : "", text);
}

static void on_probed(const struct child_end *end, void *data)
{
	struct probing *p = data;
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_err_ struct err *e = NULL;
	_cleanup_caps_ struct caps *caps = NULL;
	struct caps_ask *ask;

	if (end->status != 0)
		explain(p, end, &e);
	else if (json_parse(end->out, strlen(end->out), &json_limits_qemu, &o, &e))
		caps = caps_from_json(o, &e);
	if (caps)
		save(entry_new(p->cache, p->path, p->identity, caps_ref(caps)), o);
	else if (end->status == 0)
		err_prefix(e, "drover-probe, of '%s'", p->path);
	/* Whoever asks from now on finds the entry, or begins anew. */
	while ((ask = LIST_FIRST(&p->asks)))
		answer(ask, caps, e);
	probing_free(p);
}

static struct probing *probing_new(struct caps_cache *cache, const char *path, const char *identity, struct err **e)
{
	_cleanup_free_ const char **argv = xcalloc(cache->n_prober + 2, sizeof(*argv));
	struct child_spec spec = { .argv = argv, .capture = true, .max = OUTPUT_MAX };
	struct probing *p = xcalloc(1, sizeof(*p));

	for (size_t i = 0; i < cache->n_prober; i++)
		argv[i] = cache->prober[i];
	argv[cache->n_prober] = path;
	p->cache = cache;
	p->path = xstrdup(path);
	p->identity = xstrdup(identity);
	LIST_INSERT_HEAD(&cache->probings, p, link);
	p->child = child_spawn(cache->loop, &spec, on_probed, p, e);
	if (!p->child) {
		probing_free(p);
		return NULL;
	}
	return p;
}

static void on_identity(const char *identity, int error, void *data)
{
	struct caps_ask *ask = data;
	struct caps_cache *cache = ask->cache;
	_cleanup_err_ struct err *e = NULL;
	struct entry *entry;
	struct probing *p;

	ask->identity = NULL;
	if (!identity) {
		err_set_errno(&e, ERR_GENERIC, error, "cannot use '%s'", ask->path);
		answer(ask, NULL, e);
		return;
	}
	entry = entry_find(cache, identity);
	if (entry) {
		TAILQ_REMOVE(&cache->entries, entry, link);
		TAILQ_INSERT_HEAD(&cache->entries, entry, link);
		answer(ask, entry->caps, NULL);
		return;
	}
	LIST_FOREACH(p, &cache->probings, link)
	if (str_eq(p->identity, identity))
		break;
	if (!p)
		p = probing_new(cache, ask->path, identity, &e);
	if (!p) {
		answer(ask, NULL, e);
		return;
	}
	ask->probing = p;
	LIST_INSERT_HEAD(&p->asks, ask, link);
}

struct caps_ask *caps_ask(struct caps_cache *cache, const char *path, caps_fn *fn, void *data)
{
	struct caps_ask *ask = xcalloc(1, sizeof(*ask));

	ask->cache = cache;
	ask->path = xstrdup(path);
	ask->fn = fn;
	ask->data = data;
	uv_timer_init(cache->loop, &ask->timer);
	ask->timer.data = ask;
	uv_timer_start(&ask->timer, on_timeout, ASK_MS, 0);
	ask->identity = file_identity(cache->loop, path, on_identity, ask);
	return ask;
}

/* ---- of operations ---- */

struct wait {
	struct op *op;
	struct caps_ask *ask;
	struct caps **ret;
};

static void wait_answer(struct caps *c, const struct err *e, void *data)
{
	struct wait *w = data;
	struct op *op = w->op;

	if (c)
		*w->ret = caps_ref(c);
	free(w);
	op_resume(op, e ? err_copy(e) : NULL);
}

static void wait_forget(struct op *op, void *data)
{
	struct wait *w = data;

	caps_forget(w->ask);
	free(w);
}

enum verdict caps_wait(struct op *op, struct caps_cache *cache, const char *path, struct caps **ret)
{
	static const struct op_wait_ops ops = { .what = "probe of the binary",
						.forget = wait_forget,
						.abortable = true };
	struct wait *w = xcalloc(1, sizeof(*w));

	w->op = op;
	w->ret = ret;
	w->ask = caps_ask(cache, path, wait_answer, w);
	return op_wait(op, &ops, w);
}

/* ---- the cache ---- */

struct caps_cache *caps_cache_new(uv_loop_t *loop, const char *const *prober, int dir_fd)
{
	struct caps_cache *cache = xcalloc(1, sizeof(*cache));
	_cleanup_err_ struct err *e = NULL;

	cache->loop = loop;
	cache->dir_fd = dir_fd;
	TAILQ_INIT(&cache->entries);
	LIST_INIT(&cache->probings);
	while (prober[cache->n_prober])
		cache->n_prober++;
	cache->prober = xcalloc(cache->n_prober + 1, sizeof(char *));
	for (size_t i = 0; i < cache->n_prober; i++)
		cache->prober[i] = xstrdup(prober[i]);
	/* What another version of it asked may be less than what this one's daemon wants to know. */
	cache->prober_identity = file_identity_now(cache->prober[cache->n_prober - 1]);
	if (!cache->prober_identity)
		cache->prober_identity = xstrdup("none");
	if (dir_fd >= 0 && !file_list(dir_fd, load, cache, &e))
		log_debug("capabilities: %s", e->desc);
	return cache;
}

struct caps_cache *caps_cache_free(struct caps_cache *cache)
{
	struct entry *entry;
	struct probing *p;

	if (!cache)
		return NULL;
	/* What is freed is off the list, which the analyzer does not see. */
	while ((entry = TAILQ_FIRST(&cache->entries)))
		entry_free(entry); /* NOLINT(clang-analyzer-unix.Malloc) */
	while ((p = LIST_FIRST(&cache->probings))) {
		child_forget(p->child); /* NOLINT(clang-analyzer-unix.Malloc) */
		child_kill(p->child, SIGKILL);
		probing_free(p);
	}
	for (size_t i = 0; i < cache->n_prober; i++)
		free(cache->prober[i]);
	free(cache->prober);
	free(cache->prober_identity);
	free(cache);
	return NULL;
}
