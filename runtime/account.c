/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/account.h"

#include "base/file_work.h"
#include "runtime/confine.h"

enum { LOOK_MS = 30000 };

void account_unref(void *data)
{
	struct account *a = data;

	if (!a || --a->refs)
		return;
	free(a->domain);
	free(a);
}

static bool look(void *data, struct err **e)
{
	struct account *a = data;

	return confine_user(a->domain, &a->uid, &a->gid, e);
}

static enum verdict look_up(struct op *op, void *arg)
{
	struct account *a = arg;

	a->refs++;
	return file_look(op, look, a, account_unref);
}

static const struct step step_look = { "look its account up", look_up, .timeout_ms = LOOK_MS };

struct account *account_plan(struct op *op, const struct hvparams *hv)
{
	struct account *a;

	if (security_model_of(hv) != SECURITY_USER)
		return NULL;
	a = xcalloc(1, sizeof(*a));
	a->refs = 1;
	a->domain = xstrdup(hv->security_domain);
	op_add(op, &step_look, a);
	return a;
}
