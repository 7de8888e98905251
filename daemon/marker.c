/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/marker.h"

#include "base/file.h"
#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char *file_name(const struct job *job)
{
	return xasprintf("%s%s.json", job->subject, job->op->lane == LANE_DESTROY ? "~destroy" : "");
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
	if (file_read_json(d->rt.dirs.operations, name, &o, &e) && job_recover(d, o, is_overtaken(d, name), &e))
		return;
	log_error("marker '%s': %s; moved aside to '%s'", name, e->desc, aside);
	renameat(d->rt.dirs.operations, name, d->rt.dirs.operations, aside);
}

void marker_recover_all(struct daemon *d)
{
	_cleanup_err_ struct err *e = NULL;

	if (!file_list(d->rt.dirs.operations, recover_one, d, &e))
		log_error("operations: %s", e->desc);
}
