/* SPDX-License-Identifier: BSD-2-Clause */
#include "matrix.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The ladder of a stop without its waits. */
#define STOP_FAST ";*/ask QEMU to quit/before/expire!;*/terminate QEMU/before/expire!"

/* ---- what makes a plan run ---- */

static bool is_own(const struct plan *p)
{
	return p->signal || p->restart || p->file;
}

/* droverd goes, at once or in the middle of the lead, and comes again. */
static void restart_into(const struct plan *p, const char *fault, bool deadly)
{
	_cleanup_free_ char *stamp = xasprintf("%s/run/autostarted", scene.r->root);

	if (p->cut) {
		scene_set_faults(p->cut);
		client_send(scene.c, p->lead, "{%s}", scene_web(p));
		rig_wait(scene.r);
	} else {
		rig_kill(scene.r);
		unlink(stamp); /* as after a boot of the host */
	}
	scene_spawn(fault);
	if (!deadly)
		scene.c = client_new(scene.r);
}

/* The id of the request, or 0. DEADLY: droverd will kill itself. */
static int trigger(const struct plan *p, const char *fault, const char *job_id, bool deadly)
{
	_cleanup_free_ char *id = NULL, *args = NULL, *own = NULL;

	if (p->restart) {
		restart_into(p, fault, deadly);
		return 0;
	}
	if (p->signal) {
		kill(scene.qemu, p->signal);
		return 0;
	}
	if (p->file) {
		scene_make(p->file);
		return 0;
	}
	id = job_id ? xasprintf(", 'job-id': '%s'", job_id) : xstrdup("");
	own = p->args ? scene_text(p->args) : xstrdup("");
	if (p->description)
		args = scene_definition(p, p->description);
	else
		args = xasprintf("%s%s%s%s", scene_web(p), p->args ? ", " : "", own, id);
	return client_send(scene.c, p->command, p->description ? "{'definition': %s}" : "{%s}", args);
}

/* ---- once without a fault ---- */

/* "step COMMAND NUMBER NAME"; see fault.c. */
static void note_step(struct plan *p, char *line)
{
	_cleanup_free_ char *prefix = xasprintf("step %s ", p->command);
	bool commit, again, process;
	char *name;
	int i;

	if (!str_starts(line, prefix))
		return;
	line += strlen(prefix);
	commit = *line == '!';
	line += commit;
	again = *line == '~';
	line += again;
	process = *line == '@';
	i = (int)strtol(line + process, &name, 10);
	ck_assert_msg(i == p->n && i < STEPS_MAX, "step %d comes behind %d", i, p->n);
	p->steps[i].name = xstrdup(name + 1);
	p->steps[i].commit = commit;
	p->steps[i].again = again;
	p->steps[i].process = process;
	p->steps[i].past = i > 0 && (p->steps[i - 1].past || p->steps[i - 1].commit);
	p->n++;
}

/* It is done, or comes to the error that it is to come to. */
static void check_outcome(const struct plan *p, int id)
{
	_cleanup_json_ struct json_object *reply = client_reply(scene.c, id);

	ck_assert_msg(p->class ? has(reply, "error") && str_eq(str_at(reply, "error.class"), p->class) :
				 has(reply, "return"),
		      "%s: %s", p->title, json_object_to_json_string(reply));
}

/* What comes of an error when the process ends. */
static void record_left(struct plan *p)
{
	json_object_put(client_ok(scene.c, "instance-stop", "{%s}", scene_web(p)));
	if (p->dies_done)
		json_object_put(client_reply(scene.c, trigger(p, "", NULL, false)));
	p->left = world();
}

void record_plan(struct plan *p)
{
	_cleanup_free_ char *log = NULL, *first = xasprintf("step %s", p->command);
	char *save = NULL;
	int id;

	scene.title = xstrdup(p->title);
	scene_open(p, "");
	p->before = world();
	id = trigger(p, "", NULL, false);
	if (id)
		check_outcome(p, id);
	await_log(first);
	settle();
	p->after = world();
	log = rig_file(scene.r, "steps");
	for (char *line = strtok_r(log, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		note_step(p, line);
	ck_assert_int_gt(p->n, 0);
	check_agreement();
	if (p->class)
		record_left(p);
	check_life_goes_on();
	p->off = world();
	scene.passed = true;
}

/* ---- with one ---- */

int trials_of(const struct plan *p)
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

static bool is_deadly(const struct trial *t)
{
	return t->fault == KILL || t->fault == FREEZE_KILL;
}

static char *place_of(const struct trial *t)
{
	return xasprintf("%s/%d/%s", t->p->command, t->step, t->after ? "after" : "before");
}

static char *faults_of(const struct trial *t)
{
	_cleanup_free_ char *place = place_of(t);

	switch (t->fault) {
	case FREEZE:
		return xasprintf("%s/freeze;%s/expire", place, place);
	case FREEZE_KILL:
		return xasprintf("%s/freeze;%s/kill", place, place);
	case FREEZE_STOP:
		return xasprintf("%s/freeze" STOP_FAST, place);
	case FAIL:
	case CANCEL:
	case KILL:
	case KILLQEMU:
	case EXPIRE:
	case FAULT_COUNT:
		break;
	}
	return xasprintf("%s/%s", place, fault_names[t->fault]);
}

/* Of the job of the plan, by its ID, or NULL: any of its command. A new reference, or NULL. */
static struct json_object *find_job(const struct plan *p, const char *id)
{
	_cleanup_json_ struct json_object *jobs = client_ok(scene.c, "query-jobs", NULL);

	for (size_t i = 0; i < json_object_array_length(jobs); i++) {
		struct json_object *o = json_object_array_get_idx(jobs, i);

		if (str_eq(str_at(o, "type"), p->command) && (!id || str_eq(str_at(o, "id"), id)))
			return json_object_get(o);
	}
	return NULL;
}

/* What it came to, in the shape of a reply. */
static struct json_object *outcome_of_job(const struct plan *p, const char *id)
{
	_cleanup_json_ struct json_object *o = find_job(p, id);
	struct json_object *outcome = json_object_new_object();

	ck_assert_msg(o != NULL, "the job is not there");
	json_add(outcome, has(o, "error") ? "error" : "return",
		 json_object_get(at(o, has(o, "error") ? "error" : "result")));
	return outcome;
}

/* What the log says of a QEMU: "killed", "frozen". */
static pid_t logged_pid(const char *what)
{
	_cleanup_free_ char *text = rig_file(scene.r, "steps"), *begin = xasprintf("\n%s ", what);
	const char *line = text ? strstr(text, begin) : NULL;

	return line ? (pid_t)strtol(line + strlen(begin), NULL, 10) : 0;
}

static void thaw(void)
{
	pid_t pid = logged_pid("frozen");

	if (pid)
		kill(pid, SIGCONT);
}

/* Those that give the guest its time, whatever QEMU does. */
static const char *const patient[] = { "wait for it to wake", "ask the guest agent to shut down", "wait for the guest",
				       "wait for the firmware" };

/* Nobody knows how a step takes it that QEMU stands still: it stalls, or has ended in error, or has gone by, and a later
 * one, or an undo, is waiting. */
static bool is_stuck(const struct trial *t)
{
	_cleanup_json_ struct json_object *o = find_job(t->p, NULL);

	for (size_t i = 0; i < ARRAY_SIZE(patient); i++)
		if (str_eq(patient[i], t->p->steps[t->step].name))
			return true;
	return !o || !str_eq(str_at(o, "status"), "running") || has(o, "stalled") ||
	       int_at(o, "current-progress") != t->step;
}

static void await_stuck(const struct trial *t)
{
	for (int64_t end = look_until(); !is_stuck(t) && look_again(end);)
		;
	ck_assert_msg(is_stuck(t), "it waits without an end for a QEMU that stands still");
}

/* droverd has killed itself: a new one, without the fault, ends what was begun. */
static void restart(struct trial *t, const char *job_id)
{
	int status = rig_wait(scene.r);
	pid_t qemu;

	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "droverd ended with wait status %#x", status);
	qemu = lock_holder("qemu.lock");
	scene_restart();
	thaw();
	settle();
	ck_assert_msg(t->p->boots || t->p->restarts || lock_holder("qemu.lock") == qemu ||
			      lock_holder("qemu.lock") == 0,
		      "process %d became %d", qemu, lock_holder("qemu.lock"));
	if (is_own(t->p) || t->p->unmarked)
		return;
	t->outcome = outcome_of_job(t->p, job_id);
}

static bool is_off_now(void)
{
	_cleanup_free_ char *is = NULL;

	settle();
	is = world();
	return is_off(scene.p, is);
}

static void await_off(void)
{
	for (int64_t end = look_until(); !is_off_now() && look_again(end);)
		;
}

/* A stop that comes while it stands still ends it, and there is nothing that it could have forgotten. */
static void stop_frozen(const struct trial *t)
{
	pid_t pid = logged_pid("frozen");
	int id = client_send(scene.c, "instance-stop", "{%s}", scene_web(t->p));
	_cleanup_json_ struct json_object *reply = client_reply(scene.c, id);
	bool gone = str_eq(t->p->command, "instance-undefine") && has(reply, "error.class") &&
		    str_eq(str_at(reply, "error.class"), "NotFound");

	ck_assert_msg(gone || has(reply, "return"), "instance-stop: %s", json_object_to_json_string(reply));
	process_await_end(pid);
}

/* A guest that lets go of a device when it likes is cleared up after by an operation of droverd's own; all else that is
 * under way behind a reply was left. */
static bool is_clearing_up(const struct plan *p)
{
	static const char *const commands[] = { "disk-", "nic-", "devices-" };
	_cleanup_json_ struct json_object *o = client_ok(scene.c, "query-instance", "{%s}", scene_web(p));
	bool devices = false;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		devices |= str_starts(p->command, commands[i]);
	return devices && (!has(o, "operation.command") || str_eq(str_at(o, "operation.command"), "devices-collect"));
}

static void follow(struct trial *t, int id)
{
	_cleanup_free_ char *place = place_of(t), *fired = xasprintf("fault %s", place);
	struct json_object *first;

	if (t->fault >= FREEZE)
		await_log(fired);
	if (t->fault == FREEZE)
		await_stuck(t);
	if (t->fault == FREEZE_STOP)
		stop_frozen(t);
	thaw();
	if (id)
		t->outcome = client_reply(scene.c, id);
	await_log(fired);
	if (t->outcome && has(t->outcome, "error.stalled")) {
		/* It goes on as a job: what became of that is the outcome. */
		first = t->outcome;
		settle();
		t->outcome = outcome_of_job(t->p, str_at(first, "error.job-id"));
		json_object_put(first);
	} else if (awaits_guest(t) || t->fault == KILLQEMU || t->fault >= FREEZE || !id || t->p->boots) {
		if (logged_pid("killed"))
			process_await_end(logged_pid("killed"));
		settle();
	} else if (!t->p->asks_guest && !rig_is_settled(scene.r, scene.c)) {
		ck_assert_msg(is_clearing_up(t->p), "something is under way behind the reply");
		settle();
	}
	if (t->p->boots ? stays_down(t) : was_asked(t))
		await_off();
}

static void run(struct trial *t)
{
	_cleanup_free_ char *faults = faults_of(t), *job_id = NULL;
	bool deadly = is_deadly(t);
	int id;

	if (t->p->named && deadly)
		job_id = xasprintf("mine-%d", ++scene.id);
	scene_open(t->p, t->p->restart ? "" : faults);
	id = trigger(t->p, faults, job_id, deadly);
	if (deadly)
		restart(t, job_id);
	else
		follow(t, id);
}

/* What a trial leaves is compared each time; what comes of it later is worth a start and a stop now and then, for the next
 * trials are some. */
static bool is_followed(int i)
{
	return i % 3 == 0 || getenv("DROVER_LONG") || getenv("DROVER_TRIALS");
}

void try_one(const struct plan *p, int i)
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
	judge(&t);
	check_strangers();
	if (is_followed(i))
		check_life_goes_on();
	json_object_put(t.outcome);
	scene.passed = true;
}
