/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What Ganeti starts, and drover's own rules would refuse: made into what it means.
 */
#include "runtime/display.h"
#include "runtime/ganeti_private.h"
#include "runtime/warnings.h"

/* Ganeti has no other way to say that a display is anybody's. */
static void allow_displays(struct ganeti *g, struct json_object *hv)
{
	static const struct {
		const char *bind, *password;
	} displays[] = { { "vnc_bind_address", "vnc_password_file" }, { "spice_bind", "spice_password_file" } };

	for (size_t i = 0; i < ARRAY_SIZE(displays); i++) {
		const char *bind = json_get_str(hv, displays[i].bind);
		_cleanup_free_ char *place = xasprintf("document[2].%s", displays[i].bind);

		if (!bind || !bind_is_wildcard(bind) || json_get_str(hv, displays[i].password))
			continue;
		json_add_bool(hv, "display_without_password", true);
		warnings_add(g->warnings, place,
			     "%s without a password: who reaches the host sees and uses the guest, as before "
			     "('display_without_password'); set '%s'",
			     bind, displays[i].password);
	}
}

/* Beside the default of the other, which often is a cluster's and not the instance's. */
static void leave_out_idle(struct ganeti *g, struct json_object *hv)
{
	static const struct {
		const char *name, *needs;
	} idle[] = { { "initrd_path", "kernel_path" },
		     { "vnc_x509_path", "vnc_tls" },
		     { "vnc_x509_verify", "vnc_x509_path" } };

	for (size_t i = 0; i < ARRAY_SIZE(idle); i++) {
		_cleanup_free_ char *place = xasprintf("document[2].%s", idle[i].name);

		if (!json_object_object_get_ex(hv, idle[i].name, NULL) ||
		    json_object_object_get_ex(hv, idle[i].needs, NULL))
			continue;
		json_object_object_del(hv, idle[i].name);
		warnings_add(g->warnings, place, "means nothing without '%s', and is left out", idle[i].needs);
	}
}

void ganeti_loosen(struct ganeti *g, struct json_object *hv)
{
	allow_displays(g, hv);
	leave_out_idle(g, hv);
}
