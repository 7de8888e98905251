/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/meaning.h"

#include "runtime/display.h"
#include "runtime/pending.h"

#include <string.h>

static bool has_same_accel(const struct hvparams *a, const struct hvparams *b)
{
	return accel_of(a) == accel_of(b);
}

static bool has_same_reboot(const struct hvparams *a, const struct hvparams *b)
{
	return on_reboot_of(a) == on_reboot_of(b);
}

static bool has_same_security(const struct hvparams *a, const struct hvparams *b)
{
	return security_model_of(a) == security_model_of(b);
}

static bool has_display(const struct hvparams *hv)
{
	return display_has_vnc(hv) || display_has_spice(hv);
}

static bool has_no_display(const struct hvparams *a, const struct hvparams *b)
{
	return !has_display(a) && !has_display(b);
}

static const struct word {
	const char *path;
	bool (*is_same)(const struct hvparams *a, const struct hvparams *b);
} words[] = {
	{ "hvparams.accel", has_same_accel },
	{ "hvparams.kvm_flag", has_same_accel },
	{ "hvparams.keymap", has_no_display },
	{ "hvparams.on_reboot", has_same_reboot },
	{ "hvparams.reboot_behavior", has_same_reboot },
	{ "hvparams.security_model", has_same_security },
};

static bool is_same(const char *path, const struct hvparams *a, const struct hvparams *b)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (str_eq(words[i].path, path))
			return words[i].is_same(a, b);
	return false;
}

static struct json_object *hvparams_in(struct json_object *definition)
{
	return json_get_typed(definition, "hvparams", json_type_object);
}

static bool lists(struct json_object *list, const char *path)
{
	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (str_eq(json_get_str(json_object_array_get_idx(list, i), "path"), path))
			return true;
	return false;
}

/* The type of a device, which says something else where it is another device. */
static bool is_type_alone(struct json_object *list, const char *path)
{
	const char *end = strstr(path, "].type");
	_cleanup_free_ char *driver = end ? xasprintf("%.*s].hvinfo.driver", (int)(end - path), path) : NULL;

	return driver && !lists(list, driver);
}

static void leave_out(struct json_object *list, const struct hvparams *a, const struct hvparams *b)
{
	for (size_t i = json_object_array_length(list); i-- > 0;) {
		const char *path = json_get_str(json_object_array_get_idx(list, i), "path");

		if (is_same(path, a, b) || is_type_alone(list, path))
			json_object_array_del_idx(list, i, 1);
	}
}

struct json_object *definition_pending(struct json_object *running, struct json_object *wanted)
{
	struct json_object *list = pending_list(definition_rows, running, wanted);
	struct hvparams a, b;

	if (!param_decode(hvparam_rows, hvparams_in(running), "", &a, NULL))
		return list;
	if (param_decode(hvparam_rows, hvparams_in(wanted), "", &b, NULL)) {
		leave_out(list, &a, &b);
		param_clear(hvparam_rows, &b);
	}
	param_clear(hvparam_rows, &a);
	return list;
}
