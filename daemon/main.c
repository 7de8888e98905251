/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * droverd: options, signals, the order of starting and stopping.
 *
 * It runs in the foreground. Its end, by whatever signal, leaves every guest as it is.
 */
#include "base/log.h"
#include "daemon/autostart.h"
#include "daemon/daemon.h"
#include "daemon/service.h"

#include <errno.h>
#include <getopt.h>
#include <linux/close_range.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const char usage[] = "Usage: droverd [OPTION]...\n"
			    "Runs QEMU virtual machines and serves a JSON API on a unix socket.\n"
			    "\n"
			    "  --root DIR         keep everything below DIR (etc, lib, run, log) instead of\n"
			    "                     the system's or the user's directories\n"
			    "  --log-level LEVEL  debug, info, notice, warning or err (default info)\n"
			    "  --help             print this text\n"
			    "  --version          print the version\n";

static void tell(struct daemon *d, const char *what)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "what", what);
	json_add_str(o, "epoch", d->epoch);
	event_emit(d, "DAEMON", o);
}

static void on_signal(uv_signal_t *handle, int signal)
{
	log_notice("signal %d: stopping; guests go on", signal);
	tell(handle->data, "stopping");
	service_stopping(handle->data);
	uv_stop(handle->loop);
}

static void catch_signal(uv_loop_t *loop, uv_signal_t *handle, int signal, struct daemon *d)
{
	uv_signal_init(loop, handle);
	handle->data = d;
	uv_signal_start(handle, on_signal, signal);
}

static int serve(const char *root)
{
	static struct daemon d;
	static uv_signal_t term, interrupt;
	_cleanup_err_ struct err *e = NULL;
	uv_loop_t *loop = uv_default_loop();

	if (!daemon_open(&d, loop, root, &e)) {
		log_error("%s", e->desc);
		return err_class_info(e->class)->exit;
	}
	if (!service_begin(&d, &e)) {
		log_error("%s", e->desc);
		return err_class_info(e->class)->exit;
	}
	tell(&d, "started");
	recover(&d);
	if (!listener_open(&d, &e)) {
		log_error("%s", e->desc);
		return err_class_info(e->class)->exit;
	}
	catch_signal(loop, &term, SIGTERM, &d);
	catch_signal(loop, &interrupt, SIGINT, &d);
	tell(&d, "recovered");
	autostart_begin(&d);
	service_ready(&d);
	log_info("drover " DROVER_VERSION " serves %s/drover.sock", d.rt.dirs.run);
	uv_run(loop, UV_RUN_DEFAULT);
	/* No way back for what is under way: its markers stay, and the next start takes them up. */
	return 0;
}

/* A machine takes half a dozen descriptors, and shells give a thousand. */
static void raise_file_limit(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur == r.rlim_max)
		return;
	r.rlim_cur = r.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &r) < 0)
		log_warning("cannot raise the limit of open files: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "root", required_argument, NULL, 'r' },
		{ "log-level", required_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	const char *root = NULL;
	int level = LOG_INFO, c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'r':
			root = optarg;
			break;
		case 'l':
			level = log_level_from_name(optarg);
			if (level < 0) {
				fprintf(stderr, "droverd: '%s' is no level; see droverd --help\n", optarg);
				return 2;
			}
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'V':
			puts("droverd " DROVER_VERSION);
			return 0;
		default:
			fputs("Try 'droverd --help'.\n", stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "droverd: unexpected argument '%s'\nTry 'droverd --help'.\n", argv[optind]);
		return 2;
	}
	log_init("droverd", level);
	signal(SIGPIPE, SIG_IGN);
	/* What whoever started us left open is not for a guest to inherit. */
	close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	raise_file_limit();
	/* A reply is thousands of small blocks, freed together. Kept in fastbins they are all gone through at the next
	 * larger block: half the time of a long list. */
	mallopt(M_MXFAST, 0);
	return serve(root);
}
