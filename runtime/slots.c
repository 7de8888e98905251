/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/slots.h"

bool slots_assign(struct definition *def, const struct definition *old, struct err **e)
{
	return true;
}

struct json_object *slots_describe(const struct definition *def)
{
	return json_object_new_array();
}
