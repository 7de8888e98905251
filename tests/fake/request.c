/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A request's way: taken from a monitor, answered by the main loop as the script has it, or out of band at once.
 */
#include "fake.h"
#include "guest.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- the script ---- */

unsigned count_place(struct fake *f, const char *place)
{
	int64_t n = json_get_int(f->counts, place, 0) + 1;

	json_object_object_del(f->counts, place);
	json_add_int(f->counts, place, n);
	return (unsigned)n;
}

/* "NAME" or "NAME:DATA" */
static void emit_scripted(struct fake *f, const char *value)
{
	_cleanup_free_ char *copy = xstrdup(value);
	char *data = strchr(copy, ':');

	if (data)
		*data++ = '\0';
	for (char *p = data; p && *p; p++)
		if (*p == '`')
			*p = '"';
	emit_text(f, copy, data);
}

static void act(struct fake *f, struct monitor *m, const char *word, const struct script_line *l)
{
	int number = l->value ? (int)strtol(l->value, NULL, 10) : 0;

	if (str_eq(word, "event")) {
		emit_scripted(f, l->value);
		return;
	}
	if (str_eq(word, "eject")) {
		devices_eject(f, l->value);
		return;
	}
	if (str_eq(word, "line")) {
		_cleanup_free_ char *text = xasprintf("%s\r\n", l->value);

		monitor_write(m, text);
		return;
	}
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
		guest_power_off(f);
	else if (str_eq(word, "panic"))
		guest_panic(f);
	else if (str_eq(word, "pause"))
		guest_halt(f, "io-error");
	else if (str_eq(word, "state"))
		guest_stand_still(f, l->value);
}

void at_place(struct fake *f, struct monitor *m, const char *place, unsigned nth, bool after)
{
	static const char *const acts[] = { "poweroff", "panic",  "pause",  "state", "event", "eject",
					    "line",     "freeze", "hangup", "exit",  "kill" };

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

/* ---- answers ---- */

static struct json_object *make_reply(struct json_object *id, struct json_object *ret, const char *class,
				      const char *desc)
{
	struct json_object *o = json_object_new_object(), *error;

	if (id)
		json_add(o, "id", json_object_get(id));
	if (!class) {
		json_add(o, "return", ret ? ret : json_object_new_object());
		return o;
	}
	error = json_object_new_object();
	json_add_str(error, "class", class);
	json_add_str(error, "desc", desc);
	json_add(o, "error", error);
	return o;
}

static void reply(struct monitor *m, struct json_object *request, struct json_object *ret, const char *class,
		  const char *desc)
{
	struct json_object *id = NULL;
	_cleanup_json_ struct json_object *o = NULL;

	json_object_object_get_ex(request, "id", &id);
	o = make_reply(id, ret, class, desc);
	monitor_send(m, o);
}

void reply_syntax_error(struct monitor *m)
{
	reply(m, NULL, NULL, "GenericError", "JSON parse error, invalid keyword");
}

/* "CLASS:TEXT" */
static void reply_scripted_error(struct monitor *m, struct json_object *request, const char *value)
{
	_cleanup_free_ char *class = xstrndup(value, strcspn(value, ":"));
	const char *text = strchr(value, ':');

	reply(m, request, NULL, class, text ? text + 1 : "");
}

/* An answer that is none: not at all, not whole, or another's. False: the script wants none of these. */
static bool reply_wrongly(struct fake *f, struct monitor *m, const char *name, unsigned nth, struct json_object *ret)
{
	struct script *s = &f->script;
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_free_ char *text = NULL;

	if (script_next(s, NULL, "silent", name, nth, false)) {
		json_object_put(ret);
		return true;
	}
	if (script_next(s, NULL, "garbage", name, nth, false)) {
		json_object_put(ret);
		monitor_write(m, "qemu: the answer is lost in a core dump\r\n");
		return true;
	}
	if (script_next(s, NULL, "wrongid", name, nth, false)) {
		o = make_reply(m ? m->last_id : NULL, ret, NULL, NULL);
		monitor_send(m, o);
		return true;
	}
	if (!script_next(s, NULL, "half", name, nth, false))
		return false;
	o = make_reply(NULL, ret, NULL, NULL);
	text = json_print(o);
	text[strlen(text) / 2] = '\0';
	monitor_write(m, text);
	flush_all(f);
	if (m)
		monitor_close(m);
	return true;
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
static bool negotiate(struct monitor *m, struct json_object *request, const char *name)
{
	if (str_eq(name, "qmp_capabilities") == m->negotiated) {
		reply(m, request, NULL, "CommandNotFound",
		      m->negotiated ? "Capabilities negotiation is already complete, command ignored" :
				      "Expecting capabilities negotiation with 'qmp_capabilities'");
		return false;
	}
	if (!m->negotiated)
		m->oob = wants_oob(request);
	m->negotiated = true;
	return true;
}

static void flood(struct fake *f, const struct script_line *l)
{
	for (long i = l ? strtol(l->value, NULL, 10) : 0; i > 0; i--)
		emit_text(f, "RTC_CHANGE", "{\"offset\": 1, \"qom-path\": \"/machine/unattached/device[5]/rtc\"}");
}

/* M NULL: who asked has hung up. */
static void run(struct fake *f, struct monitor *m, struct json_object *request, const char *name, unsigned nth)
{
	struct script *s = &f->script;
	const struct script_line *error = script_next(s, NULL, "error", name, nth, false);
	const struct command *command = command_find(name);
	struct ask a = { .f = f, .m = m, .args = json_get_typed(request, "arguments", json_type_object) };
	_cleanup_free_ char *desc = NULL;
	struct json_object *ret;

	if (m && !negotiate(m, request, name))
		return;
	flood(f, script_next(s, NULL, "flood", name, nth, false));
	if (error) {
		reply_scripted_error(m, request, error->value);
		return;
	}
	if (!command) {
		desc = xasprintf("The command %s has not been found", name);
		reply(m, request, NULL, "CommandNotFound", desc);
		return;
	}
	ret = command_run(command, &a);
	desc = a.desc;
	if (script_next(s, NULL, "lie", name, nth, false)) {
		json_object_put(ret);
		ret = NULL;
	}
	if (!reply_wrongly(f, m, name, nth, ret))
		reply(m, request, ret, a.class, desc);
	if (script_next(s, NULL, "twice", name, nth, false))
		reply(m, request, NULL, NULL, NULL);
}

static void remember(struct monitor *m, struct json_object *request)
{
	struct json_object *id = NULL;

	if (!m || m->fd < 0)
		return;
	json_object_object_get_ex(request, "id", &id);
	json_object_put(m->last_id);
	m->last_id = json_object_get(id);
}

/* On the way out the monitors go first. */
static void linger(struct fake *f, const struct script_line *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < f->n; i++) {
		closep(&f->monitors[i].fd);
		closep(&f->monitors[i].listener);
	}
	usleep((useconds_t)strtoul(l->value, NULL, 10) * 1000);
}

static void finish(struct fake *f, struct monitor *m, struct json_object *request, const char *name, unsigned nth)
{
	run(f, m, request, name, nth);
	remember(m, request);
	at_place(f, m, name, nth, true);
	devices_obey(f);
	if (str_eq(name, "system_powerdown") && !script_says(&f->script, "powerdown", "ignore"))
		guest_power_off(f);
	if (str_eq(name, "quit") && !script_next(&f->script, NULL, "silent", name, nth, false) &&
	    !script_next(&f->script, NULL, "error", name, nth, false)) {
		flush_all(f);
		linger(f, script_next(&f->script, NULL, "linger", name, nth, false));
		_exit(0);
	}
}

/* ---- the main loop ---- */

static void begin(struct fake *f, struct monitor *m, struct json_object *request)
{
	const char *name = json_get_str(request, "execute");
	unsigned nth = count_place(f, name);
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

void run_main_loop(struct fake *f)
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
	if (!f->hung && !f->answer.m)
		devices_obey(f);
}

static void take_oob(struct fake *f, struct monitor *m, struct json_object *request, const char *name)
{
	const struct command *command = command_find(name);

	if (!command || !command->oob)
		reply(m, request, NULL, "GenericError", "The command does not support OOB");
	else
		run(f, m, request, name, count_place(f, name));
}

void take_request(struct fake *f, struct monitor *m, struct json_object *request)
{
	const char *name = json_get_str(request, "execute"), *oob = json_get_str(request, "exec-oob");

	if (f->record >= 0 && (name || oob))
		dprintf(f->record, "%s %s\n", m->id, name ? name : oob);
	if (name)
		json_object_array_add(m->requests, json_object_get(request));
	else if (oob && m->oob)
		take_oob(f, m, request, oob);
	else
		reply(m, request, NULL, "GenericError",
		      oob ? "QMP input member 'exec-oob' is unexpected" : "QMP input lacks member 'execute'");
}
