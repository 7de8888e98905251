/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happens without any client's wish: droverd is killed, QEMUs get signals, the disk is full, files are damaged,
 * clients hang up.
 */
#include "runtime/process.h"
#include "soak.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- droverd ---- */

static void kill_droverd(struct chance *c)
{
	say("kill -9 droverd");
	life_kill();
}

/* Also while it recovers. */
static void kill_young(struct chance *c)
{
	unsigned times = chance_between(c, 1, 3);

	life_kill();
	while (times--) {
		unsigned us = chance_below(c, 40000);

		say("droverd lives for %u us", us);
		life_begin(false);
		usleep(us);
		life_kill();
	}
}

static void term_droverd(struct chance *c)
{
	say("SIGTERM to droverd");
	life_term();
}

/* ---- QEMUs ---- */

static void signal_process(struct chance *c, const char *file, int signal)
{
	const struct machine *m = machine_draw(c);
	pid_t pid = machine_process(m, file);

	say("signal %d to who holds %s of %s: process %d", signal, file, m->names[0], pid);
	if (pid > 1)
		kill(pid, signal);
}

static void signal_qemu(struct chance *c)
{
	static const int signals[] = { SIGKILL, SIGKILL, SIGSTOP, SIGSTOP, SIGUSR1, SIGUSR1,
				       SIGUSR2, SIGHUP,  SIGTERM, SIGSEGV, SIGCONT };

	signal_process(c, "qemu.lock", CHANCE_OF(c, signals));
}

static void kill_keeper(struct chance *c)
{
	struct chance peek = *c;
	struct machine *m = machine_draw(&peek);

	m->orphan |= machine_process(m, "lock") != 0;
	signal_process(c, "lock", SIGKILL);
}

/* Calls fn for each process but ours and droverd. */
static void each_process(void (*fn)(pid_t pid, int signal), int signal)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;

	while ((d = readdir(proc))) {
		pid_t pid = (pid_t)strtol(d->d_name, NULL, 10);

		if (pid > 1 && pid != getpid() && pid != round_.r->pid)
			fn(pid, signal);
	}
	closedir(proc);
}

static void thaw_one(pid_t pid, int signal)
{
	if (process_run_state(pid) == 'T')
		kill(pid, signal);
}

static void thaw(struct chance *c)
{
	each_process(thaw_one, SIGCONT);
}

/* But keepers, which are others' aim. */
static void signal_helper(pid_t pid, int signal)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/exe", pid);
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target) - 1);

	target[n > 0 ? n : 0] = '\0';
	if (!strstr(target, "/drover-open") && !strstr(target, "/drover-probe"))
		return;
	say("signal %d to %s, process %d", signal, strrchr(target, '/') + 1, pid);
	kill(pid, signal);
}

static void hurt_helpers(struct chance *c)
{
	int signal = chance_percent(c, 60) ? SIGKILL : SIGSTOP;

	say("helpers are to get signal %d", signal);
	each_process(signal_helper, signal);
}

/* ---- the disk ---- */

static void fill(struct chance *c)
{
	_cleanup_free_ char *path = xasprintf("%s/filler", round_.r->root);
	_cleanup_close_ int fd = -1;
	static const char zeros[4096];

	say("the disk is full");
	if (!round_.small)
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND, 0600);
	while (fd >= 0 && write(fd, zeros, sizeof(zeros)) > 0)
		;
}

static void make_room(struct chance *c)
{
	_cleanup_free_ char *path = xasprintf("%s/filler", round_.r->root);

	if (unlink(path) == 0)
		say("the disk has room");
}

static const struct {
	const char *path; /* below the root; "%s": the instance's name, of which there may be none */
	bool create;
	size_t flag; /* of the machine */
} files[] = {
	{ "run/instances/%s/runtime.json", .flag = offsetof(struct machine, lost) },
	{ "run/instances/%s/observed.json" },
	{ "run/instances/%s/exit.json" },
	{ "run/instances/%s/events.log" },
	{ "run/operations/instance-%s.json", .create = true },
	{ "run/operations/instance-%s~destroy.json", .create = true },
	{ "run/operations/.instance-%s.json.new", .create = true },
	{ "run/instances/%s/.runtime.json.new", .create = true },
	{ "run/autostarted" },
	{ "run/accel.json" },
	{ "lib/instances/%s/state.json" },
	{ "lib/instances/%s/definition.json", .flag = offsetof(struct machine, broken) },
	{ "lib/instances/%s/.definition.json.new", .create = true },
	{ "lib/instances/%s/.state.json.new", .create = true },
	{ "lib/instances/%s/renamed.json", .create = true },
	{ "lib/instances/.new-%s", .create = true },
	{ "lib/instances/.gone-%s", .create = true },
};

enum how { HALF, EMPTY, GARBAGE, GONE, HOW_COUNT };

static bool damage_file(const char *path, enum how how, bool create)
{
	static const char *const words[] = { "half of", "nothing in", "garbage in", "no" };
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC | (create ? O_CREAT : 0), 0600);
	struct stat st;

	say("%s %s%s", words[how], path, fd < 0 ? ", which is not there" : "");
	if (fd < 0 || fstat(fd, &st) < 0)
		return false;
	if (how == GONE)
		unlink(path);
	else if (ftruncate(fd, how == HALF ? st.st_size / 2 : 0) == 0 && how == GARBAGE)
		dprintf(fd, "{\"version\": [}\n\x01\xff");
	return true;
}

static void damage(struct chance *c)
{
	size_t which = chance_below(c, ARRAY_SIZE(files));
	struct machine *m = machine_draw(c);
	enum how how = (enum how)chance_below(c, HOW_COUNT);
	bool done = false;

	life_kill();
	for (unsigned i = 0; i < 2; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
		_cleanup_free_ char *below = xasprintf(files[which].path, m->names[i]);
#pragma GCC diagnostic pop
		_cleanup_free_ char *path = xasprintf("%s/%s", round_.r->root, below);

		done |= damage_file(path, how, files[which].create);
	}
	if (done && files[which].flag)
		*((bool *)(void *)m + files[which].flag) = true;
	round_.moved |= strstr(files[which].path, "operations") != NULL;
}

/* ---- clients ---- */

static void hang_up(struct chance *c)
{
	unsigned which = chance_below(c, round_.n_peers);

	say("client %u hangs up", which);
	peer_close(&round_.peers[which]);
}

/* One that comes, says something odd, and leaves. */
static void visit(struct chance *c)
{
	static const char *const texts[] = {
		"\x16\x03\x01 hello",
		"{\"execute\": \"query-instances\"",
		"]}\n{\"execute\": \"query-jobs\", \"id\": 1}\n",
		"{\"execute\": \"query-instances\", \"id\": 1}{\"execute\": \"query-stats\", \"id\": 1}",
	};
	struct peer guest = PEER_NONE;
	bool console = chance_percent(c, 40);
	const char *text = CHANCE_OF(c, texts), *name = machine_draw_name(c, machine_draw(c));
	_cleanup_free_ char *attach = xasprintf(
		"{\"execute\": \"console-attach\", \"arguments\": {\"instance\": \"%s\"}, \"id\": 1}\n", name);

	say("a visitor says %s", console ? attach : "something odd");
	life_connect(&guest);
	peer_write(&guest, console ? attach : text, strlen(console ? attach : text));
	if (console)
		usleep(2000);
	peer_close(&guest);
}

static void pause_a_while(struct chance *c)
{
	unsigned ms = chance_below(c, 300);

	say("%u ms pass", ms);
	usleep(ms * 1000);
}

void mischief_draw(struct chance *c)
{
	static const struct {
		unsigned weight;
		void (*fn)(struct chance *c);
	} kinds[] = {
		{ 8, kill_droverd }, { 6, kill_young }, { 4, term_droverd },   { 32, signal_qemu }, { 3, kill_keeper },
		{ 6, hurt_helpers }, { 8, thaw },       { 3, fill },           { 6, make_room },    { 6, damage },
		{ 4, hang_up },      { 4, visit },      { 14, pause_a_while },
	};

	kinds[chance_row(c, kinds, ARRAY_SIZE(kinds), sizeof(kinds[0]))].fn(c);
}

void mischief_heal(void)
{
	make_room(NULL);
	thaw(NULL);
}
