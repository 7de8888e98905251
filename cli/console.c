/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Only the socket is read and written without blocking: the terminal and pipes are shared with
 * other programs, which O_NONBLOCK would reach too. What is typed and not taken yet waits here, so
 * that ^] is seen also while the guest takes nothing.
 */
#include "cli/console.h"

#include "cli/terminal.h"
#include "cli/verbs.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	LEAVE = 0x1d, /* ^] */
	PORTION = 16 << 10,
	TYPED_MAX = 1 << 20,
};

struct copy {
	int fd;
	bool raw;       /* stdin is a terminal */
	bool listening; /* to stdin */
	bool read_only;
	char *typed;
	size_t len;
	unsigned eol;
	bool left;
};

size_t console_skip_eol(unsigned *state, const char *data, size_t len)
{
	static const char eol[] = "\r\n";
	size_t n = 0;

	while (n < len && *state < 2 && data[n] == eol[*state]) {
		(*state)++;
		n++;
	}
	if (n < len)
		*state = 2;
	return n;
}

/* False when stdout is gone, *e set if that is a failure. */
static bool show(struct copy *c, const char *data, size_t len, struct err **e)
{
	size_t skip = console_skip_eol(&c->eol, data, len);

	for (data += skip, len -= skip; len > 0;) {
		ssize_t n = write(STDOUT_FILENO, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) { /* someone else made it non-blocking */
			struct pollfd p = { .fd = STDOUT_FILENO, .events = POLLOUT };

			poll(&p, 1, -1);
			continue;
		}
		if (n < 0)
			return errno == EPIPE ? false : err_set_errno(e, ERR_GENERIC, errno, "cannot write the output");
		data += n;
		len -= (size_t)n;
	}
	return true;
}

/* False at the end of the console. */
static bool receive(struct copy *c, struct err **e)
{
	char data[PORTION];
	ssize_t n = recv(c->fd, data, sizeof(data), MSG_DONTWAIT);

	if (n > 0)
		return show(c, data, (size_t)n, e);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	return n == 0 ? false : err_set(e, ERR_UNAVAILABLE, "the console was cut off: %s", strerror(errno));
}

/* False when the user left. */
static bool type(struct copy *c)
{
	char data[PORTION], *leave = NULL;
	ssize_t n = read(STDIN_FILENO, data, sizeof(data));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0) {
		c->listening = false;
		c->left = c->raw; /* the terminal is gone */
		return !c->left;
	}
	if (c->raw)
		leave = memchr(data, LEAVE, (size_t)n);
	if (leave) {
		n = leave - data;
		c->left = true;
	}
	if (!c->read_only && n > 0) {
		c->typed = xrealloc(c->typed, c->len + (size_t)n, 1);
		memcpy(c->typed + c->len, data, (size_t)n);
		c->len += (size_t)n;
	}
	return !c->left;
}

static void transmit(struct copy *c)
{
	ssize_t n;

	if (!c->len)
		return;
	n = send(c->fd, c->typed, c->len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0) {
		c->len -= (size_t)n;
		memmove(c->typed, c->typed + n, c->len);
	} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
		/* It hung up; what it said before is still to be read. */
		c->len = 0;
		c->listening = c->raw;
		c->read_only = true;
	}
}

static bool copy_all(struct copy *c, struct err **e)
{
	struct err *why = NULL;

	for (;;) {
		bool room = c->len < TYPED_MAX;
		struct pollfd p[] = {
			{ .fd = c->fd, .events = (short)(POLLIN | (c->len ? POLLOUT : 0)) },
			{ .fd = c->listening && room ? STDIN_FILENO : -1, .events = POLLIN },
			{ .fd = STDOUT_FILENO },
		};

		if (poll(p, ARRAY_SIZE(p), -1) < 0) {
			if (errno == EINTR)
				continue;
			return err_set_errno(e, ERR_GENERIC, errno, "cannot wait");
		}
		if (p[2].revents & (POLLERR | POLLHUP))
			return true;
		if ((p[0].revents & ~POLLOUT) && !receive(c, &why))
			break;
		if (p[1].revents && !type(c)) {
			transmit(c); /* what was typed before ^], as far as it is taken at once */
			break;
		}
		transmit(c);
	}
	if (!why)
		return true;
	err_keep_first(e, why);
	return false;
}

bool console_run(int fd, const char *first, size_t len, bool read_only, bool *left, struct err **e)
{
	struct copy c = { .fd = fd, .raw = isatty(STDIN_FILENO), .read_only = read_only };
	struct err *why = NULL;
	bool ok;

	c.listening = c.raw || !read_only;
	if (c.raw && !terminal_enter(cfmakeraw, TCSANOW, e))
		return false;
	ok = show(&c, first, len, &why) && copy_all(&c, &why);
	terminal_restore();
	free(c.typed);
	*left = c.left;
	if (why)
		err_keep_first(e, why);
	return ok || !why;
}

static int print_log(struct cli *cli, const char *name)
{
	_cleanup_json_ struct json_object *arguments = json_object_new_object(), *result = NULL;
	_cleanup_err_ struct err *e = NULL;
	const char *text;

	json_add_str(arguments, "instance", name);
	json_add_str(arguments, "which", "console");
	if (!cli_call(cli, "query-log", arguments, &result, &e))
		return cli_fail(cli, cli->client ? name : NULL, e);
	text = json_get_str(result, "text");
	if (cli->json) {
		cli_print_json(cli, result);
		return 0;
	}
	cli_print_text(cli, text ? text : "");
	if (json_get_bool(result, "truncated", false)) {
		fflush(stdout);
		cli_note("\n(There is more: 'drover log %s --which console --bytes N'.)\n", name);
	}
	return 0;
}

int verb_console(struct cli *cli)
{
	_cleanup_json_ struct json_object *arguments = args_request(&cli->args), *result = NULL;
	_cleanup_err_ struct err *e = NULL;
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *first = NULL;
	const char *name = cli->args.words[0];
	bool read_only = args_has(&cli->args, "ro"), left = false;
	size_t len;

	if (args_has(&cli->args, "log"))
		return print_log(cli, name);
	json_add_str(arguments, "instance", name);
	json_add_str(arguments, "mode", read_only ? "ro" : "rw");
	if (!cli_call(cli, cli->args.verb->command, arguments, &result, &e))
		return cli_fail(cli, cli->client ? name : NULL, e);
	fd = client_detach(TAKE_PTR(cli->client), &first, &len);
	if (isatty(STDIN_FILENO))
		cli_note("Connected to %s's console; ^] leaves.\n", name);
	if (!console_run(fd, first, len, read_only, &left, &e))
		return cli_fail(cli, name, e);
	cli_note("\n%s %s's console.\n", left ? "Left" : "This is the end of", name);
	return 0;
}
