/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What QEMU is given before the guest knows: descriptors, block nodes, netdevs; and a PC its SCSI controller.
 */
#include "hotplug/plug_private.h"

#include "qmp/wait.h"
#include "runtime/fdsets.h"
#include "runtime/remote.h"

#include <string.h>

enum { CALL_MS = 30000 };

static bool is_kept(const struct plug *p, const char *name)
{
	const struct device *d = plug_device_of(p, name);

	return d && d->kept;
}

static enum verdict give_file(struct op *op, void *arg)
{
	const struct about *a = arg;
	const struct argv_file *f = &a->p->files.items[a->i];
	struct json_object *o = json_object_new_object();

	json_add_int(o, "fdset-id", f->set);
	json_add_str(o, "opaque", f->node);
	return qmp_call_fd(op, plug_qmp(a->p), "add-fd", o, TAKE_FD(a->p->items[a->i].fd), NULL, NULL);
}

/* A QEMU that does not run may keep it all the same; then fdsets.h knows of it. */
static enum verdict take_file(struct op *op, void *arg)
{
	const struct about *a = arg;
	const struct argv_file *f = &a->p->files.items[a->i];
	struct json_object *o = json_object_new_object();

	if (!a->p->apart)
		fdsets_release(a->p->inst, f->set, 1);
	json_add_int(o, "fdset-id", f->set);
	return qmp_remove(op, plug_qmp(a->p), "remove-fd", o);
}

static enum verdict give_tap(struct op *op, void *arg)
{
	const struct about *a = arg;
	const struct device *d = &a->p->devices[a->i];
	_cleanup_free_ char *name = plug_tap_name(d, a->queue);

	if (d->taps[a->queue] < 0) /* the host has no vhost-net */
		return OP_DONE;
	return qmp_call_fd(op, plug_qmp(a->p), "getfd", plug_named("fdname", name), TAKE_FD(d->taps[a->queue]), NULL,
			   NULL);
}

/* With the netdev that has taken it the name is gone. */
static enum verdict take_tap(struct op *op, void *arg)
{
	const struct about *a = arg;
	const struct device *d = &a->p->devices[a->i];
	_cleanup_free_ char *name = plug_tap_name(d, a->queue);

	return qmp_remove(op, plug_qmp(a->p), "closefd", plug_named("fdname", name));
}

static const char *name_of(const struct part *part)
{
	return json_get_str(part->o, part->outlet == OUTLET_BLOCKDEV ? "node-name" : "id");
}

/* A format node is that of the file node with the same number: "ID.f0" of "ID.p0", "ID.b2" of "ID.q2". */
static char *file_node_of(const char *node)
{
	static const char formats[] = "fb", files[] = "pq";
	char *name = xstrdup(node), *dot = strchr(name, '.');
	const char *kind = dot ? strchr(formats, dot[1]) : NULL;

	if (kind && *kind)
		dot[1] = files[kind - formats];
	return name;
}

/* The error is about the image that NODE is of. */
static void blame_node(struct err *e, const struct plug *p, const char *node)
{
	_cleanup_free_ char *file = file_node_of(node), *name = NULL, *called = NULL;
	const char *uri;

	for (size_t i = 0; i < p->files.n; i++)
		if (str_eq(p->files.items[i].node, file))
			plug_blame(e, p->files.items[i].what, p->files.items[i].path);
	if (!remote_is_node(&p->def, node, &name, &uri))
		return;
	if (remote_says_no_driver(e->desc))
		e->class = ERR_UNSUPPORTED;
	called = plug_called(p, plug_device_of(p, node), name);
	plug_blame(e, called, uri);
}

/* PART is the first to be taken back: if it is what failed, QEMU's words are about the disk's image or the card's
 * backend. */
static void blame(const struct op *op, struct plug *p, const struct part *part)
{
	static const enum err_class classes[OUTLET_COUNT] = { [OUTLET_OBJECT] = ERR_QEMU,
							      [OUTLET_BLOCKDEV] = ERR_STORAGE,
							      [OUTLET_NETDEV] = ERR_NETWORK,
							      [OUTLET_DEVICE] = ERR_QEMU };
	bool mine = !p->blamed && op->err && op->err->class == ERR_QEMU && str_eq(op->failed, op_step(op)->name);

	p->blamed = true;
	if (!mine)
		return;
	if (part->outlet == OUTLET_BLOCKDEV && strstr(op->err->desc, " lock"))
		err_prefix(op->err, "it is in use");
	op->err->class = classes[part->outlet];
	if (part->outlet == OUTLET_BLOCKDEV)
		blame_node(op->err, p, name_of(part));
}

static enum verdict add_part(struct op *op, void *arg)
{
	static const char *const commands[] = {
		[OUTLET_OBJECT] = "object-add", [OUTLET_BLOCKDEV] = "blockdev-add", [OUTLET_NETDEV] = "netdev_add"
	};
	const struct about *a = arg;
	const struct part *part = &a->p->parts.items[a->i];

	return qmp_call(op, plug_qmp(a->p), commands[part->outlet], json_object_get(part->o), NULL, NULL);
}

static enum verdict remove_part(struct op *op, void *arg)
{
	const struct about *a = arg;
	const struct part *part = &a->p->parts.items[a->i];
	struct qmp *q = plug_qmp(a->p);

	blame(op, a->p, part);
	if (is_kept(a->p, name_of(part)))
		return OP_DONE;
	switch (part->outlet) {
	case OUTLET_OBJECT:
		return qmp_remove(op, q, "object-del", plug_named("id", name_of(part)));
	case OUTLET_BLOCKDEV:
		return qmp_remove(op, q, "blockdev-del", plug_named("node-name", name_of(part)));
	case OUTLET_NETDEV:
		return qmp_remove(op, q, "netdev_del", plug_named("id", name_of(part)));
	case OUTLET_DEVICE:
	case OUTLET_COUNT:
		break;
	}
	return OP_DONE;
}

/* E, about a definition, in the words of the request. */
static void rename_disk(const struct plug *p, struct err *e)
{
	for (size_t i = 0; i < p->n; i++) {
		_cleanup_free_ char *disk = xasprintf("disks[%zu].", p->devices[i].index), *called = NULL, *desc = NULL;
		const char *name = json_get_str(e->extra, "parameter");

		if (p->devices[i].nic || !name || !str_starts(name, disk) || !str_starts(e->desc, name))
			continue;
		called = plug_called(p, &p->devices[i], name);
		desc = e->desc;
		e->desc = xasprintf("%s%s", called, desc + strlen(name));
		err_name_param(&e, called);
		return;
	}
}

static enum verdict on_remote(struct op *op, struct json_object *ret, void *arg)
{
	struct plug *p = arg;
	struct err *e = NULL;

	if (remote_check(&p->def, ret, &e))
		return OP_DONE;
	rename_disk(p, e);
	return op_fail_err(op, e);
}

static enum verdict check_remote(struct op *op, void *arg)
{
	struct plug *p = arg;

	return qmp_call_nodes(op, plug_qmp(p), on_remote, p);
}

static const struct step step_remote = { "look into the images", check_remote, .timeout_ms = CALL_MS };
static const struct step step_file = { "give QEMU an image", give_file, take_file, .timeout_ms = CALL_MS };
static const struct step step_tap = { "give QEMU a tap", give_tap, take_tap, .timeout_ms = CALL_MS };
static const struct step step_part = { "add what the device needs", add_part, remove_part, .timeout_ms = CALL_MS };

/* A PC gets its SCSI controller with the first disk that needs one, and keeps it. */
static enum verdict on_controller(struct op *op, struct json_object *ret, void *arg)
{
	((struct plug *)arg)->controller = true;
	return OP_DONE;
}

static enum verdict look_for_controller(struct op *op, void *arg)
{
	struct plug *p = arg;

	return qmp_remove_then(op, plug_qmp(p), "qom-list", plug_named("path", "/machine/peripheral/scsi"),
			       on_controller, p);
}

static enum verdict add_controller(struct op *op, void *arg)
{
	struct plug *p = arg;
	struct parts parts = { 0 };
	struct json_object *o;
	struct argv_env env;
	struct err *e = NULL;

	if (p->controller)
		return OP_DONE;
	if (plug_no_pci(p->running))
		return op_fail(op, ERR_UNSUPPORTED,
			       "the machine has no SCSI controller, and gets none: %s; stop it first",
			       plug_no_pci(p->running));
	if (!plug_env(p, &env, &e))
		return op_fail_err(op, e);
	scsi_controller_part(&p->def, &env, &parts);
	o = json_object_get(parts.items[0].o);
	parts_clear(&parts);
	return qmp_call(op, plug_qmp(p), "device_add", o, NULL, NULL);
}

static const struct step step_look = { "look for the SCSI controller", look_for_controller, .timeout_ms = CALL_MS };
static const struct step step_controller = { "add the SCSI controller", add_controller, .timeout_ms = CALL_MS };

/* Also beside a disk that has one: a guest may have ejected it with all its disks. Other machines have it built in. */
static bool may_lack_controller(const struct plug *p)
{
	if (p->apart || machine_kind(p->def.hvparams.machine_version) == MACHINE_Q35)
		return false;
	for (size_t i = 0; i < p->def.disks.n; i++) {
		const struct disk *d = definition_disk(&p->def, i);

		if (str_eq(d->hvinfo.bus, "scsi.0") && plug_device_of(p, d->hvinfo.id))
			return true;
	}
	return false;
}

void plug_qemu_plan(struct op *op, struct plug *p)
{
	if (may_lack_controller(p)) {
		op_add(op, &step_look, p);
		op_add(op, &step_controller, p);
	}
	for (size_t i = 0; i < p->files.n; i++)
		plug_add_about(op, &step_file, p, i, 0);
	for (size_t i = 0; i < p->n; i++)
		for (unsigned queue = 0; queue < p->devices[i].n_taps + p->devices[i].n_vhost; queue++)
			plug_add_about(op, &step_tap, p, i, queue);
	for (size_t i = 0; i < p->parts.n; i++)
		if (p->parts.items[i].outlet != OUTLET_DEVICE)
			plug_add_about(op, &step_part, p, i, 0);
	if (plug_has_remote(p))
		op_add(op, &step_remote, p);
}
