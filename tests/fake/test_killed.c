/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * droverd is killed in front of its N-th system call of a plan, and started again: the world is then the one before or
 * the one after, and which of them its marker said. The next droverd is killed as well, in front of its M-th call, and a
 * third one has to make it good.
 *
 * A plan is run once undisturbed, for the two worlds, and once more for the number of its calls. With DROVER_LONG=1 each
 * of them is tried, and else some of those with an effect, evenly spread. The number varies a little from run to run: a
 * trial that comes to the end of its plan before call N is one of a droverd that is killed when it has done everything.
 *
 * One trial again: DROVER_TRIALS=TITLE DROVER_NTH=N[,M] test_killed. A failing one prints that line.
 */
#include "base/file.h"
#include "rig.h"
#include "runtime/process.h"
#include "stage.h"
#include "stepper.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { POLL_US = 5000, POLLS = RIG_DEADLINE_MS * 1000 / POLL_US };

/* How many trials a plan has: of one kill, of two. */
#ifdef __SANITIZE_ADDRESS__
enum { ONCE = 2, TWICE = 1 };
#else
enum { ONCE = 12, TWICE = 2 };
#endif
/* In the long form: so many calls beyond those of the run that was counted; every so many-th call is the first of two. */
enum { BEYOND = 3, FIRST_OF_TWO = 37, SECONDS_OF_TWO = 8 };

enum from { NOTHING, DEFINED, WAS_ON, RUNNING, CHANGED };

#define UUID "5f1c2f0e-8a55-4a6e-9f53-0c2b6a1d9e10"
#define WEB "'instance': '" UUID "'"

struct plan {
	const char *title;
	enum from from;
	const char *command;
	const char *description; /* of the definition that it takes, or NULL */
	const char *args;        /* behind the instance's name */
	bool again;              /* its recovery may be killed, too: in the short form only of these */
	bool halfway;            /* may end as a machine that is off, and said to be not undone */
	bool boots;              /* what was not undone runs again */
	/* From the undisturbed runs. */
	char *before, *after;
	size_t *calls; /* numbers of those that are tried */
	size_t n;
};

static struct plan plans[] = {
	{ "define", NOTHING, "instance-define", "first" },
	{ "define again", DEFINED, "instance-define", "second", .again = true },
	{ "start", DEFINED, "instance-start", .again = true },
	{ "start as a job", WAS_ON, "instance-start", .args = ", 'job-id': 'mine'" },
	{ "start paused", WAS_ON, "instance-start", .args = ", 'paused': true" },
	{ "modify", DEFINED, "instance-modify", .args = ", 'patch': {'description': 'second'}" },
	{ "modify what runs", RUNNING, "instance-modify", .args = ", 'patch': {'vcpus': 2}" },
	{ "shutdown", RUNNING, "instance-shutdown", .again = true },
	{ "stop", RUNNING, "instance-stop" },
	{ "boot anew", CHANGED, "instance-reboot", .again = true, .boots = true },
	{ "rename", WAS_ON, "instance-rename", .args = ", 'name': 'web2'", .again = true },
	{ "undefine", WAS_ON, "instance-undefine", .again = true },
	{ "undefine by force", RUNNING, "instance-undefine", .args = ", 'force': true", .halfway = true },
};

static struct scene {
	unsigned fds; /* droverd's, without a process */
	int id;       /* of the request */
	struct json_object *reply;
	struct stepper first, second;
	char *title;
	bool passed;
} scene;

/* ---- the scene ---- */

#define HVINFO(driver, id, addr) \
	"'hvinfo': {'driver': '" driver "', 'id': '" id "', 'bus': 'pci.0', 'addr': '" addr "'}"

/* With ' for ". */
static char *definition(const char *description)
{
	static const char fmt[] =
		"{'name': 'web', 'uuid': '" UUID "', 'layout': 1, 'description': '%s', 'disks': ["
		"{'uuid': '932df160-22a7-4067-a566-7e0ca8386133', 'name': 'disk0', 'path': '%s', " HVINFO(
			"virtio-blk-pci", "disk-932df160-22a7-4067",
			"0xc") "}, "
			       "{'uuid': '932df161-22a7-4067-a566-7e0ca8386133', 'name': 'disk1', 'path': '%s', "
			       "'format': 'qcow2', 'backing': [{'path': '%s'}], " HVINFO(
				       "virtio-blk-pci", "disk-932df161-22a7-4067",
				       "0xd") "}], 'nics': ["
					      "{'uuid': '003fc157-66a8-4e6d-8b7e-ec4f69751396', 'name': 'nic0', 'mac': "
					      "'52:54:00:3a:91:02', "
					      "'mode': 'user', " HVINFO(
						      "virtio-net-pci", "nic-003fc157-66a8-4e6d",
						      "0xe") "}], "
							     "'hvparams': {'accel': 'tcg', 'kvm_path': '%s', "
							     "'kernel_path': '%s'}}";
	_cleanup_free_ char *fake = rig_shared("fake-qemu"), *kernel = rig_shared("kernel");
	_cleanup_free_ char *raw = rig_shared("raw"), *top = rig_shared("top"), *base = rig_shared("base");

	return xasprintf(fmt, description, raw, top, base, fake, kernel);
}

/* What its disks lie on, beside all roots; the fake does not look at them, drover-open does. */
static void make_images(void)
{
	_cleanup_free_ char *raw = rig_shared("raw"), *top = rig_shared("top"), *base = rig_shared("base");
	_cleanup_free_ char *command = NULL;

	command = xasprintf("truncate -s 1M %s %s && qemu-img create -q -f qcow2 -u -b %s -F raw %s 1M", raw, base,
			    base, top);
	ck_assert_int_eq(system(command), 0); /* NOLINT(cert-env33-c): paths of our own */
}

static void write_definition(void)
{
	_cleanup_free_ char *dir = xasprintf("%s/lib/instances/web", stage.r->root), *text = definition("first");

	ck_assert(file_make_dirs(dir, 0700, NULL));
	for (char *p = text; *p; p++)
		if (*p == '\'')
			*p = '"';
	stage_write("lib/instances/web/definition.json", text);
}

/* Descriptors of droverd, but those that libuv keeps from the first file that was watched, and the first pipe, on. */
static unsigned count_fds(void)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/fd", stage.r->pid);
	DIR *dir = opendir(path);
	struct dirent *d;
	unsigned n = 0;

	while ((d = readdir(dir))) {
		char target[PATH_MAX];
		ssize_t len = readlinkat(dirfd(dir), d->d_name, target, sizeof(target) - 1);

		target[len > 0 ? len : 0] = '\0';
		n += len > 0 && !str_eq(target, "anon_inode:inotify") && !str_eq(target, "/dev/null");
	}
	closedir(dir);
	return n;
}

static void ask(const char *command, const char *more)
{
	json_object_put(client_ok(stage.c, command, "{" WEB "%s}", more));
}

static void scene_open(const struct plan *p)
{
	stage.r = rig_new("droverd");
	if (p->from != NOTHING)
		write_definition();
	rig_start(stage.r);
	stage.c = client_new(stage.r);
	/* Its thread pool is there from the first file on that it writes: no part of a plan. */
	client_define(stage.c, "other", "%s", "");
	json_object_put(client_ok(stage.c, "instance-undefine", "{'instance': 'other'}"));
	scene.fds = count_fds();
	if (p->from >= WAS_ON)
		ask("instance-start", "");
	if (p->from == WAS_ON)
		ask("instance-stop", "");
	if (p->from == CHANGED)
		ask("instance-modify", ", 'patch': {'vcpus': 2}");
	stage_settle();
}

static void scene_close(void)
{
	if (!scene.passed && scene.title)
		fprintf(stderr, "in %s\n", scene.title);
	free(scene.title);
	json_object_put(scene.reply);
	stepper_clear(&scene.first);
	stepper_clear(&scene.second);
	scene = (struct scene){ 0 };
	stage_clear();
}

static void send_request(const struct plan *p)
{
	_cleanup_free_ char *text = p->description ? definition(p->description) : NULL;

	if (text)
		scene.id = client_send(stage.c, p->command, "{'definition': %s}", text);
	else
		scene.id = client_send(stage.c, p->command, "{" WEB "%s}", p->args ? p->args : "");
}

/* ---- what there is ---- */

/* Files (the last state and logs apart), processes and control groups; what is told of each instance, the whole text of
 * its definition, and what of that does not run yet. */
static char *world(void)
{
	_cleanup_json_ struct json_object *list = client_ok(stage.c, "query-instances", NULL);
	char *text = stage_world();

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		const char *name = str_at(o, "name"), *state = str_at(o, "state");
		_cleanup_free_ char *old = text, *stored = rig_file(stage.r, "lib/instances/%s/definition.json", name);
		_cleanup_json_ struct json_object *full = client_ok(stage.c, "query-instance", "{" WEB "}");

		if (str_eq(state, "crashed"))
			state = "shutoff";
		text = xasprintf("%s%s is %s: %s, pending: %s\n", old, name, state, stored,
				 json_object_to_json_string(json_object_object_get(full, "pending")));
	}
	return text;
}

static unsigned count(const char *text, const char *part)
{
	unsigned n = 0;

	for (const char *p = text; (p = strstr(p, part)); p++)
		n++;
	return n;
}

/* The marker that the dead droverd left, if there is one; of our command, as the plan may end in one of droverd's own. */
static struct json_object *find_marker(const struct plan *p)
{
	static const char *const names[] = { "instance-web", "instance-web~destroy" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *path = xasprintf("%s/run/operations/%s.json", stage.r->root, names[i]);
		struct json_object *o = NULL;

		if (access(path, F_OK) < 0)
			continue;
		ck_assert_msg(file_read_json(AT_FDCWD, path, &o, NULL), "'%s' is not whole", path);
		if (str_eq(str_at(o, "command"), p->command))
			return o;
		json_object_put(o);
	}
	return NULL;
}

/* Whether the first droverd had come so far that the next one would have known of the plan. */
static bool was_marked(void)
{
	size_t done = scene.first.n - scene.first.killed;

	for (size_t i = 0; i < done; i++)
		if (scene.first.calls[i].nr == SYS_renameat && str_starts(scene.first.calls[i].path, ".instance-web"))
			return true;
	return false;
}

/* What was to be written whole or not at all. */
static void check_definition(const struct plan *p, const char *name)
{
	_cleanup_free_ char *text = rig_file(stage.r, "lib/instances/%s/definition.json", name);

	ck_assert_msg(!text || strstr(p->before, text) || strstr(p->after, text), "the definition is neither: %s",
		      text);
}

/* ---- the undisturbed runs ---- */

static bool is_done(void *data)
{
	const struct plan *p = data;
	_cleanup_free_ char *files = NULL;

	if (!scene.reply)
		scene.reply = client_poll_reply(stage.c, scene.id);
	if (!scene.reply)
		return false;
	ck_assert_msg(has(scene.reply, "return"), "%s: %s", p->title, json_object_to_json_string(scene.reply));
	files = rig_world(stage.r, false);
	return !strstr(files, "file run/operations/");
}

static void record_worlds(struct plan *p)
{
	scene_open(p);
	p->before = world();
	send_request(p);
	json_object_put(client_reply(stage.c, scene.id));
	stage_settle();
	p->after = world();
	ck_assert_msg(!str_eq(p->before, p->after), "'%s' does nothing", p->title);
	scene_close();
}

static bool is_long(void)
{
	return getenv("DROVER_LONG") != NULL;
}

/* The numbers of those calls that have an effect; the caller's. */
static size_t *effects_of(const struct stepper *s, size_t *n)
{
	size_t *numbers = xcalloc(s->n + 1, sizeof(size_t));

	*n = 0;
	for (size_t i = 0; i < s->n; i++)
		if (s->calls[i].effect)
			numbers[(*n)++] = i + 1;
	return numbers;
}

/* The I-th of MANY that are evenly spread over N. */
static size_t spread(size_t i, size_t many, size_t n)
{
	return (2 * i + 1) * n / (2 * many);
}

static void choose_calls(struct plan *p, const struct stepper *s)
{
	size_t n;
	_cleanup_free_ size_t *effects = effects_of(s, &n);

	p->n = is_long() ? s->n + BEYOND : n < ONCE ? n : ONCE;
	p->calls = xcalloc(p->n, sizeof(size_t));
	for (size_t i = 0; i < p->n; i++)
		p->calls[i] = is_long() ? i + 1 : effects[spread(i, p->n, n)];
	printf("%s: %zu calls, %zu of them with an effect; %zu are tried\n", p->title, s->n, n, p->n);
}

static void run_traced(struct plan *p, size_t nth)
{
	scene_open(p);
	stepper_attach(&scene.first, stage.r);
	send_request(p);
	stepper_run(&scene.first, nth, is_done, p);
}

static void record_calls(struct plan *p)
{
	run_traced(p, 0);
	choose_calls(p, &scene.first);
	scene_close();
}

/* ---- a trial ---- */

struct trial {
	struct plan *p;
	size_t nth, mth; /* mth 0: the second droverd is not killed */
};

enum { IS_BEFORE = 1, IS_AFTER = 2, IS_OFF = 4 };

/* What has become of the job that MARKER told of, in the shape of a reply. */
static struct json_object *find_outcome(struct json_object *marker)
{
	_cleanup_json_ struct json_object *jobs = client_ok(stage.c, "query-jobs", NULL);

	for (size_t i = 0; i < json_object_array_length(jobs); i++) {
		struct json_object *o = json_object_array_get_idx(jobs, i);

		if (str_eq(str_at(o, "id"), str_at(marker, "job-id")) &&
		    str_eq(str_at(o, "type"), str_at(marker, "command")))
			return json_object_get(o);
	}
	ck_abort_msg("the job is not there: %s", json_object_to_json_string(jobs));
}

/* What is known of the plan when the last droverd but one has died. */
struct traces {
	struct json_object *marker; /* for the next one to take up, or NULL */
	bool begun, ended;          /* there was one at all; one that was is gone */
};

/* Which worlds it may have come to, once there is nothing that is under way. */
static int expected(const struct trial *t, const struct traces *is)
{
	_cleanup_json_ struct json_object *job = is->marker ? find_outcome(is->marker) : NULL;

	/* Ended by the second one, which has told nobody how. */
	if (!job && is->ended)
		return IS_BEFORE | IS_AFTER | (t->p->halfway ? IS_OFF : 0);
	if (!job)
		return is->begun ? IS_AFTER : IS_BEFORE;
	if (has(job, "result"))
		return IS_AFTER;
	ck_assert_msg(has(job, "error"), "it has no end: %s", json_object_to_json_string(job));
	/* Nothing but a restart of droverd has put an end to it. */
	ck_assert_str_eq(str_at(job, "error.class"), "Cancelled");
	ck_assert_msg(!strstr(str_at(job, "error.desc"), "hvparams"), "'%s'", str_at(job, "error.desc"));
	if (json_get_bool(at(job, "error"), "undone", false))
		return IS_BEFORE;
	ck_assert_msg(t->p->halfway || t->p->boots, "it ended halfway: %s", json_object_to_json_string(job));
	if (t->p->boots)
		ck_assert_ptr_nonnull(strstr(str_at(job, "error.desc"), "started anew"));
	return t->p->boots ? IS_AFTER : IS_OFF;
}

static bool is_one_of(const struct trial *t, int may, const char *is)
{
	return ((may & IS_BEFORE) && str_eq(is, t->p->before)) || ((may & IS_AFTER) && str_eq(is, t->p->after)) ||
	       ((may & IS_OFF) && count(is, "process ") == 0 && count(is, "file run/instances/") == 0);
}

/* A launcher that has lost its droverd ends by itself, and a guest that was asked to go goes, soon. */
static void check_world(const struct trial *t, int may)
{
	_cleanup_free_ char *is = world();

	for (int i = 0; i < POLLS && !is_one_of(t, may, is); i++) {
		usleep(POLL_US);
		stage_settle();
		free(is);
		is = world();
	}
	if (is_one_of(t, may, is))
		return;
	ck_abort_msg("the world is neither%s%s%s\n--- is\n%s--- before\n%s--- after\n%s",
		     may & IS_BEFORE ? " that before" : "", may & IS_AFTER ? " that after" : "",
		     may & IS_OFF ? " without a process" : "", is, t->p->before, t->p->after);
}

/* What is told of the instance is what the kernel says of it, and it has at most one process. */
static void check_agreement(void)
{
	_cleanup_json_ struct json_object *list = client_ok(stage.c, "query-instances", NULL), *o = NULL;
	_cleanup_free_ char *is = stage_world();
	pid_t pid;

	if (json_object_array_length(list) == 0) {
		ck_assert_uint_eq(count(is, "process "), 0);
		return;
	}
	ck_assert_uint_eq(json_object_array_length(list), 1);
	o = client_ok(stage.c, "query-instance", "{" WEB "}");
	pid = stage_holder(str_at(o, "name"));
	ck_assert(!has(o, "operation.step"));
	ck_assert_uint_eq(count(is, "process fake-qemu\n"), pid ? 1 : 0);
	ck_assert_uint_eq(count(is, "process drover-launch\n"), pid ? 1 : 0);
	if (!pid) {
		ck_assert(!has(o, "pid"));
		ck_assert(json_object_object_get(o, "runtime") == NULL);
		return;
	}
	ck_assert_int_eq(int_at(o, "pid"), pid);
	ck_assert_int_eq(int_at(o, "runtime.process.pid"), pid);
	ck_assert(process_start_time(pid) == (uint64_t)int_at(o, "runtime.process.start-time"));
	ck_assert_str_eq(str_at(o, "monitor"), "ok");
}

/* Each log is that of an instance. */
static void check_logs(void)
{
	_cleanup_json_ struct json_object *list = client_ok(stage.c, "query-instances", NULL);
	_cleanup_free_ char *path = xasprintf("%s/log", stage.r->root);
	DIR *dir = opendir(path);
	struct dirent *d;

	ck_assert_ptr_nonnull(dir);
	while ((d = readdir(dir))) {
		bool known = d->d_name[0] == '.' && (!d->d_name[1] || str_eq(d->d_name, ".."));

		for (size_t i = 0; i < json_object_array_length(list); i++) {
			const char *name = str_at(json_object_array_get_idx(list, i), "name");
			size_t n = strlen(name);

			known |= strncmp(d->d_name, name, n) == 0 && d->d_name[n] == '.';
		}
		ck_assert_msg(known, "a log of nobody: '%s'", d->d_name);
	}
	closedir(dir);
}

/* As process 1 we see all that is left: droverd, and what the world tells of. */
static bool are_strangers(void)
{
	_cleanup_free_ char *is = stage_world();
	unsigned all = 0;
	DIR *proc = opendir("/proc");
	struct dirent *d;

	while ((d = readdir(proc))) {
		pid_t pid = (pid_t)strtol(d->d_name, NULL, 10);
		char state = '\0';

		if (pid > 0)
			state = process_run_state(pid);
		all += state && state != 'Z';
	}
	closedir(proc);
	return all != 2 + count(is, "process ");
}

static void check_strangers(void)
{
	for (int i = 0; i < POLLS && getpid() == 1 && are_strangers(); i++)
		usleep(POLL_US);
	ck_assert(getpid() != 1 || !are_strangers());
}

/* Whatever happened, a machine can be made, started, stopped and taken away, and nothing is left of it, nor does droverd
 * hold more than at its start. */
static void check_life_goes_on(void)
{
	_cleanup_json_ struct json_object *list = client_ok(stage.c, "query-instances", NULL);
	_cleanup_free_ char *text = definition("third"), *is = NULL, *fds = NULL;

	if (json_object_array_length(list) > 0)
		ask("instance-undefine", ", 'force': true");
	json_object_put(client_ok(stage.c, "instance-define", "{'definition': %s}", text));
	ask("instance-start", "");
	check_agreement();
	ask("instance-stop", "");
	ask("instance-undefine", "");
	check_agreement();
	check_logs();
	is = world();
	ck_assert_msg(str_eq(is, plans[0].before), "a machine leaves\n%sinstead of\n%s", is, plans[0].before);
	fds = rig_world(stage.r, true);
	ck_assert_msg(count_fds() == scene.fds, "droverd holds %u descriptors instead of %u:\n%s", count_fds(),
		      scene.fds, fds);
}

/* It would serve clients, and has nothing to do. */
static bool is_recovered(void *data)
{
	_cleanup_free_ char *files = rig_world(stage.r, false);

	return strstr(files, "file run/drover.sock") && !strstr(files, "file run/operations/");
}

/* The second one, which is killed while it takes up what the first one left. */
static void kill_second(size_t mth)
{
	_cleanup_free_ char *socket = xasprintf("%s/run/drover.sock", stage.r->root);

	unlink(socket);
	stage.r->traced = true;
	rig_spawn(stage.r);
	stepper_attach(&scene.second, stage.r);
	stepper_run(&scene.second, mth, is_recovered, NULL);
	stage.r->traced = false;
}

static void name_trial(const struct trial *t, const struct stepper *s)
{
	_cleanup_free_ char *call = s->n ? stepper_describe(&s->calls[s->n - 1]) : NULL, *old = scene.title;
	_cleanup_free_ char *second = t->mth ? xasprintf(",%zu", t->mth) : xstrdup("");

	if (old)
		scene.title = xasprintf("%s, then %s %s", old, s->killed ? "in front of" : "done behind", call);
	else
		scene.title = xasprintf("DROVER_TRIALS='%s' DROVER_NTH=%zu%s: %s %s", t->p->title, t->nth, second,
					s->killed ? "in front of" : "done behind", call);
}

static void try_one(const struct trial *t)
{
	struct traces is = { 0 };

	run_traced(t->p, t->nth);
	name_trial(t, &scene.first);
	client_free(TAKE_PTR(stage.c));
	check_definition(t->p, "web");
	check_definition(t->p, "web2");
	is.begun = was_marked();
	is.marker = find_marker(t->p);
	if (t->mth) {
		struct json_object *old = is.marker;

		kill_second(t->mth);
		name_trial(t, &scene.second);
		is.marker = find_marker(t->p);
		is.ended = old && !is.marker;
		json_object_put(old);
	}
	stage_restart();
	stage_settle();
	check_world(t, expected(t, &is));
	check_agreement();
	check_logs();
	check_strangers();
	check_life_goes_on();
	json_object_put(is.marker);
}

/* ---- the suite ---- */

static struct trial *trials;
static size_t n_trials;

static void add_trial(struct plan *p, size_t nth, size_t mth)
{
	trials = xrealloc(trials, n_trials + 1, sizeof(*trials));
	trials[n_trials++] = (struct trial){ p, nth, mth };
}

/* The calls of the second droverd are counted when the first one has died halfway. */
static void add_twice(struct plan *p)
{
	size_t many = is_long() ? p->n / FIRST_OF_TWO + 1 : TWICE, each = is_long() ? SECONDS_OF_TWO : 1;

	for (size_t i = 0; i < many; i++) {
		size_t nth = p->calls[spread(i, many, p->n)], n;
		_cleanup_free_ size_t *effects = NULL;

		run_traced(p, nth);
		kill_second(0);
		effects = effects_of(&scene.second, &n);
		for (size_t k = 0; k < each; k++)
			add_trial(p, nth, effects[spread(i + k * many, many * each, n)]);
		scene_close();
	}
}

static void add_trials(struct plan *p)
{
	const char *nth = getenv("DROVER_NTH");
	char *end;

	record_worlds(p);
	record_calls(p);
	if (nth) {
		size_t n = strtoul(nth, &end, 10);

		add_trial(p, n, *end == ',' ? strtoul(end + 1, NULL, 10) : 0);
		return;
	}
	for (size_t i = 0; i < p->n; i++)
		add_trial(p, p->calls[i], 0);
	if (p->again || is_long())
		add_twice(p);
}

START_TEST(record)
{
	const char *only = getenv("DROVER_TRIALS");

	if (_i == 0)
		make_images();
	if (!only || str_eq(only, plans[_i].title))
		add_trials(&plans[_i]);
	else if (_i == 0)
		record_worlds(&plans[_i]); /* what nothing looks like */
	scene.passed = true;
}
END_TEST

START_TEST(killed)
{
	try_one(&trials[_i]);
	scene.passed = true;
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
	Suite *s = suite_create("killed");
	TCase *tc = tcase_create("trials");

	record_all();
	printf("%zu trials\n", n_trials);
	tcase_add_checked_fixture(tc, NULL, scene_close);
	tcase_add_loop_test(tc, killed, 0, (int)n_trials);
	suite_add_tcase(s, tc);
	return s;
}

RIG_MAIN_IN_MEMORY(make)
