/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/autostart.h"

static const struct param rows[] = {
	{ "order", PARAM_INT, .min = 0, .max = 1000000, .def = "0", PARAM_AT(struct autostart, order) },
	{ "delay", PARAM_TIME, .max = 86400, .def = "0", PARAM_AT(struct autostart, delay) },
	PARAM_END
};

bool autostart_decode(struct json_object *value, struct autostart *ret, struct err **e)
{
	*ret = (struct autostart){ 0 };
	if (json_object_is_type(value, json_type_boolean)) {
		ret->on = json_object_get_boolean(value);
		return true;
	}
	if (!json_object_is_type(value, json_type_object))
		return err_set_param(e, "autostart", "must be true, false, or an object with 'order' and 'delay'");
	ret->on = true;
	return param_decode(rows, value, "autostart.", ret, e);
}
