/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/edit.h"

#include "base/file.h"
#include "base/param.h"
#include "cli/assign.h"
#include "cli/shapes.h"
#include "cli/text.h"
#include "cli/verbs.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the pure half ---- */

struct json_object *edit_patch(struct json_object *from, struct json_object *to)
{
	struct json_object *patch = json_object_new_object();

	json_object_object_foreach(from, gone, old) {
		struct json_object *now = NULL;

		if (old && (!json_object_object_get_ex(to, gone, &now) || !now))
			json_add(patch, gone, NULL);
	}
	json_object_object_foreach(to, key, value) {
		struct json_object *before = NULL;

		json_object_object_get_ex(from, key, &before);
		if (!value || json_object_equal(before, value))
			continue;
		if (json_object_is_type(before, json_type_object) && json_object_is_type(value, json_type_object))
			json_add(patch, key, edit_patch(before, value));
		else
			json_add(patch, key, json_object_get(value));
	}
	return patch;
}

struct json_object *edit_find(struct json_object *definition, const char *path)
{
	struct json_object *o = definition;

	while (o && *path) {
		size_t n = strcspn(path, ".["), in_list = path[n] == '[' ? strcspn(path + n + 1, "]") : 0;
		_cleanup_free_ char *key = xstrndup(path, n), *name = xstrndup(path + n + 1, in_list);
		struct json_object *next = NULL;

		json_object_object_get_ex(o, key, &next);
		o = next;
		path += n;
		if (*path == '[') {
			next = NULL;
			for (size_t i = 0; i < json_length(o); i++)
				if (str_eq(json_get_str(json_object_array_get_idx(o, i), "name"), name))
					next = json_object_array_get_idx(o, i);
			o = next;
			path += 1 + in_list + (path[1 + in_list] == ']');
		}
		path += *path == '.';
		if (!json_object_is_type(o, json_type_object) && *path)
			return NULL;
	}
	return o;
}

/* ---- the text and its file ---- */

struct edit {
	struct cli *cli;
	const char *name;
	struct json_object *before; /* the definition as it is stored */
	bool interrupted;           /* at a question */
	char *dir, *path;           /* a directory of our own, the text in it */
};

static void forget_file(const char *name, void *data)
{
	const struct edit *ed = data;
	_cleanup_free_ char *path = xasprintf("%s/%s", ed->dir, name);

	unlink(path);
}

/* With what the editor left beside it. */
static void forget_text(struct edit *ed)
{
	_cleanup_close_ int dir = ed->dir ? open(ed->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (dir >= 0 && file_list(dir, forget_file, ed, NULL))
		rmdir(ed->dir);
}

static bool write_text(struct edit *ed, struct err **e)
{
	const char *tmp = getenv("TMPDIR");
	_cleanup_free_ char *text = json_print_indent(ed->before), *dir = NULL;
	_cleanup_close_ int fd = -1;
	FILE *f;

	dir = xasprintf("%s/drover-edit-XXXXXX", str_empty(tmp) ? "/tmp" : tmp);
	if (!mkdtemp(dir)) {
		cli_fail_file(e, errno, "make the directory", dir);
		return false;
	}
	ed->dir = TAKE_PTR(dir);
	ed->path = xasprintf("%s/%s.json", ed->dir, ed->name);
	fd = open(ed->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	f = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (!f)
		return cli_fail_file(e, errno, "write", ed->path);
	TAKE_FD(fd);
	fprintf(f, "%s\n", text);
	return fclose(f) == 0 || cli_fail_file(e, errno, "write", ed->path);
}

static const char *editor(void)
{
	static const char *const names[] = { "VISUAL", "EDITOR" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!str_empty(getenv(names[i])))
			return getenv(names[i]);
	return "vi";
}

/* ^C and ^\ are the editor's meanwhile. */
static bool run_editor(const struct edit *ed, struct err **e)
{
	_cleanup_free_ char *line = xasprintf("%s \"$1\"", editor());
	void (*interrupted)(int) = signal(SIGINT, SIG_IGN), (*quit)(int) = signal(SIGQUIT, SIG_IGN);
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		signal(SIGINT, interrupted);
		signal(SIGQUIT, quit);
		signal(SIGPIPE, SIG_DFL);
		execl("/bin/sh", "sh", "-c", line, "sh", ed->path, NULL);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	signal(SIGINT, interrupted);
	signal(SIGQUIT, quit);
	if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	err_set(e, ERR_GENERIC, "the editor, '%s', did not end well", editor());
	if (e)
		err_add(*e, "hint", json_object_new_string("$VISUAL or $EDITOR names another one"));
	return false;
}

/* ---- the plan ---- */

static char *value_text(const char *path, struct json_object *value)
{
	if (str_eq(path, "memory") && json_object_is_type(value, json_type_int))
		return text_size(json_object_get_uint64(value));
	return shape_value(value);
}

static void plan_row(struct table *t, const char *path, struct json_object *from, struct json_object *to,
		     const char *when, enum style style)
{
	_cleanup_free_ char *before = value_text(path, from), *after = value_text(path, to);

	table_row(t);
	table_cell(t, STYLE_NONE, path);
	table_cell(t, STYLE_NONE, before);
	table_cell(t, STYLE_NONE, after);
	table_cell(t, style, when);
}

/* What a dry run says that AFTER would bring about. */
static void print_plan(const struct edit *ed, struct json_object *after, struct json_object *result)
{
	static const struct column columns[] = {
		{ .title = "CHANGE", .min = 16 },
		{ .title = "FROM", .min = 10 },
		{ .title = "TO", .min = 10 },
		{ .title = "WHEN" },
	};
	_cleanup_(table_freep) struct table *t = table_new(columns, ARRAY_SIZE(columns));
	struct json_object *applied = json_get_typed(result, "applied", json_type_array);
	struct json_object *pending = json_get_typed(result, "pending", json_type_array);

	for (size_t i = 0; i < json_length(applied); i++) {
		const char *path = json_object_get_string(json_object_array_get_idx(applied, i));

		if (path)
			plan_row(t, path, edit_find(ed->before, path), edit_find(after, path), "at once", STYLE_GOOD);
	}
	for (size_t i = 0; i < json_length(pending); i++) {
		struct json_object *row = json_object_array_get_idx(pending, i), *from = NULL, *to = NULL;

		json_object_object_get_ex(row, "from", &from);
		json_object_object_get_ex(row, "to", &to);
		plan_row(t, json_get_str(row, "path"), from, to, "at the next start", STYLE_WARN);
	}
	if (table_rows(t))
		table_print(t, ed->cli->json ? stderr : stdout, 0, &ed->cli->screen);
	cli_print_warnings(ed->cli, ed->name, result);
}

static bool modify(struct edit *ed, struct json_object *patch, bool dry_run, struct json_object **ret, struct err **e)
{
	_cleanup_json_ struct json_object *arguments = json_object_new_object();

	json_add_str(arguments, "instance", ed->name);
	json_add(arguments, "patch", json_object_get(patch));
	if (dry_run)
		json_add_bool(arguments, "dry-run", true);
	return cli_call(ed->cli, ed->cli->args.verb->command, arguments, ret, e);
}

/* ---- the conversation ---- */

enum next { NEXT_AGAIN, NEXT_END };

/* Asks TEXT and waits for a line; false if ^C comes first, which ends nothing from the question on. */
static bool await_answer(const char *text)
{
	sigset_t interrupt, before;
	struct signalfd_siginfo info;
	struct pollfd p[2] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .events = POLLIN } };
	bool interrupted;

	sigemptyset(&interrupt);
	sigaddset(&interrupt, SIGINT);
	sigprocmask(SIG_BLOCK, &interrupt, &before);
	p[1].fd = signalfd(-1, &interrupt, SFD_CLOEXEC | SFD_NONBLOCK);
	fflush(stdout);
	fputs(text, stderr);
	while (poll(p, ARRAY_SIZE(p), -1) < 0 && errno == EINTR)
		;
	interrupted = read(p[1].fd, &info, sizeof(info)) == sizeof(info);
	if (p[1].fd >= 0)
		close(p[1].fd);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return !interrupted;
}

/* The first letter of the answer to TEXT, in lower case; EOF at the end of the input, and for ^C. */
static int ask(struct edit *ed, const char *text)
{
	char *line = NULL;
	size_t size = 0;
	int answer = EOF;

	ed->interrupted = !await_answer(text);
	if (ed->interrupted)
		fputc('\n', stderr);
	else if (getline(&line, &size, stdin) > 0)
		answer = tolower((unsigned char)*line);
	free(line);
	return answer;
}

/* The text is what it was at first, or somebody took it away. */
static bool is_untouched(const struct edit *ed)
{
	_cleanup_free_ char *text = json_print_indent(ed->before), *now = NULL;
	size_t len;

	if (access(ed->path, F_OK) < 0)
		return true;
	now = input_read(ed->path, &len, NULL);
	return now && len == strlen(text) + 1 && memcmp(now, text, len - 1) == 0;
}

static enum next keep_text(struct edit *ed)
{
	if (is_untouched(ed)) {
		fprintf(stderr, "Nothing was changed.\n");
		return NEXT_END;
	}
	fprintf(stderr, "Nothing was changed; the text is kept in %s\n", ed->path);
	ed->dir = (free(ed->dir), NULL);
	return NEXT_END;
}

/* Something is wrong with the text: it may be mended. */
static enum next offer_again(struct edit *ed, const struct err *e, int *status)
{
	*status = cli_fail(ed->cli, ed->name, e);
	if (isatty(STDIN_FILENO) && e->class != ERR_UNAVAILABLE) {
		int answer = ask(ed, "Edit again? [Y/n] ");

		if (answer != 'n' && answer != EOF)
			return NEXT_AGAIN;
	}
	return keep_text(ed);
}

/* To take the name away is to give no other one. */
static void hint_of_name(const struct edit *ed, struct err *e)
{
	_cleanup_free_ char *hint = xasprintf("put \"name\": \"%s\" back; 'drover rename' changes it", ed->name);

	err_add(e, "hint", json_object_new_string(hint));
}

/* One round: the editor, the plan, the question, the change. */
static enum next round_of(struct edit *ed, int *status)
{
	_cleanup_json_ struct json_object *after = NULL, *patch = NULL, *plan = NULL, *result = NULL;
	_cleanup_err_ struct err *e = NULL;
	int answer = 'y';

	if (!run_editor(ed, &e))
		return offer_again(ed, e, status);
	after = input_object(ed->path, &e);
	if (!after)
		return offer_again(ed, e, status);
	patch = edit_patch(ed->before, after);
	if (!modify(ed, patch, true, &plan, &e)) {
		if (!json_get_str(after, "name"))
			hint_of_name(ed, e);
		return offer_again(ed, e, status);
	}
	*status = 0;
	if (!json_get_bool(plan, "changed", true)) {
		verb_print(ed->cli, ed->name, plan, xstrdup("unchanged"));
		return NEXT_END;
	}
	print_plan(ed, after, plan);
	if (!args_has(&ed->cli->args, "yes"))
		answer = ask(ed, "Apply? [y]es, [n]o, [e]dit again: ");
	if (answer == 'e')
		return NEXT_AGAIN;
	if (answer != 'y')
		return keep_text(ed);
	if (!modify(ed, patch, false, &result, &e))
		return offer_again(ed, e, status);
	verb_print(ed->cli, ed->name, result, modify_outcome(result, false));
	return NEXT_END;
}

int verb_edit(struct cli *cli)
{
	struct edit ed = { .cli = cli, .name = cli->args.words[0] };
	_cleanup_json_ struct json_object *arguments = json_object_new_object(), *instance = NULL;
	_cleanup_err_ struct err *e = NULL;
	int status = 0;

	if (!isatty(STDIN_FILENO) && !args_has(&cli->args, "yes")) {
		err_set_usage(&e, xstrdup("--yes applies without asking; 'drover modify' changes single members"),
			      "'edit' asks, and the standard input is no terminal");
		return cli_fail(cli, NULL, e);
	}
	json_add_str(arguments, "instance", ed.name);
	if (!cli_call(cli, "query-instance", arguments, &instance, &e))
		return cli_fail(cli, cli->client ? ed.name : NULL, e);
	ed.name = json_get_str(instance, "name") ? json_get_str(instance, "name") : "";
	ed.before = json_get_typed(instance, "definition", json_type_object);
	if (!ed.before || !param_is_name(ed.name))
		err_set(&e, ERR_WRONG_STATE, "the definition of '%s' cannot be read", cli->args.words[0]);
	else if (write_text(&ed, &e))
		while (round_of(&ed, &status) == NEXT_AGAIN)
			;
	if (e)
		status = cli_fail(cli, ed.name, e);
	forget_text(&ed);
	free(ed.dir);
	free(ed.path);
	if (ed.interrupted) {
		signal(SIGINT, SIG_DFL);
		raise(SIGINT);
	}
	return status;
}
