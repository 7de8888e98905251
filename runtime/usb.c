/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/usb.h"

#include <inttypes.h>
#include <string.h>

#define DEVICES "hvparams.usb_devices"
#define CONTROLLER "qemu-xhci"
#define BLANKS ", \t\n"

enum { PORTS = 8 };

/* What QEMU's -usbdevice called them. */
static const struct kind {
	const char *word, *driver;
} kinds[] = {
	{ "tablet", "usb-tablet" },
	{ "mouse", "usb-mouse" },
	{ "keyboard", "usb-kbd" },
	{ "wacom-tablet", "usb-wacom-tablet" },
};

struct list {
	const struct kind *items[PORTS + 1]; /* one too many can be seen */
	size_t n;
};

static const struct kind *find_kind(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (str_eq(kinds[i].word, word))
			return &kinds[i];
	return NULL;
}

static void add(struct list *l, const struct kind *kind)
{
	if (l->n < ARRAY_SIZE(l->items))
		l->items[l->n++] = kind;
}

static bool has(const struct list *l, const char *word)
{
	for (size_t i = 0; i < l->n; i++)
		if (str_eq(l->items[i]->word, word))
			return true;
	return false;
}

/* The pointer first. The one that VNC needs, where nobody asked for any, comes last. */
static bool list_devices(const struct hvparams *hv, struct list *l, struct err **e)
{
	static const char *const pointers[] = { [USB_MOUSE_MOUSE] = "mouse", [USB_MOUSE_TABLET] = "tablet" };
	_cleanup_free_ char *copy = xstrdup(hv->usb_devices);

	*l = (struct list){ .n = 0 };
	if (hv->usb_mouse != USB_MOUSE_NONE)
		add(l, find_kind(pointers[hv->usb_mouse]));
	for (char *save = NULL, *word = strtok_r(copy, BLANKS, &save); word; word = strtok_r(NULL, BLANKS, &save)) {
		const struct kind *kind = find_kind(word);

		if (!kind)
			return err_set_param(
				e, DEVICES,
				"'%s' is none of tablet, mouse, keyboard, wacom-tablet; what takes parameters, "
				"such as a device of the host, is for kvm_extra",
				word);
		add(l, kind);
	}
	if (!str_empty(hv->usb_devices) && !hv->usb_devices[strspn(hv->usb_devices, BLANKS)])
		return err_set_param(e, DEVICES, "names no device");
	if (hv->usb_mouse == USB_MOUSE_NONE && !str_empty(hv->vnc_bind_address) && !has(l, "tablet"))
		add(l, find_kind("tablet"));
	return l->n <= PORTS || err_set_param(e, DEVICES, "more than %d devices", PORTS);
}

bool usb_check(const struct hvparams *hv, struct err **e)
{
	struct list list;

	return list_devices(hv, &list, e);
}

bool usb_fits(const struct definition *def, const struct argv_env *env, struct err **e)
{
	struct list list;

	if (!list_devices(&def->hvparams, &list, e))
		return false;
	for (size_t i = 0; i < list.n && env->has; i++) {
		const char *driver = env->has(CONTROLLER, NULL, env->data) ? list.items[i]->driver : CONTROLLER;

		if (env->has(driver, NULL, env->data))
			continue;
		err_set(e, ERR_UNSUPPORTED, "'%s': '%s' has no device '%s'", DEVICES, env->binary, driver);
		return err_name_param(e, DEVICES);
	}
	return true;
}

void usb_parts(const struct definition *def, const struct argv_env *env, struct parts *parts)
{
	struct json_object *o;
	struct list list;

	if (!list_devices(&def->hvparams, &list, NULL) || list.n == 0)
		return;
	o = device_new(def, CONTROLLER, "xhci", "0x7", 4);
	json_add_int(o, "p2", PORTS);
	json_add_int(o, "p3", PORTS);
	parts_add_device(parts, env, o);
	for (size_t i = 0; i < list.n; i++) {
		_cleanup_free_ char *id = xasprintf("usb-%zu", i), *port = xasprintf("%zu", i + 1);

		o = json_object_new_object();
		json_add_str(o, "driver", list.items[i]->driver);
		json_add_str(o, "id", id);
		json_add_str(o, "bus", "xhci.0");
		json_add_str(o, "port", port);
		parts_add_device(parts, env, o);
	}
}
