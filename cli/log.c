/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QEMU's log has no event and no cursor: to follow it is to ask for its tail each second and print what was not in the last
 * one. The console's is followed as a reader of the console.
 */
#include "cli/log.h"

#include "cli/console.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "cli/watch.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TAIL = 65536, BACKLOG_MAX = 131072 };

size_t log_overlap(const char *before, const char *now)
{
	size_t n = strlen(now), k = 0;
	_cleanup_free_ size_t *next = xcalloc(n + 1, sizeof(*next)); /* of Knuth, Morris and Pratt */

	for (size_t i = 1; i < n; i++) {
		while (k > 0 && now[i] != now[k])
			k = next[k];
		k += now[i] == now[k];
		next[i + 1] = k;
	}
	k = 0;
	for (; n > 0 && *before; before++) {
		while (k > 0 && (k == n || *before != now[k]))
			k = next[k];
		k += *before == now[k];
	}
	return k;
}

/* How many bytes at the end of DATA are the beginning of something. */
static size_t unfinished(const char *data, size_t len)
{
	unsigned char lo, hi;

	if (len && data[len - 1] == '\r')
		return 1;
	for (size_t n = 1; n <= 3 && n <= len; n++) {
		size_t more = json_utf8_lead((unsigned char)data[len - n], &lo, &hi);

		if (more)
			return more >= n ? n : 0;
	}
	return 0;
}

static void print_piece(FILE *f, const char *data, size_t len)
{
	for (size_t at = 0; at < len;) {
		const char *end = memchr(data + at, '\0', len - at);
		size_t n = end ? (size_t)(end - data) - at : len - at;
		_cleanup_free_ char *text = xstrndup(data + at, n), *plain = NULL;
		char *to = text;

		for (const char *p = text; *p; p++)
			if (p[0] != '\r' || p[1] != '\n')
				*to++ = *p;
		*to = '\0';
		plain = text_plain(text, "\n\t");
		fprintf(f, "%s%s", plain, end ? "\\x00" : "");
		at += n + (end != NULL);
	}
}

void log_stream_print(struct log_stream *s, FILE *f, const char *data, size_t len)
{
	_cleanup_free_ char *all = xcalloc(s->n + len, 1);
	size_t n = s->n + len;

	memcpy(all, s->held, s->n);
	memcpy(all + s->n, data, len);
	s->n = unfinished(all, n);
	n -= s->n;
	memcpy(s->held, all + n, s->n);
	print_piece(f, all, n);
}

void log_stream_end(struct log_stream *s, FILE *f)
{
	print_piece(f, s->held, s->n);
	s->n = 0;
}

/* ---- the verb ---- */

/* What query-log says; NULL with *e set. */
static struct json_object *tail_of(struct cli *cli, int64_t bytes, struct err **e)
{
	_cleanup_json_ struct json_object *arguments = args_request(&cli->args);
	struct json_object *result = NULL;

	json_add_str(arguments, "instance", cli->args.words[0]);
	if (bytes)
		json_add_int(arguments, "bytes", bytes);
	return cli_call(cli, cli->args.verb->command, arguments, &result, e) ? result : NULL;
}

static int show(struct cli *cli)
{
	_cleanup_err_ struct err *e = NULL;
	_cleanup_json_ struct json_object *result = tail_of(cli, 0, &e);
	const char *text;

	if (!result)
		return cli_fail(cli, cli->client ? cli->args.words[0] : NULL, e);
	if (cli->json) {
		cli_print_json(cli, result);
		return 0;
	}
	text = json_get_str(result, "text");
	cli_print_text(cli, text ? text : "");
	if (json_get_bool(result, "truncated", false)) {
		fflush(stdout);
		cli_note("(There is more: --bytes N.)\n");
	}
	return 0;
}

/* Waits a second; false when nobody reads it any more. */
static bool pause_second(struct cli *cli, struct err **e)
{
	double until = watch_clock() + 1;
	enum watched w;

	while ((w = watch_wait(cli->client, until)) == WATCH_INPUT)
		if (!client_wait(cli->client, e))
			return false;
	return w == WATCH_TIME;
}

static int follow_qemu(struct cli *cli)
{
	_cleanup_free_ char *before = xstrdup("");
	_cleanup_err_ struct err *e = NULL;
	int64_t bytes = 0; /* of the first tail: what the command line says */

	do {
		_cleanup_json_ struct json_object *result = tail_of(cli, bytes, &e);
		const char *text = json_get_str(result, "text");

		if (!result)
			break;
		if (text) {
			cli_print_text(cli, text + log_overlap(before, text));
			free(before);
			before = xstrdup(text);
		}
		fflush(stdout);
		bytes = TAIL;
	} while (pause_second(cli, &e));
	return e ? cli_fail(cli, cli->client ? cli->args.words[0] : NULL, e) : 0;
}

/* Prints what comes until the console ends. False where it ends otherwise, with *e unless nobody reads any more. */
static bool print_stream(struct cli *cli, int fd, const char *first, size_t len, struct err **e)
{
	struct log_stream s = { 0 };
	unsigned eol = 0;
	char data[16384];
	ssize_t n = 0;
	size_t skip = console_skip_eol(&eol, first, len);

	for (first += skip, len -= skip;;) {
		struct pollfd p[2] = { { .fd = fd, .events = POLLIN }, { .fd = STDOUT_FILENO } };

		if (cli->screen.tty)
			log_stream_print(&s, stdout, first, len);
		else
			fwrite(first, 1, len, stdout);
		if (!cli_flush(e))
			return false;
		poll(p, ARRAY_SIZE(p), -1);
		if (p[1].revents & (POLLERR | POLLHUP))
			return false;
		n = recv(fd, data, sizeof(data), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			break;
		first = data;
		len = n > 0 ? (size_t)n : 0;
		skip = console_skip_eol(&eol, first, len);
		first += skip;
		len -= skip;
	}
	if (cli->screen.tty)
		log_stream_end(&s, stdout);
	return n >= 0 || err_set(e, ERR_UNAVAILABLE, "the console was cut off: %s", strerror(errno));
}

static int follow_console(struct cli *cli)
{
	_cleanup_json_ struct json_object *arguments = json_object_new_object(), *result = NULL;
	const char *name = cli->args.words[0], *bytes = args_get(&cli->args, "bytes");
	int64_t backlog = bytes ? strtoll(bytes, NULL, 10) : TAIL;
	_cleanup_err_ struct err *e = NULL;
	_cleanup_free_ char *first = NULL;
	_cleanup_close_ int fd = -1;
	size_t len;

	json_add_str(arguments, "instance", name);
	json_add_str(arguments, "mode", "ro");
	json_add_int(arguments, "log", backlog < BACKLOG_MAX ? backlog : BACKLOG_MAX);
	if (!cli_call(cli, "console-attach", arguments, &result, &e))
		return cli_fail(cli, cli->client ? name : NULL, e);
	fd = client_detach(TAKE_PTR(cli->client), &first, &len);
	if (!print_stream(cli, fd, first, len, &e))
		return e ? cli_fail(cli, name, e) : 0;
	cli_note("\nThis is the end of %s's console.\n", name);
	return 0;
}

int verb_log(struct cli *cli)
{
	_cleanup_err_ struct err *e = NULL;

	if (!args_has(&cli->args, "follow"))
		return show(cli);
	if (cli->json) {
		err_set_usage(&e, xstrdup("without --json it prints what is logged, as it is"),
			      "'--follow' has no JSON to print");
		return cli_fail(cli, NULL, e);
	}
	return str_eq(args_get(&cli->args, "which"), "console") ? follow_console(cli) : follow_qemu(cli);
}
