/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every file of ours that droverd reads, damaged in every way, of machines that run, that do not, and that have ended
 * while there was no droverd. It starts, says in one line which file it is, and whatever can be known is known all the
 * same: nobody else is hindered, and nothing is lost, killed or doubled.
 */
#include "base/file.h"
#include "damage.h"
#include "runtime/process.h"
#include "stage.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* So many are damaged at once, each in another way; "good" is not. */
enum { VICTIMS = 16 };

enum kind { RUNNING, STOPPED, ENDED };

struct row {
	const char *file; /* below the root; "NAME" is the machine's */
	enum kind kind;
	bool members;       /* it is JSON, each member of which is damaged as well */
	bool silent;        /* nobody reads it then, or everything in it is allowed */
	const char *sample; /* what would be in it; NULL: what is */
};

/* A marker whose operation has only to be ended: the guest runs already. */
#define MARKER                                                                                                        \
	"{\"version\": 1, \"command\": \"instance-start\", \"arguments\": {\"instance\": \"NAME\"}, \"subject\": "    \
	"\"instance-NAME\", \"lane\": \"change\", \"step\": 16, \"step-name\": \"name the machine\", \"direction\": " \
	"\"forward\", \"committed\": true, \"job-id\": \"#NAME\", \"named\": false, \"since\": 1790000000.5, "        \
	"\"peer\": {\"uid\": 0, \"pid\": 1}, \"failed\": \"name the machine\", \"error\": {\"class\": "               \
	"\"GenericError\", \"desc\": \"something\", \"step\": \"name the machine\"}}"
#define EXIT "{\"status\": 3, \"time\": 1790000000.5}\n"
#define EVENT                                                                                                      \
	"{\"timestamp\": {\"seconds\": 1790000000, \"microseconds\": 1}, \"event\": \"RESUME\"}\r\n{\"timestamp\"" \
	": {\"seconds\": 1790000001, \"microseconds\": 1}, \"event\": \"SHUTDOWN\", \"data\": {\"guest\": false}}\r\n"

static const struct row rows[] = {
	{ "lib/instances/NAME/definition.json", RUNNING, true },
	{ "lib/instances/NAME/definition.json", STOPPED, true },
	{ "lib/instances/NAME/state.json", RUNNING, true },
	{ "lib/instances/NAME/state.json", STOPPED, true },
	{ "lib/instances/NAME/renamed.json", RUNNING, false, .sample = "{\"name\": \"NAME\"}" },
	{ "lib/instances/NAME/renamed.json", STOPPED, false, .sample = "{\"name\": \"NAME\"}" },
	{ "run/instances/NAME/runtime.json", RUNNING, true },
	{ "run/instances/NAME/observed.json", RUNNING, true },
	{ "run/instances/NAME/events.log", RUNNING, false, .silent = true, .sample = EVENT },
	{ "run/instances/NAME/exit.json", RUNNING, false, .silent = true, .sample = EXIT },
	{ "run/operations/instance-NAME.json", RUNNING, true, .sample = MARKER },
	{ "run/operations/instance-NAME.json", STOPPED, true, .sample = MARKER },
	{ "run/instances/NAME/runtime.json", ENDED },
	{ "run/instances/NAME/observed.json", ENDED },
	{ "run/instances/NAME/events.log", ENDED, false, .silent = true, .sample = EVENT },
	{ "run/instances/NAME/exit.json", ENDED, true },
};

static struct victim {
	char name[8];
	pid_t pid;
	char *file, *path; /* of this row; its path */
	char *good;        /* what is in it */
	char *definition;
	struct damage *damage; /* NULL: spared */
	struct damages all;
} victims[VICTIMS];
static pid_t good_pid;
static size_t log_read;

static void set_up(void)
{
	stage_set("%s", "");
	stage_define("good", "%s", "ro");
	stage_start("good");
	good_pid = stage_pid("good");
	for (int i = 0; i < VICTIMS; i++) {
		snprintf(victims[i].name, sizeof(victims[i].name), "m%02d", i);
		stage_define(victims[i].name, "%s", "ro");
	}
}

/* ---- bringing them about ---- */

static void command_all(const char *command)
{
	int ids[VICTIMS];

	for (int i = 0; i < VICTIMS; i++)
		ids[i] = client_send(stage.c, command, "{'instance': '%s'}", victims[i].name);
	for (int i = 0; i < VICTIMS; i++) {
		_cleanup_json_ struct json_object *o = client_reply(stage.c, ids[i]);

		ck_assert_msg(has(o, "return"), "%s %s: %s", command, victims[i].name, json_object_to_json_string(o));
		victims[i].pid = stage_pid(victims[i].name);
	}
}

static void end_all(void)
{
	stage_kill();
	for (int i = 0; i < VICTIMS; i++)
		kill(victims[i].pid, SIGKILL);
	for (int i = 0; i < VICTIMS; i++) {
		_cleanup_free_ char *file = xasprintf("run/instances/%s/exit.json", victims[i].name);

		stage_await_text(file, "}");
	}
}

/* "NAME" in TEXT is this one's. */
static char *with_name(const char *text, const char *name)
{
	const char *p = strstr(text, "NAME");
	_cleanup_free_ char *rest = p ? with_name(p + 4, name) : NULL;

	return p ? xasprintf("%.*s%s%s", (int)(p - text), text, name, rest) : xstrdup(text);
}

/* What is to be damaged, and all that can become of it. */
static void victims_read(const struct row *row)
{
	for (int i = 0; i < VICTIMS; i++) {
		struct victim *v = &victims[i];

		v->file = with_name(row->file, v->name);
		v->path = xasprintf("%s/%s", stage.r->root, v->file);
		v->good = row->sample ? with_name(row->sample, v->name) : rig_file(stage.r, "%s", v->file);
		ck_assert_msg(v->good != NULL, "no '%s'", v->file);
		v->definition = rig_file(stage.r, "lib/instances/%s/definition.json", v->name);
		damages_make(&v->all, v->good, row->members);
	}
}

static void victims_clear(void)
{
	for (int i = 0; i < VICTIMS; i++) {
		damages_clear(&victims[i].all);
		free(TAKE_PTR(victims[i].file));
		free(TAKE_PTR(victims[i].path));
		free(TAKE_PTR(victims[i].good));
		free(TAKE_PTR(victims[i].definition));
		victims[i].damage = NULL;
	}
}

/* As they were before the first damage. */
static void victims_mend(const struct row *row)
{
	for (int i = 0; i < VICTIMS; i++) {
		const struct victim *v = &victims[i];
		_cleanup_free_ char *definition = xasprintf("%s/lib/instances/%s/definition.json", stage.r->root,
							    v->name);

		damage_put(NULL, v->path, row->sample ? NULL : v->good);
		damage_put(NULL, definition, v->definition);
	}
}

/* ---- looking at what became of it ---- */

/* What this life of droverd has said. */
static char *said(void)
{
	_cleanup_free_ char *all = rig_file(stage.r, "droverd.log");

	ck_assert(all && strlen(all) >= log_read);
	return xstrdup(all + log_read);
}

/* A line of what was said with both words. */
static bool says(const char *text, const char *one, const char *other)
{
	for (const char *p = text; *p;) {
		size_t len = strcspn(p, "\n");

		if (memmem(p, len, one, strlen(one)) && memmem(p, len, other, strlen(other)))
			return true;
		p += len + (p[len] == '\n');
	}
	return false;
}

static struct json_object *entry_of(struct json_object *list, const char *name)
{
	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (str_eq(str_at(json_object_array_get_idx(list, i), "name"), name))
			return json_object_array_get_idx(list, i);
	ck_abort_msg("no '%s' in %s", name, json_object_to_json_string(list));
}

static void check_good(void)
{
	ck_assert_int_eq(stage_pid("good"), good_pid);
	stage_check_state("good", "running", "booted");
	json_object_put(client_ok(stage.c, "instance-modify", "{'instance': 'good', 'patch': {'description': '%d'}}",
				  stage.r->pid));
}

static void check_running(const struct victim *v, struct json_object *o)
{
	const char *what = v->damage ? v->damage->what : "nothing";

	ck_assert_msg(json_get_int(o, "pid", 0) == v->pid && str_eq(str_at(o, "state"), "running"), "%s of %s: %s",
		      what, v->file, json_object_to_json_string(o));
	ck_assert_int_eq(stage_holder(v->name), v->pid);
	json_object_put(client_ok(stage.c, "instance-pause", "{'instance': '%s'}", v->name));
	json_object_put(client_ok(stage.c, "instance-resume", "{'instance': '%s'}", v->name));
}

static void check_idle(const struct victim *v, struct json_object *o)
{
	const char *what = v->damage ? v->damage->what : "nothing", *state;
	_cleanup_free_ char *run = xasprintf("%s/run/instances/%s", stage.r->root, v->name);

	if (has(o, "error.desc"))
		json_object_put(client_error(stage.c, "WrongState", "instance-start", "{'instance': '%s'}", v->name));
	else
		json_object_put(client_ok(stage.c, "instance-modify",
					  "{'instance': '%s', 'patch': {'description': 'of %d'}}", v->name,
					  stage.r->pid));
	state = str_at(o, "state");
	ck_assert_msg(!has(o, "pid") && (str_eq(state, "shutoff") || str_eq(state, "crashed")) && access(run, F_OK) < 0,
		      "%s of %s: %s", what, v->file, json_object_to_json_string(o));
}

/* What could not be understood is still there for whoever can. */
static void check_kept(const struct victim *v)
{
	_cleanup_free_ char *now = NULL;
	size_t len = 0;

	if (!v->damage->text || !strstr(v->file, "/definition.json"))
		return;
	ck_assert(file_read(AT_FDCWD, v->path, FILE_MAX, &now, &len, NULL));
	ck_assert_msg(len == v->damage->len && memcmp(now, v->damage->text, len) == 0, "%s: now '%s'", v->damage->what,
		      now);
}

static void check_processes(int n)
{
	_cleanup_free_ char *world = rig_world(stage.r, false);
	int qemus = 0;

	for (const char *p = world; (p = strstr(p, "process fake-qemu\n")); p++)
		qemus++;
	ck_assert_int_eq(qemus, n);
}

static void check(const struct row *row)
{
	_cleanup_json_ struct json_object *list = NULL;
	_cleanup_free_ char *log = NULL;

	stage_settle();
	list = client_ok(stage.c, "query-instances", NULL);
	ck_assert_int_eq((int)json_object_array_length(list), VICTIMS + 1);
	log = said();
	check_good();
	for (int i = 0; i < VICTIMS; i++) {
		const struct victim *v = &victims[i];

		if (v->damage)
			check_kept(v);
		(row->kind == RUNNING ? check_running : check_idle)(v, entry_of(list, v->name));
		if (v->damage && v->damage->whole && !row->silent)
			ck_assert_msg(says(log, strrchr(v->file, '/') + 1, v->name), "nothing of '%s' with %s: %s",
				      v->file, v->damage->what, log);
	}
	check_processes(row->kind == RUNNING ? VICTIMS + 1 : 1);
}

/* ---- the walk ---- */

/* Those of the whole file are all tried; of the members' a part, another one for each row, but by night. */
static bool is_tried(const struct row *row, const struct damages *all, size_t i)
{
	enum { PART = 8 };

	return all->items[i].whole || getenv("DROVER_LONG") || i % PART == (size_t)(row - rows) % PART;
}

/* From *NEXT on, one for each; how many. */
static int damage_all(const struct row *row, size_t *next)
{
	int done = 0;

	for (int i = 0; i < VICTIMS; i++) {
		struct victim *v = &victims[i];

		while (*next < v->all.n && !is_tried(row, &v->all, *next))
			++*next;
		v->damage = *next < v->all.n ? &v->all.items[*next] : NULL;
		if (!v->damage)
			continue;
		damage_put(v->damage, v->path, v->good);
		++*next;
		done++;
	}
	return done;
}

static void mark_log(void)
{
	_cleanup_free_ char *all = rig_file(stage.r, "droverd.log");

	log_read = all ? strlen(all) : 0;
}

static void walk_row(const struct row *row)
{
	size_t next = 0;
	int n = 0, done;

	do {
		if (row->kind == ENDED) {
			command_all("instance-start");
			end_all();
		} else {
			stage_kill();
		}
		if (!n)
			victims_read(row);
		else if (row->kind != ENDED)
			victims_mend(row);
		done = damage_all(row, &next);
		n += done;
		mark_log();
		stage_restart();
		check(row);
	} while (done == VICTIMS);
	printf("%s: %d damages\n", row->file, n);
	stage_kill();
	if (row->kind != ENDED)
		victims_mend(row);
	victims_clear();
	stage_restart();
	stage_settle();
}

START_TEST(walk)
{
	enum kind kind = (enum kind)_i;

	set_up();
	command_all("instance-start");
	command_all("instance-stop");
	if (kind == RUNNING)
		command_all("instance-start");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].kind == kind)
			walk_row(&rows[i]);
	command_all("instance-start");
	command_all("instance-stop");
	check_processes(1);
}
END_TEST

/* ---- files that are no machine's ---- */

/* Of what is kept of a binary there is one for each; this is fake-qemu's. */
static void note_name(const char *name, void *data)
{
	char **all = data;

	if (name[0] != '.') {
		free(*all);
		*all = xasprintf("lib/capabilities/%s", name);
	}
}

static char *capabilities_file(void)
{
	_cleanup_free_ char *path = xasprintf("%s/lib/capabilities", stage.r->root);
	_cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char *name = NULL;

	file_list(dir, note_name, &name, NULL);
	ck_assert_ptr_nonnull(name);
	return name;
}

/* Whatever is damaged, who runs goes on, and who does not can be started. */
static void walk_host_file(const char *file, const char *good, bool members)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", stage.r->root, file);
	struct damages all;

	damages_make(&all, good, members);
	for (size_t i = 0; i < all.n; i++) {
		_cleanup_free_ char *log = NULL;

		if (!is_tried(rows, &all, i))
			continue;
		stage_kill();
		damage_put(&all.items[i], path, good);
		mark_log();
		stage_restart();
		stage_settle();
		log = said();
		check_good();
		if (all.items[i].whole)
			ck_assert_msg(says(log, strrchr(file, '/') + 1, ""), "nothing of '%s' with %s: %s", file,
				      all.items[i].what, log);
		json_object_put(client_ok(stage.c, "instance-start", "{'instance': 'm00'}"));
		check_processes(2);
		json_object_put(client_ok(stage.c, "instance-stop", "{'instance': 'm00'}"));
	}
	damages_clear(&all);
	stage_kill();
	damage_put(NULL, path, good);
	stage_restart();
	stage_settle();
}

START_TEST(host_files)
{
	_cleanup_free_ char *capabilities = NULL, *known = NULL, *stamp = NULL;

	stage_set("%s", "");
	stage_define("good", "%s", "ro");
	stage_start("good");
	good_pid = stage_pid("good");
	stage_define("m00", "%s", "ro");
	json_object_put(client_ok(stage.c, "instance-modify", "{'instance': 'm00', 'patch': {'autostart': true}}"));
	capabilities = capabilities_file();
	known = rig_file(stage.r, "%s", capabilities);
	stamp = rig_file(stage.r, "run/autostarted");
	ck_assert(known && stamp);
	if (_i == 0)
		walk_host_file("run/autostarted", stamp, true);
	else if (_i == 1)
		walk_host_file(
			"run/accel.json",
			"{\"boot-id\": \"x\", \"results\": [{\"key\": \"a\", \"works\": true, \"reason\": \"b\", "
			"\"ms\": 2.5}]}",
			true);
	else
		walk_host_file(capabilities, known, false);
}
END_TEST

/* ---- what QEMU is said to have said ---- */

static void append(const char *file, const char *text, size_t len)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", stage.r->root, file);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, len), (ssize_t)len);
}

static void await_bytes(const char *file, const char *bytes)
{
	enum { LOOK_US = 2000 };
	_cleanup_free_ char *path = xasprintf("%s/%s", stage.r->root, file);

	for (int i = 0; i < RIG_DEADLINE_MS * 1000 / LOOK_US; i++) {
		_cleanup_free_ char *all = NULL;
		size_t len = 0;

		if (file_read(AT_FDCWD, path, FILE_MAX, &all, &len, NULL) && memmem(all, len, bytes, strlen(bytes)))
			return;
		usleep(LOOK_US);
	}
	ck_abort_msg("'%s' never says '%s'", file, bytes);
}

/* Behind all this, what the guest did while there was no droverd is still heard: its end is its own, although QEMU ended
 * with a status that alone would say that somebody on the host did it. */
START_TEST(events_are_absurd)
{
	static const struct {
		const char *text;
		size_t len;
	} contents[] = {
#define CONTENT(text) { text, sizeof(text) - 1 }
		CONTENT("{\"timestamp\": {\"seconds\": 4102444800, \"microseconds\": 0}, \"event\": \"RESUME\"}\r\n"),
		CONTENT("{\"timestamp\": {\"seconds\": 9223372036854775807, \"microseconds\": -1}, \"event\": "
			"\"X\"}\n"),
		CONTENT("{\"timestamp\": 7, \"event\": \"STOP\", \"data\": []}\n{\"event\": {\"event\": "
			"1}}\n\"event\"\n"),
		CONTENT("{\"timestamp\": {\"seconds\": \"x\"}, \"event\": \"RESET\", \"data\": {\"guest\": "
			"\"y\"}}\n\0\0\n"),
		CONTENT("{\"event\": \"\"}\n\xff\xfe\"event\"\xff\n{\"event\": \"SHUTDOWN\", \"data\": {\"reason\": "
			"1}}\n"),
		/* one that was cut off, for there was no room; QEMU goes on right behind it */
		CONTENT("{\"timestamp\": {\"seconds\": 1790000000, \"micro"),
		CONTENT("{\"timestamp\": {\"seconds\": 1790000000, \"microseconds\": 1}, \"event\": \"STO"),
#undef CONTENT
	};
	static const char log[] = "run/instances/web/events.log";
	pid_t pid;

	stage_set("%s", "");
	stage_define("web", "%s", "ro");
	stage_start("web");
	pid = stage_pid("web");
	stage_kill();
	append(log, contents[_i].text, contents[_i].len);
	stage_restart();
	client_await_state(stage.c, "web", "running", NULL);
	ck_assert_int_eq(stage_pid("web"), pid);
	stage_settle();
	stage_kill();
	if (!strchr(contents[_i].text, '\n'))
		append(log, contents[_i].text, contents[_i].len); /* there may have been events meanwhile */
	kill(pid, SIGUSR1);
	await_bytes(log, "guest-shutdown");
	kill(pid, SIGTERM);
	stage_await_text("run/instances/web/exit.json", "}");
	stage_restart();
	stage_settle();
	stage_check_state("web", "shutoff", "guest");
}
END_TEST

static void tear_down(void)
{
	victims_clear();
	memset(victims, 0, sizeof(victims));
	stage_clear();
}

static Suite *make(void)
{
	Suite *s = suite_create("files");
	TCase *tc = tcase_create("files");

	tcase_add_checked_fixture(tc, NULL, tear_down);
	tcase_add_loop_test(tc, walk, RUNNING, ENDED + 1);
	tcase_add_loop_test(tc, host_files, 0, 3);
	tcase_add_loop_test(tc, events_are_absurd, 0, 7);
	suite_add_tcase(s, tc);
	return s;
}

RIG_MAIN_IN_MEMORY(make)
