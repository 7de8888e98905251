/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * display-password, instance-screenshot, instance-send-key: what people do to a guest that they see. They run beside
 * everything, on the first monitor.
 *
 * What is typed and passwords are taken out of the request as soon as it is understood, so that no marker has them. One
 * that stalled and is found by the next droverd is therefore not done again.
 */
#include "base/base64.h"
#include "base/file.h"
#include "daemon/commands.h"
#include "daemon/job.h"
#include "qmp/wait.h"
#include "runtime/display_host.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CALL_MS = 30000 };

static struct instance *instance_of(const struct job *job)
{
	return instance_find(&job->d->rt, job->name);
}

static struct instance *running(struct job *job, struct err **e)
{
	struct instance *inst = job_instance(job, e);

	if (!inst || !instance_is_known(inst, e))
		return NULL;
	if (!inst->process)
		err_set(e, ERR_WRONG_STATE, "'%s' has no process; start it", inst->name);
	else if (inst->starting || !inst->qmp)
		err_set(e, ERR_WRONG_STATE, "'%s' is starting; ask again when it has started", inst->name);
	else
		return inst;
	return NULL;
}

/* Consumes MASK, which is of the type that MEMBER has. */
static bool hide(struct job *job, const char *member, struct json_object *mask, struct err **e)
{
	json_add(job->raw, member, mask);
	return !job->recovered ||
	       err_set(e, ERR_GENERIC, "whether it was done before droverd was started again is not known");
}

/* ---- display-password ---- */

struct password_args {
	char *instance, *password;
	int display;
	double expire;
};

static const char *const kinds[] = { "vnc", "spice", NULL };
enum { KIND_VNC, KIND_SPICE };

static const struct param password_rows[] = {
	PARAM_INSTANCE(struct password_args),
	{ "display", PARAM_CHOICE, .choices = kinds, .required = true, PARAM_AT(struct password_args, display),
	  .since = "0.1.0", .doc = "Whose password it is." },
	{ "password", PARAM_TEXT, .required = true, .min = 1, .max = SPICE_PASSWORD_MAX,
	  PARAM_AT(struct password_args, password), .since = "0.1.0",
	  .doc = "The new one: of VNC at most eight characters. Who is connected stays so." },
	{ "expire", PARAM_TIME, .max = 1000000000, PARAM_AT(struct password_args, expire), .unit = "s",
	  .since = "0.1.0", .doc = "How long it holds; without this for ever, or until the process ends." },
	PARAM_END
};

/* Of what runs. False: NotFound, or WrongState. */
static bool takes_password(const struct instance *inst, const char *kind, struct err **e)
{
	struct json_object *list = json_get_typed(inst->record, "displays", json_type_array);

	for (size_t i = 0; i < json_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		if (!str_eq(json_get_str(o, "kind"), kind))
			continue;
		if (json_get_bool(o, "password", false))
			return true;
		return err_set(e, ERR_WRONG_STATE,
			       "%s of '%s' was started without a password; set 'hvparams.%s_password_file' and start "
			       "it anew",
			       kind, inst->name, kind);
	}
	return err_set(e, ERR_NOT_FOUND, "'%s' has no display '%s'", inst->name, kind);
}

static enum verdict password_set(struct op *op, void *arg)
{
	struct job *job = arg;
	const struct password_args *args = job->args;
	struct json_object *o = json_object_new_object();

	json_add_str(o, "protocol", kinds[args->display]);
	json_add_str(o, "password", args->password);
	return qmp_call(op, instance_of(job)->qmp, "set_password", o, NULL, NULL);
}

/* What an earlier one was given does not hold for this one either. QEMU takes whole seconds. */
static enum verdict expiry_set(struct op *op, void *arg)
{
	struct job *job = arg;
	const struct password_args *args = job->args;
	struct json_object *o = json_object_new_object();
	_cleanup_free_ char *time = isnan(args->expire) ? xstrdup("never") :
				    args->expire > 0    ? xasprintf("+%.0f", ceil(args->expire)) :
							  xstrdup("now");

	json_add_str(o, "protocol", kinds[args->display]);
	json_add_str(o, "time", time);
	return qmp_call(op, instance_of(job)->qmp, "expire_password", o, NULL, NULL);
}

/* The old one must not last longer because of this, so the new one comes first. */
static const struct step step_password = { "set the password", password_set, .timeout_ms = CALL_MS, .commit = true };
static const struct step step_expiry = { "set its expiry", expiry_set, .timeout_ms = CALL_MS };

static bool password_plan(struct job *job, struct err **e)
{
	const struct password_args *args = job->args;
	struct instance *inst = running(job, e);

	if (!inst || !hide(job, "password", json_object_new_string("***"), e) ||
	    !takes_password(inst, kinds[args->display], e))
		return false;
	if (args->display == KIND_VNC && strlen(args->password) > VNC_PASSWORD_MAX)
		return err_set_param(e, "password", "must have at most %d characters; VNC looks at no more",
				     VNC_PASSWORD_MAX);
	job->changed = true;
	op_add(job->op, &step_password, job);
	op_add(job->op, &step_expiry, job);
	return true;
}

static struct json_object *result_changed(struct job *job)
{
	struct json_object *o = json_object_new_object();

	json_add_bool(o, "changed", job->changed);
	return o;
}

const struct command cmd_display_password = {
	.name = "display-password",
	.class = CLASS_CHANGE,
	.lane = LANE_BESIDE,
	.params = password_rows,
	.args_size = sizeof(struct password_args),
	.doc = "Changes the password of a display that was started with one, until the process ends.",
	.returns = "{changed}",
	.subject = subject_instance,
	.plan = password_plan,
	.result = result_changed,
};

/* ---- instance-send-key ---- */

enum { KEYS_MAX = 16 };

struct key_args {
	char *instance;
	struct param_list keys; /* char * */
};

static const struct param key_row = { .name = "", .type = PARAM_TEXT, .min = 1, .max = 32 };
static const struct param key_rows[] = {
	PARAM_INSTANCE(struct key_args),
	{ "keys", PARAM_LIST, .required = true, .rows = &key_row, .size = sizeof(char *), .max = KEYS_MAX,
	  PARAM_AT(struct key_args, keys), .since = "0.1.0",
	  .doc = "What is pressed together, as QEMU calls its keys (QKeyCode): ctrl, alt, delete, a, ret, f1." },
	PARAM_END
};

static enum verdict keys_send(struct op *op, void *arg)
{
	struct job *job = arg;
	const struct key_args *args = job->args;
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();
	char *const *keys = args->keys.items;

	for (size_t i = 0; i < args->keys.n; i++) {
		struct json_object *key = json_object_new_object();

		json_add_str(key, "type", "qcode");
		json_add_str(key, "data", keys[i]);
		json_object_array_add(list, key);
	}
	json_add(o, "keys", list);
	return qmp_call(op, instance_of(job)->qmp, "send-key", o, NULL, NULL);
}

/* QEMU tells which key it does not know, and not which of them it was. */
static enum verdict name_key(struct op *op, void *arg)
{
	const struct key_args *args = ((struct job *)arg)->args;
	char *const *keys = args->keys.items;

	if (!op->err || op->err->class != ERR_QEMU)
		return OP_DONE;
	for (size_t i = 0; i < args->keys.n; i++) {
		_cleanup_free_ char *quoted = xasprintf("'%s'", keys[i]), *name = xasprintf("keys[%zu]", i);

		if (!strstr(op->err->desc, quoted))
			continue;
		op->err->class = ERR_INVALID_PARAMETER;
		err_prefix(op->err, "'%s'", name);
		err_name_param(&op->err, name);
		break;
	}
	return OP_DONE;
}

static const struct step step_keys = { "press the keys", keys_send, name_key, .timeout_ms = CALL_MS, .commit = true };

static bool check_keys(const struct key_args *args, struct err **e)
{
	char *const *keys = args->keys.items;

	if (args->keys.n == 0)
		return err_set_param(e, "keys", "must have at least one key");
	for (size_t i = 0; i < args->keys.n; i++) {
		_cleanup_free_ char *name = xasprintf("keys[%zu]", i);

		for (const char *c = keys[i]; *c; c++)
			if (!islower((unsigned char)*c) && !isdigit((unsigned char)*c) && !strchr("_-", *c))
				return err_set_param(e, name, "must be the name of a key: small letters, digits, '_'");
	}
	return true;
}

static bool key_plan(struct job *job, struct err **e)
{
	struct instance *inst = running(job, e);

	if (!inst || !hide(job, "keys", json_object_new_array(), e) || !check_keys(job->args, e))
		return false;
	if (inst->state != STATE_RUNNING && inst->state != STATE_PMSUSPENDED)
		return err_set(e, ERR_WRONG_STATE, "'%s' is %s (%s): its guest does not see a keyboard", inst->name,
			       state_name(inst->state), inst->reason);
	job->changed = true;
	op_add(job->op, &step_keys, job);
	return true;
}

const struct command cmd_instance_send_key = {
	.name = "instance-send-key",
	.class = CLASS_CHANGE,
	.lane = LANE_BESIDE,
	.params = key_rows,
	.args_size = sizeof(struct key_args),
	.doc = "Presses keys together and lets them go, as if on a keyboard of the guest.",
	.returns = "{changed}",
	.subject = subject_instance,
	.plan = key_plan,
	.result = result_changed,
};

/* ---- instance-screenshot ---- */

enum { PICTURE_MAX = 32 << 20 };

struct screenshot_args {
	char *instance, *display;
	int format;
};

static const char *const formats[] = { "png", NULL };

static const struct param screenshot_rows[] = {
	PARAM_INSTANCE(struct screenshot_args),
	{ "display", PARAM_TEXT, .min = 1, .max = 63, PARAM_AT(struct screenshot_args, display), .since = "0.1.0",
	  .doc = "Id of the graphics card; without this the first." },
	{ "format", PARAM_CHOICE, .choices = formats, .def = "\"png\"", PARAM_AT(struct screenshot_args, format),
	  .since = "0.1.0", .doc = "What the data is." },
	PARAM_END
};

/* In QEMU's own directory, where it may make files; its working directory. */
static char *picture_name(const struct job *job)
{
	return xasprintf(DISPLAY_PICTURE "%s.png", job->id + strspn(job->id, "#"));
}

static void picture_remove(const struct job *job)
{
	const struct instance *inst = instance_of(job);
	_cleanup_free_ char *name = picture_name(job), *path = xasprintf("q/%s", name);

	if (inst && inst->run_dir >= 0)
		unlinkat(inst->run_dir, path, 0);
}

static enum verdict picture_take(struct op *op, void *arg)
{
	struct job *job = arg;
	const struct screenshot_args *args = job->args;
	struct json_object *o = json_object_new_object();
	_cleanup_free_ char *name = picture_name(job);

	json_add_str(o, "filename", name);
	json_add_str(o, "device", args->display);
	json_add_str(o, "format", formats[args->format]);
	return qmp_call(op, instance_of(job)->qmp, "screendump", o, NULL, NULL);
}

static enum verdict picture_forget(struct op *op, void *arg)
{
	const struct screenshot_args *args = ((struct job *)arg)->args;

	picture_remove(arg);
	if (args->display && op->err && qmp_says_absent(op->err)) {
		op->err->class = ERR_NOT_FOUND;
		err_name_param(&op->err, "display");
	}
	return OP_DONE;
}

/* What lies in QEMU's directory is QEMU's to replace: only a file of its own, with no other name, is read. */
static bool is_picture(int dir, int fd, struct stat *st)
{
	struct stat owner;

	return fstat(fd, st) == 0 && fstat(dir, &owner) == 0 && S_ISREG(st->st_mode) && st->st_uid == owner.st_uid &&
	       st->st_nlink == 1 && st->st_size <= PICTURE_MAX;
}

static char *picture_read(const struct job *job, struct err **e)
{
	_cleanup_close_ int dir = file_open_dir(instance_of(job)->run_dir, "q", e), fd = -1;
	_cleanup_free_ char *name = picture_name(job), *bytes = NULL;
	struct stat st;
	ssize_t n;

	if (dir < 0)
		return NULL;
	fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0) {
		err_set_errno(e, ERR_QEMU, errno, "cannot read the picture that QEMU has made");
		return NULL;
	}
	if (!is_picture(dir, fd, &st)) {
		err_set(e, ERR_QEMU, "what QEMU has made is no picture, or larger than %d MiB", PICTURE_MAX >> 20);
		return NULL;
	}
	bytes = xcalloc((size_t)st.st_size + 1, 1);
	n = pread(fd, bytes, (size_t)st.st_size, 0);
	return base64_encode(bytes, n > 0 ? (size_t)n : 0);
}

static enum verdict picture_fetch(struct op *op, void *arg)
{
	struct job *job = arg;
	struct err *e = NULL;

	job->ctx = picture_read(job, &e);
	picture_remove(job);
	return job->ctx ? OP_DONE : op_fail_err(op, e);
}

static const struct step step_take = { "take the picture", picture_take, picture_forget, .timeout_ms = CALL_MS };
static const struct step step_fetch = { "fetch it", picture_fetch };

/* Whether there may be anything to see in what runs; who adds devices of his own may have added one. */
static bool has_card(const struct instance *inst)
{
	struct json_object *definition = json_get_typed(inst->record, "definition", json_type_object);
	struct definition def;
	bool has;

	if (!definition || !definition_decode(definition, &def, NULL))
		return true;
	has = display_vga(&def.hvparams) != VGA_NONE || !str_empty(def.hvparams.kvm_extra);
	definition_clear(&def);
	return has;
}

static bool screenshot_plan(struct job *job, struct err **e)
{
	struct instance *inst = running(job, e);

	if (!inst)
		return false;
	if (inst->run_dir < 0 || faccessat(inst->run_dir, "q", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(
			e, ERR_UNSUPPORTED,
			"the process of '%s' was started by another manager and has no directory of its own, where "
			"QEMU would put the picture; start it anew",
			inst->name);
	if (!has_card(inst))
		return err_set(e, ERR_UNSUPPORTED, "'%s' has no graphics card; set 'hvparams.vga' and start it anew",
			       inst->name);
	job->ctx_free = free;
	op_add(job->op, &step_take, job);
	op_add(job->op, &step_fetch, job);
	return true;
}

static struct json_object *screenshot_result(struct job *job)
{
	const struct screenshot_args *args = job->args;
	struct json_object *o = json_object_new_object();

	json_add_str(o, "format", formats[args->format]);
	json_add_str(o, "data", job->ctx);
	return o;
}

const struct command cmd_instance_screenshot = {
	.name = "instance-screenshot",
	.class = CLASS_CHANGE,
	.lane = LANE_BESIDE,
	.params = screenshot_rows,
	.args_size = sizeof(struct screenshot_args),
	.doc = "What the guest's graphics card shows now, as a picture.",
	.returns = "{format, data}: data in base64",
	.subject = subject_instance,
	.plan = screenshot_plan,
	.result = screenshot_result,
};
