/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a request to its command: shape, name, arguments, then the row's functions.
 */
#include "base/log.h"
#include "daemon/ask.h"
#include "daemon/command.h"
#include "daemon/job.h"
#include "daemon/session.h"

struct request {
	const char *execute;
	struct json_object *arguments, *id;
	bool has_id;
};

static bool read_request(struct json_object *value, struct request *r, struct err **e)
{
	*r = (struct request){ 0 };
	if (!json_object_is_type(value, json_type_object))
		return err_set(e, ERR_GENERIC, "a request is a JSON object");
	r->has_id = json_object_object_get_ex(value, "id", &r->id);
	json_object_object_foreach(value, key, member) {
		if (str_eq(key, "execute") && json_object_is_type(member, json_type_string))
			r->execute = json_object_get_string(member);
		else if (str_eq(key, "arguments") && json_object_is_type(member, json_type_object))
			r->arguments = member;
		else if (str_eq(key, "execute") || str_eq(key, "arguments"))
			return err_set_param(e, key, "must be %s", str_eq(key, "execute") ? "text" : "an object");
		else if (!str_eq(key, "id"))
			return err_set_param(e, key, "unknown member of a request");
	}
	if (!r->execute)
		return err_set_param(e, "execute", "required");
	return true;
}

/* qmp_capabilities, the only command before the handshake is over. There is nothing to enable. */
static bool negotiate(struct session *s, struct json_object *arguments, struct err **e)
{
	struct json_object *enable = NULL;

	if (arguments) {
		json_object_object_foreach(arguments, key, value) {
			if (!str_eq(key, "enable"))
				return err_set_param(e, key, "unknown");
			if (!json_object_is_type(value, json_type_array))
				return err_set_param(e, key, "must be a list");
			enable = value;
		}
	}
	if (enable && json_object_array_length(enable) > 0)
		return err_set_param(e, "enable", "no such capability");
	session_negotiated(s);
	return true;
}

/* What is left of the request's own line: its end is nothing that anybody typed. */
static size_t line_end(const char *in, size_t len)
{
	size_t n = len > 0 && in[0] == '\r' ? 1 : 0;

	return n < len && in[n] == '\n' ? n + 1 : 0;
}

/* The session is given away; the reply goes in front of the bytes. */
static void attach(struct call *call, struct request *r)
{
	char *in, *out;
	size_t in_len, out_len, skip;
	struct session *s = call->session;
	int fd;

	session_reply(s, json_object_new_object(), NULL, r->id, r->has_id);
	session_detach(s, &fd, &in, &in_len, &out, &out_len);
	call->session = NULL;
	skip = line_end(in, in_len);
	call->command->attach(call, fd, out, out_len, in + skip, in_len - skip);
	free(in);
	free(out);
}

/* Decodes the arguments. "job-id" is every long command's and no row's. */
static bool decode(struct call *call, struct json_object *arguments, char **job_id, struct err **e)
{
	struct json_object *id;

	call->raw = json_object_new_object();
	if (arguments) {
		json_object_object_foreach(arguments, key, value)
			json_add(call->raw, key, json_object_get(value));
	}
	if (call->command->class == CLASS_LONG && json_object_object_get_ex(call->raw, "job-id", &id)) {
		const char *text = json_get_str(call->raw, "job-id");

		if (!text || !param_is_name(text))
			return err_set_param(e, "job-id", "must be a name (letters, digits, '.', '_', '-')");
		*job_id = xstrdup(text);
		json_object_object_del(call->raw, "job-id");
	}
	call->args = xcalloc(1, call->command->args_size);
	if (param_decode(call->command->params, call->raw, "", call->args, e))
		return true;
	free(call->args);
	call->args = NULL;
	return false;
}

/* From memory, or later. */
static void answer(struct call *call, const struct request *r, struct err **e)
{
	struct json_object *ret = NULL;
	struct ask *ask;

	if (call->command->query) {
		if (call->command->query(call, &ret, e))
			session_reply(call->session, ret, NULL, r->id, r->has_id);
		return;
	}
	ask = ask_new(call->d, call->session, r->id, r->has_id);
	if (!call->command->ask(call, ask, e))
		ask_free(ask);
}

static void call_clear(struct call *call)
{
	if (call->command && call->args)
		param_clear(call->command->params, call->args);
	free(call->args);
	json_object_put(call->raw);
}

static void run(struct session *s, struct daemon *d, struct request *r)
{
	struct call call = { .d = d, .command = command_find(r->execute), .session = s };
	_cleanup_free_ char *job_id = NULL;
	struct err *e = NULL;

	session_peer(s, &call.uid, &call.pid);
	if (!call.command || call.command->internal) {
		const char *guess = command_guess(r->execute);

		err_set(&e, ERR_COMMAND_NOT_FOUND, "there is no command '%s'%s%s%s", r->execute,
			guess ? "; did you mean '" : "", guess ? guess : "", guess ? "'?" : "");
	} else if (decode(&call, r->arguments, &job_id, &e)) {
		switch (call.command->class) {
		case CLASS_QUERY:
		case CLASS_ASK:
		case CLASS_DIRECT:
			answer(&call, r, &e);
			break;
		case CLASS_CHANGE:
		case CLASS_LONG:
			log_info("uid %d, pid %d: %s", call.uid, call.pid, r->execute);
			job_submit(&call, job_id, r->id, r->has_id, &e);
			break;
		case CLASS_ATTACH:
			if (session_requests(s) > 1)
				err_set(&e, ERR_BUSY, "other requests of this session are under way");
			else if (call.command->check_attach(&call, &e))
				attach(&call, r);
			break;
		}
	}
	if (e)
		session_reply(s, NULL, e, r->id, r->has_id);
	call_clear(&call);
}

void dispatch(struct session *s, struct daemon *d, struct json_object *value)
{
	struct err *e = NULL;
	struct request r;

	if (!read_request(value, &r, &e)) {
		session_reply(s, NULL, e, r.id, r.has_id);
	} else if (str_eq(r.execute, "qmp_capabilities") != session_is_negotiated(s)) {
		if (session_is_negotiated(s))
			run(s, d, &r);
		else if (negotiate(s, r.arguments, &e))
			session_reply(s, json_object_new_object(), NULL, r.id, r.has_id);
		else
			session_reply(s, NULL, e, r.id, r.has_id);
	} else {
		err_set(&e, ERR_COMMAND_NOT_FOUND,
			session_is_negotiated(s) ? "the handshake is over already" :
						   "expecting the handshake with 'qmp_capabilities'");
		session_reply(s, NULL, e, r.id, r.has_id);
	}
}
