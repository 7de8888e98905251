/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every plan, with a fault at every step: the world is then the one before or the one after, never between.
 *
 * A plan is run once without a fault, by a droverd that notes its steps; then once for each step, before and
 * after it, and each of: the step fails, the operation is cancelled, its wait expires, QEMU is killed, droverd
 * is killed and started again. What counts as the world: files, processes, and what clients are told. At the
 * end of each case a start and a stop have to work, and no descriptor of droverd may have leaked.
 *
 * A new command joins by a row of plans[]. What it takes to judge a trial stands in one file with the trials, so that this
 * one is longer than 700 lines.
 */
#include "base/cleanup.h"
#include "base/file.h"
#include "rig.h"
#include "runtime/confine.h"
#include "runtime/process.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STEPS_MAX = 32, POLL_US = 5000, POLLS = RIG_DEADLINE_MS * 1000 / POLL_US };

enum from { NOTHING, DEFINED, RUNNING, PAUSED };
enum fault { FAIL, CANCEL, KILL, KILLQEMU, EXPIRE, FAULT_COUNT };

static const char *const fault_names[] = { "fail", "cancel", "kill", "killqemu", "expire" };
static_assert(ARRAY_SIZE(fault_names) == FAULT_COUNT, "one name per fault");

struct plan {
	const char *title;
	enum from from;
	const char *command;
	const char *description; /* of the definition that it takes, or NULL */
	const char *args;        /* behind the instance's name; NULL: none */
	int signal;              /* no client asks for it: droverd does it by itself when QEMU gets this */
	bool named;              /* takes a job-id */
	bool unmarked;           /* runs beside everything: nothing is recovered */
	bool asks_guest;         /* what the guest was asked for it may still do */
	bool idle_commit;        /* there is nothing to do in its commit: asked before it, it is done */
	bool stops_first;        /* and then what fails leaves it without a process */
	bool restarts;           /* a new process takes the place of the old one, if it can be started */
	const char *hvparams;    /* further ones of the definition, as JSON behind a comma; or NULL */
	bool untold;             /* whether its commit has happened cannot be found out */
	bool boots;              /* the guest goes down on the way, and runs at the end */
	const char *patch;       /* of the definition, applied to a machine that runs: it waits for a start */
	/* From the run without a fault. */
	struct {
		char *name;
		bool commit, past; /* the commit; behind it */
		bool again;        /* the next droverd goes on with it */
	} steps[STEPS_MAX];
	int n;
	char *before, *after;
};

#define UUID "5f1c2f0e-8a55-4a6e-9f53-0c2b6a1d9e10"
#define WEB "'instance': '" UUID "'"

enum { START = 4 };

static struct plan plans[] = {
	{ "define", NOTHING, "instance-define", .description = "first" },
	{ "define again", DEFINED, "instance-define", .description = "second" },
	{ "undefine", DEFINED, "instance-undefine" },
	{ "undefine by force", RUNNING, "instance-undefine", .args = "'force': true", .stops_first = true },
	[START] = { "start", DEFINED, "instance-start", .named = true },
	{ "start paused", DEFINED, "instance-start", .args = "'paused': true", .named = true, .idle_commit = true },
	{ "stop", RUNNING, "instance-stop", .named = true },
	{ "shutdown", RUNNING, "instance-shutdown", .named = true, .asks_guest = true },
	{ "pause", RUNNING, "instance-pause", .unmarked = true },
	{ "resume", PAUSED, "instance-resume", .unmarked = true },
	{ "reset", RUNNING, "instance-reset", .unmarked = true, .untold = true },
	{ "ending reset", RUNNING, "instance-reset", .unmarked = true, .untold = true,
	  .hvparams = ", \"on_reboot\": \"stop\"" },
	{ "ending reset of a paused guest", PAUSED, "instance-reset", .unmarked = true, .untold = true,
	  .hvparams = ", \"on_reboot\": \"stop\"" },
	{ "nmi", RUNNING, "instance-nmi", .unmarked = true, .untold = true },
	{ "restart after a power-off", RUNNING, "instance-restart", .signal = SIGUSR1, .restarts = true,
	  .hvparams = ", \"on_poweroff\": \"restart\"" },
	{ "power-off before a restart", RUNNING, "instance-poweroff", .signal = SIGUSR1, .restarts = true,
	  .hvparams = ", \"on_poweroff\": \"restart\"" },
	{ "panic of the guest", RUNNING, "instance-poweroff", .signal = SIGUSR2,
	  .hvparams = ", \"on_crash\": \"stop\"" },
	{ "power-off of the guest", RUNNING, "instance-poweroff", .signal = SIGUSR1 },
	{ "collect", RUNNING, "instance-collect", .signal = SIGKILL },
	{ "modify", DEFINED, "instance-modify", .args = "'patch': {'description': 'second'}" },
	{ "rename", DEFINED, "instance-rename", .args = "'name': 'web2'" },
	{ "reboot", RUNNING, "instance-reboot", .named = true, .asks_guest = true, .boots = true },
	{ "boot anew", RUNNING, "instance-reboot", .named = true, .asks_guest = true, .boots = true,
	  .patch = "{'vcpus': 2}" },
};

/* Steps that only touch memory, or log what they cannot do: before them there is nothing that can fail. */
static const char *const sure[] = { "take it over", "forget it", "see whether it obeyed", "clear the run directory",
				    "wait for what was cancelled" };

/* What a machine without a process looks like. */
static char *off_world;

static struct scene {
	struct rig *r;
	struct client *c;
	char *log;
	unsigned fds; /* droverd's, when there is no process */
	pid_t qemu;
	char *title;
	const char *hvparams;
	bool passed;
} scene;

/* ---- the scene ---- */

#define HVINFO(driver, id, addr) \
	"\"hvinfo\": {\"driver\": \"" driver "\", \"id\": \"" id "\", \"bus\": \"pci.0\", \"addr\": \"" addr "\"}"

static char *definition(const char *description)
{
	_cleanup_free_ char *fake = rig_shared("fake-qemu"), *kernel = rig_shared("kernel");
	const char *root = scene.r->root;

	return xasprintf(
		"{\"name\": \"web\", \"uuid\": \"" UUID "\", \"layout\": 1, "
		"\"description\": \"%s\", \"disks\": ["
		"{\"uuid\": \"932df160-22a7-4067-a566-7e0ca8386133\", \"name\": \"disk0\", "
		"\"path\": \"%s/raw\", " HVINFO(
			"virtio-blk-pci", "disk-932df160-22a7-4067",
			"0xc") "}, "
			       "{\"uuid\": \"932df161-22a7-4067-a566-7e0ca8386133\", \"name\": \"disk1\", "
			       "\"path\": \"%s/top\", \"format\": \"qcow2\", \"backing\": [{\"path\": "
			       "\"%s/base\"}], " HVINFO(
				       "virtio-blk-pci", "disk-932df161-22a7-4067",
				       "0xd") "}], \"nics\": ["
					      "{\"uuid\": \"003fc157-66a8-4e6d-8b7e-ec4f69751396\", \"name\": "
					      "\"nic0\", "
					      "\"mac\": \"52:54:00:3a:91:02\", \"mode\": \"user\", " HVINFO(
						      "virtio-net-pci", "nic-003fc157-66a8-4e6d",
						      "0xe") "}], "
							     "\"hvparams\": {\"accel\": \"tcg\", \"kvm_path\": \"%s\", "
							     "\"kernel_path\": \"%s\"%s}}",
		description, root, root, root, fake, kernel, scene.hvparams ? scene.hvparams : "");
}

/* What its disks lie on; the fake does not look at them, drover-open does. */
static void make_images(void)
{
	static const char *const raw[] = { "raw", "base" };
	_cleanup_free_ char *image = rig_shared("top"), *top = xasprintf("%s/top", scene.r->root);

	for (size_t i = 0; i < ARRAY_SIZE(raw); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", scene.r->root, raw[i]);
		_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

		ck_assert_int_eq(ftruncate(fd, 1 << 20), 0);
	}
	if (access(image, F_OK) < 0) {
		_cleanup_free_ char *command = NULL;

		command = xasprintf("qemu-img create -q -f qcow2 -u -b /nonexistent/base -F raw %s 1M", image);
		ck_assert_int_eq(system(command), 0); /* NOLINT(cert-env33-c): a path of our own */
	}
	ck_assert_int_eq(link(image, top), 0);
}

static void write_definition(void)
{
	_cleanup_free_ char *dir = xasprintf("%s/lib/instances/web", scene.r->root), *text = definition("first");
	_cleanup_close_ int fd = -1;

	ck_assert(file_make_dirs(dir, 0700, NULL));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert(file_write(fd, "definition.json", text, 0600, false, NULL));
}

static pid_t qemu_pid(void)
{
	_cleanup_json_ struct json_object *o = client_ok(scene.c, "query-instance", "{" WEB "}");

	return has(o, "pid") ? (pid_t)int_at(o, "pid") : 0;
}

/* Descriptors of droverd, but the one that libuv keeps from the first file on that was watched. */
static unsigned count_fds(void)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/fd", scene.r->pid);
	DIR *dir = opendir(path);
	struct dirent *d;
	unsigned n = 0;

	while ((d = readdir(dir))) {
		char target[PATH_MAX];
		ssize_t len = readlinkat(dirfd(dir), d->d_name, target, sizeof(target) - 1);

		target[len > 0 ? len : 0] = '\0';
		n += len > 0 && !str_eq(target, "anon_inode:inotify");
	}
	closedir(dir);
	return n;
}

static void scene_open(const struct plan *p, const char *fault)
{
	scene.hvparams = p->hvparams;
	scene.r = rig_new("droverd-faulty");
	scene.log = xasprintf("%s/steps", scene.r->root);
	scene.r->fault = xasprintf("log=%s;%s", scene.log, fault);
	make_images();
	if (p->from != NOTHING)
		write_definition();
	rig_start(scene.r);
	scene.c = client_new(scene.r);
	scene.fds = count_fds();
	if (p->from < RUNNING)
		return;
	json_object_put(
		client_ok(scene.c, "instance-start", "{" WEB ", 'paused': %s}", p->from == PAUSED ? "true" : "false"));
	scene.qemu = qemu_pid();
	if (p->patch)
		json_object_put(client_ok(scene.c, "instance-modify", "{" WEB ", 'patch': %s}", p->patch));
}

static void scene_close(void)
{
	if (!scene.passed)
		fprintf(stderr, "in %s\n", scene.title);
	free(scene.title);
	if (scene.c)
		client_free(scene.c);
	if (scene.r)
		rig_free(scene.r);
	free(scene.log);
	scene = (struct scene){ 0 };
}

/* ---- what there is ---- */

/* state.json is neither wanted nor running: it says what was last. */
static bool counts(const char *line)
{
	return *line && !strstr(line, "/state.json");
}

/* A file that is just being written is not there for long. */
static char *still_world(void)
{
	char *files = rig_world(scene.r, false);

	for (int i = 0; i < POLLS && strstr(files, ".new\n"); i++) {
		free(files);
		usleep(POLL_US);
		files = rig_world(scene.r, false);
	}
	return files;
}

static char *world(void)
{
	_cleanup_free_ char *files = still_world();
	_cleanup_json_ struct json_object *list = client_ok(scene.c, "query-instances", "{'fields': ['state']}");
	char *text = xstrdup(""), *save = NULL;

	for (char *line = strtok_r(files, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		_cleanup_free_ char *old = text;

		text = xasprintf("%s%s%s", old, counts(line) ? line : "", counts(line) ? "\n" : "");
	}
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		_cleanup_json_ struct json_object *full = client_ok(scene.c, "query-instance", "{" WEB "}");
		_cleanup_free_ char *old = text, *stored = NULL;
		const char *state = str_at(o, "state");

		stored = rig_file(scene.r, "lib/instances/%s/definition.json", str_at(o, "name"));
		text = xasprintf("%s%s: %s, '%s', on disk %s\n", old, str_at(o, "name"),
				 str_eq(state, "shutoff") || str_eq(state, "crashed") ? "off" : state,
				 str_at(full, "definition.description"),
				 stored && strstr(stored, str_at(full, "definition.description")) ? "the same" :
												    "another");
	}
	return text;
}

static pid_t lock_holder(const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/run/instances/web", scene.r->root);
	_cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return dir < 0 ? 0 : process_lock_holder(dir, name);
}

/* Nothing is under way, and what droverd knows is what is. */
static bool is_settled(void)
{
	_cleanup_json_ struct json_object *jobs = client_ok(scene.c, "query-jobs", NULL);
	_cleanup_json_ struct json_object *list = client_ok(scene.c, "query-instances", NULL);

	for (size_t i = 0; i < json_object_array_length(jobs); i++)
		if (!str_eq(str_at(json_object_array_get_idx(jobs, i), "status"), "concluded"))
			return false;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		pid_t pid = (pid_t)json_get_int(o, "pid", 0);

		if (str_eq(str_at(o, "state"), "nostate") || pid != lock_holder("qemu.lock") ||
		    has(o, "operation.step"))
			return false;
	}
	return true;
}

static void settle(void)
{
	for (int i = 0; i < POLLS; i++) {
		if (is_settled())
			return;
		usleep(POLL_US);
	}
	{
		_cleanup_json_ struct json_object *jobs = client_ok(scene.c, "query-jobs", NULL);
		_cleanup_json_ struct json_object *list = client_ok(scene.c, "query-instances", NULL);

		ck_abort_msg("does not settle: %s %s, qemu.lock held by %d", json_object_to_json_string(jobs),
			     json_object_to_json_string(list), lock_holder("qemu.lock"));
	}
}

/* What is told of the instance is what the kernel says of it. */
static void check_agreement(void)
{
	_cleanup_json_ struct json_object *list = client_ok(scene.c, "query-instances", NULL), *o = NULL;
	pid_t pid = lock_holder("qemu.lock");

	if (json_object_array_length(list) == 0) {
		ck_assert_int_eq(pid, 0);
		return;
	}
	o = client_ok(scene.c, "query-instance", "{" WEB "}");
	ck_assert_msg(!has(o, "operation.step"), "an operation is left: %s", json_object_to_json_string(o));
	if (pid) {
		ck_assert_int_eq(int_at(o, "pid"), pid);
		ck_assert_int_eq(int_at(o, "runtime.process.pid"), pid);
		ck_assert(process_start_time(pid) == (uint64_t)int_at(o, "runtime.process.start-time"));
		ck_assert_int_ne(lock_holder("lock"), 0);
		ck_assert_str_eq(str_at(o, "monitor"), "ok");
	} else {
		ck_assert(!has(o, "pid"));
		ck_assert_msg(str_eq(str_at(o, "state"), "shutoff") || str_eq(str_at(o, "state"), "crashed"),
			      "it is %s", str_at(o, "state"));
		ck_assert(json_object_object_get(o, "runtime") == NULL);
	}
}

static bool log_says(const char *what)
{
	_cleanup_free_ char *text = rig_file(scene.r, "steps");

	return text && strstr(text, what);
}

/* ---- the plan once without a fault ---- */

/* "step COMMAND NUMBER NAME"; see fault.c. */
static void note_step(struct plan *p, char *line)
{
	_cleanup_free_ char *prefix = xasprintf("step %s ", p->command);
	bool commit, again;
	char *name;
	int i;

	if (!str_starts(line, prefix))
		return;
	line += strlen(prefix);
	commit = *line == '!';
	line += commit;
	again = *line == '~';
	i = (int)strtol(line + again, &name, 10);
	ck_assert(i == p->n && i < STEPS_MAX);
	p->steps[i].name = xstrdup(name + 1);
	p->steps[i].commit = commit;
	p->steps[i].again = again;
	p->steps[i].past = i > 0 && (p->steps[i - 1].past || p->steps[i - 1].commit);
	p->n++;
}

/* Sends what makes the plan run; the id of the request, or 0. */
static int trigger(const struct plan *p, const char *job_id)
{
	_cleanup_free_ char *id = NULL, *args = NULL;

	if (p->signal) {
		kill(scene.qemu, p->signal);
		return 0;
	}
	id = job_id ? xasprintf(", 'job-id': '%s'", job_id) : xstrdup("");
	if (p->description)
		args = definition(p->description);
	else
		args = xasprintf(WEB "%s%s%s", p->args ? ", " : "", p->args ? p->args : "", id);
	return client_send(scene.c, p->command, p->description ? "{'definition': %s}" : "{%s}", args);
}

static void await_log(const char *what)
{
	for (int i = 0; i < POLLS && !log_says(what); i++)
		usleep(POLL_US);
	ck_assert_msg(log_says(what), "droverd never comes to '%s'", what);
}

static void record_plan(struct plan *p)
{
	_cleanup_free_ char *log = NULL, *first = NULL;
	char *save = NULL;
	int id;

	scene.title = xstrdup(p->title);
	scene_open(p, "");
	first = xasprintf("step %s", p->command);
	p->before = world();
	id = trigger(p, NULL);
	if (id) {
		_cleanup_json_ struct json_object *reply = client_reply(scene.c, id);

		ck_assert_msg(has(reply, "return"), "%s: %s", p->title, json_object_to_json_string(reply));
	}
	await_log(first);
	settle();
	p->after = world();
	log = rig_file(scene.r, "steps");
	for (char *line = strtok_r(log, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		note_step(p, line);
	scene.passed = true;
}

/* ---- a case ---- */

struct trial {
	const struct plan *p;
	int step;
	bool after;
	enum fault fault;
	struct json_object *outcome; /* {"return"} or {"error"}, or NULL where nobody is told */
};

static int trials_of(const struct plan *p)
{
	return p->n * 2 * FAULT_COUNT;
}

static struct trial trial_of(const struct plan *p, int i)
{
	struct trial t = {
		.p = p, .step = i / (2 * FAULT_COUNT), .after = i % 2, .fault = (enum fault)(i / 2 % FAULT_COUNT)
	};

	return t;
}

static bool makes_sense(const struct trial *t)
{
	if (t->p->untold && t->p->steps[t->step].commit && t->after && (t->fault == FAIL || t->fault == EXPIRE))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(sure); i++)
		if (t->fault == FAIL && !t->after && str_eq(sure[i], t->p->steps[t->step].name))
			return false;
	return true;
}

/* What the job came to, in the shape of a reply; ID NULL: any of the plan's command. */
static struct json_object *outcome_of_job(const struct plan *p, const char *id)
{
	_cleanup_json_ struct json_object *jobs = client_ok(scene.c, "query-jobs", NULL);
	struct json_object *outcome = NULL;

	for (size_t i = 0; i < json_object_array_length(jobs); i++) {
		struct json_object *o = json_object_array_get_idx(jobs, i);
		const char *member = has(o, "error") ? "error" : "result";

		if (outcome || !str_eq(str_at(o, "type"), p->command) || (id && !str_eq(str_at(o, "id"), id)))
			continue;
		outcome = json_object_new_object();
		json_add(outcome, has(o, "error") ? "error" : "return", json_object_get(at(o, member)));
	}
	ck_assert_msg(outcome != NULL, "the job is not there: %s", json_object_to_json_string(jobs));
	return outcome;
}

/* droverd has killed itself: a new one, without the fault, ends what was begun. */
static void restart(struct trial *t, const char *job_id)
{
	pid_t qemu;
	int status;

	process_await_end(scene.r->pid);
	status = rig_wait(scene.r);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "droverd ended with wait status %#x", status);
	qemu = lock_holder("qemu.lock");
	client_free(TAKE_PTR(scene.c));
	free(scene.r->fault);
	scene.r->fault = xasprintf("log=%s", scene.log);
	rig_start(scene.r);
	scene.c = client_new(scene.r);
	settle();
	ck_assert_msg(t->p->boots || t->p->restarts || lock_holder("qemu.lock") == qemu ||
			      lock_holder("qemu.lock") == 0,
		      "process %d became %d", qemu, lock_holder("qemu.lock"));
	if (t->p->signal || t->p->unmarked)
		return;
	t->outcome = outcome_of_job(t->p, job_id);
}

static void await_killed(void)
{
	_cleanup_free_ char *text = rig_file(scene.r, "steps");
	const char *line = text ? strstr(text, "\nkilled ") : NULL;

	if (line)
		process_await_end((pid_t)strtol(line + strlen("\nkilled "), NULL, 10));
}

/* The button was pressed: this guest obeys, whatever became of the operation. */
static bool was_asked(const struct trial *t)
{
	int press = 0;

	while (press < t->p->n && !str_eq(t->p->steps[press].name, "press the power button"))
		press++;
	return t->p->asks_guest && (t->step > press || (t->step == press && (t->after || t->fault != FAIL)));
}

/* A reboot that turned back after that leaves it down. */
static bool stays_down(const struct trial *t)
{
	bool committed = t->p->steps[t->step].past || (t->p->steps[t->step].commit && (t->after || t->fault == CANCEL));

	return was_asked(t) && !committed &&
	       (t->fault == FAIL || t->fault == CANCEL || (t->fault == EXPIRE && t->after));
}

static bool was_undone(const struct trial *t)
{
	return t->outcome && json_get_bool(json_get_typed(t->outcome, "error", json_type_object), "undone", false);
}

static void await_off(void)
{
	for (int i = 0; i < POLLS; i++) {
		_cleanup_free_ char *is = NULL;

		settle();
		is = world();
		if (str_eq(is, off_world))
			return;
		usleep(POLL_US);
	}
}

static void run(struct trial *t)
{
	const char *job_id = t->p->named && t->fault == KILL ? "mine" : NULL;
	_cleanup_free_ char *fault = xasprintf("%s/%d/%s/%s", t->p->command, t->step, t->after ? "after" : "before",
					       fault_names[t->fault]);
	_cleanup_free_ char *fired = xasprintf("fault %s", fault);
	int id;

	scene_open(t->p, fault);
	id = trigger(t->p, job_id);
	if (t->fault == KILL) {
		restart(t, job_id);
		return;
	}
	if (id)
		t->outcome = client_reply(scene.c, id);
	await_log(fired);
	if (t->outcome && has(t->outcome, "error.stalled")) {
		/* It goes on as a job: what became of that is the outcome. */
		_cleanup_json_ struct json_object *first = t->outcome;

		settle();
		t->outcome = outcome_of_job(t->p, str_at(first, "error.job-id"));
	} else if (t->fault == KILLQEMU || !id || t->p->boots) {
		await_killed();
		settle();
	} else {
		ck_assert_msg(t->p->asks_guest || is_settled(), "something is under way behind the reply");
	}
	if (t->p->boots ? stays_down(t) : was_asked(t))
		await_off();
}

static void check_class(const struct trial *t)
{
	static const char *const classes[FAULT_COUNT][4] = {
		[FAIL] = { "GenericError" }, [CANCEL] = { "Cancelled" },
		[KILL] = { "Cancelled" },    [KILLQEMU] = { "GuestGone", "QemuError", "GenericError" },
		[EXPIRE] = { "Timeout" },
	};

	for (size_t i = 0; classes[t->fault][i]; i++)
		if (str_eq(classes[t->fault][i], str_at(t->outcome, "error.class")))
			return;
	ck_abort_msg("the error is %s", json_object_to_json_string(t->outcome));
}

enum { WAS_BEFORE = 1, WAS_AFTER = 2, WAS_OFF = 4, WAS_HELD = 8 };

/* Of a reboot, on the way of which the guest is down. */
static int expected_of_boots(const struct trial *t, bool undone)
{
	if (t->fault == KILL)
		return WAS_AFTER;
	if (t->fault == EXPIRE || t->fault == KILLQEMU)
		return WAS_AFTER | WAS_OFF;
	return stays_down(t) ? WAS_OFF : undone ? WAS_BEFORE : WAS_AFTER;
}

/* Which worlds it may have come to. */
static int expected(const struct trial *t)
{
	bool done = t->p->steps[t->step].past || (t->p->steps[t->step].commit && t->after);
	bool has_commit = t->p->steps[t->p->n - 1].past || t->p->steps[t->p->n - 1].commit;
	bool failed = t->outcome && has(t->outcome, "error");
	bool undone = was_undone(t);
	int may = !t->outcome ? WAS_BEFORE | WAS_AFTER : undone ? WAS_BEFORE : WAS_AFTER;

	if (t->p->boots)
		return expected_of_boots(t, undone);
	if (t->fault == KILLQEMU && lock_holder("qemu.lock") == 0)
		return may | WAS_OFF;
	if (t->p->stops_first && failed && !undone)
		return may | WAS_OFF;
	if (t->p->signal)
		return t->fault == KILL ? WAS_AFTER : WAS_AFTER | WAS_HELD | (t->p->restarts ? WAS_OFF : 0);
	if (was_asked(t))
		return WAS_OFF;
	if (t->fault == EXPIRE || t->fault == KILLQEMU || !has_commit)
		return may;
	if (t->fault == KILL)
		done |= t->p->steps[t->step].again;
	if (t->p->idle_commit)
		done |= t->p->steps[t->step].commit;
	if (t->fault == CANCEL)
		done |= t->p->steps[t->step].commit;
	if (t->outcome)
		ck_assert_msg(done != undone, "%s the commit, and the outcome is %s", done ? "at or behind" : "before",
			      json_object_to_json_string(t->outcome));
	return done ? WAS_AFTER : WAS_BEFORE;
}

/* A guest that has powered off, or crashed ("off", for it may also be without), with its process. */
static char *held_world(const struct plan *p)
{
	static const char running[] = "web: running";
	const char *line = strstr(p->before, running);

	return line ? xasprintf("%.*sweb: %s%s", (int)(line - p->before), p->before,
				p->signal == SIGUSR2 ? "off" : "shutdown", line + strlen(running)) :
		      xstrdup("");
}

static bool is_one_of(const struct trial *t, int may, const char *is)
{
	_cleanup_free_ char *held = held_world(t->p);

	return ((may & WAS_BEFORE) && str_eq(is, t->p->before)) || ((may & WAS_AFTER) && str_eq(is, t->p->after)) ||
	       ((may & WAS_OFF) && str_eq(is, off_world)) || ((may & WAS_HELD) && str_eq(is, held));
}

static void check_world(const struct trial *t)
{
	_cleanup_free_ char *is = world();
	int may = expected(t);
	/* A new droverd shows what the last one saw until QEMU has answered, and what runs beside everything, or past
	 * its commit, and fails is known by the events that follow. All else is as it will be. */
	bool follows = t->fault == KILL || t->p->unmarked || t->p->boots || t->p->steps[t->step].past;

	for (int i = 0; i < POLLS && follows && !is_one_of(t, may, is); i++) {
		free(is);
		usleep(POLL_US);
		is = world();
	}
	if (is_one_of(t, may, is))
		return;
	ck_abort_msg("the world is neither%s%s%s; outcome: %s\n--- is\n%s--- before\n%s--- after\n%s",
		     may & WAS_BEFORE ? " that before" : "", may & WAS_AFTER ? " that after" : "",
		     may & WAS_OFF ? " that without a process" : "",
		     t->outcome ? json_object_to_json_string(t->outcome) : "none", is, t->p->before, t->p->after);
}

/* Nothing holds the uid that is given first, on this root. */
static void check_uid(void)
{
	enum { FIRST = 2130000, COUNT = 10000 };
	_cleanup_free_ char *run = xasprintf("%s/run", scene.r->root);
	_cleanup_json_ struct json_object *o = client_ok(scene.c, "query-instance", "{" WEB "}");

	ck_assert_int_eq(int_at(o, "runtime.process.uid"), FIRST + confine_tag(run) % COUNT);
}

/* Who runs has a machine by name, whoever has ended its start; who was taken back has the one of before. */
static void check_machine(const struct trial *t)
{
	_cleanup_json_ struct json_object *list = client_ok(scene.c, "query-instances", NULL), *o = NULL;
	const char *machine;

	if (json_object_array_length(list) == 0)
		return;
	if (str_eq(t->p->steps[t->step].name, "name the machine") && t->fault == FAIL && !t->after)
		return; /* the next start will */
	o = client_ok(scene.c, "query-instance", "{" WEB "}");
	machine = json_get_str(at(o, "definition.hvparams"), "machine_version");
	if (lock_holder("qemu.lock"))
		ck_assert_msg(machine && str_starts(machine, "pc-"), "the machine is %s", machine);
	else if (t->p->from == DEFINED && was_undone(t))
		ck_assert_msg(!machine, "the machine is %s", machine);
}

/* As process 1 we see all that is left: droverd, and what the world tells of. */
static bool are_strangers(void)
{
	_cleanup_free_ char *is = world();
	unsigned known = 2, all = 0;
	DIR *proc = opendir("/proc");
	struct dirent *d;

	for (const char *p = is; (p = strstr(p, "process ")); p++)
		known++;
	while ((d = readdir(proc))) {
		pid_t pid = (pid_t)strtol(d->d_name, NULL, 10);
		char state = '\0';

		if (pid > 0)
			state = process_run_state(pid);
		all += state && state != 'Z';
	}
	closedir(proc);
	return all != known;
}

static void check_strangers(void)
{
	for (int i = 0; i < POLLS && getpid() == 1 && are_strangers(); i++)
		usleep(POLL_US);
	ck_assert(getpid() != 1 || !are_strangers());
}

/* Whatever happened, a machine can be made, started and stopped, and droverd holds nothing more than at its start. */
static void check_life_goes_on(void)
{
	_cleanup_json_ struct json_object *list = client_ok(scene.c, "query-instances", NULL);
	_cleanup_free_ char *text = definition("first"), *is = NULL, *with_fds = NULL;
	unsigned fds;

	if (json_object_array_length(list) > 0) {
		json_object_put(client_ok(scene.c, "instance-stop", "{" WEB "}"));
		json_object_put(client_ok(scene.c, "instance-rename", "{" WEB ", 'name': 'web'}"));
	}
	json_object_put(client_ok(scene.c, "instance-define", "{'definition': %s}", text));
	json_object_put(client_ok(scene.c, "instance-start", "{" WEB "}"));
	check_agreement();
	check_uid();
	json_object_put(client_ok(scene.c, "instance-stop", "{" WEB "}"));
	check_agreement();
	is = world();
	ck_assert_msg(str_eq(is, off_world), "a start and a stop leave\n%sinstead of\n%s", is, off_world);
	fds = count_fds();
	with_fds = rig_world(scene.r, true);
	ck_assert_msg(fds == scene.fds, "droverd holds %u descriptors instead of %u:\n%s", fds, scene.fds, with_fds);
}

static void try_one(const struct plan *p, int i)
{
	struct trial t = trial_of(p, i);

	if (!makes_sense(&t)) {
		scene.passed = true;
		return;
	}
	scene.title = xasprintf("%s: '%s' (%d), %s, %s", p->title, p->steps[t.step].name, t.step,
				t.after ? "after" : "before", fault_names[t.fault]);
	run(&t);
	check_agreement();
	if (t.outcome && has(t.outcome, "error"))
		check_class(&t);
	check_world(&t);
	check_machine(&t);
	check_strangers();
	check_life_goes_on();
	json_object_put(t.outcome);
	scene.passed = true;
}

/* ---- the suite ---- */

/* All trials of all plans in one row; DROVER_TRIALS keeps those of the plans whose title begins so. */
static int trials(int i, bool run_it)
{
	const char *only = getenv("DROVER_TRIALS");
	int n = 0;

	for (size_t k = 0; k < ARRAY_SIZE(plans); k++) {
		if (only && !str_starts(plans[k].title, only))
			continue;
		if (run_it && i >= n && i < n + trials_of(&plans[k]))
			try_one(&plans[k], i - n);
		n += trials_of(&plans[k]);
	}
	return n;
}

/* DROVER_PART is "N/OF": a part of them, for several programs side by side. */
static bool is_ours(int i)
{
	const char *part = getenv("DROVER_PART");
	int n, of;

	return !part || sscanf(part, "%d/%d", &n, &of) != 2 || of < 1 ||
	       i % of == n % of; /* NOLINT(cert-err34-c): ours */
}

START_TEST(trial)
{
	scene.passed = !is_ours(_i);
	if (!scene.passed)
		trials(_i, true);
}
END_TEST

START_TEST(record)
{
	record_plan(&plans[_i]);
}
END_TEST

/* How many trials there are is known when the plans have been seen. */
static void record_all(void)
{
	Suite *s = suite_create("plans");
	TCase *tc = tcase_create("record");
	SRunner *runner = srunner_create(s);

	tcase_add_checked_fixture(tc, NULL, scene_close);
	tcase_add_loop_test(tc, record, 0, ARRAY_SIZE(plans));
	suite_add_tcase(s, tc);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	if (srunner_ntests_failed(runner) > 0)
		exit(EXIT_FAILURE);
	srunner_free(runner);
}

static Suite *make(void)
{
	Suite *s = suite_create("faults");
	TCase *tc = tcase_create("trials");

	record_all();
	off_world = plans[START].before;
	tcase_add_checked_fixture(tc, NULL, scene_close);
	tcase_add_loop_test(tc, trial, 0, trials(0, false));
	suite_add_tcase(s, tc);
	return s;
}

RIG_MAIN_IN_MEMORY(make)
