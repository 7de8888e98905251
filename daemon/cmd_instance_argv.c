/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * instance-argv: pure, but for what has to be known of the binary, of KVM and of who would use it; what is asked of the
 * first two is known from then on.
 */
#include "daemon/ask.h"
#include "daemon/commands.h"
#include "runtime/prepare.h"
#include "runtime/vhost.h"

static const struct param rows[] = { PARAM_INSTANCE(struct instance_args), PARAM_END };

struct question {
	struct daemon *d;
	struct ask *ask;
	struct json_object *stored; /* the definition at the time of asking */
	struct definition def;
	char *binary;
	struct caps *caps;
	struct account *account;
};

/* Consumes E. */
static void end(struct question *q, struct json_object *ret, struct err *e)
{
	ask_reply(q->ask, ret, e);
	definition_clear(&q->def);
	json_object_put(q->stored);
	free(q->binary);
	caps_unref(q->caps);
	account_unref(q->account);
	free(q);
}

static void answer(struct question *q, bool kvm)
{
	struct json_object *ret;
	struct argv_files files;
	struct argv_env env;
	struct err *e = NULL;
	char **argv, **text;

	if (!prepare_env(&env, &q->def, q->binary, q->caps, kvm, &e)) {
		end(q, NULL, e);
		return;
	}
	env.vhost = vhost_is_wanted(&q->def.hvparams);
	argv_files_list(&q->def, &files);
	argv = argv_build(&q->def, &env, &files);
	text = argv_text(argv);
	argv_files_clear(&files);
	ret = json_object_new_object();
	json_add(ret, "argv", argv_to_json(argv));
	json_add(ret, "text", argv_to_json(text));
	argv_free(argv);
	argv_free(text);
	end(q, ret, NULL);
}

static void on_kvm(const struct accel_result *r, const struct err *e, void *data)
{
	answer(data, r && r->works);
}

static bool look_up(struct op *op)
{
	struct question *q = op->owner;

	q->account = account_plan(op, &q->def.hvparams);
	return true;
}

static void ask_kvm(struct op *op)
{
	struct question *q = op->owner;
	struct accel_ask *ask;
	struct err *e = TAKE_PTR(op->err);

	op_free(op);
	if (e || !prepare_ask_kvm(&q->d->rt, &q->def, q->account, q->binary, on_kvm, q, &ask, &e))
		end(q, NULL, e);
}

static void on_caps(struct caps *caps, const struct err *e, void *data)
{
	static const struct op_ops ops = { .begin = look_up, .done = ask_kvm };
	struct question *q = data;

	if (e) {
		end(q, NULL, err_copy(e));
		return;
	}
	q->caps = caps_ref(caps);
	if (accel_of(&q->def.hvparams) != ACCEL_AUTO)
		answer(q, accel_of(&q->def.hvparams) == ACCEL_KVM);
	else
		op_start(op_new(q->d->loop, &ops, q));
}

static bool ask(struct call *call, struct ask *owed, struct err **e)
{
	struct instance *inst = call_instance(call, e);
	struct question *q;
	char *binary;

	if (!inst)
		return false;
	if (inst->broken)
		return err_set(e, ERR_WRONG_STATE, "the definition of '%s' cannot be read: %s", inst->name,
			       inst->broken->desc);
	binary = argv_binary(&inst->def, e);
	if (!binary)
		return false;
	q = xcalloc(1, sizeof(*q));
	q->d = call->d;
	q->ask = owed;
	q->binary = binary;
	q->stored = json_object_get(inst->stored);
	definition_decode(q->stored, &q->def, NULL);
	caps_ask(call->d->rt.caps, binary, on_caps, q);
	return true;
}

const struct command cmd_instance_argv = {
	.name = "instance-argv",
	.class = CLASS_QUERY,
	.params = rows,
	.args_size = sizeof(struct instance_args),
	.doc = "The command line that a start would use now. Nothing is touched: a path below /dev is taken for a "
	       "block "
	       "device, firmware for raw images, and no image is opened.",
	.returns = "{argv, text}: text is the same list for people, devices in QEMU's string notation",
	.ask = ask,
};
