/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/fit.h"

#include "runtime/pinning.h"
#include "runtime/processor.h"

#include <string.h>
#include <sys/resource.h>

/* Models that one binary has and another has not. */
static bool model_fits(const struct prepare *p, struct err **e)
{
	const struct hvparams *hv = &p->inst->def.hvparams;
	_cleanup_free_ char *model = processor_model(hv);

	if (str_empty(model))
		return true;
	if (processor_needs_kvm(hv) && !p->kvm && !p->accel.works)
		err_set(e, ERR_UNSUPPORTED, "'hvparams.cpu_type': '%s' needs KVM, which does not work here", model);
	else if (!processor_needs_kvm(hv) && caps_has_cpu(p->caps, "qemu64") && !caps_has_cpu(p->caps, model))
		err_set(e, ERR_UNSUPPORTED, "'hvparams.cpu_type': '%s' has no model '%s'", p->binary, model);
	else
		return true;
	return err_name_param(e, "hvparams.cpu_type");
}

/* An unprivileged process may not raise it, nor may one that was kept from it, be it root's. */
static bool lock_fits(const struct hvparams *hv, struct err **e)
{
	struct rlimit old, all;

	if (!hv->mem_lock || getrlimit(RLIMIT_MEMLOCK, &old) < 0 || old.rlim_max == RLIM_INFINITY)
		return true;
	all = (struct rlimit){ old.rlim_cur, RLIM_INFINITY };
	if (setrlimit(RLIMIT_MEMLOCK, &all) == 0) { /* then the launcher may as well */
		setrlimit(RLIMIT_MEMLOCK, &old);
		return true;
	}
	err_set(e, ERR_PERMISSION_DENIED,
		"'hvparams.mem_lock': droverd may not lock so much memory; its limit of locked memory must be "
		"unlimited "
		"(LimitMEMLOCK= of a service)");
	return err_name_param(e, "hvparams.mem_lock");
}

static enum verdict look(struct op *op, void *arg)
{
	const struct prepare *p = arg;
	const struct hvparams *hv = &p->inst->def.hvparams;
	struct err *e = NULL;

	return pinning_fits(hv, &e) && lock_fits(hv, &e) && model_fits(p, &e) ? OP_DONE : op_fail_err(op, e);
}

/* What is said when a parameter is at fault. */
static const struct {
	const char *words, *parameter;
} signs[] = {
	{ "cannot run on the processors", "hvparams.cpu_mask" },
	{ "cannot limit locked memory", "hvparams.mem_lock" },
	{ "locking memory failed", "hvparams.mem_lock" },
	{ "mlock", "hvparams.mem_lock" },
	{ "backing store", "hvparams.mem_path" },
	{ "prealloc", "hvparams.mem_path" },
	{ "allocate guest RAM", "hvparams.mem_path" },
};

static bool is_set(const struct hvparams *hv, const char *parameter)
{
	if (str_eq(parameter, "hvparams.mem_lock"))
		return hv->mem_lock;
	return str_eq(parameter, "hvparams.mem_path") ? !str_empty(hv->mem_path) : true;
}

static enum verdict blame(struct op *op, void *arg)
{
	const struct prepare *p = arg;
	const char *log = op->err ? json_get_str(op->err->extra, "log") : NULL;

	if (!op->err || json_get_str(op->err->extra, "parameter"))
		return OP_DONE;
	for (size_t i = 0; i < ARRAY_SIZE(signs); i++) {
		if (!strstr(op->err->desc, signs[i].words) && !(log && strstr(log, signs[i].words)))
			continue;
		if (!is_set(&p->inst->def.hvparams, signs[i].parameter))
			continue;
		err_prefix(op->err, "'%s'", signs[i].parameter);
		err_name_param(&op->err, signs[i].parameter);
		break;
	}
	return OP_DONE;
}

const struct step fit_look = { "see whether the host can", look, blame };
