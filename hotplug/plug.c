/* SPDX-License-Identifier: BSD-2-Clause */
#include "hotplug/plug_private.h"

#include "base/log.h"
#include "hotplug/unplug.h"
#include "netdev/tap.h"
#include "qmp/wait.h"
#include "runtime/boot.h"
#include "runtime/device_record.h"
#include "runtime/fdsets.h"
#include "runtime/iothreads.h"
#include "runtime/remote.h"
#include "runtime/servers.h"
#include "runtime/vhost.h"

#include <string.h>
#include <unistd.h>

enum { ASK_MS = 30000, OPEN_MS = 60000, CALL_MS = 30000, LEAVE_MS = 30000 };
enum { SECTOR = 512 }; /* a guest sees whole ones */

static void close_device(struct device *d)
{
	tap_close(d->taps, d->n_taps + d->n_vhost);
}

static void plug_clear(void *data)
{
	struct plug *p = data;

	if (p->items)
		open_items_close(p->items, p->files.n);
	free(p->items);
	for (size_t i = 0; i < p->n; i++) {
		close_device(&p->devices[i]);
		free(p->devices[i].taps);
	}
	argv_files_clear(&p->files);
	parts_clear(&p->parts);
	caps_unref(p->caps);
	free(p->binary);
	free(p->devices);
	definition_clear(&p->def);
	json_object_put(p->running);
	json_object_put(p->ids);
	json_object_put(p->names);
	json_object_put(p->nodes);
}

struct qmp *plug_qmp(const struct plug *p)
{
	return p->apart ? *p->apart : p->inst->qmp;
}

/* ---- which devices ---- */

static bool find_device(const struct plug *p, const char *id, struct device *d, struct err **e)
{
	for (size_t i = 0; i < p->def.disks.n; i++)
		if (str_eq(definition_disk(&p->def, i)->hvinfo.id, id)) {
			*d = (struct device){ .index = i, .id = id };
			return true;
		}
	for (size_t i = 0; i < p->def.nics.n; i++)
		if (str_eq(definition_nic(&p->def, i)->hvinfo.id, id)) {
			*d = (struct device){ .nic = true, .index = i, .id = id };
			return true;
		}
	return err_set(e, ERR_WRONG_STATE, "what '%s' runs with is not known: its record has no definition of '%s'",
		       p->inst->name, id);
}

const struct device *plug_device_of(const struct plug *p, const char *name)
{
	for (size_t i = 0; i < p->n; i++) {
		size_t len = strlen(p->devices[i].id);

		if (strncmp(name, p->devices[i].id, len) == 0 && (name[len] == '.' || name[len] == '\0'))
			return &p->devices[i];
	}
	return NULL;
}

char *plug_tap_name(const struct device *d, unsigned queue)
{
	if (queue >= d->n_taps)
		return xasprintf("%s-vhost-%u", d->id, queue - d->n_taps);
	return xasprintf("%s-%u", d->id, queue);
}

void plug_add_about(struct op *op, const struct step *step, struct plug *p, size_t i, unsigned queue)
{
	struct about *a = op_alloc(op, sizeof(*a));

	*a = (struct about){ p, i, queue };
	op_add(op, step, a);
}

struct json_object *plug_named(const char *key, const char *name)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, key, name);
	return o;
}

char *plug_called(const struct plug *p, const struct device *d, const char *what)
{
	const char *name = json_get_str(p->names, d ? d->id : ""), *rest = strchr(what, ']');

	return name && rest ? xasprintf("%s%s", name, rest + 1) : xstrdup(what);
}

/* QEMU knows an image by its fd set. */
static void show_path(struct err *e, const char *path)
{
	static const char set[] = "/dev/fdset/";
	char *was = e->desc, *at = strstr(was, set);

	if (!at)
		return;
	e->desc = xasprintf("%.*s%s%s", (int)(at - was), was, path,
			    at + sizeof(set) - 1 + strspn(at + sizeof(set) - 1, "0123456789"));
	free(was);
}

void plug_blame(struct err *e, const char *name, const char *where)
{
	show_path(e, where);
	err_prefix(e, "%s: '%s'", name, where);
	err_name_param(&e, name);
}

bool plug_has_remote(const struct plug *p)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct disk *d = p->devices[i].nic ? NULL : definition_disk(&p->def, p->devices[i].index);

		if (d && d->uri)
			return true;
		for (size_t k = 0; d && k < d->backing.n; k++)
			if (((const struct backing *)d->backing.items)[k].uri)
				return true;
	}
	return false;
}

/* Where a file is a block device is known when it is open. */
static void list_files(struct plug *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (!p->devices[i].nic)
			argv_files_add(&p->def, p->devices[i].index, &p->files);
	for (size_t i = 0; i < p->files.n; i++) {
		struct argv_file *f = &p->files.items[i];
		_cleanup_free_ char *was = f->what;

		f->set = (unsigned)p->first_set + (unsigned)i;
		f->what = plug_called(p, plug_device_of(p, f->node), was);
	}
}

/* "nic-…-0:nic-…-1", those of so many descriptors from FROM on; NULL of none. */
static char *tap_names(const struct device *d, unsigned from, unsigned n)
{
	char *text = NULL;

	for (unsigned i = from; i < from + n; i++) {
		_cleanup_free_ char *before = text, *name = plug_tap_name(d, i);

		text = xasprintf("%s%s%s", before ? before : "", before ? ":" : "", name);
	}
	return text;
}

static void list_taps(struct plug *p)
{
	for (size_t i = 0; i < p->n; i++) {
		struct device *d = &p->devices[i];

		const struct nic *n = d->nic ? definition_nic(&p->def, d->index) : NULL;

		d->n_taps = n ? nic_taps(n, &p->def.hvparams) : 0;
		d->n_vhost = n && vhost_is_wanted(&p->def.hvparams) ? vhost_queues(n, &p->def.hvparams) : 0;
		d->taps = xcalloc(d->n_taps + d->n_vhost + 1, sizeof(int));
		for (unsigned k = 0; k < d->n_taps + d->n_vhost; k++)
			d->taps[k] = -1;
	}
}

static void build_parts(struct plug *p, const struct argv_env *env)
{
	parts_clear(&p->parts);
	for (size_t i = 0; i < p->n; i++) {
		struct device *d = &p->devices[i];
		bool vhost = d->n_vhost && d->taps[d->n_taps] >= 0;
		_cleanup_free_ char *taps = tap_names(d, 0, d->n_taps);
		_cleanup_free_ char *vhosts = tap_names(d, d->n_taps, vhost ? d->n_vhost : 0);

		if (d->nic)
			nic_parts(&p->def, d->index, env, taps, vhosts, &p->parts);
		else
			disk_parts(&p->def, d->index, env, &p->files, &p->parts);
		d->add = p->parts.items[p->parts.n - 1].o;
	}
}

struct plug *plug_new(struct op *op, struct instance *inst, struct json_object *running, struct json_object *ids,
		      struct json_object *names, int64_t first_set, struct err **e)
{
	static const struct argv_env any = { .binary = "" };
	struct plug *p = op_own(op, sizeof(*p), plug_clear);

	p->inst = inst;
	p->first_set = first_set;
	if (!definition_decode(running, &p->def, e))
		return NULL;
	p->running = json_object_get(running);
	p->ids = json_object_get(ids);
	p->names = json_object_get(names);
	p->n = json_object_array_length(ids);
	p->devices = xcalloc(p->n + 1, sizeof(*p->devices));
	for (size_t i = 0; i < p->n; i++)
		if (!find_device(p, json_object_get_string(json_object_array_get_idx(ids, i)), &p->devices[i], e))
			return NULL;
	list_files(p);
	list_taps(p);
	build_parts(p, &any); /* the names are what they will be */
	return p;
}

size_t plug_sets(struct json_object *running, struct json_object *ids)
{
	struct argv_files files = { 0 };
	struct definition def;
	size_t n;

	if (!definition_decode(running, &def, NULL))
		return 0;
	for (size_t i = 0; i < def.disks.n; i++)
		for (size_t k = 0; k < json_object_array_length(ids); k++)
			if (str_eq(definition_disk(&def, i)->hvinfo.id,
				   json_object_get_string(json_object_array_get_idx(ids, k))))
				argv_files_add(&def, i, &files);
	n = files.n;
	argv_files_clear(&files);
	definition_clear(&def);
	return n;
}

const char *plug_no_pci(struct json_object *running)
{
	if (machine_kind(definition_machine(running)) == MACHINE_MICROVM)
		return "a microvm has no hotplug";
	/* A PC refuses, and on Q35 no guest would hear of it. */
	return definition_has_acpi(running) ? NULL :
					      "a machine without ACPI (hvparams.acpi) has hotplug for SCSI alone";
}

bool plug_is_possible(struct json_object *running, struct json_object *definition, const char *id,
		      const char *parameter, struct err **e)
{
	static const char *const fixed[] = { "ide-hd", "ide-cd", "floppy", "ne2k_isa" };
	const char *list, *driver = json_get_str(json_get_typed(definition_find_device(definition, id, &list), "hvinfo",
								json_type_object),
						 "driver");
	const char *why = plug_no_pci(running);
	bool ok = !why || (driver && str_starts(driver, "scsi-") && !definition_has_acpi(running));

	if (!ok)
		err_set(e, ERR_UNSUPPORTED, "'%s': %s; stop it first", parameter, why);
	for (size_t i = 0; i < ARRAY_SIZE(fixed) && ok; i++) {
		ok = !str_eq(driver, fixed[i]);
		if (!ok)
			err_set(e, ERR_UNSUPPORTED,
				"'%s': a device of this type (%s) cannot be plugged while the machine runs; stop it "
				"first",
				parameter, driver);
	}
	return ok || err_name_param(e, parameter);
}

/* ---- the host ---- */

static enum verdict ask_binary(struct op *op, void *arg)
{
	struct plug *p = arg;
	const char *running = json_get_str(json_get_typed(p->inst->record, "qemu", json_type_object), "binary");
	struct err *e = NULL;

	if (!p->apart && !running)
		return op_fail(op, ERR_WRONG_STATE, "the record of '%s' does not say which QEMU it is", p->inst->name);
	p->binary = p->apart ? argv_binary(&p->def, &e) : xstrdup(running);
	if (!p->binary)
		return op_fail_err(op, e);
	return caps_wait(op, p->inst->rt->caps, p->binary, &p->caps);
}

struct asking {
	struct plug *p;
	struct servers *servers;
};

/* In the words of the request. */
static void ask_for(const char *name, const char *uri, const char *node, void *data)
{
	const struct asking *a = data;
	const struct device *d = plug_device_of(a->p, node);
	_cleanup_free_ char *called = d ? plug_called(a->p, d, name) : NULL;

	if (d)
		servers_add(a->servers, called, uri);
}

/* QEMU would wait for a server with the guest: it is not told of one that does not answer. */
static enum verdict ask_servers(struct op *op, void *arg)
{
	struct plug *p = arg;
	struct fetch_user qemu = { 0 };
	struct asking a = { .p = p };
	int n = -1;

	if (p->inst->process)
		n = process_credentials(p->inst->process, &qemu.uid, &qemu.gid, qemu.groups, FETCH_GROUPS_MAX);
	if (n < 0)
		return op_fail(op, ERR_GUEST_GONE, "QEMU has ended");
	qemu.n_groups = (unsigned)n;
	qemu.drop = geteuid() == 0 && qemu.uid != 0;
	a.servers = servers_new(op, &qemu);
	remote_list(&p->def, ask_for, &a);
	return servers_wait(op, a.servers, p->inst->rt->fetcher);
}

static enum verdict open_images(struct op *op, void *arg)
{
	struct plug *p = arg;

	if (p->files.n == 0)
		return OP_DONE;
	p->items = xcalloc(p->files.n, sizeof(*p->items));
	for (size_t i = 0; i < p->files.n; i++) {
		p->items[i] = prepare_item(&p->files.items[i]);
		/* No device is there to say so. What is empty is to get its size. */
		if (p->apart && p->files.items[i].write)
			p->items[i].flags = (p->items[i].flags | OPEN_ALONE) & ~(unsigned)OPEN_FILLED;
	}
	return open_items(op, p->inst->rt->opener, p->items, p->files.n, NULL);
}

static enum verdict close_images(struct op *op, void *arg)
{
	struct plug *p = arg;

	if (p->items)
		open_items_close(p->items, p->files.n);
	return OP_DONE;
}

static enum verdict make_taps(struct op *op, void *arg)
{
	struct plug *p = arg;
	const struct hvparams *hv = &p->def.hvparams;

	for (size_t i = 0; i < p->n; i++) {
		const struct device *d = &p->devices[i];
		const struct nic *n = d->n_taps ? definition_nic(&p->def, d->index) : NULL;
		char name[IFNAMSIZ];
		struct err *e = NULL;

		if (!n)
			continue;
		tap_name(n->uuid, name);
		if (tap_open(name, d->n_taps, nic_vnet_hdr(n, hv), n->link, n->mtu, d->taps, &e)) {
			if (!vhost_open(hv, d->n_vhost, d->taps + d->n_taps, &e))
				return op_fail_err(op, e);
			continue;
		}
		if (json_get_str(p->names, d->id)) {
			_cleanup_free_ char *parameter = xasprintf("%s.link", json_get_str(p->names, d->id));

			err_prefix(e, "%s", parameter);
			err_name_param(&e, parameter);
		}
		return op_fail_err(op, e);
	}
	return OP_DONE;
}

static enum verdict close_taps(struct op *op, void *arg)
{
	struct plug *p = arg;

	for (size_t i = 0; i < p->n; i++)
		close_device(&p->devices[i]);
	return OP_DONE;
}

static bool has_taps(const struct plug *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->devices[i].n_taps)
			return true;
	return false;
}

bool plug_env(const struct plug *p, struct argv_env *env, struct err **e)
{
	if (!prepare_env(env, &p->def, p->binary, p->caps, false, e))
		return false;
	env->running = true;
	env->boot = p->apart ? BOOT_AS_DEFINED : boot_once_of(json_get_str(p->inst->record, "boot"));
	env->iothreads = p->apart ? 0 : iothreads_of(json_get_typed(p->inst->record, "cmd", json_type_array));
	return true;
}

static enum verdict describe(struct op *op, void *arg)
{
	struct plug *p = arg;
	struct argv_env env;
	struct err *e = NULL;

	if (p->items && !open_items_check_twice(p->items, p->files.n, &e))
		return op_fail_err(op, e);
	for (size_t i = 0; i < p->files.n && p->items; i++)
		p->files.items[i].block = p->items[i].block;
	if (!plug_env(p, &env, &e))
		return op_fail_err(op, e);
	build_parts(p, &env);
	for (size_t i = 0; i < p->n && p->into; i++)
		json_add(p->into, p->devices[i].id, json_object_get(p->devices[i].add));
	return OP_DONE;
}

static const struct step step_ask = { "ask what QEMU can do", ask_binary, .timeout_ms = ASK_MS };
static const struct step step_servers = { "ask the servers of images", ask_servers, .timeout_ms = SERVERS_MS };
static const struct step step_open = { "open the images", open_images, close_images, .timeout_ms = OPEN_MS };
static const struct step step_taps = { "make the taps", make_taps, close_taps };
static const struct step step_describe = { "describe the devices", describe };

void plug_host_plan(struct op *op, struct plug *p)
{
	op_add(op, &step_ask, p);
	if (plug_has_remote(p) && !p->apart) /* apart there is no guest to wait */
		op_add(op, &step_servers, p);
	if (p->files.n)
		op_add(op, &step_open, p);
	if (has_taps(p))
		op_add(op, &step_taps, p);
	op_add(op, &step_describe, p);
}

void plug_describe_plan(struct op *op, struct plug *p, struct json_object *into)
{
	p->into = into;
	op_add(op, &step_ask, p);
	op_add(op, &step_describe, p);
}

/* ---- the record ---- */

/* The images below it come first. */
size_t plug_top_file(const struct plug *p, const struct device *d)
{
	_cleanup_free_ char *node = xasprintf("%s.p0", d->id);
	size_t i = 0;

	while (i < p->files.n && !str_eq(p->files.items[i].node, node) && !str_eq(p->files.items[i].node, d->id))
		i++;
	return i;
}

static const char *list_of(const struct device *d)
{
	return d->nic ? "nics" : "disks";
}

static struct json_object *shown_of(const struct plug *p, const struct device *d)
{
	static const struct argv_env any = { .binary = "" };
	size_t top = plug_top_file(p, d);
	struct json_object *o = d->nic ? record_nic(&p->def, d->index, p->running) :
					 record_disk(&p->def, d->index, p->running, &any, &p->files);

	if (p->items && top < p->files.n)
		json_add_uint(o, "size", (p->items[top].size + SECTOR - 1) / SECTOR * SECTOR);
	record_order(o, json_get_int(d->add, "bootindex", PARAM_INT_NONE));
	return o;
}

static enum verdict on_nodes(struct op *op, struct json_object *ret, void *arg)
{
	((struct plug *)arg)->nodes = json_object_get(ret);
	return OP_DONE;
}

static enum verdict ask_sizes(struct op *op, void *arg)
{
	struct plug *p = arg;

	return qmp_is_gone(p->inst->qmp) ? OP_DONE : qmp_call_nodes(op, p->inst->qmp, on_nodes, p);
}

static const struct step step_sizes = { "ask for the sizes of disks", ask_sizes, .timeout_ms = CALL_MS };

static enum verdict record_put(struct op *op, void *arg)
{
	struct plug *p = arg;
	struct err *e = NULL;

	for (size_t i = 0; i < p->n; i++) {
		const struct device *d = &p->devices[i];

		device_record_put(p->inst, list_of(d), shown_of(p, d), definition_find_device(p->running, d->id, NULL));
		device_record_set_state(p->inst, d->id, DEVICE_ATTACHING);
	}
	return (p->nodes ? record_sizes(p->inst, p->nodes, &e) : record_save(p->inst, &e)) ? OP_DONE :
											     op_fail_err(op, e);
}

static enum verdict record_take(struct op *op, void *arg)
{
	struct plug *p = arg;
	struct err *e = NULL;

	for (size_t i = 0; i < p->n; i++)
		if (!p->devices[i].kept)
			device_record_remove(p->inst, p->devices[i].id);
	/* Without a process there is none. */
	return p->inst->run_dir < 0 || !p->inst->record || record_save(p->inst, &e) ? OP_DONE : op_fail_err(op, e);
}

static const struct step step_record = { "write the runtime record", record_put, record_take };

/* Of a file the size is known since it was opened. */
static bool has_unknown_size(const struct plug *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (!p->devices[i].nic && definition_disk(&p->def, p->devices[i].index)->uri)
			return true;
	return false;
}

void plug_record_plan(struct op *op, struct plug *p)
{
	if (has_unknown_size(p))
		op_add(op, &step_sizes, p);
	op_add(op, &step_record, p);
}

/* ---- the guest ---- */

/* What is found out about images when the device wants them, and QEMU does not say of which of several. */
static const struct {
	const char *word, *one, *several;
} faults[] = {
	{ " lock", "it is in use", "one of its images is in use" },
	{ "SG_IO", "it takes no SCSI commands; another 'type' needs none",
	  "it takes no SCSI commands; another 'type' needs none" },
};

static void blame_device(const struct op *op, const struct plug *p, const struct device *d)
{
	const struct argv_file *culprit = NULL;
	const char *name = json_get_str(p->names, d->id);
	unsigned candidates = 0;
	size_t fault = 0;
	bool any;

	if (!op->err || op->err->class != ERR_QEMU || !str_eq(op->failed, op_step(op)->name))
		return;
	while (fault < ARRAY_SIZE(faults) && !strstr(op->err->desc, faults[fault].word))
		fault++;
	if (fault == ARRAY_SIZE(faults))
		return;
	/* A lock is missed for what is to be written, or for any that nobody else is to write to. */
	any = !strstr(op->err->desc, " lock") || strstr(op->err->desc, "shared \"");
	op->err->class = ERR_STORAGE;
	for (size_t i = 0; i < p->files.n; i++) {
		const struct argv_file *f = &p->files.items[i];

		if (plug_device_of(p, f->node) != d || !(any || f->write))
			continue;
		culprit = f;
		candidates++;
	}
	err_prefix(op->err, "%s", candidates == 1 ? faults[fault].one : faults[fault].several);
	if (candidates == 1)
		plug_blame(op->err, culprit->what, culprit->path);
	else if (name)
		plug_blame(op->err, name, d->id);
}

static enum verdict add_device(struct op *op, void *arg)
{
	const struct about *a = arg;

	return qmp_call(op, a->p->inst->qmp, "device_add", json_object_get(a->p->devices[a->i].add), NULL, NULL);
}

static enum verdict on_listed(struct op *op, struct json_object *ret, void *arg)
{
	return OP_DONE;
}

/* Its place in QEMU's object tree is there from the moment on at which it is realized. */
static enum verdict probe_device(struct op *op, void *arg)
{
	const struct about *a = arg;
	_cleanup_free_ char *path = xasprintf("/machine/peripheral/%s", a->p->devices[a->i].id);

	return qmp_call(op, a->p->inst->qmp, "qom-list", plug_named("path", path), on_listed, NULL);
}

/* It may never have been there, which is what QEMU is asked first. */
static enum verdict remove_device(struct op *op, void *arg)
{
	const struct about *a = arg;
	const struct device *d = &a->p->devices[a->i];

	if (!a->p->blamed)
		blame_device(op, a->p, d);
	a->p->blamed = true;
	return unplug(op, a->p->inst, d->id);
}

/* What comes behind it on the way back: now it is known whether the guest let go, or said that it does not, which takes the
 * wish back. */
static enum verdict see_removed(struct op *op, void *arg)
{
	const struct about *a = arg;
	struct device *d = &a->p->devices[a->i];
	struct json_object *shown = device_record_find(a->p->inst, d->id, NULL);
	bool pending = unplug_is_pending(a->p->inst, d->id);

	d->kept = pending || (shown && device_record_state(shown) == DEVICE_ATTACHED);
	if (!d->kept)
		return OP_DONE;
	log_write(LOG_WARNING, a->p->inst->name, "the guest has not let go of '%s'; it %s", d->id,
		  pending ? "goes when it does" : "has to be detached");
	if (op->err)
		err_add(op->err, "undone", json_object_new_boolean(false));
	return OP_DONE;
}

static const struct step step_settle = { "see what the guest has", NULL, see_removed };
static const struct step step_device = { "add the device", add_device, remove_device, probe_device,
					 .timeout_ms = LEAVE_MS };
static const struct step step_device_last = { "add the device",       add_device,    remove_device, probe_device,
					      .timeout_ms = LEAVE_MS, .commit = true };

void plug_guest_plan(struct op *op, struct plug *p, bool commit)
{
	for (size_t i = 0; i < p->n; i++) {
		plug_add_about(op, &step_settle, p, i, 0);
		plug_add_about(op, commit && i == p->n - 1 ? &step_device_last : &step_device, p, i, 0);
	}
}

/* ---- behind the commit ---- */

static enum verdict attached(struct op *op, void *arg)
{
	struct plug *p = arg;
	struct err *e = NULL;

	for (size_t i = 0; i < p->n; i++)
		device_record_set_state(p->inst, p->devices[i].id, DEVICE_ATTACHED);
	/* The guest has them, whether or not that can be written. */
	for (size_t i = 0; i < p->n && !p->told; i++)
		p->inst->rt->ops->device_told(p->inst, "DEVICE_ATTACHED", p->devices[i].id, NULL, p->inst->rt->data);
	p->told = true;
	fdsets_release(p->inst, p->first_set, p->files.n);
	p->recorded = p->inst->run_dir < 0 || !p->inst->record || record_save(p->inst, &e);
	return p->recorded ? OP_DONE : op_fail_err(op, e);
}

static const struct step step_attached = { "record that they are attached", attached };

enum verdict plug_see_attached(struct op *op, struct plug *p)
{
	return p->recorded ? OP_DONE : attached(op, p);
}

void plug_done_plan(struct op *op, struct plug *p)
{
	op_add(op, &step_attached, p);
}
