/* SPDX-License-Identifier: BSD-2-Clause */
/* Displays: nobody looks, so a socket is held and a password taken. */
#include "fake.h"
#include "monitor.h"

#include <fcntl.h>
#include <unistd.h>

static struct json_object *display_update(struct ask *a)
{
	struct json_object *list = json_get_typed(a->args, "addresses", json_type_array);
	const char *name = list ? json_get_str(json_object_array_get_idx(list, 0), "str") : NULL;
	int fd = name && a->m ? monitor_take_name(a->m, name) : -1;

	if (fd < 0)
		return refuse(a, "GenericError", "File descriptor named '%s' has not been found", name ? name : "");
	fd_close(a->f->vnc);
	a->f->vnc = fd;
	return NULL;
}

static struct json_object *nothing(struct ask *a)
{
	return NULL;
}

/* Where it starts, as QEMU does; the signature of a PNG is all of it. */
static struct json_object *screendump(struct ask *a)
{
	static const char signature[] = "\x89PNG\r\n\x1a\n";
	const char *name = ask_str(a, "filename");
	_cleanup_close_ int fd = name ? open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;

	if (name && (fd < 0 || write(fd, signature, sizeof(signature) - 1) != sizeof(signature) - 1))
		return refuse(a, "GenericError", "failed to open file '%s'", name);
	return NULL;
}

const struct command display_commands[] = {
	{ "display-update", display_update, "*" },
	{ "expire_password", nothing, "protocol time" },
	{ "screendump", screendump, "filename device format" },
	{ "send-key", nothing, "*" },
	{ "set_password", nothing, "protocol password" },
	{ 0 },
};
