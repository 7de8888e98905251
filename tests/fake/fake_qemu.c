/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fake-qemu: a QEMU without a guest. It takes the command line that droverd makes, serves QMP on the
 * listening descriptors it was given, keeps a run state, and misbehaves as its script says (script.h).
 *
 * What it says is what QEMU 7.2 says, in its order: events that a command causes come before the reply; a
 * monitor has one client, others wait in the backlog; out-of-band commands pass those of the main loop.
 * Its guest powers off on SIGUSR1 and panics on SIGUSR2, finds its disk full on SIGHUP; on SIGTERM QEMU ends with
 * status 0. Its firmware makes two resets of one, when the guest runs. (It is longer than 700 lines: one machine, whose
 * commands and loop share all of its state.)
 */
#include "base/json.h"
#include "gear.h"
#include "monitor.h"
#include "options.h"
#include "script.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MONITORS_MAX = 4, HOLD_POLL_MS = 5 };

/* A command that is being answered: the main loop is busy until then. */
struct answer {
	struct monitor *m; /* NULL: none */
	unsigned client;
	struct json_object *request;
	int64_t due;
	const char *hold;
};

struct fake {
	struct script script;
	struct monitor monitors[MONITORS_MAX];
	size_t n;
	const char *name, *uuid, *status;
	bool ends_at_reboot, full,
		rebooting; /* -action reboot=shutdown; a disk is; the firmware is to reset once more */
	int log;           /* of the second monitor */
	struct gear gear;
	struct answer answer;
	bool hung; /* the main loop does nothing any more */
	struct json_object *counts;
	int record;
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- output ---- */

/* Before the process ends by itself, or is frozen: what was said is heard. */
static void flush_all(struct fake *f)
{
	for (size_t i = 0; i < f->n; i++) {
		struct monitor *m = &f->monitors[i];

		while (m->fd >= 0 && m->out_len) {
			struct pollfd p = { .fd = m->fd, .events = POLLOUT };

			if (poll(&p, 1, -1) > 0)
				monitor_flush(m);
		}
	}
}

static void emit(struct fake *f, const char *name, const char *data)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct json_object *stamp = json_object_new_object();
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	json_add_int(stamp, "seconds", now.tv_sec);
	json_add_int(stamp, "microseconds", now.tv_nsec / 1000);
	json_add(o, "timestamp", stamp);
	json_add_str(o, "event", name);
	if (data)
		json_add(o, "data", json_tokener_parse(data));
	for (size_t i = 0; i < f->n; i++)
		if (f->monitors[i].negotiated)
			monitor_send(&f->monitors[i], o);
	if (f->log >= 0) {
		_cleanup_free_ char *text = json_print(o);

		dprintf(f->log, "%s\r\n", text);
	}
}

/* ---- the guest ---- */

static void halt(struct fake *f, const char *status)
{
	bool ran = str_eq(f->status, "running");

	f->status = status;
	if (ran)
		emit(f, "STOP", NULL);
}

static void power_off(struct fake *f)
{
	if (!str_eq(f->status, "running"))
		return;
	emit(f, "SHUTDOWN", "{\"guest\": true, \"reason\": \"guest-shutdown\"}");
	halt(f, "shutdown");
}

static void panic(struct fake *f)
{
	if (!str_eq(f->status, "running"))
		return;
	emit(f, "GUEST_PANICKED", "{\"action\": \"pause\"}");
	halt(f, "guest-panicked");
}

/* STATUS is a RunState, or what leads to io-error. */
static void stand_still(struct fake *f, const char *status)
{
	static const struct {
		const char *status, *event, *data;
	} rows[] = {
		{ "suspended", "SUSPEND", NULL },
		{ "watchdog", "WATCHDOG", "{\"action\": \"pause\"}" },
		{ "io-error", "BLOCK_IO_ERROR",
		  "{\"action\": \"stop\", \"nospace\": false, \"reason\": \"Input/output error\"}" },
		{ "no-space", "BLOCK_IO_ERROR",
		  "{\"action\": \"stop\", \"nospace\": true, \"reason\": \"No space left\"}" },
	};

	f->full = str_eq(status, "no-space") || str_eq(status, "unheard");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (str_eq(rows[i].status, status))
			emit(f, rows[i].event, rows[i].data);
	halt(f, f->full ? "io-error" : status);
}

/* A reset by the guest, or by its firmware. */
static void reboot(struct fake *f)
{
	f->rebooting = false;
	if (f->ends_at_reboot) {
		emit(f, "SHUTDOWN", "{\"guest\": true, \"reason\": \"guest-reset\"}");
		halt(f, "shutdown");
	} else {
		emit(f, "RESET", "{\"guest\": true, \"reason\": \"guest-reset\"}");
	}
}

/* ---- the script ---- */

/* How many times it has come to PLACE, this one included. */
static unsigned count(struct fake *f, const char *place)
{
	int64_t n = json_get_int(f->counts, place, 0) + 1;

	json_object_object_del(f->counts, place);
	json_add_int(f->counts, place, n);
	return (unsigned)n;
}

static void act(struct fake *f, struct monitor *m, const char *word, const struct script_line *l)
{
	int number = l->value ? (int)strtol(l->value, NULL, 10) : 0;

	flush_all(f);
	if (str_eq(word, "exit"))
		_exit(number);
	else if (str_eq(word, "kill"))
		kill(getpid(), number);
	else if (str_eq(word, "freeze"))
		raise(SIGSTOP);
	else if (str_eq(word, "hangup") && m)
		monitor_close(m);
	else if (str_eq(word, "poweroff"))
		power_off(f);
	else if (str_eq(word, "panic"))
		panic(f);
	else if (str_eq(word, "pause"))
		halt(f, "io-error");
	else if (str_eq(word, "state"))
		stand_still(f, l->value);
}

static void at_place(struct fake *f, struct monitor *m, const char *place, unsigned nth, bool after)
{
	static const char *const acts[] = { "poweroff", "panic", "pause", "state", "freeze", "hangup", "exit", "kill" };

	for (size_t i = 0; i < ARRAY_SIZE(acts); i++) {
		struct script_line *l = NULL;

		while ((l = script_next(&f->script, l, acts[i], place, nth, after))) {
			if (l->done)
				continue;
			l->done = true;
			act(f, m, acts[i], l);
		}
	}
}

/* ---- commands: NULL is "{}", *ERROR a description ---- */

typedef struct json_object *command_fn(struct fake *f, struct json_object *args, const char **error);

static struct json_object *query_status(struct fake *f, struct json_object *args, const char **error)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "status", f->status);
	json_add_bool(o, "singlestep", false);
	json_add_bool(o, "running", str_eq(f->status, "running"));
	return o;
}

static struct json_object *query_name(struct fake *f, struct json_object *args, const char **error)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "name", f->name);
	return o;
}

static struct json_object *query_uuid(struct fake *f, struct json_object *args, const char **error)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "UUID", f->uuid);
	return o;
}

static struct json_object *version(void)
{
	return json_tokener_parse("{\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, \"package\": \"fake\"}");
}

static struct json_object *query_version(struct fake *f, struct json_object *args, const char **error)
{
	return version();
}

static struct json_object *query_yank(struct fake *f, struct json_object *args, const char **error)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < f->n; i++) {
		struct json_object *o = json_object_new_object();

		json_add_str(o, "type", "chardev");
		json_add_str(o, "id", f->monitors[i].id);
		json_object_array_add(list, o);
	}
	return list;
}

static struct json_object *cont(struct fake *f, struct json_object *args, const char **error)
{
	if (str_eq(f->status, "shutdown") || str_eq(f->status, "internal-error")) {
		*error = "Resetting the Virtual Machine is required";
	} else if (!str_eq(f->status, "running") && !str_eq(f->status, "suspended")) {
		f->status = "running";
		emit(f, "RESUME", NULL);
		if (f->rebooting)
			reboot(f);
	}
	return NULL;
}

static struct json_object *stop(struct fake *f, struct json_object *args, const char **error)
{
	if (str_eq(f->status, "running"))
		halt(f, "paused");
	return NULL;
}

static struct json_object *system_reset(struct fake *f, struct json_object *args, const char **error)
{
	bool runs = str_eq(f->status, "running");

	if (f->ends_at_reboot) {
		emit(f, "SHUTDOWN", "{\"guest\": false, \"reason\": \"host-qmp-system-reset\"}");
		halt(f, "shutdown");
		return NULL;
	}
	emit(f, "RESET", "{\"guest\": false, \"reason\": \"host-qmp-system-reset\"}");
	f->rebooting = true;
	if (runs)
		reboot(f);
	else
		f->status = "prelaunch";
	return NULL;
}

static struct json_object *system_wakeup(struct fake *f, struct json_object *args, const char **error)
{
	if (!str_eq(f->status, "suspended")) {
		*error = "Unable to wake up: guest is not in suspended state";
		return NULL;
	}
	f->status = "running";
	emit(f, "WAKEUP", NULL);
	return NULL;
}

static struct json_object *set_action(struct fake *f, struct json_object *args, const char **error)
{
	f->ends_at_reboot = str_eq(json_get_str(args, "reboot"), "shutdown");
	return NULL;
}

static struct json_object *query_block(struct fake *f, struct json_object *args, const char **error)
{
	return gear_block(&f->gear, f->full ? "nospace" : str_eq(f->status, "io-error") ? "failed" : "ok");
}

static struct json_object *query_nodes(struct fake *f, struct json_object *args, const char **error)
{
	return gear_nodes(&f->gear);
}

static struct json_object *query_chardev(struct fake *f, struct json_object *args, const char **error)
{
	return gear_chardevs(&f->gear);
}

static struct json_object *query_fdsets(struct fake *f, struct json_object *args, const char **error)
{
	return gear_fdsets(&f->gear);
}

static struct json_object *remove_fd(struct fake *f, struct json_object *args, const char **error)
{
	bool late = script_says(&f->script, "fdsets", "late") && !str_eq(f->status, "running");

	if (late || script_says(&f->script, "fdsets", "stay"))
		return NULL;
	if (!gear_empty_set(&f->gear, json_get_int(args, "fdset-id", -1)))
		*error = "File descriptor named 'fdset-id' not found";
	return NULL;
}

static struct json_object *inject_nmi(struct fake *f, struct json_object *args, const char **error)
{
	return NULL;
}

static struct json_object *system_powerdown(struct fake *f, struct json_object *args, const char **error)
{
	emit(f, "POWERDOWN", NULL);
	return NULL;
}

static struct json_object *quit(struct fake *f, struct json_object *args, const char **error)
{
	emit(f, "SHUTDOWN", "{\"guest\": false, \"reason\": \"host-qmp-quit\"}");
	return NULL;
}

static struct json_object *qmp_capabilities(struct fake *f, struct json_object *args, const char **error)
{
	return NULL;
}

static const struct {
	const char *name;
	command_fn *fn;
	bool oob;
} commands[] = {
	{ "cont", cont },
	{ "inject-nmi", inject_nmi },
	{ "qmp_capabilities", qmp_capabilities },
	{ "query-block", query_block },
	{ "query-chardev", query_chardev },
	{ "query-fdsets", query_fdsets },
	{ "query-name", query_name },
	{ "query-named-block-nodes", query_nodes },
	{ "query-status", query_status },
	{ "query-uuid", query_uuid },
	{ "query-version", query_version },
	{ "query-yank", query_yank, .oob = true },
	{ "quit", quit },
	{ "remove-fd", remove_fd },
	{ "set-action", set_action },
	{ "stop", stop },
	{ "system_powerdown", system_powerdown },
	{ "system_reset", system_reset },
	{ "system_wakeup", system_wakeup },
};

/* ---- requests ---- */

static void reply(struct fake *f, struct monitor *m, struct json_object *request, struct json_object *ret,
		  const char *class, const char *desc)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct json_object *id, *error = json_object_new_object();

	if (json_object_object_get_ex(request, "id", &id))
		json_add(o, "id", json_object_get(id));
	json_add_str(error, "class", class);
	json_add_str(error, "desc", desc);
	if (class)
		json_add(o, "error", json_object_get(error));
	else
		json_add(o, "return", ret ? ret : json_object_new_object());
	json_object_put(error);
	monitor_send(m, o);
}

static bool wants_oob(struct json_object *request)
{
	struct json_object *args = json_get_typed(request, "arguments", json_type_object);
	struct json_object *list = json_get_typed(args, "enable", json_type_array);

	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		if (str_eq(json_object_get_string(json_object_array_get_idx(list, i)), "oob"))
			return true;
	return false;
}

/* The handshake comes first, and once. */
static bool negotiate(struct fake *f, struct monitor *m, struct json_object *request, const char *name)
{
	if (str_eq(name, "qmp_capabilities") == m->negotiated) {
		reply(f, m, request, NULL, "CommandNotFound",
		      m->negotiated ? "Capabilities negotiation is already complete, command ignored" :
				      "Expecting capabilities negotiation with 'qmp_capabilities'");
		return false;
	}
	if (!m->negotiated)
		m->oob = wants_oob(request);
	m->negotiated = true;
	return true;
}

/* "CLASS:TEXT" */
static void reply_scripted_error(struct fake *f, struct monitor *m, struct json_object *request, const char *value)
{
	_cleanup_free_ char *class = xstrndup(value, strcspn(value, ":"));
	const char *text = strchr(value, ':');

	reply(f, m, request, NULL, class, text ? text + 1 : "");
}

static void flood(struct fake *f, const struct script_line *l)
{
	for (long i = l ? strtol(l->value, NULL, 10) : 0; i > 0; i--)
		emit(f, "RTC_CHANGE", "{\"offset\": 1, \"qom-path\": \"/machine/unattached/device[5]/rtc\"}");
}

/* M NULL: who asked has hung up. */
static void run(struct fake *f, struct monitor *m, struct json_object *request, const char *name, unsigned nth)
{
	struct script *s = &f->script;
	const struct script_line *error = script_next(s, NULL, "error", name, nth, false);
	struct json_object *ret = NULL;
	const char *desc = NULL;
	size_t i = 0;

	if (m && !negotiate(f, m, request, name))
		return;
	flood(f, script_next(s, NULL, "flood", name, nth, false));
	while (i < ARRAY_SIZE(commands) && !str_eq(commands[i].name, name))
		i++;
	if (error) {
		reply_scripted_error(f, m, request, error->value);
		return;
	}
	if (i == ARRAY_SIZE(commands)) {
		_cleanup_free_ char *text = xasprintf("The command %s has not been found", name);

		reply(f, m, request, NULL, "CommandNotFound", text);
		return;
	}
	ret = commands[i].fn(f, json_get_typed(request, "arguments", json_type_object), &desc);
	if (script_next(s, NULL, "lie", name, nth, false)) {
		json_object_put(ret);
		ret = NULL;
	}
	if (script_next(s, NULL, "silent", name, nth, false))
		json_object_put(ret);
	else if (desc)
		reply(f, m, request, NULL, "GenericError", desc);
	else
		reply(f, m, request, ret, NULL, NULL);
	if (script_next(s, NULL, "twice", name, nth, false))
		reply(f, m, request, NULL, NULL, NULL);
}

static void finish(struct fake *f, struct monitor *m, struct json_object *request, const char *name, unsigned nth)
{
	run(f, m, request, name, nth);
	at_place(f, m, name, nth, true);
	if (str_eq(name, "system_powerdown") && !script_says(&f->script, "powerdown", "ignore"))
		power_off(f);
	if (str_eq(name, "quit") && !script_next(&f->script, NULL, "silent", name, nth, false) &&
	    !script_next(&f->script, NULL, "error", name, nth, false)) {
		flush_all(f);
		_exit(0);
	}
}

static void begin(struct fake *f, struct monitor *m, struct json_object *request)
{
	const char *name = json_get_str(request, "execute");
	unsigned nth = count(f, name);
	const struct script_line *delay, *hold;

	at_place(f, m, name, nth, false);
	if (m->fd < 0)
		return;
	f->hung = script_next(&f->script, NULL, "hang", name, nth, false) != NULL;
	delay = script_next(&f->script, NULL, "delay", name, nth, false);
	hold = script_next(&f->script, NULL, "hold", name, nth, false);
	if (!f->hung && !delay && !hold) {
		finish(f, m, request, name, nth);
		return;
	}
	f->answer = (struct answer){ .m = m, .client = m->client, .request = json_object_get(request) };
	f->answer.due = delay ? now_ms() + strtol(delay->value, NULL, 10) : 0;
	f->answer.hold = hold ? hold->value : NULL;
}

static void finish_answer(struct fake *f)
{
	struct answer a = f->answer;
	const char *name = json_get_str(a.request, "execute");

	f->answer.m = NULL;
	finish(f, a.m->client == a.client ? a.m : NULL, a.request, name, (unsigned)json_get_int(f->counts, name, 0));
	json_object_put(a.request);
}

static void run_main_loop(struct fake *f)
{
	if (f->answer.m && !f->hung && now_ms() >= f->answer.due &&
	    (!f->answer.hold || access(f->answer.hold, F_OK) == 0))
		finish_answer(f);
	for (size_t i = 0; i < f->n; i++) {
		struct monitor *m = &f->monitors[i];

		while (m->requests && json_object_array_length(m->requests) > 0) {
			_cleanup_json_ struct json_object *request = NULL;

			if (f->hung || f->answer.m)
				return;
			request = json_object_get(json_object_array_get_idx(m->requests, 0));
			json_object_array_del_idx(m->requests, 0, 1);
			begin(f, m, request);
		}
	}
}

static void take_oob(struct fake *f, struct monitor *m, struct json_object *request, const char *name)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(commands) && !str_eq(commands[i].name, name))
		i++;
	if (i == ARRAY_SIZE(commands) || !commands[i].oob)
		reply(f, m, request, NULL, "GenericError", "The command does not support OOB");
	else
		run(f, m, request, name, count(f, name));
}

static void take_request(struct fake *f, struct monitor *m, struct json_object *request)
{
	const char *name = json_get_str(request, "execute"), *oob = json_get_str(request, "exec-oob");

	if (f->record >= 0 && (name || oob))
		dprintf(f->record, "%s %s\n", m->id, name ? name : oob);
	if (name)
		json_object_array_add(m->requests, json_object_get(request));
	else if (oob && m->oob)
		take_oob(f, m, request, oob);
	else
		reply(f, m, request, NULL, "GenericError",
		      oob ? "QMP input member 'exec-oob' is unexpected" : "QMP input lacks member 'execute'");
}

/* ---- the loop ---- */

static void greet(struct fake *f, struct monitor *m)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct json_object *qmp, *list;

	if (script_says(&f->script, "greeting", "none"))
		return;
	if (script_says(&f->script, "greeting", "garbage")) {
		monitor_write(m, "220 mail.example.org ESMTP\r\n");
		return;
	}
	if (script_says(&f->script, "greeting", "half")) {
		monitor_write(m, "{\"QMP\": {\"version\": {\"qemu\": ");
		return;
	}
	o = json_object_new_object();
	qmp = json_object_new_object();
	list = json_object_new_array();
	json_object_array_add(list, json_object_new_string("oob"));
	json_add(qmp, "version", version());
	json_add(qmp, "capabilities", list);
	json_add(o, "QMP", qmp);
	monitor_send(m, o);
}

static void take_client(struct fake *f, struct monitor *m)
{
	if (!monitor_accept(m))
		return;
	greet(f, m);
	at_place(f, m, "greeting", count(f, "greeting"), false);
}

static void monitor_read(struct fake *f, struct monitor *m)
{
	char buf[65536];
	ssize_t n = recv(m->fd, buf, sizeof(buf), MSG_DONTWAIT);
	const char *p = buf;
	size_t left = n > 0 ? (size_t)n : 0;

	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		monitor_close(m);
		return;
	}
	while (m->fd >= 0) {
		_cleanup_json_ struct json_object *o = NULL;
		_cleanup_err_ struct err *e = NULL;

		switch (json_reader_next(m->reader, &p, &left, &o, &e)) {
		case JSON_VALUE:
			take_request(f, m, o);
			break;
		case JSON_BAD:
		case JSON_OVERFLOW:
			reply(f, m, NULL, NULL, "GenericError", "JSON parse error, invalid keyword");
			break;
		case JSON_MORE:
			return;
		}
	}
}

static void take_signals(struct fake *f, int fd)
{
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGUSR1) {
			power_off(f);
		} else if (info.ssi_signo == SIGUSR2) {
			panic(f);
		} else if (info.ssi_signo == SIGHUP) {
			stand_still(f, "no-space");
		} else if (!script_says(&f->script, "term", "ignore")) {
			fprintf(stderr, "fake-qemu: terminating on signal %u\n", info.ssi_signo);
			_exit(0);
		}
	}
}

static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int timeout_of(const struct fake *f)
{
	int64_t left = f->answer.due - now_ms();

	if (!f->answer.m || f->hung)
		return -1;
	if (f->answer.hold)
		return HOLD_POLL_MS;
	return left > 0 ? (int)left : 0;
}

static void serve(struct fake *f)
{
	int signals = open_signals();

	for (;;) {
		struct pollfd fds[MONITORS_MAX + 1] = { { .fd = f->hung ? -1 : signals, .events = POLLIN } };

		for (size_t i = 0; i < f->n; i++) {
			const struct monitor *m = &f->monitors[i];

			fds[i + 1].fd = m->fd < 0 ? m->listener : m->fd;
			fds[i + 1].events = (short)(POLLIN | (m->out_len ? POLLOUT : 0));
		}
		if (poll(fds, f->n + 1, timeout_of(f)) < 0 && errno != EINTR)
			_exit(1);
		for (size_t i = 0; i < f->n; i++) {
			struct monitor *m = &f->monitors[i];

			if (fds[i + 1].revents & POLLOUT)
				monitor_flush(m);
			if (!(fds[i + 1].revents & ~POLLOUT))
				continue;
			if (m->fd < 0)
				take_client(f, m);
			else
				monitor_read(f, m);
		}
		if (fds[0].revents)
			take_signals(f, signals);
		run_main_loop(f);
	}
}

#define REAL_QEMU "qemu-system-x86_64"

/* ---- the command line ---- */

static void read_option(struct fake *f, char **argv, const char *option, const char *value)
{
	if (value)
		gear_option(&f->gear, option, value);
	if (str_eq(option, "-S")) {
		f->status = "prelaunch";
	} else if (str_eq(option, "-name") && value) {
		f->name = option_value(value, NULL);
	} else if (str_eq(option, "-uuid") && value) {
		f->uuid = value;
	} else if (str_eq(option, "-action") && value) {
		f->ends_at_reboot = strstr(value, "reboot=shutdown") != NULL;
	} else if (str_eq(option, "-add-fd") && value && str_eq(option_value(value, "set"), "2")) {
		f->log = (int)strtol(option_value(value, "fd"), NULL, 10);
	} else if (str_eq(option, "-append") && value) {
		script_read(&f->script, value);
	} else if (str_eq(option, "-mon") && value && f->n < MONITORS_MAX) {
		struct monitor *m = &f->monitors[f->n++];

		*m = (struct monitor){ .id = option_value(value, "chardev"), .fd = -1 };
		m->listener = option_listener(argv, m->id);
	}
}

int main(int argc, char **argv)
{
	static const int deadly[] = { SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV };
	static struct fake fake;
	struct fake *f = &fake;
	const char *text;

	/* Who asks what it can do asks the real one. */
	for (char **p = argv + 1; p[0] && p[1]; p++)
		if (str_eq(p[0], "-machine") && str_starts(p[1], "none"))
			execvp(REAL_QEMU, argv);
	/* A sanitizer would make an exit of them. */
	for (size_t i = 0; i < ARRAY_SIZE(deadly); i++)
		signal(deadly[i], SIG_DFL);
	f->status = "running";
	f->record = f->log = -1;
	f->counts = json_object_new_object();
	gear_init(&f->gear);
	for (char **p = argv + 1; p[0]; p++)
		read_option(f, argv + 1, p[0], p[1]);
	text = script_value(&f->script, "say");
	if (text)
		fprintf(stderr, "fake-qemu: %s\n", text);
	text = script_value(&f->script, "chunk");
	for (size_t i = 0; i < f->n && text; i++)
		f->monitors[i].chunk = strtoul(text, NULL, 10);
	text = script_value(&f->script, "record");
	if (text)
		f->record = open(text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	at_place(f, NULL, "start", 1, false);
	if (!f->n) {
		fprintf(stderr, "fake-qemu: no monitor\n");
		return 1;
	}
	serve(f);
}
