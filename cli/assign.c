/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/assign.h"

#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

bool input_is_file(const char *word)
{
	size_t n = strlen(word);

	return str_eq(word, "-") || strchr(word, '/') || (n >= 5 && str_eq(word + n - 5, ".json"));
}

char *input_read(const char *name, size_t *len, struct err **e)
{
	const size_t max = json_limits_request.bytes;
	bool standard = str_eq(name, "-");
	_cleanup_close_ int opened = standard ? -1 : open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	_cleanup_free_ char *text = NULL;
	size_t n = 0;

	if (!standard && opened < 0) {
		cli_fail_file(e, errno, "open", name);
		return NULL;
	}
	text = xcalloc(1, max + 2);
	while (n <= max) {
		ssize_t got = read(standard ? STDIN_FILENO : opened, text + n, max + 1 - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			cli_fail_file(e, errno, "read", name);
			return NULL;
		}
		if (got == 0)
			break;
		n += (size_t)got;
	}
	if (n > max) {
		err_set(e, ERR_INVALID_PARAMETER, "'%s' is longer than a request may be, 1 MiB", name);
		return NULL;
	}
	text[n] = '\0';
	*len = n;
	return TAKE_PTR(text);
}

/* In front of the error of a TEXT that cannot be parsed: where. Columns count bytes. */
static void add_place(struct err *e, const char *text, size_t len)
{
	_cleanup_(json_reader_freep) struct json_reader *r = json_reader_new(&json_limits_request);
	_cleanup_json_ struct json_object *o = NULL;
	const char *at = text, *start;
	size_t rest = len, line = 1;

	if (json_reader_next(r, &at, &rest, &o, NULL) == JSON_BAD && at > text)
		at--; /* it stands behind the byte that is wrong */
	start = text;
	for (const char *p = text; p < at; p++)
		if (*p == '\n') {
			line++;
			start = p + 1;
		}
	err_prefix(e, "line %zu, column %zu", line, (size_t)(at - start) + 1);
}

bool input_value(const char *name, struct json_object **ret, struct err **e)
{
	_cleanup_free_ char *text = NULL;
	struct err *why = NULL;
	size_t len;

	text = input_read(name, &len, e);
	if (!text)
		return false;
	if (json_parse(text, len, &json_limits_request, ret, &why))
		return true;
	why->class = ERR_INVALID_PARAMETER;
	add_place(why, text, len);
	err_keep_first(e, why);
	return false;
}

struct json_object *input_object(const char *name, struct err **e)
{
	_cleanup_json_ struct json_object *o = NULL;

	if (!input_value(name, &o, e))
		return NULL;
	if (json_object_is_type(o, json_type_object))
		return TAKE_PTR(o);
	err_set(e, ERR_INVALID_PARAMETER, "a definition is a JSON object");
	return NULL;
}

static bool parse_value(const char *key, const char *text, size_t len, bool json, struct json_object **ret,
			struct err **e)
{
	_cleanup_err_ struct err *why = NULL;

	if (json_parse(text, len, &json_limits_request, ret, &why))
		return true;
	if (json)
		return err_set(e, ERR_INVALID_PARAMETER, "the value of '%s' is no JSON: %s", key, why->desc);
	if (memchr(text, '\0', len))
		return err_set(e, ERR_INVALID_PARAMETER, "the value of '%s' holds a NUL byte", key);
	*ret = json_object_new_string_len(text, (int)len);
	return true;
}

/* Puts VALUE (consumed) where the dots of KEY say. */
static bool place(struct json_object *o, const char *key, struct json_object *value, struct err **e)
{
	for (const char *part = key;;) {
		size_t n = strcspn(part, ".");
		_cleanup_free_ char *name = xstrndup(part, n);
		struct json_object *inner = NULL;
		bool known = json_object_object_get_ex(o, name, &inner);

		if (n == 0) {
			json_object_put(value);
			return err_set(e, ERR_INVALID_PARAMETER, "'%s' has a dot too many", key);
		}
		if (!part[n] && !known) {
			json_add(o, name, value);
			return true;
		}
		if (!part[n] || (known && !json_object_is_type(inner, json_type_object))) {
			json_object_put(value);
			return err_set(e, ERR_INVALID_PARAMETER, "'%s' is given twice", key);
		}
		if (!known) {
			inner = json_object_new_object();
			json_add(o, name, inner);
		}
		o = inner;
		part += n + 1;
	}
}

bool assign_word(struct json_object *o, const char *word, struct err **e)
{
	const char *equals = strchr(word, '=');
	bool json = equals && equals > word && equals[-1] == ':';
	_cleanup_free_ char *key = equals ? xstrndup(word, (size_t)(equals - word) - json) : NULL, *file = NULL;
	struct json_object *value = NULL;
	const char *text;
	size_t len;

	if (str_empty(key))
		return err_set(e, ERR_INVALID_PARAMETER, "'%s' is not of the form KEY=VALUE", word);
	text = equals + 1;
	len = strlen(text);
	if (*text == '@') {
		file = input_read(text + 1, &len, e);
		if (!file)
			return false;
		text = file;
	}
	return parse_value(key, text, len, json, &value, e) && place(o, key, value, e);
}

bool assign_guess(struct err **e, const char *key, const char *word)
{
	_cleanup_free_ char *hint = strchr(word, '=') ? NULL : xasprintf("did you mean '%s=%s'?", key, word);

	if (hint && e && *e)
		err_add(*e, "hint", json_object_new_string(hint));
	return false;
}

/* Does TEXT begin with "KEY=" or "KEY:="? */
static bool is_assignment(const char *text)
{
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.");

	return n > 0 && (text[n] == '=' || str_starts(text + n, ":="));
}

bool assign_list(struct json_object *o, const char *text, struct err **e)
{
	for (;;) {
		size_t n = strcspn(text, ",");
		_cleanup_free_ char *word = NULL;

		while (text[n] && !is_assignment(text + n + 1))
			n += 1 + strcspn(text + n + 1, ",");
		word = xstrndup(text, n);
		if (!assign_word(o, word, e))
			return false;
		if (!text[n])
			return true;
		text += n + 1;
	}
}
