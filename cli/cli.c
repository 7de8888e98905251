/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/cli.h"

#include "base/param.h"
#include "cli/text.h"

#include <errno.h>
#include <langinfo.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

unsigned cli_width(int fd)
{
	struct winsize size;
	const char *columns = getenv("COLUMNS");
	long n;

	if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	n = columns ? strtol(columns, NULL, 10) : 0;
	return n > 0 && n < 10000 ? (unsigned)n : 80;
}

void cli_measure(struct cli *cli)
{
	cli->screen.width = cli->screen.tty ? cli_width(STDOUT_FILENO) : 0;
}

void cli_init(struct cli *cli)
{
	const char *term = getenv("TERM");

	*cli = (struct cli){ 0 };
	cli->screen.tty = isatty(STDOUT_FILENO);
	cli->screen.utf8 = str_eq(nl_langinfo(CODESET), "UTF-8");
	cli_measure(cli);
	cli->screen.dumb = str_empty(term) || str_eq(term, "dumb");
	cli->screen.colour = cli->screen.tty && str_empty(getenv("NO_COLOR")) && !cli->screen.dumb;
}

void cli_clear(struct cli *cli)
{
	args_clear(&cli->args);
	cli->client = client_free(cli->client);
}

struct client *cli_client(struct cli *cli, struct err **e)
{
	if (!cli->client)
		cli->client = client_open(args_get(&cli->args, "socket"), args_get(&cli->args, "host"), e);
	return cli->client;
}

bool cli_call(struct cli *cli, const char *command, struct json_object *arguments, struct json_object **ret,
	      struct err **e)
{
	return cli_client(cli, e) && client_call(cli->client, command, arguments, ret, e);
}

bool cli_query(struct cli *cli, const char *subject, struct json_object *arguments, struct json_object **ret,
	       int *status)
{
	_cleanup_err_ struct err *e = NULL;

	if (!cli_call(cli, cli->args.verb->command, arguments, ret, &e)) {
		*status = cli_fail(cli, cli->client ? subject : NULL, e);
		return false;
	}
	*status = 0;
	if (cli->json)
		cli_print_json(cli, *ret);
	return !cli->json;
}

void cli_print_json(const struct cli *cli, struct json_object *o)
{
	_cleanup_free_ char *text = cli->screen.tty ? json_print_indent(o) : json_print(o), *plain = NULL;

	if (cli->screen.tty)
		plain = text_plain_json(text);
	printf("%s\n", plain ? plain : text);
}

void cli_print_table(const struct cli *cli, const struct table *t, const char *none)
{
	if (table_rows(t))
		table_print(t, stdout, 0, &cli->screen);
	else
		cli_note("%s", none);
}

void cli_print_text(const struct cli *cli, const char *text)
{
	if (cli->screen.tty)
		text_block(stdout, text, 0, true);
	else
		fputs(text, stdout);
}

bool cli_output_gone(void)
{
	struct pollfd p = { .fd = STDOUT_FILENO };

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLERR | POLLHUP));
}

bool cli_flush(struct err **e)
{
	static const char what[] = "cannot write all of the output";

	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return true;
	if (cli_output_gone())
		return false;
	if (!errno) { /* text longer than the buffer has failed earlier; the end of a line will for the same reason */
		putchar('\n');
		fflush(stdout);
	}
	return errno ? err_set_errno(e, ERR_GENERIC, errno, "%s", what) : err_set(e, ERR_GENERIC, "%s", what);
}

static void print_prefix(const char *subject)
{
	_cleanup_free_ char *plain = subject ? text_plain(subject, "") : NULL;

	fprintf(stderr, "drover: %s%s", plain ? plain : "", plain ? ": " : "");
}

void cli_print_warnings(const struct cli *cli, const char *subject, struct json_object *result)
{
	struct json_object *warnings = json_get_typed(result, "warnings", json_type_array);
	size_t n = json_length(warnings);

	if (cli->json) /* there they are in the result */
		return;
	for (size_t i = 0; i < n; i++) {
		struct json_object *warning = json_object_array_get_idx(warnings, i);
		const char *desc = json_object_is_type(warning, json_type_object) ? json_get_str(warning, "desc") :
				   json_object_is_type(warning, json_type_string) ? json_object_get_string(warning) :
										    NULL;
		_cleanup_free_ char *text = desc ? xstrdup(desc) : json_print(warning);
		_cleanup_free_ char *plain = text_plain(text, "");

		print_prefix(subject);
		fprintf(stderr, "warning: %s\n", plain);
	}
}

bool cli_fail_file(struct err **e, int error, const char *what, const char *path)
{
	err_set_errno(e, ERR_GENERIC, error, "cannot %s '%s'", what, path);
	if (e)
		err_add(*e, "file", json_object_new_string(path));
	return false;
}

void cli_note(const char *fmt, ...)
{
	va_list ap;

	if (!isatty(STDERR_FILENO))
		return;
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
}

#define PENDING                                                                                                     \
	"it is detach-pending and goes by itself when the guest lets go or the process ends; 'drover show {}' and " \
	"'drover events' tell"
#define MEMBERS "'drover help definition', 'help hvparams', 'help disk' and 'help nic' describe every member"
#define DISK_MEMBERS "'drover help disk' describes every member"
#define NIC_MEMBERS "'drover help nic' describes every member"
#define NO_LIVE "--no-live changes the definition, for the next start"
#define RUNNING "; stop " /* what can be done, but not while it runs */
#define PATH_OF_DAEMON "droverd opens it, on the host that it runs on: make sure of the path there"
#define START "'drover start {}' starts it"
#define OTHER_STATE "takes no change of devices"
#define NO_RECORD " runs with is not known"
#define REFUSED "nothing was changed; let the guest stop using it, then detach it again"

/* The first row that fits counts. {} stands for the subject, or NAME where there is none. */
static const struct {
	enum err_class class;
	const char *verb;   /* NULL: any */
	const char *member; /* only if the error has it; NULL: any */
	const char *text;
	const char *says; /* only if the error's words have this in them; NULL: any */
} hints[] = {
	{ ERR_UNAVAILABLE, NULL, NULL,
	  "start it with 'systemctl start droverd', or 'droverd' for your own; --socket PATH names another" },
	{ ERR_COMMAND_NOT_FOUND, "call", NULL, "'drover call query-commands' lists the commands" },
	{ ERR_COMMAND_NOT_FOUND, NULL, NULL, "'drover version' shows whether the daemon is older than this program" },
	{ ERR_NOT_FOUND, NULL, "file", NULL }, /* the error names it */
	{ ERR_NOT_FOUND, "jobs cancel", NULL, "'drover jobs' lists the jobs" },
	{ ERR_NOT_FOUND, "jobs dismiss", NULL, "'drover jobs' lists the jobs" },
	{ ERR_NOT_FOUND, "call", NULL, NULL }, /* of whatever kind; a file of ours maybe */
	{ ERR_NOT_FOUND, "define", NULL, NULL },
	{ ERR_NOT_FOUND, "display-password", NULL, "'drover show {}' shows its displays", .says = "has no display" },
	{ ERR_NOT_FOUND, "screenshot", "parameter", "without --display it is the first graphics card" },
	{ ERR_NOT_FOUND, "disk attach", "step", PATH_OF_DAEMON },
	{ ERR_NOT_FOUND, "disk detach", "parameter", "'drover show {}' shows its disks" },
	{ ERR_NOT_FOUND, "disk resize", "parameter", "'drover show {}' shows its disks" },
	{ ERR_NOT_FOUND, "nic detach", "parameter", "'drover show {}' shows its cards" },
	{ ERR_NOT_FOUND, NULL, "step", "'drover show {}' shows the definition that names it" },
	{ ERR_NOT_FOUND, NULL, NULL, "'drover list' shows what there is" },
	{ ERR_BUSY, NULL, NULL, "there is room as soon as one of them leaves (^] in its terminal)",
	  .says = " are attached to the " },
	{ ERR_BUSY, "console", NULL, "'drover console {} --take' takes it over, --ro only watches" },
	{ ERR_BUSY, NULL, "parameter",
	  "'drover show {}' shows it as detach-pending; it leaves when the guest answers or the process ends" },
	{ ERR_BUSY, NULL, NULL, "an end of 'drover events', a console or a client makes room", .says = "sessions" },
	{ ERR_BUSY, NULL, NULL, "'drover jobs' shows what is under way; try again when it has ended" },
	{ ERR_WRONG_STATE, "console", NULL, "'drover console {} --log' prints it, 'drover start {}' starts the machine",
	  .says = "has no process" },
	{ ERR_WRONG_STATE, NULL, NULL, START, .says = "has no process" },
	{ ERR_WRONG_STATE, NULL, NULL, START, .says = "' is shutoff (" },
	{ ERR_WRONG_STATE, NULL, NULL, "'drover define' replaces it, from a file best", .says = "cannot be read" },
	{ ERR_WRONG_STATE, "disk attach", NULL, NO_LIVE, .says = OTHER_STATE },
	{ ERR_WRONG_STATE, "disk detach", NULL, NO_LIVE, .says = OTHER_STATE },
	{ ERR_WRONG_STATE, "nic attach", NULL, NO_LIVE, .says = OTHER_STATE },
	{ ERR_WRONG_STATE, "nic detach", NULL, NO_LIVE, .says = OTHER_STATE },
	{ ERR_WRONG_STATE, "disk attach", NULL, NO_LIVE, .says = NO_RECORD },
	{ ERR_WRONG_STATE, "disk detach", NULL, NO_LIVE, .says = NO_RECORD },
	{ ERR_WRONG_STATE, "nic attach", NULL, NO_LIVE, .says = NO_RECORD },
	{ ERR_WRONG_STATE, "nic detach", NULL, NO_LIVE, .says = NO_RECORD },
	{ ERR_WRONG_STATE, "disk attach", NULL, NO_LIVE, .says = "with 'live' false" },
	{ ERR_WRONG_STATE, "nic attach", NULL, NO_LIVE, .says = "with 'live' false" },
	{ ERR_WRONG_STATE, "undefine", NULL, "'drover undefine {} --force' stops it first", .says = "say force" },
	{ ERR_WRONG_STATE, "rename", NULL, "'drover shutdown {}' asks its guest to end, 'drover stop {}' ends it",
	  .says = "stop it first" },
	{ ERR_WRONG_STATE, "start", NULL, "'drover resume {}' does", .says = "'instance-resume' lets" },
	{ ERR_WRONG_STATE, "start", NULL, "'drover pause {}' does", .says = "'instance-pause' halts" },
	{ ERR_WRONG_STATE, "start", NULL, "'drover shutdown {}' asks its guest to end, 'drover stop {}' ends it",
	  .says = "stop it first" },
	{ ERR_WRONG_STATE, NULL, NULL, "'drover show {}' shows the state" },
	{ ERR_TIMEOUT, NULL, "stalled",
	  "QEMU does not answer, nothing was undone: 'drover jobs' follows it, 'drover stop {}' ends QEMU" },
	{ ERR_TIMEOUT, "shutdown", NULL, "the guest did not obey: --then stop ends it hard, as does 'drover stop {}'" },
	{ ERR_TIMEOUT, "disk detach", NULL, PENDING },
	{ ERR_TIMEOUT, "nic detach", NULL, PENDING },
	{ ERR_TIMEOUT, "wait", NULL, "'drover show {}' shows its state" },
	{ ERR_TIMEOUT, NULL, NULL, "try again when what is named answers", .says = "nothing was changed" },
	{ ERR_TIMEOUT, NULL, NULL, "'drover show {}' shows what became of it" },
	{ ERR_NO_SLOT, NULL, NULL, "'drover show {} --slots' shows who sits where" },
	{ ERR_UNSUPPORTED, "disk attach", "parameter", NO_LIVE, .says = RUNNING },
	{ ERR_UNSUPPORTED, "disk detach", "parameter", NO_LIVE, .says = RUNNING },
	{ ERR_UNSUPPORTED, "nic attach", "parameter", NO_LIVE, .says = RUNNING },
	{ ERR_UNSUPPORTED, "nic detach", "parameter", NO_LIVE, .says = RUNNING },
	{ ERR_UNSUPPORTED, "disk attach", "parameter", DISK_MEMBERS },
	{ ERR_UNSUPPORTED, "nic attach", "parameter", NIC_MEMBERS },
	{ ERR_UNSUPPORTED, "screenshot", NULL, "'drover modify {} hvparams.vga=std' gives it one at its next start",
	  .says = "no graphics card" },
	{ ERR_UNSUPPORTED, "top", NULL, "'drover list --watch' follows the states, 'drover stats' prints the numbers" },
	{ ERR_UNSUPPORTED, NULL, NULL, "'drover host' shows what works here, and what the QEMUs can do" },
	{ ERR_EXISTS, "rename", NULL, "'drover list' shows the names that are taken" },
	{ ERR_EXISTS, "define", NULL, "'drover modify' and 'drover edit' change what is defined already" },
	{ ERR_EXISTS, "disk attach", NULL, "'drover show {}' shows its disks" },
	{ ERR_EXISTS, "nic attach", NULL, "'drover show {}' shows its cards" },
	{ ERR_EXISTS, NULL, NULL, "'drover list' shows what there is" },
	{ ERR_NO_SPACE, NULL, NULL, "make room and try again; 'df' shows what is full" },
	{ ERR_PERMISSION_DENIED, NULL, "file",
	  "it is opened as you, not as droverd: owner and mode have to let you in" },
	{ ERR_PERMISSION_DENIED, NULL, NULL, "owner and mode of what is named have to let droverd, or its guests, in" },
	{ ERR_GUEST_REFUSED, "disk detach", NULL, REFUSED },
	{ ERR_GUEST_REFUSED, "nic detach", NULL, REFUSED },
	{ ERR_GUEST_REFUSED, NULL, NULL, "'drover console {}' asks the guest why" },
	{ ERR_STORAGE, NULL, NULL,
	  "somebody has it open, 'fuser PATH' shows who; shareable=true is for a disk that several guests write",
	  .says = " in use" },
	{ ERR_STORAGE, "define", NULL, "make sure of the path or the server that is named" },
	{ ERR_STORAGE, NULL, NULL, "'drover show {}' shows the disks, 'drover log {}' what QEMU said of them" },
	{ ERR_NETWORK, NULL, NULL, "'drover show {}' shows the cards, 'ip link' what the host has" },
	{ ERR_CANCELLED, NULL, "step", "it may be begun again" },
	{ ERR_GENERIC, NULL, "trace", "'drover trace {}' shows how it came to that; droverd's own log may say more" },
	{ ERR_GUEST_GONE, NULL, NULL, "'drover log {}' shows what QEMU said" },
	{ ERR_QEMU, NULL, "trace", "'drover trace {}' shows what it was asked" },
	{ ERR_QEMU, NULL, NULL, "'drover log {}' shows what it said besides" },
	{ ERR_GAP, "events", NULL, "without --since it starts from now" },
	{ ERR_GAP, NULL, NULL, "'drover list' shows how things stand now" },
	{ ERR_INVALID_PARAMETER, NULL, NULL,
	  "it is JSON: names and text in double quotes, a comma between members and none behind the last",
	  .says = ", column " },
	{ ERR_INVALID_PARAMETER, "edit", "parameter", HINT_JSON_TEXT, .says = HINT_SAYS_TEXT },
	{ ERR_INVALID_PARAMETER, "import", "parameter", HINT_JSON_TEXT, .says = HINT_SAYS_TEXT },
	{ ERR_INVALID_PARAMETER, NULL, "parameter",
	  "text that reads as JSON needs quotes, \"VALUE\", and they need those of the shell: KEY='\"VALUE\"'",
	  .says = HINT_SAYS_TEXT },
	{ ERR_INVALID_PARAMETER, NULL, "parameter", "'drover rename {} NEW-NAME' gives it another name",
	  .says = "instance-rename" },
	{ ERR_INVALID_PARAMETER, "define", "parameter", MEMBERS },
	{ ERR_INVALID_PARAMETER, "modify", "parameter", MEMBERS },
	{ ERR_INVALID_PARAMETER, "edit", "parameter", MEMBERS },
	{ ERR_INVALID_PARAMETER, "disk attach", "parameter", DISK_MEMBERS },
	{ ERR_INVALID_PARAMETER, "nic attach", "parameter", NIC_MEMBERS },
	{ ERR_INVALID_PARAMETER, "send-key", "parameter",
	  "keys have QEMU's names: ctrl, alt, shift, meta_l, delete, ret, spc, esc, tab, pgup, f1, a, 1" },
	{ ERR_INVALID_PARAMETER, "start", "parameter", "'drover show {}' shows its disks and cards" },
	{ ERR_INVALID_PARAMETER, "call", "parameter", "'drover help COMMAND' describes its arguments" },
};

/* TEXT with each {} replaced. The caller's. */
static char *fill_in(const char *text, const char *subject)
{
	char *all = xstrdup("");
	const char *gap;

	for (; (gap = strstr(text, "{}")); text = gap + 2) {
		_cleanup_free_ char *before = all;

		all = xasprintf("%s%.*s%s", before, (int)(gap - text), text, subject);
	}
	_cleanup_free_ char *before = all;

	return xasprintf("%s%s", before, text);
}

char *cli_hint(const char *verb, const char *subject, const struct err *e)
{
	const char *own = json_get_str(e->extra, "hint");

	if (own)
		return xstrdup(own);
	for (size_t i = 0; i < ARRAY_SIZE(hints); i++) {
		struct json_object *member;

		if (hints[i].class != e->class || (hints[i].verb && !str_eq(hints[i].verb, verb)))
			continue;
		if (hints[i].member && !json_object_object_get_ex(e->extra, hints[i].member, &member))
			continue;
		if (hints[i].says && !strstr(e->desc, hints[i].says))
			continue;
		return hints[i].text ? fill_in(hints[i].text, subject ? subject : "NAME") : NULL;
	}
	if (verb && e->class == ERR_INVALID_PARAMETER)
		return xasprintf("'drover help %s' describes it", verb);
	return NULL;
}

static void print_step(const struct err *e)
{
	const char *step = json_get_str(e->extra, "step"), *what = "", *trace = json_get_str(e->extra, "trace");
	_cleanup_free_ char *plain = step ? text_plain(step, "") : NULL, *id = text_plain(trace ? trace : "", "");
	struct json_object *undone;

	if (!step)
		return;
	if (json_object_object_get_ex(e->extra, "undone", &undone))
		what = json_object_get_boolean(undone) ? ", undone" : ", not undone";
	fprintf(stderr, "  step: %s%s%s%s\n", plain, what, *id ? "; operation " : "", id);
}

/* "log" is text or a list of lines. */
static void print_log(const struct err *e)
{
	struct json_object *log = NULL;

	if (!json_object_object_get_ex(e->extra, "log", &log) || !log)
		return;
	fprintf(stderr, "  the last words of QEMU:\n");
	if (!json_object_is_type(log, json_type_array)) {
		text_block(stderr, json_object_get_string(log), 4, true);
		return;
	}
	for (size_t i = 0; i < json_object_array_length(log); i++) {
		const char *line = json_object_get_string(json_object_array_get_idx(log, i));

		text_block(stderr, line ? line : "", 4, true);
	}
}

static void print_error_json(const char *subject, const struct err *e)
{
	_cleanup_json_ struct json_object *o = err_to_json(e);
	_cleanup_free_ char *text = NULL, *plain = NULL;

	json_add_str(o, "subject", subject);
	text = json_print(o);
	plain = text_plain_json(text);
	fprintf(stderr, "%s\n", plain);
}

/* The instance that a name which there is none of may have meant, as a hint; or NULL. The caller's. */
static char *guess_instance(const struct cli *cli, const struct err *e)
{
	static const char words[] = "no instance '";
	_cleanup_json_ struct json_object *list = NULL;
	_cleanup_free_ struct param *names = NULL;
	_cleanup_free_ char *name = NULL;
	const char *meant;
	size_t n;

	if (e->class != ERR_NOT_FOUND || !str_starts(e->desc, words) || !cli->client ||
	    !client_call(cli->client, "query-instances", NULL, &list, NULL) ||
	    !json_object_is_type(list, json_type_array))
		return NULL;
	name = xstrndup(e->desc + strlen(words), strcspn(e->desc + strlen(words), "'"));
	n = json_object_array_length(list);
	names = xcalloc(n + 1, sizeof(*names));
	for (size_t i = 0; i < n; i++)
		names[i].name = json_get_str(json_object_array_get_idx(list, i), "name");
	meant = param_guess(names, name);
	return meant ? xasprintf("did you mean '%s'?", meant) : NULL;
}

int cli_fail(const struct cli *cli, const char *subject, const struct err *e)
{
	const char *class = json_get_str(e->extra, "class");
	_cleanup_free_ char *desc = text_plain(e->desc, ""), *hint = NULL, *plain_class = NULL;

	fflush(stdout); /* what worked stands before what did not */
	if (cli->json) {
		print_error_json(subject, e);
		return err_class_info(e->class)->exit;
	}
	hint = guess_instance(cli, e);
	if (!hint)
		hint = cli_hint(cli->args.verb ? cli->args.verb->name : NULL, subject, e);
	plain_class = text_plain(class ? class : err_class_info(e->class)->name, "");
	print_prefix(subject);
	fprintf(stderr, "%s (%s)\n", desc, plain_class);
	print_step(e);
	print_log(e);
	if (hint) {
		_cleanup_free_ char *plain = text_plain(hint, "");

		fprintf(stderr, "hint: %s\n", plain);
	}
	return err_class_info(e->class)->exit;
}
