/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/config.h"

#include "base/file.h"
#include "runtime/hvparams.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>

struct file {
	struct json_object *hvparams;
	char *uids;
};

const struct param config_rows[] = { { "hvparams", PARAM_OBJECT, PARAM_AT(struct file, hvparams), .since = "0.1.0",
				       .doc = "Parameters of the hypervisor that a definition gets when it is defined "
					      "and does not say them; what is "
					      "defined already stays as it is." },
				     { "uids", PARAM_TEXT, .def = "\"2130000-2139999\"", .min = 1, .max = 21,
				       PARAM_AT(struct file, uids), .since = "0.1.0",
				       .doc = "The first and the last of the user ids for QEMUs with security_model "
					      "pool. No account may have one." },
				     PARAM_END };

/* Digits up to END, of a number that fits. */
static bool read_uid(const char *text, char end, uid_t *ret, const char **rest)
{
	unsigned long long n;
	char *p;

	if (!isdigit((unsigned char)*text))
		return false;
	n = strtoull(text, &p, 10);
	if (*p != end || n >= (uid_t)-1)
		return false;
	*ret = (uid_t)n;
	*rest = p + 1;
	return true;
}

static bool take(struct config *c, struct json_object *o, struct err **e)
{
	struct file file;
	const char *rest;
	bool ok;

	if (!param_decode(config_rows, o, "", &file, e))
		return false;
	ok = read_uid(file.uids, '-', &c->uid_first, &rest) && read_uid(rest, '\0', &c->uid_last, &rest) &&
	     c->uid_first > 0 && c->uid_first <= c->uid_last;
	if (!ok)
		err_set_param(e, "uids", "must be two user ids, none of them 0, such as 2130000-2139999");
	else
		ok = param_check(hvparam_rows, file.hvparams, "hvparams.", e);
	if (ok)
		c->hvparams = json_object_get(file.hvparams);
	param_clear(config_rows, &file);
	return ok;
}

bool config_read(struct config *c, const char *etc, struct err **e)
{
	_cleanup_free_ char *path = xasprintf("%s/droverd.json", etc);
	_cleanup_json_ struct json_object *o = NULL;
	struct err *why = NULL;

	*c = (struct config){ 0 };
	if (!file_read_json(AT_FDCWD, path, &o, &why) && why->class == ERR_NOT_FOUND)
		why = err_free(why);
	if (!why && take(c, o, &why))
		return true;
	err_prefix(why, "%s", path);
	err_keep_first(e, why);
	return false;
}

void config_complete(const struct config *c, struct json_object *given)
{
	struct json_object *hv = json_get_typed(given, "hvparams", json_type_object), *any;

	if (!c->hvparams)
		return;
	if (!hv && json_object_object_get_ex(given, "hvparams", &any))
		return; /* it is no object, which the rows will say */
	if (!hv) {
		hv = json_object_new_object();
		json_add(given, "hvparams", hv);
	}
	json_object_object_foreach(c->hvparams, name, value) {
		if (!json_object_object_get_ex(hv, name, &any))
			json_add(hv, name, json_object_get(value));
	}
}
