/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/machine_state.h"

#include "base/child.h"
#include "base/file.h"
#include "base/file_work.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TPM "tpm"
#define RECORD "firmware.json"
#define NVRAM "nvram.qcow2"

enum { DISK_MS = 60000, CONVERT_MS = 60000, VERSION = 1 };

static const char *const kinds[] = { "uefi", "uefi-secure", TPM };

/* What a start has found out. Work that nobody waits for any more has a reference of its own. */
struct machine_state {
	unsigned refs; /* changed on the loop only */
	struct uefi firmware;
	bool nvram_is_new, tpm_is_new;
	char *tpm_program, *tpm_path;
};

void machine_state_unref(struct machine_state *state)
{
	if (!state || --state->refs)
		return;
	firmware_clear(&state->firmware);
	free(state->tpm_program);
	free(state->tpm_path);
	free(state);
}

/* Work of a thread in the directory of an instance. */
struct work {
	struct machine_state *state;
	int dir; /* of the instance */
	char *name;
	char *kind, *fresh; /* what is made there: KIND, KIND.new */
	/* or what is kept of it, or lost: */
	bool kept[ARRAY_SIZE(kinds)];
	/* of firmware: */
	enum firmware wanted;
	char *machine, *prefix;
};

static void work_free(void *data)
{
	struct work *w = data;

	fd_close(w->dir);
	free(w->name);
	free(w->kind);
	free(w->fresh);
	free(w->machine);
	free(w->prefix);
	machine_state_unref(w->state);
	free(w);
}

/* KIND may be NULL. */
static struct work *work_new(const struct prepare *p, const char *kind, struct err **e)
{
	int dir = file_open_dir(p->inst->rt->dirs.lib_instances, p->inst->name, e);
	struct work *w;

	if (dir < 0)
		return NULL;
	w = xcalloc(1, sizeof(*w));
	w->state = p->state;
	w->state->refs++;
	w->dir = dir;
	w->name = xstrdup(p->inst->name);
	w->kind = kind ? xstrdup(kind) : NULL;
	w->fresh = kind ? xasprintf("%s.new", kind) : NULL;
	return w;
}

static const char *kind_of(const struct prepare *p)
{
	return firmwares[p->inst->def.hvparams.firmware];
}

static char *path_of(const struct prepare *p, const char *dir, const char *file)
{
	return xasprintf("%s/instances/%s/%s%s%s", p->inst->rt->dirs.lib, p->inst->name, dir, file ? "/" : "",
			 file ? file : "");
}

static bool make_fresh(const struct work *w, struct err **e)
{
	if (!file_remove_tree(w->dir, w->fresh, e))
		return false;
	return mkdirat(w->dir, w->fresh, 0700) == 0 ||
	       err_set_errno(e, ERR_STORAGE, errno, "cannot make '%s' of '%s'", w->fresh, w->name);
}

static bool is_there(const struct work *w, const char *name)
{
	return faccessat(w->dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool remove_fresh(void *data, struct err **e)
{
	const struct work *w = data;

	return file_remove_tree(w->dir, w->fresh, e);
}

static enum verdict take_away(struct op *op, const struct prepare *p, const char *kind)
{
	struct work *w = work_new(p, kind, NULL);

	return w ? file_work(op, remove_fresh, w, work_free) : OP_DONE; /* gone with the instance */
}

/* ---- the firmware ---- */

/* That of the first start. */
static bool read_record(const struct work *w, struct uefi *f, struct err **e)
{
	_cleanup_free_ char *path = xasprintf("%s/" RECORD, w->kind);
	_cleanup_json_ struct json_object *o = NULL;

	if (!file_read_json(w->dir, path, &o, e))
		return false;
	if (json_get_int(o, "version", 0) != VERSION)
		return err_set(e, ERR_UNSUPPORTED, "'%s' of '%s' is not of version %d", path, w->name, VERSION);
	if (!firmware_from_json(o, f, e)) {
		err_prefix(*e, "'%s' of '%s'", path, w->name);
		return false;
	}
	return !f->smm || machine_kind(w->machine) == MACHINE_Q35 ||
	       err_set(e, ERR_UNSUPPORTED, "the NVRAM of '%s' is that of '%s', which needs a Q35 machine", w->name,
		       f->code);
}

static bool write_record(void *data, struct err **e)
{
	const struct work *w = data;
	_cleanup_json_ struct json_object *o = firmware_to_json(&w->state->firmware);
	_cleanup_free_ char *text = NULL;
	_cleanup_close_ int dir = -1;

	json_add_int(o, "version", VERSION);
	text = json_print(o);
	dir = make_fresh(w, e) ? file_open_dir(w->dir, w->fresh, e) : -1;
	return dir >= 0 && file_write(dir, RECORD, text, 0600, true, e);
}

/* Looks only: the descriptors may lie beside a QEMU that a file server has. */
static bool choose(void *data, struct err **e)
{
	const struct work *w = data;
	struct machine_state *state = w->state;
	const char *dirs[] = { "/usr/share/qemu/firmware", "/etc/qemu/firmware", NULL, NULL };

	if (w->prefix) {
		memmove(dirs + 1, dirs, 2 * sizeof(*dirs));
		dirs[0] = w->prefix;
	}
	state->nvram_is_new = !is_there(w, w->kind);
	if (!state->nvram_is_new)
		return read_record(w, &state->firmware, e);
	return firmware_choose(&state->firmware, w->wanted, w->machine, dirs, e);
}

/* What a QEMU that was unpacked elsewhere brings along: "/opt/qemu/share/qemu/firmware" of "/opt/qemu/bin/qemu". */
static char *descriptors_of(const char *binary)
{
	_cleanup_free_ char *dir = xstrdup(binary);

	for (int i = 0; i < 2; i++) {
		char *slash = strrchr(dir, '/');

		if (!slash)
			return NULL;
		*slash = '\0';
	}
	return str_eq(dir, "/usr") || !*dir ? NULL : xasprintf("%s/share/qemu/firmware", dir);
}

static enum verdict firmware_look(struct op *op, void *arg)
{
	struct prepare *p = arg;
	const struct hvparams *hv = &p->inst->def.hvparams;
	const char *machine = caps_machine(p->caps, hv->machine_version);
	struct err *e = NULL;
	struct work *w = work_new(p, kind_of(p), &e);

	if (!w)
		return op_fail_err(op, e);
	w->wanted = (enum firmware)hv->firmware;
	w->machine = xstrdup(machine ? machine : hv->machine_version);
	w->prefix = descriptors_of(p->binary);
	return file_look(op, choose, w, work_free);
}

static void blame(struct op *op, const char *parameter)
{
	bool ours = op->err && op->err->class != ERR_CANCELLED && str_eq(op->failed, op_step(op)->name);

	if (!ours || json_get_str(op->err->extra, "parameter"))
		return;
	err_prefix(op->err, "'%s'", parameter);
	err_name_param(&op->err, parameter);
}

static enum verdict firmware_blame(struct op *op, void *arg)
{
	blame(op, "hvparams.firmware");
	return OP_DONE;
}

static enum verdict firmware_note(struct op *op, void *arg)
{
	const struct prepare *p = arg;
	struct err *e = NULL;
	struct work *w;

	if (!p->state->nvram_is_new)
		return OP_DONE;
	w = work_new(p, kind_of(p), &e);
	return w ? file_work(op, write_record, w, work_free) : op_fail_err(op, e);
}

static enum verdict firmware_forget(struct op *op, void *arg)
{
	const struct prepare *p = arg;

	blame(op, "hvparams.firmware");
	return take_away(op, p, kind_of(p));
}

/* ---- the NVRAM ---- */

/* qcow2, whatever the template is: a raw one keeps QEMU from taking internal snapshots. All of it is allocated (-S 0): what
 * the guest writes is in the file then, and not in QEMU's tables, whatever QEMU's end. */
static enum verdict nvram_make(struct op *op, void *arg)
{
	const struct prepare *p = arg;
	_cleanup_free_ char *fresh = xasprintf("%s.new", kind_of(p)), *path = path_of(p, fresh, NVRAM);
	const struct uefi *f = &p->state->firmware;
	const char *argv[] = { "qemu-img", "convert", "-S",     "0",  "-f", image_formats[f->nvram_format],
			       "-O",       "qcow2",   f->nvram, path, NULL };
	_cleanup_free_ char *program = program_find(argv[0]);

	if (!p->state->nvram_is_new)
		return OP_DONE;
	if (!program)
		return op_fail(op, ERR_NOT_FOUND, "'qemu-img' is not in PATH; install the package qemu-utils");
	return child_run(op, argv, ERR_STORAGE, NULL);
}

const struct uefi *machine_state_firmware(const struct prepare *p)
{
	return p->inst->def.hvparams.firmware == FIRMWARE_BIOS ? NULL : &p->state->firmware;
}

void machine_state_name(const struct prepare *p, struct argv_files *files)
{
	const char *kind = kind_of(p);

	for (size_t i = 0; i < files->n; i++) {
		struct argv_file *f = &files->items[i];

		if (!str_eq(f->what, ARGV_FIRMWARE))
			continue;
		free(f->path);
		if (f->write) {
			_cleanup_free_ char *fresh = xasprintf("%s.new", kind);

			f->path = path_of(p, p->state->nvram_is_new ? fresh : kind, NVRAM);
		} else {
			f->path = xstrdup(p->state->firmware.code);
			f->qcow2 = p->state->firmware.code_format == FORMAT_QCOW2;
			f->lone = f->qcow2;
		}
	}
}

/* ---- the TPM ---- */

static bool make_tpm(void *data, struct err **e)
{
	const struct work *w = data;

	w->state->tpm_is_new = !is_there(w, TPM);
	return !w->state->tpm_is_new || make_fresh(w, e);
}

static enum verdict tpm_make(struct op *op, void *arg)
{
	const struct prepare *p = arg;
	struct err *e = NULL;
	struct work *w;

	p->state->tpm_program = program_find("swtpm");
	if (!p->state->tpm_program)
		return op_fail(op, ERR_NOT_FOUND, "'swtpm' is not in PATH; install the package swtpm");
	if (!caps_has_type(p->caps, "tpm-tis"))
		return op_fail(op, ERR_UNSUPPORTED, "'%s' has no device tpm-tis", p->binary);
	w = work_new(p, TPM, &e);
	return w ? file_work(op, make_tpm, w, work_free) : op_fail_err(op, e);
}

static enum verdict tpm_leave(struct op *op, void *arg)
{
	blame(op, "hvparams.tpm");
	return take_away(op, arg, TPM);
}

void machine_state_confine(struct prepare *p, int fd)
{
	struct machine_state *state = p->state;

	if (!p->inst->def.hvparams.tpm)
		return;
	state->tpm_path = path_of(p, state->tpm_is_new ? TPM ".new" : TPM, NULL);
	p->confine.tpm_fd = fd;
	p->confine.tpm_state = state->tpm_path;
	p->confine.tpm_program = state->tpm_program;
}

/* ---- what the guest will see stays ---- */

/* In the run directory: what this start has made, for the way back in another life. */
#define MADE "made-"

static bool is_made(const struct prepare *p, size_t kind)
{
	_cleanup_free_ char *file = xasprintf(MADE "%s", kinds[kind]);

	return p->inst->run_dir >= 0 && faccessat(p->inst->run_dir, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool note_made(const struct prepare *p, size_t kind, struct err **e)
{
	_cleanup_free_ char *file = xasprintf(MADE "%s", kinds[kind]);

	return file_write(p->inst->run_dir, file, "", 0600, false, e);
}

static bool sync_file(int dir, const char *name, struct err **e)
{
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	return (fd >= 0 && fsync(fd) == 0) || err_set_errno(e, ERR_STORAGE, errno, "cannot sync '%s'", name);
}

static bool keep_kind(const struct work *w, const char *kind, struct err **e)
{
	_cleanup_free_ char *fresh = xasprintf("%s.new", kind), *nvram = xasprintf("%s/" NVRAM, fresh);

	if ((!str_eq(kind, TPM) && !sync_file(w->dir, nvram, e)) || !sync_file(w->dir, fresh, e))
		return false;
	return renameat(w->dir, fresh, w->dir, kind) == 0 ||
	       err_set_errno(e, ERR_STORAGE, errno, "cannot keep '%s' of '%s'", kind, w->name);
}

static bool keep(void *data, struct err **e)
{
	const struct work *w = data;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (w->kept[i] && !keep_kind(w, kinds[i], e))
			return false;
	return fsync(w->dir) == 0 || err_set_errno(e, ERR_STORAGE, errno, "cannot sync the directory of '%s'", w->name);
}

static bool lose(void *data, struct err **e)
{
	const struct work *w = data;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (w->kept[i] && !file_remove_tree(w->dir, kinds[i], e))
			return false;
	return true;
}

static enum verdict state_keep(struct op *op, void *arg)
{
	const struct prepare *p = arg;
	struct err *e = NULL;
	struct work *w = work_new(p, NULL, &e);

	for (size_t i = 0; w && i < ARRAY_SIZE(kinds); i++) {
		w->kept[i] = str_eq(kinds[i], TPM) ? p->state->tpm_is_new :
						     p->state->nvram_is_new && str_eq(kinds[i], kind_of(p));
		if (!w->kept[i] || note_made(p, i, &e))
			continue;
		work_free(w);
		w = NULL;
	}
	return w ? file_work(op, keep, w, work_free) : op_fail_err(op, e);
}

static enum verdict state_lose(struct op *op, void *arg)
{
	const struct prepare *p = arg;
	struct work *w = work_new(p, NULL, NULL);

	for (size_t i = 0; w && i < ARRAY_SIZE(kinds); i++)
		w->kept[i] = is_made(p, i);
	return w ? file_work(op, lose, w, work_free) : OP_DONE; /* gone with the instance */
}

static const struct step step_look = { "choose the firmware", firmware_look, firmware_blame, .timeout_ms = DISK_MS };
static const struct step step_note = { "note the firmware", firmware_note, firmware_forget, .timeout_ms = DISK_MS };
/* What is left of it goes with the directory. */
static const struct step step_nvram = { "make the NVRAM", nvram_make, firmware_blame, .timeout_ms = CONVERT_MS };
static const struct step step_tpm = { "make the state of the TPM", tpm_make, tpm_leave, .timeout_ms = DISK_MS };
static const struct step step_keep = { "keep the state of the machine", state_keep, state_lose, .timeout_ms = DISK_MS };

void machine_state_plan(struct op *op, struct prepare *p)
{
	const struct hvparams *hv = &p->inst->def.hvparams;

	p->state = xcalloc(1, sizeof(*p->state));
	p->state->refs = 1;
	if (hv->firmware != FIRMWARE_BIOS) {
		op_add(op, &step_look, p);
		op_add(op, &step_note, p);
		op_add(op, &step_nvram, p);
	}
	if (hv->tpm)
		op_add(op, &step_tpm, p);
}

void machine_state_keep_plan(struct op *op, struct prepare *p)
{
	const struct hvparams *hv = &p->inst->def.hvparams;

	if (hv->firmware != FIRMWARE_BIOS || hv->tpm)
		op_add(op, &step_keep, p);
}
