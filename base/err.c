/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/err.h"

#include <assert.h>
#include <errno.h>
#include <json-c/json.h>
#include <string.h>

static const struct err_class_info classes[] = {
	[ERR_GENERIC] = { "GenericError", 1, false, "Syntax that is not JSON, or a bug of drover." },
	[ERR_COMMAND_NOT_FOUND] = { "CommandNotFound", 2, false,
				    "There is no such command, or the session has not negotiated yet." },
	[ERR_INVALID_PARAMETER] = { "InvalidParameter", 2, false,
				    "An argument is missing, unknown or out of range; 'parameter' names it." },
	[ERR_NOT_FOUND] = { "NotFound", 3, false, "The named thing does not exist." },
	[ERR_EXISTS] = { "Exists", 4, false, "Another thing has that name or identity." },
	[ERR_WRONG_STATE] = { "WrongState", 5, false, "Not possible in the present state." },
	[ERR_BUSY] = { "Busy", 6, true, "Another operation is under way, or a limit of sessions is reached." },
	[ERR_NO_SLOT] = { "NoSlot", 7, false, "No free address on the bus." },
	[ERR_NO_SPACE] = { "NoSpace", 8, false, "Something is full." },
	[ERR_PERMISSION_DENIED] = { "PermissionDenied", 9, false, "The host refused." },
	[ERR_UNSUPPORTED] = { "Unsupported", 10, false, "This binary, machine or version of drover lacks it." },
	[ERR_TIMEOUT] = { "Timeout", 11, true, "No answer in time; the text says whether it may still take effect." },
	[ERR_CANCELLED] = { "Cancelled", 12, false, "Cancelled on request." },
	[ERR_GUEST_REFUSED] = { "GuestRefused", 13, false, "The guest said no." },
	[ERR_GUEST_GONE] = { "GuestGone", 14, false, "QEMU ended meanwhile." },
	[ERR_QEMU] = { "QemuError", 15, false, "QEMU refused; its own words follow." },
	[ERR_STORAGE] = { "StorageError", 16, false, "An image or volume could not be used; its own words follow." },
	[ERR_NETWORK] = { "NetworkError", 17, false, "A network device could not be used; its own words follow." },
	[ERR_GAP] = { "Gap", 18, false, "Events were lost; 'oldest' is the first that is kept." },
	[ERR_UNAVAILABLE] = { "Unavailable", 19, true, "The client found no daemon." },
};
static_assert(ARRAY_SIZE(classes) == ERR_CLASS_COUNT, "one row per class");

const struct err_class_info *err_class_info(enum err_class class)
{
	return &classes[class];
}

enum err_class err_class_from_name(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_SIZE(classes); i++)
		if (str_eq(classes[i].name, name))
			return (enum err_class)i;
	return ERR_GENERIC;
}

struct json_object *err_describe(void)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
		struct json_object *row = json_object_new_object();

		json_object_object_add(row, "name", json_object_new_string(classes[i].name));
		json_object_object_add(row, "exit", json_object_new_int(classes[i].exit));
		json_object_object_add(row, "retry", json_object_new_boolean(classes[i].retry));
		json_object_object_add(row, "doc", json_object_new_string(classes[i].doc));
		json_object_array_add(list, row);
	}
	return list;
}

/* Takes DESC. */
static bool err_put(struct err **e, enum err_class class, char *desc)
{
	if (!e) {
		free(desc);
		return false;
	}
	assert(!*e);
	*e = xcalloc(1, sizeof(**e));
	(*e)->class = class;
	(*e)->desc = desc;
	return false;
}

bool err_set(struct err **e, enum err_class class, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err_put(e, class, xvasprintf(fmt, ap));
	va_end(ap);
	return false;
}

static enum err_class class_of_errno(int errnum, enum err_class fallback)
{
	switch (errnum) {
	case ENOENT:
		return ERR_NOT_FOUND;
	case ENOSPC:
	case EDQUOT:
		return ERR_NO_SPACE;
	case EACCES:
	case EPERM:
	case EROFS:
		return ERR_PERMISSION_DENIED;
	default:
		return fallback;
	}
}

bool err_set_errno(struct err **e, enum err_class fallback, int errnum, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	return err_put(e, class_of_errno(errnum, fallback), xasprintf("%s: %s", text, strerror(errnum)));
}

bool err_set_param(struct err **e, const char *name, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	if (!e)
		return false;
	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	err_set(e, ERR_INVALID_PARAMETER, "'%s': %s", name, text);
	return err_name_param(e, name);
}

bool err_name_param(struct err **e, const char *name)
{
	if (e && *e)
		err_add(*e, "parameter", json_object_new_string(name));
	return false;
}

void err_keep_first(struct err **e, struct err *src)
{
	if (*e)
		err_free(src);
	else
		*e = src;
}

struct err *err_copy(const struct err *e)
{
	struct err *copy = NULL;

	if (!e)
		return NULL;
	err_put(&copy, e->class, xstrdup(e->desc));
	if (e->extra)
		json_object_deep_copy(e->extra, &copy->extra, NULL);
	return copy;
}

struct err *err_free(struct err *e)
{
	if (e) {
		free(e->desc);
		json_object_put(e->extra);
		free(e);
	}
	return NULL;
}

void err_add(struct err *e, const char *key, struct json_object *value)
{
	if (!e->extra)
		e->extra = json_object_new_object();
	json_object_object_add(e->extra, key, value);
}

void err_prefix(struct err *e, const char *fmt, ...)
{
	_cleanup_free_ char *old = e->desc, *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	e->desc = xasprintf("%s: %s", text, old);
}

struct json_object *err_to_json(const struct err *e)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "class", json_object_new_string(classes[e->class].name));
	json_object_object_add(o, "desc", json_object_new_string(e->desc));
	if (e->extra) {
		json_object_object_foreach(e->extra, key, value)
			json_object_object_add(o, key, json_object_get(value));
	}
	return o;
}

struct err *err_from_json(struct json_object *o)
{
	struct err *e = NULL;
	const char *class = json_object_get_string(json_object_object_get(o, "class"));
	const char *desc = json_object_get_string(json_object_object_get(o, "desc"));

	err_set(&e, err_class_from_name(class), "%s", desc ? desc : "no description");
	if (json_object_is_type(o, json_type_object)) {
		json_object_object_foreach(o, key, value)
			if (!str_eq(key, "class") && !str_eq(key, "desc"))
				err_add(e, key, json_object_get(value));
	}
	return e;
}
