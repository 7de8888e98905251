/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/marker.h"

#include "base/file.h"
#include "base/log.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char *name_of_file(const char *subject, const char *lane, const char *id)
{
	if (str_eq(lane, lane_name(LANE_BESIDE)))
		return xasprintf("%s~beside-%s.json", subject, id);
	return xasprintf("%s%s.json", subject, str_eq(lane, lane_name(LANE_DESTROY)) ? "~destroy" : "");
}

static char *file_name(const struct job *job)
{
	return name_of_file(job->subject, lane_name((enum lane)job->op->lane), job->id);
}

bool marker_write(struct job *job, struct err **e)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	_cleanup_free_ char *name = file_name(job);
	struct json_object *peer = json_object_new_object();
	const struct op *op = job->op;

	json_add_int(o, "version", MARKER_VERSION);
	json_add_str(o, "command", job->command->name);
	json_add(o, "arguments", json_object_get(job->raw));
	if (job->resolved)
		json_add(o, "resolved", json_object_get(job->resolved));
	json_add_str(o, "subject", job->subject);
	json_add_str(o, "lane", lane_name((enum lane)op->lane));
	json_add_int(o, "step", op->at);
	json_add_str(o, "step-name", op_step(op) ? op_step(op)->name : NULL);
	json_add_str(o, "direction", op->phase == OP_BACK ? "back" : "forward");
	json_add_bool(o, "committed", op->committed);
	if (op->cancelled)
		json_add_bool(o, "cancelled", true);
	if (op->stalled)
		json_add_bool(o, "stalled", true);
	json_add_str(o, "job-id", job->id);
	json_add_bool(o, "named", job->named);
	json_add_time(o, "since", job->since);
	json_add_int(peer, "uid", job->uid);
	json_add_int(peer, "pid", job->pid);
	json_add(o, "peer", peer);
	json_add_str(o, "failed", op->failed);
	if (op->err)
		json_add(o, "error", err_to_json(op->err));
	job->marked = true;
	return file_write_json(job->d->rt.dirs.operations, name, o, 0600, e);
}

void marker_remove(struct job *job)
{
	_cleanup_free_ char *name = file_name(job);
	_cleanup_err_ struct err *e = NULL;

	if (job->marked && !file_remove(job->d->rt.dirs.operations, name, &e))
		log_warning("%s", e->desc);
	job->marked = false;
}

/* Whether the one of NAME was cancelled by another that destroys, and that is still under way. */
static bool is_overtaken(const struct daemon *d, const char *name)
{
	const char *dot = strrchr(name, '.');
	_cleanup_free_ char *other = xasprintf("%.*s~destroy.json", (int)(dot ? dot - name : 0), name);

	return faccessat(d->rt.dirs.operations, other, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* All that is always in one, of these types: what a missing member stands for may be the end of a guest. And it is that
 * of the file it lies in, for that is the one which will be removed. */
static bool check(struct json_object *o, const char *file, struct err **e)
{
	static const struct {
		const char *name;
		enum json_type type;
	} members[] = {
		{ "version", json_type_int },      { "command", json_type_string },
		{ "arguments", json_type_object }, { "subject", json_type_string },
		{ "lane", json_type_string },      { "step", json_type_int },
		{ "direction", json_type_string }, { "committed", json_type_boolean },
		{ "job-id", json_type_string },
	};
	_cleanup_free_ char *name = NULL;
	const char *direction;

	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (!json_get_typed(o, members[i].name, members[i].type))
			return err_set(e, ERR_GENERIC, "without a '%s'", members[i].name);
	if (json_get_int(o, "version", 0) != MARKER_VERSION)
		return err_set(e, ERR_UNSUPPORTED, "of version %" PRId64, json_get_int(o, "version", 0));
	direction = json_get_str(o, "direction");
	/* How many steps a plan has depends on its arguments; op_recover() takes one that is too high for the last. */
	if (json_get_int(o, "step", -1) < 0 || json_get_int(o, "step", -1) > INT_MAX ||
	    (!str_eq(direction, "forward") && !str_eq(direction, "back")))
		return err_set(e, ERR_GENERIC, "of no step of any plan");
	name = name_of_file(json_get_str(o, "subject"), json_get_str(o, "lane"), json_get_str(o, "job-id"));
	if (!str_eq(name, file))
		return err_set(e, ERR_GENERIC, "of '%s'", json_get_str(o, "subject"));
	return true;
}

static void recover_one(const char *name, void *data)
{
	struct daemon *d = data;
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_free_ char *aside = xasprintf(".bad-%s", name);
	_cleanup_err_ struct err *e = NULL;

	if (name[0] == '.') {
		if (!str_starts(name, ".bad-"))
			file_remove(d->rt.dirs.operations, name, NULL); /* a temporary */
		return;
	}
	if (file_read_json(d->rt.dirs.operations, name, &o, &e) && check(o, name, &e) &&
	    job_recover(d, o, is_overtaken(d, name), &e))
		return;
	log_error("marker '%s': %s; moved aside to '%s'", name, e->desc, aside);
	file_remove_tree(d->rt.dirs.operations, aside, NULL);
	renameat(d->rt.dirs.operations, name, d->rt.dirs.operations, aside);
}

void marker_recover_all(struct daemon *d)
{
	_cleanup_err_ struct err *e = NULL;

	if (!file_list(d->rt.dirs.operations, recover_one, d, &e))
		log_error("operations: %s", e->desc);
}
