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
#include "stage.h"
#include "stepper.h"
#include "web.h"

#include <fcntl.h>
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

struct plan {
	const char *title;
	enum from from;
	const char *command;
	const char *description; /* of the definition that it takes, or NULL */
	const char *args;        /* behind the instance's name; SHARED is where its images are */
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
	{ "attach a disk", RUNNING, "disk-attach", .again = true,
	  .args = ", 'disk': {'uuid': '11111111-22a7-4067-a566-7e0ca8386133', 'name': 'more', 'path': 'SHARED/more'}" },
	{ "detach a disk", RUNNING, "disk-detach", .args = ", 'disk': 'disk1'", .again = true },
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

static void scene_open(const struct plan *p)
{
	stage.r = rig_new("droverd");
	if (p->from != NOTHING)
		web_write();
	rig_start(stage.r);
	stage.c = client_new(stage.r);
	/* Its thread pool is there from the first file on that it writes: no part of a plan. */
	client_define(stage.c, "other", "%s", "");
	json_object_put(client_ok(stage.c, "instance-undefine", "{'instance': 'other'}"));
	scene.fds = rig_own_fds(stage.r);
	if (p->from >= WAS_ON)
		web_ask("instance-start", "");
	if (p->from == WAS_ON)
		web_ask("instance-stop", "");
	if (p->from == CHANGED)
		web_ask("instance-modify", ", 'patch': {'vcpus': 2}");
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

/* A new text. */
static char *args_of(const struct plan *p)
{
	static const char shared[] = "SHARED";
	_cleanup_free_ char *dir = rig_shared("");
	const char *args = p->args ? p->args : "", *at = strstr(args, shared);

	return at ? xasprintf("%.*s%s%s", (int)(at - args), args, dir, at + sizeof(shared) - 1) : xstrdup(args);
}

static void send_request(const struct plan *p)
{
	_cleanup_free_ char *text = p->description ? web_definition(p->description) : NULL, *args = args_of(p);

	if (text)
		scene.id = client_send(stage.c, p->command, "{'definition': %s}", text);
	else
		scene.id = client_send(stage.c, p->command, "{" WEB "%s}", args);
}

/* ---- what there is ---- */

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
	p->before = web_world();
	send_request(p);
	json_object_put(client_reply(stage.c, scene.id));
	stage_settle();
	p->after = web_world();
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

/* What has become of the job that MARKER told of. */
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
	       ((may & IS_OFF) && web_count(is, "process ") == 0 && web_count(is, "file run/instances/") == 0);
}

/* A launcher that has lost its droverd ends by itself, and a guest that was asked to go goes, soon. */
static void check_world(const struct trial *t, int may)
{
	_cleanup_free_ char *is = web_world();

	for (int i = 0; i < POLLS && !is_one_of(t, may, is); i++) {
		usleep(POLL_US);
		stage_settle();
		free(is);
		is = web_world();
	}
	if (is_one_of(t, may, is))
		return;
	ck_abort_msg("the world is neither%s%s%s\n--- is\n%s--- before\n%s--- after\n%s",
		     may & IS_BEFORE ? " that before" : "", may & IS_AFTER ? " that after" : "",
		     may & IS_OFF ? " without a process" : "", is, t->p->before, t->p->after);
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
	web_check_agreement();
	web_check_logs();
	web_check_strangers();
	web_check_life_goes_on(plans[0].before, scene.fds);
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
		web_make_things();
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
