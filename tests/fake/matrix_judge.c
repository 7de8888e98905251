/* SPDX-License-Identifier: BSD-2-Clause */
#include "matrix.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <assert.h>

enum { BEFORE_WAIT = 6 }; /* steps in front of the wait for the guest that do not ask QEMU */

const char *const fault_names[FAULT_COUNT] = { "fail",   "cancel", "kill",           "killqemu",
					       "expire", "freeze", "freeze+restart", "freeze+stop" };

/* Steps that only touch memory, or log what they cannot do: before them there is nothing that can fail. */
static const char *const sure[] = { "take it over", "forget it", "see whether it obeyed", "clear the run directory",
				    "wait for what was cancelled" };

bool awaits_guest(const struct trial *t)
{
	return str_eq(t->p->steps[t->step].name, "wait for the guest");
}

/* Whether it ends while the guest is waited for; a QEMU that is frozen before is found out there. */
static bool is_patient(const struct trial *t, enum fault fault)
{
	int wait = t->step;

	if (awaits_guest(t))
		return fault == CANCEL || fault == EXPIRE || fault == FREEZE || fault == FREEZE_STOP;
	while (wait < t->p->n && !str_eq(t->p->steps[wait].name, "wait for the guest"))
		wait++;
	return fault == FREEZE_STOP && wait - t->step <= BEFORE_WAIT;
}

bool makes_sense(const struct trial *t)
{
	bool fails_itself = t->p->class && t->step == t->p->n - 1; /* and does not come to its end */

	if (t->fault >= FREEZE && (t->after || !t->p->steps[t->step].process))
		return false;
	if (t->p->untold && t->p->steps[t->step].commit && t->after && (t->fault == FAIL || t->fault == EXPIRE))
		return false;
	if (fails_itself && t->after)
		return false;
	/* What was asked for and not answered leaves some day, though the rest of the change was taken back: neither world. */
	if (t->p->stays_asked && !t->after && is_patient(t, t->fault) && !fails_itself)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(sure); i++)
		if (t->fault == FAIL && !t->after && str_eq(sure[i], t->p->steps[t->step].name))
			return false;
	return true;
}

/* The button was pressed: this guest obeys, whatever became of the operation. */
bool was_asked(const struct trial *t)
{
	int press = 0;

	while (press < t->p->n && !str_eq(t->p->steps[press].name, "press the power button"))
		press++;
	return t->p->asks_guest && (t->step > press || (t->step == press && (t->after || t->fault != FAIL)));
}

static bool is_committed(const struct trial *t)
{
	return t->p->steps[t->step].past || (t->p->steps[t->step].commit && (t->after || t->fault == CANCEL));
}

/* A reboot that turned back after that leaves it down. */
bool stays_down(const struct trial *t)
{
	return was_asked(t) && !is_committed(t) &&
	       (t->fault == FAIL || t->fault == CANCEL || (t->fault == EXPIRE && t->after));
}

/* droverd, and another one goes on. */
static bool is_killed(const struct trial *t)
{
	return t->fault == KILL || t->fault == FREEZE_KILL;
}

static bool was_undone(const struct trial *t)
{
	return t->outcome && json_get_bool(json_get_typed(t->outcome, "error", json_type_object), "undone", false);
}

/* What it comes to without a fault. */
static bool came_as_ever(const struct trial *t)
{
	return t->p->class && t->outcome && has(t->outcome, "error") &&
	       str_eq(t->p->class, str_at(t->outcome, "error.class"));
}

static void check_class(const struct trial *t)
{
	static const char *const classes[FAULT_COUNT][5] = {
		[FAIL] = { "GenericError" },     [CANCEL] = { "Cancelled" },
		[KILL] = { "Cancelled" },        [KILLQEMU] = { "GuestGone", "QemuError", "GenericError" },
		[EXPIRE] = { "Timeout" },        [FREEZE] = { "Timeout" },
		[FREEZE_KILL] = { "Cancelled" }, [FREEZE_STOP] = { "Cancelled", "GuestGone", "QemuError" },
	};

	if (came_as_ever(t))
		return;
	for (size_t i = 0; classes[t->fault][i]; i++)
		if (str_eq(classes[t->fault][i], str_at(t->outcome, "error.class")))
			return;
	ck_abort_msg("the error is %s", json_object_to_json_string(t->outcome));
}

/* ---- which worlds it may have come to ---- */

enum { WAS_BEFORE = 1, WAS_AFTER = 2, WAS_OFF = 4, WAS_BETWEEN = 8 };

/* Of a reboot, on the way of which the guest is down. */
static int expected_of_boots(const struct trial *t, bool undone)
{
	switch (t->fault) {
	case KILL:
	case FREEZE_KILL:
		return WAS_AFTER;
	case KILLQEMU:
		return WAS_AFTER | WAS_OFF;
	case EXPIRE:
	case FREEZE:
		return WAS_AFTER | WAS_OFF | (undone ? WAS_BEFORE : 0);
	case FREEZE_STOP:
		return WAS_OFF;
	case FAIL:
	case CANCEL:
	case FAULT_COUNT:
		break;
	}
	return stays_down(t) ? WAS_OFF : undone ? WAS_BEFORE : WAS_AFTER;
}

/* Of what nobody waits for. */
static int expected_of_own(const struct trial *t)
{
	/* What runs beside everything is not gone on with. */
	if (is_killed(t))
		return WAS_AFTER | (t->p->unmarked && t->p->between ? WAS_BETWEEN : 0);
	return WAS_AFTER | (t->p->between ? WAS_BETWEEN : 0) | (t->p->restarts || t->fault == KILLQEMU ? WAS_OFF : 0);
}

/* Of the way between there is a halt, which a failure that cannot be undone may leave it at. */
static int expected_with_halt(const struct trial *t)
{
	bool was_killed = t->fault == KILLQEMU && lock_holder("qemu.lock") == 0;

	if (was_asked(t))
		return WAS_OFF;
	if (was_undone(t))
		return WAS_BEFORE | (was_killed ? WAS_OFF : 0);
	return WAS_AFTER | (!t->outcome || has(t->outcome, "error") ? WAS_BETWEEN : 0) | (t->outcome ? 0 : WAS_BEFORE) |
	       (was_killed ? WAS_OFF : 0);
}

/* Where the outcome has to say what the place of the fault does. */
static int expected_by_commit(const struct trial *t)
{
	bool done = t->p->steps[t->step].past || (t->p->steps[t->step].commit && t->after);
	bool undone = was_undone(t);

	if (is_killed(t))
		done |= t->p->steps[t->step].again;
	if (t->p->idle_commit || t->fault == CANCEL)
		done |= t->p->steps[t->step].commit;
	if (t->outcome)
		ck_assert_msg(done != undone, "%s the commit, and the outcome is %s", done ? "at or behind" : "before",
			      json_object_to_json_string(t->outcome));
	return done ? WAS_AFTER : WAS_BEFORE;
}

static int expected(const struct trial *t)
{
	bool has_commit = t->p->steps[t->p->n - 1].past || t->p->steps[t->p->n - 1].commit;
	bool failed = t->outcome && has(t->outcome, "error"), undone = was_undone(t);
	int may = !t->outcome ? WAS_BEFORE | WAS_AFTER : undone ? WAS_BEFORE : WAS_AFTER;

	if (t->fault == FREEZE_STOP)
		return WAS_OFF | (str_eq(t->p->command, "instance-undefine") ? WAS_AFTER : 0);
	if (t->p->boots)
		return expected_of_boots(t, undone);
	if (t->p->signal || t->p->restart || t->p->file)
		return expected_of_own(t);
	if (t->p->between)
		return expected_with_halt(t);
	if (t->fault == KILLQEMU && lock_holder("qemu.lock") == 0)
		return may | WAS_OFF;
	if (came_as_ever(t))
		return may;
	if (t->p->stops_first && failed && !undone)
		return may | WAS_OFF;
	if (was_asked(t))
		return WAS_OFF;
	/* What it was asked for it may still do, for all that is known. */
	if (t->p->deaf && failed && !undone && !is_committed(t))
		return WAS_BEFORE | (is_killed(t) ? WAS_AFTER : 0);
	if (t->fault == EXPIRE || t->fault == KILLQEMU || t->fault == FREEZE || !has_commit)
		return may;
	return expected_by_commit(t);
}

/* ---- the world ---- */

/* A world without its lines that begin so; those alone. */
static char *lines_of(const char *text, const char *begin, bool with)
{
	_cleanup_free_ char *copy = xstrdup(text);
	char *result = xstrdup(""), *save = NULL;

	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		_cleanup_free_ char *old = result;
		bool take = str_starts(line, begin) == with;

		result = xasprintf("%s%s%s", old, take ? line : "", take ? "\n" : "");
	}
	return result;
}

/* Without a process, by a definition that it may have come to. What is kept from the first start on is not there when that
 * was taken back. */
bool is_off(const struct plan *p, const char *is)
{
	_cleanup_free_ char *rest = lines_of(is, "definition ", false), *off = lines_of(p->off, "definition ", false);
	_cleanup_free_ char *definition = lines_of(is, "definition ", true);

	if (p->from == DEFINED && str_eq(is, p->before))
		return true;
	return str_eq(rest, off) && *definition &&
	       (strstr(p->before, definition) || strstr(p->after, definition) ||
		(p->left && strstr(p->left, definition)));
}

/* The one before, but for the state. */
static bool is_between(const struct plan *p, const char *is)
{
	_cleanup_free_ char *rest = lines_of(is, "state ", false), *before = lines_of(p->before, "state ", false);
	_cleanup_free_ char *state = lines_of(is, "state ", true), *one = NULL, *other = NULL;

	one = xasprintf("state web: %s\n", p->between ? p->between : "");
	other = xasprintf("state web: %s\n", p->halts ? p->halts : "");
	return str_eq(rest, before) && (str_eq(state, one) || str_eq(state, other));
}

static bool is_one_of(const struct trial *t, int may, const char *is)
{
	return ((may & WAS_BEFORE) && str_eq(is, t->p->before)) || ((may & WAS_AFTER) && str_eq(is, t->p->after)) ||
	       ((may & WAS_OFF) && is_off(t->p, is)) || ((may & WAS_BETWEEN) && is_between(t->p, is));
}

static void check_world(const struct trial *t)
{
	_cleanup_free_ char *is = world();
	int may = expected(t);
	/* A new droverd shows what the last one saw until QEMU has answered, and what runs beside everything, or past
	 * its commit, and fails is known by the events that follow. All else is as it will be. */
	bool follows = is_killed(t) || t->p->file || t->p->unmarked || t->p->boots || t->p->between ||
		       t->p->steps[t->step].past || awaits_guest(t) || scene.machine->late;

	for (int64_t end = look_until(); follows && !is_one_of(t, may, is) && look_again(end);) {
		free(is);
		settle();
		is = world();
	}
	if (is_one_of(t, may, is))
		return;
	ck_abort_msg("the world is neither%s%s%s%s; outcome: %s\n--- is\n%s--- before\n%s--- after\n%s--- off\n%s",
		     may & WAS_BEFORE ? " that before" : "", may & WAS_AFTER ? " that after" : "",
		     may & WAS_OFF ? " that without a process" : "", may & WAS_BETWEEN ? " that between" : "",
		     t->outcome ? json_object_to_json_string(t->outcome) : "none", is, t->p->before, t->p->after,
		     t->p->off);
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
	o = client_ok(scene.c, "query-instance", "{'instance': '%s'}",
		      str_at(json_object_array_get_idx(list, 0), "name"));
	machine = json_get_str(
		json_get_typed(json_get_typed(o, "definition", json_type_object), "hvparams", json_type_object),
		"machine_version");
	if (lock_holder("qemu.lock"))
		ck_assert_msg(machine && str_starts(machine, "pc-"), "the machine is %s", machine);
	else if (t->p->from == DEFINED && was_undone(t))
		ck_assert_msg(!machine, "the machine is %s", machine);
}

void judge(const struct trial *t)
{
	if (t->outcome && has(t->outcome, "error"))
		check_class(t);
	check_world(t);
	check_machine(t);
}
