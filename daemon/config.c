/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/config.h"

#include "base/file.h"
#include "runtime/hvparams.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

/* QEMU binds that of SPICE itself, as who may not bind the ports below. */
enum { PORT_MIN = 1024, PORT_MAX = 65535 };

struct file {
	struct json_object *hvparams;
	char *uids, *vnc_ports;
};

const struct param config_rows[] = { { "hvparams", PARAM_OBJECT, PARAM_AT(struct file, hvparams), .since = "0.1.0",
				       .doc = "Parameters of the hypervisor that a definition gets when it is defined "
					      "and does not say them; what is "
					      "defined already stays as it is." },
				     { "uids", PARAM_TEXT, .def = "\"2130000-2139999\"", .min = 1, .max = 21,
				       PARAM_AT(struct file, uids), .since = "0.1.0",
				       .doc = "The first and the last of the user ids for QEMUs with security_model "
					      "pool. No account may have one." },
				     { "vnc_ports", PARAM_TEXT, .def = "\"5900-6899\"", .min = 1, .max = 11,
				       PARAM_AT(struct file, vnc_ports), .since = "0.1.0",
				       .doc = "The first and the last of the TCP ports for VNC and SPICE; each display "
					      "gets the first that is free on its address." },
				     PARAM_END };

/* Digits up to END, of a number that fits. */
static bool read_number(const char *text, char end, unsigned *ret, const char **rest)
{
	unsigned long long n;
	char *p;

	if (!isdigit((unsigned char)*text))
		return false;
	n = strtoull(text, &p, 10);
	if (*p != end || n > UINT_MAX)
		return false;
	*ret = (unsigned)n;
	*rest = p + 1;
	return true;
}

/* "FIRST-LAST", both from MIN to MAX. */
static bool read_range(const char *text, unsigned min, unsigned max, unsigned *first, unsigned *last)
{
	const char *rest;

	return read_number(text, '-', first, &rest) && read_number(rest, '\0', last, &rest) && *first >= min &&
	       *first <= *last && *last <= max;
}

static bool take(struct config *c, struct json_object *o, struct err **e)
{
	struct file file;
	bool ok;

	if (!param_decode(config_rows, o, "", &file, e))
		return false;
	if (!read_range(file.uids, 1, (uid_t)-1 - 1, &c->uid_first, &c->uid_last))
		ok = err_set_param(e, "uids", "must be two user ids, none of them 0, such as 2130000-2139999");
	else if (!read_range(file.vnc_ports, PORT_MIN, PORT_MAX, &c->port_first, &c->port_last))
		ok = err_set_param(e, "vnc_ports", "must be two ports from %d to %d, such as 5900-6899", PORT_MIN,
				   PORT_MAX);
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
