/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/prepare.h"

#include "base/file.h"
#include "netdev/tap.h"
#include "runtime/fit.h"
#include "runtime/machine_state.h"
#include "runtime/memory.h"
#include "runtime/pinning.h"
#include "runtime/remote.h"
#include "runtime/sound.h"
#include "runtime/uids.h"
#include "runtime/uri.h"
#include "runtime/usb.h"
#include "runtime/vhost.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ASK_MS = 30000, PROBE_MS = 10000, OPEN_MS = 60000, TAP_MS = 50, TAP_TRIES = 60 };

void prepare_init(struct prepare *p, struct instance *inst)
{
	*p = (struct prepare){ .inst = inst, .owner.dir = -1, .displays.fd = -1 };
}

static void forget_files(struct prepare *p)
{
	if (p->items)
		open_items_close(p->items, p->n_items);
	free(p->items);
	p->items = NULL;
	p->n_items = 0;
	closep(&p->owner.dir);
	argv_files_clear(&p->files);
}

static void forget_taps(struct prepare *p)
{
	tap_close(p->taps, (unsigned)p->n_taps);
	free(p->taps);
	p->taps = NULL;
	p->n_taps = p->card = 0;
	p->vhost = false;
}

void prepare_clear(struct prepare *p)
{
	forget_files(p);
	forget_taps(p);
	displays_clear(&p->displays);
	argv_free(p->argv);
	free(p->binary);
	caps_unref(p->caps);
	accel_result_clear(&p->accel);
	free(p->q_path);
	machine_state_unref(p->state);
	account_unref(p->account);
	free(p->cpus);
}

/* ---- the binary ---- */

static enum verdict ask_binary(struct op *op, void *arg)
{
	struct prepare *p = arg;
	struct err *e = NULL;

	p->binary = argv_binary(&p->inst->def, &e);
	if (!p->binary)
		return op_fail_err(op, e);
	return caps_wait(op, p->inst->rt->caps, p->binary, &p->caps);
}

/* Whose path it was that did not do is the definition's to know: not if another step failed, maybe in another life, or
 * somebody put an end to it. */
static enum verdict name_binary(struct op *op, void *arg)
{
	const struct prepare *p = arg;
	bool ours = op->err && op->err->class != ERR_CANCELLED && str_eq(op->failed, op_step(op)->name);

	if (ours && !str_empty(p->inst->def.hvparams.kvm_path)) {
		err_prefix(op->err, "'hvparams.kvm_path'");
		err_name_param(&op->err, "hvparams.kvm_path");
	}
	return OP_DONE;
}

const struct step prepare_ask_binary = { "ask what QEMU can do", ask_binary, name_binary, .timeout_ms = ASK_MS };

/* ---- whom it runs as ---- */

void prepare_confine(struct confine *c, const struct definition *def, uid_t uid, const struct account *account)
{
	const struct hvparams *hv = &def->hvparams;
	gid_t kvm = accel_of(hv) == ACCEL_TCG ? (gid_t)-1 : confine_kvm_group();

	switch (security_model_of(hv)) {
	case SECURITY_NONE:
		return;
	case SECURITY_USER:
		c->uid = account->uid;
		c->gid = account->gid;
		break;
	case SECURITY_POOL:
		c->uid = uid;
		c->gid = (gid_t)uid;
		break;
	}
	c->drop = true;
	if (kvm != (gid_t)-1)
		c->groups[c->n_groups++] = kvm;
}

static enum verdict claim_uid(struct op *op, void *arg)
{
	struct prepare *p = arg;
	struct instance *inst = p->inst;
	struct err *e = NULL;

	if (security_model_of(&inst->def.hvparams) == SECURITY_POOL && !inst->uid &&
	    !uid_pool_claim(inst->rt->uids, &inst->uid, &e))
		return op_fail_err(op, e);
	prepare_confine(&p->confine, &inst->def, inst->uid, p->account);
	return OP_DONE;
}

static enum verdict release_uid(struct op *op, void *arg)
{
	const struct prepare *p = arg;

	instance_release_uid(p->inst);
	return OP_DONE;
}

const struct step prepare_claim_uid = { "claim a uid", claim_uid, release_uid };

/* ---- whether KVM works for it ---- */

static char *security_key(const struct hvparams *hv)
{
	switch (security_model_of(hv)) {
	case SECURITY_USER:
		return xasprintf("user %s", hv->security_domain);
	case SECURITY_POOL:
		return xstrdup("pool");
	case SECURITY_NONE:
		break;
	}
	return xstrdup("none");
}

/* The words in front of a binary that is to be tried as C says. */
static char **probe_prefix(const struct confine *c, const char *launcher)
{
	static char *const nothing[] = { NULL };
	struct confine once = *c;

	once.once = once.die_with_parent = true;
	return confine_argv(&once, launcher, nothing);
}

static enum verdict look_at_kvm(struct op *op, void *arg)
{
	struct prepare *p = arg;
	const struct hvparams *hv = &p->inst->def.hvparams;
	_cleanup_free_ char *key = security_key(hv);
	enum verdict v;
	char **prefix;

	p->kvm = accel_of(hv) == ACCEL_KVM;
	if (accel_of(hv) != ACCEL_AUTO)
		return OP_DONE;
	prefix = probe_prefix(&p->confine, p->inst->rt->launcher);
	v = accel_wait(op, p->inst->rt->accel, p->binary, (const char *const *)prefix, key, &p->accel);
	argv_free(prefix);
	return v;
}

/* On the way back, with QEMU's own words: it was told to use KVM, and cannot. */
static enum verdict name_kvm(struct op *op, void *arg)
{
	const struct prepare *p = arg;
	const struct hvparams *hv = &p->inst->def.hvparams;
	const char *name = hv->kvm_flag == KVM_FLAG_ENABLED ? "hvparams.kvm_flag" : "hvparams.accel";
	const char *log = op->err ? json_get_str(op->err->extra, "log") : NULL;

	if (accel_of(hv) != ACCEL_KVM || !log || op->err->class != ERR_QEMU || !strcasestr(log, "kvm"))
		return OP_DONE;
	op->err->class = strstr(log, "Permission denied") ? ERR_PERMISSION_DENIED : ERR_UNSUPPORTED;
	err_prefix(op->err, "'%s': QEMU cannot use KVM", name);
	err_name_param(&op->err, name);
	return OP_DONE;
}

bool prepare_ask_kvm(struct runtime *rt, const struct definition *def, const struct account *account,
		     const char *binary, accel_fn *fn, void *data, struct accel_ask **ask, struct err **e)
{
	_cleanup_free_ char *key = security_key(&def->hvparams);
	bool pool = security_model_of(&def->hvparams) == SECURITY_POOL;
	struct confine confine = { 0 };
	uid_t uid = 0;
	char **prefix;

	if (pool && !uid_pool_claim(rt->uids, &uid, e))
		return false;
	/* It is nobody's; while the probe runs under it the pool gives it to no other. */
	if (pool)
		uid_pool_release(rt->uids, uid);
	prepare_confine(&confine, def, uid, account);
	prefix = probe_prefix(&confine, rt->launcher);
	*ask = accel_ask(rt->accel, binary, (const char *const *)prefix, key, fn, data);
	argv_free(prefix);
	return true;
}

const struct step prepare_look_at_kvm = { "see whether KVM works", look_at_kvm, name_kvm, .timeout_ms = PROBE_MS };

/* ---- files ---- */

static void add_boot_file(struct prepare *p, const char *what, const char *path, const char *copy)
{
	if (str_empty(path))
		return;
	p->items[p->n_items++] = (struct open_item){
		.what = what,
		.path = path,
		.flags = OPEN_BOOT | (p->inst->def.hvparams.use_chroot ? OPEN_COPY : 0U),
		.copy = copy,
		.fd = -1,
	};
}

struct open_item prepare_item(const struct argv_file *f)
{
	return (struct open_item){
		.what = f->what,
		.path = f->path,
		.flags = (f->write ? OPEN_WRITE : 0U) | (f->direct ? OPEN_DIRECT : 0U) | (f->qcow2 ? OPEN_QCOW2 : 0U) |
			 (f->lone ? 0U : OPEN_BACKED) | (f->shareable ? OPEN_SHARED : 0U) |
			 (f->filled ? OPEN_FILLED : 0U) | f->kind,
		.fd = -1,
	};
}

static void add_memory_files(struct prepare *p)
{
	const struct definition *def = &p->inst->def;

	snprintf(p->room, sizeof(p->room), "%" PRIu64, def->memory);
	for (size_t i = 0; i < memory_files(def); i++)
		p->items[p->n_items++] = (struct open_item){ .what = "hvparams.mem_path",
							     .path = def->hvparams.mem_path,
							     .flags = OPEN_MEMORY,
							     .copy = p->room,
							     .fd = -1 };
}

static enum verdict open_files(struct op *op, void *arg)
{
	enum { BOOT_FILES = 2 };
	struct prepare *p = arg;
	const struct hvparams *hv = &p->inst->def.hvparams;
	struct err *e = NULL;

	argv_files_list(&p->inst->def, &p->files);
	machine_state_name(p, &p->files);
	p->items = xcalloc(p->files.n + memory_files(&p->inst->def) + BOOT_FILES + DISPLAY_ITEMS, sizeof(*p->items));
	for (size_t i = 0; i < p->files.n; i++)
		p->items[p->n_items++] = prepare_item(&p->files.items[i]);
	add_memory_files(p);
	add_boot_file(p, "hvparams.kernel_path", hv->kernel_path, COPY_OF_KERNEL);
	add_boot_file(p, "hvparams.initrd_path", hv->initrd_path, COPY_OF_INITRD);
	p->n_items += displays_items(&p->displays, p->inst, p->items + p->n_items);
	if (p->n_items == 0)
		return OP_DONE;
	p->owner.dir = file_open_dir(p->inst->run_dir, "q", &e);
	if (p->owner.dir < 0)
		return op_fail_err(op, e);
	p->owner.uid = p->confine.drop ? p->confine.uid : geteuid();
	p->owner.gid = p->confine.drop ? p->confine.gid : getegid();
	p->owner.groups = p->confine.groups;
	p->owner.n_groups = p->confine.n_groups;
	return open_items(op, p->inst->rt->opener, p->items, p->n_items, &p->owner);
}

static enum verdict close_files(struct op *op, void *arg)
{
	forget_files(arg);
	return OP_DONE;
}

const struct step prepare_open_files = { "open the images", open_files, close_files, .timeout_ms = OPEN_MS };

/* ---- taps ---- */

static bool make_tap(struct prepare *p, const struct nic *n, size_t card, struct err **e)
{
	const struct hvparams *hv = &p->inst->def.hvparams;
	unsigned queues = nic_taps(n, hv);
	char name[IFNAMSIZ];
	struct err *why = NULL;

	tap_name(n->uuid, name);
	p->taps = xrealloc(p->taps, p->n_taps + queues, sizeof(int));
	if (tap_open(name, queues, nic_vnet_hdr(n, hv), n->link, n->mtu, p->taps + p->n_taps, &why)) {
		p->n_taps += queues;
		return true;
	}
	err_prefix(why, "nics[%zu]", card);
	err_keep_first(e, why);
	return false;
}

static bool open_vhost(struct prepare *p, struct err **e)
{
	const struct definition *def = &p->inst->def;
	unsigned queues = 0;

	for (size_t i = 0; i < def->nics.n; i++)
		queues += vhost_queues(definition_nic(def, i), &def->hvparams);
	p->taps = xrealloc(p->taps, p->n_taps + queues + 1, sizeof(int));
	if (!vhost_open(&def->hvparams, queues, p->taps + p->n_taps, e))
		return false;
	p->vhost = queues && p->taps[p->n_taps] >= 0;
	p->n_taps += p->vhost ? queues : 0;
	return true;
}

/* Goes on with card p->card. */
static bool make_rest(struct prepare *p, struct err **e)
{
	const struct definition *def = &p->inst->def;

	for (; p->card < def->nics.n; p->card++)
		if (nic_taps(definition_nic(def, p->card), &def->hvparams) &&
		    !make_tap(p, definition_nic(def, p->card), p->card, e))
			return false;
	return open_vhost(p, e);
}

/* Whether somebody has the name of the tap that could not be made: who may be about to end. */
static bool is_taken(const struct prepare *p)
{
	char name[IFNAMSIZ];

	if (p->card >= p->inst->def.nics.n) /* all were made */
		return false;
	tap_name(definition_nic(&p->inst->def, p->card)->uuid, name);
	return tap_exists(name);
}

static void make_again(struct op *op, void *arg)
{
	struct prepare *p = arg;
	struct err *e = NULL;

	if (!make_rest(p, &e) && is_taken(p) && ++p->tries < TAP_TRIES) {
		err_free(e);
		op_extend(op, TAP_MS);
		return;
	}
	op_resume(op, e);
}

/* A launcher that lost its droverd before it had a lock ends by itself, and its taps with it, a moment later. */
static enum verdict make_taps(struct op *op, void *arg)
{
	static const struct op_wait_ops ops = { .what = "end of a tap", .expired = make_again, .abortable = true };
	struct prepare *p = arg;
	struct err *e = NULL;

	if (make_rest(p, &e))
		return OP_DONE;
	if (!is_taken(p))
		return op_fail_err(op, e);
	err_free(e);
	op_wait_ms(op, TAP_MS);
	return op_wait(op, &ops, p);
}

static enum verdict close_taps(struct op *op, void *arg)
{
	forget_taps(arg);
	return OP_DONE;
}

const struct step prepare_make_taps = { "make the taps", make_taps, close_taps, .timeout_ms = TAP_MS };

/* ---- the command line ---- */

static bool has(const char *type, const char *property, void *data)
{
	struct caps *caps = data;

	if (!property)
		return caps_has_type(caps, type);
	return caps_has_property(caps, type, property);
}

bool prepare_env(struct argv_env *env, const struct definition *def, const char *binary, struct caps *caps, bool kvm,
		 struct err **e)
{
	*env = (struct argv_env){
		.binary = binary,
		.machine = caps_machine(caps, def->hvparams.machine_version),
		.kvm = kvm,
		.sandbox = true,
		.has = has,
		.data = caps,
	};
	if (!env->machine) {
		err_set(e, ERR_UNSUPPORTED, "'hvparams.machine_version': '%s' has no machine '%s'", binary,
			def->hvparams.machine_version);
		return err_name_param(e, "hvparams.machine_version");
	}
	return fit_devices(def, env, e) && sound_fits(def, env, e) && usb_fits(def, env, e);
}

/* The zone that is meant where TZ does not say. */
#define ZONE_OF_HOST "/etc/localtime"

/* What the private root needs of the host besides /usr and the prefix of the binary. */
static void add_binds(struct prepare *p)
{
	static const char *const net[] = { "/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs" };
	const struct definition *def = &p->inst->def;
	bool network = remote_uses(def, "");
	size_t n = 0;

	for (size_t i = 0; i < def->nics.n; i++)
		network |= nic_mode_of(definition_nic(def, i)) == NIC_USER;
	for (size_t i = 0; network && i < ARRAY_SIZE(net); i++)
		if (access(net[i], F_OK) == 0)
			p->binds[n++] = net[i];
	if (remote_uses(def, "rbd:") && access(URI_CEPH_DIR, F_OK) == 0)
		p->binds[n++] = URI_CEPH_DIR;
	if (def->hvparams.use_localtime && access(ZONE_OF_HOST, F_OK) == 0)
		p->binds[n++] = ZONE_OF_HOST;
	p->confine.binds = p->binds;
}

/* Where QEMU finds a boot file: the name of its copy is relative to QEMU's own directory, where it starts. */
static const char *where(const struct prepare *p, const char *copy)
{
	for (size_t i = p->files.n; i < p->n_items; i++)
		if (str_eq(p->items[i].copy, copy) && p->items[i].copied)
			return copy;
	return NULL;
}

/* Behind the taps, where argv_build() has them. */
static void take_memory_files(struct prepare *p)
{
	size_t n = memory_files(&p->inst->def);

	p->taps = xrealloc(p->taps, p->n_taps + n, sizeof(int));
	for (size_t i = 0; i < n; i++)
		p->taps[p->n_taps++] = TAKE_FD(p->items[p->files.n + i].fd);
}

static enum verdict build(struct op *op, void *arg)
{
	struct prepare *p = arg;
	struct instance *inst = p->inst;
	struct argv_env env;
	struct err *e = NULL;

	if (!open_items_check_twice(p->items, p->files.n, &e))
		return op_fail_err(op, e);
	for (size_t i = 0; i < p->files.n; i++)
		p->files.items[i].block = p->items[i].block;
	if (!prepare_env(&env, &inst->def, p->binary, p->caps, p->kvm || p->accel.works, &e))
		return op_fail_err(op, e);
	env.vhost = p->vhost;
	env.boot = p->boot;
	env.kernel = where(p, COPY_OF_KERNEL);
	env.initrd = where(p, COPY_OF_INITRD);
	env.firmware = machine_state_firmware(p);
	env.spice = &p->displays.place;
	p->kvm = env.kvm;
	p->machine = env.machine;
	p->argv = argv_build(&inst->def, &env, &p->files);
	if (inst->def.hvparams.use_chroot) {
		p->confine.private_root = true;
		p->confine.kvm = env.kvm;
		add_binds(p);
	}
	take_memory_files(p);
	machine_state_confine(p, argv_tpm_fd(&inst->def, &p->files, p->vhost));
	p->cpus = pinning_cpus(&inst->def.hvparams);
	p->confine.cpus = p->cpus;
	if (inst->def.hvparams.mem_lock) {
		p->confine.limit_memlock = true;
		p->confine.memlock = RLIM_INFINITY;
	}
	p->q_path = xasprintf("%s/instances/%s/q", inst->rt->dirs.run, inst->name);
	p->confine.q_path = p->q_path;
	return OP_DONE;
}

const struct step prepare_build = { "build the command line", build };
