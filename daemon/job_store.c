/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/job_store.h"

#include "base/file.h"
#include "base/log.h"

#include <string.h>

enum { STORE_VERSION = 1, NUMBERS_AT_ONCE = 1000 };

#define NUMBERS "last-job"

/* A rename for as many jobs; a life that does not use them up leaves a gap. */
static void reserve(struct daemon *d)
{
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_err_ struct err *e = NULL;

	if (!d->numbers && file_read_json(d->rt.dirs.run_fd, NUMBERS, &o, NULL) &&
	    json_get_int(o, "last", 0) > d->last_job)
		d->last_job = json_get_int(o, "last", 0);
	d->numbers = d->last_job + NUMBERS_AT_ONCE;
	json_object_put(o);
	o = json_object_new_object();
	json_add_int(o, "last", d->numbers);
	if (!file_write_json(d->rt.dirs.run_fd, NUMBERS, o, 0600, &e))
		log_warning("%s", e->desc);
}

int64_t job_store_number(struct daemon *d)
{
	if (d->last_job >= d->numbers)
		reserve(d);
	return ++d->last_job;
}

static char *file_name(const struct job *job)
{
	return xasprintf("%s.json", job->id);
}

void job_store_put(struct job *job)
{
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_free_ char *name = file_name(job);
	_cleanup_err_ struct err *e = NULL;

	if (!job->named)
		return;
	o = json_object_new_object();
	json_add_int(o, "version", STORE_VERSION);
	json_add_str(o, "id", job->id);
	json_add_str(o, "command", job->command->name);
	json_add_str(o, "subject", job->subject);
	json_add_time(o, "since", job->since);
	json_add_int(o, "uid", job->uid);
	json_add_int(o, "pid", job->pid);
	if (job->until > 0)
		json_add_time(o, "until", job->until);
	if (job->err)
		json_add(o, "error", err_to_json(job->err));
	else if (job->result)
		json_add(o, "result", json_object_get(job->result));
	if (!file_write_json(job->d->rt.dirs.jobs, name, o, 0600, &e))
		log_warning("job %s would not be known after a restart: %s", job->id, e->desc);
}

void job_store_drop(const struct job *job)
{
	_cleanup_free_ char *name = file_name(job);
	_cleanup_err_ struct err *e = NULL;

	if (job->named && !file_remove(job->d->rt.dirs.jobs, name, &e))
		log_warning("%s", e->desc);
}

static void load_one(const char *name, void *data)
{
	struct daemon *d = data;
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_err_ struct err *e = NULL;
	const char *id;

	if (name[0] == '.') {
		file_remove(d->rt.dirs.jobs, name, NULL); /* a temporary */
		return;
	}
	if (!file_read_json(d->rt.dirs.jobs, name, &o, &e)) {
		log_error("job '%s': %s; ignoring it", name, e->desc);
		return;
	}
	id = json_get_str(o, "id");
	if (json_get_int(o, "version", 0) != STORE_VERSION || !id || strlen(name) != strlen(id) + strlen(".json") ||
	    !str_starts(name, id) || !str_eq(name + strlen(id), ".json"))
		log_error("job '%s': its file is none of this droverd; ignoring it", name);
	else if (!job_find(d, id) && !job_restore(d, o, &e))
		log_error("job '%s': %s; ignoring it", name, e->desc);
}

void job_store_load(struct daemon *d)
{
	_cleanup_err_ struct err *e = NULL;

	if (!file_list(d->rt.dirs.jobs, load_one, d, &e))
		log_error("jobs: %s", e->desc);
}
