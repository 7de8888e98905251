/* SPDX-License-Identifier: BSD-2-Clause */
/* The verbs about what a guest shows and is shown: screenshot, send-key, display-password. */
#include "base/base64.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- screenshot ---- */

/* "-" is the standard output. */
static bool write_picture(const char *path, const char *bytes, size_t n, struct err **e)
{
	bool is_stdout = str_eq(path, "-");
	int fd = is_stdout ? STDOUT_FILENO : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	size_t done = 0;
	int error;

	while (fd >= 0 && done < n) {
		ssize_t m = write(fd, bytes + done, n - done);

		if (m < 0 && errno != EINTR)
			break;
		done += m > 0 ? (size_t)m : 0;
	}
	error = errno;
	if (fd >= 0 && !is_stdout && close(fd) < 0 && done == n) {
		done = 0;
		error = errno;
	}
	return (fd >= 0 && done == n) || cli_fail_file(e, error, "write", path);
}

int verb_screenshot(struct cli *cli)
{
	_cleanup_json_ struct json_object *arguments = args_request(&cli->args), *result = NULL;
	const char *name = cli->args.words[0], *path = cli->args.words[1];
	_cleanup_err_ struct err *e = NULL;
	_cleanup_free_ char *bytes = NULL;
	size_t n = 0;

	if (str_eq(path, "-") && isatty(STDOUT_FILENO)) {
		err_set_usage(&e, NULL, "a picture does not go to a terminal: name a file");
		return cli_fail(cli, NULL, e);
	}
	json_add_str(arguments, "instance", name);
	if (!cli_call(cli, cli->args.verb->command, arguments, &result, &e))
		return cli_fail(cli, cli->client ? name : NULL, e);
	if (json_get_str(result, "data"))
		bytes = base64_decode(json_get_str(result, "data"), &n);
	if (!bytes)
		err_set(&e, ERR_GENERIC, "the daemon's picture is none");
	if (!bytes || !write_picture(path, bytes, n, &e))
		return cli_fail(cli, name, e);
	if (str_eq(path, "-"))
		return 0;
	json_object_object_del(result, "data");
	json_add_str(result, "file", path);
	json_add_int(result, "bytes", (int64_t)n);
	verb_print(cli, name, result, xasprintf("%zu bytes in '%s'", n, path));
	return 0;
}

/* ---- send-key ---- */

/* "ctrl-alt-delete" is three keys; no key has a '-' in its name. */
static struct json_object *keys_of(const struct args *args)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 1; i < args->n_words; i++) {
		_cleanup_free_ char *copy = xstrdup(args->words[i]);
		char *save = NULL;

		for (char *key = strtok_r(copy, "-", &save); key; key = strtok_r(NULL, "-", &save))
			json_object_array_add(list, json_object_new_string(key));
	}
	return list;
}

static int send(struct cli *cli, struct json_object *arguments)
{
	_cleanup_json_ struct json_object *result = NULL;
	const char *name = cli->args.words[0];
	_cleanup_err_ struct err *e = NULL;

	json_add_str(arguments, "instance", name);
	if (!cli_call(cli, cli->args.verb->command, arguments, &result, &e))
		return cli_fail(cli, cli->client ? name : NULL, e);
	verb_print(cli, name, result, verb_outcome(cli->args.verb, result));
	return 0;
}

int verb_send_key(struct cli *cli)
{
	_cleanup_json_ struct json_object *arguments = args_request(&cli->args);

	json_add(arguments, "keys", keys_of(&cli->args));
	return send(cli, arguments);
}

/* ---- display-password ---- */

static void no_echo(struct termios *mode)
{
	mode->c_lflag &= ~(tcflag_t)ECHO;
}

/* A line of the standard input, without an echo if that is a terminal; the caller's, or NULL. */
static char *read_password(struct err **e)
{
	bool asks = isatty(STDIN_FILENO);
	char *line = NULL;
	size_t size = 0;
	ssize_t n;

	if (asks) {
		if (!terminal_enter(no_echo, TCSAFLUSH, e))
			return NULL;
		fputs("Password: ", stderr);
	}
	n = getline(&line, &size, stdin);
	if (asks) {
		terminal_restore();
		fputc('\n', stderr);
	}
	if (n >= 0)
		line[strcspn(line, "\r\n")] = '\0';
	if (n >= 0 && *line)
		return line;
	free(line);
	err_set_usage(e, NULL, "no password on the standard input");
	return NULL;
}

/* The kind of the display that was named, else of the instance's first; so nobody types a password for an instance that
 * is not there. The caller's. */
static char *kind_of(struct cli *cli, struct err **e)
{
	_cleanup_json_ struct json_object *arguments = json_object_new_object(), *o = NULL;
	struct json_object *list;
	const char *kind;

	json_add_str(arguments, "instance", cli->args.words[0]);
	if (!cli_call(cli, "query-instance", arguments, &o, e))
		return NULL;
	if (cli->args.n_words > 1)
		return xstrdup(cli->args.words[1]);
	list = json_get_typed(o, "displays", json_type_array);
	kind = json_length(list) ? json_get_str(json_object_array_get_idx(list, 0), "kind") : NULL;
	if (!kind)
		err_set(e, ERR_NOT_FOUND, "'%s' has no display now", cli->args.words[0]);
	return kind ? xstrdup(kind) : NULL;
}

int verb_display_password(struct cli *cli)
{
	_cleanup_json_ struct json_object *arguments = args_request(&cli->args);
	_cleanup_err_ struct err *e = NULL;
	_cleanup_free_ char *kind = kind_of(cli, &e), *password = NULL;

	if (!kind)
		return cli_fail(cli, cli->client ? cli->args.words[0] : NULL, e);
	password = read_password(&e);
	if (!password)
		return cli_fail(cli, NULL, e);
	json_add_str(arguments, "display", kind);
	json_add_str(arguments, "password", password);
	explicit_bzero(password, strlen(password));
	return send(cli, arguments);
}
