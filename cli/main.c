/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/help.h"
#include "cli/verbs.h"

#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <unistd.h>

/* The session must not become descriptor 0, 1 or 2, or what is printed would go into it. */
static void open_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* A reader that left early (`drover list | head -1`) is no failure; a full disk is. */
static int finish(const struct cli *cli, int status)
{
	_cleanup_err_ struct err *e = NULL;

	if (cli_flush(&e) || !e || status)
		return status;
	return cli_fail(cli, NULL, e);
}

static int run(struct cli *cli, int argc, char **argv)
{
	_cleanup_err_ struct err *e = NULL;
	const struct verb *v;

	if (!args_parse(cli_verbs, argc, argv, &cli->args, &e)) {
		cli->json = args_has(&cli->args, "json");
		return cli_fail(cli, NULL, e);
	}
	cli->json = args_has(&cli->args, "json");
	v = cli->args.verb;
	if (args_has(&cli->args, "help")) {
		if (v)
			help_verb(cli_verbs, v, stdout);
		else
			help_overview(cli_verbs, stdout);
		return 0;
	}
	if (args_has(&cli->args, "version")) {
		printf("drover %s\n", DROVER_VERSION);
		return 0;
	}
	if (!v) {
		help_overview(cli_verbs, stderr);
		return err_class_info(ERR_INVALID_PARAMETER)->exit;
	}
	return v->run(cli);
}

int main(int argc, char **argv)
{
	struct cli cli;
	int status;

	open_standard_fds();
	setlocale(LC_CTYPE, "");
	signal(SIGPIPE, SIG_IGN);
	cli_init(&cli);
	status = finish(&cli, run(&cli, argc, argv));
	cli_clear(&cli);
	return status;
}
