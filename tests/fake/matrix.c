/* SPDX-License-Identifier: BSD-2-Clause */
#include "matrix.h"

#include "daemon/command.h"

#include <stdio.h>
#include <string.h>

static const struct matrix *matrix;

static bool is_here(const struct plan *p)
{
	const char *only = getenv("DROVER_TRIALS");

	return !only || str_starts(p->title, only);
}

/* ---- the table is complete ---- */

static bool has_row(const char *command)
{
	for (size_t i = 0; i < matrix->n; i++)
		if (str_eq(matrix->plans[i].command, command))
			return true;
	return false;
}

static bool is_left_out(const char *command)
{
	for (const struct left_out *l = matrix->left_out; l->command; l++)
		if (!l->what && str_eq(l->command, command))
			return true;
	return false;
}

START_TEST(complete)
{
	_cleanup_free_ char *missing = xstrdup("");
	size_t n;
	const struct command *const *commands = command_all(&n);

	scene.passed = true;
	for (size_t i = 0; i < n; i++) {
		const char *name = commands[i]->name;
		_cleanup_free_ char *old = NULL;

		if (!commands[i]->plan || has_row(name) != is_left_out(name))
			continue;
		old = missing;
		missing = has_row(name) ? xasprintf("%s%s has a row and is left out. ", old, name) :
					  xasprintf("%s%s has a plan and no row. ", old, name);
	}
	if (*missing)
		ck_abort_msg("%s", missing);
	for (const struct left_out *l = matrix->left_out; l->command; l++)
		printf("left out: %s%s%s: %s\n", l->command, l->what ? " " : "", l->what ? l->what : "", l->why);
}
END_TEST

/* ---- the trials ---- */

/* Of plans whose steps are those of other plans, too, a part in which each kind of fault is, before and after; see
 * is_odd(). */
static bool is_picked(const struct plan *p, int i)
{
	return !p->every || getenv("DROVER_LONG") || getenv("DROVER_TRIALS") || (i + i / 2) % p->every == 0;
}

/* All trials of all plans in one row. */
static int trials(int i, bool run_it)
{
	int n = 0;

	for (size_t k = 0; k < matrix->n; k++) {
		const struct plan *p = &matrix->plans[k];

		if (!is_here(p))
			continue;
		if (run_it && i >= n && i < n + trials_of(p) && is_picked(p, i - n))
			try_one(p, i - n);
		else if (run_it && i >= n && i < n + trials_of(p))
			scene.passed = true;
		n += trials_of(p);
	}
	return n;
}

/* DROVER_PART is "N/OF": a part of them, for several programs side by side, or for who has not the time. One of each kind
 * of fault is in each part, before and after. */
static bool is_ours(int i)
{
	const char *part = getenv("DROVER_PART");
	int n, of;

	if (!part && !getenv("DROVER_LONG"))
		part = matrix->sample;
	return !part || sscanf(part, "%d/%d", &n, &of) != 2 || of < 1 ||
	       (i + i / 2) % of == n % of; /* NOLINT(cert-err34-c): ours */
}

START_TEST(trial)
{
	scene.passed = !is_ours(_i);
	if (!scene.passed)
		trials(_i, true);
}
END_TEST

/* A step has sixteen trials, and i + i / 2 leaves out one number of three: only what has no factor in common with these
 * comes by each kind of fault. */
static bool is_odd(int every)
{
	return every % 2 != 0 && every % 3 != 0;
}

START_TEST(record)
{
	scene.passed = !is_here(&matrix->plans[_i]);
	ck_assert(!matrix->plans[_i].every || is_odd(matrix->plans[_i].every));
	if (!scene.passed)
		record_plan(&matrix->plans[_i]);
}
END_TEST

/* How many trials there are is known when the plans have been seen. */
static void record_all(void)
{
	Suite *s = suite_create("plans");
	TCase *tc = tcase_create("record");
	SRunner *runner = srunner_create(s);

	tcase_add_checked_fixture(tc, NULL, scene_leave);
	tcase_add_unchecked_fixture(tc, NULL, scene_close);
	if (matrix->left_out)
		tcase_add_test(tc, complete);
	tcase_add_loop_test(tc, record, 0, (int)matrix->n);
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
	tcase_add_checked_fixture(tc, NULL, scene_leave);
	tcase_add_unchecked_fixture(tc, NULL, scene_close);
	tcase_add_loop_test(tc, trial, 0, trials(0, false));
	suite_add_tcase(s, tc);
	return s;
}

int matrix_main(const struct matrix *m)
{
	matrix = m;
	scene.machine = m->machine;
	return rig_main_in_memory(make);
}
