/* SPDX-License-Identifier: BSD-2-Clause */
/* Completion: what drover says may follow, and what bash and zsh make of it on a terminal. */
#include "base/cleanup.h"
#include "person.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Completion has a second, and gives none behind it: on a busy machine it is asked again. */
enum { TRIES = 20 };

static struct rig *rig;

static void set_up(void)
{
	struct client *c;

	rig = rig_new("droverd");
	rig_start(rig);
	c = client_new(rig);
	client_define(c, "web1",
		      "'disks': [{'path': '/dev/null', 'name': 'data', 'uuid': "
		      "'932df160-7a22-4067-a566-7e0ca8386133'}], 'description': '%s'",
		      "\\u001b]0;title\\u0007");
	client_define(c, "web2", "'vcpus': %d", 1);
	client_free(c);
}

static void tear_down(void)
{
	if (rig->pid)
		rig_stop(rig);
	rig_free(rig);
}

/* The candidates, without remarks, with blanks between them. The caller's. */
static char *candidates(struct rig *r, const char *const *words)
{
	_cleanup_free_ char *out = NULL;
	char *text, *to, *save = NULL;

	ck_assert_int_eq(person_script(r, NULL, &out, NULL, "drover", "complete", "--", words[0], words[1], words[2],
				       words[3], words[4], NULL),
			 0);
	text = to = xcalloc(1, strlen(out) + 1);
	for (char *line = strtok_r(out, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		ck_assert_ptr_nonnull(strchr(line, '\t'));
		to += sprintf(to, "%s%.*s", to == text ? "" : " ", (int)strcspn(line, "\t"), line);
	}
	return text;
}

static const struct {
	const char *words[6], *all, *one; /* all of them, or one among others */
} rows[] = {
	{ { "unde" }, "undefine", NULL },
	{ { "di" }, "disk display-password", NULL },
	{ { "disk", "" }, "attach detach resize", NULL },
	{ { "disk", "de" }, "detach", NULL },
	{ { "jobs", "ca" }, "cancel", NULL },
	{ { "susp" }, "suspend", NULL },
	{ { "prox" }, "", NULL },
	{ { "start", "" }, "web1 web2", NULL },
	{ { "start", "web1", "web2", "we" }, "web1 web2", NULL },
	{ { "--json", "start", "we" }, "web1 web2", NULL },
	{ { "start", "--pa" }, "--paused", NULL },
	{ { "start", "--js" }, "--json", NULL },
	{ { "shutdown", "--mode", "a" }, "auto agent acpi", NULL },
	{ { "shutdown", "--mode=ac" }, "--mode=acpi", NULL },
	{ { "shutdown", "--mode", "acpi", "w" }, "web1 web2", NULL },
	{ { "disk", "detach", "web1", "" }, "data", NULL },
	{ { "disk", "attach", "web1", "cache=wr" }, "cache=writeback cache=writethrough", NULL },
	{ { "disk", "attach", "web1", "thro" }, "throttle.", NULL },
	{ { "disk", "attach", "web1", "throttle.bps_tot" }, NULL, "throttle.bps_total=" },
	{ { "modify", "web1", "hvparams.acc" }, "hvparams.accel=", NULL },
	{ { "modify", "web1", "hvparams.accel=k" }, "hvparams.accel=kvm", NULL },
	{ { "modify", "web1", "hvparams.acpi=" }, "hvparams.acpi=true hvparams.acpi=false", NULL },
	{ { "define", "we" }, "", NULL }, /* it would replace one */
	{ { "define", "new", "--set", "accel=t" }, "accel=tcg", NULL },
	{ { "define", "new", "--disk", "path=/a,cach" }, "path=/a,cache=", NULL },
	{ { "wait", "web1", "run" }, "running", NULL },
	{ { "wait", "web1", "running", "pau" }, "paused", NULL },
	{ { "call", "instance-sta" }, "instance-start", NULL },
	{ { "call", "instance-start", "pau" }, "paused=", NULL },
	{ { "help", "hvp" }, "hvparams", NULL },
	{ { "help", "hvparams", "acce" }, "accel", NULL },
	{ { "help", "disk", "" }, NULL, "cache" },
	{ { "help", "disk", "att" }, "attach", NULL },
	{ { "nonsense", "" }, "", NULL },
	{ { "start", "--nonsense", "" }, "web1 web2", NULL },
	{ { "--host", "ssh://h", "start", "" }, "", NULL }, /* ssh might ask for a password */
	{ { "--socket", "/nowhere", "start", "" }, "", NULL },
};

static bool is_answer(size_t i, const char *all)
{
	_cleanup_free_ char *spaced = xasprintf(" %s ", all);
	_cleanup_free_ char *one = xasprintf(" %s ", rows[i].one ? rows[i].one : "");

	return rows[i].all ? str_eq(all, rows[i].all) : strstr(spaced, one) != NULL;
}

START_TEST(test_candidates)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *all = candidates(rig, rows[i].words);

		for (int tries = 1; tries < TRIES && str_empty(all) && !is_answer(i, all); tries++) {
			free(all);
			all = candidates(rig, rows[i].words);
		}
		ck_assert_msg(is_answer(i, all), "row %zu: %s", i, all);
		free(all);
	}
}
END_TEST

/* A daemon that takes connections and says nothing holds up nobody for long. */
START_TEST(test_stopped_daemon)
{
	static const char *const words[6] = { "start", "" };
	_cleanup_free_ char *all = NULL;

	kill(rig->pid, SIGSTOP);
	all = candidates(rig, words);
	kill(rig->pid, SIGCONT);
	ck_assert_str_eq(all, "");
}
END_TEST

static const struct {
	const char *shell, *arguments[5], *set_up;
} shells[] = {
	{ "bash", { "--norc", "--noprofile", "-i" }, "PS1='> '; source " COMPLETION "/drover.bash\n" },
	{ "zsh",
	  { "-f", "-i" },
	  "PS1='> '; fpath=(" COMPLETION
	  " $fpath); autoload -Uz compinit; compinit -D -u; unsetopt zle_bracketed_paste\n" },
};

/* A line that says WANTED, if it is completed. */
static void run(struct person *p, const char *line, const char *wanted)
{
	size_t from;
	int tries = 0;

	do {
		from = strlen(person_saw(p));
		person_type(p, line);
		person_type(p, "echo end-of\"\"-it\n");
		person_await(p, "end-of-it");
	} while (!strstr(person_saw(p) + from, wanted) && ++tries < TRIES);
	ck_assert_msg(tries < TRIES, "never '%s': %s", wanted, person_saw(p));
}

START_TEST(test_shell)
{
	const char *const *a = shells[_i].arguments;
	_cleanup_free_ char *drover = rig_program("drover"), *line = NULL;
	_cleanup_person_ struct person *p = NULL;

	if (system(_i ? "command -v zsh > /dev/null" : "true") != 0) {
		printf("SKIP: no zsh, whose half of the completion is not tried\n");
		return;
	}
	*strrchr(drover, '/') = '\0';
	line = xasprintf("PATH=%s:$PATH; %s", drover, shells[_i].set_up);
	p = person_come(rig, shells[_i].shell, a[0], a[1], a[2], NULL);
	person_await(p, "# ");
	person_type(p, line);
	person_type(p, "echo rea\"\"dy\n");
	person_await(p, "ready");
	/* the line is run: what was typed and what was completed come out as words */
	run(p, "drover undef\tweb2\n", "web2: undefined");
	run(p, "drover modify web1 hvparams.accel=t\t description=x\n", "web1: changed");
	run(p, "drover call query-instance instance=web1 | cat\n", "\"accel\":\"tcg\"");
	run(p, "drover show w\t | grep -c uuid | sed s/^/n=/\n", "n=1");
	person_type(p, "exit\n");
	person_leave(p);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("drover, completion");
	TCase *tc = tcase_create("completion");

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, test_candidates);
	tcase_add_test(tc, test_stopped_daemon);
	tcase_add_loop_test(tc, test_shell, 0, ARRAY_SIZE(shells));
	suite_add_tcase(s, tc);
	return s;
}

RIG_MAIN(suite)
