/* SPDX-License-Identifier: BSD-2-Clause */
/* `drover stats --prometheus`: to stdout, or into a file that is whole at any time. */
#include "cli/metrics.h"
#include "cli/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { VERSION, INSTANCES, STATS, QUESTIONS };

static bool ask(struct cli *cli, struct json_object *answers[static QUESTIONS], struct err **e)
{
	static const char *const commands[QUESTIONS] = { "query-version", "query-instances", "query-stats" };

	for (size_t i = 0; i < QUESTIONS; i++) {
		_cleanup_json_ struct json_object *arguments = NULL;

		if (i != VERSION && cli->args.n_words) {
			arguments = json_object_new_object();
			json_add(arguments, "instances", args_words(&cli->args));
		}
		if (!cli_call(cli, commands[i], arguments, &answers[i], e))
			return false;
	}
	return true;
}

static bool write_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno != EINTR)
			return false;
		text += n < 0 ? 0 : n;
		len -= n < 0 ? 0 : (size_t)n;
	}
	return true;
}

/* The temporary name does not end as PATH does, so that nobody takes it for one of those that are collected; what was
 * left over of it is not followed if it is a link. base/file.c would bring libraries along that each start would load. */
static bool write_to(const char *path, const char *text, size_t len, struct err **e)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	_cleanup_free_ char *tmp = xasprintf("%.*s.%s.new", (int)(name - path), path, name);
	_cleanup_close_ int fd = -1;

	if (!*name)
		return err_set_usage(e, NULL, "'--output' takes the name of a file, not '%s'", path);
	if (unlink(tmp) < 0 && errno != ENOENT)
		return cli_fail_file(e, errno, "write", path);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return cli_fail_file(e, errno, "write", path);
	if (write_all(fd, text, len) && rename(tmp, path) == 0)
		return true;
	cli_fail_file(e, errno, "write", path);
	unlink(tmp);
	return false;
}

int metrics_run(struct cli *cli)
{
	struct json_object *answers[QUESTIONS] = { NULL };
	_cleanup_err_ struct err *e = NULL, *unwritten = NULL;
	_cleanup_free_ char *text = NULL;
	const char *path = args_get(&cli->args, "output");
	size_t len;
	FILE *f = open_memstream(&text, &len);
	bool ok = ask(cli, answers, &e);
	int status = 0;

	/* That there is no daemon is an answer, a name that is wrong is none. */
	if (ok || !cli->client || e->class == ERR_UNAVAILABLE)
		metrics_print(f, ok ? answers[VERSION] : NULL, ok ? answers[INSTANCES] : NULL,
			      ok ? answers[STATS] : NULL);
	fclose(f);
	for (size_t i = 0; i < QUESTIONS; i++)
		json_object_put(answers[i]);
	if (len && !path)
		fputs(text, stdout);
	if (!ok)
		status = cli_fail(cli, NULL, e);
	if (len && path && !write_to(path, text, len, &unwritten))
		status = cli_fail(cli, NULL, unwritten);
	return status;
}
