/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/leaving.h"

#include "base/file.h"
#include "base/file_work.h"
#include "base/log.h"
#include "runtime/device_record.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const char ending[] = ".leaving";

/* What the thread pool is given. */
struct work {
	struct runtime *rt; /* for the loop */
	int dir;            /* lib/instances */
	char *name, *id;
};

static char *path_of(const char *name, const char *id)
{
	return xasprintf("%s/%s%s", name, id, ending);
}

static bool put(void *data, struct err **e)
{
	const struct work *w = data;
	_cleanup_free_ char *file = xasprintf("%s%s", w->id, ending);
	_cleanup_close_ int dir = file_open_dir(w->dir, w->name, e);

	return dir >= 0 && file_write(dir, file, "", 0600, true, e);
}

/* On the loop again: meanwhile the guest may have refused, or let go. */
static void put_ended(void *data)
{
	struct work *w = data;
	const struct instance *inst = instance_find(w->rt, w->name);
	struct json_object *shown = inst ? device_record_find(inst, w->id, NULL) : NULL;

	if (inst && device_record_state(shown) != DEVICE_DETACH_PENDING)
		leaving_forget(inst, w->id);
	free(w->name);
	free(w->id);
	free(w);
}

enum verdict leaving_put(struct op *op, struct instance *inst, const char *id)
{
	struct work *w = xcalloc(1, sizeof(*w));

	*w = (struct work){ inst->rt, inst->rt->dirs.lib_instances, xstrdup(inst->name), xstrdup(id) };
	return file_work(op, put, w, put_ended);
}

void leaving_forget(const struct instance *inst, const char *id)
{
	_cleanup_free_ char *path = path_of(inst->name, id);
	_cleanup_err_ struct err *e = NULL;

	if (!file_remove(inst->rt->dirs.lib_instances, path, &e))
		log_write(LOG_WARNING, inst->name, "%s", e->desc);
}

static void note(const char *file, void *data)
{
	size_t len = strlen(file), end = sizeof(ending) - 1;

	if (len > end && str_eq(file + len - end, ending))
		json_object_array_add(data, json_object_new_string_len(file, (int)(len - end)));
}

struct json_object *leaving_ids(const struct runtime *rt, const char *name)
{
	struct json_object *ids = json_object_new_array();
	_cleanup_close_ int dir = file_open_dir(rt->dirs.lib_instances, name, NULL);

	if (dir >= 0)
		file_list(dir, note, ids, NULL);
	return ids;
}

/* A definition that cannot be read, or written, keeps them and what tells of them. */
static bool take_off(int dir, struct json_object *ids, struct err **e)
{
	static const char file[] = "definition.json";
	_cleanup_json_ struct json_object *stored = NULL, *left = NULL;
	_cleanup_free_ char *text = NULL;

	if (!file_read_json(dir, file, &stored, e))
		return false;
	left = definition_without(stored, ids);
	text = json_print(left);
	if (!json_object_equal(stored, left) && !file_write(dir, file, text, 0600, true, e))
		return false;
	for (size_t i = 0; i < json_object_array_length(ids); i++) {
		_cleanup_free_ char *name = xasprintf("%s%s", json_object_get_string(json_object_array_get_idx(ids, i)),
						      ending);

		if (!file_remove_tree(dir, name, e))
			return false;
	}
	return true;
}

void leaving_recover(struct runtime *rt, const char *name)
{
	_cleanup_json_ struct json_object *ids = leaving_ids(rt, name);
	_cleanup_close_ int dir = -1;
	_cleanup_err_ struct err *e = NULL;

	if (json_object_array_length(ids) == 0 ||
	    faccessat(rt->dirs.run_instances, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return;
	dir = file_open_dir(rt->dirs.lib_instances, name, &e);
	if (dir >= 0 && take_off(dir, ids, &e))
		log_write(LOG_NOTICE, name, "devices that were to leave have gone with the process: %s",
			  json_object_to_json_string(ids));
	else
		log_write(LOG_WARNING, name, "devices that were to leave stay: %s", e->desc);
}
