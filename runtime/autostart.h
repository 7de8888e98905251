/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The member `autostart` of a definition: true, false, or an object with `order` and `delay`, which says true.
 */
#ifndef DROVER_RUNTIME_AUTOSTART_H
#define DROVER_RUNTIME_AUTOSTART_H

#include "base/param.h"

struct autostart {
	bool on;
	int64_t order; /* lower ones first, equal ones together */
	double delay;  /* seconds before the next order */
};

/* VALUE NULL stands for JSON's null. Errors name the member ("autostart.order"). */
bool autostart_decode(struct json_object *value, struct autostart *ret, struct err **e);

#endif
