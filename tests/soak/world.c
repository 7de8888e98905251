/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What has to be so of every world, whatever has happened. A check gives a complaint, or NULL; what is at rest has none.
 */
#include "base/file.h"
#include "runtime/instance.h"
#include "soak.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { POLL_US = 10000, REST_SECONDS = 120, HEAL_SECONDS = 3, FDS_EACH = 5, RSS_KIB = 32 * 1024 };

#if defined(__SANITIZE_ADDRESS__)
static const bool sanitized = true;
#else
static const bool sanitized = false;
#endif

static struct json_object *ask(const char *command, const char *args)
{
	struct json_object *reply, *ret;

	do
		life_connect(&round_.witness);
	while (!(reply = peer_ask(&round_.witness, command, args)));
	ret = json_object_get(json_object_object_get(reply, "return"));
	json_object_put(reply);
	return ret;
}

static struct json_object *ask_instance(const char *command, const char *name, const char *more)
{
	_cleanup_free_ char *args = xasprintf("{\"instance\": \"%s\"%s}", name, more);

	return ask(command, args);
}

/* ---- rest ---- */

static char *complain_of_jobs(void)
{
	_cleanup_json_ struct json_object *jobs = ask("query-jobs", "{}");

	for (size_t i = 0; i < json_object_array_length(jobs); i++) {
		struct json_object *o = json_object_array_get_idx(jobs, i);

		if (!str_eq(str_at(o, "status"), "concluded"))
			return xasprintf("a job is under way: %s", json_object_to_json_string(o));
	}
	return NULL;
}

static char *complain_of_clients(void)
{
	for (unsigned i = 0; i < round_.n_peers; i++) {
		_cleanup_free_ char *text = NULL;

		peer_listen(&round_.peers[i], 0, 0);
		if (!peer_open_requests(&round_.peers[i]))
			continue;
		text = peer_describe(&round_.peers[i]);
		return xasprintf("client %u has no reply to%s", i, text);
	}
	return NULL;
}

/* ---- an instance ---- */

static char *complain_of_process(struct json_object *o, const struct machine *m, pid_t pid)
{
	const char *name = str_at(o, "name");
	struct json_object *process = json_get_typed(json_get_typed(o, "runtime", json_type_object), "process",
						     json_type_object);
	_cleanup_json_ struct json_object *answer = NULL;
	const char *status;

	if (!m->lost && (json_get_int(process, "pid", 0) != pid ||
			 json_get_int(process, "start-time", 0) != (int64_t)process_start_time(pid)))
		return xasprintf("process %d of '%s' is not that of %s", pid, name, json_object_to_json_string(o));
	if (!m->orphan && !machine_holder(name, "lock"))
		return xasprintf("process %d of '%s' has no keeper", pid, name);
	if (m->liar)
		return NULL;
	if (!str_eq(json_get_str(o, "monitor"), "ok"))
		return xasprintf("the monitor of '%s' is %s", name, json_get_str(o, "monitor"));
	answer = ask_instance("instance-qmp", name, ", \"execute\": \"query-status\"");
	status = json_get_str(answer, "status");
	if (!status || !str_eq(status, str_at(o, "status")) ||
	    !str_eq(state_name(state_of_status(status)), str_at(o, "state")))
		return xasprintf("'%s' is %s (%s), and QEMU says %s", name, str_at(o, "state"), str_at(o, "status"),
				 status ? status : "nothing");
	return NULL;
}

static char *complain_of_definition(struct json_object *o)
{
	_cleanup_free_ char *file = rig_file(round_.r, "lib/instances/%s/definition.json", str_at(o, "name"));
	_cleanup_json_ struct json_object *stored = NULL;

	if (!file || !json_parse(file, strlen(file), &json_limits_qemu, &stored, NULL))
		return xasprintf("the definition of '%s' on the disk is %s", str_at(o, "name"),
				 file ? file : "not there");
	if (!json_object_equal(stored, at(o, "definition")))
		return xasprintf("the definition of '%s' on the disk is not that which is told: %s", str_at(o, "name"),
				 file);
	return NULL;
}

static char *complain_of_one(const char *name)
{
	_cleanup_json_ struct json_object *o = ask_instance("query-instance", name, "");
	const struct machine *m = machine_find(name);
	pid_t pid = machine_holder(name, "qemu.lock");
	const char *state;
	char *complaint;

	if (!o || !m)
		return xasprintf("'%s' is listed, and not there", name);
	if (has(o, "error") && !m->broken)
		return xasprintf("'%s' is broken: %s", name, json_object_to_json_string(o));
	state = str_at(o, "state");
	if (has(o, "operation.job-id"))
		return xasprintf("an operation is under way: %s", json_object_to_json_string(o));
	if (json_get_int(o, "pid", 0) != pid)
		return xasprintf("'%s' is told to be process %d and is %d", name, (int)json_get_int(o, "pid", 0), pid);
	if (!pid && !str_eq(state, "shutoff") && !str_eq(state, "crashed"))
		return xasprintf("'%s' has no process and is %s", name, state);
	if (!pid && json_object_object_get(o, "runtime"))
		return xasprintf("'%s' has no process and a runtime record", name);
	if (has(o, "error"))
		return NULL;
	if (pid && !m->liar && str_eq(state, "nostate"))
		return xasprintf("nobody knows the state of '%s'", name);
	complaint = complain_of_definition(o);
	return complaint || !pid ? complaint : complain_of_process(o, m, pid);
}

static char *complain_of_instances(void)
{
	_cleanup_json_ struct json_object *list = ask("query-instances", "{}");
	char *complaint = NULL;

	for (size_t i = 0; i < json_object_array_length(list) && !complaint; i++)
		complaint = complain_of_one(str_at(json_object_array_get_idx(list, i), "name"));
	return complaint;
}

/* ---- files, control groups, processes ---- */

static bool is_listed(const char *name)
{
	_cleanup_json_ struct json_object *o = ask_instance("query-instance", name, "");

	return o && str_eq(str_at(o, "name"), name);
}

/* Of an instance NAME; FILE: "" for its directory. */
static bool may_be(const char *dir, const char *name, const char *file)
{
	static const char *const stored[] = { "", "/definition.json", "/state.json" };
	static const char *const running[] = {
		"",          "/runtime.json", "/observed.json", "/events.log", "/lock", "/qemu.lock",
		"/qmp.sock", "/qmp2.sock",    "/serial.sock",   "/agent.sock", "/q"
	};
	bool runs = str_eq(dir, "run/instances/");
	const char *const *files = runs ? running : stored;

	for (size_t i = 0; i < (runs ? ARRAY_SIZE(running) : ARRAY_SIZE(stored)); i++)
		if (str_eq(files[i], file))
			return runs ? machine_holder(name, "qemu.lock") != 0 : is_listed(name);
	return false;
}

static bool is_expected(const char *line)
{
	static const char *const dirs[] = { "run/instances/", "lib/instances/" };
	_cleanup_free_ char *whole = xasprintf("%s\n", line);

	if (strstr(round_.before, whole) || str_starts(line, "process "))
		return true;
	if (str_starts(line, "cgroup "))
		return machine_holder(line + strlen("cgroup "), "qemu.lock") != 0;
	if (round_.moved && str_starts(line, "file run/operations/.bad-"))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(dirs) && str_starts(line, "file "); i++) {
		const char *name = line + strlen("file ");
		_cleanup_free_ char *only = NULL;
		size_t len;

		if (!str_starts(name, dirs[i]))
			continue;
		name += strlen(dirs[i]);
		len = strcspn(name, "/");
		only = xstrndup(name, len);
		return may_be(dirs[i], only, name + len);
	}
	return false;
}

static char *complain_of_files(void)
{
	_cleanup_free_ char *all = rig_world(round_.r, false);
	char *save = NULL;

	for (char *line = strtok_r(all, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (!is_expected(line))
			return xasprintf("nobody wants '%s'", line);
	return NULL;
}

static bool is_known(pid_t pid)
{
	static const char *const locks[] = { "lock", "qemu.lock" };

	for (unsigned i = 0; i < round_.n_machines * 2; i++)
		for (size_t j = 0; j < ARRAY_SIZE(locks); j++)
			if (machine_holder(round_.machines[i / 2].names[i % 2], locks[j]) == pid)
				return true;
	return pid == getpid() || pid == round_.r->pid;
}

/* As process 1 we see all that is left. */
static char *complain_of_processes(void)
{
	DIR *proc = getpid() == 1 ? opendir("/proc") : NULL;
	char *complaint = NULL;
	struct dirent *d;

	while (proc && !complaint && (d = readdir(proc))) {
		pid_t pid = (pid_t)strtol(d->d_name, NULL, 10);
		_cleanup_free_ char *path = NULL;
		char target[PATH_MAX], state = '\0';
		ssize_t n;

		if (pid > 0)
			state = process_run_state(pid);
		if (!state || state == 'Z' || is_known(pid))
			continue;
		path = xasprintf("/proc/%d/exe", pid);
		n = readlink(path, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		complaint = xasprintf("process %d (%s) is nobody's", pid, target);
	}
	if (proc)
		closedir(proc);
	return complaint;
}

/* ---- droverd ---- */

static char *complain_of_droverd(void)
{
	unsigned fds = rig_own_fds(round_.r), rss = process_rss(round_.r->pid), least, most;

	round_.fds = round_.fds ? round_.fds : fds; /* of the one that has nothing to do */
	least = most = round_.fds;
	for (unsigned i = 0; i < round_.n_peers; i++) {
		least += round_.peers[i].fd >= 0;
		most += round_.peers[i].fd >= 0;
	}
	for (unsigned i = 0; i < round_.n_machines; i++) {
		const struct machine *m = &round_.machines[i];

		/* There may be one of each name. */
		for (unsigned j = 0; j < 2; j++) {
			if (!machine_holder(m->names[j], "qemu.lock"))
				continue;
			/* The directory, both processes, both monitors; and its trace, once anything was said. */
			most += FDS_EACH + 1;
			least += m->orphan || m->liar || m->lost ? 0 : FDS_EACH;
		}
	}
	if (fds < least || fds > most)
		return xasprintf("droverd has %u descriptors, not %u to %u", fds, least, most);
	if (!sanitized && rss > RSS_KIB)
		return xasprintf("droverd takes %u KiB", rss);
	say("at rest: %u descriptors, %u to %u expected; %u KiB of memory", fds, least, most, rss);
	return NULL;
}

/* ---- all ---- */

static char *complain(void)
{
	static char *(*const checks[])(void) = { complain_of_jobs,  complain_of_clients,   complain_of_instances,
						 complain_of_files, complain_of_processes, complain_of_droverd };
	char *complaint = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(checks) && !complaint; i++)
		complaint = checks[i]();
	return complaint;
}

/* The process of one that stands still for good is ended; nothing else would let go of what waits for it. */
static void end_deaf(void)
{
	for (unsigned i = 0; i < round_.n_machines; i++) {
		const struct machine *m = &round_.machines[i];
		_cleanup_free_ char *args = xasprintf("{\"instance\": \"%s\"}", m->uuid);
		pid_t pid = m->deaf ? machine_process(m, "qemu.lock") : 0;

		if (!pid)
			continue;
		say("%s is ended", m->names[0]);
		life_connect(&round_.witness);
		peer_send(&round_.witness, "instance-stop", args);
		json_object_put(ask("query-version", "{}")); /* it has been read */
		kill(pid, SIGKILL);
	}
}

void world_await_rest(void)
{
	_cleanup_free_ char *complaint = NULL;
	double end = seconds() + REST_SECONDS, heal = 0;

	for (;;) {
		if (seconds() >= heal) {
			if (complaint)
				say("no rest yet: %s", complaint);
			mischief_heal();
			end_deaf();
			heal = seconds() + HEAL_SECONDS;
		}
		free(complaint);
		complaint = complain();
		if (!complaint)
			return;
		if (seconds() > end)
			ck_abort_msg("%s", complaint);
		usleep(POLL_US);
	}
}

void world_start(void)
{
	_cleanup_json_ struct json_object *list = ask("query-instances", "{}");

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		const char *name = str_at(json_object_array_get_idx(list, i), "name");
		_cleanup_free_ char *args = xasprintf("{\"instance\": \"%s\"}", name);

		life_connect(&round_.witness);
		peer_send(&round_.witness, "instance-start", args);
	}
	world_await_rest();
}

static char *world_now(void)
{
	_cleanup_free_ char *all = rig_world(round_.r, false);
	char *text = xstrdup(""), *save = NULL;

	for (char *line = strtok_r(all, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		_cleanup_free_ char *old = text;

		text = xasprintf("%s%s%s", old, strstr(line, "/.bad-") ? "" : line, strstr(line, "/.bad-") ? "" : "\n");
	}
	return text;
}

void world_clear(void)
{
	_cleanup_json_ struct json_object *list = ask("query-instances", "{}");
	_cleanup_free_ char *is = NULL;
	unsigned fds;

	for (unsigned i = 0; i < round_.n_peers; i++)
		peer_close(&round_.peers[i]);
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		const char *name = str_at(json_object_array_get_idx(list, i), "name");
		_cleanup_free_ char *args = xasprintf("{\"instance\": \"%s\", \"force\": true}", name);
		_cleanup_json_ struct json_object *reply = peer_ask(&round_.witness, "instance-undefine", args);

		if (!reply || !has(reply, "return.changed"))
			ck_abort_msg("'%s' cannot be removed: %s", name, json_object_to_json_string(reply));
	}
	world_await_rest();
	is = world_now();
	if (!str_eq(is, round_.before))
		ck_abort_msg("all has been removed, and the world is\n%sand was\n%s", is, round_.before);
	fds = rig_own_fds(round_.r);
	if (fds != round_.fds)
		ck_abort_msg("droverd has %u descriptors, and had %u", fds, round_.fds);
}
