/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What people read, on a terminal of 80 columns: each error class with its exit status and what to do next, tables and
 * pages of what is as long and as hostile as it can be, help. Replies come from a daemon that says what a row says.
 */
#include "base/cleanup.h"
#include "person.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the daemon ---- */

static struct rig *rig;
static pid_t liar;

static void say(int fd, struct json_object *o)
{
	_cleanup_free_ char *text = json_print(o), *line = xasprintf("%s\r\n", text);

	if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0)
		_exit(0);
	json_object_put(o);
}

static struct json_object *parse(const char *text)
{
	struct json_object *o = NULL;

	ck_assert_msg(json_parse(text, strlen(text), &json_limits_qemu, &o, NULL), "%s", text);
	return o;
}

/* More of a console than any buffer of a reader's. */
static void pour(int fd)
{
	char data[16384];

	memset(data, 'x', sizeof(data));
	for (int i = 0; i < 4; i++)
		if (send(fd, data, sizeof(data), MSG_NOSIGNAL) < 0)
			_exit(0);
}

/* REPLY to everything but the handshake. */
static void serve(int fd, const char *reply)
{
	struct json_reader *reader = json_reader_new(&json_limits_request);
	char data[65536];

	say(fd, parse("{\"QMP\":{\"version\":{},\"capabilities\":[],\"epoch\":\"e\"}}"));
	for (;;) {
		ssize_t n = read(fd, data, sizeof(data));
		const char *p = data;
		size_t len = (size_t)n;
		struct json_object *request;

		if (n <= 0)
			_exit(0);
		while (json_reader_next(reader, &p, &len, &request, NULL) == JSON_VALUE) {
			bool hello = str_eq(json_get_str(request, "execute"), "qmp_capabilities");
			struct json_object *o = parse(hello ? "{\"return\":{}}" : reply);

			json_add_int(o, "id", json_get_int(request, "id", 0));
			say(fd, o);
			if (str_eq(json_get_str(request, "execute"), "console-attach"))
				pour(fd);
			json_object_put(request);
		}
	}
}

/* One client after the other, until it is killed. */
static void lie(const char *reply)
{
	_cleanup_free_ char *path = xasprintf("%s/run/drover.sock", rig->root), *run = xasprintf("%s/run", rig->root);
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t self = getpid();

	ck_assert(mkdir(run, 0700) == 0 || errno == EEXIST);
	ck_assert_uint_lt(strlen(path), sizeof(to.sun_path));
	strcpy(to.sun_path, path);
	unlink(path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	ck_assert_int_eq(listen(fd, 8), 0);
	liar = fork();
	ck_assert_int_ge(liar, 0);
	if (liar == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != self)
			_exit(1);
		for (;;) {
			int client = accept(fd, NULL, NULL);

			if (client >= 0 && fork() == 0)
				serve(client, reply);
			close(client);
			waitpid(-1, NULL, WNOHANG);
		}
	}
	close(fd);
}

static void set_up(void)
{
	rig = rig_new("droverd");
}

static void tear_down(void)
{
	if (liar) {
		kill(liar, SIGKILL);
		waitpid(liar, NULL, 0);
		liar = 0;
	}
	rig_free(rig);
}

/* ---- errors ---- */

static const struct {
	const char *verb[6], *error;
	int status;
	const char *text; /* all of stderr, behind "drover: " */
} errors[] = {
	{ { "start", "w" }, "'class': 'GenericError', 'desc': 'D'", 1, "w: D (GenericError)\n" },
	{ { "start", "w" },
	  "'class': 'GenericError', 'desc': 'D', 'step': 'open the images', 'undone': true, 'trace': '#3'",
	  1,
	  "w: D (GenericError)\n  step: open the images, undone; operation #3\n"
	  "hint: 'drover trace w' shows how it came to that; droverd's own log may say more\n" },
	{ { "call", "x" },
	  "'class': 'CommandNotFound', 'desc': 'D'",
	  2,
	  "D (CommandNotFound)\nhint: 'drover call query-commands' lists the commands\n" },
	{ { "stop", "w" },
	  "'class': 'CommandNotFound', 'desc': 'D'",
	  2,
	  "w: D (CommandNotFound)\nhint: 'drover version' shows whether the daemon is older than this program\n" },
	{ { "modify", "w", "vcpu=2" },
	  "'class': 'InvalidParameter', 'desc': 'D', 'parameter': 'vcpu'",
	  2,
	  "w: D (InvalidParameter)\nhint: 'drover help definition', 'help hvparams', 'help disk' and 'help nic' "
	  "describe "
	  "every member\n" },
	{ { "start", "w" },
	  "'class': 'NotFound', 'desc': 'D'",
	  3,
	  "w: D (NotFound)\nhint: 'drover list' shows what there is\n" },
	{ { "rename", "w", "v" },
	  "'class': 'Exists', 'desc': 'D'",
	  4,
	  "w: D (Exists)\nhint: 'drover list' shows the names that are taken\n" },
	{ { "pause", "w" },
	  "'class': 'WrongState', 'desc': 'D'",
	  5,
	  "w: D (WrongState)\nhint: 'drover show w' shows the state\n" },
	{ { "start", "w" },
	  "'class': 'Busy', 'desc': 'D'",
	  6,
	  "w: D (Busy)\nhint: 'drover jobs' shows what is under way; try again when it has ended\n" },
	{ { "list" },
	  "'class': 'Busy', 'desc': '256 sessions are open already'",
	  6,
	  "256 sessions are open already (Busy)\nhint: an end of 'drover events', a console or a client makes room\n" },
	{ { "disk", "attach", "w", "path=/d" },
	  "'class': 'NoSlot', 'desc': 'D'",
	  7,
	  "w: D (NoSlot)\nhint: 'drover show w --slots' shows who sits where\n" },
	{ { "start", "w" },
	  "'class': 'NoSpace', 'desc': 'D'",
	  8,
	  "w: D (NoSpace)\nhint: make room and try again; 'df' shows what is full\n" },
	{ { "start", "w" },
	  "'class': 'PermissionDenied', 'desc': 'D'",
	  9,
	  "w: D (PermissionDenied)\nhint: owner and mode of what is named have to let droverd, or its guests, in\n" },
	{ { "start", "w" },
	  "'class': 'Unsupported', 'desc': 'D'",
	  10,
	  "w: D (Unsupported)\nhint: 'drover host' shows what works here, and what the QEMUs can do\n" },
	{ { "shutdown", "w" },
	  "'class': 'Timeout', 'desc': 'D'",
	  11,
	  "w: D (Timeout)\nhint: the guest did not obey: --then stop ends it hard, as does 'drover stop w'\n" },
	{ { "start", "w" },
	  "'class': 'Timeout', 'desc': 'D', 'stalled': true",
	  11,
	  "w: D (Timeout)\nhint: QEMU does not answer, nothing was undone: 'drover jobs' follows it, 'drover stop w' "
	  "ends "
	  "QEMU\n" },
	{ { "start", "w" },
	  "'class': 'Cancelled', 'desc': 'D', 'step': 's'",
	  12,
	  "w: D (Cancelled)\n  step: s\nhint: it may be begun again\n" },
	{ { "nic", "detach", "w", "n" },
	  "'class': 'GuestRefused', 'desc': 'D'",
	  13,
	  "w: D (GuestRefused)\nhint: nothing was changed; let the guest stop using it, then detach it again\n" },
	{ { "start", "w" },
	  "'class': 'GuestGone', 'desc': 'D', 'log': 'qemu: \\u001b[31mno\\r\\n'",
	  14,
	  "w: D (GuestGone)\n  the last words of QEMU:\n    qemu: \\x1b[31mno\nhint: 'drover log w' shows what QEMU "
	  "said\n" },
	{ { "start", "w" },
	  "'class': 'QemuError', 'desc': 'D', 'step': 's', 'undone': false, 'trace': '#4'",
	  15,
	  "w: D (QemuError)\n  step: s, not undone; operation #4\nhint: 'drover trace w' shows what it was asked\n" },
	{ { "start", "w" },
	  "'class': 'StorageError', 'desc': 'D'",
	  16,
	  "w: D (StorageError)\nhint: 'drover show w' shows the disks, 'drover log w' what QEMU said of them\n" },
	{ { "start", "w" },
	  "'class': 'NetworkError', 'desc': 'D'",
	  17,
	  "w: D (NetworkError)\nhint: 'drover show w' shows the cards, 'ip link' what the host has\n" },
	{ { "events", "--since", "1" },
	  "'class': 'Gap', 'desc': 'D'",
	  18,
	  "D (Gap)\nhint: without --since it starts from now\n" },
	/* of a daemon that is newer than this program */
	{ { "start", "w" },
	  "'class': 'NewClass', 'desc': 'a\\u001b]0;title\\u0007'",
	  1,
	  "w: a\\x1b]0;title\\x07 (NewClass)\n" },
};

static char *with_quotes(const char *text)
{
	char *copy = xstrdup(text);

	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	return copy;
}

START_TEST(test_error)
{
	_cleanup_free_ char *error = with_quotes(errors[_i].error), *err = NULL, *out = NULL, *json = NULL;
	_cleanup_free_ char *reply = xasprintf("{\"error\":{%s}}", error),
			    *text = xasprintf("drover: %s", errors[_i].text);
	const char *const *v = errors[_i].verb;
	_cleanup_json_ struct json_object *given = NULL;

	lie(reply);
	ck_assert_int_eq(person_script(rig, NULL, &out, &err, "drover", v[0], v[1], v[2], v[3], v[4], NULL),
			 errors[_i].status);
	ck_assert_str_eq(out, "");
	ck_assert_str_eq(err, text);
	/* and for programs */
	ck_assert_int_eq(person_script(rig, NULL, NULL, &json, "drover", "--json", v[0], v[1], v[2], v[3], v[4], NULL),
			 errors[_i].status);
	given = parse(json);
	ck_assert_ptr_nonnull(strstr(errors[_i].error, str_at(given, "class")));
	ck_assert(has(given, "desc"));
}
END_TEST

/* A name that is misspelt is guessed from those there are. */
START_TEST(test_misspelt_instance)
{
	_cleanup_free_ char *err = NULL;
	struct client *c;

	rig_start(rig);
	c = client_new(rig);
	client_define(c, "web1", "'vcpus': %d", 1);
	client_free(c);
	ck_assert_int_eq(person_script(rig, NULL, NULL, &err, "drover", "start", "wbe1", NULL), 3);
	ck_assert_str_eq(err, "drover: wbe1: no instance 'wbe1' (NotFound)\nhint: did you mean 'web1'?\n");
	free(err);
	ck_assert_int_eq(person_script(rig, NULL, NULL, &err, "drover", "list", "other", NULL), 3);
	ck_assert_ptr_nonnull(strstr(err, "'drover list' shows"));
	rig_stop(rig);
}
END_TEST

/* A file of this program's that cannot be read or written: the class is that of the fault. */
START_TEST(test_files)
{
	static const struct {
		const char *words[6];
		int status;
		const char *text;
	} rows[] = {
		{ { "import", "/nope/f" },
		  3,
		  "/nope/f: cannot open '/nope/f': No such file or directory (NotFound)\n" },
		{ { "modify", "w", "description=@/nope/f" },
		  3,
		  "w: cannot open '/nope/f': No such file or directory (NotFound)\n" },
		{ { "screenshot", "w", "/nope/s.png" },
		  3,
		  "w: cannot write '/nope/s.png': No such file or directory (NotFound)\n" },
		{ { "screenshot", "w", "/dev/full" },
		  8,
		  "w: cannot write '/dev/full': No space left on device (NoSpace)\n"
		  "hint: make room and try again; 'df' shows what is full\n" },
		{ { "stats", "--prometheus", "--output", "/nope/x" },
		  3,
		  "cannot write '/nope/x': No such file or directory (NotFound)\n" },
	};

	lie("{\"return\":{\"data\":\"AAAA\"}}");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *err = NULL, *text = xasprintf("drover: %s", rows[i].text);
		const char *const *w = rows[i].words;

		ck_assert_int_eq(person_script(rig, NULL, NULL, &err, "drover", w[0], w[1], w[2], w[3], NULL),
				 rows[i].status);
		ck_assert_str_eq(err, text);
	}
}
END_TEST

/* An output that is full: short, longer than a buffer, and one that never ends. */
START_TEST(test_output_is_full)
{
	static const char *const verbs[] = { "help", "log w --which console --follow", "list", "--json list" };
	_cleanup_free_ char *drover = rig_program("drover"), *reply = NULL;
	char name[16384];

	memset(name, 'x', sizeof(name));
	reply = xasprintf("{\"return\":[{\"name\":\"%.*s\"}]}", (int)sizeof(name), name);
	lie(reply);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		_cleanup_free_ char *line = xasprintf("exec %s %s > /dev/full", drover, verbs[i]), *err = NULL;

		ck_assert_int_eq(person_script(rig, NULL, NULL, &err, "sh", "-c", line, NULL), 8);
		ck_assert_msg(strstr(err, "cannot write all of the output: No space left on device"), "%s: %s",
			      verbs[i], err);
	}
}
END_TEST

/* The end of a long log is said to be one. */
START_TEST(test_log_has_more)
{
	struct person *p;

	lie("{\"return\":{\"text\":\"login: \",\"truncated\":true}}");
	p = person_come(rig, "drover", "console", "w", "--log", NULL);
	person_await(p, "(There is more: 'drover log w --which console --bytes N'.)\n");
	ck_assert_int_eq(person_leave(p), 0);
	person_free(p);
}
END_TEST

/* Whoever changes his mind at the password has a terminal with an echo, and none is asked for in vain. */
START_TEST(test_password)
{
	struct person *p;

	lie("{\"return\":{\"displays\":[{\"kind\":\"vnc\"}]}}");
	p = person_come(rig, "drover", "display-password", "w", "vnc", NULL);
	person_await(p, "Password: ");
	person_type(p, "secret");
	person_type(p, "\3");
	ck_assert_int_eq(person_leave(p), 128 + SIGINT);
	ck_assert(person_terminal_is_sane(p));
	ck_assert_ptr_null(strstr(person_saw(p), "secret"));
	person_free(p);
	p = person_come(rig, "drover", "display-password", "w", NULL);
	person_await(p, "Password: ");
	person_type(p, "secret\n");
	ck_assert_int_eq(person_leave(p), 0);
	ck_assert(person_terminal_is_sane(p));
	person_free(p);
}
END_TEST

START_TEST(test_password_of_nobody)
{
	struct person *p;

	lie("{\"error\":{\"class\":\"NotFound\",\"desc\":\"D\"}}");
	p = person_come(rig, "drover", "display-password", "w", "vnc", NULL);
	person_type(p, "secret\n"); /* if it were to be asked for */
	ck_assert_int_eq(person_leave(p), 3);
	ck_assert_ptr_null(strstr(person_saw(p), "Password"));
	person_free(p);
}
END_TEST

/* A picture is told of, but for one that is the output itself. */
START_TEST(test_screenshot)
{
	_cleanup_free_ char *path = xasprintf("%s/picture", rig->root), *out = NULL, *json = NULL, *bare = NULL;
	_cleanup_free_ char *line = xasprintf("w: 3 bytes in '%s'\n", path);
	_cleanup_json_ struct json_object *o = NULL;

	lie("{\"return\":{\"data\":\"QUFB\"}}");
	ck_assert_int_eq(person_script(rig, NULL, &out, NULL, "drover", "screenshot", "w", path, NULL), 0);
	ck_assert_str_eq(out, line);
	ck_assert_int_eq(person_script(rig, NULL, &json, NULL, "drover", "--json", "screenshot", "w", path, NULL), 0);
	o = parse(json);
	ck_assert_str_eq(str_at(o, "file"), path);
	ck_assert_int_eq(json_get_int(o, "bytes", 0), 3);
	ck_assert_int_eq(person_script(rig, NULL, &bare, NULL, "drover", "--json", "screenshot", "w", "-", NULL), 0);
	ck_assert_str_eq(bare, "AAA");
}
END_TEST

/* An interface's further addresses stand below its first one, with nothing in front. */
START_TEST(test_addresses)
{
	_cleanup_free_ char *out = NULL;

	lie("{\"return\":{\"alive\":true,\"interfaces\":[{\"name\":\"lo\",\"hardware-address\":\"00:00:00:00:00:00\","
	    "\"ip-addresses\":[{\"ip-address\":\"127.0.0.1\",\"prefix\":8},{\"ip-address\":\"::1\",\"prefix\":128}]}]}"
	    "}");
	ck_assert_int_eq(person_script(rig, NULL, &out, NULL, "drover", "guest", "w", NULL), 0);
	ck_assert_msg(strstr(out, "lo         00:00:00:00:00:00  127.0.0.1/8\n"
				  "                              ::1/128\n"),
		      "%s", out);
}
END_TEST

/* Displays are those that the instance has. */
START_TEST(test_complete_display)
{
	_cleanup_free_ char *out = NULL;

	lie("{\"return\":{\"displays\":[{\"kind\":\"vnc\",\"address\":\"::1\"},{\"kind\":\"spice\"}]}}");
	ck_assert_int_eq(
		person_script(rig, NULL, &out, NULL, "drover", "complete", "--", "display-password", "w", "", NULL), 0);
	ck_assert_str_eq(out, "vnc\t::1\nspice\t\n");
}
END_TEST

START_TEST(test_no_daemon)
{
	_cleanup_free_ char *err = NULL;

	ck_assert_int_eq(person_script(rig, NULL, NULL, &err, "drover", "--socket", "/nowhere", "list", NULL), 19);
	ck_assert_str_eq(err, "drover: no daemon answers; tried '/nowhere' (No such file or directory) (Unavailable)\n"
			      "hint: start it with 'systemctl start droverd', or 'droverd' for your own; --socket PATH "
			      "names another\n");
}
END_TEST

/* Help for programs: verbs and what the daemon has rows of. */
START_TEST(test_help_json)
{
	static const struct {
		const char *words[3], *begins;
	} rows[] = {
		{ { "hvparams" }, "[{\"name\":\"a\",\"type\":\"int\"}]\n" },
		{ { "hvparams", "a" }, "{\"name\":\"a\",\"type\":\"int\"}\n" },
		{ { "x-y" }, "{\"name\":\"x-y\",\"arguments\":[]}\n" },
		{ { "errors", "Busy" }, "{\"name\":\"Busy\"," },
		{ { "disk" }, "[{\"name\":\"path\"}]\n" },
		{ { "disk", "detach" }, "{\"name\":\"disk detach\",\"usage\":\"NAME DISK " },
		{ { "start" },
		  "{\"name\":\"start\",\"usage\":\"NAME... [--paused] [--boot WHAT]\",\"summary\":\"Start "
		  "instances.\",\"options\":[{\"name\":\"paused\",\"doc\":\"Do not let the guest run "
		  "yet.\"},{\"name\":\"boot\",\"value\":\"WHAT\",\"choices\":[\"disk\",\"cdrom\"," },
		{ { NULL }, "[{\"name\":\"list\"," },
	};

	lie("{\"return\":{\"hvparams\":[{\"name\":\"a\",\"type\":\"int\"}],\"disk\":[{\"name\":\"path\"}],"
	    "\"commands\":[{\"name\":\"x-y\",\"arguments\":[]}]}}");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *const *w = rows[i].words;
		_cleanup_free_ char *out = NULL;

		ck_assert_int_eq(person_script(rig, NULL, &out, NULL, "drover", "--json", "help", w[0], w[1], NULL), 0);
		ck_assert_msg(str_starts(out, rows[i].begins), "%s", out);
		json_object_put(parse(out));
	}
}
END_TEST

/* Every class that a daemon can send has a row above. */
START_TEST(test_all_classes)
{
	for (int c = 0; c < ERR_CLASS_COUNT; c++) {
		_cleanup_free_ char *class = xasprintf("'class': '%s'", err_class_info((enum err_class)c)->name);
		bool found = c == ERR_UNAVAILABLE;

		for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
			if (strstr(errors[i].error, class)) {
				found = true;
				ck_assert_int_eq(errors[i].status, err_class_info((enum err_class)c)->exit);
			}
		ck_assert_msg(found, "%s", class);
	}
}
END_TEST

/* ---- pages ---- */

#define EVIL "\\u001b]0;title\\u0007\\u001b[2J\\u009b31m\\u202e\\u000d\\u000a"
#define LONG "a-name-of-sixty-three-characters-which-is-the-longest-one-allowed"
#define WORDS                                                                                                \
	"words that go on and on, as descriptions of things do, " EVIL " further than any terminal is wide " \
	"/with/a/path/that/has/no/blank/in/it/and/is/longer/than/the/eighty/columns/that/there/are/on/it.qcow2"
#define HVINFO "'hvinfo': {'id': 'disk-932df160-7a22-4067', 'bus': 'pci.0', 'addr': '0xc'}"
#define INSTANCE                                                                                                 \
	"'name': '" LONG "', 'uuid': '5f1c2f0e-8a55-4a6e-9f53-0c2b6a1d9e10', 'state': 'pmsuspended', 'status': " \
	"'" EVIL "', 'reason': '" EVIL "', 'since': 1700000000.25, 'monitor': 'slow', 'pid': 4194304, "          \
	"'vcpus': 288, 'autostart': true, 'operation': {'command': "                                             \
	"'instance-shutdown', 'step': '" WORDS "', 'job-id': '" LONG "', 'since': 1700000000}"

static const struct {
	const char *words[6], *result, *shows[4];
} pages[] = {
	{ { "list" },
	  "[{" INSTANCE "}, {" INSTANCE "}, {'name': 'bad', 'error': {'class': 'GenericError', 'desc': '" WORDS "'}}]",
	  { "NAME", "pmsuspended", "unreadable" } },
	{ { "show", "w" },
	  "{" INSTANCE ", 'definition': {'description': '" WORDS
	  "', 'autostart': {'order': 3, 'delay': 5}}, 'runtime': "
	  "{'disks': [{'name': '" LONG
	  "', 'state': 'detach-pending', 'mode': 'rw', 'media': 'cdrom', 'size': 10737418240, "
	  "'source': {'path': '" WORDS "', 'format': 'qcow2'}, " HVINFO "}], 'nics': [{'name': '" LONG
	  "', 'state': 'detach-pending', 'mac': '52:54:00:3a:91:02', 'mode': 'openvswitch', 'bridge': "
	  "'a-bridge-of-15c', "
	  "'tap': 'dv003fc15766a8', " HVINFO "}], 'process': {'uid': 2130004}, 'qemu': {'version': '7.2.22 " WORDS
	  "', 'binary': '/usr/bin/qemu-system-x86_64'}}, 'memory': {'wanted': 1, 'actual': 2, 'max': 3}, 'pending': "
	  "[{'path': 'hvparams.kernel_args', 'from': '" WORDS "', 'to': '" WORDS "'}, {'path': '" WORDS
	  "'}], 'slots': [{'bus': 'pci.0', 'first': 12, 'last': 31, 'free': 18}], 'drift': "
	  "[{'what': 'device', 'id': '" WORDS "', 'record': 'attached', 'qemu': 'absent'}], 'hotplug': {'memory': "
	  "'Unsupported: " WORDS "'}, 'last': {'state': 'shutoff', 'reason': '" WORDS
	  "', 'time': 1700000000}, 'consoles': [{'kind': 'serial', 'writer': '" WORDS "', 'readers': 0}]}",
	  { "pmsuspended", "detach-pending", "kernel_args" } },
	{ { "show", "w" },
	  "{'definition': {'hvparams': {'kernel_args': '" WORDS "', 'cpu_mask': '', 'vga': 'std', 'acpi': false}}, "
	  "'displays': [{'kind': 'vnc', 'port': 5900, 'password': false}]}",
	  { "Parameters", "  cpu_mask      ''", "  acpi          false", "port 5900, password no\n" } },
	{ { "show", "w", "--slots" },
	  "{'slots': [{'bus': '" LONG "', 'first': 0, 'last': 255, 'free': 255, 'used': {'0xc': "
	  "'disk-932df160-7a22-4067'}}], 'definition': {'disks': [{'name': '" LONG "', " HVINFO "}]}}",
	  { "PLACE", "0xc", "255 of 256" } },
	{ { "stats" },
	  "[{'name': '" LONG "', 'as-of': 1700000000, 'stale': true, 'cpu': {'time': 123456789.1, 'vcpus': [1, 2]}, "
	  "'memory': {'resident': 123456789012, 'actual': 123456789012}, 'disks': [{'read-bytes': 1234567890123, "
	  "'write-bytes': 1234567890123}]}]",
	  { "RESIDENT", "stale", NULL } },
	{ { "guest", "w" },
	  "{'alive': true, 'stale': true, 'as-of': 1700000000, 'version': '" WORDS "', 'hostname': '" WORDS
	  "', 'os': {'pretty-name': '" WORDS "', 'kernel-release': '" WORDS "'}, 'interfaces': [{'name': '" WORDS
	  "', 'hardware-address': '" WORDS "', 'ip-addresses': [{'ip-address': '" WORDS
	  "', 'prefix': 64}]}], 'filesystems': [{'mountpoint': '" WORDS "', 'type': '" WORDS
	  "', 'used-bytes': 1, 'total-bytes': 2}]}",
	  { "answers", "INTERFACE", "MOUNTED" } },
	{ { "jobs" },
	  "[{'id': '" LONG "', 'type': 'instance-shutdown', 'instance': '" LONG
	  "', 'status': 'concluded', 'step': '" WORDS
	  "', 'current-progress': 1, 'total-progress': 3, 'since': 1700000000, 'error': {'class': 'Timeout', 'desc': "
	  "'" WORDS "'}}]",
	  { "PROGRESS", "failed", "(Timeout)" } },
	{ { "trace", "w" },
	  "[{'time': 1700000000, 'direction': 'in', 'monitor': 1, 'id': 'drover-123456', 'latency': 12.3456, 'name': "
	  "'query-" LONG "', 'message': {'return': '" WORDS "'}}]",
	  { "<-1", "12345.6", NULL } },
	{ { "host" },
	  "{'hostname': '" WORDS "', 'kernel': '" WORDS "', 'features': {'kvm': {'works': false, 'reason': '" WORDS
	  "'}}, 'qemu': [{'binary': '" WORDS "', 'machines': {'pc': 'pc-i440fx-7.2', 'q35': 'pc-q35-7.2', 'isapc': "
	  "'isapc', 'microvm': 'microvm'}, 'quirks': ['" WORDS "']}]}",
	  { "no: words", "pc is", NULL } },
	{ { "help", "hvparams" },
	  "{'hvparams': [{'name': '" LONG "', 'type': 'choice', 'default': '" WORDS "', 'choices': ['a', '" WORDS
	  "'], 'doc': '" WORDS "'}]}",
	  { "(choice, ", NULL, NULL } },
	{ { "help", "a-b" },
	  "{'commands': [{'name': 'a-b', 'class': 'l', 'doc': '" WORDS "', 'returns': '" WORDS
	  "', 'arguments': [{'name': 'x', 'type': 'list', 'members': [{'name': '" LONG "', 'doc': '" WORDS "'}]}]}]}",
	  { "may take long", "x[].", NULL } },
	{ { "help", "states" }, "{'states': [{'name': '" LONG "', 'doc': '" WORDS "'}]}", { LONG, NULL, NULL } },
};

START_TEST(test_page)
{
	_cleanup_free_ char *result = with_quotes(pages[_i].result), *reply = xasprintf("{\"return\":%s}", result);
	const char *const *w = pages[_i].words;
	struct person *p;

	lie(reply);
	p = person_come(rig, "drover", w[0], w[1], w[2], w[3], NULL);
	ck_assert_int_eq(person_leave(p), 0);
	person_check_page(person_saw(p));
	for (size_t i = 0; i < ARRAY_SIZE(pages[_i].shows) && pages[_i].shows[i]; i++)
		ck_assert_msg(strstr(person_saw(p), pages[_i].shows[i]), "no '%s' in:\n%s", pages[_i].shows[i],
			      person_saw(p));
	person_free(p);
	/* as JSON for people it is escaped as well */
	p = person_come(rig, "drover", "--json", w[0], w[1], w[2], w[3], NULL);
	person_leave(p);
	ck_assert_ptr_null(strstr(person_saw(p), "\033]"));
	ck_assert_ptr_null(strstr(person_saw(p), "\xc2\x9b"));
	person_free(p);
}
END_TEST

/* ---- help of a real daemon ---- */

static const char *const topics[] = { "hvparams", "definition", "disk", "nic", "config", "errors", "states" };

static void check_help(const char *name)
{
	struct person *p = person_come(rig, "drover", "help", name, NULL);

	ck_assert_msg(person_leave(p) == 0, "help %s: %s", name, person_saw(p));
	person_check_page(person_saw(p));
	person_free(p);
}

START_TEST(test_help)
{
	_cleanup_json_ struct json_object *commands = NULL;
	_cleanup_free_ char *out = NULL, *err = NULL;
	struct client *c;

	rig_start(rig);
	for (size_t i = 0; i < ARRAY_SIZE(topics); i++)
		check_help(topics[i]);
	c = client_new(rig);
	commands = client_ok(c, "query-commands", NULL);
	client_free(c);
	for (size_t i = 0; i < json_object_array_length(commands); i++)
		check_help(json_get_str(json_object_array_get_idx(commands, i), "name"));
	ck_assert_int_eq(person_script(rig, NULL, &out, NULL, "drover", "help", "disk", "cache", NULL), 0);
	ck_assert_msg(strstr(out, "  cache ") && strstr(out, "one of "), "%s", out);
	ck_assert_int_eq(person_script(rig, NULL, NULL, &err, "drover", "help", "disk", "cahce", NULL), 2);
	ck_assert_msg(strstr(err, "did you mean 'cache'?"), "%s", err);
	free(err);
	ck_assert_int_eq(person_script(rig, NULL, NULL, &err, "drover", "help", "instance-strat", NULL), 2);
	ck_assert_msg(strstr(err, "did you mean 'instance-start'?"), "%s", err);
	free(err);
	ck_assert_int_eq(person_script(rig, NULL, NULL, &err, "drover", "help", "hvparam", NULL), 2);
	ck_assert_msg(strstr(err, "did you mean 'hvparams'?"), "%s", err);
	rig_stop(rig);
	/* what needs no daemon */
	free(out);
	ck_assert_int_eq(person_script(rig, NULL, &out, NULL, "drover", "help", "errors", NULL), 0);
	ck_assert_ptr_nonnull(strstr(out, "GuestRefused"));
	free(out);
	ck_assert_int_eq(person_script(rig, NULL, &out, NULL, "drover", "help", "disk", NULL), 0);
	ck_assert_ptr_nonnull(strstr(out, "disk attach"));
	free(err);
	ck_assert_int_eq(person_script(rig, NULL, NULL, &err, "drover", "help", "states", NULL), 19);
	free(err);
	ck_assert_int_eq(person_script(rig, NULL, NULL, &err, "drover", "help", "send-kye", NULL), 2);
	ck_assert_msg(strstr(err, "did you mean 'send-key'?"), "%s", err);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("drover, pages");
	TCase *tc = tcase_create("pages");

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, test_error, 0, ARRAY_SIZE(errors));
	tcase_add_test(tc, test_misspelt_instance);
	tcase_add_test(tc, test_files);
	tcase_add_test(tc, test_output_is_full);
	tcase_add_test(tc, test_log_has_more);
	tcase_add_test(tc, test_password);
	tcase_add_test(tc, test_password_of_nobody);
	tcase_add_test(tc, test_screenshot);
	tcase_add_test(tc, test_addresses);
	tcase_add_test(tc, test_complete_display);
	tcase_add_test(tc, test_no_daemon);
	tcase_add_test(tc, test_all_classes);
	tcase_add_loop_test(tc, test_page, 0, ARRAY_SIZE(pages));
	tcase_add_test(tc, test_help);
	tcase_add_test(tc, test_help_json);
	suite_add_tcase(s, tc);
	return s;
}

RIG_MAIN(suite)
